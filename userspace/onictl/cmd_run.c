// SPDX-License-Identifier: MIT
/*
 * cmd_run.c - start, stop, watch, clock: everything that lets data flow.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onictl.h"

/* Options of everything that runs an acquisition. */
#define RUN_SHORTS	"t:"
#define RUN_LONGS						\
	{ "time", required_argument, NULL, 't' },		\
	{ "block", required_argument, NULL, 'B' },		\
	{ "ring", required_argument, NULL, 'R' }

#define RUN_HELP \
"  -t, --time=T      run this long: 10, 0.5, 90s, 5m, 2h\n" \
"      --block=SIZE  bytes per hardware block; smaller: less delay, more work\n" \
"      --ring=SIZE   bytes of the ring, a power of two; K, M, G are understood\n"

static void run_option(struct run *run, int c, const char *value)
{
	uint64_t v;

	switch (c) {
	case 't':
		run->seconds = arg_seconds("time", value);
		break;
	case 'B':
		v = arg_bytes("block size", value);
		if (v > UINT32_MAX)
			usage_error("block size '%s' is too large", value);
		run->config.block_bytes = (uint32_t)v;
		break;
	case 'R':
		run->config.ring_bytes = arg_bytes("ring size", value);
		break;
	}
}

/* --- start ------------------------------------------------------------------------ */

/*
 * Frames that a device of fixed rate should have made between its first and last,
 * minus those that came. 0 for a device that sends on events.
 */
static int64_t missing(const struct run *run, const struct oni_device *dev,
		       const struct count *c)
{
	double rate, expected;

	if (c->frames < 2 || onidev_device_rate(run->ctl, dev, &rate) < 0 || rate <= 0)
		return 0;
	expected = (double)(c->last_clock - c->first_clock) / run->info.acq_clock_hz * rate + 1;
	return (int64_t)(expected + 0.5) - (int64_t)c->frames;
}

static json_t *count_json(const struct run *run, const struct oni_device *dev,
			  const struct count *c)
{
	char name[ONIDEV_NAME_MAX];

	return json_pack("{s:s, s:I, s:o, s:o, s:I, s:o, s:o}",
			 "name", onidev_table_name(run->table, dev->addr, name),
			 "addr", (json_int_t)dev->addr, "frames", json_u64(c->frames),
			 "bytes", json_u64(c->bytes), "missing",
			 (json_int_t)missing(run, dev, c), "first_clock", json_u64(c->first_clock),
			 "last_clock", json_u64(c->last_clock));
}

static int start_json(const struct run *run, int rc)
{
	const struct onidev_stream_status *s = &run->status;
	json_t *array = json_array(), *root;
	const struct oni_device *dev;
	size_t i;

	for (i = 0; (dev = onidev_table_at(run->table, i)); i++)
		if (run->counts[i].frames)
			json_array_append_new(array, count_json(run, dev, &run->counts[i]));
	root = json_pack("{s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "seconds", run->elapsed,
			 "bytes", json_u64(s->head), "blocks", json_u64(s->blocks),
			 "ring_bytes", json_u64(s->ring_bytes), "peak_bytes",
			 json_u64(s->peak_bytes), "full_events", json_u64(s->full_events),
			 "full_ns", json_u64(s->full_ns), "devices", array);
	return print_json(root) == EXIT_OK ? rc : EXIT_FAIL;
}

static int start_print(const struct run *run, int rc)
{
	const struct onidev_stream_status *s = &run->status;
	const struct oni_device *dev;
	char name[ONIDEV_NAME_MAX];
	size_t i;

	printf("%-5s %-22s %12s %14s %12s %8s\n", "ADDR", "NAME", "FRAMES", "BYTES", "FRAMES/S",
	       "MISSING");
	for (i = 0; (dev = onidev_table_at(run->table, i)); i++) {
		const struct count *c = &run->counts[i];
		double span = (double)(c->last_clock - c->first_clock) / run->info.acq_clock_hz;

		if (!c->frames)
			continue;
		printf("0x%03x %-22s %12" PRIu64 " %14" PRIu64 " %12.2f %8" PRId64 "\n", dev->addr,
		       onidev_table_name(run->table, dev->addr, name), c->frames, c->bytes,
		       span > 0 ? (double)(c->frames - 1) / span : 0, missing(run, dev, c));
	}
	printf("%" PRIu64 " bytes in %" PRIu64 " blocks, %.2f s, %.3f MB/s; ring peak %.1f %% of "
	       "%" PRIu64 " KiB; held back %" PRIu64 " times, %.1f ms\n", s->head, s->blocks,
	       run->elapsed, run->elapsed > 0 ? (double)s->head / run->elapsed / 1e6 : 0,
	       100.0 * (double)s->peak_bytes / (double)s->ring_bytes, s->ring_bytes / 1024,
	       s->full_events, (double)s->full_ns / 1e6);
	return finish_output() == EXIT_OK ? rc : EXIT_FAIL;
}

static int run_start_cmd(int argc, char **argv)
{
	static const struct option longs[] = { RUN_LONGS, { 0 } };
	struct run run = { .progress = 1, .config.latency_us = 100000 };
	int c, rc;

	while ((c = next_option(argc, argv, RUN_SHORTS, longs)) != -1)
		run_option(&run, c, optarg);
	expect_args(argc, 0, 0);
	/* Counting is in no hurry: fewer wake-ups, when the default ring has room for it. */
	if (!run.config.ring_bytes && !run.config.block_bytes)
		run.config.watermark_bytes = 65536;
	rc = run_acquisition(&run);
	/* What was counted before a failure is worth knowing. */
	if (run.counts)
		rc = settings.json ? start_json(&run, rc) : start_print(&run, rc);
	run_free(&run);
	return rc;
}

const struct command cmd_start = {
	.name = "start",
	.args = "[-t TIME] [--block=SIZE] [--ring=SIZE]",
	.summary = "Run an acquisition in the foreground and count frames",
	.help =
RUN_HELP
"\n"
"An acquisition lives only as long as somebody reads it, so this command reads\n"
"and counts until TIME is over or Ctrl-C, then stops and prints a table. MISSING\n"
"compares the frames of a device with its rate. To keep the data use onirec; to\n"
"look at what another program records use 'onictl watch'.\n",
	.run = run_start_cmd,
};

/* --- stop -------------------------------------------------------------------------- */

static int run_stop_cmd(int argc, char **argv)
{
	struct onidev_controller *ctl;
	int rc = EXIT_OK;

	next_option(argc, argv, "", NULL);
	expect_args(argc, 0, 0);
	ctl = open_owner();
	if (!ctl)
		return EXIT_FAIL;
	if (onidev_controller_stop(ctl) < 0)
		rc = op_failed(ONIDEV_OP_STOP, errno, NULL);
	else if (settings.json)
		rc = print_json(json_pack("{s:s, s:s}", "name", onidev_controller_name(ctl),
					  "state", "idle"));
	else
		printf("%s is idle\n", onidev_controller_name(ctl));
	onidev_controller_close(ctl);
	return rc == EXIT_OK ? finish_output() : rc;
}

const struct command cmd_stop = {
	.name = "stop",
	.args = "",
	.summary = "Make sure that no acquisition runs",
	.help =
"An acquisition belongs to the program that owns the controller. This command\n"
"does not take it away: when another program runs one, it says so and fails; end\n"
"that program instead ('onictl info' shows whether there is one).\n",
	.run = run_stop_cmd,
};

/* --- watch ------------------------------------------------------------------------- */

#define WATCH_MAX	64

struct watch {
	uint64_t left;		/* frames still to print; 0: no limit */
	int limited;
	int hex;
	int argc;
	char **argv;
	uint32_t only[WATCH_MAX];
	int only_count;
	uint64_t printed;
};

static int watch_prepare(struct run *run)
{
	struct watch *w = run->arg;

	for (w->only_count = 0; w->only_count < w->argc; w->only_count++)
		if (resolve(run->table, w->argv[w->only_count], &w->only[w->only_count]) < 0)
			return EXIT_FAIL;
	return EXIT_OK;
}

static int watch_wanted(const struct watch *w, uint32_t addr)
{
	int i;

	for (i = 0; i < w->only_count; i++)
		if (w->only[i] == addr)
			return 1;
	return !w->only_count;
}

static void hex_line(const struct onidev_frame *f, char *buf)
{
	const uint8_t *p = f->sample;
	uint32_t i;

	for (i = 0; i < f->size; i++)
		buf += sprintf(buf, "%02x", p[i]);
	*buf = '\0';
}

static void watch_print(const struct run *run, const struct watch *w,
			const struct onidev_frame *f)
{
	double t = (double)f->clock / run->info.acq_clock_hz;
	char name[ONIDEV_NAME_MAX], text[512], *hex = NULL;
	const char *shown = text;

	onidev_table_name(run->table, f->addr, name);
	onidev_frame_print(f, text, sizeof(text));
	if (w->hex) {
		hex = malloc(2 * (size_t)f->size + 1);
		if (hex) {
			hex_line(f, hex);
			shown = hex;
		}
	}
	if (settings.json) {
		json_t *o = json_pack("{s:o, s:I, s:s, s:o, s:I, s:s}", "clock",
				      json_u64(f->clock), "addr", (json_int_t)f->addr, "name", name,
				      "hub_clock", json_u64(onidev_frame_hub_clock(f)),
				      "size", (json_int_t)f->size, w->hex ? "hex" : "text", shown);

		json_dumpf(o, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(o);
	} else {
		printf("%13.6f 0x%03x %-20s %14" PRIu64 "  %s\n", t, f->addr, name,
		       onidev_frame_hub_clock(f), shown);
	}
	free(hex);
}

static int watch_frame(struct run *run, const struct onidev_frame *f)
{
	struct watch *w = run->arg;

	if (!watch_wanted(w, f->addr))
		return 0;
	watch_print(run, w, f);
	w->printed++;
	/* A reader that went away, as 'head' does, ends the run. */
	if (ferror(stdout))
		return 1;
	return w->limited && !--w->left;
}

static int run_watch(int argc, char **argv)
{
	static const struct option longs[] = {
		RUN_LONGS,
		{ "count", required_argument, NULL, 'n' },
		{ "hex", no_argument, NULL, 'x' },
		{ 0 }
	};
	struct watch w = { 0 };
	struct run run = {
		.prepare = watch_prepare,
		.frame = watch_frame,
		.arg = &w,
		.config.latency_us = 20000,
		.monitor = 1,
	};
	int c, rc;

	while ((c = next_option(argc, argv, RUN_SHORTS "n:x", longs)) != -1) {
		if (c == 'x') {
			w.hex = 1;
		} else if (c == 'n') {
			w.limited = 1;
			w.left = arg_u32("count", optarg);
			if (!w.left)
				usage_error("count '%s' must be more than zero", optarg);
		} else {
			run_option(&run, c, optarg);
		}
	}
	w.argc = argc - optind;
	w.argv = argv + optind;
	if (w.argc > WATCH_MAX)
		usage_error("at most %d devices can be watched", WATCH_MAX);
	rc = run_acquisition(&run);
	if (rc == EXIT_OK && w.argc && !w.printed)
		say("No frame of the devices named came: 'onictl devices' shows whether they are "
		    "on.");
	run_free(&run);
	return rc == EXIT_OK ? finish_output() : rc;
}

const struct command cmd_watch = {
	.name = "watch",
	.args = "[-n COUNT] [-x] [-t TIME] [--block=SIZE] [--ring=SIZE] [DEV...]",
	.summary = "Print frames, of a running recording or of an acquisition of its own",
	.help =
"  -n, --count=N     end after N printed frames\n"
"  -x, --hex         the sample in hexadecimal instead of decoded\n"
RUN_HELP
"\n"
"Prints acquisition time in seconds, address, name, hub clock and content of the\n"
"frames of the devices named, or of all. With --json one object per line.\n"
"\n"
"When another program streams, its data are shown; that program is neither\n"
"disturbed nor held back, and what this one is too slow for is missed and said.\n"
"When nobody streams, the command runs an acquisition itself.\n",
	.run = run_watch,
};

/* --- clock ------------------------------------------------------------------------- */

static json_t *clock_json(const struct run *run, const struct onidev_clock_fit *fit)
{
	return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:f}", "acq_clock_hz",
			 (json_int_t)run->info.acq_clock_hz, "ppm", fit->ppm, "ppm_error",
			 fit->ppm_error, "ns_per_tick", fit->ns_per_tick, "jitter_p50_ns",
			 fit->jitter_p50_ns, "jitter_p99_ns", fit->jitter_p99_ns, "pairs",
			 json_u64(fit->pairs), "ticks0", json_u64(fit->ticks0), "mono0_ns",
			 json_u64(fit->mono0_ns), "span_s", fit->span_s);
}

static int clock_show(const struct run *run)
{
	struct onidev_clock_fit fit;
	int64_t zero;

	if (onidev_clock_read(run->clock, &fit) < 0)
		return fail_text("too few blocks came for a fit: run longer (-t), use smaller "
				 "blocks (--block) or enable a device that sends more");
	if (settings.json)
		return print_json(clock_json(run, &fit));
	zero = (int64_t)onidev_clock_to_mono(&fit, 0) + onidev_clock_real_offset();
	printf("acquisition clock  %u Hz nominal\n", run->info.acq_clock_hz);
	printf("rate               %+.3f ppm against the host clock (+- %.3f)\n", fit.ppm,
	       fit.ppm_error);
	printf("start              %" PRId64 ".%09" PRId64 " s since 1970\n", zero / 1000000000,
	       zero % 1000000000);
	printf("interrupt delay    p50 %.1f us, p99 %.1f us above the least\n",
	       fit.jitter_p50_ns / 1e3, fit.jitter_p99_ns / 1e3);
	printf("pairs              %" PRIu64 " over %.2f s\n", fit.pairs, fit.span_s);
	return finish_output();
}

static int run_clock(int argc, char **argv)
{
	static const struct option longs[] = { RUN_LONGS, { 0 } };
	struct run run = { .seconds = 5, .progress = 1, .monitor = 1 };
	int c, rc;

	while ((c = next_option(argc, argv, RUN_SHORTS, longs)) != -1)
		run_option(&run, c, optarg);
	expect_args(argc, 0, 0);
	rc = run_acquisition(&run);
	if (rc == EXIT_OK)
		rc = clock_show(&run);
	run_free(&run);
	return rc;
}

const struct command cmd_clock = {
	.name = "clock",
	.args = "[-t TIME] [--block=SIZE] [--ring=SIZE]",
	.summary = "Measure the acquisition clock against the host clock",
	.help =
RUN_HELP
"\n"
"Fits the clock of the frames to the times of the interrupts, in 5 s if not told\n"
"otherwise. Interrupts are only ever late, so the fit follows the earliest. When\n"
"another program streams, its data are used and it is not disturbed; when nobody\n"
"does, the command runs an acquisition itself.\n",
	.run = run_clock,
};
