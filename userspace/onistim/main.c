// SPDX-License-Identifier: MIT
/*
 * main.c - onistim: describe, check and run electrical stimulation.
 *
 * Research use only, not a medical device. What the tool is called and takes; each
 * subcommand is a struct command in a cmd_*.c file.
 */
#include <stdio.h>
#include <string.h>

#include "audit/chain.h"
#include "decimal.h"
#include "onistim.h"

static int run_log(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "verify"))
		usage_error("what about the log? 'onistim log verify FILE'");
	return oni_chain_verify_main(argc - 1, argv + 1);
}

static const struct command cmd_log = {
	.name = "log",
	.args = "verify [--recording=DIR] FILE",
	.summary = "Find edits, removals and truncation in an audit log",
	.run = run_log,
};

static const struct command *const commands[] = {
	&cmd_check, &cmd_compile, &cmd_run, &cmd_session, &cmd_stop, &cmd_status, &cmd_ack,
	&cmd_log,
};

static const struct option common_longs[] = {
	{ "device", required_argument, NULL, 'd' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 }
};

uint32_t arg_count(const char *what, const char *text, uint32_t least, uint32_t most)
{
	int64_t v;
	bool exact;

	if (decimal_parse(text, 0, &v, &exact) < 0 || !exact || v < least || v > most)
		usage_error("%s '%s' must be a whole number from %u to %u", what, text, least, most);
	return (uint32_t)v;
}

int seconds_ms(const char *text, uint64_t least, uint64_t most, uint64_t *ms)
{
	char digits[DECIMAL_TEXT];
	size_t n = strlen(text);
	int64_t v;
	bool exact;

	/* "10s" is as good as "10". */
	if (n && n < sizeof(digits) && text[n - 1] == 's') {
		memcpy(digits, text, n - 1);
		digits[n - 1] = '\0';
		text = digits;
	}
	if (decimal_parse(text, 3, &v, &exact) < 0 || !exact || v < (int64_t)least ||
	    v > (int64_t)most)
		return -1;
	*ms = (uint64_t)v;
	return 0;
}

uint64_t arg_ms(const char *what, const char *text, uint64_t least, uint64_t most)
{
	char a[DECIMAL_TEXT], b[DECIMAL_TEXT];
	uint64_t ms;

	if (seconds_ms(text, least, most, &ms) < 0)
		usage_error("%s '%s' must be seconds from %s to %s with at most three decimals", what,
			    text, decimal_text(a, least, 3), decimal_text(b, most, 3));
	return ms;
}

static void unknown_command(const char *name)
{
	static const char *const parts[] = { "load", "arm", "fire", "disarm", "claim", "kick" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(name, parts[i]))
			usage_error("'%s' cannot be a command of its own: a session ends with its "
				    "process. Use 'run', or 'session', which reads commands", name);
}

const struct tool tool = {
	.name = "onistim",
	.synopsis = "[-d DEVICE] [--json]",
	.about = "Describe, check and run electrical stimulation through the kernel's interlock.",
	.help =
	"  -d, --device=DEVICE  controller: oni0, /dev/oni0, a by-id name; default: first\n"
	"      --json           results as JSON\n"
	"  -h, --help           this text, or that of a command\n"
	"      --version        version of the tool and of the interface\n"
	"\n"
	"Exit status: 0 success, 1 a file, the device or an operation failed, 2 wrong\n"
	"usage, 3 refused by a bound or by the interlock, 4 no device.\n",
	.width = 8,
	.commands = commands,
	.count = sizeof(commands) / sizeof(commands[0]),
	.longs = common_longs,
	.unknown = unknown_command,
	.interface = ONI_STIM_VERSION,
};

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
