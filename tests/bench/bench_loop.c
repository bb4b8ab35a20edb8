// SPDX-License-Identifier: MIT
/*
 * bench_loop - the closed loop: a block arrives, a program sees it and answers
 * with a write frame.
 *
 *   bench_loop -m epoll|spin [-b BLOCK] [-f HZ] [-n EVENTS] [-L LATENCY_US]
 *
 * One load tester frame fills a block. epoll: sleep in epoll_wait(2); spin:
 * look at the head until it moves. The answer carries the hub clock of the
 * frame, so the load tester's next frame tells how long the way was in the
 * card's time.
 *
 * Marks (mark.h) at every event let the plugin count the instructions of each
 * leg. Prints one JSON object with a line of numbers per event. One thread.
 * Contract used: linux/oni.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench_guest.h"
#include "mark.h"
#include "oni_test.h"

#define SKIP		50
#define RING		(256U * 1024)
#define EVENTS_MAX	100000U

struct event {
	uint64_t irq_ns, seen_ns, sent_ns;
	uint32_t blocks;	/* that were seen at once */
	uint64_t loop_clocks;	/* of the last answer that the card has got */
};

struct loop {
	int fd, ep;
	struct ot_stream s;
	uint64_t pos;			/* of the first frame not parsed */
	uint64_t seen;			/* head at the last look */
	bool spin;
	uint64_t load_frames, sent;
	uint64_t hub_clock, loop_clocks;
};

static void wait_for_data(struct loop *l)
{
	struct epoll_event ev;
	uint64_t end;
	int n;

	if (!l->spin) {
		n = epoll_wait(l->ep, &ev, 1, 10000);
		if (n <= 0)
			bench_die("epoll_wait", n < 0 ? -errno : -ETIMEDOUT);
		return;
	}
	for (end = 0; ot_head(&l->s) == l->seen; end++)
		if (end == UINT32_MAX)
			bench_die("no data", -ETIMEDOUT);
}

/* Remember the last load tester frame up to @head. */
static void parse(struct loop *l, uint64_t head)
{
	uint64_t mask = l->s.info.data_bytes - 1, v;

	while (l->pos + BENCH_HEADER <= head) {
		const uint8_t *frame = l->s.data + (l->pos & mask);
		uint32_t len = bench_frame_bytes(frame);

		if (l->pos + len > head)
			break;
		if (bench_frame_addr(frame) == OT_LOAD_TEST) {
			memcpy(&v, frame + BENCH_HEADER, sizeof(v));
			l->hub_clock = v;
			memcpy(&v, frame + BENCH_HEADER + 8, sizeof(v));
			l->loop_clocks = v;
			l->load_frames++;
		}
		l->pos += len;
	}
}

static uint64_t block_time(const struct ot_stream *s, uint64_t index)
{
	return s->desc[index & (s->info.desc_count - 1)].mono_ns;
}

static void answer(struct loop *l)
{
	uint32_t frame[4] = { OT_LOAD_TEST, 2, l->hub_clock, l->hub_clock >> 32 };
	ssize_t n = write(l->fd, frame, sizeof(frame));

	if (n != sizeof(frame))
		bench_die("write", n < 0 ? -errno : -EIO);
	l->sent++;
}

static void one_event(struct loop *l, struct event *e)
{
	uint64_t before = l->s.prod->desc_head, head, last;

	wait_for_data(l);
	head = ot_head(&l->s);
	BENCH_MARK(MARK_SEEN);
	l->seen = head;
	e->seen_ns = ot_now_ns();
	last = l->s.prod->desc_head;
	e->blocks = last - before;
	e->irq_ns = block_time(&l->s, last - 1);
	parse(l, head);
	ot_set_tail(&l->s, l->pos);
	e->loop_clocks = l->loop_clocks;
	BENCH_MARK(MARK_SEND);
	answer(l);
	BENCH_MARK(MARK_SENT);
	e->sent_ns = ot_now_ns();
}

static void start(struct loop *l, uint32_t block, uint32_t hz, uint32_t latency_us)
{
	/* Header, hub clock, delta and words fill the block. */
	uint32_t words = (block - BENCH_HEADER - 16) / 2;
	struct epoll_event ev = { .events = EPOLLIN };

	l->fd = bench_must(ot_path(), ot_open(O_RDWR));
	bench_must("CLAIM", ot_simple(l->fd, ONI_IOC_CLAIM));
	bench_must("load tester", ot_load_test(l->fd, words, hz));
	l->s.fd = bench_must("STREAM_CREATE",
			     ot_stream_create(l->fd, RING, block, block, latency_us));
	bench_must("mapping the stream", ot_stream_map(l->s.fd, &l->s));
	/* An epoll set is a waiter even when nobody waits for it. */
	if (!l->spin) {
		l->ep = epoll_create1(EPOLL_CLOEXEC);
		if (l->ep < 0 || epoll_ctl(l->ep, EPOLL_CTL_ADD, l->s.fd, &ev))
			bench_die("epoll", -errno);
	}
	bench_must("START", ot_simple(l->fd, ONI_IOC_START));
}

/* The last frames, so that every one is counted. */
static void stop(struct loop *l)
{
	bench_must("STOP", ot_simple(l->fd, ONI_IOC_STOP));
	parse(l, ot_head(&l->s));
	ot_set_tail(&l->s, l->pos);
	if (l->s.prod->error)
		bench_die("the stream ended with an error", -(int)l->s.prod->error);
}

static void report(const struct loop *l, const struct event *e, uint32_t n, uint32_t block,
		   uint64_t interrupts)
{
	uint32_t i;

	printf("{\"block_bytes\": %u, \"load_frames\": %llu, \"sent\": %llu, \"position\": %llu, "
	       "\"interrupts\": %llu, \"events\": [", block, (unsigned long long)l->load_frames,
	       (unsigned long long)l->sent, (unsigned long long)l->pos,
	       (unsigned long long)interrupts);
	for (i = 0; i < n; i++)
		printf("%s[%llu, %llu, %llu, %u, %llu]", i ? ", " : "",
		       (unsigned long long)e[i].irq_ns, (unsigned long long)e[i].seen_ns,
		       (unsigned long long)e[i].sent_ns, e[i].blocks,
		       (unsigned long long)e[i].loop_clocks);
	printf("]}\n");
}

static void usage(void)
{
	fprintf(stderr, "usage: bench_loop -m epoll|spin [-b BLOCK] [-f HZ] [-n EVENTS] "
		"[-L LATENCY_US]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	uint32_t block = 256, hz = 500, n = 1000, latency_us = 1, i;
	struct oni_stats before, after;
	struct event *e, unused;
	struct loop l = { .fd = -1 };
	const char *mode = "";
	int opt;

	while ((opt = getopt(argc, argv, "m:b:f:n:L:")) != -1) {
		switch (opt) {
		case 'm':
			mode = optarg;
			break;
		case 'b':
			block = bench_number(optarg);
			break;
		case 'f':
			hz = bench_number(optarg);
			break;
		case 'n':
			n = bench_number(optarg);
			break;
		case 'L':
			latency_us = bench_number(optarg);
			break;
		default:
			usage();
		}
	}
	l.spin = !strcmp(mode, "spin");
	if ((!l.spin && strcmp(mode, "epoll")) || optind != argc || !hz || !n ||
	    n > EVENTS_MAX || block < 64 || block % 4)
		usage();
	e = calloc(n, sizeof(*e));
	if (!e)
		bench_die("memory", -ENOMEM);
	start(&l, block, hz, latency_us);
	for (i = 0; i < SKIP; i++)
		one_event(&l, &unused);
	bench_must("STATS", ot_stats(l.fd, &before));
	BENCH_MARK(MARK_BEGIN);
	for (i = 0; i < n; i++)
		one_event(&l, &e[i]);
	BENCH_MARK(MARK_END);
	bench_must("STATS", ot_stats(l.fd, &after));
	stop(&l);
	report(&l, e, n, block, after.interrupts - before.interrupts);
	return 0;
}
