/* SPDX-License-Identifier: MIT */
/*
 * publish.h - which log is in force, for everybody: the newest record of the log that
 * oni-auditd keeps, in a small file in /run. Recordings take it over, so that they can be
 * tied to a log later; the log itself is readable by its own group only.
 *
 *	/run/oni-audit/oni0/head	one line, a JSON object
 *
 * The file is replaced whole, and locked (flock) by its writer for as long as that lives:
 * one that nobody has locked was left behind. It never says more than what is on the disk.
 *
 * Threads: no state is shared; a struct belongs to its caller.
 */
#ifndef ONI_AUDIT_PUBLISH_H
#define ONI_AUDIT_PUBLISH_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define PUBLISH_DIR	"/run/oni-audit"
#define PUBLISH_NAME	"head"
#define PUBLISH_FORMAT	"oni audit published 1"
#define PUBLISH_TEXT	(4 * PATH_MAX)	/* longest file, bytes */
#define PUBLISH_HEX	64		/* digits of a hash */

/* --- the writer: publish.c, needs log.c ------------------------------------------ */

struct audit_log;

struct publisher {
	const char *path;	/* of the file; NULL: nothing is published */
	const char *log, *bus;	/* what it says: of the log, of the controller */
	int fd;			/* of the file that is there, locked; -1: none */
};

/*
 * Tell the newest record of @log that is on the disk; @seq: number of the last event of this
 * life of the driver in it, 0: none. -1 and errno: nothing is published any more.
 */
int publish_head(struct publisher *p, const struct audit_log *log, uint64_t seq);
/* The log is not kept any more. */
void publish_end(struct publisher *p);

/* --- a reader: published.c, needs jansson ---------------------------------------- */

enum published_state {
	PUBLISHED_NONE,		/* nobody keeps a log of this controller: @why */
	PUBLISHED_LEFT,		/* somebody did, and ended without a word: @why */
	PUBLISHED_KEPT,
};

struct published {
	enum published_state state;
	char why[200];
	/* not of PUBLISHED_NONE */
	char log[PATH_MAX];
	uint64_t record;	/* its number */
	char hash[PUBLISH_HEX + 1];
	bool keyed;		/* the hashes need a key */
	uint64_t seq;		/* of the last event in it; 0: none */
	uint64_t real_ns;	/* when it was on the disk, CLOCK_REALTIME */
};

/* What @path says about the controller at @bus. Never an error: it may just be that nobody does. */
void published_read(const char *path, const char *bus, struct published *out);

#endif
