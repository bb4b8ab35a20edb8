/* SPDX-License-Identifier: MIT */
/*
 * bandpass.h - the spike band, as offline analysis looks at it.
 *
 * Pure functions on the caller's buffers.
 */
#ifndef SIM_BANDPASS_H
#define SIM_BANDPASS_H

#include <stddef.h>

/* 300-6000 Hz at 30 kHz, second-order Butterworth each way, no phase shift. */
void bandpass_zero_phase(double *x, size_t n);
/* Median of |x| / 0.6745: the standard deviation of what is not spikes. */
double mad_sigma(const double *x, size_t n);

#endif
