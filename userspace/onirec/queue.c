// SPDX-License-Identifier: MIT
/* queue.c - see queue.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "queue.h"

#include <stdlib.h>
#include <time.h>

int queue_init(struct queue *q, size_t size)
{
	pthread_condattr_t attr;

	*q = (struct queue){ .size = size };
	q->slot = calloc(size, sizeof(*q->slot));
	if (!q->slot)
		return -1;
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->more, &attr);
	pthread_cond_init(&q->room, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

void queue_free(struct queue *q)
{
	if (!q->slot)
		return;
	pthread_mutex_destroy(&q->lock);
	pthread_cond_destroy(&q->more);
	pthread_cond_destroy(&q->room);
	free(q->slot);
	q->slot = NULL;
}

static void put_locked(struct queue *q, void *p)
{
	q->slot[(q->head + q->count) % q->size] = p;
	q->count++;
	if (q->count > q->peak)
		q->peak = q->count;
	pthread_cond_signal(&q->more);
}

void queue_put(struct queue *q, void *p)
{
	pthread_mutex_lock(&q->lock);
	while (q->count == q->size)
		pthread_cond_wait(&q->room, &q->lock);
	put_locked(q, p);
	pthread_mutex_unlock(&q->lock);
}

bool queue_try_put(struct queue *q, void *p, size_t limit)
{
	bool ok;

	pthread_mutex_lock(&q->lock);
	ok = q->count < q->size && q->count < limit;
	if (ok)
		put_locked(q, p);
	pthread_mutex_unlock(&q->lock);
	return ok;
}

void *queue_get(struct queue *q, int timeout_ms)
{
	struct timespec end;
	void *p = NULL;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_ms / 1000;
	end.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (end.tv_nsec >= 1000000000L) {
		end.tv_nsec -= 1000000000L;
		end.tv_sec++;
	}
	pthread_mutex_lock(&q->lock);
	while (!q->count && !ret)
		ret = timeout_ms < 0 ? pthread_cond_wait(&q->more, &q->lock)
				     : pthread_cond_timedwait(&q->more, &q->lock, &end);
	if (q->count) {
		p = q->slot[q->head];
		q->head = (q->head + 1) % q->size;
		q->count--;
		pthread_cond_signal(&q->room);
	}
	pthread_mutex_unlock(&q->lock);
	return p;
}

size_t queue_peak(struct queue *q)
{
	size_t peak;

	pthread_mutex_lock(&q->lock);
	peak = q->peak;
	pthread_mutex_unlock(&q->lock);
	return peak;
}
