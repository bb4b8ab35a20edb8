// SPDX-License-Identifier: MIT
/*
 * verify.c - "log verify": is an audit log as it was written? See chain.h for what a
 * log is and oni-audit-log(5) for what can be proved by it.
 *
 * Reads the head before the log, so that a log that grows meanwhile is no damage.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "chain.h"
#include "recording.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	VERIFY_GOOD = 0,
	VERIFY_DAMAGED = 1,
	VERIFY_NOT_DONE = 2,	/* command line, or a file cannot be read */
	VERIFY_NOT_ITS_LOG = 3,	/* of the recording */
};

struct verify {
	const char *file;
	char head_path[PATH_MAX];
	bool json;
	struct chain_key key;
	struct chain_scan scan;
	struct chain_head head;
	int head_slots;		/* whole ones */
	char why[2 * CHAIN_WHY];
	const char *kind;	/* of the first damage, NULL: none */
	uint64_t record;	/* the first that is not as it was */
	const char *folder;	/* of a recording, NULL: none was named */
	struct recording recording;
};

static const char *const kinds[] = {
	[CHAIN_FORM] = "not-a-record", [CHAIN_MISSING] = "removed", [CHAIN_ORDER] = "order",
	[CHAIN_HASH_WRONG] = "changed", [CHAIN_TORN] = "torn", [CHAIN_REPAIR] = "repair",
	[CHAIN_KEY] = "key",
};

static void usage(FILE *out)
{
	fprintf(out,
"usage: verify [--key FILE] [--head FILE] [--recording DIR] [--json] LOG\n"
"\n"
"Is the audit log LOG as it was written? Finds the first record that was changed,\n"
"inserted, removed or moved, and an end that was cut off.\n"
"\n"
"      --key FILE    the key that it was written with\n"
"      --head FILE   its head; default: LOG.head. A copy from another machine proves more\n"
"      --recording DIR  is it the log that was kept while this was recorded? Every\n"
"                    record that the recordings in DIR name has to be in it\n"
"      --json        the result as one JSON object\n"
"  -h, --help        this text\n"
"\n"
"Exit code: 0 as it was written, 1 damaged, 2 could not be looked at, 3 as it was\n"
"written, but the recording names records that are not in it.\n"
"Research use only, not a medical device.\n");
}

__attribute__((format(printf, 4, 5)))
static void damage(struct verify *v, const char *kind, uint64_t record, const char *fmt, ...)
{
	va_list ap;

	if (v->kind)
		return;
	v->kind = kind;
	v->record = record;
	va_start(ap, fmt);
	vsnprintf(v->why, sizeof(v->why), fmt, ap);
	va_end(ap);
}

static int read_head(struct verify *v)
{
	char text[CHAIN_HEAD + 1];
	int fd = open(v->head_path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return 0;
	n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	if (n < 0) {
		fprintf(stderr, "verify: cannot read %s: %s\n", v->head_path, strerror(errno));
		return -1;
	}
	v->head_slots = chain_head_parse(&v->key, text, (size_t)n, &v->head);
	return 0;
}

/* What the head knows, against what is there. */
static void judge_head(struct verify *v)
{
	const struct chain_scan *s = &v->scan;
	const struct chain_head *h = &v->head;

	if (!v->head_slots) {
		damage(v, "head", s->records + 1, "the head %s is missing, damaged or of another key: "
		       "whether the end was cut off cannot be said", v->head_path);
		return;
	}
	if (s->records < h->records)
		damage(v, "truncated", s->records + 1, "the end is missing: the head knows %" PRIu64
		       " records, there are %" PRIu64, h->records, s->records);
	else if (h->records && (s->mark_bytes != h->bytes ||
				memcmp(s->mark_hash, h->hash, CHAIN_HASH)))
		damage(v, "rewritten", h->records, "record %" PRIu64 " is not the one that the head "
		       "knows: the log was written anew, or is another one", h->records);
	else if (h->state == CHAIN_CLOSED && s->size != h->bytes)
		damage(v, "appended", h->records + 1, "something was appended after the log had been "
		       "closed");
	if (v->head_slots < 2)
		damage(v, "head", s->records, "one half of the head %s is damaged: changed, or torn by "
		       "a loss of power", v->head_path);
}

static int look(struct verify *v)
{
	int fd, ret;

	if (read_head(v))
		return -1;
	if (v->folder && recording_read(&v->recording, v->folder)) {
		fprintf(stderr, "verify: %s\n", v->recording.why);
		return -1;
	}
	fd = open(v->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	v->scan.mark = v->head.records;
	v->scan.each = v->folder ? recording_record : NULL;
	v->scan.ctx = &v->recording;
	ret = fd < 0 ? -1 : chain_scan(fd, &v->key, &v->scan);
	if (ret)
		fprintf(stderr, "verify: cannot read %s: %s\n", v->file, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (ret)
		return -1;
	if (v->scan.fault)
		damage(v, kinds[v->scan.fault], v->scan.records + 1, "line %" PRIu64 " (byte %" PRIu64
		       "): %s", v->scan.fault_line, v->scan.fault_offset, v->scan.why);
	judge_head(v);
	return 0;
}

static const char *state_name(const struct verify *v)
{
	static const char *const names[] = { "open", "closed", "failed" };

	return v->head_slots ? names[v->head.state] : "unknown";
}

/* Why a record that the recording names is not there. */
static void not_there(const struct verify *v, const struct recording_head *h, char *buf, size_t len)
{
	if (h->met)
		snprintf(buf, len, "the log has another record of this number: it was written anew, or is "
			 "another one");
	else
		snprintf(buf, len, "the log has %" PRIu64 " good records: its end was cut off, or it is "
			 "another one", v->scan.records);
}

static json_t *recording_json(const struct verify *v)
{
	const struct recording *rec = &v->recording;
	const struct recording_head *h = recording_missing(rec);
	char why[CHAIN_WHY], hex[CHAIN_HEX + 1];
	json_t *j = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "folder", v->folder, "in_log", !h,
			      "recordings", (json_int_t)rec->files, "ended", (json_int_t)rec->ended,
			      "heads", (json_int_t)rec->heads, "without_log", (json_int_t)rec->without);

	if (h) {
		not_there(v, h, why, sizeof(why));
		chain_hex(h->hash, hex);
		json_object_set_new(j, "missing", json_pack("{s:I, s:s, s:s, s:s, s:s}", "record",
				    (json_int_t)h->record, "hash", hex, "at", h->at, "file",
				    rec->file[h->file], "why", why));
	}
	return j;
}

static void print_recording(const struct verify *v)
{
	const struct recording *rec = &v->recording;
	const struct recording_head *h = recording_missing(rec);
	char why[CHAIN_WHY];

	if (h) {
		not_there(v, h, why, sizeof(why));
		printf("%s: NOT THE LOG of this recording\n  record %" PRIu64 " (%s, %s) is not in it: %s\n",
		       v->folder, h->record, h->at, rec->file[h->file], why);
	} else {
		printf("%s: recorded while this log was kept, %zu times it names one of the records %" PRIu64
		       " to %" PRIu64 "\n", v->folder, rec->heads, rec->head[0].record,
		       rec->head[rec->heads - 1].record);
	}
	if (rec->without)
		printf("  %zu times it says that no log was kept\n", rec->without);
	if (rec->ended < rec->files)
		printf("  %u of %u recordings were not ended: what came behind the last one named is not "
		       "covered\n", rec->files - rec->ended, rec->files);
}

static void print_json(const struct verify *v)
{
	char hex[CHAIN_HEX + 1];
	json_t *j;

	chain_hex(v->scan.hash, hex);
	j = json_pack("{s:s, s:b, s:I, s:I, s:s, s:s, s:b, s:I, s:I, s:I}", "file", v->file, "good",
		      !v->kind, "records", (json_int_t)v->scan.records, "bytes",
		      (json_int_t)v->scan.bytes, "hash", hex, "state", state_name(v), "keyed",
		      v->scan.keyed, "head_records", (json_int_t)v->head.records, "repairs",
		      (json_int_t)v->scan.repairs, "torn_bytes", (json_int_t)v->scan.torn_bytes);
	if (v->kind) {
		json_object_set_new(j, "damage", json_string(v->kind));
		json_object_set_new(j, "first_bad_record", json_integer((json_int_t)v->record));
		json_object_set_new(j, "line", json_integer((json_int_t)v->scan.fault_line));
		json_object_set_new(j, "offset", json_integer((json_int_t)v->scan.fault_offset));
		json_object_set_new(j, "why", json_string(v->why));
	}
	if (v->folder)
		json_object_set_new(j, "recording", recording_json(v));
	json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(j);
}

static void print_text(const struct verify *v)
{
	char hex[CHAIN_HEX + 1];

	chain_hex(v->scan.hash, hex);
	if (v->kind) {
		printf("%s: DAMAGED, first at record %" PRIu64 "\n  %s\n  good before that: %" PRIu64
		       " records\n", v->file, v->record, v->why, v->scan.records);
		return;
	}
	printf("%s: as it was written, %" PRIu64 " records, %s\n  last hash %s\n", v->file,
	       v->scan.records, state_name(v), hex);
	if (v->scan.repairs)
		printf("  %" PRIu64 " bytes in %" PRIu64 " places were left by losses of power; they "
		       "are kept and accounted for\n", v->scan.torn_bytes, v->scan.repairs);
	if (v->scan.records > v->head.records)
		printf("  the last %" PRIu64 " are younger than the head: whether more followed is not "
		       "known\n", v->scan.records - v->head.records);
	if (!v->key.len)
		printf("  without a key: who may write both files could have made both anew\n");
}

static int options(struct verify *v, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "key", required_argument, NULL, 'k' }, { "head", required_argument, NULL, 'H' },
		{ "recording", required_argument, NULL, 'r' }, { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	const char *key = NULL, *head = NULL;
	char why[CHAIN_WHY];
	int opt, n;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (opt) {
		case 'k': key = optarg; break;
		case 'H': head = optarg; break;
		case 'r': v->folder = optarg; break;
		case 'j': v->json = true; break;
		case 'h':
			usage(stdout);
			return 1;
		default:
			fprintf(stderr, "verify: --help says more\n");
			return -1;
		}
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "verify: wants one log; --help says more\n");
		return -1;
	}
	v->file = argv[optind];
	n = snprintf(v->head_path, sizeof(v->head_path), "%s%s", head ? head : v->file,
		     head ? "" : ".head");
	if (n >= (int)sizeof(v->head_path)) {
		fprintf(stderr, "verify: the name is too long\n");
		return -1;
	}
	if (key && chain_key_read(&v->key, key, why)) {
		fprintf(stderr, "verify: %s\n", why);
		return -1;
	}
	return 0;
}

static int result(const struct verify *v)
{
	/* a keyed log without its key: nothing was shown to be damaged */
	if (v->kind && v->scan.fault == CHAIN_KEY && !v->key.len)
		return VERIFY_NOT_DONE;
	if (v->kind)
		return VERIFY_DAMAGED;
	return v->folder && recording_missing(&v->recording) ? VERIFY_NOT_ITS_LOG : VERIFY_GOOD;
}

int oni_chain_verify_main(int argc, char **argv)
{
	struct verify v = { .json = false };
	int ret;

	if (chain_init()) {
		fprintf(stderr, "verify: the library for SHA-256 cannot be used\n");
		return VERIFY_NOT_DONE;
	}
	ret = options(&v, argc, argv);
	if (ret)
		return ret < 0 ? VERIFY_NOT_DONE : VERIFY_GOOD;
	ret = VERIFY_NOT_DONE;
	if (!look(&v)) {
		if (v.json) {
			print_json(&v);
		} else {
			print_text(&v);
			if (v.folder)
				print_recording(&v);
		}
		ret = fflush(stdout) ? VERIFY_NOT_DONE : result(&v);
	}
	recording_free(&v.recording);
	return ret;
}
