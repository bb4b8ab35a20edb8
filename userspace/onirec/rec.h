/* SPDX-License-Identifier: MIT */
/*
 * rec.h - the recorder: what main.c and the tests see of it.
 *
 * Four threads:
 *	reader	 ring -> chunks; counts every frame; never touches a file
 *	detector chunks of the amplifier channels -> spikes
 *	writer	 chunks, events, spikes -> files; the only one that touches them
 *	main	 starts and stops it all, progress line, watchdog
 * Chunks come from a pool of bounded size. When the disk is slow, spikes are
 * given up first (writer queue three quarters full, detector behind), then the
 * reader waits: the ring and then the card's own memory take the data. Each is
 * counted and ends up in meta.json.
 */
#ifndef ONIREC_REC_H
#define ONIREC_REC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "source.h"
#include "spike.h"
#include "trigger.h"

#define REC_MAX_DEVICES	64
#define REC_NAME	48
#define REC_OTHER_BYTES	256	/* longest payload of REC_OTHER */

/* What a frame of a device becomes. */
enum rec_sink {
	REC_COUNTED,		/* counted, not recorded: load tester, devices without
				 * a recorder yet whose frames are too long for a table
				 */
	REC_RHD2164,		/* amplifier stream, aux stream */
	REC_ANALOG,		/* breakout analog inputs */
	REC_DIGITAL,		/* TTL events */
	REC_MEMORY,		/* onirec/buffer.csv */
	REC_RHS2116,		/* amplifier stream, stream of the DC amplifiers */
	REC_TRIGGER,		/* stimulation events, frames.csv; blanks */
	REC_RHYTHM,		/* amplifier, aux and analog streams, TTL events */
	REC_OTHER,		/* onirec/frames.csv, payload in hex */
};

/* A device as set up before the start. */
struct rec_device {
	uint32_t addr;
	uint32_t id;
	char name[ONIDEV_NAME_MAX];
	enum rec_sink sink;
	double rate_hz;		/* 0: frames on events */
	double hub_hz;		/* 0: not known */
	double volts_per_code[ONIDEV_ANALOG_CHANNELS];	/* REC_ANALOG */
	uint32_t memory_words;	/* REC_MEMORY: total */
	struct onidev_rhythm_layout rhythm;	/* REC_RHYTHM: what is in a frame */
	uint32_t board;		/* REC_RHYTHM: hardware id of hub 0, for the scale */
};

/* What frames of a device id become unless told otherwise. */
enum rec_sink rec_sink_of(uint32_t id);

/* Whose channels a trigger makes blind for spikes. */
enum rec_blank {
	REC_BLANK_HEADSTAGE,	/* those of the headstage that stimulates */
	REC_BLANK_ALL,
	REC_BLANK_NONE,
};

struct rec_config {
	const char *session;		/* folder to make */
	uint32_t acq_hz;
	double seconds;			/* of acquisition clock; 0: no limit */
	uint64_t max_bytes;		/* of files; 0: no limit */
	uint64_t buffer_bytes;		/* of chunks waiting for the disk */
	uint64_t reserve_bytes;		/* to leave free on the disk */
	double fill_seconds;		/* longer gaps begin a new recording */
	double sync_seconds;		/* between two commits */
	bool aux;			/* record the auxiliary channels */
	bool detect;
	double k;
	double fixed_uv;		/* > 0: instead of k sigma */
	enum spike_polarity polarity;
	unsigned int channel_rate, stream_rate;	/* spikes per second, 0: no limit */
	unsigned int n_pre, n_post;
	double prime_seconds;		/* see spike.h */
	enum rec_blank blank;
	double blank_pre_us, blank_post_us;	/* before a trigger, after the train's end */
	double train_us;		/* of trains whose length nobody has told */
	double fire_us;			/* from FIRE to the begin, where nothing reports that */
	bool silent[256];		/* hubs whose stimulator reports no trains */
	struct trigger_train trains[TRIGGER_TRAINS];	/* at least so long */
	unsigned int n_trains;
	const char *audit_head;		/* where oni-auditd publishes (audit/publish.h); NULL */
	const char *audit_bus;		/* of this controller, for that */
	json_t *about;			/* put into meta.json; may be NULL */
};

/* Why it ended. */
enum rec_end {
	REC_RUNNING,
	REC_STOPPED,		/* asked to, or duration or size reached */
	REC_DISK,		/* a file could not be written */
	REC_GONE,		/* the hardware was unplugged */
	REC_FAULT,		/* the stream ended with an error */
};

/* A snapshot for the progress line. */
struct rec_progress {
	double seconds;		/* of acquisition clock */
	uint64_t frames, lost;
	uint64_t bytes_read;	/* of the stream */
	uint64_t bytes_written;
	uint64_t ring_fill, ring_bytes;
	uint64_t card_bytes, card_total;	/* 0: no memory monitor yet */
	uint64_t spikes;
	uint64_t loops;		/* of the reader: it is alive when this moves */
	bool want_stop;		/* the recorder wants the acquisition stopped */
	bool ended;		/* reader is done */
};

struct rec;

/*
 * Make the recording folder, before the acquisition is started.
 * NULL, errno, and a sentence in @err. @src, the strings and @devices stay the
 * caller's; @src and the strings about the audit log must outlive the recorder.
 */
struct rec *rec_open(const struct rec_config *cfg, struct source *src,
		     const struct rec_device *devices, unsigned int n_devices,
		     char *err, size_t errlen);
/* Start reading. -1 and errno: only rec_finish() and rec_free() make sense then. */
int rec_run(struct rec *r);
void rec_progress(struct rec *r, struct rec_progress *p);
/*
 * Wait until the reader has drained the stream, end the files. The caller has
 * stopped the source, or it ended by itself. Returns why it ended; @err has the
 * sentence unless it is REC_STOPPED.
 */
enum rec_end rec_finish(struct rec *r, char *err, size_t errlen);
/* The stop failed: do not wait for the end of the stream any more. */
void rec_give_up(struct rec *r);
/* What is in meta.json, after rec_finish(); the caller gives it back. */
json_t *rec_summary(struct rec *r);
const char *rec_path(struct rec *r);
void rec_free(struct rec *r);

#endif
