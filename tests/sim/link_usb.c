// SPDX-License-Identifier: MIT
/* link_usb.c - see link_usb.h. */
#include "link_usb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"

/* ---- what the servers need, see usb_port ---- */

static void port_lock(void *ctx)
{
	card_lock(ctx);
}

static void port_unlock(void *ctx)
{
	card_unlock(ctx);
}

static void port_kick(void *ctx)
{
	card_kick(ctx);
}

static void port_attached(void *ctx)
{
	card_attach(ctx);
}

/* The cable is out: the board loses its power with the host's, as the chip does. */
static void port_detached(void *ctx)
{
	struct card *c = ctx;

	card_detach(c);
	ft600_power_on(&c->usb.chip);
	acq_power_on(&c->usb.acq);
}

/* ---- the link, see link_ops ---- */

static struct controller_ops link_init(struct card *c)
{
	struct usb_link *l = &c->usb;
	struct ft600_ops ops = acq_ft600_ops(&l->acq);
	struct usb_port port = {
		.ctx = c, .dev = &l->chip.usb, .log = c->cfg.log,
		.lock = port_lock, .unlock = port_unlock, .kick = port_kick,
		.attached = port_attached, .detached = port_detached,
	};

	acq_init(&l->acq, &c->cfg.usb.acq, &c->ctl, &c->viol, &l->faults);
	ft600_init(&l->chip, &c->cfg.usb.chip, &ops, &c->viol, &l->faults);
	if (usbredir_init(&l->redir, &port) || usbip_init(&l->ip, &port)) {
		fprintf(stderr, "onisim: eventfd: %s\n", strerror(errno));
		abort();
	}
	c->faults = &l->faults;
	return acq_controller_ops(&l->acq);
}

static void link_exit(struct card *c)
{
	usbredir_exit(&c->usb.redir);
	usbip_exit(&c->usb.ip);
}

/* Orders of faults stay: some are about what a host sees when it comes. */
static void link_power_on(struct card *c)
{
	ft600_power_on(&c->usb.chip);
	acq_power_on(&c->usb.acq);
}

static bool link_step(struct card *c, uint64_t now_ns)
{
	bool more = acq_step(&c->usb.acq, now_ns);

	more |= ft600_step(&c->usb.chip);
	if (!c->usb.chip.vanish)
		return more;
	c->usb.chip.vanish = false;
	usbredir_vanished(&c->usb.redir);
	usbip_vanished(&c->usb.ip);
	return false;
}

static void link_stall(struct card *c, bool stalled)
{
	ft600_stall(&c->usb.chip, ACQ_DATA, stalled);
}

static void link_status(struct card *c, FILE *out)
{
	ft600_status(&c->usb.chip, out);
	acq_status(&c->usb.acq, out);
}

static void link_reset_counters(struct card *c)
{
	memset(&c->usb.chip.stats, 0, sizeof(c->usb.chip.stats));
	memset(&c->usb.acq.stats, 0, sizeof(c->usb.acq.stats));
}

static int serve(struct card *c, int sock, enum card_protocol protocol)
{
	if (protocol == PROTOCOL_USBIP)
		return usbip_serve(&c->usb.ip, sock);
	return usbredir_serve(&c->usb.redir, sock);
}

static int link_unplug(struct card *c)
{
	usbredir_plug(&c->usb.redir, false);
	usbip_plug(&c->usb.ip, false);
	return 0;
}

static int link_plug(struct card *c)
{
	usbredir_plug(&c->usb.redir, true);
	usbip_plug(&c->usb.ip, true);
	return 0;
}

static void link_shutdown(struct card *c)
{
	usbredir_shutdown(&c->usb.redir);
	usbip_shutdown(&c->usb.ip);
}

const struct link_ops usb_link = {
	.init = link_init,
	.exit = link_exit,
	.power_on = link_power_on,
	.step = link_step,
	.stall = link_stall,
	.status = link_status,
	.reset_counters = link_reset_counters,
	.serve = serve,
	.unplug = link_unplug,
	.plug = link_plug,
	.shutdown = link_shutdown,
};
