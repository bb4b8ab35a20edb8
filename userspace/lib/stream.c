// SPDX-License-Identifier: MIT
/*
 * stream.c - a stream or monitor: create, wait, iterate.
 *
 * Owns its copy of the device table and the buffer that a monitor copies frames to;
 * descriptor and mappings are the backend's. One thread at a time per stream.
 * Implements the stream half of <linux/oni.h>; the ring itself is ring.c.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend.h"

struct onidev_stream *onidev_stream_create(struct onidev_controller *ctl,
					   const struct onidev_stream_config *config)
{
	struct oni_stream_create create = { .size = sizeof(create) };

	if (config) {
		create.ring_bytes = config->ring_bytes;
		create.block_bytes = config->block_bytes;
		create.watermark_bytes = config->watermark_bytes;
		create.latency_us = config->latency_us;
	}
	return ctl->ops->stream(ctl, &create);
}

struct onidev_stream *onidev_monitor_create(struct onidev_controller *ctl,
					    const struct onidev_stream_config *config)
{
	struct oni_monitor_create create = { .size = sizeof(create) };

	if (config) {
		if (config->ring_bytes || config->block_bytes) {
			errno = EINVAL;
			return NULL;
		}
		create.watermark_bytes = config->watermark_bytes;
		create.latency_us = config->latency_us;
	}
	return ctl->ops->monitor(ctl, &create);
}

void onidev_stream_free(struct onidev_stream *stream)
{
	int saved = errno;

	if (!stream)
		return;
	stream->ops->free(stream);
	onidev_table_free(stream->table);
	free(stream->copy);
	free(stream);
	errno = saved;
}

int onidev_stream_fd(const struct onidev_stream *stream)
{
	return stream->fd;
}

int onidev_stream_info(const struct onidev_stream *stream, struct oni_stream_info *info)
{
	*info = stream->info;
	return 0;
}

int onidev_stream_wake(struct onidev_stream *stream, uint32_t watermark_bytes,
		       uint32_t latency_us)
{
	return stream->ops->wake(stream, watermark_bytes, latency_us);
}

int onidev_stream_set_table(struct onidev_stream *stream, const struct onidev_table *table)
{
	struct onidev_table *copy = onidev_table_copy(table);

	if (!copy)
		return -1;
	if (stream->ring.monitor) {
		uint8_t *room = realloc(stream->copy, onidev_table_max_frame(copy) + 1);

		if (!room) {
			onidev_table_free(copy);
			return -1;
		}
		stream->copy = room;
		stream->ring.copy = room;
	}
	onidev_table_free(stream->table);
	stream->table = copy;
	stream->ring.table = copy;
	return 0;
}

int onidev_stream_is_monitor(const struct onidev_stream *stream)
{
	return stream->ring.monitor;
}

uint64_t onidev_stream_lost(const struct onidev_stream *stream, uint64_t *position)
{
	if (position)
		*position = stream->ring.lost_position;
	return stream->ring.last_lost;
}

const struct onidev_table *onidev_stream_table(const struct onidev_stream *stream)
{
	return stream->table;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* What the state of the ring means to a waiter: 1 and *@result, or 0 to go on waiting. */
static int wait_over(struct onidev_stream *s, enum ring_state state, int *result)
{
	switch (state) {
	case RING_READY:
		*result = ONIDEV_WAIT_DATA;
		return 1;
	case RING_END:
		*result = ONIDEV_WAIT_END;
		return 1;
	case RING_GONE:
		errno = ENODEV;
		break;
	case RING_ERROR:
		errno = s->ring.prod->error ? (int)s->ring.prod->error : EIO;
		break;
	default:
		return 0;
	}
	*result = -1;
	return 1;
}

/*
 * poll() came back although nothing new is there: the reader holds on to data, or
 * the end of the ring is part of a frame that has become older than the latency
 * limit. The kernel cannot know; do not spin, but do not exceed that limit by much.
 */
static void nap(const struct onidev_stream *s)
{
	long us = s->info.latency_us;
	struct timespec ts;

	us = us < 500 ? 500 : us > 5000 ? 5000 : us;
	ts = (struct timespec){ .tv_nsec = us * 1000 };
	nanosleep(&ts, NULL);
}

int onidev_stream_wait(struct onidev_stream *stream, int timeout_ms)
{
	int64_t end = timeout_ms < 0 ? 0 : now_ms() + timeout_ms;
	struct pollfd pfd = { .fd = stream->fd, .events = POLLIN };
	enum ring_state state;
	int result, rc, left = timeout_ms;

	for (;;) {
		state = ring_look(&stream->ring, stream->info.watermark_bytes);
		if (wait_over(stream, state, &result))
			return result;
		rc = poll(&pfd, 1, left);
		if (rc < 0)
			return -1;
		if (rc > 0) {
			state = ring_look(&stream->ring, 0);
			if (wait_over(stream, state, &result))
				return result;
			if (pfd.revents & POLLHUP) {
				errno = ENODEV;
				return -1;
			}
			if (pfd.revents & (POLLERR | POLLNVAL)) {
				errno = EIO;
				return -1;
			}
			nap(stream);
		}
		if (timeout_ms < 0)
			continue;
		left = (int)(end - now_ms());
		if (left > 0)
			continue;
		/* Less than the watermark is better than nothing. */
		if (ring_look(&stream->ring, 0) == RING_READY)
			return ONIDEV_WAIT_DATA;
		return ONIDEV_WAIT_TIMEOUT;
	}
}

int onidev_frame_next(struct onidev_stream *stream, struct onidev_frame *frame)
{
	return ring_next(&stream->ring, frame);
}

int64_t onidev_stream_resync(struct onidev_stream *stream)
{
	return ring_resync(&stream->ring);
}

int onidev_stream_desync(const struct onidev_stream *stream, char *buf, size_t len)
{
	const struct onidev_ring *r = &stream->ring;

	if (r->why == ONIDEV_FRAME_OK)
		return snprintf(buf, len, "the stream is in step");
	return snprintf(buf, len,
			"no frame at byte %llu of the stream: address 0x%08x, size %u: %s",
			(unsigned long long)r->bad_position, r->bad_addr, r->bad_size,
			onidev_frame_reason(r->why));
}

void onidev_stream_release(struct onidev_stream *stream)
{
	ring_release(&stream->ring);
	if (stream->ops->released)
		stream->ops->released(stream);
}

int onidev_stream_release_to(struct onidev_stream *stream, uint64_t position)
{
	if (ring_release_to(&stream->ring, position) < 0)
		return -1;
	if (stream->ops->released)
		stream->ops->released(stream);
	return 0;
}

void onidev_stream_status(const struct onidev_stream *stream,
			  struct onidev_stream_status *status)
{
	ring_status(&stream->ring, status);
}

uint64_t onidev_stream_position(const struct onidev_stream *stream)
{
	return stream->ring.pos;
}

int onidev_block_next(struct onidev_stream *stream, struct oni_block *block, uint64_t *lost)
{
	return ring_block_next(&stream->ring, block, lost);
}

void onidev_stream_attach_clock(struct onidev_stream *stream, struct onidev_clock *clock)
{
	stream->ring.clock = clock;
}
