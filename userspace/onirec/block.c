// SPDX-License-Identifier: MIT
/* block.c - see block.h. */
#include "block.h"

#include <stdio.h>

#define BLOCK_S		0.01
#define LEAST		4096u
#define MOST		65536u

static uint32_t align_of(const struct oni_info *info)
{
	return info->block_align ? info->block_align : 4;
}

/* Smallest block: one that holds every frame. */
static uint32_t smallest(const struct oni_info *info)
{
	uint32_t align = align_of(info);
	uint64_t bytes = (uint64_t)info->max_read_frame + align - 1;

	bytes -= bytes % align;
	if (!bytes)
		bytes = align;
	return bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}

static uint32_t largest(const struct oni_info *info)
{
	return info->block_max - info->block_max % align_of(info);
}

uint32_t block_choose(const struct oni_info *info, double bytes_per_s)
{
	uint32_t align = align_of(info), low = smallest(info), high = largest(info), bytes;
	double want = bytes_per_s * BLOCK_S;

	if (low > high)
		return 0;
	bytes = want > MOST ? MOST : want > LEAST ? (uint32_t)want : LEAST;
	bytes -= bytes % align;
	return bytes < low ? low : bytes > high ? high : bytes;
}

int block_check(const struct oni_info *info, uint32_t bytes, char *err, size_t errlen)
{
	uint32_t low = smallest(info), high = largest(info);

	if (bytes % align_of(info) == 0 && bytes >= low && bytes <= high)
		return 0;
	if (low > high)
		snprintf(err, errlen, "frames of up to %u bytes do not fit into the blocks of this "
			 "controller, %u bytes at most: enable fewer streams or devices",
			 info->max_read_frame, info->block_max);
	else
		snprintf(err, errlen, "blocks of %u bytes are not possible here: choose a multiple of "
			 "%u from %u to %u (--block, or block in [device]), or leave it to onirec",
			 bytes, align_of(info), low, high);
	return -1;
}
