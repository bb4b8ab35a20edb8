// SPDX-License-Identifier: MIT
/* unit-sources: userspace/lib/clock.c */
/* unit-libs: -lm */
/*
 * The clock fit against pairs whose truth is known: a crystal with a given error,
 * interrupts that are late by exponential and heavy-tailed delays, stalls, short
 * and long acquisitions. Everything is seeded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "onidev.h"

#define HZ	250000000u

static uint64_t rng_state;

static double uniform(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return ((double)(rng_state >> 11) + 0.5) / 9007199254740992.0;
}

/* Late by 3 us at least, 8 us in the mean, one in 50 up to milliseconds. */
static double late_ns(void)
{
	double d = 3000 - 5000 * log(uniform());

	return uniform() < 0.02 ? d + 1000000 * -log(uniform()) : d;
}

struct truth {
	double ppm;
	uint64_t ticks0, mono0;
};

static uint64_t true_mono(const struct truth *t, uint64_t ticks)
{
	double ns = (double)(int64_t)(ticks - t->ticks0) * (1e9 / HZ) / (1 + t->ppm * 1e-6);

	return t->mono0 + (uint64_t)llround(ns);
}

/* @seconds of blocks, one each @period_us, delayed by @delay(time in s). */
static void feed(struct onidev_clock *c, const struct truth *t, double seconds, double period_us,
		 double (*delay)(double))
{
	uint64_t n = (uint64_t)(seconds * 1e6 / period_us), i;

	for (i = 0; i < n; i++) {
		uint64_t ticks = t->ticks0 + (uint64_t)((double)i * period_us * (HZ / 1e6));

		onidev_clock_add(c, ticks, true_mono(t, ticks) +
				 (uint64_t)delay((double)i * period_us * 1e-6));
	}
}

static double usual(double s)
{
	(void)s;
	return late_ns();
}

static struct onidev_clock *clock_new(void)
{
	struct onidev_clock *c = onidev_clock_new(HZ);

	assert_non_null(c);
	rng_state = 88172645463325252ull;
	return c;
}

static void test_too_little(void **state)
{
	struct onidev_clock *c = clock_new();
	struct onidev_clock_fit fit;
	const struct truth t = { 0, 0, 1000 };

	(void)state;
	assert_int_equal(onidev_clock_read(c, &fit), -1);
	assert_int_equal(errno, EAGAIN);
	feed(c, &t, 0.005, 500, usual);
	assert_int_equal(onidev_clock_read(c, &fit), -1);
	onidev_clock_free(c);
	assert_null(onidev_clock_new(0));
	assert_int_equal(errno, EINVAL);
}

static void expect_fit(double ppm, double seconds, double ppm_tolerance)
{
	const struct truth t = { ppm, 123456789, 987654321012345 };
	struct onidev_clock *c = clock_new();
	struct onidev_clock_fit fit;
	uint64_t mid = t.ticks0 + (uint64_t)(seconds / 2 * HZ);
	double off;

	feed(c, &t, seconds, 853.3, usual);
	assert_int_equal(onidev_clock_read(c, &fit), 0);
	off = (double)(int64_t)(onidev_clock_to_mono(&fit, mid) - true_mono(&t, mid));
	print_message("# %+.1f ppm, %.1f s: fitted %+.4f +- %.4f ppm, offset %.0f ns, "
		      "p50 %.0f p99 %.0f\n", ppm, seconds, fit.ppm, fit.ppm_error, off,
		      fit.jitter_p50_ns, fit.jitter_p99_ns);
	if (fabs(fit.ppm - ppm) > ppm_tolerance)
		fail_msg("fitted %.4f ppm, truth %.4f", fit.ppm, ppm);
	/* The envelope lies at the least possible latency, 3 us. */
	if (off < 2500 || off > 4000)
		fail_msg("offset at the middle is %.0f ns", off);
	onidev_clock_free(c);
}

static void test_recovers_drift(void **state)
{
	(void)state;
	expect_fit(0, 60, 0.05);
	expect_fit(12.5, 60, 0.05);
	expect_fit(-48, 60, 0.05);
	expect_fit(100, 20, 0.2);
	expect_fit(3, 2, 2);
	expect_fit(-20, 3600, 0.02);
}

static void test_jitter_quantiles(void **state)
{
	const struct truth t = { 5, 0, 1 };
	struct onidev_clock *c = clock_new();
	struct onidev_clock_fit fit;

	(void)state;
	feed(c, &t, 30, 853.3, usual);
	assert_int_equal(onidev_clock_read(c, &fit), 0);
	/* median of an exponential of 5 us; the tail begins at 1 in 50 */
	assert_true(fit.jitter_p50_ns > 3000 && fit.jitter_p50_ns < 4000);
	assert_true(fit.jitter_p99_ns > 100000 && fit.jitter_p99_ns < 3000000);
	onidev_clock_free(c);
}

/* From second 10 to 15 the host is 200 ms behind; the fit must not follow. */
static double stalled(double s)
{
	return late_ns() + (s > 10 && s < 15 ? 2e8 : 0);
}

static double stalled_at_start(double s)
{
	return late_ns() + (s < 3 ? 2e8 : 0);
}

static double stalled_at_end(double s)
{
	return late_ns() + (s > 27 ? 2e8 : 0);
}

static void expect_robust(double (*delay)(double))
{
	const struct truth t = { 30, 1000, 5000000 };
	struct onidev_clock *c = clock_new();
	struct onidev_clock_fit fit;

	feed(c, &t, 30, 853.3, delay);
	assert_int_equal(onidev_clock_read(c, &fit), 0);
	if (fabs(fit.ppm - 30) > 0.1)
		fail_msg("fitted %.3f ppm, truth 30", fit.ppm);
	onidev_clock_free(c);
}

static void test_stalls_do_not_matter(void **state)
{
	(void)state;
	expect_robust(stalled);
	expect_robust(stalled_at_start);
	expect_robust(stalled_at_end);
}

/* From second 12 on the host falls behind by 100 ms each second. */
static double falling_behind(double s)
{
	return late_ns() + (s > 12 ? (s - 12) * 1e8 : 0);
}

static double catching_up(double s)
{
	return late_ns() + (s < 18 ? (18 - s) * 1e8 : 0);
}

static double behind_all_the_time(double s)
{
	return late_ns() + s * 1e7;
}

static void test_backlog_is_not_drift(void **state)
{
	const struct truth t = { 30, 1000, 5000000 };
	struct onidev_clock *c = clock_new();
	struct onidev_clock_fit fit;

	(void)state;
	expect_robust(falling_behind);
	expect_robust(catching_up);
	/* Nothing to go by: the nominal rate, and an error that says so. */
	feed(c, &t, 30, 853.3, behind_all_the_time);
	assert_int_equal(onidev_clock_read(c, &fit), 0);
	assert_true(fit.ppm == 0);
	assert_true(fit.ppm_error > 1000);
	onidev_clock_free(c);
}

/* The crystal warms up: the fit is of the last minutes, not of the whole day. */
static void test_follows_slow_drift(void **state)
{
	struct truth t = { 10, 0, 0 };
	struct onidev_clock *c = clock_new();
	struct onidev_clock_fit fit;
	int hour;

	(void)state;
	for (hour = 0; hour < 3; hour++) {
		uint64_t end = t.ticks0 + 3600ull * HZ;

		feed(c, &t, 3600, 5000, usual);
		t.mono0 = true_mono(&t, end);
		t.ticks0 = end;
		t.ppm += 5;
	}
	assert_int_equal(onidev_clock_read(c, &fit), 0);
	assert_true(fabs(fit.ppm - 20) < 0.1);
	assert_true(fit.span_s > 100 && fit.span_s < 400);
	onidev_clock_free(c);
}

static void test_rare_blocks(void **state)
{
	const struct truth t = { -7, 0, 1 };
	struct onidev_clock *c = clock_new();
	struct onidev_clock_fit fit;

	(void)state;
	/* a heartbeat alone fills a block each 1.7 s */
	feed(c, &t, 600, 1706000, usual);
	assert_int_equal(onidev_clock_read(c, &fit), 0);
	assert_true(fabs(fit.ppm + 7) < 0.2);
	onidev_clock_free(c);
}

static void test_reset_forgets(void **state)
{
	const struct truth a = { 50, 0, 1 }, b = { -50, 0, 777777777 };
	struct onidev_clock *c = clock_new();
	struct onidev_clock_fit fit;

	(void)state;
	feed(c, &a, 10, 853.3, usual);
	onidev_clock_reset(c);
	assert_int_equal(onidev_clock_read(c, &fit), -1);
	feed(c, &b, 10, 853.3, usual);
	assert_int_equal(onidev_clock_read(c, &fit), 0);
	assert_true(fabs(fit.ppm + 50) < 0.5);
	onidev_clock_free(c);
}

static void test_conversions_invert(void **state)
{
	const struct onidev_clock_fit fit = {
		.ticks0 = 1ull << 60, .mono0_ns = 1ull << 50, .ns_per_tick = 4.0001,
	};
	int64_t d;

	(void)state;
	for (d = -1000000000000; d <= 1000000000000; d += 77777777777) {
		uint64_t ticks = fit.ticks0 + (uint64_t)d;
		uint64_t back = onidev_clock_from_mono(&fit, onidev_clock_to_mono(&fit, ticks));

		assert_true(llabs((long long)(back - ticks)) <= 1);
	}
}

static void test_real_offset(void **state)
{
	struct timespec m, r;
	int64_t now;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &m);
	clock_gettime(CLOCK_REALTIME, &r);
	now = (int64_t)(r.tv_sec - m.tv_sec) * 1000000000 + r.tv_nsec - m.tv_nsec;
	assert_true(llabs((long long)(onidev_clock_real_offset() - now)) < 100000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_little),
		cmocka_unit_test(test_recovers_drift),
		cmocka_unit_test(test_jitter_quantiles),
		cmocka_unit_test(test_stalls_do_not_matter),
		cmocka_unit_test(test_backlog_is_not_drift),
		cmocka_unit_test(test_follows_slow_drift),
		cmocka_unit_test(test_rare_blocks),
		cmocka_unit_test(test_reset_forgets),
		cmocka_unit_test(test_conversions_invert),
		cmocka_unit_test(test_real_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
