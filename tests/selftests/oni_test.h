/* SPDX-License-Identifier: MIT */
/*
 * What the selftests share: calls that return -errno, the ring mapped, a frame
 * parser that checks what it parses, and memory that ends where it should.
 *
 * Everything here belongs to the caller; there are no globals and no threads.
 * Contract under test: include/uapi/linux/oni.h. Frame layout: ONI v1.0 spec
 * and ONIX gateware 2 as in the vendor's bonsai-onix1 sources.
 */
#ifndef ONI_TEST_H
#define ONI_TEST_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/oni.h>

/* For those that have included the harness: a hang is found, a slow machine is none. */
#ifdef TEST_TIMEOUT_DEFAULT
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	120	/* seconds */
#endif

/* Out-parameters start as garbage, so that "not written" is seen. */
#define OT_POISON		0xcc
#define OT_POISON32		0xccccccccU
#define ot_poison(p)		memset((p), OT_POISON, sizeof(*(p)))

/* Devices of the ONIX controller's local hub */
#define OT_HEARTBEAT		0x000
#define OT_PORT_A		0x001
#define OT_PORT_B		0x002
#define OT_ANALOG_IO		0x006
#define OT_DIGITAL_IO		0x007
#define OT_MEMORY		0x00a
#define OT_LOAD_TEST		0x00b
#define OT_RHD2164		0x100
#define OT_HUB_INFO		0x0fe

#define OT_CLK_HZ		250000000U
#define OT_MAX_ROWS		64

/* ONI device ids that the tests act on */
#define OT_ID_HEARTBEAT		35
#define OT_ID_LOAD_TEST		27
#define OT_ID_MEMORY		28
#define OT_ID_PORT		23
#define OT_ID_RHYTHM		0x10001

/* Rhythm of an Acquisition Board, and the ticks of its hub clock per sample */
#define OT_RHYTHM		0x101
#define OT_RHYTHM_TICKS		2800
#define OT_RHYTHM_MAGIC		0xc691199927021942ULL

/* --- device node ---------------------------------------------------------- */

/* ONI_DEVICE or /dev/oni0 */
const char *ot_path(void);

/* All of these return -errno; opening and creating return a descriptor. */
int ot_open(int flags);
int ot_ioctl(int fd, unsigned long cmd, void *arg);
int ot_simple(int fd, unsigned long cmd);
int ot_info(int fd, struct oni_info *info);
int ot_stats(int fd, struct oni_stats *stats);
int ot_reg_read(int fd, uint32_t dev, uint32_t reg, uint32_t *value);
int ot_reg_write(int fd, uint32_t dev, uint32_t reg, uint32_t value);
/* @n accesses in one call; @done (may be NULL): how many were executed */
int ot_reg_batch(int fd, struct oni_reg_op *ops, uint32_t n, uint32_t *done);
int ot_table(int fd, struct oni_device *rows, size_t max);
int ot_port(int fd, struct oni_port_power *p, uint32_t port, uint32_t hub,
	    uint32_t decivolts);

/*
 * Load tester: @words counter words per frame, @hz frames per second, 0 words
 * and 0 Hz to switch it off. Takes effect at the reset that this does too.
 */
int ot_load_test(int fd, uint32_t words, uint32_t hz);
/* Let Rhythm sample the chip on line A1, if @on, and reset. */
int ot_rhythm(int fd, bool on);

/* --- stream --------------------------------------------------------------- */

struct ot_stream {
	int fd;
	struct oni_stream_info info;
	const volatile struct oni_ring_producer *prod;
	volatile struct oni_ring_consumer *cons;
	const uint8_t *data;		/* mapped twice in a row */
	const volatile struct oni_block *desc;
};

int ot_stream_create(int ctl, uint64_t ring, uint32_t block,
		     uint32_t watermark, uint32_t latency_us);
int ot_stream_info(int fd, struct oni_stream_info *info);
int ot_stream_wake(int fd, uint32_t watermark, uint32_t latency_us);
/* A monitor is mapped, asked and read as a stream is. */
int ot_monitor_create(int ctl, uint32_t watermark, uint32_t latency_us);
int ot_monitor_stat(int fd, struct oni_monitor_stat *stat);
int ot_stream_map(int fd, struct ot_stream *s);
void ot_stream_unmap(struct ot_stream *s);

uint64_t ot_head(const struct ot_stream *s);
/* The hardware may be writing up to here; not before what was read earlier. */
uint64_t ot_claim(const struct ot_stream *s);
uint64_t ot_tail(const struct ot_stream *s);
void ot_set_tail(struct ot_stream *s, uint64_t tail);

/* Wait until @bytes are published or @ms have passed: the head seen. */
uint64_t ot_wait_head(const struct ot_stream *s, uint64_t bytes, int ms);
/* Wait until one of @flags is set in the producer page: the flags seen. */
uint32_t ot_wait_flags(const struct ot_stream *s, uint32_t flags, int ms);

/* revents of one poll(2), 0 on time-out, -errno */
int ot_poll(int fd, short events, int ms);

/* --- frames --------------------------------------------------------------- */

struct ot_device_count {
	struct oni_device dev;
	uint64_t frames;
	uint64_t first_clock;		/* hub clock of the first frame */
	uint64_t last_clock;
	uint64_t gaps;			/* steps that differ from .step */
	uint64_t missing;		/* frames that whole steps leave out */
	uint32_t first_number;		/* of a Rhythm: the sample number of the first frame */
	uint64_t step;			/* expected hub clock step; 0: any */
};

struct ot_parser {
	struct ot_device_count dev[OT_MAX_ROWS];
	size_t devs;
	uint64_t bytes;			/* fed so far */
	uint64_t frames;
	uint64_t last_time;		/* header clock */
	uint64_t bad_words;		/* no load test or Rhythm frame has them */
	size_t have;			/* bytes of an unfinished frame */
	const char *error;		/* first thing that was wrong, or NULL */
	uint64_t error_at;		/* stream position of that frame */
	uint8_t carry[65536];
};

/* Learn the table of @fd; expects the load tester every @lt_step clocks. */
int ot_parser_init(struct ot_parser *p, int fd, uint64_t lt_step);
/* Forget the data, keep the table: a new acquisition begins. */
void ot_parser_restart(struct ot_parser *p);
/* 0, or -1 with p->error set. Frames may be cut anywhere between calls. */
int ot_parser_feed(struct ot_parser *p, const uint8_t *buf, size_t len);
/*
 * Parse and release what comes until the tail is at @bytes or @ms have passed:
 * 0, or -1 if it did not get there or the parser found fault.
 */
int ot_consume_until(struct ot_stream *s, struct ot_parser *p, uint64_t bytes, int ms);
const struct ot_device_count *ot_parser_device(const struct ot_parser *p,
					       uint32_t addr);

/* --- odds and ends -------------------------------------------------------- */

/* @bytes that end where an unmapped page begins; lives until exit. */
void *ot_guarded(size_t bytes);
uint64_t ot_now_ns(void);
void ot_sleep_ms(int ms);
/* One descriptor over a UNIX socket: 0 or -errno; the descriptor or -errno. */
int ot_send_fd(int sock, int fd);
int ot_recv_fd(int sock);
/* A file with one unsigned number, or with one word; -errno */
int ot_write_file(const char *path, const char *text);

/*
 * Ask the machine that holds the card for something that the guest cannot do
 * ("unplug", "stall", "resume", "hot-remove", "hot-add"). The command that
 * does it is in ONI_LAB_CMD. -ENOSYS without one, -EIO if it failed.
 */
int ot_lab(const char *request);

#endif /* ONI_TEST_H */
