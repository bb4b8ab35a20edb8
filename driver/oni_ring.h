/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ring of a stream: memory, positions, wake-up rule.
 *
 * Memory: ordinary pages owned by the core, allocated in equal physically
 * contiguous chunks. They outlive the transport, the DMA mappings and every
 * user mapping; the last reference frees them.
 *
 * Who touches what (the states of a stretch of ring memory):
 *   released  [head, tail + size)  nobody, or handed to the hardware by the
 *                                  transport, at most up to oni_ring_room()
 *   published [tail, head)         the reader
 * The transport moves head with oni_ring_publish(), the reader moves tail in
 * the consumer page. The barrier diagram is in the UAPI header.
 *
 * Locking: @lock (irqsave, innermost) protects everything under "producer".
 * It is never held across a copy, a DMA sync or a call into the transport.
 */
#ifndef ONI_RING_H
#define ONI_RING_H

#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/mm_types.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "include/uapi/linux/oni.h"

#define ONI_RING_MIN		(64 * 1024UL)
#define ONI_RING_DEFAULT	(64 * 1024 * 1024UL)
#define ONI_RING_MAX		(1024 * 1024 * 1024UL)
#define ONI_DESC_COUNT		4096	/* 128 KiB of descriptors */

struct oni_ring {
	struct kref ref;
	wait_queue_head_t wait;

	/* constant after creation */
	u64 size;
	u32 block;
	unsigned int chunk_order;
	unsigned int chunks;
	struct page **chunk;
	unsigned int desc_order;
	struct page *desc_pages;
	struct oni_block *desc;
	struct oni_ring_producer *prod;
	struct oni_ring_consumer *cons;

	/* producer */
	spinlock_t lock;
	u64 head;
	u64 total;
	u64 last_tail;
	u64 due_head;
	u64 full_since;
	bool full;
	u32 watermark;
	u64 latency_ns;
	bool latency_armed;
	struct hrtimer latency_timer;
	struct hrtimer stall_timer;
	void (*kick)(void *arg);
	void *kick_arg;
};

struct oni_ring *oni_ring_create(u64 size, u32 block);
void oni_ring_get(struct oni_ring *ring);
void oni_ring_put(struct oni_ring *ring);

/* Core side, process context. */
void oni_ring_begin(struct oni_ring *ring, void (*kick)(void *), void *arg);
void oni_ring_end(struct oni_ring *ring, u32 flags, int err);
void oni_ring_set_wake(struct oni_ring *ring, u32 watermark, u32 latency_us);

/* Transport side, any context. */
u64 oni_ring_head(struct oni_ring *ring);
bool oni_ring_room(struct oni_ring *ring, u32 bytes);
void oni_ring_publish(struct oni_ring *ring, u32 bytes, u64 now_ns);
int oni_ring_error(struct oni_ring *ring, int err);

/* Reader side. */
bool oni_ring_readable(struct oni_ring *ring, bool any, u64 *avail);
void oni_ring_reader_kick(struct oni_ring *ring);
void oni_ring_set_tail(struct oni_ring *ring, u64 tail);
u64 oni_ring_tail(struct oni_ring *ring);

static inline size_t oni_ring_chunk_bytes(const struct oni_ring *ring)
{
	return PAGE_SIZE << ring->chunk_order;
}

/* The page that holds byte @off of the ring. */
static inline struct page *oni_ring_page(const struct oni_ring *ring, u64 off)
{
	size_t chunk = oni_ring_chunk_bytes(ring);

	return ring->chunk[off / chunk] + (off % chunk >> PAGE_SHIFT);
}

#endif /* ONI_RING_H */
