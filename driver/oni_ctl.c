// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ONI controller: register handshake, device table, reset, start, stop,
 * port power, write frames, safe state of stimulators.
 *
 * ONI specification v1.0 (controller, register interface, signal channel) with
 * the details that liboni relies on. Every wait is bounded and ends at once
 * when the link is lost.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sort.h>

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
#define HUB_INFO		0xfeU
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
 * may come at any time. @timeout is the total, in jiffies.
 */
static int signal_wait(struct oni_dev *dev, u32 mask, long timeout,
		       struct oni_signal *sig)
{
	unsigned long end = jiffies + timeout;
	bool got = false;

	for (;;) {
		long left = (long)(end - jiffies);

		if (left <= 0)
			return -ETIMEDOUT;
		wait_event_timeout(dev->sig_wait,
				   (got = signal_get(dev, sig)) ||
				   oni_dev_gone(dev), left);
		if (oni_dev_gone(dev))
			return -ENODEV;
		if (got && (sig->flag & mask))
			return 0;
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

static int reg_access(struct oni_dev *dev, struct oni_link *link, u32 addr,
		      u32 reg, bool write, u32 *val)
{
	u32 ack = write ? ONI_SIG_WACK : ONI_SIG_RACK;
	u32 nack = write ? ONI_SIG_WNACK : ONI_SIG_RNACK;
	struct oni_signal sig;
	int ret;

	if (oni_dev_gone(dev))
		return -ENODEV;

	mutex_lock(&dev->ctl_lock);
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
	mutex_unlock(&dev->ctl_lock);

	atomic64_inc(write ? &dev->cnt.reg_writes : &dev->cnt.reg_reads);
	if (ret == -EREMOTEIO)
		atomic64_inc(&dev->cnt.reg_nacks);
	else if (ret == -ETIMEDOUT)
		atomic64_inc(&dev->cnt.reg_timeouts);
	trace_oni_reg(addr, reg, *val, write, ret);
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
	int ret = -ENOENT;
	u32 i;

	mutex_lock(&dev->table_lock);
	for (i = 0; i < dev->rows; i++) {
		if ((addr & 0xff) == HUB_INFO &&
		    dev->table[i].addr >> 8 == addr >> 8) {
			*row = (struct oni_device){ .addr = addr };
			ret = 0;
			break;
		}
		if (dev->table[i].addr == addr && dev->table[i].id) {
			*row = dev->table[i];
			ret = 0;
			break;
		}
	}
	mutex_unlock(&dev->table_lock);
	return ret;
}

int oni_reg_read(struct oni_dev *dev, struct oni_link *link, u32 addr, u32 reg,
		 u32 *val)
{
	struct oni_device row;
	int ret = oni_find_device(dev, addr, &row);

	return ret ?: reg_access(dev, link, addr, reg, false, val);
}

/* For user space: only what the guard lets through. */
int oni_reg_write(struct oni_dev *dev, struct oni_link *link, u32 addr,
		  u32 reg, u32 val)
{
	struct oni_device row;
	int ret = oni_find_device(dev, addr, &row);

	if (ret)
		return ret;
	if (!oni_guard_reg_writable(row.id, reg)) {
		atomic64_inc(&dev->cnt.guarded);
		return -EPERM;
	}
	return reg_access(dev, link, addr, reg, true, &val);
}

/* --- safe state of stimulators ------------------------------------------- */

/*
 * A write that is refused or lost does not end this: every further one makes
 * the device safer. Only a device that does not answer at all is given up, or
 * a hundred time-outs would be waited for with the controller locked.
 */
static int safe_row(struct oni_dev *dev, struct oni_link *link,
		    const struct oni_device *row)
{
	unsigned int silent = 0;
	const struct oni_safe_write *sw;
	int ret, err = 0;
	size_t i, n;
	u32 k;

	sw = oni_guard_safe_writes(&n);
	for (i = 0; i < n; i++) {
		if (sw[i].id != row->id)
			continue;
		for (k = 0; k < sw[i].count; k++) {
			u32 val = sw[i].value;

			ret = reg_access(dev, link, row->addr, sw[i].reg + k,
					 true, &val);
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

/**
 * oni_stim_safe_locked - write the safe state of every known stimulator
 * @dev: the controller, dev->lock held
 * @link: its link
 *
 * Power-on defaults are armed, so this runs after every reset, when ownership
 * ends and before the hardware is given up.
 */
void oni_stim_safe_locked(struct oni_dev *dev, struct oni_link *link)
{
	bool safe = true;
	u32 i, rows;
	int ret;

	lockdep_assert_held(&dev->lock);
	rows = dev->rows;	/* changes under dev->lock only */
	for (i = 0; i < rows; i++) {
		ret = safe_row(dev, link, &dev->table[i]);
		if (!ret)
			continue;
		safe = false;
		atomic64_inc(&dev->cnt.stim_safe_failures);
		/* The parent: this may run before the node has a name. */
		dev_warn_ratelimited(dev->dev.parent,
				     "stimulator 0x%03x (id %u) did not confirm its safe state: %d\n",
				     dev->table[i].addr, dev->table[i].id, ret);
		if (ret == -ENODEV)
			break;
	}
	WRITE_ONCE(dev->stim_safe, safe);
}

/* --- reset and device table ---------------------------------------------- */

static int row_cmp(const void *a, const void *b)
{
	const struct oni_device *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static int table_receive(struct oni_dev *dev, struct oni_device **table,
			 u32 *rows)
{
	struct oni_device *t;
	struct oni_signal sig;
	u32 i, n;
	int ret;

	ret = signal_wait(dev, ONI_SIG_TABLEACK, TABLE_TIMEOUT, &sig);
	if (ret)
		return ret;
	n = sig.data[0];
	if (sig.words < 1 || !n || n > ONI_MAX_ROWS)
		return -EPROTO;

	t = kvcalloc(n, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		/* Whatever comes next must be a row: anything else is an error. */
		ret = signal_wait(dev, ~0U, TABLE_TIMEOUT, &sig);
		if (!ret && (sig.flag != ONI_SIG_DEVICE ||
			     sig.words < ONI_SIG_DEVICE_WORDS))
			ret = -EPROTO;
		if (ret)
			goto fail;
		t[i].addr = sig.data[0];
		t[i].id = sig.data[1];
		t[i].version = sig.data[2];
		t[i].read_size = sig.data[3];
		t[i].write_size = sig.data[4];
		ret = -EPROTO;
		if (t[i].addr > 0xffff || (t[i].addr & 0xff) >= HUB_INFO ||
		    t[i].read_size > ONI_MAX_SAMPLE ||
		    t[i].write_size > ONI_MAX_SAMPLE)
			goto fail;
	}
	sort(t, n, sizeof(*t), row_cmp, NULL);
	for (i = 1; i < n; i++)
		if (t[i].addr == t[i - 1].addr)
			goto fail;
	*table = t;
	*rows = n;
	return 0;

fail:
	kvfree(t);
	return ret;
}

static void table_install(struct oni_dev *dev, struct oni_device *table,
			  u32 rows)
{
	u32 i, rd = 0, wr = 0;

	for (i = 0; i < rows; i++) {
		if (table[i].read_size)
			rd = max(rd, ALIGN(table[i].read_size, 4) +
				     ONI_FRAME_HEADER);
		if (table[i].write_size)
			wr = max(wr, ALIGN(table[i].write_size, 4) +
				     ONI_WRITE_HEADER);
	}

	mutex_lock(&dev->table_lock);
	swap(dev->table, table);
	dev->rows = rows;
	dev->max_read_frame = rd;
	dev->max_write_frame = wr;
	dev->generation++;
	mutex_unlock(&dev->table_lock);
	kvfree(table);
}

static int identity_read(struct oni_dev *dev, struct oni_link *link)
{
	u32 v[5];
	int ret;

	ret = oni_ctl_read(dev, link, ONI_REG_SYSCLKHZ, &v[0]);
	if (!ret)
		ret = oni_ctl_read(dev, link, ONI_REG_ACQCLKHZ, &v[1]);
	if (!ret)
		ret = reg_access(dev, link, HUB_INFO, 0, false, &v[2]);
	if (!ret)
		ret = reg_access(dev, link, HUB_INFO, 1, false, &v[3]);
	if (!ret)
		ret = reg_access(dev, link, HUB_INFO, 2, false, &v[4]);
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

/**
 * oni_reset_locked - reset link and controller, read the device table
 * @dev: the controller, dev->lock held, not running
 * @link: its link
 */
int oni_reset_locked(struct oni_dev *dev, struct oni_link *link)
{
	struct oni_device *table = NULL;
	unsigned long flags;
	u32 rows = 0;
	int ret;

	lockdep_assert_held(&dev->lock);
	if (oni_dev_gone(dev))
		return -ENODEV;

	atomic64_inc(&dev->cnt.resets);
	WRITE_ONCE(dev->stim_safe, false);

	mutex_lock(&dev->ctl_lock);
	ret = link->ops->reset(link);
	spin_lock_irqsave(&dev->sig_lock, flags);
	memset(&dev->cobs, 0, sizeof(dev->cobs));
	kfifo_reset(&dev->sig_fifo);
	spin_unlock_irqrestore(&dev->sig_lock, flags);
	dev->trig_unsure = false;
	if (!ret)
		ret = link->ops->ctl_write(link, ONI_REG_RUNNING, 0);
	if (!ret)
		ret = link->ops->ctl_write(link, ONI_REG_RESET, 1);
	if (!ret)
		ret = table_receive(dev, &table, &rows);
	mutex_unlock(&dev->ctl_lock);
	if (ret)
		goto fail;

	table_install(dev, table, rows);
	clear_bit(ONI_DEV_FAULT, &dev->flags);
	dev->dirty = false;
	/* Before anything that may fail: the reset has armed what it found. */
	oni_stim_safe_locked(dev, link);
	ret = identity_read(dev, link);
	if (ret)
		goto fail;
	return 0;

fail:
	if (ret != -ENODEV && ret != -ENOMEM)
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
 * ring on return, as far as there was room.
 */
void oni_stop_locked(struct oni_dev *dev, struct oni_link *link)
{
	struct oni_ring *ring = dev->stream ? dev->stream->ring : NULL;
	int ret;

	lockdep_assert_held(&dev->lock);
	if (!dev->running)
		return;

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
	link->ops->reset(link);
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
	return reg_access(dev, link, port, reg, true, &val);
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

		ret = reg_access(dev, link, pp->port, ONI_PORT_LINKSTATE, false,
				 &pp->link);
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
	pp->max_decivolts = win->max_decivolts;
	if (pp->decivolts < win->min_decivolts ||
	    pp->decivolts > win->max_decivolts) {
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
	ret = reg_access(dev, link, pp->port << 8 | HUB_INFO, 0, false,
			 &pp->found);
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
 * @dev: the controller
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
	struct oni_device row;
	size_t pos = 0;
	int ret, n = 0;

	while (pos < words) {
		size_t len;

		if (words - pos < 2)
			return -EINVAL;
		len = le32_to_cpu((__force __le32)buf[pos + 1]);
		if (!len || len > words - pos - 2)
			return -EINVAL;
		ret = oni_find_device(dev, le32_to_cpu((__force __le32)buf[pos]),
				      &row);
		if (ret)
			return ret;
		if (!row.write_size || len * 4 % row.write_size)
			return -EINVAL;
		if (!oni_guard_frame_writable(row.id)) {
			atomic64_inc(&dev->cnt.guarded);
			return -EPERM;
		}
		pos += 2 + len;
		n++;
	}

	if (oni_dev_gone(dev))
		return -ENODEV;
	mutex_lock(&dev->ctl_lock);
	ret = link->ops->tx(link, buf, words * 4);
	mutex_unlock(&dev->ctl_lock);
	if (ret)
		return ret;
	atomic64_add(n, &dev->cnt.write_frames);
	return n;
}
