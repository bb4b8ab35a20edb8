// SPDX-License-Identifier: MIT
/*
 * poll.c - a stream of one's own: create, start, poll(2), read, stop, drain.
 *
 * poll wakes when a watermark of bytes is there or when the oldest byte has become
 * 20 ms old, whichever comes first. After the stop everything that the hardware had
 * still announced is in the ring, and a read of 0 says that it was all read.
 */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "example.h"

static uint8_t buf[65536];

/* Read until nothing is there. 1: the acquisition has ended and all was read. */
static int drain(int fd, struct frames *f)
{
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		frames_feed(f, buf, (size_t)n);
	if (n < 0 && errno != EAGAIN)
		die("read");
	return !n;
}

int main(int argc, char **argv)
{
	double seconds = 2, end;
	struct pollfd pfd = { .events = POLLIN };
	unsigned long long wakeups = 0;
	struct frames f = { 0 };
	const char *node;
	int ctl, i;

	i = options(argc, argv, "[NODE]", "Stream from NODE (/dev/oni0) with poll(2).", &seconds);
	node = i < argc ? argv[i] : "/dev/oni0";
	ctl = open(node, O_RDWR | O_CLOEXEC);
	if (ctl < 0)
		die(node);
	pfd.fd = stream_create(ctl, 32768, 20000);
	if (pfd.fd < 0)
		die("create the stream");
	if (fcntl(pfd.fd, F_SETFL, O_NONBLOCK) < 0 || simple(ctl, ONI_IOC_START) < 0)
		die("start");

	for (end = now() + seconds; now() < end;) {
		if (poll(&pfd, 1, 100) < 0 && errno != EINTR)
			die("poll");
		if (pfd.revents)
			wakeups++;
		if (pfd.revents && drain(pfd.fd, &f))
			break;
	}
	if (simple(ctl, ONI_IOC_STOP) < 0)
		die("stop");
	while (!drain(pfd.fd, &f))
		;
	printf("poll: %llu frames, %llu bytes, %llu wake-ups\n", (unsigned long long)f.frames,
	       (unsigned long long)f.bytes, wakeups);
	close(pfd.fd);
	close(ctl);
	return 0;
}
