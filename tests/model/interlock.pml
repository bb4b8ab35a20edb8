/* SPDX-License-Identifier: MIT */
/*
 * Model of the stimulation interlock, as driver/include/uapi/linux/oni_stim.h states it, with the hardware and the world around it.
 *
 * Every state that processes, kernel, headstage and environment can reach together is visited, and the invariants hold in all of them.
 * Each thing that the kernel does for them is a guard below, and can be taken away with -DGUARD=0: then an invariant must fail
 * (mutations.toml). -DWATCH=N looks at one invariant only. tests/model/check does all that.
 *
 * What is atomic here: what the interlock does under its lock, with the writes in it. Between two such steps everybody else can act, and in
 * the middle of a FIRE the hardware and the environment can. A register write is acknowledged and took effect, or is not acknowledged and
 * did or did not. Time is a tick: W of them is the watchdog, TTL the time to live, one the delay after ARM and the rest after a train.
 *
 * What is not in here: what a program does to tissue (that is oni_stim_check), more than one headstage, two processes in one call.
 */

/* --- guards: 1, or -D to 0 ---------------------------------------------------------------------------- */

#ifndef OWNER		/* calls of a process that has not claimed are refused */
#define OWNER 1
#endif
#ifndef EXEC		/* and those of the program that came after an exec */
#define EXEC 1
#endif
#ifndef NONCE		/* and those that name another session */
#define NONCE 1
#endif
#ifndef BUSY		/* a session is not taken away by a claim */
#define BUSY 1
#endif
#ifndef STATE		/* FIRE is for what is armed */
#define STATE 1
#endif
#ifndef POLICY		/* no claim without a policy */
#define POLICY 1
#endif
#ifndef NOT_SAFE	/* no claim before the safe state was acknowledged */
#define NOT_SAFE 1
#endif
#ifndef CHECK		/* a program outside the ceilings is refused */
#define CHECK 1
#endif
#ifndef RECHECK		/* ceilings may have come down between LOAD and ARM */
#define RECHECK 1
#endif
#ifndef RAISE		/* ceilings do not go up */
#define RAISE 1
#endif
#ifndef STEP		/* no LOAD while the amplitude step is not certain */
#define STEP 1
#endif
#ifndef STEP_UNLOADS	/* a new step unloads what was made for the old one */
#define STEP_UNLOADS 1
#endif
#ifndef READ_BACK	/* what was written is read again */
#define READ_BACK 1
#endif
#ifndef DISARM_FIRST	/* LOAD switches the trigger off before it writes a table */
#define DISARM_FIRST 1
#endif
#ifndef STEP_READ	/* and so is the step, which a reset of the headstage takes back */
#define STEP_READ 1
#endif
#ifndef LOAD_STATE	/* LOAD and STEP are not for what is armed */
#define LOAD_STATE 1
#endif
#ifndef HASH		/* ARM names the program that is meant */
#define HASH 1
#endif
#ifndef DELAY		/* the first train comes a while after ARM */
#define DELAY 1
#endif
#ifndef SPACE		/* no train before the last one is over and the policy's distance kept */
#define SPACE 1
#endif
#ifndef WINDOW		/* the trigger input is open for a FIRE only, unless signals from outside are allowed */
#define WINDOW 1
#endif
#ifndef FLUSH		/* close of any copy by the owner's process ends its session; so does its exit */
#define FLUSH 1
#endif
#ifndef RELEASE		/* and so does the last close of the file */
#define RELEASE 1
#endif
#ifndef WATCHDOG	/* an owner that is silent is dead */
#define WATCHDOG 1
#endif
#ifndef NEWER		/* a kick names a later position than the last */
#define NEWER 1
#endif
#ifndef YOUNG		/* one that is younger than the watchdog */
#define YOUNG 1
#endif
#ifndef BEYOND		/* and one that there is */
#define BEYOND 1
#endif
#ifndef TTL_ENDS	/* time to live */
#define TTL_ENDS 1
#endif
#ifndef ACQ_ARM		/* no ARM without data */
#define ACQ_ARM 1
#endif
#ifndef ACQ_ENDS	/* acquisition stopped, or its data held back */
#define ACQ_ENDS 1
#endif
#ifndef PERMIT_ARM	/* no ARM with the key off, or without the log that the policy wants */
#define PERMIT_ARM 1
#endif
#ifndef PERMIT_ENDS	/* the key is turned, the one who keeps the log is gone */
#define PERMIT_ENDS 1
#endif
#ifndef RAW		/* the guard of /dev/oniN */
#define RAW 1
#endif
#ifndef CONFIRM		/* a stop that was not acknowledged is a fault */
#define CONFIRM 1
#endif
#ifndef STOP_WRITES	/* a stop reaches the hardware */
#define STOP_WRITES 1
#endif
#ifndef SURPLUS		/* a report of a train that nobody commanded is a fault */
#define SURPLUS 1
#endif
#ifndef DELIVERY	/* and so is the lack of a report */
#define DELIVERY 1
#endif
#ifndef LINK		/* loss of the link ends everything */
#define LINK 1
#endif
#ifndef HUB_RESET	/* a hub that was reset is found out, and written */
#define HUB_RESET 1
#endif
#ifndef LINK_UP		/* safe state when the link comes back */
#define LINK_UP 1
#endif
#ifndef PROBE		/* when the driver is bound */
#define PROBE 1
#endif
#ifndef REMOVE		/* before it goes */
#define REMOVE 1
#endif
#ifndef RESET_ENDS	/* after a reset of the controller */
#define RESET_ENDS 1
#endif
#ifndef SUSPEND		/* before suspend */
#define SUSPEND 1
#endif
#ifndef RESUME		/* after it */
#define RESUME 1
#endif
#ifndef LATCH		/* the end of the owner does not end a fault */
#define LATCH 1
#endif
#ifndef PROOF		/* ACK_FAULT needs an acknowledged safe state */
#define PROOF 1
#endif
#ifndef LINE		/* the inhibit line, where there is one, is asserted on every stop */
#define LINE 1
#endif

/* 1: what happens while no software can reach the hardware counts like everything else. */
#ifndef ABSOLUTE
#define ABSOLUTE 0
#endif
/* Boards: 0 without an inhibit line, 1 with one, 2 both. Policies: signals from outside 0 refused, 1 allowed, 2 both. */
#ifndef BOARDS
#define BOARDS 2
#endif
#ifndef OUTSIDE
#define OUTSIDE 2
#endif
#ifndef WATCH
#define WATCH 0
#endif

#define W	1
#define TTL	3	/* more than 2 * W, or it would hide the watchdog */

/* --- invariants. The names are what pan prints. ---------------------------------------------------------- */

#define HOLDS(n, name, what) assert(name || (WATCH && WATCH != n) || (what))

hidden byte I1_output_starts_only_while_armed, I2_armed_has_a_living_owner, I3_only_what_ARM_named_within_the_ceilings,
	I4_only_checked_programs_reach_the_hardware, I5_fault_is_left_only_by_ACK, I6_armed_needs_data_key_and_log, I7_nothing_starts_in_sleep,
	I8_only_the_session_loads_arms_kicks_fires, I9_silence_and_time_to_live_are_bounded, I10_trigger_is_off_when_not_armed,
	I11_ACK_only_with_the_output_off, I12_trigger_is_open_only_for_a_FIRE, I13_reports_match_commands, I14_ceilings_only_go_down,
	I15_delay_and_distance_are_kept, I16_a_stop_that_succeeds_has_stopped, I17_a_dead_kernel_starts_nothing_new, I18_inhibit_line_when_not_armed, I19_loss_of_the_link_is_a_fault;

/* --- state ---------------------------------------------------------------------------------------------------- */

#define SAFE	0
#define CLAIMED	1
#define LOADED	2
#define ARMED	3
#define FAULT	4

#define NONE	0	/* programs; 1 and 2 are checked ones, 2 needs the higher ceiling */
#define WRONG	3

/* The kernel. */
byte state = SAFE;
byte owner;		/* process 1 or 2 */
bit policy;
byte ceiling = 2;
byte loaded;		/* the program that was checked */
bit confirmed;		/* the safe state was acknowledged */
bit step_sure = 1;
bit link_seen = 1;
bit written;		/* what is loaded is in the hardware, or a part of it */
bit firing;		/* from FIRE to the end of its train, as the kernel reckons */
bit lock;		/* in the middle of a FIRE */
bit due;		/* a FIRE without its report */
bit late;		/* since the last tick */
byte silent;		/* ticks since the last kick that counted */
byte age;		/* ticks since ARM */
bit rest;		/* the tick after a train is not over */
bit gone;		/* no driver is bound */
bit asleep;
bit dead;		/* panic, lockup */

/* The owner and others. */
bit same = 1;		/* still the program that claimed */
bit left;		/* has closed, exited or died */
bit shared;		/* another process holds the file, too */
byte backlog;		/* positions seen and not used for a kick */
bit permit = 1;		/* the key is on, the log is kept: two things that act alike */
bit data;		/* an acquisition runs, and its data are taken */

/* The hardware: power-on values are armed. */
bit link = 1;
bit trigger = 1;
byte prog = NONE;
bit runs;
bit inhibit;
byte report;		/* in the data: 1 of a trigger by register, 2 from outside */
bit hub_reset;		/* that the kernel had no occasion to see yet */
bit other_step;		/* the one of power-on, not the one that the kernel takes for certain */

/* Of the installation. */
bit has_line, outside;

/* Only for the invariants. */
byte blind;		/* ticks since the owner's program saw data */
byte meant;		/* named by ARM */
bit excuse;		/* the trigger was armed by right when the hardware got out of reach */

#define EXCUSED	(!ABSOLUTE && excuse && !has_line)

/* --- hardware ----------------------------------------------------------------------------------------------------- */

/* A train begins. @from: as of report. */
inline starts(from)
{
	HOLDS(1, I1_output_starts_only_while_armed, (state == ARMED && !gone) || EXCUSED);
	HOLDS(2, I2_armed_has_a_living_owner, state != ARMED || (owner && !left && policy));
	HOLDS(3, I3_only_what_ARM_named_within_the_ceilings, state != ARMED || prog == meant);
	HOLDS(4, I4_only_checked_programs_reach_the_hardware, prog != WRONG);
	HOLDS(6, I6_armed_needs_data_key_and_log, state != ARMED || dead || (permit && data));
	HOLDS(7, I7_nothing_starts_in_sleep, !asleep || EXCUSED);
	HOLDS(15, I15_delay_and_distance_are_kept, state != ARMED || dead || age >= 1);
	HOLDS(17, I17_a_dead_kernel_starts_nothing_new, !dead || outside || lock || EXCUSED);
	runs = 1;
	if
	:: data && link && !gone && !asleep && !dead -> report = from
	:: else
	fi
}

/* Writes of the safe state. Whether they were acknowledged: confirmed. */
inline write_safe()
{
	if
	:: has_line && LINE -> inhibit = 1; runs = 0
	:: else
	fi;
	if
	:: link && !gone -> trigger = 0; prog = NONE; runs = 0; excuse = 0; confirmed = 1; link_seen = 1
	:: link && !gone -> trigger = 0; prog = NONE; runs = 0; excuse = 0; confirmed = 0
	:: excuse = excuse | trigger; confirmed = 0
	fi
}

/* --- what the interlock does ---------------------------------------------------------------------------------------- */

/* What ARM has begun. */
inline disarm()
{
	firing = 0; due = 0; late = 0; silent = 0; age = 0; backlog = 0; blind = 0; meant = NONE; report = 0
}

inline forget()
{
	disarm(); loaded = NONE; written = 0
}

inline nobody()
{
	owner = 0; same = 1; left = 0; shared = 0
}

/* What is loaded or armed ends; the session goes on. */
inline stopped()
{
	write_safe();
	forget();
	if
	:: !confirmed && CONFIRM -> state = FAULT
	:: else ->
		if
		:: state == LOADED || state == ARMED -> state = CLAIMED
		:: else
		fi
	fi
}

/* ARMED to LOADED. */
inline disarmed()
{
	write_safe();
	disarm();
	written = 0;
	if
	:: !confirmed && CONFIRM -> forget(); state = FAULT
	:: else -> state = LOADED
	fi
}

inline fault()
{
	write_safe();
	forget();
	state = FAULT
}

inline session_ends()
{
	write_safe();
	forget();
	if
	:: state == FAULT && LATCH
	:: else ->
		HOLDS(5, I5_fault_is_left_only_by_ACK, state != FAULT);
		state = (confirmed || !CONFIRM -> SAFE : FAULT)
	fi;
	nobody()
}

/* A checked program goes into the hardware. ok: it was read back, or nobody looked. */
inline write_program(x, ok)
{
	if
	:: DISARM_FIRST -> trigger = 0
	:: else
	fi;
	if
	:: !link -> fault(); ok = 0
	:: link && other_step && STEP_READ -> fault(); step_sure = 0; ok = 0
	:: link && READ_BACK -> stopped(); ok = 0		/* it was not taken as written */
	:: link && !READ_BACK -> prog = WRONG; ok = 1
	:: link && !(other_step && STEP_READ) -> prog = (step_sure && !other_step -> x : WRONG); ok = 1
	fi;
	HOLDS(4, I4_only_checked_programs_reach_the_hardware, prog != WRONG)
}

/* A call counts for the session that it names only, from the program that claimed. */
#define FREE	(!lock && !gone && !asleep && !dead)
#define MAY(n)	(FREE && owner && (p == owner || !OWNER) && (same || p != owner || !EXEC) && (n || !NONCE) && !(p == owner && left))
#define LOADABLE	(state <= LOADED || (!LOAD_STATE && state == ARMED))
#define RIGHTFUL(n) HOLDS(8, I8_only_the_session_loads_arms_kicks_fires, p == owner && same && n)

inline load(x, n)
{
	RIGHTFUL(n);
	write_program(x, ok);
	if
	:: ok ->
		loaded = x; written = 1;
		state = (state == ARMED -> ARMED : LOADED)
	:: else
	fi;
	ok = 0
}

inline arm(x, n)
{
	RIGHTFUL(n);
	if
	:: !written -> write_program(loaded, ok)
	:: else -> ok = 1
	fi;
	if
	:: ok ->
		state = ARMED; written = 1; inhibit = 0; meant = x;
		silent = 0; age = 0; backlog = 0; blind = 0; late = 0;
		trigger = (outside && !DELAY && link -> 1 : trigger);
		HOLDS(3, I3_only_what_ARM_named_within_the_ceilings, loaded <= ceiling && loaded == x)
	:: else
	fi;
	ok = 0
}

/* First half: the trigger input is opened. */
inline fire(n)
{
	RIGHTFUL(n);
	HOLDS(15, I15_delay_and_distance_are_kept, !firing && !rest);
	if
	:: link -> trigger = 1; firing = 1; lock = 1
	:: fault()
	fi
}

inline kick(n)
{
	RIGHTFUL(n);
	silent = 0
}

proctype process(byte p)
{
	bit ok;
end:
	do
	/* Process 1 claims; 2 is any other: child, receiver of the file, second claimer. */
	:: atomic { p == 1 && FREE && state == SAFE && !owner && (policy || !POLICY) && (confirmed || !NOT_SAFE) ->
		HOLDS(2, I2_armed_has_a_living_owner, policy);
		owner = p; state = CLAIMED		/* must be reached */
	   }
	:: atomic { !BUSY && FREE && owner && owner != p && state != FAULT ->
		HOLDS(8, I8_only_the_session_loads_arms_kicks_fires, false);
		owner = p; same = 1; left = 0
	   }
	:: atomic { MAY(1) && state >= CLAIMED && LOADABLE && (ceiling >= 1 || !CHECK) && (step_sure || !STEP) ->
		load(1, 1);
		skip					/* must be reached */
	   }
	:: atomic { MAY(1) && state >= CLAIMED && LOADABLE && (ceiling >= 2 || !CHECK) && (step_sure || !STEP) ->
		load(2, 1);
		skip					/* must be reached */
	   }
	:: atomic { !CHECK && MAY(1) && state >= CLAIMED && LOADABLE -> load(WRONG, 1) }
	:: atomic { !NONCE && MAY(0) && state >= CLAIMED && LOADABLE && step_sure -> load(1, 0) }
	:: atomic { MAY(1) && state == LOADED && (loaded == 1 || !HASH) && (loaded <= ceiling || !RECHECK) && (permit || !PERMIT_ARM) &&
		    (data || !ACQ_ARM) ->
		arm(1, 1);
		skip					/* must be reached */
	   }
	:: atomic { MAY(1) && state == LOADED && (loaded == 2 || !HASH) && (loaded <= ceiling || !RECHECK) && (permit || !PERMIT_ARM) &&
		    (data || !ACQ_ARM) ->
		arm(2, 1);
		skip					/* must be reached */
	   }
	:: atomic { !NONCE && MAY(0) && state == LOADED && permit && data -> arm(loaded, 0) }
	:: atomic { MAY(1) && (state == ARMED || (!STATE && state == LOADED)) && (age >= 1 || !DELAY || !STATE) &&
		    ((!firing && !rest) || !SPACE) ->
		fire(1);
		skip					/* must be reached */
	   }
	:: atomic { !NONCE && MAY(0) && state == ARMED && age >= 1 && !firing && !rest -> fire(0) }
	/* A position that was seen; one that was named before; one that nobody has. */
	:: atomic { MAY(1) && state == ARMED && (blind <= W || !YOUNG) && backlog > 0 -> backlog--; kick(1)	/* must be reached */ }
	:: atomic { !NEWER && MAY(1) && state == ARMED && (blind <= W || !YOUNG) && backlog == 0 -> kick(1) }
	:: atomic { !BEYOND && MAY(1) && state == ARMED -> kick(1) }
	:: atomic { !NONCE && MAY(0) && state == ARMED -> kick(0) }
	:: atomic { MAY(1) && state == ARMED ->
		disarmed();
		skip					/* must be reached */
	   }
	:: atomic { MAY(1) && state >= CLAIMED && state <= ARMED ->
		session_ends();
		skip					/* must be reached */
	   }
	:: atomic { MAY(1) && state >= CLAIMED && LOADABLE && link ->	/* STEP */
		if
		:: STEP_UNLOADS -> stopped()
		:: else
		fi;
		step_sure = 0; other_step = 0		/* must be reached */
	   }
	:: atomic { MAY(1) && state <= ARMED && ceiling == 2 -> ceiling = 1	/* must be reached */ }
	:: atomic { !RAISE && FREE && ceiling == 1 ->
		HOLDS(14, I14_ceilings_only_go_down, false);
		ceiling = 2
	   }

	/* Needs no session. */
	:: atomic { p == 2 && FREE && !owner && !policy -> policy = 1			/* must be reached */ }
	:: atomic { p == 2 && FREE ->	/* stop node; what is off and confirmed is not written again */
		if
		:: (state == LOADED || state == ARMED) && STOP_WRITES ->
			stopped();
			skip					/* must be reached */
		:: (state == LOADED || state == ARMED) && !STOP_WRITES -> forget(); state = CLAIMED
		:: state != LOADED && state != ARMED && !confirmed ->
			write_safe();
			skip					/* must be reached */
		:: else
		fi;
		HOLDS(16, I16_a_stop_that_succeeds_has_stopped, !confirmed || hub_reset || (!trigger && !runs))
	   }
	:: atomic { p == 2 && FREE && state == FAULT ->	/* ACK_FAULT */
		write_safe();
		if
		:: confirmed || !PROOF ->
			HOLDS(11, I11_ACK_only_with_the_output_off, !trigger && !runs);
			forget(); nobody();
			state = SAFE			/* must be reached */
		:: else
		fi
	   }
	:: atomic { p == 2 && !RAW && FREE && link ->
		trigger = 1; prog = WRONG;
		HOLDS(4, I4_only_checked_programs_reach_the_hardware, false)
	   }
	:: atomic { p == 2 && FREE ->	/* reset of the controller, by whoever records */
		if
		:: RESET_ENDS -> stopped(); other_step = 0
		:: else -> prog = (prog -> WRONG : NONE)	/* whatever a step or a table become by it */
		fi;
		if
		:: confirmed -> step_sure = 1; other_step = 0; hub_reset = 0	/* must be reached */
		:: else
		fi;
		HOLDS(4, I4_only_checked_programs_reach_the_hardware, prog != WRONG)
	   }

	/* The owner's fate. */
	:: atomic { p == owner && p == 1 && !asleep && !dead && !lock && !left && data && link && backlog < 2 && state == ARMED ->
		backlog++; blind = 0			/* must be reached */
	   }
	:: atomic { p == owner && !asleep && !dead && !left && !shared -> shared = 1	/* must be reached */ }
	:: atomic { p == owner && FREE && !left ->	/* close, exit, death, exec with O_CLOEXEC */
		if
		:: FLUSH || (RELEASE && !shared) ->
			session_ends();
			skip					/* must be reached */
		:: else -> left = 1
		fi
	   }
	:: atomic { p == owner && FREE && !left && same -> same = 0	/* exec without; must be reached */ }
	od
}

/* What the kernel does by itself. */
proctype kernel()
{
end:
	do
	:: atomic { lock && !dead ->	/* second half of a FIRE: triggered, and closed again */
		due = 1; late = 0; rest = 1;
		if
		:: link && trigger && prog && !inhibit && !runs && !report -> starts(1)	/* must be reached */
		:: else
		fi;
		lock = 0;
		if
		:: outside || !WINDOW -> skip			/* must be reached */
		:: !outside && WINDOW && link -> trigger = 0	/* must be reached */
		:: fault()
		fi
	   }
	:: atomic { FREE && firing && !runs -> firing = 0	/* the train is over */ }
	:: atomic { FREE && report ->
		if
		:: report == 1 && due -> due = 0; late = 0; report = 0	/* must be reached */
		:: report == 2 && outside -> report = 0			/* must be reached */
		:: else ->
			report = 0;
			if
			:: SURPLUS ->
				fault();
				skip					/* must be reached */
			:: else
			fi;
			HOLDS(13, I13_reports_match_commands, state == FAULT)
		fi
	   }
	:: atomic { FREE && !report && (state == ARMED || rest) ->	/* a tick */
		rest = firing;
		if
		:: state == ARMED ->
			silent = (silent < 3 -> silent + 1 : 3);
			age = (age <= TTL -> age + 1 : age);
			blind = (blind < 3 -> blind + 1 : 3);
			if
			:: WATCHDOG && silent > W ->
				fault();
				skip					/* must be reached */
			:: !(WATCHDOG && silent > W) && DELIVERY && due && late ->
				fault();
				skip					/* must be reached */
			:: !(WATCHDOG && silent > W) && !(DELIVERY && due && late) && TTL_ENDS && age > TTL ->
				disarmed();
				skip					/* must be reached */
			:: else ->
				HOLDS(13, I13_reports_match_commands, !(due && late));
				late = due;
				if
				:: outside && age == 1 && link -> trigger = 1	/* must be reached */
				:: else
				fi
			fi;
			HOLDS(9, I9_silence_and_time_to_live_are_bounded, state != ARMED || (blind <= 2 * W && age <= TTL))
		:: else
		fi
	   }
	:: atomic { FREE && !link && link_seen ->
		link_seen = 0;
		if
		:: LINK ->
			fault();
			skip					/* must be reached */
		:: else
		fi
	   }
	:: atomic { FREE && link && !link_seen ->
		link_seen = 1; excuse = 0;
		if
		:: LINK_UP ->
			write_safe();
			skip					/* must be reached */
		:: else
		fi
	   }
	:: atomic { FREE && link && hub_reset ->
		hub_reset = 0;
		if
		:: HUB_RESET ->
			fault();
			skip					/* must be reached */
		:: else
		fi
	   }
	:: atomic { FREE && !asleep ->
		if
		:: SUSPEND && owner -> session_ends()
		:: else
		fi;
		asleep = 1; report = 0					/* must be reached */
	   }
	:: atomic { asleep && !dead ->
		asleep = 0;
		excuse = 0;
		hub_reset = 0;
		if
		:: RESUME ->
			write_safe();
			state = (!confirmed && state != SAFE -> FAULT : state)	/* must be reached */
		:: else
		fi
	   }
	:: atomic { FREE ->	/* unbind, shutdown; or the cable, which leaves no time */
		if
		:: REMOVE -> write_safe()
		:: !REMOVE && has_line && LINE -> inhibit = 1; runs = 0
		:: else
		fi;
		forget(); nobody();
		state = SAFE; policy = 0; ceiling = 2; confirmed = 0; rest = 0;
		gone = 1						/* must be reached */
	   }
	:: atomic { gone && !dead ->
		gone = 0; link_seen = 1; excuse = 0; hub_reset = 0; step_sure = 1; other_step = 0;
		if
		:: PROBE ->
			write_safe();
			skip					/* must be reached */
		:: else -> confirmed = 1
		fi
	   }
	od
}

proctype world()
{
end:
	do
	:: atomic { trigger && prog && !inhibit && !runs && !report -> starts(2)	/* TTL; must be reached */ }
	:: atomic { FREE && state == ARMED && link && prog && !inhibit && !runs && !report && !due && data && age >= 1 ->
		runs = 1; report = 1					/* gateware that starts by itself */
	   }
	:: atomic { runs -> runs = 0 }
	:: atomic { link -> link = 0; report = 0 }
	:: atomic { !link -> link = 1 }
	:: atomic { !lock -> trigger = 1; prog = NONE; runs = 0; hub_reset = 1 }	/* power-on reset of the headstage */
	:: atomic { !lock -> trigger = 1; prog = NONE; runs = 0; hub_reset = 1; other_step = 1 }
	:: atomic { FREE && permit ->
		permit = 0;
		if
		:: PERMIT_ENDS && state == ARMED -> disarmed()
		:: else
		fi
	   }
	:: atomic { FREE && !permit -> permit = 1 }
	:: atomic { FREE && data ->
		data = 0;
		if
		:: ACQ_ENDS && state == ARMED -> disarmed()
		:: else
		fi
	   }
	:: atomic { FREE && !data -> data = 1 }
	:: atomic { !dead && state == ARMED ->	/* panic, lockup: what the kernel knows does not matter any more */
		dead = 1; due = 0; late = 0; silent = 0; age = 0; backlog = 0; blind = 0; report = 0; rest = 0; firing = 0;
		shared = 0; same = 1; permit = 1; data = 1; ceiling = 2; loaded = NONE; step_sure = 1; other_step = 0
	   }
	od
}

/* What holds between any two steps. */
active proctype monitor()
{
end:
	do
	:: atomic { !(state != ARMED || gone || left == 0) -> HOLDS(2, I2_armed_has_a_living_owner, false) }
	:: atomic { trigger && !hub_reset && !gone && !asleep && !lock &&
		    (state == CLAIMED || state == LOADED || (state == SAFE && confirmed)) ->
		HOLDS(10, I10_trigger_is_off_when_not_armed, false) }
	:: atomic { trigger && !hub_reset && !outside && state == ARMED && !lock ->
		HOLDS(12, I12_trigger_is_open_only_for_a_FIRE, false) }
	:: atomic { state == ARMED && !asleep && !dead && !(permit && data) ->
		HOLDS(6, I6_armed_needs_data_key_and_log, false) }
	:: atomic { has_line && !inhibit && state != ARMED ->
		HOLDS(18, I18_inhibit_line_when_not_armed, false) }
	:: atomic { state == ARMED && !link_seen && !dead ->
		HOLDS(19, I19_loss_of_the_link_is_a_fault, false) }
	od
}

init
{
	atomic {
		if
		:: BOARDS != 1 -> has_line = 0
		:: BOARDS != 0 -> has_line = 1
		fi;
		if
		:: OUTSIDE != 1 -> outside = 0
		:: OUTSIDE != 0 -> outside = 1
		fi;
		if
		:: PROBE -> write_safe()
		:: else -> confirmed = 1
		fi;
		run process(1);
		run process(2);
		run kernel();
		run world()
	}
}
