/* SPDX-License-Identifier: MIT */
/*
 * compile.h - a stimulus as what the hardware will run. Pure.
 *
 * RHS2116: a row of a delta table is the state of all channels of a chip, from its
 * time on. So every row carries the channels that do not change at that time as they
 * are; a row that is made for one channel alone would switch off the others in the
 * middle of a phase and leave charge behind.
 *
 * What cannot be had exactly is an error that names the nearest value, or, with
 * "round = nearest", a note that says what it became. A stimulus that leaves no
 * charge behind as written does so as compiled, or it is an error.
 */
#ifndef ONISTIM_COMPILE_H
#define ONISTIM_COMPILE_H

#include <stddef.h>
#include <stdint.h>

#include "stimulus.h"

#define COMPILE_ROWS	(ONI_STIM_CHIPS * ONI_STIM_SLOTS)
#define COMPILE_NOTES	64

struct compiled {
	struct oni_stim_program program;
	struct oni_stim_delta rows[COMPILE_ROWS];
	uint32_t nrows;
	uint32_t reading;		/* of headstage-64 that it was made for */
	char *notes[COMPILE_NOTES];	/* what became of what could not be had exactly */
	unsigned int n_notes;
	unsigned int more_notes;	/* that found no room */
};

/* 0, or -1 and @problem. @out is to be freed in both cases. */
int compile(const struct stimulus *s, struct compiled *out, struct problem *problem);
void compile_free(struct compiled *c);

/*
 * The currents of a compiled program, contact by contact in order of time, zero
 * left out: what is drawn and summed. Level is in steps of @num / @den nA. Returns how
 * many; more than @most if they did not fit.
 */
struct compiled_current {
	uint32_t contact;
	uint64_t at_ns, ns;
	int64_t level;
};

struct compiled_scale {
	uint32_t num, den;
};

size_t compile_currents(const struct compiled *c, struct compiled_current *out, size_t most,
			struct compiled_scale *scale);

#endif
