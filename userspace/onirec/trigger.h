/* SPDX-License-Identifier: MIT */
/*
 * trigger.h - which program a stimulation trigger has started: brings the frames of
 * the trigger device and the events of the kernel together. Pure.
 *
 * A frame says when, how and whether; the event "delivered" of the same clock says which
 * program and session. The event is made after the frame, so a trigger waits for it for
 * TRIGGER_WAIT_NS; what then has none is "unknown": the kernel had nothing to do with it.
 * A stimulator that reports nothing (headstage-64) has the event "fire" only, which says
 * which program, and when it was not yet triggered: its train is "commanded".
 *
 * Threads: one (the reader).
 */
#ifndef ONIREC_TRIGGER_H
#define ONIREC_TRIGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/oni_stim.h>

#define TRIGGER_WAIT_NS		500000000u
#define TRIGGER_HASH_HEX	(2 * ONI_STIM_HASH_BYTES)
#define TRIGGER_PROGRAMS	64	/* that are told apart; more count as unknown */
#define TRIGGER_TRAINS		32	/* lengths that the configuration can name */

/* Of the code in a frame: result, 0 delivered. */
#define TRIGGER_RESULT(code)	((code) & 3)
#define TRIGGER_COMMANDED	4	/* instead of a result */
#define TRIGGER_BY_REGISTER	(2u << 2)	/* code of one that no frame reports */
#define TRIGGER_ORIGIN(code)	((code) >> 2 & 7)	/* 1 GPIO, 2 register, 4 sync pin */
#define TRIGGER_DELAY(code)	((code) >> 12)		/* periods of ONI_STIM_PERIOD_NS */

/* "The train of the program whose hash begins like this is so long, at least." */
struct trigger_train {
	char hash[TRIGGER_HASH_HEX + 1];	/* its first digits */
	double us;
};

struct trigger {
	uint32_t addr;		/* of the trigger device */
	uint32_t code;
	uint64_t clock;		/* of the frame, acquisition clock */
	uint64_t hub_clock;	/* of the trigger */
	int64_t sample;		/* of the stream that events are numbered on */
	uint64_t read_ns;	/* when it was read, CLOCK_MONOTONIC */
	bool commanded;		/* no frame: times are estimates, and no clock of the hub */
	/* of what was commanded; otherwise filled in by triggers_next() */
	int program;		/* index in triggers.program, -1: unknown */
	uint64_t session;	/* 0: none */
};

struct trigger_program {
	uint8_t hash[ONI_STIM_HASH_BYTES];
	uint32_t hub;
	uint64_t length_ns;	/* from the trigger to the end, as the kernel says; 0: not told */
	uint64_t loads, triggers;
};

struct trigger_delivery {
	uint64_t clock, session;
	uint32_t hub;
	int program;
};

#define TRIGGER_RING	1024	/* as many as the kernel keeps events */

struct triggers {
	bool kernel;		/* events come */
	struct trigger_program program[TRIGGER_PROGRAMS];
	unsigned int programs;
	int loaded[256];	/* of a hub: index of the last one plus 1; 0: not known */
	struct trigger_delivery delivery[TRIGGER_RING];
	uint64_t deliveries;
	struct trigger waiting[TRIGGER_RING];
	uint64_t in, out;
	uint64_t seq, missed;	/* of the events */
	uint64_t guessed;	/* trains whose length the kernel has not told */
};

void trigger_hex(const uint8_t hash[ONI_STIM_HASH_BYTES], char hex[TRIGGER_HASH_HEX + 1]);
/* "register", "gpio+sync", "none" */
const char *trigger_origin(uint32_t code);
const char *trigger_result(uint32_t code);

/* The kernel has told this. */
void triggers_event(struct triggers *t, const struct oni_stim_event *e);
/* A frame was read, or a train commanded. */
void triggers_add(struct triggers *t, const struct trigger *tr);
/*
 * The next trigger about which everything is known that will be, in the order of the
 * frames. @now_ns: CLOCK_MONOTONIC; UINT64_MAX: nothing more will come. false: none yet.
 */
bool triggers_next(struct triggers *t, uint64_t now_ns, struct trigger *out);
/*
 * How long what was triggered lasts: by what the kernel has said about the program that
 * was delivered, or, while that is not known, about the one that it has loaded last on this hub.
 * A length in @trains makes it longer, never shorter. @otherwise_us, and counted, when there
 * is neither: nobody has told the load.
 */
double triggers_train_us(struct triggers *t, const struct trigger *tr,
			 const struct trigger_train *trains, unsigned int n, double otherwise_us);
/* Length of program @p by itself: as told, or as in @trains where that is longer; -1: none. */
double trigger_program_us(const struct trigger_program *p, const struct trigger_train *trains,
			  unsigned int n);

#endif
