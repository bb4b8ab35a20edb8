/* SPDX-License-Identifier: MIT */
/*
 * rhd_chip.h - an Intan RHD2000 chip at the end of an SPI cable.
 *
 * Owns the chip's registers. Pure functions of commands; the pipeline (a result
 * comes two commands later) is its caller's, as is time.
 * Source: RHD2000 series datasheet (commands, registers, chip ROM).
 */
#ifndef SIM_RHD_CHIP_H
#define SIM_RHD_CHIP_H

#include "model_priv.h"

#define RHD_RAM_REGS	22u

struct rhd_chip {
	enum chip_kind kind;
	uint8_t reg[RHD_RAM_REGS];
};

/* Auxiliary inputs as CONVERT reports them; 1 and 2 at about 1 V. */
#define RHD_AUX_CODE(i)	(26738u + (i))

void rhd_power_on(struct rhd_chip *c, enum chip_kind kind);

/*
 * Results of one command on MISO line A and, for a chip with two, B. A chip that
 * is not there leaves the line low (inference).
 */
struct rhd_result {
	uint16_t a, b;
};

struct rhd_result rhd_command(struct rhd_chip *c, uint16_t cmd);

/* Amplifiers on one MISO line; 0: the line has none. */
unsigned int rhd_amplifiers(const struct rhd_chip *c, int ddr);
/* What a source delivers, @code in offset binary, as the chip reports it. */
uint16_t rhd_amplifier(const struct rhd_chip *c, uint16_t code, int fast_settle, int dsp_reset);

/*
 * What the board latches of a pair of words when its MISO delay is off by @error
 * steps of 1/2800 sample: rhd_shift() bits too late, or half bits with two data
 * lines, which share the clock; then bits of the neighbour come in. A bit is four
 * steps wide (inference from 35 commands of 16 bits in 2800 steps).
 */
int rhd_shift(int two_lines, int error);
struct rhd_result rhd_miso(struct rhd_result r, int two_lines, int shift);

#endif
