/* SPDX-License-Identifier: MIT */
/*
 * Every allocation and every copy from or to user space of a few calls fails once.
 *
 * A chain is a few calls that belong together. It is run with the first of
 * its allocations or copies failing, then the second, and so on until a run
 * ends without any failure. Each time a call that fails says so with an errno of its
 * chain (ENOMEM for memory, EFAULT for a copy), and a failure that no call reports must
 * have been made good. What else must hold is the program's.
 *
 * Functions in a header, because the programs that use them are few. The thread that
 * calls them is the one whose calls fail. Needs a kernel with fault injection.
 */
#ifndef ONI_NTH_H
#define ONI_NTH_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest.h"

#include "oni_cycle.h"

#define NTH_MAX		2000	/* no chain has so many; a loop without an end has */

/* Return values are 0 or -errno. */
struct nth_chain {
	const char *name;
	int (*prepare)(void);
	int (*run)(void);	/* what fails; of the call that failed */
	int (*good)(void);	/* what must hold when it reported nothing */
	int err[4];		/* what a failure may be called, beside ENOMEM and EFAULT */
	unsigned int least;	/* failures that a kernel of today can make at least */
	bool slow;		/* a look at everything after every failure would take minutes */
	unsigned int stride;	/* beyond the 24th so many are left out, unless all are wanted */
	uint32_t only;		/* transport; a chain that another one has no use for */
};

struct nth_test {
	void (*begin)(const struct nth_chain *c);	/* prepared; may be absent */
	/* What must hold although a call failed; may be absent. */
	int (*failed)(const struct nth_chain *c, int ret);
	void (*teardown)(void);
	/* What must hold in the end; says what does not. @hit: there was a failure. */
	int (*after)(const struct nth_chain *c, unsigned int nth, bool hit);
	void (*rescue)(void);	/* a bad chain must not hide those behind it */
	unsigned int stride;	/* at least so many are left out, in every chain */
	bool verbose, every;
};

static int nth_fd = -1;

static inline void nth_set(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	/* Switching off can itself be what fails: then it is off. */
	if (nth_fd >= 0 && pwrite(nth_fd, text, len, 0) < 0 && n)
		ksft_exit_fail_msg("fail-nth: %s\n", strerror(errno));
}

/* Was the failure that nth_set() asked for made? Ends it if not. */
static inline bool nth_happened(void)
{
	char text[16] = "";
	bool hit;

	if (nth_fd < 0)
		return false;
	/* The read may be what fails: then nothing before it did. */
	hit = pread(nth_fd, text, sizeof(text) - 1, 0) > 0 && !strtoul(text, NULL, 10);
	nth_set(0);
	return hit;
}

static inline bool nth_allowed(const struct nth_chain *c, int ret)
{
	size_t i;

	if (ret == -ENOMEM || ret == -EFAULT)
		return true;
	for (i = 0; i < sizeof(c->err) / sizeof(c->err[0]); i++)
		if (c->err[i] && ret == -c->err[i])
			return true;
	return false;
}

/* One run with failure number @nth. 1: it happened; 0: it did not; -1: bad. */
static inline int nth_one(const struct nth_test *t, const struct nth_chain *c, unsigned int nth,
			  unsigned int *seen)
{
	int ret, good = 0;
	bool hit, told;

	ret = c->prepare();
	if (ret) {
		ksft_print_msg("%s, %u: preparation: %s\n", c->name, nth, strerror(-ret));
		t->teardown();
		return -1;
	}
	if (t->begin)
		t->begin(c);
	nth_set(nth);
	ret = c->run();
	hit = nth_happened();
	told = ret && hit && nth_allowed(c, ret);
	if (t->verbose)
		ksft_print_msg("%s, %u: %s%s\n", c->name, nth, ret ? strerror(-ret) : "made good",
			       hit ? "" : ", no failure");
	if (!ret)
		good = c->good();
	else if (t->failed)
		good = t->failed(c, ret);
	if (ret && !told)
		ksft_print_msg("%s, %u: %s\n", c->name, nth, strerror(-ret));
	if (good)
		ksft_print_msg("%s, %u: reported %s, but: %s\n", c->name, nth,
			       ret ? strerror(-ret) : "nothing", strerror(-good));
	t->teardown();
	if ((ret && !told) || good)
		return -1;
	seen[ret == -ENOMEM ? 0 : ret == -EFAULT ? 1 : ret ? 2 : 3] += hit;
	return t->after(c, nth, hit) ? -1 : hit;
}

/* All failures of a chain: one result. */
static inline void nth_sweep(const struct nth_test *t, const struct nth_chain *c)
{
	unsigned int stride = c->stride > t->stride ? c->stride : t->stride;
	unsigned int nth, made, seen[4] = { 0 }, bad = 0;
	uint64_t begin = ot_now_ns();
	int ret = 1;

	for (nth = 1; ret && nth <= NTH_MAX && bad < 5;
	     nth += nth < 24 || t->every ? 1 : 1 + stride) {
		ret = nth_one(t, c, nth, seen);
		bad += ret < 0;
		if (ret < 0)
			t->rescue();
	}
	ksft_print_msg("%s: ENOMEM %u, EFAULT %u, other %u, made good %u; %u ms\n", c->name,
		       seen[0], seen[1], seen[2], seen[3],
		       (unsigned int)((ot_now_ns() - begin) / 1000000));
	made = seen[0] + seen[1] + seen[2] + seen[3];
	if (nth_fd >= 0 && made < c->least) {
		ksft_print_msg("%s: %u failures, expected at least %u\n", c->name, made,
			       c->least);
		bad++;
	}
	ksft_test_result(!bad && !ret, "%s\n", c->name);
}

/* Is it one of the @names, or are there none? */
static inline bool nth_named(const struct nth_chain *c, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, c->name))
			return true;
	return false;
}

/* Page faults of this program must not be what fails. */
static inline void nth_fault_in(void)
{
	volatile char stack[128 * 1024];

	memset((char *)stack, 0, sizeof(stack));
	mlockall(MCL_CURRENT);
}

static inline void nth_open(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%ld/fail-nth", syscall(SYS_gettid));
	nth_fd = open(path, O_RDWR | O_CLOEXEC);
	if (nth_fd < 0)
		ksft_exit_skip("this kernel has no fault injection\n");
	if (fault_setup("0", true))
		ksft_exit_skip("fault injection has no debugfs\n");
}

/*
 * The kernel writes into the area of restartable sequences on its way back to user
 * space. After a fork that page has to be copied first, and a program for which that
 * fails is killed with SIGSEGV. So the C library must not register one.
 */
static inline void nth_no_rseq(char **argv)
{
	if (getenv("GLIBC_TUNABLES"))
		return;
	setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
	execv("/proc/self/exe", argv);
	ksft_exit_fail_msg("starting anew: %s\n", strerror(errno));
}

/* -n: no failures, -a: every one, -v: every run; names follow. False with -n. */
static inline bool nth_options(struct nth_test *t, int argc, char **argv)
{
	bool inject = true;
	int opt;

	nth_no_rseq(argv);
	while ((opt = getopt(argc, argv, "nav")) != -1) {
		if (opt == '?')
			ksft_exit_fail_msg("usage: %s [-n] [-a] [-v] [CHAIN...]\n", argv[0]);
		inject = inject && opt != 'n';
		t->every = t->every || opt == 'a';
		t->verbose = t->verbose || opt == 'v';
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	return inject;
}

#endif /* ONI_NTH_H */
