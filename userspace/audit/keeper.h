/* SPDX-License-Identifier: MIT */
/*
 * keeper.h - from the events of the kernel to the log: the loop of oni-auditd.
 *
 * Nothing is read that cannot be written: on the first error of the log the events are
 * left alone, and the caller closes their file. The kernel then ends what is armed.
 *
 * Threads: one.
 */
#ifndef ONI_AUDIT_KEEPER_H
#define ONI_AUDIT_KEEPER_H

#include "log.h"
#include "record.h"

enum keeper_end {
	KEEPER_STOPPED,		/* asked to */
	KEEPER_GONE,		/* the controller is gone, all was read */
	KEEPER_DISK,		/* the log cannot be written: log->why */
	KEEPER_SOURCE,		/* the events cannot be read, or are none: keeper->why */
};

struct keeper {
	struct audit_log *log;
	const char *about;	/* members of "open": of the controller; may be "" */
	unsigned int head_ms;	/* a new head this often when nothing happens */
	/* called after each commit, and with the lines that could not be written */
	void (*kept)(struct keeper *k);
	void (*unwritten)(struct keeper *k, const char *lines, size_t len);

	uint8_t limits[CHAIN_HASH];
	bool have_limits;
	bool have_seq, seq_is_old;	/* the last one is of an earlier run */
	uint64_t seq;
	uint64_t events, missing;	/* in this run */
	char why[CHAIN_WHY];
};

/*
 * Records "begin" (of a new log) and "open". @have_limits and @limits may be set before.
 * -1: log->why.
 */
int keeper_begin(struct keeper *k);
/*
 * Until an end; records "close" unless the log is what failed. @events: read(2) gives whole
 * events. @stop: it becomes readable when it should end; what is there is read before.
 */
enum keeper_end keeper_run(struct keeper *k, int events, int stop);

#endif
