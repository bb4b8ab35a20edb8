/* SPDX-License-Identifier: MIT */
/* unit-sources: driver/oni_table.c */
/*
 * What the kernel believes of a device table and of write frames
 * (driver/oni_table.c): each rule at its border, one wrong thing per case.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver/oni_table.h"

#define POISON	0xccccccccu

/* A row packet that is right in everything. */
static struct oni_signal good_row(void)
{
	return (struct oni_signal){
		.flag = ONI_SIG_DEVICE, .words = ONI_SIG_DEVICE_WORDS,
		.data = { 0x100, 3, 1, 142, 8 },
	};
}

static int row_with(unsigned int word, uint32_t value)
{
	struct oni_signal sig = good_row();
	struct oni_device row;

	sig.data[word] = value;
	return oni_table_row(&sig, &row);
}

static int announced(uint32_t words, uint32_t value, uint32_t *rows)
{
	struct oni_signal sig = { .flag = ONI_SIG_TABLEACK, .words = words, .data = { value } };

	*rows = POISON;
	return oni_table_announced(&sig, rows);
}

/* --- the number of rows ------------------------------------------------------------- */

/* verifies: R23 */
static void a_table_has_1_to_1024_rows(void **state)
{
	uint32_t rows;

	(void)state;
	assert_int_equal(announced(1, 1, &rows), 0);
	assert_int_equal(rows, 1);
	assert_int_equal(announced(1, 1024, &rows), 0);
	assert_int_equal(rows, 1024);
	assert_int_equal(announced(1, 0, &rows), -EPROTO);
	assert_int_equal(announced(1, 1025, &rows), -EPROTO);
	assert_int_equal(announced(1, 65535, &rows), -EPROTO);
	assert_int_equal(announced(1, UINT32_MAX, &rows), -EPROTO);
	assert_int_equal(rows, POISON);
}

/* What stands in a packet's words beyond those it has is of an older one. */
static void a_number_must_be_there(void **state)
{
	uint32_t rows;

	(void)state;
	assert_int_equal(announced(0, 5, &rows), -EPROTO);
	assert_int_equal(rows, POISON);
	assert_int_equal(announced(2, 5, &rows), 0);
}

/* --- a row --------------------------------------------------------------------------- */

static void a_row_is_taken_word_by_word(void **state)
{
	struct oni_signal sig = good_row();
	struct oni_device row;

	(void)state;
	memset(&row, 0xcc, sizeof(row));
	assert_int_equal(oni_table_row(&sig, &row), 0);
	assert_int_equal(row.addr, 0x100);
	assert_int_equal(row.id, 3);
	assert_int_equal(row.version, 1);
	assert_int_equal(row.read_size, 142);
	assert_int_equal(row.write_size, 8);
	assert_int_equal(row.reserved[0] | row.reserved[1] | row.reserved[2], 0);
}

static void a_row_needs_its_flag_and_five_words(void **state)
{
	static const uint32_t other[] = {
		0, ONI_SIG_NULL, ONI_SIG_WACK, ONI_SIG_WNACK, ONI_SIG_RACK, ONI_SIG_RNACK,
		ONI_SIG_TABLEACK, ONI_SIG_DEVICE | ONI_SIG_RACK, UINT32_MAX,
	};
	struct oni_signal sig = good_row();
	struct oni_device row;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		sig.flag = other[i];
		assert_int_equal(oni_table_row(&sig, &row), -EPROTO);
	}
	for (i = 0; i < ONI_SIG_DEVICE_WORDS; i++) {
		sig = good_row();
		sig.words = (uint32_t)i;
		assert_int_equal(oni_table_row(&sig, &row), -EPROTO);
	}
}

static void an_address_is_a_hub_and_a_device_below_0xfe(void **state)
{
	static const uint32_t good[] = { 0, 0xfd, 0x100, 0x1fd, 0xff00, 0xfffd };
	static const uint32_t bad[] = {
		0xfe, 0xff, 0x1fe, 0x1ff, 0xfffe, 0xffff, 0x10000, 0x10100, 0x80000000, UINT32_MAX,
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(row_with(0, good[i]), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(row_with(0, bad[i]), -EPROTO);
}

/* verifies: R23 */
static void a_sample_is_at_most_256_kib(void **state)
{
	unsigned int word;

	(void)state;
	for (word = 3; word <= 4; word++) {	/* read size, write size */
		assert_int_equal(row_with(word, 0), 0);
		assert_int_equal(row_with(word, 1), 0);
		assert_int_equal(row_with(word, 256 * 1024), 0);
		assert_int_equal(row_with(word, 256 * 1024 + 1), -EPROTO);
		assert_int_equal(row_with(word, 0x80000000), -EPROTO);
		assert_int_equal(row_with(word, UINT32_MAX), -EPROTO);
	}
}

/* Ids and versions are not known here; every one may come. */
static void any_id_and_version_is_taken(void **state)
{
	(void)state;
	assert_int_equal(row_with(1, 0), 0);
	assert_int_equal(row_with(1, UINT32_MAX), 0);
	assert_int_equal(row_with(2, 0), 0);
	assert_int_equal(row_with(2, UINT32_MAX), 0);
}

/* --- the whole table ------------------------------------------------------------------- */

/* @n rows with ids that name their address, in an order made from @seed. */
static void shuffled(struct oni_device *table, uint32_t n, unsigned int seed)
{
	uint32_t i, j;

	srand(seed);
	for (i = 0; i < n; i++)
		table[i] = (struct oni_device){ .addr = i / 200 << 8 | i % 200, .id = i + 1 };
	for (i = n - 1; i > 0; i--) {
		struct oni_device t = table[i];

		j = (uint32_t)rand() % (i + 1);
		table[i] = table[j];
		table[j] = t;
	}
}

static void rows_are_sorted_by_address(void **state)
{
	static struct oni_device table[ONI_MAX_ROWS];
	static const uint32_t sizes[] = { 1, 2, 3, 17, ONI_MAX_ROWS };
	uint32_t i, n;
	size_t k;

	(void)state;
	for (k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		n = sizes[k];
		shuffled(table, n, (unsigned int)k);
		assert_int_equal(oni_table_check(table, n), 0);
		for (i = 0; i < n; i++) {
			assert_int_equal(table[i].addr, i / 200 << 8 | i % 200);
			assert_int_equal(table[i].id, i + 1);	/* the row came along */
		}
	}
}

/* Unsigned: the highest address is not a negative number. */
static void order_is_unsigned(void **state)
{
	struct oni_device table[] = { { .addr = UINT32_MAX }, { .addr = 1 }, { .addr = 0x80000000 } };

	(void)state;
	assert_int_equal(oni_table_check(table, 3), 0);
	assert_int_equal(table[0].addr, 1);
	assert_int_equal(table[2].addr, UINT32_MAX);
}

static void an_address_occurs_once(void **state)
{
	static struct oni_device table[ONI_MAX_ROWS];
	static const struct {
		uint32_t from, to;
	} twice[] = { { 0, 1 }, { 0, ONI_MAX_ROWS - 1 }, { 500, 501 }, { 7, 900 } };
	size_t k;

	(void)state;
	for (k = 0; k < sizeof(twice) / sizeof(twice[0]); k++) {
		shuffled(table, ONI_MAX_ROWS, (unsigned int)k);
		table[twice[k].to].addr = table[twice[k].from].addr;
		assert_int_equal(oni_table_check(table, ONI_MAX_ROWS), -EPROTO);
	}
	/* NULL rows are rows: two of them at one address are as wrong. */
	memset(table, 0, 2 * sizeof(table[0]));
	assert_int_equal(oni_table_check(table, 2), -EPROTO);
	assert_int_equal(oni_table_check(table, 1), 0);
	assert_int_equal(oni_table_check(table, 0), 0);
}

/* --- largest frames ---------------------------------------------------------------------- */

static void frames_of(uint32_t read_size, uint32_t write_size, uint32_t rd, uint32_t wr)
{
	/* Smaller ones on both sides: the largest counts, wherever it stands. */
	struct oni_device table[] = {
		{ .read_size = read_size ? 1 : 0 },
		{ .read_size = read_size, .write_size = write_size },
		{ .write_size = write_size ? 1 : 0 },
	};
	uint32_t max_read = POISON, max_write = POISON;

	oni_table_frames(table, 3, &max_read, &max_write);
	assert_int_equal(max_read, rd);
	assert_int_equal(max_write, wr);
}

static void largest_frames_have_header_and_padding(void **state)
{
	uint32_t max_read = POISON, max_write = POISON;

	(void)state;
	frames_of(0, 0, 0, 0);
	frames_of(1, 0, 16 + 4, 0);
	frames_of(4, 0, 16 + 4, 0);
	frames_of(142, 8, 16 + 144, 8 + 8);
	frames_of(0, 5, 0, 8 + 8);
	frames_of(ONI_MAX_SAMPLE, ONI_MAX_SAMPLE, 256 * 1024 + 16, 256 * 1024 + 8);
	frames_of(ONI_MAX_SAMPLE - 1, ONI_MAX_SAMPLE - 3, 256 * 1024 + 16, 256 * 1024 + 8);
	oni_table_frames(NULL, 0, &max_read, &max_write);
	assert_int_equal(max_read, 0);
	assert_int_equal(max_write, 0);
}

/* --- looking up --------------------------------------------------------------------------- */

static const struct oni_device some[] = {
	{ .addr = 0x000, .id = 35, .read_size = 8 },
	{ .addr = 0x001, .id = 23 },
	{ .addr = 0x100, .id = 0 },		/* a NULL row, the only one of hub 1 */
	{ .addr = 0x2fd, .id = 3, .read_size = 142 },
};

static int find(uint32_t addr, struct oni_device *row)
{
	memset(row, 0xcc, sizeof(*row));
	return oni_table_find(some, 4, addr, row);
}

static void devices_are_found_by_their_whole_address(void **state)
{
	struct oni_device row;

	(void)state;
	assert_int_equal(find(0x001, &row), 0);
	assert_memory_equal(&row, &some[1], sizeof(row));
	assert_int_equal(find(0x2fd, &row), 0);
	assert_memory_equal(&row, &some[3], sizeof(row));
	assert_int_equal(find(0x002, &row), -ENOENT);
	assert_int_equal(find(0x101, &row), -ENOENT);
	assert_int_equal(find(0x10001, &row), -ENOENT);
	assert_int_equal(find(UINT32_MAX, &row), -ENOENT);
	assert_int_equal(row.addr, POISON);
	assert_int_equal(oni_table_find(some, 0, 0, &row), -ENOENT);
}

static void a_null_row_is_no_device(void **state)
{
	struct oni_device row;

	(void)state;
	assert_int_equal(find(0x100, &row), -ENOENT);
}

/* Its registers tell what a hub is, so every hub that has a row has one; its id is 0. */
static void a_hub_with_a_row_has_an_information_device(void **state)
{
	static const uint32_t hubs[] = { 0x0fe, 0x1fe, 0x2fe };
	struct oni_device row;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(find(hubs[i], &row), 0);
		assert_int_equal(row.addr, hubs[i]);
		assert_int_equal(row.id | row.version | row.read_size | row.write_size, 0);
	}
	assert_int_equal(find(0x3fe, &row), -ENOENT);
	assert_int_equal(find(0x0ff, &row), -ENOENT);
	/* Above the address space, though its low bits look like hub 0. */
	assert_int_equal(find(0x100fe, &row), -ENOENT);
}

/* --- write frames --------------------------------------------------------------------------- */

static struct oni_write_frame frame;

/* The frame at @pos of @words words; @frame is poisoned first. */
static int at(const uint32_t *buf, size_t words, size_t pos)
{
	memset(&frame, 0xcc, sizeof(frame));
	return oni_write_frame_at(buf, words, pos, &frame);
}

static void whole_frames_follow_one_another(void **state)
{
	const uint32_t buf[] = {
		htole32(0x107), htole32(1), 11,
		htole32(0x2fd), htole32(3), 21, 22, 23,
	};

	(void)state;
	assert_int_equal(at(buf, 8, 0), 0);
	assert_int_equal(frame.addr, 0x107);
	assert_int_equal(frame.words, 1);
	assert_int_equal(frame.next, 3);
	assert_int_equal(at(buf, 8, frame.next), 0);
	assert_int_equal(frame.addr, 0x2fd);
	assert_int_equal(frame.words, 3);
	assert_int_equal(frame.next, 8);	/* the end: nothing is left over */
}

/* verifies: R23 */
static void torn_frames_are_refused(void **state)
{
	const uint32_t buf[] = { htole32(0x107), htole32(3), 1, 2, 3 };
	size_t words;

	(void)state;
	for (words = 1; words < 5; words++)
		assert_int_equal(at(buf, words, 0), -EINVAL);
	assert_int_equal(at(buf, 5, 0), 0);
	/* A header torn at the end of what was written. */
	assert_int_equal(at(buf, 5, 4), -EINVAL);
	assert_int_equal(frame.words, POISON);
}

static void a_frame_has_a_payload(void **state)
{
	const uint32_t buf[] = { htole32(0x107), 0, 1 };

	(void)state;
	assert_int_equal(at(buf, 2, 0), -EINVAL);
	assert_int_equal(at(buf, 3, 0), -EINVAL);
}

/*
 * The length is what user space says: no sum of it may wrap.
 *
 * verifies: R23
 */
static void overlong_frames_are_refused(void **state)
{
	static const uint32_t lengths[] = {
		4, 0x3fffffff, 0x40000000, 0x40000003, 0x7fffffff, 0x80000000, UINT32_MAX - 2,
		UINT32_MAX - 1, UINT32_MAX,
	};
	uint32_t buf[] = { htole32(0x107), 0, 1, 2, 3 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		buf[1] = htole32(lengths[i]);
		assert_int_equal(at(buf, 5, 0), -EINVAL);
	}
}

/*
 * A buffer of any words is cut into frames inside it, or refused, and it ends.
 *
 * verifies: R23
 */
static void any_words_end(void **state)
{
	uint32_t buf[64];
	size_t pos, i, round, whole = 0;

	(void)state;
	srand(7);
	for (round = 0; round < 20000; round++) {
		size_t words = (size_t)rand() % 64 + 1;

		for (i = 0; i < words; i++)
			buf[i] = htole32((uint32_t)rand() % (rand() % 4 ? 8 : UINT32_MAX));
		for (pos = 0; pos < words && at(buf, words, pos) == 0; pos = frame.next) {
			assert_true(frame.next > pos + 2 && frame.next <= words);
			assert_true(frame.next == pos + 2 + frame.words);
		}
		whole += pos == words;
	}
	assert_true(whole > 100);	/* both ends were seen */
	assert_true(whole < 20000);
}

static bool fits(uint32_t words, uint32_t write_size)
{
	const struct oni_write_frame f = { .words = words };
	const struct oni_device row = { .write_size = write_size };

	return oni_write_frame_fits(&f, &row);
}

static void payloads_are_multiples_of_the_write_size(void **state)
{
	(void)state;
	assert_true(fits(1, 4));
	assert_true(fits(7, 4));
	assert_true(fits(1, 1));
	assert_true(fits(2, 8));
	assert_true(fits(6, 8));
	assert_false(fits(1, 8));
	assert_false(fits(3, 8));
	assert_false(fits(1, 3));
	assert_true(fits(3, 3));
	assert_false(fits(1, ONI_MAX_SAMPLE));
	assert_true(fits(ONI_MAX_SAMPLE / 4, ONI_MAX_SAMPLE));
}

/* Every word of the payload counts, and no word of header or neighbours. */
static void bits_are_those_of_the_payload(void **state)
{
	uint32_t buf[] = {
		htole32(~0u), htole32(1), htole32(0x80000000),
		htole32(0xf0f0), htole32(3), htole32(0x1), htole32(0x200), htole32(0x30000),
		htole32(~0u), htole32(1), htole32(0),
	};
	static const uint32_t bits[] = { 0x80000000, 0x30201, 0 };
	const size_t words = sizeof(buf) / sizeof(buf[0]);
	struct oni_write_frame f = { .next = 0 };
	size_t pos, i = 0;

	(void)state;
	for (pos = 0; pos < words; pos = f.next, i++) {
		assert_int_equal(oni_write_frame_at(buf, words, pos, &f), 0);
		assert_int_equal(oni_write_frame_bits(buf, &f), bits[i]);
	}
	assert_int_equal(i, 3);
}

static void a_frame_that_is_made_can_be_read(void **state)
{
	uint32_t buf[6] = { 0, 0, 0, 0, 0, 0x5a5a5a5a };
	struct oni_write_frame f;

	(void)state;
	assert_int_equal(oni_write_frame_fill(buf, 0x103, 3, 0x80018000), 5);
	assert_int_equal(oni_write_frame_at(buf, 5, 0, &f), 0);
	assert_int_equal(f.addr, 0x103);
	assert_int_equal(f.words, 3);
	assert_int_equal(f.next, 5);
	assert_int_equal(le32toh(buf[2]), 0x80018000);
	assert_int_equal(le32toh(buf[4]), 0x80018000);
	assert_int_equal(buf[5], 0x5a5a5a5a);
}

static void a_device_without_write_size_takes_nothing(void **state)
{
	(void)state;
	assert_false(fits(1, 0));
	assert_false(fits(0, 0));
}

/* In 32 bits the bytes of 4 GiB and more would be few again, and 3 divides 0. */
static void payloads_stay_below_4_gib(void **state)
{
	(void)state;
	assert_true(fits(0x3fffffff, 4));
	assert_true(fits(0x3fffffff, 12));
	assert_false(fits(0x3fffffff, 8));
	assert_false(fits(0x40000000, 3));
	assert_false(fits(0x40000000, 4));
	assert_false(fits(0x40000001, 4));
	assert_false(fits(UINT32_MAX, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_has_1_to_1024_rows),
		cmocka_unit_test(a_number_must_be_there),
		cmocka_unit_test(a_row_is_taken_word_by_word),
		cmocka_unit_test(a_row_needs_its_flag_and_five_words),
		cmocka_unit_test(an_address_is_a_hub_and_a_device_below_0xfe),
		cmocka_unit_test(a_sample_is_at_most_256_kib),
		cmocka_unit_test(any_id_and_version_is_taken),
		cmocka_unit_test(rows_are_sorted_by_address),
		cmocka_unit_test(order_is_unsigned),
		cmocka_unit_test(an_address_occurs_once),
		cmocka_unit_test(largest_frames_have_header_and_padding),
		cmocka_unit_test(devices_are_found_by_their_whole_address),
		cmocka_unit_test(a_null_row_is_no_device),
		cmocka_unit_test(a_hub_with_a_row_has_an_information_device),
		cmocka_unit_test(whole_frames_follow_one_another),
		cmocka_unit_test(torn_frames_are_refused),
		cmocka_unit_test(a_frame_has_a_payload),
		cmocka_unit_test(overlong_frames_are_refused),
		cmocka_unit_test(any_words_end),
		cmocka_unit_test(payloads_are_multiples_of_the_write_size),
		cmocka_unit_test(bits_are_those_of_the_payload),
		cmocka_unit_test(a_frame_that_is_made_can_be_read),
		cmocka_unit_test(a_device_without_write_size_takes_nothing),
		cmocka_unit_test(payloads_stay_below_4_gib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
