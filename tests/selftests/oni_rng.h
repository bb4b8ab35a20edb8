/* SPDX-License-Identifier: MIT */
/* Random numbers of the fuzzers, by seed: xorshift64*. */
#ifndef ONI_RNG_H
#define ONI_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t s;	/* not 0 */
};

static inline uint64_t r64(struct rng *r)
{
	r->s ^= r->s >> 12;
	r->s ^= r->s << 25;
	r->s ^= r->s >> 27;
	return r->s * 0x2545f4914f6cdd1dULL;
}

static inline uint32_t below(struct rng *r, uint32_t n)
{
	return (r64(r) >> 32) * n >> 32;
}

static inline bool one_in(struct rng *r, uint32_t n)
{
	return !below(r, n);
}

#endif
