/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Does a stimulation program stay inside the bounds of a policy?
 *
 * What is judged is the program as the hardware will run it: the compiled delta
 * tables of RHS2116 chips, or the registers of the headstage-64 stimulator.
 * A request that was compiled into them does not count.
 *
 * Pure code: no I/O, no allocation, no locks, no floating point. Compiled into
 * the kernel module, onistim, the unit tests and the fuzz targets from this one
 * file. The structures have no holes and no pointers, so that they cross the
 * border to user space as they are. What is not used must be zero.
 *
 * Units: nA, ns, um2; charge in aC inside (1 nA for 1 ns), in fC outside. All
 * comparisons are exact: a demand is rounded up to 1 aC, a ceiling never.
 *
 * Source of the bounds: Shannon 1992, McCreery 1990, Cogan 2016, as independent
 * ceilings of which the smallest wins; none of them is built in, since what is
 * safe depends on the electrode. Hardware facts: ONIX datasheets; where these
 * and the vendor's software disagree, every reading has to be safe.
 */
#ifndef ONI_STIM_CHECK_H
#define ONI_STIM_CHECK_H

#include "include/uapi/linux/oni_stim.h"

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;
#endif

/**
 * struct oni_stim_train - time of one train
 * @length_ns: from the trigger to the end
 * @on_ns: time with current by contact, that where all meet included
 */
struct oni_stim_train {
	u64 length_ns;
	u64 on_ns[ONI_STIM_CONTACTS + 1];
};

bool oni_stim_policy_ok(const struct oni_stim_policy *policy,
			struct oni_stim_verdict *verdict);
void oni_stim_measure(const struct oni_stim_program *program,
		      const struct oni_stim_delta *rows,
		      struct oni_stim_train *train);
bool oni_stim_check(const struct oni_stim_policy *policy,
		    const struct oni_stim_program *program,
		    const struct oni_stim_delta *rows, u32 nrows,
		    struct oni_stim_verdict *verdict);
void oni_stim_lower(struct oni_stim_class *class,
		    const struct oni_stim_class *other);
u64 oni_stim_hard_limit(u32 limit, u32 contact);

#endif /* ONI_STIM_CHECK_H */
