/* SPDX-License-Identifier: MIT */
/*
 * onictl.h - what the subcommands of onictl share.
 */
#ifndef ONICTL_H
#define ONICTL_H

#include <onidev.h>

#include "cli/cli.h"

/* --- say.c ------------------------------------------------------------------ */

/*
 * "onictl: cannot <op> <what>: <sentence> (ENAME)"; @what may be NULL. Returns
 * EXIT_FAIL, so that a command can return it.
 */
int op_failed(enum onidev_op op, int error, const char *what);
/* The same for settings.device, which could not be opened; names what is in the way. */
int open_failed(int error);

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
	int quiet;			/* do not say that it starts */
	/*
	 * Look at the stream of another program if there is one, instead of starting
	 * an acquisition.
	 */
	int monitor;

	/* valid while and after running */
	int watching;			/* it is the stream of another program */
	uint32_t acquisition;		/* ring generation that @table and @counts are of */
	struct onidev_controller *ctl;
	struct onidev_table *table;
	struct onidev_stream *stream;
	struct onidev_clock *clock;
	struct oni_info info;
	struct count *counts;		/* one for each row of the table */
	struct onidev_stream_status status;
	double elapsed;			/* seconds */
};

/*
 * Claim, start, read until the end, stop, drain; or look at a running acquisition.
 * EXIT_OK or EXIT_FAIL after saying why.
 */
int run_acquisition(struct run *run);
void run_free(struct run *run);

/* --- commands -------------------------------------------------------------------- */

extern const struct command cmd_list, cmd_info, cmd_devices, cmd_stats, cmd_reg, cmd_enable,
	cmd_disable, cmd_port, cmd_reset, cmd_start, cmd_stop, cmd_watch, cmd_clock,
	cmd_rhythm, cmd_policy;

#endif
