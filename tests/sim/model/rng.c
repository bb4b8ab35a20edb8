// SPDX-License-Identifier: MIT
/*
 * rng.c - seeding, and the rare part of the ziggurat.
 *
 * Owns the two tables. 128 layers of equal area under exp(-x^2 / 2): the edge
 * of the last layer and that area are the two constants (Marsaglia and Tsang).
 */
#include <math.h>

#include "rng.h"

#define ZIG_R	3.442619855899
#define ZIG_V	9.91256303526217e-3

float zig_x[ZIG_LAYERS + 1];
float zig_ratio[ZIG_LAYERS];

static void zig_make(void)
{
	double x[ZIG_LAYERS + 1], f = exp(-0.5 * ZIG_R * ZIG_R);
	int i;

	x[0] = ZIG_V / f;
	x[1] = ZIG_R;
	x[ZIG_LAYERS] = 0;
	for (i = 2; i < ZIG_LAYERS; i++) {
		x[i] = sqrt(-2 * log(ZIG_V / x[i - 1] + f));
		f = exp(-0.5 * x[i] * x[i]);
	}
	for (i = 0; i < ZIG_LAYERS; i++)
		zig_ratio[i] = (float)(x[i + 1] / x[i]);
	for (i = 0; i <= ZIG_LAYERS; i++)
		zig_x[i] = (float)x[i];
}

static uint64_t splitmix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

void rng_init(struct rng *r, uint64_t seed, uint64_t stream)
{
	uint64_t state = seed;
	int i;

	if (zig_x[0] == 0)
		zig_make();
	state = splitmix(&state) ^ stream;
	for (i = 0; i < 4; i++)
		r->s[i] = splitmix(&state);
}

static float zig_tail(struct rng *r, int negative)
{
	double x, y;

	do {
		x = log(rng_uniform(r)) / ZIG_R;
		y = log(rng_uniform(r));
	} while (-2 * y < x * x);
	return (float)(negative ? x - ZIG_R : ZIG_R - x);
}

float rng_normal_slow(struct rng *r, unsigned int layer, float u)
{
	double x, f0, f1;

	if (layer == 0)
		return zig_tail(r, u < 0);
	x = (double)u * zig_x[layer];
	f0 = exp(-0.5 * ((double)zig_x[layer] * zig_x[layer] - x * x));
	f1 = exp(-0.5 * ((double)zig_x[layer + 1] * zig_x[layer + 1] - x * x));
	if (f1 + rng_uniform(r) * (f0 - f1) < 1)
		return (float)x;
	return rng_normal(r);
}
