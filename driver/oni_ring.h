/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ring of a stream: memory, positions, readers, wake-up rule.
 *
 * Memory: pages owned by the core, allocated in equal physically contiguous
 * chunks, of the kernel or of a region that firmware has set aside (oni_region.h).
 * They outlive the transport, the DMA mappings and every user mapping; the last
 * reference frees them.
 *
 * Who touches what (the states of a stretch of ring memory):
 *   released  [head, tail + size)  nobody, or handed to the hardware by the
 *                                  transport, at most up to oni_ring_room()
 *   published [tail, head)         the reader
 * The transport moves head with oni_ring_publish(), the reader moves tail in
 * the consumer page. The barrier diagram is in the UAPI header.
 *
 * Readers: the ring has one that holds the hardware back, and a list of
 * monitors, which are only woken. A monitor belongs to its file and leaves the
 * list before it is freed.
 *
 * Locking: @lock (irqsave) protects everything under "producer" and what
 * struct oni_reader says. Only wait queue locks are taken inside. It is never
 * held across a copy, a DMA sync or a call into the transport.
 */
#ifndef ONI_RING_H
#define ONI_RING_H

#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "include/uapi/linux/oni.h"

#define ONI_RING_MIN		(64 * 1024UL)
#define ONI_RING_DEFAULT	(64 * 1024 * 1024UL)
#define ONI_RING_MAX		(1024 * 1024 * 1024UL)
#define ONI_DESC_COUNT		4096	/* 128 KiB of descriptors */

struct oni_region;
struct oni_ring;

/**
 * struct oni_reader - one who reads a ring: the stream's, or a monitor
 * @ring: constant
 * @cons: its consumer page; written by user space, hostile; constant
 * @monitor: it may be lapped and is not waited for; constant
 * @node: in oni_ring.monitors, under the ring's lock
 * @wait: for the wake-up rule
 * @latency_timer: the second half of the wake-up rule
 * @last_tail: last tail that was believed; ring's lock, as all below
 * @due_head: what is below this is old enough to be read
 * @watermark: bytes
 * @latency_ns: 0: no limit
 * @latency_armed: the timer runs, or its function is about to
 * @lost_bytes: skipped by read(2) of a monitor in this acquisition
 * @lost_events: times that it had to
 */
struct oni_reader {
	struct oni_ring *ring;
	struct oni_ring_consumer *cons;
	bool monitor;
	struct list_head node;
	wait_queue_head_t wait;
	struct hrtimer latency_timer;
	u64 last_tail;
	u64 due_head;
	u32 watermark;
	u64 latency_ns;
	bool latency_armed;
	u64 lost_bytes;
	u64 lost_events;
};

/**
 * struct oni_ring_spot - where a read(2) is
 * @tail: position of the next byte
 * @avail: bytes from there to head
 * @generation: the acquisition that both belong to
 */
struct oni_ring_spot {
	u64 tail;
	u64 avail;
	u32 generation;
};

struct oni_ring {
	struct kref ref;

	/* constant after creation */
	u64 size;
	u32 block;
	unsigned int chunk_order;
	unsigned int chunks;
	struct page **chunk;
	struct oni_region *region;	/* of the chunks; NULL: none */
	struct oni_block *desc;		/* vmalloc */
	struct oni_ring_producer *prod;
	struct oni_reader reader;

	/* producer */
	spinlock_t lock;
	u64 head;
	u64 total;
	u64 full_since;
	bool full;
	struct list_head monitors;
	unsigned int monitor_count;
	struct hrtimer stall_timer;
	void (*kick)(void *arg);
	void *kick_arg;
};

struct oni_ring *oni_ring_create(u64 size, u32 block,
				 struct oni_region *region);
void oni_ring_get(struct oni_ring *ring);
void oni_ring_put(struct oni_ring *ring);

/* Core side, process context. */
void oni_ring_begin(struct oni_ring *ring, void (*kick)(void *), void *arg);
void oni_ring_end(struct oni_ring *ring, u32 flags, int err);
void oni_ring_close(struct oni_ring *ring);
void oni_ring_set_wake(struct oni_reader *reader, u32 watermark, u32 latency_us);

/* Transport side, any context. */
u64 oni_ring_head(struct oni_ring *ring);
bool oni_ring_room(struct oni_ring *ring, u32 bytes);
void oni_ring_publish(struct oni_ring *ring, u32 bytes, u64 seen_ns);
int oni_ring_error(struct oni_ring *ring, int err);

u64 oni_ring_latency_ns(struct oni_ring *ring);

/* Reader side. */
struct oni_reader *oni_monitor_create(struct oni_ring *ring);
void oni_monitor_free(struct oni_reader *reader);
bool oni_ring_readable(struct oni_reader *reader, bool any, u64 *avail);
bool oni_ring_tail_bad(struct oni_reader *reader);
void oni_monitor_count(struct oni_reader *reader, struct oni_monitor_stat *ms);
void oni_ring_reader_kick(struct oni_reader *reader);
int oni_ring_tail(struct oni_reader *reader, struct oni_ring_spot *spot);
int oni_ring_take(struct oni_reader *reader, const struct oni_ring_spot *spot,
		  u64 bytes);

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
