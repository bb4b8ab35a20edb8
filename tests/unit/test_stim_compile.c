// SPDX-License-Identifier: MIT
/* unit-sources: userspace/onistim/conf.c userspace/onistim/decimal.c userspace/onistim/stimulus.c */
/* unit-sources: userspace/onistim/compile.c userspace/onistim/bounds.c */
/* unit-sources: driver/oni_stim_check.c tests/sim/model/stim_seq.c tests/sim/model/stim_log.c */
/* unit-libs: -linih -lgmp */
/* unit-cflags: -Iuserspace/onistim */
/*
 * Stimulus files and their compiler (userspace/onistim): tables by hand, the staggered
 * channels that must not cut each other off, what cannot be had exactly, and random
 * stimuli. Programs are judged by the driver's check and played on the sequencers of
 * the simulated headstages; what is left there decides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bounds.h"
#include "compile.h"
#include "tests/unit/stim_reference.h"

#define RANDOM_STIMULI	2000

struct bench {
	struct stimulus s;
	struct compiled c;
	struct problem problem;
	struct oni_stim_policy policy;
	struct oni_stim_verdict v;
	struct bound bounds[BOUNDS_MAX];
};

static int build(struct bench *b, const char *text)
{
	compile_free(&b->c);
	memset(&b->c, 0xa5, sizeof(b->c));
	b->c.n_notes = 0;
	if (stimulus_parse(&b->s, "s.ini", text, strlen(text), &b->problem) < 0)
		return -1;
	return compile(&b->s, &b->c, &b->problem);
}

static void taken(struct bench *b, const char *text)
{
	if (build(b, text) < 0)
		fail_msg("%s", b->problem.text);
}

/* Each text is in the message, up to NULL. */
static void refused(struct bench *b, const char *text, ...)
{
	const char *want;
	va_list ap;

	if (build(b, text) == 0)
		fail_msg("was taken:\n%s", text);
	va_start(ap, text);
	while ((want = va_arg(ap, const char *)))
		if (!strstr(b->problem.text, want))
			fail_msg("no '%s' in '%s'", want, b->problem.text);
	va_end(ap);
}

static void row_is(const struct bench *b, uint32_t i, uint32_t time, uint32_t polen)
{
	if (b->c.rows[i].time != time || b->c.rows[i].polen != polen)
		fail_msg("row %u: %u 0x%08x, not %u 0x%08x", i, b->c.rows[i].time, b->c.rows[i].polen, time,
			 polen);
}

/* All that the code allows, but nothing may be left. */
static void new_policy(struct oni_stim_policy *p)
{
	uint32_t i, n;

	memset(p, 0, sizeof(*p));
	p->size = sizeof(*p);
	p->version = ONI_STIM_VERSION;
	p->classes = 2;
	p->hs64_readings = ONI_STIM_HS64_ANY;
	p->duty_window_ns = 100000000;
	for (i = 0; i <= ONI_STIM_RETURN; i++)
		p->class_of[i] = 1 + (i == ONI_STIM_RETURN);
	for (n = 0; n < 2; n++) {
		for (i = 0; i < ONI_STIM_LIMITS; i++) {
			p->cls[n].max[i] = oni_stim_hard_limit(i, n ? ONI_STIM_RETURN : 0);
			p->cls[n].source[i] = ONI_STIM_BY_POLICY;
		}
		p->cls[n].max[ONI_STIM_AREA] = 2000;
		p->cls[n].max[ONI_STIM_NET] = 0;
	}
	p->cls[1].max[ONI_STIM_WIDTH] = ~0ull;
}

static void accepted(struct bench *b)
{
	if (!oni_stim_check(&b->policy, &b->c.program, b->c.rows, b->c.nrows, &b->v))
		fail_msg("refused: code %u contact %u asked %llu allowed %llu where 0x%x", b->v.code,
			 b->v.contact, (unsigned long long)b->v.asked,
			 (unsigned long long)b->v.allowed, b->v.where);
}

/* Play it and look at each contact: net charge in aC (nA x ns), and currents. */
static void play(struct bench *b, int64_t *net, size_t *currents)
{
	struct ref r;
	struct ref_player *pl = malloc(sizeof(*pl));
	uint32_t i;
	size_t k;

	ref_init(&r);
	ref_player_init(pl, &r);
	r.endless = false;
	assert_false(ref_play_rhs(pl, &b->c.program, b->c.rows, 1));
	*currents = 0;
	for (i = 0; i < ONI_STIM_CONTACTS; i++) {
		net[i] = 0;
		for (k = 0; k < r.of[i].n; k++)
			net[i] += r.of[i].c[k].level * (int64_t)r.of[i].c[k].ns;
		*currents += r.of[i].n;
	}
	ref_player_free(pl);
	free(pl);
	ref_free(&r);
}

static void leaves_nothing(struct bench *b, size_t currents)
{
	int64_t net[ONI_STIM_CONTACTS];
	size_t n;
	int i;

	play(b, net, &n);
	for (i = 0; i < (int)ONI_STIM_CONTACTS; i++)
		if (net[i])
			fail_msg("contact %d is left with %lld aC", i, (long long)net[i]);
	if (currents)
		assert_int_equal(n, currents);
}

/* ---- tables by hand ---------------------------------------------------------- */
#define HEAD	"[stimulus]\nheadstage = rhs2116\nstep_ua = 1\nwatchdog_ms = 100\n"
#define BIPHASIC "phases = -100 uA 198.72 us, 0 uA 66.24 us, +100 uA 198.72 us\n"

static void one_pulse(void **state)
{
	struct bench *b = *state;

	taken(b, HEAD "[pulse p]\ncontacts = 3\n" BIPHASIC);
	assert_int_equal(b->c.nrows, 4);
	assert_int_equal(b->c.program.chip[0].rows, 4);
	assert_int_equal(b->c.program.chip[1].rows, 0);
	row_is(b, 0, 0, 0x00000008);
	row_is(b, 1, 6, 0x00000000);
	row_is(b, 2, 8, 0x00080008);
	row_is(b, 3, 14, 0x00000000);
	assert_int_equal(b->c.program.size, sizeof(b->c.program));
	assert_int_equal(b->c.program.version, ONI_STIM_VERSION);
	assert_int_equal(b->c.program.kind, ONI_STIM_RHS2116);
	assert_int_equal(b->c.program.sources, ONI_STIM_FROM_REGISTER);
	assert_int_equal(b->c.program.watchdog_ms, 100);
	assert_int_equal(b->c.program.delay, 0);
	assert_int_equal(b->c.program.chip[0].step_na, 1000);
	assert_int_equal(b->c.program.chip[0].negative[3], 100);
	assert_int_equal(b->c.program.chip[0].positive[3], 100);
	assert_int_equal(b->c.program.chip[0].positive[2], 0);
	assert_int_equal(b->c.n_notes, 0);
	accepted(b);
	leaves_nothing(b, 2);
}

/*
 * Case 1.5 of the design: 100 uA for six periods, the second channel three later. A
 * builder that makes rows for one channel alone leaves +6.6 nC at the first one.
 */
static void staggered_channels(void **state)
{
	struct bench *b = *state;

	taken(b, HEAD "[pulse p]\ncontacts = 0, 1\nstagger_us = 99.36\n"
	      "phases = -100 uA 198.72 us, +100 uA 198.72 us\n");
	assert_int_equal(b->c.nrows, 6);
	row_is(b, 0, 0, 0x00000001);
	row_is(b, 1, 3, 0x00000003);
	row_is(b, 2, 6, 0x00010003);
	row_is(b, 3, 9, 0x00030003);
	row_is(b, 4, 12, 0x00020002);
	row_is(b, 5, 15, 0x00000000);
	accepted(b);
	leaves_nothing(b, 4);
}

/* Two sections on two chips, one in the middle of the other. */
static void two_sections_two_chips(void **state)
{
	struct bench *b = *state;

	taken(b, HEAD "[pulse a]\ncontacts = 0\nphases = -10 uA 331.2 us, 10 uA 331.2 us\n"
	      "[pulse b]\ncontacts = 5, 16\nstart_us = 165.6\nphases = +20 uA 33.12 us, -10 uA 66.24 us\n");
	assert_int_equal(b->c.program.chip[0].rows, 6);
	assert_int_equal(b->c.program.chip[1].rows, 3);
	row_is(b, 0, 0, 0x00000001);
	row_is(b, 1, 5, 0x00200021);
	row_is(b, 2, 6, 0x00000021);
	row_is(b, 3, 8, 0x00000001);
	row_is(b, 4, 10, 0x00010001);
	row_is(b, 5, 20, 0x00000000);
	row_is(b, 6, 5, 0x00010001);
	row_is(b, 7, 6, 0x00000001);
	row_is(b, 8, 8, 0x00000000);
	assert_int_equal(b->c.program.chip[1].positive[0], 20);
	assert_int_equal(b->c.program.chip[1].negative[0], 10);
	accepted(b);
	leaves_nothing(b, 6);
}

static void pulses_and_trains(void **state)
{
	struct bench *b = *state;
	uint32_t t, n, i = 0, at;

	taken(b, HEAD "[pulse p]\ncontacts = 2\npulses = 3\nperiod_us = 3312\ntrains = 2\n"
	      "train_period_ms = 33.12\nstart_us = 66.24\nphases = -10 uA 33.12 us, 10 uA 33.12 us\n");
	assert_int_equal(b->c.nrows, 18);
	for (t = 0; t < 2; t++)
		for (n = 0; n < 3; n++) {
			at = 2 + 1000 * t + 100 * n;
			row_is(b, i++, at, 0x00000004);
			row_is(b, i++, at + 1, 0x00040004);
			row_is(b, i++, at + 2, 0x00000000);
		}
	accepted(b);
	leaves_nothing(b, 12);
}

/* A row that would repeat the state of the one before is none. */
static void no_row_for_nothing(void **state)
{
	struct bench *b = *state;

	taken(b, HEAD "[pulse p]\ncontacts = 2\npulses = 2\nperiod_us = 66.24\n"
	      "phases = -10 uA 33.12 us, 10 uA 33.12 us\n");
	assert_int_equal(b->c.nrows, 5);
	taken(b, HEAD "[pulse p]\ncontacts = 2\nphases = -10 uA 33.12 us, -10 uA 33.12 us, 20 uA 33.12 us\n");
	assert_int_equal(b->c.nrows, 3);
	accepted(b);
}

/* Chips that a signal from outside starts must end together. */
static void external_triggers(void **state)
{
	struct bench *b = *state;

	taken(b, HEAD "sources = register, gpio\ntail_us = 331.2\n[pulse a]\ncontacts = 0\n"
	      "phases = -10 uA 33.12 us, 10 uA 33.12 us\n[pulse b]\ncontacts = 31\nstart_us = 33.12\n"
	      "phases = -10 uA 33.12 us, 10 uA 33.12 us\n");
	assert_int_equal(b->c.program.sources, ONI_STIM_FROM_REGISTER | ONI_STIM_FROM_GPIO);
	assert_int_equal(b->c.program.chip[0].rows, 4);
	assert_int_equal(b->c.program.chip[1].rows, 4);
	row_is(b, 3, 13, 0);
	row_is(b, 7, 13, 0);
	accepted(b);
	/* Without the tail the shorter one is made longer. */
	taken(b, HEAD "sources = sync\n[pulse a]\ncontacts = 0\n"
	      "phases = -10 uA 33.12 us, 10 uA 33.12 us\n[pulse b]\ncontacts = 31\nstart_us = 33.12\n"
	      "phases = -10 uA 33.12 us, 10 uA 33.12 us\n");
	row_is(b, 3, 3, 0);
	assert_int_equal(b->c.nrows, 7);
	accepted(b);
}

/* What LOAD refuses for every headstage is said before: the mistake is in the file. */
static void sync_is_heard_alone(void **state)
{
	static const char *const both[] = {
		"register, sync", "gpio, sync", "sync register", "register, gpio, sync", NULL
	};
	struct bench *b = *state;
	char text[400];

	for (int i = 0; both[i]; i++) {
		snprintf(text, sizeof(text), HEAD "sources = %s\n[pulse p]\ncontacts = 3\n" BIPHASIC, both[i]);
		refused(b, text, "s.ini:5:", "sources", "sync alone", "listens to its sync line alone", NULL);
	}
	taken(b, HEAD "sources = sync\n[pulse p]\ncontacts = 3\n" BIPHASIC);
	assert_int_equal(b->c.program.sources, ONI_STIM_FROM_SYNC);
	taken(b, HEAD "sources = gpio, register\n[pulse p]\ncontacts = 3\n" BIPHASIC);
	assert_int_equal(b->c.program.sources, ONI_STIM_FROM_REGISTER | ONI_STIM_FROM_GPIO);
}

/* ---- what cannot be had exactly ------------------------------------------------- */
static void amplitudes_are_multiples_of_the_step(void **state)
{
	struct bench *b = *state;

	refused(b, HEAD "[pulse p]\ncontacts = 3\nphases = -10.4 uA 33.12 us, +10.4 uA 33.12 us\n",
		"s.ini:7:", "-10.4 uA", "nearest is -10 uA", "round = nearest", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\nphases = -300 uA 33.12 us, +300 uA 33.12 us\n",
		"255 steps of 1 uA", "step_ua = 2", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\nphases = -3000 uA 33.12 us, +3000 uA 33.12 us\n",
		"2550 uA", NULL);
	refused(b, HEAD "round = nearest\n[pulse p]\ncontacts = 3\nphases = -0.4 uA 33.12 us, +0.4 uA 33.12 us\n",
		"half a step", NULL);
	taken(b, HEAD "round = nearest\n[pulse p]\ncontacts = 3\nphases = -10.4 uA 33.12 us, +10.4 uA 33.12 us\n");
	assert_int_equal(b->c.program.chip[0].negative[3], 10);
	assert_int_equal(b->c.n_notes, 2);
	assert_string_equal(b->c.notes[0], "s.ini:8: -10.4 uA became -10 uA");
	accepted(b);
}

/* 9007.199254740993 and the like have no exact binary fraction: 25.1 uA are 251 steps of 0.1. */
static void amplitudes_are_decimal(void **state)
{
	struct bench *b = *state;

	taken(b, "[stimulus]\nheadstage = rhs2116\nstep_ua = 0.1\nwatchdog_ms = 100\n[pulse p]\ncontacts = 3\n"
	      "phases = -25.1 uA 33.12 us, +25.1 uA 33.12 us\n");
	assert_int_equal(b->c.program.chip[0].negative[3], 251);
	assert_int_equal(b->c.program.chip[0].step_na, 100);
}

static void times_are_multiples_of_the_period(void **state)
{
	struct bench *b = *state;

	refused(b, HEAD "[pulse p]\ncontacts = 3\nphases = -10 uA 200 us, +10 uA 200 us\n", "s.ini:7:",
		"a phase of 200 us", "nearest is 198.72 us", "round = nearest", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\nphases = -10 uA 33.12 us, 0 uA 50 us, +10 uA 33.12 us\n",
		"a gap of 50 us", "66.24", NULL);
	refused(b, HEAD "round = nearest\n[pulse p]\ncontacts = 3\nphases = -10 uA 16 us, +10 uA 16 us\n",
		"too short", "at least 33.12", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3, 4\nstagger_us = 100\n" BIPHASIC, "s.ini:7:", "a stagger",
		"99.36", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\nstart_us = 1\n" BIPHASIC, "a start", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\npulses = 2\nperiod_us = 10000\n" BIPHASIC, "s.ini:8:",
		"a period of pulses of 10000 us", "10002.24", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\npulses = 2\nrate_hz = 100\n" BIPHASIC, "s.ini:8:",
		"100 Hz", "period_us = 10002.24", NULL);
	taken(b, HEAD "round = nearest\n[pulse p]\ncontacts = 3\npulses = 2\nrate_hz = 100\n"
	      "phases = -10 uA 200 us, 0 uA 50 us, +10 uA 200 us\n");
	assert_int_equal(b->c.rows[4].time, 302);
	assert_int_equal(b->c.n_notes, 3);
	assert_string_equal(b->c.notes[0], "s.ini:10: a phase of 200 us became 198.72 us");
	assert_string_equal(b->c.notes[1], "s.ini:10: a gap of 50 us became 66.24 us");
	assert_string_equal(b->c.notes[2],
			    "s.ini:9: a rate of 100 Hz became a period of 10002.24 us (99.977 Hz)");
	accepted(b);
	leaves_nothing(b, 4);
}

/* The middle between two is the shorter one: less charge. */
static void ties_go_down(void **state)
{
	struct bench *b = *state;

	taken(b, HEAD "round = nearest\n[pulse p]\ncontacts = 3\nphases = -10.5 uA 49.68 us, +10.5 uA 49.68 us\n");
	assert_int_equal(b->c.rows[1].time, 1);
	assert_int_equal(b->c.program.chip[0].negative[3], 10);
	taken(b, HEAD "round = nearest\n[pulse p]\ncontacts = 3\nphases = -10.501 uA 49.681 us, +10.501 uA 49.681 us\n");
	assert_int_equal(b->c.rows[1].time, 2);
	assert_int_equal(b->c.program.chip[0].negative[3], 11);
}

/* Balanced as written, 6 x 10 against 13 x 5 when rounded: 5 steps x periods are left. */
static void rounding_must_not_leave_charge(void **state)
{
	struct bench *b = *state;

	refused(b, HEAD "round = nearest\n[pulse p]\ncontacts = 3\nphases = -10 uA 215 us, +5 uA 430 us\n",
		"s.ini:8:", "balanced as written", "5 steps x periods", NULL);
	/* The same is fine when it happens to come out even. */
	taken(b, HEAD "round = nearest\n[pulse p]\ncontacts = 3\nphases = -10 uA 200 us, +5 uA 400 us\n");
	accepted(b);
	leaves_nothing(b, 2);
	/* What is meant to be unbalanced is the policy's business. */
	taken(b, HEAD "[pulse p]\ncontacts = 3\nphases = -10 uA 33.12 us\n");
	assert_false(oni_stim_check(&b->policy, &b->c.program, b->c.rows, b->c.nrows, &b->v));
	assert_int_equal(b->v.code, ONI_STIM_NET);
}

/* ---- what cannot be ---------------------------------------------------------------- */
static void a_channel_does_one_thing_at_a_time(void **state)
{
	struct bench *b = *state;

	refused(b, HEAD "[pulse a]\ncontacts = 3\n" BIPHASIC "[pulse b]\ncontacts = 3\nstart_us = 33.12\n" BIPHASIC,
		"s.ini:8:", "contact 3", "two things at once, 33.12 us", "[pulse a]", "[pulse b]", NULL);
	refused(b, HEAD "[pulse a]\ncontacts = 3\n" BIPHASIC "[pulse b]\ncontacts = 3\nstart_us = 3312\n"
		"phases = -50 uA 33.12 us, +100 uA 33.12 us\n", "contact 3 gets 50 uA here and 100 uA", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\npulses = 2\nperiod_us = 331.2\n" BIPHASIC, "s.ini:8:",
		"331.2 us is shorter", "463.68", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3, 3\n" BIPHASIC, "contact 3 is in the list twice", NULL);
}

static void tables_are_finite(void **state)
{
	struct bench *b = *state;

	/* 256 pulses of 4 rows just fit. */
	taken(b, HEAD "[pulse p]\ncontacts = 3\npulses = 256\nperiod_us = 3312\n" BIPHASIC);
	assert_int_equal(b->c.program.chip[0].rows, 1024);
	accepted(b);
	leaves_nothing(b, 512);
	refused(b, HEAD "[pulse p]\ncontacts = 3\npulses = 257\nperiod_us = 3312\n" BIPHASIC, "chip 0", "1024", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\npulses = 4294967295\nperiod_us = 3312\n" BIPHASIC, "s.ini:8:",
		"4294967295 pulses", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\npulses = 500\nperiod_us = 3312\ntrains = 4294967295\n"
		"train_period_ms = 1656000\n" BIPHASIC, "rows", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\nstart_us = 138915315.36\n" BIPHASIC, "138.9 s", NULL);
	refused(b, HEAD "tail_us = 138915315.36\n[pulse p]\ncontacts = 3\n" BIPHASIC, "138.9 s", NULL);
}

static void mistakes_in_the_file(void **state)
{
	static const char *const phases[] = {
		"", "-100 uA", "-100 198.72", "-100 uA 198.72", "-100 uA 0 us", "-100 uA -5 us", "-1e2 uA 33.12 us",
		"-100 mA 33.12 us", "-100 uA 33.12 ms", "-100 uA 33.12 us,", ", -100 uA 33.12 us",
		"-100 uA 33.12 us +100 uA 33.12 us", "0 uA 33.12 us", "0 uA 33.12 us, 1 uA 33.12 us",
		"1 uA 33.12 us, 0 uA 33.12 us", "nan uA 33.12 us", "-100.0001 uA 33.12 us",
		"99999999999999999999 uA 33.12 us", "-1 uA 99999999999999999999 us",
		"1 uA 1 us, 1 uA 1 us, 1 uA 1 us, 1 uA 1 us, 1 uA 1 us, 1 uA 1 us, 1 uA 1 us, 1 uA 1 us, 1 uA 1 us",
	};
	struct bench *b = *state;
	char text[400];
	size_t i;

	for (i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		snprintf(text, sizeof(text), HEAD "[pulse p]\ncontacts = 3\nphases = %s\n", phases[i]);
		refused(b, text, "s.ini:7:", "phases", NULL);
	}
	refused(b, "[stimulus]\nheadstage = rhs2117\nwatchdog_ms = 1\n", "s.ini:2:", "rhs2116 or hs64", NULL);
	refused(b, "[stimulus]\nheadstage = rhs2116\nstep_ua = 1\n", "s.ini:1:", "watchdog_ms", NULL);
	refused(b, "[stimulus]\nwatchdog_ms = 1\n", "headstage", NULL);
	refused(b, "[stimulus]\nheadstage = rhs2116\nwatchdog_ms = 1\n", "step_ua", NULL);
	refused(b, "[stimulus]\nheadstage = rhs2116\nwatchdog_ms = 1\nstep_ua = 3\n", "s.ini:4:", "0.01", NULL);
	refused(b, "[stimulus]\nheadstage = rhs2116\nwatchdog_ms = 0\nstep_ua = 1\n", "s.ini:3:", NULL);
	refused(b, "[stimulus]\nheadstage = rhs2116\nwatchdog_ms = 10001\nstep_ua = 1\n", "s.ini:3:", "10000", NULL);
	refused(b, HEAD "sources = pedal\n", "s.ini:5:", "gpio", NULL);
	refused(b, HEAD "round = up\n", "s.ini:5:", "nearest", NULL);
	refused(b, HEAD "volts = 3\n", "s.ini:5:", "'volts' is not known", NULL);
	refused(b, HEAD, "nothing to stimulate", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\npulses = 2\n" BIPHASIC, "period_us or rate_hz", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\npulses = 2\nperiod_us = 3312\nrate_hz = 3\n" BIPHASIC,
		"remove one", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\ntrains = 2\n" BIPHASIC, "train_period_ms", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 32\n" BIPHASIC, "s.ini:6:", "0 to 31", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = return\n" BIPHASIC, "s.ini:6:", NULL);
	refused(b, HEAD "[pulse p]\n" BIPHASIC, "s.ini:5:", "contacts", NULL);
	refused(b, HEAD "[pulse p]\ncontacts = 3\n", "s.ini:5:", "phases", NULL);
	refused(b, HEAD "[Pulse p]\ncontacts = 3\n", "s.ini:5:", "[pulse NAME]", NULL);
}

/* ---- headstage-64 --------------------------------------------------------------------- */
#define HS64	"[stimulus]\nheadstage = hs64\nwatchdog_ms = 100\nreading = 1us pause\n"

static void registers_of_headstage_64(void **state)
{
	struct bench *b = *state;
	const struct oni_stim_hs64 *h = &b->c.program.hs64;

	/* 500 uA are 13107 steps, exactly. */
	taken(b, HS64 "[pulse p]\ncontacts = 0\nphases = -500 uA 200 us, +500 uA 200 us\npulses = 10\n"
	      "period_us = 10000\ntrains = 3\ntrain_period_ms = 500\nstart_us = 7\n");
	assert_int_equal(b->c.nrows, 0);
	assert_int_equal(b->c.program.kind, ONI_STIM_HS64);
	assert_int_equal(h->biphasic, 1);
	assert_int_equal(h->current1, (65535 - 13107) / 2);
	assert_int_equal(h->current2, (65535 + 13107) / 2);
	assert_int_equal(h->duration1, 200);
	assert_int_equal(h->duration2, 200);
	assert_int_equal(h->interphase, 0);
	assert_int_equal(h->interpulse, 9600);
	assert_int_equal(h->pulses, 10);
	assert_int_equal(h->interburst, 500000 - 90400);
	assert_int_equal(h->bursts, 3);
	assert_int_equal(h->delay, 7);
	assert_int_equal(b->c.n_notes, 0);
	accepted(b);
	taken(b, "[stimulus]\nheadstage = hs64\nwatchdog_ms = 100\nreading = 10us period\n[pulse p]\ncontacts = 0\n"
	      "phases = -500 uA 200 us, 0 uA 50 us, +500 uA 200 us\npulses = 10\nperiod_us = 10000\n");
	assert_int_equal(h->interphase, 5);
	assert_int_equal(h->interpulse, 1000);
	assert_int_equal(h->interburst, 0);
}

/* Codes are symmetric about a zero that is none of them; so balance is exact whatever is asked for. */
static void currents_of_headstage_64(void **state)
{
	struct bench *b = *state;
	const struct oni_stim_hs64 *h = &b->c.program.hs64;
	char text[300];
	int ua;

	refused(b, HS64 "[pulse p]\ncontacts = 0\nphases = -100 uA 200 us, +100 uA 200 us\n", "s.ini:7:",
		"-100 uA is no current", "nearest is -99.985 uA", "round = nearest", NULL);
	refused(b, HS64 "round = nearest\n[pulse p]\ncontacts = 0\nphases = -2501 uA 200 us, +2501 uA 200 us\n",
		"2500 uA", NULL);
	b->policy.cls[0].max[ONI_STIM_AREA] = 1000000;
	b->policy.cls[1].max[ONI_STIM_AREA] = 1000000;
	for (ua = 1; ua <= 2500; ua += 7) {
		snprintf(text, sizeof(text), HS64 "round = nearest\n[pulse p]\ncontacts = 0\n"
			 "phases = -%d uA 200 us, +%d uA 200 us\n", ua, ua);
		taken(b, text);
		assert_int_equal(h->current1 + h->current2, 65535);
		/* Within half the distance of two codes. */
		assert_true(labs((2l * h->current2 - 65535) * 500000 / 13107 - ua * 1000l) <= 39);
		accepted(b);
	}
	assert_true(h->current2 <= 65535);
}

static void the_gap_of_headstage_64_is_not_silent(void **state)
{
	struct bench *b = *state;

	taken(b, HS64 "[pulse p]\ncontacts = 0\nphases = -500 uA 200 us, 0 uA 50 us, +500 uA 200 us\n");
	assert_int_equal(b->c.program.hs64.interphase, 50);
	assert_int_equal(b->c.n_notes, 1);
	assert_non_null(strstr(b->c.notes[0], "1.907 pC per pulse"));
	/* The check sees it, with the unit that is worse. */
	assert_false(oni_stim_check(&b->policy, &b->c.program, NULL, 0, &b->v));
	assert_int_equal(b->v.code, ONI_STIM_NET);
	b->policy.cls[0].max[ONI_STIM_NET] = 20000;
	b->policy.cls[1].max[ONI_STIM_NET] = 20000;
	accepted(b);
	/* Of what is left anyway the rest takes some away. */
	taken(b, HS64 "[pulse p]\ncontacts = 0\nphases = -500 uA 200 us, 0 uA 50 us, +500 uA 201 us\n");
	assert_int_equal(b->c.program.hs64.rest, 32767);
	taken(b, HS64 "[pulse p]\ncontacts = 0\nphases = -500 uA 201 us, 0 uA 50 us, +500 uA 200 us\n");
	assert_int_equal(b->c.program.hs64.rest, 32768);
}

static void mistakes_of_headstage_64(void **state)
{
	struct bench *b = *state;

	refused(b, "[stimulus]\nheadstage = hs64\nwatchdog_ms = 100\n", "reading", NULL);
	refused(b, "[stimulus]\nheadstage = hs64\nwatchdog_ms = 100\nreading = 1us 10us pause\n", "s.ini:4:", NULL);
	refused(b, "[stimulus]\nheadstage = hs64\nwatchdog_ms = 100\nreading = pause\n", "s.ini:4:", NULL);
	refused(b, HS64 "step_ua = 1\n", "s.ini:5:", "76.3 nA", NULL);
	refused(b, HS64 "sources = gpio\n", "s.ini:5:", "no other source", NULL);
	refused(b, HS64 "tail_us = 5\n", "s.ini:5:", "rhs2116", NULL);
	refused(b, HEAD "reading = 1us pause\n", "s.ini:5:", "headstage-64", NULL);
	refused(b, HS64 "[pulse p]\ncontacts = 1\n", "0 to 0", NULL);
	refused(b, HS64 "[pulse p]\ncontacts = 0\nphases = -500 uA 200 us\n", "two phases", NULL);
	refused(b, HS64 "[pulse p]\ncontacts = 0\nphases = -500 uA 200 us, 5 uA 1 us, 500 uA 200 us\n",
		"two phases", NULL);
	refused(b, HS64 "[pulse p]\ncontacts = 0\nphases = -500 uA 200.5 us, 500 uA 200.5 us\n", "200 us", NULL);
	refused(b, HS64 "[pulse p]\ncontacts = 0\nphases = -500 uA 200 us, 500 uA 200 us\npulses = 2\n"
		"period_us = 399\n", "shorter", NULL);
	refused(b, HS64 "[pulse p]\ncontacts = 0\nphases = -500 uA 200 us, 500 uA 200 us\npulses = 4294967295\n"
		"period_us = 3600000000\n", "longer than the headstage can count", NULL);
	refused(b, HS64 "[pulse p]\ncontacts = 0\nphases = -500 uA 200 us, 500 uA 200 us\n[pulse q]\n",
		"at most 1 [pulse]", NULL);
	refused(b, "[stimulus]\nheadstage = hs64\nwatchdog_ms = 100\nreading = 10us pause\n[pulse p]\ncontacts = 0\n"
		"phases = -500 uA 201 us, +500 uA 200 us\npulses = 2\nperiod_us = 10000\n", "multiple of 10 us",
		NULL);
}

/* ---- the table of bounds ------------------------------------------------------------------ */
static const struct bound *find(const struct bench *b, size_t n, uint32_t contact, uint32_t limit)
{
	for (size_t i = 0; i < n; i++)
		if (b->bounds[i].contact == contact && b->bounds[i].limit == limit)
			return &b->bounds[i];
	fail_msg("no bound %u of contact %u", limit, contact);
	return NULL;
}

/* The numbers of the base program of test_oni_stim_check.c, worked out by hand there. */
static void bounds_are_those_of_the_check(void **state)
{
	static const struct {
		uint32_t limit;
		uint64_t asked;
	} want[] = {
		{ ONI_STIM_AMPLITUDE, 100000 }, { ONI_STIM_CHARGE, 19872000 }, { ONI_STIM_DENSITY, 993600 },
		{ ONI_STIM_SHANNON, 197449 }, { ONI_STIM_NET, 0 }, { ONI_STIM_WIDTH, 198720 },
		{ ONI_STIM_GAP, 66240 }, { ONI_STIM_RATE, 100645 }, { ONI_STIM_DUTY, 7949 },
		{ ONI_STIM_TRAIN, 319ull * 33120 }, { ONI_STIM_WATCHDOG, 100 }, { ONI_STIM_EXTERNAL, 0 },
	};
	struct bench *b = *state;
	const struct bound *x;
	size_t n, i;

	taken(b, HEAD "[pulse p]\ncontacts = 3\nstart_us = 165.6\npulses = 2\nperiod_us = 9936\n" BIPHASIC);
	n = bounds_measure(&b->policy, &b->c, b->bounds);
	assert_int_equal(n, 24);
	for (i = 0; i < 12; i++) {
		x = find(b, n, 3, want[i].limit);
		assert_true(x->known);
		assert_true(x->kept);
		assert_int_equal(x->asked, want[i].asked);
		assert_int_equal(find(b, n, ONI_STIM_RETURN, want[i].limit)->asked, want[i].asked);
	}
	/* One bound just below: that one is not kept, of the contact in that class only. */
	for (i = 0; i < 11; i++) {
		if (!want[i].asked)
			continue;
		new_policy(&b->policy);
		b->policy.cls[0].max[want[i].limit] = want[i].asked - 1;
		b->policy.cls[0].source[want[i].limit] = ONI_STIM_BY_RUNTIME;
		n = bounds_measure(&b->policy, &b->c, b->bounds);
		for (size_t k = 0; k < n; k++)
			if (b->bounds[k].kept == (b->bounds[k].contact == 3 &&
						  b->bounds[k].limit == want[i].limit))
				fail_msg("bound %u of contact %u: kept %d", b->bounds[k].limit,
					 b->bounds[k].contact, b->bounds[k].kept);
		x = find(b, n, 3, want[i].limit);
		assert_int_equal(x->allowed, want[i].asked - 1);
		assert_int_equal(x->source, ONI_STIM_BY_RUNTIME);
		assert_false(oni_stim_check(&b->policy, &b->c.program, b->c.rows, b->c.nrows, &b->v));
		assert_int_equal(b->v.code, want[i].limit);
	}
}

static void bounds_of_what_has_no_class(void **state)
{
	struct bench *b = *state;
	const struct bound *x;
	size_t n;

	taken(b, HEAD "[pulse p]\ncontacts = 3, 4\n" BIPHASIC);
	b->policy.class_of[4] = 0;
	b->policy.cls[0].max[ONI_STIM_CHARGE] = 1;
	n = bounds_measure(&b->policy, &b->c, b->bounds);
	assert_int_equal(n, 25);
	assert_false(find(b, n, 3, ONI_STIM_CHARGE)->kept);
	x = find(b, n, 4, ONI_STIM_AREA);
	assert_false(x->kept);
	assert_int_equal(x->source, ONI_STIM_BY_NOBODY);
	b->policy.version = 0;
	assert_int_equal(bounds_measure(&b->policy, &b->c, b->bounds), 0);
}

/* More than the hardware can do is said as a bound of the hardware. */
static void bounds_beyond_the_hardware(void **state)
{
	struct bench *b = *state;
	const struct bound *x;
	size_t n;

	taken(b, HEAD "[pulse p]\ncontacts = 3\nphases = -1 uA 6624 us, 1 uA 6624 us\n");
	b->policy.cls[0].max[ONI_STIM_WIDTH] = ~0ull;
	n = bounds_measure(&b->policy, &b->c, b->bounds);
	x = find(b, n, 3, ONI_STIM_WIDTH);
	assert_true(x->known);
	assert_false(x->kept);
	assert_int_equal(x->asked, 6624000);
	assert_int_equal(x->allowed, 5000000);
	assert_int_equal(x->source, ONI_STIM_BY_HARDWARE);
}

/* ---- random stimuli ------------------------------------------------------------------------ */
static uint32_t seed = 1;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)seed * n) >> 32);
}

/* Microseconds of @periods as text. */
static const char *periods(char *buf, uint32_t n)
{
	sprintf(buf, "%llu.%02llu", (unsigned long long)n * 3312 / 100, (unsigned long long)n * 3312 % 100);
	return buf;
}

static void random_section(char *text, size_t len, unsigned int i, unsigned int *expected)
{
	uint32_t w = 1 + rnd(8), gap = rnd(4), ua = 1 + rnd(255), pulses = 1 + rnd(4), contacts = 1 + rnd(4);
	char a[40], g[40], p[40], s[40], st[40];
	size_t n = strlen(text);

	snprintf(text + n, len - n, "[pulse s%u]\ncontacts = %u-%u\npulses = %u\nperiod_us = %s\nstart_us = %s\n"
		 "stagger_us = %s\nphases = -%u uA %s us, %s%s%s+%u uA %s us\n", i, 8 * i, 8 * i + contacts - 1,
		 pulses, periods(p, 2 * w + gap + rnd(50)), periods(s, rnd(100)), periods(st, rnd(12)), ua,
		 periods(a, w), gap ? "0 uA " : "", gap ? periods(g, gap) : "", gap ? " us, " : "", ua, a);
	*expected += contacts * pulses * 2;
}

/* Balanced sections at random on all contacts leave exactly nothing, and every current is there. */
static void random_stimuli_leave_nothing(void **state)
{
	struct bench *b = *state;
	unsigned int i, k, expected;
	char text[2000];
	int64_t net[ONI_STIM_CONTACTS];
	size_t n;

	for (i = 0; i < RANDOM_STIMULI; i++) {
		strcpy(text, HEAD);
		expected = 0;
		for (k = 0; k < 1 + rnd(4); k++)
			random_section(text, sizeof(text), k, &expected);
		taken(b, text);
		/* Touching currents of one polarity cannot come about: a pulse begins and ends with opposite ones. */
		play(b, net, &n);
		for (k = 0; k < ONI_STIM_CONTACTS; k++)
			if (net[k])
				fail_msg("stimulus %u leaves %lld aC at contact %u:\n%s", i, (long long)net[k], k,
					 text);
		if (n < expected)
			fail_msg("stimulus %u: %zu of %u currents:\n%s", i, n, expected, text);
	}
}

/* What is drawn is what is played. */
static void listed_currents_are_those_played(void **state)
{
	struct bench *b = *state;
	struct compiled_current list[64];
	struct compiled_scale scale;
	size_t n, i;

	taken(b, HEAD "[pulse p]\ncontacts = 0, 1\nstagger_us = 99.36\n"
	      "phases = -100 uA 198.72 us, +100 uA 198.72 us\n");
	n = compile_currents(&b->c, list, 64, &scale);
	assert_int_equal(n, 4);
	assert_int_equal(scale.num, 1);
	for (i = 0; i < 4; i++) {
		assert_int_equal(list[i].contact, i / 2);
		assert_int_equal(list[i].level, i % 2 ? 100000 : -100000);
		assert_int_equal(list[i].ns, 6 * 33120);
		assert_int_equal(list[i].at_ns, (6 * (i % 2) + 3 * (i / 2)) * 33120);
	}
	assert_true(compile_currents(&b->c, list, 2, &scale) > 2);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	*state = b;
	new_policy(&b->policy);
	return b ? 0 : -1;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	compile_free(&b->c);
	free(b);
	return 0;
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_pulse), T(staggered_channels), T(two_sections_two_chips), T(pulses_and_trains),
		T(no_row_for_nothing), T(external_triggers), T(sync_is_heard_alone),
		T(amplitudes_are_multiples_of_the_step),
		T(amplitudes_are_decimal), T(times_are_multiples_of_the_period), T(ties_go_down),
		T(rounding_must_not_leave_charge), T(a_channel_does_one_thing_at_a_time), T(tables_are_finite),
		T(mistakes_in_the_file), T(registers_of_headstage_64), T(currents_of_headstage_64),
		T(the_gap_of_headstage_64_is_not_silent), T(mistakes_of_headstage_64),
		T(bounds_are_those_of_the_check), T(bounds_of_what_has_no_class), T(bounds_beyond_the_hardware),
		T(random_stimuli_leave_nothing), T(listed_currents_are_those_played),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
