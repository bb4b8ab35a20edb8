// SPDX-License-Identifier: MIT
/* unit-sources: userspace/lib/explain.c */
/*
 * Every errno that <linux/oni.h> lists has a sentence with a remedy, for every call
 * it can come from; no two errnos of a call share one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "onidev.h"

#define MAX_ERRORS	10

/* "Common errors of every ioctl" */
static const int common[] = {
	ENOTTY, EINVAL, E2BIG, EFAULT, EPERM, EOPNOTSUPP, ENODEV, EIO, ETIMEDOUT, ENOMEM, EINTR,
};

#define COMMON	(sizeof(common) / sizeof(common[0]))

/* The errors listed with each call; @exact: they are all, the common ones do not apply. */
static const struct {
	enum onidev_op op;
	int exact;
	int errors[MAX_ERRORS];
} documented[] = {
	{ ONIDEV_OP_OPEN, 1, { ENOENT, ENODEV, ENXIO, EACCES, ENOTTY, EPERM, ENOMEM, EMFILE } },
	{ ONIDEV_OP_INFO, 0, { 0 } },
	{ ONIDEV_OP_DEVICE_TABLE, 0, { EMSGSIZE } },
	{ ONIDEV_OP_CLAIM, 0, { EBUSY } },
	{ ONIDEV_OP_RELEASE, 0, { EPERM } },
	{ ONIDEV_OP_RESET, 0, { EBUSY, EPROTO } },
	{ ONIDEV_OP_REG_READ, 0, { ENOENT, EREMOTEIO } },
	{ ONIDEV_OP_REG_WRITE, 0, { ENOENT, EREMOTEIO, EPERM } },
	{ ONIDEV_OP_CTL_READ, 0, { ENOENT } },
	{ ONIDEV_OP_CTL_WRITE, 0, { ENOENT, EPERM, EBUSY } },
	{ ONIDEV_OP_PORT_POWER, 0,
	  { EBUSY, ERANGE, ENOLINK, EMEDIUMTYPE, ENOENT, EOPNOTSUPP } },
	{ ONIDEV_OP_START, 0, { EBUSY, ENODATA, EINVAL } },
	{ ONIDEV_OP_STOP, 0, { 0 } },
	{ ONIDEV_OP_STREAM_CREATE, 0, { EBUSY, EINVAL, ENXIO } },
	{ ONIDEV_OP_STATS, 0, { 0 } },
	{ ONIDEV_OP_STREAM_INFO, 0, { 0 } },
	{ ONIDEV_OP_STREAM_WAKE, 0, { EINVAL } },
	{ ONIDEV_OP_STREAM_MAP, 1, { EPERM, EINVAL, ENOMEM, ENODEV, EAGAIN } },
	{ ONIDEV_OP_STREAM_READ, 1, { EAGAIN, ENODEV, EIO, EPROTO, EINTR, EFAULT, EOVERFLOW } },
	{ ONIDEV_OP_FRAME_NEXT, 1, { EPROTO, EINVAL, EOVERFLOW } },
	{ ONIDEV_OP_FRAME_WRITE, 1,
	  { EPERM, ENOENT, EINVAL, EOPNOTSUPP, EBADF, ENODEV, EIO, ETIMEDOUT, EAGAIN } },
	{ ONIDEV_OP_MONITOR_CREATE, 0, { ENODATA, EBUSY, EINVAL } },
	{ ONIDEV_OP_REG_BATCH, 0, { ENOENT, EREMOTEIO, EINVAL, EPERM, EINTR } },
};

#define DOCUMENTED	(sizeof(documented) / sizeof(documented[0]))

static const char *fallback(void)
{
	return onidev_explain(ONIDEV_OP_INFO, 9999);
}

static void check_sentence(enum onidev_op op, int error)
{
	const char *s = onidev_explain(op, error);

	if (s == fallback())
		fail_msg("'%s', %s: no sentence", onidev_op_name(op), strerror(error));
	/* what is wrong, then the remedy; a clause, not a paragraph */
	if (!strchr(s, ':') || strlen(s) < 40 || strlen(s) > 260)
		fail_msg("'%s', %s: '%s'", onidev_op_name(op), strerror(error), s);
	if (strchr(s, '\n') || s[strlen(s) - 1] == '.' || strstr(s, "  "))
		fail_msg("'%s', %s: bad form: '%s'", onidev_op_name(op), strerror(error), s);
}

/* All errors of call @i, the common ones included unless listed. */
static size_t errors_of(size_t i, int *out)
{
	size_t n = 0, j;

	for (j = 0; j < MAX_ERRORS && documented[i].errors[j]; j++)
		out[n++] = documented[i].errors[j];
	for (j = 0; !documented[i].exact && j < COMMON; j++) {
		size_t k = 0;

		while (k < n && out[k] != common[j])
			k++;
		if (k == n)
			out[n++] = common[j];
	}
	return n;
}

static void test_every_documented_errno(void **state)
{
	int errors[MAX_ERRORS + COMMON];
	size_t i, j, n;

	(void)state;
	for (i = 0; i < DOCUMENTED; i++) {
		n = errors_of(i, errors);
		for (j = 0; j < n; j++)
			check_sentence(documented[i].op, errors[j]);
	}
}

static void test_sentences_differ(void **state)
{
	int errors[MAX_ERRORS + COMMON];
	size_t i, j, k, n;

	(void)state;
	for (i = 0; i < DOCUMENTED; i++) {
		n = errors_of(i, errors);
		for (j = 0; j < n; j++)
			for (k = 0; k < j; k++)
				assert_string_not_equal(
					onidev_explain(documented[i].op, errors[j]),
					onidev_explain(documented[i].op, errors[k]));
	}
}

static void test_every_call_is_covered(void **state)
{
	size_t i, op;

	(void)state;
	for (op = 0; op < ONIDEV_OP_COUNT; op++) {
		for (i = 0; i < DOCUMENTED && documented[i].op != op; i++)
			;
		assert_true(i < DOCUMENTED);
		assert_non_null(onidev_op_name((enum onidev_op)op));
	}
}

/* The remedy for the same errno depends on what was tried. */
static void test_own_sentences_win(void **state)
{
	(void)state;
	assert_string_not_equal(onidev_explain(ONIDEV_OP_START, EBUSY),
				onidev_explain(ONIDEV_OP_CLAIM, EBUSY));
	assert_string_not_equal(onidev_explain(ONIDEV_OP_REG_WRITE, EPERM),
				onidev_explain(ONIDEV_OP_RELEASE, EPERM));
	assert_string_not_equal(onidev_explain(ONIDEV_OP_OPEN, ENODEV),
				onidev_explain(ONIDEV_OP_INFO, ENODEV));
}

static void test_unknown(void **state)
{
	(void)state;
	assert_non_null(strstr(onidev_explain(ONIDEV_OP_INFO, 9999), "dmesg"));
	assert_non_null(onidev_explain((enum onidev_op)999, EPERM));
	assert_non_null(onidev_explain((enum onidev_op)-1, 9999));
	assert_non_null(onidev_op_name((enum onidev_op)-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_documented_errno),
		cmocka_unit_test(test_sentences_differ),
		cmocka_unit_test(test_every_call_is_covered),
		cmocka_unit_test(test_own_sentences_win),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
