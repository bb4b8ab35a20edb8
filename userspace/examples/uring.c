// SPDX-License-Identifier: MIT
/*
 * uring.c - wait for a stream with io_uring.
 *
 * A POLL_ADD request completes when the wake-up rule of the stream holds, beside
 * whatever else a program has in its ring (sockets, files). It is one-shot: after the
 * data were read it is queued again. The time limit is a request of the same ring.
 */
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <unistd.h>

#include "example.h"

enum { DATA = 1, TIME = 2 };

static void queue_poll(struct io_uring *ring, int fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_poll_add(sqe, fd, POLLIN);
	io_uring_sqe_set_data64(sqe, DATA);
}

static void queue_timeout(struct io_uring *ring, struct __kernel_timespec *ts)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_timeout(sqe, ts, 0, 0);
	io_uring_sqe_set_data64(sqe, TIME);
}

/* 0: the acquisition has ended and all was read. */
static int drain(int fd, struct frames *f)
{
	static uint8_t buf[65536];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		frames_feed(f, buf, (size_t)n);
	if (n < 0 && errno != EAGAIN)
		die("read");
	return n < 0;
}

int main(int argc, char **argv)
{
	struct __kernel_timespec ts;
	unsigned long long polls = 0;
	struct frames f = { 0 };
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	double seconds = 2;
	const char *node;
	int ctl, fd, i, going = 1;

	i = options(argc, argv, "[NODE]", "Stream from NODE (/dev/oni0), waiting with io_uring.",
		    &seconds);
	node = i < argc ? argv[i] : "/dev/oni0";
	ctl = open(node, O_RDWR | O_CLOEXEC);
	if (ctl < 0)
		die(node);
	fd = stream_create(ctl, 32768, 20000);
	if (fd < 0)
		die("create the stream");
	errno = -io_uring_queue_init(8, &ring, 0);
	if (errno)
		die("io_uring (is it switched off? see kernel.io_uring_disabled)");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || simple(ctl, ONI_IOC_START) < 0)
		die("start");

	ts = (struct __kernel_timespec){ .tv_sec = (long long)seconds,
					 .tv_nsec = (long long)(seconds * 1e9) % 1000000000 };
	queue_timeout(&ring, &ts);
	queue_poll(&ring, fd);
	while (going) {
		errno = 0;
		if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &cqe))
			continue;	/* a signal */
		if (io_uring_cqe_get_data64(cqe) == TIME) {
			going = 0;
		} else {
			polls++;
			going = drain(fd, &f);
			queue_poll(&ring, fd);
		}
		io_uring_cqe_seen(&ring, cqe);
	}
	if (simple(ctl, ONI_IOC_STOP) < 0)
		die("stop");
	while (drain(fd, &f))
		;
	io_uring_queue_exit(&ring);
	printf("uring: %llu frames, %llu bytes, %llu completions\n", (unsigned long long)f.frames,
	       (unsigned long long)f.bytes, polls);
	return 0;
}
