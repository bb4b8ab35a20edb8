// SPDX-License-Identifier: GPL-2.0-only
/*
 * FT600 bridge: bulk pipes. See oni_ft600.h for locks and lifetime.
 *
 * A bulk-IN pipe of the chip gives nothing before the host has asked for it
 * with a session packet on endpoint 0x01, which is never answered. A request
 * for many bytes covers many transfers, so that the bus is not idle between
 * them; the next one is made by the completion that uses up the last. Sessions
 * do not overlap, since nobody knows what the chip would do.
 *
 * Transfers end short at any length, and that means nothing but that the
 * session may be over.
 *
 * Slots go round: idle, in flight (on the anchor), with data (the owner's
 * affair), then in flight again by ft600_in_again(), or idle while the pipe is
 * not on. An error switches the pipe to REPAIR; a work takes everything home,
 * which keeps what has arrived, and sets out again after a while. The order of
 * data is that of completions: what is in flight is taken home from the end of
 * the queue, so that only the first can have any.
 *
 * A transfer that cannot be submitted for lack of memory is no error: nothing
 * was sent, and what is in flight goes on. Its slot stays idle, at the front.
 * The next completion tries again, and so does the work, which may wait for
 * memory. Any idle slot can be the next one, since it is filled in the order of
 * submission, whichever it is. So can a request for data be made later. As long
 * as memory is short the board's own takes the data, and nobody is told.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/usb.h>

#include "oni_compat.h"
#include "oni_ft600.h"

#define SEND_TIMEOUT		msecs_to_jiffies(2000)
/* A shortage of memory is waited for so often: 1 + 2 + ... + 16 ms. */
#define SEND_TRIES		5
/*
 * A port that was unplugged shows as a burst of errors until the hub says so.
 * 1 + 2 + ... + 512 ms is longer than that takes.
 */
#define ERRORS_MAX		10
#define HALTS_MAX		1
/* So many transfers without data in a row get a pause. */
#define EMPTY_MAX		64
#define EMPTY_PAUSE_MS		20
/* What there was no memory for is tried again after so long. */
#define STARVED_MS		1
/* After such a silence a pipe that should have data is asked once more. */
#define SILENT			msecs_to_jiffies(1000)

/**
 * ft600_lost - the board is not there any more
 * @f: the board; any context, with or without the lock
 */
void ft600_lost(struct ft600 *f)
{
	oni_link_lost(f->link);
	/* Who waits for these need not wait for the time-out. */
	usb_unlink_urb(f->session.urb);
	usb_unlink_urb(f->command.urb);
	usb_unlink_urb(f->write.urb);
	wake_up_all(&f->wait);
}

/* No more of it. A pipe that is off stays so. */
static void give_up(struct ft600_in *in)
{
	if (in->state != FT600_IN_OFF)
		in->state = FT600_IN_FAILED;
}

static void fail(struct ft600_in *in)
{
	give_up(in);
	oni_link_error(in->f->link, -EIO);
}

static void repair_later(struct ft600_in *in, unsigned int ms)
{
	in->state = FT600_IN_REPAIR;
	mod_delayed_work(system_unbound_wq, &in->work, msecs_to_jiffies(ms));
}

/*
 * There was no memory for an URB: the work will submit what is due. It is not put
 * off by the next failure, which may come with each completion. Caller holds the
 * lock.
 */
static void starve(struct ft600_in *in)
{
	if (in->starved || in->state != FT600_IN_ON)
		return;
	in->starved = true;
	mod_delayed_work(system_unbound_wq, &in->work,
			 msecs_to_jiffies(STARVED_MS));
}

/* An URB came back with @status, or was not taken. Caller holds the lock. */
static void trouble(struct ft600_in *in, int status)
{
	lockdep_assert_held(&in->f->lock);
	switch (status) {
	case -ENOENT:
	case -ECONNRESET:
		return;		/* taken home */
	case -ENODEV:
	case -ESHUTDOWN:
		give_up(in);
		ft600_lost(in->f);
		return;
	case -EPIPE:
		in->halted = true;
		break;
	case -EPROTO:
	case -EILSEQ:
	case -ETIME:
	case -ENOMEM:
		break;
	default:
		/* Babble, for one: data are lost. */
		fail(in);
		return;
	}
	/* All that are in flight come back when one does. */
	if (in->state != FT600_IN_ON)
		return;
	in->halts += in->halted;
	if (++in->errors > ERRORS_MAX || in->halts > HALTS_MAX)
		fail(in);
	else
		repair_later(in, 1U << (in->errors - 1));
}

/* --- asking for data ------------------------------------------------------ */

static void session_packet(struct ft600 *f, u8 *buf, u8 ep, u32 cmd, u64 bytes)
{
	lockdep_assert_held(&f->lock);
	oni_ft600_session(buf, ++f->seq, ep, cmd, bytes);
}

/* The packet is next to be submitted. Caller holds the lock. */
static void request_begin(struct ft600_in *in)
{
	in->requesting = true;
	in->request_again = false;
	oni_ft600_credit_renew(&in->credit);
	session_packet(in->f, in->packet, in->ep, in->cmd, in->credit.grant);
}

/* It was not taken. Caller holds the lock. */
static void request_failed(struct ft600_in *in, int ret)
{
	in->requesting = false;
	if (ret == -ENOMEM) {
		in->request_again = true;
		starve(in);
	} else {
		trouble(in, ret);
	}
}

/* Ask for the next grant. Any context; caller holds the lock. */
static void request(struct ft600_in *in)
{
	int ret;

	if (in->requesting) {
		in->request_again = true;
		return;
	}
	request_begin(in);
	ret = usb_submit_urb(in->request, GFP_ATOMIC);
	if (ret)
		request_failed(in, ret);
}

static void request_complete(struct urb *urb)
{
	struct ft600_in *in = urb->context;
	unsigned long flags;

	spin_lock_irqsave(&in->f->lock, flags);
	in->requesting = false;
	/* A stall is one of the session pipe, which the next reset clears. */
	if (urb->status)
		trouble(in, urb->status == -EPIPE ? -EIO : urb->status);
	else if (in->request_again && in->state == FT600_IN_ON)
		request(in);
	spin_unlock_irqrestore(&in->f->lock, flags);
}

/* The session is over. A stream goes on by itself, or so its name says. */
static void session_over(struct ft600_in *in)
{
	if (in->cmd == FT600_SESSION_READ)
		request(in);
}

/* --- transfers ------------------------------------------------------------ */

/* The next slot to submit, as in flight. Caller holds the lock. */
static struct ft600_slot *next_idle(struct ft600_in *in)
{
	struct ft600_slot *slot;

	if (in->state != FT600_IN_ON || list_empty(&in->idle))
		return NULL;
	slot = list_first_entry(&in->idle, struct ft600_slot, node);
	list_del(&slot->node);
	usb_anchor_urb(slot->urb, &in->flying);
	return slot;
}

/* It was not taken. Caller holds the lock. */
static void submit_failed(struct ft600_slot *slot, int ret)
{
	struct ft600_in *in = slot->in;

	usb_unanchor_urb(slot->urb);
	list_add(&slot->node, &in->idle);
	if (ret == -ENOMEM)
		starve(in);
	else
		trouble(in, ret);
}

/* Send out what is idle, as far as there is memory. Caller holds the lock. */
static void submit_idle(struct ft600_in *in)
{
	struct ft600_slot *slot;
	int ret = 0;

	lockdep_assert_held(&in->f->lock);
	while (!ret && (slot = next_idle(in))) {
		ret = usb_submit_urb(slot->urb, GFP_ATOMIC);
		if (ret)
			submit_failed(slot, ret);
	}
}

/**
 * ft600_in_again - a slot is free to carry the next data
 * @slot: on no list; caller holds the lock
 */
void ft600_in_again(struct ft600_slot *slot)
{
	list_add_tail(&slot->node, &slot->in->idle);
	submit_idle(slot->in);
}

static void account(struct ft600_in *in, int status, u32 len)
{
	lockdep_assert_held(&in->f->lock);
	in->f->completions++;
	in->moved = jiffies;
	if (status) {
		trouble(in, status);
		return;
	}
	if (len) {
		in->errors = 0;
		in->halts = 0;
		in->empty = 0;
		in->repeated = false;
	} else {
		in->f->nothings++;
		in->empty++;
	}
	if (in->state != FT600_IN_ON)
		return;
	if (in->empty >= EMPTY_MAX)
		repair_later(in, EMPTY_PAUSE_MS);
	else if (oni_ft600_credit_use(&in->credit, len))
		session_over(in);
}

static void in_complete(struct urb *urb)
{
	struct ft600_slot *slot = urb->context;
	struct ft600 *f = slot->in->f;
	unsigned long flags;

	slot->len = urb->actual_length;
	slot->seen_ns = ktime_get_ns();
	spin_lock_irqsave(&f->lock, flags);
	account(slot->in, urb->status, slot->len);
	if (!slot->len)
		ft600_in_again(slot);
	spin_unlock_irqrestore(&f->lock, flags);

	/* Also of one that was taken home: bytes that came are not lost. */
	if (slot->len)
		slot->in->take(slot);
}

/* Send out all that is idle. Caller holds the lock. */
static void set_out(struct ft600_in *in)
{
	in->state = FT600_IN_ON;
	in->starved = false;
	in->moved = jiffies;
	if (in->watched)
		queue_delayed_work(system_unbound_wq, &in->work, SILENT);
	submit_idle(in);
}

/* Nothing is in flight. 0: the endpoint is not stalled any more. */
static int clear_halt(struct ft600_in *in)
{
	struct usb_device *udev = in->f->udev;
	unsigned long flags;
	bool halted;
	int ret;

	spin_lock_irqsave(&in->f->lock, flags);
	halted = in->halted;
	spin_unlock_irqrestore(&in->f->lock, flags);
	if (!halted)
		return 0;
	ret = usb_clear_halt(udev, usb_rcvbulkpipe(udev, in->ep));
	if (ret)
		return ret;
	spin_lock_irqsave(&in->f->lock, flags);
	in->halted = false;
	spin_unlock_irqrestore(&in->f->lock, flags);
	return 0;
}

static void repair(struct ft600_in *in)
{
	unsigned long flags;
	int ret;

	usb_kill_anchored_urbs(&in->flying);
	ret = clear_halt(in);

	spin_lock_irqsave(&in->f->lock, flags);
	in->empty = 0;
	if (in->state == FT600_IN_REPAIR && ret) {
		fail(in);
	} else if (in->state == FT600_IN_REPAIR) {
		set_out(in);
		/* How much of the last request is left, nobody knows. */
		if (in->state == FT600_IN_ON)
			request(in);
	}
	spin_unlock_irqrestore(&in->f->lock, flags);
}

/*
 * Either there are few data, or the chip has ended the session and nobody was
 * told: whether a stream ends after its length, or after a short packet, is not
 * known. Asking once more does no harm in the first case, and the vendor's
 * library does it after each of its time-outs.
 */
static void look_again(struct ft600_in *in)
{
	unsigned long flags;

	spin_lock_irqsave(&in->f->lock, flags);
	if (in->state == FT600_IN_ON && !in->repeated &&
	    time_after_eq(jiffies, in->moved + SILENT)) {
		in->repeated = true;
		request(in);
	}
	if (in->state == FT600_IN_ON)
		queue_delayed_work(system_unbound_wq, &in->work, SILENT);
	spin_unlock_irqrestore(&in->f->lock, flags);
}

/*
 * Submit what there was no memory for, and wait for memory. The lock is not held
 * meanwhile: completions may go on, and who switches the pipe off waits for the
 * work before it takes home what is in flight.
 */
static void refill(struct ft600_in *in)
{
	struct ft600_slot *slot;
	unsigned long flags;
	int ret = 0;

	spin_lock_irqsave(&in->f->lock, flags);
	in->starved = false;
	if (in->state == FT600_IN_ON && in->request_again && !in->requesting) {
		request_begin(in);
		spin_unlock_irqrestore(&in->f->lock, flags);
		ret = usb_submit_urb(in->request, GFP_NOIO);
		spin_lock_irqsave(&in->f->lock, flags);
		if (ret)
			request_failed(in, ret);
	}
	while (!ret && (slot = next_idle(in))) {
		spin_unlock_irqrestore(&in->f->lock, flags);
		ret = usb_submit_urb(slot->urb, GFP_NOIO);
		spin_lock_irqsave(&in->f->lock, flags);
		if (ret)
			submit_failed(slot, ret);
	}
	spin_unlock_irqrestore(&in->f->lock, flags);
}

static void in_work(struct work_struct *work)
{
	struct ft600_in *in = container_of(to_delayed_work(work),
					   struct ft600_in, work);

	if (READ_ONCE(in->state) == FT600_IN_REPAIR) {
		repair(in);
	} else {
		refill(in);
		if (in->watched)
			look_again(in);
	}
}

/**
 * ft600_in_start - open a pipe and keep transfers in flight
 * @in: the pipe, stopped
 * @slots: how many of its slots have buffers of @unit bytes
 * @unit: bytes of one transfer, a multiple of the packet size
 * @grant: bytes to ask for at a time
 *
 * Return: 0, or the error of the session packet.
 */
int ft600_in_start(struct ft600_in *in, unsigned int slots, u32 unit,
		   u32 grant)
{
	unsigned long flags;
	unsigned int i;
	int ret;

	oni_ft600_credit_init(&in->credit, grant, unit);
	INIT_LIST_HEAD(&in->idle);
	for (i = 0; i < slots; i++) {
		usb_fill_bulk_urb(in->slot[i].urb, in->f->udev,
				  usb_rcvbulkpipe(in->f->udev, in->ep),
				  in->slot[i].buf, unit, in_complete,
				  &in->slot[i]);
		list_add_tail(&in->slot[i].node, &in->idle);
	}
	/* What the last run has ended with. */
	ret = clear_halt(in) ? -EIO : 0;
	if (!ret)
		ret = ft600_session(in->f, in->ep, in->cmd, in->credit.grant);
	if (ret)
		return ret;

	spin_lock_irqsave(&in->f->lock, flags);
	/* A pause takes home what is in flight after it has set this. */
	if (in->f->frozen) {
		spin_unlock_irqrestore(&in->f->lock, flags);
		return -EIO;
	}
	oni_ft600_credit_renew(&in->credit);
	in->request_again = false;
	in->repeated = false;
	in->errors = 0;
	in->halts = 0;
	in->empty = 0;
	set_out(in);
	spin_unlock_irqrestore(&in->f->lock, flags);
	return 0;
}

/**
 * ft600_in_stop - take everything home
 * @in: the pipe, in any state
 *
 * On return nothing of it is in flight and nothing sets out. What was under way
 * has been given to @in->take. Works on a board that is gone.
 */
void ft600_in_stop(struct ft600_in *in)
{
	unsigned long flags;

	spin_lock_irqsave(&in->f->lock, flags);
	in->state = FT600_IN_OFF;
	spin_unlock_irqrestore(&in->f->lock, flags);
	cancel_delayed_work_sync(&in->work);
	usb_kill_anchored_urbs(&in->flying);
	usb_kill_urb(in->request);
}

/**
 * ft600_in_init - memory of a pipe
 * @in: the pipe, all zero
 * @f: the board
 * @ep: endpoint address
 * @slots: transfers in flight, at most
 * @take: see struct ft600_in
 *
 * Return: 0 or -ENOMEM; ft600_in_free() is due in any case.
 */
int ft600_in_init(struct ft600_in *in, struct ft600 *f, u8 ep,
		  unsigned int slots, void (*take)(struct ft600_slot *slot))
{
	unsigned int i;

	in->f = f;
	in->ep = ep;
	in->cmd = FT600_SESSION_READ;
	in->take = take;
	init_usb_anchor(&in->flying);
	INIT_DELAYED_WORK(&in->work, in_work);
	INIT_LIST_HEAD(&in->idle);
	in->slot = kcalloc(slots, sizeof(*in->slot), GFP_KERNEL);
	in->request = usb_alloc_urb(0, GFP_KERNEL);
	in->packet = kmalloc(FT600_SESSION_BYTES, GFP_KERNEL);
	if (!in->slot || !in->request || !in->packet)
		return -ENOMEM;
	usb_fill_bulk_urb(in->request, f->udev,
			  usb_sndbulkpipe(f->udev, FT600_EP_SESSION),
			  in->packet, FT600_SESSION_BYTES, request_complete, in);
	for (i = 0; i < slots; i++) {
		in->slot[i].in = in;
		in->slot[i].urb = usb_alloc_urb(0, GFP_KERNEL);
		if (!in->slot[i].urb)
			return -ENOMEM;
		in->slots++;
	}
	return 0;
}

void ft600_in_free(struct ft600_in *in)
{
	while (in->slots)
		usb_free_urb(in->slot[--in->slots].urb);
	usb_free_urb(in->request);
	kfree(in->packet);
	kfree(in->slot);
}

/* --- bulk-OUT ------------------------------------------------------------- */

static void out_complete(struct urb *urb)
{
	struct ft600_out *out = urb->context;

	complete(&out->done);
}

/* What a transfer that is over means. */
static int out_result(struct ft600 *f, struct ft600_out *out, u32 bytes)
{
	struct urb *urb = out->urb;

	if (urb->status == -ENODEV || urb->status == -ESHUTDOWN)
		ft600_lost(f);
	if (oni_link_is_lost(f->link))
		return -ENODEV;
	if (!urb->status && urb->actual_length == bytes)
		return 0;
	if (urb->status == -EPIPE)
		usb_clear_halt(f->udev, urb->pipe);
	return urb->status == -ENOENT ? -ETIMEDOUT : -EIO;
}

/*
 * Nothing was sent without memory, so that it can be tried again: a stop and the
 * safe state must not fail for a shortage that is over in a moment.
 */
static int out_submit(struct ft600_out *out)
{
	unsigned int i;
	int ret;

	for (i = 0; ; i++) {
		ret = usb_submit_urb(out->urb, GFP_NOIO);
		if (ret != -ENOMEM || i == SEND_TRIES)
			return ret;
		msleep(1U << i);
	}
}

/**
 * ft600_out_send - write to a bulk-OUT pipe
 * @f: the board
 * @out: the pipe, with data in its buffer
 * @bytes: how many
 *
 * Process context; the caller has the pipe for itself. A packet arrives whole or
 * not at all, and after a failure nobody knows which: a link error is latched.
 * Without memory nothing was sent, and none is.
 *
 * Return: 0, or -ENOMEM, -ETIMEDOUT, -EIO, -ENODEV.
 */
int ft600_out_send(struct ft600 *f, struct ft600_out *out, u32 bytes)
{
	int ret;

	if (oni_link_is_lost(f->link))
		return -ENODEV;
	if (ft600_frozen(f))
		return -EIO;
	reinit_completion(&out->done);
	out->urb->transfer_buffer_length = bytes;
	ret = out_submit(out);
	if (ret == -ENOMEM)
		return ret;
	if (ret)
		out->urb->status = ret;
	else if (!wait_for_completion_timeout(&out->done, SEND_TIMEOUT))
		usb_kill_urb(out->urb);
	ret = out_result(f, out, bytes);
	if (ret && ret != -ENODEV)
		oni_link_error(f->link, ret);
	return ret;
}

/**
 * ft600_session - send a session packet and wait until the chip has it
 * @f: the board
 * @ep: the pipe that it is about
 * @cmd: FT600_SESSION_*
 * @bytes: for the commands that have a length
 *
 * Caller: an rx op, reset() or probe.
 *
 * Return: as ft600_out_send().
 */
int ft600_session(struct ft600 *f, u8 ep, u32 cmd, u64 bytes)
{
	unsigned long flags;

	spin_lock_irqsave(&f->lock, flags);
	session_packet(f, f->session.buf, ep, cmd, bytes);
	spin_unlock_irqrestore(&f->lock, flags);
	return ft600_out_send(f, &f->session, FT600_SESSION_BYTES);
}

int ft600_out_init(struct ft600_out *out, struct ft600 *f, u8 ep, size_t size)
{
	out->ep = ep;
	init_completion(&out->done);
	out->urb = usb_alloc_urb(0, GFP_KERNEL);
	out->buf = kmalloc(size, GFP_KERNEL);
	if (!out->urb || !out->buf)
		return -ENOMEM;
	usb_fill_bulk_urb(out->urb, f->udev, usb_sndbulkpipe(f->udev, ep),
			  out->buf, 0, out_complete, out);
	return 0;
}

void ft600_out_free(struct ft600_out *out)
{
	usb_free_urb(out->urb);
	kfree(out->buf);
}
