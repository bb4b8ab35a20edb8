// SPDX-License-Identifier: MIT
/*
 * cmd_run.c - run and session: stimulation, in one process from claim to release.
 *
 * Both end cleanly on SIGINT, SIGTERM and SIGHUP: what is armed is disarmed first. If
 * they are killed the kernel does it.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decimal.h"
#include "live.h"
#include "words.h"

enum { OPT_COUNT = 1, OPT_PERIOD, OPT_TTL, OPT_ACQUIRE, OPT_HUB };

/* A little more than the kernel wants, or the first train would come too soon. */
#define ARM_DELAY_MS	(ONI_STIM_ARM_DELAY_MS + 5)
#define PERIOD_MAX_MS	3600000u
/* How long for reports, which come with the data; and what has to be left of the time to live. */
#define REPORT_MS	2000u
#define TTL_ROOM_MS	50u

struct request {
	const char *file;
	uint32_t count;
	uint64_t period_ms;
	uint64_t ttl_ms;
	uint32_t hub;
	int acquire;
};

/* ---- run ------------------------------------------------------------------------ */

/*
 * Until the last train has ended, so that it is not cut off, and until the hardware has reported
 * @reports of all: what was disarmed by then is not looked for any more.
 */
static int wait_for_end(struct live *l, uint64_t reports)
{
	struct oni_stim_status s;
	uint64_t ended = 0;
	int rc;

	do {
		rc = live_wait(l, 10, -1);
		if (rc == EXIT_OK)
			rc = live_status(l, &s);
		if (rc != EXIT_OK || live_interrupted())
			return rc;
		if (!(s.flags & ONI_STIM_PLAYING) && !ended)
			ended = live_now_ms();
	} while (!ended || (s.state == ONI_STIM_ARMED && s.delivered < reports &&
			    s.ttl_ms > TTL_ROOM_MS && live_now_ms() < ended + REPORT_MS));
	return EXIT_OK;
}

static int fire_all(struct live *l, const struct request *req, const struct work *w,
		    uint32_t *fired)
{
	uint64_t due = l->armed_ms + ARM_DELAY_MS, now;
	struct oni_stim_status before;
	int rc = live_status(l, &before);

	while (rc == EXIT_OK && *fired < req->count) {
		now = live_now_ms();
		rc = live_wait(l, now < due ? due - now : 0, -1);
		if (rc != EXIT_OK || live_interrupted())
			break;
		rc = live_fire(l);
		if (rc != EXIT_OK)
			break;
		++*fired;
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\rtrain %u of %u  ", *fired, req->count);
		due = live_now_ms() + req->period_ms;
	}
	if (isatty(STDERR_FILENO) && *fired)
		fputc('\n', stderr);
	/* headstage-64 reports nothing */
	return rc == EXIT_OK ? wait_for_end(l, w->compiled.program.kind == ONI_STIM_RHS2116 ?
					       before.delivered + *fired : 0) : rc;
}

/* Enough for all trains, if nothing else was said. */
static uint32_t time_to_live(const struct request *req, const struct work *w)
{
	uint64_t ms = req->ttl_ms;

	if (!ms)
		ms = ARM_DELAY_MS + (req->count - 1ull) * (req->period_ms + 20) +
		     work_length_ns(w) / 1000000 + 1000 + REPORT_MS;
	return ms > ONI_STIM_TTL_MAX_MS ? ONI_STIM_TTL_MAX_MS : (uint32_t)ms;
}

static int show_run(const struct live *l, const struct request *req, const struct work *w,
		    uint32_t fired, const struct oni_stim_status *s)
{
	char hash[2 * ONI_STIM_HASH_BYTES + 1];

	if (settings.json)
		return print_json(json_pack(
			"{s:s, s:o, s:i, s:i, s:I, s:o, s:o, s:o, s:o}", "name", w->stimulus.name,
			"program", json_hash(l->hash), "hub", (int)l->hub, "asked", (int)req->count,
			"fired", (json_int_t)fired, "commanded_total", json_u64(s->fires),
			"delivered_total", json_u64(s->delivered), "kicks", json_u64(l->kicks),
			"stale_kicks", json_u64(l->stale)));
	printf("%u of %u trains of \"%s\" fired, program %s\n", fired, req->count, w->stimulus.name,
	       hash_text(hash, l->hash));
	printf("since the driver was bound: %llu commanded, %llu reported by the hardware\n",
	       (unsigned long long)s->fires, (unsigned long long)s->delivered);
	return finish_output();
}

static int prepare(struct live *l, const struct request *req, const struct work *w)
{
	int rc = live_open(l, req->acquire);

	if (rc == EXIT_OK && req->acquire)
		rc = live_step(l, w, req->hub);
	if (rc == EXIT_OK)
		rc = live_start(l);
	if (rc == EXIT_OK)
		rc = live_load(l, w, req->hub);
	/* What another program has in the ring is old: be at its head before arming. */
	if (rc == EXIT_OK)
		rc = live_wait(l, 20, -1);
	return rc == EXIT_OK ? live_arm(l, time_to_live(req, w)) : rc;
}

static int run_it(const struct request *req, const struct work *w)
{
	struct oni_stim_status s = { 0 };
	uint32_t fired = 0;
	struct live l;
	int rc, shown;

	live_catch_signals();
	rc = prepare(&l, req, w);
	if (rc == EXIT_OK && !live_interrupted())
		rc = fire_all(&l, req, w, &fired);
	if (rc == EXIT_OK && l.armed)
		rc = live_disarm(&l);
	if (live_interrupted()) {
		say("Interrupted: disarmed.");
		rc = rc == EXIT_OK ? EXIT_FAIL : rc;
	}
	/* One JSON text: a verdict has said what there is to say. */
	if (l.loaded && (rc == EXIT_OK || !settings.json || live_interrupted()) &&
	    live_status(&l, &s) == EXIT_OK) {
		shown = show_run(&l, req, w, fired, &s);
		rc = rc == EXIT_OK ? shown : rc;
	}
	if (rc == EXIT_OK && l.stale)
		say("%llu signs of life came with data that were too old: the acquisition delivers its "
		    "data late, use smaller blocks.", (unsigned long long)l.stale);
	live_close(&l);
	return rc;
}

static int run_run(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "count", required_argument, NULL, OPT_COUNT },
		{ "period", required_argument, NULL, OPT_PERIOD },
		{ "ttl", required_argument, NULL, OPT_TTL },
		{ "acquire", no_argument, NULL, OPT_ACQUIRE },
		{ "hub", required_argument, NULL, OPT_HUB },
		{ 0 }
	};
	struct request req = { .count = 1 };
	struct work *w;
	int c, rc;

	while ((c = next_option(argc, argv, "n:", longs)) != -1) {
		if (c == OPT_COUNT || c == 'n')
			req.count = arg_count("count", optarg, 1, 1000000);
		else if (c == OPT_PERIOD)
			req.period_ms = arg_ms("period", optarg, 1, PERIOD_MAX_MS);
		else if (c == OPT_TTL)
			req.ttl_ms = arg_ms("ttl", optarg, 1, ONI_STIM_TTL_MAX_MS);
		else if (c == OPT_HUB)
			req.hub = arg_count("hub", optarg, 1, 255);
		else
			req.acquire = 1;
	}
	expect_args(argc, 1, 1);
	if (req.count > 1 && !req.period_ms)
		usage_error("%u trains, but how often? Add --period=SECONDS, from one to the next",
			    req.count);
	req.file = argv[optind];
	w = work_new(req.file);
	if (!w)
		return EXIT_FAIL;
	work_say_notes(w);
	if (w->stimulus.sources & ONI_STIM_FROM_REGISTER)
		rc = run_it(&req, w);
	else
		rc = fail_text("this stimulus is started from outside only: arm it in a 'session', and wait");
	work_free(w);
	return rc;
}

const struct command cmd_run = {
	.name = "run",
	.args = "FILE [-n COUNT --period=SECONDS] [--ttl=SECONDS] [--acquire] [--hub=N]",
	.summary = "Claim, load, arm, fire, disarm",
	.help =
"  -n, --count=COUNT     trains; default 1\n"
"      --period=SECONDS  from one train to the next\n"
"      --ttl=SECONDS     what is armed ends by itself after this; default: enough\n"
"      --acquire         claim the controller, set the step of the amplitudes, and\n"
"                        run an acquisition; default: look at the one that another\n"
"                        program (onirec) runs\n"
"      --hub=N           headstage, if there are several\n"
"\n"
"While it is armed it reads the data and tells the kernel how far it has come. When\n"
"it does not for longer than watchdog_ms of the stimulus, everything stops. Ctrl-C\n"
"disarms and ends.\n",
	.run = run_run,
};

/* ---- session ---------------------------------------------------------------------- */

struct session {
	struct live l;
	struct work *w;
	uint32_t hub;
	char buf[4096];		/* what was read and has no newline yet */
	size_t len;
	bool eof;
	bool quit;
};

static int ok(const char *what)
{
	if (settings.json) {
		json_t *j = json_pack("{s:s}", "ok", what);

		json_dumpf(j, stdout, JSON_COMPACT);
		json_decref(j);
		putchar('\n');
	} else {
		printf("ok %s\n", what);
	}
	return finish_output();
}

static int do_load(struct session *s, const char *arg)
{
	struct work *w = work_new(arg);
	char hash[2 * ONI_STIM_HASH_BYTES + 1], text[100];
	int rc;

	if (!w)
		return EXIT_FAIL;
	work_say_notes(w);
	rc = live_load(&s->l, w, s->hub);
	if (rc != EXIT_OK) {
		work_free(w);
		return rc;
	}
	work_free(s->w);
	s->w = w;
	snprintf(text, sizeof(text), "loaded %s", hash_text(hash, s->l.hash));
	return ok(text);
}

static int do_arm(struct session *s, const char *arg)
{
	uint64_t ms;
	int rc;

	if (seconds_ms(arg, 1, ONI_STIM_TTL_MAX_MS, &ms) < 0)
		return fail_text("arm wants seconds from 0.001 to 3600, not '%s'", arg);
	rc = live_arm(&s->l, (uint32_t)ms);
	return rc == EXIT_OK ? ok("armed") : rc;
}

static int do_fire(struct session *s, const char *arg)
{
	uint64_t since = live_now_ms() - s->l.armed_ms;
	int rc = EXIT_OK;

	(void)arg;
	/* The delay after arming is a warning for those around; here it is waited for. */
	if (s->l.armed && since < ARM_DELAY_MS)
		rc = live_wait(&s->l, ARM_DELAY_MS - since, -1);
	if (rc == EXIT_OK && live_interrupted())
		return EXIT_FAIL;
	if (rc == EXIT_OK)
		rc = live_fire(&s->l);
	return rc == EXIT_OK ? ok("fired") : rc;
}

static int do_disarm(struct session *s, const char *arg)
{
	int rc = live_disarm(&s->l);

	(void)arg;
	return rc == EXIT_OK ? ok("disarmed") : rc;
}

static int do_wait(struct session *s, const char *arg)
{
	uint64_t ms;
	int rc;

	if (seconds_ms(arg, 0, ONI_STIM_TTL_MAX_MS, &ms) < 0)
		return fail_text("wait wants seconds from 0 to 3600, not '%s'", arg);
	rc = live_wait(&s->l, ms, -1);
	return rc == EXIT_OK ? ok("waited") : rc;
}

static int do_status(struct session *s, const char *arg)
{
	struct oni_stim_status st;
	char text[160];
	int rc = live_status(&s->l, &st);

	(void)arg;
	if (rc != EXIT_OK)
		return rc;
	snprintf(text, sizeof(text), "status %s fires %llu delivered %llu watchdog_ms %u ttl_ms %u",
		 words_state(st.state), (unsigned long long)st.fires,
		 (unsigned long long)st.delivered, st.watchdog_ms, st.ttl_ms);
	return ok(text);
}

static int do_quit(struct session *s, const char *arg)
{
	(void)arg;
	s->quit = true;
	return ok("quit");
}

static const struct {
	const char *name;
	bool wants_arg;
	int (*fn)(struct session *s, const char *arg);
} verbs[] = {
	{ "load", true, do_load }, { "arm", true, do_arm }, { "fire", false, do_fire },
	{ "disarm", false, do_disarm }, { "wait", true, do_wait }, { "status", false, do_status },
	{ "quit", false, do_quit },
};

#define VERBS	(sizeof(verbs) / sizeof(verbs[0]))

static int obey(struct session *s, char *line)
{
	char *arg = line;
	size_t i, n;

	while (isspace((unsigned char)*line))
		line++;
	if (!*line || *line == '#')
		return EXIT_OK;
	for (n = strlen(line); n && isspace((unsigned char)line[n - 1]); n--)
		line[n - 1] = '\0';
	for (arg = line; *arg && !isspace((unsigned char)*arg); arg++)
		;
	while (isspace((unsigned char)*arg))
		*arg++ = '\0';
	for (i = 0; i < VERBS && strcmp(verbs[i].name, line); i++)
		;
	if (i == VERBS)
		return fail_text("'%s' is no command: load FILE, arm SECONDS, fire, disarm, wait SECONDS, "
				 "status, quit", line);
	if (verbs[i].wants_arg != !!*arg)
		return fail_text("'%s' takes %s argument", line, verbs[i].wants_arg ? "one" : "no");
	return verbs[i].fn(s, arg);
}

/* One more line if there is one, else NULL. */
static char *take_line(struct session *s, char *line, size_t size)
{
	char *end = memchr(s->buf, '\n', s->len);
	size_t n = end ? (size_t)(end - s->buf) : s->len;

	if (!end && !(s->eof && s->len))
		return NULL;
	snprintf(line, size, "%.*s", (int)n, s->buf);
	n += end ? 1 : 0;
	memmove(s->buf, s->buf + n, s->len - n);
	s->len -= n;
	return line;
}

static bool input_waits(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static int read_more(struct session *s)
{
	ssize_t n;

	if (s->len == sizeof(s->buf))
		return fail_text("a command is longer than %zu bytes", sizeof(s->buf));
	n = read(STDIN_FILENO, s->buf + s->len, sizeof(s->buf) - s->len);
	if (n < 0 && errno != EINTR && errno != EAGAIN)
		return fail_text("cannot read commands: %s", strerror(errno));
	if (!n)
		s->eof = true;
	s->len += n > 0 ? (size_t)n : 0;
	return EXIT_OK;
}

static int obey_input(struct session *s)
{
	char line[sizeof(s->buf) + 1];
	int rc;

	if (take_line(s, line, sizeof(line)))
		return obey(s, line);
	if (s->eof) {
		s->quit = true;
		return EXIT_OK;
	}
	rc = live_wait(&s->l, 1000, STDIN_FILENO);
	/* Without data there is nothing left to do; that something has ended is no reason to go. */
	if (rc == EXIT_FAIL || rc == EXIT_NO_DEVICE)
		s->quit = true;
	return rc == EXIT_OK && input_waits() ? read_more(s) : rc;
}

/* A person at a terminal may try again; a script may not go on after an error. */
static int session_loop(struct session *s)
{
	bool person = isatty(STDIN_FILENO);
	int rc = EXIT_OK, now;

	while (!s->quit && !live_interrupted()) {
		now = obey_input(s);
		rc = rc == EXIT_OK ? now : rc;
		if (now != EXIT_OK && (!person || now == EXIT_NO_DEVICE))
			return now;
	}
	return rc;
}

static int run_session(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "acquire", required_argument, NULL, OPT_ACQUIRE },
		{ "hub", required_argument, NULL, OPT_HUB },
		{ 0 }
	};
	struct session *s = calloc(1, sizeof(*s));
	struct work *w = NULL;
	int c, rc;

	if (!s)
		return fail_text("out of memory");
	while ((c = next_option(argc, argv, "", longs)) != -1) {
		if (c == OPT_HUB)
			s->hub = arg_count("hub", optarg, 1, 255);
		else
			w = work_new(optarg);
		if (c == OPT_ACQUIRE && !w)
			return EXIT_FAIL;
	}
	expect_args(argc, 0, 0);
	live_catch_signals();
	rc = live_open(&s->l, !!w);
	if (rc == EXIT_OK && w)
		rc = live_step(&s->l, w, s->hub);
	if (rc == EXIT_OK)
		rc = live_start(&s->l);
	if (rc == EXIT_OK)
		rc = ok("session");
	if (rc == EXIT_OK)
		rc = session_loop(s);
	live_close(&s->l);
	work_free(s->w);
	work_free(w);
	free(s);
	return rc;
}

const struct command cmd_session = {
	.name = "session",
	.args = "[--acquire=FILE] [--hub=N]",
	.summary = "The same step by step, commands from standard input",
	.help =
"      --acquire=FILE  claim the controller, set the step of the amplitudes of this\n"
"                      stimulus, and run an acquisition\n"
"      --hub=N         headstage, if there are several\n"
"\n"
"Commands, one on a line:\n"
"  load FILE       check and load a stimulus\n"
"  arm SECONDS     arm what is loaded; it ends by itself after this time\n"
"  fire            one train (the first at least 0.2 s after arming: waited for)\n"
"  wait SECONDS    go on reading data and giving signs of life\n"
"  disarm, status, quit\n"
"\n"
"Each is answered with a line 'ok ...' on standard output, or a sentence on standard\n"
"error. Between commands the session is kept alive. If standard input is no terminal\n"
"the first error ends it. The end of the input ends the session.\n",
	.run = run_session,
};
