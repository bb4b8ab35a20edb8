// SPDX-License-Identifier: MIT
/*
 * dev_hs64_stim.c - headstage-64: electrical (ID 4) and optical stimulator (ID 5).
 *
 * Owns their registers, with the documented power-on values (CURRENT2 is 0, which
 * is -2.5 mA), and plays trains in real time into the log of the card. Parameters
 * act at once, durations when the next part of a pulse begins. Sources: ONIX
 * datasheets; bonsai-onix1 for the units, which are in doubt (hs64-unit-us,
 * hs64-period), and for the current of the LED driver.
 * Inferences, on the side that is worse for a subject: a train that runs goes on
 * when ENABLE is cleared or the controller is reset (POWERON ends it); a trigger
 * meanwhile does nothing; the electrode is shorted outside pulses, but the
 * resting current flows between phases. Below 5.5 V at the headstage positive
 * currents are too small in proportion, which is how an imbalance is made here;
 * the datasheet only says that amplitudes are wrong.
 */
#include <math.h>

#include "model_priv.h"
#include "stim_log.h"
#include "stim_seq.h"

#define RF_RWR		(RF_RW | RF_REVERT)
#define SUPPLY_TENTHS	55u	/* needed at the headstage */

/* Runs on one sequencer; level() says what its outputs put out. */
struct pulser {
	struct dev dev;
	struct pulse_seq seq;
	uint64_t trigger;
	uint32_t electrode[2];
};

struct pulser_ops {
	unsigned int outputs;
	int64_t (*level)(const struct pulser *p, unsigned int output);
	struct pulse_params (*params)(const struct dev *d);
};

static void pulser_show(struct pulser *p, const struct pulser_ops *ops, uint64_t now_ns, int cut)
{
	unsigned int i;

	for (i = 0; i < ops->outputs; i++)
		stim_log_level(p->dev.m->log, p->electrode[i], ops->level(p, i), now_ns,
			       p->trigger, cut);
}

static void pulser_advance(struct pulser *p, const struct pulser_ops *ops)
{
	uint64_t due;

	while ((due = pulse_seq_due(&p->seq)) <= p->dev.m->now_ns) {
		struct pulse_params params = ops->params(&p->dev);

		pulse_seq_step(&p->seq, &params);
		pulser_show(p, ops, due, 0);
	}
}

static void pulser_start(struct pulser *p, const struct pulser_ops *ops, uint64_t now_ns)
{
	struct pulse_params params = ops->params(&p->dev);

	p->dev.m->stim.triggers++;
	if (p->seq.state != PULSE_IDLE)
		return;
	p->trigger = p->dev.m->log->triggers++;
	pulse_seq_start(&p->seq, &params, now_ns);
	pulser_advance(p, ops);
}

/* ---- electrical --------------------------------------------------------- */
enum {
	E_NULL, E_BIPHASIC, E_CURRENT1, E_CURRENT2, E_PULSEDUR1, E_INTERPHASE, E_PULSEDUR2,
	E_INTERPULSE, E_BURSTCOUNT, E_INTERBURST, E_TRAINCOUNT, E_TRAINDELAY, E_TRIGGER,
	E_POWERON, E_ENABLE, E_RESTCURRENT, E_MASTERRESET, E_DACREZ,
};

#define DAC_MID	0x8000u

static const struct reg_def estim_regs[] = {
	[E_NULL] = REG(0, RF_R, 0),
	[E_BIPHASIC] = REG(1, RF_RW, 1),
	[E_CURRENT1] = REG_MASK(2, RF_RW, DAC_MID, 0xffff),
	[E_CURRENT2] = REG_MASK(3, RF_RW, 0, 0xffff),	/* -2.5 mA */
	[E_PULSEDUR1] = REG(4, RF_RW, 100),
	[E_INTERPHASE] = REG(5, RF_RW, 0),
	[E_PULSEDUR2] = REG(6, RF_RW, 100),
	[E_INTERPULSE] = REG(7, RF_RW, 10000),
	[E_BURSTCOUNT] = REG(8, RF_RW, 10),
	[E_INTERBURST] = REG(9, RF_RW, 0),
	[E_TRAINCOUNT] = REG(10, RF_RW, 1),
	[E_TRAINDELAY] = REG(11, RF_RW, 0),
	[E_TRIGGER] = REG(12, RF_RWR, 0),
	[E_POWERON] = REG(13, RF_RW, 0),
	[E_ENABLE] = REG(14, RF_RWR, 0),
	[E_RESTCURRENT] = REG_MASK(15, RF_RW, DAC_MID, 0xffff),
	[E_MASTERRESET] = REG(16, RF_RW, 0),
	[E_DACREZ] = REG(17, RF_R, 16),
};

static struct pulse_params estim_params(const struct dev *d)
{
	const uint32_t *v = d->val;
	uint64_t unit_ns = d->m->cfg.hs64_unit_us * 1000ull;

	/* BIPHASIC is ignored, as a comment in the vendor's software says. */
	return (struct pulse_params){
		.delay_ns = v[E_TRAINDELAY] * 1000ull, .phase1_ns = v[E_PULSEDUR1] * 1000ull,
		.between_ns = v[E_INTERPHASE] * unit_ns, .phase2_ns = v[E_PULSEDUR2] * 1000ull,
		.interpulse_ns = v[E_INTERPULSE] * unit_ns, .period = d->m->cfg.hs64_period,
		.interburst_ns = v[E_INTERBURST] * 1000ull, .pulses = v[E_BURSTCOUNT],
		.bursts = v[E_TRAINCOUNT],
	};
}

static int64_t estim_level(const struct pulser *p, unsigned int output)
{
	const uint32_t *v = p->dev.val;
	uint32_t supply = port_headstage_tenths(p->dev.hub);
	int64_t level;

	(void)output;
	if (!v[E_POWERON])
		return 0;
	level = pulse_level(p->seq.state, v[E_CURRENT1], v[E_RESTCURRENT], v[E_CURRENT2]);
	if (level > 0 && supply < SUPPLY_TENTHS)
		level = level * supply / SUPPLY_TENTHS;
	return level;
}

static const struct pulser_ops estim_ops = { 1, estim_level, estim_params };

static void estim_trigger(struct dev *d)
{
	if (d->val[E_ENABLE] && d->val[E_POWERON])
		pulser_start((struct pulser *)d, &estim_ops, d->m->now_ns);
}

static void estim_tick(struct dev *d, uint64_t now_ns)
{
	struct pulser *p = (struct pulser *)d;

	(void)now_ns;
	pulser_advance(p, &estim_ops);
	/* The other reading of TRIGGER: deliver until it is zero. */
	if (d->m->cfg.hs64_continuous && d->val[E_TRIGGER] && p->seq.state == PULSE_IDLE)
		estim_trigger(d);
}

static void estim_changed(struct dev *d)
{
	pulser_show((struct pulser *)d, &estim_ops, d->m->now_ns, 1);
}

static void estim_stop(struct dev *d)
{
	pulse_seq_stop(&((struct pulser *)d)->seq);
	estim_changed(d);
}

static void estim_power_on(struct dev *d)
{
	struct pulser *p = (struct pulser *)d;

	p->electrode[0] = stim_log_electrode(d->m->log, d->addr, 0, PULSE_NUM, PULSE_DEN, 0);
	pulse_seq_stop(&p->seq);
}

static int estim_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	(void)old;
	stim_wrote(d, i);
	if (i == E_TRIGGER && d->val[i])
		estim_trigger(d);
	if (i == E_MASTERRESET && d->val[i] == 1) {
		regs_power_on(d);
		pulse_seq_stop(&((struct pulser *)d)->seq);
	}
	estim_changed(d);
	return 0;
}

const struct dev_class class_estim = {
	.name = "estim",
	.id = 4,
	.version = 1,
	.size = sizeof(struct pulser),
	.regs = estim_regs,
	.nregs = ARRAY_LEN(estim_regs),
	.stimulator = 1,
	.power_on = estim_power_on,
	.power_off = estim_stop,
	.supply = estim_changed,
	.gpo = estim_trigger,
	.wrote = estim_wrote,
	.tick = estim_tick,
	.status = stim_status,
};

/* ---- optical -------------------------------------------------------------- */
enum {
	O_NULL, O_MAXCURRENT, O_PULSEMASK, O_PULSEDUR, O_PULSEPERIOD, O_BURSTCOUNT, O_IBI,
	O_TRAINCOUNT, O_TRAINDELAY, O_TRIGGER, O_ENABLE, O_RESTMASK, O_RESET, O_MINRHEOR,
	O_POTRES,
};

static const struct reg_def ostim_regs[] = {
	[O_NULL] = REG(0, RF_R, 0),
	[O_MAXCURRENT] = REG_MASK(1, RF_RW, 200, 0xff),
	[O_PULSEMASK] = REG_MASK(2, RF_RW, 0xffff, 0xffff),
	[O_PULSEDUR] = REG(3, RF_RW, 1000),
	[O_PULSEPERIOD] = REG(4, RF_RW, 50000),
	[O_BURSTCOUNT] = REG(5, RF_RW, 5),
	[O_IBI] = REG(6, RF_RW, 1000000),
	[O_TRAINCOUNT] = REG(7, RF_RW, 1),		/* 0: without end */
	[O_TRAINDELAY] = REG(8, RF_RW, 0),
	[O_TRIGGER] = REG(9, RF_RWR, 0),
	[O_ENABLE] = REG(10, RF_RWR, 0),
	[O_RESTMASK] = REG_MASK(11, RF_RW, 0, 0xffff),
	[O_RESET] = REG(12, RF_RW, 0),			/* without function in the gateware */
	[O_MINRHEOR] = REG(13, RF_R, 590),		/* ohm */
	[O_POTRES] = REG(14, RF_R, 100000),		/* ohm */
};

static struct pulse_params ostim_params(const struct dev *d)
{
	const uint32_t *v = d->val;

	return (struct pulse_params){
		.delay_ns = v[O_TRAINDELAY] * 1000ull, .phase1_ns = v[O_PULSEDUR] * 1000ull,
		.interpulse_ns = v[O_PULSEPERIOD] * 1000ull, .period = 1,
		.interburst_ns = v[O_IBI] * 1000ull, .pulses = v[O_BURSTCOUNT],
		.bursts = v[O_TRAINCOUNT],
	};
}

/* uA; each of the eight bits of an output adds an eighth. Fit of the driver's current. */
static int64_t ostim_level(const struct pulser *p, unsigned int output)
{
	const uint32_t *v = p->dev.val;
	uint32_t mask = v[p->seq.state == PULSE_PHASE1 ? O_PULSEMASK : O_RESTMASK];
	double ohm = 590 + 100000.0 * v[O_MAXCURRENT] / 256;
	int64_t most = llround(3.833e8 * pow(ohm, -0.9632));

	if (!port_headstage_tenths(p->dev.hub))
		return 0;
	return most * __builtin_popcount(mask >> (8 * output) & 0xff) / 8;
}

static const struct pulser_ops ostim_ops = { 2, ostim_level, ostim_params };

static void ostim_trigger(struct dev *d)
{
	if (d->val[O_ENABLE])
		pulser_start((struct pulser *)d, &ostim_ops, d->m->now_ns);
}

static void ostim_tick(struct dev *d, uint64_t now_ns)
{
	(void)now_ns;
	pulser_advance((struct pulser *)d, &ostim_ops);
}

static void ostim_changed(struct dev *d)
{
	pulser_show((struct pulser *)d, &ostim_ops, d->m->now_ns, 1);
}

static void ostim_stop(struct dev *d)
{
	struct pulser *p = (struct pulser *)d;
	unsigned int i;

	pulse_seq_stop(&p->seq);
	for (i = 0; i < 2; i++)
		stim_log_level(d->m->log, p->electrode[i], 0, d->m->now_ns, p->trigger, 1);
}

static void ostim_power_on(struct dev *d)
{
	struct pulser *p = (struct pulser *)d;
	unsigned int i;

	for (i = 0; i < 2; i++)
		p->electrode[i] = stim_log_electrode(d->m->log, d->addr, i, 1000, 1, 1);
	pulse_seq_stop(&p->seq);
}

static int ostim_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	(void)old;
	stim_wrote(d, i);
	if (i == O_TRIGGER && d->val[i])
		ostim_trigger(d);
	ostim_changed(d);
	return 0;
}

const struct dev_class class_ostim = {
	.name = "ostim",
	.id = 5,
	.version = 1,
	.size = sizeof(struct pulser),
	.regs = ostim_regs,
	.nregs = ARRAY_LEN(ostim_regs),
	.stimulator = 1,
	.power_on = ostim_power_on,
	.power_off = ostim_stop,
	.gpo = ostim_trigger,
	.wrote = ostim_wrote,
	.tick = ostim_tick,
	.status = stim_status,
};
