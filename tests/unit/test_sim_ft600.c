// SPDX-License-Identifier: MIT
/* unit-sources: tests/sim/ft600.c tests/sim/ft600_control.c tests/sim/fault.c tests/sim/violation.c tests/sim/model/rng.c */
/* unit-libs: -lm */
/* unit-cflags: -Itests/sim */
/*
 * test_sim_ft600.c - the simulated FT600: descriptors, vendor requests, sessions.
 *
 * Drives ft600.c by requests as an attachment does, with a fake FPGA behind it:
 * two byte streams to the host that a test fills, and a place for what comes.
 * What is expected is what host software sends and what is known of the answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/ft600.h"

#define MAX_URBS	16
#define DATA		2u
#define REPLY		3u
#define PACKET		1024u

struct request {
	struct usb_urb urb;
	uint8_t data[16384];
	bool done;
	unsigned int order;
};

struct bench {
	struct ft600 f;
	struct violations v;
	struct faults faults;
	struct request r[MAX_URBS];
	unsigned int used, finished;
	/* FPGA */
	uint32_t ready[4];	/* bytes there */
	uint32_t end[4];	/* the burst ends after so many of them; 0: it does not */
	uint8_t next[4];	/* value of the next byte */
	unsigned int flushed[4];
	uint8_t got[4][16384];
	uint32_t got_len[4];
	uint32_t out_room;
	unsigned int level, level_changes;
};

static struct bench *b;

/* ---- the FPGA ---- */

static uint32_t op_in_packet(void *ctx, unsigned int pipe, uint64_t off, uint32_t max)
{
	uint32_t left;

	(void)ctx;
	if (off >= b->ready[pipe])
		return 0;
	left = b->ready[pipe] - (uint32_t)off;
	if (b->end[pipe] > off && b->end[pipe] - off < max && b->end[pipe] - off <= left)
		return b->end[pipe] - (uint32_t)off;
	return left >= max ? max : 0;
}

static void op_in_take(void *ctx, unsigned int pipe, uint8_t *to, uint32_t len)
{
	uint32_t i;

	(void)ctx;
	assert_true(len <= b->ready[pipe]);
	for (i = 0; i < len; i++)
		to[i] = b->next[pipe]++;
	b->ready[pipe] -= len;
	b->end[pipe] = b->end[pipe] > len ? b->end[pipe] - len : 0;
}

static void op_in_flush(void *ctx, unsigned int pipe)
{
	(void)ctx;
	b->flushed[pipe]++;
}

static uint32_t op_out(void *ctx, unsigned int pipe, const uint8_t *data, uint32_t len)
{
	(void)ctx;
	if (len > b->out_room)
		len = b->out_room;
	memcpy(b->got[pipe] + b->got_len[pipe], data, len);
	b->got_len[pipe] += len;
	b->out_room -= len;
	return len;
}

static void op_gpio(void *ctx, unsigned int levels)
{
	(void)ctx;
	b->level = levels;
	b->level_changes++;
}

/* ---- the host ---- */

static void done(struct usb_urb *urb)
{
	struct request *r = urb->owner;

	assert_false(r->done);
	r->done = true;
	r->order = ++b->finished;
}

static struct request *prepare(uint8_t ep, const void *data, uint32_t len)
{
	struct request *r = &b->r[b->used++ % MAX_URBS];

	memset(r, 0, sizeof(*r));
	memset(r->data, 0xa5, sizeof(r->data));
	if (data)
		memcpy(r->data, data, len);
	r->urb = (struct usb_urb){
		.ep = ep, .data = r->data, .len = len, .actual = 99, .status = USB_FAILED,
		.done = done, .owner = r,
	};
	return r;
}

static struct request *submit(uint8_t ep, const void *data, uint32_t len)
{
	struct request *r = prepare(ep, data, len);

	b->f.usb.submit(&b->f.usb, &r->urb);
	return r;
}

/* Bytes moved, or minus the status. */
static int control(uint8_t type, uint8_t request, uint16_t value, uint16_t index, void *data,
		   uint16_t len)
{
	struct request *r = prepare(0, type & 0x80 ? NULL : data, len);
	const uint8_t setup[8] = {
		type, request, (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index,
		(uint8_t)(index >> 8), (uint8_t)len, (uint8_t)(len >> 8),
	};

	memcpy(r->urb.setup, setup, sizeof(setup));
	b->f.usb.submit(&b->f.usb, &r->urb);
	assert_true(r->done);
	if (r->urb.status)
		return -(int)r->urb.status;
	if (type & 0x80)
		memcpy(data, r->data, r->urb.actual);
	return (int)r->urb.actual;
}

static void session(uint8_t pipe, uint8_t cmd, uint64_t len)
{
	uint8_t p[20] = { 7, 0, 0, 0, pipe, cmd };
	struct request *r;
	unsigned int i;

	for (i = 0; i < 8; i++)
		p[8 + i] = (uint8_t)(len >> 8 * i);
	r = submit(0x01, p, sizeof(p));
	assert_true(r->done);
	assert_int_equal(r->urb.status, USB_OK);
	assert_int_equal(r->urb.actual, 20);
}

static void gpio(uint16_t what, uint8_t bits)
{
	uint8_t d[2] = { bits, 0 };

	assert_int_equal(control(0x40, 0x02, what, 0, d, 2), 2);
}

static void assert_bytes(const struct request *r, uint8_t first, uint32_t len)
{
	uint32_t i;

	assert_true(r->done);
	assert_int_equal(r->urb.status, USB_OK);
	assert_int_equal(r->urb.actual, len);
	for (i = 0; i < len; i++)
		assert_int_equal(r->data[i], (uint8_t)(first + i));
	assert_int_equal(r->data[len], 0xa5);
}

/* Exactly one violation, of this kind, since the last call. */
static void assert_violation(enum violation kind)
{
	assert_int_equal(b->v.total, 1);
	assert_int_equal(b->v.count[kind], 1);
	violation_reset(&b->v);
}

static void fault(const char *line)
{
	char err[128] = "";

	if (fault_request(&b->faults, line, err, sizeof(err)))
		fail_msg("%s", err);
}

static void bench_new(const struct ft600_config *cfg)
{
	struct ft600_ops ops = {
		.in_packet = op_in_packet, .in_take = op_in_take, .in_flush = op_in_flush,
		.out = op_out, .gpio = op_gpio,
	};

	b = calloc(1, sizeof(*b));
	assert_non_null(b);
	b->out_room = UINT32_MAX;
	ft600_init(&b->f, cfg, &ops, &b->v, &b->faults);
	ft600_power_on(&b->f);
	b->level_changes = 0;
	assert_int_equal(control(0x00, 9, 1, 0, NULL, 0), 0);
}

static const struct ft600_config normal = {
	.speed = USB_SUPER_SPEED, .manufacturer = "Open Ephys", .product = FT600_PRODUCT_STRING,
	.serial = "S0001",
};

static int setup(void **state)
{
	(void)state;
	bench_new(&normal);
	return 0;
}

static int setup_keep(void **state)
{
	struct ft600_config cfg = normal;

	(void)state;
	cfg.keep_session = true;
	bench_new(&cfg);
	return 0;
}

static int setup_replace(void **state)
{
	struct ft600_config cfg = normal;

	(void)state;
	cfg.replace_credit = true;
	bench_new(&cfg);
	return 0;
}

static int setup_high(void **state)
{
	struct ft600_config cfg = normal;

	(void)state;
	cfg.speed = USB_HIGH_SPEED;
	bench_new(&cfg);
	return 0;
}

/* A test that does not say so has no violation. */
static int teardown(void **state)
{
	uint64_t violations = b->v.total;

	(void)state;
	ft600_quiet(&b->f, USB_FAILED);
	free(b);
	return violations != 0;
}

/* ---- descriptors ---- */

static void test_device_descriptor(void **state)
{
	static const uint8_t want[18] = {
		18, 1, 0x10, 0x03, 0xef, 2, 1, 9, 0x03, 0x04, 0x1e, 0x60, 0, 0, 1, 2, 3, 1,
	};
	uint8_t d[64];

	(void)state;
	assert_int_equal(control(0x80, 6, 0x100, 0, d, 64), 18);
	assert_memory_equal(d, want, 18);
	/* What was not asked for is not sent. */
	assert_int_equal(control(0x80, 6, 0x100, 0, d, 8), 8);
}

static void test_configuration_descriptor(void **state)
{
	static const uint8_t want[113] = {
		9, 2, 113, 0, 2, 1, 0, 0xe0, 12,
		8, 11, 0, 2, 0xff, 0xff, 0xff, 0,
		9, 4, 0, 0, 2, 0xff, 0xff, 0xff, 0,
		7, 5, 0x01, 2, 0, 4, 0, 6, 48, 0, 0, 0, 0,
		7, 5, 0x81, 3, 64, 0, 9, 6, 48, 0, 0, 64, 0,
		9, 4, 1, 0, 4, 0xff, 0xff, 0xff, 0,
		7, 5, 0x02, 2, 0, 4, 0, 6, 48, 15, 0, 0, 0,
		7, 5, 0x82, 2, 0, 4, 0, 6, 48, 15, 0, 0, 0,
		7, 5, 0x03, 2, 0, 4, 0, 6, 48, 15, 0, 0, 0,
		7, 5, 0x83, 2, 0, 4, 0, 6, 48, 15, 0, 0, 0,
	};
	uint8_t d[255];

	(void)state;
	assert_int_equal(control(0x80, 6, 0x200, 0, d, 255), 113);
	assert_memory_equal(d, want, 113);
	assert_int_equal(control(0x80, 6, 0x200, 0, d, 9), 9);
	assert_int_equal(control(0x80, 6, 0x201, 0, d, 9), -USB_STALLED);
}

static void test_strings(void **state)
{
	uint8_t d[255], want[54] = { 54, 3 };
	unsigned int i;

	(void)state;
	assert_int_equal(control(0x80, 6, 0x300, 0, d, 255), 4);
	assert_memory_equal(d, "\x04\x03\x09\x04", 4);
	for (i = 0; i < 26; i++)
		want[2 + 2 * i] = (uint8_t)"Open Ephys FT600 USB board"[i];
	assert_int_equal(control(0x80, 6, 0x302, 0x409, d, 255), 54);
	assert_memory_equal(d, want, 54);
	assert_int_equal(control(0x80, 6, 0x303, 0x409, d, 255), 12);
	assert_int_equal(control(0x80, 6, 0x304, 0x409, d, 255), -USB_STALLED);
}

static void test_bos_descriptor(void **state)
{
	static const uint8_t want[22] = {
		5, 15, 22, 0, 2, 7, 16, 2, 2, 0, 0, 0, 10, 16, 3, 0, 14, 0, 1, 10, 0xff, 7,
	};
	uint8_t d[64];

	(void)state;
	assert_int_equal(control(0x80, 6, 0xf00, 0, d, 64), 22);
	assert_memory_equal(d, want, 22);
	/* No other kind, among them the qualifier that SuperSpeed does not have. */
	assert_int_equal(control(0x80, 6, 0x600, 0, d, 64), -USB_STALLED);
}

static void test_high_speed_descriptors(void **state)
{
	uint8_t d[255];

	(void)state;
	assert_int_equal(control(0x80, 6, 0x100, 0, d, 64), 18);
	assert_int_equal(d[7], 64);
	assert_int_equal(d[3], 2);
	/* Six companions less. */
	assert_int_equal(control(0x80, 6, 0x200, 0, d, 255), 113 - 36);
	assert_int_equal(d[8], 48);
	assert_int_equal(d[9 + 8 + 9 + 4] | d[9 + 8 + 9 + 5] << 8, 512);
}

static void test_injected_descriptors(void **state)
{
	struct usb_info info;
	uint8_t d[255];

	(void)state;
	fault("usb-desc-missing 1");
	assert_int_equal(control(0x80, 6, 0x200, 0, d, 255), 100);
	assert_int_equal(d[56], 3);
	b->f.usb.info(&b->f.usb, &info);
	assert_false(info.ep[usb_ep_index(0x83)].present);
	fault("clear");
	fault("usb-desc-type 1");
	assert_int_equal(control(0x80, 6, 0x200, 0, d, 255), 113);
	assert_int_equal(d[61 + 13 + 3], 3);
	b->f.usb.info(&b->f.usb, &info);
	assert_int_equal(info.ep[usb_ep_index(0x82)].type, 3);
}

/* ---- standard requests ---- */

static void test_standard_requests(void **state)
{
	uint8_t d[8], sel[6] = { 0 };

	(void)state;
	assert_int_equal(control(0x80, 8, 0, 0, d, 1), 1);
	assert_int_equal(d[0], 1);
	assert_int_equal(control(0x80, 0, 0, 0, d, 2), 2);
	assert_int_equal(d[0], 1);
	assert_int_equal(control(0x81, 10, 0, 1, d, 1), 1);
	assert_int_equal(d[0], 0);
	assert_int_equal(control(0x81, 10, 0, 2, d, 1), -USB_STALLED);
	assert_int_equal(control(0x01, 11, 0, 1, NULL, 0), 0);
	assert_int_equal(control(0x01, 11, 1, 1, NULL, 0), -USB_STALLED);
	assert_int_equal(control(0x00, 48, 0, 0, sel, 6), 6);
	assert_int_equal(control(0x00, 49, 40, 0, NULL, 0), 0);
	assert_int_equal(control(0x00, 3, 48, 0, NULL, 0), 0);
	assert_int_equal(control(0x00, 9, 2, 0, NULL, 0), -USB_STALLED);
	assert_int_equal(control(0x21, 9, 0, 0, NULL, 0), -USB_STALLED);	/* class */
}

static void test_no_configuration_no_pipes(void **state)
{
	struct request *waits = submit(0x82, NULL, PACKET);

	(void)state;
	assert_int_equal(control(0x00, 9, 0, 0, NULL, 0), 0);
	assert_true(waits->done);
	assert_int_equal(waits->urb.status, USB_CANCELLED);
	assert_int_equal(submit(0x82, NULL, PACKET)->urb.status, USB_FAILED);
	assert_violation(VIOLATION_USB_ENDPOINT);
}

/* ---- vendor requests ---- */

static void test_chip_memory(void **state)
{
	uint8_t d[8];

	(void)state;
	assert_int_equal(control(0xc0, 0x03, 1, 0x8400, d, 4), 4);
	assert_memory_equal(d, "\x00\x00\x17\x00", 4);
	assert_int_equal(control(0xc0, 0x03, 1, 0x8000, d, 4), 4);
	assert_memory_equal(d, "\x00\xcc\x23\x01", 4);
	assert_int_equal(control(0xc0, 0x03, 1, 0x8000, d, 8), -USB_STALLED);
	assert_violation(VIOLATION_USB_VENDOR);
	assert_int_equal(control(0xc0, 0x03, 1, 0x8404, d, 4), -USB_STALLED);
	assert_violation(VIOLATION_USB_VENDOR);
}

static void test_chip_configuration(void **state)
{
	uint8_t d[160];

	(void)state;
	assert_int_equal(control(0xc0, 0xcf, 1, 0, d, 152), 152);
	assert_memory_equal(d, "\x03\x04\x1e\x60", 4);
	assert_memory_equal(d + 4, "\x16\x03O\0p\0e\0n\0", 10);
	assert_memory_equal(d + 4 + 22, "\x36\x03O\0p\0", 6);		/* product */
	assert_memory_equal(d + 4 + 22 + 54, "\x0c\x03S\0", 4);		/* serial */
	assert_int_equal(d[133], 0xe0);
	assert_int_equal(d[134], 0x60);
	assert_int_equal(d[137], 0);
	assert_int_equal(d[138], 1);	/* FIFO mode 600 */
	assert_int_equal(d[139], 1);	/* two channels */
	assert_int_equal(d[140] | d[141], 0);
	assert_int_equal(d[142], 0xe4);
	assert_memory_equal(d + 144, "\x00\x08\x01\x00", 4);
	assert_int_equal(control(0xc0, 0xcf, 0, 0, d, 152), 152);
	assert_int_equal(control(0xc0, 0xcf, 1, 0, d, 64), -USB_STALLED);
	assert_violation(VIOLATION_USB_VENDOR);
	fault("usb-fifo-mode 1");
	assert_int_equal(control(0xc0, 0xcf, 1, 0, d, 152), 152);
	assert_int_equal(d[138], 0);
}

static void test_long_strings_leave_the_configuration_whole(void **state)
{
	uint8_t d[160];

	(void)state;
	b->f.cfg.manufacturer = "0123456789012345678901234567890123456789";
	b->f.cfg.product = b->f.cfg.manufacturer;
	assert_int_equal(control(0xc0, 0xcf, 1, 0, d, 152), 152);
	assert_int_equal(d[132], 9);
	assert_int_equal(d[136], 0);
	assert_int_equal(d[138], 1);
}

static void test_firmware_version(void **state)
{
	uint8_t d[4];

	(void)state;
	assert_int_equal(control(0xc0, 0xf1, 0, 0, d, 4), 4);
	assert_memory_equal(d, "\x09\x01\x00\x00", 4);
}

static void test_undefined_vendor_requests(void **state)
{
	static const uint8_t requests[] = { 0x00, 0x04, 0xce, 0xdf, 0xf2 };
	uint8_t d[4] = { 0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(requests); i++) {
		assert_int_equal(control(0xc0, requests[i], 0, 0, d, 4), -USB_STALLED);
		assert_violation(VIOLATION_USB_VENDOR);
		assert_int_equal(control(0x40, requests[i], 0, 0, d, 4), -USB_STALLED);
		assert_violation(VIOLATION_USB_VENDOR);
	}
	/* The right one, to an interface. */
	assert_int_equal(control(0xc1, 0xf1, 0, 0, d, 4), -USB_STALLED);
	assert_violation(VIOLATION_USB_VENDOR);
}

static void test_writes_to_the_chip_are_dangerous(void **state)
{
	uint8_t d[152] = { 0 };

	(void)state;
	control(0x40, 0x03, 1, 0x8000, d, 4);
	assert_violation(VIOLATION_USB_CHIP_WRITE);
	control(0x40, 0xcf, 0, 0, d, 152);
	assert_violation(VIOLATION_USB_CHIP_WRITE);
}

static void test_short_vendor_answer(void **state)
{
	uint8_t d[152];

	(void)state;
	fault("usb-vendor-short 1");
	assert_int_equal(control(0xc0, 0xcf, 1, 0, d, 152), 76);
	assert_int_equal(control(0xc0, 0xcf, 1, 0, d, 152), 152);
}

/* Refused without an effect, and it is no fault of the host. */
/* As many bytes as ordered, at most; the same ones every time. */
static void test_noise_in_the_descriptor(void **state)
{
	uint8_t good[256], bad[256], again[256];
	int i, len, n = 0;

	(void)state;
	len = control(0x80, 6, 0x200, 0, good, 255);
	fault("usb-desc-noise 3 7");
	assert_int_equal(control(0x80, 6, 0x200, 0, bad, 255), len);
	assert_int_equal(control(0x80, 6, 0x200, 0, again, 255), len);
	assert_memory_equal(bad, again, len);
	for (i = 0; i < len; i++)
		n += good[i] != bad[i];
	assert_in_range(n, 1, 3);
	fault("clear");
	assert_int_equal(control(0x80, 6, 0x200, 0, bad, 255), len);
	assert_memory_equal(good, bad, len);
}

static void test_stalled_vendor_request(void **state)
{
	uint8_t d[2] = { 0x04, 0 };

	(void)state;
	gpio(2, 0x05);
	fault("usb-vendor-stall 1 1");
	gpio(1, 0x05);
	assert_int_equal(b->level, 1);
	assert_int_equal(control(0x40, 0x02, 1, 0, d, 2), -USB_STALLED);
	assert_int_equal(b->level, 1);
	gpio(1, 0x04);
	assert_int_equal(b->level, 0);
}

static void test_gpio(void **state)
{
	uint8_t d[2] = { 0, 0 };

	(void)state;
	gpio(3, 0x2d);
	gpio(1, 0x05);		/* high, but not an output */
	assert_int_equal(b->level, 0);
	gpio(2, 0x05);
	assert_int_equal(b->level, 1);
	assert_int_equal(b->level_changes, 1);
	assert_int_equal(control(0xc0, 0x02, 0, 0x1f, d, 1), 1);
	assert_int_equal(d[0], 1);
	gpio(1, 0x00);		/* nothing selected */
	assert_int_equal(b->level, 1);
	gpio(1, 0x20);		/* GPIO 1 low: GPIO 0 stays */
	assert_int_equal(b->level, 1);
	gpio(1, 0x04);
	assert_int_equal(b->level, 0);
	gpio(2, 0x28);
	gpio(1, 0x28);		/* GPIO 1 alone */
	assert_int_equal(b->level, 2);
	d[0] = 4;
	assert_int_equal(control(0x40, 0x02, 4, 0, d, 2), -USB_STALLED);
	assert_violation(VIOLATION_USB_VENDOR);
	assert_int_equal(control(0x40, 0x02, 1, 0, d, 1), -USB_STALLED);
	assert_violation(VIOLATION_USB_VENDOR);
	assert_int_equal(control(0xc0, 0x02, 0, 0, d, 1), -USB_STALLED);
	assert_violation(VIOLATION_USB_VENDOR);
}

/* ---- session packets ---- */

static void test_session_packet_has_20_bytes(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 16, 19, 21, 24, 1024 };
	uint8_t p[1024] = { 1, 0, 0, 0, 0x82, 2 };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(submit(0x01, p, lengths[i])->urb.status, USB_OK);
		assert_violation(VIOLATION_USB_SESSION_LENGTH);
	}
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
}

static void test_session_commands(void **state)
{
	static const uint8_t bad[] = { 4, 5, 0x10, 0x12, 0xff };
	uint8_t p[20] = { 0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad); i++) {
		session(0x82, bad[i], 0);
		assert_violation(VIOLATION_USB_SESSION_COMMAND);
	}
	p[4] = 0x82;
	p[5] = 0x11;
	p[6] = 1;
	p[7] = 0x33;
	submit(0x01, p, sizeof(p));
	assert_violation(VIOLATION_USB_SESSION_COMMAND);
}

static void test_session_pipes(void **state)
{
	static const uint8_t bad[] = { 0x00, 0x01, 0x81, 0x04, 0x84, 0x80, 0x12 };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad); i++) {
		session(bad[i], 3, 0);
		assert_violation(VIOLATION_USB_SESSION_PIPE);
	}
	/* Pipes to the card have no session, but are not forbidden. */
	session(0x02, 1, 4096);
	session(0x02, 3, 0);
	session(0x03, 0, 0);
	assert_int_equal(b->flushed[DATA] + b->flushed[REPLY], 0);
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
}

static void test_session_fields(void **state)
{
	uint8_t p[20] = { 1, 0, 0, 0, 0x82, 1, 0, 0, 0, 4 };

	(void)state;
	p[6] = 1;
	submit(0x01, p, sizeof(p));
	assert_violation(VIOLATION_USB_SESSION_FIELDS);
	p[6] = 0;
	p[7] = 9;
	submit(0x01, p, sizeof(p));
	assert_violation(VIOLATION_USB_SESSION_FIELDS);
	p[7] = 0;
	p[16] = 1;
	submit(0x01, p, sizeof(p));
	assert_violation(VIOLATION_USB_SESSION_FIELDS);
	p[16] = 0;
	p[9] = 0;		/* nothing to read */
	submit(0x01, p, sizeof(p));
	assert_violation(VIOLATION_USB_SESSION_FIELDS);
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
	p[12] = 1;		/* 4 GiB: the length has 64 bits */
	p[0] = 0;		/* the sequence number is not looked at */
	submit(0x01, p, sizeof(p));
	assert_true(b->f.pipe[DATA].credit == 1ull << 32);
}

/* ---- data to the host ---- */

static void test_nothing_without_a_session(void **state)
{
	struct request *r = submit(0x82, NULL, 2048);

	(void)state;
	b->ready[DATA] = 8192;
	assert_false(ft600_step(&b->f));
	assert_false(r->done);
	session(0x83, 2, 2048);		/* of the other pipe */
	assert_false(ft600_step(&b->f));
	session(0x82, 1, 2048);
	assert_true(ft600_step(&b->f));
	assert_bytes(r, 0, 2048);
}

static void test_credit_is_spent_by_bytes(void **state)
{
	struct request *r[3];

	(void)state;
	b->ready[DATA] = 65536;
	session(0x82, 1, 4096);
	r[0] = submit(0x82, NULL, 2048);
	r[1] = submit(0x82, NULL, 2048);
	r[2] = submit(0x82, NULL, 2048);
	ft600_step(&b->f);
	assert_bytes(r[0], 0, 2048);
	assert_bytes(r[1], 0, 2048);
	assert_false(r[2]->done);
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
	assert_true(r[0]->order < r[1]->order);
	session(0x82, 1, 2048);
	ft600_step(&b->f);
	assert_bytes(r[2], 0, 2048);
}

static void test_credit_cuts_the_last_packet(void **state)
{
	struct request *r = submit(0x82, NULL, 4096);

	(void)state;
	b->ready[DATA] = 65536;
	session(0x82, 1, 2500);
	ft600_step(&b->f);
	assert_bytes(r, 0, 2500);
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
}

/* An exactly full packet at the end of the credit does not end the transfer. */
static void test_full_packets_end_no_transfer(void **state)
{
	struct request *r = submit(0x82, NULL, 4096);

	(void)state;
	b->ready[DATA] = 65536;
	session(0x82, 1, 2048);
	ft600_step(&b->f);
	assert_false(r->done);
	assert_int_equal(b->ready[DATA], 65536);
	session(0x82, 1, 2048);
	ft600_step(&b->f);
	assert_bytes(r, 0, 4096);
}

static void test_requests_are_filled(void **state)
{
	struct request *r = submit(0x82, NULL, 4096);

	(void)state;
	session(0x82, 2, 4096);
	b->ready[DATA] = 4095;
	assert_false(ft600_step(&b->f));
	assert_false(r->done);
	b->ready[DATA] = 4096;
	assert_true(ft600_step(&b->f));
	assert_bytes(r, 0, 4096);
}

static void test_short_packet_ends_request_and_session(void **state)
{
	struct request *r[2];

	(void)state;
	b->ready[DATA] = 65536;
	b->end[DATA] = 1500;
	session(0x82, 1, 16384);
	r[0] = submit(0x82, NULL, 8192);
	r[1] = submit(0x82, NULL, 8192);
	ft600_step(&b->f);
	assert_bytes(r[0], 0, 1500);
	assert_false(r[1]->done);
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
	assert_int_equal(b->f.stats.short_packets, 1);
}

static void test_short_packet_may_keep_the_session(void **state)
{
	struct request *r[2];

	(void)state;
	b->ready[DATA] = 65536;
	b->end[DATA] = 1500;
	session(0x82, 1, 9692);
	r[0] = submit(0x82, NULL, 8192);
	r[1] = submit(0x82, NULL, 8192);
	ft600_step(&b->f);
	assert_bytes(r[0], 0, 1500);
	assert_bytes(r[1], (uint8_t)1500, 8192);
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
}

static void test_stream_survives_short_packets(void **state)
{
	struct request *r[2];

	(void)state;
	b->ready[DATA] = 65536;
	b->end[DATA] = 4;
	session(0x82, 2, 0x40000000);
	r[0] = submit(0x82, NULL, 8192);
	r[1] = submit(0x82, NULL, 8192);
	ft600_step(&b->f);
	assert_bytes(r[0], 0, 4);
	assert_bytes(r[1], 4, 8192);
	assert_int_equal(b->f.pipe[DATA].session, FT600_STREAM);
}

static void test_second_read_adds_credit(void **state)
{
	(void)state;
	session(0x82, 1, 4096);
	session(0x82, 1, 1024);
	assert_int_equal(b->f.pipe[DATA].credit, 5120);
	assert_int_equal(b->f.stats.overlaps, 1);
}

static void test_second_read_may_replace_credit(void **state)
{
	(void)state;
	session(0x82, 1, 4096);
	session(0x82, 1, 1024);
	assert_int_equal(b->f.pipe[DATA].credit, 1024);
	assert_int_equal(b->f.stats.overlaps, 1);
}

static void test_abort_flush_and_clear(void **state)
{
	uint8_t clear[20] = { 1, 0, 0, 0, 0x82, 0x11, 1, 9 };

	(void)state;
	session(0x82, 2, 4096);
	session(0x82, 0, 0);
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
	assert_int_equal(b->flushed[DATA], 1);
	session(0x82, 1, 4096);
	session(0x82, 3, 0);
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
	assert_int_equal(b->flushed[DATA], 2);
	session(0x82, 2, 4096);
	submit(0x01, clear, sizeof(clear));
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
	assert_int_equal(b->flushed[DATA], 2);
	assert_int_equal(b->flushed[REPLY], 0);
}

/* It takes nothing and needs no session; what is behind it gets the data. */
static void test_request_of_nothing(void **state)
{
	struct request *none = submit(0x82, NULL, 0), *some = submit(0x82, NULL, 1024);

	(void)state;
	b->ready[DATA] = 65536;
	ft600_step(&b->f);
	assert_bytes(none, 0, 0);
	assert_false(some->done);
	session(0x82, 2, 4096);
	ft600_step(&b->f);
	assert_bytes(some, 0, 1024);
}

static void test_room_for_a_packet(void **state)
{
	struct request *r = submit(0x82, NULL, 1500);

	(void)state;
	b->ready[DATA] = 65536;
	session(0x82, 2, 4096);
	ft600_step(&b->f);
	assert_true(r->done);
	assert_int_equal(r->urb.status, USB_BABBLE);
	assert_int_equal(r->urb.actual, 1024);
	assert_violation(VIOLATION_USB_IN_LENGTH);
}

static void test_high_speed_packets(void **state)
{
	struct request *r = submit(0x82, NULL, 1536);

	(void)state;
	b->ready[DATA] = 65536;
	session(0x82, 2, 4096);
	ft600_step(&b->f);
	assert_bytes(r, 0, 1536);
}

static void test_cancel(void **state)
{
	struct request *r[3];
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++)
		r[i] = submit(0x82, NULL, 1024);
	b->f.usb.cancel(&b->f.usb, &r[1]->urb);
	assert_true(r[1]->done);
	assert_int_equal(r[1]->urb.status, USB_CANCELLED);
	b->f.usb.cancel(&b->f.usb, &r[2]->urb);
	r[1] = submit(0x82, NULL, 1024);
	b->ready[DATA] = 2048;
	session(0x82, 2, 4096);
	ft600_step(&b->f);
	assert_bytes(r[0], 0, 1024);
	assert_bytes(r[1], 0, 1024);
	/* It has none of these any more. */
	b->f.usb.cancel(&b->f.usb, &r[0]->urb);
	assert_int_equal(b->f.stats.cancels, 2);
}

static void test_port_reset(void **state)
{
	struct request *r = submit(0x82, NULL, 1024);

	(void)state;
	gpio(2, 0x05);
	gpio(1, 0x05);
	session(0x82, 2, 4096);
	b->f.usb.reset(&b->f.usb);
	assert_int_equal(r->urb.status, USB_CANCELLED);
	assert_int_equal(b->f.configuration, 0);
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
	assert_int_equal(b->level, 1);
}

static void test_notifications_are_silent(void **state)
{
	struct request *r = submit(0x81, NULL, 64);

	(void)state;
	b->ready[DATA] = 65536;
	b->ready[REPLY] = 4096;
	session(0x82, 2, 4096);
	ft600_step(&b->f);
	assert_false(r->done);
}

static void test_endpoints_that_are_not_there(void **state)
{
	static const uint8_t bad[] = { 0x04, 0x84, 0x05, 0x8f };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad); i++) {
		assert_int_equal(submit(bad[i], NULL, 64)->urb.status, USB_STALLED);
		assert_violation(VIOLATION_USB_ENDPOINT);
	}
}

/* ---- data from the host ---- */

static void test_out_goes_where_it_belongs(void **state)
{
	(void)state;
	assert_int_equal(submit(0x02, "abcd", 4)->urb.actual, 4);
	assert_int_equal(submit(0x03, "efghi", 5)->urb.actual, 5);
	assert_int_equal(b->got_len[2], 4);
	assert_memory_equal(b->got[2], "abcd", 4);
	assert_int_equal(b->got_len[3], 5);
	assert_memory_equal(b->got[3], "efghi", 5);
}

static void test_out_waits_for_room(void **state)
{
	struct request *r[2];

	(void)state;
	b->out_room = 3;
	r[0] = submit(0x02, "abcd", 4);
	r[1] = submit(0x02, "efgh", 4);
	assert_false(r[0]->done);
	b->out_room = 5;
	ft600_step(&b->f);
	assert_true(r[0]->done);
	assert_true(r[1]->done);
	assert_memory_equal(b->got[2], "abcdefgh", 8);
}

static void test_stalled_pipe_moves_nothing(void **state)
{
	struct request *in = submit(0x82, NULL, 1024), *out;

	(void)state;
	ft600_stall(&b->f, DATA, true);
	b->ready[DATA] = 4096;
	session(0x82, 2, 4096);
	out = submit(0x02, "abcd", 4);
	ft600_step(&b->f);
	assert_false(in->done);
	assert_false(out->done);
	/* Commands go on. */
	assert_true(submit(0x03, "efghi", 5)->done);
	ft600_stall(&b->f, DATA, false);
	ft600_step(&b->f);
	assert_true(in->done);
	assert_true(out->done);
}

/* ---- injected ---- */

static void test_halted_endpoint(void **state)
{
	struct request *r[2];
	uint8_t d[2];

	(void)state;
	fault("usb-stall 1 ch=2");
	b->ready[DATA] = 65536;
	session(0x82, 2, 4096);
	r[0] = submit(0x82, NULL, 1024);
	ft600_step(&b->f);
	assert_int_equal(r[0]->urb.status, USB_STALLED);
	/* Until the host clears it. */
	r[1] = submit(0x82, NULL, 1024);
	ft600_step(&b->f);
	assert_int_equal(r[1]->urb.status, USB_STALLED);
	assert_int_equal(control(0x82, 0, 0, 0x82, d, 2), 2);
	assert_int_equal(d[0], 1);
	assert_int_equal(control(0x02, 1, 0, 0x82, NULL, 0), 0);
	r[1] = submit(0x82, NULL, 1024);
	ft600_step(&b->f);
	assert_bytes(r[1], 0, 1024);
	fault("usb-out-stall 1 ch=3");
	assert_int_equal(submit(0x03, "x", 1)->urb.status, USB_STALLED);
	assert_int_equal(b->got_len[3], 0);
}

static void test_zero_length_packets(void **state)
{
	struct request *r[3];
	unsigned int i;

	(void)state;
	fault("usb-zlp 2 ch=2");
	b->ready[DATA] = 1024;
	session(0x82, 2, 4096);
	for (i = 0; i < 3; i++)
		r[i] = submit(0x82, NULL, 1024);
	ft600_step(&b->f);
	assert_bytes(r[0], 0, 0);
	assert_bytes(r[1], 0, 0);
	assert_bytes(r[2], 0, 1024);
}

static void test_session_ends_early(void **state)
{
	struct request *r[2];

	(void)state;
	fault("usb-session-end 1 ch=2");
	b->ready[DATA] = 65536;
	session(0x82, 2, 4096);
	r[0] = submit(0x82, NULL, 1024);
	r[1] = submit(0x82, NULL, 1024);
	ft600_step(&b->f);
	assert_bytes(r[0], 0, 1024);
	assert_false(r[1]->done);
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
}

static void test_vanishes(void **state)
{
	struct request *r;

	(void)state;
	fault("usb-vanish 1 ch=2");
	b->ready[DATA] = 65536;
	session(0x82, 2, 4096);
	r = submit(0x82, NULL, 1024);
	ft600_step(&b->f);
	assert_false(r->done);
	assert_true(b->f.vanish);
	assert_int_equal(b->ready[DATA], 65536);
}

static void test_power_on(void **state)
{
	struct request *r = submit(0x82, NULL, 1024);

	(void)state;
	gpio(2, 0x05);
	gpio(1, 0x05);
	session(0x82, 2, 4096);
	ft600_stall(&b->f, DATA, true);
	ft600_power_on(&b->f);
	assert_int_equal(r->urb.status, USB_FAILED);
	assert_int_equal(b->level, 0);
	assert_int_equal(b->f.configuration, 0);
	assert_int_equal(b->f.pipe[DATA].session, FT600_IDLE);
	assert_false(b->f.stalled[DATA]);
}

#define T(f)		cmocka_unit_test_setup_teardown(f, setup, teardown)
#define T_ON(f, s)	cmocka_unit_test_setup_teardown(f, s, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_device_descriptor),
		T(test_configuration_descriptor),
		T(test_strings),
		T(test_bos_descriptor),
		T_ON(test_high_speed_descriptors, setup_high),
		T(test_injected_descriptors),
		T(test_standard_requests),
		T(test_no_configuration_no_pipes),
		T(test_chip_memory),
		T(test_chip_configuration),
		T(test_long_strings_leave_the_configuration_whole),
		T(test_firmware_version),
		T(test_undefined_vendor_requests),
		T(test_writes_to_the_chip_are_dangerous),
		T(test_short_vendor_answer),
		T(test_stalled_vendor_request),
		T(test_noise_in_the_descriptor),
		T(test_gpio),
		T(test_session_packet_has_20_bytes),
		T(test_session_commands),
		T(test_session_pipes),
		T(test_session_fields),
		T(test_nothing_without_a_session),
		T(test_credit_is_spent_by_bytes),
		T(test_credit_cuts_the_last_packet),
		T(test_full_packets_end_no_transfer),
		T(test_requests_are_filled),
		T(test_short_packet_ends_request_and_session),
		T_ON(test_short_packet_may_keep_the_session, setup_keep),
		T(test_stream_survives_short_packets),
		T(test_second_read_adds_credit),
		T_ON(test_second_read_may_replace_credit, setup_replace),
		T(test_abort_flush_and_clear),
		T(test_room_for_a_packet),
		T(test_request_of_nothing),
		T_ON(test_high_speed_packets, setup_high),
		T(test_cancel),
		T(test_port_reset),
		T(test_notifications_are_silent),
		T(test_endpoints_that_are_not_there),
		T(test_out_goes_where_it_belongs),
		T(test_out_waits_for_room),
		T(test_stalled_pipe_moves_nothing),
		T(test_halted_endpoint),
		T(test_zero_length_packets),
		T(test_session_ends_early),
		T(test_vanishes),
		T(test_power_on),
	};

	return cmocka_run_group_tests_name("sim ft600", tests, NULL, NULL);
}
