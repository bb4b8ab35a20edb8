// SPDX-License-Identifier: MIT
/*
 * ft600_control.c - endpoint 0 of the bridge: descriptors and vendor requests.
 *
 * Owns nothing; see ft600.h for threads and sources. Identity, endpoints and
 * strings are those of the board's dump and of host software. Inferred: the
 * order of the endpoints of the second interface with two channels, the Binary
 * Object Store, and everything at high speed.
 */
#include "ft600.h"

#include <string.h>

enum {
	DESC_DEVICE = 1, DESC_CONFIG, DESC_STRING, DESC_INTERFACE, DESC_ENDPOINT,
	DESC_IAD = 11, DESC_BOS = 15, DESC_CAPABILITY, DESC_COMPANION = 48,
};

enum { STR_MANUFACTURER = 1, STR_PRODUCT, STR_SERIAL };

/* Standard requests. */
enum {
	GET_STATUS, CLEAR_FEATURE, SET_FEATURE = 3, SET_ADDRESS = 5, GET_DESCRIPTOR,
	GET_CONFIGURATION = 8, SET_CONFIGURATION, GET_INTERFACE, SET_INTERFACE,
	SET_SEL = 48, SET_ISOCH_DELAY,
};

#define FEATURE_HALT	0u
#define TO_HOST		0x80u
#define TYPE_MASK	0x60u
#define TYPE_VENDOR	0x40u
#define RECIPIENT_MASK	0x1fu
#define EP_BULK		2u
#define EP_INTERRUPT	3u
#define INTERFACES	2u
#define NOTIFY_BYTES	64u
#define NOTIFY_INTERVAL	9u
#define BURST		15u
#define ATTRIBUTES	0xe0u	/* self powered, wakes the host */
#define MILLIAMPS	96u

/* Vendor requests. */
#define REQ_GPIO	0x02u
#define REQ_MEMORY	0x03u
#define REQ_CONFIG	0xcfu
#define REQ_VERSION	0xf1u
#define ADDR_CHIP	0x18400u
#define ADDR_CONTROL	0x18000u
#define VALUE_CHIP	0x00170000u	/* bit 25 clear: FT600 */
#define VALUE_CONTROL	0x0123cc00u	/* bit 21 set: the library writes nothing */
#define VERSION		0x0109u
#define GPIO_INDEX	0x1fu
#define GPIOS		2u

struct setup {
	uint8_t type, request;
	uint16_t value, index, length;
};

/* Something of at most this length is built, then cut to what was asked for. */
struct answer {
	uint8_t byte[256];
	uint32_t len;
};

static void put8(struct answer *a, unsigned int v)
{
	a->byte[a->len++] = (uint8_t)v;
}

static void put16(struct answer *a, unsigned int v)
{
	put8(a, v);
	put8(a, v >> 8);
}

static void put32(struct answer *a, uint32_t v)
{
	put16(a, v);
	put16(a, v >> 16);
}

/* ---- descriptors ---- */

static const struct endpoint {
	uint8_t address, type, interface;
} endpoints[] = {
	{ 0x01, EP_BULK, 0 }, { FT600_NOTIFY, EP_INTERRUPT, 0 },
	{ 0x02, EP_BULK, 1 }, { 0x82, EP_BULK, 1 }, { 0x03, EP_BULK, 1 }, { 0x83, EP_BULK, 1 },
};

#define ENDPOINTS	(sizeof(endpoints) / sizeof(endpoints[0]))

/* Injected: the last data endpoint is not there, the first one is no bulk endpoint. */
static unsigned int endpoint_count(const struct ft600 *f)
{
	return fault_armed(f->faults, FAULT_USB_DESC_MISSING) ? ENDPOINTS - 1 : ENDPOINTS;
}

static uint8_t endpoint_type(const struct ft600 *f, const struct endpoint *e)
{
	if (e->address == 0x82 && fault_armed(f->faults, FAULT_USB_DESC_TYPE))
		return EP_INTERRUPT;
	return e->type;
}

static uint32_t endpoint_packet(const struct ft600 *f, const struct endpoint *e)
{
	return e->type == EP_INTERRUPT ? NOTIFY_BYTES : ft600_max_packet(f);
}

static void put_device(const struct ft600 *f, struct answer *a)
{
	bool super = f->cfg.speed == USB_SUPER_SPEED;

	put8(a, 18);
	put8(a, DESC_DEVICE);
	put16(a, super ? 0x0310 : 0x0210);
	put8(a, 0xef);
	put8(a, 2);
	put8(a, 1);
	put8(a, super ? 9 : 64);
	put16(a, FT600_VENDOR);
	put16(a, FT600_PRODUCT);
	put16(a, 0);
	put8(a, STR_MANUFACTURER);
	put8(a, STR_PRODUCT);
	put8(a, STR_SERIAL);
	put8(a, 1);
}

static void put_interface(struct answer *a, unsigned int number, unsigned int eps)
{
	put8(a, 9);
	put8(a, DESC_INTERFACE);
	put8(a, number);
	put8(a, 0);
	put8(a, eps);
	put8(a, 0xff);
	put8(a, 0xff);
	put8(a, 0xff);
	put8(a, 0);
}

static void put_endpoint(const struct ft600 *f, struct answer *a, const struct endpoint *e)
{
	put8(a, 7);
	put8(a, DESC_ENDPOINT);
	put8(a, e->address);
	put8(a, endpoint_type(f, e));
	put16(a, endpoint_packet(f, e));
	put8(a, endpoint_type(f, e) == EP_INTERRUPT ? NOTIFY_INTERVAL : 0);
	if (f->cfg.speed != USB_SUPER_SPEED)
		return;
	put8(a, 6);
	put8(a, DESC_COMPANION);
	put8(a, e->interface ? BURST : 0);
	put8(a, 0);
	put16(a, e->type == EP_INTERRUPT ? NOTIFY_BYTES : 0);
}

static void put_interfaces(const struct ft600 *f, struct answer *a)
{
	unsigned int n = endpoint_count(f), number, i, eps;

	for (number = 0; number < INTERFACES; number++) {
		for (i = 0, eps = 0; i < n; i++)
			eps += endpoints[i].interface == number;
		put_interface(a, number, eps);
		for (i = 0; i < n; i++)
			if (endpoints[i].interface == number)
				put_endpoint(f, a, &endpoints[i]);
	}
}

/* Injected; the same every time that it is asked for. */
static void put_noise(const struct ft600 *f, struct answer *a)
{
	uint32_t n = f->faults->order[FAULT_USB_DESC_NOISE].left;
	struct rng rng;

	rng_init(&rng, fault_arg(f->faults, FAULT_USB_DESC_NOISE), FAULT_USB_DESC_NOISE);
	while (n--)
		a->byte[rng_next(&rng) % a->len] = (uint8_t)rng_next(&rng);
}

static void put_config(struct ft600 *f, struct answer *a)
{
	uint32_t len;

	put8(a, 9);
	put8(a, DESC_CONFIG);
	put16(a, 0);
	put8(a, INTERFACES);
	put8(a, 1);
	put8(a, 0);
	put8(a, ATTRIBUTES);
	/* The unit is 8 mA at SuperSpeed, else 2 mA. */
	put8(a, f->cfg.speed == USB_SUPER_SPEED ? MILLIAMPS / 8 : MILLIAMPS / 2);
	put8(a, 8);
	put8(a, DESC_IAD);
	put8(a, 0);
	put8(a, INTERFACES);
	put8(a, 0xff);
	put8(a, 0xff);
	put8(a, 0xff);
	put8(a, 0);
	put_interfaces(f, a);
	len = a->len;
	a->byte[2] = (uint8_t)len;
	a->byte[3] = (uint8_t)(len >> 8);
	put_noise(f, a);
}

/* USB 2.0 extension (link power management) and SuperSpeed capabilities. */
static void put_bos(struct answer *a)
{
	put8(a, 5);
	put8(a, DESC_BOS);
	put16(a, 22);
	put8(a, 2);
	put8(a, 7);
	put8(a, DESC_CAPABILITY);
	put8(a, 2);
	put32(a, 2);
	put8(a, 10);
	put8(a, DESC_CAPABILITY);
	put8(a, 3);
	put8(a, 0);
	put16(a, 0x000e);	/* full, high and super speed */
	put8(a, 1);
	put8(a, 10);		/* exit latencies, microseconds */
	put16(a, 2047);
}

static const char *string_of(const struct ft600 *f, unsigned int index)
{
	switch (index) {
	case STR_MANUFACTURER:
		return f->cfg.manufacturer;
	case STR_PRODUCT:
		return f->cfg.product;
	case STR_SERIAL:
		return f->cfg.serial;
	default:
		return NULL;
	}
}

static void put_text(struct answer *a, const char *text)
{
	size_t n = strlen(text), i;

	if (n > FT600_STRING_MAX)
		n = FT600_STRING_MAX;
	put8(a, 2 + 2 * (unsigned int)n);
	put8(a, DESC_STRING);
	for (i = 0; i < n; i++)
		put16(a, (unsigned char)text[i]);
}

static bool put_string(const struct ft600 *f, struct answer *a, unsigned int index)
{
	const char *text = string_of(f, index);

	if (!index) {
		put8(a, 4);
		put8(a, DESC_STRING);
		put16(a, 0x0409);
		return true;
	}
	if (!text)
		return false;
	put_text(a, text);
	return true;
}

static bool get_descriptor(struct ft600 *f, const struct setup *s, struct answer *a)
{
	unsigned int index = s->value & 0xff;

	switch (s->value >> 8) {
	case DESC_DEVICE:
		put_device(f, a);
		return true;
	case DESC_CONFIG:
		if (index)
			return false;
		put_config(f, a);
		return true;
	case DESC_STRING:
		return put_string(f, a, index);
	case DESC_BOS:
		put_bos(a);
		return true;
	default:
		return false;
	}
}

void ft600_info(struct ft600 *f, struct usb_info *info)
{
	unsigned int i, n = endpoint_count(f);
	const struct endpoint *e;
	struct usb_endpoint_info *to;

	memset(info, 0, sizeof(*info));
	info->speed = f->cfg.speed;
	info->vendor = FT600_VENDOR;
	info->product = FT600_PRODUCT;
	info->class = 0xef;
	info->subclass = 2;
	info->protocol = 1;
	info->configuration = f->configuration;
	info->interfaces = INTERFACES;
	for (i = 0; i < INTERFACES; i++)
		info->interface[i] = (struct usb_interface_info){ (uint8_t)i, 0xff, 0xff, 0xff };
	for (i = 0; i < n; i++) {
		e = &endpoints[i];
		to = &info->ep[usb_ep_index(e->address)];
		to->present = true;
		to->type = endpoint_type(f, e);
		to->interval = to->type == EP_INTERRUPT ? NOTIFY_INTERVAL : 0;
		to->interface = e->interface;
		to->max_packet = (uint16_t)endpoint_packet(f, e);
	}
}

/* ---- standard requests ---- */

static bool set_configuration(struct ft600 *f, unsigned int value)
{
	if (value > 1)
		return false;
	ft600_quiet(f, USB_CANCELLED);
	f->configuration = (uint8_t)value;
	return true;
}

static bool endpoint_feature(struct ft600 *f, const struct setup *s, bool set)
{
	if (s->value != FEATURE_HALT || (s->index & 0x0f) >= FT600_PIPES)
		return false;
	f->queue[usb_ep_index((uint8_t)s->index)].halted = set;
	return true;
}

static void put_device_status(const struct ft600 *f, const struct setup *s, struct answer *a)
{
	switch (s->type & RECIPIENT_MASK) {
	case 0:
		put16(a, 1);	/* self powered */
		break;
	case 2:
		put16(a, f->queue[usb_ep_index((uint8_t)s->index)].halted);
		break;
	default:
		put16(a, 0);
		break;
	}
}

static bool standard_in(struct ft600 *f, const struct setup *s, struct answer *a)
{
	switch (s->request) {
	case GET_DESCRIPTOR:
		return get_descriptor(f, s, a);
	case GET_CONFIGURATION:
		put8(a, f->configuration);
		return true;
	case GET_INTERFACE:
		put8(a, 0);
		return s->index < INTERFACES;
	case GET_STATUS:
		put_device_status(f, s, a);
		return true;
	default:
		return false;
	}
}

static bool standard_out(struct ft600 *f, const struct setup *s)
{
	switch (s->request) {
	case SET_CONFIGURATION:
		return set_configuration(f, s->value);
	case SET_INTERFACE:
		return s->index < INTERFACES && !s->value;
	case CLEAR_FEATURE:
	case SET_FEATURE:
		/* U1, U2, wake-up and suspend of a function change nothing here. */
		if ((s->type & RECIPIENT_MASK) != 2)
			return true;
		return endpoint_feature(f, s, s->request == SET_FEATURE);
	case SET_ADDRESS:
	case SET_SEL:
	case SET_ISOCH_DELAY:
		return true;
	default:
		return false;
	}
}

/* ---- vendor requests ---- */

/* The chip's 152 bytes; what is between the fields is zero in known dumps. */
static void put_chip_config(const struct ft600 *f, struct answer *a)
{
	put16(a, FT600_VENDOR);
	put16(a, FT600_PRODUCT);
	put_text(a, f->cfg.manufacturer);
	put_text(a, f->cfg.product);
	put_text(a, f->cfg.serial);
	/* Three long strings do not fit, and the chip would not have taken them. */
	memset(a->byte + a->len, 0, sizeof(a->byte) - a->len);
	if (a->len > 132)
		memset(a->byte + 132, 0, sizeof(a->byte) - 132);
	a->byte[132] = NOTIFY_INTERVAL;
	a->byte[133] = ATTRIBUTES;
	a->byte[134] = MILLIAMPS;
	a->byte[137] = 0;	/* 100 MHz */
	a->byte[138] = fault_armed(f->faults, FAULT_USB_FIFO_MODE) ? 0 : 1;	/* 600 */
	a->byte[139] = 1;	/* two channels */
	a->byte[142] = 0xe4;
	a->byte[145] = 0x08;	/* MSIO control 0x10800 */
	a->byte[146] = 0x01;
	a->len = FT600_CONFIG_BYTES;
}

static bool vendor_in(struct ft600 *f, const struct setup *s, struct answer *a)
{
	uint32_t addr = (uint32_t)s->value << 16 | s->index;

	switch (s->request) {
	case REQ_MEMORY:
		if (s->length != 4 || (addr != ADDR_CHIP && addr != ADDR_CONTROL))
			return false;
		put32(a, addr == ADDR_CHIP ? VALUE_CHIP : VALUE_CONTROL);
		return true;
	case REQ_CONFIG:
		/* Sources differ on the value of wValue here. */
		if (s->value > 1 || s->index || s->length != FT600_CONFIG_BYTES)
			return false;
		put_chip_config(f, a);
		return true;
	case REQ_VERSION:
		if (s->value || s->index || s->length != 4)
			return false;
		put32(a, VERSION);
		return true;
	case REQ_GPIO:
		if (s->value > 1 || s->index != GPIO_INDEX || s->length != 1)
			return false;
		put8(a, f->gpio_level);
		return true;
	default:
		return false;
	}
}

/* Three bits per GPIO: bit 2 selects it, the others are its new value. */
static bool set_gpio(struct ft600 *f, unsigned int what, unsigned int bits)
{
	uint8_t *latch = what == 1 ? &f->gpio_out : &f->gpio_dir;
	unsigned int i, val, level;

	for (i = 0; i < GPIOS; i++) {
		val = bits >> (3 * i);
		if (!(val & 4) || what == 3)
			continue;	/* pulls: the FPGA sees a low level of an input */
		*latch = (uint8_t)((*latch & ~(1u << i)) | (val & 1) << i);
	}
	level = f->gpio_out & f->gpio_dir;
	if (level != f->gpio_level) {
		f->gpio_level = level;
		f->ops.gpio(f->ops.ctx, level);
	}
	return true;
}

static bool vendor_out(struct ft600 *f, const struct setup *s, const struct usb_urb *urb)
{
	const uint8_t *d = urb->data;

	switch (s->request) {
	case REQ_GPIO:
		if (s->value < 1 || s->value > 3 || s->index || s->length != 2 || urb->len != 2)
			return false;
		return set_gpio(f, s->value, d[0] | d[1] << 8);
	case REQ_MEMORY:
	case REQ_CONFIG:
		violation_report(f->viol, VIOLATION_USB_CHIP_WRITE,
				 "request 0x%02x, value 0x%04x, index 0x%04x, %u bytes",
				 s->request, s->value, s->index, s->length);
		return true;
	default:
		return false;
	}
}

static bool vendor(struct ft600 *f, const struct setup *s, struct answer *a, struct usb_urb *urb)
{
	bool ok;

	f->stats.vendor_requests++;
	if (fault_take_after(f->faults, FAULT_USB_VENDOR_STALL))
		return false;
	ok = s->type & TO_HOST ? vendor_in(f, s, a) : vendor_out(f, s, urb);
	if ((s->type & RECIPIENT_MASK) != 0)
		ok = false;
	if (!ok)
		violation_report(f->viol, VIOLATION_USB_VENDOR,
				 "request 0x%02x/0x%02x, value 0x%04x, index 0x%04x, %u bytes",
				 s->type, s->request, s->value, s->index, s->length);
	if (ok && a->len > 1 && fault_take(f->faults, FAULT_USB_VENDOR_SHORT))
		a->len /= 2;
	return ok;
}

/* ---- the endpoint ---- */

static bool carry_out(struct ft600 *f, const struct setup *s, struct answer *a,
		      struct usb_urb *urb)
{
	if ((s->type & TYPE_MASK) == TYPE_VENDOR)
		return vendor(f, s, a, urb);
	if (s->type & TYPE_MASK)
		return false;
	return s->type & TO_HOST ? standard_in(f, s, a) : standard_out(f, s);
}

void ft600_control(struct ft600 *f, struct usb_urb *urb)
{
	const uint8_t *p = urb->setup;
	struct setup s = {
		p[0], p[1], (uint16_t)(p[2] | p[3] << 8), (uint16_t)(p[4] | p[5] << 8),
		(uint16_t)(p[6] | p[7] << 8),
	};
	struct answer a = { .len = 0 };

	f->stats.control_transfers++;
	if (!carry_out(f, &s, &a, urb)) {
		f->stats.stalls++;
		urb->status = USB_STALLED;
		return;
	}
	urb->status = USB_OK;
	urb->actual = urb->len;
	if (!(s.type & TO_HOST))
		return;
	if (a.len > s.length)
		a.len = s.length;
	urb->actual = a.len < urb->len ? a.len : urb->len;
	memcpy(urb->data, a.byte, urb->actual);
}
