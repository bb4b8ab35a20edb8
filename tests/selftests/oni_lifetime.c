// SPDX-License-Identifier: MIT
/*
 * The hardware goes away under every kind of open file, and comes back.
 *
 * Variants of going away: the driver is unbound, the PCI device is removed
 * through sysfs, the slot is powered off by hot-plug (hot_remove), the card
 * vanishes without a word (surprise). The last two are done by whoever holds
 * the card, through ONI_LAB_CMD (see ot_lab()). Each test leaves a working
 * controller behind, which proves that replugging works in that state.
 *
 * Contract under test: include/uapi/linux/oni.h (ENODEV, ONI_RING_GONE, "The
 * mappings outlive the fd and the hardware", EPOLLHUP). Needs root, sysfs,
 * modprobe. Some tests start threads, which own what they are given.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "oni_layout.h"
#include "oni_test.h"

#define RING		(1u << 20)
#define BLOCK		4096u
#define LT_HZ		4000u
#define LT_STEP		(OT_CLK_HZ / LT_HZ)
#define SOON_MS		3000	/* "at once", on an emulated machine */
#define REPLUG_MS	30000

/* --- finding the controller --------------------------------------------------- */

/* A new device may get another number while files of the old one are open. */
static int open_any(int flags)
{
	glob_t g;
	size_t i;
	int fd = -ENODEV;

	if (glob("/dev/oni[0-9]*", 0, NULL, &g))
		return -ENODEV;
	for (i = 0; i < g.gl_pathc && fd < 0; i++) {
		fd = open(g.gl_pathv[i], flags | O_CLOEXEC);
		if (fd >= 0)
			setenv("ONI_DEVICE", g.gl_pathv[i], 1);
		else
			fd = -errno;
	}
	globfree(&g);
	return fd;
}

static int open_within(int ms)
{
	uint64_t end = ot_now_ns() + ms * 1000000ULL;
	int fd;

	while ((fd = open_any(O_RDWR)) < 0 && ot_now_ns() < end)
		ot_sleep_ms(20);
	return fd;
}

/* --- ways to go away and to come back ---------------------------------------------- */

struct slot {
	char bus[32];
	char driver[PATH_MAX];		/* its sysfs directory */
};

static int slot_find(struct slot *s, const struct oni_info *info)
{
	char path[PATH_MAX];

	snprintf(s->bus, sizeof(s->bus), "%s", info->bus_name);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", s->bus);
	return realpath(path, s->driver) ? 0 : -errno;
}

static int driver_file(const struct slot *s, const char *name)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", s->driver, name);
	return ot_write_file(path, s->bus);
}

static int unbind(const struct slot *s)
{
	return driver_file(s, "unbind");
}

static int bind(const struct slot *s)
{
	return driver_file(s, "bind");
}

static int sysfs_remove(const struct slot *s)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", s->bus);
	return ot_write_file(path, "1");
}

static int sysfs_rescan(const struct slot *s)
{
	(void)s;
	return ot_write_file("/sys/bus/pci/rescan", "1");
}

static int hot_remove(const struct slot *s)
{
	(void)s;
	return ot_lab("hot-remove");
}

static int hot_add(const struct slot *s)
{
	(void)s;
	return ot_lab("hot-add");
}

static int surprise(const struct slot *s)
{
	(void)s;
	return ot_lab("unplug");
}

/* The slot is powered off first: a dead card still sits in it. */
static int surprise_replug(const struct slot *s)
{
	int ret = hot_remove(s);

	return ret ? ret : hot_add(s);
}

/* --- the fixture --------------------------------------------------------------------- */

FIXTURE(gone) {
	int ctl;
	struct ot_stream s;
	struct ot_parser p;
	struct slot slot;
	bool away;
};

FIXTURE_VARIANT(gone) {
	int (*remove)(const struct slot *s);
	int (*replug)(const struct slot *s);
	bool silent;		/* the driver is told nothing: it must look */
};

FIXTURE_VARIANT_ADD(gone, unbind) { .remove = unbind, .replug = bind };
FIXTURE_VARIANT_ADD(gone, sysfs_remove) {
	.remove = sysfs_remove, .replug = sysfs_rescan,
};
FIXTURE_VARIANT_ADD(gone, hot_remove) { .remove = hot_remove, .replug = hot_add };
FIXTURE_VARIANT_ADD(gone, surprise) {
	.remove = surprise, .replug = surprise_replug, .silent = true,
};

FIXTURE_SETUP(gone)
{
	struct oni_info info;

	self->s.fd = -1;
	self->ctl = open_within(REPLUG_MS);
	ASSERT_LE(0, self->ctl);
	ASSERT_EQ(0, ot_info(self->ctl, &info));
	ASSERT_EQ(0, slot_find(&self->slot, &info));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_load_test(self->ctl, 100, LT_HZ));
	ASSERT_EQ(0, ot_parser_init(&self->p, self->ctl, LT_STEP));
	self->s.fd = ot_stream_create(self->ctl, RING, BLOCK, 0, 0);
	ASSERT_LE(0, self->s.fd);
	ASSERT_EQ(0, ot_stream_map(self->s.fd, &self->s));
}

/* Registers answer and data flow: nothing of the old life is in the way. */
static int try_it(int fd, struct ot_parser *p)
{
	struct ot_stream s = { .fd = -1 };
	uint32_t hz;
	int ret;

	ret = ot_reg_read(fd, OT_HEARTBEAT, 2, &hz);
	if (ret || hz != OT_CLK_HZ)
		return ret ? ret : -EBADMSG;
	ret = ot_simple(fd, ONI_IOC_CLAIM);
	if (!ret)
		ret = ot_load_test(fd, 100, LT_HZ);
	if (!ret)
		ret = ot_parser_init(p, fd, LT_STEP);
	if (ret)
		return ret;
	s.fd = ot_stream_create(fd, RING, BLOCK, 0, 0);
	if (s.fd < 0)
		return s.fd;
	ret = ot_stream_map(s.fd, &s);
	if (!ret)
		ret = ot_simple(fd, ONI_IOC_START);
	if (!ret && ot_wait_head(&s, 8 * BLOCK, 10000) < 8 * BLOCK)
		ret = -ETIME;
	if (!ret && ot_parser_feed(p, s.data, 8 * BLOCK))
		ret = -EBADMSG;
	ot_stream_unmap(&s);
	close(s.fd);
	return ret;
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
	fd = open_within(REPLUG_MS);
	EXPECT_LE(0, fd);
	if (self->away) {
		EXPECT_EQ(0, try_it(fd, &self->p));
	}
	close(fd);
	ot_stream_unmap(&self->s);
	if (self->s.fd >= 0)
		close(self->s.fd);
	close(self->ctl);
}

/* --- what is left of an open file --------------------------------------------------------- */

/* Every call, made right. */
static void expect_all_enodev(struct __test_metadata *_metadata, int ctl)
{
	struct oni_device rows[OT_MAX_ROWS];
	struct oni_ctl reg = { .size = sizeof(reg), .reg = ONI_CTL_ACQCLKHZ };
	struct oni_port_power port;
	struct oni_stats stats;
	struct oni_info info;
	uint32_t value;

	EXPECT_EQ(-ENODEV, ot_info(ctl, &info));
	EXPECT_EQ(-ENODEV, ot_table(ctl, rows, OT_MAX_ROWS));
	EXPECT_EQ(-ENODEV, ot_simple(ctl, ONI_IOC_CLAIM));
	EXPECT_EQ(-ENODEV, ot_simple(ctl, ONI_IOC_RESET));
	EXPECT_EQ(-ENODEV, ot_simple(ctl, ONI_IOC_START));
	EXPECT_EQ(-ENODEV, ot_simple(ctl, ONI_IOC_STOP));
	EXPECT_EQ(-ENODEV, ot_simple(ctl, ONI_IOC_RELEASE));
	EXPECT_EQ(-ENODEV, ot_reg_read(ctl, OT_HEARTBEAT, 1, &value));
	EXPECT_EQ(-ENODEV, ot_reg_write(ctl, OT_HEARTBEAT, 1, OT_CLK_HZ / 100));
	EXPECT_EQ(-ENODEV, ot_ioctl(ctl, ONI_IOC_CTL_READ, &reg));
	EXPECT_EQ(-ENODEV, ot_port(ctl, &port, OT_PORT_B, 0, 0));
	EXPECT_EQ(-ENODEV, ot_stats(ctl, &stats));
	EXPECT_EQ(-ENODEV, ot_stream_create(ctl, RING, BLOCK, 0, 0));
}

static long read_errno(int fd, void *buf, size_t n)
{
	ssize_t got = read(fd, buf, n);

	return got < 0 ? -errno : got;
}

TEST_F_TIMEOUT(gone, idle, 120)
{
	char *path = strdup(ot_path());
	const char frame[12] = { 7, 0, 0, 0, 1, 0, 0, 0 };
	uint32_t value;
	char buf[16];

	leave(_metadata, self, variant);
	EXPECT_EQ(-ENODEV, ot_reg_read(self->ctl, OT_HEARTBEAT, 1, &value));
	expect_all_enodev(_metadata, self->ctl);
	EXPECT_EQ(-1, write(self->ctl, frame, sizeof(frame)));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(-ENODEV, read_errno(self->ctl, buf, sizeof(buf)));
	EXPECT_EQ(-ENODEV, read_errno(self->s.fd, buf, sizeof(buf)));
	EXPECT_EQ(POLLHUP | POLLERR, ot_poll(self->ctl, POLLIN, 0) & (POLLHUP | POLLERR));
	EXPECT_EQ(POLLHUP | POLLERR, ot_poll(self->s.fd, POLLIN, 0) & (POLLHUP | POLLERR));
	EXPECT_EQ(-1, open(path, O_RDWR));
	EXPECT_TRUE(errno == ENODEV || errno == ENXIO || errno == ENOENT);
	free(path);
}

TEST_F_TIMEOUT(gone, streaming, 120)
{
	struct ot_stream *s = &self->s;
	uint64_t head, got = 0;
	uint8_t *buf = malloc(RING);
	long n;

	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	ASSERT_LE(8 * BLOCK, ot_wait_head(s, 8 * BLOCK, 10000));
	leave(_metadata, self, variant);
	EXPECT_EQ(ONI_RING_GONE, ot_wait_flags(s, ONI_RING_GONE, SOON_MS) & ONI_RING_GONE);
	EXPECT_EQ(0, s->prod->flags & ONI_RING_RUNNING);
	EXPECT_EQ(POLLHUP | POLLERR, ot_poll(s->fd, POLLIN, 0) & (POLLHUP | POLLERR));
	EXPECT_EQ(POLLHUP | POLLERR, ot_poll(self->ctl, POLLIN, 0) & (POLLHUP | POLLERR));
	/* what came before is all there, once, and then the end */
	head = ot_head(s);
	while ((n = read_errno(s->fd, buf, RING)) > 0) {
		EXPECT_EQ(0, ot_parser_feed(&self->p, buf, n));
		got += n;
	}
	EXPECT_EQ(-ENODEV, n);
	EXPECT_EQ(head, got);
	EXPECT_EQ(head, ot_head(s));
	EXPECT_EQ(0, self->p.bad_words);
	EXPECT_EQ(0, ot_parser_device(&self->p, OT_LOAD_TEST)->gaps);
	expect_all_enodev(_metadata, self->ctl);
	free(buf);
}

/* A block waits in the card for room that never comes. */
TEST_F_TIMEOUT(gone, with_a_full_ring, 120)
{
	struct ot_stream *s = &self->s;

	ot_stream_unmap(s);
	close(s->fd);
	s->fd = ot_stream_create(self->ctl, 65536, BLOCK, 0, 0);
	ASSERT_LE(0, s->fd);
	ASSERT_EQ(0, ot_stream_map(s->fd, s));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	ASSERT_EQ(ONI_RING_FULL, ot_wait_flags(s, ONI_RING_FULL, 10000) & ONI_RING_FULL);
	leave(_metadata, self, variant);
	EXPECT_EQ(ONI_RING_GONE, ot_wait_flags(s, ONI_RING_GONE, SOON_MS) & ONI_RING_GONE);
	EXPECT_EQ(65536, ot_head(s));
	/* long enough for the card to complain about an interrupt nobody takes */
	ot_sleep_ms(1500);
}

struct waiter {
	pthread_t thread;
	int fd;
	long result;
	volatile bool done;
};

static void *wait_in_read(void *arg)
{
	struct waiter *w = arg;
	uint8_t *buf = malloc(RING);
	long n;

	/* a first read may still give what was there */
	while ((n = read_errno(w->fd, buf, RING)) > 0)
		;
	w->result = n;
	w->done = true;
	free(buf);
	return NULL;
}

static void *wait_in_poll(void *arg)
{
	struct waiter *w = arg;
	short events;

	do {
		events = ot_poll(w->fd, 0, -1);
	} while (!events);
	w->result = events;
	w->done = true;
	return NULL;
}

static bool done_soon(const struct waiter *w)
{
	uint64_t end = ot_now_ns() + SOON_MS * 1000000ULL;

	while (!w->done && ot_now_ns() < end)
		ot_sleep_ms(5);
	return w->done;
}

TEST_F_TIMEOUT(gone, blocked_in_read, 120)
{
	struct waiter w = { .fd = self->s.fd };

	ASSERT_EQ(0, ot_load_test(self->ctl, 0, 0));
	ASSERT_EQ(0, ot_stream_wake(self->s.fd, RING / 2, 0));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, wait_in_read, &w));
	ot_sleep_ms(200);
	EXPECT_FALSE(w.done);
	leave(_metadata, self, variant);
	ASSERT_TRUE(done_soon(&w));
	pthread_join(w.thread, NULL);
	EXPECT_EQ(-ENODEV, w.result);
}

TEST_F_TIMEOUT(gone, blocked_in_poll, 120)
{
	struct waiter stream = { .fd = self->s.fd }, node = { .fd = self->ctl };
	const long hup = POLLHUP | POLLERR;

	ASSERT_EQ(0, ot_load_test(self->ctl, 0, 0));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	ASSERT_EQ(0, pthread_create(&stream.thread, NULL, wait_in_poll, &stream));
	ASSERT_EQ(0, pthread_create(&node.thread, NULL, wait_in_poll, &node));
	ot_sleep_ms(200);
	EXPECT_FALSE(stream.done || node.done);
	leave(_metadata, self, variant);
	ASSERT_TRUE(done_soon(&stream));
	ASSERT_TRUE(done_soon(&node));
	pthread_join(stream.thread, NULL);
	pthread_join(node.thread, NULL);
	EXPECT_EQ(hup, stream.result & hup);
	EXPECT_EQ(hup, node.result & hup);
}

static void *hammer(void *arg)
{
	struct waiter *w = arg;
	uint32_t v;

	while (!(w->result = ot_reg_read(w->fd, OT_HEARTBEAT, 2, &v)))
		;
	w->done = true;
	return NULL;
}

TEST_F_TIMEOUT(gone, ioctl_in_flight, 120)
{
	struct waiter w[2] = { { .fd = self->ctl }, { .fd = self->ctl } };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(w); i++) {
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, hammer, &w[i]));
	}
	ot_sleep_ms(200);
	leave(_metadata, self, variant);
	for (i = 0; i < ARRAY_SIZE(w); i++) {
		ASSERT_TRUE(done_soon(&w[i]));
		pthread_join(w[i].thread, NULL);
		EXPECT_EQ(-ENODEV, w[i].result);
	}
}

TEST_F_TIMEOUT(gone, mapping_held_after_all_files_are_closed, 120)
{
	struct ot_stream *s = &self->s;
	uint64_t head;

	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	ASSERT_LE(8 * BLOCK, ot_wait_head(s, 8 * BLOCK, 10000));
	leave(_metadata, self, variant);
	ot_wait_flags(s, ONI_RING_GONE, SOON_MS);
	close(s->fd);
	close(self->ctl);
	s->fd = -1;
	self->ctl = -1;
	EXPECT_EQ(ONI_RING_MAGIC, s->prod->magic);
	head = ot_head(s);
	EXPECT_LE(8 * BLOCK, head);
	EXPECT_EQ(0, ot_parser_feed(&self->p, s->data, 8 * BLOCK));
	EXPECT_EQ(0, memcmp(s->data, s->data + RING, 8 * BLOCK));
	ot_set_tail(s, BLOCK);
	EXPECT_EQ(BLOCK, ot_tail(s));
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
	fd = open_within(REPLUG_MS);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, try_it(fd, &self->p));
	expect_all_enodev(_metadata, self->ctl);
	close(fd);
}

/* --- modules ------------------------------------------------------------------------------------ */

static int unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

static int load(void)
{
	return system("modprobe oni_riffa") == 0 ? 0 : -EIO;
}

FIXTURE(modules) {
	int ctl;
	struct ot_parser p;
};

FIXTURE_SETUP(modules)
{
	ASSERT_EQ(0, load());
	self->ctl = open_within(REPLUG_MS);
	ASSERT_LE(0, self->ctl);
}

FIXTURE_TEARDOWN(modules)
{
	close(self->ctl);
	EXPECT_EQ(0, load());
}

/* delete_module(2) says EWOULDBLOCK for a module with users. */
TEST_F(modules, transport_cannot_go_while_streaming)
{
	int st;

	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
	st = ot_stream_create(self->ctl, RING, BLOCK, 0, 0);
	ASSERT_LE(0, st);
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
	EXPECT_EQ(-EWOULDBLOCK, unload("oni_riffa"));
	close(st);
}

TEST_F(modules, core_cannot_go_while_the_transport_is_there)
{
	EXPECT_EQ(-EWOULDBLOCK, unload("oni"));
}

TEST_F(modules, transport_can_go_under_an_idle_file)
{
	struct oni_info info;

	ASSERT_EQ(0, unload("oni_riffa"));
	EXPECT_EQ(-ENODEV, ot_info(self->ctl, &info));
	EXPECT_EQ(-EWOULDBLOCK, unload("oni"));
	ASSERT_EQ(0, load());
}

TEST_F_TIMEOUT(modules, reload_five_times, 120)
{
	int i;

	for (i = 0; i < 5; i++) {
		close(self->ctl);
		ASSERT_EQ(0, unload("oni_riffa"));
		ASSERT_EQ(0, unload("oni"));
		ASSERT_EQ(0, load());
		self->ctl = open_within(REPLUG_MS);
		ASSERT_LE(0, self->ctl);
		EXPECT_EQ(0, try_it(self->ctl, &self->p));
	}
}

TEST_HARNESS_MAIN
