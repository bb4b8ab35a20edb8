// SPDX-License-Identifier: MIT
/*
 * source_neurons.c - synthetic extracellular recordings with known spikes.
 *
 * Per channel: two or three units with different waveforms (about 1 ms),
 * Poisson firing with a 2 ms refractory period, coloured background noise and
 * slow local field potential. "snr" is calibrated when the source is made: the
 * extremum of a spike after a zero-phase 300-6000 Hz filter is snr times the
 * MAD sigma of background and field potential after the same filter. A unit's
 * scale is found from its own waveform, so every unit has that snr.
 * Owns its feeds; all of a channel's randomness comes from (seed, channel).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bandpass.h"
#include "rng.h"
#include "source.h"

#define MAX_UNITS	3
#define WAVE_LEN	64	/* 2.1 ms */
#define WAVE_TROUGH	21	/* sample of the unfiltered extremum */
#define WAVE_TAPER	8
#define REFRACTORY_S	0.002
#define NOISE_POLE	0.85f	/* corner near 800 Hz */
#define LFP_STEP	32	/* samples between field potential nodes */
#define LFP_POLES	3
#define LFP_SMOOTH	0.6f	/* second pole, keeps it out of the spike band */
#define CAL_LEN		131072
#define CAL_EDGE	3000
#define FILTER_MARGIN	1000

/* Field potential: slow processes whose sum falls off about as 1/f^1.5. */
static const struct {
	double corner_hz, share;
} lfp_pole[LFP_POLES] = { { 1, 0.80 }, { 5, 0.53 }, { 25, 0.28 } };

/* One term of a waveform: amplitude * gaussian, times in ms after the trough. */
struct bump {
	double amp, at, width;
};

static const struct bump shapes[MAX_UNITS][3] = {
	{ { -1.0, 0, 0.10 }, { 0.35, 0.38, 0.20 }, { 0, 0, 1 } },
	{ { -1.0, 0, 0.17 }, { 0.30, 0.65, 0.30 }, { 0, 0, 1 } },
	{ { -1.0, 0, 0.12 }, { 0.25, 0.42, 0.20 }, { 0.30, -0.28, 0.11 } },
};

struct neurons {
	struct source source;
	double snr, rate_hz, noise_uv, lfp_uv;
	unsigned int units;	/* 0: two or three, by channel */
	uint64_t seed;
	double noise_gain;	/* of the background generator */
	double sigma_uv;	/* calibrated, background and field potential */
};

struct background {
	struct rng rng;
	float noise_gain, coloured;
	float lfp_gain, lfp[LFP_POLES], keep[LFP_POLES], kick[LFP_POLES];
	float smooth, from, step;
	unsigned int phase;
};

struct unit {
	float wave[WAVE_LEN];
	unsigned int peak;	/* extremum of the filtered waveform */
	uint64_t next;		/* sample where the next spike's waveform begins */
};

struct channel {
	struct feed feed;
	uint64_t seed;
	double gain;		/* electrodes differ; everything scales */
	struct background bg;
	struct rng firing;
	double mean_free_s;	/* mean of the exponential part of an interval */
	unsigned int nunits;
	struct unit units[MAX_UNITS];
	float tail[WAVE_LEN];
	uint64_t spikes;
};

/* ---- background -------------------------------------------------------- */
static void lfp_node(struct background *b)
{
	float sum = 0, old = b->smooth;
	unsigned int i;

	for (i = 0; i < LFP_POLES; i++) {
		b->lfp[i] = b->keep[i] * b->lfp[i] + b->kick[i] * rng_normal(&b->rng);
		sum += b->lfp[i];
	}
	b->smooth += LFP_SMOOTH * (b->lfp_gain * sum - b->smooth);
	b->from = old;
	b->step = (b->smooth - old) / LFP_STEP;
}

static void background_start(struct background *b, const struct neurons *n, uint64_t seed,
			     double gain)
{
	unsigned int i;

	memset(b, 0, sizeof(*b));
	rng_init(&b->rng, seed, 1);
	b->noise_gain = (float)(n->noise_gain * gain);
	b->lfp_gain = (float)(n->lfp_uv * gain);
	for (i = 0; i < LFP_POLES; i++) {
		double keep = exp(-2 * M_PI * lfp_pole[i].corner_hz * LFP_STEP / RHD_RATE_HZ);

		b->keep[i] = (float)keep;
		b->kick[i] = (float)(lfp_pole[i].share * sqrt(1 - keep * keep));
		b->lfp[i] = (float)lfp_pole[i].share * rng_normal(&b->rng);
		b->smooth += b->lfp_gain * b->lfp[i];
	}
}

static void background_render(struct background *b, float *out, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		float w = rng_normal(&b->rng);

		if (b->phase == 0)
			lfp_node(b);
		b->coloured = NOISE_POLE * b->coloured + w;
		out[i] = b->noise_gain * (b->coloured + w) + b->from + b->step * (float)b->phase;
		b->phase = (b->phase + 1) % LFP_STEP;
	}
}

/* ---- calibration --------------------------------------------------------- */
static double measure_sigma(const struct neurons *n)
{
	double *x = malloc(CAL_LEN * sizeof(*x)), sigma;
	float block[SRC_BLOCK];
	struct background b;
	unsigned int i, k;

	if (!x)
		return NAN;
	background_start(&b, n, 0x0ca11b, 1);
	for (i = 0; i < CAL_LEN; i += SRC_BLOCK) {
		background_render(&b, block, SRC_BLOCK);
		for (k = 0; k < SRC_BLOCK; k++)
			x[i + k] = block[k];
	}
	bandpass_zero_phase(x, CAL_LEN);
	sigma = mad_sigma(x + CAL_EDGE, CAL_LEN - 2 * CAL_EDGE);
	free(x);
	return sigma;
}

/* noise_uv is the sigma of the background alone, as seen in the spike band. */
static int calibrate(struct neurons *n)
{
	double lfp = n->lfp_uv;

	n->noise_gain = 1;
	n->lfp_uv = 0;
	n->noise_gain = n->noise_uv / measure_sigma(n);
	n->lfp_uv = lfp;
	n->sigma_uv = measure_sigma(n);
	return isfinite(n->noise_gain) && isfinite(n->sigma_uv) ? 0 : -1;
}

static void unit_shape(struct unit *u, unsigned int shape, double stretch)
{
	unsigned int i, k;

	for (i = 0; i < WAVE_LEN; i++) {
		double ms = ((double)i - WAVE_TROUGH) * 1000 / RHD_RATE_HZ / stretch, v = 0;

		for (k = 0; k < 3; k++) {
			const struct bump *b = &shapes[shape][k];
			double z = (ms - b->at) / b->width;

			v += b->amp * exp(-0.5 * z * z);
		}
		if (i < WAVE_TAPER)
			v *= (double)i / WAVE_TAPER;
		if (WAVE_LEN - 1 - i < WAVE_TAPER)
			v *= (double)(WAVE_LEN - 1 - i) / WAVE_TAPER;
		u->wave[i] = (float)v;
	}
}

/* Scale so that the filtered extremum is @peak_uv (negative). */
static void unit_scale(struct unit *u, double peak_uv)
{
	double x[WAVE_LEN + 2 * FILTER_MARGIN] = { 0 };
	unsigned int i;

	for (i = 0; i < WAVE_LEN; i++)
		x[FILTER_MARGIN + i] = u->wave[i];
	bandpass_zero_phase(x, ARRAY_LEN(x));
	u->peak = 0;
	for (i = 0; i < WAVE_LEN; i++)
		if (x[FILTER_MARGIN + i] < x[FILTER_MARGIN + u->peak])
			u->peak = i;
	for (i = 0; i < WAVE_LEN; i++)
		u->wave[i] *= (float)(peak_uv / x[FILTER_MARGIN + u->peak]);
}

/* ---- the source ------------------------------------------------------------ */
static int neurons_option(struct neurons *n, const char *key, const char *value)
{
	double v;

	if (!strcmp(key, "snr"))
		return source_number(value, 0, 100, &n->snr);
	if (!strcmp(key, "rate"))
		return source_number(value, 0, 300, &n->rate_hz);
	if (!strcmp(key, "noise"))
		return source_number(value, 0.5, 200, &n->noise_uv);
	if (!strcmp(key, "lfp"))
		return source_number(value, 0, 1000, &n->lfp_uv);
	if (!strcmp(key, "units")) {
		if (source_number(value, 1, MAX_UNITS, &v))
			return -1;
		n->units = (unsigned int)v;
		return 0;
	}
	if (!strcmp(key, "seed")) {
		if (source_number(value, 0, 1e15, &v))
			return -1;
		n->seed = (uint64_t)v;
		return 0;
	}
	return -1;
}

static struct source *neurons_make(const char *opts, char *err, size_t errlen)
{
	struct neurons *n = calloc(1, sizeof(*n));
	char key[16], value[32];
	int rc;

	if (!n) {
		model_error(err, errlen, "out of memory");
		return NULL;
	}
	n->source.kind = &source_neurons;
	n->snr = 8;
	n->rate_hz = 20;
	n->noise_uv = 8;
	n->lfp_uv = 80;
	while ((rc = source_option(&opts, key, sizeof(key), value, sizeof(value))) > 0) {
		if (!neurons_option(n, key, value))
			continue;
		model_error(err, errlen, "neurons: option %s=%s is not understood: use snr, "
			    "rate (below 300), units (1-3), noise, lfp, seed", key, value);
		free(n);
		return NULL;
	}
	if (rc < 0 || calibrate(n) < 0) {
		model_error(err, errlen, rc < 0 ? "neurons: write options as key=value,..."
			    : "neurons: calibration failed, out of memory");
		free(n);
		return NULL;
	}
	return &n->source;
}

static void neurons_free(struct source *s)
{
	free(s);
}

static uint64_t next_spike(struct channel *c, double refractory_s)
{
	double s = refractory_s - c->mean_free_s * log(rng_uniform(&c->firing));

	return (uint64_t)(s * RHD_RATE_HZ + 0.5);
}

static void neurons_rewind(struct feed *f)
{
	struct channel *c = (struct channel *)f;
	const struct neurons *n = (const struct neurons *)f->source;
	unsigned int i;

	background_start(&c->bg, n, c->seed, c->gain);
	rng_init(&c->firing, c->seed, 2);
	memset(c->tail, 0, sizeof(c->tail));
	c->spikes = 0;
	for (i = 0; i < c->nunits; i++)
		c->units[i].next = n->rate_hz > 0 ? next_spike(c, 0) : UINT64_MAX;
}

static struct feed *neurons_open(struct source *s, unsigned int channel, unsigned int nth,
				 uint64_t seed)
{
	const struct neurons *n = (const struct neurons *)s;
	struct channel *c = calloc(1, sizeof(*c));
	struct rng r;
	unsigned int i, first;

	(void)nth;
	if (!c)
		return NULL;
	c->feed.source = s;
	c->feed.channel = channel;
	c->seed = (seed * 0x9e3779b97f4a7c15ull ^ n->seed) + channel;
	rng_init(&r, c->seed, 0);
	c->gain = 0.8 + 0.45 * rng_uniform(&r);
	c->nunits = n->units ? n->units : 2 + (unsigned int)(rng_next(&r) & 1);
	first = (unsigned int)(rng_next(&r) % MAX_UNITS);
	if (n->rate_hz > 0)
		c->mean_free_s = c->nunits / n->rate_hz - REFRACTORY_S;
	for (i = 0; i < c->nunits; i++) {
		struct unit *u = &c->units[i];

		unit_shape(u, (first + i) % MAX_UNITS, 0.9 + 0.2 * rng_uniform(&r));
		unit_scale(u, -n->snr * n->sigma_uv * c->gain);
	}
	neurons_rewind(&c->feed);
	return &c->feed;
}

static void neurons_close(struct feed *f)
{
	free(f);
}

static void add_spikes(struct channel *c, unsigned int which, uint64_t first, float *x,
		       spike_fn spike, void *ctx)
{
	const struct neurons *n = (const struct neurons *)c->feed.source;
	struct unit *u = &c->units[which];
	unsigned int i;

	while (u->next < first + SRC_BLOCK) {
		float *at = x + (u->next - first);

		for (i = 0; i < WAVE_LEN; i++)
			at[i] += u->wave[i];
		spike(ctx, u->next + u->peak, which, -n->snr * n->sigma_uv * c->gain);
		c->spikes++;
		u->next += next_spike(c, REFRACTORY_S);
	}
}

static void neurons_render(struct feed *f, uint64_t first, uint16_t *out, spike_fn spike,
			   void *ctx)
{
	struct channel *c = (struct channel *)f;
	float x[SRC_BLOCK + WAVE_LEN];
	unsigned int i;

	background_render(&c->bg, x, SRC_BLOCK);
	memset(x + SRC_BLOCK, 0, sizeof(c->tail));
	for (i = 0; i < WAVE_LEN; i++)
		x[i] += c->tail[i];
	for (i = 0; i < c->nunits; i++)
		add_spikes(c, i, first, x, spike, ctx);
	memcpy(c->tail, x + SRC_BLOCK, sizeof(c->tail));
	for (i = 0; i < SRC_BLOCK; i++)
		out[i] = code_clip(lrintf(x[i] * (float)(1 / UV_PER_CODE)) + CODE_ZERO);
}

static void neurons_status(const struct feed *f, FILE *out)
{
	const struct channel *c = (const struct channel *)f;
	const struct neurons *n = (const struct neurons *)f->source;

	fprintf(out, " units %u snr %.2f sigma_uv %.2f spikes %llu", c->nunits, n->snr,
		n->sigma_uv * c->gain, (unsigned long long)c->spikes);
}

const struct source_kind source_neurons = {
	.name = "neurons",
	.help = "neurons:snr=8,rate=20,units=3,noise=8,lfp=80,seed=0\n"
		"                           synthetic; rate in spikes/s per channel, uV",
	.make = neurons_make,
	.open = neurons_open,
	.rewind = neurons_rewind,
	.render = neurons_render,
	.close = neurons_close,
	.free = neurons_free,
	.status = neurons_status,
};
