// SPDX-License-Identifier: MIT
/* unit-sources: userspace/onistim/conf.c userspace/onistim/decimal.c userspace/onistim/policy.c userspace/onistim/words.c */
/* unit-sources: driver/oni_stim_check.c */
/* unit-libs: -linih -lgmp */
/* unit-cflags: -Iuserspace/onistim */
/*
 * Policy files (userspace/onistim): what is read is what was written, to the last
 * digit and never more; every mistake is refused with file, line, key and remedy,
 * and nothing of such a file holds. Verdicts in words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <gmp.h>

#include "decimal.h"
#include "policy.h"
#include "words.h"

/* ---- decimal numbers --------------------------------------------------------- */
static void expect_number(const char *text, unsigned int scale, int64_t value, bool exact)
{
	int64_t v = -77;
	bool e = !exact;

	if (decimal_parse(text, scale, &v, &e) < 0 || v != value || e != exact)
		fail_msg("'%s': %lld, exact %d", text, (long long)v, e);
}

static void expect_no_number(const char *text, unsigned int scale, int error)
{
	int64_t v;
	bool e;

	errno = 0;
	if (decimal_parse(text, scale, &v, &e) == 0 || errno != error)
		fail_msg("'%s' was taken, or errno %d", text, errno);
}

static void numbers_are_exact(void **state)
{
	(void)state;
	expect_number("0", 3, 0, true);
	expect_number("1", 3, 1000, true);
	/* 0.1 + 0.2, 4.35 * 100 and the like are wrong in binary floating point. */
	expect_number("0.3", 3, 300, true);
	expect_number("4.35", 2, 435, true);
	expect_number("1.005", 3, 1005, true);
	expect_number("9007199254740993", 0, 9007199254740993, true);
	expect_number("9223372036854775807", 0, INT64_MAX, true);
	expect_number("-9223372036854775.807", 3, -INT64_MAX, true);
	expect_number("+100", 0, 100, true);
	expect_number("007", 0, 7, true);
	expect_number("1.5000", 1, 15, true);
}

static void finer_than_the_scale_is_cut_off(void **state)
{
	(void)state;
	expect_number("1.9999", 3, 1999, false);
	expect_number("0.0009", 3, 0, false);
	expect_number("-1.9999", 3, -1999, false);
	expect_number("1.50001", 1, 15, false);
}

static void what_is_no_number(void **state)
{
	static const char *const no[] = {
		"", " 1", "1 ", "1e3", "0x10", "1.", ".5", "1,5", "--1", "+-1", "nan", "inf", "1_0", "1.5.5",
		"-", "+",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		expect_no_number(no[i], 3, EINVAL);
	expect_no_number("9223372036854775808", 0, ERANGE);
	expect_no_number("9223372036854775.808", 3, ERANGE);
	expect_no_number("99999999999999999999999999", 0, ERANGE);
	expect_no_number("9223372036854775807", 1, ERANGE);
}

static void numbers_are_written_as_they_are_read(void **state)
{
	static const struct {
		uint64_t value;
		unsigned int scale;
		const char *text;
	} t[] = {
		{ 0, 0, "0" }, { 0, 3, "0" }, { 1, 3, "0.001" }, { 1000, 3, "1" }, { 1500, 3, "1.5" },
		{ 120, 0, "120" }, { UINT64_MAX, 0, "18446744073709551615" },
		{ UINT64_MAX, 6, "18446744073709.551615" },
	};
	char buf[DECIMAL_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_string_equal(decimal_text(buf, t[i].value, t[i].scale), t[i].text);
	assert_string_equal(decimal_signed(buf, -1500, 3, true), "-1.5");
	assert_string_equal(decimal_signed(buf, 1500, 3, true), "+1.5");
	assert_string_equal(decimal_signed(buf, 0, 3, true), "0");
	assert_string_equal(decimal_signed(buf, INT64_MIN, 0, false), "-9223372036854775808");
}

/* ---- Shannon ------------------------------------------------------------------- */

/* n^1000 <= 10^m < (n + 1)^1000, for each k with three decimals. */
static void shannon_is_rounded_down_exactly(void **state)
{
	mpz_t ten, power;
	int k;

	(void)state;
	mpz_inits(ten, power, NULL);
	for (k = -4000; k <= 4000; k++) {
		uint64_t n = policy_shannon(k);

		mpz_ui_pow_ui(ten, 10, (unsigned long)(k + 4000));
		mpz_ui_pow_ui(power, n, 1000);
		if (mpz_cmp(power, ten) > 0)
			fail_msg("k = %d: %llu is too much", k, (unsigned long long)n);
		mpz_ui_pow_ui(power, n + 1, 1000);
		if (mpz_cmp(power, ten) <= 0)
			fail_msg("k = %d: %llu is too little", k, (unsigned long long)n);
	}
	mpz_clears(ten, power, NULL);
}

static void shannon_of_the_literature(void **state)
{
	(void)state;
	assert_int_equal(policy_shannon(1000), 100000);
	assert_int_equal(policy_shannon(1500), 316227);		/* 316227.766: not 316228 */
	assert_int_equal(policy_shannon(1750), 562341);
	assert_int_equal(policy_shannon(1850), 707945);		/* 707945.784 */
	assert_int_equal(policy_shannon(2000), 1000000);
	assert_int_equal(policy_shannon(-4000), 1);
	assert_int_equal(policy_shannon(4000), 100000000);
}

/* ---- files ------------------------------------------------------------------------ */
static const char head[] =
	"[policy]\n"
	"name = bench\n"
	"hs64 = any\n"
	"duty_window_ms = 1000\n"
	"require_audit = no\n";

static const char tip[] =
	"[class tip]\n"
	"contacts = 0-15, 20\n"
	"area_um2 = 2000\n"
	"amplitude_ua = 100\n"
	"charge_nc = 4\n"
	"density_uc_cm2 = 200\n"
	"shannon_k = 1.5\n"
	"net_pc = 0\n"
	"width_us = 400\n"
	"gap_us = 100\n"
	"rate_hz = 300\n"
	"duty_percent = 24\n"
	"train_ms = 1000\n"
	"watchdog_ms = 100\n"
	"external = no\n";

static const char back[] =
	"[class return]\n"
	"contacts = return\n"
	"area_um2 = 1960000\n"
	"amplitude_ua = 800\n"
	"charge_nc = 588\n"
	"density_uc_cm2 = 30\n"
	"shannon_k = 1.5\n"
	"net_pc = 0\n"
	"width_us = 3200\n"
	"gap_us = 1000\n"
	"rate_hz = 2400\n"
	"duty_percent = 100\n"
	"train_ms = 1000\n"
	"watchdog_ms = 100\n"
	"external = no\n";

struct file {
	char text[20000];
	struct policy policy;
	struct problem problem;
};

static void whole(struct file *f)
{
	snprintf(f->text, sizeof(f->text), "%s%s%s", head, tip, back);
}

/* Replace the first @old, which must be there. */
static void change(struct file *f, const char *old, const char *new)
{
	char copy[sizeof(f->text)], *at = strstr(f->text, old);

	if (!at)
		fail_msg("the test's file has no '%s'", old);
	strcpy(copy, at + strlen(old));
	snprintf(at, sizeof(f->text) - (size_t)(at - f->text), "%s%s", new, copy);
}

static int parse(struct file *f)
{
	memset(&f->policy, 0xa5, sizeof(f->policy));
	return policy_parse(&f->policy, "a.ini", f->text, strlen(f->text), &f->problem);
}

static void taken(struct file *f)
{
	if (parse(f) < 0)
		fail_msg("%s", f->problem.text);
}

static bool all_zero(const void *p, size_t n)
{
	const unsigned char *c = p;

	while (n--)
		if (*c++)
			return false;
	return true;
}

/* @where "a.ini:7:" and each of the other texts are in the message, up to NULL. */
static void refused(struct file *f, ...)
{
	const char *text;
	va_list ap;

	if (parse(f) == 0)
		fail_msg("was taken:\n%s", f->text);
	if (!all_zero(&f->policy, sizeof(f->policy)))
		fail_msg("something of a refused file holds");
	va_start(ap, f);
	while ((text = va_arg(ap, const char *)))
		if (!strstr(f->problem.text, text))
			fail_msg("no '%s' in '%s'", text, f->problem.text);
	va_end(ap);
}

/* One line is another; the mistake is on @line. */
static void refused_line(struct file *f, const char *old, const char *new, ...)
{
	const char *text;
	va_list ap;

	whole(f);
	change(f, old, new);
	if (parse(f) == 0)
		fail_msg("'%s' was taken", new);
	if (!all_zero(&f->policy, sizeof(f->policy)))
		fail_msg("something of a refused file holds");
	va_start(ap, new);
	while ((text = va_arg(ap, const char *)))
		if (!strstr(f->problem.text, text))
			fail_msg("'%s': no '%s' in '%s'", new, text, f->problem.text);
	va_end(ap);
}

static void every_number_where_it_belongs(void **state)
{
	struct file *f = *state;
	const struct oni_stim_policy *p = &f->policy.uapi;
	const struct oni_stim_class *c = &p->cls[0];
	uint32_t i;

	whole(f);
	taken(f);
	assert_string_equal(f->policy.name, "bench");
	assert_int_equal(f->policy.flags, 0);
	assert_int_equal(f->policy.hub, 0);
	assert_string_equal(f->policy.class_name[0], "tip");
	assert_string_equal(f->policy.class_name[1], "return");
	assert_int_equal(p->size, sizeof(*p));
	assert_int_equal(p->version, ONI_STIM_VERSION);
	assert_int_equal(p->classes, 2);
	assert_int_equal(p->hs64_readings, ONI_STIM_HS64_ANY);
	assert_int_equal(p->duty_window_ns, 1000000000);
	for (i = 0; i < ONI_STIM_CONTACT_SLOTS; i++)
		assert_int_equal(p->class_of[i], i <= 15 || i == 20 ? 1 : i == ONI_STIM_RETURN ? 2 : 0);
	assert_int_equal(c->max[ONI_STIM_AREA], 2000);
	assert_int_equal(c->max[ONI_STIM_AMPLITUDE], 100000);
	assert_int_equal(c->max[ONI_STIM_CHARGE], 4000000);
	assert_int_equal(c->max[ONI_STIM_DENSITY], 200000);
	assert_int_equal(c->max[ONI_STIM_SHANNON], 316227);
	assert_int_equal(c->max[ONI_STIM_NET], 0);
	assert_int_equal(c->max[ONI_STIM_WIDTH], 400000);
	assert_int_equal(c->max[ONI_STIM_GAP], 100000);
	assert_int_equal(c->max[ONI_STIM_RATE], 300000);
	assert_int_equal(c->max[ONI_STIM_DUTY], 240000);
	assert_int_equal(c->max[ONI_STIM_TRAIN], 1000000000);
	assert_int_equal(c->max[ONI_STIM_WATCHDOG], 100);
	assert_int_equal(c->max[ONI_STIM_EXTERNAL], 0);
	for (i = 0; i < ONI_STIM_LIMIT_SLOTS; i++)
		assert_int_equal(c->source[i], i < ONI_STIM_LIMITS ? ONI_STIM_BY_POLICY : 0);
	assert_true(all_zero(&p->cls[2], 6 * sizeof(p->cls[2])));
	whole(f);
	change(f, "require_audit = no", "require_audit = yes\nhub = 2");
	change(f, "external = no", "external = yes");
	taken(f);
	assert_int_equal(f->policy.flags, ONI_STIM_POLICY_AUDIT);
	assert_int_equal(f->policy.hub, 2);
	assert_int_equal(c->max[ONI_STIM_EXTERNAL], 1);
}

static void ceilings_are_never_rounded_up(void **state)
{
	struct file *f = *state;
	const struct oni_stim_class *c = &f->policy.uapi.cls[0];

	whole(f);
	change(f, "amplitude_ua = 100", "amplitude_ua = 99.9999");
	change(f, "charge_nc = 4", "charge_nc = 3.9999999");
	change(f, "area_um2 = 2000", "area_um2 = 1999.9");
	change(f, "watchdog_ms = 100", "watchdog_ms = 99.9");
	change(f, "rate_hz = 300", "rate_hz = 0.1");
	taken(f);
	assert_int_equal(c->max[ONI_STIM_AMPLITUDE], 99999);
	assert_int_equal(c->max[ONI_STIM_CHARGE], 3999999);
	assert_int_equal(c->max[ONI_STIM_AREA], 1999);
	assert_int_equal(c->max[ONI_STIM_WATCHDOG], 99);
	assert_int_equal(c->max[ONI_STIM_RATE], 100);
}

static void comments_blank_lines_and_order(void **state)
{
	struct file *f = *state;

	snprintf(f->text, sizeof(f->text), "\n# a comment\n; another\n\n%s\n%s%s", back, tip, head);
	change(f, "charge_nc = 588", "charge_nc = 588\t\t; at 30 uC/cm2");
	taken(f);
	assert_int_equal(f->policy.uapi.cls[0].max[ONI_STIM_CHARGE], 588000000);
	/* A comment may be as long as it likes. */
	whole(f);
	memset(f->text + strlen(f->text), 0, 1);
	strcat(f->text, "# ");
	memset(f->text + strlen(f->text), 'x', 500);
	taken(f);
}

static void a_mistake_in_a_number(void **state)
{
	struct file *f = *state;

	refused_line(f, "amplitude_ua = 100", "amplitude_ua = 1e2", "a.ini:9:", "amplitude_ua", "uA", NULL);
	refused_line(f, "amplitude_ua = 100", "amplitude_ua = -100", "a.ini:9:", "no sign", NULL);
	refused_line(f, "amplitude_ua = 100", "amplitude_ua = 100 # full", "a.ini:9:", NULL);
	refused_line(f, "amplitude_ua = 100", "amplitude_ua = 2550.0001", "a.ini:9:", "2550 uA", NULL);
	refused_line(f, "amplitude_ua = 100", "amplitude_ua = 99999999999999999999", "a.ini:9:", NULL);
	refused_line(f, "amplitude_ua = 100", "amplitude_ua = 0.0001", "a.ini:9:", "become 0", NULL);
	refused_line(f, "amplitude_ua = 100", "amplitude_ua =", "a.ini:9:", "no value", NULL);
	refused_line(f, "width_us = 400", "width_us = 5000.001", "a.ini:14:", "5000", NULL);
	refused_line(f, "duty_percent = 24", "duty_percent = 100.1", "a.ini:17:", "100", NULL);
	refused_line(f, "train_ms = 1000", "train_ms = 10001", "a.ini:18:", "10000", NULL);
	refused_line(f, "watchdog_ms = 100", "watchdog_ms = 0.5", "a.ini:19:", "become 0", NULL);
	refused_line(f, "shannon_k = 1.5", "shannon_k = 1.5001", "a.ini:12:", "three decimals", NULL);
	refused_line(f, "shannon_k = 1.5", "shannon_k = 4.001", "a.ini:12:", "-4 to 4", NULL);
	refused_line(f, "shannon_k = 1.5", "shannon_k = -4.001", "a.ini:12:", NULL);
	refused_line(f, "external = no", "external = maybe", "a.ini:20:", "yes or no", NULL);
	refused_line(f, "duty_window_ms = 1000", "duty_window_ms = 0.5", "a.ini:4:", "1 to 3600000", NULL);
	refused_line(f, "duty_window_ms = 1000", "duty_window_ms = 1.0000001", "a.ini:4:", NULL);
	refused_line(f, "hs64 = any", "hs64 = 1us", "a.ini:3:", "pause", NULL);
	refused_line(f, "hs64 = any", "hs64 = 1us pause often", "a.ini:3:", NULL);
	refused_line(f, "hs64 = any", "hs64 = any\nhub = 256", "a.ini:4:", "1 to 255", NULL);
	refused_line(f, "hs64 = any", "hs64 = any\nhub = 0", "a.ini:4:", "1 to 255", NULL);
	/* The return may get the sum of all. */
	whole(f);
	change(f, "amplitude_ua = 800", "amplitude_ua = 81600");
	taken(f);
	refused_line(f, "amplitude_ua = 800", "amplitude_ua = 81600.001", "a.ini:24:", "81600", NULL);
}

static void zero_is_a_bound_like_any_other(void **state)
{
	struct file *f = *state;

	whole(f);
	change(f, "area_um2 = 2000", "area_um2 = 0");
	change(f, "amplitude_ua = 100", "amplitude_ua = 0");
	taken(f);
	assert_int_equal(f->policy.uapi.cls[0].max[ONI_STIM_AREA], 0);
	assert_int_equal(f->policy.uapi.cls[0].max[ONI_STIM_AMPLITUDE], 0);
}

static void every_key_is_needed(void **state)
{
	static const char *const keys[] = {
		"name", "hs64", "duty_window_ms", "require_audit", "contacts", "area_um2", "amplitude_ua",
		"charge_nc", "density_uc_cm2", "shannon_k", "net_pc", "width_us", "gap_us", "rate_hz",
		"duty_percent", "train_ms", "watchdog_ms", "external",
	};
	struct file *f = *state;
	char key[60];
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		whole(f);
		snprintf(key, sizeof(key), "\n%s =", keys[i]);
		change(f, key, "\n# x =");
		snprintf(key, sizeof(key), "key '%s'", keys[i]);
		refused(f, i < 4 ? "a.ini:1: [policy]" : "a.ini:6: [class tip]", key, "missing", "add it", NULL);
	}
}

static void what_is_not_known(void **state)
{
	struct file *f = *state;

	refused_line(f, "gap_us", "gab_us", "a.ini:15:", "key 'gab_us' is not known", "gap_us", NULL);
	refused_line(f, "hs64 = any", "hs46 = any", "a.ini:3:", "hs46", "duty_window_ms", NULL);
	refused_line(f, "[class tip]", "[klass tip]", "a.ini:6:", "[klass tip]", "[class NAME]", NULL);
	refused_line(f, "[class tip]", "[class ]", "a.ini:6:", NULL);
	refused_line(f, "[policy]", "[Policy]", "a.ini", "[policy]", NULL);
	refused_line(f, "gap_us = 100", "gap_us 100", "a.ini:15:", "key = value", NULL);
}

static void said_twice(void **state)
{
	struct file *f = *state;

	refused_line(f, "gap_us = 100", "gap_us = 100\ngap_us = 200", "a.ini:16:", "'gap_us'", "line 15", NULL);
	refused_line(f, "[class return]", "[class tip]", "a.ini:21:", "line 6", NULL);
	refused_line(f, "contacts = return", "contacts = return, 20", "a.ini:22:", "contact 20", "[class tip]",
		     "line 7", NULL);
	refused_line(f, "0-15, 20", "0-15, 15", "a.ini:7:", "contact 15", NULL);
	refused_line(f, "0-15, 20", "0-15, return", "a.ini:22:", "the return", NULL);
	/* inih would take an indented line for more of the value above. */
	refused_line(f, "gap_us = 100", " gap_us = 100", "a.ini:15:", "blank", NULL);
}

static void lists_of_contacts(void **state)
{
	static const char *const wrong[] = {
		"32", "0-32", "5-3", "-1", "0-", "0,,1", "0,", "1 2", "a", "return-1", "0x1", "4294967296",
	};
	struct file *f = *state;
	char line[60];
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(line, sizeof(line), "contacts = %s", wrong[i]);
		refused_line(f, "contacts = 0-15, 20", line, "a.ini:7:", "0 to 31", NULL);
	}
	whole(f);
	change(f, "0-15, 20", "31 , 3 - 4,7");
	taken(f);
	for (i = 0; i < ONI_STIM_CONTACTS; i++)
		assert_int_equal(f->policy.uapi.class_of[i], i == 31 || i == 3 || i == 4 || i == 7);
}

static void what_inih_would_cut_off(void **state)
{
	struct file *f = *state;
	char line[400];

	/* 199 bytes: the rest would be a line of its own. */
	memset(line, ' ', sizeof(line));
	memcpy(line, "gap_us = 100", 12);
	strcpy(line + 190, "0000000000");
	refused_line(f, "gap_us = 100", line, "a.ini:15:", "198", NULL);
	/* Names of sections end at 49 bytes. */
	refused_line(f, "[class tip]", "[class a name of forty and some more bytes]", "a.ini:6:", "39", NULL);
	refused_line(f, "[class tip]", "[class tip", "a.ini:6:", "']'", NULL);
	refused_line(f, "[class tip]", "[class tip] contacts = 3", "a.ini:6:", "']'", NULL);
	refused_line(f, "gap_us = 100\n", "gap_us = 100\r\n", "a.ini", "dos2unix", NULL);
	refused_line(f, "[policy]\n", "name = x\n[policy]\n", "a.ini:1:", "before the first section", NULL);
}

static void bytes_that_are_no_text(void **state)
{
	struct file *f = *state;
	size_t n;

	whole(f);
	n = strlen(f->text);
	f->text[n / 2] = '\0';
	memset(&f->policy, 0xa5, sizeof(f->policy));
	assert_int_equal(policy_parse(&f->policy, "a.ini", f->text, n, &f->problem), -1);
	assert_non_null(strstr(f->problem.text, "NUL"));
	assert_true(all_zero(&f->policy, sizeof(f->policy)));
}

static void classes_and_the_return(void **state)
{
	struct file *f = *state;
	char name[60];
	int i;

	snprintf(f->text, sizeof(f->text), "%s%s", head, tip);
	refused(f, "a.ini", "'return'", "add it", NULL);
	snprintf(f->text, sizeof(f->text), "%s", head);
	refused(f, "a.ini", "no electrode class", NULL);
	snprintf(f->text, sizeof(f->text), "%s%s", tip, back);
	refused(f, "a.ini", "[policy]", NULL);
	/* Eight classes are all there are. */
	snprintf(f->text, sizeof(f->text), "%s%s", head, back);
	for (i = 0; i < 8; i++) {
		strcat(f->text, tip);
		snprintf(name, sizeof(name), "[class n%d]", i);
		change(f, "[class tip]", name);
		snprintf(name, sizeof(name), "contacts = %d\n", i);
		change(f, "contacts = 0-15, 20\n", name);
		if (i < 7)
			taken(f);
	}
	refused(f, "a.ini:126:", "8 classes", NULL);
}

static void a_file_that_cannot_be_read(void **state)
{
	struct file *f = *state;

	assert_int_equal(policy_read(&f->policy, "/nonexistent/p.ini", &f->problem), -1);
	assert_non_null(strstr(f->problem.text, "/nonexistent/p.ini: cannot read it: No such file"));
	assert_int_equal(policy_read(&f->policy, "/", &f->problem), -1);
	assert_int_equal(policy_read(&f->policy, "/dev/zero", &f->problem), -1);
	assert_non_null(strstr(f->problem.text, "1 MiB"));
}

static const char *const ready[] = { "utah", "micro-ecog", "clinical-ecog", "dbs", "hs64-bench" };

#define READY	(sizeof(ready) / sizeof(ready[0]))

static void ready_path(char *path, size_t len, const char *name)
{
	const char *top = getenv("TOP");

	snprintf(path, len, "%s/userspace/policies/%s.ini", top ? top : ".", name);
}

/* What is installed can be used, and leaves no charge in tissue. */
static void the_ready_policies(void **state)
{
	struct file *f = *state;
	char path[500];
	size_t i;
	uint32_t n;

	for (i = 0; i < READY; i++) {
		ready_path(path, sizeof(path), ready[i]);
		if (policy_read(&f->policy, path, &f->problem) < 0)
			fail_msg("%s", f->problem.text);
		for (n = 0; n < f->policy.uapi.classes; n++) {
			assert_int_equal(f->policy.uapi.cls[n].max[ONI_STIM_EXTERNAL], 0);
			assert_true(!strcmp(ready[i], "hs64-bench") || !f->policy.uapi.cls[n].max[ONI_STIM_NET]);
			assert_true(f->policy.uapi.cls[n].max[ONI_STIM_SHANNON] <= policy_shannon(1500));
		}
	}
}

/* "key = number", and behind it a tag that says where the number comes from */
static void each_number_of_them_has_a_source(void **state)
{
	static const char *const tags[] = { "[page]", "[calc]", "[notes]", "[own]" };
	char path[500], line[300];
	unsigned int numbers = 0;
	const char *value;
	size_t i, t;
	FILE *in;

	(void)state;
	for (i = 0; i < READY; i++) {
		ready_path(path, sizeof(path), ready[i]);
		in = fopen(path, "r");
		assert_non_null(in);
		while (fgets(line, sizeof(line), in)) {
			value = strstr(line, " = ");
			if (*line == '#' || !value || !strchr("-0123456789", value[3]) ||
			    !strncmp(line, "contacts", 8))
				continue;
			numbers++;
			for (t = 0; t < sizeof(tags) / sizeof(tags[0]) && !strstr(line, tags[t]); t++)
				;
			if (t == sizeof(tags) / sizeof(tags[0]))
				fail_msg("%s: no source: %s", path, line);
		}
		fclose(in);
	}
	/* nine classes of twelve numbers, and a window for each file */
	assert_int_equal(numbers, 9 * 12 + READY);
}

/* ---- words ------------------------------------------------------------------------- */
static void expect_words(struct oni_stim_verdict v, ...)
{
	char text[1000];
	const char *want;
	va_list ap;

	words_verdict(text, sizeof(text), &v);
	va_start(ap, v);
	while ((want = va_arg(ap, const char *)))
		if (!strstr(text, want))
			fail_msg("no '%s' in '%s'", want, text);
	va_end(ap);
}

static void a_bound_names_who_and_by_how_much(void **state)
{
	(void)state;
	expect_words((struct oni_stim_verdict){ .code = ONI_STIM_CHARGE, .contact = 3, .asked = 19872000,
		     .allowed = 4000000, .source = ONI_STIM_BY_POLICY },
		     "contact 3: charge of a phase: 19.872 nC is asked for, 4 nC is allowed by the policy",
		     ": 15.872 nC (397 %) too much", NULL);
	expect_words((struct oni_stim_verdict){ .code = ONI_STIM_NET, .contact = ONI_STIM_RETURN, .asked = 3312000,
		     .allowed = 0, .source = ONI_STIM_BY_HARDWARE },
		     "the return: ", "3312 pC is asked for, 0 pC is allowed by the hardware or the driver",
		     "3312 pC too much", NULL);
	expect_words((struct oni_stim_verdict){ .code = ONI_STIM_SHANNON, .contact = 0, .asked = 400000,
		     .allowed = 316227, .source = ONI_STIM_BY_FIRMWARE },
		     "k = 1.603 is asked for, k = 1.5 is allowed by the firmware tables", "26 % too much", NULL);
	expect_words((struct oni_stim_verdict){ .code = ONI_STIM_AMPLITUDE, .contact = 0, .asked = UINT64_MAX,
		     .allowed = 1, .source = ONI_STIM_BY_RUNTIME }, "more than can be counted",
		     "a program, at run time", NULL);
	expect_words((struct oni_stim_verdict){ .code = ONI_STIM_EXTERNAL, .contact = 1, .asked = 1,
		     .source = ONI_STIM_BY_POLICY }, "contact 1: ", "outside", "sources = register", NULL);
}

static void other_refusals_name_a_remedy(void **state)
{
	(void)state;
	expect_words((struct oni_stim_verdict){ .code = ONI_STIM_NO_POLICY, .contact = ONI_STIM_NO_CONTACT },
		     "onictl policy load", NULL);
	expect_words((struct oni_stim_verdict){ .code = ONI_STIM_UNKNOWN_CONTACT, .contact = 9 },
		     "contact 9: it is in no class", NULL);
	expect_words((struct oni_stim_verdict){ .code = ONI_STIM_NOT_MONOTONIC, .contact = ONI_STIM_NO_CONTACT,
		     .asked = 5, .allowed = 7, .where = 1 << 16 | 12 }, "row 12 of chip 1 is at 5, 7", NULL);
	expect_words((struct oni_stim_verdict){ .code = ONI_STIM_STEP_SIZE, .contact = ONI_STIM_NO_CONTACT,
		     .asked = 100 }, "100 nA", "--acquire", NULL);
	expect_words((struct oni_stim_verdict){ .code = ONI_STIM_STATE, .contact = ONI_STIM_NO_CONTACT,
		     .asked = ONI_STIM_ARMED, .allowed = ONI_STIM_LOADED }, "is LOADED and would have to be ARMED",
		     NULL);
	expect_words((struct oni_stim_verdict){ .code = ONI_STIM_FAULTED, .contact = ONI_STIM_NO_CONTACT,
		     .where = ONI_STIM_BECAUSE_WATCHDOG }, "silent", "onistim ack", NULL);
	expect_words((struct oni_stim_verdict){ .code = 4711, .contact = ONI_STIM_NO_CONTACT }, "version", NULL);
}

/* No code without a name, or a refusal would say nothing. */
static void every_code_has_a_name(void **state)
{
	uint32_t i;

	(void)state;
	for (i = ONI_STIM_AMPLITUDE; i < ONI_STIM_LIMITS; i++)
		assert_string_not_equal(words_code(i), "unknown");
	for (i = ONI_STIM_BAD_POLICY; i <= ONI_STIM_UNEQUAL_ENDS; i++)
		assert_string_not_equal(words_code(i), "unknown");
	for (i = ONI_STIM_NO_POLICY; i <= ONI_STIM_BUSY; i++)
		assert_string_not_equal(words_code(i), "unknown");
	for (i = 0; i <= ONI_STIM_BECAUSE_LOAD; i++)
		assert_null(strstr(words_because(i), "does not know"));
	for (i = ONI_STIM_BECAUSE_WATCHDOG; i <= ONI_STIM_BECAUSE_FLOOD; i++)
		assert_null(strstr(words_because(i), "does not know"));
	assert_string_equal(words_code(99), "unknown");
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct file));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_exact),
		cmocka_unit_test(finer_than_the_scale_is_cut_off),
		cmocka_unit_test(what_is_no_number),
		cmocka_unit_test(numbers_are_written_as_they_are_read),
		cmocka_unit_test(shannon_is_rounded_down_exactly),
		cmocka_unit_test(shannon_of_the_literature),
		cmocka_unit_test_setup_teardown(every_number_where_it_belongs, setup, teardown),
		cmocka_unit_test_setup_teardown(ceilings_are_never_rounded_up, setup, teardown),
		cmocka_unit_test_setup_teardown(comments_blank_lines_and_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_mistake_in_a_number, setup, teardown),
		cmocka_unit_test_setup_teardown(zero_is_a_bound_like_any_other, setup, teardown),
		cmocka_unit_test_setup_teardown(every_key_is_needed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_known, setup, teardown),
		cmocka_unit_test_setup_teardown(said_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_of_contacts, setup, teardown),
		cmocka_unit_test_setup_teardown(what_inih_would_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes_that_are_no_text, setup, teardown),
		cmocka_unit_test_setup_teardown(classes_and_the_return, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_cannot_be_read, setup, teardown),
		cmocka_unit_test_setup_teardown(the_ready_policies, setup, teardown),
		cmocka_unit_test(each_number_of_them_has_a_source),
		cmocka_unit_test(a_bound_names_who_and_by_how_much),
		cmocka_unit_test(other_refusals_name_a_remedy),
		cmocka_unit_test(every_code_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
