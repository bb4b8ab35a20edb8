// SPDX-License-Identifier: MIT
/*
 * clock.c - acquisition clock to CLOCK_MONOTONIC, fitted online.
 *
 * Owns struct onidev_clock. No I/O except onidev_clock_real_offset(). One thread
 * at a time per object; a fit is a plain value.
 *
 * Model: a frame made at tick t completes a block whose interrupt is seen at
 * m >= a + b * t. The excess is interrupt latency, queueing, a busy host: never
 * negative and without an upper bound. Least squares would follow the latency;
 * the wanted line touches the pairs from below. Time is cut into bins, each
 * keeps only its earliest pair, and the fit is the edge of the lower convex hull
 * of these under the mean of their times: of all lines below every point the one
 * with the least sum of distances (the linear programme known from network clock
 * skew estimation). A host that was late for a while only makes points that the
 * hull does not touch. A host that falls behind for more than half of the time
 * would still tilt that line; but no crystal is off by MAX_PPM, so an edge that
 * says so is backlog, and the longest believable edge is taken instead.
 *
 * Bins begin at 10 ms and double as the acquisition goes on, up to 1 s; from then
 * on the oldest is dropped, so the fit covers the last few minutes and follows a
 * crystal that drifts with temperature.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "onidev.h"

#define BINS		256
#define RECENT		1024		/* pairs that the jitter is taken from */
#define BIN_FIRST_NS	10000000.0
#define BIN_MAX_NS	1000000000.0
#define MIN_SPAN_NS	10000000.0
#define MAX_PPM		1000.0

struct pair {
	uint64_t ticks;
	uint64_t mono;
};

struct bin {
	uint64_t index;		/* ticks / bin width */
	struct pair min;	/* earliest pair relative to the nominal rate */
};

struct onidev_clock {
	double nominal;		/* ns per tick */
	uint64_t bin_ticks;
	uint64_t bin_ticks_max;
	uint64_t bin_ticks_first;

	struct bin bins[BINS];	/* in order of index, bins[0] the oldest */
	unsigned int nbins;

	struct pair recent[RECENT];
	uint64_t pairs;
};

struct onidev_clock *onidev_clock_new(uint32_t acq_hz)
{
	struct onidev_clock *c;

	if (!acq_hz) {
		errno = EINVAL;
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->nominal = 1e9 / acq_hz;
	c->bin_ticks_first = (uint64_t)fmax(1, BIN_FIRST_NS / c->nominal);
	c->bin_ticks_max = (uint64_t)fmax(1, BIN_MAX_NS / c->nominal);
	onidev_clock_reset(c);
	return c;
}

void onidev_clock_free(struct onidev_clock *clock)
{
	free(clock);
}

void onidev_clock_reset(struct onidev_clock *clock)
{
	clock->bin_ticks = clock->bin_ticks_first;
	clock->nbins = 0;
	clock->pairs = 0;
}

/*
 * Lateness of @p against @ref at the nominal rate, in ns. Differences are taken in
 * integers first: the absolute values do not fit a double.
 */
static double lateness(const struct onidev_clock *c, const struct pair *p,
		       const struct pair *ref)
{
	return (double)(int64_t)(p->mono - ref->mono) -
	       (double)(int64_t)(p->ticks - ref->ticks) * c->nominal;
}

static void bin_merge(const struct onidev_clock *c, struct bin *into, const struct pair *p)
{
	if (lateness(c, p, &into->min) < 0)
		into->min = *p;
}

/* Twice the bin width: neighbours become one. */
static void bins_double(struct onidev_clock *c)
{
	unsigned int i, n = 0;

	c->bin_ticks *= 2;
	for (i = 0; i < c->nbins; i++) {
		struct bin b = c->bins[i];

		b.index /= 2;
		if (n && c->bins[n - 1].index == b.index)
			bin_merge(c, &c->bins[n - 1], &b.min);
		else
			c->bins[n++] = b;
	}
	c->nbins = n;
}

static void bins_make_room(struct onidev_clock *c)
{
	if (c->bin_ticks * 2 <= c->bin_ticks_max)
		bins_double(c);
	/* Sparse bins may not have merged. */
	if (c->nbins < BINS)
		return;
	memmove(&c->bins[0], &c->bins[1], (BINS - 1) * sizeof(c->bins[0]));
	c->nbins--;
}

void onidev_clock_add(struct onidev_clock *clock, uint64_t ticks, uint64_t mono_ns)
{
	struct pair p = { .ticks = ticks, .mono = mono_ns };
	struct bin *last = clock->nbins ? &clock->bins[clock->nbins - 1] : NULL;

	clock->recent[clock->pairs++ % RECENT] = p;
	if (last && ticks / clock->bin_ticks <= last->index) {
		bin_merge(clock, last, &p);
		return;
	}
	if (clock->nbins == BINS)
		bins_make_room(clock);
	last = &clock->bins[clock->nbins++];
	last->index = ticks / clock->bin_ticks;
	last->min = p;
}

struct point {
	double x;	/* ticks from the reference */
	double y;	/* lateness at the nominal rate, ns */
};

/* Lower convex hull of @n points in order of x, in place; returns its size. */
static unsigned int hull_lower(struct point *p, unsigned int n)
{
	unsigned int i, h = 0;

	for (i = 0; i < n; i++) {
		while (h >= 2 &&
		       (p[h - 1].x - p[h - 2].x) * (p[i].y - p[h - 2].y) <=
		       (p[i].x - p[h - 2].x) * (p[h - 1].y - p[h - 2].y))
			h--;
		/* Equal x can only come from merged bins: the lower one counts. */
		if (h && p[i].x <= p[h - 1].x) {
			if (p[i].y < p[h - 1].y)
				p[h - 1] = p[i];
			continue;
		}
		p[h++] = p[i];
	}
	return h;
}

/* Lateness per tick along the edge that ends at @i. */
static double edge_slope(const struct point *p, unsigned int i)
{
	return (p[i].y - p[i - 1].y) / (p[i].x - p[i - 1].x);
}

/*
 * The edge to go by: its end, or 0 when none is believable. @mean is the mean of x
 * over all points, @limit the largest believable slope.
 */
static unsigned int hull_pick(const struct point *p, unsigned int h, double mean, double limit)
{
	unsigned int i, best = 0;

	for (i = 1; i < h - 1 && p[i].x < mean; i++)
		;
	if (fabs(edge_slope(p, i)) <= limit)
		return i;
	for (i = 1; i < h; i++)
		if (fabs(edge_slope(p, i)) <= limit &&
		    (!best || p[i].x - p[i - 1].x > p[best].x - p[best - 1].x))
			best = i;
	return best;
}

/* The point of the hull that a line of the nominal rate touches. */
static unsigned int hull_lowest(const struct point *p, unsigned int h)
{
	unsigned int i, low = 0;

	for (i = 1; i < h; i++)
		if (p[i].y < p[low].y)
			low = i;
	return low;
}

static int double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Lateness of the recent pairs against the fit. */
static void read_jitter(const struct onidev_clock *c, struct onidev_clock_fit *fit)
{
	double late[RECENT];
	unsigned int i, n = c->pairs < RECENT ? (unsigned int)c->pairs : RECENT;

	for (i = 0; i < n; i++) {
		double expect = (double)(int64_t)(c->recent[i].ticks - fit->ticks0) *
				fit->ns_per_tick;

		late[i] = (double)(int64_t)(c->recent[i].mono - fit->mono0_ns) - expect;
		if (late[i] < 0)
			late[i] = 0;
	}
	qsort(late, n, sizeof(late[0]), double_compare);
	fit->jitter_p50_ns = late[n / 2];
	fit->jitter_p99_ns = late[n - 1 - n / 100];
}

/* How far the slope may be off: the typical lateness of a bin's best over half the span. */
static double slope_error(const struct onidev_clock *c, const struct onidev_clock_fit *fit,
			  double span_ns)
{
	double late[BINS];
	unsigned int i;

	for (i = 0; i < c->nbins; i++)
		late[i] = fabs((double)(int64_t)(c->bins[i].min.mono - fit->mono0_ns) -
			       (double)(int64_t)(c->bins[i].min.ticks - fit->ticks0) *
			       fit->ns_per_tick);
	qsort(late, c->nbins, sizeof(late[0]), double_compare);
	return 2 * late[c->nbins / 2] / span_ns;
}

int onidev_clock_read(const struct onidev_clock *clock, struct onidev_clock_fit *fit)
{
	const struct pair *ref = &clock->bins[0].min;
	struct point p[BINS];
	double mean = 0, span, slope = 0;
	unsigned int i, h, at;

	if (clock->nbins < 3)
		goto again;
	for (i = 0; i < clock->nbins; i++) {
		p[i].x = (double)(int64_t)(clock->bins[i].min.ticks - ref->ticks);
		p[i].y = lateness(clock, &clock->bins[i].min, ref);
		mean += p[i].x / clock->nbins;
	}
	span = p[clock->nbins - 1].x * clock->nominal;
	h = hull_lower(p, clock->nbins);
	if (span < MIN_SPAN_NS || h < 2)
		goto again;
	at = hull_pick(p, h, mean, clock->nominal * MAX_PPM * 1e-6);
	if (at)
		slope = edge_slope(p, at);
	else
		at = hull_lowest(p, h);

	memset(fit, 0, sizeof(*fit));
	fit->ticks0 = ref->ticks + (uint64_t)p[at].x;
	fit->mono0_ns = ref->mono + (uint64_t)llround(p[at].y + p[at].x * clock->nominal);
	fit->ns_per_tick = clock->nominal + slope;
	/* A fast crystal needs less host time for a tick. */
	fit->ppm = (clock->nominal / fit->ns_per_tick - 1) * 1e6;
	fit->ppm_error = slope_error(clock, fit, span) * 1e6;
	fit->span_s = span / 1e9;
	fit->pairs = clock->pairs;
	read_jitter(clock, fit);
	return 0;
again:
	errno = EAGAIN;
	return -1;
}

uint64_t onidev_clock_to_mono(const struct onidev_clock_fit *fit, uint64_t ticks)
{
	double ns = (double)(int64_t)(ticks - fit->ticks0) * fit->ns_per_tick;

	return fit->mono0_ns + (uint64_t)llround(ns);
}

uint64_t onidev_clock_from_mono(const struct onidev_clock_fit *fit, uint64_t mono_ns)
{
	double ticks = (double)(int64_t)(mono_ns - fit->mono0_ns) / fit->ns_per_tick;

	return fit->ticks0 + (uint64_t)llround(ticks);
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t onidev_clock_real_offset(void)
{
	int64_t best = 0, width = INT64_MAX;
	int i;

	/* REALTIME between two reads of MONOTONIC; the closest of the brackets wins. */
	for (i = 0; i < 8; i++) {
		int64_t before = clock_ns(CLOCK_MONOTONIC);
		int64_t real = clock_ns(CLOCK_REALTIME);
		int64_t after = clock_ns(CLOCK_MONOTONIC);

		if (after - before >= width)
			continue;
		width = after - before;
		best = real - (before + width / 2);
	}
	return best;
}
