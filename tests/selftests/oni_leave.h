/* SPDX-License-Identifier: MIT */
/*
 * Ways in which a controller leaves its driver and comes back, and the check
 * that it works again.
 *
 * What only the holder of the card can do goes through ONI_LAB_CMD (see
 * ot_lab()). Needs root, sysfs, modprobe. No state; threads are those that the
 * caller asks for. Everything returns -errno unless it says otherwise.
 */
#ifndef ONI_LEAVE_H
#define ONI_LEAVE_H

#include <limits.h>
#include <pthread.h>

#include "oni_test.h"

#define OT_REPLUG_MS	30000

/* A stream as most tests want it, and the load tester's frames in it. */
#define OT_RING		(1u << 20)
#define OT_BLOCK	4096u
#define OT_LT_HZ	4000u		/* as ot_feed() does */
#define OT_LT_STEP	(OT_CLK_HZ / OT_LT_HZ)

/* Where the card sits and who drives it. */
struct ot_slot {
	char bus[32];
	char driver[PATH_MAX];		/* its sysfs directory */
	char device[PATH_MAX];		/* that of the card or board */
};

/*
 * Any node, within @ms: a new device may get another number while files of the
 * old one are open. Sets ONI_DEVICE for ot_path().
 */
int ot_open_within(int ms);
int ot_slot_find(struct ot_slot *s, int ctl);

/* The driver is told. */
int ot_unbind(const struct ot_slot *s);
int ot_bind(const struct ot_slot *s);
int ot_sysfs_remove(const struct ot_slot *s);
int ot_sysfs_rescan(const struct ot_slot *s);
/* The host is told to leave it alone, on USB. */
int ot_unauthorize(const struct ot_slot *s);
int ot_authorize(const struct ot_slot *s);
/* The slot's attention button, a new card */
int ot_hot_remove(const struct ot_slot *s);
int ot_hot_add(const struct ot_slot *s);
/* The bus resets the card behind the driver's back, between two callbacks. */
int ot_function_reset(const struct ot_slot *s);
/* The driver is told nothing, or by the hub of USB: then it has been. */
int ot_surprise(const struct ot_slot *s);
int ot_surprise_replug(const struct ot_slot *s);
/* delete_module(2) without waiting: EWOULDBLOCK for a module with users */
int ot_unload(const char *name);
int ot_load(void);

/* Print every call of /dev/oniN that, made right, does not say ENODEV: how many. */
int ot_all_enodev(int ctl);
/* read(2) or -errno */
long ot_read(int fd, void *buf, size_t n);

/* Registers answer and data flow: nothing of an old life is in the way. */
int ot_works(int fd, struct ot_parser *p);

/* --- a machine on which nobody else gets a turn ----------------------------- */

/* Keeps every processor from what is not real time; interrupts still come. */
struct ot_hog {
	pthread_t thread[64];
	int n;
	volatile bool quit;
};

/* The caller takes the processor that it is on, threads take the others. */
int ot_hog_start(struct ot_hog *hog);
void ot_hog_stop(struct ot_hog *hog);

/* --- a thread that waits in one call --------------------------------------- */

enum ot_wait {
	OT_WAIT_READ,	/* read(2) until it returns no data but an end */
	OT_WAIT_POLL,	/* poll(2) until there is an event */
	OT_WAIT_REG,	/* register reads until one fails */
	OT_WAIT_INFO,	/* ONI_IOC_STREAM_INFO until one fails */
};

/* Belongs to the caller and must live until it is done. */
struct ot_waiter {
	pthread_t thread;
	int fd;
	short events;
	uint64_t bytes;			/* read so far */
	uint64_t overflows;		/* EOVERFLOW of a monitor, which goes on */
	long result;			/* of the last call: -errno, or revents */
	volatile bool done;
	volatile bool quit;		/* ends REG and INFO */
	bool joined;
};

int ot_wait_start(struct ot_waiter *w, enum ot_wait how, int fd, short events);
/* Has it ended within @ms? */
bool ot_wait_done(struct ot_waiter *w, int ms);

#endif /* ONI_LEAVE_H */
