// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ring memory and positions. See oni_ring.h and the diagram in the UAPI
 * header; the barriers are marked (A) ... (F) as there.
 */
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "oni_compat.h"
#include "oni_region.h"
#include "oni_ring.h"
#include "oni_ring_math.h"
#include "oni_trace.h"

/* A stalled producer looks at the tail again after this long. */
#define STALL_RECHECK_NS	(500 * NSEC_PER_USEC)

/*
 * The tail is hostile input: it is loaded once. The stream's reader may only
 * take a step forward inside what was published, and anything else ends the
 * stream; a monitor hurts nobody but itself and may go anywhere below head.
 * Returns false for a tail that is not believed, and the last good one.
 * Caller holds ring->lock.
 */
static bool load_tail(struct oni_reader *rd, u64 *tail)
{
	u64 t = smp_load_acquire(&rd->cons->tail);		/* (A) */
	u64 floor = rd->monitor ? 0 : rd->last_tail;

	lockdep_assert_held(&rd->ring->lock);
	if (!oni_ring_tail_ok(rd->ring->head, floor, t)) {
		*tail = rd->last_tail;
		return false;
	}
	rd->last_tail = t;
	*tail = t;
	return true;
}

static bool final(const struct oni_ring *ring)
{
	return READ_ONCE(ring->prod->flags) &
	       (ONI_RING_STOPPED | ONI_RING_GONE | ONI_RING_ERROR |
		ONI_RING_CLOSED);
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

/* Reading the clock is not for every block. */
static void set_full(struct oni_ring *ring, bool full)
{
	struct oni_ring_producer *prod = ring->prod;
	u64 now;

	if (ring->full == full)
		return;
	now = ktime_get_ns();
	WRITE_ONCE(ring->full, full);
	if (full) {
		ring->full_since = now;
		prod->full_events++;
		WRITE_ONCE(prod->flags, prod->flags | ONI_RING_FULL);
	} else {
		prod->full_ns += now - ring->full_since;
		WRITE_ONCE(prod->flags, prod->flags & ~ONI_RING_FULL);
	}
	trace_oni_ring_full(full, ring->head, ring->reader.last_tail);
}

/* The rule of struct oni_stream_create. Caller holds ring->lock. */
static bool due(const struct oni_reader *rd, u64 tail)
{
	return oni_ring_due(rd->ring->head, tail, rd->watermark, rd->due_head);
}

/* Is there anybody to wake? Caller holds ring->lock. */
static bool sleeper(struct oni_reader *rd)
{
	bool wake = wq_has_sleeper(&rd->wait);

	if (wake)
		rd->ring->prod->wakeups++;
	return wake;
}

static enum hrtimer_restart latency_expired(struct hrtimer *timer)
{
	struct oni_reader *rd = container_of(timer, struct oni_reader,
					     latency_timer);
	struct oni_ring *ring = rd->ring;
	unsigned long flags;
	bool wake;
	u64 tail;

	spin_lock_irqsave(&ring->lock, flags);
	rd->latency_armed = false;
	rd->due_head = ring->head;
	load_tail(rd, &tail);
	wake = tail < ring->head && sleeper(rd);
	spin_unlock_irqrestore(&ring->lock, flags);

	if (wake)
		wake_up_all(&rd->wait);
	return HRTIMER_NORESTART;
}

static void latency_start(struct oni_reader *rd)
{
	rd->latency_armed = true;
	hrtimer_start(&rd->latency_timer, ns_to_ktime(rd->latency_ns),
		      HRTIMER_MODE_REL_SOFT);
}

/* A block came. True if the reader is to be woken. Caller holds ring->lock. */
static bool reader_block(struct oni_reader *rd, u64 tail)
{
	if (due(rd, tail))
		return sleeper(rd);
	if (rd->latency_ns && !rd->latency_armed)
		latency_start(rd);
	return false;
}

static void reader_begin(struct oni_reader *rd)
{
	lockdep_assert_held(&rd->ring->lock);
	rd->last_tail = 0;
	rd->due_head = 0;
	rd->lost_bytes = 0;
	rd->lost_events = 0;
	/* As the reader does it (D); it is quiet during a start. */
	smp_store_release(&rd->cons->tail, 0);
}

/* Something happened that everybody wants to know. Caller holds ring->lock. */
static void wake_monitors(struct oni_ring *ring)
{
	struct oni_reader *rd;

	list_for_each_entry(rd, &ring->monitors, node)
		wake_up_all(&rd->wait);
}

static int reader_init(struct oni_reader *rd, struct oni_ring *ring)
{
	rd->ring = ring;
	rd->watermark = ring->block;
	INIT_LIST_HEAD(&rd->node);
	init_waitqueue_head(&rd->wait);
	oni_hrtimer_setup(&rd->latency_timer, latency_expired,
			  HRTIMER_MODE_REL_SOFT);
	rd->cons = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return rd->cons ? 0 : -ENOMEM;
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

	oni_ring_reader_kick(&ring->reader);

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

static void free_pages_of(struct oni_ring *ring, unsigned int n)
{
	unsigned int i, j;

	/* split_page() gave every page its own count. */
	for (i = 0; i < n; i++)
		for (j = 0; j < 1U << ring->chunk_order; j++)
			__free_page(ring->chunk[i] + j);
}

/* Every chunk, or none. */
static bool alloc_pages_of(struct oni_ring *ring)
{
	const unsigned int order = ring->chunk_order;
	/* A user's wish for a large ring must not kill others. */
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN |
			  (order ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL);
	unsigned int i;

	for (i = 0; i < ring->chunks; i++) {
		ring->chunk[i] = alloc_pages(gfp, order);
		if (!ring->chunk[i]) {
			free_pages_of(ring, i);
			return false;
		}
		split_page(ring->chunk[i], order);
	}
	return true;
}

static void free_chunks(struct oni_ring *ring)
{
	if (ring->region)
		oni_region_give(ring->region, ring->chunk_order, ring->chunks,
				ring->chunk);
	else
		free_pages_of(ring, ring->chunks);
}

/*
 * Few large chunks make short scatter-gather lists; under fragmentation any
 * chunk size will do. All chunks have one size, so that a position is found by
 * shift and mask.
 * A region is all that there is for its rings.
 */
static int alloc_chunks(struct oni_ring *ring)
{
	unsigned int order = min_t(unsigned int, get_order(ring->size), 8);
	bool got;

	for (;; order--) {
		ring->chunk_order = order;
		ring->chunks = ring->size >> (PAGE_SHIFT + order);
		ring->chunk = kvcalloc(ring->chunks, sizeof(*ring->chunk),
				       GFP_KERNEL_ACCOUNT);
		if (!ring->chunk)
			return -ENOMEM;
		if (ring->region)
			got = oni_region_take(ring->region, order, ring->chunks,
					      ring->chunk);
		else
			got = alloc_pages_of(ring);
		if (got)
			return 0;
		kvfree(ring->chunk);
		ring->chunk = NULL;
		if (!order)
			return -ENOMEM;
	}
}

static void free_ring(struct oni_ring *ring)
{
	if (ring->chunk) {
		free_chunks(ring);
		kvfree(ring->chunk);
	}
	oni_region_put(ring->region);
	vfree(ring->desc);
	free_page((unsigned long)ring->prod);
	free_page((unsigned long)ring->reader.cons);
	kfree(ring);
}

/**
 * oni_ring_create - allocate a ring
 * @size: bytes, a power of two, at least ONI_RING_MIN and PAGE_SIZE
 * @block: bytes per block
 * @region: that the data area comes from; NULL: any memory
 *
 * Return: a ring with one reference, which holds @region, or NULL.
 */
struct oni_ring *oni_ring_create(u64 size, u32 block, struct oni_region *region)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT;
	struct oni_ring *ring;

	ring = kzalloc(sizeof(*ring), gfp);
	if (!ring)
		return NULL;
	kref_init(&ring->ref);
	spin_lock_init(&ring->lock);
	INIT_LIST_HEAD(&ring->monitors);
	oni_hrtimer_setup(&ring->stall_timer, stall_expired,
			  HRTIMER_MODE_REL_SOFT);
	ring->size = size;
	ring->block = block;
	ring->region = region;
	if (region)
		oni_region_hold(region);

	if (reader_init(&ring->reader, ring))
		goto fail;
	ring->prod = (void *)get_zeroed_page(gfp);
	/* The hardware never sees them: any pages, as memory may be in pieces. */
	ring->desc = __vmalloc(ONI_DESC_COUNT * sizeof(*ring->desc),
			       gfp | __GFP_ZERO | __GFP_NOWARN);
	if (!ring->prod || !ring->desc)
		goto fail;
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

	hrtimer_cancel(&ring->reader.latency_timer);
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
	struct oni_reader *rd;
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	ring->head = 0;
	ring->full = false;
	ring->kick = kick;
	ring->kick_arg = arg;
	reader_begin(&ring->reader);
	list_for_each_entry(rd, &ring->monitors, node)
		reader_begin(rd);
	WRITE_ONCE(prod->claim, 0);
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
 * @flags: ONI_RING_STOPPED, _GONE, _ERROR or _CLOSED
 * @err: negative errno for _ERROR, else 0
 *
 * Wakes every reader. Process context; waits for a running kick.
 */
void oni_ring_end(struct oni_ring *ring, u32 flags, int err)
{
	unsigned long irq;

	spin_lock_irqsave(&ring->lock, irq);
	set_full(ring, false);
	latch(ring, flags, err);
	ring->kick = NULL;
	wake_monitors(ring);
	spin_unlock_irqrestore(&ring->lock, irq);

	hrtimer_cancel(&ring->stall_timer);
	wake_up_all(&ring->reader.wait);
}

/* The stream is closed: monitors have seen everything there will ever be. */
void oni_ring_close(struct oni_ring *ring)
{
	oni_ring_end(ring, ONI_RING_CLOSED, 0);
}

void oni_ring_set_wake(struct oni_reader *rd, u32 watermark, u32 latency_us)
{
	struct oni_ring *ring = rd->ring;
	unsigned long flags;
	u64 tail;

	spin_lock_irqsave(&ring->lock, flags);
	rd->watermark = watermark;
	rd->latency_ns = (u64)latency_us * NSEC_PER_USEC;
	/* No block may come that would start the time of what waits already. */
	load_tail(rd, &tail);
	if (rd->latency_ns && tail < ring->head && !final(ring))
		latency_start(rd);
	spin_unlock_irqrestore(&ring->lock, flags);
	wake_up_all(&rd->wait);
}

/* How long the stream's reader may be kept waiting; 0: no limit. */
u64 oni_ring_latency_ns(struct oni_ring *ring)
{
	return READ_ONCE(ring->reader.latency_ns);
}
EXPORT_SYMBOL_ONI(oni_ring_latency_ns);

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
	set_full(ring, false);
	latch(ring, ONI_RING_ERROR, err);
	wake_monitors(ring);
	spin_unlock_irqrestore(&ring->lock, flags);
	wake_up_all(&ring->reader.wait);
	return err;
}
EXPORT_SYMBOL_ONI(oni_ring_error);

/**
 * oni_ring_room - may the hardware write @bytes more?
 * @ring: the ring
 * @bytes: at most the ring size
 *
 * If so, monitors must expect that it does, and @claim says it. If not, the
 * producer counts as held back and is kicked when the reader has moved on.
 */
bool oni_ring_room(struct oni_ring *ring, u32 bytes)
{
	unsigned long flags;
	bool ok, room;
	u64 tail;

	spin_lock_irqsave(&ring->lock, flags);
	ok = load_tail(&ring->reader, &tail);
	room = ok && !final(ring) &&
	       oni_ring_fits(ring->head, tail, ring->size, bytes);
	/* (E): before the register write that lets the hardware go. */
	if (room && ring->head + bytes > ring->prod->claim)
		WRITE_ONCE(ring->prod->claim, ring->head + bytes);
	if (ok && !final(ring)) {
		if (!room && !ring->full)
			hrtimer_start(&ring->stall_timer,
				      ns_to_ktime(STALL_RECHECK_NS),
				      HRTIMER_MODE_REL_SOFT);
		set_full(ring, !room);
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
 * @seen_ns: CLOCK_MONOTONIC when the transport saw that the hardware had it
 */
void oni_ring_publish(struct oni_ring *ring, u32 bytes, u64 seen_ns)
{
	struct oni_ring_producer *prod = ring->prod;
	struct oni_reader *rd;
	struct oni_block *desc;
	unsigned long flags;
	u64 tail, seq;
	bool wake;

	spin_lock_irqsave(&ring->lock, flags);
	/* Whoever was told that head is final must not see it move. */
	if (final(ring)) {
		spin_unlock_irqrestore(&ring->lock, flags);
		return;
	}
	seq = prod->desc_head;
	desc = &ring->desc[seq % ONI_DESC_COUNT];
	desc->position = ring->head;
	desc->bytes = bytes;
	desc->flags = bytes < ring->block ? ONI_BLOCK_SHORT : 0;
	desc->mono_ns = seen_ns;
	desc->seq = seq;

	ring->head += bytes;
	ring->total += bytes;
	prod->blocks++;
	if (bytes < ring->block)
		prod->short_blocks++;
	smp_store_release(&prod->head, ring->head);		/* (B) */
	smp_store_release(&prod->desc_head, seq + 1);		/* (B) */

	/* A bad tail is found by the next oni_ring_room(). */
	load_tail(&ring->reader, &tail);
	trace_oni_block(desc->position, bytes, ring->head - tail);
	if (ring->head - tail > prod->peak_bytes)
		prod->peak_bytes = ring->head - tail;
	wake = reader_block(&ring->reader, tail);
	list_for_each_entry(rd, &ring->monitors, node) {
		load_tail(rd, &tail);
		if (reader_block(rd, tail))
			wake_up_all(&rd->wait);
	}
	spin_unlock_irqrestore(&ring->lock, flags);

	if (wake)
		wake_up_all(&ring->reader.wait);
}
EXPORT_SYMBOL_ONI(oni_ring_publish);

/**
 * oni_monitor_create - let somebody watch
 * @ring: the ring
 *
 * Return: a reader that begins at the head, or -ENOMEM, -EBUSY. It does not
 * hold the ring; its owner does.
 */
struct oni_reader *oni_monitor_create(struct oni_ring *ring)
{
	struct oni_reader *rd;
	unsigned long flags;
	bool room;

	rd = kzalloc(sizeof(*rd), GFP_KERNEL_ACCOUNT);
	if (!rd)
		return ERR_PTR(-ENOMEM);
	if (reader_init(rd, ring)) {
		kfree(rd);
		return ERR_PTR(-ENOMEM);
	}
	rd->monitor = true;

	spin_lock_irqsave(&ring->lock, flags);
	room = ring->monitor_count < ONI_MONITORS_MAX;
	if (room) {
		ring->monitor_count++;
		list_add_tail(&rd->node, &ring->monitors);
		rd->cons->tail = ring->head;
		rd->last_tail = ring->head;
	}
	spin_unlock_irqrestore(&ring->lock, flags);
	if (!room) {
		oni_monitor_free(rd);
		return ERR_PTR(-EBUSY);
	}
	return rd;
}

/* @rd: from oni_monitor_create(); nobody sleeps on it. Mappings stay valid. */
void oni_monitor_free(struct oni_reader *rd)
{
	struct oni_ring *ring = rd->ring;
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	if (!list_empty(&rd->node)) {
		list_del_init(&rd->node);
		ring->monitor_count--;
	}
	spin_unlock_irqrestore(&ring->lock, flags);
	hrtimer_cancel(&rd->latency_timer);
	free_page((unsigned long)rd->cons);
	kfree(rd);
}

/**
 * oni_ring_readable - does the wake-up rule hold?
 * @rd: the reader
 * @any: any byte will do
 * @avail: out: bytes between tail and head
 *
 * An ended stream is readable: what is left, the end of it, or the error.
 */
bool oni_ring_readable(struct oni_reader *rd, bool any, u64 *avail)
{
	struct oni_ring *ring = rd->ring;
	unsigned long flags;
	bool ok, ready;
	u64 tail;

	spin_lock_irqsave(&ring->lock, flags);
	ok = load_tail(rd, &tail);
	*avail = ring->head - tail;
	ready = (*avail && (any || due(rd, tail))) || final(ring);
	spin_unlock_irqrestore(&ring->lock, flags);

	if (ok)
		return ready;
	if (!rd->monitor)
		oni_ring_error(ring, -EPROTO);
	*avail = 0;
	return true;
}

/* Did the last look find a tail that is not believed? */
bool oni_ring_tail_bad(struct oni_reader *rd)
{
	unsigned long flags;
	bool bad;
	u64 tail;

	spin_lock_irqsave(&rd->ring->lock, flags);
	bad = !load_tail(rd, &tail);
	spin_unlock_irqrestore(&rd->ring->lock, flags);
	return bad;
}

/* The reader was here: if the producer is held back, let it look again. */
void oni_ring_reader_kick(struct oni_reader *rd)
{
	struct oni_ring *ring = rd->ring;
	void (*kick)(void *) = NULL;
	unsigned long flags;
	void *arg = NULL;

	if (rd->monitor)
		return;
	spin_lock_irqsave(&ring->lock, flags);
	if (ring->full) {
		kick = ring->kick;
		arg = ring->kick_arg;
	}
	spin_unlock_irqrestore(&ring->lock, flags);

	if (kick)
		kick(arg);
}

/*
 * Where read(2) begins, how much is there, and in which acquisition, all from one
 * look: a START may come at any time. -EPROTO for a tail that is not believed. A
 * monitor whose next byte may have been overwritten gets -EOVERFLOW, and its tail
 * goes half a ring behind the hardware, so that it is not lapped again at once.
 */
int oni_ring_tail(struct oni_reader *rd, struct oni_ring_spot *spot)
{
	struct oni_ring *ring = rd->ring;
	unsigned long flags;
	int ret = 0;
	u64 next;

	spin_lock_irqsave(&ring->lock, flags);
	spot->generation = ring->prod->generation;
	if (!load_tail(rd, &spot->tail)) {
		ret = -EPROTO;
	} else if (rd->monitor &&
		   oni_ring_lapped(ring->prod->claim, spot->tail, ring->size)) {
		next = min(ring->prod->claim - ring->size / 2, ring->head);
		rd->lost_bytes += next - spot->tail;
		rd->lost_events++;
		rd->last_tail = next;
		smp_store_release(&rd->cons->tail, next);	/* (D) */
		ret = -EOVERFLOW;
	}
	spot->avail = ring->head - spot->tail;
	spin_unlock_irqrestore(&ring->lock, flags);
	return ret;
}

/*
 * read(2) has copied @bytes from @spot on and releases them, (D) done by the
 * kernel for its caller. -EOVERFLOW: a monitor was lapped meanwhile, so that
 * what was copied may be torn; oni_ring_tail() settles it. -EAGAIN: another
 * acquisition has begun, and the copy and the position are of the one before.
 */
int oni_ring_take(struct oni_reader *rd, const struct oni_ring_spot *spot,
		  u64 bytes)
{
	struct oni_ring *ring = rd->ring;
	unsigned long flags;
	int ret = 0;

	smp_rmb();	/* (F): the copy before the look at claim */
	spin_lock_irqsave(&ring->lock, flags);
	if (ring->prod->generation != spot->generation)
		ret = -EAGAIN;
	else if (rd->monitor &&
		 oni_ring_lapped(ring->prod->claim, spot->tail, ring->size))
		ret = -EOVERFLOW;
	else
		smp_store_release(&rd->cons->tail, spot->tail + bytes);	/* (D) */
	spin_unlock_irqrestore(&ring->lock, flags);
	return ret;
}

/* Fill in what read(2) of a monitor has skipped, and where it is. */
void oni_monitor_count(struct oni_reader *rd, struct oni_monitor_stat *ms)
{
	unsigned long flags;
	u64 tail;

	spin_lock_irqsave(&rd->ring->lock, flags);
	load_tail(rd, &tail);
	ms->position = tail;
	ms->lost_bytes = rd->lost_bytes;
	ms->lost_events = rd->lost_events;
	spin_unlock_irqrestore(&rd->ring->lock, flags);
}
