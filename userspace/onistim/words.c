// SPDX-License-Identifier: MIT
/* words.c - see words.h. */
#include "words.h"

#include <stdio.h>
#include <string.h>

#include "decimal.h"
#include "policy.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

const char *words_limit(uint32_t limit)
{
	const struct policy_key *k = policy_key(limit);

	if (limit == ONI_STIM_EXTERNAL)
		return "start by a signal from outside";
	return k ? k->what : "limit that this program does not know";
}

/*
 * 10^(k + 4) as k: the largest k in thousandths that allows no more, so that what is
 * printed for a ceiling is what was written in the file.
 */
static void shannon_text(char *buf, uint64_t value)
{
	int low = -4000, high = 8001, mid;
	char text[DECIMAL_TEXT];

	if (!value) {
		snprintf(buf, WORDS_NUMBER, "none");
		return;
	}
	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (policy_shannon(mid) <= value)
			low = mid;
		else
			high = mid;
	}
	/* Between two thousandths: round up, as everything that is asked for. */
	if (policy_shannon(low) < value)
		low++;
	snprintf(buf, WORDS_NUMBER, "k = %s", decimal_signed(text, low, 3, false));
}

char *words_quantity(char *buf, uint32_t limit, uint64_t value)
{
	const struct policy_key *k = policy_key(limit);
	char text[DECIMAL_TEXT];

	if (limit == ONI_STIM_EXTERNAL)
		snprintf(buf, WORDS_NUMBER, "%s", value ? "yes" : "no");
	else if (value == UINT64_MAX)
		snprintf(buf, WORDS_NUMBER, "more than can be counted");
	else if (limit == ONI_STIM_SHANNON)
		shannon_text(buf, value);
	else if (k)
		snprintf(buf, WORDS_NUMBER, "%s %s", decimal_text(text, value, k->scale), k->unit);
	else
		snprintf(buf, WORDS_NUMBER, "%llu", (unsigned long long)value);
	return buf;
}

char *words_contact(char *buf, uint32_t contact)
{
	if (contact == ONI_STIM_NO_CONTACT)
		snprintf(buf, WORDS_NUMBER, "all contacts");
	else if (contact == ONI_STIM_RETURN)
		snprintf(buf, WORDS_NUMBER, "the return");
	else
		snprintf(buf, WORDS_NUMBER, "contact %u", contact);
	return buf;
}

static const struct {
	const char *key, *text;
} sources[] = {
	[ONI_STIM_BY_NOBODY] = { "nobody", "nobody, who would have to allow it" },
	[ONI_STIM_BY_HARDWARE] = { "hardware", "the hardware or the driver" },
	[ONI_STIM_BY_FIRMWARE] = { "firmware", "the firmware tables of this machine" },
	[ONI_STIM_BY_POLICY] = { "policy", "the policy" },
	[ONI_STIM_BY_RUNTIME] = { "runtime", "a program, at run time" },
};

const char *words_source(uint32_t source)
{
	return source < COUNT(sources) ? sources[source].text : "an unknown source";
}

const char *words_source_key(uint32_t source)
{
	return source < COUNT(sources) ? sources[source].key : "unknown";
}

const char *words_state(uint32_t state)
{
	static const char *const names[] = { "SAFE", "CLAIMED", "LOADED", "ARMED", "FAULT" };

	return state < COUNT(names) ? names[state] : "UNKNOWN";
}

const char *words_because(uint32_t because)
{
	static const char *const clauses[] = {
		[ONI_STIM_BECAUSE_NOTHING] = "nothing was ended yet",
		[ONI_STIM_BECAUSE_OWNER] = "its owner disarmed it",
		[ONI_STIM_BECAUSE_STOP] = "somebody wrote to the stop node",
		[ONI_STIM_BECAUSE_CLOSE] = "its owner closed the node, exited or died",
		[ONI_STIM_BECAUSE_EXEC] = "its owner started another program",
		[ONI_STIM_BECAUSE_TTL] = "its time to live was over",
		[ONI_STIM_BECAUSE_ACQUISITION] = "the acquisition stopped or its data stalled",
		[ONI_STIM_BECAUSE_RING_FULL] = "the program that records was too slow and the ring "
					       "was full",
		[ONI_STIM_BECAUSE_RESET] = "the controller was reset",
		[ONI_STIM_BECAUSE_SUSPEND] = "the machine was suspended",
		[ONI_STIM_BECAUSE_REMOVE] = "the driver was unbound, the controller unplugged or the "
					    "machine shut down",
		[ONI_STIM_BECAUSE_AUDIT] = "nobody keeps the audit log any more",
		[ONI_STIM_BECAUSE_KEY] = "the key was switched off",
		[ONI_STIM_BECAUSE_LOAD] = "another program was loaded",
		[ONI_STIM_BECAUSE_WATCHDOG] = "its owner was silent for longer than the watchdog "
					      "allows",
		[ONI_STIM_BECAUSE_LINK] = "the link to the controller or the headstage was lost",
		[ONI_STIM_BECAUSE_HUB_RESET] = "the headstage was reset and lost what was loaded",
		[ONI_STIM_BECAUSE_UNCOMMANDED] = "a trigger came that nobody had given",
		[ONI_STIM_BECAUSE_NO_DELIVERY] = "a train that was commanded did not start",
		[ONI_STIM_BECAUSE_UNCONFIRMED] = "the hardware did not acknowledge a stop",
		[ONI_STIM_BECAUSE_SEQUENCER] = "the sequencer of a chip reported an error",
		[ONI_STIM_BECAUSE_FLOOD] = "the program asked for trains far more often than it may",
	};

	if (because < COUNT(clauses) && clauses[because])
		return clauses[because];
	return "of a cause that this program does not know";
}

/* ---- verdicts -------------------------------------------------------------- */

/* Codes that are no bounds. %A and %L are what was asked and what is allowed, %W where. */
static const struct {
	uint32_t code;
	const char *key, *text;
} others[] = {
	{ ONI_STIM_OK, "ok", "nothing speaks against it" },
	{ ONI_STIM_BAD_POLICY, "bad-policy", "the policy has a form that this kernel does not take (field %W "
	  "is %A, %L would be right): tool and driver have to be of one version" },
	{ ONI_STIM_BAD_PROGRAM, "bad-program", "the program has a form that this kernel does not take (field %W "
	  "is %A, %L would be right): tool and driver have to be of one version" },
	{ ONI_STIM_UNKNOWN_CONTACT, "unknown-contact", "it is in no class of the policy: put it into one, or "
	  "leave it out of the stimulus" },
	{ ONI_STIM_NO_AREA, "no-area", "its class has no area, so that it must not be stimulated: give area_um2 "
	  "in the policy, or leave it out of the stimulus" },
	{ ONI_STIM_TOO_MANY_SLOTS, "too-many-slots", "the delta table of a chip has %A rows and %L fit: use fewer "
	  "pulses, or make channels change at the same time" },
	{ ONI_STIM_NOT_MONOTONIC, "not-monotonic", "the rows of a delta table must rise: row %W is at %A, %L is "
	  "the least" },
	{ ONI_STIM_TIME_RANGE, "time-range", "row %W is at period %A and %L is the last that a chip can count: "
	  "make the train shorter" },
	{ ONI_STIM_LEFT_ON, "left-on", "channels are still on after the last row (%W, enables %A)" },
	{ ONI_STIM_STEP_SIZE, "step-size", "the step of a chip is %A nA for this program, which is not the one in "
	  "force: a step takes effect at the next reset of the controller, so run with --acquire, or use "
	  "a stimulus with the step in force" },
	{ ONI_STIM_PARAMETER, "parameter", "register %W is %A, where %L is the limit" },
	{ ONI_STIM_UNEQUAL_ENDS, "unequal-ends", "the tables of two chips that a signal from outside starts end at "
	  "different times (%A and %L periods)" },
	{ ONI_STIM_NO_POLICY, "no-policy", "no policy was loaded, so this controller records only: root loads one "
	  "with 'onictl policy load FILE'" },
	{ ONI_STIM_RAISE, "raise", "a ceiling would go up, from %L to %A: ceilings only go down until the driver is "
	  "unbound and bound again" },
	{ ONI_STIM_NOT_OWNER, "not-owner", "this process has not claimed the stimulators, or its session is over" },
	{ ONI_STIM_NONCE, "nonce", "the session that was named is over: begin a new one" },
	{ ONI_STIM_STATE, "state", "the interlock is %G and would have to be %S: see 'onistim status'" },
	{ ONI_STIM_HASH, "hash", "another program is loaded than the one that was meant: load it again" },
	{ ONI_STIM_TTL, "ttl", "a time to live of %A ms is not possible: 1 to %L" },
	{ ONI_STIM_NO_DATA, "no-data", "no acquisition runs, or its data are held back: start a recording, or "
	  "use --acquire" },
	{ ONI_STIM_TOO_SOON, "too-soon", "it is %A ns after the arming or the train before, and %L is the least: "
	  "fire more slowly" },
	{ ONI_STIM_NO_STIMULATOR, "no-stimulator", "hub %A has no stimulator of that kind: power its port ('onictl "
	  "port') and see 'onictl devices'" },
	{ ONI_STIM_NOT_SAFE, "not-safe", "the safe state was not acknowledged by the hardware: see 'onistim "
	  "status' and the kernel log" },
	{ ONI_STIM_NO_AUDIT, "no-audit", "the policy wants an audit log and nobody keeps one: start the audit "
	  "service" },
	{ ONI_STIM_INHIBITED, "inhibited", "the key is off, or power management holds the stimulators back" },
	{ ONI_STIM_STALE_KICK, "stale-kick", "the sign of life was about data that are not new (position %A, %L "
	  "counts)" },
	{ ONI_STIM_LOST, "lost", "what was loaded is gone, by a reset or because it was unloaded: load it again" },
	{ ONI_STIM_FAULTED, "faulted", "there was a fault, because %B: find out why, then 'onistim ack'" },
	{ ONI_STIM_READ_BACK, "read-back", "register %W was written %A and reads %L: the hardware cannot be trusted" },
	{ ONI_STIM_BUSY, "busy", "another process has claimed the stimulators: 'onistim status' names it" },
};

const char *words_code(uint32_t code)
{
	const struct policy_key *k = policy_key(code);

	if (code == ONI_STIM_OK)
		return "ok";
	if (k)
		return k->key;
	if (code == ONI_STIM_EXTERNAL)
		return "external";
	for (size_t i = 0; i < COUNT(others); i++)
		if (others[i].code == code)
			return others[i].key;
	return "unknown";
}

/* Append; what does not fit is cut off. */
static void put(char *buf, size_t len, const char *text)
{
	size_t n = strlen(buf);

	snprintf(buf + n, len - n, "%s", text);
}

static void put_number(char *buf, size_t len, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	put(buf, len, text);
}

/* chip << 16 | row, or a plain number. */
static void put_where(char *buf, size_t len, const struct oni_stim_verdict *v)
{
	char text[40];

	if (v->code >= ONI_STIM_TOO_MANY_SLOTS && v->code <= ONI_STIM_LEFT_ON)
		snprintf(text, sizeof(text), "%u of chip %u", v->where & 0xffff, v->where >> 16);
	else
		snprintf(text, sizeof(text), "%u", v->where);
	put(buf, len, text);
}

static void fill_in(char *buf, size_t len, const char *text, const struct oni_stim_verdict *v)
{
	char one[2] = "";

	for (; *text; text++) {
		if (*text != '%') {
			*one = *text;
			put(buf, len, one);
			continue;
		}
		switch (*++text) {
		case 'A':
			put_number(buf, len, v->asked);
			break;
		case 'L':
			put_number(buf, len, v->allowed);
			break;
		case 'W':
			put_where(buf, len, v);
			break;
		case 'S':
			put(buf, len, words_state((uint32_t)v->asked));
			break;
		case 'G':
			put(buf, len, words_state((uint32_t)v->allowed));
			break;
		case 'B':
			put(buf, len, words_because(v->where));
			break;
		}
	}
}

/* "19.872 nC is asked for, 4 nC is allowed by the policy: 15.872 nC (397 %) too much" */
static void put_bound(char *buf, size_t len, const struct oni_stim_verdict *v)
{
	char asked[WORDS_NUMBER], allowed[WORDS_NUMBER], over[WORDS_NUMBER], text[400];
	uint64_t by = v->asked - v->allowed;

	if (v->code == ONI_STIM_EXTERNAL) {
		put(buf, len, "a signal from outside may not start a train here, says ");
		put(buf, len, words_source(v->source));
		put(buf, len, ": use 'sources = register' in the stimulus");
		return;
	}
	snprintf(text, sizeof(text), "%s: %s is asked for, %s is allowed by %s",
		 words_limit(v->code), words_quantity(asked, v->code, v->asked),
		 words_quantity(allowed, v->code, v->allowed), words_source(v->source));
	put(buf, len, text);
	if (v->asked == UINT64_MAX || v->asked < v->allowed)
		return;
	/* k is a logarithm: its difference would say little. */
	if (v->code == ONI_STIM_SHANNON)
		snprintf(text, sizeof(text), ": %llu %% too much in charge^2 / area",
			 (unsigned long long)(v->allowed ? by * 100.0 / v->allowed : 0));
	else if (v->allowed)
		snprintf(text, sizeof(text), ": %s (%.*f %%) too much",
			 words_quantity(over, v->code, by), by < v->allowed ? 1 : 0,
			 by * 100.0 / v->allowed);
	else
		snprintf(text, sizeof(text), ": %s too much", words_quantity(over, v->code, by));
	put(buf, len, text);
}

char *words_verdict(char *buf, size_t len, const struct oni_stim_verdict *v)
{
	char contact[WORDS_NUMBER];
	size_t i;

	*buf = '\0';
	if (v->code != ONI_STIM_OK && v->contact <= ONI_STIM_RETURN) {
		put(buf, len, words_contact(contact, v->contact));
		put(buf, len, ": ");
	}
	if (v->code && v->code < ONI_STIM_LIMITS) {
		put_bound(buf, len, v);
		return buf;
	}
	for (i = 0; i < COUNT(others) && others[i].code != v->code; i++)
		;
	if (i < COUNT(others))
		fill_in(buf, len, others[i].text, v);
	else
		fill_in(buf, len, "a reason that this program does not know (asked %A, allowed %L): use "
				  "one of the driver's version", v);
	return buf;
}
