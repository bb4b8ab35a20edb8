// SPDX-License-Identifier: MIT
/*
 * spike.c - filter, noise estimate and threshold state machine of spike.h.
 *
 * It owns the detector: a ring of unfiltered frames, filter state and one small
 * state machine per channel. No I/O, no locks, no allocation after spike_new().
 *
 * Filter, all integer and linear phase (constant delay of 122 frames, 4.1 ms):
 *	y = x - weighted sum of three running means of running means, over
 *	    39, 63 and 117 frames (high pass, 6 dB down at 300 Hz)
 *	z = y convolved with 13 symmetric taps (low pass, 6 dB down at 6 kHz)
 * It stands in for an offline zero-phase Butterworth band pass (2nd order,
 * 300-6000 Hz, run forward and back). The 31-frame mean with [1 2 1] that the
 * design notes recommend is good for isolated strong spikes, but near the
 * threshold it disagrees with that reference: on the locust recording (28.8 s,
 * 4 channels, resampled to 30 kHz, k = 4.5) the spikes agree with
 *	F1 .941 .979 .922 .727		31-frame mean and [1 2 1]
 *	F1 .996 .999 .991 .952		one mean of means over 43, 9 taps
 *	F1 .998 1.00 .999 1.00		this filter
 * (the last channel has 33 spikes, all within 15 % of its threshold). Lengths,
 * weights and taps are a least-squares fit to the reference, weighted with the
 * spectrum of that recording plus white noise; what is left is 1-2 % of sigma.
 * All means are recursive sums of integers, so nothing drifts and a restart is
 * exact. The weights add up to 1 within 4e-5. Full-scale input keeps every
 * product below 2^31; the bounds are beside the constants.
 *
 * Loops over channels are plain C over contiguous int32 rows: the compiler
 * turns them into SIMD code, on x86-64 for AVX-512, AVX2 and SSE2 with the
 * choice made at load time. Integers make all variants bit-exact;
 * tests/unit/test_rec_spike.c holds a direct-form reference against them.
 *
 * Noise: the median of |z| over the first seconds (prime_frames), exact, by
 * looking at them twice, so that their spikes are found too, only later. The
 * second look goes on at twice the pace of new frames until it has caught up:
 * at no time is there a burst of work that would hold up the recorder. Then a
 * sign-step estimate of the median every 16th frame: m moves up or down by
 * m/(0.857 N). N grows with the number of looks up to half a minute, which makes
 * it as accurate as a running median (< 0.5 % ripple) without storage; it falls
 * back to small N when the signs of one second are lopsided (gain changed,
 * amplifier settled). Eight seconds are the default because noise is not
 * stationary: on the locust recording the threshold of the first second alone is
 * 2-7 % too high for the rest, and a channel with small spikes loses a fifth of
 * them in its first 20 s against one threshold for the whole recording.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "spike.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Not with sanitizers: their start-up is not ready when the choice is made. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SIMD_CLONES __attribute__((target_clones("arch=skylake-avx512", "avx2", "default")))
#else
#define SIMD_CLONES
#endif

/*
 * Mean i: double sum over LEN frames (at most LEN^2 * 2^15), shifted to 21 bits,
 * times its weight; the three products stay below 2^31 in any combination.
 */
#define MEAN0_LEN	39
#define MEAN0_SHIFT	5
#define MEAN0_WEIGHT	417
#define MEAN1_LEN	63
#define MEAN1_SHIFT	6
#define MEAN1_WEIGHT	364
#define MEAN2_LEN	117
#define MEAN2_SHIFT	8
#define MEAN2_WEIGHT	(-180)
#define MEAN_SHIFT	10		/* of the weighted sum: y is in 1/32 of a unit */
#define HP_UNIT		5
#define MEANS		3

/* Low pass: the taps' magnitudes add up to 355, y has 22 bits. */
#define LP_HALF		6
#define LP_LEN		(2 * LP_HALF + 1)
#define LP_C0		115
#define LP_C1		80
#define LP_C2		20
#define LP_C3		(-9)
#define LP_C4		(-8)
#define LP_C5		(-1)
#define LP_C6		2
#define LP_GAIN		(LP_C0 + 2 * (LP_C1 + LP_C2 + LP_C3 + LP_C4 + LP_C5 + LP_C6))

/*
 * z of 1 input unit: a spike then has the height that the reference filter gives
 * it (the taps' own sum is 1.9 % more, they droop a little within the band).
 */
#define Z_GAIN		(0.9815 * (LP_GAIN << HP_UNIT))

#define RAW_ROWS	512		/* > 2 delays + search + snippet, power of two */
#define SUM_ROWS	128		/* > longest mean, power of two */
#define HP_ROWS		16		/* > LP_LEN, power of two */
#define TILE		16		/* channels tested for a crossing at once */

#define NOISE_EVERY	16		/* frames between two looks at the noise */
#define KEPT_SPARE	4096	/* frames; kept ones that may be put in before some are taken out */
#define NOISE_FRAC	8		/* fraction bits of the median */
#define NOISE_MIN	((int64_t)(Z_GAIN * 0.25) << NOISE_FRAC)
#define NOISE_FAST	500		/* looks; weight after a change of level */
#define NOISE_SLOW	60000		/* looks; 32 s at 30 kHz */
#define MAD_TO_SIGMA	0.6745

struct channel {
	int64_t median;		/* of |z|, NOISE_FRAC fraction bits; 0: not known */
	uint32_t looks;		/* N of the sign step */
	uint16_t window;	/* looks in the present second */
	uint16_t above;		/* of these, |z| above the median */
	int64_t search_end;	/* last frame of an extremum search; -1: none */
	int64_t best_at;
	int32_t best;
	int64_t locked;		/* no crossing counts before this frame */
	int64_t tokens;		/* rate limit, in spikes * rate_hz */
	int64_t tokens_at;
	uint64_t spikes;
};

struct pending {
	int64_t at;		/* frame of the extremum */
	int64_t due;		/* emitted when this frame is there */
	uint32_t channel;
	int32_t peak;
	int32_t threshold;
	uint16_t sigma;
};

struct blank {
	uint64_t from, to;	/* sample numbers */
};

struct spike_detector {
	struct spike_config cfg;
	spike_fn fn;
	void *ctx;
	unsigned int ch;	/* channels rounded up to TILE */

	/* Frame numbers below are counted from the last restart. */
	int64_t t;		/* frames taken */
	uint64_t base;		/* sample number of frame 0 */
	uint64_t next;		/* sample number expected */
	bool started;		/* the filter has frames; not in a blank */
	bool fresh;		/* nothing before counts: not after a blank */
	bool in_blank;
	bool ended;		/* by spike_flush(): the next frame begins anew */

	/* Ring: intervals that some frame to come may be in; the first look is ahead. */
	struct blank *blank;
	size_t blank_in, blank_out, blank_look;	/* ever put in, behind us, behind the first look */

	int16_t *raw;		/* RAW_ROWS x ch */
	int32_t *sum[MEANS];	/* SUM_ROWS x ch: history of the inner sums */
	int32_t *inner[MEANS];	/* ch: running sums */
	int32_t *outer[MEANS];	/* ch: running sums of these */
	int32_t *mean;		/* ch: weighted sum of the means */
	int32_t *hp;		/* HP_ROWS x ch */
	int32_t *z;		/* ch */
	int32_t *limit;		/* ch: threshold, INT32_MAX: channel not armed */
	uint8_t *hit;		/* ch / TILE */
	int16_t *repeat;	/* ch: the last frame, fed again at the end */

	struct channel *chan;
	uint32_t *searching;	/* channels with a search under way */
	unsigned int n_searching;
	struct pending *queue;	/* sorted by due, then by arrival */
	unsigned int n_queue, queue_max;

	/* Frames kept for the second look, NULL after it; kept_in - kept_out <= kept_max. */
	int16_t *kept;		/* ring of kept_max x channels */
	size_t kept_max;
	size_t kept_in, kept_out;	/* frames ever put in, taken out */
	uint64_t kept_base;	/* sample number of frame 0 */
	bool primed;
	int32_t *looks;		/* channels x looks_max, until primed */
	size_t looks_max, n_looks;

	int64_t stream_tokens, stream_tokens_at;
	struct spike_stats st;
};

void spike_config_default(struct spike_config *cfg, unsigned int channels, unsigned int rate_hz)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->channels = channels;
	cfg->rate_hz = rate_hz;
	cfg->n_pre = 8;
	cfg->n_post = 32;
	cfg->align_frames = rate_hz / 2000;
	cfg->dead_frames = rate_hz / 1000;
	cfg->channel_rate = 300;
	cfg->stream_rate = 20000;
	cfg->prime_frames = 8 * rate_hz;
	cfg->k = 4.5;
	cfg->polarity = SPIKE_NEGATIVE;
}

static bool config_ok(const struct spike_config *c)
{
	unsigned int snippet = c->n_pre + c->n_post;

	return c->channels && c->channels <= 65536 && c->rate_hz >= 1000 && c->rate_hz <= 200000 &&
	       c->n_post && c->n_pre <= 64 && snippet <= SPIKE_MAX_SNIPPET &&
	       c->align_frames <= 64 && c->dead_frames <= c->rate_hz &&
	       c->prime_frames >= 2 * NOISE_EVERY && isfinite(c->k) && c->k > 0 && c->k <= 100 &&
	       isfinite(c->fixed) && c->fixed >= 0 && c->fixed <= 32768 &&
	       c->polarity <= SPIKE_BOTH;
}

static void *rows(size_t n, size_t size)
{
	size_t bytes = (n * size + 63) & ~(size_t)63;
	void *p = aligned_alloc(64, bytes);

	if (p)
		memset(p, 0, bytes);
	return p;
}

struct spike_detector *spike_new(const struct spike_config *cfg, spike_fn fn, void *ctx)
{
	struct spike_detector *d;
	unsigned int ch;
	bool ok = true;

	if (!config_ok(cfg)) {
		errno = EINVAL;
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->cfg = *cfg;
	d->fn = fn;
	d->ctx = ctx;
	ch = (cfg->channels + TILE - 1) / TILE * TILE;
	d->ch = ch;
	d->raw = rows((size_t)RAW_ROWS * ch, sizeof(*d->raw));
	for (int i = 0; i < MEANS; i++) {
		d->sum[i] = rows((size_t)SUM_ROWS * ch, sizeof(*d->sum[i]));
		d->inner[i] = rows(ch, sizeof(*d->inner[i]));
		d->outer[i] = rows(ch, sizeof(*d->outer[i]));
		ok = ok && d->sum[i] && d->inner[i] && d->outer[i];
	}
	d->hp = rows((size_t)HP_ROWS * ch, sizeof(*d->hp));
	d->mean = rows(ch, sizeof(*d->mean));
	d->z = rows(ch, sizeof(*d->z));
	d->limit = rows(ch, sizeof(*d->limit));
	d->hit = rows(ch / TILE, 1);
	d->repeat = rows(ch, sizeof(*d->repeat));
	d->chan = calloc(ch, sizeof(*d->chan));
	d->searching = calloc(ch, sizeof(*d->searching));
	/*
	 * A channel can have one spike per dead time, or per search when the dead
	 * time is shorter, waiting for its snippet.
	 */
	d->queue_max = ch * ((SPIKE_MAX_SNIPPET + cfg->align_frames) /
			     (cfg->dead_frames ? cfg->dead_frames : 1) + 2);
	d->queue = calloc(d->queue_max, sizeof(*d->queue));
	d->kept_max = cfg->prime_frames + KEPT_SPARE;
	d->kept = malloc(d->kept_max * cfg->channels * sizeof(*d->kept));
	d->blank = malloc(SPIKE_MAX_BLANKS * sizeof(*d->blank));
	d->looks_max = cfg->prime_frames / NOISE_EVERY + 1;
	d->looks = malloc(d->looks_max * cfg->channels * sizeof(*d->looks));
	if (!ok || !d->raw || !d->hp || !d->mean || !d->z || !d->limit ||
	    !d->hit || !d->repeat || !d->chan || !d->searching || !d->queue || !d->kept || !d->looks ||
	    !d->blank) {
		spike_free(d);
		errno = ENOMEM;
		return NULL;
	}
	return d;
}

void spike_free(struct spike_detector *d)
{
	if (!d)
		return;
	free(d->raw);
	for (int i = 0; i < MEANS; i++) {
		free(d->sum[i]);
		free(d->inner[i]);
		free(d->outer[i]);
	}
	free(d->hp);
	free(d->mean);
	free(d->z);
	free(d->limit);
	free(d->hit);
	free(d->repeat);
	free(d->chan);
	free(d->searching);
	free(d->queue);
	free(d->kept);
	free(d->looks);
	free(d->blank);
	free(d);
}

static int16_t *raw_row(const struct spike_detector *d, int64_t t)
{
	return d->raw + (size_t)(t & (RAW_ROWS - 1)) * d->ch;
}

static int32_t *sum_row(const struct spike_detector *d, int i, int64_t t)
{
	return d->sum[i] + (size_t)(t & (SUM_ROWS - 1)) * d->ch;
}

static int32_t *hp_row(const struct spike_detector *d, int64_t t)
{
	return d->hp + (size_t)(t & (HP_ROWS - 1)) * d->ch;
}

/* --- the filter: one frame, all channels ----------------------------------- */

/*
 * One mean of a mean: @x_new enters, @x_old leaves. Adds its weighted value to
 * @mean.
 */
SIMD_CLONES
static void mean_step(unsigned int n, const int16_t *restrict x_new,
		      const int16_t *restrict x_old, int32_t *restrict inner,
		      int32_t *restrict outer, const int32_t *restrict sum_old,
		      int32_t *restrict sum_new, int shift, int32_t weight,
		      int32_t *restrict mean)
{
	for (unsigned int c = 0; c < n; c++) {
		int32_t s = inner[c] + x_new[c] - x_old[c];
		int32_t o = outer[c] + s - sum_old[c];

		inner[c] = s;
		sum_new[c] = s;
		outer[c] = o;
		mean[c] += weight * (o >> shift);
	}
}

SIMD_CLONES
static void high_pass(unsigned int n, const int16_t *restrict x, const int32_t *restrict mean,
		      int32_t *restrict y)
{
	for (unsigned int c = 0; c < n; c++)
		y[c] = x[c] * (1 << HP_UNIT) - (mean[c] >> MEAN_SHIFT);
}

/* @y: rows t-12 ... t; z is centred on the seventh. */
SIMD_CLONES
static void low_pass(unsigned int n, int32_t *restrict z, const int32_t *const y[LP_LEN])
{
	const int32_t *a0 = y[0], *a1 = y[1], *a2 = y[2], *a3 = y[3], *a4 = y[4], *a5 = y[5];
	const int32_t *mid = y[6], *b5 = y[7], *b4 = y[8], *b3 = y[9], *b2 = y[10];
	const int32_t *b1 = y[11], *b0 = y[12];

	for (unsigned int c = 0; c < n; c++)
		z[c] = LP_C0 * mid[c] + LP_C1 * (a5[c] + b5[c]) + LP_C2 * (a4[c] + b4[c]) +
		       LP_C3 * (a3[c] + b3[c]) + LP_C4 * (a2[c] + b2[c]) +
		       LP_C5 * (a1[c] + b1[c]) + LP_C6 * (a0[c] + b0[c]);
}

/* The sign that makes a spike positive: -1, 1, or 0 for the magnitude. */
static inline int32_t oriented(int32_t z, int32_t sign)
{
	return sign ? z * sign : abs(z);
}

/* hit[tile] becomes non-zero when one of its channels is beyond its limit. */
SIMD_CLONES
static void find_hits(unsigned int n, const int32_t *restrict z, const int32_t *restrict limit,
		      int32_t sign, uint8_t *restrict hit)
{
	for (unsigned int tile = 0; tile < n / TILE; tile++) {
		const int32_t *zt = z + tile * TILE;
		const int32_t *lt = limit + tile * TILE;
		int32_t any = 0;

		for (unsigned int c = 0; c < TILE; c++) {
			int32_t v = sign ? zt[c] * sign : (zt[c] < 0 ? -zt[c] : zt[c]);

			any |= v > lt[c];
		}
		hit[tile] = any != 0;
	}
}

static int32_t polarity_sign(enum spike_polarity p)
{
	return p == SPIKE_NEGATIVE ? -1 : p == SPIKE_POSITIVE ? 1 : 0;
}

static const struct {
	int32_t len;
	int shift;
	int32_t weight;
} means[MEANS] = {
	{ MEAN0_LEN, MEAN0_SHIFT, MEAN0_WEIGHT },
	{ MEAN1_LEN, MEAN1_SHIFT, MEAN1_WEIGHT },
	{ MEAN2_LEN, MEAN2_SHIFT, MEAN2_WEIGHT },
};

/* Delay of the longest mean; the shorter ones are fed later to share it. */
#define CENTER		(MEAN2_LEN - 1)

/* d->mean becomes the weighted sum of the means around frame t - CENTER. */
static void filter_mean(struct spike_detector *d, int64_t t)
{
	memset(d->mean, 0, d->ch * sizeof(*d->mean));
	for (int i = 0; i < MEANS; i++) {
		int64_t in = t - (MEAN2_LEN - means[i].len);
		int64_t old = t - means[i].len;

		mean_step(d->ch, raw_row(d, in), raw_row(d, in - means[i].len), d->inner[i],
			  d->outer[i], sum_row(d, i, old), sum_row(d, i, t), means[i].shift,
			  means[i].weight, d->mean);
	}
}

/* As if @first had been there for ever: the filter then rests near zero. */
static void filter_restart(struct spike_detector *d, const int16_t *first)
{
	for (unsigned int r = 0; r < RAW_ROWS; r++)
		memcpy(d->raw + (size_t)r * d->ch, first, d->cfg.channels * sizeof(*first));
	for (int i = 0; i < MEANS; i++) {
		int32_t len = means[i].len;

		for (unsigned int c = 0; c < d->cfg.channels; c++) {
			d->inner[i][c] = len * first[c];
			d->outer[i][c] = len * len * first[c];
		}
		for (unsigned int r = 0; r < SUM_ROWS; r++)
			memcpy(d->sum[i] + (size_t)r * d->ch, d->inner[i],
			       d->ch * sizeof(*d->inner[i]));
	}
	/* what is left of the rounding at rest: the same for all rows */
	filter_mean(d, 0);
	high_pass(d->ch, raw_row(d, 0), d->mean, d->hp);
	for (unsigned int r = 1; r < HP_ROWS; r++)
		memcpy(d->hp + (size_t)r * d->ch, d->hp, d->ch * sizeof(*d->hp));
	d->t = 0;
}

/* Take frame d->t into the filter; d->z is then that of frame t - SPIKE_DELAY. */
static void filter_frame(struct spike_detector *d, const int16_t *frame)
{
	const int32_t *y[LP_LEN];
	int64_t t = d->t;

	memcpy(raw_row(d, t), frame, d->cfg.channels * sizeof(*frame));
	filter_mean(d, t);
	high_pass(d->ch, raw_row(d, t - CENTER), d->mean, hp_row(d, t));
	for (int i = 0; i < LP_LEN; i++)
		y[i] = hp_row(d, t - (LP_LEN - 1) + i);
	low_pass(d->ch, d->z, y);
}

/* --- noise ------------------------------------------------------------------- */

static void set_limit(struct spike_detector *d, unsigned int c)
{
	const struct spike_config *cfg = &d->cfg;
	double limit;

	if (cfg->fixed > 0)
		limit = cfg->fixed * Z_GAIN;
	else
		limit = cfg->k * (double)d->chan[c].median / (1 << NOISE_FRAC) / MAD_TO_SIGMA;
	d->limit[c] = limit < INT32_MAX ? (int32_t)limit : INT32_MAX;
}

static void noise_step(struct spike_detector *d, unsigned int c)
{
	struct channel *ch = &d->chan[c];
	int64_t mag = (int64_t)llabs((long long)d->z[c]) << NOISE_FRAC;
	/* 0.857 = 2 * m * density of |N(0, sigma)| at its median m: the best gain */
	int64_t step = ch->median * 1000 / ((int64_t)ch->looks * 857) + 1;

	if (mag > ch->median) {
		ch->median += step;
		ch->above++;
	} else {
		ch->median -= step;
		if (ch->median < NOISE_MIN)
			ch->median = NOISE_MIN;
	}
	if (ch->looks < NOISE_SLOW)
		ch->looks++;
	if (++ch->window == d->cfg.rate_hz / NOISE_EVERY) {
		/* 10 % off is more than eight standard deviations of a fair coin */
		if (ch->above > ch->window * 6u / 10 || ch->above < ch->window * 4u / 10)
			ch->looks = NOISE_FAST;
		ch->window = 0;
		ch->above = 0;
	}
	set_limit(d, c);
}

/* The k-th smallest of @n values, which it reorders (quickselect). */
static int32_t select_kth(int32_t *v, size_t n, size_t k)
{
	size_t lo = 0, hi = n - 1;

	while (lo < hi) {
		int32_t pivot = v[lo + (hi - lo) / 2];
		size_t i = lo, j = hi;

		for (;;) {
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i >= j)
				break;
			int32_t t = v[i];

			v[i++] = v[j];
			v[j--] = t;
		}
		/* v[lo...j] <= pivot <= v[j+1...hi] */
		if (k <= j)
			hi = j;
		else
			lo = j + 1;
	}
	return v[lo];
}

/* --- spikes ------------------------------------------------------------------ */

static int16_t to_unit(double z)
{
	double v = rint(z / Z_GAIN);

	return v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : (int16_t)v;
}

/* Refill a bucket up to one second's worth and take one spike out of it. */
static bool take_token(int64_t *tokens, int64_t *at, int64_t now, int64_t rate, int64_t hz)
{
	if (!rate)
		return true;
	*tokens += (now - *at) * rate;
	if (*tokens > rate * hz)
		*tokens = rate * hz;
	*at = now;
	if (*tokens < hz)
		return false;
	*tokens -= hz;
	return true;
}

static void emit(struct spike_detector *d, const struct pending *p, int64_t last)
{
	struct channel *ch = &d->chan[p->channel];
	unsigned int n = d->cfg.n_pre + d->cfg.n_post;
	int16_t wave[SPIKE_MAX_SNIPPET];
	struct spike_event ev = {
		.sample = d->base + (uint64_t)p->at,
		.channel = p->channel,
		.peak = to_unit(p->peak),
		.threshold = to_unit(p->threshold),
		.noise_sigma = p->sigma,
		.wave = wave,
	};

	if (!take_token(&ch->tokens, &ch->tokens_at, p->at, d->cfg.channel_rate, d->cfg.rate_hz) ||
	    !take_token(&d->stream_tokens, &d->stream_tokens_at, p->at, d->cfg.stream_rate,
			d->cfg.rate_hz)) {
		d->st.guarded++;
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		int64_t t = p->at - d->cfg.n_pre + i;

		if (t < 0 || t > last) {
			ev.flags |= SPIKE_TRUNCATED;
			t = t < 0 ? 0 : last;
		}
		wave[i] = raw_row(d, t)[p->channel];
		if (wave[i] == INT16_MAX || wave[i] == INT16_MIN)
			ev.flags |= SPIKE_SATURATED;
	}
	ch->spikes++;
	d->st.spikes++;
	d->fn(d->ctx, &ev);
}

static void emit_due(struct spike_detector *d, int64_t now, int64_t last)
{
	unsigned int done = 0;

	while (done < d->n_queue && d->queue[done].due <= now)
		emit(d, &d->queue[done++], last);
	if (!done)
		return;
	d->n_queue -= done;
	memmove(d->queue, d->queue + done, d->n_queue * sizeof(*d->queue));
}

static void queue_spike(struct spike_detector *d, uint32_t c)
{
	struct channel *ch = &d->chan[c];
	double sigma = (double)ch->median / (1 << NOISE_FRAC) / MAD_TO_SIGMA / Z_GAIN;
	struct pending p = {
		.at = ch->best_at,
		.due = ch->best_at + d->cfg.n_post,
		.channel = c,
		.peak = ch->best,
		.threshold = d->limit[c],
		.sigma = sigma * SPIKE_SIGMA_FRAC < UINT16_MAX ?
			 (uint16_t)lrint(sigma * SPIKE_SIGMA_FRAC) : UINT16_MAX,
	};
	unsigned int i;

	ch->search_end = -1;
	ch->locked = ch->best_at + d->cfg.dead_frames;
	if (d->n_queue == d->queue_max) {
		d->st.guarded++;
		return;
	}
	for (i = d->n_queue; i && d->queue[i - 1].due > p.due; i--)
		d->queue[i] = d->queue[i - 1];
	d->queue[i] = p;
	d->n_queue++;
}

/* Follow the searches that are under way. @t: the frame that d->z belongs to. */
static void follow_searches(struct spike_detector *d, int64_t t, int32_t sign)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < d->n_searching; i++) {
		uint32_t c = d->searching[i];
		struct channel *ch = &d->chan[c];
		int32_t z = d->z[c];

		if (oriented(z, sign) > oriented(ch->best, sign)) {
			ch->best = z;
			ch->best_at = t;
		}
		if (t >= ch->search_end)
			queue_spike(d, c);
		else
			d->searching[kept++] = c;
	}
	d->n_searching = kept;
}

static void start_searches(struct spike_detector *d, int64_t t, int32_t sign)
{
	for (unsigned int tile = 0; tile < d->ch / TILE; tile++) {
		if (!d->hit[tile])
			continue;
		for (uint32_t c = tile * TILE; c < (tile + 1) * TILE; c++) {
			struct channel *ch = &d->chan[c];

			if (c >= d->cfg.channels || ch->search_end >= 0 || t < ch->locked ||
			    oriented(d->z[c], sign) <= d->limit[c])
				continue;
			ch->best = d->z[c];
			ch->best_at = t;
			ch->search_end = t + d->cfg.align_frames;
			d->searching[d->n_searching++] = c;
		}
	}
}

static void detect_frame(struct spike_detector *d, int32_t sign)
{
	int64_t t = d->t - SPIKE_DELAY;

	if (t < 0)
		return;
	if (d->n_searching)
		follow_searches(d, t, sign);
	find_hits(d->ch, d->z, d->limit, sign, d->hit);
	start_searches(d, t, sign);
	if (t % NOISE_EVERY == 0 && d->t >= 2 * SPIKE_DELAY)
		for (unsigned int c = 0; c < d->cfg.channels; c++)
			noise_step(d, c);
}

static void restart(struct spike_detector *d, const int16_t *first, uint64_t number)
{
	filter_restart(d, first);
	d->base = number;
	d->next = number;
	d->n_searching = 0;
	d->n_queue = 0;
	for (unsigned int c = 0; c < d->cfg.channels; c++) {
		d->chan[c].search_end = -1;
		d->chan[c].locked = 0;
		d->chan[c].tokens = (int64_t)d->cfg.channel_rate * d->cfg.rate_hz;
		d->chan[c].tokens_at = 0;
	}
	d->stream_tokens = (int64_t)d->cfg.stream_rate * d->cfg.rate_hz;
	d->stream_tokens_at = 0;
	d->started = true;
	d->fresh = false;
}

/* After a blank: everything anew but what the rate limits have counted. */
static void resume(struct spike_detector *d, const int16_t *first, uint64_t number)
{
	filter_restart(d, first);
	d->base = number;
	d->n_searching = 0;
	d->n_queue = 0;
	for (unsigned int c = 0; c < d->cfg.channels; c++) {
		d->chan[c].search_end = -1;
		d->chan[c].locked = 0;
		d->chan[c].tokens_at = 0;
	}
	d->stream_tokens_at = 0;
	d->started = true;
}

/* Is frame @number in an interval? @at: the first one that is not behind us. */
static bool in_blank(const struct spike_detector *d, size_t *at, uint64_t number)
{
	while (*at < d->blank_in && d->blank[*at % SPIKE_MAX_BLANKS].to <= number)
		(*at)++;
	return *at < d->blank_in && d->blank[*at % SPIKE_MAX_BLANKS].from <= number;
}

/*
 * Finish everything pending: the filter sees the last frame repeated until the
 * real one has passed its delay and every search has ended.
 */
static void drain(struct spike_detector *d)
{
	int32_t sign = polarity_sign(d->cfg.polarity);
	int64_t end = d->t;
	int64_t last = end - 1;

	if (!d->started)
		return;
	d->started = false;
	if (!end)
		return;
	memcpy(d->repeat, raw_row(d, last), d->ch * sizeof(*d->repeat));
	for (int i = 0; i < SPIKE_DELAY; i++) {
		filter_frame(d, d->repeat);
		detect_frame(d, sign);
		d->t++;
	}
	for (unsigned int i = 0; i < d->n_searching; i++)
		queue_spike(d, d->searching[i]);
	d->n_searching = 0;
	emit_due(d, INT64_MAX, last);
}

/* Frames that follow each other, noise known. */
static void run(struct spike_detector *d, const int16_t *frames, size_t n)
{
	int32_t sign = polarity_sign(d->cfg.polarity);

	for (size_t i = 0; i < n; i++, d->next++) {
		const int16_t *frame = frames + i * d->cfg.channels;

		if (in_blank(d, &d->blank_out, d->next)) {
			if (!d->in_blank)
				d->st.blanks++;
			d->in_blank = true;
			d->st.blanked++;
			drain(d);
			continue;
		}
		d->in_blank = false;
		if (!d->started && d->fresh)
			restart(d, frame, d->next);
		else if (!d->started)
			resume(d, frame, d->next);
		filter_frame(d, frame);
		detect_frame(d, sign);
		d->t++;
		if (d->n_queue)
			emit_due(d, d->t - 1, d->t - 1);
	}
	d->st.frames += n;
}

static int16_t *kept_frame(const struct spike_detector *d, size_t i)
{
	return d->kept + i % d->kept_max * d->cfg.channels;
}

/* First look at a frame: only its noise, and only outside the blanks. */
static void look(struct spike_detector *d, const int16_t *frame, uint64_t number)
{
	if (in_blank(d, &d->blank_look, number)) {
		d->started = false;
		return;
	}
	if (!d->started) {
		filter_restart(d, frame);
		d->started = true;
	}
	filter_frame(d, frame);
	if (++d->t <= 2 * SPIKE_DELAY || d->t % NOISE_EVERY || d->n_looks == d->looks_max)
		return;
	for (unsigned int c = 0; c < d->cfg.channels; c++)
		d->looks[c * d->looks_max + d->n_looks] = abs(d->z[c]);
	d->n_looks++;
}

/* The next frame has this number, and nothing before it counts. */
static void begin_at(struct spike_detector *d, uint64_t number)
{
	d->started = false;
	d->fresh = true;
	d->next = number;
}

/* Know the noise of the frames kept so far; the second look begins. */
static void prime(struct spike_detector *d)
{
	size_t n = d->n_looks;

	for (unsigned int c = 0; c < d->cfg.channels; c++) {
		struct channel *p = &d->chan[c];

		p->median = NOISE_MIN;
		if (n) {
			p->median = (int64_t)select_kth(d->looks + c * d->looks_max, n, n / 2) <<
				    NOISE_FRAC;
		}
		if (p->median < NOISE_MIN)
			p->median = NOISE_MIN;
		p->looks = n > NOISE_FAST ? (uint32_t)n : NOISE_FAST;
		set_limit(d, c);
	}
	for (unsigned int c = d->cfg.channels; c < d->ch; c++)
		d->limit[c] = INT32_MAX;
	free(d->looks);
	d->looks = NULL;
	d->primed = true;
	begin_at(d, d->kept_base);
}

/* Second look at up to @n kept frames; the memory goes with the last of them. */
static void catch_up(struct spike_detector *d, size_t n)
{
	while (n && d->kept_out < d->kept_in) {
		size_t have = d->kept_in - d->kept_out;
		size_t part = d->kept_max - d->kept_out % d->kept_max;

		if (part > have)
			part = have;
		if (part > n)
			part = n;
		run(d, kept_frame(d, d->kept_out), part);
		d->kept_out += part;
		n -= part;
	}
	if (d->kept_out < d->kept_in)
		return;
	free(d->kept);
	d->kept = NULL;
}

/* No further frame joins the kept ones. */
static void finish_kept(struct spike_detector *d)
{
	if (!d->kept || !d->kept_in)
		return;
	if (!d->primed)
		prime(d);
	catch_up(d, SIZE_MAX);
}

/*
 * Put frames behind the kept ones, then take as many and as many again from the
 * front. Cutting at the moment of knowing the noise makes the result
 * independent of how the frames come. Returns those taken.
 */
static size_t keep(struct spike_detector *d, const int16_t *frames, size_t n, uint64_t first)
{
	size_t room = d->primed ? KEPT_SPARE : d->cfg.prime_frames - d->kept_in;

	if (!d->kept_in)
		d->kept_base = first;
	if (n > room)
		n = room;
	for (size_t i = 0; i < n; i++) {
		const int16_t *frame = frames + i * d->cfg.channels;

		memcpy(kept_frame(d, d->kept_in), frame, d->cfg.channels * sizeof(*frame));
		d->kept_in++;
		if (!d->primed)
			look(d, frame, d->kept_base + d->kept_in - 1);
	}
	if (d->primed)
		catch_up(d, 2 * n);
	else if (d->kept_in == d->cfg.prime_frames)
		prime(d);
	return n;
}

void spike_push(struct spike_detector *d, const int16_t *frames, size_t n, uint64_t first)
{
	/* A gap so early: what is there has to do. */
	if (d->kept && d->kept_in && first != d->kept_base + d->kept_in)
		finish_kept(d);
	while (n && d->kept) {
		size_t took = keep(d, frames, n, first);

		frames += took * d->cfg.channels;
		first += took;
		n -= took;
	}
	if (!n)
		return;
	if (d->primed && !d->ended && first != d->next) {
		drain(d);
		d->st.restarts++;
		begin_at(d, first);
	}
	if (d->ended)
		begin_at(d, first);
	d->ended = false;
	run(d, frames, n);
}

void spike_blank(struct spike_detector *d, uint64_t from, uint64_t to)
{
	/* the first look is ahead of the other one, so what that has passed nobody needs */
	size_t waiting = d->blank_in - d->blank_out;
	struct blank *last = waiting ? &d->blank[(d->blank_in - 1) % SPIKE_MAX_BLANKS] : NULL;

	if (to <= from)
		return;
	if (d->primed && !d->ended && d->next > from)
		d->st.late += (d->next < to ? d->next : to) - from;
	if (last && from < last->from)
		from = last->from;
	if (to <= from)
		return;
	if (last && (from <= last->to || waiting == SPIKE_MAX_BLANKS)) {
		if (to > last->to)
			last->to = to;
		return;
	}
	d->blank[d->blank_in++ % SPIKE_MAX_BLANKS] = (struct blank){ .from = from, .to = to };
}

void spike_flush(struct spike_detector *d)
{
	finish_kept(d);
	drain(d);
	d->ended = true;
}

void spike_get_stats(const struct spike_detector *d, struct spike_stats *st)
{
	*st = d->st;
	if (d->kept)
		st->frames += d->kept_in - d->kept_out;
}

double spike_sigma(const struct spike_detector *d, unsigned int channel)
{
	if (channel >= d->cfg.channels)
		return 0;
	return (double)d->chan[channel].median / (1 << NOISE_FRAC) / MAD_TO_SIGMA / Z_GAIN;
}

uint64_t spike_count(const struct spike_detector *d, unsigned int channel)
{
	return channel < d->cfg.channels ? d->chan[channel].spikes : 0;
}
