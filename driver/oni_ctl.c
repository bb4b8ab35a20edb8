// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ONI controller: register handshake, device table, reset, start, stop,
 * port power, write frames, safe state of stimulators and outputs.
 *
 * ONI specification v1.0 (controller, register interface, signal channel) with
 * the details that liboni relies on. Every wait is bounded and ends at once
 * when the link is lost.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "oni_internal.h"
#include "oni_trace.h"

/*
 * A device register may sit behind a serial link and an I2C bus, and the host
 * may be busy: 2 s is far above anything documented and still bearable for a
 * caller.
 */
#define REG_TIMEOUT		msecs_to_jiffies(2000)
/* The answer to an access that timed out is not later than this after TRIG. */
#define LATE_ACK_MS		20
/* Safe-state writes of one device that may go unanswered. */
#define SAFE_SILENT_MAX		2
#define TABLE_TIMEOUT		msecs_to_jiffies(3000)
/* A card that trickles rows does not hold the controller for ever. */
#define TABLE_LIMIT		msecs_to_jiffies(10000)
#define PORT_POLL_MS		20
/* The hub behind a port needs this long from link lock to answering. */
#define PORT_SETTLE_MS		50

/* --- controller registers ------------------------------------------------ */

int oni_ctl_read(struct oni_dev *dev, struct oni_link *link, u32 reg, u32 *val)
{
	int ret;

	if (oni_dev_gone(dev))
		return -ENODEV;
	mutex_lock(&dev->ctl_lock);
	ret = link->ops->ctl_read(link, reg, val);
	mutex_unlock(&dev->ctl_lock);
	return ret;
}

int oni_ctl_write(struct oni_dev *dev, struct oni_link *link, u32 reg, u32 val)
{
	int ret;

	if (oni_dev_gone(dev))
		return -ENODEV;
	mutex_lock(&dev->ctl_lock);
	ret = link->ops->ctl_write(link, reg, val);
	mutex_unlock(&dev->ctl_lock);
	return ret;
}

static void signals_flush(struct oni_dev *dev)
{
	unsigned long flags;

	spin_lock_irqsave(&dev->sig_lock, flags);
	kfifo_reset(&dev->sig_fifo);
	spin_unlock_irqrestore(&dev->sig_lock, flags);
}

static bool signal_get(struct oni_dev *dev, struct oni_signal *sig)
{
	unsigned long flags;
	bool got;

	spin_lock_irqsave(&dev->sig_lock, flags);
	got = kfifo_get(&dev->sig_fifo, sig);
	spin_unlock_irqrestore(&dev->sig_lock, flags);
	return got;
}

/*
 * Wait for one of the packets in @mask; others are dropped, as a NULL signal
 * may come at any time. @timeout is the total, in jiffies; what came in time
 * counts even if this gets its turn later.
 */
static int signal_wait(struct oni_dev *dev, u32 mask, long timeout,
		       struct oni_signal *sig)
{
	unsigned long end = jiffies + timeout;
	bool got = false;

	for (;;) {
		long left = (long)(end - jiffies);

		wait_event_timeout(dev->sig_wait,
				   (got = signal_get(dev, sig)) ||
				   oni_dev_gone(dev), max(left, 0L));
		if (oni_dev_gone(dev))
			return -ENODEV;
		if (got && (sig->flag & mask))
			return 0;
		if (left <= 0)
			return -ETIMEDOUT;
	}
}

/* --- device registers ---------------------------------------------------- */

struct ctl_step {
	u32 reg;
	u32 val;
};

/* Caller holds ctl_lock. The order of the writes is liboni's. */
static int reg_launch(struct oni_dev *dev, struct oni_link *link, u32 addr,
		      u32 reg, const u32 *val)
{
	struct ctl_step step[5];
	unsigned int i, n = 0;
	u32 busy;
	int ret;

	/* An access that timed out may still be running in the hardware. */
	if (dev->trig_unsure) {
		ret = link->ops->ctl_read(link, ONI_REG_TRIG, &busy);
		if (ret)
			return ret;
		if (busy)
			return -ETIMEDOUT;
		/* Its answer must not be taken for that of this access. */
		msleep(LATE_ACK_MS);
		dev->trig_unsure = false;
	}
	signals_flush(dev);

	step[n++] = (struct ctl_step){ ONI_REG_DEV_IDX, addr };
	step[n++] = (struct ctl_step){ ONI_REG_REG_ADDR, reg };
	if (val)
		step[n++] = (struct ctl_step){ ONI_REG_REG_VALUE, *val };
	step[n++] = (struct ctl_step){ ONI_REG_RW, val ? 1 : 0 };
	step[n++] = (struct ctl_step){ ONI_REG_TRIG, 1 };

	for (i = 0; i < n; i++) {
		ret = link->ops->ctl_write(link, step[i].reg, step[i].val);
		if (ret)
			return ret;
	}
	return 0;
}

/* One whole handshake. Caller holds ctl_lock. */
static int reg_access_locked(struct oni_dev *dev, struct oni_link *link,
			     u32 addr, u32 reg, bool write, u32 *val)
{
	u32 ack = write ? ONI_SIG_WACK : ONI_SIG_RACK;
	u32 nack = write ? ONI_SIG_WNACK : ONI_SIG_RNACK;
	struct oni_signal sig;
	int ret;

	lockdep_assert_held(&dev->ctl_lock);
	if (oni_dev_gone(dev))
		return -ENODEV;

	ret = reg_launch(dev, link, addr, reg, write ? val : NULL);
	if (ret)
		goto out;
	ret = signal_wait(dev, ack | nack, REG_TIMEOUT, &sig);
	if (ret == -ETIMEDOUT)
		dev->trig_unsure = true;
	if (ret)
		goto out;
	if (sig.flag == nack)
		ret = -EREMOTEIO;
	else if (!write)
		ret = link->ops->ctl_read(link, ONI_REG_REG_VALUE, val);
out:
	atomic64_inc(write ? &dev->cnt.reg_writes : &dev->cnt.reg_reads);
	if (ret == -EREMOTEIO)
		atomic64_inc(&dev->cnt.reg_nacks);
	else if (ret == -ETIMEDOUT)
		atomic64_inc(&dev->cnt.reg_timeouts);
	trace_oni_reg(addr, reg, *val, write, ret);
	return ret;
}

/**
 * oni_reg_access - one device register access that nobody has to allow
 * @dev: the controller
 * @link: its link
 * @addr: full device address
 * @reg: register
 * @write: or read
 * @val: to write, or out
 */
int oni_reg_access(struct oni_dev *dev, struct oni_link *link, u32 addr, u32 reg,
		   bool write, u32 *val)
{
	int ret;

	mutex_lock(&dev->ctl_lock);
	ret = reg_access_locked(dev, link, addr, reg, write, val);
	mutex_unlock(&dev->ctl_lock);
	return ret;
}

/*
 * The same for a call of user space. These queue on a lock of their own, so that
 * what stops stimulation meets at most one access of all of them.
 */
static int reg_access_queued(struct oni_dev *dev, struct oni_link *link, u32 addr,
			     u32 reg, bool write, u32 *val)
{
	int ret;

	mutex_lock(&dev->reg_lock);
	ret = oni_reg_access(dev, link, addr, reg, write, val);
	mutex_unlock(&dev->reg_lock);
	return ret;
}

/**
 * oni_find_device - look up a row of the device table
 * @dev: the controller
 * @addr: full device address; a hub information device is always there if
 *	its hub has any device
 * @row: out
 *
 * Return: 0, or -ENOENT.
 */
int oni_find_device(struct oni_dev *dev, u32 addr, struct oni_device *row)
{
	int ret;

	mutex_lock(&dev->table_lock);
	ret = oni_table_find(dev->table, dev->rows, addr, row);
	mutex_unlock(&dev->table_lock);
	return ret;
}

int oni_reg_read(struct oni_dev *dev, struct oni_link *link, u32 addr, u32 reg,
		 u32 *val)
{
	struct oni_device row;
	int ret = oni_find_device(dev, addr, &row);

	return ret ?: reg_access_queued(dev, link, addr, reg, false, val);
}

/* Is @addr the information device of the hub that has Rhythm? */
static bool is_rhythm_hub(struct oni_dev *dev, u32 addr)
{
	struct oni_device row;

	return addr == ONI_RHYTHM_HUB &&
	       !oni_find_device(dev, ONI_RHYTHM_ADDR, &row) &&
	       row.id == ONI_ID_RHYTHM;
}

/* May user space write this? Only what the guard lets through. */
static int reg_write_check(struct oni_dev *dev, u32 addr, u32 reg, u32 val)
{
	struct oni_device row;
	int ret = oni_find_device(dev, addr, &row);
	bool ok;

	if (ret)
		return ret;
	if (is_rhythm_hub(dev, addr))
		ok = oni_guard_rhythm_hub_writable(reg, val);
	else
		ok = oni_guard_reg_writable(row.id, reg, val);
	if (!ok) {
		oni_stim_guarded(dev, addr, reg);
		return -EPERM;
	}
	return 0;
}

int oni_reg_write(struct oni_dev *dev, struct oni_link *link, u32 addr,
		  u32 reg, u32 val)
{
	int ret = reg_write_check(dev, addr, reg, val);

	return ret ?: reg_access_queued(dev, link, addr, reg, true, &val);
}

static int batch_access(struct oni_dev *dev, struct oni_link *link,
			struct oni_reg_op *op, bool queued)
{
	bool write = op->flags & ONI_REG_OP_WRITE;

	if (queued)
		return reg_access_queued(dev, link, op->dev_addr, op->reg_addr,
					 write, &op->value);
	return oni_reg_access(dev, link, op->dev_addr, op->reg_addr, write,
			      &op->value);
}

static int batch_check(struct oni_dev *dev, const struct oni_reg_op *op)
{
	struct oni_device row;

	if (op->flags & ONI_REG_OP_WRITE)
		return reg_write_check(dev, op->dev_addr, op->reg_addr,
				       op->value);
	return oni_find_device(dev, op->dev_addr, &row);
}

/**
 * oni_reg_batch - register accesses for user space, in order
 * @dev: the controller
 * @link: its link
 * @ops: the accesses; values and results are written into it
 * @n: how many
 * @whole: for the owner: let no other call get between
 * @done: out: how many were executed, a failed one included
 *
 * A whole one is long, so it keeps other calls out and not ctl_lock: what stops
 * stimulation gets between any two accesses.
 *
 * Return: 0, or the error of the check or of the access that ended it.
 */
int oni_reg_batch(struct oni_dev *dev, struct oni_link *link,
		  struct oni_reg_op *ops, u32 n, bool whole, u32 *done)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < n; i++) {
		ret = batch_check(dev, &ops[i]);
		if (ret)
			return ret;
	}
	if (whole)
		mutex_lock(&dev->reg_lock);
	for (i = 0; i < n && !ret; i++) {
		if (signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		ret = batch_access(dev, link, &ops[i], !whole);
		ops[i].result = ret;
	}
	if (whole)
		mutex_unlock(&dev->reg_lock);
	*done = i;
	return ret;
}

/**
 * oni_reg_sequence - accesses that the driver itself wants, none in between
 * @dev: the controller
 * @link: its link
 * @ops: the accesses
 * @n: how many
 *
 * Return: 0, or the error of the first that failed, which ends it.
 */
int oni_reg_sequence(struct oni_dev *dev, struct oni_link *link,
		     struct oni_reg_op *ops, u32 n)
{
	int ret = 0;
	u32 i;

	mutex_lock(&dev->ctl_lock);
	for (i = 0; i < n && !ret; i++)
		ret = reg_access_locked(dev, link, ops[i].dev_addr,
					ops[i].reg_addr,
					ops[i].flags & ONI_REG_OP_WRITE,
					&ops[i].value);
	mutex_unlock(&dev->ctl_lock);
	return ret;
}

/* --- reset of the transport ------------------------------------------------ */

/* Nothing may begin before the transport has settled. Caller: ctl_lock. */
static int transport_reset(struct oni_dev *dev, struct oni_link *link)
{
	int ret;

	lockdep_assert_held(&dev->ctl_lock);
	mutex_lock(&dev->tx_lock);
	ret = link->ops->reset(link);
	mutex_unlock(&dev->tx_lock);
	return ret;
}

/**
 * oni_fence_locked - reset the transport only: no DMA is in flight after it
 * @dev: the controller, dev->lock held
 * @link: its link, which may be lost
 *
 * Waits for a register access or a write that is under way, which are bounded.
 */
void oni_fence_locked(struct oni_dev *dev, struct oni_link *link)
{
	lockdep_assert_held(&dev->lock);
	mutex_lock(&dev->ctl_lock);
	transport_reset(dev, link);
	mutex_unlock(&dev->ctl_lock);
}

/* --- safe state of stimulators and outputs -------------------------------- */

/**
 * oni_safe_reg - make one register safe
 * @dev: the controller
 * @link: its link
 * @addr: of the device
 * @reg: register
 * @sw: the write that it is one of
 *
 * A part of it may stay. If it cannot be read, nothing stays: what is switched off
 * comes first. An answer says that a write arrived; of what stops currents that is
 * not enough.
 *
 * Return: 0; -EIO: it reads back otherwise; or the error of an access.
 */
int oni_safe_reg(struct oni_dev *dev, struct oni_link *link, u32 addr, u32 reg,
		 const struct oni_safe_write *sw)
{
	u32 val = 0, seen;
	int ret = 0;

	if (sw->keep)
		ret = oni_reg_access(dev, link, addr, reg, false, &val);
	val = (ret ? 0 : val & sw->keep) | sw->value;
	ret = oni_reg_access(dev, link, addr, reg, true, &val);
	if (ret || !sw->stops)
		return ret;
	seen = ~val;
	ret = oni_reg_access(dev, link, addr, reg, false, &seen);
	return ret ?: seen != val ? -EIO : 0;
}

/*
 * A write that is refused or lost does not end this: every further one makes
 * the device safer. Only a device that does not answer at all is given up, or
 * a hundred time-outs would be waited for with the controller locked.
 */
int oni_safe_device(struct oni_dev *dev, struct oni_link *link,
		    const struct oni_device *row)
{
	unsigned int silent = 0;
	const struct oni_safe_write *sw;
	int ret, err = 0;
	size_t i, n;
	u32 k;

	sw = oni_guard_safe_writes(&n);
	for (i = 0; i < n; i++) {
		if (sw[i].id != row->id ||
		    (sw[i].write_size && sw[i].write_size != row->write_size))
			continue;
		for (k = 0; k < sw[i].count; k++) {
			ret = oni_safe_reg(dev, link, row->addr,
					   sw[i].reg + k, &sw[i]);
			if (ret && !err)
				err = ret;
			if (ret == -ETIMEDOUT)
				silent++;
			if (ret == -ENODEV || silent >= SAFE_SILENT_MAX)
				return err;
		}
	}
	return err;
}

/*
 * The outputs of a device take frames, which nobody acknowledges: success means
 * that the hardware has fetched them.
 */
static int rest_row(struct oni_dev *dev, struct oni_link *link,
		    const struct oni_device *row)
{
	const struct oni_frame_rule *rule;
	u32 frame[2 + ONI_OUTPUT_WORDS];
	u32 words = row->write_size / 4;
	size_t n;
	int ret;

	if (!oni_guard_is_output(row->id))
		return 0;
	rule = oni_guard_frame_rule(row->id, row->write_size);
	if (!rule || words > ONI_OUTPUT_WORDS)
		return -EOPNOTSUPP;
	if (oni_dev_gone(dev))
		return -ENODEV;

	n = oni_write_frame_fill(frame, row->addr, words, rule->rest);
	mutex_lock(&dev->tx_lock);
	ret = link->ops->tx(link, frame, n * 4);
	mutex_unlock(&dev->tx_lock);
	return ret;
}

/**
 * oni_outputs_off_locked - take outputs of an Acquisition Board to 0
 * @dev: the controller, dev->lock held
 * @link: its link
 *
 * Two short frames. One that the hardware does not fetch ends it: the write
 * channel has failed then.
 *
 * Return: 0, or the first thing that went wrong; -EOPNOTSUPP: a device takes
 * frames of a size that is not known, the others are at 0.
 */
int oni_outputs_off_locked(struct oni_dev *dev, struct oni_link *link)
{
	int ret, err = 0;
	u32 i, rows;

	lockdep_assert_held(&dev->lock);
	rows = dev->rows;	/* changes under dev->lock only */
	for (i = 0; i < rows; i++) {
		ret = rest_row(dev, link, &dev->table[i]);
		if (ret == -EOPNOTSUPP)
			err = ret;
		else if (ret)
			return ret;
	}
	return err;
}

/**
 * oni_stim_safe_locked - write the safe state of every known stimulator, take
 *	outputs to 0
 * @dev: the controller, dev->lock held
 * @link: its link
 *
 * Power-on defaults are armed, so this runs after every reset, when ownership
 * ends and before the hardware is given up. Nothing is running. If the write
 * channel of outputs has failed the transport is reset, once.
 */
void oni_stim_safe_locked(struct oni_dev *dev, struct oni_link *link)
{
	bool safe = true;
	u32 i, rows;
	int ret;

	lockdep_assert_held(&dev->lock);
	rows = dev->rows;	/* changes under dev->lock only */
	mutex_lock(&dev->stim.lock);
	dev->stim.in_hardware = false;
	for (i = 0; i < rows; i++) {
		ret = oni_safe_device(dev, link, &dev->table[i]);
		if (!ret)
			continue;
		safe = false;
		atomic64_inc(&dev->cnt.stim_safe_failures);
		/* The parent: this may run before the node has a name. */
		dev_warn_ratelimited(dev->dev.parent,
				     "device 0x%03x (id %u) did not confirm its safe state: %d\n",
				     dev->table[i].addr, dev->table[i].id, ret);
		if (ret == -ENODEV)
			break;
	}
	dev->stim.confirmed = safe;
	mutex_unlock(&dev->stim.lock);
	/* Registers first: they decide what the outputs follow. */
	ret = oni_outputs_off_locked(dev, link);
	if (ret && ret != -ENODEV && ret != -EOPNOTSUPP) {
		/* The write channel has failed, which only this cures. */
		oni_fence_locked(dev, link);
		ret = oni_outputs_off_locked(dev, link);
	}
	if (ret) {
		safe = false;
		atomic64_inc(&dev->cnt.stim_safe_failures);
		dev_warn_ratelimited(dev->dev.parent,
				     "outputs did not take their 0: %d\n", ret);
	}
	WRITE_ONCE(dev->stim_safe, safe);
}

/**
 * oni_stim_table - a reset has found stimulators, or lost them
 * @dev: the controller, dev->lock held; their safe state was written
 * @link: its link
 */
void oni_stim_table(struct oni_dev *dev, struct oni_link *link)
{
	mutex_lock(&dev->stim.lock);
	oni_stim_find(dev, link);
	mutex_unlock(&dev->stim.lock);
}

/* --- reset and device table ---------------------------------------------- */

/* Into the spare table, so that nothing can fail for want of memory. */
static int table_receive(struct oni_dev *dev, u32 *rows)
{
	struct oni_device *t = dev->spare;
	unsigned long end = jiffies + TABLE_LIMIT;
	struct oni_signal sig;
	u32 i, n;
	int ret;

	ret = signal_wait(dev, ONI_SIG_TABLEACK, TABLE_TIMEOUT, &sig);
	if (!ret)
		ret = oni_table_announced(&sig, &n);
	if (ret)
		return ret;
	for (i = 0; i < n; i++) {
		/* Whatever comes next must be a row: anything else is an error. */
		ret = signal_wait(dev, ~0U, TABLE_TIMEOUT, &sig);
		if (!ret)
			ret = oni_table_row(&sig, &t[i]);
		if (!ret && time_after(jiffies, end))
			ret = -ETIMEDOUT;
		if (ret)
			return ret;
	}
	*rows = n;
	return oni_table_check(t, n);
}

static void table_install(struct oni_dev *dev, u32 rows)
{
	u32 rd, wr;

	oni_table_frames(dev->spare, rows, &rd, &wr);
	mutex_lock(&dev->table_lock);
	swap(dev->table, dev->spare);
	dev->rows = rows;
	dev->max_read_frame = rd;
	dev->max_write_frame = wr;
	dev->generation++;
	mutex_unlock(&dev->table_lock);
}

static int identity_read(struct oni_dev *dev, struct oni_link *link)
{
	u32 v[5];
	int ret;

	ret = oni_ctl_read(dev, link, ONI_REG_SYSCLKHZ, &v[0]);
	if (!ret)
		ret = oni_ctl_read(dev, link, ONI_REG_ACQCLKHZ, &v[1]);
	if (!ret)
		ret = reg_access_queued(dev, link, ONI_HUB_INFO, 0, false, &v[2]);
	if (!ret)
		ret = reg_access_queued(dev, link, ONI_HUB_INFO, 1, false, &v[3]);
	if (!ret)
		ret = reg_access_queued(dev, link, ONI_HUB_INFO, 2, false, &v[4]);
	if (ret)
		return ret == -EREMOTEIO ? -EPROTO : ret;
	if (!v[1])
		return -EPROTO;

	mutex_lock(&dev->table_lock);
	dev->sys_clock_hz = v[0];
	dev->acq_clock_hz = v[1];
	dev->hardware_id = v[2];
	dev->hardware_revision = v[3];
	dev->firmware_version = v[4];
	mutex_unlock(&dev->table_lock);
	return 0;
}

/* Reset both and receive the table. Caller: ctl_lock. */
static int controller_reset(struct oni_dev *dev, struct oni_link *link,
			    u32 *rows)
{
	unsigned long flags;
	int ret;

	ret = transport_reset(dev, link);
	spin_lock_irqsave(&dev->sig_lock, flags);
	memset(&dev->cobs, 0, sizeof(dev->cobs));
	kfifo_reset(&dev->sig_fifo);
	spin_unlock_irqrestore(&dev->sig_lock, flags);
	dev->trig_unsure = false;
	if (!ret)
		ret = link->ops->ctl_write(link, ONI_REG_RUNNING, 0);
	if (!ret)
		ret = link->ops->ctl_write(link, ONI_REG_RESET, 1);
	return ret ?: table_receive(dev, rows);
}

/**
 * oni_reset_locked - reset link and controller, read the device table
 * @dev: the controller, dev->lock held, not running
 * @link: its link
 */
int oni_reset_locked(struct oni_dev *dev, struct oni_link *link)
{
	u32 rows = 0;
	int ret;

	lockdep_assert_held(&dev->lock);
	if (oni_dev_gone(dev))
		return -ENODEV;

	atomic64_inc(&dev->cnt.resets);
	WRITE_ONCE(dev->stim_safe, false);
	oni_stim_reset_begins(dev);

	/* Not in the middle of a batch of the owner. */
	mutex_lock(&dev->reg_lock);
	mutex_lock(&dev->ctl_lock);
	ret = controller_reset(dev, link, &rows);
	mutex_unlock(&dev->ctl_lock);
	mutex_unlock(&dev->reg_lock);
	if (ret)
		goto fail;

	table_install(dev, rows);
	clear_bit(ONI_DEV_FAULT, &dev->flags);
	dev->dirty = false;
	/* Before anything that may fail: the reset has armed what it found. */
	oni_stim_safe_locked(dev, link);
	oni_stim_table(dev, link);
	ret = identity_read(dev, link);
	if (ret)
		goto fail;
	return 0;

fail:
	/*
	 * The reset has armed the stimulators. If the controller answers, the
	 * old table is good enough for a try, but not for a promise.
	 */
	if (ret == -EPROTO) {
		oni_stim_safe_locked(dev, link);
		WRITE_ONCE(dev->stim_safe, false);
	}
	if (ret != -ENODEV)
		set_bit(ONI_DEV_FAULT, &dev->flags);
	return ret;
}

/* --- start and stop ------------------------------------------------------ */

static void ring_kick(void *arg)
{
	struct oni_link *link = arg;

	link->ops->rx_kick(link);
}

/* The transport's module may go again. */
static void unpin(struct oni_link *link)
{
	if (!link->pinned)
		return;
	link->pinned = false;
	module_put(link->owner);
}

/**
 * oni_start_locked - start the acquisition into the existing stream
 * @dev: the controller, dev->lock held
 * @link: its link
 */
int oni_start_locked(struct oni_dev *dev, struct oni_link *link)
{
	struct oni_ring *ring;
	int ret;

	lockdep_assert_held(&dev->lock);
	if (oni_dev_gone(dev))
		return -ENODEV;
	if (dev->running)
		return -EBUSY;
	if (!dev->stream)
		return -ENODATA;
	if (test_bit(ONI_DEV_FAULT, &dev->flags))
		return -EIO;
	ring = dev->stream->ring;

	/*
	 * Less than a block of the last run is still in the card, and it may
	 * begin in the middle of a frame: only a reset gets rid of it.
	 */
	if (dev->dirty) {
		ret = oni_reset_locked(dev, link);
		if (ret)
			return ret;
	}
	if (ring->block < dev->max_read_frame)
		return -EINVAL;
	if (!try_module_get(link->owner))
		return -ENODEV;
	link->pinned = true;

	oni_ring_begin(ring, ring_kick, link);
	dev->running = true;
	dev->dirty = true;
	ret = link->ops->rx_start(link, ring->block);
	if (!ret)
		ret = oni_ctl_write(dev, link, ONI_REG_RESETACQCOUNTER, 2);
	if (ret) {
		oni_stop_locked(dev, link);
		return ret;
	}
	trace_oni_state(dev->minor, ONI_STATE_RUNNING);
	return 0;
}

/**
 * oni_stop_locked - stop the acquisition
 * @dev: the controller, dev->lock held
 * @link: its link
 *
 * Harmless when nothing runs. Whatever the hardware has announced is in the
 * ring on return, as far as there was room; if that fails the ring ends with an
 * error.
 */
void oni_stop_locked(struct oni_dev *dev, struct oni_link *link)
{
	struct oni_ring *ring = dev->stream ? dev->stream->ring : NULL;
	bool fault = test_bit(ONI_DEV_FAULT, &dev->flags);
	int ret;

	lockdep_assert_held(&dev->lock);
	if (!dev->running)
		return;

	oni_stim_blind(dev, oni_dev_gone(dev) ? NULL : link,
		       ONI_STIM_BECAUSE_ACQUISITION);
	ret = oni_ctl_write(dev, link, ONI_REG_RUNNING, 0);
	if (!ret)
		link->ops->rx_drain(link);
	else if (ret != -ENODEV)
		set_bit(ONI_DEV_FAULT, &dev->flags);
	link->ops->rx_stop(link);
	dev->running = false;
	if (ring) {
		if (oni_dev_gone(dev) || test_bit(ONI_DEV_LEAVING, &dev->flags))
			oni_ring_end(ring, ONI_RING_GONE, -ENODEV);
		else if (!fault && test_bit(ONI_DEV_FAULT, &dev->flags))
			/* What was left in the card may be lost. */
			oni_ring_end(ring, ONI_RING_ERROR, -EIO);
		else
			oni_ring_end(ring, ONI_RING_STOPPED, 0);
	}
	unpin(link);
	trace_oni_state(dev->minor, oni_dev_state(dev));
}

/**
 * oni_detach_locked - no DMA goes into ring memory any more
 * @dev: the controller, dev->lock held
 * @link: its link, which may be lost already
 *
 * Ends with the fence; then the ring is unmapped, if one is mapped.
 */
void oni_detach_locked(struct oni_dev *dev, struct oni_link *link)
{
	lockdep_assert_held(&dev->lock);
	if (dev->running) {
		link->ops->rx_stop(link);
		dev->running = false;
	}
	unpin(link);
	oni_fence_locked(dev, link);
	if (link->mapped) {
		link->ops->rx_unmap(link);
		oni_ring_put(link->mapped);
		link->mapped = NULL;
	}
}

/*
 * A latched link error or the loss of the hardware, reported from a context
 * that cannot take dev->lock.
 */
void oni_ctl_fault_work(struct work_struct *work)
{
	struct oni_dev *dev = container_of(work, struct oni_dev, fault_work);
	struct oni_link *link;
	int idx;

	mutex_lock(&dev->lock);
	if (oni_dev_gone(dev)) {
		if (dev->stream)
			oni_ring_end(dev->stream->ring, ONI_RING_GONE, -ENODEV);
		wake_up_all(&dev->wait);
	} else {
		link = oni_dev_enter(dev, &idx);
		if (link && dev->running) {
			oni_ring_error(dev->stream->ring, -EIO);
			oni_stop_locked(dev, link);
		}
		oni_dev_exit(dev, idx);
	}
	mutex_unlock(&dev->lock);
}

/* --- port power ---------------------------------------------------------- */

static int port_write(struct oni_dev *dev, struct oni_link *link, u32 port,
		      u32 reg, u32 val)
{
	return reg_access_queued(dev, link, port, reg, true, &val);
}

static int port_off(struct oni_dev *dev, struct oni_link *link, u32 port)
{
	int ret = port_write(dev, link, port, ONI_PORT_VOLTAGE, 0);

	/* The headstage leaves the device table. */
	return ret ?: oni_reset_locked(dev, link);
}

static int port_wait_lock(struct oni_dev *dev, struct oni_link *link,
			  struct oni_port_power *pp)
{
	unsigned long end = jiffies + msecs_to_jiffies(pp->timeout_ms ?: 1000);
	int ret;

	for (;;) {
		bool last = time_after(jiffies, end);

		ret = reg_access_queued(dev, link, pp->port, ONI_PORT_LINKSTATE,
					false, &pp->link);
		if (ret)
			return ret;
		if (pp->link & ONI_LINK_LOCK)
			return 0;
		if (last)
			return -ENOLINK;
		wait_event_timeout(dev->wait, oni_dev_gone(dev),
				   msecs_to_jiffies(PORT_POLL_MS));
		if (oni_dev_gone(dev))
			return -ENODEV;
	}
}

/**
 * oni_port_power_locked - see struct oni_port_power
 * @dev: the controller, dev->lock held, not running
 * @link: its link
 * @pp: the request, results are written into it
 */
int oni_port_power_locked(struct oni_dev *dev, struct oni_link *link,
			  struct oni_port_power *pp)
{
	const struct oni_port_window *win;
	struct oni_device row;
	int ret;

	lockdep_assert_held(&dev->lock);
	pp->link = 0;
	pp->found = 0;
	pp->min_decivolts = 0;
	pp->max_decivolts = 0;
	if (pp->timeout_ms > 5000)
		return -EINVAL;
	ret = oni_find_device(dev, pp->port, &row);
	if (ret)
		return ret;
	if (row.id != ONI_ID_PORT)
		return -ENOENT;
	if (!pp->decivolts)
		return port_off(dev, link, pp->port);

	win = oni_guard_window(pp->headstage);
	if (!win)
		return -EOPNOTSUPP;
	pp->min_decivolts = win->min_decivolts;
	pp->max_decivolts = min_t(u32, win->max_decivolts,
				  oni_fw_port_decivolts(&dev->fw, pp->port));
	if (pp->decivolts < win->min_decivolts ||
	    pp->decivolts > pp->max_decivolts) {
		atomic64_inc(&dev->cnt.guarded);
		return -ERANGE;
	}

	ret = port_write(dev, link, pp->port, ONI_PORT_DESPWR, 1);
	if (!ret)
		ret = port_write(dev, link, pp->port, ONI_PORT_VOLTAGE,
				 pp->decivolts);
	if (!ret)
		ret = port_wait_lock(dev, link, pp);
	if (ret)
		goto off;

	wait_event_timeout(dev->wait, oni_dev_gone(dev),
			   msecs_to_jiffies(PORT_SETTLE_MS));
	ret = oni_reset_locked(dev, link);
	if (ret)
		goto off;
	/* The hub of a port has the number of its port controller. */
	ret = reg_access_queued(dev, link, pp->port << 8 | ONI_HUB_INFO, 0,
				false, &pp->found);
	if (ret == -EREMOTEIO)
		ret = -ENOLINK;
	if (!ret && (pp->found & 0xffff) != pp->headstage)
		ret = -EMEDIUMTYPE;
	if (ret)
		goto off;
	return 0;

off:
	/* Whatever went wrong, nothing stays powered. */
	if (port_off(dev, link, pp->port))
		dev_warn(&dev->dev, "port 0x%03x could not be switched off\n",
			 pp->port);
	return ret;
}

/* --- write frames -------------------------------------------------------- */

/**
 * oni_write_frames - check and send write frames
 * @dev: the controller, dev->tx_lock held
 * @link: its link
 * @buf: frames back to back
 * @words: their length
 *
 * All or nothing: the whole buffer is checked before the first word is sent.
 *
 * Return: number of frames, or -EINVAL, -ENOENT, -EPERM, or a link error.
 */
int oni_write_frames(struct oni_dev *dev, struct oni_link *link, const u32 *buf,
		     size_t words)
{
	struct oni_write_frame frame;
	struct oni_device row;
	size_t pos;
	int ret, n = 0;

	lockdep_assert_held(&dev->tx_lock);
	for (pos = 0; pos < words; pos = frame.next, n++) {
		ret = oni_write_frame_at(buf, words, pos, &frame);
		if (!ret)
			ret = oni_find_device(dev, frame.addr, &row);
		if (ret)
			return ret;
		if (!oni_write_frame_fits(&frame, &row))
			return -EINVAL;
		if (!oni_guard_frame_writable(row.id, row.write_size,
					      oni_write_frame_bits(buf, &frame))) {
			oni_stim_guarded(dev, frame.addr, ONI_STIM_FRAME);
			return -EPERM;
		}
	}

	if (oni_dev_gone(dev))
		return -ENODEV;
	ret = link->ops->tx(link, buf, words * 4);
	if (ret)
		return ret;
	atomic64_add(n, &dev->cnt.write_frames);
	return n;
}
