// SPDX-License-Identifier: MIT
/* violation.c - see violation.h. */
#include "violation.h"

#include <stdarg.h>
#include <string.h>

static const struct {
	const char *name;
	const char *why;
} kinds[VIOLATION_KINDS] = {
	[VIOLATION_READ_WRITEONLY] = { "read-writeonly",
		"a read of fields 0..7 acts like a write of whatever the bus carried" },
	[VIOLATION_WRITE_READONLY] = { "write-readonly",
		"a write to a status field fires its side effect and carries no data" },
	[VIOLATION_BAR_WIDTH] = { "bar-width",
		"the register block answers one aligned 32-bit word and ignores byte enables" },
	[VIOLATION_IRQ_PAGE] = { "irq-page",
		"vectors and INFO have a defined value in the page of channel 0 only" },
	[VIOLATION_ZERO_ELEMENT] = { "zero-element",
		"a DMA request of length 0 means 1024 words on the wire" },
	[VIOLATION_UNALIGNED] = { "unaligned",
		"the two low bits of a bus address are dropped" },
	[VIOLATION_LIST_LENGTH] = { "list-length",
		"a list has a multiple of four words, at least four" },
	[VIOLATION_LIST_TOO_LONG] = { "list-too-long",
		"more than 400 elements can overflow the list FIFO, which loses the rest" },
	[VIOLATION_LEN_WHILE_FETCHING] = { "len-while-fetching",
		"a list length written while a list is fetched is lost" },
	[VIOLATION_ADDR_WHILE_FETCHING] = { "addr-while-fetching",
		"the list address register is in use until the list was received" },
	[VIOLATION_LIST_BEFORE_ACK] = { "list-before-ack",
		"a list posted outside an acknowledged transaction is thrown away" },
	[VIOLATION_RX_LIST_BEFORE_LEN] = { "rx-list-before-len",
		"the start of a host-to-card transaction empties the list FIFO" },
	[VIOLATION_ACK_BEFORE_RECVD] = { "ack-before-recvd",
		"elements of the old list can still arrive and be used for new data" },
	[VIOLATION_SURPLUS_ELEMENT] = { "surplus-element",
		"elements beyond the announced length are the start of stale-address DMA" },
	[VIOLATION_DMA_FAULT] = { "dma-fault",
		"the card was given an address that is not mapped for this access" },
	[VIOLATION_DMA_NO_MASTER] = { "dma-no-master",
		"bus mastering was cleared while transfers were running" },
	[VIOLATION_MSI_NO_MASTER] = { "msi-no-master",
		"bus mastering was cleared while a transfer had an event to signal" },
	[VIOLATION_VECTOR_UNREAD] = { "vector-unread",
		"no further interrupt comes until the vector was read" },
};

const char *violation_name(enum violation kind)
{
	return kinds[kind].name;
}

const char *violation_why(enum violation kind)
{
	return kinds[kind].why;
}

void violation_report(struct violations *v, enum violation kind,
		      const char *fmt, ...)
{
	char *line = v->line[v->total % VIOLATION_LINES];
	va_list ap;
	int n;

	n = snprintf(line, VIOLATION_TEXT, "%s ", kinds[kind].name);
	va_start(ap, fmt);
	vsnprintf(line + n, VIOLATION_TEXT - (size_t)n, fmt, ap);
	va_end(ap);
	v->count[kind]++;
	v->total++;
	if (v->log) {
		fprintf(v->log, "violation %s (%s)\n", line, kinds[kind].why);
		fflush(v->log);
	}
}

void violation_reset(struct violations *v)
{
	v->total = 0;
	memset(v->count, 0, sizeof(v->count));
}

void violation_print(const struct violations *v, FILE *out)
{
	uint64_t i = v->total > VIOLATION_LINES ? v->total - VIOLATION_LINES : 0;

	for (; i < v->total; i++)
		fprintf(out, "violation %s\n", v->line[i % VIOLATION_LINES]);
}
