/* SPDX-License-Identifier: MIT */
/* unit-sources: driver/oni_guard.c */
/*
 * The kernel's allow list of register writes and write frames (driver/oni_guard.c):
 * what could make a stimulator put out current, change a supply, switch on the
 * impedance test of an amplifier chip or program a memory is refused, what recording
 * needs is let through, what is unknown is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "driver/oni_guard.h"
#include "linux/oni.h"

/* With whatever is written: each bit alone, all, none, and a command to a chip. */
static int refused(uint32_t id, uint32_t reg)
{
	uint32_t bit;

	for (bit = 0; bit < 32; bit++)
		if (oni_guard_reg_writable(id, reg, 1u << bit))
			return 0;
	return !oni_guard_reg_writable(id, reg, 0) && !oni_guard_reg_writable(id, reg, ~0u) &&
	       !oni_guard_reg_writable(id, reg, 0xff00);
}

/* verifies: R30, R39 */
static void stimulator_registers_are_refused(void **state)
{
	static const uint32_t rhs_enable = 0x8000;
	uint32_t reg;

	(void)state;
	for (reg = 0; reg < 0x200; reg++) {
		assert_true(refused(ONI_ID_HS64_ESTIM, reg));
		assert_true(refused(ONI_ID_HS64_OSTIM, reg));
		if (reg)	/* 0 is its event stream */
			assert_true(refused(ONI_ID_RHS2116_TRIGGER, reg));
		if (reg < 4 || reg > 7)	/* 4-7 are amplifier bandwidth */
			assert_true(refused(ONI_ID_RHS2116, reg));
	}
	for (reg = rhs_enable + 1; reg < rhs_enable + 0x100; reg++)
		assert_true(refused(ONI_ID_RHS2116, reg));
}

/* verifies: R21, R30 */
static void supplies_and_triggers_of_a_port_are_refused(void **state)
{
	uint32_t reg;

	(void)state;
	for (reg = 1; reg <= 6; reg++)
		assert_true(refused(ONI_ID_PORT, reg));
}

static void impedance_test_current_is_refused(void **state)
{
	(void)state;
	assert_true(refused(ONI_ID_RHD2164, 5));
	assert_true(refused(ONI_ID_RHD2164, 6));
	assert_true(refused(ONI_ID_RHD2164, 7));
}

/* verifies: R30 */
static void memories_behind_tunnels_are_refused(void **state)
{
	/* EEPROM at I2C address 0x50, as a raw register of a DS90UB9x. */
	static const uint32_t eeprom = 0x50 | 0x10 << 7;

	(void)state;
	assert_true(refused(ONI_ID_DS90UB9X, eeprom));
	assert_true(refused(ONI_ID_NEUROPIX1, eeprom));
	assert_true(refused(ONI_ID_NRIC1384, eeprom));
	/* Hub information devices hold the firmware programmer; their id is 0. */
	assert_true(refused(ONI_ID_NULL, 0x10));
	assert_true(refused(ONI_ID_NULL, 0x20));
}

/* verifies: R24, R39 */
static void unknown_devices_are_read_only(void **state)
{
	uint32_t id, reg;

	(void)state;
	for (id = 36; id < 2000; id++)
		for (reg = 0; reg < 32; reg++)
			assert_true(refused(id, reg));
	assert_true(refused(0xffffffff, 0));
	assert_null(oni_guard_frame_rule(36, 4));
	assert_null(oni_guard_frame_rule(ONI_ID_RHS2116, 4));
}

static void recording_can_be_configured(void **state)
{
	(void)state;
	assert_true(oni_guard_reg_writable(ONI_ID_RHD2164, 0x8000, 1));
	assert_true(oni_guard_reg_writable(ONI_ID_RHD2164, 4, 1));
	assert_true(oni_guard_reg_writable(ONI_ID_RHS2116, 0x8000, 1));
	assert_true(oni_guard_reg_writable(ONI_ID_PERSISTENT_HB, 1, 1));
	assert_true(oni_guard_reg_writable(ONI_ID_BREAKOUT_ANALOG, 13, 1));
	assert_true(oni_guard_reg_writable(ONI_ID_LOAD_TEST, 5, 1));
	assert_true(oni_guard_reg_writable(ONI_ID_RHYTHM, 0, 1));
	assert_true(oni_guard_reg_writable(ONI_ID_RHYTHM, 15, 1));
	assert_true(oni_guard_reg_writable(ONI_ID_HARP_RHYTHM, 0, 1));
	assert_non_null(oni_guard_frame_rule(ONI_ID_BREAKOUT_DIG, 4));
}

/* --- Rhythm of an Acquisition Board ------------------------------------------------- */

/* Highest value of a register with low bits only, or the bits that it may have. */
static void rhythm_takes_these_values_only(void **state)
{
	static const struct {
		uint32_t first, last, bits;
	} know[] = {
		{ 0, 0, 1 }, { 1, 1, 0x16 }, { 2, 2, ~0u }, { 3, 3, 0xffff }, { 4, 6, 0xffff },
		{ 7, 12, 0x3ff }, { 13, 14, ~0u }, { 15, 15, 0xffff }, { 16, 16, 0x1f },
	};
	uint32_t reg, bit, bits;
	size_t i;

	(void)state;
	for (reg = 0; reg < 0x4000; reg++) {
		for (bits = 0, i = 0; i < sizeof(know) / sizeof(know[0]); i++)
			if (reg >= know[i].first && reg <= know[i].last)
				bits = know[i].bits;
		if (!bits) {
			assert_true(refused(ONI_ID_RHYTHM, reg));
			continue;
		}
		assert_true(oni_guard_reg_writable(ONI_ID_RHYTHM, reg, 0));
		assert_true(oni_guard_reg_writable(ONI_ID_RHYTHM, reg, bits));
		for (bit = 0; bit < 32; bit++)
			assert_int_equal(oni_guard_reg_writable(ONI_ID_RHYTHM, reg, 1u << bit),
					 bits >> bit & 1);
	}
	for (reg = 0x10000; reg < 0x10400; reg++)
		assert_true(refused(ONI_ID_RHYTHM, reg));
	assert_true(refused(ONI_ID_RHYTHM, ~0u));
}

/*
 * The commands as the data sheet draws them, first bit on the wire first; a dot is any
 * bit. Written down apart from the code, with none of its numbers.
 */
static const char *const commands[] = {
	/* CONVERT of amplifiers 0-31, auxiliary inputs, supply, temperature, the next one */
	"00 0..... 0000000.",
	"00 10000. 0000000.",
	"00 100010 0000000.",
	"00 11000. 0000000.",
	"00 111111 0000000.",
	/* CALIBRATE, CLEAR */
	"01 010101 00000000",
	"01 101010 00000000",
	/* WRITE to 0-2; 3 with the digital output at high impedance; 4 */
	"10 00000. ........",
	"10 000010 ........",
	"10 000011 ......1.",
	"10 000100 ........",
	/* WRITE to the impedance test, 5-7: zero */
	"10 000101 00000000",
	"10 00011. 00000000",
	/* WRITE to 8-15 and 16-21: bandwidth, power of amplifiers */
	"10 001... ........",
	"10 0100.. ........",
	"10 01010. ........",
	/* READ */
	"11 ...... 00000000",
};

static int drawn_as(const char *figure, uint32_t cmd)
{
	uint32_t bit = 1u << 15;

	for (; *figure; figure++) {
		if (*figure == ' ')
			continue;
		if (*figure != '.' && (*figure == '1') != !!(cmd & bit))
			return 0;
		bit >>= 1;
	}
	assert_int_equal(bit, 0);
	return 1;
}

static int drawn(uint32_t cmd)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (drawn_as(commands[i], cmd))
			return 1;
	return 0;
}

static void every_command_is_as_the_data_sheet_has_it(void **state)
{
	/* CONVERT 38 channels, WRITE 18 whole registers, half of one, three zeros, READ 64 */
	const unsigned int know = 38 * 2 + 2 + 18 * 256 + 128 + 3 + 64;
	unsigned int n = 0;
	uint32_t cmd;

	(void)state;
	for (cmd = 0; cmd < 0x10000; cmd++) {
		if (oni_guard_rhd_command(cmd) != drawn(cmd))
			fail_msg("command 0x%04x is %s", cmd, drawn(cmd) ? "refused" : "let through");
		n += oni_guard_rhd_command(cmd);
	}
	assert_int_equal(n, know);
}

/* No number is a command because its low half is one. */
static void a_command_has_16_bits(void **state)
{
	uint32_t bit, cmd;

	(void)state;
	for (bit = 16; bit < 32; bit++)
		for (cmd = 0; cmd < 0x10000; cmd += 0x55)
			assert_false(oni_guard_rhd_command(1u << bit | cmd));
	assert_false(oni_guard_rhd_command(~0u));
}

static void impedance_test_of_a_chip_stays_off(void **state)
{
	uint32_t reg, val;

	(void)state;
	for (reg = 5; reg <= 7; reg++) {
		assert_true(oni_guard_rhd_command(0x8000 | reg << 8));
		for (val = 1; val < 0x100; val++)
			assert_false(oni_guard_rhd_command(0x8000 | reg << 8 | val));
	}
}

/* Every place of the command memory is looked at, and with the same eyes. */
static void command_memory_is_checked_at_both_ends_of_each_bank(void **state)
{
	uint32_t at, end;

	(void)state;
	for (at = 0x4000; at < 0x10000; at += 0x400)
		for (end = at; end <= at + 0x3ff; end += 0x3ff) {
			assert_true(oni_guard_reg_writable(ONI_ID_RHYTHM, end, 0xff00));
			assert_true(oni_guard_reg_writable(ONI_ID_RHYTHM, end, 0x8500));
			assert_false(oni_guard_reg_writable(ONI_ID_RHYTHM, end, 0x8501));
			assert_false(oni_guard_reg_writable(ONI_ID_RHYTHM, end, 0x1ff00));
		}
	assert_true(refused(ONI_ID_RHD2164, 0x4000));
	assert_true(refused(ONI_ID_HARP_RHYTHM, 0x4000));
}

/* Source and divider of the rates that host software offers; nothing else in 32 bits. */
static void clock_of_rhythm_takes_the_rates_that_are_known(void **state)
{
	static const struct {
		uint32_t source, divider;
	} divided[] = {
		{ 0, 9 }, { 0, 4 }, { 0, 0 }, { 1, 9 }, { 1, 4 }, { 1, 1 }, { 1, 0 },
		{ 2, 9 }, { 2, 4 }, { 2, 2 }, { 2, 1 }, { 2, 0 },
	};
	uint32_t val, reg, n = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(divided) / sizeof(divided[0]); i++)
		assert_true(oni_guard_rhythm_hub_writable(0x2000, divided[i].divider * 8 +
							  divided[i].source * 2 + 1));
	for (i = 0; i < 3; i++)
		assert_true(oni_guard_rhythm_hub_writable(0x2000, (uint32_t)i * 2));
	for (val = 0; val < 0x100000; val++)
		n += oni_guard_rhythm_hub_writable(0x2000, val);
	assert_int_equal(n, sizeof(divided) / sizeof(divided[0]) + 3);
	assert_false(oni_guard_rhythm_hub_writable(0x2000, 0x80000001));
	for (reg = 0; reg < 0x4000; reg++)
		if (reg != 0x2000)
			assert_false(oni_guard_rhythm_hub_writable(reg, 0));
	assert_false(oni_guard_rhythm_hub_writable(~0u, 0));
}

/* --- outputs of an Acquisition Board --------------------------------------------------- */

/* verifies: R38 */
static void outputs_take_frames_that_are_known(void **state)
{
	static const struct {
		uint32_t id, size, bits, rest;
	} know[] = {
		{ ONI_ID_TTL_OUT, 4, 0xffff, 0 },
		{ ONI_ID_ANALOG_OUT, 16, 0xffff, 0x8000 },
		{ ONI_ID_ANALOG_OUT, 32, ~0u, 0x80008000 },
		/* one host has the id of the TTL outputs for the analog ones */
		{ ONI_ID_TTL_OUT, 16, 0xffff, 0x8000 },
		{ ONI_ID_TTL_OUT, 32, ~0u, 0x80008000 },
	};
	const struct oni_frame_rule *r;
	uint32_t size;
	size_t i, n = 0;

	(void)state;
	for (i = 0; i < sizeof(know) / sizeof(know[0]); i++) {
		r = oni_guard_frame_rule(know[i].id, know[i].size);
		assert_non_null(r);
		assert_int_equal(r->bits, know[i].bits);
		assert_true(r->output);
		assert_int_equal(r->rest, know[i].rest);
		assert_int_equal(r->rest & ~r->bits, 0);
		assert_true(know[i].size / 4 <= ONI_OUTPUT_WORDS);
		assert_true(oni_guard_is_output(know[i].id));
		assert_true(oni_guard_frame_writable(know[i].id, know[i].size, know[i].bits));
		assert_true(know[i].bits == ~0u ||
			    !oni_guard_frame_writable(know[i].id, know[i].size, 0x10000));
	}
	assert_false(oni_guard_frame_writable(ONI_ID_TTL_OUT, 64, 0));
	assert_false(oni_guard_frame_writable(ONI_ID_RHS2116, 4, 0));
	for (size = 0; size < 4096; size++)
		n += !!oni_guard_frame_rule(ONI_ID_TTL_OUT, size) +
		     !!oni_guard_frame_rule(ONI_ID_ANALOG_OUT, size);
	assert_int_equal(n, sizeof(know) / sizeof(know[0]));
}

/* What a rule calls an output is one of those that are switched off, and no other. */
static void outputs_are_the_boards(void **state)
{
	const struct oni_frame_rule *r;
	uint32_t id;

	(void)state;
	for (id = 0; id < 0x10100; id++) {
		r = oni_guard_frame_rule(id, 4);
		if (r)
			assert_int_equal(r->output, oni_guard_is_output(id));
		assert_int_equal(oni_guard_is_output(id),
				 id == ONI_ID_TTL_OUT || id == ONI_ID_ANALOG_OUT);
	}
}

/*
 * What else than frames can drive outputs is in the safe state, and refused.
 *
 * verifies: R38
 */
static void nothing_else_drives_outputs(void **state)
{
	static const struct {
		uint32_t first, count;
	} off[] = { { 17, 4 }, { 23, 8 } };
	const struct oni_safe_write *sw;
	size_t i, k, n;

	(void)state;
	sw = oni_guard_safe_writes(&n);
	for (i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		for (k = 0; k < n; k++)
			if (sw[k].id == ONI_ID_RHYTHM && sw[k].reg == off[i].first)
				break;
		assert_true(k < n);
		assert_int_equal(sw[k].count, off[i].count);
		assert_int_equal(sw[k].value | sw[k].keep, 0);
		assert_true(refused(ONI_ID_RHYTHM, off[i].first));
	}
	/* Comparators on TTL lines: bit 3 of MODE goes, what the guard lets through stays. */
	for (k = 0; k < n; k++)
		if (sw[k].id == ONI_ID_RHYTHM && sw[k].reg == 1)
			break;
	assert_true(k < n);
	assert_int_equal(sw[k].value, 0);
	assert_true(oni_guard_reg_writable(ONI_ID_RHYTHM, 1, sw[k].keep));
	assert_false(oni_guard_reg_writable(ONI_ID_RHYTHM, 1, 8));
}

/* verifies: R21 */
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

/*
 * Every stimulator has a safe state, and its off switch is written first.
 *
 * verifies: R05
 */
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
		cmocka_unit_test(rhythm_takes_these_values_only),
		cmocka_unit_test(every_command_is_as_the_data_sheet_has_it),
		cmocka_unit_test(a_command_has_16_bits),
		cmocka_unit_test(impedance_test_of_a_chip_stays_off),
		cmocka_unit_test(command_memory_is_checked_at_both_ends_of_each_bank),
		cmocka_unit_test(clock_of_rhythm_takes_the_rates_that_are_known),
		cmocka_unit_test(outputs_take_frames_that_are_known),
		cmocka_unit_test(outputs_are_the_boards),
		cmocka_unit_test(nothing_else_drives_outputs),
		cmocka_unit_test(windows_are_sane),
		cmocka_unit_test(safe_state_begins_with_the_off_switch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
