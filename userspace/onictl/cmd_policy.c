// SPDX-License-Identifier: MIT
/*
 * cmd_policy.c - policy: what the stimulators of a controller may give to which contact.
 *
 * The file is judged as a whole before the driver sees anything of it. What is in
 * force is shown as the driver has it, which may be less than what was loaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decimal.h"
#include "node.h"
#include "onictl.h"
#include "policy.h"
#include "words.h"

/* Limits in the order in which they are shown; AREA is one of them here. */
#define LIMITS		ONI_STIM_LIMITS

static int open_stim(int flags)
{
	char name[NODE_NAME], text[400];
	int fd;

	if (node_name(settings.device, name) < 0) {
		fail_text("%s", node_open_explain(text, sizeof(text), NULL, "stim", errno));
		return -1;
	}
	fd = node_open(name, "stim", flags);
	if (fd < 0)
		fail_text("%s", node_open_explain(text, sizeof(text), name, "stim", errno));
	return fd;
}

/* ---- showing ceilings ------------------------------------------------------------ */

/* "0-15, 20, return" of the contacts in class @n. */
static void contacts_text(char *buf, size_t len, const struct oni_stim_policy *p, uint32_t n)
{
	size_t at = 0;
	uint32_t i, end;

	*buf = '\0';
	for (i = 0; i <= ONI_STIM_RETURN; i = end + 1) {
		end = i;
		if (p->class_of[i] != n + 1)
			continue;
		while (end + 1 < ONI_STIM_RETURN && p->class_of[end + 1] == n + 1 &&
		       i != ONI_STIM_RETURN)
			end++;
		if (at && at < len)
			at += (size_t)snprintf(buf + at, len - at, ", ");
		if (i == ONI_STIM_RETURN)
			at += (size_t)snprintf(buf + at, len - at, "return");
		else if (end == i)
			at += (size_t)snprintf(buf + at, len - at, "%u", i);
		else
			at += (size_t)snprintf(buf + at, len - at, "%u-%u", i, end);
	}
}

static const char *limit_key(uint32_t limit)
{
	const struct policy_key *k = policy_key(limit);

	return k ? k->key : "external";
}

static void readings_text(char *buf, size_t len, uint32_t bits)
{
	snprintf(buf, len, "%s%s%s%s", bits & ONI_STIM_HS64_UNIT_1US ? "1us " : "",
		 bits & ONI_STIM_HS64_UNIT_10US ? "10us " : "",
		 bits & ONI_STIM_HS64_PAUSE ? "pause " : "",
		 bits & ONI_STIM_HS64_PERIOD ? "period " : "");
	if (*buf)
		buf[strlen(buf) - 1] = '\0';
}

/* @name of class @n, or its number when only the driver knows. */
static void class_title(char *buf, size_t len, const struct policy *names, uint32_t n)
{
	if (names)
		snprintf(buf, len, "class %s", names->class_name[n]);
	else
		snprintf(buf, len, "class %u", n + 1);
}

static void print_class(const struct oni_stim_policy *p, const struct policy *names, uint32_t n)
{
	char title[CONF_NAME + 16], contacts[300], value[WORDS_NUMBER];

	class_title(title, sizeof(title), names, n);
	contacts_text(contacts, sizeof(contacts), p, n);
	printf("\n%s: contacts %s\n", title, *contacts ? contacts : "none");
	for (uint32_t i = 0; i < LIMITS; i++)
		printf("  %-15s %18s  %s\n", limit_key(i),
		       words_quantity(value, i, p->cls[n].max[i]),
		       words_source_key(p->cls[n].source[i]));
}

static json_t *class_json(const struct oni_stim_policy *p, const struct policy *names, uint32_t n)
{
	char title[CONF_NAME + 16], contacts[300], value[WORDS_NUMBER];
	json_t *limits = json_object();

	class_title(title, sizeof(title), names, n);
	contacts_text(contacts, sizeof(contacts), p, n);
	for (uint32_t i = 0; i < LIMITS; i++)
		json_object_set_new(limits, limit_key(i), json_pack(
			"{s:o, s:s, s:s}", "max", json_u64(p->cls[n].max[i]), "text",
			words_quantity(value, i, p->cls[n].max[i]), "source",
			words_source_key(p->cls[n].source[i])));
	return json_pack("{s:s, s:s, s:o}", "class", title, "contacts", contacts, "limits", limits);
}

/* @names: of a file, NULL: not known. */
static int show_policy(const struct oni_stim_policy *p, uint32_t hub, const struct policy *names)
{
	char window[DECIMAL_TEXT], readings[40];
	json_t *classes;

	readings_text(readings, sizeof(readings), p->hs64_readings);
	if (settings.json) {
		classes = json_array();
		for (uint32_t i = 0; i < p->classes; i++)
			json_array_append_new(classes, class_json(p, names, i));
		return print_json(json_pack("{s:s?, s:o, s:o, s:s, s:o}", "name",
					    names ? names->name : NULL, "hub",
					    hub ? json_u64(hub) : json_null(),
					    "duty_window_ns", json_u64(p->duty_window_ns), "hs64",
					    readings, "classes", classes));
	}
	if (names)
		printf("policy \"%s\"%s\n", names->name,
		       names->flags & ONI_STIM_POLICY_AUDIT ? ", arms only while the log is kept" : "");
	if (hub)
		printf("for the headstage at hub %u only\n", hub);
	printf("duty is counted in %s ms; headstage-64 registers read as %s\n",
	       decimal_text(window, p->duty_window_ns, 6), readings);
	for (uint32_t i = 0; i < p->classes; i++)
		print_class(p, names, i);
	return finish_output();
}

/* ---- verbs -------------------------------------------------------------------------- */
static int policy_check(const char *path)
{
	struct problem problem;
	struct policy policy;

	if (policy_read(&policy, path, &problem) < 0)
		return fail_text("%s", problem.text);
	return show_policy(&policy.uapi, policy.hub, &policy);
}

static int policy_load(const char *path)
{
	struct oni_stim_verdict v;
	struct problem problem;
	struct policy policy;
	char text[1200];
	int fd, rc, error;

	if (policy_read(&policy, path, &problem) < 0)
		return fail_text("%s; nothing was loaded", problem.text);
	fd = open_stim(O_RDWR);
	if (fd < 0)
		return EXIT_FAIL;
	rc = node_policy(fd, &policy.uapi, policy.hub, policy.flags, &v);
	error = errno;
	close(fd);
	if (rc < 0)
		return fail_text("%s; nothing was loaded", node_explain(text, sizeof(text),
									"load the policy", error, &v));
	if (settings.json)
		return print_json(json_pack("{s:s, s:i}", "loaded", policy.name, "classes",
					    (int)policy.uapi.classes));
	printf("loaded \"%s\", %u electrode class%s; 'onictl policy show' shows what is in force\n",
	       policy.name, policy.uapi.classes, policy.uapi.classes == 1 ? "" : "es");
	return finish_output();
}

static int policy_show(void)
{
	struct oni_stim_policy p;
	char text[400];
	int fd = open_stim(O_RDONLY), rc, error;
	uint32_t hub;

	if (fd < 0)
		return EXIT_FAIL;
	rc = node_limits(fd, &p, &hub);
	error = errno;
	close(fd);
	if (rc < 0)
		return fail_text("%s", node_explain(text, sizeof(text), "read the ceilings", error,
						    NULL));
	return show_policy(&p, hub, NULL);
}

static int run_policy(int argc, char **argv)
{
	const char *verb;

	while (next_option(argc, argv, "", NULL) != -1)
		;
	expect_args(argc, 1, 2);
	verb = argv[optind];
	if (!strcmp(verb, "show")) {
		expect_args(argc, 1, 1);
		return policy_show();
	}
	if (strcmp(verb, "load") && strcmp(verb, "check"))
		usage_error("'policy %s' is not known: load, show or check", verb);
	if (argc - optind != 2)
		usage_error("'policy %s' needs a file", verb);
	return !strcmp(verb, "load") ? policy_load(argv[optind + 1]) : policy_check(argv[optind + 1]);
}

const struct command cmd_policy = {
	.name = "policy",
	.args = "load FILE | show | check FILE",
	.summary = "Bounds of stimulation: load them, show those in force",
	.help =
"  load FILE   give the bounds of a policy file to the driver (root). They hold until\n"
"              the driver is unbound; a later policy may only lower them. Without a\n"
"              policy a controller records only\n"
"  show        the bounds in force, and whose each is: hardware, firmware, policy, or\n"
"              lowered at run time\n"
"  check FILE  read a file and show what it says; needs no device\n"
"\n"
"The format is in oni-policy(5); onistim(1) checks and runs stimuli.\n",
	.run = run_policy,
};
