/* SPDX-License-Identifier: MIT */
/*
 * violation.h - accesses the real card forbids, or that corrupt data on it.
 *
 * Owns the list of kinds, the counters and the last lines of text. Whoever
 * notices a violation reports it here; the simulator goes on as the hardware
 * would, and the test harness fails the run.
 * Threads: no lock of its own; everything is called under the card lock.
 * Source: RIFFA 2.2 HDL (registers.v, sg_list_requester.v, tx_port_writer.v,
 * rx_port_reader.v, interrupt.v) and PCI Express rules; for the FT600 what its
 * vendor's library and liboni send, and USB 3.2.
 */
#ifndef SIM_VIOLATION_H
#define SIM_VIOLATION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum violation {
	VIOLATION_READ_WRITEONLY,
	VIOLATION_WRITE_READONLY,
	VIOLATION_BAR_WIDTH,
	VIOLATION_IRQ_PAGE,
	VIOLATION_ZERO_ELEMENT,
	VIOLATION_UNALIGNED,
	VIOLATION_LIST_LENGTH,
	VIOLATION_LIST_TOO_LONG,
	VIOLATION_LEN_WHILE_FETCHING,
	VIOLATION_ADDR_WHILE_FETCHING,
	VIOLATION_LIST_BEFORE_ACK,
	VIOLATION_RX_LIST_BEFORE_LEN,
	VIOLATION_ACK_BEFORE_RECVD,
	VIOLATION_SURPLUS_ELEMENT,
	VIOLATION_DMA_FAULT,
	VIOLATION_DMA_NO_MASTER,
	VIOLATION_MSI_NO_MASTER,
	VIOLATION_VECTOR_UNREAD,
	/* FT600 */
	VIOLATION_USB_ENDPOINT,
	VIOLATION_USB_SESSION_LENGTH,
	VIOLATION_USB_SESSION_COMMAND,
	VIOLATION_USB_SESSION_PIPE,
	VIOLATION_USB_SESSION_FIELDS,
	VIOLATION_USB_IN_LENGTH,
	VIOLATION_USB_VENDOR,
	VIOLATION_USB_CHIP_WRITE,
	VIOLATION_USB_FIFO_RESET,
	VIOLATION_USB_COMMAND,
	VIOLATION_USB_OUT_LENGTH,
	VIOLATION_KINDS
};

#define VIOLATION_LINES	256	/* lines kept for the control socket */
#define VIOLATION_TEXT	200

struct violations {
	uint64_t total;
	uint64_t excused;	/* not counted in total */
	bool lied;		/* the card said what is not so, see violation_excuse() */
	uint64_t count[VIOLATION_KINDS];
	char line[VIOLATION_LINES][VIOLATION_TEXT];	/* ring, by total */
	FILE *log;	/* may be NULL; not owned */
};

/* Short stable name ("zero-element") and one sentence of explanation. */
const char *violation_name(enum violation kind);
const char *violation_why(enum violation kind);

/* Count one violation; the text names the access, its value and the state. */
void violation_report(struct violations *v, enum violation kind,
		      const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * An injected fault told the host something wrong about the state of a channel:
 * until the core is reset, an access that is forbidden in the true state only is
 * no violation of the host. What is forbidden in every state stays one.
 */
void violation_excuse(struct violations *v, bool lied);

void violation_reset(struct violations *v);

/* Print the lines kept, oldest first, each behind "violation ". */
void violation_print(const struct violations *v, FILE *out);

#endif
