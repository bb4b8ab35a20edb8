// SPDX-License-Identifier: MIT
/*
 * usb_pipe.c - bulk pipes of the FT600: transfers in flight, credit, repair of errors.
 *
 * A bulk-IN pipe of the chip gives nothing before it was asked with a session packet on
 * endpoint 0x01, which is never answered. A request for many bytes covers many
 * transfers, so that the bus is not idle between them; the next one is made by the
 * completion that uses up the last. Sessions do not overlap. A transfer that ends short
 * means nothing but that the session may be over.
 *
 * After an error a pipe waits for a while, takes everything home and sets out again.
 * What is in flight is called home from the end of the queue, so that only the first
 * can have any data, and their order is that of completions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "usb.h"

#define SEND_NS		(2000 * MS)
#define CHIP_NS		(1000 * MS)
/* A port that was unplugged may show as errors for a while: 1 + 2 + ... + 512 ms. */
#define ERRORS_MAX	10
#define HALTS_MAX	1
/* So many transfers without data in a row get a pause. */
#define EMPTY_MAX	64
#define EMPTY_PAUSE_NS	(20 * MS)
/* After such a silence a pipe that should have data is asked once more. */
#define SILENT_NS	(1000 * MS)

uint64_t usb_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

bool usb_wait(struct usb_board *b, uint64_t end)
{
	struct timespec ts = {
		.tv_sec = (time_t)(end / 1000000000ull),
		.tv_nsec = (long)(end % 1000000000ull),
	};

	return pthread_cond_timedwait(&b->moved, &b->lock, &ts) == 0;
}

void usb_sleep(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* The event thread looks at its clock again. */
void usb_poke(struct usb_board *b)
{
	libusb_interrupt_event_handler(b->ctx);
}

/* The board is not there any more: everybody who waits is told. */
void usb_lost(struct usb_board *b)
{
	struct usb_out *out[] = { &b->chip, &b->session, &b->command, &b->write };
	size_t i;

	if (b->gone)
		return;
	b->gone = true;
	for (i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		if (out[i]->busy)
			libusb_cancel_transfer(out[i]->xfer);
	if (b->ring)
		usb_ring_end(b->ring, ONI_RING_GONE, ENODEV);
	if (b->hang_up >= 0)
		close(b->hang_up);
	b->hang_up = -1;
	pthread_cond_broadcast(&b->moved);
}

/* The link did something it must not do. The next stop or reset tidies up. */
void usb_link_error(struct usb_board *b)
{
	b->cnt.link_errors++;
	if (!b->fault && b->ring && b->serving)
		usb_ring_end(b->ring, ONI_RING_ERROR, EIO);
	b->fault = true;
	pthread_cond_broadcast(&b->moved);
}

/* --- bulk-IN: trouble --------------------------------------------------------------- */

static void fail(struct usb_in *in)
{
	if (in->state != USB_IN_OFF)
		in->state = USB_IN_FAILED;
	usb_link_error(in->b);
}

static void repair_later(struct usb_in *in, uint64_t ns)
{
	in->state = USB_IN_REPAIR;
	in->repair_at = usb_now() + ns;
	usb_poke(in->b);
}

/* It may be a matter of moments, or for ever. */
static void stumble(struct usb_in *in)
{
	/* All that are in flight come back when one does. */
	if (in->state != USB_IN_ON)
		return;
	in->halts += in->halted;
	if (++in->errors > ERRORS_MAX || in->halts > HALTS_MAX)
		fail(in);
	else
		repair_later(in, MS << (in->errors - 1));
}

/* A transfer came back without success. */
static void trouble(struct usb_in *in, enum libusb_transfer_status status)
{
	switch (status) {
	case LIBUSB_TRANSFER_CANCELLED:
		return;
	case LIBUSB_TRANSFER_NO_DEVICE:
		in->state = in->state == USB_IN_OFF ? USB_IN_OFF : USB_IN_FAILED;
		usb_lost(in->b);
		return;
	case LIBUSB_TRANSFER_STALL:
		in->halted = true;
		stumble(in);
		return;
	case LIBUSB_TRANSFER_ERROR:
	case LIBUSB_TRANSFER_TIMED_OUT:
		stumble(in);
		return;
	default:
		/* Babble: data are lost. */
		fail(in);
	}
}

/* A transfer was not taken. */
static void refused(struct usb_in *in, int rc)
{
	trouble(in, rc == LIBUSB_ERROR_NO_DEVICE ? LIBUSB_TRANSFER_NO_DEVICE :
						   LIBUSB_TRANSFER_ERROR);
}

/* --- bulk-IN: asking for data --------------------------------------------------------- */

static void request(struct usb_in *in)
{
	int rc;

	if (in->requesting) {
		in->request_again = true;
		return;
	}
	in->request_again = false;
	oni_ft600_credit_renew(&in->credit);
	oni_ft600_session(in->packet, ++in->b->seq, in->ep, FT600_SESSION_READ,
			  in->credit.grant);
	in->requesting = true;
	rc = libusb_submit_transfer(in->request);
	if (!rc)
		return;
	in->requesting = false;
	refused(in, rc);
}

static void LIBUSB_CALL request_done(struct libusb_transfer *x)
{
	struct usb_in *in = x->user_data;

	pthread_mutex_lock(&in->b->lock);
	in->requesting = false;
	/* A stall is one of the session pipe, which the next reset clears. */
	if (x->status == LIBUSB_TRANSFER_STALL)
		fail(in);
	else if (x->status != LIBUSB_TRANSFER_COMPLETED)
		trouble(in, x->status);
	else if (in->request_again && in->state == USB_IN_ON)
		request(in);
	pthread_cond_broadcast(&in->b->moved);
	pthread_mutex_unlock(&in->b->lock);
}

/* --- bulk-IN: transfers ------------------------------------------------------------------ */

static void to_idle(struct usb_slot *slot)
{
	slot->next = slot->in->idle;
	slot->in->idle = slot;
}

static void submit(struct usb_slot *slot)
{
	struct usb_in *in = slot->in;
	int rc;

	slot->order = ++in->order;
	slot->called_home = false;
	in->flying++;
	rc = libusb_submit_transfer(slot->xfer);
	if (!rc)
		return;
	in->flying--;
	slot->order = 0;
	to_idle(slot);
	refused(in, rc);
}

/* A slot is free to carry the next data. Caller holds the lock. */
void usb_in_again(struct usb_slot *slot)
{
	if (slot->in->state == USB_IN_ON)
		submit(slot);
	else
		to_idle(slot);
}

/* What a transfer that came back means for the pipe. */
static void account(struct usb_in *in, enum libusb_transfer_status status, uint32_t len)
{
	in->b->cnt.interrupts++;
	in->moved_ns = usb_now();
	if (status != LIBUSB_TRANSFER_COMPLETED) {
		trouble(in, status);
		return;
	}
	if (len) {
		in->errors = 0;
		in->halts = 0;
		in->empty = 0;
		in->repeated = false;
	} else {
		in->b->cnt.spurious++;
		in->empty++;
	}
	if (in->state != USB_IN_ON)
		return;
	if (in->empty >= EMPTY_MAX)
		repair_later(in, EMPTY_PAUSE_NS);
	else if (oni_ft600_credit_use(&in->credit, len))
		request(in);
}

static void LIBUSB_CALL slot_done(struct libusb_transfer *x)
{
	struct usb_slot *slot = x->user_data;
	struct usb_in *in = slot->in;

	pthread_mutex_lock(&in->b->lock);
	slot->order = 0;
	in->flying--;
	slot->len = (uint32_t)x->actual_length;
	slot->seen_ns = usb_now();
	account(in, x->status, slot->len);
	/* Also of one that was called home: bytes that came are not lost. */
	if (slot->len)
		in->take(slot);
	else
		usb_in_again(slot);
	if (in->state != USB_IN_ON)
		pthread_cond_broadcast(&in->b->moved);
	pthread_mutex_unlock(&in->b->lock);
}

/* Call everything home, the last to set out first. */
static void call_home(struct usb_in *in)
{
	struct usb_slot *last;
	unsigned int i;

	do {
		last = NULL;
		for (i = 0; i < in->slots; i++)
			if (in->slot[i].order && !in->slot[i].called_home &&
			    (!last || in->slot[i].order > last->order))
				last = &in->slot[i];
		if (last) {
			last->called_home = true;
			libusb_cancel_transfer(last->xfer);
		}
	} while (last);
}

static void set_out(struct usb_in *in)
{
	struct usb_slot *slot;

	in->state = USB_IN_ON;
	in->moved_ns = usb_now();
	while (in->state == USB_IN_ON && (slot = in->idle)) {
		in->idle = slot->next;
		submit(slot);
	}
}

/* 0: the endpoint is not stalled any more. Nothing is in flight; drops the lock. */
static int clear_halt(struct usb_in *in)
{
	bool halted = in->halted;
	int rc;

	in->halted = false;
	if (!halted)
		return 0;
	pthread_mutex_unlock(&in->b->lock);
	rc = libusb_clear_halt(in->b->handle, in->ep);
	pthread_mutex_lock(&in->b->lock);
	return rc;
}

static void repair(struct usb_in *in)
{
	int rc;

	call_home(in);
	if (in->flying || in->requesting)
		return;
	rc = clear_halt(in);
	in->empty = 0;
	if (in->state != USB_IN_REPAIR)
		return;
	if (rc) {
		fail(in);
		return;
	}
	set_out(in);
	/* How much of the last request is left, nobody knows. */
	if (in->state == USB_IN_ON)
		request(in);
}

/* What is due at @now. Event thread, which holds the lock. */
void usb_in_tick(struct usb_in *in, uint64_t now)
{
	if (in->state == USB_IN_REPAIR && now >= in->repair_at)
		repair(in);
	/*
	 * Either there are few data, or the chip has ended the session and nobody was
	 * told. Asking once more does no harm in the first case.
	 */
	if (in->state == USB_IN_ON && in->watched && !in->repeated &&
	    now >= in->moved_ns + SILENT_NS) {
		in->repeated = true;
		request(in);
	}
}

/*
 * Open a pipe and keep transfers of @unit bytes in flight; @slots of them have buffers.
 * Caller's thread, not the event thread.
 */
int usb_in_start(struct usb_in *in, unsigned int slots, uint32_t unit, uint32_t grant)
{
	struct usb_board *b = in->b;
	unsigned int i;
	int ret;

	pthread_mutex_lock(&b->lock);
	oni_ft600_credit_init(&in->credit, grant, unit);
	in->idle = NULL;
	for (i = slots; i--; ) {
		libusb_fill_bulk_transfer(in->slot[i].xfer, b->handle, in->ep, in->slot[i].buf,
					  (int)unit, slot_done, &in->slot[i], 0);
		to_idle(&in->slot[i]);
	}
	/* What the last run has ended with. */
	ret = clear_halt(in) ? -EIO : 0;
	pthread_mutex_unlock(&b->lock);
	if (!ret)
		ret = usb_session(b, in->ep, FT600_SESSION_READ, in->credit.grant);
	if (ret)
		return ret;

	pthread_mutex_lock(&b->lock);
	oni_ft600_credit_renew(&in->credit);
	in->request_again = false;
	in->repeated = false;
	in->errors = 0;
	in->halts = 0;
	in->empty = 0;
	set_out(in);
	pthread_mutex_unlock(&b->lock);
	usb_poke(b);
	return 0;
}

/*
 * Take everything home; what was under way has been given to ->take. Caller's thread.
 * Not bounded by a clock: the memory belongs to the system until it is back, and the
 * system gives it back also if the board is gone.
 */
void usb_in_stop(struct usb_in *in)
{
	pthread_mutex_lock(&in->b->lock);
	in->state = USB_IN_OFF;
	call_home(in);
	if (in->requesting)
		libusb_cancel_transfer(in->request);
	while (in->flying || in->requesting)
		pthread_cond_wait(&in->b->moved, &in->b->lock);
	pthread_mutex_unlock(&in->b->lock);
}

int usb_in_init(struct usb_in *in, struct usb_board *b, uint8_t ep, unsigned int slots,
		void (*take)(struct usb_slot *slot))
{
	unsigned int i;

	in->b = b;
	in->ep = ep;
	in->take = take;
	in->slot = calloc(slots, sizeof(*in->slot));
	in->request = libusb_alloc_transfer(0);
	if (!in->slot || !in->request)
		return -ENOMEM;
	libusb_fill_bulk_transfer(in->request, b->handle, FT600_EP_SESSION, in->packet,
				  FT600_SESSION_BYTES, request_done, in, 0);
	for (i = 0; i < slots; i++) {
		in->slot[i].in = in;
		in->slot[i].xfer = libusb_alloc_transfer(0);
		if (!in->slot[i].xfer)
			return -ENOMEM;
		in->slots++;
	}
	return 0;
}

/* Nothing is in flight. */
void usb_in_free(struct usb_in *in)
{
	while (in->slots)
		libusb_free_transfer(in->slot[--in->slots].xfer);
	libusb_free_transfer(in->request);
	free(in->slot);
}

/* --- bulk-OUT and EP0 --------------------------------------------------------------------- */

static void LIBUSB_CALL out_done(struct libusb_transfer *x)
{
	struct usb_board *b = x->user_data;
	struct usb_out *out[] = { &b->chip, &b->session, &b->command, &b->write };
	size_t i;

	pthread_mutex_lock(&b->lock);
	for (i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		if (out[i]->xfer == x)
			out[i]->busy = false;
	pthread_cond_broadcast(&b->moved);
	pthread_mutex_unlock(&b->lock);
}

/* Submit and wait until it is back, called home after @ns. Caller holds the lock. */
static int out_run(struct usb_board *b, struct usb_out *out, uint64_t ns)
{
	uint64_t end = usb_now() + ns;
	int rc;

	if (b->gone)
		return -ENODEV;
	rc = libusb_submit_transfer(out->xfer);
	if (rc == LIBUSB_ERROR_NO_DEVICE)
		usb_lost(b);
	if (rc)
		return b->gone ? -ENODEV : -EIO;
	out->busy = true;
	while (out->busy && usb_wait(b, end))
		;
	if (out->busy)
		libusb_cancel_transfer(out->xfer);
	while (out->busy)
		pthread_cond_wait(&b->moved, &b->lock);
	if (out->xfer->status == LIBUSB_TRANSFER_NO_DEVICE)
		usb_lost(b);
	if (b->gone)
		return -ENODEV;
	if (out->xfer->status == LIBUSB_TRANSFER_COMPLETED)
		return 0;
	return out->xfer->status == LIBUSB_TRANSFER_CANCELLED ? -ETIMEDOUT : -EIO;
}

/*
 * Write @bytes of its buffer to a pipe. A packet arrives whole or not at all, and after
 * a failure nobody knows which: a link error is latched.
 */
int usb_out_send(struct usb_board *b, struct usb_out *out, uint32_t bytes)
{
	bool halted;
	int ret;

	pthread_mutex_lock(&b->lock);
	out->xfer->length = (int)bytes;
	ret = out_run(b, out, SEND_NS);
	if (!ret && out->xfer->actual_length != (int)bytes)
		ret = -EIO;
	halted = ret == -EIO && out->xfer->status == LIBUSB_TRANSFER_STALL;
	if (ret && ret != -ENODEV)
		usb_link_error(b);
	pthread_mutex_unlock(&b->lock);
	if (halted)
		libusb_clear_halt(b->handle, out->ep);
	return ret;
}

/* Send a session packet and wait until the chip has it. */
int usb_session(struct usb_board *b, uint8_t ep, uint32_t cmd, uint64_t bytes)
{
	pthread_mutex_lock(&b->lock);
	oni_ft600_session(b->session.buf, ++b->seq, ep, cmd, bytes);
	pthread_mutex_unlock(&b->lock);
	return usb_out_send(b, &b->session, FT600_SESSION_BYTES);
}

/* A request of the chip: the exact length, or an error. @addr is wValue and wIndex. */
int usb_chip_request(struct usb_board *b, uint8_t type, uint8_t request, uint32_t addr,
		     void *data, uint16_t len)
{
	uint8_t *buf = b->chip.buf;
	int ret;

	pthread_mutex_lock(&b->lock);
	libusb_fill_control_setup(buf, type, request, (uint16_t)(addr >> 16), (uint16_t)addr,
				  len);
	if (!(type & LIBUSB_ENDPOINT_IN))
		memcpy(buf + LIBUSB_CONTROL_SETUP_SIZE, data, len);
	libusb_fill_control_transfer(b->chip.xfer, b->handle, buf, out_done, b, 0);
	ret = out_run(b, &b->chip, CHIP_NS);
	if (!ret && b->chip.xfer->actual_length != len)
		ret = -EIO;
	if (!ret && type & LIBUSB_ENDPOINT_IN)
		memcpy(data, buf + LIBUSB_CONTROL_SETUP_SIZE, len);
	pthread_mutex_unlock(&b->lock);
	return ret;
}

int usb_out_init(struct usb_out *out, struct usb_board *b, uint8_t ep, size_t bytes)
{
	out->ep = ep;
	out->xfer = libusb_alloc_transfer(0);
	out->buf = malloc(bytes);
	if (!out->xfer || !out->buf)
		return -ENOMEM;
	if (ep)
		libusb_fill_bulk_transfer(out->xfer, b->handle, ep, out->buf, 0, out_done, b, 0);
	return 0;
}

void usb_out_free(struct usb_out *out)
{
	libusb_free_transfer(out->xfer);
	free(out->buf);
}
