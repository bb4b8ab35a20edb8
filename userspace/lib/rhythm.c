// SPDX-License-Identifier: MIT
/*
 * rhythm.c - what to write into the registers of an Acquisition Board and of the
 * RHD2000 chips on it: sample rate, data streams, bandwidth, search for chips.
 *
 * Constant tables and arithmetic; pure: it plans, its callers write. Rates from the
 * acquisition-board plugin (rhd2000ONIboard.cpp), cutoffs from bonsai-onix1
 * (Rhd2000.cs), commands, ROM and bias currents from the Intan RHD2000 datasheet.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "onidev.h"

/* --- sample rate ---------------------------------------------------------------- */

/* Sources 0 (and 3), 1 and 2: 84, 70 and 56 MHz, 2800 ticks a sample. */
static const double base_hz[4] = { 30000, 25000, 20000, 30000 };

#define UNDIVIDED(source)	((source) << 1)
#define BY(source, divider)	((divider) << 3 | (source) << 1 | 1u)

static const struct onidev_rhythm_rate rates[] = {
	{ 1000, BY(2u, 9u) },
	{ 1250, BY(1u, 9u) },
	{ 1500, BY(0u, 9u) },
	{ 2000, BY(2u, 4u) },
	{ 2500, BY(1u, 4u) },
	{ 3000, BY(0u, 4u) },
	{ 20000 / 6.0, BY(2u, 2u) },
	{ 5000, BY(2u, 1u) },
	{ 6250, BY(1u, 1u) },
	{ 10000, BY(2u, 0u) },
	{ 12500, BY(1u, 0u) },
	{ 15000, BY(0u, 0u) },
	{ 20000, UNDIVIDED(2u) },
	{ 25000, UNDIVIDED(1u) },
	{ 30000, UNDIVIDED(0u) },
};

#define RATES	(sizeof(rates) / sizeof(rates[0]))

const struct onidev_rhythm_rate *onidev_rhythm_rate_at(size_t i)
{
	return i < RATES ? &rates[i] : NULL;
}

const struct onidev_rhythm_rate *onidev_rhythm_rate_find(double hz)
{
	size_t i;

	for (i = 0; i < RATES; i++)
		if (fabs(hz - rates[i].hz) <= rates[i].hz / 1000)
			return &rates[i];
	errno = ENOENT;
	return NULL;
}

double onidev_rhythm_rate_of(uint32_t value)
{
	double base = base_hz[value >> 1 & 3];

	return value & 1 ? base / (2.0 * ((value >> 3) + 1)) : base;
}

/* --- data streams ----------------------------------------------------------------- */

void onidev_rhythm_layout_get(const uint32_t regs[3], struct onidev_rhythm_layout *out)
{
	unsigned int i;

	out->streams = 0;
	for (i = 0; i < ONIDEV_RHYTHM_STREAMS; i++)
		if (regs[2] >> i & 1)
			out->source[out->streams++] = regs[i / 8] >> 4 * (i % 8) & 15;
}

void onidev_rhythm_layout_put(const struct onidev_rhythm_layout *layout, uint32_t regs[3])
{
	unsigned int i;

	memset(regs, 0, 3 * sizeof(regs[0]));
	for (i = 0; i < layout->streams; i++) {
		regs[i / 8] |= (uint32_t)layout->source[i] << 4 * (i % 8);
		regs[2] |= 1u << i;
	}
}

char *onidev_rhythm_source_name(uint8_t source, char *buf)
{
	buf[0] = (char)('A' + (source >> 1 & 3));
	buf[1] = (char)('1' + (source & 1));
	buf[2] = source & ONIDEV_RHYTHM_SECOND ? '+' : '\0';
	buf[3] = '\0';
	return buf;
}

/* One name at the front of @text: its length, 0 if it is none. */
static size_t parse_source(const char *text, uint8_t *source)
{
	int port = tolower((unsigned char)text[0]) - 'a';

	if (port < 0 || port > 3 || (text[1] != '1' && text[1] != '2'))
		return 0;
	*source = (uint8_t)(2 * port + (text[1] - '1'));
	if (text[2] != '+')
		return 2;
	*source |= ONIDEV_RHYTHM_SECOND;
	return 3;
}

int onidev_rhythm_layout_parse(const char *text, struct onidev_rhythm_layout *out)
{
	static const char between[] = ", \t";
	uint32_t seen = 0;
	uint8_t source;
	size_t n;

	out->streams = 0;
	for (text += strspn(text, between); *text; text += strspn(text, between)) {
		n = parse_source(text, &source);
		if (!n || (text[n] && !strchr(between, text[n]))) {
			errno = EINVAL;
			return -1;
		}
		if (seen >> source & 1) {
			errno = EEXIST;
			return -1;
		}
		/* 16 different names are all there are: no more than fit */
		seen |= 1u << source;
		out->source[out->streams++] = source;
		text += n;
	}
	return 0;
}

/* --- amplifiers of the chips -------------------------------------------------------- */

/* Settings of the resistor DACs; the last column only has a bit for the lower cutoff. */
struct cutoff {
	double hz;
	uint8_t dac[4];
};

static const struct cutoff uppers[] = {
	{ 20000, { 8, 0, 4, 0 } }, { 15000, { 11, 0, 8, 0 } }, { 10000, { 17, 0, 16, 0 } },
	{ 7500, { 22, 0, 23, 0 } }, { 5000, { 33, 0, 37, 0 } }, { 3000, { 3, 1, 13, 1 } },
	{ 2500, { 13, 1, 25, 1 } }, { 2000, { 27, 1, 44, 1 } }, { 1500, { 1, 2, 23, 2 } },
	{ 1000, { 46, 2, 30, 3 } }, { 750, { 41, 3, 36, 4 } }, { 500, { 30, 5, 43, 6 } },
	{ 300, { 6, 9, 2, 11 } }, { 250, { 42, 10, 5, 13 } }, { 200, { 24, 13, 7, 16 } },
	{ 150, { 44, 17, 8, 21 } }, { 100, { 38, 26, 5, 31 } },
};

static const struct cutoff lowers[] = {
	{ 500, { 13, 0, 0 } }, { 300, { 15, 0, 0 } }, { 250, { 17, 0, 0 } },
	{ 200, { 18, 0, 0 } }, { 150, { 21, 0, 0 } }, { 100, { 25, 0, 0 } },
	{ 75, { 28, 0, 0 } }, { 50, { 34, 0, 0 } }, { 30, { 44, 0, 0 } }, { 25, { 48, 0, 0 } },
	{ 20, { 54, 0, 0 } }, { 15, { 62, 0, 0 } }, { 10, { 5, 1, 0 } }, { 7.5, { 18, 1, 0 } },
	{ 5, { 40, 1, 0 } }, { 3, { 20, 2, 0 } }, { 2.5, { 42, 2, 0 } }, { 2, { 8, 3, 0 } },
	{ 1.5, { 9, 4, 0 } }, { 1, { 44, 6, 0 } }, { 0.75, { 49, 9, 0 } },
	{ 0.5, { 35, 17, 0 } }, { 0.3, { 1, 40, 0 } }, { 0.25, { 56, 54, 0 } },
	{ 0.1, { 16, 60, 1 } },
};

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define AUX_INPUT_ON	0x80u	/* in registers 9, 11 and 13 */

static const struct cutoff *nearest(const struct cutoff *c, size_t n, double hz)
{
	const struct cutoff *best = c;
	size_t i;

	for (i = 1; i < n; i++)
		if (fabs(log(c[i].hz / hz)) < fabs(log(best->hz / hz)))
			best = &c[i];
	return best;
}

int onidev_rhd_bandwidth(double upper_hz, double lower_hz, struct onidev_rhd_bandwidth *out)
{
	const struct cutoff *u, *l;

	if (!(lower_hz > 0) || !(upper_hz > lower_hz) || !isfinite(upper_hz)) {
		errno = EDOM;
		return -1;
	}
	u = nearest(uppers, COUNT(uppers), upper_hz);
	l = nearest(lowers, COUNT(lowers), lower_hz);
	out->upper_hz = u->hz;
	out->lower_hz = l->hz;
	out->reg[0] = u->dac[0];
	out->reg[1] = (uint8_t)(u->dac[1] | AUX_INPUT_ON);
	out->reg[2] = u->dac[2];
	out->reg[3] = (uint8_t)(u->dac[3] | AUX_INPUT_ON);
	out->reg[4] = l->dac[0];
	out->reg[5] = (uint8_t)(l->dac[1] | l->dac[2] << 6 | AUX_INPUT_ON);
	return 0;
}

static double dsp_cutoff(double rate_hz, unsigned int code)
{
	double p = ldexp(1, (int)code);

	return rate_hz * log(p / (p - 1)) / (2 * M_PI);
}

unsigned int onidev_rhd_dsp_code(double rate_hz, double cutoff_hz, double *got_hz)
{
	unsigned int n, best = 1;

	for (n = 2; n < 16; n++)
		if (fabs(log(dsp_cutoff(rate_hz, n) / cutoff_hz)) <
		    fabs(log(dsp_cutoff(rate_hz, best) / cutoff_hz)))
			best = n;
	*got_hz = dsp_cutoff(rate_hz, best);
	return best;
}

/* Bias of the ADC's buffer and of the multiplexer by conversions per second. */
static void bias(double rate_hz, uint8_t *buffer, uint8_t *mux)
{
	static const struct { double below_hz; uint8_t buffer, mux; } table[] = {
		{ 3334, 32, 40 }, { 4001, 16, 40 }, { 5001, 8, 40 }, { 6251, 8, 32 },
		{ 8001, 8, 26 }, { 10001, 4, 18 }, { 12501, 3, 16 }, { 15001, 3, 7 },
		{ INFINITY, 2, 4 },
	};
	size_t i = 0;

	while (i < COUNT(table) - 1 && rate_hz >= table[i].below_hz)
		i++;
	*buffer = table[i].buffer;
	*mux = table[i].mux;
}

#define ADC_CONFIG	0xdeu	/* power-on value that headstage-64 documents */
#define FAST_SETTLE	0x20u	/* in register 0 */
#define VDD_SENSE	0x40u	/* in register 1 */
#define FORMAT		0x80u	/* weak MISO, offset binary, no absolute value */
#define DSP_ON		0x10u	/* in register 4 */
#define CALIBRATE_TAKES	9	/* commands during which the chip does nothing else */

uint16_t onidev_rhd_settle_command(int on)
{
	return ONIDEV_RHD_WRITE(0u, ADC_CONFIG | (on ? FAST_SETTLE : 0u));
}

size_t onidev_rhd_setup_commands(const struct onidev_rhd_setup *setup, uint16_t *out)
{
	uint8_t buffer, mux, format = FORMAT;
	size_t n = 0, i;
	double got;

	bias(setup->rate_hz, &buffer, &mux);
	if (setup->dsp_hz > 0)
		format |= (uint8_t)(DSP_ON | onidev_rhd_dsp_code(setup->rate_hz, setup->dsp_hz,
								 &got));
	/* the first commands after power-on are lost on the chip */
	out[n++] = ONIDEV_RHD_READ(63u);
	out[n++] = ONIDEV_RHD_READ(63u);
	out[n++] = onidev_rhd_settle_command(setup->settle);
	out[n++] = ONIDEV_RHD_WRITE(1u, VDD_SENSE | buffer);
	out[n++] = ONIDEV_RHD_WRITE(2u, mux);
	out[n++] = ONIDEV_RHD_WRITE(3u, 2u);
	out[n++] = ONIDEV_RHD_WRITE(4u, format);
	/* the impedance test, whose registers hold anything after power-on */
	for (i = 5; i <= 7; i++)
		out[n++] = ONIDEV_RHD_WRITE(i, 0u);
	for (i = 0; i < 6; i++)
		out[n++] = ONIDEV_RHD_WRITE(8 + i, setup->bandwidth.reg[i]);
	for (i = 14; i <= 21; i++)
		out[n++] = ONIDEV_RHD_WRITE(i, 0xffu);
	out[n++] = ONIDEV_RHD_CALIBRATE;
	for (i = 0; i < CALIBRATE_TAKES; i++)
		out[n++] = ONIDEV_RHD_READ(63u);
	return n;
}

/* --- search for chips ----------------------------------------------------------------- */

static const uint8_t find_regs[ONIDEV_RHD_FIND_COMMANDS] = {
	40, 41, 42, 43, 44, 59, 60, 61, 62, 63,
};

void onidev_rhd_find_commands(uint16_t out[ONIDEV_RHD_FIND_COMMANDS])
{
	size_t i;

	for (i = 0; i < ONIDEV_RHD_FIND_COMMANDS; i++)
		out[i] = ONIDEV_RHD_READ(find_regs[i]);
}

#define FIRST_HALF	53

static int is_chip(const uint16_t *words, struct onidev_rhd_chip *out)
{
	static const char company[] = "INTAN";
	size_t i;

	for (i = 0; i < 5; i++)
		if (words[i] != (uint8_t)company[i])
			return 0;
	/* the upper half of what a READ returns is 0 */
	for (; i < ONIDEV_RHD_FIND_COMMANDS; i++)
		if (words[i] > 0xff)
			return 0;
	out->marker = (uint8_t)words[5];
	out->die_revision = (uint8_t)words[6];
	out->unipolar = (uint8_t)words[7];
	out->amplifiers = (uint8_t)words[8];
	out->chip_id = (uint8_t)words[9];
	return out->chip_id != ONIDEV_RHD_ID_2164 || out->marker == FIRST_HALF;
}

int onidev_rhd_find(const uint16_t *words, size_t n, struct onidev_rhd_chip *out)
{
	size_t at;

	for (at = 0; at + ONIDEV_RHD_FIND_COMMANDS <= n; at++)
		if (is_chip(words + at, out))
			return 0;
	errno = ENOENT;
	return -1;
}

int onidev_rhythm_delay_choose(uint32_t good)
{
	int first = 0, best = 0, best_len = 0, n;

	for (n = 0; n < 16; n++) {
		if (!(good >> n & 1)) {
			first = n + 1;
			continue;
		}
		if (n - first + 1 > best_len) {
			best = first;
			best_len = n - first + 1;
		}
	}
	if (!best_len) {
		errno = ENOENT;
		return -1;
	}
	return best + best_len / 2;
}

static void add_chip(struct onidev_rhythm_layout *layout, unsigned int line,
		     const struct onidev_rhd_chip *chip)
{
	layout->source[layout->streams++] = (uint8_t)line;
	if (chip->chip_id == ONIDEV_RHD_ID_2164)
		layout->source[layout->streams++] = (uint8_t)(line | ONIDEV_RHYTHM_SECOND);
}

unsigned int onidev_rhythm_plan(const uint32_t good[8], const struct onidev_rhd_chip chip[8],
				uint32_t *delay_reg, struct onidev_rhythm_layout *layout)
{
	unsigned int port, line, chips = 0;

	layout->streams = 0;
	for (port = 0; port < 4; port++) {
		uint32_t both = good[2 * port] & good[2 * port + 1];
		int delay;

		if (!both)
			both = good[2 * port] ? good[2 * port] : good[2 * port + 1];
		delay = onidev_rhythm_delay_choose(both);
		if (delay < 0)
			continue;
		*delay_reg = (*delay_reg & ~(0xfu << 4 * port)) | (uint32_t)delay << 4 * port;
		for (line = 2 * port; line < 2 * port + 2; line++) {
			if (!good[line])
				continue;
			add_chip(layout, line, &chip[line]);
			chips++;
		}
	}
	return chips;
}
