// SPDX-License-Identifier: MIT
/* unit-sources: userspace/onirec/config.c userspace/lib/headstage.c userspace/lib/rhythm.c */
/* unit-libs: -linih -lm */
/*
 * test_rec_config.c - the configuration file of onirec: every key, and one
 * mistake at a time with the line it is on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/oni.h>
#include <onidev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/onirec/config.h"

static struct config c;
static char err[600];

static int load(const char *text)
{
	char path[] = "/tmp/test_rec_conf_XXXXXX";
	int fd = mkstemp(path), ret;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	config_default(&c);
	err[0] = '\0';
	ret = config_load(&c, path, err, sizeof(err));
	unlink(path);
	return ret;
}

static void expect_mistake(const char *text, const char *words)
{
	assert_int_equal(load(text), -1);
	if (!strstr(err, words))
		fail_msg("'%s' is not in '%s'", words, err);
}

static void every_key_is_taken(void **state)
{
	(void)state;
	assert_int_equal(load("[device]\nname = oni3\nbackend = usb\nblock = 16K\nring = 128M\nlatency_us = 500\n"
			      "[record]\ndirectory = /data\nseconds = 2.5\nsize = 3G\naux = no\n"
			      "buffer = 32M\nreserve = 1G\nsync_seconds = 0.5\nfill_seconds = 3\n"
			      "[port a]\nheadstage = hs64\nvolts = 6.1\n"
			      "[port b]\nheadstage = rhs2116\n"
			      "[enable]\nrhd2164 = yes\nanalog-io = no\n"
			      "[detect]\nenabled = off\nthreshold = 5\nfixed_uv = 40\n"
			      "polarity = both\nchannel_rate = 10\nstream_rate = 20\npre = 4\n"
			      "post = 20\nprime_seconds = 2\n"
			      "[stimulation]\nblank = all\nblank_pre_us = 10\n"
			      "blank_post_us = 20.5\ntrain_us = 30\nfire_us = 40\n"
			      "[stimulation trains]\n01234567 = 40\n89abcdef01 = 50\n"), 0);
	assert_string_equal(c.device, "oni3");
	assert_int_equal(c.backend, ONIDEV_OPEN_USB);
	assert_int_equal(c.block_bytes, 16384);
	assert_int_equal(c.ring_bytes, 128u << 20);
	assert_int_equal(c.latency_us, 500);
	assert_string_equal(c.directory, "/data");
	assert_true(c.seconds == 2.5);
	assert_int_equal(c.size, 3ull << 30);
	assert_false(c.aux);
	assert_int_equal(c.buffer_bytes, 32u << 20);
	assert_int_equal(c.reserve_bytes, 1u << 30);
	assert_true(c.sync_seconds == 0.5 && c.fill_seconds == 3);
	assert_int_equal(c.port[0].headstage, ONI_HUB_HS64);
	assert_int_equal(c.port[0].decivolts, 61);
	assert_int_equal(c.port[1].headstage, ONI_HUB_RHS2116);
	assert_int_equal(c.port[1].decivolts, 0);
	assert_int_equal(c.n_dev, 2);
	assert_string_equal(c.dev[1].name, "analog-io");
	assert_true(c.dev[0].enable && !c.dev[1].enable);
	assert_false(c.detect);
	assert_true(c.k == 5 && c.fixed_uv == 40);
	assert_int_equal(c.polarity, SPIKE_BOTH);
	assert_int_equal(c.channel_rate, 10);
	assert_int_equal(c.stream_rate, 20);
	assert_int_equal(c.n_pre, 4);
	assert_int_equal(c.n_post, 20);
	assert_true(c.prime_seconds == 2);
	assert_int_equal(c.blank, REC_BLANK_ALL);
	assert_true(c.blank_pre_us == 10 && c.blank_post_us == 20.5 && c.train_us == 30 &&
		    c.fire_us == 40);
	assert_int_equal(c.n_trains, 2);
	assert_string_equal(c.trains[1].hash, "89abcdef01");
	assert_true(c.trains[0].us == 40 && c.trains[1].us == 50);
}

static void mistakes_are_named_with_their_line(void **state)
{
	(void)state;
	expect_mistake("[record]\nseconds = 1\nsecond = 2\n", "line 3: key 'second' is not known");
	expect_mistake("\n[recrod]\nseconds = 1\n", "line 3: section [recrod] is not known");
	expect_mistake("[record]\nseconds\n", "line 2: not 'key = value'");
	expect_mistake("[record]\nseconds = nan\n", "line 2: seconds must be");
	expect_mistake("[record]\nseconds = -1\n", "line 2: seconds must be");
	expect_mistake("[record]\nseconds = 1 s\n", "line 2: seconds must be");
	expect_mistake("[record]\naux = perhaps\n", "aux must be yes or no, not 'perhaps'");
	expect_mistake("[record]\nsize = 99999999999999999999\n", "size must be a size");
	expect_mistake("[record]\nsize = 18446744073709551615K\n", "size must be a size");
	expect_mistake("[record]\nsize = -5\n", "size must be a size");
	expect_mistake("[device]\nblock = 1\n", "block must be a size from 4K to 16M");
	expect_mistake("[detect]\nchannel_rate = 1.5\n", "channel_rate must be");
	expect_mistake("[device]\nbackend = pcie\n", "backend must be kernel, usb or auto");
	expect_mistake("[detect]\npolarity = up\n", "polarity must be negative, positive or both");
	expect_mistake("[stimulation]\nblank = some\n", "blank must be headstage, all or none");
	expect_mistake("[stimulation trains]\n0123456 = 1\n", "is not the beginning of a program hash");
	expect_mistake("[stimulation trains]\n0123456G = 1\n", "is not the beginning of a program hash");
	expect_mistake("[stimulation trains]\n01234567 = -1\n", "01234567 must be microseconds");
	expect_mistake("[enable]\nrhd2164 = 7\n", "rhd2164 must be yes or no");
	expect_mistake("[port a]\nheadstage = hs65\n", "headstage 'hs65' is not known");
	expect_mistake("[port a]\nheadstage = hs64\nvolts = 1e3\n", "volts must be a number");
	expect_mistake("[port b]\nvolts = 5\n", "[port b] has volts but no headstage");
	expect_mistake("[port a]\nwatts = 5\n", "key 'watts' is not known in a port section");
}

static void streams_of_rhythm_are_names(void **state)
{
	(void)state;
	assert_int_equal(load("[rhythm]\nstreams = a1 a1+ C2\n"), 0);
	assert_string_equal(c.rhythm_streams, "a1 a1+ C2");
	assert_int_equal(load("[rhythm]\nstreams = a1 a1+ a2 a2+ b1 b1+ b2 b2+ c1 c1+ c2 c2+ d1 "
			      "d1+ d2 d2+\n"), 0);
	assert_int_equal(load("[record]\nseconds = 1\n"), 0);
	assert_string_equal(c.rhythm_streams, "");
	expect_mistake("[rhythm]\nstreams = e1\n", "line 2: streams must be data lines such as");
	expect_mistake("[rhythm]\nstreams = a1 a1\n", "streams must be data lines");
	expect_mistake("[rhythm]\nstreams =\n", "streams must be data lines");
	expect_mistake("[rhythm]\nrate = 1\n", "key 'rate' is not known in [rhythm]");
}

static void a_missing_file_is_said(void **state)
{
	(void)state;
	config_default(&c);
	assert_int_equal(config_load(&c, "/nonexistent/x.conf", err, sizeof(err)), -1);
	assert_non_null(strstr(err, "/nonexistent/x.conf"));
	assert_non_null(strstr(err, "No such file"));
}

static void device_lists_are_exact(void **state)
{
	(void)state;
	assert_int_equal(load("[enable]\nbno055 = yes\n"), 0);
	assert_int_equal(config_devices(&c, "rhd2164,analog-io@0.6", err, sizeof(err)), 0);
	assert_int_equal(c.n_dev, 2);
	assert_string_equal(c.dev[1].name, "analog-io@0.6");
	assert_int_equal(config_devices(&c, "", err, sizeof(err)), -1);
	assert_int_equal(config_devices(&c, ",,", err, sizeof(err)), -1);
}

static void sizes(void **state)
{
	uint64_t v = 1;

	(void)state;
	assert_int_equal(config_size("12k", 0, UINT64_MAX, &v), 0);
	assert_int_equal(v, 12288);
	assert_int_equal(config_size("1T", 0, UINT64_MAX, &v), 0);
	assert_int_equal(v, 1ull << 40);
	assert_int_equal(config_size("16777216T", 0, UINT64_MAX, &v), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(config_size("1KB", 0, UINT64_MAX, &v), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(config_size("", 0, UINT64_MAX, &v), -1);
	assert_int_equal(v, 1ull << 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(mistakes_are_named_with_their_line),
		cmocka_unit_test(streams_of_rhythm_are_names),
		cmocka_unit_test(a_missing_file_is_said),
		cmocka_unit_test(device_lists_are_exact),
		cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
