/* SPDX-License-Identifier: MIT */
/*
 * example.h - what every example needs and none is about: options, errors, frames.
 *
 * One process, one thread, no state but what is passed in.
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include <linux/oni.h>

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

/* -t SECONDS, then nodes; --help. Returns the index of the first node. */
static inline int options(int argc, char **argv, const char *nodes, const char *summary,
			  double *seconds)
{
	int i = 1, asked = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
	char *end = NULL;

	if (!asked && argc > 2 && !strcmp(argv[1], "-t")) {
		*seconds = strtod(argv[2], &end);
		i = 3;
	}
	if (!asked && (!end || (*seconds > 0 && !*end)) && (i == argc || argv[i][0] != '-'))
		return i;
	fprintf(asked ? stdout : stderr, "Usage: %s [-t SECONDS] %s\n%s\n",
		program_invocation_short_name, nodes, summary);
	exit(asked ? 0 : 2);
}

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/*
 * Frames in a stream of bytes that comes in pieces of any size: u64 clock, u32 device
 * address, u32 sample bytes, sample, padding to 4. All zero is the beginning.
 */
struct frames {
	uint64_t frames, bytes;
	uint32_t have, skip;		/* of the header; of what is behind it */
	uint8_t header[16];
};

static inline void frames_feed(struct frames *f, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint32_t size, k;

	f->bytes += n;
	for (; n; p += k, n -= k) {
		k = f->skip ? f->skip : 16 - f->have;
		k = k < n ? k : (uint32_t)n;
		if (f->skip) {
			f->skip -= k;
			f->frames += !f->skip;
			continue;
		}
		memcpy(f->header + f->have, p, k);
		f->have += k;
		if (f->have < 16)
			continue;
		f->have = 0;
		memcpy(&size, f->header + 12, 4);
		f->skip = (le32toh(size) + 3) & ~3u;
	}
}

/* CLAIM, RELEASE, RESET, START, STOP: calls without any other argument. */
static inline int simple(int fd, unsigned long request)
{
	struct oni_simple arg = { .size = sizeof(arg) };

	return ioctl(fd, request, &arg);
}

/* Claim the controller and make its stream: the descriptor, or -1. */
static inline int stream_create(int fd, uint32_t watermark_bytes, uint32_t latency_us)
{
	struct oni_stream_create sc = {
		.size = sizeof(sc),
		.watermark_bytes = watermark_bytes,
		.latency_us = latency_us,
	};

	if (simple(fd, ONI_IOC_CLAIM) < 0 || ioctl(fd, ONI_IOC_STREAM_CREATE, &sc) < 0)
		return -1;
	return sc.fd;
}

#endif
