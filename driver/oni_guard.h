/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What user space may do to the hardware without a guarded ioctl, and what is
 * written to make stimulators safe.
 *
 * Pure code, shared by the kernel module and the unit tests. The rule is an
 * allow list: a device or a register that is not known is read only.
 * Sources: ONIX device datasheets (onix-docs), bonsai-onix1; where the two
 * disagree the register is refused.
 */
#ifndef ONI_GUARD_H
#define ONI_GUARD_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef uint32_t u32;
#endif

/* ONI device ids (liboni onix.h) */
#define ONI_ID_NULL		0u
#define ONI_ID_RHD2164		3u
#define ONI_ID_HS64_ESTIM	4u
#define ONI_ID_HS64_OSTIM	5u
#define ONI_ID_DIN32		7u
#define ONI_ID_BNO055		9u
#define ONI_ID_TEST0		10u
#define ONI_ID_NEUROPIX1	11u
#define ONI_ID_HEARTBEAT	12u
#define ONI_ID_BREAKOUT_DIG	18u
#define ONI_ID_CLOCK_OUT	20u
#define ONI_ID_BREAKOUT_ANALOG	22u
#define ONI_ID_PORT		23u
#define ONI_ID_DS90UB9X		24u
#define ONI_ID_TS4231		25u
#define ONI_ID_LOAD_TEST	27u
#define ONI_ID_MEMORY		28u
#define ONI_ID_HARP		30u
#define ONI_ID_RHS2116		31u
#define ONI_ID_RHS2116_TRIGGER	32u
#define ONI_ID_NRIC1384		33u
#define ONI_ID_PERSISTENT_HB	35u

/* Port controller registers */
#define ONI_PORT_DESPWR		2u
#define ONI_PORT_VOLTAGE	3u
#define ONI_PORT_LINKSTATE	5u

/**
 * struct oni_port_window - supply a headstage may get at its port
 * @hub_id: ONI hub hardware id of the headstage
 * @min_decivolts: lowest setting that can work
 * @max_decivolts: highest setting that vendor software ever ends at with the
 *	supplied tethers, or less
 */
struct oni_port_window {
	u32 hub_id;
	u32 min_decivolts;
	u32 max_decivolts;
};

/**
 * struct oni_safe_write - one write of the safe state of a stimulator
 * @id: ONI device id
 * @reg: first register
 * @count: how many registers in a row
 * @value: value for all of them
 */
struct oni_safe_write {
	u32 id;
	u32 reg;
	u32 count;
	u32 value;
};

bool oni_guard_reg_writable(u32 id, u32 reg);
bool oni_guard_frame_writable(u32 id);
const struct oni_port_window *oni_guard_window(u32 hub_id);
const struct oni_safe_write *oni_guard_safe_writes(size_t *n);

#endif /* ONI_GUARD_H */
