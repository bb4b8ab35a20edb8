// SPDX-License-Identifier: MIT
/*
 * detector.c - the detector thread: runs spike.c over the amplifier chunks and
 * sends records for spikes.bin to the writer, one batch per chunk. When the
 * writer's queue is three quarters full the batch is given up and counted; the
 * numbers of its records are used up, so the hole shows in the file.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rec_priv.h"
#include "crc32c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PRIME_BYTES	(64u << 20)

struct chunk detector_end;

static void send_batch(struct rec *r)
{
	struct msg *m = malloc(sizeof(*m));
	size_t n = r->batch_len / r->record_bytes;
	char *copy;

	if (!r->batch_len) {
		free(m);
		return;
	}
	copy = malloc(r->batch_len);
	if (m && copy) {
		memcpy(copy, r->batch, r->batch_len);
		*m = (struct msg){ .type = MSG_SPIKE_RECORDS, .data = copy, .len = r->batch_len };
		if (queue_try_put(&r->to_writer, m, QUEUE_ENTRIES / 4 * 3)) {
			r->batch_len = 0;
			return;
		}
	}
	free(copy);
	free(m);
	r->spikes_dropped += n;
	r->batch_len = 0;
}

static uint64_t host_time(const struct detector_stream *s, uint64_t sample)
{
	if (!s->mono0_ns)
		return 0;
	return s->mono0_ns + (uint64_t)(int64_t)(((double)sample - (double)s->first) *
						 s->ns_per_row);
}

static void found(void *ctx, const struct spike_event *ev)
{
	struct detector_stream *s = ctx;
	struct rec *r = s->r;
	struct spike_record *rec;

	if (r->batch_len == r->batch_max)
		send_batch(r);
	rec = (struct spike_record *)(void *)(r->batch + r->batch_len);
	memset(rec, 0, r->record_bytes);
	rec->sample_number = ev->sample;
	rec->host_mono_ns = host_time(s, ev->sample);
	rec->channel = ev->channel + (uint32_t)r->stream[s->stream].spike_base;
	rec->peak = ev->peak;
	rec->threshold = ev->threshold;
	rec->flags = ev->flags;
	rec->noise_sigma = ev->noise_sigma;
	rec->seq = r->seq++;
	memcpy(rec->wave, ev->wave, (r->cfg.n_pre + r->cfg.n_post) * sizeof(*ev->wave));
	rec->crc32c = crc32c(0, rec, r->record_bytes);
	r->batch_len += r->record_bytes;
	atomic_fetch_add(&r->spikes, 1);
}

/* They are kept in memory: fewer of them when there are many channels. */
static unsigned int prime_frames(const struct rec *r, const struct rec_stream *st)
{
	double frames = r->cfg.prime_seconds * st->desc.rate_hz;
	double most = (double)PRIME_BYTES / (st->desc.channels * sizeof(int16_t));

	return (unsigned int)(frames < most ? frames : most);
}

int detector_open(struct rec *r)
{
	r->record_bytes = spike_record_bytes(r->cfg.n_pre + r->cfg.n_post);
	r->batch_max = r->record_bytes * 1024;
	r->batch = malloc(r->batch_max);
	if (!r->batch)
		return -1;
	for (unsigned int i = 0; i < r->n_stream; i++) {
		struct rec_stream *st = &r->stream[i];
		struct detector_stream *s;
		struct spike_config cfg;

		if (st->spike_base < 0)
			continue;
		s = &r->det[r->n_det];
		spike_config_default(&cfg, st->desc.channels, (unsigned int)st->desc.rate_hz);
		cfg.k = r->cfg.k;
		cfg.fixed = r->cfg.fixed_uv / st->desc.bit_volts;
		cfg.polarity = r->cfg.polarity;
		cfg.channel_rate = r->cfg.channel_rate;
		cfg.stream_rate = r->cfg.stream_rate;
		cfg.n_pre = r->cfg.n_pre;
		cfg.n_post = r->cfg.n_post;
		cfg.prime_frames = prime_frames(r, st);
		s->prime_frames = cfg.prime_frames;
		s->r = r;
		s->stream = i;
		pthread_mutex_init(&s->blanks.lock, NULL);
		s->d = spike_new(&cfg, found, s);
		r->n_det++;
		if (!s->d)
			return -1;
	}
	return 0;
}

void detector_close(struct rec *r)
{
	for (unsigned int i = 0; i < r->n_det; i++) {
		spike_free(r->det[i].d);
		free(r->det[i].blanks.v);
		pthread_mutex_destroy(&r->det[i].blanks.lock);
	}
	free(r->batch);
}

bool detector_blank(struct detector_stream *s, uint64_t from, uint64_t to)
{
	struct blank_list *b = &s->blanks;
	bool ok = true;

	pthread_mutex_lock(&b->lock);
	if (b->n == b->room) {
		size_t room = b->room ? 2 * b->room : 64;
		void *v = realloc(b->v, room * sizeof(*b->v));

		ok = v;
		if (v) {
			b->v = v;
			b->room = room;
		}
	}
	if (ok) {
		b->v[b->n].from = from;
		b->v[b->n++].to = to;
	}
	pthread_mutex_unlock(&b->lock);
	return ok;
}

static void take_blanks(struct detector_stream *s)
{
	pthread_mutex_lock(&s->blanks.lock);
	for (size_t i = 0; i < s->blanks.n; i++)
		spike_blank(s->d, s->blanks.v[i].from, s->blanks.v[i].to);
	s->blanks.n = 0;
	pthread_mutex_unlock(&s->blanks.lock);
}

static void search(struct rec *r, struct detector_stream *s, struct chunk *c)
{
	if (!c)
		return;
	s->first = c->first;
	s->mono0_ns = c->mono0_ns;
	s->ns_per_row = c->ns_per_row;
	spike_push(s->d, c->data, c->n, c->first);
	chunk_put(r, c);
	send_batch(r);
}

/* See CHUNK_SECONDS for why one waits. */
static void take_chunk(struct rec *r, struct detector_stream *s, struct chunk *c)
{
	struct chunk *now = c;

	if (r->late_blanks) {
		take_blanks(s);
		now = s->held;
		s->held = c;
	}
	search(r, s, now);
}

void *detector_main(void *arg)
{
	struct rec *r = arg;
	struct chunk *c;

	while ((c = queue_get(&r->to_detector, -1)) != &detector_end) {
		struct detector_stream *s = r->det;

		while (s->stream != c->stream)
			s++;
		take_chunk(r, s, c);
	}
	for (unsigned int i = 0; i < r->n_det; i++) {
		/* the reader has ended: no trigger comes any more */
		take_chunk(r, &r->det[i], NULL);
		spike_flush(r->det[i].d);
	}
	send_batch(r);
	return NULL;
}
