// SPDX-License-Identifier: MIT
/*
 * device.c - open, claim and look up, with errors said in one place.
 */
#include <errno.h>
#include <stdio.h>

#include "onictl.h"

static struct onidev_controller *open_flags(unsigned int flags)
{
	struct onidev_controller *ctl;

	ctl = onidev_controller_open(settings.device, flags | settings.backend);
	if (!ctl)
		open_failed(errno);
	return ctl;
}

struct onidev_controller *open_reader(void)
{
	return open_flags(ONIDEV_OPEN_RDONLY);
}

struct onidev_controller *open_owner(void)
{
	struct onidev_controller *ctl = open_flags(0);

	if (!ctl)
		return NULL;
	if (onidev_controller_claim(ctl) == 0)
		return ctl;
	op_failed(ONIDEV_OP_CLAIM, errno, onidev_controller_name(ctl));
	onidev_controller_close(ctl);
	return NULL;
}

struct onidev_table *load_table(struct onidev_controller *ctl)
{
	struct onidev_table *table = onidev_controller_table(ctl);

	if (!table)
		op_failed(ONIDEV_OP_DEVICE_TABLE, errno, NULL);
	return table;
}

int resolve(const struct onidev_table *table, const char *text, uint32_t *addr)
{
	if (onidev_table_resolve(table, text, addr) == 0)
		return 0;
	switch (errno) {
	case ENOTUNIQ:
		fail_text("several devices are called '%s': add @hub.device, for example "
			  "'%s@1.0' ('onictl devices' shows the names)", text, text);
		break;
	case ERANGE:
		fail_text("device address '%s' is above 0xffff", text);
		break;
	case EINVAL:
		fail_text("'%s' is no device: give an address (0x100), hub.device (1.0) or a "
			  "name that 'onictl devices' shows", text);
		break;
	default:
		fail_text("there is no device '%s': 'onictl devices' shows what is there; a "
			  "headstage appears after its port was powered", text);
	}
	return -1;
}

const struct onidev_type *type_at(const struct onidev_table *table, uint32_t addr)
{
	const struct oni_device *dev;

	if ((addr & 0xff) == 0xfe)
		return onidev_type_find_id(ONIDEV_ID_INFO);
	dev = onidev_table_find_addr(table, addr);
	return dev ? onidev_type_find_id(dev->id) : NULL;
}
