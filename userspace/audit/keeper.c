// SPDX-License-Identifier: MIT
/* keeper.c - see keeper.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define READ_EVENTS	32	/* at once: what one fdatasync is for */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static const char *mode(const struct keeper *k)
{
	return k->log->key && k->log->key->len ? "hmac-sha256" : "sha256";
}

/* Which boot a boot_ns belongs to; empty when that is not to be had. */
static void boot_id(char buf[40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, 36);

	buf[n == 36 ? 36 : 0] = '\0';
	for (char *c = buf; *c; c++)
		if (!strchr("0123456789abcdef-", *c))
			*c = '_';
	if (fd >= 0)
		close(fd);
}

/* Tells two logs apart that are otherwise the same. */
static int begin_record(struct keeper *k)
{
	uint8_t id[CHAIN_HASH] = { 0 };
	char hex[CHAIN_HEX + 1];

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		memset(id, 0, sizeof(id));
	chain_hex(id, hex);
	return audit_log_put(k->log, "begin", ",\"format\":\"oni audit log 1\",\"chain\":\"%s\","
			     "\"id\":\"%.32s\"", mode(k), hex);
}

static int boundary(struct keeper *k, const char *what, const char *reason, const char *more)
{
	char boot[40];

	boot_id(boot);
	return audit_log_put(k->log, what, ",\"because\":\"%s\",\"boot_ns\":%" PRIu64 ",\"real_ns\":%"
			     PRIu64 ",\"boot_id\":\"%s\"%s", reason, clock_ns(CLOCK_BOOTTIME),
			     clock_ns(CLOCK_REALTIME), boot, more);
}

int keeper_begin(struct keeper *k)
{
	char more[CHAIN_HEX + 20] = ",\"limits\":null", hex[CHAIN_HEX + 1];

	k->have_seq = k->log->have_seq;
	k->seq_is_old = k->have_seq;
	k->seq = k->log->seq;
	if (k->have_limits) {
		chain_hex(k->limits, hex);
		snprintf(more, sizeof(more), ",\"limits\":\"%s\"", hex);
	}
	if (!k->log->continued && begin_record(k))
		return -1;
	if (boundary(k, "open", !k->log->continued ? "new" :
		     k->log->was_closed ? "continued" : "interrupted", more))
		return -1;
	if (k->about[0] && audit_log_put(k->log, "controller", "%s", k->about))
		return -1;
	return audit_log_commit(k->log);
}

/* Events that nobody will see: between the last one and @seq. */
static int check_seq(struct keeper *k, uint64_t seq)
{
	const char *why = NULL;
	uint64_t from = k->have_seq ? k->seq + 1 : 1;
	bool old = k->seq_is_old;

	if (k->have_seq && seq <= k->seq) {
		why = old ? "counter began anew" : "counter stepped back";
		from = old ? 1 : seq;
	} else if (seq != from) {
		why = old ? "not running" : k->have_seq ? "too slow" : "before the log";
	}
	k->have_seq = true;
	k->seq_is_old = false;
	k->seq = seq;
	if (!why)
		return 0;
	k->missing += seq - from;
	return audit_log_put(k->log, "gap", ",\"because\":\"%s\",\"from\":%" PRIu64
			     ",\"missing\":%" PRIu64, why, from, seq - from);
}

static int put_event(struct keeper *k, const struct oni_stim_event *e, size_t size)
{
	char text[RECORD_TEXT];

	if (check_seq(k, e->seq))
		return -1;
	if (e->what == ONI_STIM_EV_POLICY || e->what == ONI_STIM_EV_LOWER) {
		memcpy(k->limits, e->hash, CHAIN_HASH);
		k->have_limits = true;
	}
	if (record_text(e, size, k->have_limits ? k->limits : NULL, text))
		return -1;
	k->events++;
	return audit_log_put(k->log, record_what(e->what), "%s", text);
}

/* 0, KEEPER_DISK or KEEPER_SOURCE. */
static int put_all(struct keeper *k, const uint8_t *buf, size_t len)
{
	size_t size;

	for (size_t at = 0; at < len; at += size) {
		_Alignas(struct oni_stim_event) uint8_t copy[sizeof(struct oni_stim_event) + RECORD_MORE];
		const struct oni_stim_event *e = (const void *)copy;
		uint32_t says;

		if (len - at < sizeof(*e))
			goto none;
		memcpy(&says, buf + at, sizeof(says));
		size = says;
		if (size < sizeof(*e) || size > sizeof(copy) || size > len - at)
			goto none;
		memcpy(copy, buf + at, size);
		if (put_event(k, e, size))
			return KEEPER_DISK;
	}
	return 0;
none:
	snprintf(k->why, sizeof(k->why), "what was read are no events of this kernel interface");
	return KEEPER_SOURCE;
}

/* What was taken from the kernel and did not reach the disk: at least somebody is told. */
static enum keeper_end disk_failed(struct keeper *k)
{
	if (k->unwritten && k->log->waiting)
		k->unwritten(k, k->log->batch, k->log->waiting);
	return KEEPER_DISK;
}

/* One read, one batch on the disk. -1: nothing there now; 0: go on; else an end, minus one. */
static int take(struct keeper *k, int events, enum keeper_end *end)
{
	uint8_t buf[READ_EVENTS * (sizeof(struct oni_stim_event) + RECORD_MORE)];
	ssize_t n = read(events, buf, sizeof(buf));
	int ret;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -1;
	if (n < 0 && errno != ENODEV) {
		snprintf(k->why, sizeof(k->why), "cannot read events: %s", strerror(errno));
		*end = KEEPER_SOURCE;
		return 1;
	}
	if (n <= 0) {
		*end = KEEPER_GONE;
		return 1;
	}
	ret = put_all(k, buf, (size_t)n);
	if (audit_log_commit(k->log)) {
		*end = disk_failed(k);
		return 1;
	}
	if (ret) {
		*end = (enum keeper_end)ret;
		return 1;
	}
	if (k->kept)
		k->kept(k);
	return 0;
}

static enum keeper_end loop(struct keeper *k, int events, int stop)
{
	struct pollfd p[2] = { { .fd = events, .events = POLLIN }, { .fd = stop, .events = POLLIN } };
	uint64_t head = clock_ns(CLOCK_BOOTTIME);
	enum keeper_end end;

	for (;;) {
		int n = poll(p, 2, (int)k->head_ms), got;

		if (n < 0 && errno != EINTR) {
			snprintf(k->why, sizeof(k->why), "poll: %s", strerror(errno));
			return KEEPER_SOURCE;
		}
		if (n > 0 && p[0].revents) {
			got = take(k, events, &end);
			if (got > 0)
				return end;
			/* a stop is no reason to leave what is there unread */
			if (!got)
				continue;
		}
		if (n > 0 && p[1].revents)
			return KEEPER_STOPPED;
		if (clock_ns(CLOCK_BOOTTIME) - head < k->head_ms * 1000000ull)
			continue;
		head = clock_ns(CLOCK_BOOTTIME);
		if (audit_log_commit(k->log))
			return disk_failed(k);
		if (k->kept)
			k->kept(k);
	}
}

enum keeper_end keeper_run(struct keeper *k, int events, int stop)
{
	static const char *const reasons[] = {
		[KEEPER_STOPPED] = "stopped", [KEEPER_GONE] = "controller gone",
		[KEEPER_SOURCE] = "events unreadable",
	};
	enum keeper_end end;
	int flags = fcntl(events, F_GETFL);

	if (flags < 0 || fcntl(events, F_SETFL, flags | O_NONBLOCK)) {
		snprintf(k->why, sizeof(k->why), "cannot read events: %s", strerror(errno));
		end = KEEPER_SOURCE;
	} else {
		end = loop(k, events, stop);
	}
	if (end == KEEPER_DISK)
		return end;
	if (boundary(k, "close", reasons[end], "") || audit_log_commit(k->log))
		return disk_failed(k);
	return end;
}
