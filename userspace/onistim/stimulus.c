// SPDX-License-Identifier: MIT
/* stimulus.c - see stimulus.h. */
#include "stimulus.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "decimal.h"

#define US	3	/* decimals: ns */
#define MS	6
#define UA	3	/* nA */
#define UHZ	6

#define TIME_MAX_NS	3600000000000	/* far more than any hardware counts */
#define COUNT_MAX	4294967295u

struct reading {
	const struct conf *conf;
	const struct conf_section *section;
	struct stimulus *s;
	struct stimulus_pulse *pulse;
	struct problem *problem;
	int line;
};

static int missing(const struct reading *r, const char *key, const char *want)
{
	return problem_at(r->problem, r->conf->path, r->section->line,
			  "[%s]: key '%s' is missing: add %s", r->section->name, key, want);
}

static int wrong(const struct reading *r, const struct conf_entry *e, const char *want)
{
	return problem_at(r->problem, r->conf->path, e->line, "[%s]: %s = %s: write %s",
			  r->section->name, e->key, e->value, want);
}

/* A number that is not negative. Absent: @out stays. 1: read, 0: absent, -1: said. */
static int number(const struct reading *r, const char *key, unsigned int scale, uint64_t least,
		  uint64_t most, uint64_t *out, int *line)
{
	const struct conf_entry *e = conf_entry(r->section, key);
	char a[DECIMAL_TEXT], b[DECIMAL_TEXT], want[160];
	int64_t v;
	bool exact;

	if (!e)
		return 0;
	snprintf(want, sizeof(want), "a number from %s to %s with at most %u decimals",
		 decimal_text(a, least, scale), decimal_text(b, most, scale), scale);
	if (decimal_parse(e->value, scale, &v, &exact) < 0 || !exact || *e->value == '-' ||
	    (uint64_t)v < least || (uint64_t)v > most)
		return wrong(r, e, want);
	*out = (uint64_t)v;
	if (line)
		*line = e->line;
	return 1;
}

/* ---- [stimulus] ------------------------------------------------------------ */
static int read_kind(struct reading *r)
{
	const struct conf_entry *e = conf_entry(r->section, "headstage");

	if (!e)
		return missing(r, "headstage", "headstage = rhs2116 or hs64");
	if (!strcmp(e->value, "rhs2116"))
		r->s->kind = ONI_STIM_RHS2116;
	else if (!strcmp(e->value, "hs64"))
		r->s->kind = ONI_STIM_HS64;
	else
		return wrong(r, e, "rhs2116 or hs64");
	return 0;
}

static int read_words(const struct conf_entry *e, const char *const *words,
		      const uint32_t *bits, uint32_t *out)
{
	char copy[CONF_VALUE], *save = NULL, *word;
	size_t i;

	strcpy(copy, e->value);
	*out = 0;
	for (word = strtok_r(copy, ", \t", &save); word; word = strtok_r(NULL, ", \t", &save)) {
		for (i = 0; words[i] && strcmp(words[i], word); i++)
			;
		if (!words[i])
			return -1;
		*out |= bits[i];
	}
	return *out ? 0 : -1;
}

static int read_sources(struct reading *r)
{
	static const char *const words[] = { "register", "gpio", "sync", NULL };
	static const uint32_t bits[] = {
		ONI_STIM_FROM_REGISTER, ONI_STIM_FROM_GPIO, ONI_STIM_FROM_SYNC
	};
	const struct conf_entry *e = conf_entry(r->section, "sources");

	r->s->sources = ONI_STIM_FROM_REGISTER;
	if (e && read_words(e, words, bits, &r->s->sources) < 0)
		return wrong(r, e, "register, gpio, sync or several of them");
	if (e && r->s->kind == ONI_STIM_HS64 && r->s->sources != ONI_STIM_FROM_REGISTER)
		return wrong(r, e, "register: headstage-64 has no other source");
	/* The driver would refuse to load it, whatever its bounds are. */
	if (r->s->sources & ONI_STIM_FROM_SYNC && r->s->sources != ONI_STIM_FROM_SYNC)
		return wrong(r, e, "sync alone, or register and gpio without it: the trigger of the headstage "
			     "listens to its sync line alone or to all but that");
	return 0;
}

static int read_step(struct reading *r)
{
	static const char want[] = "one of the steps that the chip has: 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, "
				   "1, 2, 5 or 10";
	const struct conf_entry *e = conf_entry(r->section, "step_ua");
	static const uint32_t steps[] = { 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000 };
	int64_t v;
	bool exact;

	if (r->s->kind == ONI_STIM_HS64)
		return e ? wrong(r, e, "no such key: headstage-64 has one step, 76.3 nA") : 0;
	if (!e)
		return missing(r, "step_ua", want);
	if (decimal_parse(e->value, UA, &v, &exact) == 0 && exact)
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			if (v == steps[i]) {
				r->s->step_na = steps[i];
				return 0;
			}
	return wrong(r, e, want);
}

static int read_reading(struct reading *r)
{
	static const char *const words[] = { "1us", "10us", "pause", "period", NULL };
	static const uint32_t bits[] = {
		ONI_STIM_HS64_UNIT_1US, ONI_STIM_HS64_UNIT_10US, ONI_STIM_HS64_PAUSE,
		ONI_STIM_HS64_PERIOD
	};
	const uint32_t units = ONI_STIM_HS64_UNIT_1US | ONI_STIM_HS64_UNIT_10US;
	static const char want[] = "reading = 1us or 10us, and pause or period: how the registers of the "
				   "headstage are to be written; a policy may want more readings to be safe";
	const struct conf_entry *e = conf_entry(r->section, "reading");
	uint32_t unit, meaning;

	if (r->s->kind != ONI_STIM_HS64)
		return e ? wrong(r, e, "no such key: it is about headstage-64") : 0;
	if (!e)
		return missing(r, "reading", want);
	if (read_words(e, words, bits, &r->s->reading) < 0)
		return wrong(r, e, want);
	unit = r->s->reading & units;
	meaning = r->s->reading & ~units;
	/* Exactly one of each. */
	if (!unit || unit == units || !meaning || meaning == (ONI_STIM_HS64_ANY & ~units))
		return wrong(r, e, want);
	return 0;
}

static int read_round(struct reading *r)
{
	const struct conf_entry *e = conf_entry(r->section, "round");

	if (!e || !strcmp(e->value, "exact"))
		return 0;
	if (strcmp(e->value, "nearest"))
		return wrong(r, e, "exact (the default) or nearest");
	r->s->nearest = true;
	return 0;
}

static int read_head(struct reading *r)
{
	static const char *const known[] = {
		"name", "headstage", "step_ua", "sources", "watchdog_ms", "round", "reading",
		"tail_us", NULL
	};
	const struct conf_entry *name;
	uint64_t watchdog = 0;
	int rc;

	r->section = conf_section(r->conf, "stimulus");
	if (!r->section)
		return problem_at(r->problem, r->conf->path, 0, "there is no section [stimulus]: add it, "
				  "with headstage and watchdog_ms");
	if (conf_known(r->conf, r->section, known, r->problem) < 0)
		return -1;
	name = conf_entry(r->section, "name");
	if (name && strlen(name->value) >= sizeof(r->s->name))
		return wrong(r, name, "at most 63 bytes");
	strcpy(r->s->name, name ? name->value : "stimulus");
	rc = number(r, "watchdog_ms", 0, 1, oni_stim_hard_limit(ONI_STIM_WATCHDOG, 0), &watchdog, NULL);
	if (!rc)
		return missing(r, "watchdog_ms", "the longest silence of the program in charge, such as "
			       "watchdog_ms = 100");
	r->s->watchdog_ms = (uint32_t)watchdog;
	if (rc < 0 || read_kind(r) < 0 || read_sources(r) < 0 || read_step(r) < 0 ||
	    read_reading(r) < 0 || read_round(r) < 0)
		return -1;
	rc = number(r, "tail_us", US, 0, TIME_MAX_NS, &r->s->tail_ns, &r->s->tail_line);
	if (rc > 0 && r->s->kind == ONI_STIM_HS64)
		return wrong(r, conf_entry(r->section, "tail_us"), "no such key: it is about rhs2116");
	return rc < 0 ? -1 : 0;
}

/* ---- [pulse NAME] ------------------------------------------------------------ */
static int add_contact(void *arg, unsigned int contact)
{
	struct reading *r = arg;
	struct stimulus_pulse *p = r->pulse;

	for (unsigned int i = 0; i < p->n_contacts; i++)
		if (p->contacts[i] == contact)
			return problem_at(r->problem, r->conf->path, r->line,
					  "[%s]: contact %u is in the list twice: remove one",
					  r->section->name, contact);
	p->contacts[p->n_contacts++] = (uint8_t)contact;
	return 0;
}

/* One word up to a blank, into @buf; -1: none, or too long. */
static int take_word(const char **p, char *buf, size_t len)
{
	size_t n = 0;

	while (isspace((unsigned char)**p))
		(*p)++;
	while (**p && !isspace((unsigned char)**p) && **p != ',') {
		if (n + 1 >= len)
			return -1;
		buf[n++] = *(*p)++;
	}
	buf[n] = '\0';
	return n ? 0 : -1;
}

/* "-100 uA 198.72 us" */
static int take_phase(const char **p, struct stimulus_phase *phase)
{
	char word[DECIMAL_TEXT];
	int64_t ns;
	bool exact;

	if (take_word(p, word, sizeof(word)) < 0 ||
	    decimal_parse(word, UA, &phase->na, &exact) < 0 || !exact)
		return -1;
	if (take_word(p, word, sizeof(word)) < 0 || strcmp(word, "uA"))
		return -1;
	if (take_word(p, word, sizeof(word)) < 0 || decimal_parse(word, US, &ns, &exact) < 0 ||
	    !exact || ns <= 0 || ns > TIME_MAX_NS || phase->na > 100000000 ||
	    phase->na < -100000000)
		return -1;
	phase->ns = (uint64_t)ns;
	return take_word(p, word, sizeof(word)) < 0 || strcmp(word, "us") ? -1 : 0;
}

static int read_phases(struct reading *r)
{
	static const char want[] = "one to eight phases with commas between, such as -100 uA 198.72 us, 0 uA "
				   "66.24 us, +100 uA 198.72 us";
	const struct conf_entry *e = conf_entry(r->section, "phases");
	struct stimulus_pulse *pulse = r->pulse;
	bool current = false;
	const char *p;

	if (!e)
		return missing(r, "phases", want);
	pulse->phases_line = e->line;
	for (p = e->value;; p++) {
		struct stimulus_phase *ph = &pulse->phases[pulse->n_phases];

		if (pulse->n_phases == STIMULUS_PHASES || take_phase(&p, ph) < 0)
			return wrong(r, e, want);
		pulse->n_phases++;
		current |= ph->na != 0;
		while (isspace((unsigned char)*p))
			p++;
		if (!*p)
			break;
		if (*p != ',')
			return wrong(r, e, want);
	}
	if (!current || !pulse->phases[0].na || !pulse->phases[pulse->n_phases - 1].na)
		return wrong(r, e, "phases that begin and end with a current; pauses before and behind are "
				   "start_us, period_us and tail_us");
	return 0;
}

/* Either a period or a rate, and only if something is repeated. */
static int read_repeat(const struct reading *r, const char *count, const char *period,
		       unsigned int scale, const char *rate, struct stimulus_repeat *out)
{
	uint64_t n = 1;
	int rc = number(r, count, 0, 1, COUNT_MAX, &n, &out->line);
	int p, q = 0;

	out->count = (uint32_t)n;
	p = number(r, period, scale, 1, TIME_MAX_NS, &out->period_ns, &out->line);
	if (rate)
		q = number(r, rate, UHZ, 1, 1000000000000ull, &out->rate_uhz, &out->line);
	if (rc < 0 || p < 0 || q < 0)
		return -1;
	if (p && q)
		return problem_at(r->problem, r->conf->path, out->line,
				  "[%s]: there is %s and %s: remove one", r->section->name, period, rate);
	if (n > 1 && !p && !q)
		return problem_at(r->problem, r->conf->path, out->line,
				  "[%s]: %s = %llu, but not how often: add %s%s%s", r->section->name,
				  count, (unsigned long long)n, period, rate ? " or " : "",
				  rate ? rate : "");
	return 0;
}

static int read_pulse(struct reading *r)
{
	static const char *const known[] = {
		"contacts", "phases", "pulses", "period_us", "rate_hz", "trains", "train_period_ms",
		"start_us", "stagger_us", NULL
	};
	struct stimulus_pulse *p = r->pulse;
	const struct conf_entry *e;

	snprintf(p->name, sizeof(p->name), "%s", r->section->name + strlen("pulse "));
	p->line = r->section->line;
	if (conf_known(r->conf, r->section, known, r->problem) < 0)
		return -1;
	e = conf_entry(r->section, "contacts");
	if (!e)
		return missing(r, "contacts", "which contacts get it, such as contacts = 0-3, 17");
	r->line = e->line;
	if (conf_contacts(r->conf, e, r->s->kind == ONI_STIM_HS64 ? 0 : ONI_STIM_CONTACTS - 1, false,
			  add_contact, r, r->problem) < 0)
		return -1;
	if (read_phases(r) < 0 ||
	    read_repeat(r, "pulses", "period_us", US, "rate_hz", &p->pulses) < 0 ||
	    read_repeat(r, "trains", "train_period_ms", MS, NULL, &p->trains) < 0)
		return -1;
	return number(r, "start_us", US, 0, TIME_MAX_NS, &p->start_ns, &p->start_line) < 0 ||
	       number(r, "stagger_us", US, 0, TIME_MAX_NS, &p->stagger_ns, &p->stagger_line) < 0 ?
	       -1 : 0;
}

static int read_sections(struct reading *r)
{
	unsigned int most;

	if (read_head(r) < 0)
		return -1;
	most = r->s->kind == ONI_STIM_HS64 ? 1 : STIMULUS_PULSES;
	for (size_t i = 0; i < r->conf->count; i++) {
		r->section = &r->conf->sections[i];
		if (!strcmp(r->section->name, "stimulus"))
			continue;
		if (strncmp(r->section->name, "pulse ", 6) || !r->section->name[6])
			return problem_at(r->problem, r->conf->path, r->section->line,
					  "section [%s] is not known: use [stimulus] and [pulse NAME]",
					  r->section->name);
		if (r->s->n_pulses == most)
			return problem_at(r->problem, r->conf->path, r->section->line,
					  "[%s]: at most %u [pulse] sections are possible for this "
					  "headstage: remove some", r->section->name, most);
		r->pulse = &r->s->pulses[r->s->n_pulses++];
		if (read_pulse(r) < 0)
			return -1;
	}
	if (!r->s->n_pulses)
		return problem_at(r->problem, r->conf->path, 0, "there is nothing to stimulate: add a "
				  "section [pulse NAME] with contacts and phases");
	return 0;
}

static int finish(struct stimulus *s, struct conf *conf, int rc, struct problem *problem)
{
	struct reading r = { .conf = conf, .s = s, .problem = problem };

	memset(s, 0, sizeof(*s));
	snprintf(s->path, sizeof(s->path), "%s", conf->path);
	if (!rc)
		rc = read_sections(&r);
	conf_free(conf);
	return rc;
}

int stimulus_read(struct stimulus *s, const char *path, struct problem *problem)
{
	struct conf conf;
	int rc = conf_read(&conf, path, problem);

	return finish(s, &conf, rc, problem);
}

int stimulus_parse(struct stimulus *s, const char *path, const char *text, size_t len,
		   struct problem *problem)
{
	struct conf conf;
	int rc = conf_parse(&conf, path, text, len, problem);

	return finish(s, &conf, rc, problem);
}
