/* SPDX-License-Identifier: MIT */
/*
 * stim_reference.h - the bounds of a stimulation program once more, slow and in
 * rational numbers (GMP), on the currents that were played.
 *
 * The rules are those in driver/oni_stim_check.h, worked out from their words:
 * every phase is summed anew, every window is measured against every current.
 * Used by the unit test and by the fuzz target. No locks.
 */
#ifndef STIM_REFERENCE_H
#define STIM_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <gmp.h>

#include "driver/oni_stim_check.h"
#include "tests/sim/model/stim_log.h"
#include "tests/sim/model/stim_seq.h"

#define REF_CONTACTS	(ONI_STIM_RETURN + 1)

/* A current without gaps inside; in time order per contact. */
struct ref_current {
	uint64_t at, ns;
	int64_t level;
};

struct ref_list {
	struct ref_current *c;
	size_t n, cap;
};

struct ref {
	struct ref_list of[REF_CONTACTS];
	bool used[REF_CONTACTS];
	uint32_t num, den;		/* a step in nA */
	uint64_t train_ns;		/* of one, with the delay of headstage-64 */
	unsigned int trains;		/* played one after the other */
	bool endless;			/* they stand for trains without end */
	uint64_t length_ns;		/* of one, without its delay */
	uint64_t asked[REF_CONTACTS][ONI_STIM_LIMITS];
	mpq_t *charge, *net;		/* of the entries of one contact; sum before each */
	size_t cap;
	mpq_t q, a, b, most, one;
	mpz_t z;
};

static inline void ref_init(struct ref *r)
{
	memset(r, 0, sizeof(*r));
	mpq_inits(r->q, r->a, r->b, r->most, r->one, NULL);
	mpz_init(r->z);
}

static inline void ref_free(struct ref *r)
{
	unsigned int i;

	for (i = 0; i < REF_CONTACTS; i++)
		free(r->of[i].c);
	for (i = 0; i < r->cap; i++)
		mpq_clears(r->charge[i], r->net[i], NULL);
	free(r->charge);
	free(r->net);
	mpq_clears(r->q, r->a, r->b, r->most, r->one, NULL);
	mpz_clear(r->z);
}

static inline void ref_clear(struct ref *r)
{
	unsigned int i;

	for (i = 0; i < REF_CONTACTS; i++)
		r->of[i].n = 0;
	memset(r->used, 0, sizeof(r->used));
	memset(r->asked, 0, sizeof(r->asked));
}

static inline void ref_add(struct ref *r, uint32_t contact, uint64_t at, uint64_t ns, int64_t level)
{
	struct ref_list *l = &r->of[contact];

	if (!level || !ns)
		return;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->c = realloc(l->c, l->cap * sizeof(*l->c));
		if (!l->c)
			abort();
	}
	l->c[l->n++] = (struct ref_current){ at, ns, level };
}

static inline int64_t ref_at(const struct ref_list *l, uint64_t t)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (t >= l->c[i].at && t - l->c[i].at < l->c[i].ns)
			return l->c[i].level;
	return 0;
}

static inline int ref_by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* What all contacts got comes back through the return. */
static inline void ref_return(struct ref *r)
{
	uint64_t *edge;
	size_t n = 0, i, k;
	int64_t sum;

	for (i = 0; i < ONI_STIM_CONTACTS; i++)
		n += 2 * r->of[i].n;
	edge = malloc((n + 1) * sizeof(*edge));
	if (!edge)
		abort();
	for (n = 0, i = 0; i < ONI_STIM_CONTACTS; i++) {
		r->used[ONI_STIM_RETURN] |= r->used[i];
		for (k = 0; k < r->of[i].n; k++) {
			edge[n++] = r->of[i].c[k].at;
			edge[n++] = r->of[i].c[k].at + r->of[i].c[k].ns;
		}
	}
	qsort(edge, n, sizeof(*edge), ref_by_time);
	for (k = 0; k + 1 < n; k++) {
		if (edge[k] == edge[k + 1])
			continue;
		for (sum = 0, i = 0; i < ONI_STIM_CONTACTS; i++)
			if (r->of[i].n)
				sum -= ref_at(&r->of[i], edge[k]);
		ref_add(r, ONI_STIM_RETURN, edge[k], edge[k + 1] - edge[k], sum);
	}
	free(edge);
}

/* ---- rational numbers ---------------------------------------------------- */
static inline void ref_u64(mpq_t q, uint64_t v)
{
	mpz_import(mpq_numref(q), 1, -1, sizeof(v), 0, 0, &v);
	mpz_set_ui(mpq_denref(q), 1);
}

/* Rounded up; UINT64_MAX when it does not fit. */
static inline uint64_t ref_up(struct ref *r, const mpq_t q)
{
	uint64_t v = 0;

	mpz_cdiv_q(r->z, mpq_numref(q), mpq_denref(q));
	if (mpz_sizeinbase(r->z, 2) > 64)
		return UINT64_MAX;
	mpz_export(&v, NULL, -1, sizeof(v), 0, 0, r->z);
	return v;
}

/* aC that flow in one entry, signed, into @out. */
static inline void ref_charge(struct ref *r, mpq_t out, const struct ref_current *c)
{
	ref_u64(out, c->ns);
	mpz_mul_si(mpq_numref(out), mpq_numref(out), c->level);
	mpz_mul_ui(mpq_numref(out), mpq_numref(out), r->num);
	mpz_set_ui(mpq_denref(out), r->den);
	mpq_canonicalize(out);
}

/* Fill charge[] and net[]; the latter has one more. */
static inline void ref_sum(struct ref *r, const struct ref_list *l)
{
	size_t i, cap = 2 * (l->n + 1);

	if (r->cap <= l->n) {
		r->charge = realloc(r->charge, cap * sizeof(*r->charge));
		r->net = realloc(r->net, cap * sizeof(*r->net));
		if (!r->charge || !r->net)
			abort();
		for (; r->cap < cap; r->cap++)
			mpq_inits(r->charge[r->cap], r->net[r->cap], NULL);
	}
	mpq_set_ui(r->net[0], 0, 1);
	for (i = 0; i < l->n; i++) {
		ref_charge(r, r->charge[i], &l->c[i]);
		mpq_add(r->net[i + 1], r->net[i], r->charge[i]);
	}
}

static inline bool ref_same_sign(int64_t a, int64_t b)
{
	return (a > 0) == (b > 0);
}

/* ---- the rules ----------------------------------------------------------- */
static inline void ref_raise(uint64_t *v, uint64_t with)
{
	if (with > *v)
		*v = with;
}

/* @q aC as whole aC; what follows from it for one phase on @area. */
static inline void ref_phase(struct ref *r, uint64_t *asked, mpq_t q, uint64_t area)
{
	mpq_abs(q, q);
	mpz_cdiv_q(r->z, mpq_numref(q), mpq_denref(q));
	mpq_set_z(q, r->z);

	mpq_set_ui(r->b, 1, 1000);			/* fC */
	mpq_mul(r->b, r->b, q);
	ref_raise(&asked[ONI_STIM_CHARGE], ref_up(r, r->b));
	if (!area)
		return;
	ref_u64(r->a, area);
	mpq_div(r->b, q, r->a);				/* aC/um2 = 0.1 nC/cm2 */
	mpq_set_ui(r->a, 1, 10);
	mpq_mul(r->b, r->b, r->a);
	ref_raise(&asked[ONI_STIM_DENSITY], ref_up(r, r->b));
	mpq_set_ui(r->a, 1, 1000000);			/* pC */
	mpq_mul(q, q, r->a);
	mpq_mul(q, q, q);
	ref_u64(r->a, area);
	mpq_div(q, q, r->a);
	ref_raise(&asked[ONI_STIM_SHANNON], ref_up(r, q));
}

static inline bool ref_pause(const struct ref_list *l, size_t i)
{
	return !i || l->c[i - 1].at + l->c[i - 1].ns != l->c[i].at;
}

/* The phase that ends with entry @i, back to a flip or a pause in balance: its charge and time. */
static inline uint64_t ref_run(const struct ref *r, mpq_t sum, const struct ref_list *l, size_t i)
{
	uint64_t ns = 0;
	size_t k;

	mpq_set_ui(sum, 0, 1);
	for (k = i + 1; k-- > 0;) {
		if (!ref_same_sign(l->c[k].level, l->c[i].level))
			break;
		mpq_add(sum, sum, r->charge[k]);
		ns += l->c[k].ns;
		if (!mpq_sgn(r->net[k]) && ref_pause(l, k))
			break;
	}
	return ns;
}

static inline void ref_phases(struct ref *r, uint64_t *asked, const struct ref_list *l,
			      uint64_t area)
{
	size_t i;

	mpq_set_ui(r->most, 0, 1);
	for (i = 0; i < l->n; i++) {
		ref_raise(&asked[ONI_STIM_WIDTH], ref_run(r, r->one, l, i));
		mpq_abs(r->one, r->one);
		if (mpq_cmp(r->one, r->most) > 0)
			mpq_set(r->most, r->one);
		mpq_abs(r->one, r->net[i + 1]);
		if (mpq_cmp(r->one, r->most) > 0)
			mpq_set(r->most, r->one);
	}
	ref_phase(r, asked, r->most, area);
}

static inline void ref_gaps(struct ref *r, uint64_t *asked, const struct ref_list *l,
			    uint64_t net_fc)
{
	size_t i;

	ref_u64(r->b, net_fc);
	mpz_mul_ui(mpq_numref(r->b), mpq_numref(r->b), 1000);
	for (i = 1; i < l->n; i++) {
		mpq_abs(r->a, r->net[i]);
		if (mpq_cmp(r->a, r->b) > 0)
			ref_raise(&asked[ONI_STIM_GAP],
				  l->c[i].at - l->c[i - 1].at - l->c[i - 1].ns);
	}
}

/* The next train may also come a moment later, so its first current begins anew. */
static inline bool ref_onset(const struct ref *r, const struct ref_list *l, size_t i)
{
	return !i || (r->endless && r->length_ns && l->c[i].at % r->length_ns == 0) || l->c[i - 1].at + l->c[i - 1].ns != l->c[i].at ||
	       !ref_same_sign(l->c[i - 1].level, l->c[i].level);
}

static inline void ref_rate(struct ref *r, uint64_t *asked, const struct ref_list *l)
{
	uint64_t least = UINT64_MAX;
	size_t i, k;

	for (i = 0; i < l->n; i++) {
		if (!ref_onset(r, l, i))
			continue;
		for (k = 0; k < i; k++)
			if (ref_onset(r, l, k) && ref_same_sign(l->c[k].level, l->c[i].level) &&
			    l->c[i].at - l->c[k].at < least)
				least = l->c[i].at - l->c[k].at;
	}
	if (least == UINT64_MAX)
		return;
	ref_u64(r->a, 1000000000000ull);
	ref_u64(r->b, least);
	mpq_div(r->a, r->a, r->b);
	asked[ONI_STIM_RATE] = ref_up(r, r->a);
}

static inline uint64_t ref_on(const struct ref_list *l, uint64_t from, uint64_t to)
{
	uint64_t on = 0, a, b;
	size_t i;

	for (i = 0; i < l->n; i++) {
		a = l->c[i].at > from ? l->c[i].at : from;
		b = l->c[i].at + l->c[i].ns < to ? l->c[i].at + l->c[i].ns : to;
		if (b > a)
			on += b - a;
	}
	return on;
}

static inline void ref_duty(struct ref *r, uint64_t *asked, const struct ref_list *l,
			    uint64_t window)
{
	uint64_t on = 0, edge;
	size_t i, k;

	for (i = 0; i < l->n; i++)
		for (k = 0; k < 2; k++) {
			edge = l->c[i].at + (k ? l->c[i].ns : 0);
			ref_raise(&on, ref_on(l, edge, edge + window));
			ref_raise(&on, ref_on(l, edge > window ? edge - window : 0, edge));
		}
	ref_u64(r->a, on);
	mpq_set_ui(r->b, 1000000, 1);
	mpq_mul(r->a, r->a, r->b);
	ref_u64(r->b, window);
	mpq_div(r->a, r->a, r->b);
	ref_raise(&asked[ONI_STIM_DUTY], ref_up(r, r->a));
}

static inline void ref_amplitude(struct ref *r, uint64_t *asked, const struct ref_list *l)
{
	struct ref_current one = { .ns = 1, .level = 0 };
	size_t i;

	for (i = 0; i < l->n; i++)
		if (llabs(l->c[i].level) > one.level)
			one.level = llabs(l->c[i].level);
	ref_charge(r, r->a, &one);	/* nA for 1 ns */
	asked[ONI_STIM_AMPLITUDE] = ref_up(r, r->a);
}

static inline uint64_t ref_allowed(const struct oni_stim_policy *p, uint32_t contact, uint32_t limit)
{
	uint64_t top = oni_stim_hard_limit(limit, contact);
	uint64_t v = p->class_of[contact] ? p->cls[p->class_of[contact] - 1].max[limit] : 0;

	return v < top ? v : top;
}

/* Fill asked[] of every contact that is used. Classes matter for area and tolerance only. */
static inline void ref_measure(struct ref *r, const struct oni_stim_policy *p,
			       const struct oni_stim_program *prog)
{
	uint32_t i;

	ref_return(r);
	for (i = 0; i < REF_CONTACTS; i++) {
		uint64_t *asked = r->asked[i];
		struct ref_list *l = &r->of[i];

		if (!r->used[i])
			continue;
		ref_sum(r, l);
		ref_amplitude(r, asked, l);
		ref_phases(r, asked, l, ref_allowed(p, i, ONI_STIM_AREA));
		ref_gaps(r, asked, l, r->endless ? 0 : ref_allowed(p, i, ONI_STIM_NET));
		ref_rate(r, asked, l);
		ref_duty(r, asked, l, p->duty_window_ns);
		mpq_abs(r->q, r->net[l->n / r->trains]);	/* of the first train */
		mpq_set_ui(r->b, 1, 1000);
		mpq_mul(r->q, r->q, r->b);
		asked[ONI_STIM_NET] = ref_up(r, r->q);
		asked[ONI_STIM_TRAIN] = r->train_ns;
		asked[ONI_STIM_WATCHDOG] = prog->watchdog_ms;
		asked[ONI_STIM_EXTERNAL] = !!(prog->sources & ~ONI_STIM_FROM_REGISTER);
	}
}

/* The gaps once more, after a change of the tolerance. */
static inline void ref_remeasure_gaps(struct ref *r, const struct oni_stim_policy *p)
{
	uint32_t i;

	for (i = 0; i < REF_CONTACTS; i++) {
		if (!r->used[i])
			continue;
		r->asked[i][ONI_STIM_GAP] = 0;
		ref_sum(r, &r->of[i]);
		ref_gaps(r, r->asked[i], &r->of[i], r->endless ? 0 : ref_allowed(p, i, ONI_STIM_NET));
	}
}

/* Bit n: limit n is exceeded; bit ONI_STIM_AREA: not in the policy, or no area. */
static inline uint32_t ref_violations(const struct ref *r, const struct oni_stim_policy *p,
				      uint32_t contact)
{
	uint32_t bad = 0, i;

	if (!r->used[contact])
		return 0;
	if (!ref_allowed(p, contact, ONI_STIM_AREA))
		return 1u << ONI_STIM_AREA;
	for (i = ONI_STIM_AREA + 1; i < ONI_STIM_LIMITS; i++)
		if (r->asked[contact][i] > ref_allowed(p, contact, i))
			bad |= 1u << i;
	if (r->endless && r->asked[contact][ONI_STIM_NET])
		bad |= 1u << ONI_STIM_NET;
	return bad;
}

/* ---- playing on the sequencers of the simulated headstages ------------------ */
struct ref_player {
	struct stim_log log;
	struct rhs_seq seq[ONI_STIM_CHIPS];
	uint32_t electrode[ONI_STIM_CONTACTS];
	struct ref *r;
};

static inline void ref_tap(void *ctx, const struct stim_phase *p)
{
	struct ref_player *pl = ctx;

	ref_add(pl->r, pl->log.electrode[p->electrode].channel, p->start_ns, p->ns, p->level);
}

static inline void ref_player_init(struct ref_player *pl, struct ref *r)
{
	uint32_t i;

	memset(pl, 0, sizeof(*pl));
	stim_log_init(&pl->log);
	pl->r = r;
	pl->log.tap = ref_tap;
	pl->log.tap_ctx = pl;
	for (i = 0; i < ONI_STIM_CONTACTS; i++)
		pl->electrode[i] = stim_log_electrode(&pl->log, 0, i, 1, 1, 0);
}

static inline void ref_player_free(struct ref_player *pl)
{
	stim_log_free(&pl->log);
}

/* True if the hardware took offence at the table. */
static inline bool ref_play_rhs(struct ref_player *pl, const struct oni_stim_program *prog,
				const struct oni_stim_delta *rows, unsigned int trains)
{
	uint64_t now = 0, end = 0, due;
	uint32_t n, i;
	bool error = false;

	ref_clear(pl->r);
	pl->r->num = 1;
	pl->r->den = 1;
	pl->r->trains = trains;
	for (n = 0; n < ONI_STIM_CHIPS; n++) {
		struct rhs_seq *s = &pl->seq[n];

		rhs_seq_reset(s);
		s->num = prog->chip[n].rows;
		for (i = 0; i < s->num; i++) {
			s->time[i] = rows[i].time & RHS_TIME_MASK;
			s->polen[i] = rows[i].polen;
		}
		for (i = 0; i < 16 * s->num; i++)
			if (s->polen[i / 16] >> (i % 16) & 1)
				pl->r->used[n * 16 + i % 16] = true;
		rows += s->num;
	}
	while (trains--) {
		for (n = 0; n < ONI_STIM_CHIPS; n++)
			rhs_seq_start(&pl->seq[n], now);
		for (;;) {
			for (due = STIM_NEVER, n = 0; n < ONI_STIM_CHIPS; n++)
				if (rhs_seq_due(&pl->seq[n]) < due)
					due = rhs_seq_due(&pl->seq[n]);
			if (due == STIM_NEVER)
				break;
			now = due;
			for (n = 0; n < ONI_STIM_CHIPS; n++)
				if (rhs_seq_due(&pl->seq[n]) == now)
					rhs_seq_step(&pl->seq[n]);
			for (i = 0; i < ONI_STIM_CONTACTS; i++) {
				const struct oni_stim_chip *c = &prog->chip[i / 16];

				stim_log_level(&pl->log, pl->electrode[i],
					       rhs_level(pl->seq[i / 16].state, i % 16,
							 c->positive[i % 16], c->negative[i % 16],
							 c->step_na), now, 0, 0);
			}
		}
		if (trains + 1 == pl->r->trains)
			end = now;
	}
	for (n = 0; n < ONI_STIM_CHIPS; n++)
		error |= pl->seq[n].error;
	/* What would flow for ever is ended, so that it is in the log. */
	for (i = 0; i < ONI_STIM_CONTACTS; i++)
		stim_log_level(&pl->log, pl->electrode[i], 0, now + 1000000000, 0, 1);
	pl->r->length_ns = end;
	pl->r->train_ns = end;
	return error;
}

static inline struct pulse_params ref_pulses(const struct oni_stim_hs64 *h, uint64_t unit_ns,
					     bool period)
{
	return (struct pulse_params){
		.phase1_ns = h->duration1 * 1000ull, .between_ns = h->interphase * unit_ns,
		.phase2_ns = h->duration2 * 1000ull, .interpulse_ns = h->interpulse * unit_ns,
		.period = period, .interburst_ns = h->interburst * 1000ull,
		.delay_ns = h->delay * 1000ull, .pulses = h->pulses, .bursts = h->bursts,
	};
}

static inline uint64_t ref_pulse(const struct oni_stim_hs64 *h, uint64_t unit_ns)
{
	return (uint64_t)h->duration1 * 1000 + h->interphase * unit_ns +
	       (uint64_t)h->duration2 * 1000;
}

/* The pause after a pulse; UINT64_MAX: pulses would overlap. */
static inline uint64_t ref_gap(const struct oni_stim_hs64 *h, uint64_t unit_ns, bool period)
{
	uint64_t gap = h->interpulse * unit_ns;

	if (!period || h->pulses <= 1)
		return gap;
	return gap < ref_pulse(h, unit_ns) ? UINT64_MAX : gap - ref_pulse(h, unit_ns);
}

/* One train, both electrodes, as the registers are read in one way. */
static inline void ref_play_hs64(struct ref_player *pl, const struct oni_stim_program *prog,
				 uint64_t unit_ns, bool period)
{
	const struct oni_stim_hs64 *h = &prog->hs64;
	struct pulse_params p = ref_pulses(h, unit_ns, period);
	struct pulse_seq s = { 0 };
	uint64_t gap, at = 0;

	ref_clear(pl->r);
	pl->r->num = PULSE_NUM;
	pl->r->den = PULSE_DEN;
	pl->r->trains = 1;
	pl->r->used[0] = true;
	for (pulse_seq_start(&s, &p, 0); s.state != PULSE_IDLE; pulse_seq_step(&s, &p)) {
		stim_log_level(&pl->log, pl->electrode[0],
			       pulse_level(s.state, h->current1, h->rest, h->current2), at, 0, 0);
		at = pulse_seq_due(&s);
	}
	stim_log_level(&pl->log, pl->electrode[0], 0, at, 0, 0);
	/* The rule is about the longest it could be: pauses after every pulse and burst. */
	gap = ref_gap(h, unit_ns, period);
	ref_u64(pl->r->a, p.phase1_ns + p.between_ns + p.phase2_ns + gap);
	mpz_mul_ui(mpq_numref(pl->r->a), mpq_numref(pl->r->a), h->pulses);
	ref_u64(pl->r->b, p.interburst_ns);
	mpq_add(pl->r->a, pl->r->a, pl->r->b);
	mpz_mul_ui(mpq_numref(pl->r->a), mpq_numref(pl->r->a), h->bursts);
	ref_u64(pl->r->b, p.delay_ns);
	mpq_add(pl->r->a, pl->r->a, pl->r->b);
	pl->r->train_ns = ref_up(pl->r, pl->r->a);
}

/* ---- verdicts ---------------------------------------------------------------- */

/* The form that oni_stim_check.h asks for, rule by rule. */
static inline bool ref_policy_form(const struct oni_stim_policy *p)
{
	uint32_t i, k;

	for (i = 0; i < ONI_STIM_CLASSES; i++)
		for (k = 0; k < ONI_STIM_LIMIT_SLOTS; k++)
			if ((i >= p->classes || k > ONI_STIM_EXTERNAL) &&
			    (p->cls[i].max[k] || p->cls[i].source[k]))
				return false;
	for (i = 0; i < ONI_STIM_CONTACT_SLOTS; i++)
		if (p->class_of[i] > p->classes || (p->class_of[i] && i > ONI_STIM_RETURN))
			return false;
	return p->size == sizeof(*p) && p->version == 1 && p->classes <= ONI_STIM_CLASSES &&
	       (p->hs64_readings & 3) && (p->hs64_readings & 12) && p->hs64_readings < 16 &&
	       p->duty_window_ns >= 1000000 && p->duty_window_ns <= 3600000000000ull;
}

static inline bool ref_table_form(const struct oni_stim_chip *c, const struct oni_stim_delta *row)
{
	static const uint32_t steps[] = { 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000 };
	uint32_t i, known = 0;

	for (i = 0; i < 10; i++)
		known |= c->step_na == steps[i];
	for (i = 0; i < c->rows; i++)
		if (row[i].time >> 22 || (i && row[i].time <= row[i - 1].time))
			return false;
	return known && !(row[c->rows - 1].polen & 0xffff);
}

static inline bool ref_hs64_form(const struct oni_stim_policy *p, const struct oni_stim_hs64 *h)
{
	uint32_t unit, period;

	for (unit = 1; unit <= 2; unit++)
		for (period = 0; period < 2; period++) {
			uint64_t gap = ref_gap(h, unit == 1 ? 1000 : 10000, period);

			if (!(p->hs64_readings & unit) || !(p->hs64_readings & 4u << period))
				continue;
			if (gap == UINT64_MAX ||
			    (h->pulses > 1 && h->bursts > 1 && h->interburst * 1000ull < gap))
				return false;
		}
	return h->biphasic == 1 && h->current1 < 65536 && h->current2 < 65536 &&
	       h->rest < 65536 && h->duration1 && h->duration2 && h->pulses && h->bursts;
}

static inline bool ref_form(const struct oni_stim_policy *p, const struct oni_stim_program *prog,
			    const struct oni_stim_delta *rows, uint32_t nrows)
{
	static const struct oni_stim_hs64 no_hs64;
	static const struct oni_stim_chip no_chip[ONI_STIM_CHIPS];
	uint32_t n = prog->chip[0].rows, m = prog->chip[1].rows;

	if (!ref_policy_form(p) || prog->size != sizeof(*prog) || prog->version != 1 ||
	    !prog->sources || !prog->watchdog_ms)
		return false;
	if (prog->kind == ONI_STIM_HS64)
		return prog->sources == 1 && !prog->delay && !nrows &&
		       !memcmp(prog->chip, no_chip, sizeof(no_chip)) &&
		       ref_hs64_form(p, &prog->hs64);
	if (prog->kind != ONI_STIM_RHS2116 || prog->delay ||
	    /* register and pin in any combination, or the sync line alone */
	    prog->sources > ONI_STIM_FROM_SYNC ||
	    memcmp(&prog->hs64, &no_hs64, sizeof(no_hs64)) || n > 1024 || m > 1024 ||
	    n + m != nrows || !nrows)
		return false;
	if ((n && !ref_table_form(&prog->chip[0], rows)) ||
	    (m && !ref_table_form(&prog->chip[1], rows + n)))
		return false;
	return prog->sources == 1 || !n || !m || rows[n - 1].time == rows[n + m - 1].time;
}

static inline bool ref_all_kept(const struct ref *r, const struct oni_stim_policy *p)
{
	uint32_t i;

	for (i = 0; i <= ONI_STIM_RETURN; i++)
		if (ref_violations(r, p, i))
			return false;
	return true;
}

/* The verdict names a bound that is broken, and by how much. */
static inline bool ref_named(const struct ref *r, const struct oni_stim_policy *p,
			     const struct oni_stim_verdict *v)
{
	uint32_t bad;

	if (v->contact > ONI_STIM_RETURN)
		return false;
	bad = ref_violations(r, p, v->contact);
	if (v->code == ONI_STIM_UNKNOWN_CONTACT)
		return bad == 1u << ONI_STIM_AREA && !p->class_of[v->contact];
	if (v->code == ONI_STIM_NO_AREA)
		return bad == 1u << ONI_STIM_AREA && p->class_of[v->contact];
	if (v->code >= ONI_STIM_LIMITS || !(bad >> v->code & 1))
		return false;
	if (v->code == ONI_STIM_NET && r->endless)
		return v->allowed == 0 && v->asked == r->asked[v->contact][v->code];
	if (v->allowed != ref_allowed(p, v->contact, v->code))
		return false;
	if (v->code == ONI_STIM_SHANNON)	/* whole pC are enough to say by how much */
		return v->asked >= r->asked[v->contact][v->code];
	return v->asked == r->asked[v->contact][v->code];
}

/*
 * After ref_play_rhs() and ref_measure(): NULL, or what is wrong with a verdict.
 * @error: the hardware took offence at the table.
 */
static inline const char *ref_judge_rhs(struct ref *r, const struct oni_stim_policy *p,
					const struct oni_stim_program *prog,
					const struct oni_stim_delta *rows, uint32_t nrows,
					bool error, bool ok, const struct oni_stim_verdict *v)
{
	if (!ref_form(p, prog, rows, nrows))
		return ok ? "a wrong form was accepted" : NULL;
	if (error)
		return "the hardware refuses what the rules allow";
	if (ok)
		return ref_all_kept(r, p) ? NULL : "accepted although a bound is broken";
	return ref_named(r, p, v) ? NULL : "refused for a wrong reason";
}

/* Plays every reading of the registers that the policy does not rule out. */
static inline const char *ref_judge_hs64(struct ref_player *pl, const struct oni_stim_policy *p,
					 const struct oni_stim_program *prog, bool ok,
					 const struct oni_stim_verdict *v)
{
	bool kept = true, named = false;
	uint32_t unit, period;

	if (!ref_form(p, prog, NULL, 0))
		return ok ? "a wrong form was accepted" : NULL;
	pl->r->endless = false;
	for (unit = 1; unit <= 2; unit++)
		for (period = 0; period < 2; period++) {
			if (!(p->hs64_readings & unit) || !(p->hs64_readings & 4u << period))
				continue;
			ref_play_hs64(pl, prog, unit == 1 ? 1000 : 10000, period);
			ref_measure(pl->r, p, prog);
			kept &= ref_all_kept(pl->r, p);
			named |= !ok && ref_named(pl->r, p, v);
		}
	if (ok)
		return kept ? NULL : "accepted although a bound is broken";
	return named ? NULL : "refused for a wrong reason";
}

/* Enough trains for every window, one after the other. */
static inline uint64_t ref_trains(const struct oni_stim_policy *p,
				  const struct oni_stim_program *prog,
				  const struct oni_stim_delta *rows)
{
	uint64_t end = 0, t;
	uint32_t n;

	if (prog->sources == ONI_STIM_FROM_REGISTER)
		return 1;
	for (n = 0; n < ONI_STIM_CHIPS; rows += prog->chip[n++].rows) {
		if (!prog->chip[n].rows)
			continue;
		t = (uint64_t)rows[prog->chip[n].rows - 1].time * RHS_PERIOD_NS;
		end = t > end ? t : end;
	}
	return end ? p->duty_window_ns / end + 2 : 1;
}

#endif
