// SPDX-License-Identifier: MIT
/*
 * controller.c - an open controller: information, claim, registers, table.
 *
 * May be used by one thread while another one reads a stream of it. Each call is one of
 * <linux/oni.h> (struct size filled in, reserved fields zero), which the backend
 * answers.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "usb/usb.h"

#define HUB_CLOCK_HZ	4u	/* register of a hub information device */

const char *onidev_version(void)
{
	return "0.1.0";
}

/* --- open ------------------------------------------------------------------- */

/* A name that only a board on USB can have. */
static int names_usb(const char *which)
{
	return which && (!strncmp(which, "usb:", 4) || !strncmp(which, "/dev/bus/usb/", 13));
}

/* Nothing of that name has a node, so another backend may be tried. */
static int no_node(int error)
{
	return error == ENODEV || error == ENOENT;
}

struct onidev_controller *onidev_controller_open(const char *which, unsigned int flags)
{
	unsigned int backend = flags & (ONIDEV_OPEN_KERNEL | ONIDEV_OPEN_USB);
	struct onidev_controller *c;
	int saved;

	if (flags & ~(ONIDEV_OPEN_RDONLY | ONIDEV_OPEN_KERNEL | ONIDEV_OPEN_USB) ||
	    backend == (ONIDEV_OPEN_KERNEL | ONIDEV_OPEN_USB)) {
		errno = EINVAL;
		return NULL;
	}
	if (backend == ONIDEV_OPEN_USB || (!backend && names_usb(which)))
		return usb_open(which, flags);
	c = kernel_open(which, flags);
	if (c || backend || !no_node(errno) || (which && strchr(which, '/')))
		return c;
	/* The first reason is the one to tell if the second try finds nothing either. */
	saved = errno;
	c = usb_open(which, flags);
	if (!c && no_node(errno))
		errno = saved;
	return c;
}

/* Why nobody but the one who has it can open the board at @p; @usb: through libusb. */
static int explain_taken(const struct usb_place *p, char *buf, size_t len)
{
	if (!strcmp(p->driver, "usbfs"))
		return snprintf(buf, len, "another program uses the board through libusb: end it "
				"('fuser -v %s' shows which)", p->node);
	if (!p->driver[0])
		return snprintf(buf, len, "somebody has just taken the board: try again");
	if (!p->kernel[0])
		return snprintf(buf, len, "the kernel driver %s has the board and shows no node "
				"for it: look at the kernel log, or take it away from the driver: "
				"echo %s:1.%d >/sys/bus/usb/drivers/%s/unbind", p->driver,
				p->path, USB_INTF_DATA, p->driver);
	return snprintf(buf, len, "the kernel driver %s has the board: use its node /dev/%s "
			"(--backend kernel), or take it away from the driver: "
			"echo %s:1.%d >/sys/bus/usb/drivers/%s/unbind", p->driver, p->kernel,
			p->path, USB_INTF_DATA, p->driver);
}

/* A board is on USB and has no node. */
static int explain_no_node(const struct usb_place *p, char *buf, size_t len)
{
	if (!strcmp(p->driver, "usbfs"))
		return snprintf(buf, len, "another program uses the board %s through libusb, so it "
				"has no node: end it ('fuser -v %s' shows which), then plug the "
				"board in again, or give it to the driver: "
				"echo %s:1.%d >/sys/bus/usb/drivers/oni_ft600/bind", p->name,
				p->node, p->path, USB_INTF_DATA);
	if (p->driver[0])
		return explain_taken(p, buf, len);
	return snprintf(buf, len, "the board %s is there, but no kernel driver has it: load "
			"oni_ft600 (modprobe), give the board to it if it is loaded "
			"(echo %s:1.%d >/sys/bus/usb/drivers/oni_ft600/bind), or do without "
			"(--backend usb)", p->name, p->path, USB_INTF_DATA);
}

static int explain_usb(const struct usb_place *p, int error, char *buf, size_t len)
{
	switch (error) {
	case EBUSY:
		return explain_taken(p, buf, len);
	case EACCES:
		return snprintf(buf, len, "no permission for %s: add yourself to group 'oni' "
				"(adduser USER oni) and log in again; the udev rules of this "
				"software must be installed", p->node);
	case ENOTTY:
		return snprintf(buf, len, "endpoints or settings of the chip are not those of the "
				"board: it was left alone");
	}
	return snprintf(buf, len, "%s", onidev_explain(ONIDEV_OP_OPEN, error));
}

int onidev_open_explain(const char *which, unsigned int flags, int error, char *buf, size_t len)
{
	int usb = flags & ONIDEV_OPEN_USB || names_usb(which);
	struct usb_place p;
	int ret = usb_find(which, &p);

	/* A node was meant, or everything that was tried has no such thing. */
	if (!ret && flags & ONIDEV_OPEN_KERNEL && no_node(error) && !p.kernel[0])
		return explain_no_node(&p, buf, len);
	if (flags & ONIDEV_OPEN_KERNEL || (!usb && which && which[0] == '/'))
		return snprintf(buf, len, "%s", onidev_explain(ONIDEV_OP_OPEN, error));
	if (!ret && (usb || !p.kernel[0]))
		return explain_usb(&p, error, buf, len);
	if (ret == -ENOTUNIQ && error == ENOTUNIQ)
		return snprintf(buf, len, "several boards have this serial number: name one by its "
				"place on the bus ('onictl --backend usb list')");
	if (usb && error == ENODEV)
		return snprintf(buf, len, "no Acquisition Board was found on USB: check that it is "
				"plugged in and has power ('lsusb' shows it as 0403:601e)");
	return snprintf(buf, len, "%s", onidev_explain(ONIDEV_OP_OPEN, error));
}

void onidev_controller_close(struct onidev_controller *ctl)
{
	int saved = errno;

	if (!ctl)
		return;
	ctl->ops->close(ctl);
	free(ctl);
	errno = saved;
}

const char *onidev_controller_name(const struct onidev_controller *ctl)
{
	return ctl->name;
}

const char *onidev_controller_node(const struct onidev_controller *ctl)
{
	return ctl->node;
}

int onidev_controller_fd(const struct onidev_controller *ctl)
{
	return ctl->fd;
}

/* --- one ioctl each ----------------------------------------------------------- */

int onidev_controller_info(struct onidev_controller *ctl, struct oni_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return ctl->ops->call(ctl, ONI_IOC_INFO, info);
}

int onidev_controller_stats(struct onidev_controller *ctl, struct oni_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	return ctl->ops->call(ctl, ONI_IOC_STATS, stats);
}

static int simple(struct onidev_controller *ctl, unsigned long request)
{
	struct oni_simple arg = { .size = sizeof(arg) };

	return ctl->ops->call(ctl, request, &arg);
}

int onidev_controller_claim(struct onidev_controller *ctl)
{
	return simple(ctl, ONI_IOC_CLAIM);
}

int onidev_controller_release(struct onidev_controller *ctl)
{
	return simple(ctl, ONI_IOC_RELEASE);
}

int onidev_controller_reset(struct onidev_controller *ctl)
{
	return simple(ctl, ONI_IOC_RESET);
}

int onidev_controller_start(struct onidev_controller *ctl)
{
	return simple(ctl, ONI_IOC_START);
}

int onidev_controller_stop(struct onidev_controller *ctl)
{
	return simple(ctl, ONI_IOC_STOP);
}

int onidev_reg_read(struct onidev_controller *ctl, uint32_t addr, uint32_t reg, uint32_t *value)
{
	struct oni_reg arg = { .size = sizeof(arg), .dev_addr = addr, .reg_addr = reg };

	if (ctl->ops->call(ctl, ONI_IOC_REG_READ, &arg) < 0)
		return -1;
	*value = arg.value;
	return 0;
}

int onidev_reg_write(struct onidev_controller *ctl, uint32_t addr, uint32_t reg, uint32_t value)
{
	struct oni_reg arg = {
		.size = sizeof(arg),
		.dev_addr = addr,
		.reg_addr = reg,
		.value = value,
	};

	return ctl->ops->call(ctl, ONI_IOC_REG_WRITE, &arg);
}

int onidev_reg_batch(struct onidev_controller *ctl, struct oni_reg_op *ops, size_t count,
		     size_t *done)
{
	struct oni_reg_batch arg = {
		.size = sizeof(arg),
		.ops = (uintptr_t)ops,
		.count = (uint32_t)count,
		.op_size = sizeof(*ops),
	};
	int rc;

	if (done)
		*done = 0;
	/* Not cut into several calls: one call is what makes it a batch. */
	if (count > ONI_REG_BATCH_MAX) {
		errno = EINVAL;
		return -1;
	}
	rc = ctl->ops->call(ctl, ONI_IOC_REG_BATCH, &arg);
	if (done)
		*done = arg.done;
	return rc;
}

int onidev_ctl_read(struct onidev_controller *ctl, uint32_t reg, uint32_t *value)
{
	struct oni_ctl arg = { .size = sizeof(arg), .reg = reg };

	if (ctl->ops->call(ctl, ONI_IOC_CTL_READ, &arg) < 0)
		return -1;
	*value = arg.value;
	return 0;
}

int onidev_ctl_write(struct onidev_controller *ctl, uint32_t reg, uint32_t value)
{
	struct oni_ctl arg = { .size = sizeof(arg), .reg = reg, .value = value };

	return ctl->ops->call(ctl, ONI_IOC_CTL_WRITE, &arg);
}

int onidev_port_on(struct onidev_controller *ctl, uint32_t port, uint32_t headstage,
		   uint32_t decivolts, uint32_t timeout_ms, struct oni_port_power *result)
{
	struct oni_port_power arg = {
		.size = sizeof(arg),
		.port = port,
		.headstage = headstage,
		.decivolts = decivolts,
		.timeout_ms = timeout_ms,
	};
	int rc;

	/* Zero volts would be "off", which is another verb. */
	if (!decivolts) {
		errno = EINVAL;
		return -1;
	}
	rc = ctl->ops->call(ctl, ONI_IOC_PORT_POWER, &arg);
	if (result)
		*result = arg;
	return rc;
}

int onidev_port_off(struct onidev_controller *ctl, uint32_t port)
{
	struct oni_port_power arg = { .size = sizeof(arg), .port = port };

	return ctl->ops->call(ctl, ONI_IOC_PORT_POWER, &arg);
}

int onidev_frame_write(struct onidev_controller *ctl, uint32_t addr,
		       const void *payload, size_t bytes)
{
	uint32_t header[2] = { htole32(addr), htole32((uint32_t)(bytes / 4)) };
	size_t len = bytes + sizeof(header);
	uint8_t *buf;
	ssize_t n;

	/* The length field counts 32-bit words. */
	if (!bytes || bytes % 4 || bytes > INT32_MAX) {
		errno = EINVAL;
		return -1;
	}
	/* One write: whole frames only are taken. */
	buf = malloc(len);
	if (!buf)
		return -1;
	memcpy(buf, header, sizeof(header));
	memcpy(buf + sizeof(header), payload, bytes);
	n = ctl->ops->write(ctl, buf, len);
	free(buf);
	if (n < 0)
		return -1;
	if ((size_t)n == len)
		return 0;
	errno = EIO;
	return -1;
}

/* --- device table --------------------------------------------------------------- */

/* Fetch up to *@count rows; *@count and *@generation as the kernel answers. */
static int table_fetch(struct onidev_controller *ctl, struct oni_device *rows, uint32_t *count,
		       uint32_t *generation)
{
	struct oni_device_table arg = {
		.size = sizeof(arg),
		.rows = (uintptr_t)rows,
		.count = *count,
		.row_size = sizeof(*rows),
	};
	int rc = ctl->ops->call(ctl, ONI_IOC_DEVICE_TABLE, &arg);

	*count = arg.count;
	*generation = arg.generation;
	return rc;
}

struct onidev_table *onidev_controller_table(struct onidev_controller *ctl)
{
	struct oni_device *rows = NULL;
	struct onidev_table *table = NULL;
	uint32_t count = 64, generation;
	int tries, saved;

	/* A reset between two calls may make the table longer: ask again. */
	for (tries = 0; tries < 8; tries++) {
		struct oni_device *more = realloc(rows, count * sizeof(*rows));

		if (!more)
			break;
		rows = more;
		memset(rows, 0, count * sizeof(*rows));
		if (table_fetch(ctl, rows, &count, &generation) == 0) {
			table = onidev_table_new(rows, count, generation);
			break;
		}
		if (errno != EMSGSIZE)
			break;
	}
	saved = errno;
	free(rows);
	errno = saved;
	return table;
}

/* --- what the registers of a known device mean ------------------------------------ */

static int enable_write(struct onidev_controller *ctl, const struct oni_device *dev,
			uint32_t value)
{
	const struct onidev_type *type = onidev_type_find_id(dev->id);

	if (!type || type->enable_reg == ONIDEV_NO_REG) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return onidev_reg_write(ctl, dev->addr, type->enable_reg, value);
}

int onidev_device_enable(struct onidev_controller *ctl, const struct oni_device *dev)
{
	return enable_write(ctl, dev, 1);
}

int onidev_device_disable(struct onidev_controller *ctl, const struct oni_device *dev)
{
	return enable_write(ctl, dev, 0);
}

int onidev_device_enabled(struct onidev_controller *ctl, const struct oni_device *dev)
{
	const struct onidev_type *type = onidev_type_find_id(dev->id);
	uint32_t value;

	if (dev->id == ONIDEV_ID_PERSISTENT_HEARTBEAT)
		return 1;
	if (!type || type->enable_reg == ONIDEV_NO_REG) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (onidev_reg_read(ctl, dev->addr, type->enable_reg, &value) < 0)
		return -1;
	return value & 1;
}

/*
 * The clock register says what was chosen. Should a gateware not let it be read, the
 * hub tells its clock itself.
 */
static int rhythm_rate(struct onidev_controller *ctl, const struct oni_device *dev, double *hz)
{
	uint32_t hub = ONIDEV_HUB_INFO(ONIDEV_HUB(dev->addr));
	uint32_t value;

	if (!onidev_reg_read(ctl, hub, ONIDEV_RHYTHM_CLOCK_REG, &value)) {
		*hz = onidev_rhythm_rate_of(value);
		return 0;
	}
	if (errno != EREMOTEIO || onidev_reg_read(ctl, hub, HUB_CLOCK_HZ, &value))
		return -1;
	*hz = (double)value / ONIDEV_RHYTHM_TICKS;
	return 0;
}

int onidev_device_rate(struct onidev_controller *ctl, const struct oni_device *dev, double *hz)
{
	const struct onidev_type *type = onidev_type_find_id(dev->id);
	struct oni_reg_op clk[2] = { { .dev_addr = dev->addr }, { .dev_addr = dev->addr } };

	if (!type)
		return -1;
	*hz = type->rate_hz;
	if (type->rate_hz >= 0)
		return 0;
	if (type->rate_hz == ONIDEV_RATE_HUB)
		return rhythm_rate(ctl, dev, hz);
	if (onidev_type_reg(type, "CLK_HZ", &clk[0].reg_addr) < 0 ||
	    onidev_type_reg(type, "CLK_DIV", &clk[1].reg_addr) < 0 ||
	    onidev_reg_batch(ctl, clk, 2, NULL) < 0)
		return -1;
	*hz = clk[1].value ? (double)clk[0].value / clk[1].value : 0;
	return 0;
}

int onidev_hub_read(struct onidev_controller *ctl, uint32_t hub, struct onidev_hub *info)
{
	uint32_t addr = ONIDEV_HUB_INFO(hub);
	struct oni_reg_op ops[] = {
		{ .dev_addr = addr, .reg_addr = 0 },
		{ .dev_addr = addr, .reg_addr = 1 },
		{ .dev_addr = addr, .reg_addr = 2 },
		{ .dev_addr = addr, .reg_addr = 4 },
		{ .dev_addr = addr, .reg_addr = 5 },
	};

	info->hub = hub;
	if (onidev_reg_batch(ctl, ops, sizeof(ops) / sizeof(ops[0]), NULL) < 0)
		return -1;
	info->hardware_id = ops[0].value;
	info->hardware_revision = ops[1].value;
	info->firmware_version = ops[2].value;
	info->clock_hz = ops[3].value;
	info->latency_ns = ops[4].value;
	return 0;
}
