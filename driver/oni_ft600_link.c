// SPDX-License-Identifier: GPL-2.0-only
/*
 * FT600 bridge: the ops of the core. See oni_ft600.h for locks and lifetime.
 *
 * Data come in transfers that end anywhere, and go into the ring in words: up
 * to three bytes are carried over from one transfer to the next. The ring has no
 * DMA from USB; what came is copied once, by whoever finds work to do: the
 * completion handler, or the reader that has made room. If there is no room the
 * slots wait with their data, nothing of them is submitted again, and when all
 * of them wait the chip is not polled any more and the board's own memory fills.
 */
#include <linux/bits.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "oni_compat.h"
#include "oni_ft600.h"
#include "oni_ring.h"
#include "oni_ring_math.h"

#define REPLY_TIMEOUT		msecs_to_jiffies(2000)
/* What one request for data covers; 29 ms of the fastest board. */
#define CREDIT_BYTES		(1024 * 1024U)
/* The only length of a stream that is known to have been used at this rate. */
#define STREAM_BYTES		0x40000000U
/* As the PCIe transport waits for a further block after a stop. */
#define DRAIN_QUIET_MS		200
#define DRAIN_STEP_MS		10
/* Held back by a full ring that nobody empties. */
#define DRAIN_STUCK_MS		500
/* No board has more memory: what still comes is no remainder. */
#define DRAIN_MAX_BYTES		BIT_ULL(30)

/* --- data: from the transfers into the ring ------------------------------- */

static void ring_copy(struct oni_ring *ring, u64 pos, const u8 *src, u32 bytes)
{
	while (bytes) {
		u64 off = oni_ring_offset(pos, ring->size);
		u32 n = oni_ring_span(pos, bytes, oni_ring_chunk_bytes(ring));
		u8 *dst = page_address(oni_ring_page(ring, off));

		memcpy(dst + offset_in_page(off), src, n);
		pos += n;
		src += n;
		bytes -= n;
	}
}

/* Carry and slot into @bytes of the ring at @pos, the rest into the carry. */
static void put_data(struct ft600 *f, const struct ft600_slot *slot, u64 pos,
		     u32 bytes)
{
	u32 used = 0;

	if (bytes) {
		used = bytes - f->carry_len;
		ring_copy(f->ring, pos, f->carry, f->carry_len);
		ring_copy(f->ring, pos + f->carry_len, slot->buf, used);
		f->carry_len = 0;
	}
	memcpy(f->carry + f->carry_len, slot->buf + used, slot->len - used);
	f->carry_len += slot->len - used;
}

/* The next slot to copy, if there is room for @bytes of whole words. */
static struct ft600_slot *next_slot(struct ft600 *f, u32 *bytes)
{
	struct ft600_slot *slot;

	lockdep_assert_held(&f->lock);
	if (!f->serving || list_empty(&f->done))
		return NULL;
	slot = list_first_entry(&f->done, struct ft600_slot, node);
	*bytes = round_down(f->carry_len + slot->len, 4);
	if (*bytes && !oni_ring_room(f->ring, *bytes))
		return NULL;
	return slot;
}

/*
 * Copy what is there and what there is room for. Any context. One at a time, and
 * a slot stays at the front until it is copied; whoever comes meanwhile has no
 * need to wait, because the list and the room are looked at again.
 */
static void pump(struct ft600 *f)
{
	struct ft600_slot *slot;
	unsigned long flags;
	u32 bytes;

	spin_lock_irqsave(&f->lock, flags);
	if (f->pumping)
		goto out;
	f->pumping = true;
	while ((slot = next_slot(f, &bytes))) {
		u64 pos = oni_ring_head(f->ring);

		spin_unlock_irqrestore(&f->lock, flags);
		put_data(f, slot, pos, bytes);
		spin_lock_irqsave(&f->lock, flags);
		if (bytes)
			oni_ring_publish(f->ring, bytes, slot->seen_ns);
		f->moves++;
		list_del(&slot->node);
		ft600_in_again(slot);
	}
	f->pumping = false;
	if (!f->serving)
		wake_up_all(&f->wait);
out:
	spin_unlock_irqrestore(&f->lock, flags);
}

static void data_take(struct ft600_slot *slot)
{
	struct ft600 *f = slot->in->f;
	unsigned long flags;

	spin_lock_irqsave(&f->lock, flags);
	list_add_tail(&slot->node, &f->done);
	f->moves++;
	spin_unlock_irqrestore(&f->lock, flags);
	pump(f);
}

/* --- replies: register values and signal bytes ---------------------------- */

static void reply_value(struct ft600 *f, u32 value)
{
	unsigned long flags;
	bool wanted;

	spin_lock_irqsave(&f->lock, flags);
	wanted = f->value_wanted;
	f->value_wanted = false;
	if (wanted) {
		f->value = value;
		f->value_got = true;
	}
	spin_unlock_irqrestore(&f->lock, flags);
	/* The next answer would be taken for that of another request. */
	if (!wanted)
		oni_link_error(f->link, -EIO);
	wake_up_all(&f->wait);
}

static void reply_take(struct ft600_slot *slot)
{
	struct ft600 *f = slot->in->f;
	unsigned int strays = 0;
	unsigned long flags;
	u32 i;

	for (i = 0; i < slot->len; i++) {
		switch (oni_ft600_feed(&f->parser, slot->buf[i])) {
		case ONI_FT600_SIGNAL:
			oni_link_signal(f->link, slot->buf[i]);
			break;
		case ONI_FT600_VALUE:
			reply_value(f, f->parser.value);
			break;
		case ONI_FT600_STRAY:
			strays++;
			break;
		case ONI_FT600_MORE:
			break;
		}
	}
	spin_lock_irqsave(&f->lock, flags);
	f->nothings += strays;
	ft600_in_again(slot);
	spin_unlock_irqrestore(&f->lock, flags);
}

/* --- ops ------------------------------------------------------------------ */

bool ft600_frozen(struct ft600 *f)
{
	unsigned long flags;
	bool frozen;

	spin_lock_irqsave(&f->lock, flags);
	frozen = f->frozen;
	spin_unlock_irqrestore(&f->lock, flags);
	return frozen;
}

static int ft600_ctl_write(struct oni_link *link, u32 reg, u32 val)
{
	struct ft600 *f = oni_link_priv(link);

	if (f->held)
		return -EIO;
	return ft600_out_send(f, &f->command,
			      oni_ft600_write_reg(f->command.buf, reg, val));
}

static void want_value(struct ft600 *f, bool wanted)
{
	unsigned long flags;

	spin_lock_irqsave(&f->lock, flags);
	f->value_wanted = wanted;
	f->value_got = false;
	spin_unlock_irqrestore(&f->lock, flags);
}

static bool have_value(struct ft600 *f, u32 *val)
{
	unsigned long flags;
	bool got;

	spin_lock_irqsave(&f->lock, flags);
	got = f->value_got;
	*val = f->value;
	spin_unlock_irqrestore(&f->lock, flags);
	return got;
}

static int ft600_ctl_read(struct oni_link *link, u32 reg, u32 *val)
{
	struct ft600 *f = oni_link_priv(link);
	int ret;

	if (f->value_lost || f->held)
		return -EIO;
	want_value(f, true);
	ret = ft600_out_send(f, &f->command,
			     oni_ft600_read_reg(f->command.buf, reg));
	if (ret) {
		want_value(f, false);
		return ret;
	}
	ret = wait_event_timeout(f->wait, have_value(f, val) ||
				 oni_link_is_lost(link), REPLY_TIMEOUT);
	if (oni_link_is_lost(link))
		return -ENODEV;
	if (!ret) {
		f->value_lost = true;
		oni_link_error(link, -ETIMEDOUT);
		return -ETIMEDOUT;
	}
	return 0;
}

static bool pump_at_rest(struct ft600 *f)
{
	unsigned long flags;
	bool rest;

	spin_lock_irqsave(&f->lock, flags);
	rest = !f->pumping;
	spin_unlock_irqrestore(&f->lock, flags);
	return rest;
}

/*
 * Take the data transfers home. What they bring is published, as far as there is
 * room; what waits for room beyond that is given up.
 */
static void data_stop(struct ft600 *f)
{
	unsigned long flags;

	ft600_in_stop(&f->data);
	spin_lock_irqsave(&f->lock, flags);
	f->serving = false;
	spin_unlock_irqrestore(&f->lock, flags);
	wait_event(f->wait, pump_at_rest(f));

	spin_lock_irqsave(&f->lock, flags);
	INIT_LIST_HEAD(&f->done);
	spin_unlock_irqrestore(&f->lock, flags);
}

/**
 * ft600_quiet - nothing is in flight any more
 * @f: the board, in any state; runs alone, as reset() does
 */
void ft600_quiet(struct ft600 *f)
{
	data_stop(f);
	ft600_in_stop(&f->reply);
}

/* What was under way is not, and what was cut is made anew. */
static void forget(struct ft600 *f)
{
	want_value(f, false);
	f->value_lost = false;
	f->write_cut = false;
	memset(&f->parser, 0, sizeof(f->parser));
	oni_link_signal_cut(f->link);
}

static int ft600_reset(struct oni_link *link)
{
	struct ft600 *f = oni_link_priv(link);
	int ret;

	ft600_quiet(f);
	forget(f);
	wake_up_all(&f->wait);
	if (oni_link_is_lost(link))
		return -ENODEV;
	if (ft600_frozen(f))
		return -EIO;

	ret = ft600_chip_reset(f);
	/*
	 * One packet at a time: whether the chip ends a full one with an empty
	 * one is not known, and an answer must not wait for the next.
	 */
	if (!ret)
		ret = ft600_in_start(&f->reply, 1, f->packet, f->packet);
	if (!ret)
		ret = ft600_out_send(f, &f->command,
				     oni_ft600_priority(f->command.buf));
	/* Not every caller of a reset looks at its result. */
	if (ret && ret != -ENODEV)
		oni_link_error(link, ret);
	return ret;
}

static int ft600_rx_map(struct oni_link *link, struct oni_ring *ring)
{
	struct ft600 *f = oni_link_priv(link);
	unsigned long flags;

	spin_lock_irqsave(&f->lock, flags);
	f->ring = ring;
	spin_unlock_irqrestore(&f->lock, flags);
	return 0;
}

static void ft600_rx_unmap(struct oni_link *link)
{
	ft600_rx_map(link, NULL);
}

/* Cut the pool into transfers of @block bytes. Returns how many. */
static unsigned int cut_pool(struct ft600 *f, u32 block)
{
	unsigned int per = FT600_BLOCK_MAX / block;
	unsigned int n = min_t(unsigned int, FT600_POOL_CHUNKS * per,
			       FT600_DATA_SLOTS);
	unsigned int i;

	for (i = 0; i < n; i++)
		f->data.slot[i].buf = f->pool[i / per] + i % per * block;
	return n;
}

static int ft600_rx_start(struct oni_link *link, u32 block_bytes)
{
	struct ft600 *f = oni_link_priv(link);
	bool stream = f->data.cmd == FT600_SESSION_STREAM;
	unsigned int slots = cut_pool(f, block_bytes);
	unsigned long flags;
	int ret = 0;

	spin_lock_irqsave(&f->lock, flags);
	f->carry_len = 0;
	f->serving = true;
	spin_unlock_irqrestore(&f->lock, flags);
	if (stream)
		ret = ft600_session(f, FT600_EP_DATA, FT600_SESSION_ABORT, 0);
	return ret ?: ft600_in_start(&f->data, slots, block_bytes,
				     stream ? STREAM_BYTES : CREDIT_BYTES);
}

/* Does data wait for room? @seen tells whether anything moved. */
static bool data_waits(struct ft600 *f, u64 *seen)
{
	unsigned long flags;
	bool waits;

	spin_lock_irqsave(&f->lock, flags);
	waits = !list_empty(&f->done);
	*seen = f->moves;
	spin_unlock_irqrestore(&f->lock, flags);
	return waits;
}

/*
 * The board's memory may hold a lot. As long as transfers keep coming this goes
 * on. One that is not full does not show here: it is taken home by rx_stop().
 */
static void ft600_rx_drain(struct oni_link *link)
{
	struct ft600 *f = oni_link_priv(link);
	u64 seen, before, start = oni_ring_head(f->ring);
	unsigned int still = 0;
	bool waits;

	data_waits(f, &before);
	do {
		msleep(DRAIN_STEP_MS);
		waits = data_waits(f, &seen);
		still = seen == before ? still + DRAIN_STEP_MS : 0;
		before = seen;
		if (oni_ring_head(f->ring) - start > DRAIN_MAX_BYTES) {
			oni_link_error(link, -EIO);
			break;
		}
	} while (!oni_link_is_lost(link) &&
		 still < (waits ? DRAIN_STUCK_MS : DRAIN_QUIET_MS));
}

/* The chip may go on with a session that nobody listens to: close it. */
static void ft600_rx_stop(struct oni_link *link)
{
	struct ft600 *f = oni_link_priv(link);

	data_stop(f);
	if (oni_link_is_lost(link) || ft600_frozen(f))
		return;
	if (!ft600_session(f, FT600_EP_DATA, FT600_SESSION_ABORT, 0))
		ft600_session(f, FT600_EP_DATA, FT600_SESSION_FLUSH, 0);
}

static void ft600_rx_kick(struct oni_link *link)
{
	pump(oni_link_priv(link));
}

/*
 * Frames are parts of a stream, and a piece of it may have several packets: after
 * one that failed the board may wait for the rest of a frame.
 */
static int ft600_tx(struct oni_link *link, const void *buf, size_t bytes)
{
	struct ft600 *f = oni_link_priv(link);
	size_t pos, n;
	int ret;

	if (f->write_cut || f->held)
		return -EIO;
	for (pos = 0; pos < bytes; pos += n) {
		n = min_t(size_t, bytes - pos, FT600_WRITE_BYTES);
		memcpy(f->write.buf, buf + pos, n);
		ret = ft600_out_send(f, &f->write, n);
		/* Without memory nothing was sent: that is no cut at the start. */
		if (ret && (pos || ret != -ENOMEM))
			f->write_cut = true;
		if (ret)
			return ret;
	}
	return 0;
}

static void ft600_stats(struct oni_link *link, struct oni_stats *stats)
{
	struct ft600 *f = oni_link_priv(link);
	unsigned long flags;

	spin_lock_irqsave(&f->lock, flags);
	stats->interrupts = f->completions;
	stats->spurious = f->nothings;
	spin_unlock_irqrestore(&f->lock, flags);
}

const struct oni_link_ops ft600_ops = {
	.name = "oni_ft600",
	.transport = ONI_TRANSPORT_FT600,
	.block_align = FT600_BLOCK_ALIGN,
	.block_max = FT600_BLOCK_MAX,
	.ctl_read = ft600_ctl_read,
	.ctl_write = ft600_ctl_write,
	.reset = ft600_reset,
	.rx_map = ft600_rx_map,
	.rx_unmap = ft600_rx_unmap,
	.rx_start = ft600_rx_start,
	.rx_drain = ft600_rx_drain,
	.rx_stop = ft600_rx_stop,
	.rx_kick = ft600_rx_kick,
	.tx = ft600_tx,
	.stats = ft600_stats,
};

/* --- memory --------------------------------------------------------------- */

static int pool_alloc(struct ft600 *f)
{
	unsigned int i;

	for (i = 0; i < FT600_POOL_CHUNKS; i++) {
		f->pool[i] = kmalloc(FT600_BLOCK_MAX, GFP_KERNEL);
		if (!f->pool[i])
			return -ENOMEM;
	}
	return 0;
}

/**
 * ft600_link_init - memory and state of all that moves bytes
 * @f: the board, all zero but for @f->udev
 *
 * Return: 0 or -ENOMEM; ft600_link_free() is due in any case.
 */
int ft600_link_init(struct ft600 *f)
{
	struct usb_device *udev = f->udev;
	int ret;

	spin_lock_init(&f->lock);
	init_waitqueue_head(&f->wait);
	INIT_LIST_HEAD(&f->done);
	ret = ft600_in_init(&f->data, f, FT600_EP_DATA, FT600_DATA_SLOTS,
			    data_take);
	f->data.watched = true;
	if (!ret)
		ret = ft600_in_init(&f->reply, f, FT600_EP_REPLY, 1, reply_take);
	if (!ret)
		ret = pool_alloc(f);
	if (!ret)
		ret = ft600_out_init(&f->session, f, FT600_EP_SESSION,
				     FT600_SESSION_BYTES);
	if (!ret)
		ret = ft600_out_init(&f->command, f, FT600_EP_COMMAND,
				     ONI_FT600_COMMAND_BYTES);
	if (!ret)
		ret = ft600_out_init(&f->write, f, FT600_EP_WRITE,
				     FT600_WRITE_BYTES);
	if (ret)
		return ret;
	f->packet = usb_maxpacket(udev, usb_rcvbulkpipe(udev, FT600_EP_REPLY));
	f->reply.slot[0].buf = kmalloc(f->packet, GFP_KERNEL);
	return f->reply.slot[0].buf ? 0 : -ENOMEM;
}

void ft600_link_free(struct ft600 *f)
{
	unsigned int i;

	if (f->reply.slots)
		kfree(f->reply.slot[0].buf);
	ft600_in_free(&f->data);
	ft600_in_free(&f->reply);
	ft600_out_free(&f->session);
	ft600_out_free(&f->command);
	ft600_out_free(&f->write);
	for (i = 0; i < FT600_POOL_CHUNKS; i++)
		kfree(f->pool[i]);
}
