// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device class, minors, registration and removal of controllers, upcalls of
 * the transports. Lifetime and locks: oni_internal.h.
 */
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "oni_compat.h"
#include "oni_internal.h"

#define CREATE_TRACE_POINTS
#include "oni_trace.h"

#define ONI_MINORS	64
/* Minors of the nodes of the interlock, from that of the controller on. */
#define ONI_MINOR_STIM	ONI_MINORS
#define ONI_MINOR_STOP	(2 * ONI_MINORS)
#define ONI_MINORS_ALL	(3 * ONI_MINORS)

static struct class *oni_class;
static struct class *oni_stim_class;
static dev_t oni_devt;
static DEFINE_IDA(oni_ida);

/*
 * Release callbacks may run long after the last file is closed, and code of
 * this module must not go away under them: module_exit waits for zero.
 */
static atomic_t oni_live = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(oni_live_wait);

/**
 * oni_dev_enter - enter the gate to the hardware
 * @dev: the controller
 * @idx: for oni_dev_exit(), which is due in any case
 *
 * Return: the link, or NULL if the hardware is gone.
 */
struct oni_link *oni_dev_enter(struct oni_dev *dev, int *idx)
	__acquires(&dev->srcu)
{
	struct oni_link *link;

	*idx = srcu_read_lock(&dev->srcu);
	link = srcu_dereference(dev->link, &dev->srcu);
	return oni_dev_gone(dev) ? NULL : link;
}

void oni_dev_exit(struct oni_dev *dev, int idx)
	__releases(&dev->srcu)
{
	srcu_read_unlock(&dev->srcu, idx);
}

static void oni_dev_release(struct device *d)
{
	struct oni_dev *dev = container_of(d, struct oni_dev, dev);

	if (dev->minor >= 0)
		ida_free(&oni_ida, dev->minor);
	cleanup_srcu_struct(&dev->srcu);
	kvfree(dev->table);
	kvfree(dev->spare);
	kvfree(dev->signals);
	oni_stim_free(dev);
	kfree(dev);
	if (atomic_dec_and_test(&oni_live))
		wake_up(&oni_live_wait);
}

/**
 * oni_link_alloc - make a link and the controller object behind it
 * @parent: the bus device
 * @ops: the transport
 * @owner: module of the transport, pinned while an acquisition runs
 * @priv: for oni_link_priv()
 *
 * Reads what firmware says about the controller and asserts its inhibit line.
 *
 * Return: the link, or an ERR_PTR, -EPROBE_DEFER among others.
 */
struct oni_link *oni_link_alloc(struct device *parent,
				const struct oni_link_ops *ops,
				struct module *owner, void *priv)
{
	struct oni_link *link;
	struct oni_dev *dev;
	int ret;

	link = kzalloc(sizeof(*link), GFP_KERNEL);
	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	ret = -ENOMEM;
	if (!link || !dev)
		goto err_free;
	dev->table = kvcalloc(ONI_MAX_ROWS, sizeof(*dev->table), GFP_KERNEL);
	dev->spare = kvcalloc(ONI_MAX_ROWS, sizeof(*dev->spare), GFP_KERNEL);
	dev->signals = kvcalloc(ONI_SIGNALS, sizeof(*dev->signals), GFP_KERNEL);
	if (!dev->table || !dev->spare || !dev->signals)
		goto err_free;
	ret = kfifo_init(&dev->sig_fifo, dev->signals,
			 ONI_SIGNALS * sizeof(*dev->signals));
	if (ret)
		goto err_free;
	ret = oni_stim_init(dev, ops->stim);
	if (ret)
		goto err_free;
	ret = init_srcu_struct(&dev->srcu);
	if (ret)
		goto err_stim;
	/* Before anything is asked of the hardware: it may be armed. */
	ret = oni_fw_read(&dev->fw, parent);
	if (ret) {
		cleanup_srcu_struct(&dev->srcu);
		goto err_stim;
	}

	atomic_inc(&oni_live);
	device_initialize(&dev->dev);
	dev->dev.release = oni_dev_release;
	dev->dev.class = oni_class;
	dev->dev.parent = parent;
	dev->dev.groups = oni_dev_groups;
	dev->minor = -1;
	mutex_init(&dev->lock);
	mutex_init(&dev->reg_lock);
	mutex_init(&dev->ctl_lock);
	mutex_init(&dev->tx_lock);
	mutex_init(&dev->table_lock);
	spin_lock_init(&dev->sig_lock);
	init_waitqueue_head(&dev->sig_wait);
	init_waitqueue_head(&dev->wait);
	INIT_WORK(&dev->fault_work, oni_ctl_fault_work);

	link->dev = dev;
	link->ops = ops;
	link->owner = owner;
	link->priv = priv;
	rcu_assign_pointer(dev->link, link);
	return link;

err_stim:
	oni_stim_free(dev);
err_free:
	if (dev) {
		kvfree(dev->table);
		kvfree(dev->spare);
		kvfree(dev->signals);
	}
	kfree(dev);
	kfree(link);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_ONI(oni_link_alloc);

/* --- nodes of the interlock ---------------------------------------------- */

static void node_release(struct device *d)
{
	struct oni_node *node = container_of(d, struct oni_node, dev);

	put_device(&node->oni->dev);
	kfree(node);
	if (atomic_dec_and_test(&oni_live))
		wake_up(&oni_live_wait);
}

static struct oni_node *node_add(struct oni_dev *dev, const char *suffix,
				 int minor, const struct file_operations *fops)
{
	struct oni_node *node;
	int ret;

	node = kzalloc(sizeof(*node), GFP_KERNEL);
	if (!node)
		return ERR_PTR(-ENOMEM);
	atomic_inc(&oni_live);
	device_initialize(&node->dev);
	node->oni = dev;
	get_device(&dev->dev);
	node->dev.release = node_release;
	node->dev.class = oni_stim_class;
	node->dev.parent = &dev->dev;
	node->dev.devt = MKDEV(MAJOR(oni_devt), minor);
	cdev_init(&node->cdev, fops);
	node->cdev.owner = THIS_MODULE;
	ret = dev_set_name(&node->dev, "oni%d-%s", dev->minor, suffix);
	if (!ret)
		ret = cdev_device_add(&node->cdev, &node->dev);
	if (ret) {
		put_device(&node->dev);
		return ERR_PTR(ret);
	}
	return node;
}

static void node_del(struct oni_node *node)
{
	if (!node)
		return;
	cdev_device_del(&node->cdev, &node->dev);
	put_device(&node->dev);
}

static void stim_nodes_del(struct oni_dev *dev)
{
	oni_stim_unregister(dev);
	node_del(dev->stim.stim_node);
	node_del(dev->stim.stop_node);
	dev->stim.stim_node = NULL;
	dev->stim.stop_node = NULL;
}

static int stim_nodes_add(struct oni_dev *dev)
{
	struct oni_node *node;
	int ret;

	ret = oni_stim_register(dev);
	if (ret)
		return ret;
	/* First what stops. */
	node = node_add(dev, "stop", ONI_MINOR_STOP + dev->minor, &oni_stop_fops);
	if (IS_ERR(node))
		goto fail;
	dev->stim.stop_node = node;
	node = node_add(dev, "stim", ONI_MINOR_STIM + dev->minor, &oni_stim_fops);
	if (IS_ERR(node))
		goto fail;
	dev->stim.stim_node = node;
	return 0;

fail:
	stim_nodes_del(dev);
	return PTR_ERR(node);
}

/**
 * oni_link_register - bring the controller up and show it to user space
 * @link: from oni_link_alloc(); upcalls must already work
 *
 * Resets the controller, reads the device table and puts every stimulator into
 * its safe state before any node exists.
 *
 * Return: 0, or what the controller could not do.
 */
int oni_link_register(struct oni_link *link)
{
	struct oni_dev *dev = link->dev;
	int ret;

	mutex_lock(&dev->lock);
	ret = oni_reset_locked(dev, link);
	mutex_unlock(&dev->lock);
	if (ret)
		return ret;

	ret = ida_alloc_max(&oni_ida, ONI_MINORS - 1, GFP_KERNEL);
	if (ret < 0)
		return ret;
	dev->minor = ret;
	dev->dev.devt = MKDEV(MAJOR(oni_devt), dev->minor);
	ret = dev_set_name(&dev->dev, "oni%d", dev->minor);
	if (ret)
		return ret;

	cdev_init(&dev->cdev, &oni_fops);
	dev->cdev.owner = THIS_MODULE;
	ret = cdev_device_add(&dev->cdev, &dev->dev);
	if (ret)
		return ret;
	ret = link->ops->stim ? stim_nodes_add(dev) : 0;
	if (ret) {
		cdev_device_del(&dev->cdev, &dev->dev);
		return ret;
	}
	link->registered = true;
	return 0;
}
EXPORT_SYMBOL_ONI(oni_link_register);

/* Latch "gone" and wake everybody who waits for anything. */
static void oni_dev_numb(struct oni_dev *dev, struct oni_ring *ring)
{
	set_bit(ONI_DEV_GONE, &dev->flags);
	if (ring)
		oni_ring_end(ring, ONI_RING_GONE, -ENODEV);
	wake_up_all(&dev->sig_wait);
	wake_up_all(&dev->wait);
	wake_up_all(&dev->stim.queue.wait);
	trace_oni_state(dev->minor, ONI_STATE_GONE);
}

/**
 * oni_link_unregister - take the controller away from user space
 * @link: the link
 *
 * While the hardware is still there it is stopped and made safe first. Open
 * files and mappings stay, and answer ENODEV. No op of the link is called
 * after the return, and no DMA goes into ring memory.
 */
void oni_link_unregister(struct oni_link *link)
{
	struct oni_dev *dev = link->dev;

	if (link->registered) {
		stim_nodes_del(dev);
		cdev_device_del(&dev->cdev, &dev->dev);
	}

	mutex_lock(&dev->lock);
	oni_stim_leave(dev, oni_dev_gone(dev) ? NULL : link,
		       ONI_STIM_BECAUSE_REMOVE);
	if (!oni_dev_gone(dev)) {
		/* A reader must not take this for a stop that somebody asked for. */
		set_bit(ONI_DEV_LEAVING, &dev->flags);
		oni_stop_locked(dev, link);
		oni_stim_safe_locked(dev, link);
	}
	oni_dev_numb(dev, dev->stream ? dev->stream->ring : NULL);
	oni_detach_locked(dev, link);
	rcu_assign_pointer(dev->link, NULL);
	mutex_unlock(&dev->lock);

	synchronize_srcu(&dev->srcu);
	cancel_work_sync(&dev->fault_work);
	oni_stim_watch_end(dev);
}
EXPORT_SYMBOL_ONI(oni_link_unregister);

/**
 * oni_link_free - drop the link; no upcall is allowed any more
 * @link: the link
 */
void oni_link_free(struct oni_link *link)
{
	struct oni_dev *dev = link->dev;

	/* Also after a failed register: upcalls may have queued the work. */
	rcu_assign_pointer(dev->link, NULL);
	synchronize_srcu(&dev->srcu);
	cancel_work_sync(&dev->fault_work);
	oni_stim_watch_end(dev);
	oni_fw_release(&dev->fw);
	put_device(&dev->dev);
	kfree(link);
}
EXPORT_SYMBOL_ONI(oni_link_free);

void *oni_link_priv(struct oni_link *link)
{
	return link->priv;
}
EXPORT_SYMBOL_ONI(oni_link_priv);

/**
 * oni_link_shutdown - stop, make safe, and let nobody in any more
 * @link: the link
 *
 * At a shutdown programs still run, and one that is woken because its
 * acquisition ended would start the next one.
 */
void oni_link_shutdown(struct oni_link *link)
{
	struct oni_dev *dev = link->dev;

	mutex_lock(&dev->lock);
	if (!oni_dev_gone(dev)) {
		set_bit(ONI_DEV_LEAVING, &dev->flags);
		oni_stim_leave(dev, link, ONI_STIM_BECAUSE_REMOVE);
		oni_stop_locked(dev, link);
		oni_stim_safe_locked(dev, link);
		oni_fence_locked(dev, link);
		oni_dev_numb(dev, dev->stream ? dev->stream->ring : NULL);
	}
	mutex_unlock(&dev->lock);
}
EXPORT_SYMBOL_ONI(oni_link_shutdown);

/**
 * oni_link_quiesce - stop and make safe, before suspend or a reset
 * @link: the link
 */
void oni_link_quiesce(struct oni_link *link)
{
	struct oni_dev *dev = link->dev;

	mutex_lock(&dev->lock);
	if (!oni_dev_gone(dev)) {
		oni_stim_leave(dev, link, ONI_STIM_BECAUSE_SUSPEND);
		oni_stop_locked(dev, link);
		oni_stim_safe_locked(dev, link);
		oni_fence_locked(dev, link);
	}
	mutex_unlock(&dev->lock);
}
EXPORT_SYMBOL_ONI(oni_link_quiesce);

/**
 * oni_link_resume - bring the controller up again; nothing is started
 * @link: the link
 *
 * Power-on defaults of stimulators are armed, so the reset that writes their
 * safe state is not optional.
 */
int oni_link_resume(struct oni_link *link)
{
	struct oni_dev *dev = link->dev;
	int ret;

	/* What an error ended must have ended before the reset. */
	flush_work(&dev->fault_work);
	mutex_lock(&dev->lock);
	/* Somebody was quick to start again, on a controller that is not ready. */
	if (dev->running) {
		oni_ring_error(dev->stream->ring, -EIO);
		oni_stop_locked(dev, link);
	}
	ret = oni_dev_gone(dev) ? -ENODEV : oni_reset_locked(dev, link);
	if (ret)
		set_bit(ONI_DEV_FAULT, &dev->flags);
	mutex_unlock(&dev->lock);
	return ret;
}
EXPORT_SYMBOL_ONI(oni_link_resume);

/**
 * oni_link_signal - one byte of the signal channel arrived
 * @link: the link
 * @byte: as sent
 */
void oni_link_signal(struct oni_link *link, u8 byte)
{
	struct oni_dev *dev = link->dev;
	enum oni_cobs_result res;
	struct oni_signal sig;
	unsigned long flags;

	spin_lock_irqsave(&dev->sig_lock, flags);
	res = oni_cobs_feed(&dev->cobs, byte, &sig);
	/* What nobody waits for makes way. */
	if (res == ONI_COBS_PACKET && kfifo_is_full(&dev->sig_fifo))
		kfifo_skip(&dev->sig_fifo);
	if (res == ONI_COBS_PACKET)
		kfifo_put(&dev->sig_fifo, sig);
	spin_unlock_irqrestore(&dev->sig_lock, flags);

	if (res == ONI_COBS_PACKET) {
		atomic64_inc(&dev->cnt.signals);
		trace_oni_signal(sig.flag, sig.words);
		wake_up(&dev->sig_wait);
	} else if (res == ONI_COBS_BAD) {
		atomic64_inc(&dev->cnt.bad_signals);
	}
}
EXPORT_SYMBOL_ONI(oni_link_signal);

/**
 * oni_link_signal_cut - the signal channel was cut short by a reset
 * @link: the link
 *
 * What came of a packet so far must not be taken for the beginning of the next.
 */
void oni_link_signal_cut(struct oni_link *link)
{
	struct oni_dev *dev = link->dev;
	unsigned long flags;

	spin_lock_irqsave(&dev->sig_lock, flags);
	memset(&dev->cobs, 0, sizeof(dev->cobs));
	spin_unlock_irqrestore(&dev->sig_lock, flags);
}
EXPORT_SYMBOL_ONI(oni_link_signal_cut);

/**
 * oni_link_error - the link did something it must not do
 * @link: the link
 * @err: negative errno; the first one stays until the next reset
 */
void oni_link_error(struct oni_link *link, int err)
{
	struct oni_dev *dev = link->dev;

	atomic64_inc(&dev->cnt.link_errors);
	trace_oni_link_error(dev->minor, err);
	if (!test_and_set_bit(ONI_DEV_FAULT, &dev->flags))
		queue_work(system_unbound_wq, &dev->fault_work);
	oni_stim_poke(dev);
}
EXPORT_SYMBOL_ONI(oni_link_error);

/**
 * oni_link_lost - registers read all ones: the hardware is not there
 * @link: the link
 */
void oni_link_lost(struct oni_link *link)
{
	struct oni_dev *dev = link->dev;

	if (test_and_set_bit(ONI_DEV_GONE, &dev->flags))
		return;
	trace_oni_link_error(dev->minor, -ENODEV);
	wake_up_all(&dev->sig_wait);
	wake_up_all(&dev->wait);
	wake_up_all(&dev->stim.queue.wait);
	oni_stim_poke(dev);
	/* Readers are woken from process context, where locks can be taken. */
	queue_work(system_unbound_wq, &dev->fault_work);
}
EXPORT_SYMBOL_ONI(oni_link_lost);

bool oni_link_is_lost(struct oni_link *link)
{
	return oni_dev_gone(link->dev);
}
EXPORT_SYMBOL_ONI(oni_link_is_lost);

static char *oni_devnode(oni_const_device *dev, umode_t *mode)
{
	/* Without udev nobody but root; the rules open it to a group. */
	if (mode)
		*mode = 0600;
	return NULL;
}

static char *oni_stim_devnode(oni_const_device *dev, umode_t *mode)
{
	/* Everybody may stop. */
	if (mode)
		*mode = MINOR(dev->devt) >= ONI_MINOR_STOP ? 0666 : 0600;
	return NULL;
}

static int __init oni_init(void)
{
	int ret;

	ret = alloc_chrdev_region(&oni_devt, 0, ONI_MINORS_ALL, "oni");
	if (ret)
		return ret;
	/*
	 * On the heap, not a static const class: device release may run after
	 * this module is gone and looks at the class.
	 */
	oni_class = oni_class_create("oni");
	if (IS_ERR(oni_class)) {
		ret = PTR_ERR(oni_class);
		goto err_region;
	}
	oni_class->devnode = oni_devnode;
	oni_stim_class = oni_class_create("oni_stim");
	if (IS_ERR(oni_stim_class)) {
		ret = PTR_ERR(oni_stim_class);
		goto err_class;
	}
	oni_stim_class->devnode = oni_stim_devnode;
	return 0;

err_class:
	class_destroy(oni_class);
err_region:
	unregister_chrdev_region(oni_devt, ONI_MINORS_ALL);
	return ret;
}

static void __exit oni_exit(void)
{
	wait_event(oni_live_wait, !atomic_read(&oni_live));
	/* Whoever counted to zero has left this module's code. */
	synchronize_rcu_tasks();
	class_destroy(oni_stim_class);
	class_destroy(oni_class);
	unregister_chrdev_region(oni_devt, ONI_MINORS_ALL);
	ida_destroy(&oni_ida);
}

module_init(oni_init);
module_exit(oni_exit);

MODULE_DESCRIPTION("Open Neuro Interface controllers. Research use only, not a medical device.");
MODULE_LICENSE("GPL");
