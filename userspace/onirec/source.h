/* SPDX-License-Identifier: MIT */
/*
 * source.h - where the recorder's frames come from: a controller's ring
 * (source_dev.c), or a simulated card in the same process (unit tests).
 *
 * Threads: wait, next, release, status and fit are called by the reader thread
 * only, stop by the main thread while the reader goes on reading.
 * Frames obey the rules of onidev_frame_next(): not copied, valid until release.
 */
#ifndef ONIREC_SOURCE_H
#define ONIREC_SOURCE_H

#include <linux/oni_stim.h>
#include <onidev.h>

struct source;

struct source_ops {
	/* ONIDEV_WAIT_*, or -1 and errno, as onidev_stream_wait(). */
	int (*wait)(struct source *s, int timeout_ms);
	/* 1: a frame, 0: none now, -1 and EPROTO: desynchronised. */
	int (*next)(struct source *s, struct onidev_frame *frame);
	/* After EPROTO: bytes skipped, or -1 and EAGAIN; the sentence in @why. */
	int64_t (*resync)(struct source *s, char *why, size_t len);
	void (*release)(struct source *s);
	void (*status)(struct source *s, struct onidev_stream_status *st);
	/* -1 and EAGAIN while there is no fit yet. */
	int (*fit)(struct source *s, struct onidev_clock_fit *fit);
	/* Stop the acquisition; the reader then sees ONIDEV_WAIT_END. */
	int (*stop)(struct source *s);
	/*
	 * What happens to the stimulators: 1: an event, 0: none now, -1: none will come.
	 * NULL: there is no such thing here. Never waits.
	 */
	int (*stim_event)(struct source *s, struct oni_stim_event *event);
};

struct source {
	const struct source_ops *ops;
};

#endif
