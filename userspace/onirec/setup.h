/* SPDX-License-Identifier: MIT */
/*
 * setup.h - brings a controller from whatever state it is in to recording, and
 * back: claim, port power, enables, reset, stream, start; stop, port off.
 *
 * Threads: main thread only, except the struct source inside, see source.h.
 * Errors: -1, and a sentence with the remedy in card->err; errno is kept.
 */
#ifndef ONIREC_SETUP_H
#define ONIREC_SETUP_H

#include <onidev.h>

#include "config.h"
#include "rec.h"

struct card {
	struct source source;		/* first: the recorder's view */
	struct source_ops ops;
	/* events of the stimulators: their file, -1, and what was read ahead */
	int stim_fd;
	struct oni_stim_event stim[32];
	size_t stim_pos, stim_len;	/* bytes */
	struct onidev_controller *ctl;
	struct onidev_stream *stream;
	struct onidev_clock *clock;
	struct onidev_table *table;
	struct oni_info info;
	struct rec_device dev[REC_MAX_DEVICES];
	unsigned int n_dev;
	bool silent[256];		/* as in struct rec_config */
	uint32_t powered[CONFIG_PORTS];	/* ports this process switched on */
	unsigned int n_powered;
	bool running;
	char err[600];
};

/* Everything up to, not including, the start. @say gets a line per step. */
int card_open(struct card *card, const struct config *cfg, void (*say)(const char *line));
int card_start(struct card *card);
/* Stop if running, ports off that were switched on, close. Safe after errors. */
void card_close(struct card *card);

#endif
