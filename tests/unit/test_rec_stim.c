// SPDX-License-Identifier: MIT
/* unit-sources: userspace/onirec/[!ms]*.c userspace/onirec/spike.c userspace/onirec/summary.c userspace/audit/published.c */
/* unit-sources: tests/sim/model/[a-z]*.c userspace/lib/[!f]*.c userspace/lib/frame.c */
/* unit-sources: userspace/lib/usb/[a-z]*.c driver/oni_cobs.c driver/oni_ft600_parse.c driver/oni_guard.c driver/oni_table.c */
/* unit-libs: -ljansson -linih -ludev -lusb-1.0 -lpthread -lm */
/*
 * test_rec_stim.c - stimulation in recordings: triggers of a simulated headstage-rhs2116
 * become events with the program that the kernel has told; artifacts that they bring
 * make no spikes, change none outside, and are recorded as they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/rec_card.h"
#include "tests/unit/temp_dir.h"
#include "userspace/onirec/oeb.h"

#define CHIP_A		0x200
#define CHIP_B		0x201
#define TRIGGER		0x202
#define CHANNELS	16
#define SECONDS		2
#define TRIGGERS	24
#define TRAIN_TICKS	(MODEL_ACQ_HZ / 1000 * 3)	/* 3 ms of artifact */
#define STIM		"events/ONIX-100.PortA-Rhd2164/Stimulation/"

#define MAX_ROWS	(SECONDS * 31000)

static char dir[64];
static char session[100];

static struct {
	bool artifacts;		/* put into what the amplifiers say */
	bool late;		/* the trigger's frames come a step after the data */
	bool kernel;		/* has a say about it */
	bool silent;		/* it is all that has: the stimulator is on hub 1 and reports nothing */
	uint64_t length_ns[2];	/* of the programs, as it tells; 0: it does not */
	unsigned int given;
	uint64_t clock[TRIGGERS];	/* of their frames */
	uint64_t hub_clock[TRIGGERS];
	uint8_t held[64];
	size_t held_len;
	int16_t *rows;		/* of chip A, as sent */
	size_t n_rows;
	struct oni_stim_event event[4 * TRIGGERS];
	unsigned int told, events;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	if (temp_dir_new(dir, sizeof(dir), "test_rec_stim"))
		return -1;
	snprintf(session, sizeof(session), "%s/s", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(t.rows);
	return temp_dir_remove(dir);
}

static void tell(uint32_t what, unsigned int program, uint64_t clock)
{
	struct oni_stim_event *e = &t.event[t.events];

	*e = (struct oni_stim_event){ .size = sizeof(*e), .what = what, .seq = t.events + 1,
				      .hub = 2, .session = 7 + program, .clock = clock };
	memset(e->hash, 0xa0 + (int)program, sizeof(e->hash));
	if (what == ONI_STIM_EV_LOAD)
		e->arg = t.length_ns[program];
	t.events++;
}

/* What card_fit() makes of a time of this clock. */
static uint64_t boot_at(uint64_t clock)
{
	struct timespec boot, mono;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return 1000 + 4 * clock + (uint64_t)((boot.tv_sec - mono.tv_sec) * 1000000000 +
					     boot.tv_nsec - mono.tv_nsec);
}

static int stim_event(struct source *s, struct oni_stim_event *e)
{
	(void)s;
	if (t.told == t.events)
		return 0;
	*e = t.event[t.told++];
	return 1;
}

/* A trigger in every seventh step; the program changes in the middle. */
static void step(struct card *c)
{
	unsigned int program = t.given >= TRIGGERS / 2;

	if (t.held_len) {
		card_put(c, t.held, t.held_len);
		t.held_len = 0;
	}
	if (c->clock / CARD_STEP % 7 != 3 || t.given == TRIGGERS)
		return;
	if (t.kernel && t.given % (TRIGGERS / 2) == 0)
		tell(ONI_STIM_EV_LOAD, program, 0);
	if (t.kernel)
		tell(ONI_STIM_EV_FIRE, program, 0);
	if (t.silent) {
		t.event[t.events - 1].hub = 1;
		t.event[t.events - 1].boot_ns = boot_at(c->clock);
		t.clock[t.given++] = c->clock;
		return;
	}
	card_write(c, TRIGGER, 2, 1);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static bool pass(struct card *c, uint32_t addr, uint8_t *frame, size_t len)
{
	uint64_t clock = get64(frame), last = t.given ? t.clock[t.given - 1] : 0;

	(void)c;
	if (addr == TRIGGER) {
		t.clock[t.given] = clock;
		t.hub_clock[t.given] = get64(frame + 16);
		if (t.kernel)
			tell(ONI_STIM_EV_DELIVERED, t.given >= TRIGGERS / 2, clock);
		t.given++;
		if (!t.late)
			return true;
		memcpy(t.held, frame, len);
		t.held_len = len;
		return false;
	}
	if (addr != CHIP_A && addr != CHIP_B)
		return true;
	if (t.artifacts && last && clock >= last && clock < last + TRAIN_TICKS)
		for (int i = 0; i < CHANNELS; i++) {
			uint16_t v = clock / 50000 % 2 ? 0xffff : 0;

			frame[24 + 2 * i] = (uint8_t)v;
			frame[25 + 2 * i] = (uint8_t)(v >> 8);
		}
	if (addr != CHIP_A)
		return true;
	assert_true(t.n_rows < MAX_ROWS);
	for (int i = 0; i < CHANNELS; i++)
		t.rows[t.n_rows * CHANNELS + (size_t)i] =
			(int16_t)((frame[24 + 2 * i] | frame[25 + 2 * i] << 8) - 32768);
	t.n_rows++;
	return true;
}

static void *load(const char *name, size_t *len)
{
	char path[500];
	FILE *f;
	char *p;

	snprintf(path, sizeof(path), "%s/Record Node 100/experiment1/recording1/%s", session, name);
	f = fopen(path, "rb");
	if (!f)
		fail_msg("no %s", path);
	fseek(f, 0, SEEK_END);
	*len = (size_t)ftell(f);
	rewind(f);
	p = calloc(1, *len + 1);
	assert_int_equal(fread(p, 1, *len, f), *len);
	fclose(f);
	return p;
}

/* Rows of a .npy file behind its header of 128 bytes. */
static void *column(const char *name, size_t bytes, size_t *rows)
{
	char path[200];
	char *p;

	snprintf(path, sizeof(path), STIM "%s", name);
	p = load(path, rows);
	assert_int_equal((*rows - 128) % bytes, 0);
	*rows = (*rows - 128) / bytes;
	memmove(p, p + 128, *rows * bytes);
	return p;
}

static json_t *record(struct rec_config *cfg, const char *source)
{
	struct card c;
	struct rec *r;
	char err[800];
	json_t *summary;

	t.rows = malloc(MAX_ROWS * CHANNELS * sizeof(*t.rows));
	card_new(&c);
	card_set(&c, "source", source);
	card_set(&c, "port-b", "rhs2116");
	c.rhs = true;
	card_start(&c, SECONDS);
	c.step = step;
	c.pass = pass;
	if (t.kernel)
		c.ops.stim_event = stim_event;
	r = rec_open(cfg, &c.src, c.dev, c.n_dev, err, sizeof(err));
	if (!r)
		fail_msg("%s", err);
	assert_int_equal(rec_run(r), 0);
	assert_int_equal(rec_finish(r, err, sizeof(err)), REC_STOPPED);
	summary = rec_summary(r);
	rec_free(r);
	card_free(&c);
	assert_int_equal(t.given, TRIGGERS);
	return summary;
}

static void config(struct rec_config *cfg)
{
	card_config(cfg, session);
	cfg->buffer_bytes = 1u << 30;	/* faster than real time: nothing may be given up */
	cfg->blank_pre_us = 500;
	cfg->blank_post_us = 2000;
	cfg->train_us = 3000;
	cfg->prime_seconds = 0.5;
}

static json_int_t number(const json_t *j, const char *a, const char *b)
{
	const json_t *v = json_object_get(json_object_get(j, a), b);

	if (!json_is_integer(v))
		fail_msg("no number %s.%s", a, b);
	return json_integer_value(v);
}

/* --- events ---------------------------------------------------------------------- */

/* verifies: R26 */
static void triggers_become_events_with_their_program(void **state)
{
	struct rec_config cfg;
	uint64_t *hub_clock, *sessions;
	int64_t *samples;
	uint16_t *origins, *results, *hubs;
	char *programs, *text, hash[65];
	json_t *s, *list, *p;
	size_t n;

	(void)state;
	t.kernel = true;
	t.length_ns[1] = 66240;
	config(&cfg);
	cfg.n_trains = 1;
	strcpy(cfg.trains[0].hash, "a0a0a0a0");
	cfg.trains[0].us = 4321;
	s = record(&cfg, "0-127=ramp");
	hub_clock = column("hub_clocks.npy", 8, &n);
	assert_int_equal(n, TRIGGERS);
	assert_memory_equal(hub_clock, t.hub_clock, sizeof(t.hub_clock));
	free(hub_clock);
	sessions = column("sessions.npy", 8, &n);
	programs = column("programs.npy", 64, &n);
	origins = column("origins.npy", 2, &n);
	results = column("results.npy", 2, &n);
	hubs = column("hubs.npy", 2, &n);
	samples = column("sample_numbers.npy", 8, &n);
	text = column("text.npy", OEB_TEXT, &n);
	assert_int_equal(n, TRIGGERS);
	for (unsigned int i = 0; i < TRIGGERS; i++) {
		unsigned int second = i >= TRIGGERS / 2;

		for (int k = 0; k < 64; k += 2)
			memcpy(hash + k, second ? "a1" : "a0", 2);
		assert_memory_equal(programs + 64 * i, hash, 64);
		assert_int_equal(sessions[i], 7 + second);
		assert_int_equal(origins[i], 2);
		assert_int_equal(results[i], 0);
		assert_int_equal(hubs[i], 2);
		assert_non_null(strstr(text + OEB_TEXT * i, "hub 2 register delivered"));
		/* on the stream of the other headstage, by the clock of the acquisition */
		assert_true(llabs(samples[i] - (int64_t)(t.clock[i] * 30000 / MODEL_ACQ_HZ)) <= 1);
	}
	free(sessions);
	free(programs);
	free(origins);
	free(results);
	free(hubs);
	free(samples);
	free(text);
	text = load("structure.oebin", &n);
	assert_non_null(strstr(text, "PortA-Rhd2164/Stimulation/"));
	free(text);
	assert_int_equal(number(s, "stimulation", "triggers"), TRIGGERS);
	assert_int_equal(number(s, "stimulation", "triggers_of_unknown_programs"), 0);
	assert_int_equal(number(s, "stimulation", "kernel_events_missed"), 0);
	list = json_object_get(json_object_get(s, "stimulation"), "programs");
	assert_int_equal(json_array_size(list), 2);
	p = json_array_get(list, 0);
	assert_int_equal(json_integer_value(json_object_get(p, "triggers")), TRIGGERS / 2);
	assert_true(json_number_value(json_object_get(p, "train_us")) == 4321);
	assert_true(json_is_null(json_object_get(p, "kernel_ns")));
	p = json_array_get(list, 1);
	assert_true(fabs(json_number_value(json_object_get(p, "train_us")) - 66.24) < 1e-9);
	assert_int_equal(json_integer_value(json_object_get(p, "kernel_ns")), 66240);
	json_decref(s);
}

/* verifies: R26 */
static void trains_that_nobody_reports_are_commanded(void **state)
{
	struct rec_config cfg;
	uint16_t *results, *hubs;
	uint64_t *hub_clock;
	int64_t *samples, expected;
	unsigned int blanked = 0;
	char *programs, *text, *csv, *line, *next;
	json_t *s;
	size_t n;

	(void)state;
	t.kernel = t.silent = true;
	t.length_ns[0] = 2000000;
	t.length_ns[1] = 5000000;
	config(&cfg);
	cfg.silent[1] = true;
	cfg.fire_us = 7000;
	s = record(&cfg, "0-127=ramp");
	hub_clock = column("hub_clocks.npy", 8, &n);
	programs = column("programs.npy", 64, &n);
	results = column("results.npy", 2, &n);
	hubs = column("hubs.npy", 2, &n);
	samples = column("sample_numbers.npy", 8, &n);
	text = column("text.npy", OEB_TEXT, &n);
	assert_int_equal(n, TRIGGERS);
	for (unsigned int i = 0; i < TRIGGERS; i++) {
		assert_int_equal(hub_clock[i], 0);
		assert_memory_equal(programs + 64 * i, i >= TRIGGERS / 2 ? "a1" : "a0", 2);
		assert_int_equal(results[i], TRIGGER_COMMANDED);
		assert_int_equal(hubs[i], 1);
		assert_non_null(strstr(text + OEB_TEXT * i, "hub 1 register commanded"));
		assert_true(llabs(samples[i] - (int64_t)(t.clock[i] * 30000 / MODEL_ACQ_HZ)) <= 3);
	}
	csv = load("onirec/blanked.csv", &n);
	for (line = strchr(csv, '\n') + 1; *line; line = next) {
		long long first, count;

		next = strchr(line, '\n') + 1;
		assert_int_equal(sscanf(line, "PortA-Rhd2164,%lld,%lld,fire,0,", &first, &count), 2);
		expected = (int64_t)(t.clock[blanked] * 30000 / MODEL_ACQ_HZ);
		assert_true(llabs(first - (expected - 15)) <= 3);
		/* before, between the command and the begin, the train, behind */
		expected = 15 + 1 + 30 * (7 + (blanked < TRIGGERS / 2 ? 2 : 5) + 2);
		assert_true(llabs(count - expected) <= 1);
		blanked++;
	}
	assert_int_equal(blanked, TRIGGERS);
	assert_int_equal(number(s, "stimulation", "trains_commanded"), TRIGGERS);
	assert_int_equal(number(s, "stimulation", "triggers"), 0);
	assert_int_equal(number(s, "stimulation", "trains_of_unknown_length"), 0);
	free(hub_clock);
	free(programs);
	free(results);
	free(hubs);
	free(samples);
	free(text);
	free(csv);
	json_decref(s);
}

/* What reports is not told twice. */
static void a_command_is_nothing_where_triggers_are_reported(void **state)
{
	struct rec_config cfg;
	json_t *s;

	(void)state;
	t.kernel = true;
	config(&cfg);
	cfg.silent[1] = true;
	s = record(&cfg, "0-127=ramp");
	assert_int_equal(number(s, "stimulation", "trains_commanded"), 0);
	assert_int_equal(number(s, "stimulation", "triggers"), TRIGGERS);
	json_decref(s);
}

static void without_a_word_of_the_kernel_programs_are_unknown(void **state)
{
	struct rec_config cfg;
	char *programs;
	json_t *s;
	size_t n;

	(void)state;
	config(&cfg);
	s = record(&cfg, "0-127=ramp");
	programs = column("programs.npy", 64, &n);
	assert_int_equal(n, TRIGGERS);
	for (unsigned int i = 0; i < TRIGGERS; i++)
		assert_string_equal(programs + 64 * i, "unknown");
	free(programs);
	assert_int_equal(number(s, "stimulation", "triggers_of_unknown_programs"), TRIGGERS);
	json_decref(s);
}

/* --- blanks ------------------------------------------------------------------------ */

struct spikes {
	struct spike_record *at[100000];
	char *file;
	unsigned int n;
};

/* Spikes of chips A and B, or of the other headstage. */
static void load_spikes(struct spikes *sp, bool rhs)
{
	struct spikes_header *h;
	size_t len;

	sp->n = 0;
	sp->file = load("onirec/spikes.bin", &len);
	h = (struct spikes_header *)(void *)sp->file;
	for (size_t i = SPIKES_HEADER; i + h->record_bytes <= len; i += h->record_bytes) {
		struct spike_record *r = (struct spike_record *)(void *)(sp->file + i);

		if ((r->channel >= 64) == rhs && sp->n < 100000)
			sp->at[sp->n++] = r;
	}
}

/* Is this number of a frame of a chip inside of what is written to be blanked? */
static bool in_blanked(const char *csv, const char *stream, uint64_t sample)
{
	const char *p = csv;

	while ((p = strstr(p, stream))) {
		unsigned long long first, n;

		p += strlen(stream);
		if (sscanf(p, ",%llu,%llu,", &first, &n) == 2 && sample >= first &&
		    sample < first + n)
			return true;
	}
	return false;
}

static const char *chip(const struct spike_record *r)
{
	return r->channel < 64 + CHANNELS ? "\nPortB-Rhs2116" : "\nPortB-Rhs2116-201";
}

static unsigned int inside(const struct spikes *sp, const char *csv)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < sp->n; i++)
		n += in_blanked(csv, chip(sp->at[i]), sp->at[i]->sample_number);
	return n;
}

static int by_place(const void *a, const void *b)
{
	const struct spike_record *x = *(struct spike_record *const *)a;
	const struct spike_record *y = *(struct spike_record *const *)b;

	if (x->channel != y->channel)
		return x->channel < y->channel ? -1 : 1;
	return x->sample_number < y->sample_number ? -1 : x->sample_number > y->sample_number;
}

/* Records of the two chips come in an order that depends on the threads. */
static void expect_same_spikes(struct spikes *a, struct spikes *b)
{
	assert_int_equal(a->n, b->n);
	qsort(a->at, a->n, sizeof(a->at[0]), by_place);
	qsort(b->at, b->n, sizeof(b->at[0]), by_place);
	for (unsigned int i = 0; i < a->n; i++) {
		struct spike_record *x = a->at[i], *y = b->at[i];

		assert_int_equal(x->channel, y->channel);
		assert_int_equal(x->sample_number, y->sample_number);
		assert_int_equal(x->peak, y->peak);
		assert_int_equal(x->threshold, y->threshold);
		assert_memory_equal(x->wave, y->wave, 40 * sizeof(int16_t));
	}
}

static void again(void)
{
	bool kernel = t.kernel;

	free(t.rows);
	memset(&t, 0, sizeof(t));
	t.kernel = kernel;
	assert_int_equal(temp_dir_remove(dir), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
}

#define NEURONS	"0-127=neurons:snr=8"

static void artifacts_make_no_spikes_and_change_none(void **state)
{
	static struct spikes clean, disturbed, late, all;
	struct rec_config cfg;
	json_int_t blanked;
	char *csv;
	json_t *s;
	size_t n;

	(void)state;
	config(&cfg);
	s = record(&cfg, NEURONS);
	blanked = number(s, "spikes", "frames_blanked");
	assert_true(blanked > 2 * TRIGGERS * 150);
	json_decref(s);
	load_spikes(&clean, true);
	csv = load("onirec/blanked.csv", &n);
	assert_int_equal(inside(&clean, csv), 0);
	assert_true(clean.n > 500);
	assert_null(strstr(csv, "PortA"));
	free(csv);

	again();
	t.artifacts = true;
	s = record(&cfg, NEURONS);
	assert_int_equal(number(s, "spikes", "frames_blanked"), blanked);
	assert_int_equal(number(s, "spikes", "frames_blanked_too_late"), 0);
	assert_int_equal(number(s, "spikes", "frames_not_searched"), 0);
	json_decref(s);
	load_spikes(&disturbed, true);
	expect_same_spikes(&clean, &disturbed);
	free(disturbed.file);

	again();
	t.artifacts = t.late = true;
	s = record(&cfg, NEURONS);
	assert_int_equal(number(s, "spikes", "frames_blanked_too_late"), 0);
	json_decref(s);
	load_spikes(&late, true);
	expect_same_spikes(&clean, &late);
	free(late.file);

	/* and they are a disturbance */
	again();
	t.artifacts = true;
	cfg.blank = REC_BLANK_NONE;
	s = record(&cfg, NEURONS);
	assert_int_equal(number(s, "spikes", "frames_blanked"), 0);
	json_decref(s);
	load_spikes(&all, true);
	assert_true(all.n > clean.n + TRIGGERS * CHANNELS);
	free(all.file);
	free(clean.file);
}

static void the_other_headstage_is_not_blanked_unless_asked_for(void **state)
{
	static struct spikes none, headstage, all;
	struct rec_config cfg;
	char *csv;
	json_t *s;
	size_t n;

	(void)state;
	config(&cfg);
	cfg.blank = REC_BLANK_NONE;
	json_decref(record(&cfg, NEURONS));
	load_spikes(&none, false);
	again();
	cfg.blank = REC_BLANK_HEADSTAGE;
	json_decref(record(&cfg, NEURONS));
	load_spikes(&headstage, false);
	expect_same_spikes(&none, &headstage);
	again();
	cfg.blank = REC_BLANK_ALL;
	s = record(&cfg, NEURONS);
	load_spikes(&all, false);
	csv = load("onirec/blanked.csv", &n);
	assert_true(all.n < none.n);
	for (unsigned int i = 0; i < all.n; i++)
		assert_false(in_blanked(csv, "\nPortA-Rhd2164", all.at[i]->sample_number));
	json_decref(s);
	free(csv);
	free(none.file);
	free(headstage.file);
	free(all.file);
}

static double rate_of(const json_t *summary, const char *stream)
{
	size_t i;
	json_t *j;

	json_array_foreach(json_object_get(summary, "streams"), i, j)
		if (!strcmp(json_string_value(json_object_get(j, "name")), stream))
			return json_number_value(json_object_get(j, "rate_hz"));
	fail_msg("no stream %s", stream);
	return 0;
}

/* Rows of blanked.csv about chip A: @us[0] for each train of the first program, @us[1] the second. */
static void expect_blanked(const struct rec_config *cfg, const json_t *summary, const double us[2])
{
	double rate = rate_of(summary, "PortB-Rhs2116");
	unsigned long long first, n, want;
	unsigned int rows = 0;
	size_t len;
	char *csv = load("onirec/blanked.csv", &len), *p = csv;

	while ((p = strstr(p, "\nPortB-Rhs2116,"))) {
		p += strlen("\nPortB-Rhs2116,");
		assert_int_equal(sscanf(p, "%llu,%llu,", &first, &n), 2);
		want = (unsigned long long)(ceil(cfg->blank_pre_us / 1e6 * rate) + 1 +
			ceil((us[rows >= TRIGGERS / 2] + cfg->blank_post_us) / 1e6 * rate));
		if (n != want)
			fail_msg("train %u: %llu frames are blanked, not %llu", rows, n, want);
		rows++;
	}
	assert_int_equal(rows, TRIGGERS);
	free(csv);
}

static void trains_are_as_long_as_the_kernel_has_said(void **state)
{
	struct rec_config cfg;
	json_t *s;

	(void)state;
	t.kernel = true;
	t.length_ns[0] = 3000000;
	t.length_ns[1] = 19872000;
	config(&cfg);
	/* of no train that is told */
	cfg.train_us = 50000;
	s = record(&cfg, "0-127=ramp");
	expect_blanked(&cfg, s, (const double[]){ 3000, 19872 });
	assert_int_equal(number(s, "stimulation", "trains_of_unknown_length"), 0);
	json_decref(s);

	/* a guard makes it longer, and not shorter */
	again();
	t.length_ns[0] = 3000000;
	t.length_ns[1] = 19872000;
	cfg.n_trains = 2;
	strcpy(cfg.trains[0].hash, "a0a0a0a0");
	cfg.trains[0].us = 4000;
	strcpy(cfg.trains[1].hash, "a1a1a1a1");
	cfg.trains[1].us = 4000;
	s = record(&cfg, "0-127=ramp");
	expect_blanked(&cfg, s, (const double[]){ 4000, 19872 });
	json_decref(s);

	/* a kernel that has told no length, and none at all */
	again();
	cfg.n_trains = 0;
	s = record(&cfg, "0-127=ramp");
	expect_blanked(&cfg, s, (const double[]){ 50000, 50000 });
	assert_int_equal(number(s, "stimulation", "trains_of_unknown_length"), TRIGGERS);
	json_decref(s);
	again();
	t.kernel = false;
	s = record(&cfg, "0-127=ramp");
	expect_blanked(&cfg, s, (const double[]){ 50000, 50000 });
	assert_int_equal(number(s, "stimulation", "trains_of_unknown_length"), TRIGGERS);
	json_decref(s);
}

/* Artifacts are twice as long as the configuration would have it. */
static void a_long_train_is_blanked_to_its_end(void **state)
{
	static struct spikes clean, disturbed;
	struct rec_config cfg;

	(void)state;
	t.kernel = true;
	t.length_ns[0] = t.length_ns[1] = 3000000;
	config(&cfg);
	cfg.train_us = 100;
	cfg.blank_post_us = 500;
	json_decref(record(&cfg, NEURONS));
	load_spikes(&clean, true);
	again();
	t.artifacts = true;
	t.length_ns[0] = t.length_ns[1] = 3000000;
	json_decref(record(&cfg, NEURONS));
	load_spikes(&disturbed, true);
	expect_same_spikes(&clean, &disturbed);
	free(disturbed.file);
	/* what it would have been */
	again();
	t.artifacts = true;
	t.kernel = false;
	json_decref(record(&cfg, NEURONS));
	load_spikes(&disturbed, true);
	assert_true(disturbed.n > clean.n);
	free(disturbed.file);
	free(clean.file);
}

static void blanks_change_no_sample(void **state)
{
	struct rec_config cfg;
	int16_t *x;
	json_t *s, *d;
	size_t n, i;

	(void)state;
	t.artifacts = true;
	config(&cfg);
	s = record(&cfg, NEURONS);
	x = load("continuous/ONIX-100.PortB-Rhs2116/continuous.dat", &n);
	assert_int_equal(n, t.n_rows * CHANNELS * 2);
	assert_memory_equal(x, t.rows, n);
	free(x);
	x = load("continuous/ONIX-100.PortB-Rhs2116Dc/continuous.dat", &n);
	assert_int_equal(n, t.n_rows * (CHANNELS + 1) * 2);
	for (i = 0; i < n / 2; i++)
		assert_int_equal(x[i], 0);	/* no current flows, nothing recovers */
	free(x);
	json_array_foreach(json_object_get(s, "devices"), i, d) {
		assert_int_equal(json_integer_value(json_object_get(d, "lost")), 0);
		assert_int_equal(json_integer_value(json_object_get(d, "frames")),
				 json_integer_value(json_object_get(d, "recorded")));
	}
	json_decref(s);
}

/* --- what a kill leaves ---------------------------------------------------------------- */

static void ignore(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

static void a_killed_recording_has_its_stimulation_events(void **state)
{
	struct oeb_stream desc = { .name = "PortA-Rhd2164", .prefix = "CH", .units = "uV",
				   .channels = 2, .rate_hz = 30000, .bit_volts = 0.195 };
	struct oeb_config cfg = { .session = session, .streams = &desc, .n_streams = 1,
				  .event_stream = desc.name, .event_rate = 30000,
				  .ttl_name = "x" };
	struct oeb_stim e = { .program = "unknown", .text = "x" };
	int16_t frame[2] = { 1, 2 };
	double time = 0;
	char err[400], *p;
	uint64_t *hub;
	size_t n;
	pid_t pid;
	int status;

	(void)state;
	pid = fork();
	if (!pid) {
		struct oeb *o = oeb_open(&cfg, err, sizeof(err));
		int bad = !o || oeb_append(o, 0, frame, 1, 0, &time) ||
			  oeb_message(o, "begin", 0, 0);

		for (e.hub_clock = 10; !bad && e.hub_clock < 15; e.hub_clock++) {
			bad = oeb_stim(o, &e);
			if (e.hub_clock == 12)
				bad = bad || oeb_commit(o);
		}
		_exit(bad);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(oeb_recover(dir, ignore, NULL), 1);
	hub = column("hub_clocks.npy", 8, &n);
	assert_int_equal(n, 5);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(hub[i], 10 + i);
	free(hub);
	p = load(STIM "text.npy", &n);
	assert_non_null(memmem(p, 128, "(5,)", 4));
	free(p);
	p = load("structure.oebin", &n);
	assert_non_null(strstr(p, "/Stimulation/"));
	free(p);
}

/* --- matching --------------------------------------------------------------------------- */

static struct oni_stim_event delivered(uint64_t clock, uint8_t program)
{
	struct oni_stim_event e = { .what = ONI_STIM_EV_DELIVERED, .clock = clock, .hub = 2,
				    .session = 5 };

	memset(e.hash, program, sizeof(e.hash));
	return e;
}

static void triggers_wait_for_the_kernel_but_not_for_ever(void **state)
{
	static struct triggers s;
	struct oni_stim_event e;
	struct trigger tr = { .addr = TRIGGER, .code = 2 << 2, .clock = 100, .read_ns = 1000 }, out;

	(void)state;
	memset(&s, 0, sizeof(s));
	s.kernel = true;
	triggers_add(&s, &tr);
	tr.clock = 200;
	triggers_add(&s, &tr);
	assert_false(triggers_next(&s, 1000, &out));
	e = delivered(200, 1);
	triggers_event(&s, &e);
	/* in the order of the frames */
	assert_false(triggers_next(&s, 1000 + TRIGGER_WAIT_NS - 1, &out));
	assert_true(triggers_next(&s, 1000 + TRIGGER_WAIT_NS, &out));
	assert_int_equal(out.clock, 100);
	assert_int_equal(out.program, -1);
	assert_true(triggers_next(&s, 1000, &out));
	assert_int_equal(out.program, 0);
	assert_int_equal(out.session, 5);
	assert_false(triggers_next(&s, 1000, &out));
	/* the event may come first; of another headstage it is another one */
	e = delivered(300, 2);
	triggers_event(&s, &e);
	tr.clock = 300;
	tr.addr = 0x102;
	triggers_add(&s, &tr);
	assert_false(triggers_next(&s, 1000, &out));
	assert_true(triggers_next(&s, UINT64_MAX, &out));
	assert_int_equal(out.program, -1);
	tr.addr = TRIGGER;
	triggers_add(&s, &tr);
	assert_true(triggers_next(&s, 1000, &out));
	assert_int_equal(out.program, 1);
	/* what was not delivered has no event */
	tr.code = 1 | 2 << 2;
	tr.clock = 400;
	triggers_add(&s, &tr);
	assert_true(triggers_next(&s, 1000, &out));
	assert_int_equal(out.program, -1);
	/* a full ring does not wait */
	tr.code = 0;
	for (unsigned int i = 0; i < TRIGGER_RING; i++)
		triggers_add(&s, &tr);
	assert_true(triggers_next(&s, 1000, &out));
	assert_false(triggers_next(&s, 1000, &out));
}

static struct oni_stim_event told(uint32_t what, uint64_t seq, uint8_t program, uint64_t arg)
{
	struct oni_stim_event e = { .what = what, .seq = seq, .hub = 2, .arg = arg };

	memset(e.hash, program, sizeof(e.hash));
	return e;
}

static void a_length_is_that_of_the_program_that_ran(void **state)
{
	static struct triggers s;
	struct trigger tr = { .addr = TRIGGER, .code = 2 << 2, .clock = 100 };
	struct trigger_train guard[1] = { { "01010101", 2500 } };
	struct oni_stim_event e;

	(void)state;
	memset(&s, 0, sizeof(s));
	assert_true(triggers_train_us(&s, &tr, NULL, 0, 777) == 777);
	e = told(ONI_STIM_EV_LOAD, 1, 1, 2000000);
	triggers_event(&s, &e);
	assert_true(triggers_train_us(&s, &tr, NULL, 0, 777) == 2000);
	assert_true(triggers_train_us(&s, &tr, guard, 1, 777) == 2500);
	guard[0].us = 1;
	assert_true(triggers_train_us(&s, &tr, guard, 1, 777) == 2000);
	assert_int_equal(s.guessed, 1);
	/* of another headstage it says nothing */
	tr.addr = 0x102;
	assert_true(triggers_train_us(&s, &tr, NULL, 0, 777) == 777);
	tr.addr = TRIGGER;
	/* the reader is behind: another one was loaded since the train of this frame */
	e = told(ONI_STIM_EV_DELIVERED, 2, 1, 0);
	e.clock = 100;
	triggers_event(&s, &e);
	e = told(ONI_STIM_EV_LOAD, 3, 2, 50000);
	triggers_event(&s, &e);
	assert_true(triggers_train_us(&s, &tr, NULL, 0, 777) == 2000);
	tr.clock = 200;
	assert_true(triggers_train_us(&s, &tr, NULL, 0, 777) == 50);
	/* what was loaded in events that nobody read is not known, until one tells it */
	e = told(ONI_STIM_EV_REFUSED, 9, 0, 0);
	triggers_event(&s, &e);
	assert_int_equal(s.missed, 5);
	assert_true(triggers_train_us(&s, &tr, NULL, 0, 777) == 777);
	e = told(ONI_STIM_EV_FIRE, 10, 1, 7);
	triggers_event(&s, &e);
	assert_true(triggers_train_us(&s, &tr, NULL, 0, 777) == 2000);
	e = told(ONI_STIM_EV_ARM, 11, 3, 1000);
	triggers_event(&s, &e);
	assert_true(triggers_train_us(&s, &tr, NULL, 0, 777) == 777);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(triggers_wait_for_the_kernel_but_not_for_ever),
		T(a_length_is_that_of_the_program_that_ran),
		T(triggers_become_events_with_their_program),
		T(trains_that_nobody_reports_are_commanded),
		T(a_command_is_nothing_where_triggers_are_reported),
		T(without_a_word_of_the_kernel_programs_are_unknown),
		T(artifacts_make_no_spikes_and_change_none),
		T(the_other_headstage_is_not_blanked_unless_asked_for),
		T(trains_are_as_long_as_the_kernel_has_said),
		T(a_long_train_is_blanked_to_its_end),
		T(blanks_change_no_sample),
		T(a_killed_recording_has_its_stimulation_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
