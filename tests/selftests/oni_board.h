/* SPDX-License-Identifier: MIT */
/*
 * What differs between the boards that the selftests run on.
 *
 * One description per transport, found by ONI_IOC_INFO; a test takes addresses,
 * sizes and rates from it. A test that is about something a board does not have
 * is not run there at all: a list at the end of the program names it and says
 * why, and what is run and counted is the rest.
 *
 * Device facts: ONIX datasheets (onix-docs) and, for an Acquisition Board, those
 * that tests/sim/model/acq_hub.c names. One process; no state but which board it
 * is, which is looked up once.
 */
#ifndef ONI_BOARD_H
#define ONI_BOARD_H

#include "oni_test.h"

struct ot_reg {
	uint32_t dev, reg, value;
};

struct ot_board {
	uint32_t transport;		/* ONI_TRANSPORT_* */
	const char *module;		/* the driver of the transport */
	const char *bus;		/* its directory in /sys/bus */
	const char *bus_name;		/* scanf pattern: four numbers name a device there */
	uint32_t hub;			/* hardware id of hub 0 */
	bool mmio;			/* the transport has registers */

	/* The device that makes data at a constant rate. Its frames tell if one is missing. */
	uint32_t feed;
	uint32_t feed_hz;		/* when ot_feed() has said FAST */
	uint32_t feed_size;		/* of a sample then; what it is when it is off */
	uint32_t feed_off_size;
	uint32_t feed_large;		/* of a sample when ot_feed() has said LARGE */
	uint32_t small_block;		/* holds a FAST frame and not a LARGE one */

	uint32_t memory;		/* the memory monitor */
	uint32_t writer;		/* has write frames of one word, if the guard lets them through */
	struct ot_reg scratch;		/* 16 bits that have no effect while the feed is off */
	struct ot_reg status;		/* something that can be read and does not change */
	struct ot_reg refused;		/* a value that its device does not take */
	struct ot_reg guarded;		/* a write that the guard does not let through */

	/* Rows that are there without a headstage */
	const struct oni_device *rows;
	size_t nrows;
};

/* The board of the node there is; ends the program if there is none. */
const struct ot_board *ot_board(void);

enum ot_feed {
	OT_FEED_OFF,	/* only the heartbeat is left: seconds for a block */
	OT_FEED_FAST,	/* 0.9 MB/s or 1.7 MB/s */
	OT_FEED_SLOW,	/* 46 kB/s, with frames of any device */
	OT_FEED_LARGE,	/* frames as large as they can be, for the table */
};

/* The owner of an idle controller chooses what it will send. Ends with a reset. */
int ot_feed(int fd, enum ot_feed how);

/* --- tests that a board has no use for ------------------------------------- */

/*
 * A rule of what is run on boards of one transport only. @variant or @test may be
 * NULL, which is all of them; not both may be given, since the harness runs every
 * test of a fixture with every variant.
 */
struct ot_only {
	uint32_t transport;
	const char *fixture;		/* "global" for TEST() */
	const char *variant, *test;
	const char *why;
};

#ifdef __KSELFTEST_HARNESS_H

#include <stdio.h>
#include <stdlib.h>

/* Take what is called @name, or everything, out of a list of the harness. */
#define OT_UNLINK(head, wanted)							\
	({									\
		unsigned int n_ = 0;						\
		__typeof__(head) *at_ = &(head);				\
										\
		while (*at_) {							\
			if (!(wanted) || !strcmp((*at_)->name, wanted)) {	\
				*at_ = (*at_)->next;				\
				n_++;						\
			} else {						\
				at_ = &(*at_)->next;				\
			}							\
		}								\
		n_;								\
	})

static inline void ot_leave_out(struct __fixture_metadata *f, const struct ot_only *o)
{
	unsigned int n;

	if (o->variant) {
		n = OT_UNLINK(f->variant, o->variant);
		/* Without a variant the harness would run the tests with none. */
		if (!f->variant)
			f->tests = NULL;
	} else {
		n = OT_UNLINK(f->tests, o->test);
	}
	if (!n) {
		fprintf(stderr, "nothing is called %s.%s\n", o->fixture,
			o->variant ? o->variant : o->test ? o->test : "*");
		exit(KSFT_FAIL);
	}
	printf("# not on this board: %s.%s: %s\n", o->fixture,
	       o->variant ? o->variant : o->test ? o->test : "*", o->why);
}

/* Rules that name nothing are errors: else a renamed test would come back unseen. */
static inline void ot_leave_out_all(const struct ot_only *only, size_t n)
{
	struct __fixture_metadata *f;
	size_t i;

	for (i = 0; i < n; i++) {
		for (f = __fixture_list; f && strcmp(f->name, only[i].fixture); f = f->next)
			;
		if (!f || (only[i].variant && only[i].test)) {
			fprintf(stderr, "no rule for %s is possible\n", only[i].fixture);
			exit(KSFT_FAIL);
		}
		if (only[i].transport != ot_board()->transport)
			ot_leave_out(f, &only[i]);
	}
	fflush(stdout);
}

/*
 * A time-out is for what never ends. An emulated machine that has other things to
 * do as well needs many times what was thought of.
 */
#define OT_PATIENCE	10

static inline void ot_be_patient(void)
{
	struct __fixture_metadata *f;
	struct __test_metadata *t;

	for (f = __fixture_list; f; f = f->next)
		for (t = f->tests; t; t = t->next)
			t->timeout *= OT_PATIENCE;
}

/* Before TEST_HARNESS_MAIN, whose main() it gets between: run what @list leaves. */
#define OT_ONLY(list)								\
	static int ot_run(int argc, char **argv)				\
	{									\
		ot_leave_out_all(list, ARRAY_SIZE(list));			\
		ot_be_patient();						\
		return (test_harness_run)(argc, argv);				\
	}

#define test_harness_run(argc, argv)	ot_run(argc, argv)

#endif /* __KSELFTEST_HARNESS_H */

#endif /* ONI_BOARD_H */
