/* SPDX-License-Identifier: MIT */
/*
 * controller.h - the ONI controller behind the RIFFA channels.
 *
 * Owns the configuration registers, the signal channel, the register
 * handshake, the write frame parser, the read channel and the acquisition
 * clock; drives the device model and fills card RAM.
 * Channels: 0 configuration, 1 write frames, 2 read frames (and block size),
 * 3 signal, one word per COBS byte.
 * Threads: no lock; called under the card lock.
 * Source: ONI v1.0 spec (controller.rst, dev_table.rst), liboni
 * (onidriver_riffa.c, oni.c).
 */
#ifndef SIM_CONTROLLER_H
#define SIM_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fifo.h"
#include "model/model.h"
#include "riffa.h"

#define CONTROLLER_CHANNELS	4
#define SIGNAL_BYTES		65536u	/* power of two */
#define REPLY_WORDS		64u	/* power of two */

enum controller_channel { CH_CONFIG, CH_WRITE, CH_READ, CH_SIGNAL };

enum controller_reg {
	REG_DEV_ADDR,
	REG_REG_ADDR,
	REG_VALUE,
	REG_RW,
	REG_TRIGGER,
	REG_RUNNING,
	REG_RESET,
	REG_SYSCLK_HZ,
	REG_ACQCLK_HZ,
	REG_RESET_COUNTER,
	REG_HWADDRESS,
	REG_FLAGS,
	REG_COUNT
};

enum controller_pace { PACE_REALTIME, PACE_MAX };

/* Moments at which the account of a run is taken: after, after, before it. */
enum controller_event { EVENT_START, EVENT_STOP, EVENT_RESET };

struct controller {
	struct riffa *riffa;
	struct model *model;
	struct fifo *fifo;
	enum controller_pace pace;
	bool keep_rest;		/* what a run left in card RAM is there in the next */
	bool rst_out;		/* a reset of the core resets the controller too */
	/* Injected: this many device register accesses are refused, unanswered. */
	unsigned int fault_nack, fault_mute;
	void (*event)(void *ctx, enum controller_event event);
	void *event_ctx;

	uint32_t reg[REG_COUNT];
	uint64_t trigger_ns;	/* when the device register access is over */
	uint32_t block_words;	/* 0: the host has not set one */
	uint64_t clock;		/* acquisition clock reached */
	uint64_t clock_base;	/* clock when the counter last (re)started */
	uint64_t start_ns;
	uint64_t now_ns;
	uint64_t run;		/* number of starts */
	size_t frame_max;	/* largest frame of the table, bytes on the wire */

	uint32_t reply[REPLY_WORDS];
	unsigned int reply_head, reply_tail;

	uint8_t signal[SIGNAL_BYTES];
	unsigned int signal_head, signal_tail;
	uint32_t signal_word;

	uint32_t wr_head[2];	/* address, payload words */
	uint32_t *wr_data;
	uint32_t wr_fill;	/* words of the current frame, header included */

	struct {
		uint64_t blocks, bytes, resets, starts, stops;
		uint64_t reg_reads, reg_writes, reg_nacks;
		uint64_t write_frames, bad_write_frames, signal_lost;
	} stats;
};

int controller_init(struct controller *c, struct riffa *riffa, struct fifo *fifo);
void controller_free(struct controller *c);

/* Power-on state with a fresh @model. Counters and the run number stay. */
void controller_power_on(struct controller *c, struct model *model);

/*
 * Let time pass: devices make frames, requests of the user logic are raised.
 * Returns true if there is more to do at once.
 */
bool controller_step(struct controller *c, uint64_t now_ns);

/* RST_OUT of the core. */
void controller_core_reset(struct controller *c);

/* User side of the RIFFA channels, for riffa_ops. */
const void *controller_peek(struct controller *c, unsigned int ch, size_t *words);
void controller_take(struct controller *c, unsigned int ch, size_t words);
void controller_end(struct controller *c, unsigned int ch, uint32_t words);
size_t controller_data(struct controller *c, unsigned int ch, uint32_t offset,
		       const uint32_t *words, size_t n);

#endif
