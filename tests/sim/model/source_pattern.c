// SPDX-License-Identifier: MIT
/*
 * source_pattern.c - test patterns: ramp, flat, sine.
 *
 * Pure functions of sample number and channel, so that a recording can be
 * checked sample by sample. They stand for the chip's output: its filters do
 * not touch them.
 */
#include <math.h>
#include <stdlib.h>

#include "source.h"

struct pattern {
	struct source source;
	double freq_hz, amp_uv;
};

static struct source *pattern_make(const struct source_kind *kind, const char *opts,
				   char *err, size_t errlen)
{
	struct pattern *p = calloc(1, sizeof(*p));
	char key[16], value[32];
	int rc;

	if (!p) {
		model_error(err, errlen, "out of memory");
		return NULL;
	}
	p->source.kind = kind;
	p->freq_hz = 10;
	p->amp_uv = 200;
	while ((rc = source_option(&opts, key, sizeof(key), value, sizeof(value))) > 0) {
		if (kind == &source_sine && key[0] == 'f' &&
		    !source_number(value, 0.001, RHD_RATE_HZ / 2, &p->freq_hz))
			continue;
		if (kind == &source_sine && key[0] == 'a' &&
		    !source_number(value, 0, 6389, &p->amp_uv))
			continue;
		break;
	}
	if (rc) {
		model_error(err, errlen, "%s: bad option near \"%s\"", kind->name, opts);
		free(p);
		return NULL;
	}
	return &p->source;
}

static struct source *ramp_make(const char *opts, char *err, size_t errlen)
{
	return pattern_make(&source_ramp, opts, err, errlen);
}

static struct source *flat_make(const char *opts, char *err, size_t errlen)
{
	return pattern_make(&source_flat, opts, err, errlen);
}

static struct source *sine_make(const char *opts, char *err, size_t errlen)
{
	return pattern_make(&source_sine, opts, err, errlen);
}

static struct feed *pattern_open(struct source *s, unsigned int channel, unsigned int nth,
				 uint64_t seed)
{
	struct feed *f = calloc(1, sizeof(*f));

	(void)nth;
	(void)seed;
	if (f) {
		f->source = s;
		f->channel = channel;
	}
	return f;
}

static void pattern_rewind(struct feed *f)
{
	(void)f;	/* no state */
}

static void pattern_close(struct feed *f)
{
	free(f);
}

static void pattern_free(struct source *s)
{
	free(s);
}

static void ramp_render(struct feed *f, uint64_t first, uint16_t *out, spike_fn spike, void *ctx)
{
	unsigned int i;

	(void)spike;
	(void)ctx;
	for (i = 0; i < SRC_BLOCK; i++)
		out[i] = (uint16_t)((first + i) * RHD_CHANNELS + f->channel);
}

static void flat_render(struct feed *f, uint64_t first, uint16_t *out, spike_fn spike, void *ctx)
{
	unsigned int i;

	(void)f;
	(void)first;
	(void)spike;
	(void)ctx;
	for (i = 0; i < SRC_BLOCK; i++)
		out[i] = CODE_ZERO;
}

static void sine_render(struct feed *f, uint64_t first, uint16_t *out, spike_fn spike, void *ctx)
{
	const struct pattern *p = (const struct pattern *)f->source;
	unsigned int i;

	(void)spike;
	(void)ctx;
	for (i = 0; i < SRC_BLOCK; i++) {
		double cycles = (double)(first + i) * p->freq_hz / RHD_RATE_HZ;
		double v = p->amp_uv * sin(2 * M_PI * (cycles - floor(cycles)));

		out[i] = code_clip(CODE_ZERO + lrint(v / UV_PER_CODE));
	}
}

const struct source_kind source_ramp = {
	.name = "ramp",
	.help = "ramp                   (sample * 64 + channel) modulo 65536",
	.make = ramp_make,
	.open = pattern_open,
	.rewind = pattern_rewind,
	.render = ramp_render,
	.close = pattern_close,
	.free = pattern_free,
};

const struct source_kind source_flat = {
	.name = "flat",
	.help = "flat                   32768, the electrode shorted",
	.make = flat_make,
	.open = pattern_open,
	.rewind = pattern_rewind,
	.render = flat_render,
	.close = pattern_close,
	.free = pattern_free,
};

const struct source_kind source_sine = {
	.name = "sine",
	.help = "sine:freq=10,amp=200   Hz and uV",
	.make = sine_make,
	.open = pattern_open,
	.rewind = pattern_rewind,
	.render = sine_render,
	.close = pattern_close,
	.free = pattern_free,
};
