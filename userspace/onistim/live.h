/* SPDX-License-Identifier: MIT */
/*
 * live.h - a session with the interlock and the data that keep it alive.
 *
 * A sign of life counts only if it names data that came after the one before, so a
 * session reads a stream: a monitor of the one that another program records, or its
 * own. live_wait() reads and kicks; who does not call it for longer than the watchdog
 * of the program ends what is armed. One thread.
 */
#ifndef ONISTIM_LIVE_H
#define ONISTIM_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "onistim.h"

struct live {
	struct onidev_controller *ctl;
	struct onidev_table *table;
	struct onidev_stream *stream;
	int fd;				/* of the stim node, -1 */
	uint64_t nonce;			/* 0: nothing claimed */
	bool own;			/* the acquisition is ours */
	uint32_t acquisition;		/* generation that @table is of */
	uint32_t hub;
	uint8_t hash[ONI_STIM_HASH_BYTES];
	bool loaded, armed;
	uint32_t watchdog_ms;
	uint64_t kicked;		/* position of the last kick */
	uint64_t kick_ms;		/* when the next is due, CLOCK_MONOTONIC */
	uint64_t armed_ms;		/* since when */
	uint64_t kicks, stale;
};

/* SIGINT, SIGTERM and SIGHUP set this and wake up whatever waits. */
void live_catch_signals(void);
bool live_interrupted(void);
uint64_t live_now_ms(void);

/* All give EXIT_OK, or another exit status after saying why. live_close() in any case. */

/* Open the node and claim the stimulators; the controller as well if @own. */
int live_open(struct live *l, bool own);
/* What amplitudes are counted in; resets the controller, so only before live_start(). */
int live_step(struct live *l, const struct work *w, uint32_t hub);
/* Look at the acquisition that runs, or start one. */
int live_start(struct live *l);
int live_load(struct live *l, const struct work *w, uint32_t hub);
int live_arm(struct live *l, uint32_t ttl_ms);
int live_fire(struct live *l);
int live_disarm(struct live *l);
int live_status(struct live *l, struct oni_stim_status *status);
/*
 * Read what comes, and kick, for @ms or until there is something to read from @fd
 * (-1: none) or a signal. EXIT_OK; when what was armed has ended, that is said.
 */
int live_wait(struct live *l, uint64_t ms, int fd);
/* Disarm, release, stop what is ours, close. */
void live_close(struct live *l);

#endif
