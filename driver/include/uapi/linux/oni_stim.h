/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Open Neuro Interface (ONI) controllers: stimulation, kernel/user contract.
 *
 * Research use only, not a medical device.
 *
 * Current leaves the hardware only inside the bounds of a policy that root has
 * loaded, by a program that the kernel has checked as the hardware will run it,
 * while its owner is alive, sees data and says so. Everything else is a stop.
 */
#ifndef _UAPI_LINUX_ONI_STIM_H
#define _UAPI_LINUX_ONI_STIM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: nodes
 *
 * /dev/oniN-stim, of a controller whose transport can carry a stimulator: any
 * number of openers, one of which may claim the stimulators. A session belongs
 * to the process that claimed: another one that holds the file (a child, a
 * receiver of the descriptor, the program after an exec) is refused, and the
 * session ends when its process closes any copy of the file, exits or execs.
 *
 * /dev/oniN-stop: a write(2) of anything stops, from any state, and returns when
 * the hardware has acknowledged. It is open to everybody, because stopping must
 * need no right. read(2) gives the state as one line of text, then 0.
 *
 * %ONI_IOC_STIM_EVENTS on /dev/oniN makes a file that tells everything that
 * happens to the stimulators, for an audit log and for recordings.
 */

/**
 * DOC: states
 *
 * .. code-block:: none
 *
 *   SAFE -- CLAIM --> CLAIMED -- LOAD --> LOADED -- ARM --> ARMED -- FIRE
 *     ^                  ^                 | ^                |  |
 *     |                  |                 | +-- DISARM, ttl, |  |
 *     |                  |                 |     loss --------+  |
 *     |                  +-- stop, reset --+---------------------+
 *     +-- close, exit, exec, RELEASE: from any of them
 *
 *   ARMED -- silent owner, hub reset, link, trigger that nobody gave,
 *   any   -- unanswered stop or write --> FAULT -- ACK_FAULT --> SAFE
 *
 * In SAFE, CLAIMED and FAULT the hardware is in its safe state or on the way to
 * it. In LOADED it may hold the program, and no trigger starts it.
 * A FAULT stays when its owner goes; it is left by ACK_FAULT of anybody who may
 * open the stim node, if the safe state is written and acknowledged once more.
 *
 * The trigger input of a RHS2116 headstage is armed for the length of a FIRE
 * only, unless policy and program allow a trigger from outside: then from
 * ONI_STIM_ARM_DELAY_MS after ARM on. What it reports in
 * the data is compared with what was commanded, if it is enabled.
 */
#define ONI_STIM_SAFE		0
#define ONI_STIM_CLAIMED	1
#define ONI_STIM_LOADED		2
#define ONI_STIM_ARMED		3
#define ONI_STIM_FAULT		4

/* --- policy, program, verdict -------------------------------------------- */

#define ONI_STIM_VERSION	1U

/* RHS2116 behind its ONIX wrapper. */
#define ONI_STIM_CHIPS		2U	/* on one headstage, one trigger for both */
#define ONI_STIM_CHANNELS	16U	/* of a chip */
#define ONI_STIM_SLOTS		1024U	/* of a delta table */
#define ONI_STIM_TIME_MAX	((1U << 22) - 1)
/* 1656 ticks of the hub's 50 MHz: 30193.2367... Hz as published. */
#define ONI_STIM_PERIOD_NS	33120U

/* Headstage-64: I = (2 * code - 65535) * 500000 / 13107 nA; never zero. */
#define ONI_STIM_HS64_CODE_MAX	65535U
#define ONI_STIM_HS64_NA_NUM	500000U
#define ONI_STIM_HS64_NA_DEN	13107U

/* Contacts. RHS2116: chip * 16 + channel. Headstage-64: 0. */
#define ONI_STIM_CONTACTS	(ONI_STIM_CHIPS * ONI_STIM_CHANNELS)
#define ONI_STIM_RETURN		ONI_STIM_CONTACTS	/* where all currents meet */
#define ONI_STIM_NO_CONTACT	0xffffffffU

/**
 * enum oni_stim_limit - ceilings of an electrode class
 * @ONI_STIM_AREA: geometric surface, um2; 0: must not be stimulated
 * @ONI_STIM_AMPLITUDE: nA
 * @ONI_STIM_CHARGE: of a phase, fC. A phase is all current of one polarity, with
 *	pauses or without, until the polarity changes or a pause finds the
 *	contact in balance; and how far the contact is from balance at any time.
 * @ONI_STIM_DENSITY: of a phase, nC/cm2
 * @ONI_STIM_SHANNON: 10^(k+4), rounded down: charge^2 / area, pC2/um2
 * @ONI_STIM_NET: what a train leaves behind, fC; 0: exactly nothing. Trains that
 *	an outside signal can start must leave nothing in any case.
 * @ONI_STIM_WIDTH: time that a phase is on, ns
 * @ONI_STIM_GAP: longest time without current while out of balance, ns
 * @ONI_STIM_RATE: 1 / shortest time between two onsets of one polarity, mHz. A
 *	train that a signal from outside starts may begin where another ended.
 * @ONI_STIM_DUTY: most time with current in any window of
 *	oni_stim_policy.duty_window_ns, ppm of it
 * @ONI_STIM_TRAIN: from the trigger to the end, delay included, ns
 * @ONI_STIM_WATCHDOG: longest time without a sign of life of the owner, ms
 * @ONI_STIM_EXTERNAL: 1: a signal from outside may start a train
 * @ONI_STIM_LIMITS: how many there are
 */
enum oni_stim_limit {
	ONI_STIM_AREA,
	ONI_STIM_AMPLITUDE,
	ONI_STIM_CHARGE,
	ONI_STIM_DENSITY,
	ONI_STIM_SHANNON,
	ONI_STIM_NET,
	ONI_STIM_WIDTH,
	ONI_STIM_GAP,
	ONI_STIM_RATE,
	ONI_STIM_DUTY,
	ONI_STIM_TRAIN,
	ONI_STIM_WATCHDOG,
	ONI_STIM_EXTERNAL,
	ONI_STIM_LIMITS
};

#define ONI_STIM_LIMIT_SLOTS	16U

/* What a verdict says: a limit that is exceeded, or one of these. */
#define ONI_STIM_OK			0U
#define ONI_STIM_BAD_POLICY		32U	/* allowed: what would be right */
#define ONI_STIM_BAD_PROGRAM		33U	/* likewise */
#define ONI_STIM_UNKNOWN_CONTACT	34U	/* not in the policy */
#define ONI_STIM_NO_AREA		35U
#define ONI_STIM_TOO_MANY_SLOTS		36U
#define ONI_STIM_NOT_MONOTONIC		37U	/* asked: a time, allowed: least */
#define ONI_STIM_TIME_RANGE		38U
#define ONI_STIM_LEFT_ON		39U	/* asked: enables of the last row */
#define ONI_STIM_STEP_SIZE		40U	/* of a chip, nA */
#define ONI_STIM_PARAMETER		41U	/* where: register of headstage-64 */
#define ONI_STIM_UNEQUAL_ENDS		42U	/* of chips started from outside */

/* Whose ceiling it is. */
#define ONI_STIM_BY_NOBODY	0U	/* nobody allowed anything */
#define ONI_STIM_BY_HARDWARE	1U	/* full scale, or built into this code */
#define ONI_STIM_BY_FIRMWARE	2U	/* device tree, ACPI, software node */
#define ONI_STIM_BY_POLICY	3U
#define ONI_STIM_BY_RUNTIME	4U	/* lowered since */

/**
 * struct oni_stim_class - ceilings of one kind of electrode
 * @max: by enum oni_stim_limit; a larger area is a larger allowance
 * @source: whose each is, ONI_STIM_BY_*
 */
struct oni_stim_class {
	__u64 max[ONI_STIM_LIMIT_SLOTS];
	__u8 source[ONI_STIM_LIMIT_SLOTS];
};

#define ONI_STIM_CLASSES	8U
#define ONI_STIM_CONTACT_SLOTS	40U

/*
 * Readings of the headstage-64 registers that were not ruled out by measurement.
 * A program must be inside the bounds in each combination of a unit and a
 * meaning. Interphase and interpulse count in this unit; the datasheet says
 * 1 us, comments in the vendor's software 10 us.
 */
#define ONI_STIM_HS64_UNIT_1US	0x1U
#define ONI_STIM_HS64_UNIT_10US	0x2U
/* Interpulse is the pause after a pulse, or from one pulse to the next. */
#define ONI_STIM_HS64_PAUSE	0x4U
#define ONI_STIM_HS64_PERIOD	0x8U
#define ONI_STIM_HS64_ANY	0xfu

/**
 * struct oni_stim_policy - which contact is what, and what that may get
 * @size: of this structure
 * @version: ONI_STIM_VERSION
 * @classes: of @cls in use
 * @hs64_readings: ONI_STIM_HS64_*, at least one unit and one meaning
 * @duty_window_ns: 1 ms to 1 h
 * @class_of: by contact, index into @cls plus one; 0: must not be stimulated
 * @cls: electrode classes
 */
struct oni_stim_policy {
	__u32 size;
	__u32 version;
	__u32 classes;
	__u32 hs64_readings;
	__u64 duty_window_ns;
	__u8 class_of[ONI_STIM_CONTACT_SLOTS];
	struct oni_stim_class cls[ONI_STIM_CLASSES];
};

/**
 * struct oni_stim_delta - one row of a delta table, as it is written
 * @time: sequencer periods after the trigger
 * @polen: bit c: channel c is on; bit 16 + c: its current is positive. The state
 *	of every channel until the next row.
 */
struct oni_stim_delta {
	__u32 time;
	__u32 polen;
};

/**
 * struct oni_stim_chip - what one RHS2116 will run
 * @rows: of its delta table
 * @step_na: what one step of an amplitude is, nA
 * @positive: amplitude by channel, steps
 * @negative: likewise
 */
struct oni_stim_chip {
	__u32 rows;
	__u32 step_na;
	__u8 positive[ONI_STIM_CHANNELS];
	__u8 negative[ONI_STIM_CHANNELS];
};

/**
 * struct oni_stim_hs64 - registers of the headstage-64 electrical stimulator
 * @biphasic: register 1, must be 1
 * @current1: register 2, DAC code of the first phase
 * @current2: register 3, of the second phase
 * @duration1: register 4, us
 * @interphase: register 5, in a unit that is in doubt
 * @duration2: register 6, us
 * @interpulse: register 7, in the same unit
 * @pulses: register 8, of a burst
 * @interburst: register 9, us
 * @bursts: register 10, of the train
 * @delay: register 11, us
 * @rest: register 15, DAC code between the phases
 */
struct oni_stim_hs64 {
	__u32 biphasic;
	__u32 current1;
	__u32 current2;
	__u32 duration1;
	__u32 interphase;
	__u32 duration2;
	__u32 interpulse;
	__u32 pulses;
	__u32 interburst;
	__u32 bursts;
	__u32 delay;
	__u32 rest;
};

#define ONI_STIM_RHS2116	1U
#define ONI_STIM_HS64		2U

/* What may start the train. Every bit but the first is from outside. */
#define ONI_STIM_FROM_REGISTER	0x1U
#define ONI_STIM_FROM_GPIO	0x2U
#define ONI_STIM_FROM_SYNC	0x4U

/**
 * struct oni_stim_program - a compiled program but for its rows
 * @size: of this structure
 * @version: ONI_STIM_VERSION
 * @kind: ONI_STIM_RHS2116 or ONI_STIM_HS64; the part of the other is zero
 * @sources: ONI_STIM_FROM_*, at least one
 * @watchdog_ms: how long the owner wants to be silent; not 0
 * @delay: of the trigger: 0, since whether one that is pending can be taken back
 *	is not known
 * @chip: what the chips run; rows of the second follow those of the first
 * @hs64: registers
 */
struct oni_stim_program {
	__u32 size;
	__u32 version;
	__u32 kind;
	__u32 sources;
	__u32 watchdog_ms;
	__u32 delay;
	struct oni_stim_chip chip[ONI_STIM_CHIPS];
	struct oni_stim_hs64 hs64;
};

/**
 * struct oni_stim_verdict - why a program is refused
 * @code: ONI_STIM_OK, enum oni_stim_limit, or ONI_STIM_BAD_POLICY and up
 * @contact: ONI_STIM_NO_CONTACT: it concerns none in particular
 * @asked: what the program would need, in the unit of the limit
 * @allowed: what there is
 * @source: ONI_STIM_BY_*, of @allowed
 * @where: chip << 16 | row, register, or class; 0 where it does not apply
 */
struct oni_stim_verdict {
	__u32 code;
	__u32 contact;
	__u64 asked;
	__u64 allowed;
	__u32 source;
	__u32 where;
};

/* --- refusals of the interlock -------------------------------------------- */

/* oni_stim_verdict.code of what is refused for another reason than a bound. */
#define ONI_STIM_NO_POLICY	64U	/* none was loaded: recording only */
#define ONI_STIM_RAISE		65U	/* a ceiling would go up */
#define ONI_STIM_NOT_OWNER	66U	/* another process, or nobody, has claimed */
#define ONI_STIM_NONCE		67U	/* of another session */
#define ONI_STIM_STATE		68U	/* asked: wanted, allowed: there is */
#define ONI_STIM_HASH		69U	/* another program than the one loaded */
#define ONI_STIM_TTL		70U	/* ms; 0, or more than ONI_STIM_TTL_MAX_MS */
#define ONI_STIM_NO_DATA	71U	/* no acquisition, held back, or far behind */
/*
 * ns since ARM, and when it may be; where is ONI_STIM_DUTY: ns with current in the
 * window, and what is allowed.
 */
#define ONI_STIM_TOO_SOON	72U
#define ONI_STIM_NO_STIMULATOR	73U	/* asked: hub; none of that kind there */
#define ONI_STIM_NOT_SAFE	74U	/* the safe state was not acknowledged */
#define ONI_STIM_NO_AUDIT	75U	/* nobody reads the events for the log */
#define ONI_STIM_INHIBITED	76U	/* key off, or power management */
#define ONI_STIM_STALE_KICK	77U	/* asked: position, allowed: least, or head */
#define ONI_STIM_LOST		78U	/* reset, or unloaded since */
#define ONI_STIM_FAULTED	79U	/* where: ONI_STIM_BECAUSE_* */
#define ONI_STIM_READ_BACK	80U	/* asked: written, allowed: read; where: register */
#define ONI_STIM_BUSY		81U	/* another process has claimed */

/* Why a session, or what was armed, came to its end. */
#define ONI_STIM_BECAUSE_NOTHING	0U
#define ONI_STIM_BECAUSE_OWNER		1U	/* DISARM */
#define ONI_STIM_BECAUSE_STOP		2U	/* /dev/oniN-stop */
#define ONI_STIM_BECAUSE_CLOSE		3U	/* close(2), exit or death */
#define ONI_STIM_BECAUSE_EXEC		4U
#define ONI_STIM_BECAUSE_TTL		5U
#define ONI_STIM_BECAUSE_ACQUISITION	6U	/* stopped, or its data stall */
#define ONI_STIM_BECAUSE_RING_FULL	7U	/* the reader is too slow */
#define ONI_STIM_BECAUSE_RESET		8U	/* of the controller */
#define ONI_STIM_BECAUSE_SUSPEND	9U
#define ONI_STIM_BECAUSE_REMOVE		10U	/* unbind, unplug, shutdown */
#define ONI_STIM_BECAUSE_AUDIT		11U	/* nobody keeps the log any more */
#define ONI_STIM_BECAUSE_KEY		12U
#define ONI_STIM_BECAUSE_LOAD		13U	/* another program, or one that failed */
/* From here on: FAULT. */
#define ONI_STIM_BECAUSE_WATCHDOG	32U
#define ONI_STIM_BECAUSE_LINK		33U	/* of the controller, or to the headstage */
#define ONI_STIM_BECAUSE_HUB_RESET	34U	/* the headstage lost what was loaded */
#define ONI_STIM_BECAUSE_UNCOMMANDED	35U	/* a trigger that nobody gave */
#define ONI_STIM_BECAUSE_NO_DELIVERY	36U	/* a train that did not start */
#define ONI_STIM_BECAUSE_UNCONFIRMED	37U	/* a stop that was not acknowledged */
#define ONI_STIM_BECAUSE_SEQUENCER	38U	/* SEQERROR of a chip */
#define ONI_STIM_BECAUSE_FLOOD		39U	/* of FIREs that come too soon */

/*
 * So many FIREs of an armed owner that come too soon within a second are a fault: who
 * asks so often does not know what it does. One that looks every 5 ms whether it may
 * fire stays below.
 */
#define ONI_STIM_FLOOD		400U

#define ONI_STIM_HASH_BYTES	32	/* SHA-256 */
#define ONI_STIM_TTL_MAX_MS	3600000U
#define ONI_STIM_ARM_DELAY_MS	200U	/* from ARM to the first train */

/**
 * DOC: stimulation ioctls
 *
 * Format and common errors as in oni.h. A call that is refused gives EPERM (who
 * or when), ERANGE (a bound) or EBUSY (CLAIM) and the reason in its verdict. Calls
 * on the stim node need a file opened for writing, but for STATUS, LIMITS, CHECK.
 *
 * EFAULT: nothing was done, not even where it was the answer that could not be written.
 * But DISARM and RELEASE of the owner end what they end all the same, whether argument or
 * answer is lost.
 */
#define ONI_STIM_IOC_STATUS	_IO(0xB9, 0x40)
#define ONI_STIM_IOC_POLICY	_IO(0xB9, 0x41)
#define ONI_STIM_IOC_LIMITS	_IO(0xB9, 0x42)
#define ONI_STIM_IOC_LOWER	_IO(0xB9, 0x43)
#define ONI_STIM_IOC_CHECK	_IO(0xB9, 0x44)
#define ONI_STIM_IOC_CLAIM	_IO(0xB9, 0x45)
#define ONI_STIM_IOC_STEP	_IO(0xB9, 0x46)
#define ONI_STIM_IOC_LOAD	_IO(0xB9, 0x47)
#define ONI_STIM_IOC_ARM	_IO(0xB9, 0x48)
#define ONI_STIM_IOC_KICK	_IO(0xB9, 0x49)
#define ONI_STIM_IOC_FIRE	_IO(0xB9, 0x4a)
#define ONI_STIM_IOC_DISARM	_IO(0xB9, 0x4b)
#define ONI_STIM_IOC_RELEASE	_IO(0xB9, 0x4c)
#define ONI_STIM_IOC_ACK_FAULT	_IO(0xB9, 0x4d)

/* On /dev/oniN */
#define ONI_IOC_STIM_EVENTS	_IO(0xB9, 0x10)

/* oni_stim_status.flags */
#define ONI_STIM_HAS_POLICY	0x1U
#define ONI_STIM_HAS_AUDIT	0x2U	/* somebody keeps the log */
#define ONI_STIM_NEEDS_AUDIT	0x4U	/* the policy wants one */
#define ONI_STIM_IS_OWNER	0x8U	/* this process has claimed, by this file */
#define ONI_STIM_CONFIRMED	0x10U	/* the safe state, or what was loaded, was acknowledged */
#define ONI_STIM_PLAYING	0x20U	/* a train may be under way */

/**
 * struct oni_stim_status - state of the interlock (ONI_STIM_IOC_STATUS)
 * @size: sizeof(struct oni_stim_status)
 * @flags: out: ONI_STIM_HAS_POLICY ...
 * @state: out: ONI_STIM_SAFE ...
 * @because: out: of the last end or fault, ONI_STIM_BECAUSE_*
 * @owner: out: process id of the owner in the caller's namespace, 0: nobody
 * @hub: out: of what is loaded
 * @watchdog_ms: out: left until the watchdog ends it; 0 unless armed
 * @ttl_ms: out: left of the time to live; 0 unless armed
 * @fires: out: trains commanded since the driver was bound
 * @delivered: out: reports of the hardware that one began
 * @refusals: out: calls refused, here and on /dev/oniN, for safety
 * @stops: out: times that what was armed was ended
 * @faults: out: of these, by a fault
 * @program: out: hash of what is loaded, 0 if nothing
 * @policy: out: hash of the ceilings in force
 * @reserved: zero
 *
 * On the stim node. Needs no session.
 */
struct oni_stim_status {
	__u32 size;
	__u32 flags;
	__u32 state;
	__u32 because;
	__s32 owner;
	__u32 hub;
	__u32 watchdog_ms;
	__u32 ttl_ms;
	__u64 fires;
	__u64 delivered;
	__u64 refusals;
	__u64 stops;
	__u64 faults;
	__u8 program[ONI_STIM_HASH_BYTES];
	__u8 policy[ONI_STIM_HASH_BYTES];
	__u64 reserved[4];
};

/* oni_stim_policy_arg.flags */
#define ONI_STIM_POLICY_AUDIT	0x1U	/* arm only while somebody keeps the log */

/**
 * struct oni_stim_policy_arg - ceilings (ONI_STIM_IOC_POLICY, _LIMITS, _LOWER)
 * @size: sizeof(struct oni_stim_policy_arg)
 * @flags: POLICY: ONI_STIM_POLICY_AUDIT or 0; others: zero
 * @policy: user pointer to a struct oni_stim_policy, whose @size must be that of
 *	the kernel
 * @hub: of the headstage that it is for, 0: of any; LIMITS: out
 * @reserved: zero
 * @verdict: out: why it is refused
 *
 * POLICY: CAP_SYS_ADMIN. What contacts there are and what they may get. The
 *	sources in it are set by the kernel: what is more than the hardware or the
 *	firmware tables allow is cut down to these. A later one may only go down in
 *	everything: ONI_STIM_RAISE. It lasts until the driver is unbound. Not while
 *	claimed: EPERM, ONI_STIM_STATE.
 * LIMITS: the ceilings in force, with the source of each. ENODATA: no policy.
 * LOWER: the owner brings ceilings down; a value that is higher than the one in
 *	force is ONI_STIM_RAISE, and nothing is changed. What is loaded stays, but
 *	has to pass the check anew when it is armed.
 */
struct oni_stim_policy_arg {
	__u32 size;
	__u32 flags;
	__aligned_u64 policy;
	__u32 hub;
	__u32 reserved[3];
	struct oni_stim_verdict verdict;
};

/**
 * struct oni_stim_claim - begin a session (ONI_STIM_IOC_CLAIM)
 * @size: sizeof(struct oni_stim_claim)
 * @flags: zero
 * @nonce: out: names this session; never 0
 * @reserved: zero
 * @verdict: out
 *
 * EBUSY: another process has claimed. EPERM: no policy, fault, safe state not
 * acknowledged.
 */
struct oni_stim_claim {
	__u32 size;
	__u32 flags;
	__u64 nonce;
	__u64 reserved[2];
	struct oni_stim_verdict verdict;
};

/**
 * struct oni_stim_step - amplitude step of a chip (ONI_STIM_IOC_STEP)
 * @size: sizeof(struct oni_stim_step)
 * @flags: zero
 * @nonce: of the session
 * @hub: of the headstage
 * @step_na: one of those that the chip has, nA
 * @reserved: zero
 * @verdict: out
 *
 * For both chips of a headstage. It takes effect at the next reset of the
 * controller (ONI_IOC_RESET); until then no program can be loaded, since it is
 * not certain which step is in force. What is loaded is unloaded.
 */
struct oni_stim_step {
	__u32 size;
	__u32 flags;
	__u64 nonce;
	__u32 hub;
	__u32 step_na;
	__u64 reserved;
	struct oni_stim_verdict verdict;
};

/**
 * struct oni_stim_load - a program (ONI_STIM_IOC_CHECK, _LOAD)
 * @size: sizeof(struct oni_stim_load)
 * @flags: zero
 * @nonce: of the session; CHECK: ignored
 * @program: user pointer to a struct oni_stim_program
 * @rows: user pointer to the delta tables, one after the other
 * @nrows: of both tables
 * @hub: of the headstage
 * @reserved: zero
 * @hash: out: SHA-256 over the program and its rows as they were given
 * @verdict: out
 *
 * CHECK: is it inside the ceilings? Touches no hardware, needs no session.
 * LOAD: check, write, read back what can be read. The trigger is not armed.
 */
struct oni_stim_load {
	__u32 size;
	__u32 flags;
	__u64 nonce;
	__aligned_u64 program;
	__aligned_u64 rows;
	__u32 nrows;
	__u32 hub;
	__u64 reserved;
	__u8 hash[ONI_STIM_HASH_BYTES];
	struct oni_stim_verdict verdict;
};

/**
 * struct oni_stim_arm - allow trains (ONI_STIM_IOC_ARM)
 * @size: sizeof(struct oni_stim_arm)
 * @flags: zero
 * @nonce: of the session
 * @hash: of the program that is meant
 * @ttl_ms: ends by itself after this, 1 ... ONI_STIM_TTL_MAX_MS
 * @reserved: zero
 * @verdict: out
 *
 * The acquisition must run. The first train comes ONI_STIM_ARM_DELAY_MS later at
 * the earliest. The watchdog of the program runs from now on.
 */
struct oni_stim_arm {
	__u32 size;
	__u32 flags;
	__u64 nonce;
	__u8 hash[ONI_STIM_HASH_BYTES];
	__u32 ttl_ms;
	__u32 reserved[3];
	struct oni_stim_verdict verdict;
};

/**
 * struct oni_stim_kick - sign of life (ONI_STIM_IOC_KICK)
 * @size: sizeof(struct oni_stim_kick)
 * @flags: zero
 * @nonce: of the session
 * @position: in the ring, up to which the data have been looked at
 * @generation: oni_ring_producer.generation that it belongs to
 * @reserved: zero
 * @verdict: out
 *
 * @position has to be larger than in the kick before, not beyond the head, and in
 * a block that is younger than the watchdog: who does not see the data go on cannot
 * keep it from ending. ONI_STIM_STALE_KICK otherwise, and nothing is prolonged.
 */
struct oni_stim_kick {
	__u32 size;
	__u32 flags;
	__u64 nonce;
	__u64 position;
	__u32 generation;
	__u32 reserved[3];
	struct oni_stim_verdict verdict;
};

/**
 * struct oni_stim_call - one train, or an end (_FIRE, _DISARM, _RELEASE, _ACK_FAULT)
 * @size: sizeof(struct oni_stim_call)
 * @flags: zero
 * @nonce: of the session; ACK_FAULT: ignored
 * @reserved: zero
 * @verdict: out
 *
 * FIRE: one train, now. ONI_STIM_TOO_SOON: before the last has ended, or rate or
 *	duty would be exceeded over both.
 * DISARM: to LOADED; a train that is under way is cut off.
 * RELEASE: end the session.
 * ACK_FAULT: needs no session. Writes the safe state; EIO if that is not acknowledged.
 */
struct oni_stim_call {
	__u32 size;
	__u32 flags;
	__u64 nonce;
	__u64 reserved[2];
	struct oni_stim_verdict verdict;
};

/* --- events ---------------------------------------------------------------- */

/* oni_stim_events.flags */
#define ONI_STIM_EVENTS_AUDIT	0x1U	/* needs CAP_AUDIT_WRITE; one at a time: EBUSY */

/**
 * struct oni_stim_events - a file of events (ONI_IOC_STIM_EVENTS)
 * @size: sizeof(struct oni_stim_events)
 * @flags: ONI_STIM_EVENTS_AUDIT or 0
 * @fd: out: O_CLOEXEC, for reading
 * @reserved: zero
 *
 * Every read(2) gives whole struct oni_stim_event, those from now on. The last
 * ONI_STIM_EVENTS_MAX are kept: who is slower sees a gap in @seq. With
 * ONI_STIM_EVENTS_AUDIT the holder is the one who keeps the log: when it has
 * read none for so long that it is half of that behind, or closes, and the policy
 * wants a log, what is armed ends and nothing can be armed. EAGAIN, EINTR, poll(2)
 * as usual; ENODEV when the controller is gone and all was read.
 */
struct oni_stim_events {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 reserved[5];
};

#define ONI_STIM_EVENTS_MAX	1024

/* oni_stim_event.what */
#define ONI_STIM_EV_PROBE	1U	/* @arg: 1 if the safe state was acknowledged */
#define ONI_STIM_EV_POLICY	2U	/* @hash: of the ceilings in force */
#define ONI_STIM_EV_LOWER	3U	/* likewise */
#define ONI_STIM_EV_CLAIM	4U
#define ONI_STIM_EV_LOAD	5U	/* @hash: of the program; @arg: its length, ns */
#define ONI_STIM_EV_ARM		6U	/* @arg: ttl, ms */
#define ONI_STIM_EV_FIRE	7U	/* @arg: number of the train */
#define ONI_STIM_EV_DELIVERED	8U	/* @clock: of the report; @arg: its code */
#define ONI_STIM_EV_DISARM	9U	/* @because */
#define ONI_STIM_EV_END		10U	/* of the session; @because */
#define ONI_STIM_EV_FAULT	11U	/* @because */
#define ONI_STIM_EV_ACK		12U
/*
 * @verdict; @arg: ioctl number; @clock: refusals so far. More than 32 a second are not
 * told, but counted.
 */
#define ONI_STIM_EV_REFUSED	13U
#define ONI_STIM_EV_STEP	14U	/* @arg: nA */
/*
 * A raw write on /dev/oniN was refused; @arg: address << 32 | register, all ones of a
 * write frame; @clock: as above.
 */
#define ONI_STIM_EV_GUARDED	15U
#define ONI_STIM_EV_REMOVE	16U
/*
 * A headstage that did not confirm a stop, and whose link is lost, was switched off;
 * @arg: address of its port
 */
#define ONI_STIM_EV_UNPOWER	17U

/**
 * struct oni_stim_event - something that happened
 * @size: sizeof(struct oni_stim_event) of the kernel
 * @what: ONI_STIM_EV_*
 * @seq: counts up by one from 1 for a controller
 * @boot_ns: CLOCK_BOOTTIME
 * @real_ns: CLOCK_REALTIME
 * @clock: acquisition clock, or 0: not known; of a refusal see there
 * @position: of the head of the ring, or of the report in it
 * @generation: of the acquisition, 0: none
 * @hub: of the headstage
 * @session: number of the session, 0: none; not its nonce
 * @arg: see above
 * @loginuid: of who caused it, (__u32)-1: nobody logged in
 * @uid: effective
 * @tgid: process id as the initial namespace has it; 0: the kernel itself
 * @because: ONI_STIM_BECAUSE_*
 * @comm: of the process, NUL terminated
 * @hash: see above; of the program that is loaded otherwise
 * @verdict: of a refusal
 */
struct oni_stim_event {
	__u32 size;
	__u32 what;
	__u64 seq;
	__u64 boot_ns;
	__u64 real_ns;
	__u64 clock;
	__u64 position;
	__u32 generation;
	__u32 hub;
	__u64 session;
	__u64 arg;
	__u32 loginuid;
	__u32 uid;
	__u32 tgid;
	__u32 because;
	char comm[16];
	__u8 hash[ONI_STIM_HASH_BYTES];
	struct oni_stim_verdict verdict;
};

#endif /* _UAPI_LINUX_ONI_STIM_H */
