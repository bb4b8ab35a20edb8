// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events of the interlock: what happened, who did it, for an audit log and for
 * recordings.
 *
 * One queue per controller; every file has a position of its own in it and tells
 * a gap by the numbers. The queue belongs to the controller object, which every
 * file holds. Locking: oni_stim_queue::lock, a spinlock inside of everything else;
 * never held across a copy to user space.
 */
#include <linux/anon_inodes.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "oni_internal.h"
#include "oni_trace.h"

/* Private data of a file of events. */
struct events {
	struct oni_dev *dev;
	struct mutex lock;	/* one read at a time */
	u64 seq;		/* of the last that was read */
};

static bool is_kernel(void)
{
	return current->flags & PF_KTHREAD;
}

static void who(struct oni_stim_event *ev)
{
	if (is_kernel()) {
		ev->loginuid = (u32)-1;
		return;
	}
	ev->loginuid = from_kuid(&init_user_ns, audit_get_loginuid(current));
	ev->uid = from_kuid(&init_user_ns, current_euid());
	ev->tgid = task_tgid_nr(current);
	get_task_comm(ev->comm, current);
}

static void put(struct oni_dev *dev, struct oni_stim_event *ev)
{
	struct oni_stim_queue *q = &dev->stim.queue;

	/* Nothing can be stimulated here, and nobody can ask for events. */
	if (!q->event)
		return;
	ev->size = sizeof(*ev);
	ev->boot_ns = ktime_get_boottime_ns();
	ev->real_ns = ktime_get_real_ns();
	who(ev);
	spin_lock(&q->lock);
	ev->seq = ++q->seq;
	q->event[ev->seq % ONI_STIM_EVENTS_MAX] = *ev;
	spin_unlock(&q->lock);
	trace_oni_stim(dev->minor, ev->what, ev->because, ev->arg);
	wake_up(&q->wait);
}

/* What is common to all that happens to a session. Caller holds stim->lock. */
static void session(struct oni_dev *dev, struct oni_stim_event *ev)
{
	struct oni_stim *stim = &dev->stim;

	lockdep_assert_held(&stim->lock);
	ev->because = stim->because;
	if (stim->pid)
		ev->session = stim->session;
	if (stim->loaded) {
		ev->hub = stim->loaded->hub;
		memcpy(ev->hash, stim->loaded->hash, sizeof(ev->hash));
	}
	if (stim->ring) {
		ev->generation = stim->generation;
		ev->position = oni_ring_head(stim->ring);
	}
}

/**
 * oni_stim_event - tell what happened
 * @dev: the controller, stim->lock held
 * @what: ONI_STIM_EV_*
 * @arg: depends on it
 */
void oni_stim_event(struct oni_dev *dev, u32 what, u64 arg)
{
	struct oni_stim_event ev = { .what = what, .arg = arg };

	session(dev, &ev);
	if (what == ONI_STIM_EV_POLICY || what == ONI_STIM_EV_LOWER)
		memcpy(ev.hash, dev->stim.policy_hash, sizeof(ev.hash));
	put(dev, &ev);
}

/**
 * oni_stim_event_at - tell what was found in the data
 * @dev: the controller, stim->lock held
 * @what: ONI_STIM_EV_*
 * @arg: depends on it
 * @clock: of the frame
 * @position: of the frame in the ring
 */
void oni_stim_event_at(struct oni_dev *dev, u32 what, u64 arg, u64 clock,
		       u64 position)
{
	struct oni_stim_event ev = { .what = what, .arg = arg };

	session(dev, &ev);
	ev.clock = clock;
	ev.position = position;
	put(dev, &ev);
}

/*
 * Whoever may call can be refused as often as he likes, and must not push the rest
 * out of the log by it. The count in the next one that is told shows the others.
 */
static bool too_many(struct oni_dev *dev)
{
	return !__ratelimit(&dev->stim.queue.refusals);
}

/**
 * oni_stim_refused - count and tell a refusal
 * @dev: the controller, stim->lock held
 * @nr: number of the ioctl
 * @v: why
 */
void oni_stim_refused(struct oni_dev *dev, u32 nr,
		      const struct oni_stim_verdict *v)
{
	struct oni_stim_event ev = {
		.what = ONI_STIM_EV_REFUSED,
		.arg = nr,
		.clock = atomic64_inc_return(&dev->stim.refusals),
		.verdict = *v,
	};

	session(dev, &ev);
	if (!too_many(dev))
		put(dev, &ev);
}

/**
 * oni_stim_guarded - a raw write was refused
 * @dev: the controller
 * @addr: of the device
 * @reg: register
 */
void oni_stim_guarded(struct oni_dev *dev, u32 addr, u32 reg)
{
	struct oni_stim_event ev = {
		.what = ONI_STIM_EV_GUARDED,
		.hub = addr >> 8,
		.arg = (u64)addr << 32 | reg,
		.clock = atomic64_inc_return(&dev->stim.refusals),
	};

	atomic64_inc(&dev->cnt.guarded);
	if (!too_many(dev))
		put(dev, &ev);
}

/**
 * oni_stim_audited - does somebody keep the log, and keep up with it?
 * @dev: the controller
 */
bool oni_stim_audited(struct oni_dev *dev)
{
	struct oni_stim_queue *q = &dev->stim.queue;
	bool ok;

	spin_lock(&q->lock);
	ok = q->audit && q->seq - q->audit_seq < ONI_STIM_EVENTS_MAX / 2;
	spin_unlock(&q->lock);
	return ok;
}

/**
 * oni_stim_log_kept - is there a log, if the policy wants one?
 * @dev: the controller, stim->lock held
 */
bool oni_stim_log_kept(struct oni_dev *dev)
{
	return !(dev->stim.policy_flags & ONI_STIM_POLICY_AUDIT) ||
	       oni_stim_audited(dev);
}

/* --- files ------------------------------------------------------------------ */

static bool get(struct events *e, struct oni_stim_event *ev)
{
	struct oni_stim_queue *q = &e->dev->stim.queue;
	bool got;

	spin_lock(&q->lock);
	/* What was pushed out is a gap in the numbers. */
	if (q->seq - e->seq > ONI_STIM_EVENTS_MAX)
		e->seq = q->seq - ONI_STIM_EVENTS_MAX;
	got = e->seq != q->seq;
	if (got)
		*ev = q->event[(e->seq + 1) % ONI_STIM_EVENTS_MAX];
	spin_unlock(&q->lock);
	return got;
}

/* It has left for user space. */
static void took(struct events *e, const struct oni_stim_event *ev)
{
	struct oni_stim_queue *q = &e->dev->stim.queue;

	spin_lock(&q->lock);
	e->seq = ev->seq;
	if (q->audit == e)
		q->audit_seq = ev->seq;
	spin_unlock(&q->lock);
}

static bool any(struct events *e)
{
	return READ_ONCE(e->dev->stim.queue.seq) != READ_ONCE(e->seq);
}

static ssize_t read_some(struct events *e, char __user *buf, size_t len)
{
	struct oni_stim_event ev;
	size_t done = 0;

	while (len - done >= sizeof(ev) && get(e, &ev)) {
		if (copy_to_user(buf + done, &ev, sizeof(ev)))
			return done ?: -EFAULT;
		took(e, &ev);
		done += sizeof(ev);
	}
	return done;
}

static ssize_t events_read(struct file *file, char __user *buf, size_t len,
			   loff_t *ppos)
{
	struct events *e = file->private_data;
	ssize_t n;
	int ret;

	if (len < sizeof(struct oni_stim_event))
		return -EINVAL;
	for (;;) {
		if (mutex_lock_interruptible(&e->lock))
			return -ERESTARTSYS;
		n = read_some(e, buf, len);
		mutex_unlock(&e->lock);
		if (n)
			return n;
		if (oni_dev_gone(e->dev))
			return -ENODEV;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		ret = wait_event_interruptible(e->dev->stim.queue.wait, any(e) ||
					       oni_dev_gone(e->dev));
		if (ret)
			return ret;
	}
}

static __poll_t events_poll(struct file *file, struct poll_table_struct *wait)
{
	struct events *e = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &e->dev->stim.queue.wait, wait);
	if (any(e))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (oni_dev_gone(e->dev))
		mask |= EPOLLHUP | EPOLLERR | EPOLLIN | EPOLLRDNORM;
	return mask;
}

static int events_release(struct inode *inode, struct file *file)
{
	struct events *e = file->private_data;
	struct oni_stim_queue *q = &e->dev->stim.queue;

	spin_lock(&q->lock);
	if (q->audit == e)
		q->audit = NULL;
	spin_unlock(&q->lock);
	/* What is armed may want a log. */
	oni_stim_poke(e->dev);
	put_device(&e->dev->dev);
	kfree(e);
	return 0;
}

static const struct file_operations events_fops = {
	.owner = THIS_MODULE,
	.read = events_read,
	.poll = events_poll,
	.release = events_release,
};

static int events_begin(struct events *e, bool audit)
{
	struct oni_stim_queue *q = &e->dev->stim.queue;
	int ret = 0;

	spin_lock(&q->lock);
	if (audit && q->audit)
		ret = -EBUSY;
	e->seq = q->seq;
	if (audit && !ret) {
		q->audit = e;
		q->audit_seq = q->seq;
	}
	spin_unlock(&q->lock);
	return ret;
}

/**
 * oni_stim_events_open - make a file of events
 * @dev: the controller
 * @arg: wishes
 *
 * Return: the file, not yet installed, or an ERR_PTR.
 */
struct file *oni_stim_events_open(struct oni_dev *dev,
				  struct oni_stim_events *arg)
{
	bool audit = arg->flags & ONI_STIM_EVENTS_AUDIT;
	struct events *e;
	struct file *file;
	int ret;

	if (audit && !capable(CAP_AUDIT_WRITE))
		return ERR_PTR(-EPERM);
	e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (!e)
		return ERR_PTR(-ENOMEM);
	mutex_init(&e->lock);
	e->dev = dev;
	get_device(&dev->dev);
	file = anon_inode_getfile("[oni-stim-events]", &events_fops, e,
				  O_RDONLY | O_CLOEXEC);
	if (IS_ERR(file)) {
		put_device(&dev->dev);
		kfree(e);
		return file;
	}
	ret = events_begin(e, audit);
	if (ret) {
		fput(file);
		return ERR_PTR(ret);
	}
	return file;
}
