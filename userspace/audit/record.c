// SPDX-License-Identifier: MIT
/* record.c - see record.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "chain.h"

static const char *const whats[] = {
	[ONI_STIM_EV_PROBE] = "probe", [ONI_STIM_EV_POLICY] = "policy",
	[ONI_STIM_EV_LOWER] = "lower", [ONI_STIM_EV_CLAIM] = "claim",
	[ONI_STIM_EV_LOAD] = "load", [ONI_STIM_EV_ARM] = "arm", [ONI_STIM_EV_FIRE] = "fire",
	[ONI_STIM_EV_DELIVERED] = "delivered", [ONI_STIM_EV_DISARM] = "disarm",
	[ONI_STIM_EV_END] = "end", [ONI_STIM_EV_FAULT] = "fault", [ONI_STIM_EV_ACK] = "ack",
	[ONI_STIM_EV_REFUSED] = "refused", [ONI_STIM_EV_STEP] = "step",
	[ONI_STIM_EV_GUARDED] = "guarded", [ONI_STIM_EV_REMOVE] = "remove",
	[ONI_STIM_EV_UNPOWER] = "unpower",
};

static const char *const becauses[] = {
	[ONI_STIM_BECAUSE_OWNER] = "owner", [ONI_STIM_BECAUSE_STOP] = "stop",
	[ONI_STIM_BECAUSE_CLOSE] = "close", [ONI_STIM_BECAUSE_EXEC] = "exec",
	[ONI_STIM_BECAUSE_TTL] = "ttl", [ONI_STIM_BECAUSE_ACQUISITION] = "acquisition",
	[ONI_STIM_BECAUSE_RING_FULL] = "ring-full", [ONI_STIM_BECAUSE_RESET] = "reset",
	[ONI_STIM_BECAUSE_SUSPEND] = "suspend", [ONI_STIM_BECAUSE_REMOVE] = "remove",
	[ONI_STIM_BECAUSE_AUDIT] = "audit", [ONI_STIM_BECAUSE_KEY] = "key",
	[ONI_STIM_BECAUSE_LOAD] = "load", [ONI_STIM_BECAUSE_WATCHDOG] = "watchdog",
	[ONI_STIM_BECAUSE_LINK] = "link", [ONI_STIM_BECAUSE_HUB_RESET] = "hub-reset",
	[ONI_STIM_BECAUSE_UNCOMMANDED] = "uncommanded",
	[ONI_STIM_BECAUSE_NO_DELIVERY] = "no-delivery",
	[ONI_STIM_BECAUSE_UNCONFIRMED] = "unconfirmed",
	[ONI_STIM_BECAUSE_SEQUENCER] = "sequencer", [ONI_STIM_BECAUSE_FLOOD] = "flood",
};

static const char *const codes[] = {
	[ONI_STIM_AREA] = "area", [ONI_STIM_AMPLITUDE] = "amplitude",
	[ONI_STIM_CHARGE] = "charge", [ONI_STIM_DENSITY] = "density",
	[ONI_STIM_SHANNON] = "shannon", [ONI_STIM_NET] = "net", [ONI_STIM_WIDTH] = "width",
	[ONI_STIM_GAP] = "gap", [ONI_STIM_RATE] = "rate", [ONI_STIM_DUTY] = "duty",
	[ONI_STIM_TRAIN] = "train", [ONI_STIM_WATCHDOG] = "watchdog",
	[ONI_STIM_EXTERNAL] = "external", [ONI_STIM_BAD_POLICY] = "bad-policy",
	[ONI_STIM_BAD_PROGRAM] = "bad-program", [ONI_STIM_UNKNOWN_CONTACT] = "unknown-contact",
	[ONI_STIM_NO_AREA] = "no-area", [ONI_STIM_TOO_MANY_SLOTS] = "too-many-slots",
	[ONI_STIM_NOT_MONOTONIC] = "not-monotonic", [ONI_STIM_TIME_RANGE] = "time-range",
	[ONI_STIM_LEFT_ON] = "left-on", [ONI_STIM_STEP_SIZE] = "step-size",
	[ONI_STIM_PARAMETER] = "parameter", [ONI_STIM_UNEQUAL_ENDS] = "unequal-ends",
	[ONI_STIM_NO_POLICY] = "no-policy", [ONI_STIM_RAISE] = "raise",
	[ONI_STIM_NOT_OWNER] = "not-owner", [ONI_STIM_NONCE] = "nonce",
	[ONI_STIM_STATE] = "state", [ONI_STIM_HASH] = "hash", [ONI_STIM_TTL] = "ttl",
	[ONI_STIM_NO_DATA] = "no-data", [ONI_STIM_TOO_SOON] = "too-soon",
	[ONI_STIM_NO_STIMULATOR] = "no-stimulator", [ONI_STIM_NOT_SAFE] = "not-safe",
	[ONI_STIM_NO_AUDIT] = "no-audit", [ONI_STIM_INHIBITED] = "inhibited",
	[ONI_STIM_STALE_KICK] = "stale-kick", [ONI_STIM_LOST] = "lost",
	[ONI_STIM_FAULTED] = "faulted", [ONI_STIM_READ_BACK] = "read-back",
	[ONI_STIM_BUSY] = "busy",
};

static const char *const sources[] = {
	[ONI_STIM_BY_NOBODY] = "nobody", [ONI_STIM_BY_HARDWARE] = "hardware",
	[ONI_STIM_BY_FIRMWARE] = "firmware", [ONI_STIM_BY_POLICY] = "policy",
	[ONI_STIM_BY_RUNTIME] = "runtime",
};

static const char *name_of(const char *const *names, size_t n, uint32_t i)
{
	return i < n && names[i] ? names[i] : NULL;
}

#define NAME(table, i)	name_of(table, sizeof(table) / sizeof((table)[0]), i)

const char *record_what(uint32_t what)
{
	const char *name = NAME(whats, what);

	return name ? name : "event";
}

void record_string(const char *text, size_t max, char *buf, size_t len)
{
	size_t n = 0;

	buf[n++] = '"';
	for (size_t i = 0; i < max && text[i] && n + 8 < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			n += (size_t)snprintf(buf + n, len - n, "\\u%04x", c);
		else
			buf[n++] = (char)c;
	}
	buf[n++] = '"';
	buf[n] = '\0';
}

struct text {
	char *buf;
	size_t len;
};

__attribute__((format(printf, 2, 3)))
static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, RECORD_TEXT - t->len, fmt, ap);
	va_end(ap);
	t->len += (size_t)n;
}

static void add_hash(struct text *t, const char *name, const uint8_t *hash)
{
	static const uint8_t none[CHAIN_HASH];
	char hex[CHAIN_HEX + 1];

	if (!hash || !memcmp(hash, none, CHAIN_HASH)) {
		add(t, ",\"%s\":null", name);
		return;
	}
	chain_hex(hash, hex);
	add(t, ",\"%s\":\"%s\"", name, hex);
}

/* A name where there is one, else the number. */
static void add_name(struct text *t, const char *key, const char *name, uint32_t value)
{
	if (name)
		add(t, "\"%s\":\"%s\"", key, name);
	else
		add(t, "\"%s\":%" PRIu32, key, value);
}

static void add_verdict(struct text *t, const struct oni_stim_verdict *v)
{
	add(t, ",\"verdict\":{");
	add_name(t, "code", NAME(codes, v->code), v->code);
	if (v->contact == ONI_STIM_NO_CONTACT)
		add(t, ",\"contact\":null");
	else
		add(t, ",\"contact\":%" PRIu32, v->contact);
	add(t, ",\"asked\":%" PRIu64 ",\"allowed\":%" PRIu64 ",", (uint64_t)v->asked,
	    (uint64_t)v->allowed);
	add_name(t, "source", NAME(sources, v->source), v->source);
	add(t, ",\"where\":%" PRIu32 "}", v->where);
}

static void add_more(struct text *t, const uint8_t *p, size_t n)
{
	add(t, ",\"more\":\"");
	while (n--)
		add(t, "%02x", *p++);
	add(t, "\"");
}

int record_text(const struct oni_stim_event *e, size_t size, const uint8_t *limits,
		char buf[RECORD_TEXT])
{
	struct text t = { .buf = buf };
	char comm[6 * sizeof(e->comm) + 16];
	bool is_limits = e->what == ONI_STIM_EV_POLICY || e->what == ONI_STIM_EV_LOWER;

	if (size < sizeof(*e) || size > sizeof(*e) + RECORD_MORE)
		return -1;
	record_string(e->comm, sizeof(e->comm), comm, sizeof(comm));
	if (!NAME(whats, e->what))
		add(&t, ",\"code\":%" PRIu32, e->what);
	add(&t, ",\"seq\":%" PRIu64 ",\"boot_ns\":%" PRIu64 ",\"real_ns\":%" PRIu64, (uint64_t)e->seq,
	    (uint64_t)e->boot_ns, (uint64_t)e->real_ns);
	add(&t, ",\"session\":%" PRIu64, (uint64_t)e->session);
	if (e->loginuid == UINT32_MAX)
		add(&t, ",\"loginuid\":null");
	else
		add(&t, ",\"loginuid\":%" PRIu32, e->loginuid);
	add(&t, ",\"uid\":%" PRIu32 ",\"pid\":%" PRIu32 ",\"comm\":%s", e->uid, e->tgid, comm);
	add(&t, ",\"hub\":%" PRIu32 ",\"clock\":%" PRIu64 ",\"generation\":%" PRIu32
	    ",\"position\":%" PRIu64 ",\"arg\":%" PRIu64, e->hub, (uint64_t)e->clock, e->generation,
	    (uint64_t)e->position, (uint64_t)e->arg);
	if (e->because) {
		add(&t, ",");
		add_name(&t, "because", NAME(becauses, e->because), e->because);
	} else {
		add(&t, ",\"because\":null");
	}
	add_hash(&t, "program", is_limits ? NULL : e->hash);
	add_hash(&t, "limits", is_limits ? e->hash : limits);
	if (e->what == ONI_STIM_EV_REFUSED || e->verdict.code)
		add_verdict(&t, &e->verdict);
	if (size > sizeof(*e))
		add_more(&t, (const uint8_t *)(e + 1), size - sizeof(*e));
	return 0;
}
