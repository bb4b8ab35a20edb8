// SPDX-License-Identifier: MIT
/*
 * oni_count - turn every device on, acquire for a while, count every frame.
 *
 *   oni_count [-b BLOCK] [-r RING] [-t SECONDS] [-c STREAMS] [-n]
 *
 * Prints one JSON object: frames of each device, bytes, blocks, what the ring
 * went through. A test compares it with what the hardware says it delivered.
 * It reads on until a stop has returned, so that nothing of a backlog in the
 * hardware finds the ring full. Of a Rhythm it tells how many samples are missing
 * between those that came, and the numbers of the first and the last one.
 * -n: leave the headstage port alone. -c: of a Rhythm, record so many streams of 32
 * channels (1 to 16, default 2), both halves of line A1, then of A2, B1 and so on. Exit status 0 only if every byte parsed
 * as frames of the device table.
 *
 * Contract used: include/uapi/linux/oni.h. Device facts: ONIX datasheets
 * (onix-docs). One thread, and at the end a second one that stops while the
 * first goes on reading; owns the controller until it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
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
	unsigned int streams;
	bool no_port;
};

static int die(const char *what, int ret)
{
	fprintf(stderr, "oni_count: %s: %s\n", what, strerror(-ret));
	return 1;
}

#define STREAMS	0xffffffffu	/* the first of them, as many as are wanted */

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
	/* Rhythm: streams in order of lines and edges, running by itself: 30 kHz */
	{ OT_ID_RHYTHM, 13, 0xb3a29180 }, { OT_ID_RHYTHM, 14, 0xf7e6d5c4 },
	{ OT_ID_RHYTHM, 15, STREAMS }, { OT_ID_RHYTHM, 1, 2 }, { OT_ID_RHYTHM, 0, 1 },
	{ 0x10004, 0, 1 },			/* Harp and Rhythm */
};

static int enable_all(int fd, unsigned int streams)
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
			ret = ot_reg_write(fd, rows[i].addr, enable[k].reg,
					   enable[k].value == STREAMS ? (1u << streams) - 1 :
									enable[k].value);
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

/* A call of STOP by another thread */
struct stop {
	int fd, ret;
	_Atomic bool done;
};

static void *stopper(void *arg)
{
	struct stop *stop = arg;

	stop->ret = ot_simple(stop->fd, ONI_IOC_STOP);
	stop->done = true;
	return NULL;
}

/*
 * STOP moves what the card still has, as far as the ring has room. Reading goes
 * on meanwhile, so that a machine that was too slow for the rate gets the rest,
 * too, however much it is.
 */
static int stop_and_read(int fd, struct ot_stream *s, struct ot_parser *p)
{
	struct stop stop = { .fd = fd };
	pthread_t thread;
	int bad = 0, ret;

	ret = pthread_create(&thread, NULL, stopper, &stop);
	if (ret)
		return die("pthread_create", -ret);
	while (!stop.done && !bad) {
		ot_poll(s->fd, POLLIN, 20);
		bad = drain(s, p);
	}
	pthread_join(thread, NULL);
	if (stop.ret)
		return die("STOP", stop.ret);
	return bad || drain(s, p) ? 1 : 0;
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
	return stop_and_read(fd, s, p);
}

/* What numbers its samples. */
static void report_numbered(const struct ot_parser *p)
{
	const char *comma = "";
	size_t i;

	printf("\"numbered\": {");
	for (i = 0; i < p->devs; i++) {
		const struct ot_device_count *d = &p->dev[i];

		if (d->dev.id != OT_ID_RHYTHM || !d->frames)
			continue;
		printf("%s\"%u\": {\"gaps\": %llu, \"missing\": %llu, \"first\": %llu, \"last\": %llu}",
		       comma, d->dev.addr, (unsigned long long)d->gaps,
		       (unsigned long long)d->missing,
		       (unsigned long long)d->first_number,
		       (unsigned long long)(d->first_number +
					    (d->last_clock - d->first_clock) / d->step));
		comma = ", ";
	}
	printf("}, ");
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
	printf("}, ");
	report_numbered(p);
	printf("\"short_blocks\": %llu, \"full_events\": %llu, \"peak_bytes\": %llu, ",
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
	ret = enable_all(fd, o->streams);
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
	struct options o = { .block = 4096, .seconds = 10, .streams = 2 };
	int opt;

	while ((opt = getopt(argc, argv, "b:r:t:c:n")) != -1) {
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
		case 'c':
			o.streams = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			o.no_port = true;
			break;
		default:
			fprintf(stderr,
				"usage: oni_count [-b BLOCK] [-r RING] [-t SECONDS] [-c STREAMS] [-n]\n");
			return 2;
		}
	}
	return count(&o);
}
