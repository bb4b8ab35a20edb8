// SPDX-License-Identifier: MIT
/*
 * usb_find.c - which Acquisition Boards are on USB, and who has them.
 *
 * Reads sysfs through udev; opens no node and sends nothing to any device. A board is
 * one by its ids and its product string: the ids are those of every product with this
 * chip.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libudev.h>

#include "usb.h"

static const char *attr(struct udev_device *dev, const char *name)
{
	const char *value = udev_device_get_sysattr_value(dev, name);

	return value ? value : "";
}

/* What is below a board: drivers of its interfaces, the node of the kernel driver. */
static void look_below(struct udev_device *child, struct usb_place *p)
{
	const char *subsystem = udev_device_get_subsystem(child);
	const char *driver = udev_device_get_driver(child);
	const char *devtype = udev_device_get_devtype(child);

	if (!subsystem)
		return;
	if (!strcmp(subsystem, "oni") && !p->kernel[0])
		snprintf(p->kernel, sizeof(p->kernel), "%s", udev_device_get_sysname(child));
	/* Any driver is in the way; one of the kernel is the better explanation. */
	if (!strcmp(subsystem, "usb") && devtype && !strcmp(devtype, "usb_interface") &&
	    driver && (!p->driver[0] || !strcmp(p->driver, "usbfs")))
		snprintf(p->driver, sizeof(p->driver), "%s", driver);
}

static int scan_below(struct udev *udev, struct udev_device *dev, struct usb_place *p)
{
	struct udev_enumerate *scan = udev_enumerate_new(udev);
	struct udev_list_entry *l;

	if (!scan)
		return -ENOMEM;
	if (udev_enumerate_add_match_parent(scan, dev) < 0 ||
	    udev_enumerate_scan_devices(scan) < 0) {
		udev_enumerate_unref(scan);
		return -ENOMEM;
	}
	udev_list_entry_foreach(l, udev_enumerate_get_list_entry(scan)) {
		struct udev_device *child;

		child = udev_device_new_from_syspath(udev, udev_list_entry_get_name(l));
		if (!child)
			continue;	/* gone since the scan */
		look_below(child, p);
		udev_device_unref(child);
	}
	udev_enumerate_unref(scan);
	return 0;
}

/* 1: @p describes the board @dev; 0: it is none. */
static int describe(struct udev *udev, struct udev_device *dev, struct usb_place *p)
{
	const char *node = udev_device_get_devnode(dev);
	int ret;

	if (!node || strcmp(attr(dev, "product"), USB_BOARD))
		return 0;
	memset(p, 0, sizeof(*p));
	snprintf(p->serial, sizeof(p->serial), "%s", attr(dev, "serial"));
	snprintf(p->path, sizeof(p->path), "%s", udev_device_get_sysname(dev));
	snprintf(p->node, sizeof(p->node), "%s", node);
	ret = scan_below(udev, dev, p);
	return ret ? ret : 1;
}

static int add(struct udev *udev, const char *syspath, struct usb_place **places, int *count)
{
	struct udev_device *dev = udev_device_new_from_syspath(udev, syspath);
	struct usb_place *more;
	int ret;

	if (!dev)
		return 0;	/* unplugged since the scan */
	more = realloc(*places, ((size_t)*count + 1) * sizeof(*more));
	if (more)
		*places = more;
	ret = more ? describe(udev, dev, &more[*count]) : -ENOMEM;
	udev_device_unref(dev);
	if (ret > 0)
		++*count;
	return ret < 0 ? ret : 0;
}

static int place_compare(const void *a, const void *b)
{
	const struct usb_place *x = a, *y = b;

	return strverscmp(x->path, y->path);
}

/* How many boards have this serial number? */
static int serial_count(const struct usb_place *places, int count, const char *serial)
{
	int i, n = 0;

	for (i = 0; i < count; i++)
		n += !strcmp(places[i].serial, serial);
	return n;
}

static int scan_all(struct udev *udev, struct usb_place **places, int *count)
{
	struct udev_enumerate *scan = udev_enumerate_new(udev);
	struct udev_list_entry *l;
	int ret = -ENOMEM;

	if (!scan)
		return ret;
	if (udev_enumerate_add_match_subsystem(scan, "usb") >= 0 &&
	    udev_enumerate_add_match_sysattr(scan, "idVendor", "0403") >= 0 &&
	    udev_enumerate_add_match_sysattr(scan, "idProduct", "601e") >= 0 &&
	    udev_enumerate_scan_devices(scan) >= 0)
		ret = 0;
	if (!ret)
		udev_list_entry_foreach(l, udev_enumerate_get_list_entry(scan))
			if (!ret)
				ret = add(udev, udev_list_entry_get_name(l), places, count);
	udev_enumerate_unref(scan);
	return ret;
}

int usb_places(struct usb_place **places)
{
	struct udev *udev = udev_new();
	int ret, count = 0, i;

	*places = NULL;
	if (!udev)
		return -ENOMEM;
	ret = scan_all(udev, places, &count);
	udev_unref(udev);
	if (ret) {
		free(*places);
		*places = NULL;
		return ret;
	}
	if (count)
		qsort(*places, (size_t)count, sizeof(**places), place_compare);
	for (i = 0; i < count; i++) {
		struct usb_place *p = &(*places)[i];
		bool unique = p->serial[0] && serial_count(*places, count, p->serial) == 1;

		snprintf(p->name, sizeof(p->name), "usb:%s", unique ? p->serial : p->path);
	}
	return count;
}

/* The first one that nobody has, or else the first. */
static const struct usb_place *first(const struct usb_place *places, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (!places[i].driver[0])
			return &places[i];
	return places;
}

static bool answers(const struct usb_place *p, const char *which)
{
	const char *bare = strncmp(which, "usb:", 4) ? which : which + 4;

	return !strcmp(p->node, which) || !strcmp(p->path, bare) ||
	       (p->serial[0] && !strcmp(p->serial, bare));
}

int usb_find(const char *which, struct usb_place *place)
{
	struct usb_place *places;
	int count = usb_places(&places), ret = -ENOENT, i;

	if (count <= 0) {
		free(places);
		return count ? count : -ENODEV;
	}
	if (!which || !strcmp(which, "first")) {
		*place = *first(places, count);
		ret = 0;
	} else {
		for (i = 0; i < count; i++) {
			if (!answers(&places[i], which))
				continue;
			*place = places[i];
			ret = ret ? 0 : 1;
			if (ret)
				break;
		}
	}
	free(places);
	return ret > 0 ? -ENOTUNIQ : ret;
}
