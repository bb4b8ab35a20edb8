/* SPDX-License-Identifier: MIT */
/*
 * cli.h - what tools with subcommands share: options, help, output.
 *
 * One process, one thread, one subcommand. Results go to stdout, everything said
 * about them (progress, errors, notes) to stderr. Each tool defines @tool, and its
 * main() is cli_main().
 */
#ifndef CLI_H
#define CLI_H

#include <getopt.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Exit status */
#define EXIT_OK		0
#define EXIT_FAIL	1	/* a file, the device or an operation failed */
#define EXIT_USAGE	2	/* the command line is wrong; nothing was done */

struct command {
	const char *name;
	const char *args;	/* behind the name in the usage line */
	const char *summary;	/* one line */
	const char *help;	/* paragraphs, each line ends with a newline */
	int (*run)(int argc, char **argv);
};

/* Common options, set before the subcommand runs or while it reads its own. */
struct settings {
	const char *device;	/* NULL: first */
	unsigned int backend;	/* ONIDEV_OPEN_KERNEL, ONIDEV_OPEN_USB; 0: auto */
	int json;
	const struct command *command;
};
extern struct settings settings;

/* Of common options without a letter; above those of the commands. */
#define CLI_OPTION	1000

struct tool {
	const char *name;
	const char *synopsis;	/* options in the usage line */
	const char *about;	/* one sentence */
	const char *help;	/* options and exit status, each line ends with a newline */
	int width;		/* of the longest name of a command */
	const struct command *const *commands;
	size_t count;
	/* All common options, with a zero row. -d, --json, -h, --version are dealt with. */
	const struct option *longs;
	/* Another one, from CLI_OPTION on; may be NULL. */
	void (*option)(int c, const char *arg);
	/* No such command: a usage error of its own if it returns; may be NULL. */
	void (*unknown)(const char *name);
	unsigned int interface;	/* version of the contract that it speaks */
};
extern const struct tool tool;

int cli_main(int argc, char **argv);

/*
 * Next option of the subcommand; -1 at the end. Common options are dealt with
 * here, wrong ones end the program with EXIT_USAGE. @longs ends with a zero row
 * and may be NULL.
 */
int next_option(int argc, char **argv, const char *shorts, const struct option *longs);
/* "<tool>: ..." and EXIT_USAGE. */
void usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Wrong number of arguments after the options: usage error. @max < 0: any number. */
void expect_args(int argc, int min, int max);

/* Progress and notes, a line on stderr. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "<tool>: <text>"; EXIT_FAIL. */
int fail_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Print and free; EXIT_OK, or EXIT_FAIL when stdout failed. */
int print_json(json_t *json);
/* Did everything reach stdout? EXIT_OK or EXIT_FAIL. */
int finish_output(void);
/* JSON integers are signed 64 bits here; what saturates beyond is more than can be meant. */
json_t *json_u64(uint64_t v);

#endif
