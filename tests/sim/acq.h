/* SPDX-License-Identifier: MIT */
/*
 * acq.h - the FPGA of an Acquisition Board behind the FIFO of its USB bridge.
 *
 * Owns what lies between the ONI controller and the bridge: the command parser
 * (pipe 0x03), the replies (0x83), the words of the write stream (0x02) and the
 * read frames on their way out (0x82), with the buffers of the bridge itself.
 * Threads: no lock; called under the card lock.
 * Source: liboni (onidriver_ft600.c). Inferred: that GPIO 0 empties card RAM and
 * the signal channel and leaves registers alone, the size of the bridge's
 * buffers (16 KB in total; 4 KB per pipe), and that packets of read frames are
 * full unless told otherwise.
 */
#ifndef SIM_ACQ_H
#define SIM_ACQ_H

#include "controller.h"
#include "ft600.h"
#include "stage.h"

#define ACQ_PIPE_BYTES	4096u	/* of the bridge, per pipe to the host */
#define ACQ_DATA	2u
#define ACQ_CONTROL	3u

struct acq_config {
	uint32_t burst_bytes;	/* the FPGA ends a burst after so many; 0: it does not */
	uint64_t idle_ns;	/* or when nothing came for so long; 0: it does not */
	bool hold_stopped;	/* nothing enters the bridge while the clock is stopped */
};

struct acq {
	struct acq_config cfg;
	struct controller *ctl;
	struct violations *viol;
	struct faults *faults;
	struct stage stage;
	bool reset;		/* GPIO 0 */
	uint32_t priority;	/* what command 3 said; its meaning is not known */

	uint8_t reply[ACQ_PIPE_BYTES];
	uint32_t reply_head, reply_len;
	bool inside;		/* a signal packet was begun and not ended */
	uint64_t reply_ns;	/* injected: nothing leaves before */

	uint8_t cmd[9];
	uint32_t cmd_fill;
	uint8_t word[4];
	uint32_t word_fill;

	uint32_t burst_left;	/* 0: this burst has no end */
	uint64_t ready, ready_ns;	/* bytes there at the last step, since when */
	uint64_t now_ns;
	struct {
		uint64_t commands, priorities, unknown_registers, fifo_resets;
	} stats;
};

void acq_init(struct acq *a, const struct acq_config *cfg, struct controller *ctl,
	      struct violations *viol, struct faults *faults);
struct controller_ops acq_controller_ops(struct acq *a);
struct ft600_ops acq_ft600_ops(struct acq *a);
/* After controller_init(): the FIFO is known. */
void acq_power_on(struct acq *a);

/* Returns true if something moved towards the host. */
bool acq_step(struct acq *a, uint64_t now_ns);
void acq_status(const struct acq *a, FILE *out);

#endif
