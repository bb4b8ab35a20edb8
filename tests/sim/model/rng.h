/* SPDX-License-Identifier: MIT */
/*
 * rng.h - repeatable random numbers: xoshiro256++ and a ziggurat normal.
 *
 * A generator belongs to whoever holds it. The ziggurat tables are made by
 * rng_init() once per process; after that they are only read.
 */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include <stdint.h>

struct rng {
	uint64_t s[4];
};

#define ZIG_LAYERS	128

extern float zig_x[ZIG_LAYERS + 1];	/* right edge of each layer */
extern float zig_ratio[ZIG_LAYERS];	/* of the next layer's edge to this one's */

/* Streams of different @stream are independent. */
void rng_init(struct rng *r, uint64_t seed, uint64_t stream);
float rng_normal_slow(struct rng *r, unsigned int layer, float u);

static inline uint64_t rng_rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t *s = r->s, out = rng_rotl(s[0] + s[3], 23) + s[0], t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rng_rotl(s[3], 45);
	return out;
}

/* Uniform in (0, 1]. */
static inline double rng_uniform(struct rng *r)
{
	return (double)((rng_next(r) >> 11) + 1) * 0x1p-53;
}

static inline float rng_normal(struct rng *r)
{
	uint64_t v = rng_next(r);
	unsigned int layer = v % ZIG_LAYERS;
	float u = (float)((int64_t)v >> 32) * 0x1p-31f;

	if (u < zig_ratio[layer] && u > -zig_ratio[layer])
		return u * zig_x[layer];
	return rng_normal_slow(r, layer, u);
}

#endif
