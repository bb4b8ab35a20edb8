// SPDX-License-Identifier: MIT
/* unit-sources: userspace/lib/[!f]*.c userspace/lib/frame.c */
/* unit-libs: -ludev -lm -Wl,--wrap=ioctl -Wl,--wrap=poll */
/*
 * Streams without a driver: a memfd stands for the stream descriptor, ioctl() and
 * poll() are answered here. What a waiter is told in each state of the ring, that a
 * refused descriptor stays with its owner, and that poll() without news is no
 * busy loop.
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

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	struct oni_stream_info *info = arg;

	assert_int_equal(fd, t.fd);
	if (t.ioctl_errno) {
		errno = t.ioctl_errno;
		return -1;
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
