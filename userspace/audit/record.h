/* SPDX-License-Identifier: MIT */
/*
 * record.h - what an event of the kernel (struct oni_stim_event) is in the log. Pure.
 */
#ifndef ONI_AUDIT_RECORD_H
#define ONI_AUDIT_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include <linux/oni_stim.h>

#define RECORD_TEXT	4096	/* room for the members of an event */
#define RECORD_MORE	256	/* most bytes that a newer kernel may add to an event */

/* "fire"; "event" of one that is not known here: its number is in the record, too. */
const char *record_what(uint32_t what);
/*
 * The members behind "what". @size: bytes of the event, as it says itself; what is
 * behind the part that is known here is kept in hexadecimal. @limits: hash of the
 * ceilings in force, NULL: not known. -1: @size cannot be.
 */
int record_text(const struct oni_stim_event *e, size_t size, const uint8_t *limits,
		char buf[RECORD_TEXT]);
/* @text as a JSON string with its quotes; bytes that are not printable ASCII as \u00XX. */
void record_string(const char *text, size_t max, char *buf, size_t len);

#endif
