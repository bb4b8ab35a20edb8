/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private to oni.ko.
 *
 * Two objects, two lifetimes. struct oni_dev belongs to user space: it lives
 * until the last open file is closed. struct oni_link belongs to the transport
 * driver and goes away when the hardware does. oni_dev::link is NULL from then
 * on; everything that needs the hardware goes through it inside an SRCU read
 * section and answers ENODEV when it is gone. Nobody waits for data inside
 * such a section, and every other wait in one is bounded and ends at once when
 * the link is lost.
 *
 * Locks, outer to inner:
 *   oni_dev::srcu	oni_dev::link; may also be entered under oni_dev::lock
 *			and tx_lock, since nobody synchronises while holding
 *			one of them
 *   oni_dev::lock	state, owner, stream, dirty; mutex, held for whole
 *			operations (start, stop, reset, port power)
 *   oni_dev::reg_lock	device registers for calls of user space: one access,
 *			one batch of the owner, or one reset of the controller
 *			at a time; mutex. Never together with oni_stim::lock:
 *			the interlock does not wait for it
 *   oni_stim::lock	state of the interlock, see oni_stim.h; mutex
 *   oni_dev::ctl_lock	one controller transaction at a time; mutex. At most
 *			one of those who wait for it comes from reg_lock
 *   oni_dev::tx_lock	the write channel: one write(2) at a time, and no
 *			change of owner during it; mutex. Apart from the three
 *			above, so that a write waits for no register access
 *   oni_dev::table_lock	device table and identity; mutex, short
 *   oni_dev::sig_lock	signal decoder and packet fifo; spinlock, irqsave
 *   (transport lock)	spinlock, irqsave
 *   oni_ring::lock	see oni_ring.h
 * Beside these: oni_stream::read_lock, a mutex around the copy of a read(2), inside
 * which page faults and oni_ring::lock are taken and nothing else.
 * mmap and poll take none of the mutexes, so no inversion with mmap_lock can
 * exist.
 */
#ifndef ONI_INTERNAL_H
#define ONI_INTERNAL_H

#include <linux/atomic.h>
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/kfifo.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "oni_cobs.h"
#include "oni_fw.h"
#include "oni_guard.h"
#include "oni_link.h"
#include "oni_ring.h"
#include "oni_stim.h"
#include "oni_table.h"

#define ONI_BLOCK_DEFAULT	4096U

/* oni_dev::flags */
enum {
	ONI_DEV_GONE,		/* lost or unbound: everything is ENODEV */
	ONI_DEV_LEAVING,	/* about to be: what ends now, ends by that */
	ONI_DEV_FAULT,		/* link error latched until the next reset */
};

/* Counters that the core keeps; see struct oni_stats. */
struct oni_counters {
	atomic64_t reg_reads;
	atomic64_t reg_writes;
	atomic64_t reg_nacks;
	atomic64_t reg_timeouts;
	atomic64_t signals;
	atomic64_t bad_signals;
	atomic64_t write_frames;
	atomic64_t resets;
	atomic64_t link_errors;
	atomic64_t guarded;
	atomic64_t stim_safe_failures;
	/* of streams that are closed */
	atomic64_t blocks;
	atomic64_t bytes;
	atomic64_t short_blocks;
	atomic64_t ring_full;
	atomic64_t ring_full_ns;
	atomic64_t wakeups;
};

struct oni_dev;

/* Private data of an open /dev/oniN. */
struct oni_file {
	struct oni_dev *dev;
	struct file *implicit;		/* stream made by read(2); dev->lock */
	bool implicit_claim;
};

/* A node beside /dev/oniN; holds the controller until its last file is closed. */
struct oni_node {
	struct cdev cdev;
	struct device dev;
	struct oni_dev *oni;
};

/* Private data of a stream fd or a monitor fd. */
struct oni_stream {
	struct oni_dev *dev;
	struct oni_ring *ring;
	struct oni_reader *reader;	/* of the ring, or the monitor's own */
	struct file *map_file;	/* what mappings hold instead of the stream */
	struct mutex read_lock;	/* read(2): from the tail to the tail */
	u32 latency_us;
	u32 watermark;
};

#define ONI_SIGNALS		(2 * ONI_MAX_ROWS)	/* a power of two */

struct oni_dev {
	struct device dev;
	struct cdev cdev;
	int minor;

	struct srcu_struct srcu;
	struct oni_link __rcu *link;
	unsigned long flags;
	wait_queue_head_t wait;		/* polls on /dev/oniN; port power */
	struct work_struct fault_work;
	struct oni_counters cnt;
	struct oni_fw fw;		/* constant while there is a link */

	struct mutex lock;		/* the next four */
	bool running;
	bool dirty;			/* hardware may hold data of a run */
	struct oni_file *owner;		/* changed under tx_lock as well */
	struct oni_stream *stream;
	pid_t owner_tgid;

	struct oni_stim stim;		/* has locks of its own */

	struct mutex reg_lock;		/* register calls of user space */

	struct mutex ctl_lock;		/* controller transactions */
	bool trig_unsure;		/* last register access timed out */

	struct mutex tx_lock;		/* write channel */

	struct mutex table_lock;	/* all below, up to the signal part */
	u32 generation;
	u32 rows;
	struct oni_device *table;	/* ONI_MAX_ROWS */
	struct oni_device *spare;	/* dev->lock: for the next one */
	u32 hardware_id;
	u32 hardware_revision;
	u32 firmware_version;
	u32 sys_clock_hz;
	u32 acq_clock_hz;
	u32 max_read_frame;
	u32 max_write_frame;
	bool stim_safe;

	spinlock_t sig_lock;		/* decoder and fifo */
	struct oni_cobs cobs;
	/* A whole table fits: who waits for it may get his turn late. */
	DECLARE_KFIFO_PTR(sig_fifo, struct oni_signal);
	struct oni_signal *signals;	/* ONI_SIGNALS of them, for the fifo */
	wait_queue_head_t sig_wait;
};

struct oni_link {
	struct oni_dev *dev;
	const struct oni_link_ops *ops;
	struct module *owner;
	void *priv;
	struct oni_ring *mapped;	/* dev->lock */
	bool registered;
	bool pinned;			/* reference on @owner; dev->lock */
};

static inline bool oni_dev_gone(const struct oni_dev *dev)
{
	return test_bit(ONI_DEV_GONE, &dev->flags);
}

static inline struct oni_dev *oni_node_dev(struct cdev *cdev)
{
	return container_of(cdev, struct oni_node, cdev)->oni;
}

/* oni_core.c */
extern const struct file_operations oni_fops;
struct oni_link *oni_dev_enter(struct oni_dev *dev, int *idx);
void oni_dev_exit(struct oni_dev *dev, int idx);

/* oni_ctl.c: the caller is inside the gate; "locked" ones hold dev->lock. */
void oni_fence_locked(struct oni_dev *dev, struct oni_link *link);
int oni_reset_locked(struct oni_dev *dev, struct oni_link *link);
int oni_start_locked(struct oni_dev *dev, struct oni_link *link);
void oni_stop_locked(struct oni_dev *dev, struct oni_link *link);
void oni_detach_locked(struct oni_dev *dev, struct oni_link *link);
void oni_stim_safe_locked(struct oni_dev *dev, struct oni_link *link);
int oni_outputs_off_locked(struct oni_dev *dev, struct oni_link *link);
int oni_port_power_locked(struct oni_dev *dev, struct oni_link *link,
			  struct oni_port_power *pp);
int oni_reg_read(struct oni_dev *dev, struct oni_link *link, u32 addr, u32 reg,
		 u32 *val);
int oni_reg_write(struct oni_dev *dev, struct oni_link *link, u32 addr,
		  u32 reg, u32 val);
int oni_reg_batch(struct oni_dev *dev, struct oni_link *link,
		  struct oni_reg_op *ops, u32 n, bool whole, u32 *done);
int oni_reg_access(struct oni_dev *dev, struct oni_link *link, u32 addr, u32 reg,
		   bool write, u32 *val);
int oni_reg_sequence(struct oni_dev *dev, struct oni_link *link,
		     struct oni_reg_op *ops, u32 n);
int oni_safe_reg(struct oni_dev *dev, struct oni_link *link, u32 addr, u32 reg,
		 const struct oni_safe_write *sw);
int oni_safe_device(struct oni_dev *dev, struct oni_link *link,
		    const struct oni_device *row);
int oni_ctl_read(struct oni_dev *dev, struct oni_link *link, u32 reg, u32 *val);
int oni_ctl_write(struct oni_dev *dev, struct oni_link *link, u32 reg, u32 val);
int oni_find_device(struct oni_dev *dev, u32 addr, struct oni_device *row);
int oni_write_frames(struct oni_dev *dev, struct oni_link *link, const u32 *buf,
		     size_t words);
void oni_ctl_fault_work(struct work_struct *work);

/* oni_stream.c */
struct file *oni_stream_create(struct oni_dev *dev, struct oni_link *link,
			       struct oni_stream_create *arg);
struct file *oni_monitor_open(struct oni_dev *dev,
			      struct oni_monitor_create *arg);
ssize_t oni_stream_do_read(struct oni_stream *stream, struct file *file,
			   char __user *buf, size_t len);
__poll_t oni_stream_do_poll(struct oni_stream *stream, struct file *file,
			    struct poll_table_struct *wait);
void oni_stream_count(struct oni_dev *dev, struct oni_ring *ring,
		      struct oni_stats *stats);

/* oni_cdev.c: argument checks shared by both ioctl tables. */
struct oni_ioctl_ctx {
	struct file *file;
	struct oni_dev *dev;
	struct oni_link *link;	/* while inside the gate */
	int gate;		/* what oni_dev_enter() has given */
	struct file *install;	/* to be installed as @fd after success */
	int fd;
	bool results;		/* write the argument back even on error */
	void __user *uarg;	/* where the argument is; set by the dispatcher */
	u16 bytes;		/* of it that the kernel knows */
	bool answered;		/* the results of a success are there already */
};

struct oni_ioctl {
	u32 cmd;
	u16 size;
	bool write;		/* needs a file opened for writing */
	int (*fn)(struct oni_ioctl_ctx *ctx, void *arg);
};

long oni_ioctl_dispatch(const struct oni_ioctl *table, unsigned int n,
			struct oni_ioctl_ctx *ctx, unsigned int cmd,
			unsigned long arg);
int oni_ioctl_copy_in(struct oni_ioctl_ctx *ctx, void *to,
		      const void __user *from, size_t n);
int oni_ioctl_copy_out(struct oni_ioctl_ctx *ctx, void __user *to,
		       const void *from, size_t n);
int oni_ioctl_answer(struct oni_ioctl_ctx *ctx, const void *arg);
void oni_stats_fill(struct oni_dev *dev, struct oni_link *link,
		    struct oni_stats *stats);

/* oni_sysfs.c */
extern const struct attribute_group *oni_dev_groups[];
extern const char *const oni_state_names[];
u32 oni_dev_state(struct oni_dev *dev);

#endif /* ONI_INTERNAL_H */
