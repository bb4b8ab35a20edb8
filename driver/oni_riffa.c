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
 * What a block costs: reads of the vector, of the length announced and of the
 * length done, three writes for the list. When blocks wait in the card, "list
 * received", "done" and the next announcement are in one vector. When they
 * come one by one they are not, and each interrupt costs one more read, which
 * stalls a processor for about a microsecond. The rate of an acquisition is
 * constant, so the driver learns when the next announcement is due and leaves
 * the vector unread until then: no interrupt comes meanwhile, and one read
 * takes all. See pace_hold().
 *
 * Locking: @lock (irqsave) protects all channel state and every register
 * access. The core calls reset() alone, and one op of each group (rx, ctl, tx)
 * at a time; a group has its channels for itself. Lock order: @lock, then the
 * locks of the core's upcalls and of the ring.
 * DMA memory for lists and small buffers lives from probe to after the last
 * fence; nothing is unmapped on a time-out.
 */
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/minmax.h>
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
/* The memory of the card's FPGA module: more than that is no remainder. */
#define DRAIN_MAX_BYTES		(4ULL << 30)
/* The fetch of a list whose transfer ended early, if it was still under way. */
#define LIST_DRAIN		msecs_to_jiffies(50)
/* A transfer that was begun moves, or the card is broken. */
#define STUCK			msecs_to_jiffies(5000)
/* So many interrupts for nothing are a fault: leave it to the poll. */
#define STORM			256
/* Liveness check: a card that is gone sends no interrupt to say so. */
#define POLL_BUSY_MS		100
#define POLL_IDLE_MS		500
/* A finished block waits no longer than this for the next announcement. */
#define HOLD_MAX_NS		(10 * NSEC_PER_MSEC)
/* A shorter wait is not worth a timer. */
#define HOLD_MIN_NS		(5 * NSEC_PER_USEC)
/*
 * A prediction is good for this many times the blocks that it was measured
 * over, and for so many at most; then it is checked against an interrupt.
 */
#define HOLD_TRUST		4
#define HOLD_BLOCKS		256
/* Register accesses are a dialogue of many interrupts: none of them waits. */
#define HOLD_QUIET		msecs_to_jiffies(50)

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
	bool up_early;		/* announced before anybody wanted it */
	bool up_short;		/* ended early, the list not yet reported */
	unsigned long up_ended;	/* jiffies of that */
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
	bool config_wanted;		/* a reply is due */
	bool config_got;
	bool config_lost;		/* one may still come; until a reset */
	u32 config_value;

	/* data channel */
	struct oni_ring *ring;
	dma_addr_t *seg;
	u32 seg_bytes;			/* power of two */
	u32 segs;
	bool serving;
	bool orphan;			/* block given up by rx_stop() */
	u32 block;
	unsigned long data_moved;	/* jiffies of the last event, or list */

	/* when is the next block due? */
	struct hrtimer hold_timer;
	bool holding;			/* the vector is left to the timer */
	u64 announced;			/* blocks of this acquisition */
	u64 announced_ns;		/* when the last one was seen */
	u64 anchor;			/* of these, the last one with a date */
	u64 anchor_ns;			/* its interrupt; 0: none yet */
	u64 interval_ns;		/* between announcements; 0: not known */
	u64 measured;			/* blocks that is the mean of */
	unsigned long control;		/* jiffies of the last control traffic */

	bool frozen;			/* by error recovery: no access */

	u64 interrupts;
	u64 polled;			/* interrupts seen by the last poll */
	unsigned int idle_irqs;		/* in a row for nothing */
	bool nonsense;			/* the vector had an event of nothing */
	u64 spurious;
	u64 held;
	u64 mmio_reads;
	u64 mmio_writes;
};

/* --- registers; caller holds the lock ------------------------------------ */

static u32 rd(struct riffa *r, unsigned int off)
{
	lockdep_assert_held(&r->lock);
	r->mmio_reads++;
	return readl(r->bar + off);
}

static void wr(struct riffa *r, unsigned int off, u32 val)
{
	lockdep_assert_held(&r->lock);
	r->mmio_writes++;
	writel(val, r->bar + off);
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
	c->up_short = false;
	if (ch == ONIX_CH_DATA)
		r->data_moved = jiffies;
	list = chan_dma(r, ch, offsetof(struct riffa_chan_dma, up_sg));
	wr(r, page + RIFFA_UP_SG_LO, lower_32_bits(list));
	wr(r, page + RIFFA_UP_SG_HI, upper_32_bits(list));
	wr(r, page + RIFFA_UP_SG_LEN, n * RIFFA_SG_WORDS);
}

static void up_take(struct riffa *r, unsigned int ch, u32 words)
{
	const __le32 *buf = r->dma[ch].up_buf;
	u32 i;

	switch (ch) {
	case ONIX_CH_DATA:
		if (r->orphan)
			break;
		ring_sync(r, words * 4);
		oni_ring_publish(r->ring, words * 4, r->announced_ns);
		break;
	case ONIX_CH_SIGNAL:
		for (i = 0; i < words; i++)
			oni_link_signal(r->link, le32_to_cpu(buf[i]) & 0xff);
		break;
	case ONIX_CH_CONFIG:
		/* None is due before the card has taken the request. */
		if (!r->config_wanted || r->chan[ch].up_early ||
		    r->chan[ch].down_busy) {
			oni_link_error(r->link, -EIO);
			break;
		}
		r->config_wanted = false;
		r->config_value = le32_to_cpu(buf[0]);
		r->config_got = true;
		wake_up_all(&r->wait);
		break;
	}
}

static void up_done(struct riffa *r, unsigned int ch)
{
	struct riffa_chan *c = &r->chan[ch];
	u32 words = rd(r, RIFFA_PAGE(ch) + RIFFA_UP_DONE_LEN);

	if (PCI_POSSIBLE_ERROR(words)) {
		lost(r);
		return;
	}
	if (c->up != UP_BUSY) {
		r->nonsense = true;
		oni_link_error(r->link, -EIO);
		return;
	}
	c->up = UP_IDLE;
	if (!c->up_want)
		return;		/* the register shows the one before */
	c->up_short = c->up_list && words < c->up_want;
	c->up_ended = jiffies;
	if (ch == ONIX_CH_SIGNAL && words < c->up_want)
		oni_link_signal_cut(r->link);
	/*
	 * A transfer may end early, and a reset of the controller withdraws
	 * what was announced before it. But a block of the running acquisition
	 * that comes empty is lost.
	 */
	if (!words && (ch != ONIX_CH_DATA || c->up_early))
		return;
	if (!words || words > c->up_want) {
		oni_link_error(r->link, -EIO);
		return;
	}
	up_take(r, ch, words);
}

/* --- pace of the data channel --------------------------------------------- */

static void pace_reset(struct riffa *r)
{
	r->announced = 0;
	r->anchor = 0;
	r->anchor_ns = 0;
	r->interval_ns = 0;
}

/*
 * An announcement. If it came in an interrupt of its own, @exact, its time is
 * known. One that came together with the end of the block before may have
 * waited for any time.
 */
static void pace_new(struct riffa *r, bool exact, u64 now)
{
	r->announced++;
	r->announced_ns = now;
	if (!exact)
		return;
	if (r->anchor_ns) {
		r->measured = r->announced - r->anchor;
		r->interval_ns = div64_u64(now - r->anchor_ns, r->measured);
	}
	r->anchor = r->announced;
	r->anchor_ns = now;
}

/*
 * An interrupt while a list is on its way says that the card has received it.
 * Nothing needs to be done about that until the block is complete, and if the
 * next announcement is due soon, not before that: leave the vector unread until
 * an eighth of an interval after it. The latency limit of the stream bounds
 * the wait, and now and then an announcement must be seen in time, or a faster
 * card would fill its memory unnoticed.
 */
static bool pace_hold(struct riffa *r, u64 now)
{
	const struct riffa_chan *c = &r->chan[ONIX_CH_DATA];
	u64 n = r->announced - r->anchor;
	u64 limit, due;

	if (c->up != UP_BUSY || !c->up_list || !r->serving ||
	    !r->interval_ns || n >= min_t(u64, HOLD_TRUST * r->measured,
					  HOLD_BLOCKS) ||
	    time_before(jiffies, r->control + HOLD_QUIET))
		return false;
	limit = oni_ring_latency_ns(r->ring) / 2 ?: HOLD_MAX_NS;
	due = r->anchor_ns + (n + 1) * r->interval_ns + r->interval_ns / 8;
	if (due < now + HOLD_MIN_NS || due > now + min(limit, HOLD_MAX_NS))
		return false;
	r->holding = true;
	r->held++;
	hrtimer_start(&r->hold_timer, ns_to_ktime(due), HRTIMER_MODE_ABS);
	return true;
}

static void up_new(struct riffa *r, unsigned int ch)
{
	struct riffa_chan *c = &r->chan[ch];

	r->nonsense |= c->up != UP_IDLE;
	if (c->up == UP_BUSY) {
		oni_link_error(r->link, -EIO);
		return;
	}
	c->up = UP_ANNOUNCED;
	c->up_early = (ch == ONIX_CH_DATA && !r->serving) ||
		      (ch == ONIX_CH_CONFIG && !r->config_wanted);
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

/*
 * The order matters: a list, then its end, then the next announcement; and what
 * went down before what came up in answer to it.
 */
static void chan_events(struct riffa *r, unsigned int ch, u32 ev, u64 now,
			bool irq)
{
	struct riffa_chan *c = &r->chan[ch];

	if (ev & RIFFA_EV_DOWN_LIST) {
		r->nonsense |= !c->down_list;
		c->down_list = false;
	}
	if (ev & RIFFA_EV_DOWN_DONE) {
		r->nonsense |= !c->down_busy;
		down_done(r, ch);
	}
	if (ev & RIFFA_EV_UP_LIST) {
		r->nonsense |= !c->up_list;
		c->up_list = false;
	}
	if (ev & RIFFA_EV_UP_DONE)
		up_done(r, ch);
	if (ev & RIFFA_EV_UP_NEW)
		up_new(r, ch);
	if (ch == ONIX_CH_DATA) {
		r->data_moved = jiffies;
		if (ev & RIFFA_EV_UP_NEW)
			pace_new(r, irq && !(ev & RIFFA_EV_UP_DONE), now);
	} else {
		r->control = jiffies;
	}
	up_serve(r, ch);
	if (ev & (RIFFA_EV_DOWN_LIST | RIFFA_EV_DOWN_DONE) ||
	    (ch == ONIX_CH_DATA && !r->serving))
		wake_up_all(&r->wait);
}

/*
 * Read the vector and act on it. @irq: an interrupt has just told to. Returns
 * false if nothing had happened, or nothing that makes sense.
 */
static bool service(struct riffa *r, u64 now, bool irq)
{
	unsigned int ch;
	u32 vec, left;

	lockdep_assert_held(&r->lock);
	r->holding = false;
	r->nonsense = false;
	vec = rd(r, RIFFA_VECTOR0);
	if (PCI_POSSIBLE_ERROR(vec)) {
		lost(r);
		return true;
	}
	left = vec;
	for (ch = 0; left && ch < ONIX_CHANNELS; ch++) {
		if (left & RIFFA_EV_MASK)
			chan_events(r, ch, left & RIFFA_EV_MASK, now, irq);
		left >>= RIFFA_EV_BITS;
	}
	return vec && !r->nonsense;
}

static irqreturn_t riffa_irq(int irq, void *data)
{
	struct riffa *r = data;
	u64 now = ktime_get_ns();

	spin_lock(&r->lock);
	r->interrupts++;
	/*
	 * After the last reset a block that had no room is announced again. It
	 * is not served any more, but its interrupt wants to be seen.
	 */
	if (r->frozen) {
		;	/* the reset that follows re-arms the card */
	} else if (oni_link_is_lost(r->link)) {
		rd(r, RIFFA_VECTOR0);
	} else if (r->holding) {
		r->spurious++;	/* none is sent before the vector was read */
	} else if (r->idle_irqs >= STORM) {
		r->spurious++;	/* unread: no more until the poll reads it */
	} else if (pace_hold(r, now) || service(r, now, true)) {
		r->idle_irqs = 0;
	} else {
		r->spurious++;	/* the read has re-armed the card */
		r->idle_irqs++;
	}
	spin_unlock(&r->lock);
	return IRQ_HANDLED;
}

static enum hrtimer_restart riffa_hold_expired(struct hrtimer *timer)
{
	struct riffa *r = container_of(timer, struct riffa, hold_timer);
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	if (r->holding && !r->frozen && !oni_link_is_lost(r->link))
		service(r, ktime_get_ns(), false);
	spin_unlock_irqrestore(&r->lock, flags);
	return HRTIMER_NORESTART;
}

/* A list that is not received, or a block that does not end. */
static bool data_stuck(struct riffa *r)
{
	const struct riffa_chan *c = &r->chan[ONIX_CH_DATA];

	return r->serving && (c->up == UP_BUSY || c->up_list) &&
	       time_after(jiffies, r->data_moved + STUCK);
}

/*
 * A transfer that ends early takes its list along: if that was still being
 * fetched it is never reported as received, and only time tells that nothing
 * of it is under way any more.
 */
static void lists_drained(struct riffa *r)
{
	struct riffa_chan *c;
	unsigned int ch;

	for (ch = 0; ch < ONIX_CHANNELS; ch++) {
		c = &r->chan[ch];
		if (!c->up_list || !c->up_short ||
		    time_before(jiffies, c->up_ended + LIST_DRAIN))
			continue;
		c->up_list = false;
		c->up_short = false;
		up_serve(r, ch);
	}
}

/*
 * Reading the vector outside the handler is legal. It finds a card that has
 * vanished, and events whose interrupt was lost. While interrupts come neither
 * is the case.
 */
static void riffa_poll(struct work_struct *work)
{
	struct riffa *r = container_of(to_delayed_work(work), struct riffa,
				       poll_work);
	bool busy, storm, sense = false;
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	if (oni_link_is_lost(r->link)) {
		spin_unlock_irqrestore(&r->lock, flags);
		return;
	}
	storm = r->idle_irqs >= STORM;
	if (!r->frozen && !r->holding &&
	    (r->polled == r->interrupts || storm))
		sense = service(r, ktime_get_ns(), false);
	r->polled = r->interrupts;
	/* A storm may be over, which the next interrupt tells. */
	r->idle_irqs = storm && !sense ? STORM - 1 : 0;
	if (!r->frozen)
		lists_drained(r);
	if (data_stuck(r))
		oni_link_error(r->link, -EIO);
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
 * Send @words words. The channel's down buffer and its list belong to the card
 * until the end or the next reset; a time-out gives them back to nobody, so the
 * channel refuses work until a reset, and leaves alone what the card may still
 * fetch.
 */
static int send_down(struct riffa *r, unsigned int ch, u32 offset,
		     const void *data, u32 words)
{
	struct riffa_chan *c = &r->chan[ch];
	unsigned int page = RIFFA_PAGE(ch);
	dma_addr_t list, buf;
	unsigned long flags;
	int ret;

	list = chan_dma(r, ch, offsetof(struct riffa_chan_dma, down_sg));
	buf = chan_dma(r, ch, offsetof(struct riffa_chan_dma, down_buf));

	spin_lock_irqsave(&r->lock, flags);
	/* The answer must not wait for the next block. */
	if (r->holding)
		service(r, ktime_get_ns(), false);
	r->control = jiffies;
	if (c->down_busy || c->down_list || r->frozen) {
		spin_unlock_irqrestore(&r->lock, flags);
		/* Left so by whoever found the card gone? */
		return oni_link_is_lost(r->link) ? -ENODEV : -EIO;
	}
	memcpy(r->dma[ch].down_buf, data, words * 4);
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
	__le32 word = cpu_to_le32(val);

	return send_down(r, ONIX_CH_CONFIG, reg, &word, 1);
}

/* Ends waiting. True if the reply is there; else it may still come. */
static bool config_take(struct riffa *r, u32 *val)
{
	unsigned long flags;
	bool got;

	spin_lock_irqsave(&r->lock, flags);
	got = r->config_got;
	*val = r->config_value;
	r->config_wanted = false;
	r->config_lost = !got;
	spin_unlock_irqrestore(&r->lock, flags);
	return got;
}

/*
 * Begins waiting. False: a request cannot be sent; or a reply is missing, which
 * this one could get for its own.
 */
static bool config_expect(struct riffa *r)
{
	const struct riffa_chan *c = &r->chan[ONIX_CH_CONFIG];
	unsigned long flags;
	bool ok;

	spin_lock_irqsave(&r->lock, flags);
	ok = !r->config_lost && !c->down_busy && !c->down_list && !r->frozen;
	r->config_got = false;
	r->config_wanted = ok;
	spin_unlock_irqrestore(&r->lock, flags);
	return ok;
}

static int riffa_ctl_read(struct oni_link *link, u32 reg, u32 *val)
{
	struct riffa *r = oni_link_priv(link);
	const __le32 nothing = 0;
	int ret;

	if (!config_expect(r))
		return oni_link_is_lost(link) ? -ENODEV : -EIO;
	ret = send_down(r, ONIX_CH_CONFIG, reg | ONIX_CONFIG_READ, &nothing, 1);
	if (ret) {
		config_take(r, val);
		return ret;
	}
	wait_event_timeout(r->wait, READ_ONCE(r->config_got) ||
			   oni_link_is_lost(link), DOWN_TIMEOUT);
	if (oni_link_is_lost(link))
		return -ENODEV;
	if (!config_take(r, val)) {
		oni_link_error(link, -ETIMEDOUT);
		return -ETIMEDOUT;
	}
	return 0;
}

/* Nothing is under way any more. */
static void chan_reset(struct riffa *r)
{
	lockdep_assert_held(&r->lock);
	r->serving = false;
	r->orphan = false;
	r->holding = false;
	r->idle_irqs = 0;
	r->config_wanted = false;
	r->config_lost = false;
	memset(r->chan, 0, sizeof(r->chan));
	r->reset_gen++;
}

static int riffa_reset(struct oni_link *link)
{
	struct riffa *r = oni_link_priv(link);
	unsigned long flags;
	bool frozen;
	u32 info;

	spin_lock_irqsave(&r->lock, flags);
	frozen = r->frozen;
	/* A frozen card does no DMA: error recovery resets it. */
	info = frozen ? 0 : rd(r, RIFFA_INFO);
	chan_reset(r);
	if (PCI_POSSIBLE_ERROR(info))
		lost(r);
	spin_unlock_irqrestore(&r->lock, flags);

	wake_up_all(&r->wait);
	if (PCI_POSSIBLE_ERROR(info))
		return -ENODEV;
	if (frozen)
		return -EIO;
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
	__le32 words = cpu_to_le32(block_bytes / 4);
	unsigned long flags;
	int ret;

	ret = send_down(r, ONIX_CH_DATA, 0, &words, 1);
	if (ret)
		return ret;

	spin_lock_irqsave(&r->lock, flags);
	r->block = block_bytes;
	r->serving = true;
	pace_reset(r);
	up_serve(r, ONIX_CH_DATA);
	spin_unlock_irqrestore(&r->lock, flags);
	mod_delayed_work(system_unbound_wq, &r->poll_work,
			 msecs_to_jiffies(POLL_BUSY_MS));
	return 0;
}

/* Nothing announced or in flight? */
static bool data_idle(struct riffa *r)
{
	unsigned long flags;
	bool idle;

	spin_lock_irqsave(&r->lock, flags);
	idle = r->chan[ONIX_CH_DATA].up == UP_IDLE || r->frozen;
	spin_unlock_irqrestore(&r->lock, flags);
	return idle;
}

/*
 * The card's memory may hold seconds of data. As long as data keep coming this
 * goes on: giving up after a fixed time would lose the rest. Events without
 * data do not count, or a card that is broken could keep this going for ever.
 */
static void riffa_rx_drain(struct oni_link *link)
{
	struct riffa *r = oni_link_priv(link);
	u64 start = oni_ring_head(r->ring), before = start, seen;
	unsigned int still = 0;

	do {
		msleep(DRAIN_STEP_MS);
		seen = oni_ring_head(r->ring);
		still = seen == before ? still + DRAIN_STEP_MS : 0;
		before = seen;
		if (seen - start > DRAIN_MAX_BYTES) {
			oni_link_error(link, -EIO);
			break;
		}
	} while (!oni_link_is_lost(link) &&
		 still < (data_idle(r) ? DRAIN_QUIET_MS : DRAIN_STUCK_MS));
}

/* Under the lock: a handler that is about to publish counts as in flight. */
static bool data_landed(struct riffa *r)
{
	unsigned long flags;
	bool landed;

	spin_lock_irqsave(&r->lock, flags);
	landed = r->chan[ONIX_CH_DATA].up != UP_BUSY || r->frozen;
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
	if (r->holding)
		service(r, ktime_get_ns(), false);
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
		ret = send_down(r, ONIX_CH_WRITE, 0, buf + pos, n / 4);
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
	stats->held = r->held;
	stats->mmio_reads = r->mmio_reads;
	stats->mmio_writes = r->mmio_writes;
	spin_unlock_irqrestore(&r->lock, flags);
}

static const struct oni_link_ops riffa_ops = {
	.name = "oni_riffa",
	.transport = ONI_TRANSPORT_RIFFA,
	.block_align = 4,
	.stim = true,
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

static void background_start(struct riffa *r)
{
	queue_delayed_work(system_unbound_wq, &r->poll_work,
			   msecs_to_jiffies(POLL_IDLE_MS));
}

/* The link is quiet: nothing starts the timer again. */
static void background_stop(struct riffa *r)
{
	cancel_delayed_work_sync(&r->poll_work);
	hrtimer_cancel(&r->hold_timer);
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
	/* Soft by itself where interrupt handlers are threads. */
	oni_hrtimer_setup(&r->hold_timer, riffa_hold_expired, HRTIMER_MODE_ABS);
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
	/* What error recovery restores. */
	pci_save_state(pdev);

	ret = oni_link_register(r->link);
	if (ret) {
		dev_info(&pdev->dev, "no ONI controller answers behind this core (%d), left alone\n",
			 ret);
		/* The bus would print a second line for other errors. */
		if (ret != -ENOMEM)
			ret = -ENODEV;
		goto err_irq;
	}
	background_start(r);
	return 0;

err_irq:
	oni_link_unregister(r->link);
	background_stop(r);
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
	background_stop(r);
	pci_clear_master(pdev);
	free_irq(pci_irq_vector(pdev, 0), r);
	oni_link_free(r->link);
	pci_free_irq_vectors(pdev);
}

static void riffa_shutdown(struct pci_dev *pdev)
{
	struct riffa *r = pci_get_drvdata(pdev);

	oni_link_shutdown(r->link);
	background_stop(r);
	pci_clear_master(pdev);
}

static int riffa_suspend(struct device *dev)
{
	struct riffa *r = dev_get_drvdata(dev);

	oni_link_quiesce(r->link);
	background_stop(r);
	return 0;
}

static int riffa_resume(struct device *dev)
{
	struct riffa *r = dev_get_drvdata(dev);

	pci_set_master(r->pdev);
	pci_save_state(r->pdev);
	background_start(r);
	return oni_link_resume(r->link);
}

static DEFINE_SIMPLE_DEV_PM_OPS(riffa_pm, riffa_suspend, riffa_resume);

/* --- PCI error recovery, function reset ------------------------------------ */

static void freeze(struct riffa *r, bool frozen)
{
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	r->frozen = frozen;
	r->serving = false;
	r->holding = false;	/* or a stop would read the vector */
	spin_unlock_irqrestore(&r->lock, flags);
	wake_up_all(&r->wait);
}

/*
 * A corrected or contained error may have cost data: the acquisition ends with
 * EIO. In the frozen state the card must not be touched before it was reset.
 */
static pci_ers_result_t riffa_error_detected(struct pci_dev *pdev,
					     pci_channel_state_t state)
{
	struct riffa *r = pci_get_drvdata(pdev);

	if (state == pci_channel_io_perm_failure) {
		oni_link_lost(r->link);
		return PCI_ERS_RESULT_DISCONNECT;
	}
	if (state == pci_channel_io_frozen)
		freeze(r, true);
	oni_link_error(r->link, -EIO);
	if (state != pci_channel_io_frozen)
		return PCI_ERS_RESULT_CAN_RECOVER;
	background_stop(r);
	return PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t riffa_mmio_enabled(struct pci_dev *pdev)
{
	return PCI_ERS_RESULT_RECOVERED;
}

/*
 * The first access after a reset of the function, from whatever cause, when the
 * configuration space is as it was. Restoring it has used up what was saved.
 */
static int riffa_thaw(struct riffa *r)
{
	unsigned long flags;
	bool alive;

	pci_set_master(r->pdev);
	pci_save_state(r->pdev);
	spin_lock_irqsave(&r->lock, flags);
	/* A BAR that was not restored reads as something else than all ones. */
	alive = info_sane(rd(r, RIFFA_INFO));
	chan_reset(r);
	r->frozen = !alive;
	spin_unlock_irqrestore(&r->lock, flags);
	return alive ? 0 : -EIO;
}

static pci_ers_result_t riffa_slot_reset(struct pci_dev *pdev)
{
	struct riffa *r = pci_get_drvdata(pdev);

	pci_restore_state(pdev);
	if (riffa_thaw(r)) {
		oni_link_lost(r->link);
		return PCI_ERS_RESULT_DISCONNECT;
	}
	background_start(r);
	return PCI_ERS_RESULT_RECOVERED;
}

/*
 * Recovery is over. What was a reset of the function has armed the stimulators
 * again, so the controller is reset in any case; nothing is started.
 */
static void riffa_error_resume(struct pci_dev *pdev)
{
	struct riffa *r = pci_get_drvdata(pdev);
	int ret;

	ret = oni_link_resume(r->link);
	if (ret)
		dev_warn(&pdev->dev, "controller did not come back after a bus error: %d\n",
			 ret);
}

static void riffa_reset_prepare(struct pci_dev *pdev)
{
	struct riffa *r = pci_get_drvdata(pdev);

	oni_link_quiesce(r->link);
	freeze(r, true);
	background_stop(r);
}

static void riffa_reset_done(struct pci_dev *pdev)
{
	struct riffa *r = pci_get_drvdata(pdev);

	if (riffa_thaw(r)) {
		oni_link_lost(r->link);
		return;
	}
	background_start(r);
	riffa_error_resume(pdev);
}

static const struct pci_error_handlers riffa_errors = {
	.error_detected = riffa_error_detected,
	.mmio_enabled = riffa_mmio_enabled,
	.slot_reset = riffa_slot_reset,
	.resume = riffa_error_resume,
	.reset_prepare = riffa_reset_prepare,
	.reset_done = riffa_reset_done,
};

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
	.err_handler = &riffa_errors,
};
module_pci_driver(riffa_driver);

ONI_IMPORT;
MODULE_DESCRIPTION("ONIX PCIe controller (RIFFA 2.2). Research use only, not a medical device.");
MODULE_LICENSE("GPL");
