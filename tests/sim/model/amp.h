/* SPDX-License-Identifier: MIT */
/*
 * amp.h - the electrodes behind a run of amplifier channels.
 *
 * Owns the feeds of the channels, the block of samples that was rendered last,
 * and the spikes of that block whose sample did not leave yet.
 */
#ifndef SIM_AMP_H
#define SIM_AMP_H

#include "source.h"

#define AMP_MAX_PENDING	1024

struct amp_spike {
	uint64_t index;
	double peak_uv;
	unsigned int channel, unit;
};

struct amp {
	struct model *m;
	unsigned int first, channels;	/* numbers of the signal sources */
	struct feed **feeds;		/* NULL: not opened */
	uint16_t (*block)[SRC_BLOCK];
	unsigned int rendering;		/* channel being rendered */
	uint64_t next_spike;		/* lowest index in pending */
	unsigned int npending;
	struct amp_spike pending[AMP_MAX_PENDING];
	uint64_t spikes_unlogged;
};

/* Feeds are costly to make (calibration), so each is made at its first use. 0 or -1. */
int amp_open(struct amp *a, struct model *m, unsigned int first, unsigned int channels);
int amp_use(struct amp *a, unsigned int ch);
void amp_rewind(struct amp *a);
/* Render the block that begins at sample @index, a multiple of SRC_BLOCK. */
void amp_render(struct amp *a, uint64_t index);
/* Sample @index left in a frame with this header clock: its spikes become truth. */
void amp_left(struct amp *a, uint64_t index, uint64_t clock);
void amp_status(const struct amp *a, FILE *out, const char *prefix);
void amp_release(struct amp *a);

static inline uint16_t amp_word(const struct amp *a, unsigned int ch, uint64_t index)
{
	return a->block[ch][index % SRC_BLOCK];
}

#endif
