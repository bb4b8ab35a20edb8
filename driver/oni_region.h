/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that firmware has set aside for rings.
 *
 * A region belongs to nobody's device: rings outlive the controller that they
 * were made for, and several controllers may name one region. So there is one
 * object for each, counted, that goes away with the last controller and the last
 * ring.
 *
 * Nothing here is for a fast path.
 */
#ifndef ONI_REGION_H
#define ONI_REGION_H

#include <linux/types.h>

struct oni_region;
struct page;

struct oni_region *oni_region_get(phys_addr_t base, phys_addr_t bytes);
void oni_region_hold(struct oni_region *region);
void oni_region_put(struct oni_region *region);
phys_addr_t oni_region_base(const struct oni_region *region);
u64 oni_region_bytes(const struct oni_region *region);
u64 oni_region_free_bytes(struct oni_region *region);

bool oni_region_take(struct oni_region *region, unsigned int order,
		     unsigned int n, struct page **chunk);
void oni_region_give(struct oni_region *region, unsigned int order,
		     unsigned int n, struct page **chunk);

#endif /* ONI_REGION_H */
