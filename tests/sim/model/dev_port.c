// SPDX-License-Identifier: MIT
/*
 * dev_port.c - port controller, ID 23 (hub 0, index 1 = port A, 2 = port B).
 *
 * Owns the supply of one port and whether the headstage behind it is reachable.
 * A link locks a while after the port voltage enters the headstage's window
 * (measured at the port) with the deserialiser powered, and drops at once when
 * the voltage leaves it downwards or the deserialiser is switched off. Above
 * the window the link stays up, as on hardware, and the event is counted: it
 * is what would have damaged the headstage.
 * Register map and status codes: ONIX link-control datasheet, bonsai-onix1
 * (gateware 2 byte order). LINKFLAGS: bit 0 lock changed, bit 1 pass changed,
 * cleared by writing ones; the datasheet only says that it is sticky.
 */
#include <string.h>

#include "model_priv.h"

#define CODE_LOCK	0x0001u
#define CODE_PASS	0x0002u

enum {
	R_ENABLE, R_GPOSTATE, R_DESPWR, R_PORTVOLTAGE, R_SAVEVOLTAGE,
	R_LINKSTATE, R_LINKOPTS, R_LINKFLAGS,
};

static const struct reg_def regs[] = {
	[R_ENABLE] = REG_ENABLE(0),
	[R_GPOSTATE] = REG_MASK(1, RF_RW | RF_REVERT, 0, 7),
	[R_DESPWR] = REG_MASK(2, RF_RW, 1, 1),
	[R_PORTVOLTAGE] = REG(3, RF_RW, 0),
	[R_SAVEVOLTAGE] = REG(4, RF_W, 0),
	[R_LINKSTATE] = REG(5, RF_R, 0),
	[R_LINKOPTS] = REG_MASK(6, RF_RW, 0, 1),
	[R_LINKFLAGS] = REG_MASK(7, RF_RW, 0, 3),
};

/* Tenths of a volt at the port, supplied tether. */
static const struct {
	uint32_t lock, over;
} window[] = {
	[HEADSTAGE_64] = { 55, 90 },
	[HEADSTAGE_RHS2116] = { 34, 65 },
};

struct port {
	struct dev dev;
	int detached;		/* nothing plugged in */
	int broken;		/* data do not pass, the supply does */
	int headstage_powered;
	int locked;
	uint64_t lock_at_ns;	/* 0: no lock under way */
	int over;
	uint32_t saved;
	uint64_t saves, locks, drops;
	uint32_t code;		/* of the status frame to send */
};

static unsigned int port_number(const struct dev *d)
{
	return d->addr - 1;
}

static struct hub *port_hub(const struct dev *d)
{
	return &d->m->hubs[d->addr];
}

static uint32_t port_tenths(const struct dev *d)
{
	uint32_t v = d->val[R_PORTVOLTAGE];

	if (v == 0)
		return 0;
	return v < 33 ? 33 : v > 110 ? 110 : v;
}

uint32_t port_headstage_tenths(const struct hub *h)
{
	const struct dev *d = h->m->hubs[0].devs[h->index];
	uint32_t v = port_tenths(d), drop = h->m->cfg.drop_tenths[h->index - 1];

	return ((const struct port *)d)->headstage_powered && v > drop ? v - drop : 0;
}

static uint32_t lock_tenths(const struct dev *d)
{
	const struct config *c = &d->m->cfg;
	unsigned int n = port_number(d);

	return c->lock_tenths[n] ? c->lock_tenths[n] : window[c->headstage[n]].lock;
}

static uint32_t over_tenths(const struct dev *d)
{
	const struct config *c = &d->m->cfg;
	unsigned int n = port_number(d);

	return c->over_tenths[n] ? c->over_tenths[n] : window[c->headstage[n]].over;
}

static void port_schedule(struct dev *d)
{
	struct port *p = (struct port *)d;

	/* A change while stopped is visible in LINKSTATE, not as a frame. */
	p->code = 0;
	dev_due(d, CLOCK_NEVER);
}

static void port_link(struct dev *d, int locked)
{
	struct port *p = (struct port *)d;

	p->lock_at_ns = 0;
	if (p->locked == locked)
		return;
	p->locked = locked;
	port_hub(d)->reachable = locked;
	if (locked)
		p->locks++;
	else
		p->drops++;
	d->val[R_LINKSTATE] = locked ? 3 : 0;
	d->val[R_LINKFLAGS] |= 3;
	if (d->m->running && d->enabled) {
		p->code = locked ? CODE_LOCK | CODE_PASS : 0;
		dev_due(d, d->m->clock + d->hub->latency_ticks);
	}
	/* A headstage that kept its supply goes on where the link broke. */
	hub_restart(port_hub(d));
}

/* Called after anything that the link depends on has changed. */
static void port_update(struct dev *d)
{
	struct port *p = (struct port *)d;
	enum headstage kind = d->m->cfg.headstage[port_number(d)];
	uint32_t v = port_tenths(d);
	int powered = kind != HEADSTAGE_NONE && !p->detached && v >= lock_tenths(d);
	int over = powered && v > over_tenths(d);

	if (over && !p->over)
		d->m->overvoltage++;
	p->over = over;

	if (powered && !p->headstage_powered)
		hub_power_on(port_hub(d));
	if (!powered && p->headstage_powered)
		hub_power_off(port_hub(d));
	p->headstage_powered = powered;
	if (powered)
		hub_supply(port_hub(d));

	if (!powered || p->broken || !d->val[R_DESPWR])
		port_link(d, 0);
	else if (!p->locked && !p->lock_at_ns)
		p->lock_at_ns = d->m->now_ns + d->m->cfg.lock_delay_ms * 1000000ull + 1;
}

static void port_power_on(struct dev *d)
{
	struct port *p = (struct port *)d;

	p->saved = d->m->cfg.saved_tenths[port_number(d)];
	d->val[R_PORTVOLTAGE] = p->saved;
	port_update(d);
}

static int port_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	struct port *p = (struct port *)d;

	switch (i) {
	case R_GPOSTATE:
		if (d->val[i] & 1 && !(old & 1))
			stim_gpo_trigger(port_hub(d));
		break;
	case R_DESPWR:
	case R_PORTVOLTAGE:
		port_update(d);
		break;
	case R_SAVEVOLTAGE:
		if (d->val[i]) {
			p->saved = d->val[R_PORTVOLTAGE];
			p->saves++;
		}
		break;
	case R_LINKFLAGS:
		d->val[i] = old & ~d->val[i];
		break;
	}
	return 0;
}

static void port_tick(struct dev *d, uint64_t now_ns)
{
	struct port *p = (struct port *)d;

	if (p->lock_at_ns && now_ns >= p->lock_at_ns)
		port_link(d, 1);
}

static void port_fire(struct dev *d)
{
	struct port *p = (struct port *)d;

	put16(frame_begin(d, d->due - d->hub->latency_ticks), p->code);
	frame_emit(d);
	dev_due(d, CLOCK_NEVER);
}

static void port_status(const struct dev *d, FILE *out, const char *prefix)
{
	const struct port *p = (const struct port *)d;
	int c = "ab"[port_number(d)];

	fprintf(out, "%sport.%c.tenths_of_volt %u\n", prefix, c, port_tenths(d));
	fprintf(out, "%sport.%c.attached %d\n", prefix, c,
		d->m->cfg.headstage[port_number(d)] != HEADSTAGE_NONE && !p->detached);
	fprintf(out, "%sport.%c.locked %d\n", prefix, c, p->locked);
	fprintf(out, "%sport.%c.in_table %d\n", prefix, c, port_hub(d)->in_table);
	fprintf(out, "%sport.%c.locks %llu\n", prefix, c, (unsigned long long)p->locks);
	fprintf(out, "%sport.%c.drops %llu\n", prefix, c, (unsigned long long)p->drops);
	fprintf(out, "%sport.%c.savevoltage_writes %llu\n", prefix, c,
		(unsigned long long)p->saves);
	fprintf(out, "%sport.%c.saved_tenths_of_volt %u\n", prefix, c, p->saved);
}

int port_command(struct model *m, const char *port, const char *what, char *err, size_t errlen)
{
	unsigned int n = (unsigned int)(port[0] - 'a');
	struct port *p = n < PORTS && !port[1] ? (struct port *)m->hubs[0].devs[1 + n] : NULL;

	if (p && (!strcmp(what, "detach") || !strcmp(what, "attach")))
		p->detached = what[0] == 'd';
	else if (p && (!strcmp(what, "break") || !strcmp(what, "mend")))
		p->broken = what[0] == 'b';
	else
		return model_error(err, errlen, "use: port a|b detach|attach|break|mend");
	port_update(&p->dev);
	return 0;
}

const struct dev_class class_port = {
	.name = "port",
	.id = 23,
	.version = 2,
	.read_size = 10,
	.size = sizeof(struct port),
	.regs = regs,
	.nregs = ARRAY_LEN(regs),
	.power_on = port_power_on,
	.wrote = port_wrote,
	.schedule = port_schedule,
	.fire = port_fire,
	.tick = port_tick,
	.status = port_status,
};
