// SPDX-License-Identifier: MIT
/* fuzz-sources: driver/oni_stim_check.c tests/sim/model/stim_seq.c tests/sim/model/stim_log.c */
/* fuzz-libs: -lgmp */
/*
 * fuzz_stim - the check of stimulation programs against the same rules in rational
 * numbers, on the currents that the simulated sequencers play.
 *
 * Input: what to make; then either the structures as they are, which nobody would
 * make, or small numbers that become a policy and a program that could be meant.
 */
#include "fuzz.h"
#include "tests/unit/stim_reference.h"

#define ROWS		40
#define PULSES_MAX	40
#define TRAINS_MAX	6

struct input {
	struct oni_stim_policy policy;
	struct oni_stim_program program;
	struct oni_stim_delta rows[ROWS];
	uint32_t nrows;
};

/* Ceilings by their place between nothing and what the hardware can do. */
static void take_class(struct fuzz_in *in, struct oni_stim_class *c)
{
	uint32_t i, shift;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < ONI_STIM_LIMITS; i++) {
		shift = fuzz_u8(in);
		c->max[i] = shift & 0x80 ? UINT64_MAX : fuzz_u16(in) * (1ull << (shift & 31));
		c->source[i] = shift >> 5 & 3;
	}
	c->max[ONI_STIM_AREA] &= 0xffffffff;
	if (c->max[ONI_STIM_NET] == UINT64_MAX)
		c->max[ONI_STIM_NET] = 0;
}

static void take_policy(struct fuzz_in *in, struct oni_stim_policy *p)
{
	uint32_t i;

	memset(p, 0, sizeof(*p));
	p->size = sizeof(*p);
	p->version = ONI_STIM_VERSION;
	p->classes = 2;
	p->hs64_readings = (1 + fuzz_u8(in) % 3) | (1 + fuzz_u8(in) % 3) << 2;
	p->duty_window_ns = 1000000 + fuzz_u16(in) * 1000ull;
	for (i = 0; i < 2; i++)
		take_class(in, &p->cls[i]);
	for (i = 0; i < ONI_STIM_CONTACTS; i++)
		p->class_of[i] = 1;
	p->class_of[ONI_STIM_RETURN] = 2;
	if (fuzz_u8(in) & 1)
		p->class_of[fuzz_u8(in) % (ONI_STIM_RETURN + 1)] = 0;
}

/* Rows of the chip, which have few channels on, so that something balances. */
static void take_chip(struct fuzz_in *in, struct input *x, struct oni_stim_chip *c, uint32_t rows)
{
	static const uint16_t steps[] = { 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 7 };
	uint32_t i, t = 0, amplitude;

	c->step_na = steps[fuzz_u8(in) % 11];
	for (i = 0; i < ONI_STIM_CHANNELS; i++) {
		amplitude = fuzz_u8(in);
		c->positive[i] = (uint8_t)amplitude;
		c->negative[i] = (uint8_t)(amplitude & 1 ? amplitude : amplitude / 2);
	}
	for (i = 0; i < rows; i++) {
		uint32_t what = fuzz_u8(in), ch = what & 3;

		t += fuzz_u8(in) & 0x1f;
		x->rows[x->nrows].time = t;
		x->rows[x->nrows++].polen = what & 0x40 ? 0 : 1u << ch | (what >> 2 & 3) << (ch + 15);
	}
	if (rows && !(fuzz_u8(in) & 0x80))
		x->rows[x->nrows - 1].polen = 0;
	c->rows = rows;
}

static void take_hs64(struct fuzz_in *in, struct oni_stim_hs64 *h)
{
	h->biphasic = fuzz_u8(in) != 0xff;
	h->current1 = fuzz_u16(in);
	h->current2 = fuzz_u8(in) & 1 ? fuzz_u16(in) : 65535 - h->current1;
	h->duration1 = fuzz_u16(in) & 0xfff;
	h->duration2 = fuzz_u8(in) & 1 ? fuzz_u16(in) & 0xfff : h->duration1;
	h->interphase = fuzz_u8(in);
	h->rest = 32768 - fuzz_u8(in);
	h->interpulse = fuzz_u16(in);
	h->interburst = fuzz_u16(in) * 16u;
	h->pulses = fuzz_u8(in) & 15;
	h->bursts = fuzz_u8(in) & 7;
	h->delay = fuzz_u16(in);
}

static void take_input(struct fuzz_in *in, struct input *x, uint32_t what)
{
	uint32_t n;

	memset(x, 0, sizeof(*x));
	if (what & 1) {
		fuzz_take(in, &x->policy, sizeof(x->policy));
		fuzz_take(in, &x->program, sizeof(x->program));
		fuzz_take(in, x->rows, sizeof(x->rows));
		x->nrows = fuzz_u8(in) % (ROWS + 1);
		return;
	}
	take_policy(in, &x->policy);
	x->program.size = sizeof(x->program);
	x->program.version = ONI_STIM_VERSION;
	x->program.watchdog_ms = fuzz_u8(in);
	x->program.sources = ONI_STIM_FROM_REGISTER;
	if (what & 2) {
		x->program.kind = ONI_STIM_HS64;
		take_hs64(in, &x->program.hs64);
		return;
	}
	x->program.kind = ONI_STIM_RHS2116;
	if (what & 4)
		x->program.sources = fuzz_u8(in) & 7;
	x->program.delay = what & 8 ? fuzz_u16(in) & 1 : 0;
	n = fuzz_u8(in) % (ROWS / 2);
	take_chip(in, x, &x->program.chip[0], n);
	take_chip(in, x, &x->program.chip[1], what & 16 ? fuzz_u8(in) % (ROWS / 2) : 0);
}

static const char *judge(struct ref_player *pl, const struct input *x, bool ok,
			 const struct oni_stim_verdict *v)
{
	const struct oni_stim_hs64 *h = &x->program.hs64;
	uint64_t trains;
	bool error;

	if (!ref_form(&x->policy, &x->program, x->rows, x->nrows))
		return ok ? "a wrong form was accepted" : NULL;
	if (x->program.kind == ONI_STIM_HS64)
		return (uint64_t)h->pulses * h->bursts > PULSES_MAX ? NULL :
		       ref_judge_hs64(pl, &x->policy, &x->program, ok, v);
	trains = ref_trains(&x->policy, &x->program, x->rows);
	if (trains > TRAINS_MAX)
		return NULL;
	pl->r->endless = x->program.sources != ONI_STIM_FROM_REGISTER;
	error = ref_play_rhs(pl, &x->program, x->rows, (unsigned int)trains);
	ref_measure(pl->r, &x->policy, &x->program);
	return ref_judge_rhs(pl->r, &x->policy, &x->program, x->rows, x->nrows, error, ok, v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct ref_player pl;
	static struct ref r;
	struct fuzz_in in = { data, len };
	struct oni_stim_verdict v;
	struct input x;
	const char *wrong;
	bool ok;

	if (!pl.r) {
		ref_init(&r);
		ref_player_init(&pl, &r);
	}
	take_input(&in, &x, fuzz_u8(&in));
	memset(&v, 0xa5, sizeof(v));
	ok = oni_stim_check(&x.policy, &x.program, x.rows, x.nrows, &v);
	FUZZ_CHECK(ok == (v.code == ONI_STIM_OK));
	FUZZ_CHECK(v.source <= 3 || x.policy.size != sizeof(x.policy) || v.code < 32);
	wrong = judge(&pl, &x, ok, &v);
	if (wrong) {
		fprintf(stderr, "%s: code %u contact %u asked %llu allowed %llu\n", wrong, v.code,
			v.contact, (unsigned long long)v.asked, (unsigned long long)v.allowed);
		abort();
	}
	return 0;
}
