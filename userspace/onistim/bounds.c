// SPDX-License-Identifier: MIT
/* bounds.c - see bounds.h. */
#include "bounds.h"

#include <string.h>

#define ALL		(~(u64)0)

/* Classes of the policy with which the check is asked. */
enum { EVERYTHING, PROBED, PROBES };

static bool ask(const struct oni_stim_policy *p, const struct compiled *c,
		struct oni_stim_verdict *v)
{
	return oni_stim_check(p, &c->program, c->rows, c->nrows, v);
}

/* All contacts may have everything, @contact but for what is set in its class. */
static void allow_all(struct oni_stim_policy *probe, const struct oni_stim_policy *policy,
		      uint32_t contact, uint64_t area)
{
	uint32_t i, k;

	memset(probe, 0, sizeof(*probe));
	probe->size = sizeof(*probe);
	probe->version = ONI_STIM_VERSION;
	probe->hs64_readings = policy->hs64_readings;
	probe->duty_window_ns = policy->duty_window_ns;
	probe->classes = PROBES;
	for (i = 0; i < PROBES; i++)
		for (k = 0; k < ONI_STIM_LIMITS; k++)
			probe->cls[i].max[k] = ALL;
	for (i = 0; i <= ONI_STIM_RETURN; i++)
		probe->class_of[i] = EVERYTHING + 1;
	probe->class_of[contact] = PROBED + 1;
	probe->cls[PROBED].max[ONI_STIM_AREA] = area;
}

/* What is asked for when nothing of @limit is allowed; false: another bound came first. */
static bool measure(struct oni_stim_policy *probe, const struct compiled *c, struct bound *b)
{
	struct oni_stim_verdict v;
	uint64_t before = probe->cls[PROBED].max[b->limit];

	probe->cls[PROBED].max[b->limit] = 0;
	b->asked = 0;
	b->known = ask(probe, c, &v);
	if (!b->known && v.code == b->limit && v.contact == b->contact) {
		b->known = true;
		b->asked = v.asked;
	}
	probe->cls[PROBED].max[b->limit] = before;
	return b->known;
}

static void one_bound(const struct oni_stim_policy *policy, const struct compiled *c,
		      struct bound *b, uint64_t net_asked)
{
	const struct oni_stim_class *cls = &policy->cls[policy->class_of[b->contact] - 1];
	uint64_t top = oni_stim_hard_limit(b->limit, b->contact);
	struct oni_stim_policy probe;
	struct oni_stim_verdict v;
	u64 *net;

	b->allowed = cls->max[b->limit] < top ? cls->max[b->limit] : top;
	b->source = cls->max[b->limit] <= top ? cls->source[b->limit] : ONI_STIM_BY_HARDWARE;
	allow_all(&probe, policy, b->contact, cls->max[ONI_STIM_AREA]);
	net = &probe.cls[PROBED].max[ONI_STIM_NET];
	/*
	 * What may be left behind counts as balanced for gaps. If the stimulus leaves
	 * more, that much, or the check would end at it.
	 */
	if (b->limit == ONI_STIM_GAP) {
		*net = cls->max[ONI_STIM_NET];
		if (*net < net_asked)
			*net = net_asked;
	}
	measure(&probe, c, b);
	probe.cls[PROBED].max[b->limit] = b->allowed;
	/* Not the comparison of the two numbers: Shannon's is exact in the check only. */
	b->kept = ask(&probe, c, &v) || v.code != b->limit || v.contact != b->contact;
	b->kept = b->kept && b->known;
}

static bool used(const struct compiled *c, uint32_t contact)
{
	uint32_t chip = contact / ONI_STIM_CHANNELS, i;
	const struct oni_stim_delta *row = c->rows;

	if (contact == ONI_STIM_RETURN)
		return true;
	if (c->program.kind == ONI_STIM_HS64)
		return !contact;
	if (chip)
		row += c->program.chip[0].rows;
	for (i = 0; i < c->program.chip[chip].rows; i++)
		if (row[i].polen >> contact % ONI_STIM_CHANNELS & 1)
			return true;
	return false;
}

static size_t one_contact(const struct oni_stim_policy *policy, const struct compiled *c,
			  uint32_t contact, struct bound *out)
{
	uint32_t class = policy->class_of[contact];
	uint64_t net = 0;
	size_t n = 0;

	if (!class || !policy->cls[class - 1].max[ONI_STIM_AREA]) {
		*out = (struct bound){
			.contact = contact, .limit = ONI_STIM_AREA, .asked = 1, .known = true,
			.source = class ? policy->cls[class - 1].source[ONI_STIM_AREA] :
					  ONI_STIM_BY_NOBODY,
		};
		return 1;
	}
	for (uint32_t limit = ONI_STIM_AREA + 1; limit < ONI_STIM_LIMITS; limit++) {
		struct bound *b = &out[n++];

		memset(b, 0, sizeof(*b));
		b->contact = contact;
		b->limit = limit;
		one_bound(policy, c, b, net);
		if (limit == ONI_STIM_NET)
			net = b->asked;
	}
	return n;
}

size_t bounds_measure(const struct oni_stim_policy *policy, const struct compiled *c,
		      struct bound *out)
{
	struct oni_stim_policy probe;
	struct oni_stim_verdict v;
	size_t n = 0;

	ask(policy, c, &v);
	if (v.code == ONI_STIM_BAD_POLICY)
		return 0;
	allow_all(&probe, policy, 0, ALL);
	if (!ask(&probe, c, &v) && v.code >= ONI_STIM_BAD_POLICY)
		return 0;
	for (uint32_t contact = 0; contact <= ONI_STIM_RETURN; contact++)
		if (used(c, contact))
			n += one_contact(policy, c, contact, out + n);
	return n;
}

uint64_t bounds_used(const struct bound *b)
{
	if (!b->allowed)
		return b->asked ? UINT64_MAX : 0;
	if (b->asked > UINT64_MAX / 1000)
		return UINT64_MAX;
	return (b->asked * 1000 + b->allowed - 1) / b->allowed;
}
