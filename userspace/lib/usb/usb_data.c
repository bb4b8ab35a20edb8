// SPDX-License-Identifier: MIT
/*
 * usb_data.c - what the pipes bring: data into the ring, register values, signals.
 *
 * Data come in transfers that end anywhere and go into the ring in words: up to three
 * bytes are carried over from one transfer to the next. If there is no room the slots
 * wait with their data and are not submitted again; when all of them wait, the chip is
 * not asked any more and the board's own memory fills.
 */
#include <errno.h>
#include <string.h>

#include "usb.h"

/* What one request for data covers; 29 ms of the fastest board. */
#define CREDIT_BYTES	(1024 * 1024u)
#define DRAIN_QUIET_MS	200
#define DRAIN_STEP_MS	10
/* Held back by a full ring that nobody empties. */
#define DRAIN_STUCK_MS	500
/* No board has more memory: what still comes is no remainder. */
#define DRAIN_MAX_BYTES	(1ull << 30)

/* --- data ----------------------------------------------------------------------- */

/* Carry and slot: @bytes of whole words into the ring, the rest into the carry. */
static void put_data(struct usb_board *b, const struct usb_slot *slot, uint32_t bytes)
{
	uint32_t used = 0;

	if (bytes) {
		used = bytes - b->carry_len;
		usb_ring_copy(b->ring, 0, b->carry, b->carry_len);
		usb_ring_copy(b->ring, b->carry_len, slot->buf, used);
		b->carry_len = 0;
		usb_ring_publish(b->ring, bytes, slot->seen_ns);
	}
	memcpy(b->carry + b->carry_len, slot->buf + used, slot->len - used);
	b->carry_len += slot->len - used;
}

/* Copy what is there and what there is room for. Caller holds the lock. */
void usb_pump(struct usb_board *b)
{
	struct usb_slot *slot;
	uint32_t bytes;

	while (b->serving && (slot = b->done)) {
		bytes = (b->carry_len + slot->len) & ~3u;
		if (bytes && !usb_ring_room(b->ring, bytes))
			return;
		put_data(b, slot, bytes);
		b->moves++;
		b->done = slot->next;
		if (!b->done)
			b->done_end = &b->done;
		usb_in_again(slot);
	}
}

void usb_data_take(struct usb_slot *slot)
{
	struct usb_board *b = slot->in->b;

	slot->next = NULL;
	*b->done_end = slot;
	b->done_end = &slot->next;
	b->moves++;
	usb_pump(b);
}

/* The board may deliver from now on, in transfers of @block bytes. */
int usb_data_start(struct usb_board *b, uint32_t block)
{
	unsigned int n = USB_POOL_BYTES / block, i;

	if (n > USB_DATA_SLOTS)
		n = USB_DATA_SLOTS;
	pthread_mutex_lock(&b->lock);
	for (i = 0; i < n; i++)
		b->data.slot[i].buf = b->pool + (size_t)i * block;
	b->carry_len = 0;
	b->serving = true;
	pthread_mutex_unlock(&b->lock);
	return usb_in_start(&b->data, n, block, CREDIT_BYTES);
}

/*
 * The board's memory may hold a lot. As long as transfers keep coming this goes on. One
 * that is not full does not show here; the stop takes it home.
 */
void usb_data_drain(struct usb_board *b)
{
	uint64_t before, start;
	unsigned int still = 0;
	bool waits;

	pthread_mutex_lock(&b->lock);
	start = b->ring->head;
	do {
		uint64_t end = usb_now() + DRAIN_STEP_MS * MS;

		before = b->moves;
		while (!b->gone && usb_wait(b, end))
			;
		waits = b->done;
		still = b->moves == before ? still + DRAIN_STEP_MS : 0;
		if (b->ring->head - start > DRAIN_MAX_BYTES) {
			usb_link_error(b);
			break;
		}
	} while (!b->gone && still < (waits ? DRAIN_STUCK_MS : DRAIN_QUIET_MS));
	pthread_mutex_unlock(&b->lock);
}

/* Take the data transfers home; what waits for room beyond that is given up. */
static void data_home(struct usb_board *b)
{
	usb_in_stop(&b->data);
	pthread_mutex_lock(&b->lock);
	b->serving = false;
	b->done = NULL;
	b->done_end = &b->done;
	pthread_mutex_unlock(&b->lock);
}

/* The chip may go on with a session that nobody listens to: close it. */
void usb_data_stop(struct usb_board *b)
{
	data_home(b);
	if (!usb_session(b, FT600_EP_DATA, FT600_SESSION_ABORT, 0))
		usb_session(b, FT600_EP_DATA, FT600_SESSION_FLUSH, 0);
}

/* Nothing is in flight any more. */
void usb_quiet(struct usb_board *b)
{
	data_home(b);
	usb_in_stop(&b->reply);
}

/* --- replies ----------------------------------------------------------------------- */

static void signal_byte(struct usb_board *b, uint8_t byte)
{
	struct oni_signal sig;

	switch (oni_cobs_feed(&b->cobs, byte, &sig)) {
	case ONI_COBS_MORE:
		return;
	case ONI_COBS_BAD:
		/* As the driver counts; whoever waits for it runs into its time-out. */
		b->cnt.bad_signals++;
		return;
	case ONI_COBS_PACKET:
		break;
	}
	b->cnt.signals++;
	/* What nobody waits for makes way. */
	if (b->signals == USB_SIGNALS) {
		b->signal_first = (b->signal_first + 1) % USB_SIGNALS;
		b->signals--;
	}
	b->signal[(b->signal_first + b->signals++) % USB_SIGNALS] = sig;
	pthread_cond_broadcast(&b->moved);
}

static void value_came(struct usb_board *b, uint32_t value)
{
	/* The next answer would be taken for that of another request. */
	if (!b->value_wanted) {
		usb_link_error(b);
		return;
	}
	b->value_wanted = false;
	b->value_got = true;
	b->value = value;
	pthread_cond_broadcast(&b->moved);
}

void usb_reply_take(struct usb_slot *slot)
{
	struct usb_board *b = slot->in->b;
	uint32_t i;

	for (i = 0; i < slot->len; i++)
		switch (oni_ft600_feed(&b->parser, slot->buf[i])) {
		case ONI_FT600_SIGNAL:
			signal_byte(b, slot->buf[i]);
			break;
		case ONI_FT600_VALUE:
			value_came(b, b->parser.value);
			break;
		case ONI_FT600_STRAY:
			b->cnt.spurious++;
			break;
		case ONI_FT600_MORE:
			break;
		}
	usb_in_again(slot);
}
