// SPDX-License-Identifier: MIT
/*
 * model.c - hubs, device table, register routing and time order.
 *
 * Owns struct model: the hubs with their devices, the queue of frames to come
 * and the frame buffer. Implements the device side of the ONI v1.0 spec
 * (device table, hubs, frames) with the hubs of the ONIX PCIe controller or of
 * an Acquisition Board, both gateware 2. One thread at a time; the caller sees
 * to that.
 *
 * Time order: every device says when its next frame is due (header clock); a
 * binary heap keyed by (due, address) yields them. Devices that have nothing
 * to send sit at CLOCK_NEVER.
 * A hub enters the table when its link is locked at a reset. If the link drops
 * later its registers answer NACK; after a power cycle its devices hold their
 * power-on values and stay silent until the next reset.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"
#include "stim_log.h"
#include "truth_spikes.h"

#define HUB0_NDEVS	13
#define DEV_INFO	0xfeu
#define ACQ_FIRMWARE	0x00020000u	/* 2.0.0 in the format of that board */

static const struct dev_class *const hub0_devs[HUB0_NDEVS] = {
	[0] = &class_heartbeat,
	[1] = &class_port,
	[2] = &class_port,
	[5] = &class_clock_out,
	[6] = &class_analog,
	[7] = &class_digital,
	[10] = &class_memory,
	[11] = &class_load,
	[12] = &class_harp,
};

/* NULL rows but for the ports that are in I2C mode. */
static const struct dev_class *const acq0_devs[] = {
	&class_heartbeat_plain, &class_memory,
	&class_bno055_acq, &class_raw_i2c, &class_bno055_acq, &class_raw_i2c,
	&class_bno055_acq, &class_raw_i2c, &class_bno055_acq, &class_raw_i2c,
};

static const struct dev_class *const acq1_devs[] = {
	NULL, &class_rhythm, &class_ttl_out, &class_analog_out, &class_harp_rhythm,
};

static const struct dev_class *const hs64_devs[] = {
	&class_rhd2164, &class_bno055, &class_ts4231, &class_estim, &class_ostim,
};

static const struct dev_class *const rhs2116_devs[] = {
	&class_rhs2116, &class_rhs2116, &class_rhs_trigger,
};

/* ---- small things ----------------------------------------------------- */
int model_error(char *err, size_t errlen, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return -1;
}

/* ---- queue of frames to come ------------------------------------------ */
static int heap_before(const struct dev *a, const struct dev *b)
{
	return a->due < b->due || (a->due == b->due && a->addr < b->addr);
}

static void heap_place(struct model *m, unsigned int i, struct dev *d)
{
	m->heap[i] = d;
	d->heap_pos = i;
}

void dev_due(struct dev *d, uint64_t clock)
{
	struct model *m = d->m;
	unsigned int i = d->heap_pos;

	d->due = clock;
	while (i && heap_before(d, m->heap[(i - 1) / 2])) {
		heap_place(m, i, m->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		unsigned int kid = 2 * i + 1;

		if (kid + 1 < m->heap_len && heap_before(m->heap[kid + 1], m->heap[kid]))
			kid++;
		if (kid >= m->heap_len || !heap_before(m->heap[kid], d))
			break;
		heap_place(m, i, m->heap[kid]);
		i = kid;
	}
	heap_place(m, i, d);
}

/* ---- frames ------------------------------------------------------------ */
uint8_t *frame_begin(struct dev *d, uint64_t hub_clock)
{
	uint8_t *p = d->m->frame;

	put64(p, d->due);
	put32(p + 8, d->addr);
	put32(p + 12, d->read_size);
	put64(p + 16, hub_clock);
	return p + 24;
}

void frame_emit(struct dev *d)
{
	struct model *m = d->m;
	size_t len = FRAME_HEADER + d->read_size;

	while (len & 3)
		m->frame[len++] = 0;
	m->env.emit(m->env.ctx, d->addr, m->frame, len);
	m->emitted += len;
}

/* ---- building ---------------------------------------------------------- */
static int hub_add(struct hub *h, unsigned int index, const struct dev_class *class)
{
	struct model *m = h->m;
	struct dev *d;

	if (index >= h->ndevs)
		h->ndevs = index + 1;
	if (!class)
		return 0;
	d = calloc(1, class->size);
	if (!d)
		return -1;
	d->class = class;
	d->m = m;
	d->hub = h;
	d->addr = h->index << 8 | index;
	h->devs[index] = d;
	heap_place(m, m->heap_len++, d);
	dev_due(d, CLOCK_NEVER);
	return 0;
}

static int hub_fill(struct hub *h, const struct dev_class *const *devs, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (hub_add(h, i, devs[i]) < 0)
			return -1;
	return 0;
}

void hub_power_on(struct hub *h)
{
	unsigned int i;

	for (i = 0; i < h->ndevs; i++) {
		struct dev *d = h->devs[i];

		if (!d)
			continue;
		regs_power_on(d);
		dev_due(d, CLOCK_NEVER);
		if (d->class->power_on)
			d->class->power_on(d);
	}
}

void hub_power_off(struct hub *h)
{
	unsigned int i;

	for (i = 0; i < h->ndevs; i++)
		if (h->devs[i] && h->devs[i]->class->power_off)
			h->devs[i]->class->power_off(h->devs[i]);
}

void hub_supply(struct hub *h)
{
	unsigned int i;

	for (i = 0; i < h->ndevs; i++)
		if (h->devs[i] && h->devs[i]->class->supply)
			h->devs[i]->class->supply(h->devs[i]);
}

static void hub_init(struct model *m, unsigned int index, uint32_t hardware_id,
		     uint32_t firmware, uint32_t clock_hz, uint32_t latency_ns)
{
	struct hub *h = &m->hubs[index];

	h->m = m;
	h->index = index;
	h->hardware_id = hardware_id;
	h->revision = 0x0100;
	h->firmware = firmware;
	h->clock_hz = clock_hz;
	h->latency_ns = latency_ns;
	h->latency_ticks = latency_ns * (uint64_t)MODEL_ACQ_HZ / 1000000000u;
}

static int build_onix(struct model *m)
{
	unsigned int p;
	int rc;

	hub_init(m, 0, 1, 0x0200, MODEL_ACQ_HZ, 0);
	m->hubs[0].latency_ticks = HUB0_LATENCY_TICKS;
	m->hubs[0].reachable = 1;
	rc = hub_fill(&m->hubs[0], hub0_devs, HUB0_NDEVS);
	for (p = 0; p < PORTS && !rc; p++) {
		switch (m->cfg.headstage[p]) {
		case HEADSTAGE_64:
			hub_init(m, 1 + p, 2, 0x0100, 42000000, HUB_LATENCY_NS);
			rc = hub_fill(&m->hubs[1 + p], hs64_devs, ARRAY_LEN(hs64_devs));
			break;
		case HEADSTAGE_RHS2116:
			hub_init(m, 1 + p, 4, 0x0100, 50000000, HUB_LATENCY_NS);
			rc = hub_fill(&m->hubs[1 + p], rhs2116_devs, ARRAY_LEN(rhs2116_devs));
			break;
		case HEADSTAGE_NONE:
			break;
		}
	}
	if (!rc)
		hub_power_on(&m->hubs[0]);
	return rc;
}

/* Both hubs are on the board. Hardware ids: generation 3, Rhythm wrapper. */
static int build_acq(struct model *m)
{
	unsigned int i;
	int rc;

	hub_init(m, 0, 0x102, ACQ_FIRMWARE, MODEL_ACQ_HZ, 0);
	hub_init(m, 1, 0x101, ACQ_FIRMWARE, board_base_hz(m), 0);
	m->hubs[0].info_read = board_info_read;
	m->hubs[0].info_write = board_info_write;
	m->hubs[1].info_read = board_manager_read;
	m->hubs[1].info_write = board_manager_write;
	for (i = 0; i < 2; i++) {
		m->hubs[i].latency_ticks = HUB0_LATENCY_TICKS;
		m->hubs[i].reachable = 1;
	}
	rc = hub_fill(&m->hubs[0], acq0_devs, ARRAY_LEN(acq0_devs));
	if (!rc)
		rc = hub_fill(&m->hubs[1], acq1_devs, ARRAY_LEN(acq1_devs));
	if (rc)
		return rc;
	board_power_on(m);
	hub_power_on(&m->hubs[0]);
	hub_power_on(&m->hubs[1]);
	return 0;
}

/* Sources and devices are made on first use: they depend on model_set(). */
static int model_build(struct model *m)
{
	char err[64];
	int rc;

	if (m->built)
		return m->built > 0 ? 0 : -1;
	m->built = -1;		/* out of memory: no devices, now and later */
	if (source_defaults(m, err, sizeof(err)) < 0)
		return -1;
	rc = m->env.board == MODEL_BOARD_ACQ ? build_acq(m) : build_onix(m);
	if (rc < 0)
		return -1;
	m->built = 1;
	return 0;
}

unsigned int model_channels(const struct model *m)
{
	return m->env.board == MODEL_BOARD_ACQ ? ACQ_SOURCES : ONIX_SOURCES;
}

struct model *model_new(const struct model_env *env)
{
	struct model *m = calloc(1, sizeof(*m));
	unsigned int i;

	if (!m)
		return NULL;
	m->env = *env;
	m->log = env->stim;
	if (!m->log) {
		m->own_log = calloc(1, sizeof(*m->own_log));
		m->log = m->own_log;
	}
	if (!m->log) {
		free(m);
		return NULL;
	}
	m->cfg.seed = 1;
	m->cfg.headstage[0] = HEADSTAGE_64;
	m->cfg.lock_delay_ms = 100;
	m->cfg.digital_loopback = 1;
	m->cfg.hs64_unit_us = 1;
	m->cfg.electrode_ohms = 10000;
	m->cfg.chip[0] = CHIP_RHD2164;
	m->cfg.dac_bytes = 32;
	for (i = 0; i < ACQ_PORTS; i++)
		m->cfg.cable[i] = 5;
	return m;
}

static void hub_free(struct hub *h)
{
	unsigned int i;

	for (i = 0; i < h->ndevs; i++) {
		struct dev *d = h->devs[i];

		if (d && d->class->release)
			d->class->release(d);
		free(d);
	}
}

void model_power_off(struct model *m)
{
	unsigned int i;

	for (i = 1; m->built > 0 && i < ARRAY_LEN(m->hubs); i++)
		hub_power_off(&m->hubs[i]);
}

void model_free(struct model *m)
{
	unsigned int i;

	if (!m)
		return;
	model_power_off(m);
	for (i = 0; i < ARRAY_LEN(m->hubs); i++)
		hub_free(&m->hubs[i]);
	for (i = 0; i < SRC_MAX_CHANNELS; i++)
		source_put(m->sources[i]);
	truth_close(m->truth);
	if (m->own_log) {
		stim_log_free(m->own_log);
		free(m->own_log);
	}
	free(m);
}

/* ---- configuration ----------------------------------------------------- */
static int set_headstage(struct model *m, unsigned int port, const char *value)
{
	static const char *const names[] = {
		[HEADSTAGE_NONE] = "none", [HEADSTAGE_64] = "hs64",
		[HEADSTAGE_RHS2116] = "rhs2116",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(value, names[i]))
			continue;
		m->cfg.headstage[port] = (enum headstage)i;
		return 0;
	}
	return -1;
}

/* "LOCK-MAX" in volts, e.g. 5.5-9.0. */
static int set_window(struct model *m, unsigned int port, const char *value)
{
	char lock[16];
	size_t n = strcspn(value, "-");
	double lo, hi;

	if (!value[n] || n >= sizeof(lock))
		return -1;
	memcpy(lock, value, n);
	lock[n] = '\0';
	if (source_number(lock, 3.3, 11, &lo) || source_number(value + n + 1, lo, 11, &hi))
		return -1;
	m->cfg.lock_tenths[port] = (uint32_t)(lo * 10 + 0.5);
	m->cfg.over_tenths[port] = (uint32_t)(hi * 10 + 0.5);
	return 0;
}

static int set_seed(struct model *m, const char *value)
{
	char *end;

	errno = 0;
	m->cfg.seed = strtoull(value, &end, 0);
	return errno || end == value || *end ? -1 : 0;
}

/* How something is read that is not known. */
static int set_doubt(struct model *m, const char *key, int v)
{
	if (!strcmp(key, "hs64-period"))
		m->cfg.hs64_period = v;
	else if (!strcmp(key, "hs64-continuous"))
		m->cfg.hs64_continuous = v;
	else if (!strcmp(key, "rhs-disarm-cancels"))
		m->cfg.rhs_disarm_cancels = v;
	else if (!strcmp(key, "rhs-step-now"))
		m->cfg.rhs_step_now = v;
	else
		return -1;
	return 0;
}

static int set_number(struct model *m, const char *key, const char *value)
{
	double v;

	if (!strcmp(key, "hub-drift-ppm")) {
		if (source_number(value, -1000, 1000, &v))
			return -1;
		m->cfg.drift_ppb = (int64_t)(v * 1000 + (v < 0 ? -0.5 : 0.5));
		return 0;
	}
	if (source_number(value, 0, UINT32_MAX, &v))
		return -1;
	if (!strcmp(key, "lock-delay-ms"))
		m->cfg.lock_delay_ms = (uint32_t)v;
	else if (!strcmp(key, "harp-seconds"))
		m->cfg.harp_seconds = (uint32_t)v;
	else if (!strcmp(key, "por-enable") && v <= 1)
		m->cfg.por_enable = (int)v;
	else if (!strcmp(key, "digital-loopback") && v <= 1)
		m->cfg.digital_loopback = (int)v;
	else if (!strcmp(key, "left-driven") && v <= 1)
		m->cfg.left_driven = (int)v;
	else if (!strcmp(key, "dac-bytes") && (v == 16 || v == 32 || v == 64))
		m->cfg.dac_bytes = (uint32_t)v;
	else if (!strcmp(key, "electrode-ohms") && v <= 10000000)
		m->cfg.electrode_ohms = (uint32_t)v;
	else if (!strcmp(key, "hs64-unit-us") && (v == 1 || v == 10))
		m->cfg.hs64_unit_us = (uint32_t)v;
	else if (v <= 1)
		return set_doubt(m, key, (int)v);
	else
		return -1;
	return 0;
}

/* "port-X" and what follows it. */
static int set_port(struct model *m, const char *key, const char *value)
{
	unsigned int port = key[5] == 'a' ? 0 : 1;
	double v;

	if (!key[6])
		return set_headstage(m, port, value);
	if (!strcmp(key + 6, "-window"))
		return set_window(m, port, value);
	if (!strcmp(key + 6, "-drop-volts") && !source_number(value, 0, 11, &v)) {
		m->cfg.drop_tenths[port] = (uint32_t)(v * 10 + 0.5);
		return 0;
	}
	if (strcmp(key + 6, "-saved-volts") || source_number(value, 0, 11, &v))
		return -1;
	m->cfg.saved_tenths[port] = (uint32_t)(v * 10 + 0.5);
	return 0;
}

int model_set(struct model *m, const char *key, const char *value, char *err, size_t errlen)
{
	int rc;

	if (m->built)
		return model_error(err, errlen, "%s: the card is already powered, set it on the "
				   "command line", key);
	if (!strcmp(key, "source"))
		return source_assign(m, value, err, errlen);
	if (!strcmp(key, "spike-truth")) {
		truth_close(m->truth);
		m->truth = truth_open(value, err, errlen);
		return m->truth ? 0 : -1;
	}
	if (!strcmp(key, "stim-log")) {
		/* The log outlives the model, and so does its file. */
		if (!m->log->out)
			m->log->out = fopen(value, "w");
		if (!m->log->out)
			return model_error(err, errlen, "%s: %s", value, strerror(errno));
		return 0;
	}
	if (!strcmp(key, "seed"))
		rc = set_seed(m, value);
	else if (m->env.board == MODEL_BOARD_ACQ && !board_set(m, key, value))
		rc = 0;
	else if (!strncmp(key, "port-a", 6) || !strncmp(key, "port-b", 6))
		rc = set_port(m, key, value);
	else
		rc = set_number(m, key, value);
	if (rc)
		return model_error(err, errlen, "model option %s=%s is not understood, see --help",
				   key, value);
	return 0;
}

void model_help(FILE *out)
{
	fputs("  --model seed=N                 seed of everything random (1)\n"
	      "  --model port-a=KIND            none, hs64 or rhs2116 (port A hs64, B none)\n"
	      "  --model port-a-window=LO-HI    volts at the port: lock from LO, damage above HI\n"
	      "  --model port-a-saved-volts=V   voltage in the port's EEPROM, applied at power-on\n"
	      "  --model port-a-drop-volts=V    what the tether takes from it (0)\n"
	      "  --model lock-delay-ms=N        from voltage to link lock (100)\n"
	      "  --model hub-drift-ppm=X        headstage crystal against the card's clock (0)\n"
	      "  --model por-enable=0|1         ENABLE registers at power-on (0)\n"
	      "  --model digital-loopback=0|1   digital outputs wired to the inputs (1)\n"
	      "  --model harp-seconds=N         Harp time at counter zero (0)\n"
	      "  --model stim-log=FILE          write every current that an electrode got\n"
	      "  --model hs64-unit-us=1|10      unit of interphase and interpulse (1)\n"
	      "  --model hs64-period=0|1        interpulse is a period, not a pause (0)\n"
	      "  --model hs64-continuous=0|1    TRIGGER delivers until it is zero (0)\n"
	      "  --model rhs-disarm-cancels=0|1 disarming cancels a trigger that waits (0)\n"
	      "  --model rhs-step-now=0|1       STEPSZ acts at once, not at a reset (0)\n"
	      "  --model electrode-ohms=N       what DC channels of RHS2116 measure on (10000)\n"
	      "  --model spike-truth=FILE       write the times of the synthetic spikes\n"
	      "  --model chip-a1=KIND           Acquisition Board, a1 to d2: none, rhd2132,\n"
	      "                                 rhd2216, rhd2164 (a1 rhd2164, others none)\n"
	      "  --model cable-a=N              its right MISO delay, port a to d, 2 to 15 (5)\n"
	      "  --model left-driven=0|1        Acquisition Board: at power-on as other software\n"
	      "                                 left it, all that can drives its outputs (0)\n"
	      "  --model dac-bytes=16|32|64     of a frame to its analog outputs: gateware 1, 2,\n"
	      "                                 or one that nobody knows (32)\n"
	      "  --model source=CHANS=KIND      CHANS like 0-3,7 (ONIX: 64-127 is port B; board:\n"
	      "                                 64 per line, a1, a2, b1 ...), KIND is\n", out);
	source_help(out);
	fputs("  control socket: model digital toggle PIN | digital set MASK |\n"
	      "    digital button NAME | port a|b detach | port a|b attach |\n"
	      "    port a|b break | port a|b mend (the link; the headstage keeps its supply) |\n"
	      "    stim gpio a|b | stim sync a|b (a TTL at the headstage-rhs2116) |\n"
	      "    stim silent a|b (its next trigger acts and is not reported) |\n"
	      "    stim seqerror a|b (its first chip says SEQERROR and goes on);\n"
	      "    Acquisition Board: model ttl set MASK | ttl toggle PIN\n", out);
}

/* ---- device table and registers ---------------------------------------- */
size_t model_table(const struct model *m, struct model_dev *rows, size_t max)
{
	size_t n = 0;
	unsigned int h, i;

	for (h = 0; h < ARRAY_LEN(m->hubs); h++) {
		if (!m->hubs[h].in_table)
			continue;
		for (i = 0; i < m->hubs[h].ndevs && n < max; i++) {
			const struct dev *d = m->hubs[h].devs[i];

			rows[n] = (struct model_dev){ .addr = h << 8 | i };
			if (d && !d->hidden) {
				rows[n].id = d->class->id;
				rows[n].version = d->class->version;
				rows[n].read_size = d->read_size;
				rows[n].write_size = d->write_size;
			}
			n++;
		}
	}
	return n;
}

static void dev_start(struct dev *d)
{
	if (d->m->running && d->enabled && d->hub->reachable && d->class->schedule)
		d->class->schedule(d);
	else
		dev_due(d, CLOCK_NEVER);
}

void hub_restart(struct hub *h)
{
	unsigned int i;

	for (i = 0; i < h->ndevs; i++)
		if (h->devs[i])
			dev_start(h->devs[i]);
}

static void hub_reset(struct hub *h, int passthrough)
{
	unsigned int i;

	h->in_table = h->reachable && !passthrough;
	for (i = 0; i < h->ndevs; i++) {
		struct dev *d = h->devs[i];

		if (!d || !h->in_table)
			continue;
		regs_reset(d);
		if (d->class->reset)
			d->class->reset(d);
		dev_start(d);
	}
}

void model_reset(struct model *m, uint32_t flags)
{
	unsigned int i;

	/* Out of memory leaves an empty table, which the host reports. */
	if (model_build(m) < 0)
		return;
	m->flags = flags;
	if (m->env.board == MODEL_BOARD_ACQ)
		board_reset(m);
	for (i = 0; i < ARRAY_LEN(m->hubs); i++)
		hub_reset(&m->hubs[i], i > 0 && flags >> (2 * (i - 1)) & 1);
}

static struct hub *find_hub(struct model *m, uint32_t addr)
{
	if (addr >> 8 >= ARRAY_LEN(m->hubs) || model_build(m) < 0)
		return NULL;
	/* The controller's own hub answers even before the first reset. */
	if (addr >> 8 && !m->hubs[addr >> 8].in_table)
		return NULL;
	return m->hubs[addr >> 8].reachable ? &m->hubs[addr >> 8] : NULL;
}

static struct dev *find_dev(struct model *m, uint32_t addr)
{
	struct hub *h = find_hub(m, addr);
	struct dev *d = h && (addr & 0xff) < h->ndevs ? h->devs[addr & 0xff] : NULL;

	return d && !d->hidden ? d : NULL;
}

int model_reg_read(struct model *m, uint32_t addr, uint32_t reg, uint32_t *val)
{
	struct hub *h = find_hub(m, addr);
	struct dev *d = find_dev(m, addr);
	int rc = -1;

	if (h && (addr & 0xff) == DEV_INFO)
		rc = hub_info_read(h, reg, val);
	else if (d)
		rc = regs_read(d, reg, val);
	if (rc < 0)
		m->nacks++;
	return rc;
}

int model_reg_write(struct model *m, uint32_t addr, uint32_t reg, uint32_t val)
{
	struct hub *h = find_hub(m, addr);
	struct dev *d = find_dev(m, addr);
	int rc = -1;

	if (h && (addr & 0xff) == DEV_INFO)
		rc = h->info_write ? h->info_write(h, reg, val) : -1;
	else if (d)
		rc = regs_write(d, reg, val);
	if (rc < 0) {
		m->nacks++;
		return -1;
	}
	m->reg_writes++;
	return 0;
}

void model_write_frame(struct model *m, uint64_t clock, uint32_t addr, const uint32_t *payload,
		       size_t words)
{
	struct dev *d = find_dev(m, addr);
	size_t size = d ? d->write_size / 4 : 0, i;

	if (!size || !words || words % size) {
		m->bad_write_frames++;
		return;
	}
	m->write_frames++;
	for (i = 0; i < words; i += size)
		d->class->write_frame(d, clock, payload + i);
}

/* ---- time --------------------------------------------------------------- */
static void for_each_dev(struct model *m, void (*fn)(struct dev *d))
{
	unsigned int h, i;

	for (h = 0; h < ARRAY_LEN(m->hubs); h++)
		for (i = 0; i < m->hubs[h].ndevs; i++)
			if (m->hubs[h].devs[i])
				fn(m->hubs[h].devs[i]);
}

static void dev_begin_run(struct dev *d)
{
	if (d->class->begin_run)
		d->class->begin_run(d);
}

void model_run(struct model *m, int running)
{
	running = !!running;
	if (model_build(m) < 0 || running == m->running)
		return;
	m->running = running;
	if (running) {
		m->run++;
		truth_begin_run(m->truth);
		for_each_dev(m, dev_begin_run);
	}
	for_each_dev(m, dev_start);
}

void model_reset_counter(struct model *m)
{
	if (model_build(m) < 0)
		return;
	m->clock = 0;
	for_each_dev(m, dev_start);
}

static void dev_tick(struct dev *d)
{
	if (d->class->tick)
		d->class->tick(d, d->m->now_ns);
}

void model_tick(struct model *m, uint64_t now_ns)
{
	m->now_ns = now_ns;
	if (model_build(m) < 0)
		return;
	for_each_dev(m, dev_tick);
}

uint64_t model_next(const struct model *m)
{
	return m->heap_len ? m->heap[0]->due : CLOCK_NEVER;
}

uint64_t model_produce(struct model *m, uint64_t until, size_t max_bytes)
{
	m->emitted = 0;
	while (model_next(m) <= until) {
		struct dev *d = m->heap[0];

		m->clock = d->due;
		d->class->fire(d);
		if (m->emitted >= max_bytes)
			return m->clock;
	}
	if (until > m->clock)
		m->clock = until;
	return until;
}

/* ---- control socket ------------------------------------------------------ */
void model_status(const struct model *m, FILE *out, const char *prefix)
{
	unsigned int h, i;

	fprintf(out, "%srun %llu\n", prefix, (unsigned long long)m->run);
	fprintf(out, "%sclock %llu\n", prefix, (unsigned long long)m->clock);
	fprintf(out, "%sflags 0x%x\n", prefix, m->flags);
	fprintf(out, "%snacks %llu\n", prefix, (unsigned long long)m->nacks);
	fprintf(out, "%sreg_writes %llu\n", prefix, (unsigned long long)m->reg_writes);
	fprintf(out, "%swrite_frames %llu\n", prefix, (unsigned long long)m->write_frames);
	fprintf(out, "%sbad_write_frames %llu\n", prefix,
		(unsigned long long)m->bad_write_frames);
	fprintf(out, "%sovervoltage %llu\n", prefix, (unsigned long long)m->overvoltage);
	fprintf(out, "%sstim_writes %llu\n", prefix, (unsigned long long)m->stim.writes);
	fprintf(out, "%sstim_triggers %llu\n", prefix, (unsigned long long)m->stim.triggers);
	fprintf(out, "%sstim_phases %llu\n", prefix, (unsigned long long)m->log->phases);
	fprintf(out, "%sstim_last_addr 0x%03x\n", prefix, m->stim.addr);
	fprintf(out, "%sstim_last_reg 0x%x\n", prefix, m->stim.reg);
	fprintf(out, "%sstim_last_value 0x%x\n", prefix, m->stim.value);
	for (h = 0; h < ARRAY_LEN(m->hubs); h++)
		for (i = 0; i < m->hubs[h].ndevs; i++) {
			const struct dev *d = m->hubs[h].devs[i];

			if (d && d->class->status)
				d->class->status(d, out, prefix);
		}
}

void model_stim_electrodes(const struct model *m, FILE *out)
{
	stim_log_electrodes(m->log, out, m->now_ns);
}

void model_stim_phases(const struct model *m, FILE *out, uint64_t from)
{
	stim_log_phases(m->log, out, from);
}

int model_command(struct model *m, const char *line, char *err, size_t errlen)
{
	char verb[16], a[16], b[16], rest;
	int n = sscanf(line, "%15s %15s %15s %c", verb, a, b, &rest);

	if (model_build(m) < 0)
		return model_error(err, errlen, "out of memory");
	if (m->env.board == MODEL_BOARD_ACQ) {
		if (n == 3 && !strcmp(verb, "ttl"))
			return board_command(m, a, b, err, errlen);
		return model_error(err, errlen, "unknown model command: use ttl set MASK, "
				   "ttl toggle PIN");
	}
	if (n == 3 && !strcmp(verb, "digital"))
		return digital_command(m->hubs[0].devs[7], a, b, err, errlen);
	if (n == 3 && !strcmp(verb, "stim"))
		return stim_command(m, a, b, err, errlen);
	if (n == 3 && !strcmp(verb, "port"))
		return port_command(m, a, b, err, errlen);
	return model_error(err, errlen, "unknown model command: use digital toggle PIN, "
			   "digital set MASK, digital button NAME, port a|b detach|attach|"
			   "break|mend, stim gpio|sync|silent|seqerror a|b");
}

void model_flush(struct model *m)
{
	if (m->log->out && fflush(m->log->out))
		fprintf(stderr, "onisim: the stimulation log is incomplete: write failed\n");
	if (truth_flush(m->truth) < 0)
		fprintf(stderr, "onisim: the spike-truth file is incomplete: write failed\n");
}
