// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interlock: states, sessions, the thread that watches, what happens around
 * it. Lifetime and locks: oni_stim.h; contract: include/uapi/linux/oni_stim.h.
 *
 * Rules that everything here keeps:
 * - ARMED has an owner, a ring and a program that is in the hardware.
 * - What leaves ARMED switches the hardware off before anything else, and what
 *   was not acknowledged is a FAULT. A headstage that no word reaches loses its
 *   supply then.
 * - Without a link nothing can be switched off: the state is a FAULT that says so.
 */
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/suspend.h>

#include "oni_internal.h"

/* How often the hardware and the ring are looked at while something is armed. */
#define LOOK_NS		(5 * NSEC_PER_MSEC)
/* The same for registers of the headstage. */
#define POLL_NS		(20 * NSEC_PER_MSEC)
/* While there is a session and nothing is armed, or a stop that was not confirmed. */
#define IDLE_NS		(100 * NSEC_PER_MSEC)
/* A try to confirm that takes its time is followed by so many times that in peace. */
#define MEND_REST	10

/* --- transitions ---------------------------------------------------------- */

static void forget_ring(struct oni_stim *stim)
{
	if (stim->ring)
		oni_ring_put(stim->ring);
	stim->ring = NULL;
}

static void unload(struct oni_stim *stim)
{
	kvfree(stim->loaded);
	stim->loaded = NULL;
	stim->in_hardware = false;
}

static void forget_owner(struct oni_stim *stim)
{
	put_pid(stim->pid);
	if (stim->mm)
		mmdrop(stim->mm);
	stim->file = NULL;
	stim->pid = NULL;
	stim->mm = NULL;
	stim->nonce = 0;
}

/* What was cut off counts as far as it got. */
static void cut(struct oni_stim *stim)
{
	u64 now = ktime_get_boottime_ns();
	struct oni_stim_past *last;
	u32 c, us;

	if (!stim->pasts || stim->train_end_ns <= now)
		return;
	stim->train_end_ns = now;
	last = &stim->past[(stim->pasts - 1) % ONI_STIM_TRAINS_MAX];
	us = div_u64(now - last->start_ns, NSEC_PER_USEC) + 1;
	last->end_ns = now;
	for (c = 0; c <= ONI_STIM_RETURN; c++)
		last->on_us[c] = min(last->on_us[c], us);
}

/* The safe state, acknowledged or not. @hub: of a headstage, 0: all */
static int write_off(struct oni_dev *dev, struct oni_link *link, u32 hub)
{
	struct oni_stim *stim = &dev->stim;
	int ret;

	ret = link ? oni_stim_off(dev, link, hub) : -ENODEV;
	stim->confirmed = !ret;
	if (!ret) {
		stim->playing = false;
		cut(stim);
	} else if (link && ret != -ENODEV) {
		/* Unknown how far it got: the whole train counts. */
		oni_stim_unpower(dev, link, hub);
	}
	return ret;
}

static int switch_off(struct oni_dev *dev, struct oni_link *link)
{
	struct oni_stim *stim = &dev->stim;
	int ret;

	/* The line first: it needs no answer. */
	oni_fw_inhibit(&dev->fw, true);
	ret = write_off(dev, link, stim->loaded ? stim->loaded->hub : 0);
	stim->in_hardware = false;
	return ret;
}

/**
 * oni_stim_fault - off, and stay off until somebody looks
 * @dev: the controller, stim->lock held
 * @link: its link, or NULL
 * @because: ONI_STIM_BECAUSE_*
 *
 * The session stays, so that its owner finds out; it can do nothing any more.
 */
void oni_stim_fault(struct oni_dev *dev, struct oni_link *link, u32 because)
{
	struct oni_stim *stim = &dev->stim;

	lockdep_assert_held(&stim->lock);
	if (stim->in_hardware || stim->state == ONI_STIM_ARMED)
		switch_off(dev, link);
	if (stim->state == ONI_STIM_ARMED)
		stim->stops++;
	stim->state = ONI_STIM_FAULT;
	stim->because = because;
	stim->faults++;
	oni_stim_event(dev, ONI_STIM_EV_FAULT, 0);
	forget_ring(stim);
	unload(stim);
	dev_warn_ratelimited(dev->dev.parent,
			     "stimulation stopped by a fault, code %u%s\n",
			     because, stim->confirmed ? "" :
			     "; the hardware did not confirm");
}

/**
 * oni_stim_disarm - ARMED to LOADED
 * @dev: the controller, stim->lock held, ARMED
 * @link: its link, or NULL
 * @because: ONI_STIM_BECAUSE_*
 */
void oni_stim_disarm(struct oni_dev *dev, struct oni_link *link, u32 because)
{
	struct oni_stim *stim = &dev->stim;

	lockdep_assert_held(&stim->lock);
	if (switch_off(dev, link)) {
		oni_stim_fault(dev, link, ONI_STIM_BECAUSE_UNCONFIRMED);
		return;
	}
	stim->state = ONI_STIM_LOADED;
	stim->because = because;
	stim->stops++;
	oni_stim_event(dev, ONI_STIM_EV_DISARM, 0);
	forget_ring(stim);
}

/**
 * oni_stim_drop - LOADED or ARMED to CLAIMED
 * @dev: the controller, stim->lock held
 * @link: its link, or NULL
 * @because: ONI_STIM_BECAUSE_*
 */
void oni_stim_drop(struct oni_dev *dev, struct oni_link *link, u32 because)
{
	struct oni_stim *stim = &dev->stim;

	lockdep_assert_held(&stim->lock);
	if (stim->state == ONI_STIM_ARMED)
		oni_stim_disarm(dev, link, because);
	if (stim->in_hardware && switch_off(dev, link))
		oni_stim_fault(dev, link, ONI_STIM_BECAUSE_UNCONFIRMED);
	if (stim->state == ONI_STIM_LOADED) {
		stim->state = ONI_STIM_CLAIMED;
		stim->because = because;
	}
	unload(stim);
}

/**
 * oni_stim_end - end the session
 * @dev: the controller, stim->lock held
 * @link: its link, or NULL
 * @because: ONI_STIM_BECAUSE_*
 */
void oni_stim_end(struct oni_dev *dev, struct oni_link *link, u32 because)
{
	struct oni_stim *stim = &dev->stim;

	lockdep_assert_held(&stim->lock);
	if (!stim->pid)
		return;
	oni_stim_drop(dev, link, because);
	if (stim->state != ONI_STIM_FAULT) {
		stim->state = ONI_STIM_SAFE;
		stim->because = because;
	}
	oni_stim_event(dev, ONI_STIM_EV_END, 0);
	forget_owner(stim);
}

/* --- the thread ------------------------------------------------------------------- */

/* Has the process become another program? Its files may have stayed open. */
static bool has_execed(const struct oni_stim *stim)
{
	struct task_struct *task;
	struct mm_struct *mm = NULL;

	rcu_read_lock();
	task = pid_task(stim->pid, PIDTYPE_TGID);
	if (task)
		mm = READ_ONCE(task->mm);
	rcu_read_unlock();
	/* One that is ending closes its files. */
	return mm && mm != stim->mm;
}

/* What the ring says about the acquisition. */
static u32 ring_trouble(const struct oni_stim *stim)
{
	const struct oni_ring_producer *prod = stim->ring->prod;
	u32 flags = READ_ONCE(prod->flags);

	if (READ_ONCE(prod->generation) != stim->generation ||
	    !(flags & ONI_RING_RUNNING))
		return ONI_STIM_BECAUSE_ACQUISITION;
	return flags & ONI_RING_FULL ? ONI_STIM_BECAUSE_RING_FULL : 0;
}

/* One look at what is armed. Longest first: the hardware is asked last. */
static void look(struct oni_dev *dev, struct oni_link *link)
{
	struct oni_stim *stim = &dev->stim;
	u64 now = ktime_get_boottime_ns();
	u32 because;

	if (!link || test_bit(ONI_DEV_FAULT, &dev->flags)) {
		oni_stim_fault(dev, link, ONI_STIM_BECAUSE_LINK);
		return;
	}
	if (now >= stim->dog_ns) {
		oni_stim_fault(dev, link, ONI_STIM_BECAUSE_WATCHDOG);
		return;
	}
	because = oni_fw_key_kept(&dev->fw) ? ring_trouble(stim) :
					      ONI_STIM_BECAUSE_KEY;
	if (!because && now >= stim->ttl_ns)
		because = ONI_STIM_BECAUSE_TTL;
	if (!because && !oni_stim_log_kept(dev))
		because = ONI_STIM_BECAUSE_AUDIT;
	if (because) {
		oni_stim_disarm(dev, link, because);
		return;
	}
	if (now >= stim->armed_ns + ONI_STIM_ARM_DELAY_MS * NSEC_PER_MSEC &&
	    oni_stim_open(dev, link)) {
		oni_stim_fault(dev, link, ONI_STIM_BECAUSE_LINK);
		return;
	}
	because = oni_stim_walk(dev);
	if (!because && now >= stim->poll_ns) {
		stim->poll_ns = now + POLL_NS;
		because = oni_stim_poll_hub(dev, link);
	}
	if (because)
		oni_stim_fault(dev, link, because);
}

/* A train has ended since the last look. */
static void after_train(struct oni_dev *dev, struct oni_link *link)
{
	struct oni_stim *stim = &dev->stim;

	if (!stim->playing || ktime_get_boottime_ns() < stim->train_end_ns)
		return;
	stim->playing = false;
	if (link && stim->in_hardware && oni_stim_after_train(dev, link))
		oni_stim_fault(dev, link, ONI_STIM_BECAUSE_LINK);
}

/*
 * A stop that the headstage did not confirm is tried again as soon as it can be
 * reached: what was armed for triggers from outside may be so still. A transport in
 * error has to be reset first, which writes the safe state itself.
 */
static void mend(struct oni_dev *dev, struct oni_link *link)
{
	struct oni_stim *stim = &dev->stim;
	u64 now = ktime_get_boottime_ns();

	if (stim->confirmed || !stim->rows || !link || now < stim->mend_ns ||
	    test_bit(ONI_DEV_FAULT, &dev->flags))
		return;
	if (oni_stim_linked(dev, link))
		write_off(dev, link, 0);
	stim->mend_ns = ktime_get_boottime_ns();
	stim->mend_ns += MEND_REST * (stim->mend_ns - now);
}

static void tick(struct oni_dev *dev)
{
	struct oni_stim *stim = &dev->stim;
	struct oni_link *link;
	int idx;

	mutex_lock(&stim->lock);
	link = oni_dev_enter(dev, &idx);
	if (stim->pid && has_execed(stim))
		oni_stim_end(dev, link, ONI_STIM_BECAUSE_EXEC);
	if (stim->state == ONI_STIM_ARMED)
		look(dev, link);
	after_train(dev, link);
	mend(dev, link);
	oni_dev_exit(dev, idx);
	mutex_unlock(&stim->lock);
}

/* Until the next look; a time-out that comes before it is looked at when due. */
static u64 sleep_ns(struct oni_stim *stim)
{
	u64 now = ktime_get_boottime_ns(), until = KTIME_MAX;

	mutex_lock(&stim->lock);
	if (stim->pid || (!stim->confirmed && stim->rows))
		until = now + IDLE_NS;
	if (stim->state == ONI_STIM_ARMED)
		until = min3(now + LOOK_NS, stim->dog_ns, stim->ttl_ns);
	mutex_unlock(&stim->lock);
	return until > now ? until - now : 0;
}

static int watch(void *arg)
{
	struct oni_dev *dev = arg;
	struct oni_stim *stim = &dev->stim;

	while (!kthread_should_stop()) {
		u64 ns = sleep_ns(stim);

		if (ns)
			wait_event_interruptible_hrtimeout(stim->wait,
							   READ_ONCE(stim->poke) ||
							   kthread_should_stop(),
							   ns_to_ktime(ns));
		WRITE_ONCE(stim->poke, false);
		tick(dev);
	}
	return 0;
}

/**
 * oni_stim_poke - have the thread look at once
 * @dev: the controller
 *
 * Any context.
 */
void oni_stim_poke(struct oni_dev *dev)
{
	WRITE_ONCE(dev->stim.poke, true);
	wake_up(&dev->stim.wait);
}

/**
 * oni_stim_watch_begin - have a thread that watches
 * @dev: the controller, stim->lock held, inside the gate
 */
int oni_stim_watch_begin(struct oni_dev *dev)
{
	struct oni_stim *stim = &dev->stim;
	struct task_struct *task;

	lockdep_assert_held(&stim->lock);
	if (stim->watcher)
		return 0;
	task = kthread_create(watch, dev, "oni%d-stim", dev->minor);
	if (IS_ERR(task))
		return PTR_ERR(task);
	/* Late is dangerous, and it does little. */
	sched_set_fifo(task);
	stim->watcher = task;
	wake_up_process(task);
	return 0;
}

/**
 * oni_stim_watch_end - the thread is gone on return
 * @dev: the controller; nobody is or gets inside the gate
 */
void oni_stim_watch_end(struct oni_dev *dev)
{
	if (dev->stim.watcher)
		kthread_stop(dev->stim.watcher);
	dev->stim.watcher = NULL;
}

/* --- what happens around it ---------------------------------------------------------- */

/**
 * oni_stim_blind - the acquisition is about to end
 * @dev: the controller, dev->lock held
 * @link: its link
 * @because: ONI_STIM_BECAUSE_*
 */
void oni_stim_blind(struct oni_dev *dev, struct oni_link *link, u32 because)
{
	struct oni_stim *stim = &dev->stim;

	mutex_lock(&stim->lock);
	if (stim->state == ONI_STIM_ARMED)
		oni_stim_disarm(dev, link, because);
	mutex_unlock(&stim->lock);
}

/**
 * oni_stim_leave - the hardware is about to go, or has gone
 * @dev: the controller, dev->lock held
 * @link: its link, NULL if it has gone already
 * @because: ONI_STIM_BECAUSE_*
 *
 * Nobody can claim after it, unless that is ONI_STIM_BECAUSE_SUSPEND.
 */
void oni_stim_leave(struct oni_dev *dev, struct oni_link *link, u32 because)
{
	struct oni_stim *stim = &dev->stim;

	mutex_lock(&stim->lock);
	if (because == ONI_STIM_BECAUSE_REMOVE && !stim->leaving) {
		stim->leaving = true;
		oni_stim_event(dev, ONI_STIM_EV_REMOVE, 0);
	}
	oni_stim_end(dev, link, because);
	mutex_unlock(&stim->lock);
}

/**
 * oni_stim_reset_begins - the controller is about to be reset
 * @dev: the controller, dev->lock held, not running
 *
 * What is in the hardware is no longer known until oni_stim_table().
 */
void oni_stim_reset_begins(struct oni_dev *dev)
{
	struct oni_stim *stim = &dev->stim;

	mutex_lock(&stim->lock);
	stim->confirmed = false;
	stim->in_hardware = false;
	stim->rows = 0;
	if (stim->state == ONI_STIM_ARMED)
		oni_stim_fault(dev, NULL, ONI_STIM_BECAUSE_LINK);
	if (stim->state == ONI_STIM_LOADED) {
		stim->state = ONI_STIM_CLAIMED;
		stim->because = ONI_STIM_BECAUSE_RESET;
	}
	unload(stim);
	mutex_unlock(&stim->lock);
}

static int pm_event(struct notifier_block *nb, unsigned long what, void *data)
{
	struct oni_stim *stim = container_of(nb, struct oni_stim, pm);
	struct oni_dev *dev = container_of(stim, struct oni_dev, stim);
	struct oni_link *link;
	int idx;

	mutex_lock(&stim->lock);
	link = oni_dev_enter(dev, &idx);
	switch (what) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		/* Before tasks are frozen, and with it the owner. */
		stim->suspended = true;
		oni_stim_end(dev, link, ONI_STIM_BECAUSE_SUSPEND);
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		stim->suspended = false;
		break;
	}
	oni_dev_exit(dev, idx);
	mutex_unlock(&stim->lock);
	return NOTIFY_OK;
}

/* --- life ------------------------------------------------------------------------------ */

/**
 * oni_stim_init - memory and locks, with the controller object
 * @dev: the controller
 * @stimulates: stimulators can be behind it: what was done to them is kept
 *
 * Return: 0 or -ENOMEM; oni_stim_free() is due after success only.
 */
int oni_stim_init(struct oni_dev *dev, bool stimulates)
{
	struct oni_stim *stim = &dev->stim;

	if (stimulates) {
		stim->queue.event = kvcalloc(ONI_STIM_EVENTS_MAX,
					     sizeof(*stim->queue.event),
					     GFP_KERNEL);
		stim->past = kvcalloc(ONI_STIM_TRAINS_MAX, sizeof(*stim->past),
				      GFP_KERNEL);
		if (!stim->queue.event || !stim->past) {
			kvfree(stim->queue.event);
			kvfree(stim->past);
			return -ENOMEM;
		}
	}
	mutex_init(&stim->lock);
	spin_lock_init(&stim->queue.lock);
	init_waitqueue_head(&stim->queue.wait);
	init_waitqueue_head(&stim->wait);
	ratelimit_state_init(&stim->queue.refusals, HZ, 32);
	ratelimit_set_flags(&stim->queue.refusals, RATELIMIT_MSG_ON_RELEASE);
	return 0;
}

/**
 * oni_stim_free - the controller object goes
 * @dev: the controller; nobody holds a file of it
 */
void oni_stim_free(struct oni_dev *dev)
{
	struct oni_stim *stim = &dev->stim;

	forget_ring(stim);
	unload(stim);
	forget_owner(stim);
	kvfree(stim->queue.event);
	kvfree(stim->past);
}

/**
 * oni_stim_register - the controller is there for user space
 * @dev: the controller
 */
int oni_stim_register(struct oni_dev *dev)
{
	struct oni_stim *stim = &dev->stim;
	int ret;

	mutex_lock(&stim->lock);
	oni_stim_event(dev, ONI_STIM_EV_PROBE, stim->confirmed);
	mutex_unlock(&stim->lock);
	stim->pm.notifier_call = pm_event;
	ret = register_pm_notifier(&stim->pm);
	stim->pm_registered = !ret;
	return ret;
}

/**
 * oni_stim_unregister - no call from power management any more
 * @dev: the controller, dev->lock not held
 */
void oni_stim_unregister(struct oni_dev *dev)
{
	if (dev->stim.pm_registered)
		unregister_pm_notifier(&dev->stim.pm);
	dev->stim.pm_registered = false;
}
