/* SPDX-License-Identifier: MIT */
/*
 * account.h - the account of what the card produced, as JSON lines.
 *
 * Owns the file and the counters at the start of the current run. An object
 * describes the run up to now; the last object of a run is its final one.
 * Per device: produced + carried = delivered + left + lost, where carried are
 * frames of earlier runs that were still in card RAM when this run started
 * (none as a rule, see the start of a run in controller.c) and left includes
 * frames a reset threw away.
 * Threads: no lock; called under the card lock.
 */
#ifndef SIM_ACCOUNT_H
#define SIM_ACCOUNT_H

#include <stdint.h>
#include <stdio.h>

#include "controller.h"
#include "fifo.h"
#include "violation.h"

struct account_base {
	uint64_t produced, delivered, discarded, lost, held;
};

struct account {
	FILE *out;	/* NULL: no file wanted */
	const struct fifo *fifo;
	const struct controller *ctl;
	const struct violations *viol;
	uint64_t blocks, bytes;
	struct account_base base[FIFO_MAX_DEVICES];
};

/* @path may be NULL. Returns 0 or -errno. */
int account_open(struct account *t, const char *path, const struct fifo *fifo,
	       const struct controller *ctl, const struct violations *viol);
void account_close(struct account *t);
/* A run starts, or the counters were set to zero. */
void account_begin(struct account *t);
void account_write(struct account *t, const char *reason);

#endif
