// SPDX-License-Identifier: MIT
/*
 * Reads an Acquisition Board through libonidev, by the kernel driver or by libusb: the
 * same program, so that what differs is the backend.
 *
 *   bench_usb -B kernel|usb [-b BLOCK] [-w WATERMARK] [-s SKIP] [-n BYTES]
 *
 * Two streams of an RHD2164 at 30 kHz. Every frame is looked at; after SKIP bytes a
 * window of BYTES is marked for the plugin (mark.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mark.h"
#include "onidev.h"

#define RHYTHM	0x101u

static struct onidev_controller *ctl;
static struct onidev_stream *stream;
static uint64_t frames[512], bytes;

static void die(const char *what)
{
	fprintf(stderr, "bench_usb: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void must_write(uint32_t reg, uint32_t value)
{
	if (onidev_reg_write(ctl, RHYTHM, reg, value) < 0)
		die("register");
}

static void prepare(unsigned int backend, const struct onidev_stream_config *config)
{
	struct onidev_table *table;

	ctl = onidev_controller_open(NULL, backend);
	if (!ctl || onidev_controller_claim(ctl) < 0)
		die("open");
	must_write(0, 1);
	must_write(1, 2);
	must_write(3, 0x5555);
	must_write(13, 0x80);
	must_write(15, 3);
	if (onidev_controller_reset(ctl) < 0)
		die("reset");
	stream = onidev_stream_create(ctl, config);
	if (!stream || onidev_controller_start(ctl) < 0)
		die("start");
	table = onidev_controller_table(ctl);
	if (!table || onidev_stream_set_table(stream, table) < 0)
		die("table");
	onidev_table_free(table);
}

static void read_some(void)
{
	struct onidev_frame f;
	int rc;

	while ((rc = onidev_frame_next(stream, &f)) > 0) {
		frames[f.addr & 511]++;
		bytes += f.wire;
	}
	if (rc < 0)
		die("frame");
	onidev_stream_release(stream);
}

/* Until so many bytes were read; 0: until the end. */
static void read_until(uint64_t enough)
{
	int w = ONIDEV_WAIT_DATA;

	while (w == ONIDEV_WAIT_DATA && (!enough || bytes < enough)) {
		w = onidev_stream_wait(stream, 30000);
		if (w < 0)
			die("wait");
		if (w == ONIDEV_WAIT_DATA)
			read_some();
	}
	if (w == ONIDEV_WAIT_TIMEOUT || (enough && w == ONIDEV_WAIT_END)) {
		errno = ETIMEDOUT;
		die("the data stopped");
	}
}

static void report(uint64_t first, uint64_t last, uint64_t ns, uint64_t wakeups)
{
	struct onidev_stream_status s;
	unsigned int i;
	const char *comma = "";

	onidev_stream_status(stream, &s);
	printf("{\"window\": %llu, \"ns\": %llu, \"wakeups\": %llu, \"head\": %llu, \"frames\": {",
	       (unsigned long long)(last - first), (unsigned long long)ns,
	       (unsigned long long)wakeups, (unsigned long long)s.head);
	for (i = 0; i < 512; i++) {
		if (!frames[i])
			continue;
		printf("%s\"%u\": %llu", comma, i, (unsigned long long)frames[i]);
		comma = ", ";
	}
	printf("}}\n");
}

int main(int argc, char **argv)
{
	struct onidev_stream_config config = { .ring_bytes = 4 << 20, .watermark_bytes = 1 << 18 };
	uint64_t skip = 1 << 20, size = 8 << 20, first, last, ns;
	struct onidev_stream_status a, b;
	unsigned int backend = 0;
	int opt;

	while ((opt = getopt(argc, argv, "B:b:w:s:n:")) != -1) {
		switch (opt) {
		case 'B':
			backend = strcmp(optarg, "usb") ? ONIDEV_OPEN_KERNEL : ONIDEV_OPEN_USB;
			break;
		case 'b':
			config.block_bytes = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'w':
			config.watermark_bytes = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 's':
			skip = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			size = strtoull(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr, "usage: bench_usb -B kernel|usb [-b BLOCK] [-w WATERMARK] "
				"[-s SKIP] [-n BYTES]\n");
			return 2;
		}
	}
	prepare(backend, &config);
	read_until(skip);
	onidev_stream_status(stream, &a);
	first = bytes;
	ns = now_ns();
	BENCH_MARK(MARK_BEGIN);
	read_until(first + size);
	BENCH_MARK(MARK_END);
	ns = now_ns() - ns;
	last = bytes;
	onidev_stream_status(stream, &b);
	if (onidev_controller_stop(ctl) < 0)
		die("stop");
	read_until(0);
	report(first, last, ns, b.wakeups - a.wakeups);
	onidev_stream_free(stream);
	onidev_controller_close(ctl);
	return 0;
}
