// SPDX-License-Identifier: MIT
/* unit-libs: -lusbredirparser */
/*
 * test_sim_usbredir.c - the whole simulated Acquisition Board, through usbredir.
 *
 * Every test starts an onisim of its own and is QEMU's usb-redir and the host
 * software of the board at once. The guest side is libusbredirparser's.
 */
#include "test_sim_usb.h"

#include <usbredirparser.h>

#define MAX_ROWS	64
#define BLOCK		24576u

static struct host h;
static struct usbredirparser *parser;
static int sock;
static struct {
	struct usb_redir_device_connect_header dev;
	struct usb_redir_interface_info_header ifs;
	struct usb_redir_ep_info_header eps;
	unsigned int connects, disconnects, order;
	int status;		/* of the last message with one; -1: none came */
	uint8_t value;
	bool eof;
} seen;

/* ---- guest side of the protocol ---- */

static int cb_read(void *priv, uint8_t *data, int count)
{
	ssize_t n = recv(sock, data, (size_t)count, MSG_DONTWAIT);

	(void)priv;
	if (n > 0)
		return (int)n;
	if (n < 0 && errno == EAGAIN)
		return 0;
	seen.eof = true;
	return -1;
}

static int cb_write(void *priv, uint8_t *data, int count)
{
	ssize_t n = send(sock, data, (size_t)count, MSG_NOSIGNAL);

	(void)priv;
	return (int)n;
}

static void cb_log(void *priv, int level, const char *msg)
{
	(void)priv;
	if (level <= usbredirparser_warning && !seen.eof)
		fail_msg("usbredir: %s", msg);
}

static void cb_connect(void *priv, struct usb_redir_device_connect_header *d)
{
	(void)priv;
	/* Interfaces and endpoints have to be known before. */
	assert_int_equal(seen.order, 2);
	seen.dev = *d;
	seen.connects++;
	h.gone = false;
}

static void cb_disconnect(void *priv)
{
	(void)priv;
	seen.disconnects++;
	seen.order = 0;
	host_lost(&h);
}

static void cb_interfaces(void *priv, struct usb_redir_interface_info_header *i)
{
	(void)priv;
	seen.ifs = *i;
	seen.order = 1;
}

static void cb_endpoints(void *priv, struct usb_redir_ep_info_header *e)
{
	(void)priv;
	seen.eps = *e;
	seen.order = 2;
}

static int status_of(uint8_t status)
{
	switch (status) {
	case usb_redir_success:
		return 0;
	case usb_redir_stall:
		return USB_STALL;
	case usb_redir_cancelled:
		return USB_CANCELED;
	default:
		return USB_OTHER;
	}
}

static void take(uint64_t id, uint8_t status, uint32_t actual, uint8_t *data, int len)
{
	struct xfer *x = host_finish(&h, id, status_of(status), actual);

	if (!x && seen.disconnects) {
		usbredirparser_free_packet_data(parser, data);
		return;		/* it was given up when the board went */
	}
	assert_non_null(x);
	if (data) {
		assert_int_equal(len, actual);
		assert_true((uint32_t)len <= x->len);
		memcpy(x->data, data, (size_t)len);
	}
	usbredirparser_free_packet_data(parser, data);
}

static void cb_control(void *priv, uint64_t id, struct usb_redir_control_packet_header *c,
		       uint8_t *data, int len)
{
	(void)priv;
	take(id, c->status, c->length, data, len);
}

static void cb_bulk(void *priv, uint64_t id, struct usb_redir_bulk_packet_header *b,
		    uint8_t *data, int len)
{
	(void)priv;
	take(id, b->status, b->length | (uint32_t)b->length_high << 16, data, len);
}

static void cb_config(void *priv, uint64_t id, struct usb_redir_configuration_status_header *s)
{
	(void)priv;
	(void)id;
	seen.status = s->status;
	seen.value = s->configuration;
}

static void cb_alt(void *priv, uint64_t id, struct usb_redir_alt_setting_status_header *s)
{
	(void)priv;
	(void)id;
	seen.status = s->status;
	seen.value = s->alt;
}

static void cb_interrupt(void *priv, uint64_t id,
			 struct usb_redir_interrupt_receiving_status_header *s)
{
	(void)priv;
	(void)id;
	seen.status = s->status;
	seen.value = s->endpoint;
}

static void out(void)
{
	while (usbredirparser_has_data_to_write(parser))
		assert_int_equal(usbredirparser_do_write(parser), 0);
}

static void submit(struct host *host, struct xfer *x)
{
	struct usb_redir_control_packet_header c = { 0 };
	struct usb_redir_bulk_packet_header b = { 0 };
	bool in = (x->ep ? x->ep : x->setup[0]) & 0x80;

	(void)host;
	if (!x->ep) {
		c.endpoint = x->setup[0] & 0x80;
		c.requesttype = x->setup[0];
		c.request = x->setup[1];
		c.value = x->setup[2] | x->setup[3] << 8;
		c.index = x->setup[4] | x->setup[5] << 8;
		c.length = x->setup[6] | x->setup[7] << 8;
		usbredirparser_send_control_packet(parser, x->id, &c, in ? NULL : x->data,
						   in ? 0 : (int)x->len);
	} else {
		b.endpoint = x->ep;
		b.length = (uint16_t)x->len;
		b.length_high = (uint16_t)(x->len >> 16);
		usbredirparser_send_bulk_packet(parser, x->id, &b, in ? NULL : x->data,
						in ? 0 : (int)x->len);
	}
	out();
}

static void cancel(struct host *host, struct xfer *x)
{
	(void)host;
	usbredirparser_send_cancel_data_packet(parser, x->id);
	out();
}

static bool pump(struct host *host, int ms)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };

	if (poll(&p, 1, ms) <= 0)
		return false;
	if (usbredirparser_do_read(parser) && !seen.eof)
		fail_msg("the simulator broke the protocol");
	if (seen.eof)
		host_lost(host);
	else
		out();
	return true;
}

static void attach(void)
{
	uint32_t caps[USB_REDIR_CAPS_SIZE] = { 0 };

	memset(&seen, 0, sizeof(seen));
	sock = client_connect(client_path(&h.cl, "socket"));
	parser = usbredirparser_create();
	assert_non_null(parser);
	parser->log_func = cb_log;
	parser->read_func = cb_read;
	parser->write_func = cb_write;
	parser->device_connect_func = cb_connect;
	parser->device_disconnect_func = cb_disconnect;
	parser->interface_info_func = cb_interfaces;
	parser->ep_info_func = cb_endpoints;
	parser->configuration_status_func = cb_config;
	parser->alt_setting_status_func = cb_alt;
	parser->interrupt_receiving_status_func = cb_interrupt;
	parser->control_packet_func = cb_control;
	parser->bulk_packet_func = cb_bulk;
	/* What QEMU says that it can do. */
	usbredirparser_caps_set_cap(caps, usb_redir_cap_connect_device_version);
	usbredirparser_caps_set_cap(caps, usb_redir_cap_filter);
	usbredirparser_caps_set_cap(caps, usb_redir_cap_device_disconnect_ack);
	usbredirparser_caps_set_cap(caps, usb_redir_cap_ep_info_max_packet_size);
	usbredirparser_caps_set_cap(caps, usb_redir_cap_64bits_ids);
	usbredirparser_caps_set_cap(caps, usb_redir_cap_32bits_bulk_length);
	usbredirparser_caps_set_cap(caps, usb_redir_cap_bulk_receiving);
	usbredirparser_init(parser, "test", caps, USB_REDIR_CAPS_SIZE, 0);
	out();
}

static void detach(void)
{
	close(sock);
	usbredirparser_destroy(parser);
	memset(&h.pending, 0, sizeof(h.pending));
	h.reply.ep = 0;
	h.item_len = 0;
	h.values = 0;
	h.signals = 0;
}

static void wait_connects(unsigned int n)
{
	uint64_t end = host_now_ms() + 3000;

	while (seen.connects < n && host_now_ms() < end)
		pump(&h, 100);
	assert_int_equal(seen.connects, n);
}

static int wait_status(void)
{
	uint64_t end = host_now_ms() + 3000;

	while (seen.status < 0 && host_now_ms() < end)
		pump(&h, 100);
	return seen.status;
}

static int configure(uint8_t value)
{
	struct usb_redir_set_configuration_header c = { value };

	seen.status = -1;
	usbredirparser_send_set_configuration(parser, ++h.next_id, &c);
	out();
	return wait_status();
}

static void begin(const char *const *extra)
{
	const char *argv[24] = { "--board", "acq" };
	unsigned int n = 2;

	memset(&h, 0, sizeof(h));
	h.submit = submit;
	h.cancel = cancel;
	h.pump = pump;
	while (extra && *extra)
		argv[n++] = *extra++;
	client_spawn_on(&h.cl, "--usbredir", NULL, argv);
	attach();
	wait_connects(1);
	assert_int_equal(configure(1), usb_redir_success);
}

/* The simulator ends; @violations says which verdict is right. */
static void finish(bool violations)
{
	detach();
	assert_int_equal(client_end(&h.cl), violations ? 3 : 0);
	client_clean(&h.cl);
}

/* ---- enumeration ---- */

static void test_what_qemu_is_told(void **state)
{
	unsigned int i, eps = 0;

	(void)state;
	begin(NULL);
	assert_int_equal(seen.dev.speed, usb_redir_speed_super);
	assert_int_equal(seen.dev.vendor_id, 0x0403);
	assert_int_equal(seen.dev.product_id, 0x601e);
	assert_int_equal(seen.dev.device_class, 0xef);
	assert_int_equal(seen.dev.device_version_bcd, 0);
	assert_int_equal(seen.ifs.interface_count, 2);
	assert_int_equal(seen.ifs.interface[1], 1);
	assert_int_equal(seen.ifs.interface_class[0], 0xff);
	for (i = 0; i < 32; i++)
		eps += seen.eps.type[i] != usb_redir_type_invalid;
	assert_int_equal(eps, 8);
	assert_int_equal(seen.eps.type[0x11], usb_redir_type_interrupt);
	assert_int_equal(seen.eps.max_packet_size[0x11], 64);
	assert_int_equal(seen.eps.type[0x12], usb_redir_type_bulk);
	assert_int_equal(seen.eps.interface[0x12], 1);
	assert_int_equal(seen.eps.max_packet_size[0x12], 1024);
	assert_int_equal(seen.eps.interface[0x01], 0);
	for (i = 0; i < 8; i++)
		assert_true(usbredirparser_peer_has_cap(parser, (int)i) ==
			    (i != usb_redir_cap_bulk_streams && i != usb_redir_cap_bulk_receiving));
	finish(false);
}

static void test_configuration_and_alternate_setting(void **state)
{
	struct usb_redir_set_alt_setting_header s = { 1, 0 }, wrong = { 1, 1 };
	struct usb_redir_get_alt_setting_header g = { 1 };

	(void)state;
	begin(NULL);
	assert_int_equal(seen.value, 1);
	assert_int_equal(configure(2), usb_redir_stall);
	assert_int_equal(seen.value, 1);
	seen.status = -1;
	usbredirparser_send_get_configuration(parser, ++h.next_id);
	out();
	assert_int_equal(wait_status(), usb_redir_success);
	assert_int_equal(seen.value, 1);
	seen.status = -1;
	usbredirparser_send_set_alt_setting(parser, ++h.next_id, &s);
	out();
	assert_int_equal(wait_status(), usb_redir_success);
	seen.status = -1;
	usbredirparser_send_set_alt_setting(parser, ++h.next_id, &wrong);
	out();
	assert_int_equal(wait_status(), usb_redir_stall);
	seen.status = -1;
	usbredirparser_send_get_alt_setting(parser, ++h.next_id, &g);
	out();
	assert_int_equal(wait_status(), usb_redir_success);
	assert_int_equal(seen.value, 0);
	finish(false);
}

static void test_interrupt_endpoint_is_silent(void **state)
{
	struct usb_redir_start_interrupt_receiving_header s = { 0x81 }, wrong = { 0x82 };

	(void)state;
	begin(NULL);
	seen.status = -1;
	usbredirparser_send_start_interrupt_receiving(parser, ++h.next_id, &s);
	out();
	assert_int_equal(wait_status(), usb_redir_success);
	assert_int_equal(seen.value, 0x81);
	seen.status = -1;
	usbredirparser_send_start_interrupt_receiving(parser, ++h.next_id, &wrong);
	out();
	assert_int_equal(wait_status(), usb_redir_inval);
	while (pump(&h, 50))
		;
	finish(false);
}

static void test_strings_and_speed(void **state)
{
	static const char *const args[] = { "--product", "Other", "--serial", "S1",
					    "--usb-speed", "high", NULL };
	uint8_t d[64];

	(void)state;
	begin(args);
	assert_int_equal(seen.dev.speed, usb_redir_speed_high);
	assert_int_equal(seen.eps.max_packet_size[0x12], 512);
	assert_int_equal(host_control(&h, 0x80, 6, 0x302, 0x409, d, 64), 12);
	assert_memory_equal(d, "\x0c\x03O\0t\0h\0e\0r\0", 12);
	assert_int_equal(host_control(&h, 0x80, 6, 0x303, 0x409, d, 64), 6);
	assert_memory_equal(d, "\x06\x03S\0" "1\0", 6);
	finish(false);
}

/* ---- registers ---- */

static const struct usb_row *row_of(const struct usb_row *rows, unsigned int n, uint32_t addr)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (rows[i].addr == addr)
			return &rows[i];
	return NULL;
}

static void test_open_table_and_registers(void **state)
{
	struct usb_row rows[MAX_ROWS];
	uint32_t val = 5;
	unsigned int n;

	(void)state;
	begin(NULL);
	ft_open(&h);
	assert_int_equal(client_status(&h.cl, "usb.priorities"), 1);
	n = ctl_reset(&h, rows, MAX_ROWS);
	assert_non_null(row_of(rows, n, 0x000));
	assert_int_equal(row_of(rows, n, 0x000)->read_size, 8);
	assert_true(conf_read(&h, 8) > 0);
	assert_int_equal(conf_read(&h, 5), 0);
	conf_write(&h, 10, 0x1234);
	assert_int_equal(conf_read(&h, 10), 0x1234);
	/* Hub information: readable, not writable. */
	dev_read(&h, 0xfe, 0);
	assert_int_equal(dev_access(&h, 0xfe, 0, &val, true), -1);
	assert_int_equal(dev_access(&h, 0x4321, 0, &val, false), -1);
	assert_int_equal(h.skipped, 0);
	finish(false);
}

/* ---- data ---- */

/* Make the heartbeat fast enough for a test. */
static void fast_heartbeat(uint32_t hz)
{
	dev_write(&h, 0x000, 1, dev_read(&h, 0x000, 2) / hz);
}

static void test_stream_of_whole_frames(void **state)
{
	static uint8_t buf[4 * BLOCK];
	struct usb_row rows[MAX_ROWS];
	struct xfer x[4];
	struct tally t = { 0 };
	uint32_t rest;
	unsigned int i;

	(void)state;
	begin(NULL);
	ft_open(&h);
	ctl_reset(&h, rows, MAX_ROWS);
	fast_heartbeat(50000);
	ft_session(&h, 0x82, 2, BLOCK);
	for (i = 0; i < 4; i++) {
		x[i] = (struct xfer){ .ep = 0x82, .data = buf + i * BLOCK, .len = BLOCK };
		host_submit(&h, &x[i]);
	}
	conf_write(&h, 9, 2);
	assert_int_equal(conf_read(&h, 5), 1);
	for (i = 0; i < 4; i++)
		assert_int_equal(host_result(&h, &x[i]), BLOCK);
	conf_write(&h, 5, 0);
	assert_int_equal(conf_read(&h, 5), 0);
	rest = each_frame(buf, sizeof(buf), check_frame, &t);
	assert_true(rest < 4096);
	assert_true(t.frames[0] > 3900);
	assert_int_equal(host_frames(&h, 0, "delivered"), t.frames[0]);
	host_conserved(&h, 0);
	finish(false);
}

/* What a host of the board does: sessions of one block each, several reads ahead. */
static void test_rhythm_against_the_truth(void **state)
{
	static const char *const args[] = { "--model", "source=0-63=ramp", NULL };
	static uint8_t buf[8 * BLOCK];
	struct usb_row rows[MAX_ROWS];
	struct xfer x[8];
	struct tally t = { 0 };
	unsigned int i;

	(void)state;
	begin(args);
	ft_open(&h);
	rhythm_setup(&h, rows, MAX_ROWS);
	for (i = 0; i < 8; i++) {
		ft_session(&h, 0x82, 1, BLOCK);
		x[i] = (struct xfer){ .ep = 0x82, .data = buf + i * BLOCK, .len = BLOCK };
		host_submit(&h, &x[i]);
	}
	conf_write(&h, 9, 2);
	for (i = 0; i < 8; i++)
		assert_int_equal(host_result(&h, &x[i]), BLOCK);
	conf_write(&h, 5, 0);
	assert_int_equal(conf_read(&h, 5), 0);
	each_frame(buf, sizeof(buf), check_frame, &t);
	/* 200 bytes each, with a heartbeat and a memory report now and then. */
	assert_true(t.frames[0x101] > 970);
	assert_int_equal(host_frames(&h, 0x101, "delivered"), t.frames[0x101]);
	assert_int_equal(host_frames(&h, 0x001, "delivered"), t.frames[1]);
	host_conserved(&h, 0x101);
	host_conserved(&h, 0x001);
	host_conserved(&h, 0x000);
	finish(false);
}

static void test_max_speed_loses_nothing(void **state)
{
	static const char *const args[] = { "--speed", "max", "--ram", "1M",
					    "--model", "source=0-63=ramp", NULL };
	static uint8_t buf[1 << 20];
	struct usb_row rows[MAX_ROWS];
	struct tally t = { 0 };
	uint32_t rest = 0, len, i;

	(void)state;
	begin(args);
	ft_open(&h);
	rhythm_setup(&h, rows, MAX_ROWS);
	ft_session(&h, 0x82, 2, 65536);
	conf_write(&h, 9, 2);
	for (i = 0; i < 100; i++) {
		assert_int_equal(host_bulk(&h, 0x82, buf + rest, 65536), 65536);
		len = rest + 65536;
		rest = each_frame(buf, len, check_frame, &t);
		memmove(buf, buf + len - rest, rest);
	}
	conf_write(&h, 5, 0);
	assert_int_equal(conf_read(&h, 5), 0);
	assert_true(t.frames[0x101] > 32000);
	assert_int_equal(host_frames(&h, 0x101, "delivered"), t.frames[0x101]);
	assert_int_equal(host_frames(&h, 0x101, "lost"), 0);
	host_conserved(&h, 0x101);
	finish(false);
}

static void test_no_credit_no_data(void **state)
{
	static uint8_t buf[8192];
	struct usb_row rows[MAX_ROWS];
	struct xfer x = { .ep = 0x82, .data = buf, .len = 4096 };

	(void)state;
	begin(NULL);
	ft_open(&h);
	ctl_reset(&h, rows, MAX_ROWS);
	fast_heartbeat(50000);
	conf_write(&h, 9, 2);
	host_submit(&h, &x);
	assert_false(host_wait(&h, &x, 100));
	ft_session(&h, 0x82, 1, 4096);
	assert_int_equal(host_result(&h, &x), 4096);
	/* The credit is spent. */
	x = (struct xfer){ .ep = 0x82, .data = buf, .len = 4096 };
	host_submit(&h, &x);
	assert_false(host_wait(&h, &x, 100));
	h.cancel(&h, &x);
	assert_int_equal(host_result(&h, &x), USB_CANCELED);
	assert_int_equal(client_status(&h.cl, "usb.cancels"), 1);
	conf_write(&h, 5, 0);
	assert_int_equal(conf_read(&h, 5), 0);
	host_conserved(&h, 0);
	finish(false);
}

/* A cancelled request has taken nothing: the next one gets what it waited for. */
static void test_cancel_loses_nothing(void **state)
{
	static uint8_t buf[262144];
	struct usb_row rows[MAX_ROWS];
	struct xfer x = { .ep = 0x82, .data = buf, .len = sizeof(buf) };
	struct tally t = { 0 };

	(void)state;
	begin(NULL);
	ft_open(&h);
	ctl_reset(&h, rows, MAX_ROWS);
	fast_heartbeat(50000);
	ft_session(&h, 0x82, 2, 0x40000000);
	conf_write(&h, 9, 2);
	host_submit(&h, &x);
	assert_false(host_wait(&h, &x, 30));
	h.cancel(&h, &x);
	assert_int_equal(host_result(&h, &x), USB_CANCELED);
	assert_int_equal(host_bulk(&h, 0x82, buf, BLOCK), BLOCK);
	each_frame(buf, BLOCK, check_frame, &t);
	assert_true(t.frames[0] > 900);
	/* It was the first block of the run. */
	assert_true((usb_get32(buf) | (uint64_t)usb_get32(buf + 4) << 32) < 250000);
	conf_write(&h, 5, 0);
	finish(false);
}

/* ---- plug ---- */

static void test_unplug_and_replug(void **state)
{
	static uint8_t buf[4096];
	struct usb_row rows[MAX_ROWS];
	struct xfer x = { .ep = 0x82, .data = buf, .len = 4096 };

	(void)state;
	begin(NULL);
	ft_open(&h);
	ctl_reset(&h, rows, MAX_ROWS);
	host_park(&h, &x);
	host_ask(&h, "unplug");
	assert_int_equal(host_result(&h, &x), USB_CANCELED);
	while (!seen.disconnects)
		assert_true(pump(&h, 3000));
	assert_int_equal(client_status(&h.cl, "attached"), 0);
	h.reply.ep = 0;
	host_ask(&h, "plug");
	wait_connects(2);
	assert_int_equal(client_status(&h.cl, "attached"), 1);
	/* It lost its configuration, and works again. */
	assert_int_equal(client_status(&h.cl, "usb.configuration"), 0);
	assert_int_equal(configure(1), usb_redir_success);
	ft_open(&h);
	assert_true(ctl_reset(&h, rows, MAX_ROWS) > 0);
	finish(false);
}

/* QEMU ends when the answers of an endpoint do not come in the order of its packets. */
static void test_pulled_board_answers_in_order(void **state)
{
	static uint8_t buf[4][4096];
	struct xfer x[4], late = { .ep = 0x82, .data = buf[0], .len = 4096 };
	unsigned int i;

	(void)state;
	begin(NULL);
	for (i = 0; i < 4; i++) {
		x[i] = (struct xfer){ .ep = 0x82, .data = buf[i], .len = 4096 };
		host_park(&h, &x[i]);
	}
	host_ask(&h, "unplug");
	/* One that was on its way when the board went. */
	host_submit(&h, &late);
	for (i = 0; i < 4; i++)
		assert_int_equal(host_result(&h, &x[i]), USB_CANCELED);
	for (i = 1; i < 4; i++)
		assert_true(x[i].when > x[i - 1].when);
	assert_int_equal(client_status(&h.cl, "violations"), 0);
	finish(false);
}

static void test_next_connection_finds_a_fresh_board(void **state)
{
	struct usb_row rows[MAX_ROWS];

	(void)state;
	begin(NULL);
	ft_open(&h);
	ctl_reset(&h, rows, MAX_ROWS);
	conf_write(&h, 10, 77);
	assert_int_equal(conf_read(&h, 10), 77);
	detach();
	attach();
	wait_connects(1);
	assert_int_equal(configure(1), usb_redir_success);
	ft_open(&h);
	assert_int_equal(conf_read(&h, 10), 0);
	finish(false);
}

static void test_vanishes_in_a_transfer(void **state)
{
	static uint8_t buf[4096];
	struct usb_row rows[MAX_ROWS];
	struct xfer x = { .ep = 0x82, .data = buf, .len = 4096 };

	(void)state;
	begin(NULL);
	ft_open(&h);
	ctl_reset(&h, rows, MAX_ROWS);
	fast_heartbeat(50000);
	host_ask(&h, "fault usb-vanish 1 ch=2");
	ft_session(&h, 0x82, 2, 4096);
	conf_write(&h, 9, 2);
	host_submit(&h, &x);
	assert_int_equal(host_result(&h, &x), USB_CANCELED);
	while (!seen.disconnects)
		assert_true(pump(&h, 3000));
	host_ask(&h, "fault spent usb-vanish");
	host_conserved(&h, 0);
	finish(false);
}

/* What is wrong with the descriptors is seen by the host that comes next. */
static void test_spoiled_descriptors(void **state)
{
	uint8_t d[255];

	(void)state;
	begin(NULL);
	host_ask(&h, "fault usb-desc-missing 1");
	host_ask(&h, "fault usb-desc-type 1");
	host_ask(&h, "unplug");
	host_ask(&h, "plug");
	wait_connects(2);
	assert_int_equal(seen.eps.type[0x13], usb_redir_type_invalid);
	assert_int_equal(seen.eps.type[0x12], usb_redir_type_interrupt);
	assert_int_equal(host_control(&h, 0x80, 6, 0x200, 0, d, 255), 100);
	host_ask(&h, "fault clear");
	host_ask(&h, "unplug");
	host_ask(&h, "plug");
	wait_connects(3);
	assert_int_equal(seen.eps.type[0x13], usb_redir_type_bulk);
	assert_int_equal(host_control(&h, 0x80, 6, 0x200, 0, d, 255), 113);
	finish(false);
}

/* A stall fills card RAM; what fits is there when it ends, what did not is lost. */
static void test_stall_overflows_card_ram(void **state)
{
	static const char *const args[] = { "--ram", "64K", NULL };
	static uint8_t buf[65536];
	struct usb_row rows[MAX_ROWS];
	struct tally t = { 0 };

	(void)state;
	begin(args);
	ft_open(&h);
	ctl_reset(&h, rows, MAX_ROWS);
	fast_heartbeat(100000);
	ft_session(&h, 0x82, 2, 65536);
	host_ask(&h, "stall");
	conf_write(&h, 9, 2);
	while (!host_frames(&h, 0, "lost"))
		pump(&h, 10);
	conf_write(&h, 5, 0);
	assert_int_equal(conf_read(&h, 5), 0);
	host_ask(&h, "resume");
	assert_int_equal(host_bulk(&h, 0x82, buf, sizeof(buf)), sizeof(buf));
	each_frame(buf, sizeof(buf), check_frame, &t);
	assert_int_equal(t.frames[0], sizeof(buf) / 24);
	assert_int_equal(host_frames(&h, 0, "delivered"), t.frames[0]);
	host_conserved(&h, 0);
	finish(false);
}

/* ---- violations end up in the exit status ---- */

static void test_violation_is_reported(void **state)
{
	uint8_t p[20] = { 1 };
	char buf[4096];

	(void)state;
	begin(NULL);
	assert_int_equal(host_bulk(&h, 0x01, p, 19), 19);
	assert_int_equal(client_status(&h.cl, "violations"), 1);
	assert_int_equal(client_ask(&h.cl, "violations", buf, sizeof(buf)), 0);
	assert_non_null(strstr(buf, "violation usb-session-length 19 bytes"));
	finish(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_qemu_is_told),
		cmocka_unit_test(test_configuration_and_alternate_setting),
		cmocka_unit_test(test_interrupt_endpoint_is_silent),
		cmocka_unit_test(test_strings_and_speed),
		cmocka_unit_test(test_open_table_and_registers),
		cmocka_unit_test(test_stream_of_whole_frames),
		cmocka_unit_test(test_rhythm_against_the_truth),
		cmocka_unit_test(test_max_speed_loses_nothing),
		cmocka_unit_test(test_no_credit_no_data),
		cmocka_unit_test(test_cancel_loses_nothing),
		cmocka_unit_test(test_unplug_and_replug),
		cmocka_unit_test(test_pulled_board_answers_in_order),
		cmocka_unit_test(test_next_connection_finds_a_fresh_board),
		cmocka_unit_test(test_vanishes_in_a_transfer),
		cmocka_unit_test(test_spoiled_descriptors),
		cmocka_unit_test(test_stall_overflows_card_ram),
		cmocka_unit_test(test_violation_is_reported),
	};

	return cmocka_run_group_tests_name("sim usbredir", tests, NULL, NULL);
}
