// SPDX-License-Identifier: MIT
/* unit-sources: tests/sim/acq.c tests/sim/ft600.c tests/sim/ft600_control.c tests/sim/stage.c tests/sim/controller.c tests/sim/fifo.c tests/sim/fault.c tests/sim/violation.c tests/sim/model/[a-z]*.c */
/* unit-libs: -lm */
/* unit-cflags: -Itests/sim */
/*
 * test_sim_acq.c - what the FPGA of a simulated Acquisition Board does on the
 * pipes of its bridge, and that every frame stays accounted for.
 *
 * Drives the bridge by requests, with the real controller and devices behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/acq.h"

#define MS		1000000ull
#define HEARTBEAT	0x000u
#define FRAME		24u	/* of the heartbeat */
#define BUF		65536u

struct bench {
	struct ft600 f;
	struct acq a;
	struct controller c;
	struct fifo fifo;
	struct violations v;
	struct faults faults;
	struct model *m;
	uint64_t now;
	struct usb_urb urb;
	uint8_t in[BUF], all[8192];
	bool done;
};

static struct bench *b;
static struct acq_config acq_cfg;
static uint64_t ram = 1 << 20;

static void env_emit(void *ctx, uint32_t addr, const void *frame, size_t len)
{
	(void)ctx;
	fifo_put(&b->fifo, addr, frame, len);
}

static uint32_t env_words(void *ctx)
{
	(void)ctx;
	return 0;
}

static void on_event(void *ctx, enum controller_event event)
{
	(void)ctx;
	(void)event;
}

static void done(struct usb_urb *urb)
{
	(void)urb;
	b->done = true;
}

static void start_request(uint8_t ep, uint8_t *data, uint32_t len)
{
	b->urb = (struct usb_urb){ .ep = ep, .data = data, .len = len, .done = done };
	b->done = false;
	b->f.usb.submit(&b->f.usb, &b->urb);
}

static void step(void)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		controller_step(&b->c, b->now);
		acq_step(&b->a, b->now);
		ft600_step(&b->f);
	}
}

static void pass(unsigned int ms)
{
	while (ms--) {
		b->now += MS;
		step();
	}
}

static void out(uint8_t ep, const void *data, uint32_t len)
{
	static uint8_t copy[4096];

	memcpy(copy, data, len);
	start_request(ep, copy, len);
	assert_true(b->done);
	assert_int_equal(b->urb.status, USB_OK);
	assert_int_equal(b->urb.actual, len);
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void session(uint8_t pipe, uint8_t cmd, uint32_t len)
{
	uint8_t p[20] = { 0, 0, 0, 0, pipe, cmd };

	put32(p + 8, len);
	out(0x01, p, sizeof(p));
}

static void gpio0(uint8_t bits)
{
	uint8_t d[2] = { bits, 0 };

	b->urb = (struct usb_urb){
		.setup = { 0x40, 2, 1, 0, 0, 0, 2, 0 }, .data = d, .len = 2, .done = done,
	};
	b->f.usb.submit(&b->f.usb, &b->urb);
	assert_int_equal(b->urb.status, USB_OK);
}

static void write_reg(uint32_t reg, uint32_t val)
{
	uint8_t c[9] = { 1 };

	put32(c + 1, reg);
	put32(c + 5, val);
	out(0x03, c, sizeof(c));
}

static void read_reg(uint32_t reg)
{
	uint8_t c[5] = { 2 };

	put32(c + 1, reg);
	out(0x03, c, sizeof(c));
}

/* Ask for @len bytes within @ms; what came, or -1. */
static int in(uint8_t ep, uint32_t len, unsigned int ms)
{
	start_request(ep, b->in, len);
	step();
	while (!b->done && ms--)
		pass(1);
	if (b->done) {
		assert_int_equal(b->urb.status, USB_OK);
		return (int)b->urb.actual;
	}
	b->f.usb.cancel(&b->f.usb, &b->urb);
	return -1;
}

/* Everything that is there, in one read of the reply pipe. */
static int replies(void)
{
	session(0x83, 1, 8192);
	return in(0x83, 8192, 5);
}

static void fault(const char *line)
{
	char err[128] = "";

	if (fault_request(&b->faults, line, err, sizeof(err)))
		fail_msg("%s", err);
}

/* Exactly one violation, of this kind, since the last call. */
static void assert_violation(enum violation kind)
{
	assert_int_equal(b->v.total, 1);
	assert_int_equal(b->v.count[kind], 1);
	violation_reset(&b->v);
}

static const struct fifo_device *beat(void)
{
	return fifo_device(&b->fifo, HEARTBEAT, 0);
}

static void assert_conserved(void)
{
	const struct fifo_device *d = beat();

	assert_true(d->produced > 0);
	assert_int_equal(d->produced, d->delivered + fifo_left(d) + d->lost);
	assert_true(d->discarded <= fifo_left(d));
}

static int setup(void **state)
{
	struct ft600_config chip = {
		.speed = USB_SUPER_SPEED, .manufacturer = "m", .product = "p", .serial = "s",
	};
	struct model_env env = {
		.board = MODEL_BOARD_ACQ, .emit = env_emit, .fifo_used_words = env_words,
		.fifo_total_words = env_words,
	};
	struct controller_ops ops;
	struct ft600_ops fops;
	uint8_t dir[2] = { 5, 0 };

	(void)state;
	b = calloc(1, sizeof(*b));
	assert_non_null(b);
	b->now = 1000 * MS;
	assert_int_equal(fifo_init(&b->fifo, ram), 0);
	acq_init(&b->a, &acq_cfg, &b->c, &b->v, &b->faults);
	ops = acq_controller_ops(&b->a);
	fops = acq_ft600_ops(&b->a);
	ft600_init(&b->f, &chip, &fops, &b->v, &b->faults);
	assert_int_equal(controller_init(&b->c, &ops, &b->faults, &b->fifo), 0);
	b->c.event = on_event;
	b->m = model_new(&env);
	assert_non_null(b->m);
	controller_power_on(&b->c, b->m);
	ft600_power_on(&b->f);
	acq_power_on(&b->a);
	b->urb = (struct usb_urb){ .setup = { 0, 9, 1 }, .done = done };
	b->f.usb.submit(&b->f.usb, &b->urb);
	b->urb = (struct usb_urb){
		.setup = { 0x40, 2, 2, 0, 0, 0, 2, 0 }, .data = dir, .len = 2, .done = done,
	};
	b->f.usb.submit(&b->f.usb, &b->urb);
	assert_int_equal(b->urb.status, USB_OK);
	return 0;
}

static int teardown(void **state)
{
	uint64_t violations = b->v.total;

	(void)state;
	ft600_quiet(&b->f, USB_FAILED);
	model_free(b->m);
	controller_free(&b->c);
	fifo_free(&b->fifo);
	free(b);
	memset(&acq_cfg, 0, sizeof(acq_cfg));
	ram = 1 << 20;
	return violations != 0;
}

static int setup_bursts(void **state)
{
	acq_cfg.burst_bytes = 1500;
	return setup(state);
}

static int setup_idle(void **state)
{
	acq_cfg.idle_ns = 3 * MS;
	return setup(state);
}

static int setup_hold(void **state)
{
	acq_cfg.hold_stopped = true;
	return setup(state);
}

static int setup_small_ram(void **state)
{
	ram = 65536;
	return setup(state);
}

/* Reset, take the table away, and beat as often as wanted. */
static void prepare(uint32_t hz)
{
	write_reg(REG_RESET, 1);
	pass(1);
	while (replies() > 0)
		;
	write_reg(REG_DEV_ADDR, HEARTBEAT);
	write_reg(REG_REG_ADDR, 1);
	write_reg(REG_RW, 1);
	write_reg(REG_VALUE, MODEL_ACQ_HZ / hz);
	write_reg(REG_TRIGGER, 1);
	pass(1);
	assert_int_equal(replies(), 7);
}

static void assert_frame(const uint8_t *p)
{
	assert_int_equal(get32(p + 8), HEARTBEAT);
	assert_int_equal(get32(p + 12), 8);
}

/* ---- commands and replies ---- */

static void test_register_value(void **state)
{
	(void)state;
	write_reg(REG_HWADDRESS, 0x11223344);
	read_reg(REG_HWADDRESS);
	assert_int_equal(replies(), 5);
	assert_memory_equal(b->in, "\x02\x44\x33\x22\x11", 5);
}

static void test_several_commands_in_one_transfer(void **state)
{
	static const uint8_t c[9 + 5 + 5 + 9 + 5] = {
		1, 10, 0, 0, 0, 0xaa, 0, 0, 0,
		2, 10, 0, 0, 0,
		3, 0, 0, 0x0a, 0x0a,
		1, 10, 0, 0, 0, 0xbb, 0, 0, 0,
		2, 10, 0, 0, 0,
	};

	(void)state;
	out(0x03, c, sizeof(c));
	assert_int_equal(replies(), 10);
	assert_memory_equal(b->in, "\x02\xaa\0\0\0\x02\xbb\0\0\0", 10);
	assert_int_equal(b->a.priority, 0x0a0a0000);
	assert_int_equal(b->a.stats.commands, 5);
}

static void test_command_split_over_transfers(void **state)
{
	static const uint8_t c[14] = { 1, 10, 0, 0, 0, 0x99, 0, 0, 0, 2, 10, 0, 0, 0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(c); i++)
		out(0x03, c + i, 1);
	assert_int_equal(replies(), 5);
	assert_memory_equal(b->in, "\x02\x99\0\0\0", 5);
}

static void test_unknown_command(void **state)
{
	(void)state;
	out(0x03, "\x04", 1);
	assert_violation(VIOLATION_USB_COMMAND);
	out(0x03, "\x00", 1);
	assert_violation(VIOLATION_USB_COMMAND);
	/* It is skipped, and what follows is understood. */
	read_reg(REG_RUNNING);
	assert_int_equal(replies(), 5);
}

static void test_registers_that_do_not_exist_are_counted(void **state)
{
	(void)state;
	write_reg(REG_HWADDRESS, 1);
	assert_int_equal(b->a.stats.unknown_registers, 0);
	write_reg(11, 1);
	read_reg(0x1000);
	assert_int_equal(replies(), 5);
	assert_memory_equal(b->in, "\x02\0\0\0\0", 5);
	assert_int_equal(b->a.stats.unknown_registers, 2);
}

static void test_signals_have_a_tag(void **state)
{
	(void)state;
	write_reg(REG_DEV_ADDR, 0xfe);
	write_reg(REG_TRIGGER, 1);
	pass(1);
	assert_int_equal(replies(), 7);
	assert_memory_equal(b->in, "\x01\x02\x08\x01\x01\x01\x00", 7);
	write_reg(REG_RW, 1);
	write_reg(REG_TRIGGER, 1);
	pass(1);
	assert_int_equal(replies(), 7);
	assert_memory_equal(b->in, "\x01\x02\x04\x01\x01\x01\x00", 7);
}

/* Values come between the packets of a table, never inside of one. */
static void test_items_stay_whole(void **state)
{
	unsigned int packets = 0, values = 0;
	int n, i;

	(void)state;
	write_reg(REG_RESET, 1);
	read_reg(REG_ACQCLK_HZ);
	read_reg(REG_SYSCLK_HZ);
	pass(2);
	n = replies();
	for (i = 0; i < n; ) {
		if (b->in[i] == 2) {
			assert_int_equal(get32(b->in + i + 1), MODEL_ACQ_HZ);
			values++;
			i += 5;
			continue;
		}
		assert_int_equal(b->in[i++], 1);
		while (b->in[i++])
			;
		packets++;
	}
	assert_int_equal(i, n);
	assert_int_equal(values, 2);
	assert_int_equal(packets, 1 + 10 + 5);
}

/* Not even when the buffer of the bridge was full in the middle of one. */
static void test_value_waits_for_the_end_of_a_signal(void **state)
{
	unsigned int n = 0, i;
	int got;

	(void)state;
	write_reg(REG_DEV_ADDR, 0xfe);
	for (i = 0; i < ACQ_PIPE_BYTES / 5 - 1; i++) {
		read_reg(REG_HWADDRESS);
		step();
	}
	write_reg(REG_TRIGGER, 1);
	pass(1);
	assert_true(b->a.inside);
	read_reg(REG_ACQCLK_HZ);
	while ((got = replies()) > 0) {
		for (i = 0; i < (unsigned int)got; i++)
			b->all[n++] = b->in[i];
		step();
	}
	assert_int_equal(n, (ACQ_PIPE_BYTES / 5 - 1) * 5 + 7 + 5);
	assert_memory_equal(b->all + n - 12, "\x01\x02\x08\x01\x01\x01\x00\x02", 8);
	assert_int_equal(get32(b->all + n - 4), MODEL_ACQ_HZ);
}

/* More replies than the bridge holds wait behind it. */
static void test_reply_buffer_is_bounded(void **state)
{
	unsigned int total = 0, i;
	int n;

	(void)state;
	for (i = 0; i < 1000; i++) {
		read_reg(REG_RUNNING);
		step();
	}
	assert_true(b->a.reply_len <= ACQ_PIPE_BYTES);
	while ((n = replies()) > 0)
		total += (unsigned int)n;
	/* 64 more waited for room; those after them found none and are lost. */
	assert_int_equal(total, (ACQ_PIPE_BYTES / 5 + REPLY_WORDS) * 5);
}

static void test_batch_never_fills_its_packet(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 204; i++) {
		read_reg(REG_RUNNING);
		step();
	}
	fault("usb-reply-garbage 4");
	fault("usb-reply-late 1 5");
	read_reg(REG_RUNNING);
	step();
	/* Five bytes more than a packet; then exactly a packet. */
	assert_int_equal(b->a.reply_len, 1029);
	pass(5);
	assert_int_equal(replies(), 1029);
	for (i = 0; i < 204; i++) {
		read_reg(REG_RUNNING);
		step();
	}
	fault("usb-reply-garbage 4");
	read_reg(REG_RUNNING);
	step();
	session(0x83, 1, 5);
	assert_int_equal(in(0x83, 1024, 5), 5);
	assert_int_equal(b->a.reply_len, 1024);
	assert_int_equal(replies(), 1023);
	assert_int_equal(replies(), 1);
}

/* ---- write frames ---- */

static void test_write_frame_in_pieces(void **state)
{
	uint8_t f[12];

	(void)state;
	prepare(100);
	put32(f, 0x102);
	put32(f + 4, 1);
	put32(f + 8, 0x1234);
	out(0x02, f, 4);
	out(0x02, f + 4, 8);
	assert_int_equal(b->c.stats.write_frames, 1);
	out(0x02, f, 12);
	assert_int_equal(b->c.stats.write_frames, 2);
}

static void test_write_stream_has_words(void **state)
{
	(void)state;
	out(0x02, "\x02\x01\0\0\x01\0", 6);
	assert_violation(VIOLATION_USB_OUT_LENGTH);
}

/* ---- reset by GPIO 0 ---- */

static void test_fifos_in_reset_take_nothing(void **state)
{
	(void)state;
	gpio0(0x05);
	out(0x03, "\x02\x05\0\0\0", 5);
	assert_violation(VIOLATION_USB_FIFO_RESET);
	out(0x02, "\x02\x01\0\0", 4);
	assert_violation(VIOLATION_USB_FIFO_RESET);
	assert_int_equal(replies(), -1);
	gpio0(0x04);
	read_reg(REG_RUNNING);
	assert_int_equal(replies() > 0, 1);
	assert_int_equal(b->a.stats.fifo_resets, 1);
}

static void test_reset_empties_the_fifos(void **state)
{
	(void)state;
	prepare(10000);
	write_reg(REG_HWADDRESS, 0x55);
	write_reg(REG_RESET_COUNTER, 2);
	pass(50);
	assert_true(fifo_used(&b->fifo) > 0);
	gpio0(0x05);
	pass(5);
	/* Devices go on, and their frames are gone. */
	assert_int_equal(fifo_used(&b->fifo), 0);
	assert_conserved();
	session(0x82, 3, 0);
	gpio0(0x04);
	pass(5);
	session(0x82, 2, 0x10000);
	assert_int_equal(in(0x82, 1024, 20), 1024);
	assert_frame(b->in);
	/* Registers stay. */
	write_reg(REG_RUNNING, 0);
	read_reg(REG_HWADDRESS);
	pass(1);
	assert_int_equal(replies(), 5);
	assert_int_equal(b->in[1], 0x55);
	assert_conserved();
}

static void test_reset_forgets_half_a_command(void **state)
{
	(void)state;
	out(0x03, "\x01\x0a\0\0\0\x77", 6);
	out(0x02, "\x02\x01\0\0", 4);
	gpio0(0x05);
	gpio0(0x04);
	read_reg(REG_HWADDRESS);
	assert_int_equal(replies(), 5);
	assert_int_equal(b->in[1], 0);
	assert_int_equal(b->c.wr_fill, 0);
}

/* ---- read frames ---- */

static void test_packets_are_full(void **state)
{
	(void)state;
	prepare(10000);
	session(0x82, 2, 0x10000);
	write_reg(REG_RESET_COUNTER, 2);
	/* 240 bytes per millisecond. */
	assert_int_equal(in(0x82, 8192, 20), -1);
	assert_int_equal(in(0x82, 8192, 30), 8192);
	assert_frame(b->in);
	assert_frame(b->in + 340 * FRAME);
	assert_int_equal(beat()->delivered, 8192 / FRAME);
	assert_conserved();
}

static void test_frames_in_the_bridge_left_card_ram(void **state)
{
	const struct fifo_device *d = beat();

	(void)state;
	prepare(10000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(10);		/* 2400 bytes: all of them fit into the bridge */
	assert_int_equal(fifo_used(&b->fifo), 0);
	assert_int_equal(b->a.stage.len, 100 * FRAME - (d->produced == 99) * FRAME);
	assert_int_equal(d->delivered, 0);
	assert_int_equal(fifo_left(d), d->produced);
	assert_conserved();
	/* A flush drops them. */
	session(0x82, 3, 0);
	assert_int_equal(b->a.stage.len, 0);
	assert_int_equal(d->discarded, d->produced);
	assert_conserved();
}

static void test_flush_cuts_a_frame(void **state)
{
	const struct fifo_device *d = beat();
	uint64_t dropped;

	(void)state;
	prepare(10000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(30);		/* 7200 bytes: 4096 of them are in the bridge */
	assert_int_equal(b->a.stage.len, 4096);
	session(0x82, 0, 0);
	dropped = d->discarded;
	assert_int_equal(dropped, 4096 / FRAME);
	session(0x82, 2, 0x10000);
	assert_int_equal(in(0x82, 1024, 5), 1024);
	/* 16 bytes of the frame that was cut were dropped: it does not count as delivered. */
	assert_int_equal(d->discarded, dropped + 1);
	assert_int_equal(d->delivered, (1024 - 8) / FRAME);
	assert_frame(b->in + 8);
	assert_conserved();
}

static void test_start_finds_what_the_bridge_holds(void **state)
{
	(void)state;
	prepare(10000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(30);
	write_reg(REG_RUNNING, 0);
	pass(5);
	assert_int_equal(b->a.stage.len, 4096);
	/* Card RAM is emptied by a start, the bridge is not. */
	write_reg(REG_RESET_COUNTER, 2);
	pass(1);
	assert_int_equal(b->a.stage.len, 4096);
	session(0x82, 2, 0x10000);
	assert_int_equal(in(0x82, 8192, 40), 8192);
	assert_frame(b->in);
	/* After 170 frames and 16 bytes of one begins the new run. */
	assert_frame(b->in + 4096);
	assert_true(get32(b->in + 4096) < 2 * MODEL_ACQ_HZ / 10000);
	assert_conserved();
}

static void test_flush_before_a_start_makes_it_clean(void **state)
{
	(void)state;
	prepare(10000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(30);
	write_reg(REG_RUNNING, 0);
	pass(1);
	gpio0(0x05);
	session(0x82, 3, 0);
	gpio0(0x04);
	write_reg(REG_RESET_COUNTER, 2);
	session(0x82, 2, 0x10000);
	assert_int_equal(in(0x82, 1024, 20), 1024);
	assert_frame(b->in);
	assert_true(get32(b->in) < 2 * MODEL_ACQ_HZ / 10000);
	/* The bridge held the beginning of a frame: that is none of these. */
	assert_int_equal(beat()->delivered, 1024 / FRAME);
	assert_conserved();
}

/* The rest of a frame that the bridge held the beginning of went with card RAM. */
static void test_reset_while_running_makes_it_clean(void **state)
{
	(void)state;
	prepare(10000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(30);
	gpio0(0x05);
	session(0x82, 3, 0);
	gpio0(0x04);
	session(0x82, 2, 0x10000);
	assert_int_equal(in(0x82, 1024, 20), 1024);
	assert_frame(b->in);
	assert_int_equal(beat()->delivered, 1024 / FRAME);
	assert_conserved();
}

static void test_rest_after_a_stop_can_be_read(void **state)
{
	(void)state;
	prepare(10000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(100);
	write_reg(REG_RUNNING, 0);
	session(0x82, 2, 0x10000);
	assert_int_equal(in(0x82, 16384, 5), 16384);
	assert_int_equal(in(0x82, 4096, 5), 4096);
	assert_int_equal(in(0x82, 4096, 5), -1);
	assert_conserved();
}

static void test_bridge_may_be_fed_only_while_running(void **state)
{
	(void)state;
	prepare(10000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(100);
	write_reg(REG_RUNNING, 0);
	session(0x82, 2, 0x10000);
	assert_int_equal(in(0x82, 16384, 5), -1);
	assert_int_equal(in(0x82, 4096, 5), 4096);
	assert_int_equal(in(0x82, 1024, 5), -1);
	assert_conserved();
}

static void test_bursts_end_in_short_packets(void **state)
{
	(void)state;
	prepare(100000);
	session(0x82, 2, 0x10000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(10);
	assert_int_equal(in(0x82, 8192, 5), 1500);
	assert_frame(b->in);
	assert_int_equal(in(0x82, 8192, 5), 1500);
	/* 1500 is 62 frames and a half: the second burst began with the other half. */
	assert_frame(b->in + 12);
	assert_int_equal(in(0x82, 1024, 5), 1024);
	assert_int_equal(in(0x82, 1024, 5), 476);
	assert_conserved();
}

static void test_idle_ends_a_burst(void **state)
{
	(void)state;
	prepare(100);
	session(0x82, 2, 0x10000);
	write_reg(REG_RESET_COUNTER, 2);
	assert_int_equal(in(0x82, 8192, 5), -1);
	assert_int_equal(in(0x82, 8192, 30), FRAME);
	assert_frame(b->in);
	assert_int_equal(in(0x82, 8192, 30), FRAME);
	assert_conserved();
}

static void test_full_ram_loses_whole_frames(void **state)
{
	const struct fifo_device *d = beat();
	uint32_t at, last = 0;

	(void)state;
	prepare(100000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(100);		/* 240 kB into 64 kB and the bridge */
	write_reg(REG_RUNNING, 0);
	assert_true(d->lost > 5000);
	assert_conserved();
	session(0x82, 2, 0x10000);
	assert_int_equal(in(0x82, 65536, 5), 65536);
	for (at = 0; at + FRAME <= 65536; at += FRAME) {
		assert_frame(b->in + at);
		assert_true(get32(b->in + at) > last);
		last = get32(b->in + at);
	}
	assert_conserved();
}

static void test_controller_reset_drops_card_ram(void **state)
{
	(void)state;
	prepare(10000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(30);
	write_reg(REG_RESET, 1);
	pass(1);
	assert_int_equal(fifo_used(&b->fifo), 0);
	assert_int_equal(b->a.stage.len, 4096);
	assert_int_equal(b->c.reg[REG_RUNNING], 0);
	assert_conserved();
}

/* ---- injected ---- */

static void test_short_bursts(void **state)
{
	unsigned int i, cut = 0;
	int n;

	(void)state;
	prepare(100000);
	session(0x82, 2, 0x10000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(10);
	fault("usb-short 3 7");
	for (i = 0; i < 6; i++) {
		n = in(0x82, 1024, 5);
		assert_true(n > 0);
		assert_int_equal(n % 4, 0);
		cut += n < 1024;
	}
	assert_int_equal(cut, 3);
	assert_int_equal(b->faults.order[FAULT_USB_SHORT].left, 0);
	assert_conserved();
}

static void test_reply_faults(void **state)
{
	unsigned int i;

	(void)state;
	fault("reply-lost 1");
	read_reg(REG_RUNNING);
	assert_int_equal(replies(), -1);

	fault("usb-reply-late 1 20");
	read_reg(REG_RUNNING);
	assert_int_equal(replies(), -1);
	pass(20);
	assert_int_equal(replies(), 5);

	fault("usb-reply-split 5");
	read_reg(REG_RUNNING);
	for (i = 0; i < 5; i++)
		assert_int_equal(replies(), 1);
	assert_int_equal(replies(), -1);

	fault("usb-reply-garbage 3");
	read_reg(REG_ACQCLK_HZ);
	assert_int_equal(replies(), 8);
	for (i = 0; i < 3; i++)
		assert_true(b->in[i] != 1 && b->in[i] != 2);
	assert_int_equal(b->in[3], 2);
	assert_int_equal(get32(b->in + 4), MODEL_ACQ_HZ);

	fault("reply-twice 1");
	read_reg(REG_RUNNING);
	assert_int_equal(replies(), 10);
}

static void test_blocks_after_a_stop(void **state)
{
	(void)state;
	prepare(10000);
	session(0x82, 2, 0x10000);
	write_reg(REG_RESET_COUNTER, 2);
	pass(10);
	fault("after-stop 2");
	write_reg(REG_RUNNING, 0);
	while (in(0x82, 1024, 1) > 0)
		;
	assert_int_equal(in(0x82, 1024, 10) > 0 || b->faults.order[FAULT_AFTER_STOP].done == 2, 1);
	pass(5);
	assert_int_equal(b->faults.order[FAULT_AFTER_STOP].left, 0);
	assert_conserved();
}

#define T(f)		cmocka_unit_test_setup_teardown(f, setup, teardown)
#define T_ON(f, s)	cmocka_unit_test_setup_teardown(f, s, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_register_value),
		T(test_several_commands_in_one_transfer),
		T(test_command_split_over_transfers),
		T(test_unknown_command),
		T(test_registers_that_do_not_exist_are_counted),
		T(test_signals_have_a_tag),
		T(test_items_stay_whole),
		T(test_value_waits_for_the_end_of_a_signal),
		T(test_reply_buffer_is_bounded),
		T(test_batch_never_fills_its_packet),
		T(test_write_frame_in_pieces),
		T(test_write_stream_has_words),
		T(test_fifos_in_reset_take_nothing),
		T(test_reset_empties_the_fifos),
		T(test_reset_forgets_half_a_command),
		T(test_packets_are_full),
		T(test_frames_in_the_bridge_left_card_ram),
		T(test_flush_cuts_a_frame),
		T(test_start_finds_what_the_bridge_holds),
		T(test_flush_before_a_start_makes_it_clean),
		T(test_reset_while_running_makes_it_clean),
		T(test_rest_after_a_stop_can_be_read),
		T_ON(test_bridge_may_be_fed_only_while_running, setup_hold),
		T_ON(test_bursts_end_in_short_packets, setup_bursts),
		T_ON(test_idle_ends_a_burst, setup_idle),
		T_ON(test_full_ram_loses_whole_frames, setup_small_ram),
		T(test_controller_reset_drops_card_ram),
		T(test_short_bursts),
		T(test_reply_faults),
		T(test_blocks_after_a_stop),
	};

	return cmocka_run_group_tests_name("sim acq", tests, NULL, NULL);
}
