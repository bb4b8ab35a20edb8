// SPDX-License-Identifier: MIT
/* unit-sources: userspace/lib/frame.c userspace/lib/table.c userspace/lib/types.c userspace/lib/decode.c */
/* unit-libs: -lm */
/*
 * Frames as bytes and the decoders: the byte-exact examples of the ONIX datasheets
 * (gateware 2), every way a span of bytes can fail to be a frame, and the way back
 * into step. Sanitizers watch the ends of every buffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "onidev.h"

static const struct oni_device rows[] = {
	{ .addr = 0x00, .id = ONIDEV_ID_PERSISTENT_HEARTBEAT, .read_size = 8 },
	{ .addr = 0x01, .id = ONIDEV_ID_PORT_CONTROLLER, .read_size = 10 },
	{ .addr = 0x02, .id = ONIDEV_ID_PORT_CONTROLLER, .read_size = 10 },
	{ .addr = 0x03, .id = ONIDEV_ID_NULL },
	{ .addr = 0x05, .id = ONIDEV_ID_CLOCK_OUT },
	{ .addr = 0x06, .id = ONIDEV_ID_ANALOG_IO, .read_size = 32, .write_size = 24 },
	{ .addr = 0x07, .id = ONIDEV_ID_DIGITAL_IO, .read_size = 12, .write_size = 4 },
	{ .addr = 0x0a, .id = ONIDEV_ID_MEMORY_MONITOR, .read_size = 12 },
	{ .addr = 0x0b, .id = ONIDEV_ID_LOAD_TESTER, .read_size = 22, .write_size = 8 },
	{ .addr = 0x0c, .id = ONIDEV_ID_HARP, .read_size = 12 },
	{ .addr = 0x100, .id = ONIDEV_ID_RHD2164, .read_size = 142 },
	{ .addr = 0x101, .id = ONIDEV_ID_BNO055, .read_size = 36 },
	{ .addr = 0x200, .id = ONIDEV_ID_NEUROPIXELS1F, .read_size = 944 },
};

static struct onidev_table *table;

static int setup(void **state)
{
	(void)state;
	table = onidev_table_new(rows, sizeof(rows) / sizeof(rows[0]), 1);
	return table ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	onidev_table_free(table);
	return 0;
}

/* A heap copy of exactly @len bytes, so that a read beyond it is seen. */
static uint8_t *exact(const void *bytes, size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	assert_non_null(p);
	if (len)
		memcpy(p, bytes, len);
	return p;
}

/* clock 0x100000, memory monitor at 0x00a, hub clock 0x0fff00, 0x1234 words */
static const uint8_t memory_bytes[28] = {
	0x00, 0x00, 0x10, 0, 0, 0, 0, 0, 0x0a, 0, 0, 0, 0x0c, 0, 0, 0,
	0x00, 0xff, 0x0f, 0, 0, 0, 0, 0, 0x34, 0x12, 0, 0,
};

/* port A, 10 bytes of sample, code 3, two bytes of padding */
static const uint8_t port_bytes[28] = {
	0x00, 0x00, 0x10, 0, 0, 0, 0, 0, 0x01, 0, 0, 0, 0x0a, 0, 0, 0,
	0x00, 0xff, 0x0f, 0, 0, 0, 0, 0, 0x03, 0x00, 0, 0,
};

static void test_memory_example(void **state)
{
	struct onidev_frame f;
	struct onidev_memory m;
	uint8_t *p = exact(memory_bytes, 28);

	(void)state;
	assert_int_equal(onidev_frame_parse(table, p, 28, &f, NULL), 1);
	assert_int_equal(f.clock, 0x100000);
	assert_int_equal(f.addr, 0x0a);
	assert_int_equal(f.size, 12);
	assert_int_equal(f.wire, 28);
	assert_ptr_equal(f.sample, p + 16);
	assert_int_equal(f.dev->id, ONIDEV_ID_MEMORY_MONITOR);
	assert_int_equal(f.index, onidev_table_index(table, 0x0a));
	assert_int_equal(onidev_decode_memory(&f, &m), 0);
	assert_int_equal(m.hub_clock, 0x0fff00);
	assert_int_equal(m.used_words, 0x1234);
	assert_true(onidev_memory_percent(&m, 0x2468) == 50.0);
	assert_true(onidev_memory_percent(&m, 0) == 0.0);
	free(p);
}

static void test_padding_is_skipped(void **state)
{
	struct onidev_port_status s;
	struct onidev_frame f;

	(void)state;
	assert_int_equal(onidev_frame_parse(table, port_bytes, 28, &f, NULL), 1);
	assert_int_equal(f.size, 10);
	assert_int_equal(f.wire, 28);
	assert_int_equal(onidev_decode_port_status(&f, &s), 0);
	assert_int_equal(s.code, ONIDEV_PORT_LOCK | ONIDEV_PORT_PARITY);
}

static void test_padding_content_is_free(void **state)
{
	struct onidev_frame f;
	uint8_t b[28];

	(void)state;
	memcpy(b, port_bytes, 28);
	memset(b + 26, 0xff, 2);
	assert_int_equal(onidev_frame_parse(table, b, 28, &f, NULL), 1);
}

static void test_every_cut_is_incomplete(void **state)
{
	struct onidev_frame f;
	size_t len;

	(void)state;
	for (len = 0; len < 28; len++) {
		uint8_t *p = exact(memory_bytes, len);

		assert_int_equal(onidev_frame_parse(table, p, len, &f, NULL), 0);
		free(p);
	}
}

static void expect_bad(uint32_t addr, uint32_t size, enum onidev_frame_error expected)
{
	enum onidev_frame_error why = ONIDEV_FRAME_OK;
	struct onidev_frame f;
	uint8_t b[64];

	memset(b, 0, sizeof(b));
	memcpy(b + 8, &addr, 4);
	memcpy(b + 12, &size, 4);
	errno = 0;
	assert_int_equal(onidev_frame_parse(table, b, sizeof(b), &f, &why), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(why, expected);
	assert_int_equal(f.addr, addr);
	assert_int_equal(f.size, size);
	assert_true(strlen(onidev_frame_reason(why)) > 10);
}

static void test_bad_headers(void **state)
{
	(void)state;
	expect_bad(0x04, 12, ONIDEV_FRAME_ADDR);		/* no row */
	expect_bad(0x03, 12, ONIDEV_FRAME_ADDR);		/* NULL row */
	expect_bad(0x1000a, 12, ONIDEV_FRAME_ADDR);		/* above 16 bits */
	expect_bad(0xffffffff, 12, ONIDEV_FRAME_ADDR);
	expect_bad(0x05, 12, ONIDEV_FRAME_SILENT);
	expect_bad(0x0a, 0, ONIDEV_FRAME_SIZE);
	expect_bad(0x0a, 11, ONIDEV_FRAME_SIZE);
	expect_bad(0x0a, 16, ONIDEV_FRAME_SIZE);
	expect_bad(0x0a, 0xffffffff, ONIDEV_FRAME_SIZE);	/* padding would overflow */
}

static void test_build_round_trip(void **state)
{
	struct onidev_frame f;
	uint8_t b[28];

	(void)state;
	memset(b, 0xcc, sizeof(b));
	assert_int_equal(onidev_frame_build(b, 27, 1, 1, port_bytes + 16, 10), 0);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(onidev_frame_build(b, 28, 0x100000, 1, port_bytes + 16, 10), 28);
	assert_memory_equal(b, port_bytes, 28);
	assert_int_equal(onidev_frame_parse(table, b, 28, &f, NULL), 1);
	assert_int_equal(onidev_frame_hub_clock(&f), 0x0fff00);
}

static void test_build_refuses_absurd_size(void **state)
{
	uint8_t b[32] = { 0 };

	(void)state;
	assert_int_equal(onidev_frame_build(b, sizeof(b), 0, 0, b, UINT32_MAX), 0);
	assert_int_equal(errno, ENOSPC);
}

static void test_neuropixels_clock_is_last(void **state)
{
	uint8_t sample[944] = { 0 }, b[960];
	struct onidev_frame f;
	uint64_t clock = 0x1122334455667788;

	(void)state;
	memcpy(sample + 936, &clock, 8);
	assert_int_equal(onidev_frame_build(b, sizeof(b), 0, 0x200, sample, 944), 960);
	assert_int_equal(onidev_frame_parse(table, b, sizeof(b), &f, NULL), 1);
	assert_true(onidev_frame_hub_clock(&f) == clock);
}

static void test_resync_finds_border(void **state)
{
	uint8_t b[8 + 4 * 28];
	size_t i;

	(void)state;
	memset(b, 0xa5, sizeof(b));
	for (i = 0; i < 4; i++)
		memcpy(b + 8 + 28 * i, i & 1 ? port_bytes : memory_bytes, 28);
	assert_int_equal(onidev_frame_resync(table, b, sizeof(b), 3), 8);
	/* In step already. */
	assert_int_equal(onidev_frame_resync(table, b + 8, sizeof(b) - 8, 3), 0);
}

static void test_resync_wants_a_chain(void **state)
{
	uint8_t b[28 + 28 + 4 * 28];
	size_t i;

	(void)state;
	/* One plausible header with rubbish behind it is no border. */
	memset(b, 0xa5, sizeof(b));
	memcpy(b, memory_bytes, 28);
	for (i = 0; i < 4; i++)
		memcpy(b + 56 + 28 * i, port_bytes, 28);
	assert_int_equal(onidev_frame_resync(table, b, sizeof(b), 3), 56);
}

static void test_resync_without_border(void **state)
{
	uint8_t b[63];
	size_t at;

	(void)state;
	memset(b, 0xa5, sizeof(b));
	at = onidev_frame_resync(table, b, sizeof(b), 2);
	assert_true(at + ONIDEV_FRAME_HEADER > 60 && at <= 60);
	assert_int_equal(onidev_frame_resync(table, b, 0, 2), 0);
}

/* --- decoders ------------------------------------------------------------------ */

static struct onidev_frame frame_of(uint32_t addr, const void *sample, uint32_t size)
{
	static uint8_t b[1024];
	struct onidev_frame f;
	size_t n = onidev_frame_build(b, sizeof(b), 7, addr, sample, size);

	assert_int_equal(onidev_frame_parse(table, b, n, &f, NULL), 1);
	return f;
}

static void test_rhd2164_order_and_scale(void **state)
{
	struct onidev_rhd2164 s;
	struct onidev_frame f;
	uint8_t sample[142];
	uint16_t w;
	int ch;

	(void)state;
	memset(sample, 0, sizeof(sample));
	sample[0] = 9;
	/* channel ch carries code 0x8000 + 10 * ch - 300 */
	for (ch = 0; ch < 64; ch++) {
		w = (uint16_t)(0x8000 + 10 * ch - 300);
		memcpy(sample + 8 + 2 * (ch < 32 ? 2 * ch : 2 * (ch - 32) + 1), &w, 2);
		assert_int_equal(onidev_rhd2164_slot((unsigned int)ch),
				 ch < 32 ? 2 * ch : 2 * (ch - 32) + 1);
	}
	for (ch = 0; ch < 3; ch++) {
		w = (uint16_t)(40000 + ch);
		memcpy(sample + 8 + 128 + 2 * ch, &w, 2);
	}
	f = frame_of(0x100, sample, sizeof(sample));
	assert_int_equal(onidev_decode_rhd2164(&f, &s), 0);
	assert_int_equal(s.hub_clock, 9);
	for (ch = 0; ch < 64; ch++)
		assert_int_equal(s.amp[ch], 10 * ch - 300);
	for (ch = 0; ch < 3; ch++)
		assert_int_equal(s.aux[ch], 40000 + ch);
	assert_true(ONIDEV_RHD_UV_PER_CODE == 0.195);
}

static void test_rhd2164_extremes(void **state)
{
	struct onidev_rhd2164 s;
	struct onidev_frame f;
	uint8_t sample[142];

	(void)state;
	memset(sample, 0, sizeof(sample));
	f = frame_of(0x100, sample, sizeof(sample));
	assert_int_equal(onidev_decode_rhd2164(&f, &s), 0);
	assert_int_equal(s.amp[0], INT16_MIN);
	memset(sample, 0xff, sizeof(sample));
	f = frame_of(0x100, sample, sizeof(sample));
	assert_int_equal(onidev_decode_rhd2164(&f, &s), 0);
	assert_int_equal(s.amp[63], INT16_MAX);
}

static void test_analog(void **state)
{
	int16_t codes[12] = { 0, 4, -4, 32764, -32768, 1, 2, 3, 4, 5, 6, 7 };
	uint8_t sample[32] = { 1 };
	struct onidev_analog s;
	struct onidev_frame f;

	(void)state;
	memcpy(sample + 8, codes, sizeof(codes));
	f = frame_of(6, sample, sizeof(sample));
	assert_int_equal(onidev_decode_analog(&f, &s), 0);
	assert_memory_equal(s.code, codes, sizeof(codes));
	assert_true(s.code[4] * onidev_analog_volts_per_code(0) == -10.0);
	assert_true(s.code[4] * onidev_analog_volts_per_code(1) == -2.5);
	assert_true(s.code[4] * onidev_analog_volts_per_code(2) == -5.0);
	assert_true(s.code[4] * onidev_analog_volts_per_code(3) == -10.0);
}

static void test_digital(void **state)
{
	uint8_t sample[12] = { 2, 0, 0, 0, 0, 0, 0, 0, 0xa5, 0x00, 0x21, 0x08 };
	struct onidev_digital s;
	struct onidev_frame f = frame_of(7, sample, sizeof(sample));

	(void)state;
	assert_int_equal(onidev_decode_digital(&f, &s), 0);
	assert_int_equal(s.inputs, 0xa5);
	assert_int_equal(s.buttons, ONIDEV_BUTTON_MOON | ONIDEV_BUTTON_SQUARE | ONIDEV_PORT_A_ON);
}

static void test_load(void **state)
{
	uint8_t sample[22] = { 3, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x27, 0, 0, 0, 0, 0, 0,
			       5, 0, 6, 0, 7, 0 };
	struct onidev_frame f = frame_of(0x0b, sample, sizeof(sample));
	struct onidev_load s;

	(void)state;
	assert_int_equal(onidev_decode_load(&f, &s), 0);
	assert_int_equal(s.delta, 10000);
	assert_int_equal(s.count, 3);
	assert_int_equal(s.words[2 * 2], 7);
}

static void test_bno055(void **state)
{
	int16_t v[14] = { 16 * 90, -16 * 45, 8, 16384, -8192, 0, 1, 981, -100, 50, 1, 2, -981 };
	struct onidev_frame f;
	struct onidev_bno055 s;
	uint8_t sample[36] = { 4 };

	(void)state;
	memcpy(sample + 8, v, 26);
	sample[34] = (uint8_t)-5;
	sample[35] = 0xe4;
	f = frame_of(0x101, sample, sizeof(sample));
	assert_int_equal(onidev_decode_bno055(&f, &s), 0);
	assert_true(s.euler_deg[0] == 90 && s.euler_deg[1] == -45 && s.euler_deg[2] == 0.5);
	assert_true(s.quaternion[0] == 1 && s.quaternion[1] == -0.5);
	assert_true(s.linear_ms2[0] == 9.81 && s.linear_ms2[1] == -1 && s.linear_ms2[2] == 0.5);
	assert_true(s.gravity_ms2[2] == -9.81);
	assert_int_equal(s.temperature_c, -5);
	assert_int_equal(s.calibration, 0xe4);
}

static void test_harp(void **state)
{
	uint8_t sample[12] = { 5, 0, 0, 0, 0, 0, 0, 0, 0x78, 0x56, 0x34, 0x12 };
	struct onidev_frame f = frame_of(0x0c, sample, sizeof(sample));
	struct onidev_harp s;

	(void)state;
	assert_int_equal(onidev_decode_harp(&f, &s), 0);
	assert_int_equal(s.seconds, 0x12345678);
}

/* No decoder may look at a sample of another size. */
static void test_decoders_check_size(void **state)
{
	uint8_t *p = exact("", 0);
	struct onidev_frame f = { .sample = p, .size = 0 };
	union {
		struct onidev_heartbeat a;
		struct onidev_port_status b;
		struct onidev_analog c;
		struct onidev_digital d;
		struct onidev_memory e;
		struct onidev_load g;
		struct onidev_rhd2164 h;
		struct onidev_bno055 i;
		struct onidev_harp j;
	} o;

	(void)state;
	assert_int_equal(onidev_decode_heartbeat(&f, &o.a), -1);
	assert_int_equal(onidev_decode_port_status(&f, &o.b), -1);
	assert_int_equal(onidev_decode_analog(&f, &o.c), -1);
	assert_int_equal(onidev_decode_digital(&f, &o.d), -1);
	assert_int_equal(onidev_decode_memory(&f, &o.e), -1);
	assert_int_equal(onidev_decode_load(&f, &o.g), -1);
	assert_int_equal(onidev_decode_rhd2164(&f, &o.h), -1);
	assert_int_equal(onidev_decode_bno055(&f, &o.i), -1);
	assert_int_equal(onidev_decode_harp(&f, &o.j), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(onidev_frame_hub_clock(&f), 0);
	free(p);
}

static void test_print_every_device(void **state)
{
	uint8_t sample[944] = { 0 };
	char line[512], tiny[8];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct onidev_frame f;

		if (!rows[i].read_size)
			continue;
		f = frame_of(rows[i].addr, sample, rows[i].read_size);
		assert_in_range(onidev_frame_print(&f, line, sizeof(line)), 3, sizeof(line) - 1);
		assert_null(strchr(line, '\n'));
		onidev_frame_print(&f, tiny, sizeof(tiny));
		assert_true(strlen(tiny) < sizeof(tiny));
	}
}

/* Random bytes and random damage: nothing but the three answers, and no stray access. */
static void test_random_damage(void **state)
{
	uint8_t good[28 * 16], *p;
	struct onidev_frame f;
	unsigned int seed = 1;
	size_t i, at, len;
	int round, rc;

	(void)state;
	for (i = 0; i < 16; i++)
		memcpy(good + 28 * i, i & 1 ? port_bytes : memory_bytes, 28);
	for (round = 0; round < 20000; round++) {
		len = (size_t)(rand_r(&seed) % (int)(sizeof(good) + 1));
		p = exact(good, len);
		for (i = 0; len && i < 3; i++)
			p[(size_t)rand_r(&seed) % len] ^= (uint8_t)(1u << (rand_r(&seed) % 8));
		for (at = 0; at < len; at += f.wire) {
			rc = onidev_frame_parse(table, p + at, len - at, &f, NULL);
			if (rc <= 0)
				break;
			assert_true(f.wire <= len - at && f.wire >= 24);
		}
		assert_true(onidev_frame_resync(table, p, len, 3) <= len);
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_example),
		cmocka_unit_test(test_padding_is_skipped),
		cmocka_unit_test(test_padding_content_is_free),
		cmocka_unit_test(test_every_cut_is_incomplete),
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_build_round_trip),
		cmocka_unit_test(test_build_refuses_absurd_size),
		cmocka_unit_test(test_neuropixels_clock_is_last),
		cmocka_unit_test(test_resync_finds_border),
		cmocka_unit_test(test_resync_wants_a_chain),
		cmocka_unit_test(test_resync_without_border),
		cmocka_unit_test(test_rhd2164_order_and_scale),
		cmocka_unit_test(test_rhd2164_extremes),
		cmocka_unit_test(test_analog),
		cmocka_unit_test(test_digital),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_bno055),
		cmocka_unit_test(test_harp),
		cmocka_unit_test(test_decoders_check_size),
		cmocka_unit_test(test_print_every_device),
		cmocka_unit_test(test_random_damage),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
