// SPDX-License-Identifier: MIT
/*
 * dev_plain.c - devices that are register files so far: BNO055 (9) and TS4231
 * array (25).
 *
 * They appear in the device table with their sizes and refuse what the datasheets
 * call read only, but make no frames.
 */
#include "model_priv.h"

static const struct reg_def enable_only[] = { REG_ENABLE(0) };

const struct dev_class class_bno055 = {
	.name = "bno055",
	.id = 9,
	.version = 1,
	.read_size = 36,
	.size = sizeof(struct dev),
	.regs = enable_only,
	.nregs = ARRAY_LEN(enable_only),
};

const struct dev_class class_ts4231 = {
	.name = "ts4231",
	.id = 25,
	.version = 1,
	.read_size = 16,
	.size = sizeof(struct dev),
	.regs = enable_only,
	.nregs = ARRAY_LEN(enable_only),
};
