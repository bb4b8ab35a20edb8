/* SPDX-License-Identifier: MIT */
/*
 * usbip.h - a USB device for vhci_hcd: the server side of the USB/IP protocol.
 *
 * Owns one connection at a time: what was received of a message, what was not
 * sent yet, and its requests that the device has. One device, "1-1", is exported.
 * It knows nothing of the device but usb.h.
 * Threads: usbip_serve() runs in one thread; everything it owns is protected by
 * the lock of the port. The others may be called from any thread without it.
 * Source: USB/IP protocol 1.1.1 (documentation of the Linux kernel).
 */
#ifndef SIM_USBIP_H
#define SIM_USBIP_H

#include <stdbool.h>
#include <stddef.h>

#include "usb_port.h"

struct usbip_request;

struct usbip_buffer {
	uint8_t *data;
	size_t len, size;
};

struct usbip {
	struct usb_port port;
	int sock;		/* -1: nobody is connected */
	int wake_fd;		/* makes the serving thread look */
	bool plugged;
	bool imported;		/* the connection carries requests now */
	bool ending;		/* as soon as everything was sent */
	bool broken, over;
	struct usbip_buffer in, out;
	struct usbip_request *requests;
};

/* 0 or -errno. */
int usbip_init(struct usbip *u, const struct usb_port *port);
void usbip_exit(struct usbip *u);

/* Serve one connection until it ends; takes @sock. 0 or -errno. */
int usbip_serve(struct usbip *u, int sock);
/* Without a device there is nothing to import, and a connection with one ends. */
void usbip_plug(struct usbip *u, bool plugged);
void usbip_shutdown(struct usbip *u);
/* Under the lock: the device left by itself. */
void usbip_vanished(struct usbip *u);

#endif
