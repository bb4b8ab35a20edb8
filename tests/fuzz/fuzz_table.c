// SPDX-License-Identifier: MIT
/* fuzz-sources: userspace/lib/table.c userspace/lib/types.c */
/* fuzz-cflags: -Iuserspace/lib */
/*
 * fuzz_table - the library's copy of the device table against plain loops over
 * the rows, and its names against the addresses they stand for.
 *
 * Input: a row count, rows of 8 bytes, then a text to resolve.
 */
#include <errno.h>

#include "onidev.h"
#include "fuzz.h"

#define ROWS	24

static struct oni_device take_row(struct fuzz_in *in)
{
	struct oni_device row = { 0 };
	uint8_t hub, dev, kind;

	/* Small numbers, so that rows collide; now and then an impossible one. */
	hub = fuzz_u8(in);
	dev = fuzz_u8(in);
	kind = fuzz_u8(in);
	row.addr = (hub & 7u) << 8 | dev;
	if (kind >= 0xfc)
		row.addr |= fuzz_u8(in) << 16;
	row.id = kind & 63;
	row.version = fuzz_u8(in);
	row.read_size = fuzz_u16(in);
	row.write_size = fuzz_u16(in);
	return row;
}

static int makes_sense(const struct oni_device *rows, size_t n)
{
	size_t i, k;

	for (i = 0; i < n; i++) {
		if (rows[i].addr > 0xffff)
			return 0;
		for (k = 0; k < i; k++)
			if (rows[k].addr == rows[i].addr)
				return 0;
	}
	return 1;
}

static const struct oni_device *with_addr(const struct oni_device *rows, size_t n, uint32_t addr)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (rows[i].addr == addr)
			return &rows[i];
	return NULL;
}

static void check_rows(const struct onidev_table *t, const struct oni_device *rows, size_t n)
{
	uint32_t max = 0, addr, back;
	char name[ONIDEV_NAME_MAX];
	const struct oni_device *d;
	size_t i;

	FUZZ_CHECK(onidev_table_count(t) == n);
	FUZZ_CHECK(!onidev_table_at(t, n));
	for (i = 0; i < n; i++) {
		d = onidev_table_at(t, i);
		FUZZ_CHECK(!i || onidev_table_at(t, i - 1)->addr < d->addr);
		FUZZ_CHECK(!memcmp(d, with_addr(rows, n, d->addr), sizeof(*d)));
		if (d->read_size && 16 + (d->read_size + 3) / 4 * 4 > max)
			max = 16 + (d->read_size + 3) / 4 * 4;
	}
	FUZZ_CHECK(onidev_table_max_frame(t) == max);
	/* every address of the hubs that rows can be on, and some of no hub */
	for (addr = 0; addr < 0x900; addr++) {
		d = onidev_table_find_addr(t, addr);
		FUZZ_CHECK(!d == !with_addr(rows, n, addr));
		FUZZ_CHECK(!d || d->addr == addr);
		FUZZ_CHECK(d || errno == ENOENT);
		if (!d && (addr & 0xff) != 0xfe)
			continue;
		FUZZ_CHECK(onidev_table_name(t, addr, name) == name);
		FUZZ_CHECK(strlen(name) < sizeof(name));
		FUZZ_CHECK(onidev_table_resolve(t, name, &back) == 0 && back == addr);
	}
}

static void check_ids(const struct onidev_table *t)
{
	const struct oni_device *d;
	size_t i, nth, seen = 0;
	uint32_t id;

	for (id = 0; id < 66; id++) {
		for (nth = 0, i = 0; i < onidev_table_count(t); i++)
			if (onidev_table_at(t, i)->id == id) {
				d = onidev_table_find_id(t, id, nth++);
				FUZZ_CHECK(d == onidev_table_at(t, i));
				seen++;
			}
		FUZZ_CHECK(!onidev_table_find_id(t, id, nth) && errno == ENOENT);
	}
	FUZZ_CHECK(seen == onidev_table_count(t));
}

static void check_text(const struct onidev_table *t, struct fuzz_in *in)
{
	char text[64] = "";
	uint32_t addr;
	int rc;

	memcpy(text, in->data, in->len < sizeof(text) - 1 ? in->len : sizeof(text) - 1);
	errno = 0;
	rc = onidev_table_resolve(t, text, &addr);
	if (rc == 0) {
		FUZZ_CHECK(addr <= 0xffff);
		FUZZ_CHECK((addr & 0xff) == 0xfe || onidev_table_find_addr(t, addr));
		return;
	}
	FUZZ_CHECK(rc == -1);
	FUZZ_CHECK(errno == EINVAL || errno == ENOENT || errno == ENOTUNIQ || errno == ERANGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct oni_device rows[ROWS];
	struct onidev_table *t;
	size_t i, n = fuzz_u8(&in) % (ROWS + 1);

	for (i = 0; i < n; i++)
		rows[i] = take_row(&in);
	t = onidev_table_new(rows, n, 7);
	FUZZ_CHECK(!t == !makes_sense(rows, n));
	if (!t) {
		FUZZ_CHECK(errno == EINVAL);
		return 0;
	}
	check_rows(t, rows, n);
	check_ids(t);
	check_text(t, &in);
	onidev_table_free(t);
	return 0;
}
