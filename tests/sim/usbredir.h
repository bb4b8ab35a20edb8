/* SPDX-License-Identifier: MIT */
/*
 * usbredir.h - a USB device for QEMU: the host side of the usbredir protocol.
 *
 * Owns one connection at a time: its parser, its requests that the device has,
 * and whether the device is plugged in. It knows nothing of the device but usb.h.
 * Threads: usbredir_serve() runs in one thread; everything it owns is protected
 * by the lock of the port. The others may be called from any thread without it.
 * Source: usbredir protocol 0.7, by way of libusbredirparser.
 */
#ifndef SIM_USBREDIR_H
#define SIM_USBREDIR_H

#include <stdbool.h>

#include "usb_port.h"

struct usbredirparser;
struct usbredir_request;

struct usbredir {
	struct usb_port port;
	struct usbredirparser *parser;	/* NULL: nobody is connected */
	int sock;
	int wake_fd;			/* makes the serving thread look */
	bool greeted;			/* the peer said what it can do */
	bool plugged;			/* wanted */
	bool connected;			/* and said to the peer */
	bool eof, broken, over;
	struct usbredir_request *requests;
};

/* 0 or -errno. */
int usbredir_init(struct usbredir *r, const struct usb_port *port);
void usbredir_exit(struct usbredir *r);

/* Serve one connection until it ends; takes @sock. 0 or -errno. */
int usbredir_serve(struct usbredir *r, int sock);
/* Pull the device, put it back; the connection stays. */
void usbredir_plug(struct usbredir *r, bool plugged);
/* usbredir_serve() returns at once from now on. */
void usbredir_shutdown(struct usbredir *r);
/* Under the lock: the device left by itself. */
void usbredir_vanished(struct usbredir *r);

#endif
