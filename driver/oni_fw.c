// SPDX-License-Identifier: GPL-2.0-only
/*
 * Properties of a controller in the firmware of the host. See oni_fw.h.
 *
 * What is in there and cannot be understood must not be worth more than what is
 * missing: it is reported, and stands for no stimulation. Recording goes on.
 */
#include <linux/err.h>
#include <linux/gpio/consumer.h>
#include <linux/interrupt.h>
#include <linux/log2.h>
#include <linux/of.h>
#include <linux/of_reserved_mem.h>
#include <linux/panic_notifier.h>
#include <linux/property.h>
#include <linux/regulator/consumer.h>
#include <linux/sysfs.h>

#include "oni_internal.h"
#include "oni_region.h"

#define PREFIX		"open-ephys,"
#define INHIBIT		PREFIX "stim-inhibit"
#define KEY		PREFIX "stim-key"
#define DISABLED	PREFIX "stim-disabled"
#define EXTERNAL	PREFIX "stim-external-trigger"
#define AREA		PREFIX "electrode-area-square-micrometers"
#define BACK_AREA	PREFIX "return-area-square-micrometers"
#define BACK_AMPLITUDE	PREFIX "stim-return-max-nanoamp"
#define BACK_CHARGE	PREFIX "stim-return-max-phase-picocoulombs"
#define REGION		"memory-region"

/* Of every contact of a port; but for the first two, of its return as well. */
static const struct {
	const char *name;
	u32 limit;
} bounds[] = {
	{ PREFIX "stim-max-nanoamp", ONI_STIM_AMPLITUDE },
	{ PREFIX "stim-max-phase-picocoulombs", ONI_STIM_CHARGE },
	{ PREFIX "stim-max-charge-density-nanocoulombs-per-square-cm",
	  ONI_STIM_DENSITY },
	{ PREFIX "stim-shannon-k-centi", ONI_STIM_SHANNON },
	{ PREFIX "stim-max-residual-picocoulombs", ONI_STIM_NET },
	{ PREFIX "stim-max-phase-us", ONI_STIM_WIDTH },
	{ PREFIX "stim-max-gap-us", ONI_STIM_GAP },
	{ PREFIX "stim-max-rate-hz", ONI_STIM_RATE },
	{ PREFIX "stim-max-duty-percent", ONI_STIM_DUTY },
	{ PREFIX "stim-max-train-ms", ONI_STIM_TRAIN },
	{ PREFIX "stim-watchdog-ms", ONI_STIM_WATCHDOG },
};

static const char *const supplies[ONI_FW_PORTS] = {
	"port-a", "port-b", "port-c", "port-d"
};

/* A USB driver is bound to an interface; what is described is the device. */
static struct fwnode_handle *node_of(struct device *parent)
{
	if (parent->bus && !strcmp(parent->bus->name, "usb"))
		parent = parent->parent;
	return dev_fwnode(parent);
}

/* 0: not there, or not one number. */
static u64 read_bound(struct device *parent, struct fwnode_handle *port,
		      const char *name, u32 limit)
{
	u64 bound;
	u32 value;

	if (!fwnode_property_present(port, name))
		return 0;
	if (fwnode_property_count_u32(port, name) == 1 &&
	    !fwnode_property_read_u32(port, name, &value)) {
		bound = oni_fw_bound(limit, value);
		if (bound || !value)
			return bound;
	}
	dev_warn(parent, "%pfwf: %s makes no sense, taken for 0\n", port, name);
	return 0;
}

static void read_areas(struct device *parent, struct fwnode_handle *port,
		       u32 *area)
{
	int n = fwnode_property_count_u32(port, AREA);

	if (!fwnode_property_present(port, AREA))
		return;
	if (n < 1 || n > (int)ONI_STIM_CONTACTS ||
	    fwnode_property_read_u32_array(port, AREA, area, n)) {
		dev_warn(parent, "%pfwf: %s is for 1 to %u contacts\n", port, AREA,
			 ONI_STIM_CONTACTS);
		memset(area, 0, ONI_STIM_CONTACTS * sizeof(*area));
	}
}

static void read_port(struct device *parent, struct fwnode_handle *port,
		      struct oni_fw_bounds *b)
{
	u32 i;

	oni_fw_bounds_nothing(b);
	for (i = 0; i < ARRAY_SIZE(bounds); i++)
		b->contact.max[bounds[i].limit] =
			read_bound(parent, port, bounds[i].name, bounds[i].limit);
	b->contact.max[ONI_STIM_EXTERNAL] =
		fwnode_property_present(port, EXTERNAL);
	b->back = b->contact;
	b->back.max[ONI_STIM_AMPLITUDE] =
		read_bound(parent, port, BACK_AMPLITUDE, ONI_STIM_AMPLITUDE);
	b->back.max[ONI_STIM_CHARGE] =
		read_bound(parent, port, BACK_CHARGE, ONI_STIM_CHARGE);
	read_areas(parent, port, b->area);
	b->area[ONI_STIM_RETURN] =
		read_bound(parent, port, BACK_AREA, ONI_STIM_AREA);
}

/* Does the port have anything to do with stimulation? */
static bool port_stimulates(struct fwnode_handle *port)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(bounds); i++)
		if (fwnode_property_present(port, bounds[i].name))
			return true;
	return fwnode_property_present(port, EXTERNAL) ||
	       fwnode_property_present(port, AREA) ||
	       fwnode_property_present(port, BACK_AREA) ||
	       fwnode_property_present(port, BACK_AMPLITUDE) ||
	       fwnode_property_present(port, BACK_CHARGE);
}

static void read_bounds(struct oni_fw *fw, struct device *parent)
{
	struct fwnode_handle *port;
	struct oni_fw_bounds b;
	bool any = false;
	u32 n;

	oni_fw_bounds_nothing(&fw->all);
	/*
	 * Of a device tree these are the available ones only. Not so asked for,
	 * since 6.1 takes no node below a device in ACPI tables for available.
	 */
	fwnode_for_each_child_node(fw->node, port) {
		if (!port_stimulates(port))
			continue;
		any = true;
		if (fwnode_property_read_u32(port, "reg", &n) ||
		    n >= ONI_FW_PORTS) {
			dev_warn(parent, "%pfwf: no such port\n", port);
			continue;
		}
		read_port(parent, port, &b);
		if (fw->hubs)
			oni_fw_bounds_lower(&fw->all, &b);
		else
			fw->all = b;
		/* A port that is described twice gets the less of both. */
		if (fw->hubs >> (n + 1) & 1)
			oni_fw_bounds_lower(&fw->port[n], &b);
		else
			fw->port[n] = b;
		fw->hubs |= 1u << (n + 1);
	}
	/*
	 * A device tree has the node because somebody described this hardware. On
	 * other machines there is one for any device in a slot.
	 */
	fw->all.given = is_of_node(fw->node) || any || fw->hold ||
			fwnode_property_present(fw->node, DISABLED);
	if (fwnode_property_present(fw->node, DISABLED))
		fw->hold = true;
}

/* -EPROBE_DEFER only; anything else that is wrong with the line is @lost. */
static int read_line(struct oni_fw *fw, struct device *parent, const char *name,
		     enum gpiod_flags flags, struct gpio_desc **line, bool *lost)
{
	struct gpio_desc *desc;
	char property[48];

	snprintf(property, sizeof(property), "%s-gpios", name);
	if (!fwnode_property_present(fw->node, property))
		return 0;
	desc = fwnode_gpiod_get_index(fw->node, name, 0, flags, name);
	if (PTR_ERR_OR_ZERO(desc) == -EPROBE_DEFER)
		return -EPROBE_DEFER;
	*lost = true;
	if (IS_ERR(desc)) {
		dev_warn(parent, "%s: %ld, no stimulation\n", property,
			 PTR_ERR(desc));
		return 0;
	}
	*line = desc;
	*lost = gpiod_cansleep(desc);
	/* It has to work from the handler of a timer. */
	if (*lost)
		dev_warn(parent, "%s is behind a slow bus, no stimulation\n",
			 property);
	return 0;
}

static u32 supply_max(struct regulator *reg)
{
	int uv = regulator_get_voltage(reg), n = regulator_count_voltages(reg), i;

	for (i = 0; i < n; i++)
		uv = max(uv, regulator_list_voltage(reg, i));
	return max(uv, 0);
}

/* A port whose supply cannot be had stays off. */
static int read_supply(struct oni_fw *fw, struct device *parent, u32 n)
{
	struct regulator *reg;
	char property[24];
	int ret;

	fw->port_uv[n] = U32_MAX;
	snprintf(property, sizeof(property), "%s-supply", supplies[n]);
	if (!fwnode_property_present(fw->node, property))
		return 0;
	fw->port_uv[n] = 0;
	reg = regulator_get_optional(parent, supplies[n]);
	ret = PTR_ERR_OR_ZERO(reg);
	if (ret == -EPROBE_DEFER)
		return ret;
	if (!ret) {
		ret = regulator_enable(reg);
		if (ret)
			regulator_put(reg);
	}
	if (ret) {
		dev_warn(parent, "%s: %d, the port stays off\n", property, ret);
		return 0;
	}
	fw->supply[n] = reg;
	fw->port_uv[n] = supply_max(reg);
	return 0;
}

/* The line does not wait for the thread that the rest of the stop needs. */
static irqreturn_t key_turned(int irq, void *arg)
{
	struct oni_fw *fw = arg;

	/* One that is on again bounces, or somebody plays with it. */
	WRITE_ONCE(fw->key_was_off, true);
	oni_fw_inhibit(fw, true);
	oni_stim_poke(container_of(fw, struct oni_dev, fw));
	return IRQ_HANDLED;
}

/* Without an interrupt, the key is looked at while something is armed. */
static void watch_key(struct oni_fw *fw, struct device *parent)
{
	int irq = fw->key ? gpiod_to_irq(fw->key) : 0;

	if (irq <= 0)
		return;
	if (request_irq(irq, key_turned,
			IRQF_TRIGGER_RISING | IRQF_TRIGGER_FALLING,
			"oni stim-key", fw))
		dev_info(parent, "%s has no interrupt for both edges\n", KEY);
	else
		fw->key_irq = irq;
}

/* Whatever else a panic does, nothing here can be stopped by registers any more. */
static int panicked(struct notifier_block *nb, unsigned long event, void *arg)
{
	oni_fw_inhibit(container_of(nb, struct oni_fw, panic), true);
	return NOTIFY_DONE;
}

/* The region that @np names, or an ERR_PTR and what has to be mended. */
static struct oni_region *find_region(struct device_node *np, const char **why)
{
	struct fwnode_handle *node;
	struct reserved_mem *mem;
	struct oni_region *region;
	struct device_node *at;

	*why = "has to name one region of a device tree";
	if (of_count_phandle_with_args(np, REGION, NULL) != 1)
		return ERR_PTR(-EINVAL);
	at = of_parse_phandle(np, REGION, 0);
	if (!at)
		return ERR_PTR(-EINVAL);
	mem = of_reserved_mem_lookup(at);
	node = of_fwnode_handle(at);
	if (!mem) {
		*why = "is not what the kernel has reserved from /reserved-memory";
		region = ERR_PTR(-EINVAL);
	} else if (fwnode_property_present(node, "no-map") ||
		   fwnode_property_present(node, "reusable") ||
		   fwnode_property_present(node, "compatible")) {
		*why = "must have neither no-map nor reusable nor compatible";
		region = ERR_PTR(-EINVAL);
	} else {
		region = oni_region_get(mem->base, mem->size);
		*why = PTR_ERR_OR_ZERO(region) == -EINVAL ?
			"is smaller than 64 KiB" : "is not all memory";
	}
	of_node_put(at);
	return region;
}

/*
 * -ENOMEM only. Whoever describes a region has a reason, and other memory instead
 * would be found out by lost data: there is no ring then. The controller is bound
 * all the same, because its stimulators want to be made safe.
 */
static int read_region(struct oni_fw *fw, struct device *parent)
{
	struct oni_region *region;
	const char *why;

	if (!fwnode_property_present(fw->node, REGION))
		return 0;
	region = find_region(to_of_node(fw->node), &why);
	if (!IS_ERR(region)) {
		fw->ring = region;
		return 0;
	}
	if (PTR_ERR(region) == -ENOMEM)
		return -ENOMEM;
	fw->ring_lost = true;
	dev_err(parent, "%pfwf: " REGION " %s; no ring can be made\n", fw->node,
		why);
	return 0;
}

/**
 * oni_fw_read - read what firmware says about a controller
 * @fw: zeroed
 * @parent: device that the transport is bound to
 *
 * From here on the inhibit line is asserted. Process context.
 *
 * Return: 0; -EPROBE_DEFER if a driver of a line or a supply is not there yet,
 * or -ENOMEM; then there is nothing to release.
 */
int oni_fw_read(struct oni_fw *fw, struct device *parent)
{
	bool inhibit_lost = false;
	int ret;
	u32 n;

	for (n = 0; n < ONI_FW_PORTS; n++)
		fw->port_uv[n] = U32_MAX;
	fw->node = fwnode_handle_get(node_of(parent));
	if (!fw->node)
		return 0;
	/* First of all, and whatever is wrong with the rest. */
	ret = read_line(fw, parent, INHIBIT, GPIOD_OUT_HIGH, &fw->inhibit,
			&inhibit_lost);
	if (!ret)
		ret = read_line(fw, parent, KEY, GPIOD_IN, &fw->key,
				&fw->key_lost);
	for (n = 0; n < ONI_FW_PORTS && !ret; n++)
		ret = read_supply(fw, parent, n);
	if (!ret)
		ret = read_region(fw, parent);
	if (ret) {
		oni_fw_release(fw);
		return ret;
	}
	fw->hold = inhibit_lost || fw->key_lost;
	read_bounds(fw, parent);
	if (fw->hold)
		return 0;
	watch_key(fw, parent);
	if (fw->inhibit) {
		fw->panic.notifier_call = panicked;
		atomic_notifier_chain_register(&panic_notifier_list,
					       &fw->panic);
	}
	return 0;
}

/**
 * oni_fw_release - give back lines, supplies and memory
 * @fw: no other call about it is under way, and none follows
 *
 * The inhibit line is left asserted; whether it stays so is the business of its
 * driver. Process context.
 */
void oni_fw_release(struct oni_fw *fw)
{
	u32 n;

	if (fw->key_irq)
		free_irq(fw->key_irq, fw);
	if (fw->panic.notifier_call)
		atomic_notifier_chain_unregister(&panic_notifier_list,
						 &fw->panic);
	oni_fw_inhibit(fw, true);
	fw->key_irq = 0;
	fw->panic.notifier_call = NULL;
	if (fw->inhibit)
		gpiod_put(fw->inhibit);
	if (fw->key)
		gpiod_put(fw->key);
	fw->inhibit = NULL;
	fw->key = NULL;
	for (n = 0; n < ONI_FW_PORTS; n++) {
		if (!fw->supply[n])
			continue;
		regulator_disable(fw->supply[n]);
		regulator_put(fw->supply[n]);
		fw->supply[n] = NULL;
	}
	oni_region_put(fw->ring);
	fw->ring = NULL;
	fwnode_handle_put(fw->node);
	fw->node = NULL;
}

/**
 * oni_fw_inhibit - switch the line that takes the supply from stimulators
 * @fw: of the controller
 * @on: true: no current. False does nothing where firmware forbids stimulation.
 *
 * Any context. No line: nothing happens.
 */
void oni_fw_inhibit(const struct oni_fw *fw, bool on)
{
	/* Asserted since it was read, and perhaps one that can sleep. */
	if (fw->hold || !fw->inhibit)
		return;
	gpiod_set_value(fw->inhibit, on);
}

/**
 * oni_fw_key - does the key allow stimulation?
 * @fw: of the controller
 *
 * Any context. A key that cannot be read does not; without a key it is allowed.
 */
bool oni_fw_key(const struct oni_fw *fw)
{
	if (fw->key_lost)
		return false;
	return !fw->key || gpiod_get_value(fw->key) == 1;
}

/**
 * oni_fw_key_watch - is the key on? From here on it has to stay on.
 * @fw: of the controller
 *
 * Has to come before the inhibit line is released, which a key that is turned
 * asserts.
 */
bool oni_fw_key_watch(struct oni_fw *fw)
{
	WRITE_ONCE(fw->key_was_off, false);
	return oni_fw_key(fw);
}

/**
 * oni_fw_key_kept - has the key been on all the time since oni_fw_key_watch()?
 * @fw: of the controller
 *
 * Any context. Without an interrupt: is it on now?
 */
bool oni_fw_key_kept(const struct oni_fw *fw)
{
	return !READ_ONCE(fw->key_was_off) && oni_fw_key(fw);
}

/**
 * oni_fw_allows - may a program be loaded into this headstage at all?
 * @fw: of the controller
 * @hub: of the headstage
 *
 * Has to be asked for the headstage that a program is for: a policy for any
 * headstage has the bounds of those that firmware describes, and says nothing
 * about one that it does not.
 */
bool oni_fw_allows(const struct oni_fw *fw, u32 hub)
{
	if (!fw->all.given)
		return true;
	return !fw->hold && hub && hub <= ONI_FW_PORTS && fw->hubs >> hub & 1;
}

/**
 * oni_fw_limit - lower a policy to what firmware allows
 * @fw: of the controller
 * @hub: of the headstage that the policy is for; 0: of any, so that the lowest
 *	bound of all ports holds
 * @policy: changed; see oni_fw_bounds_limit()
 *
 * Any context. If firmware describes the controller, but not a stimulator at the
 * port of @hub, no contact is left.
 */
void oni_fw_limit(const struct oni_fw *fw, u32 hub,
		  struct oni_stim_policy *policy)
{
	if (!fw->all.given)
		return;
	if (fw->hold || (hub && !oni_fw_allows(fw, hub)))
		memset(policy->class_of, 0, sizeof(policy->class_of));
	else
		oni_fw_bounds_limit(hub ? &fw->port[hub - 1] : &fw->all, policy);
}

/**
 * oni_fw_port_decivolts - most that a port may be set to
 * @fw: of the controller
 * @port: address of the port controller
 *
 * Return: tenths of a volt, rounded down.
 */
u32 oni_fw_port_decivolts(const struct oni_fw *fw, u32 port)
{
	if (!port || port > ONI_FW_PORTS)
		return U32_MAX;
	return fw->port_uv[port - 1] / 100000;
}

/**
 * oni_fw_ring_default - size of a ring for who has no wish
 * @fw: of the controller
 *
 * Return: bytes, a power of two: the usual size, less if memory for rings is
 * smaller.
 */
u64 oni_fw_ring_default(const struct oni_fw *fw)
{
	u64 most = ONI_RING_DEFAULT;

	if (fw->ring)
		most = min(most, oni_region_bytes(fw->ring));
	return rounddown_pow_of_two(most);
}

/* --- /sys/class/oni/oniN/firmware ------------------------------------------ */

static const struct oni_fw *to_fw(struct device *d)
{
	return &container_of(d, struct oni_dev, dev)->fw;
}

static ssize_t node_show(struct device *d, struct device_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%pfwf\n", to_fw(d)->node);
}
static DEVICE_ATTR_RO(node);

static ssize_t stim_allowed_show(struct device *d,
				 struct device_attribute *attr, char *buf)
{
	const struct oni_fw *fw = to_fw(d);

	return sysfs_emit(buf, "%u\n",
			  !fw->all.given || (!fw->hold && fw->hubs));
}
static DEVICE_ATTR_RO(stim_allowed);

static ssize_t stim_hubs_show(struct device *d, struct device_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "0x%x\n", to_fw(d)->hubs);
}
static DEVICE_ATTR_RO(stim_hubs);

static ssize_t inhibit_show(struct device *d, struct device_attribute *attr,
			    char *buf)
{
	int value = gpiod_get_value_cansleep(to_fw(d)->inhibit);

	return value < 0 ? value : sysfs_emit(buf, "%d\n", value);
}
static DEVICE_ATTR_RO(inhibit);

static ssize_t key_show(struct device *d, struct device_attribute *attr,
			char *buf)
{
	return sysfs_emit(buf, "%u\n", oni_fw_key(to_fw(d)));
}
static DEVICE_ATTR_RO(key);

static ssize_t areas_um2_show(struct device *d, struct device_attribute *attr,
			      char *buf)
{
	const struct oni_fw *fw = to_fw(d);
	ssize_t n = 0;
	u32 i;

	for (i = 0; i <= ONI_STIM_RETURN; i++)
		n += sysfs_emit_at(buf, n, "%u%c", fw->all.area[i],
				   i < ONI_STIM_RETURN ? ' ' : '\n');
	return n;
}
static DEVICE_ATTR_RO(areas_um2);

#define ONI_FW_BOUND(name, which, limit)				\
static ssize_t name##_show(struct device *d,				\
			   struct device_attribute *attr, char *buf)	\
{									\
	return sysfs_emit(buf, "%llu\n", to_fw(d)->all.which.max[limit]); \
}									\
static DEVICE_ATTR_RO(name)

ONI_FW_BOUND(amplitude_na, contact, ONI_STIM_AMPLITUDE);
ONI_FW_BOUND(charge_fc, contact, ONI_STIM_CHARGE);
ONI_FW_BOUND(density_nc_cm2, contact, ONI_STIM_DENSITY);
ONI_FW_BOUND(shannon_pc2_um2, contact, ONI_STIM_SHANNON);
ONI_FW_BOUND(net_fc, contact, ONI_STIM_NET);
ONI_FW_BOUND(width_ns, contact, ONI_STIM_WIDTH);
ONI_FW_BOUND(gap_ns, contact, ONI_STIM_GAP);
ONI_FW_BOUND(rate_mhz, contact, ONI_STIM_RATE);
ONI_FW_BOUND(duty_ppm, contact, ONI_STIM_DUTY);
ONI_FW_BOUND(train_ns, contact, ONI_STIM_TRAIN);
ONI_FW_BOUND(watchdog_ms, contact, ONI_STIM_WATCHDOG);
ONI_FW_BOUND(external, contact, ONI_STIM_EXTERNAL);
ONI_FW_BOUND(return_amplitude_na, back, ONI_STIM_AMPLITUDE);
ONI_FW_BOUND(return_charge_fc, back, ONI_STIM_CHARGE);

#define ONI_FW_PORT(name, n)						\
static ssize_t name##_show(struct device *d,				\
			   struct device_attribute *attr, char *buf)	\
{									\
	return sysfs_emit(buf, "%u\n", to_fw(d)->port_uv[n]);		\
}									\
static DEVICE_ATTR_RO(name)

ONI_FW_PORT(port_a_max_uv, 0);
ONI_FW_PORT(port_b_max_uv, 1);
ONI_FW_PORT(port_c_max_uv, 2);
ONI_FW_PORT(port_d_max_uv, 3);

/* Not for everybody: where the kernel has its memory. */
static ssize_t ring_base_show(struct device *d, struct device_attribute *attr,
			      char *buf)
{
	phys_addr_t base = oni_region_base(to_fw(d)->ring);

	return sysfs_emit(buf, "%pa\n", &base);
}
static DEVICE_ATTR_ADMIN_RO(ring_base);

static ssize_t ring_bytes_show(struct device *d, struct device_attribute *attr,
			       char *buf)
{
	const struct oni_fw *fw = to_fw(d);

	return sysfs_emit(buf, "%llu\n",
			  fw->ring ? oni_region_bytes(fw->ring) : 0);
}
static DEVICE_ATTR_RO(ring_bytes);

static ssize_t ring_free_bytes_show(struct device *d,
				    struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", oni_region_free_bytes(to_fw(d)->ring));
}
static DEVICE_ATTR_RO(ring_free_bytes);

static struct attribute *oni_fw_attrs[] = {
	&dev_attr_stim_allowed.attr,
	&dev_attr_node.attr,
	&dev_attr_inhibit.attr,
	&dev_attr_key.attr,
	&dev_attr_port_a_max_uv.attr,
	&dev_attr_port_b_max_uv.attr,
	&dev_attr_port_c_max_uv.attr,
	&dev_attr_port_d_max_uv.attr,
	&dev_attr_ring_base.attr,
	&dev_attr_ring_bytes.attr,
	&dev_attr_ring_free_bytes.attr,
	&dev_attr_stim_hubs.attr,
	&dev_attr_areas_um2.attr,
	&dev_attr_amplitude_na.attr,
	&dev_attr_charge_fc.attr,
	&dev_attr_density_nc_cm2.attr,
	&dev_attr_shannon_pc2_um2.attr,
	&dev_attr_net_fc.attr,
	&dev_attr_width_ns.attr,
	&dev_attr_gap_ns.attr,
	&dev_attr_rate_mhz.attr,
	&dev_attr_duty_ppm.attr,
	&dev_attr_train_ns.attr,
	&dev_attr_watchdog_ms.attr,
	&dev_attr_external.attr,
	&dev_attr_return_amplitude_na.attr,
	&dev_attr_return_charge_fc.attr,
	NULL
};

/* A file is there if firmware says something about what is in it. */
static umode_t oni_fw_visible(struct kobject *kobj, struct attribute *attr,
			      int index)
{
	const struct oni_fw *fw = to_fw(kobj_to_dev(kobj));
	bool show = fw->all.given;

	if (attr == &dev_attr_stim_allowed.attr)
		show = true;
	else if (attr == &dev_attr_node.attr)
		show = fw->node;
	else if (attr == &dev_attr_inhibit.attr)
		show = fw->inhibit;
	else if (attr == &dev_attr_key.attr)
		show = fw->key || fw->key_lost;
	else if (attr == &dev_attr_port_a_max_uv.attr)
		show = fw->port_uv[0] != U32_MAX;
	else if (attr == &dev_attr_port_b_max_uv.attr)
		show = fw->port_uv[1] != U32_MAX;
	else if (attr == &dev_attr_port_c_max_uv.attr)
		show = fw->port_uv[2] != U32_MAX;
	else if (attr == &dev_attr_port_d_max_uv.attr)
		show = fw->port_uv[3] != U32_MAX;
	else if (attr == &dev_attr_ring_bytes.attr)
		show = fw->ring || fw->ring_lost;
	else if (attr == &dev_attr_ring_base.attr ||
		 attr == &dev_attr_ring_free_bytes.attr)
		show = fw->ring;
	return show ? attr->mode : 0;
}

const struct attribute_group oni_fw_group = {
	.name = "firmware",
	.attrs = oni_fw_attrs,
	.is_visible = oni_fw_visible,
};
