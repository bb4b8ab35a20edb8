/* SPDX-License-Identifier: MIT */
/*
 * log.h - the writer of an audit log (chain.h): goes on where the last one ended,
 * repairs what a loss of power has left, refuses a file that was changed.
 *
 * Order of writes: records, fdatasync of the log, head, fdatasync of the head. A record
 * is kept when audit_log_commit() has returned 0. After the first error nothing more is
 * written: the state of the disk is not known then.
 *
 * Threads: one thread uses a log.
 */
#ifndef ONI_AUDIT_LOG_H
#define ONI_AUDIT_LOG_H

#include <stdarg.h>
#include <sys/types.h>

#include "chain.h"

/* How a file is written; tests break it. */
struct audit_io {
	ssize_t (*write)(int fd, const void *buf, size_t len);
	int (*sync)(int fd);
};

extern const struct audit_io audit_io_disk;

#define AUDIT_BATCH	(16 * CHAIN_LINE)

struct audit_log {
	const struct audit_io *io;
	const struct chain_key *key;
	int fd, head_fd;		/* -1: not open */
	uint64_t records, bytes;	/* of @hash, waiting ones included */
	uint8_t hash[CHAIN_HASH];
	struct chain_head head;
	/* about what was found */
	bool continued;			/* it had records */
	bool was_closed;		/* and its writer had ended in order */
	bool have_seq;
	uint64_t seq;			/* of the last event in it */

	char batch[AUDIT_BATCH];	/* records that wait for audit_log_commit() */
	size_t waiting;
	int error;			/* first one */
	char why[2 * CHAIN_WHY];	/* its sentence */
};

/*
 * Open or make @path and its head, @path.head. @key (may be NULL) and @io must stay.
 * -1, errno and log->why:
 *	EBADMSG		it was changed, or its end is missing: look at it with --verify,
 *			keep both files, and move them away; a new one begins then
 *	EKEYREJECTED	written with another key, without one, or with one
 *	EBUSY		somebody else writes
 *	others		the disk
 * What had to be repaired is in a record. On an error the log is closed.
 */
int audit_log_open(struct audit_log *log, const char *path, const struct chain_key *key,
		   const struct audit_io *io);
/* Ask the file system to let the log only grow. -1 and errno: it cannot, or needs a right. */
int audit_log_protect(struct audit_log *log);
/*
 * One more record: @members is ,"name":value ... or empty. It waits; when there is no
 * room left, the waiting ones are committed first.
 */
__attribute__((format(printf, 3, 4)))
int audit_log_put(struct audit_log *log, const char *what, const char *members, ...);
/* Everything on the disk, and a new head. -1 and errno: log->why. */
int audit_log_commit(struct audit_log *log);
/* The end: CHAIN_CLOSED after a record "close". After an error the head says so, if it can. */
void audit_log_close(struct audit_log *log);

#endif
