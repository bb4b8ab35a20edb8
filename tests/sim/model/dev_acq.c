// SPDX-License-Identifier: MIT
/*
 * dev_acq.c - the small devices of an Acquisition Board: TTL outputs (0x10002),
 * analog outputs (0x10003), Harp time next to the Rhythm (0x10004), and per port
 * in I2C mode a BNO055 (9) and a raw I2C bus (34).
 *
 * Owns nothing but registers; outputs are in m->acq, where the Rhythm shows them. In
 * its power-on mode a TTL frame waits for the next sample of the Rhythm.
 * Inferred: the id of the analog outputs (one host names that of the TTL outputs
 * for both), a write size of 32 bytes as gateware 2 software has it (gateware 1: four
 * words with a code each), versions, and
 * that a port without a headstage has no BNO055 and answers no I2C access.
 */
#include "model_priv.h"

#define ANALOG_OUTPUTS	16u

/* ---- TTL outputs ------------------------------------------------------- */
enum { T_ENABLE, T_MODE };

static const struct reg_def ttl_regs[] = {
	[T_ENABLE] = REG_ENABLE(0),
	[T_MODE] = REG_RANGE(1, RF_RW, 0, 0, 1),	/* 1: at once */
};

static void ttl_write_frame(struct dev *d, uint64_t clock, const uint32_t *w)
{
	struct acq_state *a = &d->m->acq;

	(void)clock;
	a->ttl_waits = !d->val[T_MODE];
	a->ttl_next = w[0] & 0xffff;
	if (!a->ttl_waits)
		a->ttl_out = a->ttl_next;
}

static void ttl_status(const struct dev *d, FILE *out, const char *prefix)
{
	fprintf(out, "%sttl.in 0x%04x\n", prefix, board_ttl_in(d->m));
	fprintf(out, "%sttl.out 0x%04x\n", prefix, d->m->acq.ttl_out);
	fprintf(out, "%sttl.mode %u\n", prefix, d->val[T_MODE]);
}

const struct dev_class class_ttl_out = {
	.name = "ttl-out",
	.id = 0x10002,
	.version = 1,
	.write_size = 4,
	.size = sizeof(struct dev),
	.regs = ttl_regs,
	.nregs = ARRAY_LEN(ttl_regs),
	.write_frame = ttl_write_frame,
	.status = ttl_status,
};

/* ---- analog outputs ---------------------------------------------------- */
static const struct reg_def analog_regs[] = { REG_ENABLE(0) };

static void analog_write_frame(struct dev *d, uint64_t clock, const uint32_t *w)
{
	unsigned int i;

	(void)clock;
	for (i = 0; i < ANALOG_OUTPUTS && d->write_size >= 2 * ANALOG_OUTPUTS; i++)
		d->m->acq.dac[i] = (uint16_t)(w[i / 2] >> (i & 1 ? 16 : 0));
	for (i = 0; i < d->write_size / 4 && d->write_size < 2 * ANALOG_OUTPUTS; i++)
		d->m->acq.dac[i] = (uint16_t)w[i];
}

static void analog_power_on(struct dev *d)
{
	d->write_size = d->m->cfg.dac_bytes;
}

static void analog_status(const struct dev *d, FILE *out, const char *prefix)
{
	unsigned int i;

	for (i = 0; i < ANALOG_OUTPUTS; i++)
		fprintf(out, "%sdac.%u %u\n", prefix, i, d->m->acq.dac[i]);
}

const struct dev_class class_analog_out = {
	.name = "analog-out",
	.id = 0x10003,
	.version = 1,
	.write_size = 2 * ANALOG_OUTPUTS,
	.size = sizeof(struct dev),
	.regs = analog_regs,
	.nregs = ARRAY_LEN(analog_regs),
	.power_on = analog_power_on,
	.write_frame = analog_write_frame,
	.status = analog_status,
};

/* ---- Harp time --------------------------------------------------------- */
static const struct reg_def harp_regs[] = { REG_ENABLE(0) };

struct harp {
	struct dev dev;
	struct grid grid;
};

/* Hub clock of an acquisition clock; the Harp clock runs with the latter. */
static uint64_t hub_ticks(const struct model *m, uint64_t clock)
{
	__extension__ typedef unsigned __int128 u128;

	return (uint64_t)((u128)clock * board_base_hz(m) / board_divisor(m) / MODEL_ACQ_HZ);
}

static void harp_schedule(struct dev *d)
{
	struct harp *h = (struct harp *)d;

	grid_start(&h->grid, MODEL_ACQ_HZ, 1, dev_sampled(d));
	dev_due(d, h->grid.t + d->hub->latency_ticks);
}

static void harp_fire(struct dev *d)
{
	struct harp *h = (struct harp *)d;
	uint8_t *p = frame_begin(d, hub_ticks(d->m, h->grid.t));

	put32(p, d->m->acq.sample);
	put32(p + 4, d->m->cfg.harp_seconds + (uint32_t)h->grid.j);
	frame_emit(d);
	grid_next(&h->grid);
	dev_due(d, h->grid.t + d->hub->latency_ticks);
}

const struct dev_class class_harp_rhythm = {
	.name = "harp-rhythm",
	.id = 0x10004,
	.version = 1,
	.read_size = 16,
	.size = sizeof(struct harp),
	.regs = harp_regs,
	.nregs = ARRAY_LEN(harp_regs),
	.schedule = harp_schedule,
	.fire = harp_fire,
};

/* ---- a port in I2C mode ------------------------------------------------- */
static const struct reg_def bno_regs[] = {
	REG_ENABLE(0),
	REG_MASK(1, RF_RW, 0, 0xffff),	/* AXIS_MAP */
	REG(2, RF_R, 0),		/* STATUS: absent */
};

const struct dev_class class_bno055_acq = {
	.name = "bno055",
	.id = 9,
	.version = 1,
	.read_size = 36,
	.size = sizeof(struct dev),
	.regs = bno_regs,
	.nregs = ARRAY_LEN(bno_regs),
};

static const struct reg_def i2c_regs[] = {
	REG_ENABLE(0x8000),
	REG(0x8001, RF_R, 1),		/* BUS_READY */
};

const struct dev_class class_raw_i2c = {
	.name = "raw-i2c",
	.id = 34,
	.version = 1,
	.size = sizeof(struct dev),
	.regs = i2c_regs,
	.nregs = ARRAY_LEN(i2c_regs),
};
