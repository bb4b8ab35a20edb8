// SPDX-License-Identifier: MIT
/* usb_fake.c - see usb_fake.h. Source: USB/IP protocol 1.1.1 (kernel documentation). */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libusb.h>

#include "usb_fake.h"

#define RET_SUBMIT	3
#define RET_UNLINK	4

int fake_claim_error;
bool fake_no_shared_memory;
int fake_transfers, fake_contexts;

struct flight {
	struct flight *next;
	uint32_t seq, unlink_seq;
	bool flying;
	bool *done;		/* of a synchronous request */
	struct libusb_transfer x;
};

struct libusb_context {
	pthread_mutex_t lock;
	pthread_cond_t over;
	pthread_t handler;	/* who handles events now */
	bool handling;
	int sock, wake[2];
	bool gone;
	uint32_t seq;
	struct flight *flights;
	struct libusb_device_descriptor desc;
	uint8_t config[512];
};

static void surprise(const char *what)
{
	fprintf(stderr, "usb_fake: %s\n", what);
	abort();
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static struct flight *flight_of(struct libusb_transfer *x)
{
	return (struct flight *)((char *)x - offsetof(struct flight, x));
}

static bool send_all(struct libusb_context *c, const void *data, size_t len)
{
	return send(c->sock, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool receive_all(struct libusb_context *c, void *data, size_t len)
{
	return !len || recv(c->sock, data, len, MSG_WAITALL) == (ssize_t)len;
}

/* --- transfers --- */

struct libusb_transfer *libusb_alloc_transfer(int iso)
{
	struct flight *f = calloc(1, sizeof(*f));

	if (iso)
		surprise("isochronous transfer");
	__atomic_add_fetch(&fake_transfers, 1, __ATOMIC_RELAXED);
	return &f->x;
}

void libusb_free_transfer(struct libusb_transfer *x)
{
	if (!x)
		return;
	if (flight_of(x)->flying)
		surprise("a transfer in flight was freed");
	__atomic_sub_fetch(&fake_transfers, 1, __ATOMIC_RELAXED);
	free(flight_of(x));
}

static bool is_in(const struct libusb_transfer *x)
{
	return (x->endpoint ? x->endpoint : x->buffer[0]) & 0x80;
}

/* Data of a transfer, behind the setup packet on EP0. */
static uint8_t *data_of(const struct libusb_transfer *x)
{
	return x->endpoint ? x->buffer : x->buffer + LIBUSB_CONTROL_SETUP_SIZE;
}

static uint32_t len_of(const struct libusb_transfer *x)
{
	return (uint32_t)x->length - (x->endpoint ? 0 : LIBUSB_CONTROL_SETUP_SIZE);
}

int libusb_submit_transfer(struct libusb_transfer *x)
{
	struct libusb_context *c = (void *)x->dev_handle;
	struct flight *f = flight_of(x);
	uint8_t m[48] = { 0 };

	if (!c)
		surprise("a transfer without a handle");
	pthread_mutex_lock(&c->lock);
	if (f->flying)
		surprise("a transfer was submitted twice");
	if (c->gone) {
		pthread_mutex_unlock(&c->lock);
		return LIBUSB_ERROR_NO_DEVICE;
	}
	f->flying = true;
	f->seq = ++c->seq;
	f->unlink_seq = 0;
	f->next = c->flights;
	c->flights = f;
	put_be32(m, 1);
	put_be32(m + 4, f->seq);
	put_be32(m + 8, 1 << 16 | 2);
	put_be32(m + 12, is_in(x));
	put_be32(m + 16, x->endpoint & 0x0f);
	put_be32(m + 24, len_of(x));
	put_be32(m + 32, 0xffffffff);
	if (!x->endpoint)
		memcpy(m + 40, x->buffer, LIBUSB_CONTROL_SETUP_SIZE);
	/* The end of the connection shows when it is read. */
	if (send_all(c, m, sizeof(m)) && !is_in(x) && len_of(x))
		send_all(c, data_of(x), len_of(x));
	pthread_mutex_unlock(&c->lock);
	return 0;
}

int libusb_cancel_transfer(struct libusb_transfer *x)
{
	struct libusb_context *c = (void *)x->dev_handle;
	struct flight *f = flight_of(x);
	uint8_t m[48] = { 0 };
	int rc = LIBUSB_ERROR_NOT_FOUND;

	pthread_mutex_lock(&c->lock);
	if (f->flying && !f->unlink_seq) {
		f->unlink_seq = ++c->seq;
		put_be32(m, 2);
		put_be32(m + 4, f->unlink_seq);
		put_be32(m + 20, f->seq);
		send_all(c, m, sizeof(m));
		rc = 0;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* --- events --- */

/* Take it off the list and tell. Called without the lock. */
static void complete(struct libusb_context *c, struct flight *f,
		     enum libusb_transfer_status status, uint32_t actual)
{
	struct flight **at;

	pthread_mutex_lock(&c->lock);
	for (at = &c->flights; *at != f; at = &(*at)->next)
		;
	*at = f->next;
	f->flying = false;
	f->x.status = status;
	f->x.actual_length = (int)actual;
	pthread_mutex_unlock(&c->lock);
	f->x.callback(&f->x);
}

static struct flight *find(struct libusb_context *c, uint32_t seq, bool unlinked)
{
	struct flight *f;

	pthread_mutex_lock(&c->lock);
	for (f = c->flights; f; f = f->next)
		if ((unlinked ? f->unlink_seq : f->seq) == seq)
			break;
	pthread_mutex_unlock(&c->lock);
	return f;
}

static enum libusb_transfer_status status_of(uint32_t status)
{
	switch (-(int)status) {
	case 0:
		return LIBUSB_TRANSFER_COMPLETED;
	case EPIPE:
		return LIBUSB_TRANSFER_STALL;
	case ECONNRESET:
	case ENOENT:
		return LIBUSB_TRANSFER_CANCELLED;
	case ENODEV:
	case ESHUTDOWN:
		return LIBUSB_TRANSFER_NO_DEVICE;
	default:
		return LIBUSB_TRANSFER_ERROR;
	}
}

static void lost(struct libusb_context *c)
{
	struct flight *f;

	pthread_mutex_lock(&c->lock);
	c->gone = true;
	pthread_mutex_unlock(&c->lock);
	for (;;) {
		pthread_mutex_lock(&c->lock);
		f = c->flights;
		pthread_mutex_unlock(&c->lock);
		if (!f)
			return;
		complete(c, f, LIBUSB_TRANSFER_NO_DEVICE, 0);
	}
}

static void message(struct libusb_context *c)
{
	uint32_t actual, status;
	struct flight *f;
	uint8_t m[48];

	if (!receive_all(c, m, sizeof(m))) {
		lost(c);
		return;
	}
	status = be32(m + 20);
	if (be32(m) == RET_UNLINK) {
		/* 0: its answer came before. */
		f = find(c, be32(m + 4), true);
		if (f && status)
			complete(c, f, LIBUSB_TRANSFER_CANCELLED, 0);
		return;
	}
	if (be32(m) != RET_SUBMIT)
		surprise("unknown message");
	f = find(c, be32(m + 4), false);
	if (!f)
		surprise("an answer to nothing");
	actual = be32(m + 24);
	if (actual > len_of(&f->x))
		surprise("more data than asked for");
	if (is_in(&f->x) && !receive_all(c, data_of(&f->x), actual))
		lost(c);
	else
		complete(c, f, status_of(status), actual);
}

int libusb_handle_events_timeout_completed(struct libusb_context *c, struct timeval *tv,
					   int *completed)
{
	struct pollfd p[2] = { { .fd = c->sock, .events = POLLIN },
			       { .fd = c->wake[0], .events = POLLIN } };
	char byte[64];

	(void)completed;
	pthread_mutex_lock(&c->lock);
	c->handler = pthread_self();
	c->handling = true;
	if (c->gone)
		p[0].fd = -1;
	pthread_mutex_unlock(&c->lock);
	poll(p, 2, (int)(tv->tv_sec * 1000 + (tv->tv_usec + 999) / 1000));
	if (p[1].revents && read(c->wake[0], byte, sizeof(byte)) < 0)
		surprise("the pipe failed");
	if (p[0].revents)
		message(c);
	return 0;
}

void libusb_interrupt_event_handler(struct libusb_context *c)
{
	if (write(c->wake[1], "", 1) != 1)
		surprise("the pipe failed");
}

/* --- requests that are waited for --- */

static void LIBUSB_CALL sync_done(struct libusb_transfer *x)
{
	struct libusb_context *c = (void *)x->dev_handle;

	pthread_mutex_lock(&c->lock);
	*flight_of(x)->done = true;
	pthread_cond_broadcast(&c->over);
	pthread_mutex_unlock(&c->lock);
}

/* Bytes that came, or LIBUSB_ERROR_*. */
static int control(struct libusb_context *c, uint8_t type, uint8_t request, uint16_t value,
		   uint16_t index, void *data, uint16_t len)
{
	struct libusb_transfer *x = libusb_alloc_transfer(0);
	struct timeval tv = { .tv_sec = 1 };
	bool done = false, mine;
	uint8_t buf[1024];
	int rc;

	libusb_fill_control_setup(buf, type, request, value, index, len);
	libusb_fill_control_transfer(x, (void *)c, buf, sync_done, NULL, 0);
	flight_of(x)->done = &done;
	rc = libusb_submit_transfer(x);
	pthread_mutex_lock(&c->lock);
	mine = !c->handling || pthread_equal(c->handler, pthread_self());
	pthread_mutex_unlock(&c->lock);
	if (!rc && mine)
		while (!done)
			libusb_handle_events_timeout_completed(c, &tv, NULL);
	pthread_mutex_lock(&c->lock);
	while (!rc && !done)
		pthread_cond_wait(&c->over, &c->lock);
	pthread_mutex_unlock(&c->lock);
	if (!rc && x->status != LIBUSB_TRANSFER_COMPLETED)
		rc = LIBUSB_ERROR_PIPE;
	if (!rc) {
		rc = x->actual_length;
		if (data)
			memcpy(data, buf + LIBUSB_CONTROL_SETUP_SIZE, (size_t)rc);
	}
	libusb_free_transfer(x);
	return rc;
}

int libusb_clear_halt(libusb_device_handle *h, unsigned char ep)
{
	int rc = control((void *)h, 0x02, LIBUSB_REQUEST_CLEAR_FEATURE, 0, ep, NULL, 0);

	return rc < 0 ? rc : 0;
}

/* --- life --- */

int libusb_init(libusb_context **ctx)
{
	struct libusb_context *c = calloc(1, sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->over, NULL);
	if (pipe(c->wake) < 0)
		surprise("no pipe");
	c->sock = -1;
	fake_contexts++;
	*ctx = c;
	return 0;
}

void libusb_exit(libusb_context *c)
{
	if (c->flights)
		surprise("transfers in flight at the end");
	close(c->wake[0]);
	close(c->wake[1]);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->over);
	fake_contexts--;
	free(c);
}

int libusb_wrap_sys_device(libusb_context *c, intptr_t fd, libusb_device_handle **h)
{
	c->sock = (int)fd;
	*h = (void *)c;
	/* What the kernel does when it finds a device. */
	if (control(c, 0x80, LIBUSB_REQUEST_GET_DESCRIPTOR, 0x100, 0, &c->desc, 18) != 18 ||
	    control(c, 0x80, LIBUSB_REQUEST_GET_DESCRIPTOR, 0x200, 0, c->config, 512) < 9 ||
	    control(c, 0x00, LIBUSB_REQUEST_SET_CONFIGURATION, 1, 0, NULL, 0) < 0)
		return LIBUSB_ERROR_NO_DEVICE;
	c->handling = false;
	return 0;
}

unsigned char *libusb_dev_mem_alloc(libusb_device_handle *h, size_t bytes)
{
	(void)h;
	return fake_no_shared_memory ? NULL : malloc(bytes);
}

int libusb_dev_mem_free(libusb_device_handle *h, unsigned char *mem, size_t bytes)
{
	if (!h || !bytes || fake_no_shared_memory)
		surprise("this was not given");
	free(mem);
	return 0;
}

void libusb_close(libusb_device_handle *h)
{
	(void)h;
}

libusb_device *libusb_get_device(libusb_device_handle *h)
{
	return (void *)h;
}

int libusb_claim_interface(libusb_device_handle *h, int number)
{
	(void)h;
	(void)number;
	return fake_claim_error;
}

int libusb_release_interface(libusb_device_handle *h, int number)
{
	(void)h;
	(void)number;
	return 0;
}

int libusb_get_device_descriptor(libusb_device *dev, struct libusb_device_descriptor *d)
{
	struct libusb_context *c = (void *)dev;

	*d = c->desc;
	return 0;
}

int libusb_get_active_config_descriptor(libusb_device *dev,
					struct libusb_config_descriptor **config)
{
	static struct libusb_interface_descriptor alt[2];
	static struct libusb_endpoint_descriptor ep[2][8];
	static struct libusb_interface ifs[2];
	static struct libusb_config_descriptor conf;
	struct libusb_context *c = (void *)dev;
	unsigned int total = c->config[2] | (unsigned int)c->config[3] << 8, at, n = 2;

	memset(alt, 0, sizeof(alt));
	conf = (struct libusb_config_descriptor){ .bNumInterfaces = c->config[4],
						  .interface = ifs };
	for (at = 0; at < total && c->config[at]; at += c->config[at]) {
		const uint8_t *d = c->config + at;

		if (d[1] == LIBUSB_DT_INTERFACE) {
			n = d[2];
			ifs[n] = (struct libusb_interface){ .altsetting = &alt[n],
							    .num_altsetting = 1 };
			alt[n].endpoint = ep[n];
		} else if (d[1] == LIBUSB_DT_ENDPOINT && n < 2) {
			ep[n][alt[n].bNumEndpoints++] = (struct libusb_endpoint_descriptor){
				.bEndpointAddress = d[2],
				.bmAttributes = d[3],
				.wMaxPacketSize = (uint16_t)(d[4] | d[5] << 8),
			};
		}
	}
	*config = &conf;
	return 0;
}

void libusb_free_config_descriptor(struct libusb_config_descriptor *config)
{
	(void)config;
}
