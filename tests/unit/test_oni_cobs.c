/* SPDX-License-Identifier: MIT */
/* unit-sources: driver/oni_cobs.c */
/*
 * The kernel's signal channel decoder (driver/oni_cobs.c) against byte-exact
 * packets of the ONI v1.0 specification and against garbage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver/oni_cobs.h"

/* Feed all bytes; returns the last result, counts packets and bad ones. */
static enum oni_cobs_result feed(struct oni_cobs *c, const uint8_t *p, size_t n,
				 struct oni_signal *sig, int *good, int *bad)
{
	enum oni_cobs_result res = ONI_COBS_MORE;
	size_t i;

	for (i = 0; i < n; i++) {
		res = oni_cobs_feed(c, p[i], sig);
		*good += res == ONI_COBS_PACKET;
		*bad += res == ONI_COBS_BAD;
	}
	return res;
}

static void expect_packet(const uint8_t *p, size_t n, const struct oni_signal *want)
{
	struct oni_cobs c = { 0 };
	struct oni_signal sig;
	int good = 0, bad = 0;

	memset(&sig, 0xcc, sizeof(sig));
	assert_int_equal(feed(&c, p, n, &sig, &good, &bad), ONI_COBS_PACKET);
	assert_int_equal(good, 1);
	assert_int_equal(bad, 0);
	assert_memory_equal(&sig, want, sizeof(sig));
}

static void acknowledgements(void **state)
{
	static const uint8_t flags[] = { 0x02, 0x04, 0x08, 0x10 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(flags); i++) {
		uint8_t p[] = { 2, flags[i], 1, 1, 1, 0 };
		struct oni_signal want = { .flag = flags[i] };

		expect_packet(p, sizeof(p), &want);
	}
}

static void table_announcement(void **state)
{
	static const uint8_t p[] = { 2, 0x20, 1, 1, 2, 2, 1, 1, 1, 0 };
	static const struct oni_signal want = {
		.flag = ONI_SIG_TABLEACK, .words = 1, .data = { 2 },
	};

	(void)state;
	expect_packet(p, sizeof(p), &want);
}

static void device_row(void **state)
{
	static const uint8_t p[] = {
		0x02, 0x40, 0x01, 0x01, 0x02, 0x0a, 0x01, 0x01, 0x02, 0x1c, 0x01, 0x01, 0x02,
		0x01, 0x01, 0x01, 0x02, 0x0c, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00,
	};
	static const struct oni_signal want = {
		.flag = ONI_SIG_DEVICE, .words = 5, .data = { 0x000a, 28, 1, 12, 0 },
	};

	(void)state;
	expect_packet(p, sizeof(p), &want);
}

/* Encode as a controller does, to try every length and many contents. */
static size_t stuff(const uint8_t *in, size_t n, uint8_t *out)
{
	size_t code = 0, o = 1, i;

	for (i = 0; i < n; i++) {
		if (!in[i]) {
			out[code] = o - code;
			code = o++;
		} else {
			out[o++] = in[i];
			if (o - code == 255) {
				out[code] = 255;
				code = o++;
			}
		}
	}
	out[code] = o - code;
	out[o++] = 0;
	return o;
}

static void any_device_row_survives(void **state)
{
	uint32_t words[6];
	uint8_t enc[64];
	int i, k;

	(void)state;
	srand(7);
	for (i = 0; i < 20000; i++) {
		struct oni_signal want = { .flag = ONI_SIG_DEVICE, .words = 5 };

		words[0] = ONI_SIG_DEVICE;
		for (k = 0; k < 5; k++) {
			/* Bytes of zero and of 0xff often. */
			uint32_t r = rand();

			words[k + 1] = r & 1 ? r & 0xff00ff00 : r | 0x00ff00ff;
			want.data[k] = words[k + 1];
		}
		expect_packet(enc, stuff((uint8_t *)words, sizeof(words), enc), &want);
	}
}

static void lone_delimiters_are_not_packets(void **state)
{
	static const uint8_t p[] = { 0, 0, 0, 2, 2, 1, 1, 1, 0, 0 };
	struct oni_cobs c = { 0 };
	struct oni_signal sig;
	int good = 0, bad = 0;

	(void)state;
	feed(&c, p, sizeof(p), &sig, &good, &bad);
	assert_int_equal(good, 1);
	assert_int_equal(bad, 0);
}

static void starts_in_the_middle_of_a_packet(void **state)
{
	static const uint8_t p[] = { 1, 1, 0, 2, 8, 1, 1, 1, 0 };
	struct oni_cobs c = { 0 };
	struct oni_signal sig;
	int good = 0, bad = 0;

	(void)state;
	assert_int_equal(feed(&c, p, sizeof(p), &sig, &good, &bad), ONI_COBS_PACKET);
	assert_int_equal(good, 1);
	assert_int_equal(bad, 1);
	assert_int_equal(sig.flag, ONI_SIG_RACK);
}

static void too_long_is_dropped_and_the_next_is_not(void **state)
{
	static const uint8_t ack[] = { 2, 2, 1, 1, 1, 0 };
	struct oni_cobs c = { 0 };
	struct oni_signal sig;
	int good = 0, bad = 0, i;
	uint8_t byte = 0x55;

	(void)state;
	for (i = 0; i < 1000; i++)
		feed(&c, &byte, 1, &sig, &good, &bad);
	byte = 0;
	feed(&c, &byte, 1, &sig, &good, &bad);
	assert_int_equal(bad, 1);
	feed(&c, ack, sizeof(ack), &sig, &good, &bad);
	assert_int_equal(good, 1);
}

static void refused(const uint8_t *p, size_t n)
{
	struct oni_cobs c = { 0 };
	struct oni_signal sig;
	int good = 0, bad = 0;

	assert_int_equal(feed(&c, p, n, &sig, &good, &bad), ONI_COBS_BAD);
	assert_int_equal(good, 0);
}

/* verifies: R23 */
static void nonsense_is_refused(void **state)
{
	static const uint8_t beyond[] = { 9, 2, 1, 1, 1, 0 };	/* code past the end */
	static const uint8_t brief[] = { 2, 2, 1, 1, 0 };	/* flag cut short */
	static const uint8_t two[] = { 2, 3, 1, 1, 1, 0 };	/* two flags at once */
	static const uint8_t none[] = { 1, 1, 1, 1, 1, 0 };	/* no flag */
	static const uint8_t high[] = { 1, 2, 1, 1, 1, 0 };	/* flag 0x100 */

	(void)state;
	refused(beyond, sizeof(beyond));
	refused(brief, sizeof(brief));
	refused(two, sizeof(two));
	refused(none, sizeof(none));
	refused(high, sizeof(high));
}

/*
 * Random bytes: never out of bounds (the sanitizers watch), never a lock-up.
 *
 * verifies: R23
 */
static void garbage_is_survived(void **state)
{
	static const uint8_t ack[] = { 0, 2, 2, 1, 1, 1, 0 };
	struct oni_cobs c = { 0 };
	struct oni_signal sig;
	int good = 0, bad = 0, i;

	(void)state;
	srand(3);
	for (i = 0; i < 1000000; i++) {
		uint8_t b = rand() % 8 ? rand() : 0;

		feed(&c, &b, 1, &sig, &good, &bad);
	}
	good = 0;
	feed(&c, ack, sizeof(ack), &sig, &good, &bad);
	assert_true(good >= 1);
	assert_int_equal(sig.flag, ONI_SIG_WACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acknowledgements),
		cmocka_unit_test(table_announcement),
		cmocka_unit_test(device_row),
		cmocka_unit_test(any_device_row_survives),
		cmocka_unit_test(lone_delimiters_are_not_packets),
		cmocka_unit_test(starts_in_the_middle_of_a_packet),
		cmocka_unit_test(too_long_is_dropped_and_the_next_is_not),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(garbage_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
