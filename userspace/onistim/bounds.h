/* SPDX-License-Identifier: MIT */
/*
 * bounds.h - every bound of every contact: what a program asks for and what is allowed.
 *
 * The check of the driver names the first bound that is exceeded. Here it is asked
 * again and again, with ceilings of which all but one allow everything, so that the
 * numbers in the table are those that the driver compares and no second opinion. Pure.
 */
#ifndef ONISTIM_BOUNDS_H
#define ONISTIM_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>

#include "compile.h"

struct bound {
	uint32_t contact;
	uint32_t limit;
	uint32_t source;		/* of @allowed */
	uint64_t asked;
	uint64_t allowed;
	bool known;			/* @asked could be measured */
	bool kept;
};

#define BOUNDS_MAX	((ONI_STIM_RETURN + 1) * ONI_STIM_LIMITS)

/*
 * Fill @out, in order of contact and limit, for the contacts that the program uses.
 * A contact that is in no class, or has no area, has one bound, ONI_STIM_AREA. Returns how
 * many; 0 when the form of policy or program is wrong: then the verdict of
 * oni_stim_check() says all there is to say.
 */
size_t bounds_measure(const struct oni_stim_policy *policy, const struct compiled *c,
		      struct bound *out);
/* How much of what is allowed is asked for, in parts per thousand; 1000: all of it. */
uint64_t bounds_used(const struct bound *b);

#endif
