/* SPDX-License-Identifier: MIT */
/*
 * card.h - the whole card: controller, model and the link to a host.
 *
 * Owns every part of the card, the lock around them and the engine thread that
 * lets them run. A link is what lies between the controller and a host: the
 * PCIe function with the RIFFA core (link_pcie.c), or the USB bridge chip
 * (link_usb.c). A card has one of them.
 * Threads: card->lock protects all state below it. The engine takes it for one
 * step at a time; card_lock() is fair, so that a register access waits for one
 * step at most.
 */
#ifndef SIM_CARD_H
#define SIM_CARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "account.h"
#include "controller.h"
#include "fifo.h"
#include "link_pcie.h"
#include "link_usb.h"
#include "model/stim_log.h"
#include "violation.h"

#define CARD_MAX_OPTIONS	64

/* How a host that connects to a socket talks. */
enum card_protocol { PROTOCOL_VFIO_USER, PROTOCOL_USBREDIR, PROTOCOL_USBIP };

struct card_config {
	enum model_board board;
	struct pcie_config pcie;
	struct usb_config usb;
	enum controller_pace pace;
	bool keep_rest;			/* see struct controller */
	uint64_t ram_bytes;
	const char *truth_path;		/* NULL: none */
	const char *option[CARD_MAX_OPTIONS];	/* "key=value" for the model */
	unsigned int options;
	bool trace;			/* log every register access */
	FILE *log;			/* may be NULL */
};

struct card;

/* What a card does with its link. All under the lock but where it says so. */
struct link_ops {
	/* Make the parts; sets card->faults. Before the controller is made. */
	struct controller_ops (*init)(struct card *c);
	void (*exit)(struct card *c);
	void (*power_on)(struct card *c);
	/* Returns true if there is more to do at once. */
	bool (*step)(struct card *c, uint64_t now_ns);
	void (*stall)(struct card *c, bool stalled);
	/* True: WHAT was a word of the link's own. May be absent. */
	bool (*fault)(struct card *c, const char *what);
	/* How long an interrupt may wait for its vector to be read; 0: as long as configured. May be absent. */
	void (*patience)(struct card *c, uint64_t ns);
	void (*status)(struct card *c, FILE *out);
	void (*reset_counters)(struct card *c);
	/* Without the lock: */
	int (*serve)(struct card *c, int sock, enum card_protocol protocol);
	int (*unplug)(struct card *c);
	int (*plug)(struct card *c);	/* may be absent */
	void (*shutdown)(struct card *c);
};

struct card {
	struct card_config cfg;
	const struct link_ops *link;

	pthread_mutex_t turn;		/* taken first, so that waiters line up */
	pthread_mutex_t lock;
	pthread_cond_t kick;
	pthread_t engine;
	bool quit;
	bool attached;
	bool touched;			/* the power-on state may be gone */
	bool stalled;
	struct violations viol;
	struct faults *faults;		/* inside the link */
	struct controller ctl;
	struct fifo fifo;
	struct pcie_link pcie;
	struct usb_link usb;
	struct account account;
	struct model *model;
	struct stim_log stim;		/* of all models that there were */
};

/* 0, or -errno with a sentence in @err. -EINVAL: an option in @cfg cannot be used. */
int card_init(struct card *c, const struct card_config *cfg, char *err, size_t errlen);
/* Stops the engine, writes the last truth object. */
void card_exit(struct card *c);

/* Serve one client on @sock until it leaves; takes @sock. */
int card_serve(struct card *c, int sock, enum card_protocol protocol);

/* For the links. The engine, if it waits, looks at once after card_kick(). */
void card_lock(struct card *c);
void card_unlock(struct card *c);
void card_kick(struct card *c);
void card_print_counter(FILE *out, const char *key, uint64_t val);
/* The options were accepted once, so only a lack of memory can fail here. */
void card_power_on(struct card *c);
/* Power goes away or the slot is reset: the account of the run ends here. */
void card_cut_run(struct card *c, const char *reason);
/* A host is there, the card runs; and it is gone. */
void card_attach(struct card *c);
void card_detach(struct card *c);

/* Control interface; these take the lock themselves. */
void card_status(struct card *c, FILE *out);
void card_violations(struct card *c, FILE *out);
/* 0 or -errno. */
int card_unplug(struct card *c);
int card_plug(struct card *c);
void card_shutdown(struct card *c);	/* card_serve() ends for good */
void card_stall(struct card *c, bool stalled);
/* "msi", or what fault_request() takes; 0, or -1 with a sentence in @err. */
int card_fault(struct card *c, const char *what, char *err, size_t errlen);
/* See link_ops; -1 if the link has no interrupts. */
int card_patience(struct card *c, uint64_t ns);
void card_reset_counters(struct card *c);
void card_write_truth(struct card *c);
/* JSON lines, see model.h. */
void card_stim_electrodes(struct card *c, FILE *out);
void card_stim_phases(struct card *c, FILE *out, uint64_t from);
int card_model_command(struct card *c, const char *line, char *err, size_t errlen);
uint64_t card_violation_total(struct card *c);

#endif
