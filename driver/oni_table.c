// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Device table and write frames: what of it makes sense. See oni_table.h.
 *
 * The table comes from a board that may run the wrong gateware and the frames
 * come from user space; neither is believed.
 */
#ifdef __KERNEL__
#include <asm/byteorder.h>
#include <linux/errno.h>
#include <linux/sort.h>
#else
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#define sort(base, n, size, cmp, swap)	qsort(base, n, size, cmp)
#define cpu_to_le32(v)			htole32(v)
#define le32_to_cpu(v)			le32toh(v)
#define __force
#define __le32				u32
#endif

#include "oni_table.h"

/**
 * oni_table_announced - take the packet that begins a table
 * @sig: a packet with ONI_SIG_TABLEACK
 * @rows: out: number of row packets that follow
 *
 * Return: 0, or -EPROTO.
 */
int oni_table_announced(const struct oni_signal *sig, u32 *rows)
{
	if (sig->words < 1 || !sig->data[0] || sig->data[0] > ONI_MAX_ROWS)
		return -EPROTO;
	*rows = sig->data[0];
	return 0;
}

/**
 * oni_table_row - take one row
 * @sig: the packet
 * @row: out
 *
 * Return: 0, or -EPROTO: no row, an address that cannot be, an absurd size.
 */
int oni_table_row(const struct oni_signal *sig, struct oni_device *row)
{
	if (sig->flag != ONI_SIG_DEVICE || sig->words < ONI_SIG_DEVICE_WORDS)
		return -EPROTO;
	*row = (struct oni_device){
		.addr = sig->data[0],
		.id = sig->data[1],
		.version = sig->data[2],
		.read_size = sig->data[3],
		.write_size = sig->data[4],
	};
	if (row->addr > 0xffff || (row->addr & 0xff) >= ONI_HUB_INFO ||
	    row->read_size > ONI_MAX_SAMPLE || row->write_size > ONI_MAX_SAMPLE)
		return -EPROTO;
	return 0;
}

static int row_cmp(const void *a, const void *b)
{
	const struct oni_device *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/**
 * oni_table_check - sort a complete table by address
 * @table: its rows
 * @rows: how many
 *
 * Return: 0, or -EPROTO if two rows have one address.
 */
int oni_table_check(struct oni_device *table, u32 rows)
{
	u32 i;

	sort(table, rows, sizeof(*table), row_cmp, NULL);
	for (i = 1; i < rows; i++)
		if (table[i].addr == table[i - 1].addr)
			return -EPROTO;
	return 0;
}

/* Frames are made of whole words. */
static u32 padded(u32 bytes)
{
	return (bytes + 3) & ~3U;
}

/**
 * oni_table_frames - largest frames that can occur
 * @table: a checked table
 * @rows: how many
 * @max_read: out: bytes with header and padding; 0: no device sends any
 * @max_write: out: the same of one write unit
 */
void oni_table_frames(const struct oni_device *table, u32 rows, u32 *max_read,
		      u32 *max_write)
{
	u32 i, rd = 0, wr = 0;

	for (i = 0; i < rows; i++) {
		if (table[i].read_size > rd)
			rd = table[i].read_size;
		if (table[i].write_size > wr)
			wr = table[i].write_size;
	}
	*max_read = rd ? padded(rd) + ONI_FRAME_HEADER : 0;
	*max_write = wr ? padded(wr) + ONI_WRITE_HEADER : 0;
}

/**
 * oni_table_find - look up a device
 * @table: a checked table
 * @rows: how many
 * @addr: full address; a hub information device is there if its hub has a row
 * @row: out
 *
 * Return: 0, or -ENOENT.
 */
int oni_table_find(const struct oni_device *table, u32 rows, u32 addr,
		   struct oni_device *row)
{
	u32 i;

	for (i = 0; i < rows; i++) {
		if ((addr & 0xff) == ONI_HUB_INFO &&
		    table[i].addr >> 8 == addr >> 8) {
			*row = (struct oni_device){ .addr = addr };
			return 0;
		}
		if (table[i].addr == addr && table[i].id) {
			*row = table[i];
			return 0;
		}
	}
	return -ENOENT;
}

/**
 * oni_write_frame_at - find the frame at @pos
 * @buf: words as on the wire, little endian
 * @words: how many
 * @pos: index of the frame's first word, less than @words
 * @frame: out
 *
 * Return: 0, or -EINVAL if no whole frame with a payload is there.
 */
int oni_write_frame_at(const u32 *buf, size_t words, size_t pos,
		       struct oni_write_frame *frame)
{
	size_t len;

	if (words - pos < 2)
		return -EINVAL;
	len = le32_to_cpu((__force __le32)buf[pos + 1]);
	if (!len || len > words - pos - 2)
		return -EINVAL;
	frame->addr = le32_to_cpu((__force __le32)buf[pos]);
	frame->words = len;
	frame->next = pos + 2 + len;
	return 0;
}

/* Does the device take payloads of that length? */
bool oni_write_frame_fits(const struct oni_write_frame *frame,
			  const struct oni_device *row)
{
	/* Nobody sends 4 GiB; without the limit the product could wrap. */
	return row->write_size && frame->words < 1U << 30 &&
	       frame->words * 4 % row->write_size == 0;
}

/**
 * oni_write_frame_bits - which bits are set anywhere in a payload?
 * @buf: as for oni_write_frame_at()
 * @frame: what that has found
 */
u32 oni_write_frame_bits(const u32 *buf, const struct oni_write_frame *frame)
{
	u32 bits = 0;
	size_t i;

	for (i = frame->next - frame->words; i < frame->next; i++)
		bits |= le32_to_cpu((__force __le32)buf[i]);
	return bits;
}

/**
 * oni_write_frame_fill - make a frame whose words are all the same
 * @buf: out, little endian; room for the header and @words
 * @addr: device address
 * @words: payload length
 * @value: of each
 *
 * Return: words of the frame, header included.
 */
size_t oni_write_frame_fill(u32 *buf, u32 addr, u32 words, u32 value)
{
	u32 i;

	buf[0] = (__force u32)cpu_to_le32(addr);
	buf[1] = (__force u32)cpu_to_le32(words);
	for (i = 0; i < words; i++)
		buf[2 + i] = (__force u32)cpu_to_le32(value);
	return 2 + words;
}
