// SPDX-License-Identifier: MIT
/* stim_log.c - see stim_log.h. */
#include "stim_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void stim_log_init(struct stim_log *l)
{
	memset(l, 0, sizeof(*l));
}

void stim_log_free(struct stim_log *l)
{
	free(l->phase);
	if (l->out)
		fclose(l->out);
	memset(l, 0, sizeof(*l));
}

uint32_t stim_log_electrode(struct stim_log *l, uint32_t addr, uint32_t channel,
			    uint32_t num, uint32_t den, int light)
{
	struct stim_electrode *e;
	uint32_t i;

	for (i = 0; i < l->electrodes; i++)
		if (l->electrode[i].addr == addr && l->electrode[i].channel == channel)
			return i;
	if (l->electrodes == STIM_ELECTRODES)
		return UINT32_MAX;
	e = &l->electrode[l->electrodes];
	memset(e, 0, sizeof(*e));
	e->addr = addr;
	e->channel = channel;
	e->num = num;
	e->den = den;
	e->light = light;
	return l->electrodes++;
}

static stim_charge size_of(stim_charge q)
{
	return q < 0 ? -q : q;
}

/* aC, away from zero: only nothing is 0. Then a 64-bit number will do (9.2 C). */
static int64_t attocoulombs(const struct stim_electrode *e, stim_charge q)
{
	stim_charge v = size_of(q) * e->num;

	v = (v + e->den - 1) / e->den;
	if (v > INT64_MAX)
		v = INT64_MAX;
	return (int64_t)(q < 0 ? -v : v);
}

static void print_phase(const struct stim_log *l, FILE *out, const struct stim_phase *p)
{
	const struct stim_electrode *e = &l->electrode[p->electrode];

	fprintf(out, "{\"phase\":%" PRIu64 ",\"addr\":%" PRIu32 ",\"channel\":%" PRIu32
		",\"start_ns\":%" PRIu64 ",\"ns\":%" PRIu64 ",\"na\":%" PRId64
		",\"steps\":%" PRId64 ",\"ac\":%" PRId64 ",\"trigger\":%" PRIu64
		",\"cut\":%s}\n", p->number, e->addr, e->channel, p->start_ns, p->ns,
		attocoulombs(e, p->level), p->level,
		attocoulombs(e, (stim_charge)p->level * p->ns), p->trigger,
		p->cut ? "true" : "false");
}

static void keep(struct stim_log *l, const struct stim_phase *p)
{
	if (!l->phase)
		l->phase = calloc(STIM_PHASES, sizeof(*l->phase));
	if (l->phase)
		l->phase[p->number % STIM_PHASES] = *p;
	else
		l->unlogged++;
	if (l->out)
		print_phase(l, l->out, p);
	if (l->tap)
		l->tap(l->tap_ctx, p);
}

static void end_phase(struct stim_log *l, uint32_t n, uint64_t now_ns, uint64_t trigger, int cut)
{
	struct stim_electrode *e = &l->electrode[n];
	struct stim_phase p = {
		.electrode = n, .level = e->level, .start_ns = e->since_ns,
		.ns = now_ns - e->since_ns, .trigger = trigger, .cut = cut,
	};
	stim_charge q = (stim_charge)e->level * p.ns;

	if (!p.ns)
		return;
	p.number = l->phases++;
	e->phases++;
	e->on_ns += p.ns;
	e->net += q;
	if (q > 0)
		e->positive += q;
	else
		e->negative -= q;
	if (size_of(q) > e->max_phase)
		e->max_phase = size_of(q);
	if (size_of(e->net) > e->max_net)
		e->max_net = size_of(e->net);
	if ((uint64_t)llabs(e->level) > e->max_level)
		e->max_level = (uint64_t)llabs(e->level);
	keep(l, &p);
}

void stim_log_level(struct stim_log *l, uint32_t n, int64_t level, uint64_t now_ns,
		    uint64_t trigger, int cut)
{
	struct stim_electrode *e;

	if (n >= l->electrodes)
		return;
	e = &l->electrode[n];
	if (level == e->level)
		return;
	if (e->level)
		end_phase(l, n, now_ns, trigger, cut);
	e->level = level;
	e->since_ns = now_ns;
}

/* A current that flows counts up to now. */
void stim_log_electrodes(const struct stim_log *l, FILE *out, uint64_t now_ns)
{
	uint32_t i;

	for (i = 0; i < l->electrodes; i++) {
		const struct stim_electrode *e = &l->electrode[i];
		uint64_t ns = e->level && now_ns > e->since_ns ? now_ns - e->since_ns : 0;
		stim_charge net = e->net + (stim_charge)e->level * ns;

		fprintf(out, "{\"addr\":%" PRIu32 ",\"channel\":%" PRIu32 ",\"light\":%s"
			",\"phases\":%" PRIu64 ",\"on_ns\":%" PRIu64 ",\"net_ac\":%" PRId64
			",\"positive_ac\":%" PRId64 ",\"negative_ac\":%" PRId64
			",\"max_na\":%" PRId64 ",\"max_phase_ac\":%" PRId64
			",\"max_net_ac\":%" PRId64 ",\"now_na\":%" PRId64 "}\n",
			e->addr, e->channel, e->light ? "true" : "false", e->phases,
			e->on_ns + ns, attocoulombs(e, net), attocoulombs(e, e->positive),
			attocoulombs(e, e->negative), attocoulombs(e, (stim_charge)e->max_level),
			attocoulombs(e, e->max_phase), attocoulombs(e, e->max_net),
			attocoulombs(e, e->level));
	}
}

void stim_log_phases(const struct stim_log *l, FILE *out, uint64_t from)
{
	uint64_t i = l->phases > STIM_PHASES ? l->phases - STIM_PHASES : 0;

	if (from > i)
		i = from;
	for (; l->phase && i < l->phases; i++)
		print_phase(l, out, &l->phase[i % STIM_PHASES]);
}
