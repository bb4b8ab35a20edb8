// SPDX-License-Identifier: MIT
/*
 * test_sim_fault.c - the simulated card misbehaves as it was told, and only so.
 *
 * Every test starts an onisim of its own, orders a fault through the control
 * socket and looks at the card with the polled driver of test_sim_client.h.
 */
#include "test_sim_client.h"

#include <time.h>

#define MAX_ROWS	64
#define ROWS		13u		/* without a headstage */
#define LOAD		11u
#define BLOCK_WORDS	128u
#define LOAD_FRAME	(16u + 16 + 2 * 30)
#define CH_DATA		2
#define CH_SIGNAL	3

static struct client cl;
static struct drv_row rows[MAX_ROWS];

static void begin(void)
{
	memset(&cl, 0, sizeof(cl));
	client_spawn(&cl, NULL);
	client_attach(&cl);
	drv_probe(&cl);
}

/* The simulator ends; @violations says which verdict is right. */
static void finish(bool violations)
{
	drv_remove(&cl);
	client_detach(&cl);
	assert_int_equal(client_end(&cl), violations ? 3 : 0);
	client_clean(&cl);
}

static int ask(const char *request)
{
	char buf[1024];

	return client_ask(&cl, request, buf, sizeof(buf));
}

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The load tester at 4000 frames per second: 368 kB/s, nothing else of note. */
static void acquire(void)
{
	uint32_t words = BLOCK_WORDS;

	drv_reset(&cl, rows, MAX_ROWS);
	assert_int_equal(drv_set(&cl, LOAD, 1, 62500), 0);
	assert_int_equal(drv_set(&cl, LOAD, 3, 30), 0);
	assert_int_equal(drv_set(&cl, LOAD, 0, 1), 0);
	drv_reset(&cl, rows, MAX_ROWS);
	drv_send(&cl, CH_DATA, 0, &words, 1);
	drv_conf(&cl, 9, 2);
}

static void post(unsigned int ch, uint32_t words)
{
	uint64_t list = RAM_IOVA + LIST_OFF + 32 + ch * 64;

	drv_elem(&cl, LIST_OFF + 32 + ch * 64, RAM_IOVA + BLOCK_OFF, words);
	reg_put(&cl, ch, RIFFA_TX_SG_ADDR_LO, (uint32_t)list);
	reg_put(&cl, ch, RIFFA_TX_SG_ADDR_HI, (uint32_t)(list >> 32));
	reg_put(&cl, ch, RIFFA_TX_SG_LEN, 4);
}

/* Frames follow each other without a gap, whatever the cuts. */
struct stream {
	uint8_t carry[2048];
	size_t have;
	uint64_t frames, last;
};

static void stream_feed(struct stream *s, size_t len)
{
	uint32_t head[4];
	uint64_t clock;
	size_t n;

	memcpy(s->carry + s->have, cl.ram + BLOCK_OFF, len);
	s->have += len;
	while (s->have >= sizeof(head)) {
		memcpy(head, s->carry, sizeof(head));
		memcpy(&clock, head, 8);
		assert_true(head[3] >= 8 && head[3] < 200);
		n = 16 + ((head[3] + 3) & ~3u);
		if (s->have < n)
			return;
		assert_true(clock >= s->last);
		s->last = clock;
		s->frames++;
		s->have -= n;
		memmove(s->carry, s->carry + n, s->have);
	}
}

/* One block of @announced words, of which @moved come. */
static void take(struct stream *s, uint32_t announced, uint32_t moved)
{
	assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_TXN, 2000));
	assert_int_equal(reg_get(&cl, CH_DATA, RIFFA_TX_LEN), announced);
	if (announced) {
		post(CH_DATA, announced);
		assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_RECVD, 2000));
	}
	assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_DONE, 2000));
	if (!announced)
		return;
	assert_int_equal(reg_get(&cl, CH_DATA, RIFFA_TX_TNFR_LEN), moved);
	stream_feed(s, moved * 4);
}

/* ---- requests ---- */

static void test_requests(void **state)
{
	(void)state;
	begin();
	assert_int_equal(ask("fault melt"), -1);
	assert_int_equal(ask("fault"), -1);
	assert_int_equal(ask("fault nack x"), -1);
	assert_int_equal(ask("fault nack 1 2"), -1);
	assert_int_equal(ask("fault nack 1 ch=2"), -1);
	assert_int_equal(ask("fault recvd-late 1 2 3"), -1);
	assert_int_equal(ask("fault recvd-late 1 2 ch=3"), 0);
	assert_int_equal(client_status(&cl, "fault.recvd-late.left"), 1);
	assert_int_equal(ask("fault spent recvd-late"), -1);
	assert_int_equal(ask("fault clear"), 0);
	/* Never done, so not spent. */
	assert_int_equal(ask("fault spent recvd-late"), -1);
	assert_int_equal(ask("fault reply-stray"), 0);
	assert_int_equal(drv_receive(&cl, 0, BLOCK_OFF, 2000), 1);
	assert_int_equal(ask("fault spent reply-stray"), 0);
	assert_int_equal(client_status(&cl, "fault.reply-stray.done"), 1);
	finish(false);
}

static void test_status_of_host_settings(void **state)
{
	(void)state;
	begin();
	assert_int_equal(client_status(&cl, "bus_master"), 1);
	assert_int_equal(client_status(&cl, "msi_enabled"), 1);
	assert_int_equal(client_status(&cl, "dma_maps"), 1);
	assert_int_equal(client_status(&cl, "dma_map_bytes"), RAM_SIZE);
	drv_conf_get(&cl, 7);
	/* Two lists and the request; the answer. */
	assert_int_equal(client_status(&cl, "dma.0.reads"), 3);
	assert_int_equal(client_status(&cl, "dma.0.read_bytes"), 16 + 16 + 4);
	assert_int_equal(client_status(&cl, "dma.0.writes"), 1);
	assert_int_equal(client_status(&cl, "dma.0.write_bytes"), 4);
	cfg_put(&cl, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(client_status(&cl, "bus_master"), 0);
	cfg_put(&cl, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(client_call(&cl, CMD_RESET, NULL, 0, -1, NULL, 0), 0);
	assert_int_equal(client_status(&cl, "bus_master"), 0);
	assert_int_equal(client_status(&cl, "last_bus_master"), 1);
	assert_int_equal(client_status(&cl, "last_msi_enabled"), 1);
	/* A second reset of an untouched card is no news. */
	assert_int_equal(client_call(&cl, CMD_RESET, NULL, 0, -1, NULL, 0), 0);
	assert_int_equal(client_status(&cl, "last_bus_master"), 1);
	reg_get(&cl, 0, RIFFA_INFO);
	assert_int_equal(client_call(&cl, CMD_RESET, NULL, 0, -1, NULL, 0), 0);
	assert_int_equal(client_status(&cl, "last_bus_master"), 0);
	finish(false);
}

static void test_write_frames_have_a_time(void **state)
{
	static const uint32_t words[] = { 7, 1, 0xa5 };
	uint64_t t0, at;

	(void)state;
	begin();
	drv_reset(&cl, rows, MAX_ROWS);
	assert_int_equal(client_status(&cl, "write_frame_ns"), 0);
	t0 = clock_ms();
	drv_send(&cl, 1, 0, words, 3);
	at = client_status(&cl, "write_frame_ns") / 1000000;
	/* The engine's clock of the step that took it. */
	assert_in_range(at, t0 - 20, clock_ms());
	finish(false);
}

/* ---- registers ---- */

static void test_vector_of_noise(void **state)
{
	uint32_t word = 3, first, list = (uint32_t)(RAM_IOVA + LIST_OFF);

	(void)state;
	begin();
	assert_int_equal(ask("fault vector-random 1 5"), 0);
	first = reg_get(&cl, 0, RIFFA_VECTOR0);
	assert_int_not_equal(first, 0);
	assert_int_equal(reg_get(&cl, 0, RIFFA_VECTOR0), 0);
	/* The same seed, the same noise; and what it hid is not lost. */
	memcpy(cl.ram + WORD_OFF, &word, 4);
	drv_elem(&cl, LIST_OFF, RAM_IOVA + WORD_OFF, 1);
	assert_int_equal(ask("fault vector-random 1 5"), 0);
	reg_put(&cl, 0, RIFFA_RX_OFFLAST, 10 << 1 | 1);
	reg_put(&cl, 0, RIFFA_RX_LEN, 1);
	reg_put(&cl, 0, RIFFA_RX_SG_ADDR_LO, list);
	reg_put(&cl, 0, RIFFA_RX_SG_ADDR_HI, RAM_IOVA >> 32);
	reg_put(&cl, 0, RIFFA_RX_SG_LEN, 4);
	assert_true(drv_interrupt(&cl, 1000));
	assert_int_equal(cl.events, first);
	cl.events = 0;
	assert_true(drv_wait(&cl, 0, RIFFA_EV_RX_RECVD, 1000));
	assert_true(drv_wait(&cl, 0, RIFFA_EV_RX_DONE, 1000));
	assert_int_equal(reg_get(&cl, 0, RIFFA_RX_TNFR_LEN), 1);
	finish(false);
}

static void test_reads_without_completion(void **state)
{
	struct stream s = { .have = 0 };

	(void)state;
	begin();
	acquire();
	assert_int_equal(ask("fault vector-ones"), 0);
	assert_true(drv_interrupt(&cl, 2000));
	assert_int_equal(cl.events, UINT32_MAX);
	/* The core did not see the read: the events are still there. */
	cl.events = reg_get(&cl, 0, RIFFA_VECTOR0);
	assert_int_equal(cl.events, RIFFA_EV_TX_TXN << (5 * CH_DATA));
	assert_int_equal(ask("fault len-ones"), 0);
	assert_int_equal(reg_get(&cl, CH_DATA, RIFFA_TX_LEN), UINT32_MAX);
	assert_int_equal(ask("fault done-ones"), 0);
	assert_int_equal(reg_get(&cl, CH_DATA, RIFFA_TX_TNFR_LEN), UINT32_MAX);
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	drv_conf(&cl, 5, 0);
	assert_int_equal(client_status(&cl, "info_resets"), 1);
	assert_int_equal(ask("fault info-ones"), 0);
	assert_int_equal(reg_get(&cl, 0, RIFFA_INFO), UINT32_MAX);
	assert_int_equal(client_status(&cl, "info_resets"), 1);
	finish(false);
}

/* ---- announcements ---- */

/* A host that believes the card is not to blame until the core is reset. */
static void test_violations_after_a_lie_are_excused(void **state)
{
	struct stream s = { .have = 0 };

	(void)state;
	begin();
	acquire();
	drv_conf(&cl, 5, 0);
	while (drv_wait(&cl, CH_DATA, RIFFA_EV_TX_TXN, 100)) {
		cl.events |= RIFFA_EV_TX_TXN << (5 * CH_DATA);
		take(&s, BLOCK_WORDS, BLOCK_WORDS);
	}
	assert_int_equal(ask("fault announce-stray"), 0);
	assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_TXN, 1000));
	assert_int_equal(reg_get(&cl, CH_DATA, RIFFA_TX_LEN), 0);
	post(CH_DATA, 1);
	assert_int_equal(client_status(&cl, "violations"), 0);
	assert_int_equal(client_status(&cl, "excused"), 1);
	/* Forbidden whatever the state. */
	reg_put(&cl, CH_DATA, RIFFA_VECTOR0, 0);
	assert_int_equal(client_status(&cl, "violation.write-readonly"), 1);
	assert_int_equal(client_status(&cl, "violation.irq-page"), 1);
	reg_get(&cl, 0, RIFFA_INFO);
	post(CH_DATA, 1);
	assert_int_equal(client_status(&cl, "violation.list-before-ack"), 1);
	assert_int_equal(client_status(&cl, "excused"), 1);
	finish(true);
}

static void test_events_that_belong_to_nothing(void **state)
{
	struct stream s = { .have = 0 };

	(void)state;
	begin();
	assert_int_equal(ask("fault done-stray 1 ch=3"), 0);
	assert_true(drv_wait(&cl, CH_SIGNAL, RIFFA_EV_TX_DONE, 1000));
	assert_int_equal(cl.events, 0);
	acquire();
	assert_int_equal(ask("fault announce-twice"), 0);
	assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_TXN, 1000));
	assert_int_equal(reg_get(&cl, CH_DATA, RIFFA_TX_LEN), BLOCK_WORDS);
	assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_TXN, 1000));
	/* The transaction itself is in order. */
	post(CH_DATA, BLOCK_WORDS);
	assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_RECVD, 1000));
	assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_DONE, 1000));
	assert_int_equal(reg_get(&cl, CH_DATA, RIFFA_TX_TNFR_LEN), BLOCK_WORDS);
	stream_feed(&s, BLOCK_WORDS * 4);
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	drv_conf(&cl, 5, 0);
	finish(false);
}

static void test_lengths(void **state)
{
	struct stream s = { .have = 0 };
	unsigned int i;

	(void)state;
	begin();
	acquire();
	/* The block that is announced already has its length. */
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	while (!(cl.events & RIFFA_EV_TX_TXN << (5 * CH_DATA)))
		assert_true(drv_interrupt(&cl, 1000));
	assert_int_equal(ask("fault announce-words 1 0"), 0);
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	take(&s, 0, 0);
	while (!(cl.events & RIFFA_EV_TX_TXN << (5 * CH_DATA)))
		assert_true(drv_interrupt(&cl, 1000));
	assert_int_equal(ask("fault announce-words 2 301"), 0);
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	take(&s, 301, 301);
	take(&s, 301, 301);
	while (!(cl.events & RIFFA_EV_TX_TXN << (5 * CH_DATA)))
		assert_true(drv_interrupt(&cl, 1000));
	assert_int_equal(ask("fault short 1 10"), 0);
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	take(&s, BLOCK_WORDS, 10);
	for (i = 0; i < 10; i++)
		take(&s, BLOCK_WORDS, BLOCK_WORDS);
	assert_true(s.frames > 50);
	assert_int_equal(ask("fault done-words 1 5"), 0);
	take(&s, BLOCK_WORDS, 5);
	drv_conf(&cl, 5, 0);
	finish(false);
}

/* A length that nobody can serve ends with the next reset of the core. */
static void test_absurd_length_does_not_survive_a_reset(void **state)
{
	struct stream s = { .have = 0 };

	(void)state;
	begin();
	acquire();
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	while (!(cl.events & RIFFA_EV_TX_TXN << (5 * CH_DATA)))
		assert_true(drv_interrupt(&cl, 1000));
	assert_int_equal(ask("fault announce-words 1 0xfffffffe"), 0);
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_TXN, 1000));
	assert_int_equal(reg_get(&cl, CH_DATA, RIFFA_TX_LEN), 0xfffffffe);
	reg_get(&cl, 0, RIFFA_INFO);
	cl.events = 0;
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	drv_conf(&cl, 5, 0);
	finish(false);
}

/* ---- what does not come ---- */

static void test_list_events(void **state)
{
	struct stream s = { .have = 0 };
	uint64_t t0;

	(void)state;
	begin();
	acquire();
	assert_int_equal(ask("fault recvd-late 1 200"), 0);
	t0 = clock_ms();
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	assert_true(clock_ms() - t0 >= 199);
	assert_int_equal(ask("fault recvd-lost"), 0);
	assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_TXN, 1000));
	reg_get(&cl, CH_DATA, RIFFA_TX_LEN);
	post(CH_DATA, BLOCK_WORDS);
	assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_DONE, 1000));
	assert_false(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_RECVD, 100));
	drv_conf(&cl, 5, 0);
	finish(false);
}

/* Only a reset of the core ends these. */
static void test_transfers_without_end(void **state)
{
	static const char *const up[] = { "fault fetch-stuck", "fault up-stuck" };
	struct stream s = { .have = 0 };
	uint32_t words = 1;
	unsigned int i;
	uint64_t t0;

	(void)state;
	begin();
	acquire();
	for (i = 0; i < 2; i++) {
		assert_int_equal(ask(up[i]), 0);
		assert_true(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_TXN, 1000));
		reg_get(&cl, CH_DATA, RIFFA_TX_LEN);
		post(CH_DATA, BLOCK_WORDS);
		assert_int_equal(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_RECVD, 100), i == 1);
		assert_false(drv_wait(&cl, CH_DATA, RIFFA_EV_TX_DONE, 100));
		reg_get(&cl, 0, RIFFA_INFO);
		cl.events = 0;
		take(&s, BLOCK_WORDS, BLOCK_WORDS);
	}
	assert_int_equal(ask("fault down-stuck 1 ch=1"), 0);
	reg_put(&cl, 1, RIFFA_RX_OFFLAST, 1);
	reg_put(&cl, 1, RIFFA_RX_LEN, 1);
	reg_put(&cl, 1, RIFFA_RX_SG_ADDR_LO, (uint32_t)(RAM_IOVA + LIST_OFF));
	reg_put(&cl, 1, RIFFA_RX_SG_ADDR_HI, RAM_IOVA >> 32);
	reg_put(&cl, 1, RIFFA_RX_SG_LEN, 4);
	assert_false(drv_wait(&cl, 1, RIFFA_EV_RX_RECVD, 100));
	assert_int_equal(client_status(&cl, "dma.1.reads"), 0);
	reg_get(&cl, 0, RIFFA_INFO);
	cl.events = 0;
	drv_send(&cl, 1, 0, &words, 1);
	assert_int_equal(ask("fault down-late 1 300 ch=0"), 0);
	t0 = clock_ms();
	drv_conf(&cl, 5, 0);
	assert_true(clock_ms() - t0 >= 299);
	finish(false);
}

static void test_blocks_after_a_stop(void **state)
{
	struct stream s = { .have = 0 };
	unsigned int n = 0;

	(void)state;
	begin();
	acquire();
	take(&s, BLOCK_WORDS, BLOCK_WORDS);
	assert_int_equal(ask("fault after-stop 100"), 0);
	drv_conf(&cl, 5, 0);
	assert_int_equal(drv_conf_get(&cl, 5), 0);
	while (drv_wait(&cl, CH_DATA, RIFFA_EV_TX_TXN, 200)) {
		cl.events |= RIFFA_EV_TX_TXN << (5 * CH_DATA);
		take(&s, BLOCK_WORDS, BLOCK_WORDS);
		n++;
	}
	/* Those and what was there; then the card is quiet. */
	assert_in_range(n, 100, 150);
	assert_int_equal(client_status(&cl, "fault.after-stop.done"), 100);
	assert_int_equal(client_status(&cl, "running"), 0);
	finish(false);
}

/* ---- interrupts ---- */

static void test_interrupts(void **state)
{
	uint32_t word = 3;

	(void)state;
	begin();
	assert_int_equal(ask("fault msi-storm 5000"), 0);
	while (ask("fault spent msi-storm"))
		;
	assert_true(drv_interrupt(&cl, 1000));
	assert_int_equal(cl.msis, 5000);
	assert_int_equal(cl.events, 0);
	/* The events are there for whoever looks. */
	assert_int_equal(ask("fault msi-lost"), 0);
	memcpy(cl.ram + WORD_OFF, &word, 4);
	drv_elem(&cl, LIST_OFF, RAM_IOVA + WORD_OFF, 1);
	reg_put(&cl, 0, RIFFA_RX_OFFLAST, 10 << 1 | 1);
	reg_put(&cl, 0, RIFFA_RX_LEN, 1);
	reg_put(&cl, 0, RIFFA_RX_SG_ADDR_LO, (uint32_t)(RAM_IOVA + LIST_OFF));
	reg_put(&cl, 0, RIFFA_RX_SG_ADDR_HI, RAM_IOVA >> 32);
	reg_put(&cl, 0, RIFFA_RX_SG_LEN, 4);
	assert_false(drv_interrupt(&cl, 100));
	assert_int_equal(reg_get(&cl, 0, RIFFA_VECTOR0), RIFFA_EV_RX_RECVD | RIFFA_EV_RX_DONE);
	assert_int_equal(reg_get(&cl, 0, RIFFA_RX_TNFR_LEN), 1);
	assert_int_equal(drv_conf_get(&cl, 10), 3);
	finish(false);
}

/* ---- device table ---- */

/* Resets; the number that is announced, then every row that comes. */
static unsigned int table(const char *fault, uint32_t *announced, unsigned int *bytes)
{
	uint8_t pkt[255];
	unsigned int n;

	assert_int_equal(ask(fault), 0);
	drv_conf(&cl, 6, 1);
	assert_int_equal(drv_signal(&cl, pkt), 8);
	memcpy(announced, pkt + 4, 4);
	for (n = 0; n < MAX_ROWS && drv_wait(&cl, CH_SIGNAL, RIFFA_EV_TX_TXN, 150); n++) {
		cl.events |= RIFFA_EV_TX_TXN << (5 * CH_SIGNAL);
		*bytes = drv_signal(&cl, pkt);
		memset(&rows[n], 0, sizeof(rows[n]));
		memcpy(&rows[n], pkt + 4, *bytes < 24 ? *bytes - 4 : 20);
	}
	return n;
}

static void test_tables(void **state)
{
	unsigned int bytes = 0, i, j;
	uint32_t announced;

	(void)state;
	begin();
	assert_int_equal(table("fault table-rows 1 0", &announced, &bytes), 0);
	assert_int_equal(announced, 0);
	assert_int_equal(table("fault table-rows 1 1", &announced, &bytes), 1);
	assert_int_equal(announced, 1);
	assert_int_equal(table("fault table-rows 1 40", &announced, &bytes), 40);
	assert_int_equal(announced, 40);
	for (i = 0; i < 40; i++) {
		assert_true(rows[i].addr < 0x10000 && (rows[i].addr & 0xff) < 0xfe);
		for (j = 0; j < i; j++)
			assert_int_not_equal(rows[i].addr, rows[j].addr);
	}
	assert_int_equal(table("fault table-count 1 65535", &announced, &bytes), ROWS);
	assert_int_equal(announced, 65535);
	assert_int_equal(table("fault table-double", &announced, &bytes), ROWS);
	assert_int_equal(rows[ROWS - 1].addr, rows[0].addr);
	assert_int_equal(table("fault table-addr 1 0x12345", &announced, &bytes), ROWS);
	assert_int_equal(rows[ROWS - 1].addr, 0x12345);
	assert_int_equal(table("fault table-read-size 1 4294967295", &announced, &bytes), ROWS);
	assert_int_equal(rows[ROWS - 1].read_size, UINT32_MAX);
	assert_int_equal(table("fault table-write-size 1 7", &announced, &bytes), ROWS);
	assert_int_equal(rows[ROWS - 1].write_size, 7);
	assert_int_equal(table("fault table-bytes 1 28", &announced, &bytes), ROWS);
	assert_int_equal(bytes, 28);
	/* And then it is as it should be. */
	assert_int_equal(table("fault clear", &announced, &bytes), ROWS);
	assert_int_equal(announced, ROWS);
	assert_int_equal(bytes, 24);
	finish(false);
}

static void test_table_without_end(void **state)
{
	uint32_t announced, val;
	unsigned int bytes = 0, i;
	uint8_t pkt[255];

	(void)state;
	begin();
	assert_int_equal(ask("fault table-count 1 13"), 0);
	assert_int_equal(table("fault table-rows 1 4294967295", &announced, &bytes), MAX_ROWS);
	assert_int_equal(announced, ROWS);
	/* An answer comes between the rows, before long. */
	drv_conf(&cl, 0, 0xfe);
	drv_conf(&cl, 4, 1);
	for (i = 0; i < 100; i++)
		if (drv_signal(&cl, pkt) == 4)
			break;
	memcpy(&val, pkt, 4);
	assert_int_equal(val, 8);
	/* Until the next reset, which drops the byte that is announced. */
	drv_conf(&cl, 6, 1);
	assert_true(drv_wait(&cl, CH_SIGNAL, RIFFA_EV_TX_TXN, 1000));
	assert_int_equal(reg_get(&cl, CH_SIGNAL, RIFFA_TX_LEN), 1);
	assert_true(drv_wait(&cl, CH_SIGNAL, RIFFA_EV_TX_DONE, 1000));
	assert_int_equal(reg_get(&cl, CH_SIGNAL, RIFFA_TX_TNFR_LEN), 0);
	assert_int_equal(drv_signal(&cl, pkt), 8);
	for (i = 0; i < ROWS; i++)
		assert_int_equal(drv_signal(&cl, pkt), 24);
	assert_int_equal(drv_receive(&cl, CH_SIGNAL, BLOCK_OFF, 100), -1);
	finish(false);
}

static void test_slow_table(void **state)
{
	uint64_t t0 = clock_ms();
	uint8_t pkt[255];

	(void)state;
	begin();
	assert_int_equal(ask("fault table-slow 1 100"), 0);
	drv_conf(&cl, 6, 1);
	assert_int_equal(drv_signal(&cl, pkt), 8);
	assert_int_equal(drv_signal(&cl, pkt), 24);
	assert_int_equal(drv_signal(&cl, pkt), 24);
	assert_true(clock_ms() - t0 >= 200);
	assert_int_equal(drv_receive(&cl, CH_SIGNAL, BLOCK_OFF, 20), -1);
	finish(false);
}

/* ---- signal channel ---- */

/* What the answer to a read looks like on the wire; returns its length. */
static unsigned int answer(const char *fault, uint8_t *out)
{
	unsigned int n = 0;

	assert_int_equal(ask(fault), 0);
	drv_conf(&cl, 0, 0xfe);
	drv_conf(&cl, 3, 0);
	drv_conf(&cl, 4, 1);
	while (n < 400 && drv_receive(&cl, CH_SIGNAL, BLOCK_OFF, 50) == 1)
		out[n++] = (uint8_t)drv_word(&cl);
	return n;
}

static void test_spoilt_packets(void **state)
{
	static const uint8_t good[] = { 2, 8, 1, 1, 1, 0 };
	unsigned int i, bits = 0;
	uint8_t out[400];

	(void)state;
	begin();
	assert_int_equal(answer("fault clear", out), 6);
	assert_memory_equal(out, good, 6);
	assert_int_equal(answer("fault signal-open", out), 5);
	assert_memory_equal(out, good, 5);
	assert_int_equal(answer("fault signal-zero", out), 6);
	assert_memory_equal(out, "\2\10\1\0\1", 6);
	assert_int_equal(answer("fault signal-cut", out), 4);
	assert_memory_equal(out, "\2\10\1", 4);
	assert_int_equal(answer("fault signal-long", out), 300);
	assert_memory_equal(out + 294, good, 6);
	for (i = 0; i < 294; i++)
		assert_int_not_equal(out[i], 0);
	assert_int_equal(answer("fault signal-flip 1 9", out), 6);
	for (i = 0; i < 6; i++)
		bits += (unsigned int)__builtin_popcount(out[i] ^ good[i]);
	assert_int_equal(bits, 1);
	assert_int_equal(answer("fault signal-garbage 50 4", out), 56);
	assert_memory_equal(out + 50, good, 6);
	finish(false);
}

/* ---- handshake ---- */

static void test_handshake(void **state)
{
	static const uint8_t wrong[] = { 2, 2, 1, 1, 1, 0 };
	uint32_t val, dummy = 0;
	uint8_t out[400];
	uint64_t t0;

	(void)state;
	begin();
	assert_int_equal(answer("fault ack-twice", out), 12);
	assert_memory_equal(out, out + 6, 6);
	assert_int_equal(answer("fault ack-wrong", out), 6);
	assert_memory_equal(out, wrong, 6);
	assert_int_equal(ask("fault ack-late 1 300"), 0);
	t0 = clock_ms();
	drv_conf(&cl, 4, 1);
	assert_int_equal(drv_conf_get(&cl, 4), 1);
	assert_int_equal(drv_receive(&cl, CH_SIGNAL, BLOCK_OFF, 2000), 1);
	assert_true(clock_ms() - t0 >= 299);
	assert_int_equal(drv_conf_get(&cl, 4), 0);
	while (drv_receive(&cl, CH_SIGNAL, BLOCK_OFF, 50) == 1)
		;
	assert_int_equal(answer("fault trig-stuck", out), 0);
	assert_int_equal(drv_conf_get(&cl, 4), 1);
	drv_reset(&cl, rows, MAX_ROWS);
	assert_int_equal(drv_register(&cl, 0xfe, 0, &val, false), 0);

	assert_int_equal(ask("fault reply-lost"), 0);
	drv_send(&cl, 0, 7 | 1u << 29, &dummy, 1);
	assert_int_equal(drv_receive(&cl, 0, BLOCK_OFF, 100), -1);
	assert_int_equal(ask("fault reply-late 1 300"), 0);
	t0 = clock_ms();
	assert_int_equal(drv_conf_get(&cl, 7), 250000000);
	assert_true(clock_ms() - t0 >= 299);
	assert_int_equal(ask("fault reply-twice"), 0);
	assert_int_equal(drv_conf_get(&cl, 7), 250000000);
	assert_int_equal(drv_receive(&cl, 0, BLOCK_OFF, 1000), 1);
	assert_int_equal(drv_word(&cl), 250000000);
	assert_int_equal(ask("fault reply-stray 1 77"), 0);
	assert_int_equal(drv_receive(&cl, 0, BLOCK_OFF, 1000), 1);
	assert_int_equal(drv_word(&cl), 77);
	finish(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_status_of_host_settings),
		cmocka_unit_test(test_write_frames_have_a_time),
		cmocka_unit_test(test_vector_of_noise),
		cmocka_unit_test(test_reads_without_completion),
		cmocka_unit_test(test_violations_after_a_lie_are_excused),
		cmocka_unit_test(test_events_that_belong_to_nothing),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_absurd_length_does_not_survive_a_reset),
		cmocka_unit_test(test_list_events),
		cmocka_unit_test(test_transfers_without_end),
		cmocka_unit_test(test_blocks_after_a_stop),
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_table_without_end),
		cmocka_unit_test(test_slow_table),
		cmocka_unit_test(test_spoilt_packets),
		cmocka_unit_test(test_handshake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
