// SPDX-License-Identifier: MIT
/*
 * oni_follow - acquire, through everything that befalls the controller.
 *
 *   oni_follow [-p] [-t SECONDS] [-n ENDS] [-q]
 *
 * Acquires until the acquisition ends for whatever reason, then begins another
 * one: on the same files if the controller is still there, after a reset if its
 * link failed, on a new node if it is gone. -p powers port A for a headstage-64
 * first, which brings stimulators. Ends after SECONDS, after ENDS acquisitions,
 * or at SIGTERM, with a stop of its own.
 *
 * One JSON object a line: "start" when data flow, "end" with what was read and
 * how it ended, "bye" at last; -q leaves out "start". An acquisition is "ok" if
 * every published byte was read once, all of them parse as frames, and no frame
 * of the load tester is missing between the first and the last one (Rhythm, on
 * a board that has no load tester). Exit status 0 if all were.
 *
 * Contract used: include/uapi/linux/oni.h. One thread; owns the controller.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "oni_layout.h"
#include "oni_leave.h"

#define RESTART_MS	30000
#define BUF_BYTES	65536

struct options {
	bool port, quiet;
	unsigned int seconds, ends;
};

struct follow {
	struct options opt;
	int fd;
	struct ot_stream s;
	struct ot_parser *p;
	uint8_t *buf;
	uint64_t deadline;		/* 0: none */
	uint64_t bytes, frames;		/* of all acquisitions */
	unsigned int ends, bad;
};

static volatile sig_atomic_t quit;

static void on_term(int sig)
{
	(void)sig;
	quit = 1;
}

static bool over(const struct follow *f)
{
	return quit || (f->deadline && ot_now_ns() >= f->deadline) ||
	       (f->opt.ends && f->ends >= f->opt.ends);
}

static int fail(const char *what, int ret)
{
	fprintf(stderr, "oni_follow: %s: %s\n", what, strerror(-ret));
	return ret;
}

static void leave(struct follow *f)
{
	ot_stream_unmap(&f->s);
	if (f->s.fd >= 0)
		close(f->s.fd);
	if (f->fd >= 0)
		close(f->fd);
	f->s.fd = -1;
	f->fd = -1;
}

/* A device whose frames tell if one is missing; ends with a reset. */
static int feed(int fd)
{
	int ret = ot_load_test(fd, 100, OT_LT_HZ);

	return ret == -ENOENT ? ot_rhythm(fd, true) : ret;
}

/* The files of a new life. It may end again at any of these steps: -ENODEV. */
static int enter(struct follow *f)
{
	struct oni_port_power port;
	int ret;

	f->fd = ot_open_within(OT_REPLUG_MS);
	if (f->fd < 0)
		return fail("no controller", -ENXIO);
	ret = ot_simple(f->fd, ONI_IOC_CLAIM);
	if (ret)
		return fail("CLAIM", ret);
	if (f->opt.port)
		ret = ot_port(f->fd, &port, OT_PORT_A, ONI_HUB_HS64, 60);
	if (ret)
		return fail("PORT_POWER", ret);
	ret = feed(f->fd);
	if (ret)
		return fail("load tester or Rhythm", ret);
	f->s.fd = ot_stream_create(f->fd, OT_RING, OT_BLOCK, 0, 20000);
	if (f->s.fd < 0)
		return fail("STREAM_CREATE", f->s.fd);
	ret = ot_stream_map(f->s.fd, &f->s);
	return ret ? fail("mmap", ret) : 0;
}

/* On files that exist. A link in error wants a reset first. */
static int begin(struct follow *f)
{
	uint64_t end = ot_now_ns() + RESTART_MS * 1000000ULL;
	struct oni_info info;
	int ret;

	for (;;) {
		ret = ot_info(f->fd, &info);
		if (!ret && info.state == ONI_STATE_FAULT)
			ret = ot_simple(f->fd, ONI_IOC_RESET);
		if (!ret)
			ret = ot_parser_init(f->p, f->fd, OT_LT_STEP);
		if (!ret)
			ret = ot_simple(f->fd, ONI_IOC_START);
		if (!ret || ret == -ENODEV || over(f) || ot_now_ns() > end)
			return ret;
		ot_sleep_ms(100);
	}
}

/* Read until there is an end: 0, or -errno. */
static long acquire(struct follow *f, uint64_t *bytes)
{
	bool told = f->opt.quiet, stopped = false;
	long n;

	for (;;) {
		if (!stopped && over(f)) {
			ot_simple(f->fd, ONI_IOC_STOP);
			stopped = true;
		}
		if (ot_poll(f->s.fd, POLLIN, 200) <= 0)
			continue;
		n = ot_read(f->s.fd, f->buf, BUF_BYTES);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n;
		*bytes += n;
		ot_parser_feed(f->p, f->buf, n);
		if (!told && f->p->frames) {
			printf("{\"event\": \"start\", \"node\": \"%s\", \"frames\": %llu}\n",
			       ot_path(), (unsigned long long)f->p->frames);
			told = true;
		}
	}
}

static void report(struct follow *f, uint64_t bytes, long result)
{
	const struct ot_device_count *lt = ot_parser_device(f->p, OT_LOAD_TEST) ?:
					   ot_parser_device(f->p, OT_RHYTHM);
	uint64_t head = ot_head(&f->s), gaps = lt ? lt->gaps : 0;
	bool ok = !f->p->error && !f->p->bad_words && !gaps && bytes == head &&
		  f->s.prod->magic == ONI_RING_MAGIC;

	printf("{\"event\": \"end\", \"node\": \"%s\", \"result\": %ld, \"flags\": %u, "
	       "\"ring_error\": %u, \"head\": %llu, \"bytes\": %llu, \"frames\": %llu, "
	       "\"load_test\": %llu, \"gaps\": %llu, \"bad_words\": %llu, "
	       "\"error\": \"%s\", \"ok\": %s}\n",
	       ot_path(), -result, f->s.prod->flags, f->s.prod->error,
	       (unsigned long long)head, (unsigned long long)bytes,
	       (unsigned long long)f->p->frames,
	       (unsigned long long)(lt ? lt->frames : 0), (unsigned long long)gaps,
	       (unsigned long long)f->p->bad_words, f->p->error ? f->p->error : "",
	       ok ? "true" : "false");
	f->bytes += bytes;
	f->frames += f->p->frames;
	f->ends++;
	f->bad += !ok;
}

static int follow(struct follow *f)
{
	uint64_t bytes;
	long result;
	int ret = 0;

	while (!over(f)) {
		if (f->fd < 0)
			ret = enter(f);
		if (!ret)
			ret = begin(f);
		if (ret == -ENODEV) {
			leave(f);
			ret = 0;
			continue;
		}
		if (ret)
			return over(f) ? 0 : fail("START", ret);
		bytes = 0;
		result = acquire(f, &bytes);
		report(f, bytes, result);
		if (result == -ENODEV)
			leave(f);
	}
	leave(f);
	return 0;
}

int main(int argc, char **argv)
{
	struct follow f = { .fd = -1, .s.fd = -1 };
	int opt, ret;

	while ((opt = getopt(argc, argv, "pqt:n:")) != -1) {
		switch (opt) {
		case 'p':
			f.opt.port = true;
			break;
		case 'q':
			f.opt.quiet = true;
			break;
		case 't':
			f.opt.seconds = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			f.opt.ends = strtoul(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr, "usage: oni_follow [-p] [-q] [-t SECONDS] [-n ENDS]\n");
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGTERM, on_term);
	f.p = malloc(sizeof(*f.p));
	f.buf = malloc(BUF_BYTES);
	if (!f.p || !f.buf)
		return 1;
	if (f.opt.seconds)
		f.deadline = ot_now_ns() + f.opt.seconds * 1000000000ULL;
	ret = follow(&f);
	printf("{\"event\": \"bye\", \"ends\": %u, \"bad\": %u, \"bytes\": %llu, \"frames\": %llu}\n",
	       f.ends, f.bad, (unsigned long long)f.bytes, (unsigned long long)f.frames);
	free(f.buf);
	free(f.p);
	return ret || f.bad;
}
