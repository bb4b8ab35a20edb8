// SPDX-License-Identifier: MIT
/*
 * usb_ring.c - the producer's half of the ring, in this process.
 *
 * Implements "DOC: the ring" of <linux/oni.h> as the driver does; the marks (A) ... (E)
 * are those of the diagram there. The reader is a thread of this process and tells when
 * it has released something, so nobody has to look at the tail from time to time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver/oni_ring_math.h"
#include "usb.h"

#define PAGE		4096u
#define DESC_BYTES	(USB_DESC_COUNT * (uint32_t)sizeof(struct oni_block))

static void store64(__u64 *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static void store32(__u32 *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* A counter of which the reader's thread takes a look. One writer at a time. */
static void bump(__u64 *p, uint64_t by)
{
	__atomic_store_n(p, *p + by, __ATOMIC_RELAXED);
}

static bool final(const struct usb_ring *r)
{
	return r->prod->flags & (ONI_RING_STOPPED | ONI_RING_GONE | ONI_RING_ERROR |
				 ONI_RING_CLOSED);
}

/* False: the tail makes no sense; *@tail is the last one that did. */
static bool load_tail(struct usb_ring *r, uint64_t *tail)
{
	uint64_t t = __atomic_load_n(&r->cons->tail, __ATOMIC_ACQUIRE);		/* (A) */
	bool ok = oni_ring_tail_ok(r->head, r->last_tail, t);

	if (ok)
		r->last_tail = t;
	*tail = r->last_tail;
	return ok;
}

/* --- memory --------------------------------------------------------------------- */

/* The same pages twice in a row, so that what wraps is contiguous. */
static uint8_t *map_twice(uint64_t size)
{
	uint8_t *at = MAP_FAILED;
	int fd = memfd_create("oni-ring", MFD_CLOEXEC), i;

	if (fd < 0)
		return MAP_FAILED;
	if (ftruncate(fd, (off_t)size) == 0)
		at = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; at != MAP_FAILED && i < 2; i++)
		if (mmap(at + (uint64_t)i * size, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
			munmap(at, 2 * size);
			at = MAP_FAILED;
		}
	close(fd);
	return at;
}

/* NULL and errno. */
struct usb_ring *usb_ring_new(uint64_t size, uint32_t block)
{
	struct usb_ring *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->size = size;
	r->block = block;
	r->watermark = block;
	r->mem_bytes = 2 * PAGE + DESC_BYTES;
	r->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->mem = mmap(NULL, r->mem_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	r->data = map_twice(size);
	if (r->event_fd < 0 || r->mem == MAP_FAILED || r->data == MAP_FAILED) {
		usb_ring_free(r);
		errno = ENOMEM;
		return NULL;
	}
	r->prod = r->mem;
	r->cons = (void *)((uint8_t *)r->mem + PAGE);
	r->desc = (void *)((uint8_t *)r->mem + 2 * PAGE);
	r->prod->magic = ONI_RING_MAGIC;
	r->prod->abi_version = ONI_ABI_VERSION;
	r->prod->data_bytes = size;
	r->prod->block_bytes = block;
	r->prod->desc_count = USB_DESC_COUNT;
	return r;
}

void usb_ring_free(struct usb_ring *r)
{
	if (r->mem != MAP_FAILED)
		munmap(r->mem, r->mem_bytes);
	if (r->data != MAP_FAILED)
		munmap(r->data, 2 * r->size);
	if (r->event_fd >= 0)
		close(r->event_fd);
	free(r);
}

/* The offsets are those that a mapping of one file would have; nobody can map it. */
void usb_ring_info(const struct usb_ring *r, struct oni_stream_info *info)
{
	*info = (struct oni_stream_info){
		.size = sizeof(*info),
		.producer_offset = 0,
		.producer_bytes = PAGE,
		.consumer_offset = PAGE,
		.consumer_bytes = PAGE,
		.desc_offset = 2 * PAGE,
		.desc_bytes = DESC_BYTES,
		.data_offset = 2 * PAGE + DESC_BYTES,
		.data_bytes = r->size,
		.block_bytes = r->block,
		.desc_count = USB_DESC_COUNT,
		.watermark_bytes = r->watermark,
		.latency_us = r->latency_us,
	};
}

/* --- waking the reader ------------------------------------------------------------ */

/* Make the descriptor readable exactly when a wait would end. */
void usb_ring_settle(struct usb_ring *r)
{
	uint64_t tail, count = 1;
	bool ready;

	load_tail(r, &tail);
	ready = final(r) || (r->head != tail &&
			     oni_ring_due(r->head, tail, r->watermark, r->due_head));
	if (ready == r->signalled)
		return;
	r->signalled = ready;
	if (!ready) {
		if (read(r->event_fd, &count, sizeof(count)) < 0)
			return;		/* nothing else reads it */
	} else if (write(r->event_fd, &count, sizeof(count)) > 0) {
		bump(&r->prod->wakeups, 1);
	}
}

void usb_ring_wake(struct usb_ring *r, uint32_t watermark, uint32_t latency_us)
{
	r->watermark = watermark;
	r->latency_us = latency_us;
	r->latency_at = 0;
	if (latency_us && r->head != r->last_tail)
		r->latency_at = usb_now() + latency_us * 1000ull;
	usb_ring_settle(r);
}

/* The latency limit, looked at by the event thread. */
void usb_ring_tick(struct usb_ring *r, uint64_t now)
{
	if (!r->latency_at || now < r->latency_at)
		return;
	r->latency_at = 0;
	r->due_head = r->head;
	usb_ring_settle(r);
}

/* --- an acquisition ---------------------------------------------------------------- */

void usb_ring_begin(struct usb_ring *r)
{
	struct oni_ring_producer *p = r->prod;

	r->head = 0;
	r->last_tail = 0;
	r->due_head = 0;
	r->latency_at = 0;
	r->full = false;
	store64(&r->cons->tail, 0);
	store64(&p->claim, 0);
	store64(&p->desc_head, 0);
	store32(&p->error, 0);
	store32(&p->flags, ONI_RING_RUNNING);
	store64(&p->start_ns, usb_now());
	store64(&p->head, 0);
	/* Last: who sees it must not take the old head for data of it. */
	store32(&p->generation, p->generation + 1);
	usb_ring_settle(r);
}

static void set_full(struct usb_ring *r, bool full)
{
	struct oni_ring_producer *p = r->prod;

	if (r->full == full)
		return;
	r->full = full;
	if (full) {
		r->full_since = usb_now();
		bump(&p->full_events, 1);
		store32(&p->flags, p->flags | ONI_RING_FULL);
	} else {
		bump(&p->full_ns, usb_now() - r->full_since);
		store32(&p->flags, p->flags & ~ONI_RING_FULL);
	}
}

/* Nothing more will be published. The first error stays. */
void usb_ring_end(struct usb_ring *r, uint32_t flags, int error)
{
	struct oni_ring_producer *p = r->prod;

	set_full(r, false);
	r->latency_at = 0;
	if (error && !p->error)
		store32(&p->error, (uint32_t)error);
	store32(&p->flags, (p->flags & ~(ONI_RING_RUNNING | ONI_RING_FULL)) | flags);
	usb_ring_settle(r);
}

/* May @bytes more be written? If not, the board counts as held back. */
bool usb_ring_room(struct usb_ring *r, uint32_t bytes)
{
	uint64_t tail;
	bool room;

	if (final(r))
		return false;
	if (!load_tail(r, &tail)) {
		usb_ring_end(r, ONI_RING_ERROR, EPROTO);
		return false;
	}
	room = oni_ring_fits(r->head, tail, r->size, bytes);
	if (room && r->head + bytes > r->prod->claim)
		store64(&r->prod->claim, r->head + bytes);	/* (E) */
	set_full(r, !room);
	return room;
}

/* @offset bytes behind the head, within what usb_ring_room() allowed. */
void usb_ring_copy(struct usb_ring *r, uint64_t offset, const uint8_t *src, uint32_t bytes)
{
	memcpy(r->data + oni_ring_offset(r->head + offset, r->size), src, bytes);
}

void usb_ring_publish(struct usb_ring *r, uint32_t bytes, uint64_t seen_ns)
{
	struct oni_ring_producer *p = r->prod;
	uint64_t seq = p->desc_head, tail;

	r->desc[seq % USB_DESC_COUNT] = (struct oni_block){
		.position = r->head,
		.bytes = bytes,
		.flags = bytes < r->block ? ONI_BLOCK_SHORT : 0,
		.mono_ns = seen_ns,
		.seq = seq,
	};
	r->head += bytes;
	r->total += bytes;
	bump(&p->blocks, 1);
	if (bytes < r->block)
		bump(&p->short_blocks, 1);
	store64(&p->head, r->head);		/* (B) */
	store64(&p->desc_head, seq + 1);	/* (B) */
	/* A bad tail is found by the next usb_ring_room(). */
	load_tail(r, &tail);
	if (r->head - tail > p->peak_bytes)
		bump(&p->peak_bytes, r->head - tail - p->peak_bytes);
	if (r->latency_us && !r->latency_at)
		r->latency_at = seen_ns + r->latency_us * 1000ull;
	usb_ring_settle(r);
}
