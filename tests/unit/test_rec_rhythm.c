// SPDX-License-Identifier: MIT
/* unit-sources: userspace/onirec/[!ms]*.c userspace/onirec/spike.c userspace/onirec/summary.c userspace/audit/published.c */
/* unit-sources: userspace/lib/[!f]*.c userspace/lib/frame.c */
/* unit-sources: userspace/lib/usb/[a-z]*.c driver/oni_cobs.c driver/oni_ft600_parse.c driver/oni_guard.c driver/oni_table.c */
/* unit-libs: -ljansson -linih -ludev -lusb-1.0 -lpthread -lm */
/*
 * test_rec_rhythm.c - the recorder on an Acquisition Board: frames of Rhythm, made here
 * word by word, with every channel and sample known. What is on disk is compared with
 * what was sent, bit by bit; lost and damaged frames are counted and where they were.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/temp_dir.h"
#include "userspace/onirec/oeb.h"
#include "userspace/onirec/rec.h"

#define ACQ_HZ	250000000u
#define RHYTHM	0x101u
#define HARP	0x104u
#define STEP	300u		/* samples per wait() */
#define AMP	"continuous/ONIX-100.AcqBoard-Rhythm/"
#define AUX	"continuous/ONIX-100.AcqBoard-RhythmAux/"
#define IN	"continuous/ONIX-100.AcqBoard-RhythmAnalogIn/"
#define TTL	"events/ONIX-100.AcqBoard-Rhythm/TTL/"

static char dir[64], session[100];

static int setup(void **state)
{
	(void)state;
	if (temp_dir_new(dir, sizeof(dir), "test_rhythm"))
		return -1;
	snprintf(session, sizeof(session), "%s/s", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return temp_dir_remove(dir);
}

/* --- the board ------------------------------------------------------------------- */

struct board {
	struct source src;
	struct onidev_table *table;
	struct rec_device dev[2];
	double rate_hz;
	uint32_t streams;
	uint32_t samples, end;		/* made, of the run */
	uint32_t first;			/* number of sample 0 */
	/* [from, from + n) are not sent */
	uint32_t drop_from, drop_n;
	uint32_t damage_at;		/* this one has a wrong magic; UINT32_MAX: none */
	int neurons;			/* amplifiers: noise and spikes, not a pattern */
	uint64_t sent, harp;		/* frames */
	uint8_t *buf;
	size_t len, pos, cap;
};

static uint32_t mix(uint32_t x)
{
	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

/* Noise of 4 sigma units of code 16, a spike of -250 codes every 1500 samples. */
static uint16_t neuron_word(uint32_t n, uint32_t ch)
{
	static const int16_t spike[] = { -40, -140, -250, -210, -120, -40, 20, 60, 60, 30 };
	uint32_t phase = (n + 37 * ch) % 1500, h = mix(n * 64 + ch);
	int v = (int)(h & 31) + (int)(h >> 5 & 31) + (int)(h >> 10 & 31) - 46;

	if (n > 1500 && phase < 10)
		v += spike[phase];
	return (uint16_t)(0x8000 + v);
}

static uint16_t amp_word(const struct board *b, uint32_t n, uint32_t stream, uint32_t ch)
{
	if (b->neurons)
		return neuron_word(n, 32 * stream + ch);
	return (uint16_t)mix(n * 512 + 32 * stream + ch);
}

static uint16_t aux_word(uint32_t n, uint32_t stream, uint32_t slot)
{
	return (uint16_t)(n * 7 + stream * 3 + slot);
}

static uint16_t adc_word(uint32_t n, uint32_t i)
{
	return (uint16_t)(n * 8 + i * 8191);
}

/* Input 3 rises at 1000 and falls at 1500; output 1 follows one sample later. */
static uint16_t ttl_in(uint32_t n)
{
	return n >= 1000 && n < 1500 ? 1u << 3 : 0;
}

static void put16(uint8_t **p, uint16_t v)
{
	(*p)[0] = (uint8_t)v;
	(*p)[1] = (uint8_t)(v >> 8);
	*p += 2;
}

static void emit(struct board *b, uint64_t clock, uint32_t addr, const void *sample, uint32_t size)
{
	size_t n;

	if (b->cap - b->len < size + 20) {
		b->cap = 2 * b->cap + 4096;
		b->buf = realloc(b->buf, b->cap);
		assert_non_null(b->buf);
	}
	n = onidev_frame_build(b->buf + b->len, b->cap - b->len, clock, addr, sample, size);
	assert_true(n > 0);
	b->len += n;
}

static void emit_sample(struct board *b, uint32_t n)
{
	uint64_t hub = (uint64_t)n * 2800, magic = ONIDEV_RHYTHM_MAGIC;
	uint32_t number = b->first + n, s, i;
	uint8_t sample[1192], *p = sample + 20;

	if (n == b->damage_at)
		magic ^= 1;
	memcpy(sample, &hub, 8);
	memcpy(sample + 8, &magic, 8);
	memcpy(sample + 16, &number, 4);
	for (i = 0; i < 3; i++)
		for (s = 0; s < b->streams; s++)
			put16(&p, aux_word(n, s, i));
	for (i = 0; i < 32; i++)
		for (s = 0; s < b->streams; s++)
			put16(&p, amp_word(b, n, s, i));
	for (s = 0; s < b->streams; s++)
		put16(&p, 0xbad);
	for (i = 0; i < 8; i++)
		put16(&p, adc_word(n, i));
	put16(&p, ttl_in(n));
	put16(&p, n ? ttl_in(n - 1) >> 2 : 0);
	emit(b, (uint64_t)((n + 1) * (ACQ_HZ / b->rate_hz)), RHYTHM, sample,
	     (uint32_t)(p - sample));
	b->sent++;
}

static void emit_harp(struct board *b, uint32_t n)
{
	uint64_t hub = (uint64_t)n * 2800;
	uint32_t words[2] = { b->first + n, 77 };
	uint8_t sample[16];

	memcpy(sample, &hub, 8);
	memcpy(sample + 8, words, 8);
	emit(b, (uint64_t)((n + 1) * (ACQ_HZ / b->rate_hz)), HARP, sample, 16);
	b->harp++;
}

static int board_wait(struct source *s, int timeout_ms)
{
	struct board *b = (struct board *)s;
	uint32_t until = b->samples + STEP < b->end ? b->samples + STEP : b->end;

	(void)timeout_ms;
	if (b->pos < b->len)
		return ONIDEV_WAIT_DATA;
	if (b->samples >= b->end)
		return ONIDEV_WAIT_END;
	b->len = b->pos = 0;
	for (; b->samples < until; b->samples++) {
		if (b->samples - b->drop_from >= b->drop_n)
			emit_sample(b, b->samples);
		if (b->samples % 5000 == 4999)
			emit_harp(b, b->samples);
	}
	return ONIDEV_WAIT_DATA;
}

static int board_next(struct source *s, struct onidev_frame *f)
{
	struct board *b = (struct board *)s;
	int ret = onidev_frame_parse(b->table, b->buf + b->pos, b->len - b->pos, f, NULL);

	if (ret == 1)
		b->pos += f->wire;
	return ret;
}

static int64_t board_resync(struct source *s, char *why, size_t len)
{
	(void)s;
	snprintf(why, len, "this board never desynchronises");
	errno = EAGAIN;
	return -1;
}

static void board_release(struct source *s)
{
	(void)s;
}

static void board_status(struct source *s, struct onidev_stream_status *st)
{
	(void)s;
	memset(st, 0, sizeof(*st));
}

static int board_fit(struct source *s, struct onidev_clock_fit *fit)
{
	(void)s;
	*fit = (struct onidev_clock_fit){ .mono0_ns = 1000, .ns_per_tick = 4 };
	return 0;
}

static int board_stop(struct source *s)
{
	(void)s;
	return 0;
}

static void board_new(struct board *b, uint32_t streams, double rate_hz, double seconds)
{
	static const struct source_ops ops = {
		.wait = board_wait, .next = board_next, .resync = board_resync,
		.release = board_release, .status = board_status, .fit = board_fit,
		.stop = board_stop,
	};
	const struct oni_device rows[] = {
		{ .addr = RHYTHM, .id = ONIDEV_ID_RHYTHM, .read_size = 40 + 72 * streams },
		{ .addr = HARP, .id = ONIDEV_ID_HARP_RHYTHM, .read_size = 16 },
	};

	memset(b, 0, sizeof(*b));
	b->src.ops = &ops;
	b->table = onidev_table_new(rows, 2, 1);
	assert_non_null(b->table);
	b->rate_hz = rate_hz;
	b->streams = streams;
	b->end = (uint32_t)(seconds * rate_hz);
	b->damage_at = UINT32_MAX;
	for (int i = 0; i < 2; i++) {
		b->dev[i].addr = rows[i].addr;
		b->dev[i].id = rows[i].id;
		b->dev[i].sink = rec_sink_of(rows[i].id);
		b->dev[i].hub_hz = 2800 * rate_hz;
		onidev_table_name(b->table, rows[i].addr, b->dev[i].name);
	}
	b->dev[0].rate_hz = rate_hz;
	b->dev[0].board = ONIDEV_HUB_ACQ_GEN3;
	b->dev[0].rhythm.streams = streams;
	/* A1, A1+, A2, ... */
	for (uint32_t i = 0; i < streams; i++)
		b->dev[0].rhythm.source[i] = (uint8_t)(i / 2 | (i & 1 ? 8 : 0));
}

static void board_free(struct board *b)
{
	onidev_table_free(b->table);
	free(b->buf);
}

/* --- recording ---------------------------------------------------------------------- */

static void config(struct rec_config *cfg)
{
	*cfg = (struct rec_config){
		.session = session, .acq_hz = ACQ_HZ, .buffer_bytes = 1u << 28,
		.fill_seconds = 5, .sync_seconds = 1, .aux = true, .k = 4.5, .n_pre = 8,
		.n_post = 32, .prime_seconds = 1,
	};
}

static json_t *record(struct board *b, const struct rec_config *cfg)
{
	char err[800];
	struct rec *r = rec_open(cfg, &b->src, b->dev, 2, err, sizeof(err));
	json_t *summary;

	if (!r)
		fail_msg("%s", err);
	assert_int_equal(rec_run(r), 0);
	assert_int_equal(rec_finish(r, err, sizeof(err)), REC_STOPPED);
	assert_string_equal(err, "");
	summary = rec_summary(r);
	rec_free(r);
	return summary;
}

static void *load(unsigned int number, const char *name, size_t *len)
{
	char path[500], *p;
	FILE *f;

	snprintf(path, sizeof(path), "%s/Record Node 100/experiment1/recording%u/%s", session,
		 number, name);
	f = fopen(path, "rb");
	if (!f)
		fail_msg("%s is missing", path);
	fseek(f, 0, SEEK_END);
	*len = (size_t)ftell(f);
	rewind(f);
	p = calloc(1, *len + 1);
	assert_non_null(p);
	assert_int_equal(fread(p, 1, *len, f), *len);
	fclose(f);
	return p;
}

static json_int_t count(const json_t *summary, int device, const char *key)
{
	json_t *d = json_array_get(json_object_get(summary, "devices"), (size_t)device);
	json_t *v = json_object_get(d, key);

	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static int missing(const struct board *b, uint32_t n)
{
	return n - b->drop_from < b->drop_n || n == b->damage_at;
}

/* Every value of the three streams, zeros where a sample is missing. */
static void expect_files(const struct board *b)
{
	size_t amp_len, aux_len, in_len, rows = b->end, wrong = 0;
	int16_t *amp = load(1, AMP "continuous.dat", &amp_len);
	int16_t *aux = load(1, AUX "continuous.dat", &aux_len);
	int16_t *in = load(1, IN "continuous.dat", &in_len);

	assert_int_equal(amp_len, rows * b->streams * 64);
	assert_int_equal(aux_len, rows * b->streams * 6);
	assert_int_equal(in_len, rows * 16);
	for (uint32_t n = 0; n < rows; n++) {
		int gone = missing(b, n);

		for (uint32_t i = 0; i < 32 * b->streams; i++)
			wrong += amp[n * 32 * b->streams + i] !=
				 (gone ? 0 : amp_word(b, n, i / 32, i % 32) - 32768);
		for (uint32_t i = 0; i < 3 * b->streams; i++)
			wrong += aux[n * 3 * b->streams + i] !=
				 (gone ? 0 : aux_word(n, i / 3, i % 3) - 32768);
		for (uint32_t i = 0; i < 8; i++)
			wrong += in[n * 8 + i] != (gone ? 0 : 32767 - adc_word(n, i));
	}
	assert_int_equal(wrong, 0);
	free(amp);
	free(aux);
	free(in);
}

/* frames seen = sent; recorded + damaged = seen; rows = recorded + lost. */
static void expect_balance(const struct board *b, const json_t *summary)
{
	json_int_t frames = count(summary, 0, "frames");

	assert_int_equal(frames, b->sent);
	assert_int_equal(count(summary, 0, "recorded") + count(summary, 0, "damaged"), frames);
	assert_int_equal(count(summary, 0, "recorded") + count(summary, 0, "lost"), b->end);
	assert_int_equal(count(summary, 1, "frames"), b->harp);
	assert_int_equal(count(summary, 1, "recorded"), b->harp);
}

static void expect_all_good(uint32_t streams, double rate_hz, double seconds)
{
	struct rec_config cfg;
	struct board b;
	json_t *summary;

	board_new(&b, streams, rate_hz, seconds);
	config(&cfg);
	summary = record(&b, &cfg);
	assert_int_equal(count(summary, 0, "lost"), 0);
	assert_int_equal(count(summary, 0, "gaps"), 0);
	expect_balance(&b, summary);
	expect_files(&b);
	json_decref(summary);
	board_free(&b);
}

static void all_512_channels_are_bit_exact(void **state)
{
	(void)state;
	expect_all_good(16, 30000, 1.1);
}

static void an_odd_number_of_streams_is_bit_exact(void **state)
{
	(void)state;
	expect_all_good(3, 30000, 1);
}

static void a_slow_board_is_bit_exact(void **state)
{
	(void)state;
	expect_all_good(1, 1000, 5);
}

static void lost_samples_are_filled_and_logged(void **state)
{
	struct rec_config cfg;
	struct board b;
	json_t *summary;
	char *gaps;
	size_t len;

	(void)state;
	board_new(&b, 4, 30000, 1);
	b.drop_from = 12345;
	b.drop_n = 678;
	config(&cfg);
	summary = record(&b, &cfg);
	assert_int_equal(count(summary, 0, "lost"), 678);
	assert_int_equal(count(summary, 0, "gaps"), 1);
	expect_balance(&b, summary);
	expect_files(&b);
	gaps = load(1, "onirec/gaps.csv", &len);
	assert_non_null(strstr(gaps, "\nrhythm,12345,678,lost,"));
	free(gaps);
	json_decref(summary);
	board_free(&b);
}

static void a_damaged_sample_is_not_recorded(void **state)
{
	struct rec_config cfg;
	struct board b;
	json_t *summary;
	char *gaps;
	size_t len;

	(void)state;
	board_new(&b, 2, 30000, 0.5);
	b.damage_at = 7000;
	config(&cfg);
	summary = record(&b, &cfg);
	assert_int_equal(count(summary, 0, "damaged"), 1);
	assert_int_equal(count(summary, 0, "lost"), 1);
	expect_balance(&b, summary);
	expect_files(&b);
	gaps = load(1, "onirec/gaps.csv", &len);
	assert_non_null(strstr(gaps, "\nrhythm,7000,0,damaged,"));
	assert_non_null(strstr(gaps, "\nrhythm,7000,1,lost,"));
	free(gaps);
	json_decref(summary);
	board_free(&b);
}

/* Rows have the numbers of the board, to which Harp times refer; 32 bits may wrap. */
static void rows_have_the_boards_numbers(void **state)
{
	struct rec_config cfg;
	struct board b;
	json_t *summary;
	int64_t *n;
	size_t len;

	(void)state;
	board_new(&b, 1, 30000, 0.5);
	b.first = UINT32_MAX - 999;
	config(&cfg);
	summary = record(&b, &cfg);
	assert_int_equal(count(summary, 0, "gaps"), 0);
	n = load(1, AMP "sample_numbers.npy", &len);
	assert_int_equal(len, 128 + 15000 * 8);
	for (int64_t i = 0; i < 15000; i++)
		assert_true(n[16 + i] == (int64_t)(UINT32_MAX - 999u) + i);
	free(n);
	json_decref(summary);
	board_free(&b);
}

static void a_long_gap_begins_a_new_recording(void **state)
{
	struct rec_config cfg;
	struct board b;
	json_t *summary;
	int64_t *n;
	size_t len;

	(void)state;
	board_new(&b, 2, 30000, 1);
	b.drop_from = 10000;
	b.drop_n = 9000;
	config(&cfg);
	cfg.fill_seconds = 0.1;
	summary = record(&b, &cfg);
	assert_int_equal(count(summary, 0, "lost"), 9000);
	assert_int_equal(count(summary, 0, "recorded"), 21000);
	for (unsigned int i = 0; i < 3; i++) {
		static const char *const streams[] = { AMP, AUX, IN };
		char name[120];

		snprintf(name, sizeof(name), "%ssample_numbers.npy", streams[i]);
		n = load(1, name, &len);
		assert_int_equal(len, 128 + 10000 * 8);
		free(n);
		n = load(2, name, &len);
		assert_int_equal(len, 128 + 11000 * 8);
		assert_int_equal(n[16], 19000);
		free(n);
	}
	json_decref(summary);
	board_free(&b);
}

static void edges_of_both_ttl_words_become_events(void **state)
{
	static const int16_t states[] = { 4, 18, -4, -18 };
	static const int64_t samples[] = { 1000, 1001, 1500, 1501 };
	struct rec_config cfg;
	struct board b;
	json_t *summary;
	int16_t *got;
	int64_t *at;
	size_t len;

	(void)state;
	board_new(&b, 2, 30000, 0.2);
	config(&cfg);
	summary = record(&b, &cfg);
	got = load(1, TTL "states.npy", &len);
	assert_int_equal(len, 128 + sizeof(states));
	assert_memory_equal(got + 64, states, sizeof(states));
	at = load(1, TTL "sample_numbers.npy", &len);
	assert_memory_equal(at + 16, samples, sizeof(samples));
	free(got);
	free(at);
	json_decref(summary);
	board_free(&b);
}

static void a_board_without_streams_records_its_inputs(void **state)
{
	struct rec_config cfg;
	struct board b;
	json_t *summary;
	int16_t *in;
	size_t len;

	(void)state;
	board_new(&b, 0, 30000, 0.3);
	b.drop_from = 100;
	b.drop_n = 10;
	config(&cfg);
	cfg.detect = true;
	summary = record(&b, &cfg);
	assert_int_equal(count(summary, 0, "lost"), 10);
	expect_balance(&b, summary);
	in = load(1, IN "continuous.dat", &len);
	assert_int_equal(len, 9000 * 16);
	for (uint32_t n = 0; n < 9000; n++)
		for (uint32_t i = 0; i < 8; i++)
			assert_int_equal(in[n * 8 + i], missing(&b, n) ? 0 :
					 32767 - adc_word(n, i));
	free(in);
	json_decref(summary);
	board_free(&b);
}

static void generation_2_counts_upwards(void **state)
{
	struct rec_config cfg;
	struct board b;
	json_t *summary;
	int16_t *in;
	size_t len;

	(void)state;
	board_new(&b, 1, 30000, 0.1);
	b.dev[0].board = ONIDEV_HUB_ACQ_GEN2;
	config(&cfg);
	summary = record(&b, &cfg);
	in = load(1, IN "continuous.dat", &len);
	for (uint32_t n = 0; n < 3000; n++)
		assert_int_equal(in[n * 8 + 5], adc_word(n, 5) - 32768);
	free(in);
	json_decref(summary);
	board_free(&b);
}

static void channels_are_named_and_placed(void **state)
{
	json_t *root, *streams, *ch;
	struct rec_config cfg;
	struct board b;
	json_t *summary;
	char *text;
	size_t len;

	(void)state;
	board_new(&b, 4, 30000, 0.2);
	config(&cfg);
	summary = record(&b, &cfg);
	text = load(1, "structure.oebin", &len);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	streams = json_object_get(root, "continuous");
	assert_int_equal(json_array_size(streams), 3);
	ch = json_object_get(json_array_get(streams, 0), "channels");
	assert_int_equal(json_array_size(ch), 128);
	ch = json_array_get(ch, 64);
	assert_string_equal(json_string_value(json_object_get(ch, "channel_name")), "CH65");
	assert_non_null(strstr(json_string_value(json_object_get(ch, "description")), "port A2"));
	ch = json_array_get(json_object_get(json_array_get(streams, 1), "channels"), 11);
	assert_string_equal(json_string_value(json_object_get(ch, "channel_name")), "AUX12");
	assert_non_null(strstr(json_string_value(json_object_get(ch, "description")), "port A2+"));
	json_decref(root);
	free(text);
	streams = json_object_get(summary, "streams");
	ch = json_object_get(json_array_get(streams, 0), "sources");
	assert_int_equal(json_array_size(ch), 4);
	assert_string_equal(json_string_value(json_array_get(ch, 1)), "port A1+");
	text = load(1, "onirec/frames.csv", &len);
	assert_non_null(strstr(text, "harp-rhythm,"));
	assert_non_null(strstr(text, ",871300004d000000\n"));	/* sample 4999, second 77 */
	free(text);
	json_decref(summary);
	board_free(&b);
}

/* A spike of each channel every 1500 samples, at 20 kHz; its trough is known. */
static void spikes_are_found_at_the_rate_of_the_board(void **state)
{
	const uint32_t channels = 64, samples = 60000;
	const struct spike_record *rec;
	const struct spikes_header *h;
	struct rec_config cfg;
	uint64_t expected = 0;
	json_t *summary, *s;
	struct board b;
	size_t len;
	char *p;

	(void)state;
	board_new(&b, 2, 20000, samples / 20000.0);
	b.neurons = 1;
	config(&cfg);
	cfg.detect = true;
	summary = record(&b, &cfg);
	expect_balance(&b, summary);
	s = json_object_get(summary, "spikes");
	assert_int_equal(json_integer_value(json_object_get(s, "frames_not_searched")), 0);
	for (uint32_t ch = 0; ch < channels; ch++)
		for (uint32_t n = 1501; n < samples - 200; n++)
			expected += (n + 37 * ch) % 1500 == 2;
	p = load(1, "onirec/spikes.bin", &len);
	h = (const struct spikes_header *)(const void *)p;
	assert_true(h->rate_hz == 20000);
	assert_int_equal(h->channels, channels);
	assert_in_range(h->spikes, expected, expected + expected / 50);
	for (uint64_t i = 0; i < h->spikes; i++) {
		const char *at = p + SPIKES_HEADER + i * h->record_bytes;
		uint64_t n;

		rec = (const struct spike_record *)(const void *)at;
		n = (rec->sample_number + 37 * rec->channel) % 1500;
		if (abs(rec->peak) > 100)
			assert_in_range(n, 1, 3);
	}
	free(p);
	json_decref(summary);
	board_free(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_512_channels_are_bit_exact),
		T(an_odd_number_of_streams_is_bit_exact),
		T(a_slow_board_is_bit_exact),
		T(lost_samples_are_filled_and_logged),
		T(a_damaged_sample_is_not_recorded),
		T(rows_have_the_boards_numbers),
		T(a_long_gap_begins_a_new_recording),
		T(edges_of_both_ttl_words_become_events),
		T(a_board_without_streams_records_its_inputs),
		T(generation_2_counts_upwards),
		T(channels_are_named_and_placed),
		T(spikes_are_found_at_the_rate_of_the_board),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
