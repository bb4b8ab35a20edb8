// SPDX-License-Identifier: MIT
/*
 * The hardware misbehaves: refuses, does not answer, interrupts for nothing,
 * stops moving data. Calls end in bounded time with the documented errno, and
 * a reset brings everything back.
 *
 * The misbehaviour is asked for through ONI_LAB_CMD (see ot_lab()): "fault
 * nack N", "fault mute N", "fault msi", "stall", "resume" of the simulator.
 *
 * Contract under test: include/uapi/linux/oni.h, common errors. Needs a
 * simulated card with a headstage-64 on port A. One process; one test starts a
 * thread.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "oni_layout.h"
#include "oni_leave.h"

#define RING		(1u << 20)
#define BLOCK		4096u
#define LT_HZ		4000u
#define LT_STEP		(OT_CLK_HZ / LT_HZ)
#define LONG_MS		10000
#define BOUND_MS	8000	/* "in bounded time", on a busy machine */

FIXTURE(fault) {
	int ctl;
	struct ot_stream s;
	struct ot_parser p;
	struct oni_stats before, after;
};

FIXTURE_SETUP(fault)
{
	self->s.fd = -1;
	self->ctl = ot_open(O_RDWR);
	ASSERT_LE(0, self->ctl);
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_load_test(self->ctl, 100, LT_HZ));
	ASSERT_EQ(0, ot_parser_init(&self->p, self->ctl, LT_STEP));
	self->s.fd = ot_stream_create(self->ctl, RING, BLOCK, 0, 0);
	ASSERT_LE(0, self->s.fd);
	ASSERT_EQ(0, ot_stream_map(self->s.fd, &self->s));
	ASSERT_EQ(0, ot_stats(self->ctl, &self->before));
}

/* Whatever a test left: a reset must bring the controller back. */
FIXTURE_TEARDOWN(fault)
{
	uint32_t hz;

	EXPECT_EQ(0, ot_lab("fault nack 0"));
	EXPECT_EQ(0, ot_lab("fault mute 0"));
	EXPECT_EQ(0, ot_lab("resume"));
	ot_simple(self->ctl, ONI_IOC_STOP);
	EXPECT_EQ(0, ot_simple(self->ctl, ONI_IOC_RESET));
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &hz));
	EXPECT_EQ(OT_CLK_HZ, hz);
	ot_stream_unmap(&self->s);
	close(self->s.fd);
	close(self->ctl);
}

static int start(FIXTURE_DATA(fault) *self)
{
	return ot_simple(self->ctl, ONI_IOC_START);
}

/* Parse until @bytes of this acquisition went through. */
static int consume_until(FIXTURE_DATA(fault) *self, uint64_t bytes)
{
	return ot_consume_until(&self->s, &self->p, bytes, LONG_MS);
}

#define EXPECT_INTACT(self)							\
	do {									\
		EXPECT_EQ(NULL, (self)->p.error);				\
		EXPECT_EQ(0, (self)->p.bad_words);				\
		EXPECT_EQ(0, ot_parser_device(&(self)->p, OT_LOAD_TEST)->gaps);	\
	} while (0)

static uint32_t state(int ctl)
{
	struct oni_info info;

	return ot_info(ctl, &info) ? ~0u : info.state;
}

/* --- register accesses ------------------------------------------------------------- */

TEST_F(fault, refused_read_is_eremoteio_once)
{
	uint32_t v;

	ASSERT_EQ(0, ot_lab("fault nack 1"));
	EXPECT_EQ(-EREMOTEIO, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(OT_POISON32, v);
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(OT_CLK_HZ, v);
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_EQ(self->before.reg_nacks + 1, self->after.reg_nacks);
}

TEST_F(fault, refused_write_is_eremoteio_and_changes_nothing)
{
	uint32_t before, after;

	ASSERT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 1, &before));
	ASSERT_EQ(0, ot_lab("fault nack 1"));
	EXPECT_EQ(-EREMOTEIO, ot_reg_write(self->ctl, OT_HEARTBEAT, 1, before + 1));
	ASSERT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 1, &after));
	EXPECT_EQ(before, after);
}

TEST_F(fault, unanswered_read_is_etimedout_in_bounded_time)
{
	uint64_t begin = ot_now_ns();
	uint32_t v;

	ASSERT_EQ(0, ot_lab("fault mute 1"));
	EXPECT_EQ(-ETIMEDOUT, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(OT_POISON32, v);
	EXPECT_GT(BOUND_MS * 1000000ULL, ot_now_ns() - begin);
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_EQ(self->before.reg_timeouts + 1, self->after.reg_timeouts);
}

/* The access after an unanswered one gets its own answer, not the late one. */
TEST_F(fault, next_access_after_a_time_out_is_right)
{
	uint32_t v, id;

	ASSERT_EQ(0, ot_reg_read(self->ctl, OT_HUB_INFO, 0, &id));
	ASSERT_EQ(0, ot_lab("fault mute 1"));
	ASSERT_EQ(-ETIMEDOUT, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HUB_INFO, 0, &v));
	EXPECT_EQ(id, v);
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(OT_CLK_HZ, v);
}

TEST_F(fault, unanswered_write_is_etimedout)
{
	ASSERT_EQ(0, ot_lab("fault mute 1"));
	EXPECT_EQ(-ETIMEDOUT, ot_reg_write(self->ctl, OT_MEMORY, 1, OT_CLK_HZ / 10));
	EXPECT_EQ(0, ot_reg_write(self->ctl, OT_MEMORY, 1, OT_CLK_HZ / 10));
}

/* A register that does not answer does not hold the data up. */
TEST_F(fault, data_flow_during_an_unanswered_access)
{
	uint64_t head;
	uint32_t v;

	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, ot_lab("fault mute 1"));
	/* The request took its time, on a slow machine enough to fill the ring. */
	EXPECT_EQ(0, consume_until(self, ot_head(&self->s)));
	head = ot_head(&self->s);
	EXPECT_EQ(-ETIMEDOUT, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_LT(head + 32 * BLOCK, ot_head(&self->s));
	EXPECT_EQ(0, consume_until(self, ot_head(&self->s) + BLOCK));
	EXPECT_INTACT(self);
}

/* A batch ends at the access that is refused or not answered, and says so. */
static int batch_of_three(FIXTURE_DATA(fault) *self, struct oni_reg_op op[3], uint32_t *done)
{
	size_t i;

	for (i = 0; i < 3; i++)
		op[i] = (struct oni_reg_op){
			.dev_addr = OT_HEARTBEAT, .reg_addr = 2, .value = OT_POISON32,
			.result = 77,
		};
	return ot_reg_batch(self->ctl, op, 3, done);
}

TEST_F(fault, refused_access_ends_a_batch)
{
	struct oni_reg_op op[3];
	uint32_t done;

	ASSERT_EQ(0, ot_lab("fault nack 1"));
	EXPECT_EQ(-EREMOTEIO, batch_of_three(self, op, &done));
	EXPECT_EQ(1, done);
	EXPECT_EQ(-EREMOTEIO, op[0].result);
	EXPECT_EQ(77, op[1].result);
	EXPECT_EQ(0, batch_of_three(self, op, &done));
	EXPECT_EQ(3, done);
}

TEST_F(fault, unanswered_access_ends_a_batch_in_bounded_time)
{
	uint64_t begin = ot_now_ns();
	struct oni_reg_op op[3];
	uint32_t done;

	ASSERT_EQ(0, ot_lab("fault mute 3"));
	EXPECT_EQ(-ETIMEDOUT, batch_of_three(self, op, &done));
	EXPECT_GT(BOUND_MS * 1000000ULL, ot_now_ns() - begin);
	EXPECT_EQ(1, done);
	EXPECT_EQ(-ETIMEDOUT, op[0].result);
	EXPECT_EQ(OT_POISON32, op[0].value);
	EXPECT_EQ(77, op[1].result);
	ASSERT_EQ(0, ot_lab("fault mute 0"));
	EXPECT_EQ(0, batch_of_three(self, op, &done));
	EXPECT_EQ(OT_CLK_HZ, op[2].value);
}

/* --- stimulators -------------------------------------------------------------------- */

TEST_F_TIMEOUT(fault, unconfirmed_safe_state_is_told, 90)
{
	struct oni_port_power port;
	struct oni_info info;

	ASSERT_EQ(0, ot_port(self->ctl, &port, OT_PORT_A, ONI_HUB_HS64, 60));
	ASSERT_EQ(0, ot_info(self->ctl, &info));
	EXPECT_EQ(ONI_INFO_STIM_SAFE, info.flags & ONI_INFO_STIM_SAFE);
	ASSERT_EQ(0, ot_lab("fault nack 1000"));
	ot_simple(self->ctl, ONI_IOC_RESET);
	ASSERT_EQ(0, ot_lab("fault nack 0"));
	ASSERT_EQ(0, ot_info(self->ctl, &info));
	EXPECT_EQ(0, info.flags & ONI_INFO_STIM_SAFE);
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_LT(self->before.stim_safe_failures, self->after.stim_safe_failures);
	/* the next reset confirms it */
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_RESET));
	ASSERT_EQ(0, ot_info(self->ctl, &info));
	EXPECT_EQ(ONI_INFO_STIM_SAFE, info.flags & ONI_INFO_STIM_SAFE);
	EXPECT_EQ(0, ot_port(self->ctl, &port, OT_PORT_A, 0, 0));
}

/*
 * Two unanswered writes say that a stimulator is silent; waiting for each of
 * its registers would keep the controller locked for a minute.
 */
TEST_F_TIMEOUT(fault, silent_stimulators_do_not_hold_up_a_release, 90)
{
	struct oni_port_power port;
	uint64_t silent;

	ASSERT_EQ(0, ot_port(self->ctl, &port, OT_PORT_A, ONI_HUB_HS64, 60));
	ASSERT_EQ(0, ot_stats(self->ctl, &self->before));
	ASSERT_EQ(0, ot_lab("fault mute 1000"));
	EXPECT_EQ(0, ot_simple(self->ctl, ONI_IOC_RELEASE));
	ASSERT_EQ(0, ot_lab("fault mute 0"));
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	silent = self->after.reg_timeouts - self->before.reg_timeouts;
	/* Two registers of each, of six and two. */
	EXPECT_EQ(4, silent);
	EXPECT_EQ(self->before.stim_safe_failures + 2, self->after.stim_safe_failures);
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_RESET));
	EXPECT_EQ(0, ot_port(self->ctl, &port, OT_PORT_A, 0, 0));
}

/* --- interrupts ---------------------------------------------------------------------- */

TEST_F(fault, interrupt_for_nothing_is_counted_and_harmless)
{
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, ot_lab("fault msi"));
	}
	ot_sleep_ms(100);
	ASSERT_EQ(0, ot_stats(self->ctl, &self->after));
	EXPECT_LT(self->before.interrupts, self->after.interrupts);
	EXPECT_LE(self->before.spurious + 1, self->after.spurious);
	EXPECT_EQ(self->before.link_errors, self->after.link_errors);
	EXPECT_EQ(ONI_STATE_IDLE, state(self->ctl));
}

TEST_F(fault, interrupts_for_nothing_do_not_hurt_the_data)
{
	int i;

	ASSERT_EQ(0, start(self));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, ot_lab("fault msi"));
		EXPECT_EQ(0, consume_until(self, ot_head(&self->s)));
	}
	EXPECT_EQ(0, consume_until(self, ot_head(&self->s) + 8 * BLOCK));
	EXPECT_INTACT(self);
}

/* --- data that stop ---------------------------------------------------------------------- */

TEST_F(fault, data_go_on_whole_after_a_stall)
{
	uint64_t head;

	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, consume_until(self, 8 * BLOCK));
	ASSERT_EQ(0, ot_lab("stall"));
	ot_sleep_ms(100);
	head = ot_head(&self->s);
	ot_sleep_ms(500);
	EXPECT_GE(head + BLOCK, ot_head(&self->s));
	EXPECT_EQ(ONI_STATE_RUNNING, state(self->ctl));
	ASSERT_EQ(0, ot_lab("resume"));
	EXPECT_EQ(0, consume_until(self, head + RING));
	EXPECT_INTACT(self);
}

/* No block comes that would start the time of what has waited since before the rule. */
TEST_F(fault, new_latency_limit_holds_for_the_last_data_before_a_stall)
{
	uint64_t head;

	ASSERT_EQ(0, ot_stream_wake(self->s.fd, RING / 2, 0));
	ASSERT_EQ(0, start(self));
	ASSERT_LE(8 * BLOCK, ot_wait_head(&self->s, 8 * BLOCK, LONG_MS));
	ASSERT_EQ(0, ot_lab("stall"));
	ot_sleep_ms(100);
	head = ot_head(&self->s);
	ot_set_tail(&self->s, head - BLOCK);
	EXPECT_EQ(0, ot_poll(self->s.fd, POLLIN, 100));
	ASSERT_EQ(head, ot_head(&self->s));
	ASSERT_EQ(0, ot_stream_wake(self->s.fd, RING / 2, 20000));
	EXPECT_EQ(POLLIN, ot_poll(self->s.fd, POLLIN, 2000));
	EXPECT_EQ(0, self->s.prod->error);
	ASSERT_EQ(0, ot_lab("resume"));
}

/* Registers answer while data are stuck. */
TEST_F(fault, registers_work_during_a_stall)
{
	uint32_t v;

	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, ot_lab("stall"));
	EXPECT_EQ(0, ot_reg_read(self->ctl, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(OT_CLK_HZ, v);
}

TEST_F(fault, stop_ends_in_bounded_time_during_a_stall)
{
	uint64_t begin;

	ASSERT_EQ(0, start(self));
	ASSERT_LE(8 * BLOCK, ot_wait_head(&self->s, 8 * BLOCK, LONG_MS));
	ASSERT_EQ(0, ot_lab("stall"));
	begin = ot_now_ns();
	ot_simple(self->ctl, ONI_IOC_STOP);
	EXPECT_GT(BOUND_MS * 1000000ULL, ot_now_ns() - begin);
	EXPECT_NE(ONI_STATE_RUNNING, state(self->ctl));
	EXPECT_EQ(0, self->s.prod->flags & ONI_RING_RUNNING);
	/* what was published is whole */
	EXPECT_EQ(0, consume_until(self, ot_head(&self->s)));
	EXPECT_INTACT(self);
}

/* What the stall left in the card does not come out in the next acquisition. */
TEST_F(fault, next_acquisition_after_a_stop_in_a_stall_is_whole)
{
	ASSERT_EQ(0, start(self));
	ASSERT_LE(8 * BLOCK, ot_wait_head(&self->s, 8 * BLOCK, LONG_MS));
	ASSERT_EQ(0, ot_lab("stall"));
	ot_sleep_ms(200);
	ot_simple(self->ctl, ONI_IOC_STOP);
	ASSERT_EQ(0, ot_lab("resume"));
	ot_sleep_ms(100);
	if (state(self->ctl) == ONI_STATE_FAULT) {
		EXPECT_EQ(-EIO, start(self));
		ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_RESET));
	}
	ASSERT_EQ(0, start(self));
	ot_parser_restart(&self->p);
	EXPECT_EQ(0, consume_until(self, 2 * RING));
	EXPECT_INTACT(self);
	EXPECT_GT(OT_CLK_HZ / 4, ot_parser_device(&self->p, OT_LOAD_TEST)->first_clock);
}

TEST_F(fault, closing_the_stream_ends_in_bounded_time_during_a_stall)
{
	uint64_t begin;

	ASSERT_EQ(0, start(self));
	ASSERT_LE(8 * BLOCK, ot_wait_head(&self->s, 8 * BLOCK, LONG_MS));
	ASSERT_EQ(0, ot_lab("stall"));
	ot_sleep_ms(100);
	begin = ot_now_ns();
	close(self->s.fd);
	self->s.fd = -1;
	EXPECT_GT(BOUND_MS * 1000000ULL, ot_now_ns() - begin);
	EXPECT_NE(ONI_STATE_RUNNING, state(self->ctl));
}

/* The write channel is stuck: an error in bounded time, and a reset cures it. */
TEST_F(fault, write_frame_during_a_stall_is_etimedout)
{
	const uint32_t frame[] = { OT_DIGITAL_IO, 1, 0x5a };
	uint64_t begin = ot_now_ns();

	ASSERT_EQ(0, ot_lab("stall"));
	EXPECT_EQ(-1, write(self->ctl, frame, sizeof(frame)));
	EXPECT_EQ(ETIMEDOUT, errno);
	EXPECT_GT(BOUND_MS * 1000000ULL, ot_now_ns() - begin);
	ASSERT_EQ(0, ot_lab("resume"));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_RESET));
	EXPECT_EQ(12, write(self->ctl, frame, sizeof(frame)));
}

/* --- the write path has a lock of its own ---------------------------------------------- */

/* The access waits 2 s for an answer; a frame is out long before that. */
TEST_F(fault, write_frame_does_not_wait_for_an_unanswered_access)
{
	const uint32_t frame[] = { OT_DIGITAL_IO, 1, 0x5a };
	struct ot_waiter w;
	unsigned int sent = 0;

	ASSERT_EQ(0, ot_lab("fault mute 1"));
	ASSERT_EQ(0, ot_wait_start(&w, OT_WAIT_REG, self->ctl, 0));
	ot_sleep_ms(100);
	while (!w.done && write(self->ctl, frame, sizeof(frame)) == sizeof(frame))
		sent++;
	EXPECT_LE(3, sent);
	ASSERT_TRUE(ot_wait_done(&w, BOUND_MS));
	EXPECT_EQ(-ETIMEDOUT, w.result);
}

static void *write_one(void *arg)
{
	const uint32_t frame[] = { OT_DIGITAL_IO, 1, 0x5a };
	struct ot_waiter *w = arg;

	w->result = write(w->fd, frame, sizeof(frame)) < 0 ? -errno : 0;
	w->done = true;
	return NULL;
}

/* A second one that must not wait says so; the first ends in its time. */
TEST_F(fault, nonblocking_write_behind_another_is_eagain)
{
	const uint32_t frame[] = { OT_DIGITAL_IO, 1, 0x5a };
	struct ot_waiter w = { .fd = self->ctl };
	uint64_t begin;

	ASSERT_EQ(0, ot_lab("stall"));
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, write_one, &w));
	ot_sleep_ms(200);
	EXPECT_FALSE(w.done);
	ASSERT_EQ(0, fcntl(self->ctl, F_SETFL, O_NONBLOCK));
	begin = ot_now_ns();
	EXPECT_EQ(-1, write(self->ctl, frame, sizeof(frame)));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_GT(1000000000ULL, ot_now_ns() - begin);
	EXPECT_FALSE(w.done);
	ASSERT_EQ(0, fcntl(self->ctl, F_SETFL, 0));
	ASSERT_TRUE(ot_wait_done(&w, BOUND_MS));
	EXPECT_EQ(-ETIMEDOUT, w.result);
}

/* Whoever gives the controller up does so after his write, not in the middle. */
TEST_F(fault, release_waits_for_a_write_under_way)
{
	struct ot_waiter w = { .fd = self->ctl };

	ASSERT_EQ(0, ot_lab("stall"));
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, write_one, &w));
	ot_sleep_ms(200);
	EXPECT_FALSE(w.done);
	ASSERT_EQ(0, ot_lab("resume"));
	EXPECT_EQ(0, ot_simple(self->ctl, ONI_IOC_RELEASE));
	ASSERT_TRUE(ot_wait_done(&w, BOUND_MS));
	EXPECT_EQ(0, w.result);
	EXPECT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
}

TEST_HARNESS_MAIN
