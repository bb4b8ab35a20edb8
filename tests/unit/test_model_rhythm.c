// SPDX-License-Identifier: MIT
/* unit-sources: tests/sim/model/[a-z]*.c */
/* unit-libs: -lm */
/*
 * test_model_rhythm.c - the devices of a simulated Acquisition Board.
 *
 * Drives tests/sim/model as the controller does. What is expected is what host
 * software of the board expects (acquisition-board plugin, gateware 2 package),
 * word by word.
 */
#include <unistd.h>

#include "model_bench.h"

#define MEMORY_MON	0x001u
#define BOARD		0x0feu
#define RHYTHM		0x101u
#define TTL_OUT		0x102u
#define ANALOG_OUT	0x103u
#define HARP_RHYTHM	0x104u
#define MANAGER		0x1feu
#define R_MODE		1u
#define R_MAX_TIMESTEP	2u
#define R_DELAY		3u
#define R_BANK		4u
#define R_MAX_INDEX	7u
#define R_LOOP_INDEX	10u
#define R_SEL		13u
#define R_STREAMS	15u
#define R_FAST_SETTLE	16u
#define R_RUNNING	40u
#define CONTINUOUS	2u
#define READ_REG(r)	(0xc000u | (r) << 8)
#define WRITE_REG(r, v)	(0x8000u | (r) << 8 | (v))
#define CONVERT(c)	((c) << 8)
#define GOOD_DELAY	5u

static struct bench *b;

static int setup(void **state)
{
	struct model_env env = {
		.board = MODEL_BOARD_ACQ, .emit = bench_emit,
		.fifo_used_words = bench_used, .fifo_total_words = bench_total,
	};

	(void)state;
	b = calloc(1, sizeof(*b));
	assert_non_null(b);
	env.ctx = b;
	b->keep = UINT32_MAX;
	b->total_words = 0x10000000;
	b->now_ns = 1000 * MS;
	b->m = model_new(&env);
	assert_non_null(b->m);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bench_free(b);
	free(b);
	return 0;
}

/* Rhythm runs with these streams; A1 and B1 are line 0 and 2 unless chosen otherwise. */
static void configure(uint32_t streams)
{
	b->keep = RHYTHM;
	/* The second hub answers from the first reset on. */
	model_reset(b->m, 0);
	bench_write(b, RHYTHM, 0, 1);
	bench_write(b, RHYTHM, R_MODE, CONTINUOUS);
	bench_write(b, RHYTHM, R_DELAY, 0x1111 * GOOD_DELAY);
	bench_write(b, RHYTHM, R_SEL, 0x76543210);
	bench_write(b, RHYTHM, R_SEL + 1, 0xfedcba98);
	bench_write(b, RHYTHM, R_STREAMS, streams);
}

static void command(unsigned int slot, unsigned int bank, unsigned int i, uint32_t cmd)
{
	bench_write(b, RHYTHM, 0x4000u + (slot << 14) + (bank << 10) + i, cmd);
}

static void samples(unsigned int n)
{
	bench_start(b);
	model_produce(b->m, (uint64_t)n * 25000 / 3 + 300, SIZE_MAX);
	assert_int_equal(b->nframes, n);
}

/* Word @i after the hub clock of frame @n. */
static uint32_t word(unsigned int n, unsigned int i)
{
	return get16(bench_frame(b, n) + 24 + 2 * i);
}

static uint32_t aux(unsigned int n, unsigned int slot, unsigned int s, unsigned int streams)
{
	return word(n, 6 + slot * streams + s);
}

static uint32_t amp(unsigned int n, unsigned int ch, unsigned int s, unsigned int streams)
{
	return word(n, 6 + 3 * streams + ch * streams + s);
}

/* ---- table ---- */

static const struct model_dev *row(const struct model_dev *rows, size_t n, uint32_t addr)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (rows[i].addr == addr)
			return &rows[i];
	fail_msg("no row 0x%x", addr);
	return NULL;
}

static void test_table(void **state)
{
	static const struct model_dev want[] = {
		{ 0x000, 12, 1, 8, 0 }, { 0x001, 28, 2, 12, 0 }, { 0x002, 0, 0, 0, 0 },
		{ 0x009, 0, 0, 0, 0 }, { RHYTHM, 0x10001, 1, 40, 0 }, { TTL_OUT, 0x10002, 1, 0, 4 },
		{ ANALOG_OUT, 0x10003, 1, 0, 32 }, { HARP_RHYTHM, 0x10004, 1, 16, 0 },
	};
	struct model_dev rows[MODEL_MAX_ROWS];
	size_t n, i;

	(void)state;
	model_reset(b->m, 0);
	n = model_table(b->m, rows, MODEL_MAX_ROWS);
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_memory_equal(row(rows, n, want[i].addr), &want[i], sizeof(want[i]));
}

static void test_ports_in_i2c_mode(void **state)
{
	struct model_dev rows[MODEL_MAX_ROWS];
	uint32_t val;
	size_t n;

	(void)state;
	model_reset(b->m, 0);
	assert_int_equal(model_reg_read(b->m, 0x004, 0, &val), -1);
	bench_write(b, BOARD, 0x1001, 2);	/* port B */
	assert_int_equal(model_reg_read(b->m, 0x004, 0, &val), -1);
	model_reset(b->m, 0);
	n = model_table(b->m, rows, MODEL_MAX_ROWS);
	assert_int_equal(row(rows, n, 0x002)->id, 0);
	assert_int_equal(row(rows, n, 0x004)->id, 9);
	assert_int_equal(row(rows, n, 0x004)->read_size, 36);
	assert_int_equal(row(rows, n, 0x005)->id, 34);
	assert_int_equal(bench_read(b, 0x004, 2), 0);		/* no sensor */
	assert_int_equal(bench_read(b, 0x005, 0x8001), 1);	/* bus ready */
	assert_int_equal(model_reg_read(b->m, 0x005, 0x50, &val), -1);
	assert_int_equal(model_reg_write(b->m, BOARD, 0x1001, 16), -1);
}

static void test_hub_information(void **state)
{
	(void)state;
	assert_int_equal(bench_read(b, BOARD, 0), 258);
	assert_int_equal(bench_read(b, BOARD, 2), 0x00020000);
	assert_int_equal(bench_read(b, BOARD, 0x1000), 1);
	assert_int_equal(model_reg_write(b->m, BOARD, 0x1000, 1), -1);
	model_reset(b->m, 0);
	assert_int_equal(bench_read(b, MANAGER, 0), 257);
	assert_int_equal(bench_read(b, MANAGER, 4), 84000000);
	assert_int_equal(model_reg_write(b->m, MANAGER, 4, 1), -1);
}

static void test_heartbeat_and_memory(void **state)
{
	(void)state;
	/* On at power-on, and slowed down when it would be too fast. */
	assert_int_equal(bench_read(b, HEARTBEAT, 0), 1);
	bench_write(b, HEARTBEAT, 1, 3);
	assert_int_equal(bench_read(b, HEARTBEAT, 1), MODEL_ACQ_HZ / 1000);
	bench_write(b, MEMORY_MON, 0, 1);
	bench_write(b, MEMORY_MON, 1, MODEL_ACQ_HZ / 100);
	b->used_words = 77;
	bench_start(b);
	model_produce(b->m, SECOND / 10 + 300, SIZE_MAX);
	assert_int_equal(b->nframes, 100 + 10);
	b->keep = MEMORY_MON;
	bench_drop_frames(b);
	model_produce(b->m, SECOND / 10 + SECOND / 100 + 300, SIZE_MAX);
	assert_int_equal(b->nframes, 1);
	assert_int_equal(get32(bench_frame(b, 0) + 24), 77);
	/* Off is off. */
	bench_write(b, HEARTBEAT, 0, 0);
	b->keep = HEARTBEAT;
	bench_start(b);
	bench_drop_frames(b);
	model_produce(b->m, SECOND / 10, SIZE_MAX);
	assert_int_equal(b->nframes, 0);
}

/* ---- frames ---- */

static void test_frame_word_by_word(void **state)
{
	const unsigned int s = 2;	/* streams: A1 and its second edge */
	unsigned int n, ch;
	const uint8_t *f;

	(void)state;
	bench_set(b, "source", "0-63=ramp");
	configure(1 | 1 << 8);
	samples(300);
	for (n = 0; n < 300; n += 37) {
		f = bench_frame(b, n);
		assert_int_equal(get32(f + 8), RHYTHM);
		assert_int_equal(get32(f + 12), 40 + 72 * s);
		assert_int_equal(get64(f + 16), (n + 1) * 2800ull);	/* hub clock, 84 MHz */
		assert_true(get64(f + 24) == 0xc691199927021942ull);
		assert_int_equal(get32(f + 32), n);
		for (ch = 0; ch < 32; ch++) {
			assert_int_equal(amp(n, ch, 0, s), (n * 64 + ch) & 0xffff);
			assert_int_equal(amp(n, ch, 1, s), (n * 64 + 32 + ch) & 0xffff);
		}
		assert_int_equal(word(n, 6 + 35 * s), 0);	/* filler */
		assert_int_equal(word(n, 6 + 35 * s + 1), 0);
		for (ch = 0; ch < 8; ch++)
			assert_int_equal(word(n, 6 + 36 * s + ch), 32768);
		assert_int_equal(word(n, 6 + 36 * s + 8), 0);	/* TTL in, out */
		assert_int_equal(word(n, 6 + 36 * s + 9), 0);
	}
}

static void test_streams_act_at_reset(void **state)
{
	struct model_dev rows[MODEL_MAX_ROWS];
	size_t n;

	(void)state;
	configure(0xffff);
	model_reset(b->m, 0);
	n = model_table(b->m, rows, MODEL_MAX_ROWS);
	assert_int_equal(row(rows, n, RHYTHM)->read_size, 40 + 72 * 16);
	bench_write(b, RHYTHM, R_STREAMS, 1);
	n = model_table(b->m, rows, MODEL_MAX_ROWS);
	assert_int_equal(row(rows, n, RHYTHM)->read_size, 40 + 72 * 16);
	samples(3);
	assert_int_equal(get32(bench_frame(b, 2) + 12), 40 + 72);
	bench_drop_frames(b);
	bench_write(b, RHYTHM, R_STREAMS, 0);
	model_run(b->m, 0);
	samples(3);
	assert_int_equal(get32(bench_frame(b, 2) + 12), 40);
	assert_int_equal(word(2, 6), 32768);	/* the ADC words follow at once */
}

static void test_stream_sources(void **state)
{
	(void)state;
	bench_set(b, "source", "0-511=ramp");
	bench_set(b, "chip-b1", "rhd2132");
	bench_set(b, "chip-d2", "rhd2216");
	configure(0xf);
	/* B1, D2, C1 (no chip), A1's second edge. */
	bench_write(b, RHYTHM, R_SEL, 0x8472);
	samples(5);
	assert_int_equal(amp(4, 3, 0, 4), 4 * 64 + 2 * 64 + 3);
	assert_int_equal(amp(4, 15, 1, 4), 4 * 64 + 7 * 64 + 15);
	assert_int_equal(amp(4, 16, 1, 4), 0);		/* 16 amplifiers */
	assert_int_equal(amp(4, 3, 2, 4), 0);
	assert_int_equal(amp(4, 3, 3, 4), 4 * 64 + 32 + 3);
}

static void test_sample_rates(void **state)
{
	/* Register, samples per second. */
	static const uint32_t table[][2] = {
		{ 0 << 1, 30000 }, { 1 << 1, 25000 }, { 2 << 1, 20000 }, { 3 << 1, 30000 },
		{ 9 << 3 | 0 << 1 | 1, 1500 }, { 9 << 3 | 1 << 1 | 1, 1250 },
		{ 9 << 3 | 2 << 1 | 1, 1000 }, { 4 << 3 | 0 << 1 | 1, 3000 },
		{ 2 << 3 | 2 << 1 | 1, 3333 }, { 0 << 3 | 0 << 1 | 1, 15000 },
		{ 1 << 3 | 1 << 1 | 1, 6250 },
	};
	unsigned int i;

	(void)state;
	configure(0);
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		bench_write(b, MANAGER, 0x2000, table[i][0]);
		assert_int_equal(bench_read(b, MANAGER, 0x2001), 1);
		assert_int_equal(model_reg_write(b->m, MANAGER, 0x2000, 0), -1);
		bench_wait(b, 10);
		assert_int_equal(bench_read(b, MANAGER, 0x2001), 0);
		assert_int_equal(bench_read(b, MANAGER, 0x2000), table[i][0]);
		bench_start(b);
		bench_drop_frames(b);
		model_produce(b->m, SECOND + 300, SIZE_MAX);
		assert_int_equal(b->nframes, table[i][1]);
		/* 2800 ticks of the hub clock per sample, whatever the rate. */
		assert_int_equal(get64(bench_frame(b, 9) + 16), 28000);
		model_run(b->m, 0);
	}
	assert_int_equal(bench_read(b, MANAGER, 4), 17500000);
}

static void test_limited_run(void **state)
{
	(void)state;
	configure(1);
	bench_write(b, RHYTHM, R_MODE, 0);
	bench_write(b, RHYTHM, R_MAX_TIMESTEP, 60);
	assert_int_equal(bench_read(b, RHYTHM, R_RUNNING), 0);
	bench_start(b);
	assert_int_equal(bench_read(b, RHYTHM, R_RUNNING), 1);
	model_produce(b->m, 59 * 25000 / 3 + 300, SIZE_MAX);
	assert_int_equal(bench_read(b, RHYTHM, R_RUNNING), 1);
	model_produce(b->m, SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 60);
	assert_int_equal(bench_read(b, RHYTHM, R_RUNNING), 0);
	/* And again from sample 0. */
	model_run(b->m, 0);
	bench_start(b);
	bench_drop_frames(b);
	model_produce(b->m, SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 60);
	assert_int_equal(get32(bench_frame(b, 0) + 32), 0);
}

/* The truth of the synthetic neurons names samples and frames of the Rhythm. */
static void test_spikes_are_in_the_frames(void **state)
{
	unsigned int channel, unit, spikes = 0, found = 0, n;
	char path[] = "/tmp/rhythm-truth-XXXXXX", line[128];
	int fd = mkstemp(path), code, best, before;
	unsigned long index, clock;
	double peak;
	FILE *f;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	bench_set(b, "spike-truth", path);
	bench_set(b, "source", "32-63=neurons:snr=12");
	bench_set(b, "source", "0-31=flat");
	configure(1 | 1 << 8);
	samples(30000);
	model_run(b->m, 0);
	model_flush(b->m);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%u %lu %u %lf %lu", &channel, &index, &unit, &peak, &clock) != 5)
			continue;
		spikes++;
		assert_true(channel >= 32 && channel < 64 && index < 30000);
		assert_int_equal(get64(bench_frame(b, index)), clock);
		assert_int_equal(get32(bench_frame(b, index) + 32), index);
		if (index < 30 || index > 29990)
			continue;
		/* The second edge of A1, against the slow potential just before. */
		before = (int)amp(index - 25, channel - 32, 1, 2);
		for (n = index - 3, best = 0; n <= index + 3; n++) {
			code = (int)amp(n, channel - 32, 1, 2) - before;
			best = code < best ? code : best;
		}
		found += best * 0.195 < peak / 2;
	}
	fclose(f);
	unlink(path);
	assert_true(spikes > 50);
	assert_true(found > spikes * 9 / 10);
}

/* ---- auxiliary commands ---- */

static void test_chip_discovery(void **state)
{
	/* A1, its second edge, B1, D2, C1. */
	static const uint8_t who[5][5] = {
		{ 53, 1, 1, 64, 4 }, { 58, 1, 1, 64, 4 }, { 0, 1, 1, 32, 1 },
		{ 0, 1, 0, 16, 2 }, { 0, 0, 0, 0, 0 },
	};
	unsigned int i, s;

	(void)state;
	bench_set(b, "chip-b1", "rhd2132");
	bench_set(b, "chip-d2", "rhd2216");
	configure(0x1f);
	bench_write(b, RHYTHM, R_SEL, 0x47280);
	for (i = 0; i < 5; i++) {
		command(2, 0, i, READ_REG(40 + i));
		command(2, 0, 5 + i, READ_REG(59 + i));
	}
	bench_write(b, RHYTHM, R_MAX_INDEX + 2, 9);
	samples(12);
	for (s = 0; s < 5; s++)
		for (i = 0; i < 5; i++) {
			/* The result of sample n is in sample n + 1. */
			assert_int_equal(aux(1 + i, 2, s, 5), s == 4 ? 0 : "INTAN"[i]);
			assert_int_equal(aux(6 + i, 2, s, 5), who[s][i]);
		}
	assert_int_equal(aux(11, 2, 0, 5), 'I');	/* the list starts again */
}

static void test_command_lists(void **state)
{
	(void)state;
	configure(1);
	command(0, 0, 0, CONVERT(32));
	command(0, 0, 1, CONVERT(33));
	command(0, 0, 2, CONVERT(34));
	command(0, 0, 3, CONVERT(48));
	bench_write(b, RHYTHM, R_MAX_INDEX, 3);
	bench_write(b, RHYTHM, R_LOOP_INDEX, 2);
	/* Slot 1 uses bank 5 on port A. */
	bench_write(b, RHYTHM, R_BANK + 1, 0x0005);
	command(1, 0, 0, READ_REG(63));
	command(1, 5, 0, WRITE_REG(7, 0x5a));
	command(1, 5, 1, READ_REG(7));
	bench_write(b, RHYTHM, R_MAX_INDEX + 1, 1);
	bench_write(b, RHYTHM, R_LOOP_INDEX + 1, 1);
	samples(9);
	assert_int_equal(aux(1, 0, 0, 1), 26738);
	assert_int_equal(aux(2, 0, 0, 1), 26739);
	assert_int_equal(aux(3, 0, 0, 1), 26740);
	assert_int_equal(aux(4, 0, 0, 1), 44117);
	assert_int_equal(aux(5, 0, 0, 1), 26740);	/* from the loop index on */
	assert_int_equal(aux(6, 0, 0, 1), 44117);
	assert_int_equal(aux(1, 1, 0, 1), 0xff5a);
	assert_int_equal(aux(2, 1, 0, 1), 0x5a);
	assert_int_equal(aux(3, 1, 0, 1), 0x5a);
	assert_int_equal(model_reg_write(b->m, RHYTHM, 0x10000, 0), -1);
	assert_int_equal(model_reg_write(b->m, RHYTHM, 0x4000, 0x10000), -1);
	assert_int_equal(model_reg_write(b->m, RHYTHM, 41, 0), -1);
}

static void test_banks_are_chosen_per_port(void **state)
{
	(void)state;
	bench_set(b, "chip-b1", "rhd2132");
	bench_set(b, "chip-d2", "rhd2216");
	configure(0x7);
	bench_write(b, RHYTHM, R_SEL, 0x720);
	bench_write(b, RHYTHM, R_BANK, 0xf052);
	command(0, 2, 0, READ_REG(40));
	command(0, 5, 0, READ_REG(41));
	command(0, 15, 0, READ_REG(42));
	samples(2);
	assert_int_equal(aux(1, 0, 0, 3), 'I');
	assert_int_equal(aux(1, 0, 1, 3), 'N');
	assert_int_equal(aux(1, 0, 2, 3), 'T');
}

static void test_delay_scan(void **state)
{
	unsigned int delay, good2164 = 0, good2132 = 0;

	(void)state;
	bench_set(b, "source", "0-511=ramp");
	bench_set(b, "chip-b1", "rhd2132");
	bench_set(b, "cable-a", "7");
	bench_set(b, "cable-b", "9");
	configure(0x7);
	bench_write(b, RHYTHM, R_SEL, 0x280);
	command(2, 0, 0, READ_REG(40));
	for (delay = 0; delay < 16; delay++) {
		/* Port A upwards, port B downwards. */
		bench_write(b, RHYTHM, R_DELAY, delay | (15 - delay) << 4);
		model_run(b->m, 0);
		bench_drop_frames(b);
		samples(4);
		/* Half a bit off, the lines change places: each has to be looked at. */
		if (aux(3, 2, 0, 3) == 'I' && aux(3, 2, 1, 3) == 'I') {
			good2164 |= 1u << delay;
			assert_int_equal(amp(3, 9, 0, 3), 3 * 64 + 9);
			assert_int_equal(amp(3, 9, 1, 3), 3 * 64 + 32 + 9);
		} else {
			assert_int_not_equal(amp(3, 9, 0, 3), 3 * 64 + 9);
		}
		if (aux(3, 2, 2, 3) == 'I') {
			good2132 |= 1u << (15 - delay);
			assert_int_equal(amp(3, 9, 2, 3), 3 * 64 + 128 + 9);
		} else {
			assert_int_not_equal(amp(3, 9, 2, 3), 3 * 64 + 128 + 9);
		}
	}
	/* Two data lines share a bit's time. */
	assert_int_equal(good2132, 0xfu << (9 - 2));
	assert_int_equal(good2164, 0x3u << (7 - 1));
}

static void test_wrong_delay_shifts_bits(void **state)
{
	(void)state;
	bench_set(b, "chip-a1", "rhd2132");
	configure(1);
	command(0, 0, 0, READ_REG(40));		/* 0x0049 */
	bench_write(b, RHYTHM, R_DELAY, GOOD_DELAY + 2);
	samples(2);
	assert_int_equal(aux(1, 0, 0, 1), 0x92);
	bench_write(b, RHYTHM, R_DELAY, GOOD_DELAY - 3);
	model_run(b->m, 0);
	bench_drop_frames(b);
	samples(2);
	assert_int_equal(aux(1, 0, 0, 1), 0x24);
}

/* ---- what a chip does to the signal ---- */

static void test_settling_and_number_format(void **state)
{
	(void)state;
	bench_set(b, "source", "0-63=ramp");
	configure(1);
	command(0, 0, 0, WRITE_REG(0, 0xfe));		/* fast settle on */
	command(0, 0, 1, WRITE_REG(0, 0xde));
	command(0, 0, 2, WRITE_REG(4, 0x5f));		/* two's complement */
	command(0, 0, 3, WRITE_REG(4, 0x1f));
	bench_write(b, RHYTHM, R_MAX_INDEX, 3);
	samples(5);
	assert_int_equal(amp(0, 5, 0, 1), 5);
	assert_int_equal(amp(1, 5, 0, 1), 32768);
	assert_int_equal(amp(2, 5, 0, 1), 2 * 64 + 5);
	assert_int_equal(amp(3, 5, 0, 1), (3 * 64 + 5) ^ 0x8000);
	assert_int_equal(amp(4, 5, 0, 1), 4 * 64 + 5);
	/* DSP settle, and fast settle by a TTL input; the chip keeps what it was told. */
	command(0, 0, 0, WRITE_REG(0, 0xde));
	model_produce(b->m, 9 * 25000 / 3 + 300, SIZE_MAX);
	bench_write(b, RHYTHM, R_MODE, CONTINUOUS | 4);
	model_run(b->m, 0);
	bench_drop_frames(b);
	samples(1);
	assert_int_equal(amp(0, 5, 0, 1), 32768);
	bench_write(b, RHYTHM, R_MODE, CONTINUOUS);
	bench_write(b, RHYTHM, R_FAST_SETTLE, 0x13);
	model_run(b->m, 0);
	bench_drop_frames(b);
	samples(1);
	assert_int_equal(amp(0, 5, 0, 1), 5);
	assert_int_equal(model_command(b->m, "ttl set 8", (char[64]){ 0 }, 64), 0);
	model_produce(b->m, 2 * 25000 / 3 + 300, SIZE_MAX);
	assert_int_equal(amp(1, 5, 0, 1), 32768);
}

/* ---- lines of the board ---- */

static void test_ttl_and_analog_lines(void **state)
{
	uint32_t ttl = 0x18001, dac[8] = { 0x90008001, 0x8000ffff };

	(void)state;
	bench_set(b, "digital-loopback", "0");
	configure(0);
	assert_int_equal(model_command(b->m, "ttl set 5", (char[64]){ 0 }, 64), 0);
	samples(1);
	model_write_frame(b->m, 0, TTL_OUT, &ttl, 1);
	model_write_frame(b->m, 0, ANALOG_OUT, dac, 8);
	assert_int_equal(model_command(b->m, "ttl toggle 15", (char[64]){ 0 }, 64), 0);
	model_produce(b->m, 2 * 25000 / 3 + 300, SIZE_MAX);
	assert_int_equal(word(0, 6 + 8), 5);
	assert_int_equal(word(0, 6 + 9), 0);
	assert_int_equal(word(1, 6 + 8), 0x8005);
	assert_int_equal(word(1, 6 + 9), 0x8001);
	assert_int_equal(word(0, 6), 32768);
	assert_int_equal(word(1, 6 + 0), 65536 - 0x8001);
	assert_int_equal(word(1, 6 + 1), 65536 - 0x9000);
	assert_int_equal(word(1, 6 + 2), 1);
	assert_int_equal(word(1, 6 + 3), 32768);
	assert_int_equal(word(1, 6 + 4), 65535);	/* code 0: beyond the ADC's end */
	assert_int_equal(bench_status(b, "ttl.out"), 0x8001);
	assert_int_equal(bench_status(b, "dac.2"), 0xffff);
	/* Comparators take the low half of the outputs. */
	bench_write(b, RHYTHM, R_MODE, CONTINUOUS | 8);
	model_produce(b->m, 3 * 25000 / 3 + 300, SIZE_MAX);
	assert_int_equal(word(2, 6 + 9), 0x8000);
	/* A frame of another size is nobody's. */
	model_write_frame(b->m, 0, ANALOG_OUT, dac, 4);
	assert_int_equal(bench_status(b, "bad_write_frames"), 1);
}

/* At a sample, which does not come while the clock is stopped, or at once. */
static void test_ttl_frame_waits_for_a_sample(void **state)
{
	uint32_t ttl = 0x0102, other = 0x0300;

	(void)state;
	configure(0);
	model_write_frame(b->m, 0, TTL_OUT, &ttl, 1);
	assert_int_equal(bench_status(b, "ttl.out"), 0);
	samples(1);
	assert_int_equal(bench_status(b, "ttl.out"), 0x0102);
	model_write_frame(b->m, 0, TTL_OUT, &other, 1);
	assert_int_equal(bench_status(b, "ttl.out"), 0x0102);
	bench_write(b, TTL_OUT, 1, 1);
	ttl = 0x0400;
	model_write_frame(b->m, 0, TTL_OUT, &ttl, 1);
	assert_int_equal(bench_status(b, "ttl.out"), 0x0400);
	/* what waited is forgotten */
	model_produce(b->m, 2 * 25000 / 3 + 300, SIZE_MAX);
	assert_int_equal(bench_status(b, "ttl.out"), 0x0400);
}

/* What a driver may find: everything that can drives the outputs. */
static void test_left_driven(void **state)
{
	unsigned int i;
	char key[32];

	(void)state;
	bench_set(b, "left-driven", "1");
	model_reset(b->m, 0);
	assert_int_equal(bench_status(b, "ttl.out"), 0xffff);
	assert_int_equal(bench_status(b, "dac.15"), 0xffff);
	assert_int_equal(bench_status(b, "rhythm.reg.1"), 0x18);
	for (i = 17; i < 31; i++) {
		snprintf(key, sizeof(key), "rhythm.reg.%u", i);
		assert_int_equal(bench_status(b, key), i <= 20 ? 0x10 : i <= 22 ? 0 : 0x400);
	}
}

/* Gateware 1: four outputs, a word each. */
static void test_analog_frames_of_gateware_1(void **state)
{
	uint32_t codes[4] = { 0x8001, 0xffff, 0, 0x12345678 };

	(void)state;
	bench_set(b, "dac-bytes", "16");
	model_reset(b->m, 0);
	model_write_frame(b->m, 0, ANALOG_OUT, codes, 4);
	assert_int_equal(bench_status(b, "dac.0"), 0x8001);
	assert_int_equal(bench_status(b, "dac.1"), 0xffff);
	assert_int_equal(bench_status(b, "dac.2"), 0);
	assert_int_equal(bench_status(b, "dac.3"), 0x5678);
	assert_int_equal(bench_status(b, "dac.4"), 0x8000);
}

static void test_outputs_are_looped_back(void **state)
{
	uint32_t ttl = 0x0102;

	(void)state;
	configure(0);
	samples(1);
	model_write_frame(b->m, 0, TTL_OUT, &ttl, 1);
	model_produce(b->m, 2 * 25000 / 3 + 300, SIZE_MAX);
	assert_int_equal(word(1, 6 + 8), 0x0102);
}

static void test_harp_time(void **state)
{
	const uint8_t *f;

	(void)state;
	bench_set(b, "harp-seconds", "1000");
	configure(0);
	bench_write(b, HARP_RHYTHM, 0, 1);
	b->keep = HARP_RHYTHM;
	bench_start(b);
	model_produce(b->m, 2 * SECOND + 300, SIZE_MAX);
	assert_int_equal(b->nframes, 2);
	f = bench_frame(b, 1);
	assert_int_equal(get32(f + 12), 16);
	assert_int_equal(get64(f + 16), 168000000);	/* two seconds of 84 MHz */
	assert_int_equal(get32(f + 24), 60000);
	assert_int_equal(get32(f + 28), 1002);
}

/* ---- configuration ---- */

static void test_bad_options(void **state)
{
	static const char *const bad[][2] = {
		{ "chip-a1", "rhd9999" }, { "chip-e1", "rhd2132" }, { "chip-a3", "rhd2132" },
		{ "chip-a", "rhd2132" }, { "cable-a", "1" }, { "cable-a", "16" },
		{ "cable-e", "5" },
		{ "source", "0-512=ramp" },
	};
	char err[256];
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		assert_int_equal(model_set(b->m, bad[i][0], bad[i][1], err, sizeof(err)), -1);
		assert_true(strlen(err) > 0);
	}
	assert_int_equal(model_command(b->m, "ttl set 65536", err, sizeof(err)), -1);
	assert_int_equal(model_command(b->m, "ttl toggle 16", err, sizeof(err)), -1);
	assert_int_equal(model_command(b->m, "digital toggle 1", err, sizeof(err)), -1);
}

static void test_chips_are_of_the_other_board(void **state)
{
	struct bench onix;
	char err[256] = "";

	(void)state;
	bench_new(&onix);
	assert_int_equal(model_set(onix.m, "chip-a1", "rhd2132", err, sizeof(err)), -1);
	assert_int_equal(model_command(onix.m, "ttl set 1", err, sizeof(err)), -1);
	bench_free(&onix);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_table),
		T(test_ports_in_i2c_mode),
		T(test_hub_information),
		T(test_heartbeat_and_memory),
		T(test_frame_word_by_word),
		T(test_streams_act_at_reset),
		T(test_stream_sources),
		T(test_sample_rates),
		T(test_limited_run),
		T(test_spikes_are_in_the_frames),
		T(test_chip_discovery),
		T(test_command_lists),
		T(test_banks_are_chosen_per_port),
		T(test_delay_scan),
		T(test_wrong_delay_shifts_bits),
		T(test_settling_and_number_format),
		T(test_ttl_and_analog_lines),
		T(test_ttl_frame_waits_for_a_sample),
		T(test_left_driven),
		T(test_analog_frames_of_gateware_1),
		T(test_outputs_are_looped_back),
		T(test_harp_time),
		T(test_bad_options),
		T(test_chips_are_of_the_other_board),
	};

	return cmocka_run_group_tests_name("model rhythm", tests, NULL, NULL);
}
