// SPDX-License-Identifier: MIT
/*
 * dev_rhd2164.c - RHD2164 amplifier chip of a headstage-64, ID 3 (index 0).
 *
 * Owns the chip's register file and the feeds of its 64 channels. Raw
 * registers 0x00-0x3F are 8 bit wide and applied at reset (Intan RHD2000 map,
 * chip ROM as in the Intan datasheet), ENABLE is the managed register 0x8000.
 * 30 kHz exactly: 1400 ticks of the 42 MHz hub clock. Frame: hub clock, then
 * 64 words in the order the two data lines deliver them (0, 32, 1, 33 ...),
 * then three auxiliary words. The chip's own filters are not simulated: a
 * source delivers what comes out of them.
 */
#include <stdlib.h>

#include "source.h"
#include "truth_spikes.h"

#define HUB_TICKS	1400u	/* per sample */
#define AUX_REST	26738u	/* 1.0 V at 37.4 uV per code */
#define AUX_IMEAS	33422u	/* 1.25 V: no stimulation current */
#define FORMAT_TWOS	0x40u
#define CHIP_ID		4u
#define MAX_PENDING	1024

#define RAW(r, p)	REG_MASK(r, RF_RW, p, 0xff)
#define ROM(r, p)	REG(r, RF_R, p)

enum { R_ENABLE, R_FORMAT };

static const struct reg_def regs[] = {
	[R_ENABLE] = REG_ENABLE(0x8000),
	[R_FORMAT] = RAW(0x04, 0x1f),
	RAW(0x00, 0xde), RAW(0x01, 0x02), RAW(0x02, 0x04), RAW(0x03, 0x02),
	RAW(0x05, 0x00), RAW(0x06, 0x00), RAW(0x07, 0x00),
	RAW(0x08, 0x11), RAW(0x09, 0x80), RAW(0x0a, 0x10), RAW(0x0b, 0x80),
	RAW(0x0c, 0x10), RAW(0x0d, 0xdc),
	RAW(0x0e, 0xff), RAW(0x0f, 0xff), RAW(0x10, 0xff), RAW(0x11, 0xff),
	RAW(0x12, 0xff), RAW(0x13, 0xff), RAW(0x14, 0xff), RAW(0x15, 0xff),
	ROM(0x28, 'I'), ROM(0x29, 'N'), ROM(0x2a, 'T'), ROM(0x2b, 'A'), ROM(0x2c, 'N'),
	ROM(0x3b, 0x35),		/* data line A */
	ROM(0x3c, 1), ROM(0x3d, 1), ROM(0x3e, RHD_CHANNELS), ROM(0x3f, CHIP_ID),
};

struct pending {
	uint64_t index;
	double peak_uv;
	unsigned int channel, unit;
};

struct rhd {
	struct dev dev;
	struct grid grid;
	uint64_t index;			/* next sample since the start of the run */
	struct feed *feeds[RHD_CHANNELS];
	uint16_t block[RHD_CHANNELS][SRC_BLOCK];
	unsigned int rendering;		/* channel being rendered */
	uint64_t next_spike;		/* lowest index in pending */
	unsigned int npending;
	struct pending pending[MAX_PENDING];
	uint64_t spikes_unlogged;
};

static unsigned int first_channel(const struct dev *d)
{
	return (d->hub->index - 1) * RHD_CHANNELS;
}

static void rhd_release(struct dev *d)
{
	struct rhd *r = (struct rhd *)d;
	unsigned int ch;

	for (ch = 0; ch < RHD_CHANNELS; ch++)
		if (r->feeds[ch])
			r->feeds[ch]->source->kind->close(r->feeds[ch]);
}

/* Feeds are costly to make (calibration), so only for a chip that is used. */
static void rhd_reset(struct dev *d)
{
	struct rhd *r = (struct rhd *)d;
	unsigned int ch;

	if (!d->enabled)
		return;
	for (ch = 0; ch < RHD_CHANNELS; ch++) {
		unsigned int n = first_channel(d) + ch;
		struct source *s = d->m->sources[n];

		if (!r->feeds[ch])
			r->feeds[ch] = s->kind->open(s, n, s->nth[n], d->m->cfg.seed);
		if (!r->feeds[ch])
			d->enabled = 0;	/* no memory: silent rather than wrong */
	}
}

static void rhd_begin_run(struct dev *d)
{
	struct rhd *r = (struct rhd *)d;
	unsigned int ch;

	r->index = 0;
	r->npending = 0;
	r->next_spike = UINT64_MAX;
	for (ch = 0; ch < RHD_CHANNELS; ch++)
		if (r->feeds[ch])
			r->feeds[ch]->source->kind->rewind(r->feeds[ch]);
}

static void rhd_schedule(struct dev *d)
{
	struct rhd *r = (struct rhd *)d;
	uint64_t ppb = (uint64_t)(1000000000 + d->m->cfg.drift_ppb);

	/* 250 MHz / 30 kHz = 25000 / 3, stretched by the hub's crystal. */
	grid_start(&r->grid, 25000ull * 1000000000ull, 3 * ppb, dev_sampled(d));
	dev_due(d, r->grid.t + d->hub->latency_ticks);
}

static void rhd_spike(void *ctx, uint64_t index, unsigned int unit, double peak_uv)
{
	struct rhd *r = ctx;
	struct pending *p;

	if (r->npending == MAX_PENDING) {
		r->spikes_unlogged++;
		return;
	}
	p = &r->pending[r->npending++];
	p->index = index;
	p->unit = unit;
	p->peak_uv = peak_uv;
	p->channel = first_channel(&r->dev) + r->rendering;
	if (index < r->next_spike)
		r->next_spike = index;
}

static void rhd_render(struct rhd *r)
{
	unsigned int ch;

	for (ch = 0; ch < RHD_CHANNELS; ch++) {
		struct feed *f = r->feeds[ch];

		r->rendering = ch;
		f->source->kind->render(f, r->index, r->block[ch], rhd_spike, r);
	}
}

/* Spikes whose extremum is the sample that is leaving now become truth. */
static void rhd_log_spikes(struct rhd *r)
{
	unsigned int i = 0;

	r->next_spike = UINT64_MAX;
	while (i < r->npending) {
		struct pending *p = &r->pending[i];

		if (p->index == r->index) {
			truth_spike(r->dev.m->truth, p->channel, p->index, p->unit, p->peak_uv,
				    r->dev.due);
			*p = r->pending[--r->npending];
			continue;
		}
		if (p->index < r->next_spike)
			r->next_spike = p->index;
		i++;
	}
}

static void rhd_fire(struct dev *d)
{
	struct rhd *r = (struct rhd *)d;
	unsigned int k = r->index % SRC_BLOCK, pair;
	uint16_t flip = d->latched[R_FORMAT] & FORMAT_TWOS ? 0x8000 : 0;
	uint8_t *p;

	if (k == 0)
		rhd_render(r);
	p = frame_begin(d, r->grid.j * HUB_TICKS);
	for (pair = 0; pair < RHD_CHANNELS / 2; pair++) {
		put16(p, r->block[pair][k] ^ flip);
		put16(p + 2, r->block[pair + RHD_CHANNELS / 2][k] ^ flip);
		p += 4;
	}
	put16(p, AUX_REST);
	put16(p + 2, AUX_REST);
	put16(p + 4, AUX_IMEAS);
	frame_emit(d);
	if (r->index == r->next_spike)
		rhd_log_spikes(r);
	r->index++;
	grid_next(&r->grid);
	dev_due(d, r->grid.t + d->hub->latency_ticks);
}

static void rhd_status(const struct dev *d, FILE *out, const char *prefix)
{
	const struct rhd *r = (const struct rhd *)d;
	unsigned int ch;

	fprintf(out, "%srhd.0x%03x.samples %llu\n", prefix, d->addr,
		(unsigned long long)r->index);
	fprintf(out, "%srhd.0x%03x.spikes_unlogged %llu\n", prefix, d->addr,
		(unsigned long long)r->spikes_unlogged);
	for (ch = 0; ch < RHD_CHANNELS; ch++) {
		unsigned int n = first_channel(d) + ch;
		const struct source *s = d->m->sources[n];

		fprintf(out, "%ssource.%u %s", prefix, n, s->kind->name);
		if (r->feeds[ch] && s->kind->status)
			s->kind->status(r->feeds[ch], out);
		fputc('\n', out);
	}
}

const struct dev_class class_rhd2164 = {
	.name = "rhd2164",
	.id = 3,
	.version = 1,
	.read_size = 8 + 2 * RHD_CHANNELS + 6,
	.size = sizeof(struct rhd),
	.regs = regs,
	.nregs = ARRAY_LEN(regs),
	.reset = rhd_reset,
	.begin_run = rhd_begin_run,
	.schedule = rhd_schedule,
	.fire = rhd_fire,
	.status = rhd_status,
	.release = rhd_release,
};
