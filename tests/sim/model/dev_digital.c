// SPDX-License-Identifier: MIT
/*
 * dev_digital.c - breakout digital IO, ID 18 (hub 0, index 7).
 *
 * Change mode (SAMPLING 0): one frame per change of the inputs, buttons or
 * port states, at most one per SPACING ticks; what changes inside the dead
 * time is reported when it ends. Periodic mode: a frame every SAMPLING + 2
 * ticks (host software compensates that off-by-two of device version 2).
 * Outputs are looped back to the inputs like a ribbon cable between the two
 * connectors (wired or), unless "digital-loopback=0". The control socket moves
 * input pins and buttons. Word layout: bonsai-onix1, gateware 2 byte order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model_priv.h"

#define PERIOD_EXTRA	2u	/* off-by-two of version 2 */
#define SAMPLE_TICKS	63u	/* inputs are sampled at 4 MHz */

enum {
	R_ENABLE, R_LEDMODE, R_LEDLVL, R_HARPCONF, R_GPIODIR, R_CLK_HZ,
	R_SPACING, R_SAMPLING,
};

static const struct reg_def regs[] = {
	[R_ENABLE] = REG_ENABLE(0),
	[R_LEDMODE] = REG_RANGE(1, RF_RW, 3, 0, 3),
	[R_LEDLVL] = REG_RANGE(2, RF_RW, 3, 0, 15),
	[R_HARPCONF] = REG(3, RF_RW, 0),
	[R_GPIODIR] = REG(4, RF_RW, 0),
	[R_CLK_HZ] = REG(5, RF_R, MODEL_ACQ_HZ),
	[R_SPACING] = REG(6, RF_RW, 0),
	[R_SAMPLING] = REG(7, RF_RW, 0),
};

static const struct {
	const char *name;
	uint32_t bit;
} buttons[] = {
	{ "moon", 0x001 }, { "triangle", 0x002 }, { "x", 0x004 },
	{ "check", 0x008 }, { "circle", 0x010 }, { "square", 0x020 },
};

struct digital {
	struct dev dev;
	struct grid grid;
	uint32_t pins;		/* driven from the control socket */
	uint32_t out;
	uint32_t buttons;
	uint32_t sent;		/* word of the last frame */
	uint64_t last;		/* sample time of the last frame */
	int any;		/* a frame was sent in this run */
};

/* Low byte inputs, high half buttons and port states. */
static uint32_t digital_word(const struct digital *g)
{
	const struct model *m = g->dev.m;
	uint32_t in = g->pins, but = g->buttons;

	if (m->cfg.digital_loopback)
		in |= g->out;
	if (m->hubs[1].reachable)
		but |= 0x800;
	if (m->hubs[2].reachable)
		but |= 0x400;
	return (in & 0xff) | but << 16;
}

static void digital_schedule(struct dev *d)
{
	struct digital *g = (struct digital *)d;

	if (d->latched[R_SAMPLING]) {
		grid_start(&g->grid, (uint64_t)d->latched[R_SAMPLING] + PERIOD_EXTRA, 1,
			   dev_sampled(d));
		dev_due(d, g->grid.t + d->hub->latency_ticks);
		return;
	}
	g->last = 0;
	g->any = 0;
	g->sent = digital_word(g);
	dev_due(d, CLOCK_NEVER);
}

static void digital_changed(struct dev *d)
{
	struct digital *g = (struct digital *)d;
	uint64_t t = d->m->clock + SAMPLE_TICKS;

	if (!d->m->running || !d->enabled || d->latched[R_SAMPLING] ||
	    d->due != CLOCK_NEVER || digital_word(g) == g->sent)
		return;
	if (g->any && t < g->last + d->latched[R_SPACING])
		t = g->last + d->latched[R_SPACING];
	g->grid.t = t;
	dev_due(d, t + d->hub->latency_ticks);
}

static void digital_fire(struct dev *d)
{
	struct digital *g = (struct digital *)d;
	uint8_t *p = frame_begin(d, g->grid.t);

	g->sent = digital_word(g);
	g->last = g->grid.t;
	g->any = 1;
	put32(p, g->sent);
	frame_emit(d);
	if (d->latched[R_SAMPLING]) {
		grid_next(&g->grid);
		dev_due(d, g->grid.t + d->hub->latency_ticks);
	} else {
		dev_due(d, CLOCK_NEVER);
	}
}

static void digital_tick(struct dev *d, uint64_t now_ns)
{
	(void)now_ns;
	digital_changed(d);	/* a port may have come or gone */
}

static void digital_write_frame(struct dev *d, uint64_t clock, const uint32_t *w)
{
	(void)clock;
	((struct digital *)d)->out = w[0] & 0xff;
	digital_changed(d);
}

static void digital_power_on(struct dev *d)
{
	((struct digital *)d)->out = 0;
}

static uint32_t digital_button(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(buttons); i++)
		if (!strcmp(name, buttons[i].name))
			return buttons[i].bit;
	return 0;
}

int digital_command(struct dev *d, const char *what, const char *arg,
		    char *err, size_t errlen)
{
	struct digital *g = (struct digital *)d;
	char *end;
	unsigned long n;

	if (!strcmp(what, "button")) {
		uint32_t bit = digital_button(arg);

		if (!bit)
			return model_error(err, errlen, "no button \"%s\": use moon, triangle, "
					   "x, check, circle or square", arg);
		g->buttons ^= bit;
		digital_changed(d);
		return 0;
	}
	errno = 0;
	n = strtoul(arg, &end, 0);
	if (errno || end == arg || *end)
		return model_error(err, errlen, "\"%s\" is not a number", arg);
	if (!strcmp(what, "toggle") && n < 8)
		g->pins ^= 1u << n;
	else if (!strcmp(what, "set") && n < 256)
		g->pins = (uint32_t)n;
	else
		return model_error(err, errlen, "use: digital toggle PIN (0-7) | "
				   "digital set MASK (0-255) | digital button NAME");
	digital_changed(d);
	return 0;
}

static void digital_status(const struct dev *d, FILE *out, const char *prefix)
{
	const struct digital *g = (const struct digital *)d;

	fprintf(out, "%sdigital.in 0x%02x\n", prefix, digital_word(g) & 0xff);
	fprintf(out, "%sdigital.out 0x%02x\n", prefix, g->out);
	fprintf(out, "%sdigital.buttons 0x%03x\n", prefix, digital_word(g) >> 16);
}

const struct dev_class class_digital = {
	.name = "digital",
	.id = 18,
	.version = 2,
	.read_size = 12,
	.write_size = 4,
	.size = sizeof(struct digital),
	.regs = regs,
	.nregs = ARRAY_LEN(regs),
	.power_on = digital_power_on,
	.schedule = digital_schedule,
	.fire = digital_fire,
	.write_frame = digital_write_frame,
	.tick = digital_tick,
	.status = digital_status,
};
