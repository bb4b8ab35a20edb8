/* SPDX-License-Identifier: MIT */
/*
 * oeb.h - writer of recordings in the Open Ephys binary layout ("OEB-safe
 * profile"): readable by Neo, SpikeInterface, Kilosort and the Open Ephys tools
 * at any instant after the first block, also when the writer was killed.
 *
 *   SESSION/Record Node 100/experiment1/recording<R>/
 *	structure.oebin			appears when the first block is on disk
 *	sync_messages.txt
 *	continuous/ONIX-100.<stream>/	continuous.dat sample_numbers.npy timestamps.npy
 *	events/MessageCenter/		text.npy sample_numbers.npy timestamps.npy
 *	events/ONIX-100.<stream>/TTL/	states.npy ...; appears with the first edge
 *	events/ONIX-100.<stream>/Stimulation/	text.npy ...; with the first trigger
 *	onirec/				journal meta.json gaps.csv spikes.bin ...
 *
 * Rules, each from a way in which readers were seen to fail:
 *  - samples are appended in whole frames, also under SIGKILL (oeb_file.c);
 *  - every second: data, fdatasync, then the row counts in the .npy headers (128
 *    bytes, one write, never more rows than are on disk, the first column of an
 *    event folder last), then one line of the journal with a checksum;
 *  - structure.oebin is replaced whole (write, fsync, rename, fsync of the
 *    folder) and names only streams that have rows;
 *  - the events are never empty: the first message is written at once.
 * sample_numbers count from the start of the acquisition, gaps included.
 * timestamps are seconds of the acquisition clock (frame header clock / its
 * rate); the line that takes them to the host's clocks is in meta.json.
 *
 * Threads: one thread (the writer) uses a recording; there is no lock inside.
 * Errors: -1 and errno; oeb_error() has the sentence. After the first failed
 * write nothing more is appended; oeb_close() then cuts all files of a stream
 * to the same number of whole frames, so that what was written loads.
 * Source: Open Ephys binary format documentation and the readers named above.
 */
#ifndef ONIREC_OEB_H
#define ONIREC_OEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#define OEB_MAX_STREAMS	16
#define OEB_SCALES	16
#define OEB_GROUPS	16
#define OEB_TEXT	128	/* bytes of a message, NUL padded */

enum oeb_channel_type {		/* as in structure.oebin */
	OEB_ELECTRODE,
	OEB_AUX,
	OEB_ADC,
};

/* A continuous stream. Strings are copied. */
struct oeb_stream {
	char name[48];		/* "PortA-Rhd2164"; no "SYNC" or "ADC" in it */
	char prefix[8];		/* channel names are prefix + number from 1 */
	char description[160];
	unsigned int channels;
	double rate_hz;
	double bit_volts;	/* physical value of 1, in units */
	double scale[OEB_SCALES];	/* of each channel instead, when scale[0] > 0 */
	char units[8];		/* "uV" or "V" */
	/* groups of neighbouring channels with a text behind the description; 0: none */
	unsigned int group_channels;
	char group[OEB_GROUPS][16];
	enum oeb_channel_type type;
};

struct oeb_config {
	const char *session;	/* folder; must not hold a recording yet */
	const struct oeb_stream *streams;
	unsigned int n_streams;
	const char *event_stream;	/* stream that TTL edges are numbered on */
	double event_rate;	/* its rate */
	const char *ttl_name;	/* name of the TTL channel */
	const char *ttl_lines;	/* what its lines are */
	uint64_t reserve;	/* stop when the disk has less than this left */
};

/* Beginning of spikes.bin; the rest up to 4096 bytes is JSON text, NUL padded. */
#define SPIKES_HEADER	4096
#define SPIKES_VERSION	1
struct spikes_header {
	char magic[8];		/* "ONISPK\r\n" */
	uint32_t version;
	uint32_t endian;	/* 0x01020304 in the byte order of the file */
	uint32_t record_bytes;
	uint32_t n_pre, n_post;
	uint32_t channels;
	double rate_hz;
	double unit;		/* physical value of 1, in units_name */
	char units_name[8];
	char stream[64];
	uint64_t spikes;	/* these three are set at a clean end */
	uint64_t guarded;	/* held back by the rate limits */
	uint64_t dropped;	/* given up because the disk was too slow */
	char json[SPIKES_HEADER - 144];
};

/* One record: this, then n_pre + n_post int16, padded to a multiple of 8. */
struct spike_record {
	uint64_t sample_number;
	uint64_t host_mono_ns;	/* 0: not known yet */
	uint32_t channel;	/* from 0 */
	int16_t peak;
	int16_t threshold;
	uint16_t flags;		/* SPIKE_* */
	uint16_t noise_sigma;	/* 1/16 units */
	uint32_t seq;		/* from 0; a hole is what was given up */
	uint32_t crc32c;	/* of the whole record with this field 0 */
	int16_t wave[];
};

static inline size_t spike_record_bytes(unsigned int snippet)
{
	return (offsetof(struct spike_record, wave) + snippet * sizeof(int16_t) + 7) & ~(size_t)7;
}

/* A stimulation trigger. */
struct oeb_stim {
	int64_t sample;
	double time;
	uint64_t hub_clock;
	uint64_t session;	/* 0: not known */
	uint32_t delay;		/* in periods of the sequencer */
	uint16_t hub;
	uint16_t origin, result;	/* as in the frame of the device; see TRIGGER_COMMANDED */
	char program[64];	/* hash in hexadecimal, or "unknown" */
	char text[OEB_TEXT];	/* the same for people */
};

struct oeb;

/* Make the session folder and recording1. NULL and errno; @err has the sentence. */
struct oeb *oeb_open(const struct oeb_config *cfg, char *err, size_t errlen);
/* End this recording as oeb_close() does and begin recording<R+1>. */
int oeb_next(struct oeb *o);
/*
 * Final commit, all files of a stream cut to the same whole frames. Also after
 * errors; nothing can be appended afterwards, rows are final, oeb_meta() works.
 */
void oeb_finish(struct oeb *o);
/*
 * oeb_finish() if that was not done, and release. Returns the first error of the
 * recording's life: 0, or -1 and errno; the sentence goes to @err.
 */
int oeb_close(struct oeb *o, char *err, size_t errlen);
const char *oeb_error(const struct oeb *o);
/* Folder of the present recording; owned by @o. */
const char *oeb_path(const struct oeb *o);

/* @n frames of stream @s; row i has number @first + i and time times[i]. */
int oeb_append(struct oeb *o, unsigned int s, const int16_t *frames, size_t n, uint64_t first,
	       const double *times);
/* Line @line (from 1) became @state; @word holds all lines. */
int oeb_ttl(struct oeb *o, unsigned int line, bool state, uint64_t word, int64_t sample,
	    double time);
int oeb_message(struct oeb *o, const char *text, int64_t sample, double time);
int oeb_stim(struct oeb *o, const struct oeb_stim *e);
/* The log of spikes: header at most once per recording, then whole records. */
int oeb_spikes_begin(struct oeb *o, const struct spikes_header *h);
int oeb_spikes(struct oeb *o, const void *records, size_t bytes);
/* Update the three counters in the header of spikes.bin. */
int oeb_spikes_end(struct oeb *o, uint64_t spikes, uint64_t guarded, uint64_t dropped);
/* Append whole lines to onirec/@name; @head is the first line of a new file. */
int oeb_side(struct oeb *o, const char *name, const char *head, const char *lines, size_t len);
/* Replace onirec/meta.json. Tried also after an error. */
int oeb_meta(struct oeb *o, json_t *meta);
/* The rules' once-a-second step. ENOSPC when the reserve is reached. */
int oeb_commit(struct oeb *o);

uint64_t oeb_rows(const struct oeb *o, unsigned int s);
/* Handed to the kernel since oeb_open(), all files. */
uint64_t oeb_bytes(const struct oeb *o);

/*
 * Repair what a power cut or kill left under @dir: cut every stream to whole
 * frames, set the counts in the headers, cut spikes.bin at the first bad record,
 * publish a structure.oebin that was held back, mark meta.json. Deletes
 * nothing, skips recordings in progress, changes nothing the second time.
 * @say gets a line per recording. Returns the number of recordings repaired,
 * -1 and errno.
 */
int oeb_recover(const char *dir, void (*say)(void *ctx, const char *line), void *ctx);

#endif
