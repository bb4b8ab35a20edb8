// SPDX-License-Identifier: MIT
/*
 * audit.c - which log of stimulation was in force: the newest record of it, as oni-auditd
 * tells it to everybody (audit/publish.h), goes into onirec/audit.jsonl and meta.json, so that
 * a log from which something was cut off later cannot pass for the one of this recording.
 *
 * Threads: the writer, which owns the files; before and after it whoever does.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rec_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An event is in the log when it has reached that one's disk; longer than this nobody waits. */
#define CATCH_UP_NS	2000000000u
#define LOOK_NS		20000000

static const char *const states[] = {
	[PUBLISHED_NONE] = "none", [PUBLISHED_LEFT] = "ended", [PUBLISHED_KEPT] = "kept",
};

static void look(const struct rec *r, struct published *p)
{
	if (r->cfg.audit_head) {
		published_read(r->cfg.audit_head, r->cfg.audit_bus, p);
		return;
	}
	memset(p, 0, sizeof(*p));
	snprintf(p->why, sizeof(p->why), "nobody has said where a log would be");
}

static json_t *head_json(const struct published *p)
{
	json_t *j = json_pack("{s:s}", "state", states[p->state]);

	if (p->state != PUBLISHED_KEPT)
		json_object_set_new(j, "why", json_string(p->why));
	if (p->state == PUBLISHED_NONE)
		return j;
	json_object_set_new(j, "log", json_string(p->log));
	json_object_set_new(j, "record", json_integer((json_int_t)p->record));
	json_object_set_new(j, "hash", json_string(p->hash));
	json_object_set_new(j, "keyed", json_boolean(p->keyed));
	json_object_set_new(j, "event", json_integer((json_int_t)p->seq));
	json_object_set_new(j, "real_ns", json_integer((json_int_t)p->real_ns));
	return j;
}

static bool same(const struct published *a, const struct published *b)
{
	return a->state == b->state && a->record == b->record && !strcmp(a->hash, b->hash);
}

/* One line in audit.jsonl: the head, when it was seen, and how far the recording was. */
static int put_line(struct rec *r, const char *at, json_t *head)
{
	int64_t rows = r->main_stream < 0 ? 0 :
		       (int64_t)oeb_rows(r->oeb, (unsigned int)r->main_stream);
	struct timespec t;
	char *text, *line = NULL;
	json_t *j;
	int ret;

	clock_gettime(CLOCK_REALTIME, &t);
	j = json_pack("{s:s, s:I, s:s, s:I, s:O}", "at", at, "real_ns",
		      (json_int_t)t.tv_sec * 1000000000 + t.tv_nsec, "stream", r->event_stream, "rows",
		      (json_int_t)rows, "head", head);
	text = json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(j);
	/* without memory for this there is more to come than a line less */
	if (!text || asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	ret = line ? oeb_side(r->oeb, "audit.jsonl", "", line, strlen(line)) : 0;
	free(line);
	return ret;
}

void audit_begins(struct rec *r)
{
	json_decref(r->audit_start);
	json_decref(r->audit_end);
	r->audit_end = NULL;
	look(r, &r->audit);
	r->audit_start = head_json(&r->audit);
}

int audit_begun(struct rec *r)
{
	return put_line(r, "start", r->audit_start);
}

int audit_goes_on(struct rec *r)
{
	struct published now;
	json_t *j;
	int ret;

	look(r, &now);
	if (same(&now, &r->audit))
		return 0;
	r->audit = now;
	j = head_json(&now);
	ret = put_line(r, "change", j);
	json_decref(j);
	return ret;
}

int audit_ends(struct rec *r, uint64_t seq)
{
	uint64_t since = now_ns();

	look(r, &r->audit);
	while (r->audit.state == PUBLISHED_KEPT && r->audit.seq < seq && now_ns() - since < CATCH_UP_NS) {
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
		look(r, &r->audit);
	}
	json_decref(r->audit_end);
	r->audit_end = head_json(&r->audit);
	if (r->audit.state == PUBLISHED_KEPT && seq)
		json_object_set_new(r->audit_end, "has_all_events",
				    json_boolean(r->audit.seq >= seq));
	return put_line(r, "end", r->audit_end);
}
