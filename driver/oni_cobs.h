/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Signal channel of an ONI controller: COBS framing and packet contents.
 *
 * Pure code: no I/O, no allocation, no locks. Compiled into the kernel module,
 * libonidev, the unit tests and the fuzz targets from this one file.
 * Source of the constants: ONI specification v1.0, signal channel; liboni
 * onidefs.h.
 */
#ifndef ONI_COBS_H
#define ONI_COBS_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint32_t u32;
#endif

#define ONI_SIG_NULL		0x01u
#define ONI_SIG_WACK		0x02u
#define ONI_SIG_WNACK		0x04u
#define ONI_SIG_RACK		0x08u
#define ONI_SIG_RNACK		0x10u
#define ONI_SIG_TABLEACK	0x20u	/* u32 number of devices */
#define ONI_SIG_DEVICE		0x40u	/* u32 address, id, version, sizes */

/* Largest encoded packet: one overhead byte and 254 others. */
#define ONI_COBS_MAX		255

/* What a device packet holds after its flag. */
#define ONI_SIG_DEVICE_WORDS	5

/**
 * struct oni_signal - one decoded signal packet
 * @flag: ONI_SIG_*
 * @words: complete 32-bit words after the flag (at most five are kept)
 * @data: the words, host order
 */
struct oni_signal {
	u32 flag;
	u32 words;
	u32 data[ONI_SIG_DEVICE_WORDS];
};

/**
 * struct oni_cobs - decoder state; all zero is the start state
 * @len: encoded bytes collected
 * @skip: an over-long packet is being dropped up to its delimiter
 * @buf: encoded bytes
 */
struct oni_cobs {
	u32 len;
	bool skip;
	u8 buf[ONI_COBS_MAX];
};

/* Result of feeding one byte. */
enum oni_cobs_result {
	ONI_COBS_MORE,		/* no packet ends here */
	ONI_COBS_PACKET,	/* *sig holds a packet */
	ONI_COBS_BAD,		/* a packet ended that makes no sense */
};

enum oni_cobs_result oni_cobs_feed(struct oni_cobs *c, u8 byte,
				   struct oni_signal *sig);

#endif /* ONI_COBS_H */
