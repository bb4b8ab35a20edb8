/* SPDX-License-Identifier: MIT */
/*
 * policy.h - a policy file as the ceilings that the kernel takes. Pure apart from
 * reading the file; needs no hardware. See oni-policy(5).
 */
#ifndef ONISTIM_POLICY_H
#define ONISTIM_POLICY_H

#include <stdint.h>

#include "conf.h"
#include "driver/oni_stim_check.h"

struct policy {
	char name[64];
	uint32_t flags;		/* ONI_STIM_POLICY_* */
	uint32_t hub;		/* of the headstage that it is for, 0: of any */
	struct oni_stim_policy uapi;
	char class_name[ONI_STIM_CLASSES][CONF_NAME];
};

/*
 * 0, or -1 and @problem; then nothing of the file holds. Ceilings that are finer than
 * the unit of the kernel are rounded down, never up.
 */
int policy_read(struct policy *policy, const char *path, struct problem *problem);
int policy_parse(struct policy *policy, const char *path, const char *text, size_t len,
		 struct problem *problem);

/* floor(10^(k + 4)) for k in thousandths, -4000 to 4000; exact. */
uint64_t policy_shannon(int k_milli);

/* How a limit is written: its key, and the unit of the kernel as 10^-scale of its own. */
struct policy_key {
	const char *key;
	const char *unit;
	const char *what;
	unsigned int limit;
	unsigned int scale;
};

/* By enum oni_stim_limit; NULL when there is none. Static. */
const struct policy_key *policy_key(unsigned int limit);

#endif
