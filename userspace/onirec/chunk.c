// SPDX-License-Identifier: MIT
/*
 * chunk.c - the pool of chunks of rec_priv.h: bounds the memory between reader
 * and disk. Chunks are kept for reuse, so after the first second the recorder
 * does not allocate.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rec_priv.h"

#include <stdlib.h>

static uint64_t chunk_bytes(const struct rec_stream *s)
{
	return s->rows * (sizeof(double) + s->desc.channels * sizeof(int16_t));
}

int pool_init(struct rec *r)
{
	uint64_t least = 0;

	pthread_condattr_t attr;

	pthread_mutex_init(&r->pool.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->pool.freed, &attr);
	pthread_condattr_destroy(&attr);
	/* one being filled, one searched, one written, one waiting; one kept back for triggers */
	for (unsigned int i = 0; i < r->n_stream; i++)
		least += (r->late_blanks ? 5 : 4) * chunk_bytes(&r->stream[i]);
	r->pool.limit = r->cfg.buffer_bytes > least ? r->cfg.buffer_bytes : least;
	return 0;
}

static void chunk_free(struct chunk *c)
{
	free(c->times);
	free(c->data);
	free(c);
}

void pool_free(struct rec *r)
{
	for (unsigned int i = 0; i < r->n_stream; i++) {
		while (r->pool.free[i]) {
			struct chunk *c = r->pool.free[i];

			r->pool.free[i] = c->next;
			chunk_free(c);
		}
	}
	pthread_mutex_destroy(&r->pool.lock);
	pthread_cond_destroy(&r->pool.freed);
}

static struct chunk *chunk_new(const struct rec_stream *s)
{
	struct chunk *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->cap = s->rows;
	c->times = malloc(s->rows * sizeof(*c->times));
	c->data = malloc((size_t)s->rows * s->desc.channels * sizeof(*c->data));
	if (!c->times || !c->data) {
		chunk_free(c);
		return NULL;
	}
	return c;
}

/* Free idle chunks of other streams until @bytes more fit under the bound. */
static bool make_room(struct rec *r, uint64_t bytes)
{
	struct pool *p = &r->pool;

	for (unsigned int i = 0; i < r->n_stream && p->bytes + bytes > p->limit; i++) {
		while (p->free[i] && p->bytes + bytes > p->limit) {
			struct chunk *c = p->free[i];

			p->free[i] = c->next;
			p->bytes -= chunk_bytes(&r->stream[i]);
			chunk_free(c);
		}
	}
	return p->bytes + bytes <= p->limit;
}

/*
 * Wait for a chunk to come back. A disk that stands still is no reason for the
 * watchdog to kill the recorder: that would lose what the card still holds.
 */
static void wait_for_disk(struct rec *r)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec++;
	if (!pthread_cond_timedwait(&r->pool.freed, &r->pool.lock, &end))
		return;
	pthread_mutex_lock(&r->plock);
	r->prog.loops++;
	pthread_mutex_unlock(&r->plock);
}

struct chunk *chunk_get(struct rec *r, unsigned int stream)
{
	struct pool *p = &r->pool;
	uint64_t bytes = chunk_bytes(&r->stream[stream]), t0 = 0;
	struct chunk *c = NULL;

	pthread_mutex_lock(&p->lock);
	while (!c) {
		c = p->free[stream];
		if (c) {
			p->free[stream] = c->next;
		} else if (make_room(r, bytes)) {
			c = chunk_new(&r->stream[stream]);
			if (c)
				p->bytes += bytes;
		}
		if (!c) {
			if (!t0) {
				t0 = now_ns();
				p->waits++;
			}
			wait_for_disk(r);
		}
	}
	if (t0)
		p->wait_ns += now_ns() - t0;
	p->used += bytes;
	if (p->used > p->peak)
		p->peak = p->used;
	pthread_mutex_unlock(&p->lock);
	c->stream = stream;
	c->n = 0;
	c->fill = false;
	atomic_store(&c->refs, 1);
	return c;
}

void chunk_put(struct rec *r, struct chunk *c)
{
	struct pool *p = &r->pool;

	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	pthread_mutex_lock(&p->lock);
	c->next = p->free[c->stream];
	p->free[c->stream] = c;
	p->used -= chunk_bytes(&r->stream[c->stream]);
	pthread_cond_signal(&p->freed);
	pthread_mutex_unlock(&p->lock);
}

/* Is three quarters of the bound in use? Then derived data is given up. */
bool pool_tight(struct rec *r)
{
	bool tight;

	pthread_mutex_lock(&r->pool.lock);
	tight = r->pool.used > r->pool.limit / 4 * 3;
	pthread_mutex_unlock(&r->pool.lock);
	return tight;
}
