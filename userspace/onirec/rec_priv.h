/* SPDX-License-Identifier: MIT */
/*
 * rec_priv.h - what the threads of the recorder share. See rec.h for who does
 * what.
 *
 * Locking: rec.plock protects rec.prog; pool.lock protects the pool and is taken
 * before it; the queues lock themselves. Everything else belongs to one thread until that
 * thread was joined: reader (devices, streams' open chunks, reader), detector
 * (det), writer (oeb, writer).
 */
#ifndef ONIREC_REC_PRIV_H
#define ONIREC_REC_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "../audit/publish.h"
#include "oeb.h"
#include "queue.h"
#include "rec.h"

#define REC_RHS2116_CHANNELS	16
#define REC_RHS2116_DC_UV	19230.0	/* of a code, inverted */

#define CHUNK_SECONDS	0.1	/* of samples in a chunk; nothing waits longer */
/*
 * Where there is a stimulation trigger, the detector keeps each chunk back until the next
 * one of its stream is there: so a trigger may be read up to a chunk after the data that it
 * disturbs. It makes spikes 0.1 s later.
 */
#define QUEUE_ENTRIES	4096

/* Rows of one stream on their way. Shared by writer and detector: counted. */
struct chunk {
	struct chunk *next;	/* in the pool */
	atomic_int refs;
	unsigned int stream;
	uint32_t n, cap;
	uint64_t first;		/* sample number of row 0 */
	uint64_t opened_ns;	/* when row 0 was put in */
	uint64_t mono0_ns;	/* CLOCK_MONOTONIC of row 0, 0: not known */
	double ns_per_row;
	bool fill;		/* zeros for samples that were lost */
	double *times;
	int16_t *data;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct chunk *free[OEB_MAX_STREAMS];
	uint64_t bytes, limit, used, peak;	/* allocated; bound; in use */
	uint64_t waits, wait_ns;	/* of the reader for the disk */
};

/* A stream of the recording and the device behind it. */
struct rec_stream {
	struct oeb_stream desc;
	unsigned int device;	/* index in rec.dev */
	uint32_t rows;		/* of a chunk */
	int spike_base;		/* number of its first channel in spikes.bin; -1 */
	/* reader */
	struct chunk *open;
	uint64_t next;		/* sample number of the next row */
	uint64_t first;		/* of the first row ever */
	uint64_t zero_rows;
	bool started;
};

struct rec_dev {
	struct rec_device d;
	/*
	 * Indices in rec.stream; -1. Those of a device have the same rows. Of Rhythm
	 * @adc is @stream when there are no amplifiers.
	 */
	int stream, aux, adc;
	double period;		/* hub ticks between frames; 0: not a measure of gaps */
	uint32_t last_sample;	/* REC_RHYTHM: number in its last good frame */
	bool have_sample;
	uint64_t frames, bytes, lost, gaps, backward, damaged;
	uint64_t recorded;
	uint64_t first_clock, last_clock;
	uint64_t first_hub, last_hub;
};

/* Lines of a file in onirec/ that wait to be handed to the writer. */
struct text {
	const char *name, *head;
	char *buf;
	size_t len;
};

struct edge {
	unsigned int line;
	bool state;
	uint64_t word;
	int64_t sample;
	double time;
};

#define MAX_EDGES	256
#define TEXT_BYTES	32768

/* Entries of the writer's queue. */
enum msg_type {
	MSG_CHUNK,
	MSG_SIDE,		/* text, freed by the writer */
	MSG_EDGES,
	MSG_SPIKE_RECORDS,
	MSG_STIM,		/* struct oeb_stim */
	MSG_NEXT,		/* begin recording<R+1> */
	MSG_END,
};

struct msg {
	enum msg_type type;
	struct chunk *chunk;
	const char *name, *head;
	void *data;		/* text, edges or records; freed by the writer */
	size_t len;		/* bytes, or number of edges */
};

/* Intervals on their way from the reader to the detector. */
struct blank_list {
	pthread_mutex_t lock;	/* the rest */
	struct {
		uint64_t from, to;
	} *v;
	size_t n, room;
};

struct detector_stream {
	struct rec *r;
	struct blank_list blanks;
	struct chunk *held;	/* waits for the next one; NULL */
	struct spike_detector *d;
	unsigned int stream;
	unsigned int prime_frames;
	/* time line of the last chunk */
	uint64_t first, mono0_ns;
	double ns_per_row;
};

struct rec {
	struct rec_config cfg;
	struct source *src;
	struct rec_dev dev[REC_MAX_DEVICES];
	unsigned int n_dev;
	uint8_t by_addr[65536];		/* index in dev + 1, 0: unknown */
	struct rec_stream stream[OEB_MAX_STREAMS];
	unsigned int n_stream;
	int main_stream;		/* TTL edges are numbered on it; -1 */
	char event_stream[REC_NAME];
	const char *ttl_lines;		/* what they are, static */
	double event_rate;

	struct pool pool;
	struct queue to_writer, to_detector;
	pthread_t reader, writer, detector;
	bool reader_up, writer_up, detector_up;

	pthread_mutex_t plock;
	struct rec_progress prog;

	atomic_bool want_stop;		/* duration, size or a failed disk */
	atomic_bool give_up;		/* main: do not wait for the stream's end */
	atomic_bool disk_failed;
	atomic_uint_fast64_t spikes;	/* for the progress line */
	atomic_uint_fast64_t written;

	/* reader */
	struct text text[6];
	unsigned int n_text;
	struct edge edges[MAX_EDGES];
	unsigned int n_edges;
	uint64_t ttl_word;
	bool have_ttl;
	struct onidev_clock_fit fit;
	bool have_fit;
	uint64_t flushed_ns, fit_ns;
	uint64_t frames, unknown, desyncs, desync_bytes, last_clock;
	uint64_t card_words, card_peak_words, card_total_words;
	struct triggers triggers;
	unsigned int n_trigger;		/* trigger devices */
	bool late_blanks;		/* blanks may come after the data that they concern */
	uint64_t triggers_seen, triggers_unknown, triggers_commanded, blanks_lost;
	uint64_t unsearched;		/* frames the detector was not given */
	struct onidev_stream_status status;
	enum rec_end end;
	int end_errno;
	bool realtime;

	/* detector */
	struct detector_stream det[OEB_MAX_STREAMS];
	unsigned int n_det;
	unsigned int spike_channels;
	char *batch;
	size_t batch_len, batch_max, record_bytes;
	uint32_t seq;
	uint64_t spikes_dropped;

	/* writer */
	struct oeb *oeb;
	uint64_t commits, longest_commit_ns, discarded;
	uint64_t commit_ns, commit_bytes;
	uint64_t rows_before[OEB_MAX_STREAMS];	/* in earlier recordings */
	unsigned int recordings;
	struct published audit;		/* as last written */
	json_t *audit_start, *audit_end;	/* of this recording; NULL: not yet */
	json_t *summary;
	uint64_t start_mono_ns, start_real_ns;
	char path[640];
	char session[512];
	char disk_text[400];
};

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* chunk.c: waits for room unless it would hold what the pool's bound forbids */
int pool_init(struct rec *r);
void pool_free(struct rec *r);
struct chunk *chunk_get(struct rec *r, unsigned int stream);
void chunk_put(struct rec *r, struct chunk *c);
bool pool_tight(struct rec *r);

/* reader.c */
void *reader_main(void *arg);
/* writer.c */
void *writer_main(void *arg);
int writer_open(struct rec *r, char *err, size_t errlen);
/* detector.c */
int detector_open(struct rec *r);
void detector_close(struct rec *r);
/* Reader: frames [from, to) of a stream will not be searched. false: no memory. */
bool detector_blank(struct detector_stream *s, uint64_t from, uint64_t to);
void *detector_main(void *arg);
/* Sentinel of the detector's queue. */
extern struct chunk detector_end;
/*
 * audit.c, the owner of the files. Look, for meta.json; write that down, once there is a
 * file; write down what has changed; the end, when @seq, the last event seen, is in the
 * log (for 2 s at most). -1: a file cannot be written.
 */
void audit_begins(struct rec *r);
int audit_begun(struct rec *r);
int audit_goes_on(struct rec *r);
int audit_ends(struct rec *r, uint64_t seq);
/* summary.c: meta.json while recording (fixed facts only), and at the end */
json_t *summary_head(struct rec *r, const char *state);
json_t *summary_json(struct rec *r, const char *state, const char *reason, const char *message);

#endif
