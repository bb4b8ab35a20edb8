// SPDX-License-Identifier: MIT
/*
 * usbredir.c - see usbredir.h.
 *
 * A request of the peer becomes a usb_urb; its answer is queued in the parser
 * when the device is done and written at once as far as the socket takes it.
 * The requests of one endpoint are answered in order because the device serves
 * them in order. Nothing here waits: a request without data stays open until
 * the device has some or the peer cancels it.
 */
#include "usbredir.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <usbredirparser.h>

struct usbredir_request {
	struct usb_urb urb;
	struct usbredir *r;
	struct usbredir_request *next;
	uint64_t id;
	union {
		struct usb_redir_control_packet_header control;
		struct usb_redir_bulk_packet_header bulk;
	} head;
	uint8_t data[];
};

/* ---- socket ---- */

static int cb_read(void *priv, uint8_t *data, int count)
{
	struct usbredir *r = priv;
	ssize_t n = recv(r->sock, data, (size_t)count, MSG_DONTWAIT);

	if (n > 0)
		return (int)n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	r->eof = true;
	return -1;
}

static int cb_write(void *priv, uint8_t *data, int count)
{
	struct usbredir *r = priv;
	ssize_t n = send(r->sock, data, (size_t)count, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		return (int)n;
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	r->eof = true;
	return -1;
}

static void cb_log(void *priv, int level, const char *msg)
{
	struct usbredir *r = priv;

	if (level <= usbredirparser_warning && r->port.log)
		fprintf(r->port.log, "usbredir: %s\n", msg);
}

static void wake(struct usbredir *r)
{
	uint64_t one = 1;

	if (write(r->wake_fd, &one, sizeof(one)) < 0)
		r->broken = true;
}

/* What the socket does not take now is sent when it can. */
static void flush(struct usbredir *r)
{
	if (!r->parser)
		return;
	if (usbredirparser_has_data_to_write(r->parser) &&
	    usbredirparser_do_write(r->parser) == usbredirparser_write_io_error)
		r->broken = true;
	if (r->broken || usbredirparser_has_data_to_write(r->parser))
		wake(r);
}

/* ---- requests ---- */

static uint8_t status_of(enum usb_status status)
{
	switch (status) {
	case USB_OK:
		return usb_redir_success;
	case USB_CANCELLED:
		return usb_redir_cancelled;
	case USB_STALLED:
		return usb_redir_stall;
	case USB_BABBLE:
		return usb_redir_babble;
	default:
		return usb_redir_ioerror;
	}
}

/* NULL: too long, or on its way to a device that was pulled meanwhile. */
static struct usbredir_request *new_request(struct usbredir *r, uint64_t id, uint8_t ep,
					    uint32_t len, const uint8_t *data)
{
	struct usbredir_request *q, **at = &r->requests;

	if (len > USB_MAX_TRANSFER || !r->connected)
		return NULL;
	q = calloc(1, sizeof(*q) + len);
	if (!q)
		return NULL;
	q->r = r;
	q->id = id;
	q->urb.ep = ep;
	q->urb.len = len;
	q->urb.data = q->data;
	q->urb.owner = q;
	if (data)
		memcpy(q->data, data, len);
	while (*at)
		at = &(*at)->next;
	*at = q;
	return q;
}

static void forget(struct usbredir_request *q)
{
	struct usbredir_request **at = &q->r->requests;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	free(q);
}

static void submit(struct usbredir_request *q)
{
	struct usbredir *r = q->r;

	r->port.dev->submit(r->port.dev, &q->urb);
	r->port.kick(r->port.ctx);
}

/* The oldest first: QEMU wants the answers of an endpoint in order. */
static void cancel_all(struct usbredir *r)
{
	struct usbredir_request *q, *next;

	for (q = r->requests; q; q = next) {
		next = q->next;
		r->port.dev->cancel(r->port.dev, &q->urb);
	}
}

static void done_control(struct usb_urb *urb)
{
	struct usbredir_request *q = urb->owner;
	struct usbredir *r = q->r;
	bool in = q->head.control.endpoint & USB_IN;

	q->head.control.status = status_of(urb->status);
	q->head.control.length = urb->status == USB_OK ? (uint16_t)urb->actual : 0;
	if (r->parser)
		usbredirparser_send_control_packet(r->parser, q->id, &q->head.control,
			in && q->head.control.length ? urb->data : NULL,
			in ? q->head.control.length : 0);
	forget(q);
	flush(r);
}

/* The peer throws away what comes with a cancelled packet, so nothing does. */
static void done_bulk(struct usb_urb *urb)
{
	struct usbredir_request *q = urb->owner;
	struct usb_redir_bulk_packet_header *h = &q->head.bulk;
	struct usbredir *r = q->r;
	uint32_t len = urb->status == USB_CANCELLED ? 0 : urb->actual;
	bool in = h->endpoint & USB_IN;

	h->status = status_of(urb->status);
	h->length = (uint16_t)len;
	h->length_high = (uint16_t)(len >> 16);
	if (r->parser)
		usbredirparser_send_bulk_packet(r->parser, q->id, h, in && len ? urb->data : NULL,
						in ? (int)len : 0);
	forget(q);
	flush(r);
}

static void cb_control_packet(void *priv, uint64_t id,
			      struct usb_redir_control_packet_header *h, uint8_t *data, int len)
{
	struct usbredir *r = priv;
	bool in = h->requesttype & USB_IN;
	struct usbredir_request *q;

	q = new_request(r, id, 0, in ? h->length : (uint32_t)len, in ? NULL : data);
	usbredirparser_free_packet_data(r->parser, data);
	if (!q) {
		h->status = usb_redir_ioerror;
		h->length = 0;
		usbredirparser_send_control_packet(r->parser, id, h, NULL, 0);
		return;
	}
	q->head.control = *h;
	q->urb.done = done_control;
	q->urb.setup[0] = h->requesttype;
	q->urb.setup[1] = h->request;
	q->urb.setup[2] = (uint8_t)h->value;
	q->urb.setup[3] = (uint8_t)(h->value >> 8);
	q->urb.setup[4] = (uint8_t)h->index;
	q->urb.setup[5] = (uint8_t)(h->index >> 8);
	q->urb.setup[6] = (uint8_t)h->length;
	q->urb.setup[7] = (uint8_t)(h->length >> 8);
	submit(q);
}

static void cb_bulk_packet(void *priv, uint64_t id, struct usb_redir_bulk_packet_header *h,
			   uint8_t *data, int len)
{
	struct usbredir *r = priv;
	bool in = h->endpoint & USB_IN;
	uint32_t want = h->length | (uint32_t)h->length_high << 16;
	struct usbredir_request *q;

	q = new_request(r, id, h->endpoint, in ? want : (uint32_t)len, in ? NULL : data);
	usbredirparser_free_packet_data(r->parser, data);
	if (!q) {
		h->status = usb_redir_inval;
		h->length = 0;
		h->length_high = 0;
		usbredirparser_send_bulk_packet(r->parser, id, h, NULL, 0);
		return;
	}
	q->head.bulk = *h;
	q->urb.done = done_bulk;
	submit(q);
}

/* There is no interrupt endpoint to the device. */
static void cb_interrupt_packet(void *priv, uint64_t id,
				struct usb_redir_interrupt_packet_header *h, uint8_t *data, int len)
{
	struct usbredir *r = priv;

	(void)len;
	usbredirparser_free_packet_data(r->parser, data);
	h->status = usb_redir_inval;
	h->length = 0;
	usbredirparser_send_interrupt_packet(r->parser, id, h, NULL, 0);
}

static void cb_iso_packet(void *priv, uint64_t id, struct usb_redir_iso_packet_header *h,
			  uint8_t *data, int len)
{
	struct usbredir *r = priv;

	(void)id;
	(void)h;
	(void)len;
	usbredirparser_free_packet_data(r->parser, data);
}

static void cb_cancel(void *priv, uint64_t id)
{
	struct usbredir *r = priv;
	struct usbredir_request *q;

	for (q = r->requests; q; q = q->next) {
		if (q->id != id)
			continue;
		r->port.dev->cancel(r->port.dev, &q->urb);
		return;
	}
	/* Its answer was on the way already. */
}

/* ---- what the device is ---- */

static void send_info(struct usbredir *r)
{
	struct usb_redir_interface_info_header ifs = { 0 };
	struct usb_redir_ep_info_header eps = { 0 };
	struct usb_info info;
	unsigned int i;

	r->port.dev->info(r->port.dev, &info);
	ifs.interface_count = info.interfaces;
	for (i = 0; i < info.interfaces; i++) {
		ifs.interface[i] = info.interface[i].number;
		ifs.interface_class[i] = info.interface[i].class;
		ifs.interface_subclass[i] = info.interface[i].subclass;
		ifs.interface_protocol[i] = info.interface[i].protocol;
	}
	memset(eps.type, usb_redir_type_invalid, sizeof(eps.type));
	eps.type[usb_ep_index(0)] = usb_redir_type_control;
	eps.type[usb_ep_index(USB_IN)] = usb_redir_type_control;
	for (i = 0; i < USB_MAX_ENDPOINTS; i++) {
		if (!info.ep[i].present)
			continue;
		eps.type[i] = info.ep[i].type;
		eps.interval[i] = info.ep[i].interval;
		eps.interface[i] = info.ep[i].interface;
		eps.max_packet_size[i] = info.ep[i].max_packet;
	}
	usbredirparser_send_interface_info(r->parser, &ifs);
	usbredirparser_send_ep_info(r->parser, &eps);
}

/* Say that the device is there, if it is, and if the peer can hear it. */
static void announce(struct usbredir *r)
{
	struct usb_redir_device_connect_header c = { 0 };
	struct usb_info info;

	if (!r->parser || !r->greeted || !r->plugged || r->connected)
		return;
	r->connected = true;
	r->port.attached(r->port.ctx);
	send_info(r);
	r->port.dev->info(r->port.dev, &info);
	c.speed = info.speed == USB_SUPER_SPEED ? usb_redir_speed_super : usb_redir_speed_high;
	c.device_class = info.class;
	c.device_subclass = info.subclass;
	c.device_protocol = info.protocol;
	c.vendor_id = info.vendor;
	c.product_id = info.product;
	c.device_version_bcd = info.release;
	usbredirparser_send_device_connect(r->parser, &c);
	flush(r);
}

static void withdraw(struct usbredir *r)
{
	if (!r->connected)
		return;
	r->connected = false;
	cancel_all(r);
	if (r->parser)
		usbredirparser_send_device_disconnect(r->parser);
	r->port.detached(r->port.ctx);
	flush(r);
}

static void cb_hello(void *priv, struct usb_redir_hello_header *hello)
{
	struct usbredir *r = priv;

	(void)hello;
	r->greeted = true;
	announce(r);
}

static void cb_reset(void *priv)
{
	struct usbredir *r = priv;

	r->port.dev->reset(r->port.dev);
}

static void done_here(struct usb_urb *urb)
{
	(void)urb;
}

/* A control transfer that has a message of its own in this protocol. */
static uint8_t standard(struct usbredir *r, uint8_t type, uint8_t request, uint8_t value,
			uint8_t index)
{
	struct usb_urb urb = {
		.setup = { type, request, value, 0, index }, .done = done_here,
	};

	r->port.dev->submit(r->port.dev, &urb);
	r->port.kick(r->port.ctx);
	return status_of(urb.status);
}

static void send_configuration(struct usbredir *r, uint64_t id, uint8_t status)
{
	struct usb_redir_configuration_status_header s = { .status = status };
	struct usb_info info;

	r->port.dev->info(r->port.dev, &info);
	s.configuration = info.configuration;
	usbredirparser_send_configuration_status(r->parser, id, &s);
}

static void cb_set_configuration(void *priv, uint64_t id,
				 struct usb_redir_set_configuration_header *h)
{
	struct usbredir *r = priv;
	uint8_t status = standard(r, 0x00, 9, h->configuration, 0);

	send_info(r);
	send_configuration(r, id, status);
}

static void cb_get_configuration(void *priv, uint64_t id)
{
	send_configuration(priv, id, usb_redir_success);
}

static void cb_set_alt(void *priv, uint64_t id, struct usb_redir_set_alt_setting_header *h)
{
	struct usb_redir_alt_setting_status_header s = { .interface = h->interface };
	struct usbredir *r = priv;

	s.status = standard(r, 0x01, 11, h->alt, h->interface);
	send_info(r);
	usbredirparser_send_alt_setting_status(r->parser, id, &s);
}

/* There is no alternate setting but 0. */
static void cb_get_alt(void *priv, uint64_t id, struct usb_redir_get_alt_setting_header *h)
{
	struct usb_redir_alt_setting_status_header s = { .interface = h->interface };
	struct usbredir *r = priv;

	usbredirparser_send_alt_setting_status(r->parser, id, &s);
}

/* The only interrupt endpoint never has anything to say. */
static void send_interrupt_status(struct usbredir *r, uint64_t id, uint8_t ep)
{
	struct usb_redir_interrupt_receiving_status_header s = { .endpoint = ep };
	struct usb_info info;

	r->port.dev->info(r->port.dev, &info);
	if (!(ep & USB_IN) || info.ep[usb_ep_index(ep)].type != usb_redir_type_interrupt)
		s.status = usb_redir_inval;
	usbredirparser_send_interrupt_receiving_status(r->parser, id, &s);
}

static void cb_start_interrupt(void *priv, uint64_t id,
			       struct usb_redir_start_interrupt_receiving_header *h)
{
	send_interrupt_status(priv, id, h->endpoint);
}

static void cb_stop_interrupt(void *priv, uint64_t id,
			      struct usb_redir_stop_interrupt_receiving_header *h)
{
	send_interrupt_status(priv, id, h->endpoint);
}

static void cb_start_iso(void *priv, uint64_t id, struct usb_redir_start_iso_stream_header *h)
{
	struct usb_redir_iso_stream_status_header s = { usb_redir_inval, h->endpoint };
	struct usbredir *r = priv;

	usbredirparser_send_iso_stream_status(r->parser, id, &s);
}

static void cb_stop_iso(void *priv, uint64_t id, struct usb_redir_stop_iso_stream_header *h)
{
	struct usb_redir_iso_stream_status_header s = { usb_redir_inval, h->endpoint };
	struct usbredir *r = priv;

	usbredirparser_send_iso_stream_status(r->parser, id, &s);
}

static void cb_alloc_streams(void *priv, uint64_t id, struct usb_redir_alloc_bulk_streams_header *h)
{
	struct usb_redir_bulk_streams_status_header s = {
		.endpoints = h->endpoints, .status = usb_redir_inval,
	};
	struct usbredir *r = priv;

	usbredirparser_send_bulk_streams_status(r->parser, id, &s);
}

static void cb_free_streams(void *priv, uint64_t id, struct usb_redir_free_bulk_streams_header *h)
{
	struct usb_redir_bulk_streams_status_header s = { .endpoints = h->endpoints };
	struct usbredir *r = priv;

	usbredirparser_send_bulk_streams_status(r->parser, id, &s);
}

static void cb_filter(void *priv, struct usbredirfilter_rule *rules, int count)
{
	(void)priv;
	(void)count;
	free(rules);
}

static void cb_filter_reject(void *priv)
{
	struct usbredir *r = priv;

	if (r->port.log)
		fprintf(r->port.log, "usbredir: the peer does not want this device\n");
}

static void cb_disconnect_ack(void *priv)
{
	(void)priv;	/* nothing waits for it */
}

/* ---- connection ---- */

static struct usbredirparser *new_parser(struct usbredir *r)
{
	uint32_t caps[USB_REDIR_CAPS_SIZE] = { 0 };
	struct usbredirparser *p = usbredirparser_create();

	if (!p)
		return NULL;
	p->priv = r;
	p->log_func = cb_log;
	p->read_func = cb_read;
	p->write_func = cb_write;
	p->hello_func = cb_hello;
	p->reset_func = cb_reset;
	p->set_configuration_func = cb_set_configuration;
	p->get_configuration_func = cb_get_configuration;
	p->set_alt_setting_func = cb_set_alt;
	p->get_alt_setting_func = cb_get_alt;
	p->start_interrupt_receiving_func = cb_start_interrupt;
	p->stop_interrupt_receiving_func = cb_stop_interrupt;
	p->start_iso_stream_func = cb_start_iso;
	p->stop_iso_stream_func = cb_stop_iso;
	p->alloc_bulk_streams_func = cb_alloc_streams;
	p->free_bulk_streams_func = cb_free_streams;
	p->cancel_data_packet_func = cb_cancel;
	p->filter_filter_func = cb_filter;
	p->filter_reject_func = cb_filter_reject;
	p->device_disconnect_ack_func = cb_disconnect_ack;
	p->control_packet_func = cb_control_packet;
	p->bulk_packet_func = cb_bulk_packet;
	p->interrupt_packet_func = cb_interrupt_packet;
	p->iso_packet_func = cb_iso_packet;
	usbredirparser_caps_set_cap(caps, usb_redir_cap_connect_device_version);
	usbredirparser_caps_set_cap(caps, usb_redir_cap_filter);
	usbredirparser_caps_set_cap(caps, usb_redir_cap_device_disconnect_ack);
	usbredirparser_caps_set_cap(caps, usb_redir_cap_ep_info_max_packet_size);
	usbredirparser_caps_set_cap(caps, usb_redir_cap_64bits_ids);
	usbredirparser_caps_set_cap(caps, usb_redir_cap_32bits_bulk_length);
	usbredirparser_init(p, "onisim", caps, USB_REDIR_CAPS_SIZE, usbredirparser_fl_usb_host);
	return p;
}

/* Returns 1 to go on, 0 at the end, -errno. */
static int serve_events(struct usbredir *r, short events)
{
	int ret = 0;

	if (r->over)
		return 0;
	if (events)
		ret = usbredirparser_do_read(r->parser);
	if (!r->broken && usbredirparser_has_data_to_write(r->parser) &&
	    usbredirparser_do_write(r->parser) == usbredirparser_write_io_error)
		r->broken = true;
	if (r->eof)
		return 0;
	if (ret == usbredirparser_read_parse_error || r->broken)
		return -EPROTO;
	return ret ? -EIO : 1;
}

static int serve_once(struct usbredir *r)
{
	struct pollfd p[2] = {
		{ .fd = r->sock, .events = POLLIN }, { .fd = r->wake_fd, .events = POLLIN },
	};
	uint64_t count;
	int ret;

	r->port.lock(r->port.ctx);
	if (usbredirparser_has_data_to_write(r->parser))
		p[0].events |= POLLOUT;
	r->port.unlock(r->port.ctx);
	if (poll(p, 2, -1) < 0 && errno != EINTR)
		return -errno;
	if (p[1].revents && read(r->wake_fd, &count, sizeof(count)) < 0)
		return -errno;
	r->port.lock(r->port.ctx);
	ret = serve_events(r, p[0].revents & ~POLLOUT);
	r->port.unlock(r->port.ctx);
	return ret;
}

static int begin(struct usbredir *r, int sock)
{
	int ret = 0;

	r->port.lock(r->port.ctx);
	r->sock = sock;
	r->eof = false;
	r->broken = false;
	r->greeted = false;
	r->parser = r->over ? NULL : new_parser(r);
	if (!r->parser)
		ret = r->over ? 0 : -ENOMEM;
	else
		ret = 1;
	r->port.unlock(r->port.ctx);
	return ret;
}

static void end(struct usbredir *r)
{
	struct usbredirparser *parser;

	r->port.lock(r->port.ctx);
	/* What is answered from here on is answered to nobody. */
	parser = r->parser;
	r->parser = NULL;
	withdraw(r);
	if (parser)
		usbredirparser_destroy(parser);
	close(r->sock);
	r->sock = -1;
	r->port.unlock(r->port.ctx);
}

int usbredir_serve(struct usbredir *r, int sock)
{
	int ret = begin(r, sock);

	while (ret > 0)
		ret = serve_once(r);
	end(r);
	return ret;
}

void usbredir_plug(struct usbredir *r, bool plugged)
{
	r->port.lock(r->port.ctx);
	r->plugged = plugged;
	if (plugged)
		announce(r);
	else
		withdraw(r);
	r->port.unlock(r->port.ctx);
}

void usbredir_vanished(struct usbredir *r)
{
	r->plugged = false;
	withdraw(r);
}

void usbredir_shutdown(struct usbredir *r)
{
	r->port.lock(r->port.ctx);
	r->over = true;
	wake(r);
	r->port.unlock(r->port.ctx);
}

int usbredir_init(struct usbredir *r, const struct usb_port *port)
{
	memset(r, 0, sizeof(*r));
	r->port = *port;
	r->sock = -1;
	r->plugged = true;
	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return r->wake_fd < 0 ? -errno : 0;
}

void usbredir_exit(struct usbredir *r)
{
	close(r->wake_fd);
}
