// SPDX-License-Identifier: MIT
/*
 * config.c - see config.h. One table says what every key may hold; the file
 * format is INI as read by inih. Ports and enables are kept by name: whether a
 * device exists is only known once the headstage has power.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "config.h"

#include <errno.h>
#include <ini.h>
#include <math.h>
#include <onidev.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void config_default(struct config *c)
{
	memset(c, 0, sizeof(*c));
	strcpy(c->device, "first");
	strcpy(c->directory, ".");
	c->buffer_bytes = 64u << 20;
	c->reserve_bytes = 16u << 20;
	c->sync_seconds = 1;
	c->fill_seconds = 10;
	c->aux = true;
	c->detect = true;
	c->k = 4.5;
	c->polarity = SPIKE_NEGATIVE;
	c->channel_rate = 300;
	c->stream_rate = 20000;
	c->n_pre = 8;
	c->n_post = 32;
	c->prime_seconds = 8;
	c->blank = REC_BLANK_HEADSTAGE;
	c->blank_pre_us = 1000;
	c->blank_post_us = 5000;
	c->train_us = 100000;
	c->fire_us = 10000;
}

int config_backend(const char *text, unsigned int *out)
{
	static const struct {
		const char *name;
		unsigned int flag;
	} backends[] = {
		{ "auto", 0 }, { "kernel", ONIDEV_OPEN_KERNEL }, { "usb", ONIDEV_OPEN_USB },
	};

	for (unsigned int i = 0; i < 3; i++) {
		if (!strcasecmp(text, backends[i].name)) {
			*out = backends[i].flag;
			return 0;
		}
	}
	errno = EINVAL;
	return -1;
}

int config_number(const char *text, double min, double max, double *out)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(text, &end);
	if (end == text || *end || !isfinite(v)) {
		errno = EINVAL;
		return -1;
	}
	if (v < min || v > max) {
		errno = ERANGE;
		return -1;
	}
	*out = v;
	return 0;
}

int config_size(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	unsigned int shift = 0;
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (end == text || text[0] == '-' || text[0] == '+')
		goto invalid;
	if (*end) {
		const char *at = strchr("KMGTkmgt", *end);

		if (!at || end[1])
			goto invalid;
		shift = 10 * ((unsigned int)((at - "KMGTkmgt") % 4) + 1);
	}
	if (errno == ERANGE || v > UINT64_MAX >> shift || v << shift < min || v << shift > max) {
		errno = ERANGE;
		return -1;
	}
	*out = (uint64_t)v << shift;
	return 0;
invalid:
	errno = EINVAL;
	return -1;
}

static int parse_bool(const char *text, bool *out)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };

	for (unsigned int i = 0; i < 4; i++) {
		if (!strcasecmp(text, yes[i])) {
			*out = true;
			return 0;
		}
		if (!strcasecmp(text, no[i])) {
			*out = false;
			return 0;
		}
	}
	errno = EINVAL;
	return -1;
}

enum kind { TEXT, STREAMS, NUMBER, COUNT, SIZE64, SIZE32, YESNO, POLARITY, BACKEND, BLANK };

struct key {
	const char *section, *name;
	enum kind kind;
	size_t offset;
	double min, max;	/* TEXT: max is the room */
	const char *want;	/* for the message */
};

#define AT(field)	offsetof(struct config, field)

static const struct key keys[] = {
	{ "device", "name", TEXT, AT(device), 1, sizeof(((struct config *)0)->device),
	  "a controller: a node path, oni0, or first" },
	{ "device", "backend", BACKEND, AT(backend), 0, 0, "kernel, usb or auto" },
	{ "device", "block", SIZE32, AT(block_bytes), 4096, 1 << 24, "a size from 4K to 16M" },
	{ "device", "ring", SIZE64, AT(ring_bytes), 65536, 1ll << 34, "a size from 64K to 16G" },
	{ "device", "latency_us", COUNT, AT(latency_us), 0, 1000000,
	  "microseconds from 0 to 1000000" },
	{ "record", "directory", TEXT, AT(directory), 1, sizeof(((struct config *)0)->directory),
	  "a folder" },
	{ "record", "seconds", NUMBER, AT(seconds), 0, 1e9, "seconds, 0 for no limit" },
	{ "record", "size", SIZE64, AT(size), 0, 1e18, "a size, 0 for no limit" },
	{ "record", "buffer", SIZE64, AT(buffer_bytes), 1 << 20, 1ll << 36,
	  "a size from 1M to 64G" },
	{ "record", "reserve", SIZE64, AT(reserve_bytes), 0, 1e15, "a size" },
	{ "record", "sync_seconds", NUMBER, AT(sync_seconds), 0.05, 60,
	  "seconds from 0.05 to 60" },
	{ "record", "fill_seconds", NUMBER, AT(fill_seconds), 0, 600, "seconds from 0 to 600" },
	{ "record", "aux", YESNO, AT(aux), 0, 0, "yes or no" },
	{ "rhythm", "streams", STREAMS, AT(rhythm_streams), 0,
	  sizeof(((struct config *)0)->rhythm_streams),
	  "data lines such as a1 a1+ b2, + being the second half of a chip" },
	{ "detect", "enabled", YESNO, AT(detect), 0, 0, "yes or no" },
	{ "detect", "threshold", NUMBER, AT(k), 1, 100, "noise sigmas from 1 to 100" },
	{ "detect", "fixed_uv", NUMBER, AT(fixed_uv), 0, 6000,
	  "microvolts from 0 (use threshold) to 6000" },
	{ "detect", "polarity", POLARITY, AT(polarity), 0, 0, "negative, positive or both" },
	{ "detect", "channel_rate", COUNT, AT(channel_rate), 0, 100000,
	  "spikes per second, 0 for no limit" },
	{ "detect", "stream_rate", COUNT, AT(stream_rate), 0, 10000000,
	  "spikes per second, 0 for no limit" },
	{ "detect", "prime_seconds", NUMBER, AT(prime_seconds), 0.1, 60,
	  "seconds from 0.1 to 60" },
	{ "stimulation", "blank", BLANK, AT(blank), 0, 0, "headstage, all or none" },
	{ "stimulation", "blank_pre_us", NUMBER, AT(blank_pre_us), 0, 1e6,
	  "microseconds from 0 to 1000000" },
	{ "stimulation", "blank_post_us", NUMBER, AT(blank_post_us), 0, 1e7,
	  "microseconds from 0 to 10000000" },
	{ "stimulation", "train_us", NUMBER, AT(train_us), 0, 6e7,
	  "microseconds from 0 to 60000000" },
	{ "stimulation", "fire_us", NUMBER, AT(fire_us), 0, 1e7,
	  "microseconds from 0 to 10000000" },
	{ "detect", "pre", COUNT, AT(n_pre), 0, 48, "samples from 0 to 48" },
	{ "detect", "post", COUNT, AT(n_post), 1, 48, "samples from 1 to 48" },
};

/* Index of @text in @names, -1 with errno if it is none of them. */
static int parse_word(const char *text, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (!strcasecmp(text, names[i]))
			return i;
	errno = EINVAL;
	return -1;
}

static int parse_polarity(const char *text, enum spike_polarity *out)
{
	static const char *const names[] = { "negative", "positive", "both" };
	int i = parse_word(text, names, 3);

	if (i < 0)
		return -1;
	*out = (enum spike_polarity)i;
	return 0;
}

static int parse_blank(const char *text, enum rec_blank *out)
{
	static const char *const names[] = { "headstage", "all", "none" };
	int i = parse_word(text, names, 3);

	if (i < 0)
		return -1;
	*out = (enum rec_blank)i;
	return 0;
}

static int parse_key(const struct key *k, const char *text, void *at)
{
	uint64_t size;
	double v;
	struct onidev_rhythm_layout layout;

	switch (k->kind) {
	case STREAMS:
		if (onidev_rhythm_layout_parse(text, &layout) || !layout.streams)
			return -1;
		/* fall through */
	case TEXT:
		if (!*text || strlen(text) >= (size_t)k->max)
			return -1;
		strcpy(at, text);
		return 0;
	case NUMBER:
		return config_number(text, k->min, k->max, at);
	case COUNT:
		if (config_number(text, k->min, k->max, &v) || v != floor(v))
			return -1;
		*(unsigned int *)at = (unsigned int)v;
		return 0;
	case SIZE64:
	case SIZE32:
		if (config_size(text, (uint64_t)k->min, (uint64_t)k->max, &size))
			return -1;
		if (k->kind == SIZE64)
			*(uint64_t *)at = size;
		else
			*(uint32_t *)at = (uint32_t)size;
		return 0;
	case YESNO:
		return parse_bool(text, at);
	case POLARITY:
		return parse_polarity(text, at);
	case BLANK:
		return parse_blank(text, at);
	case BACKEND:
		return config_backend(text, at);
	}
	return -1;
}

struct loading {
	struct config *c;
	char text[300];		/* of the first mistake */
};

__attribute__((format(printf, 2, 3)))
static int mistake(struct loading *l, const char *fmt, ...)
{
	va_list ap;

	if (l->text[0])
		return 0;
	va_start(ap, fmt);
	vsnprintf(l->text, sizeof(l->text), fmt, ap);
	va_end(ap);
	return 0;
}

static int port_key(struct loading *l, struct config_port *p, const char *name,
		    const char *value)
{
	double volts;

	if (!strcmp(name, "headstage")) {
		const struct onidev_headstage *h = onidev_headstage_find(value);

		if (!h)
			return mistake(l, "headstage '%s' is not known, see 'onictl port --help'",
				       value);
		p->headstage = h->hardware_id;
		return 1;
	}
	if (!strcmp(name, "volts")) {
		if (config_number(value, 0, 11, &volts))
			return mistake(l, "volts must be a number from 0 to 11, not '%s'", value);
		p->decivolts = (uint32_t)lround(volts * 10);
		return 1;
	}
	return mistake(l, "key '%s' is not known in a port section (headstage, volts)", name);
}

static int enable_key(struct loading *l, const char *name, const char *value)
{
	struct config_device *d = &l->c->dev[l->c->n_dev];

	if (l->c->n_dev == CONFIG_MAX_DEVICES || strlen(name) >= sizeof(d->name))
		return mistake(l, "too many devices, or the name '%s' is too long", name);
	if (parse_bool(value, &d->enable))
		return mistake(l, "%s must be yes or no, not '%s'", name, value);
	strcpy(d->name, name);
	l->c->n_dev++;
	return 1;
}

/* "9f86d081 = 20000": programs whose hash begins so last so long. */
static int train_key(struct loading *l, const char *name, const char *value)
{
	struct trigger_train *t = &l->c->trains[l->c->n_trains];
	size_t n = strlen(name);

	if (l->c->n_trains == TRIGGER_TRAINS)
		return mistake(l, "more than %d programs", TRIGGER_TRAINS);
	if (n < 8 || n > TRIGGER_HASH_HEX || strspn(name, "0123456789abcdef") != n)
		return mistake(l, "'%s' is not the beginning of a program hash: 8 to %d digits, "
			       "0-9 and a-f", name, TRIGGER_HASH_HEX);
	if (config_number(value, 0, 6e7, &t->us))
		return mistake(l, "%s must be microseconds from 0 to 60000000, not '%s'", name,
			       value);
	strcpy(t->hash, name);
	l->c->n_trains++;
	return 1;
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct loading *l = user;
	bool section_known = false;

	if (!strcmp(section, "port a"))
		return port_key(l, &l->c->port[0], name, value);
	if (!strcmp(section, "port b"))
		return port_key(l, &l->c->port[1], name, value);
	if (!strcmp(section, "enable"))
		return enable_key(l, name, value);
	if (!strcmp(section, "stimulation trains"))
		return train_key(l, name, value);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct key *k = &keys[i];

		if (strcmp(section, k->section))
			continue;
		section_known = true;
		if (strcmp(name, k->name))
			continue;
		if (!parse_key(k, value, (char *)l->c + k->offset))
			return 1;
		return mistake(l, "%s must be %s, not '%s'", name, k->want, value);
	}
	if (section_known)
		return mistake(l, "key '%s' is not known in [%s]", name, section);
	return mistake(l, "section [%s] is not known (device, record, port a, port b, rhythm, "
		       "enable, detect, stimulation, stimulation trains)", section);
}

int config_load(struct config *c, const char *path, char *err, size_t errlen)
{
	struct loading l = { .c = c };
	int line;

	errno = 0;
	line = ini_parse(path, on_key, &l);
	if (line == -1) {
		snprintf(err, errlen, "cannot read the configuration file %s: %s", path,
			 strerror(errno));
		return -1;
	}
	if (line) {
		snprintf(err, errlen, "%s line %d: %s", path, line, l.text[0] ? l.text :
			 "not 'key = value', '[section]' or a comment");
		errno = EINVAL;
		return -1;
	}
	for (int i = 0; i < CONFIG_PORTS; i++) {
		if (c->port[i].decivolts && !c->port[i].headstage) {
			snprintf(err, errlen, "%s: [port %c] has volts but no headstage; the "
				 "voltage window depends on it", path, 'a' + i);
			errno = EINVAL;
			return -1;
		}
	}
	return 0;
}

int config_devices(struct config *c, const char *list, char *err, size_t errlen)
{
	char *copy = strdup(list), *save = NULL;
	char *t = copy ? strtok_r(copy, ",", &save) : NULL;
	int ret = 0;

	c->n_dev = 0;
	for (; t; t = strtok_r(NULL, ",", &save)) {
		struct config_device *d = &c->dev[c->n_dev];

		if (c->n_dev == CONFIG_MAX_DEVICES || strlen(t) >= sizeof(d->name)) {
			ret = -1;
			break;
		}
		memset(d, 0, sizeof(*d));
		strcpy(d->name, t);
		d->enable = true;
		c->n_dev++;
	}
	free(copy);
	if (ret || !c->n_dev) {
		snprintf(err, errlen, "--devices wants names with commas between, such as "
			 "rhd2164,analog-io; 'onictl devices' lists them");
		errno = EINVAL;
		return -1;
	}
	return 0;
}
