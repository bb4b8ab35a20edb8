// SPDX-License-Identifier: MIT
/*
 * say.c - output: notes and errors on stderr, results on stdout.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "onictl.h"

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int op_failed(enum onidev_op op, int error, const char *what)
{
	const char *name = strerrorname_np(error);

	fprintf(stderr, "onictl: cannot %s%s%s: %s (%s)\n", onidev_op_name(op), what ? " " : "",
		what ? what : "", onidev_explain(op, error), name ? name : "unknown error");
	return EXIT_FAIL;
}

int fail_text(const char *fmt, ...)
{
	va_list ap;

	fputs("onictl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAIL;
}

int finish_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_OK;
	return fail_text("cannot write the output: %s", strerror(errno));
}

int print_json(json_t *json)
{
	int rc;

	if (!json)
		return fail_text("out of memory");
	rc = json_dumpf(json, stdout, JSON_INDENT(2));
	json_decref(json);
	putchar('\n');
	if (rc < 0)
		return fail_text("cannot write the output: %s", strerror(errno));
	return finish_output();
}

/* JSON integers are signed 64 bits here; no counter reaches beyond. */
json_t *json_u64(uint64_t v)
{
	return json_integer((json_int_t)(v > INT64_MAX ? INT64_MAX : v));
}
