// SPDX-License-Identifier: MIT
/*
 * live.c - see live.h.
 *
 * Order of the acquisition's own case: claim, step, reset, stream, start, and only
 * then load: a reset, which a start may contain, unloads whatever is loaded.
 */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node.h"
#include "words.h"

/* Small blocks: a sign of life is as young as the block that it points to. */
#define BLOCK_BYTES	4096u
/* Longest sleep while armed. */
#define TICK_MS		5u
/* Kicks in the time of the watchdog. */
#define KICKS		4u

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

void live_catch_signals(void)
{
	/* Without SA_RESTART: a wait has to come back. Once only: the next one kills. */
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool live_interrupted(void)
{
	return interrupted;
}

uint64_t live_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- begin ------------------------------------------------------------------------ */
static int open_failed(int error)
{
	char why[600];

	onidev_open_explain(settings.device, ONIDEV_OPEN_KERNEL, error, why, sizeof(why));
	fail_text("cannot open the controller: %s", why);
	return error == ENODEV || error == ENOENT ? EXIT_NO_DEVICE : EXIT_FAIL;
}

int live_open(struct live *l, bool own)
{
	struct oni_stim_verdict v;
	int rc;

	memset(l, 0, sizeof(*l));
	l->own = own;
	l->fd = open_node("stim", O_RDWR, &rc);
	if (l->fd < 0)
		return rc;
	l->ctl = onidev_controller_open(settings.device,
					ONIDEV_OPEN_KERNEL | (own ? 0 : ONIDEV_OPEN_RDONLY));
	if (!l->ctl)
		return open_failed(errno);
	if (own && onidev_controller_claim(l->ctl) < 0)
		return onidev_failed(ONIDEV_OP_CLAIM, errno);
	if (node_claim(l->fd, &l->nonce, &v) < 0) {
		rc = errno;
		l->nonce = 0;
		return call_failed("claim the stimulators", rc, &v);
	}
	return EXIT_OK;
}

/* The table of the acquisition that runs now. */
static int read_table(struct live *l)
{
	struct onidev_stream_status s;
	struct onidev_table *table = onidev_controller_table(l->ctl);

	if (!table)
		return onidev_failed(ONIDEV_OP_DEVICE_TABLE, errno);
	onidev_table_free(l->table);
	l->table = table;
	if (!l->stream)
		return EXIT_OK;
	if (onidev_stream_set_table(l->stream, table) < 0)
		return fail_text("out of memory");
	onidev_stream_status(l->stream, &s);
	l->acquisition = s.generation;
	return EXIT_OK;
}

/*
 * The trigger reports each train that it starts, and the kernel compares that with what
 * was commanded, if the device may send frames at all.
 */
static int enable_reports(struct live *l, uint32_t hub)
{
	const struct oni_device *dev;

	for (size_t n = 0; (dev = onidev_table_find_id(l->table, ONIDEV_ID_RHS2116_TRIGGER, n)); n++) {
		if (ONIDEV_HUB(dev->addr) != hub || onidev_device_enabled(l->ctl, dev) == 1)
			continue;
		if (onidev_device_enable(l->ctl, dev) < 0)
			return onidev_failed(ONIDEV_OP_REG_WRITE, errno);
	}
	return EXIT_OK;
}

int live_step(struct live *l, const struct work *w, uint32_t hub)
{
	struct oni_stim_verdict v;
	int rc = read_table(l);

	if (rc != EXIT_OK || w->stimulus.kind != ONI_STIM_RHS2116)
		return rc;
	hub = find_hub(l->table, w->stimulus.kind, hub, &rc);
	if (!hub)
		return rc;
	rc = enable_reports(l, hub);
	if (rc != EXIT_OK)
		return rc;
	if (node_step(l->fd, l->nonce, hub, w->stimulus.step_na, &v) < 0)
		return call_failed("set the step of the amplitudes", errno, &v);
	if (onidev_controller_reset(l->ctl) < 0)
		return onidev_failed(ONIDEV_OP_RESET, errno);
	return EXIT_OK;
}

static int start_own(struct live *l)
{
	struct onidev_stream_config config = { .block_bytes = BLOCK_BYTES };

	l->stream = onidev_stream_create(l->ctl, &config);
	if (!l->stream)
		return onidev_failed(ONIDEV_OP_STREAM_CREATE, errno);
	if (onidev_controller_start(l->ctl) < 0)
		return onidev_failed(ONIDEV_OP_START, errno);
	return EXIT_OK;
}

static int look_on(struct live *l)
{
	struct onidev_stream_config config = { .latency_us = 1000 * TICK_MS };

	l->stream = onidev_monitor_create(l->ctl, &config);
	if (l->stream)
		return EXIT_OK;
	if (errno != ENODATA)
		return onidev_failed(ONIDEV_OP_MONITOR_CREATE, errno);
	return fail_text("no acquisition runs, and without data nothing can be armed: start a recording "
			 "(onirec), or use --acquire");
}

int live_start(struct live *l)
{
	int rc = l->own ? start_own(l) : look_on(l);

	return rc == EXIT_OK ? read_table(l) : rc;
}

/* ---- what is loaded, armed, fired --------------------------------------------------- */

/* The step is a matter of the next reset, which only the owner of the controller may do. */
static void say_step(const struct live *l, const struct work *w, const struct oni_stim_verdict *v)
{
	if (v->code == ONI_STIM_STEP_SIZE && !l->own)
		say("The chips count amplitudes in another step than the %u nA of this stimulus. It changes "
		    "with the next reset of the controller: end the recording and run this with "
		    "--acquire, or write the stimulus with the step in force.",
		    w->stimulus.step_na);
}

int live_load(struct live *l, const struct work *w, uint32_t hub)
{
	const struct compiled *c = &w->compiled;
	struct oni_stim_verdict v;
	int rc;

	l->hub = find_hub(l->table, w->stimulus.kind, hub, &rc);
	if (!l->hub)
		return rc;
	l->loaded = false;
	l->armed = false;
	if (node_program(l->fd, ONI_STIM_IOC_LOAD, l->nonce, l->hub, &c->program, c->rows, c->nrows,
			 l->hash, &v) < 0) {
		rc = call_failed("load the stimulus", errno, &v);
		say_step(l, w, &v);
		return rc;
	}
	l->loaded = true;
	l->watchdog_ms = c->program.watchdog_ms;
	return EXIT_OK;
}

static int ended(struct live *l);

int live_arm(struct live *l, uint32_t ttl_ms)
{
	struct oni_stim_verdict v;

	if (node_arm(l->fd, l->nonce, l->hash, ttl_ms, &v) < 0)
		return call_failed("arm the stimulators", errno, &v);
	l->armed = true;
	l->kicked = 0;
	l->armed_ms = live_now_ms();
	l->kick_ms = l->armed_ms;
	return EXIT_OK;
}

int live_fire(struct live *l)
{
	struct oni_stim_verdict v;

	if (node_call(l->fd, ONI_STIM_IOC_FIRE, l->nonce, &v) < 0)
		return call_failed("fire", errno, &v);
	return EXIT_OK;
}

int live_disarm(struct live *l)
{
	struct oni_stim_verdict v;

	bool armed = l->armed;

	l->armed = false;
	if (node_call(l->fd, ONI_STIM_IOC_DISARM, l->nonce, &v) == 0)
		return EXIT_OK;
	/* Somebody was faster, and not for nothing. */
	if (armed && (v.code == ONI_STIM_STATE || v.code == ONI_STIM_FAULTED))
		return ended(l);
	return call_failed("disarm", errno, &v);
}

int live_status(struct live *l, struct oni_stim_status *status)
{
	if (node_status(l->fd, status) < 0)
		return call_failed("read the state of the interlock", errno, NULL);
	return EXIT_OK;
}

/* ---- data and signs of life ------------------------------------------------------------ */

/* What was armed is no more: say why. */
static int ended(struct live *l)
{
	struct oni_stim_status s;
	int rc = live_status(l, &s);

	l->armed = false;
	if (rc != EXIT_OK)
		return rc;
	l->loaded = s.state == ONI_STIM_LOADED;
	fail_text("what was armed has ended, because %s; the interlock is %s", words_because(s.because),
		  words_state(s.state));
	if (s.state == ONI_STIM_FAULT)
		say("Find out why, then 'onistim ack'.");
	return EXIT_REFUSED;
}

static int kick(struct live *l)
{
	uint64_t now = live_now_ms(), position = onidev_stream_position(l->stream);
	struct oni_stim_verdict v;
	struct onidev_stream_status s;

	if (!l->armed || now < l->kick_ms || position <= l->kicked)
		return EXIT_OK;
	onidev_stream_status(l->stream, &s);
	if (node_kick(l->fd, l->nonce, position, s.generation, &v) == 0) {
		l->kicked = position;
		l->kick_ms = now + l->watchdog_ms / KICKS;
		l->kicks++;
		return EXIT_OK;
	}
	/* These data are too old, newer ones may come in time. */
	if (v.code == ONI_STIM_STALE_KICK) {
		l->stale++;
		return EXIT_OK;
	}
	if (v.code == ONI_STIM_STATE || v.code == ONI_STIM_FAULTED || v.code == ONI_STIM_NOT_OWNER)
		return ended(l);
	return call_failed("give a sign of life", errno, &v);
}

/* All that is there. Losses of a monitor are no failure: it sees the newest data. */
static int read_all(struct live *l)
{
	struct onidev_stream_status s;
	struct onidev_frame frame;
	int rc, error = 0, kicked = EXIT_OK, n = 0;

	onidev_stream_status(l->stream, &s);
	if (s.generation != l->acquisition) {
		rc = read_table(l);
		if (rc != EXIT_OK)
			return rc;
	}
	while (!error && kicked == EXIT_OK) {
		rc = onidev_frame_next(l->stream, &frame);
		if (!rc)
			break;
		if (rc < 0 && errno != EOVERFLOW)
			error = errno;
		/* A sign of life must not wait for the end of a burst of data. */
		else if (++n % 4096 == 0)
			kicked = kick(l);
	}
	onidev_stream_release(l->stream);
	return error ? onidev_failed(ONIDEV_OP_FRAME_NEXT, error) : kicked;
}

/* One look at the stream. */
static int look(struct live *l)
{
	int rc = EXIT_OK;

	switch (onidev_stream_wait(l->stream, 0)) {
	case ONIDEV_WAIT_DATA:
		rc = read_all(l);
		break;
	case ONIDEV_WAIT_TIMEOUT:
		break;
	case ONIDEV_WAIT_END:
		if (l->armed)
			return ended(l);
		return fail_text("the acquisition was stopped");
	default:
		if (errno != EINTR)
			return onidev_failed(ONIDEV_OP_STREAM_READ, errno);
	}
	return rc == EXIT_OK ? kick(l) : rc;
}

/*
 * Without data there is no kick that could be refused, and what was armed may have ended
 * by itself: look every now and then.
 */
static int still_armed(struct live *l, uint64_t now, uint64_t *next)
{
	struct oni_stim_status s;
	int rc;

	if (!l->armed || now < *next)
		return EXIT_OK;
	*next = now + 50;
	rc = live_status(l, &s);
	if (rc == EXIT_OK && s.state != ONI_STIM_ARMED)
		return ended(l);
	return rc;
}

int live_wait(struct live *l, uint64_t ms, int fd)
{
	uint64_t now = live_now_ms(), end = now + ms, status = now;
	int rc = EXIT_OK;

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = fd, .events = POLLIN },
			{ .fd = onidev_stream_fd(l->stream), .events = POLLIN },
		};
		uint64_t most = l->armed ? TICK_MS : 100;

		rc = look(l);
		now = live_now_ms();
		if (rc == EXIT_OK)
			rc = still_armed(l, now, &status);
		if (rc != EXIT_OK || now >= end || interrupted)
			return rc;
		/* Data are looked at by the tick, so that they do not wake it at each block. */
		p[1].fd = l->armed ? -1 : p[1].fd;
		poll(p, 2, (int)(end - now < most ? end - now : most));
		if (p[0].revents)
			return look(l);
	}
}

void live_close(struct live *l)
{
	struct oni_stim_verdict v;

	/* Whatever fails here: the close of the node ends the session for certain. */
	if (l->fd >= 0 && l->nonce) {
		if (l->armed)
			node_call(l->fd, ONI_STIM_IOC_DISARM, l->nonce, &v);
		node_call(l->fd, ONI_STIM_IOC_RELEASE, l->nonce, &v);
	}
	if (l->fd >= 0)
		close(l->fd);
	if (l->own && l->ctl && l->stream)
		onidev_controller_stop(l->ctl);
	onidev_stream_free(l->stream);
	onidev_table_free(l->table);
	onidev_controller_close(l->ctl);
	memset(l, 0, sizeof(*l));
	l->fd = -1;
}
