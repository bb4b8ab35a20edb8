// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the interlock sees in the data: how old they are at a position, and what
 * the trigger of a headstage reports.
 *
 * While something is armed the ring is held by a reference; frames are read where
 * the hardware has put them, after the head that covers them. The border of a
 * frame is found by itself: nobody has to be believed for it. oni_stim::lock.
 */
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#include "oni_internal.h"
#include "oni_ring_math.h"

#define HEAD_BYTES	16U	/* clock, address, bytes of the sample */
/* So many headers in a row that make sense are a border of frames. */
#define CHAIN		8
/* In one go; the rest at the next look. */
#define LOOK_MAX	(8 * 1024 * 1024U)

/* Report of the RHS2116 trigger, version 2. */
#define REPORT_RESULT	0x3U
#define REPORT_ORIGIN	0x1cU
#define REPORT_REGISTER	(2U << 2)
#define DELIVERED	0U

/* The data below it are there. */
static u64 head_of(const struct oni_ring *ring)
{
	/* (C), pairs with (B) of the contract. */
	return smp_load_acquire(&ring->prod->head);
}

static u32 word(const struct oni_ring *ring, u64 pos)
{
	u64 off = oni_ring_offset(pos, ring->size);
	struct page *page = oni_ring_page(ring, off);

	return READ_ONCE(*(u32 *)(page_address(page) + offset_in_page(off)));
}

/* Bytes of the frame at @pos, or 0: there is none. */
static u32 frame_at(struct oni_dev *dev, const struct oni_ring *ring, u64 pos,
		    bool look_up)
{
	u32 addr = word(ring, pos + 8), bytes = word(ring, pos + 12);
	struct oni_device row;

	if (HEAD_BYTES + (u64)bytes > dev->max_read_frame)
		return 0;
	if (look_up && (oni_find_device(dev, addr, &row) ||
			row.read_size != bytes))
		return 0;
	return HEAD_BYTES + ALIGN(bytes, 4);
}

/* Is @pos the beginning of a frame, as far as can be seen? */
static bool chain_at(struct oni_dev *dev, const struct oni_ring *ring, u64 pos,
		     u64 head, bool *more)
{
	u32 n, bytes;

	for (n = 0; n < CHAIN; n++, pos += bytes) {
		if (pos + HEAD_BYTES > head) {
			*more = true;
			return false;
		}
		bytes = frame_at(dev, ring, pos, true);
		if (!bytes)
			return false;
	}
	return true;
}

static bool find_border(struct oni_dev *dev, const struct oni_ring *ring, u64 head)
{
	struct oni_stim_walk *w = &dev->stim.walk;
	bool more = false;

	for (; !more && w->pos + HEAD_BYTES <= head; w->pos += more ? 0 : 4)
		if (chain_at(dev, ring, w->pos, head, &more))
			return true;
	return false;
}

static u32 report(struct oni_dev *dev, u32 code, u64 clock, u64 pos)
{
	struct oni_stim *stim = &dev->stim;
	bool ours = (code & REPORT_ORIGIN) == REPORT_REGISTER;
	u32 outside = stim->loaded->program.sources & ~ONI_STIM_FROM_REGISTER;

	switch (code & REPORT_RESULT) {
	case DELIVERED:
		stim->delivered++;
		oni_stim_event_at(dev, ONI_STIM_EV_DELIVERED, code, clock, pos);
		if (ours && !stim->walk.commanded)
			return ONI_STIM_BECAUSE_UNCOMMANDED;
		if (ours)
			memmove(stim->walk.late, stim->walk.late + 1,
				--stim->walk.commanded * sizeof(stim->walk.late[0]));
		return ours || outside ? 0 : ONI_STIM_BECAUSE_UNCOMMANDED;
	default:
		/* Busy or not armed: from outside it was right to ignore it. */
		return ours ? ONI_STIM_BECAUSE_NO_DELIVERY : 0;
	}
}

/**
 * oni_stim_walk_begin - look at the data from now on
 * @dev: the controller, stim->lock held, stim->ring and stim->loaded set
 */
void oni_stim_walk_begin(struct oni_dev *dev)
{
	struct oni_stim *stim = &dev->stim;
	const struct oni_stim_row *row;
	struct oni_device device;

	stim->walk = (struct oni_stim_walk){ .pos = head_of(stim->ring) };
	row = oni_stim_row(stim, stim->loaded->hub, ONI_ID_RHS2116_TRIGGER, 0);
	if (stim->loaded->program.kind == ONI_STIM_RHS2116 && row &&
	    !oni_find_device(dev, row->addr, &device) && device.read_size >= 12)
		stim->walk.addr = row->addr;
}

/**
 * oni_stim_walk_expect - a train was commanded, so a report must come
 * @dev: the controller, stim->lock held, ARMED; fewer than ONI_STIM_UNREPORTED_MAX
 *	are expected already
 *
 * The frames have the clock of the acquisition, which began with it. However far
 * behind the data are: a frame of a second later without a report before it says
 * that there was no train. 1 / 4096 is more than two crystals differ by.
 */
void oni_stim_walk_expect(struct oni_dev *dev)
{
	struct oni_stim *stim = &dev->stim;
	u64 since = ktime_get_ns() - READ_ONCE(stim->ring->prod->start_ns);
	u64 clock = mul_u64_u32_div(since, dev->acq_clock_hz, NSEC_PER_SEC);

	if (stim->walk.addr)
		stim->walk.late[stim->walk.commanded++] =
			clock + (clock >> 12) + dev->acq_clock_hz;
}

/**
 * oni_stim_walk - look at what has come since the last time
 * @dev: the controller, stim->lock held, ARMED
 *
 * Return: ONI_STIM_BECAUSE_* of a fault, or 0.
 */
u32 oni_stim_walk(struct oni_dev *dev)
{
	struct oni_stim *stim = &dev->stim;
	struct oni_stim_walk *w = &stim->walk;
	struct oni_ring *ring = stim->ring;
	u64 head, end;
	u32 bytes, because;

	if (!w->addr)
		return 0;
	head = head_of(ring);
	/* Lapped, since this never holds the hardware back. */
	if (READ_ONCE(ring->prod->claim) > w->pos + ring->size) {
		w->synced = false;
		w->pos = head;
	}
	end = min(head, w->pos + LOOK_MAX);
	if (!w->synced && !find_border(dev, ring, end))
		return 0;
	w->synced = true;
	while (w->pos + HEAD_BYTES <= end) {
		bytes = frame_at(dev, ring, w->pos, false);
		if (!bytes) {
			w->synced = false;
			return 0;
		}
		if (w->pos + bytes > end)
			break;
		w->clock = word(ring, w->pos) |
			   (u64)word(ring, w->pos + 4) << 32;
		if (word(ring, w->pos + 8) == w->addr) {
			/* After the clock of the hub. */
			because = report(dev, word(ring, w->pos + 24), w->clock,
					 w->pos);
			if (because)
				return because;
		}
		w->pos += bytes;
	}
	return w->commanded && w->clock > w->late[0] ?
	       ONI_STIM_BECAUSE_NO_DELIVERY : 0;
}

/**
 * oni_stim_kick_ok - does a sign of life show that data are seen?
 * @stim: the interlock, lock held, ARMED
 * @pos: in the ring, up to which data were looked at
 * @max_age_ns: of the data there
 * @least: out: position that would do
 */
bool oni_stim_kick_ok(struct oni_stim *stim, u64 pos, u64 max_age_ns, u64 *least)
{
	const struct oni_ring *ring = stim->ring;
	u64 now = ktime_get_ns(), head = head_of(ring), i, n;

	*least = head;
	if (pos > head)
		return false;
	*least = stim->kick_pos + 1;
	if (pos <= stim->kick_pos)
		return false;
	/* Pairs with the release of the head of descriptors. */
	n = smp_load_acquire(&ring->prod->desc_head);
	for (i = n; i && n - i < ONI_DESC_COUNT; i--) {
		const struct oni_block *b = &ring->desc[(i - 1) % ONI_DESC_COUNT];

		if (now - READ_ONCE(b->mono_ns) > max_age_ns)
			break;
		if (pos > READ_ONCE(b->position))
			return true;
		*least = READ_ONCE(b->position);
	}
	return false;
}
