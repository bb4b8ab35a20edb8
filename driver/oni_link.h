/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Core <-> transport interface of the ONI drivers.
 *
 * A transport moves bytes: it carries controller registers, signal bytes and
 * write frames, and fills a ring with acquired data. The core owns the device
 * nodes, the ring memory, ownership and everything that knows ONI devices.
 *
 * Life: oni_link_alloc() -> the transport gets ready to take interrupts ->
 * oni_link_register() -> ... -> oni_link_unregister() -> the transport frees
 * its interrupt -> oni_link_free(). Between alloc and free every upcall is
 * allowed, from any context. After oni_link_unregister() has returned no op is
 * called any more.
 */
#ifndef ONI_LINK_H
#define ONI_LINK_H

#include <linux/types.h>

#include "include/uapi/linux/oni.h"

struct device;
struct module;
struct oni_link;
struct oni_ring;

/*
 * Controller registers, ONI specification v1.0 configuration channel; the
 * same numbers as liboni's oni_config_t.
 */
enum oni_ctl_reg {
	ONI_REG_DEV_IDX = 0,
	ONI_REG_REG_ADDR = 1,
	ONI_REG_REG_VALUE = 2,
	ONI_REG_RW = 3,
	ONI_REG_TRIG = 4,
	ONI_REG_RUNNING = 5,
	ONI_REG_RESET = 6,
	ONI_REG_SYSCLKHZ = 7,
	ONI_REG_ACQCLKHZ = 8,
	ONI_REG_RESETACQCOUNTER = 9,
	ONI_REG_HWADDRESS = 10,
	ONI_REG_CUSTOM = 11,
};

/**
 * struct oni_link_ops - what a transport does
 * @name: driver name, at most 15 characters
 * @transport: ONI_TRANSPORT_*
 * @block_align: block sizes are a multiple of this
 * @block_max: largest block
 * @stim: headstages with stimulators can be behind it: there are nodes for them
 * @ctl_read: read one controller register
 * @ctl_write: write one controller register
 * @reset: reset the transport itself. On return no DMA is in flight and none
 *	starts before the next rx_start(): it is the fence before an unmap. It
 *	must work while the link is in any state, dead included.
 * @rx_map: make @ring reachable for the hardware
 * @rx_unmap: undo it; called after reset() only
 * @rx_start: tell the hardware the block size and serve blocks into the ring
 *	from now on
 * @rx_drain: return when the hardware has announced nothing for a while, or the
 *	ring is full and nobody empties it
 * @rx_stop: serve no further block. On return none is published any more.
 * @rx_kick: room was made in the ring. Any context, must not sleep.
 * @tx: send @bytes (a multiple of 4) of write frames
 * @stats: fill in the counters that the transport keeps
 *
 * All but rx_kick() and stats() run in process context and may sleep for a
 * bounded time (a few seconds at worst). reset() runs alone; of the others, the
 * rx ops are serialised, so are the ctl ops, and so is tx(), but these three
 * groups may run beside each other.
 * Errors: -ETIMEDOUT, -EIO, -ENODEV; -ENOMEM, if nothing has reached the hardware.
 */
struct oni_link_ops {
	const char *name;
	u32 transport;
	u32 block_align;
	u32 block_max;
	bool stim;

	int (*ctl_read)(struct oni_link *link, u32 reg, u32 *val);
	int (*ctl_write)(struct oni_link *link, u32 reg, u32 val);
	int (*reset)(struct oni_link *link);
	int (*rx_map)(struct oni_link *link, struct oni_ring *ring);
	void (*rx_unmap)(struct oni_link *link);
	int (*rx_start)(struct oni_link *link, u32 block_bytes);
	void (*rx_drain)(struct oni_link *link);
	void (*rx_stop)(struct oni_link *link);
	void (*rx_kick)(struct oni_link *link);
	int (*tx)(struct oni_link *link, const void *buf, size_t bytes);
	void (*stats)(struct oni_link *link, struct oni_stats *stats);
};

struct oni_link *oni_link_alloc(struct device *parent,
				const struct oni_link_ops *ops,
				struct module *owner, void *priv);
int oni_link_register(struct oni_link *link);
void oni_link_unregister(struct oni_link *link);
void oni_link_free(struct oni_link *link);
void *oni_link_priv(struct oni_link *link);

/* The end of the system: as if the hardware was gone. */
void oni_link_shutdown(struct oni_link *link);

/* Power management: safe state and stop; then a fresh start. */
void oni_link_quiesce(struct oni_link *link);
int oni_link_resume(struct oni_link *link);

/* Upcalls, any context. */
void oni_link_signal(struct oni_link *link, u8 byte);
void oni_link_signal_cut(struct oni_link *link);
void oni_link_error(struct oni_link *link, int err);
void oni_link_lost(struct oni_link *link);
bool oni_link_is_lost(struct oni_link *link);

#endif /* ONI_LINK_H */
