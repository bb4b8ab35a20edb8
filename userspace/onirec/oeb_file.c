// SPDX-License-Identifier: MIT
/*
 * oeb_file.c - see oeb_file.h.
 *
 * Why oeb_column_append() is careful: a buffered write(2) is copied page by page
 * and the kernel looks for a fatal signal between two pages, so SIGKILL can end
 * it at a page border. Where the row size divides the page that is also a row
 * border. Elsewhere one row of every page straddles the border: rows up to it
 * go in one write that stays inside a page; then the second half of the
 * straddling row is written, which makes the file end behind it, then its first
 * half. Killed between these two, that one row is wrong and the file still loads.
 * This takes the rows' memory to be resident, as that of a chunk just filled is:
 * a page fault in the middle of the copy is the other place where it can end.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "oeb_file.h"
#include "npy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE	4096u		/* the smallest unit the kernel copies between two looks */

int oeb_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
	const char *p = buf;

	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (!n)
				errno = ENOSPC;
			return -1;
		}
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int oeb_column_create(struct oeb_column *c, int dir, const char *name, const char *descr,
		      uint32_t row_bytes)
{
	memset(c, 0, sizeof(*c));
	c->row_bytes = row_bytes;
	if (descr)
		snprintf(c->descr, sizeof(c->descr), "%s", descr);
	c->fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (c->fd < 0)
		return -1;
	if (!descr)
		return 0;
	c->header = NPY_HEADER;
	return oeb_column_publish(c);
}

void oeb_column_close(struct oeb_column *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* The rows between two page borders, and the row across the second one. */
static int append_straddling(struct oeb_column *c, const char *p, size_t n)
{
	uint64_t off = c->header + c->rows * c->row_bytes;
	uint64_t border = (off / PAGE + 1) * PAGE;
	size_t whole = (size_t)((border - off) / c->row_bytes);
	size_t head;

	if (whole > n)
		whole = n;
	if (whole && oeb_pwrite(c->fd, p, whole * c->row_bytes, off))
		return -1;
	c->rows += whole;
	if (whole == n)
		return (int)whole;
	off += whole * c->row_bytes;
	if (off == border)
		return (int)whole;
	p += whole * c->row_bytes;
	head = (size_t)(border - off);
	if (oeb_pwrite(c->fd, p + head, c->row_bytes - head, border) ||
	    oeb_pwrite(c->fd, p, head, off))
		return -1;
	c->rows++;
	return (int)whole + 1;
}

/* After an error: what the file really holds, cut to whole rows. */
static void settle(struct oeb_column *c, uint64_t limit)
{
	int saved = errno;
	struct stat st;

	if (!fstat(c->fd, &st) && (uint64_t)st.st_size >= c->header) {
		uint64_t rows = ((uint64_t)st.st_size - c->header) / c->row_bytes;

		oeb_column_cut(c, rows < limit ? rows : limit);
	}
	errno = saved;
}

int oeb_column_append(struct oeb_column *c, const void *rows, size_t n)
{
	const char *p = rows;

	if (PAGE % c->row_bytes == 0 && c->header % c->row_bytes == 0) {
		uint64_t off = c->header + c->rows * c->row_bytes;

		if (oeb_pwrite(c->fd, p, n * c->row_bytes, off)) {
			settle(c, c->rows + n);
			return -1;
		}
		c->rows += n;
		return 0;
	}
	while (n) {
		int done = append_straddling(c, p, n);

		if (done < 0) {
			settle(c, c->rows);
			return -1;
		}
		p += (size_t)done * c->row_bytes;
		n -= (size_t)done;
	}
	return 0;
}

int oeb_column_cut(struct oeb_column *c, uint64_t rows)
{
	if (ftruncate(c->fd, (off_t)(c->header + rows * c->row_bytes)))
		return -1;
	c->rows = rows;
	return 0;
}

int oeb_column_publish(struct oeb_column *c)
{
	char h[NPY_HEADER];

	if (!c->descr[0])
		return 0;
	if (npy_header(h, c->descr, c->rows) || oeb_pwrite(c->fd, h, sizeof(h), 0))
		return -1;
	c->published = c->rows;
	return 0;
}

int oeb_replace(int dir, const char *name, const char *text, size_t len)
{
	char tmp[300];
	int fd;

	snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	if (oeb_pwrite(fd, text, len, 0) || fsync(fd)) {
		int saved = errno;

		close(fd);
		unlinkat(dir, tmp, 0);
		errno = saved;
		return -1;
	}
	close(fd);
	if (renameat(dir, tmp, dir, name))
		return -1;
	return fsync(dir);
}

int oeb_make_dir(int dir, const char *path)
{
	char part[512];
	size_t len = strlen(path);

	if (!len || len >= sizeof(part)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (size_t i = 1; i <= len; i++) {
		if (path[i] && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdirat(dir, part, 0755) && errno != EEXIST)
			return -1;
	}
	return openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}
