/* SPDX-License-Identifier: MIT */
/*
 * stimulus.h - a stimulus as a person describes it. Pure apart from reading the file.
 * See oni-stimulus(5). What the hardware makes of it is in compile.h.
 */
#ifndef ONISTIM_STIMULUS_H
#define ONISTIM_STIMULUS_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "driver/oni_stim_check.h"

#define STIMULUS_PULSES	32	/* sections [pulse NAME] */
#define STIMULUS_PHASES	8

/* A stretch of one current; 0 nA: a gap between phases. */
struct stimulus_phase {
	int64_t na;
	uint64_t ns;
};

/* How often, as it was written: a rate has no exact period in general. */
struct stimulus_repeat {
	uint32_t count;
	uint64_t period_ns;	/* from onset to onset; 0: see rate_uhz */
	uint64_t rate_uhz;
	int line;
};

struct stimulus_pulse {
	char name[CONF_NAME];
	int line;
	uint8_t contacts[ONI_STIM_CONTACTS];	/* in the order of the file */
	unsigned int n_contacts;
	struct stimulus_phase phases[STIMULUS_PHASES];
	unsigned int n_phases;
	int phases_line;
	struct stimulus_repeat pulses;
	struct stimulus_repeat trains;
	uint64_t start_ns;		/* of the first contact, after the trigger */
	uint64_t stagger_ns;		/* of each next contact after the one before */
	int start_line, stagger_line;
};

struct stimulus {
	char path[300];
	char name[64];
	uint32_t kind;			/* ONI_STIM_RHS2116, ONI_STIM_HS64 */
	uint32_t step_na;		/* RHS2116 */
	uint32_t sources;		/* ONI_STIM_FROM_* */
	uint32_t watchdog_ms;
	uint32_t reading;		/* HS64: one unit and one meaning, ONI_STIM_HS64_* */
	bool nearest;			/* round to what the hardware can do, and say so */
	uint64_t tail_ns;		/* RHS2116: silence at the end */
	int tail_line;
	struct stimulus_pulse pulses[STIMULUS_PULSES];
	unsigned int n_pulses;
};

/* 0, or -1 and @problem. */
int stimulus_read(struct stimulus *s, const char *path, struct problem *problem);
int stimulus_parse(struct stimulus *s, const char *path, const char *text, size_t len,
		   struct problem *problem);

#endif
