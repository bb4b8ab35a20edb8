/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets share: the check that aborts, and input taken
 * piece by piece.
 */
#ifndef ONI_FUZZ_H
#define ONI_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Not assert(): it must be there whatever NDEBUG says. */
#define FUZZ_CHECK(cond)							\
	do {									\
		if (!(cond)) {							\
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);	\
			abort();						\
		}								\
	} while (0)

/* The input, eaten from the front; zeros when it is used up. */
struct fuzz_in {
	const uint8_t *data;
	size_t len;
};

static inline void fuzz_take(struct fuzz_in *in, void *out, size_t n)
{
	size_t m = in->len < n ? in->len : n;

	memset(out, 0, n);
	if (m)
		memcpy(out, in->data, m);
	in->data += m;
	in->len -= m;
}

static inline uint8_t fuzz_u8(struct fuzz_in *in)
{
	uint8_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

static inline uint16_t fuzz_u16(struct fuzz_in *in)
{
	uint16_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

static inline uint32_t fuzz_u32(struct fuzz_in *in)
{
	uint32_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

#endif
