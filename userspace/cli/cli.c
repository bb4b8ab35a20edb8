// SPDX-License-Identifier: MIT
/*
 * cli.c - options, help and output of tools with subcommands; see cli.h.
 *
 * stdout and stderr may be the same pipe or file. What was printed goes out before a
 * note does: the order is true, and no note falls into the middle of a line.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <onidev.h>

#include "cli.h"

struct settings settings;

static const char research_use[] =
	"For research use only: not a medical device, not for use on humans.\n";

/* --- output --------------------------------------------------------------------- */

void say(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int fail_text(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: ", tool.name);
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

json_t *json_u64(uint64_t v)
{
	return json_integer((json_int_t)(v > INT64_MAX ? INT64_MAX : v));
}

/* --- help ------------------------------------------------------------------------ */

static void print_usage(void)
{
	size_t i;

	printf("Usage: %s %s COMMAND [ARGUMENTS]\n\n%s\n\nCommands:\n", tool.name, tool.synopsis,
	       tool.about);
	for (i = 0; i < tool.count; i++)
		printf("  %-*s %s\n", tool.width, tool.commands[i]->name, tool.commands[i]->summary);
	printf("\n"
	       "Options, before or after the command:\n"
	       "%s"
	       "'%s COMMAND --help' tells more. %s", tool.help, tool.name, research_use);
}

static void print_command_help(const struct command *c)
{
	printf("Usage: %s %s %s%s%s\n\n%s.\n", tool.name, tool.synopsis, c->name,
	       *c->args ? " " : "", c->args, c->summary);
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
	printf("%s %s, interface version %u\n", tool.name, onidev_version(), tool.interface);
	exit(finish_output());
}

/* --- command line ------------------------------------------------------------------ */

void usage_error(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", tool.name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (settings.command)
		fprintf(stderr, "\nTry '%s %s --help'.\n", tool.name, settings.command->name);
	else
		fprintf(stderr, "\nTry '%s --help'.\n", tool.name);
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

	for (i = 0; tool.longs[i].name; i++)
		all[n++] = tool.longs[i];
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
			if (c < CLI_OPTION)
				return c;
			tool.option(c, optarg);
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

int cli_main(int argc, char **argv)
{
	const char *name;
	size_t i;

	next_option(argc, argv, "", NULL);
	if (optind >= argc)
		usage_error("a command is missing");
	name = argv[optind];
	for (i = 0; i < tool.count; i++)
		if (!strcmp(tool.commands[i]->name, name))
			settings.command = tool.commands[i];
	if (!settings.command) {
		if (tool.unknown)
			tool.unknown(name);
		usage_error("unknown command '%s'", name);
	}
	argc -= optind;
	argv += optind;
	/* 0, not 1: glibc then forgets its state as well. */
	optind = 0;
	return settings.command->run(argc, argv);
}
