/* SPDX-License-Identifier: MIT */
/*
 * vfio_user.h - server side of the vfio-user protocol for one PCI function.
 *
 * Owns the connection: framing, version negotiation, and the translation of
 * messages into the calls of vfu_ops. It knows nothing of the card.
 * Threads: vfu_serve() runs in one thread and is the only reader and writer of
 * the socket; vfu_disconnect() and vfu_shutdown() may be called from any thread.
 * The callbacks run in the serving thread; locking is theirs.
 * Source: vfio-user protocol specification 0.0 (as QEMU speaks it), linux/vfio.h.
 */
#ifndef SIM_VFIO_USER_H
#define SIM_VFIO_USER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct vfu_ops {
	void *ctx;
	uint32_t bar_size;
	uint32_t config_size;
	void (*config_read)(void *ctx, uint64_t off, void *buf, size_t len);
	void (*config_write)(void *ctx, uint64_t off, const void *buf, size_t len);
	void (*bar_read)(void *ctx, uint64_t off, void *buf, size_t len);
	void (*bar_write)(void *ctx, uint64_t off, const void *buf, size_t len);
	/* 0 or -errno. The descriptor stays the caller's; -1: there is none. */
	int (*dma_map)(void *ctx, uint64_t iova, uint64_t size, int fd,
		       uint64_t offset, uint32_t prot);
	int (*dma_unmap)(void *ctx, uint64_t iova, uint64_t size);
	void (*dma_unmap_all)(void *ctx);
	/* Takes the eventfd; -1: the vector is switched off. */
	void (*msi_fd)(void *ctx, int fd);
	void (*msi_trigger)(void *ctx);
	void (*reset)(void *ctx);
};

struct vfu {
	struct vfu_ops ops;
	FILE *log;		/* may be NULL; not owned */
	pthread_mutex_t lock;	/* protects what follows */
	int sock;		/* connection being served, -1: none */
	bool dead;		/* vfu_disconnect() was called for it */
	bool over;		/* no connection is served any more */
};

void vfu_init(struct vfu *v, const struct vfu_ops *ops, FILE *log);

/*
 * Serve one connection until it ends; takes @sock. Returns 0 when the client
 * closed it or vfu_disconnect() was called, -errno when the client broke the
 * protocol.
 */
int vfu_serve(struct vfu *v, int sock);
/* End the connection of this moment; the next one is served. */
void vfu_disconnect(struct vfu *v);
/* End it for good: vfu_serve() returns at once from now on. */
void vfu_shutdown(struct vfu *v);

#endif
