/* SPDX-License-Identifier: MIT */
/*
 * queue.h - bounded queue of pointers between threads of the recorder.
 *
 * Any number of producers, one consumer. The bound is a number of entries; what
 * the entries weigh is bounded by the pool they come from (chunk.h).
 * Locking: one mutex per queue, held for a few instructions.
 */
#ifndef ONIREC_QUEUE_H
#define ONIREC_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct queue {
	pthread_mutex_t lock;		/* all fields below */
	pthread_cond_t more, room;
	void **slot;
	size_t size, head, count, peak;
};

int queue_init(struct queue *q, size_t size);
void queue_free(struct queue *q);
/* Wait for room. */
void queue_put(struct queue *q, void *p);
/* false: no room, or more than @limit entries are waiting. */
bool queue_try_put(struct queue *q, void *p, size_t limit);
/* Wait up to @timeout_ms (-1: for ever) for an entry; NULL when none came. */
void *queue_get(struct queue *q, int timeout_ms);
size_t queue_peak(struct queue *q);

#endif
