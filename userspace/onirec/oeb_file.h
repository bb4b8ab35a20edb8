/* SPDX-License-Identifier: MIT */
/*
 * oeb_file.h - files of a recording that only grow: appending whole rows so that
 * no reader ever sees half of one, .npy columns, replacing small files whole.
 *
 * Threads: none of this is shared; the writer thread or oeb_recover() uses it.
 */
#ifndef ONIREC_OEB_FILE_H
#define ONIREC_OEB_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing file of rows behind a header of @header bytes. */
struct oeb_column {
	int fd;			/* -1: not open */
	uint32_t header;
	uint32_t row_bytes;
	uint64_t rows;		/* handed to the kernel */
	uint64_t published;	/* count in the .npy header */
	char descr[8];		/* NumPy type; empty: no .npy header */
};

/* Create @name in folder @dir. -1 and errno (EEXIST when it is there). */
int oeb_column_create(struct oeb_column *c, int dir, const char *name, const char *descr,
		      uint32_t row_bytes);
void oeb_column_close(struct oeb_column *c);
/*
 * Append @n rows. Killed at any point, the file still ends at a row border. On
 * an error c->rows is what really is there.
 */
int oeb_column_append(struct oeb_column *c, const void *rows, size_t n);
/* Cut to @rows, which is not more than there are. */
int oeb_column_cut(struct oeb_column *c, uint64_t rows);
/* Put the count into the .npy header. */
int oeb_column_publish(struct oeb_column *c);

/* Write all of it at @off; short writes are continued. */
int oeb_pwrite(int fd, const void *buf, size_t len, uint64_t off);
/* Replace @name in folder @dir: write, fsync, rename, fsync of the folder. */
int oeb_replace(int dir, const char *name, const char *text, size_t len);
/* Make @path below @dir with its parents; an O_PATH-free descriptor of it. */
int oeb_make_dir(int dir, const char *path);

#endif
