// SPDX-License-Identifier: MIT
/*
 * dev_heartbeat.c - persistent heartbeat, ID 35, and heartbeat, ID 12 (hub 0,
 * index 0 of an ONIX card and of an Acquisition Board).
 *
 * Always on, so that a blocking read of the data stream always returns. The
 * rate follows CLK_DIV at once; a rate outside 10 Hz to 10 MHz is refused
 * (ONIX heartbeat datasheet; the 10 Hz floor is the ONI v1.0 hub-0 rule). The
 * power-on rate is not published: 100 Hz, what host software sets.
 * The plain one can be switched off, and a CLK_DIV that is too small makes it beat
 * at 1 kHz. Inferred: which of the two an Acquisition Board has, and that it is on
 * at power-on, as ONI asks of hub 0.
 */
#include "model_priv.h"

#define MIN_HZ	10u
#define MAX_HZ	10000000u

enum { R_ENABLE, R_CLK_DIV, R_CLK_HZ, R_MIN_HZ };

static const struct reg_def regs[] = {
	[R_ENABLE] = REG(0, RF_R | RF_ENABLE, 1),
	[R_CLK_DIV] = REG_RANGE(1, RF_RW, MODEL_ACQ_HZ / 100,
				MODEL_ACQ_HZ / MAX_HZ, MODEL_ACQ_HZ / MIN_HZ),
	[R_CLK_HZ] = REG(2, RF_R, MODEL_ACQ_HZ),
	[R_MIN_HZ] = REG(3, RF_R, MIN_HZ),
};

static const struct reg_def plain_regs[] = {
	[R_ENABLE] = REG_MASK(0, RF_RW, 1, 1),
	[R_CLK_DIV] = REG(1, RF_RW, MODEL_ACQ_HZ / 100),
	[R_CLK_HZ] = REG(2, RF_R, MODEL_ACQ_HZ),
};

struct heartbeat {
	struct dev dev;
	struct grid grid;
};

static void heartbeat_schedule(struct dev *d)
{
	struct heartbeat *hb = (struct heartbeat *)d;

	grid_start(&hb->grid, d->val[R_CLK_DIV], 1, dev_sampled(d));
	dev_due(d, hb->grid.t + d->hub->latency_ticks);
}

static int heartbeat_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	if (i == R_CLK_DIV && d->val[i] != old && d->m->running)
		heartbeat_schedule(d);
	return 0;
}

static void heartbeat_fire(struct dev *d)
{
	struct heartbeat *hb = (struct heartbeat *)d;

	frame_begin(d, hb->grid.t);
	frame_emit(d);
	grid_next(&hb->grid);
	dev_due(d, hb->grid.t + d->hub->latency_ticks);
}

static int plain_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	if (i == R_CLK_DIV && d->val[i] < MODEL_ACQ_HZ / MAX_HZ)
		d->val[i] = MODEL_ACQ_HZ / 1000;
	if (d->enabled)
		heartbeat_wrote(d, i, old);
	return 0;
}

static void plain_reset(struct dev *d)
{
	d->enabled = (int)d->latched[R_ENABLE];
}

const struct dev_class class_heartbeat_plain = {
	.name = "heartbeat",
	.id = 12,
	.version = 1,
	.read_size = 8,
	.size = sizeof(struct heartbeat),
	.regs = plain_regs,
	.nregs = ARRAY_LEN(plain_regs),
	.reset = plain_reset,
	.wrote = plain_wrote,
	.schedule = heartbeat_schedule,
	.fire = heartbeat_fire,
};

const struct dev_class class_heartbeat = {
	.name = "heartbeat",
	.id = 35,
	.version = 1,
	.read_size = 8,
	.size = sizeof(struct heartbeat),
	.regs = regs,
	.nregs = ARRAY_LEN(regs),
	.always_on = 1,
	.wrote = heartbeat_wrote,
	.schedule = heartbeat_schedule,
	.fire = heartbeat_fire,
};
