// SPDX-License-Identifier: MIT
/* publish.c - the writer of publish.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "publish.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "record.h"

static int text(const struct publisher *p, const struct audit_log *log, uint64_t seq,
		char buf[PUBLISH_TEXT])
{
	char path[PATH_MAX + 16], bus[400], hex[CHAIN_HEX + 1];

	record_string(p->log, PATH_MAX, path, sizeof(path));
	record_string(p->bus, sizeof(bus), bus, sizeof(bus));
	chain_hex(log->head.hash, hex);
	return snprintf(buf, PUBLISH_TEXT, "{\"format\":\"" PUBLISH_FORMAT "\",\"bus\":%s,\"log\":%s,"
			"\"record\":%" PRIu64 ",\"hash\":\"%s\",\"keyed\":%s,\"seq\":%" PRIu64
			",\"real_ns\":%" PRIu64 "}\n", bus, path, log->head.records, hex,
			log->key && log->key->len ? "true" : "false", seq, log->head.real_ns);
}

/* Locked before anybody else can open it, and only then readable. */
static int fill(int fd, const char *buf, size_t len)
{
	ssize_t n;

	if (flock(fd, LOCK_EX | LOCK_NB))
		return -1;
	n = write(fd, buf, len);
	if (n >= 0 && (size_t)n < len)
		errno = ENOSPC;
	return n == (ssize_t)len ? fchmod(fd, 0644) : -1;
}

int publish_head(struct publisher *p, const struct audit_log *log, uint64_t seq)
{
	char temp[PATH_MAX], buf[PUBLISH_TEXT];
	int fd, len, saved;

	if (!p->path)
		return 0;
	if (snprintf(temp, sizeof(temp), "%s.new", p->path) >= (int)sizeof(temp)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	unlink(temp);
	len = text(p, log, seq, buf);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && !fill(fd, buf, (size_t)len) && !rename(temp, p->path)) {
		/* with the new one in its place nobody looks at the old one */
		if (p->fd >= 0)
			close(p->fd);
		p->fd = fd;
		return 0;
	}
	saved = errno;
	if (fd >= 0) {
		close(fd);
		unlink(temp);
	}
	publish_end(p);
	errno = saved;
	return -1;
}

void publish_end(struct publisher *p)
{
	if (p->fd < 0)
		return;
	unlink(p->path);
	close(p->fd);
	p->fd = -1;
}
