/* SPDX-License-Identifier: MIT */
/*
 * block.h - how many bytes the hardware delivers at once. Pure.
 */
#ifndef ONIREC_BLOCK_H
#define ONIREC_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include <linux/oni.h>

/*
 * For data that come with @bytes_per_s: what arrives in 10 ms, so that nothing is seen
 * much later than that, but 4 KiB at least and 64 KiB at most, since more saves no work.
 * Within the limits of the controller, whose largest frame must fit. 0: it has no such
 * block (its frames are larger than its blocks may be).
 */
uint32_t block_choose(const struct oni_info *info, double bytes_per_s);

/*
 * Can the controller do @bytes? -1: no, and a sentence with what it can do in @err.
 */
int block_check(const struct oni_info *info, uint32_t bytes, char *err, size_t errlen);

#endif
