/* SPDX-License-Identifier: MIT */
/*
 * decimal.h - decimal numbers as integers. Pure; no floating point anywhere.
 *
 * A number is kept as an integer of units that are 10^-scale of the unit in which
 * it was written: "0.3" with scale 3 is 300.
 */
#ifndef ONISTIM_DECIMAL_H
#define ONISTIM_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DECIMAL_TEXT	32	/* room for any number that decimal_text() makes */

/*
 * @text is a number and nothing else: an optional sign, digits, optionally a point
 * and digits. What is finer than @scale is cut off towards zero, and *@exact says
 * whether there was anything. 0, or -1: EINVAL: no number, ERANGE: beyond 63 bits.
 */
int decimal_parse(const char *text, unsigned int scale, int64_t *value, bool *exact);
/* The number without trailing zeros, in @buf of at least DECIMAL_TEXT; returns @buf. */
char *decimal_text(char *buf, uint64_t value, unsigned int scale);
/* The same with a sign; "+" for what is positive if @plus. */
char *decimal_signed(char *buf, int64_t value, unsigned int scale, bool plus);

#endif
