// SPDX-License-Identifier: MIT
/*
 * dev_rhythm.c - Rhythm, the SPI engine for RHD2000 chips, ID 0x10001 (hub 1,
 * index 1).
 *
 * Owns the auxiliary command memory, the chips on the eight MISO lines and the
 * electrodes behind them. Per sample every chip gets 32 CONVERT commands and one
 * command from each of three auxiliary lists. A sample takes 2800 ticks of the
 * hub clock, which is what the sample rate is set by (acq_hub.c).
 *
 * Frame: hub clock, magic, sample number, 3 auxiliary words per stream, 32
 * channels by stream, one filler per stream, 8 ADC words, TTL in, TTL out.
 * Source: acquisition-board plugin, bonsai-acquisition-board. The auxiliary words
 * of a sample are the results of the commands of the sample before (follows from
 * how host software finds the auxiliary inputs).
 * Inferred: command memory cannot be read; the engine runs from a start until
 * MAX_TIMESTEP samples are out; DATA_STREAM_SEL acts at once, DATA_STREAM_EN at
 * reset as it is what the frame size depends on; a second edge of a line with one
 * data line reads zero. Not simulated: DACs that follow a channel, thresholds,
 * the board's own high-pass filter, digital outputs of the headstages.
 */
#include <string.h>

#include "amp.h"
#include "rhd_chip.h"

#define TICKS		2800u	/* of the hub clock, per sample */
#define MAGIC		0xc691199927021942ull
#define STREAMS		16u
#define CHANNELS	32u	/* per stream */
#define SLOTS		3u
#define BANKS		16u
#define COMMANDS	1024u
#define RAM_BASE	0x4000u
#define ADCS		8u
#define DACS		8u

#define MODE_CONTINUOUS	0x02u
#define MODE_DSP_SETTLE	0x04u
#define MODE_TTL_DAC	0x08u
#define MODE_LEDS	0x10u

enum {
	R_ENABLE, R_MODE, R_MAX_TIMESTEP, R_DELAY, R_BANK, R_MAX_INDEX = R_BANK + 3,
	R_LOOP_INDEX = R_MAX_INDEX + 3, R_STREAM_SEL = R_LOOP_INDEX + 3,
	R_STREAM_EN = R_STREAM_SEL + 2, R_FAST_SETTLE, R_DIGOUT,
	R_CLKOUT = R_DIGOUT + 4, R_DAC_CTL, R_DAC_SEL, R_DAC_THRESH = R_DAC_SEL + 8,
	R_HPF = R_DAC_THRESH + 8, R_SPI_RUNNING, R_COUNT
};

#define RW(r, mask)	REG_MASK(r, RF_RW, 0, mask)

static const struct reg_def regs[] = {
	[R_ENABLE] = REG_ENABLE(0),
	[R_MODE] = RW(1, 0x1e),
	[R_MAX_TIMESTEP] = RW(2, UINT32_MAX),
	[R_DELAY] = RW(3, 0xffff),
	RW(4, 0xffff), RW(5, 0xffff), RW(6, 0xffff),		/* AUXCMD_BANK */
	RW(7, 0x3ff), RW(8, 0x3ff), RW(9, 0x3ff),		/* MAX_AUXCMD_INDEX */
	RW(10, 0x3ff), RW(11, 0x3ff), RW(12, 0x3ff),		/* LOOP_AUXCMD_INDEX */
	RW(13, UINT32_MAX), RW(14, UINT32_MAX),			/* DATA_STREAM_SEL */
	[R_STREAM_EN] = RW(15, 0xffff),
	[R_FAST_SETTLE] = RW(16, 0x1f),
	RW(17, 0x1f), RW(18, 0x1f), RW(19, 0x1f), RW(20, 0x1f),	/* EXT_DIGOUT */
	[R_CLKOUT] = RW(21, UINT32_MAX),
	[R_DAC_CTL] = RW(22, 0x3ff),
	RW(23, 0x7ff), RW(24, 0x7ff), RW(25, 0x7ff), RW(26, 0x7ff),	/* DAC_SEL */
	RW(27, 0x7ff), RW(28, 0x7ff), RW(29, 0x7ff), RW(30, 0x7ff),
	RW(31, 0x1ffff), RW(32, 0x1ffff), RW(33, 0x1ffff), RW(34, 0x1ffff),
	RW(35, 0x1ffff), RW(36, 0x1ffff), RW(37, 0x1ffff), RW(38, 0x1ffff),
	[R_HPF] = RW(39, 0x1ffff),
	[R_SPI_RUNNING] = REG(40, RF_R, 0),
};

_Static_assert(ARRAY_LEN(regs) == R_COUNT, "a register is missing");

struct rhythm {
	struct dev dev;
	struct grid grid;
	struct amp amp;
	struct rhd_chip chip[ACQ_LINES];
	struct rhd_result aux[ACQ_LINES][SLOTS];	/* of the sample before */
	uint32_t index[SLOTS];
	int running;
	unsigned int streams;			/* as of the last reset */
	uint8_t stream[STREAMS];		/* numbers of the enabled ones */
	uint16_t ram[SLOTS][BANKS][COMMANDS];
};

/* ---- command memory ------------------------------------------------------ */
static int rhythm_write_beyond(struct dev *d, uint32_t reg, uint32_t val)
{
	struct rhythm *r = (struct rhythm *)d;
	uint32_t at = reg - RAM_BASE;

	if (reg < RAM_BASE || at >> 14 >= SLOTS || val > 0xffff)
		return -1;
	r->ram[at >> 14][at >> 10 & (BANKS - 1)][at & (COMMANDS - 1)] = (uint16_t)val;
	return 0;
}

/* ---- streams --------------------------------------------------------------- */
/* What stream @n is fed by: bits 2:0 the line, bit 3 its second edge. */
static unsigned int stream_source(const struct dev *d, unsigned int n)
{
	return d->val[R_STREAM_SEL + n / 8] >> 4 * (n % 8) & 0xf;
}

/* Sources can be chosen while running, so every channel of a chip is opened. */
static void open_chips(struct rhythm *r)
{
	unsigned int line, ch;

	for (line = 0; line < ACQ_LINES; line++)
		for (ch = 0; ch < RHD_CHANNELS; ch++)
			if (ch % CHANNELS < rhd_amplifiers(&r->chip[line], ch >= CHANNELS) &&
			    amp_use(&r->amp, line * RHD_CHANNELS + ch))
				r->dev.enabled = 0;	/* no memory: silent rather than wrong */
}

static void rhythm_reset(struct dev *d)
{
	struct rhythm *r = (struct rhythm *)d;
	unsigned int i;

	r->streams = 0;
	for (i = 0; i < STREAMS; i++)
		if (d->latched[R_STREAM_EN] >> i & 1)
			r->stream[r->streams++] = (uint8_t)i;
	d->read_size = 40 + 72 * r->streams;
	if (!d->enabled)
		return;
	if (amp_open(&r->amp, d->m, 0, ACQ_SOURCES))
		d->enabled = 0;
	else
		open_chips(r);
}

/* Comparators on TTL lines, digital outputs and DACs on: what host software may leave. */
static void leave_driven(struct dev *d)
{
	unsigned int i;

	d->val[R_MODE] = MODE_TTL_DAC | MODE_LEDS;
	for (i = 0; i < ACQ_PORTS; i++)
		d->val[R_DIGOUT + i] = 0x10;
	for (i = 0; i < DACS; i++)
		d->val[R_DAC_SEL + i] = 0x400;
}

static void rhythm_power_on(struct dev *d)
{
	struct rhythm *r = (struct rhythm *)d;
	unsigned int i;

	for (i = 0; i < ACQ_LINES; i++)
		rhd_power_on(&r->chip[i], d->m->cfg.chip[i]);
	memset(r->ram, 0, sizeof(r->ram));
	d->read_size = 40;
	if (d->m->cfg.left_driven)
		leave_driven(d);
}

static void rhythm_release(struct dev *d)
{
	amp_release(&((struct rhythm *)d)->amp);
}

/* ---- one sample ------------------------------------------------------------ */
static int two_lines(const struct rhythm *r, unsigned int line)
{
	return r->chip[line].kind == CHIP_RHD2164;
}

/* How far the delay chosen for a line's port is off, see rhd_shift(). */
static int line_shift(const struct rhythm *r, unsigned int line)
{
	const struct dev *d = &r->dev;
	unsigned int port = line / 2;

	return rhd_shift(two_lines(r, line), (int)(d->val[R_DELAY] >> 4 * port & 0xf) -
					     (int)d->m->cfg.cable[port]);
}

static int fast_settle(const struct dev *d)
{
	uint32_t ext = d->val[R_FAST_SETTLE];

	return ext & 0x10 && board_ttl_in(d->m) >> (ext & 0xf) & 1;
}

static uint16_t channel_word(const struct rhythm *r, unsigned int line, unsigned int ch, int ddr)
{
	const struct rhd_chip *c = &r->chip[line];
	const struct dev *d = &r->dev;
	unsigned int n = line * RHD_CHANNELS + (ddr ? CHANNELS : 0) + ch;

	if (ch >= rhd_amplifiers(c, ddr))
		return 0;
	return rhd_amplifier(c, amp_word(&r->amp, n, d->m->acq.sample), fast_settle(d),
			     !!(d->val[R_MODE] & MODE_DSP_SETTLE));
}

static uint8_t *put_aux(const struct rhythm *r, uint8_t *p, unsigned int slot)
{
	unsigned int i, source, line;
	struct rhd_result got;

	for (i = 0; i < r->streams; i++, p += 2) {
		source = stream_source(&r->dev, r->stream[i]);
		line = source & 7;
		got = rhd_miso(r->aux[line][slot], two_lines(r, line), line_shift(r, line));
		put16(p, source & 8 ? got.b : got.a);
	}
	return p;
}

/* Channel-major, and the chips are few: one column of the frame per stream. */
static void put_stream(const struct rhythm *r, uint8_t *p, unsigned int i)
{
	unsigned int source = stream_source(&r->dev, r->stream[i]), line = source & 7, ch;
	int two = two_lines(r, line), shift = line_shift(r, line), ddr = source >> 3;
	struct rhd_result got;

	p += 2 * i;
	for (ch = 0; ch < CHANNELS; ch++, p += 2 * r->streams) {
		if (!shift) {
			put16(p, channel_word(r, line, ch, ddr));
			continue;
		}
		got.a = channel_word(r, line, ch, 0);
		got.b = channel_word(r, line, ch, 1);
		got = rhd_miso(got, two, shift);
		put16(p, ddr ? got.b : got.a);
	}
}

/* The analog inputs are wired to the outputs: +-5 V, the ADC counts downwards. */
static uint32_t adc_word(const struct model *m, unsigned int i)
{
	uint32_t code = 65536u - m->acq.dac[i];

	return code > 65535 ? 65535 : code;
}

static uint32_t ttl_out(const struct dev *d)
{
	/* With thresholds, the low half would be what the comparators say: nothing. */
	return d->m->acq.ttl_out & (d->val[R_MODE] & MODE_TTL_DAC ? 0xff00 : 0xffff);
}

static void put_sample(struct rhythm *r, uint8_t *p)
{
	const struct model *m = r->dev.m;
	unsigned int i;

	put64(p, MAGIC);
	put32(p + 8, m->acq.sample);
	p += 12;
	for (i = 0; i < SLOTS; i++)
		p = put_aux(r, p, i);
	for (i = 0; i < r->streams; i++)
		put_stream(r, p, i);
	p += 2 * CHANNELS * r->streams;
	for (i = 0; i < r->streams; i++, p += 2)
		put16(p, 0);
	for (i = 0; i < ADCS; i++, p += 2)
		put16(p, adc_word(m, i));
	put16(p, board_ttl_in(m));
	put16(p + 2, ttl_out(&r->dev));
}

/* Every chip gets the command of its port's bank; the results are for the next sample. */
static void run_slot(struct rhythm *r, unsigned int slot)
{
	const struct dev *d = &r->dev;
	unsigned int line, bank;

	for (line = 0; line < ACQ_LINES; line++) {
		bank = d->val[R_BANK + slot] >> 4 * (line / 2) & 0xf;
		r->aux[line][slot] = rhd_command(&r->chip[line],
						 r->ram[slot][bank][r->index[slot]]);
	}
	if (r->index[slot] >= d->val[R_MAX_INDEX + slot])
		r->index[slot] = d->val[R_LOOP_INDEX + slot];
	else
		r->index[slot]++;
}

/* ---- time ------------------------------------------------------------------- */
static int more_to_come(const struct dev *d)
{
	return d->val[R_MODE] & MODE_CONTINUOUS || d->m->acq.sample < d->val[R_MAX_TIMESTEP];
}

static void rhythm_begin_run(struct dev *d)
{
	struct rhythm *r = (struct rhythm *)d;

	d->m->acq.sample = 0;
	memset(r->index, 0, sizeof(r->index));
	memset(r->aux, 0, sizeof(r->aux));
	amp_rewind(&r->amp);
}

static void rhythm_schedule(struct dev *d)
{
	struct rhythm *r = (struct rhythm *)d;
	const struct model *m = d->m;

	grid_start(&r->grid, (uint64_t)MODEL_ACQ_HZ * TICKS * board_divisor(m), board_base_hz(m),
		   dev_sampled(d));
	r->running = more_to_come(d);
	dev_due(d, r->running ? r->grid.t + d->hub->latency_ticks : CLOCK_NEVER);
}

/* A frame to the TTL outputs that waited for a sample. */
static void take_ttl(struct model *m)
{
	if (m->acq.ttl_waits)
		m->acq.ttl_out = m->acq.ttl_next;
	m->acq.ttl_waits = 0;
}

static void rhythm_fire(struct dev *d)
{
	struct rhythm *r = (struct rhythm *)d;
	uint32_t *sample = &d->m->acq.sample;
	unsigned int i;

	take_ttl(d->m);
	if (*sample % SRC_BLOCK == 0)
		amp_render(&r->amp, *sample);
	put_sample(r, frame_begin(d, r->grid.j * TICKS));
	frame_emit(d);
	for (i = 0; i < SLOTS; i++)
		run_slot(r, i);
	amp_left(&r->amp, *sample, d->due);
	(*sample)++;
	grid_next(&r->grid);
	r->running = more_to_come(d);
	dev_due(d, r->running ? r->grid.t + d->hub->latency_ticks : CLOCK_NEVER);
}

/* A stop of the controller ends the engine's run as well. */
static int rhythm_read(struct dev *d, unsigned int i, uint32_t *val)
{
	if (i == R_SPI_RUNNING)
		*val = d->m->running && d->enabled && ((struct rhythm *)d)->running;
	return 0;
}

/* Registers of the chips as they hold them, register 0 first. */
static void chip_status(const struct rhythm *r, FILE *out, const char *prefix)
{
	unsigned int line, i;

	for (line = 0; line < ACQ_LINES; line++) {
		if (r->chip[line].kind == CHIP_NONE)
			continue;
		fprintf(out, "%srhythm.chip.%c%u 0x", prefix, 'a' + line / 2, line % 2 + 1);
		for (i = 0; i < RHD_RAM_REGS; i++)
			fprintf(out, "%02x", r->chip[line].reg[i]);
		fputc('\n', out);
	}
}

/* Registers up to the filter of the DACs, of which some decide what drives outputs. */
static void reg_status(const struct dev *d, FILE *out, const char *prefix)
{
	unsigned int i;

	for (i = R_MODE; i < R_SPI_RUNNING; i++)
		fprintf(out, "%srhythm.reg.%u %u\n", prefix, i, d->val[i]);
}

static void rhythm_status(const struct dev *d, FILE *out, const char *prefix)
{
	const struct rhythm *r = (const struct rhythm *)d;

	fprintf(out, "%srhythm.hub_hz %u\n", prefix, board_base_hz(d->m) / board_divisor(d->m));
	reg_status(d, out, prefix);
	chip_status(r, out, prefix);
	fprintf(out, "%srhythm.samples %u\n", prefix, d->m->acq.sample);
	fprintf(out, "%srhythm.streams %u\n", prefix, r->streams);
	fprintf(out, "%srhythm.spikes_unlogged %llu\n", prefix,
		(unsigned long long)r->amp.spikes_unlogged);
	amp_status(&r->amp, out, prefix);
}

const struct dev_class class_rhythm = {
	.name = "rhythm",
	.id = 0x10001,
	.version = 1,
	.read_size = 40,
	.size = sizeof(struct rhythm),
	.regs = regs,
	.nregs = ARRAY_LEN(regs),
	.power_on = rhythm_power_on,
	.reset = rhythm_reset,
	.read = rhythm_read,
	.begin_run = rhythm_begin_run,
	.schedule = rhythm_schedule,
	.fire = rhythm_fire,
	.status = rhythm_status,
	.release = rhythm_release,
	.write_beyond = rhythm_write_beyond,
};
