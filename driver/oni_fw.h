/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the firmware of the host (device tree, ACPI _DSD, software node) says
 * about a controller: bounds of stimulation, lines that are independent of the
 * link, supplies of ports, memory for rings. Binding: dts/bindings/neuro/.
 *
 * Read once, when the link is made, before anything is asked of the hardware,
 * and constant from then on; so there is no lock. What the key has done since it
 * was asked last is the exception, and written as a whole.
 */
#ifndef ONI_FW_H
#define ONI_FW_H

#include <linux/notifier.h>
#include <linux/types.h>

#include "oni_fw_bounds.h"

struct attribute_group;
struct device;
struct fwnode_handle;
struct gpio_desc;
struct oni_region;
struct regulator;

#define ONI_FW_PORTS	4U	/* port n belongs to hub n + 1 */

/**
 * struct oni_fw - of one controller; zeroed before oni_fw_read()
 * @node: describes the controller; NULL: nothing does
 * @hold: no stimulation whatever the bounds are, and @inhibit stays asserted
 * @key_lost: there is a key that cannot be read
 * @hubs: bit n: bounds for hub n in @port
 * @all: the lowest of all ports
 * @port: of each port that has any
 * @inhibit: takes the supply from stimulators while active; NULL: none
 * @key: active while stimulation is allowed; NULL: none
 * @key_irq: tells of a key that was turned, between two looks as well; 0: none
 * @key_was_off: it told, since oni_fw_key_watch()
 * @panic: asserts @inhibit when the kernel goes down
 * @supply: of each port
 * @port_uv: most that a port may be set to, uV; U32_MAX: not limited
 * @ring: memory that rings are made of; NULL: any
 * @ring_lost: there is memory for rings that cannot be used, and so no ring
 */
struct oni_fw {
	struct fwnode_handle *node;
	bool hold;
	bool key_lost;
	u32 hubs;
	struct oni_fw_bounds all;
	struct oni_fw_bounds port[ONI_FW_PORTS];
	struct gpio_desc *inhibit;
	struct gpio_desc *key;
	int key_irq;
	bool key_was_off;
	struct notifier_block panic;
	struct regulator *supply[ONI_FW_PORTS];
	u32 port_uv[ONI_FW_PORTS];
	struct oni_region *ring;
	bool ring_lost;
};

int oni_fw_read(struct oni_fw *fw, struct device *parent);
void oni_fw_release(struct oni_fw *fw);
void oni_fw_inhibit(const struct oni_fw *fw, bool on);
bool oni_fw_key(const struct oni_fw *fw);
bool oni_fw_key_watch(struct oni_fw *fw);
bool oni_fw_key_kept(const struct oni_fw *fw);
bool oni_fw_allows(const struct oni_fw *fw, u32 hub);
void oni_fw_limit(const struct oni_fw *fw, u32 hub,
		  struct oni_stim_policy *policy);
u32 oni_fw_port_decivolts(const struct oni_fw *fw, u32 port);
u64 oni_fw_ring_default(const struct oni_fw *fw);

extern const struct attribute_group oni_fw_group;

#endif /* ONI_FW_H */
