/* SPDX-License-Identifier: MIT */
/*
 * usb.h - the border between a simulated USB device and what attaches it.
 *
 * An attachment (usbredir.c, usbip.c) turns the messages of a host into
 * requests; a device (ft600.c) carries them out. Neither knows the other.
 * A request belongs to the attachment; the device has it from submit() until it
 * calls done(), which may happen inside submit(), cancel() and reset(); a control
 * request is always done inside submit().
 * Threads: none; everything happens under the card lock.
 * Source: USB 3.2 specification, chapters 8 and 9.
 */
#ifndef SIM_USB_H
#define SIM_USB_H

#include <stdbool.h>
#include <stdint.h>

#define USB_IN			0x80u
#define USB_SETUP_SIZE		8u
#define USB_MAX_ENDPOINTS	32u	/* see usb_ep_index() */

enum usb_speed { USB_HIGH_SPEED, USB_SUPER_SPEED };

enum usb_status {
	USB_OK,
	USB_CANCELLED,
	USB_STALLED,
	USB_FAILED,	/* no such endpoint, no configuration */
	USB_BABBLE,	/* a packet did not fit into the room that was left */
};

struct usb_urb {
	uint8_t ep;			/* address with direction; 0: control */
	uint8_t setup[USB_SETUP_SIZE];
	uint8_t *data;			/* of an OUT; room for an IN */
	uint32_t len;
	uint32_t actual;		/* bytes moved */
	enum usb_status status;
	void (*done)(struct usb_urb *urb);
	void *owner;
	struct usb_urb *next;		/* the device's while it has the request */
};

/* What an attachment tells a host before the host asks for descriptors. */
struct usb_endpoint_info {
	bool present;
	uint8_t type, interval, interface;
	uint16_t max_packet;
};

struct usb_interface_info {
	uint8_t number, class, subclass, protocol;
};

struct usb_info {
	enum usb_speed speed;
	uint16_t vendor, product, release;
	uint8_t class, subclass, protocol;
	uint8_t configuration;		/* chosen now; 0: none */
	unsigned int interfaces;
	struct usb_interface_info interface[USB_MAX_ENDPOINTS];
	struct usb_endpoint_info ep[USB_MAX_ENDPOINTS];
};

struct usb_device {
	void (*info)(struct usb_device *d, struct usb_info *info);
	void (*submit)(struct usb_device *d, struct usb_urb *urb);
	/* Ends it with USB_CANCELLED, if the device still has it. */
	void (*cancel)(struct usb_device *d, struct usb_urb *urb);
	/* Reset of the port: requests are cancelled, the address is gone. */
	void (*reset)(struct usb_device *d);
};

static inline unsigned int usb_ep_index(uint8_t ep)
{
	return (ep & USB_IN) >> 3 | (ep & 0x0f);
}

static inline uint8_t usb_ep_address(unsigned int index)
{
	return (uint8_t)((index & 0x10) << 3 | (index & 0x0f));
}

#endif
