// SPDX-License-Identifier: MIT
/*
 * The card is broken or means harm: registers that read noise, events that
 * belong to nothing, lengths and tables that are absurd, a signal channel full
 * of garbage, transfers that never end.
 *
 * The rule for all of it: a call ends in bounded time with an errno of the
 * contract, an error that costs data is latched where the reader sees it, a
 * counter tells of it, and ONI_IOC_RESET brings a working acquisition back (a
 * new bind, if the card looked as if it were gone). The fixture checks the
 * last part after every test.
 *
 * The faults are those of the simulator, asked for through ONI_LAB_CMD (see
 * ot_lab(); onisim --help lists them). "fault spent KIND" fails unless the
 * fault really happened.
 *
 * Contract under test: include/uapi/linux/oni.h. One process, one thread.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>

#include "oni_layout.h"
#include "oni_leave.h"

#define RING		(1u << 20)
#define BLOCK		4096u
#define LT_WORDS	100u
#define LT_HZ		4000u
#define LT_STEP		(OT_CLK_HZ / LT_HZ)
#define LONG_MS		10000
#define PATIENCE_MS	60000	/* for what only ends sooner on a faster machine */
#define BOUND_MS	8000	/* one call, on a busy machine */
#define LATCH_MS	8000	/* an error that costs data is latched within */
#define STORM		256	/* interrupts for nothing that the driver answers in a row */
#define TABLE_MS	20000	/* a reset with the slowest table */
#define DRIVER		"/sys/bus/pci/drivers/oni_riffa/"

FIXTURE(hostile) {
	int ctl;
	char bus[32];
	bool rebind;		/* the test ended with the controller gone */
	uint32_t rows;
	uint64_t begin;
	struct ot_stream s;
	struct ot_parser p;
	struct oni_stats before, after;
	int reset_ret;
};

static uint32_t state(int ctl)
{
	struct oni_info info;

	return ot_info(ctl, &info) ? ~0u : info.state;
}

/* Resets are slow here; a test that left the load tester as it was saves one. */
static int prepare(int ctl)
{
	struct oni_device rows[OT_MAX_ROWS];
	int i, n = ot_table(ctl, rows, OT_MAX_ROWS);

	for (i = 0; i < n; i++)
		if (rows[i].addr == OT_LOAD_TEST && rows[i].read_size == 16 + 2 * LT_WORDS &&
		    state(ctl) == ONI_STATE_IDLE)
			return 0;
	return ot_load_test(ctl, LT_WORDS, LT_HZ);
}

static int stream_open(FIXTURE_DATA(hostile) *self)
{
	int ret = ot_parser_init(&self->p, self->ctl, LT_STEP);

	if (ret)
		return ret;
	self->s.fd = ot_stream_create(self->ctl, RING, BLOCK, 0, 0);
	return self->s.fd < 0 ? self->s.fd : ot_stream_map(self->s.fd, &self->s);
}

static void stream_close(FIXTURE_DATA(hostile) *self)
{
	if (self->s.fd < 0)
		return;
	ot_stream_unmap(&self->s);
	close(self->s.fd);
	self->s.fd = -1;
}

FIXTURE_SETUP(hostile)
{
	struct oni_info info;

	self->s.fd = -1;
	self->rebind = false;
	ASSERT_EQ(0, ot_lab("fault clear"));
	self->ctl = ot_open(O_RDWR);
	ASSERT_LE(0, self->ctl);
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
	ASSERT_EQ(0, prepare(self->ctl));
	ASSERT_EQ(0, ot_info(self->ctl, &info));
	snprintf(self->bus, sizeof(self->bus), "%s", info.bus_name);
	self->rows = info.rows;
	ASSERT_EQ(0, stream_open(self));
	ASSERT_EQ(0, ot_stats(self->ctl, &self->before));
	self->begin = ot_now_ns();
}

static int start(FIXTURE_DATA(hostile) *self)
{
	return ot_simple(self->ctl, ONI_IOC_START);
}

static int reset(FIXTURE_DATA(hostile) *self)
{
	return ot_simple(self->ctl, ONI_IOC_RESET);
}

static void mark(FIXTURE_DATA(hostile) *self)
{
	self->begin = ot_now_ns();
}

static uint64_t ms_since(const FIXTURE_DATA(hostile) *self)
{
	return (ot_now_ns() - self->begin) / 1000000;
}

/* Parse what is there until @bytes of this acquisition went through. */
static int consume_until(FIXTURE_DATA(hostile) *self, uint64_t bytes)
{
	return ot_consume_until(&self->s, &self->p, bytes, LONG_MS);
}

#define EXPECT_INTACT(self)							\
	do {									\
		EXPECT_EQ(NULL, (self)->p.error);				\
		EXPECT_EQ(0, (self)->p.bad_words);				\
		EXPECT_EQ(0, ot_parser_device(&(self)->p, OT_LOAD_TEST)->gaps);	\
	} while (0)

#define ASSERT_FAULT(request)	ASSERT_EQ(0, ot_lab("fault " request))
#define EXPECT_SPENT(kind)	EXPECT_EQ(0, ot_lab("fault spent " kind))

/* A working acquisition, from a reset to parsed frames. */
FIXTURE_TEARDOWN(hostile)
{
	uint32_t hz;

	EXPECT_EQ(0, ot_lab("fault clear"));
	if (self->rebind) {
		stream_close(self);
		close(self->ctl);
		EXPECT_EQ(0, ot_write_file(DRIVER "unbind", self->bus));
		ASSERT_EQ(0, ot_write_file(DRIVER "bind", self->bus));
		self->ctl = ot_open(O_RDWR);
		ASSERT_LE(0, self->ctl);
		ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
		ASSERT_EQ(0, prepare(self->ctl));
		ASSERT_EQ(0, stream_open(self));
	}
	ot_simple(self->ctl, ONI_IOC_STOP);
	mark(self);
	ASSERT_EQ(0, reset(self));
	EXPECT_GT(TABLE_MS, ms_since(self));
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &hz));
	EXPECT_EQ(OT_CLK_HZ, hz);
	ASSERT_EQ(0, ot_parser_init(&self->p, self->ctl, LT_STEP));
	ASSERT_EQ(0, start(self));
	EXPECT_EQ(0, consume_until(self, 8 * BLOCK));
	EXPECT_INTACT(self);
	EXPECT_EQ(0, ot_simple(self->ctl, ONI_IOC_STOP));
	EXPECT_EQ(ONI_STATE_IDLE, state(self->ctl));
	stream_close(self);
	close(self->ctl);
}


static int ctl_read(int fd, uint32_t reg, uint32_t *value)
{
	struct oni_ctl c = { .size = sizeof(c), .reg = reg };
	int ret = ot_ioctl(fd, ONI_IOC_CTL_READ, &c);

	if (!ret)
		*value = c.value;
	return ret;
}

static int ctl_write(int fd, uint32_t reg, uint32_t value)
{
	struct oni_ctl c = { .size = sizeof(c), .reg = reg, .value = value };

	return ot_ioctl(fd, ONI_IOC_CTL_WRITE, &c);
}

/* What the tests have in common; the harness's macros want its name for this argument. */
#define TEST_ARGS	struct __test_metadata *_metadata, FIXTURE_DATA(hostile) *self
#define HERE		_metadata, self

static void expect_bounded(TEST_ARGS)
{
	EXPECT_GT(BOUND_MS, ms_since(self));
}

static void expect_stop_bounded(TEST_ARGS)
{
	mark(self);
	ot_simple(self->ctl, ONI_IOC_STOP);
	expect_bounded(HERE);
	EXPECT_EQ(0, self->s.prod->flags & ONI_RING_RUNNING);
}

/* The link is in error: counted, shown, and no acquisition before a reset. */
static void expect_fault(TEST_ARGS)
{
	EXPECT_EQ(ONI_STATE_FAULT, state(self->ctl));
	EXPECT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_LT(self->before.link_errors, self->after.link_errors);
	EXPECT_EQ(-EIO, start(self));
}

/* The acquisition is over and its reader learns why. */
static void expect_ended_by_error(TEST_ARGS)
{
	EXPECT_EQ(ONI_RING_ERROR,
		  ot_wait_flags(&self->s, ONI_RING_ERROR, LATCH_MS) & ONI_RING_ERROR);
	EXPECT_EQ(EIO, self->s.prod->error);
	EXPECT_EQ(POLLIN | POLLERR, ot_poll(self->s.fd, POLLIN, 0) & (POLLIN | POLLERR));
	expect_stop_bounded(HERE);
	expect_fault(HERE);
}

/* Nothing was lost: the same acquisition goes on, frame by frame. */
static void expect_undisturbed(TEST_ARGS)
{
	EXPECT_EQ(0, consume_until(self, ot_head(&self->s) + 8 * BLOCK));
	EXPECT_INTACT(self);
	EXPECT_EQ(ONI_STATE_RUNNING, state(self->ctl));
	EXPECT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_EQ(self->before.link_errors, self->after.link_errors);
}

/* Start with data seen flowing. */
static void begin(TEST_ARGS)
{
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, consume_until(self, 4 * BLOCK));
	mark(self);
}

/* Go on reading until a fault that was ordered has happened as often as it should. */
static void consume_while_faulty(TEST_ARGS, const char *spent)
{
	uint64_t end = ot_now_ns() + PATIENCE_MS * 1000000ULL;

	while (ot_lab(spent) && ot_now_ns() < end) {
		EXPECT_EQ(0, consume_until(self, ot_head(&self->s)));
		ot_sleep_ms(20);
	}
	EXPECT_EQ(0, ot_lab(spent));
}

/* --- registers read noise ------------------------------------------------------------ */

static void noise(TEST_ARGS, const char *request)
{
	begin(HERE);
	ASSERT_EQ(0, ot_lab(request));
	ot_wait_flags(&self->s, ONI_RING_ERROR, 3000);
	EXPECT_NE(ONI_STATE_GONE, state(self->ctl));
	expect_stop_bounded(HERE);
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_LT(self->before.link_errors, self->after.link_errors);
	EXPECT_EQ(ONI_STATE_FAULT, state(self->ctl));
}

TEST_F(hostile, noise_in_the_vector_is_a_fault_that_a_reset_cures)
{
	noise(HERE, "fault vector-random 30 1");
}

TEST_F(hostile, other_noise_in_the_vector)
{
	noise(HERE, "fault vector-random 100 2");
}

/* One event that was not: whatever it was taken for, nothing hangs. */
TEST_F(hostile, a_single_wrong_vector_while_registers_are_read)
{
	uint32_t v;
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_FAULT("vector-random 1 7");
		mark(self);
		ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v);
		expect_bounded(HERE);
	}
	EXPECT_SPENT("vector-random");
	EXPECT_NE(ONI_STATE_GONE, state(self->ctl));
}

/* All ones is what a card that is not there reads as. */
static void expect_gone(TEST_ARGS)
{
	struct oni_info info;
	uint32_t v;

	self->rebind = true;
	EXPECT_EQ(ONI_RING_GONE,
		  ot_wait_flags(&self->s, ONI_RING_GONE, LATCH_MS) & ONI_RING_GONE);
	mark(self);
	EXPECT_EQ(-ENODEV, ot_info(self->ctl, &info));
	EXPECT_EQ(-ENODEV, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(-ENODEV, ot_simple(self->ctl, ONI_IOC_STOP));
	EXPECT_EQ(-ENODEV, reset(self));
	expect_bounded(HERE);
	EXPECT_EQ(POLLHUP | POLLERR, ot_poll(self->s.fd, POLLIN, 0) & (POLLHUP | POLLERR));
	EXPECT_EQ(POLLHUP | POLLERR, ot_poll(self->ctl, POLLIN, 0) & (POLLHUP | POLLERR));
}

TEST_F(hostile, vector_of_all_ones_is_a_card_that_is_gone)
{
	begin(HERE);
	ASSERT_FAULT("vector-ones");
	expect_gone(HERE);
	EXPECT_SPENT("vector-ones");
}

TEST_F(hostile, announced_length_of_all_ones_is_a_card_that_is_gone)
{
	begin(HERE);
	ASSERT_FAULT("len-ones");
	expect_gone(HERE);
	EXPECT_SPENT("len-ones");
}

TEST_F(hostile, moved_length_of_all_ones_is_a_card_that_is_gone)
{
	begin(HERE);
	ASSERT_FAULT("done-ones");
	expect_gone(HERE);
	EXPECT_SPENT("done-ones");
}

TEST_F(hostile, core_settings_of_all_ones_are_a_card_that_is_gone)
{
	ASSERT_FAULT("info-ones");
	EXPECT_EQ(-ENODEV, reset(self));
	EXPECT_SPENT("info-ones");
	self->rebind = true;
}

/* --- transactions that are not as announced -------------------------------------------- */

/*
 * An announcement too many that falls together with a true one cannot be told
 * from it, and costs nothing. So these go on until one stands alone, while the
 * ring is emptied or there would be no more. There are none alone while the
 * driver waits for the next block, so it must not: a short latency.
 */
static void expect_noticed(TEST_ARGS, const char *request)
{
	uint64_t end;

	begin(HERE);
	ASSERT_EQ(0, ot_stream_wake(self->s.fd, BLOCK, 1));
	ASSERT_EQ(0, ot_lab(request));
	end = ot_now_ns() + LONG_MS * 1000000ULL;
	while (!(self->s.prod->flags & ONI_RING_ERROR) && ot_now_ns() < end) {
		EXPECT_EQ(0, consume_until(self, ot_head(&self->s)));
		ot_sleep_ms(1);
	}
	expect_ended_by_error(HERE);
}

TEST_F(hostile, announcement_after_its_acknowledgement)
{
	expect_noticed(HERE, "fault announce-twice 1000000");
}

TEST_F(hostile, announcement_with_nothing_behind_it)
{
	expect_noticed(HERE, "fault announce-stray 1000000");
}

/* The signal channel is served without an acquisition. */
TEST_F(hostile, signal_announcement_with_nothing_behind_it)
{
	uint32_t v;

	ASSERT_FAULT("announce-stray 1 ch=3");
	ot_sleep_ms(200);
	EXPECT_SPENT("announce-stray");
	mark(self);
	EXPECT_NE(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	expect_bounded(HERE);
	expect_fault(HERE);
}

TEST_F(hostile, end_of_a_transaction_that_was_none)
{
	expect_noticed(HERE, "fault done-stray 1000000");
}

TEST_F(hostile, end_of_a_signal_transaction_that_was_none)
{
	ASSERT_FAULT("done-stray 1 ch=3");
	ot_sleep_ms(200);
	EXPECT_SPENT("done-stray");
	expect_fault(HERE);
}

TEST_F(hostile, empty_blocks_do_no_harm)
{
	begin(HERE);
	ASSERT_FAULT("announce-words 10 0");
	consume_while_faulty(HERE, "fault spent announce-words");
	expect_undisturbed(HERE);
}

static void odd_blocks(TEST_ARGS, const char *request)
{
	begin(HERE);
	ASSERT_EQ(0, ot_lab(request));
	consume_while_faulty(HERE, "fault spent announce-words");
	expect_undisturbed(HERE);
}

TEST_F(hostile, blocks_of_one_word_are_published_as_short)
{
	odd_blocks(HERE, "fault announce-words 10 1");
	EXPECT_EQ(self->before.short_blocks + 10, self->after.short_blocks);
}

TEST_F(hostile, blocks_of_odd_length_are_published_as_short)
{
	odd_blocks(HERE, "fault announce-words 10 1001");
	EXPECT_EQ(self->before.short_blocks + 10, self->after.short_blocks);
}

TEST_F(hostile, blocks_longer_than_the_block_size_are_whole)
{
	odd_blocks(HERE, "fault announce-words 10 2500");
	EXPECT_EQ(self->before.short_blocks, self->after.short_blocks);
}

TEST_F(hostile, block_longer_than_any_may_be)
{
	begin(HERE);
	ASSERT_FAULT("announce-words 1 262145");
	expect_ended_by_error(HERE);
	EXPECT_SPENT("announce-words");
}

TEST_F(hostile, block_of_nearly_16_gigabytes)
{
	begin(HERE);
	ASSERT_FAULT("announce-words 1 0xfffffffe");
	expect_ended_by_error(HERE);
	EXPECT_SPENT("announce-words");
}

TEST_F(hostile, blocks_that_end_early_are_published_as_short)
{
	begin(HERE);
	ASSERT_FAULT("short 10 100");
	consume_while_faulty(HERE, "fault spent short");
	expect_undisturbed(HERE);
	EXPECT_EQ(self->before.short_blocks + 10, self->after.short_blocks);
}

/* The ring must not contain what was never announced. */
TEST_F(hostile, more_moved_than_announced)
{
	begin(HERE);
	ASSERT_FAULT("done-words 1 1025");
	expect_ended_by_error(HERE);
	EXPECT_SPENT("done-words");
	EXPECT_EQ(0, ot_head(&self->s) % BLOCK);
}

TEST_F(hostile, nearly_16_gigabytes_moved)
{
	begin(HERE);
	ASSERT_FAULT("done-words 1 0xfffffffe");
	expect_ended_by_error(HERE);
	EXPECT_SPENT("done-words");
	EXPECT_EQ(0, ot_head(&self->s) % BLOCK);
}

/* Less moved than announced cannot be told from an early end; it is counted. */
TEST_F(hostile, less_moved_than_announced_is_a_short_block)
{
	begin(HERE);
	ASSERT_FAULT("done-words 1 10");
	EXPECT_LE(20 * BLOCK, ot_wait_head(&self->s, 20 * BLOCK, LONG_MS));
	EXPECT_SPENT("done-words");
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_EQ(self->before.short_blocks + 1, self->after.short_blocks);
	expect_stop_bounded(HERE);
}

/* A block that was announced in an acquisition and came to nothing is lost data. */
TEST_F(hostile, nothing_moved_of_what_was_announced_is_told)
{
	begin(HERE);
	ASSERT_FAULT("done-words 1 0");
	ot_wait_head(&self->s, 20 * BLOCK, LONG_MS / 2);
	EXPECT_SPENT("done-words");
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_LT(self->before.short_blocks + self->before.link_errors,
		  self->after.short_blocks + self->after.link_errors);
	expect_stop_bounded(HERE);
}

/* --- events and transfers that do not come ------------------------------------------------ */

/*
 * The fetch of a list needs microseconds and does not depend on the data, so
 * a list that is not reported within seconds is an error and not a quiet card.
 */
TEST_F(hostile, list_that_is_never_reported_is_an_error)
{
	begin(HERE);
	ASSERT_FAULT("recvd-lost");
	expect_ended_by_error(HERE);
	EXPECT_SPENT("recvd-lost");
}

TEST_F(hostile, list_that_is_never_fetched_is_an_error)
{
	begin(HERE);
	ASSERT_FAULT("fetch-stuck");
	expect_ended_by_error(HERE);
	EXPECT_SPENT("fetch-stuck");
}

TEST_F(hostile, list_that_is_reported_late_only_holds_the_data_back)
{
	begin(HERE);
	ASSERT_FAULT("recvd-late 3 200");
	consume_while_faulty(HERE, "fault spent recvd-late");
	expect_undisturbed(HERE);
}

/* A stop cannot wait for the block for ever, and its data are lost: not a regular end. */
TEST_F(hostile, stop_with_a_block_that_never_ends_is_an_error)
{
	begin(HERE);
	ASSERT_FAULT("up-stuck");
	ot_sleep_ms(200);
	EXPECT_SPENT("up-stuck");
	expect_stop_bounded(HERE);
	expect_ended_by_error(HERE);
}

/* Signals that do not arrive: the register access says so, and so does the next. */
static void no_signal(TEST_ARGS)
{
	uint32_t v;

	mark(self);
	EXPECT_EQ(-ETIMEDOUT, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	expect_bounded(HERE);
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_EQ(self->before.reg_timeouts + 1, self->after.reg_timeouts);
	mark(self);
	EXPECT_NE(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	expect_bounded(HERE);
}

TEST_F(hostile, signal_list_that_is_never_reported)
{
	ASSERT_FAULT("recvd-lost 1 ch=3");
	no_signal(HERE);
	EXPECT_SPENT("recvd-lost");
}

TEST_F(hostile, signal_byte_that_never_leaves)
{
	ASSERT_FAULT("up-stuck 1 ch=3");
	no_signal(HERE);
	EXPECT_SPENT("up-stuck");
}

TEST_F(hostile, controller_register_that_never_arrives)
{
	uint32_t v;

	ASSERT_FAULT("up-stuck 1 ch=0");
	EXPECT_EQ(-ETIMEDOUT, ctl_read(self->ctl, ONI_CTL_ACQCLKHZ, &v));
	expect_bounded(HERE);
	EXPECT_SPENT("up-stuck");
	expect_fault(HERE);
}

TEST_F(hostile, controller_write_that_is_never_fetched)
{
	ASSERT_FAULT("down-stuck 1 ch=0");
	EXPECT_EQ(-ETIMEDOUT, ctl_write(self->ctl, ONI_CTL_HWADDRESS, 5));
	expect_bounded(HERE);
	EXPECT_SPENT("down-stuck");
	expect_fault(HERE);
	/* nobody waits for what cannot come */
	mark(self);
	EXPECT_EQ(-EIO, ctl_write(self->ctl, ONI_CTL_HWADDRESS, 5));
	EXPECT_GT(1000, ms_since(self));
}

/* What was refused since has not become what the card fetches in the end. */
TEST_F(hostile, controller_write_that_is_fetched_late_is_the_one_that_was_sent)
{
	uint32_t v = 0;
	int ret;

	ASSERT_FAULT("down-late 1 6000 ch=0");
	EXPECT_EQ(-ETIMEDOUT, ctl_write(self->ctl, ONI_CTL_HWADDRESS, 0x5));
	expect_bounded(HERE);
	EXPECT_EQ(-EIO, ctl_write(self->ctl, ONI_CTL_HWADDRESS, 0x1234));
	EXPECT_SPENT("down-late");
	do {
		ot_sleep_ms(50);
		ret = ctl_read(self->ctl, ONI_CTL_HWADDRESS, &v);
	} while (ret == -EIO && ms_since(self) < PATIENCE_MS);
	EXPECT_EQ(0, ret);
	EXPECT_EQ(0x5, v);
	expect_fault(HERE);
}

TEST_F(hostile, write_frame_that_is_never_fetched)
{
	const uint32_t frame[] = { OT_DIGITAL_IO, 1, 0x5a };

	ASSERT_FAULT("down-stuck 1 ch=1");
	EXPECT_EQ(-1, write(self->ctl, frame, sizeof(frame)));
	EXPECT_EQ(ETIMEDOUT, errno);
	expect_bounded(HERE);
	EXPECT_SPENT("down-stuck");
	expect_fault(HERE);
}

TEST_F(hostile, start_whose_block_size_is_never_fetched)
{
	ASSERT_FAULT("down-stuck 1 ch=2");
	EXPECT_EQ(-ETIMEDOUT, start(self));
	expect_bounded(HERE);
	EXPECT_SPENT("down-stuck");
	expect_fault(HERE);
	EXPECT_EQ(0, self->s.prod->flags & ONI_RING_RUNNING);
}

TEST_F(hostile, blocks_after_a_stop_are_in_the_ring)
{
	uint64_t head;

	begin(HERE);
	ASSERT_FAULT("after-stop 20");
	head = ot_head(&self->s);
	EXPECT_EQ(0, ot_simple(self->ctl, ONI_IOC_STOP));
	EXPECT_SPENT("after-stop");
	EXPECT_LE(head + 20 * BLOCK, ot_head(&self->s));
	EXPECT_EQ(ONI_RING_STOPPED, self->s.prod->flags & (ONI_RING_STOPPED | ONI_RING_ERROR));
	EXPECT_EQ(ONI_STATE_IDLE, state(self->ctl));
	EXPECT_EQ(0, consume_until(self, ot_head(&self->s)));
	EXPECT_INTACT(self);
}

/* Held back by a full ring, the card cannot keep a stop from ending. */
TEST_F(hostile, stop_ends_although_blocks_do_not)
{
	begin(HERE);
	ASSERT_FAULT("after-stop 1000000");
	expect_stop_bounded(HERE);
	EXPECT_EQ(0, consume_until(self, ot_head(&self->s)));
	EXPECT_INTACT(self);
}

/* Nor do blocks without data, however many there are. */
TEST_F(hostile, stop_ends_although_empty_blocks_do_not)
{
	begin(HERE);
	ASSERT_FAULT("announce-words 1000000 0");
	expect_stop_bounded(HERE);
}

/* --- interrupts ------------------------------------------------------------------------------ */

/* An interrupt that comes with the next event of the card is not one for nothing. */
TEST_F_TIMEOUT(hostile, interrupt_storm_does_not_hurt_the_data, 120)
{
	uint64_t end = ot_now_ns() + PATIENCE_MS * 1000000ULL;

	begin(HERE);
	do {
		ASSERT_FAULT("msi-storm 200000");
		consume_while_faulty(HERE, "fault spent msi-storm");
		expect_undisturbed(HERE);
	} while (self->after.spurious == self->before.spurious && ot_now_ns() < end);
	EXPECT_LT(self->before.spurious, self->after.spurious);
}

/*
 * Nor may events that belong to nothing take a processor, however fast they come:
 * after some hundred interrupts of that kind only the driver's own poll, twice a
 * second in this state, lets one more through.
 */
TEST_F_TIMEOUT(hostile, events_of_nothing_are_left_to_the_poll, 120)
{
	uint64_t end = ot_now_ns() + PATIENCE_MS * 1000000ULL, seen;

	expect_noticed(HERE, "fault done-stray 1000000");
	/* the driver counts those in a row, which a block in between may end */
	do {
		ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
		seen = self->after.interrupts;
		ot_sleep_ms(2000);
		ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	} while (self->after.interrupts >= seen + STORM / 4 && ot_now_ns() < end);
	EXPECT_GT(seen + STORM / 4, self->after.interrupts);
	EXPECT_LT(self->before.spurious, self->after.spurious);
	/* and there are more to come */
	EXPECT_NE(0, ot_lab("fault spent done-stray"));
}

TEST_F(hostile, lost_interrupts_delay_and_lose_nothing)
{
	begin(HERE);
	ASSERT_FAULT("msi-lost 10");
	consume_while_faulty(HERE, "fault spent msi-lost");
	expect_undisturbed(HERE);
}

/* --- device table ----------------------------------------------------------------------------- */

/* A reset that fails: FAULT, no half of a new table, no claim of safe stimulators. */
static void bad_table(TEST_ARGS, const char *request, int err)
{
	struct oni_info info;

	ASSERT_EQ(0, ot_lab(request));
	mark(self);
	EXPECT_EQ(err, reset(self)) {
		TH_LOG("%s", request);
	}
	EXPECT_GT(TABLE_MS, ms_since(self));
	ASSERT_EQ(0, ot_info(self->ctl, &info));
	EXPECT_EQ(ONI_STATE_FAULT, info.state);
	EXPECT_EQ(self->rows, info.rows);
	EXPECT_EQ(0, info.flags & ONI_INFO_STIM_SAFE);
	EXPECT_EQ(-EIO, start(self));
	ASSERT_EQ(0, ot_lab("fault clear"));
}

TEST_F(hostile, table_without_rows)
{
	bad_table(HERE, "fault table-rows 1 0", -EPROTO);
}

TEST_F(hostile, table_of_65535_rows)
{
	bad_table(HERE, "fault table-rows 1 65535", -EPROTO);
}

TEST_F(hostile, table_of_4294967295_rows)
{
	bad_table(HERE, "fault table-rows 1 0xffffffff", -EPROTO);
}

TEST_F(hostile, table_with_fewer_rows_than_announced)
{
	char request[64];

	snprintf(request, sizeof(request), "fault table-count 1 %u", self->rows + 1);
	bad_table(HERE, request, -ETIMEDOUT);
}

TEST_F(hostile, tables_with_rows_that_make_no_sense)
{
	bad_table(HERE, "fault table-double", -EPROTO);
	bad_table(HERE, "fault table-addr 1 0x10000", -EPROTO);
	bad_table(HERE, "fault table-addr 1 0xfe", -EPROTO);
	bad_table(HERE, "fault table-read-size 1 0xffffffff", -EPROTO);
	bad_table(HERE, "fault table-write-size 1 0xffffffff", -EPROTO);
	bad_table(HERE, "fault table-bytes 1 20", -EPROTO);
}

TEST_F(hostile, row_of_three_bytes)
{
	bad_table(HERE, "fault table-bytes 1 3", -ETIMEDOUT);
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_LT(self->before.bad_signals, self->after.bad_signals);
}

static void good_table(TEST_ARGS, const char *request, uint32_t rows)
{
	struct oni_info info;
	uint32_t hz;

	ASSERT_EQ(0, ot_lab(request));
	mark(self);
	EXPECT_EQ(0, reset(self));
	EXPECT_GT(TABLE_MS, ms_since(self));
	ASSERT_EQ(0, ot_info(self->ctl, &info));
	EXPECT_EQ(ONI_STATE_IDLE, info.state);
	EXPECT_EQ(rows, info.rows);
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &hz));
	EXPECT_EQ(OT_CLK_HZ, hz);
}

TEST_F(hostile, table_of_one_row)
{
	good_table(HERE, "fault table-rows 1 1", 1);
}

/* More than are buffered at a time. */
TEST_F(hostile, table_of_300_rows)
{
	good_table(HERE, "fault table-rows 1 300", 300);
}

TEST_F(hostile, row_without_samples)
{
	good_table(HERE, "fault table-read-size 1 0", self->rows);
}

TEST_F(hostile, rows_beyond_those_announced_are_ignored)
{
	char request[64];

	snprintf(request, sizeof(request), "fault table-count 1 %u", self->rows - 1);
	good_table(HERE, request, self->rows - 1);
}

static void *resetter(void *arg)
{
	FIXTURE_DATA(hostile) *self = arg;

	self->reset_ret = reset(self);
	return NULL;
}

/*
 * Who waits for the table may get his turn long after the rows have come. Nobody
 * gets any while the card sends, which takes it about 10 ms for each row here.
 */
TEST_F_TIMEOUT(hostile, table_that_comes_before_its_reader_gets_a_turn, 90)
{
	static const char throttle[] = "/proc/sys/kernel/sched_rt_runtime_us";
	const uint32_t rows = 280;	/* more than a queue of 256 takes */
	struct oni_info info;
	struct ot_hog hog;
	pthread_t thread;
	uint64_t until;

	ASSERT_EQ(0, ot_lab("fault table-rows 1 280"));
	ASSERT_EQ(0, ot_write_file(throttle, "-1"));
	ASSERT_EQ(0, pthread_create(&thread, NULL, resetter, self));
	ot_sleep_ms(60);
	EXPECT_EQ(0, ot_hog_start(&hog));
	for (until = ot_now_ns() + 3500 * 1000000ULL; ot_now_ns() < until;)
		;
	ot_hog_stop(&hog);
	EXPECT_EQ(0, ot_write_file(throttle, "950000"));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, self->reset_ret);
	ASSERT_EQ(0, ot_info(self->ctl, &info));
	EXPECT_EQ(rows, info.rows);
}

/* The announced rows come, and then the card goes on and on. */
TEST_F(hostile, rows_without_end_do_not_hide_the_answers)
{
	char request[64];

	ASSERT_FAULT("table-rows 1 0xffffffff");
	snprintf(request, sizeof(request), "fault table-count 1 %u", self->rows);
	good_table(HERE, request, self->rows);
}

/* Time-outs per row must not add up. */
TEST_F_TIMEOUT(hostile, table_that_dribbles_in, 90)
{
	bad_table(HERE, "fault table-slow 1 2500", -ETIMEDOUT);
}

/* --- signal channel ------------------------------------------------------------------------------ */

/* A spoilt answer is none; it is counted, and the next one is understood. */
static void bad_signal(TEST_ARGS, const char *request)
{
	uint32_t v;

	ASSERT_EQ(0, ot_stats(self->ctl, &self->before));
	ASSERT_EQ(0, ot_lab(request));
	mark(self);
	EXPECT_EQ(-ETIMEDOUT, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v)) {
		TH_LOG("%s", request);
	}
	expect_bounded(HERE);
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(OT_CLK_HZ, v);
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_LT(self->before.bad_signals, self->after.bad_signals);
	EXPECT_EQ(self->before.reg_timeouts + 1, self->after.reg_timeouts);
}

TEST_F_TIMEOUT(hostile, spoilt_signal_packets, 60)
{
	bad_signal(HERE, "fault signal-zero");
	bad_signal(HERE, "fault signal-long");
	bad_signal(HERE, "fault signal-cut");
	bad_signal(HERE, "fault signal-flip 1 3");
}

/* Without its end a packet takes the next one along; together they may be an answer. */
TEST_F(hostile, signal_packet_without_an_end)
{
	uint32_t v;
	int ret;

	ASSERT_FAULT("signal-open");
	EXPECT_EQ(-ETIMEDOUT, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	ret = ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v);
	EXPECT_TRUE(ret == -ETIMEDOUT || v == OT_CLK_HZ);
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(OT_CLK_HZ, v);
}

TEST_F_TIMEOUT(hostile, storm_of_garbage_in_the_signal_channel, 120)
{
	uint32_t v;
	int i;

	begin(HERE);
	ASSERT_FAULT("signal-garbage 3000 5");
	mark(self);
	ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v);
	expect_bounded(HERE);
	consume_while_faulty(HERE, "fault spent signal-garbage");
	expect_undisturbed(HERE);
	/* the rest of the storm may take one answer along */
	for (i = 0; i < 2 && ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v); i++)
		EXPECT_EQ(0, consume_until(self, ot_head(&self->s)));
	EXPECT_EQ(OT_CLK_HZ, v);
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_LT(self->before.bad_signals, self->after.bad_signals);
	expect_undisturbed(HERE);
}

/* --- handshake ------------------------------------------------------------------------------------- */

TEST_F(hostile, slow_answer_is_waited_for)
{
	uint32_t v;

	ASSERT_FAULT("ack-late 1 500");
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(OT_CLK_HZ, v);
	EXPECT_LE(500, ms_since(self));
	EXPECT_SPENT("ack-late");
}

/* Its answer belongs to nobody, and the access after it gets its own. */
TEST_F(hostile, answer_after_the_time_out_is_not_taken_for_the_next)
{
	uint64_t end = ot_now_ns() + LONG_MS * 1000000ULL;
	uint32_t id, v = 0;
	int ret;

	ASSERT_EQ(0, ot_reg_read(self->ctl, OT_HUB_INFO, 0, &id));
	ASSERT_FAULT("ack-late 1 3000");
	EXPECT_EQ(-ETIMEDOUT, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_SPENT("ack-late");
	do {
		ret = ot_reg_read(self->ctl, OT_HUB_INFO, 0, &v);
	} while (ret == -ETIMEDOUT && ot_now_ns() < end);
	EXPECT_EQ(0, ret);
	EXPECT_EQ(id, v);
}

TEST_F(hostile, answer_that_comes_twice_does_no_harm)
{
	uint32_t id, v = 0;
	int i;

	ASSERT_EQ(0, ot_reg_read(self->ctl, OT_HUB_INFO, 0, &id));
	ASSERT_FAULT("ack-twice 20");
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
		EXPECT_EQ(OT_CLK_HZ, v);
		EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HUB_INFO, 0, &v));
		EXPECT_EQ(id, v);
	}
	EXPECT_SPENT("ack-twice");
}

TEST_F(hostile, answer_of_the_wrong_kind_is_none)
{
	uint32_t v;

	ASSERT_FAULT("ack-wrong");
	EXPECT_EQ(-ETIMEDOUT, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	expect_bounded(HERE);
	EXPECT_SPENT("ack-wrong");
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_EQ(self->before.reg_timeouts + 1, self->after.reg_timeouts);
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(OT_CLK_HZ, v);
}

TEST_F(hostile, access_that_never_ends_blocks_the_next_and_a_reset_cures)
{
	uint32_t v;

	ASSERT_FAULT("trig-stuck");
	EXPECT_EQ(-ETIMEDOUT, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	expect_bounded(HERE);
	EXPECT_SPENT("trig-stuck");
	mark(self);
	EXPECT_EQ(-ETIMEDOUT, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	expect_bounded(HERE);
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_EQ(self->before.reg_timeouts + 2, self->after.reg_timeouts);
}

TEST_F(hostile, controller_register_without_an_answer)
{
	uint32_t v;

	ASSERT_FAULT("reply-lost");
	EXPECT_EQ(-ETIMEDOUT, ctl_read(self->ctl, ONI_CTL_ACQCLKHZ, &v));
	expect_bounded(HERE);
	EXPECT_SPENT("reply-lost");
	expect_fault(HERE);
}

/* A later question would be answered with the value of this one. */
TEST_F(hostile, controller_register_answered_late_is_never_another_one)
{
	uint32_t v = 0;
	int i;

	ASSERT_EQ(0, ctl_write(self->ctl, ONI_CTL_HWADDRESS, 0x1234));
	ASSERT_FAULT("reply-late 1 4000");
	EXPECT_EQ(-ETIMEDOUT, ctl_read(self->ctl, ONI_CTL_ACQCLKHZ, &v));
	expect_bounded(HERE);
	EXPECT_SPENT("reply-late");
	/* before it comes, and after */
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-EIO, ctl_read(self->ctl, ONI_CTL_HWADDRESS, &v));
		ot_sleep_ms(3000);
	}
	expect_fault(HERE);
}

/* It would be taken for the answer to a later question. */
TEST_F(hostile, answer_that_nobody_asked_for_is_an_error)
{
	uint32_t v;
	int ret;

	ASSERT_FAULT("reply-stray");
	ot_sleep_ms(200);
	EXPECT_SPENT("reply-stray");
	ret = ctl_read(self->ctl, ONI_CTL_ACQCLKHZ, &v);
	EXPECT_TRUE(ret || v == OT_CLK_HZ);
	expect_fault(HERE);
}

TEST_F(hostile, controller_register_answered_twice_is_never_wrong)
{
	uint32_t v;
	int i, ret;

	ASSERT_EQ(0, ctl_write(self->ctl, ONI_CTL_HWADDRESS, 0x1234));
	ASSERT_FAULT("reply-twice 20");
	for (i = 0; i < 10; i++) {
		ret = ctl_read(self->ctl, ONI_CTL_HWADDRESS, &v);
		EXPECT_TRUE(ret || v == 0x1234);
		ret = ctl_read(self->ctl, ONI_CTL_ACQCLKHZ, &v);
		EXPECT_TRUE(ret || v == OT_CLK_HZ);
	}
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_LT(self->before.link_errors, self->after.link_errors);
}

TEST_HARNESS_MAIN
