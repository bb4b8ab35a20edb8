// SPDX-License-Identifier: MIT
/*
 * cmd_state.c - stop, status, ack: what needs no session. Stop needs no right at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node.h"
#include "onistim.h"
#include "words.h"

static void no_arguments(int argc, char **argv)
{
	while (next_option(argc, argv, "", NULL) != -1)
		;
	expect_args(argc, 0, 0);
}

/* ---- stop -------------------------------------------------------------------------- */
static int run_stop(int argc, char **argv)
{
	int fd, rc, error;
	ssize_t n;

	no_arguments(argc, argv);
	fd = open_node("stop", O_WRONLY, &rc);
	if (fd < 0)
		return rc;
	n = write(fd, "stop\n", 5);
	error = errno;
	close(fd);
	if (n != 5)
		return call_failed("stop", n < 0 ? error : EIO, NULL);
	if (settings.json)
		return print_json(json_pack("{s:b}", "stopped", 1));
	printf("stopped, and the hardware has acknowledged\n");
	return finish_output();
}

const struct command cmd_stop = {
	.name = "stop",
	.args = "",
	.summary = "End all stimulation now, whoever began it",
	.help =
"Returns when the hardware has acknowledged. It is open to everybody; 'echo >\n"
"/dev/oni0-stop' does the same.\n",
	.run = run_stop,
};

/* ---- status ------------------------------------------------------------------------ */
static void print_flag(const char *name, int yes, const char *if_yes, const char *if_no)
{
	printf("%-12s %s\n", name, yes ? if_yes : if_no);
}

static int show_text(const struct oni_stim_status *s)
{
	char hash[2 * ONI_STIM_HASH_BYTES + 1];
	bool loaded = s->state == ONI_STIM_LOADED || s->state == ONI_STIM_ARMED;

	printf("%-12s %s\n", "state", words_state(s->state));
	if (s->because)
		printf("%-12s %s\n", "because", words_because(s->because));
	print_flag("confirmed", s->flags & ONI_STIM_CONFIRMED, "yes, by the hardware", "NO");
	if (s->owner)
		printf("%-12s process %d%s\n", "owner", s->owner,
		       s->flags & ONI_STIM_IS_OWNER ? ", this one" : "");
	else
		printf("%-12s nobody\n", "owner");
	if (loaded)
		printf("%-12s %s at hub %u\n", "program", hash_text(hash, s->program), s->hub);
	if (s->state == ONI_STIM_ARMED)
		printf("%-12s watchdog %u ms, time to live %u ms%s\n", "left", s->watchdog_ms,
		       s->ttl_ms, s->flags & ONI_STIM_PLAYING ? ", a train may be under way" : "");
	print_flag("policy", s->flags & ONI_STIM_HAS_POLICY, hash_text(hash, s->policy),
		   "none: recording only");
	print_flag("audit log", s->flags & ONI_STIM_HAS_AUDIT, "kept",
		   s->flags & ONI_STIM_NEEDS_AUDIT ? "NOT kept, and the policy wants it" : "not kept");
	printf("%-12s %llu commanded, %llu reported by the hardware\n", "trains",
	       (unsigned long long)s->fires, (unsigned long long)s->delivered);
	printf("%-12s %llu refusals, %llu stops, %llu of them faults\n", "so far",
	       (unsigned long long)s->refusals, (unsigned long long)s->stops,
	       (unsigned long long)s->faults);
	return finish_output();
}

static int show_json(const struct oni_stim_status *s)
{
	return print_json(json_pack(
		"{s:s, s:i, s:s, s:b, s:b, s:b, s:b, s:b, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, "
		"s:o, s:o}",
		"state", words_state(s->state), "because", (int)s->because, "because_text",
		words_because(s->because), "confirmed", !!(s->flags & ONI_STIM_CONFIRMED), "has_policy",
		!!(s->flags & ONI_STIM_HAS_POLICY), "audited", !!(s->flags & ONI_STIM_HAS_AUDIT),
		"needs_audit", !!(s->flags & ONI_STIM_NEEDS_AUDIT), "playing",
		!!(s->flags & ONI_STIM_PLAYING), "owner", (int)s->owner, "hub", (int)s->hub,
		"watchdog_ms", (int)s->watchdog_ms, "ttl_ms", (int)s->ttl_ms, "fires",
		json_u64(s->fires), "delivered", json_u64(s->delivered), "refusals",
		json_u64(s->refusals), "stops", json_u64(s->stops), "faults", json_u64(s->faults),
		"program", json_hash(s->program), "policy", json_hash(s->policy)));
}

static int run_status(int argc, char **argv)
{
	struct oni_stim_status s;
	int fd, rc, error;

	no_arguments(argc, argv);
	fd = open_node("stim", O_RDONLY, &rc);
	if (fd < 0)
		return rc;
	rc = node_status(fd, &s);
	error = errno;
	close(fd);
	if (rc < 0)
		return call_failed("read the state of the interlock", error, NULL);
	return settings.json ? show_json(&s) : show_text(&s);
}

const struct command cmd_status = {
	.name = "status",
	.args = "",
	.summary = "State of the interlock, who has it, and what happened",
	.run = run_status,
};

/* ---- ack --------------------------------------------------------------------------- */
static int run_ack(int argc, char **argv)
{
	struct oni_stim_verdict v;
	int fd, rc, error;

	no_arguments(argc, argv);
	fd = open_node("stim", O_RDWR, &rc);
	if (fd < 0)
		return rc;
	rc = node_call(fd, ONI_STIM_IOC_ACK_FAULT, 0, &v);
	error = errno;
	close(fd);
	if (rc < 0)
		return call_failed("acknowledge a fault", error, &v);
	if (settings.json)
		return print_json(json_pack("{s:b}", "acknowledged", 1));
	printf("acknowledged: the safe state was written once more, the interlock is SAFE\n");
	return finish_output();
}

const struct command cmd_ack = {
	.name = "ack",
	.args = "",
	.summary = "Acknowledge a fault, once its cause is known",
	.help =
"'onistim status' says what the cause was. The safe state is written once more, and\n"
"the fault stays if the hardware does not acknowledge it.\n",
	.run = run_ack,
};
