// SPDX-License-Identifier: MIT
/* log.c - see log.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const struct audit_io audit_io_disk = { .write = write, .sync = fdatasync };

/* Latch the first error with its sentence. Always -1. */
__attribute__((format(printf, 3, 4)))
static int fail(struct audit_log *log, int error, const char *fmt, ...)
{
	va_list ap;

	if (!log->error) {
		log->error = error ? error : EIO;
		va_start(ap, fmt);
		vsnprintf(log->why, sizeof(log->why), fmt, ap);
		va_end(ap);
	}
	errno = log->error;
	return -1;
}

static int write_all(struct audit_log *log, int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = log->io->write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(log, n ? errno : EIO, "cannot write: %s",
				    strerror(n ? errno : EIO));
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int sync_file(struct audit_log *log, int fd)
{
	if (!log->io->sync(fd))
		return 0;
	return fail(log, errno, "cannot bring the log to the disk: %s", strerror(errno));
}

/* The next slot, in place: needs no room. */
static int write_head(struct audit_log *log, enum chain_state state)
{
	char slot[CHAIN_SLOT];
	struct timespec now;
	off_t at;

	clock_gettime(CLOCK_REALTIME, &now);
	log->head.turn++;
	log->head.records = log->records;
	log->head.bytes = log->bytes;
	log->head.state = state;
	log->head.real_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	memcpy(log->head.hash, log->hash, CHAIN_HASH);
	chain_head_format(log->key, &log->head, slot);
	at = (off_t)(log->head.turn % 2 * CHAIN_SLOT);
	if (lseek(log->head_fd, at, SEEK_SET) != at)
		return fail(log, errno, "cannot write the head: %s", strerror(errno));
	return write_all(log, log->head_fd, slot, sizeof(slot)) || sync_file(log, log->head_fd) ?
	       -1 : 0;
}

/* A new name must not be lost with the power either. */
static int sync_folder(struct audit_log *log, const char *path)
{
	char copy[PATH_MAX];
	int fd, ret;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = fd < 0 ? -1 : fsync(fd);
	if (ret)
		fail(log, errno, "cannot bring the folder of the log to the disk: %s",
		     strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}

static int open_files(struct audit_log *log, const char *path)
{
	char head[PATH_MAX];
	struct stat st;

	if (snprintf(head, sizeof(head), "%s.head", path) >= (int)sizeof(head))
		return fail(log, ENAMETOOLONG, "the name of the log is too long");
	log->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	if (log->fd < 0 || fstat(log->fd, &st) || !S_ISREG(st.st_mode))
		return fail(log, errno ? errno : EINVAL, "cannot open the log %s: %s", path,
			    log->fd < 0 ? strerror(errno) : "not a plain file");
	if (flock(log->fd, LOCK_EX | LOCK_NB))
		return fail(log, EBUSY, "somebody else writes %s", path);
	log->head_fd = open(head, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	if (log->head_fd < 0)
		return fail(log, errno, "cannot open %s: %s", head, strerror(errno));
	return 0;
}

/* Both slots, before the first record: a log without a head is one whose head was removed. */
static int begin(struct audit_log *log, const char *path)
{
	memset(&log->head, 0, sizeof(log->head));
	if (write_head(log, CHAIN_OPEN) || write_head(log, CHAIN_OPEN))
		return -1;
	return sync_folder(log, path);
}

static int scan(struct audit_log *log, struct chain_scan *s)
{
	s->mark = log->head.records;
	if (chain_scan(log->fd, log->key, s))
		return fail(log, errno, "cannot read the log: %s", strerror(errno));
	if (s->fault == CHAIN_KEY)
		return fail(log, EKEYREJECTED, "%s", s->why);
	if (s->records < log->head.records)
		return fail(log, EBADMSG, "the head knows %" PRIu64 " records, but only %" PRIu64
			    " are good (%s)", log->head.records, s->records,
			    s->fault ? s->why : "the end was cut off");
	if (log->head.records && (s->mark_bytes != log->head.bytes ||
				  memcmp(s->mark_hash, log->head.hash, CHAIN_HASH)))
		return fail(log, EBADMSG, "record %" PRIu64 " is not the one that the head knows",
			    log->head.records);
	if (log->head.state == CHAIN_CLOSED && s->size != log->head.bytes)
		return fail(log, EBADMSG, "something was appended after the log had been closed");
	return 0;
}

/* A last line without an end gets one, so that what follows begins a line. */
static int end_line(struct audit_log *log, uint64_t size, bool *added)
{
	char last = '\n';

	*added = false;
	if (!size || (pread(log->fd, &last, 1, (off_t)size - 1) == 1 && last == '\n'))
		return 0;
	*added = true;
	return write_all(log, log->fd, "\n", 1);
}

/*
 * What is behind the last record that the head knows was not confirmed to anybody: after
 * a loss of power it may be anything. It stays in the file, and is accounted for.
 */
static int resume(struct audit_log *log, int whole)
{
	struct chain_scan s = { .mark = 0 };
	uint8_t torn[CHAIN_HASH];
	char hex[CHAIN_HEX + 1];
	uint64_t bytes;
	bool added;

	if (scan(log, &s) || end_line(log, s.size, &added) || (added && scan(log, &s)))
		return -1;
	log->continued = s.records;
	log->was_closed = log->head.state == CHAIN_CLOSED;
	log->have_seq = s.have_seq;
	log->seq = s.seq;
	log->records = s.records;
	log->bytes = s.bytes;
	memcpy(log->hash, s.hash, CHAIN_HASH);
	/* what is good but was not confirmed is confirmed now */
	if (sync_file(log, log->fd) || write_head(log, CHAIN_OPEN) ||
	    (whole < 2 && write_head(log, CHAIN_OPEN)))
		return -1;
	if (!s.fault && !added && whole == 2)
		return 0;
	bytes = s.fault ? s.size - s.bytes : 0;
	if (chain_hash_region(log->fd, s.bytes, bytes, torn))
		return fail(log, errno, "cannot read the log: %s", strerror(errno));
	chain_hex(torn, hex);
	/* records begin behind the torn bytes, but hang on the one before them */
	log->bytes += bytes;
	if (audit_log_put(log, "repair", ",\"chain\":\"%s\",\"torn_from\":%" PRIu64
			  ",\"torn_bytes\":%" PRIu64 ",\"torn_sha256\":\"%s\",\"line_ended\":%s,"
			  "\"head_slots\":%d", log->key && log->key->len ? "hmac-sha256" : "sha256",
			  s.bytes, bytes, hex, added ? "true" : "false", whole))
		return -1;
	return audit_log_commit(log);
}

int audit_log_open(struct audit_log *log, const char *path, const struct chain_key *key,
		   const struct audit_io *io)
{
	char text[CHAIN_HEAD + 1];
	struct stat st;
	ssize_t n;
	int whole, ret;

	memset(log, 0, sizeof(*log));
	log->fd = log->head_fd = -1;
	log->key = key;
	log->io = io;
	errno = 0;
	if (open_files(log, path))
		goto failed;
	n = pread(log->head_fd, text, sizeof(text), 0);
	if (n < 0 || fstat(log->fd, &st)) {
		fail(log, errno, "cannot read the head of %s: %s", path, strerror(errno));
		goto failed;
	}
	whole = chain_head_parse(key, text, (size_t)n, &log->head);
	if (!whole && st.st_size) {
		fail(log, EBADMSG, "the head of %s is missing or damaged%s", path,
		     n ? ", or the key is another one" : "");
		goto failed;
	}
	ret = whole ? resume(log, whole) : begin(log, path);
	if (!ret)
		return 0;
failed:
	ret = log->error;
	if (log->fd >= 0)
		close(log->fd);
	if (log->head_fd >= 0)
		close(log->head_fd);
	log->fd = log->head_fd = -1;
	errno = ret;
	return -1;
}

int audit_log_protect(struct audit_log *log)
{
	int flags;

	if (ioctl(log->fd, FS_IOC_GETFLAGS, &flags))
		return -1;
	if (flags & FS_APPEND_FL)
		return 0;
	flags |= FS_APPEND_FL;
	return ioctl(log->fd, FS_IOC_SETFLAGS, &flags);
}

int audit_log_put(struct audit_log *log, const char *what, const char *members, ...)
{
	char line[CHAIN_LINE + 1], hex[CHAIN_HEX + 1];
	uint8_t hash[CHAIN_HASH];
	int n, m;
	va_list ap;

	if (log->error)
		return fail(log, log->error, "%s", "");
	n = snprintf(line, sizeof(line), "{\"n\":%" PRIu64 ",\"what\":\"%s\"", log->records + 1, what);
	va_start(ap, members);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n, members, ap);
	va_end(ap);
	if (m < 0 || n + m + CHAIN_HEX + 16 > CHAIN_LINE)
		return fail(log, EMSGSIZE, "a record \"%s\" is too long", what);
	n += m;
	chain_hash(log->key, log->hash, line, (size_t)n, hash);
	chain_hex(hash, hex);
	n += snprintf(line + n, sizeof(line) - (size_t)n, ",\"hash\":\"%s\"}\n", hex);
	if (log->waiting + (size_t)n > sizeof(log->batch) && audit_log_commit(log))
		return -1;
	memcpy(log->batch + log->waiting, line, (size_t)n);
	log->waiting += (size_t)n;
	log->records++;
	log->bytes += (uint64_t)n;
	memcpy(log->hash, hash, CHAIN_HASH);
	return 0;
}

int audit_log_commit(struct audit_log *log)
{
	if (log->error)
		return fail(log, log->error, "%s", "");
	if (log->waiting) {
		if (write_all(log, log->fd, log->batch, log->waiting) || sync_file(log, log->fd))
			return -1;
		log->waiting = 0;
	}
	return write_head(log, CHAIN_OPEN);
}

/* The head stays where it was: at the last records that are certain. */
static void failed_head(struct audit_log *log)
{
	char slot[CHAIN_SLOT];

	log->head.turn++;
	log->head.state = CHAIN_FAILED;
	chain_head_format(log->key, &log->head, slot);
	if (pwrite(log->head_fd, slot, sizeof(slot), (off_t)(log->head.turn % 2 * CHAIN_SLOT)) ==
	    (ssize_t)sizeof(slot))
		fdatasync(log->head_fd);
}

void audit_log_close(struct audit_log *log)
{
	if (log->fd < 0)
		return;
	if (log->error || audit_log_commit(log) || write_head(log, CHAIN_CLOSED))
		failed_head(log);
	close(log->fd);
	close(log->head_fd);
	log->fd = log->head_fd = -1;
}
