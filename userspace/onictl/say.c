// SPDX-License-Identifier: MIT
/*
 * say.c - errors of the library, in words.
 */
#include <stdio.h>
#include <string.h>

#include "onictl.h"

static int failed(enum onidev_op op, int error, const char *what, const char *why)
{
	const char *name = strerrorname_np(error);

	fflush(stdout);
	fprintf(stderr, "onictl: cannot %s%s%s: %s (%s)\n", onidev_op_name(op), what ? " " : "",
		what ? what : "", why, name ? name : "unknown error");
	return EXIT_FAIL;
}

int op_failed(enum onidev_op op, int error, const char *what)
{
	return failed(op, error, what, onidev_explain(op, error));
}

int open_failed(int error)
{
	char why[600];

	onidev_open_explain(settings.device, settings.backend, error, why, sizeof(why));
	return failed(ONIDEV_OP_OPEN, error, settings.device, why);
}
