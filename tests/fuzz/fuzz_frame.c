// SPDX-License-Identifier: MIT
/* fuzz-sources: userspace/lib/frame.c userspace/lib/table.c userspace/lib/types.c userspace/lib/decode.c */
/* fuzz-cflags: -Iuserspace/lib */
/* fuzz-libs: -lm */
/*
 * fuzz_frame - the library's frame parser, its way back into step and its
 * decoders on any bytes.
 *
 * Input: a device table, then a stream. A frame that is accepted must lie inside
 * the input and, built again from what was parsed, give the same bytes; one that
 * is refused must have the reason that a look at the table gives. The parser has
 * its own copy of the input, so that reading one byte too far is seen.
 */
#include <errno.h>

#include "onidev.h"
#include "fuzz.h"

#define ROWS	8
#define ROW	8	/* input bytes per row */

static struct onidev_table *make_table(struct fuzz_in *in, struct oni_device *rows)
{
	size_t i;

	/* Small numbers, so that streams can hit them. */
	for (i = 0; i < ROWS; i++) {
		uint8_t p[ROW];

		fuzz_take(in, p, sizeof(p));
		rows[i].addr = p[0] | (uint32_t)(p[1] & 3) << 8;
		rows[i].id = p[2] & 63;
		rows[i].read_size = p[3] | (uint32_t)(p[4] & 3) << 8;
	}
	return onidev_table_new(rows, ROWS, 0);
}

static enum onidev_frame_error reason(const struct oni_device *rows, uint32_t addr, uint32_t size)
{
	size_t i;

	for (i = 0; i < ROWS; i++) {
		if (rows[i].addr != addr || !rows[i].id)
			continue;
		if (!rows[i].read_size)
			return ONIDEV_FRAME_SILENT;
		return rows[i].read_size == size ? ONIDEV_FRAME_OK : ONIDEV_FRAME_SIZE;
	}
	return ONIDEV_FRAME_ADDR;
}

static void check_frame(const struct onidev_frame *f, const uint8_t *at, size_t len)
{
	static uint8_t again[2048];
	char line[300];
	size_t n;

	FUZZ_CHECK(f->wire >= ONIDEV_FRAME_HEADER && f->wire % 4 == 0 && f->wire <= len);
	FUZZ_CHECK(f->sample == at + ONIDEV_FRAME_HEADER);
	n = onidev_frame_build(again, sizeof(again), f->clock, f->addr, f->sample, f->size);
	FUZZ_CHECK(n == f->wire);
	/* what padding contains is nobody's business */
	FUZZ_CHECK(!memcmp(again, at, ONIDEV_FRAME_HEADER + f->size));
	FUZZ_CHECK(!onidev_frame_build(again, f->wire - 1, 0, f->addr, f->sample, f->size));
	onidev_frame_print(f, line, sizeof(line));
	onidev_frame_print(f, line, 1);
	onidev_frame_hub_clock(f);
}

static void walk(const struct onidev_table *table, const struct oni_device *rows,
		 const uint8_t *data, size_t len)
{
	enum onidev_frame_error why;
	struct onidev_frame frame;
	size_t at = 0, skip;

	while (at < len) {
		int rc = onidev_frame_parse(table, data + at, len - at, &frame, &why);

		if (!rc)
			return;
		FUZZ_CHECK(why == reason(rows, frame.addr, frame.size));
		if (rc > 0) {
			FUZZ_CHECK(why == ONIDEV_FRAME_OK);
			check_frame(&frame, data + at, len - at);
			at += frame.wire;
			continue;
		}
		FUZZ_CHECK(why != ONIDEV_FRAME_OK && errno == EPROTO);
		FUZZ_CHECK(onidev_frame_reason(why)[0]);
		at += 4;
		if (at >= len)
			return;
		skip = onidev_frame_resync(table, data + at, len - at, 2);
		FUZZ_CHECK(skip <= len - at && skip % 4 == 0);
		at += skip;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct oni_device rows[ROWS] = { { 0 } };
	struct onidev_table *table;
	uint8_t *copy;

	table = make_table(&in, rows);
	if (!table)
		return 0;
	if (in.len) {
		copy = malloc(in.len);
		FUZZ_CHECK(copy);
		memcpy(copy, in.data, in.len);
		walk(table, rows, copy, in.len);
		free(copy);
	}
	onidev_table_free(table);
	return 0;
}
