// SPDX-License-Identifier: MIT
/*
 * vfio_user.c - see vfio_user.h.
 *
 * File descriptors travel with the first byte of a message, so a message is
 * read in two pieces: header with descriptors, then the body.
 */
#include "vfio_user.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum vfu_command {
	VFU_VERSION = 1,
	VFU_DMA_MAP,
	VFU_DMA_UNMAP,
	VFU_DEVICE_GET_INFO,
	VFU_DEVICE_GET_REGION_INFO,
	VFU_DEVICE_GET_REGION_IO_FDS,
	VFU_DEVICE_GET_IRQ_INFO,
	VFU_DEVICE_SET_IRQS,
	VFU_REGION_READ,
	VFU_REGION_WRITE,
	VFU_DMA_READ,
	VFU_DMA_WRITE,
	VFU_DEVICE_RESET,
};

#define VFU_REPLY	1u
#define VFU_TYPE_MASK	0xfu
#define VFU_NO_REPLY	(1u << 4)
#define VFU_ERROR	(1u << 5)
#define VFU_UNMAP_ALL	(1u << 1)
#define VFU_MAX_FDS	8
#define VFU_MAX_DATA	4096u		/* largest register or config access */
#define VFU_MAX_BODY	65536u

struct vfu_header {
	uint16_t id;
	uint16_t command;
	uint32_t size;		/* header included */
	uint32_t flags;
	uint32_t error;
};

struct vfu_dma {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset;
	uint64_t address;
	uint64_t size;
};

struct vfu_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t size;
};

struct vfu_region {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};

/* One request with its descriptors, and the body of the answer. */
struct vfu_msg {
	struct vfu_header hdr;
	uint8_t body[VFU_MAX_BODY];
	size_t len;
	int fd[VFU_MAX_FDS];
	unsigned int fds;
	uint8_t reply[sizeof(struct vfu_region) + VFU_MAX_DATA];
	size_t reply_len;
};

static const char version_reply[] =
	"{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":4096}}";

/* ---- messages on the socket ---- */

static void collect_fds(struct vfu_msg *m, struct msghdr *mh)
{
	struct cmsghdr *c;
	size_t n, i;
	int fd;

	for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (m->fds < VFU_MAX_FDS)
				m->fd[m->fds++] = fd;
			else
				close(fd);
		}
	}
}

/* 1: got all, 0: end of the connection, -errno. */
static int receive(int sock, void *buf, size_t len, struct vfu_msg *m)
{
	union {
		char buf[CMSG_SPACE(VFU_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} ctrl;
	uint8_t *at = buf;
	ssize_t n;

	while (len) {
		struct iovec iov = { .iov_base = at, .iov_len = len };
		struct msghdr mh = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = ctrl.buf, .msg_controllen = sizeof(ctrl.buf),
		};

		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ECONNRESET ? 0 : -errno;
		if (!n)
			return 0;
		collect_fds(m, &mh);
		at += n;
		len -= (size_t)n;
	}
	return 1;
}

static int receive_msg(int sock, struct vfu_msg *m)
{
	int ret;

	m->fds = 0;
	m->reply_len = 0;
	m->len = 0;
	ret = receive(sock, &m->hdr, sizeof(m->hdr), m);
	if (ret <= 0)
		return ret;
	if (m->hdr.size < sizeof(m->hdr) ||
	    m->hdr.size - sizeof(m->hdr) > sizeof(m->body))
		return -EPROTO;
	m->len = m->hdr.size - sizeof(m->hdr);
	return m->len ? receive(sock, m->body, m->len, m) : 1;
}

static int send_reply(int sock, const struct vfu_msg *m, int err)
{
	struct vfu_header hdr = m->hdr;
	struct iovec iov[2] = {
		{ .iov_base = &hdr, .iov_len = sizeof(hdr) },
		{ .iov_base = (void *)m->reply, .iov_len = err ? 0 : m->reply_len },
	};
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	size_t total = iov[0].iov_len + iov[1].iov_len;
	ssize_t n;

	hdr.size = (uint32_t)total;
	hdr.flags = VFU_REPLY | (err ? VFU_ERROR : 0);
	hdr.error = (uint32_t)-err;
	do {
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	/* A blocking stream socket takes all of it or fails. */
	return n == (ssize_t)total ? 0 : -EPIPE;
}

static void close_fds(struct vfu_msg *m)
{
	while (m->fds)
		close(m->fd[--m->fds]);
}

static void reply_copy(struct vfu_msg *m, const void *data, size_t len)
{
	memcpy(m->reply + m->reply_len, data, len);
	m->reply_len += len;
}

/* ---- commands: 0 or -errno ---- */

static int do_version(struct vfu_msg *m)
{
	uint16_t ver[2];

	if (m->len < sizeof(ver))
		return -EINVAL;
	memcpy(ver, m->body, sizeof(ver));
	if (ver[0] != 0)
		return -ENOTSUP;
	ver[1] = 0;
	reply_copy(m, ver, sizeof(ver));
	reply_copy(m, version_reply, sizeof(version_reply));
	return 0;
}

static int do_dma_map(struct vfu *v, struct vfu_msg *m)
{
	struct vfu_dma d;

	if (m->len < sizeof(d))
		return -EINVAL;
	memcpy(&d, m->body, sizeof(d));
	return v->ops.dma_map(v->ops.ctx, d.address, d.size, m->fds ? m->fd[0] : -1,
			      d.offset, d.flags & 3);
}

static int do_dma_unmap(struct vfu *v, struct vfu_msg *m)
{
	struct vfu_unmap u;
	int err = 0;

	if (m->len < sizeof(u))
		return -EINVAL;
	memcpy(&u, m->body, sizeof(u));
	if (u.flags & VFU_UNMAP_ALL)
		v->ops.dma_unmap_all(v->ops.ctx);
	else
		err = v->ops.dma_unmap(v->ops.ctx, u.address, u.size);
	u.argsz = sizeof(u);
	reply_copy(m, &u, sizeof(u));
	return err;
}

static int do_info(struct vfu_msg *m)
{
	uint32_t info[4] = {
		sizeof(info), VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI,
		VFIO_PCI_NUM_REGIONS, VFIO_PCI_NUM_IRQS,
	};

	reply_copy(m, info, sizeof(info));
	return 0;
}

static int do_region_info(struct vfu *v, struct vfu_msg *m)
{
	struct vfio_region_info ri;

	if (m->len < sizeof(ri))
		return -EINVAL;
	memcpy(&ri, m->body, sizeof(ri));
	if (ri.index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	ri.argsz = sizeof(ri);
	ri.cap_offset = 0;
	ri.offset = 0;
	ri.size = 0;
	if (ri.index == VFIO_PCI_BAR0_REGION_INDEX)
		ri.size = v->ops.bar_size;
	else if (ri.index == VFIO_PCI_CONFIG_REGION_INDEX)
		ri.size = v->ops.config_size;
	ri.flags = ri.size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
	reply_copy(m, &ri, sizeof(ri));
	return 0;
}

static int do_irq_info(struct vfu_msg *m)
{
	struct vfio_irq_info ii;

	if (m->len < sizeof(ii))
		return -EINVAL;
	memcpy(&ii, m->body, sizeof(ii));
	if (ii.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	ii.argsz = sizeof(ii);
	ii.count = ii.index == VFIO_PCI_MSI_IRQ_INDEX;
	ii.flags = ii.count ? VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE : 0;
	reply_copy(m, &ii, sizeof(ii));
	return 0;
}

static int do_set_irqs(struct vfu *v, struct vfu_msg *m)
{
	struct vfio_irq_set s;
	uint8_t fire = 1;

	if (m->len < sizeof(s))
		return -EINVAL;
	memcpy(&s, m->body, sizeof(s));
	if (s.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	if (!(s.flags & VFIO_IRQ_SET_ACTION_TRIGGER))
		return -ENOTSUP;
	/* Switching off what does not exist is what QEMU does at its start. */
	if (s.index != VFIO_PCI_MSI_IRQ_INDEX)
		return s.count ? -EINVAL : 0;
	if (s.start + (uint64_t)s.count > 1)
		return -EINVAL;
	if (s.flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		v->ops.msi_fd(v->ops.ctx, s.count && m->fds ? m->fd[--m->fds] : -1);
		return 0;
	}
	if (!s.count) {
		v->ops.msi_fd(v->ops.ctx, -1);
		return 0;
	}
	if (s.flags & VFIO_IRQ_SET_DATA_BOOL) {
		if (m->len <= sizeof(s))
			return -EINVAL;
		fire = m->body[sizeof(s)];
	}
	if (fire)
		v->ops.msi_trigger(v->ops.ctx);
	return 0;
}

/* Regions of size 0 answer like an empty slot of a bus. */
static int do_region_read(struct vfu *v, struct vfu_msg *m)
{
	struct vfu_region r;
	uint8_t *data;

	if (m->len < sizeof(r))
		return -EINVAL;
	memcpy(&r, m->body, sizeof(r));
	if (r.count > VFU_MAX_DATA || r.region >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	reply_copy(m, &r, sizeof(r));
	data = m->reply + m->reply_len;
	m->reply_len += r.count;
	if (r.region == VFIO_PCI_BAR0_REGION_INDEX)
		v->ops.bar_read(v->ops.ctx, r.offset, data, r.count);
	else if (r.region == VFIO_PCI_CONFIG_REGION_INDEX)
		v->ops.config_read(v->ops.ctx, r.offset, data, r.count);
	else
		memset(data, 0xff, r.count);
	return 0;
}

static int do_region_write(struct vfu *v, struct vfu_msg *m)
{
	const uint8_t *data = m->body + sizeof(struct vfu_region);
	struct vfu_region r;

	if (m->len < sizeof(r))
		return -EINVAL;
	memcpy(&r, m->body, sizeof(r));
	if (r.count > VFU_MAX_DATA || r.count > m->len - sizeof(r) ||
	    r.region >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	if (r.region == VFIO_PCI_BAR0_REGION_INDEX)
		v->ops.bar_write(v->ops.ctx, r.offset, data, r.count);
	else if (r.region == VFIO_PCI_CONFIG_REGION_INDEX)
		v->ops.config_write(v->ops.ctx, r.offset, data, r.count);
	reply_copy(m, &r, sizeof(r));
	return 0;
}

static int dispatch(struct vfu *v, struct vfu_msg *m)
{
	switch (m->hdr.command) {
	case VFU_VERSION:
		return do_version(m);
	case VFU_DMA_MAP:
		return do_dma_map(v, m);
	case VFU_DMA_UNMAP:
		return do_dma_unmap(v, m);
	case VFU_DEVICE_GET_INFO:
		return do_info(m);
	case VFU_DEVICE_GET_REGION_INFO:
		return do_region_info(v, m);
	case VFU_DEVICE_GET_IRQ_INFO:
		return do_irq_info(m);
	case VFU_DEVICE_SET_IRQS:
		return do_set_irqs(v, m);
	case VFU_REGION_READ:
		return do_region_read(v, m);
	case VFU_REGION_WRITE:
		return do_region_write(v, m);
	case VFU_DEVICE_RESET:
		v->ops.reset(v->ops.ctx);
		return 0;
	default:
		return -ENOTSUP;
	}
}

static int serve_one(struct vfu *v, int sock, struct vfu_msg *m, bool *negotiated)
{
	int err;

	if ((m->hdr.flags & VFU_TYPE_MASK) != 0)
		return 0;	/* an answer, but we ask nothing */
	if (!*negotiated && m->hdr.command != VFU_VERSION)
		return -EPROTO;
	err = dispatch(v, m);
	if (m->hdr.command == VFU_VERSION)
		*negotiated = !err;
	if (err && v->log)
		fprintf(v->log, "vfio-user: command %u refused: %s\n",
			m->hdr.command, strerror(-err));
	if (m->hdr.flags & VFU_NO_REPLY)
		return 0;
	return send_reply(sock, m, err);
}

void vfu_init(struct vfu *v, const struct vfu_ops *ops, FILE *log)
{
	v->ops = *ops;
	v->log = log;
	v->sock = -1;
	v->dead = false;
	v->over = false;
	pthread_mutex_init(&v->lock, NULL);
}

static void begin_connection(struct vfu *v, int sock)
{
	pthread_mutex_lock(&v->lock);
	v->sock = sock;
	v->dead = v->over;
	if (v->over)
		shutdown(sock, SHUT_RDWR);
	pthread_mutex_unlock(&v->lock);
}

/* Returns true if the end was vfu_disconnect()'s doing. */
static bool end_connection(struct vfu *v)
{
	bool dead;

	pthread_mutex_lock(&v->lock);
	close(v->sock);
	v->sock = -1;
	dead = v->dead;
	pthread_mutex_unlock(&v->lock);
	return dead;
}

int vfu_serve(struct vfu *v, int sock)
{
	struct vfu_msg *m = malloc(sizeof(*m));
	bool negotiated = false;
	int ret = m ? 1 : -ENOMEM;

	begin_connection(v, sock);
	while (ret > 0) {
		ret = receive_msg(sock, m);
		if (ret > 0 && serve_one(v, sock, m, &negotiated))
			ret = -EPROTO;
		close_fds(m);
	}
	free(m);
	return end_connection(v) ? 0 : ret;
}

void vfu_disconnect(struct vfu *v)
{
	pthread_mutex_lock(&v->lock);
	if (v->sock >= 0) {
		v->dead = true;
		shutdown(v->sock, SHUT_RDWR);
	}
	pthread_mutex_unlock(&v->lock);
}

void vfu_shutdown(struct vfu *v)
{
	pthread_mutex_lock(&v->lock);
	v->over = true;
	pthread_mutex_unlock(&v->lock);
	vfu_disconnect(v);
}
