// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Bounds of a stimulation program. See oni_stim_check.h.
 *
 * Order of the work: form, then length of the train, then each contact. When
 * the length was found to be at most TRAIN_CAP_NS, no sum of currents over
 * time can leave 64 bits: 32 contacts of 2.55 mA for 10 s are 8.2e17 aC.
 */
#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/string.h>
#else
#include <string.h>
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define div64_u64(a, b)	((a) / (b))
#endif

#include "oni_stim_check.h"

#define NA_FULL_SCALE	2550000u
#define TRAIN_CAP_NS	10000000000ull
#define AC_PER_FC	1000u
#define NEVER		(~(u64)0)

#define WINDOW_MIN_NS	1000000ull
#define WINDOW_MAX_NS	3600000000000ull

/*
 * Ceilings of the ceilings. They keep the arithmetic inside 64 bits, and they
 * are where full scale and what no protocol needs are written down.
 */
static const u64 hard[ONI_STIM_LIMITS] = {
	[ONI_STIM_AREA] = 0xffffffffu,		/* 43 cm2 */
	[ONI_STIM_AMPLITUDE] = NA_FULL_SCALE,
	[ONI_STIM_CHARGE] = 1ull << 50,
	[ONI_STIM_DENSITY] = 1u << 30,
	[ONI_STIM_SHANNON] = 100000000u,	/* k = 4 */
	[ONI_STIM_NET] = 1ull << 50,
	[ONI_STIM_WIDTH] = 5000000u,
	[ONI_STIM_GAP] = TRAIN_CAP_NS,
	[ONI_STIM_RATE] = 1ull << 40,
	[ONI_STIM_DUTY] = 1000000u,
	[ONI_STIM_TRAIN] = TRAIN_CAP_NS,
	[ONI_STIM_WATCHDOG] = 10000u,
	[ONI_STIM_EXTERNAL] = 1,
};

/**
 * oni_stim_hard_limit - the ceiling that no policy can raise
 * @limit: enum oni_stim_limit
 * @contact: all currents can meet in ONI_STIM_RETURN
 */
u64 oni_stim_hard_limit(u32 limit, u32 contact)
{
	if (limit >= ONI_STIM_LIMITS)
		return 0;
	if (limit == ONI_STIM_AMPLITUDE && contact == ONI_STIM_RETURN)
		return hard[limit] * ONI_STIM_CONTACTS;
	return hard[limit];
}

/**
 * oni_stim_lower - lower ceilings to those of another source
 * @class: ceilings in force, changed
 * @other: ceilings of the other source; a higher one changes nothing
 */
void oni_stim_lower(struct oni_stim_class *class,
		    const struct oni_stim_class *other)
{
	u32 i;

	for (i = 0; i < ONI_STIM_LIMIT_SLOTS; i++)
		if (other->max[i] < class->max[i]) {
			class->max[i] = other->max[i];
			class->source[i] = other->source[i];
		}
}

/* ---- arithmetic ------------------------------------------------------- */
static u64 mul_sat(u64 a, u64 b)
{
	return a && b > div64_u64(NEVER, a) ? NEVER : a * b;
}

static u64 add_sat(u64 a, u64 b)
{
	return b > NEVER - a ? NEVER : a + b;
}

static u64 div_up(u64 a, u64 b)
{
	return div64_u64(a, b) + (a != div64_u64(a, b) * b);
}

static void raise_to(u64 *val, u64 least)
{
	if (*val < least)
		*val = least;
}

static u64 magnitude(s64 v)
{
	return v < 0 ? -(u64)v : (u64)v;
}

struct wide {
	u64 hi;
	u64 lo;
};

static struct wide mul_wide(u64 a, u64 b)
{
	u64 al = (u32)a, ah = a >> 32, bl = (u32)b, bh = b >> 32;
	u64 mid = ah * bl + (al * bl >> 32);
	u64 mid2 = al * bh + (u32)mid;

	return (struct wide) {
		.hi = ah * bh + (mid >> 32) + (mid2 >> 32),
		.lo = mid2 << 32 | (u32)(al * bl),
	};
}

static bool wide_above(struct wide a, struct wide b)
{
	return a.hi > b.hi || (a.hi == b.hi && a.lo > b.lo);
}

/* ---- refusals --------------------------------------------------------- */
static bool refuse(struct oni_stim_verdict *v, u32 code, u32 contact,
		   u64 asked, u64 allowed, u32 where)
{
	memset(v, 0, sizeof(*v));
	v->code = code;
	v->contact = contact;
	v->asked = asked;
	v->allowed = allowed;
	v->source = code >= ONI_STIM_BAD_POLICY ? ONI_STIM_BY_HARDWARE : 0;
	v->where = where;
	return false;
}

/* A contact, its ceilings, and where a refusal goes. */
struct judge {
	const struct oni_stim_class *cls;
	struct oni_stim_verdict *v;
	u32 contact;
};

static u64 ceiling(const struct judge *j, u32 limit, u32 *source)
{
	u64 top = oni_stim_hard_limit(limit, j->contact);

	*source = j->cls->source[limit];
	if (j->cls->max[limit] <= top)
		return j->cls->max[limit];
	*source = ONI_STIM_BY_HARDWARE;
	return top;
}

static bool exceeds(const struct judge *j, u32 limit, u64 asked)
{
	u32 source;
	u64 allowed = ceiling(j, limit, &source);

	if (asked <= allowed)
		return false;
	refuse(j->v, limit, j->contact, asked, allowed, 0);
	j->v->source = source;
	return true;
}

/* ---- one contact over time -------------------------------------------- */

/*
 * Current is in steps of num / den nA. The two hold every value of a level
 * exactly, so that balance is a matter of integers.
 */
struct scale {
	u32 num;
	u32 den;
};

/* Rounded up; @v is at most 2^50 steps for den > 1. */
static u64 scaled_up(struct scale s, u64 v)
{
	u64 q = div64_u64(v, s.den);

	return q * s.num + div_up((v - q * s.den) * s.num, s.den);
}

static u64 unscaled_down(struct scale s, u64 v)
{
	u64 q = div64_u64(v, s.num);

	return q * s.den + div64_u64((v - q * s.num) * s.den, s.num);
}

/**
 * struct account - what happened at a contact so far; charge in steps * ns
 * @tolerance: charge that counts as balanced for the gap
 * @net: since the trigger
 * @run: charge of the phase that is under way
 * @run_ns: time that it was on
 * @run_sign: its polarity, 0: none yet
 * @now: polarity of the current, 0: off
 * @off_ns: off for so long
 * @onset: last one of each polarity, negative first; NEVER: none
 * @level: largest current
 * @charge: largest charge of a phase, or distance from balance
 * @width_ns: longest phase
 * @gap_ns: longest pause out of balance
 * @period_ns: shortest time between two onsets of one polarity
 * @on_ns: time with current
 */
struct account {
	u64 tolerance;
	s64 net;
	u64 run;
	u64 run_ns;
	int run_sign;
	int now;
	u64 off_ns;
	u64 onset[2];
	u64 level;
	u64 charge;
	u64 width_ns;
	u64 gap_ns;
	u64 period_ns;
	u64 on_ns;
};

static void account_init(struct account *a, u64 tolerance)
{
	memset(a, 0, sizeof(*a));
	a->tolerance = tolerance;
	a->onset[0] = NEVER;
	a->onset[1] = NEVER;
	a->period_ns = NEVER;
}

static void raise(u64 *peak, u64 v)
{
	if (v > *peak)
		*peak = v;
}

static void account_onset(struct account *a, int sign, u64 at)
{
	u32 i = sign > 0;

	if (a->onset[i] != NEVER && at - a->onset[i] < a->period_ns)
		a->period_ns = at - a->onset[i];
	a->onset[i] = at;
}

/* @level flows from @at on for @ns. Times do not go back. */
static void account_add(struct account *a, u64 at, u64 ns, s64 level)
{
	int sign = (level > 0) - (level < 0);
	u64 amount = magnitude(level) * ns;

	if (!ns)
		return;
	if (!sign) {
		a->now = 0;
		a->off_ns += ns;
		if (magnitude(a->net) > a->tolerance)
			raise(&a->gap_ns, a->off_ns);
		if (!a->net) {
			a->run = 0;
			a->run_ns = 0;
		}
		return;
	}
	a->off_ns = 0;
	if (sign != a->now)
		account_onset(a, sign, at);
	if (sign != a->run_sign) {
		a->run = 0;
		a->run_ns = 0;
	}
	a->now = sign;
	a->run_sign = sign;
	a->run += amount;
	a->run_ns += ns;
	a->on_ns += ns;
	a->net += sign > 0 ? (s64)amount : -(s64)amount;
	raise(&a->level, magnitude(level));
	raise(&a->charge, a->run);
	raise(&a->charge, magnitude(a->net));
	raise(&a->width_ns, a->run_ns);
}

/* What is judged of a contact; charge in aC. */
struct demand {
	u64 level_na;
	u64 charge;
	u64 net;
	u64 width_ns;
	u64 gap_ns;
	u64 period_ns;
	u64 window_on_ns;
};

static u64 tolerance(const struct judge *j, struct scale s)
{
	u32 source;

	return unscaled_down(s, ceiling(j, ONI_STIM_NET, &source) * AC_PER_FC);
}

/* charge^2 / area in pC2/um2 is above the ceiling: exact, in 128 bits. */
static bool above_shannon(const struct judge *j, u64 charge)
{
	u64 area, top, pc = div_up(charge, 1000000);
	u32 source;

	area = ceiling(j, ONI_STIM_AREA, &source);
	top = ceiling(j, ONI_STIM_SHANNON, &source);
	if (!wide_above(mul_wide(charge, charge),
			mul_wide(area * top, 1000000000000ull)))
		return false;
	refuse(j->v, ONI_STIM_SHANNON, j->contact,
	       pc >> 32 ? NEVER : div_up(pc * pc, area), top, 0);
	j->v->source = source;
	return true;
}

static bool judge(const struct judge *j, const struct demand *d, u64 window)
{
	u64 rate = d->period_ns == NEVER ? 0 :
		   div_up(1000000000000ull, d->period_ns);
	u32 source;

	return !exceeds(j, ONI_STIM_AMPLITUDE, d->level_na) &&
	       !exceeds(j, ONI_STIM_NET, div_up(d->net, AC_PER_FC)) &&
	       !exceeds(j, ONI_STIM_WIDTH, d->width_ns) &&
	       !exceeds(j, ONI_STIM_CHARGE, div_up(d->charge, AC_PER_FC)) &&
	       !exceeds(j, ONI_STIM_DENSITY,
			div_up(d->charge,
			       10 * ceiling(j, ONI_STIM_AREA, &source))) &&
	       !above_shannon(j, d->charge) &&
	       !exceeds(j, ONI_STIM_GAP, d->gap_ns) &&
	       !exceeds(j, ONI_STIM_RATE, rate) &&
	       !exceeds(j, ONI_STIM_DUTY,
			div_up(d->window_on_ns * 1000000, window));
}

/* ---- policy and form of a program ------------------------------------- */
static bool zero(const void *data, u32 bytes)
{
	const u8 *p = data;
	u32 i;

	for (i = 0; i < bytes; i++)
		if (p[i])
			return false;
	return true;
}

/* Slots for limits that are not invented yet, and classes that are not in use. */
static bool class_ok(const struct oni_stim_class *c, bool used)
{
	u32 n = used ? ONI_STIM_LIMITS : 0;

	return zero(&c->max[n], (ONI_STIM_LIMIT_SLOTS - n) * sizeof(u64)) &&
	       zero(&c->source[n], ONI_STIM_LIMIT_SLOTS - n);
}

static bool policy_ok(const struct oni_stim_policy *p,
		      struct oni_stim_verdict *v)
{
	u32 units = ONI_STIM_HS64_UNIT_1US | ONI_STIM_HS64_UNIT_10US;
	u32 meanings = ONI_STIM_HS64_PAUSE | ONI_STIM_HS64_PERIOD;
	u32 i;

	if (p->size != sizeof(*p))
		return refuse(v, ONI_STIM_BAD_POLICY, ONI_STIM_NO_CONTACT,
			      p->size, sizeof(*p), 0);
	if (p->version != ONI_STIM_VERSION)
		return refuse(v, ONI_STIM_BAD_POLICY, ONI_STIM_NO_CONTACT,
			      p->version, ONI_STIM_VERSION, 1);
	if (p->classes > ONI_STIM_CLASSES)
		return refuse(v, ONI_STIM_BAD_POLICY, ONI_STIM_NO_CONTACT,
			      p->classes, ONI_STIM_CLASSES, 2);
	if (!(p->hs64_readings & units) || !(p->hs64_readings & meanings) ||
	    p->hs64_readings & ~(units | meanings))
		return refuse(v, ONI_STIM_BAD_POLICY, ONI_STIM_NO_CONTACT,
			      p->hs64_readings, ONI_STIM_HS64_ANY, 3);
	if (p->duty_window_ns < WINDOW_MIN_NS ||
	    p->duty_window_ns > WINDOW_MAX_NS)
		return refuse(v, ONI_STIM_BAD_POLICY, ONI_STIM_NO_CONTACT,
			      p->duty_window_ns, WINDOW_MAX_NS, 4);
	for (i = 0; i < ONI_STIM_CONTACT_SLOTS; i++)
		if (p->class_of[i] > (i > ONI_STIM_RETURN ? 0 : p->classes))
			return refuse(v, ONI_STIM_BAD_POLICY, i, p->class_of[i],
				      i > ONI_STIM_RETURN ? 0 : p->classes, 5);
	for (i = 0; i < ONI_STIM_CLASSES; i++)
		if (!class_ok(&p->cls[i], i < p->classes))
			return refuse(v, ONI_STIM_BAD_POLICY,
				      ONI_STIM_NO_CONTACT, i, p->classes, 6);
	return true;
}

static bool program_ok(const struct oni_stim_program *p, u32 nrows,
		       struct oni_stim_verdict *v)
{
	u32 all = ONI_STIM_FROM_REGISTER | ONI_STIM_FROM_GPIO |
		  ONI_STIM_FROM_SYNC;
	bool rhs = p->kind == ONI_STIM_RHS2116;

	if (p->size != sizeof(*p))
		return refuse(v, ONI_STIM_BAD_PROGRAM, ONI_STIM_NO_CONTACT,
			      p->size, sizeof(*p), 0);
	if (p->version != ONI_STIM_VERSION)
		return refuse(v, ONI_STIM_BAD_PROGRAM, ONI_STIM_NO_CONTACT,
			      p->version, ONI_STIM_VERSION, 1);
	if (!rhs && p->kind != ONI_STIM_HS64)
		return refuse(v, ONI_STIM_BAD_PROGRAM, ONI_STIM_NO_CONTACT,
			      p->kind, ONI_STIM_HS64, 2);
	if (!p->sources || p->sources & ~(rhs ? all : ONI_STIM_FROM_REGISTER))
		return refuse(v, ONI_STIM_BAD_PROGRAM, ONI_STIM_NO_CONTACT,
			      p->sources, rhs ? all : ONI_STIM_FROM_REGISTER,
			      3);
	if (!p->watchdog_ms)
		return refuse(v, ONI_STIM_BAD_PROGRAM, ONI_STIM_NO_CONTACT,
			      0, 1, 4);
	/* With source 1 only the sync line is heard, with 0 all but that. */
	if (p->sources & ONI_STIM_FROM_SYNC && p->sources != ONI_STIM_FROM_SYNC)
		return refuse(v, ONI_STIM_BAD_PROGRAM, ONI_STIM_NO_CONTACT,
			      p->sources, ONI_STIM_FROM_SYNC, 3);
	if (p->delay)
		return refuse(v, ONI_STIM_BAD_PROGRAM, ONI_STIM_NO_CONTACT,
			      p->delay, 0, 5);
	if (rhs ? !zero(&p->hs64, sizeof(p->hs64)) :
	    !zero(p->chip, sizeof(p->chip)) || nrows)
		return refuse(v, ONI_STIM_BAD_PROGRAM, ONI_STIM_NO_CONTACT,
			      1, 0, 6);
	return true;
}

static bool external(const struct oni_stim_program *p)
{
	return p->sources & ~ONI_STIM_FROM_REGISTER;
}

/* A contact is in the policy, and the whole program may be run on it. */
static bool judge_contact(struct judge *j, const struct oni_stim_policy *policy,
			  const struct oni_stim_program *program, u64 train_ns,
			  u32 contact, struct oni_stim_verdict *v)
{
	u32 class = policy->class_of[contact];

	j->contact = contact;
	j->v = v;
	if (!class) {
		refuse(v, ONI_STIM_UNKNOWN_CONTACT, contact, 1, 0, 0);
		v->source = ONI_STIM_BY_NOBODY;
		return false;
	}
	j->cls = &policy->cls[class - 1];
	if (!j->cls->max[ONI_STIM_AREA]) {
		refuse(v, ONI_STIM_NO_AREA, contact, 1, 0, class - 1);
		v->source = j->cls->source[ONI_STIM_AREA];
		return false;
	}
	return !exceeds(j, ONI_STIM_EXTERNAL, external(program)) &&
	       !exceeds(j, ONI_STIM_WATCHDOG, program->watchdog_ms) &&
	       !exceeds(j, ONI_STIM_TRAIN, train_ns);
}

/* ---- RHS2116 ---------------------------------------------------------- */
static const u32 steps_na[] = {
	10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000
};

struct tables {
	const struct oni_stim_chip *chip[ONI_STIM_CHIPS];
	const struct oni_stim_delta *row[ONI_STIM_CHIPS];
};

/* The rows as one contact sees them, from segment to segment. */
struct walk {
	const struct tables *t;
	u32 contact;
	u32 next[ONI_STIM_CHIPS];
	u32 polen[ONI_STIM_CHIPS];
	/* the segment: level from at on for ns */
	u64 at;
	u64 ns;
	s64 level;
};

static s64 channel_level(const struct oni_stim_chip *chip, u32 polen, u32 ch)
{
	if (!(polen >> ch & 1))
		return 0;
	if (polen >> (16 + ch) & 1)
		return (s64)chip->positive[ch] * chip->step_na;
	return -(s64)chip->negative[ch] * chip->step_na;
}

static s64 walk_level(const struct walk *w)
{
	u32 n, ch;
	s64 sum = 0;

	if (w->contact != ONI_STIM_RETURN) {
		n = w->contact / ONI_STIM_CHANNELS;
		ch = w->contact % ONI_STIM_CHANNELS;
		return channel_level(w->t->chip[n], w->polen[n], ch);
	}
	for (n = 0; n < ONI_STIM_CHIPS; n++)
		for (ch = 0; ch < ONI_STIM_CHANNELS; ch++)
			sum -= channel_level(w->t->chip[n], w->polen[n], ch);
	return sum;
}

static bool walk_sees(const struct walk *w, u32 n)
{
	return w->contact == ONI_STIM_RETURN ||
	       w->contact / ONI_STIM_CHANNELS == n;
}

/* Time of the next row that concerns the contact, in periods. */
static u32 walk_next_time(const struct walk *w)
{
	u32 n, t = ~0u;

	for (n = 0; n < ONI_STIM_CHIPS; n++)
		if (walk_sees(w, n) && w->next[n] < w->t->chip[n]->rows &&
		    w->t->row[n][w->next[n]].time < t)
			t = w->t->row[n][w->next[n]].time;
	return t;
}

static void walk_start(struct walk *w, const struct tables *t, u32 contact)
{
	memset(w, 0, sizeof(*w));
	w->t = t;
	w->contact = contact;
}

/* To the next segment; false behind the last row, after which all is off. */
static bool walk_step(struct walk *w)
{
	u32 n, t = walk_next_time(w), end;

	if (t == ~0u)
		return false;
	for (n = 0; n < ONI_STIM_CHIPS; n++)
		if (walk_sees(w, n) && w->next[n] < w->t->chip[n]->rows &&
		    w->t->row[n][w->next[n]].time == t)
			w->polen[n] = w->t->row[n][w->next[n]++].polen;
	end = walk_next_time(w);
	if (end == ~0u)
		return false;
	w->at = (u64)t * ONI_STIM_PERIOD_NS;
	w->ns = (u64)(end - t) * ONI_STIM_PERIOD_NS;
	w->level = walk_level(w);
	return true;
}

/*
 * Time with current before the moment that moves forward with lead_to(). With a
 * @period the rows come again and again.
 */
struct lead {
	struct walk w;
	bool valid;
	u64 base;	/* start of the repetition */
	u64 period;	/* 0: once */
	u64 on_ns;	/* before the segment of w */
};

static void lead_step(struct lead *l)
{
	l->valid = walk_step(&l->w);
	if (l->valid || !l->period)
		return;
	l->base += l->period;
	walk_start(&l->w, l->w.t, l->w.contact);
	l->valid = walk_step(&l->w);
}

static void lead_start(struct lead *l, const struct tables *t, u32 contact,
		       u64 period)
{
	memset(l, 0, sizeof(*l));
	walk_start(&l->w, t, contact);
	l->period = period;
	l->valid = walk_step(&l->w);
}

static u64 lead_to(struct lead *l, u64 when)
{
	u64 at;

	while (l->valid && l->base + l->w.at + l->w.ns <= when) {
		if (l->w.level)
			l->on_ns += l->w.ns;
		lead_step(l);
	}
	at = l->base + l->w.at;
	if (l->valid && l->w.level && at < when)
		return l->on_ns + when - at;
	return l->on_ns;
}

/*
 * Most time with current in any window. One of the worst windows begins with a
 * current that begins, or it could be moved without loss: see the tests.
 */
static u64 window_on(const struct tables *t, u32 contact, u64 window,
		     u64 length, u64 on_ns, bool again)
{
	struct walk w;
	struct lead l;
	u64 whole = 0, before = 0, worst = 0, on;

	if (again) {
		whole = div64_u64(window, length);
		window -= whole * length;
		whole *= on_ns;
	} else if (window >= length) {
		return on_ns;
	}
	lead_start(&l, t, contact, again ? length : 0);
	walk_start(&w, t, contact);
	while (walk_step(&w)) {
		if (!w.level)
			continue;
		on = lead_to(&l, w.at + window) - before;
		raise(&worst, on);
		before += w.ns;
	}
	return whole + worst;
}

static bool chip_ok(const struct tables *t, u32 n, struct oni_stim_verdict *v)
{
	const struct oni_stim_chip *chip = t->chip[n];
	const struct oni_stim_delta *row = t->row[n];
	u32 i, known = 0;

	for (i = 0; i < ARRAY_SIZE(steps_na); i++)
		known |= steps_na[i] == chip->step_na;
	if (!known)
		return refuse(v, ONI_STIM_STEP_SIZE, ONI_STIM_NO_CONTACT,
			      chip->step_na, 10000, n << 16);
	for (i = 0; i < chip->rows; i++) {
		if (row[i].time > ONI_STIM_TIME_MAX)
			return refuse(v, ONI_STIM_TIME_RANGE,
				      ONI_STIM_NO_CONTACT, row[i].time,
				      ONI_STIM_TIME_MAX, n << 16 | i);
		if (i && row[i].time <= row[i - 1].time)
			return refuse(v, ONI_STIM_NOT_MONOTONIC,
				      ONI_STIM_NO_CONTACT, row[i].time,
				      (u64)row[i - 1].time + 1, n << 16 | i);
	}
	if (row[i - 1].polen & 0xffff)
		return refuse(v, ONI_STIM_LEFT_ON, ONI_STIM_NO_CONTACT,
			      row[i - 1].polen & 0xffff, 0, n << 16 | (i - 1));
	return true;
}

/* Fills @t and @length, the time of the last row. */
static bool tables_ok(struct tables *t, const struct oni_stim_program *p,
		      const struct oni_stim_delta *rows, u32 nrows,
		      u32 *length, struct oni_stim_verdict *v)
{
	u32 n, end, sum = 0;

	*length = 0;
	for (n = 0; n < ONI_STIM_CHIPS; n++) {
		t->chip[n] = &p->chip[n];
		t->row[n] = rows + sum;
		if (p->chip[n].rows > ONI_STIM_SLOTS)
			return refuse(v, ONI_STIM_TOO_MANY_SLOTS,
				      ONI_STIM_NO_CONTACT, p->chip[n].rows,
				      ONI_STIM_SLOTS, n << 16);
		sum += p->chip[n].rows;
	}
	if (sum != nrows || !nrows)
		return refuse(v, ONI_STIM_BAD_PROGRAM, ONI_STIM_NO_CONTACT,
			      nrows, sum, 7);
	for (n = 0; n < ONI_STIM_CHIPS; n++) {
		if (!p->chip[n].rows)
			continue;
		if (!chip_ok(t, n, v))
			return false;
		end = t->row[n][p->chip[n].rows - 1].time;
		/* Each is ready again at its own end: they would drift apart. */
		if (external(p) && *length && end != *length)
			return refuse(v, ONI_STIM_UNEQUAL_ENDS,
				      ONI_STIM_NO_CONTACT, end, *length, n << 16);
		if (end > *length)
			*length = end;
	}
	return true;
}

static bool rhs_contact(struct judge *j, const struct tables *t, u64 length,
			bool again, u64 window)
{
	static const struct scale na = { 1, 1 };
	struct demand d = { 0 };
	struct account a;
	struct walk w;
	bool before = false;
	u64 on_ns;

	account_init(&a, again ? 0 : tolerance(j, na));
	walk_start(&w, t, j->contact);
	while (walk_step(&w))
		account_add(&a, w.at, w.ns, w.level);
	if (again && a.net) {
		refuse(j->v, ONI_STIM_NET, j->contact,
		       div_up(magnitude(a.net), AC_PER_FC), 0, 0);
		j->v->source = ONI_STIM_BY_HARDWARE;
		return false;
	}
	/* Once more right behind; or a moment later, so that an onset is one. */
	a.now = 0;
	on_ns = a.on_ns;
	walk_start(&w, t, j->contact);
	while (again && walk_step(&w)) {
		if (!before)
			account_add(&a, length, w.at, 0);
		account_add(&a, length + w.at, w.ns, w.level);
		before = true;
	}
	d.level_na = a.level;
	d.charge = a.charge;
	d.net = magnitude(a.net);
	d.width_ns = a.width_ns;
	d.gap_ns = a.gap_ns;
	d.period_ns = a.period_ns;
	d.window_on_ns = window_on(t, j->contact, window, length, on_ns, again);
	return judge(j, &d, window);
}

static bool check_rhs(const struct oni_stim_policy *policy,
		      const struct oni_stim_program *program,
		      const struct oni_stim_delta *rows, u32 nrows,
		      struct oni_stim_verdict *v)
{
	u32 contact, i, length, used[ONI_STIM_CHIPS] = { 0 };
	struct tables t;
	struct judge j;
	u64 ns;

	if (!tables_ok(&t, program, rows, nrows, &length, v))
		return false;
	for (contact = 0; contact < ONI_STIM_CHIPS; contact++)
		for (i = 0; i < t.chip[contact]->rows; i++)
			used[contact] |= t.row[contact][i].polen & 0xffff;
	ns = (u64)length * ONI_STIM_PERIOD_NS;
	for (contact = 0; contact <= ONI_STIM_RETURN; contact++) {
		if (contact < ONI_STIM_CONTACTS &&
		    !(used[contact / ONI_STIM_CHANNELS] >>
		      contact % ONI_STIM_CHANNELS & 1))
			continue;
		if (contact == ONI_STIM_RETURN && !used[0] && !used[1])
			continue;
		if (!judge_contact(&j, policy, program, ns, contact, v) ||
		    !rhs_contact(&j, &t, ns, external(program),
				 policy->duty_window_ns))
			return false;
	}
	return true;
}

/* ---- headstage-64 ----------------------------------------------------- */

/* A pulse in steps and ns, and how it repeats. */
struct train {
	s64 level[3];		/* first phase, between, second phase */
	u64 ns[3];
	u64 pulse_ns;
	u64 gap_ns;		/* after a pulse, inside of a burst */
	u64 burst_gap_ns;
	u64 pulses;		/* of a burst */
	u64 bursts;
	u64 longest_ns;		/* with every doubt on the long side */
};

static bool hs64_ok(const struct oni_stim_hs64 *h, struct oni_stim_verdict *v)
{
	static const u8 reg_of[] = { 2, 3, 15 };
	const u32 code[] = { h->current1, h->current2, h->rest };
	u32 i;

	/* Whether the hardware looks at BIPHASIC is in doubt: so it is 1. */
	if (h->biphasic != 1)
		return refuse(v, ONI_STIM_PARAMETER, 0, h->biphasic, 1, 1);
	for (i = 0; i < 3; i++)
		if (code[i] > ONI_STIM_HS64_CODE_MAX)
			return refuse(v, ONI_STIM_PARAMETER, 0, code[i],
				      ONI_STIM_HS64_CODE_MAX, reg_of[i]);
	/* Nobody says what zero does: nothing, or everything but an end. */
	if (!h->duration1)
		return refuse(v, ONI_STIM_PARAMETER, 0, 0, 1, 4);
	if (!h->duration2)
		return refuse(v, ONI_STIM_PARAMETER, 0, 0, 1, 6);
	if (!h->pulses)
		return refuse(v, ONI_STIM_PARAMETER, 0, 0, 1, 8);
	if (!h->bursts)
		return refuse(v, ONI_STIM_PARAMETER, 0, 0, 1, 10);
	return true;
}

static s64 hs64_level(u32 code)
{
	return 2 * (s64)code - ONI_STIM_HS64_CODE_MAX;
}

static bool hs64_train(struct train *t, const struct oni_stim_hs64 *h,
		       u32 unit_ns, bool period, struct oni_stim_verdict *v)
{
	u64 gap = (u64)h->interpulse * unit_ns, one;

	t->level[0] = hs64_level(h->current1);
	t->level[1] = hs64_level(h->rest);
	t->level[2] = hs64_level(h->current2);
	t->ns[0] = h->duration1 * 1000ull;
	t->ns[1] = (u64)h->interphase * unit_ns;
	t->ns[2] = h->duration2 * 1000ull;
	t->pulse_ns = t->ns[0] + t->ns[1] + t->ns[2];
	t->pulses = h->pulses;
	t->bursts = h->bursts;
	t->burst_gap_ns = h->interburst * 1000ull;
	if (period && h->pulses > 1) {
		if (gap < t->pulse_ns)
			return refuse(v, ONI_STIM_PARAMETER, 0, gap,
				      t->pulse_ns, 7);
		gap -= t->pulse_ns;
	}
	t->gap_ns = gap;
	/* Otherwise the worst window depends on more than the first pulse. */
	if (h->pulses > 1 && h->bursts > 1 && t->burst_gap_ns < gap)
		return refuse(v, ONI_STIM_PARAMETER, 0, t->burst_gap_ns, gap, 9);
	/* The pause between bursts may come in place of the other or after it. */
	one = mul_sat(t->pulses, t->pulse_ns + gap);
	one = mul_sat(t->bursts, add_sat(one, t->burst_gap_ns));
	t->longest_ns = add_sat(one, h->delay * 1000ull);
	return true;
}

/* Time with current in the worst window, which begins with the train. */
static u64 train_window_on(const struct train *t, u64 window)
{
	u64 period = t->pulse_ns + t->gap_ns;
	u64 burst = t->pulses * period - t->gap_ns + t->burst_gap_ns;
	u64 bursts = div64_u64(window, burst), pulses, rest;

	if (bursts >= t->bursts)
		return t->bursts * t->pulses * t->pulse_ns;
	window -= bursts * burst;
	pulses = div64_u64(window, period);
	if (pulses >= t->pulses)
		return (bursts + 1) * t->pulses * t->pulse_ns;
	rest = window - pulses * period;
	if (rest > t->pulse_ns)
		rest = t->pulse_ns;
	return (bursts * t->pulses + pulses) * t->pulse_ns + rest;
}

static void add_pulse(struct account *a, const struct train *t, u64 at)
{
	u32 i;

	for (i = 0; i < 3; i++) {
		account_add(a, at, t->ns[i], t->level[i]);
		at += t->ns[i];
	}
}

static bool one_sign(const struct train *t)
{
	bool positive = t->level[0] > 0;

	return positive == (t->level[2] > 0) &&
	       (!t->ns[1] || positive == (t->level[1] > 0));
}

/*
 * Pulses are alike, so the first two and the last say all: what is left by a
 * pulse adds up, what is reached inside of one is extreme in the first or in
 * the last. Only a pulse of a single polarity makes one phase of the train.
 */
static bool hs64_contact(struct judge *j, const struct train *t, u64 window)
{
	static const struct scale step = {
		ONI_STIM_HS64_NA_NUM, ONI_STIM_HS64_NA_DEN
	};
	u64 total = t->pulses * t->bursts, gap = NEVER;
	struct demand d = { 0 };
	struct account a;
	s64 left;

	account_init(&a, 0);
	add_pulse(&a, t, 0);
	left = a.net;
	if (t->pulses > 1)
		gap = t->gap_ns;
	if (t->bursts > 1 && t->burst_gap_ns < gap)
		gap = t->burst_gap_ns;
	if (total > 1) {
		account_add(&a, t->pulse_ns, gap, 0);
		add_pulse(&a, t, t->pulse_ns + gap);
	}
	if (total > 1) {
		a.net = left * (s64)(total - 1);
		a.run = 0;
		a.run_ns = 0;
		a.run_sign = 0;
		a.now = 0;
		a.onset[0] = NEVER;
		a.onset[1] = NEVER;
		add_pulse(&a, t, 0);
	}
	if (one_sign(t))
		a.width_ns = total * t->pulse_ns;

	d.level_na = scaled_up(step, a.level);
	d.charge = scaled_up(step, a.charge);
	d.net = scaled_up(step, magnitude(left) * total);
	d.width_ns = a.width_ns;
	/* No gap: what is out of balance after a pulse is so at the end as well. */
	d.period_ns = a.period_ns;
	d.window_on_ns = train_window_on(t, window);
	return judge(j, &d, window);
}

static bool check_hs64(const struct oni_stim_policy *policy,
		       const struct oni_stim_program *program,
		       struct oni_stim_verdict *v)
{
	static const u32 contacts[] = { 0, ONI_STIM_RETURN };
	struct train t;
	struct judge j;
	u32 reading, i, units, meanings;

	if (!hs64_ok(&program->hs64, v))
		return false;
	for (reading = 0; reading < 4; reading++) {
		units = reading & 1 ? ONI_STIM_HS64_UNIT_10US :
				      ONI_STIM_HS64_UNIT_1US;
		meanings = reading & 2 ? ONI_STIM_HS64_PERIOD :
					 ONI_STIM_HS64_PAUSE;
		if (!(policy->hs64_readings & units) ||
		    !(policy->hs64_readings & meanings))
			continue;
		if (!hs64_train(&t, &program->hs64, reading & 1 ? 10000 : 1000,
				reading & 2, v))
			return false;
		for (i = 0; i < 2; i++)
			if (!judge_contact(&j, policy, program, t.longest_ns,
					   contacts[i], v) ||
			    !hs64_contact(&j, &t, policy->duty_window_ns))
				return false;
	}
	return true;
}

/**
 * oni_stim_policy_ok - is a policy one that a program can be judged by?
 * @policy: ceilings and contacts
 * @verdict: filled in any case
 */
bool oni_stim_policy_ok(const struct oni_stim_policy *policy,
			struct oni_stim_verdict *verdict)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->contact = ONI_STIM_NO_CONTACT;
	return policy_ok(policy, verdict);
}

static void measure_row(struct oni_stim_train *t, u32 first, u32 on, u64 ns)
{
	u32 c;

	for (c = 0; c < ONI_STIM_CHANNELS; c++)
		if (on & 1u << c)
			t->on_ns[first + c] += ns;
	if (on & 0xffff)
		t->on_ns[ONI_STIM_RETURN] += ns;
}

static void measure_rhs(struct oni_stim_train *t,
			const struct oni_stim_program *program,
			const struct oni_stim_delta *rows)
{
	u64 period = ONI_STIM_PERIOD_NS;
	u32 n, i;

	for (n = 0; n < ONI_STIM_CHIPS; rows += program->chip[n++].rows) {
		for (i = 0; i + 1 < program->chip[n].rows; i++)
			measure_row(t, n * ONI_STIM_CHANNELS, rows[i].polen,
				    (rows[i + 1].time - rows[i].time) * period);
		if (program->chip[n].rows)
			raise_to(&t->length_ns, rows[i].time * period);
	}
}

static void measure_hs64(struct oni_stim_train *t,
			 const struct oni_stim_program *program)
{
	struct oni_stim_verdict v;
	struct train train;
	u32 reading;

	for (reading = 0; reading < 4; reading++) {
		if (!hs64_train(&train, &program->hs64,
				reading & 1 ? 10000 : 1000, reading & 2, &v))
			continue;
		raise_to(&t->length_ns, train.longest_ns);
		raise_to(&t->on_ns[0],
			 train.bursts * train.pulses * train.pulse_ns);
	}
	t->on_ns[ONI_STIM_RETURN] = t->on_ns[0];
}

/**
 * oni_stim_measure - how long a train takes, and who is on how long
 * @program: one that oni_stim_check() has accepted
 * @rows: delta tables of the chips, one after the other
 * @train: out; with every doubt on the long side
 */
void oni_stim_measure(const struct oni_stim_program *program,
		      const struct oni_stim_delta *rows,
		      struct oni_stim_train *train)
{
	memset(train, 0, sizeof(*train));
	if (program->kind == ONI_STIM_HS64)
		measure_hs64(train, program);
	else
		measure_rhs(train, program, rows);
}

/**
 * oni_stim_check - judge a compiled program
 * @policy: ceilings and contacts; checked as well
 * @program: what the hardware will run
 * @rows: delta tables of the chips, one after the other
 * @nrows: rows in there
 * @verdict: filled in any case
 *
 * The answer is about one train, and about trains without end when a signal
 * from outside may start them. How often the owner may fire is not judged here.
 * For headstage-64 it is about one train per write to TRIGGER: where that
 * register means "until it is zero", its owner has to end it.
 *
 * Return: true if every bound is kept at every contact; otherwise @verdict says
 * the first one that is not.
 */
bool oni_stim_check(const struct oni_stim_policy *policy,
		    const struct oni_stim_program *program,
		    const struct oni_stim_delta *rows, u32 nrows,
		    struct oni_stim_verdict *verdict)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->contact = ONI_STIM_NO_CONTACT;
	if (!policy_ok(policy, verdict) ||
	    !program_ok(program, nrows, verdict))
		return false;
	if (program->kind == ONI_STIM_HS64)
		return check_hs64(policy, program, verdict);
	return check_rhs(policy, program, rows, nrows, verdict);
}
