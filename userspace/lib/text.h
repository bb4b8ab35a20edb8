/* SPDX-License-Identifier: MIT */
/*
 * text.h - numbers as users type them. Pure.
 */
#ifndef ONIDEV_TEXT_H
#define ONIDEV_TEXT_H

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/*
 * Unsigned number of at most 32 bits, decimal or 0x hex; no sign, no blanks, no
 * octal ("010" is ten, as on every device label). 0, or -1: EINVAL, ERANGE.
 */
static inline int text_u32(const char *text, uint32_t *value)
{
	int hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	unsigned long long v;
	char *end;

	if (hex ? !isxdigit((unsigned char)*digits) : !isdigit((unsigned char)*digits)) {
		errno = EINVAL;
		return -1;
	}
	errno = 0;
	v = strtoull(digits, &end, hex ? 16 : 10);
	if (*end) {
		errno = EINVAL;
		return -1;
	}
	if (errno || v > UINT32_MAX) {
		errno = ERANGE;
		return -1;
	}
	*value = (uint32_t)v;
	return 0;
}

#endif
