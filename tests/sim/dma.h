/* SPDX-License-Identifier: MIT */
/*
 * dma.h - the guest memory the card may reach.
 *
 * Owns the mappings QEMU announced, sorted by bus address. A range without a
 * file descriptor is remembered but has no memory behind it: an access to it is
 * a fault, as is any access the mapping's permissions do not allow.
 * Threads: no lock; called under the card lock.
 * Source: vfio-user protocol specification, DMA_MAP and DMA_UNMAP.
 */
#ifndef SIM_DMA_H
#define SIM_DMA_H

#include <stddef.h>
#include <stdint.h>

#define DMA_READ	1u	/* the card may read */
#define DMA_WRITE	2u	/* the card may write */

struct dma_range {
	uint64_t iova;
	uint64_t size;
	uint8_t *mem;		/* NULL: no memory to reach */
	uint32_t prot;
};

struct dma_space {
	struct dma_range *range;
	size_t count, room;
	size_t hint;		/* the range used last */
};

/* 0 or -errno: -EEXIST if it overlaps another range. @fd may be -1. */
int dma_map(struct dma_space *s, uint64_t iova, uint64_t size, int fd,
	    uint64_t offset, uint32_t prot);
/* Ranges wholly inside go; -EINVAL if one is only touched. Unknown is fine. */
int dma_unmap(struct dma_space *s, uint64_t iova, uint64_t size);
void dma_unmap_all(struct dma_space *s);

/* 0 or -EFAULT. A write may have been done in part before the fault. */
int dma_read(struct dma_space *s, uint64_t iova, void *buf, size_t len);
int dma_write(struct dma_space *s, uint64_t iova, const void *buf, size_t len);

#endif
