/* SPDX-License-Identifier: MIT */
/*
 * source.h - what an amplifier channel sees.
 *
 * A source is made once from its command-line text and is shared by the
 * channels it was named for; a feed is the state of one channel. A feed
 * renders consecutive blocks of SRC_BLOCK samples, starting over with every
 * run: sample i of a channel depends on seed, channel and i only, never on
 * pacing or on how much was asked for at a time.
 */
#ifndef SIM_SOURCE_H
#define SIM_SOURCE_H

#include "model_priv.h"

#define UV_PER_CODE	0.195
#define CODE_ZERO	32768

struct feed;

/* A spike whose extremum lies at sample @index of the run. */
typedef void (*spike_fn)(void *ctx, uint64_t index, unsigned int unit, double peak_uv);

struct source_kind {
	const char *name;
	const char *help;
	/* Parse @opts (may be empty). NULL and a sentence in @err on failure. */
	struct source *(*make)(const char *opts, char *err, size_t errlen);
	/* @nth: position of the channel in the source's channel list. */
	struct feed *(*open)(struct source *s, unsigned int channel, unsigned int nth,
			     uint64_t seed);
	void (*rewind)(struct feed *f);
	/* Codes of samples first .. first + SRC_BLOCK - 1, offset binary. */
	void (*render)(struct feed *f, uint64_t first, uint16_t *out,
		       spike_fn spike, void *ctx);
	void (*close)(struct feed *f);
	void (*free)(struct source *s);
	void (*status)(const struct feed *f, FILE *out);
};

struct source {
	const struct source_kind *kind;
	unsigned int refs;
	unsigned int nchannels;	/* named so far */
	unsigned int nth[SRC_MAX_CHANNELS];
};

struct feed {
	struct source *source;
	unsigned int channel;
};

/* "CHANS=KIND[:opts]" assigned to m->sources; 0 or -1 and @err. */
int source_assign(struct model *m, const char *text, char *err, size_t errlen);
/* The default source for channels that were not named. */
int source_defaults(struct model *m, char *err, size_t errlen);
void source_put(struct source *s);
void source_help(FILE *out);

/*
 * Take the next "key=value" of a comma-separated list. Returns 1 and fills
 * @key and @value, 0 at the end, -1 when the text is malformed.
 */
int source_option(const char **opts, char *key, size_t keylen, char *value, size_t valuelen);
int source_number(const char *text, double lo, double hi, double *out);

static inline uint16_t code_clip(long code)
{
	return (uint16_t)(code < 0 ? 0 : code > 65535 ? 65535 : code);
}

extern const struct source_kind source_ramp, source_flat, source_sine, source_play,
	source_neurons;

#endif
