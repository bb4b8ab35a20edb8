// SPDX-License-Identifier: MIT
/*
 * dev_rhd2164.c - RHD2164 amplifier chip of a headstage-64, ID 3 (index 0).
 *
 * Owns the chip's register file and its 64 channels. Raw
 * registers 0x00-0x3F are 8 bit wide and applied at reset (Intan RHD2000 map,
 * chip ROM as in the Intan datasheet), ENABLE is the managed register 0x8000.
 * 30 kHz exactly: 1400 ticks of the 42 MHz hub clock. Frame: hub clock, then
 * 64 words in the order the two data lines deliver them (0, 32, 1, 33 ...),
 * then three auxiliary words. The chip's own filters are not simulated: a
 * source delivers what comes out of them.
 */
#include "amp.h"

#define HUB_TICKS	1400u	/* per sample */
#define AUX_REST	26738u	/* 1.0 V at 37.4 uV per code */
#define AUX_IMEAS	33422u	/* 1.25 V: no stimulation current */
#define FORMAT_TWOS	0x40u
#define CHIP_ID		4u

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

struct rhd {
	struct dev dev;
	struct grid grid;
	uint64_t index;			/* next sample since the start of the run */
	struct amp amp;
};

static unsigned int first_channel(const struct dev *d)
{
	return (d->hub->index - 1) * RHD_CHANNELS;
}

static void rhd_release(struct dev *d)
{
	amp_release(&((struct rhd *)d)->amp);
}

/* Feeds are costly to make (calibration), so only for a chip that is used. */
static void rhd_reset(struct dev *d)
{
	struct rhd *r = (struct rhd *)d;
	unsigned int ch;

	if (!d->enabled)
		return;
	/* No memory: silent rather than wrong. */
	if (amp_open(&r->amp, d->m, first_channel(d), RHD_CHANNELS))
		d->enabled = 0;
	for (ch = 0; d->enabled && ch < RHD_CHANNELS; ch++)
		if (amp_use(&r->amp, ch))
			d->enabled = 0;
}

static void rhd_begin_run(struct dev *d)
{
	struct rhd *r = (struct rhd *)d;

	r->index = 0;
	amp_rewind(&r->amp);
}

static void rhd_schedule(struct dev *d)
{
	struct rhd *r = (struct rhd *)d;
	uint64_t ppb = (uint64_t)(1000000000 + d->m->cfg.drift_ppb);

	/* 250 MHz / 30 kHz = 25000 / 3, stretched by the hub's crystal. */
	grid_start(&r->grid, 25000ull * 1000000000ull, 3 * ppb, dev_sampled(d));
	dev_due(d, r->grid.t + d->hub->latency_ticks);
}

static void rhd_fire(struct dev *d)
{
	struct rhd *r = (struct rhd *)d;
	unsigned int pair;
	uint16_t flip = d->latched[R_FORMAT] & FORMAT_TWOS ? 0x8000 : 0;
	uint8_t *p;

	if (r->index % SRC_BLOCK == 0)
		amp_render(&r->amp, r->index);
	p = frame_begin(d, r->grid.j * HUB_TICKS);
	for (pair = 0; pair < RHD_CHANNELS / 2; pair++) {
		put16(p, amp_word(&r->amp, pair, r->index) ^ flip);
		put16(p + 2, amp_word(&r->amp, pair + RHD_CHANNELS / 2, r->index) ^ flip);
		p += 4;
	}
	put16(p, AUX_REST);
	put16(p + 2, AUX_REST);
	put16(p + 4, AUX_IMEAS);
	frame_emit(d);
	amp_left(&r->amp, r->index, d->due);
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
		(unsigned long long)r->amp.spikes_unlogged);
	for (ch = 0; ch < RHD_CHANNELS; ch++) {
		unsigned int n = first_channel(d) + ch;
		const struct source *s = d->m->sources[n];

		fprintf(out, "%ssource.%u %s", prefix, n, s->kind->name);
		if (r->amp.feeds && r->amp.feeds[ch] && s->kind->status)
			s->kind->status(r->amp.feeds[ch], out);
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
