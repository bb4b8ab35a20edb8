/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stimulation interlock. The contract is the UAPI header of that name.
 *
 * struct oni_stim is a part of struct oni_dev and lives as long. Files of
 * /dev/oniN-stim and -stop and of events hold the controller object.
 *
 * Locks, in the order of oni_internal.h: oni_dev::lock, oni_stim::lock,
 * oni_dev::ctl_lock. oni_stim::lock is a mutex that is held for whole
 * transitions, hardware included, so that state and hardware agree for whoever
 * holds it. While something is armed it is held for a few register accesses at
 * a time only: nothing that may take long (a program being written, a reset) is
 * done in that state. What ends a train never needs oni_dev::lock, which may be
 * held for seconds. Events have a spinlock of their own, innermost.
 *
 * A thread of real-time priority watches a session: time-outs of the watchdog and
 * of the time to live, ring, link, reports of the hardware. It exists from the
 * first claim until the driver is unbound.
 */
#ifndef ONI_STIM_H
#define ONI_STIM_H

#include <linux/atomic.h>
#include <linux/cdev.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/ratelimit.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "oni_stim_check.h"

struct oni_dev;
struct oni_link;
struct oni_node;
struct oni_ring;

#define ONI_STIM_ROWS_MAX	32
#define ONI_STIM_TRAINS_MAX	1024
/* Trains without a report yet: more means that data are far behind. */
#define ONI_STIM_UNREPORTED_MAX	16

/* In place of a register: a write frame. */
#define ONI_STIM_FRAME		0xffffffffU

/* A stimulator, or its trigger, in the device table. */
struct oni_stim_row {
	u32 addr;
	u32 id;
	u32 step_na;		/* RHS2116: in force; 0: not certain */
};

/* A train that was commanded, for what is summed up over time. */
struct oni_stim_past {
	u64 start_ns;
	u64 end_ns;
	u32 on_us[ONI_STIM_CONTACTS + 1];
};

/* What is loaded; replaced as a whole. */
struct oni_stim_loaded {
	struct oni_stim_program program;
	struct oni_stim_train train;
	u8 hash[ONI_STIM_HASH_BYTES];
	u32 hub;
	u32 nrows;
	struct oni_stim_delta rows[];
};

/* Where the look for reports of triggers has got to in the ring. */
struct oni_stim_walk {
	u64 pos;
	bool synced;
	u32 addr;		/* of the trigger, 0: there is none that reports */
	u32 commanded;		/* trains that have no report yet */
	u64 late[ONI_STIM_UNREPORTED_MAX];	/* clock by which each must have come */
	u64 clock;		/* of the last frame */
};

struct oni_stim_queue {
	spinlock_t lock;	/* all below */
	struct oni_stim_event *event;	/* ONI_STIM_EVENTS_MAX */
	u64 seq;		/* of the last */
	void *audit;		/* the file that keeps the log */
	u64 audit_seq;		/* of the last that it has read */
	wait_queue_head_t wait;
	struct ratelimit_state refusals;
};

struct oni_stim {
	struct mutex lock;	/* all below, but the queue */
	u32 state;
	u32 because;
	bool confirmed;
	bool in_hardware;	/* what is loaded is there */
	bool suspended;
	bool leaving;

	bool has_policy;
	u32 policy_flags;
	u32 policy_hub;
	struct oni_stim_policy policy;
	u8 policy_hash[ONI_STIM_HASH_BYTES];

	u32 rows;
	struct oni_stim_row row[ONI_STIM_ROWS_MAX];

	struct file *file;	/* of the owner; not a reference */
	struct pid *pid;
	struct mm_struct *mm;
	u64 nonce;
	u64 session;		/* number of the last */
	struct oni_stim_loaded *loaded;

	/* ARMED; times are CLOCK_BOOTTIME unless they say otherwise */
	struct oni_ring *ring;
	u32 generation;
	u64 armed_ns;
	bool open;		/* to triggers from outside */
	u64 ttl_ns;
	u64 dog_ns;
	u64 kick_pos;
	u64 poll_ns;
	u64 flood_ns;		/* since when FIREs that come too soon are counted */
	u32 flood;
	u64 mend_ns;		/* the next try to confirm a stop, not before */
	bool playing;		/* a train has begun and its end was not seen */
	u64 train_end_ns;	/* of the last, also of earlier sessions */
	struct oni_stim_walk walk;

	struct oni_stim_past *past;	/* ONI_STIM_TRAINS_MAX */
	u64 pasts;

	u64 fires;
	u64 delivered;
	atomic64_t refusals;	/* not under the lock */
	u64 stops;
	u64 faults;

	struct task_struct *watcher;
	wait_queue_head_t wait;
	bool poke;
	struct notifier_block pm;
	bool pm_registered;
	struct oni_stim_queue queue;
	struct oni_node *stim_node;
	struct oni_node *stop_node;
};

/* --- oni_stim.c: life of the controller ------------------------------------ */
int oni_stim_init(struct oni_dev *dev, bool stimulates);
void oni_stim_free(struct oni_dev *dev);
int oni_stim_register(struct oni_dev *dev);
void oni_stim_unregister(struct oni_dev *dev);
int oni_stim_watch_begin(struct oni_dev *dev);
void oni_stim_watch_end(struct oni_dev *dev);

/* What happens around it. Caller holds dev->lock, unless it says any context. */
void oni_stim_blind(struct oni_dev *dev, struct oni_link *link, u32 because);
void oni_stim_leave(struct oni_dev *dev, struct oni_link *link, u32 because);
void oni_stim_reset_begins(struct oni_dev *dev);
void oni_stim_table(struct oni_dev *dev, struct oni_link *link);
void oni_stim_poke(struct oni_dev *dev);	/* any context */
void oni_stim_guarded(struct oni_dev *dev, u32 addr, u32 reg); /* no lock */

/* Transitions; caller holds stim->lock and is inside the gate, or @link is NULL. */
void oni_stim_disarm(struct oni_dev *dev, struct oni_link *link, u32 because);
void oni_stim_drop(struct oni_dev *dev, struct oni_link *link, u32 because);
void oni_stim_end(struct oni_dev *dev, struct oni_link *link, u32 because);
void oni_stim_fault(struct oni_dev *dev, struct oni_link *link, u32 because);

/* --- oni_stim_hw.c: caller holds stim->lock --------------------------------- */
int oni_stim_off(struct oni_dev *dev, struct oni_link *link, u32 hub);
int oni_stim_write(struct oni_dev *dev, struct oni_link *link,
		   struct oni_stim_verdict *v);
int oni_stim_enable(struct oni_dev *dev, struct oni_link *link);
int oni_stim_open(struct oni_dev *dev, struct oni_link *link);
int oni_stim_trigger(struct oni_dev *dev, struct oni_link *link);
int oni_stim_after_train(struct oni_dev *dev, struct oni_link *link);
bool oni_stim_linked(struct oni_dev *dev, struct oni_link *link);
void oni_stim_unpower(struct oni_dev *dev, struct oni_link *link, u32 hub);
u32 oni_stim_held(struct oni_dev *dev, struct oni_link *link);
u32 oni_stim_poll_hub(struct oni_dev *dev, struct oni_link *link);
void oni_stim_find(struct oni_dev *dev, struct oni_link *link);
int oni_stim_set_step(struct oni_dev *dev, struct oni_link *link, u32 hub,
		      u32 step_na);
bool oni_stim_step_known(u32 step_na);
const struct oni_stim_row *oni_stim_row(const struct oni_stim *stim, u32 hub,
					u32 id, u32 nth);
bool oni_stim_fits(struct oni_stim *stim, const struct oni_stim_loaded *l,
		   struct oni_stim_verdict *v);

/* --- oni_stim_watch.c: caller holds stim->lock --------------------------------- */
void oni_stim_walk_begin(struct oni_dev *dev);
void oni_stim_walk_expect(struct oni_dev *dev);
u32 oni_stim_walk(struct oni_dev *dev);
bool oni_stim_kick_ok(struct oni_stim *stim, u64 pos, u64 max_age_ns,
		      u64 *least);

/* --- oni_stim_events.c: no lock needed ---------------------------------------- */
void oni_stim_event(struct oni_dev *dev, u32 what, u64 arg);
void oni_stim_event_at(struct oni_dev *dev, u32 what, u64 arg, u64 clock,
		       u64 position);
void oni_stim_refused(struct oni_dev *dev, u32 nr,
		      const struct oni_stim_verdict *v);
bool oni_stim_audited(struct oni_dev *dev);
bool oni_stim_log_kept(struct oni_dev *dev);
struct file *oni_stim_events_open(struct oni_dev *dev,
				  struct oni_stim_events *arg);

/* --- oni_stim_cdev.c ------------------------------------------------------------ */
extern const struct file_operations oni_stim_fops;
extern const struct file_operations oni_stop_fops;
extern const char *const oni_stim_state_names[];

#endif /* ONI_STIM_H */
