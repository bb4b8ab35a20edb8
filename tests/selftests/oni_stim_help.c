// SPDX-License-Identifier: MIT
/*
 * Calls of the stim node, programs, and a reader; see oni_stim_help.h.
 */
#define _GNU_SOURCE
#include "oni_stim_help.h"
#include "oni_board.h"
#include "oni_leave.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* --- nodes and calls -------------------------------------------------------- */

static int open_beside(const char *suffix, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s-%s", ot_path(), suffix);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int ost_open(int flags)
{
	return open_beside("stim", flags);
}

int ost_open_stop(int flags)
{
	return open_beside("stop", flags);
}

int ost_stop(void)
{
	int fd = ost_open_stop(O_WRONLY), ret = 0;

	if (fd < 0)
		return fd;
	if (write(fd, "stop", 4) != 4)
		ret = -errno;
	close(fd);
	return ret;
}

/* The verdict of @arg, behind the call, to where it is wanted. */
static int judged(int ret, const struct oni_stim_verdict *from, struct oni_stim_verdict *to)
{
	if (to)
		*to = *from;
	return ret;
}

int ost_status(int fd, struct oni_stim_status *st)
{
	ot_poison(st);
	st->size = sizeof(*st);
	st->flags = 0;
	memset(st->reserved, 0, sizeof(st->reserved));
	return ot_ioctl(fd, ONI_STIM_IOC_STATUS, st);
}

static int policy_call(int fd, unsigned long cmd, const struct oni_stim_policy *p, uint32_t flags,
		       struct oni_stim_verdict *v)
{
	struct oni_stim_policy_arg arg = {
		.size = sizeof(arg), .flags = flags, .policy = (uintptr_t)p,
	};

	ot_poison(&arg.verdict);
	return judged(ot_ioctl(fd, cmd, &arg), &arg.verdict, v);
}

int ost_policy(int fd, const struct oni_stim_policy *p, uint32_t flags,
	       struct oni_stim_verdict *v)
{
	return policy_call(fd, ONI_STIM_IOC_POLICY, p, flags, v);
}

int ost_limits(int fd, struct oni_stim_policy *p)
{
	ot_poison(p);
	p->size = sizeof(*p);
	return policy_call(fd, ONI_STIM_IOC_LIMITS, p, 0, NULL);
}

int ost_lower(int fd, const struct oni_stim_policy *p, struct oni_stim_verdict *v)
{
	return policy_call(fd, ONI_STIM_IOC_LOWER, p, 0, v);
}

int ost_claim(int fd, uint64_t *nonce, struct oni_stim_verdict *v)
{
	struct oni_stim_claim arg = { .size = sizeof(arg) };
	int ret;

	ot_poison(&arg.nonce);
	ot_poison(&arg.verdict);
	ret = ot_ioctl(fd, ONI_STIM_IOC_CLAIM, &arg);
	if (nonce)
		*nonce = arg.nonce;
	return judged(ret, &arg.verdict, v);
}

int ost_step(int fd, uint64_t nonce, uint32_t hub, uint32_t na, struct oni_stim_verdict *v)
{
	struct oni_stim_step arg = {
		.size = sizeof(arg), .nonce = nonce, .hub = hub, .step_na = na,
	};

	ot_poison(&arg.verdict);
	return judged(ot_ioctl(fd, ONI_STIM_IOC_STEP, &arg), &arg.verdict, v);
}

int ost_arm(int fd, uint64_t nonce, const uint8_t *hash, uint32_t ttl_ms,
	    struct oni_stim_verdict *v)
{
	struct oni_stim_arm arg = { .size = sizeof(arg), .nonce = nonce, .ttl_ms = ttl_ms };

	memcpy(arg.hash, hash, sizeof(arg.hash));
	ot_poison(&arg.verdict);
	return judged(ot_ioctl(fd, ONI_STIM_IOC_ARM, &arg), &arg.verdict, v);
}

int ost_kick(int fd, uint64_t nonce, uint64_t position, uint32_t generation,
	     struct oni_stim_verdict *v)
{
	struct oni_stim_kick arg = {
		.size = sizeof(arg), .nonce = nonce, .position = position,
		.generation = generation,
	};

	ot_poison(&arg.verdict);
	return judged(ot_ioctl(fd, ONI_STIM_IOC_KICK, &arg), &arg.verdict, v);
}

int ost_call(int fd, unsigned long cmd, uint64_t nonce, struct oni_stim_verdict *v)
{
	struct oni_stim_call arg = { .size = sizeof(arg), .nonce = nonce };

	ot_poison(&arg.verdict);
	return judged(ot_ioctl(fd, cmd, &arg), &arg.verdict, v);
}

uint32_t ost_wait_state(int fd, uint32_t mask, int ms)
{
	uint64_t end = ot_now_ns() + ms * 1000000ULL;
	struct oni_stim_status st;
	int ret;

	while (!(ret = ost_status(fd, &st)) && !(mask & OST_IN(st.state)) && ot_now_ns() < end)
		ot_sleep_ms(2);
	return ret ? OT_POISON32 : st.state;
}

/* --- policy ----------------------------------------------------------------- */

static const uint64_t tip[ONI_STIM_LIMITS] = {
	[ONI_STIM_AREA] = 100000,		/* um2 */
	[ONI_STIM_AMPLITUDE] = 200000,		/* nA */
	[ONI_STIM_CHARGE] = 25000000,		/* fC */
	[ONI_STIM_DENSITY] = 30000,		/* nC/cm2 */
	[ONI_STIM_SHANNON] = 10000,		/* k = 0 */
	[ONI_STIM_NET] = 0,
	[ONI_STIM_WIDTH] = 500000,		/* ns */
	[ONI_STIM_GAP] = 1000000,
	[ONI_STIM_RATE] = 400000,		/* mHz */
	[ONI_STIM_DUTY] = 200000,		/* ppm */
	[ONI_STIM_TRAIN] = 9000000000ull,
	[ONI_STIM_WATCHDOG] = 9000,		/* ms */
	[ONI_STIM_EXTERNAL] = 0,
};

static const uint64_t meeting[ONI_STIM_LIMITS] = {
	[ONI_STIM_AREA] = 100000000,
	[ONI_STIM_AMPLITUDE] = 2000000,
	[ONI_STIM_CHARGE] = 1000000000,
	[ONI_STIM_DENSITY] = 30000,
	[ONI_STIM_SHANNON] = 10000000,
	[ONI_STIM_NET] = 0,
	[ONI_STIM_WIDTH] = 5000000,
	[ONI_STIM_GAP] = 1000000,
	[ONI_STIM_RATE] = 4000000,
	[ONI_STIM_DUTY] = 1000000,
	[ONI_STIM_TRAIN] = 9000000000ull,
	[ONI_STIM_WATCHDOG] = 9000,
	[ONI_STIM_EXTERNAL] = 1,
};

void ost_policy_fill(struct oni_stim_policy *p)
{
	uint32_t i;

	memset(p, 0, sizeof(*p));
	p->size = sizeof(*p);
	p->version = ONI_STIM_VERSION;
	p->classes = OST_POLICY_CLASSES;
	p->hs64_readings = ONI_STIM_HS64_ANY;
	p->duty_window_ns = 1000000000;
	for (i = 0; i < 4; i++)
		p->class_of[i] = 1;
	p->class_of[OST_WAVE_CONTACT] = 5;
	p->class_of[8] = 2;
	p->class_of[9] = 2;
	p->class_of[OST_NO_AREA_CONTACT] = 4;
	p->class_of[ONI_STIM_RETURN] = 3;
	memcpy(p->cls[0].max, tip, sizeof(tip));
	memcpy(p->cls[1].max, tip, sizeof(tip));
	p->cls[1].max[ONI_STIM_EXTERNAL] = 1;
	memcpy(p->cls[2].max, meeting, sizeof(meeting));
	memcpy(p->cls[3].max, tip, sizeof(tip));
	p->cls[3].max[ONI_STIM_AREA] = 0;
	memcpy(p->cls[4].max, tip, sizeof(tip));
	p->cls[4].max[ONI_STIM_WIDTH] = 5000000;
	p->cls[4].max[ONI_STIM_DUTY] = 1000000;
}

/* --- programs ---------------------------------------------------------------- */

void ost_rhs(struct ost_program *g, uint32_t watchdog_ms)
{
	uint32_t n;

	memset(&g->p, 0, sizeof(g->p));
	g->p.size = sizeof(g->p);
	g->p.version = ONI_STIM_VERSION;
	g->p.kind = ONI_STIM_RHS2116;
	g->p.sources = ONI_STIM_FROM_REGISTER;
	g->p.watchdog_ms = watchdog_ms;
	for (n = 0; n < ONI_STIM_CHIPS; n++)
		g->p.chip[n].step_na = OST_STEP_NA;
	g->nrows = 0;
	g->hub = OST_HUB_RHS;
}

void ost_row(struct ost_program *g, uint32_t chip, uint32_t time, uint32_t polen)
{
	g->rows[g->nrows++] = (struct oni_stim_delta){ .time = time, .polen = polen };
	g->p.chip[chip].rows++;
}

void ost_pulses(struct ost_program *g, uint32_t channels, uint32_t steps, uint32_t width,
		uint32_t period, uint32_t n)
{
	uint32_t i, ch, t;

	for (ch = 0; ch < ONI_STIM_CHANNELS; ch++) {
		if (!(channels >> ch & 1))
			continue;
		g->p.chip[0].positive[ch] = steps;
		g->p.chip[0].negative[ch] = steps;
	}
	for (i = 0; i < n; i++) {
		t = i * period;
		ost_row(g, 0, t, channels << 16 | channels);
		ost_row(g, 0, t + width, channels);
		ost_row(g, 0, t + 2 * width, 0);
	}
}

static void wave(struct ost_program *g, uint32_t cycles, uint32_t period)
{
	const uint32_t half = 145, on = 1u << OST_WAVE_CONTACT;
	uint32_t i;

	g->p.chip[0].positive[OST_WAVE_CONTACT] = 5;
	g->p.chip[0].negative[OST_WAVE_CONTACT] = 5;
	for (i = 0; i < cycles; i++) {
		ost_row(g, 0, i * period, on << 16 | on);
		ost_row(g, 0, i * period + half, on);
		if (period > 2 * half)
			ost_row(g, 0, i * period + 2 * half, 0);
	}
	if (period == 2 * half)
		ost_row(g, 0, i * period, 0);
}

void ost_wave(struct ost_program *g, uint32_t cycles)
{
	wave(g, cycles, 290);
}

void ost_slow_wave(struct ost_program *g)
{
	wave(g, 8, 36000);
}

void ost_hs64(struct ost_program *g, uint32_t watchdog_ms, uint32_t pulses)
{
	memset(&g->p, 0, sizeof(g->p));
	g->p.size = sizeof(g->p);
	g->p.version = ONI_STIM_VERSION;
	g->p.kind = ONI_STIM_HS64;
	g->p.sources = ONI_STIM_FROM_REGISTER;
	g->p.watchdog_ms = watchdog_ms;
	g->p.hs64 = (struct oni_stim_hs64){
		.biphasic = 1,
		.current1 = 34768,		/* 4001 half steps above zero */
		.current2 = 65535 - 34768,
		.duration1 = 100,
		.duration2 = 100,
		.interpulse = 3000,
		.pulses = pulses,
		.bursts = 1,
		.rest = 32768,
	};
	g->nrows = 0;
	g->hub = OST_HUB_HS64;
}

void ost_seal(struct ost_program *g)
{
	ost_sha256(g->hash, &g->p, sizeof(g->p), g->rows, g->nrows * sizeof(g->rows[0]));
}

uint64_t ost_length_ns(const struct ost_program *g)
{
	return g->nrows ? (uint64_t)g->rows[g->nrows - 1].time * ONI_STIM_PERIOD_NS : 0;
}

int ost_load(int fd, unsigned long cmd, uint64_t nonce, const struct ost_program *g,
	     uint8_t *hash, struct oni_stim_verdict *v)
{
	struct oni_stim_load arg = {
		.size = sizeof(arg),
		.nonce = nonce,
		.program = (uintptr_t)&g->p,
		.rows = (uintptr_t)g->rows,
		.nrows = g->nrows,
		.hub = g->hub,
	};
	int ret;

	memset(arg.hash, OT_POISON, sizeof(arg.hash));
	ot_poison(&arg.verdict);
	ret = ot_ioctl(fd, cmd, &arg);
	if (hash)
		memcpy(hash, arg.hash, sizeof(arg.hash));
	return judged(ret, &arg.verdict, v);
}

/* --- SHA-256, FIPS 180-4 ------------------------------------------------------ */

/*
 * Its constants are the first 32 bits of the fraction of square and cube roots of
 * the first primes: found here instead of copied.
 */
static uint32_t root_bits(uint32_t prime, int power)
{
	long double top = prime, t;
	uint64_t root = 0, bit;
	int i;

	for (i = 0; i < 32 * power; i++)
		top *= 2;
	/* the largest root with root^power <= top; 64 bits of a mantissa tell them apart */
	for (bit = 1ull << 36; bit; bit >>= 1) {
		t = root | bit;
		if ((power == 2 ? t * t : t * t * t) <= top)
			root |= bit;
	}
	return root;
}

static uint32_t prime_after(uint32_t p)
{
	uint32_t d;

	do {
		p++;
		for (d = 2; d * d <= p && p % d; d++)
			;
	} while (d * d <= p);
	return p;
}

static uint32_t ror(uint32_t v, int n)
{
	return v >> n | v << (32 - n);
}

static void sha_block(uint32_t h[8], const uint32_t k[64], const uint8_t *p)
{
	uint32_t w[64], s[8], t1, t2;
	int i;

	for (i = 0; i < 64; i++) {
		if (i < 16) {
			w[i] = (uint32_t)p[4 * i] << 24 | p[4 * i + 1] << 16 |
			       p[4 * i + 2] << 8 | p[4 * i + 3];
			continue;
		}
		t1 = ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10;
		t2 = ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3;
		w[i] = t1 + w[i - 7] + t2 + w[i - 16];
	}
	memcpy(s, h, sizeof(s));
	for (i = 0; i < 64; i++) {
		t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) +
		     ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
		t2 = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) +
		     ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
		memmove(s + 1, s, 7 * sizeof(s[0]));
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (i = 0; i < 8; i++)
		h[i] += s[i];
}

void ost_sha256(uint8_t out[32], const void *data, size_t bytes, const void *more, size_t morebytes)
{
	uint64_t total = bytes + morebytes, at, bits = 8 * total;
	const uint8_t *part[2] = { data, more };
	uint32_t h[8], k[64], p = 1, i;
	uint8_t block[64];

	for (i = 0; i < 64; i++) {
		p = prime_after(p);
		k[i] = root_bits(p, 3);
		if (i < 8)
			h[i] = root_bits(p, 2);
	}
	/* a one, zeros, and the length in bits at the end of a block */
	for (at = 0; at < (total + 8) / 64 * 64 + 64; at++) {
		i = at % 64;
		block[i] = at < bytes ? part[0][at] : at < total ? part[1][at - bytes] :
			   at == total ? 0x80 : 0;
		if (i != 63)
			continue;
		if (at > total + 7)
			for (i = 0; i < 8; i++)
				block[56 + i] = bits >> (56 - 8 * i);
		sha_block(h, k, block);
	}
	for (i = 0; i < 32; i++)
		out[i] = h[i / 4] >> (24 - 8 * (i % 4));
}

/* --- acquisition --------------------------------------------------------------- */

int ost_power(int ctl)
{
	struct oni_port_power p;
	int ret = ot_port(ctl, &p, OT_PORT_A, ONI_HUB_HS64, OST_HS64_DV);

	if (!ret)
		ret = ot_port(ctl, &p, OT_PORT_B, ONI_HUB_RHS2116, OST_RHS_DV);
	return ret;
}

/* A block of 4096 bytes every 7 ms, so that there is always something new to have seen. */
int ost_feed(int ctl)
{
	int ret = ot_reg_write(ctl, OST_TRIGGER_DEV, 0, 1);

	return ret ? ret : ot_load_test(ctl, 200, 1400);
}

int ost_stream(struct ost_life *l, int ctl, uint64_t ring)
{
	memset(l, 0, sizeof(*l));
	l->s.fd = ot_stream_create(ctl, ring ? ring : OT_RING, OT_BLOCK, 0, 1);
	return l->s.fd < 0 ? l->s.fd : ot_stream_map(l->s.fd, &l->s);
}

static void say(struct ost_life *l, uint64_t head)
{
	struct oni_stim_verdict v;
	int ret;

	if (!l->kick || (head == l->kicked && !l->stuck))
		return;
	if (l->stuck)
		head = l->kicked;
	ret = ost_kick(l->fd, l->nonce, head, l->s.prod->generation, &v);
	if (ret) {
		l->refused_code = v.code;
		l->refused = ret;
		return;
	}
	l->kicked = head;
	l->kicks++;
}

static void *live(void *arg)
{
	struct ost_life *l = arg;
	uint64_t head;

	while (!l->quit) {
		head = ot_head(&l->s);
		if (!l->hold && l->s.prod->flags & ONI_RING_RUNNING) {
			say(l, head);
			if (!l->shared)
				ot_set_tail(&l->s, head);
		} else if (l->hold) {
			say(l, head);
		}
		ot_sleep_ms(1);
	}
	return NULL;
}

int ost_thread(struct ost_life *l)
{
	l->quit = false;
	l->running = !pthread_create(&l->thread, NULL, live, l);
	return l->running ? 0 : -EAGAIN;
}

void ost_thread_end(struct ost_life *l)
{
	l->quit = true;
	if (l->running)
		pthread_join(l->thread, NULL);
	l->running = false;
}

/* The thread must not write a tail while the positions start anew. */
int ost_start(struct ost_life *l, int ctl)
{
	int ret;

	ost_thread_end(l);
	l->kicked = 0;
	ret = ot_simple(ctl, ONI_IOC_START);
	if (ret)
		return ret;
	if (ot_wait_head(&l->s, 1, OST_SOON_MS) < 1)
		return -ETIME;
	return ost_thread(l);
}

int ost_halt(struct ost_life *l, int ctl)
{
	ost_thread_end(l);
	return ot_simple(ctl, ONI_IOC_STOP);
}

void ost_close(struct ost_life *l)
{
	ost_thread_end(l);
	ot_stream_unmap(&l->s);
	if (l->s.fd >= 0)
		close(l->s.fd);
	l->s.fd = -1;
}

/* --- events ---------------------------------------------------------------------- */

int ost_events(int ctl, uint32_t flags)
{
	struct oni_stim_events arg = { .size = sizeof(arg), .flags = flags, .fd = -1 };
	int ret = ot_ioctl(ctl, ONI_IOC_STIM_EVENTS, &arg);

	return ret ? ret : arg.fd;
}

int ost_event(int fd, uint32_t what, struct oni_stim_event *e, int ms)
{
	uint64_t end = ot_now_ns() + ms * 1000000ULL;
	int left, ret;

	do {
		left = ot_now_ns() < end ? (end - ot_now_ns()) / 1000000 + 1 : 0;
		ret = ot_poll(fd, POLLIN, left);
		if (ret <= 0)
			return ret ? ret : -ETIME;
		memset(e, OT_POISON, sizeof(*e));
		ret = ot_read(fd, e, sizeof(*e));
		if (ret != sizeof(*e))
			return ret < 0 ? ret : -EBADMSG;
	} while (e->what != what);
	return 0;
}
