/* SPDX-License-Identifier: MIT */
/* unit-sources: driver/oni_stim_check.c tests/sim/model/stim_seq.c tests/sim/model/stim_log.c */
/* unit-libs: -lgmp */
/*
 * The check of stimulation programs (driver/oni_stim_check.c).
 *
 * Every bound just below, at and above; forms that are refused; and random
 * programs, which are played on the sequencers of the simulated headstages and
 * judged again in rational numbers: what is accepted keeps every bound, what is
 * refused breaks the one that was named. ONI_STIM_PROGRAMS and ONI_STIM_SEED
 * change how many (100000) and which.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/stim_reference.h"

#define PERIOD	((uint64_t)ONI_STIM_PERIOD_NS)
#define ON(ch)	(1u << (ch))
#define POS(ch)	(1u << (ch) | 1u << (16 + (ch)))

/* The kernel's border: sizes are for ever. */
_Static_assert(sizeof(struct oni_stim_class) == 144, "oni_stim_class");
_Static_assert(sizeof(struct oni_stim_policy) == 64 + 8 * 144, "oni_stim_policy");
_Static_assert(offsetof(struct oni_stim_policy, duty_window_ns) == 16, "oni_stim_policy");
_Static_assert(offsetof(struct oni_stim_policy, class_of) == 24, "oni_stim_policy");
_Static_assert(offsetof(struct oni_stim_policy, cls) == 64, "oni_stim_policy");
_Static_assert(sizeof(struct oni_stim_delta) == 8, "oni_stim_delta");
_Static_assert(sizeof(struct oni_stim_chip) == 40, "oni_stim_chip");
_Static_assert(sizeof(struct oni_stim_hs64) == 48, "oni_stim_hs64");
_Static_assert(sizeof(struct oni_stim_program) == 24 + 2 * 40 + 48, "oni_stim_program");
_Static_assert(sizeof(struct oni_stim_verdict) == 32, "oni_stim_verdict");
_Static_assert(ONI_STIM_LIMITS <= ONI_STIM_LIMIT_SLOTS, "limits");
_Static_assert(ONI_STIM_RETURN < ONI_STIM_CONTACT_SLOTS, "contacts");
_Static_assert(ONI_STIM_PERIOD_NS == RHS_PERIOD_NS, "one period in the driver and in the model");

struct bench {
	struct oni_stim_policy policy;
	struct oni_stim_program program;
	struct oni_stim_delta rows[4 * ONI_STIM_SLOTS];
	uint32_t nrows;
	struct oni_stim_verdict v;
};

/* Everything that the code allows. */
static void generous(struct oni_stim_class *c, uint32_t contact)
{
	uint32_t i;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < ONI_STIM_LIMITS; i++) {
		c->max[i] = oni_stim_hard_limit(i, contact);
		c->source[i] = ONI_STIM_BY_POLICY;
	}
	c->max[ONI_STIM_AREA] = 2000;
	c->max[ONI_STIM_NET] = 0;
}

static void new_policy(struct oni_stim_policy *p)
{
	uint32_t i;

	memset(p, 0, sizeof(*p));
	p->size = sizeof(*p);
	p->version = ONI_STIM_VERSION;
	p->classes = 2;
	p->hs64_readings = ONI_STIM_HS64_ANY;
	p->duty_window_ns = 100000000;
	for (i = 0; i < ONI_STIM_CONTACTS; i++)
		p->class_of[i] = 1;
	p->class_of[ONI_STIM_RETURN] = 2;
	generous(&p->cls[0], 0);
	generous(&p->cls[1], ONI_STIM_RETURN);
}

static void new_program(struct oni_stim_program *p, uint32_t kind)
{
	memset(p, 0, sizeof(*p));
	p->size = sizeof(*p);
	p->version = ONI_STIM_VERSION;
	p->kind = kind;
	p->sources = ONI_STIM_FROM_REGISTER;
	p->watchdog_ms = 100;
}

static void row(struct bench *b, uint32_t time, uint32_t polen)
{
	b->rows[b->nrows++] = (struct oni_stim_delta){ time, polen };
}

static void rows_are_of_chip(struct bench *b, uint32_t n)
{
	b->program.chip[n].rows = b->nrows;
	b->program.chip[!n].rows = 0;
}

/* 100 uA, six periods negative, gap, six positive; twice, 300 periods apart; channel 3. */
static void base(struct bench *b)
{
	uint32_t n, i;

	new_policy(&b->policy);
	new_program(&b->program, ONI_STIM_RHS2116);
	for (n = 0; n < ONI_STIM_CHIPS; n++) {
		b->program.chip[n].step_na = 1000;
		for (i = 0; i < ONI_STIM_CHANNELS; i++) {
			b->program.chip[n].positive[i] = 100;
			b->program.chip[n].negative[i] = 100;
		}
	}
	b->nrows = 0;
	for (i = 0; i < 2; i++) {
		row(b, 300 * i + 5, ON(3));
		row(b, 300 * i + 11, 0);
		row(b, 300 * i + 13, POS(3));
		row(b, 300 * i + 19, 0);
	}
	rows_are_of_chip(b, 0);
}

/* 100 us each way of about 1 mA, ten pulses at 10 ms. */
static void base_hs64(struct bench *b)
{
	new_policy(&b->policy);
	new_program(&b->program, ONI_STIM_HS64);
	b->program.hs64 = (struct oni_stim_hs64){
		.biphasic = 1, .current1 = 20000, .current2 = 65535 - 20000, .duration1 = 100,
		.duration2 = 100, .interpulse = 10000, .pulses = 10, .bursts = 1, .rest = 32768,
	};
	b->nrows = 0;
}

static bool check(struct bench *b)
{
	memset(&b->v, 0xa5, sizeof(b->v));
	return oni_stim_check(&b->policy, &b->program, b->rows, b->nrows, &b->v);
}

static void accepted(struct bench *b)
{
	if (!check(b))
		fail_msg("refused: code %u contact %u asked %llu allowed %llu where 0x%x", b->v.code,
			 b->v.contact, (unsigned long long)b->v.asked,
			 (unsigned long long)b->v.allowed, b->v.where);
	assert_int_equal(b->v.code, ONI_STIM_OK);
}

static void refused(struct bench *b, uint32_t code)
{
	assert_false(check(b));
	assert_int_equal(b->v.code, code);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	*state = b;
	base(b);
	return b ? 0 : -1;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* ---- bounds ---------------------------------------------------------------- */

/* Class @n has its bound @limit just below, at and above what is asked for. */
static void bound(struct bench *b, uint32_t n, uint32_t limit, uint64_t asked, uint32_t contact)
{
	struct oni_stim_class *c = &b->policy.cls[n];

	c->max[limit] = asked + 1;
	accepted(b);
	c->max[limit] = asked;
	accepted(b);
	c->max[limit] = asked - 1;
	c->source[limit] = ONI_STIM_BY_RUNTIME;
	refused(b, limit);
	assert_int_equal(b->v.contact, contact);
	assert_int_equal(b->v.asked, asked);
	assert_int_equal(b->v.allowed, asked - 1);
	assert_int_equal(b->v.source, ONI_STIM_BY_RUNTIME);
}

/* What the base program asks for, by hand: 100 uA for 198.72 us are 19.872 nC. */
static const struct {
	uint32_t limit;
	uint64_t asked;
} rhs_bounds[] = {
	{ ONI_STIM_AMPLITUDE, 100000 },
	{ ONI_STIM_CHARGE, 19872000 },
	{ ONI_STIM_DENSITY, 993600 },		/* 19.872 nC on 2000 um2 */
	{ ONI_STIM_SHANNON, 197449 },		/* 19872^2 / 2000 = 197448.19 */
	{ ONI_STIM_WIDTH, 198720 },
	{ ONI_STIM_GAP, 66240 },
	{ ONI_STIM_RATE, 100645 },		/* 9.936 ms: 100.644 Hz */
	{ ONI_STIM_DUTY, 7949 },		/* 24 of 33.12 us in 100 ms: 7948.8 ppm */
	{ ONI_STIM_TRAIN, 319 * 33120 },
	{ ONI_STIM_WATCHDOG, 100 },
};

/* verifies: R01, R17 */
static void each_bound_of_a_contact(void **state)
{
	struct bench *b = *state;
	size_t i;

	for (i = 0; i < sizeof(rhs_bounds) / sizeof(rhs_bounds[0]); i++) {
		base(b);
		bound(b, 0, rhs_bounds[i].limit, rhs_bounds[i].asked, 3);
	}
}

/*
 * One contact in use: the return gets the same, upside down.
 *
 * verifies: R37
 */
static void each_bound_of_the_return(void **state)
{
	struct bench *b = *state;
	size_t i;

	for (i = 0; i < sizeof(rhs_bounds) / sizeof(rhs_bounds[0]); i++) {
		base(b);
		bound(b, 1, rhs_bounds[i].limit, rhs_bounds[i].asked, ONI_STIM_RETURN);
	}
}

/* verifies: R01 */
static void area_is_an_allowance(void **state)
{
	struct bench *b = *state;

	b->policy.cls[0].max[ONI_STIM_SHANNON] = 316227;	/* k = 1.5 */
	b->policy.cls[0].max[ONI_STIM_AREA] = 1249;		/* 19872^2 / 316227 = 1248.8 */
	accepted(b);
	b->policy.cls[0].max[ONI_STIM_AREA] = 1248;
	refused(b, ONI_STIM_SHANNON);
	base(b);
	b->policy.cls[0].max[ONI_STIM_DENSITY] = 30000;		/* 30 uC/cm2 */
	b->policy.cls[0].max[ONI_STIM_AREA] = 66240;
	accepted(b);
	b->policy.cls[0].max[ONI_STIM_AREA] = 66239;
	refused(b, ONI_STIM_DENSITY);
}

/* verifies: R02 */
static void no_area_means_no_stimulation(void **state)
{
	struct bench *b = *state;

	b->policy.cls[0].max[ONI_STIM_AREA] = 0;
	refused(b, ONI_STIM_NO_AREA);
	assert_int_equal(b->v.contact, 3);
	assert_int_equal(b->v.source, ONI_STIM_BY_POLICY);
	base(b);
	b->policy.cls[1].max[ONI_STIM_AREA] = 0;
	refused(b, ONI_STIM_NO_AREA);
	assert_int_equal(b->v.contact, ONI_STIM_RETURN);
}

/* verifies: R02 */
static void a_contact_outside_the_policy(void **state)
{
	struct bench *b = *state;

	b->policy.class_of[3] = 0;
	refused(b, ONI_STIM_UNKNOWN_CONTACT);
	assert_int_equal(b->v.contact, 3);
	assert_int_equal(b->v.source, ONI_STIM_BY_NOBODY);
	base(b);
	b->policy.class_of[ONI_STIM_RETURN] = 0;
	refused(b, ONI_STIM_UNKNOWN_CONTACT);
	assert_int_equal(b->v.contact, ONI_STIM_RETURN);
	/* The others do not matter. */
	base(b);
	memset(b->policy.class_of, 0, ONI_STIM_CONTACTS);
	b->policy.class_of[3] = 1;
	accepted(b);
}

/* verifies: R02 */
static void an_empty_policy_allows_nothing(void **state)
{
	struct bench *b = *state;

	memset(b->policy.cls, 0, sizeof(b->policy.cls));
	memset(b->policy.class_of, 0, sizeof(b->policy.class_of));
	b->policy.classes = 0;
	refused(b, ONI_STIM_UNKNOWN_CONTACT);
}

/*
 * One sample too long at 100 uA is 3.312 nC.
 *
 * verifies: R03
 */
static void net_charge(void **state)
{
	struct bench *b = *state;

	b->rows[7].time++;
	refused(b, ONI_STIM_NET);
	assert_int_equal(b->v.asked, 3312000);
	assert_int_equal(b->v.allowed, 0);
	b->policy.cls[1].max[ONI_STIM_NET] = 3312000;
	b->policy.cls[0].max[ONI_STIM_NET] = 3311999;
	refused(b, ONI_STIM_NET);
	assert_int_equal(b->v.allowed, 3311999);
	b->policy.cls[0].max[ONI_STIM_NET] = 3312000;
	accepted(b);
	b->policy.cls[0].max[ONI_STIM_NET] = 3312001;
	accepted(b);
	b->policy.cls[1].max[ONI_STIM_NET] = 3311999;
	refused(b, ONI_STIM_NET);
	assert_int_equal(b->v.contact, ONI_STIM_RETURN);
}

/*
 * The smallest imbalance there is: 10 nA for one period.
 *
 * verifies: R03
 */
static void balance_is_exact(void **state)
{
	struct bench *b = *state;

	b->program.chip[0].step_na = 10;
	accepted(b);
	b->program.chip[0].positive[3] = 101;
	b->program.chip[0].negative[3] = 101;
	accepted(b);
	b->program.chip[0].positive[3] = 100;
	refused(b, ONI_STIM_NET);
	assert_int_equal(b->v.asked, 10 * 12 * 33120 / 1000 + 1);
}

/* Equal charge by unequal currents: 50 uA for 12 periods against 100 uA for six. */
static void balance_is_about_charge(void **state)
{
	struct bench *b = *state;

	b->program.chip[0].positive[3] = 50;
	b->rows[3].time += 6;
	b->rows[7].time += 6;
	accepted(b);
}

/*
 * Pulses of one polarity add up until something comes back.
 *
 * verifies: R01, R03
 */
static void phases_add_up_until_balance(void **state)
{
	struct bench *b = *state;
	uint32_t i;

	b->nrows = 0;
	for (i = 0; i < 4; i++) {
		row(b, 20 * i, ON(3));
		row(b, 20 * i + 6, 0);
	}
	row(b, 80, POS(3));
	row(b, 80 + 24, 0);
	rows_are_of_chip(b, 0);
	bound(b, 0, ONI_STIM_CHARGE, 4 * 19872000, 3);
	base(b);
	b->nrows = 0;
	row(b, 0, ON(3));
	row(b, 6, POS(3));
	row(b, 18, ON(3));
	row(b, 24, 0);
	rows_are_of_chip(b, 0);
	bound(b, 0, ONI_STIM_CHARGE, 2 * 19872000, 3);
}

/*
 * Phases that are small, but each leaves something on the same side.
 *
 * verifies: R01
 */
static void drift_counts_as_charge(void **state)
{
	struct bench *b = *state;
	uint32_t i;

	b->nrows = 0;
	for (i = 0; i < 10; i++) {
		row(b, 20 * i, ON(3));
		row(b, 20 * i + 6, POS(3));
		row(b, 20 * i + 11, 0);
	}
	row(b, 200, POS(3));
	row(b, 210, 0);
	rows_are_of_chip(b, 0);
	bound(b, 0, ONI_STIM_CHARGE, 15 * 3312000, 3);
}

/* verifies: R37 */
static void currents_meet_in_the_return(void **state)
{
	struct bench *b = *state;

	/* Channel 3 of both chips at once: twice the current, charge and so on. */
	memcpy(b->rows + b->nrows, b->rows, b->nrows * sizeof(*b->rows));
	b->program.chip[1].rows = b->nrows;
	b->nrows *= 2;
	bound(b, 1, ONI_STIM_AMPLITUDE, 200000, ONI_STIM_RETURN);
	base(b);
	memcpy(b->rows + b->nrows, b->rows, b->nrows * sizeof(*b->rows));
	b->program.chip[1].rows = b->nrows;
	b->nrows *= 2;
	bound(b, 1, ONI_STIM_CHARGE, 2 * 19872000, ONI_STIM_RETURN);
	assert_int_equal(b->program.chip[1].rows, 8);
}

static void opposite_currents_cancel_in_the_return(void **state)
{
	struct bench *b = *state;

	b->nrows = 0;
	row(b, 0, ON(3) | POS(4));
	row(b, 6, POS(3) | ON(4));
	row(b, 12, 0);
	rows_are_of_chip(b, 0);
	b->policy.cls[1].max[ONI_STIM_AMPLITUDE] = 0;
	b->policy.cls[1].max[ONI_STIM_CHARGE] = 0;
	b->policy.cls[1].max[ONI_STIM_SHANNON] = 0;
	accepted(b);
}

/*
 * The worst window of 2 ms holds the end of one burst and the start of the other.
 *
 * verifies: R17
 */
static void duty_in_the_worst_window(void **state)
{
	struct bench *b = *state;
	uint32_t i;

	b->nrows = 0;
	for (i = 0; i < 2; i++) {
		row(b, 100 * i, ON(3));
		row(b, 100 * i + 20, POS(3));
		row(b, 100 * i + 40, 0);
	}
	rows_are_of_chip(b, 0);
	b->policy.duty_window_ns = 80 * PERIOD;		/* 20 of the one, and the gap */
	bound(b, 0, ONI_STIM_DUTY, 500000, 3);
	base(b);
	b->policy.duty_window_ns = 3600000000000ull;
	bound(b, 0, ONI_STIM_DUTY, 1, 3);
}

/*
 * Currents may be the whole scale, and policies what they like: nothing is wrong by itself.
 *
 * verifies: R28
 */
static void no_policy_is_above_the_hardware(void **state)
{
	struct bench *b = *state;
	uint32_t i;

	for (i = 0; i < ONI_STIM_LIMITS; i++)
		b->policy.cls[0].max[i] = UINT64_MAX;
	b->policy.cls[0].max[ONI_STIM_NET] = 0;
	b->policy.cls[1].max[ONI_STIM_AREA] = UINT64_MAX;
	accepted(b);
	b->nrows = 0;
	row(b, 0, ON(3));
	row(b, 151, POS(3));
	row(b, 302, 0);
	rows_are_of_chip(b, 0);
	refused(b, ONI_STIM_WIDTH);
	assert_int_equal(b->v.allowed, 5000000);
	assert_int_equal(b->v.source, ONI_STIM_BY_HARDWARE);
	b->policy.cls[0].max[ONI_STIM_NET] = UINT64_MAX;
	b->rows[1].time = 150;
	b->rows[2].time = 300;
	accepted(b);
}

/*
 * ---- trains that a signal from outside may start ------------------------------
 *
 * verifies: R09
 */
static void external_triggers_need_a_policy(void **state)
{
	struct bench *b = *state;
	uint32_t source;

	for (source = ONI_STIM_FROM_GPIO; source <= ONI_STIM_FROM_SYNC; source *= 2) {
		base(b);
		if (source == ONI_STIM_FROM_SYNC)
			b->program.sources = source;
		else
			b->program.sources |= source;
		accepted(b);
		b->policy.cls[0].max[ONI_STIM_EXTERNAL] = 0;
		refused(b, ONI_STIM_EXTERNAL);
		assert_int_equal(b->v.contact, 3);
		assert_int_equal(b->v.asked, 1);
		base(b);
		b->program.sources = source;
		b->policy.cls[1].max[ONI_STIM_EXTERNAL] = 0;
		refused(b, ONI_STIM_EXTERNAL);
		assert_int_equal(b->v.contact, ONI_STIM_RETURN);
	}
}

/*
 * One pulse in 20 periods is no rate, but 1589 Hz if it is started again at its end.
 *
 * verifies: R17
 */
static void external_triggers_come_at_once(void **state)
{
	struct bench *b = *state;

	b->nrows = 4;
	rows_are_of_chip(b, 0);
	b->policy.cls[0].max[ONI_STIM_RATE] = 0;
	accepted(b);
	b->program.sources = ONI_STIM_FROM_GPIO;
	bound(b, 0, ONI_STIM_RATE, 1589118, 3);		/* 19 periods */
	base(b);
	b->nrows = 4;
	b->program.sources = ONI_STIM_FROM_GPIO;
	row(b, 1000, 0);				/* dead time */
	rows_are_of_chip(b, 0);
	bound(b, 0, ONI_STIM_RATE, 30194, 3);
	base(b);
	b->nrows = 4;
	b->program.sources = ONI_STIM_FROM_GPIO;
	row(b, 100, 0);
	rows_are_of_chip(b, 0);
	b->policy.duty_window_ns = 1000 * PERIOD;
	bound(b, 0, ONI_STIM_DUTY, 120000, 3);
}

/* verifies: R03 */
static void external_triggers_leave_nothing(void **state)
{
	struct bench *b = *state;

	b->rows[7].time++;
	b->policy.cls[0].max[ONI_STIM_NET] = 1ull << 40;
	b->policy.cls[1].max[ONI_STIM_NET] = 1ull << 40;
	accepted(b);
	b->program.sources = ONI_STIM_FROM_SYNC;
	refused(b, ONI_STIM_NET);
	assert_int_equal(b->v.allowed, 0);
	assert_int_equal(b->v.source, ONI_STIM_BY_HARDWARE);
}

static void external_triggers_of_two_chips(void **state)
{
	struct bench *b = *state;

	memcpy(b->rows + 8, b->rows, 8 * sizeof(*b->rows));
	b->program.chip[1].rows = 8;
	b->nrows = 16;
	b->program.sources |= ONI_STIM_FROM_GPIO;
	accepted(b);
	b->rows[16] = (struct oni_stim_delta){ 1000, 0 };
	b->program.chip[1].rows = 9;
	b->nrows = 17;
	refused(b, ONI_STIM_UNEQUAL_ENDS);
	b->program.sources = ONI_STIM_FROM_REGISTER;
	accepted(b);
}

/* ---- tables -------------------------------------------------------------------- */

/* Two channels, 100 uA for six periods each way, the second three periods later. */
static const struct oni_stim_delta staggered[] = {
	{ 0, ON(0) }, { 6, POS(0) }, { 12, 0 },
	{ 3, ON(1) }, { 9, POS(1) }, { 15, 0 },
};

/* verifies: R35 */
static void staggered_channels_in_the_order_of_a_dictionary(void **state)
{
	struct bench *b = *state;

	memcpy(b->rows, staggered, sizeof(staggered));
	b->nrows = 6;
	rows_are_of_chip(b, 0);
	refused(b, ONI_STIM_NOT_MONOTONIC);
	assert_int_equal(b->v.where, 3);
	assert_int_equal(b->v.asked, 3);
	assert_int_equal(b->v.allowed, 13);
}

/*
 * Sorted, a row still says nothing of the channel that it is not about: it goes off.
 *
 * verifies: R03, R35
 */
static void staggered_channels_sorted_only(void **state)
{
	struct bench *b = *state;

	b->nrows = 0;
	row(b, 0, ON(0));
	row(b, 3, ON(1));
	row(b, 6, POS(0));
	row(b, 9, POS(1));
	row(b, 12, 0);
	row(b, 15, 0);
	rows_are_of_chip(b, 0);
	accepted(b);		/* by luck: all phases are cut to three periods */
	/* With two periods between the phases the first channel keeps 6.6 of 20 nC. */
	b->nrows = 0;
	row(b, 0, POS(0));
	row(b, 3, POS(1));
	row(b, 6, 0);
	row(b, 8, ON(0));
	row(b, 9, 0);
	row(b, 11, ON(1));
	row(b, 14, 0);
	row(b, 17, 0);
	rows_are_of_chip(b, 0);
	refused(b, ONI_STIM_NET);
	assert_int_equal(b->v.contact, 0);
	assert_int_equal(b->v.asked, 6624000);
}

/* verifies: R35 */
static void staggered_channels_with_whole_states(void **state)
{
	struct bench *b = *state;

	b->nrows = 0;
	row(b, 0, ON(0));
	row(b, 3, ON(0) | ON(1));
	row(b, 6, POS(0) | ON(1));
	row(b, 9, POS(0) | POS(1));
	row(b, 12, POS(1));
	row(b, 15, 0);
	rows_are_of_chip(b, 0);
	accepted(b);
}

/* verifies: R35 */
static void order_of_times(void **state)
{
	struct bench *b = *state;

	b->rows[2].time = b->rows[1].time;
	refused(b, ONI_STIM_NOT_MONOTONIC);
	assert_int_equal(b->v.where, 2);
	assert_int_equal(b->v.allowed, b->rows[1].time + 1);
	b->rows[2].time--;
	refused(b, ONI_STIM_NOT_MONOTONIC);
	b->rows[2].time += 2;
	b->rows[3].time -= 1;		/* as long as before */
	accepted(b);
}

static void times_have_22_bits(void **state)
{
	struct bench *b = *state;

	b->policy.cls[0].max[ONI_STIM_TRAIN] = UINT64_MAX;
	row(b, 1u << 22, 0);
	rows_are_of_chip(b, 0);
	refused(b, ONI_STIM_TIME_RANGE);
	b->rows[8].time--;
	refused(b, ONI_STIM_TRAIN);		/* 139 s are far too long */
	assert_int_equal(b->v.source, ONI_STIM_BY_HARDWARE);
}

/* verifies: R35 */
static void the_last_row_is_off(void **state)
{
	struct bench *b = *state;

	b->rows[7].polen = ON(9);
	refused(b, ONI_STIM_LEFT_ON);
	assert_int_equal(b->v.asked, ON(9));
	assert_int_equal(b->v.where, 7);
	b->rows[7].polen = 0xffff0000;		/* polarities are no current */
	accepted(b);
}

/* verifies: R35 */
static void slots(void **state)
{
	struct bench *b = *state;
	uint32_t i;

	b->policy.duty_window_ns = 3600000000000ull;
	b->nrows = 0;
	for (i = 0; i < ONI_STIM_SLOTS / 4; i++) {
		row(b, 300 * i, ON(3));
		row(b, 300 * i + 1, POS(3));
		row(b, 300 * i + 2, 0);
		row(b, 300 * i + 4, 0);
	}
	rows_are_of_chip(b, 0);
	accepted(b);
	row(b, 300 * i, 0);
	rows_are_of_chip(b, 0);
	refused(b, ONI_STIM_TOO_MANY_SLOTS);
	assert_int_equal(b->v.allowed, 1024);
	b->nrows = 0;
	rows_are_of_chip(b, 0);
	refused(b, ONI_STIM_BAD_PROGRAM);
}

static void rows_and_their_number(void **state)
{
	struct bench *b = *state;

	b->program.chip[0].rows = 9;
	refused(b, ONI_STIM_BAD_PROGRAM);
	b->program.chip[0].rows = 7;
	refused(b, ONI_STIM_BAD_PROGRAM);
	base(b);
	b->program.chip[1].rows = UINT32_MAX;
	refused(b, ONI_STIM_TOO_MANY_SLOTS);
}

/* verifies: R27 */
static void step_sizes(void **state)
{
	static const uint32_t good[] = { 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000 };
	static const uint32_t bad[] = { 0, 1, 30, 999, 1001, 20000, UINT32_MAX };
	struct bench *b = *state;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		b->program.chip[0].step_na = good[i];
		accepted(b);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		b->program.chip[0].step_na = bad[i];
		refused(b, ONI_STIM_STEP_SIZE);
		assert_int_equal(b->v.asked, bad[i]);
	}
}

/*
 * Whether a pending trigger can be taken back is not known.
 *
 * verifies: R08
 */
static void no_delayed_triggers(void **state)
{
	struct bench *b = *state;

	b->program.delay = 1;
	refused(b, ONI_STIM_BAD_PROGRAM);
	assert_int_equal(b->v.where, 5);
	assert_int_equal(b->v.asked, 1);
	assert_int_equal(b->v.allowed, 0);
	b->program.delay = UINT32_MAX;
	refused(b, ONI_STIM_BAD_PROGRAM);
}

/* The trigger device listens to its sync line, or to everything else. */
static void sync_goes_with_nothing_else(void **state)
{
	struct bench *b = *state;
	uint32_t sources;

	for (sources = 0; sources < 8; sources++) {
		b->program.sources = sources;
		if (sources && sources <= ONI_STIM_FROM_SYNC) {
			accepted(b);
			continue;
		}
		refused(b, ONI_STIM_BAD_PROGRAM);
		assert_int_equal(b->v.where, 3);
		assert_int_equal(b->v.asked, sources);
	}
}

/* ---- form ------------------------------------------------------------------------ */
static void form_of_a_policy(void **state)
{
	struct bench *b = *state;

	b->policy.size--;
	refused(b, ONI_STIM_BAD_POLICY);
	base(b);
	b->policy.version++;
	refused(b, ONI_STIM_BAD_POLICY);
	base(b);
	b->policy.classes = ONI_STIM_CLASSES + 1;
	refused(b, ONI_STIM_BAD_POLICY);
	base(b);
	b->policy.class_of[7] = 3;
	refused(b, ONI_STIM_BAD_POLICY);
	base(b);
	b->policy.class_of[ONI_STIM_RETURN + 1] = 1;
	refused(b, ONI_STIM_BAD_POLICY);
	base(b);
	b->policy.cls[1].max[ONI_STIM_LIMITS] = 1;
	refused(b, ONI_STIM_BAD_POLICY);
	base(b);
	b->policy.cls[0].source[ONI_STIM_LIMIT_SLOTS - 1] = 1;
	refused(b, ONI_STIM_BAD_POLICY);
	base(b);
	b->policy.cls[2].max[ONI_STIM_AREA] = 1;
	refused(b, ONI_STIM_BAD_POLICY);
	base(b);
	b->policy.duty_window_ns = 999999;
	refused(b, ONI_STIM_BAD_POLICY);
	b->policy.duty_window_ns = 3600000000001ull;
	refused(b, ONI_STIM_BAD_POLICY);
	base(b);
	b->policy.hs64_readings = ONI_STIM_HS64_UNIT_1US | ONI_STIM_HS64_UNIT_10US;
	refused(b, ONI_STIM_BAD_POLICY);
	b->policy.hs64_readings = ONI_STIM_HS64_PAUSE;
	refused(b, ONI_STIM_BAD_POLICY);
	b->policy.hs64_readings = 0x1f;
	refused(b, ONI_STIM_BAD_POLICY);
}

static void form_of_a_program(void **state)
{
	struct bench *b = *state;

	b->program.size--;
	refused(b, ONI_STIM_BAD_PROGRAM);
	base(b);
	b->program.version++;
	refused(b, ONI_STIM_BAD_PROGRAM);
	base(b);
	b->program.kind = 3;
	refused(b, ONI_STIM_BAD_PROGRAM);
	base(b);
	b->program.sources = 0;
	refused(b, ONI_STIM_BAD_PROGRAM);
	b->program.sources = 8;
	refused(b, ONI_STIM_BAD_PROGRAM);
	base(b);
	b->program.watchdog_ms = 0;
	refused(b, ONI_STIM_BAD_PROGRAM);
	base(b);
	b->program.hs64.rest = 1;
	refused(b, ONI_STIM_BAD_PROGRAM);
	base_hs64(b);
	b->program.sources |= ONI_STIM_FROM_GPIO;
	refused(b, ONI_STIM_BAD_PROGRAM);
	base_hs64(b);
	b->program.chip[1].negative[15] = 1;
	refused(b, ONI_STIM_BAD_PROGRAM);
	base_hs64(b);
	b->nrows = 1;
	refused(b, ONI_STIM_BAD_PROGRAM);
	base_hs64(b);
	b->program.delay = 1;
	refused(b, ONI_STIM_BAD_PROGRAM);
}

/* verifies: R28 */
static void ceilings_only_go_down(void **state)
{
	struct oni_stim_class a, other;
	uint32_t i;

	(void)state;
	generous(&a, 0);
	generous(&other, 0);
	for (i = 0; i < ONI_STIM_LIMITS; i++) {
		a.max[i] = 100;
		other.max[i] = 99 + i % 3;
		other.source[i] = ONI_STIM_BY_FIRMWARE;
	}
	oni_stim_lower(&a, &other);
	for (i = 0; i < ONI_STIM_LIMITS; i++) {
		assert_int_equal(a.max[i], i % 3 ? 100 : 99);
		assert_int_equal(a.source[i], i % 3 ? ONI_STIM_BY_POLICY : ONI_STIM_BY_FIRMWARE);
	}
	oni_stim_lower(&a, &a);
	assert_int_equal(a.max[0], 99);
	assert_int_equal(oni_stim_hard_limit(ONI_STIM_LIMITS, 0), 0);
}

/* ---- headstage-64 -------------------------------------------------------------------- */

/*
 * -974.3 uA for 100 us, by hand: (2 * 20000 - 65535) * 500000 / 13107 = -974097.8 nA.
 *
 * verifies: R01
 */
static void each_bound_of_hs64(void **state)
{
	static const struct {
		uint32_t limit;
		uint64_t asked;
	} want[] = {
		{ ONI_STIM_AMPLITUDE, 974098 },
		{ ONI_STIM_CHARGE, 97409782 },		/* 97.40978 nC */
		{ ONI_STIM_DENSITY, 4870490 },		/* on 2000 um2 */
		{ ONI_STIM_WIDTH, 100000 },
		{ ONI_STIM_RATE, 100000 },		/* 10 ms from pulse to pulse */
		{ ONI_STIM_DUTY, 20000 },		/* ten times 200 us in 100 ms */
		{ ONI_STIM_TRAIN, 10 * (100000000ull + 200000) },
	};
	struct bench *b = *state;
	size_t i;

	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		base_hs64(b);
		bound(b, 0, want[i].limit, want[i].asked, 0);
		base_hs64(b);
		bound(b, 1, want[i].limit, want[i].asked, ONI_STIM_RETURN);
	}
}

/*
 * Full scale in the second phase, nothing to speak of in the first.
 *
 * verifies: R01
 */
static void hs64_as_it_comes_is_refused(void **state)
{
	struct bench *b = *state;

	base_hs64(b);
	b->program.hs64.current1 = 0x8000;
	b->program.hs64.current2 = 0;
	refused(b, ONI_STIM_NET);
	assert_true(b->v.asked > 2400000000ull);	/* ten times 250 nC */
}

/* verifies: R03 */
static void hs64_balance_is_exact(void **state)
{
	struct bench *b = *state;

	base_hs64(b);
	accepted(b);
	b->program.hs64.current2++;
	refused(b, ONI_STIM_NET);
	base_hs64(b);
	b->program.hs64.duration2++;
	refused(b, ONI_STIM_NET);
	base_hs64(b);
	b->program.hs64.interphase = 1;		/* 38 nA are not nothing */
	refused(b, ONI_STIM_NET);
	b->policy.cls[0].max[ONI_STIM_NET] = 1000000;
	b->policy.cls[1].max[ONI_STIM_NET] = 1000000;
	accepted(b);
}

/*
 * Charge squared is above the line by 1e9 of 1e23, which has to be too much.
 *
 * verifies: R01
 */
static void shannon_to_the_last_bit(void **state)
{
	struct bench *b = *state;

	b->policy.cls[0].max[ONI_STIM_AREA] = 1024;
	b->policy.cls[0].max[ONI_STIM_SHANNON] = 385641;	/* 19872^2 = 1024 * 385641 */
	accepted(b);
	b->policy.cls[0].max[ONI_STIM_SHANNON]--;
	refused(b, ONI_STIM_SHANNON);
	base_hs64(b);
	b->program.hs64.duration1 = 342;		/* 333141451133 aC */
	b->program.hs64.duration2 = 342;
	b->policy.cls[0].max[ONI_STIM_AREA] = 1171;
	b->policy.cls[0].max[ONI_STIM_SHANNON] = 94776453;
	b->policy.cls[1].max[ONI_STIM_AREA] = 100000;
	refused(b, ONI_STIM_SHANNON);
	assert_int_equal(b->v.contact, 0);
	b->policy.cls[0].max[ONI_STIM_SHANNON]++;
	accepted(b);
}

/* Nothing comes back between the pulses: the train is one phase of 2 ms. */
static void hs64_of_one_polarity(void **state)
{
	struct bench *b = *state;

	base_hs64(b);
	b->program.hs64.current1 = 33000;
	b->program.hs64.current2 = 33000;
	b->policy.cls[0].max[ONI_STIM_NET] = UINT64_MAX;
	b->policy.cls[1].max[ONI_STIM_NET] = UINT64_MAX;
	bound(b, 0, ONI_STIM_WIDTH, 2000000, 0);
}

static void hs64_parameters(void **state)
{
	struct bench *b = *state;
	struct oni_stim_hs64 *h = &b->program.hs64;
	uint32_t i, *zero[] = { &h->duration1, &h->duration2, &h->pulses, &h->bursts };
	uint32_t *code[] = { &h->current1, &h->current2, &h->rest };

	for (i = 0; i < 4; i++) {
		base_hs64(b);
		*zero[i] = 0;
		refused(b, ONI_STIM_PARAMETER);
	}
	for (i = 0; i < 3; i++) {
		base_hs64(b);
		*code[i] = 65536;
		refused(b, ONI_STIM_PARAMETER);
	}
	base_hs64(b);
	h->biphasic = 0;
	refused(b, ONI_STIM_PARAMETER);
	assert_int_equal(b->v.where, 1);
	base_hs64(b);
	h->interpulse = 199;			/* from pulse to pulse, in us */
	refused(b, ONI_STIM_PARAMETER);
	b->policy.hs64_readings &= ~ONI_STIM_HS64_PERIOD;
	accepted(b);
	base_hs64(b);
	h->bursts = 2;
	h->interburst = 10;
	refused(b, ONI_STIM_PARAMETER);
	assert_int_equal(b->v.where, 9);
}

/*
 * What was measured is no doubt any more.
 *
 * verifies: R13
 */
static void hs64_readings(void **state)
{
	struct bench *b = *state;

	base_hs64(b);
	b->policy.hs64_readings = ONI_STIM_HS64_UNIT_10US | ONI_STIM_HS64_PAUSE;
	bound(b, 0, ONI_STIM_RATE, 9981, 0);	/* 100.2 ms */
	base_hs64(b);
	b->policy.hs64_readings = ONI_STIM_HS64_UNIT_1US | ONI_STIM_HS64_PAUSE;
	bound(b, 0, ONI_STIM_RATE, 98040, 0);	/* 10.2 ms */
	base_hs64(b);
	b->policy.hs64_readings = ONI_STIM_HS64_UNIT_1US | ONI_STIM_HS64_PAUSE;
	bound(b, 0, ONI_STIM_TRAIN, 102000000, 0);
}

/*
 * Every field as large as it goes, alone and together.
 *
 * verifies: R01
 */
static void numbers_that_are_too_large(void **state)
{
	struct bench *b = *state;
	uint32_t *field, i, n = sizeof(b->program.hs64) / sizeof(*field);

	for (i = 0; i < n; i++) {
		base_hs64(b);
		field = (uint32_t *)&b->program.hs64 + i;
		*field = UINT32_MAX;
		assert_false(check(b));
	}
	base_hs64(b);
	b->program.hs64.duration1 = UINT32_MAX;
	b->program.hs64.duration2 = UINT32_MAX;
	b->program.hs64.interphase = UINT32_MAX;
	b->program.hs64.interpulse = UINT32_MAX;
	b->program.hs64.pulses = UINT32_MAX;
	b->program.hs64.interburst = UINT32_MAX;
	b->program.hs64.bursts = UINT32_MAX;
	b->program.hs64.delay = UINT32_MAX;
	b->policy.cls[0].max[ONI_STIM_TRAIN] = UINT64_MAX;
	assert_false(check(b));
	b->policy.hs64_readings &= ~ONI_STIM_HS64_PERIOD;
	refused(b, ONI_STIM_TRAIN);
	assert_true(b->v.asked == UINT64_MAX);
	assert_int_equal(b->v.allowed, 10000000000ull);
}

/* Full scale on every contact for as long as a train may be: nothing wraps. */
static void the_largest_sums(void **state)
{
	struct bench *b = *state;
	uint32_t i, n, end = 10000000000ull / ONI_STIM_PERIOD_NS;

	for (n = 0; n < ONI_STIM_CHIPS; n++) {
		b->program.chip[n].step_na = 10000;
		memset(b->program.chip[n].positive, 255, 16);
		memset(b->program.chip[n].negative, 255, 16);
		b->program.chip[n].rows = 3;
	}
	for (b->nrows = 0, i = 0; i < 2; i++) {
		row(b, 0, 0xffffffff);
		row(b, end / 2, 0x0000ffff);
		row(b, end / 2 * 2, 0);
	}
	refused(b, ONI_STIM_WIDTH);
	b->policy.cls[0].max[ONI_STIM_NET] = UINT64_MAX;
	/* One polarity only, over and over: one long phase. */
	for (b->nrows = 0, n = 0; n < ONI_STIM_CHIPS; n++) {
		for (i = 0; i < 511; i++) {
			row(b, i * 590, 0xffffffff);
			row(b, i * 590 + 100, 0);
		}
		b->program.chip[n].rows = b->nrows / (n + 1);
	}
	refused(b, ONI_STIM_WIDTH);
	assert_int_equal(b->v.asked, 511 * 100 * PERIOD);
}

/* ---- random programs, played and judged again ---------------------------------------- */
static uint64_t rng_state;

static uint32_t rnd(uint32_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)((rng_state >> 32) * below >> 32);
}

/* Pulses of some channels as lists of events, merged into whole states. */
struct draft {
	uint32_t time[256], state[256];
	uint32_t n;
};

static void draft_add(struct draft *d, uint32_t from, uint32_t to, uint32_t polen)
{
	uint32_t edge[2] = { from, to }, i, k;

	for (k = 0; k < 2; k++) {
		for (i = 0; i < d->n && d->time[i] < edge[k]; i++)
			;
		if (i < d->n && d->time[i] == edge[k])
			continue;
		memmove(d->time + i + 1, d->time + i, (d->n - i) * sizeof(*d->time));
		memmove(d->state + i + 1, d->state + i, (d->n - i) * sizeof(*d->state));
		d->time[i] = edge[k];
		d->state[i] = i ? d->state[i - 1] : 0;
		d->n++;
	}
	for (i = 0; i < d->n; i++)
		if (d->time[i] >= from && d->time[i] < to)
			d->state[i] |= polen;
}

static void draft_channel(struct draft *d, uint32_t ch, uint32_t t, uint32_t positive,
			  uint32_t negative)
{
	uint32_t first = rnd(2), w1 = 1 + rnd(8), gap = rnd(3) ? 0 : rnd(4), pulses = 1 + rnd(3);
	uint32_t isi = 1 + rnd(rnd(2) ? 30 : 3), i, w2 = w1;

	/* Half of the time the charges are equal although the currents are not. */
	if (positive == 2 * negative)
		w2 = first ? w1 * 2 : (w1 = 2 * w1, w1 / 2);
	for (i = 0; i < pulses; i++) {
		draft_add(d, t, t + w1, first ? POS(ch) : ON(ch));
		draft_add(d, t + w1 + gap, t + w1 + gap + w2, first ? ON(ch) : POS(ch));
		t += w1 + gap + w2 + isi;
	}
}

static void random_chip(struct bench *b, uint32_t n)
{
	static const uint32_t steps[] = { 10, 100, 500, 1000, 10000 };
	struct oni_stim_chip *c = &b->program.chip[n];
	struct draft d = { .n = 0 };
	uint32_t i, ch, channels = 1 + rnd(2), t = rnd(4) ? 0 : rnd(10);

	c->step_na = steps[rnd(5)];
	for (i = 0; i < channels; i++) {
		ch = rnd(16);
		c->positive[ch] = (uint8_t)(1 + rnd(127));
		c->negative[ch] = c->positive[ch];
		if (!rnd(4))
			c->positive[ch] = (uint8_t)(2 * c->negative[ch]);
		draft_channel(&d, ch, t, c->positive[ch], c->negative[ch]);
		if (!rnd(2))
			t += rnd(12);
	}
	if (!rnd(3))
		draft_add(&d, d.time[d.n - 1] + rnd(40), d.time[d.n - 1] + 41, 0);
	for (i = 0; i < d.n; i++)
		row(b, d.time[i], d.state[i]);
	c->rows = d.n;
}

/* What goes wrong in a compiler, or in a table on its way. */
static void spoil(struct bench *b)
{
	struct oni_stim_delta *r = &b->rows[rnd(b->nrows)];

	switch (rnd(9)) {
	case 0:
		r->time += rnd(3);
		break;
	case 1:
		r->time -= r->time ? 1 : 0;
		break;
	case 2:
		r->polen ^= 1u << rnd(32);
		break;
	case 3:
		r->polen &= 0xffff0000u | r->polen >> 1;
		break;
	case 4:
		r->time = rnd(1u << 23);
		break;
	case 5:
		b->program.chip[0].positive[rnd(16)]++;
		break;
	case 6:
		b->program.chip[0].negative[rnd(16)] = (uint8_t)rnd(256);
		break;
	case 7:
		b->program.chip[0].step_na = rnd(2000);
		break;
	case 8:
		b->rows[b->nrows - 1].polen ^= 1u << rnd(16);
		break;
	}
}

static void random_rhs(struct bench *b)
{
	uint32_t n;

	new_program(&b->program, ONI_STIM_RHS2116);
	b->nrows = 0;
	for (n = 0; n < ONI_STIM_CHIPS; n++)
		b->program.chip[n].step_na = 1000;
	random_chip(b, 0);
	if (!rnd(4))
		random_chip(b, 1);
	if (!rnd(3))
		spoil(b);
	if (!rnd(4))
		b->program.sources = 1 + rnd(rnd(10) ? ONI_STIM_FROM_SYNC : 7);
	if (!rnd(100))
		b->program.delay = 1 + rnd(1000);
}

static void random_hs64(struct bench *b)
{
	struct oni_stim_hs64 *h = &b->program.hs64;
	uint32_t *field;

	base_hs64(b);
	h->current1 = rnd(65536);
	h->current2 = 65535 - h->current1;
	h->duration1 = 1 + rnd(400);
	h->duration2 = h->duration1;
	h->interphase = rnd(3) ? 0 : rnd(100);
	h->rest = rnd(3) ? 32767 + rnd(2) : rnd(65536);
	h->pulses = 1 + rnd(5);
	h->bursts = 1 + rnd(3);
	h->interpulse = (rnd(8) ? 900 : 0) + rnd(4000);
	h->interburst = rnd(8) ? h->interpulse * 10 + rnd(4000) : rnd(8000);
	h->delay = rnd(2) ? 0 : rnd(10000);
	if (!rnd(3)) {
		/* Balanced all the same: the rest is an even number of phases. */
		h->interphase = 2 * h->duration1;
		h->current1 = 10000 + rnd(20000);
		h->rest = 10000 + rnd(20000);
		h->current2 = 2 * 65535 - h->current1 - 2 * h->rest + 65535 / 2 + 1;
	}
	field = (uint32_t *)h + rnd(sizeof(*h) / sizeof(*field));
	if (!rnd(5))
		*field = rnd(3) ? *field + 1 : rnd(3);
}

/* A policy around what the program asks for: a bound or two just below, at, or just above. */
static void random_policy(struct bench *b, const struct ref *r)
{
	uint32_t contact, limit, n, i;
	uint64_t most;

	for (n = rnd(4); n; n--) {
		limit = ONI_STIM_AREA + 1 + rnd(ONI_STIM_LIMITS - 1);
		contact = rnd(3) ? 0 : 1;
		for (most = 0, i = 0; i <= ONI_STIM_RETURN; i++)
			if (b->policy.class_of[i] == contact + 1 && r->asked[i][limit] > most)
				most = r->asked[i][limit];
		most += rnd(3);
		b->policy.cls[contact].max[limit] = most ? most - 1 : 0;
		b->policy.cls[contact].source[limit] = (uint8_t)(1 + rnd(4));
	}
	if (!rnd(20))
		b->policy.class_of[rnd(ONI_STIM_RETURN + 1)] = 0;
}

static const uint32_t areas[] = { 177, 2000, 31416, 6000000, 4154756 };

static void policy_for_random(struct bench *b)
{
	uint32_t n;

	new_policy(&b->policy);
	b->policy.duty_window_ns = 1000000 * (1 + rnd(rnd(3) ? 3 : 20));
	for (n = 0; n < 2; n++) {
		b->policy.cls[n].max[ONI_STIM_AREA] = areas[rnd(5)];
		if (!rnd(3))
			b->policy.cls[n].max[ONI_STIM_NET] = rnd(10000000);
	}
}

struct tally {
	uint64_t accepted, by_code[64];
};

static void count(struct tally *t, const struct bench *b, bool ok)
{
	assert_int_equal(ok, b->v.code == ONI_STIM_OK);
	if (ok)
		t->accepted++;
	else
		t->by_code[b->v.code % 64]++;
}

static void say(const struct bench *b, const struct ref *r, const char *what)
{
	uint32_t i, bad;

	fprintf(stderr, "%s: code %u contact %u asked %llu allowed %llu where 0x%x sources %u\n",
		what, b->v.code, b->v.contact, (unsigned long long)b->v.asked,
		(unsigned long long)b->v.allowed, b->v.where, b->program.sources);
	for (i = 0; i < b->nrows; i++)
		fprintf(stderr, "  row %u: %u 0x%08x\n", i, b->rows[i].time, b->rows[i].polen);
	for (i = 0; b->program.kind == ONI_STIM_HS64 && i < 12; i++)
		fprintf(stderr, "  field %u: %u\n", i, ((const uint32_t *)&b->program.hs64)[i]);
	for (i = 0; i <= ONI_STIM_RETURN; i++)
		for (bad = ref_violations(r, &b->policy, i); bad; bad &= bad - 1)
			fprintf(stderr, "  contact %u: limit %d, asked %llu, allowed %llu\n", i,
				__builtin_ctz(bad),
				(unsigned long long)r->asked[i][__builtin_ctz(bad)],
				(unsigned long long)ref_allowed(&b->policy, i, __builtin_ctz(bad)));
	fail();
}

static void try_rhs(struct bench *b, struct ref_player *pl, struct tally *t)
{
	const char *wrong;
	bool error;

	policy_for_random(b);
	random_rhs(b);
	pl->r->endless = b->program.sources != ONI_STIM_FROM_REGISTER;
	error = ref_play_rhs(pl, &b->program, b->rows, (unsigned int)ref_trains(&b->policy, &b->program, b->rows));
	ref_measure(pl->r, &b->policy, &b->program);
	random_policy(b, pl->r);
	/* The tolerance may have changed, and the gaps with it. */
	if (rnd(2)) {
		b->policy.cls[0].max[ONI_STIM_NET] = 0;
		b->policy.cls[1].max[ONI_STIM_NET] = 0;
	}
	ref_remeasure_gaps(pl->r, &b->policy);
	count(t, b, check(b));
	wrong = ref_judge_rhs(pl->r, &b->policy, &b->program, b->rows, b->nrows, error,
			      b->v.code == ONI_STIM_OK, &b->v);
	if (wrong)
		say(b, pl->r, wrong);
}

static void try_hs64(struct bench *b, struct ref_player *pl, struct tally *t)
{
	const char *wrong;

	random_hs64(b);
	policy_for_random(b);
	b->policy.hs64_readings = (1 + rnd(3)) | (1 + rnd(3)) << 2;
	if (ref_form(&b->policy, &b->program, NULL, 0)) {
		ref_play_hs64(pl, &b->program, b->policy.hs64_readings & 1 ? 1000 : 10000,
			      !(b->policy.hs64_readings & ONI_STIM_HS64_PAUSE));
		pl->r->endless = false;
		ref_measure(pl->r, &b->policy, &b->program);
		random_policy(b, pl->r);
	}
	count(t, b, check(b));
	wrong = ref_judge_hs64(pl, &b->policy, &b->program, b->v.code == ONI_STIM_OK, &b->v);
	if (wrong)
		say(b, pl->r, wrong);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

/* verifies: R01, R03, R14, R37 */
static void random_programs(void **state)
{
	struct bench *b = *state;
	uint64_t i, n = number_from("ONI_STIM_PROGRAMS", 100000);
	struct tally t[2] = { { .accepted = 0 } };
	struct ref_player pl;
	struct ref r;
	uint32_t k;

	rng_state = number_from("ONI_STIM_SEED", 1) * 0x9e3779b97f4a7c15ull | 1;
	ref_init(&r);
	ref_player_init(&pl, &r);
	for (i = 0; i < n; i++) {
		if (i % 4)
			try_rhs(b, &pl, &t[0]);
		else
			try_hs64(b, &pl, &t[1]);
	}
	for (k = 0; k < 2; k++) {
		fprintf(stderr, "# %s: %llu accepted; refused by code:", k ? "hs64" : "rhs2116",
			(unsigned long long)t[k].accepted);
		for (i = 0; i < 64; i++)
			if (t[k].by_code[i])
				fprintf(stderr, " %u:%llu", (unsigned int)i,
					(unsigned long long)t[k].by_code[i]);
		fputc('\n', stderr);
		/* A run that never got through, or never refused for a reason, proves nothing. */
		for (i = ONI_STIM_AREA + 1; n >= 10000 && i < ONI_STIM_LIMITS; i++)
			if (!k || (i != ONI_STIM_EXTERNAL && i != ONI_STIM_GAP))
				assert_true(t[k].by_code[i] > 0);
		assert_true(n < 10000 || t[k].accepted > n / 50);
	}
	ref_player_free(&pl);
	ref_free(&r);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_bound_of_a_contact), T(each_bound_of_the_return), T(area_is_an_allowance),
		T(no_area_means_no_stimulation), T(a_contact_outside_the_policy),
		T(an_empty_policy_allows_nothing), T(net_charge), T(balance_is_exact),
		T(balance_is_about_charge), T(phases_add_up_until_balance),
		T(drift_counts_as_charge), T(currents_meet_in_the_return),
		T(opposite_currents_cancel_in_the_return), T(duty_in_the_worst_window),
		T(no_policy_is_above_the_hardware), T(external_triggers_need_a_policy),
		T(external_triggers_come_at_once), T(external_triggers_leave_nothing),
		T(external_triggers_of_two_chips),
		T(staggered_channels_in_the_order_of_a_dictionary),
		T(staggered_channels_sorted_only), T(staggered_channels_with_whole_states),
		T(order_of_times), T(times_have_22_bits), T(the_last_row_is_off), T(slots),
		T(rows_and_their_number), T(step_sizes), T(sync_goes_with_nothing_else), T(no_delayed_triggers),
		T(form_of_a_policy), T(form_of_a_program), T(ceilings_only_go_down),
		T(each_bound_of_hs64), T(hs64_as_it_comes_is_refused), T(hs64_balance_is_exact),
		T(shannon_to_the_last_bit), T(hs64_of_one_polarity),
		T(hs64_parameters), T(hs64_readings), T(numbers_that_are_too_large),
		T(the_largest_sums), T(random_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
