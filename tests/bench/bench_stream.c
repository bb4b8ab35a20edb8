// SPDX-License-Identifier: MIT
/*
 * bench_stream - read the load tester's data in one of four ways and write
 * down what the machine counted meanwhile.
 *
 *   bench_stream -m release|parse|read|ioctl [-b BLOCK] [-l WORDS] [-f HZ]
 *                [-r RING] [-w WATERMARK] [-s SKIP] [-n BLOCKS | -t SECONDS]
 *   bench_stream -m loop|copy
 *   bench_stream -m idle -t SECONDS
 *
 * release: sleep in poll(2), move the tail. What the kernel's part costs.
 * parse: the same, and look at every frame's header.
 * read: read(2) into a buffer.
 * ioctl: one blocking call per block on the test module altmod/, which is what
 *	drivers for such cards do; the controller is set up through it as well.
 * loop, copy: no card, work of known length, to check the counters with.
 * idle: nothing at all.
 *
 * The window of measurement begins after SKIP blocks and ends after BLOCKS
 * more or SECONDS. Prints one JSON object: counters at both ends, positions,
 * frames seen. Exit status 0 only if every byte was accounted for.
 *
 * One thread. Contracts used: linux/oni.h, altmod/oni_alt.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "altmod/oni_alt.h"
#include "bench_guest.h"
#include "mark.h"
#include "oni_test.h"

#define READ_BYTES	(1U << 20)
#define FRAME_MAX	(64U * 1024)

struct options {
	const char *mode;
	uint32_t block, words, hz, watermark;
	uint64_t ring, skip, blocks;
	unsigned int seconds;
};

/* Where the data come from; positions in bytes since the start. */
struct source {
	const char *irq;		/* name in /proc/interrupts */
	int fd;
	struct ot_stream s;
	uint8_t *buf;
	uint64_t pos;			/* released */
	uint64_t calls;			/* system calls of the loop */
	uint64_t load_frames, other_frames;
	bool parse;
	/* Sleep until there is something, take it all: 0 at the end. */
	int (*take)(struct source *src, const struct options *o);
};

/* --- the driver under test ------------------------------------------------ */

static void count_frames(struct source *src, uint64_t head)
{
	uint64_t mask = src->s.info.data_bytes - 1;
	uint64_t pos = src->pos;

	while (pos + BENCH_HEADER <= head) {
		const uint8_t *frame = src->s.data + (pos & mask);
		uint32_t len = bench_frame_bytes(frame);

		if (len > FRAME_MAX)
			bench_die("a frame's length makes no sense", -EPROTO);
		if (pos + len > head)
			break;
		if (bench_frame_addr(frame) == OT_LOAD_TEST)
			src->load_frames++;
		else
			src->other_frames++;
		pos += len;
	}
	src->pos = pos;
}

static int take_ring(struct source *src, const struct options *o)
{
	uint64_t head;

	(void)o;
	src->calls++;
	bench_must("poll", ot_poll(src->s.fd, POLLIN, 10000));
	head = ot_head(&src->s);
	if (src->s.prod->error)
		bench_die("the stream ended with an error", -(int)src->s.prod->error);
	if (head == src->pos)
		return 0;
	if (src->parse)
		count_frames(src, head);
	else
		src->pos = head;
	ot_set_tail(&src->s, src->pos);
	return 1;
}

static int take_read(struct source *src, const struct options *o)
{
	ssize_t n;

	(void)o;
	src->calls++;
	n = read(src->s.fd, src->buf, READ_BYTES);
	bench_must("read", n < 0 ? -errno : 0);
	src->pos += n;
	return n > 0;
}

static void open_driver(struct source *src, const struct options *o)
{
	uint32_t watermark = o->watermark ? o->watermark : o->ring / 4;

	src->irq = "oni_riffa";
	src->parse = !strcmp(o->mode, "parse");
	src->take = strcmp(o->mode, "read") ? take_ring : take_read;
	src->fd = bench_must(ot_path(), ot_open(O_RDWR));
	bench_must("CLAIM", ot_simple(src->fd, ONI_IOC_CLAIM));
	bench_must("load tester", ot_load_test(src->fd, o->words, o->hz));
	src->s.fd = bench_must("STREAM_CREATE",
			       ot_stream_create(src->fd, o->ring, o->block, watermark, 0));
	bench_must("mapping the stream", ot_stream_map(src->s.fd, &src->s));
	bench_must("START", ot_simple(src->fd, ONI_IOC_START));
}

/* What is still in the ring counts as well. Data may stop inside a frame. */
static void close_driver(struct source *src, const struct options *o)
{
	uint64_t head;
	int flags = fcntl(src->s.fd, F_GETFL);

	bench_must("STOP", ot_simple(src->fd, ONI_IOC_STOP));
	fcntl(src->s.fd, F_SETFL, flags | O_NONBLOCK);
	if (src->take == take_read) {
		while (src->take(src, o))
			;
	} else {
		head = ot_head(&src->s);
		if (src->parse)
			count_frames(src, head);
		else
			src->pos = head;
		ot_set_tail(&src->s, src->pos);
	}
	head = ot_head(&src->s);
	if (head - src->pos >= (src->parse ? FRAME_MAX : 1))
		bench_die("data left in the ring", -EIO);
	if (src->s.prod->error)
		bench_die("the stream ended with an error", -(int)src->s.prod->error);
}

/* --- one blocking call per block ------------------------------------------ */

static void alt_config(struct source *src, uint32_t reg, uint32_t value)
{
	struct oni_alt_config c = { .reg = reg, .value = value, .write = 1 };

	bench_must("ALT_CONFIG", ioctl(src->fd, ONI_ALT_CONFIG, &c) < 0 ? -errno : 0);
}

static uint32_t alt_config_read(struct source *src, uint32_t reg)
{
	struct oni_alt_config c = { .reg = reg };

	bench_must("ALT_CONFIG", ioctl(src->fd, ONI_ALT_CONFIG, &c) < 0 ? -errno : 0);
	return c.value;
}

static void alt_core_reset(struct source *src)
{
	bench_must("ALT_RESET", ioctl(src->fd, ONI_ALT_RESET, 0) < 0 ? -errno : 0);
}

/* ONI controller registers */
enum { R_DEV, R_REG, R_VALUE, R_WRITE, R_TRIGGER, R_RUNNING, R_RESET, R_COUNTER = 9 };

static void alt_device_reg(struct source *src, uint32_t dev, uint32_t reg, uint32_t value)
{
	int i;

	alt_config(src, R_DEV, dev);
	alt_config(src, R_REG, reg);
	alt_config(src, R_VALUE, value);
	alt_config(src, R_WRITE, 1);
	alt_config(src, R_TRIGGER, 1);
	for (i = 0; i < 1000; i++)
		if (!alt_config_read(src, R_TRIGGER))
			return;
	bench_die("device register", -ETIMEDOUT);
}

static int take_ioctl(struct source *src, const struct options *o)
{
	struct oni_alt_recv r = { .addr = (uintptr_t)src->buf, .bytes = o->block };

	src->calls++;
	bench_must("ALT_RECV", ioctl(src->fd, ONI_ALT_RECV, &r) < 0 ? -errno : 0);
	src->pos += r.bytes;
	return r.bytes != 0;
}

static void open_alt(struct source *src, const struct options *o)
{
	uint32_t words = o->block / 4;

	src->irq = "oni_alt";
	src->take = take_ioctl;
	src->fd = open("/dev/oni_alt", O_RDWR | O_CLOEXEC);
	bench_must("/dev/oni_alt", src->fd < 0 ? -errno : 0);
	/* A block announced to somebody else: the controller drops it, the core forgets. */
	alt_config(src, R_RESET, 1);
	alt_core_reset(src);
	alt_device_reg(src, OT_LOAD_TEST, 0, 1);
	alt_device_reg(src, OT_LOAD_TEST, 1, OT_CLK_HZ / o->hz);
	alt_device_reg(src, OT_LOAD_TEST, 3, o->words);
	alt_config(src, R_RESET, 1);
	bench_must("ALT_BLOCK", ioctl(src->fd, ONI_ALT_BLOCK, &words) < 0 ? -errno : 0);
	alt_config(src, R_COUNTER, 2);	/* reset the counter and run */
}

static void close_alt(struct source *src)
{
	alt_config(src, R_RUNNING, 0);
	alt_core_reset(src);
}

/* --- the measurement ------------------------------------------------------ */

static void report(const struct source *src, const struct options *o, uint64_t first,
		   uint64_t last, uint64_t calls)
{
	printf("\"block_bytes\": %u, \"first\": %llu, \"last\": %llu, \"calls\": %llu, "
	       "\"position\": %llu, \"load_frames\": %llu, \"other_frames\": %llu, ",
	       o->block, (unsigned long long)first, (unsigned long long)last,
	       (unsigned long long)calls, (unsigned long long)src->pos,
	       (unsigned long long)src->load_frames, (unsigned long long)src->other_frames);
}

static void report_driver(const struct source *src, const struct oni_stats *a,
			  const struct oni_stats *b)
{
	const volatile struct oni_ring_producer *r = src->s.prod;

	printf("\"stats\": {\"interrupts\": %llu, \"mmio_reads\": %llu, \"mmio_writes\": %llu, "
	       "\"blocks\": %llu, \"wakeups\": %llu, \"ring_full\": %llu, \"short_blocks\": %llu},"
	       " \"peak_bytes\": %llu}\n",
	       (unsigned long long)(b->interrupts - a->interrupts),
	       (unsigned long long)(b->mmio_reads - a->mmio_reads),
	       (unsigned long long)(b->mmio_writes - a->mmio_writes),
	       (unsigned long long)(b->blocks - a->blocks),
	       (unsigned long long)(b->wakeups - a->wakeups),
	       (unsigned long long)(b->ring_full - a->ring_full),
	       (unsigned long long)(b->short_blocks - a->short_blocks),
	       (unsigned long long)r->peak_bytes);
}

/*
 * Up to here the kernel has done its work, which is what a window is about. Read
 * directly before a mark: where a block always waits, a score of interrupts may
 * come between any two instructions, in particular while a mark is written down.
 */
static uint64_t published(const struct source *src)
{
	return src->take == take_ioctl ? src->pos : ot_head(&src->s);
}

static void measure(struct source *src, const struct options *o)
{
	bool driver = src->take != take_ioctl;
	struct bench_counts begin, end;
	struct oni_stats a, b;
	uint64_t first, last, calls, stop;

	while (src->pos < o->skip * o->block)
		if (!src->take(src, o))
			bench_die("the data stopped", -ETIMEDOUT);
	bench_before(&begin, src->irq);
	if (driver)
		bench_must("STATS", ot_stats(src->fd, &a));
	calls = src->calls;
	begin.mono_ns = ot_now_ns();
	first = published(src);
	BENCH_MARK(MARK_BEGIN);
	stop = begin.mono_ns + o->seconds * 1000000000ULL;
	while (o->seconds ? ot_now_ns() < stop : src->pos < first + o->blocks * o->block)
		if (!src->take(src, o))
			bench_die("the data stopped", -ETIMEDOUT);
	last = published(src);
	BENCH_MARK(MARK_END);
	end.mono_ns = ot_now_ns();
	calls = src->calls - calls;
	if (driver)
		bench_must("STATS", ot_stats(src->fd, &b));
	bench_after(&end, src->irq);
	if (driver)
		close_driver(src, o);
	else
		close_alt(src);
	printf("{");
	bench_print("begin", &begin);
	bench_print("end", &end);
	report(src, o, first, last, calls);
	if (driver)
		report_driver(src, &a, &b);
	else
		printf("\"stats\": null}\n");
}

/* No data: a window around work of known length, or around sleep. */
static void measure_alone(const struct options *o)
{
	struct bench_counts begin, end;

	bench_copy_of_known_length();	/* the pages are there afterwards */
	bench_before(&begin, "oni_riffa");
	bench_begin(&begin);
	if (!strcmp(o->mode, "loop"))
		bench_loop_of_known_length();
	else if (!strcmp(o->mode, "copy"))
		bench_copy_of_known_length();
	else
		sleep(o->seconds);
	bench_end(&end);
	bench_after(&end, "oni_riffa");
	printf("{");
	bench_print("begin", &begin);
	bench_print("end", &end);
	printf("\"mode\": \"%s\"}\n", o->mode);
}

static void usage(void)
{
	fprintf(stderr, "usage: bench_stream -m MODE [-b BLOCK] [-l WORDS]\n"
		"  [-f HZ] [-r RING] [-w WATERMARK] [-s SKIP] [-n BLOCKS | -t SECONDS]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	struct options o = { .block = 4096, .words = 64, .hz = 10000, .ring = 4 << 20,
			     .skip = 200, .blocks = 1000 };
	struct source src = { .fd = -1 };
	int opt;

	while ((opt = getopt(argc, argv, "m:b:l:f:r:w:s:n:t:")) != -1) {
		switch (opt) {
		case 'm':
			o.mode = optarg;
			break;
		case 'b':
			o.block = bench_number(optarg);
			break;
		case 'l':
			o.words = bench_number(optarg);
			break;
		case 'f':
			o.hz = bench_number(optarg);
			break;
		case 'r':
			o.ring = bench_number(optarg);
			break;
		case 'w':
			o.watermark = bench_number(optarg);
			break;
		case 's':
			o.skip = bench_number(optarg);
			break;
		case 'n':
			o.blocks = bench_number(optarg);
			break;
		case 't':
			o.seconds = bench_number(optarg);
			break;
		default:
			usage();
		}
	}
	if (!o.mode || optind != argc)
		usage();
	if (!strcmp(o.mode, "loop") || !strcmp(o.mode, "copy") || !strcmp(o.mode, "idle")) {
		measure_alone(&o);
		return 0;
	}
	src.buf = aligned_alloc(4096, READ_BYTES);
	if (!src.buf)
		bench_die("memory", -ENOMEM);
	memset(src.buf, 0, READ_BYTES);
	if (!strcmp(o.mode, "ioctl"))
		open_alt(&src, &o);
	else if (!strcmp(o.mode, "release") || !strcmp(o.mode, "parse") ||
		 !strcmp(o.mode, "read"))
		open_driver(&src, &o);
	else
		usage();
	measure(&src, &o);
	return 0;
}
