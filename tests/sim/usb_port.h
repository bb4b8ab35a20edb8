/* SPDX-License-Identifier: MIT */
/*
 * usb_port.h - what an attachment needs of the card: its device and its lock.
 *
 * attached() and detached() say that a host sees the device, and that it does
 * no longer; both are called under the lock, like everything that is done with
 * the device.
 */
#ifndef SIM_USB_PORT_H
#define SIM_USB_PORT_H

#include <stdio.h>

#include "usb.h"

struct usb_port {
	void *ctx;
	struct usb_device *dev;
	FILE *log;		/* may be NULL; not owned */
	void (*lock)(void *ctx);
	void (*unlock)(void *ctx);
	void (*kick)(void *ctx);	/* the device may have something to do */
	void (*attached)(void *ctx);
	void (*detached)(void *ctx);
};

#define USB_MAX_TRANSFER	(64u << 20)	/* longer requests are refused */

#endif
