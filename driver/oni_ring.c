// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ring memory and positions. See oni_ring.h and the diagram in the UAPI
 * header; the barriers are marked (A) ... (D) as there.
 */
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "oni_compat.h"
#include "oni_ring.h"
#include "oni_ring_math.h"
#include "oni_trace.h"

/* A stalled producer looks at the tail again after this long. */
#define STALL_RECHECK_NS	(500 * NSEC_PER_USEC)

/*
 * The tail is hostile input: it is loaded once, and anything but a step
 * forward inside what was published ends the stream. Returns false then.
 * Caller holds ring->lock.
 */
static bool load_tail(struct oni_ring *ring, u64 *tail)
{
	u64 t = smp_load_acquire(&ring->cons->tail);		/* (A) */

	lockdep_assert_held(&ring->lock);
	if (!oni_ring_tail_ok(ring->head, ring->last_tail, t)) {
		*tail = ring->last_tail;
		return false;
	}
	ring->last_tail = t;
	*tail = t;
	return true;
}

static bool final(const struct oni_ring *ring)
{
	return READ_ONCE(ring->prod->flags) &
	       (ONI_RING_STOPPED | ONI_RING_GONE | ONI_RING_ERROR);
}

static void latch(struct oni_ring *ring, u32 flags, int err)
{
	struct oni_ring_producer *prod = ring->prod;

	lockdep_assert_held(&ring->lock);
	if (err && !prod->error)
		WRITE_ONCE(prod->error, -err);	/* the first error stays */
	WRITE_ONCE(prod->flags,
		   (prod->flags & ~(ONI_RING_RUNNING | ONI_RING_FULL)) | flags);
}

static void set_full(struct oni_ring *ring, bool full, u64 now)
{
	struct oni_ring_producer *prod = ring->prod;

	if (ring->full == full)
		return;
	ring->full = full;
	if (full) {
		ring->full_since = now;
		prod->full_events++;
		WRITE_ONCE(prod->flags, prod->flags | ONI_RING_FULL);
	} else {
		prod->full_ns += now - ring->full_since;
		WRITE_ONCE(prod->flags, prod->flags & ~ONI_RING_FULL);
	}
	trace_oni_ring_full(full, ring->head, ring->last_tail);
}

/* The rule of struct oni_stream_create. Caller holds ring->lock. */
static bool due(struct oni_ring *ring, u64 tail)
{
	return oni_ring_due(ring->head, tail, ring->watermark, ring->due_head);
}

static enum hrtimer_restart latency_expired(struct hrtimer *timer)
{
	struct oni_ring *ring = container_of(timer, struct oni_ring,
					     latency_timer);
	unsigned long flags;
	bool wake;
	u64 tail;

	spin_lock_irqsave(&ring->lock, flags);
	ring->latency_armed = false;
	ring->due_head = ring->head;
	load_tail(ring, &tail);
	wake = tail < ring->head && wq_has_sleeper(&ring->wait);
	if (wake)
		ring->prod->wakeups++;
	spin_unlock_irqrestore(&ring->lock, flags);

	if (wake)
		wake_up_all(&ring->wait);
	return HRTIMER_NORESTART;
}

/*
 * The reader moves its tail without telling anybody, so a producer that was
 * held back has to look. Kicking is all that happens here: the transport
 * asks oni_ring_room() itself, under its own lock.
 */
static enum hrtimer_restart stall_expired(struct hrtimer *timer)
{
	struct oni_ring *ring = container_of(timer, struct oni_ring,
					     stall_timer);
	unsigned long flags;

	oni_ring_reader_kick(ring);

	spin_lock_irqsave(&ring->lock, flags);
	/* The kick may have filled the ring again and armed the timer anew. */
	if (ring->full && !final(ring) && !hrtimer_is_queued(timer)) {
		hrtimer_forward_now(timer, ns_to_ktime(STALL_RECHECK_NS));
		spin_unlock_irqrestore(&ring->lock, flags);
		return HRTIMER_RESTART;
	}
	spin_unlock_irqrestore(&ring->lock, flags);
	return HRTIMER_NORESTART;
}

static void free_chunks(struct oni_ring *ring, unsigned int n)
{
	unsigned int i, j;

	/* split_page() gave every page its own count. */
	for (i = 0; i < n; i++)
		for (j = 0; j < 1U << ring->chunk_order; j++)
			__free_page(ring->chunk[i] + j);
}

/*
 * Few large chunks make short scatter-gather lists; under fragmentation any
 * chunk size will do. All chunks have one size, so that a position is found by
 * shift and mask.
 */
static int alloc_chunks(struct oni_ring *ring)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;
	unsigned int order = min_t(unsigned int, get_order(ring->size), 8);
	unsigned int i;

	for (;; order--) {
		/* A user's wish for a large ring must not kill others. */
		gfp_t g = gfp | (order ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL);

		ring->chunk_order = order;
		ring->chunks = ring->size >> (PAGE_SHIFT + order);
		ring->chunk = kvcalloc(ring->chunks, sizeof(*ring->chunk),
				       GFP_KERNEL_ACCOUNT);
		if (!ring->chunk)
			return -ENOMEM;
		for (i = 0; i < ring->chunks; i++) {
			ring->chunk[i] = alloc_pages(g, order);
			if (!ring->chunk[i])
				break;
			split_page(ring->chunk[i], order);
		}
		if (i == ring->chunks)
			return 0;
		free_chunks(ring, i);
		kvfree(ring->chunk);
		ring->chunk = NULL;
		if (!order)
			return -ENOMEM;
	}
}

static void free_ring(struct oni_ring *ring)
{
	unsigned int i;

	if (ring->chunk) {
		free_chunks(ring, ring->chunks);
		kvfree(ring->chunk);
	}
	if (ring->desc_pages)
		for (i = 0; i < 1U << ring->desc_order; i++)
			__free_page(ring->desc_pages + i);
	free_page((unsigned long)ring->prod);
	free_page((unsigned long)ring->cons);
	kfree(ring);
}

/**
 * oni_ring_create - allocate a ring
 * @size: bytes, a power of two, at least ONI_RING_MIN and PAGE_SIZE
 * @block: bytes per block
 *
 * Return: a ring with one reference, or NULL.
 */
struct oni_ring *oni_ring_create(u64 size, u32 block)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT;
	struct oni_ring *ring;

	ring = kzalloc(sizeof(*ring), gfp);
	if (!ring)
		return NULL;
	kref_init(&ring->ref);
	init_waitqueue_head(&ring->wait);
	spin_lock_init(&ring->lock);
	oni_hrtimer_setup(&ring->latency_timer, latency_expired,
			  HRTIMER_MODE_REL_SOFT);
	oni_hrtimer_setup(&ring->stall_timer, stall_expired,
			  HRTIMER_MODE_REL_SOFT);
	ring->size = size;
	ring->block = block;
	ring->watermark = block;

	ring->prod = (void *)get_zeroed_page(gfp);
	ring->cons = (void *)get_zeroed_page(gfp);
	ring->desc_order = get_order(ONI_DESC_COUNT * sizeof(*ring->desc));
	ring->desc_pages = alloc_pages(gfp | __GFP_ZERO, ring->desc_order);
	if (!ring->prod || !ring->cons || !ring->desc_pages)
		goto fail;
	split_page(ring->desc_pages, ring->desc_order);
	ring->desc = page_address(ring->desc_pages);
	if (alloc_chunks(ring))
		goto fail;

	ring->prod->magic = ONI_RING_MAGIC;
	ring->prod->abi_version = ONI_ABI_VERSION;
	ring->prod->data_bytes = size;
	ring->prod->block_bytes = block;
	ring->prod->desc_count = ONI_DESC_COUNT;
	return ring;

fail:
	free_ring(ring);
	return NULL;
}

void oni_ring_get(struct oni_ring *ring)
{
	kref_get(&ring->ref);
}

static void ring_release(struct kref *ref)
{
	struct oni_ring *ring = container_of(ref, struct oni_ring, ref);

	hrtimer_cancel(&ring->latency_timer);
	hrtimer_cancel(&ring->stall_timer);
	free_ring(ring);
}

void oni_ring_put(struct oni_ring *ring)
{
	kref_put(&ring->ref, ring_release);
}

/**
 * oni_ring_begin - a new acquisition starts at position 0
 * @ring: the ring
 * @kick: called when the reader may have made room; any context, must not
 *	sleep; not called after oni_ring_end()
 * @arg: for @kick
 */
void oni_ring_begin(struct oni_ring *ring, void (*kick)(void *), void *arg)
{
	struct oni_ring_producer *prod = ring->prod;
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	ring->head = 0;
	ring->last_tail = 0;
	ring->due_head = 0;
	ring->full = false;
	ring->kick = kick;
	ring->kick_arg = arg;
	/* As the reader does it (D); it is quiet during a start. */
	smp_store_release(&ring->cons->tail, 0);
	WRITE_ONCE(prod->desc_head, 0);
	WRITE_ONCE(prod->error, 0);
	WRITE_ONCE(prod->flags, ONI_RING_RUNNING);
	WRITE_ONCE(prod->start_ns, ktime_get_ns());
	WRITE_ONCE(prod->head, 0);
	/*
	 * Last, and after head: a reader that sees the new generation must not
	 * take the old head for data of it.
	 */
	smp_store_release(&prod->generation, prod->generation + 1);
	spin_unlock_irqrestore(&ring->lock, flags);
}

/**
 * oni_ring_end - no further block will be published in this acquisition
 * @ring: the ring
 * @flags: ONI_RING_STOPPED, _GONE or _ERROR
 * @err: negative errno for _ERROR, else 0
 *
 * Wakes every reader. Process context; waits for a running kick.
 */
void oni_ring_end(struct oni_ring *ring, u32 flags, int err)
{
	unsigned long irq;

	spin_lock_irqsave(&ring->lock, irq);
	set_full(ring, false, ktime_get_ns());
	latch(ring, flags, err);
	ring->kick = NULL;
	spin_unlock_irqrestore(&ring->lock, irq);

	hrtimer_cancel(&ring->latency_timer);
	hrtimer_cancel(&ring->stall_timer);
	ring->latency_armed = false;
	wake_up_all(&ring->wait);
}

void oni_ring_set_wake(struct oni_ring *ring, u32 watermark, u32 latency_us)
{
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	ring->watermark = watermark;
	ring->latency_ns = (u64)latency_us * NSEC_PER_USEC;
	spin_unlock_irqrestore(&ring->lock, flags);
	wake_up_all(&ring->wait);
}

u64 oni_ring_head(struct oni_ring *ring)
{
	return READ_ONCE(ring->head);
}
EXPORT_SYMBOL_ONI(oni_ring_head);

/**
 * oni_ring_error - latch an error and end the stream
 * @ring: the ring
 * @err: negative errno
 *
 * Return: @err
 */
int oni_ring_error(struct oni_ring *ring, int err)
{
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	set_full(ring, false, ktime_get_ns());
	latch(ring, ONI_RING_ERROR, err);
	spin_unlock_irqrestore(&ring->lock, flags);
	wake_up_all(&ring->wait);
	return err;
}
EXPORT_SYMBOL_ONI(oni_ring_error);

/**
 * oni_ring_room - may the hardware write @bytes more?
 * @ring: the ring
 * @bytes: at most the ring size
 *
 * If not, the producer counts as held back and is kicked when the reader has
 * moved on.
 */
bool oni_ring_room(struct oni_ring *ring, u32 bytes)
{
	unsigned long flags;
	bool ok, room;
	u64 tail;

	spin_lock_irqsave(&ring->lock, flags);
	ok = load_tail(ring, &tail);
	room = ok && !final(ring) &&
	       oni_ring_fits(ring->head, tail, ring->size, bytes);
	if (ok && !final(ring)) {
		if (!room && !ring->full)
			hrtimer_start(&ring->stall_timer,
				      ns_to_ktime(STALL_RECHECK_NS),
				      HRTIMER_MODE_REL_SOFT);
		set_full(ring, !room, ktime_get_ns());
	}
	spin_unlock_irqrestore(&ring->lock, flags);

	if (!ok)
		oni_ring_error(ring, -EPROTO);
	return room;
}
EXPORT_SYMBOL_ONI(oni_ring_room);

/**
 * oni_ring_publish - @bytes at the head are complete and visible to the CPU
 * @ring: the ring
 * @bytes: length of the block, within what oni_ring_room() allowed
 * @now_ns: CLOCK_MONOTONIC of the event that reported the block
 */
void oni_ring_publish(struct oni_ring *ring, u32 bytes, u64 now_ns)
{
	struct oni_ring_producer *prod = ring->prod;
	struct oni_block *desc;
	unsigned long flags;
	bool wake = false;
	u64 tail, seq;

	spin_lock_irqsave(&ring->lock, flags);
	seq = prod->desc_head;
	desc = &ring->desc[seq % ONI_DESC_COUNT];
	desc->position = ring->head;
	desc->bytes = bytes;
	desc->flags = bytes < ring->block ? ONI_BLOCK_SHORT : 0;
	desc->mono_ns = now_ns;
	desc->seq = seq;

	ring->head += bytes;
	ring->total += bytes;
	prod->blocks++;
	if (bytes < ring->block)
		prod->short_blocks++;
	smp_store_release(&prod->head, ring->head);		/* (B) */
	smp_store_release(&prod->desc_head, seq + 1);		/* (B) */

	/* A bad tail is found by the next oni_ring_room(). */
	load_tail(ring, &tail);
	trace_oni_block(desc->position, bytes, ring->head - tail);
	if (ring->head - tail > prod->peak_bytes)
		prod->peak_bytes = ring->head - tail;
	if (due(ring, tail)) {
		wake = wq_has_sleeper(&ring->wait);
		if (wake)
			prod->wakeups++;
	} else if (ring->latency_ns && !ring->latency_armed) {
		ring->latency_armed = true;
		hrtimer_start(&ring->latency_timer,
			      ns_to_ktime(ring->latency_ns),
			      HRTIMER_MODE_REL_SOFT);
	}
	spin_unlock_irqrestore(&ring->lock, flags);

	if (wake)
		wake_up_all(&ring->wait);
}
EXPORT_SYMBOL_ONI(oni_ring_publish);

/**
 * oni_ring_readable - does the wake-up rule hold?
 * @ring: the ring
 * @any: any byte will do
 * @avail: out: bytes between tail and head
 *
 * An ended stream is readable: what is left, the end of it, or the error.
 */
bool oni_ring_readable(struct oni_ring *ring, bool any, u64 *avail)
{
	unsigned long flags;
	bool ok, ready;
	u64 tail;

	spin_lock_irqsave(&ring->lock, flags);
	ok = load_tail(ring, &tail);
	*avail = ring->head - tail;
	ready = (*avail && (any || due(ring, tail))) || final(ring);
	spin_unlock_irqrestore(&ring->lock, flags);

	if (!ok) {
		oni_ring_error(ring, -EPROTO);
		*avail = 0;
		return true;
	}
	return ready;
}

/* The reader was here: if the producer is held back, let it look again. */
void oni_ring_reader_kick(struct oni_ring *ring)
{
	void (*kick)(void *) = NULL;
	unsigned long flags;
	void *arg = NULL;

	spin_lock_irqsave(&ring->lock, flags);
	if (ring->full) {
		kick = ring->kick;
		arg = ring->kick_arg;
	}
	spin_unlock_irqrestore(&ring->lock, flags);

	if (kick)
		kick(arg);
}

u64 oni_ring_tail(struct oni_ring *ring)
{
	unsigned long flags;
	u64 tail;

	spin_lock_irqsave(&ring->lock, flags);
	load_tail(ring, &tail);
	spin_unlock_irqrestore(&ring->lock, flags);
	return tail;
}

/* read(2) releases what it copied: (D), done by the kernel for its caller. */
void oni_ring_set_tail(struct oni_ring *ring, u64 tail)
{
	smp_store_release(&ring->cons->tail, tail);		/* (D) */
}
