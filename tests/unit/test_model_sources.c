/* SPDX-License-Identifier: MIT */
/* unit-sources: tests/sim/model/[a-z]*.c */
/* unit-libs: -lm */
/*
 * Signal sources of the simulated amplifier: repeatability, calibration,
 * playback and the spike truth file. The filter here is the reference
 * definition (a Butterworth band-pass as scipy makes it, run both ways), not
 * the one the generator was calibrated with.
 */
#include <math.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/model_bench.h"

#define RATE		30000
#define CHANNELS	64
#define TRUTH_MAX	20000

struct spike {
	unsigned int channel, unit;
	unsigned long index;
	double peak_uv;
	unsigned long long clock;
};

/* scipy.signal.butter(2, [300, 6000], "band", fs=30000, output="sos") */
static const double sos[2][6] = {
	{ 0.1906166001, 0.3812332002, 0.1906166001,
	  1.000000000000, -0.423531164568, 0.225709867542 },
	{ 1.0000000000, -2.0000000000, 1.0000000000,
	  1.000000000000, -1.911551237508, 0.915653300483 },
};

static char tmp_name[64];

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void sos_run(double *x, size_t n, ptrdiff_t step)
{
	unsigned int k;
	size_t i;

	for (k = 0; k < 2; k++) {
		double z1 = 0, z2 = 0, *p = x;

		for (i = 0; i < n; i++, p += step) {
			double in = *p, out = sos[k][0] * in + z1;

			z1 = sos[k][1] * in - sos[k][4] * out + z2;
			z2 = sos[k][2] * in - sos[k][5] * out;
			*p = out;
		}
	}
}

static void reference_filter(double *x, size_t n)
{
	sos_run(x, n, 1);
	sos_run(x + n - 1, n, -1);
}

static double reference_sigma(const double *x, size_t n)
{
	double *v = malloc(n * sizeof(*v)), s;
	size_t i;

	assert_non_null(v);
	for (i = 0; i < n; i++)
		v[i] = fabs(x[i]);
	qsort(v, n, sizeof(*v), by_value);
	s = v[n / 2] / 0.6745;
	free(v);
	return s;
}

/* uV of channel @ch over all frames kept. */
static double *channel_uv(const struct bench *b, unsigned int ch)
{
	unsigned int slot = ch < 32 ? 2 * ch : 2 * (ch - 32) + 1;
	double *x = malloc(b->nframes * sizeof(*x));
	size_t i;

	assert_non_null(x);
	for (i = 0; i < b->nframes; i++)
		x[i] = 0.195 * ((double)get16(bench_frame(b, i) + 24 + 2 * slot) - 32768);
	return x;
}

static void open_source(struct bench *b, const char *source)
{
	bench_new(b);
	if (source)
		bench_set(b, "source", source);
	b->keep = RHD;
}

static void run_source(struct bench *b, double seconds)
{
	bench_power_hs64(b);
	bench_start(b);
	model_produce(b->m, (uint64_t)(seconds * SECOND) + 1000, SIZE_MAX);
	model_run(b->m, 0);
	model_flush(b->m);
}

/* Read the truth file; returns the number of spikes, runs in *runs. */
static size_t read_truth(struct spike *list, unsigned int *runs)
{
	FILE *f = fopen(tmp_name, "r");
	char line[128];
	size_t n = 0;

	assert_non_null(f);
	*runs = 0;
	while (fgets(line, sizeof(line), f)) {
		struct spike *s = &list[n];

		if (!strncmp(line, "# run ", 6))
			++*runs;
		if (line[0] == '#')
			continue;
		assert_true(n < TRUTH_MAX);
		assert_int_equal(sscanf(line, "%u %lu %u %lf %llu", &s->channel, &s->index,
					&s->unit, &s->peak_uv, &s->clock), 5);
		n++;
	}
	fclose(f);
	return n;
}

static void test_same_seed_same_samples(void **state)
{
	/* Sizes that cut frames, blocks and milliseconds at odd places. */
	static const uint64_t step[] = { 1, 8333, 8334, 250000, 77777, 2500001, 25 };
	struct bench a, b;
	uint64_t at = 0;
	size_t i = 0;

	(void)state;
	open_source(&a, "0-63=neurons:snr=6");
	run_source(&a, 0.5);
	open_source(&b, "0-63=neurons:snr=6");
	bench_power_hs64(&b);
	bench_start(&b);
	while (at < SECOND / 2 + 1000) {
		uint64_t until = at + step[i++ % 7];

		if (until > SECOND / 2 + 1000)
			until = SECOND / 2 + 1000;
		at = model_produce(b.m, until, 1 + i % 900);
	}
	assert_int_equal(a.nframes, 15000);
	assert_int_equal(a.nbytes, b.nbytes);
	assert_memory_equal(a.bytes, b.bytes, a.nbytes);
	bench_free(&a);
	bench_free(&b);
}

static void test_every_run_starts_over(void **state)
{
	struct bench b;
	uint8_t *first;
	size_t n;

	(void)state;
	open_source(&b, NULL);
	run_source(&b, 0.1);
	n = b.nbytes;
	first = malloc(n);
	assert_non_null(first);
	memcpy(first, b.bytes, n);
	bench_drop_frames(&b);
	bench_start(&b);
	model_produce(b.m, SECOND / 10 + 1000, SIZE_MAX);
	assert_int_equal(b.nbytes, n);
	assert_memory_equal(b.bytes, first, n);
	free(first);
	bench_free(&b);
}

static void test_other_seed_other_samples(void **state)
{
	struct bench a, b;
	double *x, *y;
	size_t i, same = 0;

	(void)state;
	open_source(&a, NULL);
	run_source(&a, 0.1);
	open_source(&b, NULL);
	bench_set(&b, "seed", "2");
	run_source(&b, 0.1);
	x = channel_uv(&a, 3);
	y = channel_uv(&b, 3);
	for (i = 0; i < a.nframes; i++)
		same += x[i] == y[i];
	assert_true(same < a.nframes / 20);
	free(x);
	free(y);
	bench_free(&a);
	bench_free(&b);
}

/* Mean filtered value at the true peaks, over MAD sigma, must be the SNR. */
static void check_snr(const char *source, double want)
{
	struct spike *list = malloc(TRUTH_MAX * sizeof(*list));
	double sum = 0;
	unsigned int runs, ch;
	size_t n, i, used = 0;
	struct bench b;

	assert_non_null(list);
	open_source(&b, source);
	bench_set(&b, "spike-truth", tmp_name);
	run_source(&b, 12);
	n = read_truth(list, &runs);
	for (ch = 0; ch < CHANNELS; ch++) {
		double *x = channel_uv(&b, ch), sigma;

		reference_filter(x, b.nframes);
		sigma = reference_sigma(x + 3000, b.nframes - 6000);
		for (i = 0; i < n; i++) {
			if (list[i].channel != ch || list[i].index < 3000)
				continue;
			sum += -x[list[i].index] / sigma;
			used++;
		}
		free(x);
	}
	print_message("# snr %.1f asked, %.3f found over %zu spikes\n", want, sum / (double)used,
		      used);
	assert_true(used > 500);
	assert_true(fabs(sum / (double)used / want - 1) < 0.05);
	free(list);
	bench_free(&b);
}

static void test_snr_8(void **state)
{
	(void)state;
	check_snr("0-63=neurons:snr=8,rate=2", 8);
}

static void test_snr_5_loud_lfp(void **state)
{
	(void)state;
	check_snr("0-63=neurons:snr=5,rate=2,lfp=300,noise=4", 5);
}

/* Threshold at half the peak, local minimum, 1 ms dead time. */
static size_t detect(const double *x, size_t n, double threshold, size_t *at)
{
	size_t i, k, found = 0;

	for (i = 3000; i + 3000 < n; i++) {
		if (x[i] > threshold)
			continue;
		at[found] = i;
		for (k = i; k < i + 15; k++)
			if (x[k] < x[at[found]])
				at[found] = k;
		i = at[found] + 30;
		found++;
	}
	return found;
}

static void test_truth_matches_detected_peaks(void **state)
{
	struct spike *list = malloc(TRUTH_MAX * sizeof(*list));
	size_t *at = malloc(TRUTH_MAX * sizeof(*at));
	size_t n, i, k, hits = 0, detected = 0, truths = 0;
	unsigned int runs, ch;
	struct bench b;

	(void)state;
	assert_non_null(list);
	assert_non_null(at);
	open_source(&b, NULL);
	bench_set(&b, "spike-truth", tmp_name);
	run_source(&b, 10);
	n = read_truth(list, &runs);
	for (ch = 0; ch < CHANNELS; ch++) {
		double *x = channel_uv(&b, ch), sigma;
		size_t found, near;

		reference_filter(x, b.nframes);
		sigma = reference_sigma(x, b.nframes);
		found = detect(x, b.nframes, -5 * sigma, at);
		detected += found;
		for (i = 0; i < n; i++) {
			if (list[i].channel != ch || list[i].index < 3000 ||
			    list[i].index + 3000 >= b.nframes)
				continue;
			truths++;
			for (k = 0, near = 0; k < found && !near; k++)
				near = labs((long)at[k] - (long)list[i].index) <= 3;
			hits += near;
		}
		free(x);
	}
	print_message("# %zu true spikes, %zu detected, %zu match within 0.1 ms\n", truths,
		      detected, hits);
	assert_int_equal(runs, 1);
	assert_true(truths > 10000);
	assert_true((double)hits / (double)truths > 0.97);
	assert_true((double)hits / (double)detected > 0.97);
	free(list);
	free(at);
	bench_free(&b);
}

static void test_truth_clock_is_the_frame_clock(void **state)
{
	struct spike *list = malloc(TRUTH_MAX * sizeof(*list));
	unsigned int runs;
	struct bench b;
	size_t n, i;

	(void)state;
	assert_non_null(list);
	open_source(&b, NULL);
	bench_set(&b, "spike-truth", tmp_name);
	run_source(&b, 1);
	n = read_truth(list, &runs);
	assert_true(n > 500);
	for (i = 0; i < n; i++) {
		assert_true(list[i].index < b.nframes);
		assert_int_equal(list[i].clock, get64(bench_frame(&b, list[i].index)));
		if (i)
			assert_true(list[i].clock >= list[i - 1].clock);
	}
	free(list);
	bench_free(&b);
}

static void test_truth_goes_on_in_the_next_model(void **state)
{
	struct spike *list = malloc(TRUTH_MAX * sizeof(*list));
	unsigned int runs, i;
	struct bench b;

	(void)state;
	assert_non_null(list);
	for (i = 0; i < 2; i++) {
		open_source(&b, NULL);
		bench_set(&b, "spike-truth", tmp_name);
		run_source(&b, 0.1);
		bench_free(&b);
	}
	read_truth(list, &runs);
	assert_int_equal(runs, 2);
	free(list);
}

static void test_refractory_period_and_rate(void **state)
{
	struct spike *list = malloc(TRUTH_MAX * sizeof(*list));
	unsigned long last[CHANNELS][3];
	unsigned int runs;
	struct bench b;
	size_t n, i;

	(void)state;
	assert_non_null(list);
	memset(last, 0, sizeof(last));
	open_source(&b, "0-63=neurons:rate=25");
	b.keep = HEARTBEAT;
	bench_set(&b, "spike-truth", tmp_name);
	run_source(&b, 10);
	n = read_truth(list, &runs);
	assert_in_range(n, 15500, 16500);	/* 64 x 25/s x 10 s */
	for (i = 0; i < n; i++) {
		unsigned long *l = &last[list[i].channel][list[i].unit];

		if (*l)
			assert_true(list[i].index - *l >= 60);
		*l = list[i].index;
	}
	free(list);
	bench_free(&b);
}

static double band_power(const double *x, size_t n, double lo, double hi)
{
	double hz, sum = 0;
	size_t i;

	for (hz = lo; hz < hi; hz += (hi - lo) / 40) {
		double re = 0, im = 0;

		for (i = 0; i < n; i++) {
			re += x[i] * cos(2 * M_PI * hz * (double)i / RATE);
			im += x[i] * sin(2 * M_PI * hz * (double)i / RATE);
		}
		sum += (re * re + im * im) / (double)n;
	}
	return sum / 40;
}

static void test_noise_is_coloured(void **state)
{
	struct bench b;
	double *x, slow, mid, high, power = 0;
	size_t i;

	(void)state;
	open_source(&b, "0-63=neurons:rate=0,units=1");
	run_source(&b, 3);
	x = channel_uv(&b, 0);
	for (i = 0; i < b.nframes; i++)
		power += x[i] * x[i] / (double)b.nframes;
	slow = band_power(x, b.nframes, 2, 20);
	mid = band_power(x, b.nframes, 400, 900);
	high = band_power(x, b.nframes, 8000, 14000);
	print_message("# rms %.0f uV, power density 2-20 Hz : 400-900 Hz : 8-14 kHz = "
		      "%.0f : %.1f : 1\n", sqrt(power), slow / high, mid / high);
	assert_true(sqrt(power) > 40 && sqrt(power) < 160);
	assert_true(slow > 50 * mid && mid > 2 * high);
	free(x);
	bench_free(&b);
}

static void write_file(const int16_t *v, size_t n)
{
	FILE *f = fopen(tmp_name, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(v, sizeof(*v), n, f), n);
	fclose(f);
}

static void test_play_own_rate_is_exact(void **state)
{
	int16_t v[2 * 1000];
	char opt[128];
	struct bench b;
	size_t i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		v[2 * i] = (int16_t)(i * 37 % 4096);
		v[2 * i + 1] = (int16_t)(2000 - (int)i);
	}
	write_file(v, 2000);
	bench_new(&b);
	snprintf(opt, sizeof(opt), "5,40=play:%s,channels=2,offset=100", tmp_name);
	bench_set(&b, "source", opt);
	b.keep = RHD;
	run_source(&b, 0.1);		/* 3000 samples: three loops */
	for (i = 0; i < b.nframes; i++) {
		const uint8_t *p = bench_frame(&b, i) + 24;

		assert_int_equal(get16(p + 2 * 10), 32768 - 100 + v[2 * (i % 1000)]);
		assert_int_equal(get16(p + 2 * 17), 32768 - 100 + v[2 * (i % 1000) + 1]);
	}
	bench_free(&b);
}

static void test_play_half_rate_keeps_its_samples(void **state)
{
	int16_t v[1500];
	char opt[128];
	struct bench b;
	double mean = 0;
	size_t i;

	(void)state;
	for (i = 0; i < 1500; i++)
		v[i] = (int16_t)lrint(2055 + 500 * sin(2 * M_PI * (double)i * 1000 / 15000));
	for (i = 0; i < 1500; i++)
		mean += v[i] / 1500.0;
	write_file(v, 1500);
	bench_new(&b);
	snprintf(opt, sizeof(opt), "0=play:%s,rate=15000", tmp_name);
	bench_set(&b, "source", opt);
	b.keep = RHD;
	run_source(&b, 0.2);
	for (i = 0; i < b.nframes; i++) {
		double want = 500 * sin(2 * M_PI * (double)i * 1000 / RATE);
		int got = (int)get16(bench_frame(&b, i) + 24) - 32768;

		if (i % 2 == 0)
			assert_int_equal(got, lrint(v[i / 2 % 1500] - mean));
		assert_true(fabs(got - want) < 3);	/* also between them */
	}
	bench_free(&b);
}

static void check_tone(unsigned int rate, double hz, double tolerance)
{
	static int16_t v[100000];
	char opt[128];
	struct bench b;
	unsigned int i;

	for (i = 0; i < rate; i++)
		v[i] = (int16_t)lrint(8000 * sin(2 * M_PI * hz * i / rate));
	write_file(v, rate);
	bench_new(&b);
	snprintf(opt, sizeof(opt), "63=play:%s,rate=%u,gain=0.5", tmp_name, rate);
	bench_set(&b, "source", opt);
	b.keep = RHD;
	run_source(&b, 1.2);
	for (i = 0; i < b.nframes; i++) {
		double want = 4000 * sin(2 * M_PI * hz * i / RATE);
		int got = (int)get16(bench_frame(&b, i) + 24 + 2 * 63) - 32768;

		assert_true(fabs(got - want) < tolerance);
	}
	assert_true(bench_status(&b, "rhd.0x100.samples") == 36000);
	bench_free(&b);
}

static void test_play_resamples_any_rate(void **state)
{
	(void)state;
	check_tone(20000, 1000, 8);
	check_tone(24414, 1000, 8);
	check_tone(44100, 1000, 8);
	check_tone(96000, 1000, 8);
}

static void test_flat_and_sine(void **state)
{
	struct bench b;
	size_t i;

	(void)state;
	open_source(&b, "0-31=flat");
	bench_set(&b, "source", "32-63=sine:freq=50,amp=195");
	run_source(&b, 0.1);
	for (i = 0; i < b.nframes; i++) {
		const uint8_t *p = bench_frame(&b, i) + 24;
		double want = 1000 * sin(2 * M_PI * 50 * (double)i / RATE);

		assert_int_equal(get16(p), 32768);
		assert_true(fabs((double)get16(p + 2) - 32768 - want) < 1);
	}
	bench_free(&b);
}

static void test_cost(void **state)
{
	clock_t t0;
	struct bench b;

	(void)state;
	open_source(&b, NULL);
	b.keep = HARP;
	bench_power_hs64(&b);
	bench_write(&b, ANALOG, 0, 1);
	bench_start(&b);
	t0 = clock();
	model_produce(b.m, 10 * SECOND, SIZE_MAX);
	print_message("# 64 channels of neurons and analog inputs: %.1f %% of one core\n",
		      (double)(clock() - t0) / CLOCKS_PER_SEC * 10);
	assert_in_range(b.seen, 1300900, 1301100);
	bench_free(&b);
}

static int setup(void **state)
{
	static unsigned int n;

	(void)state;
	snprintf(tmp_name, sizeof(tmp_name), "/tmp/model-test-%d-%u", (int)getpid(), n++);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(tmp_name);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_same_seed_same_samples),
		T(test_every_run_starts_over),
		T(test_other_seed_other_samples),
		T(test_snr_8),
		T(test_snr_5_loud_lfp),
		T(test_truth_matches_detected_peaks),
		T(test_truth_clock_is_the_frame_clock),
		T(test_truth_goes_on_in_the_next_model),
		T(test_refractory_period_and_rate),
		T(test_noise_is_coloured),
		T(test_play_own_rate_is_exact),
		T(test_play_half_rate_keeps_its_samples),
		T(test_play_resamples_any_rate),
		T(test_flat_and_sine),
		T(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
