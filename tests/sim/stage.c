// SPDX-License-Identifier: MIT
/* stage.c - see stage.h. */
#include "stage.h"

#include <string.h>

void stage_init(struct stage *s, struct fifo *fifo, uint32_t size)
{
	memset(s, 0, sizeof(*s));
	s->fifo = fifo;
	s->size = size < STAGE_MAX ? size : STAGE_MAX;
	s->discards = fifo->discards;
}

/* The FIFO was emptied: the rest of a frame whose beginning came will not come. */
static void follow(struct stage *s)
{
	if (s->discards == s->fifo->discards)
		return;
	s->discards = s->fifo->discards;
	s->inside = false;
	/* The next end that comes is that of a whole frame. */
	if (!s->ends)
		s->cut = false;
}

static uint32_t put_contiguous(struct stage *s, uint32_t len)
{
	uint32_t at = (s->head + s->len) % STAGE_MAX, i;
	struct fifo_end end[STAGE_ENDS];
	unsigned int n;

	if (len > STAGE_MAX - at)
		len = STAGE_MAX - at;
	n = fifo_move(s->fifo, s->byte + at, len, end, STAGE_ENDS);
	for (i = 0; i < n; i++) {
		end[i].at += s->len;
		s->end[(s->ends_head + s->ends++) % STAGE_ENDS] = end[i];
	}
	s->inside = !n || end[n - 1].at != s->len + len;
	s->len += len;
	return len;
}

uint32_t stage_fill(struct stage *s)
{
	uint32_t total = 0, room, len;
	uint64_t used;

	follow(s);
	for (;;) {
		room = s->size - s->len;
		used = fifo_used(s->fifo);
		len = used < room ? (uint32_t)used : room;
		if (!len)
			return total;
		total += put_contiguous(s, len);
	}
}

/* The first @len bytes are gone; account for the frames that end in them. */
static void advance(struct stage *s, uint32_t len, bool dropped)
{
	struct fifo_end *e;
	uint32_t i;

	while (s->ends) {
		e = &s->end[s->ends_head];
		if (e->at > len)
			break;
		fifo_moved_out(s->fifo, e->dev, !dropped && !s->cut);
		s->cut = false;
		s->ends_head = (s->ends_head + 1) % STAGE_ENDS;
		s->ends--;
	}
	for (i = 0; i < s->ends; i++)
		s->end[(s->ends_head + i) % STAGE_ENDS].at -= len;
	s->head = (s->head + len) % STAGE_MAX;
	s->len -= len;
}

void stage_take(struct stage *s, uint8_t *to, uint32_t len)
{
	uint32_t first = STAGE_MAX - s->head;

	if (first > len)
		first = len;
	memcpy(to, s->byte + s->head, first);
	memcpy(to + first, s->byte, len - first);
	advance(s, len, false);
}

void stage_drop(struct stage *s)
{
	follow(s);
	if (!s->len)
		return;
	advance(s, s->len, true);
	s->cut = s->inside;
}
