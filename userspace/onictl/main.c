// SPDX-License-Identifier: MIT
/*
 * main.c - onictl: inspect and control Open Neuro Interface controllers.
 *
 * What the tool is called and takes; each subcommand is one struct command in a
 * cmd_*.c file.
 */
#include <stdio.h>
#include <string.h>

#include "onictl.h"

static const struct command *const commands[] = {
	&cmd_list, &cmd_info, &cmd_devices, &cmd_port, &cmd_enable, &cmd_disable, &cmd_reg, &cmd_rhythm,
	&cmd_reset, &cmd_start, &cmd_stop, &cmd_watch, &cmd_clock, &cmd_stats, &cmd_policy,
};

enum { OPT_BACKEND = CLI_OPTION };

static const struct option common_longs[] = {
	{ "device", required_argument, NULL, 'd' },
	{ "backend", required_argument, NULL, OPT_BACKEND },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 }
};

static unsigned int parse_backend(const char *text)
{
	static const struct {
		const char *name;
		unsigned int flag;
	} backends[] = {
		{ "auto", 0 }, { "kernel", ONIDEV_OPEN_KERNEL }, { "usb", ONIDEV_OPEN_USB },
	};
	size_t i;

	for (i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (!strcmp(backends[i].name, text))
			return backends[i].flag;
	usage_error("--backend wants kernel, usb or auto, not '%s'", text);
}

/* There is one. */
static void common_option(int c, const char *arg)
{
	(void)c;
	settings.backend = parse_backend(arg);
}

const struct tool tool = {
	.name = "onictl",
	.synopsis = "[-d DEVICE] [--backend=BACKEND] [--json]",
	.about = "Inspect and control Open Neuro Interface controllers (ONIX).",
	.help =
	"  -d, --device=DEVICE  controller: oni0, /dev/oni0, a by-id name, usb:SERIAL;\n"
	"                       default: first\n"
	"      --backend=BACKEND  kernel: the kernel drivers; usb: an Acquisition Board\n"
	"                       without them, through libusb; auto (default): the kernel's\n"
	"                       node if there is one, else USB\n"
	"      --json           results as JSON\n"
	"  -h, --help           this text, or that of a command\n"
	"      --version        version of the library and of the interface\n"
	"\n"
	"Exit status: 0 success, 1 the device or an operation failed, 2 wrong usage.\n",
	.width = 9,
	.commands = commands,
	.count = sizeof(commands) / sizeof(commands[0]),
	.longs = common_longs,
	.option = common_option,
	.interface = ONI_ABI_VERSION,
};

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
