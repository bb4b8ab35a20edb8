/* SPDX-License-Identifier: MIT */
/* unit-sources: driver/oni_guard.c */
/*
 * The kernel's allow list of register writes (driver/oni_guard.c): what could
 * make a stimulator put out current, change a supply or program a memory is
 * refused, what recording needs is let through, what is unknown is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "driver/oni_guard.h"
#include "linux/oni.h"

static void stimulator_registers_are_refused(void **state)
{
	static const uint32_t rhs_enable = 0x8000;
	uint32_t reg;

	(void)state;
	for (reg = 0; reg < 0x200; reg++) {
		assert_false(oni_guard_reg_writable(ONI_ID_HS64_ESTIM, reg));
		assert_false(oni_guard_reg_writable(ONI_ID_HS64_OSTIM, reg));
		if (reg)	/* 0 is its event stream */
			assert_false(oni_guard_reg_writable(ONI_ID_RHS2116_TRIGGER, reg));
		if (reg < 4 || reg > 7)	/* 4-7 are amplifier bandwidth */
			assert_false(oni_guard_reg_writable(ONI_ID_RHS2116, reg));
	}
	for (reg = rhs_enable + 1; reg < rhs_enable + 0x100; reg++)
		assert_false(oni_guard_reg_writable(ONI_ID_RHS2116, reg));
}

static void supplies_and_triggers_of_a_port_are_refused(void **state)
{
	uint32_t reg;

	(void)state;
	for (reg = 1; reg <= 6; reg++)
		assert_false(oni_guard_reg_writable(ONI_ID_PORT, reg));
}

static void impedance_test_current_is_refused(void **state)
{
	(void)state;
	assert_false(oni_guard_reg_writable(ONI_ID_RHD2164, 5));
	assert_false(oni_guard_reg_writable(ONI_ID_RHD2164, 6));
	assert_false(oni_guard_reg_writable(ONI_ID_RHD2164, 7));
}

static void memories_behind_tunnels_are_refused(void **state)
{
	/* EEPROM at I2C address 0x50, as a raw register of a DS90UB9x. */
	static const uint32_t eeprom = 0x50 | 0x10 << 7;

	(void)state;
	assert_false(oni_guard_reg_writable(ONI_ID_DS90UB9X, eeprom));
	assert_false(oni_guard_reg_writable(ONI_ID_NEUROPIX1, eeprom));
	assert_false(oni_guard_reg_writable(ONI_ID_NRIC1384, eeprom));
	/* Hub information devices hold the firmware programmer; their id is 0. */
	assert_false(oni_guard_reg_writable(ONI_ID_NULL, 0x10));
	assert_false(oni_guard_reg_writable(ONI_ID_NULL, 0x20));
}

static void unknown_devices_are_read_only(void **state)
{
	uint32_t id, reg;

	(void)state;
	for (id = 36; id < 2000; id++)
		for (reg = 0; reg < 32; reg++)
			assert_false(oni_guard_reg_writable(id, reg));
	assert_false(oni_guard_reg_writable(0xffffffff, 0));
	assert_false(oni_guard_frame_writable(36));
	assert_false(oni_guard_frame_writable(ONI_ID_RHS2116));
}

static void recording_can_be_configured(void **state)
{
	(void)state;
	assert_true(oni_guard_reg_writable(ONI_ID_RHD2164, 0x8000));
	assert_true(oni_guard_reg_writable(ONI_ID_RHD2164, 4));
	assert_true(oni_guard_reg_writable(ONI_ID_RHS2116, 0x8000));
	assert_true(oni_guard_reg_writable(ONI_ID_PERSISTENT_HB, 1));
	assert_true(oni_guard_reg_writable(ONI_ID_BREAKOUT_ANALOG, 13));
	assert_true(oni_guard_reg_writable(ONI_ID_LOAD_TEST, 5));
	assert_true(oni_guard_frame_writable(ONI_ID_BREAKOUT_DIG));
}

static void windows_are_sane(void **state)
{
	/* Never above these, whatever the tether (tenths of a volt). */
	static const struct {
		uint32_t hub, ceiling;
	} know[] = {
		{ ONI_HUB_HS64, 80 }, { ONI_HUB_RHS2116, 63 }, { ONI_HUB_NP1F, 80 },
		{ ONI_HUB_NP1E, 65 }, { ONI_HUB_NP2E, 65 }, { ONI_HUB_NRIC1384, 61 },
	};
	const struct oni_port_window *w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(know) / sizeof(know[0]); i++) {
		w = oni_guard_window(know[i].hub);
		assert_non_null(w);
		assert_true(w->min_decivolts >= 30);
		assert_true(w->min_decivolts < w->max_decivolts);
		assert_true(w->max_decivolts <= know[i].ceiling);
	}
	assert_null(oni_guard_window(0));
	assert_null(oni_guard_window(ONI_HUB_FMC_HOST));
	assert_null(oni_guard_window(0xffffffff));
}

/* Every stimulator has a safe state, and its off switch is written first. */
static void safe_state_begins_with_the_off_switch(void **state)
{
	static const struct {
		uint32_t id, first_reg;
	} off[] = {
		{ ONI_ID_HS64_ESTIM, 14 }, { ONI_ID_HS64_OSTIM, 10 },
		{ ONI_ID_RHS2116, 0x8002 }, { ONI_ID_RHS2116_TRIGGER, 3 },
	};
	const struct oni_safe_write *sw;
	size_t i, k, n;

	(void)state;
	sw = oni_guard_safe_writes(&n);
	for (i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		for (k = 0; k < n && sw[k].id != off[i].id; k++)
			;
		assert_true(k < n);
		assert_int_equal(sw[k].reg, off[i].first_reg);
		assert_int_equal(sw[k].value, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stimulator_registers_are_refused),
		cmocka_unit_test(supplies_and_triggers_of_a_port_are_refused),
		cmocka_unit_test(impedance_test_current_is_refused),
		cmocka_unit_test(memories_behind_tunnels_are_refused),
		cmocka_unit_test(unknown_devices_are_read_only),
		cmocka_unit_test(recording_can_be_configured),
		cmocka_unit_test(windows_are_sane),
		cmocka_unit_test(safe_state_begins_with_the_off_switch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
