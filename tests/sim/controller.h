/* SPDX-License-Identifier: MIT */
/*
 * controller.h - the ONI controller, whatever carries its channels to the host.
 *
 * Owns the configuration registers, the signal channel, the register
 * handshake, the write frame parser, the read channel and the acquisition
 * clock; drives the device model and fills card RAM. A transport (onix.c on
 * RIFFA channels, ft600.c on USB pipes) takes replies, signal bytes and read
 * frames away and brings register accesses and write frames.
 * Threads: no lock; called under the card lock.
 * Source: ONI v1.0 spec (controller.rst, dev_table.rst), liboni
 * (onidriver_riffa.c, onidriver_ft600.c, oni.c).
 */
#ifndef SIM_CONTROLLER_H
#define SIM_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fault.h"
#include "fifo.h"
#include "model/model.h"

#define SIGNAL_BYTES		65536u	/* power of two */
#define REPLY_WORDS		64u	/* power of two */

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

/* What the controller asks of its transport. */
struct controller_ops {
	void *ctx;
	/* The host was told of read frames and has not fetched them. */
	bool (*announced)(void *ctx);
	/* Card RAM and the signal channel were emptied: requests for them are void. */
	void (*dropped)(void *ctx);
};

struct controller {
	struct controller_ops ops;
	struct faults *faults;
	struct model *model;
	struct fifo *fifo;
	enum controller_pace pace;
	bool keep_rest;		/* what a run left in card RAM is there in the next */
	void (*event)(void *ctx, enum controller_event event);
	void *event_ctx;

	uint32_t reg[REG_COUNT];
	uint64_t trigger_ns;	/* when the device register access is over */
	bool run_on;		/* injected: stopped, and devices go on */
	uint64_t clock;		/* acquisition clock reached */
	uint64_t clock_base;	/* clock when the counter last (re)started */
	uint64_t start_ns;
	uint64_t now_ns;
	uint64_t run;		/* number of starts */
	size_t frame_max;	/* largest frame of the table, bytes on the wire */

	uint32_t reply[REPLY_WORDS];
	unsigned int reply_head, reply_tail;
	uint32_t late_reply;	/* held back by a fault until then; 0: none is */
	uint64_t late_reply_ns;

	uint8_t signal[SIGNAL_BYTES];
	unsigned int signal_head, signal_tail;

	/* The device table on its way to the signal channel. */
	struct {
		struct model_dev row[MODEL_MAX_ROWS];
		uint32_t known;		/* rows of devices, the rest is made up */
		uint32_t next, rows;	/* UINT32_MAX rows: no end */
		uint64_t row_ns, due_ns;
	} table;

	uint32_t wr_head[2];	/* address, payload words */
	uint32_t *wr_data;
	uint32_t wr_fill;	/* words of the current frame, header included */

	struct {
		uint64_t blocks, bytes, resets, starts, stops;
		uint64_t reg_reads, reg_writes, reg_nacks;
		uint64_t write_frames, bad_write_frames, signal_lost;
		uint64_t write_frame_ns;	/* CLOCK_MONOTONIC of the last one, about */
	} stats;
};

int controller_init(struct controller *c, const struct controller_ops *ops,
		    struct faults *faults, struct fifo *fifo);
void controller_free(struct controller *c);

/* Power-on state with a fresh @model. Counters and the run number stay. */
void controller_power_on(struct controller *c, struct model *model);

/* Let time pass: devices make frames. Returns true if there is more to do at once. */
bool controller_step(struct controller *c, uint64_t now_ns);

/* Stop, and drop everything that is on its way to the host. */
void controller_halt(struct controller *c);
/* Only drop it: FIFOs held in reset. A run goes on. */
void controller_empty(struct controller *c);

/* Registers; the answer to a read comes as a reply. */
void controller_write_reg(struct controller *c, uint32_t reg, uint32_t val);
void controller_read_reg(struct controller *c, uint32_t reg);

/* The write channel. */
void controller_write_words(struct controller *c, const uint32_t *words, size_t n);

/* What waits for the host; NULL: nothing. Read frames are in the FIFO. */
const uint32_t *controller_peek_reply(const struct controller *c);
void controller_take_reply(struct controller *c);
const uint8_t *controller_peek_signal(const struct controller *c);
void controller_take_signal(struct controller *c);

/* A piece of read frames reached the host. */
void controller_block_done(struct controller *c, uint64_t bytes);

#endif
