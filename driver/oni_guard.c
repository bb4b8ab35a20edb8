// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Allow list of register writes, port voltage windows, safe states. See
 * oni_guard.h.
 */
#ifdef __KERNEL__
#include <linux/kernel.h>
#include "include/uapi/linux/oni.h"
#else
#include "include/uapi/linux/oni.h"
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

#include "oni_guard.h"

/* @bits: those that may be set in a value. */
struct span {
	u32 id;
	u32 first;
	u32 last;
	u32 bits;
};

#define ANY	0xffffffffu

/*
 * Left out on purpose:
 * - HS64 stimulators: every register. RHS2116: all but the enable and the
 *   amplifier bandwidth, since the rest shapes or triggers current.
 * - RHS2116 trigger: all but its event stream.
 * - port controller: GPOSTATE (triggers armed stimulators), PORTVOLTAGE and
 *   SAVEVOLTAGE (survives a power cycle), DESPWR, LINKOPTS.
 * - RHD2164 5-7: impedance test current.
 * - Neuropixels, NRIC1384, DS90UB9x: all but the enable; their other registers
 *   tunnel to probe registers and EEPROMs.
 * - Rhythm: what lets something else than a write frame drive an output: MODE
 *   bit 3 (comparators on TTL lines), 17-20 (digital outputs of headstages), 21
 *   (clock output), 22-39 (DACs that follow a channel, their comparators and
 *   filter). 16 is let through: it only lets a TTL input hold the amplifiers of
 *   the chips at zero. The command memory is checked command by command.
 */
static const struct span writable[] = {
	{ ONI_ID_PERSISTENT_HB, 1, 1, ANY },
	{ ONI_ID_HEARTBEAT, 0, 1, ANY },
	{ ONI_ID_TEST0, 0, 3, ANY },
	{ ONI_ID_PORT, 0, 0, ANY },
	{ ONI_ID_PORT, 7, 7, ANY },
	{ ONI_ID_DIN32, 0, 0, ANY },
	{ ONI_ID_CLOCK_OUT, 1, 5, ANY },
	{ ONI_ID_BREAKOUT_ANALOG, 0, 13, ANY },
	{ ONI_ID_BREAKOUT_DIG, 0, 7, ANY },
	{ ONI_ID_MEMORY, 0, 1, ANY },
	{ ONI_ID_LOAD_TEST, 0, 5, ANY },
	{ ONI_ID_HARP, 0, 1, ANY },
	{ ONI_ID_RHD2164, 0x00, 0x04, ANY },
	{ ONI_ID_RHD2164, 0x08, 0x15, ANY },
	{ ONI_ID_RHD2164, 0x8000, 0x8000, ANY },
	{ ONI_ID_BNO055, 0, 1, ANY },
	{ ONI_ID_TS4231, 0, 0, ANY },
	{ ONI_ID_RHS2116, 0x04, 0x07, ANY },
	{ ONI_ID_RHS2116, 0x8000, 0x8000, ANY },
	{ ONI_ID_RHS2116_TRIGGER, 0, 0, ANY },
	{ ONI_ID_NEUROPIX1, 0x8000, 0x8000, ANY },
	{ ONI_ID_NRIC1384, 0x8000, 0x8000, ANY },
	{ ONI_ID_DS90UB9X, 0x8000, 0x8000, ANY },
	{ ONI_ID_RHYTHM, 0, 0, 0x1 },
	{ ONI_ID_RHYTHM, 1, 1, 0x16 },		/* MODE */
	{ ONI_ID_RHYTHM, 2, 2, ANY },		/* MAX_TIMESTEP */
	{ ONI_ID_RHYTHM, 3, 3, 0xffff },	/* CABLE_DELAY */
	{ ONI_ID_RHYTHM, 4, 6, 0xffff },	/* AUXCMD_BANK */
	{ ONI_ID_RHYTHM, 7, 12, 0x3ff },	/* MAX_, LOOP_AUXCMD_INDEX */
	{ ONI_ID_RHYTHM, 13, 14, ANY },		/* DATA_STREAM_SEL */
	{ ONI_ID_RHYTHM, 15, 15, 0xffff },	/* DATA_STREAM_EN */
	{ ONI_ID_RHYTHM, 16, 16, 0x1f },	/* EXT_FAST_SETTLE */
	{ ONI_ID_TTL_OUT, 1, 1, 0x1 },		/* MODE */
	{ ONI_ID_HARP_RHYTHM, 0, 0, 0x1 },
};

/* --- commands to RHD2000 chips --------------------------------------------- */

#define RHYTHM_RAM_FIRST	0x4000u
#define RHYTHM_RAM_LAST		0xffffu

#define RHD_CALIBRATE		0x5500u
#define RHD_CLEAR		0x6a00u

/* A register of a chip that its amplifiers need. */
static bool rhd_reg_ok(u32 reg, u32 val)
{
	/* Bit 1 keeps the output auxout off: what hangs on it is not known. */
	if (reg == 3)
		return val & 0x2;
	/* The impedance test, which must not be on. */
	if (reg >= 5 && reg <= 7)
		return !val;
	return reg <= 21;
}

/* A channel that a chip converts: amplifiers, auxiliary inputs, its sensors. */
static bool rhd_channel_ok(u32 channel)
{
	return channel <= 34 || channel == 48 || channel == 49 || channel == 63;
}

/**
 * oni_guard_rhd_command - may this command be put into the memory of Rhythm?
 * @cmd: as the chips get it, 16 bits
 */
bool oni_guard_rhd_command(u32 cmd)
{
	u32 arg = (cmd >> 8) & 0x3f, low = cmd & 0xff;

	if (cmd > 0xffff)
		return false;
	switch (cmd >> 14) {
	case 0:		/* CONVERT; bit 0 resets the offset filter */
		return rhd_channel_ok(arg) && low <= 1;
	case 1:
		return cmd == RHD_CALIBRATE || cmd == RHD_CLEAR;
	case 2:		/* WRITE */
		return rhd_reg_ok(arg, low);
	default:	/* READ */
		return !low;
	}
}

/* --- registers --------------------------------------------------------------- */

/**
 * oni_guard_reg_writable - may user space write this to a register?
 * @id: of the device, ONI_ID_*
 * @reg: register
 * @val: what would be written
 */
bool oni_guard_reg_writable(u32 id, u32 reg, u32 val)
{
	size_t i;

	if (id == ONI_ID_RHYTHM && reg >= RHYTHM_RAM_FIRST &&
	    reg <= RHYTHM_RAM_LAST)
		return oni_guard_rhd_command(val);
	for (i = 0; i < ARRAY_SIZE(writable); i++)
		if (writable[i].id == id && reg >= writable[i].first &&
		    reg <= writable[i].last)
			return !(val & ~writable[i].bits);
	return false;
}

#define RHYTHM_CLOCK		0x2000u

/* divider << 3 | source << 1 | divided: the sample rates that host software has. */
static const u32 rhythm_clocks[] = {
	0x4d, 0x4b, 0x49,	/* 1000, 1250, 1500 Hz */
	0x25, 0x23, 0x21,	/* 2000, 2500, 3000 */
	0x15,			/* 3333.3 */
	0x0d, 0x0b,		/* 5000, 6250 */
	0x05, 0x03, 0x01,	/* 10000, 12500, 15000 */
	0x04, 0x02, 0x00,	/* 20000, 25000, 30000 */
};

/**
 * oni_guard_rhythm_hub_writable - may user space write this to the information
 *	device of the hub that has Rhythm?
 * @reg: register
 * @val: what would be written
 *
 * The information device of any other hub is not written: it has the
 * programmer of the firmware.
 */
bool oni_guard_rhythm_hub_writable(u32 reg, u32 val)
{
	size_t i;

	if (reg != RHYTHM_CLOCK)
		return false;
	for (i = 0; i < ARRAY_SIZE(rhythm_clocks); i++)
		if (rhythm_clocks[i] == val)
			return true;
	return false;
}

/* --- write frames -------------------------------------------------------------- */

/*
 * The analog outputs of an Acquisition Board: gateware 2 takes 16 codes of 16
 * bits, gateware 1 four words with a code each; one host names the id of the TTL
 * outputs for them. Offset binary, 0x8000 is 0 V.
 */
static const struct oni_frame_rule frame_rules[] = {
	{ ONI_ID_BREAKOUT_ANALOG, 0, ANY, false, 0 },
	{ ONI_ID_BREAKOUT_DIG, 0, ANY, false, 0 },
	{ ONI_ID_LOAD_TEST, 0, ANY, false, 0 },
	{ ONI_ID_TTL_OUT, 4, 0xffff, true, 0 },
	{ ONI_ID_TTL_OUT, 16, 0xffff, true, 0x8000 },
	{ ONI_ID_TTL_OUT, 32, ANY, true, 0x80008000 },
	{ ONI_ID_ANALOG_OUT, 16, 0xffff, true, 0x8000 },
	{ ONI_ID_ANALOG_OUT, 32, ANY, true, 0x80008000 },
};

/**
 * oni_guard_frame_rule - what frames may user space send to a device?
 * @id: of the device, ONI_ID_*
 * @write_size: bytes of one write unit, from the device table
 *
 * Return: the rule, or NULL: none.
 */
const struct oni_frame_rule *oni_guard_frame_rule(u32 id, u32 write_size)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(frame_rules); i++)
		if (frame_rules[i].id == id &&
		    (!frame_rules[i].write_size ||
		     frame_rules[i].write_size == write_size))
			return &frame_rules[i];
	return NULL;
}

/**
 * oni_guard_frame_writable - may user space send this to a device?
 * @id: of the device, ONI_ID_*
 * @write_size: bytes of one write unit, from the device table
 * @bits: all that are set anywhere in the payload
 */
bool oni_guard_frame_writable(u32 id, u32 write_size, u32 bits)
{
	const struct oni_frame_rule *rule = oni_guard_frame_rule(id, write_size);

	return rule && !(bits & ~rule->bits);
}

/* Does it drive outputs of an Acquisition Board, known how or not? */
bool oni_guard_is_output(u32 id)
{
	return id == ONI_ID_TTL_OUT || id == ONI_ID_ANALOG_OUT;
}

/* --- port voltages --------------------------------------------------------------- */

/*
 * At the port, that is before the drop of the tether. The upper ends are the
 * highest voltages at which the automatic procedures of bonsai-onix1 can stop,
 * but for headstage-64: that procedure can reach 10.8 V although the headstage
 * takes 6.3 V at most, so the 8.0 V limit of the older Bonsai.ONIX package is
 * used.
 */
static const struct oni_port_window windows[] = {
	{ ONI_HUB_HS64, 55, 80 },
	{ ONI_HUB_HS64S, 55, 80 },
	{ ONI_HUB_NP1F, 45, 80 },
	{ ONI_HUB_RHS2116, 34, 63 },
	{ ONI_HUB_NP2E_BETA, 33, 65 },
	{ ONI_HUB_NP2E, 33, 65 },
	{ ONI_HUB_NRIC1384, 38, 61 },
	{ ONI_HUB_NP1E, 38, 65 },
};

const struct oni_port_window *oni_guard_window(u32 hub_id)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(windows); i++)
		if (windows[i].hub_id == hub_id)
			return &windows[i];
	return NULL;
}

/*
 * The fastest off switch of each device comes first. The sequence of a RHS2116
 * ends with its table, a train of headstage-64 with its supply. Power-on values are not
 * safe: the RHS2116 trigger is armed and CURRENT2 of the HS64 stimulator is
 * full negative scale.
 *
 * Rhythm may have been left to drive outputs by other software: they get back to
 * write frames, and TTL lines to taking these at once, since a frame that waits
 * for the next sample waits for ever when the clock is stopped.
 */
static const struct oni_safe_write safe_writes[] = {
	{ ONI_ID_RHS2116_TRIGGER, 3, 1, 0, 0, 0, true },	/* TRIGGERARMED */
	{ ONI_ID_HS64_ESTIM, 14, 1, 0, 0, 0, false },	/* ENABLE */
	{ ONI_ID_HS64_ESTIM, 13, 1, 0, 0, 0, true },	/* POWERON */
	{ ONI_ID_HS64_ESTIM, 12, 1, 0, 0, 0, false },	/* TRIGGER */
	{ ONI_ID_HS64_OSTIM, 10, 1, 0, 0, 0, true },	/* ENABLE */
	{ ONI_ID_HS64_OSTIM, 11, 1, 0, 0, 0, false },	/* RESTMASK */
	{ ONI_ID_RHS2116, 0x8002, 1, 0, 0, 0, true },	/* NUMDELTAS */
	{ ONI_ID_RHS2116, 0x2a, 1, 0, 0, 0, false },	/* STIMON */
	{ ONI_ID_RHS2116, 0x2c, 1, 0, 0, 0, false },	/* STIMPOL */
	{ ONI_ID_RHS2116, 0x40, 16, 0, 0, 0, false },	/* NEG0-15 */
	{ ONI_ID_RHS2116, 0x60, 16, 0, 0, 0, false },	/* POS0-15 */
	{ ONI_ID_HS64_ESTIM, 2, 2, 32768, 0, 0, false },	/* CURRENT1, 2 */
	{ ONI_ID_HS64_ESTIM, 15, 1, 32768, 0, 0, false },	/* RESTCURRENT */
	{ ONI_ID_RHYTHM, 23, 8, 0, 0, 0, false },	/* DAC_SEL 0-7 */
	{ ONI_ID_RHYTHM, 17, 4, 0, 0, 0, false },	/* EXT_DIGOUT A-D */
	{ ONI_ID_RHYTHM, 1, 1, 0, 0x16, 0, false },	/* MODE */
	{ ONI_ID_TTL_OUT, 1, 1, 1, 0, 4, false },	/* MODE */
};

const struct oni_safe_write *oni_guard_safe_writes(size_t *n)
{
	*n = ARRAY_SIZE(safe_writes);
	return safe_writes;
}
