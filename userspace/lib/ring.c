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

#define ENDED	(ONI_RING_STOPPED | ONI_RING_GONE | ONI_RING_ERROR | ONI_RING_CLOSED)

/* Headers in a row that make a place believed to be the border of a frame. */
#define BORDER_HEADERS	3

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
	r->first = r->tail;
	/* It begins where the hardware is, which is a border only at the very start. */
	r->adrift = r->monitor && r->tail;
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
	r->first = 0;
	r->adrift = 0;
	r->lost_bytes = 0;
	r->lost_events = 0;
	r->last_lost = 0;
	r->lost_position = 0;
	r->skipped_bytes = 0;
	/*
	 * Nobody keeps a monitor quiet during a START, so the tail of the old
	 * acquisition may have been stored after it.
	 */
	if (r->monitor)
		__atomic_store_n(&r->cons->tail, 0, __ATOMIC_RELEASE);	/* (D) */
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

/* What became of the bytes [pos, head) that a monitor has just used. */
enum seen {
	SEEN_INTACT,
	SEEN_LAPPED,	/* the hardware may have been there */
	SEEN_RESTART,	/* another acquisition begins: nothing of this one can be told */
};

/*
 * Claim before generation: within an acquisition claim only grows and is never behind
 * head, so a claim behind the head that was loaded is one that START has set back. A
 * claim of the new acquisition that is ahead of it was stored after the generation.
 */
static enum seen look_back(const struct onidev_ring *r, uint64_t *claim)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);	/* (F) */
	*claim = acquire(&r->prod->claim);
	if (acquire(&r->prod->generation) != r->generation || *claim < r->head)
		return SEEN_RESTART;
	return *claim - r->pos > r->data_bytes ? SEEN_LAPPED : SEEN_INTACT;
}

/*
 * Give up what was overwritten and as much again as leaves half a ring of room, or it
 * would be lapped again at once. The same that read(2) does. -1 and EOVERFLOW.
 */
static int lose(struct onidev_ring *r, uint64_t claim)
{
	uint64_t next = claim - r->data_bytes / 2;

	if (next > r->head)
		next = r->head;
	r->last_lost = next - r->pos;
	r->lost_position = r->pos;
	r->lost_bytes += r->last_lost;
	r->lost_events++;
	r->pos = next;
	r->adrift = 1;
	r->block_end = 0;
	r->why = ONIDEV_FRAME_OK;
	errno = EOVERFLOW;
	return -1;
}

/*
 * Look whether a monitor can believe what it read from [pos, head). 1: yes; 0: wait
 * for the new acquisition; -1 and EOVERFLOW: no, and @pos has moved on.
 */
static int believe(struct onidev_ring *r)
{
	uint64_t claim, head;

	if (!r->monitor)
		return 1;
	switch (look_back(r, &claim)) {
	case SEEN_INTACT:
		return 1;
	case SEEN_RESTART:
		return 0;
	case SEEN_LAPPED:
		break;
	}
	/* To go on near the hardware, not near where it was when head was loaded. */
	head = acquire(&r->prod->head);
	if (acquire(&r->prod->generation) != r->generation || head < r->head)
		return 0;
	r->head = head;
	return lose(r, claim);
}

/*
 * Go to the first border at or after @from bytes behind pos. 1: it is there; 0: none
 * was found in what is there, all of which was skipped.
 */
static int find_border(struct onidev_ring *r, uint64_t from, uint64_t *skipped)
{
	uint64_t len = r->head - r->pos;
	int rc;

	/* Looked at before the search, which must stay in the ring, and after it. */
	rc = believe(r);
	if (rc <= 0)
		return rc;
	*skipped = from + onidev_frame_resync(r->table,
					      r->data + ((r->pos + from) & (r->data_bytes - 1)),
					      len - from, BORDER_HEADERS);
	rc = believe(r);
	if (rc <= 0)
		return rc;
	r->pos += *skipped;
	r->skipped_bytes += *skipped;
	return *skipped + ONIDEV_FRAME_HEADER <= len;
}

/* Take a frame out of a monitor's ring before it is looked at whether it was one. */
static void keep(struct onidev_ring *r, struct onidev_frame *frame)
{
	memcpy(r->copy, frame->sample, frame->size);
	frame->sample = r->copy;
}

/* The frame at pos, as ring_next(); 0: [pos, head) has none. */
static int frame_at_pos(struct onidev_ring *r, struct onidev_frame *frame)
{
	uint64_t skipped;
	int rc, ok;

	/* All that follows stays in the two copies of the ring. */
	if (r->head - r->pos > r->data_bytes) {
		ok = believe(r);
		if (ok <= 0)
			return ok;
	}
	if (r->adrift) {
		rc = find_border(r, 0, &skipped);
		if (rc <= 0)
			return rc;
		r->adrift = 0;
	}
	rc = onidev_frame_parse(r->table, r->data + (r->pos & (r->data_bytes - 1)),
				r->head - r->pos, frame, &r->why);
	if (!rc)
		return 0;
	if (rc > 0 && r->monitor)
		keep(r, frame);
	ok = believe(r);
	if (ok <= 0)
		return ok;
	if (rc < 0) {
		r->bad_position = r->pos;
		r->bad_addr = frame->addr;
		r->bad_size = frame->size;
		errno = EPROTO;
	}
	return rc;
}

/* Load head again. 0: nothing new. */
static int more(struct onidev_ring *r)
{
	uint64_t head = acquire(&r->prod->head);	/* (C) */

	/* Of another acquisition than the one we are in? */
	if (acquire(&r->prod->generation) != r->generation) {
		follow_generation(r);
		return 1;
	}
	/* Behind us: a START is just setting the positions to 0. */
	if (head == r->head || head < r->pos) {
		r->dry_head = head;
		return 0;
	}
	r->head = head;
	return 1;
}

int ring_next(struct onidev_ring *r, struct onidev_frame *frame)
{
	int rc;

	if (!r->table) {
		errno = EINVAL;
		return -1;
	}
	follow_generation(r);
	while (!(rc = frame_at_pos(r, frame)))
		if (!more(r))
			return 0;
	if (rc < 0)
		return -1;
	frame->position = r->pos;
	r->pos += frame->wire;
	if (r->clock && (!r->block_end || r->pos >= r->block_end))
		pair_clock(r, frame, r->pos);
	return 1;
}

int64_t ring_resync(struct onidev_ring *r)
{
	uint64_t skipped = 0;
	int rc;

	if (!r->table) {
		errno = EINVAL;
		return -1;
	}
	follow_generation(r);
	more(r);
	/* Four bytes at least: what is at pos was found bad. */
	rc = r->head - r->pos < 4 ? 0 : find_border(r, 4, &skipped);
	if (rc < 0)
		return -1;
	if (rc > 0) {
		r->adrift = 0;
		r->dry_head = 0;
		return (int64_t)skipped;
	}
	if (skipped)
		r->dry_head = r->head;
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
	return flags & (ONI_RING_STOPPED | ONI_RING_CLOSED) ? RING_END : RING_EMPTY;
}

void ring_status(const struct onidev_ring *r, struct onidev_stream_status *s)
{
	const struct oni_ring_producer *p = r->prod;

	s->head = acquire(&p->head);
	s->position = r->pos;
	s->tail = r->tail;
	s->first = r->first;
	s->lost_bytes = r->lost_bytes;
	s->lost_events = r->lost_events;
	s->skipped_bytes = r->skipped_bytes;
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
