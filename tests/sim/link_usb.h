/* SPDX-License-Identifier: MIT */
/*
 * link_usb.h - the link of an Acquisition Board: FT600 and what attaches it.
 *
 * Owns the bridge, the FPGA logic behind it, the orders of faults, and the
 * servers through which a host sees the device.
 * Threads: the servers take the card's lock; everything else is called as
 * link_ops says.
 */
#ifndef SIM_LINK_USB_H
#define SIM_LINK_USB_H

#include "acq.h"
#include "ft600.h"
#include "usbip.h"
#include "usbredir.h"

struct usb_config {
	struct ft600_config chip;
	struct acq_config acq;
};

struct usb_link {
	struct faults faults;
	struct ft600 chip;
	struct acq acq;
	struct usbredir redir;
	struct usbip ip;
};

struct link_ops;
extern const struct link_ops usb_link;

#endif
