// SPDX-License-Identifier: MIT
/*
 * setup.c - see setup.h. The order is the ONIX bring-up order: port power (the
 * headstage enters the device table), device registers, reset (enables take
 * effect), stream, start.
 *
 * A device that is not asked for is disabled: the state of ENABLE at power-on is
 * not documented. What the driver guards (stimulators) is left alone.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "block.h"

#define RHD_FORMAT		4
#define RHD_TWOS_COMPLEMENT	0x40
#define ANALOG_INRANGE		2
#define HUB_INFO_ID		0
#define PORT_ADDR(i)		((uint32_t)(i) + 1)

static const char *const default_devices[] = {
	"rhd2164", "analog-io", "digital-io", "memory-monitor", "rhythm", "harp-rhythm",
};

/* Sentence for an operation of the library, with the thing it was done to. */
static int failed(struct card *c, enum onidev_op op, const char *what)
{
	int saved = errno;

	snprintf(c->err, sizeof(c->err), "cannot %s%s%s: %s", onidev_op_name(op),
		 what ? " of " : "", what ? what : "", onidev_explain(op, saved));
	errno = saved;
	return -1;
}

static int read_table(struct card *c)
{
	struct onidev_table *t = onidev_controller_table(c->ctl);

	if (!t)
		return failed(c, ONIDEV_OP_DEVICE_TABLE, NULL);
	onidev_table_free(c->table);
	c->table = t;
	return 0;
}

static int power_port(struct card *c, int i, const struct config_port *p,
		      void (*say)(const char *line))
{
	const struct onidev_headstage *h = onidev_headstage_find_id(p->headstage);
	uint32_t dv = p->decivolts ? p->decivolts : h->default_decivolts;
	struct oni_port_power res;
	char line[200];
	int saved;

	snprintf(line, sizeof(line), "port %c: %u.%u V for %s", 'A' + i, dv / 10, dv % 10,
		 h->title);
	say(line);
	if (!onidev_port_on(c->ctl, PORT_ADDR(i), p->headstage, dv, 0, &res)) {
		c->powered[c->n_powered++] = PORT_ADDR(i);
		return 0;
	}
	saved = errno;
	if (saved == ERANGE)
		snprintf(c->err, sizeof(c->err), "port %c: %u.%u V is outside the window of %s, "
			 "%u.%u to %u.%u V; change volts in [port %c]", 'A' + i, dv / 10, dv % 10,
			 h->title, res.min_decivolts / 10, res.min_decivolts % 10,
			 res.max_decivolts / 10, res.max_decivolts % 10, 'a' + i);
	else if (saved == EMEDIUMTYPE)
		snprintf(c->err, sizeof(c->err), "port %c: found %s, not %s; it was switched off "
			 "again, correct headstage in [port %c]", 'A' + i,
			 onidev_hub_name(res.found), h->title, 'a' + i);
	else
		snprintf(c->err, sizeof(c->err), "port %c: %s", 'A' + i,
			 onidev_explain(ONIDEV_OP_PORT_POWER, saved));
	errno = saved;
	return -1;
}

/* --- enables ------------------------------------------------------------------- */

/*
 * Rhythm runs until it is stopped. The streams in its frames are those of the
 * configuration, or else whichever were chosen before ("onictl rhythm").
 */
static int set_rhythm(struct card *c, uint32_t addr, const struct config *cfg, const char *name)
{
	struct onidev_rhythm_layout layout;
	uint32_t mode, regs[3];

	if (onidev_reg_read(c->ctl, addr, ONIDEV_RHYTHM_MODE_REG, &mode))
		return failed(c, ONIDEV_OP_REG_READ, name);
	if (!(mode & ONIDEV_RHYTHM_CONTINUOUS) &&
	    onidev_reg_write(c->ctl, addr, ONIDEV_RHYTHM_MODE_REG,
			     mode | ONIDEV_RHYTHM_CONTINUOUS))
		return failed(c, ONIDEV_OP_REG_WRITE, name);
	if (!cfg->rhythm_streams[0])
		return 0;
	if (onidev_rhythm_layout_parse(cfg->rhythm_streams, &layout)) {
		snprintf(c->err, sizeof(c->err), "'%s' are no streams; streams in [rhythm] wants "
			 "names such as a1 a1+ b2", cfg->rhythm_streams);
		return -1;
	}
	onidev_rhythm_layout_put(&layout, regs);
	for (uint32_t i = 0; i < 3; i++)
		if (onidev_reg_write(c->ctl, addr, ONIDEV_RHYTHM_SELECT_REG + i, regs[i]))
			return failed(c, ONIDEV_OP_REG_WRITE, name);
	return 0;
}

static int enable_one(struct card *c, const struct config *cfg, const struct config_device *want)
{
	const struct oni_device *row;
	uint32_t addr, format;

	if (onidev_table_resolve(c->table, want->name, &addr) ||
	    !(row = onidev_table_find_addr(c->table, addr))) {
		int saved = errno;

		if (!want->enable)
			return 0;
		snprintf(c->err, sizeof(c->err), "device '%s' is not in the device table%s; "
			 "'onictl devices' lists what is there, a headstage needs its port powered "
			 "first ([port a] in the configuration)", want->name,
			 saved == ENOTUNIQ ? " once but several times, add '@hub.device'" : "");
		errno = saved;
		return -1;
	}
	if (!want->enable)
		return onidev_device_disable(c->ctl, row) && errno != EOPNOTSUPP ?
		       failed(c, ONIDEV_OP_REG_WRITE, want->name) : 0;
	if (onidev_device_enable(c->ctl, row) && errno != EOPNOTSUPP)
		return failed(c, ONIDEV_OP_REG_WRITE, want->name);
	if (row->id == ONIDEV_ID_RHYTHM)
		return set_rhythm(c, addr, cfg, want->name);
	if (row->id != ONIDEV_ID_RHD2164)
		return 0;
	/* the recorder takes codes as offset binary, which is the default */
	if (onidev_reg_read(c->ctl, addr, RHD_FORMAT, &format))
		return failed(c, ONIDEV_OP_REG_READ, want->name);
	if (format & RHD_TWOS_COMPLEMENT &&
	    onidev_reg_write(c->ctl, addr, RHD_FORMAT, format & ~(uint32_t)RHD_TWOS_COMPLEMENT))
		return failed(c, ONIDEV_OP_REG_WRITE, want->name);
	return 0;
}

/* Several of them may be there, so their names have no one device. */
static int enable_all_of(struct card *c, const struct config *cfg, uint32_t id)
{
	for (size_t i = 0; i < onidev_table_count(c->table); i++) {
		const struct oni_device *row = onidev_table_at(c->table, i);
		struct config_device d = { .enable = true };

		if (row->id != id || !row->read_size)
			continue;
		onidev_table_name(c->table, row->addr, d.name);
		if (enable_one(c, cfg, &d))
			return -1;
	}
	return 0;
}

static bool may_disable(const struct oni_device *row)
{
	const struct onidev_type *t = onidev_type_find_id(row->id);
	const struct onidev_reg *reg;

	if (!t || !row->read_size || t->enable_reg == ONIDEV_NO_REG ||
	    row->id == ONIDEV_ID_PORT_CONTROLLER)
		return false;
	reg = onidev_type_reg_find(t, t->enable_reg);
	return reg && reg->flags & ONIDEV_REG_W && !(reg->flags & ONIDEV_REG_GUARDED);
}

static int disable_all(struct card *c)
{
	for (size_t i = 0; i < onidev_table_count(c->table); i++) {
		const struct oni_device *row = onidev_table_at(c->table, i);
		char name[ONIDEV_NAME_MAX];

		if (may_disable(row) && onidev_device_disable(c->ctl, row))
			return failed(c, ONIDEV_OP_REG_WRITE,
				      onidev_table_name(c->table, row->addr, name));
	}
	return 0;
}

static int enable_devices(struct card *c, const struct config *cfg)
{
	if (disable_all(c))
		return -1;
	/* that there was stimulation is recorded unless somebody says no */
	if (enable_all_of(c, cfg, ONIDEV_ID_RHS2116_TRIGGER))
		return -1;
	for (unsigned int i = 0; i < cfg->n_dev; i++)
		if (enable_one(c, cfg, &cfg->dev[i]))
			return -1;
	if (cfg->n_dev)
		return 0;
	/* nothing was named: what there is of the usual ones */
	for (size_t i = 0; i < sizeof(default_devices) / sizeof(default_devices[0]); i++) {
		struct config_device d = { .enable = true };
		uint32_t addr;

		snprintf(d.name, sizeof(d.name), "%s", default_devices[i]);
		if (!onidev_table_resolve(c->table, d.name, &addr) && enable_one(c, cfg, &d))
			return -1;
	}
	return enable_all_of(c, cfg, ONIDEV_ID_RHS2116);
}

/* --- what the recorder has to know ----------------------------------------------- */

static int describe_analog(struct card *c, struct rec_device *d)
{
	for (uint32_t i = 0; i < ONIDEV_ANALOG_CHANNELS; i++) {
		uint32_t range;

		if (onidev_reg_read(c->ctl, d->addr, ANALOG_INRANGE + i, &range))
			return failed(c, ONIDEV_OP_REG_READ, d->name);
		d->volts_per_code[i] = onidev_analog_volts_per_code(range);
	}
	return 0;
}

/* Which streams are in its frames; the table says how many have become so at the reset. */
static int describe_rhythm(struct card *c, struct rec_device *d, uint32_t read_size)
{
	uint32_t regs[3];

	for (uint32_t i = 0; i < 3; i++)
		if (onidev_reg_read(c->ctl, d->addr, ONIDEV_RHYTHM_SELECT_REG + i, &regs[i]))
			return failed(c, ONIDEV_OP_REG_READ, d->name);
	onidev_rhythm_layout_get(regs, &d->rhythm);
	if (onidev_reg_read(c->ctl, ONIDEV_HUB_INFO(0), HUB_INFO_ID, &d->board))
		return failed(c, ONIDEV_OP_REG_READ, d->name);
	if (onidev_rhythm_streams(read_size) == (int)d->rhythm.streams && d->rate_hz > 0)
		return 0;
	snprintf(c->err, sizeof(c->err), "%s says that %u streams are enabled at %g Hz, but its "
		 "frames have %u bytes; 'onictl rhythm' chooses streams and rate", d->name,
		 d->rhythm.streams, d->rate_hz, read_size);
	errno = EPROTO;
	return -1;
}

static int describe(struct card *c, const struct oni_device *row)
{
	struct rec_device *d = &c->dev[c->n_dev];
	struct onidev_hub hub;
	double hz;

	memset(d, 0, sizeof(*d));
	d->addr = row->addr;
	d->id = row->id;
	d->sink = rec_sink_of(row->id);
	if (d->sink == REC_OTHER && row->read_size > 8 + REC_OTHER_BYTES)
		d->sink = REC_COUNTED;
	onidev_table_name(c->table, row->addr, d->name);
	if (!onidev_hub_read(c->ctl, ONIDEV_HUB(row->addr), &hub))
		d->hub_hz = hub.clock_hz;
	else if (errno == ENODEV)
		return failed(c, ONIDEV_OP_REG_READ, d->name);
	if (!onidev_device_rate(c->ctl, row, &hz))
		d->rate_hz = hz;
	if (d->sink == REC_MEMORY &&
	    onidev_reg_read(c->ctl, row->addr, ONIDEV_MEMORY_TOTAL_REG, &d->memory_words))
		return failed(c, ONIDEV_OP_REG_READ, d->name);
	if (d->sink == REC_ANALOG && describe_analog(c, d))
		return -1;
	if (d->sink == REC_RHYTHM && describe_rhythm(c, d, row->read_size))
		return -1;
	c->n_dev++;
	return 0;
}

/* Rows that can send frames; continuous ones only when they are enabled. */
static int describe_all(struct card *c)
{
	c->n_dev = 0;
	memset(c->silent, 0, sizeof(c->silent));
	for (size_t i = 0; i < onidev_table_count(c->table); i++) {
		const struct oni_device *row = onidev_table_at(c->table, i);
		enum rec_sink sink = rec_sink_of(row->id);

		if (row->id == ONIDEV_ID_HS64_ESTIM)
			c->silent[ONIDEV_HUB(row->addr) & 0xff] = true;
		if (!row->id || !row->read_size)
			continue;
		if ((sink == REC_RHD2164 || sink == REC_RHS2116 || sink == REC_ANALOG ||
		     sink == REC_RHYTHM) &&
		    onidev_device_enabled(c->ctl, row) == 0)
			continue;
		if (c->n_dev == REC_MAX_DEVICES) {
			snprintf(c->err, sizeof(c->err), "more than %d devices send frames; "
				 "disable some in [enable]", REC_MAX_DEVICES);
			errno = E2BIG;
			return -1;
		}
		if (describe(c, row))
			return -1;
	}
	return 0;
}

/* A board on which nobody has chosen streams: no error, but hardly what is wanted. */
static void say_no_streams(const struct card *c, void (*say)(const char *line))
{
	char line[200];

	for (unsigned int i = 0; i < c->n_dev; i++) {
		if (c->dev[i].sink != REC_RHYTHM || c->dev[i].rhythm.streams)
			continue;
		snprintf(line, sizeof(line), "%s: no stream is enabled, so only its analog inputs and "
			 "TTL lines are recorded; 'onictl rhythm' or [rhythm] chooses streams",
			 c->dev[i].name);
		say(line);
	}
}

/* --- stream ---------------------------------------------------------------------- */

/* Of all devices whose rate is known; what the others send now and then is little. */
static double bytes_per_s(const struct card *c)
{
	double sum = 0;

	for (unsigned int i = 0; i < c->n_dev; i++) {
		const struct oni_device *row = onidev_table_find_addr(c->table, c->dev[i].addr);

		if (row && c->dev[i].rate_hz > 0)
			sum += c->dev[i].rate_hz * onidev_frame_wire(row->read_size);
	}
	return sum;
}

/* 0, and a sentence in c->err: the controller cannot do what is asked for. */
static uint32_t block_size(struct card *c, const struct config *cfg)
{
	uint32_t bytes = cfg->block_bytes ? cfg->block_bytes :
					    block_choose(&c->info, bytes_per_s(c));

	if (!block_check(&c->info, bytes, c->err, sizeof(c->err)))
		return bytes;
	errno = EINVAL;
	return 0;
}

static int make_stream(struct card *c, const struct config *cfg)
{
	struct onidev_stream_config sc = {
		.ring_bytes = cfg->ring_bytes,
		.latency_us = cfg->latency_us,
	};

	if (onidev_controller_info(c->ctl, &c->info))
		return failed(c, ONIDEV_OP_INFO, NULL);
	sc.block_bytes = block_size(c, cfg);
	if (!sc.block_bytes)
		return -1;
	c->stream = onidev_stream_create(c->ctl, &sc);
	if (!c->stream)
		return failed(c, ONIDEV_OP_STREAM_CREATE, NULL);
	c->clock = onidev_clock_new(c->info.acq_clock_hz);
	if (!c->clock) {
		snprintf(c->err, sizeof(c->err), "not enough memory");
		return -1;
	}
	onidev_stream_attach_clock(c->stream, c->clock);
	if (onidev_stream_set_table(c->stream, c->table))
		return failed(c, ONIDEV_OP_DEVICE_TABLE, NULL);
	return 0;
}

/* --- the source ------------------------------------------------------------------ */

static int dev_wait(struct source *s, int timeout_ms)
{
	return onidev_stream_wait(((struct card *)s)->stream, timeout_ms);
}

static int dev_next(struct source *s, struct onidev_frame *frame)
{
	return onidev_frame_next(((struct card *)s)->stream, frame);
}

static int64_t dev_resync(struct source *s, char *why, size_t len)
{
	struct onidev_stream *st = ((struct card *)s)->stream;

	onidev_stream_desync(st, why, len);
	return onidev_stream_resync(st);
}

static void dev_release(struct source *s)
{
	onidev_stream_release(((struct card *)s)->stream);
}

static void dev_status(struct source *s, struct onidev_stream_status *st)
{
	onidev_stream_status(((struct card *)s)->stream, st);
}

static int dev_fit(struct source *s, struct onidev_clock_fit *fit)
{
	return onidev_clock_read(((struct card *)s)->clock, fit);
}

static int dev_stop(struct source *s)
{
	struct card *c = (struct card *)s;

	if (onidev_controller_stop(c->ctl))
		return failed(c, ONIDEV_OP_STOP, NULL);
	c->running = false;
	return 0;
}

/* Whole events; whoever made the file non-blocking is make_events(). */
static int dev_stim_event(struct source *s, struct oni_stim_event *event)
{
	struct card *c = (struct card *)s;
	const struct oni_stim_event *e;
	size_t left = c->stim_len - c->stim_pos;
	ssize_t n;

	if (c->stim_fd < 0)
		return -1;
	if (!left) {
		n = read(c->stim_fd, c->stim, sizeof(c->stim));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return -1;
		c->stim_pos = 0;
		c->stim_len = left = (size_t)n;
	}
	e = (const void *)((const char *)c->stim + c->stim_pos);
	/* one of a newer kernel is longer: its beginning means the same */
	if (left < sizeof(*e) || e->size < sizeof(*e) || e->size > left)
		return -1;
	memcpy(event, e, sizeof(*event));
	c->stim_pos += e->size;
	return 1;
}

static const struct source_ops dev_ops = {
	.wait = dev_wait,
	.next = dev_next,
	.resync = dev_resync,
	.release = dev_release,
	.status = dev_status,
	.fit = dev_fit,
	.stop = dev_stop,
};

/* A kernel or a board without stimulation has no such events: triggers are recorded all the same. */
static void make_events(struct card *c)
{
	struct oni_stim_events ev = { .size = sizeof(ev), .fd = -1 };
	int flags;

	c->stim_fd = -1;
	if (onidev_controller_fd(c->ctl) < 0 ||
	    ioctl(onidev_controller_fd(c->ctl), ONI_IOC_STIM_EVENTS, &ev))
		return;
	flags = fcntl(ev.fd, F_GETFL);
	if (flags < 0 || fcntl(ev.fd, F_SETFL, flags | O_NONBLOCK)) {
		close(ev.fd);
		return;
	}
	c->stim_fd = ev.fd;
	c->ops.stim_event = dev_stim_event;
}

/* --- up and down ------------------------------------------------------------------ */

int card_open(struct card *c, const struct config *cfg, void (*say)(const char *line))
{
	bool first = !strcmp(cfg->device, "first");

	memset(c, 0, sizeof(*c));
	c->ops = dev_ops;
	c->source.ops = &c->ops;
	c->stim_fd = -1;
	c->ctl = onidev_controller_open(first ? NULL : cfg->device, cfg->backend);
	if (!c->ctl) {
		int saved = errno;
		char why[400];

		onidev_open_explain(first ? NULL : cfg->device, cfg->backend, saved, why,
				    sizeof(why));
		snprintf(c->err, sizeof(c->err), "cannot open %.100s: %s",
			 first ? "a controller" : cfg->device, why);
		errno = saved;
		return -1;
	}
	if (onidev_controller_claim(c->ctl))
		return failed(c, ONIDEV_OP_CLAIM, onidev_controller_node(c->ctl));
	for (int i = 0; i < CONFIG_PORTS; i++)
		if (cfg->port[i].headstage && power_port(c, i, &cfg->port[i], say))
			return -1;
	if (read_table(c) || enable_devices(c, cfg))
		return -1;
	/* before the reset, which unloads every program: no load that matters is missed */
	make_events(c);
	if (onidev_controller_reset(c->ctl))
		return failed(c, ONIDEV_OP_RESET, NULL);
	if (read_table(c) || describe_all(c))
		return -1;
	say_no_streams(c, say);
	return make_stream(c, cfg);
}

int card_start(struct card *c)
{
	uint32_t generation = onidev_table_generation(c->table);

	if (onidev_controller_start(c->ctl))
		return failed(c, ONIDEV_OP_START, NULL);
	c->running = true;
	/* the start may have reset the card: same devices, but a new table */
	if (read_table(c))
		return -1;
	if (onidev_table_generation(c->table) != generation &&
	    onidev_stream_set_table(c->stream, c->table))
		return failed(c, ONIDEV_OP_DEVICE_TABLE, NULL);
	return 0;
}

void card_close(struct card *c)
{
	if (!c->ctl)
		return;
	if (c->running)
		onidev_controller_stop(c->ctl);
	onidev_stream_free(c->stream);
	onidev_clock_free(c->clock);
	if (c->stim_fd >= 0)
		close(c->stim_fd);
	for (unsigned int i = 0; i < c->n_powered; i++)
		onidev_port_off(c->ctl, c->powered[i]);
	onidev_table_free(c->table);
	onidev_controller_close(c->ctl);
	c->ctl = NULL;
}
