/* SPDX-License-Identifier: MIT */
/*
 * fifo.h - card RAM: the byte FIFO between the devices and the read channel.
 *
 * Owns the memory and the account of every frame that went in: produced =
 * delivered + left + lost must hold per device at any time. Each of them is counted
 * by what happens to a frame, none from the others, so that it can fail.
 *   produced   frames the device made
 *   delivered  frames whose last byte left the card
 *   left       frames in card RAM, whole or in part, or thrown away from there
 *              by a controller reset or a start ("discarded" counts the latter)
 *   lost       frames dropped because card RAM was full
 * Threads: no lock; called under the card lock.
 * Source: ONI v1.0 spec (read frame), ONIX hardware guide (RAM as acquisition
 * buffer; what a full RAM does to the stream is not published, whole frames
 * are dropped here).
 */
#ifndef SIM_FIFO_H
#define SIM_FIFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIFO_MAX_DEVICES	256

struct fifo_device {
	uint32_t addr;
	uint32_t id;
	uint64_t produced, delivered, discarded, lost;
	uint64_t first_clock, last_clock;	/* of this run; see run_frames */
	uint64_t run_frames;
	uint64_t in_ram;	/* frames of which something is still in the RAM */
	uint64_t out;		/* frames that left the RAM and not the card, see stage.h */
};

/* A frame of device @dev ends after @at bytes. */
struct fifo_end {
	uint32_t at;
	int dev;
};

struct fifo {
	uint8_t *mem;		/* mapped twice back to back */
	uint64_t size;
	uint64_t head, tail;	/* taken and put; offset = position % size */
	uint64_t peak;
	uint64_t frame_end;	/* end of the frame head is inside of */
	int frame_dev;
	uint64_t bytes_out;
	uint64_t discards;	/* times it was emptied */
	unsigned int devices;
	struct fifo_device dev[FIFO_MAX_DEVICES];
	int16_t index[65536];	/* device by address, -1: none */
};

/* @size is rounded up to a page. Returns 0 or -errno. */
int fifo_init(struct fifo *f, uint64_t size);
void fifo_free(struct fifo *f);

/* Put one frame; dropped and counted as lost if it does not fit. */
void fifo_put(struct fifo *f, uint32_t addr, const void *frame, size_t len);
const void *fifo_peek(const struct fifo *f, size_t *len);
void fifo_take(struct fifo *f, size_t len);
/*
 * Move bytes into another buffer of the card: frames whose last byte is among
 * them are noted in @end and are not delivered before fifo_moved_out().
 */
unsigned int fifo_move(struct fifo *f, void *to, size_t len, struct fifo_end *end,
		       unsigned int max);
void fifo_moved_out(struct fifo *f, int dev, bool delivered);

/* Throw everything away (controller reset, start of a run). */
void fifo_discard(struct fifo *f);

uint64_t fifo_used(const struct fifo *f);
uint64_t fifo_room(const struct fifo *f);
/* Frames of a device inside the card now, and frames that never left it. */
uint64_t fifo_held(const struct fifo_device *d);
uint64_t fifo_left(const struct fifo_device *d);

/* The account of a device; a new one is added at its first mention. */
struct fifo_device *fifo_device(struct fifo *f, uint32_t addr, uint32_t id);
void fifo_run_begin(struct fifo *f);
/* Counters to zero; frames in the card become the first ones produced. */
void fifo_reset_counters(struct fifo *f);

#endif
