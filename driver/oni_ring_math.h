/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Ring arithmetic: pure, shared by the kernel module, libonidev and the unit
 * tests.
 *
 * Positions are 64-bit byte counts that only grow during an acquisition; sizes
 * and segments are powers of two; offset = position modulo size.
 */
#ifndef ONI_RING_MATH_H
#define ONI_RING_MATH_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
typedef uint32_t u32;
typedef uint64_t u64;
#endif

/*
 * A tail written by user space is believed only if it is a step forward inside
 * what was published.
 */
static inline bool oni_ring_tail_ok(u64 head, u64 last_tail, u64 tail)
{
	return tail <= head && tail >= last_tail;
}

/* May @bytes more be written without touching what the reader still has? */
static inline bool oni_ring_fits(u64 head, u64 tail, u64 size, u64 bytes)
{
	return bytes <= size && head - tail <= size - bytes;
}

/* May the byte at @pos have been overwritten by a writer that is at @claim? */
static inline bool oni_ring_lapped(u64 claim, u64 pos, u64 size)
{
	return claim > size && pos < claim - size;
}

/* The wake-up rule: enough bytes, or bytes that are old enough. */
static inline bool oni_ring_due(u64 head, u64 tail, u32 watermark, u64 due_head)
{
	return head - tail >= watermark || tail < due_head;
}

static inline u64 oni_ring_offset(u64 pos, u64 size)
{
	return pos & (size - 1);
}

/* Bytes from @pos to the end of its segment, at most @left. */
static inline u32 oni_ring_span(u64 pos, u32 left, u32 segment)
{
	u32 room = segment - (u32)(pos & (segment - 1));

	return left < room ? left : room;
}

#endif /* ONI_RING_MATH_H */
