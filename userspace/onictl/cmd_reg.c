// SPDX-License-Identifier: MIT
/*
 * cmd_reg.c - reg, enable, disable, reset: device registers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onictl.h"

/* A controller, its table and one device of it, as the arguments name them. */
struct target {
	struct onidev_controller *ctl;
	struct onidev_table *table;
	const struct onidev_type *type;	/* NULL: not known */
	uint32_t addr;
	char name[ONIDEV_NAME_MAX];
};

static void target_close(struct target *t)
{
	onidev_table_free(t->table);
	onidev_controller_close(t->ctl);
}

/* Takes over @ctl (NULL: the caller could not open it). 0, or -1 after saying why. */
static int target_open(struct target *t, struct onidev_controller *ctl, const char *device)
{
	memset(t, 0, sizeof(*t));
	t->ctl = ctl;
	if (!ctl)
		return -1;
	t->table = load_table(ctl);
	if (!t->table || resolve(t->table, device, &t->addr) < 0) {
		target_close(t);
		return -1;
	}
	t->type = type_at(t->table, t->addr);
	onidev_table_name(t->table, t->addr, t->name);
	return 0;
}

/*
 * Register number for @text. A number out of range is a wrong command line; a name
 * can only be wrong for a device that was found.
 */
static int target_reg(const struct target *t, const char *text, uint32_t *reg)
{
	if (onidev_type_reg(t->type, text, reg) == 0)
		return 0;
	fail_text("%s has no register '%s' that has a name here: 'onictl reg list %s' shows "
		  "them, or give its number", t->name, text, t->name);
	return -1;
}

/* "ENABLE (0x8000)" or "0x12" */
static const char *reg_name(const struct target *t, uint32_t reg, char *buf, size_t len)
{
	const struct onidev_reg *r = onidev_type_reg_find(t->type, reg);

	if (r)
		snprintf(buf, len, "%s (0x%x)", r->name, reg);
	else
		snprintf(buf, len, "0x%x", reg);
	return buf;
}

static int reg_fail(const struct target *t, enum onidev_op op, uint32_t reg)
{
	char name[64], what[128];
	int error = errno;

	snprintf(what, sizeof(what), "%s of %s", reg_name(t, reg, name, sizeof(name)), t->name);
	return op_failed(op, error, what);
}

static int reg_show(const struct target *t, uint32_t reg, uint32_t value)
{
	const struct onidev_reg *r = onidev_type_reg_find(t->type, reg);
	char name[64];

	if (settings.json)
		return print_json(json_pack("{s:s, s:I, s:s?, s:I, s:I}", "device", t->name,
					    "addr", (json_int_t)t->addr,
					    "register", r ? r->name : NULL,
					    "reg", (json_int_t)reg,
					    "value", (json_int_t)value));
	printf("%s %s = %u (0x%x)\n", t->name, reg_name(t, reg, name, sizeof(name)), value,
	       value);
	return finish_output();
}

static int do_read(const char *device, const char *text)
{
	struct target t;
	uint32_t reg, value;
	int rc = EXIT_FAIL;

	if (target_open(&t, open_reader(), device) < 0)
		return EXIT_FAIL;
	if (target_reg(&t, text, &reg) == 0) {
		if (onidev_reg_read(t.ctl, t.addr, reg, &value) < 0)
			rc = reg_fail(&t, ONIDEV_OP_REG_READ, reg);
		else
			rc = reg_show(&t, reg, value);
	}
	target_close(&t);
	return rc;
}

static int do_write(const char *device, const char *text, uint32_t value)
{
	const struct onidev_reg *r;
	struct target t;
	uint32_t reg;
	int rc = EXIT_FAIL;

	if (target_open(&t, open_owner(), device) < 0)
		return EXIT_FAIL;
	if (target_reg(&t, text, &reg) == 0) {
		if (onidev_reg_write(t.ctl, t.addr, reg, value) < 0)
			rc = reg_fail(&t, ONIDEV_OP_REG_WRITE, reg);
		else
			rc = reg_show(&t, reg, value);
		r = onidev_type_reg_find(t.type, reg);
		if (rc == EXIT_OK && r && r->flags & ONIDEV_REG_AT_RESET)
			say("%s takes effect at the next 'onictl reset'.", r->name);
	}
	target_close(&t);
	return rc;
}

static const char *access_name(uint32_t flags)
{
	if (flags & ONIDEV_REG_W && !(flags & ONIDEV_REG_GUARDED))
		return flags & ONIDEV_REG_R ? "rw" : "w";
	return flags & ONIDEV_REG_R ? "r" : "-";
}

static json_t *reg_json(const struct onidev_reg *r, int known, uint32_t value)
{
	return json_pack("{s:s, s:I, s:s, s:b, s:b, s:o, s:s?}", "register", r->name,
			 "reg", (json_int_t)r->addr, "access", access_name(r->flags),
			 "guarded", !!(r->flags & ONIDEV_REG_GUARDED),
			 "at_reset", !!(r->flags & ONIDEV_REG_AT_RESET),
			 "value", known ? json_integer(value) : json_null(), "note", r->note);
}

/*
 * Read registers in as few calls as possible. A device may refuse one of them: that
 * ends a batch, and the next goes on behind it. What could not be read at all keeps
 * the error as its result.
 */
static void read_regs(const struct target *t, struct oni_reg_op *ops, size_t count)
{
	size_t at = 0, n, done;

	while (at < count) {
		n = count - at < ONI_REG_BATCH_MAX ? count - at : ONI_REG_BATCH_MAX;
		if (onidev_reg_batch(t->ctl, &ops[at], n, &done) < 0 && !done)
			break;
		at += done;
	}
	for (; at < count; at++)
		ops[at].result = -errno;
}

static int list_regs(const struct target *t)
{
	json_t *array = settings.json ? json_array() : NULL;
	struct oni_reg_op *ops = calloc(t->type->reg_count, sizeof(*ops)), *op = ops;
	size_t i;

	if (!ops)
		return fail_text("out of memory");
	for (i = 0; i < t->type->reg_count; i++)
		if (t->type->regs[i].flags & ONIDEV_REG_R)
			*op++ = (struct oni_reg_op){ .dev_addr = t->addr,
						     .reg_addr = t->type->regs[i].addr };
	read_regs(t, ops, (size_t)(op - ops));
	op = ops;
	if (!array)
		printf("%-7s %-22s %-3s %-14s %s\n", "REG", "NAME", "", "VALUE", "MEANING");
	for (i = 0; i < t->type->reg_count; i++) {
		const struct onidev_reg *r = &t->type->regs[i];
		char text[32] = "-";
		uint32_t value = 0;
		int known = 0;

		if (r->flags & ONIDEV_REG_R) {
			known = !op->result;
			value = op++->value;
		}
		if (known)
			snprintf(text, sizeof(text), "%u", value);
		if (array)
			json_array_append_new(array, reg_json(r, known, value));
		else
			printf("0x%-5x %-22s %-3s %-14s %s%s%s\n", r->addr, r->name,
			       access_name(r->flags), text, r->note ? r->note : "",
			       r->flags & ONIDEV_REG_AT_RESET ? " [at reset]" : "",
			       r->flags & ONIDEV_REG_GUARDED ? " [guarded]" : "");
	}
	free(ops);
	return array ? print_json(array) : finish_output();
}

static int do_list(const char *device)
{
	struct target t;
	int rc;

	if (target_open(&t, open_reader(), device) < 0)
		return EXIT_FAIL;
	if (t.type && t.type->reg_count)
		rc = list_regs(&t);
	else
		rc = fail_text("no registers of %s are known here: use 'onictl reg read' with "
			       "numbers", t.name);
	target_close(&t);
	return rc;
}

/* Wrong numbers are found before the controller is touched. */
static void check_reg_number(const char *text)
{
	if (*text == '-' || (*text >= '0' && *text <= '9'))
		arg_u32("register", text);
}

static int run_reg(int argc, char **argv)
{
	const char *verb;

	next_option(argc, argv, "", NULL);
	expect_args(argc, 2, 4);
	argv += optind;
	argc -= optind;
	verb = argv[0];
	if (argc > 2)
		check_reg_number(argv[2]);
	if (!strcmp(verb, "list") && argc == 2)
		return do_list(argv[1]);
	if (!strcmp(verb, "read") && argc == 3)
		return do_read(argv[1], argv[2]);
	if (!strcmp(verb, "write") && argc == 4)
		return do_write(argv[1], argv[2], arg_u32("value", argv[3]));
	if (strcmp(verb, "list") && strcmp(verb, "read") && strcmp(verb, "write"))
		usage_error("'reg %s' is not known: list, read or write", verb);
	usage_error("'reg %s' has the wrong number of arguments: %s", verb,
		    settings.command->args);
}

const struct command cmd_reg = {
	.name = "reg",
	.args = "list DEV | read DEV REG | write DEV REG VALUE",
	.summary = "Read and write device registers by name or number",
	.help =
"DEV is an address (0x100), hub.device (1.0), the information device of a hub\n"
"(hub1) or a name that 'onictl devices' shows. REG is a name that 'reg list'\n"
"shows or a number. Numbers are decimal or 0x hexadecimal.\n"
"\n"
"Writing claims the controller. The driver refuses registers that could make a\n"
"stimulator put out current, change a port voltage or program a memory; they are\n"
"marked [guarded]. [at reset] takes effect at the next 'onictl reset'.\n",
	.run = run_reg,
};

/* --- enable, disable ------------------------------------------------------------ */

/* Two names for one device would be harmless; none at all is caught by expect_args(). */
static int switch_devices(struct onidev_controller *ctl, const struct onidev_table *table,
			  int argc, char **argv,
			  int (*change)(struct onidev_controller *, const struct oni_device *))
{
	char name[ONIDEV_NAME_MAX];
	uint32_t addr;
	int i;

	/* All names are looked up before anything is written. */
	for (i = 0; i < argc; i++)
		if (resolve(table, argv[i], &addr) < 0)
			return EXIT_FAIL;
	for (i = 0; i < argc; i++) {
		const struct oni_device *dev;

		onidev_table_resolve(table, argv[i], &addr);
		onidev_table_name(table, addr, name);
		dev = onidev_table_find_addr(table, addr);
		if (!dev)
			return fail_text("%s is no device that streams", name);
		if (change(ctl, dev) == 0)
			continue;
		if (errno == EOPNOTSUPP)
			return fail_text("%s has no enable register", name);
		return op_failed(ONIDEV_OP_REG_WRITE, errno, name);
	}
	say("Resetting %s, so that it takes effect.", onidev_controller_name(ctl));
	if (onidev_controller_reset(ctl) < 0)
		return op_failed(ONIDEV_OP_RESET, errno, NULL);
	return EXIT_OK;
}

/* What the devices say after the reset. */
static int show_switched(struct onidev_controller *ctl, int argc, char **argv)
{
	struct onidev_table *table = load_table(ctl);
	json_t *array = settings.json ? json_array() : NULL;
	char name[ONIDEV_NAME_MAX];
	uint32_t addr;
	int i;

	for (i = 0; table && i < argc; i++) {
		const struct oni_device *dev;
		int on;

		if (resolve(table, argv[i], &addr) < 0)
			continue;
		dev = onidev_table_find_addr(table, addr);
		on = dev ? onidev_device_enabled(ctl, dev) : -1;
		onidev_table_name(table, addr, name);
		if (array)
			json_array_append_new(array, json_pack("{s:s, s:o}", "name", name,
				"enabled", on < 0 ? json_null() : json_boolean(on)));
		else
			printf("%s %s\n", name, on < 0 ? "is silent" : on ? "on" : "off");
	}
	onidev_table_free(table);
	if (array && !table) {
		json_decref(array);
		return EXIT_FAIL;
	}
	return array ? print_json(array) : table ? finish_output() : EXIT_FAIL;
}

static int run_switch(int argc, char **argv,
		      int (*change)(struct onidev_controller *, const struct oni_device *))
{
	struct onidev_controller *ctl;
	struct onidev_table *table;
	int rc = EXIT_FAIL;

	next_option(argc, argv, "", NULL);
	expect_args(argc, 1, -1);
	ctl = open_owner();
	if (!ctl)
		return EXIT_FAIL;
	table = load_table(ctl);
	if (table)
		rc = switch_devices(ctl, table, argc - optind, argv + optind, change);
	onidev_table_free(table);
	if (rc == EXIT_OK)
		rc = show_switched(ctl, argc - optind, argv + optind);
	onidev_controller_close(ctl);
	return rc;
}

static int run_enable(int argc, char **argv)
{
	return run_switch(argc, argv, onidev_device_enable);
}

static int run_disable(int argc, char **argv)
{
	return run_switch(argc, argv, onidev_device_disable);
}

#define SWITCH_HELP \
"Writes the ENABLE register of each device and resets the controller, which is\n" \
"when it takes effect. Stimulators cannot be enabled this way.\n"

const struct command cmd_enable = {
	.name = "enable",
	.args = "DEV...",
	.summary = "Let devices stream",
	.help = SWITCH_HELP,
	.run = run_enable,
};

const struct command cmd_disable = {
	.name = "disable",
	.args = "DEV...",
	.summary = "Silence devices",
	.help = SWITCH_HELP,
	.run = run_disable,
};

/* --- reset ------------------------------------------------------------------------ */

static int run_reset(int argc, char **argv)
{
	struct onidev_controller *ctl;
	struct oni_info info;
	int rc = EXIT_FAIL;

	next_option(argc, argv, "", NULL);
	expect_args(argc, 0, 0);
	ctl = open_owner();
	if (!ctl)
		return EXIT_FAIL;
	say("Resetting %s and reading its device table.", onidev_controller_name(ctl));
	if (onidev_controller_reset(ctl) < 0)
		op_failed(ONIDEV_OP_RESET, errno, NULL);
	else if (onidev_controller_info(ctl, &info) < 0)
		op_failed(ONIDEV_OP_INFO, errno, NULL);
	else
		rc = EXIT_OK;
	if (rc == EXIT_OK && settings.json)
		rc = print_json(json_pack("{s:s, s:I, s:I, s:b}",
					  "name", onidev_controller_name(ctl),
					  "generation", (json_int_t)info.generation,
					  "rows", (json_int_t)info.rows, "stimulators_safe",
					  !!(info.flags & ONI_INFO_STIM_SAFE)));
	else if (rc == EXIT_OK)
		printf("%s: %u rows, generation %u, stimulators %s\n",
		       onidev_controller_name(ctl), info.rows, info.generation,
		       info.flags & ONI_INFO_STIM_SAFE ? "safe" : "NOT known to be safe");
	onidev_controller_close(ctl);
	return rc == EXIT_OK ? finish_output() : rc;
}

const struct command cmd_reset = {
	.name = "reset",
	.args = "",
	.summary = "Reset the link and the controller, read the device table again",
	.run = run_reset,
};
