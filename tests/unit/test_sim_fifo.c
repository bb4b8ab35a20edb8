// SPDX-License-Identifier: MIT
/* unit-sources: tests/sim/fifo.c */
/*
 * test_sim_fifo.c - card RAM of the simulator: bytes come out as they went in,
 * and no frame is without an account.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/fifo.h"

static struct fifo *f;

static int setup(void **state)
{
	(void)state;
	f = malloc(sizeof(*f));
	assert_non_null(f);
	return fifo_init(f, 4096);
}

static int teardown(void **state)
{
	(void)state;
	fifo_free(f);
	free(f);
	return 0;
}

/* A frame of @size sample bytes whose every byte depends on @seed. */
static size_t make_frame(uint8_t *buf, uint64_t clock, uint32_t addr, uint32_t size,
			 unsigned int seed)
{
	size_t len = 16 + ((size + 3u) & ~3u), i;

	memcpy(buf, &clock, 8);
	memcpy(buf + 8, &addr, 4);
	memcpy(buf + 12, &size, 4);
	for (i = 16; i < len; i++)
		buf[i] = (uint8_t)(seed * 31 + i);
	return len;
}

static void put(uint64_t clock, uint32_t addr, uint32_t size)
{
	uint8_t buf[256];

	fifo_put(f, addr, buf, make_frame(buf, clock, addr, size, (unsigned int)clock));
}

static void assert_conserved(void)
{
	const struct fifo_device *d;
	unsigned int i;

	for (i = 0; i < f->devices; i++) {
		d = &f->dev[i];
		assert_int_equal(d->produced, d->delivered + fifo_left(d) + d->lost);
		assert_true(fifo_left(d) >= d->discarded);
	}
}

static void test_frame_counts_when_its_last_byte_left(void **state)
{
	struct fifo_device *d;

	(void)state;
	put(1, 0x100, 142);
	put(2, 0x100, 142);
	d = fifo_device(f, 0x100, 3);
	fifo_take(f, 156);
	assert_int_equal(d->delivered, 0);
	fifo_take(f, 4);
	assert_int_equal(d->delivered, 1);
	fifo_take(f, 100);
	fifo_take(f, 56);
	assert_int_equal(d->delivered, 1);
	fifo_take(f, 4);
	assert_int_equal(d->delivered, 2);
	assert_int_equal(fifo_left(d), 0);
	assert_int_equal(fifo_used(f), 0);
}

static void test_one_take_may_end_many_frames(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 10; i++)
		put(i, i % 2 ? 0x100 : 0x001, i % 2 ? 142 : 10);
	fifo_take(f, 5 * 160 + 5 * 28 - 4);
	assert_int_equal(fifo_device(f, 0x001, 0)->delivered, 5);
	assert_int_equal(fifo_device(f, 0x100, 0)->delivered, 4);
	assert_int_equal(fifo_left(fifo_device(f, 0x100, 0)), 1);
	assert_conserved();
}

static void test_full_ram_drops_whole_frames(void **state)
{
	struct fifo_device *d;
	unsigned int i;

	(void)state;
	for (i = 0; i < 30; i++)
		put(i, 0x100, 142);
	d = fifo_device(f, 0x100, 0);
	assert_int_equal(d->produced, 30);
	assert_int_equal(d->lost, 30 - 4096 / 160);
	assert_int_equal(fifo_used(f), 4096 / 160 * 160);
	assert_int_equal(d->first_clock, 0);
	assert_int_equal(d->last_clock, 29);
	assert_conserved();
}

/* Bytes against a plain copy, with odd sizes, for many times the RAM's length. */
static void test_stream_is_exact_over_many_turns(void **state)
{
	static uint8_t want[1 << 16];
	uint64_t in = 0, out = 0, seed = 1, clock;
	const uint8_t *p;
	uint8_t buf[256];
	size_t len, n, i;

	(void)state;
	for (clock = 0; clock < 20000; clock++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		len = make_frame(buf, clock, (uint32_t)(seed >> 60), 8 + (seed >> 40) % 100 * 2,
				 (unsigned int)clock);
		if (len <= fifo_room(f))
			for (i = 0; i < len; i++)
				want[in++ % sizeof(want)] = buf[i];
		fifo_put(f, (uint32_t)(seed >> 60), buf, len);
		p = fifo_peek(f, &n);
		n = n < (seed >> 33) % 400 ? n : (seed >> 33) % 400;
		n &= ~3ul;
		for (i = 0; i < n; i++)
			assert_int_equal(p[i], want[out++ % sizeof(want)]);
		if (n)
			fifo_take(f, n);
		assert_int_equal(fifo_used(f), in - out);
	}
	assert_true(out > 100 * 4096);
	assert_conserved();
}

static void test_discard_keeps_the_account(void **state)
{
	struct fifo_device *d;

	(void)state;
	put(1, 0x100, 142);
	put(2, 0x100, 142);
	put(3, 0x100, 142);
	fifo_take(f, 200);
	fifo_discard(f);
	d = fifo_device(f, 0x100, 0);
	assert_int_equal(d->delivered, 1);
	assert_int_equal(d->discarded, 2);
	assert_int_equal(fifo_held(d), 0);
	assert_int_equal(fifo_used(f), 0);
	put(4, 0x100, 142);
	fifo_take(f, 160);
	assert_int_equal(d->delivered, 2);
	assert_conserved();
}

static void test_counters_start_again_with_what_is_held(void **state)
{
	struct fifo_device *d;

	(void)state;
	put(1, 0x100, 142);
	put(2, 0x100, 142);
	fifo_take(f, 200);
	fifo_reset_counters(f);
	d = fifo_device(f, 0x100, 0);
	assert_int_equal(d->produced, 1);
	fifo_take(f, 120);
	assert_int_equal(d->delivered, 1);
	assert_int_equal(fifo_left(d), 0);
	assert_conserved();
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_frame_counts_when_its_last_byte_left),
		T(test_one_take_may_end_many_frames),
		T(test_full_ram_drops_whole_frames),
		T(test_stream_is_exact_over_many_turns),
		T(test_discard_keeps_the_account),
		T(test_counters_start_again_with_what_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
