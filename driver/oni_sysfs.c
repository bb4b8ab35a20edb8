// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attributes of /sys/class/oni/oniN: identity, state and counters, one value
 * per file, all read only. They work without udev and without opening the
 * node, and disappear with the hardware.
 */
#include <linux/sysfs.h>

#include "oni_internal.h"

const char *const oni_state_names[] = {
	[ONI_STATE_IDLE] = "idle",
	[ONI_STATE_RUNNING] = "running",
	[ONI_STATE_FAULT] = "fault",
	[ONI_STATE_GONE] = "gone",
};

u32 oni_dev_state(struct oni_dev *dev)
{
	if (oni_dev_gone(dev))
		return ONI_STATE_GONE;
	if (test_bit(ONI_DEV_FAULT, &dev->flags))
		return ONI_STATE_FAULT;
	return READ_ONCE(dev->running) ? ONI_STATE_RUNNING : ONI_STATE_IDLE;
}

static struct oni_dev *to_oni(struct device *d)
{
	return container_of(d, struct oni_dev, dev);
}

static ssize_t transport_show(struct device *d, struct device_attribute *attr,
			      char *buf)
{
	struct oni_dev *dev = to_oni(d);
	struct oni_link *link;
	ssize_t n = -ENODEV;
	int idx;

	link = oni_dev_enter(dev, &idx);
	if (link)
		n = sysfs_emit(buf, "%s\n", link->ops->name);
	oni_dev_exit(dev, idx);
	return n;
}
static DEVICE_ATTR_RO(transport);

static ssize_t state_show(struct device *d, struct device_attribute *attr,
			  char *buf)
{
	return sysfs_emit(buf, "%s\n", oni_state_names[oni_dev_state(to_oni(d))]);
}
static DEVICE_ATTR_RO(state);

static ssize_t abi_version_show(struct device *d,
				struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", ONI_ABI_VERSION);
}
static DEVICE_ATTR_RO(abi_version);

static ssize_t firmware_version_show(struct device *d,
				     struct device_attribute *attr, char *buf)
{
	u32 v = READ_ONCE(to_oni(d)->firmware_version);

	/* An Acquisition Board has three numbers, and marks what is no release. */
	if (v > 0xffff)
		return sysfs_emit(buf, "%u.%u.%u%s\n", v >> 16 & 0xff,
				  v >> 8 & 0xff, v & 0xff,
				  v >> 24 ? "-pre" : "");
	return sysfs_emit(buf, "%u.%u\n", v >> 8 & 0xff, v & 0xff);
}
static DEVICE_ATTR_RO(firmware_version);

static ssize_t stim_safe_show(struct device *d, struct device_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(to_oni(d)->stim_safe));
}
static DEVICE_ATTR_RO(stim_safe);

#define ONI_ATTR_U32(name)						\
static ssize_t name##_show(struct device *d,				\
			   struct device_attribute *attr, char *buf)	\
{									\
	return sysfs_emit(buf, "%u\n", READ_ONCE(to_oni(d)->name));	\
}									\
static DEVICE_ATTR_RO(name)

ONI_ATTR_U32(hardware_id);
ONI_ATTR_U32(sys_clock_hz);
ONI_ATTR_U32(acq_clock_hz);
ONI_ATTR_U32(generation);
ONI_ATTR_U32(rows);

static struct attribute *oni_attrs[] = {
	&dev_attr_transport.attr,
	&dev_attr_state.attr,
	&dev_attr_abi_version.attr,
	&dev_attr_firmware_version.attr,
	&dev_attr_stim_safe.attr,
	&dev_attr_hardware_id.attr,
	&dev_attr_sys_clock_hz.attr,
	&dev_attr_acq_clock_hz.attr,
	&dev_attr_generation.attr,
	&dev_attr_rows.attr,
	NULL
};

static const struct attribute_group oni_group = {
	.attrs = oni_attrs,
};

static ssize_t stats_show(struct device *d, char *buf, size_t offset)
{
	struct oni_dev *dev = to_oni(d);
	struct oni_stats stats = { .size = sizeof(stats) };
	struct oni_link *link;
	ssize_t n = -ENODEV;
	int idx;

	/* It may be held for as long as a reset takes. */
	if (mutex_lock_interruptible(&dev->lock))
		return -ERESTARTSYS;
	link = oni_dev_enter(dev, &idx);
	if (link) {
		oni_stats_fill(dev, link, &stats);
		n = sysfs_emit(buf, "%llu\n", *(u64 *)((u8 *)&stats + offset));
	}
	oni_dev_exit(dev, idx);
	mutex_unlock(&dev->lock);
	return n;
}

#define ONI_STAT(field)							\
static ssize_t field##_show(struct device *d,				\
			    struct device_attribute *attr, char *buf)	\
{									\
	return stats_show(d, buf, offsetof(struct oni_stats, field));	\
}									\
static DEVICE_ATTR_RO(field)

ONI_STAT(interrupts);
ONI_STAT(spurious);
ONI_STAT(mmio_reads);
ONI_STAT(mmio_writes);
ONI_STAT(blocks);
ONI_STAT(bytes);
ONI_STAT(short_blocks);
ONI_STAT(ring_full);
ONI_STAT(ring_full_ns);
ONI_STAT(wakeups);
ONI_STAT(reg_reads);
ONI_STAT(reg_writes);
ONI_STAT(reg_nacks);
ONI_STAT(reg_timeouts);
ONI_STAT(signals);
ONI_STAT(bad_signals);
ONI_STAT(write_frames);
ONI_STAT(resets);
ONI_STAT(link_errors);
ONI_STAT(guarded);
ONI_STAT(stim_safe_failures);
ONI_STAT(held);

static struct attribute *oni_stats_attrs[] = {
	&dev_attr_interrupts.attr,
	&dev_attr_spurious.attr,
	&dev_attr_mmio_reads.attr,
	&dev_attr_mmio_writes.attr,
	&dev_attr_blocks.attr,
	&dev_attr_bytes.attr,
	&dev_attr_short_blocks.attr,
	&dev_attr_ring_full.attr,
	&dev_attr_ring_full_ns.attr,
	&dev_attr_wakeups.attr,
	&dev_attr_reg_reads.attr,
	&dev_attr_reg_writes.attr,
	&dev_attr_reg_nacks.attr,
	&dev_attr_reg_timeouts.attr,
	&dev_attr_signals.attr,
	&dev_attr_bad_signals.attr,
	&dev_attr_write_frames.attr,
	&dev_attr_resets.attr,
	&dev_attr_link_errors.attr,
	&dev_attr_guarded.attr,
	&dev_attr_stim_safe_failures.attr,
	&dev_attr_held.attr,
	NULL
};

static const struct attribute_group oni_stats_group = {
	.name = "stats",
	.attrs = oni_stats_attrs,
};

/* --- stim/ ----------------------------------------------------------------- */

static ssize_t stim_state_show(struct device *d, struct device_attribute *attr,
			       char *buf)
{
	u32 state = READ_ONCE(to_oni(d)->stim.state);

	return sysfs_emit(buf, "%s\n", oni_stim_state_names[state]);
}

static struct device_attribute dev_attr_stim_state = __ATTR(state, 0444,
							    stim_state_show,
							    NULL);

#define ONI_STIM_ATTR(name, type, format)				\
static ssize_t name##_show(struct device *d,				\
			   struct device_attribute *attr, char *buf)	\
{									\
	return sysfs_emit(buf, format "\n",				\
			  (type)READ_ONCE(to_oni(d)->stim.name));	\
}									\
static DEVICE_ATTR_RO(name)

ONI_STIM_ATTR(because, u32, "%u");
ONI_STIM_ATTR(confirmed, u32, "%u");
ONI_STIM_ATTR(has_policy, u32, "%u");
ONI_STIM_ATTR(fires, u64, "%llu");
ONI_STIM_ATTR(delivered, u64, "%llu");
ONI_STIM_ATTR(stops, u64, "%llu");
ONI_STIM_ATTR(faults, u64, "%llu");

static ssize_t refusals_show(struct device *d, struct device_attribute *attr,
			     char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  (u64)atomic64_read(&to_oni(d)->stim.refusals));
}
static DEVICE_ATTR_RO(refusals);

static struct attribute *oni_stim_attrs[] = {
	&dev_attr_stim_state.attr,
	&dev_attr_because.attr,
	&dev_attr_confirmed.attr,
	&dev_attr_has_policy.attr,
	&dev_attr_fires.attr,
	&dev_attr_delivered.attr,
	&dev_attr_refusals.attr,
	&dev_attr_stops.attr,
	&dev_attr_faults.attr,
	NULL
};

static const struct attribute_group oni_stim_group = {
	.name = "stim",
	.attrs = oni_stim_attrs,
};

const struct attribute_group *oni_dev_groups[] = {
	&oni_group,
	&oni_stats_group,
	&oni_stim_group,
	&oni_fw_group,
	NULL
};
