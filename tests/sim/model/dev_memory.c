// SPDX-License-Identifier: MIT
/*
 * dev_memory.c - memory monitor, ID 28 (hub 0, index 10).
 *
 * Reports how many 32-bit words wait in the controller's RAM. What it reports
 * is the caller's FIFO, asked at the moment a frame is made or the register is
 * read. The smallest CLK_DIV is published (10 MHz) but not what a smaller one
 * does: refused here. Power-on rate unpublished: 10 Hz.
 */
#include "model_priv.h"

enum { R_ENABLE, R_CLK_DIV, R_CLK_HZ, R_TOTAL, R_USED };

static const struct reg_def regs[] = {
	[R_ENABLE] = REG_ENABLE(0),
	[R_CLK_DIV] = REG_RANGE(1, RF_RW, MODEL_ACQ_HZ / 10,
				MODEL_ACQ_HZ / 10000000u, UINT32_MAX),
	[R_CLK_HZ] = REG(2, RF_R, MODEL_ACQ_HZ),
	[R_TOTAL] = REG(3, RF_R, 0),
	[R_USED] = REG(4, RF_R, 0),
};

struct memory {
	struct dev dev;
	struct grid grid;
};

static int memory_read(struct dev *d, unsigned int i, uint32_t *val)
{
	const struct model_env *env = &d->m->env;

	if (i == R_TOTAL)
		*val = env->fifo_total_words(env->ctx);
	else if (i == R_USED)
		*val = env->fifo_used_words(env->ctx);
	return 0;
}

static void memory_schedule(struct dev *d)
{
	struct memory *mm = (struct memory *)d;

	grid_start(&mm->grid, d->val[R_CLK_DIV], 1, dev_sampled(d));
	dev_due(d, mm->grid.t + d->hub->latency_ticks);
}

static int memory_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	if (i == R_CLK_DIV && d->val[i] != old && d->m->running && d->enabled)
		memory_schedule(d);
	return 0;
}

static void memory_fire(struct dev *d)
{
	struct memory *mm = (struct memory *)d;
	const struct model_env *env = &d->m->env;

	put32(frame_begin(d, mm->grid.t), env->fifo_used_words(env->ctx));
	frame_emit(d);
	grid_next(&mm->grid);
	dev_due(d, mm->grid.t + d->hub->latency_ticks);
}

const struct dev_class class_memory = {
	.name = "memory",
	.id = 28,
	.version = 2,
	.read_size = 12,
	.size = sizeof(struct memory),
	.regs = regs,
	.nregs = ARRAY_LEN(regs),
	.read = memory_read,
	.wrote = memory_wrote,
	.schedule = memory_schedule,
	.fire = memory_fire,
};
