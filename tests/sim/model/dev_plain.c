// SPDX-License-Identifier: MIT
/*
 * dev_plain.c - devices that are register files so far: BNO055 (9), TS4231
 * array (25), headstage-64 electrical (4) and optical stimulator (5), RHS2116
 * (31) and its trigger (32).
 *
 * They appear in the device table with their sizes, hold the documented
 * power-on defaults and refuse what the datasheets call read only, but make no
 * frames and no current. Every write to a stimulator is recorded in
 * m->stim, and so is every access that would have started output, so that a
 * test can tell what reached the hardware.
 * Power-on values: ONIX datasheets of each device; RHS2116 raw defaults from its
 * published default table (STEPSZ as printed there, 0x00A6).
 */
#include "model_priv.h"

#define RF_RWR	(RF_RW | RF_REVERT)

/* ---- sensors --------------------------------------------------------- */
static const struct reg_def enable_only[] = { REG_ENABLE(0) };

const struct dev_class class_bno055 = {
	.name = "bno055",
	.id = 9,
	.version = 1,
	.read_size = 36,
	.size = sizeof(struct dev),
	.regs = enable_only,
	.nregs = ARRAY_LEN(enable_only),
};

const struct dev_class class_ts4231 = {
	.name = "ts4231",
	.id = 25,
	.version = 1,
	.read_size = 16,
	.size = sizeof(struct dev),
	.regs = enable_only,
	.nregs = ARRAY_LEN(enable_only),
};

/* ---- what every stimulator does -------------------------------------- */
static void stim_wrote(struct dev *d, unsigned int i)
{
	struct stim_log *s = &d->m->stim;

	s->writes++;
	s->addr = d->addr;
	s->reg = d->class->regs[i].reg;
	s->value = d->val[i];
}

static void stim_status(const struct dev *d, FILE *out, const char *prefix)
{
	fprintf(out, "%sstim.0x%03x.writes %llu\n", prefix, d->addr,
		(unsigned long long)d->reg_writes);
}

/* ---- headstage-64 electrical stimulator ------------------------------ */
enum { E_TRIGGER = 12, E_POWERON = 13, E_ENABLE = 14, E_MASTERRESET = 16 };

#define DAC_MID	0x8000u

static const struct reg_def estim_regs[] = {
	REG(0, RF_R, 0),
	REG(1, RF_RW, 1),			/* BIPHASIC */
	REG_MASK(2, RF_RW, DAC_MID, 0xffff),	/* CURRENT1 */
	REG_MASK(3, RF_RW, 0, 0xffff),		/* CURRENT2: 0 is -2.5 mA */
	REG(4, RF_RW, 100),			/* PULSEDUR1 */
	REG(5, RF_RW, 0),			/* INTERPHASE */
	REG(6, RF_RW, 100),			/* PULSEDUR2 */
	REG(7, RF_RW, 10000),			/* INTERPULSE */
	REG(8, RF_RW, 10),			/* BURSTCOUNT */
	REG(9, RF_RW, 0),			/* INTERBURST */
	REG(10, RF_RW, 1),			/* TRAINCOUNT */
	REG(11, RF_RW, 0),			/* TRAINDELAY */
	[E_TRIGGER] = REG(12, RF_RWR, 0),
	[E_POWERON] = REG(13, RF_RW, 0),
	[E_ENABLE] = REG(14, RF_RWR, 0),
	REG_MASK(15, RF_RW, DAC_MID, 0xffff),	/* RESTCURRENT */
	[E_MASTERRESET] = REG(16, RF_RW, 0),
	REG(17, RF_R, 16),			/* DACREZ */
};

static int estim_armed(const struct dev *d)
{
	return d->val[E_ENABLE] && d->val[E_POWERON];
}

static int estim_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	(void)old;
	stim_wrote(d, i);
	if (i == E_TRIGGER && d->val[i] && estim_armed(d))
		d->m->stim.triggers++;
	if (i == E_MASTERRESET && d->val[i] == 1)
		regs_power_on(d);
	return 0;
}

const struct dev_class class_estim = {
	.name = "estim",
	.id = 4,
	.version = 1,
	.size = sizeof(struct dev),
	.regs = estim_regs,
	.nregs = ARRAY_LEN(estim_regs),
	.stimulator = 1,
	.wrote = estim_wrote,
	.status = stim_status,
};

/* ---- headstage-64 optical stimulator --------------------------------- */
enum { O_TRIGGER = 9, O_ENABLE = 10 };

static const struct reg_def ostim_regs[] = {
	REG(0, RF_R, 0),
	REG_MASK(1, RF_RW, 200, 0xff),		/* MAXCURRENT */
	REG_MASK(2, RF_RW, 0xffff, 0xffff),	/* PULSEMASK */
	REG(3, RF_RW, 1000),			/* PULSEDUR */
	REG(4, RF_RW, 50000),			/* PULSEPERIOD */
	REG(5, RF_RW, 5),			/* BURSTCOUNT */
	REG(6, RF_RW, 1000000),			/* IBI */
	REG(7, RF_RW, 1),			/* TRAINCOUNT */
	REG(8, RF_RW, 0),			/* TRAINDELAY */
	[O_TRIGGER] = REG(9, RF_RWR, 0),
	[O_ENABLE] = REG(10, RF_RWR, 0),
	REG_MASK(11, RF_RW, 0, 0xffff),		/* RESTMASK */
	REG(12, RF_RW, 0),			/* RESET, not implemented */
	REG(13, RF_R, 590),			/* MINRHEOR, ohm */
	REG(14, RF_R, 100000),			/* POTRES, ohm */
};

static int ostim_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	(void)old;
	stim_wrote(d, i);
	if (i == O_TRIGGER && d->val[i] && d->val[O_ENABLE])
		d->m->stim.triggers++;
	return 0;
}

const struct dev_class class_ostim = {
	.name = "ostim",
	.id = 5,
	.version = 1,
	.size = sizeof(struct dev),
	.regs = ostim_regs,
	.nregs = ARRAY_LEN(ostim_regs),
	.stimulator = 1,
	.wrote = ostim_wrote,
	.status = stim_status,
};

/* ---- RHS2116 ---------------------------------------------------------- */
#define RHS_MAX_DELTAS	1024u

enum { S_ENABLE, S_MAXDELTAS, S_NUMDELTAS, S_TIME, S_POLEN, S_SEQERROR, S_TRIGGER };

#define RAW(r, p)	REG_MASK(r, RF_RW, p, 0xffff)
#define RAW4(r)		RAW(r, 0), RAW((r) + 1, 0), RAW((r) + 2, 0), RAW((r) + 3, 0)

static const struct reg_def rhs_regs[] = {
	[S_ENABLE] = REG_ENABLE(0x8000),
	[S_MAXDELTAS] = REG(0x8001, RF_R, RHS_MAX_DELTAS),
	[S_NUMDELTAS] = REG_RANGE(0x8002, RF_RW, 0, 0, RHS_MAX_DELTAS),
	[S_TIME] = REG(0x8003, RF_W, 0),
	[S_POLEN] = REG(0x8004, RF_W, 0),
	[S_SEQERROR] = REG(0x8005, RF_R, 0),
	[S_TRIGGER] = REG(0x8006, RF_W | RF_REVERT, 0),
	REG_RANGE(0x8007, RF_RW, 10, 0, 30),	/* FASTSETTLESAMPLES */
	REG_MASK(0x8008, RF_RW, 1, 1),		/* RESPECTSTIMACTIVE */
	RAW(0x00, 0x00c4), RAW(0x01, 0x058f), RAW(0x02, 0), RAW(0x03, 0),
	RAW(0x04, 0x0011), RAW(0x05, 0x0010), RAW(0x06, 0x3e10), RAW(0x07, 0x0011),
	RAW(0x08, 0xffff), RAW(0x0a, 0), RAW(0x0c, 0xffff),
	RAW(0x20, 0xaaaa), RAW(0x21, 0x00ff), RAW(0x22, 0x00a6), RAW(0x23, 0x00ee),
	RAW(0x24, 0), RAW(0x25, 0x0009), RAW(0x26, 0xffff),
	REG(0x28, RF_R, 0),			/* COMPLI: not implemented */
	RAW(0x2a, 0), RAW(0x2c, 0), RAW(0x2e, 0), RAW(0x30, 0),
	REG(0x32, RF_R, 0),			/* FAULT: not implemented */
	RAW4(0x40), RAW4(0x44), RAW4(0x48), RAW4(0x4c),
	RAW4(0x60), RAW4(0x64), RAW4(0x68), RAW4(0x6c),
};

_Static_assert(ARRAY_LEN(rhs_regs) <= DEV_MAX_REGS, "raise DEV_MAX_REGS");

static int rhs_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	(void)old;
	stim_wrote(d, i);
	if (i == S_TRIGGER && d->val[i] & 1 && d->val[S_NUMDELTAS])
		d->m->stim.triggers++;
	return 0;
}

const struct dev_class class_rhs2116 = {
	.name = "rhs2116",
	.id = 31,
	.version = 3,
	.read_size = 74,
	.size = sizeof(struct dev),
	.regs = rhs_regs,
	.nregs = ARRAY_LEN(rhs_regs),
	.stimulator = 1,
	.wrote = rhs_wrote,
	.status = stim_status,
};

/* ---- RHS2116 trigger --------------------------------------------------- */
enum { T_ENABLE, T_SOURCE, T_TRIGGER, T_ARMED };

static const struct reg_def rhs_trigger_regs[] = {
	[T_ENABLE] = REG_ENABLE(0),
	[T_SOURCE] = REG_MASK(1, RF_RW, 0, 1),
	[T_TRIGGER] = REG(2, RF_W, 0),
	[T_ARMED] = REG_MASK(3, RF_RW, 1, 1),	/* armed at power-on */
};

/* A trigger reaches both chips; one with a loaded sequence starts output. */
static void rhs_trigger_fire(struct dev *d)
{
	unsigned int i;

	if (!d->val[T_ARMED] || d->val[T_SOURCE])
		return;
	for (i = 0; i < d->hub->ndevs; i++) {
		struct dev *chip = d->hub->devs[i];

		if (chip && chip->class == &class_rhs2116 && chip->val[S_NUMDELTAS]) {
			d->m->stim.triggers++;
			return;
		}
	}
}

static int rhs_trigger_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	(void)old;
	stim_wrote(d, i);
	if (i == T_TRIGGER && d->val[i] & 1)
		rhs_trigger_fire(d);
	return 0;
}

const struct dev_class class_rhs_trigger = {
	.name = "rhs2116-trigger",
	.id = 32,
	.version = 2,
	.read_size = 14,
	.size = sizeof(struct dev),
	.regs = rhs_trigger_regs,
	.nregs = ARRAY_LEN(rhs_trigger_regs),
	.stimulator = 1,
	.wrote = rhs_trigger_wrote,
	.status = stim_status,
};

void stim_gpo_trigger(struct hub *h)
{
	unsigned int i;

	if (!h->reachable)
		return;
	for (i = 0; i < h->ndevs; i++) {
		struct dev *d = h->devs[i];

		if (!d)
			continue;
		if (d->class == &class_rhs_trigger)
			rhs_trigger_fire(d);
		else if ((d->class == &class_estim && estim_armed(d)) ||
			 (d->class == &class_ostim && d->val[O_ENABLE]))
			h->m->stim.triggers++;
	}
}
