// SPDX-License-Identifier: MIT
/*
 * writer.c - the writer thread: the only one that touches files. Takes messages
 * in order, appends, and commits once a second or every 64 MiB (oeb.h). After a
 * failed write it goes on taking messages and throws them away, so that the
 * reader can drain the stream, and asks for a stop.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rec_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMIT_BYTES	(64u << 20)

static void failed(struct rec *r)
{
	if (atomic_exchange(&r->disk_failed, true))
		return;
	snprintf(r->disk_text, sizeof(r->disk_text), "%s", oeb_error(r->oeb));
	atomic_store(&r->want_stop, true);
}

static void spikes_header(struct rec *r, struct spikes_header *h)
{
	const struct oeb_stream *s = &r->stream[r->det[0].stream].desc;
	json_t *j, *list = json_array();
	char *text;

	memset(h, 0, sizeof(*h));
	memcpy(h->magic, "ONISPK\r\n", 8);
	h->version = SPIKES_VERSION;
	h->endian = 0x01020304;
	h->record_bytes = (uint32_t)r->record_bytes;
	h->n_pre = r->cfg.n_pre;
	h->n_post = r->cfg.n_post;
	h->channels = r->spike_channels;
	h->rate_hz = s->rate_hz;
	h->unit = s->bit_volts;
	snprintf(h->units_name, sizeof(h->units_name), "%s", s->units);
	snprintf(h->stream, sizeof(h->stream), "%s", s->name);
	for (unsigned int i = 0; i < r->n_det; i++) {
		const struct rec_stream *st = &r->stream[r->det[i].stream];

		json_array_append_new(list, json_pack("{s:s, s:i, s:i}", "stream", st->desc.name,
						      "first_channel", st->spike_base,
						      "channels", (int)st->desc.channels));
	}
	j = json_pack("{s:f, s:f, s:i, s:i, s:i, s:i, s:i, s:o}", "k", r->cfg.k, "fixed_uv",
		      r->cfg.fixed_uv, "polarity", r->cfg.polarity, "channel_rate",
		      (int)r->cfg.channel_rate, "stream_rate", (int)r->cfg.stream_rate,
		      "filter_delay", SPIKE_DELAY, "prime_frames",
		      (int)r->det[0].prime_frames, "streams", list);
	text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	if (text && strlen(text) < sizeof(h->json))
		strcpy(h->json, text);
	free(text);
	json_decref(j);
}

/* What every recording begins with. */
static int begin_recording(struct rec *r, const char *message, int64_t sample, double time)
{
	struct spikes_header h;
	json_t *meta;
	int ret;

	audit_begins(r);
	meta = summary_head(r, "recording");
	ret = oeb_meta(r->oeb, meta) || oeb_message(r->oeb, message, sample, time) || audit_begun(r);
	json_decref(meta);
	if (!ret && r->n_det) {
		spikes_header(r, &h);
		ret = oeb_spikes_begin(r->oeb, &h);
	}
	snprintf(r->path, sizeof(r->path), "%s", oeb_path(r->oeb));
	r->recordings++;
	return ret ? -1 : 0;
}

int writer_open(struct rec *r, char *err, size_t errlen)
{
	struct oeb_stream desc[OEB_MAX_STREAMS];
	struct oeb_config cfg = {
		.session = r->cfg.session,
		.streams = desc,
		.n_streams = r->n_stream,
		.event_stream = r->event_stream,
		.event_rate = r->event_rate,
		.ttl_name = "Digital inputs",
		.ttl_lines = r->ttl_lines,
		.reserve = r->cfg.reserve_bytes,
	};
	char ignored[400];
	int error;

	for (unsigned int i = 0; i < r->n_stream; i++)
		desc[i] = r->stream[i].desc;
	r->oeb = oeb_open(&cfg, err, errlen);
	if (!r->oeb)
		return -1;
	if (!begin_recording(r, "recording started", 0, 0))
		return 0;
	error = errno;
	snprintf(err, errlen, "%s", oeb_error(r->oeb));
	oeb_close(r->oeb, ignored, sizeof(ignored));
	r->oeb = NULL;
	errno = error;
	return -1;
}

static void next_recording(struct rec *r)
{
	double time = 0;
	int64_t sample = 0;
	json_t *meta;

	if (r->main_stream >= 0) {
		uint64_t rows = oeb_rows(r->oeb, (unsigned int)r->main_stream);

		sample = (int64_t)rows;
		time = (double)rows / r->event_rate;
	}
	/* what the next one begins with is soon enough for its last events */
	if (audit_ends(r, 0))
		failed(r);
	oeb_finish(r->oeb);
	for (unsigned int i = 0; i < r->n_stream; i++)
		r->rows_before[i] += oeb_rows(r->oeb, i);
	meta = summary_head(r, "continued");
	if (oeb_meta(r->oeb, meta) || oeb_next(r->oeb) ||
	    begin_recording(r, "recording continued after a gap, see gaps.csv of the last one",
			    sample, time))
		failed(r);
	json_decref(meta);
}

static int write_edges(struct rec *r, const struct edge *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (oeb_ttl(r->oeb, e[i].line, e[i].state, e[i].word, e[i].sample, e[i].time))
			return -1;
	return 0;
}

static int write_stim(struct rec *r, const struct oeb_stim *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (oeb_stim(r->oeb, &e[i]))
			return -1;
	return 0;
}

static int write_one(struct rec *r, const struct msg *m)
{
	switch (m->type) {
	case MSG_CHUNK:
		return oeb_append(r->oeb, m->chunk->stream, m->chunk->data, m->chunk->n,
				  m->chunk->first, m->chunk->times);
	case MSG_SIDE:
		return oeb_side(r->oeb, m->name, m->head, m->data, m->len);
	case MSG_EDGES:
		return write_edges(r, m->data, m->len);
	case MSG_STIM:
		return write_stim(r, m->data, m->len);
	case MSG_SPIKE_RECORDS:
		return oeb_spikes(r->oeb, m->data, m->len);
	case MSG_NEXT:
		next_recording(r);
		return 0;
	case MSG_END:
		break;
	}
	return 0;
}

static void handle(struct rec *r, struct msg *m)
{
	if (atomic_load(&r->disk_failed))
		r->discarded++;
	else if (write_one(r, m))
		failed(r);
	if (m->chunk)
		chunk_put(r, m->chunk);
	free(m->data);
	free(m);
	atomic_store(&r->written, oeb_bytes(r->oeb));
}

/* The first one as soon as every stream has rows: then the folder can be read. */
static bool commit_due(struct rec *r, uint64_t now)
{
	if (oeb_bytes(r->oeb) - r->commit_bytes >= COMMIT_BYTES)
		return true;
	if (now - r->commit_ns >= (uint64_t)(r->cfg.sync_seconds * 1e9))
		return true;
	if (r->commits)
		return false;
	for (unsigned int i = 0; i < r->n_stream; i++)
		if (!oeb_rows(r->oeb, i))
			return false;
	return true;
}

static void commit(struct rec *r)
{
	uint64_t t0 = now_ns(), took;

	if (audit_goes_on(r) || oeb_commit(r->oeb))
		failed(r);
	r->commits++;
	r->commit_ns = now_ns();
	r->commit_bytes = oeb_bytes(r->oeb);
	took = r->commit_ns - t0;
	if (took > r->longest_commit_ns)
		r->longest_commit_ns = took;
}

void *writer_main(void *arg)
{
	struct rec *r = arg;

	r->commit_ns = now_ns();
	for (;;) {
		struct msg *m = queue_get(&r->to_writer, 100);

		if (m && m->type == MSG_END) {
			free(m);
			break;
		}
		if (m)
			handle(r, m);
		if (!atomic_load(&r->disk_failed) && commit_due(r, now_ns()))
			commit(r);
	}
	/* the reader has ended: nobody changes r->triggers any more */
	if (!atomic_load(&r->disk_failed) && audit_ends(r, r->triggers.seq))
		failed(r);
	oeb_finish(r->oeb);
	if (oeb_error(r->oeb)[0])
		failed(r);
	return NULL;
}
