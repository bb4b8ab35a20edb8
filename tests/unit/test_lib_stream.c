// SPDX-License-Identifier: MIT
/* unit-sources: userspace/lib/[!f]*.c userspace/lib/frame.c */
/* unit-sources: userspace/lib/usb/[a-z]*.c driver/oni_cobs.c driver/oni_ft600_parse.c driver/oni_guard.c driver/oni_table.c */
/* unit-libs: -ludev -lusb-1.0 -lm -Wl,--wrap=ioctl -Wl,--wrap=poll */
/*
 * Streams without a driver: a memfd stands for the stream descriptor, ioctl() and
 * poll() are answered here. What a waiter is told in each state of the ring, that a
 * refused descriptor stays with its owner, and that poll() without news is no
 * busy loop. What monitors and register batches ask of the kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "onidev.h"

#define PAGE	4096u
#define RING	65536u
#define DESCS	128u

/* Layout of the memfd: producer, consumer, descriptors, the ring (twice as long). */
#define OFF_CONS	PAGE
#define OFF_DESC	(2 * PAGE)
#define OFF_DATA	(3 * PAGE)
#define TOTAL		(OFF_DATA + 2 * RING)

static struct {
	int fd;
	uint8_t *mem;
	struct oni_ring_producer *prod;
	struct onidev_stream *stream;
	struct onidev_table *table;
	int ioctl_errno;	/* what STREAM_INFO fails with; 0: it works */
	int monitor;		/* the descriptor is one of a monitor */
	struct oni_monitor_create create;
	struct oni_reg_batch batch;	/* as it was asked for */
	struct oni_reg_op ops[8];
	uint32_t nack;		/* register whose access fails; 0: none */
	unsigned int calls;	/* ioctls on the controller, but INFO */
	struct oni_stream_wake wake;
	unsigned int polls;
	int poll_result;	/* -1: fail with poll_errno */
	int poll_errno;
	short revents;
	int poll_timeout;	/* of the last poll() */
	uint64_t publish;	/* head to set during poll(); 0: none */
} t;

int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);

/* Registers hold their own number and 1000 more. */
static int answer_batch(struct oni_reg_batch *b)
{
	struct oni_reg_op *ops = (struct oni_reg_op *)(uintptr_t)b->ops;

	t.batch = *b;
	memcpy(t.ops, ops, (b->count < 8 ? b->count : 8) * sizeof(*ops));
	for (b->done = 0; b->done < b->count;) {
		struct oni_reg_op *op = &ops[b->done++];

		op->result = t.nack && op->reg_addr == t.nack ? -EREMOTEIO : 0;
		if (op->result) {
			errno = EREMOTEIO;
			return -1;
		}
		if (!(op->flags & ONI_REG_OP_WRITE))
			op->value = op->reg_addr + 1000;
	}
	return 0;
}

/* What is asked of the controller; its descriptor is /dev/null. */
static int answer_controller(unsigned long request, void *arg)
{
	if (request == ONI_IOC_INFO)
		return 0;
	t.calls++;
	if (t.ioctl_errno) {
		errno = t.ioctl_errno;
		return -1;
	}
	if (request == ONI_IOC_REG_BATCH)
		return answer_batch(arg);
	assert_int_equal(request, ONI_IOC_MONITOR_CREATE);
	t.create = *(struct oni_monitor_create *)arg;
	((struct oni_monitor_create *)arg)->fd = t.fd;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	struct oni_stream_info *info = arg;

	if (fd != t.fd)
		return answer_controller(request, arg);
	if (t.ioctl_errno) {
		errno = t.ioctl_errno;
		return -1;
	}
	if (request == ONI_IOC_MONITOR_STAT) {
		errno = ENOTTY;
		return t.monitor ? 0 : -1;
	}
	if (request == ONI_IOC_STREAM_WAKE) {
		memcpy(&t.wake, arg, sizeof(t.wake));
		return 0;
	}
	assert_int_equal(request, ONI_IOC_STREAM_INFO);
	assert_int_equal(info->size, sizeof(*info));
	assert_int_equal(info->flags, 0);
	*info = (struct oni_stream_info){
		.size = sizeof(*info), .producer_bytes = PAGE, .consumer_offset = OFF_CONS,
		.consumer_bytes = PAGE, .data_offset = OFF_DATA, .data_bytes = RING,
		.desc_offset = OFF_DESC, .desc_bytes = PAGE, .block_bytes = PAGE,
		.desc_count = DESCS,
		.watermark_bytes = t.wake.watermark_bytes ? t.wake.watermark_bytes : PAGE,
		.latency_us = t.wake.latency_us,
	};
	return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	assert_int_equal(n, 1);
	t.polls++;
	t.poll_timeout = timeout;
	fds->revents = t.revents;
	if (t.publish)
		__atomic_store_n(&t.prod->head, t.publish, __ATOMIC_RELEASE);
	if (t.poll_result < 0)
		errno = t.poll_errno;
	return t.poll_result;
}

static int setup(void **state)
{
	static const struct oni_device rows[] = {
		{ .addr = 0, .id = ONIDEV_ID_PERSISTENT_HEARTBEAT, .read_size = 8 },
	};

	(void)state;
	memset(&t, 0, sizeof(t));
	t.fd = memfd_create("stream", MFD_CLOEXEC);
	assert_int_equal(ftruncate(t.fd, TOTAL), 0);
	t.mem = mmap(NULL, TOTAL, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	assert_ptr_not_equal(t.mem, MAP_FAILED);
	t.prod = (struct oni_ring_producer *)t.mem;
	t.prod->magic = ONI_RING_MAGIC;
	t.prod->data_bytes = RING;
	t.prod->desc_count = DESCS;
	t.prod->generation = 1;
	t.prod->flags = ONI_RING_RUNNING;
	t.table = onidev_table_new(rows, 1, 1);
	t.stream = onidev_stream_from_fd(t.fd);
	assert_non_null(t.stream);
	return onidev_stream_set_table(t.stream, t.table);
}

static int teardown(void **state)
{
	(void)state;
	onidev_stream_free(t.stream);
	assert_int_equal(fcntl(t.fd, F_GETFD), -1);
	onidev_table_free(t.table);
	munmap(t.mem, TOTAL);
	return 0;
}

/* Heartbeats up to byte @end of the ring. */
static void fill(uint64_t end)
{
	uint64_t beat = 1, at;

	for (at = 0; at + 24 <= end; at += 24)
		onidev_frame_build(t.mem + OFF_DATA + at, 24, at, 0, &beat, 8);
}

static unsigned int read_all(void)
{
	struct onidev_frame f;
	unsigned int n = 0;

	while (onidev_frame_next(t.stream, &f) == 1)
		n++;
	return n;
}

static void test_refused_fd_stays_open(void **state)
{
	int other = fcntl(t.fd, F_DUPFD_CLOEXEC, 0), saved = t.fd;

	(void)state;
	t.fd = other;
	t.ioctl_errno = ENOTTY;
	assert_null(onidev_stream_from_fd(other));
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(fcntl(other, F_GETFD), FD_CLOEXEC);
	t.ioctl_errno = 0;
	t.prod->magic = 0;
	assert_null(onidev_stream_from_fd(other));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(close(other), 0);
	t.fd = saved;
}

static void test_watermark_without_a_call(void **state)
{
	(void)state;
	fill(2 * PAGE);
	t.prod->head = PAGE;
	assert_int_equal(onidev_stream_wait(t.stream, 1000), ONIDEV_WAIT_DATA);
	assert_int_equal(t.polls, 0);
	assert_int_equal(read_all(), PAGE / 24);
}

static void test_below_watermark_polls(void **state)
{
	(void)state;
	fill(2 * PAGE);
	t.prod->head = PAGE / 2;
	t.poll_result = 1;
	t.revents = POLLIN;
	assert_int_equal(onidev_stream_wait(t.stream, 1000), ONIDEV_WAIT_DATA);
	assert_int_equal(t.polls, 1);
	assert_int_equal(t.poll_timeout, 1000);
}

static void test_poll_wakes(void **state)
{
	(void)state;
	fill(2 * PAGE);
	t.poll_result = 1;
	t.revents = POLLIN;
	t.publish = 48;
	assert_int_equal(onidev_stream_wait(t.stream, -1), ONIDEV_WAIT_DATA);
	assert_int_equal(t.poll_timeout, -1);
	assert_int_equal(read_all(), 2);
}

static void test_timeout(void **state)
{
	(void)state;
	assert_int_equal(onidev_stream_wait(t.stream, 0), ONIDEV_WAIT_TIMEOUT);
	/* Less than the watermark is not nothing. */
	fill(PAGE);
	t.prod->head = 24;
	assert_int_equal(onidev_stream_wait(t.stream, 0), ONIDEV_WAIT_DATA);
}

/* Half a frame is there for good and poll() keeps saying IN: sleep, do not spin. */
static void test_no_busy_loop(void **state)
{
	(void)state;
	fill(PAGE);
	t.prod->head = 24 + 12;
	assert_int_equal(read_all(), 1);
	onidev_stream_release(t.stream);
	t.poll_result = 1;
	t.revents = POLLIN;
	assert_int_equal(onidev_stream_wait(t.stream, 50), ONIDEV_WAIT_TIMEOUT);
	assert_in_range(t.polls, 2, 150);
}

static void test_end(void **state)
{
	(void)state;
	fill(PAGE);
	t.prod->head = 24;
	t.prod->flags = ONI_RING_STOPPED;
	assert_int_equal(onidev_stream_wait(t.stream, -1), ONIDEV_WAIT_DATA);
	assert_int_equal(read_all(), 1);
	assert_int_equal(onidev_stream_wait(t.stream, -1), ONIDEV_WAIT_END);
	assert_int_equal(t.polls, 0);
}

static void expect_error(uint32_t flags, uint32_t error, int expected)
{
	t.prod->flags = flags;
	t.prod->error = error;
	errno = 0;
	assert_int_equal(onidev_stream_wait(t.stream, -1), -1);
	assert_int_equal(errno, expected);
}

static void test_errors_after_the_data(void **state)
{
	(void)state;
	fill(PAGE);
	t.prod->head = 24;
	t.prod->flags = ONI_RING_GONE;
	assert_int_equal(onidev_stream_wait(t.stream, -1), ONIDEV_WAIT_DATA);
	assert_int_equal(read_all(), 1);
	expect_error(ONI_RING_GONE, 0, ENODEV);
	expect_error(ONI_RING_ERROR, EIO, EIO);
	expect_error(ONI_RING_ERROR, EPROTO, EPROTO);
	expect_error(ONI_RING_ERROR, 0, EIO);
	assert_int_equal(t.polls, 0);
}

static void test_hangup_before_the_flag(void **state)
{
	(void)state;
	t.poll_result = 1;
	t.revents = POLLHUP | POLLERR;
	assert_int_equal(onidev_stream_wait(t.stream, -1), -1);
	assert_int_equal(errno, ENODEV);
	t.revents = POLLERR;
	assert_int_equal(onidev_stream_wait(t.stream, -1), -1);
	assert_int_equal(errno, EIO);
}

static void test_signal(void **state)
{
	(void)state;
	t.poll_result = -1;
	t.poll_errno = EINTR;
	assert_int_equal(onidev_stream_wait(t.stream, -1), -1);
	assert_int_equal(errno, EINTR);
}

static void test_wake_rule(void **state)
{
	struct oni_stream_info info;

	(void)state;
	assert_int_equal(onidev_stream_wake(t.stream, 8192, 700), 0);
	assert_int_equal(t.wake.size, sizeof(t.wake));
	assert_int_equal(t.wake.flags, 0);
	assert_int_equal(onidev_stream_info(t.stream, &info), 0);
	assert_int_equal(info.watermark_bytes, 8192);
	assert_int_equal(info.latency_us, 700);
	t.ioctl_errno = EINVAL;
	assert_int_equal(onidev_stream_wake(t.stream, RING, 0), -1);
	assert_int_equal(errno, EINVAL);
}

static void test_desync_sentence(void **state)
{
	struct onidev_frame f;
	char text[200];

	(void)state;
	memset(t.mem + OFF_DATA, 0xa5, 64);
	t.prod->head = 64;
	assert_int_equal(onidev_frame_next(t.stream, &f), -1);
	assert_int_equal(errno, EPROTO);
	assert_true(onidev_stream_desync(t.stream, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "byte 0 of the stream"));
	assert_non_null(strstr(text, "0xa5a5a5a5"));
}

/* --- monitors and batches ------------------------------------------------------------- */

static struct onidev_controller *controller(void)
{
	struct onidev_controller *ctl = onidev_controller_open("/dev/null", ONIDEV_OPEN_RDONLY);

	assert_non_null(ctl);
	return ctl;
}

static void test_monitor_create(void **state)
{
	static const struct onidev_stream_config config = { .watermark_bytes = 8192,
							    .latency_us = 300 };
	struct onidev_controller *ctl = controller();
	int other = fcntl(t.fd, F_DUPFD_CLOEXEC, 0);
	struct onidev_stream_status s;
	struct onidev_frame f;
	uint64_t at;

	(void)state;
	assert_int_equal(onidev_stream_is_monitor(t.stream), 0);
	onidev_stream_free(t.stream);
	t.fd = other;
	t.monitor = 1;
	t.stream = onidev_monitor_create(ctl, &config);
	assert_non_null(t.stream);
	onidev_controller_close(ctl);
	assert_int_equal(t.create.size, sizeof(t.create));
	assert_int_equal(t.create.flags, 0);
	assert_int_equal(t.create.watermark_bytes, 8192);
	assert_int_equal(t.create.latency_us, 300);
	assert_int_equal(onidev_stream_is_monitor(t.stream), 1);
	assert_int_equal(onidev_stream_set_table(t.stream, t.table), 0);
	/* A copy, whose buffer grows with the table. */
	fill(48);
	t.prod->head = 48;
	t.prod->claim = 48;
	assert_int_equal(onidev_frame_next(t.stream, &f), 1);
	assert_false((const uint8_t *)f.sample >= t.mem && (const uint8_t *)f.sample < t.mem + TOTAL);
	t.prod->claim = 24 + RING + 4;
	assert_int_equal(onidev_frame_next(t.stream, &f), -1);
	assert_int_equal(errno, EOVERFLOW);
	assert_int_equal(onidev_stream_lost(t.stream, &at), 24);
	assert_int_equal(at, 24);
	assert_int_equal(onidev_stream_lost(t.stream, NULL), 24);
	onidev_stream_status(t.stream, &s);
	assert_int_equal(s.lost_bytes, 24);
	assert_int_equal(s.lost_events, 1);
	assert_int_equal(onidev_stream_set_table(t.stream, t.table), 0);
}

static void test_monitor_create_refused(void **state)
{
	static const struct onidev_stream_config ring = { .ring_bytes = RING };
	static const struct onidev_stream_config block = { .block_bytes = PAGE };
	struct onidev_controller *ctl = controller();
	int saved = t.fd;

	(void)state;
	assert_null(onidev_monitor_create(ctl, &ring));
	assert_int_equal(errno, EINVAL);
	assert_null(onidev_monitor_create(ctl, &block));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(t.calls, 0);
	t.ioctl_errno = ENODATA;
	assert_null(onidev_monitor_create(ctl, NULL));
	assert_int_equal(errno, ENODATA);
	/* What the kernel made and cannot be used is closed again. */
	t.ioctl_errno = 0;
	t.prod->magic = 0;
	t.fd = fcntl(saved, F_DUPFD_CLOEXEC, 0);
	assert_null(onidev_monitor_create(ctl, NULL));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(fcntl(t.fd, F_GETFD), -1);
	t.fd = saved;
	onidev_controller_close(ctl);
}

static void test_batch(void **state)
{
	struct oni_reg_op ops[3] = {
		{ .dev_addr = 0x100, .reg_addr = 1 },
		{ .dev_addr = 0x101, .reg_addr = 2, .value = 7, .flags = ONI_REG_OP_WRITE },
		{ .dev_addr = 0x102, .reg_addr = 3 },
	};
	struct onidev_controller *ctl = controller();
	size_t done = 99;

	(void)state;
	assert_int_equal(onidev_reg_batch(ctl, ops, 3, &done), 0);
	assert_int_equal(done, 3);
	assert_int_equal(t.batch.size, sizeof(t.batch));
	assert_int_equal(t.batch.flags | t.batch.reserved, 0);
	assert_int_equal(t.batch.count, 3);
	assert_int_equal(t.batch.op_size, sizeof(ops[0]));
	assert_int_equal(t.ops[1].value, 7);
	assert_int_equal(ops[0].value, 1001);
	assert_int_equal(ops[2].value, 1003);
	/* The second fails: two were executed. */
	t.nack = 2;
	assert_int_equal(onidev_reg_batch(ctl, ops, 3, &done), -1);
	assert_int_equal(errno, EREMOTEIO);
	assert_int_equal(done, 2);
	assert_int_equal(ops[1].result, -EREMOTEIO);
	assert_int_equal(onidev_reg_batch(ctl, ops, 3, NULL), -1);
	onidev_controller_close(ctl);
}

/* One call is one batch: what does not fit is refused, not cut. */
static void test_batch_is_not_cut(void **state)
{
	static struct oni_reg_op ops[ONI_REG_BATCH_MAX + 1];
	struct onidev_controller *ctl = controller();
	size_t done = 99;

	(void)state;
	assert_int_equal(onidev_reg_batch(ctl, ops, ONI_REG_BATCH_MAX + 1, &done), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(done, 0);
	assert_int_equal(onidev_reg_batch(ctl, ops, (1ull << 32) + 1, &done), -1);
	assert_int_equal(t.calls, 0);
	assert_int_equal(onidev_reg_batch(ctl, ops, ONI_REG_BATCH_MAX, &done), 0);
	assert_int_equal(done, ONI_REG_BATCH_MAX);
	onidev_controller_close(ctl);
}

static void test_hub_in_one_call(void **state)
{
	struct onidev_controller *ctl = controller();
	struct onidev_hub hub;

	(void)state;
	assert_int_equal(onidev_hub_read(ctl, 1, &hub), 0);
	assert_int_equal(t.calls, 1);
	assert_int_equal(t.ops[4].dev_addr, 0x1fe);
	assert_int_equal(hub.hub, 1);
	assert_int_equal(hub.hardware_id, 1000);
	assert_int_equal(hub.hardware_revision, 1001);
	assert_int_equal(hub.firmware_version, 1002);
	assert_int_equal(hub.clock_hz, 1004);
	assert_int_equal(hub.latency_ns, 1005);
	t.nack = 4;
	assert_int_equal(onidev_hub_read(ctl, 1, &hub), -1);
	assert_int_equal(errno, EREMOTEIO);
	onidev_controller_close(ctl);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_refused_fd_stays_open),
		T(test_watermark_without_a_call),
		T(test_below_watermark_polls),
		T(test_poll_wakes),
		T(test_timeout),
		T(test_no_busy_loop),
		T(test_end),
		T(test_errors_after_the_data),
		T(test_hangup_before_the_flag),
		T(test_signal),
		T(test_wake_rule),
		T(test_desync_sentence),
		T(test_monitor_create),
		T(test_monitor_create_refused),
		T(test_batch),
		T(test_batch_is_not_cut),
		T(test_hub_in_one_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
