// SPDX-License-Identifier: MIT
/*
 * cmd_check.c - check: is a stimulus inside all bounds? A dry run that touches no
 * hardware: against a policy file, or against the ceilings that a controller has in
 * force, which its driver is then asked as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "decimal.h"
#include "draw.h"
#include "node.h"
#include "onistim.h"
#include "words.h"

enum { OPT_POLICY = 1, OPT_PNG, OPT_ALL, OPT_HUB };

struct request {
	const char *file, *policy, *png;
	uint32_t hub;
	int all;
};

struct result {
	struct work *work;
	struct oni_stim_policy policy;
	char policy_name[400];
	struct oni_stim_verdict verdict;
	bool accepted;
	struct bound bounds[BOUNDS_MAX];
	size_t count;
};

/* ---- whose ceilings ------------------------------------------------------------ */
static int ceilings_of_file(const char *path, struct result *r)
{
	struct problem problem;
	struct policy policy;

	if (policy_read(&policy, path, &problem) < 0)
		return fail_text("%s", problem.text);
	r->policy = policy.uapi;
	snprintf(r->policy_name, sizeof(r->policy_name), "policy \"%s\" (%.300s)", policy.name, path);
	return EXIT_OK;
}

/* The driver has the last word: it may be of another version. */
static int ask_driver(int fd, uint32_t hub, struct result *r)
{
	const struct compiled *c = &r->work->compiled;
	uint8_t hash[ONI_STIM_HASH_BYTES];
	struct oni_stim_verdict v;
	bool accepted;

	accepted = node_program(fd, ONI_STIM_IOC_CHECK, 0, hub, &c->program, c->rows, c->nrows, hash,
				&v) == 0;
	if (!accepted && v.code == ONI_STIM_OK)
		return call_failed("have the stimulus checked", errno, &v);
	if (accepted != r->accepted)
		fail_text("this program and the driver do not agree: they have to be of one version; the "
			  "driver's word counts");
	r->accepted = accepted;
	r->verdict = v;
	return EXIT_OK;
}

static void judge(struct result *r)
{
	const struct compiled *c = &r->work->compiled;

	r->accepted = oni_stim_check(&r->policy, &c->program, c->rows, c->nrows, &r->verdict);
	r->count = bounds_measure(&r->policy, c, r->bounds);
}

static int judge_by_device(const struct request *req, struct result *r)
{
	int rc, fd = open_node("stim", O_RDONLY, &rc);
	uint32_t hub;

	if (fd < 0)
		return rc;
	if (node_limits(fd, &r->policy, &hub) < 0) {
		const int error = errno;

		rc = call_failed("read the ceilings", error, NULL);
		/* That there is no policy is a refusal. */
		if (error == ENODATA)
			rc = EXIT_REFUSED;
	} else {
		snprintf(r->policy_name, sizeof(r->policy_name), "the ceilings in force");
		judge(r);
		/* Which headstage matters only if they are for one; 1 stands for any. */
		rc = ask_driver(fd, req->hub ? req->hub : hub ? hub : 1, r);
	}
	close(fd);
	return rc;
}

/* ---- output ------------------------------------------------------------------------ */

static const char *used_text(char *buf, size_t len, const struct bound *b)
{
	uint64_t used = bounds_used(b);

	if (b->limit == ONI_STIM_AREA || b->limit == ONI_STIM_EXTERNAL)
		return "";
	if (!b->known)
		return "?";
	if (used == UINT64_MAX)
		return "over";
	snprintf(buf, len, "%llu.%llu %%", (unsigned long long)used / 10,
		 (unsigned long long)used % 10);
	return buf;
}

static void print_bound(const struct bound *b)
{
	char contact[WORDS_NUMBER], asked[WORDS_NUMBER], allowed[WORDS_NUMBER], used[32];

	if (b->limit == ONI_STIM_AREA) {
		printf("%-11s %-36s\n", words_contact(contact, b->contact),
		       b->source == ONI_STIM_BY_NOBODY ? "in no class of the policy: REFUSED" :
							 "has no area in the policy: REFUSED");
		return;
	}
	printf("%-11s %-15s %18s %18s  %-9s %9s%s\n", words_contact(contact, b->contact),
	       words_code(b->limit), b->known ? words_quantity(asked, b->limit, b->asked) : "not known",
	       words_quantity(allowed, b->limit, b->allowed), words_source_key(b->source),
	       used_text(used, sizeof(used), b), b->kept ? "" : "  REFUSED");
}

/* Of contacts in one class the one that is nearest to the bound, or beyond. */
static bool is_worst(const struct result *r, size_t i)
{
	const struct bound *a = &r->bounds[i];
	uint32_t class = r->policy.class_of[a->contact];
	uint64_t used = bounds_used(a), other;

	for (size_t k = 0; k < r->count; k++) {
		const struct bound *b = &r->bounds[k];

		if (k == i || b->limit != a->limit || r->policy.class_of[b->contact] != class)
			continue;
		other = bounds_used(b);
		if ((!b->kept && a->kept) ||
		    (b->kept == a->kept && (other > used || (other == used && k < i))))
			return false;
	}
	return true;
}

static void print_table(const struct result *r, int all)
{
	size_t shown = 0;

	if (!r->count)
		return;
	printf("\n%-11s %-15s %18s %18s  %-9s %9s\n", "CONTACT", "BOUND", "ASKED", "ALLOWED", "SOURCE",
	       "USED");
	for (size_t i = 0; i < r->count; i++) {
		if (!all && !is_worst(r, i))
			continue;
		print_bound(&r->bounds[i]);
		shown++;
	}
	if (shown < r->count)
		printf("%zu more bounds of contacts that are not nearer to them; --all shows them.\n",
		       r->count - shown);
}

static void print_text(const struct result *r, int all)
{
	const struct stimulus *s = &r->work->stimulus;
	char ms[DECIMAL_TEXT], text[1000];

	printf("Stimulus \"%s\" for %s, against %s.\n", s->name,
	       s->kind == ONI_STIM_RHS2116 ? "headstage-rhs2116" : "headstage-64", r->policy_name);
	printf("%s ms long", decimal_text(ms, work_length_ns(r->work), 6));
	if (s->kind == ONI_STIM_RHS2116)
		printf(", %u rows in the delta tables", r->work->compiled.nrows);
	printf(", watchdog %u ms.\n", s->watchdog_ms);
	print_table(r, all);
	if (r->accepted)
		printf("\nAccepted: every bound is kept.\n");
	else
		printf("\nRefused: %s.\n", words_verdict(text, sizeof(text), &r->verdict));
}

static json_t *json_bound(const struct bound *b)
{
	char asked[WORDS_NUMBER], allowed[WORDS_NUMBER];
	json_t *contact = b->contact == ONI_STIM_RETURN ? json_string("return") :
							  json_integer(b->contact);

	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:b}", "contact", contact, "bound",
			 b->limit == ONI_STIM_AREA ? "area_um2" : words_code(b->limit), "description",
			 words_limit(b->limit), "asked", b->known ? json_u64(b->asked) : json_null(),
			 "allowed", json_u64(b->allowed), "asked_text",
			 b->known ? words_quantity(asked, b->limit, b->asked) : "not known",
			 "allowed_text", words_quantity(allowed, b->limit, b->allowed), "source",
			 words_source_key(b->source), "kept", b->kept);
}

static int print_result_json(const struct result *r)
{
	const struct stimulus *s = &r->work->stimulus;
	json_t *bounds = json_array(), *notes = json_array();

	for (size_t i = 0; i < r->count; i++)
		json_array_append_new(bounds, json_bound(&r->bounds[i]));
	for (unsigned int i = 0; i < r->work->compiled.n_notes; i++)
		json_array_append_new(notes, json_string(r->work->compiled.notes[i]));
	return print_json(json_pack(
		"{s:s, s:s, s:s, s:b, s:o, s:o, s:i, s:i, s:o, s:o}", "name", s->name, "headstage",
		s->kind == ONI_STIM_RHS2116 ? "rhs2116" : "hs64", "against", r->policy_name, "accepted",
		r->accepted, "verdict", json_verdict(&r->verdict), "length_ns",
		json_u64(work_length_ns(r->work)), "rows", (int)r->work->compiled.nrows,
		"watchdog_ms", (int)s->watchdog_ms, "bounds", bounds, "notes", notes));
}

static int show(const struct request *req, const struct result *r)
{
	char err[300];
	int rc;

	if (req->png && draw_png(&r->work->compiled, r->work->stimulus.name, req->png, err,
				 sizeof(err)) < 0)
		return fail_text("%s", err);
	if (settings.json) {
		rc = print_result_json(r);
	} else {
		print_text(r, req->all);
		rc = finish_output();
	}
	return rc == EXIT_OK && !r->accepted ? EXIT_REFUSED : rc;
}

static int check(const struct request *req)
{
	struct result *r = calloc(1, sizeof(*r));
	int rc = EXIT_FAIL;

	if (!r)
		return fail_text("out of memory");
	r->work = work_new(req->file);
	if (r->work) {
		work_say_notes(r->work);
		if (req->policy) {
			rc = ceilings_of_file(req->policy, r);
			if (rc == EXIT_OK)
				judge(r);
		} else {
			rc = judge_by_device(req, r);
		}
	}
	if (rc == EXIT_OK)
		rc = show(req, r);
	work_free(r->work);
	free(r);
	return rc;
}

static int run_check(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "policy", required_argument, NULL, OPT_POLICY },
		{ "png", required_argument, NULL, OPT_PNG },
		{ "all", no_argument, NULL, OPT_ALL },
		{ "hub", required_argument, NULL, OPT_HUB },
		{ 0 }
	};
	struct request req = { 0 };
	int c;

	while ((c = next_option(argc, argv, "", longs)) != -1) {
		if (c == OPT_POLICY)
			req.policy = optarg;
		else if (c == OPT_PNG)
			req.png = optarg;
		else if (c == OPT_HUB)
			req.hub = arg_count("hub", optarg, 1, 255);
		else
			req.all = 1;
	}
	expect_args(argc, 1, 1);
	req.file = argv[optind];
	if (req.policy && settings.device)
		usage_error("--policy asks a file and --device a controller: use one of them");
	return check(&req);
}

const struct command cmd_check = {
	.name = "check",
	.args = "FILE [--policy=POLICY] [--png=OUT.png] [--all] [--hub=N]",
	.summary = "Is a stimulus inside all bounds? Touches no hardware",
	.help =
"      --policy=POLICY  bounds of a policy file (oni-policy(5)); no device is needed.\n"
"                       Without it those that the driver has in force\n"
"      --png=OUT.png    draw the currents of the compiled program\n"
"      --all            every contact, not only the one of a class that is nearest to\n"
"                       its bound\n"
"      --hub=N          headstage that the driver is asked about\n"
"\n"
"For each bound it shows what is asked for, what is allowed, whose the bound is and\n"
"how much of it is used. Status 3: refused; the last line names the first bound that\n"
"is exceeded, by how much, and from which source it came.\n",
	.run = run_check,
};

/* ---- compile ------------------------------------------------------------------- */

static void print_chip(const struct compiled *c, uint32_t n, const struct oni_stim_delta *row)
{
	const struct oni_stim_chip *chip = &c->program.chip[n];

	if (!chip->rows)
		return;
	printf("\nchip %u, step %u nA\n", n, chip->step_na);
	for (uint32_t ch = 0; ch < ONI_STIM_CHANNELS; ch++)
		if (chip->positive[ch] || chip->negative[ch])
			printf("channel %-2u  +%u -%u steps\n", ch, chip->positive[ch],
			       chip->negative[ch]);
	printf("%5s %8s %12s %10s %10s\n", "ROW", "PERIOD", "US", "POLARITY", "ENABLE");
	for (uint32_t i = 0; i < chip->rows; i++) {
		char us[DECIMAL_TEXT];

		printf("%5u %8u %12s     0x%04x     0x%04x\n", i, row[i].time,
		       decimal_text(us, (uint64_t)row[i].time * ONI_STIM_PERIOD_NS, 3),
		       row[i].polen >> 16, row[i].polen & 0xffff);
	}
}

/* The registers in the order of their numbers. */
static const struct {
	const char *name;
	size_t offset;
	unsigned int reg;
} registers[] = {
#define REG(n, f) { #f, offsetof(struct oni_stim_hs64, f), n }
	REG(1, biphasic), REG(2, current1), REG(3, current2), REG(4, duration1), REG(5, interphase),
	REG(6, duration2), REG(7, interpulse), REG(8, pulses), REG(9, interburst), REG(10, bursts),
	REG(11, delay), REG(15, rest),
#undef REG
};

#define REGISTERS	(sizeof(registers) / sizeof(registers[0]))

static __u32 register_value(const struct compiled *c, size_t i)
{
	__u32 v;

	memcpy(&v, (const char *)&c->program.hs64 + registers[i].offset, sizeof(v));
	return v;
}

static int compiled_json(const struct compiled *c)
{
	json_t *rows = json_array(), *regs = json_object(), *chips = json_array(), *ch;

	for (uint32_t i = 0; i < c->nrows; i++)
		json_array_append_new(rows, json_pack("[I, I]", (json_int_t)c->rows[i].time,
						      (json_int_t)c->rows[i].polen));
	for (size_t i = 0; c->program.kind == ONI_STIM_HS64 && i < REGISTERS; i++)
		json_object_set_new(regs, registers[i].name, json_u64(register_value(c, i)));
	for (uint32_t n = 0; n < ONI_STIM_CHIPS; n++) {
		json_t *pos = json_array(), *neg = json_array();

		for (uint32_t i = 0; i < ONI_STIM_CHANNELS; i++) {
			json_array_append_new(pos, json_integer(c->program.chip[n].positive[i]));
			json_array_append_new(neg, json_integer(c->program.chip[n].negative[i]));
		}
		ch = json_pack("{s:i, s:i, s:o, s:o}", "rows", (int)c->program.chip[n].rows, "step_na",
			       (int)c->program.chip[n].step_na, "positive", pos, "negative", neg);
		json_array_append_new(chips, ch);
	}
	return print_json(json_pack("{s:s, s:i, s:i, s:o, s:o, s:o}", "headstage",
				    c->program.kind == ONI_STIM_HS64 ? "hs64" : "rhs2116", "sources",
				    (int)c->program.sources, "watchdog_ms",
				    (int)c->program.watchdog_ms, "chips", chips, "rows", rows,
				    "registers", regs));
}

static int run_compile(int argc, char **argv)
{
	struct work *w;
	int rc;

	while (next_option(argc, argv, "", NULL) != -1)
		;
	expect_args(argc, 1, 1);
	w = work_new(argv[optind]);
	if (!w)
		return EXIT_FAIL;
	work_say_notes(w);
	if (settings.json) {
		rc = compiled_json(&w->compiled);
	} else {
		print_chip(&w->compiled, 0, w->compiled.rows);
		print_chip(&w->compiled, 1, w->compiled.rows + w->compiled.program.chip[0].rows);
		for (size_t i = 0; w->stimulus.kind == ONI_STIM_HS64 && i < REGISTERS; i++)
			printf("%2u  %-11s %u\n", registers[i].reg, registers[i].name,
			       register_value(&w->compiled, i));
		rc = finish_output();
	}
	work_free(w);
	return rc;
}

const struct command cmd_compile = {
	.name = "compile",
	.args = "FILE",
	.summary = "Show what the hardware would run",
	.help =
"For headstage-rhs2116 the delta tables: each row is the state of all channels of a\n"
"chip until the next one. For headstage-64 its registers. Nothing is checked against\n"
"bounds, see 'onistim check'.\n",
	.run = run_compile,
};
