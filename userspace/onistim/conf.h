/* SPDX-License-Identifier: MIT */
/*
 * conf.h - policy and stimulus files: INI as read by inih, kept with line numbers.
 *
 * A file that says something twice, or something that would be cut off or
 * ignored, is refused: each of these numbers decides how much current flows. Reading
 * is all or nothing; the first mistake is told with file, line and remedy.
 */
#ifndef ONISTIM_CONF_H
#define ONISTIM_CONF_H

#include <stdbool.h>
#include <stddef.h>

#define CONF_NAME	40	/* longest name of a section or key with its NUL */
#define CONF_VALUE	200

/* The first mistake, one sentence. */
struct problem {
	char text[700];
};

/* "FILE:LINE: ..."; @line 0: the file as a whole. Keeps the first. Always -1. */
int problem_at(struct problem *p, const char *path, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

struct conf_entry {
	char key[CONF_NAME];
	char value[CONF_VALUE];
	int line;
};

struct conf_section {
	char name[CONF_NAME];
	int line;
	struct conf_entry *entries;
	size_t count;
};

struct conf {
	char path[300];
	struct conf_section *sections;
	size_t count;
	/* while reading */
	const char *rest;
	int line;
	struct problem *problem;
};

/* 0, or -1 and @problem; @conf is to be freed in both cases. */
int conf_read(struct conf *conf, const char *path, struct problem *problem);
/* The same from memory; @path is for messages. */
int conf_parse(struct conf *conf, const char *path, const char *text, size_t len,
	       struct problem *problem);
void conf_free(struct conf *conf);

/* NULL when there is none. */
const struct conf_section *conf_section(const struct conf *conf, const char *name);
const struct conf_entry *conf_entry(const struct conf_section *section, const char *key);
/* Every key is one of @known (ends with NULL): 0, or -1 and a list of what there is. */
int conf_known(const struct conf *conf, const struct conf_section *section,
	       const char *const *known, struct problem *problem);

/*
 * "0-15, 20, return": calls @add for each, which gives 0 or -1 (said). @last is the
 * largest number; "return" is @last + 1, if @with_return.
 */
int conf_contacts(const struct conf *conf, const struct conf_entry *entry, unsigned int last,
		  bool with_return, int (*add)(void *arg, unsigned int contact), void *arg,
		  struct problem *problem);

#endif
