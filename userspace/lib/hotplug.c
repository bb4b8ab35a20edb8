// SPDX-License-Identifier: MIT
/*
 * hotplug.c - hear when controllers come and go.
 *
 * Owns struct onidev_hotplug. Listens to what udevd announces when it has done with a
 * device, so that rights and links are in place; opens no node.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <libudev.h>

#include "onidev.h"

/* PRODUCT of a USB device in the kernel's words: vendor/product/version. */
#define USB_PRODUCT_ID	"403/601e/"

struct onidev_hotplug {
	struct udev *udev;
	struct udev_monitor *monitor;
	unsigned int flags;
};

static int listen_to(struct onidev_hotplug *h)
{
	struct udev_monitor *m = udev_monitor_new_from_netlink(h->udev, "udev");

	h->monitor = m;
	if (!m)
		return -1;
	if (h->flags != ONIDEV_OPEN_USB &&
	    udev_monitor_filter_add_match_subsystem_devtype(m, "oni", NULL) < 0)
		return -1;
	if (h->flags != ONIDEV_OPEN_KERNEL &&
	    udev_monitor_filter_add_match_subsystem_devtype(m, "usb", NULL) < 0)
		return -1;
	return udev_monitor_enable_receiving(m) < 0 ? -1 : 0;
}

struct onidev_hotplug *onidev_hotplug_new(unsigned int flags)
{
	struct onidev_hotplug *h;

	if (flags && flags != ONIDEV_OPEN_KERNEL && flags != ONIDEV_OPEN_USB) {
		errno = EINVAL;
		return NULL;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->flags = flags;
	h->udev = udev_new();
	if (h->udev && listen_to(h) == 0)
		return h;
	onidev_hotplug_free(h);
	return NULL;
}

void onidev_hotplug_free(struct onidev_hotplug *hotplug)
{
	int saved = errno;

	if (!hotplug)
		return;
	if (hotplug->monitor)
		udev_monitor_unref(hotplug->monitor);
	if (hotplug->udev)
		udev_unref(hotplug->udev);
	free(hotplug);
	errno = saved;
}

int onidev_hotplug_fd(const struct onidev_hotplug *hotplug)
{
	return udev_monitor_get_fd(hotplug->monitor);
}

/*
 * Is the event about something that a list shows? A device that is gone has no
 * attributes any more, so any product with this chip counts; of USB also interfaces,
 * whose drivers a list tells.
 */
static int concerns(struct udev_device *dev)
{
	const char *subsystem = udev_device_get_subsystem(dev);
	const char *product;

	if (subsystem && !strcmp(subsystem, "oni"))
		return 1;
	product = udev_device_get_property_value(dev, "PRODUCT");
	return product && !strncmp(product, USB_PRODUCT_ID, sizeof(USB_PRODUCT_ID) - 1);
}

int onidev_hotplug_next(struct onidev_hotplug *hotplug)
{
	struct udev_device *dev;
	int found = 0;

	while ((dev = udev_monitor_receive_device(hotplug->monitor))) {
		found |= concerns(dev);
		udev_device_unref(dev);
	}
	return found;
}
