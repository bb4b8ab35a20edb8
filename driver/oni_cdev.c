// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/oniN: open, ioctl, read, write, poll, ownership.
 *
 * All ioctls of the driver go through one dispatcher, so that size, flags,
 * access and removal mean the same everywhere. The handlers get a kernel copy
 * of the argument and run inside the gate to the hardware.
 */
#include <linux/fs.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "oni_internal.h"

/* Larger than every argument structure. */
#define ARG_MAX_BYTES	256

/* Longest buffer of write frames in one write(2). */
#define WRITE_MAX	(64 * 1024)

/* A reader that knows nothing of streams sees its data this soon. */
#define IMPLICIT_LATENCY_US	10000

/* Errors that come with results in the argument. */
static bool has_results(int ret)
{
	return !ret || ret == -EMSGSIZE || ret == -ERANGE || ret == -ENOLINK ||
	       ret == -EMEDIUMTYPE;
}

static int run_ioctl(const struct oni_ioctl *ioc, struct oni_ioctl_ctx *ctx,
		     void *arg)
{
	int ret;

	if (ioc->write && !(ctx->file->f_mode & FMODE_WRITE))
		return -EPERM;
	ctx->link = oni_dev_enter(ctx->dev, &ctx->gate);
	ret = ctx->link ? ioc->fn(ctx, arg) : -ENODEV;
	oni_dev_exit(ctx->dev, ctx->gate);
	return ret;
}

long oni_ioctl_dispatch(const struct oni_ioctl *table, unsigned int n,
			struct oni_ioctl_ctx *ctx, unsigned int cmd,
			unsigned long uarg)
{
	u64 arg[ARG_MAX_BYTES / sizeof(u64)];
	void __user *uptr = (void __user *)uarg;
	const struct oni_ioctl *ioc = NULL;
	unsigned int i;
	u32 size;
	int ret;

	for (i = 0; i < n; i++)
		if (table[i].cmd == cmd)
			ioc = &table[i];
	if (!ioc)
		return -ENOTTY;

	if (get_user(size, (u32 __user *)uptr))
		return -EFAULT;
	if (size < ioc->size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(arg, ioc->size, uptr, size);
	if (ret)
		return ret;
	*(u32 *)arg = size;	/* not what a second look would have found */
	ctx->uarg = uptr;
	ctx->bytes = ioc->size;

	ret = run_ioctl(ioc, ctx, arg);
	if (((has_results(ret) && !ctx->answered) || ctx->results) &&
	    copy_to_user(uptr, arg, ioc->size))
		ret = -EFAULT;
	if (ctx->install && !ret) {
		fd_install(ctx->fd, ctx->install);
	} else if (ctx->install) {
		put_unused_fd(ctx->fd);
		fput(ctx->install);
	}
	return ret;
}

static void gate_leave(struct oni_ioctl_ctx *ctx)
{
	oni_dev_exit(ctx->dev, ctx->gate);
	ctx->link = NULL;
}

static int gate_enter(struct oni_ioctl_ctx *ctx)
{
	ctx->link = oni_dev_enter(ctx->dev, &ctx->gate);
	return ctx->link ? 0 : -ENODEV;
}

/**
 * oni_ioctl_copy_in - copy what the argument of a call points to
 * @ctx: of the call, no lock held
 * @to: where to
 * @from: where from
 * @n: bytes
 *
 * A fault may be served by user space, which may take as long as it wants. Who removes
 * the hardware waits for everybody inside the gate, so this is outside: afterwards
 * ctx->link is another one, and on error NULL.
 *
 * Return: 0, -EFAULT, or -ENODEV: the hardware has gone meanwhile.
 */
int oni_ioctl_copy_in(struct oni_ioctl_ctx *ctx, void *to,
		      const void __user *from, size_t n)
{
	unsigned long left;
	int ret;

	gate_leave(ctx);
	left = copy_from_user(to, from, n);
	ret = gate_enter(ctx);
	return left ? -EFAULT : ret;
}

/**
 * oni_ioctl_copy_out - the same in the other direction
 * @ctx: of the call, no lock held
 * @to: where to
 * @from: where from
 * @n: bytes
 *
 * Return: as oni_ioctl_copy_in(); -ENODEV: the copy was made.
 */
int oni_ioctl_copy_out(struct oni_ioctl_ctx *ctx, void __user *to,
		       const void *from, size_t n)
{
	unsigned long left;
	int ret;

	gate_leave(ctx);
	left = copy_to_user(to, from, n);
	ret = gate_enter(ctx);
	return left ? -EFAULT : ret;
}

/**
 * oni_ioctl_answer - say that a call was done, before it is
 * @ctx: of the call, no lock held
 * @arg: its argument as it will be after success
 *
 * For what must not have been done if its caller gets an error. A copy may take as long
 * as user space wants, so that it can be neither under a lock nor taken back.
 *
 * Return: 0: success writes nothing more; or as oni_ioctl_copy_out().
 */
int oni_ioctl_answer(struct oni_ioctl_ctx *ctx, const void *arg)
{
	int ret = oni_ioctl_copy_out(ctx, ctx->uarg, arg, ctx->bytes);

	ctx->answered = !ret;
	return ret;
}

/* --- ownership ----------------------------------------------------------- */

static bool is_owner(const struct oni_ioctl_ctx *ctx)
{
	return READ_ONCE(ctx->dev->owner) == ctx->file->private_data;
}

/* A write that is under way ends first, and none begins under the old owner. */
static void owner_set(struct oni_dev *dev, struct oni_file *f, pid_t tgid)
{
	lockdep_assert_held(&dev->lock);
	mutex_lock(&dev->tx_lock);
	WRITE_ONCE(dev->owner, f);
	dev->owner_tgid = tgid;
	mutex_unlock(&dev->tx_lock);
}

/*
 * A new owner finds the outputs of the board at 0. They are unless the last try
 * has failed; whether this one does is seen in stim_safe, for an owner is what
 * can reset a link that has failed. Caller holds dev->lock.
 */
static void owner_begin(struct oni_dev *dev, struct oni_link *link,
			struct oni_file *f)
{
	if (oni_outputs_off_locked(dev, link))
		WRITE_ONCE(dev->stim_safe, false);
	owner_set(dev, f, current->tgid);
}

/* Whatever the owner left running ends with it. Caller holds dev->lock. */
static void owner_end(struct oni_dev *dev)
{
	struct oni_link *link;
	int idx;

	owner_set(dev, NULL, 0);
	link = oni_dev_enter(dev, &idx);
	if (link) {
		oni_stop_locked(dev, link);
		oni_stim_safe_locked(dev, link);
	}
	oni_dev_exit(dev, idx);
}

/* --- ioctl handlers ------------------------------------------------------ */

/* What the devices that are there can do. */
static u64 caps_of(const struct oni_dev *dev)
{
	u64 caps = ONI_CAP_MONITOR | ONI_CAP_REG_BATCH;
	u32 i;

	lockdep_assert_held(&dev->table_lock);
	for (i = 0; i < dev->rows; i++) {
		const struct oni_device *row = &dev->table[i];

		if (row->id == ONI_ID_PORT)
			caps |= ONI_CAP_PORT_POWER;
		if (row->write_size &&
		    oni_guard_frame_rule(row->id, row->write_size))
			caps |= ONI_CAP_WRITE_FRAMES;
	}
	return caps;
}

static int ioc_info(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_dev *dev = ctx->dev;
	const struct oni_link_ops *ops = ctx->link->ops;
	struct oni_info *in = arg;
	u32 flags = 0;

	if (memchr_inv(in->reserved, 0, sizeof(in->reserved)))
		return -EINVAL;
	if (READ_ONCE(dev->owner))
		flags |= ONI_INFO_OWNED;
	if (is_owner(ctx))
		flags |= ONI_INFO_OWNER;
	if (READ_ONCE(dev->stream))
		flags |= ONI_INFO_STREAM;
	if (READ_ONCE(dev->stim_safe))
		flags |= ONI_INFO_STIM_SAFE;

	mutex_lock(&dev->table_lock);
	*in = (struct oni_info){
		.size = in->size,
		.abi_version = ONI_ABI_VERSION,
		.caps = caps_of(dev),
		.flags = flags,
		.state = oni_dev_state(dev),
		.transport = ops->transport,
		.generation = dev->generation,
		.hardware_id = dev->hardware_id,
		.hardware_revision = dev->hardware_revision,
		.firmware_version = dev->firmware_version,
		.rows = dev->rows,
		.sys_clock_hz = dev->sys_clock_hz,
		.acq_clock_hz = dev->acq_clock_hz,
		.max_read_frame = dev->max_read_frame,
		.max_write_frame = dev->max_write_frame,
		.block_align = ops->block_align,
		.block_max = ops->block_max,
		.ring_default = oni_fw_ring_default(&dev->fw),
		.ring_max = ONI_RING_MAX,
	};
	mutex_unlock(&dev->table_lock);
	strscpy(in->transport_name, ops->name, sizeof(in->transport_name));
	strscpy(in->bus_name, dev_name(dev->dev.parent), sizeof(in->bus_name));
	return 0;
}

/* Rows of user space may be longer than ours. Neither a lock is held nor the gate. */
static int table_copy(const struct oni_device_table *dt,
		      const struct oni_device *table)
{
	u8 __user *out = u64_to_user_ptr(dt->rows);
	u32 i, row = sizeof(*table);

	for (i = 0; i < dt->count; i++, out += dt->row_size) {
		if (copy_to_user(out, &table[i], row) ||
		    clear_user(out + row, dt->row_size - row))
			return -EFAULT;
	}
	return 0;
}

/* What the table is now, as far as there is room for it. */
static int table_take(struct oni_dev *dev, struct oni_device_table *dt,
		      struct oni_device *table)
{
	u32 room = dt->count;

	mutex_lock(&dev->table_lock);
	dt->count = dev->rows;
	dt->generation = dev->generation;
	if (room >= dev->rows)
		memcpy(table, dev->table, dev->rows * sizeof(*table));
	mutex_unlock(&dev->table_lock);
	return room < dt->count ? -EMSGSIZE : 0;
}

static int ioc_table(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_device_table *dt = arg;
	struct oni_device *table;
	int ret;

	if (dt->flags || dt->reserved ||
	    dt->row_size < sizeof(struct oni_device) ||
	    dt->row_size > ARG_MAX_BYTES)
		return -EINVAL;

	/* One row more, so that asking for the number of rows asks for memory. */
	table = kvmalloc_array(min_t(u32, dt->count, ONI_MAX_ROWS) + 1,
			       sizeof(*table), GFP_KERNEL_ACCOUNT);
	if (!table)
		return -ENOMEM;
	ret = table_take(ctx->dev, dt, table);
	if (!ret) {
		gate_leave(ctx);
		ret = table_copy(dt, table);
		/* The answer is complete, whatever has become of the hardware. */
		gate_enter(ctx);
	}
	kvfree(table);
	return ret;
}

static int ioc_claim(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_simple *s = arg;
	struct oni_dev *dev = ctx->dev;
	int ret = 0;

	if (s->flags)
		return -EINVAL;
	if (mutex_lock_interruptible(&dev->lock))
		return -EINTR;
	if (dev->owner && !is_owner(ctx))
		ret = -EBUSY;
	else if (dev->owner)
		owner_set(dev, dev->owner, current->tgid);
	else
		owner_begin(dev, ctx->link, ctx->file->private_data);
	mutex_unlock(&dev->lock);
	return ret;
}

/*
 * The frame of every call that changes something: flags checked, lock held,
 * ownership checked.
 */
static int owned(struct oni_ioctl_ctx *ctx, u32 must_be_zero, void *arg,
		 int (*fn)(struct oni_ioctl_ctx *ctx, void *arg))
{
	int ret;

	if (must_be_zero)
		return -EINVAL;
	if (mutex_lock_interruptible(&ctx->dev->lock))
		return -EINTR;
	ret = is_owner(ctx) ? fn(ctx, arg) : -EPERM;
	mutex_unlock(&ctx->dev->lock);
	return ret;
}

static int do_release(struct oni_ioctl_ctx *ctx, void *arg)
{
	owner_end(ctx->dev);
	return 0;
}

static int do_reset(struct oni_ioctl_ctx *ctx, void *arg)
{
	if (ctx->dev->running)
		return -EBUSY;
	return oni_reset_locked(ctx->dev, ctx->link);
}

static int do_start(struct oni_ioctl_ctx *ctx, void *arg)
{
	return oni_start_locked(ctx->dev, ctx->link);
}

static int do_stop(struct oni_ioctl_ctx *ctx, void *arg)
{
	oni_stop_locked(ctx->dev, ctx->link);
	return 0;
}

static int do_reg_write(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_reg *r = arg;

	return oni_reg_write(ctx->dev, ctx->link, r->dev_addr, r->reg_addr,
			     r->value);
}

static int do_port_power(struct oni_ioctl_ctx *ctx, void *arg)
{
	if (ctx->dev->running)
		return -EBUSY;
	return oni_port_power_locked(ctx->dev, ctx->link, arg);
}

/* The descriptor of a new file is reserved first: nothing fails after it. */
static int reserve_fd(struct oni_ioctl_ctx *ctx)
{
	ctx->fd = get_unused_fd_flags(O_CLOEXEC);
	return ctx->fd < 0 ? ctx->fd : 0;
}

static int give_fd(struct oni_ioctl_ctx *ctx, struct file *file, s32 *fd)
{
	if (IS_ERR(file)) {
		put_unused_fd(ctx->fd);
		return PTR_ERR(file);
	}
	*fd = ctx->fd;
	ctx->install = file;
	return 0;
}

static int do_stream_create(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_stream_create *sc = arg;
	int ret = reserve_fd(ctx);

	return ret ?: give_fd(ctx, oni_stream_create(ctx->dev, ctx->link, sc),
			      &sc->fd);
}

static int ioc_monitor_create(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_monitor_create *mc = arg;
	int ret;

	if (mc->flags | mc->reserved[0] | mc->reserved[1] | mc->reserved[2])
		return -EINVAL;
	if (mutex_lock_interruptible(&ctx->dev->lock))
		return -EINTR;
	ret = reserve_fd(ctx);
	if (!ret)
		ret = give_fd(ctx, oni_monitor_open(ctx->dev, mc), &mc->fd);
	mutex_unlock(&ctx->dev->lock);
	return ret;
}

static int ioc_stim_events(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_stim_events *se = arg;
	int ret;

	if (se->flags & ~ONI_STIM_EVENTS_AUDIT ||
	    memchr_inv(se->reserved, 0, sizeof(se->reserved)))
		return -EINVAL;
	if (!ctx->link->ops->stim)
		return -EOPNOTSUPP;
	ret = reserve_fd(ctx);
	return ret ?: give_fd(ctx, oni_stim_events_open(ctx->dev, se), &se->fd);
}

/* A batch that is being executed: its argument and the kernel copy of @ops. */
struct batch {
	struct oni_reg_batch *arg;
	struct oni_reg_op *ops;
};

static int do_reg_batch(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct batch *b = arg;

	return oni_reg_batch(ctx->dev, ctx->link, b->ops, b->arg->count,
			     is_owner(ctx), &b->arg->done);
}

static int run_batch(struct oni_ioctl_ctx *ctx, struct batch *b)
{
	struct oni_reg_batch *arg = b->arg;
	struct oni_reg_op __user *uops = u64_to_user_ptr(arg->ops);
	size_t bytes = arg->count * sizeof(*uops);
	bool write = false;
	u32 i;
	int ret;

	ret = oni_ioctl_copy_in(ctx, b->ops, uops, bytes);
	if (ret)
		return ret;
	for (i = 0; i < arg->count; i++) {
		if (b->ops[i].flags & ~ONI_REG_OP_WRITE || b->ops[i].reserved)
			return -EINVAL;
		write |= b->ops[i].flags & ONI_REG_OP_WRITE;
	}
	if (write && !(ctx->file->f_mode & FMODE_WRITE))
		return -EPERM;

	arg->done = 0;
	ret = write ? owned(ctx, 0, b, do_reg_batch) : do_reg_batch(ctx, b);
	/* The copy of what was executed goes back, whatever became of it. */
	ctx->results = true;
	if (oni_ioctl_copy_out(ctx, uops, b->ops,
			       arg->done * sizeof(*uops)) == -EFAULT)
		return -EFAULT;
	return ret;
}

static int ioc_reg_batch(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct batch b = { .arg = arg };
	int ret;

	if (b.arg->flags || b.arg->reserved || !b.arg->count ||
	    b.arg->count > ONI_REG_BATCH_MAX ||
	    b.arg->op_size != sizeof(*b.ops))
		return -EINVAL;
	b.ops = kvmalloc_array(b.arg->count, sizeof(*b.ops), GFP_KERNEL_ACCOUNT);
	if (!b.ops)
		return -ENOMEM;
	ret = run_batch(ctx, &b);
	kvfree(b.ops);
	return ret;
}

static int ioc_release(struct oni_ioctl_ctx *ctx, void *arg)
{
	return owned(ctx, ((struct oni_simple *)arg)->flags, arg, do_release);
}

static int ioc_reset(struct oni_ioctl_ctx *ctx, void *arg)
{
	return owned(ctx, ((struct oni_simple *)arg)->flags, arg, do_reset);
}

static int ioc_start(struct oni_ioctl_ctx *ctx, void *arg)
{
	return owned(ctx, ((struct oni_simple *)arg)->flags, arg, do_start);
}

static int ioc_stop(struct oni_ioctl_ctx *ctx, void *arg)
{
	return owned(ctx, ((struct oni_simple *)arg)->flags, arg, do_stop);
}

static int ioc_reg_read(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_reg *r = arg;

	if (r->flags || r->reserved)
		return -EINVAL;
	return oni_reg_read(ctx->dev, ctx->link, r->dev_addr, r->reg_addr,
			    &r->value);
}

static int ioc_reg_write(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_reg *r = arg;

	return owned(ctx, r->flags | r->reserved, arg, do_reg_write);
}

static int ioc_ctl_read(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_ctl *c = arg;

	if (c->flags)
		return -EINVAL;
	switch (c->reg) {
	case ONI_CTL_RUNNING:
	case ONI_CTL_SYSCLKHZ:
	case ONI_CTL_ACQCLKHZ:
	case ONI_CTL_HWADDRESS:
	case ONI_CTL_CUSTOM:
		return oni_ctl_read(ctx->dev, ctx->link, c->reg, &c->value);
	default:
		return -ENOENT;
	}
}

static int do_ctl_write(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_ctl *c = arg;

	switch (c->reg) {
	case ONI_CTL_HWADDRESS:
	case ONI_CTL_CUSTOM:
		break;
	case ONI_CTL_RUNNING:
	case ONI_CTL_SYSCLKHZ:
	case ONI_CTL_ACQCLKHZ:
		return -EPERM;
	default:
		return -ENOENT;
	}
	if (ctx->dev->running)
		return -EBUSY;
	return oni_ctl_write(ctx->dev, ctx->link, c->reg, c->value);
}

static int ioc_ctl_write(struct oni_ioctl_ctx *ctx, void *arg)
{
	return owned(ctx, ((struct oni_ctl *)arg)->flags, arg, do_ctl_write);
}

static int ioc_port_power(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_port_power *pp = arg;

	return owned(ctx, pp->flags | pp->reserved[0] | pp->reserved[1], arg,
		     do_port_power);
}

static int ioc_stream_create(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_stream_create *sc = arg;

	return owned(ctx, sc->flags | sc->reserved[0] | sc->reserved[1] |
		     sc->reserved[2] | sc->reserved[3], arg, do_stream_create);
}

/**
 * oni_stats_fill - all counters of a controller
 * @dev: the controller
 * @link: its link, for the counters of the transport
 * @stats: out; @size is kept
 */
void oni_stats_fill(struct oni_dev *dev, struct oni_link *link,
		    struct oni_stats *stats)
{
	struct oni_counters *c = &dev->cnt;

	*stats = (struct oni_stats){
		.size = stats->size,
		.blocks = atomic64_read(&c->blocks),
		.bytes = atomic64_read(&c->bytes),
		.short_blocks = atomic64_read(&c->short_blocks),
		.ring_full = atomic64_read(&c->ring_full),
		.ring_full_ns = atomic64_read(&c->ring_full_ns),
		.wakeups = atomic64_read(&c->wakeups),
		.reg_reads = atomic64_read(&c->reg_reads),
		.reg_writes = atomic64_read(&c->reg_writes),
		.reg_nacks = atomic64_read(&c->reg_nacks),
		.reg_timeouts = atomic64_read(&c->reg_timeouts),
		.signals = atomic64_read(&c->signals),
		.bad_signals = atomic64_read(&c->bad_signals),
		.write_frames = atomic64_read(&c->write_frames),
		.resets = atomic64_read(&c->resets),
		.link_errors = atomic64_read(&c->link_errors),
		.guarded = atomic64_read(&c->guarded),
		.stim_safe_failures = atomic64_read(&c->stim_safe_failures),
	};
	if (dev->stream)
		oni_stream_count(dev, dev->stream->ring, stats);
	link->ops->stats(link, stats);
}

static int ioc_stats(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_stats *stats = arg;

	if (stats->flags || memchr_inv(stats->reserved, 0, sizeof(stats->reserved)))
		return -EINVAL;
	if (mutex_lock_interruptible(&ctx->dev->lock))
		return -EINTR;
	oni_stats_fill(ctx->dev, ctx->link, stats);
	mutex_unlock(&ctx->dev->lock);
	return 0;
}

static const struct oni_ioctl ioctls[] = {
	{ ONI_IOC_INFO, sizeof(struct oni_info), false, ioc_info },
	{ ONI_IOC_DEVICE_TABLE, sizeof(struct oni_device_table), false, ioc_table },
	{ ONI_IOC_CLAIM, sizeof(struct oni_simple), true, ioc_claim },
	{ ONI_IOC_RELEASE, sizeof(struct oni_simple), true, ioc_release },
	{ ONI_IOC_RESET, sizeof(struct oni_simple), true, ioc_reset },
	{ ONI_IOC_REG_READ, sizeof(struct oni_reg), false, ioc_reg_read },
	{ ONI_IOC_REG_WRITE, sizeof(struct oni_reg), true, ioc_reg_write },
	{ ONI_IOC_CTL_READ, sizeof(struct oni_ctl), false, ioc_ctl_read },
	{ ONI_IOC_CTL_WRITE, sizeof(struct oni_ctl), true, ioc_ctl_write },
	{ ONI_IOC_PORT_POWER, sizeof(struct oni_port_power), true, ioc_port_power },
	{ ONI_IOC_START, sizeof(struct oni_simple), true, ioc_start },
	{ ONI_IOC_STOP, sizeof(struct oni_simple), true, ioc_stop },
	{ ONI_IOC_STREAM_CREATE, sizeof(struct oni_stream_create), true,
	  ioc_stream_create },
	{ ONI_IOC_STATS, sizeof(struct oni_stats), false, ioc_stats },
	{ ONI_IOC_MONITOR_CREATE, sizeof(struct oni_monitor_create), false,
	  ioc_monitor_create },
	{ ONI_IOC_REG_BATCH, sizeof(struct oni_reg_batch), false, ioc_reg_batch },
	{ ONI_IOC_STIM_EVENTS, sizeof(struct oni_stim_events), false,
	  ioc_stim_events },
};

static long oni_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct oni_file *f = file->private_data;
	struct oni_ioctl_ctx ctx = { .file = file, .dev = f->dev };

	BUILD_BUG_ON(sizeof(struct oni_info) > ARG_MAX_BYTES);
	BUILD_BUG_ON(sizeof(struct oni_stats) > ARG_MAX_BYTES);
	BUILD_BUG_ON(sizeof(struct oni_stim_status) > ARG_MAX_BYTES);
	return oni_ioctl_dispatch(ioctls, ARRAY_SIZE(ioctls), &ctx, cmd, arg);
}

/* --- the implicit stream ------------------------------------------------- */

/* Caller holds dev->lock and is inside the gate. */
static int implicit_begin(struct oni_dev *dev, struct oni_link *link,
			  struct oni_file *f)
{
	struct oni_stream_create sc = {
		.size = sizeof(sc),
		.latency_us = IMPLICIT_LATENCY_US,
	};
	struct file *file;
	int ret = 0;

	if (dev->stream || (dev->owner && dev->owner != f))
		return -EBUSY;
	f->implicit_claim = !dev->owner;
	if (f->implicit_claim)
		owner_begin(dev, link, f);

	file = oni_stream_create(dev, link, &sc);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto err;
	}
	ret = oni_start_locked(dev, link);
	if (ret) {
		fput(file);
		goto err;
	}
	/* The stream is complete for whoever sees it without the lock. */
	smp_store_release(&f->implicit, file);
	return 0;

err:
	if (f->implicit_claim)
		owner_end(dev);
	f->implicit_claim = false;
	return ret;
}

static int implicit_get(struct oni_file *f)
{
	struct oni_dev *dev = f->dev;
	struct oni_link *link;
	int idx, ret = 0;

	/* Pairs with the release in implicit_begin(). */
	if (smp_load_acquire(&f->implicit))
		return 0;
	if (mutex_lock_interruptible(&dev->lock))
		return -ERESTARTSYS;
	link = oni_dev_enter(dev, &idx);
	if (!link)
		ret = -ENODEV;
	else if (!f->implicit)
		ret = implicit_begin(dev, link, f);
	oni_dev_exit(dev, idx);
	mutex_unlock(&dev->lock);
	return ret;
}

static ssize_t oni_read(struct file *file, char __user *buf, size_t len,
			loff_t *ppos)
{
	struct oni_file *f = file->private_data;
	int ret;

	if (!len)
		return 0;
	ret = implicit_get(f);
	if (ret)
		return ret;
	return oni_stream_do_read(f->implicit->private_data, file, buf, len);
}

static int tx_lock(struct oni_dev *dev, const struct kiocb *iocb)
{
	if (iocb->ki_filp->f_flags & O_NONBLOCK ||
	    iocb->ki_flags & IOCB_NOWAIT)
		return mutex_trylock(&dev->tx_lock) ? 0 : -EAGAIN;
	return mutex_lock_interruptible(&dev->tx_lock) ? -ERESTARTSYS : 0;
}

/* Send what is in @frames; apart from dev->lock, which may be held for long. */
static int tx_frames(struct oni_file *f, const struct kiocb *iocb,
		     const u32 *frames, size_t words)
{
	struct oni_dev *dev = f->dev;
	struct oni_link *link;
	int idx, ret;

	ret = tx_lock(dev, iocb);
	if (ret)
		return ret;
	link = oni_dev_enter(dev, &idx);
	if (!link)
		ret = -ENODEV;
	else if (dev->owner != f)
		ret = -EPERM;
	else
		ret = oni_write_frames(dev, link, frames, words);
	oni_dev_exit(dev, idx);
	mutex_unlock(&dev->tx_lock);
	return ret;
}

/* One buffer whatever the number of pieces, so that writev(2) sends whole frames. */
static ssize_t oni_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	size_t len = iov_iter_count(from);
	u32 *frames;
	int ret;

	if (!len)
		return 0;
	if (len % 4 || len > WRITE_MAX)
		return -EINVAL;
	frames = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	if (!frames)
		return -ENOMEM;
	if (copy_from_iter_full(frames, len, from))
		ret = tx_frames(iocb->ki_filp->private_data, iocb, frames,
				len / 4);
	else
		ret = -EFAULT;
	kvfree(frames);
	return ret < 0 ? ret : len;
}

static __poll_t oni_poll(struct file *file, struct poll_table_struct *wait)
{
	struct oni_file *f = file->private_data;
	struct file *implicit;

	poll_wait(file, &f->dev->wait, wait);
	/* Pairs with the release in implicit_begin(). */
	implicit = smp_load_acquire(&f->implicit);
	if (implicit)
		return oni_stream_do_poll(implicit->private_data, file, wait);
	if (oni_dev_gone(f->dev))
		return EPOLLHUP | EPOLLERR | EPOLLIN | EPOLLRDNORM;
	return EPOLLIN | EPOLLRDNORM;
}

/* --- open and close ------------------------------------------------------ */

static int oni_open(struct inode *inode, struct file *file)
{
	struct oni_dev *dev = container_of(inode->i_cdev, struct oni_dev, cdev);
	struct oni_file *f;

	if (oni_dev_gone(dev))
		return -ENODEV;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	/* The cdev holds its parent device until the last file is closed. */
	f->dev = dev;
	file->private_data = f;
	return stream_open(inode, file);
}

/*
 * Called at every close(2) of every copy of the file. When the owning process
 * closes its copy, or dies, ownership ends, even if a child or somebody who
 * was sent the descriptor still holds one.
 */
static int oni_flush(struct file *file, fl_owner_t id)
{
	struct oni_file *f = file->private_data;
	struct oni_dev *dev = f->dev;

	if (READ_ONCE(dev->owner) != f)
		return 0;
	mutex_lock(&dev->lock);
	if (dev->owner == f && dev->owner_tgid == current->tgid)
		owner_end(dev);
	mutex_unlock(&dev->lock);
	return 0;
}

static int oni_release(struct inode *inode, struct file *file)
{
	struct oni_file *f = file->private_data;
	struct oni_dev *dev = f->dev;

	mutex_lock(&dev->lock);
	if (dev->owner == f)
		owner_end(dev);
	mutex_unlock(&dev->lock);
	if (f->implicit)
		fput(f->implicit);
	kfree(f);
	return 0;
}

const struct file_operations oni_fops = {
	.owner = THIS_MODULE,
	.open = oni_open,
	.flush = oni_flush,
	.release = oni_release,
	.read = oni_read,
	.write_iter = oni_write_iter,
	.poll = oni_poll,
	.unlocked_ioctl = oni_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
