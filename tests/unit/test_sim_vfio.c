// SPDX-License-Identifier: MIT
/*
 * test_sim_vfio.c - the whole simulated card, through its vfio-user socket.
 *
 * Every test starts an onisim of its own and is QEMU and driver at once, so
 * that the card is proven without a guest.
 */
#include "test_sim_client.h"

#include <time.h>

#define MAX_ROWS	64
#define PORT_A		1u
#define REG_VOLTAGE	3u
#define REG_LINK	5u
#define RHD		0x100u
#define RHD_ENABLE	0x8000u
#define BLOCK_WORDS	1024u

static struct client cl;
static struct drv_row rows[MAX_ROWS];

static void begin(const char *const *extra)
{
	memset(&cl, 0, sizeof(cl));
	client_spawn(&cl, extra);
	client_attach(&cl);
}

/* The simulator ends; @violations says which verdict is right. */
static void finish(bool violations)
{
	client_detach(&cl);
	assert_int_equal(client_end(&cl), violations ? 3 : 0);
	client_clean(&cl);
}

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void pause_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static const struct drv_row *row_of(uint32_t addr, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (rows[i].addr == addr)
			return &rows[i];
	return NULL;
}

/* ---- PCI and protocol ---- */

static void test_identity(void **state)
{
	struct vfio_region_info ri = { .argsz = sizeof(ri) };
	struct vfio_irq_info ii = { .argsz = sizeof(ii), .index = VFIO_PCI_MSI_IRQ_INDEX };
	uint32_t info[4] = { sizeof(info) };

	(void)state;
	begin(NULL);
	assert_int_equal(client_call(&cl, CMD_INFO, info, 16, -1, info, 16), 16);
	assert_int_equal(info[1], VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI);
	assert_int_equal(client_call(&cl, CMD_REGION_INFO, &ri, 32, -1, &ri, 32), 32);
	assert_int_equal(ri.size, 1024);
	assert_int_equal(client_call(&cl, CMD_IRQ_INFO, &ii, 16, -1, &ii, 16), 16);
	assert_int_equal(ii.count, 1);
	assert_int_equal(cfg_get(&cl, PCI_VENDOR_ID, 4), 0x702410ee);
	assert_int_equal(cfg_get(&cl, PCI_CLASS_REVISION, 4), 0x05800000);
	assert_int_equal(cfg_get(&cl, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x000710ee);
	/* BAR0 sizing, then the PCIe control words a driver writes. */
	cfg_put(&cl, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(cfg_get(&cl, PCI_BASE_ADDRESS_0, 4), 0xfffffc00);
	cfg_put(&cl, 0x60 + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_EXT_TAG);
	assert_int_equal(cfg_get(&cl, 0x60 + PCI_EXP_DEVCTL, 2), PCI_EXP_DEVCTL_EXT_TAG);
	cfg_put(&cl, 0x60 + PCI_EXP_LNKCTL, 2, PCI_EXP_LNKCTL_RCB);
	assert_int_equal(cfg_get(&cl, 0x60 + PCI_EXP_LNKCTL, 2), PCI_EXP_LNKCTL_RCB);
	assert_int_equal(cfg_get(&cl, 0x60 + PCI_EXP_LNKSTA, 2) & 0x3ff, 0x42);
	/* What follows the extended capabilities list is empty. */
	assert_int_equal(cfg_get(&cl, 0x100, 4), 0);
	finish(false);
}

static void test_other_identity(void **state)
{
	static const char *const args[] = { "--pci-device", "10ee:7021", "--bar-size", "4096",
					    "--info", "0x12345", NULL };
	struct vfio_region_info ri = { .argsz = sizeof(ri) };

	(void)state;
	begin(args);
	assert_int_equal(client_call(&cl, CMD_REGION_INFO, &ri, 32, -1, &ri, 32), 32);
	assert_int_equal(ri.size, 4096);
	assert_int_equal(cfg_get(&cl, PCI_VENDOR_ID, 4), 0x702110ee);
	assert_int_equal(reg_get(&cl, 0, RIFFA_INFO), 0x12345);
	finish(false);
}

static void test_protocol_limits(void **state)
{
	struct { uint64_t off; uint32_t region, count; } r = { 0, 0, 1u << 30 };
	struct vfio_region_info ri = { .argsz = sizeof(ri), .index = 99 };
	char buf[64] = { 0 };

	(void)state;
	begin(NULL);
	assert_int_equal(client_call(&cl, CMD_IO_FDS, buf, 16, -1, buf, sizeof(buf)), -ENOTSUP);
	assert_int_equal(client_call(&cl, 77, buf, 16, -1, buf, sizeof(buf)), -ENOTSUP);
	assert_int_equal(client_call(&cl, CMD_DMA_MAP, buf, 8, -1, buf, sizeof(buf)), -EINVAL);
	assert_int_equal(client_call(&cl, CMD_READ, &r, 16, -1, buf, sizeof(buf)), -EINVAL);
	assert_int_equal(client_call(&cl, CMD_REGION_INFO, &ri, 32, -1, buf, sizeof(buf)), -EINVAL);
	/* What QEMU does at its start: unmap the unknown, map without memory. */
	assert_int_equal(client_unmap(&cl, 0x5000, 0x1000), 0);
	assert_int_equal(client_map(&cl, 0xfffc0000, 0x40000, -1, 0, 1), 0);
	assert_int_equal(client_map(&cl, RAM_IOVA + 0x1000, 0x1000, cl.ram_fd, 0, 3), -EEXIST);
	assert_int_equal(client_unmap(&cl, RAM_IOVA, 0x1000), -EINVAL);
	assert_int_equal(client_unmap(&cl, RAM_IOVA, RAM_SIZE), 0);
	assert_int_equal(client_map(&cl, RAM_IOVA, RAM_SIZE, cl.ram_fd, 0, 3), 0);
	/* Still alive. */
	assert_int_equal(cfg_get(&cl, PCI_VENDOR_ID, 2), 0x10ee);
	finish(false);
}

/* ---- controller ---- */

static void test_table_and_registers(void **state)
{
	unsigned int n;
	uint32_t val;

	(void)state;
	begin(NULL);
	drv_probe(&cl);
	n = drv_reset(&cl, rows, MAX_ROWS);
	assert_non_null(row_of(0, n));
	assert_int_equal(row_of(0, n)->id, 35);
	assert_int_equal(row_of(PORT_A, n)->id, 23);
	assert_null(row_of(RHD, n));
	assert_int_equal(drv_conf_get(&cl, 7), 250000000);
	assert_int_equal(drv_conf_get(&cl, 8), 250000000);
	assert_int_equal(drv_conf_get(&cl, 0x0f000001), 3);
	drv_conf(&cl, 10, 0x00010002);
	assert_int_equal(drv_conf_get(&cl, 10), 0x00010002);
	/* Hub information of the controller: id, then refused writes. */
	assert_int_equal(drv_register(&cl, 0xfe, 0, &val, false), 0);
	assert_int_equal(val & 0xffff, 1);
	assert_int_equal(drv_set(&cl, 0xfe, 0, 5), -1);
	assert_int_equal(drv_register(&cl, 0x4321, 0, &val, false), -1);
	drv_remove(&cl);
	assert_int_equal(client_status(&cl, "reg_nacks"), 2);
	finish(false);
}

static void assert_signal_bytes(const uint8_t *want, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		assert_int_equal(drv_receive(&cl, 3, BLOCK_OFF, 2000), 1);
		assert_int_equal(drv_word(&cl), want[i]);
	}
}

static void test_signal_bytes(void **state)
{
	/* 13 rows follow; then the answer to a read of hub information. */
	static const uint8_t table[] = { 2, 0x20, 1, 1, 2, 13, 1, 1, 1, 0 };
	static const uint8_t ack[] = { 2, 8, 1, 1, 1, 0 };
	static const uint8_t nack[] = { 2, 4, 1, 1, 1, 0 };
	uint8_t pkt[255];
	unsigned int i;

	(void)state;
	begin(NULL);
	drv_probe(&cl);
	drv_conf(&cl, 6, 1);
	assert_signal_bytes(table, sizeof(table));
	for (i = 0; i < 13; i++)
		assert_int_equal(drv_signal(&cl, pkt), 24);
	drv_conf(&cl, 0, 0xfe);
	drv_conf(&cl, 4, 1);
	assert_signal_bytes(ack, sizeof(ack));
	drv_conf(&cl, 3, 1);
	drv_conf(&cl, 4, 1);
	assert_signal_bytes(nack, sizeof(nack));
	drv_remove(&cl);
	finish(false);
}

static void test_write_frames(void **state)
{
	/* Two frames of the digital port, cut in the middle of the second one. */
	static const uint32_t words[] = { 7, 1, 0xa5, 7, 1, 0x5a };
	static const uint32_t absurd[] = { 7, 0xffffffff };

	(void)state;
	begin(NULL);
	drv_probe(&cl);
	drv_reset(&cl, rows, MAX_ROWS);
	drv_send(&cl, 1, 0, words, 4);
	assert_int_equal(client_status(&cl, "write_frames"), 1);
	drv_send(&cl, 1, 0, words + 4, 2);
	assert_int_equal(client_status(&cl, "write_frames"), 2);
	drv_send(&cl, 1, 0, absurd, 2);
	assert_int_equal(client_status(&cl, "bad_write_frames"), 1);
	drv_send(&cl, 1, 0, words, 3);
	assert_int_equal(client_status(&cl, "write_frames"), 3);
	drv_remove(&cl);
	finish(false);
}

static unsigned int power_headstage(void)
{
	uint32_t link = 0;
	unsigned int i;

	drv_reset(&cl, rows, MAX_ROWS);
	assert_int_equal(drv_set(&cl, PORT_A, REG_VOLTAGE, 65), 0);
	for (i = 0; i < 50 && !(link & 1); i++) {
		pause_ms(20);
		assert_int_equal(drv_register(&cl, PORT_A, REG_LINK, &link, false), 0);
	}
	assert_int_equal(link & 1, 1);
	drv_reset(&cl, rows, MAX_ROWS);
	assert_int_equal(drv_set(&cl, RHD, RHD_ENABLE, 1), 0);
	return drv_reset(&cl, rows, MAX_ROWS);
}

/* Frames found in a stream, split at any place. */
struct parser {
	uint8_t buf[4096];
	size_t len;
	uint64_t rhd, all, last_clock;
	uint32_t ramp;
};

static void parse_frame(struct parser *p, size_t n)
{
	uint64_t clock;
	uint32_t addr;
	uint16_t sample;

	memcpy(&clock, p->buf, 8);
	memcpy(&addr, p->buf + 8, 4);
	assert_true(clock >= p->last_clock);
	p->last_clock = clock;
	p->all++;
	if (addr != RHD)
		return;
	assert_int_equal(n, 160);
	/* Ramp source: sample * 64 + channel; channel 0 is the first word. */
	memcpy(&sample, p->buf + 16 + 8, 2);
	assert_int_equal(sample, (uint16_t)(p->rhd * 64));
	p->rhd++;
}

static void parse_stream(struct parser *p, const uint8_t *data, size_t len)
{
	uint32_t size;
	size_t n;

	while (len) {
		n = 16;
		if (p->len >= 16) {
			memcpy(&size, p->buf + 12, 4);
			assert_true(size >= 8 && size <= 2048);
			n = 16 + ((size + 3) & ~3u);
		}
		n -= p->len;
		if (n > len)
			n = len;
		memcpy(p->buf + p->len, data, n);
		p->len += n;
		data += n;
		len -= n;
		if (p->len < 16)
			continue;
		memcpy(&size, p->buf + 12, 4);
		if (p->len != 16 + ((size + 3) & ~3u))
			continue;
		parse_frame(p, p->len);
		p->len = 0;
	}
}

static void read_blocks(struct parser *p, unsigned int blocks, int ms)
{
	int n;

	while (blocks--) {
		n = drv_receive(&cl, 2, BLOCK_OFF, ms);
		if (n < 0)
			return;
		assert_int_equal(n, BLOCK_WORDS);
		parse_stream(p, cl.ram + BLOCK_OFF, (size_t)n * 4);
	}
}

static uint64_t device_counter(uint32_t addr, const char *what)
{
	char key[64];

	snprintf(key, sizeof(key), "frames.0x%x.%s", addr, what);
	return client_status(&cl, key);
}

static void assert_conserved(unsigned int n, const struct parser *p)
{
	uint64_t sum = 0, produced, delivered;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (!rows[i].id || !rows[i].read_size)
			continue;
		produced = device_counter(rows[i].addr, "produced");
		delivered = device_counter(rows[i].addr, "delivered");
		assert_int_equal(produced, delivered + device_counter(rows[i].addr, "left") +
				 device_counter(rows[i].addr, "lost"));
		sum += delivered;
	}
	assert_int_equal(sum, p->all);
	assert_int_equal(device_counter(RHD, "delivered"), p->rhd);
}

static void test_acquisition(void **state)
{
	static const char *const args[] = { "--model", "source=0-63=ramp", NULL };
	struct parser p = { .len = 0 };
	uint32_t words = BLOCK_WORDS;
	unsigned int n;

	(void)state;
	begin(args);
	drv_probe(&cl);
	n = power_headstage();
	assert_non_null(row_of(RHD, n));
	assert_int_equal(row_of(RHD, n)->read_size, 142);
	drv_send(&cl, 2, 0, &words, 1);
	drv_conf(&cl, 9, 2);
	assert_int_equal(drv_conf_get(&cl, 5), 1);
	read_blocks(&p, 300, 1000);
	drv_conf(&cl, 5, 0);
	read_blocks(&p, 100000, 100);
	assert_true(p.rhd > 7000);
	assert_conserved(n, &p);
	assert_int_equal(client_status(&cl, "frames_lost"), 0);
	/* What is left is less than one block. */
	assert_true(client_status(&cl, "ram_used_bytes") < BLOCK_WORDS * 4);
	drv_remove(&cl);
	finish(false);
}

static void test_rate_follows_the_clock(void **state)
{
	static const char *const args[] = { "--model", "source=0-63=ramp", NULL };
	uint64_t clock, frames, t0, real;
	uint32_t words = BLOCK_WORDS;

	(void)state;
	begin(args);
	drv_probe(&cl);
	power_headstage();
	drv_send(&cl, 2, 0, &words, 1);
	t0 = clock_ns();
	drv_conf(&cl, 9, 2);
	/* Nobody reads: everything piles up in card RAM. */
	pause_ms(300);
	drv_conf(&cl, 5, 0);
	clock = client_status(&cl, "clock");
	real = clock_ns();
	/* Never ahead of real time, and all of it when told to stop. */
	assert_in_range(clock, 300000000 / 4 - 1, (real - t0) / 4);
	frames = device_counter(RHD, "produced");
	assert_in_range(frames, clock * 3 / 25000 - 60, clock * 3 / 25000 + 1);
	assert_int_equal(device_counter(RHD, "left"), frames);
	drv_reset(&cl, rows, MAX_ROWS);
	assert_int_equal(client_status(&cl, "ram_used_bytes"), 0);
	assert_int_equal(device_counter(RHD, "discarded"), frames);
	drv_remove(&cl);
	finish(false);
}

static void test_full_ram_loses_whole_frames(void **state)
{
	static const char *const args[] = { "--model", "source=0-63=flat", "--ram", "64K", NULL };
	uint32_t words = BLOCK_WORDS;

	(void)state;
	begin(args);
	drv_probe(&cl);
	power_headstage();
	drv_send(&cl, 2, 0, &words, 1);
	drv_conf(&cl, 9, 2);
	pause_ms(200);
	drv_conf(&cl, 5, 0);
	assert_true(device_counter(RHD, "lost") > 1000);
	assert_int_equal(device_counter(RHD, "produced"),
			 device_counter(RHD, "left") + device_counter(RHD, "lost"));
	assert_true(client_status(&cl, "ram_peak_bytes") <= 65536);
	drv_remove(&cl);
	finish(false);
}

static void test_max_speed_loses_nothing(void **state)
{
	static const char *const args[] = { "--model", "source=0-63=ramp", "--speed", "max",
					    "--ram", "1M", NULL };
	uint64_t t0, t1;
	struct parser p = { .len = 0 };
	uint32_t words = 16384;
	uint64_t bytes = 0;
	unsigned int i, n;
	int len;

	(void)state;
	begin(args);
	drv_probe(&cl);
	n = power_headstage();
	drv_send(&cl, 2, 0, &words, 1);
	drv_conf(&cl, 9, 2);
	t0 = clock_ns();
	for (i = 0; i < 1000; i++) {
		len = drv_receive(&cl, 2, BLOCK_OFF, 1000);
		assert_int_equal(len, words);
		parse_stream(&p, cl.ram + BLOCK_OFF, (size_t)len * 4);
		bytes += (uint64_t)len * 4;
	}
	t1 = clock_ns();
	drv_conf(&cl, 5, 0);
	while ((len = drv_receive(&cl, 2, BLOCK_OFF, 100)) > 0)
		parse_stream(&p, cl.ram + BLOCK_OFF, (size_t)len * 4);
	print_message("max speed: %.0f MB/s in blocks of 64 KiB\n", (double)bytes * 1e3 / (double)(t1 - t0));
	assert_conserved(n, &p);
	assert_int_equal(client_status(&cl, "frames_lost"), 0);
	drv_remove(&cl);
	finish(false);
}

/* ---- faults ---- */

static void test_write_to_read_only_memory_is_judged(void **state)
{
	uint32_t dummy = 0;

	(void)state;
	begin(NULL);
	drv_probe(&cl);
	assert_int_equal(client_unmap(&cl, RAM_IOVA, RAM_SIZE), 0);
	assert_int_equal(client_map(&cl, RAM_IOVA, RAM_SIZE, cl.ram_fd, 0, 1), 0);
	/* Sending needs to read only. */
	drv_send(&cl, 0, 7 | 1u << 29, &dummy, 1);
	assert_int_equal(client_status(&cl, "violations"), 0);
	drv_receive(&cl, 0, BLOCK_OFF, 1000);
	assert_int_equal(drv_word(&cl), 0);
	assert_int_equal(client_status(&cl, "violation.dma-fault"), 1);
	finish(true);
}

static void test_stall_keeps_data_in_the_card(void **state)
{
	static const char *const args[] = { "--model", "source=0-63=ramp", NULL };
	struct parser p = { .len = 0 };
	uint32_t words = BLOCK_WORDS;
	char buf[256];

	(void)state;
	begin(args);
	drv_probe(&cl);
	power_headstage();
	drv_send(&cl, 2, 0, &words, 1);
	assert_int_equal(client_ask(&cl, "stall", buf, sizeof(buf)), 0);
	drv_conf(&cl, 9, 2);
	assert_int_equal(drv_receive(&cl, 2, BLOCK_OFF, 200), -1);
	/* Registers go on. */
	assert_int_equal(drv_conf_get(&cl, 5), 1);
	assert_true(client_status(&cl, "ram_used_bytes") > 100000);
	assert_int_equal(client_ask(&cl, "resume", buf, sizeof(buf)), 0);
	read_blocks(&p, 30, 1000);
	assert_true(p.rhd > 700);
	drv_conf(&cl, 5, 0);
	drv_remove(&cl);
	finish(false);
}

static void test_patience_with_an_unread_vector(void **state)
{
	static const char *const args[] = { "--model", "source=0-63=ramp", "--vector-timeout", "600000", NULL };
	uint32_t words = BLOCK_WORDS;
	char buf[256];
	int i;

	(void)state;
	begin(args);
	drv_probe(&cl);
	power_headstage();
	drv_send(&cl, 2, 0, &words, 1);
	drv_conf(&cl, 9, 2);
	/* A block is announced, and nobody looks. */
	pause_ms(1500);
	assert_int_equal(client_status(&cl, "violations"), 0);
	assert_int_equal(client_ask(&cl, "patience 50", buf, sizeof(buf)), 0);
	for (i = 0; i < 100 && !client_status(&cl, "violations"); i++)
		pause_ms(100);
	assert_int_equal(client_status(&cl, "violation.vector-unread"), 1);
	assert_int_equal(client_ask(&cl, "patience", buf, sizeof(buf)), 0);
	finish(true);
}

static void test_unplug_and_replug(void **state)
{
	char buf[256];

	(void)state;
	begin(NULL);
	drv_probe(&cl);
	drv_reset(&cl, rows, MAX_ROWS);
	drv_conf(&cl, 10, 77);
	assert_int_equal(client_ask(&cl, "unplug", buf, sizeof(buf)), 0);
	assert_int_equal(recv(cl.sock, buf, sizeof(buf), 0), 0);
	client_detach(&cl);
	client_attach(&cl);
	drv_probe(&cl);
	assert_int_equal(drv_conf_get(&cl, 10), 0);
	drv_remove(&cl);
	finish(false);
}

static void test_device_reset_is_power_on(void **state)
{
	(void)state;
	begin(NULL);
	drv_probe(&cl);
	drv_conf(&cl, 10, 77);
	assert_int_equal(client_call(&cl, CMD_RESET, NULL, 0, -1, NULL, 0), 0);
	assert_int_equal(cfg_get(&cl, PCI_COMMAND, 2), 0);
	close(cl.msi);
	drv_probe(&cl);
	assert_int_equal(drv_conf_get(&cl, 10), 0);
	drv_remove(&cl);
	finish(false);
}

static void test_reset_drops_an_announced_block(void **state)
{
	uint32_t words = BLOCK_WORDS;
	uint8_t pkt[255];

	(void)state;
	begin(NULL);
	drv_probe(&cl);
	power_headstage();
	drv_send(&cl, 2, 0, &words, 1);
	drv_conf(&cl, 9, 2);
	pause_ms(50);
	drv_conf(&cl, 5, 0);
	/* Announced and not acknowledged; then the controller is reset. */
	drv_conf(&cl, 6, 1);
	assert_int_equal(drv_signal(&cl, pkt), 8);
	assert_true(drv_wait(&cl, 2, RIFFA_EV_TX_TXN, 1000));
	assert_int_equal(reg_get(&cl, 2, RIFFA_TX_LEN), BLOCK_WORDS);
	assert_true(drv_wait(&cl, 2, RIFFA_EV_TX_DONE, 1000));
	assert_int_equal(reg_get(&cl, 2, RIFFA_TX_TNFR_LEN), 0);
	finish(false);
}

static void test_truth_file(void **state)
{
	uint32_t words = BLOCK_WORDS;
	char buf[16384], want[64];
	size_t n;
	FILE *f;

	(void)state;
	begin(NULL);
	drv_probe(&cl);
	power_headstage();
	drv_send(&cl, 2, 0, &words, 1);
	drv_conf(&cl, 9, 2);
	pause_ms(50);
	drv_conf(&cl, 5, 0);
	while (drv_receive(&cl, 2, BLOCK_OFF, 100) > 0)
		;
	assert_int_equal(client_ask(&cl, "truth", buf, sizeof(buf)), 0);
	snprintf(want, sizeof(want), "\"addr\":256,\"id\":3,\"produced\":%llu,\"carried\":0,",
		 (unsigned long long)device_counter(RHD, "produced"));
	f = fopen(client_path(&cl, "truth"), "r");
	assert_non_null(f);
	n = fread(buf, 1, sizeof(buf) - 1, f);
	buf[n] = '\0';
	fclose(f);
	assert_non_null(strstr(buf, "{\"run\":1,\"reason\":\"stop\",\"devices\":["));
	assert_non_null(strstr(buf, "{\"run\":1,\"reason\":\"command\",\"devices\":["));
	assert_non_null(strstr(buf, want));
	assert_non_null(strstr(buf, "\"violations\":{}}"));
	finish(false);
}

static void test_injected_faults(void **state)
{
	char buf[256];
	uint32_t val;

	(void)state;
	begin(NULL);
	drv_probe(&cl);
	drv_reset(&cl, rows, MAX_ROWS);
	assert_int_equal(client_ask(&cl, "fault nack 2", buf, sizeof(buf)), 0);
	assert_int_equal(drv_register(&cl, 0xfe, 0, &val, false), -1);
	assert_int_equal(drv_set(&cl, PORT_A, REG_VOLTAGE, 0), -1);
	assert_int_equal(drv_register(&cl, 0xfe, 0, &val, false), 0);

	/* No packet comes, and the controller is ready again. */
	assert_int_equal(client_ask(&cl, "fault mute 1", buf, sizeof(buf)), 0);
	drv_conf(&cl, 4, 1);
	assert_int_equal(drv_receive(&cl, 3, BLOCK_OFF, 100), -1);
	assert_int_equal(drv_register(&cl, 0xfe, 0, &val, false), 0);

	assert_int_equal(client_ask(&cl, "fault msi", buf, sizeof(buf)), 0);
	assert_true(drv_interrupt(&cl, 1000));
	assert_int_equal(cl.events, 0);
	assert_int_equal(drv_register(&cl, 0xfe, 0, &val, false), 0);
	assert_int_equal(client_ask(&cl, "fault melt", buf, sizeof(buf)), -1);
	drv_remove(&cl);
	finish(false);
}

static void test_control_answers(void **state)
{
	char buf[32768];

	(void)state;
	begin(NULL);
	assert_int_equal(client_ask(&cl, "nonsense", buf, sizeof(buf)), -1);
	assert_non_null(strstr(buf, "nonsense"));
	assert_int_equal(client_ask(&cl, "violations", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	client_get(&cl, VFIO_PCI_BAR0_REGION_INDEX, RIFFA_TX_SG_LEN * 4, 4);
	assert_int_equal(client_ask(&cl, "violations", buf, sizeof(buf)), 0);
	assert_non_null(strstr(buf, "violation read-writeonly ch=0 field=5"));
	assert_int_equal(client_ask(&cl, "reset-counters", buf, sizeof(buf)), 0);
	assert_int_equal(client_status(&cl, "violations"), 0);
	client_get(&cl, VFIO_PCI_BAR0_REGION_INDEX, 2, 2);
	finish(true);
}

/* Exit status of a simulator that must not come to run. */
static int status_of(const char *const *words)
{
	const char *argv[8] = { getenv("ONISIM") };
	int status = 0, n = 1;
	pid_t pid;

	while (*words)
		argv[n++] = *words++;
	pid = fork();
	assert_return_code(pid, errno);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* One that runs all the same ends by this, and not with a status. */
		alarm(30);
		close(STDERR_FILENO);
		execv(argv[0], (char **)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_wrong_usage_is_status_2(void **state)
{
	static const char *const model[] = {
		"sead=1", "seed", "seed=x", "port-a=hs63", "source=0-3=nothing", "=", NULL
	};
	const char *socket[] = { "--socket", "/nonexistent/socket", NULL };
	const char *truth[] = { "--socket", "/tmp/onisim-unused", "--truth", "/nonexistent/truth", NULL };

	(void)state;
	for (int i = 0; model[i]; i++) {
		const char *words[] = { "--socket", "/tmp/onisim-unused", "--model", model[i], NULL };

		if (status_of(words) != 2)
			fail_msg("--model %s ended with %d", model[i], status_of(words));
	}
	assert_int_equal(status_of((const char *[]){ "--frobnicate", NULL }), 2);
	assert_int_equal(status_of((const char *[]){ NULL }), 2);
	/* What is no fault of the command line is another status. */
	assert_int_equal(status_of(socket), 1);
	assert_int_equal(status_of(truth), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_usage_is_status_2),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_other_identity),
		cmocka_unit_test(test_protocol_limits),
		cmocka_unit_test(test_table_and_registers),
		cmocka_unit_test(test_signal_bytes),
		cmocka_unit_test(test_write_frames),
		cmocka_unit_test(test_acquisition),
		cmocka_unit_test(test_rate_follows_the_clock),
		cmocka_unit_test(test_full_ram_loses_whole_frames),
		cmocka_unit_test(test_max_speed_loses_nothing),
		cmocka_unit_test(test_write_to_read_only_memory_is_judged),
		cmocka_unit_test(test_stall_keeps_data_in_the_card),
		cmocka_unit_test(test_patience_with_an_unread_vector),
		cmocka_unit_test(test_unplug_and_replug),
		cmocka_unit_test(test_device_reset_is_power_on),
		cmocka_unit_test(test_reset_drops_an_announced_block),
		cmocka_unit_test(test_truth_file),
		cmocka_unit_test(test_injected_faults),
		cmocka_unit_test(test_control_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
