/* SPDX-License-Identifier: MIT */
/*
 * table.h - inside of a device table copy, for the frame parser's fast path.
 *
 * A table never changes once made, so any number of threads may look at it.
 */
#ifndef ONIDEV_TABLE_H
#define ONIDEV_TABLE_H

#include "onidev.h"

struct onidev_table {
	struct oni_device *rows;	/* sorted by address */
	uint32_t count;
	uint32_t generation;
	uint32_t max_frame;
	int16_t *hub[256];		/* device index -> row or -1; NULL: no such hub */
};

/* Row index of @addr or -1; no errno. */
static inline int table_lookup(const struct onidev_table *t, uint32_t addr)
{
	if (addr > 0xffff || !t->hub[addr >> 8])
		return -1;
	return t->hub[addr >> 8][addr & 0xff];
}

#endif
