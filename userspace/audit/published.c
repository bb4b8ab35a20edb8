// SPDX-License-Identifier: MIT
/* published.c - the reader of publish.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "publish.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES	16	/* against one that is replaced all the time */

/* Is the file that is open still the one at @path? */
static bool is_there(int fd, const char *path)
{
	struct stat is, there;

	return !fstat(fd, &is) && !stat(path, &there) && is.st_ino == there.st_ino &&
	       is.st_dev == there.st_dev;
}

/* Bytes, or -1 and errno. *@alive: somebody holds it. */
static ssize_t take(const char *path, char *buf, size_t room, bool *alive)
{
	for (int i = 0;; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), saved;
		ssize_t n;

		if (fd < 0)
			return -1;
		n = read(fd, buf, room);
		saved = errno;
		*alive = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
		/* one that was replaced meanwhile is locked by nobody, too */
		if (n >= 0 && !*alive && i < TRIES && !is_there(fd, path)) {
			close(fd);
			continue;
		}
		close(fd);
		errno = saved;
		return n;
	}
}

static bool parse(const json_t *j, const char *bus, struct published *p)
{
	const char *format, *whose, *log, *hash;
	json_int_t record, seq, real;
	int keyed;

	if (json_unpack((json_t *)(uintptr_t)j, "{s:s, s:s, s:s, s:I, s:s, s:b, s:I, s:I}", "format",
			&format, "bus", &whose, "log", &log, "record", &record, "hash", &hash, "keyed",
			&keyed, "seq", &seq, "real_ns", &real) ||
	    strcmp(format, PUBLISH_FORMAT) || strlen(log) >= sizeof(p->log) || record < 1 ||
	    strlen(hash) != PUBLISH_HEX || strspn(hash, "0123456789abcdef") != PUBLISH_HEX) {
		snprintf(p->why, sizeof(p->why), "what the audit service has published cannot be "
			 "understood");
		return false;
	}
	if (strcmp(whose, bus)) {
		snprintf(p->why, sizeof(p->why), "the audit log that is kept is of another controller, "
			 "%.60s", whose);
		return false;
	}
	strcpy(p->log, log);
	strcpy(p->hash, hash);
	p->record = (uint64_t)record;
	p->keyed = keyed;
	p->seq = (uint64_t)seq;
	p->real_ns = (uint64_t)real;
	return true;
}

void published_read(const char *path, const char *bus, struct published *out)
{
	char buf[PUBLISH_TEXT];
	bool alive;
	ssize_t n = take(path, buf, sizeof(buf), &alive);
	json_t *j;

	memset(out, 0, sizeof(*out));
	if (n < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			snprintf(out->why, sizeof(out->why), "no audit service keeps a log of this "
				 "controller");
		else
			snprintf(out->why, sizeof(out->why), "cannot read what the audit service has "
				 "published: %s", strerror(errno));
		return;
	}
	j = json_loadb(buf, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	if (parse(j, bus, out))
		out->state = alive ? PUBLISHED_KEPT : PUBLISHED_LEFT;
	json_decref(j);
	if (out->state == PUBLISHED_LEFT)
		snprintf(out->why, sizeof(out->why), "the audit service has ended without a word");
}
