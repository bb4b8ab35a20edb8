// SPDX-License-Identifier: MIT
/*
 * oni_count - turn every device on, acquire for a while, count every frame.
 *
 *   oni_count [-b BLOCK] [-r RING] [-t SECONDS] [-n]
 *
 * Prints one JSON object: frames of each device, bytes, blocks, what the ring
 * went through. A test compares it with what the hardware says it delivered.
 * -n: leave the headstage port alone. Exit status 0 only if every byte parsed
 * as frames of the device table.
 *
 * Contract used: include/uapi/linux/oni.h. Device facts: ONIX datasheets
 * (onix-docs). One thread; owns the controller until it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "oni_layout.h"
#include "oni_test.h"

#define DIV(hz)		(OT_CLK_HZ / (hz))

struct options {
	uint32_t block;
	uint64_t ring;
	unsigned int seconds;
	bool no_port;
};

static int die(const char *what, int ret)
{
	fprintf(stderr, "oni_count: %s: %s\n", what, strerror(-ret));
	return 1;
}

/* What makes a device of that id send frames at a useful rate */
static const struct {
	uint32_t id, reg, value;
} enable[] = {
	{ 3, 0x8000, 1 },			/* RHD2164: 30 kHz, fixed */
	{ 9, 0, 1 },				/* BNO055 */
	{ 18, 7, DIV(1000) }, { 18, 0, 1 },	/* digital IO, periodic */
	{ 22, 0, 1 },				/* analog IO: 100 kHz, fixed */
	{ 23, 0, 1 },				/* port controllers */
	{ 25, 0, 1 },				/* TS4231 */
	{ 27, 3, 50 }, { 27, 1, DIV(2000) }, { 27, 0, 1 },	/* load tester */
	{ 28, 1, DIV(100) }, { 28, 0, 1 },	/* memory monitor */
	{ 30, 0, 1 },				/* Harp sync input */
	{ 35, 1, DIV(250) },			/* heartbeat, always on */
};

static int enable_all(int fd)
{
	struct oni_device rows[OT_MAX_ROWS];
	int i, ret, n = ot_table(fd, rows, OT_MAX_ROWS);
	size_t k;

	if (n < 0)
		return n;
	for (i = 0; i < n; i++) {
		for (k = 0; k < sizeof(enable) / sizeof(enable[0]); k++) {
			if (enable[k].id != rows[i].id)
				continue;
			ret = ot_reg_write(fd, rows[i].addr, enable[k].reg, enable[k].value);
			if (ret) {
				fprintf(stderr, "device 0x%x register 0x%x: ", rows[i].addr,
					enable[k].reg);
				return ret;
			}
		}
	}
	return ot_simple(fd, ONI_IOC_RESET);
}

/* Parse and release all there is. */
static int drain(struct ot_stream *s, struct ot_parser *p)
{
	uint64_t tail = ot_tail(s), head = ot_head(s);
	int ret = ot_parser_feed(p, s->data + (tail & (s->info.data_bytes - 1)), head - tail);

	ot_set_tail(s, head);
	return ret;
}

static int acquire(int fd, struct ot_stream *s, struct ot_parser *p, unsigned int seconds)
{
	uint64_t end;
	int ret = ot_simple(fd, ONI_IOC_START);

	if (ret)
		return die("START", ret);
	end = ot_now_ns() + seconds * 1000000000ULL;
	while (ot_now_ns() < end) {
		ret = ot_poll(s->fd, POLLIN, 1000);
		if (ret < 0 || ret & POLLERR)
			break;
		if (drain(s, p))
			break;
	}
	ret = ot_simple(fd, ONI_IOC_STOP);
	if (ret)
		return die("STOP", ret);
	return drain(s, p) ? 1 : 0;
}

static void report(const struct ot_stream *s, const struct ot_parser *p)
{
	const volatile struct oni_ring_producer *r = s->prod;
	const char *comma = "";
	size_t i;

	printf("{\"block_bytes\": %u, \"bytes\": %llu, \"blocks\": %llu, \"frames\": {",
	       s->info.block_bytes, (unsigned long long)ot_head(s),
	       (unsigned long long)r->blocks);
	for (i = 0; i < p->devs; i++) {
		if (!p->dev[i].dev.read_size)
			continue;
		printf("%s\"%u\": %llu", comma, p->dev[i].dev.addr,
		       (unsigned long long)p->dev[i].frames);
		comma = ", ";
	}
	printf("}, \"short_blocks\": %llu, \"full_events\": %llu, \"peak_bytes\": %llu, ",
	       (unsigned long long)r->short_blocks, (unsigned long long)r->full_events,
	       (unsigned long long)r->peak_bytes);
	printf("\"wakeups\": %llu, \"bad_words\": %llu, \"cut_frame_bytes\": %zu, ",
	       (unsigned long long)r->wakeups, (unsigned long long)p->bad_words, p->have);
	printf("\"error\": \"%s\", \"error_at\": %llu}\n", p->error ? p->error : "",
	       (unsigned long long)p->error_at);
}

static int count(const struct options *o)
{
	struct ot_parser *p = calloc(1, sizeof(*p));
	struct oni_port_power port;
	struct ot_stream s;
	int fd = ot_open(O_RDWR), ret;

	if (fd < 0 || !p)
		return die(ot_path(), p ? fd : -ENOMEM);
	ret = ot_simple(fd, ONI_IOC_CLAIM);
	if (ret)
		return die("CLAIM", ret);
	if (!o->no_port) {
		ret = ot_port(fd, &port, OT_PORT_A, ONI_HUB_HS64, 60);
		if (ret)
			return die("PORT_POWER", ret);
	}
	ret = enable_all(fd);
	if (ret)
		return die("enabling the devices", ret);
	ret = ot_parser_init(p, fd, DIV(2000));
	if (ret)
		return die("DEVICE_TABLE", ret);
	s.fd = ot_stream_create(fd, o->ring, o->block, 0, 50000);
	if (s.fd < 0)
		return die("STREAM_CREATE", s.fd);
	ret = ot_stream_map(s.fd, &s);
	if (!ret)
		ret = ot_stream_wake(s.fd, s.info.data_bytes / 8, 50000);
	if (ret)
		return die("mapping the stream", ret);
	ret = acquire(fd, &s, p, o->seconds);
	report(&s, p);
	if (!o->no_port)
		ot_port(fd, &port, OT_PORT_A, 0, 0);
	return ret || p->error || p->bad_words;
}

int main(int argc, char **argv)
{
	struct options o = { .block = 4096, .seconds = 10 };
	int opt;

	while ((opt = getopt(argc, argv, "b:r:t:n")) != -1) {
		switch (opt) {
		case 'b':
			o.block = strtoul(optarg, NULL, 0);
			break;
		case 'r':
			o.ring = strtoull(optarg, NULL, 0);
			break;
		case 't':
			o.seconds = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			o.no_port = true;
			break;
		default:
			fprintf(stderr,
				"usage: oni_count [-b BLOCK] [-r RING] [-t SECONDS] [-n]\n");
			return 2;
		}
	}
	return count(&o);
}
