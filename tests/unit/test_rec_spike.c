// SPDX-License-Identifier: MIT
/* unit-sources: userspace/onirec/spike.c */
/* unit-libs: -lm */
/*
 * test_rec_spike.c - the spike detector: its filter against a direct-form
 * reference, independence of block borders, gaps, limits, flags.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/onirec/spike.h"

#define RATE	30000
#define MAX	200000

struct log {
	struct spike_event ev[4000];
	int16_t wave[4000][40];
	unsigned int n;
};

static void keep(void *ctx, const struct spike_event *ev)
{
	struct log *l = ctx;

	assert_true(l->n < 4000);
	memcpy(l->wave[l->n], ev->wave, sizeof(l->wave[0]));
	l->ev[l->n++] = *ev;
}

static uint32_t seed;

static uint32_t rnd(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

/* Roughly normal, sigma 1. */
static double noise(void)
{
	double s = 0;

	for (int i = 0; i < 12; i++)
		s += rnd() / 16777216.0;
	return s - 6;
}

/* Noise of sigma 20 on @ch channels, DC and a slow wave, a dip every 1/20 s. */
static int16_t *make_signal(unsigned int ch, size_t n, double depth)
{
	int16_t *x = malloc(n * ch * sizeof(*x));

	seed = 7;
	for (size_t i = 0; i < n; i++) {
		for (unsigned int c = 0; c < ch; c++) {
			double v = 300 + 400 * sin(2 * M_PI * 8 * (double)i / RATE) + 20 * noise();
			size_t at = (i + 97 * c) % (RATE / 20);

			if (at > 100 && at < 120)
				v -= depth * sin(M_PI * (double)(at - 100) / 20);
			x[i * ch + c] = (int16_t)lrint(v);
		}
	}
	return x;
}

static void run(struct log *l, const struct spike_config *cfg, const int16_t *x, size_t n,
		size_t block)
{
	struct spike_detector *d;

	l->n = 0;
	d = spike_new(cfg, keep, l);
	assert_non_null(d);
	for (size_t i = 0; i < n; i += block)
		spike_push(d, x + i * cfg->channels, n - i < block ? n - i : block, 1000 + i);
	spike_flush(d);
	spike_free(d);
}

/*
 * The filter written down as in the comment of spike.c, sample by sample: what
 * the recursive, vectorised code must equal to the last bit.
 */
static int32_t direct_mean(const int16_t *x, long n, long center, int len)
{
	int64_t s = 0;

	for (int k = -(len - 1); k <= len - 1; k++) {
		long i = center + k;

		/* before the first frame the first one is repeated, as at a restart */
		s += (int64_t)(len - abs(k)) * x[i < 0 ? 0 : i >= n ? n - 1 : i];
	}
	return (int32_t)s;
}

static int32_t direct_high(const int16_t *x, long n, long i)
{
	int32_t mean = 417 * (direct_mean(x, n, i, 39) >> 5) +
		       364 * (direct_mean(x, n, i, 63) >> 6) -
		       180 * (direct_mean(x, n, i, 117) >> 8);

	return 32 * x[i < 0 ? 0 : i >= n ? n - 1 : i] - (mean >> 10);
}

static int32_t direct_filter(const int16_t *x, long n, long i)
{
	static const int tap[13] = { 2, -1, -8, -9, 20, 80, 115, 80, 20, -9, -8, -1, 2 };
	int32_t z = 0;

	for (int k = 0; k < 13; k++)
		z += tap[k] * direct_high(x, n, i + k - 6);
	return z;
}

/* With a fixed threshold and no dead time every peak shows the filter's value. */
static void filter_equals_direct_form(void **state)
{
	static struct log l;
	struct spike_config cfg;
	long n = 40000;
	int16_t *x = make_signal(1, (size_t)n, 300);
	unsigned int checked = 0;

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	cfg.fixed = 60;
	cfg.channel_rate = cfg.stream_rate = 0;
	run(&l, &cfg, x, (size_t)n, 4096);
	for (unsigned int i = 0; i < l.n; i++) {
		long at = (long)l.ev[i].sample - 1000;
		double unit = 283 * 32 * 0.9815;
		int32_t z = direct_filter(x, n, at);

		assert_int_equal(l.ev[i].peak, lrint(z / unit));
		assert_true(-z > (int32_t)(60 * unit));
		/* it is the extremum of what follows the crossing */
		for (long k = at + 1; k <= at + 3; k++)
			assert_true(direct_filter(x, n, k) >= z);
		checked++;
	}
	assert_true(checked > 20);
	free(x);
}

/* Every crossing of the direct form that is not dead is reported, and only those. */
static void crossings_equal_direct_form(void **state)
{
	static struct log l;
	struct spike_config cfg;
	long n = 34000, locked = 0;
	int16_t *x = make_signal(1, (size_t)n, 200);
	unsigned int found = 0;

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	cfg.fixed = 50;
	cfg.channel_rate = cfg.stream_rate = 0;
	run(&l, &cfg, x, (size_t)n, 100);
	for (long t = 0; t < n; t++) {
		long best = t;

		if (t < locked || -direct_filter(x, n, t) <= (int32_t)(50 * 283 * 32 * 0.9815))
			continue;
		for (long k = t; k <= t + 15 && k < n; k++)
			if (direct_filter(x, n, k) < direct_filter(x, n, best))
				best = k;
		assert_true(found < l.n);
		assert_int_equal(l.ev[found].sample, 1000 + best);
		locked = best + 30;
		t = t + 15;
		found++;
	}
	assert_int_equal(found, l.n);
	assert_true(found > 10);
	free(x);
}

static void result_does_not_depend_on_block_borders(void **state)
{
	static const size_t blocks[] = { 1, 7, 30, 128, 4096, MAX };
	static struct log first, other;
	struct spike_config cfg;
	size_t n = 90000;
	int16_t *x = make_signal(5, n, 250);

	(void)state;
	spike_config_default(&cfg, 5, RATE);
	run(&first, &cfg, x, n, blocks[0]);
	assert_true(first.n > 250);
	for (unsigned int b = 1; b < 6; b++) {
		run(&other, &cfg, x, n, blocks[b]);
		assert_int_equal(other.n, first.n);
		for (unsigned int i = 0; i < first.n; i++) {
			other.ev[i].wave = first.ev[i].wave = NULL;
			assert_memory_equal(&other.ev[i], &first.ev[i], sizeof(first.ev[i]));
			assert_memory_equal(other.wave[i], first.wave[i], sizeof(first.wave[i]));
		}
	}
	free(x);
}

/* Channels must not see each other: alone or among others gives the same spikes. */
static void channels_are_independent(void **state)
{
	static struct log all, one;
	struct spike_config cfg;
	size_t n = 60000;
	int16_t *x = make_signal(37, n, 250), *y = malloc(n * sizeof(*y));

	(void)state;
	spike_config_default(&cfg, 37, RATE);
	run(&all, &cfg, x, n, 500);
	for (unsigned int c = 0; c < 37; c += 18) {
		unsigned int k = 0;

		for (size_t i = 0; i < n; i++)
			y[i] = x[i * 37 + c];
		cfg.channels = 1;
		run(&one, &cfg, y, n, 500);
		for (unsigned int i = 0; i < all.n; i++) {
			if (all.ev[i].channel != c)
				continue;
			assert_true(k < one.n);
			assert_int_equal(all.ev[i].sample, one.ev[k].sample);
			assert_int_equal(all.ev[i].peak, one.ev[k].peak);
			k++;
		}
		assert_int_equal(k, one.n);
		assert_true(k > 20);
	}
	free(x);
	free(y);
}

static void snippet_is_the_unfiltered_signal(void **state)
{
	static struct log l;
	struct spike_config cfg;
	size_t n = 60000;
	int16_t *x = make_signal(2, n, 250);

	(void)state;
	spike_config_default(&cfg, 2, RATE);
	run(&l, &cfg, x, n, 333);
	for (unsigned int i = 0; i < l.n; i++) {
		size_t first = l.ev[i].sample - 1000 - 8;

		for (unsigned int k = 0; k < 40 && !l.ev[i].flags; k++)
			assert_int_equal(l.wave[i][k], x[(first + k) * 2 + l.ev[i].channel]);
	}
	free(x);
}

static void noise_is_the_median(void **state)
{
	static struct log l;
	struct spike_config cfg;
	struct spike_detector *d;
	size_t n = 150000;
	int16_t *x = make_signal(1, n, 0);
	double direct;

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	cfg.prime_frames = RATE;
	l.n = 0;
	d = spike_new(&cfg, keep, &l);
	spike_push(d, x, n, 0);
	/* white noise of sigma 20 through the filter: the root of the sum of squared taps */
	direct = 0;
	for (int i = 0; i < 400; i++) {
		static int16_t delta[800];
		double h;

		delta[400] = 1000;
		h = direct_filter(delta, 800, 200 + i) / (283 * 32 * 0.9815) / 1000;
		direct += h * h;
	}
	assert_true(fabs(spike_sigma(d, 0) / (20 * sqrt(direct)) - 1) < 0.02);
	spike_flush(d);
	spike_free(d);
	free(x);
}

/*
 * The second look at the first frames must not be one burst of work, which
 * would hold up the recorder: with every block only two blocks of it, until
 * the spikes come as they happen.
 */
static void kept_frames_are_caught_up_without_a_burst(void **state)
{
	static struct log l, whole;
	struct spike_config cfg;
	struct spike_detector *d;
	size_t n = 4 * RATE, block = 300, i;
	int16_t *x = make_signal(2, n, 250);

	(void)state;
	spike_config_default(&cfg, 2, RATE);
	cfg.prime_frames = RATE;
	run(&whole, &cfg, x, n, n);
	l.n = 0;
	d = spike_new(&cfg, keep, &l);
	for (i = 0; i < n; i += block) {
		unsigned int had = l.n;

		spike_push(d, x + i * 2, block, 1000 + i);
		if (i + block <= RATE)
			assert_int_equal(l.n, 0);
		else if (l.n > had)
			assert_true(l.ev[l.n - 1].sample - 1000 < 2 * (i + block - RATE));
		/* At most what two blocks hold: one dip per channel and 1/20 s. */
		assert_true(l.n - had <= 4);
	}
	spike_flush(d);
	spike_free(d);
	assert_int_equal(l.n, whole.n);
	for (i = 0; i < l.n; i++)
		assert_int_equal(l.ev[i].sample, whole.ev[i].sample);
	free(x);
}

static void noise_follows_a_change_of_gain(void **state)
{
	static struct log l;
	struct spike_config cfg;
	struct spike_detector *d;
	size_t n = 180000;
	int16_t *x = make_signal(1, n, 0), *y = malloc(n * sizeof(*y));
	double before;

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	cfg.prime_frames = RATE;
	l.n = 0;
	d = spike_new(&cfg, keep, &l);
	spike_push(d, x, n, 0);
	before = spike_sigma(d, 0);
	for (size_t i = 0; i < n; i++)
		y[i] = (int16_t)(x[i] * 3);
	spike_push(d, y, n, n);
	assert_true(fabs(spike_sigma(d, 0) / before - 3) < 0.15);
	spike_flush(d);
	spike_free(d);
	free(x);
	free(y);
}

static void a_gap_restarts_the_filter_and_loses_nothing_before_it(void **state)
{
	static struct log whole, l;
	struct spike_config cfg;
	struct spike_stats st;
	struct spike_detector *d;
	size_t n = 60000, k = 0;
	int16_t *x = make_signal(1, n, 250);

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	run(&whole, &cfg, x, n, 1000);
	l.n = 0;
	d = spike_new(&cfg, keep, &l);
	spike_push(d, x, n, 1000);
	spike_push(d, x, n, 1000 + n + 12345);
	spike_flush(d);
	spike_get_stats(d, &st);
	assert_int_equal(st.restarts, 1);
	assert_int_equal(st.frames, 2 * n);
	for (unsigned int i = 0; i < l.n; i++) {
		assert_true(l.ev[i].sample < 1000 + n || l.ev[i].sample >= 1000 + n + 12345);
		k += l.ev[i].sample < 1000 + n;
	}
	assert_int_equal(k, whole.n);
	assert_true(l.n > whole.n + 30);
	spike_free(d);
	free(x);
}

static void dead_time_holds(void **state)
{
	static struct log l;
	struct spike_config cfg;
	size_t n = 60000;
	int16_t *x = make_signal(1, n, 0);

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	cfg.k = 1.5;
	cfg.channel_rate = cfg.stream_rate = 0;
	run(&l, &cfg, x, n, 1000);
	assert_true(l.n > 500);
	for (unsigned int i = 1; i < l.n; i++)
		assert_true(l.ev[i].sample >= l.ev[i - 1].sample + 30);
	free(x);
}

static void rate_limits_hold_and_are_counted(void **state)
{
	static struct log l, free_run;
	struct spike_config cfg;
	struct spike_detector *d;
	struct spike_stats st;
	size_t n = 90000;
	int16_t *x = make_signal(1, n, 0);

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	cfg.k = 1.5;
	cfg.channel_rate = cfg.stream_rate = 0;
	run(&free_run, &cfg, x, n, 1000);
	cfg.channel_rate = 50;
	l.n = 0;
	d = spike_new(&cfg, keep, &l);
	spike_push(d, x, n, 1000);
	spike_flush(d);
	spike_get_stats(d, &st);
	/* a full bucket and three seconds of refill */
	assert_true(l.n <= 200 && l.n >= 190);
	assert_int_equal(st.spikes, l.n);
	assert_int_equal(st.spikes + st.guarded, free_run.n);
	assert_int_equal(spike_count(d, 0), l.n);
	spike_free(d);
	free(x);
}

static void polarity_is_obeyed(void **state)
{
	static struct log neg, pos, both;
	struct spike_config cfg;
	size_t n = 60000;
	int16_t *x = make_signal(1, n, 300), *y = malloc(n * sizeof(*y));

	(void)state;
	for (size_t i = 0; i < n; i++)
		y[i] = (int16_t)-x[i];
	spike_config_default(&cfg, 1, RATE);
	cfg.fixed = 80;
	run(&neg, &cfg, x, n, 1000);
	cfg.polarity = SPIKE_POSITIVE;
	run(&pos, &cfg, y, n, 1000);
	assert_int_equal(neg.n, pos.n);
	assert_true(neg.n > 30);
	cfg.polarity = SPIKE_BOTH;
	run(&both, &cfg, x, n, 1000);
	assert_true(both.n >= neg.n);
	assert_true(neg.ev[0].peak < 0 && pos.ev[0].peak > 0);
	free(x);
	free(y);
}

static void full_scale_does_not_overflow(void **state)
{
	static struct log l;
	struct spike_config cfg;
	size_t n = 60000;
	int16_t *x = malloc(n * sizeof(*x));

	(void)state;
	/* square waves of every period up to twice the longest mean */
	for (size_t i = 0, period = 1, at = 0; i < n; i++) {
		x[i] = at < period ? INT16_MAX : INT16_MIN;
		if (++at >= 2 * period) {
			at = 0;
			period = period % 240 + 1;
		}
	}
	spike_config_default(&cfg, 1, RATE);
	cfg.fixed = 20000;
	run(&l, &cfg, x, n, 1000);	/* the sanitizer watches */
	assert_true(l.n > 100);
	assert_true(l.ev[0].flags & SPIKE_SATURATED);
	free(x);
}

static void a_flat_channel_is_silent(void **state)
{
	static struct log l;
	struct spike_config cfg;
	static int16_t x[60000];

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	run(&l, &cfg, x, 60000, 1000);
	assert_int_equal(l.n, 0);
}

static void less_than_the_priming_is_searched_at_the_end(void **state)
{
	static struct log l;
	struct spike_config cfg;
	int16_t *x = make_signal(1, 20000, 300);

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	run(&l, &cfg, x, 20000, 64);
	assert_true(l.n >= 12);
	free(x);
}

/* --- disturbances from outside ------------------------------------------------------- */

struct interval {
	uint64_t from, to;	/* numbers of frames, from 0 */
};

/* Every 1/10 s, 6 ms, also at the beginning and in the priming. */
#define BLANKS	29

static struct interval blank_at(unsigned int i)
{
	uint64_t from = i * (RATE / 10) + (i ? 37 * i : 0);

	return (struct interval){ from, from + 180 };
}

static bool inside(uint64_t sample, uint64_t margin)
{
	for (unsigned int i = 0; i < BLANKS; i++) {
		struct interval b = blank_at(i);

		if (sample - 1000 + margin >= b.from && sample - 1000 < b.to + margin)
			return true;
	}
	return false;
}

/* As a stimulator leaves it: both ends of the range, then something that decays. */
static void add_artifacts(int16_t *x, unsigned int ch)
{
	for (unsigned int i = 0; i < BLANKS; i++) {
		struct interval b = blank_at(i);

		for (uint64_t t = b.from; t < b.to; t++)
			for (unsigned int c = 0; c < ch; c++)
				x[t * ch + c] = t < b.from + 60 ? (t / 6 % 2 ? INT16_MAX : INT16_MIN)
						: (int16_t)(-30000 / (int64_t)(t - b.from - 50));
	}
}

static struct spike_stats run_blanked(struct log *l, const struct spike_config *cfg,
				      const int16_t *x, size_t n, size_t block)
{
	struct spike_detector *d = spike_new(cfg, keep, l);
	struct spike_stats st;
	unsigned int told = 0;

	l->n = 0;
	assert_non_null(d);
	for (size_t i = 0; i < n; i += block) {
		size_t k = n - i < block ? n - i : block;

		for (; told < BLANKS && blank_at(told).from < i + k; told++)
			spike_blank(d, 1000 + blank_at(told).from, 1000 + blank_at(told).to);
		spike_push(d, x + i * cfg->channels, k, 1000 + i);
	}
	spike_flush(d);
	spike_get_stats(d, &st);
	spike_free(d);
	return st;
}

static bool same_spike(struct log *a, unsigned int i, struct log *b, unsigned int k)
{
	struct spike_event x = a->ev[i], y = b->ev[k];

	x.wave = y.wave = NULL;
	return !memcmp(&x, &y, sizeof(x)) && !memcmp(a->wave[i], b->wave[k], sizeof(a->wave[i]));
}

static void artifacts_in_blanks_change_nothing_outside(void **state)
{
	static struct log clean, disturbed, seen;
	struct spike_config cfg;
	struct spike_stats st;
	size_t n = 90000;
	int16_t *x = make_signal(3, n, 250);

	(void)state;
	spike_config_default(&cfg, 3, RATE);
	cfg.prime_frames = RATE;
	cfg.channel_rate = cfg.stream_rate = 0;
	st = run_blanked(&clean, &cfg, x, n, 500);
	assert_int_equal(st.blanks, BLANKS);
	assert_int_equal(st.blanked, BLANKS * 180);
	assert_int_equal(st.late, 0);
	assert_int_equal(st.frames, n);
	add_artifacts(x, 3);
	/* they are a disturbance: without blanks there are spikes in them */
	run(&seen, &cfg, x, n, 500);
	for (unsigned int i = 0, k = 0; i <= seen.n; i++) {
		assert_true(i < seen.n || k > BLANKS);
		k += i < seen.n && inside(seen.ev[i].sample, 0);
	}
	st = run_blanked(&disturbed, &cfg, x, n, 500);
	assert_int_equal(disturbed.n, clean.n);
	assert_true(clean.n > 100);
	for (unsigned int i = 0; i < clean.n; i++) {
		assert_true(same_spike(&clean, i, &disturbed, i));
		assert_false(inside(clean.ev[i].sample, 0));
	}
	free(x);
}

/* What is further away than the filter sees is found as if nothing had happened. */
static void spikes_away_from_blanks_are_those_without_blanks(void **state)
{
	static struct log plain, blanked;
	struct spike_config cfg;
	size_t n = 90000;
	int16_t *x = make_signal(3, n, 250);
	unsigned int k = 0, same = 0, far = 0;

	(void)state;
	spike_config_default(&cfg, 3, RATE);
	cfg.fixed = 60;			/* the noise is measured on other frames */
	cfg.channel_rate = cfg.stream_rate = 0;
	run(&plain, &cfg, x, n, 500);
	run_blanked(&blanked, &cfg, x, n, 500);
	for (unsigned int i = 0; i < plain.n; i++) {
		if (inside(plain.ev[i].sample, 300))
			continue;
		far++;
		while (k < blanked.n && blanked.ev[k].sample < plain.ev[i].sample)
			k++;
		for (unsigned int j = k; j < blanked.n &&
		     blanked.ev[j].sample == plain.ev[i].sample; j++) {
			blanked.ev[j].noise_sigma = plain.ev[i].noise_sigma;
			same += same_spike(&plain, i, &blanked, j);
		}
	}
	assert_int_equal(same, far);
	assert_true(far > 80);
	free(x);
}

static void blanked_results_do_not_depend_on_block_borders(void **state)
{
	static const size_t blocks[] = { 1, 7, 179, 4096, MAX };
	static struct log first, other;
	struct spike_config cfg;
	size_t n = 90000;
	int16_t *x = make_signal(3, n, 250);

	(void)state;
	add_artifacts(x, 3);
	spike_config_default(&cfg, 3, RATE);
	cfg.prime_frames = RATE;
	run_blanked(&first, &cfg, x, n, blocks[0]);
	assert_true(first.n > 100);
	for (unsigned int b = 1; b < 5; b++) {
		run_blanked(&other, &cfg, x, n, blocks[b]);
		assert_int_equal(other.n, first.n);
		for (unsigned int i = 0; i < first.n; i++)
			assert_true(same_spike(&first, i, &other, i));
	}
	free(x);
}

/* Half of the time is artifact, from the first frame on, and the noise is still known. */
static void noise_is_not_measured_in_blanks(void **state)
{
	static struct log l;
	struct spike_config cfg;
	struct spike_detector *d;
	size_t n = 6 * RATE, every = 3000;
	int16_t *x = make_signal(1, n, 0), *y = malloc(n * sizeof(*y));
	double clean, disturbed;

	(void)state;
	memcpy(y, x, n * sizeof(*y));
	for (size_t i = 0; i < n; i++)
		if (i % every < every / 2)
			y[i] = (int16_t)(rnd() % 60000 - 30000);
	spike_config_default(&cfg, 1, RATE);
	cfg.prime_frames = 2 * RATE;
	l.n = 0;
	d = spike_new(&cfg, keep, &l);
	spike_push(d, x, n, 0);
	clean = spike_sigma(d, 0);
	spike_free(d);
	l.n = 0;
	d = spike_new(&cfg, keep, &l);
	for (size_t i = 0; i < n; i += every)
		spike_blank(d, i, i + every / 2);
	spike_push(d, y, n, 0);
	disturbed = spike_sigma(d, 0);
	spike_flush(d);
	spike_free(d);
	assert_true(fabs(disturbed / clean - 1) < 0.03);
	assert_true(l.n < 40);
	free(x);
	free(y);
}

static void late_and_odd_blanks_are_counted(void **state)
{
	static struct log l;
	struct spike_config cfg;
	struct spike_detector *d;
	struct spike_stats st;
	size_t n = 60000;
	int16_t *x = make_signal(1, n, 250);

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	cfg.prime_frames = RATE / 10;
	l.n = 0;
	d = spike_new(&cfg, keep, &l);
	spike_push(d, x, 30000, 0);
	spike_blank(d, 29000, 31000);		/* half of it is over */
	spike_blank(d, 30500, 30600);		/* inside the last */
	spike_blank(d, 30900, 31500);		/* overlaps */
	spike_blank(d, 40000, 40000);		/* none */
	spike_blank(d, 32000, 32100);
	spike_blank(d, 31900, 32200);		/* begins before the last: cut */
	spike_push(d, x + 30000, 30000, 30000);
	spike_flush(d);
	spike_get_stats(d, &st);
	assert_int_equal(st.late, 1000);
	assert_int_equal(st.blanked, 1500 + 200);
	assert_int_equal(st.blanks, 2);
	spike_free(d);
	/* more than there is room for: everything up to the last */
	d = spike_new(&cfg, keep, &l);
	l.n = 0;
	for (unsigned int i = 0; i < SPIKE_MAX_BLANKS + 100; i++)
		spike_blank(d, 3 * i, 3 * i + 1);
	spike_push(d, x, n, 0);
	spike_flush(d);
	spike_get_stats(d, &st);
	assert_int_equal(st.blanked, SPIKE_MAX_BLANKS - 1 + 3 * 100 + 1);
	spike_free(d);
	free(x);
}

/* A train of blanks is no way round the limit. */
static void rate_limits_go_on_over_blanks(void **state)
{
	static struct log l;
	struct spike_config cfg;
	struct spike_detector *d;
	struct spike_stats st;
	size_t n = 90000;
	int16_t *x = make_signal(1, n, 0);

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	cfg.prime_frames = RATE / 10;
	cfg.k = 1.5;
	cfg.channel_rate = 10;
	l.n = 0;
	d = spike_new(&cfg, keep, &l);
	for (size_t i = 0; i < n; i += 1000)
		spike_blank(d, i, i + 30);
	spike_push(d, x, n, 0);
	spike_flush(d);
	spike_get_stats(d, &st);
	assert_true(st.spikes <= 10 * 4);
	assert_true(st.guarded > 500);
	spike_free(d);
	free(x);
}

static void nonsense_is_refused(void **state)
{
	struct spike_config cfg;

	(void)state;
	spike_config_default(&cfg, 1, RATE);
	cfg.k = NAN;
	assert_null(spike_new(&cfg, keep, NULL));
	assert_int_equal(errno, EINVAL);
	spike_config_default(&cfg, 0, RATE);
	assert_null(spike_new(&cfg, keep, NULL));
	spike_config_default(&cfg, 1, RATE);
	cfg.n_post = 0;
	assert_null(spike_new(&cfg, keep, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filter_equals_direct_form),
		cmocka_unit_test(crossings_equal_direct_form),
		cmocka_unit_test(result_does_not_depend_on_block_borders),
		cmocka_unit_test(channels_are_independent),
		cmocka_unit_test(snippet_is_the_unfiltered_signal),
		cmocka_unit_test(noise_is_the_median),
		cmocka_unit_test(kept_frames_are_caught_up_without_a_burst),
		cmocka_unit_test(noise_follows_a_change_of_gain),
		cmocka_unit_test(a_gap_restarts_the_filter_and_loses_nothing_before_it),
		cmocka_unit_test(dead_time_holds),
		cmocka_unit_test(rate_limits_hold_and_are_counted),
		cmocka_unit_test(polarity_is_obeyed),
		cmocka_unit_test(full_scale_does_not_overflow),
		cmocka_unit_test(a_flat_channel_is_silent),
		cmocka_unit_test(less_than_the_priming_is_searched_at_the_end),
		cmocka_unit_test(artifacts_in_blanks_change_nothing_outside),
		cmocka_unit_test(spikes_away_from_blanks_are_those_without_blanks),
		cmocka_unit_test(blanked_results_do_not_depend_on_block_borders),
		cmocka_unit_test(noise_is_not_measured_in_blanks),
		cmocka_unit_test(late_and_odd_blanks_are_counted),
		cmocka_unit_test(rate_limits_go_on_over_blanks),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
