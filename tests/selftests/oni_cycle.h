/* SPDX-License-Identifier: MIT */
/*
 * For the tests that hurt the driver: the whole life of a recording, as short as
 * it can be, to see that the controller is still good for one; and the kernel's
 * fault injection.
 *
 * Functions in a header, because the programs that use them are few. One thread.
 * Fault injection: Documentation/fault-injection/fault-injection.rst.
 */
#ifndef ONI_CYCLE_H
#define ONI_CYCLE_H

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "oni_board.h"

#define CYCLE_RING	65536u
#define CYCLE_BLOCK	4096u
#define CYCLE_BLOCKS	2u
#define CYCLE_STEP	(OT_CLK_HZ / 4000u)	/* of a load tester */
#define CYCLE_MS	20000

/* A controller that came back may have another number. */
static inline int cycle_open(int ms)
{
	uint64_t end = ot_now_ns() + ms * 1000000ULL;
	int fd = -ENODEV;
	glob_t g;
	size_t i;

	do {
		if (glob("/dev/oni[0-9]*", 0, NULL, &g) == 0) {
			for (i = 0; i < g.gl_pathc && fd < 0; i++) {
				fd = open(g.gl_pathv[i], O_RDWR | O_CLOEXEC);
				fd = fd < 0 ? -errno : fd;
				if (fd >= 0)
					setenv("ONI_DEVICE", g.gl_pathv[i], 1);
			}
			globfree(&g);
		}
		if (fd < 0)
			ot_sleep_ms(20);
	} while (fd < 0 && ot_now_ns() < end);
	return fd;
}

struct cycle {
	const char *step;	/* where it went wrong */
	struct ot_parser parser;
};

static inline int cycle_acquire(struct cycle *c, int ctl, struct ot_stream *s)
{
	uint64_t want = CYCLE_BLOCKS * CYCLE_BLOCK;
	struct oni_info info;
	int ret;

	c->step = "mmap";
	ret = ot_stream_map(s->fd, s);
	if (ret)
		return ret;
	/* A safe state that could not read what should stay has left nothing of it. */
	c->step = "feed";
	ret = ot_board()->transport == ONI_TRANSPORT_FT600 ? ot_feed(ctl, OT_FEED_FAST) : 0;
	if (ret)
		return ret;
	c->step = "start";
	ret = ot_simple(ctl, ONI_IOC_START);
	if (ret)
		return ret;
	c->step = "table of the parser";
	ret = ot_parser_init(&c->parser, ctl, CYCLE_STEP);
	if (ret)
		return ret;
	c->step = "data";
	if (ot_wait_head(s, want, CYCLE_MS) < want)
		return -ETIME;
	c->step = "frames";
	if (ot_parser_feed(&c->parser, s->data, want) || c->parser.bad_words ||
	    !ot_parser_device(&c->parser, ot_board()->feed)->frames ||
	    ot_parser_device(&c->parser, ot_board()->feed)->gaps)
		return -EBADMSG;
	ot_set_tail(s, want);
	/* Nothing may run while a stimulator has not confirmed that it is off. */
	c->step = "stimulators are safe while running";
	ret = ot_info(ctl, &info);
	if (!ret && (info.state != ONI_STATE_RUNNING || !(info.flags & ONI_INFO_STIM_SAFE)))
		ret = -EBADE;
	return ret;
}

/*
 * Open, ask, claim, stream, start, read, end. Needs the feed as cycle_prepare()
 * sets it. 0, or -errno and c->step.
 */
static inline int cycle_run(struct cycle *c)
{
	struct ot_stream s = { .fd = -1 };
	struct oni_info info;
	uint32_t hz = 0;
	int ctl, ret;

	c->step = "open";
	ctl = cycle_open(CYCLE_MS);
	if (ctl < 0)
		return ctl;
	c->step = "info: nobody owns it";
	ret = ot_info(ctl, &info);
	if (!ret && info.flags & (ONI_INFO_OWNED | ONI_INFO_STREAM))
		ret = -EBUSY;
	if (ret)
		goto out;
	c->step = "register";
	ret = ot_reg_read(ctl, OT_HEARTBEAT, 2, &hz);
	if (!ret && hz != OT_CLK_HZ)
		ret = -EBADMSG;
	if (ret)
		goto out;
	c->step = "claim";
	ret = ot_simple(ctl, ONI_IOC_CLAIM);
	if (ret)
		goto out;
	if (info.state == ONI_STATE_FAULT) {
		c->step = "reset of a fault";
		ret = ot_simple(ctl, ONI_IOC_RESET);
		if (ret)
			goto out;
	}
	c->step = "stream";
	s.fd = ot_stream_create(ctl, CYCLE_RING, CYCLE_BLOCK, 0, 1000);
	ret = s.fd < 0 ? s.fd : cycle_acquire(c, ctl, &s);
out:
	ot_stream_unmap(&s);
	if (s.fd >= 0)
		close(s.fd);
	close(ctl);
	return ret;
}

/* It makes about a megabyte a second, until somebody says otherwise. */
static inline int cycle_prepare(void)
{
	int ret, ctl = cycle_open(CYCLE_MS);

	if (ctl < 0)
		return ctl;
	ret = ot_simple(ctl, ONI_IOC_CLAIM);
	if (!ret)
		ret = ot_feed(ctl, OT_FEED_FAST);
	close(ctl);
	return ret;
}

/* --- fault injection ------------------------------------------------------- */

#define FAULT_DIR	"/sys/kernel/debug/"

static inline int fault_set(const char *what, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), FAULT_DIR "%s/%s", what, name);
	return ot_write_file(path, value);
}

/*
 * Let any allocation that may sleep fail, and copies from and to user space, but
 * say nothing: a stack trace in the log is for faults that nobody asked for.
 * @highmem: also those that page faults of the program itself make.
 */
static inline int fault_setup(const char *percent, bool highmem)
{
	static const char * const kind[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	const struct {
		const char *name, *value;
	} common[] = {
		{ "verbose", "0" },
		{ "task-filter", "Y" },
		{ "interval", "1" },
		{ "times", "-1" },
		{ "space", "0" },
		{ "probability", percent },
	};
	size_t i, k;
	int ret = 0;

	ret = ret ? ret : fault_set("failslab", "ignore-gfp-wait", "N");
	ret = ret ? ret : fault_set("fail_page_alloc", "ignore-gfp-wait", "N");
	ret = ret ? ret : fault_set("fail_page_alloc", "ignore-gfp-highmem", highmem ? "N" : "Y");
	ret = ret ? ret : fault_set("fail_page_alloc", "min-order", "0");
	for (k = 0; k < 3; k++)
		for (i = 0; i < sizeof(common) / sizeof(common[0]) && !ret; i++)
			ret = fault_set(kind[k], common[i].name, common[i].value);
	return ret;
}

/* Probability is for a whole kind; make-it-fail says which tasks it is for. */
static inline int fault_task(bool on)
{
	return ot_write_file("/proc/self/make-it-fail", on ? "1" : "0");
}

#endif /* ONI_CYCLE_H */
