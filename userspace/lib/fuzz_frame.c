// SPDX-License-Identifier: MIT
/*
 * fuzz_frame.c - entry point of a coverage-guided fuzzer (libFuzzer) for the frame
 * parser, the way back into step, the decoders and the name resolver.
 *
 *	make fuzz && build/userspace/bin/fuzz_frame -max_total_time=60
 *
 * The input is cut in two: a device table and a stream. Aborts when a frame
 * reaches beyond the input; the sanitizers find the rest.
 */
#include <stdlib.h>
#include <string.h>

#include "onidev.h"

#define ROWS	8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct onidev_table *make_table(const uint8_t *data)
{
	struct oni_device rows[ROWS] = { { 0 } };
	size_t i;

	/* Eight bytes a row: small numbers, so that streams can hit them. */
	for (i = 0; i < ROWS; i++, data += 8) {
		rows[i].addr = data[0] | (uint32_t)(data[1] & 3) << 8;
		rows[i].id = data[2] & 63;
		rows[i].read_size = data[3] | (uint32_t)(data[4] & 3) << 8;
	}
	return onidev_table_new(rows, ROWS, 0);
}

static void walk(const struct onidev_table *table, const uint8_t *data, size_t len)
{
	enum onidev_frame_error why;
	struct onidev_frame frame;
	char line[300];
	size_t at = 0;

	while (at < len) {
		int rc = onidev_frame_parse(table, data + at, len - at, &frame, &why);

		if (!rc)
			return;
		if (rc < 0) {
			at += 4;
			if (at >= len)
				return;
			at += onidev_frame_resync(table, data + at, len - at, 2);
			continue;
		}
		if (frame.wire > len - at || frame.wire < ONIDEV_FRAME_HEADER)
			abort();
		onidev_frame_print(&frame, line, sizeof(line));
		onidev_frame_hub_clock(&frame);
		at += frame.wire;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct onidev_table *table;
	char text[33];
	uint32_t addr;

	if (len < ROWS * 8 + 32)
		return 0;
	table = make_table(data);
	if (!table)
		return 0;
	memcpy(text, data + ROWS * 8, 32);
	text[32] = '\0';
	onidev_table_resolve(table, text, &addr);
	walk(table, data + ROWS * 8 + 32, len - ROWS * 8 - 32);
	onidev_table_free(table);
	return 0;
}
