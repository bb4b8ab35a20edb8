// SPDX-License-Identifier: MIT
/* unit-sources: tests/sim/riffa.c tests/sim/fault.c tests/sim/violation.c tests/sim/model/rng.c */
/* unit-libs: -lm */
/* unit-cflags: -Itests/sim */
/*
 * test_sim_riffa.c - the simulated RIFFA core behaves like the HDL.
 *
 * Drives riffa.c by register accesses with a fake host memory and a fake user
 * logic. The numbers in the test names are those of a simulation of the
 * unmodified RIFFA 2.2 channel_64.v and registers.v; the checks are its results.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/riffa.h"

#define MEM_BASE	0x10000ull
#define MEM_SIZE	(1u << 20)
#define LIST		0x10000ull		/* list memory */
#define DATA		0x20000ull		/* data memory */
#define DATA2		0x80000ull
#define POISON		0xa5a5a5a5u
#define PATTERN		0x10000000u		/* user word i is PATTERN + i */

struct bench {
	struct riffa r;
	struct violations v;
	uint8_t mem[MEM_SIZE];
	bool master;
	bool msi_on;
	unsigned int msis;
	uint64_t now;
	/* user logic of every channel: one word stream */
	uint32_t made;		/* words the user has made available */
	uint32_t taken;
	uint32_t words[65536];
	unsigned int ends;
	uint32_t end_words;
	/* words received by the user */
	uint32_t got[8192];
	size_t got_n;
	uint32_t got_offset;
	bool user_full;
};

static struct bench *b;

static int dma_at(uint64_t addr, size_t len, uint8_t **p)
{
	if (!b->master)
		return -EAGAIN;
	if (addr < MEM_BASE || addr + len > MEM_BASE + MEM_SIZE)
		return -EFAULT;
	*p = b->mem + (addr - MEM_BASE);
	return 0;
}

static int op_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	uint8_t *p;
	int err = dma_at(addr, len, &p);

	(void)ctx;
	if (!err)
		memcpy(buf, p, len);
	return err;
}

static int op_write(void *ctx, uint64_t addr, const void *buf, size_t len)
{
	uint8_t *p;
	int err = dma_at(addr, len, &p);

	(void)ctx;
	if (!err)
		memcpy(p, buf, len);
	return err;
}

static int op_msi(void *ctx)
{
	(void)ctx;
	if (!b->msi_on)
		return -ENODEV;
	if (!b->master)
		return -EAGAIN;
	b->msis++;
	return 0;
}

static bool op_master(void *ctx)
{
	(void)ctx;
	return b->master;
}

static const void *op_peek(void *ctx, unsigned int ch, size_t *words)
{
	(void)ctx;
	(void)ch;
	*words = b->made - b->taken;
	return b->words + b->taken;
}

static void op_take(void *ctx, unsigned int ch, size_t words)
{
	(void)ctx;
	(void)ch;
	b->taken += (uint32_t)words;
}

static void op_end(void *ctx, unsigned int ch, uint32_t words)
{
	(void)ctx;
	(void)ch;
	b->ends++;
	b->end_words = words;
}

static size_t op_data(void *ctx, unsigned int ch, uint32_t offset,
		      const uint32_t *words, size_t n)
{
	(void)ctx;
	(void)ch;
	if (b->user_full)
		return 0;
	b->got_offset = offset;
	memcpy(b->got + b->got_n, words, n * 4);
	b->got_n += n;
	return n;
}

static void op_reset(void *ctx)
{
	(void)ctx;
}

static void bench_new(unsigned int channels)
{
	struct riffa_config cfg = {
		.channels = channels, .name = 0x4f4e4958, .vector_timeout_ns = 1000000000,
	};
	struct riffa_ops ops = {
		.dma_read = op_read, .dma_write = op_write, .msi = op_msi,
		.bus_master = op_master, .tx_peek = op_peek, .tx_take = op_take,
		.tx_end = op_end, .rx_data = op_data, .reset_out = op_reset,
	};
	uint32_t i;

	b = calloc(1, sizeof(*b));
	assert_non_null(b);
	b->master = true;
	b->msi_on = true;
	for (i = 0; i < MEM_SIZE / 4; i++)
		((uint32_t *)b->mem)[i] = POISON;
	for (i = 0; i < 65536; i++)
		b->words[i] = PATTERN + i;
	riffa_init(&b->r, &cfg, &ops, &b->v);
}

static int setup(void **state)
{
	(void)state;
	bench_new(4);
	return 0;
}

static int setup12(void **state)
{
	(void)state;
	bench_new(12);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(b);
	return 0;
}

/* ---- host side helpers ---- */

static uint32_t rd(unsigned int ch, enum riffa_field f)
{
	return riffa_read(&b->r, ch * 64 + f * 4, 4);
}

static void wr(unsigned int ch, enum riffa_field f, uint32_t val)
{
	riffa_write(&b->r, ch * 64 + f * 4, 4, val);
}

static uint32_t mem(uint64_t addr)
{
	uint32_t val;

	memcpy(&val, b->mem + (addr - MEM_BASE), 4);
	return val;
}

static void elem(uint64_t list, unsigned int i, uint64_t addr, uint32_t words)
{
	uint32_t e[4] = { (uint32_t)addr, (uint32_t)(addr >> 32), words, 0xdead };

	memcpy(b->mem + (list - MEM_BASE) + i * 16, e, 16);
}

/* @n elements of @words each, data one behind the other from @data on. */
static void list(uint64_t at, unsigned int n, uint64_t data, uint32_t words)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		elem(at, i, data + (uint64_t)i * words * 4, words);
}

static void tx_list(uint64_t addr, unsigned int elems)
{
	wr(0, RIFFA_TX_SG_ADDR_LO, (uint32_t)addr);
	wr(0, RIFFA_TX_SG_ADDR_HI, (uint32_t)(addr >> 32));
	wr(0, RIFFA_TX_SG_LEN, elems * 4);
}

static void rx_list(uint64_t addr, unsigned int elems)
{
	wr(0, RIFFA_RX_SG_ADDR_LO, (uint32_t)addr);
	wr(0, RIFFA_RX_SG_ADDR_HI, (uint32_t)(addr >> 32));
	wr(0, RIFFA_RX_SG_LEN, elems * 4);
}

static void step(void)
{
	b->now += 100;
	riffa_step(&b->r, b->now);
}

static void settle(void)
{
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		b->now += 100;
		if (!riffa_step(&b->r, b->now))
			return;
	}
	fail_msg("the core does not come to rest");
}

static uint32_t events(void)
{
	settle();
	return rd(0, RIFFA_VECTOR0);
}

static void announce(uint32_t len, bool last)
{
	riffa_tx_open(&b->r, 0, len, 0, last);
	b->made += len;
}

static void assert_violations(enum violation kind, uint64_t n)
{
	assert_int_equal(b->v.count[kind], n);
	assert_int_equal(b->v.total, n);
}

static void assert_data(uint64_t addr, uint32_t first, uint32_t words)
{
	uint32_t i;

	for (i = 0; i < words; i++)
		assert_int_equal(mem(addr + i * 4), PATTERN + first + i);
}

/* ---- card to host ---- */

static void test_01_list_before_ack_is_discarded(void **state)
{
	(void)state;
	announce(16, true);
	assert_int_equal(events(), RIFFA_EV_TX_TXN);
	list(LIST, 1, DATA, 16);
	tx_list(LIST, 1);
	assert_int_equal(events(), 0);
	assert_int_equal(rd(0, RIFFA_TX_LEN), 16);
	assert_int_equal(events(), 0);
	assert_int_equal(mem(DATA), POISON);
	tx_list(LIST, 1);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	assert_data(DATA, 0, 16);
	assert_violations(VIOLATION_LIST_BEFORE_ACK, 1);
}

static void test_02_list_while_idle_is_received_then_lost(void **state)
{
	(void)state;
	list(LIST, 1, DATA, 16);
	tx_list(LIST, 1);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD);
	announce(16, true);
	assert_int_equal(events(), RIFFA_EV_TX_TXN);
	rd(0, RIFFA_TX_LEN);
	assert_int_equal(events(), 0);
	assert_int_equal(mem(DATA), POISON);
	assert_violations(VIOLATION_LIST_BEFORE_ACK, 1);
}

static void test_03_two_lists_second_by_len_only(void **state)
{
	(void)state;
	announce(8192, true);
	assert_int_equal(events(), RIFFA_EV_TX_TXN);
	assert_int_equal(rd(0, RIFFA_TX_OFFLAST), 1);
	assert_int_equal(rd(0, RIFFA_TX_LEN), 8192);
	list(LIST, 8, DATA, 1024);
	tx_list(LIST, 4);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD);
	wr(0, RIFFA_TX_SG_LEN, 16);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	assert_int_equal(rd(0, RIFFA_TX_TNFR_LEN), 8192);
	assert_data(DATA, 0, 8192);
	assert_int_equal(events(), 0);
	assert_int_equal(b->ends, 1);
	assert_int_equal(b->v.total, 0);
}

static void test_04_early_close(void **state)
{
	(void)state;
	riffa_tx_open(&b->r, 0, 1024, 0, true);
	b->made = 100;
	events();
	assert_int_equal(rd(0, RIFFA_TX_LEN), 1024);
	list(LIST, 1, DATA, 1024);
	tx_list(LIST, 1);
	settle();
	riffa_tx_close(&b->r, 0, 100);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	assert_int_equal(rd(0, RIFFA_TX_TNFR_LEN), 100);
	assert_data(DATA, 0, 100);
	assert_int_equal(mem(DATA + 400), POISON);
	assert_int_equal(b->v.total, 0);
}

/* The last element of a list may be longer than the rest of the transaction. */
static void test_04_long_last_element_is_cut(void **state)
{
	(void)state;
	announce(24, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 2, DATA, 16);
	tx_list(LIST, 2);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	assert_int_equal(rd(0, RIFFA_TX_TNFR_LEN), 24);
	assert_data(DATA, 0, 24);
	assert_int_equal(mem(DATA + 96), POISON);

	/* Its rest is not used for what comes next. */
	announce(16, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 1, DATA2, 16);
	tx_list(LIST, 1);
	events();
	assert_data(DATA2, 24, 16);
	assert_int_equal(mem(DATA + 96), POISON);

	wr(0, RIFFA_RX_OFFLAST, 1);
	wr(0, RIFFA_RX_LEN, 20);
	list(LIST, 2, DATA, 16);
	rx_list(LIST, 2);
	assert_int_equal(events(), RIFFA_EV_RX_RECVD | RIFFA_EV_RX_DONE);
	assert_int_equal(rd(0, RIFFA_RX_TNFR_LEN), 20);
	assert_int_equal(b->got_n, 20);
	assert_int_equal(b->v.total, 0);
}

static void test_05_surplus_dropped_and_done_withheld(void **state)
{
	(void)state;
	announce(16, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 3, DATA, 16);
	tx_list(LIST, 3);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	assert_violations(VIOLATION_SURPLUS_ELEMENT, 1);

	announce(16, true);
	assert_int_equal(events(), RIFFA_EV_TX_TXN);
	rd(0, RIFFA_TX_LEN);
	list(LIST, 1, DATA2, 16);
	tx_list(LIST, 1);
	/* The data flows, DONE waits for the length of the first one. */
	assert_int_equal(events(), RIFFA_EV_TX_RECVD);
	assert_data(DATA2, 16, 16);
	assert_int_equal(mem(DATA + 64), POISON);
	assert_int_equal(rd(0, RIFFA_TX_TNFR_LEN), 16);
	assert_int_equal(events(), RIFFA_EV_TX_DONE);
	assert_int_equal(b->v.total, 1);
}

static void test_06_zero_element(void **state)
{
	(void)state;
	announce(16, true);
	events();
	rd(0, RIFFA_TX_LEN);
	elem(LIST, 0, DATA2, 0);
	elem(LIST, 1, DATA, 16);
	tx_list(LIST, 2);
	events();
	assert_violations(VIOLATION_ZERO_ELEMENT, 1);
}

static void test_07_zero_length_transactions(void **state)
{
	(void)state;
	announce(16, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 1, DATA, 16);
	tx_list(LIST, 1);
	events();
	assert_int_equal(rd(0, RIFFA_TX_TNFR_LEN), 16);

	announce(0, false);
	assert_int_equal(events(), 0);
	assert_false(riffa_tx_requested(&b->r, 0));

	announce(0, true);
	assert_int_equal(events(), RIFFA_EV_TX_TXN);
	assert_int_equal(rd(0, RIFFA_TX_LEN), 0);
	assert_int_equal(events(), RIFFA_EV_TX_DONE);
	assert_int_equal(rd(0, RIFFA_TX_TNFR_LEN), 16);
	assert_int_equal(b->v.total, 0);
}

static void test_08_partial_done(void **state)
{
	(void)state;
	announce(2048, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 2, DATA, 1024);
	tx_list(LIST, 1);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD);
	assert_int_equal(rd(0, RIFFA_TX_LEN), 1024);
	assert_int_equal(events(), RIFFA_EV_TX_DONE);
	assert_int_equal(rd(0, RIFFA_TX_TNFR_LEN), 0);
	wr(0, RIFFA_TX_SG_LEN, 4);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	assert_int_equal(rd(0, RIFFA_TX_TNFR_LEN), 2048);
	assert_int_equal(b->v.total, 0);
}

static void test_12_longest_list(void **state)
{
	(void)state;
	announce(500 * 4, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 500, DATA, 4);
	tx_list(LIST, 400);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD);
	wr(0, RIFFA_TX_SG_LEN, 400);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	assert_data(DATA, 0, 2000);
	assert_int_equal(b->v.total, 0);
}

static void test_13_list_overflow_loses_silently(void **state)
{
	(void)state;
	riffa_tx_open(&b->r, 0, 600 * 4, 0, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 600, DATA, 4);
	/* The user has nothing yet, so the FIFO only fills. */
	tx_list(LIST, 600);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD);
	b->made = 600 * 4;
	assert_int_equal(events(), 0);
	assert_int_equal(rd(0, RIFFA_TX_LEN), (600 - 512) * 4);
	assert_violations(VIOLATION_LIST_TOO_LONG, 1);
}

static void test_14_second_len_while_fetching_is_lost(void **state)
{
	(void)state;
	announce(32, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 2, DATA, 16);
	tx_list(LIST, 1);
	wr(0, RIFFA_TX_SG_LEN, 4);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD);
	assert_int_equal(events(), 0);
	assert_int_equal(mem(DATA + 64), POISON);
	assert_violations(VIOLATION_LEN_WHILE_FETCHING, 1);
}

static void test_16_17_18_gap_and_address_in_advance(void **state)
{
	(void)state;
	wr(0, RIFFA_TX_SG_ADDR_LO, LIST);
	wr(0, RIFFA_TX_SG_ADDR_HI, 0);
	list(LIST, 1, DATA, 16);
	announce(16, true);
	assert_int_equal(events(), RIFFA_EV_TX_TXN);
	rd(0, RIFFA_TX_LEN);
	wr(0, RIFFA_TX_SG_LEN, 4);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	assert_data(DATA, 0, 16);
	assert_int_equal(b->v.total, 0);
}

static void test_19_recvd_after_done(void **state)
{
	uint32_t seen = 0, before = 0;
	unsigned int i;

	(void)state;
	announce(4, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 200, DATA, 4);
	tx_list(LIST, 200);
	for (i = 0; i < 20 && !(seen & RIFFA_EV_TX_RECVD); i++) {
		before = seen;
		step();
		seen |= rd(0, RIFFA_VECTOR0);
	}
	assert_int_equal(before, RIFFA_EV_TX_DONE);
	assert_violations(VIOLATION_SURPLUS_ELEMENT, 1);
}

static void test_20_aborted_fetch_gives_no_recvd(void **state)
{
	(void)state;
	announce(4, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 200, DATA, 4);
	tx_list(LIST, 200);
	while (!b->ends)
		step();
	/* The next announcement comes while the list still arrives. */
	announce(4, true);
	assert_int_equal(events(), RIFFA_EV_TX_DONE | RIFFA_EV_TX_TXN);
	assert_int_equal(events(), 0);
}

static void test_21_data_before_the_block_is_complete(void **state)
{
	(void)state;
	riffa_tx_open(&b->r, 0, 1024, 0, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 1, DATA, 1024);
	tx_list(LIST, 1);
	b->made = 63;
	events();
	assert_int_equal(mem(DATA), POISON);
	b->made = 64;
	assert_int_equal(events(), 0);
	assert_data(DATA, 0, 64);
	assert_int_equal(rd(0, RIFFA_TX_LEN), 960);
}

static void test_22_idle_ack_is_harmless(void **state)
{
	(void)state;
	assert_int_equal(rd(0, RIFFA_TX_LEN), 0);
	assert_int_equal(rd(0, RIFFA_TX_LEN), 0);
	assert_int_equal(events(), 0);
	announce(16, true);
	assert_int_equal(events(), RIFFA_EV_TX_TXN);
	assert_int_equal(b->v.total, 0);
}

static void test_23_announced_again_after_reset(void **state)
{
	(void)state;
	announce(16, true);
	assert_int_equal(events(), RIFFA_EV_TX_TXN);
	assert_int_equal(rd(0, RIFFA_INFO) & 0x1f, 4 | 1 << 4);
	assert_int_equal(events(), RIFFA_EV_TX_TXN);
	assert_int_equal(rd(0, RIFFA_TX_LEN), 16);
	list(LIST, 1, DATA, 16);
	tx_list(LIST, 1);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	assert_int_equal(b->v.total, 0);
}

static void test_24_stale_address_dma(void **state)
{
	unsigned int i;
	uint32_t hit = 0;

	(void)state;
	announce(4, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 400, DATA, 4);
	tx_list(LIST, 400);
	while (!b->ends)
		step();
	announce(4, true);
	for (i = 0; i < 10 && b->r.tx[0].state != RIFFA_TX_NEW_ACK; i++)
		step();
	/* Without waiting for RECVD: acknowledge and post at once. */
	rd(0, RIFFA_TX_LEN);
	elem(LIST + 0x4000, 0, DATA2, 4);
	tx_list(LIST + 0x4000, 1);
	settle();
	assert_int_equal(mem(DATA2), POISON);
	for (i = 0; i < 400; i++)
		hit += mem(DATA + i * 16) == PATTERN + 4;
	assert_int_equal(hit, 1);
	assert_int_equal(b->v.count[VIOLATION_ACK_BEFORE_RECVD], 1);
	assert_int_equal(b->v.count[VIOLATION_LEN_WHILE_FETCHING], 1);
}

static void test_24_rule_is_judged_without_luck(void **state)
{
	(void)state;
	announce(4, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 2, DATA, 4);
	tx_list(LIST, 2);
	settle();
	announce(4, true);
	settle();
	/* The list is in, but the host never saw RECVD. */
	rd(0, RIFFA_TX_LEN);
	assert_int_equal(b->v.count[VIOLATION_ACK_BEFORE_RECVD], 1);
}

static void test_25_exact_lists_back_to_back(void **state)
{
	unsigned int i;

	(void)state;
	wr(0, RIFFA_TX_SG_ADDR_LO, LIST);
	for (i = 0; i < 10; i++)
		elem(LIST, i, DATA + i * 64, 16);
	for (i = 0; i < 10; i++) {
		announce(16, true);
		assert_int_equal(events() & RIFFA_EV_TX_TXN, RIFFA_EV_TX_TXN);
		rd(0, RIFFA_TX_LEN);
		wr(0, RIFFA_TX_SG_LEN, 4);
		settle();
		assert_int_equal(rd(0, RIFFA_TX_TNFR_LEN), 16);
	}
	assert_data(DATA, 0, 160);
	assert_int_equal(b->v.total, 0);
}

/* ---- host to card ---- */

static void test_09_rx_order_of_writes(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 32; i++)
		memcpy(b->mem + (DATA - MEM_BASE) + i * 4, &i, 4);
	list(LIST, 1, DATA, 32);
	/* A list before the length is received, then lost. */
	rx_list(LIST, 1);
	assert_int_equal(events(), RIFFA_EV_RX_RECVD);
	wr(0, RIFFA_RX_OFFLAST, 7 << 1 | 1);
	wr(0, RIFFA_RX_LEN, 32);
	assert_int_equal(events(), 0);
	assert_violations(VIOLATION_RX_LIST_BEFORE_LEN, 1);
	rx_list(LIST, 1);
	assert_int_equal(events(), RIFFA_EV_RX_RECVD | RIFFA_EV_RX_DONE);
	assert_int_equal(rd(0, RIFFA_RX_TNFR_LEN), 32);
	assert_int_equal(b->got_n, 32);
	assert_int_equal(b->got[31], 31);
	assert_int_equal(b->got_offset, 7);
	assert_int_equal(b->v.total, 1);
}

static void test_09_rx_zero_length(void **state)
{
	(void)state;
	wr(0, RIFFA_RX_OFFLAST, 0);
	wr(0, RIFFA_RX_LEN, 0);
	assert_int_equal(events(), 0);
	wr(0, RIFFA_RX_OFFLAST, 1);
	wr(0, RIFFA_RX_LEN, 0);
	assert_int_equal(events(), RIFFA_EV_RX_DONE);
	assert_int_equal(b->v.total, 0);
}

static void test_10_rx_len_again_is_partial_done(void **state)
{
	(void)state;
	list(LIST, 2, DATA, 16);
	wr(0, RIFFA_RX_OFFLAST, 1);
	wr(0, RIFFA_RX_LEN, 32);
	rx_list(LIST, 1);
	assert_int_equal(events(), RIFFA_EV_RX_RECVD);
	wr(0, RIFFA_RX_LEN, 16);
	assert_int_equal(events(), RIFFA_EV_RX_DONE);
	wr(0, RIFFA_RX_SG_LEN, 4);
	assert_int_equal(events(), RIFFA_EV_RX_RECVD | RIFFA_EV_RX_DONE);
	assert_int_equal(rd(0, RIFFA_RX_TNFR_LEN), 32);
	assert_int_equal(b->v.total, 0);
}

static void test_10_done_does_not_mean_consumed(void **state)
{
	(void)state;
	b->user_full = true;
	list(LIST, 1, DATA, 16);
	wr(0, RIFFA_RX_OFFLAST, 1);
	wr(0, RIFFA_RX_LEN, 16);
	rx_list(LIST, 1);
	assert_int_equal(events(), RIFFA_EV_RX_RECVD | RIFFA_EV_RX_DONE);
	assert_int_equal(b->got_n, 0);
	b->user_full = false;
	settle();
	assert_int_equal(b->got_n, 16);
}

static void test_11_rx_done_waits_for_the_last_length(void **state)
{
	unsigned int i;

	(void)state;
	list(LIST, 1, DATA, 16);
	for (i = 0; i < 2; i++) {
		wr(0, RIFFA_RX_OFFLAST, 1);
		wr(0, RIFFA_RX_LEN, 16);
		rx_list(LIST, 1);
		assert_int_equal(events(), RIFFA_EV_RX_RECVD | (i ? 0 : RIFFA_EV_RX_DONE));
	}
	assert_int_equal(rd(0, RIFFA_RX_TNFR_LEN), 16);
	assert_int_equal(events(), RIFFA_EV_RX_DONE);
	assert_int_equal(b->v.total, 0);
}

/* ---- register block ---- */

static void test_r_writes_act_like_reads(void **state)
{
	(void)state;
	announce(16, true);
	settle();
	wr(0, RIFFA_VECTOR0, 0);
	assert_int_equal(events(), 0);
	wr(0, RIFFA_TX_LEN, 0);
	list(LIST, 1, DATA, 16);
	tx_list(LIST, 1);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	wr(0, RIFFA_TX_TNFR_LEN, 0);
	assert_true(b->r.tx[0].done_read);
	wr(0, RIFFA_INFO, 0);
	assert_int_equal(b->r.stats.resets, 1);
	assert_violations(VIOLATION_WRITE_READONLY, 4);
}

static void test_r_pages_repeat(void **state)
{
	(void)state;
	riffa_tx_open(&b->r, 2, 24, 5, true);
	settle();
	assert_int_equal(rd(12, RIFFA_VECTOR0), RIFFA_EV_TX_TXN << 10);
	assert_int_equal(rd(14, RIFFA_TX_OFFLAST), 5 << 1 | 1);
	assert_int_equal(rd(14, RIFFA_TX_LEN), 24);
	assert_int_equal(b->r.tx[2].state, RIFFA_TX_WRITE);
	assert_int_equal(rd(0, RIFFA_NAME), 0x4f4e4958);
	assert_int_equal(b->v.total, 0);
}

static void test_r_read_of_field_5_starts_a_fetch(void **state)
{
	(void)state;
	list(LIST, 1, DATA, 16);
	wr(0, RIFFA_TX_SG_ADDR_LO, LIST);
	wr(1, RIFFA_RX_OFFLAST, 4);
	rd(0, RIFFA_TX_SG_LEN);
	assert_int_equal(b->r.stats.lists, 1);
	assert_int_equal(events(), RIFFA_EV_TX_RECVD);
	assert_int_equal(b->v.count[VIOLATION_READ_WRITEONLY], 1);
}

static void test_access_width_and_page_are_judged(void **state)
{
	(void)state;
	riffa_read(&b->r, RIFFA_VECTOR0 * 4, 8);
	riffa_read(&b->r, RIFFA_VECTOR0 * 4 + 2, 2);
	assert_violations(VIOLATION_BAR_WIDTH, 2);
	rd(1, RIFFA_INFO);
	assert_int_equal(b->v.count[VIOLATION_IRQ_PAGE], 1);
	assert_int_equal(b->r.stats.resets, 1);
}

static void test_reset_keeps_list_addresses(void **state)
{
	(void)state;
	wr(0, RIFFA_TX_SG_ADDR_LO, LIST);
	wr(0, RIFFA_TX_SG_ADDR_HI, 0);
	rd(0, RIFFA_INFO);
	list(LIST, 1, DATA, 4);
	announce(4, true);
	events();
	rd(0, RIFFA_TX_LEN);
	wr(0, RIFFA_TX_SG_LEN, 4);
	events();
	assert_data(DATA, 0, 4);
}

/* ---- interrupt ---- */

static void test_msi_only_after_vector_read(void **state)
{
	(void)state;
	riffa_tx_open(&b->r, 0, 4, 0, true);
	settle();
	assert_int_equal(b->msis, 1);
	riffa_tx_open(&b->r, 1, 4, 0, true);
	settle();
	assert_int_equal(b->msis, 1);
	assert_int_equal(rd(0, RIFFA_VECTOR0), RIFFA_EV_TX_TXN | RIFFA_EV_TX_TXN << 5);
	riffa_tx_open(&b->r, 2, 4, 0, true);
	settle();
	assert_int_equal(b->msis, 2);
}

static void test_msi_after_vector_was_polled(void **state)
{
	(void)state;
	riffa_tx_open(&b->r, 0, 4, 0, true);
	while (b->r.msi != RIFFA_MSI_INTR)
		step();
	assert_int_equal(rd(0, RIFFA_VECTOR0), RIFFA_EV_TX_TXN);
	settle();
	/* The message still comes and the next one waits for a read. */
	assert_int_equal(b->msis, 1);
	riffa_tx_open(&b->r, 1, 4, 0, true);
	settle();
	assert_int_equal(b->msis, 1);
	rd(0, RIFFA_VECTOR0);
	settle();
	assert_int_equal(b->msis, 1);
}

static void test_msi_needs_both_vectors_above_six_channels(void **state)
{
	(void)state;
	riffa_tx_open(&b->r, 7, 4, 0, true);
	settle();
	assert_int_equal(b->msis, 1);
	assert_int_equal(rd(0, RIFFA_VECTOR1), RIFFA_EV_TX_TXN << 5);
	riffa_tx_open(&b->r, 8, 4, 0, true);
	settle();
	assert_int_equal(b->msis, 1);
	assert_int_equal(rd(0, RIFFA_VECTOR0), 0);
	assert_int_equal(rd(0, RIFFA_VECTOR1), RIFFA_EV_TX_TXN << 10);
	riffa_tx_open(&b->r, 9, 4, 0, true);
	settle();
	assert_int_equal(b->msis, 2);
}

static void test_unread_vector_is_judged_once(void **state)
{
	(void)state;
	riffa_tx_open(&b->r, 0, 4, 0, true);
	settle();
	b->now += 999000000;
	step();
	assert_int_equal(b->v.total, 0);
	b->now += 2000000;
	step();
	step();
	assert_violations(VIOLATION_VECTOR_UNREAD, 1);
}

static void test_without_msi_the_interrupt_sticks(void **state)
{
	(void)state;
	b->msi_on = false;
	riffa_tx_open(&b->r, 0, 4, 0, true);
	settle();
	b->msi_on = true;
	rd(0, RIFFA_VECTOR0);
	riffa_tx_open(&b->r, 1, 4, 0, true);
	settle();
	assert_int_equal(b->msis, 0);
	rd(0, RIFFA_INFO);
	settle();
	assert_int_equal(b->msis, 1);
}

/* ---- DMA faults ---- */

static void test_bus_master_off_holds_the_transfer(void **state)
{
	(void)state;
	announce(16, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 1, DATA, 16);
	b->master = false;
	tx_list(LIST, 1);
	assert_int_equal(events(), 0);
	assert_violations(VIOLATION_DMA_NO_MASTER, 1);
	b->master = true;
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	assert_int_equal(b->v.total, 1);
}

static void test_data_to_nowhere_is_judged(void **state)
{
	(void)state;
	announce(16, true);
	events();
	rd(0, RIFFA_TX_LEN);
	list(LIST, 1, 0x40, 16);
	tx_list(LIST, 1);
	/* Posted writes: the card does not notice. */
	assert_int_equal(events(), RIFFA_EV_TX_RECVD | RIFFA_EV_TX_DONE);
	assert_violations(VIOLATION_DMA_FAULT, 1);
}

static void test_rx_from_nowhere_ends_short(void **state)
{
	(void)state;
	elem(LIST, 0, DATA, 8);
	elem(LIST, 1, 0x40, 8);
	wr(0, RIFFA_RX_OFFLAST, 1);
	wr(0, RIFFA_RX_LEN, 16);
	rx_list(LIST, 2);
	assert_int_equal(events(), RIFFA_EV_RX_RECVD | RIFFA_EV_RX_DONE);
	assert_int_equal(rd(0, RIFFA_RX_TNFR_LEN), 8);
	assert_violations(VIOLATION_DMA_FAULT, 1);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_01_list_before_ack_is_discarded),
		T(test_02_list_while_idle_is_received_then_lost),
		T(test_03_two_lists_second_by_len_only),
		T(test_04_early_close),
		T(test_04_long_last_element_is_cut),
		T(test_05_surplus_dropped_and_done_withheld),
		T(test_06_zero_element),
		T(test_07_zero_length_transactions),
		T(test_08_partial_done),
		T(test_09_rx_order_of_writes),
		T(test_09_rx_zero_length),
		T(test_10_rx_len_again_is_partial_done),
		T(test_10_done_does_not_mean_consumed),
		T(test_11_rx_done_waits_for_the_last_length),
		T(test_12_longest_list),
		T(test_13_list_overflow_loses_silently),
		T(test_14_second_len_while_fetching_is_lost),
		T(test_16_17_18_gap_and_address_in_advance),
		T(test_19_recvd_after_done),
		T(test_20_aborted_fetch_gives_no_recvd),
		T(test_21_data_before_the_block_is_complete),
		T(test_22_idle_ack_is_harmless),
		T(test_23_announced_again_after_reset),
		T(test_24_stale_address_dma),
		T(test_24_rule_is_judged_without_luck),
		T(test_25_exact_lists_back_to_back),
		T(test_r_writes_act_like_reads),
		T(test_r_pages_repeat),
		T(test_r_read_of_field_5_starts_a_fetch),
		T(test_access_width_and_page_are_judged),
		T(test_reset_keeps_list_addresses),
		T(test_msi_only_after_vector_read),
		T(test_msi_after_vector_was_polled),
		cmocka_unit_test_setup_teardown(test_msi_needs_both_vectors_above_six_channels,
						setup12, teardown),
		T(test_unread_vector_is_judged_once),
		T(test_without_msi_the_interrupt_sticks),
		T(test_bus_master_off_holds_the_transfer),
		T(test_data_to_nowhere_is_judged),
		T(test_rx_from_nowhere_ends_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
