// SPDX-License-Identifier: MIT
/* unit-sources: userspace/lib/[!f]*.c userspace/lib/frame.c tests/unit/usb_fake.c */
/* unit-sources: userspace/lib/usb/[a-z]*.c driver/oni_cobs.c driver/oni_ft600_parse.c driver/oni_guard.c driver/oni_table.c */
/* unit-libs: -ludev -lm -pthread */
/*
 * test_lib_usb.c - the backend of libusb, whole, against the simulated Acquisition Board.
 *
 * libusb is replaced (usb_fake.h), everything else is what programs use. Every test has
 * an onisim of its own; its account says what was delivered, and it ends with status 3
 * if it saw anything that the board forbids.
 */
#include "test_sim_client.h"

#include <arpa/inet.h>
#include <libusb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <time.h>

#include "driver/oni_guard.h"
#include "usb/usb.h"
#include "usb_fake.h"

#define RHYTHM		0x101u
#define HEARTBEAT	0x000u
#define TTL		0x102u
#define DAC		0x103u
#define SMALL_RING	65536u

static struct client sim;
static struct onidev_controller *ctl;
static struct onidev_table *table;
static struct onidev_stream *stream;

/* ---- the board ---- */

static void send_all(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

/* A connection on which the board was imported. */
static int import(void)
{
	static const uint8_t op[8] = { 0x01, 0x11, 0x80, 0x03 };
	struct sockaddr_in sa = { .sin_family = AF_INET };
	uint8_t id[32] = "1-1", answer[8 + 312];
	unsigned int port;
	char addr[64];
	int fd, one = 1;

	assert_int_equal(sscanf(sim.where, "%63[^:]:%u", addr, &port), 2);
	sa.sin_port = htons((uint16_t)port);
	assert_int_equal(inet_pton(AF_INET, addr, &sa.sin_addr), 1);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), errno);
	/* Or the data of an OUT transfer wait for what acknowledges its header. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	send_all(fd, op, sizeof(op));
	send_all(fd, id, sizeof(id));
	assert_int_equal(recv(fd, answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
	return fd;
}

/* @extra: further words, NULL at the end; may be NULL. */
static void spawn(const char *const *extra)
{
	const char *argv[24] = { "--board", "acq", "--model", "seed=1" };
	unsigned int n = 4;

	while (extra && *extra)
		argv[n++] = *extra++;
	fake_claim_error = 0;
	client_spawn_on(&sim, "--usbip", "127.0.0.1:0", argv);
}

static void ask(const char *request)
{
	static char buf[65536];

	if (client_ask(&sim, request, buf, sizeof(buf)))
		fail_msg("%s: %s", request, buf);
}

static uint64_t status(const char *key)
{
	return client_status(&sim, key);
}

static struct onidev_controller *attach(void)
{
	static const struct usb_place place = {
		.name = "usb:ONISIM0001", .serial = "ONISIM0001", .path = "1-1",
		.node = "/dev/bus/usb/001/002",
	};

	return usb_attach(&place, import());
}

static void open_board(void)
{
	ctl = attach();
	if (!ctl)
		fail_msg("the board was not opened: %s", strerror(errno));
	table = onidev_controller_table(ctl);
	assert_non_null(table);
}

static void begin(void)
{
	spawn(NULL);
	open_board();
}

static void close_all(void)
{
	onidev_stream_free(stream);
	onidev_table_free(table);
	onidev_controller_close(ctl);
	stream = NULL;
	table = NULL;
	ctl = NULL;
	assert_int_equal(fake_transfers, 0);
	assert_int_equal(fake_contexts, 0);
}

/* A test that failed leaves nothing to the next. */
static int clear_up(void **state)
{
	(void)state;
	if (!sim.pid)
		return 0;
	onidev_stream_free(stream);
	onidev_table_free(table);
	onidev_controller_close(ctl);
	stream = NULL;
	table = NULL;
	ctl = NULL;
	kill(sim.pid, SIGKILL);
	waitpid(sim.pid, NULL, 0);
	client_clean(&sim);
	sim.pid = 0;
	return 0;
}

static void finish(void)
{
	close_all();
	assert_int_equal(client_end(&sim), 0);
	client_clean(&sim);
	sim.pid = 0;
}

/* ---- an acquisition ---- */

struct tally {
	uint64_t frames[512];
	uint64_t bytes;
};

static void must_write(uint32_t addr, uint32_t reg, uint32_t value)
{
	if (onidev_reg_write(ctl, addr, reg, value) < 0)
		fail_msg("write of 0x%x register %u: %s", addr, reg, strerror(errno));
}

/* Two streams of an RHD2164 at 30 kHz: 5.8 MB/s, beside the heartbeat. */
static void prepare(const struct onidev_stream_config *config)
{
	assert_return_code(onidev_controller_claim(ctl), errno);
	must_write(RHYTHM, 0, 1);
	must_write(RHYTHM, 1, 2);
	must_write(RHYTHM, 3, 0x5555);
	must_write(RHYTHM, 13, 0x80);
	must_write(RHYTHM, 15, 3);
	assert_return_code(onidev_controller_reset(ctl), errno);
	onidev_table_free(table);
	table = onidev_controller_table(ctl);
	assert_non_null(table);
	stream = onidev_stream_create(ctl, config);
	if (!stream)
		fail_msg("no stream: %s", strerror(errno));
	assert_return_code(onidev_stream_set_table(stream, table), errno);
}

static void start(void)
{
	ask("reset-counters");
	if (onidev_controller_start(ctl) < 0)
		fail_msg("no start: %s", strerror(errno));
}

static void read_some(struct tally *t)
{
	struct onidev_frame f;
	int rc;

	while ((rc = onidev_frame_next(stream, &f)) > 0) {
		assert_true(f.addr < 512);
		t->frames[f.addr]++;
		t->bytes += f.wire;
	}
	if (rc < 0)
		fail_msg("frame: %s", strerror(errno));
	onidev_stream_release(stream);
}

/* Until @bytes were read; what ended it otherwise: ONIDEV_WAIT_END, or -1 and errno. */
static int read_bytes(struct tally *t, uint64_t bytes)
{
	while (t->bytes < bytes) {
		int w = onidev_stream_wait(stream, 20000);

		if (w == ONIDEV_WAIT_TIMEOUT)
			fail_msg("no data in 20 s, %llu bytes read", (unsigned long long)t->bytes);
		if (w != ONIDEV_WAIT_DATA)
			return w;
		read_some(t);
	}
	return ONIDEV_WAIT_DATA;
}

static uint64_t delivered(uint32_t addr)
{
	char key[64];

	snprintf(key, sizeof(key), "frames.0x%x.delivered", addr);
	return status(key);
}

/*
 * Every frame that the board delivered was read, once, and every byte was published. The
 * last frame may be a part of one: the board keeps what fills no transfer.
 */
static void equal_account(const struct tally *t)
{
	struct onidev_stream_status s;
	size_t i;

	for (i = 0; i < onidev_table_count(table); i++) {
		const struct oni_device *dev = onidev_table_at(table, i);

		if (dev->read_size && t->frames[dev->addr] != delivered(dev->addr))
			fail_msg("0x%x: %llu frames delivered, %llu read", dev->addr,
				 (unsigned long long)delivered(dev->addr),
				 (unsigned long long)t->frames[dev->addr]);
	}
	onidev_stream_status(stream, &s);
	assert_int_equal(s.head, status("bytes"));
	assert_true(t->bytes <= s.head && s.head - t->bytes < onidev_table_max_frame(table));
	assert_true(t->frames[RHYTHM] > 100);
}

/* Stop and read the rest, with somebody reading while it stops if the ring is small. */
static void stop_and_read(struct tally *t)
{
	assert_return_code(onidev_controller_stop(ctl), errno);
	assert_int_equal(read_bytes(t, UINT64_MAX), ONIDEV_WAIT_END);
}

static uint32_t ring_flags(void)
{
	struct onidev_stream_status s;

	onidev_stream_status(stream, &s);
	return s.flags;
}

static bool readable(int ms)
{
	struct pollfd p = { .fd = onidev_stream_fd(stream), .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* ---- tests ---- */

static void test_identity(void **state)
{
	struct pollfd p = { .events = POLLIN };
	struct oni_info info;

	(void)state;
	begin();
	assert_string_equal(onidev_controller_name(ctl), "usb:ONISIM0001");
	assert_return_code(onidev_controller_info(ctl, &info), errno);
	assert_int_equal(info.transport, ONI_TRANSPORT_FT600);
	assert_string_equal(info.transport_name, "libusb");
	assert_string_equal(info.bus_name, "1-1:1.1");
	assert_int_equal(info.state, ONI_STATE_IDLE);
	assert_int_equal(info.flags, ONI_INFO_STIM_SAFE);
	assert_int_equal(info.rows, onidev_table_count(table));
	assert_true(info.rows > 5 && info.acq_clock_hz && info.max_read_frame);
	assert_non_null(onidev_table_find_addr(table, RHYTHM));
	assert_int_equal(status("usb.gpio"), 0);
	assert_int_equal(status("usb.priorities"), 1);
	p.fd = onidev_controller_fd(ctl);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(status("usb.fifo_resets"), 1);
	close_all();
	/* The pin is high when the board is let go. */
	assert_int_equal(status("usb.fifo_resets"), 2);
	open_board();
	finish();
}

static void test_registers(void **state)
{
	struct oni_reg_op ops[] = {
		{ .dev_addr = HEARTBEAT, .reg_addr = 1 },
		{ .dev_addr = 0x0fe, .reg_addr = 0 },
		{ .dev_addr = 0x0fe, .reg_addr = 99 },
		{ .dev_addr = HEARTBEAT, .reg_addr = 0 },
	};
	uint32_t value;
	size_t done;

	(void)state;
	begin();
	assert_int_equal(onidev_reg_write(ctl, HEARTBEAT, 1, 5), -1);
	assert_int_equal(errno, EPERM);		/* not claimed */
	assert_int_equal(onidev_controller_reset(ctl), -1);
	assert_int_equal(errno, EPERM);
	assert_return_code(onidev_controller_claim(ctl), errno);
	must_write(HEARTBEAT, 1, 2500000);
	assert_return_code(onidev_reg_read(ctl, HEARTBEAT, 1, &value), errno);
	assert_int_equal(value, 2500000);
	assert_int_equal(onidev_reg_read(ctl, 0x0fe, 99, &value), -1);
	assert_int_equal(errno, EREMOTEIO);
	assert_int_equal(onidev_reg_read(ctl, 0x7777, 0, &value), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(onidev_reg_batch(ctl, ops, 4, &done), -1);
	assert_int_equal(errno, EREMOTEIO);
	assert_int_equal(done, 3);
	assert_int_equal(ops[0].value, 2500000);
	assert_int_equal(onidev_ctl_read(ctl, ONI_CTL_RUNNING, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(onidev_ctl_write(ctl, ONI_CTL_RUNNING, 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(onidev_ctl_read(ctl, 6, &value), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(onidev_controller_start(ctl), -1);
	assert_int_equal(errno, ENODATA);
	/* Registers survive the close and the next open. */
	close_all();
	open_board();
	assert_return_code(onidev_reg_read(ctl, HEARTBEAT, 1, &value), errno);
	assert_int_equal(value, 2500000);
	finish();
}

/* What the driver's guard refuses is refused here, before anything is sent. */
static void test_guard(void **state)
{
	static const uint32_t first[] = { 0, 0x40, 0x60, 0x4000, 0x8000 };
	static const uint32_t values[] = { 0, 1, 0x8502, 0x85ff, 0xe800, 0x10000 };
	unsigned int refused = 0, allowed = 0;
	uint32_t payload[64] = { 0 };
	size_t i, k;
	uint32_t reg;

	(void)state;
	begin();
	assert_return_code(onidev_controller_claim(ctl), errno);
	for (i = 0; i < onidev_table_count(table); i++) {
		const struct oni_device *dev = onidev_table_at(table, i);
		uint64_t before = status("usb.commands");

		if (dev->id == ONIDEV_ID_NULL)
			continue;
		for (k = 0; k < 5 * 6 * 32; k++) {
			uint32_t value = values[k / 32 % 6];

			reg = first[k / 32 / 6] + k % 32;
			if (oni_guard_reg_writable(dev->id, reg, value)) {
				allowed++;
				continue;
			}
			assert_int_equal(onidev_reg_write(ctl, dev->addr, reg, value), -1);
			assert_int_equal(errno, EPERM);
			refused++;
		}
		if (dev->write_size && !oni_guard_frame_rule(dev->id, dev->write_size)) {
			assert_int_equal(onidev_frame_write(ctl, dev->addr, payload,
							    (dev->write_size + 3) & ~3u), -1);
			assert_int_equal(errno, EPERM);
		}
		assert_int_equal(status("usb.commands"), before);
	}
	assert_true(refused > 500 && allowed > 5);
	/* The hub itself takes a sample rate and nothing else; TTL has 16 lines. */
	assert_int_equal(onidev_reg_write(ctl, 0x1fe, 0, 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(onidev_reg_write(ctl, 0x1fe, 0x2000, 0x7f), -1);
	assert_int_equal(errno, EPERM);
	assert_return_code(onidev_reg_write(ctl, 0x1fe, 0x2000, 0x04), errno);
	payload[0] = 0x10000;
	assert_int_equal(onidev_frame_write(ctl, TTL, payload, 4), -1);
	assert_int_equal(errno, EPERM);
	/* One that is not let through ends a batch before its first access. */
	{
		struct oni_reg_op ops[] = {
			{ .dev_addr = HEARTBEAT, .reg_addr = 1, .value = 77,
			  .flags = ONI_REG_OP_WRITE },
			{ .dev_addr = RHYTHM, .reg_addr = 22, .flags = ONI_REG_OP_WRITE },
		};
		uint32_t value;

		assert_int_equal(onidev_reg_batch(ctl, ops, 2, NULL), -1);
		assert_int_equal(errno, EPERM);
		assert_return_code(onidev_reg_read(ctl, HEARTBEAT, 1, &value), errno);
		assert_int_not_equal(value, 77);
	}
	assert_int_equal(onidev_port_on(ctl, 1, ONI_HUB_HS64, 60, 0, NULL), -1);
	assert_true(errno == ENOENT || errno == EOPNOTSUPP);
	finish();
}

/* What drives the world outside, as the board sees it; nobody acknowledges a frame. */
static void equal_outputs(uint16_t ttl, uint16_t dac)
{
	unsigned int i;

	for (i = 0; i < 1000 && status("model.dac.15") != dac; i++)
		usb_sleep(5);
	assert_int_equal(status("model.ttl.out"), ttl);
	assert_int_equal(status("model.dac.0"), dac);
	assert_int_equal(status("model.dac.15"), dac);
}

static void drive(void)
{
	uint32_t ttl = 0xa5c3, dac[8];

	memset(dac, 0x91, sizeof(dac));
	assert_return_code(onidev_controller_claim(ctl), errno);
	equal_outputs(0, 0x8000);
	assert_return_code(onidev_frame_write(ctl, TTL, &ttl, 4), errno);
	assert_return_code(onidev_frame_write(ctl, DAC, dac, sizeof(dac)), errno);
	equal_outputs(0xa5c3, 0x9191);
}

/* They are at 0 when a board is opened, given up, reset or left, whatever they were. */
static void test_outputs(void **state)
{
	static const char *const driven[] = { "--model", "left-driven=1", NULL };

	(void)state;
	spawn(driven);
	open_board();
	equal_outputs(0, 0x8000);
	drive();
	assert_return_code(onidev_controller_release(ctl), errno);
	equal_outputs(0, 0x8000);
	drive();
	assert_return_code(onidev_controller_reset(ctl), errno);
	equal_outputs(0, 0x8000);
	drive();
	close_all();
	equal_outputs(0, 0x8000);
	finish();
}

static void acquire(const char *fault, uint64_t bytes)
{
	struct onidev_stream_status s;
	struct tally t = { 0 };
	struct oni_stats stats;
	uint64_t errors;

	assert_return_code(onidev_controller_stats(ctl, &stats), errno);
	errors = stats.link_errors;
	start();
	if (fault)
		ask(fault);
	assert_int_equal(read_bytes(&t, bytes), ONIDEV_WAIT_DATA);
	stop_and_read(&t);
	equal_account(&t);
	onidev_stream_status(stream, &s);
	assert_int_equal(s.flags, ONI_RING_STOPPED);
	assert_return_code(onidev_controller_stats(ctl, &stats), errno);
	assert_int_equal(stats.link_errors, errors);
}

static void test_conservation(void **state)
{
	struct onidev_stream_status s;

	/* With the two kinds of memory there are. */
	fake_no_shared_memory = !fake_no_shared_memory;
	(void)state;
	begin();
	prepare(NULL);
	acquire(NULL, 4 << 20);
	/* The next one begins at 0, after a reset. */
	acquire(NULL, 1 << 20);
	onidev_stream_status(stream, &s);
	assert_int_equal(s.generation, 2);
	finish();
}

static void test_block_sizes(void **state)
{
	static const uint32_t blocks[] = { 1024, 3072, 32768 };
	size_t i;

	(void)state;
	begin();
	for (i = 0; i < 3; i++) {
		struct onidev_stream_config config = { .block_bytes = blocks[i] };

		prepare(&config);
		acquire(NULL, 1 << 20);
		onidev_stream_free(stream);
		stream = NULL;
	}
	finish();
}

static void test_short_and_empty(void **state)
{
	(void)state;
	begin();
	prepare(NULL);
	acquire("fault usb-short 300 7", 4 << 20);
	acquire("fault usb-zlp 1", 1 << 20);
	acquire("fault usb-session-end 1", 1 << 20);
	finish();
}

/* What is not known of the chip, both ways. */
static void test_variants(void **state)
{
	static const char *const words[][8] = {
		{ "--session", "keep", "--overlap", "replace", "--burst", "5000" },
		{ "--usb-speed", "high", "--burst", "3996" },
		{ "--idle-short", "2000" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		spawn(words[i]);
		open_board();
		prepare(NULL);
		acquire(NULL, 2 << 20);
		finish();
	}
}

/* A ring that nobody reads fills, the board is held back, and nothing is lost. */
static void test_full(void **state)
{
	struct onidev_stream_config config = { .ring_bytes = SMALL_RING };
	struct onidev_stream_status s;
	struct tally t = { 0 };
	int i;

	(void)state;
	begin();
	prepare(&config);
	start();
	for (i = 0; i < 2000 && !(ring_flags() & ONI_RING_FULL); i++)
		usb_sleep(5);
	assert_true(ring_flags() & ONI_RING_FULL);
	usb_sleep(200);
	onidev_stream_status(stream, &s);
	assert_true(s.head <= SMALL_RING && s.head > SMALL_RING - 2 * 4096);
	assert_int_equal(s.full_events, 1);
	/* Far more than ring and transfers hold: the board goes on, from its memory. */
	assert_int_equal(read_bytes(&t, 4 << 20), ONIDEV_WAIT_DATA);
	/* The rest fits: so nothing that has left the board is given up by the stop. */
	ask("stall");
	while (onidev_stream_wait(stream, 1000) == ONIDEV_WAIT_DATA)
		read_some(&t);
	stop_and_read(&t);
	equal_account(&t);
	finish();
}

static void test_wake_rule(void **state)
{
	struct onidev_stream_config config = {
		.ring_bytes = 64 << 20, .block_bytes = 4096, .watermark_bytes = 8 << 20,
	};
	struct onidev_stream_status s;
	struct tally t = { 0 };
	int i;

	(void)state;
	begin();
	prepare(&config);
	start();
	for (i = 0; i < 2000; i++) {
		onidev_stream_status(stream, &s);
		if (s.head > 65536)
			break;
		usb_sleep(5);
	}
	assert_true(s.head > 65536 && s.head < (8 << 20));
	assert_false(readable(0));	/* there is something, and not enough */
	assert_return_code(onidev_stream_wake(stream, 65536, 0), errno);
	assert_true(readable(0));	/* it is enough now */
	ask("stall");
	usb_sleep(300);
	read_some(&t);
	assert_false(readable(0));	/* calm again, but for part of a frame all was read */
	ask("resume");
	assert_true(readable(20000));
	read_some(&t);
	assert_return_code(onidev_stream_wake(stream, 8 << 20, 1000), errno);
	assert_true(readable(20000));	/* old enough */
	onidev_stream_status(stream, &s);
	assert_true(s.head - s.tail < (8 << 20));
	assert_return_code(onidev_stream_wake(stream, 0, 0), errno);
	assert_int_equal(onidev_stream_wake(stream, 33 << 20, 0), -1);
	assert_int_equal(errno, EINVAL);
	stop_and_read(&t);
	equal_account(&t);
	finish();
}

static void test_unplug(void **state)
{
	struct pollfd p = { .events = POLLIN };
	struct tally t = { 0 };
	struct oni_info info;

	(void)state;
	begin();
	prepare(NULL);
	start();
	assert_int_equal(read_bytes(&t, 1 << 20), ONIDEV_WAIT_DATA);
	ask("unplug");
	assert_int_equal(read_bytes(&t, UINT64_MAX), -1);
	assert_int_equal(errno, ENODEV);
	assert_true(ring_flags() & ONI_RING_GONE);
	p.fd = onidev_controller_fd(ctl);
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_true(p.revents & POLLHUP);
	assert_int_equal(onidev_controller_info(ctl, &info), -1);
	assert_int_equal(errno, ENODEV);
	assert_int_equal(onidev_controller_start(ctl), -1);
	assert_int_equal(errno, ENODEV);
	close_all();
	ask("plug");
	open_board();
	prepare(NULL);
	acquire(NULL, 1 << 20);
	finish();
}

static void test_halts(void **state)
{
	struct tally t = { 0 };
	struct oni_info info;

	(void)state;
	begin();
	prepare(NULL);
	start();
	assert_int_equal(read_bytes(&t, 1 << 20), ONIDEV_WAIT_DATA);
	ask("fault usb-stall 1000");
	assert_int_equal(read_bytes(&t, UINT64_MAX), -1);
	assert_int_equal(errno, EIO);
	assert_true(ring_flags() & ONI_RING_ERROR);
	ask("fault clear");
	assert_return_code(onidev_controller_info(ctl, &info), errno);
	assert_int_equal(info.state, ONI_STATE_FAULT);
	assert_int_equal(onidev_controller_start(ctl), -1);
	assert_int_equal(errno, EIO);
	assert_return_code(onidev_controller_reset(ctl), errno);
	acquire(NULL, 1 << 20);
	finish();
}

static void test_replies(void **state)
{
	struct oni_info info;
	uint32_t value;

	(void)state;
	begin();
	ask("fault usb-reply-split 40");
	assert_return_code(onidev_reg_read(ctl, HEARTBEAT, 1, &value), errno);
	ask("fault clear");
	ask("fault usb-reply-garbage 7 3");
	assert_return_code(onidev_reg_read(ctl, HEARTBEAT, 1, &value), errno);
	ask("fault usb-reply-late 1 300");
	assert_return_code(onidev_reg_read(ctl, HEARTBEAT, 1, &value), errno);
	ask("fault nack 1");
	assert_int_equal(onidev_reg_read(ctl, HEARTBEAT, 1, &value), -1);
	assert_int_equal(errno, EREMOTEIO);
	ask("fault reply-lost 1");
	assert_int_equal(onidev_reg_read(ctl, HEARTBEAT, 1, &value), -1);
	assert_int_equal(errno, ETIMEDOUT);
	/* The answer may still come and be taken for another one's. */
	assert_return_code(onidev_controller_info(ctl, &info), errno);
	assert_int_equal(info.state, ONI_STATE_FAULT);
	assert_int_equal(onidev_ctl_read(ctl, ONI_CTL_RUNNING, &value), -1);
	assert_int_equal(errno, EIO);
	assert_return_code(onidev_controller_claim(ctl), errno);
	assert_return_code(onidev_controller_reset(ctl), errno);
	assert_return_code(onidev_reg_read(ctl, HEARTBEAT, 1, &value), errno);
	finish();
}

/* Not ours: not one session, no pin was touched. */
static void left_alone(const char *fault, int error, uint64_t requests)
{
	spawn(NULL);
	if (fault) {
		ask(fault);
		ask("unplug");
		ask("plug");
	} else {
		fake_claim_error = LIBUSB_ERROR_BUSY;
	}
	assert_null(attach());
	assert_int_equal(errno, error);
	assert_int_equal(status("usb.vendor_requests"), requests);
	assert_int_equal(status("usb.session.reads"), 0);
	assert_int_equal(status("usb.commands"), 0);
	finish();
}

static void test_others(void **state)
{
	(void)state;
	left_alone("fault usb-desc-type", ENOTTY, 0);
	left_alone("fault usb-desc-missing", ENOTTY, 0);
	left_alone("fault usb-fifo-mode", ENOTTY, 1);
	left_alone(NULL, EBUSY, 0);
}

static void test_bad_table(void **state)
{
	(void)state;
	spawn(NULL);
	ask("fault table-double 1");
	assert_null(attach());
	assert_int_equal(errno, EPROTO);
	assert_int_equal(status("usb.fifo_resets"), 2);
	finish();
}

/* The controller is closed first: the acquisition ends, what there is can be read. */
static void test_closed_below_a_stream(void **state)
{
	struct tally t = { 0 };

	(void)state;
	begin();
	prepare(NULL);
	start();
	assert_int_equal(read_bytes(&t, 1 << 20), ONIDEV_WAIT_DATA);
	onidev_controller_close(ctl);
	ctl = NULL;
	assert_int_equal(read_bytes(&t, UINT64_MAX), ONIDEV_WAIT_END);
	equal_account(&t);
	assert_return_code(onidev_stream_wake(stream, 0, 100), errno);
	finish();
}

/* Freed while it runs: the acquisition stops, a new stream can be made. */
static void test_stream_freed(void **state)
{
	struct tally t = { 0 };
	struct oni_info info;
	struct oni_stats stats;

	(void)state;
	begin();
	prepare(NULL);
	assert_null(onidev_stream_create(ctl, NULL));
	assert_int_equal(errno, EBUSY);
	assert_null(onidev_monitor_create(ctl, NULL));
	assert_int_equal(errno, EOPNOTSUPP);
	start();
	assert_int_equal(onidev_controller_reset(ctl), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(read_bytes(&t, 1 << 20), ONIDEV_WAIT_DATA);
	onidev_stream_free(stream);
	stream = NULL;
	assert_return_code(onidev_controller_info(ctl, &info), errno);
	assert_int_equal(info.state, ONI_STATE_IDLE);
	assert_false(info.flags & ONI_INFO_STREAM);
	assert_return_code(onidev_controller_stats(ctl, &stats), errno);
	assert_true(stats.bytes >= t.bytes);
	assert_null(onidev_monitor_create(ctl, NULL));
	assert_int_equal(errno, ENODATA);
	prepare(NULL);
	acquire(NULL, 1 << 20);
	finish();
}

static void test_sizes(void **state)
{
	static const struct onidev_stream_config bad[] = {
		{ .block_bytes = 1000 }, { .block_bytes = 65536 }, { .ring_bytes = 32768 },
		{ .ring_bytes = 100000 }, { .ring_bytes = 65536, .block_bytes = 32768 },
		{ .ring_bytes = 65536, .watermark_bytes = 65536 },
	};
	size_t i;

	(void)state;
	begin();
	assert_return_code(onidev_controller_claim(ctl), errno);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(onidev_stream_create(ctl, &bad[i]));
		assert_int_equal(errno, EINVAL);
	}
	finish();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_identity, clear_up),
		cmocka_unit_test_teardown(test_registers, clear_up),
		cmocka_unit_test_teardown(test_guard, clear_up),
		cmocka_unit_test_teardown(test_outputs, clear_up),
		cmocka_unit_test_teardown(test_conservation, clear_up),
		cmocka_unit_test_teardown(test_conservation, clear_up),
		cmocka_unit_test_teardown(test_block_sizes, clear_up),
		cmocka_unit_test_teardown(test_short_and_empty, clear_up),
		cmocka_unit_test_teardown(test_variants, clear_up),
		cmocka_unit_test_teardown(test_full, clear_up),
		cmocka_unit_test_teardown(test_wake_rule, clear_up),
		cmocka_unit_test_teardown(test_unplug, clear_up),
		cmocka_unit_test_teardown(test_halts, clear_up),
		cmocka_unit_test_teardown(test_replies, clear_up),
		cmocka_unit_test_teardown(test_others, clear_up),
		cmocka_unit_test_teardown(test_bad_table, clear_up),
		cmocka_unit_test_teardown(test_closed_below_a_stream, clear_up),
		cmocka_unit_test_teardown(test_stream_freed, clear_up),
		cmocka_unit_test_teardown(test_sizes, clear_up),
	};

	/* A pattern of names, for whoever looks for a fault. */
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("lib usb", tests, NULL, NULL);
}
