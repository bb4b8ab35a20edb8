// SPDX-License-Identifier: MIT
/* policy.c - see policy.h. */
#include "policy.h"

#include <ctype.h>
#include <errno.h>
#include <gmp.h>
#include <stdio.h>
#include <string.h>

#include "decimal.h"

#define K_DECIMALS	3
#define K_MAX		4000

static const struct policy_key keys[] = {
	{ "area_um2", "um2", "geometric surface of a contact", ONI_STIM_AREA, 0 },
	{ "amplitude_ua", "uA", "largest current", ONI_STIM_AMPLITUDE, 3 },
	{ "charge_nc", "nC", "charge of a phase", ONI_STIM_CHARGE, 6 },
	{ "density_uc_cm2", "uC/cm2", "charge density of a phase", ONI_STIM_DENSITY, 3 },
	{ "shannon_k", "", "Shannon's k", ONI_STIM_SHANNON, K_DECIMALS },
	{ "net_pc", "pC", "charge that a train leaves behind, 0 for exactly none", ONI_STIM_NET, 3 },
	{ "width_us", "us", "time that a phase is on", ONI_STIM_WIDTH, 3 },
	{ "gap_us", "us", "pause out of balance", ONI_STIM_GAP, 3 },
	{ "rate_hz", "Hz", "pulses per second", ONI_STIM_RATE, 3 },
	{ "duty_percent", "%", "time with current in a window", ONI_STIM_DUTY, 4 },
	{ "train_ms", "ms", "length of a train", ONI_STIM_TRAIN, 6 },
	{ "watchdog_ms", "ms", "silence of the program in charge", ONI_STIM_WATCHDOG, 0 },
};

#define KEYS	(sizeof(keys) / sizeof(keys[0]))

const struct policy_key *policy_key(unsigned int limit)
{
	for (size_t i = 0; i < KEYS; i++)
		if (keys[i].limit == limit)
			return &keys[i];
	return NULL;
}

/* The largest n with n^1000 <= 10^(k + 4000); whole numbers all the way. */
uint64_t policy_shannon(int k_milli)
{
	uint64_t v;
	mpz_t n;

	mpz_init(n);
	mpz_ui_pow_ui(n, 10, (unsigned long)(k_milli + K_MAX));
	mpz_root(n, n, 1000);
	v = mpz_get_ui(n);
	mpz_clear(n);
	return v;
}

struct reading {
	const struct conf *conf;
	const struct conf_section *section;
	struct policy *policy;
	struct problem *problem;
	uint8_t class;		/* that is being read, plus one */
	int line;		/* of its contacts */
	int contact_line[ONI_STIM_CONTACT_SLOTS];
};

static const struct conf_entry *need(const struct reading *r, const char *key, const char *what)
{
	const struct conf_entry *e = conf_entry(r->section, key);

	if (!e)
		problem_at(r->problem, r->conf->path, r->section->line,
			   "[%s]: key '%s' (%s) is missing: add it; what is not allowed here is not "
			   "allowed at all", r->section->name, key, what);
	return e;
}

static int wrong(const struct reading *r, const struct conf_entry *e, const char *want)
{
	return problem_at(r->problem, r->conf->path, e->line, "[%s]: %s = %s: write %s",
			  r->section->name, e->key, e->value, want);
}

static int yes_or_no(const struct reading *r, const char *key, const char *what)
{
	const struct conf_entry *e = need(r, key, what);

	if (!e)
		return -1;
	if (!strcmp(e->value, "yes"))
		return 1;
	if (!strcmp(e->value, "no"))
		return 0;
	return wrong(r, e, "yes or no");
}

/* ---- [class NAME] -------------------------------------------------------- */
static int add_contact(void *arg, unsigned int contact)
{
	struct reading *r = arg;
	uint8_t *class = &r->policy->uapi.class_of[contact];
	char name[16] = "the return";

	if (contact != ONI_STIM_RETURN)
		snprintf(name, sizeof(name), "contact %u", contact);
	if (*class)
		return problem_at(r->problem, r->conf->path, r->line,
				  "[%s]: contacts: %s is already in [class %s] (line %d): a contact "
				  "belongs to one class, remove it from one of them",
				  r->section->name, name, r->policy->class_name[*class - 1],
				  r->contact_line[contact]);
	*class = r->class;
	r->contact_line[contact] = r->line;
	return 0;
}

/* The most that the hardware could do on any contact of the class. */
static uint64_t hard_limit(const struct reading *r, unsigned int limit)
{
	bool with_return = r->policy->uapi.class_of[ONI_STIM_RETURN] == r->class;

	return oni_stim_hard_limit(limit, with_return ? ONI_STIM_RETURN : 0);
}

static int read_ceiling(const struct reading *r, const struct policy_key *k, u64 *out)
{
	const struct conf_entry *e = need(r, k->key, k->what);
	char most[DECIMAL_TEXT], want[120];
	uint64_t hard = hard_limit(r, k->limit);
	int64_t v;
	bool exact;

	if (!e)
		return -1;
	decimal_text(most, hard, k->scale);
	snprintf(want, sizeof(want), "a number of %s from 0 to %s, with digits and a point only",
		 k->unit, most);
	if (decimal_parse(e->value, k->scale, &v, &exact) < 0)
		return wrong(r, e, want);
	if (v < 0 || *e->value == '-')
		return wrong(r, e, "no sign: ceilings hold for both polarities");
	if ((uint64_t)v > hard || ((uint64_t)v == hard && !exact))
		return problem_at(r->problem, r->conf->path, e->line,
				  "[%s]: %s = %s is more than the %s %s that nothing can raise: write "
				  "at most that", r->section->name, e->key, e->value, most, k->unit);
	if (!v && !exact)
		return wrong(r, e, "more, or 0 if it shall be nothing: this is less than the "
				   "smallest step and would become 0");
	*out = (uint64_t)v;
	return 0;
}

static int read_shannon(const struct reading *r, const struct policy_key *k, u64 *out)
{
	const struct conf_entry *e = need(r, k->key, k->what);
	int64_t v;
	bool exact;

	if (!e)
		return -1;
	if (decimal_parse(e->value, K_DECIMALS, &v, &exact) < 0 || !exact || v < -K_MAX ||
	    v > K_MAX)
		return wrong(r, e, "a number from -4 to 4 with at most three decimals, such as 1.5");
	*out = policy_shannon((int)v);
	return 0;
}

static int read_class(struct reading *r)
{
	static const char *const known[KEYS + 3] = {
		"contacts", "area_um2", "amplitude_ua", "charge_nc", "density_uc_cm2", "shannon_k",
		"net_pc", "width_us", "gap_us", "rate_hz", "duty_percent", "train_ms", "watchdog_ms",
		"external",
	};
	struct oni_stim_policy *p = &r->policy->uapi;
	const struct conf_entry *contacts;
	struct oni_stim_class *c;
	const char *name = r->section->name + strlen("class ");
	int external;

	if (conf_known(r->conf, r->section, known, r->problem) < 0)
		return -1;
	if (p->classes == ONI_STIM_CLASSES)
		return problem_at(r->problem, r->conf->path, r->section->line,
				  "[%s]: the kernel takes %u classes: put contacts that may get the same "
				  "into one", r->section->name, ONI_STIM_CLASSES);
	c = &p->cls[p->classes];
	snprintf(r->policy->class_name[p->classes], CONF_NAME, "%s", name);
	r->class = (uint8_t)++p->classes;
	contacts = need(r, "contacts", "which contacts the class is about");
	if (!contacts)
		return -1;
	r->line = contacts->line;
	if (conf_contacts(r->conf, contacts, ONI_STIM_CONTACTS - 1, true, add_contact, r,
			  r->problem) < 0)
		return -1;
	for (size_t i = 0; i < KEYS; i++) {
		u64 *out = &c->max[keys[i].limit];

		if ((keys[i].limit == ONI_STIM_SHANNON ? read_shannon(r, &keys[i], out) :
		     read_ceiling(r, &keys[i], out)) < 0)
			return -1;
	}
	external = yes_or_no(r, "external", "whether a signal from outside may start a train");
	if (external < 0)
		return -1;
	c->max[ONI_STIM_EXTERNAL] = (uint64_t)external;
	for (size_t i = 0; i < ONI_STIM_LIMITS; i++)
		c->source[i] = ONI_STIM_BY_POLICY;
	return 0;
}

/* ---- [policy] ------------------------------------------------------------- */
static int read_readings(const struct reading *r, uint32_t *out)
{
	static const struct {
		const char *word;
		uint32_t bits;
	} words[] = {
		{ "any", ONI_STIM_HS64_ANY },
		{ "1us", ONI_STIM_HS64_UNIT_1US }, { "10us", ONI_STIM_HS64_UNIT_10US },
		{ "pause", ONI_STIM_HS64_PAUSE }, { "period", ONI_STIM_HS64_PERIOD },
	};
	const uint32_t units = ONI_STIM_HS64_UNIT_1US | ONI_STIM_HS64_UNIT_10US;
	const struct conf_entry *e = need(r, "hs64", "readings of headstage-64 registers that were "
						     "not ruled out by measurement");
	char copy[CONF_VALUE], *save = NULL, *word;
	size_t i;

	if (!e)
		return -1;
	strcpy(copy, e->value);
	*out = 0;
	for (word = strtok_r(copy, ", \t", &save); word; word = strtok_r(NULL, ", \t", &save)) {
		for (i = 0; i < 5 && strcmp(words[i].word, word); i++)
			;
		if (i == 5)
			break;
		*out |= words[i].bits;
	}
	if (!word && (*out & units) && (*out & ~units))
		return 0;
	return wrong(r, e, "any, or at least one of 1us and 10us and one of pause and period");
}

static int read_window(const struct reading *r, u64 *out)
{
	const struct conf_entry *e = need(r, "duty_window_ms", "window of duty_percent");
	int64_t v;
	bool exact;

	if (!e)
		return -1;
	/* A window that is shorter than written would be another promise: no rounding. */
	if (decimal_parse(e->value, 6, &v, &exact) < 0 || !exact || v < 1000000 ||
	    v > 3600000000000)
		return wrong(r, e, "milliseconds from 1 to 3600000, with at most six decimals");
	*out = (uint64_t)v;
	return 0;
}

/* Optional: a policy that names no headstage is for whatever is plugged in. */
static int read_hub(const struct reading *r, uint32_t *out)
{
	const struct conf_entry *e = conf_entry(r->section, "hub");
	int64_t v;
	bool exact;

	*out = 0;
	if (!e || !strcmp(e->value, "any"))
		return 0;
	if (decimal_parse(e->value, 0, &v, &exact) < 0 || !exact || v < 1 || v > 255)
		return wrong(r, e, "any, or the hub of one headstage from 1 to 255 (1 is port A, 2 is "
				   "port B)");
	*out = (uint32_t)v;
	return 0;
}

static int read_head(struct reading *r)
{
	static const char *const known[] = {
		"name", "hub", "hs64", "duty_window_ms", "require_audit", NULL
	};
	const struct conf_entry *e;
	int audit;

	r->section = conf_section(r->conf, "policy");
	if (!r->section)
		return problem_at(r->problem, r->conf->path, 0, "there is no section [policy]: add it, "
				  "with name, hs64, duty_window_ms and require_audit");
	if (conf_known(r->conf, r->section, known, r->problem) < 0)
		return -1;
	e = need(r, "name", "what the policy is for");
	if (!e)
		return -1;
	if (strlen(e->value) >= sizeof(r->policy->name))
		return wrong(r, e, "at most 63 bytes");
	strcpy(r->policy->name, e->value);
	if (read_hub(r, &r->policy->hub) < 0 ||
	    read_readings(r, &r->policy->uapi.hs64_readings) < 0 ||
	    read_window(r, &r->policy->uapi.duty_window_ns) < 0)
		return -1;
	audit = yes_or_no(r, "require_audit", "whether to arm only while somebody keeps the log");
	if (audit < 0)
		return -1;
	r->policy->flags = audit ? ONI_STIM_POLICY_AUDIT : 0;
	return 0;
}

static int read_sections(struct reading *r)
{
	if (read_head(r) < 0)
		return -1;
	for (size_t i = 0; i < r->conf->count; i++) {
		r->section = &r->conf->sections[i];
		if (!strcmp(r->section->name, "policy"))
			continue;
		if (strncmp(r->section->name, "class ", 6) || !r->section->name[6])
			return problem_at(r->problem, r->conf->path, r->section->line,
					  "section [%s] is not known: use [policy] and [class NAME]",
					  r->section->name);
		if (read_class(r) < 0)
			return -1;
	}
	if (!r->policy->uapi.classes)
		return problem_at(r->problem, r->conf->path, 0, "there is no electrode class: add a "
				  "section [class NAME] for each kind of contact, the return included");
	if (!r->policy->uapi.class_of[ONI_STIM_RETURN])
		return problem_at(r->problem, r->conf->path, 0, "no class has the contact 'return', "
				  "where all currents meet: without it nothing may be stimulated, add it");
	return 0;
}

static int read_conf(struct policy *policy, const struct conf *conf, struct problem *problem)
{
	struct reading r = { .conf = conf, .policy = policy, .problem = problem };

	policy->uapi.size = sizeof(policy->uapi);
	policy->uapi.version = ONI_STIM_VERSION;
	return read_sections(&r);
}

/* Nothing of a file with a mistake may be used. */
static int finish(struct policy *policy, struct conf *conf, int rc, struct problem *problem)
{
	memset(policy, 0, sizeof(*policy));
	if (!rc)
		rc = read_conf(policy, conf, problem);
	if (rc)
		memset(policy, 0, sizeof(*policy));
	conf_free(conf);
	return rc;
}

int policy_read(struct policy *policy, const char *path, struct problem *problem)
{
	struct conf conf;
	int rc = conf_read(&conf, path, problem);

	return finish(policy, &conf, rc, problem);
}

int policy_parse(struct policy *policy, const char *path, const char *text, size_t len,
		 struct problem *problem)
{
	struct conf conf;
	int rc = conf_parse(&conf, path, text, len, problem);

	return finish(policy, &conf, rc, problem);
}
