// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Bounds from firmware. See oni_fw_bounds.h.
 */
#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/string.h>
#else
#include <string.h>
#endif

#include "oni_fw_bounds.h"

#define SHANNON_MAX	200u	/* k = 2 */

/* 10^(6 + n / 100), rounded down. */
static const u32 tenth_powers[100] = {
	1000000, 1023292, 1047128, 1071519, 1096478, 1122018, 1148153, 1174897,
	1202264, 1230268, 1258925, 1288249, 1318256, 1348962, 1380384, 1412537,
	1445439, 1479108, 1513561, 1548816, 1584893, 1621810, 1659586, 1698243,
	1737800, 1778279, 1819700, 1862087, 1905460, 1949844, 1995262, 2041737,
	2089296, 2137962, 2187761, 2238721, 2290867, 2344228, 2398832, 2454708,
	2511886, 2570395, 2630267, 2691534, 2754228, 2818382, 2884031, 2951209,
	3019951, 3090295, 3162277, 3235936, 3311311, 3388441, 3467368, 3548133,
	3630780, 3715352, 3801893, 3890451, 3981071, 4073802, 4168693, 4265795,
	4365158, 4466835, 4570881, 4677351, 4786300, 4897788, 5011872, 5128613,
	5248074, 5370317, 5495408, 5623413, 5754399, 5888436, 6025595, 6165950,
	6309573, 6456542, 6606934, 6760829, 6918309, 7079457, 7244359, 7413102,
	7585775, 7762471, 7943282, 8128305, 8317637, 8511380, 8709635, 8912509,
	9120108, 9332543, 9549925, 9772372,
};

/* 10^(4 + k), k in hundredths. A quotient of what is rounded down is so, too. */
static u64 shannon(u32 k_centi)
{
	static const u32 scale[] = { 100, 10, 1 };

	if (k_centi > SHANNON_MAX)
		return 0;
	return tenth_powers[k_centi % 100] / scale[k_centi / 100];
}

/**
 * oni_fw_bound - a property as a bound
 * @limit: enum oni_stim_limit
 * @value: of the property, in its unit: nA, pC, nC/cm2, hundredths of k, us, Hz,
 *	percent, ms, um2
 *
 * Return: the bound in the unit of @limit, rounded down; 0 if @value makes no
 * sense.
 */
u64 oni_fw_bound(u32 limit, u32 value)
{
	switch (limit) {
	case ONI_STIM_AREA:
	case ONI_STIM_AMPLITUDE:
	case ONI_STIM_DENSITY:
	case ONI_STIM_WATCHDOG:
		return value;
	case ONI_STIM_CHARGE:
	case ONI_STIM_NET:
	case ONI_STIM_WIDTH:
	case ONI_STIM_GAP:
	case ONI_STIM_RATE:
		return (u64)value * 1000;
	case ONI_STIM_TRAIN:
		return (u64)value * 1000000;
	case ONI_STIM_SHANNON:
		return shannon(value);
	case ONI_STIM_DUTY:
		return value > 100 ? 0 : (u64)value * 10000;
	case ONI_STIM_EXTERNAL:
		return value == 1;
	default:
		return 0;
	}
}

static void nothing(struct oni_stim_class *c)
{
	u32 i;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < ONI_STIM_LIMITS; i++)
		c->source[i] = ONI_STIM_BY_FIRMWARE;
}

/**
 * oni_fw_bounds_nothing - bounds that allow nothing
 * @b: filled in
 */
void oni_fw_bounds_nothing(struct oni_fw_bounds *b)
{
	memset(b, 0, sizeof(*b));
	b->given = true;
	nothing(&b->contact);
	nothing(&b->back);
}

/**
 * oni_fw_bounds_lower - lower bounds to those of another port
 * @b: changed; given
 * @other: given
 *
 * Contacts are numbered alike on all headstages: the lower area holds for both.
 */
void oni_fw_bounds_lower(struct oni_fw_bounds *b,
			 const struct oni_fw_bounds *other)
{
	u32 i;

	oni_stim_lower(&b->contact, &other->contact);
	oni_stim_lower(&b->back, &other->back);
	for (i = 0; i <= ONI_STIM_RETURN; i++)
		if (other->area[i] < b->area[i])
			b->area[i] = other->area[i];
}

/**
 * oni_fw_bounds_limit - lower a policy to what firmware allows
 * @b: the bounds
 * @policy: changed: the ceilings of its classes, and contacts without an area
 *	in firmware are in no class any more
 *
 * The area of a class becomes that of the smallest contact in it. A class that
 * the return contact shares with others has to keep the bounds of both.
 */
void oni_fw_bounds_limit(const struct oni_fw_bounds *b,
			 struct oni_stim_policy *policy)
{
	struct oni_stim_class c;
	u32 i, n;

	if (!b->given)
		return;
	for (i = 0; i <= ONI_STIM_RETURN; i++) {
		n = policy->class_of[i];
		if (!n || n > ONI_STIM_CLASSES)
			continue;
		if (!b->area[i]) {
			policy->class_of[i] = 0;
			continue;
		}
		c = i == ONI_STIM_RETURN ? b->back : b->contact;
		c.max[ONI_STIM_AREA] = b->area[i];
		oni_stim_lower(&policy->cls[n - 1], &c);
	}
}
