/* SPDX-License-Identifier: MIT */
/*
 * chain.h - the format of an audit log: lines that hang together by hashes, and
 * the head record beside them. See oni-audit-log(5).
 *
 * A record is one line, a JSON object whose first member is "n" (1, 2, 3 ...), whose
 * second is "what" and whose last is "hash":
 *
 *	{"n":7,"what":"fire", ... ,"hash":"0123...cdef"}
 *
 *	h(i) = SHA-256(h(i-1) || the bytes of line i before ,"hash":)
 *
 * h(0) is 32 zero bytes. With a key it is HMAC-SHA-256 of the same, keyed with it.
 * The log is only ever appended to. Bytes that a loss of power left behind the last
 * good record stay where they are, and a record "repair" behind them says where they
 * begin, how many there are, and their SHA-256.
 *
 * FILE.head holds two slots of 512 bytes, written in turn, in place; the younger one
 * that is whole says how many records there are, how many bytes, and the last hash.
 * It is written after the records are on the disk, so it never knows too much; who
 * cuts off the end of the log has to make a head, too.
 *
 * Threads: no state is shared; a struct belongs to its caller.
 */
#ifndef ONI_AUDIT_CHAIN_H
#define ONI_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAIN_HASH	32
#define CHAIN_HEX	(2 * CHAIN_HASH)
#define CHAIN_LINE	8192		/* longest line with its end, bytes */
#define CHAIN_SLOT	512		/* of a head, bytes */
#define CHAIN_HEAD	(2 * CHAIN_SLOT)
#define CHAIN_WHY	256		/* room for a reason */

/* Ask the library to be ready. -1: it cannot. Before anything else, once or often. */
int chain_init(void);

#define CHAIN_KEY_MIN	16
#define CHAIN_KEY_MAX	4096

struct chain_key {
	uint8_t bytes[CHAIN_KEY_MAX];
	size_t len;		/* 0: no key */
};

/*
 * Read a key. -1, errno, and a sentence in @why: not a plain file, too short or too
 * long, or others than its owner may read it.
 */
int chain_key_read(struct chain_key *key, const char *path, char why[CHAIN_WHY]);

/* The hash of a record: of @prev and its @len bytes @body. */
void chain_hash(const struct chain_key *key, const uint8_t prev[CHAIN_HASH], const void *body,
		size_t len, uint8_t out[CHAIN_HASH]);
/* SHA-256 of @len bytes of @fd from @from on. -1 and errno (ENODATA: there are less). */
int chain_hash_region(int fd, uint64_t from, uint64_t len, uint8_t out[CHAIN_HASH]);
void chain_hex(const uint8_t hash[CHAIN_HASH], char hex[CHAIN_HEX + 1]);
/* Lower case only, exactly CHAIN_HEX characters are looked at. */
bool chain_unhex(const char *hex, uint8_t hash[CHAIN_HASH]);

/* What a line says about itself. */
struct chain_line {
	uint64_t n;
	size_t body;		/* bytes that are hashed */
	uint8_t hash[CHAIN_HASH];
};

/* Is this @len bytes, line end included, a record by its form? */
bool chain_line_parse(const char *line, size_t len, struct chain_line *out);
/* The number behind ,"@name": in a body. Text of others cannot contain that: quotes are escaped. */
bool chain_number(const char *body, size_t len, const char *name, uint64_t *value);
/* Does the record say "what":"@what"? */
bool chain_is(const char *body, size_t len, const char *what);

/* --- head -------------------------------------------------------------------- */

enum chain_state {
	CHAIN_OPEN,		/* somebody writes, or was interrupted */
	CHAIN_CLOSED,		/* ended in order: nothing may follow */
	CHAIN_FAILED,		/* the writer could not write any more, and said so */
};

struct chain_head {
	uint64_t turn;		/* counts the writes; slot = turn % 2 */
	uint64_t records;
	uint64_t bytes;
	uint64_t real_ns;	/* when it was written, CLOCK_REALTIME */
	enum chain_state state;
	uint8_t hash[CHAIN_HASH];	/* of the last record */
};

void chain_head_format(const struct chain_key *key, const struct chain_head *h,
		       char slot[CHAIN_SLOT]);
/*
 * Read both slots out of @text (@len bytes: a file of another size is damaged).
 * Returns how many are whole, @h the younger one. 2 is what an undisturbed head has.
 */
int chain_head_parse(const struct chain_key *key, const char *text, size_t len,
		     struct chain_head *h);

/* --- the whole file ------------------------------------------------------------ */

enum chain_fault {
	CHAIN_GOOD,
	CHAIN_FORM,		/* not a record */
	CHAIN_MISSING,		/* numbers left out */
	CHAIN_ORDER,		/* a number that was there already */
	CHAIN_HASH_WRONG,	/* this record, or one before it, is another one */
	CHAIN_TORN,		/* the last line has no end */
	CHAIN_REPAIR,		/* a repair that does not fit what was repaired */
	CHAIN_KEY,		/* needs a key, or has none where one was given */
};

struct chain_scan {
	uint64_t mark;		/* in: tell me about the record of this number */
	/* in: called for every good record in turn; NULL: not wanted */
	void (*each)(void *ctx, uint64_t n, const uint8_t hash[CHAIN_HASH]);
	void *ctx;

	uint64_t records;	/* good ones from the beginning */
	uint64_t bytes;		/* where the last good one ends */
	uint64_t size;		/* of the file */
	uint8_t hash[CHAIN_HASH];
	uint64_t repairs, torn_bytes;
	bool marked;
	uint64_t mark_bytes;	/* where record @mark ends */
	uint8_t mark_hash[CHAIN_HASH];
	bool closed;		/* the last record says that it is the end */
	bool have_seq;
	uint64_t seq;		/* of the last event */
	bool keyed;		/* says the first record */

	enum chain_fault fault;	/* the first */
	uint64_t fault_line;	/* from 1 */
	uint64_t fault_offset;
	char why[CHAIN_WHY];
};

/*
 * Go through the file @fd from its beginning. -1 and errno: it cannot be read; what
 * is wrong with its contents is in @s->fault. @fd is not moved.
 */
int chain_scan(int fd, const struct chain_key *key, struct chain_scan *s);

/* --- for programs -------------------------------------------------------------- */

/*
 * "log verify": see oni-auditd(8). Returns the exit code: 0 good, 1 damaged, 2 not looked at, 3
 * good, but not the log of the recording that was named.
 */
int oni_chain_verify_main(int argc, char **argv);

#endif
