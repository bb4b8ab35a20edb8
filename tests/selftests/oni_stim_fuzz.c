// SPDX-License-Identifier: MIT
/*
 * Stimulation by owners who do not know what they do.
 *
 *   oni_stim_fuzz [-s SEED] [-n CALLS] [-b REBINDS]
 *
 * Two threads work on the same stim files: claims, steps, programs that are mostly
 * near a bound and sometimes rubbish, arms, kicks, trains, ends; files are
 * duplicated and closed, children call and die, the acquisition starts and stops
 * under them. A third thread stops by the stop node, a fourth one sends signals, and
 * with REBINDS the driver is unbound meanwhile. No call may end with an errno that
 * the contract does not have. What flowed meanwhile is judged by the scenario
 * (kernel_stim_fuzz) from the log of the card; what the kernel thinks is in its log.
 *
 * Contract under test: include/uapi/linux/oni_stim.h. Needs root and the headstages
 * of that scenario. Threads share the table of files, atomically; a file may be closed
 * or replaced under a call, which then is about another one. TAP, three results.
 */
#define _GNU_SOURCE
#include "kselftest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "oni_leave.h"
#include "oni_rng.h"
#include "oni_stim_help.h"

#define FILES	4		/* the last one is read-only */
#define ERRNOS	134

static _Atomic int files[FILES];
static _Atomic int ctl = -1;
static _Atomic uint64_t nonce;		/* of the last claim that worked, by this file: */
static _Atomic uint32_t claimed_by;
static _Atomic bool quit;
static _Atomic unsigned int bad;
static _Atomic unsigned long hist[20][ERRNOS];
static struct ost_life life;
static pthread_mutex_t life_lock = PTHREAD_MUTEX_INITIALIZER;

struct worker {
	pthread_t thread;
	struct rng rng;
	unsigned long calls;
	_Atomic unsigned long n;
	struct ost_program g;		/* of the last LOAD */
};

static struct worker workers[2];

/* --- results ------------------------------------------------------------------- */

enum {
	O_STATUS, O_LIMITS, O_CHECK, O_CLAIM, O_STEP, O_LOAD, O_ARM, O_KICK, O_FIRE, O_DISARM,
	O_RELEASE, O_ACK, O_LOWER, O_POLICY, O_STOP, O_EVENTS, O_RUBBISH, O_CTL, O_REG, O_OTHERS
};

static const char *const names[] = {
	"STATUS", "LIMITS", "CHECK", "CLAIM", "STEP", "LOAD", "ARM", "KICK", "FIRE", "DISARM",
	"RELEASE", "ACK_FAULT", "LOWER", "POLICY", "stop", "events", "rubbish", "controller",
	"register",
};

/* All that the header has; EBADF and ENOTTY are of a file that was replaced. */
static const int known[] = {
	EINVAL, E2BIG, EFAULT, EPERM, ERANGE, EBUSY, ENODATA, EIO, ENODEV, EINTR, EAGAIN,
	ETIMEDOUT, ENOMEM, EBADF, ENOTTY, EREMOTEIO, ENOENT, ENXIO,
};

static void count(int op, int ret)
{
	int err = ret < 0 ? -ret : 0;
	size_t i;

	hist[op][err < ERRNOS ? err : ERRNOS - 1]++;
	/* There is nothing to call until the driver is back. */
	if (err == EBADF || err == ENODEV)
		ot_sleep_ms(20);
	for (i = 0; err && i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i] == err)
			return;
	if (err && bad++ < 20)
		ksft_print_msg("%s: %s\n", names[op], strerror(err));
}

/* --- calls ------------------------------------------------------------------------- */

/* Mostly near the bounds of ost_policy_fill(). */
static void any_program(struct worker *w)
{
	static const uint32_t channels[] = { 0x1, 0x3, 0xf, 0x8, 0x100, 0x300, 0x1000, 0x800 };
	struct ost_program *g = &w->g;

	if (one_in(&w->rng, 6)) {
		ost_hs64(g, 1 + below(&w->rng, 9500), 1 + below(&w->rng, 10));
		g->p.hs64.current1 += below(&w->rng, 1500);
		if (!one_in(&w->rng, 4))
			g->p.hs64.current2 = 65535 - g->p.hs64.current1;
		g->p.hs64.interpulse = below(&w->rng, 5000);
	} else if (one_in(&w->rng, 4)) {
		ost_rhs(g, 1 + below(&w->rng, 9500));
		ost_wave(g, 1 + below(&w->rng, 30));
	} else {
		ost_rhs(g, 1 + below(&w->rng, 9500));
		ost_pulses(g, channels[below(&w->rng, 8)], 1 + below(&w->rng, 220), 1 + below(&w->rng, 8),
			   60 + below(&w->rng, 300), 1 + below(&w->rng, 8));
		if (one_in(&w->rng, 4))
			g->p.sources = 1 + below(&w->rng, 7);
	}
	if (one_in(&w->rng, 5))
		g->rows[below(&w->rng, g->nrows + 1)].time += below(&w->rng, 3);
	if (one_in(&w->rng, 5))
		g->rows[below(&w->rng, g->nrows + 1)].polen ^= 1u << below(&w->rng, 32);
	if (one_in(&w->rng, 8))
		((uint8_t *)&g->p)[below(&w->rng, sizeof(g->p))] ^= 1u << below(&w->rng, 8);
	if (one_in(&w->rng, 20))
		g->hub = below(&w->rng, 4);
	ost_seal(g);
}

/* A call with arguments that were drawn, of the right size. */
static int rubbish(struct worker *w, int fd)
{
	static const uint32_t sizes[14] = {
		sizeof(struct oni_stim_status), sizeof(struct oni_stim_policy_arg),
		sizeof(struct oni_stim_policy_arg), sizeof(struct oni_stim_policy_arg),
		sizeof(struct oni_stim_load), sizeof(struct oni_stim_claim),
		sizeof(struct oni_stim_step), sizeof(struct oni_stim_load),
		sizeof(struct oni_stim_arm), sizeof(struct oni_stim_kick),
		sizeof(struct oni_stim_call), sizeof(struct oni_stim_call),
		sizeof(struct oni_stim_call), sizeof(struct oni_stim_call),
	};
	uint8_t arg[512] = { 0 };
	uint32_t nr = below(&w->rng, 16), size = nr < 14 ? sizes[nr] : 64, i;

	for (i = 4; i < size; i++)
		if (one_in(&w->rng, 12))
			arg[i] = r64(&w->rng);
	if (one_in(&w->rng, 4))
		size += below(&w->rng, 40) - 20;
	memcpy(arg, &size, sizeof(size));
	return ot_ioctl(fd, _IO(0xb9, 0x40 + nr), arg);
}

static int any_events(struct worker *w)
{
	struct oni_stim_event e[3];
	int i, fd = ost_events(ctl, below(&w->rng, 2));

	if (fd < 0)
		return fd;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (i = below(&w->rng, 5); i; i--)
		ot_read(fd, e, below(&w->rng, sizeof(e) + 1));
	close(fd);
	return 0;
}

static void reopen(struct worker *w)
{
	uint32_t i = below(&w->rng, FILES);
	int fd = one_in(&w->rng, 2) && i < FILES - 1 ? dup(files[below(&w->rng, FILES - 1)]) :
		 ost_open(i < FILES - 1 ? O_RDWR : O_RDONLY);
	int old;

	if (fd < 0)
		return;
	old = atomic_exchange(&files[i], fd);
	close(old);
}

/* A child that holds all files tries, and dies. */
static void child(int fd)
{
	pid_t pid = fork();

	if (!pid) {
		ost_call(fd, ONI_STIM_IOC_FIRE, nonce, NULL);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* What takes long: one at a time. */
static int acquisition(struct worker *w)
{
	int ret = 0;

	if (pthread_mutex_trylock(&life_lock))
		return 0;
	if (life.s.prod && life.s.prod->flags & ONI_RING_RUNNING && !one_in(&w->rng, 3)) {
		ret = 0;
	} else if (life.s.prod && life.s.prod->flags & ONI_RING_RUNNING) {
		ret = ost_halt(&life, ctl);
		if (!ret && one_in(&w->rng, 2))
			ret = ot_simple(ctl, ONI_IOC_RESET);
	} else if (life.s.prod) {
		ret = ost_start(&life, ctl);
	}
	pthread_mutex_unlock(&life_lock);
	return ret == -ETIME || ret == -ESPIPE ? 0 : ret;
}

static void call(struct worker *w)
{
	uint32_t which = one_in(&w->rng, 5) ? below(&w->rng, FILES) : claimed_by;
	int fd = files[which];
	struct oni_stim_status st;
	struct oni_stim_policy p;
	uint64_t n = one_in(&w->rng, 20) ? r64(&w->rng) : nonce;
	uint8_t hash[ONI_STIM_HASH_BYTES];
	int ret;

	switch (below(&w->rng, 40)) {
	case 0 ... 1:
		count(O_STATUS, ost_status(fd, &st));
		break;
	case 2:
		count(O_LIMITS, ost_limits(fd, &p));
		break;
	case 3 ... 5:
		any_program(w);
		count(O_CHECK, ost_load(fd, ONI_STIM_IOC_CHECK, 0, &w->g, NULL, NULL));
		break;
	case 6 ... 9:
		ret = ost_claim(fd, &n, NULL);
		if (!ret) {
			nonce = n;
			claimed_by = which;
		}
		count(O_CLAIM, ret);
		break;
	case 10:
		count(O_STEP, ost_step(fd, n, one_in(&w->rng, 8) ? below(&w->rng, 5) : OST_HUB_RHS,
				       one_in(&w->rng, 8) ? below(&w->rng, 3000) : OST_STEP_NA, NULL));
		break;
	case 11 ... 16:
		any_program(w);
		count(O_LOAD, ost_load(fd, ONI_STIM_IOC_LOAD, n, &w->g, NULL, NULL));
		break;
	case 17 ... 21:
		memcpy(hash, w->g.hash, sizeof(hash));
		if (!one_in(&w->rng, 4) && !ost_status(fd, &st))
			memcpy(hash, st.program, sizeof(hash));
		count(O_ARM, ost_arm(fd, n, hash, one_in(&w->rng, 4) ? below(&w->rng, 1000) : 10000, NULL));
		break;
	case 22 ... 23:
		if (pthread_mutex_trylock(&life_lock))
			break;
		if (life.s.prod)
			count(O_KICK, ost_kick(fd, n, one_in(&w->rng, 5) ? r64(&w->rng) :
					       ot_head(&life.s), life.s.prod->generation, NULL));
		pthread_mutex_unlock(&life_lock);
		break;
	case 24 ... 30:
		count(O_FIRE, ost_call(fd, ONI_STIM_IOC_FIRE, n, NULL));
		if (one_in(&w->rng, 4)) {
			ot_sleep_ms(below(&w->rng, 250));
			count(O_FIRE, ost_call(fd, ONI_STIM_IOC_FIRE, n, NULL));
		}
		break;
	case 31:
		count(O_DISARM, ost_call(fd, ONI_STIM_IOC_DISARM, n, NULL));
		break;
	case 32:
		if (one_in(&w->rng, 3))
			count(O_RELEASE, ost_call(fd, ONI_STIM_IOC_RELEASE, n, NULL));
		count(O_ACK, ost_call(fd, ONI_STIM_IOC_ACK_FAULT, 0, NULL));
		break;
	case 33:
		ost_policy_fill(&p);
		count(O_LOWER, ost_lower(fd, &p, NULL));
		count(O_POLICY, ost_policy(fd, &p, 0, NULL));
		break;
	case 34:
		count(O_EVENTS, any_events(w));
		break;
	case 35 ... 36:
		count(O_RUBBISH, rubbish(w, fd));
		break;
	case 37:
		if (one_in(&w->rng, 4))
			reopen(w);
		break;
	case 38:
		count(O_REG, ot_reg_write(ctl, OST_TRIGGER_DEV, 1 + below(&w->rng, 3), 1));
		break;
	default:
		if (one_in(&w->rng, 10))
			child(fd);
		else
			count(O_CTL, acquisition(w));
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (w->n = 1; w->n <= w->calls; w->n++)
		call(w);
	return NULL;
}

/* --- those who disturb ----------------------------------------------------------------- */

static void *stopper(void *arg)
{
	struct worker w = { .rng.s = *(uint64_t *)arg };

	while (!quit) {
		ot_sleep_ms(below(&w.rng, 1500));
		count(O_STOP, ost_stop());
	}
	return NULL;
}

static void *interrupter(void *arg)
{
	struct worker w = { .rng.s = *(uint64_t *)arg };

	while (!quit) {
		ot_sleep_ms(1 + below(&w.rng, 50));
		pthread_kill(workers[below(&w.rng, 2)].thread, SIGUSR1);
	}
	return NULL;
}

static void nothing(int sig)
{
	(void)sig;
}

/* --- around it ----------------------------------------------------------------------------- */

static int begin(bool power)
{
	struct oni_stim_policy p;
	uint32_t i;
	int ret;

	ctl = ot_open_within(OT_REPLUG_MS);
	for (i = 0; i < FILES; i++)
		files[i] = ost_open(i < FILES - 1 ? O_RDWR : O_RDONLY);
	ret = ot_simple(ctl, ONI_IOC_CLAIM);
	if (!ret && power)
		ret = ost_power(ctl);
	if (!ret)
		ret = ost_feed(ctl);
	ost_policy_fill(&p);
	/* A worker may have been faster, and may have claimed. */
	if (!ret)
		ret = ost_policy(files[0], &p, 0, NULL);
	if (ret == -EPERM && !power)
		ret = 0;
	pthread_mutex_lock(&life_lock);
	if (!ret)
		ret = ost_stream(&life, ctl, 0);
	if (!ret)
		ret = ost_start(&life, ctl);
	pthread_mutex_unlock(&life_lock);
	return ret;
}

static void end(void)
{
	uint32_t i;

	pthread_mutex_lock(&life_lock);
	ost_close(&life);
	pthread_mutex_unlock(&life_lock);
	for (i = 0; i < FILES; i++)
		close(files[i]);
	close(ctl);
}

/* The driver goes, its files stay a while, and new ones take their place. */
static int rebind(void)
{
	struct ot_slot slot;
	int ret = ot_slot_find(&slot, ctl);

	if (!ret)
		ret = ot_unbind(&slot);
	ot_sleep_ms(100);
	end();
	if (!ret)
		ret = ot_bind(&slot);
	return ret ? ret : begin(false);
}

static int safe_afterwards(void)
{
	struct oni_stim_status st;
	int ret, fd;

	end();
	ctl = ot_open_within(OT_REPLUG_MS);
	fd = ost_open(O_RDWR);
	ret = ost_status(fd, &st);
	if (!ret && st.state == ONI_STIM_FAULT)
		ret = ost_call(fd, ONI_STIM_IOC_ACK_FAULT, 0, NULL);
	if (!ret && ost_wait_state(fd, OST_IN(ONI_STIM_SAFE), OST_SOON_MS) != ONI_STIM_SAFE)
		ret = -ETIME;
	close(fd);
	close(ctl);
	return ret;
}

static void print_histogram(void)
{
	size_t op, e;

	for (op = 0; op < O_OTHERS; op++) {
		printf("# %-10s", names[op]);
		for (e = 0; e < ERRNOS; e++)
			if (hist[op][e])
				printf(" %s %lu", e ? strerrorname_np(e) : "ok",
				       (unsigned long)hist[op][e]);
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	unsigned long seed = 1, calls = 20000, rebinds = 2, i;
	const struct sigaction sa = { .sa_handler = nothing };
	uint64_t seeds[2];
	pthread_t helper[2];
	int c, ret;

	while ((c = getopt(argc, argv, "s:n:b:")) != -1) {
		unsigned long v = optarg ? strtoul(optarg, NULL, 0) : 0;

		if (c == '?')
			return 2;
		*(c == 's' ? &seed : c == 'n' ? &calls : &rebinds) = v;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	ksft_set_plan(3);
	sigaction(SIGUSR1, &sa, NULL);
	ret = begin(true);
	if (ret)
		ksft_exit_fail_msg("begin: %s\n", strerror(-ret));
	for (i = 0; i < 2; i++) {
		workers[i].rng.s = (seed + i) * 0x9e3779b97f4a7c15ULL + 1;
		workers[i].calls = calls / 2;
		seeds[i] = seed + 100 + i;
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	pthread_create(&helper[0], NULL, stopper, &seeds[0]);
	pthread_create(&helper[1], NULL, interrupter, &seeds[1]);
	for (i = 1; i <= rebinds && !ret; i++) {
		while (workers[0].n < calls / 2 * i / (rebinds + 1))
			ot_sleep_ms(20);
		ret = rebind();
	}
	/* the interrupter must not outlive those whom it interrupts */
	while (workers[0].n <= workers[0].calls || workers[1].n <= workers[1].calls)
		ot_sleep_ms(20);
	quit = true;
	for (i = 0; i < 2; i++)
		pthread_join(helper[i], NULL);
	for (i = 0; i < 2; i++)
		pthread_join(workers[i].thread, NULL);
	print_histogram();
	ksft_test_result(!bad, "%lu calls, every errno is one of the contract\n", calls);
	ksft_test_result(!ret, "the driver was bound anew under them (%s)\n", strerror(-ret));
	ret = safe_afterwards();
	ksft_test_result(!ret, "safe afterwards (%s)\n", strerror(-ret));
	ksft_finished();
}
