// SPDX-License-Identifier: MIT
/*
 * epoll.c - several controllers in one loop.
 *
 * Where somebody streams already, a monitor is made, which disturbs nobody; elsewhere
 * a stream of one's own, which is started. Both are read in the same way. A monitor
 * that was too slow gets EOVERFLOW once per loss and then goes on; ONI_IOC_MONITOR_STAT
 * tells how many bytes it missed.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "example.h"

struct source {
	const char *node;
	int ctl, fd, monitor, ended;
	uint64_t bytes;
};

static void source_open(struct source *s, const char *node)
{
	struct oni_monitor_create mc = { .size = sizeof(mc), .latency_us = 20000 };

	s->node = node;
	s->ctl = open(node, O_RDWR | O_CLOEXEC);
	if (s->ctl < 0)
		die(node);
	s->monitor = ioctl(s->ctl, ONI_IOC_MONITOR_CREATE, &mc) == 0;
	s->fd = mc.fd;
	if (!s->monitor && errno == ENODATA)
		s->fd = stream_create(s->ctl, 32768, 20000);
	else if (!s->monitor)
		die(node);
	if (s->fd < 0 || fcntl(s->fd, F_SETFL, O_NONBLOCK) < 0 ||
	    (!s->monitor && simple(s->ctl, ONI_IOC_START) < 0))
		die(node);
}

static void source_read(struct source *s)
{
	static uint8_t buf[65536];
	ssize_t n;

	while ((n = read(s->fd, buf, sizeof(buf))) > 0 || (n < 0 && errno == EOVERFLOW))
		s->bytes += n > 0 ? (uint64_t)n : 0;
	if (n < 0 && errno != EAGAIN)
		die(s->node);
	s->ended = !n;
}

static void source_report(const struct source *s)
{
	struct oni_monitor_stat st = { .size = sizeof(st) };

	if (s->monitor && ioctl(s->fd, ONI_IOC_MONITOR_STAT, &st) < 0)
		die("MONITOR_STAT");
	printf("epoll: %s: %s, %llu bytes, %llu lost\n", s->node,
	       s->monitor ? "monitor" : "stream", (unsigned long long)s->bytes,
	       (unsigned long long)st.lost_bytes);
}

int main(int argc, char **argv)
{
	struct source src[16] = { 0 };
	struct epoll_event ev = { .events = EPOLLIN };
	double seconds = 2, end;
	int i, n, ep;

	i = options(argc, argv, "NODE...", "Read several controllers, running or not, with epoll.",
		    &seconds);
	n = argc - i;
	if (n < 1 || n > 16) {
		fprintf(stderr, "epoll: name 1 to 16 nodes, for example /dev/oni0 /dev/oni1\n");
		return 2;
	}
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (int k = 0; k < n; k++) {
		source_open(&src[k], argv[i + k]);
		ev.data.ptr = &src[k];
		if (epoll_ctl(ep, EPOLL_CTL_ADD, src[k].fd, &ev) < 0)
			die("epoll_ctl");
	}
	for (end = now() + seconds; now() < end;) {
		if (epoll_wait(ep, &ev, 1, 100) != 1)
			continue;
		source_read(ev.data.ptr);
		/* An ended source stays readable: take it out, or the loop spins. */
		if (((struct source *)ev.data.ptr)->ended)
			epoll_ctl(ep, EPOLL_CTL_DEL, ((struct source *)ev.data.ptr)->fd, NULL);
	}
	for (int k = 0; k < n; k++)
		source_report(&src[k]);
	return 0;
}
