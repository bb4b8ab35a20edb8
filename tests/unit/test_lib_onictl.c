// SPDX-License-Identifier: MIT
/* unit-sources: userspace/onictl/[a-z]*.c userspace/cli/cli.c userspace/lib/[!f]*.c userspace/lib/frame.c */
/* unit-sources: userspace/lib/usb/[a-z]*.c driver/oni_cobs.c driver/oni_ft600_parse.c driver/oni_guard.c driver/oni_table.c */
/* unit-sources: userspace/onistim/conf.c userspace/onistim/decimal.c userspace/onistim/node.c */
/* unit-sources: userspace/onistim/policy.c userspace/onistim/words.c driver/oni_stim_check.c */
/* unit-libs: -ludev -lusb-1.0 -ljansson -linih -lgmp -lm */
/* unit-cflags: -Dmain=onictl_main -Iuserspace -Iuserspace/onictl -Iuserspace/onistim */
/*
 * The command line of onictl: a wrong one ends with status 2 and a message that
 * names what is wrong, before any device is touched; a missing device with status
 * 1 and a remedy. Each line runs in a child process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "onictl.h"
#include "tests/unit/cli_bench.h"

#undef main

static void test_unknown_words(void **state)
{
	(void)state;
	expect("", 2, "a command is missing");
	expect("frobnicate", 2, "unknown command 'frobnicate'");
	expect("inf", 2, "unknown command 'inf'");
	expect("--frobnicate", 2, "unknown or ambiguous option '--frobnicate'");
	expect("-x list", 2, "unknown option '-x'");
	expect("list -x", 2, "unknown option '-x'");
	expect("-d", 2, "option '-d' needs a value");
	expect("info --device", 2, "option '--device' needs a value");
	expect("reg frobnicate 0x100 3", 2, "'reg frobnicate' is not known");
	expect("port a frobnicate", 2, "'port frobnicate' is not known");
	expect("port c on --headstage hs64", 2, "port 'c' is not known");
}

static void test_number_of_arguments(void **state)
{
	(void)state;
	expect("list more", 2, "too many arguments");
	expect("info more", 2, "too many arguments");
	expect("devices more", 2, "too many arguments");
	expect("stats more", 2, "too many arguments");
	expect("reset more", 2, "too many arguments");
	expect("stop more", 2, "too many arguments");
	expect("start more", 2, "too many arguments");
	expect("clock more", 2, "too many arguments");
	expect("reg", 2, "needs more arguments");
	expect("reg read 0x100", 2, "wrong number of arguments");
	expect("reg write 0x100 3", 2, "wrong number of arguments");
	expect("reg read 0x100 3 4", 2, "wrong number of arguments");
	expect("reg list 0x100 3", 2, "wrong number of arguments");
	expect("reg write 0x100 3 4 5", 2, "too many arguments");
	expect("enable", 2, "needs more arguments");
	expect("disable", 2, "needs more arguments");
	expect("port", 2, "needs more arguments");
	expect("port a", 2, "on, off or status");
	expect("port a on off", 2, "too many arguments");
}

static void test_register_numbers(void **state)
{
	(void)state;
	expect("reg write 0x100 3 4294967296", 2, "value '4294967296' does not fit 32 bits");
	expect("reg write 0x100 3 0x100000000", 2, "does not fit 32 bits");
	expect("reg write 0x100 3 99999999999999999999999", 2, "does not fit 32 bits");
	expect("reg write 0x100 3 -1", 2, "must not be negative");
	expect("reg write 0x100 3 1.5", 2, "value '1.5' is not a number");
	expect("reg write 0x100 3 nan", 2, "value 'nan' is not a number");
	expect("reg write 0x100 3 12x", 2, "is not a number");
	expect("reg write 0x100 3 0x", 2, "is not a number");
	expect("reg write 0x100 3 +5", 2, "is not a number");
	expect("reg write 0x100 4294967296 1", 2, "register '4294967296' does not fit 32 bits");
	expect("reg read 0x100 3z", 2, "register '3z' is not a number");
}

static void test_voltages(void **state)
{
	(void)state;
	expect("port a on", 2, "needs --headstage");
	expect("port a on --volts 6.0", 2, "needs --headstage");
	expect("port a on --headstage hs65", 2, "headstage 'hs65' is not known");
	expect("port a on --headstage hs64 --volts -6.0", 2, "voltage '-6.0' must not be negative");
	expect("port a on --headstage hs64 --volts=-6.0", 2, "must not be negative");
	expect("port a on --headstage hs64 --volts nan", 2, "voltage 'nan' is not a voltage");
	expect("port a on --headstage hs64 --volts inf", 2, "is not a voltage");
	expect("port a on --headstage hs64 --volts 0x6", 2, "is not a voltage");
	expect("port a on --headstage hs64 --volts 6e0", 2, "is not a voltage");
	expect("port a on --headstage hs64 --volts 6,0", 2, "is not a voltage");
	expect("port a on --headstage hs64 --volts 6.", 2, "is not a voltage");
	expect("port a on --headstage hs64 --volts .6", 2, "is not a voltage");
	expect("port a on --headstage hs64 --volts 6.05", 2, "too many decimals");
	expect("port a on --headstage hs64 --volts 600", 2, "more than any port can supply");
	expect("port a on --headstage hs64 --volts 0", 2, "use 'off'");
	expect("port a on --headstage hs64 --volts 0.0", 2, "use 'off'");
	expect("port a on --headstage hs64 --timeout 0", 2, "must be 1 to 5000");
	expect("port a on --headstage hs64 --timeout 5001", 2, "must be 1 to 5000");
	expect("port a off --volts 6.0", 2, "only go with 'on'");
	expect("port a status --headstage hs64", 2, "only go with 'on'");
}

static void test_times_and_sizes(void **state)
{
	(void)state;
	expect("start -t 0", 2, "must be more than zero");
	expect("start -t -1", 2, "time '-1' must not be negative");
	expect("start -t nan", 2, "time 'nan' is not a time");
	expect("start -t inf", 2, "is not a time");
	expect("start -t 1e99", 2, "too long");
	expect("start -t 10x", 2, "is not a time");
	expect("start -t 0x10", 2, "is not a time");
	expect("start --block 0", 2, "must be more than zero");
	expect("start --block 4G", 2, "is too large");
	expect("start --ring 99999999999999999999", 2, "is too large");
	expect("start --ring 99999999999G", 2, "is too large");
	expect("start --ring -1", 2, "must not be negative");
	expect("start --ring 64Q", 2, "is not a size");
	expect("watch -n 0", 2, "must be more than zero");
	expect("watch -n -1", 2, "must not be negative");
	expect("watch -n many", 2, "is not a number");
	expect("clock -t", 2, "option '-t' needs a value");
}

static void test_rhythm(void **state)
{
	(void)state;
	expect("rhythm frobnicate", 2, "'rhythm frobnicate' is not known");
	expect("rhythm status more", 2, "too many arguments");
	expect("rhythm scan more", 2, "takes no arguments");
	expect("rhythm streams e1", 2, "are no streams");
	expect("rhythm streams a1 a1", 2, "are no streams");
	expect("rhythm streams none a1", 2, "are no streams");
	expect("rhythm rate 24000", 2, "no rate '24000'");
	expect("rhythm rate fast", 2, "rate 'fast' is no frequency");
	expect("rhythm rate nan", 2, "rate 'nan' is no frequency");
	expect("rhythm rate -1", 2, "must not be negative");
	expect("rhythm rate 20000 30000", 2, "takes one rate");
	expect("rhythm bandwidth", 2, "takes two cutoffs");
	expect("rhythm bandwidth 300", 2, "takes two cutoffs");
	expect("rhythm bandwidth 7500 300", 2, "must be below");
	expect("rhythm bandwidth 0 7500", 2, "cutoff '0' is no frequency");
	expect("rhythm bandwidth 1 7500 --dsp x", 2, "cutoff 'x' is no frequency");
	expect("rhythm scan --dsp 1", 2, "only goes with 'bandwidth'");
	expect("rhythm settle", 2, "takes on or off");
	expect("rhythm settle maybe", 2, "takes on or off");
	expect("-d /dev/null rhythm", 1, "this is not an ONI controller");
	expect("-d /dev/null rhythm streams a1 a1+ d2", 1, "this is not an ONI controller");
	expect("-d /dev/null rhythm streams none", 1, "this is not an ONI controller");
	expect("-d /dev/null rhythm rate 20000", 1, "this is not an ONI controller");
	expect("-d /dev/null rhythm scan", 1, "this is not an ONI controller");
	expect("-d /dev/null rhythm bandwidth 1 7500 --dsp 1", 1, "this is not an ONI controller");
	expect("-d /dev/null rhythm settle on", 1, "this is not an ONI controller");
}

static void test_numbers(void **state)
{
	const char *why;
	uint32_t v;
	uint64_t b;
	double s;

	(void)state;
	assert_int_equal(number_decivolts("5.1", &v, &why), 0);
	assert_int_equal(v, 51);
	assert_int_equal(number_decivolts("6", &v, &why), 0);
	assert_int_equal(v, 60);
	assert_int_equal(number_decivolts("6.0V", &v, &why), 0);
	assert_int_equal(v, 60);
	assert_int_equal(number_decivolts("0.1", &v, &why), 0);
	assert_int_equal(v, 1);
	assert_int_equal(number_u32("0xffffffff", &v, &why), 0);
	assert_true(v == UINT32_MAX);
	assert_int_equal(number_u32("010", &v, &why), 0);
	assert_int_equal(v, 10);
	assert_int_equal(number_seconds("1.5m", &s, &why), 0);
	assert_true(s == 90);
	assert_int_equal(number_seconds("2h", &s, &why), 0);
	assert_true(s == 7200);
	assert_int_equal(number_bytes("64K", &b, &why), 0);
	assert_int_equal(b, 65536);
	assert_int_equal(number_bytes("1g", &b, &why), 0);
	assert_int_equal(b, 1 << 30);
}

static void test_help_everywhere(void **state)
{
	static const char *const names[] = {
		"list", "info", "devices", "stats", "reg", "enable", "disable", "port", "reset",
		"start", "stop", "watch", "clock", "rhythm",
	};
	char line[64];
	size_t i;

	(void)state;
	expect("--help", 0, "research use only");
	expect("-h", 0, "Exit status:");
	expect("--version", 0, "interface version 1");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(line, sizeof(line), "%s --help", names[i]);
		expect(line, 0, "Usage: onictl [-d DEVICE] [--backend=BACKEND] [--json]");
		expect(line, 0, "research use only");
		expect("--help", 0, names[i]);
	}
}

/* The help of "port" is text; the defaults in it are those of the library. */
static void test_help_tells_the_defaults(void **state)
{
	const struct onidev_headstage *h;
	char row[200];
	size_t i;

	(void)state;
	for (i = 0; (h = onidev_headstage_at(i)); i++) {
		char needs[64];

		snprintf(needs, sizeof(needs), "%s", h->supply);
		if (strstr(needs, " at the headstage"))
			*strstr(needs, " at the headstage") = '\0';
		snprintf(row, sizeof(row), "%-10s %-29s %u.%u V    %s", h->name, h->title,
			 h->default_decivolts / 10, h->default_decivolts % 10, needs);
		expect("port --help", 0, row);
	}
}

static void test_missing_devices(void **state)
{
	(void)state;
	expect("-d /dev/does-not-exist info", 1, "'onictl list' shows what is there (ENOENT)");
	expect("-d does-not-exist info", 1, "(ENOENT)");
	expect("-d /dev/null info", 1, "this is not an ONI controller");
	expect("-d /etc/passwd info", 1, "this is not an ONI controller");
	expect("info -d /dev/null", 1, "this is not an ONI controller");
	expect("-d /dev/null reset", 1, "this is not an ONI controller");
	expect("-d /dev/null port a on --headstage hs64", 1, "this is not an ONI controller");
	expect("-d /dev/null watch rhd2164", 1, "this is not an ONI controller");
}

/* No board is on the machine that runs this, or nobody may touch it. */
static void test_backends(void **state)
{
	(void)state;
	expect("--backend", 2, "option '--backend' needs a value");
	expect("--backend pcie info", 2, "--backend wants kernel, usb or auto, not 'pcie'");
	expect("info --backend= list", 2, "--backend wants kernel, usb or auto, not ''");
	expect("list now", 2, "too many arguments");
	expect("--backend kernel -d usb:no-such-board info", 1, "(ENOENT)");
	expect("--backend usb -d usb:no-such-board info", 1, "cannot open the controller usb:no");
	expect("--backend auto -d usb:no-such-board reset", 1, "cannot open the controller usb:no");
	expect("-d /dev/bus/usb/999/999 info", 1, "cannot open the controller /dev/bus");
	expect("--backend usb -d /dev/null info", 1, "cannot open the controller /dev/null");
}

/* Bounds of stimulation: a file with a mistake never gets as far as a device. */
static void test_policy(void **state)
{
	char line[600];
	const char *top = getenv("TOP");

	(void)state;
	expect("policy", 2, "needs more arguments");
	expect("policy frobnicate", 2, "'policy frobnicate' is not known");
	expect("policy load", 2, "'policy load' needs a file");
	expect("policy show more", 2, "too many arguments");
	expect("policy load /nonexistent", 1, "cannot read it: No such file or directory; nothing was loaded");
	expect("policy check /nonexistent", 1, "cannot read it");
	expect("-d oni99 policy show", 1, "/dev/oni99-stim");
	expect("policy --help", 0, "not a medical device");
	snprintf(line, sizeof(line), "policy check %s/userspace/policies/utah.ini", top ? top : ".");
	expect(line, 0, "class tip: contacts 0-31");
	expect(line, 0, "shannon_k               k = -0.096  policy");
	snprintf(line, sizeof(line), "-d oni99 policy load %s/userspace/policies/utah.ini", top ? top : ".");
	expect(line, 1, "/dev/oni99-stim");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backends),
		cmocka_unit_test(test_unknown_words),
		cmocka_unit_test(test_number_of_arguments),
		cmocka_unit_test(test_register_numbers),
		cmocka_unit_test(test_voltages),
		cmocka_unit_test(test_times_and_sizes),
		cmocka_unit_test(test_rhythm),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_help_everywhere),
		cmocka_unit_test(test_help_tells_the_defaults),
		cmocka_unit_test(test_missing_devices),
		cmocka_unit_test(test_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
