/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What firmware allows a stimulator to do, and what that leaves of a policy.
 *
 * Pure code: no I/O, no allocation, no locks. Compiled into the kernel module
 * and the unit tests. Properties and their units: dts/bindings/neuro/.
 *
 * A bound that is not there is 0: nothing is allowed. Where the unit of a
 * property is not that of a bound the conversion is exact, or rounded down.
 */
#ifndef ONI_FW_BOUNDS_H
#define ONI_FW_BOUNDS_H

#include "oni_stim_check.h"

/**
 * struct oni_fw_bounds - ceilings of a port, or the lowest ones of several
 * @given: there are any; otherwise nothing is bounded
 * @contact: of every contact but the return; without an area
 * @back: of the return contact
 * @area: by contact, um2; 0: must not be stimulated
 */
struct oni_fw_bounds {
	bool given;
	struct oni_stim_class contact;
	struct oni_stim_class back;
	u32 area[ONI_STIM_CONTACTS + 1];
};

u64 oni_fw_bound(u32 limit, u32 value);
void oni_fw_bounds_nothing(struct oni_fw_bounds *b);
void oni_fw_bounds_lower(struct oni_fw_bounds *b,
			 const struct oni_fw_bounds *other);
void oni_fw_bounds_limit(const struct oni_fw_bounds *b,
			 struct oni_stim_policy *policy);

#endif /* ONI_FW_BOUNDS_H */
