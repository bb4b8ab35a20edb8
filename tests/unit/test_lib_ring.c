// SPDX-License-Identifier: MIT
/* unit-sources: userspace/lib/ring.c userspace/lib/frame.c userspace/lib/table.c userspace/lib/types.c userspace/lib/clock.c */
/* unit-libs: -lm */
/* unit-cflags: -Iuserspace/lib */
/*
 * The reader's side of the ring, against the ring of ring_bench.h: wrapping, release,
 * generations, descriptors, damage, and what a waiter is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "ring_bench.h"

static void test_geometry_is_checked(void **state)
{
	struct onidev_ring r = f->ring;

	(void)state;
	f->prod.magic = 0;
	assert_int_equal(ring_init(&r), -1);
	assert_int_equal(errno, EINVAL);
	f->prod.magic = ONI_RING_MAGIC;
	r.data_bytes = 3 * BLOCK;
	assert_int_equal(ring_init(&r), -1);
	r.data_bytes = RING;
	r.desc_count = 2 * DESCS;
	assert_int_equal(ring_init(&r), -1);
}

static void test_needs_a_table(void **state)
{
	struct onidev_frame fr;

	(void)state;
	f->ring.table = NULL;
	assert_int_equal(ring_next(&f->ring, &fr), -1);
	assert_int_equal(errno, EINVAL);
}

static void test_frames_in_place(void **state)
{
	struct onidev_frame fr;

	(void)state;
	put(0x100, 5, 77);
	publish(f->filled);
	assert_int_equal(ring_next(&f->ring, &fr), 1);
	assert_ptr_equal(fr.sample, f->data + 16);
	assert_int_equal(fr.position, 0);
	assert_int_equal(fr.clock, 5);
	expect_dry();
}

static void test_unpublished_is_unseen(void **state)
{
	(void)state;
	put(0x100, 1, 1);
	put(0x100, 2, 2);
	expect_dry();
	publish(160 + 15);	/* not even the header of the second */
	expect_frame(1);
	expect_dry();
	publish(160 + 159);
	expect_dry();
	publish(320);
	expect_frame(2);
}

/* Many times around with a frame size that does not divide the ring. */
static void test_wrap(void **state)
{
	uint64_t seq, read = 0;

	(void)state;
	for (seq = 0; seq < 5000; seq++) {
		put(seq % 3 ? 0x100 : 0x0a, seq, seq);
		publish(f->filled);
		if (seq % 7 != 6)
			continue;
		while (read <= seq)
			expect_frame(read++);
		expect_dry();
		ring_release(&f->ring);
		assert_true(f->cons.tail == f->filled);
	}
	assert_true(f->filled > 5 * RING);
}

static void test_release_to(void **state)
{
	struct onidev_frame a, b;

	(void)state;
	put(0x0a, 1, 1);
	put(0x0a, 2, 2);
	publish(f->filled);
	assert_int_equal(ring_next(&f->ring, &a), 1);
	assert_int_equal(ring_next(&f->ring, &b), 1);
	assert_int_equal(ring_release_to(&f->ring, b.position), 0);
	assert_int_equal(f->cons.tail, 28);
	assert_int_equal(ring_release_to(&f->ring, a.position), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ring_release_to(&f->ring, 57), -1);
	assert_int_equal(f->cons.tail, 28);
	ring_release(&f->ring);
	assert_int_equal(f->cons.tail, 56);
}

static void test_new_generation_starts_over(void **state)
{
	(void)state;
	put(0x0a, 1, 1);
	put(0x0a, 2, 2);
	publish(f->filled);
	expect_frame(1);
	/* stop, start: the kernel sets everything to 0, the generation last */
	f->cons.tail = 0;
	publish(0);
	expect_frame(2);	/* known before, and still there */
	expect_dry();		/* between the two stores */
	f->prod.generation = 2;
	f->filled = 0;
	expect_dry();
	put(0x0a, 3, 33);
	publish(f->filled);
	expect_frame(33);
	expect_dry();
}

/* A tail of the old acquisition would be ahead of head and kill the stream. */
static void test_no_release_across_generations(void **state)
{
	(void)state;
	put(0x0a, 1, 1);
	publish(f->filled);
	expect_frame(1);
	f->cons.tail = 0;
	publish(0);
	f->prod.generation = 2;
	ring_release(&f->ring);
	assert_int_equal(f->cons.tail, 0);
	assert_int_equal(ring_release_to(&f->ring, 28), 0);
	assert_int_equal(f->cons.tail, 0);
}

static void test_continue_received_stream(void **state)
{
	struct onidev_ring other = f->ring;

	(void)state;
	put(0x0a, 1, 1);
	put(0x0a, 2, 2);
	publish(f->filled);
	expect_frame(1);
	ring_release(&f->ring);
	assert_int_equal(ring_init(&other), 0);
	f->ring = other;
	expect_frame(2);
}

static void test_desync_is_reported_with_position(void **state)
{
	struct onidev_frame fr;
	uint32_t bad = 0xbad;

	(void)state;
	put(0x0a, 1, 1);
	put(0x0a, 2, 2);
	memcpy(f->data + 28 + 8, &bad, 4);
	publish(f->filled);
	expect_frame(1);
	assert_int_equal(ring_next(&f->ring, &fr), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(f->ring.bad_position, 28);
	assert_int_equal(f->ring.bad_addr, 0xbad);
	assert_int_equal(f->ring.bad_size, 12);
	assert_int_equal(f->ring.why, ONIDEV_FRAME_ADDR);
	/* It stays there until told to go on. */
	assert_int_equal(ring_next(&f->ring, &fr), -1);
}

static void test_resync_goes_on(void **state)
{
	struct onidev_frame fr;
	uint32_t bad = 0xbad;
	uint64_t i;

	(void)state;
	for (i = 0; i < 6; i++)
		put(0x0a, i, i);
	memcpy(f->data + 28 + 12, &bad, 4);
	publish(f->filled);
	expect_frame(0);
	assert_int_equal(ring_next(&f->ring, &fr), -1);
	assert_int_equal(ring_resync(&f->ring), 28);
	expect_frame(2);
}

static void test_resync_waits_for_more(void **state)
{
	struct onidev_frame fr;
	uint64_t i;

	(void)state;
	memset(f->data, 0xa5, 200);
	f->filled = 200;
	publish(200);
	assert_int_equal(ring_next(&f->ring, &fr), -1);
	assert_int_equal(ring_resync(&f->ring), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(ring_look(&f->ring, 0), RING_EMPTY);
	for (i = 0; i < 6; i++)
		put(0x0a, i, i);
	publish(f->filled);
	assert_true(ring_resync(&f->ring) > 0);
	expect_frame(0);
}

static void test_look(void **state)
{
	(void)state;
	assert_int_equal(ring_look(&f->ring, 100), RING_EMPTY);
	put(0x0a, 1, 1);
	publish(28);
	assert_int_equal(ring_look(&f->ring, 100), RING_SOME);
	assert_int_equal(ring_look(&f->ring, 28), RING_READY);
	expect_frame(1);
	expect_dry();
	assert_int_equal(ring_look(&f->ring, 0), RING_EMPTY);
	/* Half a frame is no news once it was looked at. */
	put(0x0a, 2, 2);
	publish(40);
	assert_int_equal(ring_look(&f->ring, 0), RING_READY);
	expect_dry();
	assert_int_equal(ring_look(&f->ring, 0), RING_EMPTY);
	publish(56);
	assert_int_equal(ring_look(&f->ring, 0), RING_READY);
	expect_frame(2);
}

static void expect_end(uint32_t flags, enum ring_state expected)
{
	f->prod.flags = flags;
	assert_int_equal(ring_look(&f->ring, BLOCK), expected);
}

static void test_end_only_after_everything(void **state)
{
	(void)state;
	put(0x0a, 1, 1);
	publish(28);
	expect_end(ONI_RING_STOPPED, RING_READY);
	expect_end(ONI_RING_GONE | ONI_RING_STOPPED, RING_READY);
	expect_frame(1);
	expect_end(ONI_RING_STOPPED, RING_END);
	expect_end(ONI_RING_GONE, RING_GONE);
	expect_end(ONI_RING_ERROR, RING_ERROR);
	expect_end(ONI_RING_RUNNING | ONI_RING_FULL, RING_EMPTY);
}

static void test_end_with_half_a_frame(void **state)
{
	(void)state;
	put(0x0a, 1, 1);
	publish(20);
	expect_end(ONI_RING_STOPPED, RING_READY);
	expect_dry();
	expect_end(ONI_RING_STOPPED, RING_END);
}

static void test_blocks_in_order(void **state)
{
	struct oni_block b;
	uint64_t i, lost;

	(void)state;
	assert_int_equal(ring_block_next(&f->ring, &b, &lost), 0);
	for (i = 0; i < 10; i++)
		publish_block(i * BLOCK, BLOCK, 0, 1000 + i);
	for (i = 0; i < 10; i++) {
		assert_int_equal(ring_block_next(&f->ring, &b, &lost), 1);
		assert_int_equal(b.seq, i);
		assert_int_equal(b.mono_ns, 1000 + i);
	}
	assert_int_equal(ring_block_next(&f->ring, &b, &lost), 0);
}

static void test_lapped_blocks_are_counted(void **state)
{
	uint64_t i, lost = 0, seen = 0;
	struct oni_block b;

	(void)state;
	for (i = 0; i < 3 * DESCS; i++)
		publish_block(i * BLOCK, BLOCK, 0, i);
	assert_int_equal(ring_block_next(&f->ring, &b, &lost), -1);
	assert_int_equal(errno, EOVERFLOW);
	while (ring_block_next(&f->ring, &b, NULL) == 1)
		seen++;
	assert_int_equal(lost + seen, 3 * DESCS);
	assert_int_equal(b.seq, 3 * DESCS - 1);
}

/*
 * The clock is paired with the frame that completed the block, whether it ends
 * with the block or goes on behind it; a short block is no event of the hardware.
 */
static void test_clock_pairs(void **state)
{
	struct onidev_clock *clock = onidev_clock_new(250000000);
	struct onidev_clock_fit fit;
	uint64_t seq = 0, block = 0, ticks, mono;
	struct onidev_frame fr;

	(void)state;
	f->ring.clock = clock;
	/* 160-byte frames every 33.3 us: a block about each 853 us */
	while (block < 200) {
		ticks = seq * 8333;
		put(0x100, ticks, seq++);
		if (f->filled < (block + 1) * BLOCK)
			continue;
		mono = 5000000000ull + ticks * 4 + 2000;
		publish_block(block * BLOCK, BLOCK, block == 150 ? ONI_BLOCK_SHORT : 0,
			      block == 150 ? mono - 900000 : mono);
		block++;
		publish(block * BLOCK);
		while (ring_next(&f->ring, &fr) == 1)
			;
		ring_release(&f->ring);
	}
	assert_int_equal(onidev_clock_read(clock, &fit), 0);
	/* A frame that goes on into the next block is passed with the next block. */
	assert_in_range(fit.pairs, 197, 199);
	assert_true(fit.ppm > -0.01 && fit.ppm < 0.01);
	assert_true(fit.jitter_p99_ns < 10);
	assert_in_range(onidev_clock_to_mono(&fit, 1000000) - 5004000000ull, 1990, 2010);
	onidev_clock_free(clock);
}

static void test_status(void **state)
{
	struct onidev_stream_status s;

	(void)state;
	f->prod.peak_bytes = 123;
	f->prod.full_events = 4;
	f->prod.error = EIO;
	put(0x0a, 1, 1);
	put(0x0a, 2, 2);
	publish(56);
	expect_frame(1);
	memset(&s, 0xcc, sizeof(s));
	ring_status(&f->ring, &s);
	assert_int_equal(s.head, 56);
	assert_int_equal(s.position, 28);
	assert_int_equal(s.tail, 0);
	assert_int_equal(s.ring_bytes, RING);
	assert_int_equal(s.peak_bytes, 123);
	assert_int_equal(s.full_events, 4);
	assert_int_equal(s.error, EIO);
	assert_int_equal(s.generation, 1);
	assert_int_equal(s.block_bytes, BLOCK);
	assert_int_equal(s.flags, ONI_RING_RUNNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_geometry_is_checked),
		T(test_needs_a_table),
		T(test_frames_in_place),
		T(test_unpublished_is_unseen),
		T(test_wrap),
		T(test_release_to),
		T(test_new_generation_starts_over),
		T(test_no_release_across_generations),
		T(test_continue_received_stream),
		T(test_desync_is_reported_with_position),
		T(test_resync_goes_on),
		T(test_resync_waits_for_more),
		T(test_look),
		T(test_end_only_after_everything),
		T(test_end_with_half_a_frame),
		T(test_blocks_in_order),
		T(test_lapped_blocks_are_counted),
		T(test_clock_pairs),
		T(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
