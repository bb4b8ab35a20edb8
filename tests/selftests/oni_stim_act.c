// SPDX-License-Identifier: MIT
/*
 * oni_stim_act - stimulate a simulated headstage, and let something befall it.
 *
 *   oni_stim_act [-p] [-f] STORY...
 *
 * -p: power the ports first. -f: trains that are to be cut have no pauses, so that the
 * moment of the end can be told; they have more rows, which takes long to load, and
 * are shorter.
 *
 * Two processes act. The keeper owns the controller and the acquisition, reads the
 * data, and looks on. Its child owns the stimulators: it claims, loads, arms, says
 * that it lives, and fires. So what befalls the one does not hide behind what
 * befalls the other. Each story is told in JSON lines, which a scenario judges by
 * what the card delivered:
 *
 *   {"e":"program",...}  what was loaded
 *   {"e":"fire","t0":,"t1":}  CLOCK_MONOTONIC before and after a FIRE
 *   {"e":"event","t0":,"t1":} before and after what the story is about
 *   {"e":"try",...}      a call that has to be refused, and its verdict
 *   {"e":"end",...}      state afterwards
 *   {"e":"ev",...}       what the file of events said
 *
 * Contract used: include/uapi/linux/oni.h and oni_stim.h. Needs root, the headstages
 * of tests/lab (kernel_stim), and ONI_LAB_CMD for what only the holder of the card
 * can do. Exit status 0 if every story was told to its end. Not for electrodes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "oni_leave.h"
#include "oni_stim_help.h"

#define TTL_MS		60000u
#define NOBODY		65534

struct act {
	int ctl, stim, ev;
	struct ot_slot slot;
	struct ost_life life;
	struct ost_program prog;
	pid_t owner;
	int owner_sock;
	pid_t heir;		/* a child of the owner that holds its file */
	bool fine;		/* the waves */
	bool gone;		/* the controller went away */
};

/* One answer of the owner. */
struct answer {
	int ret;
	uint32_t code;
	uint64_t t0, t1;
	int64_t value;
};

struct story {
	const char *name;
	void (*program)(struct act *a, const struct story *s);
	uint32_t pulses, period;	/* or cycles of a wave; samples */
	uint32_t watchdog_ms, ttl_ms;
	uint64_t ring;
	int (*tell)(struct act *a, const struct story *s);
};

/* --- telling --------------------------------------------------------------- */

static int fail(const char *what, int ret)
{
	fprintf(stderr, "oni_stim_act: %s: %s\n", what, strerror(-ret));
	return ret ? ret : -EPROTO;
}

__attribute__((format(printf, 1, 2)))
static void line(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void tell_chip(const struct ost_program *g, uint32_t n, uint32_t first)
{
	const struct oni_stim_chip *c = &g->p.chip[n];
	uint32_t i;

	printf("%s{\"step_na\":%u,\"positive\":[", n ? "," : "", c->step_na);
	for (i = 0; i < ONI_STIM_CHANNELS; i++)
		printf("%s%u", i ? "," : "", c->positive[i]);
	printf("],\"negative\":[");
	for (i = 0; i < ONI_STIM_CHANNELS; i++)
		printf("%s%u", i ? "," : "", c->negative[i]);
	printf("],\"rows\":[");
	for (i = first; i < first + c->rows; i++)
		printf("%s[%u,%u]", i > first ? "," : "", g->rows[i].time, g->rows[i].polen);
	printf("]}");
}

static void tell_program(const struct ost_program *g)
{
	const struct oni_stim_hs64 *h = &g->p.hs64;

	printf("{\"e\":\"program\",\"kind\":%u,\"hub\":%u,\"watchdog_ms\":%u,", g->p.kind, g->hub,
	       g->p.watchdog_ms);
	if (g->p.kind == ONI_STIM_HS64) {
		line("\"current1\":%u,\"current2\":%u,\"duration1\":%u,\"interphase\":%u,"
		     "\"duration2\":%u,\"interpulse\":%u,\"pulses\":%u,\"bursts\":%u}", h->current1,
		     h->current2, h->duration1, h->interphase, h->duration2, h->interpulse,
		     h->pulses, h->bursts);
		return;
	}
	printf("\"chips\":[");
	tell_chip(g, 0, 0);
	tell_chip(g, 1, g->p.chip[0].rows);
	line("]}");
}

static void tell_event(const char *what, uint64_t t0, uint64_t t1)
{
	line("{\"e\":\"%s\",\"t0\":%llu,\"t1\":%llu}", what, (unsigned long long)t0,
	     (unsigned long long)t1);
}

static void tell_try(const char *what, int ret, uint32_t code)
{
	line("{\"e\":\"try\",\"what\":\"%s\",\"ret\":%d,\"code\":%u}", what, ret, code);
}

static void tell_end(struct act *a, const char *what)
{
	struct oni_stim_status st;
	int ret = ost_status(a->stim, &st);

	if (ret)
		line("{\"e\":\"%s\",\"ret\":%d}", what, ret);
	else
		line("{\"e\":\"%s\",\"ret\":0,\"state\":%u,\"because\":%u,\"flags\":%u,\"owner\":%d,"
		     "\"fires\":%llu,\"delivered\":%llu,\"stops\":%llu,\"faults\":%llu}", what,
		     st.state, st.because, st.flags, st.owner, (unsigned long long)st.fires,
		     (unsigned long long)st.delivered, (unsigned long long)st.stops,
		     (unsigned long long)st.faults);
}

static void tell_events(struct act *a)
{
	struct oni_stim_event e;

	while (ot_poll(a->ev, POLLIN, 0) == POLLIN && ot_read(a->ev, &e, sizeof(e)) == sizeof(e))
		line("{\"e\":\"ev\",\"seq\":%llu,\"what\":%u,\"because\":%u,\"code\":%u,\"arg\":%llu,"
		     "\"tgid\":%u}", (unsigned long long)e.seq, e.what, e.because, e.verdict.code,
		     (unsigned long long)e.arg, e.tgid);
}

/* --- the owner ---------------------------------------------------------------- */

struct owner {
	int fd, sock;
	uint64_t nonce;
	struct ost_life life;
	const struct act *a;
	const struct story *s;
};

static void exec_self(struct owner *o)
{
	char fd[16], nonce[32];

	/* The last of several threads would close the files before the exec is through. */
	ost_thread_end(&o->life);
	snprintf(fd, sizeof(fd), "%d", o->fd);
	snprintf(nonce, sizeof(nonce), "%llu", (unsigned long long)o->nonce);
	fcntl(o->fd, F_SETFD, 0);
	execl("/proc/self/exe", "oni_stim_act", "--fire", fd, nonce, NULL);
	_exit(1);
}

/* The end of the owner, with a child that keeps the file. */
static void leave_heir(struct owner *o, struct answer *r)
{
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	r->value = pid;
	r->t0 = ot_now_ns();
	send(o->sock, r, sizeof(*r), 0);
	_exit(0);
}

static int load(struct owner *o, struct oni_stim_verdict *v)
{
	return ost_load(o->fd, ONI_STIM_IOC_LOAD, o->nonce, &o->a->prog, NULL, v);
}

static int trigger(struct owner *o, struct oni_stim_verdict *v)
{
	return ost_call(o->fd, ONI_STIM_IOC_FIRE, o->nonce, v);
}

/* @call once it is not too soon any more, be it after a train that nobody could stop. */
static void in_time(struct owner *o, struct answer *r,
		    int (*call)(struct owner *o, struct oni_stim_verdict *v))
{
	uint64_t end = ot_now_ns() + OST_SOON_MS * 1000000ULL;
	struct oni_stim_verdict v;

	do {
		r->t0 = ot_now_ns();
		r->ret = call(o, &v);
		r->t1 = ot_now_ns();
		r->code = v.code;
		if (r->code == ONI_STIM_TOO_SOON)
			ot_sleep_ms(5);
	} while (r->ret == -EPERM && v.code == ONI_STIM_TOO_SOON && ot_now_ns() < end);
}

static void arm(struct owner *o, struct answer *r)
{
	struct oni_stim_verdict v;

	r->ret = ost_arm(o->fd, o->nonce, o->a->prog.hash, o->s->ttl_ms ? o->s->ttl_ms : TTL_MS, &v);
	r->code = v.code;
	if (r->ret)
		return;
	o->life = o->a->life;
	o->life.shared = true;
	o->life.fd = o->fd;
	o->life.nonce = o->nonce;
	o->life.kicked = 0;
	o->life.kick = true;
	r->ret = ost_thread(&o->life);
}

static void obey(struct owner *o, char what, struct answer *r)
{
	struct oni_stim_verdict v = { 0 };
	int fd;

	r->t0 = ot_now_ns();
	switch (what) {
	case 'c':
		r->ret = ost_claim(o->fd, &o->nonce, &v);
		r->value = o->nonce;
		break;
	case 's':
		r->ret = ost_step(o->fd, o->nonce, OST_HUB_RHS, OST_STEP_NA, &v);
		break;
	case 'l':
		in_time(o, r, load);
		return;
	case 'a':
		arm(o, r);
		return;
	case 'f':
		in_time(o, r, trigger);
		return;
	case 'd':
		r->ret = ost_call(o->fd, ONI_STIM_IOC_DISARM, o->nonce, &v);
		break;
	case 'r':
		r->ret = ost_call(o->fd, ONI_STIM_IOC_RELEASE, o->nonce, &v);
		break;
	case 'D':
		fd = dup(o->fd);
		r->t0 = ot_now_ns();
		r->ret = fd < 0 || close(fd) ? -errno : 0;
		break;
	case 'P':
		r->ret = ot_send_fd(o->sock, o->fd);
		break;
	case 'S':
		o->life.stuck = true;
		break;
	case 'Q':
		o->life.kick = false;
		break;
	case 'X':
		_exit(0);
	case 'E':
		exec_self(o);
		break;
	case 'F':
		leave_heir(o, r);
		break;
	}
	r->t1 = ot_now_ns();
	r->code = v.code;
}

static void owner_run(const struct act *a, const struct story *s, int sock)
{
	struct owner o = { .a = a, .s = s, .sock = sock };
	struct answer r;
	char what;

	/* Copies of what the keeper holds would keep its acquisition alive. */
	close(a->ctl);
	close(a->stim);
	close(a->ev);
	close(a->life.s.fd);
	o.fd = ost_open(O_RDWR);
	if (o.fd < 0)
		_exit(fail("stim node", o.fd) != 0);
	while (recv(sock, &what, 1, 0) == 1) {
		memset(&r, 0, sizeof(r));
		obey(&o, what, &r);
		send(sock, &r, sizeof(r), 0);
	}
	_exit(0);
}

static int owner_start(struct act *a, const struct story *s)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	fflush(stdout);
	a->owner = fork();
	if (a->owner < 0)
		return -errno;
	if (!a->owner) {
		close(pair[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		owner_run(a, s, pair[1]);
	}
	close(pair[1]);
	a->owner_sock = pair[0];
	return 0;
}

static void owner_end(struct act *a)
{
	if (a->owner > 0) {
		kill(a->owner, SIGKILL);
		waitpid(a->owner, NULL, 0);
		close(a->owner_sock);
	}
	if (a->heir > 0)
		kill(a->heir, SIGKILL);
	a->owner = 0;
	a->heir = 0;
}

/* Have the owner do something; its answer. */
static struct answer ask(struct act *a, char what)
{
	struct answer r = { .ret = -EPIPE };

	if (send(a->owner_sock, &what, 1, MSG_NOSIGNAL) != 1 ||
	    recv(a->owner_sock, &r, sizeof(r), 0) != sizeof(r))
		r.ret = -EPIPE;
	return r;
}

static int must(struct act *a, char what, const char *name)
{
	struct answer r = ask(a, what);

	if (!r.ret)
		return 0;
	tell_try(name, r.ret, r.code);
	return fail(name, r.ret);
}

static int fire_once(struct act *a)
{
	struct answer r = ask(a, 'f');

	if (r.ret) {
		tell_try("FIRE", r.ret, r.code);
		return fail("FIRE", r.ret);
	}
	tell_event("fire", r.t0, r.t1);
	return 0;
}

/* --- programs ------------------------------------------------------------------- */

static void one_channel(struct act *a, const struct story *s)
{
	ost_rhs(&a->prog, s->watchdog_ms);
	ost_pulses(&a->prog, 0x1, 100, 6, s->period, s->pulses);
}

static void wave(struct act *a, const struct story *s)
{
	ost_rhs(&a->prog, s->watchdog_ms);
	if (a->fine)
		ost_wave(&a->prog, s->pulses);
	else
		ost_slow_wave(&a->prog);
}

static void channel_8(struct act *a, const struct story *s)
{
	ost_rhs(&a->prog, s->watchdog_ms);
	a->prog.p.sources = ONI_STIM_FROM_REGISTER | ONI_STIM_FROM_GPIO;
	ost_pulses(&a->prog, 0x100, 100, 6, s->period, s->pulses);
	/* The next signal may come when the last row is over. */
	ost_row(&a->prog, 0, s->pulses * s->period, 0);
}

/* Two channels, the second 3 samples behind: whole states of all channels. */
static void staggered(struct act *a, const struct story *s)
{
	static const uint32_t row[][2] = {
		{ 0, 0x00010001 }, { 3, 0x00030003 }, { 6, 0x00020003 }, { 9, 0x00000003 },
		{ 12, 0x00000002 }, { 15, 0 },
	};
	uint32_t i, ch;

	ost_rhs(&a->prog, s->watchdog_ms);
	for (ch = 0; ch < 2; ch++) {
		a->prog.p.chip[0].positive[ch] = 100;
		a->prog.p.chip[0].negative[ch] = 100;
	}
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		ost_row(&a->prog, 0, row[i][0], row[i][1]);
}

static void four_channels(struct act *a, const struct story *s)
{
	ost_rhs(&a->prog, s->watchdog_ms);
	ost_pulses(&a->prog, 0xf, 50, 6, s->period, s->pulses);
}

static void headstage_64(struct act *a, const struct story *s)
{
	ost_hs64(&a->prog, s->watchdog_ms, s->pulses);
}

/* --- stories ---------------------------------------------------------------------- */

#define NOT_ARMED	(~OST_IN(ONI_STIM_ARMED))

/* What was armed has ended, or the controller is gone. */
static int wait_end(struct act *a)
{
	uint32_t state = ost_wait_state(a->stim, NOT_ARMED, OST_SOON_MS);

	a->gone |= state == OT_POISON32;
	tell_end(a, "end");
	return state == ONI_STIM_ARMED ? fail("what was armed goes on", -ETIME) : 0;
}

/* After its supply was taken away; needs an acquisition that has ended. */
static int power_again(struct act *a)
{
	struct oni_port_power p;
	int ret;

	ot_simple(a->ctl, ONI_IOC_STOP);
	ret = ot_port(a->ctl, &p, OT_PORT_B, ONI_HUB_RHS2116, OST_RHS_DV);
	if (!ret)
		ret = ost_feed(a->ctl);
	return ret ? fail("PORT_POWER", ret) : 0;
}

/* Until the train has ended by itself, and a little more. */
static void wait_train(struct act *a)
{
	ot_sleep_ms(ost_length_ns(&a->prog) / 1000000 + 100);
}

static int whole_trains(struct act *a, const struct story *s)
{
	int i, ret;

	(void)s;
	for (i = 0; i < 3; i++) {
		ret = fire_once(a);
		if (ret)
			return ret;
	}
	wait_train(a);
	ot_sleep_ms(200);
	tell_end(a, "end");
	return 0;
}

/* The owner does something that ends it. */
static int by_owner(struct act *a, char what)
{
	struct answer r;
	int ret = fire_once(a);

	if (ret)
		return ret;
	ot_sleep_ms(100);
	r = ask(a, what);
	tell_event("event", r.t0, r.t1);
	return r.ret ? fail("the owner", r.ret) : wait_end(a);
}

static int disarm(struct act *a, const struct story *s)
{
	(void)s;
	return by_owner(a, 'd');
}

static int release(struct act *a, const struct story *s)
{
	(void)s;
	return by_owner(a, 'r');
}

static int close_dup(struct act *a, const struct story *s)
{
	(void)s;
	return by_owner(a, 'D');
}

static int silent(struct act *a, const struct story *s)
{
	(void)s;
	return by_owner(a, 'Q');
}

static int stale_kick(struct act *a, const struct story *s)
{
	(void)s;
	return by_owner(a, 'S');
}

/* Something that the owner does not answer. */
static int send_away(struct act *a, char what)
{
	uint64_t t0;
	int ret = fire_once(a);

	if (ret)
		return ret;
	ot_sleep_ms(100);
	t0 = ot_now_ns();
	send(a->owner_sock, &what, 1, MSG_NOSIGNAL);
	waitpid(a->owner, NULL, what == 'E' ? WNOHANG : 0);
	tell_event("event", t0, ot_now_ns());
	return wait_end(a);
}

static int leaves(struct act *a, const struct story *s)
{
	(void)s;
	return send_away(a, 'X');
}

/* The program after the exec tries to fire; it prints what it was told. */
static int exec_other(struct act *a, const struct story *s)
{
	int ret = send_away(a, 'E');

	(void)s;
	if (ret)
		return ret;
	waitpid(a->owner, NULL, 0);
	a->owner = 0;
	close(a->owner_sock);
	return ret;
}

static int by_signal(struct act *a, int sig)
{
	uint64_t t0;
	int ret = fire_once(a);

	if (ret)
		return ret;
	ot_sleep_ms(100);
	t0 = ot_now_ns();
	kill(a->owner, sig);
	tell_event("event", t0, ot_now_ns());
	return wait_end(a);
}

static int sigkill(struct act *a, const struct story *s)
{
	(void)s;
	return by_signal(a, SIGKILL);
}

static int sigstop(struct act *a, const struct story *s)
{
	(void)s;
	return by_signal(a, SIGSTOP);
}

static int fork_exit(struct act *a, const struct story *s)
{
	struct answer r;
	int ret = fire_once(a);

	(void)s;
	if (ret)
		return ret;
	ot_sleep_ms(100);
	r = ask(a, 'F');
	a->heir = r.value;
	tell_event("event", r.t0, ot_now_ns());
	return wait_end(a);
}

/* Everything that the holder of the owner's file may not do; the train goes on. */
static int passed(struct act *a, const struct story *s)
{
	static const struct {
		const char *name;
		unsigned long cmd;
	} calls[] = {
		{ "FIRE", ONI_STIM_IOC_FIRE },
		{ "DISARM", ONI_STIM_IOC_DISARM },
		{ "RELEASE", ONI_STIM_IOC_RELEASE },
	};
	struct oni_stim_verdict v;
	struct answer r;
	char what = 'P';
	size_t i;
	int fd, ret = fire_once(a);

	(void)s;
	if (ret)
		return ret;
	send(a->owner_sock, &what, 1, MSG_NOSIGNAL);
	fd = ot_recv_fd(a->owner_sock);
	recv(a->owner_sock, &r, sizeof(r), 0);
	if (fd < 0)
		return fail("descriptor of the owner", fd);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		ret = ost_call(fd, calls[i].cmd, r.value, &v);
		tell_try(calls[i].name, ret, v.code);
	}
	ret = ost_load(fd, ONI_STIM_IOC_LOAD, r.value, &a->prog, NULL, &v);
	tell_try("LOAD", ret, v.code);
	ret = ost_arm(fd, r.value, a->prog.hash, 1000, &v);
	tell_try("ARM", ret, v.code);
	ret = ost_kick(fd, r.value, ot_head(&a->life.s), a->life.s.prod->generation, &v);
	tell_try("KICK", ret, v.code);
	/* its copy of the file is nobody's end but its own */
	close(fd);
	wait_train(a);
	tell_end(a, "end");
	return 0;
}

/* Another process, that has no right but to stop. */
static int stop_node(struct act *a, const struct story *s)
{
	uint64_t t0;
	int ret = fire_once(a), status;
	pid_t pid;

	(void)s;
	if (ret)
		return ret;
	ot_sleep_ms(100);
	pid = fork();
	if (!pid) {
		if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
			_exit(2);
		_exit(ost_stop() != 0);
	}
	t0 = ot_now_ns();
	waitpid(pid, &status, 0);
	tell_event("event", t0, ot_now_ns());
	if (status)
		return fail("stop of an unprivileged process", -EPERM);
	/* it returned, so it is done */
	tell_end(a, "end");
	return 0;
}

static int acquisition_stop(struct act *a, const struct story *s)
{
	uint64_t t0;
	int ret = fire_once(a);

	(void)s;
	if (ret)
		return ret;
	ot_sleep_ms(100);
	t0 = ot_now_ns();
	ret = ost_halt(&a->life, a->ctl);
	tell_event("event", t0, ot_now_ns());
	return ret ? fail("STOP", ret) : wait_end(a);
}

static int stream_closed(struct act *a, const struct story *s)
{
	uint64_t t0;
	int ret = fire_once(a);

	(void)s;
	if (ret)
		return ret;
	ot_sleep_ms(100);
	ost_thread_end(&a->life);
	t0 = ot_now_ns();
	ost_close(&a->life);
	tell_event("event", t0, ot_now_ns());
	return wait_end(a);
}

/* The one who reads does not release any more. The event is what the ring says. */
static int ring_full(struct act *a, const struct story *s)
{
	uint64_t t0;
	int ret;

	(void)s;
	ret = fire_once(a);
	if (ret)
		return ret;
	a->life.hold = true;
	ot_wait_flags(&a->life.s, ONI_RING_FULL, OST_SOON_MS);
	t0 = ot_now_ns();
	tell_event("event", t0, t0);
	return wait_end(a);
}

static int ttl(struct act *a, const struct story *s)
{
	uint64_t t0;
	int ret = fire_once(a);

	(void)s;
	t0 = ot_now_ns();
	if (ret)
		return ret;
	tell_event("event", t0, t0);
	return wait_end(a);
}

/* Neither the transport nor the core can go while somebody streams. */
static int rmmod(struct act *a, const struct story *s)
{
	int ret = fire_once(a);

	(void)s;
	if (ret)
		return ret;
	tell_try("rmmod oni_riffa", ot_unload("oni_riffa"), 0);
	tell_try("rmmod oni", ot_unload("oni"), 0);
	tell_try("RESET", ot_simple(a->ctl, ONI_IOC_RESET), 0);
	wait_train(a);
	tell_end(a, "end");
	return 0;
}

static int unbind(struct act *a, const struct story *s)
{
	uint64_t t0;
	int ret = fire_once(a);

	(void)s;
	if (ret)
		return ret;
	ot_sleep_ms(100);
	ost_thread_end(&a->life);
	t0 = ot_now_ns();
	ret = ot_unbind(&a->slot);
	tell_event("event", t0, ot_now_ns());
	a->gone = true;
	tell_end(a, "end");
	return ret ? fail("unbind", ret) : 0;
}

/* Something that the holder of the card does, or somebody does to the controller. */
static int befalls(struct act *a, const char *request)
{
	uint64_t t0;
	int ret = fire_once(a);

	if (ret)
		return ret;
	ot_sleep_ms(100);
	t0 = ot_now_ns();
	ret = ot_lab(request);
	tell_event("event", t0, ot_now_ns());
	return ret ? fail(request, ret) : 0;
}

static int unplug(struct act *a, const struct story *s)
{
	int ret = befalls(a, "unplug");

	(void)s;
	ost_thread_end(&a->life);
	a->gone = true;
	return ret ? ret : wait_end(a);
}

/* The headstage loses its power and gets it back: armed, as it comes. */
static int hub_reset(struct act *a, const struct story *s)
{
	int ret = befalls(a, "model port b detach");

	(void)s;
	if (!ret)
		ret = ot_lab("model port b attach");
	if (!ret)
		ret = wait_end(a);
	/* whoever presses the button now starts nothing */
	ot_lab("model stim gpio b");
	return ret;
}

static int data_stall(struct act *a, const struct story *s)
{
	int ret = befalls(a, "stall");

	(void)s;
	if (!ret)
		ret = wait_end(a);
	ot_lab("resume");
	return ret;
}

/* Until the driver says that it is off by its own look, at most OST_SOON_MS. */
static void wait_confirmed(struct act *a)
{
	uint64_t end = ot_now_ns() + OST_SOON_MS * 1000000ULL;
	struct oni_stim_status st;

	while (!ost_status(a->stim, &st) && !(st.flags & ONI_STIM_CONFIRMED) &&
	       ot_now_ns() < end)
		ot_sleep_ms(5);
}

/* Registers are not answered any more, and then they are: the stop is not acknowledged at first. */
static int mute(struct act *a, const struct story *s)
{
	int ret = befalls(a, "fault mute 4294967295");

	(void)s;
	if (ret)
		return ret;
	tell_try("stop", ost_stop(), 0);
	wait_end(a);
	tell_try("ACK_FAULT", ost_call(a->stim, ONI_STIM_IOC_ACK_FAULT, 0, NULL), 0);
	tell_end(a, "still");
	ret = ot_lab("fault clear");
	if (ret)
		return fail("fault clear", ret);
	wait_confirmed(a);
	tell_end(a, "alone");
	return 0;
}

/* What the port of the headstage supplies. */
static void tell_supply(struct act *a)
{
	uint32_t dv = ~0U;

	ot_reg_read(a->ctl, OT_PORT_B, 3, &dv);
	line("{\"e\":\"supply\",\"dv\":%u}", dv);
}

/* The port loses its deserialiser: the headstage keeps its power and goes on alone. */
static int link_loss(struct act *a, const struct story *s)
{
	uint64_t t0;
	int ret = fire_once(a);

	(void)s;
	if (ret)
		return ret;
	ot_sleep_ms(100);
	t0 = ot_now_ns();
	ret = ot_reg_write(a->ctl, OT_PORT_B, 2, 0);
	tell_event("event", t0, ot_now_ns());
	tell_try("DESPWR", ret, 0);
	if (ret) {
		wait_train(a);
		tell_end(a, "end");
		return 0;
	}
	ret = wait_end(a);
	ot_reg_write(a->ctl, OT_PORT_B, 2, 1);
	return ret;
}

/*
 * A FIRE that comes to nothing, or of which nothing is heard: @request is an order for
 * it. The event is the FIRE; the time of its end is that of a frame a second younger.
 */
static int undelivered(struct act *a, const char *request)
{
	int ret;

	/* So that the order is for the writes of the FIRE, and not of anything before. */
	ot_sleep_ms(ONI_STIM_ARM_DELAY_MS + 100);
	ret = ot_lab(request);
	if (ret)
		return fail(request, ret);
	ret = fire_once(a);
	if (!ret)
		ret = wait_end(a);
	return ret;
}

/* Told that it is armed, the trigger is not: it says that it did not start a train. */
static int not_armed(struct act *a, const struct story *s)
{
	int ret = undelivered(a, "fault deaf 1");

	(void)s;
	ot_lab("fault clear");
	return ret;
}

/* Neither does the trigger learn of it, nor does anything say so. */
static int not_triggered(struct act *a, const struct story *s)
{
	int ret = undelivered(a, "fault deaf 2");

	(void)s;
	ot_lab("fault clear");
	return ret;
}

/* The train comes and its report does not. */
static int not_reported(struct act *a, const struct story *s)
{
	uint64_t t0;
	int ret = ot_lab("model stim silent b");

	(void)s;
	if (ret)
		return fail("silent", ret);
	t0 = ot_now_ns();
	ret = fire_once(a);
	if (ret)
		return ret;
	tell_event("event", t0, ot_now_ns());
	return wait_end(a);
}

static int sequencer(struct act *a, const struct story *s)
{
	int ret = befalls(a, "model stim seqerror b");

	(void)s;
	return ret ? ret : wait_end(a);
}

/* No word reaches the headstage: all that the driver can do is to take its supply away. */
static int link_broken(struct act *a, const struct story *s)
{
	int ret = befalls(a, "model port b break");

	(void)s;
	if (ret)
		return ret;
	wait_end(a);
	tell_supply(a);
	tell_try("stop", ost_stop(), 0);
	tell_try("ACK_FAULT", ost_call(a->stim, ONI_STIM_IOC_ACK_FAULT, 0, NULL), 0);
	wait_train(a);
	tell_end(a, "still");
	return ot_lab("model port b mend");
}

/* What was loaded is gone when it is to be armed, and the power-on train is there instead. */
static int loaded_reset(struct act *a, const struct story *s)
{
	struct answer r;
	uint32_t val;
	int ret, i;

	(void)s;
	ret = must(a, 'd', "DISARM");
	if (!ret)
		ret = must(a, 'l', "LOAD");
	if (!ret)
		ret = ot_lab("model port a detach");
	if (!ret)
		ret = ot_lab("model port a attach");
	if (ret)
		return fail("loaded and reset", ret);
	for (i = 0; i < 1000 && ot_reg_read(a->ctl, OST_HS64_DEV, 3, &val); i++)
		ot_sleep_ms(5);
	line("{\"e\":\"current2\",\"value\":%u}", val);
	r = ask(a, 'a');
	tell_try("ARM", r.ret, r.code);
	r = ask(a, 'f');
	tell_try("FIRE", r.ret, r.code);
	r = ask(a, 'l');
	tell_try("LOAD", r.ret, r.code);
	tell_end(a, "end");
	return 0;
}

/* A link that is whole again is of no use without a supply; with one it comes back safe. */
static int link_mended(struct act *a, const struct story *s)
{
	int ret = befalls(a, "model port b break");

	(void)s;
	if (!ret)
		ret = wait_end(a);
	if (!ret && (ret = ot_lab("model port b mend")))
		fail("mend", ret);
	if (ret)
		return ret;
	tell_try("stop, no supply", ost_stop(), 0);
	tell_end(a, "unpowered");
	ret = power_again(a);
	tell_end(a, "powered");
	tell_try("stop", ost_stop(), 0);
	tell_end(a, "still");
	return ret;
}

static int fault_owner_goes(struct act *a, const struct story *s)
{
	struct oni_stim_verdict v;
	uint64_t nonce;
	int ret = by_owner(a, 'Q');

	(void)s;
	if (ret)
		return ret;
	owner_end(a);
	tell_end(a, "still");
	ret = ost_claim(a->stim, &nonce, &v);
	tell_try("CLAIM", ret, v.code);
	return 0;
}

static int ttl_refused(struct act *a, const struct story *s)
{
	int i, ret;

	(void)s;
	for (i = 0; i < 5; i++)
		if (ot_lab(i & 1 ? "model stim sync b" : "model stim gpio b"))
			return fail("signal from outside", -EIO);
	ret = fire_once(a);
	if (ret)
		return ret;
	wait_train(a);
	ret = ot_lab("model stim gpio b");
	ot_sleep_ms(200);
	tell_end(a, "end");
	return ret;
}

/* Two signals, far enough apart, and one that is not meant. */
static int ttl_allowed(struct act *a, const struct story *s)
{
	int i, ret = 0;

	(void)s;
	ot_sleep_ms(ONI_STIM_ARM_DELAY_MS + 100);
	for (i = 0; i < 2 && !ret; i++) {
		ret = ot_lab("model stim gpio b");
		wait_train(a);
		ot_sleep_ms(200);
	}
	if (!ret)
		ret = ot_lab("model stim sync b");
	tell_end(a, "end");
	ask(a, 'd');
	if (!ret)
		ret = ot_lab("model stim gpio b");
	tell_end(a, "still");
	return ret;
}

/* Trains as fast as they may come, until what the host does meanwhile has told. */
static int hammered(struct act *a, const struct story *s)
{
	struct oni_stim_status st;
	struct answer r;
	int i;

	(void)s;
	line("{\"e\":\"hammer\"}");
	for (i = 0; i < 200; i++) {
		r = ask(a, 'f');
		if (r.ret)
			break;
		tell_event("fire", r.t0, r.t1);
		if (ost_status(a->stim, &st) || st.state == ONI_STIM_FAULT)
			break;
	}
	line("{\"e\":\"hammered\"}");
	ot_sleep_ms(200);
	tell_end(a, "end");
	return 0;
}

/* The host does it when it has seen the line; everything ends, perhaps this program too. */
static int wait_for_host(struct act *a, const struct story *s)
{
	uint64_t end = ot_now_ns() + OST_SOON_MS * 1000000ULL;
	int ret = fire_once(a);
	uint32_t val;

	(void)s;
	if (ret)
		return ret;
	line("{\"e\":\"ready\"}");
	ret = wait_end(a);
	/* A card that recovers from an error of the bus answers again when it has. */
	while (!ret && !a->gone && ot_reg_read(a->ctl, OT_PORT_B, 3, &val) && ot_now_ns() < end)
		ot_sleep_ms(20);
	return ret;
}

#define LONG	250, 0			/* cycles of 9.6 ms, if fine: 2.4 s */
#define LONGER	450, 0			/* 4.3 s */
#define SHORT	20, 302			/* pulses 10 ms apart: 0.2 s */
#define W	5000			/* ms; nothing to wait for */
#define W_SOON	1000

static const struct story stories[] = {
	{ "whole", one_channel, SHORT, W, 0, 0, whole_trains },
	{ "channels", four_channels, SHORT, W, 0, 0, whole_trains },
	{ "staggered", staggered, 0, 0, W, 0, 0, whole_trains },
	{ "hs64", headstage_64, 5, 0, W, 0, 0, whole_trains },
	{ "loaded-reset", headstage_64, 5, 0, W, 0, 0, loaded_reset },
	{ "disarm", wave, LONG, W, 0, 0, disarm },
	{ "release", wave, LONG, W, 0, 0, release },
	{ "stop-node", wave, LONG, W, 0, 0, stop_node },
	{ "close-dup", wave, LONG, W, 0, 0, close_dup },
	{ "exit", wave, LONG, W, 0, 0, leaves },
	{ "sigkill", wave, LONG, W, 0, 0, sigkill },
	{ "fork-exit", wave, LONG, W, 0, 0, fork_exit },
	{ "exec", wave, LONG, W, 0, 0, exec_other },
	{ "passed", one_channel, SHORT, W, 0, 0, passed },
	{ "rmmod", one_channel, SHORT, W, 0, 0, rmmod },
	{ "acquisition-stop", wave, LONG, W, 0, 0, acquisition_stop },
	{ "stream-closed", wave, LONG, W, 0, 0, stream_closed },
	{ "ring-full", wave, LONG, W, 0, 65536, ring_full },
	{ "ttl", wave, LONG, W, 1000, 0, ttl },
	{ "sigstop", wave, LONGER, W_SOON, 0, 0, sigstop },
	{ "silent", wave, LONGER, W_SOON, 0, 0, silent },
	{ "stale-kick", wave, LONGER, W_SOON, 0, 0, stale_kick },
	{ "fault-latched", wave, LONGER, W_SOON, 0, 0, fault_owner_goes },
	{ "data-stall", wave, LONGER, W_SOON, 0, 0, data_stall },
	{ "mute", wave, LONG, W, 0, 0, mute },
	{ "link-loss", wave, LONG, W, 0, 0, link_loss },
	{ "hub-reset", wave, LONG, W, 0, 0, hub_reset },
	{ "not-armed", one_channel, SHORT, W, 0, 0, not_armed },
	{ "not-triggered", one_channel, SHORT, W, 0, 0, not_triggered },
	{ "not-reported", wave, LONG, W, 0, 0, not_reported },
	{ "sequencer", wave, LONG, W, 0, 0, sequencer },
	{ "link-broken", wave, LONG, W, 0, 0, link_broken },
	{ "link-mended", wave, LONGER, W, 0, 0, link_mended },
	{ "outside-refused", one_channel, SHORT, W, 0, 0, ttl_refused },
	{ "outside-allowed", channel_8, SHORT, W, 0, 0, ttl_allowed },
	{ "hammered", one_channel, 1, 302, W, 0, 0, hammered },
	{ "unbind", wave, LONG, W, 0, 0, unbind },
	{ "unplug", wave, LONG, W, 0, 0, unplug },
	{ "host", wave, LONGER, 9000, 0, 0, wait_for_host },
};

static const struct story *find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
		if (!strcmp(stories[i].name, name))
			return &stories[i];
	return NULL;
}

/* --- around a story ------------------------------------------------------------------ */

static int open_all(struct act *a, bool power)
{
	struct oni_stim_policy policy;
	struct oni_stim_verdict v;
	int ret;

	a->life.s.fd = -1;
	a->ctl = ot_open_within(OT_REPLUG_MS);
	a->stim = ost_open(O_RDWR);
	if (a->ctl < 0 || a->stim < 0)
		return fail("nodes", a->ctl < 0 ? a->ctl : a->stim);
	ret = ot_slot_find(&a->slot, a->ctl);
	if (!ret)
		ret = ot_simple(a->ctl, ONI_IOC_CLAIM);
	if (!ret && power)
		ret = ost_power(a->ctl);
	if (!ret)
		ret = ost_feed(a->ctl);
	if (ret)
		return fail("controller", ret);
	a->ev = ost_events(a->ctl, 0);
	if (a->ev < 0)
		return fail("STIM_EVENTS", a->ev);
	ost_policy_fill(&policy);
	ret = ost_policy(a->stim, &policy, 0, &v);
	if (ret)
		tell_try("POLICY", ret, v.code);
	return ret ? fail("POLICY", ret) : 0;
}

/* From nothing to armed. */
static int prepare(struct act *a, const struct story *s)
{
	int ret;

	s->program(a, s);
	ost_seal(&a->prog);
	tell_program(&a->prog);
	ret = ost_stream(&a->life, a->ctl, s->ring);
	if (ret)
		return fail("stream", ret);
	ret = owner_start(a, s);
	if (!ret)
		ret = must(a, 'c', "CLAIM");
	if (!ret)
		ret = must(a, 's', "STEP");
	if (!ret && (ret = ot_simple(a->ctl, ONI_IOC_RESET)))
		fail("RESET", ret);
	if (!ret && (ret = ost_start(&a->life, a->ctl)))
		fail("START", ret);
	if (!ret)
		ret = must(a, 'l', "LOAD");
	if (!ret)
		ret = must(a, 'a', "ARM");
	return ret;
}

/* Whatever state it is in, leave it SAFE. */
static int clean_up(struct act *a)
{
	struct oni_stim_status st;
	uint32_t dv = 1;
	int ret = 0;

	owner_end(a);
	ost_thread_end(&a->life);
	if (a->gone)
		return 0;
	/* Without a supply nothing is confirmed, and the next story needs it. */
	if (!ot_reg_read(a->ctl, OT_PORT_B, 3, &dv) && !dv)
		ret = power_again(a);
	if (!ost_status(a->stim, &st) && st.state == ONI_STIM_FAULT) {
		int acked = ost_call(a->stim, ONI_STIM_IOC_ACK_FAULT, 0, NULL);

		tell_try("ACK", acked, 0);
		ret = ret ? ret : acked;
	}
	if (ost_wait_state(a->stim, OST_IN(ONI_STIM_SAFE), OST_SOON_MS) != ONI_STIM_SAFE)
		ret = ret ? ret : fail("not safe afterwards", -ETIME);
	ot_simple(a->ctl, ONI_IOC_STOP);
	ost_close(&a->life);
	tell_end(a, "after");
	return ret;
}

static int run(struct act *a, const struct story *s)
{
	int ret, ret2;

	line("{\"e\":\"story\",\"name\":\"%s\"}", s->name);
	ret = prepare(a, s);
	if (!ret)
		ret = s->tell(a, s);
	ret2 = clean_up(a);
	tell_events(a);
	line("{\"e\":\"told\",\"ret\":%d}", ret ? ret : ret2);
	return ret ? ret : ret2;
}

/* What an owner becomes by exec: the file is there, the session is not. */
static int after_exec(char **argv)
{
	struct oni_stim_verdict v;
	int ret = ost_call(atoi(argv[0]), ONI_STIM_IOC_FIRE, strtoull(argv[1], NULL, 0), &v);

	tell_try("FIRE after exec", ret, v.code);
	return 0;
}

static int usage(void)
{
	size_t i;

	fprintf(stderr, "usage: oni_stim_act [-p] [-f] STORY...\nStories:");
	for (i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
		fprintf(stderr, " %s", stories[i].name);
	fprintf(stderr, "\nOf a simulated card only. Research use, not a medical device.\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct act *a = calloc(1, sizeof(*a));
	bool power = false;
	int i, opt, bad = 0;

	if (!a)
		return 1;
	if (argc == 4 && !strcmp(argv[1], "--fire"))
		return after_exec(argv + 2);
	while ((opt = getopt(argc, argv, "pf")) != -1) {
		if (opt == 'p')
			power = true;
		else if (opt == 'f')
			a->fine = true;
		else
			return usage();
	}
	for (i = optind; i < argc; i++)
		bad |= !find(argv[i]);
	if (bad || optind == argc)
		return usage();
	if (open_all(a, power))
		return 1;
	for (i = optind; i < argc && !a->gone; i++)
		bad |= run(a, find(argv[i])) != 0;
	return bad || i < argc;
}
