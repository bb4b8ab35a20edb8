// SPDX-License-Identifier: MIT
/*
 * dev_rhs2116.c - headstage-rhs2116: two RHS2116 chips (ID 31) and their trigger
 * (ID 32).
 *
 * Owns the registers, with the documented power-on values (the trigger is armed),
 * the delta tables, and a trigger that waits for its delay. Sequences are played
 * in real time into the log of the card, acquisition or not; frames are made in
 * acquisition time. Sources: ONIX datasheets, published table of raw defaults
 * (STEPSZ as printed there, 0x00A6), bonsai-onix1 for the offset of the managed
 * registers, the frame of the trigger and the step sizes.
 * Inferences, on the side that is worse for a subject: TRIGGER of a chip does not
 * ask whether the trigger device is armed; clearing TRIGGERARMED does not cancel a
 * trigger that waits (rhs-disarm-cancels); a host that writes STIMON and STIMPOL
 * switches current; STEPSZ acts at a reset as the datasheet says (rhs-step-now).
 * Not simulated: the 170 to 400 us that a register takes to reach the chip, skew
 * between the chips, the chip's own filters.
 */
#include <string.h>

#include "amp.h"
#include "stim_log.h"
#include "stim_seq.h"

#define HUB_TICKS	1656u	/* of 50 MHz, per sample */
#define CHANNELS	16u
#define MAGIC_A		0xaaaau
#define MAGIC_B		0x00ffu
#define DC_ZERO		512
#define DC_UV		19230
#define STEP_MAX_NA	10000u

enum {
	S_ENABLE, S_MAXDELTAS, S_NUMDELTAS, S_TIME, S_POLEN, S_SEQERROR, S_TRIGGER,
	S_FASTSETTLE, S_RESPECT, S_STIMENA, S_STIMENB, S_STEPSZ, S_STIMON, S_STIMPOL,
	S_NEG, S_POS = S_NEG + CHANNELS, S_OTHERS = S_POS + CHANNELS,
};

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
	[S_FASTSETTLE] = REG_RANGE(0x8007, RF_RW, 10, 0, 30),
	[S_RESPECT] = REG_MASK(0x8008, RF_RW, 1, 1),
	[S_STIMENA] = RAW(0x20, MAGIC_A),
	[S_STIMENB] = RAW(0x21, MAGIC_B),
	[S_STEPSZ] = RAW(0x22, 0x00a6),
	[S_STIMON] = RAW(0x2a, 0),
	[S_STIMPOL] = RAW(0x2c, 0),
	[S_NEG] = RAW4(0x40), RAW4(0x44), RAW4(0x48), RAW4(0x4c),
	[S_POS] = RAW4(0x60), RAW4(0x64), RAW4(0x68), RAW4(0x6c),
	[S_OTHERS] = RAW(0x00, 0x00c4), RAW(0x01, 0x058f), RAW(0x02, 0), RAW(0x03, 0),
	RAW(0x04, 0x0011), RAW(0x05, 0x0010), RAW(0x06, 0x3e10), RAW(0x07, 0x0011),
	RAW(0x08, 0xffff), RAW(0x0a, 0), RAW(0x0c, 0xffff),
	RAW(0x23, 0x00ee), RAW(0x24, 0), RAW(0x25, 0x0009), RAW(0x26, 0xffff),
	REG(0x28, RF_R, 0),			/* COMPLI: without function in the gateware */
	RAW(0x2e, 0), RAW(0x30, 0),
	REG(0x32, RF_R, 0),			/* FAULT: likewise */
};

_Static_assert(ARRAY_LEN(rhs_regs) <= DEV_MAX_REGS, "raise DEV_MAX_REGS");

struct rhs {
	struct dev dev;
	struct rhs_seq seq;
	uint64_t trigger;
	uint32_t electrode[CHANNELS];
	int64_t level[CHANNELS];		/* nA */
	int says_error;			/* until the next reset, whatever is true */
	uint64_t recovered_ns[CHANNELS];	/* end of the charge recovery */
	struct grid grid;
	uint64_t index;			/* next sample since the start of the run */
	struct amp amp;
};

/* A value that is not in the vendor's list may be anything: it counts as the largest. */
static uint32_t step_na(uint32_t reg)
{
	static const struct {
		uint16_t reg, na;
	} steps[] = {
		{ 0x69c0, 10 }, { 0x3428, 20 }, { 0x1440, 50 }, { 0x0a1e, 100 },
		{ 0x0519, 200 }, { 0x01e5, 500 }, { 0x00e2, 1000 }, { 0x005e, 2000 },
		{ 0x0026, 5000 }, { 0x000f, 10000 },
		{ 0x00a6, 5000 },	/* at power-on; by its comment */
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(steps); i++)
		if (steps[i].reg == reg)
			return steps[i].na;
	return STEP_MAX_NA;
}

static int64_t rhs_channel(const struct rhs *r, unsigned int ch)
{
	const struct dev *d = &r->dev;
	const uint32_t *step = d->m->cfg.rhs_step_now ? d->val : d->latched;

	if (r->seq.error || d->latched[S_STIMENA] != MAGIC_A || d->latched[S_STIMENB] != MAGIC_B)
		return 0;
	return rhs_level(r->seq.state, ch, d->val[S_POS + ch] & 0xff, d->val[S_NEG + ch] & 0xff,
			 step_na(step[S_STEPSZ]));
}

static void rhs_show(struct rhs *r, uint64_t now_ns, int cut)
{
	unsigned int ch;

	for (ch = 0; ch < CHANNELS; ch++) {
		int64_t level = rhs_channel(r, ch);

		if (r->level[ch] && !level)
			r->recovered_ns[ch] = now_ns +
				(uint64_t)r->dev.val[S_FASTSETTLE] * RHS_PERIOD_NS;
		r->level[ch] = level;
		stim_log_level(r->dev.m->log, r->electrode[ch], level, now_ns, r->trigger, cut);
	}
	r->dev.val[S_SEQERROR] = r->seq.error || r->says_error;
}

static void rhs_advance(struct rhs *r)
{
	uint64_t due;

	while ((due = rhs_seq_due(&r->seq)) <= r->dev.m->now_ns) {
		rhs_seq_step(&r->seq);
		rhs_show(r, due, 0);
	}
}

static void rhs_start(struct rhs *r, uint64_t now_ns, uint64_t trigger)
{
	if (r->seq.playing)
		return;
	r->trigger = trigger;
	rhs_seq_start(&r->seq, now_ns);
	rhs_advance(r);
}

static void rhs_tick(struct dev *d, uint64_t now_ns)
{
	(void)now_ns;
	rhs_advance((struct rhs *)d);
}

static void rhs_power_on(struct dev *d)
{
	struct rhs *r = (struct rhs *)d;
	unsigned int ch;

	for (ch = 0; ch < CHANNELS; ch++)
		r->electrode[ch] = stim_log_electrode(d->m->log, d->addr, ch, 1, 1, 0);
	/* RAM forgets what it held. */
	memset(&r->seq, 0, sizeof(r->seq));
	r->says_error = 0;
	memset(r->recovered_ns, 0, sizeof(r->recovered_ns));
}

static void rhs_power_off(struct dev *d)
{
	struct rhs *r = (struct rhs *)d;

	rhs_seq_stop(&r->seq);
	rhs_show(r, d->m->now_ns, 1);
}

/* Feeds are costly to make, so only for a chip that is used. */
static void rhs_reset(struct dev *d)
{
	struct rhs *r = (struct rhs *)d;
	unsigned int ch, first = (d->hub->index - 1) * RHD_CHANNELS + (d->addr & 0xff) * CHANNELS;

	rhs_seq_reset(&r->seq);
	r->says_error = 0;
	rhs_show(r, d->m->now_ns, 1);
	if (!d->enabled)
		return;
	if (amp_open(&r->amp, d->m, first, CHANNELS))
		d->enabled = 0;
	for (ch = 0; d->enabled && ch < CHANNELS; ch++)
		if (amp_use(&r->amp, ch))
			d->enabled = 0;
}

static void rhs_row(struct rhs *r)
{
	uint32_t where = r->dev.val[S_TIME];

	r->seq.time[where >> 22] = where & RHS_TIME_MASK;
	r->seq.polen[where >> 22] = r->dev.val[S_POLEN];
}

static void rhs_num(struct rhs *r)
{
	r->seq.num = r->dev.val[S_NUMDELTAS];
	if (!r->seq.num || (r->seq.playing && r->seq.next >= r->seq.num))
		rhs_seq_stop(&r->seq);
}

static int rhs_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	struct rhs *r = (struct rhs *)d;

	(void)old;
	stim_wrote(d, i);
	switch (i) {
	case S_NUMDELTAS:
		rhs_num(r);
		break;
	case S_POLEN:
		rhs_row(r);
		break;
	case S_TRIGGER:
		if (d->val[i] & 1 && r->seq.num) {
			d->m->stim.triggers++;
			rhs_start(r, d->m->now_ns, d->m->log->triggers++);
		}
		break;
	case S_STIMON:
	case S_STIMPOL:
		if (!r->seq.playing)
			r->seq.state = d->val[S_STIMPOL] << 16 | d->val[S_STIMON];
		break;
	}
	rhs_show(r, d->m->now_ns, 1);
	return 0;
}

/* ---- frames of a chip ------------------------------------------------------- */
static void rhs_begin_run(struct dev *d)
{
	struct rhs *r = (struct rhs *)d;

	r->index = 0;
	amp_rewind(&r->amp);
}

static void rhs_schedule(struct dev *d)
{
	struct rhs *r = (struct rhs *)d;
	uint64_t ppb = (uint64_t)(1000000000 + d->m->cfg.drift_ppb);

	/* 1656 ticks of 50 MHz are 8280 of 250 MHz, stretched by the hub's crystal. */
	grid_start(&r->grid, 8280ull * 1000000000ull, ppb, dev_sampled(d));
	dev_due(d, r->grid.t + d->hub->latency_ticks);
}

/* Voltage of the stimulation current in a resistor; inverting, 10 bits, clipped. */
static uint16_t rhs_dc(const struct rhs *r, unsigned int ch)
{
	int64_t uv = r->level[ch] * (int64_t)r->dev.m->cfg.electrode_ohms / 1000;
	int64_t code = DC_ZERO - uv / DC_UV;

	return (uint16_t)(code < 0 ? 0 : code > 1023 ? 1023 : code);
}

static void rhs_fire(struct dev *d)
{
	struct rhs *r = (struct rhs *)d;
	uint16_t recovering = 0;
	unsigned int ch;
	uint8_t *p;

	if (r->index % SRC_BLOCK == 0)
		amp_render(&r->amp, r->index);
	p = frame_begin(d, r->grid.j * HUB_TICKS);
	for (ch = 0; ch < CHANNELS; ch++) {
		put16(p + 2 * ch, amp_word(&r->amp, ch, r->index));
		put16(p + 2 * (CHANNELS + ch), rhs_dc(r, ch));
		if (r->recovered_ns[ch] > d->m->now_ns)
			recovering |= (uint16_t)(1u << ch);
	}
	put16(p + 4 * CHANNELS, recovering);
	frame_emit(d);
	amp_left(&r->amp, r->index, d->due);
	r->index++;
	grid_next(&r->grid);
	dev_due(d, r->grid.t + d->hub->latency_ticks);
}

static void rhs_release(struct dev *d)
{
	amp_release(&((struct rhs *)d)->amp);
}

static void rhs_status(const struct dev *d, FILE *out, const char *prefix)
{
	const struct rhs *r = (const struct rhs *)d;

	stim_status(d, out, prefix);
	fprintf(out, "%srhs.0x%03x.playing %d\n", prefix, d->addr, r->seq.playing);
	fprintf(out, "%srhs.0x%03x.samples %llu\n", prefix, d->addr,
		(unsigned long long)r->index);
	amp_status(&r->amp, out, prefix);
}

const struct dev_class class_rhs2116 = {
	.name = "rhs2116",
	.id = 31,
	.version = 3,
	.read_size = 8 + 4 * CHANNELS + 2,
	.size = sizeof(struct rhs),
	.regs = rhs_regs,
	.nregs = ARRAY_LEN(rhs_regs),
	.stimulator = 1,
	.power_on = rhs_power_on,
	.power_off = rhs_power_off,
	.reset = rhs_reset,
	.wrote = rhs_wrote,
	.begin_run = rhs_begin_run,
	.schedule = rhs_schedule,
	.fire = rhs_fire,
	.tick = rhs_tick,
	.status = rhs_status,
	.release = rhs_release,
};

/* ---- trigger ------------------------------------------------------------------ */
enum { T_ENABLE, T_SOURCE, T_TRIGGER, T_ARMED };
enum result { DELIVERED, DISARMED, BUSY };

#define EVENTS	16u

static const struct reg_def rhs_trigger_regs[] = {
	[T_ENABLE] = REG_ENABLE(0),
	[T_SOURCE] = REG_MASK(1, RF_RW, 0, 1),
	[T_TRIGGER] = REG(2, RF_W, 0),
	[T_ARMED] = REG_MASK(3, RF_RW, 1, 1),	/* armed at power-on */
};

struct rhs_trigger {
	struct dev dev;
	uint64_t waits_ns;		/* when a delayed trigger acts, or STIM_NEVER */
	uint64_t number;		/* of that trigger */
	uint32_t code[EVENTS];		/* frames to send, oldest first */
	unsigned int events;
	uint64_t lost;
	int silent;			/* about the next trigger */
};

static struct rhs *chip_of(const struct dev *d, unsigned int i)
{
	struct dev *chip = i < d->hub->ndevs ? d->hub->devs[i] : NULL;

	return chip && chip->class == &class_rhs2116 ? (struct rhs *)chip : NULL;
}

static int chips_busy(const struct dev *d)
{
	unsigned int i;

	for (i = 0; i < d->hub->ndevs; i++)
		if (chip_of(d, i) && chip_of(d, i)->seq.playing)
			return 1;
	return 0;
}

static void chips_start(struct dev *d, uint64_t now_ns, uint64_t number)
{
	unsigned int i;
	int any = 0;

	for (i = 0; i < d->hub->ndevs; i++) {
		struct rhs *r = chip_of(d, i);

		if (!r || !r->seq.num)
			continue;
		any = 1;
		rhs_start(r, now_ns, number);
	}
	d->m->stim.triggers += (uint64_t)any;
}

static void trigger_report(struct dev *d, uint32_t code)
{
	struct rhs_trigger *t = (struct rhs_trigger *)d;

	if (!d->m->running || !d->enabled)
		return;
	if (t->silent) {
		t->silent = 0;
		t->lost++;
		return;
	}
	if (t->events == EVENTS) {
		t->lost++;
		return;
	}
	t->code[t->events++] = code;
	if (d->due == CLOCK_NEVER)
		dev_due(d, d->m->clock + d->hub->latency_ticks);
}

/* Frame code: result, then origin, then delay in samples. */
void rhs_trigger(struct dev *d, enum stim_origin origin, uint32_t delay)
{
	struct rhs_trigger *t = (struct rhs_trigger *)d;
	enum result result = DELIVERED;

	/* Only the sync pin with source 1; everything but the sync pin with source 0. */
	if ((origin == STIM_FROM_SYNC) != (d->val[T_SOURCE] == 1))
		return;
	if (!d->val[T_ARMED])
		result = DISARMED;
	else if (chips_busy(d) || t->waits_ns != STIM_NEVER)
		result = BUSY;
	trigger_report(d, result | (uint32_t)origin << 2 | delay << 12);
	if (result != DELIVERED)
		return;
	t->number = d->m->log->triggers++;
	if (!delay)
		chips_start(d, d->m->now_ns, t->number);
	else
		t->waits_ns = d->m->now_ns + (uint64_t)delay * RHS_PERIOD_NS;
}

void rhs_ttl_gpio(struct dev *d)
{
	rhs_trigger(d, STIM_FROM_GPIO, 0);
}

void rhs_ttl_sync(struct dev *d)
{
	rhs_trigger(d, STIM_FROM_SYNC, 0);
}

/* It acts, and its frame is lost. */
void rhs_trigger_silent(struct dev *d)
{
	((struct rhs_trigger *)d)->silent = 1;
}

/*
 * What a sequencer that finds an error does to its outputs is not documented. One that
 * goes on is the worse one: it has to be stopped.
 */
void rhs_seqerror(struct dev *d)
{
	struct rhs *r = chip_of(d, 0);

	if (!r)
		return;
	r->says_error = 1;
	rhs_show(r, d->m->now_ns, 0);
}

static void rhs_trigger_tick(struct dev *d, uint64_t now_ns)
{
	struct rhs_trigger *t = (struct rhs_trigger *)d;
	uint64_t when = t->waits_ns;

	if (when > now_ns)
		return;
	t->waits_ns = STIM_NEVER;
	chips_start(d, when, t->number);
}

static int rhs_trigger_wrote(struct dev *d, unsigned int i, uint32_t old)
{
	struct rhs_trigger *t = (struct rhs_trigger *)d;

	(void)old;
	stim_wrote(d, i);
	if (i == T_TRIGGER && d->val[i] & 1)
		rhs_trigger(d, STIM_FROM_REGISTER, d->val[i] >> 12);
	if (i == T_ARMED && !d->val[i] && d->m->cfg.rhs_disarm_cancels)
		t->waits_ns = STIM_NEVER;
	return 0;
}

/* A reset does not come here: a trigger that waits survives it (inference). */
static void rhs_trigger_off(struct dev *d)
{
	struct rhs_trigger *t = (struct rhs_trigger *)d;

	t->waits_ns = STIM_NEVER;
	t->events = 0;
	t->silent = 0;
}

static void rhs_trigger_schedule(struct dev *d)
{
	((struct rhs_trigger *)d)->events = 0;
	dev_due(d, CLOCK_NEVER);
}

static void rhs_trigger_fire(struct dev *d)
{
	struct rhs_trigger *t = (struct rhs_trigger *)d;
	uint64_t ppb = (uint64_t)(1000000000 + d->m->cfg.drift_ppb);
	__extension__ unsigned __int128 clock = d->due - d->hub->latency_ticks;
	uint8_t *p = frame_begin(d, (uint64_t)(clock * ppb / 5 / 1000000000u));

	put32(p, t->code[0]);
	put16(p + 4, 0);
	frame_emit(d);
	t->events--;
	memmove(t->code, t->code + 1, t->events * sizeof(*t->code));
	dev_due(d, t->events ? d->due : CLOCK_NEVER);
}

static void rhs_trigger_status(const struct dev *d, FILE *out, const char *prefix)
{
	const struct rhs_trigger *t = (const struct rhs_trigger *)d;

	stim_status(d, out, prefix);
	fprintf(out, "%srhs.0x%03x.armed %u\n", prefix, d->addr, d->val[T_ARMED]);
	fprintf(out, "%srhs.0x%03x.waiting %d\n", prefix, d->addr, t->waits_ns != STIM_NEVER);
	fprintf(out, "%srhs.0x%03x.frames_lost %llu\n", prefix, d->addr,
		(unsigned long long)t->lost);
}

const struct dev_class class_rhs_trigger = {
	.name = "rhs2116-trigger",
	.id = 32,
	.version = 2,
	.read_size = 14,
	.size = sizeof(struct rhs_trigger),
	.regs = rhs_trigger_regs,
	.nregs = ARRAY_LEN(rhs_trigger_regs),
	.stimulator = 1,
	.power_on = rhs_trigger_off,
	.power_off = rhs_trigger_off,
	.gpo = rhs_ttl_gpio,
	.wrote = rhs_trigger_wrote,
	.schedule = rhs_trigger_schedule,
	.fire = rhs_trigger_fire,
	.tick = rhs_trigger_tick,
	.status = rhs_trigger_status,
};
