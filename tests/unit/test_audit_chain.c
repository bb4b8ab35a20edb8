// SPDX-License-Identifier: MIT
/* unit-sources: userspace/audit/chain.c userspace/audit/log.c userspace/audit/verify.c userspace/audit/recording.c */
/* unit-libs: -lgcrypt -ljansson */
/*
 * test_audit_chain.c - the audit log against every kind of damage: each byte, lines
 * removed, doubled and moved, the end cut off anywhere, heads exchanged; and what a
 * writer makes of what a loss of power or a full disk has left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/audit_bench.h"

#define RECORDS	8

static struct audit_log log_;
static const struct chain_key key = { .bytes = "0123456789abcdef", .len = 16 };

struct lines {
	char *at[64];
	size_t len[64];
	unsigned int n;
};

static struct lines split(const struct bench_file *f)
{
	struct lines l = { .n = 0 };

	for (char *p = f->data; p < f->data + f->len; l.n++) {
		char *end = memchr(p, '\n', (size_t)(f->data + f->len - p));

		l.at[l.n] = p;
		l.len[l.n] = (size_t)(end + 1 - p);
		p = end + 1;
	}
	return l;
}

static void write_lines(const struct lines *l, const unsigned int *order, unsigned int n)
{
	static char buf[65536];
	size_t len = 0;

	for (unsigned int i = 0; i < n; i++) {
		memcpy(buf + len, l->at[order[i]], l->len[order[i]]);
		len += l->len[order[i]];
	}
	bench_write(bench_log, buf, len);
}

static void a_log_as_it_was_written_is_good(void **state)
{
	struct chain_scan s = { .mark = 3 };
	int fd;

	(void)state;
	bench_make(RECORDS, NULL);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	fd = open(bench_log, O_RDONLY);
	assert_int_equal(chain_scan(fd, NULL, &s), 0);
	close(fd);
	assert_int_equal(s.records, RECORDS);
	assert_int_equal(s.bytes, s.size);
	assert_true(s.marked && s.have_seq && !s.keyed);
	assert_int_equal(s.seq, RECORDS - 1);
}

/* The chain with other means than the code that is tested: by hand from the format. */
static void hashes_are_those_of_the_format(void **state)
{
	struct bench_file f;
	char command[400], hex[80] = "";
	FILE *p;

	(void)state;
	bench_make(1, NULL);
	f = bench_read(bench_log);
	snprintf(command, sizeof(command), "{ head -c 32 /dev/zero; sed 's/,\"hash\":.*//' %s | "
		 "head -c -1; } | sha256sum", bench_log);
	p = popen(command, "r");
	assert_non_null(p);
	assert_non_null(fgets(hex, sizeof(hex), p));
	assert_int_equal(pclose(p), 0);
	hex[64] = '\0';
	assert_non_null(strstr(f.data, hex));
	free(f.data);
}

static void changed_bytes_are_found(const struct bench_file *f, const struct lines *l,
				    const unsigned char *masks, unsigned int n,
				    const struct chain_key *k)
{
	int fd = open(bench_log, O_WRONLY);

	for (unsigned int i = 0; i < l->n; i++) {
		for (size_t b = 0; b < l->len[i]; b++) {
			off_t at = l->at[i] + b - f->data;

			for (unsigned int m = 0; m < n; m++) {
				char c = (char)(l->at[i][b] ^ masks[m]);

				assert_int_equal(pwrite(fd, &c, 1, at), 1);
				assert_int_equal(bench_first_bad(k), i + 1);
				if (!m)
					assert_int_equal(bench_verify(NULL, NULL), k ? 2 : 1);
			}
			assert_int_equal(pwrite(fd, &l->at[i][b], 1, at), 1);
		}
	}
	close(fd);
	assert_int_equal(bench_first_bad(k), 0);
}

static void every_changed_byte_is_found(void **state)
{
	static const unsigned char masks[] = { 0x01, 0x20, 0x80, 0x10, 0x02, 0xff };
	struct bench_file f;
	struct lines l;

	(void)state;
	bench_make(RECORDS, NULL);
	f = bench_read(bench_log);
	l = split(&f);
	assert_int_equal(l.n, RECORDS);
	changed_bytes_are_found(&f, &l, masks, sizeof(masks), NULL);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	free(f.data);
}

static void every_value_of_every_byte_is_found(void **state)
{
	unsigned char masks[255];
	struct bench_file f;
	struct lines l;

	(void)state;
	for (int i = 0; i < 255; i++)
		masks[i] = (unsigned char)(i + 1);
	bench_make(3, NULL);
	f = bench_read(bench_log);
	l = split(&f);
	changed_bytes_are_found(&f, &l, masks, sizeof(masks), NULL);
	free(f.data);
}

static void removed_lines_are_found(void **state)
{
	unsigned int order[RECORDS];
	struct bench_file f;
	struct lines l;

	(void)state;
	bench_make(RECORDS, NULL);
	f = bench_read(bench_log);
	l = split(&f);
	for (unsigned int from = 0; from < RECORDS; from++) {
		for (unsigned int n = 1; from + n <= RECORDS; n++) {
			unsigned int kept = 0;

			for (unsigned int i = 0; i < RECORDS; i++)
				if (i < from || i >= from + n)
					order[kept++] = i;
			write_lines(&l, order, kept);
			assert_int_equal(bench_verify(NULL, NULL), 1);
			/* only the head knows of an end */
			assert_int_equal(bench_first_bad(NULL), from + n < RECORDS ? from + 1 : 0);
		}
	}
	free(f.data);
}

static void doubled_lines_are_found(void **state)
{
	unsigned int order[RECORDS + 1];
	struct bench_file f;
	struct lines l;

	(void)state;
	bench_make(RECORDS, NULL);
	f = bench_read(bench_log);
	l = split(&f);
	/* line @which once more, before line @at */
	for (unsigned int which = 0; which < RECORDS; which++) {
		for (unsigned int at = 0; at <= RECORDS; at++) {
			for (unsigned int i = 0, from = 0; i <= RECORDS; i++)
				order[i] = i == at ? which : from++;
			write_lines(&l, order, RECORDS + 1);
			assert_int_equal(bench_verify(NULL, NULL), 1);
		}
	}
	free(f.data);
}

static void exchanged_lines_are_found(void **state)
{
	unsigned int order[RECORDS];
	struct bench_file f;
	struct lines l;

	(void)state;
	bench_make(RECORDS, NULL);
	f = bench_read(bench_log);
	l = split(&f);
	for (unsigned int a = 0; a < RECORDS; a++) {
		for (unsigned int b = a + 1; b < RECORDS; b++) {
			for (unsigned int i = 0; i < RECORDS; i++)
				order[i] = i == a ? b : i == b ? a : i;
			write_lines(&l, order, RECORDS);
			assert_int_equal(bench_verify(NULL, NULL), 1);
			assert_int_equal(bench_first_bad(NULL), a + 1);
		}
	}
	free(f.data);
}

/* A record with a right hash, made by somebody who knows the format, in any place. */
static void inserted_records_are_found(void **state)
{
	struct bench_file f;
	struct lines l;

	(void)state;
	bench_make(RECORDS, NULL);
	f = bench_read(bench_log);
	l = split(&f);
	for (unsigned int at = 1; at <= RECORDS; at++) {
		char text[65536], hex[CHAIN_HEX + 1];
		uint8_t hash[CHAIN_HASH];
		struct chain_line prev;
		size_t len;
		int n;

		assert_true(chain_line_parse(l.at[at - 1], l.len[at - 1], &prev));
		len = (size_t)(l.at[at - 1] + l.len[at - 1] - f.data);
		memcpy(text, f.data, len);
		n = snprintf(text + len, 1000, "{\"n\":%u,\"what\":\"fire\",\"seq\":99", at + 1);
		chain_hash(NULL, prev.hash, text + len, (size_t)n, hash);
		chain_hex(hash, hex);
		n += snprintf(text + len + n, 1000, ",\"hash\":\"%s\"}\n", hex);
		memcpy(text + len + n, f.data + len, f.len - len);
		bench_write(bench_log, text, f.len + (size_t)n);
		assert_int_equal(bench_verify(NULL, NULL), 1);
	}
	free(f.data);
}

static void an_end_cut_off_anywhere_is_found(void **state)
{
	struct bench_file f;

	(void)state;
	bench_make(RECORDS, NULL);
	f = bench_read(bench_log);
	for (size_t len = 0; len < f.len; len++) {
		bench_write(bench_log, f.data, len);
		assert_int_equal(bench_verify(NULL, NULL), 1);
	}
	bench_write(bench_log, f.data, f.len);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	free(f.data);
}

/* The same while somebody writes: the head is never more than one batch behind. */
static void an_open_log_has_its_end_guarded_too(void **state)
{
	struct bench_file f;

	(void)state;
	bench_open(&log_, NULL);
	bench_put(&log_, RECORDS);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	f = bench_read(bench_log);
	for (size_t len = 0; len < f.len; len++) {
		bench_write(bench_log, f.data, len);
		assert_int_equal(bench_verify(NULL, NULL), 1);
	}
	free(f.data);
	audit_log_close(&log_);
}

static void appending_to_a_closed_log_is_found(void **state)
{
	struct bench_file head, f;

	(void)state;
	bench_make(RECORDS, NULL);
	head = bench_read(bench_head);
	/* a good record, by the tool itself, and the old head */
	bench_open(&log_, NULL);
	bench_put(&log_, 1);
	audit_log_close(&log_);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	bench_write(bench_head, head.data, head.len);
	assert_int_equal(bench_verify(NULL, NULL), 1);
	/* and anything that is no record */
	f = bench_read(bench_log);
	bench_make(RECORDS, NULL);
	free(f.data);
	f = bench_read(bench_log);
	f.data[f.len] = '\n';
	bench_write(bench_log, f.data, f.len + 1);
	assert_int_equal(bench_verify(NULL, NULL), 1);
	free(f.data);
	free(head.data);
}

static void every_changed_byte_of_the_head_is_found(void **state)
{
	static const unsigned char masks[] = { 0x01, 0x20, 0x80, 0x04 };
	struct bench_file head;

	(void)state;
	bench_make(RECORDS, NULL);
	head = bench_read(bench_head);
	assert_int_equal(head.len, CHAIN_HEAD);
	for (size_t i = 0; i < head.len; i++) {
		for (unsigned int m = 0; m < sizeof(masks); m++) {
			head.data[i] = (char)(head.data[i] ^ masks[m]);
			bench_write(bench_head, head.data, head.len);
			assert_int_equal(bench_verify(NULL, NULL), 1);
			head.data[i] = (char)(head.data[i] ^ masks[m]);
		}
	}
	for (size_t len = 0; len < head.len; len++) {
		bench_write(bench_head, head.data, len);
		assert_int_equal(bench_verify(NULL, NULL), 1);
	}
	unlink(bench_head);
	assert_int_equal(bench_verify(NULL, NULL), 1);
	free(head.data);
}

static void the_head_of_another_log_is_found(void **state)
{
	struct bench_file other;

	(void)state;
	/* same number of records and bytes, another content */
	bench_open(&log_, NULL);
	bench_put(&log_, RECORDS - 1);
	assert_int_equal(audit_log_put(&log_, "fire", ",\"seq\":7,\"comm\":\"y\""), 0);
	audit_log_close(&log_);
	other = bench_read(bench_head);
	bench_make(RECORDS, NULL);
	bench_write(bench_head, other.data, other.len);
	assert_int_equal(bench_verify(NULL, NULL), 1);
	free(other.data);
}

/* What the man page says cannot be found here, and what finds it. */
static void an_old_pair_passes_but_not_with_a_head_from_elsewhere(void **state)
{
	struct bench_file log, head, newer;
	char copy[120];

	(void)state;
	bench_open(&log_, NULL);
	bench_put(&log_, RECORDS);
	log = bench_read(bench_log);
	head = bench_read(bench_head);
	bench_put(&log_, RECORDS);
	newer = bench_read(bench_head);
	audit_log_close(&log_);
	snprintf(copy, sizeof(copy), "%s/copy", bench_dir);
	bench_write(copy, newer.data, newer.len);
	bench_write(bench_log, log.data, log.len);
	bench_write(bench_head, head.data, head.len);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	assert_int_equal(bench_verify(NULL, copy), 1);
	free(log.data);
	free(head.data);
	free(newer.data);
}

static void a_key_is_needed_to_make_a_log(void **state)
{
	char path[120], other[120];

	(void)state;
	snprintf(path, sizeof(path), "%s/key", bench_dir);
	snprintf(other, sizeof(other), "%s/other", bench_dir);
	bench_write(path, key.bytes, key.len);
	bench_write(other, "fedcba9876543210", 16);
	bench_make(RECORDS, &key);
	assert_int_equal(bench_verify(path, NULL), 0);
	assert_int_equal(bench_verify(other, NULL), 1);
	assert_int_equal(bench_verify(NULL, NULL), 2);
	/* made anew without it: good by itself, not for who has the key */
	bench_make(RECORDS, NULL);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	assert_int_equal(bench_verify(path, NULL), 1);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(bench_verify(path, NULL), 2);
}

static void what_is_no_log_is_said(void **state)
{
	(void)state;
	assert_int_equal(bench_verify(NULL, NULL), 2);	/* none there */
	bench_write(bench_log, "", 0);
	assert_int_equal(bench_verify(NULL, NULL), 1);
}

/* --- the writer ------------------------------------------------------------------ */

static void a_restart_continues(void **state)
{
	(void)state;
	for (unsigned int i = 1; i <= 5; i++) {
		bench_open(&log_, NULL);
		assert_int_equal(log_.continued, i > 1);
		assert_int_equal(log_.was_closed, i > 1);
		assert_int_equal(log_.records, (i - 1) * RECORDS);
		bench_put(&log_, RECORDS);
		audit_log_close(&log_);
		assert_int_equal(bench_verify(NULL, NULL), 0);
	}
	bench_open(&log_, NULL);
	assert_true(log_.have_seq);
	assert_int_equal(log_.seq, 5 * RECORDS - 1);
	bench_cut_power(&log_);
	bench_open(&log_, NULL);
	assert_false(log_.was_closed);
	assert_int_equal(log_.records, 5 * RECORDS);
	audit_log_close(&log_);
}

static void expect_repaired(uint64_t records, uint64_t torn)
{
	struct chain_scan s = { .mark = 0 };
	int fd;

	bench_open(&log_, NULL);
	bench_put(&log_, 2);
	audit_log_close(&log_);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	fd = open(bench_log, O_RDONLY);
	assert_int_equal(chain_scan(fd, NULL, &s), 0);
	close(fd);
	assert_int_equal(s.records, records + 3);
	assert_int_equal(s.torn_bytes, torn);
	assert_int_equal(s.repairs, torn ? 1 : 0);
}

/* Whatever part of a batch has reached the disk, nothing of it goes. */
static void a_torn_end_is_repaired_by_a_record(void **state)
{
	struct bench_file before, head, f;

	(void)state;
	bench_open(&log_, NULL);
	bench_put(&log_, RECORDS);
	before = bench_read(bench_log);
	head = bench_read(bench_head);
	bench_put(&log_, 1);
	bench_cut_power(&log_);
	f = bench_read(bench_log);
	for (size_t len = before.len + 1; len < f.len; len++) {
		struct bench_file after;
		bool whole = len == f.len - 1;

		bench_write(bench_log, f.data, len);
		bench_write(bench_head, head.data, head.len);
		assert_int_equal(bench_verify(NULL, NULL), 1);
		expect_repaired(RECORDS + whole, whole ? 0 : len + 1 - before.len);
		after = bench_read(bench_log);
		assert_memory_equal(after.data, f.data, len);
		free(after.data);
	}
	free(f.data);
	free(head.data);
	free(before.data);
}

static void zeros_and_rubbish_behind_the_end_are_repaired(void **state)
{
	struct bench_file before, head, f;
	char *rubbish;

	(void)state;
	bench_open(&log_, NULL);
	bench_put(&log_, RECORDS);
	before = bench_read(bench_log);
	head = bench_read(bench_head);
	bench_put(&log_, 3);
	bench_cut_power(&log_);
	f = bench_read(bench_log);
	rubbish = malloc(f.len + 100000);
	/* zeros, also more than a line may be long */
	for (unsigned int n = 1; n < 100000; n = n * 7 + 1) {
		memcpy(rubbish, before.data, before.len);
		memset(rubbish + before.len, 0, n);
		bench_write(bench_log, rubbish, before.len + n);
		bench_write(bench_head, head.data, head.len);
		expect_repaired(RECORDS, n + 1);
	}
	/* the first record of the batch is damaged, the others are whole */
	memcpy(rubbish, f.data, f.len);
	memset(rubbish + before.len + 3, 0, 5);
	bench_write(bench_log, rubbish, f.len);
	bench_write(bench_head, head.data, head.len);
	expect_repaired(RECORDS, f.len - before.len);
	/* empty lines */
	memcpy(rubbish, before.data, before.len);
	memset(rubbish + before.len, '\n', 3);
	bench_write(bench_log, rubbish, before.len + 3);
	bench_write(bench_head, head.data, head.len);
	expect_repaired(RECORDS, 3);
	/* before anything was confirmed */
	bench_make(0, NULL);
	head.len = 0;
	bench_open(&log_, NULL);
	bench_cut_power(&log_);
	bench_write(bench_log, "{\"n\":1,\"wh", 10);
	bench_open(&log_, NULL);
	audit_log_close(&log_);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	free(rubbish);
	free(f.data);
	free(head.data);
	free(before.data);
}

/* What was repaired once is guarded like the rest. */
static void every_changed_byte_of_a_repaired_log_is_found(void **state)
{
	struct bench_file f;
	size_t torn;
	int fd;

	(void)state;
	bench_open(&log_, NULL);
	bench_put(&log_, 3);
	torn = log_.bytes;
	bench_cut_power(&log_);
	fd = open(bench_log, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "{\"n\":4,\"what\":\"fi", 17), 17);
	close(fd);
	bench_open(&log_, NULL);
	bench_put(&log_, 2);
	audit_log_close(&log_);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	f = bench_read(bench_log);
	fd = open(bench_log, O_WRONLY);
	for (size_t i = 0; i < f.len; i++) {
		for (unsigned int m = 1; m < 256; m *= 2) {
			char c = (char)(f.data[i] ^ m);

			assert_int_equal(pwrite(fd, &c, 1, (off_t)i), 1);
			assert_int_equal(bench_verify(NULL, NULL), 1);
		}
		assert_int_equal(pwrite(fd, &f.data[i], 1, (off_t)i), 1);
	}
	close(fd);
	assert_int_equal(bench_verify(NULL, NULL), 0);
	/* the torn bytes taken out, all or one of them */
	memmove(f.data + torn, f.data + torn + 18, f.len - torn - 18);
	bench_write(bench_log, f.data, f.len - 18);
	assert_int_equal(bench_verify(NULL, NULL), 1);
	assert_int_equal(bench_first_bad(NULL), 4);
	free(f.data);
}

static void expect_refused(int error)
{
	disk_new(UINT64_MAX);
	errno = 0;
	assert_int_equal(audit_log_open(&log_, bench_log, NULL, &disk), -1);
	assert_int_equal(errno, error);
	assert_true(strlen(log_.why) > 10);
	assert_int_equal(log_.fd, -1);
}

static void a_changed_log_is_not_continued(void **state)
{
	struct bench_file f, head;
	int fd;

	(void)state;
	bench_make(RECORDS, NULL);
	f = bench_read(bench_log);
	head = bench_read(bench_head);
	for (size_t i = 0; i < f.len; i++) {
		char c = (char)(f.data[i] ^ 1);

		fd = open(bench_log, O_WRONLY);
		assert_int_equal(pwrite(fd, &c, 1, (off_t)i), 1);
		expect_refused(EBADMSG);
		assert_int_equal(pwrite(fd, &f.data[i], 1, (off_t)i), 1);
		close(fd);
	}
	for (size_t len = 0; len < f.len; len++) {
		bench_write(bench_log, f.data, len);
		expect_refused(EBADMSG);
	}
	f.data[f.len] = 'x';
	bench_write(bench_log, f.data, f.len + 1);
	expect_refused(EBADMSG);
	bench_write(bench_log, f.data, f.len);
	unlink(bench_head);
	expect_refused(EBADMSG);
	bench_write(bench_head, head.data, head.len);
	unlink(bench_log);
	expect_refused(EBADMSG);
	/* and nothing was changed by all that */
	bench_write(bench_log, f.data, f.len);
	bench_write(bench_head, head.data, head.len);
	bench_open(&log_, NULL);
	audit_log_close(&log_);
	free(f.data);
	free(head.data);
}

static void a_key_cannot_be_dropped_or_added(void **state)
{
	(void)state;
	bench_make(RECORDS, &key);
	expect_refused(EBADMSG);	/* the head is of another key, too */
	bench_make(RECORDS, NULL);
	assert_int_equal(audit_log_open(&log_, bench_log, &key, &disk), -1);
	assert_int_equal(errno, EBADMSG);
}

static void there_is_one_writer(void **state)
{
	static struct audit_log second;

	(void)state;
	bench_open(&log_, NULL);
	assert_int_equal(audit_log_open(&second, bench_log, NULL, &disk), -1);
	assert_int_equal(errno, EBUSY);
	audit_log_close(&log_);
}

static void a_half_head_is_made_whole(void **state)
{
	struct bench_file head;

	(void)state;
	for (int slot = 0; slot < 2; slot++) {
		bench_open(&log_, NULL);
		bench_put(&log_, 3);
		bench_cut_power(&log_);
		head = bench_read(bench_head);
		memset(head.data + slot * CHAIN_SLOT + 100, 0, 200);
		bench_write(bench_head, head.data, head.len);
		free(head.data);
		assert_int_equal(bench_verify(NULL, NULL), 1);
		bench_open(&log_, NULL);
		bench_put(&log_, 1);
		audit_log_close(&log_);
		assert_int_equal(bench_verify(NULL, NULL), 0);
	}
}

/* The disk is full at every byte in turn: what was confirmed is there, the rest is told. */
static void a_full_disk_loses_nothing_that_was_confirmed(void **state)
{
	struct bench_file f;
	uint64_t total;

	(void)state;
	bench_make(4, NULL);
	f = bench_read(bench_log);
	total = f.len + 20 * CHAIN_SLOT;
	free(f.data);
	for (uint64_t room = 0; room < total; room += room < 2 * CHAIN_SLOT ? 61 : 1) {
		unsigned int kept = 0;

		unlink(bench_log);
		unlink(bench_head);
		disk_new(room);
		if (!audit_log_open(&log_, bench_log, NULL, &disk)) {
			while (kept < 4 && !audit_log_put(&log_, kept ? "fire" : "begin", kept ?
							  ",\"seq\":%u" : ",\"chain\":\"sha256\"",
							  kept) && !audit_log_commit(&log_))
				kept++;
			if (kept < 4) {
				assert_int_equal(log_.error, ENOSPC);
				assert_int_equal(audit_log_commit(&log_), -1);
			}
			audit_log_close(&log_);
		} else {
			assert_int_equal(errno, ENOSPC);
		}
		bench_open(&log_, NULL);
		assert_true(log_.records >= kept);
		if (!log_.records)
			bench_put(&log_, 1);
		audit_log_close(&log_);
		assert_int_equal(bench_verify(NULL, NULL), 0);
	}
}

static void a_sync_that_fails_is_the_end(void **state)
{
	(void)state;
	bench_open(&log_, NULL);
	bench_put(&log_, 2);
	disk_sync_error = EIO;
	assert_int_equal(audit_log_put(&log_, "fire", ",\"seq\":%d", 3), 0);
	assert_int_equal(audit_log_commit(&log_), -1);
	assert_int_equal(errno, EIO);
	disk_sync_error = 0;
	assert_int_equal(audit_log_put(&log_, "fire", ",\"seq\":%d", 4), -1);
	assert_int_equal(audit_log_commit(&log_), -1);
	audit_log_close(&log_);
	bench_open(&log_, NULL);
	audit_log_close(&log_);
	assert_int_equal(bench_verify(NULL, NULL), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_log_as_it_was_written_is_good),
		T(hashes_are_those_of_the_format),
		T(every_changed_byte_is_found),
		T(every_value_of_every_byte_is_found),
		T(removed_lines_are_found),
		T(doubled_lines_are_found),
		T(exchanged_lines_are_found),
		T(inserted_records_are_found),
		T(an_end_cut_off_anywhere_is_found),
		T(an_open_log_has_its_end_guarded_too),
		T(appending_to_a_closed_log_is_found),
		T(every_changed_byte_of_the_head_is_found),
		T(the_head_of_another_log_is_found),
		T(an_old_pair_passes_but_not_with_a_head_from_elsewhere),
		T(a_key_is_needed_to_make_a_log),
		T(what_is_no_log_is_said),
		T(a_restart_continues),
		T(a_torn_end_is_repaired_by_a_record),
		T(zeros_and_rubbish_behind_the_end_are_repaired),
		T(every_changed_byte_of_a_repaired_log_is_found),
		T(a_changed_log_is_not_continued),
		T(a_key_cannot_be_dropped_or_added),
		T(there_is_one_writer),
		T(a_half_head_is_made_whole),
		T(a_full_disk_loses_nothing_that_was_confirmed),
		T(a_sync_that_fails_is_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
