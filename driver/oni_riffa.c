// SPDX-License-Identifier: GPL-2.0-only
/*
 * ONIX PCIe controller: RIFFA 2.2 transport.
 *
 * The card announces a transaction upwards; the driver acknowledges it by
 * reading its length, and only then may post the list of addresses to write
 * to. Not acknowledging is how the card is held back: its own memory takes the
 * data meanwhile. All of this happens in interrupt context; user space is not
 * in the loop.
 *
 * Rules of the hardware that shape this file:
 * - The vector must be read after every interrupt, even a spurious one, or no
 *   further interrupt is sent.
 * - A list posted before it is acknowledged is thrown away; a list longer
 *   than the transaction lets stale addresses into the next one. So lists are
 *   exact, and the next announcement is not acknowledged before the card has
 *   said that it received the previous list.
 * - The value of INFO is returned after all earlier DMA writes: reading it is
 *   the reset and the fence before memory is unmapped.
 * - A returned vector pushes the data of the transactions it reports.
 *
 * Locking: @lock (irqsave) protects all channel state and every register
 * access. The core serialises the ops that sleep. Lock order: @lock, then the
 * locks of the core's upcalls and of the ring.
 * DMA memory for lists and small buffers lives from probe to after the last
 * fence; nothing is unmapped on a time-out.
 */
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "oni_compat.h"
#include "oni_link.h"
#include "oni_riffa_regs.h"
#include "oni_ring.h"
#include "oni_ring_math.h"

#define DOWN_TIMEOUT		msecs_to_jiffies(2000)
#define BLOCK_MAX		(1024 * 1024U)
/* Completions of reads in flight at a reset may still arrive this long. */
#define RESET_SETTLE_MS		5
/* The vendor's library waits 200 ms for a further block after a stop. */
#define DRAIN_QUIET_MS		200
#define DRAIN_STEP_MS		10
/* Held back by a full ring that nobody empties. */
#define DRAIN_STUCK_MS		500
/* Liveness check: a card that is gone sends no interrupt to say so. */
#define POLL_BUSY_MS		100
#define POLL_IDLE_MS		500

enum up_state {
	UP_IDLE,
	UP_ANNOUNCED,	/* not acknowledged: the card waits */
	UP_BUSY,	/* acknowledged, list posted if any words */
};

/* Device-visible memory of one channel. */
struct riffa_chan_dma {
	__le32 up_sg[RIFFA_SG_MAX * RIFFA_SG_WORDS];
	__le32 down_sg[RIFFA_SG_WORDS];
	__le32 down_buf[ONIX_WRITE_WORDS];
	__le32 up_buf[ONIX_WRITE_WORDS];
};

struct riffa_chan {
	enum up_state up;
	bool up_list;		/* posted, not yet reported as received */
	u32 up_want;		/* words acknowledged */
	bool down_busy;
	bool down_list;
	u32 down_words;		/* moved, valid when not busy */
	unsigned int down_gen;	/* of the reset during which it was posted */
};

struct riffa {
	struct pci_dev *pdev;
	void __iomem *bar;
	struct oni_link *link;
	struct delayed_work poll_work;
	wait_queue_head_t wait;
	struct riffa_chan_dma *dma;	/* array of ONIX_CHANNELS */
	dma_addr_t dma_addr;

	spinlock_t lock;		/* all below */
	struct riffa_chan chan[ONIX_CHANNELS];
	unsigned int reset_gen;
	bool config_got;
	u32 config_value;

	/* data channel */
	struct oni_ring *ring;
	dma_addr_t *seg;
	u32 seg_bytes;			/* power of two */
	u32 segs;
	bool serving;
	bool orphan;			/* block given up by rx_stop() */
	u32 block;
	u64 data_events;

	u64 interrupts;
	u64 spurious;
	u64 mmio_reads;
	u64 mmio_writes;
};

/* --- registers; caller holds the lock ------------------------------------ */

static u32 rd(struct riffa *r, unsigned int off)
{
	lockdep_assert_held(&r->lock);
	r->mmio_reads++;
	return ioread32(r->bar + off);
}

static void wr(struct riffa *r, unsigned int off, u32 val)
{
	lockdep_assert_held(&r->lock);
	r->mmio_writes++;
	iowrite32(val, r->bar + off);
}

static dma_addr_t chan_dma(struct riffa *r, unsigned int ch, size_t member)
{
	return r->dma_addr + ch * sizeof(struct riffa_chan_dma) + member;
}

/* Element of a list: address low, high, words, unused. */
static void sg_fill(__le32 *sg, dma_addr_t addr, u32 words)
{
	sg[0] = cpu_to_le32(lower_32_bits(addr));
	sg[1] = cpu_to_le32(upper_32_bits(addr));
	sg[2] = cpu_to_le32(words);
	sg[3] = 0;
}

static void lost(struct riffa *r)
{
	r->serving = false;
	oni_link_lost(r->link);
	wake_up_all(&r->wait);
}

/* --- up: FPGA to host ---------------------------------------------------- */

static dma_addr_t seg_addr(const struct riffa *r, u64 pos)
{
	u64 off = oni_ring_offset(pos, r->ring->size);

	return r->seg[off / r->seg_bytes] + (off & (r->seg_bytes - 1));
}

/* The exact list for @bytes at the head of the ring. Returns its elements. */
static unsigned int ring_list(struct riffa *r, u32 bytes)
{
	u64 pos = oni_ring_head(r->ring);
	__le32 *sg = r->dma[ONIX_CH_DATA].up_sg;
	unsigned int n = 0;

	while (bytes) {
		u32 len = oni_ring_span(pos, bytes, r->seg_bytes);
		dma_addr_t addr = seg_addr(r, pos);

		if (n == RIFFA_SG_MAX)
			return 0;
		dma_sync_single_for_device(&r->pdev->dev, addr, len,
					   DMA_FROM_DEVICE);
		sg_fill(&sg[n++ * RIFFA_SG_WORDS], addr, len / 4);
		pos += len;
		bytes -= len;
	}
	return n;
}

static void ring_sync(struct riffa *r, u32 bytes)
{
	u64 pos = oni_ring_head(r->ring);

	while (bytes) {
		u32 len = oni_ring_span(pos, bytes, r->seg_bytes);

		dma_sync_single_for_cpu(&r->pdev->dev, seg_addr(r, pos), len,
					DMA_FROM_DEVICE);
		pos += len;
		bytes -= len;
	}
}

/* Is there a place for what @ch announced? */
static bool up_wanted(struct riffa *r, unsigned int ch)
{
	switch (ch) {
	case ONIX_CH_DATA:
		return r->serving && oni_ring_room(r->ring, r->block);
	case ONIX_CH_CONFIG:
	case ONIX_CH_SIGNAL:
		return true;
	default:
		return false;
	}
}

static unsigned int up_list(struct riffa *r, unsigned int ch, u32 words)
{
	if (ch == ONIX_CH_DATA) {
		if (words > BLOCK_MAX / 4)
			return 0;
		/* Longer than the block size is odd, but no harm with room. */
		if (words * 4 > r->block && !oni_ring_room(r->ring, words * 4))
			return 0;
		return ring_list(r, words * 4);
	}
	if (words > ARRAY_SIZE(r->dma->up_buf))
		return 0;
	sg_fill(r->dma[ch].up_sg,
		chan_dma(r, ch, offsetof(struct riffa_chan_dma, up_buf)), words);
	return 1;
}

/*
 * Acknowledge what is announced and post the list, if there is a place for it
 * and the previous list is out of the way. Called whenever one of these may
 * have changed.
 */
static void up_serve(struct riffa *r, unsigned int ch)
{
	struct riffa_chan *c = &r->chan[ch];
	unsigned int page = RIFFA_PAGE(ch), n;
	dma_addr_t list;
	u32 words;

	if (c->up != UP_ANNOUNCED || c->up_list || !up_wanted(r, ch))
		return;

	words = rd(r, page + RIFFA_UP_LEN);
	if (PCI_POSSIBLE_ERROR(words)) {
		lost(r);
		return;
	}
	c->up = UP_BUSY;
	c->up_want = words;
	if (!words)
		return;		/* done follows without any data */

	n = up_list(r, ch, words);
	if (!n) {
		oni_link_error(r->link, -EIO);
		return;
	}
	c->up_list = true;
	list = chan_dma(r, ch, offsetof(struct riffa_chan_dma, up_sg));
	wr(r, page + RIFFA_UP_SG_LO, lower_32_bits(list));
	wr(r, page + RIFFA_UP_SG_HI, upper_32_bits(list));
	wr(r, page + RIFFA_UP_SG_LEN, n * RIFFA_SG_WORDS);
}

static void up_take(struct riffa *r, unsigned int ch, u32 words, u64 now)
{
	const __le32 *buf = r->dma[ch].up_buf;
	u32 i;

	switch (ch) {
	case ONIX_CH_DATA:
		if (r->orphan)
			break;
		ring_sync(r, words * 4);
		oni_ring_publish(r->ring, words * 4, now);
		break;
	case ONIX_CH_SIGNAL:
		for (i = 0; i < words; i++)
			oni_link_signal(r->link, le32_to_cpu(buf[i]) & 0xff);
		break;
	case ONIX_CH_CONFIG:
		r->config_value = le32_to_cpu(buf[0]);
		r->config_got = true;
		wake_up_all(&r->wait);
		break;
	}
}

static void up_done(struct riffa *r, unsigned int ch, u64 now)
{
	struct riffa_chan *c = &r->chan[ch];
	u32 words = rd(r, RIFFA_PAGE(ch) + RIFFA_UP_DONE_LEN);

	if (PCI_POSSIBLE_ERROR(words)) {
		lost(r);
		return;
	}
	if (c->up != UP_BUSY) {
		oni_link_error(r->link, -EIO);
		return;
	}
	c->up = UP_IDLE;
	if (!c->up_want)
		return;		/* the register shows the one before */
	if (words > c->up_want) {
		oni_link_error(r->link, -EIO);
		return;
	}
	if (words)
		up_take(r, ch, words, now);
}

static void up_new(struct riffa *r, unsigned int ch)
{
	struct riffa_chan *c = &r->chan[ch];

	if (c->up == UP_BUSY) {
		oni_link_error(r->link, -EIO);
		return;
	}
	c->up = UP_ANNOUNCED;
}

/* --- events -------------------------------------------------------------- */

static void down_done(struct riffa *r, unsigned int ch)
{
	struct riffa_chan *c = &r->chan[ch];
	u32 words = rd(r, RIFFA_PAGE(ch) + RIFFA_DOWN_DONE_LEN);

	/* Gone between the vector and here: not a transfer that went wrong. */
	if (PCI_POSSIBLE_ERROR(words)) {
		lost(r);
		return;
	}
	c->down_words = words;
	c->down_busy = false;
}

/* The order matters: a list, then its end, then the next announcement. */
static void chan_events(struct riffa *r, unsigned int ch, u32 ev, u64 now)
{
	struct riffa_chan *c = &r->chan[ch];

	if (ev & RIFFA_EV_UP_LIST)
		c->up_list = false;
	if (ev & RIFFA_EV_UP_DONE)
		up_done(r, ch, now);
	if (ev & RIFFA_EV_UP_NEW)
		up_new(r, ch);
	if (ev & RIFFA_EV_DOWN_LIST)
		c->down_list = false;
	if (ev & RIFFA_EV_DOWN_DONE)
		down_done(r, ch);
	if (ch == ONIX_CH_DATA)
		r->data_events++;
	up_serve(r, ch);
	if (ev & (RIFFA_EV_DOWN_LIST | RIFFA_EV_DOWN_DONE) ||
	    (ch == ONIX_CH_DATA && !r->serving))
		wake_up_all(&r->wait);
}

/* Read the vector and act on it. Returns false if nothing had happened. */
static bool service(struct riffa *r)
{
	u64 now = ktime_get_ns();
	unsigned int ch;
	u32 vec;

	lockdep_assert_held(&r->lock);
	vec = rd(r, RIFFA_VECTOR0);
	if (PCI_POSSIBLE_ERROR(vec)) {
		lost(r);
		return true;
	}
	for (ch = 0; ch < ONIX_CHANNELS; ch++) {
		u32 ev = vec >> (ch * RIFFA_EV_BITS) & RIFFA_EV_MASK;

		if (ev)
			chan_events(r, ch, ev, now);
	}
	return vec;
}

static irqreturn_t riffa_irq(int irq, void *data)
{
	struct riffa *r = data;
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	r->interrupts++;
	/*
	 * After the last reset a block that had no room is announced again. It
	 * is not served any more, but its interrupt wants to be seen.
	 */
	if (oni_link_is_lost(r->link))
		rd(r, RIFFA_VECTOR0);
	else if (!service(r))
		r->spurious++;	/* the read has re-armed the card */
	spin_unlock_irqrestore(&r->lock, flags);
	return IRQ_HANDLED;
}

/*
 * Reading the vector outside the handler is legal. It finds a card that has
 * vanished, and events whose interrupt was lost.
 */
static void riffa_poll(struct work_struct *work)
{
	struct riffa *r = container_of(to_delayed_work(work), struct riffa,
				       poll_work);
	unsigned long flags;
	bool busy;

	spin_lock_irqsave(&r->lock, flags);
	if (oni_link_is_lost(r->link)) {
		spin_unlock_irqrestore(&r->lock, flags);
		return;
	}
	service(r);
	busy = r->serving;
	spin_unlock_irqrestore(&r->lock, flags);
	queue_delayed_work(system_unbound_wq, &r->poll_work,
			   msecs_to_jiffies(busy ? POLL_BUSY_MS : POLL_IDLE_MS));
}

/* --- down: host to FPGA -------------------------------------------------- */

static bool down_over(struct riffa *r, const struct riffa_chan *c)
{
	unsigned long flags;
	bool over;

	spin_lock_irqsave(&r->lock, flags);
	over = (!c->down_busy && !c->down_list) ||
	       c->down_gen != r->reset_gen;
	spin_unlock_irqrestore(&r->lock, flags);
	return over || oni_link_is_lost(r->link);
}

/*
 * Send @words words of the channel's down buffer. The buffer and its list
 * belong to the card until the end or the next reset; a time-out gives them
 * back to nobody, so the channel refuses work until a reset.
 */
static int send_down(struct riffa *r, unsigned int ch, u32 offset, u32 words)
{
	struct riffa_chan *c = &r->chan[ch];
	unsigned int page = RIFFA_PAGE(ch);
	dma_addr_t list, buf;
	unsigned long flags;
	int ret;

	list = chan_dma(r, ch, offsetof(struct riffa_chan_dma, down_sg));
	buf = chan_dma(r, ch, offsetof(struct riffa_chan_dma, down_buf));

	spin_lock_irqsave(&r->lock, flags);
	if (c->down_busy || c->down_list) {
		spin_unlock_irqrestore(&r->lock, flags);
		/* Left so by whoever found the card gone? */
		return oni_link_is_lost(r->link) ? -ENODEV : -EIO;
	}
	sg_fill(r->dma[ch].down_sg, buf, words);
	c->down_busy = true;
	c->down_list = true;
	c->down_gen = r->reset_gen;
	wr(r, page + RIFFA_DOWN_OFFLAST, offset << 1 | 1);
	wr(r, page + RIFFA_DOWN_LEN, words);
	wr(r, page + RIFFA_DOWN_SG_LO, lower_32_bits(list));
	wr(r, page + RIFFA_DOWN_SG_HI, upper_32_bits(list));
	wr(r, page + RIFFA_DOWN_SG_LEN, RIFFA_SG_WORDS);
	spin_unlock_irqrestore(&r->lock, flags);

	ret = wait_event_timeout(r->wait, down_over(r, c), DOWN_TIMEOUT);
	if (oni_link_is_lost(r->link))
		return -ENODEV;
	if (!ret) {
		oni_link_error(r->link, -ETIMEDOUT);
		return -ETIMEDOUT;
	}
	if (c->down_gen != READ_ONCE(r->reset_gen) || c->down_words != words)
		return -EIO;
	return 0;
}

/* --- ops of the core ----------------------------------------------------- */

static int riffa_ctl_write(struct oni_link *link, u32 reg, u32 val)
{
	struct riffa *r = oni_link_priv(link);

	r->dma[ONIX_CH_CONFIG].down_buf[0] = cpu_to_le32(val);
	return send_down(r, ONIX_CH_CONFIG, reg, 1);
}

static int riffa_ctl_read(struct oni_link *link, u32 reg, u32 *val)
{
	struct riffa *r = oni_link_priv(link);
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&r->lock, flags);
	r->config_got = false;
	spin_unlock_irqrestore(&r->lock, flags);

	r->dma[ONIX_CH_CONFIG].down_buf[0] = 0;
	ret = send_down(r, ONIX_CH_CONFIG, reg | ONIX_CONFIG_READ, 1);
	if (ret)
		return ret;
	ret = wait_event_timeout(r->wait, READ_ONCE(r->config_got) ||
				 oni_link_is_lost(link), DOWN_TIMEOUT);
	if (oni_link_is_lost(link))
		return -ENODEV;
	if (!ret) {
		oni_link_error(link, -ETIMEDOUT);
		return -ETIMEDOUT;
	}
	*val = r->config_value;
	return 0;
}

static int riffa_reset(struct oni_link *link)
{
	struct riffa *r = oni_link_priv(link);
	unsigned long flags;
	u32 info;

	spin_lock_irqsave(&r->lock, flags);
	r->serving = false;
	r->orphan = false;
	info = rd(r, RIFFA_INFO);
	memset(r->chan, 0, sizeof(r->chan));
	r->reset_gen++;
	if (PCI_POSSIBLE_ERROR(info))
		lost(r);
	spin_unlock_irqrestore(&r->lock, flags);

	wake_up_all(&r->wait);
	if (PCI_POSSIBLE_ERROR(info))
		return -ENODEV;
	msleep(RESET_SETTLE_MS);
	return 0;
}

static void unmap_segs(struct riffa *r, dma_addr_t *seg, u32 n, u32 bytes)
{
	while (n--)
		dma_unmap_page(&r->pdev->dev, seg[n], bytes, DMA_FROM_DEVICE);
	kvfree(seg);
}

static int riffa_rx_map(struct oni_link *link, struct oni_ring *ring)
{
	struct riffa *r = oni_link_priv(link);
	struct device *dev = &r->pdev->dev;
	size_t most = dma_max_mapping_size(dev);
	u32 bytes = oni_ring_chunk_bytes(ring), n, i;
	unsigned long flags;
	dma_addr_t *seg;

	/* Bounce buffers are small. */
	while (bytes > most && bytes > PAGE_SIZE)
		bytes /= 2;
	n = ring->size / bytes;
	seg = kvcalloc(n, sizeof(*seg), GFP_KERNEL_ACCOUNT);
	if (!seg)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		seg[i] = dma_map_page(dev, oni_ring_page(ring, (u64)i * bytes),
				      0, bytes, DMA_FROM_DEVICE);
		if (dma_mapping_error(dev, seg[i])) {
			unmap_segs(r, seg, i, bytes);
			return -ENOMEM;
		}
	}

	spin_lock_irqsave(&r->lock, flags);
	r->ring = ring;
	r->seg = seg;
	r->segs = n;
	r->seg_bytes = bytes;
	spin_unlock_irqrestore(&r->lock, flags);
	return 0;
}

static void riffa_rx_unmap(struct oni_link *link)
{
	struct riffa *r = oni_link_priv(link);
	unsigned long flags;
	dma_addr_t *seg;

	spin_lock_irqsave(&r->lock, flags);
	seg = r->seg;
	r->serving = false;
	r->ring = NULL;
	r->seg = NULL;
	spin_unlock_irqrestore(&r->lock, flags);
	unmap_segs(r, seg, r->segs, r->seg_bytes);
}

static int riffa_rx_start(struct oni_link *link, u32 block_bytes)
{
	struct riffa *r = oni_link_priv(link);
	unsigned long flags;
	int ret;

	r->dma[ONIX_CH_DATA].down_buf[0] = cpu_to_le32(block_bytes / 4);
	ret = send_down(r, ONIX_CH_DATA, 0, 1);
	if (ret)
		return ret;

	spin_lock_irqsave(&r->lock, flags);
	r->block = block_bytes;
	r->serving = true;
	up_serve(r, ONIX_CH_DATA);
	spin_unlock_irqrestore(&r->lock, flags);
	mod_delayed_work(system_unbound_wq, &r->poll_work,
			 msecs_to_jiffies(POLL_BUSY_MS));
	return 0;
}

/* Nothing announced or in flight? @seen tells whether anything happened. */
static bool data_idle(struct riffa *r, u64 *seen)
{
	unsigned long flags;
	bool idle;

	spin_lock_irqsave(&r->lock, flags);
	idle = r->chan[ONIX_CH_DATA].up == UP_IDLE;
	*seen = r->data_events;
	spin_unlock_irqrestore(&r->lock, flags);
	return idle;
}

/*
 * The card's memory may hold seconds of data. As long as blocks keep coming
 * this goes on: giving up after a fixed time would lose the rest.
 */
static void riffa_rx_drain(struct oni_link *link)
{
	struct riffa *r = oni_link_priv(link);
	unsigned int still = 0;
	u64 seen, before;
	bool idle;

	data_idle(r, &before);
	do {
		msleep(DRAIN_STEP_MS);
		idle = data_idle(r, &seen);
		still = seen == before ? still + DRAIN_STEP_MS : 0;
		before = seen;
	} while (!oni_link_is_lost(link) &&
		 still < (idle ? DRAIN_QUIET_MS : DRAIN_STUCK_MS));
}

/* Under the lock: a handler that is about to publish counts as in flight. */
static bool data_landed(struct riffa *r)
{
	unsigned long flags;
	bool landed;

	spin_lock_irqsave(&r->lock, flags);
	landed = r->chan[ONIX_CH_DATA].up != UP_BUSY;
	spin_unlock_irqrestore(&r->lock, flags);
	return landed || oni_link_is_lost(r->link);
}

/*
 * A block that was acknowledged is waited for, since the head is final after
 * this. If the card does not finish it, it stays unpublished and the link is
 * in error; its memory stays mapped until the fence.
 */
static void riffa_rx_stop(struct oni_link *link)
{
	struct riffa *r = oni_link_priv(link);
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	r->serving = false;
	spin_unlock_irqrestore(&r->lock, flags);
	if (wait_event_timeout(r->wait, data_landed(r), DOWN_TIMEOUT))
		return;
	spin_lock_irqsave(&r->lock, flags);
	r->orphan = r->chan[ONIX_CH_DATA].up == UP_BUSY;
	spin_unlock_irqrestore(&r->lock, flags);
	oni_link_error(link, -EIO);
}

static void riffa_rx_kick(struct oni_link *link)
{
	struct riffa *r = oni_link_priv(link);
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	if (r->ring)
		up_serve(r, ONIX_CH_DATA);
	spin_unlock_irqrestore(&r->lock, flags);
}

static int riffa_tx(struct oni_link *link, const void *buf, size_t bytes)
{
	struct riffa *r = oni_link_priv(link);
	size_t pos, n;
	int ret;

	for (pos = 0; pos < bytes; pos += n) {
		n = min_t(size_t, bytes - pos, ONIX_WRITE_WORDS * 4);
		memcpy(r->dma[ONIX_CH_WRITE].down_buf, buf + pos, n);
		ret = send_down(r, ONIX_CH_WRITE, 0, n / 4);
		if (ret)
			return ret;
	}
	return 0;
}

static void riffa_stats(struct oni_link *link, struct oni_stats *stats)
{
	struct riffa *r = oni_link_priv(link);
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	stats->interrupts = r->interrupts;
	stats->spurious = r->spurious;
	stats->mmio_reads = r->mmio_reads;
	stats->mmio_writes = r->mmio_writes;
	spin_unlock_irqrestore(&r->lock, flags);
}

static const struct oni_link_ops riffa_ops = {
	.name = "oni_riffa",
	.transport = ONI_TRANSPORT_RIFFA,
	.block_align = 4,
	.block_max = BLOCK_MAX,
	.ctl_read = riffa_ctl_read,
	.ctl_write = riffa_ctl_write,
	.reset = riffa_reset,
	.rx_map = riffa_rx_map,
	.rx_unmap = riffa_rx_unmap,
	.rx_start = riffa_rx_start,
	.rx_drain = riffa_rx_drain,
	.rx_stop = riffa_rx_stop,
	.rx_kick = riffa_rx_kick,
	.tx = riffa_tx,
	.stats = riffa_stats,
};

/* --- PCI ----------------------------------------------------------------- */

/*
 * 10ee:7024 is the default of Xilinx's 7-series core and used by many boards.
 * The BAR is checked before the first access, because reading INFO of another
 * design may do anything.
 */
static bool info_sane(u32 info)
{
	u32 channels = FIELD_GET(RIFFA_INFO_CHANNELS, info);
	u32 width = FIELD_GET(RIFFA_INFO_WIDTH, info);
	u32 rate = FIELD_GET(RIFFA_INFO_RATE, info);
	u32 bus = FIELD_GET(RIFFA_INFO_BUS, info);

	/* More than six channels would need the second vector. */
	return !PCI_POSSIBLE_ERROR(info) && channels >= ONIX_CHANNELS &&
	       channels <= 6 && (info & RIFFA_INFO_MASTER) &&
	       width && width <= 32 && !(width & (width - 1)) && rate &&
	       (bus == 2 || bus == 4);
}

static int riffa_setup_pci(struct riffa *r)
{
	struct pci_dev *pdev = r->pdev;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	if (!(pci_resource_flags(pdev, 0) & IORESOURCE_MEM) ||
	    pci_resource_len(pdev, 0) != ONIX_BAR_BYTES) {
		dev_info(&pdev->dev, "not an ONIX card: BAR 0 has %llu bytes, left alone\n",
			 (u64)pci_resource_len(pdev, 0));
		return -ENODEV;
	}
	ret = pcim_iomap_regions(pdev, BIT(0), "oni_riffa");
	if (ret)
		return ret;
	r->bar = pcim_iomap_table(pdev)[0];

	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(32));
	if (ret)
		return ret;
	/* The core's tag counter runs over all eight bits. */
	ret = pcie_capability_set_word(pdev, PCI_EXP_DEVCTL,
				       PCI_EXP_DEVCTL_EXT_TAG);
	if (ret)
		return pcibios_err_to_errno(ret);

	r->dma = dmam_alloc_coherent(&pdev->dev,
				     ONIX_CHANNELS * sizeof(*r->dma),
				     &r->dma_addr, GFP_KERNEL);
	if (!r->dma)
		return -ENOMEM;
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSI);
	return ret < 0 ? ret : 0;
}

static int riffa_check_info(struct riffa *r)
{
	unsigned long flags;
	u32 info;

	spin_lock_irqsave(&r->lock, flags);
	info = rd(r, RIFFA_INFO);
	spin_unlock_irqrestore(&r->lock, flags);
	if (info_sane(info))
		return 0;
	dev_info(&r->pdev->dev, "not an ONIX card: core settings 0x%08x, left alone\n",
		 info);
	return -ENODEV;
}

static int riffa_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct riffa *r;
	int ret;

	r = devm_kzalloc(&pdev->dev, sizeof(*r), GFP_KERNEL);
	if (!r)
		return -ENOMEM;
	r->pdev = pdev;
	spin_lock_init(&r->lock);
	init_waitqueue_head(&r->wait);
	INIT_DELAYED_WORK(&r->poll_work, riffa_poll);
	pci_set_drvdata(pdev, r);

	ret = riffa_setup_pci(r);
	if (ret)
		return ret;
	r->link = oni_link_alloc(&pdev->dev, &riffa_ops, THIS_MODULE, r);
	if (IS_ERR(r->link)) {
		ret = PTR_ERR(r->link);
		goto err_vectors;
	}
	/* INFO says whether bus mastering is on, and the card needs it. */
	pci_set_master(pdev);
	ret = riffa_check_info(r);
	if (ret)
		goto err_master;
	ret = request_irq(pci_irq_vector(pdev, 0), riffa_irq, 0, "oni_riffa",
			  r);
	if (ret)
		goto err_master;

	ret = oni_link_register(r->link);
	if (ret) {
		dev_info(&pdev->dev, "no ONI controller answers behind this core (%d), left alone\n",
			 ret);
		/* The bus would print a second line for other errors. */
		if (ret != -ENOMEM)
			ret = -ENODEV;
		goto err_irq;
	}
	queue_delayed_work(system_unbound_wq, &r->poll_work,
			   msecs_to_jiffies(POLL_IDLE_MS));
	return 0;

err_irq:
	oni_link_unregister(r->link);
	cancel_delayed_work_sync(&r->poll_work);
	free_irq(pci_irq_vector(pdev, 0), r);
err_master:
	pci_clear_master(pdev);
	oni_link_free(r->link);
err_vectors:
	pci_free_irq_vectors(pdev);
	return ret;
}

static void riffa_remove(struct pci_dev *pdev)
{
	struct riffa *r = pci_get_drvdata(pdev);

	if (pci_dev_is_disconnected(pdev))
		oni_link_lost(r->link);
	/* Ends with a read of INFO: no DMA after it. */
	oni_link_unregister(r->link);
	cancel_delayed_work_sync(&r->poll_work);
	pci_clear_master(pdev);
	free_irq(pci_irq_vector(pdev, 0), r);
	oni_link_free(r->link);
	pci_free_irq_vectors(pdev);
}

static void riffa_shutdown(struct pci_dev *pdev)
{
	struct riffa *r = pci_get_drvdata(pdev);

	oni_link_quiesce(r->link);
	cancel_delayed_work_sync(&r->poll_work);
	pci_clear_master(pdev);
}

static int riffa_suspend(struct device *dev)
{
	struct riffa *r = dev_get_drvdata(dev);

	oni_link_quiesce(r->link);
	cancel_delayed_work_sync(&r->poll_work);
	return 0;
}

static int riffa_resume(struct device *dev)
{
	struct riffa *r = dev_get_drvdata(dev);

	pci_set_master(r->pdev);
	queue_delayed_work(system_unbound_wq, &r->poll_work,
			   msecs_to_jiffies(POLL_IDLE_MS));
	return oni_link_resume(r->link);
}

static DEFINE_SIMPLE_DEV_PM_OPS(riffa_pm, riffa_suspend, riffa_resume);

static const struct pci_device_id riffa_ids[] = {
	{ PCI_DEVICE(ONIX_PCI_VENDOR, ONIX_PCI_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, riffa_ids);

static struct pci_driver riffa_driver = {
	.name = "oni_riffa",
	.id_table = riffa_ids,
	.probe = riffa_probe,
	.remove = riffa_remove,
	.shutdown = riffa_shutdown,
	.driver.pm = pm_sleep_ptr(&riffa_pm),
};
module_pci_driver(riffa_driver);

ONI_IMPORT;
MODULE_DESCRIPTION("ONIX PCIe controller (RIFFA 2.2). Research use only, not a medical device.");
MODULE_LICENSE("GPL");
