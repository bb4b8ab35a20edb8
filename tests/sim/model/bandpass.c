// SPDX-License-Identifier: MIT
/*
 * bandpass.c - zero-phase filter and robust noise estimate for calibration.
 *
 * Owns nothing. Butterworth sections by the bilinear transform, run forwards
 * and then backwards, started at rest: callers leave room at both ends.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bandpass.h"
#include "model_priv.h"

#define LOW_HZ	300.0
#define HIGH_HZ	6000.0

struct biquad {
	double b0, b1, b2, a1, a2;
};

static struct biquad butterworth(double hz, int highpass)
{
	double w = 2 * M_PI * hz / RHD_RATE_HZ, c = cos(w);
	double alpha = sin(w) * M_SQRT1_2, a0 = 1 + alpha;
	double edge = highpass ? 1 + c : 1 - c;

	return (struct biquad){
		.b0 = edge / 2 / a0,
		.b1 = (highpass ? -edge : edge) / a0,
		.b2 = edge / 2 / a0,
		.a1 = -2 * c / a0,
		.a2 = (1 - alpha) / a0,
	};
}

static void biquad_run(const struct biquad *q, double *x, size_t n, ptrdiff_t step)
{
	double z1 = 0, z2 = 0;

	for (; n; n--, x += step) {
		double in = *x, out = q->b0 * in + z1;

		z1 = q->b1 * in - q->a1 * out + z2;
		z2 = q->b2 * in - q->a2 * out;
		*x = out;
	}
}

void bandpass_zero_phase(double *x, size_t n)
{
	struct biquad hp = butterworth(LOW_HZ, 1), lp = butterworth(HIGH_HZ, 0);

	biquad_run(&hp, x, n, 1);
	biquad_run(&lp, x, n, 1);
	biquad_run(&hp, x + n - 1, n, -1);
	biquad_run(&lp, x + n - 1, n, -1);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double mad_sigma(const double *x, size_t n)
{
	double *v = malloc(n * sizeof(*v)), med;
	size_t i;

	if (!v)
		return NAN;
	for (i = 0; i < n; i++)
		v[i] = fabs(x[i]);
	qsort(v, n, sizeof(*v), by_value);
	med = v[n / 2];
	free(v);
	return med / 0.6745;
}
