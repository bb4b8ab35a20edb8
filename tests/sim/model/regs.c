// SPDX-License-Identifier: MIT
/*
 * regs.c - the register file every device has.
 *
 * Owns val[] and latched[] of struct dev. An address that is not in the
 * device's list, a write to a read-only register, a read of a write-only one
 * and a value out of range are all refused, which the controller reports as
 * NACK (ONI v1.0 spec, "Register Access and Update").
 */
#include "model_priv.h"

static int regs_find(const struct dev *d, uint32_t reg)
{
	unsigned int i;

	for (i = 0; i < d->class->nregs; i++)
		if (d->class->regs[i].reg == reg)
			return (int)i;
	return -1;
}

void regs_power_on(struct dev *d)
{
	unsigned int i;

	for (i = 0; i < d->class->nregs; i++) {
		const struct reg_def *r = &d->class->regs[i];

		d->val[i] = r->por;
		if (r->flags & RF_ENABLE && r->flags & RF_W)
			d->val[i] = (uint32_t)d->m->cfg.por_enable;
		d->latched[i] = d->val[i];
	}
	d->read_size = d->class->read_size;
	d->write_size = d->class->write_size;
	d->enabled = 0;
}

void regs_reset(struct dev *d)
{
	unsigned int i;

	d->enabled = d->class->always_on;
	for (i = 0; i < d->class->nregs; i++) {
		const struct reg_def *r = &d->class->regs[i];

		if (r->flags & RF_REVERT)
			d->val[i] = r->por;
		d->latched[i] = d->val[i];
		if (r->flags & RF_ENABLE && d->val[i])
			d->enabled = 1;
	}
}

int regs_read(struct dev *d, uint32_t reg, uint32_t *val)
{
	int i = regs_find(d, reg);

	if (i < 0 && d->class->read_beyond)
		return d->class->read_beyond(d, reg, val);
	if (i < 0 || !(d->class->regs[i].flags & RF_R))
		return -1;
	*val = d->val[i];
	if (d->class->read)
		return d->class->read(d, (unsigned int)i, val);
	return 0;
}

int regs_write(struct dev *d, uint32_t reg, uint32_t val)
{
	const struct reg_def *r;
	int i = regs_find(d, reg);
	uint32_t old;

	if (i < 0)
		return d->class->write_beyond ? d->class->write_beyond(d, reg, val) : -1;
	r = &d->class->regs[i];
	if (!(r->flags & RF_W) || val < r->min || val > r->max)
		return -1;
	old = d->val[i];
	d->val[i] = val & r->mask;
	d->reg_writes++;
	if (d->class->wrote && d->class->wrote(d, (unsigned int)i, old) < 0) {
		d->val[i] = old;
		return -1;
	}
	return 0;
}
