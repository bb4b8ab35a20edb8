// SPDX-License-Identifier: MIT
/*
 * dev_load.c - load tester, ID 27 (hub 0, index 11).
 *
 * Read frame: hub clock, u64 latency of the last write frame, then N 16-bit
 * counter words. Write frame: u64 loopback value and M ignored 32-bit words.
 * All registers act at reset. A frame cannot leave faster than one per N + 9
 * cycles (9 cycles overhead); a shorter CLK_DIV makes the hardware skip, here
 * the period is stretched. N above 65535 is refused: the limit is ours.
 * The counter words never change, so the frame is built once per reset: this
 * device has to outrun the host in load tests.
 */
#include <stdlib.h>
#include <string.h>

#include "model_priv.h"

#define OVERHEAD_CYCLES	9u
#define MAX_WRITE_WORDS	1024u

enum { R_ENABLE, R_CLK_DIV, R_CLK_HZ, R_DTOH, R_HTOD, R_START };

static const struct reg_def regs[] = {
	[R_ENABLE] = REG_ENABLE(0),
	[R_CLK_DIV] = REG_RANGE(1, RF_RW, MODEL_ACQ_HZ / 1000, 1, UINT32_MAX),
	[R_CLK_HZ] = REG(2, RF_R, MODEL_ACQ_HZ),
	[R_DTOH] = REG_RANGE(3, RF_RW, 0, 0, LOAD_MAX_WORDS),
	[R_HTOD] = REG_RANGE(4, RF_RW, 0, 0, MAX_WRITE_WORDS),
	[R_START] = REG_MASK(5, RF_RW, 0, 0xffff),
};

struct load {
	struct dev dev;
	struct grid grid;
	uint64_t delta;
	uint8_t *frame;		/* whole frame with header and padding */
	size_t len;
};

static void load_power_on(struct dev *d)
{
	((struct load *)d)->delta = 0;
}

static void load_reset(struct dev *d)
{
	struct load *l = (struct load *)d;
	uint32_t n = d->latched[R_DTOH];
	uint8_t *frame;
	uint32_t k;

	d->read_size = 16 + 2 * n;
	d->write_size = 8 + 4 * d->latched[R_HTOD];
	l->len = FRAME_HEADER + ((d->read_size + 3u) & ~3u);
	frame = realloc(l->frame, l->len);
	if (!frame) {
		/* Without its frame the device must stay silent. */
		d->enabled = 0;
		return;
	}
	l->frame = frame;
	memset(frame, 0, l->len);
	put32(frame + 8, d->addr);
	put32(frame + 12, d->read_size);
	for (k = 0; k < n; k++)
		put16(frame + 32 + 2 * k, d->latched[R_START] + k);
}

static uint32_t load_period(const struct dev *d)
{
	uint32_t floor = d->latched[R_DTOH] + OVERHEAD_CYCLES;

	return d->latched[R_CLK_DIV] > floor ? d->latched[R_CLK_DIV] : floor;
}

static void load_schedule(struct dev *d)
{
	struct load *l = (struct load *)d;

	grid_start(&l->grid, load_period(d), 1, dev_sampled(d));
	dev_due(d, l->grid.t + d->hub->latency_ticks);
}

static void load_fire(struct dev *d)
{
	struct load *l = (struct load *)d;
	struct model *m = d->m;

	put64(l->frame, d->due);
	put64(l->frame + 16, l->grid.t);
	put64(l->frame + 24, l->delta);
	m->env.emit(m->env.ctx, d->addr, l->frame, l->len);
	m->emitted += l->len;
	grid_next(&l->grid);
	dev_due(d, l->grid.t + d->hub->latency_ticks);
}

static void load_write_frame(struct dev *d, uint64_t clock, const uint32_t *w)
{
	uint64_t sent = w[0] | (uint64_t)w[1] << 32;

	((struct load *)d)->delta = clock - sent;
}

static void load_release(struct dev *d)
{
	free(((struct load *)d)->frame);
}

const struct dev_class class_load = {
	.name = "load",
	.id = 27,
	.version = 2,
	.read_size = 16,
	.write_size = 8,
	.size = sizeof(struct load),
	.regs = regs,
	.nregs = ARRAY_LEN(regs),
	.power_on = load_power_on,
	.reset = load_reset,
	.schedule = load_schedule,
	.fire = load_fire,
	.write_frame = load_write_frame,
	.release = load_release,
};
