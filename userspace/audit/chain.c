// SPDX-License-Identifier: MIT
/* chain.c - see chain.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "chain.h"

#include <errno.h>
#include <fcntl.h>
#include <gcrypt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char tail_before[] = ",\"hash\":\"";
static const char tail_after[] = "\"}\n";

#define TAIL	(sizeof(tail_before) - 1 + CHAIN_HEX + sizeof(tail_after) - 1)

int chain_init(void)
{
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
		return 0;
	if (!gcry_check_version("1.8.0"))
		return -1;
	/* the key is a file on the same machine: locked memory would protect nothing */
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	return 0;
}

int chain_key_read(struct chain_key *key, const char *path, char why[CHAIN_WHY])
{
	struct stat st;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	key->len = 0;
	if (fd < 0 || fstat(fd, &st)) {
		int saved = errno;

		snprintf(why, CHAIN_WHY, "cannot open the key %.100s: %s", path, strerror(saved));
		if (fd >= 0)
			close(fd);
		errno = saved;
		return -1;
	}
	if (!S_ISREG(st.st_mode) || st.st_mode & 077) {
		snprintf(why, CHAIN_WHY, "the key %.100s must be a plain file that only its owner may "
			 "read (chmod 600)", path);
		close(fd);
		errno = EPERM;
		return -1;
	}
	n = st.st_size >= CHAIN_KEY_MIN && st.st_size <= CHAIN_KEY_MAX ?
		read(fd, key->bytes, sizeof(key->bytes)) : 0;
	close(fd);
	if (n != st.st_size || n < CHAIN_KEY_MIN) {
		snprintf(why, CHAIN_WHY, "the key %.100s must have %d to %d bytes", path, CHAIN_KEY_MIN,
			 CHAIN_KEY_MAX);
		errno = EINVAL;
		return -1;
	}
	key->len = (size_t)n;
	return 0;
}

/* Failure here is no memory or no SHA-256: no log can be kept or judged then. */
static void digest(const struct chain_key *key, const gcry_buffer_t *parts, int n,
		   uint8_t out[CHAIN_HASH])
{
	gcry_buffer_t iov[3] = { { .size = 0 } };
	unsigned int flags = 0;
	int used = 0;

	if (key && key->len) {
		flags = GCRY_MD_FLAG_HMAC;
		iov[used++] = (gcry_buffer_t){ .data = (void *)(uintptr_t)key->bytes,
					       .len = key->len };
	}
	for (int i = 0; i < n; i++)
		iov[used++] = parts[i];
	if (gcry_md_hash_buffers(GCRY_MD_SHA256, flags, out, iov, used)) {
		fprintf(stderr, "SHA-256 is not available\n");
		abort();
	}
}

void chain_hash(const struct chain_key *key, const uint8_t prev[CHAIN_HASH], const void *body,
		size_t len, uint8_t out[CHAIN_HASH])
{
	gcry_buffer_t parts[2] = {
		{ .data = (void *)(uintptr_t)prev, .len = CHAIN_HASH },
		{ .data = (void *)(uintptr_t)body, .len = len },
	};

	digest(key, parts, 2, out);
}

int chain_hash_region(int fd, uint64_t from, uint64_t len, uint8_t out[CHAIN_HASH])
{
	char buf[16384];
	gcry_md_hd_t md;

	if (gcry_md_open(&md, GCRY_MD_SHA256, 0)) {
		errno = ENOMEM;
		return -1;
	}
	while (len) {
		size_t want = len < sizeof(buf) ? (size_t)len : sizeof(buf);
		ssize_t n = pread(fd, buf, want, (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int saved = n ? errno : ENODATA;

			gcry_md_close(md);
			errno = saved;
			return -1;
		}
		gcry_md_write(md, buf, (size_t)n);
		from += (uint64_t)n;
		len -= (uint64_t)n;
	}
	memcpy(out, gcry_md_read(md, GCRY_MD_SHA256), CHAIN_HASH);
	gcry_md_close(md);
	return 0;
}

void chain_hex(const uint8_t hash[CHAIN_HASH], char hex[CHAIN_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < CHAIN_HASH; i++) {
		hex[2 * i] = digits[hash[i] >> 4];
		hex[2 * i + 1] = digits[hash[i] & 15];
	}
	hex[CHAIN_HEX] = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool chain_unhex(const char *hex, uint8_t hash[CHAIN_HASH])
{
	for (int i = 0; i < CHAIN_HASH; i++) {
		int hi = nibble(hex[2 * i]), lo = hi < 0 ? -1 : nibble(hex[2 * i + 1]);

		if (lo < 0)
			return false;
		hash[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

/* Decimal digits at @at, no sign, no leading zero. The character behind them, or NULL. */
static const char *number(const char *at, const char *end, uint64_t *value)
{
	const char *p = at;
	uint64_t v = 0;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		unsigned int d = (unsigned int)(*p - '0');

		if (v > (UINT64_MAX - d) / 10)
			return NULL;
		v = v * 10 + d;
	}
	if (p == at || (*at == '0' && p != at + 1))
		return NULL;
	*value = v;
	return p;
}

bool chain_line_parse(const char *line, size_t len, struct chain_line *out)
{
	static const char begin[] = "{\"n\":", what[] = ",\"what\":\"";
	const char *end, *p;

	if (len < sizeof(begin) - 1 + TAIL || len > CHAIN_LINE || memcmp(line, begin, sizeof(begin) - 1))
		return false;
	out->body = len - TAIL;
	end = line + out->body;
	p = number(line + sizeof(begin) - 1, end, &out->n);
	if (!p || (size_t)(end - p) < sizeof(what) || memcmp(p, what, sizeof(what) - 1))
		return false;
	return !memcmp(end, tail_before, sizeof(tail_before) - 1) &&
	       chain_unhex(end + sizeof(tail_before) - 1, out->hash) &&
	       !memcmp(line + len - (sizeof(tail_after) - 1), tail_after, sizeof(tail_after) - 1);
}

bool chain_number(const char *body, size_t len, const char *name, uint64_t *value)
{
	char key[48];
	int n = snprintf(key, sizeof(key), ",\"%s\":", name);
	const char *p = memmem(body, len, key, (size_t)n);

	return p && number(p + n, body + len, value);
}

bool chain_is(const char *body, size_t len, const char *what)
{
	char key[48];
	int n = snprintf(key, sizeof(key), ",\"what\":\"%s\"", what);
	const char *p = memchr(body, ',', len);

	return p && (size_t)(body + len - p) >= (size_t)n && !memcmp(p, key, (size_t)n);
}

/* --- head -------------------------------------------------------------------- */

static const char *const states[] = { "open", "closed", "failed" };

static const char check_before[] = ",\"check\":\"";

/* The part of a slot that is hashed. */
static int head_body(const struct chain_head *h, char *buf, size_t len)
{
	char hex[CHAIN_HEX + 1];

	chain_hex(h->hash, hex);
	return snprintf(buf, len, "{\"format\":\"oni audit head 1\",\"turn\":%" PRIu64
			",\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"real_ns\":%" PRIu64
			",\"state\":\"%s\",\"hash\":\"%s\"", h->turn, h->records, h->bytes, h->real_ns,
			states[h->state], hex);
}

void chain_head_format(const struct chain_key *key, const struct chain_head *h,
		       char slot[CHAIN_SLOT])
{
	static const uint8_t zero[CHAIN_HASH];
	char text[CHAIN_SLOT + 1], hex[CHAIN_HEX + 1];
	uint8_t check[CHAIN_HASH];
	int n = head_body(h, text, sizeof(text));

	chain_hash(key, zero, text, (size_t)n, check);
	chain_hex(check, hex);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s\"}", check_before, hex);
	memset(slot, ' ', CHAIN_SLOT);
	memcpy(slot, text, (size_t)n);
	slot[CHAIN_SLOT - 1] = '\n';
}

/* By making it anew and comparing: every byte counts, the blanks too. */
static bool head_slot(const struct chain_key *key, const char *slot, struct chain_head *h)
{
	const char *end = slot + CHAIN_SLOT, *state = memmem(slot, CHAIN_SLOT, ",\"state\":\"", 10);
	const char *hash = memmem(slot, CHAIN_SLOT, tail_before, sizeof(tail_before) - 1);
	char again[CHAIN_SLOT];

	memset(h, 0, sizeof(*h));
	if (!state || !hash || end - hash < (ptrdiff_t)(sizeof(tail_before) - 1 + CHAIN_HEX) ||
	    !chain_number(slot, CHAIN_SLOT, "turn", &h->turn) ||
	    !chain_number(slot, CHAIN_SLOT, "records", &h->records) ||
	    !chain_number(slot, CHAIN_SLOT, "bytes", &h->bytes) ||
	    !chain_number(slot, CHAIN_SLOT, "real_ns", &h->real_ns) ||
	    !chain_unhex(hash + sizeof(tail_before) - 1, h->hash))
		return false;
	for (unsigned int i = 0; i < 3; i++) {
		h->state = (enum chain_state)i;
		chain_head_format(key, h, again);
		if (!memcmp(again, slot, CHAIN_SLOT))
			return true;
	}
	return false;
}

int chain_head_parse(const struct chain_key *key, const char *text, size_t len,
		     struct chain_head *h)
{
	struct chain_head slot;
	int whole = 0;

	memset(h, 0, sizeof(*h));
	for (size_t i = 0; i < 2; i++) {
		if (len < (i + 1) * CHAIN_SLOT || !head_slot(key, text + i * CHAIN_SLOT, &slot) ||
		    slot.turn % 2 != i)
			continue;
		if (!whole++ || slot.turn > h->turn)
			*h = slot;
	}
	/* two that were not written one after the other cannot both be */
	if (whole == 2 && (len != CHAIN_HEAD || slot.turn > h->turn + 1 || h->turn > slot.turn + 1))
		whole = 1;
	return whole;
}

/* --- the whole file ------------------------------------------------------------ */

struct lines {
	int fd;
	uint64_t at;		/* of the file, of buf[0] */
	size_t pos, len;
	char buf[4 * CHAIN_LINE];
};

/*
 * The next line. @line stays valid until the next call; @len with its end, or 0 at the
 * end of the file. Of one that is too long the first CHAIN_LINE + 1 bytes are given and
 * the rest comes as further lines: none of that can be a record.
 */
static int next_line(struct lines *l, const char **line, size_t *len, uint64_t *offset)
{
	const char *end;

	for (;;) {
		size_t have = l->len - l->pos;
		ssize_t n;

		end = memchr(l->buf + l->pos, '\n', have);
		if (end || have > CHAIN_LINE)
			break;
		memmove(l->buf, l->buf + l->pos, have);
		l->at += l->pos;
		l->pos = 0;
		l->len = have;
		n = pread(l->fd, l->buf + have, sizeof(l->buf) - have, (off_t)(l->at + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n)
			break;
		l->len += (size_t)n;
	}
	*line = l->buf + l->pos;
	*offset = l->at + l->pos;
	*len = end ? (size_t)(end - *line) + 1 : l->len - l->pos;
	if (*len > CHAIN_LINE + 1)
		*len = CHAIN_LINE + 1;
	l->pos += *len;
	return 0;
}

__attribute__((format(printf, 3, 4)))
static void fault(struct chain_scan *s, enum chain_fault f, const char *fmt, ...)
{
	va_list ap;

	s->fault = f;
	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
}

static void accept(struct chain_scan *s, const char *line, const struct chain_line *l,
		   uint64_t end)
{
	uint64_t seq;

	s->records = l->n;
	s->bytes = end;
	memcpy(s->hash, l->hash, CHAIN_HASH);
	if (s->each)
		s->each(s->ctx, l->n, l->hash);
	s->closed = chain_is(line, l->body, "close");
	if (chain_number(line, l->body, "seq", &seq)) {
		s->have_seq = true;
		s->seq = seq;
	}
	if (l->n == s->mark) {
		s->marked = true;
		s->mark_bytes = end;
		memcpy(s->mark_hash, l->hash, CHAIN_HASH);
	}
}

/* With a key or without is said in the first record, so a keyed log cannot pass for another. */
static void first_record(struct chain_scan *s, const struct chain_key *key, const char *line,
			 const struct chain_line *l)
{
	static const char hmac[] = ",\"chain\":\"hmac-sha256\"";

	s->keyed = memmem(line, l->body, hmac, sizeof(hmac) - 1);
	if (s->keyed && !(key && key->len))
		fault(s, CHAIN_KEY, "the log was written with a key: --key is needed to verify it");
	else if (!s->keyed && key && key->len)
		fault(s, CHAIN_KEY, "the log says that it was written without a key");
}

/* @line follows the last good record; does it continue the chain? */
static bool follows(struct chain_scan *s, const struct chain_key *key, const char *line, size_t len,
		    struct chain_line *l)
{
	uint8_t hash[CHAIN_HASH];
	uint64_t torn;

	if (!chain_line_parse(line, len, l)) {
		if (line[len - 1] != '\n' && len <= CHAIN_LINE)
			fault(s, CHAIN_TORN, "the last line has no end: a loss of power, or the end was "
			      "cut off");
		else
			fault(s, CHAIN_FORM, "this line is not a record: changed or inserted");
		return false;
	}
	if (l->n > s->records + 1) {
		fault(s, CHAIN_MISSING, "records %" PRIu64 " to %" PRIu64 " are missing: removed",
		      s->records + 1, l->n - 1);
		return false;
	}
	if (l->n <= s->records) {
		fault(s, CHAIN_ORDER, "record %" PRIu64 " comes again after record %" PRIu64
		      ": inserted, or the order was changed", l->n, s->records);
		return false;
	}
	if (l->n == 1)
		first_record(s, key, line, l);
	if (s->fault)
		return false;
	chain_hash(key, s->hash, line, l->body, hash);
	if (!memcmp(hash, l->hash, CHAIN_HASH) && chain_is(line, l->body, "repair") &&
	    (!chain_number(line, l->body, "torn_bytes", &torn) || torn)) {
		fault(s, CHAIN_REPAIR, "record %" PRIu64 " repairs bytes that are not there any more: "
		      "removed", l->n);
		return false;
	}
	if (memcmp(hash, l->hash, CHAIN_HASH)) {
		fault(s, CHAIN_HASH_WRONG, "the hash does not fit: record %" PRIu64 " was changed, "
		      "or the one before it is another one%s", l->n,
		      key && key->len ? ", or the key is" : "");
		return false;
	}
	return true;
}

/*
 * Is this the repair of what lies between the last good record and it? The fault found
 * there stands unless everything fits.
 */
static bool repairs(struct chain_scan *s, const struct chain_key *key, int fd, const char *line,
		    size_t len, uint64_t offset)
{
	static const char sha[] = ",\"torn_sha256\":\"";
	uint8_t want[CHAIN_HASH], is[CHAIN_HASH];
	uint64_t from, bytes;
	struct chain_line l;
	const char *hex;

	if (!chain_line_parse(line, len, &l) || !chain_is(line, l.body, "repair") ||
	    l.n != s->records + 1 || !chain_number(line, l.body, "torn_from", &from) ||
	    from != s->bytes || !chain_number(line, l.body, "torn_bytes", &bytes) ||
	    bytes != offset - from)
		return false;
	chain_hash(key, s->hash, line, l.body, is);
	hex = memmem(line, l.body, sha, sizeof(sha) - 1);
	if (memcmp(is, l.hash, CHAIN_HASH) || !hex ||
	    (size_t)(line + l.body - hex) < sizeof(sha) - 1 + CHAIN_HEX ||
	    !chain_unhex(hex + sizeof(sha) - 1, want))
		return false;
	if (chain_hash_region(fd, from, bytes, is) || memcmp(want, is, CHAIN_HASH)) {
		fault(s, CHAIN_REPAIR, "the bytes that record %" PRIu64 " says were left by a loss of "
		      "power are others", l.n);
		return false;
	}
	s->fault = CHAIN_GOOD;
	if (l.n == 1)
		first_record(s, key, line, &l);
	if (s->fault)
		return false;
	s->repairs++;
	s->torn_bytes += bytes;
	accept(s, line, &l, offset + len);
	return true;
}

int chain_scan(int fd, const struct chain_key *key, struct chain_scan *s)
{
	struct lines *l = calloc(1, sizeof(*l));
	struct chain_scan asked = *s;
	uint64_t offset, count = 0;
	struct chain_line rec;
	const char *line;
	struct stat st;
	size_t len;
	int ret = -1;

	memset(s, 0, sizeof(*s));
	s->mark = asked.mark;
	s->each = asked.each;
	s->ctx = asked.ctx;
	if (!l || fstat(fd, &st))
		goto out;
	s->size = (uint64_t)st.st_size;
	l->fd = fd;
	for (;;) {
		if (next_line(l, &line, &len, &offset))
			goto out;
		if (!len)
			break;
		count++;
		if (s->fault) {
			/* something is wrong: only its repair can make that good */
			repairs(s, key, fd, line, len, offset);
		} else if (follows(s, key, line, len, &rec)) {
			accept(s, line, &rec, offset + len);
		} else {
			s->fault_line = count;
			s->fault_offset = offset;
			if (s->fault == CHAIN_KEY)
				break;
		}
	}
	if (!s->fault)
		s->fault_line = s->fault_offset = 0;
	ret = 0;
out:
	free(l);
	return ret;
}
