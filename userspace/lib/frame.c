// SPDX-License-Identifier: MIT
/*
 * frame.c - read frames as bytes: parse, build, find the next border.
 *
 * Pure: no I/O, no state, no allocation; works on any span of bytes (ring,
 * read(2) buffer, file) at any alignment. The layout is the ONI v1.0 spec's read
 * channel as liboni reads it: u64 acquisition clock, u32 device address, u32
 * sample bytes, sample, padding to 4 bytes. What the padding contains is not
 * specified and therefore not looked at.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "table.h"

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

/* Does (address, size) belong to a row? Its index, or -1 and *@why. */
static int header_check(const struct onidev_table *t, uint32_t addr, uint32_t size,
			enum onidev_frame_error *why)
{
	int i = table_lookup(t, addr);

	if (i < 0 || t->rows[i].id == ONIDEV_ID_NULL) {
		*why = ONIDEV_FRAME_ADDR;
		return -1;
	}
	if (!t->rows[i].read_size) {
		*why = ONIDEV_FRAME_SILENT;
		return -1;
	}
	if (t->rows[i].read_size != size) {
		*why = ONIDEV_FRAME_SIZE;
		return -1;
	}
	*why = ONIDEV_FRAME_OK;
	return i;
}

int onidev_frame_parse(const struct onidev_table *table, const void *buf, size_t len,
		       struct onidev_frame *frame, enum onidev_frame_error *why)
{
	enum onidev_frame_error reason;
	const uint8_t *p = buf;
	int i;

	if (len < ONIDEV_FRAME_HEADER)
		return 0;
	frame->clock = load64(p);
	frame->addr = load32(p + 8);
	frame->size = load32(p + 12);
	frame->position = 0;
	i = header_check(table, frame->addr, frame->size, why ? why : &reason);
	if (i < 0) {
		errno = EPROTO;
		return -1;
	}
	frame->wire = onidev_frame_wire(frame->size);
	if (len < frame->wire)
		return 0;
	frame->sample = p + ONIDEV_FRAME_HEADER;
	frame->dev = &table->rows[i];
	frame->index = (uint32_t)i;
	return 1;
}

const char *onidev_frame_reason(enum onidev_frame_error why)
{
	switch (why) {
	case ONIDEV_FRAME_OK:
		return "no error";
	case ONIDEV_FRAME_ADDR:
		return "no device has this address";
	case ONIDEV_FRAME_SILENT:
		return "the device at this address sends no frames";
	case ONIDEV_FRAME_SIZE:
		return "the sample size is not the one in the device table";
	}
	return "unknown reason";
}

/* Do @need headers follow one another from @p? A cut at the end of the span counts as yes. */
static int border_plausible(const struct onidev_table *t, const uint8_t *p, size_t len,
			    unsigned int need)
{
	enum onidev_frame_error why;
	uint32_t size, wire;

	for (; need; need--) {
		if (len < ONIDEV_FRAME_HEADER)
			return 1;
		size = load32(p + 12);
		if (header_check(t, load32(p + 8), size, &why) < 0)
			return 0;
		wire = onidev_frame_wire(size);
		if (wire >= len)
			return 1;
		p += wire;
		len -= wire;
	}
	return 1;
}

size_t onidev_frame_resync(const struct onidev_table *table, const void *buf, size_t len,
			   unsigned int need)
{
	const uint8_t *p = buf;
	size_t at;

	len &= ~(size_t)3;
	for (at = 0; at + ONIDEV_FRAME_HEADER <= len; at += 4)
		if (border_plausible(table, p + at, len - at, need))
			break;
	return at;
}

size_t onidev_frame_build(void *buf, size_t len, uint64_t clock, uint32_t addr,
			  const void *sample, uint32_t size)
{
	uint64_t wire = ONIDEV_FRAME_HEADER + (((uint64_t)size + 3) & ~3ull);
	uint64_t c = htole64(clock);
	uint32_t a = htole32(addr), s = htole32(size);
	uint8_t *p = buf;

	if (wire > len) {
		errno = ENOSPC;
		return 0;
	}
	memcpy(p, &c, 8);
	memcpy(p + 8, &a, 4);
	memcpy(p + 12, &s, 4);
	memcpy(p + ONIDEV_FRAME_HEADER, sample, size);
	memset(p + ONIDEV_FRAME_HEADER + size, 0, wire - ONIDEV_FRAME_HEADER - size);
	return wire;
}

uint64_t onidev_frame_hub_clock(const struct onidev_frame *frame)
{
	if (frame->size < 8)
		return 0;
	/* The Neuropixels 1.0f device is the only one with its clock at the end. */
	if (frame->dev && frame->dev->id == ONIDEV_ID_NEUROPIXELS1F)
		return load64((const uint8_t *)frame->sample + frame->size - 8);
	return load64(frame->sample);
}
