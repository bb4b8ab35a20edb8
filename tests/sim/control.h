/* SPDX-License-Identifier: MIT */
/*
 * control.h - the line-based control socket of onisim.
 *
 * Owns the listening socket and the connections to it. One request is one line;
 * the answer is lines "key value", closed by a line "ok" or "err TEXT":
 *   status          every counter of the card, then of the model ("model.")
 *   violations      one line "violation KIND ACCESS" each, the last 256
 *   unplug          drop the vfio-user connection: the guest reads all ones
 *   stall, resume   stop and go on serving the read and write channels
 *   fault KIND N    misbehave N times, see fault.h
 *   fault spent KIND, fault clear
 *   fault msi       one interrupt without an event
 *   reset-counters  counters and violations to zero
 *   truth           append an object to the truth file now
 *   model WORDS     hand WORDS to the device model
 *   quit            end onisim as SIGTERM does
 * Threads: everything runs in the thread that calls control_run().
 */
#ifndef SIM_CONTROL_H
#define SIM_CONTROL_H

#include <stdbool.h>

#include "card.h"

#define CONTROL_CLIENTS	8
#define CONTROL_LINE	1024

struct control_client {
	int fd;			/* -1: free */
	size_t len;
	char line[CONTROL_LINE];
};

struct control {
	struct card *card;
	int listen;		/* -1: no control socket wanted */
	bool quit;		/* a client asked for it */
	struct control_client client[CONTROL_CLIENTS];
};

/* 0 or -errno. @path may be NULL. */
int control_open(struct control *ctl, struct card *card, const char *path);
void control_close(struct control *ctl);

/*
 * Serve requests until @stop_fd becomes readable or a client asks to quit.
 * 0, or -errno if polling failed.
 */
int control_run(struct control *ctl, int stop_fd);

/* Listen on a UNIX stream socket; an old socket file is replaced. fd or -errno. */
int control_listen(const char *path);

#endif
