// SPDX-License-Identifier: MIT
/* decimal.c - see decimal.h. */
#include "decimal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One more digit; -1 when it does not fit. */
static int shift_in(uint64_t *v, unsigned int digit)
{
	if (*v > ((uint64_t)INT64_MAX - digit) / 10)
		return -1;
	*v = *v * 10 + digit;
	return 0;
}

int decimal_parse(const char *text, unsigned int scale, int64_t *value, bool *exact)
{
	bool negative = *text == '-', whole = true;
	const char *p = text + (*text == '-' || *text == '+');
	bool overflow = false;
	unsigned int decimals = 0;
	uint64_t v = 0;

	errno = EINVAL;
	if (!isdigit((unsigned char)*p))
		return -1;
	for (; isdigit((unsigned char)*p); p++)
		overflow |= shift_in(&v, (unsigned int)(*p - '0')) < 0;
	if (*p == '.') {
		p++;
		if (!isdigit((unsigned char)*p))
			return -1;
	}
	for (; isdigit((unsigned char)*p); p++) {
		if (decimals < scale) {
			overflow |= shift_in(&v, (unsigned int)(*p - '0')) < 0;
			decimals++;
		} else if (*p != '0') {
			whole = false;
		}
	}
	if (*p)
		return -1;
	for (; decimals < scale; decimals++)
		overflow |= shift_in(&v, 0) < 0;
	errno = ERANGE;
	if (overflow)
		return -1;
	*value = negative ? -(int64_t)v : (int64_t)v;
	*exact = whole;
	return 0;
}

char *decimal_text(char *buf, uint64_t value, unsigned int scale)
{
	char digits[DECIMAL_TEXT];
	int n = snprintf(digits, sizeof(digits), "%0*llu", (int)scale + 1,
			 (unsigned long long)value);
	int whole = n - (int)scale, end = n;

	while (end > whole && digits[end - 1] == '0')
		end--;
	snprintf(buf, DECIMAL_TEXT, "%.*s%s%.*s", whole, digits, end > whole ? "." : "",
		 end - whole, digits + whole);
	return buf;
}

char *decimal_signed(char *buf, int64_t value, unsigned int scale, bool plus)
{
	char text[DECIMAL_TEXT];

	decimal_text(text, value < 0 ? -(uint64_t)value : (uint64_t)value, scale);
	snprintf(buf, DECIMAL_TEXT, "%s%.30s", value < 0 ? "-" : plus && value > 0 ? "+" : "",
		 text);
	return buf;
}
