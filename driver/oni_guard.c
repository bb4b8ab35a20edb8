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

struct span {
	u32 id;
	u32 first;
	u32 last;
};

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
 */
static const struct span writable[] = {
	{ ONI_ID_PERSISTENT_HB, 1, 1 },
	{ ONI_ID_HEARTBEAT, 0, 1 },
	{ ONI_ID_TEST0, 0, 3 },
	{ ONI_ID_PORT, 0, 0 },
	{ ONI_ID_PORT, 7, 7 },
	{ ONI_ID_DIN32, 0, 0 },
	{ ONI_ID_CLOCK_OUT, 1, 5 },
	{ ONI_ID_BREAKOUT_ANALOG, 0, 13 },
	{ ONI_ID_BREAKOUT_DIG, 0, 7 },
	{ ONI_ID_MEMORY, 0, 1 },
	{ ONI_ID_LOAD_TEST, 0, 5 },
	{ ONI_ID_HARP, 0, 1 },
	{ ONI_ID_RHD2164, 0x00, 0x04 },
	{ ONI_ID_RHD2164, 0x08, 0x15 },
	{ ONI_ID_RHD2164, 0x8000, 0x8000 },
	{ ONI_ID_BNO055, 0, 1 },
	{ ONI_ID_TS4231, 0, 0 },
	{ ONI_ID_RHS2116, 0x04, 0x07 },
	{ ONI_ID_RHS2116, 0x8000, 0x8000 },
	{ ONI_ID_RHS2116_TRIGGER, 0, 0 },
	{ ONI_ID_NEUROPIX1, 0x8000, 0x8000 },
	{ ONI_ID_NRIC1384, 0x8000, 0x8000 },
	{ ONI_ID_DS90UB9X, 0x8000, 0x8000 },
};

bool oni_guard_reg_writable(u32 id, u32 reg)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(writable); i++)
		if (writable[i].id == id && reg >= writable[i].first &&
		    reg <= writable[i].last)
			return true;
	return false;
}

bool oni_guard_frame_writable(u32 id)
{
	return id == ONI_ID_BREAKOUT_ANALOG || id == ONI_ID_BREAKOUT_DIG ||
	       id == ONI_ID_LOAD_TEST;
}

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
 * The fastest off switch of each device comes first. Power-on values are not
 * safe: the RHS2116 trigger is armed and CURRENT2 of the HS64 stimulator is
 * full negative scale.
 */
static const struct oni_safe_write safe_writes[] = {
	{ ONI_ID_RHS2116_TRIGGER, 3, 1, 0 },		/* TRIGGERARMED */
	{ ONI_ID_HS64_ESTIM, 14, 1, 0 },		/* ENABLE */
	{ ONI_ID_HS64_ESTIM, 13, 1, 0 },		/* POWERON */
	{ ONI_ID_HS64_OSTIM, 10, 1, 0 },		/* ENABLE */
	{ ONI_ID_RHS2116, 0x8002, 1, 0 },		/* NUMDELTAS */
	{ ONI_ID_RHS2116, 0x40, 16, 0 },		/* NEG0-15 */
	{ ONI_ID_RHS2116, 0x60, 16, 0 },		/* POS0-15 */
	{ ONI_ID_HS64_ESTIM, 2, 2, 32768 },		/* CURRENT1, 2 */
	{ ONI_ID_HS64_ESTIM, 15, 1, 32768 },		/* RESTCURRENT */
};

const struct oni_safe_write *oni_guard_safe_writes(size_t *n)
{
	*n = ARRAY_SIZE(safe_writes);
	return safe_writes;
}
