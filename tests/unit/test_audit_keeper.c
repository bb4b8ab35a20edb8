// SPDX-License-Identifier: MIT
/* unit-sources: userspace/audit/chain.c userspace/audit/keeper.c userspace/audit/log.c */
/* unit-sources: userspace/audit/record.c userspace/audit/verify.c userspace/audit/recording.c */
/* unit-libs: -lgcrypt -ljansson */
/*
 * test_audit_keeper.c - from events to the log, with a socket in place of the kernel:
 * what is in a record, numbers that are missing, restarts, disks that are full, ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <sys/socket.h>

#include "tests/unit/audit_bench.h"
#include "userspace/audit/keeper.h"

static struct audit_log log_;
static struct keeper keeper;
static int events[2], stop[2];
static unsigned int commits;
static char lost[AUDIT_BATCH];
static size_t lost_len;

static void kept(struct keeper *k)
{
	(void)k;
	commits++;
}

static void unwritten(struct keeper *k, const char *lines, size_t len)
{
	(void)k;
	memcpy(lost, lines, len);
	lost_len = len;
}

static int setup(void **state)
{
	if (bench_setup(state) || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, events) || pipe(stop))
		return -1;
	commits = 0;
	lost_len = 0;
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < 2; i++) {
		close(events[i]);
		close(stop[i]);
	}
	return bench_teardown(state);
}

static struct oni_stim_event event(uint32_t what, uint64_t seq)
{
	struct oni_stim_event e = {
		.size = sizeof(e), .what = what, .seq = seq, .boot_ns = 1000 + seq,
		.real_ns = 1700000000000000000u + seq, .clock = 250000000 + seq, .hub = 2,
		.session = 3, .loginuid = 1000, .uid = 1001, .tgid = 4711, .comm = "onistim",
	};

	memset(e.hash, 0xab, sizeof(e.hash));
	return e;
}

static void send_event(const struct oni_stim_event *e)
{
	assert_int_equal(send(events[1], e, sizeof(*e), 0), sizeof(*e));
}

static void begin(uint64_t room)
{
	disk_new(UINT64_MAX);
	assert_int_equal(audit_log_open(&log_, bench_log, NULL, &disk), 0);
	keeper = (struct keeper){ .log = &log_, .about = ",\"bus\":\"0000:01:00.0\"", .head_ms = 1000,
				  .kept = kept, .unwritten = unwritten };
	assert_int_equal(keeper_begin(&keeper), 0);
	disk_room = room;
}

/* Everything that was sent, then the controller goes. */
static enum keeper_end run(void)
{
	enum keeper_end end;

	shutdown(events[1], SHUT_WR);
	end = keeper_run(&keeper, events[0], stop[0]);
	audit_log_close(&log_);
	close(events[0]);
	close(events[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, events), 0);
	return end;
}

/* Record @n, from 1. */
static json_t *record(unsigned int n)
{
	struct bench_file f = bench_read(bench_log);
	char *p = f.data;
	json_error_t err;
	json_t *j;

	for (unsigned int i = 1; i < n; i++) {
		p = strchr(p, '\n');
		assert_non_null(p);
		p++;
	}
	*strchrnul(p, '\n') = '\0';
	j = json_loads(p, JSON_REJECT_DUPLICATES, &err);
	if (!j)
		fail_msg("record %u: %s in %s", n, err.text, p);
	free(f.data);
	return j;
}

static void expect(unsigned int n, const char *what, const char *because)
{
	json_t *j = record(n);

	assert_int_equal(json_integer_value(json_object_get(j, "n")), n);
	assert_string_equal(json_string_value(json_object_get(j, "what")), what);
	if (because)
		assert_string_equal(json_string_value(json_object_get(j, "because")), because);
	json_decref(j);
}

static json_int_t number(const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);

	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static void every_kind_of_event_is_a_record(void **state)
{
	static const char *const names[] = {
		"probe", "policy", "lower", "claim", "load", "arm", "fire", "delivered", "disarm",
		"end", "fault", "ack", "refused", "step", "guarded", "remove", "unpower",
		"event",
	};

	(void)state;
	begin(UINT64_MAX);
	for (uint32_t i = 1; i <= 18; i++) {
		struct oni_stim_event e = event(i, i);

		send_event(&e);
	}
	assert_int_equal(run(), KEEPER_GONE);
	assert_int_equal(keeper.events, 18);
	assert_int_equal(keeper.missing, 0);
	expect(1, "begin", NULL);
	expect(2, "open", "new");
	expect(3, "controller", NULL);
	for (unsigned int i = 0; i < 18; i++)
		expect(4 + i, names[i], NULL);
	expect(22, "close", "controller gone");
	assert_int_equal(bench_verify(NULL, NULL), 0);
}

static void a_record_says_all_that_the_event_does(void **state)
{
	struct oni_stim_event e = event(ONI_STIM_EV_REFUSED, 1), p = event(ONI_STIM_EV_POLICY, 2);
	struct bench_file f;
	json_t *j, *v;
	char hex[CHAIN_HEX + 1];

	(void)state;
	begin(UINT64_MAX);
	e.because = ONI_STIM_BECAUSE_WATCHDOG;
	e.arg = 0xb94a;
	e.generation = 9;
	e.position = INT64_MAX;
	e.verdict = (struct oni_stim_verdict){ .code = ONI_STIM_CHARGE, .contact = 5, .asked = 12345,
					       .allowed = 12000, .source = ONI_STIM_BY_POLICY,
					       .where = 65537 };
	send_event(&e);
	memset(p.hash, 0xcd, sizeof(p.hash));
	send_event(&p);
	e.seq = 3;
	e.position = UINT64_MAX;	/* exact, if not for every reader of JSON */
	e.what = ONI_STIM_EV_FIRE;
	send_event(&e);
	assert_int_equal(run(), KEEPER_GONE);
	j = record(4);
	assert_int_equal(number(j, "seq"), 1);
	assert_int_equal(number(j, "boot_ns"), 1001);
	assert_int_equal(number(j, "real_ns"), 1700000000000000001);
	assert_int_equal(number(j, "session"), 3);
	assert_int_equal(number(j, "loginuid"), 1000);
	assert_int_equal(number(j, "uid"), 1001);
	assert_int_equal(number(j, "pid"), 4711);
	assert_int_equal(number(j, "hub"), 2);
	assert_int_equal(number(j, "clock"), 250000001);
	assert_int_equal(number(j, "generation"), 9);
	assert_int_equal(number(j, "position"), INT64_MAX);
	assert_int_equal(number(j, "arg"), 0xb94a);
	assert_string_equal(json_string_value(json_object_get(j, "comm")), "onistim");
	assert_string_equal(json_string_value(json_object_get(j, "because")), "watchdog");
	assert_true(json_is_null(json_object_get(j, "limits")));
	memset(hex, 0, sizeof(hex));
	for (int i = 0; i < CHAIN_HASH; i++)
		memcpy(hex + 2 * i, "ab", 2);
	assert_string_equal(json_string_value(json_object_get(j, "program")), hex);
	v = json_object_get(j, "verdict");
	assert_string_equal(json_string_value(json_object_get(v, "code")), "charge");
	assert_string_equal(json_string_value(json_object_get(v, "source")), "policy");
	assert_int_equal(number(v, "contact"), 5);
	assert_int_equal(number(v, "asked"), 12345);
	assert_int_equal(number(v, "allowed"), 12000);
	assert_int_equal(number(v, "where"), 65537);
	json_decref(j);
	/* ceilings stay known from then on */
	f = bench_read(bench_log);
	assert_non_null(strstr(f.data, "\"position\":18446744073709551615"));
	assert_non_null(strstr(f.data, "\"limits\":\"cdcdcdcd"));
	free(f.data);
}

static void names_of_programs_cannot_forge_anything(void **state)
{
	struct oni_stim_event e = event(ONI_STIM_EV_CLAIM, 1);
	json_t *j;

	(void)state;
	begin(UINT64_MAX);
	memcpy(e.comm, "\",\"seq\":9,\n\"\\\x01\xff\x7f", 16);	/* no NUL either */
	send_event(&e);
	assert_int_equal(run(), KEEPER_GONE);
	expect(4, "claim", NULL);
	j = record(4);
	assert_int_equal(number(j, "seq"), 1);
	json_decref(j);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	begin(UINT64_MAX);
	assert_int_equal(keeper.seq, 1);
	audit_log_close(&log_);
}

static void missing_events_are_recorded(void **state)
{
	static const uint64_t seqs[] = { 5, 6, 9, 10, 10, 11 };
	json_t *j;

	(void)state;
	begin(UINT64_MAX);
	for (unsigned int i = 0; i < 6; i++) {
		struct oni_stim_event e = event(ONI_STIM_EV_FIRE, seqs[i]);

		send_event(&e);
	}
	assert_int_equal(run(), KEEPER_GONE);
	expect(4, "gap", "before the log");
	j = record(4);
	assert_int_equal(number(j, "from"), 1);
	assert_int_equal(number(j, "missing"), 4);
	json_decref(j);
	expect(7, "gap", "too slow");
	j = record(7);
	assert_int_equal(number(j, "from"), 7);
	assert_int_equal(number(j, "missing"), 2);
	json_decref(j);
	expect(8, "fire", NULL);
	expect(10, "gap", "counter stepped back");
	expect(11, "fire", NULL);
	expect(12, "fire", NULL);
	assert_int_equal(keeper.missing, 6);
}

static void a_restart_knows_what_it_has_not_seen(void **state)
{
	static const uint64_t seq[] = { 1, 2, 8, 3 };
	static const char *const why[] = { NULL, NULL, "not running", "counter began anew" };
	static const unsigned int missing[] = { 0, 0, 5, 2 };

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct oni_stim_event e = event(ONI_STIM_EV_FIRE, seq[i]);
		unsigned int n;

		begin(UINT64_MAX);
		expect((unsigned int)log_.records - 1, "open", i ? "continued" : "new");
		send_event(&e);
		assert_int_equal(run(), KEEPER_GONE);
		n = (unsigned int)log_.records;
		expect(n, "close", NULL);
		expect(n - 1, "fire", NULL);
		expect(n - 2, why[i] ? "gap" : "controller", why[i]);
		assert_int_equal(keeper.missing, missing[i]);
		assert_int_equal(bench_verify(NULL, NULL), 0);
	}
}

static void a_killed_writer_is_said(void **state)
{
	(void)state;
	begin(UINT64_MAX);
	bench_cut_power(&log_);
	begin(UINT64_MAX);
	audit_log_close(&log_);
	expect(4, "open", "interrupted");
}

/* Full at every byte of the second event: the third stays with the kernel. */
static void a_full_disk_stops_the_reading(void **state)
{
	struct oni_stim_event e = event(ONI_STIM_EV_FIRE, 1);

	(void)state;
	for (uint64_t room = 0; room < 2500; room += 97) {
		struct oni_stim_event left;
		unsigned int unread = 0;

		unlink(bench_log);
		unlink(bench_head);
		lost_len = 0;
		begin(room);
		for (e.seq = 1; e.seq <= 4; e.seq++)
			send_event(&e);
		shutdown(events[1], SHUT_WR);
		assert_int_equal(keeper_run(&keeper, events[0], stop[0]), KEEPER_DISK);
		assert_int_equal(log_.error, ENOSPC);
		while (recv(events[0], &left, sizeof(left), MSG_DONTWAIT) == sizeof(left))
			unread++;
		/* what was read is in the log, or was told; the rest was not touched */
		assert_int_equal(unread, 4 - keeper.events);
		audit_log_close(&log_);
		if (lost_len)
			assert_non_null(memmem(lost, lost_len, "\"what\":\"fire\"", 13));
		close(events[0]);
		close(events[1]);
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, events), 0);
		/* with room again it goes on, and knows that something is missing */
		begin(UINT64_MAX);
		e.seq = 9;
		send_event(&e);
		assert_int_equal(run(), KEEPER_GONE);
		assert_true(keeper.missing > 0);
		assert_int_equal(bench_verify(NULL, NULL), 0);
	}
}

static void a_disk_that_cannot_sync_stops_the_reading(void **state)
{
	struct oni_stim_event e = event(ONI_STIM_EV_ARM, 1);

	(void)state;
	begin(UINT64_MAX);
	disk_sync_error = EIO;
	send_event(&e);
	e.seq = 2;
	send_event(&e);
	assert_int_equal(run(), KEEPER_DISK);
	assert_int_equal(keeper.events, 1);
	assert_true(lost_len > 0);
}

/* A stop leaves nothing unread. */
static void a_stop_takes_what_is_there(void **state)
{
	struct oni_stim_event e = event(ONI_STIM_EV_FIRE, 1);

	(void)state;
	begin(UINT64_MAX);
	for (e.seq = 1; e.seq <= 40; e.seq++)
		send_event(&e);
	assert_int_equal(write(stop[1], "x", 1), 1);
	assert_int_equal(keeper_run(&keeper, events[0], stop[0]), KEEPER_STOPPED);
	audit_log_close(&log_);
	assert_int_equal(keeper.events, 40);
	expect(44, "close", "stopped");
	assert_int_equal(bench_verify(NULL, NULL), 0);
	assert_true(commits >= 40);
}

static void several_events_come_in_one_read(void **state)
{
	struct oni_stim_event e[3];

	(void)state;
	begin(UINT64_MAX);
	for (unsigned int i = 0; i < 3; i++)
		e[i] = event(ONI_STIM_EV_FIRE, i + 1);
	assert_int_equal(send(events[1], e, sizeof(e), 0), sizeof(e));
	assert_int_equal(run(), KEEPER_GONE);
	assert_int_equal(keeper.events, 3);
	assert_int_equal(commits, 1);
}

/* A kernel with longer events: what is not understood is kept. */
static void what_a_newer_kernel_adds_is_kept(void **state)
{
	struct {
		struct oni_stim_event e;
		uint8_t more[4];
	} e = { .e = event(ONI_STIM_EV_FIRE, 1), .more = { 1, 2, 0xfe, 4 } };
	json_t *j;

	(void)state;
	begin(UINT64_MAX);
	e.e.size = offsetof(__typeof__(e), more) + 4;
	assert_int_equal(send(events[1], &e, e.e.size, 0), e.e.size);
	assert_int_equal(run(), KEEPER_GONE);
	j = record(4);
	assert_string_equal(json_string_value(json_object_get(j, "more")), "0102fe04");
	json_decref(j);
}

static void what_is_no_event_ends_it(void **state)
{
	struct oni_stim_event e;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		size_t len = sizeof(e);

		begin(UINT64_MAX);
		e = event(ONI_STIM_EV_FIRE, 1);
		if (i == 0)
			e.size = 8;
		else if (i == 1)
			e.size = sizeof(e) + RECORD_MORE + 8;
		else if (i == 2)
			e.size = sizeof(e) + 8;
		else
			len = 20;
		assert_int_equal(send(events[1], &e, len, 0), len);
		assert_int_equal(run(), KEEPER_SOURCE);
		assert_true(keeper.why[0]);
		assert_int_equal(keeper.events, 0);
		assert_int_equal(bench_verify(NULL, NULL), 0);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_kind_of_event_is_a_record),
		T(a_record_says_all_that_the_event_does),
		T(names_of_programs_cannot_forge_anything),
		T(missing_events_are_recorded),
		T(a_restart_knows_what_it_has_not_seen),
		T(a_killed_writer_is_said),
		T(a_full_disk_stops_the_reading),
		T(a_disk_that_cannot_sync_stops_the_reading),
		T(a_stop_takes_what_is_there),
		T(several_events_come_in_one_read),
		T(what_a_newer_kernel_adds_is_kept),
		T(what_is_no_event_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
