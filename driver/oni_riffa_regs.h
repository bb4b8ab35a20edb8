/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RIFFA 2.2 endpoint registers as used by the ONIX PCIe controller.
 *
 * Sources: RIFFA 2.2.2 HDL (registers.v, riffa.vh, interrupt.v) for the
 * register block; liboni's RIFFA translator for the use of the channels. The
 * PCI ids come from a test design of the vendor's RIFFA fork and were not
 * verified on a shipped card.
 *
 * "Up" is FPGA to host (TX in the HDL), "down" is host to FPGA (RX).
 */
#ifndef ONI_RIFFA_REGS_H
#define ONI_RIFFA_REGS_H

#include <linux/bits.h>

#define ONIX_PCI_VENDOR		0x10ee
#define ONIX_PCI_DEVICE		0x7024
#define ONIX_BAR_BYTES		1024

/*
 * Byte offsets in a channel's page of 64 bytes. Only aligned 32-bit accesses.
 * Fields 0x00-0x1c must never be read: the access triggers them. A write to a
 * read-only field has the side effect of reading it.
 */
#define RIFFA_PAGE(ch)		((ch) * 64)
#define RIFFA_DOWN_SG_LEN	0x00	/* W words of the list; starts fetch */
#define RIFFA_DOWN_SG_LO	0x04	/* W */
#define RIFFA_DOWN_SG_HI	0x08	/* W */
#define RIFFA_DOWN_LEN		0x0c	/* W words; starts the transaction */
#define RIFFA_DOWN_OFFLAST	0x10	/* W offset << 1 | last */
#define RIFFA_UP_SG_LEN		0x14	/* W words of the list; starts fetch */
#define RIFFA_UP_SG_LO		0x18	/* W */
#define RIFFA_UP_SG_HI		0x1c	/* W */
#define RIFFA_UP_LEN		0x20	/* R words announced; acknowledges */
#define RIFFA_UP_OFFLAST	0x24	/* R no side effect */
#define RIFFA_INFO		0x28	/* R resets the core; page 0 only */
#define RIFFA_VECTOR0		0x2c	/* R events, cleared; page 0 only */
#define RIFFA_DOWN_DONE_LEN	0x34	/* R words moved; acknowledges done */
#define RIFFA_UP_DONE_LEN	0x38	/* R words moved; acknowledges done */

#define RIFFA_INFO_CHANNELS	GENMASK(3, 0)
#define RIFFA_INFO_MASTER	BIT(4)
#define RIFFA_INFO_WIDTH	GENMASK(10, 5)
#define RIFFA_INFO_RATE		GENMASK(12, 11)
#define RIFFA_INFO_BUS		GENMASK(22, 19)	/* words of 32 bits */

/* Events of one channel; channel i has bits 5i ... 5i+4 of the vector. */
#define RIFFA_EV_BITS		5
#define RIFFA_EV_UP_NEW		BIT(0)
#define RIFFA_EV_UP_LIST	BIT(1)	/* list received */
#define RIFFA_EV_UP_DONE	BIT(2)
#define RIFFA_EV_DOWN_LIST	BIT(3)
#define RIFFA_EV_DOWN_DONE	BIT(4)
#define RIFFA_EV_MASK		GENMASK(4, 0)

/* Elements a list may safely have: 200 per 32 bits of bus width. */
#define RIFFA_SG_MAX		400
#define RIFFA_SG_WORDS		4

/* Use of the channels by ONIX. */
#define ONIX_CH_CONFIG		0
#define ONIX_CH_WRITE		1
#define ONIX_CH_DATA		2
#define ONIX_CH_SIGNAL		3
#define ONIX_CHANNELS		4
#define ONIX_CONFIG_READ	BIT(29)	/* in the offset of channel 0 */
#define ONIX_WRITE_WORDS	1024	/* per transaction of channel 1 */

#endif /* ONI_RIFFA_REGS_H */
