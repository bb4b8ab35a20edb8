// SPDX-License-Identifier: MIT
/*
 * usb_chip.c - opening a board, its identity, the chip's own requests.
 *
 * The ids are those of every product with this chip, so the product string decides
 * before anything is opened (usb_find.c), then the descriptors, then the settings of
 * the chip. Both interfaces are claimed or none, and a driver that has one is never
 * sent away.
 *
 * Pin 0 of the chip holds the FIFOs of the board in reset while it is high. It is high
 * from the close to the next open.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "usb.h"

#define FIFO_RESET_MS	10
#define FIFO_SETTLE_MS	1
#define VENDOR_OUT	(LIBUSB_ENDPOINT_OUT | LIBUSB_REQUEST_TYPE_VENDOR)
#define VENDOR_IN	(LIBUSB_ENDPOINT_IN | LIBUSB_REQUEST_TYPE_VENDOR)

/* --- requests of the chip --------------------------------------------------------- */

static int gpio(struct usb_board *b, uint16_t what, uint8_t pins)
{
	uint8_t data[2] = { pins, 0 };

	return usb_chip_request(b, VENDOR_OUT, FT600_REQ_GPIO, (uint32_t)what << 16, data,
				sizeof(data));
}

/* Once after it was plugged in. The level before the direction: no pulse. */
static int chip_setup(struct usb_board *b)
{
	int ret = gpio(b, FT600_GPIO_PULL, FT600_GPIO0(1) | FT600_GPIO1(1));

	if (!ret)
		ret = gpio(b, FT600_GPIO_WRITE, FT600_GPIO0(0));
	if (!ret)
		ret = gpio(b, FT600_GPIO_DIRECTION, FT600_GPIO0(1));
	b->chip_ready = !ret;
	return ret;
}

/* What is in the chip is of no use to anybody. */
static int chip_flush(struct usb_board *b)
{
	static const struct {
		uint8_t ep, cmd;
	} step[] = {
		{ FT600_EP_DATA, FT600_SESSION_ABORT },
		{ FT600_EP_DATA, FT600_SESSION_FLUSH },
		{ FT600_EP_REPLY, FT600_SESSION_ABORT },
		{ FT600_EP_REPLY, FT600_SESSION_FLUSH },
		{ FT600_EP_WRITE, FT600_SESSION_FLUSH },
	};
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < sizeof(step) / sizeof(step[0]); i++)
		ret = usb_session(b, step[i].ep, step[i].cmd, 0);
	return ret;
}

/* Empty the FIFOs of board and chip. Nothing is in flight. */
int usb_chip_reset(struct usb_board *b)
{
	int ret = b->chip_ready ? 0 : chip_setup(b);

	if (!ret)
		ret = gpio(b, FT600_GPIO_WRITE, FT600_GPIO0(1));
	if (ret)
		return ret;
	usb_sleep(FIFO_RESET_MS);
	ret = chip_flush(b);
	if (!ret)
		ret = gpio(b, FT600_GPIO_WRITE, FT600_GPIO0(0));
	usb_sleep(FIFO_SETTLE_MS);
	return ret;
}

/* The end of all traffic, in a state that the next owner can begin with. */
void usb_chip_hold(struct usb_board *b)
{
	usb_quiet(b);
	gpio(b, FT600_GPIO_WRITE, FT600_GPIO0(1));
}

/* Is the chip set up as the board has it? One bit is set for the host's sake. */
int usb_chip_check(struct usb_board *b)
{
	uint8_t config[FT600_CONFIG_BYTES], word[4];
	uint32_t control;
	int ret;

	ret = usb_chip_request(b, VENDOR_IN, FT600_REQ_CONFIG, 1 << 16, config, sizeof(config));
	if (!ret && !oni_ft600_config_ok(config))
		ret = -ENOTTY;
	if (!ret)
		ret = usb_chip_request(b, VENDOR_IN, FT600_REQ_MEMORY, FT600_MEM_CONTROL, word,
				       sizeof(word));
	if (ret)
		return ret;
	control = word[0] | (uint32_t)word[1] << 8 | (uint32_t)word[2] << 16 |
		  (uint32_t)word[3] << 24;
	if (control & FT600_MEM_CONTROL_SET)
		return 0;
	control |= FT600_MEM_CONTROL_SET;
	word[2] = (uint8_t)(control >> 16);
	return usb_chip_request(b, VENDOR_OUT, FT600_REQ_MEMORY, FT600_MEM_CONTROL, word,
				sizeof(word));
}

/* --- opening -------------------------------------------------------------------------- */

static int error_of(int rc)
{
	switch (rc) {
	case LIBUSB_ERROR_ACCESS:
		return -EACCES;
	case LIBUSB_ERROR_NO_DEVICE:
	case LIBUSB_ERROR_NOT_FOUND:
		return -ENODEV;
	case LIBUSB_ERROR_BUSY:
		return -EBUSY;
	case LIBUSB_ERROR_NO_MEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* Packet size of bulk endpoint @ep of an interface, 0 if it has none. */
static uint32_t packet_of(const struct libusb_interface_descriptor *d, uint8_t ep)
{
	int i;

	for (i = 0; i < d->bNumEndpoints; i++)
		if (d->endpoint[i].bEndpointAddress == ep &&
		    (d->endpoint[i].bmAttributes & LIBUSB_TRANSFER_TYPE_MASK) ==
		    LIBUSB_TRANSFER_TYPE_BULK)
			return d->endpoint[i].wMaxPacketSize & 0x7ff;
	return 0;
}

static bool shape_ok(struct usb_board *b, const struct libusb_config_descriptor *c)
{
	static const uint8_t eps[] = {
		FT600_EP_WRITE, FT600_EP_DATA, FT600_EP_COMMAND, FT600_EP_REPLY,
	};
	const struct libusb_interface_descriptor *data;
	uint32_t packet;
	size_t i;

	if (c->bNumInterfaces < 2 || !c->interface[0].num_altsetting ||
	    !c->interface[1].num_altsetting ||
	    !packet_of(&c->interface[USB_INTF_SESSION].altsetting[0], FT600_EP_SESSION))
		return false;
	data = &c->interface[USB_INTF_DATA].altsetting[0];
	for (i = 0; i < sizeof(eps); i++)
		if (!packet_of(data, eps[i]))
			return false;
	/* A transfer must be a whole number of packets. */
	packet = packet_of(data, FT600_EP_DATA);
	b->packet = packet_of(data, FT600_EP_REPLY);
	return USB_BLOCK_ALIGN % packet == 0;
}

/* Still the product that it was when it was found? The system's copies are read. */
static int identity(struct usb_board *b)
{
	libusb_device *dev = libusb_get_device(b->handle);
	struct libusb_config_descriptor *config;
	struct libusb_device_descriptor d;
	bool ok;
	int rc;

	rc = libusb_get_device_descriptor(dev, &d);
	if (rc)
		return error_of(rc);
	if (d.idVendor != USB_VENDOR || d.idProduct != USB_PRODUCT)
		return -ENOTTY;
	rc = libusb_get_active_config_descriptor(dev, &config);
	if (rc)
		return error_of(rc);
	ok = shape_ok(b, config);
	libusb_free_config_descriptor(config);
	return ok ? 0 : -ENOTTY;
}

static int context(struct usb_board *b)
{
#if LIBUSB_API_VERSION >= 0x0100010a
	/* Nobody has to look for devices: we bring ours. */
	const struct libusb_init_option option = { .option = LIBUSB_OPTION_NO_DEVICE_DISCOVERY };

	return libusb_init_context(&b->ctx, &option, 1);
#else
	return libusb_init(&b->ctx);
#endif
}

/* Open the node @fd, which stays the caller's, and claim both interfaces. */
int usb_chip_open(struct usb_board *b, int fd)
{
	int rc = context(b), ret;

	if (!rc)
		rc = libusb_wrap_sys_device(b->ctx, fd, &b->handle);
	if (rc)
		return error_of(rc);
	ret = identity(b);
	if (ret)
		return ret;
	while (b->claimed < 2) {
		rc = libusb_claim_interface(b->handle, (int)b->claimed);
		if (rc)
			return error_of(rc);
		b->claimed++;
	}
	return 0;
}

/* Whatever usb_chip_open() has got to. Nothing is in flight, no thread runs. */
void usb_chip_close(struct usb_board *b)
{
	while (b->claimed)
		libusb_release_interface(b->handle, (int)--b->claimed);
	if (b->handle)
		libusb_close(b->handle);
	b->handle = NULL;
	if (b->ctx)
		libusb_exit(b->ctx);
	b->ctx = NULL;
}
