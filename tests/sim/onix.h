/* SPDX-License-Identifier: MIT */
/*
 * onix.h - the ONI controller on RIFFA channels, as the ONIX PCIe card has it.
 *
 * Owns the user side of the channels: which one carries what, the block size,
 * the requests for transactions to the host, and what goes wrong with those.
 * Channels: 0 configuration, 1 write frames, 2 read frames (and block size),
 * 3 signal, one word per COBS byte.
 * Threads: no lock; called under the card lock.
 * Source: liboni (onidriver_riffa.c).
 */
#ifndef SIM_ONIX_H
#define SIM_ONIX_H

#include "controller.h"
#include "riffa.h"

#define ONIX_CHANNELS	4

enum onix_channel { CH_CONFIG, CH_WRITE, CH_READ, CH_SIGNAL };

struct onix {
	struct controller *ctl;
	struct riffa *riffa;
	bool rst_out;		/* a reset of the core resets the controller too */

	uint32_t block_words;	/* 0: the host has not set one */
	bool block_odd;		/* injected: the block requested has another length */
	uint32_t block_end;	/* injected: it ends after so many words; 0: it does not */
	uint32_t signal_word;
};

/* @ctl was made with onix_ops(), or is about to be. */
void onix_init(struct onix *x, struct controller *ctl, struct riffa *riffa);
struct controller_ops onix_ops(struct onix *x);
void onix_power_on(struct onix *x);

/* Raise the requests of the user logic. True if there is more to do at once. */
bool onix_step(struct onix *x);

/* RST_OUT of the core. */
void onix_core_reset(struct onix *x);

/* User side of the RIFFA channels, for riffa_ops. */
const void *onix_peek(struct onix *x, unsigned int ch, size_t *words);
void onix_take(struct onix *x, unsigned int ch, size_t words);
void onix_end(struct onix *x, unsigned int ch, uint32_t words);
size_t onix_data(struct onix *x, unsigned int ch, uint32_t offset,
		 const uint32_t *words, size_t n);

#endif
