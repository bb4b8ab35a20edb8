/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What user space may do to the hardware without a guarded ioctl, and what is
 * written to make stimulators and outputs safe.
 *
 * Pure code, shared by the kernel module, libonidev, the unit tests and a fuzz
 * target. The rule is an allow list: a device, a register or a value that is not
 * known is refused.
 * Sources: ONIX device datasheets (onix-docs), bonsai-onix1; where the two
 * disagree the register is refused. Acquisition Board: acquisition-board plugin,
 * bonsai-acquisition-board; commands and registers of its chips: data sheet of
 * the Intan RHD2000 series.
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
#define ONI_ID_RHYTHM		0x10001u
#define ONI_ID_TTL_OUT		0x10002u
#define ONI_ID_ANALOG_OUT	0x10003u
#define ONI_ID_HARP_RHYTHM	0x10004u

/*
 * Where an Acquisition Board has its Rhythm, and the information device of that
 * hub, which holds the sample clock.
 */
#define ONI_RHYTHM_ADDR		0x101u
#define ONI_RHYTHM_HUB		0x1feu

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
 * struct oni_safe_write - one write of the safe state of a device
 * @id: ONI device id
 * @reg: first register
 * @count: how many registers in a row
 * @value: value for all of them
 * @keep: bits that stay as they are read back; 0: nothing is read
 * @write_size: for devices with this write size only; 0: for all
 * @stops: ends a current or lets none begin: first of all where something may
 *	flow, and read back
 */
struct oni_safe_write {
	u32 id;
	u32 reg;
	u32 count;
	u32 value;
	u32 keep;
	u32 write_size;
	bool stops;
};

/**
 * struct oni_frame_rule - write frames that a device may get from user space
 * @id: ONI device id
 * @write_size: bytes of one write unit in the device table; 0: any
 * @bits: bits that may be set in a word of the payload
 * @output: drives lines that leave the hardware
 * @rest: of an output: each word of the payload that switches it off
 */
struct oni_frame_rule {
	u32 id;
	u32 write_size;
	u32 bits;
	bool output;
	u32 rest;
};

/* Largest write unit of an output, in words. */
#define ONI_OUTPUT_WORDS	8u

bool oni_guard_reg_writable(u32 id, u32 reg, u32 val);
bool oni_guard_rhythm_hub_writable(u32 reg, u32 val);
bool oni_guard_rhd_command(u32 cmd);
const struct oni_frame_rule *oni_guard_frame_rule(u32 id, u32 write_size);
bool oni_guard_frame_writable(u32 id, u32 write_size, u32 bits);
bool oni_guard_is_output(u32 id);
const struct oni_port_window *oni_guard_window(u32 hub_id);
const struct oni_safe_write *oni_guard_safe_writes(size_t *n);

#endif /* ONI_GUARD_H */
