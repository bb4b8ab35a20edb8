// SPDX-License-Identifier: MIT
/*
 * dev_heartbeat.c - persistent heartbeat, ID 35 (hub 0, index 0).
 *
 * Always on, so that a blocking read of the data stream always returns. The
 * rate follows CLK_DIV at once; a rate outside 10 Hz to 10 MHz is refused
 * (ONIX heartbeat datasheet; the 10 Hz floor is the ONI v1.0 hub-0 rule). The
 * power-on rate is not published: 100 Hz, what host software sets.
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
