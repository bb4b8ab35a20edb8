// SPDX-License-Identifier: MIT
/*
 * Streams: geometry, mappings, the ring protocol, back-pressure, wake-ups,
 * read and poll, who may hold what.
 *
 * Data come from the load tester, or the Rhythm of a board: frames at an exact
 * rate whose hub clock and counters show every lost, doubled or torn byte.
 *
 * Contract under test: include/uapi/linux/oni.h, "streams", "the ring", "read
 * and poll on a stream". Device facts: load test and heartbeat datasheets
 * (onix-docs). Time bounds are far from what is expected, so that a slow
 * emulator does not fail a test; counters tell what happened instead. Needs
 * /dev/oniN that nobody else uses. Some tests start one thread or child.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "oni_board.h"
#include "oni_layout.h"
#include "oni_leave.h"

#define LT_STEP		(OT_CLK_HZ / 4000u)	/* of ot_feed() with a load tester */
#define BLOCK		4096u
#define RING		(1u << 20)
#define LONG_MS		60000		/* "never" for something that must come */

/* A controller with its feed on, a stream, its mappings, a parser. */
struct bench {
	int ctl;
	struct ot_stream s;
	struct ot_parser p;
};

static int bench_open(struct bench *b)
{
	int ret;

	b->s.fd = -1;
	b->ctl = ot_open(O_RDWR);
	if (b->ctl < 0)
		return b->ctl;
	ret = ot_simple(b->ctl, ONI_IOC_CLAIM);
	if (ret)
		return ret;
	ret = ot_feed(b->ctl, OT_FEED_FAST);
	return ret ? ret : ot_parser_init(&b->p, b->ctl, LT_STEP);
}

static int bench_stream(struct bench *b, uint64_t ring, uint32_t block,
			uint32_t watermark, uint32_t latency_us)
{
	int fd = ot_stream_create(b->ctl, ring, block, watermark, latency_us);

	return fd < 0 ? fd : ot_stream_map(fd, &b->s);
}

static void bench_close_stream(struct bench *b)
{
	ot_stream_unmap(&b->s);
	if (b->s.fd >= 0)
		close(b->s.fd);
	b->s.fd = -1;
}

static void bench_close(struct bench *b)
{
	bench_close_stream(b);
	ot_feed(b->ctl, OT_FEED_OFF);
	close(b->ctl);
}

/* Parse what lies between tail and @to, and release it. */
static int consume(struct bench *b, uint64_t to)
{
	uint64_t tail = ot_tail(&b->s);
	uint64_t at = tail & (b->s.info.data_bytes - 1);
	int ret = ot_parser_feed(&b->p, b->s.data + at, to - tail);

	ot_set_tail(&b->s, to);
	return ret;
}

/* Parse all until @bytes went through or the stream ends. */
static int consume_until(struct bench *b, uint64_t bytes)
{
	uint64_t end = ot_now_ns() + LONG_MS * 1000000ULL;

	while (ot_tail(&b->s) < bytes && ot_now_ns() < end) {
		if (consume(b, ot_head(&b->s)))
			return -1;
		ot_sleep_ms(1);
	}
	return 0;
}

static int start(struct bench *b)
{
	return ot_simple(b->ctl, ONI_IOC_START);
}

static int stop(struct bench *b)
{
	return ot_simple(b->ctl, ONI_IOC_STOP);
}

static uint32_t state(int ctl)
{
	struct oni_info info;

	return ot_info(ctl, &info) ? ~0u : info.state;
}

static bool has_stream(int ctl)
{
	struct oni_info info;

	return !ot_info(ctl, &info) && info.flags & ONI_INFO_STREAM;
}

#define EXPECT_INTACT(b)						\
	do {								\
		const struct ot_device_count *lt_ =			\
			ot_parser_device(&(b)->p, ot_board()->feed);	\
		EXPECT_EQ(NULL, (b)->p.error)				\
			TH_LOG("at %ju: %s",				\
			       (uintmax_t)(b)->p.error_at, (b)->p.error);\
		EXPECT_EQ(0, (b)->p.bad_words);				\
		ASSERT_NE(NULL, lt_);					\
		EXPECT_LT(0, lt_->frames);				\
		EXPECT_EQ(0, lt_->gaps);				\
	} while (0)

/* --- sizes -------------------------------------------------------------------- */

FIXTURE(sizes) {
	struct bench b;
	struct oni_info info;
};

FIXTURE_SETUP(sizes)
{
	ASSERT_EQ(0, bench_open(&self->b));
	ASSERT_EQ(0, ot_info(self->b.ctl, &self->info));
}

FIXTURE_TEARDOWN(sizes)
{
	bench_close(&self->b);
}

TEST_F(sizes, zeros_are_the_defaults)
{
	ASSERT_EQ(0, bench_stream(&self->b, 0, 0, 0, 0));
	EXPECT_EQ(self->info.ring_default, self->b.s.info.data_bytes);
	EXPECT_EQ(4096, self->b.s.info.block_bytes);
	EXPECT_EQ(4096, self->b.s.info.watermark_bytes);
	EXPECT_EQ(0, self->b.s.info.latency_us);
}

TEST_F(sizes, default_block_holds_the_largest_frame)
{
	struct oni_info info;

	ASSERT_EQ(0, ot_feed(self->b.ctl, OT_FEED_LARGE));
	ASSERT_EQ(0, ot_info(self->b.ctl, &info));
	ASSERT_LE(16 + ot_board()->feed_large, info.max_read_frame);
	ASSERT_EQ(0, bench_stream(&self->b, 0, 0, 0, 0));
	EXPECT_LE(info.max_read_frame, self->b.s.info.block_bytes);
	EXPECT_GT(info.max_read_frame + info.block_align, self->b.s.info.block_bytes);
	EXPECT_EQ(0, self->b.s.info.block_bytes % info.block_align);
}

TEST_F(sizes, smallest_ring_works)
{
	EXPECT_EQ(0, bench_stream(&self->b, 65536, 4096, 0, 0));
	EXPECT_EQ(65536, self->b.s.info.data_bytes);
}

TEST_F(sizes, four_blocks_fill_a_ring)
{
	EXPECT_EQ(0, bench_stream(&self->b, 65536, 16384, 0, 0));
}

TEST_F(sizes, watermark_may_be_half_the_ring)
{
	EXPECT_EQ(0, bench_stream(&self->b, 65536, 4096, 32768, 0));
	EXPECT_EQ(32768, self->b.s.info.watermark_bytes);
}

TEST_F(sizes, ring_that_is_no_power_of_two_is_einval)
{
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, 3 * 65536, 4096, 0, 0));
}

TEST_F(sizes, ring_below_64k_is_einval)
{
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, 32768, 4096, 0, 0));
}

TEST_F(sizes, ring_of_less_than_four_blocks_is_einval)
{
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, 65536, 32768, 0, 0));
}

TEST_F(sizes, ring_above_the_limit_is_einval)
{
	uint64_t above = 1ULL << 20;

	while (above <= self->info.ring_max)
		above <<= 1;
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, above, 4096, 0, 0));
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, 1ULL << 63, 4096, 0, 0));
}

TEST_F(sizes, misaligned_block_is_einval)
{
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, RING, 4096 + 1, 0, 0));
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, RING, 4096 + self->info.block_align / 2,
					    0, 0));
}

TEST_F(sizes, block_above_the_limit_is_einval)
{
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, self->info.ring_max,
					    self->info.block_max + self->info.block_align, 0, 0));
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, self->info.ring_max, 0xfffff000, 0, 0));
}

TEST_F(sizes, block_smaller_than_a_frame_is_einval)
{
	ASSERT_EQ(0, ot_feed(self->b.ctl, OT_FEED_LARGE));
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, RING, ot_board()->small_block, 0, 0));
}

TEST_F(sizes, watermark_above_half_the_ring_is_einval)
{
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, 65536, 4096, 32768 + 1, 0));
	EXPECT_EQ(-EINVAL, ot_stream_create(self->b.ctl, 65536, 4096, 0xffffffff, 0));
}

TEST_F(sizes, frames_grown_by_a_reset_are_found_at_start)
{
	ASSERT_EQ(0, bench_stream(&self->b, RING, ot_board()->small_block, 0, 0));
	ASSERT_EQ(0, ot_feed(self->b.ctl, OT_FEED_LARGE));
	EXPECT_EQ(-EINVAL, start(&self->b));
	EXPECT_EQ(ONI_STATE_IDLE, state(self->b.ctl));
}

/* --- one stream and its life ------------------------------------------------------ */

FIXTURE(stream) {
	struct bench b;
};

FIXTURE_SETUP(stream)
{
	ASSERT_EQ(0, bench_open(&self->b));
	ASSERT_EQ(0, bench_stream(&self->b, RING, BLOCK, 0, 0));
}

FIXTURE_TEARDOWN(stream)
{
	bench_close(&self->b);
}

TEST_F(stream, descriptor_is_read_only_and_cloexec)
{
	EXPECT_EQ(O_RDONLY, fcntl(self->b.s.fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->b.s.fd, F_GETFD) & FD_CLOEXEC);
}

TEST_F(stream, cannot_be_written)
{
	EXPECT_EQ(-1, write(self->b.s.fd, "abcd", 4));
	EXPECT_TRUE(errno == EBADF || errno == EINVAL);
}

TEST_F(stream, second_one_is_ebusy)
{
	EXPECT_EQ(-EBUSY, ot_stream_create(self->b.ctl, RING, BLOCK, 0, 0));
}

TEST_F(stream, shows_in_info)
{
	EXPECT_TRUE(has_stream(self->b.ctl));
	ot_stream_unmap(&self->b.s);
	close(self->b.s.fd);
	self->b.s.fd = -1;
	EXPECT_FALSE(has_stream(self->b.ctl));
}

TEST_F(stream, closing_makes_room_for_another)
{
	bench_close_stream(&self->b);
	EXPECT_EQ(0, bench_stream(&self->b, RING, BLOCK, 0, 0));
}

TEST_F(stream, closing_stops_the_acquisition)
{
	ASSERT_EQ(0, start(&self->b));
	bench_close_stream(&self->b);
	EXPECT_EQ(ONI_STATE_IDLE, state(self->b.ctl));
}

TEST_F(stream, closing_one_of_two_copies_changes_nothing)
{
	int copy = dup(self->b.s.fd);

	ASSERT_LE(0, copy);
	ASSERT_EQ(0, start(&self->b));
	close(copy);
	EXPECT_EQ(ONI_STATE_RUNNING, state(self->b.ctl));
	EXPECT_LE(4 * BLOCK, ot_wait_head(&self->b.s, 4 * BLOCK, LONG_MS));
}

TEST_F(stream, mapping_outlives_the_descriptor)
{
	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(4 * BLOCK, ot_wait_head(&self->b.s, 4 * BLOCK, LONG_MS));
	close(self->b.s.fd);
	self->b.s.fd = -1;
	EXPECT_EQ(ONI_RING_MAGIC, self->b.s.prod->magic);
	EXPECT_EQ(0, ot_parser_feed(&self->b.p, self->b.s.data, 4 * BLOCK));
	EXPECT_INTACT(&self->b);
}

/* A mapping that is left over does not keep the hardware running. */
TEST_F(stream, closing_stops_the_acquisition_under_a_mapping)
{
	ASSERT_EQ(0, start(&self->b));
	close(self->b.s.fd);
	self->b.s.fd = -1;
	EXPECT_EQ(ONI_STATE_IDLE, state(self->b.ctl));
	EXPECT_FALSE(has_stream(self->b.ctl));
	EXPECT_EQ(ONI_RING_STOPPED, self->b.s.prod->flags & ONI_RING_STOPPED);
}

TEST_F(stream, without_one_start_is_enodata)
{
	bench_close_stream(&self->b);
	EXPECT_EQ(-ENODATA, start(&self->b));
}

TEST_F(stream, stop_twice_is_harmless)
{
	ASSERT_EQ(0, start(&self->b));
	EXPECT_EQ(0, stop(&self->b));
	EXPECT_EQ(0, stop(&self->b));
}

/* --- geometry and mappings -------------------------------------------------------- */

TEST_F(stream, producer_page_repeats_the_geometry)
{
	const struct ot_stream *s = &self->b.s;

	EXPECT_EQ(ONI_RING_MAGIC, s->prod->magic);
	EXPECT_EQ(ONI_ABI_VERSION, s->prod->abi_version);
	EXPECT_EQ(RING, s->prod->data_bytes);
	EXPECT_EQ(BLOCK, s->prod->block_bytes);
	EXPECT_EQ(s->info.desc_count, s->prod->desc_count);
	EXPECT_EQ(0, s->prod->generation);
	EXPECT_EQ(0, s->prod->head);
	EXPECT_EQ(0, s->prod->flags & (ONI_RING_RUNNING | ONI_RING_GONE | ONI_RING_ERROR));
}

TEST_F(stream, offsets_and_lengths_suit_mmap)
{
	const struct oni_stream_info *i = &self->b.s.info;
	const uint64_t page = sysconf(_SC_PAGESIZE);
	const uint64_t span[4][2] = {
		{ i->producer_offset, i->producer_bytes },
		{ i->consumer_offset, i->consumer_bytes },
		{ i->data_offset, 2 * i->data_bytes },
		{ i->desc_offset, i->desc_bytes },
	};
	size_t a, b;

	for (a = 0; a < 4; a++) {
		EXPECT_EQ(0, span[a][0] % page);
		EXPECT_EQ(0, span[a][1] % page);
		EXPECT_LT(0, span[a][1]);
		for (b = 0; b < a; b++) {
			EXPECT_TRUE(span[a][0] >= span[b][0] + span[b][1] ||
				    span[b][0] >= span[a][0] + span[a][1]);
		}
	}
	EXPECT_LE(sizeof(struct oni_ring_producer), i->producer_bytes);
	EXPECT_LE(sizeof(struct oni_ring_consumer), i->consumer_bytes);
	EXPECT_EQ(0, i->desc_count & (i->desc_count - 1));
	EXPECT_LE(i->desc_count * sizeof(struct oni_block), i->desc_bytes);
	EXPECT_LE(i->data_bytes / i->block_bytes, i->desc_count);
}

TEST_F(stream, ring_is_seen_twice_in_a_row)
{
	const struct ot_stream *s = &self->b.s;

	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(4 * BLOCK, ot_wait_head(s, 4 * BLOCK, LONG_MS));
	EXPECT_EQ(0, memcmp(s->data, s->data + s->info.data_bytes, 4 * BLOCK));
	EXPECT_NE(0, memcmp(s->data, s->data + 4 * BLOCK, BLOCK));
}

/* Offset, length, protection and flags of a mapping that must be refused. */
static int try_map(int fd, uint64_t offset, uint64_t bytes, int prot, int flags)
{
	void *p = mmap(NULL, bytes, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, bytes);
	return 0;
}

TEST_F(stream, single_data_mapping_works)
{
	const struct oni_stream_info *i = &self->b.s.info;

	EXPECT_EQ(0, try_map(self->b.s.fd, i->data_offset, i->data_bytes, PROT_READ, MAP_SHARED));
}

TEST_F(stream, write_mapping_is_eperm)
{
	const struct oni_stream_info *i = &self->b.s.info;
	const int rw = PROT_READ | PROT_WRITE;
	int fd = self->b.s.fd;

	EXPECT_EQ(-EPERM, try_map(fd, i->producer_offset, i->producer_bytes, rw, MAP_SHARED));
	EXPECT_EQ(-EPERM, try_map(fd, i->data_offset, i->data_bytes, rw, MAP_SHARED));
	EXPECT_EQ(-EPERM, try_map(fd, i->data_offset, 2 * i->data_bytes, rw, MAP_SHARED));
	EXPECT_EQ(-EPERM, try_map(fd, i->desc_offset, i->desc_bytes, rw, MAP_SHARED));
}

TEST_F(stream, mprotect_cannot_add_write)
{
	const struct ot_stream *s = &self->b.s;
	const int rw = PROT_READ | PROT_WRITE;

	EXPECT_EQ(-1, mprotect((void *)(uintptr_t)s->prod, s->info.producer_bytes, rw));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect((void *)(uintptr_t)s->data, s->info.data_bytes, rw));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect((void *)(uintptr_t)s->desc, s->info.desc_bytes, rw));
	EXPECT_EQ(EACCES, errno);
}

TEST_F(stream, wrong_length_is_einval)
{
	const struct oni_stream_info *i = &self->b.s.info;
	const uint64_t page = sysconf(_SC_PAGESIZE);
	int fd = self->b.s.fd;

	EXPECT_EQ(-EINVAL, try_map(fd, i->producer_offset, i->producer_bytes + page, PROT_READ,
				   MAP_SHARED));
	EXPECT_EQ(-EINVAL, try_map(fd, i->consumer_offset, i->consumer_bytes + page,
				   PROT_READ | PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EINVAL, try_map(fd, i->data_offset, i->data_bytes / 2, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EINVAL, try_map(fd, i->data_offset, 3 * i->data_bytes, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EINVAL, try_map(fd, i->desc_offset, i->desc_bytes + page, PROT_READ,
				   MAP_SHARED));
}

TEST_F(stream, wrong_offset_is_einval)
{
	const struct oni_stream_info *i = &self->b.s.info;
	const uint64_t page = sysconf(_SC_PAGESIZE);
	int fd = self->b.s.fd;

	EXPECT_EQ(-EINVAL, try_map(fd, i->data_offset + page, i->data_bytes, PROT_READ,
				   MAP_SHARED));
	EXPECT_EQ(-EINVAL, try_map(fd, i->producer_offset + page, i->producer_bytes, PROT_READ,
				   MAP_SHARED));
	EXPECT_EQ(-EINVAL, try_map(fd, 1ULL << 40, page, PROT_READ, MAP_SHARED));
}

/* A private copy would never see the kernel's stores. */
TEST_F(stream, private_mapping_is_refused)
{
	const struct oni_stream_info *i = &self->b.s.info;

	EXPECT_GT(0, try_map(self->b.s.fd, i->consumer_offset, i->consumer_bytes,
			     PROT_READ | PROT_WRITE, MAP_PRIVATE));
	EXPECT_GT(0, try_map(self->b.s.fd, i->data_offset, i->data_bytes,
			     PROT_READ | PROT_WRITE, MAP_PRIVATE));
}

TEST_F(stream, node_cannot_be_mapped)
{
	EXPECT_GT(0, try_map(self->b.ctl, 0, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED));
}

/* --- the ring protocol -------------------------------------------------------------- */

TEST_F(stream, data_are_whole_and_in_order)
{
	ASSERT_EQ(0, start(&self->b));
	/* three times round the ring, so that frames wrap */
	EXPECT_EQ(0, consume_until(&self->b, 3 * RING));
	EXPECT_LE(3 * RING, ot_tail(&self->b.s));
	EXPECT_INTACT(&self->b);
}

TEST_F(stream, positions_count_whole_blocks)
{
	const struct ot_stream *s = &self->b.s;

	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(4 * BLOCK, ot_wait_head(s, 4 * BLOCK, LONG_MS));
	ASSERT_EQ(0, stop(&self->b));
	EXPECT_EQ(0, ot_head(s) % BLOCK);
	EXPECT_EQ(ot_head(s) / BLOCK, s->prod->desc_head);
	EXPECT_EQ(s->prod->desc_head, s->prod->blocks);
	EXPECT_EQ(0, s->prod->short_blocks);
}

TEST_F(stream, flags_tell_running_and_stopped)
{
	const struct ot_stream *s = &self->b.s;

	ASSERT_EQ(0, start(&self->b));
	EXPECT_EQ(ONI_RING_RUNNING, s->prod->flags & (ONI_RING_RUNNING | ONI_RING_STOPPED));
	ASSERT_EQ(0, stop(&self->b));
	EXPECT_EQ(ONI_RING_STOPPED, s->prod->flags & (ONI_RING_RUNNING | ONI_RING_STOPPED));
	EXPECT_EQ(0, s->prod->error);
}

TEST_F(stream, head_is_final_after_stop)
{
	uint64_t head;

	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(4 * BLOCK, ot_wait_head(&self->b.s, 4 * BLOCK, LONG_MS));
	ASSERT_EQ(0, stop(&self->b));
	head = ot_head(&self->b.s);
	ot_sleep_ms(100);
	EXPECT_EQ(head, ot_head(&self->b.s));
}

TEST_F(stream, start_time_is_monotonic_now)
{
	uint64_t before = ot_now_ns();

	ASSERT_EQ(0, start(&self->b));
	EXPECT_LE(before, self->b.s.prod->start_ns);
	EXPECT_GE(ot_now_ns(), self->b.s.prod->start_ns);
}

TEST_F(stream, start_begins_again_at_zero)
{
	const struct ot_stream *s = &self->b.s;

	ASSERT_EQ(0, start(&self->b));
	EXPECT_EQ(1, s->prod->generation);
	ASSERT_EQ(0, consume_until(&self->b, 8 * BLOCK));
	ASSERT_EQ(0, stop(&self->b));
	ASSERT_EQ(0, start(&self->b));
	EXPECT_EQ(2, s->prod->generation);
	EXPECT_EQ(0, ot_tail(s));
	EXPECT_EQ(ONI_RING_RUNNING, s->prod->flags & (ONI_RING_RUNNING | ONI_RING_STOPPED));
	ot_parser_restart(&self->b.p);
	EXPECT_EQ(0, consume_until(&self->b, 4 * BLOCK));
	EXPECT_INTACT(&self->b);
	/* the counter was reset: the first frame is young */
	EXPECT_GT(OT_CLK_HZ / 4, ot_parser_device(&self->b.p, ot_board()->feed)->first_clock);
}

/* Data left in the card by the first run do not come out in the second. */
TEST_F(stream, data_of_an_earlier_acquisition_are_dropped)
{
	struct oni_info before, after;

	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(BLOCK, ot_wait_head(&self->b.s, BLOCK, LONG_MS));
	ASSERT_EQ(0, stop(&self->b));
	ASSERT_EQ(0, ot_info(self->b.ctl, &before));
	ASSERT_EQ(0, start(&self->b));
	ASSERT_EQ(0, ot_info(self->b.ctl, &after));
	EXPECT_NE(before.generation, after.generation);
	EXPECT_EQ(0, consume_until(&self->b, 8 * BLOCK));
	EXPECT_INTACT(&self->b);
}

TEST_F(stream, descriptors_tell_position_length_and_time)
{
	const struct ot_stream *s = &self->b.s;
	const volatile struct oni_block *d;
	uint64_t i, n, position = 0, time = 0;

	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(16 * BLOCK, ot_wait_head(s, 16 * BLOCK, LONG_MS));
	ASSERT_EQ(0, stop(&self->b));
	n = s->prod->desc_head;
	ASSERT_LE(16, n);
	ASSERT_GE(s->info.desc_count, n);
	time = s->prod->start_ns;
	for (i = 0; i < n; i++) {
		d = &s->desc[i & (s->info.desc_count - 1)];
		EXPECT_EQ(position, d->position);
		EXPECT_EQ(BLOCK, d->bytes);
		EXPECT_EQ(i, d->seq);
		EXPECT_EQ(0, d->flags);
		EXPECT_LE(time, d->mono_ns);
		position += d->bytes;
		time = d->mono_ns;
	}
	EXPECT_EQ(ot_head(s), position);
	EXPECT_GE(ot_now_ns(), time);
}

TEST_F(stream, peak_tells_the_largest_fill)
{
	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(16 * BLOCK, ot_wait_head(&self->b.s, 16 * BLOCK, LONG_MS));
	ASSERT_EQ(0, stop(&self->b));
	EXPECT_EQ(ot_head(&self->b.s), self->b.s.prod->peak_bytes);
}

/* A tail beyond head is an error that ends the stream and is told everywhere. */
static void expect_protocol_error(struct __test_metadata *_metadata, struct bench *b)
{
	char byte;

	EXPECT_EQ(ONI_RING_ERROR, ot_wait_flags(&b->s, ONI_RING_ERROR, LONG_MS) & ONI_RING_ERROR);
	EXPECT_EQ(EPROTO, b->s.prod->error);
	EXPECT_EQ(POLLERR, ot_poll(b->s.fd, POLLIN, 0) & POLLERR);
	EXPECT_EQ(-1, read(b->s.fd, &byte, 1));
	EXPECT_EQ(EPROTO, errno);
}

static const uint64_t hostile_tails[] = {
	1ULL << 40, 1ULL << 63, ~0ULL,
};

TEST_F(stream, tail_beyond_head_is_eproto)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(hostile_tails); i++) {
		ASSERT_EQ(0, start(&self->b));
		ASSERT_LE(BLOCK, ot_wait_head(&self->b.s, BLOCK, LONG_MS));
		ot_set_tail(&self->b.s, hostile_tails[i]);
		expect_protocol_error(_metadata, &self->b);
		ASSERT_EQ(0, stop(&self->b));
	}
}

TEST_F(stream, tail_that_goes_back_is_eproto)
{
	ASSERT_EQ(0, start(&self->b));
	ASSERT_EQ(0, consume_until(&self->b, 8 * BLOCK));
	/* the kernel has seen this tail when more than the ring has passed */
	ASSERT_EQ(0, consume_until(&self->b, RING + BLOCK));
	ot_set_tail(&self->b.s, BLOCK);
	expect_protocol_error(_metadata, &self->b);
}

TEST_F(stream, recovers_from_eproto_at_the_next_start)
{
	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(BLOCK, ot_wait_head(&self->b.s, BLOCK, LONG_MS));
	ot_set_tail(&self->b.s, 1ULL << 40);
	expect_protocol_error(_metadata, &self->b);
	ASSERT_EQ(0, stop(&self->b));
	ASSERT_EQ(0, start(&self->b));
	EXPECT_EQ(0, self->b.s.prod->error);
	EXPECT_EQ(0, self->b.s.prod->flags & ONI_RING_ERROR);
	EXPECT_EQ(0, consume_until(&self->b, 8 * BLOCK));
	EXPECT_INTACT(&self->b);
}

/* --- back-pressure ------------------------------------------------------------------ */

TEST_F_TIMEOUT(stream, full_ring_holds_the_hardware_back_and_loses_nothing, 60)
{
	struct oni_stats before, after;
	struct ot_stream *s = &self->b.s;

	ASSERT_EQ(0, ot_stats(self->b.ctl, &before));
	bench_close_stream(&self->b);
	ASSERT_EQ(0, bench_stream(&self->b, 65536, BLOCK, 0, 0));
	ASSERT_EQ(0, start(&self->b));
	EXPECT_EQ(ONI_RING_FULL, ot_wait_flags(s, ONI_RING_FULL, LONG_MS) & ONI_RING_FULL);
	ot_sleep_ms(300);
	EXPECT_GE(65536, ot_head(s));
	EXPECT_LE(65536 - BLOCK, ot_head(s));
	EXPECT_LE(1, s->prod->full_events);
	EXPECT_GE(65536, s->prod->peak_bytes);
	EXPECT_EQ(ONI_STATE_RUNNING, state(self->b.ctl));
	/* the reader is back; what the card kept must come out whole */
	EXPECT_EQ(0, consume_until(&self->b, 20 * 65536));
	EXPECT_LE(20 * 65536, ot_tail(s));
	EXPECT_INTACT(&self->b);
	EXPECT_LE(200000000, s->prod->full_ns);
	ASSERT_EQ(0, ot_stats(self->b.ctl, &after));
	EXPECT_LT(before.ring_full, after.ring_full);
	EXPECT_LE(before.ring_full_ns + 200000000, after.ring_full_ns);
}

/* A full ring does not make STOP wait for a reader that never comes. */
TEST_F(stream, stop_works_with_a_full_ring)
{
	bench_close_stream(&self->b);
	ASSERT_EQ(0, bench_stream(&self->b, 65536, BLOCK, 0, 0));
	ASSERT_EQ(0, start(&self->b));
	ASSERT_EQ(ONI_RING_FULL, ot_wait_flags(&self->b.s, ONI_RING_FULL, LONG_MS) &
		  ONI_RING_FULL);
	EXPECT_EQ(0, stop(&self->b));
	EXPECT_EQ(ONI_STATE_IDLE, state(self->b.ctl));
	EXPECT_EQ(0, consume(&self->b, ot_head(&self->b.s)));
	EXPECT_INTACT(&self->b);
}

/* --- read ---------------------------------------------------------------------------- */

static long read_some(int fd, void *buf, size_t n)
{
	ssize_t got = read(fd, buf, n);

	return got < 0 ? -errno : got;
}

TEST_F(stream, read_before_start_is_end_of_file)
{
	char buf[16];

	EXPECT_EQ(0, read_some(self->b.s.fd, buf, sizeof(buf)));
}

TEST_F(stream, read_gives_the_bytes_of_the_ring)
{
	uint8_t *buf = malloc(RING);
	uint64_t have = 0;
	long got;

	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, start(&self->b));
	while (have < RING / 2) {
		got = read_some(self->b.s.fd, buf + have, RING / 2 - have);
		ASSERT_LT(0, got);
		have += got;
		EXPECT_EQ(have, ot_tail(&self->b.s));
	}
	ASSERT_EQ(0, stop(&self->b));
	/* less than once round: the bytes are still there */
	ASSERT_GE(RING, ot_head(&self->b.s));
	EXPECT_EQ(0, memcmp(buf, self->b.s.data, have));
	EXPECT_EQ(0, ot_parser_feed(&self->b.p, buf, have));
	EXPECT_INTACT(&self->b);
	free(buf);
}

TEST_F(stream, odd_read_lengths_lose_nothing)
{
	static const size_t lengths[] = { 1, 3, 17, 4095, 4097, 9999, 30011 };
	uint8_t buf[30011];
	uint64_t have = 0;
	size_t i = 0;
	long got;

	ASSERT_EQ(0, start(&self->b));
	while (have < 2 * RING) {
		got = read_some(self->b.s.fd, buf, lengths[i++ % ARRAY_SIZE(lengths)]);
		ASSERT_LT(0, got);
		ASSERT_EQ(0, ot_parser_feed(&self->b.p, buf, got));
		have += got;
	}
	EXPECT_INTACT(&self->b);
}

TEST_F(stream, read_after_stop_gives_the_rest_then_end_of_file)
{
	uint8_t *buf = malloc(RING);
	uint64_t have = 0;
	long got;

	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(4 * BLOCK, ot_wait_head(&self->b.s, 4 * BLOCK, LONG_MS));
	ASSERT_EQ(0, stop(&self->b));
	while ((got = read_some(self->b.s.fd, buf, 1000)) > 0)
		have += got;
	EXPECT_EQ(0, got);
	EXPECT_EQ(ot_head(&self->b.s), have);
	free(buf);
}

/* Each byte goes to one of them, and neither takes the other's tail back. */
TEST_F_TIMEOUT(stream, two_readers_of_one_descriptor_share_the_data, 60)
{
	struct ot_waiter w[2];
	int i;

	ASSERT_EQ(0, start(&self->b));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, ot_wait_start(&w[i], OT_WAIT_READ, self->b.s.fd, 0));
	ot_sleep_ms(5000);
	EXPECT_EQ(0, self->b.s.prod->error);
	ASSERT_EQ(0, stop(&self->b));
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(ot_wait_done(&w[i], LONG_MS));
		EXPECT_EQ(0, w[i].result);
		EXPECT_LT(0, w[i].bytes);
	}
	EXPECT_EQ(ot_head(&self->b.s), w[0].bytes + w[1].bytes);
}

TEST_F(stream, read_into_a_bad_pointer_is_efault_and_releases_nothing)
{
	void *volatile bad = (void *)8;

	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(4 * BLOCK, ot_wait_head(&self->b.s, 4 * BLOCK, LONG_MS));
	EXPECT_EQ(-EFAULT, read_some(self->b.s.fd, bad, 4096));
	EXPECT_EQ(0, ot_tail(&self->b.s));
}

TEST_F(stream, nonblocking_read_of_nothing_is_eagain)
{
	char buf[16];

	ASSERT_EQ(0, fcntl(self->b.s.fd, F_SETFL, O_NONBLOCK));
	/* the heartbeat alone needs seconds for a block */
	ASSERT_EQ(0, ot_feed(self->b.ctl, OT_FEED_OFF));
	ASSERT_EQ(0, start(&self->b));
	EXPECT_EQ(-EAGAIN, read_some(self->b.s.fd, buf, sizeof(buf)));
}

TEST_F(stream, nonblocking_read_takes_less_than_the_watermark)
{
	uint8_t buf[100];

	ASSERT_EQ(0, fcntl(self->b.s.fd, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, ot_stream_wake(self->b.s.fd, RING / 2, 0));
	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(BLOCK, ot_wait_head(&self->b.s, BLOCK, LONG_MS));
	EXPECT_EQ(100, read_some(self->b.s.fd, buf, sizeof(buf)));
}

/* --- wake-ups ------------------------------------------------------------------------ */

TEST_F(stream, watermark_above_half_the_ring_is_einval)
{
	EXPECT_EQ(-EINVAL, ot_stream_wake(self->b.s.fd, RING / 2 + 1, 0));
	EXPECT_EQ(0, ot_stream_wake(self->b.s.fd, RING / 2, 0));
}

TEST_F(stream, wake_rule_shows_in_info)
{
	struct oni_stream_info info;

	ASSERT_EQ(0, ot_stream_wake(self->b.s.fd, 3 * BLOCK, 5000));
	ASSERT_EQ(0, ot_stream_info(self->b.s.fd, &info));
	EXPECT_EQ(3 * BLOCK, info.watermark_bytes);
	EXPECT_EQ(5000, info.latency_us);
	ASSERT_EQ(0, ot_stream_wake(self->b.s.fd, 0, 0));
	ASSERT_EQ(0, ot_stream_info(self->b.s.fd, &info));
	EXPECT_EQ(BLOCK, info.watermark_bytes);
}

/* A sleeping reader is woken once per watermark, not once per block. */
TEST_F(stream, reader_wakes_at_the_watermark)
{
	const struct ot_stream *s = &self->b.s;
	uint8_t *buf = malloc(RING);
	uint64_t blocks;
	long got;
	int i;

	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, ot_stream_wake(s->fd, 32 * BLOCK, 0));
	ASSERT_EQ(0, start(&self->b));
	for (i = 0; i < 6; i++) {
		got = read_some(s->fd, buf, RING);
		EXPECT_LE((long)(32 * BLOCK), got);
	}
	blocks = s->prod->blocks;
	EXPECT_LE(6 * 32, blocks);
	EXPECT_LE(1, s->prod->wakeups);
	/* generous: four times the one wake-up that each read needs */
	EXPECT_GE(24, s->prod->wakeups);
	free(buf);
}

TEST_F(stream, reader_wakes_when_a_byte_is_old_enough)
{
	uint8_t *buf = malloc(RING);
	uint64_t wakeups;
	long got;

	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, ot_stream_wake(self->b.s.fd, RING / 2, 20000));
	ASSERT_EQ(0, start(&self->b));
	wakeups = self->b.s.prod->wakeups;
	got = read_some(self->b.s.fd, buf, RING);
	EXPECT_LT(0, got);
	EXPECT_GT((long)(RING / 2), got);
	EXPECT_LT(wakeups, self->b.s.prod->wakeups);
	free(buf);
}

TEST_F(stream, reader_sleeps_without_latency_limit)
{
	ASSERT_EQ(0, ot_stream_wake(self->b.s.fd, RING / 2, 0));
	ASSERT_EQ(0, start(&self->b));
	/* not more than 1.7 MB/s: 300 ms for half the ring */
	EXPECT_EQ(0, ot_poll(self->b.s.fd, POLLIN, 100));
	EXPECT_LT(0, ot_head(&self->b.s));
	EXPECT_EQ(POLLIN, ot_poll(self->b.s.fd, POLLIN, LONG_MS));
	EXPECT_LE(RING / 2, ot_head(&self->b.s));
}

/* Lowering the watermark below what is there wakes the sleeper at once. */
static void *lower_watermark(void *arg)
{
	struct bench *b = arg;

	ot_sleep_ms(200);
	ot_stream_wake(b->s.fd, BLOCK, 0);
	return NULL;
}

/* --- how late a finished block may be published ------------------------------------ */

/*
 * Blocks come one by one at a constant rate. Without a limit the driver leaves
 * interrupts to a timer to save register reads; with the smallest one never.
 */
static uint64_t held_during(struct bench *b, uint64_t bytes)
{
	struct oni_stats before, after;
	int ret = ot_stats(b->ctl, &before);

	if (!ret)
		ret = consume_until(b, bytes);
	if (!ret)
		ret = ot_stats(b->ctl, &after);
	return ret ? ~0ull : after.held - before.held;
}

TEST_F_TIMEOUT(stream, without_latency_limit_blocks_may_wait, 60)
{
	ASSERT_EQ(0, start(&self->b));
	EXPECT_LT(0, held_during(&self->b, RING));
	EXPECT_INTACT(&self->b);
}

TEST_F_TIMEOUT(stream, with_a_tight_latency_limit_no_block_waits, 60)
{
	ASSERT_EQ(0, ot_stream_wake(self->b.s.fd, 0, 1));
	ASSERT_EQ(0, start(&self->b));
	EXPECT_EQ(0, held_during(&self->b, RING));
	EXPECT_INTACT(&self->b);
}

/* A held block is published before a stop returns. */
TEST_F_TIMEOUT(stream, nothing_is_held_back_after_a_stop, 60)
{
	int i;

	for (i = 0; i < 3; i++) {
		ot_parser_restart(&self->b.p);
		ASSERT_EQ(0, start(&self->b));
		ASSERT_EQ(0, consume_until(&self->b, RING / 4));
		ASSERT_EQ(0, stop(&self->b));
		ASSERT_EQ(0, consume(&self->b, ot_head(&self->b.s)));
		EXPECT_EQ(0, ot_head(&self->b.s) % BLOCK);
		EXPECT_INTACT(&self->b);
	}
}

TEST_F(stream, new_rule_holds_for_a_reader_that_already_sleeps)
{
	pthread_t thread;
	uint8_t *buf = malloc(RING);
	long got;

	ASSERT_NE(NULL, buf);
	/* 46 kB/s: the old rule would need eleven seconds */
	ASSERT_EQ(0, ot_feed(self->b.ctl, OT_FEED_SLOW));
	ASSERT_EQ(0, ot_stream_wake(self->b.s.fd, RING / 2, 0));
	ASSERT_EQ(0, start(&self->b));
	ASSERT_EQ(0, pthread_create(&thread, NULL, lower_watermark, &self->b));
	got = read_some(self->b.s.fd, buf, RING);
	EXPECT_LE((long)BLOCK, got);
	EXPECT_GT((long)(RING / 2), got);
	pthread_join(thread, NULL);
	free(buf);
}

/* --- poll ------------------------------------------------------------------------------ */

TEST_F(stream, poll_before_start_waits)
{
	EXPECT_EQ(0, ot_poll(self->b.s.fd, POLLIN, 50));
}

TEST_F(stream, poll_after_stop_says_readable_for_good)
{
	uint8_t *buf = malloc(RING);

	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, start(&self->b));
	ASSERT_LE(BLOCK, ot_wait_head(&self->b.s, BLOCK, LONG_MS));
	ASSERT_EQ(0, ot_stream_wake(self->b.s.fd, RING / 2, 0));
	ASSERT_EQ(0, stop(&self->b));
	EXPECT_EQ(POLLIN, ot_poll(self->b.s.fd, POLLIN, 0));
	while (read_some(self->b.s.fd, buf, RING) > 0)
		;
	EXPECT_EQ(POLLIN, ot_poll(self->b.s.fd, POLLIN, 0));
	free(buf);
}

static void *stop_soon(void *arg)
{
	struct bench *b = arg;

	ot_sleep_ms(200);
	stop(b);
	return NULL;
}

TEST_F(stream, stop_wakes_a_poller_and_a_reader)
{
	pthread_t thread;
	char buf[16];

	ASSERT_EQ(0, ot_feed(self->b.ctl, OT_FEED_OFF));
	ASSERT_EQ(0, start(&self->b));
	ASSERT_EQ(0, pthread_create(&thread, NULL, stop_soon, &self->b));
	EXPECT_EQ(POLLIN, ot_poll(self->b.s.fd, POLLIN, LONG_MS));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, read_some(self->b.s.fd, buf, sizeof(buf)));

	ASSERT_EQ(0, start(&self->b));
	ASSERT_EQ(0, pthread_create(&thread, NULL, stop_soon, &self->b));
	EXPECT_EQ(0, read_some(self->b.s.fd, buf, sizeof(buf)));
	pthread_join(thread, NULL);
}

/* --- signals ---------------------------------------------------------------------------- */

static void on_alarm(int sig)
{
	(void)sig;
}

TEST_F(stream, interrupted_read_is_eintr_and_has_no_effect)
{
	struct sigaction action = { .sa_handler = on_alarm };
	uint8_t *buf = malloc(RING);

	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, ot_feed(self->b.ctl, OT_FEED_SLOW));
	ASSERT_EQ(0, ot_stream_wake(self->b.s.fd, RING / 2, 0));
	ASSERT_EQ(0, start(&self->b));
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	alarm(1);
	EXPECT_EQ(-EINTR, read_some(self->b.s.fd, buf, RING));
	EXPECT_EQ(0, ot_tail(&self->b.s));
	free(buf);
}

/* --- more than one process ------------------------------------------------------------------ */

/* The holder of a stream needs no other right: not the node, not the claim. */
static int hold_stream(int sock)
{
	struct ot_parser *p = calloc(1, sizeof(*p));
	struct ot_stream s;
	uint8_t buf[BLOCK];
	uint64_t have = 0;
	int fd = ot_recv_fd(sock);
	long got;

	/* the table came with the fork; here, only the ring is looked at */
	if (fd < 0 || !p || ot_stream_map(fd, &s))
		return 1;
	while (have < 16 * BLOCK) {
		got = read_some(fd, buf, sizeof(buf));
		if (got <= 0)
			return 2;
		have += got;
	}
	return ot_tail(&s) == have ? 0 : 3;
}

TEST_F(stream, can_be_passed_to_a_process_without_rights)
{
	int sock[2], status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		bench_close_stream(&self->b);
		close(self->b.ctl);
		if (setresuid(65534, 65534, 65534))
			_exit(4);
		_exit(hold_stream(sock[1]));
	}
	/* First, or the child reads the end of a stream that does not run. */
	ASSERT_EQ(0, start(&self->b));
	ASSERT_EQ(0, ot_send_fd(sock[0], self->b.s.fd));
	bench_close_stream(&self->b);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	/* the child held the last copy */
	EXPECT_EQ(ONI_STATE_IDLE, state(self->b.ctl));
	EXPECT_FALSE(has_stream(self->b.ctl));
}

struct sleeper {
	pthread_t thread;
	int fd;
	long got;
	volatile bool done;
};

static void *sleep_in_read(void *arg)
{
	struct sleeper *r = arg;
	uint8_t *buf = malloc(RING);

	r->got = read_some(r->fd, buf, RING);
	r->done = true;
	free(buf);
	return NULL;
}

/* The read keeps the stream alive; it ends with the acquisition. */
TEST_F(stream, close_under_a_blocked_reader_is_harmless)
{
	struct sleeper r = { .fd = self->b.s.fd };

	ASSERT_EQ(0, ot_feed(self->b.ctl, OT_FEED_OFF));
	ASSERT_EQ(0, start(&self->b));
	ASSERT_EQ(0, pthread_create(&r.thread, NULL, sleep_in_read, &r));
	ot_sleep_ms(200);
	bench_close_stream(&self->b);
	ASSERT_EQ(0, stop(&self->b));
	pthread_join(r.thread, NULL);
	EXPECT_TRUE(r.done);
	EXPECT_EQ(0, r.got);
	EXPECT_FALSE(has_stream(self->b.ctl));
	EXPECT_EQ(0, bench_stream(&self->b, RING, BLOCK, 0, 0));
}

/* --- the node as a stream ------------------------------------------------------------------- */

FIXTURE(plain) {
	int watcher;
	int fd;
	struct ot_parser *p;
};

FIXTURE_VARIANT(plain) {
	int flags;
};

FIXTURE_VARIANT_ADD(plain, read_only) { .flags = O_RDONLY };
FIXTURE_VARIANT_ADD(plain, read_write) { .flags = O_RDWR };

FIXTURE_SETUP(plain)
{
	self->watcher = ot_open(O_RDWR);
	ASSERT_LE(0, self->watcher);
	ASSERT_EQ(0, ot_simple(self->watcher, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_feed(self->watcher, OT_FEED_FAST));
	ASSERT_EQ(0, ot_simple(self->watcher, ONI_IOC_RELEASE));
	self->p = calloc(1, sizeof(*self->p));
	ASSERT_NE(NULL, self->p);
	ASSERT_EQ(0, ot_parser_init(self->p, self->watcher, LT_STEP));
	self->fd = ot_open(variant->flags);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(plain)
{
	if (self->fd >= 0)
		close(self->fd);
	ot_simple(self->watcher, ONI_IOC_CLAIM);
	ot_feed(self->watcher, OT_FEED_OFF);
	close(self->watcher);
	free(self->p);
}

TEST_F(plain, poll_says_readable_before_the_first_read)
{
	EXPECT_EQ(POLLIN, ot_poll(self->fd, POLLIN, 0) & POLLIN);
	EXPECT_FALSE(has_stream(self->watcher));
}

TEST_F(plain, read_makes_a_stream_claims_and_starts)
{
	struct oni_info info;
	uint8_t buf[64];

	EXPECT_LT(0, read_some(self->fd, buf, sizeof(buf)));
	ASSERT_EQ(0, ot_info(self->watcher, &info));
	EXPECT_EQ(ONI_STATE_RUNNING, info.state);
	EXPECT_EQ(ONI_INFO_OWNED | ONI_INFO_STREAM,
		  info.flags & (ONI_INFO_OWNED | ONI_INFO_STREAM));
}

TEST_F(plain, reads_give_whole_frames_in_order)
{
	uint8_t buf[10000];
	uint64_t have = 0;
	long got;

	while (have < 1000000) {
		got = read_some(self->fd, buf, sizeof(buf));
		ASSERT_LT(0, got);
		ASSERT_EQ(0, ot_parser_feed(self->p, buf, got));
		have += got;
	}
	EXPECT_EQ(0, self->p->bad_words);
	EXPECT_EQ(0, ot_parser_device(self->p, ot_board()->feed)->gaps);
}

TEST_F(plain, close_ends_what_the_read_began)
{
	struct oni_info info;
	uint8_t buf[64];

	ASSERT_LT(0, read_some(self->fd, buf, sizeof(buf)));
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(0, ot_info(self->watcher, &info));
	EXPECT_EQ(ONI_STATE_IDLE, info.state);
	EXPECT_EQ(0, info.flags & (ONI_INFO_OWNED | ONI_INFO_STREAM));
}

TEST_F(plain, read_is_ebusy_while_a_stream_exists)
{
	uint8_t buf[64];
	int stream;

	ASSERT_EQ(0, ot_simple(self->watcher, ONI_IOC_CLAIM));
	stream = ot_stream_create(self->watcher, RING, BLOCK, 0, 0);
	ASSERT_LE(0, stream);
	EXPECT_EQ(-EBUSY, read_some(self->fd, buf, sizeof(buf)));
	close(stream);
}

TEST_F(plain, second_reader_is_ebusy)
{
	uint8_t buf[64];
	int other = ot_open(O_RDONLY);

	ASSERT_LE(0, other);
	ASSERT_LT(0, read_some(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(-EBUSY, read_some(other, buf, sizeof(buf)));
	close(other);
	EXPECT_LT(0, read_some(self->fd, buf, sizeof(buf)));
}

static const struct ot_only only[] = {
	{ ONI_TRANSPORT_RIFFA, "sizes", NULL, "default_block_holds_the_largest_frame",
	  "no frame is larger than the default" },
	{ ONI_TRANSPORT_RIFFA, "stream", NULL, "without_latency_limit_blocks_may_wait",
	  "a transfer is published when it ends, and there is nothing to save by waiting" },
	{ ONI_TRANSPORT_RIFFA, "stream", NULL, "with_a_tight_latency_limit_no_block_waits",
	  "none ever does" },
};

OT_ONLY(only)
TEST_HARNESS_MAIN
