/* SPDX-License-Identifier: MIT */
/*
 * model.h - the ONI devices of a simulated card, seen from its controller.
 *
 * The model owns the hubs, the devices (registers, power-on defaults, frames)
 * and the signal sources. It knows nothing of RIFFA, FT600, QEMU or sockets:
 * the controller (tests/sim) owns the register handshake, the hardware FIFO
 * and the transport, and calls in here. A USB attachment can use the same
 * model unchanged.
 *
 * Threads: the model has no locks. The caller makes sure that one thread at a
 * time is inside it.
 * Time: "clock" is the acquisition clock in ticks of MODEL_ACQ_HZ since the
 * last counter reset. It stands still while stopped: a run that starts without
 * a counter reset goes on where the last one ended. "now_ns" is CLOCK_MONOTONIC
 * of the host and only drives what happens without an acquisition running (port
 * power-up, link lock), and the stimulators, whose sequences need none.
 * Byte order: gateware 2 (plain little endian everywhere).
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MODEL_ACQ_HZ	250000000u	/* ONIX acquisition and hub-0 clock */
#define MODEL_SYS_HZ	250000000u
#define MODEL_MAX_ROWS	64		/* rows of the largest device table */

/* One row of the device table, as sent in a DEVICEINST signal packet. */
struct model_dev {
	uint32_t addr;		/* hub << 8 | device */
	uint32_t id;		/* 0: NULL row */
	uint32_t version;
	uint32_t read_size;	/* bytes, includes the 8-byte hub clock */
	uint32_t write_size;	/* bytes of payload */
};

/* Which hubs and devices there are. */
enum model_board { MODEL_BOARD_ONIX, MODEL_BOARD_ACQ };

struct stim_log;

/* What the controller offers to the model. */
struct model_env {
	void *ctx;
	enum model_board board;
	/*
	 * Take one complete read frame: 16-byte header (u64 clock, u32 address,
	 * u32 sample size), sample, padding to a multiple of 4. @frame is valid
	 * during the call only. Frames come in order of their header clock.
	 */
	void (*emit)(void *ctx, uint32_t addr, const void *frame, size_t len);
	/* Words of card RAM in use and in total, for the memory monitor. */
	uint32_t (*fifo_used_words)(void *ctx);
	uint32_t (*fifo_total_words)(void *ctx);
	/* Where stimulation is logged (stim_log.h); NULL: the model keeps its own. */
	struct stim_log *stim;
};

struct model;

/*
 * Create a model in its power-on state (ports unpowered, stimulators armed as
 * the datasheets say). NULL and errno on failure.
 */
struct model *model_new(const struct model_env *env);
void model_free(struct model *m);
/* The card loses its supply: what a stimulator puts out ends here. */
void model_power_off(struct model *m);

/*
 * Configure right after model_new(), before any other call. @key and @value come
 * from the command line ("--model key=value"); model_help() prints what is accepted.
 * Returns 0, or -1 with a sentence in @err.
 */
int model_set(struct model *m, const char *key, const char *value,
	      char *err, size_t errlen);
void model_help(FILE *out);

/* The device table as of the last reset. Returns the number of rows. */
size_t model_table(const struct model *m, struct model_dev *rows, size_t max);

/*
 * Controller RESET: registers with a reset action change, enables and frame
 * sizes take effect, hubs whose link is locked enter the table.
 * @flags is the ONIX custom flags register (passthrough bits).
 */
void model_reset(struct model *m, uint32_t flags);

/* Register access. 0: acknowledged; -1: the device answers NACK. */
int model_reg_read(struct model *m, uint32_t addr, uint32_t reg,
		   uint32_t *val);
int model_reg_write(struct model *m, uint32_t addr, uint32_t reg,
		    uint32_t val);

/* One write frame from the host. @words 32-bit words of payload. */
void model_write_frame(struct model *m, uint64_t clock, uint32_t addr,
		       const uint32_t *payload, size_t words);

/*
 * Running register. Every start is a new run: signal sources begin again, so
 * that sample i of a run depends on the seed and i only. Counter reset: the
 * clock and the hub clocks are zero, the next frame times start from there.
 */
void model_run(struct model *m, int running);
void model_reset_counter(struct model *m);

/* Real time passes: port supplies settle, links lock or drop. */
void model_tick(struct model *m, uint64_t now_ns);

/* Clock of the next frame any enabled device will make; UINT64_MAX if none. */
uint64_t model_next(const struct model *m);

/*
 * Emit every frame with a clock <= @until, in time order, but stop as soon as
 * @max_bytes have been emitted. Returns the clock reached: @until, or the
 * clock of the last frame emitted when @max_bytes ended the call.
 */
uint64_t model_produce(struct model *m, uint64_t until, size_t max_bytes);

/*
 * "key value" lines for the control socket: link states, per-source state.
 * Every line starts with @prefix.
 */
void model_status(const struct model *m, FILE *out, const char *prefix);

/* JSON lines: an account of every electrode; its currents from number @from on. */
void model_stim_electrodes(const struct model *m, FILE *out);
void model_stim_phases(const struct model *m, FILE *out, uint64_t from);

/* One line from the control socket ("model WORDS"): 0, or -1 and @err. */
int model_command(struct model *m, const char *line, char *err, size_t errlen);

/* Flush truth files (spike times). Called at every stop and at exit. */
void model_flush(struct model *m);

#endif
