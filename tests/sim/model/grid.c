// SPDX-License-Identifier: MIT
/*
 * grid.c - sample times that are exact rationals of the acquisition clock.
 *
 * Owns nothing. A 30 kHz converter next to a 250 MHz clock takes a sample
 * every 8333 1/3 ticks; adding a rounded period would be 4 ms off after an hour.
 */
#include "model_priv.h"

__extension__ typedef unsigned __int128 u128;

void grid_start(struct grid *g, uint64_t num, uint64_t den, uint64_t after)
{
	u128 pos;

	g->num = num;
	g->den = den;
	g->j = (uint64_t)((u128)after * den / num) + 1;
	pos = (u128)g->j * num;
	g->t = (uint64_t)(pos / den);
	g->frac = (uint64_t)(pos % den);
	while (g->t <= after)
		grid_next(g);
}

void grid_next(struct grid *g)
{
	g->j++;
	g->t += g->num / g->den;
	g->frac += g->num % g->den;
	if (g->frac >= g->den) {
		g->frac -= g->den;
		g->t++;
	}
}
