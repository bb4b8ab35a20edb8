/* SPDX-License-Identifier: MIT */
/*
 * onistim.h - what the subcommands of onistim share.
 */
#ifndef ONISTIM_H
#define ONISTIM_H

#include <onidev.h>

#include "cli/cli.h"
#include "compile.h"
#include "policy.h"

/* Exit status beside those of cli.h */
#define EXIT_REFUSED	3	/* by a bound or by the interlock */
#define EXIT_NO_DEVICE	4	/* no controller, or none that can stimulate */

/* --- main.c ------------------------------------------------------------------- */

/* Decimal numbers of the command line; a usage error names the argument. */
uint32_t arg_count(const char *what, const char *text, uint32_t least, uint32_t most);
uint64_t arg_ms(const char *what, const char *text, uint64_t least, uint64_t most);
/* Seconds with at most three decimals, in ms; -1 when it is none. */
int seconds_ms(const char *text, uint64_t least, uint64_t most, uint64_t *ms);

/* --- say.c -------------------------------------------------------------------- */

/*
 * A call of the interlock failed: says why, and returns EXIT_REFUSED for a verdict,
 * EXIT_NO_DEVICE for ENODEV, EXIT_FAIL otherwise. With --json the verdict goes to stdout.
 */
int call_failed(const char *what, int error, const struct oni_stim_verdict *verdict);
int onidev_failed(enum onidev_op op, int error);
json_t *json_verdict(const struct oni_stim_verdict *verdict);
json_t *json_hash(const uint8_t *hash);
/* 64 hex digits and a NUL; returns @buf. */
char *hash_text(char *buf, const uint8_t *hash);

/* --- work.c: what several commands do ------------------------------------------ */

struct work {
	struct stimulus stimulus;
	struct compiled compiled;
};

/* Read and compile; NULL after saying why. work_free() ends it. */
struct work *work_new(const char *path);
void work_free(struct work *w);
uint64_t work_length_ns(const struct work *w);
/* Notes of the compiler, on stderr. */
void work_say_notes(const struct work *w);
/* A node of settings.device, or -1 with *@rc the exit status after saying why. */
int open_node(const char *suffix, int flags, int *rc);
/* Hub of the stimulator of that kind; 0 with *@rc after saying why. @hub 0: the only one. */
uint32_t find_hub(const struct onidev_table *table, uint32_t kind, uint32_t hub, int *rc);

extern const struct command cmd_check, cmd_compile, cmd_run, cmd_session, cmd_stop, cmd_status,
	cmd_ack;

#endif
