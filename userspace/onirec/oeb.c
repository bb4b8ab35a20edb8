// SPDX-License-Identifier: MIT
/*
 * oeb.c - the writer of oeb.h. It owns every file of the present recording and
 * nothing else; the layout and the order of writes are said in oeb.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "oeb.h"
#include "crc32c.h"
#include "oeb_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define NODE		"Record Node 100"
#define SOURCE		"ONIX-100."
#define SOURCE_NAME	"ONIX"
#define SOURCE_ID	100
#define GUI_VERSION	"1.0.1"		/* readers choose file names by it */
#define BALLAST		(1u << 20)	/* given back when the disk is full */
#define BALLAST_NAME	"ballast"
#define MAX_SIDE	8

static_assert(sizeof(struct spikes_header) == SPIKES_HEADER, "spikes.bin header");

/* Columns in the order in which their headers are written. */
enum { DAT, SAMPLES, TIMES, STREAM_COLUMNS };
enum { TTL_TIMES, TTL_SAMPLES, TTL_WORDS, TTL_STATES, TTL_COLUMNS };
enum { MSG_TIMES, MSG_SAMPLES, MSG_TEXT, MSG_COLUMNS };
enum {
	STIM_TIMES, STIM_SAMPLES, STIM_HUB_CLOCKS, STIM_HUBS, STIM_ORIGINS, STIM_RESULTS,
	STIM_DELAYS, STIM_SESSIONS, STIM_PROGRAMS, STIM_TEXT, STIM_COLUMNS
};

static const struct {
	const char *name, *descr;
	uint32_t bytes;
} stim_columns[STIM_COLUMNS] = {
	[STIM_TIMES] = { "timestamps.npy", "<f8", 8 },
	[STIM_SAMPLES] = { "sample_numbers.npy", "<i8", 8 },
	[STIM_HUB_CLOCKS] = { "hub_clocks.npy", "<u8", 8 },
	[STIM_HUBS] = { "hubs.npy", "<u2", 2 },
	[STIM_ORIGINS] = { "origins.npy", "<u2", 2 },
	[STIM_RESULTS] = { "results.npy", "<u2", 2 },
	[STIM_DELAYS] = { "delays.npy", "<u4", 4 },
	[STIM_SESSIONS] = { "sessions.npy", "<u8", 8 },
	[STIM_PROGRAMS] = { "programs.npy", "|S64", 64 },
	[STIM_TEXT] = { "text.npy", "|S128", OEB_TEXT },
};

struct continuous {
	struct oeb_stream desc;
	struct oeb_column col[STREAM_COLUMNS];
	int dir;
	uint64_t first;		/* sample number of row 0 */
	bool live;		/* named in structure.oebin */
};

struct side {
	char name[32];
	int fd;
	uint64_t bytes;
};

struct oeb {
	struct oeb_config cfg;
	char session[512];
	char path[640];
	char event_stream[48];
	char ttl_name[48];
	char ttl_lines[80];
	unsigned int number;	/* of the recording, from 1 */
	struct continuous stream[OEB_MAX_STREAMS];
	unsigned int n_streams;

	struct oeb_column ttl[TTL_COLUMNS];
	struct oeb_column msg[MSG_COLUMNS];
	struct oeb_column stim[STIM_COLUMNS];
	int ttl_dir, msg_dir, stim_dir;
	bool ttl_live, stim_live;
	int dir;		/* of the recording */
	int side_dir;		/* onirec/ */
	int journal;
	uint64_t journal_bytes;
	uint64_t seq;
	int spikes;
	uint64_t spike_bytes;
	struct side side[MAX_SIDE];
	unsigned int n_side;

	bool finished;
	bool changed;		/* something went live since */
	uint64_t bytes;
	int error;		/* first one; nothing is appended after it */
	char text[400];
};

const char *oeb_error(const struct oeb *o)
{
	return o->text;
}

const char *oeb_path(const struct oeb *o)
{
	return o->path;
}

uint64_t oeb_rows(const struct oeb *o, unsigned int s)
{
	return o->stream[s].col[DAT].rows;
}

uint64_t oeb_bytes(const struct oeb *o)
{
	return o->bytes;
}

/* Latch the first error with its sentence. Always -1. */
__attribute__((format(printf, 2, 3)))
static int fail(struct oeb *o, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	size_t n;

	if (!o->error) {
		o->error = saved ? saved : EIO;
		va_start(ap, fmt);
		vsnprintf(o->text, sizeof(o->text), fmt, ap);
		va_end(ap);
		n = strlen(o->text);
		snprintf(o->text + n, sizeof(o->text) - n, ": %s", strerror(o->error));
	}
	errno = o->error;
	return -1;
}

/* --- making the folders ------------------------------------------------------ */

static int make_stream(struct oeb *o, struct continuous *s)
{
	char path[128];

	snprintf(path, sizeof(path), "continuous/" SOURCE "%s", s->desc.name);
	s->dir = oeb_make_dir(o->dir, path);
	if (s->dir < 0 ||
	    oeb_column_create(&s->col[DAT], s->dir, "continuous.dat", NULL,
			      s->desc.channels * 2) ||
	    oeb_column_create(&s->col[SAMPLES], s->dir, "sample_numbers.npy", "<i8", 8) ||
	    oeb_column_create(&s->col[TIMES], s->dir, "timestamps.npy", "<f8", 8))
		return fail(o, "cannot make %s/%s", o->path, path);
	return 0;
}

static int make_messages(struct oeb *o)
{
	o->msg_dir = oeb_make_dir(o->dir, "events/MessageCenter");
	if (o->msg_dir < 0 ||
	    oeb_column_create(&o->msg[MSG_TIMES], o->msg_dir, "timestamps.npy", "<f8", 8) ||
	    oeb_column_create(&o->msg[MSG_SAMPLES], o->msg_dir, "sample_numbers.npy", "<i8", 8) ||
	    oeb_column_create(&o->msg[MSG_TEXT], o->msg_dir, "text.npy", "|S128", OEB_TEXT))
		return fail(o, "cannot make %s/events/MessageCenter", o->path);
	return 0;
}

static int make_ttl(struct oeb *o)
{
	char path[128];

	snprintf(path, sizeof(path), "events/" SOURCE "%s/TTL", o->event_stream);
	o->ttl_dir = oeb_make_dir(o->dir, path);
	if (o->ttl_dir < 0 ||
	    oeb_column_create(&o->ttl[TTL_TIMES], o->ttl_dir, "timestamps.npy", "<f8", 8) ||
	    oeb_column_create(&o->ttl[TTL_SAMPLES], o->ttl_dir, "sample_numbers.npy", "<i8", 8) ||
	    oeb_column_create(&o->ttl[TTL_WORDS], o->ttl_dir, "full_words.npy", "<u8", 8) ||
	    oeb_column_create(&o->ttl[TTL_STATES], o->ttl_dir, "states.npy", "<i2", 2))
		return fail(o, "cannot make %s/%s", o->path, path);
	return 0;
}

static int make_stim(struct oeb *o)
{
	char path[128];

	snprintf(path, sizeof(path), "events/" SOURCE "%s/Stimulation", o->event_stream);
	o->stim_dir = oeb_make_dir(o->dir, path);
	if (o->stim_dir < 0)
		return fail(o, "cannot make %s/%s", o->path, path);
	for (int c = 0; c < STIM_COLUMNS; c++)
		if (oeb_column_create(&o->stim[c], o->stim_dir, stim_columns[c].name,
				      stim_columns[c].descr, stim_columns[c].bytes))
			return fail(o, "cannot make %s/%s", o->path, path);
	return 0;
}

/*
 * The lock tells oeb_recover() that this recording is in progress. The ballast
 * is room for the last headers and meta.json on a full disk.
 */
static int make_side(struct oeb *o)
{
	int fd;

	o->side_dir = oeb_make_dir(o->dir, "onirec");
	if (o->side_dir < 0)
		return fail(o, "cannot make %s/onirec", o->path);
	o->journal = openat(o->side_dir, "journal", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (o->journal < 0 || flock(o->journal, LOCK_EX | LOCK_NB))
		return fail(o, "cannot make %s/onirec/journal", o->path);
	fd = openat(o->side_dir, BALLAST_NAME, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || fallocate(fd, 0, 0, BALLAST)) {
		if (fd >= 0)
			close(fd);
		if (fd < 0 || errno != EOPNOTSUPP)
			return fail(o, "cannot set aside room in %s/onirec", o->path);
		return 0;
	}
	close(fd);
	return 0;
}

static json_t *structure(const struct oeb *o, bool all);

#define JSON_STYLE	(JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15))

static int write_json(int dir, const char *name, json_t *j)
{
	char *text = j ? json_dumps(j, JSON_STYLE) : NULL;
	int ret;

	json_decref(j);
	if (!text) {
		errno = ENOMEM;
		return -1;
	}
	ret = oeb_replace(dir, name, text, strlen(text));
	free(text);
	return ret;
}

static int write_sync_text(struct oeb *o)
{
	char line[200];
	struct timespec now;
	long long ms;
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	n = snprintf(line, sizeof(line), "Software Time (milliseconds since midnight "
		     "Jan 1st 1970 UTC): %lld\r\n", ms);
	return oeb_replace(o->dir, "sync_messages.txt", line, (size_t)n);
}

static void reset(struct oeb *o)
{
	for (unsigned int i = 0; i < OEB_MAX_STREAMS; i++) {
		o->stream[i].dir = -1;
		o->stream[i].live = false;
		for (int c = 0; c < STREAM_COLUMNS; c++)
			o->stream[i].col[c] = (struct oeb_column){ .fd = -1 };
	}
	for (int c = 0; c < TTL_COLUMNS; c++)
		o->ttl[c] = (struct oeb_column){ .fd = -1 };
	for (int c = 0; c < MSG_COLUMNS; c++)
		o->msg[c] = (struct oeb_column){ .fd = -1 };
	for (int c = 0; c < STIM_COLUMNS; c++)
		o->stim[c] = (struct oeb_column){ .fd = -1 };
	o->ttl_dir = o->msg_dir = o->stim_dir = o->dir = o->side_dir = o->journal = o->spikes = -1;
	o->n_side = 0;
	o->spike_bytes = 0;
	o->journal_bytes = 0;
	o->seq = 0;
	o->finished = o->changed = o->ttl_live = o->stim_live = false;
}

static int begin(struct oeb *o)
{
	reset(o);
	snprintf(o->path, sizeof(o->path), "%s/" NODE "/experiment1/recording%u", o->session,
		 o->number);
	o->dir = oeb_make_dir(AT_FDCWD, o->path);
	if (o->dir < 0)
		return fail(o, "cannot make the folder %s", o->path);
	if (make_side(o) || make_messages(o))
		return -1;
	for (unsigned int i = 0; i < o->n_streams; i++)
		if (make_stream(o, &o->stream[i]))
			return -1;
	if (write_sync_text(o) || write_json(o->side_dir, "structure.json", structure(o, true)))
		return fail(o, "cannot write to %s", o->path);
	return 0;
}

static bool desc_ok(const struct oeb_config *cfg)
{
	if (cfg->n_streams > OEB_MAX_STREAMS)
		return false;
	for (unsigned int i = 0; i < cfg->n_streams; i++) {
		const struct oeb_stream *s = &cfg->streams[i];

		/* a frame is at most one page: see oeb_file.c */
		if (!s->channels || s->channels > 2048 || !(s->rate_hz > 0) || !s->name[0] ||
		    strstr(s->name, "ADC") || strstr(s->name, "SYNC") || strchr(s->name, '/'))
			return false;
	}
	return true;
}

struct oeb *oeb_open(const struct oeb_config *cfg, char *err, size_t errlen)
{
	struct oeb *o = calloc(1, sizeof(*o));

	if (!o || !desc_ok(cfg) || strlen(cfg->session) >= sizeof(o->session)) {
		errno = o ? EINVAL : ENOMEM;
		snprintf(err, errlen, "cannot make the recording: %s", strerror(errno));
		free(o);
		return NULL;
	}
	o->cfg = *cfg;
	o->number = 1;
	o->n_streams = cfg->n_streams;
	snprintf(o->session, sizeof(o->session), "%s", cfg->session);
	snprintf(o->event_stream, sizeof(o->event_stream), "%s", cfg->event_stream);
	snprintf(o->ttl_name, sizeof(o->ttl_name), "%s", cfg->ttl_name);
	snprintf(o->ttl_lines, sizeof(o->ttl_lines), "%s", cfg->ttl_lines ? cfg->ttl_lines : "");
	for (unsigned int i = 0; i < cfg->n_streams; i++)
		o->stream[i].desc = cfg->streams[i];
	if (begin(o)) {
		oeb_close(o, err, errlen);
		return NULL;
	}
	return o;
}

/* --- structure.oebin --------------------------------------------------------- */

static json_t *channel_json(const struct oeb_stream *s, unsigned int i)
{
	double scale = s->scale[0] > 0 && i < OEB_SCALES ? s->scale[i] : s->bit_volts;
	unsigned int g = s->group_channels ? i / s->group_channels : OEB_GROUPS;
	char name[32], id[80], text[200];

	snprintf(text, sizeof(text), "%s%s%s", s->description, g < OEB_GROUPS ? ", " : "",
		 g < OEB_GROUPS ? s->group[g] : "");
	snprintf(name, sizeof(name), "%s%u", s->prefix, i + 1);
	snprintf(id, sizeof(id), "onix.%s.%u", s->name, i + 1);
	return json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:i}", "channel_name", name,
			 "description", text, "identifier", id,
			 "history", SOURCE_NAME " -> Record Node", "bit_volts", scale,
			 "units", s->units, "type", s->type);
}

static json_t *stream_json(const struct oeb_stream *s)
{
	json_t *channels = json_array();
	char folder[80];

	for (unsigned int i = 0; i < s->channels; i++)
		json_array_append_new(channels, channel_json(s, i));
	snprintf(folder, sizeof(folder), SOURCE "%s/", s->name);
	return json_pack("{s:s, s:f, s:s, s:i, s:s, s:s, s:i, s:i, s:o}", "folder_name", folder,
			 "sample_rate", s->rate_hz, "source_processor_name", SOURCE_NAME,
			 "source_processor_id", SOURCE_ID, "stream_name", s->name,
			 "recorded_processor", "Record Node", "recorded_processor_id", SOURCE_ID,
			 "num_channels", (int)s->channels, "channels", channels);
}

static json_t *ttl_json(const struct oeb *o)
{
	char folder[80];

	snprintf(folder, sizeof(folder), SOURCE "%s/TTL/", o->event_stream);
	return json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:s, s:s, s:i}",
			 "folder_name", folder, "channel_name", o->ttl_name,
			 "description", o->ttl_lines,
			 "identifier", "onix.digital", "sample_rate", o->cfg.event_rate,
			 "type", "int16", "source_processor", SOURCE_NAME,
			 "stream_name", o->event_stream, "initial_state", 0);
}

static json_t *stim_json(const struct oeb *o)
{
	char folder[80];

	snprintf(folder, sizeof(folder), SOURCE "%s/Stimulation/", o->event_stream);
	return json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:s, s:s}",
			 "folder_name", folder, "channel_name", "Stimulation",
			 "description", "Stimulation triggers: headstage, origin, result, program",
			 "identifier", "onix.stimulation", "sample_rate", o->cfg.event_rate,
			 "type", "string", "source_processor", SOURCE_NAME,
			 "stream_name", o->event_stream);
}

static json_t *events_json(const struct oeb *o, bool all)
{
	json_t *events = json_array();

	json_array_append_new(events,
		json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:s, s:s}",
			  "folder_name", "MessageCenter/", "channel_name", "Messages",
			  "description", "Messages of the recorder",
			  "identifier", "messagecenter.events", "sample_rate", o->cfg.event_rate,
			  "type", "string", "source_processor", "Message Center",
			  "stream_name", o->event_stream));
	if (o->ttl_live || all)
		json_array_append_new(events, ttl_json(o));
	if (o->stim_live || all)
		json_array_append_new(events, stim_json(o));
	return events;
}

/* What structure.oebin says: live streams only, or all for oeb_recover(). */
static json_t *structure(const struct oeb *o, bool all)
{
	json_t *continuous = json_array();

	for (unsigned int i = 0; i < o->n_streams; i++)
		if (all || o->stream[i].live)
			json_array_append_new(continuous, stream_json(&o->stream[i].desc));
	return json_pack("{s:s, s:o, s:o, s:[]}", "GUI version", GUI_VERSION,
			 "continuous", continuous, "events", events_json(o, all), "spikes");
}

static void note_live(struct oeb *o)
{
	for (unsigned int i = 0; i < o->n_streams; i++) {
		struct continuous *s = &o->stream[i];

		if (!s->live && s->col[DAT].rows && s->col[SAMPLES].published &&
		    s->col[TIMES].published) {
			s->live = true;
			o->changed = true;
		}
	}
	if (!o->ttl_live && o->ttl[TTL_STATES].published) {
		o->ttl_live = true;
		o->changed = true;
	}
	if (!o->stim_live && o->stim[STIM_TEXT].published) {
		o->stim_live = true;
		o->changed = true;
	}
}

/* --- appending ----------------------------------------------------------------- */

static int append(struct oeb *o, struct oeb_column *c, const void *rows, size_t n)
{
	uint64_t before = c->rows;
	int ret = oeb_column_append(c, rows, n);
	int saved = errno;

	o->bytes += (c->rows - before) * c->row_bytes;
	errno = saved;
	return ret;
}

/* Nothing is appended after an error or the end. */
static bool closed(struct oeb *o)
{
	if (!o->error && !o->finished)
		return false;
	errno = o->error ? o->error : ESHUTDOWN;
	return true;
}

int oeb_append(struct oeb *o, unsigned int s, const int16_t *frames, size_t n, uint64_t first,
	       const double *times)
{
	struct continuous *st = &o->stream[s];
	int64_t numbers[512];

	if (closed(o))
		return -1;
	if (!st->col[DAT].rows)
		st->first = first;
	if (append(o, &st->col[DAT], frames, n))
		return fail(o, "cannot write continuous.dat of %s", st->desc.name);
	for (size_t done = 0; done < n;) {
		size_t k = n - done < 512 ? n - done : 512;

		for (size_t i = 0; i < k; i++)
			numbers[i] = (int64_t)(first + done + i);
		if (append(o, &st->col[SAMPLES], numbers, k))
			return fail(o, "cannot write sample_numbers.npy of %s", st->desc.name);
		done += k;
	}
	if (append(o, &st->col[TIMES], times, n))
		return fail(o, "cannot write timestamps.npy of %s", st->desc.name);
	return 0;
}

int oeb_ttl(struct oeb *o, unsigned int line, bool state, uint64_t word, int64_t sample,
	    double time)
{
	int16_t value = (int16_t)(state ? (int)line : -(int)line);

	if (closed(o))
		return -1;
	if (o->ttl_dir < 0 && make_ttl(o))
		return -1;
	if (append(o, &o->ttl[TTL_TIMES], &time, 1) ||
	    append(o, &o->ttl[TTL_SAMPLES], &sample, 1) ||
	    append(o, &o->ttl[TTL_WORDS], &word, 1) || append(o, &o->ttl[TTL_STATES], &value, 1))
		return fail(o, "cannot write a digital event");
	return 0;
}

int oeb_message(struct oeb *o, const char *text, int64_t sample, double time)
{
	char row[OEB_TEXT] = "";

	if (closed(o))
		return -1;
	snprintf(row, sizeof(row), "%s", text);
	if (append(o, &o->msg[MSG_TIMES], &time, 1) ||
	    append(o, &o->msg[MSG_SAMPLES], &sample, 1) || append(o, &o->msg[MSG_TEXT], row, 1))
		return fail(o, "cannot write a message");
	return 0;
}

int oeb_stim(struct oeb *o, const struct oeb_stim *e)
{
	const void *const row[STIM_COLUMNS] = {
		[STIM_TIMES] = &e->time, [STIM_SAMPLES] = &e->sample,
		[STIM_HUB_CLOCKS] = &e->hub_clock, [STIM_HUBS] = &e->hub,
		[STIM_ORIGINS] = &e->origin, [STIM_RESULTS] = &e->result,
		[STIM_DELAYS] = &e->delay, [STIM_SESSIONS] = &e->session,
		[STIM_PROGRAMS] = e->program, [STIM_TEXT] = e->text,
	};

	if (closed(o))
		return -1;
	if (o->stim_dir < 0 && make_stim(o))
		return -1;
	for (int c = 0; c < STIM_COLUMNS; c++)
		if (append(o, &o->stim[c], row[c], 1))
			return fail(o, "cannot write a stimulation event");
	return 0;
}

int oeb_spikes_begin(struct oeb *o, const struct spikes_header *h)
{
	if (closed(o))
		return -1;
	o->spikes = openat(o->side_dir, "spikes.bin", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (o->spikes < 0 || oeb_pwrite(o->spikes, h, sizeof(*h), 0))
		return fail(o, "cannot make %s/onirec/spikes.bin", o->path);
	o->spike_bytes = sizeof(*h);
	return 0;
}

int oeb_spikes(struct oeb *o, const void *records, size_t bytes)
{
	if (closed(o))
		return -1;
	if (oeb_pwrite(o->spikes, records, bytes, o->spike_bytes)) {
		int saved = errno;

		if (ftruncate(o->spikes, (off_t)o->spike_bytes))
			saved = errno;	/* the checksums still find the end */
		errno = saved;
		return fail(o, "cannot write spikes.bin");
	}
	o->spike_bytes += bytes;
	o->bytes += bytes;
	return 0;
}

int oeb_spikes_end(struct oeb *o, uint64_t spikes, uint64_t guarded, uint64_t dropped)
{
	uint64_t counts[3] = { spikes, guarded, dropped };

	if (o->spikes < 0)
		return 0;
	/* in place: needs no room even on a full disk */
	if (oeb_pwrite(o->spikes, counts, sizeof(counts), offsetof(struct spikes_header, spikes)))
		return fail(o, "cannot write the header of spikes.bin");
	return 0;
}

static struct side *side_open(struct oeb *o, const char *name, const char *head)
{
	struct side *s;

	for (unsigned int i = 0; i < o->n_side; i++)
		if (!strcmp(o->side[i].name, name))
			return &o->side[i];
	if (o->n_side == MAX_SIDE) {
		errno = EMFILE;
		return NULL;
	}
	s = &o->side[o->n_side];
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->bytes = 0;
	s->fd = openat(o->side_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (s->fd < 0)
		return NULL;
	o->n_side++;
	if (oeb_pwrite(s->fd, head, strlen(head), 0))
		return NULL;
	s->bytes = strlen(head);
	return s;
}

int oeb_side(struct oeb *o, const char *name, const char *head, const char *lines, size_t len)
{
	struct side *s;

	if (closed(o))
		return -1;
	s = side_open(o, name, head);
	if (!s || oeb_pwrite(s->fd, lines, len, s->bytes))
		return fail(o, "cannot write onirec/%s", name);
	s->bytes += len;
	o->bytes += len;
	return 0;
}

int oeb_meta(struct oeb *o, json_t *meta)
{
	if (write_json(o->side_dir, "meta.json", json_incref(meta)))
		return fail(o, "cannot write %s/onirec/meta.json", o->path);
	return 0;
}

/* --- the once-a-second step ------------------------------------------------------ */

static int sync_columns(struct oeb_column *c, int n)
{
	for (int i = 0; i < n; i++)
		if (c[i].fd >= 0 && c[i].rows != c[i].published && fdatasync(c[i].fd))
			return -1;
	return 0;
}

/* First all files at once, so that the waits that follow are short. */
static void start_writeback(struct oeb *o)
{
	for (unsigned int i = 0; i < o->n_streams; i++)
		for (int c = 0; c < STREAM_COLUMNS; c++)
			sync_file_range(o->stream[i].col[c].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int sync_all(struct oeb *o)
{
	start_writeback(o);
	for (unsigned int i = 0; i < o->n_streams; i++)
		if (sync_columns(o->stream[i].col, STREAM_COLUMNS))
			return fail(o, "cannot sync %s to the disk", o->stream[i].desc.name);
	if (sync_columns(o->ttl, TTL_COLUMNS) || sync_columns(o->msg, MSG_COLUMNS) ||
	    sync_columns(o->stim, STIM_COLUMNS))
		return fail(o, "cannot sync the events to the disk");
	if (o->spikes >= 0 && fdatasync(o->spikes))
		return fail(o, "cannot sync spikes.bin to the disk");
	return 0;
}

static int publish_columns(struct oeb_column *c, int n)
{
	for (int i = 0; i < n; i++) {
		if (c[i].fd < 0)
			continue;
		if (!c[i].descr[0])
			c[i].published = c[i].rows;
		else if (c[i].published != c[i].rows && oeb_column_publish(&c[i]))
			return -1;
	}
	return 0;
}

static int publish_all(struct oeb *o)
{
	for (unsigned int i = 0; i < o->n_streams; i++)
		if (publish_columns(o->stream[i].col, STREAM_COLUMNS))
			return fail(o, "cannot write the headers of %s", o->stream[i].desc.name);
	if (publish_columns(o->ttl, TTL_COLUMNS) || publish_columns(o->msg, MSG_COLUMNS) ||
	    publish_columns(o->stim, STIM_COLUMNS))
		return fail(o, "cannot write the headers of the events");
	return 0;
}

/* One line: number, time, rows of every stream and event folder, checksum. */
static int journal_line(struct oeb *o)
{
	char line[2048];
	struct timespec now;
	int n;

	clock_gettime(CLOCK_MONOTONIC, &now);
	n = snprintf(line, sizeof(line), "commit %" PRIu64 " mono_ns %lld", o->seq++,
		     (long long)now.tv_sec * 1000000000 + now.tv_nsec);
	for (unsigned int i = 0; i < o->n_streams; i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n, " %s %" PRIu64,
			      o->stream[i].desc.name, o->stream[i].col[DAT].rows);
	n += snprintf(line + n, sizeof(line) - (size_t)n, " TTL %" PRIu64 " MessageCenter %" PRIu64
		      " Stimulation %" PRIu64 " spikes.bin %" PRIu64, o->ttl[TTL_STATES].rows,
		      o->msg[MSG_TEXT].rows, o->stim[STIM_TEXT].rows, o->spike_bytes);
	n += snprintf(line + n, sizeof(line) - (size_t)n, " crc %08x\n",
		      crc32c(0, line, (size_t)n));
	if (oeb_pwrite(o->journal, line, (size_t)n, o->journal_bytes) || fdatasync(o->journal))
		return fail(o, "cannot write %s/onirec/journal", o->path);
	o->journal_bytes += (uint64_t)n;
	return 0;
}

static int publish_structure(struct oeb *o)
{
	bool any = false;

	note_live(o);
	for (unsigned int i = 0; i < o->n_streams; i++)
		any |= o->stream[i].live;
	if (!o->changed || (!any && o->n_streams) || !o->msg[MSG_TEXT].published)
		return 0;
	/* the folders themselves, too, before a file says they exist */
	if (syncfs(o->dir) || write_json(o->dir, "structure.oebin", structure(o, false)))
		return fail(o, "cannot write %s/structure.oebin", o->path);
	o->changed = false;
	return 0;
}

static int check_reserve(struct oeb *o)
{
	struct statvfs vfs;

	if (!o->cfg.reserve || fstatvfs(o->dir, &vfs) ||
	    (uint64_t)vfs.f_bavail * vfs.f_frsize >= o->cfg.reserve)
		return 0;
	errno = ENOSPC;
	return fail(o, "less than %" PRIu64 " MiB are left on the disk of %s",
		    o->cfg.reserve >> 20, o->session);
}

int oeb_commit(struct oeb *o)
{
	if (closed(o))
		return -1;
	if (sync_all(o) || publish_all(o) || journal_line(o) || publish_structure(o))
		return -1;
	return check_reserve(o);
}

/* --- the end --------------------------------------------------------------------- */

static uint64_t least(const struct oeb_column *c, int n)
{
	uint64_t rows = UINT64_MAX;

	for (int i = 0; i < n; i++)
		if (c[i].rows < rows)
			rows = c[i].rows;
	return rows;
}

/* All columns to the same number of rows: an append may have ended in between. */
static int level(struct oeb_column *c, int n)
{
	uint64_t rows = least(c, n);

	for (int i = 0; i < n; i++)
		if (c[i].rows > rows && oeb_column_cut(&c[i], rows))
			return -1;
	return 0;
}

static int level_all(struct oeb *o)
{
	int ret = 0;

	for (unsigned int i = 0; i < o->n_streams; i++)
		if (o->stream[i].col[TIMES].fd >= 0)
			ret |= level(o->stream[i].col, STREAM_COLUMNS);
	if (o->ttl[TTL_STATES].fd >= 0)
		ret |= level(o->ttl, TTL_COLUMNS);
	if (o->msg[MSG_TEXT].fd >= 0)
		ret |= level(o->msg, MSG_COLUMNS);
	if (o->stim[STIM_TEXT].fd >= 0)
		ret |= level(o->stim, STIM_COLUMNS);
	return ret;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_all(struct oeb *o)
{
	for (unsigned int i = 0; i < o->n_streams; i++) {
		for (int c = 0; c < STREAM_COLUMNS; c++)
			oeb_column_close(&o->stream[i].col[c]);
		close_fd(&o->stream[i].dir);
	}
	for (int c = 0; c < TTL_COLUMNS; c++)
		oeb_column_close(&o->ttl[c]);
	for (int c = 0; c < MSG_COLUMNS; c++)
		oeb_column_close(&o->msg[c]);
	for (int c = 0; c < STIM_COLUMNS; c++)
		oeb_column_close(&o->stim[c]);
	for (unsigned int i = 0; i < o->n_side; i++)
		close_fd(&o->side[i].fd);
	o->n_side = 0;
	close_fd(&o->ttl_dir);
	close_fd(&o->msg_dir);
	close_fd(&o->stim_dir);
	close_fd(&o->spikes);
	close_fd(&o->journal);
	close_fd(&o->side_dir);
	close_fd(&o->dir);
}

/*
 * The last commit. After an error it still tries every step: the files there
 * are were made before, and the ballast gives room for what grows a little.
 */
void oeb_finish(struct oeb *o)
{
	if (o->finished || o->side_dir < 0 || o->journal < 0)
		return;
	o->finished = true;
	unlinkat(o->side_dir, BALLAST_NAME, 0);
	if (level_all(o))
		fail(o, "cannot cut the files of %s to whole frames", o->path);
	sync_all(o);
	publish_all(o);
	journal_line(o);
	publish_structure(o);
	for (unsigned int i = 0; i < o->n_side; i++)
		if (fdatasync(o->side[i].fd))
			fail(o, "cannot sync onirec/%s", o->side[i].name);
}

int oeb_next(struct oeb *o)
{
	if (o->error)
		return -1;
	oeb_finish(o);
	close_all(o);
	if (o->error) {
		errno = o->error;
		return -1;
	}
	o->number++;
	return begin(o);
}

int oeb_close(struct oeb *o, char *err, size_t errlen)
{
	int error;

	oeb_finish(o);
	close_all(o);
	error = o->error;
	if (error)
		snprintf(err, errlen, "%s", o->text);
	free(o);
	errno = error;
	return error ? -1 : 0;
}
