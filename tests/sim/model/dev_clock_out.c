// SPDX-License-Identifier: MIT
/*
 * dev_clock_out.c - output clock, ID 20 (hub 0, index 5).
 *
 * Registers only: nothing inside the simulation looks at the connector.
 */
#include "model_priv.h"

static const struct reg_def regs[] = {
	REG(0, RF_R, 0),
	REG_MASK(1, RF_RW, 0, 1),			/* CLOCK_GATE */
	REG_RANGE(2, RF_RW, 1, 1, UINT32_MAX),		/* HIGH_CYCLES */
	REG_RANGE(3, RF_RW, 1, 1, UINT32_MAX),		/* LOW_CYCLES */
	REG(4, RF_RW, 0),				/* DELAY_CYCLES */
	REG_MASK(5, RF_RW, 1, 1),			/* GATE_RUN */
	REG(6, RF_R, MODEL_ACQ_HZ),			/* BASE_FREQ_HZ */
};

const struct dev_class class_clock_out = {
	.name = "clock-out",
	.id = 20,
	.version = 1,
	.size = sizeof(struct dev),
	.regs = regs,
	.nregs = ARRAY_LEN(regs),
};
