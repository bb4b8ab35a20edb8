/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Device table of an ONI controller, as it comes over the signal channel.
 *
 * Pure code: no I/O, no allocation, no locks. Compiled into the kernel module,
 * libonidev, the unit tests and the fuzz targets from this one file.
 * Source: ONI specification v1.0, device table and device descriptor; the
 * address is hub << 8 | device, 0xfe of each hub is its information device.
 */
#ifndef ONI_TABLE_H
#define ONI_TABLE_H

#include "include/uapi/linux/oni.h"
#include "oni_cobs.h"

/* Rows that a device table may have; the address space allows 65,024. */
#define ONI_MAX_ROWS		1024
/* Largest sample that a device may announce. */
#define ONI_MAX_SAMPLE		(256 * 1024U)
#define ONI_FRAME_HEADER	16U
#define ONI_WRITE_HEADER	8U
#define ONI_HUB_INFO		0xfeU

/**
 * struct oni_write_frame - one frame of a buffer that user space wrote
 * @addr: device address
 * @words: payload length
 * @next: index of the word after it
 */
struct oni_write_frame {
	u32 addr;
	u32 words;
	size_t next;
};

int oni_table_announced(const struct oni_signal *sig, u32 *rows);
int oni_table_row(const struct oni_signal *sig, struct oni_device *row);
int oni_table_check(struct oni_device *table, u32 rows);
void oni_table_frames(const struct oni_device *table, u32 rows, u32 *max_read,
		      u32 *max_write);
int oni_table_find(const struct oni_device *table, u32 rows, u32 addr,
		   struct oni_device *row);
int oni_write_frame_at(const u32 *buf, size_t words, size_t pos,
		       struct oni_write_frame *frame);
bool oni_write_frame_fits(const struct oni_write_frame *frame,
			  const struct oni_device *row);
u32 oni_write_frame_bits(const u32 *buf, const struct oni_write_frame *frame);
size_t oni_write_frame_fill(u32 *buf, u32 addr, u32 words, u32 value);

#endif /* ONI_TABLE_H */
