// SPDX-License-Identifier: MIT
/*
 * main.c - onictl: inspect and control Open Neuro Interface controllers.
 *
 * Finds the subcommand and reads the options that all of them share. Each
 * subcommand is one struct command in a cmd_*.c file.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onictl.h"

struct settings settings;

static const struct command *const commands[] = {
	&cmd_list, &cmd_info, &cmd_devices, &cmd_port, &cmd_enable, &cmd_disable, &cmd_reg,
	&cmd_reset, &cmd_start, &cmd_stop, &cmd_watch, &cmd_clock, &cmd_stats,
};

#define COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static const char research_use[] =
	"For research use only: not a medical device, not for use on humans.\n";

static const struct option common_longs[] = {
	{ "device", required_argument, NULL, 'd' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 }
};

static void print_usage(void)
{
	size_t i;

	printf("Usage: onictl [-d DEVICE] [--json] COMMAND [ARGUMENTS]\n"
	       "\n"
	       "Inspect and control Open Neuro Interface controllers (ONIX).\n"
	       "\n"
	       "Commands:\n");
	for (i = 0; i < COMMANDS; i++)
		printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
	printf("\n"
	       "Options, before or after the command:\n"
	       "  -d, --device=DEVICE  controller: oni0, /dev/oni0, a by-id name; default: first\n"
	       "      --json           results as JSON\n"
	       "  -h, --help           this text, or that of a command\n"
	       "      --version        version of the library and of the interface\n"
	       "\n"
	       "Exit status: 0 success, 1 the device or an operation failed, 2 wrong usage.\n"
	       "'onictl COMMAND --help' tells more. %s", research_use);
}

static void print_command_help(const struct command *c)
{
	printf("Usage: onictl [-d DEVICE] [--json] %s%s%s\n\n%s.\n", c->name, *c->args ? " " : "",
	       c->args, c->summary);
	if (c->help)
		printf("\n%s", c->help);
	printf("\n%s", research_use);
}

static void print_help(void)
{
	if (settings.command)
		print_command_help(settings.command);
	else
		print_usage();
	exit(finish_output());
}

static void print_version(void)
{
	printf("onictl %s, interface version %d\n", onidev_version(), ONI_ABI_VERSION);
	exit(finish_output());
}

void usage_error(const char *fmt, ...)
{
	va_list ap;

	fputs("onictl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (settings.command)
		fprintf(stderr, "\nTry 'onictl %s --help'.\n", settings.command->name);
	else
		fprintf(stderr, "\nTry 'onictl --help'.\n");
	exit(EXIT_USAGE);
}

/* getopt_long() said '?' or ':': name what was wrong. */
static void bad_option(int result, char **argv)
{
	const char *arg = argv[optind - 1];

	if (result == ':')
		usage_error("option '%s' needs a value", arg);
	/* A negative number looks like a bundle of options. */
	if (optopt && isdigit(optopt))
		usage_error("numbers must not be negative");
	if (optopt && isprint(optopt))
		usage_error("unknown option '-%c'", optopt);
	usage_error("unknown or ambiguous option '%s'", arg);
}

int next_option(int argc, char **argv, const char *shorts, const struct option *longs)
{
	struct option all[32];
	char spec[64];
	size_t n = 0, i;
	int c;

	for (i = 0; common_longs[i].name; i++)
		all[n++] = common_longs[i];
	for (i = 0; longs && longs[i].name; i++)
		all[n++] = longs[i];
	memset(&all[n], 0, sizeof(all[n]));
	/* Before the command "+" stops at it; after it options and arguments may mix. */
	snprintf(spec, sizeof(spec), "%s:d:h%s", settings.command ? "" : "+", shorts);

	opterr = 0;
	while ((c = getopt_long(argc, argv, spec, all, NULL)) != -1) {
		switch (c) {
		case 'd':
			settings.device = optarg;
			break;
		case 'j':
			settings.json = 1;
			break;
		case 'h':
			print_help();
			break;
		case 'V':
			print_version();
			break;
		case '?':
		case ':':
			bad_option(c, argv);
			break;
		default:
			return c;
		}
	}
	return -1;
}

void expect_args(int argc, int min, int max)
{
	int n = argc - optind;

	if (n < min)
		usage_error("'%s' needs more arguments: %s", settings.command->name,
			    settings.command->args);
	if (max >= 0 && n > max)
		usage_error("'%s' got too many arguments: %s", settings.command->name,
			    *settings.command->args ? settings.command->args : "it takes none");
}

int main(int argc, char **argv)
{
	const char *name;
	size_t i;

	next_option(argc, argv, "", NULL);
	if (optind >= argc)
		usage_error("a command is missing");
	name = argv[optind];
	for (i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			settings.command = commands[i];
	if (!settings.command)
		usage_error("unknown command '%s'", name);
	argc -= optind;
	argv += optind;
	/* 0, not 1: glibc then forgets its state as well. */
	optind = 0;
	return settings.command->run(argc, argv);
}
