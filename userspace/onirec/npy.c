// SPDX-License-Identifier: MIT
/* npy.c - see npy.h. Implements NumPy's published format description, version 1.0. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "npy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREFIX		10	/* magic, version, length of what follows */

static const char magic[8] = { '\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0 };

int npy_header(char out[NPY_HEADER], const char *descr, uint64_t rows)
{
	int n;

	memset(out, ' ', NPY_HEADER);
	memcpy(out, magic, sizeof(magic));
	out[8] = NPY_HEADER - PREFIX;
	out[9] = 0;
	n = snprintf(out + PREFIX, NPY_HEADER - PREFIX,
		     "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRIu64 ",), }",
		     descr, rows);
	if (n < 0 || n >= NPY_HEADER - PREFIX) {
		errno = EINVAL;
		return -1;
	}
	out[PREFIX + n] = ' ';		/* snprintf left a NUL */
	out[NPY_HEADER - 1] = '\n';
	return 0;
}

int npy_parse(const char in[NPY_HEADER], char *descr, size_t len, uint64_t *rows)
{
	char text[NPY_HEADER - PREFIX + 1], type[16], again[NPY_HEADER];

	memcpy(text, in + PREFIX, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	if (sscanf(text, "{'descr': '%15[^']', 'fortran_order': False, 'shape': (%" SCNu64 ",), }",
		   type, rows) != 2 || npy_header(again, type, *rows) ||
	    memcmp(again, in, NPY_HEADER) || strlen(type) >= len) {
		errno = EINVAL;
		return -1;
	}
	strcpy(descr, type);
	return 0;
}
