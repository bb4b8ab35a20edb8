// SPDX-License-Identifier: MIT
/* unit-sources: userspace/lib/ring.c userspace/lib/frame.c userspace/lib/table.c userspace/lib/types.c userspace/lib/clock.c */
/* unit-libs: -lm -pthread */
/* unit-cflags: -Iuserspace/lib */
/*
 * Monitors: a reader that is not waited for. What is lost is told once and exactly,
 * nothing torn is handed out, and every byte is accounted for, also while another
 * thread writes over the ring as fast as it can.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <cmocka.h>

#include "ring_bench.h"

static uint8_t copy[65536];

/* Look at the ring from now on, as a new monitor does. */
static void join(void)
{
	f->ring.monitor = 1;
	f->ring.copy = copy;
	f->cons.tail = f->prod.head;
	assert_int_equal(ring_init(&f->ring), 0);
}

/* What the hardware does: claim, write, publish. */
static void make(uint32_t addr, uint64_t seq)
{
	uint64_t wire = onidev_frame_wire(onidev_table_find_addr(f->table, addr)->read_size);

	__atomic_store_n(&f->prod.claim, f->filled + wire, __ATOMIC_RELAXED);
	put(addr, seq, seq);
	publish(f->filled);
}

static void claim(uint64_t position)
{
	__atomic_store_n(&f->prod.claim, position, __ATOMIC_RELAXED);
}

static void expect_lost(uint64_t bytes, uint64_t position)
{
	uint64_t before = f->ring.lost_bytes, events = f->ring.lost_events;
	struct onidev_frame fr;

	assert_int_equal(ring_next(&f->ring, &fr), -1);
	assert_int_equal(errno, EOVERFLOW);
	assert_int_equal(f->ring.last_lost, bytes);
	assert_int_equal(f->ring.lost_position, position);
	assert_int_equal(f->ring.lost_bytes, before + bytes);
	assert_int_equal(f->ring.lost_events, events + 1);
	assert_int_equal(f->ring.pos, position + bytes);
}

/* Iterate to the end; bytes of the frames. */
static uint64_t iterate(uint64_t *last_seq)
{
	struct onidev_frame fr;
	uint64_t bytes = 0;
	int rc;

	while ((rc = ring_next(&f->ring, &fr)) == 1) {
		bytes += fr.wire;
		*last_seq = onidev_frame_hub_clock(&fr);
	}
	assert_int_equal(rc, 0);
	return bytes;
}

static void test_frames_are_copies(void **state)
{
	struct onidev_frame fr;
	uint8_t before[142];

	(void)state;
	join();
	make(0x100, 77);
	assert_int_equal(ring_next(&f->ring, &fr), 1);
	assert_ptr_equal(fr.sample, copy);
	memcpy(before, fr.sample, sizeof(before));
	memset(f->data, 0xa5, RING);
	assert_memory_equal(fr.sample, before, sizeof(before));
	assert_int_equal(onidev_frame_hub_clock(&fr), 77);
	expect_dry();
}

/* A stream has no use for them. */
static void test_a_stream_is_not_copied(void **state)
{
	struct onidev_frame fr;

	(void)state;
	make(0x100, 77);
	claim(10 * RING);	/* and nobody laps it */
	assert_int_equal(ring_next(&f->ring, &fr), 1);
	assert_ptr_equal(fr.sample, f->data + 16);
}

static void test_from_the_start_it_is_in_step(void **state)
{
	(void)state;
	join();
	make(0x0a, 1);
	expect_frame(1);
	assert_int_equal(f->ring.skipped_bytes, 0);
	assert_int_equal(f->ring.first, 0);
}

/* It joins at a block border, which is anywhere in a frame. */
static void test_joins_in_the_middle_of_a_frame(void **state)
{
	uint64_t seq, bytes;

	(void)state;
	for (seq = 0; seq < 3; seq++)
		make(0x100, seq);
	publish(160 + 100);
	join();
	expect_dry();
	publish(3 * 160);
	for (; seq < 6; seq++)
		make(0x100, seq);
	expect_frame(2);
	assert_int_equal(f->ring.first, 260);
	assert_int_equal(f->ring.skipped_bytes, 60);
	bytes = 160 + iterate(&seq);
	assert_int_equal(seq, 5);
	assert_int_equal(bytes + f->ring.skipped_bytes, f->prod.head - f->ring.first);
	assert_int_equal(f->ring.lost_events, 0);
}

/* A border costs nothing if it is one. */
static void test_joins_at_a_border(void **state)
{
	(void)state;
	make(0x100, 0);
	join();
	make(0x100, 1);
	expect_frame(1);
	assert_int_equal(f->ring.skipped_bytes, 0);
	assert_int_equal(f->ring.first, 160);
}

/* The search goes over what comes in pieces, and skips each byte once. */
static void test_border_found_piece_by_piece(void **state)
{
	uint64_t seq;

	(void)state;
	memset(f->data, 0xa5, 400);
	f->filled = 400;
	publish(100);
	claim(400);
	join();
	expect_dry();
	publish(200);
	expect_dry();
	assert_true(f->ring.pos > 180 && f->ring.pos <= 200);
	assert_int_equal(ring_look(&f->ring, 0), RING_EMPTY);
	publish(400);
	expect_dry();
	for (seq = 0; seq < 4; seq++)
		make(0x0a, seq);
	assert_int_equal(ring_look(&f->ring, 0), RING_READY);
	expect_frame(0);
	assert_int_equal(f->ring.skipped_bytes, 300);
}

/* At claim = p + size all of p is still there, one byte later its first is not. */
static void test_lapped_at_the_exact_byte(void **state)
{
	(void)state;
	join();
	make(0x0a, 1);
	make(0x0a, 2);
	claim(RING);
	expect_frame(1);
	claim(RING + 28);
	expect_frame(2);
	make(0x0a, 3);
	claim(56 + RING + 1);
	expect_lost(28, 56);	/* no further than what there is */
	expect_dry();
}

static void test_loss_is_told_once_and_exactly(void **state)
{
	uint64_t seq, bytes, lost;

	(void)state;
	join();
	for (seq = 0; f->filled < 3 * RING; seq++)
		make(0x100, seq);
	/* Half a ring behind the hardware. */
	lost = f->prod.claim - RING / 2;
	expect_lost(lost, 0);
	bytes = iterate(&lost);
	assert_int_equal(lost, seq - 1);
	assert_true(f->ring.skipped_bytes < 160);
	assert_true(bytes + f->ring.lost_bytes + f->ring.skipped_bytes == f->prod.head);
	assert_int_equal(f->ring.lost_events, 1);
	/* And the next one counts by itself. */
	lost = f->ring.pos;
	for (; f->filled < 6 * RING; seq++)
		make(0x0a, seq);
	expect_lost(f->prod.claim - RING / 2 - lost, lost);
	bytes += iterate(&lost);
	assert_true(bytes + f->ring.lost_bytes + f->ring.skipped_bytes == f->prod.head);
	assert_int_equal(f->ring.lost_events, 2);
}

/* Where a frame was is garbage because the hardware was there: no word of a desync. */
static void test_garbage_of_a_lap_is_a_loss(void **state)
{
	struct onidev_frame fr;

	(void)state;
	join();
	make(0x0a, 1);
	make(0x0a, 2);
	memset(f->data, 0xa5, 28);
	assert_int_equal(ring_next(&f->ring, &fr), -1);
	assert_int_equal(errno, EPROTO);	/* nobody was there: it is damage */
	assert_int_equal(f->ring.bad_position, 0);
	claim(RING + 28);
	expect_lost(56, 0);
	assert_int_equal(f->ring.why, ONIDEV_FRAME_OK);
}

static void test_damage_needs_a_resync(void **state)
{
	struct onidev_frame fr;
	uint64_t seq;

	(void)state;
	join();
	for (seq = 0; seq < 6; seq++)
		make(0x0a, seq);
	memset(f->data + 28, 0xa5, 28);
	expect_frame(0);
	assert_int_equal(ring_next(&f->ring, &fr), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(ring_resync(&f->ring), 28);
	assert_int_equal(ring_look(&f->ring, 0), RING_READY);
	expect_frame(2);
	assert_int_equal(f->ring.skipped_bytes, 28);
	/* Overtaken in the middle of it. */
	memset(f->data + 84, 0xa5, 28);
	assert_int_equal(ring_next(&f->ring, &fr), -1);
	assert_int_equal(errno, EPROTO);
	claim(84 + RING + 4);
	assert_int_equal(ring_resync(&f->ring), -1);
	assert_int_equal(errno, EOVERFLOW);
	assert_int_equal(f->ring.pos, f->prod.head);
	assert_int_equal(f->ring.lost_bytes, f->prod.head - 84);
}

/*
 * A START sets claim back before it makes a new generation: a claim that says "all is
 * well" because it is of nobody must not be believed.
 */
static void test_restart_under_way(void **state)
{
	(void)state;
	join();
	make(0x0a, 1);
	make(0x0a, 2);
	expect_frame(1);
	claim(0);
	expect_dry();
	f->cons.tail = 0;
	publish(0);
	expect_dry();
	f->prod.generation = 2;
	f->filled = 0;
	expect_dry();
	make(0x0a, 3);
	expect_frame(3);
	assert_int_equal(f->ring.pos, 28);
}

/* The hardware of the new acquisition has written and its claim is already ahead. */
static void test_restart_behind_the_back(void **state)
{
	uint64_t seq;

	(void)state;
	join();
	make(0x0a, 1);
	expect_frame(1);
	make(0x0a, 2);
	f->prod.generation = 2;
	f->filled = 0;
	for (seq = 10; seq < 20; seq++)
		make(0x0a, seq);
	expect_frame(10);
}

static void test_new_acquisition_counts_anew(void **state)
{
	uint64_t seq;

	(void)state;
	make(0x100, 0);
	publish(100);
	join();
	publish(160);
	for (seq = 1; f->filled < 2 * RING; seq++)
		make(0x100, seq);
	expect_lost(f->prod.claim - RING / 2 - 100, 100);
	iterate(&seq);
	ring_release(&f->ring);
	assert_true(f->cons.tail == f->ring.pos && f->ring.skipped_bytes);
	f->prod.generation = 2;
	/* The tail of the old acquisition was stored after the START had set it to 0. */
	f->cons.tail = 2 * RING;
	claim(0);
	publish(0);
	f->filled = 0;
	expect_dry();
	assert_int_equal(f->cons.tail, 0);
	assert_int_equal(f->ring.lost_bytes | f->ring.lost_events | f->ring.skipped_bytes |
			 f->ring.first | f->ring.last_lost, 0);
	make(0x100, 5);
	expect_frame(5);
	ring_release(&f->ring);
	assert_int_equal(f->cons.tail, 160);
}

static void test_closed_is_the_end(void **state)
{
	(void)state;
	join();
	assert_int_equal(ring_look(&f->ring, 100), RING_EMPTY);
	make(0x0a, 1);
	f->prod.flags = ONI_RING_CLOSED;
	assert_int_equal(ring_look(&f->ring, 100), RING_READY);
	expect_frame(1);
	assert_int_equal(ring_look(&f->ring, 100), RING_END);
	f->prod.flags = ONI_RING_CLOSED | ONI_RING_GONE;
	assert_int_equal(ring_look(&f->ring, 100), RING_GONE);
}

static void test_status(void **state)
{
	struct onidev_stream_status s;
	uint64_t seq;

	(void)state;
	make(0x100, 0);
	publish(100);
	join();
	publish(160);
	for (seq = 1; f->filled < 2 * RING; seq++)
		make(0x100, seq);
	expect_lost(f->prod.claim - RING / 2 - 100, 100);
	iterate(&seq);
	memset(&s, 0xcc, sizeof(s));
	ring_status(&f->ring, &s);
	assert_int_equal(s.first, 100);
	assert_int_equal(s.lost_bytes, f->ring.lost_bytes);
	assert_int_equal(s.lost_events, 1);
	assert_int_equal(s.skipped_bytes, f->ring.skipped_bytes);
	assert_int_equal(s.position, s.head);
	/* It is no obstacle that the monitor has released nothing. */
	assert_int_equal(s.tail, 100);
}

/* Far behind, at a place that was damaged: the search must not leave the ring. */
static void test_resync_far_behind(void **state)
{
	struct onidev_frame fr;

	(void)state;
	join();
	memset(f->data, 0xa5, RING);
	claim(100);
	publish(100);
	assert_int_equal(ring_next(&f->ring, &fr), -1);
	assert_int_equal(errno, EPROTO);
	claim(4 * RING);
	publish(4 * RING);
	assert_int_equal(ring_resync(&f->ring), -1);
	assert_int_equal(errno, EOVERFLOW);
	assert_int_equal(f->ring.lost_bytes, 4 * RING - RING / 2);
}

/* --- overtaken at one instant --------------------------------------------------------------- */

/* A page that cannot be read: when the monitor gets there, something happens first. */
static struct {
	uint8_t *page;
	void (*happens)(void);
} trap;

static void on_touch(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if ((uint8_t *)info->si_addr < trap.page || (uint8_t *)info->si_addr >= trap.page + 4096) {
		signal(sig, SIG_DFL);	/* a real one: again, and to the end */
		return;
	}
	mprotect(trap.page, 4096, PROT_READ | PROT_WRITE);
	trap.happens();
	trap.page = NULL;
}

static void set_trap(uint64_t offset, void (*happens)(void))
{
	struct sigaction sa = { .sa_sigaction = on_touch, .sa_flags = SA_SIGINFO };

	trap.page = f->data + offset;
	trap.happens = happens;
	sigaction(SIGSEGV, &sa, NULL);
	assert_int_equal(mprotect(trap.page, 4096, PROT_NONE), 0);
}

static void the_hardware_comes_round(void)
{
	claim(RING + 8192);
	memset(f->data, 0x5a, 8192);
}

static void use_table(const struct oni_device *with, size_t count)
{
	onidev_table_free(f->table);
	f->table = onidev_table_new(with, count, 1);
	f->ring.table = f->table;
}

static const struct oni_device large = {
	.addr = 5, .id = ONIDEV_ID_LOAD_TESTER, .read_size = 12000,
};

/* One large frame over several pages. */
static void make_large(uint64_t seq)
{
	static uint8_t sample[12000];

	memcpy(sample, &seq, 8);
	claim(f->filled + 12016);
	f->filled += onidev_frame_build(f->data + f->filled % RING, RING, seq, 5, sample, 12000);
	publish(f->filled);
}

/* Its header was whole and the first page of its copy as well. */
static void test_overtaken_while_copying(void **state)
{
	(void)state;
	use_table(&large, 1);
	join();
	make_large(1);
	make_large(2);
	set_trap(4096, the_hardware_comes_round);
	expect_lost(2 * 12016, 0);
	assert_null(trap.page);
}

static void test_overtaken_while_searching(void **state)
{
	uint64_t seq;

	(void)state;
	join();
	memset(f->data, 0xa5, 2 * 4096);
	f->filled = 2 * 4096;
	for (seq = 0; seq < 10; seq++)
		make(0x100, seq);
	f->ring.adrift = 1;
	set_trap(4096, the_hardware_comes_round);
	expect_lost(f->prod.head, 0);
	assert_int_equal(f->ring.skipped_bytes, 0);
	assert_null(trap.page);
}

/* START, and the hardware has already written so much that claim says nothing. */
static void another_acquisition(void)
{
	f->prod.generation = 2;
	f->filled = 0;
	memset(f->data, 0x5a, RING);
	while (f->filled < RING / 2)
		make_large(100 + f->filled / 12016);
}

static void test_restart_while_copying(void **state)
{
	(void)state;
	use_table(&large, 1);
	join();
	make_large(1);
	set_trap(4096, another_acquisition);
	expect_frame(100);
	expect_frame(101);
	assert_null(trap.page);
	assert_int_equal(f->ring.lost_events, 0);
}

/* --- a producer that does not wait -------------------------------------------------------- */

/*
 * Large frames and few blocks, so that the hardware often passes in the middle of a
 * copy. The content of a frame follows from its number, its position from all before.
 */
#define BIG_BLOCK	16384u
#define FRAMES		24000u
#define PHASES		40u

static const struct oni_device big_rows[] = {
	{ .addr = 0x00, .id = ONIDEV_ID_PERSISTENT_HEARTBEAT, .read_size = 8 },
	{ .addr = 0x11, .id = ONIDEV_ID_LOAD_TESTER, .read_size = 1002 },
	{ .addr = 0x12, .id = ONIDEV_ID_LOAD_TESTER, .read_size = 16360 },
};

static struct {
	uint64_t start[FRAMES + 1];	/* position of each frame */
	uint8_t frame[BIG_BLOCK];
	uint32_t phase;			/* by the producer */
	uint32_t waiting;		/* by the monitor: it sleeps through this phase */
	uint64_t seen;			/* by the monitor: its position */
} race;

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

static const struct oni_device *kind(uint64_t seq)
{
	return &big_rows[seq % 7 < 3 ? 2 : seq % 7 < 6 ? 1 : 0];
}

static void fill(uint8_t *sample, uint64_t seq, uint32_t size)
{
	memset(sample, (int)(seq % 251), size);
	memcpy(sample, &seq, 8);
	memcpy(sample + size - 8, &seq, 8);
}

/* Bytes of the stream, in pieces that do not end with frames. */
static void dma(uint8_t *to, uint64_t *seq, uint32_t *done)
{
	static uint8_t sample[BIG_BLOCK];
	uint32_t n = 0, part, wire;

	while (n < BIG_BLOCK) {
		wire = onidev_frame_wire(kind(*seq)->read_size);
		if (!*done) {
			fill(sample, *seq, kind(*seq)->read_size);
			onidev_frame_build(race.frame, BIG_BLOCK, *seq, kind(*seq)->addr, sample,
					   kind(*seq)->read_size);
		}
		part = wire - *done < BIG_BLOCK - n ? wire - *done : BIG_BLOCK - n;
		memcpy(to + n, race.frame + *done, part);
		n += part;
		*done += part;
		if (*done == wire) {
			*done = 0;
			++*seq;
		}
	}
}

/*
 * Phases of 4 kinds: the monitor keeps up; sleeps; keeps up; races. So there are always
 * frames and always losses, whoever gets the processor.
 */
static void *produce(void *arg)
{
	uint64_t seq = 0, head = 0, blocks = 0, per_phase, total;
	uint32_t done = 0, phase;

	(void)arg;
	total = race.start[FRAMES - 8] / BIG_BLOCK;
	per_phase = total / PHASES;
	for (; blocks < total; blocks++) {
		phase = (uint32_t)(blocks / per_phase);
		store(&race.phase, phase);
		while (phase % 4 == 1 && load(&race.waiting) != phase)
			sched_yield();
		while (phase % 2 == 0 && head > load(&race.seen) + RING / 2)
			sched_yield();
		store(&f->prod.claim, head + BIG_BLOCK);
		dma(f->data + head % RING, &seq, &done);
		head += BIG_BLOCK;
		publish(head);
	}
	store(&race.phase, UINT32_MAX);
	store(&f->prod.flags, ONI_RING_STOPPED);
	return NULL;
}

static void check_frame(const struct onidev_frame *fr)
{
	static uint8_t expected[BIG_BLOCK];

	assert_true(fr->clock < FRAMES);
	assert_int_equal(fr->addr, kind(fr->clock)->addr);
	assert_true(fr->position == race.start[fr->clock]);
	fill(expected, fr->clock, fr->size);
	assert_memory_equal(fr->sample, expected, fr->size);
}

static void sleep_through_a_phase(void)
{
	uint32_t phase = load(&race.phase);

	if (phase % 4 != 1 || load(&race.waiting) == phase || phase == UINT32_MAX)
		return;
	store(&race.waiting, phase);
	while (load(&race.phase) == phase)
		sched_yield();
}

static void test_nothing_torn_nothing_unsaid(void **state)
{
	uint64_t seq, bytes = 0, frames = 0, told = 0, events = 0;
	struct onidev_frame fr;
	pthread_t thread;
	int rc, ended;

	(void)state;
	use_table(big_rows, 3);
	f->prod.block_bytes = BIG_BLOCK;
	join();
	memset(&race, 0, sizeof(race));
	for (seq = 0; seq < FRAMES; seq++)
		race.start[seq + 1] = race.start[seq] + onidev_frame_wire(kind(seq)->read_size);
	assert_int_equal(pthread_create(&thread, NULL, produce, NULL), 0);
	do {
		ended = load(&f->prod.flags) & ONI_RING_STOPPED;
		sleep_through_a_phase();
		while ((rc = ring_next(&f->ring, &fr)) == 1) {
			check_frame(&fr);
			bytes += fr.wire;
			frames++;
			store(&race.seen, f->ring.pos);
		}
		if (rc < 0) {
			assert_int_equal(errno, EOVERFLOW);
			told += f->ring.last_lost;
			events++;
		}
		assert_true(bytes + told + f->ring.skipped_bytes == f->ring.pos);
		store(&race.seen, f->ring.pos);
	} while (!ended || rc);
	pthread_join(thread, NULL);
	assert_true(f->ring.lost_bytes == told && f->ring.lost_events == events);
	assert_true(f->prod.head - f->ring.pos < BIG_BLOCK);	/* the frame that was cut off */
	print_message("%llu frames, %llu bytes lost in %llu events, %llu skipped, of %llu\n",
		      (unsigned long long)frames, (unsigned long long)told,
		      (unsigned long long)events, (unsigned long long)f->ring.skipped_bytes,
		      (unsigned long long)f->prod.head);
	assert_true(frames > FRAMES / 3);
	assert_true(events >= PHASES / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_frames_are_copies),
		T(test_a_stream_is_not_copied),
		T(test_from_the_start_it_is_in_step),
		T(test_joins_in_the_middle_of_a_frame),
		T(test_joins_at_a_border),
		T(test_border_found_piece_by_piece),
		T(test_lapped_at_the_exact_byte),
		T(test_loss_is_told_once_and_exactly),
		T(test_garbage_of_a_lap_is_a_loss),
		T(test_damage_needs_a_resync),
		T(test_restart_under_way),
		T(test_restart_behind_the_back),
		T(test_new_acquisition_counts_anew),
		T(test_closed_is_the_end),
		T(test_status),
		T(test_resync_far_behind),
		T(test_overtaken_while_copying),
		T(test_overtaken_while_searching),
		T(test_restart_while_copying),
		T(test_nothing_torn_nothing_unsaid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
