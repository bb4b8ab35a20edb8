// SPDX-License-Identifier: MIT
/* onix.c - see onix.h. */
#include "onix.h"

#define READ_FLAG	(1u << 29)	/* in the offset of a configuration access */

/* ---- what the controller asks ---- */

static bool op_announced(void *ctx)
{
	struct onix *x = ctx;

	return riffa_tx_requested(x->riffa, CH_READ);
}

/*
 * Our inference: a reset of the controller drops the requests (an announced
 * transaction then ends with 0 words) and forgets the block size, so that
 * nothing is announced before the host has set one again.
 */
static void op_dropped(void *ctx)
{
	struct onix *x = ctx;

	riffa_tx_close(x->riffa, CH_READ, riffa_tx_sent(x->riffa, CH_READ));
	riffa_tx_close(x->riffa, CH_SIGNAL, riffa_tx_sent(x->riffa, CH_SIGNAL));
	x->block_words = 0;
}

struct controller_ops onix_ops(struct onix *x)
{
	return (struct controller_ops){
		.ctx = x, .announced = op_announced, .dropped = op_dropped,
	};
}

/*
 * Whether the core's reset reaches the ONIX logic is not published. liboni
 * speaks of resetting the whole system and of keeping it off that way, so both
 * can be had; device registers keep their values in either case.
 */
void onix_core_reset(struct onix *x)
{
	/* The end of an injected length, or the next announcement would have it too. */
	if (x->block_odd && riffa_tx_requested(x->riffa, CH_READ))
		riffa_tx_open(x->riffa, CH_READ, x->block_words, 0, true);
	x->block_odd = false;
	x->block_end = 0;
	if (!x->rst_out)
		return;
	controller_halt(x->ctl);
	riffa_tx_close(x->riffa, CH_CONFIG, 0);
}

/* ---- RIFFA user side ---- */

const void *onix_peek(struct onix *x, unsigned int ch, size_t *words)
{
	const uint8_t *byte;
	const void *p = NULL;

	*words = 0;
	switch (ch) {
	case CH_CONFIG:
		p = controller_peek_reply(x->ctl);
		*words = p != NULL;
		return p;
	case CH_READ:
		p = fifo_peek(x->ctl->fifo, words);
		*words /= 4;
		return p;
	case CH_SIGNAL:
		byte = controller_peek_signal(x->ctl);
		if (!byte)
			return NULL;
		*words = 1;
		x->signal_word = *byte;
		return &x->signal_word;
	default:
		return NULL;
	}
}

void onix_take(struct onix *x, unsigned int ch, size_t words)
{
	switch (ch) {
	case CH_CONFIG:
		while (words--)
			controller_take_reply(x->ctl);
		break;
	case CH_READ:
		fifo_take(x->ctl->fifo, words * 4);
		break;
	case CH_SIGNAL:
		while (words--)
			controller_take_signal(x->ctl);
		break;
	default:
		break;
	}
}

void onix_end(struct onix *x, unsigned int ch, uint32_t words)
{
	if (ch == CH_READ)
		controller_block_done(x->ctl, (uint64_t)words * 4);
}

size_t onix_data(struct onix *x, unsigned int ch, uint32_t offset,
		 const uint32_t *words, size_t n)
{
	size_t i;

	switch (ch) {
	case CH_CONFIG:
		for (i = 0; i < n; i++, offset++) {
			if (offset & READ_FLAG)
				controller_read_reg(x->ctl, offset & ~READ_FLAG);
			else
				controller_write_reg(x->ctl, offset, words[i]);
		}
		break;
	case CH_WRITE:
		controller_write_words(x->ctl, words, n);
		break;
	case CH_READ:
		x->block_words = words[n - 1];
		break;
	default:
		break;	/* nobody listens on the signal channel */
	}
	return n;
}

/* A block of read frames is there; an ordered fault gives it another length. */
static void request_block(struct onix *x)
{
	struct faults *f = x->ctl->faults;
	uint32_t words = x->block_words;

	x->block_odd = fault_take(f, FAULT_ANNOUNCE_WORDS);
	if (x->block_odd)
		words = fault_arg(f, FAULT_ANNOUNCE_WORDS);
	/* The request after one that was cut comes while the core still has that one. */
	if (x->riffa->tx[CH_READ].state != RIFFA_TX_NEW_ACK &&
	    x->riffa->tx[CH_READ].state != RIFFA_TX_WRITE && fault_take(f, FAULT_SHORT))
		x->block_end = fault_arg(f, FAULT_SHORT);
	riffa_tx_open(x->riffa, CH_READ, words, 0, true);
}

/* The user logic drops its request early, once it was announced. */
static void cut_block(struct onix *x)
{
	enum riffa_tx_state state = x->riffa->tx[CH_READ].state;

	if (!x->block_end || (state != RIFFA_TX_NEW_ACK && state != RIFFA_TX_WRITE))
		return;
	riffa_tx_close(x->riffa, CH_READ, x->block_end);
	x->block_end = 0;
}

/* Announce what is ready; the channel keeps the request until it is served. */
bool onix_step(struct onix *x)
{
	bool raised = false;

	cut_block(x);
	if (controller_peek_reply(x->ctl) && !riffa_tx_requested(x->riffa, CH_CONFIG)) {
		riffa_tx_open(x->riffa, CH_CONFIG, 1, 0, true);
		raised = true;
	}
	if (controller_peek_signal(x->ctl) && !riffa_tx_requested(x->riffa, CH_SIGNAL)) {
		riffa_tx_open(x->riffa, CH_SIGNAL, 1, 0, true);
		raised = true;
	}
	if (x->block_words && fifo_used(x->ctl->fifo) / 4 >= x->block_words &&
	    !riffa_tx_requested(x->riffa, CH_READ)) {
		request_block(x);
		raised = true;
	}
	return raised;
}

void onix_power_on(struct onix *x)
{
	x->block_words = 0;
	x->block_odd = false;
	x->block_end = 0;
}

void onix_init(struct onix *x, struct controller *ctl, struct riffa *riffa)
{
	x->ctl = ctl;
	x->riffa = riffa;
	onix_power_on(x);
}
