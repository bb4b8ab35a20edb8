// SPDX-License-Identifier: MIT
/*
 * The lifetime matrix: what becomes of each kind of file, in each state, when
 * the hardware leaves or is reset in one of the ways.
 *
 *   ways     the driver is unbound; the card vanishes without a word
 *            (surprise); the transport's module is removed; the controller is
 *            reset by its owner; the bus resets the card (function_reset)
 *   files    /dev/oniN of the owner; the lossless stream; a monitor
 *   states   idle, blocked in read, blocked in poll, mapped, a call in flight,
 *            streaming
 *
 * One result per cell. What must happen follows from the way and from whether
 * an acquisition runs (struct way); the check of it depends on the kind of
 * file. After each cell the controller comes back and works, also with files
 * of its former life still open. No wait is longer than its bound.
 *
 * Contract under test: include/uapi/linux/oni.h. After the kernel's selftest
 * gpio-cdev-uaf in purpose. Needs root, sysfs, modprobe, ONI_LAB_CMD. Threads
 * are those of struct ot_waiter.
 */
#include "kselftest_harness.h"

#include <poll.h>
#include <sys/mman.h>

#include "oni_layout.h"
#include "oni_leave.h"

#define SOON_MS		3000	/* "at once", on an emulated machine */
#define BOUND_MS	15000	/* an orderly way waits for the hardware */
/* A register access that is never answered ends after 2 s. */
#define UNANSWERED_MS	(2000 + SOON_MS)
#define HUP		(POLLHUP | POLLERR)

enum kind { CONTROL, STREAM, MONITOR };

/* What is left after it. */
enum outcome {
	GONE,		/* files answer ENODEV, a new device must come */
	REFUSED,	/* with the way's errno; nothing has changed */
	ALIVE,		/* done; nothing that a file can see has changed */
	ENDED,		/* done; the acquisition is over, the controller lives */
};

struct way {
	const char *name;
	enum outcome idle, running;
	int refusal;
	bool told;	/* the driver may still talk to the hardware */
	int (*go)(const struct ot_slot *s, int ctl);
	int (*back)(const struct ot_slot *s);
};

static int way_unbind(const struct ot_slot *s, int ctl)
{
	(void)ctl;
	return ot_unbind(s);
}

static int way_surprise(const struct ot_slot *s, int ctl)
{
	(void)ctl;
	return ot_surprise(s);
}

static int way_unload(const struct ot_slot *s, int ctl)
{
	(void)s;
	(void)ctl;
	return ot_unload("oni_riffa");
}

static int way_reset(const struct ot_slot *s, int ctl)
{
	(void)s;
	return ot_simple(ctl, ONI_IOC_RESET);
}

static int way_function_reset(const struct ot_slot *s, int ctl)
{
	(void)ctl;
	return ot_function_reset(s);
}

static int back_load(const struct ot_slot *s)
{
	(void)s;
	return ot_load();
}

static int back_nothing(const struct ot_slot *s)
{
	(void)s;
	return 0;
}

static const struct way unbind = {
	"unbind", GONE, GONE, 0, true, way_unbind, ot_bind,
};

static const struct way surprise = {
	"surprise", GONE, GONE, 0, false, way_surprise, ot_surprise_replug,
};

static const struct way rmmod = {
	"rmmod", GONE, REFUSED, -EWOULDBLOCK, true, way_unload, back_load,
};

static const struct way reset = {
	"reset", ALIVE, REFUSED, -EBUSY, true, way_reset, back_nothing,
};

static const struct way function_reset = {
	"function_reset", ALIVE, ENDED, 0, true, way_function_reset, back_nothing,
};

/* --- the fixture ------------------------------------------------------------------ */

FIXTURE(cell) {
	int ctl;
	int fd;			/* the file that is looked at */
	struct ot_stream s;
	struct ot_stream m;
	struct ot_parser p;
	struct ot_slot slot;
	struct ot_waiter w;
	struct ot_waiter beside;	/* keeps the stream flowing for a monitor */
	enum outcome outcome;
	struct oni_info before;
};

FIXTURE_VARIANT(cell) {
	const struct way *way;
	enum kind kind;
};

#define CELL(_way, _kind, _name)						\
	FIXTURE_VARIANT_ADD(cell, _way##_##_name) { .way = &_way, .kind = _kind }

#define CELLS_OF(_way)			\
	CELL(_way, CONTROL, control);	\
	CELL(_way, STREAM, stream);	\
	CELL(_way, MONITOR, monitor)

CELLS_OF(unbind);
CELLS_OF(surprise);
CELLS_OF(rmmod);
CELLS_OF(reset);
CELLS_OF(function_reset);

/* In every test: its own variables, and the fixture's. */
#define ARGS	struct __test_metadata *_metadata, FIXTURE_DATA(cell) *self,	\
		const FIXTURE_VARIANT(cell) *variant
#define CELL_IS	_metadata, self, variant

FIXTURE_SETUP(cell)
{
	self->s.fd = -1;
	self->m.fd = -1;
	self->ctl = ot_open_within(OT_REPLUG_MS);
	ASSERT_LE(0, self->ctl);
	ASSERT_EQ(0, ot_slot_find(&self->slot, self->ctl));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_load_test(self->ctl, 100, OT_LT_HZ));
	ASSERT_EQ(0, ot_parser_init(&self->p, self->ctl, OT_LT_STEP));
	self->outcome = ALIVE;
}

/* The controller is back, and works while files of its former life are open. */
FIXTURE_TEARDOWN(cell)
{
	int fd = self->ctl;

	EXPECT_EQ(0, ot_lab("fault mute 0"));
	if (self->outcome == GONE) {
		EXPECT_EQ(0, variant->way->back(&self->slot));
		fd = ot_open_within(OT_REPLUG_MS);
		EXPECT_LE(0, fd);
		EXPECT_EQ(0, ot_works(fd, &self->p));
		close(fd);
	}
	ot_stream_unmap(&self->m);
	ot_stream_unmap(&self->s);
	if (self->m.fd >= 0)
		close(self->m.fd);
	if (self->s.fd >= 0)
		close(self->s.fd);
	close(self->ctl);
	if (self->outcome != GONE) {
		fd = ot_open_within(OT_REPLUG_MS);
		EXPECT_LE(0, fd);
		EXPECT_EQ(0, ot_works(fd, &self->p));
		close(fd);
	}
}

/* The stream, what else the cell looks at, and which file that is. */
static void make_files(ARGS)
{
	self->s.fd = ot_stream_create(self->ctl, OT_RING, OT_BLOCK, 0, 0);
	ASSERT_LE(0, self->s.fd);
	ASSERT_EQ(0, ot_stream_map(self->s.fd, &self->s));
	self->fd = variant->kind == CONTROL ? self->ctl : self->s.fd;
	if (variant->kind == MONITOR) {
		self->m.fd = ot_monitor_create(self->ctl, 0, 0);
		ASSERT_LE(0, self->m.fd);
		ASSERT_EQ(0, ot_stream_map(self->m.fd, &self->m));
		self->fd = self->m.fd;
	}
}

/* The mapping that the cell looks at; for the control file its stream's. */
static struct ot_stream *mapping(FIXTURE_DATA(cell) *self)
{
	return self->m.prod ? &self->m : &self->s;
}

static void start(ARGS)
{
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_START));
}

/* --- the event, and what must be true of any file after it ------------------------- */

static void go(ARGS, bool running)
{
	const struct way *way = variant->way;
	uint64_t begin;
	int ret;

	ASSERT_EQ(0, ot_info(self->ctl, &self->before));
	ASSERT_EQ(running ? ONI_STATE_RUNNING : ONI_STATE_IDLE, self->before.state);
	self->outcome = running ? way->running : way->idle;
	begin = ot_now_ns();
	ret = way->go(&self->slot, self->ctl);
	EXPECT_GT(BOUND_MS * 1000000ULL, ot_now_ns() - begin);
	ASSERT_EQ(self->outcome == REFUSED ? way->refusal : 0, ret);
}

static void expect_control(ARGS)
{
	struct oni_info info;
	uint32_t value;
	char buf[16];
	int i;

	if (self->outcome == GONE) {
		/* Silence has to be noticed first. */
		for (i = 0; i < SOON_MS / 20 && !ot_info(self->ctl, &info); i++)
			ot_sleep_ms(20);
		EXPECT_EQ(0, ot_all_enodev(self->ctl));
		EXPECT_EQ(-ENODEV, ot_read(self->ctl, buf, sizeof(buf)));
		EXPECT_EQ(HUP, ot_poll(self->ctl, POLLIN, 0) & HUP);
		return;
	}
	EXPECT_EQ(0, ot_poll(self->ctl, 0, 0) & HUP);
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &value));
	EXPECT_EQ(OT_CLK_HZ, value);
	ASSERT_EQ(0, ot_info(self->ctl, &info));
	EXPECT_EQ(ONI_INFO_OWNER, info.flags & ONI_INFO_OWNER);
	if (self->outcome == REFUSED) {
		EXPECT_EQ(self->before.state, info.state);
		EXPECT_EQ(self->before.generation, info.generation);
	} else {
		EXPECT_EQ(ONI_STATE_IDLE, info.state);
		EXPECT_NE(self->before.generation, info.generation);
		EXPECT_EQ(ONI_INFO_STIM_SAFE, info.flags & ONI_INFO_STIM_SAFE);
	}
}

/* @m: the mapping of the stream or the monitor @fd */
static void expect_stream(ARGS, int fd, const struct ot_stream *m, bool running)
{
	struct oni_stream_info info;
	uint32_t flags = m->prod->flags;

	if (self->outcome == GONE) {
		flags = ot_wait_flags(m, ONI_RING_GONE, SOON_MS);
		EXPECT_EQ(ONI_RING_GONE, flags & (ONI_RING_GONE | ONI_RING_RUNNING));
		EXPECT_EQ(-ENODEV, ot_stream_info(fd, &info));
		EXPECT_EQ(HUP, ot_poll(fd, POLLIN, 0) & HUP);
		return;
	}
	EXPECT_EQ(0, ot_stream_info(fd, &info));
	EXPECT_EQ(0, flags & ONI_RING_GONE);
	if (self->outcome == ENDED) {
		EXPECT_EQ(0, flags & ONI_RING_RUNNING);
		EXPECT_NE(0, flags & (ONI_RING_STOPPED | ONI_RING_ERROR));
		EXPECT_EQ(POLLIN, ot_poll(fd, POLLIN, 0) & POLLIN);
	} else {
		EXPECT_EQ(running ? ONI_RING_RUNNING : 0, flags & ONI_RING_RUNNING);
		EXPECT_EQ(0, flags & ONI_RING_ERROR);
		EXPECT_EQ(0, ot_poll(fd, 0, 0) & HUP);
	}
}

static void expect_file(ARGS, bool running)
{
	if (variant->kind == CONTROL)
		expect_control(CELL_IS);
	else
		expect_stream(CELL_IS, self->fd, mapping(self), running);
}

/* What a reader gets when it has read everything. */
static void expect_end(ARGS, long result)
{
	if (self->outcome == GONE) {
		EXPECT_EQ(-ENODEV, result);
	} else if (self->outcome == ENDED) {
		EXPECT_TRUE(result == 0 || result == -EIO);
	} else {
		EXPECT_EQ(0, result);
	}
}

/*
 * The thread that waited is awake if there was a reason, and asleep if not;
 * then a stop is its reason.
 */
static void expect_reader(ARGS)
{
	if (self->outcome == REFUSED) {
		ot_sleep_ms(300);
		EXPECT_FALSE(self->w.done);
		EXPECT_EQ(0, ot_simple(self->ctl, ONI_IOC_STOP));
	}
	ASSERT_TRUE(ot_wait_done(&self->w, SOON_MS));
	expect_end(CELL_IS, self->w.result);
}

/* --- the states ---------------------------------------------------------------------- */

/* Nothing ever ran, nobody waits. */
TEST_F_TIMEOUT(cell, idle, 120)
{
	char buf[16];

	make_files(CELL_IS);
	go(CELL_IS, false);
	expect_file(CELL_IS, false);
	if (variant->kind != CONTROL) {
		expect_end(CELL_IS, ot_read(self->fd, buf, sizeof(buf)));
	}
}

/* On the control file the first read(2) makes the stream. */
TEST_F_TIMEOUT(cell, blocked_in_read, 120)
{
	uint64_t end = ot_now_ns() + SOON_MS * 1000000ULL;
	struct oni_info info;

	ASSERT_EQ(0, ot_load_test(self->ctl, 0, 0));
	self->fd = self->ctl;
	if (variant->kind != CONTROL) {
		make_files(CELL_IS);
		ASSERT_EQ(0, ot_stream_wake(self->fd, OT_RING / 2, 0));
		start(CELL_IS);
	}
	ASSERT_EQ(0, ot_wait_start(&self->w, OT_WAIT_READ, self->fd, 0));
	do {
		ot_sleep_ms(100);
		ASSERT_EQ(0, ot_info(self->ctl, &info));
	} while (info.state != ONI_STATE_RUNNING && ot_now_ns() < end);
	ot_sleep_ms(200);
	EXPECT_FALSE(self->w.done);
	go(CELL_IS, true);
	expect_reader(CELL_IS);
}

TEST_F_TIMEOUT(cell, blocked_in_poll, 120)
{
	short events = variant->kind == CONTROL ? 0 : POLLIN;

	make_files(CELL_IS);
	ASSERT_EQ(0, ot_wait_start(&self->w, OT_WAIT_POLL, self->fd, events));
	ot_sleep_ms(200);
	EXPECT_FALSE(self->w.done);
	go(CELL_IS, false);
	if (self->outcome == GONE) {
		ASSERT_TRUE(ot_wait_done(&self->w, SOON_MS));
		EXPECT_EQ(HUP, self->w.result & HUP);
	} else {
		/* no reason to wake yet; data are one, but not on the node */
		ot_sleep_ms(300);
		EXPECT_FALSE(self->w.done);
		start(CELL_IS);
		if (variant->kind != CONTROL) {
			EXPECT_TRUE(ot_wait_done(&self->w, SOON_MS));
			EXPECT_EQ(POLLIN, self->w.result & (POLLIN | HUP));
		}
	}
}

/* What was read before is still there, and nobody is sent a signal. */
TEST_F_TIMEOUT(cell, mapped, 120)
{
	struct ot_stream *m;
	uint8_t *copy = malloc(8 * OT_BLOCK);
	uint64_t head;

	ASSERT_NE(NULL, copy);
	make_files(CELL_IS);
	m = mapping(self);
	start(CELL_IS);
	ASSERT_LE(8 * OT_BLOCK, ot_wait_head(m, 8 * OT_BLOCK, 10000));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_STOP));
	head = ot_head(m);
	memcpy(copy, m->data, 8 * OT_BLOCK);
	go(CELL_IS, false);
	EXPECT_EQ(ONI_RING_MAGIC, m->prod->magic);
	EXPECT_EQ(head, ot_head(m));
	EXPECT_EQ(0, memcmp(copy, m->data, 8 * OT_BLOCK));
	EXPECT_EQ(0, memcmp(copy, m->data + OT_RING, 8 * OT_BLOCK));
	EXPECT_EQ(0, ot_parser_feed(&self->p, m->data, 8 * OT_BLOCK));
	ot_set_tail(m, OT_BLOCK);
	EXPECT_EQ(OT_BLOCK, ot_tail(m));
	if (variant->kind == CONTROL) {
		/* the node itself has nothing to map, before and after */
		EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->ctl, 0));
		EXPECT_EQ(ENODEV, errno);
	}
	free(copy);
}

/* On the control file: a register access that the card never answers. */
TEST_F_TIMEOUT(cell, call_in_flight, 120)
{
	struct oni_info info;

	make_files(CELL_IS);
	if (variant->kind == CONTROL) {
		ASSERT_EQ(0, ot_lab("fault mute 1"));
		ASSERT_EQ(0, ot_wait_start(&self->w, OT_WAIT_REG, self->ctl, 0));
	} else {
		ASSERT_EQ(0, ot_wait_start(&self->w, OT_WAIT_INFO, self->fd, 0));
	}
	ot_sleep_ms(200);
	EXPECT_FALSE(self->w.done);
	go(CELL_IS, false);
	if (variant->kind == CONTROL) {
		ASSERT_TRUE(ot_wait_done(&self->w, UNANSWERED_MS));
		/* told: the hardware was there until the time was over */
		EXPECT_TRUE(self->w.result == -ENODEV ||
			    (variant->way->told && self->w.result == -ETIMEDOUT));
		return;
	}
	if (self->outcome == GONE) {
		ASSERT_TRUE(ot_wait_done(&self->w, SOON_MS));
		EXPECT_EQ(-ENODEV, self->w.result);
		return;
	}
	EXPECT_FALSE(self->w.done);
	self->w.quit = true;
	ASSERT_TRUE(ot_wait_done(&self->w, SOON_MS));
	EXPECT_EQ(0, self->w.result);
	ASSERT_EQ(0, ot_info(self->ctl, &info));
}

/* A monitor has read what it was not told to have missed. */
static void expect_account(ARGS)
{
	struct oni_monitor_stat stat;

	ASSERT_EQ(0, ot_monitor_stat(self->m.fd, &stat));
	EXPECT_EQ(ot_head(&self->m), stat.position);
	EXPECT_EQ(stat.position, self->w.bytes + stat.lost_bytes);
	EXPECT_EQ(stat.lost_events, self->w.overflows);
}

static bool read_more(struct ot_waiter *w, uint64_t bytes)
{
	uint64_t end = ot_now_ns() + 10000 * 1000000ULL, before = w->bytes;

	while (w->bytes < before + bytes && ot_now_ns() < end)
		ot_sleep_ms(5);
	return w->bytes >= before + bytes;
}

/* On the control file read(2) of an implicit stream. */
TEST_F_TIMEOUT(cell, streaming, 120)
{
	const uint64_t some = 32 * OT_BLOCK;

	self->fd = self->ctl;
	if (variant->kind != CONTROL) {
		make_files(CELL_IS);
		start(CELL_IS);
	}
	if (variant->kind == MONITOR) {
		ASSERT_EQ(0, ot_wait_start(&self->beside, OT_WAIT_READ, self->s.fd, 0));
	}
	ASSERT_EQ(0, ot_wait_start(&self->w, OT_WAIT_READ, self->fd, 0));
	ASSERT_TRUE(read_more(&self->w, some));
	go(CELL_IS, true);
	if (self->outcome == REFUSED) {
		EXPECT_TRUE(read_more(&self->w, some));
	}
	expect_reader(CELL_IS);
	if (variant->kind == MONITOR) {
		ASSERT_TRUE(ot_wait_done(&self->beside, SOON_MS));
		EXPECT_EQ(ot_head(&self->s), self->beside.bytes);
		if (self->outcome != GONE)
			expect_account(CELL_IS);
	}
	if (variant->kind == STREAM) {
		/* what was published was read, all of it, once */
		EXPECT_EQ(ot_head(&self->s), self->w.bytes);
	}
	if (self->outcome == GONE || (self->outcome == ENDED && variant->kind != CONTROL))
		expect_file(CELL_IS, false);
}

TEST_HARNESS_MAIN
