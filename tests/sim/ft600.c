// SPDX-License-Identifier: MIT
/* ft600.c - see ft600.h. Sessions and pipes; endpoint 0 is in ft600_control.c. */
#include "ft600.h"

#include <inttypes.h>
#include <string.h>

#define PACKET_SUPER	1024u
#define PACKET_HIGH	512u

/* Session commands. */
#define CMD_ABORT	0x00u
#define CMD_READ	0x01u
#define CMD_STREAM	0x02u
#define CMD_FLUSH	0x03u
#define CMD_CONTROL	0x11u
/* Sub-commands of the last one. */
#define CTL_ZLP		0x00u
#define CTL_CLEAR	0x09u
#define CTL_CYCLE	0x0cu

uint32_t ft600_max_packet(const struct ft600 *f)
{
	return f->cfg.speed == USB_SUPER_SPEED ? PACKET_SUPER : PACKET_HIGH;
}

/* ---- requests ---- */

static void push(struct ft600_queue *q, struct usb_urb *urb)
{
	urb->next = NULL;
	if (q->head)
		q->tail->next = urb;
	else
		q->head = urb;
	q->tail = urb;
}

static void finish(struct usb_urb *urb, enum usb_status status)
{
	urb->status = status;
	urb->done(urb);
}

static void finish_head(struct ft600_queue *q, enum usb_status status)
{
	struct usb_urb *urb = q->head;

	q->head = urb->next;
	finish(urb, status);
}

static void end_all(struct ft600_queue *q, enum usb_status status)
{
	while (q->head)
		finish_head(q, status);
}

void ft600_quiet(struct ft600 *f, enum usb_status status)
{
	unsigned int i;

	for (i = 0; i < USB_MAX_ENDPOINTS; i++) {
		end_all(&f->queue[i], status);
		f->queue[i].halted = false;
	}
}

/* ---- sessions ---- */

static uint32_t get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void close_session(struct ft600_pipe *p)
{
	p->session = FT600_IDLE;
	p->credit = 0;
	p->end_session = false;
}

/*
 * Commands 0 and 3 return a pipe to idle; that both empty the chip's buffer is
 * our inference from how the library uses them (either one before a reuse).
 */
static void flush(struct ft600 *f, unsigned int pipe)
{
	close_session(&f->pipe[pipe]);
	f->ops.in_flush(f->ops.ctx, pipe);
}

static void open_read(struct ft600 *f, struct ft600_pipe *p, uint64_t len)
{
	if (p->session == FT600_READ) {
		f->stats.overlaps++;
		p->credit = f->cfg.replace_credit ? len : p->credit + len;
		return;
	}
	/* What command 1 does to a stream is not known: here the stream goes on. */
	if (p->session == FT600_STREAM)
		return;
	p->session = FT600_READ;
	p->credit = len;
}

static void session_control(struct ft600 *f, unsigned int pipe, uint8_t sub)
{
	f->stats.controls++;
	switch (sub) {
	case CTL_CLEAR:
		close_session(&f->pipe[pipe]);
		break;
	case CTL_ZLP:
	case CTL_CYCLE:
		break;	/* noted only: nobody is known to need what they do */
	default:
		violation_report(f->viol, VIOLATION_USB_SESSION_COMMAND,
				 "control sub-command 0x%02x for pipe %u", sub, pipe);
		break;
	}
}

static void session_command(struct ft600 *f, const uint8_t *d)
{
	unsigned int pipe = d[4] & 0x0f;
	struct ft600_pipe *p = &f->pipe[pipe];
	uint64_t len = get32(d + 8) | (uint64_t)get32(d + 12) << 32;

	if (d[5] < 4)
		f->stats.sessions[d[5]]++;
	/* An OUT pipe has no session; old libraries opened one for writes, too. */
	if (!(d[4] & USB_IN) && d[5] != CMD_CONTROL)
		return;
	switch (d[5]) {
	case CMD_ABORT:
	case CMD_FLUSH:
		flush(f, pipe);
		break;
	case CMD_READ:
		open_read(f, p, len);
		break;
	case CMD_STREAM:
		p->session = FT600_STREAM;
		p->stream_len = (uint32_t)len;
		p->credit = 0;
		break;
	case CMD_CONTROL:
		session_control(f, pipe, d[7]);
		break;
	}
}

/* True if the packet is one that host software sends; the chip ignores others. */
static bool session_valid(struct ft600 *f, const uint8_t *d, uint32_t len)
{
	bool control;

	if (len != FT600_SESSION_BYTES) {
		violation_report(f->viol, VIOLATION_USB_SESSION_LENGTH,
				 "%u bytes on endpoint 0x01", len);
		return false;
	}
	control = d[5] == CMD_CONTROL;
	if (!control && d[5] > CMD_FLUSH) {
		violation_report(f->viol, VIOLATION_USB_SESSION_COMMAND,
				 "command 0x%02x for endpoint 0x%02x", d[5], d[4]);
		return false;
	}
	if ((d[4] & 0x7f) != 2 && (d[4] & 0x7f) != 3) {
		violation_report(f->viol, VIOLATION_USB_SESSION_PIPE,
				 "command 0x%02x for endpoint 0x%02x", d[5], d[4]);
		return false;
	}
	if (d[6] != control || (!control && d[7]) || get32(d + 16) ||
	    (d[5] == CMD_READ && !get32(d + 8) && !get32(d + 12))) {
		violation_report(f->viol, VIOLATION_USB_SESSION_FIELDS,
				 "command 0x%02x for endpoint 0x%02x: %02x %02x, length %08x%08x, "
				 "%08x", d[5], d[4], d[6], d[7], get32(d + 12), get32(d + 8),
				 get32(d + 16));
		return false;
	}
	return true;
}

static void submit_session(struct ft600 *f, struct usb_urb *urb)
{
	if (session_valid(f, urb->data, urb->len))
		session_command(f, urb->data);
	urb->actual = urb->len;
	finish(urb, USB_OK);
}

/* ---- data to the host ---- */

/* How an IN request would end with what is there now. */
struct plan {
	uint32_t got;
	bool done, cut, babble;	/* complete; by a short packet; by one too long */
};

static struct plan plan_in(struct ft600 *f, unsigned int pipe, const struct usb_urb *urb)
{
	const struct ft600_pipe *p = &f->pipe[pipe];
	uint32_t mps = ft600_max_packet(f), max, n;
	uint64_t credit = p->session == FT600_STREAM ? UINT64_MAX : p->credit;
	struct plan plan = { 0 };

	while (!plan.done) {
		max = credit < mps ? (uint32_t)credit : mps;
		n = max ? f->ops.in_packet(f->ops.ctx, pipe, plan.got, max) : 0;
		if (!n)
			break;
		if (n > urb->len - plan.got) {
			plan.babble = true;
			break;
		}
		plan.got += n;
		credit -= n;
		plan.cut = n < mps;
		plan.done = plan.cut || plan.got == urb->len;
	}
	return plan;
}

static void spend(struct ft600 *f, unsigned int pipe, const struct plan *plan)
{
	struct ft600_pipe *p = &f->pipe[pipe];

	if (p->session == FT600_READ)
		p->credit -= plan->got;
	f->stats.short_packets += plan->cut;
	if (p->session == FT600_READ &&
	    (!p->credit || (plan->cut && !f->cfg.keep_session)))
		close_session(p);
	if (p->end_session)
		close_session(p);
}

static bool step_in(struct ft600 *f, unsigned int pipe)
{
	struct ft600_queue *q = &f->queue[usb_ep_index((uint8_t)(USB_IN | pipe))];
	struct usb_urb *urb = q->head;
	struct plan plan;

	if (!urb || f->stalled[pipe])
		return false;
	if (q->halted || fault_take_on(f->faults, FAULT_USB_STALL, pipe)) {
		q->halted = true;
		f->stats.stalls++;
		finish_head(q, USB_STALLED);
		return true;
	}
	/*
	 * QEMU's xHCI makes a request of no bytes of a TRB that was turned into a
	 * no-op when its transfer was cancelled. On a bus there would be nothing.
	 */
	if (!urb->len) {
		finish_head(q, USB_OK);
		return true;
	}
	if (f->pipe[pipe].session == FT600_IDLE)
		return false;
	if (fault_take_on(f->faults, FAULT_USB_ZLP, pipe)) {
		finish_head(q, USB_OK);
		return true;
	}
	plan = plan_in(f, pipe, urb);
	if (!plan.done && !plan.babble)
		return false;
	if (fault_take_on(f->faults, FAULT_USB_SESSION_END, pipe))
		f->pipe[pipe].end_session = true;
	if (fault_take_on(f->faults, FAULT_USB_VANISH, pipe)) {
		f->vanish = true;
		return false;
	}
	f->ops.in_take(f->ops.ctx, pipe, urb->data, plan.got);
	urb->actual = plan.got;
	f->stats.pipe[pipe].in_bytes += plan.got;
	spend(f, pipe, &plan);
	if (plan.babble)
		violation_report(f->viol, VIOLATION_USB_IN_LENGTH,
				 "request of %u bytes on endpoint 0x%02x: %u bytes of room for a "
				 "packet", urb->len, urb->ep, urb->len - plan.got);
	finish_head(q, plan.babble ? USB_BABBLE : USB_OK);
	return true;
}

/* ---- data from the host ---- */

static bool step_out(struct ft600 *f, unsigned int pipe)
{
	struct ft600_queue *q = &f->queue[pipe];
	struct usb_urb *urb = q->head;
	uint32_t n;

	if (!urb || f->stalled[pipe])
		return false;
	if (q->halted || fault_take_on(f->faults, FAULT_USB_OUT_STALL, pipe)) {
		q->halted = true;
		f->stats.stalls++;
		finish_head(q, USB_STALLED);
		return true;
	}
	n = f->ops.out(f->ops.ctx, pipe, urb->data + urb->actual, urb->len - urb->actual);
	urb->actual += n;
	f->stats.pipe[pipe].out_bytes += n;
	if (urb->actual < urb->len)
		return n != 0;
	finish_head(q, USB_OK);
	return true;
}

bool ft600_step(struct ft600 *f)
{
	bool moved = false;
	unsigned int pipe;

	for (pipe = 2; pipe < FT600_PIPES; pipe++) {
		while (step_out(f, pipe))
			moved = true;
		while (step_in(f, pipe))
			moved = true;
	}
	return moved;
}

/* ---- what the attachment calls, see usb.h ---- */

static bool exists(uint8_t ep)
{
	switch (ep) {
	case FT600_OUT:
	case FT600_NOTIFY:
	case 0x02:
	case 0x82:
	case 0x03:
	case 0x83:
		return true;
	default:
		return false;
	}
}

static void submit(struct usb_device *usb, struct usb_urb *urb)
{
	struct ft600 *f = (struct ft600 *)usb;
	struct ft600_queue *q = &f->queue[usb_ep_index(urb->ep)];

	f->stats.urbs++;
	urb->actual = 0;
	urb->next = NULL;
	if (!(urb->ep & 0x0f)) {
		ft600_control(f, urb);
		urb->done(urb);
		return;
	}
	if (!exists(urb->ep)) {
		violation_report(f->viol, VIOLATION_USB_ENDPOINT,
				 "request of %u bytes on endpoint 0x%02x", urb->len, urb->ep);
		finish(urb, USB_STALLED);
		return;
	}
	if (!f->configuration) {
		violation_report(f->viol, VIOLATION_USB_ENDPOINT,
				 "endpoint 0x%02x without a configuration", urb->ep);
		finish(urb, USB_FAILED);
		return;
	}
	if (urb->ep == FT600_OUT) {
		submit_session(f, urb);
		return;
	}
	push(q, urb);
	if (!(urb->ep & USB_IN))
		step_out(f, urb->ep);
}

static void cancel(struct usb_device *usb, struct usb_urb *urb)
{
	struct ft600 *f = (struct ft600 *)usb;
	struct ft600_queue *q = &f->queue[usb_ep_index(urb->ep)];
	struct usb_urb **at = &q->head, *before = NULL;

	while (*at && *at != urb) {
		before = *at;
		at = &before->next;
	}
	if (!*at)
		return;
	*at = urb->next;
	if (q->tail == urb)
		q->tail = before;
	f->stats.cancels++;
	/* What a cancel does to the session is not known: here nothing. */
	finish(urb, USB_CANCELLED);
}

/*
 * A reset of the port takes the configuration. The GPIO latches, and with them
 * the FPGA, stay as they are: it is power that sets those back (inference).
 */
static void bus_reset(struct usb_device *usb)
{
	struct ft600 *f = (struct ft600 *)usb;
	unsigned int i;

	f->stats.bus_resets++;
	ft600_quiet(f, USB_CANCELLED);
	for (i = 0; i < FT600_PIPES; i++)
		close_session(&f->pipe[i]);
	f->configuration = 0;
}

static void info(struct usb_device *usb, struct usb_info *info)
{
	ft600_info((struct ft600 *)usb, info);
}

/* ---- life ---- */

void ft600_stall(struct ft600 *f, unsigned int pipe, bool stalled)
{
	f->stalled[pipe] = stalled;
}

void ft600_power_on(struct ft600 *f)
{
	unsigned int i;

	ft600_quiet(f, USB_FAILED);
	for (i = 0; i < FT600_PIPES; i++) {
		close_session(&f->pipe[i]);
		f->stalled[i] = false;
	}
	f->configuration = 0;
	f->gpio_out = 0;
	f->gpio_dir = 0;
	f->gpio_level = 0;
	f->vanish = false;
	f->ops.gpio(f->ops.ctx, 0);
}

void ft600_init(struct ft600 *f, const struct ft600_config *cfg, const struct ft600_ops *ops,
		struct violations *viol, struct faults *faults)
{
	memset(f, 0, sizeof(*f));
	f->usb = (struct usb_device){
		.info = info, .submit = submit, .cancel = cancel, .reset = bus_reset,
	};
	f->cfg = *cfg;
	f->ops = *ops;
	f->viol = viol;
	f->faults = faults;
}

static void count(FILE *out, const char *key, uint64_t val)
{
	fprintf(out, "usb.%s %" PRIu64 "\n", key, val);
}

void ft600_status(const struct ft600 *f, FILE *out)
{
	static const char *const session[] = { "idle", "read", "stream" };
	const struct ft600_stats *s = &f->stats;
	unsigned int i;

	count(out, "configuration", f->configuration);
	count(out, "gpio", f->gpio_level);
	count(out, "urbs", s->urbs);
	count(out, "cancels", s->cancels);
	count(out, "bus_resets", s->bus_resets);
	count(out, "control_transfers", s->control_transfers);
	count(out, "vendor_requests", s->vendor_requests);
	count(out, "stalls", s->stalls);
	count(out, "short_packets", s->short_packets);
	count(out, "session.aborts", s->sessions[CMD_ABORT]);
	count(out, "session.reads", s->sessions[CMD_READ]);
	count(out, "session.streams", s->sessions[CMD_STREAM]);
	count(out, "session.flushes", s->sessions[CMD_FLUSH]);
	count(out, "session.controls", s->controls);
	count(out, "session.overlaps", s->overlaps);
	for (i = 2; i < FT600_PIPES; i++) {
		fprintf(out, "usb.pipe%u.session %s\n", i, session[f->pipe[i].session]);
		fprintf(out, "usb.pipe%u.credit %" PRIu64 "\n", i, f->pipe[i].credit);
		fprintf(out, "usb.pipe%u.in_bytes %" PRIu64 "\n", i, s->pipe[i].in_bytes);
		fprintf(out, "usb.pipe%u.out_bytes %" PRIu64 "\n", i, s->pipe[i].out_bytes);
	}
}
