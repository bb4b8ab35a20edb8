// SPDX-License-Identifier: MIT
/*
 * source_play.c - plays a file of interleaved int16 samples.
 *
 * Owns the file's samples in memory. The file is resampled from its own rate
 * to 30 kHz by a linear-phase windowed-sinc polyphase filter (L phases of TAPS
 * taps, L/M the reduced ratio); when the rate goes up, the file's own samples
 * come out unchanged wherever the two grids meet. The file loops without a
 * seam of its own: the filter wraps around, the signal may jump. Values are ADC
 * codes: out = 32768 + gain * (sample - offset).
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "source.h"

#define HALF		16		/* taps each side */
#define MAX_FILE	((off_t)1 << 31)

struct play {
	struct source source;
	unsigned int channels;
	unsigned int rate, up, down;
	double gain;
	double offset;		/* unless mean */
	int mean;
	unsigned int half;	/* taps each side, widened when the rate goes down */
	size_t frames;
	int16_t *data;		/* channel after channel */
	double *means;
	float *taps;		/* [up][2 * half] */
};

struct player {
	struct feed feed;
	unsigned int column;
	uint64_t loops;
};

static unsigned int gcd(unsigned int a, unsigned int b)
{
	while (b) {
		unsigned int t = a % b;

		a = b;
		b = t;
	}
	return a;
}

/*
 * Tap k of a phase weighs input sample k - half + 1 at distance x input
 * samples from the output. Each phase is scaled to a gain of one at DC.
 */
static void play_phase(struct play *p, unsigned int phase, double cutoff)
{
	float *taps = p->taps + (size_t)phase * 2 * p->half;
	double frac = (double)phase / p->up, sum = 0;
	unsigned int k, n = 2 * p->half;

	for (k = 0; k < n; k++) {
		double x = (double)k - p->half + 1 - frac;
		double arg = M_PI * x * cutoff;
		double v = fabs(arg) < 1e-9 ? 1 : sin(arg) / arg;

		v *= 0.5 + 0.5 * cos(M_PI * x / p->half);
		taps[k] = fabs(v) < 1e-12 ? 0 : (float)v;
		sum += v;
	}
	for (k = 0; k < n; k++)
		taps[k] = (float)(taps[k] / sum);
}

static int play_filter(struct play *p)
{
	unsigned int g = gcd(RHD_RATE_HZ, p->rate), i;
	double cutoff;

	p->up = RHD_RATE_HZ / g;
	p->down = p->rate / g;
	cutoff = p->up >= p->down ? 1 : (double)p->up / p->down;
	p->half = (unsigned int)ceil(HALF / cutoff);
	p->taps = malloc((size_t)p->up * 2 * p->half * sizeof(*p->taps));
	if (!p->taps)
		return -1;
	for (i = 0; i < p->up; i++)
		play_phase(p, i, cutoff);
	return 0;
}

/* Read the file channel after channel: the filter walks along time. */
static int play_load(struct play *p, FILE *f)
{
	size_t row = 2 * p->channels, i;
	unsigned int c;
	uint8_t *buf = malloc(row);

	p->data = malloc(p->frames * row);
	p->means = calloc(p->channels, sizeof(*p->means));
	if (!buf || !p->data || !p->means)
		goto fail;
	for (i = 0; i < p->frames; i++) {
		if (fread(buf, row, 1, f) != 1)
			goto fail;
		for (c = 0; c < p->channels; c++) {
			int16_t v = (int16_t)(buf[2 * c] | buf[2 * c + 1] << 8);

			p->data[c * p->frames + i] = v;
			p->means[c] += v;
		}
	}
	for (c = 0; c < p->channels; c++)
		p->means[c] = p->mean ? p->means[c] / (double)p->frames : p->offset;
	free(buf);
	return 0;
fail:
	free(buf);
	return -1;
}

static int play_open_file(struct play *p, const char *path, char *err, size_t errlen)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	int rc = -1;

	if (!f)
		return model_error(err, errlen, "play: %s: %s", path, strerror(errno));
	if (fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_FILE)
		model_error(err, errlen, "play: %s is not a regular file below 2 GiB", path);
	else if (st.st_size == 0 || st.st_size % (2 * p->channels))
		model_error(err, errlen, "play: %s does not hold whole rows of %u int16 samples, "
			    "check channels=", path, p->channels);
	else {
		p->frames = (size_t)st.st_size / (2 * p->channels);
		rc = play_load(p, f);
		if (rc < 0)
			model_error(err, errlen, "play: %s cannot be read into memory", path);
	}
	fclose(f);
	return rc;
}

static int play_option(struct play *p, const char *key, const char *value)
{
	double v;

	if (!strcmp(key, "channels") && !source_number(value, 1, 4096, &v)) {
		p->channels = (unsigned int)v;
		return 0;
	}
	if (!strcmp(key, "rate") && !source_number(value, 100, 1000000, &v) && v == floor(v)) {
		p->rate = (unsigned int)v;
		return 0;
	}
	if (!strcmp(key, "gain"))
		return source_number(value, -1000, 1000, &p->gain);
	if (!strcmp(key, "offset")) {
		p->mean = !strcmp(value, "mean");
		return p->mean ? 0 : source_number(value, -32768, 65535, &p->offset);
	}
	return -1;
}

static void play_free(struct source *s)
{
	struct play *p = (struct play *)s;

	free(p->data);
	free(p->means);
	free(p->taps);
	free(p);
}

static struct source *play_make(const char *opts, char *err, size_t errlen)
{
	struct play *p = calloc(1, sizeof(*p));
	char path[4096], key[16], value[32];
	size_t len = strcspn(opts, ",");
	int rc;

	if (!p || !len || len >= sizeof(path)) {
		model_error(err, errlen, "play: name a file: play:FILE,channels=N,rate=HZ");
		free(p);
		return NULL;
	}
	memcpy(path, opts, len);
	path[len] = '\0';
	opts += opts[len] ? len + 1 : len;
	p->source.kind = &source_play;
	p->channels = 1;
	p->rate = RHD_RATE_HZ;
	p->gain = 1;
	p->mean = 1;
	while ((rc = source_option(&opts, key, sizeof(key), value, sizeof(value))) > 0)
		if (play_option(p, key, value))
			break;
	if (rc)
		model_error(err, errlen, "play: option near \"%s\" is not understood: use "
			    "channels, rate, offset (mean or a number), gain", rc > 0 ? key : opts);
	else if (!play_open_file(p, path, err, errlen)) {
		if (!play_filter(p))
			return &p->source;
		model_error(err, errlen, "play: out of memory");
	}
	play_free(&p->source);
	return NULL;
}

static struct feed *play_open(struct source *s, unsigned int channel, unsigned int nth,
			      uint64_t seed)
{
	struct play *p = (struct play *)s;
	struct player *f = calloc(1, sizeof(*f));

	(void)seed;
	if (!f)
		return NULL;
	f->feed.source = s;
	f->feed.channel = channel;
	f->column = nth % p->channels;
	return &f->feed;
}

static void play_rewind(struct feed *f)
{
	((struct player *)f)->loops = 0;
}

static void play_close(struct feed *f)
{
	free(f);
}

static float play_sample(const struct play *p, const int16_t *x, size_t at, const float *taps,
			 float mean)
{
	size_t n = 2 * p->half, k, i;
	float acc = 0;

	if (at + 1 >= p->half && at + p->half < p->frames) {
		x += at + 1 - p->half;
		for (k = 0; k < n; k++)
			acc += taps[k] * ((float)x[k] - mean);
		return acc;
	}
	/* The file is shorter than the filter or its end is near: wrap around. */
	i = (at + p->frames * p->half + 1 - p->half) % p->frames;
	for (k = 0; k < n; k++) {
		acc += taps[k] * ((float)x[i] - mean);
		i = i + 1 == p->frames ? 0 : i + 1;
	}
	return acc;
}

static void play_render(struct feed *f, uint64_t first, uint16_t *out, spike_fn spike, void *ctx)
{
	struct player *pl = (struct player *)f;
	const struct play *p = (const struct play *)f->source;
	const int16_t *x = p->data + pl->column * p->frames;
	float mean = (float)p->means[pl->column];
	uint64_t pos = first * p->down;
	uint64_t whole = pos / p->up;
	unsigned int phase = (unsigned int)(pos % p->up), i;

	(void)spike;
	(void)ctx;
	for (i = 0; i < SRC_BLOCK; i++) {
		float v = play_sample(p, x, whole % p->frames,
				      p->taps + (size_t)phase * 2 * p->half, mean);

		out[i] = code_clip(lrint(p->gain * v) + CODE_ZERO);
		phase += p->down;
		whole += phase / p->up;
		phase %= p->up;
	}
	pl->loops = whole / p->frames;
}

static void play_status(const struct feed *f, FILE *out)
{
	const struct player *pl = (const struct player *)f;
	const struct play *p = (const struct play *)f->source;

	fprintf(out, " column %u rate %u loops %llu", pl->column, p->rate,
		(unsigned long long)pl->loops);
}

const struct source_kind source_play = {
	.name = "play",
	.help = "play:FILE,channels=1,rate=30000,offset=mean,gain=1\n"
		"                           int16 little endian, resampled to 30 kHz, looped",
	.make = play_make,
	.open = play_open,
	.rewind = play_rewind,
	.render = play_render,
	.close = play_close,
	.free = play_free,
	.status = play_status,
};
