// SPDX-License-Identifier: MIT
/* recording.c - see recording.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "recording.h"

#include <errno.h>
#include <fts.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct recording *rec)
{
	snprintf(rec->why, sizeof(rec->why), "not enough memory");
	return -1;
}

static int add_head(struct recording *rec, const struct recording_head *h)
{
	/* as many as there are, doubled at powers of two */
	if (!(rec->heads & (rec->heads - 1))) {
		size_t room = rec->heads ? 2 * rec->heads : 1;
		void *p = realloc(rec->head, room * sizeof(*h));

		if (!p)
			return no_memory(rec);
		rec->head = p;
	}
	rec->head[rec->heads++] = *h;
	return 0;
}

/* {"at":"start", ... "head":{"state":"kept","record":7,"hash":"..."}} */
static int take_line(struct recording *rec, const json_t *j)
{
	struct recording_head h = { .file = rec->files - 1 };
	const char *at, *state, *hash = NULL;
	json_int_t record = 0;

	if (json_unpack((json_t *)(uintptr_t)j, "{s:s, s:{s:s, s?I, s?s}}", "at", &at, "head", "state",
			&state, "record", &record, "hash", &hash))
		return -1;
	rec->ended += !strcmp(at, "end");
	if (!strcmp(state, "none")) {
		rec->without++;
		return 0;
	}
	if (record < 1 || !hash || strlen(hash) != CHAIN_HEX || !chain_unhex(hash, h.hash))
		return -1;
	h.record = (uint64_t)record;
	snprintf(h.at, sizeof(h.at), "%s", at);
	return add_head(rec, &h) ? -2 : 0;
}

static int read_lines(struct recording *rec, FILE *f, const char *path)
{
	unsigned long number = 0;
	char *line = NULL;
	size_t room = 0;
	int ret = 0;
	ssize_t n;

	/* a last line without an end is what a kill has left */
	while (!ret && (n = getline(&line, &room, f)) > 0 && line[n - 1] == '\n') {
		json_t *j = json_loadb(line, (size_t)n, 0, NULL);

		number++;
		ret = take_line(rec, j);
		json_decref(j);
		if (ret == -1)
			snprintf(rec->why, sizeof(rec->why), "%s line %lu does not say which log was in "
				 "force", path, number);
	}
	if (!ret && ferror(f)) {
		snprintf(rec->why, sizeof(rec->why), "cannot read %s: %s", path, strerror(errno));
		ret = -1;
	}
	free(line);
	return ret ? -1 : 0;
}

static int take_file(struct recording *rec, const char *path)
{
	char **files = realloc(rec->file, (rec->files + 1) * sizeof(*files));
	FILE *f;
	int ret;

	if (!files)
		return no_memory(rec);
	rec->file = files;
	files[rec->files] = strdup(path);
	if (!files[rec->files])
		return no_memory(rec);
	rec->files++;
	f = fopen(path, "re");
	if (!f) {
		snprintf(rec->why, sizeof(rec->why), "cannot read %s: %s", path, strerror(errno));
		return -1;
	}
	ret = read_lines(rec, f, path);
	fclose(f);
	return ret;
}

static int by_record(const void *a, const void *b)
{
	const struct recording_head *x = a, *y = b;

	if (x->record != y->record)
		return x->record < y->record ? -1 : 1;
	return memcmp(x->hash, y->hash, CHAIN_HASH);
}

int recording_read(struct recording *rec, const char *folder)
{
	char *const paths[] = { (char *)(uintptr_t)folder, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
	FTSENT *e;
	int ret = 0;

	memset(rec, 0, sizeof(*rec));
	if (!fts)
		return no_memory(rec);
	while (!ret && (e = fts_read(fts))) {
		if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS) {
			snprintf(rec->why, sizeof(rec->why), "cannot read %s: %s", e->fts_path,
				 strerror(e->fts_errno));
			ret = -1;
		} else if (e->fts_info == FTS_F && !strcmp(e->fts_name, "audit.jsonl")) {
			ret = take_file(rec, e->fts_path);
		}
	}
	fts_close(fts);
	if (!ret && !rec->files) {
		snprintf(rec->why, sizeof(rec->why), "there is no recording in %s that says which log "
			 "was in force (onirec/audit.jsonl)", folder);
		ret = -1;
	}
	if (!ret && !rec->heads) {
		snprintf(rec->why, sizeof(rec->why), "no log was kept while %s was recorded: it names "
			 "none", folder);
		ret = -1;
	}
	if (rec->heads)
		qsort(rec->head, rec->heads, sizeof(*rec->head), by_record);
	return ret;
}

void recording_record(void *ctx, uint64_t n, const uint8_t hash[CHAIN_HASH])
{
	struct recording *rec = ctx;

	while (rec->next < rec->heads && rec->head[rec->next].record < n)
		rec->next++;
	for (size_t i = rec->next; i < rec->heads && rec->head[i].record == n; i++) {
		rec->head[i].met = true;
		rec->head[i].found = !memcmp(rec->head[i].hash, hash, CHAIN_HASH);
	}
}

const struct recording_head *recording_missing(const struct recording *rec)
{
	for (size_t i = 0; i < rec->heads; i++)
		if (!rec->head[i].found)
			return &rec->head[i];
	return NULL;
}

void recording_free(struct recording *rec)
{
	for (unsigned int i = 0; i < rec->files; i++)
		free(rec->file[i]);
	free(rec->file);
	free(rec->head);
	memset(rec, 0, sizeof(*rec));
}
