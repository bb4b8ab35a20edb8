// SPDX-License-Identifier: MIT
/* rhd_chip.c - see rhd_chip.h. One thread at a time (model.h). */
#include <string.h>

#include "rhd_chip.h"

#define CMD_CONVERT	0u	/* two top bits */
#define CMD_WRITE	2u
#define CMD_READ	3u
#define REG_FAST_SETTLE	0u	/* bit 5 */
#define REG_FORMAT	4u	/* bit 6 two's complement, bit 4 DSP filter */
#define ZERO		0x8000u
#define SUPPLY_CODE	44117u	/* 3.3 V at 74.8 uV */

static const uint8_t power_on_regs[RHD_RAM_REGS] = {
	0xde, 0x02, 0x04, 0x02, 0x1f, 0x00, 0x00, 0x00, 0x11, 0x80, 0x10, 0x80, 0x10, 0xdc,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};

void rhd_power_on(struct rhd_chip *c, enum chip_kind kind)
{
	c->kind = kind;
	memcpy(c->reg, power_on_regs, sizeof(c->reg));
}

unsigned int rhd_amplifiers(const struct rhd_chip *c, int ddr)
{
	switch (c->kind) {
	case CHIP_RHD2132:
		return ddr ? 0 : 32;
	case CHIP_RHD2216:
		return ddr ? 0 : 16;
	case CHIP_RHD2164:
		return 32;
	default:
		return 0;
	}
}

static uint16_t twos(const struct rhd_chip *c, uint16_t code)
{
	return c->reg[REG_FORMAT] & 0x40 ? code ^ ZERO : code;
}

uint16_t rhd_amplifier(const struct rhd_chip *c, uint16_t code, int fast_settle, int dsp_reset)
{
	if (fast_settle || c->reg[REG_FAST_SETTLE] & 0x20)
		code = ZERO;
	if (dsp_reset && c->reg[REG_FORMAT] & 0x10)
		code = ZERO;
	return twos(c, code);
}

/* Chip ROM: company, which data line, die, polarity, amplifiers, chip. */
static uint8_t rom(const struct rhd_chip *c, unsigned int reg, int line_b)
{
	static const uint8_t amps[] = { 0, 32, 16, 64 }, id[] = { 0, 1, 2, 4 };

	if (reg >= 40 && reg < 45)
		return (uint8_t)"INTAN"[reg - 40];
	switch (reg) {
	case 59:
		if (c->kind != CHIP_RHD2164)
			return 0;
		return line_b ? 58 : 53;
	case 60:
		return 1;
	case 61:
		return c->kind != CHIP_RHD2216;
	case 62:
		return amps[c->kind];
	case 63:
		return id[c->kind];
	default:
		return 0;
	}
}

static uint16_t read_reg(const struct rhd_chip *c, unsigned int reg, int line_b)
{
	return reg < RHD_RAM_REGS ? c->reg[reg] : rom(c, reg, line_b);
}

/* Amplifiers in an auxiliary slot are not simulated: they read zero volts. */
static uint16_t convert(const struct rhd_chip *c, unsigned int channel)
{
	if (channel >= 32 && channel <= 34)
		return (uint16_t)RHD_AUX_CODE(channel - 32);
	if (channel == 48)
		return SUPPLY_CODE;
	return twos(c, ZERO);
}

struct rhd_result rhd_command(struct rhd_chip *c, uint16_t cmd)
{
	unsigned int reg = cmd >> 8 & 0x3f;
	struct rhd_result r = { 0, 0 };

	if (c->kind == CHIP_NONE)
		return r;
	switch (cmd >> 14) {
	case CMD_CONVERT:
		r.a = convert(c, reg);
		r.b = r.a;
		break;
	case CMD_WRITE:
		if (reg < RHD_RAM_REGS)
			c->reg[reg] = (uint8_t)cmd;
		r.a = (uint16_t)(0xff00 | (cmd & 0xff));
		r.b = r.a;
		break;
	case CMD_READ:
		r.a = read_reg(c, reg, 0);
		r.b = read_reg(c, reg, 1);
		break;
	default:	/* calibrate and clear: all zeros but for the sign */
		r.a = twos(c, 0);
		r.b = r.a;
		break;
	}
	if (c->kind != CHIP_RHD2164)
		r.b = 0;
	return r;
}

static int floor_div(int a, int b)
{
	return a < 0 ? -((b - 1 - a) / b) : a / b;
}

/* Bit @i, the first on the wire is 0; none outside of the word. */
static unsigned int bit(uint16_t word, int i)
{
	return i >= 0 && i < 16 ? word >> (15 - i) & 1u : 0;
}

/* Half bit @i of two interleaved words. */
static unsigned int half_bit(struct rhd_result r, int i)
{
	return bit(i & 1 ? r.b : r.a, floor_div(i, 2));
}

int rhd_shift(int two_lines, int error)
{
	return two_lines ? floor_div(error + 1, 2) : floor_div(error + 2, 4);
}

struct rhd_result rhd_miso(struct rhd_result r, int two_lines, int shift)
{
	struct rhd_result out = { 0, 0 };
	int i;

	if (!shift)
		return r;
	for (i = 0; i < 16; i++) {
		if (two_lines) {
			out.a = (uint16_t)(out.a << 1 | half_bit(r, 2 * i + shift));
			out.b = (uint16_t)(out.b << 1 | half_bit(r, 2 * i + 1 + shift));
		} else {
			out.a = (uint16_t)(out.a << 1 | bit(r.a, i + shift));
		}
	}
	return out;
}
