// SPDX-License-Identifier: MIT
/*
 * list.c - find controllers through udev: nodes of the kernel drivers, boards on USB.
 *
 * Owns struct onidev_list. Reads sysfs and the udev database; opens no device node,
 * so it works for users without access and disturbs nobody.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libudev.h>

#include "onidev.h"
#include "usb/usb.h"

struct item {
	struct onidev_list_entry entry;
	unsigned int number;
	struct udev_device *dev;	/* owns the strings of entry; NULL: a board's place does */
};

struct onidev_list {
	struct udev *udev;
	struct item *items;
	size_t count;
	struct usb_place *places;
};

/* "oniN" and nothing behind it: other nodes of the class are no controllers. */
static int controller_number(const char *name, unsigned int *number)
{
	int end = 0;

	return name && sscanf(name, "oni%u%n", number, &end) == 1 && end > 3 && !name[end];
}

static const char *find_link(struct udev_device *dev, const char *folder)
{
	struct udev_list_entry *l;

	udev_list_entry_foreach(l, udev_device_get_devlinks_list_entry(dev)) {
		const char *link = udev_list_entry_get_name(l);

		if (link && strstr(link, folder))
			return link;
	}
	return NULL;
}

/* Room for one more, all zero; NULL: no memory. */
static struct item *item_new(struct onidev_list *list)
{
	struct item *more = realloc(list->items, (list->count + 1) * sizeof(*more));

	if (!more)
		return NULL;
	list->items = more;
	memset(&more[list->count], 0, sizeof(*more));
	return &more[list->count++];
}

/* Takes a reference on @dev. */
static int list_add(struct onidev_list *list, struct udev_device *dev)
{
	const char *name = udev_device_get_sysname(dev);
	unsigned int number;
	struct item *it;

	if (!controller_number(name, &number) || !udev_device_get_devnode(dev))
		return 0;
	it = item_new(list);
	if (!it)
		return -1;
	it->entry.backend = "kernel";
	it->dev = udev_device_ref(dev);
	it->number = number;
	it->entry.name = name;
	it->entry.node = udev_device_get_devnode(dev);
	it->entry.by_id = find_link(dev, "/oni/by-id/");
	it->entry.by_path = find_link(dev, "/oni/by-path/");
	it->entry.transport = udev_device_get_sysattr_value(dev, "transport");
	it->entry.state = udev_device_get_sysattr_value(dev, "state");
	it->entry.hardware_id = udev_device_get_sysattr_value(dev, "hardware_id");
	it->entry.firmware_version = udev_device_get_sysattr_value(dev, "firmware_version");
	return 0;
}

static int item_compare(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int list_scan(struct onidev_list *list)
{
	struct udev_enumerate *scan = udev_enumerate_new(list->udev);
	struct udev_list_entry *l;
	int rc = -1;

	if (!scan)
		return -1;
	if (udev_enumerate_add_match_subsystem(scan, "oni") < 0 ||
	    udev_enumerate_scan_devices(scan) < 0)
		goto out;
	udev_list_entry_foreach(l, udev_enumerate_get_list_entry(scan)) {
		struct udev_device *dev;

		dev = udev_device_new_from_syspath(list->udev, udev_list_entry_get_name(l));
		if (!dev)
			continue;	/* unplugged since the scan */
		rc = list_add(list, dev);
		udev_device_unref(dev);
		if (rc < 0)
			goto out;
	}
	rc = 0;
out:
	udev_enumerate_unref(scan);
	return rc;
}

static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

/* Boards on USB; @all: also those that are there as a node. */
static int list_usb(struct onidev_list *list, int all)
{
	int count = usb_places(&list->places), i;

	if (count < 0)
		errno = -count;
	for (i = 0; i < count; i++) {
		const struct usb_place *p = &list->places[i];
		struct item *it;

		if (!all && p->kernel[0])
			continue;
		it = item_new(list);
		if (!it)
			return -1;
		it->entry.name = p->name;
		it->entry.node = p->node;
		it->entry.transport = "libusb";
		it->entry.state = p->driver[0] ? "taken" : "free";
		it->entry.backend = "usb";
		it->entry.driver = or_null(p->driver);
	}
	return count < 0 ? -1 : 0;
}

static int list_nodes(struct onidev_list *list)
{
	if (list_scan(list) < 0)
		return -1;
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), item_compare);
	return 0;
}

struct onidev_list *onidev_list_find(unsigned int flags)
{
	struct onidev_list *list;
	int rc = 0;

	if (flags && flags != ONIDEV_OPEN_KERNEL && flags != ONIDEV_OPEN_USB) {
		errno = EINVAL;
		return NULL;
	}
	list = calloc(1, sizeof(*list));
	if (!list)
		return NULL;
	list->udev = udev_new();
	if (!list->udev)
		rc = -1;
	if (!rc && flags != ONIDEV_OPEN_USB)
		rc = list_nodes(list);
	if (!rc && flags != ONIDEV_OPEN_KERNEL)
		rc = list_usb(list, flags == ONIDEV_OPEN_USB);
	if (!rc)
		return list;
	onidev_list_free(list);
	return NULL;
}

struct onidev_list *onidev_list_new(void)
{
	return onidev_list_find(0);
}

void onidev_list_free(struct onidev_list *list)
{
	int saved = errno;
	size_t i;

	if (!list)
		return;
	for (i = 0; i < list->count; i++)
		if (list->items[i].dev)
			udev_device_unref(list->items[i].dev);
	free(list->items);
	free(list->places);
	if (list->udev)
		udev_unref(list->udev);
	free(list);
	errno = saved;
}

size_t onidev_list_count(const struct onidev_list *list)
{
	return list->count;
}

const struct onidev_list_entry *onidev_list_at(const struct onidev_list *list, size_t i)
{
	return i < list->count ? &list->items[i].entry : NULL;
}
