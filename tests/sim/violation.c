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
	[VIOLATION_USB_ENDPOINT] = { "usb-endpoint",
		"there is no such endpoint, or there is no configuration yet" },
	[VIOLATION_USB_SESSION_LENGTH] = { "usb-session-length",
		"a session command has 20 bytes" },
	[VIOLATION_USB_SESSION_COMMAND] = { "usb-session-command",
		"no host software sends such a session command" },
	[VIOLATION_USB_SESSION_PIPE] = { "usb-session-pipe",
		"sessions are for the pipes 0x02, 0x82, 0x03 and 0x83" },
	[VIOLATION_USB_SESSION_FIELDS] = { "usb-session-fields",
		"a field that is always zero is not, or nothing is to be read" },
	[VIOLATION_USB_IN_LENGTH] = { "usb-in-length",
		"a packet did not fit: room for IN is a multiple of the packet size" },
	[VIOLATION_USB_VENDOR] = { "usb-vendor",
		"the chip has no vendor request with these fields and this length" },
	[VIOLATION_USB_CHIP_WRITE] = { "usb-chip-write",
		"writes to the chip's memory or configuration can make it useless" },
	[VIOLATION_USB_FIFO_RESET] = { "usb-fifo-reset",
		"what is sent while GPIO 0 holds the FIFOs in reset is lost" },
	[VIOLATION_USB_COMMAND] = { "usb-command",
		"the first byte of a command is 1, 2 or 3" },
	[VIOLATION_USB_OUT_LENGTH] = { "usb-out-length",
		"the write stream has words of 4 bytes" },
};

/* Forbidden in some states of a channel only. */
static bool depends_on_state(enum violation kind)
{
	switch (kind) {
	case VIOLATION_LEN_WHILE_FETCHING:
	case VIOLATION_ADDR_WHILE_FETCHING:
	case VIOLATION_LIST_BEFORE_ACK:
	case VIOLATION_RX_LIST_BEFORE_LEN:
	case VIOLATION_ACK_BEFORE_RECVD:
	case VIOLATION_SURPLUS_ELEMENT:
	case VIOLATION_VECTOR_UNREAD:
		return true;
	default:
		return false;
	}
}

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

	if (v->lied && depends_on_state(kind)) {
		v->excused++;
		return;
	}
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

void violation_excuse(struct violations *v, bool lied)
{
	v->lied = lied;
}

void violation_reset(struct violations *v)
{
	v->total = 0;
	v->excused = 0;
	memset(v->count, 0, sizeof(v->count));
}

void violation_print(const struct violations *v, FILE *out)
{
	uint64_t i = v->total > VIOLATION_LINES ? v->total - VIOLATION_LINES : 0;

	for (; i < v->total; i++)
		fprintf(out, "violation %s\n", v->line[i % VIOLATION_LINES]);
}
