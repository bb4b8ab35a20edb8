/* SPDX-License-Identifier: MIT */
/*
 * The command line of a tool under test: one line, run in a child process of its own,
 * both outputs and the exit status. Behind cmocka.h and the header of the tool.
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

/* Run "<tool> <line>", both outputs into @out. The exit status, -1 if it crashed. */
static int run(const char *line, char *out, size_t len)
{
	char *argv[32] = { (char *)tool.name }, *copy = strdup(line), *save = NULL, *word;
	int fds[2], argc = 1, status;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	fflush(NULL);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		/* not exit(): the test's own memory is no leak of the tool */
		status = cli_main(argc, argv);
		fflush(NULL);
		_exit(status);
	}
	close(fds[1]);
	while (got < len - 1 && (n = read(fds[0], out + got, len - 1 - got)) > 0)
		got += (size_t)n;
	out[got] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	free(copy);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* That status, and @text somewhere in what was said; with wrong usage one hint. */
static void expect(const char *line, int status, const char *text)
{
	static char out[100000];
	int got = run(line, out, sizeof(out));

	if (got != status || !strstr(out, text))
		fail_msg("%s %s: status %d, expected %d with '%s':\n%s", tool.name, line, got,
			 status, text, out);
	if (status == EXIT_USAGE && !strstr(out, "--help'."))
		fail_msg("%s %s: no hint:\n%s", tool.name, line, out);
}

#endif
