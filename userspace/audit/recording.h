/* SPDX-License-Identifier: MIT */
/*
 * recording.h - the places in recordings that name a record of an audit log, and whether a
 * log has these records. What onirec writes is in onirec(1), AUDIT.
 *
 * Threads: no state is shared; a struct belongs to its caller.
 */
#ifndef ONI_AUDIT_RECORDING_H
#define ONI_AUDIT_RECORDING_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain.h"

/* "The newest record of the log was this one." */
struct recording_head {
	uint64_t record;
	uint8_t hash[CHAIN_HASH];
	char at[12];		/* start, change, end */
	unsigned int file;	/* index in recording.file */
	bool met, found;	/* there is a record of this number; with this hash */
};

struct recording {
	struct recording_head *head;	/* by number */
	size_t heads;
	size_t without;		/* places where no log was kept */
	unsigned int ended;	/* recordings that have their end */
	char **file;		/* onirec/audit.jsonl of each recording below the folder */
	unsigned int files;
	size_t next;		/* for recording_record() */
	char why[PATH_MAX + 200];
};

/*
 * Read the heads in all recordings at and below @folder. -1 and @rec->why: it cannot be read, a
 * line is none, or there is no recording. recording_free() in any case.
 */
int recording_read(struct recording *rec, const char *folder);
/* Tell it the records of a log in turn: chain_scan.each. @ctx: the recording. */
void recording_record(void *ctx, uint64_t n, const uint8_t hash[CHAIN_HASH]);
/* The first one that the log does not have; NULL: it has all. */
const struct recording_head *recording_missing(const struct recording *rec);
void recording_free(struct recording *rec);

#endif
