/* SPDX-License-Identifier: MIT */
/* unit-sources: userspace/onirec/block.c */
/*
 * The recorder's choice of a block size (userspace/onirec/block.c): by the rate of the
 * data, within what the transport can do; and the sentence when a given size is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "userspace/onirec/block.h"

static const struct oni_info pcie = {
	.block_align = 4, .block_max = 16 << 20, .max_read_frame = 164,
};
static const struct oni_info usb = {
	.block_align = 1024, .block_max = 32768, .max_read_frame = 1208,
};

static void test_choice_by_rate(void **state)
{
	(void)state;
	assert_int_equal(block_choose(&pcie, 0), 4096);
	assert_int_equal(block_choose(&pcie, 409600), 4096);
	assert_int_equal(block_choose(&pcie, 2.0e6), 20000);
	assert_int_equal(block_choose(&pcie, 4.8e6), 48000);
	assert_int_equal(block_choose(&pcie, 1e12), 65536);
	assert_int_equal(block_choose(&usb, 0), 4096);
	assert_int_equal(block_choose(&usb, 2.0e6), 19 * 1024);
	assert_int_equal(block_choose(&usb, 30000 * 272.0), 32768);
}

/* Whatever the rate and the frames: what is chosen is what the driver takes. */
static void test_choice_fits(void **state)
{
	static const double rates[] = { 0, 1, 1e5, 1e6, 1.23e6, 3.2e6, 1e7, 1e9 };
	struct oni_info info = usb;
	char err[200];
	uint32_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		for (info.max_read_frame = 0; info.max_read_frame <= 32768; info.max_read_frame += 97) {
			bytes = block_choose(&info, rates[i]);
			assert_int_equal(block_check(&info, bytes, err, sizeof(err)), 0);
			assert_int_equal(bytes % 1024, 0);
			assert_in_range(bytes, info.max_read_frame, 32768);
		}
	info.max_read_frame = 32769;
	assert_int_equal(block_choose(&info, 1e6), 0);
	assert_int_equal(block_check(&info, 32768, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "frames of up to 32769 bytes"));
	/* a limit that is no multiple itself */
	info.max_read_frame = 100;
	info.block_max = 10000;
	assert_int_equal(block_choose(&info, 1e9), 9 * 1024);
	/* a driver that tells no alignment: words */
	info.block_align = 0;
	assert_int_equal(block_choose(&info, 1e9), 10000);
}

static void test_given_size(void **state)
{
	static const uint32_t bad[] = { 0, 1, 1024, 4096 + 4, 5000, 33792, 65536, UINT32_MAX };
	char err[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(err, 'x', sizeof(err));
		assert_int_equal(block_check(&usb, bad[i], err, sizeof(err)), -1);
		assert_non_null(strstr(err, "a multiple of 1024 from 2048 to 32768"));
	}
	assert_int_equal(block_check(&usb, 2048, err, sizeof(err)), 0);
	assert_int_equal(block_check(&usb, 32768, err, sizeof(err)), 0);
	assert_int_equal(block_check(&pcie, 164, err, sizeof(err)), 0);
	assert_int_equal(block_check(&pcie, 160, err, sizeof(err)), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice_by_rate),
		cmocka_unit_test(test_choice_fits),
		cmocka_unit_test(test_given_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
