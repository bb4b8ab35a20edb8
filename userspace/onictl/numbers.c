// SPDX-License-Identifier: MIT
/*
 * numbers.c - numbers on the command line. Pure, except for the arg_ functions.
 *
 * Everything that is not entirely a number of the right kind is refused: signs,
 * blanks, NaN, infinities, trailing letters, overflow.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "onictl.h"
#include "text.h"

int number_u32(const char *text, uint32_t *value, const char **why)
{
	if (!text_u32(text, value))
		return 0;
	if (*text == '-')
		*why = "must not be negative";
	else if (errno == ERANGE)
		*why = "does not fit 32 bits";
	else
		*why = "is not a number (decimal or 0x...)";
	return -1;
}

/* Integer arithmetic: 5.1 V must become 51 and never 50. */
int number_decivolts(const char *text, uint32_t *decivolts, const char **why)
{
	uint32_t tenths = 0;
	const char *p = text;
	int digits = 0;

	*why = *p == '-' ? "must not be negative" :
	       "is not a voltage (a number with at most one decimal, such as 6.0)";
	for (; isdigit((unsigned char)*p); p++) {
		if (++digits > 2) {
			*why = "is more than any port can supply";
			return -1;
		}
		tenths = tenths * 10 + (uint32_t)(*p - '0');
	}
	if (!digits)
		return -1;
	tenths *= 10;
	if (*p == '.') {
		if (!isdigit((unsigned char)p[1]))
			return -1;
		tenths += (uint32_t)(p[1] - '0');
		p += 2;
	}
	if (isdigit((unsigned char)*p)) {
		*why = "has too many decimals: ports are set in tenths of a volt";
		return -1;
	}
	if (*p && strcasecmp(p, "V"))
		return -1;
	if (!tenths) {
		*why = "is zero: use 'off' to switch a port off";
		return -1;
	}
	*decivolts = tenths;
	return 0;
}

int number_seconds(const char *text, double *seconds, const char **why)
{
	double v, unit = 1;
	char *end;

	*why = *text == '-' ? "must not be negative" : "is not a time (10, 0.5, 90s, 5m, 2h)";
	/* strtod() would take blanks, "nan", "inf" and hex floats. */
	if (!isdigit((unsigned char)*text) || text[1] == 'x' || text[1] == 'X')
		return -1;
	v = strtod(text, &end);
	switch (*end) {
	case 'h':
		unit *= 60;
		/* fall through */
	case 'm':
		unit *= 60;
		/* fall through */
	case 's':
		end++;
		break;
	}
	if (*end)
		return -1;
	v *= unit;
	if (!isfinite(v) || v > 1e7) {
		*why = "is too long: at most 10000000 seconds";
		return -1;
	}
	if (v <= 0) {
		*why = "must be more than zero";
		return -1;
	}
	*seconds = v;
	return 0;
}

int number_bytes(const char *text, uint64_t *bytes, const char **why)
{
	unsigned long long v;
	unsigned int shift = 0;
	char *end;

	*why = *text == '-' ? "must not be negative" : "is not a size (4096, 64K, 16M, 1G)";
	if (!isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	v = strtoull(text, &end, 10);
	switch (toupper((unsigned char)*end)) {
	case 'G':
		shift += 10;
		/* fall through */
	case 'M':
		shift += 10;
		/* fall through */
	case 'K':
		shift += 10;
		end++;
		break;
	}
	if (*end)
		return -1;
	if (errno || v > UINT64_MAX >> shift) {
		*why = "is too large";
		return -1;
	}
	if (!v) {
		*why = "must be more than zero";
		return -1;
	}
	*bytes = v << shift;
	return 0;
}

uint32_t arg_u32(const char *what, const char *text)
{
	const char *why;
	uint32_t v;

	if (number_u32(text, &v, &why) < 0)
		usage_error("%s '%s' %s", what, text, why);
	return v;
}

double arg_seconds(const char *what, const char *text)
{
	const char *why;
	double v;

	if (number_seconds(text, &v, &why) < 0)
		usage_error("%s '%s' %s", what, text, why);
	return v;
}

uint64_t arg_bytes(const char *what, const char *text)
{
	const char *why;
	uint64_t v;

	if (number_bytes(text, &v, &why) < 0)
		usage_error("%s '%s' %s", what, text, why);
	return v;
}
