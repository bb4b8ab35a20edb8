/* SPDX-License-Identifier: MIT */
/*
 * test_sim_usb.h - what host software of the Acquisition Board does, for tests.
 *
 * Owns the requests a test has open and the reply parser. How requests reach
 * the simulator is up to the test (usbredir, USB/IP): it fills host->submit,
 * cancel and pump. Any surprise ends the test.
 * Threads: none besides the simulator's process.
 * Source: liboni (onidriver_ft600.c, oni.c).
 */
#ifndef TEST_SIM_USB_H
#define TEST_SIM_USB_H

#include <time.h>

#include "test_sim_client.h"

#define USB_STALL	-2
#define USB_GONE	-3
#define USB_CANCELED	-4
#define USB_OTHER	-5
#define PENDING		1000

struct xfer {
	uint8_t ep;
	uint8_t setup[8];
	uint8_t *data;
	uint32_t len, actual;
	int status;		/* PENDING, 0 or one of the above */
	uint64_t id;
	uint64_t when;		/* it was over: number in the order of answers */
	struct xfer *next;	/* the host's while it is pending */
};

struct host {
	struct client cl;
	void (*submit)(struct host *h, struct xfer *x);
	void (*cancel)(struct host *h, struct xfer *x);
	/* Handle what comes within @ms; true if something did. */
	bool (*pump)(struct host *h, int ms);
	struct xfer *pending;
	uint64_t next_id, answers;
	bool gone;

	/* The request that waits on the reply pipe, and what came out of it. */
	struct xfer reply;
	uint8_t reply_buf[8192];
	uint8_t item[300];	/* of the item that is being received */
	unsigned int item_len;
	uint32_t value[16];
	unsigned int value_head, values;
	uint8_t signal[128][300];	/* COBS packets without their end */
	unsigned int signal_len[128], signal_head, signals;
	unsigned int skipped;	/* bytes that were neither */
};

struct usb_row {
	uint32_t addr, id, version, read_size, write_size;
};

static inline uint64_t host_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline uint32_t usb_get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void usb_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}

/* ---- requests ---- */

static inline void host_submit(struct host *h, struct xfer *x)
{
	x->status = PENDING;
	x->actual = 0;
	x->id = ++h->next_id;
	x->next = h->pending;
	h->pending = x;
	h->submit(h, x);
}

/* For the attachment: the request with @id is over; NULL if there is none. */
static inline struct xfer *host_finish(struct host *h, uint64_t id, int status, uint32_t actual)
{
	struct xfer **at = &h->pending, *x;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	x = *at;
	if (!x)
		return NULL;
	*at = x->next;
	x->status = status;
	x->actual = actual;
	x->when = ++h->answers;
	return x;
}

static inline void host_lost(struct host *h)
{
	h->gone = true;
	while (h->pending)
		host_finish(h, h->pending->id, USB_GONE, 0);
}

/* True when @x is over within @ms. */
static inline bool host_wait(struct host *h, struct xfer *x, unsigned int ms)
{
	uint64_t end = host_now_ms() + ms, now;

	while (x->status == PENDING && (now = host_now_ms()) < end)
		h->pump(h, (int)(end - now));
	return x->status != PENDING;
}

/* Bytes moved, or one of the negative numbers above. */
static inline int host_result(struct host *h, struct xfer *x)
{
	if (!host_wait(h, x, 5000))
		fail_msg("no answer on endpoint 0x%02x", x->ep);
	return x->status ? x->status : (int)x->actual;
}

static inline int host_bulk(struct host *h, uint8_t ep, void *data, uint32_t len)
{
	struct xfer x = { .ep = ep, .data = data, .len = len };

	host_submit(h, &x);
	return host_result(h, &x);
}

static inline int host_control(struct host *h, uint8_t type, uint8_t request, uint16_t value,
			       uint16_t index, void *data, uint16_t len)
{
	struct xfer x = {
		.setup = { type, request, (uint8_t)value, (uint8_t)(value >> 8),
			   (uint8_t)index, (uint8_t)(index >> 8), (uint8_t)len,
			   (uint8_t)(len >> 8) },
		.data = data, .len = len,
	};

	host_submit(h, &x);
	return host_result(h, &x);
}

/* ---- the chip ---- */

static inline void ft_session(struct host *h, uint8_t pipe, uint8_t cmd, uint32_t len)
{
	uint8_t p[20] = { 1, 0, 0, 0, pipe, cmd };

	usb_put32(p + 8, len);
	assert_int_equal(host_bulk(h, 0x01, p, sizeof(p)), sizeof(p));
}

static inline void ft_gpio(struct host *h, uint16_t what, uint8_t bits)
{
	uint8_t d[2] = { bits, 0 };

	assert_int_equal(host_control(h, 0x40, 0x02, what, 0, d, 2), 2);
}

static inline void ft_fifo_reset(struct host *h)
{
	ft_gpio(h, 1, 0x05);
	ft_session(h, 0x82, 0, 0);
	ft_session(h, 0x82, 3, 0);
	ft_gpio(h, 1, 0x04);
}

/* What the library and the translator do when they open the board. */
static inline void ft_open(struct host *h)
{
	static const uint8_t want[] = { 3, 0, 0, 0x0a, 0x0a };
	uint8_t d[152], prio[5];

	assert_int_equal(host_control(h, 0xc0, 0x03, 1, 0x8400, d, 4), 4);
	assert_int_equal(d[3] & 2, 0);
	assert_int_equal(host_control(h, 0xc0, 0x03, 1, 0x8000, d, 4), 4);
	assert_int_equal(d[2] & 0x20, 0x20);
	assert_int_equal(host_control(h, 0xc0, 0xcf, 1, 0, d, 152), 152);
	assert_int_equal(d[138], 1);
	assert_int_equal(d[140] | d[141], 0);
	ft_session(h, 0x82, 3, 0);
	ft_session(h, 0x83, 3, 0);
	ft_gpio(h, 3, 0x2d);
	ft_gpio(h, 1, 0x04);
	ft_gpio(h, 2, 0x05);
	ft_fifo_reset(h);
	memcpy(prio, want, sizeof(prio));
	assert_int_equal(host_bulk(h, 0x03, prio, sizeof(prio)), sizeof(prio));
}

/* ---- replies ---- */

static inline void reply_byte(struct host *h, uint8_t byte)
{
	if (!h->item_len && byte != 1 && byte != 2) {
		h->skipped++;
		return;
	}
	assert_true(h->item_len < sizeof(h->item));
	h->item[h->item_len++] = byte;
	if (h->item[0] == 2 && h->item_len == 5) {
		assert_true(h->values < 16);
		h->value[(h->value_head + h->values++) % 16] = usb_get32(h->item + 1);
		h->item_len = 0;
	} else if (h->item[0] == 1 && h->item_len > 1 && !byte) {
		unsigned int at = (h->signal_head + h->signals++) % 128;

		assert_true(h->signals <= 128);
		h->signal_len[at] = h->item_len - 2;
		memcpy(h->signal[at], h->item + 1, h->item_len - 2);
		h->item_len = 0;
	}
}

/* Keep one read open on the reply pipe and take in what comes within @ms. */
static inline void reply_pump(struct host *h, unsigned int ms)
{
	uint32_t i;

	if (!h->reply.ep) {
		ft_session(h, 0x83, 1, sizeof(h->reply_buf));
		h->reply = (struct xfer){ .ep = 0x83, .data = h->reply_buf,
					  .len = sizeof(h->reply_buf) };
		host_submit(h, &h->reply);
	}
	if (!host_wait(h, &h->reply, ms))
		return;
	assert_int_equal(h->reply.status, 0);
	for (i = 0; i < h->reply.actual; i++)
		reply_byte(h, h->reply_buf[i]);
	h->reply.ep = 0;
}

/* -1: none came. */
static inline int reply_value(struct host *h, uint32_t *val, unsigned int ms)
{
	uint64_t end = host_now_ms() + ms;

	while (!h->values && host_now_ms() < end)
		reply_pump(h, 20);
	if (!h->values)
		return -1;
	*val = h->value[h->value_head++ % 16];
	h->value_head %= 16;
	h->values--;
	return 0;
}

/* One signal packet without COBS; its length, or -1. */
static inline int reply_signal(struct host *h, uint8_t *to, unsigned int ms)
{
	uint64_t end = host_now_ms() + ms;
	unsigned int len = 0, i, code, n;
	const uint8_t *p;

	while (!h->signals && host_now_ms() < end)
		reply_pump(h, 20);
	if (!h->signals)
		return -1;
	p = h->signal[h->signal_head];
	n = h->signal_len[h->signal_head];
	for (i = 0; i < n; ) {
		code = p[i++];
		assert_true(i + code - 1 <= n);
		memcpy(to + len, p + i, code - 1);
		len += code - 1;
		i += code - 1;
		if (i < n)
			to[len++] = 0;
	}
	h->signal_head = (h->signal_head + 1) % 128;
	h->signals--;
	return (int)len;
}

/* ---- the controller ---- */

static inline void conf_write(struct host *h, uint32_t reg, uint32_t val)
{
	uint8_t c[9] = { 1 };

	usb_put32(c + 1, reg);
	usb_put32(c + 5, val);
	assert_int_equal(host_bulk(h, 0x03, c, sizeof(c)), sizeof(c));
}

static inline uint32_t conf_read(struct host *h, uint32_t reg)
{
	uint8_t c[5] = { 2 };
	uint32_t val = 0;

	usb_put32(c + 1, reg);
	assert_int_equal(host_bulk(h, 0x03, c, sizeof(c)), sizeof(c));
	if (reply_value(h, &val, 3000))
		fail_msg("no value of register %u", reg);
	return val;
}

/* As the translator sends it: several commands in one transfer. 0 or -1 (NACK). */
static inline int dev_access(struct host *h, uint32_t addr, uint32_t reg, uint32_t *val, bool write)
{
	uint8_t c[45], pkt[300];
	const uint32_t regs[5][2] = {
		{ 0, addr }, { 1, reg }, { 3, write }, { write ? 2 : 4, write ? *val : 1 },
		{ 4, 1 },
	};
	unsigned int n = write ? 5 : 4, i;
	uint32_t sig;

	for (i = 0; i < n; i++) {
		c[9 * i] = 1;
		usb_put32(c + 9 * i + 1, regs[i][0]);
		usb_put32(c + 9 * i + 5, regs[i][1]);
	}
	assert_int_equal(host_bulk(h, 0x03, c, 9 * n), 9 * n);
	assert_int_equal(reply_signal(h, pkt, 3000), 4);
	sig = usb_get32(pkt);
	if (sig == (write ? 0x04 : 0x10))
		return -1;
	assert_int_equal(sig, write ? 0x02 : 0x08);
	if (!write)
		*val = conf_read(h, 2);
	return 0;
}

static inline uint32_t dev_read(struct host *h, uint32_t addr, uint32_t reg)
{
	uint32_t val = 0;

	if (dev_access(h, addr, reg, &val, false))
		fail_msg("read of 0x%x register 0x%x was refused", addr, reg);
	return val;
}

static inline void dev_write(struct host *h, uint32_t addr, uint32_t reg, uint32_t val)
{
	if (dev_access(h, addr, reg, &val, true))
		fail_msg("write of 0x%x register 0x%x was refused", addr, reg);
}

/* Reset and read the table; returns its number of rows. */
static inline unsigned int ctl_reset(struct host *h, struct usb_row *rows, unsigned int max)
{
	unsigned int n, i;
	uint8_t pkt[300];

	conf_write(h, 6, 1);
	assert_int_equal(reply_signal(h, pkt, 3000), 8);
	assert_int_equal(usb_get32(pkt), 0x20);
	n = usb_get32(pkt + 4);
	assert_true(n <= max);
	for (i = 0; i < n; i++) {
		assert_int_equal(reply_signal(h, pkt, 3000), 24);
		assert_int_equal(usb_get32(pkt), 0x40);
		memcpy(&rows[i], pkt + 4, sizeof(rows[i]));
	}
	return n;
}

/* ---- the simulator ---- */

static inline void host_ask(struct host *h, const char *request)
{
	char buf[32768];

	if (client_ask(&h->cl, request, buf, sizeof(buf)))
		fail_msg("%s: %s", request, buf);
}

static inline uint64_t host_frames(struct host *h, uint32_t addr, const char *what)
{
	char key[64];

	snprintf(key, sizeof(key), "frames.0x%x.%s", addr, what);
	return client_status(&h->cl, key);
}

static inline void host_conserved(struct host *h, uint32_t addr)
{
	assert_int_equal(host_frames(h, addr, "produced"),
			 host_frames(h, addr, "delivered") + host_frames(h, addr, "left") +
			 host_frames(h, addr, "lost"));
}

/* Submit @x and go on when the device has it: the control socket is another way in. */
static inline void host_park(struct host *h, struct xfer *x)
{
	uint64_t before = client_status(&h->cl, "usb.urbs"), end = host_now_ms() + 5000;

	host_submit(h, x);
	while (client_status(&h->cl, "usb.urbs") == before)
		assert_true(host_now_ms() < end);
}

/* ---- read frames ---- */

typedef void (*frame_fn)(void *ctx, const uint8_t *frame, uint32_t size);

/* Frames in @data of @len bytes from @at on; calls @fn for each whole one, returns the rest. */
static inline uint32_t each_frame(const uint8_t *data, uint32_t len, frame_fn fn, void *ctx)
{
	uint32_t at = 0, size;

	while (len - at >= 16) {
		size = usb_get32(data + at + 12);
		assert_true(size >= 8 && size < 65536);
		size = 16 + ((size + 3) & ~3u);
		if (size > len - at)
			break;
		fn(ctx, data + at, size);
		at += size;
	}
	return len - at;
}

struct tally {
	uint64_t frames[512], clock;
	uint32_t sample;	/* of the Rhythm, next one */
};

/* Rhythm frames with the two streams of a RHD2164 on A1, all channels a ramp. */
static inline void check_rhythm(struct tally *t, const uint8_t *f)
{
	const uint8_t *p = f + 24;
	unsigned int ch;
	uint32_t n;

	assert_int_equal(usb_get32(f + 12), 40 + 72 * 2);
	assert_int_equal(usb_get32(p), 0x27021942);
	assert_int_equal(usb_get32(p + 4), 0xc6911999);
	n = usb_get32(p + 8);
	assert_int_equal(n, t->sample++);
	for (ch = 0; ch < 32; ch++) {
		uint32_t both = usb_get32(p + 12 + 12 + 4 * ch);

		assert_int_equal(both & 0xffff, (n * 64 + ch) & 0xffff);
		assert_int_equal(both >> 16, (n * 64 + 32 + ch) & 0xffff);
	}
}

static inline void check_frame(void *ctx, const uint8_t *frame, uint32_t size)
{
	uint64_t clock = usb_get32(frame) | (uint64_t)usb_get32(frame + 4) << 32;
	uint32_t addr = usb_get32(frame + 8);
	struct tally *t = ctx;

	(void)size;
	assert_true(addr < 512);
	t->frames[addr]++;
	assert_true(clock >= t->clock);
	t->clock = clock;
	if (addr == 0x101)
		check_rhythm(t, frame);
}

/* Reset, Rhythm on with two streams of A1, reset so that it acts. */
static inline void rhythm_setup(struct host *h, struct usb_row *rows, unsigned int max)
{
	ctl_reset(h, rows, max);
	dev_write(h, 0x101, 0, 1);
	dev_write(h, 0x101, 1, 2);
	dev_write(h, 0x101, 3, 0x5555);
	dev_write(h, 0x101, 13, 0x80);
	dev_write(h, 0x101, 15, 3);
	dev_write(h, 0x001, 0, 1);
	ctl_reset(h, rows, max);
}

#endif
