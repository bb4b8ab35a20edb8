// SPDX-License-Identifier: MIT
/* stim_seq.c - see stim_seq.h. */
#include "stim_seq.h"

#include <stddef.h>

/* ---- RHS2116 ------------------------------------------------------------ */
void rhs_seq_stop(struct rhs_seq *s)
{
	s->playing = 0;
	s->state = 0;
}

void rhs_seq_reset(struct rhs_seq *s)
{
	rhs_seq_stop(s);
	s->error = 0;
}

void rhs_seq_start(struct rhs_seq *s, uint64_t now_ns)
{
	if (s->error || !s->num)
		return;
	s->playing = 1;
	s->next = 0;
	s->start_ns = now_ns;
}

uint64_t rhs_seq_due(const struct rhs_seq *s)
{
	if (!s->playing)
		return STIM_NEVER;
	return s->start_ns + (uint64_t)s->time[s->next] * RHS_PERIOD_NS;
}

void rhs_seq_step(struct rhs_seq *s)
{
	s->state = s->polen[s->next++];
	if (s->next >= s->num) {
		s->playing = 0;
		return;
	}
	if (s->time[s->next] <= s->time[s->next - 1]) {
		rhs_seq_stop(s);
		s->error = 1;
	}
}

/* ---- headstage-64 --------------------------------------------------------- */
void pulse_seq_stop(struct pulse_seq *s)
{
	s->state = PULSE_IDLE;
	s->until_ns = STIM_NEVER;
}

uint64_t pulse_seq_due(const struct pulse_seq *s)
{
	return s->state == PULSE_IDLE ? STIM_NEVER : s->until_ns;
}

static uint64_t pulse_ns(const struct pulse_params *p)
{
	return p->phase1_ns + p->between_ns + p->phase2_ns;
}

/* Pause after a pulse. Between bursts there is only the pause of bursts (inference). */
static uint64_t gap_ns(const struct pulse_params *p, int burst_ends)
{
	if (burst_ends)
		return p->interburst_ns;
	if (!p->period)
		return p->interpulse_ns;
	return p->interpulse_ns > pulse_ns(p) ? p->interpulse_ns - pulse_ns(p) : 0;
}

static void enter(struct pulse_seq *s, enum pulse_state state, uint64_t ns)
{
	s->state = state;
	s->until_ns += ns;
}

static void pulse_ended(struct pulse_seq *s, const struct pulse_params *p)
{
	int burst_ends = ++s->pulse >= p->pulses;

	if (burst_ends) {
		s->pulse = 0;
		if (s->burst < UINT32_MAX)
			s->burst++;
		/* A pulse that takes no time cannot go on without end. */
		if ((p->bursts && s->burst >= p->bursts) ||
		    (!p->bursts && !pulse_ns(p) && !p->interburst_ns)) {
			pulse_seq_stop(s);
			return;
		}
	}
	enter(s, PULSE_GAP, gap_ns(p, burst_ends));
}

void pulse_seq_step(struct pulse_seq *s, const struct pulse_params *p)
{
	switch (s->state) {
	case PULSE_IDLE:
		break;
	case PULSE_DELAY:
	case PULSE_GAP:
		enter(s, PULSE_PHASE1, p->phase1_ns);
		break;
	case PULSE_PHASE1:
		enter(s, PULSE_BETWEEN, p->between_ns);
		break;
	case PULSE_BETWEEN:
		enter(s, PULSE_PHASE2, p->phase2_ns);
		break;
	case PULSE_PHASE2:
		pulse_ended(s, p);
		break;
	}
}

void pulse_seq_start(struct pulse_seq *s, const struct pulse_params *p, uint64_t now_ns)
{
	s->pulse = 0;
	s->burst = 0;
	if (!p->pulses) {
		pulse_seq_stop(s);
		return;
	}
	s->until_ns = now_ns;
	enter(s, PULSE_DELAY, p->delay_ns);
}
