/* SPDX-License-Identifier: MIT */
/*
 * spike.h - online threshold detector for spikes, pure code without I/O.
 *
 * Frames of int16 samples go in, channel-interleaved as they are on disk;
 * spikes come out through a callback. The result does not depend on how the
 * frames are cut into calls: one at a time gives the same spikes, in the same
 * order, as all of them at once.
 *
 * Threads: one detector is used by one thread; two detectors share nothing.
 * Source: the detector study in the project's design notes; the filter was
 * chosen by measurement, see spike.c.
 */
#ifndef ONIREC_SPIKE_H
#define ONIREC_SPIKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPIKE_DELAY		122	/* frames from a sample to its filtered value */
#define SPIKE_MAX_SNIPPET	96	/* n_pre + n_post at most */
#define SPIKE_SIGMA_FRAC	16	/* noise_sigma is in 1/16 of an input unit */

enum spike_polarity {
	SPIKE_NEGATIVE,
	SPIKE_POSITIVE,
	SPIKE_BOTH,
};

struct spike_config {
	unsigned int channels;
	unsigned int rate_hz;
	unsigned int n_pre;		/* snippet frames before the extremum */
	unsigned int n_post;		/* snippet frames from the extremum on */
	unsigned int align_frames;	/* the extremum is searched this long */
	unsigned int dead_frames;	/* no second spike this soon after one */
	unsigned int channel_rate;	/* spikes per second let through; 0: no limit */
	unsigned int stream_rate;	/* same for all channels together */
	unsigned int prime_frames;	/* noise is measured on these first; their
					 * spikes come when there are so many
					 */
	double k;			/* threshold in noise sigmas */
	double fixed;			/* > 0: threshold in input units instead */
	enum spike_polarity polarity;
};

/* Sensible values for @channels at @rate_hz; the caller changes what it likes. */
void spike_config_default(struct spike_config *cfg, unsigned int channels, unsigned int rate_hz);

#define SPIKE_SATURATED	(1u << 0)	/* the snippet touches the end of the range */
#define SPIKE_TRUNCATED	(1u << 1)	/* the snippet is padded near a gap or end */

struct spike_event {
	uint64_t sample;	/* of the extremum */
	uint32_t channel;
	int16_t peak;		/* filtered value there, input units */
	int16_t threshold;	/* that was passed, input units, > 0 */
	uint16_t noise_sigma;	/* median(|filtered|) / 0.6745 then, 1/16 input unit */
	uint16_t flags;		/* SPIKE_* */
	const int16_t *wave;	/* n_pre + n_post unfiltered samples, valid in the call */
};

typedef void (*spike_fn)(void *ctx, const struct spike_event *ev);

struct spike_stats {
	uint64_t frames;	/* taken */
	uint64_t spikes;	/* given to the callback */
	uint64_t guarded;	/* found, but held back by a rate limit */
	uint64_t restarts;	/* after gaps */
	uint64_t blanked;	/* frames of these that were not searched */
	uint64_t blanks;	/* intervals of them */
	uint64_t late;		/* frames to be blanked that had been searched already */
};

struct spike_detector;

/* NULL and errno (EINVAL: a value of @cfg makes no sense). */
struct spike_detector *spike_new(const struct spike_config *cfg, spike_fn fn, void *ctx);
void spike_free(struct spike_detector *d);

/*
 * Take @n frames, @first being the sample number of the first one. A number
 * that does not follow the last one is a gap: what is pending is finished as at
 * the end, the filter starts anew, the noise estimate is kept.
 */
void spike_push(struct spike_detector *d, const int16_t *frames, size_t n, uint64_t first);

/*
 * Frames [from, to) are disturbed from outside: no spike is searched in them, no noise
 * measured, and the filter does not see them. What is pending before @from is finished as
 * at the end, with a snippet that is padded; the filter starts anew at @to; the noise
 * estimate and the rate limits go on. To be told before the frame @from is pushed: what
 * was already pushed is searched, and counted as late. Intervals may overlap, but begin in
 * ascending order; one that begins earlier is cut to where the last one began. When more
 * than SPIKE_MAX_BLANKS wait, the last two become one with all that is between them.
 */
#define SPIKE_MAX_BLANKS	16384
void spike_blank(struct spike_detector *d, uint64_t from, uint64_t to);

/* The end: finish what is pending, as if the last frame had been repeated. */
void spike_flush(struct spike_detector *d);

void spike_get_stats(const struct spike_detector *d, struct spike_stats *st);
/* Noise sigma of @channel in input units; 0 before it is known. */
double spike_sigma(const struct spike_detector *d, unsigned int channel);
/* Spikes of @channel given to the callback so far. */
uint64_t spike_count(const struct spike_detector *d, unsigned int channel);

#endif
