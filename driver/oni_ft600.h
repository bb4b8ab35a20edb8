/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private to oni_ft600.ko: the Acquisition Board behind an FT600 USB bridge.
 *
 * oni_ft600_usb.c	binding, the chip's own requests, power management
 * oni_ft600_pipe.c	bulk pipes: requests in flight, credit, repair of errors
 * oni_ft600_link.c	what the core asks for: registers, write frames, the ring
 * oni_ft600_parse.c	what the bytes mean
 *
 * Lifetime: struct ft600 lives from probe to disconnect, whichever of the two
 * interfaces that comes for. It is freed when the core calls no op any more and
 * no URB is in flight.
 *
 * Locking: ft600::lock (irqsave) protects what is listed below it and in struct
 * ft600_in, and every submission of an URB of a bulk-IN pipe by a completion: a
 * pipe that is switched off under the lock starts nothing any more, once its
 * work is over, which may wait for memory and submits without the lock. Data are
 * copied without it; ft600::pumping says who may copy. Lock order: ft600::lock, then the locks
 * of the ring and of USB.
 * The core calls reset() alone, and one op of each group (rx, ctl, tx) at a
 * time: each group has its bulk-OUT pipe for itself, and the session pipe
 * belongs to rx and reset(). What completion handlers send there has URBs of its
 * own.
 */
#ifndef ONI_FT600_H
#define ONI_FT600_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/usb.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "oni_ft600_parse.h"
#include "oni_link.h"

/*
 * A transfer carries one block, so the block size is what latency costs. The
 * unit divides into packets at any speed of the bus.
 */
#define FT600_BLOCK_ALIGN	1024U
#define FT600_BLOCK_MAX		(32 * 1024U)
/* In flight, with blocks of 4 KiB and more: 14 ms of the fastest board. */
#define FT600_POOL_CHUNKS	16
#define FT600_DATA_SLOTS	128
#define FT600_WRITE_BYTES	4096

struct ft600;
struct ft600_in;

/**
 * struct ft600_slot - one transfer of a bulk-IN pipe
 * @in: the pipe
 * @urb: its URB
 * @buf: where the data go
 * @node: in ft600_in.idle or ft600.done, if not in flight
 * @len: bytes that came
 * @seen_ns: CLOCK_MONOTONIC when they did
 */
struct ft600_slot {
	struct ft600_in *in;
	struct urb *urb;
	u8 *buf;
	struct list_head node;
	u32 len;
	u64 seen_ns;
};

enum ft600_in_state {
	FT600_IN_OFF,		/* nothing is submitted */
	FT600_IN_ON,
	FT600_IN_REPAIR,	/* the work will submit what is idle */
	FT600_IN_FAILED,	/* link error: off as soon as the core says so */
};

/**
 * struct ft600_in - a bulk-IN pipe
 * @f: the board
 * @ep: endpoint address
 * @cmd: session command that opens it, %FT600_SESSION_READ or _STREAM
 * @flying: URBs in flight
 * @work: repair after an error, what there was no memory for, and the look at a
 *	pipe that is @watched
 * @take: consume what came in a slot, then ft600_in_again(); no lock held
 * @watched: data are expected all the time; constant
 * @slot: all slots
 * @slots: how many there are
 * @request: URB of the session packet that asks for more
 * @packet: its data
 * @state: ft600.lock, as all below
 * @idle: slots that are not in flight and hold no data, the next one first
 * @credit: what was asked for
 * @requesting: @request is in flight, or about to be
 * @request_again: and the next one is due; or there was no memory for this one
 * @starved: the work will submit what there was no memory for
 * @repeated: asked again in this silence
 * @moved: jiffies of the last completion
 * @errors: repairs since data came last
 * @halts: of these, after a stall
 * @empty: transfers without data in a row
 * @halted: the endpoint is stalled
 */
struct ft600_in {
	struct ft600 *f;
	u8 ep;
	u32 cmd;
	struct usb_anchor flying;
	struct delayed_work work;
	void (*take)(struct ft600_slot *slot);
	bool watched;
	struct ft600_slot *slot;
	unsigned int slots;
	struct urb *request;
	u8 *packet;

	enum ft600_in_state state;
	struct list_head idle;
	struct oni_ft600_credit credit;
	bool requesting;
	bool request_again;
	bool starved;
	bool repeated;
	unsigned long moved;
	unsigned int errors;
	unsigned int halts;
	unsigned int empty;
	bool halted;
};

/**
 * struct ft600_out - a bulk-OUT pipe that is written and waited for
 * @ep: endpoint address
 * @urb: its URB
 * @buf: the data
 * @done: the URB has come back
 */
struct ft600_out {
	u8 ep;
	struct urb *urb;
	u8 *buf;
	struct completion done;
};

struct ft600 {
	struct usb_device *udev;
	struct usb_interface *data_intf;	/* parent of the controller */
	struct usb_interface *session_intf;
	struct oni_link *link;
	wait_queue_head_t wait;
	struct ft600_out session;
	struct ft600_out command;
	struct ft600_out write;
	struct ft600_in data;
	struct ft600_in reply;
	u8 *pool[FT600_POOL_CHUNKS];		/* buffers of the data pipe */
	struct oni_ft600_parser parser;		/* reply pipe's completions */
	u32 packet;				/* of the reply pipe, bytes */
	bool chip_ready;			/* pins are set; reset() */
	bool value_lost;			/* an answer may still come; ctl ops */
	bool write_cut;				/* so was a frame, perhaps; tx() */
	bool held;				/* FIFOs, perhaps, in reset; reset() */

	spinlock_t lock;			/* all below */
	bool frozen;				/* suspended, or in a bus reset */
	u32 seq;				/* of session packets */
	bool value_wanted;			/* a reply is due */
	bool value_got;
	u32 value;

	/* data on their way into the ring */
	struct oni_ring *ring;
	bool serving;
	bool pumping;				/* somebody copies */
	struct list_head done;			/* slots with data, in order */
	u8 carry[4];				/* of whoever is pumping: */
	u32 carry_len;				/* less than a word */
	u64 moves;				/* of data slots */

	u64 completions;
	u64 nothings;				/* without data, or of no use */
};

/* oni_ft600_pipe.c */
int ft600_in_init(struct ft600_in *in, struct ft600 *f, u8 ep,
		  unsigned int slots, void (*take)(struct ft600_slot *slot));
void ft600_in_free(struct ft600_in *in);
int ft600_in_start(struct ft600_in *in, unsigned int slots, u32 unit,
		   u32 grant);
void ft600_in_stop(struct ft600_in *in);
void ft600_in_again(struct ft600_slot *slot);
int ft600_out_init(struct ft600_out *out, struct ft600 *f, u8 ep, size_t size);
void ft600_out_free(struct ft600_out *out);
int ft600_out_send(struct ft600 *f, struct ft600_out *out, u32 bytes);
int ft600_session(struct ft600 *f, u8 ep, u32 cmd, u64 bytes);
void ft600_lost(struct ft600 *f);

/* oni_ft600_link.c */
extern const struct oni_link_ops ft600_ops;
int ft600_link_init(struct ft600 *f);
void ft600_link_free(struct ft600 *f);
void ft600_quiet(struct ft600 *f);
bool ft600_frozen(struct ft600 *f);

/* oni_ft600_usb.c */
int ft600_chip_reset(struct ft600 *f);

#endif /* ONI_FT600_H */
