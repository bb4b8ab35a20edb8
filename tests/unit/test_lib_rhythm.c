// SPDX-License-Identifier: MIT
/* unit-sources: userspace/lib/frame.c userspace/lib/table.c userspace/lib/types.c userspace/lib/decode.c */
/* unit-sources: userspace/lib/rhythm.c tests/sim/model/[a-z]*.c driver/oni_guard.c */
/* unit-libs: -lm */
/*
 * Rhythm of an Acquisition Board in the library: frames of every number of streams
 * with words whose places are computed by hand, damaged ones, and what is written
 * into registers: rates, streams, bandwidth, search for chips. The last ones run on
 * the simulated board, whose chips answer the commands that the library plans.
 */
#include "model_bench.h"

#include <errno.h>
#include <math.h>

#include "driver/oni_guard.h"
#include "onidev.h"

#define RHYTHM	0x101u

/* --- frames -------------------------------------------------------------------- */

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

/* A value for each word that says which one it is. */
static uint32_t amp_code(unsigned int stream, unsigned int ch)
{
	return 0x8000u + 100 * stream + ch - 700;
}

static uint32_t aux_code(unsigned int stream, unsigned int slot)
{
	return 0x1000u * slot + stream;
}

/*
 * The words behind the hub clock, counted from the beginning of the sample: magic
 * 4-7, number 8-9, auxiliary 10 + slot S + s, amplifiers 10 + 3 S + ch S + s, filler,
 * analog inputs, TTL in, TTL out. On the heap with its exact size.
 */
static uint8_t *sample_of(unsigned int streams)
{
	static const uint8_t head[20] = {
		1, 2, 3, 4, 5, 6, 7, 8, 0x42, 0x19, 0x02, 0x27, 0x99, 0x19, 0x91, 0xc6,
		0x04, 0x03, 0x02, 0x01,
	};
	size_t size = 40 + 72 * streams;
	uint8_t *p = malloc(size);
	unsigned int s, i;

	assert_non_null(p);
	memset(p, 0xee, size);
	memcpy(p, head, sizeof(head));
	for (s = 0; s < streams; s++) {
		for (i = 0; i < 3; i++)
			put16(p + 2 * (10 + i * streams + s), aux_code(s, i));
		for (i = 0; i < 32; i++)
			put16(p + 2 * (10 + 3 * streams + i * streams + s), amp_code(s, i));
	}
	for (i = 0; i < 8; i++)
		put16(p + 2 * (10 + 36 * streams + i), 0x100 * i + 7);
	put16(p + size - 4, 0xa55a);
	put16(p + size - 2, 0x1234);
	return p;
}

static struct onidev_frame frame_of(const uint8_t *sample, uint32_t size)
{
	static const struct oni_device dev = { .addr = RHYTHM, .id = ONIDEV_ID_RHYTHM };

	return (struct onidev_frame){ .sample = sample, .size = size, .dev = &dev };
}

static void test_every_number_of_streams(void **state)
{
	int16_t amp[512 + 1], aux[48 + 1];
	unsigned int n, s, i;

	(void)state;
	for (n = 0; n <= 16; n++) {
		uint8_t *p = sample_of(n);
		struct onidev_frame f = frame_of(p, 40 + 72 * n);
		struct onidev_rhythm r;

		assert_int_equal(onidev_rhythm_streams(f.size), n);
		assert_int_equal(onidev_decode_rhythm(&f, &r), 0);
		assert_true(r.hub_clock == 0x0807060504030201);
		assert_int_equal(r.sample, 0x01020304);
		assert_int_equal(r.streams, n);
		assert_int_equal(r.ttl_in, 0xa55a);
		assert_int_equal(r.ttl_out, 0x1234);
		for (i = 0; i < 8; i++)
			assert_int_equal(r.adc[i], 0x100 * i + 7);
		memset(amp, 0x77, sizeof(amp));
		memset(aux, 0x77, sizeof(aux));
		onidev_rhythm_channels(&r, amp);
		onidev_rhythm_aux(&r, aux);
		for (s = 0; s < n; s++) {
			for (i = 0; i < 32; i++)
				assert_int_equal(amp[32 * s + i], (int)(100 * s + i) - 700);
			for (i = 0; i < 3; i++)
				assert_int_equal(aux[3 * s + i], (int)aux_code(s, i) - 32768);
		}
		assert_int_equal(amp[32 * n], 0x7777);
		assert_int_equal(aux[3 * n], 0x7777);
		free(p);
	}
}

static void test_wrong_sizes(void **state)
{
	uint32_t size, right = 0;
	struct onidev_rhythm r;
	uint8_t *p = sample_of(16);

	(void)state;
	for (size = 0; size < 1400; size++) {
		struct onidev_frame f = frame_of(p, size);
		int expected = size >= 40 && size <= 1192 && (size - 40) % 72 == 0;

		right += (uint32_t)expected;
		errno = 0;
		if (expected)
			assert_int_equal(onidev_rhythm_streams(size), (size - 40) / 72);
		else
			assert_int_equal(onidev_decode_rhythm(&f, &r), -1);
		if (!expected)
			assert_int_equal(errno, EPROTO);
	}
	assert_int_equal(right, 17);
	free(p);
}

/* One bit of the magic is enough to doubt everything behind it. */
static void test_wrong_magic(void **state)
{
	uint8_t *p = sample_of(2);
	struct onidev_frame f = frame_of(p, 184);
	struct onidev_rhythm r;
	unsigned int bit;

	(void)state;
	for (bit = 0; bit < 64; bit++) {
		p[8 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		errno = 0;
		assert_int_equal(onidev_decode_rhythm(&f, &r), -1);
		assert_int_equal(errno, EBADMSG);
		p[8 + bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(onidev_decode_rhythm(&f, &r), 0);
	free(p);
}

static void test_sample_numbers(void **state)
{
	(void)state;
	assert_int_equal(onidev_rhythm_missing(0, 1), 0);
	assert_int_equal(onidev_rhythm_missing(7, 10), 2);
	assert_int_equal(onidev_rhythm_missing(UINT32_MAX, 0), 0);
	assert_int_equal(onidev_rhythm_missing(UINT32_MAX - 1, 1), 2);
	assert_int_equal(onidev_rhythm_missing(5, 5), -1);
	assert_int_equal(onidev_rhythm_missing(5, 4), -1);
	assert_int_equal(onidev_rhythm_missing(100000, 0), -1);
}

static void test_scales(void **state)
{
	(void)state;
	assert_true(onidev_rhythm_adc_volts(ONIDEV_HUB_ACQ_GEN3, 0) == 5.0);
	assert_true(onidev_rhythm_adc_volts(ONIDEV_HUB_ACQ_GEN3, 32768) == 0.0);
	assert_true(fabs(onidev_rhythm_adc_volts(ONIDEV_HUB_ACQ_GEN3, 65535) + 5) < 2e-4);
	assert_true(fabs(onidev_rhythm_adc_volts(ONIDEV_HUB_ACQ_GEN2, 0) + 5.4096) < 1e-9);
	assert_true(fabs(onidev_rhythm_adc_volts(ONIDEV_HUB_ACQ_GEN2, 35453)) < 1e-4);
	assert_int_equal(onidev_rhythm_aux_input(0), -1);
	assert_int_equal(onidev_rhythm_aux_input(1), 0);
	assert_int_equal(onidev_rhythm_aux_input(2), 1);
	assert_int_equal(onidev_rhythm_aux_input(3), 2);
	assert_int_equal(onidev_rhythm_aux_input(4), -1);
}

static void test_harp_rhythm(void **state)
{
	uint8_t sample[16] = { 1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 4, 3, 0, 0 };
	struct onidev_frame f = frame_of(sample, 16);
	struct onidev_harp_rhythm h;

	(void)state;
	assert_int_equal(onidev_decode_harp_rhythm(&f, &h), 0);
	assert_int_equal(h.hub_clock, 1);
	assert_int_equal(h.sample, 0x102);
	assert_int_equal(h.seconds, 0x304);
	f.size = 12;
	assert_int_equal(onidev_decode_harp_rhythm(&f, &h), -1);
}

static void test_print(void **state)
{
	uint8_t *p = sample_of(2);
	struct onidev_frame f = frame_of(p, 184);
	char line[200], tiny[8];

	(void)state;
	onidev_frame_print(&f, line, sizeof(line));
	assert_string_equal(line, "sample 16909060, 64 channels, min -136.5 max -111.0 uV, "
			    "TTL in 0xa55a out 0x1234");
	onidev_frame_print(&f, tiny, sizeof(tiny));
	assert_int_equal(strlen(tiny), 7);
	p[8] = 0;
	onidev_frame_print(&f, line, sizeof(line));
	assert_string_equal(line, "damaged: wrong magic");
	free(p);
}

/* --- what is written --------------------------------------------------------------- */

static void test_rates(void **state)
{
	const struct onidev_rhythm_rate *r;
	double last = 0;
	size_t i;

	(void)state;
	for (i = 0; (r = onidev_rhythm_rate_at(i)); i++) {
		assert_true(r->hz > last);
		assert_true(fabs(onidev_rhythm_rate_of(r->value) - r->hz) < 1e-6);
		assert_ptr_equal(onidev_rhythm_rate_find(r->hz), r);
		last = r->hz;
	}
	assert_int_equal(i, 15);
	assert_int_equal(onidev_rhythm_rate_find(30000)->value, 0);
	assert_int_equal(onidev_rhythm_rate_find(20000)->value, 4);
	assert_int_equal(onidev_rhythm_rate_find(1000)->value, 9 << 3 | 2 << 1 | 1);
	assert_int_equal(onidev_rhythm_rate_find(15000)->value, 1);
	assert_int_equal(onidev_rhythm_rate_find(3333)->value, 2 << 3 | 2 << 1 | 1);
	assert_null(onidev_rhythm_rate_find(24000));
	assert_int_equal(errno, ENOENT);
	assert_null(onidev_rhythm_rate_find(NAN));
}

static void test_layout(void **state)
{
	uint32_t regs[3] = { 0x76543210, 0xfedcba98, 0x8421 };
	struct onidev_rhythm_layout l, again;
	char name[4];

	(void)state;
	onidev_rhythm_layout_get(regs, &l);
	assert_int_equal(l.streams, 4);
	assert_string_equal(onidev_rhythm_source_name(l.source[0], name), "A1");
	assert_string_equal(onidev_rhythm_source_name(l.source[1], name), "C2");
	assert_string_equal(onidev_rhythm_source_name(l.source[2], name), "B1+");
	assert_string_equal(onidev_rhythm_source_name(l.source[3], name), "D2+");
	onidev_rhythm_layout_put(&l, regs);
	assert_int_equal(regs[0], 0xfa50);
	assert_int_equal(regs[1], 0);
	assert_int_equal(regs[2], 0xf);
	assert_int_equal(onidev_rhythm_layout_parse(" a1,C2 b1+\td2+,", &again), 0);
	assert_int_equal(again.streams, 4);
	assert_memory_equal(again.source, l.source, 4);
	assert_int_equal(onidev_rhythm_layout_parse("", &again), 0);
	assert_int_equal(again.streams, 0);
}

static void test_all_streams(void **state)
{
	struct onidev_rhythm_layout l;
	uint32_t regs[3];

	(void)state;
	assert_int_equal(onidev_rhythm_layout_parse("a1 a1+ a2 a2+ b1 b1+ b2 b2+ c1 c1+ c2 c2+ "
						    "d1 d1+ d2 d2+", &l), 0);
	onidev_rhythm_layout_put(&l, regs);
	assert_true(regs[0] == 0xb3a29180 && regs[1] == 0xf7e6d5c4 && regs[2] == 0xffff);
}

static void test_wrong_layouts(void **state)
{
	static const char *const wrong[] = { "e1", "a3", "a", "1", "a1b1", "a1++", "a1-", "a1 x" };
	struct onidev_rhythm_layout l;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		errno = 0;
		assert_int_equal(onidev_rhythm_layout_parse(wrong[i], &l), -1);
		assert_int_equal(errno, EINVAL);
	}
	assert_int_equal(onidev_rhythm_layout_parse("a1 A1", &l), -1);
	assert_int_equal(errno, EEXIST);
}

static void test_bandwidth(void **state)
{
	static const uint8_t usual[6] = { 22, 0x80, 23, 0x80, 44, 0x86 };
	static const uint8_t wide[6] = { 8, 0x80, 4, 0x80, 16, 0xfc };
	struct onidev_rhd_bandwidth b;

	(void)state;
	assert_int_equal(onidev_rhd_bandwidth(7500, 1, &b), 0);
	assert_memory_equal(b.reg, usual, 6);
	assert_true(b.upper_hz == 7500 && b.lower_hz == 1);
	assert_int_equal(onidev_rhd_bandwidth(99999, 0.01, &b), 0);
	assert_memory_equal(b.reg, wide, 6);
	assert_int_equal(onidev_rhd_bandwidth(7000, 280, &b), 0);
	assert_true(b.upper_hz == 7500 && b.lower_hz == 300);
	assert_int_equal(onidev_rhd_bandwidth(100, 100, &b), -1);
	assert_int_equal(errno, EDOM);
	assert_int_equal(onidev_rhd_bandwidth(7500, 0, &b), -1);
	assert_int_equal(onidev_rhd_bandwidth(NAN, 1, &b), -1);
	assert_int_equal(onidev_rhd_bandwidth(INFINITY, 1, &b), -1);
}

/* Cutoffs as the datasheet tabulates them, in parts of the sample rate. */
static void test_dsp_codes(void **state)
{
	double got;

	(void)state;
	assert_int_equal(onidev_rhd_dsp_code(30000, 3309, &got), 1);
	assert_true(fabs(got / 30000 - 0.1103) < 1e-4);
	assert_int_equal(onidev_rhd_dsp_code(30000, 1, &got), 12);
	assert_true(fabs(got / 30000 - 0.00003886) < 1e-8);
	assert_int_equal(onidev_rhd_dsp_code(30000, 1e-9, &got), 15);
}

/* No command may switch the impedance test on or write to what the chip lacks. */
static void test_setup_commands(void **state)
{
	struct onidev_rhd_setup s = { .rate_hz = 30000, .dsp_hz = 1, .settle = 1 };
	uint16_t cmd[ONIDEV_RHD_SETUP_MAX];
	uint8_t reg[22];
	size_t n, i;

	(void)state;
	memset(reg, 0x55, sizeof(reg));
	assert_int_equal(onidev_rhd_bandwidth(7500, 1, &s.bandwidth), 0);
	n = onidev_rhd_setup_commands(&s, cmd);
	assert_in_range(n, 1, ONIDEV_RHD_SETUP_MAX);
	for (i = 0; i < n; i++) {
		if (cmd[i] >> 14 != 2)
			continue;
		assert_true((cmd[i] >> 8 & 63) < 22);
		reg[cmd[i] >> 8 & 63] = (uint8_t)cmd[i];
	}
	assert_int_equal(reg[0], 0xfe);
	assert_int_equal(reg[1], 0x42);
	assert_int_equal(reg[2], 4);
	assert_int_equal(reg[4], 0x80 | 0x10 | 12);
	assert_int_equal(reg[5] | reg[6] | reg[7], 0);
	assert_memory_equal(reg + 8, s.bandwidth.reg, 6);
	for (i = 14; i < 22; i++)
		assert_int_equal(reg[i], 0xff);
}

static void test_delay_choice(void **state)
{
	(void)state;
	assert_int_equal(onidev_rhythm_delay_choose(0), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(onidev_rhythm_delay_choose(1u << 7), 7);
	assert_int_equal(onidev_rhythm_delay_choose(7u << 4), 5);
	assert_int_equal(onidev_rhythm_delay_choose(0xfu << 3), 5);
	assert_int_equal(onidev_rhythm_delay_choose(1u | 3u << 10), 11);
	assert_int_equal(onidev_rhythm_delay_choose(0xffffu), 8);
	assert_int_equal(onidev_rhythm_delay_choose(1u << 15), 15);
}

static void test_find_in_words(void **state)
{
	uint16_t words[20] = { 4, 'I', 'N', 'T', 'A', 'N', 53, 1, 1, 64, 4, 'I' };
	struct onidev_rhd_chip c;

	(void)state;
	assert_int_equal(onidev_rhd_find(words, 11, &c), 0);
	assert_int_equal(c.chip_id, ONIDEV_RHD_ID_2164);
	assert_int_equal(c.amplifiers, 64);
	assert_int_equal(c.marker, 53);
	/* a delay half a bit off shows what the other half of the chip says */
	words[6] = 58;
	assert_int_equal(onidev_rhd_find(words, 11, &c), -1);
	words[6] = 53;
	assert_int_equal(onidev_rhd_find(words, 10, &c), -1);	/* cut */
	assert_int_equal(errno, ENOENT);
	words[3] = 'U';
	assert_int_equal(onidev_rhd_find(words, 20, &c), -1);
	words[3] = 'T' | 0x100;
	assert_int_equal(onidev_rhd_find(words, 20, &c), -1);
	memset(words, 0, sizeof(words));
	assert_int_equal(onidev_rhd_find(words, 20, &c), -1);
}

/* --- on the simulated board --------------------------------------------------------- */

#define ROUNDS	(2 * ONIDEV_RHD_FIND_COMMANDS + 4)

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
	b->keep = RHYTHM;
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

static void list(unsigned int slot, const uint16_t *cmd, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		bench_write(b, RHYTHM, ONIDEV_RHYTHM_COMMAND_REG(slot, 0, i), cmd[i]);
	bench_write(b, RHYTHM, ONIDEV_RHYTHM_BANK_REG + slot, 0);
	bench_write(b, RHYTHM, ONIDEV_RHYTHM_MAX_INDEX_REG + slot, (uint32_t)n - 1);
	bench_write(b, RHYTHM, ONIDEV_RHYTHM_LOOP_INDEX_REG + slot, 0);
}

/* All lines, all with delay @delay: who answers? */
static void try_delay(unsigned int delay, uint32_t good[8], struct onidev_rhd_chip chip[8])
{
	struct onidev_rhd_chip found;
	uint16_t words[8][ROUNDS];
	struct onidev_rhythm r;
	unsigned int n, line;

	bench_write(b, RHYTHM, ONIDEV_RHYTHM_DELAY_REG, 0x1111 * delay);
	bench_drop_frames(b);
	bench_start(b);
	model_produce(b->m, ROUNDS * 25000 / 3 + 300, SIZE_MAX);
	assert_int_equal(b->nframes, ROUNDS);
	for (n = 0; n < ROUNDS; n++) {
		const uint8_t *p = bench_frame(b, n);
		struct onidev_frame f = frame_of(p + 16, get32(p + 12));
		int16_t aux[24];

		assert_int_equal(onidev_decode_rhythm(&f, &r), 0);
		assert_int_equal(r.streams, 8);
		onidev_rhythm_aux(&r, aux);
		for (line = 0; line < 8; line++)
			words[line][n] = (uint16_t)(aux[3 * line + 2] ^ 0x8000);
	}
	model_run(b->m, 0);
	for (line = 0; line < 8; line++) {
		if (onidev_rhd_find(words[line], ROUNDS, &found))
			continue;
		good[line] |= 1u << delay;
		chip[line] = found;
	}
}

static void test_scan_finds_the_chips_and_their_cables(void **state)
{
	uint16_t cmd[ONIDEV_RHD_FIND_COMMANDS];
	struct onidev_rhd_chip chip[8] = { 0 };
	struct onidev_rhythm_layout l;
	uint32_t good[8] = { 0 }, delays = 0x5555;
	unsigned int delay, i;
	char name[4];

	(void)state;
	bench_set(b, "chip-a1", "rhd2164");
	bench_set(b, "chip-a2", "rhd2132");
	bench_set(b, "chip-b1", "none");
	bench_set(b, "chip-b2", "none");
	bench_set(b, "chip-c1", "none");
	bench_set(b, "chip-c2", "rhd2216");
	bench_set(b, "chip-d1", "none");
	bench_set(b, "chip-d2", "none");
	bench_set(b, "cable-a", "6");
	bench_set(b, "cable-c", "11");
	model_reset(b->m, 0);
	bench_write(b, RHYTHM, 0, 1);
	bench_write(b, RHYTHM, ONIDEV_RHYTHM_MODE_REG, ONIDEV_RHYTHM_CONTINUOUS);
	bench_write(b, RHYTHM, ONIDEV_RHYTHM_SELECT_REG, 0x76543210);
	bench_write(b, RHYTHM, ONIDEV_RHYTHM_ENABLE_REG, 0xff);
	onidev_rhd_find_commands(cmd);
	list(2, cmd, ONIDEV_RHD_FIND_COMMANDS);
	for (delay = 2; delay < 16; delay++)
		try_delay(delay, good, chip);
	assert_int_equal(onidev_rhythm_plan(good, chip, &delays, &l), 3);
	assert_int_equal(delays & 0xf0f0, 0x5050);	/* empty ports keep theirs */
	assert_int_equal(delays & 0xf, 6);
	assert_int_equal(delays >> 8 & 0xf, 11);
	assert_int_equal(chip[0].chip_id, ONIDEV_RHD_ID_2164);
	assert_int_equal(chip[0].marker, 53);
	assert_int_equal(chip[1].chip_id, ONIDEV_RHD_ID_2132);
	assert_int_equal(chip[1].amplifiers, 32);
	assert_int_equal(chip[5].chip_id, ONIDEV_RHD_ID_2216);
	assert_int_equal(l.streams, 4);
	for (i = 0; i < 4; i++)
		assert_string_equal(onidev_rhythm_source_name(l.source[i], name),
				    ((const char *const[]){ "A1", "A1+", "A2", "C2" })[i]);
}

/* Run the list in the third slot for @n samples; the result of sample @at on line A1. */
static uint32_t run_list(const uint16_t *cmd, size_t len, unsigned int n, unsigned int at)
{
	struct onidev_rhythm r;
	struct onidev_frame f;
	const uint8_t *p;
	int16_t aux[3];

	list(2, cmd, len);
	bench_write(b, RHYTHM, ONIDEV_RHYTHM_LOOP_INDEX_REG + 2, (uint32_t)len - 1);
	bench_drop_frames(b);
	bench_start(b);
	model_produce(b->m, (uint64_t)n * 25000 / 3 + 300, SIZE_MAX);
	model_run(b->m, 0);
	p = bench_frame(b, at);
	f = frame_of(p + 16, get32(p + 12));
	assert_int_equal(onidev_decode_rhythm(&f, &r), 0);
	assert_int_equal(r.streams, 1);
	onidev_rhythm_aux(&r, aux);
	return (uint16_t)(aux[2] ^ 0x8000);
}

/* The chip then has what was planned, register by register, and its inputs can be held. */
static void test_setup_reaches_the_chip(void **state)
{
	struct onidev_rhd_setup s = { .rate_hz = 30000, .dsp_hz = 1 };
	uint16_t cmd[ONIDEV_RHD_SETUP_MAX], read;
	size_t n, i;

	(void)state;
	bench_set(b, "chip-a1", "rhd2132");
	bench_set(b, "cable-a", "5");
	model_reset(b->m, 0);
	bench_write(b, RHYTHM, 0, 1);
	bench_write(b, RHYTHM, ONIDEV_RHYTHM_MODE_REG, ONIDEV_RHYTHM_CONTINUOUS);
	bench_write(b, RHYTHM, ONIDEV_RHYTHM_DELAY_REG, 0x5555);
	bench_write(b, RHYTHM, ONIDEV_RHYTHM_SELECT_REG, 0);
	bench_write(b, RHYTHM, ONIDEV_RHYTHM_ENABLE_REG, 1);
	assert_int_equal(onidev_rhd_bandwidth(5000, 250, &s.bandwidth), 0);
	n = onidev_rhd_setup_commands(&s, cmd);
	run_list(cmd, n, (unsigned int)n + 2, 0);
	for (i = 0; i < 6; i++) {
		read = ONIDEV_RHD_READ(8 + i);
		assert_int_equal(run_list(&read, 1, 4, 3), s.bandwidth.reg[i]);
	}
	read = ONIDEV_RHD_READ(4u);
	assert_int_equal(run_list(&read, 1, 4, 3), 0x80 | 0x10 | 12);
	cmd[0] = onidev_rhd_settle_command(1);
	cmd[1] = ONIDEV_RHD_READ(0u);
	assert_int_equal(run_list(cmd, 2, 5, 4), 0xfe);
	cmd[0] = onidev_rhd_settle_command(0);
	assert_int_equal(run_list(cmd, 2, 5, 4), 0xde);
}

static void test_a_board_without_chips(void **state)
{
	struct onidev_rhd_chip chip[8] = { 0 };
	struct onidev_rhythm_layout l;
	uint32_t good[8] = { 0 }, delays = 0x1234;

	(void)state;
	assert_int_equal(onidev_rhythm_plan(good, chip, &delays, &l), 0);
	assert_int_equal(delays, 0x1234);
	assert_int_equal(l.streams, 0);
}

/* The simulated clock register takes every value of the table and gives it back. */
static void test_board_takes_every_rate(void **state)
{
	const struct onidev_rhythm_rate *r;
	size_t i;

	(void)state;
	model_reset(b->m, 0);
	for (i = 0; (r = onidev_rhythm_rate_at(i)); i++) {
		bench_write(b, 0x1fe, ONIDEV_RHYTHM_CLOCK_REG, r->value);
		bench_wait(b, 10);
		assert_int_equal(bench_read(b, 0x1fe, ONIDEV_RHYTHM_BUSY_REG), 0);
		assert_int_equal(bench_read(b, 0x1fe, ONIDEV_RHYTHM_CLOCK_REG), r->value);
		assert_true(fabs(bench_read(b, 0x1fe, 4) / 2800.0 - r->hz) < 0.01);
	}
}

/* --- the driver's guard ------------------------------------------------------------ */

/* Every rate, bandwidth and list that is planned is one that the driver lets through. */
static void test_guard_lets_the_plans_through(void **state)
{
	static const double hz[] = { 0.1, 1, 7.5, 100, 300, 500, 3000, 7500, 20000 };
	uint16_t cmd[ONIDEV_RHD_SETUP_MAX], find[ONIDEV_RHD_FIND_COMMANDS];
	const struct onidev_rhythm_rate *r;
	struct onidev_rhd_setup s = { 0 };
	size_t i, lo, up, k, n;

	(void)state;
	for (i = 0; (r = onidev_rhythm_rate_at(i)); i++) {
		assert_true(oni_guard_rhythm_hub_writable(ONIDEV_RHYTHM_CLOCK_REG, r->value));
		s.rate_hz = r->hz;
		for (lo = 0; lo < sizeof(hz) / sizeof(hz[0]); lo++)
			for (up = lo + 1; up < sizeof(hz) / sizeof(hz[0]); up++) {
				s.dsp_hz = up % 2 ? hz[lo] : 0;
				s.settle = lo % 2;
				assert_int_equal(onidev_rhd_bandwidth(hz[up], hz[lo], &s.bandwidth), 0);
				n = onidev_rhd_setup_commands(&s, cmd);
				for (k = 0; k < n; k++)
					assert_true(oni_guard_rhd_command(cmd[k]));
			}
	}
	onidev_rhd_find_commands(find);
	for (k = 0; k < ONIDEV_RHD_FIND_COMMANDS; k++)
		assert_true(oni_guard_rhd_command(find[k]));
	assert_true(oni_guard_rhd_command(onidev_rhd_settle_command(0)));
	assert_true(oni_guard_rhd_command(onidev_rhd_settle_command(1)));
}

#define ON_BOARD(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_number_of_streams),
		cmocka_unit_test(test_wrong_sizes),
		cmocka_unit_test(test_wrong_magic),
		cmocka_unit_test(test_sample_numbers),
		cmocka_unit_test(test_scales),
		cmocka_unit_test(test_harp_rhythm),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_guard_lets_the_plans_through),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_all_streams),
		cmocka_unit_test(test_wrong_layouts),
		cmocka_unit_test(test_bandwidth),
		cmocka_unit_test(test_dsp_codes),
		cmocka_unit_test(test_setup_commands),
		cmocka_unit_test(test_delay_choice),
		cmocka_unit_test(test_find_in_words),
		ON_BOARD(test_scan_finds_the_chips_and_their_cables),
		ON_BOARD(test_setup_reaches_the_chip),
		cmocka_unit_test(test_a_board_without_chips),
		ON_BOARD(test_board_takes_every_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
