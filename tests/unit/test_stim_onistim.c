// SPDX-License-Identifier: MIT
/* unit-sources: userspace/onistim/[a-z]*.c userspace/cli/cli.c userspace/audit/verify.c userspace/audit/chain.c userspace/lib/[!f]*.c userspace/lib/frame.c driver/oni_stim_check.c */
/* unit-sources: userspace/audit/log.c userspace/audit/record.c userspace/audit/recording.c */
/* unit-sources: userspace/lib/usb/[a-z]*.c driver/oni_cobs.c driver/oni_ft600_parse.c driver/oni_guard.c driver/oni_table.c */
/* unit-libs: -ludev -lusb-1.0 -ljansson -linih -lgmp -lcairo -lgcrypt -lm */
/* unit-cflags: -Dmain=onistim_main -Iuserspace -Iuserspace/onistim -Iuserspace/audit -I/usr/include/cairo */
/*
 * The command line of onistim, without a device: exit status and message of each kind
 * of failure, the dry run against a policy file, JSON and the picture. Each line runs in
 * a child process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "onistim.h"
#include "tests/unit/cli_bench.h"
#include "tests/unit/temp_dir.h"

#undef main

static char dir[300], utah[600], pair[600];

/* The words of @fmt, with file names. */
static void expectf(int status, const char *text, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void expectf(int status, const char *text, const char *fmt, ...)
{
	char line[2500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	expect(line, status, text);
}

/* A file in the test's folder; its path. */
static const char *file(const char *name, const char *text)
{
	static char path[400];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static void wrong_usage(void **state)
{
	(void)state;
	expect("", 2, "a command is missing");
	expect("frobnicate", 2, "unknown command 'frobnicate'");
	expect("check", 2, "needs more arguments");
	expect("log", 2, "what about the log?");
	expect("log frobnicate", 2, "what about the log?");
	expect("check a b", 2, "too many arguments");
	expect("check a --hub 0", 2, "hub '0' must be a whole number from 1 to 255");
	expect("check a --hub 256", 2, "from 1 to 255");
	expect("check a --policy p -d oni0", 2, "use one of them");
	expect("run a -n 0", 2, "count '0'");
	expect("run a -n 1.5", 2, "count '1.5'");
	expect("run a -n 2", 2, "--period=SECONDS");
	expect("run a --period 0", 2, "period '0'");
	expect("run a --period 0.0001", 2, "three decimals");
	expect("run a --ttl 3601", 2, "ttl '3601'");
	expect("run a --ttl -1", 2, "ttl '-1'");
	expect("run a --ttl 1e1", 2, "ttl '1e1'");
	expect("session more", 2, "too many arguments");
	expect("stop now", 2, "too many arguments");
	expect("status all", 2, "too many arguments");
	expect("ack it", 2, "too many arguments");
	expect("--frobnicate", 2, "unknown or ambiguous option");
	expect("-d", 2, "option '-d' needs a value");
	/* A session ends with its process. */
	expect("load a", 2, "'session'");
	expect("arm", 2, "'session'");
	expect("fire", 2, "'session'");
}

static void help_says_what_it_is_not(void **state)
{
	static const char *const commands[] = {
		"", "check", "compile", "run", "session", "stop", "status", "ack",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		expectf(0, "not a medical device", "%s --help", commands[i]);
	expect("--help", 0, "3 refused by a bound or by the interlock, 4 no device");
	expect("--version", 0, "interface version 1");
}

/* Names that no controller has: with or without one in the machine. */
static void no_device(void **state)
{
	(void)state;
	expect("-d oni99 stop", 4, "/dev/oni99-stop");
	expect("-d oni99 status", 4, "/dev/oni99-stim");
	expect("-d oni99 ack", 4, "/dev/oni99-stim");
	expect("-d oni99 session", 4, "/dev/oni99-stim");
	expect("-d /dev/oni/by-id/nothing stop", 4, "cannot find a controller");
	expect("-d nothing stop", 4, "cannot find a controller");
	expectf(4, "/dev/oni99-stim", "-d oni99 run %s", pair);
	expectf(4, "/dev/oni99-stim", "-d oni99 check %s", pair);
}

static void files_with_mistakes(void **state)
{
	(void)state;
	expect("check /nonexistent --policy p", 1, "/nonexistent: cannot read it");
	expectf(1, "/nonexistent: cannot read it", "check %s --policy /nonexistent", pair);
	expectf(1, "key 'stepp_ua' is not known", "check %s --policy %s",
		file("s.ini", "[stimulus]\nheadstage = rhs2116\nstepp_ua = 1\nwatchdog_ms = 1\n"), utah);
	expectf(1, "nothing to stimulate", "run %s",
		file("s.ini", "[stimulus]\nheadstage = rhs2116\nstep_ua = 1\nwatchdog_ms = 1\n"));
	expectf(1, "started from outside only", "run %s",
		file("s.ini", "[stimulus]\nheadstage = rhs2116\nstep_ua = 1\nwatchdog_ms = 1\nsources = gpio\n"
		     "[pulse p]\ncontacts = 3\nphases = -1 uA 33.12 us, +1 uA 33.12 us\n"));
}

static void dry_run(void **state)
{
	static const char tenfold[] =
		"[stimulus]\nheadstage = rhs2116\nstep_ua = 1\nwatchdog_ms = 100\n"
		"[pulse p]\ncontacts = 3\nphases = -100 uA 198.72 us, +100 uA 198.72 us\n";

	(void)state;
	expectf(0, "Accepted: every bound is kept.", "check %s --policy %s", pair, utah);
	expectf(0, "charge_nc                3.9744 nC               4 nC  policy       99.4 %",
		"check %s --policy %s", pair, utah);
	expectf(3, "Refused: contact 3: charge of a phase: 19.872 nC is asked for, 4 nC is allowed by the policy: "
		"15.872 nC (397 %) too much.", "check %s --policy %s", file("s.ini", tenfold), utah);
	/* All bounds are in the table, not only the first that is exceeded. */
	expectf(3, "density_uc_cm2        993.6 uC/cm2         200 uC/cm2  policy      496.8 %  REFUSED",
		"check %s --policy %s", file("s.ini", tenfold), utah);
}

static json_t *json_of(int status, const char *line)
{
	static char out[100000];
	json_error_t error;
	json_t *j;

	assert_int_equal(run(line, out, sizeof(out)), status);
	j = json_loads(out, 0, &error);
	if (!j)
		fail_msg("%s: %s\n%s", line, error.text, out);
	return j;
}

static void json(void **state)
{
	char line[1500];
	json_t *j;

	(void)state;
	snprintf(line, sizeof(line), "check %s --policy %s --json", pair, utah);
	j = json_of(0, line);
	assert_true(json_is_true(json_object_get(j, "accepted")));
	assert_int_equal(json_array_size(json_object_get(j, "bounds")), 36);
	assert_int_equal(json_integer_value(json_object_get(j, "rows")), 80);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "verdict"), "code")), "ok");
	json_decref(j);
	snprintf(line, sizeof(line), "check %s --policy %s --json",
		 file("s.ini", "[stimulus]\nheadstage = rhs2116\nstep_ua = 1\nwatchdog_ms = 200\n"
		      "[pulse p]\ncontacts = 3\nphases = -1 uA 33.12 us, +1 uA 33.12 us\n"), utah);
	j = json_of(3, line);
	assert_true(json_is_false(json_object_get(j, "accepted")));
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "verdict"), "code")),
			    "watchdog_ms");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "verdict"), "contact")), 3);
	json_decref(j);
	snprintf(line, sizeof(line), "--json compile %s", pair);
	j = json_of(0, line);
	assert_int_equal(json_array_size(json_object_get(j, "rows")), 80);
	json_decref(j);
}

static void picture(void **state)
{
	static const unsigned char signature[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
	unsigned char got[24] = { 0 };
	char path[400];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/w.png", dir);
	expectf(0, "Accepted", "check %s --policy %s --png %s", pair, utah, path);
	f = fopen(path, "rb");
	assert_non_null(f);
	assert_int_equal(fread(got, 1, sizeof(got), f), sizeof(got));
	fclose(f);
	assert_memory_equal(got, signature, sizeof(signature));
	assert_int_equal(got[18] << 8 | got[19], 1200);
	expectf(1, "cannot write the picture /nonexistent/w.png",
		"check %s --policy %s --png /nonexistent/w.png", pair, utah);
}

static int setup(void **state)
{
	const char *top = getenv("TOP");

	(void)state;
	assert_int_equal(temp_dir_new(dir, sizeof(dir), "onistim"), 0);
	snprintf(utah, sizeof(utah), "%s/userspace/policies/utah.ini", top ? top : ".");
	snprintf(pair, sizeof(pair), "%s/userspace/onistim/examples/rhs2116-pair.ini", top ? top : ".");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return temp_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_usage), cmocka_unit_test(help_says_what_it_is_not),
		cmocka_unit_test(no_device), cmocka_unit_test(files_with_mistakes), cmocka_unit_test(dry_run),
		cmocka_unit_test(json), cmocka_unit_test(picture),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
