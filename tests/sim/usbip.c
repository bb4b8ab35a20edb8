// SPDX-License-Identifier: MIT
/*
 * usbip.c - see usbip.h.
 *
 * Integers on the wire are big endian. A connection begins with one operation:
 * a list of devices, after which it ends, or an import, after which it carries
 * requests until either side closes it. Requests are answered as the device
 * finishes them; one that was unlinked in time is answered as an unlink only.
 */
#include "usbip.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define VERSION		0x0111u
#define OP_DEVLIST	0x0005u
#define OP_IMPORT	0x0003u
#define OP_REQUEST	0x8000u
#define OP_BYTES	8u
#define BUSID		"1-1"
#define BUSID_BYTES	32u
#define PATH		"/sys/devices/onisim/usb1/1-1"
#define PATH_BYTES	256u
#define BUSNUM		1u
#define DEVNUM		2u
#define SPEED_HIGH	3u	/* numbers of enum usb_device_speed */
#define SPEED_SUPER	5u

#define HEADER_BYTES	48u
#define CMD_SUBMIT	1u
#define CMD_UNLINK	2u
#define RET_SUBMIT	3u
#define RET_UNLINK	4u
#define DIR_IN		1u
#define SHORT_NOT_OK	1u	/* transfer flag */
#define NOT_ISO		UINT32_MAX

struct usbip_request {
	struct usb_urb urb;
	struct usbip *u;
	struct usbip_request *next;
	uint32_t seqnum, flags;
	bool unlinked;
	uint8_t data[];
};

/* ---- buffers ---- */

static uint8_t *reserve(struct usbip_buffer *b, size_t more)
{
	size_t size = b->size ? b->size : 4096;
	uint8_t *data;

	while (size - b->len < more)
		size *= 2;
	if (size != b->size) {
		data = realloc(b->data, size);
		if (!data)
			return NULL;
		b->data = data;
		b->size = size;
	}
	return b->data + b->len;
}

static void drop(struct usbip_buffer *b, size_t len)
{
	b->len -= len;
	memmove(b->data, b->data + len, b->len);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static uint8_t *put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	return put16(put16(p, v >> 16), v);
}

static void wake(struct usbip *u)
{
	uint64_t one = 1;

	if (write(u->wake_fd, &one, sizeof(one)) < 0)
		u->broken = true;
}

/* What the socket does not take now is sent when it can. */
static void flush(struct usbip *u)
{
	ssize_t n;

	while (u->out.len && !u->broken) {
		n = send(u->sock, u->out.data, u->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			drop(&u->out, (size_t)n);
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		else
			u->broken = true;
	}
	if (u->out.len || u->broken)
		wake(u);
}

static void put(struct usbip *u, const void *data, size_t len)
{
	uint8_t *to = reserve(&u->out, len);

	if (!to) {
		u->broken = true;
		return;
	}
	if (len)
		memcpy(to, data, len);
	u->out.len += len;
}

/* ---- requests ---- */

static uint32_t status_of(const struct usbip_request *q)
{
	switch (q->urb.status) {
	case USB_OK:
		if (q->flags & SHORT_NOT_OK && q->urb.actual < q->urb.len)
			return (uint32_t)-EREMOTEIO;
		return 0;
	case USB_CANCELLED:
		return (uint32_t)-ECONNRESET;
	case USB_STALLED:
		return (uint32_t)-EPIPE;
	case USB_BABBLE:
		return (uint32_t)-EOVERFLOW;
	default:
		return (uint32_t)-ESHUTDOWN;
	}
}

static void send_header(struct usbip *u, uint32_t command, uint32_t seqnum, uint32_t status,
			uint32_t actual)
{
	uint8_t h[HEADER_BYTES] = { 0 };

	put32(h, command);
	put32(h + 4, seqnum);
	put32(h + 20, status);
	put32(h + 24, actual);
	put(u, h, sizeof(h));
}

static void forget(struct usbip_request *q)
{
	struct usbip_request **at = &q->u->requests;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	free(q);
}

static bool is_in(const struct usbip_request *q)
{
	return (q->urb.ep ? q->urb.ep : q->urb.setup[0]) & USB_IN;
}

static void done(struct usb_urb *urb)
{
	struct usbip_request *q = urb->owner;
	struct usbip *u = q->u;

	if (!q->unlinked && u->imported) {
		send_header(u, RET_SUBMIT, q->seqnum, status_of(q), urb->actual);
		if (is_in(q))
			put(u, urb->data, urb->actual);
	}
	forget(q);
	flush(u);
}

static void cancel_all(struct usbip *u)
{
	struct usbip_request *q, *next;

	for (q = u->requests; q; q = next) {
		next = q->next;
		u->port.dev->cancel(u->port.dev, &q->urb);
	}
}

/* Returns the length of the message, 0 if there is more to come, or -errno. */
static ssize_t take_submit(struct usbip *u, const uint8_t *h, size_t have)
{
	uint32_t direction = get32(h + 12), ep = get32(h + 16), len = get32(h + 24);
	uint32_t packets = get32(h + 32);
	size_t size = HEADER_BYTES + (direction == DIR_IN ? 0 : len);
	struct usbip_request *q, **at = &u->requests;

	if (direction > DIR_IN || ep > 15 || len > USB_MAX_TRANSFER ||
	    (packets && packets != NOT_ISO))
		return -EPROTO;
	if (have < size)
		return 0;
	q = calloc(1, sizeof(*q) + len);
	if (!q)
		return -ENOMEM;
	q->u = u;
	q->seqnum = get32(h + 4);
	q->flags = get32(h + 20);
	q->urb.ep = (uint8_t)(ep | (ep && direction == DIR_IN ? USB_IN : 0));
	memcpy(q->urb.setup, h + 40, USB_SETUP_SIZE);
	q->urb.data = q->data;
	q->urb.len = len;
	q->urb.done = done;
	q->urb.owner = q;
	memcpy(q->data, h + HEADER_BYTES, size - HEADER_BYTES);
	while (*at)
		at = &(*at)->next;
	*at = q;
	u->port.dev->submit(u->port.dev, &q->urb);
	u->port.kick(u->port.ctx);
	return (ssize_t)size;
}

static void take_unlink(struct usbip *u, const uint8_t *h)
{
	uint32_t seqnum = get32(h + 20), status = 0;
	struct usbip_request *q;

	for (q = u->requests; q && q->seqnum != seqnum; q = q->next)
		;
	if (q) {
		q->unlinked = true;
		u->port.dev->cancel(u->port.dev, &q->urb);
		status = (uint32_t)-ECONNRESET;
	}
	send_header(u, RET_UNLINK, get32(h + 4), status, 0);
}

static ssize_t take_request(struct usbip *u)
{
	const uint8_t *h = u->in.data;

	if (u->in.len < HEADER_BYTES)
		return 0;
	switch (get32(h)) {
	case CMD_SUBMIT:
		return take_submit(u, h, u->in.len);
	case CMD_UNLINK:
		take_unlink(u, h);
		return HEADER_BYTES;
	default:
		return -EPROTO;
	}
}

/* ---- operations ---- */

static void send_op(struct usbip *u, uint32_t code, uint32_t status)
{
	uint8_t h[OP_BYTES];

	put32(put16(put16(h, VERSION), code), status);
	put(u, h, sizeof(h));
}

static void send_device(struct usbip *u, const struct usb_info *info)
{
	uint8_t d[PATH_BYTES + BUSID_BYTES + 24] = PATH, *p = d + PATH_BYTES;

	memcpy(p, BUSID, sizeof(BUSID));
	p = put32(p + BUSID_BYTES, BUSNUM);
	p = put32(p, DEVNUM);
	p = put32(p, info->speed == USB_SUPER_SPEED ? SPEED_SUPER : SPEED_HIGH);
	p = put16(p, info->vendor);
	p = put16(p, info->product);
	p = put16(p, info->release);
	*p++ = info->class;
	*p++ = info->subclass;
	*p++ = info->protocol;
	*p++ = info->configuration;
	*p++ = 1;
	*p++ = (uint8_t)info->interfaces;
	put(u, d, sizeof(d));
}

static void send_list(struct usbip *u)
{
	uint8_t n[4], i4[4] = { 0 };
	struct usb_info info;
	unsigned int i;

	u->port.dev->info(u->port.dev, &info);
	send_op(u, OP_DEVLIST, 0);
	put32(n, u->plugged);
	put(u, n, sizeof(n));
	if (!u->plugged)
		return;
	send_device(u, &info);
	for (i = 0; i < info.interfaces; i++) {
		i4[0] = info.interface[i].class;
		i4[1] = info.interface[i].subclass;
		i4[2] = info.interface[i].protocol;
		put(u, i4, sizeof(i4));
	}
}

static void import(struct usbip *u, const char *busid)
{
	struct usb_info info;

	if (!u->plugged || strncmp(busid, BUSID, BUSID_BYTES)) {
		send_op(u, OP_IMPORT, 1);
		u->ending = true;
		return;
	}
	u->imported = true;
	u->port.attached(u->port.ctx);
	send_op(u, OP_IMPORT, 0);
	u->port.dev->info(u->port.dev, &info);
	send_device(u, &info);
}

static ssize_t take_op(struct usbip *u)
{
	const uint8_t *h = u->in.data;

	if (u->in.len < OP_BYTES)
		return 0;
	if (get32(h) >> 16 != VERSION)
		return -EPROTO;
	switch (get32(h) & 0xffff) {
	case OP_REQUEST | OP_DEVLIST:
		send_list(u);
		u->ending = true;
		return OP_BYTES;
	case OP_REQUEST | OP_IMPORT:
		if (u->in.len < OP_BYTES + BUSID_BYTES)
			return 0;
		import(u, (const char *)h + OP_BYTES);
		return OP_BYTES + BUSID_BYTES;
	default:
		return -EPROTO;
	}
}

/* ---- connection ---- */

/* Returns 1 to go on, 0 at the end, -errno. */
static int take_all(struct usbip *u)
{
	ssize_t n;

	while (!u->ending) {
		n = u->imported ? take_request(u) : take_op(u);
		if (n < 0)
			return (int)n;
		if (!n)
			break;
		drop(&u->in, (size_t)n);
	}
	return 1;
}

static int receive(struct usbip *u)
{
	uint8_t *to = reserve(&u->in, 65536);
	ssize_t n;

	if (!to)
		return -ENOMEM;
	n = recv(u->sock, to, 65536, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (n <= 0)
		return 0;
	u->in.len += (size_t)n;
	return take_all(u);
}

static int serve_once(struct usbip *u)
{
	struct pollfd p[2] = {
		{ .fd = u->sock, .events = POLLIN }, { .fd = u->wake_fd, .events = POLLIN },
	};
	uint64_t count;
	int ret = 1;

	u->port.lock(u->port.ctx);
	if (u->out.len)
		p[0].events |= POLLOUT;
	u->port.unlock(u->port.ctx);
	if (poll(p, 2, -1) < 0 && errno != EINTR)
		return -errno;
	if (p[1].revents && read(u->wake_fd, &count, sizeof(count)) < 0)
		return -errno;
	u->port.lock(u->port.ctx);
	/* What was on its way to a device that was pulled is nobody's. */
	if (p[0].revents & ~POLLOUT && !u->ending && !u->broken)
		ret = receive(u);
	flush(u);
	if (u->over || u->broken || (u->ending && !u->out.len))
		ret = ret < 0 ? ret : 0;
	u->port.unlock(u->port.ctx);
	return ret;
}

static void withdraw(struct usbip *u)
{
	if (!u->imported)
		return;
	u->imported = false;
	cancel_all(u);
	u->port.detached(u->port.ctx);
}

static int begin(struct usbip *u, int sock)
{
	int ret;

	u->port.lock(u->port.ctx);
	u->sock = sock;
	u->imported = false;
	u->ending = false;
	u->broken = false;
	u->in.len = 0;
	u->out.len = 0;
	ret = !u->over;
	u->port.unlock(u->port.ctx);
	return ret;
}

int usbip_serve(struct usbip *u, int sock)
{
	int ret = begin(u, sock);

	while (ret > 0)
		ret = serve_once(u);
	u->port.lock(u->port.ctx);
	withdraw(u);
	close(u->sock);
	u->sock = -1;
	u->port.unlock(u->port.ctx);
	return ret;
}

void usbip_vanished(struct usbip *u)
{
	u->plugged = false;
	withdraw(u);
	u->broken = true;
	wake(u);
}

void usbip_plug(struct usbip *u, bool plugged)
{
	u->port.lock(u->port.ctx);
	if (plugged)
		u->plugged = true;
	else
		usbip_vanished(u);
	u->port.unlock(u->port.ctx);
}

void usbip_shutdown(struct usbip *u)
{
	u->port.lock(u->port.ctx);
	u->over = true;
	wake(u);
	u->port.unlock(u->port.ctx);
}

int usbip_init(struct usbip *u, const struct usb_port *port)
{
	memset(u, 0, sizeof(*u));
	u->port = *port;
	u->sock = -1;
	u->plugged = true;
	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return u->wake_fd < 0 ? -errno : 0;
}

void usbip_exit(struct usbip *u)
{
	close(u->wake_fd);
	free(u->in.data);
	free(u->out.data);
}
