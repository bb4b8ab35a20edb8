// SPDX-License-Identifier: MIT
/*
 * run.c - an acquisition in the foreground: claim, stream, start, read, stop, drain.
 *
 * Used by start, watch and clock. One thread: it reads the stream in place and
 * releases after each batch. SIGINT and SIGTERM end the run cleanly: the
 * acquisition is stopped, the rest is read and counted.
 *
 * Where the caller allows it and another program streams, nothing is claimed or
 * started: a monitor looks at what that program reads, and disturbs nobody.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "onictl.h"

/*
 * Frames after which time and signals are looked at: when showing is slower than the
 * data there is always another frame.
 */
#define BATCH	1000

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* Without SA_RESTART: a waiting poll() has to come back. */
static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/*
 * Look at a stream that is there already: 1. 0: nobody streams, and run->ctl is NULL
 * again. -1: that failed, and it is said why.
 */
static int run_look(struct run *run)
{
	struct onidev_stream_config config = {
		.watermark_bytes = run->config.watermark_bytes,
		.latency_us = run->config.latency_us,
	};

	run->ctl = open_reader();
	if (!run->ctl)
		return -1;
	run->stream = onidev_monitor_create(run->ctl, &config);
	if (run->stream)
		return 1;
	if (errno != ENODATA) {
		op_failed(ONIDEV_OP_MONITOR_CREATE, errno, NULL);
		return -1;
	}
	onidev_controller_close(run->ctl);
	run->ctl = NULL;
	return 0;
}

static int run_open(struct run *run)
{
	int look = run->monitor ? run_look(run) : 0;

	run->watching = look > 0;
	if (!look)
		run->ctl = open_owner();
	if (!run->ctl || look < 0)
		return EXIT_FAIL;
	if (onidev_controller_info(run->ctl, &run->info) < 0)
		return op_failed(ONIDEV_OP_INFO, errno, NULL);
	run->table = load_table(run->ctl);
	if (!run->table)
		return EXIT_FAIL;
	return run->prepare ? run->prepare(run) : EXIT_OK;
}

static int run_stream(struct run *run)
{
	if (!run->watching)
		run->stream = onidev_stream_create(run->ctl, &run->config);
	if (!run->stream)
		return op_failed(ONIDEV_OP_STREAM_CREATE, errno, NULL);
	run->clock = onidev_clock_new(run->info.acq_clock_hz);
	if (!run->clock)
		return fail_text("the controller's acquisition clock is unknown: reset it with "
				 "'onictl reset'");
	onidev_stream_attach_clock(run->stream, run->clock);
	return EXIT_OK;
}

/* The table of the acquisition that runs now; its rows are counted anew. */
static int run_table(struct run *run)
{
	struct onidev_stream_status s;
	struct onidev_table *table = load_table(run->ctl);

	if (!table)
		return EXIT_FAIL;
	onidev_table_free(run->table);
	run->table = table;
	if (onidev_stream_set_table(run->stream, run->table) < 0)
		return fail_text("out of memory");
	free(run->counts);
	run->counts = calloc(onidev_table_count(run->table) + 1, sizeof(*run->counts));
	onidev_stream_status(run->stream, &s);
	run->acquisition = s.generation;
	return run->counts ? EXIT_OK : fail_text("out of memory");
}

/* The table is read again after the start, which may have reset the controller. */
static int run_start(struct run *run)
{
	const char *until = run->seconds ? "" : "; Ctrl-C ends it";

	if (run->watching) {
		say("Looking at what another program reads from %s%s.",
		    onidev_controller_name(run->ctl), until);
		if (run->config.block_bytes || run->config.ring_bytes)
			say("Its block and ring size hold; --block and --ring do nothing.");
		return run_table(run);
	}
	if (!run->quiet)
		say("Starting the acquisition on %s%s.", onidev_controller_name(run->ctl), until);
	if (onidev_controller_start(run->ctl) < 0)
		return op_failed(ONIDEV_OP_START, errno, NULL);
	return run_table(run);
}

/* The other program may have started anew, with other devices. 0, or -1 (said). */
static int run_follow(struct run *run)
{
	struct onidev_stream_status s;

	onidev_stream_status(run->stream, &s);
	return s.generation == run->acquisition || run_table(run) == EXIT_OK ? 0 : -1;
}

static void count_frame(struct run *run, const struct onidev_frame *frame)
{
	struct count *c = &run->counts[frame->index];

	if (!c->frames++)
		c->first_clock = frame->clock;
	c->last_clock = frame->clock;
	c->bytes += frame->wire;
}

/* A monitor was overtaken. It is no failure, but it is not kept secret either. */
static void say_lost(const struct run *run)
{
	uint64_t at, bytes = onidev_stream_lost(run->stream, &at);

	say("%llu bytes were missed at byte %llu: the data came faster than they were shown.",
	    (unsigned long long)bytes, (unsigned long long)at);
}

/*
 * Read what is there. 0: go on; 1: the caller's function wants to end; -1: the
 * stream is broken (said).
 */
static int run_batch(struct run *run)
{
	int rc = 0, end = 0, frames = 0;
	struct onidev_frame frame;
	char text[200];

	if (run->watching && run_follow(run) < 0)
		return -1;
	while (!end && frames++ < BATCH) {
		rc = onidev_frame_next(run->stream, &frame);
		if (!rc)
			break;
		if (rc < 0 && errno == EOVERFLOW) {
			say_lost(run);
			rc = 0;
			continue;
		}
		if (rc < 0)
			break;
		count_frame(run, &frame);
		if (run->frame)
			end = run->frame(run, &frame);
	}
	onidev_stream_release(run->stream);
	if (rc >= 0)
		return end;
	op_failed(ONIDEV_OP_FRAME_NEXT, errno, NULL);
	onidev_stream_desync(run->stream, text, sizeof(text));
	say("  %s", text);
	return -1;
}

static void show_progress(struct run *run, double t)
{
	struct onidev_stream_status s;

	onidev_stream_status(run->stream, &s);
	fprintf(stderr, "\r%7.1f s  %9.3f MB/s  ring %5.1f %%, peak %5.1f %%, held back %llu  ", t,
		t > 0 ? (double)(s.position - s.first) / t / 1e6 : 0,
		100.0 * (double)(s.head - s.tail) / (double)s.ring_bytes,
		100.0 * (double)s.peak_bytes / (double)s.ring_bytes,
		(unsigned long long)s.full_events);
}

/* Milliseconds until the next thing to do: the end of the run or the next progress line. */
static int wait_ms(const struct run *run, double t)
{
	double left = 1;

	if (run->seconds && run->seconds - t < left)
		left = run->seconds - t;
	return left > 0 ? (int)(left * 1000) + 1 : 0;
}

/* One wait and what came of it; as run_batch(). */
static int run_step(struct run *run, double t)
{
	switch (onidev_stream_wait(run->stream, wait_ms(run, t))) {
	case ONIDEV_WAIT_DATA:
		return run_batch(run);
	case ONIDEV_WAIT_TIMEOUT:
		return 0;
	case ONIDEV_WAIT_END:
		if (run->watching) {
			say("The other program has stopped the acquisition.");
			return 1;
		}
		fail_text("the acquisition was stopped from outside");
		return -1;
	}
	if (errno == EINTR)
		return 0;
	op_failed(ONIDEV_OP_STREAM_READ, errno, NULL);
	return -1;
}

/* EXIT_OK when the time is over, the user or the caller ends it. */
static int run_loop(struct run *run)
{
	double begin = now_s(), t = 0, shown = 0;
	int rc = 0;

	while (!interrupted && !rc) {
		t = now_s() - begin;
		if (run->seconds && t >= run->seconds)
			break;
		rc = run_step(run, t);
		if (run->progress && t - shown >= 1) {
			show_progress(run, t);
			shown = t;
		}
	}
	run->elapsed = now_s() - begin;
	if (run->progress && shown > 0)
		fputc('\n', stderr);
	return rc < 0 ? EXIT_FAIL : EXIT_OK;
}

/* Stop and count what was still under way. */
static int run_stop(struct run *run)
{
	int (*frame)(struct run *, const struct onidev_frame *) = run->frame;
	int w, rc = 0;

	if (onidev_controller_stop(run->ctl) < 0)
		return op_failed(ONIDEV_OP_STOP, errno, NULL);
	run->frame = NULL;
	do {
		w = onidev_stream_wait(run->stream, 1000);
		if (w == ONIDEV_WAIT_DATA)
			rc = run_batch(run);
	} while (w == ONIDEV_WAIT_DATA && !rc);
	run->frame = frame;
	if (w < 0 && errno != EINTR)
		return op_failed(ONIDEV_OP_STREAM_READ, errno, NULL);
	return rc ? EXIT_FAIL : EXIT_OK;
}

int run_acquisition(struct run *run)
{
	int rc;

	catch_signals();
	run->progress = run->progress && isatty(STDERR_FILENO);
	rc = run_open(run);
	if (rc == EXIT_OK)
		rc = run_stream(run);
	if (rc == EXIT_OK)
		rc = run_start(run);
	if (rc != EXIT_OK)
		return rc;
	rc = run_loop(run);
	/*
	 * After a failure there is nothing to drain, and what went wrong is said. What
	 * another program runs goes on.
	 */
	if (!run->watching && rc == EXIT_OK)
		rc = run_stop(run);
	else if (!run->watching)
		onidev_controller_stop(run->ctl);
	onidev_stream_status(run->stream, &run->status);
	return rc;
}

/* The order matters: the stream first, so that nothing waits for a reader. */
void run_free(struct run *run)
{
	onidev_stream_free(run->stream);
	onidev_clock_free(run->clock);
	onidev_table_free(run->table);
	free(run->counts);
	onidev_controller_close(run->ctl);
}
