/* SPDX-License-Identifier: MIT */
/*
 * words.h - verdicts, states and bounds in words. Pure.
 */
#ifndef ONISTIM_WORDS_H
#define ONISTIM_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "driver/oni_stim_check.h"

#define WORDS_NUMBER	64	/* room for words_quantity() */

/* "charge of a phase"; static. */
const char *words_limit(uint32_t limit);
/* A value of @limit with its unit, "19.872 nC"; returns @buf of at least WORDS_NUMBER. */
char *words_quantity(char *buf, uint32_t limit, uint64_t value);
/* "contact 3", "the return", "all contacts"; returns @buf of at least WORDS_NUMBER. */
char *words_contact(char *buf, uint32_t contact);
/* ONI_STIM_BY_*: "the policy"; static. */
const char *words_source(uint32_t source);
/* The same in one word for tables and JSON: "policy"; static. */
const char *words_source_key(uint32_t source);
/* One word for a verdict: "charge_nc", "not-owner"; static. */
const char *words_code(uint32_t code);
/* ONI_STIM_SAFE ...: "SAFE"; static. */
const char *words_state(uint32_t state);
/* ONI_STIM_BECAUSE_*: a clause, "its owner was silent for too long"; static. */
const char *words_because(uint32_t because);
/*
 * Why it was refused, as one or two sentences that name the bound, by how much it was
 * exceeded, whose it is, and the remedy. Returns @buf.
 */
char *words_verdict(char *buf, size_t len, const struct oni_stim_verdict *verdict);

#endif
