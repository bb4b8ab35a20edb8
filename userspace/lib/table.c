// SPDX-License-Identifier: MIT
/*
 * table.c - copies of the device table: look-up by address, id and name.
 *
 * Owns struct onidev_table. Pure: no I/O, immutable after onidev_table_new(),
 * so it needs no lock. Addresses are hub << 8 | device (ONI v1.0 spec, device
 * table); index 0xfe of a hub is its information device and never in a table.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "table.h"
#include "text.h"

#define MAX_ROWS	INT16_MAX

static int row_compare(const void *a, const void *b)
{
	const struct oni_device *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* Enter row @i into the address map; 0, or -1 and errno. */
static int row_map(struct onidev_table *t, uint32_t i)
{
	uint32_t addr = t->rows[i].addr;
	int16_t *hub;

	if (addr > 0xffff) {
		errno = EINVAL;
		return -1;
	}
	hub = t->hub[addr >> 8];
	if (!hub) {
		hub = malloc(256 * sizeof(*hub));
		if (!hub)
			return -1;
		memset(hub, 0xff, 256 * sizeof(*hub));
		t->hub[addr >> 8] = hub;
	}
	if (hub[addr & 0xff] >= 0) {
		errno = EINVAL;
		return -1;
	}
	hub[addr & 0xff] = (int16_t)i;
	return 0;
}

struct onidev_table *onidev_table_new(const struct oni_device *rows, size_t count,
				      uint32_t generation)
{
	struct onidev_table *t;
	uint32_t i;

	if (count > MAX_ROWS) {
		errno = EINVAL;
		return NULL;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->rows = calloc(count ? count : 1, sizeof(*rows));
	if (!t->rows)
		goto fail;
	if (count)
		memcpy(t->rows, rows, count * sizeof(*rows));
	t->count = (uint32_t)count;
	t->generation = generation;
	qsort(t->rows, count, sizeof(*rows), row_compare);
	for (i = 0; i < t->count; i++) {
		uint32_t wire = onidev_frame_wire(t->rows[i].read_size);

		if (row_map(t, i) < 0)
			goto fail;
		if (t->rows[i].read_size && wire > t->max_frame)
			t->max_frame = wire;
	}
	return t;
fail:
	onidev_table_free(t);
	return NULL;
}

struct onidev_table *onidev_table_copy(const struct onidev_table *table)
{
	return onidev_table_new(table->rows, table->count, table->generation);
}

void onidev_table_free(struct onidev_table *table)
{
	int saved = errno;
	size_t i;

	if (!table)
		return;
	for (i = 0; i < 256; i++)
		free(table->hub[i]);
	free(table->rows);
	free(table);
	errno = saved;
}

uint32_t onidev_table_generation(const struct onidev_table *table)
{
	return table->generation;
}

size_t onidev_table_count(const struct onidev_table *table)
{
	return table->count;
}

const struct oni_device *onidev_table_at(const struct onidev_table *table, size_t i)
{
	return i < table->count ? &table->rows[i] : NULL;
}

uint32_t onidev_table_max_frame(const struct onidev_table *table)
{
	return table->max_frame;
}

int onidev_table_index(const struct onidev_table *table, uint32_t addr)
{
	int i = table_lookup(table, addr);

	if (i < 0)
		errno = ENOENT;
	return i;
}

const struct oni_device *onidev_table_find_addr(const struct onidev_table *table, uint32_t addr)
{
	int i = onidev_table_index(table, addr);

	return i < 0 ? NULL : &table->rows[i];
}

const struct oni_device *onidev_table_find_id(const struct onidev_table *table, uint32_t id,
					      size_t nth)
{
	uint32_t i;

	for (i = 0; i < table->count; i++)
		if (table->rows[i].id == id && nth-- == 0)
			return &table->rows[i];
	errno = ENOENT;
	return NULL;
}

/*
 * Name of one row without regard to the others. Port controllers are known by
 * their letter: it is what is printed on the hardware.
 */
static void row_name(const struct oni_device *row, char *buf, size_t len)
{
	const struct onidev_type *type;

	if (row->id == ONIDEV_ID_PORT_CONTROLLER && row->addr >= 1 && row->addr <= 26) {
		snprintf(buf, len, "port-%c", (int)('a' + row->addr - 1));
		return;
	}
	type = onidev_type_find_id(row->id);
	if (type)
		snprintf(buf, len, "%s", type->name);
	else
		snprintf(buf, len, "id%u", row->id);
}

/* Rows called @name; the address of the last one in *@addr. NULL rows have none. */
static unsigned int name_count(const struct onidev_table *t, const char *name, uint32_t *addr)
{
	char buf[ONIDEV_NAME_MAX];
	unsigned int n = 0;
	uint32_t i;

	for (i = 0; i < t->count; i++) {
		if (t->rows[i].id == ONIDEV_ID_NULL)
			continue;
		row_name(&t->rows[i], buf, sizeof(buf));
		if (strcasecmp(buf, name))
			continue;
		n++;
		*addr = t->rows[i].addr;
	}
	return n;
}

char *onidev_table_name(const struct onidev_table *table, uint32_t addr, char *buf)
{
	const struct oni_device *row;
	char name[ONIDEV_NAME_MAX - 8];
	uint32_t dummy;
	int i = table_lookup(table, addr);

	if (i < 0 || table->rows[i].id == ONIDEV_ID_NULL) {
		if ((addr & 0xff) == 0xfe && addr <= 0xffff)
			snprintf(buf, ONIDEV_NAME_MAX, "hub%u.info", ONIDEV_HUB(addr));
		else
			snprintf(buf, ONIDEV_NAME_MAX, "0x%03x", addr);
		return buf;
	}
	row = &table->rows[i];
	row_name(row, name, sizeof(name));
	if (name_count(table, name, &dummy) > 1)
		snprintf(buf, ONIDEV_NAME_MAX, "%s@%u.%u", name, ONIDEV_HUB(addr), addr & 0xff);
	else
		snprintf(buf, ONIDEV_NAME_MAX, "%s", name);
	return buf;
}

/* Decimal number of at most three digits at *@s, which moves behind it; -1 if none. */
static int take_byte(const char **s)
{
	int v = 0, n = 0;

	for (; isdigit((unsigned char)**s) && n < 3; (*s)++, n++)
		v = v * 10 + (**s - '0');
	return n && v <= 255 && !isdigit((unsigned char)**s) ? v : -1;
}

/* "H.D" up to the end of the string. 0 and *@addr, or -1. */
static int parse_dotted(const char *s, uint32_t *addr)
{
	int hub, dev;

	hub = take_byte(&s);
	if (hub < 0 || *s++ != '.')
		return -1;
	dev = take_byte(&s);
	if (dev < 0 || *s)
		return -1;
	*addr = (uint32_t)(hub << 8 | dev);
	return 0;
}

/* "hubH", "hubH.info", "hubH.D". 0 and *@addr, or -1. */
static int parse_hub(const char *s, uint32_t *addr)
{
	const char *p;
	int hub;

	if (strncasecmp(s, "hub", 3))
		return -1;
	p = s + 3;
	hub = take_byte(&p);
	if (hub < 0)
		return -1;
	if (!*p || !strcasecmp(p, ".info")) {
		*addr = ONIDEV_HUB_INFO(hub);
		return 0;
	}
	return parse_dotted(s + 3, addr);
}

/* The address must be a row or a hub information device. */
static int check_addr(const struct onidev_table *t, uint32_t addr)
{
	if ((addr & 0xff) == 0xfe || table_lookup(t, addr) >= 0)
		return 0;
	errno = ENOENT;
	return -1;
}

/* "name@H.D": the row at H.D, provided that it has this name. */
static int resolve_qualified(const struct onidev_table *t, const char *text, const char *at,
			     uint32_t *addr)
{
	char name[ONIDEV_NAME_MAX];
	int i;

	if (parse_dotted(at + 1, addr) < 0) {
		errno = EINVAL;
		return -1;
	}
	i = table_lookup(t, *addr);
	if (i >= 0) {
		row_name(&t->rows[i], name, sizeof(name));
		if (strlen(name) == (size_t)(at - text) &&
		    !strncasecmp(name, text, (size_t)(at - text)))
			return 0;
	}
	errno = ENOENT;
	return -1;
}

static int resolve_number(const struct onidev_table *t, const char *text, uint32_t *addr)
{
	if (text_u32(text, addr) < 0)
		return -1;
	if (*addr > 0xffff) {
		errno = ERANGE;
		return -1;
	}
	return check_addr(t, *addr);
}

int onidev_table_resolve(const struct onidev_table *table, const char *text, uint32_t *addr)
{
	const char *at = strchr(text, '@');
	unsigned int n;

	if (at)
		return resolve_qualified(table, text, at, addr);
	if (!parse_dotted(text, addr) || !parse_hub(text, addr))
		return check_addr(table, *addr);
	if (isdigit((unsigned char)*text))
		return resolve_number(table, text, addr);
	if (!isalpha((unsigned char)*text)) {
		errno = EINVAL;
		return -1;
	}
	n = name_count(table, text, addr);
	if (n == 1)
		return 0;
	errno = n ? ENOTUNIQ : ENOENT;
	return -1;
}
