// SPDX-License-Identifier: MIT
/*
 * dev_analog.c - breakout analog IO, ID 22 (hub 0, index 6).
 *
 * 12 channels at 100 kHz. An input channel n (DIR bit 0) carries a sine of
 * 1 V amplitude and (n + 1) / 2 Hz that starts with the run; an output channel
 * (DIR bit 1) is looped back, as the inputs always read the pins. ADC codes are
 * 14 bit, left aligned, in the range chosen by INRANGE.
 * DIR polarity: 0 is input in host software and breakout gateware, the
 * datasheet table prints the opposite.
 */
#include <math.h>
#include <string.h>

#include "model_priv.h"

#define CHANNELS	12u
#define RATE_HZ		100000u
#define SINE_LEN	4096u
#define SINE_UV		1000000
#define PHASE_HALF_HZ	21475u	/* 2^32 * 0.5 Hz / 100 kHz */

enum { R_ENABLE, R_DIR, R_RANGE };

#define RANGE_REG(ch)	[R_RANGE + (ch)] = REG_MASK(2 + (ch), RF_RW, 0, 3)

static const struct reg_def regs[] = {
	[R_ENABLE] = REG_ENABLE(0),
	[R_DIR] = REG_MASK(1, RF_RW, 0, 0xfff),
	RANGE_REG(0), RANGE_REG(1), RANGE_REG(2), RANGE_REG(3), RANGE_REG(4), RANGE_REG(5),
	RANGE_REG(6), RANGE_REG(7), RANGE_REG(8), RANGE_REG(9), RANGE_REG(10), RANGE_REG(11),
};

static const int64_t span_uv[4] = { 20000000, 5000000, 10000000, 20000000 };

struct analog {
	struct dev dev;
	struct grid grid;
	uint32_t phase;			/* of the 0.5 Hz fundamental */
	int32_t out_uv[CHANNELS];
	int32_t sine_uv[SINE_LEN];
};

static void analog_power_on(struct dev *d)
{
	struct analog *a = (struct analog *)d;
	unsigned int i;

	memset(a->out_uv, 0, sizeof(a->out_uv));
	for (i = 0; i < SINE_LEN; i++)
		a->sine_uv[i] = (int32_t)lrint(SINE_UV * sin(2 * M_PI * i / SINE_LEN));
}

static void analog_begin_run(struct dev *d)
{
	((struct analog *)d)->phase = 0;
}

static void analog_schedule(struct dev *d)
{
	struct analog *a = (struct analog *)d;

	grid_start(&a->grid, MODEL_ACQ_HZ, RATE_HZ, dev_sampled(d));
	dev_due(d, a->grid.t + d->hub->latency_ticks);
}

static uint32_t analog_code(const struct dev *d, unsigned int ch, int32_t uv)
{
	int64_t code = (int64_t)uv * 65536 / span_uv[d->latched[R_RANGE + ch]];

	if (code > 32767)
		code = 32767;
	if (code < -32768)
		code = -32768;
	return (uint32_t)code & 0xfffcu;
}

static void analog_fire(struct dev *d)
{
	struct analog *a = (struct analog *)d;
	uint8_t *p = frame_begin(d, a->grid.t);
	unsigned int ch;

	for (ch = 0; ch < CHANNELS; ch++) {
		uint32_t ph = a->phase * (ch + 1);
		int32_t uv = a->sine_uv[ph / (UINT32_MAX / SINE_LEN + 1)];

		if (d->val[R_DIR] >> ch & 1)
			uv = a->out_uv[ch];
		put16(p + 2 * ch, analog_code(d, ch, uv));
	}
	frame_emit(d);
	a->phase += PHASE_HALF_HZ;
	grid_next(&a->grid);
	dev_due(d, a->grid.t + d->hub->latency_ticks);
}

/* 12 codes of 16 bit, offset binary, +-10 V. */
static void analog_write_frame(struct dev *d, uint64_t clock, const uint32_t *w)
{
	struct analog *a = (struct analog *)d;
	unsigned int ch;

	(void)clock;
	for (ch = 0; ch < CHANNELS; ch++) {
		int64_t code = w[ch / 2] >> (ch & 1 ? 16 : 0) & 0xffff;

		a->out_uv[ch] = (int32_t)((code - 32768) * span_uv[0] / 65536);
	}
}

static void analog_status(const struct dev *d, FILE *out, const char *prefix)
{
	const struct analog *a = (const struct analog *)d;
	unsigned int ch;

	for (ch = 0; ch < CHANNELS; ch++)
		if (d->val[R_DIR] >> ch & 1)
			fprintf(out, "%sanalog.%u.out_uv %d\n", prefix, ch, a->out_uv[ch]);
}

const struct dev_class class_analog = {
	.name = "analog",
	.id = 22,
	.version = 2,
	.read_size = 32,
	.write_size = 24,
	.size = sizeof(struct analog),
	.regs = regs,
	.nregs = ARRAY_LEN(regs),
	.power_on = analog_power_on,
	.begin_run = analog_begin_run,
	.schedule = analog_schedule,
	.fire = analog_fire,
	.write_frame = analog_write_frame,
	.status = analog_status,
};
