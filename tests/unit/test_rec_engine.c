// SPDX-License-Identifier: MIT
/* unit-sources: userspace/onirec/[!ms]*.c userspace/onirec/spike.c userspace/onirec/summary.c userspace/audit/published.c */
/* unit-sources: tests/sim/model/[a-z]*.c userspace/lib/[!f]*.c userspace/lib/frame.c */
/* unit-sources: userspace/lib/usb/[a-z]*.c driver/oni_cobs.c driver/oni_ft600_parse.c driver/oni_guard.c driver/oni_table.c */
/* unit-libs: -ljansson -linih -ludev -lusb-1.0 -lpthread -lm */
/*
 * test_rec_engine.c - the recorder's threads on frames of the simulated devices,
 * without driver and real time: everything counted, everything on disk, gaps
 * filled and logged, spikes found, slow and broken disks, ends of all kinds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/rec_card.h"
#include "tests/unit/temp_dir.h"
#include "userspace/onirec/oeb.h"

#define AMP	"continuous/ONIX-100.PortA-Rhd2164/"

static char dir[64];
static char session[100];

static int setup(void **state)
{
	(void)state;
	if (temp_dir_new(dir, sizeof(dir), "test_rec"))
		return -1;
	snprintf(session, sizeof(session), "%s/s", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return temp_dir_remove(dir);
}

static const char *in_rec(unsigned int number, const char *name)
{
	static char path[500];

	snprintf(path, sizeof(path), "%s/Record Node 100/experiment1/recording%u/%s", session,
		 number, name);
	return path;
}

static void *load(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *p;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*len = (size_t)ftell(f);
	rewind(f);
	p = calloc(1, *len + 1);
	assert_int_equal(fread(p, 1, *len, f), *len);
	fclose(f);
	return p;
}

struct result {
	enum rec_end end;
	char err[800];
	json_t *summary;
};

static struct result record(struct card *c, const struct rec_config *cfg)
{
	struct result res;
	struct rec *r = rec_open(cfg, &c->src, c->dev, c->n_dev, res.err, sizeof(res.err));

	assert_non_null(r);
	assert_int_equal(rec_run(r), 0);
	res.end = rec_finish(r, res.err, sizeof(res.err));
	res.summary = rec_summary(r);
	rec_free(r);
	return res;
}

static json_t *device(const struct result *res, uint32_t addr)
{
	json_t *d;
	size_t i;

	json_array_foreach(json_object_get(res->summary, "devices"), i, d)
		if (json_integer_value(json_object_get(d, "addr")) == (json_int_t)addr)
			return d;
	fail_msg("no device %#x", addr);
	return NULL;
}

static json_int_t count(json_t *d, const char *key)
{
	json_t *v = json_object_get(d, key);

	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

/* Every device: frames produced = seen = recorded. */
static void expect_complete(const struct card *c, const struct result *res)
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < c->n_dev; i++) {
		json_t *d = device(res, c->dev[i].addr);

		assert_int_equal(count(d, "frames"), c->produced[c->dev[i].addr]);
		assert_int_equal(count(d, "recorded"), c->produced[c->dev[i].addr]);
		assert_int_equal(count(d, "lost"), 0);
		assert_int_equal(count(d, "gaps"), 0);
		total += c->produced[c->dev[i].addr];
	}
	assert_int_equal(count(json_object_get(res->summary, "stream"), "frames"), total);
}

static void ramp_is_bit_exact_on_disk(void **state)
{
	struct rec_config cfg;
	struct result res;
	struct card c;
	int16_t *x;
	size_t len;

	(void)state;
	card_new(&c);
	card_set(&c, "source", "0-63=ramp");
	card_start(&c, 3);
	card_config(&cfg, session);
	res = record(&c, &cfg);
	assert_int_equal(res.end, REC_STOPPED);
	assert_string_equal(res.err, "");
	expect_complete(&c, &res);
	x = load(in_rec(1, AMP "continuous.dat"), &len);
	assert_int_equal(len, c.produced[0x100] * 128);
	for (size_t i = 0; i < len / 2; i++)
		assert_int_equal((uint16_t)(x[i] + 32768), (uint16_t)i);
	free(x);
	x = load(in_rec(1, "continuous/ONIX-100.Breakout-AnalogIO/continuous.dat"), &len);
	assert_int_equal(len, c.produced[0x006] * 24);
	free(x);
	json_decref(res.summary);
	card_free(&c);
}

static void lost_frames_are_filled_counted_and_logged(void **state)
{
	struct rec_config cfg;
	struct result res;
	struct card c;
	char *gaps;
	int16_t *x;
	size_t len;
	json_t *d;

	(void)state;
	card_new(&c);
	card_set(&c, "source", "0-63=ramp");
	card_start(&c, 2);
	c.drop_addr = 0x100;
	c.drop_from = 20000;
	c.drop_n = 1234;
	card_config(&cfg, session);
	res = record(&c, &cfg);
	d = device(&res, 0x100);
	assert_int_equal(count(d, "lost"), 1234);
	assert_int_equal(count(d, "gaps"), 1);
	assert_int_equal(count(d, "frames"), c.produced[0x100] - 1234);
	assert_int_equal(count(d, "recorded"), c.produced[0x100] - 1234);
	x = load(in_rec(1, AMP "continuous.dat"), &len);
	assert_int_equal(len, c.produced[0x100] * 128);	/* row number stays sample number */
	for (size_t i = 0; i < len / 2; i++) {
		size_t row = i / 64;

		if (row >= 20000 && row < 21234)
			assert_int_equal(x[i], 0);
		else
			assert_int_equal((uint16_t)(x[i] + 32768), (uint16_t)i);
	}
	free(x);
	gaps = load(in_rec(1, "onirec/gaps.csv"), &len);
	/* numbers start at 1: the first sample comes 1/30000 s after the start */
	assert_non_null(strstr(gaps, "\nrhd2164,20001,1234,lost,"));
	free(gaps);
	json_decref(res.summary);
	card_free(&c);
}

static void a_long_gap_begins_a_new_recording(void **state)
{
	struct rec_config cfg;
	struct result res;
	int64_t *n;
	struct card c;
	size_t len;

	(void)state;
	card_new(&c);
	card_set(&c, "source", "0-63=ramp");
	card_start(&c, 3);
	c.drop_addr = 0x100;
	c.drop_from = 30000;
	c.drop_n = 30000;
	card_config(&cfg, session);
	cfg.fill_seconds = 0.5;
	res = record(&c, &cfg);
	assert_int_equal(res.end, REC_STOPPED);
	assert_int_equal(count(res.summary, "recordings"), 2);
	n = load(in_rec(1, AMP "sample_numbers.npy"), &len);
	assert_int_equal(len, 128 + 30000 * 8);
	free(n);
	n = load(in_rec(2, AMP "sample_numbers.npy"), &len);
	assert_int_equal(n[16], 60001);
	free(n);
	assert_int_equal(count(device(&res, 0x100), "recorded"), c.produced[0x100] - 30000);
	json_decref(res.summary);
	card_free(&c);
}

static void neurons_are_found(void **state)
{
	struct rec_config cfg;
	struct result res;
	char truth[200], line[200];
	unsigned long spikes = 0;
	struct card c;
	FILE *f;
	json_t *s;

	(void)state;
	snprintf(truth, sizeof(truth), "%s/truth", dir);
	card_new(&c);
	card_set(&c, "source", "0-63=neurons:snr=8");
	card_set(&c, "spike-truth", truth);
	card_start(&c, 4);
	card_config(&cfg, session);
	cfg.buffer_bytes = 1u << 30;	/* faster than real time: nothing may be given up */
	res = record(&c, &cfg);
	expect_complete(&c, &res);
	card_free(&c);
	f = fopen(truth, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		spikes += line[0] != '#';
	fclose(f);
	s = json_object_get(res.summary, "spikes");
	assert_int_equal(count(s, "frames_not_searched"), 0);
	assert_true(spikes > 4000);
	assert_true(count(s, "recorded") > (json_int_t)(spikes * 95 / 100));
	assert_true(count(s, "recorded") < (json_int_t)(spikes * 103 / 100));
	json_decref(res.summary);
}

static void the_spike_log_is_complete(void **state)
{
	struct rec_config cfg;
	struct spikes_header *h;
	struct result res;
	struct card c;
	size_t len;
	char *p;
	uint32_t n;

	(void)state;
	card_new(&c);
	card_start(&c, 2);
	card_config(&cfg, session);
	cfg.buffer_bytes = 1u << 30;
	res = record(&c, &cfg);
	p = load(in_rec(1, "onirec/spikes.bin"), &len);
	h = (struct spikes_header *)(void *)p;
	assert_int_equal(h->record_bytes, 120);
	assert_int_equal(h->spikes, (len - SPIKES_HEADER) / 120);
	assert_int_equal(h->spikes, count(json_object_get(res.summary, "spikes"), "recorded"));
	assert_true(h->spikes > 500);
	for (n = 0; n < h->spikes; n++) {
		char *at = p + SPIKES_HEADER + n * 120;
		struct spike_record *rec = (struct spike_record *)(void *)at;

		assert_int_equal(rec->seq, n);
		assert_true(rec->channel < 64);
		assert_true(rec->sample_number <= c.produced[0x100]);
	}
	free(p);
	json_decref(res.summary);
	card_free(&c);
}

static void a_broken_disk_is_said_and_the_stream_drained(void **state)
{
	struct rlimit old, small = { 1 << 20, RLIM_INFINITY };
	struct rec_config cfg;
	struct result res;
	struct card c;
	struct stat st;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	card_new(&c);
	card_set(&c, "source", "0-63=ramp");
	card_start(&c, 2);
	card_config(&cfg, session);
	cfg.detect = false;
	setrlimit(RLIMIT_FSIZE, &small);
	res = record(&c, &cfg);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(res.end, REC_DISK);
	assert_non_null(strstr(res.err, "MB were written and load"));
	assert_non_null(strstr(res.err, "cannot write"));
	assert_int_equal(count(device(&res, 0x100), "frames"), c.produced[0x100]);
	assert_true(count(device(&res, 0x100), "recorded") < (json_int_t)c.produced[0x100]);
	assert_int_equal(stat(in_rec(1, AMP "continuous.dat"), &st), 0);
	assert_int_equal(st.st_size, count(device(&res, 0x100), "recorded") * 128);
	json_decref(res.summary);
	card_free(&c);
}

static void an_unplugged_card_ends_the_recording(void **state)
{
	struct rec_config cfg;
	struct result res;
	struct card c;

	(void)state;
	card_new(&c);
	card_set(&c, "source", "0-63=ramp");
	card_start(&c, 1);
	c.end_errno = ENODEV;
	card_config(&cfg, session);
	res = record(&c, &cfg);
	assert_int_equal(res.end, REC_GONE);
	assert_true(strlen(res.err) > 10);
	expect_complete(&c, &res);
	assert_int_equal(access(in_rec(1, "structure.oebin"), F_OK), 0);
	json_decref(res.summary);
	card_free(&c);
}

static void duration_asks_for_the_stop(void **state)
{
	struct rec_progress p;
	struct rec_config cfg;
	struct card c;
	struct rec *r;
	char err[800];

	(void)state;
	card_new(&c);
	card_set(&c, "source", "0-63=ramp");
	card_start(&c, 60);
	c.pace_us = 500;
	card_config(&cfg, session);
	cfg.seconds = 0.5;
	r = rec_open(&cfg, &c.src, c.dev, c.n_dev, err, sizeof(err));
	assert_non_null(r);
	assert_int_equal(rec_run(r), 0);
	do {
		usleep(1000);
		rec_progress(r, &p);
	} while (!p.want_stop);
	assert_true(p.seconds >= 0.5);
	assert_int_equal(c.src.ops->stop(&c.src), 0);
	assert_int_equal(rec_finish(r, err, sizeof(err)), REC_STOPPED);
	rec_free(r);
	card_free(&c);
}

/* Derived data goes first, and it is said how much. */
static void a_detector_that_is_behind_loses_spikes_not_samples(void **state)
{
	struct rec_config cfg;
	struct result res;
	struct card c;
	json_t *s;

	(void)state;
	card_new(&c);
	card_set(&c, "source", "0-63=ramp");
	card_start(&c, 10);
	card_config(&cfg, session);
	cfg.buffer_bytes = 1;		/* the least: four chunks of each stream */
	res = record(&c, &cfg);
	assert_int_equal(res.end, REC_STOPPED);
	expect_complete(&c, &res);
	s = json_object_get(res.summary, "spikes");
	assert_int_equal(count(s, "frames_searched") + count(s, "frames_not_searched"),
			 c.produced[0x100]);
	json_decref(res.summary);
	card_free(&c);
}

static void digital_edges_become_events(void **state)
{
	struct rec_config cfg;
	struct result res;
	int16_t *states;
	char err[200];
	struct card c;
	size_t len;

	(void)state;
	card_new(&c);
	card_set(&c, "source", "0-63=ramp");
	card_start(&c, 1);
	model_produce(c.m, MODEL_ACQ_HZ / 10, 1u << 30);
	c.clock = MODEL_ACQ_HZ / 10;
	assert_int_equal(model_command(c.m, "digital set 0x04", err, sizeof(err)), 0);
	card_config(&cfg, session);
	res = record(&c, &cfg);
	expect_complete(&c, &res);
	states = load(in_rec(1, "events/ONIX-100.PortA-Rhd2164/TTL/states.npy"), &len);
	assert_true(len > 128);
	for (size_t i = 64, seen = 0; i <= len / 2; i++) {
		if (i == len / 2)
			assert_int_equal(seen, 1);
		else
			seen += states[i] == 3;
	}
	free(states);
	json_decref(res.summary);
	card_free(&c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ramp_is_bit_exact_on_disk),
		T(lost_frames_are_filled_counted_and_logged),
		T(a_long_gap_begins_a_new_recording),
		T(neurons_are_found),
		T(the_spike_log_is_complete),
		T(a_broken_disk_is_said_and_the_stream_drained),
		T(an_unplugged_card_ends_the_recording),
		T(duration_asks_for_the_stop),
		T(a_detector_that_is_behind_loses_spikes_not_samples),
		T(digital_edges_become_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
