// SPDX-License-Identifier: MIT
/*
 * write.c - a register batch and a write frame, with libonidev.
 *
 * The batch reads what a hub says about itself and sets the divider of the memory
 * monitor, in one call and with no other access in between. The frame sets the eight
 * digital outputs of the breakout board.
 */
#include <onidev.h>

#include "example.h"

static void failed(enum onidev_op op)
{
	fprintf(stderr, "write: cannot %s: %s\n", onidev_op_name(op), onidev_explain(op, errno));
	exit(1);
}

int main(int argc, char **argv)
{
	enum { ID, CLOCK, DIV, CHECK };
	struct oni_reg_op ops[] = {
		[ID]	= { .dev_addr = ONIDEV_HUB_INFO(0), .reg_addr = 0 },
		[CLOCK]	= { .dev_addr = ONIDEV_HUB_INFO(0), .reg_addr = 4 },
		[DIV]	= { .reg_addr = 1, .value = 12500, .flags = ONI_REG_OP_WRITE },
		[CHECK]	= { .reg_addr = 1 },
	};
	const struct oni_device *memory, *digital;
	uint32_t outputs = htole32(0xa5);	/* 32-bit words, little endian */
	struct onidev_controller *ctl;
	struct onidev_table *table;
	double seconds;
	size_t done;
	int i;

	i = options(argc, argv, "[CONTROLLER]",
		    "Access registers of CONTROLLER (first) in a batch and send a write frame.",
		    &seconds);
	ctl = onidev_controller_open(i < argc ? argv[i] : "first", 0);
	if (!ctl)
		failed(ONIDEV_OP_OPEN);
	if (onidev_controller_claim(ctl) < 0)
		failed(ONIDEV_OP_CLAIM);
	table = onidev_controller_table(ctl);
	if (!table)
		failed(ONIDEV_OP_DEVICE_TABLE);
	memory = onidev_table_find_id(table, ONIDEV_ID_MEMORY_MONITOR, 0);
	digital = onidev_table_find_id(table, ONIDEV_ID_DIGITAL_IO, 0);
	if (!memory || !digital)
		die("find the breakout board's devices");

	ops[DIV].dev_addr = memory->addr;
	ops[CHECK].dev_addr = memory->addr;
	if (onidev_reg_batch(ctl, ops, 4, &done) < 0) {
		fprintf(stderr, "write: access %zu of 4 ended the batch\n", done);
		failed(ONIDEV_OP_REG_BATCH);
	}
	printf("write: batch of %zu: hub 0 is %s, %u Hz; divider %u\n", done,
	       onidev_hub_name(ops[ID].value), ops[CLOCK].value, ops[CHECK].value);

	/* Returns when the hardware has fetched the frame. */
	if (onidev_frame_write(ctl, digital->addr, &outputs, sizeof(outputs)) < 0)
		failed(ONIDEV_OP_FRAME_WRITE);
	printf("write: digital outputs 0x%02x\n", le32toh(outputs));
	onidev_table_free(table);
	onidev_controller_close(ctl);
	return 0;
}
