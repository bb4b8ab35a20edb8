// SPDX-License-Identifier: MIT
/* dma.c - see dma.h. */
#include "dma.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Index of the first range that ends above @iova. */
static size_t dma_find(const struct dma_space *s, uint64_t iova)
{
	size_t lo = 0, hi = s->count, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (s->range[mid].iova + (s->range[mid].size - 1) < iova)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int dma_grow(struct dma_space *s)
{
	size_t room = s->room ? s->room * 2 : 64;
	struct dma_range *p;

	if (s->count < s->room)
		return 0;
	p = realloc(s->range, room * sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->range = p;
	s->room = room;
	return 0;
}

int dma_map(struct dma_space *s, uint64_t iova, uint64_t size, int fd,
	    uint64_t offset, uint32_t prot)
{
	struct dma_range r = { .iova = iova, .size = size, .prot = prot };
	size_t at = dma_find(s, iova);
	int flags = 0;

	if (!size || iova + (size - 1) < iova)
		return -EINVAL;
	if (at < s->count && s->range[at].iova <= iova + (size - 1))
		return -EEXIST;
	if (dma_grow(s))
		return -ENOMEM;
	if (prot & DMA_READ)
		flags |= PROT_READ;
	if (prot & DMA_WRITE)
		flags |= PROT_WRITE;
	if (fd >= 0) {
		r.mem = mmap(NULL, size, flags, MAP_SHARED, fd, (off_t)offset);
		if (r.mem == MAP_FAILED)
			return -errno;
	}
	memmove(&s->range[at + 1], &s->range[at], (s->count - at) * sizeof(r));
	s->range[at] = r;
	s->count++;
	return 0;
}

static void dma_drop(struct dma_space *s, size_t at)
{
	if (s->range[at].mem)
		munmap(s->range[at].mem, s->range[at].size);
	s->count--;
	memmove(&s->range[at], &s->range[at + 1],
		(s->count - at) * sizeof(s->range[0]));
}

int dma_unmap(struct dma_space *s, uint64_t iova, uint64_t size)
{
	uint64_t last = iova + (size - 1);
	struct dma_range *r;
	size_t at, i;

	if (!size || last < iova)
		return -EINVAL;
	at = dma_find(s, iova);
	for (i = at; i < s->count && s->range[i].iova <= last; i++) {
		r = &s->range[i];
		if (r->iova < iova || r->iova + (r->size - 1) > last)
			return -EINVAL;
	}
	while (at < s->count && s->range[at].iova <= last)
		dma_drop(s, at);
	return 0;
}

void dma_unmap_all(struct dma_space *s)
{
	while (s->count)
		dma_drop(s, s->count - 1);
	free(s->range);
	memset(s, 0, sizeof(*s));
}

/* Memory behind @iova for @prot, and how much of it lies in a row. */
static uint8_t *dma_at(struct dma_space *s, uint64_t iova, uint32_t prot, uint64_t *room)
{
	struct dma_range *r;

	if (s->hint >= s->count || iova < s->range[s->hint].iova ||
	    iova - s->range[s->hint].iova >= s->range[s->hint].size)
		s->hint = dma_find(s, iova);
	if (s->hint >= s->count)
		return NULL;
	r = &s->range[s->hint];
	if (iova < r->iova || !r->mem || (r->prot & prot) != prot)
		return NULL;
	*room = r->size - (iova - r->iova);
	return r->mem + (iova - r->iova);
}

int dma_read(struct dma_space *s, uint64_t iova, void *buf, size_t len)
{
	uint8_t *to = buf, *mem;
	uint64_t n;

	while (len) {
		mem = dma_at(s, iova, DMA_READ, &n);
		if (!mem)
			return -EFAULT;
		if (n > len)
			n = len;
		memcpy(to, mem, n);
		to += n;
		iova += n;
		len -= n;
	}
	return 0;
}

int dma_write(struct dma_space *s, uint64_t iova, const void *buf, size_t len)
{
	const uint8_t *from = buf;
	uint8_t *mem;
	uint64_t n;

	while (len) {
		mem = dma_at(s, iova, DMA_WRITE, &n);
		if (!mem)
			return -EFAULT;
		if (n > len)
			n = len;
		memcpy(mem, from, n);
		from += n;
		iova += n;
		len -= n;
	}
	return 0;
}
