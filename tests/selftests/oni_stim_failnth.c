// SPDX-License-Identifier: MIT
/*
 * Every allocation and every user copy of the calls of the interlock fails once.
 *
 *   oni_stim_failnth [-n] [-a] [-v] [CHAIN...]
 *
 * Calls of /dev/oniN-stim, /dev/oniN-stop and of the file of events, as oni_failnth has
 * those of /dev/oniN. Beyond what oni_nth.h asks for, after each failure:
 *  - nothing is less safe than before the call: no further state, no policy, owner
 *    or log that was not there, no train, no longer watchdog, and no fault either;
 *  - what has to stop currents has stopped them, whatever it reported;
 *  - the same call works then and there.
 * In the end it tells how many FIREs returned 0; the scenario compares that with the
 * trains that the card delivered. All of them are to be cut: they last 8 s.
 *
 * -n: no failures, each chain once (any kernel). -a: every failure. -v: every run.
 *
 * Contract under test: include/uapi/linux/oni_stim.h. Needs root, a kernel with fault
 * injection, the card of kernel_stim, ONI_LAB_CMD. The main thread is the one whose
 * calls fail; another one reads the data and kicks. Not for electrodes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oni_leave.h"
#include "oni_nth.h"
#include "oni_stim_help.h"

#define TTL_MS		600000u
#define W		9000u		/* ms; nothing that a chain waits for */
#define RING		(4u << 20)

enum mark {
	STOPS = 1,		/* nothing may flow afterwards, whatever it reports */
	ONCE = 2,		/* it has done what it is for, even if it reports a failure */
};

/* The acquisition stays from chain to chain; the rest ends with teardown(). */
static struct {
	bool running;
	int ctl, look;
	struct ost_life life;
	int stim, ev, twin, stop;
	uint64_t nonce, kick;
	struct oni_stim_status before;
	struct oni_stim_policy policy;
	struct oni_stim_event event;
	uint64_t seq;
	uint64_t fired;		/* FIREs that returned 0 */
} t = { .ctl = -1, .look = -1, .stim = -1, .ev = -1, .twin = -1, .stop = -1 };

static struct ost_program train, longest;
static struct ot_slot slot;

/* --- the card, and an acquisition -------------------------------------------- */

static void forget(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void base_down(void)
{
	if (t.running) {
		ost_halt(&t.life, t.ctl);
		ost_close(&t.life);
	}
	t.running = false;
	forget(&t.look);
	forget(&t.ctl);
}

static int base_nodes(void)
{
	t.ctl = ot_open_within(OT_REPLUG_MS);
	t.look = ost_open(O_RDWR);
	return t.ctl < 0 ? t.ctl : t.look < 0 ? t.look : 0;
}

/* The step of the programs is in force after the reset of the feed. */
static int base_step(void)
{
	int ret = ost_claim(t.look, &t.nonce, NULL);

	if (!ret)
		ret = ost_step(t.look, t.nonce, OST_HUB_RHS, OST_STEP_NA, NULL);
	if (!ret)
		ret = ost_feed(t.ctl);
	return ret ? ret : ost_call(t.look, ONI_STIM_IOC_RELEASE, t.nonce, NULL);
}

static int base(void)
{
	int ret;

	if (t.running)
		return 0;
	base_down();
	ret = base_nodes();
	if (!ret && ost_limits(t.look, &t.policy) == -ENODATA) {
		ost_policy_fill(&t.policy);
		ret = ost_policy(t.look, &t.policy, 0, NULL);
	}
	if (!ret)
		ret = ot_simple(t.ctl, ONI_IOC_CLAIM);
	if (!ret)
		ret = ost_power(t.ctl);
	if (!ret)
		ret = base_step();
	if (!ret)
		ret = ost_stream(&t.life, t.ctl, RING);
	if (!ret)
		ret = ost_start(&t.life, t.ctl);
	t.running = !ret;
	return ret;
}

/* --- preparations of chains --------------------------------------------------- */

static int prep_stim(void)
{
	int ret = base();

	if (ret)
		return ret;
	t.stim = ost_open(O_RDWR);
	return t.stim < 0 ? t.stim : 0;
}

static int prep_claimed(void)
{
	int ret = prep_stim();

	return ret ? ret : ost_claim(t.stim, &t.nonce, NULL);
}

static int prep_loaded(void)
{
	int ret = prep_claimed();

	return ret ? ret : ost_load(t.stim, ONI_STIM_IOC_LOAD, t.nonce, &train, NULL, NULL);
}

static int prep_armed(void)
{
	int ret = prep_loaded();

	if (!ret)
		ret = ost_arm(t.stim, t.nonce, train.hash, TTL_MS, NULL);
	t.life.fd = t.stim;
	t.life.nonce = t.nonce;
	t.life.kicked = 0;
	t.life.kick = !ret;
	return ret;
}

/* It may be fired. */
static int prep_ready(void)
{
	int ret = prep_armed();

	ot_sleep_ms(ONI_STIM_ARM_DELAY_MS + 10);
	return ret;
}

static int run_fire(void)
{
	int ret = ost_call(t.stim, ONI_STIM_IOC_FIRE, t.nonce, NULL);

	t.fired += !ret;
	return ret;
}

static int prep_playing(void)
{
	int ret = prep_ready();

	return ret ? ret : run_fire();
}

static int prep_stop(void)
{
	int ret = prep_playing();

	if (ret)
		return ret;
	t.stop = ost_open_stop(O_WRONLY);
	return t.stop < 0 ? t.stop : 0;
}

/* A sign of life that is new, and that the other thread does not give. */
static int prep_kick(void)
{
	int ret = prep_armed();
	uint64_t least;

	if (ret)
		return ret;
	ost_thread_end(&t.life);
	t.life.kick = false;
	ret = ost_thread(&t.life);
	least = ot_head(&t.life.s) + 2 * OT_BLOCK;
	t.kick = ot_wait_head(&t.life.s, least, OST_SOON_MS);
	return ret ? ret : t.kick < least ? -ETIME : 0;
}

/* A stop that is not acknowledged. */
static int prep_fault(void)
{
	int ret = prep_armed();

	if (!ret)
		ret = ot_lab("fault deaf 4294967295");
	if (!ret && ost_call(t.stim, ONI_STIM_IOC_DISARM, t.nonce, NULL) != -EIO)
		ret = -EPROTO;
	return ot_lab("fault clear") ? -EIO : ret;
}

/* What is in force, a little lower. */
static void lower(void)
{
	ost_limits(t.look, &t.policy);
	t.policy.cls[t.policy.class_of[8] - 1].max[ONI_STIM_AMPLITUDE]--;
}

static int prep_policy(void)
{
	int ret = prep_stim();

	if (!ret)
		lower();
	return ret;
}

static int prep_lower(void)
{
	int ret = prep_claimed();

	if (!ret)
		lower();
	return ret;
}

/* As bound: no policy, no thread. */
static int prep_fresh(void)
{
	int ret;

	base_down();
	ret = ot_unbind(&slot);
	if (!ret)
		ret = ot_bind(&slot);
	if (!ret)
		ret = base_nodes();
	if (ret)
		return ret;
	ost_policy_fill(&t.policy);
	t.stim = ost_open(O_RDWR);
	return t.stim < 0 ? t.stim : 0;
}

static int prep_unclaimed(void)
{
	int ret = prep_fresh();

	return ret ? ret : ost_policy(t.stim, &t.policy, 0, NULL);
}

static int prep_events(void)
{
	int ret = prep_stim();

	if (ret)
		return ret;
	t.ev = ost_events(t.ctl, 0);
	t.twin = ost_events(t.ctl, 0);
	if (t.ev < 0 || t.twin < 0)
		return t.ev < 0 ? t.ev : t.twin;
	ret = ost_claim(t.stim, &t.nonce, NULL);
	/* Another file says which event is the first. */
	if (!ret && read(t.twin, &t.event, sizeof(t.event)) != sizeof(t.event))
		ret = -ENODATA;
	t.seq = t.event.seq;
	return ret;
}

/* --- chains: 0 or the -errno of the call that failed --------------------------- */

static int run_open(void)
{
	t.stim = ost_open(O_RDWR);
	return t.stim < 0 ? t.stim : 0;
}

static int run_status(void)
{
	struct oni_stim_status st;

	return ost_status(t.stim, &st);
}

static int run_limits(void)
{
	return ost_limits(t.stim, &t.policy);
}

static int run_check(void)
{
	return ost_load(t.stim, ONI_STIM_IOC_CHECK, 0, &train, NULL, NULL);
}

/* More rows than a page holds: memory comes another way. */
static int run_check_long(void)
{
	return ost_load(t.stim, ONI_STIM_IOC_CHECK, 0, &longest, NULL, NULL);
}

static int run_policy(void)
{
	return ost_policy(t.stim, &t.policy, 0, NULL);
}

static int run_lower(void)
{
	return ost_lower(t.stim, &t.policy, NULL);
}

static int run_claim(void)
{
	return ost_claim(t.stim, &t.nonce, NULL);
}

static int run_step(void)
{
	return ost_step(t.stim, t.nonce, OST_HUB_RHS, OST_STEP_NA, NULL);
}

static int run_load(void)
{
	return ost_load(t.stim, ONI_STIM_IOC_LOAD, t.nonce, &train, NULL, NULL);
}

static int run_arm(void)
{
	return ost_arm(t.stim, t.nonce, train.hash, TTL_MS, NULL);
}

static int run_kick(void)
{
	return ost_kick(t.stim, t.nonce, t.kick, t.life.s.prod->generation, NULL);
}

static int run_disarm(void)
{
	return ost_call(t.stim, ONI_STIM_IOC_DISARM, t.nonce, NULL);
}

static int run_release(void)
{
	return ost_call(t.stim, ONI_STIM_IOC_RELEASE, t.nonce, NULL);
}

static int run_ack(void)
{
	return ost_call(t.stim, ONI_STIM_IOC_ACK_FAULT, 0, NULL);
}

static int run_close(void)
{
	int ret = close(t.stim) < 0 ? -errno : 0;

	t.stim = -1;
	return ret;
}

static int run_stop(void)
{
	return write(t.stop, "", 1) == 1 ? 0 : -errno;
}

/* As a shell does it: a stop that has no file yet can fail with nothing done. */
static int run_stop_by_name(void)
{
	return ost_stop();
}

static int run_stop_read(void)
{
	char line[16];
	int fd = ost_open_stop(O_RDONLY), ret = 0;

	if (fd < 0)
		return fd;
	if (read(fd, line, sizeof(line)) <= 0)
		ret = -errno;
	close(fd);
	return ret;
}

static int run_events(void)
{
	t.ev = ost_events(t.ctl, 0);
	return t.ev < 0 ? t.ev : 0;
}

static int run_audit(void)
{
	t.ev = ost_events(t.ctl, ONI_STIM_EVENTS_AUDIT);
	return t.ev < 0 ? t.ev : 0;
}

static int run_read(void)
{
	ssize_t n = read(t.ev, &t.event, sizeof(t.event));

	return n < 0 ? -errno : n == sizeof(t.event) ? 0 : -ENODATA;
}

/* --- what must hold when a chain reported nothing -------------------------------- */

static int is(uint32_t state, uint32_t flags)
{
	struct oni_stim_status st;
	int ret = ost_status(t.look, &st);

	return ret ? ret : st.state == state && (st.flags & flags) == flags ? 0 : -EBADE;
}

static int good_always(void)
{
	return 0;
}

static int good_policy(void)
{
	struct oni_stim_status st;
	int ret = ost_status(t.look, &st);

	if (!ret && !memcmp(st.policy, t.before.policy, sizeof(st.policy)))
		ret = -EBADE;
	return ret ? ret : st.flags & ONI_STIM_HAS_POLICY ? 0 : -EBADE;
}

static int good_claimed(void)
{
	return is(ONI_STIM_CLAIMED, 0);
}

static int good_loaded(void)
{
	return is(ONI_STIM_LOADED, ONI_STIM_CONFIRMED);
}

static int good_armed(void)
{
	return is(ONI_STIM_ARMED, ONI_STIM_CONFIRMED);
}

static int good_fired(void)
{
	struct oni_stim_status st;
	int ret = ost_status(t.look, &st);

	return ret ? ret : st.fires == t.before.fires + 1 ? 0 : -EBADE;
}

static int good_kicked(void)
{
	/* The same position is none that is new. */
	return run_kick() == -EPERM ? 0 : -EBADE;
}

static int good_safe(void)
{
	return is(ONI_STIM_SAFE, ONI_STIM_CONFIRMED);
}

static int stopped(void)
{
	struct oni_stim_status st;
	int ret = ost_status(t.look, &st);

	if (!ret && (st.state >= ONI_STIM_ARMED || st.flags & ONI_STIM_PLAYING ||
		     !(st.flags & ONI_STIM_CONFIRMED)))
		ret = -EALREADY;
	return ret;
}

static int good_audit(void)
{
	return is(ONI_STIM_SAFE, ONI_STIM_HAS_AUDIT);
}

static int good_read(void)
{
	return t.event.seq == t.seq ? 0 : -EBADMSG;
}

/* --- the list ------------------------------------------------------------------------ */

static const struct chain {
	struct nth_chain c;
	unsigned int mark;
} chains[] = {
	/* those that begin with the driver bound anew come first */
	{ { "first policy", prep_fresh, run_policy, good_policy, {}, 4, true, 0, 0 }, 0 },
	{ { "first claim", prep_unclaimed, run_claim, good_claimed, {}, 3, true, 0, 0 }, 0 },
	{ { "open", base, run_open, good_always, {}, 2, false, 0, 0 }, 0 },
	{ { "status", prep_stim, run_status, good_always, {}, 2, false, 0, 0 }, 0 },
	{ { "limits", prep_stim, run_limits, good_always, {}, 4, false, 0, 0 }, 0 },
	{ { "check", prep_stim, run_check, good_always, {}, 6, false, 0, 0 }, 0 },
	{ { "check of a long one", prep_stim, run_check_long, good_always, {}, 6, false, 4, 0 }, 0 },
	{ { "policy", prep_policy, run_policy, good_policy, {}, 4, false, 0, 0 }, 0 },
	{ { "lower", prep_lower, run_lower, good_policy, {}, 4, false, 0, 0 }, 0 },
	{ { "claim", prep_stim, run_claim, good_claimed, {}, 2, false, 0, 0 }, 0 },
	{ { "step", prep_claimed, run_step, good_claimed, {}, 2, false, 0, 0 }, 0 },
	{ { "load", prep_claimed, run_load, good_loaded, {}, 6, false, 0, 0 }, 0 },
	{ { "arm", prep_loaded, run_arm, good_armed, {}, 2, false, 0, 0 }, 0 },
	{ { "kick", prep_kick, run_kick, good_kicked, {}, 2, false, 0, 0 }, 0 },
	{ { "fire", prep_ready, run_fire, good_fired, {}, 2, false, 0, 0 }, 0 },
	{ { "disarm", prep_playing, run_disarm, good_loaded, {}, 2, false, 0, 0 }, STOPS | ONCE },
	{ { "release", prep_playing, run_release, good_safe, {}, 2, false, 0, 0 }, STOPS | ONCE },
	{ { "close", prep_playing, run_close, good_safe, {}, 0, false, 0, 0 }, STOPS | ONCE },
	{ { "stop", prep_stop, run_stop, good_claimed, {}, 0, false, 0, 0 }, STOPS | ONCE },
	{ { "stop by name", prep_playing, run_stop_by_name, good_claimed, {}, 2, false, 0, 0 }, 0 },
	{ { "state of the stop node", base, run_stop_read, good_always, {}, 3, false, 0, 0 }, 0 },
	{ { "acknowledge", prep_fault, run_ack, good_safe, {}, 2, false, 0, 0 }, 0 },
	{ { "events", base, run_events, good_always, {}, 5, false, 0, 0 }, 0 },
	{ { "events for a log", base, run_audit, good_audit, {}, 5, false, 0, 0 }, 0 },
	{ { "read of events", prep_events, run_read, good_read, {}, 1, false, 0, 0 }, 0 },
};

#define CHAINS	(sizeof(chains) / sizeof(chains[0]))

static unsigned int mark_of(const struct nth_chain *c)
{
	return ((const struct chain *)c)->mark;
}

/* --- around a call ------------------------------------------------------------------- */

static void begin(const struct nth_chain *c)
{
	(void)c;
	ost_status(t.look, &t.before);
}

/* Nothing is less safe than it was. */
static const char *worse(void)
{
	const struct oni_stim_status *was = &t.before;
	const uint32_t gains = ONI_STIM_HAS_POLICY | ONI_STIM_HAS_AUDIT | ONI_STIM_PLAYING;
	struct oni_stim_status st;

	if (ost_status(t.look, &st))
		return "no status";
	if (st.state > was->state || (st.state != was->state && was->state == ONI_STIM_FAULT))
		return "another state";
	if (st.flags & ~was->flags & gains)
		return "a flag that was not set";
	if (st.owner && st.owner != was->owner)
		return "an owner";
	if (st.fires != was->fires || st.faults != was->faults)
		return "a train or a fault was counted";
	if (memcmp(st.policy, was->policy, sizeof(st.policy)))
		return "another policy";
	if (st.watchdog_ms > was->watchdog_ms && !t.life.kick)
		return "a longer watchdog";
	return NULL;
}

static int failed(const struct nth_chain *c, int ret)
{
	const char *what = worse();

	(void)ret;
	if (what) {
		ksft_print_msg("%s: less safe: %s\n", c->name, what);
		return -EBADE;
	}
	if (mark_of(c) & STOPS && stopped())
		return -EALREADY;
	if (mark_of(c) & ONCE)
		return 0;
	ret = c->run();
	return ret ? ret : c->good();
}

static void teardown(void)
{
	struct oni_stim_status st;

	ost_thread_end(&t.life);
	t.life.kick = false;
	forget(&t.ev);
	forget(&t.twin);
	forget(&t.stop);
	forget(&t.stim);
	if (t.look >= 0 && !ost_status(t.look, &st) && st.state == ONI_STIM_FAULT)
		ost_call(t.look, ONI_STIM_IOC_ACK_FAULT, 0, NULL);
	if (t.running && ost_thread(&t.life))
		t.running = false;
}

/* SAFE, acknowledged, nobody's. */
static int after(const struct nth_chain *c, unsigned int nth, bool hit)
{
	struct oni_stim_status st;
	int ret = ost_status(t.look, &st);

	(void)hit;
	if (!ret && (st.state != ONI_STIM_SAFE || st.owner || stopped()))
		ret = -EBADE;
	if (ret)
		ksft_print_msg("%s, %u: not safe afterwards: %s, state %u\n", c->name, nth,
			       strerror(-ret), st.state);
	return ret;
}

static void rescue(void)
{
	base_down();
	ot_unbind(&slot);
	ot_bind(&slot);
}

static void make_programs(void)
{
	ost_rhs(&train, W);
	ost_slow_wave(&train);
	ost_seal(&train);
	ost_rhs(&longest, W);
	ost_wave(&longest, 250);
	ost_seal(&longest);
}

static void find_slot(void)
{
	int ctl = ot_open_within(OT_REPLUG_MS);

	if (ctl < 0 || ot_slot_find(&slot, ctl))
		ksft_exit_fail_msg("no controller with a driver\n");
	close(ctl);
}

int main(int argc, char **argv)
{
	struct nth_test test = {
		.begin = begin, .failed = failed, .teardown = teardown, .after = after,
		.rescue = rescue,
	};
	bool inject = nth_options(&test, argc, argv);
	size_t i, n = 0;

	t.life.s.fd = -1;
	find_slot();
	make_programs();
	if (inject)
		nth_open();
	for (i = 0; i < CHAINS; i++)
		n += nth_named(&chains[i].c, argv + optind);
	if (!n)
		ksft_exit_fail_msg("no chain of that name\n");
	ksft_set_plan(n);
	nth_fault_in();
	for (i = 0; i < CHAINS; i++)
		if (nth_named(&chains[i].c, argv + optind))
			nth_sweep(&test, &chains[i].c);
	base_down();
	ksft_print_msg("FIREs that returned 0: %llu\n", (unsigned long long)t.fired);
	ksft_finished();
}
