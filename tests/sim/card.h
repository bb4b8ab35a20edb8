/* SPDX-License-Identifier: MIT */
/*
 * card.h - the whole card: PCI function, RIFFA core, controller, model.
 *
 * Owns every part of the card, the lock around them and the engine thread that
 * lets them run. Callbacks of the vfio-user server end up here.
 * Threads: card->lock protects all state below it. The engine takes it for one
 * step at a time; card_lock() is fair, so that a register access waits for one
 * step at most.
 */
#ifndef SIM_CARD_H
#define SIM_CARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "controller.h"
#include "dma.h"
#include "fifo.h"
#include "pci.h"
#include "riffa.h"
#include "account.h"
#include "vfio_user.h"
#include "violation.h"

#define CARD_MAX_OPTIONS	64

struct card_config {
	struct riffa_config riffa;
	struct pci_config pci;
	enum controller_pace pace;
	bool keep_rest;			/* see struct controller */
	bool rst_out;
	uint64_t ram_bytes;
	const char *truth_path;		/* NULL: none */
	const char *option[CARD_MAX_OPTIONS];	/* "key=value" for the model */
	unsigned int options;
	bool trace;			/* log every register access */
	FILE *log;			/* may be NULL */
};

struct card {
	struct card_config cfg;
	struct vfu vfu;

	pthread_mutex_t turn;		/* taken first, so that waiters line up */
	pthread_mutex_t lock;
	pthread_cond_t kick;
	pthread_t engine;
	bool quit;
	bool attached;
	bool touched;			/* the power-on state may be gone */
	bool stalled;
	int msi_fd;
	struct violations viol;
	struct riffa riffa;
	struct controller ctl;
	struct fifo fifo;
	struct pci pci;
	struct dma_space dma;
	struct account account;
	struct model *model;
};

/* 0, or -errno with a sentence in @err. */
int card_init(struct card *c, const struct card_config *cfg, char *err, size_t errlen);
/* Stops the engine, writes the last truth object. */
void card_exit(struct card *c);

/* Serve one client on @sock until it leaves; takes @sock. */
int card_serve(struct card *c, int sock);

/* Control interface; these take the lock themselves. */
void card_status(struct card *c, FILE *out);
void card_violations(struct card *c, FILE *out);
void card_unplug(struct card *c);
void card_shutdown(struct card *c);	/* card_serve() ends for good */
void card_stall(struct card *c, bool stalled);
/* "nack N", "mute N" or "msi"; 0, or -1 if it is none of them. */
int card_fault(struct card *c, const char *what);
void card_reset_counters(struct card *c);
void card_write_truth(struct card *c);
int card_model_command(struct card *c, const char *line, char *err, size_t errlen);
uint64_t card_violation_total(struct card *c);

#endif
