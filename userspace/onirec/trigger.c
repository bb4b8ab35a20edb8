// SPDX-License-Identifier: MIT
/* trigger.c - see trigger.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "trigger.h"

#include <string.h>

#define HUB(addr)	((addr) >> 8 & 0xff)

void trigger_hex(const uint8_t hash[ONI_STIM_HASH_BYTES], char hex[TRIGGER_HASH_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < ONI_STIM_HASH_BYTES; i++) {
		hex[2 * i] = digits[hash[i] >> 4];
		hex[2 * i + 1] = digits[hash[i] & 15];
	}
	hex[TRIGGER_HASH_HEX] = '\0';
}

const char *trigger_origin(uint32_t code)
{
	static const char *const names[] = {
		"none", "gpio", "register", "gpio+register", "sync", "gpio+sync", "register+sync",
		"gpio+register+sync",
	};

	return names[TRIGGER_ORIGIN(code)];
}

const char *trigger_result(uint32_t code)
{
	static const char *const names[] = { "delivered", "disarmed", "busy", "reserved" };

	return names[TRIGGER_RESULT(code)];
}

/* Index of a program, which is new or not; -1: none, or too many. */
static int program_of(struct triggers *t, const uint8_t *hash, uint32_t hub)
{
	static const uint8_t none[ONI_STIM_HASH_BYTES];

	if (!memcmp(hash, none, sizeof(none)))
		return -1;
	for (unsigned int i = 0; i < t->programs; i++)
		if (!memcmp(t->program[i].hash, hash, sizeof(none)))
			return (int)i;
	if (t->programs == TRIGGER_PROGRAMS)
		return -1;
	memcpy(t->program[t->programs].hash, hash, sizeof(none));
	t->program[t->programs].hub = hub;
	return (int)t->programs++;
}

/* What was loaded meanwhile was not seen: no length is better than a wrong one. */
static void missed(struct triggers *t, uint64_t n)
{
	t->missed += n;
	memset(t->loaded, 0, sizeof(t->loaded));
}

void triggers_event(struct triggers *t, const struct oni_stim_event *e)
{
	int i;

	if (t->seq && e->seq > t->seq + 1)
		missed(t, e->seq - t->seq - 1);
	t->seq = e->seq;
	switch (e->what) {
	case ONI_STIM_EV_LOAD:
	case ONI_STIM_EV_ARM:
	case ONI_STIM_EV_FIRE:
		i = program_of(t, e->hash, e->hub);
		t->loaded[e->hub & 0xff] = i + 1;
		if (i >= 0 && e->what == ONI_STIM_EV_LOAD) {
			t->program[i].loads++;
			t->program[i].length_ns = e->arg;
		}
		break;
	case ONI_STIM_EV_DELIVERED:
		t->delivery[t->deliveries++ % TRIGGER_RING] = (struct trigger_delivery){
			.clock = e->clock,
			.session = e->session,
			.hub = e->hub,
			.program = program_of(t, e->hash, e->hub),
		};
		break;
	}
}

void triggers_add(struct triggers *t, const struct trigger *tr)
{
	t->waiting[t->in++ % TRIGGER_RING] = *tr;
}

static const struct trigger_delivery *find(const struct triggers *t, const struct trigger *tr)
{
	uint64_t n = t->deliveries < TRIGGER_RING ? t->deliveries : TRIGGER_RING;

	for (uint64_t i = 0; i < n; i++) {
		const struct trigger_delivery *d = &t->delivery[(t->deliveries - 1 - i) % TRIGGER_RING];

		if (d->clock == tr->clock && (d->hub & 0xff) == HUB(tr->addr))
			return d;
	}
	return NULL;
}

bool triggers_next(struct triggers *t, uint64_t now_ns, struct trigger *out)
{
	const struct trigger_delivery *d;

	if (t->in == t->out)
		return false;
	*out = t->waiting[t->out % TRIGGER_RING];
	if (out->commanded) {
		t->out++;
		if (out->program >= 0)
			t->program[out->program].triggers++;
		return true;
	}
	out->program = -1;
	out->session = 0;
	/* only what was delivered has an event; a full ring cannot wait */
	d = TRIGGER_RESULT(out->code) ? NULL : find(t, out);
	if (!d && t->kernel && !TRIGGER_RESULT(out->code) && t->in - t->out < TRIGGER_RING &&
	    now_ns - out->read_ns < TRIGGER_WAIT_NS && now_ns != UINT64_MAX)
		return false;
	t->out++;
	if (d) {
		out->program = d->program;
		out->session = d->session;
		if (d->program >= 0)
			t->program[d->program].triggers++;
	}
	return true;
}

double trigger_program_us(const struct trigger_program *p, const struct trigger_train *trains,
			  unsigned int n)
{
	double us = p->length_ns ? (double)p->length_ns / 1e3 : -1;
	char hex[TRIGGER_HASH_HEX + 1];

	trigger_hex(p->hash, hex);
	for (unsigned int i = 0; i < n; i++)
		if (!strncmp(hex, trains[i].hash, strlen(trains[i].hash)))
			return trains[i].us > us ? trains[i].us : us;
	return us;
}

double triggers_train_us(struct triggers *t, const struct trigger *tr,
			 const struct trigger_train *trains, unsigned int n, double otherwise_us)
{
	const struct trigger_delivery *d = find(t, tr);
	int i = d ? d->program : t->loaded[HUB(tr->addr)] - 1;
	double us = i < 0 ? -1 : trigger_program_us(&t->program[i], trains, n);

	if (us >= 0)
		return us;
	t->guessed++;
	return otherwise_us;
}
