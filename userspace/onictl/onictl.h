/* SPDX-License-Identifier: MIT */
/*
 * onictl.h - what the subcommands of onictl share.
 *
 * One process, one thread, one subcommand. Results go to stdout, everything said
 * about them (progress, errors, notes) to stderr.
 */
#ifndef ONICTL_H
#define ONICTL_H

#include <getopt.h>
#include <jansson.h>
#include <onidev.h>

/* Exit status */
#define EXIT_OK		0
#define EXIT_FAIL	1	/* the device or an operation failed */
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
	int json;
	const struct command *command;
};
extern struct settings settings;

/* --- main.c ----------------------------------------------------------------- */

/*
 * Next option of the subcommand; -1 at the end. Common options are dealt with
 * here, wrong ones end the program with EXIT_USAGE. @longs ends with a zero row
 * and may be NULL.
 */
int next_option(int argc, char **argv, const char *shorts, const struct option *longs);
/* "onictl: ..." and EXIT_USAGE. */
void usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Wrong number of arguments after the options: usage error. @max < 0: any number. */
void expect_args(int argc, int min, int max);

/* --- say.c ------------------------------------------------------------------ */

/* Progress and notes, a line on stderr. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/*
 * "onictl: cannot <op> <what>: <sentence> (ENAME)"; @what may be NULL. Returns
 * EXIT_FAIL, so that a command can return it.
 */
int op_failed(enum onidev_op op, int error, const char *what);
/* "onictl: <text>"; EXIT_FAIL. */
int fail_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Print and free; EXIT_OK, or EXIT_FAIL when stdout failed. */
int print_json(json_t *json);
/* Did everything reach stdout? EXIT_OK or EXIT_FAIL. */
int finish_output(void);
json_t *json_u64(uint64_t v);

/* --- numbers.c: pure --------------------------------------------------------- */

/* 0, or -1 and a clause in *@why. */
int number_u32(const char *text, uint32_t *value, const char **why);
/* Volts with at most one decimal, in tenths; 0.1 to 99.9. */
int number_decivolts(const char *text, uint32_t *decivolts, const char **why);
/* Seconds, decimal, more than 0 and at most 10^7; also "90s", "5m", "2h". */
int number_seconds(const char *text, double *seconds, const char **why);
/* Bytes, also with K, M, G (powers of 1024); more than 0. */
int number_bytes(const char *text, uint64_t *bytes, const char **why);

/* The same for a command line: a usage error names the argument. */
uint32_t arg_u32(const char *what, const char *text);
double arg_seconds(const char *what, const char *text);
uint64_t arg_bytes(const char *what, const char *text);

/* --- device.c ----------------------------------------------------------------- */

/* Open settings.device; NULL after saying why. Claimed if asked to change things. */
struct onidev_controller *open_reader(void);
struct onidev_controller *open_owner(void);
/* NULL after saying why. */
struct onidev_table *load_table(struct onidev_controller *ctl);
/* Device address for @text: 0, or -1 after saying why. */
int resolve(const struct onidev_table *table, const char *text, uint32_t *addr);
/* Type behind an address, NULL when not known. Hub information devices included. */
const struct onidev_type *type_at(const struct onidev_table *table, uint32_t addr);

/* --- run.c: acquisitions in the foreground ------------------------------------- */

struct count {
	uint64_t frames;
	uint64_t bytes;
	uint64_t first_clock, last_clock;
};

struct run {
	/* set by the caller */
	struct onidev_stream_config config;
	double seconds;			/* 0: until interrupted */
	/*
	 * Called once before the start, with the table; not EXIT_OK ends it. May be
	 * NULL.
	 */
	int (*prepare)(struct run *run);
	/* Called for every frame; not 0 ends the run. May be NULL. */
	int (*frame)(struct run *run, const struct onidev_frame *frame);
	void *arg;
	int progress;			/* a line each second on a terminal */

	/* valid while and after running */
	struct onidev_controller *ctl;
	struct onidev_table *table;
	struct onidev_stream *stream;
	struct onidev_clock *clock;
	struct oni_info info;
	struct count *counts;		/* one for each row of the table */
	struct onidev_stream_status status;
	double elapsed;			/* seconds */
};

/* Claim, start, read until the end, stop, drain. EXIT_OK or EXIT_FAIL after saying why. */
int run_acquisition(struct run *run);
void run_free(struct run *run);

/* --- commands -------------------------------------------------------------------- */

extern const struct command cmd_list, cmd_info, cmd_devices, cmd_stats, cmd_reg, cmd_enable,
	cmd_disable, cmd_port, cmd_reset, cmd_start, cmd_stop, cmd_watch, cmd_clock;

#endif
