// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stream and monitor file descriptors: creation, mmap, read, poll.
 *
 * Both are a struct oni_stream that holds a reference on the controller object
 * and one on the ring; the difference is its reader. The stream ends in
 * release, that is when the last fd is gone, and its monitors stay behind with
 * the ring. Mappings do not hold the stream but a file of their own that holds
 * the ring, so that memory which is still mapped somewhere does not keep the
 * hardware running.
 * read and mmap use ring memory only and need no gate. read_lock makes the copies
 * of several read(2) follow each other; nothing else is held inside it but what a
 * page fault takes, and ring->lock for a moment.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "oni_compat.h"
#include "oni_internal.h"
#include "oni_ring_math.h"

/* mmap offsets: 4 GiB apart, so that no area can grow into the next. */
#define OFF_PRODUCER	0ULL
#define OFF_CONSUMER	0x100000000ULL
#define OFF_DATA	0x200000000ULL
#define OFF_DESC	0x400000000ULL

static u64 desc_bytes(const struct oni_ring *ring)
{
	return PAGE_ALIGN(ONI_DESC_COUNT * sizeof(*ring->desc));
}

/* --- reading ------------------------------------------------------------- */

/*
 * An ended stream: 0 for a regular end, else the error. The flag of a loss that
 * an access found comes from a work, after the loss is known.
 */
static int end_code(const struct oni_stream *stream)
{
	const struct oni_ring *ring = stream->ring;
	u32 flags = READ_ONCE(ring->prod->flags);

	if (flags & ONI_RING_GONE || oni_dev_gone(stream->dev))
		return -ENODEV;
	if (flags & ONI_RING_ERROR)
		return -(int)READ_ONCE(ring->prod->error);
	return 0;
}

/* Nothing will come until the next start. */
static bool idle(const struct oni_ring *ring)
{
	return !(READ_ONCE(ring->prod->flags) & ONI_RING_RUNNING);
}

static ssize_t copy_out(struct oni_ring *ring, u64 pos, char __user *buf,
			size_t len)
{
	size_t done = 0;

	while (done < len) {
		u64 off = oni_ring_offset(pos + done, ring->size);
		struct page *page = oni_ring_page(ring, off);
		size_t in = offset_in_page(off);
		size_t n = min_t(size_t, len - done, PAGE_SIZE - in);

		if (copy_to_user(buf + done, page_address(page) + in, n))
			return done ?: -EFAULT;
		done += n;
	}
	return done;
}

/* The reader may have made room or may be about to sleep: look again. */
static void kick(struct oni_stream *stream)
{
	int idx;

	/* Getting full just now? Then the ring's own timer looks soon. */
	if (!READ_ONCE(stream->ring->full))
		return;
	if (oni_dev_enter(stream->dev, &idx))
		oni_ring_reader_kick(stream->reader);
	oni_dev_exit(stream->dev, idx);
}

/* Copy from the tail on and release it. -EAGAIN: a START came between. */
static ssize_t copy_take(struct oni_stream *stream, char __user *buf,
			 size_t len)
{
	struct oni_reader *rd = stream->reader;
	struct oni_ring_spot spot;
	ssize_t n;
	int ret;

	ret = oni_ring_tail(rd, &spot);
	if (ret)
		return ret;
	if (!spot.avail)
		return -EAGAIN;
	n = copy_out(stream->ring, spot.tail, buf, min_t(u64, spot.avail, len));
	if (n <= 0)
		return n;
	ret = oni_ring_take(rd, &spot, n);
	/* Lapped while copying: nothing of it counts. */
	if (ret == -EOVERFLOW)
		oni_ring_tail(rd, &spot);
	return ret ?: n;
}

/* One at a time: two with the same tail would take it back by turns. */
static ssize_t take(struct oni_stream *stream, char __user *buf, size_t len)
{
	ssize_t n;

	if (mutex_lock_interruptible(&stream->read_lock))
		return -ERESTARTSYS;
	n = copy_take(stream, buf, len);
	mutex_unlock(&stream->read_lock);
	if (n > 0)
		kick(stream);
	return n;
}

/* 0: there are @avail bytes, or the stream is at its end. */
static int wait_readable(struct oni_stream *stream, bool nonblock, u64 *avail)
{
	struct oni_ring *ring = stream->ring;
	struct oni_reader *rd = stream->reader;
	int ret;

	if (oni_ring_readable(rd, nonblock, avail) || idle(ring))
		return 0;
	if (nonblock)
		return -EAGAIN;
	ret = wait_event_interruptible(rd->wait,
				       oni_ring_readable(rd, false, avail) ||
				       idle(ring));
	if (ret)
		return ret;
	oni_ring_readable(rd, true, avail);
	return 0;
}

ssize_t oni_stream_do_read(struct oni_stream *stream, struct file *file,
			   char __user *buf, size_t len)
{
	struct oni_reader *rd = stream->reader;
	u64 avail;
	ssize_t n;
	int ret;

	if (!len)
		return 0;
	do {
		kick(stream);
		ret = wait_readable(stream, file->f_flags & O_NONBLOCK, &avail);
		if (ret)
			return ret;
		/* The tail cannot be believed any more. */
		if (!rd->monitor &&
		    READ_ONCE(stream->ring->prod->error) == EPROTO)
			return -EPROTO;
		if (!avail)
			return oni_ring_tail_bad(rd) ? -EPROTO :
						       end_code(stream);
		n = take(stream, buf, min_t(size_t, len, MAX_RW_COUNT));
	} while (n == -EAGAIN);
	return n;
}

__poll_t oni_stream_do_poll(struct oni_stream *stream, struct file *file,
			    struct poll_table_struct *wait)
{
	struct oni_ring *ring = stream->ring;
	__poll_t mask = 0;
	u64 avail;

	poll_wait(file, &stream->reader->wait, wait);
	kick(stream);
	if (oni_ring_readable(stream->reader, false, &avail))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(ring->prod->error))
		mask |= EPOLLERR;
	if (READ_ONCE(ring->prod->flags) & ONI_RING_CLOSED)
		mask |= EPOLLHUP;
	/* An orderly removal ends the ring before it closes the gate. */
	if (oni_dev_gone(stream->dev) ||
	    READ_ONCE(ring->prod->flags) & ONI_RING_GONE)
		mask |= EPOLLHUP | EPOLLERR | EPOLLIN | EPOLLRDNORM;
	return mask;
}

static ssize_t stream_read(struct file *file, char __user *buf, size_t len,
			   loff_t *ppos)
{
	return oni_stream_do_read(file->private_data, file, buf, len);
}

static __poll_t stream_poll(struct file *file, struct poll_table_struct *wait)
{
	return oni_stream_do_poll(file->private_data, file, wait);
}

/* --- mmap ---------------------------------------------------------------- */

static int map_pages(struct vm_area_struct *vma, unsigned long addr,
		     struct page *first, unsigned long n)
{
	unsigned long i;
	int ret;

	for (i = 0; i < n; i++) {
		ret = vm_insert_page(vma, addr + i * PAGE_SIZE, first + i);
		if (ret)
			return ret;
	}
	return 0;
}

static int map_desc(struct vm_area_struct *vma, struct oni_ring *ring,
		    unsigned long len)
{
	unsigned long off;
	int ret;

	for (off = 0; off < len; off += PAGE_SIZE) {
		ret = map_pages(vma, vma->vm_start + off,
				vmalloc_to_page((void *)ring->desc + off), 1);
		if (ret)
			return ret;
	}
	return 0;
}

static int map_data(struct vm_area_struct *vma, struct oni_ring *ring,
		    unsigned long len)
{
	unsigned long chunk = oni_ring_chunk_bytes(ring), off;
	int ret;

	for (off = 0; off < len; off += chunk) {
		ret = map_pages(vma, vma->vm_start + off,
				ring->chunk[(off / chunk) % ring->chunks],
				chunk >> PAGE_SHIFT);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * Uses only what is constant after creation, so it needs no lock. The pages
 * are counted: a mapping keeps them alive without anybody's help.
 */
static int stream_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct oni_stream *stream = file->private_data;
	struct oni_ring *ring = stream->ring;
	unsigned long len = vma->vm_end - vma->vm_start;
	u64 off = (u64)vma->vm_pgoff << PAGE_SHIFT;
	bool consumer = off == OFF_CONSUMER;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	switch (off) {
	case OFF_PRODUCER:
	case OFF_CONSUMER:
		if (len != PAGE_SIZE)
			return -EINVAL;
		break;
	case OFF_DATA:
		if (len != ring->size && len != 2 * ring->size)
			return -EINVAL;
		break;
	case OFF_DESC:
		if (len != desc_bytes(ring))
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (!consumer && (vma->vm_flags & VM_WRITE))
		return -EPERM;
	vma_set_file(vma, stream->map_file);
	oni_vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP,
			 consumer ? 0 : VM_MAYWRITE);

	switch (off) {
	case OFF_PRODUCER:
		return map_pages(vma, vma->vm_start, virt_to_page(ring->prod), 1);
	case OFF_CONSUMER:
		return map_pages(vma, vma->vm_start,
				 virt_to_page(stream->reader->cons), 1);
	case OFF_DESC:
		return map_desc(vma, ring, len);
	default:
		return map_data(vma, ring, len);
	}
}

static int map_release(struct inode *inode, struct file *file)
{
	oni_ring_put(file->private_data);
	return 0;
}

/* What a mapping holds: the ring, and this module's code to free it. */
static const struct file_operations map_fops = {
	.owner = THIS_MODULE,
	.release = map_release,
};

static struct file *map_file_create(struct oni_ring *ring)
{
	struct file *file;

	oni_ring_get(ring);
	file = anon_inode_getfile("[oni-ring]", &map_fops, ring, O_RDWR);
	if (IS_ERR(file))
		oni_ring_put(ring);
	return file;
}

/* --- ioctls -------------------------------------------------------------- */

static int stream_info(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_stream *stream = ctx->file->private_data;
	struct oni_ring *ring = stream->ring;
	struct oni_stream_info *si = arg;

	if (si->flags || si->reserved[0] || si->reserved[1])
		return -EINVAL;
	*si = (struct oni_stream_info){
		.size = si->size,
		.producer_offset = OFF_PRODUCER,
		.producer_bytes = PAGE_SIZE,
		.consumer_offset = OFF_CONSUMER,
		.consumer_bytes = PAGE_SIZE,
		.data_offset = OFF_DATA,
		.data_bytes = ring->size,
		.desc_offset = OFF_DESC,
		.desc_bytes = desc_bytes(ring),
		.block_bytes = ring->block,
		.desc_count = ONI_DESC_COUNT,
		.watermark_bytes = READ_ONCE(stream->watermark),
		.latency_us = READ_ONCE(stream->latency_us),
	};
	return 0;
}

static int stream_wake(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_stream *stream = ctx->file->private_data;
	struct oni_stream_wake *sw = arg;
	u32 mark;

	if (sw->flags)
		return -EINVAL;
	mark = sw->watermark_bytes ?: stream->ring->block;
	if (mark > stream->ring->size / 2)
		return -EINVAL;
	WRITE_ONCE(stream->watermark, mark);
	WRITE_ONCE(stream->latency_us, sw->latency_us);
	oni_ring_set_wake(stream->reader, mark, sw->latency_us);
	return 0;
}

static int monitor_stat(struct oni_ioctl_ctx *ctx, void *arg)
{
	struct oni_stream *stream = ctx->file->private_data;
	struct oni_monitor_stat *ms = arg;

	if (ms->flags || ms->reserved[0] || ms->reserved[1])
		return -EINVAL;
	oni_monitor_count(stream->reader, ms);
	return 0;
}

static const struct oni_ioctl stream_ioctls[] = {
	{ ONI_IOC_STREAM_INFO, sizeof(struct oni_stream_info), false, stream_info },
	{ ONI_IOC_STREAM_WAKE, sizeof(struct oni_stream_wake), false, stream_wake },
};

static const struct oni_ioctl monitor_ioctls[] = {
	{ ONI_IOC_STREAM_INFO, sizeof(struct oni_stream_info), false, stream_info },
	{ ONI_IOC_STREAM_WAKE, sizeof(struct oni_stream_wake), false, stream_wake },
	{ ONI_IOC_MONITOR_STAT, sizeof(struct oni_monitor_stat), false, monitor_stat },
};

static long stream_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct oni_stream *stream = file->private_data;
	struct oni_ioctl_ctx ctx = { .file = file, .dev = stream->dev };

	return oni_ioctl_dispatch(stream_ioctls, ARRAY_SIZE(stream_ioctls),
				  &ctx, cmd, arg);
}

static long monitor_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct oni_stream *stream = file->private_data;
	struct oni_ioctl_ctx ctx = { .file = file, .dev = stream->dev };

	return oni_ioctl_dispatch(monitor_ioctls, ARRAY_SIZE(monitor_ioctls),
				  &ctx, cmd, arg);
}

/* --- life ---------------------------------------------------------------- */

static void add_counter(atomic64_t *sum, u64 *out, u64 val)
{
	if (out)
		*out += val;
	else
		atomic64_add(val, sum);
}

/* Add the counters of @ring to @stats, or to the controller's if NULL. */
void oni_stream_count(struct oni_dev *dev, struct oni_ring *ring,
		      struct oni_stats *stats)
{
	const struct oni_ring_producer *p = ring->prod;

	add_counter(&dev->cnt.blocks, stats ? &stats->blocks : NULL, p->blocks);
	add_counter(&dev->cnt.bytes, stats ? &stats->bytes : NULL, ring->total);
	add_counter(&dev->cnt.short_blocks, stats ? &stats->short_blocks : NULL,
		    p->short_blocks);
	add_counter(&dev->cnt.ring_full, stats ? &stats->ring_full : NULL,
		    p->full_events);
	add_counter(&dev->cnt.ring_full_ns, stats ? &stats->ring_full_ns : NULL,
		    p->full_ns);
	add_counter(&dev->cnt.wakeups, stats ? &stats->wakeups : NULL,
		    p->wakeups);
}

/* What stream_init() made. */
static void stream_put(struct oni_stream *stream)
{
	fput(stream->map_file);
	oni_ring_put(stream->ring);
	put_device(&stream->dev->dev);
	kfree(stream);
}

static int stream_release(struct inode *inode, struct file *file)
{
	struct oni_stream *stream = file->private_data;
	struct oni_dev *dev = stream->dev;
	struct oni_link *link;
	int idx;

	mutex_lock(&dev->lock);
	link = oni_dev_enter(dev, &idx);
	if (link)
		oni_stop_locked(dev, link);
	/* A lost link is not unbound yet: its mapping must go all the same. */
	link = srcu_dereference(dev->link, &dev->srcu);
	if (link && link->mapped)
		oni_detach_locked(dev, link);
	dev->stream = NULL;
	oni_stream_count(dev, stream->ring, NULL);
	/* Lost, and nobody has told the readers yet. */
	if (oni_dev_gone(dev))
		oni_ring_end(stream->ring, ONI_RING_GONE, -ENODEV);
	/* Before the gate closes: the ring's timer kicks the link. */
	oni_ring_close(stream->ring);
	oni_dev_exit(dev, idx);
	mutex_unlock(&dev->lock);

	stream_put(stream);
	return 0;
}

static int monitor_release(struct inode *inode, struct file *file)
{
	struct oni_stream *stream = file->private_data;

	oni_monitor_free(stream->reader);
	stream_put(stream);
	return 0;
}

static const struct file_operations stream_fops = {
	.owner = THIS_MODULE,
	.release = stream_release,
	.read = stream_read,
	.poll = stream_poll,
	.mmap = stream_mmap,
	.unlocked_ioctl = stream_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static const struct file_operations monitor_fops = {
	.owner = THIS_MODULE,
	.release = monitor_release,
	.read = stream_read,
	.poll = stream_poll,
	.mmap = stream_mmap,
	.unlocked_ioctl = monitor_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/* Fill in defaults and check the sizes. */
static int check_sizes(struct oni_dev *dev, const struct oni_link_ops *ops,
		       struct oni_stream_create *sc)
{
	u32 frame = dev->max_read_frame;

	if (!sc->block_bytes)
		sc->block_bytes = max_t(u32, ONI_BLOCK_DEFAULT,
					roundup(frame, ops->block_align));
	if (sc->block_bytes % ops->block_align || sc->block_bytes < frame ||
	    sc->block_bytes > ops->block_max)
		return -EINVAL;

	if (!sc->ring_bytes)
		sc->ring_bytes = oni_fw_ring_default(&dev->fw);
	if (!is_power_of_2(sc->ring_bytes) ||
	    sc->ring_bytes < max_t(u64, ONI_RING_MIN, PAGE_SIZE) ||
	    sc->ring_bytes > ONI_RING_MAX ||
	    sc->ring_bytes / 4 < sc->block_bytes)
		return -EINVAL;

	if (!sc->watermark_bytes)
		sc->watermark_bytes = sc->block_bytes;
	if (sc->watermark_bytes > sc->ring_bytes / 2)
		return -EINVAL;
	return 0;
}

/* A stream object around @ring, whose reference it takes over. */
static struct oni_stream *stream_alloc(struct oni_dev *dev,
				       struct oni_ring *ring)
{
	struct oni_stream *stream;
	int ret = -ENOMEM;

	stream = kzalloc(sizeof(*stream), GFP_KERNEL_ACCOUNT);
	if (!stream)
		goto err_ring;
	stream->map_file = map_file_create(ring);
	if (IS_ERR(stream->map_file)) {
		ret = PTR_ERR(stream->map_file);
		goto err_free;
	}
	mutex_init(&stream->read_lock);
	stream->ring = ring;
	stream->reader = &ring->reader;
	stream->dev = dev;
	get_device(&dev->dev);
	return stream;

err_free:
	kfree(stream);
err_ring:
	oni_ring_put(ring);
	return ERR_PTR(ret);
}

static struct file *stream_file(struct oni_stream *stream, const char *name,
				const struct file_operations *fops)
{
	struct file *file;

	file = anon_inode_getfile(name, fops, stream, O_RDWR | O_CLOEXEC);
	if (IS_ERR(file))
		return file;
	stream_open(file_inode(file), file);
	/*
	 * The mode stays writable, or the consumer page could not be mapped so;
	 * to whoever holds the file it is a thing to read from.
	 */
	file->f_flags = (file->f_flags & ~O_ACCMODE) | O_RDONLY;
	return file;
}

static void stream_set_wake(struct oni_stream *stream, u32 watermark,
			    u32 latency_us)
{
	stream->watermark = watermark;
	stream->latency_us = latency_us;
	oni_ring_set_wake(stream->reader, watermark, latency_us);
}

/**
 * oni_stream_create - make the stream of a controller
 * @dev: the controller, dev->lock held
 * @link: its link
 * @sc: wishes; the sizes chosen are written back
 *
 * Return: the file, not yet installed, or an ERR_PTR.
 */
struct file *oni_stream_create(struct oni_dev *dev, struct oni_link *link,
			       struct oni_stream_create *sc)
{
	struct oni_stream *stream;
	struct oni_ring *ring;
	struct file *file;
	int ret;

	lockdep_assert_held(&dev->lock);
	if (dev->stream || dev->running)
		return ERR_PTR(-EBUSY);
	if (dev->fw.ring_lost)
		return ERR_PTR(-ENXIO);
	ret = check_sizes(dev, link->ops, sc);
	if (ret)
		return ERR_PTR(ret);

	ring = oni_ring_create(sc->ring_bytes, sc->block_bytes, dev->fw.ring);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	stream = stream_alloc(dev, ring);
	if (IS_ERR(stream))
		return ERR_CAST(stream);
	stream_set_wake(stream, sc->watermark_bytes, sc->latency_us);
	ret = link->ops->rx_map(link, ring);
	if (ret)
		goto err_stream;
	oni_ring_get(ring);
	link->mapped = ring;

	file = stream_file(stream, "[oni-stream]", &stream_fops);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto err_map;
	}
	dev->stream = stream;
	return file;

err_map:
	/* Nothing was started, so nothing can be in flight. */
	link->ops->rx_unmap(link);
	link->mapped = NULL;
	oni_ring_put(ring);
err_stream:
	stream_put(stream);
	return ERR_PTR(ret);
}

/**
 * oni_monitor_open - make a monitor of the stream of a controller
 * @dev: the controller, dev->lock held
 * @mc: wishes
 *
 * Return: the file, not yet installed, or an ERR_PTR.
 */
struct file *oni_monitor_open(struct oni_dev *dev, struct oni_monitor_create *mc)
{
	struct oni_stream *stream;
	struct oni_reader *rd;
	struct oni_ring *ring;
	struct file *file;
	u32 mark;

	lockdep_assert_held(&dev->lock);
	if (!dev->stream)
		return ERR_PTR(-ENODATA);
	ring = dev->stream->ring;
	mark = mc->watermark_bytes ?: ring->block;
	if (mark > ring->size / 2)
		return ERR_PTR(-EINVAL);

	oni_ring_get(ring);
	stream = stream_alloc(dev, ring);
	if (IS_ERR(stream))
		return ERR_CAST(stream);
	rd = oni_monitor_create(ring);
	if (IS_ERR(rd)) {
		stream_put(stream);
		return ERR_CAST(rd);
	}
	stream->reader = rd;
	stream_set_wake(stream, mark, mc->latency_us);
	file = stream_file(stream, "[oni-monitor]", &monitor_fops);
	if (IS_ERR(file)) {
		oni_monitor_free(rd);
		stream_put(stream);
	}
	return file;
}
