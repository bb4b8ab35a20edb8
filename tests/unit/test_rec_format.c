// SPDX-License-Identifier: MIT
/* unit-sources: userspace/onirec/oeb*.c userspace/onirec/npy.c userspace/onirec/crc32c.c */
/* unit-libs: -ljansson */
/*
 * test_rec_format.c - the writer of recordings: headers, whole frames, counts that
 * never lead the data, publication of structure.oebin, repair.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/temp_dir.h"
#include "userspace/onirec/crc32c.h"
#include "userspace/onirec/npy.h"
#include "userspace/onirec/oeb.h"
#include "userspace/onirec/oeb_file.h"

#define AMP	"continuous/ONIX-100.PortA-Rhd2164/"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	return temp_dir_new(dir, sizeof(dir), "test_rec");
}

static int teardown(void **state)
{
	(void)state;
	return temp_dir_remove(dir);
}

static const char *in_dir(const char *name)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static const char *in_rec(const char *name)
{
	static char path[500];

	snprintf(path, sizeof(path), "%s/s/Record Node 100/experiment1/recording1/%s", dir, name);
	return path;
}

static long file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -1 : (long)st.st_size;
}

static uint64_t npy_rows(const char *path)
{
	char h[NPY_HEADER], type[8];
	uint64_t rows = 12345678;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, h, sizeof(h)), sizeof(h));
	assert_int_equal(npy_parse(h, type, sizeof(type), &rows), 0);
	close(fd);
	return rows;
}

static json_t *load(const char *path)
{
	json_t *j = json_load_file(path, 0, NULL);

	assert_non_null(j);
	return j;
}

/* --- pure ------------------------------------------------------------------------ */

static void crc_is_castagnoli(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
}

static void npy_header_is_128_bytes_and_space_padded(void **state)
{
	static const char dict[] = "{'descr': '<i8', 'fortran_order': False, "
		"'shape': (1234567890123,), } ";
	char h[NPY_HEADER + 1];

	(void)state;
	h[NPY_HEADER] = 'x';
	assert_int_equal(npy_header(h, "<i8", 1234567890123), 0);
	assert_memory_equal(h, "\x93NUMPY\x01\x00\x76\x00", 10);
	assert_memory_equal(h + 10, dict, strlen(dict));
	assert_int_equal(h[NPY_HEADER - 1], '\n');
	assert_int_equal(h[NPY_HEADER - 2], ' ');
	assert_int_equal(h[NPY_HEADER], 'x');
}

static void npy_parse_takes_only_its_own(void **state)
{
	char h[NPY_HEADER], type[8];
	uint64_t rows;

	(void)state;
	npy_header(h, "|S128", 77);
	assert_int_equal(npy_parse(h, type, sizeof(type), &rows), 0);
	assert_int_equal(rows, 77);
	assert_string_equal(type, "|S128");
	h[127] = ' ';
	assert_int_equal(npy_parse(h, type, sizeof(type), &rows), -1);
}

static void npy_header_refuses_a_type_that_does_not_fit(void **state)
{
	char h[NPY_HEADER];

	(void)state;
	assert_int_equal(npy_header(h, "[('a', '<i8'), ('b', '<i8'), ('c', '<i8'), ('d', '<i8'), "
				    "('e', '<i8')]", 1), -1);
}

/* --- columns ----------------------------------------------------------------------- */

/* Rows of 24 bytes do not divide a page: every page has a row across its border. */
static void append_keeps_bytes_in_order_for_any_cut(void **state)
{
	static const size_t cuts[] = { 1, 3, 170, 171, 341, 1000, 2, 4096 };
	struct oeb_column c;
	uint8_t *want, *got;
	size_t n = 0, total = 0;
	int d = open(dir, O_RDONLY | O_DIRECTORY);

	(void)state;
	for (unsigned int i = 0; i < 8; i++)
		total += cuts[i];
	want = malloc(total * 24);
	got = malloc(total * 24);
	for (size_t i = 0; i < total * 24; i++)
		want[i] = (uint8_t)(i * 2654435761u >> 13);
	assert_int_equal(oeb_column_create(&c, d, "col", NULL, 24), 0);
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal(oeb_column_append(&c, want + n * 24, cuts[i]), 0);
		n += cuts[i];
		assert_int_equal(c.rows, n);
		assert_int_equal(file_size(in_dir("col")), n * 24);
	}
	assert_int_equal(pread(c.fd, got, total * 24, 0), total * 24);
	assert_memory_equal(got, want, total * 24);
	oeb_column_close(&c);
	close(d);
	free(want);
	free(got);
}

/* A killed writer: the file ends at a row border, whenever that was. */
static void append_ends_at_a_row_after_sigkill(void **state)
{
	static uint8_t rows[24 * 30000];
	int d = open(dir, O_RDONLY | O_DIRECTORY);

	(void)state;
	for (int trial = 0; trial < 30; trial++) {
		struct oeb_column c;
		char name[20];
		pid_t pid;
		long size;

		snprintf(name, sizeof(name), "k%d", trial);
		pid = fork();
		if (!pid) {
			memset(rows, 1, sizeof(rows));	/* resident, as a chunk is */
			if (oeb_column_create(&c, d, name, NULL, trial % 2 ? 24 : 6))
				_exit(1);
			for (int i = 0; i < 400; i++)
				oeb_column_append(&c, rows, trial % 2 ? 30000 : 120000);
			_exit(0);
		}
		usleep(2000 + (useconds_t)trial * 700);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		size = file_size(in_dir(name));
		if (size > 0)
			assert_int_equal(size % (trial % 2 ? 24 : 6), 0);
		unlink(in_dir(name));
	}
	close(d);
}

static void a_failed_append_leaves_whole_rows(void **state)
{
	struct rlimit old, small = { 10000, RLIM_INFINITY };
	int d = open(dir, O_RDONLY | O_DIRECTORY);
	struct oeb_column c;
	static uint8_t rows[24 * 1000];

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(oeb_column_create(&c, d, "full", NULL, 24), 0);
	assert_int_equal(oeb_column_append(&c, rows, 1000), -1);
	assert_int_equal(c.rows, file_size(in_dir("full")) / 24);
	assert_int_equal(file_size(in_dir("full")) % 24, 0);
	assert_true(c.rows >= 340 && c.rows < 417);
	setrlimit(RLIMIT_FSIZE, &old);
	oeb_column_close(&c);
	close(d);
}

/* --- recordings ---------------------------------------------------------------------- */

static const struct oeb_stream streams[] = {
	{ .name = "PortA-Rhd2164", .prefix = "CH", .channels = 4, .rate_hz = 30000,
	  .bit_volts = 0.195, .units = "uV" },
	{ .name = "Breakout-AnalogIO", .prefix = "AI", .channels = 3, .rate_hz = 100000,
	  .bit_volts = 0.0003, .units = "V", .type = OEB_ADC },
};

static struct oeb *open_session(const char *name)
{
	static char session[400];
	struct oeb_config cfg = {
		.session = session, .streams = streams, .n_streams = 2,
		.event_stream = "PortA-Rhd2164", .event_rate = 30000, .ttl_name = "Digital inputs",
	};
	char err[300];
	struct oeb *o;

	snprintf(session, sizeof(session), "%s/%s", dir, name);
	o = oeb_open(&cfg, err, sizeof(err));
	assert_non_null(o);
	return o;
}

static void put_rows(struct oeb *o, unsigned int s, unsigned int n, uint64_t first)
{
	int16_t data[3000];
	double times[1000];

	for (unsigned int i = 0; i < n; i++) {
		times[i] = (double)(first + i) / streams[s].rate_hz;
		for (unsigned int c = 0; c < streams[s].channels; c++)
			data[i * streams[s].channels + c] = (int16_t)((first + i) * 7 + c);
	}
	assert_int_equal(oeb_append(o, s, data, n, first, times), 0);
}

static void structure_appears_with_the_first_rows(void **state)
{
	struct oeb *o = open_session("s");
	json_t *j;
	char err[300];

	(void)state;
	assert_int_equal(oeb_message(o, "recording started", 0, 0), 0);
	assert_int_equal(oeb_commit(o), 0);
	assert_int_equal(file_size(in_rec("structure.oebin")), -1);
	put_rows(o, 0, 100, 5);
	assert_int_equal(oeb_commit(o), 0);
	j = load(in_rec("structure.oebin"));
	assert_int_equal(json_array_size(json_object_get(j, "continuous")), 1);
	assert_int_equal(json_array_size(json_object_get(j, "events")), 1);
	json_decref(j);
	put_rows(o, 1, 10, 0);
	assert_int_equal(oeb_ttl(o, 3, true, 4, 7, 0.1), 0);
	assert_int_equal(oeb_commit(o), 0);
	j = load(in_rec("structure.oebin"));
	assert_int_equal(json_array_size(json_object_get(j, "continuous")), 2);
	assert_int_equal(json_array_size(json_object_get(j, "events")), 2);
	json_decref(j);
	assert_int_equal(oeb_close(o, err, sizeof(err)), 0);
}

static void headers_count_what_was_committed_not_more(void **state)
{
	struct oeb *o = open_session("s");
	const char *numbers = AMP "sample_numbers.npy";
	char err[300];
	int64_t n[3];
	int fd;

	(void)state;
	oeb_message(o, "recording started", 0, 0);
	put_rows(o, 0, 100, 5);
	assert_int_equal(npy_rows(in_rec(numbers)), 0);
	assert_int_equal(oeb_commit(o), 0);
	assert_int_equal(npy_rows(in_rec(numbers)), 100);
	put_rows(o, 0, 50, 105);
	assert_int_equal(npy_rows(in_rec(numbers)), 100);
	assert_int_equal(file_size(in_rec(numbers)), NPY_HEADER + 150 * 8);
	assert_int_equal(oeb_close(o, err, sizeof(err)), 0);
	assert_int_equal(npy_rows(in_rec(numbers)), 150);
	fd = open(in_rec(numbers), O_RDONLY);
	assert_int_equal(pread(fd, n, sizeof(n), NPY_HEADER + 99 * 8), sizeof(n));
	assert_int_equal(n[0], 104);
	assert_int_equal(n[1], 105);
	close(fd);
}

static void a_failed_write_ends_the_recording_but_it_stays_whole(void **state)
{
	struct rlimit old, small = { 20000, RLIM_INFINITY };
	int16_t data[4 * 3000] = { 0 };
	double times[3000] = { 0 };
	struct oeb *o = open_session("s");
	char err[300] = "";
	long rows;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	oeb_message(o, "recording started", 0, 0);
	put_rows(o, 0, 100, 0);
	assert_int_equal(oeb_commit(o), 0);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(oeb_append(o, 0, data, 3000, 100, times), -1);
	assert_int_equal(oeb_append(o, 0, data, 1, 3100, times), -1);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(oeb_close(o, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "continuous.dat of PortA-Rhd2164"));
	rows = file_size(in_rec(AMP "continuous.dat")) / 8;
	assert_true(rows >= 100);
	assert_int_equal(npy_rows(in_rec(AMP "sample_numbers.npy")),
			 rows);
	assert_int_equal(npy_rows(in_rec(AMP "timestamps.npy")), rows);
	assert_int_equal(file_size(in_rec(AMP "continuous.dat")),
			 rows * 8);
}

/* --- repair ---------------------------------------------------------------------------- */

static char said[2000];

static void say(void *ctx, const char *line)
{
	(void)ctx;
	strncat(said, line, sizeof(said) - strlen(said) - 1);
	strncat(said, "\n", sizeof(said) - strlen(said) - 1);
}

static int do_recover(void)
{
	said[0] = '\0';
	return oeb_recover(dir, say, NULL);
}

static void put_spikes(struct oeb *o, unsigned int n)
{
	struct spikes_header h = { .magic = "ONISPK\r\n", .version = 1, .endian = 0x01020304,
				   .record_bytes = 40, .n_pre = 1, .n_post = 1 };

	assert_int_equal(oeb_spikes_begin(o, &h), 0);
	for (unsigned int i = 0; i < n; i++) {
		char buf[40] = "";
		struct spike_record *rec = (struct spike_record *)(void *)buf;

		rec->seq = i * 2;	/* holes are allowed */
		rec->crc32c = crc32c(0, buf, sizeof(buf));
		assert_int_equal(oeb_spikes(o, buf, sizeof(buf)), 0);
	}
}

/* A recorder that dies in a child: nothing is closed, no final commit. */
static void die_recording(unsigned int committed, unsigned int more)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct oeb *o = open_session("s");
		json_t *meta = json_pack("{s:s}", "state", "recording");

		oeb_meta(o, meta);
		oeb_message(o, "recording started", 0, 0);
		put_spikes(o, 3);
		if (committed) {
			put_rows(o, 0, committed, 0);
			oeb_commit(o);
		}
		put_rows(o, 0, more, committed);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
}

static void append_garbage(const char *path, const char *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_APPEND);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

static void recover_levels_a_torn_recording(void **state)
{
	static char spikes[500], dat[500];
	json_t *meta;

	(void)state;
	die_recording(100, 30);
	strcpy(dat, in_rec(AMP "continuous.dat"));
	strcpy(spikes, in_rec("onirec/spikes.bin"));
	append_garbage(dat, "xyz", 3);
	append_garbage(spikes, "torn record", 11);
	assert_int_equal(do_recover(), 1);
	assert_int_equal(file_size(dat), 130 * 8);
	assert_int_equal(npy_rows(in_rec(AMP "sample_numbers.npy")), 130);
	assert_int_equal(npy_rows(in_rec("events/MessageCenter/text.npy")), 1);
	assert_int_equal(file_size(spikes), SPIKES_HEADER + 3 * 40);
	meta = load(in_rec("onirec/meta.json"));
	assert_true(json_is_true(json_object_get(meta, "recovered")));
	assert_int_equal(json_integer_value(json_object_get(meta, "synced_rows_missing")), 0);
	json_decref(meta);
}

static void recover_the_second_time_changes_nothing(void **state)
{
	struct stat a, b;

	(void)state;
	die_recording(100, 30);
	assert_int_equal(do_recover(), 1);
	assert_int_equal(stat(in_rec("onirec/meta.json"), &a), 0);
	assert_int_equal(do_recover(), 0);
	assert_int_equal(stat(in_rec("onirec/meta.json"), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_non_null(strstr(said, "recovered before"));
}

static void recover_publishes_a_structure_that_was_held_back(void **state)
{
	json_t *j;

	(void)state;
	die_recording(0, 20);
	assert_int_equal(file_size(in_rec("structure.oebin")), -1);
	assert_int_equal(do_recover(), 1);
	j = load(in_rec("structure.oebin"));
	assert_int_equal(json_array_size(json_object_get(j, "continuous")), 1);
	json_decref(j);
	assert_int_equal(npy_rows(in_rec(AMP "timestamps.npy")), 20);
}

static void recover_tells_when_synced_rows_are_missing(void **state)
{
	json_t *meta;

	(void)state;
	die_recording(100, 30);
	assert_int_equal(truncate(in_rec(AMP "continuous.dat"), 90 * 8),
			 0);
	assert_int_equal(do_recover(), 1);
	meta = load(in_rec("onirec/meta.json"));
	assert_int_equal(json_integer_value(json_object_get(meta, "synced_rows_missing")), 10);
	json_decref(meta);
	assert_non_null(strstr(said, "missing"));
}

static void recover_leaves_a_recording_in_progress_alone(void **state)
{
	struct oeb *o = open_session("s");
	json_t *meta = json_pack("{s:s}", "state", "recording");
	char err[300];

	(void)state;
	oeb_meta(o, meta);
	oeb_message(o, "recording started", 0, 0);
	put_rows(o, 0, 10, 0);
	assert_int_equal(do_recover(), 0);
	assert_non_null(strstr(said, "being recorded"));
	assert_int_equal(oeb_close(o, err, sizeof(err)), 0);
	json_decref(meta);
}

static void next_begins_another_recording(void **state)
{
	struct oeb *o = open_session("s");
	char err[300];

	(void)state;
	oeb_message(o, "recording started", 0, 0);
	put_rows(o, 0, 10, 0);
	assert_int_equal(oeb_next(o), 0);
	assert_non_null(strstr(oeb_path(o), "recording2"));
	oeb_message(o, "continued", 0, 0);
	put_rows(o, 0, 20, 1000);
	assert_int_equal(oeb_close(o, err, sizeof(err)), 0);
	assert_int_equal(npy_rows(in_rec(AMP "timestamps.npy")), 10);
	assert_int_equal(npy_rows(in_dir("s/Record Node 100/experiment1/recording2/continuous/"
					 "ONIX-100.PortA-Rhd2164/timestamps.npy")), 20);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_is_castagnoli),
		cmocka_unit_test(npy_header_is_128_bytes_and_space_padded),
		cmocka_unit_test(npy_parse_takes_only_its_own),
		cmocka_unit_test(npy_header_refuses_a_type_that_does_not_fit),
		T(append_keeps_bytes_in_order_for_any_cut),
		T(append_ends_at_a_row_after_sigkill),
		T(a_failed_append_leaves_whole_rows),
		T(structure_appears_with_the_first_rows),
		T(headers_count_what_was_committed_not_more),
		T(a_failed_write_ends_the_recording_but_it_stays_whole),
		T(recover_levels_a_torn_recording),
		T(recover_the_second_time_changes_nothing),
		T(recover_publishes_a_structure_that_was_held_back),
		T(recover_tells_when_synced_rows_are_missing),
		T(recover_leaves_a_recording_in_progress_alone),
		T(next_begins_another_recording),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
