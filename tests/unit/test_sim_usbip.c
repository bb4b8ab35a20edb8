// SPDX-License-Identifier: MIT
/*
 * test_sim_usbip.c - the simulated Acquisition Board, through USB/IP.
 *
 * Every test starts an onisim of its own and is vhci_hcd and the host software
 * of the board at once.
 * Source: USB/IP protocol 1.1.1 (documentation of the Linux kernel).
 */
#include "test_sim_usb.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define MAX_ROWS	64
#define BLOCK		24576u

static struct host h;
static int sock;
static uint32_t unlink_status;
static bool unlinked;

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static void put_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void send_all(const void *data, size_t len)
{
	assert_int_equal(send(sock, data, len, MSG_NOSIGNAL), len);
}

static void receive_all(void *data, size_t len)
{
	assert_int_equal(recv(sock, data, len, MSG_WAITALL), len);
}

static void dial(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	char addr[64];
	unsigned int port;

	assert_int_equal(sscanf(h.cl.where, "%63[^:]:%u", addr, &port), 2);
	sa.sin_port = htons((uint16_t)port);
	assert_int_equal(inet_pton(AF_INET, addr, &sa.sin_addr), 1);
	sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(sock >= 0);
	assert_return_code(connect(sock, (struct sockaddr *)&sa, sizeof(sa)), errno);
}

static void submit(struct host *host, struct xfer *x)
{
	bool in = (x->ep ? x->ep : x->setup[0]) & 0x80;
	uint8_t m[48] = { 0 };

	(void)host;
	put_be32(m, 1);
	put_be32(m + 4, (uint32_t)x->id);
	put_be32(m + 8, 1 << 16 | 2);
	put_be32(m + 12, in);
	put_be32(m + 16, x->ep & 0x0f);
	put_be32(m + 24, x->len);
	put_be32(m + 32, 0xffffffff);
	memcpy(m + 40, x->setup, 8);
	send_all(m, sizeof(m));
	if (!in && x->len)
		send_all(x->data, x->len);
}

static void cancel(struct host *host, struct xfer *x)
{
	uint8_t m[48] = { 0 };

	put_be32(m, 2);
	put_be32(m + 4, (uint32_t)++host->next_id);
	put_be32(m + 20, (uint32_t)x->id);
	unlinked = false;
	send_all(m, sizeof(m));
}

static int status_of(uint32_t status)
{
	switch (-(int)status) {
	case 0:
		return 0;
	case EPIPE:
		return USB_STALL;
	case ECONNRESET:
		return USB_CANCELED;
	default:
		return USB_OTHER;
	}
}

static bool pump(struct host *host, int ms)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	uint8_t m[48];
	struct xfer *x;

	if (poll(&p, 1, ms) <= 0)
		return false;
	if (recv(sock, m, sizeof(m), MSG_WAITALL) != sizeof(m)) {
		host_lost(host);
		return true;
	}
	if (be32(m) == 4) {
		unlinked = true;
		unlink_status = be32(m + 20);
		return true;
	}
	assert_int_equal(be32(m), 3);
	assert_int_equal(be32(m + 8) | be32(m + 12) | be32(m + 16), 0);
	x = host_finish(host, be32(m + 4), status_of(be32(m + 20)), be32(m + 24));
	assert_non_null(x);
	assert_true(x->actual <= x->len);
	if ((x->ep ? x->ep : x->setup[0]) & 0x80 && x->actual)
		receive_all(x->data, x->actual);
	return true;
}

static void send_op(uint16_t code)
{
	uint8_t m[8] = { 0x01, 0x11, (uint8_t)(code >> 8), (uint8_t)code };

	send_all(m, sizeof(m));
}

/* Returns the status; the device's description is in @dev. */
static uint32_t import(const char *busid, uint8_t *dev)
{
	uint8_t id[32] = { 0 }, m[8];

	memcpy(id, busid, strlen(busid));
	send_op(0x8003);
	send_all(id, sizeof(id));
	receive_all(m, sizeof(m));
	assert_int_equal(be32(m), 0x01110003);
	if (!be32(m + 4))
		receive_all(dev, 312);
	return be32(m + 4);
}

static void spawn(const char *const *extra)
{
	const char *argv[24] = { "--board", "acq" };
	unsigned int n = 2;

	memset(&h, 0, sizeof(h));
	h.submit = submit;
	h.cancel = cancel;
	h.pump = pump;
	while (extra && *extra)
		argv[n++] = *extra++;
	client_spawn_on(&h.cl, "--usbip", "127.0.0.1:0", argv);
}

static void begin(const char *const *extra)
{
	uint8_t dev[312];

	spawn(extra);
	dial();
	assert_int_equal(import("1-1", dev), 0);
	assert_int_equal(host_control(&h, 0x00, 9, 1, 0, NULL, 0), 0);
}

static void finish(bool violations)
{
	close(sock);
	h.pending = NULL;
	assert_int_equal(client_end(&h.cl), violations ? 3 : 0);
	client_clean(&h.cl);
}

static void check_device(const uint8_t *d)
{
	assert_string_equal((const char *)d + 256, "1-1");
	assert_int_equal(be32(d + 288), 1);
	assert_int_equal(be32(d + 292), 2);
	assert_int_equal(be32(d + 296), 5);		/* SuperSpeed */
	assert_int_equal(be32(d + 300), 0x0403601e);
	assert_int_equal(be32(d + 304), 0x0000ef02);
	assert_int_equal(be32(d + 308) >> 24, 1);
	assert_int_equal(be32(d + 308) & 0xffff, 0x0102);
}

static void test_list_and_import(void **state)
{
	uint8_t m[12], d[312], ifs[8], byte;

	(void)state;
	spawn(NULL);
	dial();
	send_op(0x8005);
	receive_all(m, sizeof(m));
	assert_int_equal(be32(m), 0x01110005);
	assert_int_equal(be32(m + 4), 0);
	assert_int_equal(be32(m + 8), 1);
	receive_all(d, sizeof(d));
	check_device(d);
	receive_all(ifs, sizeof(ifs));
	assert_memory_equal(ifs, "\xff\xff\xff\0\xff\xff\xff\0", 8);
	assert_int_equal(recv(sock, &byte, 1, 0), 0);	/* that was all */
	close(sock);
	dial();
	assert_int_equal(client_status(&h.cl, "attached"), 0);
	assert_int_equal(import("1-1", d), 0);
	check_device(d);
	assert_int_equal(client_status(&h.cl, "attached"), 1);
	finish(false);
}

static void test_import_of_what_is_not_there(void **state)
{
	uint8_t d[312], byte;

	(void)state;
	spawn(NULL);
	dial();
	assert_int_equal(import("2-1", d), 1);
	assert_int_equal(recv(sock, &byte, 1, 0), 0);
	close(sock);
	host_ask(&h, "unplug");
	dial();
	assert_int_equal(import("1-1", d), 1);
	close(sock);
	host_ask(&h, "plug");
	dial();
	assert_int_equal(import("1-1", d), 0);
	finish(false);
}

static void test_bad_messages_end_the_connection(void **state)
{
	uint8_t m[48] = { 0 }, d[312], byte;

	(void)state;
	spawn(NULL);
	dial();
	send_all("\x01\x06\x80\x05\0\0\0\0", 8);	/* another version */
	assert_int_equal(recv(sock, &byte, 1, 0), 0);
	close(sock);
	dial();
	send_op(0x8001);
	assert_int_equal(recv(sock, &byte, 1, 0), 0);
	close(sock);
	dial();
	assert_int_equal(import("1-1", d), 0);
	put_be32(m, 9);
	send_all(m, sizeof(m));
	assert_int_equal(recv(sock, &byte, 1, 0), 0);
	close(sock);
	dial();
	assert_int_equal(import("1-1", d), 0);
	put_be32(m, 1);
	put_be32(m + 24, 1u << 31);			/* no such length */
	send_all(m, sizeof(m));
	assert_int_equal(recv(sock, &byte, 1, 0), 0);
	close(sock);
	dial();
	assert_int_equal(import("1-1", d), 0);
	finish(false);
}

static void test_message_in_pieces(void **state)
{
	uint8_t m[48 + 20] = { 0 }, d[312];
	struct xfer x = { .ep = 0x01, .status = PENDING, .id = 500 };
	size_t i;

	(void)state;
	spawn(NULL);
	dial();
	assert_int_equal(import("1-1", d), 0);
	assert_int_equal(host_control(&h, 0x00, 9, 1, 0, NULL, 0), 0);
	put_be32(m, 1);
	put_be32(m + 4, 500);
	put_be32(m + 16, 1);
	put_be32(m + 24, 20);
	m[48 + 4] = 0x82;
	m[48 + 5] = 2;
	x.len = 20;
	h.pending = &x;
	for (i = 0; i < sizeof(m); i++) {
		send_all(m + i, 1);
		if (i % 16 == 0)
			assert_false(pump(&h, 5));
	}
	assert_int_equal(host_result(&h, &x), 20);
	assert_int_equal(client_status(&h.cl, "usb.session.streams"), 1);
	finish(false);
}

static void test_control_requests(void **state)
{
	uint8_t d[255];

	(void)state;
	begin(NULL);
	assert_int_equal(host_control(&h, 0x80, 6, 0x200, 0, d, 255), 113);
	assert_int_equal(d[4], 2);
	assert_int_equal(host_control(&h, 0x80, 6, 0x300, 0, d, 255), 4);
	assert_int_equal(host_control(&h, 0x80, 6, 0x201, 0, d, 255), USB_STALL);
	ft_open(&h);
	finish(false);
}

static void test_rhythm_against_the_truth(void **state)
{
	static const char *const args[] = { "--model", "source=0-63=ramp", NULL };
	static uint8_t buf[4 * BLOCK];
	struct usb_row rows[MAX_ROWS];
	struct xfer x[4];
	struct tally t = { 0 };
	unsigned int i;

	(void)state;
	begin(args);
	ft_open(&h);
	rhythm_setup(&h, rows, MAX_ROWS);
	ft_session(&h, 0x82, 2, BLOCK);
	for (i = 0; i < 4; i++) {
		x[i] = (struct xfer){ .ep = 0x82, .data = buf + i * BLOCK, .len = BLOCK };
		host_submit(&h, &x[i]);
	}
	conf_write(&h, 9, 2);
	for (i = 0; i < 4; i++)
		assert_int_equal(host_result(&h, &x[i]), BLOCK);
	conf_write(&h, 5, 0);
	assert_int_equal(conf_read(&h, 5), 0);
	each_frame(buf, sizeof(buf), check_frame, &t);
	assert_true(t.frames[0x101] > 480);
	assert_int_equal(host_frames(&h, 0x101, "delivered"), t.frames[0x101]);
	host_conserved(&h, 0x101);
	finish(false);
}

static void test_unlink(void **state)
{
	static uint8_t buf[4096];
	struct xfer x = { .ep = 0x82, .data = buf, .len = 4096 };
	uint64_t end = host_now_ms() + 3000;

	(void)state;
	begin(NULL);
	host_submit(&h, &x);
	assert_false(host_wait(&h, &x, 50));
	cancel(&h, &x);
	while (!unlinked && host_now_ms() < end)
		pump(&h, 100);
	assert_true(unlinked);
	assert_int_equal(-(int)unlink_status, ECONNRESET);
	/* No other answer comes, and a second one finds nothing. */
	assert_int_equal(x.status, PENDING);
	cancel(&h, &x);
	while (!unlinked && host_now_ms() < end)
		pump(&h, 100);
	assert_true(unlinked);
	assert_int_equal(unlink_status, 0);
	assert_false(pump(&h, 50));
	finish(false);
}

static void test_unplug(void **state)
{
	static uint8_t buf[4096];
	struct xfer x = { .ep = 0x82, .data = buf, .len = 4096 };

	(void)state;
	begin(NULL);
	host_park(&h, &x);
	host_ask(&h, "unplug");
	assert_int_equal(host_result(&h, &x), USB_GONE);
	assert_int_equal(client_status(&h.cl, "attached"), 0);
	finish(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_and_import),
		cmocka_unit_test(test_import_of_what_is_not_there),
		cmocka_unit_test(test_bad_messages_end_the_connection),
		cmocka_unit_test(test_message_in_pieces),
		cmocka_unit_test(test_control_requests),
		cmocka_unit_test(test_rhythm_against_the_truth),
		cmocka_unit_test(test_unlink),
		cmocka_unit_test(test_unplug),
	};

	return cmocka_run_group_tests_name("sim usbip", tests, NULL, NULL);
}
