// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that firmware has set aside for rings. See oni_region.h.
 *
 * Its pages never were in the page allocator, and their count begins at 1, which
 * is ours: nobody else's last put frees one. What is in a ring is in the bitmap.
 * A page that was given back may still be in use by somebody who took a reference
 * through a mapping (a pipe, a socket, a transfer to a disk). Its count tells, so
 * that it is not given out before that has ended, and this holds for an object
 * that was made meanwhile, too.
 *
 * Locking: one mutex for the list and all bitmaps; nothing is taken inside.
 */
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/highmem.h>
#include <linux/ioport.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "oni_region.h"
#include "oni_ring.h"

/**
 * struct oni_region - one region
 * @node: in regions
 * @refs: controllers and rings that have it
 * @first: number of its first page; constant, as @pages
 * @pages: whole pages in it
 * @used: a bit for each that is in a ring
 */
struct oni_region {
	struct list_head node;
	unsigned int refs;
	unsigned long first;
	unsigned long pages;
	unsigned long *used;
};

static DEFINE_MUTEX(regions_lock);
static LIST_HEAD(regions);

/* Mapped by the kernel, and owned by nobody. */
static bool usable(unsigned long first, unsigned long pages)
{
	unsigned long pfn;
	struct page *page;

	for (pfn = first; pfn < first + pages; pfn++) {
		/* What is not mapped is no RAM to the kernel. */
		if (!pfn_valid(pfn) || !page_is_ram(pfn))
			return false;
		page = pfn_to_page(pfn);
		if (!PageReserved(page) || PageHighMem(page))
			return false;
		if (!(pfn % 1024))
			cond_resched();
	}
	return true;
}

static struct oni_region *region_new(unsigned long first, unsigned long pages)
{
	struct oni_region *region;

	region = kzalloc(sizeof(*region), GFP_KERNEL);
	if (!region)
		return NULL;
	region->used = bitmap_zalloc(pages, GFP_KERNEL);
	if (!region->used) {
		kfree(region);
		return NULL;
	}
	region->refs = 1;
	region->first = first;
	region->pages = pages;
	list_add(&region->node, &regions);
	return region;
}

/**
 * oni_region_get - a region by its place
 * @base: physical address
 * @bytes: length
 *
 * Pages that are not wholly inside are left alone. Whoever names the same place
 * gets the same region. Process context.
 *
 * Return: a reference, or an ERR_PTR: -EINVAL if it is too small for any ring,
 * -ENXIO if not all of it is memory that the kernel has mapped and nobody owns,
 * -ENOMEM.
 */
struct oni_region *oni_region_get(phys_addr_t base, phys_addr_t bytes)
{
	unsigned long first = PFN_UP(base), end = PFN_DOWN(base + bytes);
	struct oni_region *region;

	if (end <= first || (u64)(end - first) << PAGE_SHIFT < ONI_RING_MIN)
		return ERR_PTR(-EINVAL);
	if (!usable(first, end - first))
		return ERR_PTR(-ENXIO);

	mutex_lock(&regions_lock);
	list_for_each_entry(region, &regions, node) {
		if (region->first != first || region->pages != end - first)
			continue;
		region->refs++;
		goto out;
	}
	region = region_new(first, end - first);
out:
	mutex_unlock(&regions_lock);
	return region ?: ERR_PTR(-ENOMEM);
}

/* One more reference, for who has one. */
void oni_region_hold(struct oni_region *region)
{
	mutex_lock(&regions_lock);
	region->refs++;
	mutex_unlock(&regions_lock);
}

/* @region: may be NULL */
void oni_region_put(struct oni_region *region)
{
	if (!region)
		return;
	mutex_lock(&regions_lock);
	if (--region->refs) {
		mutex_unlock(&regions_lock);
		return;
	}
	list_del(&region->node);
	mutex_unlock(&regions_lock);
	bitmap_free(region->used);
	kfree(region);
}

phys_addr_t oni_region_base(const struct oni_region *region)
{
	return PFN_PHYS(region->first);
}

u64 oni_region_bytes(const struct oni_region *region)
{
	return (u64)region->pages << PAGE_SHIFT;
}

static bool in_use(const struct oni_region *region, unsigned long at)
{
	return test_bit(at, region->used) ||
	       page_count(pfn_to_page(region->first + at)) != 1;
}

/* What a ring could be made of now. */
u64 oni_region_free_bytes(struct oni_region *region)
{
	unsigned long at;
	u64 pages = 0;

	mutex_lock(&regions_lock);
	for (at = 0; at < region->pages; at++)
		pages += !in_use(region, at);
	mutex_unlock(&regions_lock);
	return pages << PAGE_SHIFT;
}

/* First free place of @len pages, a power of two, from @at on; or the end. */
static unsigned long find_free(const struct oni_region *region,
			       unsigned long at, unsigned long len)
{
	unsigned long i;

	for (;;) {
		at = bitmap_find_next_zero_area(region->used, region->pages, at,
						len, len - 1);
		if (at + len > region->pages)
			return region->pages;
		for (i = 0; i < len && !in_use(region, at + i); i++)
			;
		if (i == len)
			return at;
		at += i + 1;
	}
}

static void give_locked(struct oni_region *region, unsigned int order,
			unsigned int n, struct page **chunk)
{
	lockdep_assert_held(&regions_lock);
	while (n--)
		bitmap_clear(region->used,
			     page_to_pfn(chunk[n]) - region->first, 1UL << order);
}

/**
 * oni_region_take - get memory for a ring
 * @region: the region
 * @order: of each chunk
 * @n: how many chunks
 * @chunk: filled in
 *
 * All or nothing. Chunks lie at multiples of their size from the beginning of the
 * region on, so that rings of equal size leave no gaps. What was in them is gone.
 * Process context.
 */
bool oni_region_take(struct oni_region *region, unsigned int order,
		     unsigned int n, struct page **chunk)
{
	unsigned long at = 0, len = 1UL << order;
	unsigned int i, j;

	mutex_lock(&regions_lock);
	for (i = 0; i < n; i++, at += len) {
		at = find_free(region, at, len);
		if (at == region->pages)
			break;
		bitmap_set(region->used, at, len);
		chunk[i] = pfn_to_page(region->first + at);
	}
	if (i < n)
		give_locked(region, order, i, chunk);
	mutex_unlock(&regions_lock);
	if (i < n)
		return false;

	for (i = 0; i < n; i++) {
		for (j = 0; j < len; j++)
			clear_highpage(chunk[i] + j);
		cond_resched();
	}
	return true;
}

/**
 * oni_region_give - give memory of a ring back
 * @region: the region
 * @order: as it was taken
 * @n: as it was taken
 * @chunk: as it was taken
 *
 * Nothing of ours has it mapped, nor the hardware. Process context.
 */
void oni_region_give(struct oni_region *region, unsigned int order,
		     unsigned int n, struct page **chunk)
{
	mutex_lock(&regions_lock);
	give_locked(region, order, n, chunk);
	mutex_unlock(&regions_lock);
}
