/* SPDX-License-Identifier: MIT */
/*
 * fault.h - what the card does wrong on request.
 *
 * Owns the orders that came through the control socket: per kind, how many
 * times it is still to happen, its argument, its channel, and how often it has
 * happened. Whoever does a thing asks here whether to do it wrong.
 * Nothing happens by itself: without an order the card behaves.
 * Threads: no lock; called under the card lock.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "model/rng.h"

/* The words of the control socket and their meaning are in fault.c. */
enum fault {
	/* RIFFA core */
	FAULT_VECTOR_RANDOM,
	FAULT_VECTOR_ONES,
	FAULT_INFO_ONES,
	FAULT_LEN_ONES,
	FAULT_DONE_ONES,
	FAULT_ANNOUNCE_TWICE,
	FAULT_ANNOUNCE_STRAY,
	FAULT_ANNOUNCE_WORDS,
	FAULT_DONE_STRAY,
	FAULT_DONE_WORDS,
	FAULT_SHORT,
	FAULT_RECVD_LOST,
	FAULT_RECVD_LATE,
	FAULT_FETCH_STUCK,
	FAULT_UP_STUCK,
	FAULT_DOWN_STUCK,
	FAULT_DOWN_LATE,
	FAULT_MSI_STORM,
	FAULT_MSI_LOST,
	/* controller */
	FAULT_NACK,
	FAULT_MUTE,
	FAULT_DEAF,
	FAULT_ACK_LATE,
	FAULT_ACK_TWICE,
	FAULT_ACK_WRONG,
	FAULT_TRIG_STUCK,
	FAULT_REPLY_LOST,
	FAULT_REPLY_LATE,
	FAULT_REPLY_TWICE,
	FAULT_REPLY_STRAY,
	FAULT_AFTER_STOP,
	FAULT_TABLE_ROWS,
	FAULT_TABLE_COUNT,
	FAULT_TABLE_SLOW,
	FAULT_TABLE_DOUBLE,
	FAULT_TABLE_ADDR,
	FAULT_TABLE_READ_SIZE,
	FAULT_TABLE_WRITE_SIZE,
	FAULT_TABLE_BYTES,
	FAULT_SIGNAL_OPEN,
	FAULT_SIGNAL_ZERO,
	FAULT_SIGNAL_LONG,
	FAULT_SIGNAL_FLIP,
	FAULT_SIGNAL_CUT,
	FAULT_SIGNAL_GARBAGE,
	/* FT600 and what is behind it */
	FAULT_USB_SHORT,
	FAULT_USB_ZLP,
	FAULT_USB_STALL,
	FAULT_USB_OUT_STALL,
	FAULT_USB_SESSION_END,
	FAULT_USB_VANISH,
	FAULT_USB_VENDOR_SHORT,
	FAULT_USB_VENDOR_STALL,
	FAULT_USB_DESC_TYPE,
	FAULT_USB_DESC_MISSING,
	FAULT_USB_DESC_NOISE,
	FAULT_USB_FIFO_MODE,
	FAULT_USB_REPLY_LATE,
	FAULT_USB_REPLY_SPLIT,
	FAULT_USB_REPLY_GARBAGE,
	FAULT_KINDS
};

struct fault_order {
	uint32_t left;		/* times it is still to happen */
	uint32_t arg;
	uint32_t ch;
	uint64_t done;		/* times it has happened since the start */
};

struct faults {
	struct fault_order order[FAULT_KINDS];
	struct rng rng;
};

/*
 * "KIND [N [ARG]] [ch=C]", "clear" (no order any more) or "spent KIND" (an error
 * unless the whole last order was carried out). 0, or -1 with a sentence in @err.
 */
int fault_request(struct faults *f, const char *line, char *err, size_t errlen);
void fault_clear(struct faults *f);

/* One line per kind; for --help and for the status. */
void fault_help(FILE *out);
void fault_status(const struct faults *f, FILE *out);

/* Is this the moment? Counts it if so. The second one is for kinds with a channel. */
bool fault_take(struct faults *f, enum fault kind);
bool fault_take_on(struct faults *f, enum fault kind, unsigned int ch);
/* For kinds that say in their argument how many such moments are let go by first. */
bool fault_take_after(struct faults *f, enum fault kind);

/* The same without counting, and the argument of the last order. */
static inline bool fault_armed(const struct faults *f, enum fault kind)
{
	return f->order[kind].left != 0;
}

static inline uint32_t fault_arg(const struct faults *f, enum fault kind)
{
	return f->order[kind].arg;
}

#endif
