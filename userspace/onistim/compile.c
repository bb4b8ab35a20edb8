// SPDX-License-Identifier: MIT
/* compile.c - see compile.h. */
#include "compile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"

#define PERIOD		((uint64_t)ONI_STIM_PERIOD_NS)
#define STEPS_MAX	255u
#define HS64_FULL	65535

typedef __int128 wide;

struct compiling {
	const struct stimulus *s;
	const struct stimulus_pulse *pulse;
	struct compiled *out;
	struct problem *problem;
	struct segment *segments;
	size_t count, cap;
};

static void note(struct compiling *c, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void note(struct compiling *c, int line, const char *fmt, ...)
{
	struct compiled *o = c->out;
	char text[300];
	va_list ap;
	int n;

	n = snprintf(text, sizeof(text), "%s:%d: ", c->s->path, line);
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	for (unsigned int i = 0; i < o->n_notes; i++)
		if (!strcmp(o->notes[i], text))
			return;
	if (o->n_notes == COMPILE_NOTES || !(o->notes[o->n_notes] = strdup(text)))
		o->more_notes++;
	else
		o->n_notes++;
}

static int fail(const struct compiling *c, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(const struct compiling *c, int line, const char *fmt, ...)
{
	char text[500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return problem_at(c->problem, c->s->path, line, "%s", text);
}

/* ---- quantities ------------------------------------------------------------- */

/* @num / @den to the nearest whole number; what is in the middle goes down. */
static uint64_t nearest(wide num, wide den)
{
	return (uint64_t)((2 * num + den - 1) / (2 * den));
}

static const char *us(char *buf, uint64_t ns)
{
	return decimal_text(buf, ns, 3);
}

/*
 * A time in units of @unit_ns; @what names it. @least: what it must not fall below,
 * since a phase that vanishes is another stimulus.
 */
static int take_time(struct compiling *c, int line, const char *what, uint64_t ns, uint64_t unit_ns,
		     uint64_t least, uint64_t *out)
{
	uint64_t n = nearest(ns, unit_ns);
	char a[DECIMAL_TEXT], b[DECIMAL_TEXT], u[DECIMAL_TEXT];

	if (n < least)
		return fail(c, line, "%s of %s us is too short: the hardware counts in steps of %s us, "
			    "write at least %s", what, us(a, ns), us(u, unit_ns),
			    us(b, least * unit_ns));
	*out = n;
	if (n * unit_ns == ns)
		return 0;
	if (!c->s->nearest)
		return fail(c, line, "%s of %s us is no multiple of the %s us in which the hardware "
			    "counts: the nearest is %s us; write that, or 'round = nearest'", what,
			    us(a, ns), us(u, unit_ns), us(b, n * unit_ns));
	note(c, line, "%s of %s us became %s us", what, us(a, ns), us(b, n * unit_ns));
	return 0;
}

/* From onset to onset, at least @length, in units. Not used for a single one: 0. */
static int take_period(struct compiling *c, const struct stimulus_repeat *r, const char *what,
		       uint64_t length, uint64_t unit_ns, uint64_t *out)
{
	char a[DECIMAL_TEXT], b[DECIMAL_TEXT], h[DECIMAL_TEXT];
	wide num = 1000000000000000, den = (wide)r->rate_uhz * (wide)unit_ns;

	*out = 0;
	if (r->count < 2)
		return 0;
	if (!r->rate_uhz) {
		if (take_time(c, r->line, what, r->period_ns, unit_ns, 1, out) < 0)
			return -1;
	} else {
		if (num / den > 1ll << 40)
			return fail(c, r->line, "a rate of %s Hz is slower than the hardware can count: "
				    "raise it", decimal_text(a, r->rate_uhz, 6));
		*out = nearest(num, den);
		if (*out * den != num && !c->s->nearest)
			return fail(c, r->line, "%s Hz are no whole number of the %s us in which the "
				    "hardware counts: the nearest is period_us = %s; write that, or "
				    "'round = nearest'", decimal_text(a, r->rate_uhz, 6),
				    us(h, unit_ns), us(b, *out * unit_ns));
		if (*out * den != num)
			note(c, r->line, "a rate of %s Hz became a period of %s us (%s Hz)",
			     decimal_text(a, r->rate_uhz, 6), us(b, *out * unit_ns),
			     decimal_text(h, *out ? 1000000000000ull / (*out * unit_ns) : 0, 3));
	}
	if (*out < length)
		return fail(c, r->line, "%s of %s us is shorter than what it repeats, %s us: make it "
			    "longer", what, us(a, *out * unit_ns), us(b, length * unit_ns));
	return 0;
}

/* What leaves no charge as written must leave none as compiled. */
static int keep_balance(const struct compiling *c, wide asked, wide made, const char *unit)
{
	if (asked || !made)
		return 0;
	return fail(c, c->pulse->phases_line, "[pulse %s]: the phases are balanced as written, and no longer "
		    "when rounded to what the hardware can do (%lld %s are left): write widths and "
		    "amplitudes that it has", c->pulse->name, (long long)made, unit);
}

/* ---- RHS2116 ------------------------------------------------------------------ */

/* One current on one channel, in periods. */
struct segment {
	uint32_t contact;
	uint32_t start, end;
	bool positive;
	const struct stimulus_pulse *pulse;
};

/* The smallest step with which @na is possible, "" if none. */
static const char *larger_step(uint64_t na, char *buf)
{
	static const uint32_t steps[] = { 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000 };

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (na <= (uint64_t)steps[i] * STEPS_MAX)
			return decimal_text(buf, steps[i], 3);
	return "";
}

/* Amplitude in steps, without sign. */
static int take_steps(struct compiling *c, int64_t na, uint8_t *out)
{
	uint64_t abs = (uint64_t)llabs(na), step = c->s->step_na, n = nearest(abs, step);
	char a[DECIMAL_TEXT], b[DECIMAL_TEXT], s[DECIMAL_TEXT];
	int line = c->pulse->phases_line;
	const char *larger;

	decimal_signed(a, na, 3, false);
	if (n > STEPS_MAX) {
		larger = larger_step(abs, s);
		if (!*larger)
			return fail(c, line, "%s uA are more than the 2550 uA of the chip: write less", a);
		return fail(c, line, "%s uA are more than 255 steps of %s uA: use step_ua = %s", a,
			    decimal_text(b, step, 3), larger);
	}
	decimal_signed(b, na < 0 ? -(int64_t)(n * step) : (int64_t)(n * step), 3, false);
	if (!n)
		return fail(c, line, "%s uA are less than half a step of %s uA: use a smaller step_ua", a,
			    decimal_text(s, step, 3));
	if (n * step != abs && !c->s->nearest)
		return fail(c, line, "%s uA are no multiple of the step of %s uA: the nearest is %s uA; "
			    "write that, use another step_ua, or 'round = nearest'", a,
			    decimal_text(s, step, 3), b);
	if (n * step != abs)
		note(c, line, "%s uA became %s uA", a, b);
	*out = (uint8_t)n;
	return 0;
}

static int set_amplitude(struct compiling *c, uint32_t contact, int64_t na, uint8_t steps)
{
	struct oni_stim_chip *chip = &c->out->program.chip[contact / ONI_STIM_CHANNELS];
	uint8_t *at = na > 0 ? &chip->positive[contact % ONI_STIM_CHANNELS] :
			       &chip->negative[contact % ONI_STIM_CHANNELS];
	char a[DECIMAL_TEXT], b[DECIMAL_TEXT];

	if (*at && *at != steps)
		return fail(c, c->pulse->phases_line,
			    "[pulse %s]: contact %u gets %s uA here and %s uA elsewhere: a channel has one "
			    "amplitude of each polarity, use the same or another contact",
			    c->pulse->name, contact, decimal_text(a, (uint64_t)steps * c->s->step_na, 3),
			    decimal_text(b, (uint64_t)*at * c->s->step_na, 3));
	*at = steps;
	return 0;
}

static int add_segment(struct compiling *c, uint32_t contact, uint64_t start, uint64_t end,
		       bool positive)
{
	if (end > ONI_STIM_TIME_MAX)
		return fail(c, c->pulse->line, "[pulse %s] ends after more than the 138.9 s that a chip can "
			    "count: make it shorter", c->pulse->name);
	if (c->count == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 256;
		struct segment *grown = realloc(c->segments, cap * sizeof(*grown));

		if (!grown)
			return fail(c, 0, "out of memory");
		c->segments = grown;
		c->cap = cap;
	}
	c->segments[c->count++] = (struct segment){
		contact, (uint32_t)start, (uint32_t)end, positive, c->pulse
	};
	return 0;
}

/* One [pulse] section in periods. */
struct timing {
	uint64_t width[STIMULUS_PHASES];
	uint8_t steps[STIMULUS_PHASES];
	uint64_t length, period, train_length, train_period, start, stagger;
};

static int take_timing(struct compiling *c, struct timing *t)
{
	const struct stimulus_pulse *p = c->pulse;
	wide asked = 0, made = 0;

	memset(t, 0, sizeof(*t));
	for (unsigned int i = 0; i < p->n_phases; i++) {
		const struct stimulus_phase *ph = &p->phases[i];

		if (take_time(c, p->phases_line, ph->na ? "a phase" : "a gap", ph->ns, PERIOD, 1,
			      &t->width[i]) < 0 ||
		    (ph->na && take_steps(c, ph->na, &t->steps[i]) < 0))
			return -1;
		asked += (wide)ph->na * (wide)ph->ns;
		made += (wide)(ph->na > 0 ? 1 : -1) * t->steps[i] * (wide)t->width[i];
		t->length += t->width[i];
	}
	if (keep_balance(c, asked, made, "steps x periods") < 0 ||
	    take_period(c, &p->pulses, "a period of pulses", t->length, PERIOD, &t->period) < 0)
		return -1;
	/* Each pulse changes its channel at least twice. */
	if ((uint64_t)p->pulses.count * p->trains.count > ONI_STIM_SLOTS / 2)
		return fail(c, p->pulses.line ? p->pulses.line : p->trains.line,
			    "[pulse %s]: %u pulses in %u trains are more than the %u rows of a delta table "
			    "can hold: use fewer and fire more often", p->name, p->pulses.count,
			    p->trains.count, ONI_STIM_SLOTS);
	t->train_length = (p->pulses.count - 1) * t->period + t->length;
	if (take_period(c, &p->trains, "a period of trains", t->train_length, PERIOD,
			&t->train_period) < 0 ||
	    take_time(c, p->start_line, "a start", p->start_ns, PERIOD, 0, &t->start) < 0)
		return -1;
	return take_time(c, p->stagger_line, "a stagger", p->stagger_ns, PERIOD, 0, &t->stagger);
}

static int add_one(struct compiling *c, const struct timing *t, uint32_t contact, uint64_t at)
{
	const struct stimulus_pulse *p = c->pulse;

	for (unsigned int i = 0; i < p->n_phases; at += t->width[i++])
		if (p->phases[i].na && add_segment(c, contact, at, at + t->width[i],
						   p->phases[i].na > 0) < 0)
			return -1;
	return 0;
}

static int add_pulses(struct compiling *c)
{
	const struct stimulus_pulse *p = c->pulse;
	struct timing t;

	if (take_timing(c, &t) < 0)
		return -1;
	for (unsigned int k = 0; k < p->n_contacts; k++) {
		for (unsigned int i = 0; i < p->n_phases; i++)
			if (p->phases[i].na &&
			    set_amplitude(c, p->contacts[k], p->phases[i].na, t.steps[i]) < 0)
				return -1;
		for (uint32_t train = 0; train < p->trains.count; train++)
			for (uint32_t n = 0; n < p->pulses.count; n++)
				if (add_one(c, &t, p->contacts[k], t.start + k * t.stagger +
					    train * t.train_period + n * t.period) < 0)
					return -1;
	}
	return 0;
}

static int by_contact(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	if (x->contact != y->contact)
		return x->contact < y->contact ? -1 : 1;
	return (x->start > y->start) - (x->start < y->start);
}

static int no_overlap(struct compiling *c)
{
	char a[DECIMAL_TEXT];

	qsort(c->segments, c->count, sizeof(*c->segments), by_contact);
	for (size_t i = 1; i < c->count; i++) {
		const struct segment *x = &c->segments[i - 1], *y = &c->segments[i];

		if (x->contact == y->contact && y->start < x->end)
			return fail(c, y->pulse->line,
				    "contact %u is to do two things at once, %s us after the trigger: of "
				    "[pulse %s] and [pulse %s]; move one of them with start_us",
				    y->contact, us(a, y->start * PERIOD), x->pulse->name,
				    y->pulse->name);
	}
	return 0;
}

/* A moment at which a channel changes. */
struct edge {
	uint32_t time;
	uint32_t contact;
	uint32_t state;		/* of its two bits from then on */
};

static int by_time(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	/* Off before on: a phase that begins where another ends is on. */
	return (x->state != 0) - (y->state != 0);
}

static int add_row(struct compiling *c, uint32_t chip, uint32_t time, uint32_t polen)
{
	struct oni_stim_chip *to = &c->out->program.chip[chip];

	if (to->rows == ONI_STIM_SLOTS)
		return fail(c, 0, "the delta table of chip %u needs more than the %u rows that it has: use "
			    "fewer pulses, or make channels change at the same time", chip,
			    ONI_STIM_SLOTS);
	to->rows++;
	c->out->rows[c->out->nrows++] = (struct oni_stim_delta){ time, polen };
	return 0;
}

/* The table of one chip, from edges in order of time. */
static int add_table(struct compiling *c, uint32_t chip, const struct edge *edges, size_t n,
		     uint32_t length)
{
	uint32_t state = 0, last = 0, time = 0;
	size_t i = 0;

	while (i < n) {
		time = edges[i].time;
		for (; i < n && edges[i].time == time; i++) {
			uint32_t ch = edges[i].contact % ONI_STIM_CHANNELS;

			if (edges[i].contact / ONI_STIM_CHANNELS != chip)
				continue;
			/* Its two bits only: what the others do goes on. */
			state &= ~(1u << ch | 1u << (16 + ch));
			state |= edges[i].state;
		}
		if (state != last && add_row(c, chip, time, state) < 0)
			return -1;
		last = state;
	}
	if (!c->out->program.chip[chip].rows)
		return 0;
	/* Silence at the end, and chips that are started from outside end together. */
	if (c->out->rows[c->out->nrows - 1].time < length)
		return add_row(c, chip, length, 0);
	return 0;
}

static struct edge *make_edges(const struct compiling *c, uint32_t *length)
{
	struct edge *edges = malloc(2 * c->count * sizeof(*edges));
	size_t i;

	*length = 0;
	for (i = 0; edges && i < c->count; i++) {
		const struct segment *s = &c->segments[i];
		uint32_t ch = s->contact % ONI_STIM_CHANNELS;

		edges[2 * i] = (struct edge){
			s->start, s->contact, 1u << ch | (uint32_t)s->positive << (16 + ch)
		};
		edges[2 * i + 1] = (struct edge){ s->end, s->contact, 0 };
		if (s->end > *length)
			*length = s->end;
	}
	if (edges)
		qsort(edges, 2 * c->count, sizeof(*edges), by_time);
	return edges;
}

static int make_tables(struct compiling *c)
{
	bool outside = c->s->sources != ONI_STIM_FROM_REGISTER;
	uint32_t length = 0, chip;
	struct edge *edges;
	uint64_t tail;
	int rc = 0;

	if (take_time(c, c->s->tail_line, "a tail", c->s->tail_ns, PERIOD, 0, &tail) < 0)
		return -1;
	edges = make_edges(c, &length);
	if (!edges)
		return fail(c, 0, "out of memory");
	if (length + tail > ONI_STIM_TIME_MAX)
		rc = fail(c, c->s->tail_line, "the tail ends after more than the 138.9 s that a chip can "
			  "count: make it shorter");
	length += (uint32_t)tail;
	for (chip = 0; !rc && chip < ONI_STIM_CHIPS; chip++)
		rc = add_table(c, chip, edges, 2 * c->count, outside || tail ? length : 0);
	free(edges);
	return rc;
}

static int compile_rhs(struct compiling *c)
{
	for (uint32_t chip = 0; chip < ONI_STIM_CHIPS; chip++)
		c->out->program.chip[chip].step_na = c->s->step_na;
	for (unsigned int i = 0; i < c->s->n_pulses; i++) {
		c->pulse = &c->s->pulses[i];
		if (add_pulses(c) < 0)
			return -1;
	}
	if (no_overlap(c) < 0)
		return -1;
	return make_tables(c);
}

/* ---- headstage-64 --------------------------------------------------------------- */

/* The current of a code: (2 * code - 65535) steps of 500000 / 13107 nA; odd, never 0. */
static int take_code(struct compiling *c, int64_t na, int64_t *steps)
{
	uint64_t abs = (uint64_t)llabs(na), num = abs * ONI_STIM_HS64_NA_DEN, k, made;
	int line = c->pulse->phases_line;
	char a[DECIMAL_TEXT], b[DECIMAL_TEXT];

	/* The odd number that is nearest; the smaller one in the middle of two. */
	k = num / (2 * ONI_STIM_HS64_NA_NUM) * 2 + 1;
	if (num && num % (2 * ONI_STIM_HS64_NA_NUM) == 0)
		k -= 2;
	decimal_signed(a, na, 3, false);
	if (k > HS64_FULL)
		return fail(c, line, "%s uA are more than the 2500 uA of the headstage: write less", a);
	made = nearest((wide)k * ONI_STIM_HS64_NA_NUM, ONI_STIM_HS64_NA_DEN);
	decimal_signed(b, na < 0 ? -(int64_t)made : (int64_t)made, 3, false);
	if (k * ONI_STIM_HS64_NA_NUM != num && !c->s->nearest)
		return fail(c, line, "%s uA is no current of the headstage, whose steps of 76.3 nA are no "
			    "round numbers: the nearest is %s uA; use 'round = nearest'", a, b);
	if (k * ONI_STIM_HS64_NA_NUM != num)
		note(c, line, "%s uA became %s uA (rounded to 1 nA)", a, b);
	*steps = na < 0 ? -(int64_t)k : (int64_t)k;
	return 0;
}

static int take_register(struct compiling *c, int line, const char *what, uint64_t v, __u32 *out)
{
	if (v > UINT32_MAX)
		return fail(c, line, "%s does not fit the register of the headstage: make it shorter", what);
	*out = (uint32_t)v;
	return 0;
}

/* A time in us for a register. */
static int take_us(struct compiling *c, int line, const char *what, uint64_t ns, uint64_t least,
		   __u32 *out)
{
	uint64_t v;

	if (take_time(c, line, what, ns, 1000, least, &v) < 0)
		return -1;
	return take_register(c, line, what, v, out);
}

struct hs64_pulse {
	const struct stimulus_phase *first, *gap, *second;
	int64_t steps[2];
	uint64_t unit_ns;
	uint64_t ns;		/* of all three */
};

static int take_hs64_phases(struct compiling *c, struct hs64_pulse *h)
{
	const struct stimulus_pulse *p = c->pulse;
	struct oni_stim_hs64 *r = &c->out->program.hs64;
	uint64_t gap = 0;
	char net[DECIMAL_TEXT];
	wide asked, made;

	h->first = &p->phases[0];
	h->second = &p->phases[p->n_phases - 1];
	h->gap = p->n_phases == 3 ? &p->phases[1] : NULL;
	if (p->n_phases < 2 || p->n_phases > 3 || (h->gap && h->gap->na))
		return fail(c, p->phases_line, "headstage-64 has two phases: write a current, a gap of 0 uA "
			    "if you want one, and a current");
	if (take_code(c, h->first->na, &h->steps[0]) < 0 ||
	    take_code(c, h->second->na, &h->steps[1]) < 0 ||
	    take_us(c, p->phases_line, "a phase", h->first->ns, 1, &r->duration1) < 0 ||
	    take_us(c, p->phases_line, "a phase", h->second->ns, 1, &r->duration2) < 0)
		return -1;
	if (h->gap && take_time(c, p->phases_line, "a gap", h->gap->ns, h->unit_ns, 1, &gap) < 0)
		return -1;
	if (take_register(c, p->phases_line, "a gap", gap, &r->interphase) < 0)
		return -1;
	asked = (wide)h->first->na * (wide)h->first->ns + (wide)h->second->na * (wide)h->second->ns;
	made = (wide)h->steps[0] * r->duration1 + (wide)h->steps[1] * r->duration2;
	if (keep_balance(c, asked, made, "steps of 38.1 nA x us") < 0)
		return -1;
	r->biphasic = 1;
	r->current1 = (uint32_t)((h->steps[0] + HS64_FULL) / 2);
	r->current2 = (uint32_t)((h->steps[1] + HS64_FULL) / 2);
	/* No code is no current: the one that works against what is left. */
	r->rest = made > 0 ? 32767 : 32768;
	if (gap)
		note(c, p->phases_line, "the headstage cannot rest at 0: in the gap %s0.038 uA flow, %s pC "
		     "per pulse", made > 0 ? "-" : "+",
		     decimal_text(net, nearest((wide)gap * (wide)h->unit_ns * ONI_STIM_HS64_NA_NUM,
					       (wide)ONI_STIM_HS64_NA_DEN * 1000), 3));
	h->ns = ((uint64_t)r->duration1 + r->duration2) * 1000 + gap * h->unit_ns;
	return 0;
}

static int compile_hs64(struct compiling *c)
{
	struct hs64_pulse h = {
		.unit_ns = c->s->reading & ONI_STIM_HS64_UNIT_10US ? 10000 : 1000,
	};
	struct oni_stim_hs64 *r = &c->out->program.hs64;
	const struct stimulus_pulse *p = &c->s->pulses[0];
	uint64_t period, trains, burst, pulse;
	wide whole;

	c->pulse = p;
	if (take_hs64_phases(c, &h) < 0)
		return -1;
	/* Whole units of the register, and what is left of a pulse in the next one. */
	pulse = (h.ns + h.unit_ns - 1) / h.unit_ns;
	if (take_period(c, &p->pulses, "a period of pulses", pulse, h.unit_ns, &period) < 0)
		return -1;
	if (p->pulses.count > 1 && c->s->reading & ONI_STIM_HS64_PAUSE && h.ns % h.unit_ns)
		return fail(c, p->phases_line, "the pulse lasts %llu us and the register of the pause after "
			    "it counts in 10 us: make the pulse a multiple of 10 us",
			    (unsigned long long)(h.ns / 1000));
	if (take_register(c, p->pulses.line, "a period of pulses", p->pulses.count < 2 ? 0 :
			  period - (c->s->reading & ONI_STIM_HS64_PAUSE ? pulse : 0),
			  &r->interpulse) < 0)
		return -1;
	whole = ((wide)(p->pulses.count - 1) * period * (wide)h.unit_ns + (wide)h.ns) / 1000;
	if (whole > UINT32_MAX)
		return fail(c, p->pulses.line, "the pulses of a train take longer than the headstage can "
			    "count: use fewer");
	burst = (uint64_t)whole;
	if (take_period(c, &p->trains, "a period of trains", burst, 1000, &trains) < 0 ||
	    take_register(c, p->trains.line, "a period of trains",
			  p->trains.count < 2 ? 0 : trains - burst, &r->interburst) < 0 ||
	    take_us(c, p->start_line, "a start", p->start_ns, 0, &r->delay) < 0)
		return -1;
	r->pulses = p->pulses.count;
	r->bursts = p->trains.count;
	return 0;
}

/* ---- both ------------------------------------------------------------------------- */
int compile(const struct stimulus *s, struct compiled *out, struct problem *problem)
{
	struct compiling c = { .s = s, .out = out, .problem = problem };
	int rc;

	memset(out, 0, sizeof(*out));
	memset(problem, 0, sizeof(*problem));
	out->program.size = sizeof(out->program);
	out->program.version = ONI_STIM_VERSION;
	out->program.kind = s->kind;
	out->program.sources = s->sources;
	out->program.watchdog_ms = s->watchdog_ms;
	out->reading = s->reading;
	rc = s->kind == ONI_STIM_RHS2116 ? compile_rhs(&c) : compile_hs64(&c);
	free(c.segments);
	return rc;
}

void compile_free(struct compiled *c)
{
	for (unsigned int i = 0; i < c->n_notes; i++)
		free(c->notes[i]);
	c->n_notes = 0;
}

/* ---- the currents of a program ------------------------------------------------------ */
struct listing {
	struct compiled_current *out;
	size_t n, most;
};

static void list_current(struct listing *l, uint32_t contact, uint64_t at, uint64_t ns, int64_t level)
{
	struct compiled_current *last = l->n && l->n <= l->most ? &l->out[l->n - 1] : NULL;

	if (!level || !ns)
		return;
	/* A row that changes other channels only. */
	if (last && last->contact == contact && last->level == level &&
	    last->at_ns + last->ns == at) {
		last->ns += ns;
		return;
	}
	if (l->n < l->most)
		l->out[l->n] = (struct compiled_current){ contact, at, ns, level };
	l->n++;
}

static void list_rhs(const struct compiled *c, struct listing *l)
{
	for (uint32_t contact = 0; contact < ONI_STIM_CONTACTS; contact++) {
		const struct oni_stim_chip *chip = &c->program.chip[contact / ONI_STIM_CHANNELS];
		const struct oni_stim_delta *row = c->rows;
		uint32_t ch = contact % ONI_STIM_CHANNELS, i;

		if (contact >= ONI_STIM_CHANNELS)
			row += c->program.chip[0].rows;
		for (i = 0; i + 1 < chip->rows; i++) {
			uint32_t on = row[i].polen >> ch & 1, positive = row[i].polen >> (16 + ch) & 1;
			int64_t steps = positive ? chip->positive[ch] : -(int64_t)chip->negative[ch];

			list_current(l, contact, row[i].time * PERIOD,
				     (row[i + 1].time - row[i].time) * PERIOD,
				     on ? steps * chip->step_na : 0);
		}
	}
}

/* As the stimulus says that the registers are to be read. */
static void list_hs64(const struct compiled *c, struct listing *l)
{
	const struct oni_stim_hs64 *h = &c->program.hs64;
	uint64_t unit = c->reading & ONI_STIM_HS64_UNIT_10US ? 10000 : 1000;
	uint64_t first = h->duration1 * 1000ull, gap = h->interphase * unit;
	uint64_t second = h->duration2 * 1000ull, pause = h->interpulse * unit;
	uint64_t at = h->delay * 1000ull;

	if (c->reading & ONI_STIM_HS64_PERIOD && pause)
		pause -= first + gap + second;
	for (uint32_t b = 0; b < h->bursts; b++) {
		for (uint32_t p = 0; p < h->pulses; p++) {
			list_current(l, 0, at, first, 2 * (int64_t)h->current1 - HS64_FULL);
			list_current(l, 0, at + first, gap, 2 * (int64_t)h->rest - HS64_FULL);
			list_current(l, 0, at + first + gap, second,
				     2 * (int64_t)h->current2 - HS64_FULL);
			at += first + gap + second + (p + 1 < h->pulses ? pause : 0);
			if (l->n > l->most)
				return;
		}
		at += h->interburst * 1000ull;
	}
}

size_t compile_currents(const struct compiled *c, struct compiled_current *out, size_t most,
			struct compiled_scale *scale)
{
	struct listing l = { out, 0, most };

	if (c->program.kind == ONI_STIM_RHS2116) {
		*scale = (struct compiled_scale){ 1, 1 };
		list_rhs(c, &l);
	} else {
		*scale = (struct compiled_scale){ ONI_STIM_HS64_NA_NUM, ONI_STIM_HS64_NA_DEN };
		list_hs64(c, &l);
	}
	return l.n;
}
