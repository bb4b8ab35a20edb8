// SPDX-License-Identifier: MIT
/*
 * read.c - the simplest reader: read(2) on /dev/oniN.
 *
 * The first read makes a stream with default sizes, claims the controller and starts
 * the acquisition; close ends what the read began. Nothing is lost in between: while
 * nobody reads, the ring fills, and when it is full the hardware waits.
 */
#include <fcntl.h>
#include <unistd.h>

#include "example.h"

int main(int argc, char **argv)
{
	static uint8_t buf[65536];
	struct frames f = { 0 };
	double seconds = 2, end;
	const char *node;
	ssize_t n;
	int fd, i;

	i = options(argc, argv, "[NODE]", "Read frames from NODE (/dev/oni0) with read(2).", &seconds);
	node = i < argc ? argv[i] : "/dev/oni0";
	fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(node);

	for (end = now() + seconds; now() < end;) {
		n = read(fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		/* EBUSY: another program streams. ENODEV: unplugged, and all was read. */
		if (n < 0)
			die("read");
		if (!n)
			break;
		frames_feed(&f, buf, (size_t)n);
	}
	close(fd);
	printf("read: %llu frames, %llu bytes\n", (unsigned long long)f.frames,
	       (unsigned long long)f.bytes);
	return 0;
}
