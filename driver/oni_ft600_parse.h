/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * FT600 bridge of the Acquisition Board: what the bytes mean.
 *
 * Session packets and vendor requests are those of the bridge chip, commands
 * and replies those of the FPGA behind it, which speaks ONI.
 *
 * Pure code: no I/O, no allocation, no locks. Compiled into the kernel module,
 * libonidev, the unit tests and the fuzz targets from this one file.
 * Source of the constants: liboni's translator onidriver_ft600.c, and public
 * re-implementations of the chip's host library; oni-ft600.rst says which of
 * them are sure.
 */
#ifndef ONI_FT600_PARSE_H
#define ONI_FT600_PARSE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
#endif

/* Endpoints. The first is on interface 0, the others are on interface 1. */
#define FT600_EP_SESSION	0x01	/* session packets */
#define FT600_EP_WRITE		0x02	/* write frames */
#define FT600_EP_DATA		0x82	/* read frames */
#define FT600_EP_COMMAND	0x03	/* commands */
#define FT600_EP_REPLY		0x83	/* register values and signal bytes */

/* Session packet: tells the chip what to do with a pipe. */
#define FT600_SESSION_BYTES	20
#define FT600_SESSION_ABORT	0x00u
#define FT600_SESSION_READ	0x01u	/* the host wants that many bytes */
#define FT600_SESSION_STREAM	0x02u	/* ... again and again */
#define FT600_SESSION_FLUSH	0x03u

/* Vendor requests. */
#define FT600_REQ_GPIO		0x02	/* wValue: FT600_GPIO_*; 2 bytes */
#define FT600_REQ_MEMORY	0x03	/* wValue, wIndex: address; 4 bytes */
#define FT600_REQ_CONFIG	0xcf	/* wValue 1 */

#define FT600_GPIO_WRITE	1
#define FT600_GPIO_DIRECTION	2
#define FT600_GPIO_PULL		3

/* GPIO data: three bits for each pin, the highest one selects it. */
#define FT600_GPIO0(v)		(0x04 | (v))
#define FT600_GPIO1(v)		((0x04 | (v)) << 3)

#define FT600_MEM_CONTROL	0x18000u
#define FT600_MEM_CONTROL_SET	0x00200000u

#define FT600_CONFIG_BYTES	152
#define FT600_CONFIG_MODE	138	/* 0: 245, 1: 600 */
#define FT600_CONFIG_OPTIONS	140	/* 16 bits */

/* Commands of the FPGA, and the largest number of bytes of one. */
#define ONI_FT600_COMMAND_BYTES	9
#define ONI_FT600_PRIORITY	0x0a0a0000u

/* Result of feeding one byte of the reply pipe. */
enum oni_ft600_item {
	ONI_FT600_MORE,		/* belongs to an item that is not complete */
	ONI_FT600_VALUE,	/* a register value is complete */
	ONI_FT600_SIGNAL,	/* the byte is one of the signal channel */
	ONI_FT600_STRAY,	/* belongs to nothing */
};

/**
 * struct oni_ft600_parser - state between two bytes; all zero at the start
 * @tag: of the item that is under way, 0: none
 * @len: bytes of it so far
 * @value: register value so far
 */
struct oni_ft600_parser {
	u8 tag;
	u8 len;
	u32 value;
};

enum oni_ft600_item oni_ft600_feed(struct oni_ft600_parser *p, u8 byte);

/**
 * struct oni_ft600_credit - what a bulk-IN pipe was asked for
 * @grant: bytes of one request, a multiple of @unit
 * @unit: bytes of one transfer
 * @left: bytes of the request that are still to come
 */
struct oni_ft600_credit {
	u32 grant;
	u32 unit;
	u32 left;
};

void oni_ft600_credit_init(struct oni_ft600_credit *c, u32 grant, u32 unit);
void oni_ft600_credit_renew(struct oni_ft600_credit *c);
bool oni_ft600_credit_use(struct oni_ft600_credit *c, u32 bytes);

void oni_ft600_session(u8 *buf, u32 seq, u8 ep, u32 cmd, u64 bytes);
size_t oni_ft600_write_reg(u8 *buf, u32 reg, u32 val);
size_t oni_ft600_read_reg(u8 *buf, u32 reg);
size_t oni_ft600_priority(u8 *buf);
bool oni_ft600_config_ok(const u8 *config);

#endif /* ONI_FT600_PARSE_H */
