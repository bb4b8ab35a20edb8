// SPDX-License-Identifier: MIT
/* unit-sources: userspace/onirec/[!ms]*.c userspace/onirec/spike.c userspace/onirec/summary.c userspace/audit/published.c */
/* unit-sources: userspace/audit/[cl]*.c userspace/audit/publish.c userspace/audit/record*.c userspace/audit/verify.c */
/* unit-sources: tests/sim/model/[a-z]*.c userspace/lib/[!f]*.c userspace/lib/frame.c */
/* unit-sources: userspace/lib/usb/[a-z]*.c driver/oni_cobs.c driver/oni_ft600_parse.c driver/oni_guard.c driver/oni_table.c */
/* unit-libs: -lgcrypt -ljansson -linih -ludev -lusb-1.0 -lpthread -lm */
/*
 * test_rec_audit.c - recordings name the log of stimulation that was in force, and a log from
 * which something was cut off, or another one, cannot pass for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/unit/audit_bench.h"
#include "tests/unit/rec_card.h"
#include "userspace/audit/publish.h"

#define BUS	"0000:01:00.0"

static char session[100], published_path[100], onirec_dir[240];
static struct audit_log log_;
static struct publisher publisher;
static uint64_t event_seq;	/* of the last event that the kernel has told the recorder */
static bool event_told;

static int setup(void **state)
{
	if (bench_setup(state))
		return -1;
	snprintf(session, sizeof(session), "%s/s", bench_dir);
	snprintf(published_path, sizeof(published_path), "%s/head", bench_dir);
	snprintf(onirec_dir, sizeof(onirec_dir), "%s/Record Node 100/experiment1/recording1/onirec",
		 session);
	publisher = (struct publisher){ .path = published_path, .log = bench_log, .bus = BUS, .fd = -1 };
	event_seq = 0;
	event_told = false;
	return 0;
}

static int teardown(void **state)
{
	publish_end(&publisher);
	return bench_teardown(state);
}

/* @n records more, on the disk, and told. */
static void keep(unsigned int n, const struct chain_key *key)
{
	if (!log_.records)
		bench_open(&log_, key);
	bench_put(&log_, n);
	assert_int_equal(publish_head(&publisher, &log_, log_.records), 0);
}

static void keep_no_more(void)
{
	publish_end(&publisher);
	audit_log_close(&log_);
	memset(&log_, 0, sizeof(log_));
}

/* --- what is told --------------------------------------------------------------------- */

static void expect_state(enum published_state state, uint64_t record)
{
	struct published p;

	memset(&p, 0xa5, sizeof(p));
	published_read(published_path, BUS, &p);
	assert_int_equal(p.state, state);
	assert_int_equal(p.record, record);
	assert_int_equal(!p.why[0], state == PUBLISHED_KEPT);
}

static void everybody_is_told_the_newest_record(void **state)
{
	struct published p;
	char hex[CHAIN_HEX + 1];
	struct stat st;

	(void)state;
	umask(027);
	expect_state(PUBLISHED_NONE, 0);
	for (unsigned int i = 1; i < 20; i++) {
		keep(1, NULL);
		published_read(published_path, BUS, &p);
		assert_int_equal(p.state, PUBLISHED_KEPT);
		assert_int_equal(p.record, i);
		assert_int_equal(p.seq, i);
		assert_string_equal(p.log, bench_log);
		chain_hex(log_.hash, hex);
		assert_string_equal(p.hash, hex);
		assert_false(p.keyed);
	}
	assert_int_equal(stat(published_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	/* what waits for the disk is not told */
	assert_int_equal(audit_log_put(&log_, "fire", ",\"seq\":99"), 0);
	assert_int_equal(publish_head(&publisher, &log_, 19), 0);
	expect_state(PUBLISHED_KEPT, 19);
	keep_no_more();
	expect_state(PUBLISHED_NONE, 0);
	umask(022);
}

/* Its lock goes with it. */
static void a_writer_that_was_killed_keeps_no_log(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		keep(3, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_state(PUBLISHED_LEFT, 3);
}

/* While it is replaced as fast as can be it is whole, and somebody keeps the log. */
static void a_reader_never_sees_half_a_head(void **state)
{
	uint64_t last = 0;
	struct published p;
	pid_t pid;

	(void)state;
	keep(1, NULL);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned int i = 0; i < 3000; i++) {
			log_.head.records++;
			if (publish_head(&publisher, &log_, 0))
				_exit(1);
		}
		/* it is the parent that has the lock of the first one */
		pause();
	}
	while (last < 3001) {
		published_read(published_path, BUS, &p);
		assert_int_equal(p.state, PUBLISHED_KEPT);
		assert_true(p.record >= last);
		last = p.record;
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	keep_no_more();
}

static void what_is_no_head_is_said(void **state)
{
	static const char good[] = "{\"format\":\"oni audit published 1\",\"bus\":\"" BUS "\",\"log\":\"/x\","
		"\"record\":7,\"hash\":\"%s\",\"keyed\":false,\"seq\":1,\"real_ns\":2}";
	struct published p;
	char text[400], *q;
	int n = snprintf(text, sizeof(text), good,
			 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");

	(void)state;
	bench_write(published_path, text, (size_t)n);
	expect_state(PUBLISHED_LEFT, 7);
	published_read(published_path, "0000:02:00.0", &p);
	assert_int_equal(p.state, PUBLISHED_NONE);
	assert_non_null(strstr(p.why, "of another controller, " BUS));
	for (int len = 0; len < n; len++) {
		bench_write(published_path, text, (size_t)len);
		expect_state(PUBLISHED_NONE, 0);
	}
	for (const char *c = "x/G"; *c; c++) {
		q = strstr(text, "0123");
		*q = *c;
		bench_write(published_path, text, (size_t)n);
		expect_state(PUBLISHED_NONE, 0);
		*q = '0';
	}
	assert_int_equal(unlink(published_path), 0);
	assert_int_equal(mkdir(published_path, 0700), 0);
	expect_state(PUBLISHED_NONE, 0);
	assert_int_equal(rmdir(published_path), 0);
}

static void one_that_cannot_be_written_is_not_there(void **state)
{
	char temp[120];

	(void)state;
	keep(2, NULL);
	snprintf(temp, sizeof(temp), "%s.new", published_path);
	assert_int_equal(mkdir(temp, 0700), 0);
	assert_int_equal(publish_head(&publisher, &log_, 2), -1);
	assert_int_equal(errno, EEXIST);
	/* an old head must not be taken for the newest */
	expect_state(PUBLISHED_NONE, 0);
	assert_int_equal(rmdir(temp), 0);
	assert_int_equal(publish_head(&publisher, &log_, 2), 0);
	expect_state(PUBLISHED_KEPT, 2);
	keep_no_more();
}

/* --- recordings ------------------------------------------------------------------------- */

/* In the middle of the recording something happens to the stimulators. */
static void step(struct card *c)
{
	if (c->clock / CARD_STEP == 50 && log_.records)
		keep(4, log_.key);
}

static int stim_event(struct source *s, struct oni_stim_event *e)
{
	(void)s;
	if (event_told || !event_seq)
		return 0;
	*e = (struct oni_stim_event){ .size = sizeof(*e), .what = ONI_STIM_EV_DISARM, .seq = event_seq };
	event_told = true;
	return 1;
}

/* What is in meta.json at its end. */
static json_t *record(const char *head)
{
	struct rec_config cfg;
	struct card c;
	struct rec *r;
	char err[800];
	json_t *j;

	card_config(&cfg, session);
	cfg.sync_seconds = 0;
	cfg.detect = false;
	cfg.audit_head = head;
	cfg.audit_bus = BUS;
	card_new(&c);
	card_set(&c, "source", "0-63=ramp");
	card_start(&c, 1);
	c.step = step;
	c.ops.stim_event = stim_event;
	r = rec_open(&cfg, &c.src, c.dev, c.n_dev, err, sizeof(err));
	if (!r)
		fail_msg("%s", err);
	assert_int_equal(rec_run(r), 0);
	assert_int_equal(rec_finish(r, err, sizeof(err)), REC_STOPPED);
	j = rec_summary(r);
	rec_free(r);
	card_free(&c);
	return j;
}

static const json_t *audit(const json_t *summary, const char *when)
{
	const json_t *j = json_object_get(json_object_get(summary, "audit"), when);

	assert_true(json_is_object(j));
	return j;
}

static void expect_head(const json_t *j, const char *state, unsigned int record)
{
	assert_string_equal(json_string_value(json_object_get(j, "state")), state);
	assert_int_equal(json_integer_value(json_object_get(j, "record")), record);
}

static void expect_output(const char *text)
{
	struct bench_file f = bench_output();

	if (!strstr(f.data, text))
		fail_msg("no '%s' in: %s", text, f.data);
	free(f.data);
}

static void a_recording_names_the_log_that_was_kept(void **state)
{
	const json_t *end;
	char path[300], hex[CHAIN_HEX + 1];
	struct bench_file f;
	json_t *s;

	(void)state;
	keep(3, NULL);
	s = record(published_path);
	expect_head(audit(s, "start"), "kept", 3);
	end = audit(s, "end");
	expect_head(end, "kept", 7);
	chain_hex(log_.hash, hex);
	assert_string_equal(json_string_value(json_object_get(end, "hash")), hex);
	assert_string_equal(json_string_value(json_object_get(end, "log")), bench_log);
	json_decref(s);
	snprintf(path, sizeof(path), "%s/audit.jsonl", onirec_dir);
	f = bench_read(path);
	assert_ptr_equal(strstr(f.data, "{\"at\":\"start\","), f.data);
	assert_non_null(strstr(f.data, "\n{\"at\":\"change\","));
	assert_non_null(strstr(f.data, "\n{\"at\":\"end\","));
	free(f.data);
	assert_int_equal(bench_verify_recording(NULL, NULL, session, false), 0);
	expect_output("3 times it names one of the records 3 to 7");
	/* and it goes on */
	keep(5, NULL);
	keep_no_more();
	assert_int_equal(bench_verify_recording(NULL, NULL, session, true), 0);
	expect_output("\"in_log\": true");
}

/*
 * Of each length, with a head that was made for it: only the recording knows better.
 *
 * verifies: R25
 */
static void a_log_that_was_cut_off_is_not_its_log(void **state)
{
	struct bench_file whole;
	char *end;

	(void)state;
	keep(3, NULL);
	json_decref(record(published_path));
	keep_no_more();
	whole = bench_read(bench_log);
	for (unsigned int left = 1; left < 7; left++) {
		struct chain_head h = { .turn = 1, .records = left, .state = CHAIN_CLOSED };
		struct chain_scan scan = { .mark = 0 };
		char slots[CHAIN_HEAD];
		int fd;

		end = whole.data;
		for (unsigned int i = 0; i < left; i++)
			end = strchr(end, '\n') + 1;
		bench_write(bench_log, whole.data, (size_t)(end - whole.data));
		fd = open(bench_log, O_RDONLY);
		assert_int_equal(chain_scan(fd, NULL, &scan), 0);
		close(fd);
		h.bytes = scan.bytes;
		memcpy(h.hash, scan.hash, CHAIN_HASH);
		chain_head_format(NULL, &h, slots + CHAIN_SLOT);
		h.turn = 2;
		chain_head_format(NULL, &h, slots);
		bench_write(bench_head, slots, CHAIN_HEAD);
		assert_int_equal(bench_verify(NULL, NULL), 0);
		assert_int_equal(bench_verify_recording(NULL, NULL, session, false), 3);
		expect_output("NOT THE LOG of this recording");
		expect_output(left < 3 ? "record 3 (start" : "record 7 (");
		expect_output("its end was cut off");
	}
	/* without a head that fits it is damaged, too, and that comes first */
	assert_int_equal(unlink(bench_head), 0);
	assert_int_equal(bench_verify_recording(NULL, NULL, session, false), 1);
	expect_output("DAMAGED");
	expect_output("NOT THE LOG");
	free(whole.data);
}

static void another_log_is_not_its_log(void **state)
{
	static const struct chain_key key = { .bytes = "a key of sixteen", .len = 16 };
	static const struct chain_key other = { .bytes = "another, sixteen", .len = 16 };
	char path[100];

	(void)state;
	snprintf(path, sizeof(path), "%s/key", bench_dir);
	bench_write(path, key.bytes, key.len);
	keep(3, &key);
	json_decref(record(published_path));
	keep_no_more();
	assert_int_equal(bench_verify_recording(path, NULL, session, false), 0);
	assert_int_equal(bench_verify_recording(NULL, NULL, session, false), 2);
	bench_make(20, NULL);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	assert_int_equal(bench_verify_recording(NULL, NULL, session, false), 3);
	expect_output("another record of this number");
	bench_make(20, &other);
	bench_write(path, other.bytes, other.len);
	assert_int_equal(bench_verify_recording(path, NULL, session, true), 3);
	expect_output("\"in_log\": false");
	expect_output("\"at\": \"start\"");
}

static void without_an_audit_service_a_recording_says_so(void **state)
{
	json_t *s = record(published_path);

	(void)state;
	expect_head(audit(s, "start"), "none", 0);
	assert_string_equal(json_string_value(json_object_get(audit(s, "end"), "why")),
			    "no audit service keeps a log of this controller");
	json_decref(s);
	bench_make(3, NULL);
	/* nothing was shown */
	assert_int_equal(bench_verify_recording(NULL, NULL, session, false), 2);
	assert_int_equal(bench_verify_recording(NULL, NULL, "/nonexistent", false), 2);
	assert_int_equal(bench_verify_recording(NULL, NULL, bench_log, false), 2);
}

static void a_log_that_ends_during_the_recording_is_said(void **state)
{
	json_t *s;

	(void)state;
	keep(3, NULL);
	close(publisher.fd);
	publisher.fd = -1;
	s = record(published_path);
	expect_head(audit(s, "start"), "ended", 3);
	json_decref(s);
	audit_log_close(&log_);
	memset(&log_, 0, sizeof(log_));
	assert_int_equal(bench_verify_recording(NULL, NULL, session, false), 0);
}

/* The recorder waits for the log; what does not come is said. */
static void the_end_has_the_events_that_were_seen(void **state)
{
	json_t *s;

	(void)state;
	keep(3, NULL);
	event_seq = 7;
	s = record(published_path);
	assert_true(json_is_true(json_object_get(audit(s, "end"), "has_all_events")));
	json_decref(s);
	assert_int_equal(temp_dir_remove(session), 0);
	event_seq = 1000000;
	event_told = false;
	s = record(published_path);
	assert_true(json_is_false(json_object_get(audit(s, "end"), "has_all_events")));
	json_decref(s);
	keep_no_more();
}

/* Lines that are none are not passed over, except a last one without an end. */
static void a_changed_recording_is_not_looked_at(void **state)
{
	struct bench_file f;
	char path[300];

	(void)state;
	keep(3, NULL);
	json_decref(record(published_path));
	keep_no_more();
	snprintf(path, sizeof(path), "%s/audit.jsonl", onirec_dir);
	f = bench_read(path);
	bench_write(path, f.data, f.len - 5);
	assert_int_equal(bench_verify_recording(NULL, NULL, session, false), 0);
	expect_output("1 of 1 recordings were not ended");
	f.data[3] = 'x';
	bench_write(path, f.data, f.len);
	assert_int_equal(bench_verify_recording(NULL, NULL, session, false), 2);
	bench_write(path, "{}\n", 3);
	assert_int_equal(bench_verify_recording(NULL, NULL, session, false), 2);
	bench_write(path, "", 0);
	assert_int_equal(bench_verify_recording(NULL, NULL, session, false), 2);
	free(f.data);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(everybody_is_told_the_newest_record),
		T(a_writer_that_was_killed_keeps_no_log),
		T(a_reader_never_sees_half_a_head),
		T(what_is_no_head_is_said),
		T(one_that_cannot_be_written_is_not_there),
		T(a_recording_names_the_log_that_was_kept),
		T(a_log_that_was_cut_off_is_not_its_log),
		T(another_log_is_not_its_log),
		T(without_an_audit_service_a_recording_says_so),
		T(a_log_that_ends_during_the_recording_is_said),
		T(the_end_has_the_events_that_were_seen),
		T(a_changed_recording_is_not_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
