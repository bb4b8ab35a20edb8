// SPDX-License-Identifier: MIT
/*
 * ring.c - frames and block descriptors out of a stream ring, in place.
 *
 * Implements the reader's half of "DOC: the ring" in <linux/oni.h>. Pure apart from
 * the shared memory itself; see ring.h for threads and ownership.
 */
#include <errno.h>
#include <string.h>

#include "ring.h"

#define acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define relaxed(p)	__atomic_load_n(p, __ATOMIC_RELAXED)

#define ENDED	(ONI_RING_STOPPED | ONI_RING_GONE | ONI_RING_ERROR)

static int power_of_two(uint64_t v)
{
	return v && !(v & (v - 1));
}

int ring_init(struct onidev_ring *r)
{
	if (r->prod->magic != ONI_RING_MAGIC || !power_of_two(r->data_bytes) ||
	    !power_of_two(r->desc_count) || r->prod->data_bytes != r->data_bytes ||
	    r->prod->desc_count != r->desc_count) {
		errno = EINVAL;
		return -1;
	}
	r->generation = acquire(&r->prod->generation);
	/* A received stream may have been read before: go on where that ended. */
	r->tail = relaxed(&r->cons->tail);
	r->pos = r->tail;
	r->head = r->tail;
	return 0;
}

/* A new acquisition starts at 0 in everything. */
static void follow_generation(struct onidev_ring *r)
{
	uint32_t generation = acquire(&r->prod->generation);

	if (generation == r->generation)
		return;
	r->generation = generation;
	r->head = 0;
	r->pos = 0;
	r->tail = 0;
	r->dry_head = 0;
	r->next_desc = 0;
	r->block_end = 0;
	if (r->clock)
		onidev_clock_reset(r->clock);
}

int ring_block_next(struct onidev_ring *r, struct oni_block *block, uint64_t *lost)
{
	uint64_t head, i;

	follow_generation(r);
	head = acquire(&r->prod->desc_head);
	i = r->next_desc;
	if (i >= head)
		return 0;
	if (head - i < r->desc_count) {
		memcpy(block, &r->desc[i & (r->desc_count - 1)], sizeof(*block));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		/* The slot may have been taken again while it was copied. */
		head = relaxed(&r->prod->desc_head);
		if (head - i < r->desc_count) {
			r->next_desc = i + 1;
			return 1;
		}
	}
	/* Leave half a ring of room, or the next one is lapped as well. */
	r->next_desc = head - r->desc_count / 2;
	if (lost)
		*lost = r->next_desc - i;
	errno = EOVERFLOW;
	return -1;
}

/*
 * The frame @f ends at @end. If it is the one that filled a block, its clock and
 * the block's interrupt belong together: the controller made the frame, the block
 * was full, the transfer began. A short block was cut off by the stop instead.
 */
static void pair_clock(struct onidev_ring *r, const struct onidev_frame *f, uint64_t end)
{
	for (;;) {
		if (!r->block_end) {
			int rc = ring_block_next(r, &r->block, NULL);

			if (!rc)
				return;
			if (rc < 0)
				continue;
			r->block_end = r->block.position + r->block.bytes;
		}
		if (end < r->block_end)
			return;
		if (f->position < r->block_end && !(r->block.flags & ONI_BLOCK_SHORT))
			onidev_clock_add(r->clock, f->clock, r->block.mono_ns);
		r->block_end = 0;
	}
}

int ring_next(struct onidev_ring *r, struct onidev_frame *frame)
{
	uint64_t head;
	int rc;

	if (!r->table) {
		errno = EINVAL;
		return -1;
	}
	follow_generation(r);
	for (;;) {
		const uint8_t *p = r->data + (r->pos & (r->data_bytes - 1));

		rc = onidev_frame_parse(r->table, p, r->head - r->pos, frame, &r->why);
		if (rc)
			break;
		head = acquire(&r->prod->head);	/* (C) */
		/* Of another acquisition than the one we are in? */
		if (acquire(&r->prod->generation) != r->generation) {
			follow_generation(r);
			continue;
		}
		/* Behind us: a START is just setting the positions to 0. */
		if (head == r->head || head < r->pos) {
			r->dry_head = head;
			return 0;
		}
		r->head = head;
	}
	if (rc < 0) {
		r->bad_position = r->pos;
		r->bad_addr = frame->addr;
		r->bad_size = frame->size;
		return -1;
	}
	frame->position = r->pos;
	r->pos += frame->wire;
	if (r->clock && (!r->block_end || r->pos >= r->block_end))
		pair_clock(r, frame, r->pos);
	return 1;
}

int64_t ring_resync(struct onidev_ring *r)
{
	uint64_t skipped, len;

	if (!r->table) {
		errno = EINVAL;
		return -1;
	}
	follow_generation(r);
	r->head = acquire(&r->prod->head);
	len = r->head - r->pos;
	/* Four bytes at least: what is at pos was found bad. */
	if (len < 4)
		goto again;
	skipped = 4 + onidev_frame_resync(r->table, r->data + ((r->pos + 4) & (r->data_bytes - 1)),
					  len - 4, 3);
	r->pos += skipped;
	if (skipped + ONIDEV_FRAME_HEADER <= len)
		return (int64_t)skipped;
	r->dry_head = r->head;
again:
	errno = EAGAIN;
	return -1;
}

void ring_release(struct onidev_ring *r)
{
	/*
	 * After a new START the position belongs to a ring that is no more; writing
	 * it would be a tail ahead of head.
	 */
	if (r->tail == r->pos || acquire(&r->prod->generation) != r->generation)
		return;
	r->tail = r->pos;
	__atomic_store_n(&r->cons->tail, r->tail, __ATOMIC_RELEASE);	/* (D) */
}

int ring_release_to(struct onidev_ring *r, uint64_t position)
{
	if (position < r->tail || position > r->pos) {
		errno = EINVAL;
		return -1;
	}
	if (position == r->tail || acquire(&r->prod->generation) != r->generation)
		return 0;
	r->tail = position;
	__atomic_store_n(&r->cons->tail, r->tail, __ATOMIC_RELEASE);	/* (D) */
	return 0;
}

enum ring_state ring_look(struct onidev_ring *r, uint32_t watermark_bytes)
{
	uint32_t flags;
	uint64_t head;

	follow_generation(r);
	/* Flags first: head is final once they say so. */
	flags = acquire(&r->prod->flags);
	head = acquire(&r->prod->head);
	if (head != r->dry_head && head > r->pos) {
		if (flags & ENDED || head - r->tail >= watermark_bytes)
			return RING_READY;
		return RING_SOME;
	}
	if (flags & ONI_RING_ERROR)
		return RING_ERROR;
	if (flags & ONI_RING_GONE)
		return RING_GONE;
	return flags & ONI_RING_STOPPED ? RING_END : RING_EMPTY;
}

void ring_status(const struct onidev_ring *r, struct onidev_stream_status *s)
{
	const struct oni_ring_producer *p = r->prod;

	s->head = acquire(&p->head);
	s->position = r->pos;
	s->tail = r->tail;
	s->ring_bytes = r->data_bytes;
	s->peak_bytes = relaxed(&p->peak_bytes);
	s->blocks = relaxed(&p->blocks);
	s->short_blocks = relaxed(&p->short_blocks);
	s->full_events = relaxed(&p->full_events);
	s->full_ns = relaxed(&p->full_ns);
	s->wakeups = relaxed(&p->wakeups);
	s->start_ns = relaxed(&p->start_ns);
	s->block_bytes = p->block_bytes;
	s->flags = acquire(&p->flags);
	s->error = relaxed(&p->error);
	s->generation = r->generation;
}
