// SPDX-License-Identifier: MIT
/*
 * controller.c - an open /dev/oniN: information, claim, registers, table.
 *
 * Owns the descriptor. May be used by one thread while another one reads a stream
 * of it. Each call is one ioctl of <linux/oni.h> (struct size filled in,
 * reserved fields zero) and returns its errno unchanged.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "onidev.h"
#include "table.h"

struct onidev_controller {
	int fd;
	char name[32];
	char node[64];
};

const char *onidev_version(void)
{
	return "0.1.0";
}

/* --- open ------------------------------------------------------------------- */

/* The kernel's name of a character device: last part of its sysfs folder. */
static int kernel_name(dev_t rdev, char *buf, size_t len)
{
	char link[64], target[PATH_MAX];
	const char *base;
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u", major(rdev), minor(rdev));
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return -1;
	target[n] = '\0';
	base = strrchr(target, '/');
	base = base ? base + 1 : target;
	if (strlen(base) >= len) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(buf, base);
	return 0;
}

/* Open @path; ENOTTY when it is not a controller, as the kernel says for INFO. */
static struct onidev_controller *open_path(const char *path, unsigned int flags)
{
	struct onidev_controller *c = calloc(1, sizeof(*c));
	struct oni_info info;
	struct stat st;
	int saved;

	if (!c)
		return NULL;
	c->fd = open(path, (flags & ONIDEV_OPEN_RDONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (c->fd < 0)
		goto fail;
	if (fstat(c->fd, &st) < 0)
		goto fail_close;
	if (!S_ISCHR(st.st_mode)) {
		errno = ENOTTY;
		goto fail_close;
	}
	if (onidev_controller_info(c, &info) < 0)
		goto fail_close;
	if (kernel_name(st.st_rdev, c->name, sizeof(c->name)) < 0)
		snprintf(c->name, sizeof(c->name), "%.31s",
			 strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	snprintf(c->node, sizeof(c->node), "/dev/%s", c->name);
	return c;
fail_close:
	saved = errno;
	close(c->fd);
	errno = saved;
fail:
	saved = errno;
	free(c);
	errno = saved;
	return NULL;
}

static struct onidev_controller *open_first(unsigned int flags)
{
	struct onidev_controller *c = NULL;
	const struct onidev_list_entry *e;
	struct onidev_list *list = onidev_list_new();

	if (!list)
		return NULL;
	e = onidev_list_at(list, 0);
	if (e)
		c = open_path(e->node, flags);
	else
		errno = ENODEV;
	onidev_list_free(list);
	return c;
}

struct onidev_controller *onidev_controller_open(const char *which, unsigned int flags)
{
	static const char *const folder[] = { "/dev", "/dev/oni/by-id", "/dev/oni/by-path" };
	char path[PATH_MAX];
	size_t i;

	if (flags & ~ONIDEV_OPEN_RDONLY) {
		errno = EINVAL;
		return NULL;
	}
	if (!which || !strcmp(which, "first"))
		return open_first(flags);
	if (strchr(which, '/'))
		return open_path(which, flags);
	for (i = 0; i < sizeof(folder) / sizeof(folder[0]); i++) {
		if (snprintf(path, sizeof(path), "%s/%s", folder[i], which) >= (int)sizeof(path))
			break;
		if (access(path, F_OK) == 0)
			return open_path(path, flags);
	}
	errno = ENOENT;
	return NULL;
}

void onidev_controller_close(struct onidev_controller *ctl)
{
	int saved = errno;

	if (!ctl)
		return;
	close(ctl->fd);
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
	return ioctl(ctl->fd, ONI_IOC_INFO, info) < 0 ? -1 : 0;
}

int onidev_controller_stats(struct onidev_controller *ctl, struct oni_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	return ioctl(ctl->fd, ONI_IOC_STATS, stats) < 0 ? -1 : 0;
}

static int simple(struct onidev_controller *ctl, unsigned long request)
{
	struct oni_simple arg = { .size = sizeof(arg) };

	return ioctl(ctl->fd, request, &arg) < 0 ? -1 : 0;
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

	if (ioctl(ctl->fd, ONI_IOC_REG_READ, &arg) < 0)
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

	return ioctl(ctl->fd, ONI_IOC_REG_WRITE, &arg) < 0 ? -1 : 0;
}

int onidev_ctl_read(struct onidev_controller *ctl, uint32_t reg, uint32_t *value)
{
	struct oni_ctl arg = { .size = sizeof(arg), .reg = reg };

	if (ioctl(ctl->fd, ONI_IOC_CTL_READ, &arg) < 0)
		return -1;
	*value = arg.value;
	return 0;
}

int onidev_ctl_write(struct onidev_controller *ctl, uint32_t reg, uint32_t value)
{
	struct oni_ctl arg = { .size = sizeof(arg), .reg = reg, .value = value };

	return ioctl(ctl->fd, ONI_IOC_CTL_WRITE, &arg) < 0 ? -1 : 0;
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
	rc = ioctl(ctl->fd, ONI_IOC_PORT_POWER, &arg);
	if (result)
		*result = arg;
	return rc < 0 ? -1 : 0;
}

int onidev_port_off(struct onidev_controller *ctl, uint32_t port)
{
	struct oni_port_power arg = { .size = sizeof(arg), .port = port };

	return ioctl(ctl->fd, ONI_IOC_PORT_POWER, &arg) < 0 ? -1 : 0;
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
	/* One write(2): the kernel takes whole frames only, so not writev(). */
	buf = malloc(len);
	if (!buf)
		return -1;
	memcpy(buf, header, sizeof(header));
	memcpy(buf + sizeof(header), payload, bytes);
	n = write(ctl->fd, buf, len);
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
	int rc = ioctl(ctl->fd, ONI_IOC_DEVICE_TABLE, &arg);

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

int onidev_device_rate(struct onidev_controller *ctl, const struct oni_device *dev, double *hz)
{
	const struct onidev_type *type = onidev_type_find_id(dev->id);
	uint32_t clk_hz, clk_div, reg_hz, reg_div;

	if (!type)
		return -1;
	*hz = type->rate_hz;
	if (type->rate_hz >= 0)
		return 0;
	if (onidev_type_reg(type, "CLK_HZ", &reg_hz) < 0 ||
	    onidev_type_reg(type, "CLK_DIV", &reg_div) < 0 ||
	    onidev_reg_read(ctl, dev->addr, reg_hz, &clk_hz) < 0 ||
	    onidev_reg_read(ctl, dev->addr, reg_div, &clk_div) < 0)
		return -1;
	*hz = clk_div ? (double)clk_hz / clk_div : 0;
	return 0;
}

int onidev_hub_read(struct onidev_controller *ctl, uint32_t hub, struct onidev_hub *info)
{
	uint32_t addr = ONIDEV_HUB_INFO(hub);

	info->hub = hub;
	if (onidev_reg_read(ctl, addr, 0, &info->hardware_id) < 0 ||
	    onidev_reg_read(ctl, addr, 1, &info->hardware_revision) < 0 ||
	    onidev_reg_read(ctl, addr, 2, &info->firmware_version) < 0 ||
	    onidev_reg_read(ctl, addr, 4, &info->clock_hz) < 0 ||
	    onidev_reg_read(ctl, addr, 5, &info->latency_ns) < 0)
		return -1;
	return 0;
}
