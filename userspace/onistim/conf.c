// SPDX-License-Identifier: MIT
/*
 * conf.c - see conf.h.
 *
 * inih drops what is beyond 199 bytes of a line into the next one, joins indented
 * lines, takes the last of two equal keys and cuts long section names. The reader
 * below, through which it gets its lines, refuses a file in which any of that would
 * happen; it also knows the line numbers, which Debian's inih does not tell.
 */
#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX	(1u << 20)
#define LINE_MAX_BYTES	198	/* of inih: 200 with newline and NUL */

int problem_at(struct problem *p, const char *path, int line, const char *fmt, ...)
{
	size_t n;
	va_list ap;

	if (p->text[0])
		return -1;
	if (line)
		snprintf(p->text, sizeof(p->text), "%s:%d: ", path, line);
	else
		snprintf(p->text, sizeof(p->text), "%s: ", path);
	n = strlen(p->text);
	va_start(ap, fmt);
	vsnprintf(p->text + n, sizeof(p->text) - n, fmt, ap);
	va_end(ap);
	return -1;
}

static int wrong(struct conf *c, const char *text)
{
	return problem_at(c->problem, c->path, c->line, "%s", text);
}

static int begin_section(struct conf *c, const char *line)
{
	const char *end = strchr(line, ']');
	struct conf_section *s, *grown;
	size_t len;

	if (!end)
		return wrong(c, "the section has no ']': write [name]");
	len = (size_t)(end - line - 1);
	if (!len || len >= CONF_NAME)
		return wrong(c, "the name of a section has 1 to 39 characters: shorten it");
	for (end++; isspace((unsigned char)*end); end++)
		;
	if (*end && *end != ';' && *end != '#')
		return wrong(c, "something stands behind ']': put it on a line of its own");
	grown = realloc(c->sections, (c->count + 1) * sizeof(*grown));
	if (!grown)
		return wrong(c, "out of memory");
	c->sections = grown;
	s = &c->sections[c->count];
	memset(s, 0, sizeof(*s));
	memcpy(s->name, line + 1, len);
	s->line = c->line;
	for (size_t i = 0; i < c->count; i++)
		if (!strcmp(c->sections[i].name, s->name))
			return problem_at(c->problem, c->path, c->line,
					  "section [%s] is there already, on line %d: remove one, or "
					  "give it another name", s->name, c->sections[i].line);
	c->count++;
	return 0;
}

/* What a line is, before inih sees it. 0, or -1 (said). */
static int look_at(struct conf *c, const char *line, size_t len)
{
	const char *p = line;

	while (isspace((unsigned char)*p))
		p++;
	if (!*p || *p == '#' || *p == ';')
		return 0;
	if (len > LINE_MAX_BYTES)
		return wrong(c, "the line is longer than 198 bytes: shorten it");
	if (p != line)
		return wrong(c, "the line begins with a blank: remove it");
	return *p == '[' ? begin_section(c, line) : 0;
}

static char *next_line(char *buf, int size, void *stream)
{
	struct conf *c = stream;
	size_t len, whole;
	const char *end;

	if (c->problem->text[0] || !*c->rest)
		return NULL;
	end = strchr(c->rest, '\n');
	whole = end ? (size_t)(end - c->rest) : strlen(c->rest);
	len = whole;
	c->line++;
	/* A comment may be longer than what inih takes. */
	if (len >= (size_t)size)
		len = (size_t)size - 1;
	memcpy(buf, c->rest, len);
	buf[len] = '\0';
	c->rest += whole + !!end;
	return look_at(c, buf, whole) < 0 ? NULL : buf;
}

static int add_entry(struct conf *c, const char *section, const char *key, const char *value)
{
	struct conf_section *s;
	struct conf_entry *e, *grown;
	const struct conf_entry *old;

	if (!*section)
		return wrong(c, "a key stands before the first section: begin with [policy] or "
				"[stimulus]");
	s = &c->sections[c->count - 1];
	if (!*key || strlen(key) >= CONF_NAME)
		return wrong(c, "the key is empty or longer than 39 characters: write 'key = value'");
	old = conf_entry(s, key);
	if (old)
		return problem_at(c->problem, c->path, c->line,
				  "[%s]: key '%s' is there already, on line %d: remove one", s->name,
				  key, old->line);
	if (!*value)
		return problem_at(c->problem, c->path, c->line,
				  "[%s]: key '%s' has no value: write one behind '='", s->name, key);
	grown = realloc(s->entries, (s->count + 1) * sizeof(*grown));
	if (!grown)
		return wrong(c, "out of memory");
	s->entries = grown;
	e = &s->entries[s->count++];
	snprintf(e->key, sizeof(e->key), "%s", key);
	snprintf(e->value, sizeof(e->value), "%s", value);
	e->line = c->line;
	return 0;
}

/* For inih: not 0 if all is well. */
static int on_entry(void *user, const char *section, const char *key, const char *value)
{
	return add_entry(user, section, key, value) == 0;
}

int conf_parse(struct conf *conf, const char *path, const char *text, size_t len,
	       struct problem *problem)
{
	int line;

	memset(conf, 0, sizeof(*conf));
	memset(problem, 0, sizeof(*problem));
	snprintf(conf->path, sizeof(conf->path), "%s", path);
	conf->problem = problem;
	conf->rest = text;
	if (memchr(text, '\0', len) || text[len])
		return problem_at(problem, path, 0, "there is a NUL byte in it: is it a text file?");
	if (memchr(text, '\r', len))
		return problem_at(problem, path, 0, "its lines end with a carriage return: convert "
				  "it with dos2unix");
	line = ini_parse_stream(next_line, conf, on_entry, conf);
	if (line && !problem->text[0])
		return problem_at(problem, path, line, "this is no 'key = value', no [section] and "
				  "no comment (# or ;)");
	return problem->text[0] ? -1 : 0;
}

int conf_read(struct conf *conf, const char *path, struct problem *problem)
{
	FILE *f = fopen(path, "re");
	char *text = malloc(FILE_MAX + 1);
	size_t len = 0;
	int rc;

	memset(conf, 0, sizeof(*conf));
	memset(problem, 0, sizeof(*problem));
	if (f && text)
		len = fread(text, 1, FILE_MAX + 1, f);
	if (!f || !text || ferror(f)) {
		rc = problem_at(problem, path, 0, "cannot read it: %s", strerror(errno));
	} else if (len > FILE_MAX) {
		rc = problem_at(problem, path, 0, "it is larger than 1 MiB: is it the right file?");
	} else {
		text[len] = '\0';
		rc = conf_parse(conf, path, text, len, problem);
	}
	if (f)
		fclose(f);
	free(text);
	conf->rest = NULL;
	return rc;
}

void conf_free(struct conf *conf)
{
	for (size_t i = 0; i < conf->count; i++)
		free(conf->sections[i].entries);
	free(conf->sections);
	conf->sections = NULL;
	conf->count = 0;
}

const struct conf_section *conf_section(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->count; i++)
		if (!strcmp(conf->sections[i].name, name))
			return &conf->sections[i];
	return NULL;
}

const struct conf_entry *conf_entry(const struct conf_section *section, const char *key)
{
	for (size_t i = 0; i < section->count; i++)
		if (!strcmp(section->entries[i].key, key))
			return &section->entries[i];
	return NULL;
}

int conf_known(const struct conf *conf, const struct conf_section *section,
	       const char *const *known, struct problem *problem)
{
	char list[400] = "";
	size_t i, k, n;

	for (i = 0; i < section->count; i++) {
		for (k = 0; known[k] && strcmp(known[k], section->entries[i].key); k++)
			;
		if (known[k])
			continue;
		for (n = 0, k = 0; known[k]; k++)
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", k ? ", " : "",
					      known[k]);
		return problem_at(problem, conf->path, section->entries[i].line,
				  "[%s]: key '%s' is not known: use one of %s", section->name,
				  section->entries[i].key, list);
	}
	return 0;
}

static const char *skip_blanks(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

/* Digits at *@p, at most @last; -1 otherwise. */
static int contact_number(const char **p, unsigned int last, unsigned int *out)
{
	unsigned int v = 0;

	if (!isdigit((unsigned char)**p))
		return -1;
	for (; isdigit((unsigned char)**p); (*p)++) {
		v = v * 10 + (unsigned int)(**p - '0');
		if (v > last)
			return -1;
	}
	*out = v;
	return 0;
}

int conf_contacts(const struct conf *conf, const struct conf_entry *entry, unsigned int last,
		  bool with_return, int (*add)(void *arg, unsigned int contact), void *arg,
		  struct problem *problem)
{
	const char *p = entry->value;
	unsigned int from, to;

	for (;;) {
		p = skip_blanks(p);
		if (with_return && !strncmp(p, "return", 6)) {
			p += 6;
			from = to = last + 1;
		} else {
			if (contact_number(&p, last, &from) < 0)
				break;
			to = from;
			p = skip_blanks(p);
			if (*p == '-') {
				p = skip_blanks(p + 1);
				if (contact_number(&p, last, &to) < 0 || to < from)
					break;
			}
		}
		for (; from <= to; from++)
			if (add(arg, from) < 0)
				return -1;
		p = skip_blanks(p);
		if (!*p)
			return 0;
		if (*p++ != ',')
			break;
	}
	return problem_at(problem, conf->path, entry->line,
			  "%s: '%s' is no list of contacts: write numbers from 0 to %u and ranges with "
			  "commas between, such as 0-15, 20%s", entry->key, entry->value, last,
			  with_return ? ", return" : "");
}
