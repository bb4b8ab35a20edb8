/* SPDX-License-Identifier: MIT */
/*
 * stage.h - read frames on their way from card RAM to the host, in a buffer
 * that a reset of the RAM does not reach.
 *
 * Owns the bytes and where the frames end in them, so that the account of
 * fifo.h stays true: a frame is delivered when its last byte leaves here, and
 * one that is dropped here, or that lost its beginning here, counts as left.
 * Threads: no lock; called under the card lock.
 */
#ifndef SIM_STAGE_H
#define SIM_STAGE_H

#include "fifo.h"

#define STAGE_MAX	16384u
#define STAGE_ENDS	(STAGE_MAX / 16)	/* no frame is shorter than a header */

struct stage {
	struct fifo *fifo;
	uint32_t size;
	uint8_t byte[STAGE_MAX];
	uint32_t head, len;
	struct fifo_end end[STAGE_ENDS];	/* ring, positions from head on */
	uint32_t ends_head, ends;
	bool inside;		/* the last byte that came is not the end of a frame */
	bool cut;		/* the frame at the head lost bytes */
	uint64_t discards;	/* of the FIFO, as far as this is up to date */
};

void stage_init(struct stage *s, struct fifo *fifo, uint32_t size);

/* Move what fits from the FIFO. Returns the bytes moved. */
uint32_t stage_fill(struct stage *s);
/* Copy the first @len bytes out, or drop everything. */
void stage_take(struct stage *s, uint8_t *to, uint32_t len);
void stage_drop(struct stage *s);

#endif
