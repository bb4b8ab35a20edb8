// SPDX-License-Identifier: MIT
/*
 * dev_harp.c - Harp synchronisation input, ID 30 (hub 0, index 12).
 *
 * One frame per second of the Harp clock with its seconds count. The Harp
 * clock of this card runs exactly with the acquisition clock.
 */
#include "model_priv.h"

enum { R_ENABLE, R_SOURCE };

static const struct reg_def regs[] = {
	[R_ENABLE] = REG_ENABLE(0),
	[R_SOURCE] = REG_RANGE(1, RF_RW, 0, 0, 1),
};

struct harp {
	struct dev dev;
	struct grid grid;
};

static void harp_schedule(struct dev *d)
{
	struct harp *h = (struct harp *)d;

	grid_start(&h->grid, MODEL_ACQ_HZ, 1, dev_sampled(d));
	dev_due(d, h->grid.t + d->hub->latency_ticks);
}

static void harp_fire(struct dev *d)
{
	struct harp *h = (struct harp *)d;
	uint32_t seconds = d->m->cfg.harp_seconds + (uint32_t)h->grid.j;

	put32(frame_begin(d, h->grid.t), seconds);
	frame_emit(d);
	grid_next(&h->grid);
	dev_due(d, h->grid.t + d->hub->latency_ticks);
}

const struct dev_class class_harp = {
	.name = "harp",
	.id = 30,
	.version = 2,
	.read_size = 12,
	.size = sizeof(struct harp),
	.regs = regs,
	.nregs = ARRAY_LEN(regs),
	.schedule = harp_schedule,
	.fire = harp_fire,
};
