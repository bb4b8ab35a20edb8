// SPDX-License-Identifier: MIT
/*
 * source.c - assigns signal sources to amplifier channels.
 *
 * Owns the text syntax "0-3,7=KIND:key=value,..." and the reference counts:
 * one source is held by every channel it was named for. On an ONIX card channels
 * 0-63 are the amplifier on port A, 64-127 the one on port B; on an Acquisition
 * Board every cable has 64: 0-63 A1, 64-127 A2, and so on to 448-511 D2.
 */
#include <stdlib.h>
#include <string.h>

#include "source.h"

static const struct source_kind *const kinds[] = {
	&source_neurons, &source_play, &source_ramp, &source_flat, &source_sine,
};

int source_option(const char **opts, char *key, size_t keylen, char *value, size_t valuelen)
{
	const char *p = *opts, *eq, *end;

	if (!*p)
		return 0;
	end = p + strcspn(p, ",");
	eq = memchr(p, '=', (size_t)(end - p));
	if (!eq || (size_t)(eq - p) >= keylen || (size_t)(end - eq - 1) >= valuelen)
		return -1;
	memcpy(key, p, (size_t)(eq - p));
	key[eq - p] = '\0';
	memcpy(value, eq + 1, (size_t)(end - eq - 1));
	value[end - eq - 1] = '\0';
	*opts = *end ? end + 1 : end;
	return 1;
}

int source_number(const char *text, double lo, double hi, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= lo && v <= hi))
		return -1;
	*out = v;
	return 0;
}

void source_put(struct source *s)
{
	if (s && --s->refs == 0)
		s->kind->free(s);
}

static void source_give(struct model *m, unsigned int ch, struct source *s)
{
	source_put(m->sources[ch]);
	m->sources[ch] = s;
	s->refs++;
	s->nth[ch] = s->nchannels++;
}

/* "0-3,7" into a list, in the order written. Returns the length or -1. */
static int parse_channels(const char *p, const char *end, unsigned int *list,
			  unsigned int channels)
{
	int n = 0;

	while (p < end) {
		char *q;
		unsigned long a = strtoul(p, &q, 10), b = a;

		if (q == p || *p < '0' || *p > '9')
			return -1;
		if (*q == '-') {
			p = q + 1;
			b = strtoul(p, &q, 10);
			if (q == p)
				return -1;
		}
		if (a > b || b >= channels)
			return -1;
		for (; a <= b; a++) {
			if (n == SRC_MAX_CHANNELS)
				return -1;
			list[n++] = (unsigned int)a;
		}
		if (q < end && *q++ != ',')
			return -1;
		p = q;
	}
	return n ? n : -1;
}

static struct source *source_make(const char *text, char *err, size_t errlen)
{
	size_t len = strcspn(text, ":"), i;

	for (i = 0; i < ARRAY_LEN(kinds); i++)
		if (strlen(kinds[i]->name) == len && !strncmp(kinds[i]->name, text, len))
			return kinds[i]->make(text[len] ? text + len + 1 : "", err, errlen);
	model_error(err, errlen, "no source \"%.*s\": use neurons, play, ramp, flat or sine",
		    (int)len, text);
	return NULL;
}

int source_assign(struct model *m, const char *text, char *err, size_t errlen)
{
	unsigned int list[SRC_MAX_CHANNELS];
	const char *eq = strchr(text, '=');
	struct source *s;
	int i, n;

	n = eq ? parse_channels(text, eq, list, model_channels(m)) : -1;
	if (n < 0)
		return model_error(err, errlen, "source \"%s\" does not start with channels: "
				   "write e.g. 0-3,7=neurons:snr=8 (0 to %u)", text,
				   model_channels(m) - 1);
	s = source_make(eq + 1, err, errlen);
	if (!s)
		return -1;
	for (i = 0; i < n; i++)
		source_give(m, list[i], s);
	return 0;
}

int source_defaults(struct model *m, char *err, size_t errlen)
{
	struct source *s = NULL;
	unsigned int ch;

	for (ch = 0; ch < model_channels(m); ch++) {
		if (m->sources[ch])
			continue;
		if (!s)
			s = source_make("neurons", err, errlen);
		if (!s)
			return -1;
		source_give(m, ch, s);
	}
	return 0;
}

void source_help(FILE *out)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(kinds); i++)
		fprintf(out, "    %s\n", kinds[i]->help);
}
