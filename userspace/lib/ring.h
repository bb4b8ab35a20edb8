/* SPDX-License-Identifier: MIT */
/*
 * ring.h - the reader's side of a stream ring in memory.
 *
 * Owns the reader's positions; does not own the memory, makes no system call.
 * Works on the pages of a stream or a monitor (stream.c) and on a ring made by a
 * test.
 *
 * One thread at a time. Against the kernel, the diagrams in <linux/oni.h> hold: head
 * is loaded with acquire (C), tail stored with release (D). All other words of the
 * producer page are single aligned words, loaded whole.
 *
 * A monitor is not waited for, so whatever it reads may change under its hands. It
 * copies a frame first and looks afterwards, behind a barrier (F), whether the
 * hardware could have been there; only then is the copy handed out.
 */
#ifndef ONIDEV_RING_H
#define ONIDEV_RING_H

#include "onidev.h"
#include "table.h"

struct onidev_ring {
	/* where things are; set once */
	const struct oni_ring_producer *prod;
	struct oni_ring_consumer *cons;
	const uint8_t *data;		/* the ring twice in a row */
	const struct oni_block *desc;
	uint64_t data_bytes;		/* power of two */
	uint32_t desc_count;		/* power of two */

	const struct onidev_table *table;
	struct onidev_clock *clock;
	int monitor;
	uint8_t *copy;			/* of a monitor: room for any frame of @table */

	/* of the acquisition @generation */
	uint32_t generation;
	int adrift;			/* a monitor that does not know where a frame begins */
	uint64_t first;			/* where the reader joined */
	uint64_t lost_bytes;		/* overwritten before they were read, and given up */
	uint64_t lost_events;
	uint64_t last_lost;		/* of these bytes, the last time */
	uint64_t lost_position;		/* and where they were */
	uint64_t skipped_bytes;		/* read, but of no whole frame */
	uint64_t head;			/* as last loaded */
	uint64_t pos;			/* next frame */
	uint64_t tail;			/* released */
	uint64_t dry_head;		/* head that had no complete frame at pos; 0: none */
	uint64_t next_desc;
	struct oni_block block;		/* waits for the frame that completed it */
	uint64_t block_end;		/* 0: no block is waiting */

	/* why ring_next() last failed */
	enum onidev_frame_error why;
	uint64_t bad_position;
	uint32_t bad_addr;
	uint32_t bad_size;
};

/*
 * Take up a ring at its current tail. EINVAL: its geometry makes no sense.
 * At any time: bytes of the frames iterated + lost_bytes + skipped_bytes =
 * pos - first.
 */
int ring_init(struct onidev_ring *r);
int ring_next(struct onidev_ring *r, struct onidev_frame *frame);
int64_t ring_resync(struct onidev_ring *r);
void ring_release(struct onidev_ring *r);
int ring_release_to(struct onidev_ring *r, uint64_t position);
int ring_block_next(struct onidev_ring *r, struct oni_block *block, uint64_t *lost);
void ring_status(const struct onidev_ring *r, struct onidev_stream_status *status);

/* What a waiter wants to know, from one consistent look. */
enum ring_state {
	RING_EMPTY,	/* nothing new */
	RING_SOME,	/* new bytes, fewer than the watermark */
	RING_READY,	/* as many as the watermark */
	RING_END,	/* stopped or closed, and iterated */
	RING_GONE,	/* hardware gone and iterated */
	RING_ERROR,	/* ended with prod->error and iterated */
};
enum ring_state ring_look(struct onidev_ring *r, uint32_t watermark_bytes);

#endif
