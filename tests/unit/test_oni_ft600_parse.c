/* SPDX-License-Identifier: MIT */
/* unit-sources: driver/oni_ft600_parse.c driver/oni_cobs.c */
/*
 * The bytes of the FT600 bridge and of the board behind it
 * (driver/oni_ft600_parse.c): byte-exact packets, a reply stream that is split
 * anywhere, and the credit of a pipe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver/oni_cobs.h"
#include "driver/oni_ft600_parse.h"

/* --- encoders ---------------------------------------------------------------------------------- */

static void session_packets(void **state)
{
	static const uint8_t read[] = {
		1, 0, 0, 0, 0x82, 1, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	static const uint8_t stream[] = {
		0x04, 0x03, 0x02, 0x01, 0x82, 2, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	static const uint8_t flush[] = { 2, 0, 0, 0, 0x83, 3 };
	static const uint8_t longest[] = { 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11 };
	uint8_t buf[FT600_SESSION_BYTES + 1];

	(void)state;
	assert_int_equal(FT600_SESSION_BYTES, 20);
	memset(buf, 0xcc, sizeof(buf));
	oni_ft600_session(buf, 1, FT600_EP_DATA, FT600_SESSION_READ, 1 << 20);
	assert_memory_equal(buf, read, 20);
	assert_int_equal(buf[20], 0xcc);
	oni_ft600_session(buf, 0x01020304, FT600_EP_DATA, FT600_SESSION_STREAM, 0x40000000);
	assert_memory_equal(buf, stream, 20);
	oni_ft600_session(buf, 2, FT600_EP_REPLY, FT600_SESSION_FLUSH, 0);
	assert_memory_equal(buf, flush, sizeof(flush));
	assert_int_equal(buf[8] | buf[9] | buf[10] | buf[11], 0);
	oni_ft600_session(buf, 3, FT600_EP_DATA, FT600_SESSION_READ, 0x1122334455667788);
	assert_memory_equal(buf + 8, longest, 8);
	assert_int_equal(buf[16] | buf[17] | buf[18] | buf[19], 0);
}

static void commands(void **state)
{
	static const uint8_t write[] = { 1, 4, 0, 0, 0, 0x78, 0x56, 0x34, 0x12 };
	static const uint8_t read[] = { 2, 8, 0, 0, 0 };
	static const uint8_t priority[] = { 3, 0, 0, 0x0a, 0x0a };
	uint8_t buf[ONI_FT600_COMMAND_BYTES + 1];

	(void)state;
	memset(buf, 0xcc, sizeof(buf));
	assert_int_equal(oni_ft600_read_reg(buf, 8), sizeof(read));
	assert_memory_equal(buf, read, sizeof(read));
	assert_int_equal(buf[sizeof(read)], 0xcc);
	assert_int_equal(oni_ft600_priority(buf), sizeof(priority));
	assert_memory_equal(buf, priority, sizeof(priority));
	assert_int_equal(buf[sizeof(priority)], 0xcc);
	assert_int_equal(oni_ft600_write_reg(buf, 4, 0x12345678), sizeof(write));
	assert_memory_equal(buf, write, sizeof(write));
	assert_int_equal(buf[sizeof(write)], 0xcc);
}

static void pins(void **state)
{
	(void)state;
	assert_int_equal(FT600_GPIO0(1) | FT600_GPIO1(1), 0x2d);
	assert_int_equal(FT600_GPIO0(0), 0x04);
	assert_int_equal(FT600_GPIO0(1), 0x05);
}

/* verifies: R23 */
static void settings_of_the_chip(void **state)
{
	uint8_t config[FT600_CONFIG_BYTES];

	(void)state;
	memset(config, 0xff, sizeof(config));
	config[FT600_CONFIG_MODE] = 1;
	config[FT600_CONFIG_OPTIONS] = 0;
	config[FT600_CONFIG_OPTIONS + 1] = 0;
	assert_true(oni_ft600_config_ok(config));
	config[FT600_CONFIG_MODE] = 0;
	assert_false(oni_ft600_config_ok(config));
	config[FT600_CONFIG_MODE] = 2;
	assert_false(oni_ft600_config_ok(config));
	config[FT600_CONFIG_MODE] = 1;
	config[FT600_CONFIG_OPTIONS] = 4;
	assert_false(oni_ft600_config_ok(config));
	config[FT600_CONFIG_OPTIONS] = 0;
	config[FT600_CONFIG_OPTIONS + 1] = 4;
	assert_false(oni_ft600_config_ok(config));
}

/* --- replies ----------------------------------------------------------------------------------- */

/* What came out of a stream: values, signal bytes, strays, each in order. */
struct out {
	uint32_t value[16];
	size_t values;
	uint8_t signal[256];
	size_t signals;
	size_t strays;
};

static void feed(struct oni_ft600_parser *p, struct out *o, const uint8_t *data, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		switch (oni_ft600_feed(p, data[i])) {
		case ONI_FT600_VALUE:
			assert_true(o->values < 16);
			o->value[o->values++] = p->value;
			break;
		case ONI_FT600_SIGNAL:
			assert_true(o->signals < sizeof(o->signal));
			o->signal[o->signals++] = data[i];
			break;
		case ONI_FT600_STRAY:
			o->strays++;
			break;
		case ONI_FT600_MORE:
			break;
		}
	}
}

static void a_value(void **state)
{
	static const uint8_t data[] = { 2, 0x80, 0xf0, 0xfa, 0x02 };
	struct oni_ft600_parser p = { 0 };
	struct out o = { .values = 0 };

	(void)state;
	feed(&p, &o, data, sizeof(data));
	assert_int_equal(o.values, 1);
	assert_int_equal(o.value[0], 50000000);
	assert_int_equal(o.signals + o.strays, 0);
}

/* A value of bytes that look like tags, and a packet of bytes that look like them. */
static void items_are_told_apart_by_their_place(void **state)
{
	static const uint8_t data[] = { 2, 2, 1, 0, 3, 1, 2, 2, 1, 1, 1, 0, 2, 0, 0, 0, 0 };
	static const uint8_t signal[] = { 2, 2, 1, 1, 1, 0 };
	struct oni_ft600_parser p = { 0 };
	struct out o = { .values = 0 };

	(void)state;
	feed(&p, &o, data, sizeof(data));
	assert_int_equal(o.values, 2);
	assert_int_equal(o.value[0], 0x03000102);
	assert_int_equal(o.value[1], 0);
	assert_int_equal(o.signals, sizeof(signal));
	assert_memory_equal(o.signal, signal, sizeof(signal));
	assert_int_equal(o.strays, 0);
}

static void other_bytes_are_skipped_one_by_one(void **state)
{
	static const uint8_t data[] = { 0, 3, 0xff, 2, 1, 0, 0, 0, 0x40, 1, 0, 0 };
	struct oni_ft600_parser p = { 0 };
	struct out o = { .values = 0 };

	(void)state;
	feed(&p, &o, data, sizeof(data));
	assert_int_equal(o.values, 1);
	assert_int_equal(o.value[0], 1);
	/* An empty packet is one all the same. */
	assert_int_equal(o.signals, 1);
	assert_int_equal(o.strays, 5);
}

/* The stream of a register read and a small table, in three pieces, cut everywhere. */
static const uint8_t stream[] = {
	2, 0x80, 0xf0, 0xfa, 0x02,
	1, 2, 0x20, 1, 1, 2, 1, 1, 1, 1, 0,
	1, 0x02, 0x40, 0x01, 0x01, 0x02, 0x0a, 0x01, 0x01, 0x02, 0x1c, 0x01, 0x01, 0x02,
	0x01, 0x01, 0x01, 0x02, 0x0c, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00,
	0x77,
	2, 1, 2, 0, 1,
	1, 2, 8, 1, 1, 1, 0,
};

static void any_split_gives_the_same(void **state)
{
	struct out whole = { .values = 0 };
	struct oni_ft600_parser p = { 0 };
	size_t a, b;

	(void)state;
	feed(&p, &whole, stream, sizeof(stream));
	assert_int_equal(whole.values, 2);
	assert_int_equal(whole.strays, 1);
	for (a = 0; a <= sizeof(stream); a++) {
		for (b = a; b <= sizeof(stream); b++) {
			struct out o = { .values = 0 };

			memset(&p, 0, sizeof(p));
			feed(&p, &o, stream, a);
			feed(&p, &o, stream + a, b - a);
			feed(&p, &o, stream + b, sizeof(stream) - b);
			assert_memory_equal(&o, &whole, sizeof(o));
		}
	}
}

/* What the core makes of the signal bytes of that stream. */
static void signal_bytes_are_those_of_the_core(void **state)
{
	static const uint32_t flags[] = { ONI_SIG_TABLEACK, ONI_SIG_DEVICE, ONI_SIG_RACK };
	struct oni_ft600_parser p = { 0 };
	struct out o = { .values = 0 };
	struct oni_cobs c = { 0 };
	struct oni_signal sig;
	size_t i, n = 0;

	(void)state;
	feed(&p, &o, stream, sizeof(stream));
	for (i = 0; i < o.signals; i++) {
		enum oni_cobs_result res = oni_cobs_feed(&c, o.signal[i], &sig);

		assert_int_not_equal(res, ONI_COBS_BAD);
		if (res == ONI_COBS_PACKET) {
			assert_true(n < 3);
			assert_int_equal(sig.flag, flags[n++]);
		}
	}
	assert_int_equal(n, 3);
}

/*
 * Whatever went before, one zero and a value later the stream is understood again.
 *
 * verifies: R23
 */
static void finds_its_way_back(void **state)
{
	static const uint8_t way[] = { 0, 0, 0, 0, 0, 2, 0x44, 0x33, 0x22, 0x11 };
	struct oni_ft600_parser p = { 0 };
	struct out o;
	int i, k;

	(void)state;
	srand(5);
	for (i = 0; i < 100000; i++) {
		for (k = rand() % 12; k; k--)
			oni_ft600_feed(&p, rand() % 3 ? rand() % 4 : rand());
		memset(&o, 0, sizeof(o));
		feed(&p, &o, way, sizeof(way));
		assert_true(o.values >= 1);
		assert_int_equal(o.value[o.values - 1], 0x11223344);
	}
}

/* --- credit ------------------------------------------------------------------------------------ */

static void a_grant_is_a_whole_number_of_transfers(void **state)
{
	struct oni_ft600_credit c;

	(void)state;
	oni_ft600_credit_init(&c, 1 << 20, 4096);
	assert_int_equal(c.grant, 1 << 20);
	oni_ft600_credit_init(&c, 1 << 20, 24 * 1024);
	assert_int_equal(c.grant, 42 * 24 * 1024);
	assert_true(c.grant > (1 << 20) - 24 * 1024);
	oni_ft600_credit_init(&c, 512, 1024);
	assert_int_equal(c.grant, 1024);
	oni_ft600_credit_init(&c, 0x40000000, 32768);
	assert_int_equal(c.grant, 0x40000000);
}

static void a_session_is_renewed_when_it_is_used_up(void **state)
{
	struct oni_ft600_credit c;
	int round, i;

	(void)state;
	oni_ft600_credit_init(&c, 10 * 1024, 1024);
	for (round = 0; round < 3; round++) {
		oni_ft600_credit_renew(&c);
		for (i = 0; i < 9; i++)
			assert_false(oni_ft600_credit_use(&c, 1024));
		assert_true(oni_ft600_credit_use(&c, 1024));
	}
}

static void a_short_transfer_ends_a_session(void **state)
{
	static const uint32_t shorts[] = { 0, 1, 4, 1020, 1023 };
	struct oni_ft600_credit c;
	size_t i;

	(void)state;
	oni_ft600_credit_init(&c, 10 * 1024, 1024);
	for (i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++) {
		oni_ft600_credit_renew(&c);
		assert_false(oni_ft600_credit_use(&c, 1024));
		assert_true(oni_ft600_credit_use(&c, shorts[i]));
		assert_int_equal(c.left, 0);
	}
	/* One that comes after the end, before the next request, changes nothing. */
	assert_true(oni_ft600_credit_use(&c, 1024));
	assert_int_equal(c.left, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(session_packets),
		cmocka_unit_test(commands),
		cmocka_unit_test(pins),
		cmocka_unit_test(settings_of_the_chip),
		cmocka_unit_test(a_value),
		cmocka_unit_test(items_are_told_apart_by_their_place),
		cmocka_unit_test(other_bytes_are_skipped_one_by_one),
		cmocka_unit_test(any_split_gives_the_same),
		cmocka_unit_test(signal_bytes_are_those_of_the_core),
		cmocka_unit_test(finds_its_way_back),
		cmocka_unit_test(a_grant_is_a_whole_number_of_transfers),
		cmocka_unit_test(a_session_is_renewed_when_it_is_used_up),
		cmocka_unit_test(a_short_transfer_ends_a_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
