// SPDX-License-Identifier: MIT
/*
 * kernel.c - backend: an open /dev/oniN and its streams.
 *
 * Owns the descriptors and mappings. Each call is one ioctl of <linux/oni.h> (struct
 * size filled in, reserved fields zero) and returns its errno unchanged.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backend.h"

/* --- controller --------------------------------------------------------------- */

static void node_close(struct onidev_controller *ctl)
{
	close(ctl->fd);
}

static int node_call(struct onidev_controller *ctl, unsigned long request, void *arg)
{
	return ioctl(ctl->fd, request, arg) < 0 ? -1 : 0;
}

static ssize_t node_write(struct onidev_controller *ctl, const void *frames, size_t bytes)
{
	return write(ctl->fd, frames, bytes);
}

/* A descriptor that the kernel has just made; it is closed if it cannot be used. */
static struct onidev_stream *from_new_fd(int fd)
{
	struct onidev_stream *s = onidev_stream_from_fd(fd);
	int saved = errno;

	if (!s)
		close(fd);
	errno = saved;
	return s;
}

static struct onidev_stream *node_stream(struct onidev_controller *ctl,
					 struct oni_stream_create *create)
{
	if (ioctl(ctl->fd, ONI_IOC_STREAM_CREATE, create) < 0)
		return NULL;
	return from_new_fd(create->fd);
}

static struct onidev_stream *node_monitor(struct onidev_controller *ctl,
					  struct oni_monitor_create *create)
{
	if (ioctl(ctl->fd, ONI_IOC_MONITOR_CREATE, create) < 0)
		return NULL;
	return from_new_fd(create->fd);
}

static const struct backend_ops node_ops = {
	.close = node_close,
	.call = node_call,
	.write = node_write,
	.stream = node_stream,
	.monitor = node_monitor,
};

/* The kernel's name of a character device: last part of its sysfs folder. */
static int kernel_name(dev_t rdev, char *buf, size_t len)
{
	char link[64], target[PATH_MAX];
	const char *base;
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u", major(rdev), minor(rdev));
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return -1;
	target[n] = '\0';
	base = strrchr(target, '/');
	base = base ? base + 1 : target;
	if (strlen(base) >= len) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(buf, base);
	return 0;
}

/* Open @path; ENOTTY when it is not a controller, as the kernel says for INFO. */
static struct onidev_controller *open_path(const char *path, unsigned int flags)
{
	struct onidev_controller *c = calloc(1, sizeof(*c));
	struct oni_info info;
	struct stat st;
	char name[32];
	int saved;

	if (!c)
		return NULL;
	c->ops = &node_ops;
	c->fd = open(path, (flags & ONIDEV_OPEN_RDONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (c->fd < 0)
		goto fail;
	if (fstat(c->fd, &st) < 0)
		goto fail_close;
	if (!S_ISCHR(st.st_mode)) {
		errno = ENOTTY;
		goto fail_close;
	}
	if (onidev_controller_info(c, &info) < 0)
		goto fail_close;
	if (kernel_name(st.st_rdev, name, sizeof(name)) < 0)
		snprintf(name, sizeof(name), "%.31s",
			 strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	strcpy(c->name, name);
	snprintf(c->node, sizeof(c->node), "/dev/%s", name);
	return c;
fail_close:
	saved = errno;
	close(c->fd);
	errno = saved;
fail:
	saved = errno;
	free(c);
	errno = saved;
	return NULL;
}

static struct onidev_controller *open_first(unsigned int flags)
{
	struct onidev_controller *c = NULL;
	const struct onidev_list_entry *e;
	struct onidev_list *list = onidev_list_find(ONIDEV_OPEN_KERNEL);

	if (!list)
		return NULL;
	e = onidev_list_at(list, 0);
	if (e)
		c = open_path(e->node, flags);
	else
		errno = ENODEV;
	onidev_list_free(list);
	return c;
}

struct onidev_controller *kernel_open(const char *which, unsigned int flags)
{
	static const char *const folder[] = { "/dev", "/dev/oni/by-id", "/dev/oni/by-path" };
	char path[PATH_MAX];
	size_t i;

	if (!which || !strcmp(which, "first"))
		return open_first(flags);
	if (strchr(which, '/'))
		return open_path(which, flags);
	for (i = 0; i < sizeof(folder) / sizeof(folder[0]); i++) {
		if (snprintf(path, sizeof(path), "%s/%s", folder[i], which) >= (int)sizeof(path))
			break;
		if (access(path, F_OK) == 0)
			return open_path(path, flags);
	}
	errno = ENOENT;
	return NULL;
}

/* --- streams -------------------------------------------------------------------- */

static void *map(int fd, uint64_t bytes, int prot, uint64_t offset)
{
	return mmap(NULL, bytes, prot, MAP_SHARED, fd, (off_t)offset);
}

static void unmap(void *p, uint64_t bytes)
{
	if (p != MAP_FAILED)
		munmap(p, bytes);
}

/* Map everything the kernel announced; on failure what was mapped stays for stream_unmap(). */
static int stream_map(struct onidev_stream *s)
{
	const struct oni_stream_info *i = &s->info;

	s->prod = map(s->fd, i->producer_bytes, PROT_READ, i->producer_offset);
	if (s->prod == MAP_FAILED)
		return -1;
	s->cons = map(s->fd, i->consumer_bytes, PROT_READ | PROT_WRITE, i->consumer_offset);
	if (s->cons == MAP_FAILED)
		return -1;
	/* Twice the length: what wraps is contiguous. */
	s->data = map(s->fd, 2 * i->data_bytes, PROT_READ, i->data_offset);
	if (s->data == MAP_FAILED)
		return -1;
	s->desc = map(s->fd, i->desc_bytes, PROT_READ, i->desc_offset);
	if (s->desc == MAP_FAILED)
		return -1;
	s->ring.prod = s->prod;
	s->ring.cons = s->cons;
	s->ring.data = s->data;
	s->ring.desc = s->desc;
	s->ring.data_bytes = i->data_bytes;
	s->ring.desc_count = i->desc_count;
	return ring_init(&s->ring);
}

static void stream_unmap(struct onidev_stream *s)
{
	unmap(s->prod, s->info.producer_bytes);
	unmap(s->cons, s->info.consumer_bytes);
	unmap(s->data, 2 * s->info.data_bytes);
	unmap(s->desc, s->info.desc_bytes);
}

static void fd_free(struct onidev_stream *s)
{
	stream_unmap(s);
	close(s->fd);
}

static int fd_wake(struct onidev_stream *s, uint32_t watermark_bytes, uint32_t latency_us)
{
	struct oni_stream_wake wake = {
		.size = sizeof(wake),
		.watermark_bytes = watermark_bytes,
		.latency_us = latency_us,
	};
	struct oni_stream_info info = { .size = sizeof(info) };

	if (ioctl(s->fd, ONI_IOC_STREAM_WAKE, &wake) < 0)
		return -1;
	/* Zero means a default: ask what it became. */
	if (ioctl(s->fd, ONI_IOC_STREAM_INFO, &info) == 0)
		s->info = info;
	return 0;
}

static const struct stream_ops fd_ops = {
	.free = fd_free,
	.wake = fd_wake,
};

/* Only a monitor knows MONITOR_STAT. 1, 0, or -1 if the descriptor is neither. */
static int is_monitor(int fd)
{
	struct oni_monitor_stat stat = { .size = sizeof(stat) };

	if (ioctl(fd, ONI_IOC_MONITOR_STAT, &stat) == 0)
		return 1;
	return errno == ENOTTY ? 0 : -1;
}

struct onidev_stream *onidev_stream_from_fd(int fd)
{
	struct onidev_stream *s = calloc(1, sizeof(*s));
	int saved;

	if (!s)
		return NULL;
	s->ops = &fd_ops;
	s->fd = fd;
	s->prod = s->cons = s->data = s->desc = MAP_FAILED;
	s->info.size = sizeof(s->info);
	if (ioctl(fd, ONI_IOC_STREAM_INFO, &s->info) == 0) {
		s->ring.monitor = is_monitor(fd);
		if (s->ring.monitor >= 0 && stream_map(s) == 0)
			return s;
	}
	saved = errno;
	stream_unmap(s);
	free(s);
	errno = saved;
	return NULL;
}
