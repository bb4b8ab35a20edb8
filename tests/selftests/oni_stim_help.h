/* SPDX-License-Identifier: MIT */
/*
 * What the programs about stimulation share: the calls of the stim node, a policy
 * and programs for the simulated headstages, and an acquisition with a thread that
 * reads it and says that it does.
 *
 * Contract under test: include/uapi/linux/oni_stim.h. Everything here belongs to
 * the caller; there are no globals. Calls return -errno. Their verdict starts as
 * garbage, so that "not written" is seen, and may be NULL if nobody asks. Research
 * use only: the programs are meant for the simulator, not for an electrode.
 */
#ifndef ONI_STIM_HELP_H
#define ONI_STIM_HELP_H

#include <pthread.h>

#include <linux/oni_stim.h>

#include "oni_test.h"

/* Headstages of the simulated card: headstage-64 on port A, rhs2116 on port B. */
#define OST_HUB_HS64	1u
#define OST_HUB_RHS	2u
#define OST_HS64_DEV	0x103u		/* the electrical stimulator */
#define OST_RHS_DEV	0x200u		/* the first chip; the second follows */
#define OST_TRIGGER_DEV	0x202u
#define OST_HS64_DV	60u
#define OST_RHS_DV	50u

#define OST_STEP_NA	1000u
#define OST_ROWS	(ONI_STIM_CHIPS * ONI_STIM_SLOTS)

/* "at once", on an emulated machine that is busy */
#define OST_SOON_MS	30000

/* --- nodes and calls -------------------------------------------------------- */

/* /dev/oniN-stim, /dev/oniN-stop of the node that ot_path() names */
int ost_open(int flags);
int ost_open_stop(int flags);
/* write(2) to the stop node, opened for that */
int ost_stop(void);

int ost_status(int fd, struct oni_stim_status *st);
int ost_policy(int fd, const struct oni_stim_policy *p, uint32_t flags,
	       struct oni_stim_verdict *v);
int ost_limits(int fd, struct oni_stim_policy *p);
int ost_lower(int fd, const struct oni_stim_policy *p, struct oni_stim_verdict *v);
int ost_claim(int fd, uint64_t *nonce, struct oni_stim_verdict *v);
int ost_step(int fd, uint64_t nonce, uint32_t hub, uint32_t na, struct oni_stim_verdict *v);
int ost_arm(int fd, uint64_t nonce, const uint8_t *hash, uint32_t ttl_ms,
	    struct oni_stim_verdict *v);
int ost_kick(int fd, uint64_t nonce, uint64_t position, uint32_t generation,
	     struct oni_stim_verdict *v);
/* FIRE, DISARM, RELEASE, ACK_FAULT */
int ost_call(int fd, unsigned long cmd, uint64_t nonce, struct oni_stim_verdict *v);

/* Wait until the state is @state, or one of a @mask of states: the last one seen. */
uint32_t ost_wait_state(int fd, uint32_t mask, int ms);
#define OST_IN(state)	(1u << (state))

/* --- policy ----------------------------------------------------------------- */

/*
 * Class 1, contacts 0 to 3: short phases, no signal from outside. Class 2, contacts 8
 * and 9: as class 1, but one may start a train. Class 3: where the currents meet.
 * Class 4, contact 11: no area. Class 5, contact 4: current without a pause, so that
 * the time of its end is the time of the stop. The others must not be stimulated.
 */
void ost_policy_fill(struct oni_stim_policy *p);
#define OST_NO_AREA_CONTACT	11u
#define OST_UNKNOWN_CONTACT	12u
#define OST_WAVE_CONTACT	4u
#define OST_POLICY_CLASSES	5u

/* --- programs ---------------------------------------------------------------- */

struct ost_program {
	struct oni_stim_program p;
	struct oni_stim_delta rows[OST_ROWS];
	uint32_t nrows;
	uint32_t hub;
	uint8_t hash[ONI_STIM_HASH_BYTES];	/* as the test computes it */
};

/* A program of RHS2116 with no rows yet. */
void ost_rhs(struct ost_program *g, uint32_t watchdog_ms);
/* One more row of @chip; those of chip 0 first. */
void ost_row(struct ost_program *g, uint32_t chip, uint32_t time, uint32_t polen);
/*
 * @n pulses of @steps on the @channels (a mask) of chip 0 every @period samples:
 * positive for @width samples, then negative for as long.
 */
void ost_pulses(struct ost_program *g, uint32_t channels, uint32_t steps, uint32_t width,
		uint32_t period, uint32_t n);
/* @cycles of +-5 uA on contact 4, without a pause: 145 samples (4.8 ms) each way */
void ost_wave(struct ost_program *g, uint32_t cycles);
/*
 * The same 8 times in 8.4 s: near the longest train that the policy allows, and
 * only 24 rows, each of which is some register writes.
 */
void ost_slow_wave(struct ost_program *g);
/* @pulses of +-152.6 uA and 2 * 100 us on headstage-64 */
void ost_hs64(struct ost_program *g, uint32_t watchdog_ms, uint32_t pulses);
/* SHA-256 over the program and its rows; has to come last. */
void ost_seal(struct ost_program *g);
/* From the trigger to the last row */
uint64_t ost_length_ns(const struct ost_program *g);

/* CHECK or LOAD; @hash: what the kernel says it is, may be NULL */
int ost_load(int fd, unsigned long cmd, uint64_t nonce, const struct ost_program *g,
	     uint8_t *hash, struct oni_stim_verdict *v);

void ost_sha256(uint8_t out[32], const void *data, size_t bytes, const void *more, size_t morebytes);

/* --- acquisition --------------------------------------------------------------- */

/*
 * Somebody who looks at the data, and says so. Flags may be set at any time; the
 * thread looks at them every millisecond. It releases what it has looked at.
 */
struct ost_life {
	struct ot_stream s;
	pthread_t thread;
	bool running;
	volatile bool quit;
	volatile bool hold;		/* read nothing */
	volatile bool kick;
	volatile bool stuck;		/* say the same position again and again */
	bool shared;			/* another process releases what was read */
	int fd;				/* for kicks */
	uint64_t nonce;
	volatile uint64_t kicked;	/* position of the last one that was taken */
	volatile uint64_t kicks;
	volatile int refused;		/* -errno of the last one */
	volatile uint32_t refused_code;
};

/* Both ports on, as oni_sweep does it, and frames of the trigger wanted. Needs the claim. */
int ost_power(int ctl);
/* Frames of the load tester at a medium rate, from the next start on; resets. */
int ost_feed(int ctl);
/* A stream of @ring bytes (0: 1 MiB), mapped. */
int ost_stream(struct ost_life *l, int ctl, uint64_t ring);
/* START, and the thread. */
int ost_start(struct ost_life *l, int ctl);
int ost_thread(struct ost_life *l);
void ost_thread_end(struct ost_life *l);
/* STOP without the thread, which ends. */
int ost_halt(struct ost_life *l, int ctl);
void ost_close(struct ost_life *l);

/* --- events ---------------------------------------------------------------------- */

int ost_events(int ctl, uint32_t flags);
/* Read events until one is @what, at most @ms: 0, -ETIME or -errno. */
int ost_event(int fd, uint32_t what, struct oni_stim_event *e, int ms);

#endif /* ONI_STIM_HELP_H */
