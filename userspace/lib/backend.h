/* SPDX-License-Identifier: MIT */
/*
 * backend.h - what is behind the API of controllers and streams.
 *
 * A backend does what <linux/oni.h> says, by the kernel driver (kernel.c) or in this
 * process (usb/). Everything above this line - table, names, frames, decoders, the
 * reader's half of the ring - is the same code for all of them.
 */
#ifndef ONIDEV_BACKEND_H
#define ONIDEV_BACKEND_H

#include <sys/types.h>

#include "ring.h"

struct backend_ops {
	/* End it; frees what ->priv owns and closes ->fd. */
	void (*close)(struct onidev_controller *ctl);
	/*
	 * As ioctl(2) on a node: @request is one of ONI_IOC_* up to STATS, or REG_BATCH,
	 * but for the two below; @arg is its struct with the size filled in. 0, or -1 and
	 * errno.
	 */
	int (*call)(struct onidev_controller *ctl, unsigned long request, void *arg);
	/* As write(2) on a node: whole frames. Bytes, or -1 and errno. */
	ssize_t (*write)(struct onidev_controller *ctl, const void *frames, size_t bytes);
	/* NULL and errno. */
	struct onidev_stream *(*stream)(struct onidev_controller *ctl,
					struct oni_stream_create *create);
	struct onidev_stream *(*monitor)(struct onidev_controller *ctl,
					 struct oni_monitor_create *create);
};

struct onidev_controller {
	const struct backend_ops *ops;
	void *priv;
	int fd;			/* POLLHUP: gone */
	char name[80];
	char node[64];
};

struct stream_ops {
	/* Ends the stream and everything ->priv owns, mappings and ->fd included. */
	void (*free)(struct onidev_stream *s);
	/* ONI_IOC_STREAM_WAKE, and s->info as it became. 0, or -1 and errno. */
	int (*wake)(struct onidev_stream *s, uint32_t watermark_bytes, uint32_t latency_us);
	/* The tail has moved. NULL: nobody needs to be told. */
	void (*released)(struct onidev_stream *s);
};

struct onidev_stream {
	const struct stream_ops *ops;
	void *priv;
	int fd;			/* readable when the wake-up rule holds */
	struct oni_stream_info info;
	void *prod, *cons, *data, *desc;	/* MAP_FAILED: not mapped */
	struct onidev_table *table;
	uint8_t *copy;				/* of a monitor, see ring.h */
	struct onidev_ring ring;
};

/* --- kernel.c --------------------------------------------------------------- */

/* Open by the rules of onidev_controller_open(), nodes only. NULL and errno. */
struct onidev_controller *kernel_open(const char *which, unsigned int flags);

/* --- usb/: the Acquisition Board without a driver ----------------------------- */

/* The same for boards on USB. EBUSY: somebody has it, see usb_find(). */
struct onidev_controller *usb_open(const char *which, unsigned int flags);

#endif
