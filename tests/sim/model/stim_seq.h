/* SPDX-License-Identifier: MIT */
/*
 * stim_seq.h - the sequencers of the stimulators: when which output is on.
 *
 * Owns the delta table of an RHS2116 and the place in a sequence. No registers,
 * no currents and no clock: the caller asks when the next thing is due, and says
 * when it is. Times are nanoseconds of the caller's clock.
 * Sources: ONIX datasheets of the devices. What they leave open is said where
 * it is decided, and is the choice that is worse for a subject.
 */
#ifndef SIM_STIM_SEQ_H
#define SIM_STIM_SEQ_H

#include <stdint.h>

#define STIM_NEVER	UINT64_MAX

/* ---- RHS2116: a table of states ---------------------------------------- */
#define RHS_MAX_DELTAS	1024u
#define RHS_PERIOD_NS	33120u	/* 1656 ticks of 50 MHz */
#define RHS_TIME_MASK	0x003fffffu

struct rhs_seq {
	uint32_t time[RHS_MAX_DELTAS];
	uint32_t polen[RHS_MAX_DELTAS];
	uint32_t num;		/* rows in use */
	uint32_t next;
	int playing;
	int error;		/* stays until rhs_seq_reset() */
	uint32_t state;		/* polarity << 16 | enable, now */
	uint64_t start_ns;
};

/* The first row may be due at once. Nothing happens without rows or after an error. */
void rhs_seq_start(struct rhs_seq *s, uint64_t now_ns);
/* When the next row is due, or STIM_NEVER. */
uint64_t rhs_seq_due(const struct rhs_seq *s);
/*
 * Play that row: it is the state of all channels from now on. The last one stays,
 * whatever it says (inference). A row that does not come later than the one before
 * it is found when it would be waited for, so rows before it have been played.
 */
void rhs_seq_step(struct rhs_seq *s);
/* Everything off; the table stays. */
void rhs_seq_stop(struct rhs_seq *s);
/* Reset of the hub: as above, and the error is forgotten. */
void rhs_seq_reset(struct rhs_seq *s);

/* Current of channel @ch in nA. */
static inline int64_t rhs_level(uint32_t state, unsigned int ch, uint32_t positive,
				uint32_t negative, uint32_t step_na)
{
	if (!(state >> ch & 1))
		return 0;
	return state >> (16 + ch) & 1 ? (int64_t)positive * step_na :
					-(int64_t)negative * step_na;
}

/* ---- headstage-64: pulses in bursts in a train --------------------------- */
enum pulse_state {
	PULSE_IDLE, PULSE_DELAY, PULSE_PHASE1, PULSE_BETWEEN, PULSE_PHASE2, PULSE_GAP,
};

/* Registers, and how they are read. */
struct pulse_params {
	uint64_t delay_ns, phase1_ns, between_ns, phase2_ns;
	uint64_t interpulse_ns;
	int period;		/* interpulse is from one pulse to the next */
	uint64_t interburst_ns;
	uint32_t pulses, bursts;	/* no bursts: without end */
};

struct pulse_seq {
	enum pulse_state state;
	uint64_t until_ns;
	uint32_t pulse, burst;
};

void pulse_seq_start(struct pulse_seq *s, const struct pulse_params *p, uint64_t now_ns);
uint64_t pulse_seq_due(const struct pulse_seq *s);
/* Go on to the state that follows; a new value of a duration counts from the next one. */
void pulse_seq_step(struct pulse_seq *s, const struct pulse_params *p);
void pulse_seq_stop(struct pulse_seq *s);

/*
 * I = code * 5 mA / 65535 - 2.5 mA, in steps of 500000 / 13107 nA; never zero. The
 * resting current flows between the phases; the output is shorted outside pulses.
 */
#define PULSE_NUM	500000u
#define PULSE_DEN	13107u

static inline int64_t pulse_level(enum pulse_state state, uint32_t current1, uint32_t rest,
				  uint32_t current2)
{
	switch (state) {
	case PULSE_PHASE1:
		return 2 * (int64_t)current1 - 65535;
	case PULSE_BETWEEN:
		return 2 * (int64_t)rest - 65535;
	case PULSE_PHASE2:
		return 2 * (int64_t)current2 - 65535;
	default:
		return 0;
	}
}

#endif
