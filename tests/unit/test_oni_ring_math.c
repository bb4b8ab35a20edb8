/* SPDX-License-Identifier: MIT */
/* unit-sources: */
/*
 * Ring arithmetic of the driver (driver/oni_ring_math.h), above all its edges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "driver/oni_ring_math.h"

static void tail_moves_forward_only(void **state)
{
	(void)state;
	assert_true(oni_ring_tail_ok(100, 40, 40));
	assert_true(oni_ring_tail_ok(100, 40, 100));
	assert_false(oni_ring_tail_ok(100, 40, 39));
	assert_false(oni_ring_tail_ok(100, 40, 101));
	assert_false(oni_ring_tail_ok(100, 40, UINT64_MAX));
	assert_true(oni_ring_tail_ok(UINT64_MAX, 0, UINT64_MAX));
}

static void room_ends_exactly_at_the_tail(void **state)
{
	(void)state;
	assert_true(oni_ring_fits(0, 0, 65536, 65536));
	assert_false(oni_ring_fits(0, 0, 65536, 65537));
	assert_false(oni_ring_fits(4, 0, 65536, 65536));
	assert_true(oni_ring_fits(4, 4, 65536, 65536));
	assert_true(oni_ring_fits(61440, 0, 65536, 4096));
	assert_false(oni_ring_fits(61444, 0, 65536, 4096));
	/* Far into a long run the result is the same. */
	assert_true(oni_ring_fits(UINT64_MAX, UINT64_MAX - 61440, 65536, 4096));
	assert_false(oni_ring_fits(UINT64_MAX, UINT64_MAX - 61441, 65536, 4096));
}

/*
 * Of a position p nothing is lost at claim = p + size, its first byte at one more;
 * below one ring nothing can have been overwritten at all.
 */
static void lapped_exactly_one_ring_behind_the_claim(void **state)
{
	static const uint64_t size = 65536;
	static const uint64_t pos[] = { 0, 4, 4096, 65532, 65536, 1000000004, UINT64_MAX - 65537 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pos) / sizeof(pos[0]); i++) {
		assert_false(oni_ring_lapped(pos[i] + size, pos[i], size));
		assert_true(oni_ring_lapped(pos[i] + size + 1, pos[i], size));
		assert_false(oni_ring_lapped(pos[i], pos[i], size));
	}
	for (i = 0; i <= size; i += 4096)
		assert_false(oni_ring_lapped(i, 0, size));
	/* A position ahead of the claim is not behind it. */
	assert_false(oni_ring_lapped(0, UINT64_MAX, size));
	assert_false(oni_ring_lapped(size + 1, UINT64_MAX, size));
	assert_false(oni_ring_lapped(UINT64_MAX, UINT64_MAX - size, size));
	assert_true(oni_ring_lapped(UINT64_MAX, UINT64_MAX - size - 1, size));
}

/* What is lost is what lies before claim - size: walk a ring and compare byte by byte. */
static void lapped_agrees_with_a_ring_of_bytes(void **state)
{
	static uint64_t written_by[64];		/* position that a slot holds */
	uint64_t claim, pos;

	(void)state;
	for (claim = 1; claim < 1000; claim++) {
		written_by[(claim - 1) % 64] = claim - 1;
		for (pos = 0; pos < claim; pos++)
			assert_int_equal(oni_ring_lapped(claim, pos, 64),
					 written_by[pos % 64] != pos);
	}
}

static void due_by_amount_or_by_age(void **state)
{
	(void)state;
	assert_false(oni_ring_due(4095, 0, 4096, 0));
	assert_true(oni_ring_due(4096, 0, 4096, 0));
	assert_true(oni_ring_due(100, 0, 4096, 100));
	assert_true(oni_ring_due(200, 99, 4096, 100));
	assert_false(oni_ring_due(200, 100, 4096, 100));
}

/*
 * Cutting any stretch into spans covers it exactly, never crosses a segment,
 * and never has an empty piece.
 */
static void spans_cover_a_stretch(void **state)
{
	uint64_t pos;
	uint32_t len;
	int i;

	(void)state;
	srand(1);
	for (i = 0; i < 20000; i++) {
		uint32_t seg = 4096u << (rand() % 8);
		uint64_t start = (uint64_t)rand() * 4;
		uint32_t left = (rand() % 262144 + 1) * 4u, sum = 0;

		for (pos = start; sum < left; pos += len, sum += len) {
			len = oni_ring_span(pos, left - sum, seg);
			assert_true(len > 0);
			assert_int_equal(pos / seg, (pos + len - 1) / seg);
		}
		assert_int_equal(sum, left);
	}
}

static void offset_is_the_position_modulo_size(void **state)
{
	(void)state;
	assert_int_equal(oni_ring_offset(65536 * 5 + 12, 65536), 12);
	assert_int_equal(oni_ring_offset(65535, 65536), 65535);
	assert_int_equal(oni_ring_offset(1ULL << 40, 1 << 30), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tail_moves_forward_only),
		cmocka_unit_test(room_ends_exactly_at_the_tail),
		cmocka_unit_test(lapped_exactly_one_ring_behind_the_claim),
		cmocka_unit_test(lapped_agrees_with_a_ring_of_bytes),
		cmocka_unit_test(due_by_amount_or_by_age),
		cmocka_unit_test(spans_cover_a_stretch),
		cmocka_unit_test(offset_is_the_position_modulo_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
