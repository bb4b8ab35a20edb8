/* SPDX-License-Identifier: MIT */
/*
 * stim_log.h - what every electrode got: the judge of all tests of stimulation.
 *
 * Owns an account per electrode and the last phases delivered. A phase here is a
 * stretch of one current. Nothing is rounded: current is in steps of num / den nA
 * of its electrode, charge in steps times nanoseconds, so a net charge of zero is
 * zero. Phases of one electrode come in time order; those of different devices may
 * not. The log belongs to the card, not to its model: pulling the power of the
 * card ends every phase but forgets nothing.
 * Threads: no lock; called under the card lock.
 */
#ifndef SIM_STIM_LOG_H
#define SIM_STIM_LOG_H

#include <stdint.h>
#include <stdio.h>

#define STIM_ELECTRODES	96u
#define STIM_PHASES	65536u	/* that are kept */

__extension__ typedef __int128 stim_charge;

struct stim_electrode {
	uint32_t addr;		/* device */
	uint32_t channel;
	uint32_t num, den;	/* one step is num / den nA */
	int light;		/* an LED: no charge to balance */
	int64_t level;		/* steps, now */
	uint64_t since_ns;	/* of the level */
	stim_charge net, positive, negative;
	uint64_t phases, on_ns;
	uint64_t max_level;
	stim_charge max_phase;	/* of one entry of the log */
	stim_charge max_net;	/* furthest from balance */
};

struct stim_phase {
	uint64_t number;	/* from 0 on, of the card */
	uint32_t electrode;
	int64_t level;
	uint64_t start_ns, ns;	/* CLOCK_MONOTONIC of the host */
	uint64_t trigger;	/* number of the trigger that began the train */
	int cut;		/* ended by something else than its sequence */
};

struct stim_log {
	struct stim_electrode electrode[STIM_ELECTRODES];
	uint32_t electrodes;
	struct stim_phase *phase;	/* ring of STIM_PHASES, NULL until the first */
	uint64_t phases;		/* so far */
	uint64_t unlogged;		/* counted, but no memory to keep them */
	uint64_t triggers;
	FILE *out;			/* every phase, as a JSON line; may be NULL */
	/* Told of every phase; may be NULL. */
	void (*tap)(void *ctx, const struct stim_phase *p);
	void *tap_ctx;
};

void stim_log_init(struct stim_log *l);
void stim_log_free(struct stim_log *l);
/* Number of an electrode; made when it is named for the first time. UINT32_MAX: too many. */
uint32_t stim_log_electrode(struct stim_log *l, uint32_t addr, uint32_t channel,
			    uint32_t num, uint32_t den, int light);
/* The current of electrode @e is @level from @now_ns on. @trigger: see struct stim_phase. */
void stim_log_level(struct stim_log *l, uint32_t e, int64_t level, uint64_t now_ns,
		    uint64_t trigger, int cut);
/* One JSON line per electrode, up to @now_ns, and of every phase kept from number @from on. */
void stim_log_electrodes(const struct stim_log *l, FILE *out, uint64_t now_ns);
void stim_log_phases(const struct stim_log *l, FILE *out, uint64_t from);

#endif
