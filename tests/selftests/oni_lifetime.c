// SPDX-License-Identifier: MIT
/*
 * The hardware goes away under every kind of open file, and comes back.
 *
 * Variants of going away: the driver is unbound, the device is removed through
 * sysfs, the slot is powered off by hot-plug (hot_remove, PCIe), the device loses
 * its authorization (USB), the card vanishes without a word or the cable is pulled
 * (surprise). What only the holder of the card can do goes through ONI_LAB_CMD
 * (see ot_lab()). Each test leaves a working controller behind, which proves that
 * replugging works in that state.
 *
 * Contract under test: include/uapi/linux/oni.h (ENODEV, ONI_RING_GONE, "The
 * mappings outlive the fd and the hardware", EPOLLHUP). Needs root, sysfs,
 * modprobe. Some tests start threads, which own what they are given.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>

#include "oni_board.h"
#include "oni_layout.h"
#include "oni_leave.h"

#define SOON_MS	20000	/* "at once", on an emulated machine that is busy */

/* --- the fixture --------------------------------------------------------------------- */

FIXTURE(gone) {
	int ctl;
	struct ot_stream s;
	struct ot_parser p;
	struct ot_slot slot;
	bool away;
};

FIXTURE_VARIANT(gone) {
	int (*remove)(const struct ot_slot *s);
	int (*replug)(const struct ot_slot *s);
};

FIXTURE_VARIANT_ADD(gone, unbind) { .remove = ot_unbind, .replug = ot_bind };
FIXTURE_VARIANT_ADD(gone, sysfs_remove) {
	.remove = ot_sysfs_remove, .replug = ot_sysfs_rescan,
};
FIXTURE_VARIANT_ADD(gone, hot_remove) { .remove = ot_hot_remove, .replug = ot_hot_add };
FIXTURE_VARIANT_ADD(gone, unauthorized) {
	.remove = ot_unauthorize, .replug = ot_authorize,
};
FIXTURE_VARIANT_ADD(gone, surprise) {
	.remove = ot_surprise, .replug = ot_surprise_replug,
};

FIXTURE_SETUP(gone)
{
	self->s.fd = -1;
	self->ctl = ot_open_within(OT_REPLUG_MS);
	ASSERT_LE(0, self->ctl);
	ASSERT_EQ(0, ot_slot_find(&self->slot, self->ctl));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_feed(self->ctl, OT_FEED_FAST));
	ASSERT_EQ(0, ot_parser_init(&self->p, self->ctl, OT_LT_STEP));
	self->s.fd = ot_stream_create(self->ctl, OT_RING, OT_BLOCK, 0, 0);
	ASSERT_LE(0, self->s.fd);
	ASSERT_EQ(0, ot_stream_map(self->s.fd, &self->s));
}

static void leave(struct __test_metadata *_metadata, FIXTURE_DATA(gone) *self,
		  const FIXTURE_VARIANT(gone) *variant)
{
	self->away = true;
	ASSERT_EQ(0, variant->remove(&self->slot));
}

FIXTURE_TEARDOWN(gone)
{
	int fd;

	if (self->away) {
		EXPECT_EQ(0, variant->replug(&self->slot));
	}
	fd = ot_open_within(OT_REPLUG_MS);
	EXPECT_LE(0, fd);
	if (self->away) {
		EXPECT_EQ(0, ot_works(fd, &self->p));
	}
	close(fd);
	ot_stream_unmap(&self->s);
	if (self->s.fd >= 0)
		close(self->s.fd);
	close(self->ctl);
}

/* --- what is left of an open file --------------------------------------------------------- */

TEST_F_TIMEOUT(gone, idle, 120)
{
	char *path = strdup(ot_path());
	const char frame[12] = { 7, 0, 0, 0, 1, 0, 0, 0 };
	uint32_t value;
	char buf[16];

	leave(_metadata, self, variant);
	EXPECT_EQ(-ENODEV, ot_reg_read(self->ctl, OT_HEARTBEAT, 1, &value));
	EXPECT_EQ(0, ot_all_enodev(self->ctl));
	EXPECT_EQ(-1, write(self->ctl, frame, sizeof(frame)));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(-ENODEV, ot_read(self->ctl, buf, sizeof(buf)));
	EXPECT_EQ(-ENODEV, ot_read(self->s.fd, buf, sizeof(buf)));
	EXPECT_EQ(POLLHUP | POLLERR, ot_poll(self->ctl, POLLIN, 0) & (POLLHUP | POLLERR));
	EXPECT_EQ(POLLHUP | POLLERR, ot_poll(self->s.fd, POLLIN, 0) & (POLLHUP | POLLERR));
	EXPECT_EQ(-1, open(path, O_RDWR));
	EXPECT_TRUE(errno == ENODEV || errno == ENXIO || errno == ENOENT);
	free(path);
}

/*
 * A loss that a register access found is known to every call that comes later,
 * before a work of the driver had a turn to end the ring.
 */
TEST_F_TIMEOUT(gone, read_before_any_worker_runs, 120)
{
	struct ot_hog hog;
	uint32_t value;
	char buf[16];
	long access, stream;
	int events;

	leave(_metadata, self, variant);
	ASSERT_EQ(0, ot_hog_start(&hog));
	access = ot_reg_read(self->ctl, OT_HEARTBEAT, 1, &value);
	stream = ot_read(self->s.fd, buf, sizeof(buf));
	events = ot_poll(self->s.fd, POLLIN, 0);
	ot_hog_stop(&hog);
	EXPECT_EQ(-ENODEV, access);
	EXPECT_EQ(-ENODEV, stream);
	EXPECT_EQ(POLLHUP | POLLERR, events & (POLLHUP | POLLERR));
}

TEST_F_TIMEOUT(gone, streaming, 120)
{
	struct ot_stream *s = &self->s;
	uint64_t head, got = 0;
	uint8_t *buf = malloc(OT_RING);
	long n;

	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	ASSERT_LE(8 * OT_BLOCK, ot_wait_head(s, 8 * OT_BLOCK, SOON_MS));
	leave(_metadata, self, variant);
	EXPECT_EQ(ONI_RING_GONE, ot_wait_flags(s, ONI_RING_GONE, SOON_MS) & ONI_RING_GONE);
	EXPECT_EQ(0, s->prod->flags & ONI_RING_RUNNING);
	EXPECT_EQ(POLLHUP | POLLERR, ot_poll(s->fd, POLLIN, 0) & (POLLHUP | POLLERR));
	EXPECT_EQ(POLLHUP | POLLERR, ot_poll(self->ctl, POLLIN, 0) & (POLLHUP | POLLERR));
	/* what came before is all there, once, and then the end */
	head = ot_head(s);
	while ((n = ot_read(s->fd, buf, OT_RING)) > 0) {
		EXPECT_EQ(0, ot_parser_feed(&self->p, buf, n));
		got += n;
	}
	EXPECT_EQ(-ENODEV, n);
	EXPECT_EQ(head, got);
	EXPECT_EQ(head, ot_head(s));
	EXPECT_EQ(0, self->p.bad_words);
	EXPECT_EQ(0, ot_parser_device(&self->p, ot_board()->feed)->gaps);
	EXPECT_EQ(0, ot_all_enodev(self->ctl));
	free(buf);
}

/* A block waits in the card for room that never comes. */
TEST_F_TIMEOUT(gone, with_a_full_ring, 120)
{
	struct ot_stream *s = &self->s;

	ot_stream_unmap(s);
	close(s->fd);
	s->fd = ot_stream_create(self->ctl, 65536, OT_BLOCK, 0, 0);
	ASSERT_LE(0, s->fd);
	ASSERT_EQ(0, ot_stream_map(s->fd, s));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	ASSERT_EQ(ONI_RING_FULL, ot_wait_flags(s, ONI_RING_FULL, SOON_MS) & ONI_RING_FULL);
	leave(_metadata, self, variant);
	EXPECT_EQ(ONI_RING_GONE, ot_wait_flags(s, ONI_RING_GONE, SOON_MS) & ONI_RING_GONE);
	EXPECT_EQ(65536, ot_head(s));
	/* An interrupt that nobody has taken by now will not be: the card may complain at once. */
	if (ot_board()->transport == ONI_TRANSPORT_RIFFA) {
		EXPECT_EQ(0, ot_lab("patience 1000"));
		ot_sleep_ms(1500);
		EXPECT_EQ(0, ot_lab("patience"));
	}
}

TEST_F_TIMEOUT(gone, blocked_in_read, 120)
{
	struct ot_waiter w;

	ASSERT_EQ(0, ot_feed(self->ctl, OT_FEED_OFF));
	ASSERT_EQ(0, ot_stream_wake(self->s.fd, OT_RING / 2, 0));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	ASSERT_EQ(0, ot_wait_start(&w, OT_WAIT_READ, self->s.fd, 0));
	ot_sleep_ms(200);
	EXPECT_FALSE(w.done);
	leave(_metadata, self, variant);
	ASSERT_TRUE(ot_wait_done(&w, SOON_MS));
	EXPECT_EQ(-ENODEV, w.result);
}

TEST_F_TIMEOUT(gone, blocked_in_poll, 120)
{
	struct ot_waiter stream, node;
	const long hup = POLLHUP | POLLERR;

	ASSERT_EQ(0, ot_feed(self->ctl, OT_FEED_OFF));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	ASSERT_EQ(0, ot_wait_start(&stream, OT_WAIT_POLL, self->s.fd, 0));
	ASSERT_EQ(0, ot_wait_start(&node, OT_WAIT_POLL, self->ctl, 0));
	ot_sleep_ms(200);
	EXPECT_FALSE(stream.done || node.done);
	leave(_metadata, self, variant);
	ASSERT_TRUE(ot_wait_done(&stream, SOON_MS));
	ASSERT_TRUE(ot_wait_done(&node, SOON_MS));
	EXPECT_EQ(hup, stream.result & hup);
	EXPECT_EQ(hup, node.result & hup);
}

TEST_F_TIMEOUT(gone, ioctl_in_flight, 120)
{
	struct ot_waiter w[2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(w); i++) {
		ASSERT_EQ(0, ot_wait_start(&w[i], OT_WAIT_REG, self->ctl, 0));
	}
	ot_sleep_ms(200);
	leave(_metadata, self, variant);
	for (i = 0; i < ARRAY_SIZE(w); i++) {
		ASSERT_TRUE(ot_wait_done(&w[i], SOON_MS));
		EXPECT_EQ(-ENODEV, w[i].result);
	}
}

TEST_F_TIMEOUT(gone, mapping_held_after_all_files_are_closed, 120)
{
	struct ot_stream *s = &self->s;
	uint64_t head;

	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	ASSERT_LE(8 * OT_BLOCK, ot_wait_head(s, 8 * OT_BLOCK, SOON_MS));
	leave(_metadata, self, variant);
	ot_wait_flags(s, ONI_RING_GONE, SOON_MS);
	close(s->fd);
	close(self->ctl);
	s->fd = -1;
	self->ctl = -1;
	EXPECT_EQ(ONI_RING_MAGIC, s->prod->magic);
	head = ot_head(s);
	EXPECT_LE(8 * OT_BLOCK, head);
	EXPECT_EQ(0, ot_parser_feed(&self->p, s->data, 8 * OT_BLOCK));
	EXPECT_EQ(0, memcmp(s->data, s->data + OT_RING, 8 * OT_BLOCK));
	ot_set_tail(s, OT_BLOCK);
	EXPECT_EQ(OT_BLOCK, ot_tail(s));
}

/* An old file stays what it is while the new device works. */
TEST_F_TIMEOUT(gone, old_file_beside_the_new_device, 120)
{
	uint32_t value;
	int fd;

	leave(_metadata, self, variant);
	EXPECT_EQ(-ENODEV, ot_reg_read(self->ctl, OT_HEARTBEAT, 1, &value));
	ASSERT_EQ(0, variant->replug(&self->slot));
	self->away = false;
	fd = ot_open_within(OT_REPLUG_MS);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, ot_works(fd, &self->p));
	EXPECT_EQ(0, ot_all_enodev(self->ctl));
	close(fd);
}

/* --- modules ------------------------------------------------------------------------------------ */

FIXTURE(modules) {
	int ctl;
	struct ot_parser p;
};

FIXTURE_SETUP(modules)
{
	ASSERT_EQ(0, ot_load());
	self->ctl = ot_open_within(OT_REPLUG_MS);
	ASSERT_LE(0, self->ctl);
}

FIXTURE_TEARDOWN(modules)
{
	close(self->ctl);
	EXPECT_EQ(0, ot_load());
}

/* delete_module(2) says EWOULDBLOCK for a module with users. */
TEST_F(modules, transport_cannot_go_while_streaming)
{
	int st;

	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
	st = ot_stream_create(self->ctl, OT_RING, OT_BLOCK, 0, 0);
	ASSERT_LE(0, st);
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	EXPECT_EQ(-EWOULDBLOCK, ot_unload(ot_board()->module));
	close(st);
}

TEST_F(modules, core_cannot_go_while_the_transport_is_there)
{
	EXPECT_EQ(-EWOULDBLOCK, ot_unload("oni"));
}

TEST_F(modules, transport_can_go_under_an_idle_file)
{
	struct oni_info info;

	ASSERT_EQ(0, ot_unload(ot_board()->module));
	EXPECT_EQ(-ENODEV, ot_info(self->ctl, &info));
	EXPECT_EQ(-EWOULDBLOCK, ot_unload("oni"));
	ASSERT_EQ(0, ot_load());
}

TEST_F_TIMEOUT(modules, reload_five_times, 120)
{
	int i;

	for (i = 0; i < 5; i++) {
		close(self->ctl);
		ASSERT_EQ(0, ot_unload(ot_board()->module));
		ASSERT_EQ(0, ot_unload("oni"));
		ASSERT_EQ(0, ot_load());
		self->ctl = ot_open_within(OT_REPLUG_MS);
		ASSERT_LE(0, self->ctl);
		EXPECT_EQ(0, ot_works(self->ctl, &self->p));
	}
}

static const struct ot_only only[] = {
	{ ONI_TRANSPORT_RIFFA, "gone", "hot_remove", NULL, "USB has no attention button" },
	{ ONI_TRANSPORT_FT600, "gone", "unauthorized", NULL, "only USB has authorization" },
};

OT_ONLY(only)
TEST_HARNESS_MAIN
