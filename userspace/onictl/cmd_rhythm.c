// SPDX-License-Identifier: MIT
/*
 * cmd_rhythm.c - rhythm: what an Acquisition Board records and how: data streams, sample
 * rate, search for chips, bandwidth and fast settle of their amplifiers.
 *
 * What is written is planned by libonidev. Chips only hear the auxiliary commands of a
 * running acquisition, so whatever is said to them takes a short one. Afterwards the
 * command lists are harmless: reads, and conversions of the auxiliary inputs in the
 * second slot. The driver looks at every command and refuses with EPERM what could make a
 * chip put out current; nothing that is planned here could.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "onictl.h"

#define LINES		8u
#define LEAST_DELAY	2u
#define DELAYS		16u
#define SLOTS		3u
#define AUX_SLOT	1u	/* where the auxiliary inputs are read in turn */
#define SLOT		2u	/* for lists of this command */
#define ALL_LINES_LO	0x76543210u
#define ALL_LINES_HI	0xfedcba98u
#define SEARCH_WORDS	(2 * ONIDEV_RHD_FIND_COMMANDS + 6)
#define SETUP_SECONDS	0.5	/* more than the longest list at the lowest rate */
#define BUSY_TRIES	200
#define BUSY_US		10000

/* --- board ------------------------------------------------------------------------ */

static const struct oni_device *find_rhythm(const struct onidev_table *table)
{
	const struct oni_device *dev = onidev_table_find_id(table, ONIDEV_ID_RHYTHM, 0);

	if (!dev)
		fail_text("there is no Rhythm in the device table: this is no Acquisition Board");
	return dev;
}

static int read_reg(struct onidev_controller *ctl, uint32_t addr, uint32_t reg, uint32_t *value)
{
	if (onidev_reg_read(ctl, addr, reg, value) == 0)
		return EXIT_OK;
	return op_failed(ONIDEV_OP_REG_READ, errno, "of rhythm");
}

static int write_reg(struct onidev_controller *ctl, uint32_t addr, uint32_t reg, uint32_t value)
{
	char what[40];

	if (onidev_reg_write(ctl, addr, reg, value) == 0)
		return EXIT_OK;
	snprintf(what, sizeof(what), "0x%x of device 0x%x", reg, addr);
	return op_failed(ONIDEV_OP_REG_WRITE, errno, what);
}

static int write_layout(struct onidev_controller *ctl, uint32_t addr,
			const struct onidev_rhythm_layout *layout)
{
	uint32_t regs[3], i;

	onidev_rhythm_layout_put(layout, regs);
	for (i = 0; i < 3; i++)
		if (write_reg(ctl, addr, ONIDEV_RHYTHM_SELECT_REG + i, regs[i]) != EXIT_OK)
			return EXIT_FAIL;
	return EXIT_OK;
}

static int reset(struct onidev_controller *ctl)
{
	return onidev_controller_reset(ctl) == 0 ? EXIT_OK :
	       op_failed(ONIDEV_OP_RESET, errno, NULL);
}

static json_t *layout_json(const struct onidev_rhythm_layout *layout)
{
	json_t *list = json_array();
	char name[4];
	uint32_t i;

	for (i = 0; i < layout->streams; i++)
		json_array_append_new(list, json_string(
			onidev_rhythm_source_name(layout->source[i], name)));
	return list;
}

static void print_layout(const struct onidev_rhythm_layout *layout)
{
	char name[4];
	uint32_t i;

	printf("streams: %s", layout->streams ? "" : " none");
	for (i = 0; i < layout->streams; i++)
		printf(" %s", onidev_rhythm_source_name(layout->source[i], name));
	printf(" (%u channels)\n", layout->streams * ONIDEV_RHYTHM_CHANNELS);
}

/* --- status ------------------------------------------------------------------------ */

static int show(struct onidev_controller *ctl, const struct oni_device *dev)
{
	struct onidev_rhythm_layout layout;
	uint32_t delay, regs[3], i;
	double hz;

	if (onidev_device_rate(ctl, dev, &hz) < 0)
		return op_failed(ONIDEV_OP_REG_READ, errno, "of the clock of rhythm");
	if (read_reg(ctl, dev->addr, ONIDEV_RHYTHM_DELAY_REG, &delay) != EXIT_OK)
		return EXIT_FAIL;
	for (i = 0; i < 3; i++)
		if (read_reg(ctl, dev->addr, ONIDEV_RHYTHM_SELECT_REG + i, &regs[i]) != EXIT_OK)
			return EXIT_FAIL;
	onidev_rhythm_layout_get(regs, &layout);
	if (settings.json)
		return print_json(json_pack("{s:f, s:[i,i,i,i], s:o}", "rate_hz", hz, "delays",
					    delay & 15, delay >> 4 & 15, delay >> 8 & 15,
					    delay >> 12 & 15, "streams", layout_json(&layout)));
	printf("rate:     %g Hz\n", hz);
	printf("delays:   A %u, B %u, C %u, D %u\n", delay & 15, delay >> 4 & 15, delay >> 8 & 15,
	       delay >> 12 & 15);
	print_layout(&layout);
	return finish_output();
}

/*
 * Open, find, @change (NULL: only look), show. @arg is its. The table is valid in
 * @change only.
 */
static int with_board(int (*change)(struct onidev_controller *, const struct oni_device *,
				    const void *), const void *arg)
{
	struct onidev_controller *ctl = change ? open_owner() : open_reader();
	struct onidev_table *table = ctl ? load_table(ctl) : NULL;
	const struct oni_device *dev = table ? find_rhythm(table) : NULL;
	int rc = dev ? EXIT_OK : EXIT_FAIL;

	if (rc == EXIT_OK && change)
		rc = change(ctl, dev, arg);
	if (rc == EXIT_OK)
		rc = show(ctl, dev);
	onidev_table_free(table);
	onidev_controller_close(ctl);
	return rc;
}

/* --- streams and rate ----------------------------------------------------------------- */

static int change_streams(struct onidev_controller *ctl, const struct oni_device *dev,
			  const void *arg)
{
	return write_layout(ctl, dev->addr, arg) == EXIT_OK ? reset(ctl) : EXIT_FAIL;
}

static int run_streams(int argc, char **argv)
{
	struct onidev_rhythm_layout layout;
	char all[256] = "";
	size_t n = 0;
	int i;

	if (optind + 1 == argc)
		return with_board(NULL, NULL);
	for (i = optind + 1; i < argc && n < sizeof(all); i++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s ", argv[i]);
	if (!strcmp(all, "none "))
		*all = '\0';
	if (n >= sizeof(all) || onidev_rhythm_layout_parse(all, &layout) < 0)
		usage_error("'%s' are no streams: names such as a1 a1+ b2, each once, or none",
			    all);
	return with_board(change_streams, &layout);
}

static int change_rate(struct onidev_controller *ctl, const struct oni_device *dev,
		       const void *arg)
{
	const struct onidev_rhythm_rate *rate = arg;
	uint32_t hub = ONIDEV_HUB_INFO(ONIDEV_HUB(dev->addr)), busy = 1;
	int i;

	if (write_reg(ctl, hub, ONIDEV_RHYTHM_CLOCK_REG, rate->value) != EXIT_OK)
		return EXIT_FAIL;
	for (i = 0; i < BUSY_TRIES && busy; i++) {
		usleep(BUSY_US);
		if (read_reg(ctl, hub, ONIDEV_RHYTHM_BUSY_REG, &busy) != EXIT_OK)
			return EXIT_FAIL;
	}
	if (busy)
		return fail_text("the board's clock did not settle within 2 s: reset it with "
				 "'onictl reset'");
	return reset(ctl);
}

/* Frequencies in Hz, decimal; more than 0 and not more than 10^6. */
static double arg_hz(const char *what, const char *text)
{
	char *end;
	double hz = strtod(text, &end);

	if (end == text || *end || !(hz > 0 && hz <= 1e6))
		usage_error("%s '%s' is no frequency in Hz", what, text);
	return hz;
}

static int run_rate(int argc, char **argv)
{
	const struct onidev_rhythm_rate *rate;

	if (optind + 1 == argc)
		return with_board(NULL, NULL);
	if (argc - optind != 2)
		usage_error("'rhythm rate' takes one rate");
	rate = onidev_rhythm_rate_find(arg_hz("rate", argv[optind + 1]));
	if (!rate)
		usage_error("the board has no rate '%s': the help lists those it has",
			    argv[optind + 1]);
	return with_board(change_rate, rate);
}

/* --- commands to the chips --------------------------------------------------------------- */

static int write_list(struct onidev_controller *ctl, uint32_t addr, unsigned int slot,
		      const uint16_t *cmd, size_t n, uint32_t loop)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (write_reg(ctl, addr, ONIDEV_RHYTHM_COMMAND_REG(slot, 0, i), cmd[i]) != EXIT_OK)
			return EXIT_FAIL;
	if (write_reg(ctl, addr, ONIDEV_RHYTHM_BANK_REG + slot, 0) != EXIT_OK ||
	    write_reg(ctl, addr, ONIDEV_RHYTHM_MAX_INDEX_REG + slot, (uint32_t)n - 1) != EXIT_OK)
		return EXIT_FAIL;
	return write_reg(ctl, addr, ONIDEV_RHYTHM_LOOP_INDEX_REG + slot, loop);
}

/* What the chips may do all day: nothing, and tell their auxiliary inputs (32-34). */
static int write_idle_lists(struct onidev_controller *ctl, uint32_t addr)
{
	static const uint16_t inputs[] = { 32 << 8, 33 << 8, 34 << 8, ONIDEV_RHD_READ(63u) };
	unsigned int slot;

	for (slot = 0; slot < SLOTS; slot++)
		if (write_list(ctl, addr, slot, inputs + (slot == AUX_SLOT ? 0 : 3),
			       slot == AUX_SLOT ? 4 : 1, 0) != EXIT_OK)
			return EXIT_FAIL;
	return EXIT_OK;
}

static int run_on(struct onidev_controller *ctl, uint32_t addr)
{
	uint32_t mode;

	if (read_reg(ctl, addr, ONIDEV_RHYTHM_MODE_REG, &mode) != EXIT_OK)
		return EXIT_FAIL;
	if (write_reg(ctl, addr, ONIDEV_RHYTHM_MODE_REG, mode | ONIDEV_RHYTHM_CONTINUOUS) !=
	    EXIT_OK)
		return EXIT_FAIL;
	return write_reg(ctl, addr, 0, 1);
}

struct commands {
	uint16_t cmd[ONIDEV_RHD_SETUP_MAX];
	size_t n;
};

/* The last command of the list goes on and on: a read. */
static int commands_prepare(struct run *run)
{
	const struct oni_device *dev = find_rhythm(run->table);
	const struct commands *c = run->arg;

	if (!dev || write_idle_lists(run->ctl, dev->addr) != EXIT_OK ||
	    write_list(run->ctl, dev->addr, SLOT, c->cmd, c->n, (uint32_t)c->n - 1) != EXIT_OK ||
	    run_on(run->ctl, dev->addr) != EXIT_OK)
		return EXIT_FAIL;
	return reset(run->ctl);
}

static int tell_chips(struct commands *c)
{
	struct run run = { .prepare = commands_prepare, .arg = c, .seconds = SETUP_SECONDS };
	const struct oni_device *dev;
	int rc = run_acquisition(&run);

	if (rc == EXIT_OK) {
		dev = find_rhythm(run.table);
		rc = dev ? write_idle_lists(run.ctl, dev->addr) : EXIT_FAIL;
	}
	run_free(&run);
	return rc;
}

/* The rate as configured now, which the bias currents of the chips go by. */
static int present_rate(double *hz)
{
	struct onidev_controller *ctl = open_reader();
	struct onidev_table *table = ctl ? load_table(ctl) : NULL;
	const struct oni_device *dev = table ? find_rhythm(table) : NULL;
	int rc = dev ? EXIT_OK : EXIT_FAIL;

	if (dev && onidev_device_rate(ctl, dev, hz) < 0)
		rc = op_failed(ONIDEV_OP_REG_READ, errno, "of the clock of rhythm");
	onidev_table_free(table);
	onidev_controller_close(ctl);
	return rc;
}

static int run_bandwidth(int argc, char **argv, const char *dsp)
{
	struct onidev_rhd_setup setup = { 0 };
	struct commands c;
	double dsp_got = 0;

	if (argc - optind != 3)
		usage_error("'rhythm bandwidth' takes two cutoffs, the lower and the upper one");
	if (onidev_rhd_bandwidth(arg_hz("cutoff", argv[optind + 2]),
				 arg_hz("cutoff", argv[optind + 1]), &setup.bandwidth) < 0)
		usage_error("the lower cutoff must be below the upper one");
	setup.dsp_hz = dsp ? arg_hz("cutoff", dsp) : 0;
	if (present_rate(&setup.rate_hz) != EXIT_OK)
		return EXIT_FAIL;
	if (dsp)
		onidev_rhd_dsp_code(setup.rate_hz, setup.dsp_hz, &dsp_got);
	c.n = onidev_rhd_setup_commands(&setup, c.cmd);
	if (tell_chips(&c) != EXIT_OK)
		return EXIT_FAIL;
	if (settings.json)
		return print_json(json_pack("{s:f, s:f, s:f}", "lower_hz",
					    setup.bandwidth.lower_hz, "upper_hz",
					    setup.bandwidth.upper_hz, "dsp_hz", dsp_got));
	printf("bandwidth: %g to %g Hz\n", setup.bandwidth.lower_hz, setup.bandwidth.upper_hz);
	if (dsp)
		printf("offset removal below %.3g Hz\n", dsp_got);
	return finish_output();
}

static int run_settle(int argc, char **argv)
{
	const char *how = argc - optind == 2 ? argv[optind + 1] : "";
	struct commands c = { .n = 0 };

	if (strcmp(how, "on") && strcmp(how, "off"))
		usage_error("'rhythm settle' takes on or off");
	c.cmd[c.n++] = ONIDEV_RHD_READ(63u);
	c.cmd[c.n++] = onidev_rhd_settle_command(!strcmp(how, "on"));
	c.cmd[c.n++] = ONIDEV_RHD_READ(63u);
	if (tell_chips(&c) != EXIT_OK)
		return EXIT_FAIL;
	if (settings.json)
		return print_json(json_pack("{s:b}", "settle", !strcmp(how, "on")));
	printf("fast settle: %s\n", how);
	return finish_output();
}

/* --- scan ------------------------------------------------------------------------------ */

struct scan {
	uint32_t addr;
	uint32_t delay;			/* tried now */
	uint32_t good[LINES];		/* bit n: the chip answered with delay n */
	struct onidev_rhd_chip chip[LINES];
	uint16_t words[LINES][SEARCH_WORDS];
	unsigned int n;
	int changed;			/* the board is not as it was before */
};

/* Every line is a stream, the third slot asks who is there. */
static int scan_prepare(struct run *run)
{
	static const struct onidev_rhythm_layout lines = {
		.streams = LINES, .source = { 0, 1, 2, 3, 4, 5, 6, 7 },
	};
	const struct oni_device *dev = find_rhythm(run->table);
	uint16_t cmd[ONIDEV_RHD_FIND_COMMANDS];
	struct scan *s = run->arg;

	if (!dev)
		return EXIT_FAIL;
	s->addr = dev->addr;
	s->n = 0;
	onidev_rhd_find_commands(cmd);
	if (write_idle_lists(run->ctl, dev->addr) != EXIT_OK ||
	    write_list(run->ctl, dev->addr, SLOT, cmd, ONIDEV_RHD_FIND_COMMANDS, 0) != EXIT_OK)
		return EXIT_FAIL;
	s->changed = 1;
	if (write_layout(run->ctl, dev->addr, &lines) != EXIT_OK ||
	    write_reg(run->ctl, dev->addr, ONIDEV_RHYTHM_DELAY_REG, 0x1111 * s->delay) != EXIT_OK ||
	    run_on(run->ctl, dev->addr) != EXIT_OK)
		return EXIT_FAIL;
	return reset(run->ctl);
}

static int scan_frame(struct run *run, const struct onidev_frame *f)
{
	int16_t aux[LINES * ONIDEV_RHYTHM_AUX];
	struct scan *s = run->arg;
	struct onidev_rhythm in;
	unsigned int line;

	if (f->addr != s->addr || onidev_decode_rhythm(f, &in) < 0 || in.streams != LINES)
		return 0;
	onidev_rhythm_aux(&in, aux);
	for (line = 0; line < LINES; line++)
		s->words[line][s->n] =
			(uint16_t)(aux[ONIDEV_RHYTHM_AUX * line + SLOT] + 32768);
	return ++s->n == SEARCH_WORDS;
}

static int scan_one(struct scan *s)
{
	struct run run = {
		.prepare = scan_prepare, .frame = scan_frame, .arg = s, .seconds = 2, .quiet = 1,
		.config.latency_us = 10000,
	};
	struct onidev_rhd_chip chip;
	int rc = run_acquisition(&run);
	unsigned int line;

	run_free(&run);
	if (rc != EXIT_OK)
		return rc;
	if (s->n < SEARCH_WORDS)
		return fail_text("the board sent %u samples of %u within 2 s", s->n, SEARCH_WORDS);
	for (line = 0; line < LINES; line++) {
		if (onidev_rhd_find(s->words[line], s->n, &chip) < 0)
			continue;
		s->good[line] |= 1u << s->delay;
		s->chip[line] = chip;
	}
	return EXIT_OK;
}

/* What the board was set to, to be set again when nothing was found. */
struct before {
	uint32_t delay;
	struct onidev_rhythm_layout layout;
};

static int remember(struct onidev_controller *ctl, uint32_t addr, struct before *b)
{
	uint32_t regs[3], i;

	for (i = 0; i < 3; i++)
		if (read_reg(ctl, addr, ONIDEV_RHYTHM_SELECT_REG + i, &regs[i]) != EXIT_OK)
			return EXIT_FAIL;
	onidev_rhythm_layout_get(regs, &b->layout);
	return read_reg(ctl, addr, ONIDEV_RHYTHM_DELAY_REG, &b->delay);
}

static int look_before(struct before *b)
{
	struct onidev_controller *ctl = open_reader();
	struct onidev_table *table = ctl ? load_table(ctl) : NULL;
	const struct oni_device *dev = table ? find_rhythm(table) : NULL;
	int rc = dev ? remember(ctl, dev->addr, b) : EXIT_FAIL;

	onidev_table_free(table);
	onidev_controller_close(ctl);
	return rc;
}

static int set_found(struct onidev_controller *ctl, const struct oni_device *dev, const void *arg)
{
	const struct before *b = arg;

	if (write_idle_lists(ctl, dev->addr) != EXIT_OK ||
	    write_layout(ctl, dev->addr, &b->layout) != EXIT_OK ||
	    write_reg(ctl, dev->addr, ONIDEV_RHYTHM_DELAY_REG, b->delay) != EXIT_OK)
		return EXIT_FAIL;
	return reset(ctl);
}

static const char *chip_name(uint8_t id)
{
	switch (id) {
	case ONIDEV_RHD_ID_2132:
		return "RHD2132";
	case ONIDEV_RHD_ID_2216:
		return "RHD2216";
	case ONIDEV_RHD_ID_2164:
		return "RHD2164";
	}
	return "unknown chip";
}

static void say_chips(const struct scan *s)
{
	unsigned int line, d;
	char name[4];

	for (line = 0; line < LINES; line++) {
		if (!s->good[line])
			continue;
		fprintf(stderr, "%s: %s, %u channels, answers with delays",
			onidev_rhythm_source_name((uint8_t)line, name),
			chip_name(s->chip[line].chip_id), s->chip[line].amplifiers);
		for (d = 0; d < DELAYS; d++)
			if (s->good[line] >> d & 1)
				fprintf(stderr, " %u", d);
		fputc('\n', stderr);
	}
}

static int run_scan(int argc, char **argv)
{
	struct before before, found;
	struct scan s = { 0 };
	int rc;

	(void)argv;
	if (argc - optind != 1)
		usage_error("'rhythm scan' takes no arguments");
	rc = look_before(&before);
	if (rc == EXIT_OK)
		say("Looking for chips with delays of %u to %u.", LEAST_DELAY, DELAYS - 1);
	for (s.delay = LEAST_DELAY; rc == EXIT_OK && s.delay < DELAYS; s.delay++)
		rc = scan_one(&s);
	if (rc != EXIT_OK) {
		/* only if something was changed: what failed is said already */
		if (s.changed)
			with_board(set_found, &before);
		return rc;
	}
	found.delay = before.delay;
	if (onidev_rhythm_plan(s.good, s.chip, &found.delay, &found.layout)) {
		say_chips(&s);
		return with_board(set_found, &found);
	}
	with_board(set_found, &before);
	return fail_text("no chip answered: check the headstage and its cable; the settings are as "
			 "they were");
}

/* --- command line ------------------------------------------------------------------------ */

static int run_rhythm(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "dsp", required_argument, NULL, 'D' },
		{ 0 }
	};
	const char *dsp = NULL, *verb;
	int c;

	while ((c = next_option(argc, argv, "", longs)) != -1)
		if (c == 'D')
			dsp = optarg;
	verb = optind < argc ? argv[optind] : "status";
	if (dsp && strcmp(verb, "bandwidth"))
		usage_error("--dsp only goes with 'bandwidth'");
	if (!strcmp(verb, "status")) {
		expect_args(argc, 0, 1);
		return with_board(NULL, NULL);
	}
	if (!strcmp(verb, "streams"))
		return run_streams(argc, argv);
	if (!strcmp(verb, "rate"))
		return run_rate(argc, argv);
	if (!strcmp(verb, "scan"))
		return run_scan(argc, argv);
	if (!strcmp(verb, "bandwidth"))
		return run_bandwidth(argc, argv, dsp);
	if (!strcmp(verb, "settle"))
		return run_settle(argc, argv);
	usage_error("'rhythm %s' is not known: status, scan, streams, rate, bandwidth or settle",
		    verb);
}

const struct command cmd_rhythm = {
	.name = "rhythm",
	.args = "[status] | scan | streams [LINE...|none] | rate [HZ] | "
		"bandwidth LOWER UPPER [--dsp=HZ] | settle on|off",
	.summary = "Streams, rate and chips of an Acquisition Board",
	.help =
"status     sample rate, cable delay of each port, data streams\n"
"scan       look for chips at every cable delay, choose delays and streams\n"
"streams    what is recorded, in this order: lines a1 to d2, a1+ being the second\n"
"           half (channels 32-63) of an RHD2164 on line a1\n"
"rate       in Hz: 1000 1250 1500 2000 2500 3000 3333 5000 6250 10000 12500 15000\n"
"           20000 25000 30000\n"
"bandwidth  of the amplifiers in Hz: 0.1 to 500, 100 to 20000; the nearest setting\n"
"           that the chips have\n"
"settle     hold the inputs of all amplifiers at zero, or let go\n"
"\n"
"      --dsp=HZ  remove offsets below this in the chips\n"
"\n"
"scan, bandwidth and settle talk to the chips, for which a short acquisition runs.\n"
"The driver looks at each of their commands and lets through what cannot make a chip\n"
"put out current.\n",
	.run = run_rhythm,
};
