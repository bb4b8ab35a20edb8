// SPDX-License-Identifier: MIT
/*
 * main.c - onirec: command line, progress, signals, service notifications, exit
 * code. Everything else is in setup.c (the controller) and rec.h (the recorder).
 *
 * Threads: main thread only. Signals are blocked in all threads and taken here
 * with sigtimedwait(), so no other thread is ever interrupted by one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../audit/publish.h"
#include "config.h"
#include "oeb.h"
#include "rec.h"
#include "setup.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

enum {
	EXIT_OK = 0,
	EXIT_DEVICE = 1,	/* the controller, a device or the stream failed */
	EXIT_USAGE = 2,		/* command line or configuration */
	EXIT_DISK = 3,		/* the recording could not be written */
	EXIT_GONE = 4,		/* unplugged while recording */
};

#define TICK_MS		500	/* progress, watchdog */
/* For what may take longer than the watchdog allows, and is bounded by itself. */
#define LONG_WATCHDOG	"WATCHDOG_USEC=120000000\nEXTEND_TIMEOUT_USEC=120000000"
#define LINE_SECONDS	5	/* between progress lines that are not on a terminal */
#define LOG_SECONDS	60	/* the same in the journal, which also has the status */

static struct {
	bool quiet, json, tty;
} ui;

static void say(const char *line)
{
	if (!ui.quiet)
		fprintf(stderr, "onirec: %s\n", line);
}

__attribute__((format(printf, 1, 2)))
static void complain(const char *fmt, ...)
{
	va_list ap;

	if (ui.tty && !ui.quiet)
		fprintf(stderr, "\r\033[K");
	fprintf(stderr, "onirec: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void usage(FILE *out)
{
	fprintf(out,
"usage: onirec [options]\n"
"       onirec recover DIR\n"
"\n"
"Records from an Open Neuro Interface controller into a folder in the Open Ephys\n"
"binary format and logs threshold spikes, until Ctrl-C or a limit.\n"
"'recover' repairs recordings under DIR that were not ended (power cut); it\n"
"deletes nothing and leaves recordings in progress alone.\n"
"\n"
"  -d, --device DEV        controller: node path, oni0, by-id name, usb:SERIAL\n"
"                          (first found)\n"
"      --backend BACKEND   kernel: the kernel drivers; usb: an Acquisition Board\n"
"                          without them, through libusb; auto: the kernel's node if\n"
"                          there is one, else USB (auto)\n"
"  -c, --config FILE       configuration (default: " CONFIG_DEFAULT_PATH "\n"
"                          if it exists; none with '-c none')\n"
"  -o, --output DIR        folder in which the session folder is made (.)\n"
"      --name NAME         name of the session folder (date and time)\n"
"  -t, --duration SECONDS  stop after so much acquisition time\n"
"      --size BYTES        stop when the files have this size (K, M, G)\n"
"      --devices LIST      enable and record exactly these, e.g. rhd2164,analog-io\n"
"      --no-detect         no spike detection\n"
"      --threshold K       spike threshold in noise sigmas (4.5)\n"
"      --block BYTES       hardware block size (10 ms of data): smaller is sooner,\n"
"                          larger costs less\n"
"      --ring BYTES        ring buffer, a power of two (driver's default, 64M)\n"
"      --json              print the summary as JSON on standard output\n"
"  -q, --quiet             no progress\n"
"  -h, --help, --version\n"
"\n"
"Exit code: 0 recorded, 1 device or stream error, 2 usage, 3 disk error or full\n"
"(what was written loads), 4 hardware unplugged while recording.\n"
"\n"
"For research use. Not a medical device.\n");
}

/* --- command line ------------------------------------------------------------------ */

struct options {
	const char *config, *device, *backend, *output, *name, *devices;
	const char *seconds, *size, *threshold, *block, *ring;
	bool no_detect;
};

enum { OPT_NAME = 256, OPT_SIZE, OPT_DEVICES, OPT_NO_DETECT, OPT_THRESHOLD, OPT_BLOCK, OPT_RING,
	OPT_BACKEND, OPT_JSON, OPT_VERSION };

static const struct option long_options[] = {
	{ "device", required_argument, NULL, 'd' },
	{ "backend", required_argument, NULL, OPT_BACKEND },
	{ "config", required_argument, NULL, 'c' },
	{ "output", required_argument, NULL, 'o' },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "duration", required_argument, NULL, 't' },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "devices", required_argument, NULL, OPT_DEVICES },
	{ "no-detect", no_argument, NULL, OPT_NO_DETECT },
	{ "threshold", required_argument, NULL, OPT_THRESHOLD },
	{ "block", required_argument, NULL, OPT_BLOCK },
	{ "ring", required_argument, NULL, OPT_RING },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

/* 0: go on, -1: usage error, 1: done. */
static int parse_options(int argc, char **argv, struct options *o)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "d:c:o:t:qh", long_options, NULL)) != -1) {
		switch (opt) {
		case 'd': o->device = optarg; break;
		case OPT_BACKEND: o->backend = optarg; break;
		case 'c': o->config = optarg; break;
		case 'o': o->output = optarg; break;
		case OPT_NAME: o->name = optarg; break;
		case 't': o->seconds = optarg; break;
		case OPT_SIZE: o->size = optarg; break;
		case OPT_DEVICES: o->devices = optarg; break;
		case OPT_NO_DETECT: o->no_detect = true; break;
		case OPT_THRESHOLD: o->threshold = optarg; break;
		case OPT_BLOCK: o->block = optarg; break;
		case OPT_RING: o->ring = optarg; break;
		case OPT_JSON: ui.json = true; break;
		case 'q': ui.quiet = true; break;
		case 'h':
			usage(stdout);
			return 1;
		case OPT_VERSION:
			printf("onirec %s\n", onidev_version());
			return 1;
		default:
			fprintf(stderr, "onirec: 'onirec --help' lists the options\n");
			return -1;
		}
	}
	return 0;
}

static int bad(const char *option, const char *text, const char *want)
{
	complain("%s wants %s, not '%s'", option, want, text);
	return -1;
}

static int apply_text(char *to, size_t room, const char *option, const char *text)
{
	if (!text)
		return 0;
	if (!*text || strlen(text) >= room)
		return bad(option, text, "a name that is not empty or very long");
	strcpy(to, text);
	return 0;
}

static int apply_options(struct config *c, const struct options *o)
{
	char err[400];
	uint64_t v;

	if (apply_text(c->device, sizeof(c->device), "--device", o->device) ||
	    apply_text(c->directory, sizeof(c->directory), "--output", o->output))
		return -1;
	if (o->backend && config_backend(o->backend, &c->backend))
		return bad("--backend", o->backend, "kernel, usb or auto");
	if (o->seconds && config_number(o->seconds, 0.001, 1e9, &c->seconds))
		return bad("--duration", o->seconds, "seconds above 0");
	if (o->size && config_size(o->size, 1, 1ull << 60, &c->size))
		return bad("--size", o->size, "a number of bytes such as 500M");
	if (o->threshold && config_number(o->threshold, 1, 100, &c->k))
		return bad("--threshold", o->threshold, "a number from 1 to 100");
	if (o->block) {
		if (config_size(o->block, 4096, 1 << 24, &v))
			return bad("--block", o->block, "a size from 4K to 16M");
		c->block_bytes = (uint32_t)v;
	}
	if (o->ring && config_size(o->ring, 65536, 1ull << 34, &c->ring_bytes))
		return bad("--ring", o->ring, "a power of two from 64K to 16G");
	if (o->no_detect)
		c->detect = false;
	if (o->devices && config_devices(c, o->devices, err, sizeof(err))) {
		complain("%s", err);
		return -1;
	}
	if (o->name && (!*o->name || strchr(o->name, '/') || strlen(o->name) > 100))
		return bad("--name", o->name, "a name without '/'");
	return 0;
}

static int load_config(struct config *c, const struct options *o)
{
	const char *path = o->config;
	char err[600];

	config_default(c);
	if (!path) {
		if (access(CONFIG_DEFAULT_PATH, F_OK))
			return 0;
		path = CONFIG_DEFAULT_PATH;
	} else if (!strcmp(path, "none")) {
		return 0;
	}
	if (!config_load(c, path, err, sizeof(err)))
		return 0;
	complain("%s", err);
	return -1;
}

/* --- recover ------------------------------------------------------------------------ */

static void say_line(void *ctx, const char *line)
{
	(void)ctx;
	printf("%s\n", line);
}

static int recover(int argc, char **argv)
{
	int n;

	if (argc != 3) {
		complain("'onirec recover' wants one folder");
		return EXIT_USAGE;
	}
	n = oeb_recover(argv[2], say_line, NULL);
	if (n < 0) {
		complain("cannot recover everything under %s: %s", argv[2], strerror(errno));
		return EXIT_DISK;
	}
	return EXIT_OK;
}

/* --- what the user sees --------------------------------------------------------------- */

static void format_bytes(char *buf, size_t len, double bytes)
{
	if (bytes >= 1e9)
		snprintf(buf, len, "%.2f GB", bytes / 1e9);
	else
		snprintf(buf, len, "%.1f MB", bytes / 1e6);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

struct rates {
	struct rec_progress last;
	uint64_t last_ns;
	double bytes_s, spikes_s;
};

static uint64_t mono_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void progress_text(char *buf, size_t len, const struct rec_progress *p, struct rates *r)
{
	uint64_t now = mono_ns();
	double dt = (double)(now - r->last_ns) / 1e9;
	char written[32];

	if (r->last_ns && dt > 0) {
		r->bytes_s = (double)(p->bytes_read - r->last.bytes_read) / dt;
		r->spikes_s = (double)(p->spikes - r->last.spikes) / dt;
	}
	r->last = *p;
	r->last_ns = now;
	format_bytes(written, sizeof(written), (double)p->bytes_written);
	snprintf(buf, len, "%7.1f s  %6.2f MB/s  %s on disk  ring %4.1f%%  card RAM %4.1f%%  "
		 "lost %" PRIu64 "  %.0f spikes/s", p->seconds, r->bytes_s / 1e6, written,
		 percent(p->ring_fill, p->ring_bytes), percent(p->card_bytes, p->card_total),
		 p->lost, r->spikes_s);
}

static void show_progress(const char *text, unsigned int ticks)
{
	unsigned int seconds = getenv("NOTIFY_SOCKET") ? LOG_SECONDS : LINE_SECONDS;

	if (ui.quiet)
		return;
	if (ui.tty)
		fprintf(stderr, "\r\033[K%s", text);
	else if (ticks % (seconds * 1000 / TICK_MS) == 0)
		fprintf(stderr, "onirec: %s\n", text);
}

static json_int_t get(const json_t *j, const char *a, const char *b)
{
	return json_integer_value(json_object_get(json_object_get(j, a), b));
}

static void print_devices(const json_t *summary)
{
	size_t i;
	json_t *d;

	printf("%-22s %-12s %12s %12s %8s %6s\n", "device", "recorded as", "frames", "recorded",
	       "lost", "gaps");
	json_array_foreach(json_object_get(summary, "devices"), i, d)
		if (json_integer_value(json_object_get(d, "frames")))
			printf("%-22s %-12s %12lld %12lld %8lld %6lld\n",
			       json_string_value(json_object_get(d, "name")),
			       json_string_value(json_object_get(d, "recorded_as")),
			       (long long)json_integer_value(json_object_get(d, "frames")),
			       (long long)json_integer_value(json_object_get(d, "recorded")),
			       (long long)json_integer_value(json_object_get(d, "lost")),
			       (long long)json_integer_value(json_object_get(d, "gaps")));
}

static void print_summary(const json_t *s)
{
	const json_t *clock = json_object_get(s, "clock");
	char a[32], b[32];

	printf("\n");
	print_devices(s);
	printf("\nacquired     %.3f s of acquisition clock\n",
	       json_number_value(json_object_get(s, "seconds")));
	format_bytes(a, sizeof(a), (double)get(s, "stream", "bytes"));
	format_bytes(b, sizeof(b), (double)get(s, "disk", "bytes"));
	printf("data         %s read in %lld blocks, %s written\n", a,
	       (long long)get(s, "stream", "blocks"), b);
	format_bytes(a, sizeof(a), (double)get(s, "stream", "ring_peak_bytes"));
	format_bytes(b, sizeof(b), (double)get(s, "card", "peak_bytes"));
	printf("high water   ring %s (%.1f%%), card RAM %s (%.2f%%)\n", a,
	       percent((uint64_t)get(s, "stream", "ring_peak_bytes"),
		       (uint64_t)get(s, "stream", "ring_bytes")), b,
	       percent((uint64_t)get(s, "card", "peak_bytes"),
		       (uint64_t)get(s, "card", "total_bytes")));
	printf("spikes       %lld recorded, %lld over a rate limit, %lld dropped, "
	       "%lld frames not searched\n", (long long)get(s, "spikes", "recorded"),
	       (long long)get(s, "spikes", "guarded"), (long long)get(s, "spikes", "dropped"),
	       (long long)get(s, "spikes", "frames_not_searched"));
	if (json_is_object(clock))
		printf("clock        %+.2f ppm against the host (+-%.2f), interrupts late by "
		       "%.1f us (median), %.1f us (99 %%)\n",
		       json_number_value(json_object_get(clock, "ppm")),
		       json_number_value(json_object_get(clock, "ppm_error")),
		       json_number_value(json_object_get(clock, "jitter_p50_ns")) / 1e3,
		       json_number_value(json_object_get(clock, "jitter_p99_ns")) / 1e3);
	printf("recording    %s\n", json_string_value(json_object_get(s, "recording")));
}

/* --- recording ------------------------------------------------------------------------ */

/* DIR/NAME, or DIR/DATE_TIME with a number when that is taken. */
static int session_path(char *buf, size_t len, const char *dir, const char *name)
{
	time_t now = time(NULL);
	struct tm tm;
	char stamp[120];

	if (mkdir(dir, 0755) && errno != EEXIST) {
		complain("cannot make the folder %s: %s", dir, strerror(errno));
		return -1;
	}
	if (name) {
		snprintf(stamp, sizeof(stamp), "%s", name);
	} else {
		localtime_r(&now, &tm);
		strftime(stamp, sizeof(stamp), "%Y-%m-%d_%H-%M-%S", &tm);
	}
	for (int i = 1; i < 1000; i++) {
		if (i == 1)
			snprintf(buf, len, "%s/%s", dir, stamp);
		else
			snprintf(buf, len, "%s/%s-%d", dir, stamp, i);
		if (!mkdir(buf, 0755))
			return 0;
		if (errno != EEXIST || name)
			break;
	}
	complain("cannot make the folder %s: %s", buf, strerror(errno));
	return -1;
}

static void rec_config_from(struct rec_config *r, const struct config *c, const struct card *card,
			    const char *session)
{
	*r = (struct rec_config){
		.session = session,
		.acq_hz = card->info.acq_clock_hz,
		.seconds = c->seconds,
		.max_bytes = c->size,
		.buffer_bytes = c->buffer_bytes,
		.reserve_bytes = c->reserve_bytes,
		.fill_seconds = c->fill_seconds,
		.sync_seconds = c->sync_seconds,
		.aux = c->aux,
		.detect = c->detect,
		.k = c->k,
		.fixed_uv = c->fixed_uv,
		.polarity = c->polarity,
		.channel_rate = c->channel_rate,
		.stream_rate = c->stream_rate,
		.n_pre = c->n_pre,
		.n_post = c->n_post,
		.prime_seconds = c->prime_seconds,
		.blank = c->blank,
		.blank_pre_us = c->blank_pre_us,
		.blank_post_us = c->blank_post_us,
		.train_us = c->train_us,
		.fire_us = c->fire_us,
		.n_trains = c->n_trains,
	};
	memcpy(r->trains, c->trains, sizeof(r->trains));
	memcpy(r->silent, card->silent, sizeof(r->silent));
	r->audit_bus = card->info.bus_name;
	r->about = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i}", "program", "onirec",
			     "version", onidev_version(), "device",
			     onidev_controller_node(card->ctl), "bus", card->info.bus_name,
			     "hardware_id", (int)card->info.hardware_id, "hardware_revision",
			     (int)card->info.hardware_revision, "firmware_version",
			     (int)card->info.firmware_version, "table_generation",
			     (int)card->info.generation);
}

/* Wait one tick for a signal that asks to end. */
static int wait_signal(const sigset_t *set)
{
	struct timespec t = { .tv_nsec = TICK_MS * 1000000L };

	return sigtimedwait(set, NULL, &t) > 0;
}

/*
 * Until the stream has ended. The watchdog is fed only when the reader's loop has
 * moved since the last time.
 */
static void watch(struct rec *rec, struct card *card, const sigset_t *set)
{
	struct rates rates = { .last_ns = 0 };
	uint64_t fed = 0;
	bool stopping = false;
	unsigned int asked = 0, ticks = 0;
	struct rec_progress p;

	do {
		char text[256];

		asked += (unsigned int)wait_signal(set);
		rec_progress(rec, &p);
		progress_text(text, sizeof(text), &p, &rates);
		show_progress(text, ticks++);
		sd_notifyf(0, "STATUS=Recording: %s", text);
		if (p.loops != fed)
			sd_notify(0, "WATCHDOG=1");
		fed = p.loops;
		if (!stopping && !p.ended && (asked || p.want_stop)) {
			stopping = true;
			/* the hardware's memory may hold much, and all of it is waited for */
			sd_notify(0, "STOPPING=1\nSTATUS=Stopping\n" LONG_WATCHDOG);
			if (card->source.ops->stop(&card->source)) {
				complain("%s", card->err);
				rec_give_up(rec);
			}
		}
		if (asked > 2)
			rec_give_up(rec);
	} while (!p.ended);
	if (ui.tty && !ui.quiet)
		fputc('\n', stderr);
}

static int exit_code(enum rec_end end)
{
	switch (end) {
	case REC_STOPPED:
		return EXIT_OK;
	case REC_DISK:
		return EXIT_DISK;
	case REC_GONE:
		return EXIT_GONE;
	default:
		return EXIT_DEVICE;
	}
}

static int finish(struct rec *rec)
{
	char err[800];
	enum rec_end end;
	json_t *summary;

	/* the last writes may take longer than the watchdog allows */
	sd_notify(0, LONG_WATCHDOG);
	end = rec_finish(rec, err, sizeof(err));
	summary = rec_summary(rec);
	if (ui.json) {
		json_dumpf(summary, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER |
			   JSON_REAL_PRECISION(12));
		putchar('\n');
	} else if (!ui.quiet && summary) {
		print_summary(summary);
	}
	json_decref(summary);
	if (err[0])
		complain("%s", err);
	return exit_code(end);
}

static int record(const struct config *cfg, const char *name, const sigset_t *set)
{
	struct rec_config rc;
	struct card card;
	struct rec *rec;
	char session[512], audit_head[256], err[800];
	int code = EXIT_DEVICE;

	if (session_path(session, sizeof(session), cfg->directory, name))
		return EXIT_DISK;
	if (card_open(&card, cfg, say)) {
		complain("%s", card.err);
		goto out_session;
	}
	rec_config_from(&rc, cfg, &card, session);
	snprintf(audit_head, sizeof(audit_head), PUBLISH_DIR "/%s/" PUBLISH_NAME,
		 onidev_controller_name(card.ctl));
	rc.audit_head = audit_head;
	rec = rec_open(&rc, &card.source, card.dev, card.n_dev, err, sizeof(err));
	json_decref(rc.about);
	if (!rec) {
		complain("%s", err);
		code = EXIT_DISK;
		goto out;
	}
	if (card_start(&card) || rec_run(rec)) {
		complain("%s", card.err[0] ? card.err : "cannot start the recorder's threads");
		rec_give_up(rec);
		rec_finish(rec, err, sizeof(err));
		rec_free(rec);
		goto out;
	}
	say(session);
	sd_notify(0, "READY=1\nSTATUS=Recording");
	watch(rec, &card, set);
	code = finish(rec);
	rec_free(rec);
out:
	card_close(&card);
out_session:
	rmdir(session);		/* only when nothing was made in it */
	return code;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct config cfg;
	sigset_t set;
	int ret;

	ui.tty = isatty(STDERR_FILENO);
	if (argc > 1 && !strcmp(argv[1], "recover"))
		return recover(argc, argv);
	ret = parse_options(argc, argv, &o);
	if (ret)
		return ret < 0 ? EXIT_USAGE : EXIT_OK;
	if (optind != argc) {
		complain("'%s' is not understood; 'onirec --help' lists the options", argv[optind]);
		return EXIT_USAGE;
	}
	if (load_config(&cfg, &o) || apply_options(&cfg, &o))
		return EXIT_USAGE;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	ret = record(&cfg, o.name, &set);
	if (ret == EXIT_OK && ui.json && fflush(stdout))
		ret = EXIT_DISK;
	return ret;
}
