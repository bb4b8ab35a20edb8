// SPDX-License-Identifier: MIT
/*
 * Monitors: who may make them, what they see, what they are told they missed,
 * and that they hold nothing back.
 *
 * A monitor is slow by not reading, not by time: the stream's reader, a thread,
 * keeps the ring flowing meanwhile. Every byte that was published is either
 * read by the monitor or counted as lost to it.
 *
 * Contract under test: include/uapi/linux/oni.h, struct oni_monitor_create,
 * struct oni_monitor_stat, "the ring", "read and poll on a stream". Needs
 * /dev/oniN that nobody else uses. Threads are those of struct ot_waiter, and
 * two of the test of a start.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#include "oni_board.h"
#include "oni_layout.h"
#include "oni_leave.h"

#define SMALL		65536u		/* a ring that is lapped soon */
#define LONG_MS		60000		/* "never" for something that must come */
#define SOON_MS		20000
#define WAKE_MS		200

FIXTURE(monitor) {
	int ctl;
	struct ot_stream s, m;
	struct ot_parser p;
	struct ot_waiter reader;	/* of the stream */
	bool reading;
};

static int make(FIXTURE_DATA(monitor) *self, uint32_t ring)
{
	self->s.fd = ot_stream_create(self->ctl, ring, OT_BLOCK, 0, 0);
	if (self->s.fd < 0)
		return self->s.fd;
	self->m.fd = ot_monitor_create(self->ctl, 0, 0);
	if (self->m.fd < 0)
		return self->m.fd;
	return ot_stream_map(self->s.fd, &self->s) ?: ot_stream_map(self->m.fd, &self->m);
}

static void close_one(struct ot_stream *s)
{
	ot_stream_unmap(s);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* Another ring than the fixture's. */
static int make_again(FIXTURE_DATA(monitor) *self, uint32_t ring)
{
	close_one(&self->m);
	close_one(&self->s);
	return make(self, ring);
}

FIXTURE_SETUP(monitor)
{
	self->s.fd = -1;
	self->m.fd = -1;
	self->ctl = ot_open(O_RDWR);
	ASSERT_LE(0, self->ctl);
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_feed(self->ctl, OT_FEED_FAST));
	ASSERT_EQ(0, ot_parser_init(&self->p, self->ctl, OT_LT_STEP));
	ASSERT_EQ(0, make(self, OT_RING));
}

FIXTURE_TEARDOWN(monitor)
{
	ot_simple(self->ctl, ONI_IOC_STOP);
	if (self->reading) {
		EXPECT_TRUE(ot_wait_done(&self->reader, SOON_MS));
	}
	close_one(&self->m);
	close_one(&self->s);
	close(self->ctl);
}

static int start(FIXTURE_DATA(monitor) *self)
{
	return ot_simple(self->ctl, ONI_IOC_START);
}

static int stop(FIXTURE_DATA(monitor) *self)
{
	return ot_simple(self->ctl, ONI_IOC_STOP);
}

/* Start, with somebody who takes everything out of the stream. */
static int start_reading(FIXTURE_DATA(monitor) *self)
{
	int ret = start(self);

	if (ret)
		return ret;
	self->reading = true;
	return ot_wait_start(&self->reader, OT_WAIT_READ, self->s.fd, 0);
}

/* Stop, and that somebody has ended as he must. */
static void stop_reading(struct __test_metadata *_metadata, FIXTURE_DATA(monitor) *self)
{
	ASSERT_EQ(0, stop(self));
	ASSERT_TRUE(ot_wait_done(&self->reader, SOON_MS));
	self->reading = false;
	EXPECT_EQ(0, self->reader.result);
	EXPECT_EQ(ot_head(&self->s), self->reader.bytes);
}

struct account {
	uint64_t bytes, overflows;
	long end;
};

/* Read what is there, or until the end if it is over. */
static struct account read_all(int fd)
{
	static uint8_t buf[65536];
	struct account a = { 0 };
	long n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((n = ot_read(fd, buf, sizeof(buf))) > 0 || n == -EOVERFLOW) {
		if (n > 0)
			a.bytes += n;
		else
			a.overflows++;
	}
	fcntl(fd, F_SETFL, 0);
	a.end = n;
	return a;
}

static uint64_t position(int fd)
{
	struct oni_monitor_stat stat;

	return ot_monitor_stat(fd, &stat) ? ~0ull : stat.position;
}

/* --- who may make one --------------------------------------------------------------- */

TEST_F(monitor, without_a_stream_is_enodata)
{
	close_one(&self->m);
	close_one(&self->s);
	EXPECT_EQ(-ENODATA, ot_monitor_create(self->ctl, 0, 0));
}

TEST_F(monitor, needs_no_ownership_and_no_write_access)
{
	int other = ot_open(O_RDONLY), fd;

	ASSERT_LE(0, other);
	fd = ot_monitor_create(other, 0, 0);
	EXPECT_LE(0, fd);
	close(fd);
	close(other);
}

TEST_F(monitor, descriptor_is_read_only_and_cloexec)
{
	EXPECT_EQ(O_RDONLY, fcntl(self->m.fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->m.fd, F_GETFD) & FD_CLOEXEC);
	EXPECT_EQ(-1, write(self->m.fd, "abcd", 4));
	EXPECT_TRUE(errno == EBADF || errno == EINVAL);
}

/* One above the limit is refused, and leaves no descriptor behind. */
TEST_F(monitor, more_than_the_limit_is_ebusy)
{
	int fd[ONI_MONITORS_MAX], next, i;

	for (i = 1; i < ONI_MONITORS_MAX; i++) {
		fd[i] = ot_monitor_create(self->ctl, 0, 0);
		ASSERT_LE(0, fd[i]);
	}
	EXPECT_EQ(-EBUSY, ot_monitor_create(self->ctl, 0, 0));
	next = dup(self->ctl);
	EXPECT_EQ(fd[ONI_MONITORS_MAX - 1] + 1, next);
	close(next);
	close(fd[1]);
	fd[1] = ot_monitor_create(self->ctl, 0, 0);
	EXPECT_LE(0, fd[1]);
	for (i = 1; i < ONI_MONITORS_MAX; i++)
		close(fd[i]);
}

TEST_F(monitor, watermark_may_be_half_the_ring_and_no_more)
{
	int fd = ot_monitor_create(self->ctl, OT_RING / 2, 0);

	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(-EINVAL, ot_monitor_create(self->ctl, OT_RING / 2 + 1, 0));
	EXPECT_EQ(-EINVAL, ot_stream_wake(self->m.fd, OT_RING / 2 + 1, 0));
}

TEST_F(monitor, default_watermark_is_one_block)
{
	EXPECT_EQ(OT_BLOCK, self->m.info.watermark_bytes);
	EXPECT_EQ(0, self->m.info.latency_us);
}

/* --- what it maps -------------------------------------------------------------------- */

TEST_F(monitor, geometry_is_that_of_the_stream)
{
	EXPECT_EQ(0, memcmp(&self->s.info, &self->m.info, sizeof(self->s.info)));
}

TEST_F(monitor, consumer_page_is_its_own)
{
	ASSERT_EQ(0, start(self));
	ASSERT_LE(4 * OT_BLOCK, ot_wait_head(&self->m, 4 * OT_BLOCK, LONG_MS));
	ot_set_tail(&self->m, 3 * OT_BLOCK);
	EXPECT_EQ(0, ot_tail(&self->s));
	EXPECT_EQ(3 * OT_BLOCK, position(self->m.fd));
}

TEST_F(monitor, only_the_consumer_page_can_be_written)
{
	const struct oni_stream_info *in = &self->m.info;
	const struct {
		uint64_t offset, bytes;
	} part[] = {
		{ in->producer_offset, in->producer_bytes },
		{ in->data_offset, in->data_bytes },
		{ in->desc_offset, in->desc_bytes },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(part); i++) {
		EXPECT_EQ(MAP_FAILED, mmap(NULL, part[i].bytes, PROT_READ | PROT_WRITE,
					   MAP_SHARED, self->m.fd, part[i].offset));
		EXPECT_EQ(EPERM, errno);
	}
	EXPECT_EQ(-1, mprotect((void *)(uintptr_t)self->m.data, 4096, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
}

TEST_F(monitor, sees_the_bytes_of_the_stream)
{
	ASSERT_EQ(0, start(self));
	ASSERT_LE(8 * OT_BLOCK, ot_wait_head(&self->m, 8 * OT_BLOCK, LONG_MS));
	EXPECT_EQ(0, memcmp(self->s.data, self->m.data, 8 * OT_BLOCK));
	EXPECT_EQ(0, ot_parser_feed(&self->p, self->m.data, 8 * OT_BLOCK));
}

TEST_F(monitor, mappings_outlive_its_descriptor)
{
	ASSERT_EQ(0, start(self));
	ASSERT_LE(8 * OT_BLOCK, ot_wait_head(&self->m, 8 * OT_BLOCK, LONG_MS));
	close(self->m.fd);
	self->m.fd = -1;
	EXPECT_EQ(0, ot_parser_feed(&self->p, self->m.data, 8 * OT_BLOCK));
	ot_set_tail(&self->m, OT_BLOCK);
	EXPECT_EQ(OT_BLOCK, ot_tail(&self->m));
}

/* --- where it begins ------------------------------------------------------------------ */

TEST_F(monitor, begins_at_the_head)
{
	uint64_t before, at, after;
	int fd;

	ASSERT_EQ(0, start(self));
	before = ot_wait_head(&self->s, 8 * OT_BLOCK, LONG_MS);
	ASSERT_LE(8 * OT_BLOCK, before);
	fd = ot_monitor_create(self->ctl, 0, 0);
	ASSERT_LE(0, fd);
	at = position(fd);
	after = ot_head(&self->s);
	EXPECT_LE(before, at);
	EXPECT_GE(after, at);
	close(fd);
}

/* It need not have read the last one to its end. */
TEST_F(monitor, begins_at_zero_in_a_new_acquisition)
{
	struct oni_monitor_stat stat;
	struct account a;

	ASSERT_EQ(0, make_again(self, SMALL));
	ASSERT_EQ(0, start_reading(self));
	ASSERT_LE(3 * SMALL, ot_wait_head(&self->s, 3 * SMALL, LONG_MS));
	stop_reading(_metadata, self);
	a = read_all(self->m.fd);
	EXPECT_EQ(1, a.overflows);
	ot_parser_restart(&self->p);
	ASSERT_EQ(0, start(self));
	EXPECT_EQ(2, self->m.prod->generation);
	ASSERT_LE(4 * OT_BLOCK, ot_wait_head(&self->m, 4 * OT_BLOCK, LONG_MS));
	ASSERT_EQ(0, ot_monitor_stat(self->m.fd, &stat));
	EXPECT_EQ(0, stat.position);
	EXPECT_EQ(0, stat.lost_bytes);
	EXPECT_EQ(0, stat.lost_events);
	EXPECT_EQ(0, ot_parser_feed(&self->p, self->m.data, 4 * OT_BLOCK));
}

/* --- reading and waiting ---------------------------------------------------------------- */

TEST_F(monitor, read_gives_the_bytes_and_moves_its_position)
{
	uint8_t buf[1000];

	ASSERT_EQ(0, start(self));
	ASSERT_EQ((long)sizeof(buf), ot_read(self->m.fd, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, self->m.data, sizeof(buf)));
	EXPECT_EQ(sizeof(buf), position(self->m.fd));
	EXPECT_EQ(sizeof(buf), ot_tail(&self->m));
}

TEST_F(monitor, nonblocking_read_of_nothing_is_eagain)
{
	uint8_t buf[16];

	ASSERT_EQ(0, ot_feed(self->ctl, OT_FEED_OFF));
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, fcntl(self->m.fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, ot_read(self->m.fd, buf, sizeof(buf)));
}

TEST_F(monitor, read_before_start_is_end_of_file)
{
	uint8_t buf[16];

	EXPECT_EQ(0, ot_read(self->m.fd, buf, sizeof(buf)));
}

TEST_F(monitor, read_into_a_bad_pointer_is_efault_and_releases_nothing)
{
	void *volatile bad = (void *)8;

	ASSERT_EQ(0, start(self));
	ASSERT_LE(OT_BLOCK, ot_wait_head(&self->m, OT_BLOCK, LONG_MS));
	EXPECT_EQ(-EFAULT, ot_read(self->m.fd, bad, 16));
	EXPECT_EQ(0, position(self->m.fd));
}

TEST_F(monitor, wakes_by_its_own_rule)
{
	ASSERT_EQ(0, ot_stream_wake(self->m.fd, 16 * OT_BLOCK, 0));
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(POLLIN, ot_poll(self->m.fd, POLLIN, LONG_MS));
	EXPECT_LE(16 * OT_BLOCK, ot_head(&self->m));
}

TEST_F(monitor, wakes_when_a_byte_is_old_enough)
{
	ASSERT_EQ(0, ot_stream_wake(self->m.fd, OT_RING / 2, 20000));
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(POLLIN, ot_poll(self->m.fd, POLLIN, LONG_MS));
	EXPECT_LT(0, ot_head(&self->m));
	EXPECT_GT(OT_RING / 2, ot_head(&self->m));
}

TEST_F(monitor, wake_rule_of_the_stream_is_another_one)
{
	struct oni_stream_info info;

	ASSERT_EQ(0, ot_stream_wake(self->m.fd, 16 * OT_BLOCK, 1234));
	ASSERT_EQ(0, ot_stream_info(self->s.fd, &info));
	EXPECT_EQ(OT_BLOCK, info.watermark_bytes);
	EXPECT_EQ(0, info.latency_us);
	ASSERT_EQ(0, ot_stream_info(self->m.fd, &info));
	EXPECT_EQ(16 * OT_BLOCK, info.watermark_bytes);
	EXPECT_EQ(1234, info.latency_us);
}

TEST_F(monitor, stop_wakes_it)
{
	struct ot_waiter poller, reader;

	ASSERT_EQ(0, ot_feed(self->ctl, OT_FEED_OFF));
	ASSERT_EQ(0, ot_stream_wake(self->m.fd, OT_RING / 2, 0));
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, ot_wait_start(&poller, OT_WAIT_POLL, self->m.fd, POLLIN));
	ASSERT_EQ(0, ot_wait_start(&reader, OT_WAIT_READ, self->m.fd, 0));
	ot_sleep_ms(WAKE_MS);
	EXPECT_FALSE(poller.done || reader.done);
	ASSERT_EQ(0, stop(self));
	ASSERT_TRUE(ot_wait_done(&poller, SOON_MS));
	ASSERT_TRUE(ot_wait_done(&reader, SOON_MS));
	EXPECT_EQ(POLLIN, poller.result);
	EXPECT_EQ(0, reader.result);
}

/* --- the end of the stream ---------------------------------------------------------------- */

TEST_F(monitor, what_is_there_can_be_read_after_the_stream_is_closed)
{
	uint64_t head;
	struct account a;

	ASSERT_EQ(0, start(self));
	ASSERT_LE(8 * OT_BLOCK, ot_wait_head(&self->m, 8 * OT_BLOCK, LONG_MS));
	close_one(&self->s);
	EXPECT_EQ(ONI_RING_CLOSED, self->m.prod->flags & (ONI_RING_CLOSED | ONI_RING_RUNNING));
	EXPECT_EQ(POLLIN | POLLHUP, ot_poll(self->m.fd, POLLIN, 0));
	head = ot_head(&self->m);
	a = read_all(self->m.fd);
	EXPECT_EQ(head, a.bytes);
	EXPECT_EQ(0, a.end);
	EXPECT_EQ(head, ot_head(&self->m));
}

TEST_F(monitor, poller_is_woken_when_the_stream_is_closed)
{
	struct ot_waiter w;

	ASSERT_EQ(0, ot_wait_start(&w, OT_WAIT_POLL, self->m.fd, POLLIN));
	ot_sleep_ms(WAKE_MS);
	EXPECT_FALSE(w.done);
	close_one(&self->s);
	ASSERT_TRUE(ot_wait_done(&w, SOON_MS));
	EXPECT_EQ(POLLHUP, w.result & POLLHUP);
}

TEST_F(monitor, reader_is_woken_when_the_stream_is_closed)
{
	struct ot_waiter w;

	ASSERT_EQ(0, ot_feed(self->ctl, OT_FEED_OFF));
	ASSERT_EQ(0, ot_stream_wake(self->m.fd, OT_RING / 2, 0));
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, ot_wait_start(&w, OT_WAIT_READ, self->m.fd, 0));
	ot_sleep_ms(WAKE_MS);
	EXPECT_FALSE(w.done);
	close_one(&self->s);
	ASSERT_TRUE(ot_wait_done(&w, SOON_MS));
	EXPECT_EQ(0, w.result);
	EXPECT_EQ(POLLHUP, ot_poll(self->m.fd, POLLIN, 0) & POLLHUP);
}

/* It stays with its ring; the next stream is another one. */
TEST_F(monitor, of_a_closed_stream_is_in_nobody_s_way)
{
	int fd;

	close_one(&self->s);
	self->s.fd = ot_stream_create(self->ctl, OT_RING, OT_BLOCK, 0, 0);
	ASSERT_LE(0, self->s.fd);
	ASSERT_EQ(0, ot_stream_map(self->s.fd, &self->s));
	ASSERT_EQ(0, start(self));
	EXPECT_LE(4 * OT_BLOCK, ot_wait_head(&self->s, 4 * OT_BLOCK, LONG_MS));
	EXPECT_EQ(0, ot_head(&self->m));
	EXPECT_EQ(0, position(self->m.fd));
	fd = ot_monitor_create(self->ctl, 0, 0);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST_F(monitor, does_not_keep_the_acquisition_running)
{
	struct oni_info info;

	ASSERT_EQ(0, start(self));
	close_one(&self->s);
	ASSERT_EQ(0, ot_info(self->ctl, &info));
	EXPECT_EQ(ONI_STATE_IDLE, info.state);
	EXPECT_EQ(0, info.flags & ONI_INFO_STREAM);
}

TEST_F(monitor, closing_it_disturbs_nobody)
{
	ASSERT_EQ(0, start_reading(self));
	ASSERT_LE(8 * OT_BLOCK, ot_wait_head(&self->s, 8 * OT_BLOCK, LONG_MS));
	close_one(&self->m);
	ASSERT_LE(64 * OT_BLOCK, ot_wait_head(&self->s, 64 * OT_BLOCK, LONG_MS));
	stop_reading(_metadata, self);
}

/* --- being lapped ------------------------------------------------------------------------- */

TEST_F(monitor, that_keeps_up_loses_nothing)
{
	struct ot_waiter w;
	struct oni_monitor_stat stat;

	ASSERT_EQ(0, start_reading(self));
	ASSERT_EQ(0, ot_wait_start(&w, OT_WAIT_READ, self->m.fd, 0));
	ASSERT_LE(2 * OT_RING, ot_wait_head(&self->s, 2 * OT_RING, LONG_MS));
	stop_reading(_metadata, self);
	ASSERT_TRUE(ot_wait_done(&w, SOON_MS));
	ASSERT_EQ(0, ot_monitor_stat(self->m.fd, &stat));
	EXPECT_EQ(w.bytes + stat.lost_bytes, ot_head(&self->m));
	EXPECT_EQ(w.overflows, stat.lost_events);
}

TEST_F(monitor, that_is_lapped_is_told_once_and_goes_on)
{
	struct oni_monitor_stat stat;
	uint8_t buf[16];
	uint64_t claim;

	ASSERT_EQ(0, make_again(self, SMALL));
	ASSERT_EQ(0, start_reading(self));
	ASSERT_LE(4 * SMALL, ot_wait_head(&self->s, 4 * SMALL, LONG_MS));
	stop_reading(_metadata, self);
	claim = ot_claim(&self->m);
	EXPECT_EQ(-EOVERFLOW, ot_read(self->m.fd, buf, sizeof(buf)));
	ASSERT_EQ(0, ot_monitor_stat(self->m.fd, &stat));
	EXPECT_EQ(1, stat.lost_events);
	EXPECT_EQ(stat.position, stat.lost_bytes);
	EXPECT_EQ(claim - SMALL / 2, stat.position);
	EXPECT_EQ((long)sizeof(buf), ot_read(self->m.fd, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, self->m.data + (stat.position & (SMALL - 1)), sizeof(buf)));
}

/* Nothing that is left was overwritten: it is what the stream's reader saw. */
TEST_F(monitor, goes_on_with_bytes_that_are_whole)
{
	uint8_t *seen = malloc(SMALL), *got = malloc(SMALL);
	uint64_t at;
	long n;

	ASSERT_TRUE(seen && got);
	ASSERT_EQ(0, make_again(self, SMALL));
	ASSERT_EQ(0, start_reading(self));
	ASSERT_LE(4 * SMALL, ot_wait_head(&self->s, 4 * SMALL, LONG_MS));
	stop_reading(_metadata, self);
	ASSERT_EQ(-EOVERFLOW, ot_read(self->m.fd, got, SMALL));
	at = position(self->m.fd);
	memcpy(seen, self->s.data + (at & (SMALL - 1)), ot_head(&self->s) - at);
	n = ot_read(self->m.fd, got, SMALL);
	EXPECT_EQ((long)(ot_head(&self->s) - at), n);
	EXPECT_EQ(0, memcmp(seen, got, n));
	free(seen);
	free(got);
}

/* claim tells a reader of the mapping what read(2) would tell. */
TEST_F(monitor, claim_runs_ahead_of_head_by_what_the_hardware_may_write)
{
	uint64_t head, claim;
	unsigned int looks;

	ASSERT_EQ(0, start_reading(self));
	for (looks = 0; looks < 500 || ot_head(&self->m) < OT_RING; looks++) {
		head = ot_head(&self->m);
		claim = ot_claim(&self->m);
		EXPECT_LE(head, claim);
		head = ot_head(&self->m);
		EXPECT_GE(head + OT_BLOCK, claim);
		ot_sleep_ms(1);
	}
	stop_reading(_metadata, self);
}

/* --- conservation ---------------------------------------------------------------------------- */

/*
 * A slow monitor, in turns too slow and fast, beside a reader that takes all:
 * read + lost = published, and the hardware waits for nobody.
 */
TEST_F_TIMEOUT(monitor, bytes_read_and_lost_are_bytes_published, 120)
{
	struct oni_monitor_stat stat;
	struct account a, sum = { 0 };
	uint64_t next = SMALL;
	int i;

	ASSERT_EQ(0, make_again(self, SMALL));
	ASSERT_EQ(0, start_reading(self));
	for (i = 0; i < 9; i++) {
		/* now and then more than a ring passes by */
		next += i % 3 == 2 ? 3 * SMALL : SMALL / 4;
		ASSERT_LE(next, ot_wait_head(&self->s, next, LONG_MS));
		a = read_all(self->m.fd);
		EXPECT_EQ(-EAGAIN, a.end);
		sum.bytes += a.bytes;
		sum.overflows += a.overflows;
		ASSERT_EQ(0, ot_monitor_stat(self->m.fd, &stat));
		EXPECT_EQ(stat.position, sum.bytes + stat.lost_bytes);
		EXPECT_EQ(stat.lost_events, sum.overflows);
	}
	stop_reading(_metadata, self);
	a = read_all(self->m.fd);
	EXPECT_EQ(0, a.end);
	sum.bytes += a.bytes;
	sum.overflows += a.overflows;
	ASSERT_EQ(0, ot_monitor_stat(self->m.fd, &stat));
	EXPECT_EQ(ot_head(&self->s), stat.position);
	EXPECT_EQ(ot_head(&self->s), sum.bytes + stat.lost_bytes);
	EXPECT_EQ(stat.lost_events, sum.overflows);
	EXPECT_LT(0, stat.lost_bytes);
	EXPECT_LE(3, stat.lost_events);
}

/* A monitor that never reads at all: the ring never fills because of it. */
TEST_F_TIMEOUT(monitor, never_holds_the_hardware_back, 60)
{
	struct ot_device_count const *lt;
	uint64_t tail, head, end = ot_now_ns() + LONG_MS * 1000000ULL;

	ASSERT_EQ(0, make_again(self, OT_RING));
	ASSERT_EQ(0, start(self));
	while ((tail = ot_tail(&self->s)) < 2 * OT_RING && ot_now_ns() < end) {
		head = ot_head(&self->s);
		ASSERT_EQ(0, ot_parser_feed(&self->p, self->s.data + (tail & (OT_RING - 1)),
					    head - tail));
		ot_set_tail(&self->s, head);
		ot_sleep_ms(1);
	}
	EXPECT_LE(2 * OT_RING, tail);
	lt = ot_parser_device(&self->p, ot_board()->feed);
	EXPECT_EQ(0, lt->gaps);
	EXPECT_EQ(0, self->p.bad_words);
	EXPECT_EQ(0, self->s.prod->full_events);
	EXPECT_EQ(0, ot_tail(&self->m));
}

/* The stream holds the hardware back; the monitor sees it all the same. */
TEST_F(monitor, loses_nothing_to_a_stream_that_is_full)
{
	struct oni_monitor_stat stat;
	struct account a;

	ASSERT_EQ(0, make_again(self, SMALL));
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(ONI_RING_FULL, ot_wait_flags(&self->s, ONI_RING_FULL, LONG_MS) & ONI_RING_FULL);
	EXPECT_EQ(SMALL, ot_head(&self->m));
	EXPECT_EQ(SMALL, ot_claim(&self->m));
	a = read_all(self->m.fd);
	EXPECT_EQ(SMALL, a.bytes);
	EXPECT_EQ(0, a.overflows);
	ASSERT_EQ(0, ot_monitor_stat(self->m.fd, &stat));
	EXPECT_EQ(0, stat.lost_bytes);
}

/* --- a tail that makes no sense ----------------------------------------------------------------- */

TEST_F(monitor, tail_beyond_head_is_eproto_for_it_alone)
{
	uint8_t buf[16];
	uint64_t at, head;

	ASSERT_EQ(0, start_reading(self));
	ASSERT_EQ((long)sizeof(buf), ot_read(self->m.fd, buf, sizeof(buf)));
	at = position(self->m.fd);
	ot_set_tail(&self->m, ~0ull);
	EXPECT_EQ(-EPROTO, ot_read(self->m.fd, buf, sizeof(buf)));
	/* the stream does not care */
	head = ot_head(&self->s);
	EXPECT_LE(head + 16 * OT_BLOCK, ot_wait_head(&self->s, head + 16 * OT_BLOCK, LONG_MS));
	EXPECT_EQ(0, self->s.prod->flags & ONI_RING_ERROR);
	EXPECT_EQ(0, self->s.prod->error);
	/* and the monitor can be put right */
	EXPECT_EQ(at, position(self->m.fd));
	ot_set_tail(&self->m, at);
	EXPECT_EQ((long)sizeof(buf), ot_read(self->m.fd, buf, sizeof(buf)));
	stop_reading(_metadata, self);
}

TEST_F(monitor, bad_tail_is_put_right_by_the_next_start)
{
	uint8_t buf[16];

	ASSERT_EQ(0, start(self));
	ASSERT_LE(OT_BLOCK, ot_wait_head(&self->m, OT_BLOCK, LONG_MS));
	ot_set_tail(&self->m, 1ull << 40);
	EXPECT_EQ(-EPROTO, ot_read(self->m.fd, buf, sizeof(buf)));
	ASSERT_EQ(0, stop(self));
	ASSERT_EQ(0, start(self));
	EXPECT_EQ((long)sizeof(buf), ot_read(self->m.fd, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, self->m.data, sizeof(buf)));
}

/* Unlike the stream's reader it may look at what is still there again. */
TEST_F(monitor, may_go_back)
{
	uint8_t first[64], again[64];

	ASSERT_EQ(0, start(self));
	ASSERT_EQ((long)sizeof(first), ot_read(self->m.fd, first, sizeof(first)));
	ot_set_tail(&self->m, 0);
	ASSERT_EQ((long)sizeof(again), ot_read(self->m.fd, again, sizeof(again)));
	EXPECT_EQ(0, memcmp(first, again, sizeof(first)));
}

/* --- a start under a reading monitor ------------------------------------------------------------ */

struct reading {
	int fd;
	volatile bool quit;
	long worst;		/* first result that is no data and no known state */
};

/* Byte by byte, so that it is in the middle of what is left when a start comes. */
static void *read_on(void *arg)
{
	struct reading *r = arg;
	uint8_t byte;
	long n;

	while (!r->quit) {
		n = ot_read(r->fd, &byte, 1);
		if (n < 0 && n != -EOVERFLOW && !r->worst)
			r->worst = n;
	}
	return NULL;
}

/*
 * Whoever holds a monitor knows nothing of stops and starts. However a read(2)
 * falls together with one, the tail that the kernel keeps for it makes sense.
 */
TEST_F_TIMEOUT(monitor, start_does_not_confuse_a_read_that_is_under_way, 120)
{
	struct reading r = { .fd = self->m.fd };
	struct oni_monitor_stat stat;
	pthread_t thread;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, read_on, &r));
	for (i = 0; i < 12 && !r.worst; i++) {
		EXPECT_EQ(0, start(self));
		ot_wait_head(&self->s, 64 * OT_BLOCK, LONG_MS);
		EXPECT_EQ(0, stop(self));
	}
	r.quit = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, r.worst);
	ASSERT_EQ(0, ot_monitor_stat(self->m.fd, &stat));
	EXPECT_GE(ot_head(&self->s), stat.position);
}

/* All of them are for every board. */
static const struct ot_only only[0];

OT_ONLY(only)
TEST_HARNESS_MAIN
