// SPDX-License-Identifier: MIT
/*
 * oeb_recover.c - repair of recordings that were not ended, see oeb_recover().
 *
 * It trusts file sizes: rows that every column of a stream has are rows, also
 * beyond the last line of the journal (after a kill they are all good). The
 * journal is used to tell whether something is missing that had been synced.
 * Threads: none.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "oeb.h"
#include "crc32c.h"
#include "npy.h"
#include "oeb_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct repair {
	int dir;		/* of the recording */
	int side;
	json_t *structure;
	json_t *rows;		/* name -> rows, for meta.json */
	uint64_t lost;		/* rows the journal knows and no file has */
};

/* Rows that an .npy or raw file holds whole. -1 when it cannot be opened. */
static int column_open(struct oeb_column *c, int dir, const char *name, uint32_t row_bytes,
		       bool npy)
{
	struct stat st;
	char h[NPY_HEADER];

	memset(c, 0, sizeof(*c));
	c->row_bytes = row_bytes;
	c->header = npy ? NPY_HEADER : 0;
	c->fd = openat(dir, name, O_RDWR | O_CLOEXEC);
	if (c->fd < 0)
		return -1;
	if (fstat(c->fd, &st))
		return -1;
	c->rows = (uint64_t)st.st_size < c->header ? 0 :
		  ((uint64_t)st.st_size - c->header) / row_bytes;
	if (npy && (pread(c->fd, h, sizeof(h), 0) != sizeof(h) ||
		    npy_parse(h, c->descr, sizeof(c->descr), &c->published))) {
		errno = EBADMSG;
		return -1;
	}
	return 0;
}

/* Cut all to the shortest and write the headers, the first column's last. */
static int64_t settle(struct oeb_column *c, int n)
{
	uint64_t rows = UINT64_MAX;

	for (int i = 0; i < n; i++)
		if (c[i].rows < rows)
			rows = c[i].rows;
	for (int i = n - 1; i >= 0; i--) {
		if (oeb_column_cut(&c[i], rows) || oeb_column_publish(&c[i]) || fsync(c[i].fd))
			return -1;
	}
	return (int64_t)rows;
}

struct part {
	const char *name;
	uint32_t row_bytes;
	bool npy;
};

#define REPAIR_COLUMNS	10	/* most of a folder */

/* Repair one folder. Rows, 0 when the folder or a file is not there, -1 errno. */
static int64_t repair_folder(struct repair *r, const char *path, const struct part *parts, int n)
{
	struct oeb_column c[REPAIR_COLUMNS];
	int64_t rows = 0;
	int opened = 0;
	int dir = openat(r->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	while (opened < n &&
	       !column_open(&c[opened], dir, parts[opened].name, parts[opened].row_bytes,
			    parts[opened].npy))
		opened++;
	if (opened == n)
		rows = settle(c, n);
	else if (errno != ENOENT)
		rows = -1;
	for (int i = 0; i < opened; i++)
		oeb_column_close(&c[i]);
	close(dir);
	return rows;
}

/* The number after " NAME " in the last good line of the journal; 0 if none. */
static uint64_t journal_rows(const char *line, const char *name)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), " %s ", name);
	at = line ? strstr(line, key) : NULL;
	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static char *read_all(int dir, const char *name, size_t *len)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text = NULL;

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st)) {
		text = calloc(1, (size_t)st.st_size + 1);
		if (text && pread(fd, text, (size_t)st.st_size, 0) != st.st_size) {
			free(text);
			text = NULL;
		}
		*len = (size_t)st.st_size;
	}
	close(fd);
	return text;
}

/* The last line of the journal whose checksum is right; the caller frees it. */
static char *journal_last(int side)
{
	size_t len = 0;
	char *text = read_all(side, "journal", &len), *last = NULL, *save = NULL;
	char *l = text ? strtok_r(text, "\n", &save) : NULL;

	for (; l; l = strtok_r(NULL, "\n", &save)) {
		char *crc = strstr(l, " crc ");

		if (crc && strtoul(crc + 5, NULL, 16) == crc32c(0, l, (size_t)(crc - l)))
			last = l;
	}
	last = last ? strdup(last) : NULL;
	free(text);
	return last;
}

/* Keep what has rows. A stream without any must not be named. */
static int repair_streams(struct repair *r, const char *journal)
{
	json_t *list = json_object_get(r->structure, "continuous");

	for (size_t i = json_array_size(list); i-- > 0;) {
		json_t *s = json_array_get(list, i);
		const char *folder = json_string_value(json_object_get(s, "folder_name"));
		const char *name = json_string_value(json_object_get(s, "stream_name"));
		json_int_t ch = json_integer_value(json_object_get(s, "num_channels"));
		struct part parts[] = {
			{ "continuous.dat", (uint32_t)ch * 2, false },
			{ "sample_numbers.npy", 8, true },
			{ "timestamps.npy", 8, true },
		};
		uint64_t synced;
		char path[200];
		int64_t rows;

		if (!folder || !name || ch <= 0 || ch > 2048)
			continue;
		snprintf(path, sizeof(path), "continuous/%s", folder);
		rows = repair_folder(r, path, parts, 3);
		if (rows < 0)
			return -1;
		json_object_set_new(r->rows, name, json_integer(rows));
		synced = journal_rows(journal, name);
		if ((uint64_t)rows < synced)
			r->lost += synced - (uint64_t)rows;
		if (!rows)
			json_array_remove(list, i);
	}
	return 0;
}

static int repair_events(struct repair *r)
{
	static const struct part ttl[] = {
		{ "states.npy", 2, true }, { "full_words.npy", 8, true },
		{ "sample_numbers.npy", 8, true }, { "timestamps.npy", 8, true },
	};
	static const struct part msg[] = {
		{ "text.npy", OEB_TEXT, true }, { "sample_numbers.npy", 8, true },
		{ "timestamps.npy", 8, true },
	};
	static const struct part stim[REPAIR_COLUMNS] = {
		{ "text.npy", OEB_TEXT, true }, { "programs.npy", 64, true },
		{ "sessions.npy", 8, true }, { "delays.npy", 4, true },
		{ "results.npy", 2, true }, { "origins.npy", 2, true }, { "hubs.npy", 2, true },
		{ "hub_clocks.npy", 8, true }, { "sample_numbers.npy", 8, true },
		{ "timestamps.npy", 8, true },
	};
	json_t *list = json_object_get(r->structure, "events");

	for (size_t i = json_array_size(list); i-- > 0;) {
		json_t *e = json_array_get(list, i);
		const char *folder = json_string_value(json_object_get(e, "folder_name"));
		const char *type = json_string_value(json_object_get(e, "type"));
		char path[200];
		int64_t rows;

		if (!folder || !type)
			continue;
		snprintf(path, sizeof(path), "events/%s", folder);
		if (strcmp(type, "string"))
			rows = repair_folder(r, path, ttl, 4);
		else if (strstr(folder, "/Stimulation/"))
			rows = repair_folder(r, path, stim, REPAIR_COLUMNS);
		else
			rows = repair_folder(r, path, msg, 3);
		if (rows < 0)
			return -1;
		json_object_set_new(r->rows, folder, json_integer(rows));
		if (!rows)
			json_array_remove(list, i);
	}
	return 0;
}

/* Cut spikes.bin before the first record whose checksum is wrong or whose number goes back. */
static int repair_spikes(struct repair *r)
{
	int fd = openat(r->side, "spikes.bin", O_RDWR | O_CLOEXEC);
	struct spikes_header h;
	uint64_t off = sizeof(h), n = 0;
	uint32_t seq = 0;
	char buf[1024];

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || memcmp(h.magic, "ONISPK\r\n", 8) ||
	    h.record_bytes < sizeof(struct spike_record) || h.record_bytes > sizeof(buf)) {
		close(fd);
		return 0;	/* not ours to judge; nothing is deleted */
	}
	while (pread(fd, buf, h.record_bytes, (off_t)off) == (ssize_t)h.record_bytes) {
		struct spike_record *rec = (struct spike_record *)(void *)buf;
		uint32_t crc = rec->crc32c;

		rec->crc32c = 0;
		if (rec->seq < seq || crc32c(0, buf, h.record_bytes) != crc)
			break;
		seq = rec->seq + 1;
		off += h.record_bytes;
		n++;
	}
	if (ftruncate(fd, (off_t)off) || oeb_pwrite(fd, &n, sizeof(n),
						    offsetof(struct spikes_header, spikes)) ||
	    fsync(fd)) {
		close(fd);
		return -1;
	}
	json_object_set_new(r->rows, "spikes.bin", json_integer((json_int_t)n));
	return close(fd);
}

static json_t *load(int dir, const char *name)
{
	size_t len = 0;
	char *text = read_all(dir, name, &len);
	json_t *j = text ? json_loadb(text, len, 0, NULL) : NULL;

	free(text);
	return j;
}

static int save(int dir, const char *name, json_t *j)
{
	char *text = json_dumps(j, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15));
	int ret;

	if (!text) {
		errno = ENOMEM;
		return -1;
	}
	ret = oeb_replace(dir, name, text, strlen(text));
	free(text);
	return ret;
}

static int repair_files(struct repair *r, json_t *meta)
{
	char *journal = journal_last(r->side);
	int ret = repair_streams(r, journal);

	free(journal);
	if (ret || repair_events(r) || repair_spikes(r))
		return -1;
	if (json_array_size(json_object_get(r->structure, "continuous")) &&
	    json_array_size(json_object_get(r->structure, "events")) &&
	    save(r->dir, "structure.oebin", r->structure))
		return -1;
	json_object_set_new(meta, "state", json_string("recovered"));
	json_object_set_new(meta, "recovered", json_true());
	json_object_set(meta, "rows", r->rows);
	json_object_set_new(meta, "synced_rows_missing", json_integer((json_int_t)r->lost));
	unlinkat(r->side, "ballast", 0);
	return save(r->side, "meta.json", meta);
}

/* 1: repaired, 0: nothing to do, -1 and errno. @why gets half a sentence. */
static int recover_one(const char *path, char *why, size_t len)
{
	struct repair r = { .dir = -1, .side = -1 };
	json_t *meta = NULL;
	const char *state;
	int journal = -1, ret = 0;

	r.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r.side = r.dir < 0 ? -1 : openat(r.dir, "onirec", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	journal = r.side < 0 ? -1 : openat(r.side, "journal", O_RDWR | O_CLOEXEC);
	if (journal < 0) {
		ret = -1;
	} else if (flock(journal, LOCK_EX | LOCK_NB)) {
		snprintf(why, len, "is being recorded, left alone");
	} else {
		meta = load(r.side, "meta.json");
		r.structure = load(r.side, "structure.json");
		state = json_string_value(json_object_get(meta, "state"));
		if (state && strcmp(state, "recording")) {
			snprintf(why, len, "was ended cleanly or recovered before");
		} else if (!r.structure) {
			snprintf(why, len, "was killed before anything was recorded");
		} else {
			if (!meta)
				meta = json_object();
			r.rows = json_object();
			ret = repair_files(&r, meta) ? -1 : 1;
		}
	}
	if (ret > 0)
		snprintf(why, len, "recovered%s", r.lost ? ", but rows that had been synced are "
			 "missing: see synced_rows_missing in onirec/meta.json" : "");
	json_decref(meta);
	json_decref(r.structure);
	json_decref(r.rows);
	for (int *fd = (int[]){ journal, r.side, r.dir, -2 }; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	return ret;
}

/* nftw() has no context argument; oeb_recover() is called by one thread only. */
static char **found;
static size_t n_found;

static int visit(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const char *end = strstr(path, "/onirec/journal");
	char **more;

	(void)st;
	(void)at;
	if (type != FTW_F || !end || end[strlen("/onirec/journal")])
		return 0;
	more = realloc(found, (n_found + 1) * sizeof(*found));
	if (!more)
		return -1;
	found = more;
	found[n_found] = strndup(path, (size_t)(end - path));
	if (!found[n_found])
		return -1;
	n_found++;
	return 0;
}

int oeb_recover(const char *dir, void (*say)(void *ctx, const char *line), void *ctx)
{
	int repaired = 0, error = 0;

	found = NULL;
	n_found = 0;
	if (nftw(dir, visit, 16, FTW_PHYS))
		error = errno;
	for (size_t i = 0; i < n_found; i++) {
		char why[200] = "", line[1000];
		int ret = recover_one(found[i], why, sizeof(why));

		if (ret < 0) {
			error = errno;
			snprintf(why, sizeof(why), "could not be repaired: %s", strerror(error));
		}
		snprintf(line, sizeof(line), "%s %s", found[i], why);
		if (why[0])
			say(ctx, line);
		repaired += ret > 0;
		free(found[i]);
	}
	free(found);
	found = NULL;
	if (error) {
		errno = error;
		return -1;
	}
	return repaired;
}
