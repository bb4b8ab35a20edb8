/* SPDX-License-Identifier: MIT */
/*
 * usb.h - private to the libusb backend: an Acquisition Board without a kernel driver.
 *
 * usb.c		the backend: calls, streams, life of a board
 * usb_find.c		which boards there are and who has them (udev)
 * usb_chip.c		opening, identity, the chip's own requests
 * usb_pipe.c		bulk pipes: transfers in flight, credit, repair of errors
 * usb_data.c		what the pipes bring: the ring, replies, signals
 * usb_control.c	the ONI controller: registers, table, reset, start, stop
 * usb_ring.c		the producer's half of the ring
 *
 * It is to the board what driver/oni_ft600_*.c is, and to its caller what the node of
 * the driver is. What the bytes mean, which table makes sense and which registers may
 * be written is decided by the driver's own files, which are compiled into this library:
 * driver/oni_ft600_parse.c, oni_cobs.c, oni_table.c, oni_guard.c. The bridge: oni-ft600.rst.
 *
 * Threads: the caller's, and one per board that handles libusb's events. Completions
 * and everything periodic run there and never wait.
 *
 * Locks, outer to inner: op_lock is held for whole operations by callers' threads only;
 * lock protects what is listed below it, in the pipes and in the ring, and every
 * submission. Who holds lock waits for nothing but ->moved.
 *
 * Functions return 0 or a negative errno unless they say otherwise.
 */
#ifndef ONIDEV_USB_H
#define ONIDEV_USB_H

#include <pthread.h>
#include <stdbool.h>
#include <libusb.h>

#include "../backend.h"
#include "driver/oni_cobs.h"
#include "driver/oni_ft600_parse.h"
#include "driver/oni_table.h"

#define USB_VENDOR		0x0403
#define USB_PRODUCT		0x601e
#define USB_BOARD		"Open Ephys FT600 USB board"
#define USB_INTF_SESSION	0
#define USB_INTF_DATA		1

/* A transfer carries one block. The same numbers as in the driver. */
#define USB_BLOCK_ALIGN		1024u
#define USB_BLOCK_DEFAULT	4096u
#define USB_BLOCK_MAX		(32 * 1024u)
#define USB_POOL_BYTES		(16 * USB_BLOCK_MAX)
#define USB_DATA_SLOTS		128
#define USB_WRITE_BYTES		4096
#define USB_SIGNALS		256	/* packets that wait for somebody */

#define USB_RING_MIN		(64 * 1024ull)
#define USB_RING_DEFAULT	(64 * 1024 * 1024ull)
#define USB_RING_MAX		(1024 * 1024 * 1024ull)
#define USB_DESC_COUNT		4096u

#define MS			1000000ull	/* in nanoseconds */

struct usb_board;
struct usb_in;

/* --- usb_find.c --------------------------------------------------------------- */

/* A board as the system knows it. Nothing was sent to it. */
struct usb_place {
	char name[80];		/* "usb:SERIAL", or "usb:PATH" if that is not unique */
	char serial[64];	/* empty: none */
	char path[32];		/* "1-2" */
	char node[64];		/* "/dev/bus/usb/001/004" */
	char driver[32];	/* that has interfaces: "oni_ft600", "usbfs"; empty: none */
	char kernel[16];	/* "oni0": the node of the kernel driver; empty: none */
};

/* All boards by place; *@places is to be freed. Their number, or a negative errno. */
int usb_places(struct usb_place **places);
/* The board that @which names; -ENODEV: there is none at all, -ENOENT, -ENOTUNIQ. */
int usb_find(const char *which, struct usb_place *place);

/* --- usb_ring.c: caller holds usb_board.lock, if there is a board ------------------ */

struct usb_ring {
	void *mem;			/* producer, consumer, descriptors */
	size_t mem_bytes;
	uint8_t *data;			/* the ring twice in a row */
	uint64_t size;
	uint32_t block;
	struct oni_ring_producer *prod;
	struct oni_ring_consumer *cons;
	struct oni_block *desc;
	int event_fd;			/* readable: the wake-up rule holds */
	bool signalled;
	uint32_t watermark;
	uint32_t latency_us;

	uint64_t head;
	uint64_t last_tail;		/* last one that was believed */
	uint64_t due_head;		/* bytes below it are old enough */
	uint64_t latency_at;		/* when head becomes so; 0: not armed */
	uint64_t total;			/* bytes ever published */
	uint64_t full_since;
	bool full;
};

struct usb_ring *usb_ring_new(uint64_t size, uint32_t block);
void usb_ring_free(struct usb_ring *r);
void usb_ring_begin(struct usb_ring *r);
void usb_ring_end(struct usb_ring *r, uint32_t flags, int error);
bool usb_ring_room(struct usb_ring *r, uint32_t bytes);
void usb_ring_copy(struct usb_ring *r, uint64_t offset, const uint8_t *src, uint32_t bytes);
void usb_ring_publish(struct usb_ring *r, uint32_t bytes, uint64_t seen_ns);
void usb_ring_wake(struct usb_ring *r, uint32_t watermark, uint32_t latency_us);
void usb_ring_settle(struct usb_ring *r);
void usb_ring_tick(struct usb_ring *r, uint64_t now);
void usb_ring_info(const struct usb_ring *r, struct oni_stream_info *info);

/* --- usb_pipe.c ------------------------------------------------------------------ */

/* One transfer of a bulk-IN pipe: idle, in flight, or with data that wait. */
struct usb_slot {
	struct usb_in *in;
	struct libusb_transfer *xfer;
	uint8_t *buf;
	struct usb_slot *next;		/* in usb_in.idle or usb_board.done */
	uint64_t order;			/* of submission; 0: not in flight */
	bool called_home;
	uint32_t len;
	uint64_t seen_ns;
};

enum usb_in_state {
	USB_IN_OFF,
	USB_IN_ON,
	USB_IN_REPAIR,		/* sets out again at repair_at */
	USB_IN_FAILED,
};

struct usb_in {
	struct usb_board *b;
	uint8_t ep;
	bool watched;		/* data are expected all the time */
	void (*take)(struct usb_slot *slot);	/* caller holds the lock */
	struct usb_slot *slot;
	unsigned int slots;
	struct libusb_transfer *request;	/* the session packet that asks for more */
	uint8_t packet[FT600_SESSION_BYTES];

	enum usb_in_state state;
	struct usb_slot *idle;
	unsigned int flying;
	uint64_t order;
	struct oni_ft600_credit credit;
	bool requesting;
	bool request_again;
	bool repeated;		/* asked again in this silence */
	bool halted;
	uint64_t moved_ns;
	uint64_t repair_at;
	unsigned int errors, halts, empty;
};

/* A pipe that is written and waited for; @buf begins with the setup packet on EP0. */
struct usb_out {
	struct libusb_transfer *xfer;
	uint8_t ep;
	uint8_t *buf;
	bool busy;
};

int usb_in_init(struct usb_in *in, struct usb_board *b, uint8_t ep, unsigned int slots,
		void (*take)(struct usb_slot *slot));
void usb_in_free(struct usb_in *in);
int usb_in_start(struct usb_in *in, unsigned int slots, uint32_t unit, uint32_t grant);
void usb_in_stop(struct usb_in *in);
void usb_in_again(struct usb_slot *slot);
void usb_in_tick(struct usb_in *in, uint64_t now);
int usb_out_init(struct usb_out *out, struct usb_board *b, uint8_t ep, size_t bytes);
void usb_out_free(struct usb_out *out);
int usb_out_send(struct usb_board *b, struct usb_out *out, uint32_t bytes);
int usb_session(struct usb_board *b, uint8_t ep, uint32_t cmd, uint64_t bytes);
int usb_chip_request(struct usb_board *b, uint8_t type, uint8_t request, uint32_t addr,
		     void *data, uint16_t len);
/* Caller holds the lock. */
void usb_lost(struct usb_board *b);
void usb_link_error(struct usb_board *b);

/* --- the board --------------------------------------------------------------------- */

struct usb_board {
	struct usb_place place;
	libusb_context *ctx;
	libusb_device_handle *handle;
	int node_fd;
	unsigned int claimed;		/* interfaces, from 0 up */
	pthread_t thread;
	bool threaded;
	uint32_t packet;		/* of the reply pipe, bytes */

	pthread_mutex_t op_lock;	/* all below, up to the lock */
	bool closed;			/* the controller was closed: no hardware */
	bool stream_open;		/* and therefore somebody else holds the board */
	bool owned;
	bool chip_ready;
	bool running;
	bool dirty;			/* the board may hold data of a run */
	bool trig_unsure;		/* the last register access timed out */
	bool value_lost;		/* an answer may still come */
	bool write_cut;			/* a frame was cut, perhaps */
	bool stim_safe;
	uint32_t generation, rows, max_read, max_write;
	uint32_t sys_clock_hz, acq_clock_hz, hardware_id, hardware_revision, firmware_version;
	struct oni_device table[ONI_MAX_ROWS], spare[ONI_MAX_ROWS];
	struct usb_out chip, session, command, write;
	uint8_t *pool;			/* buffers of the data pipe, then that of the reply pipe */
	size_t pool_bytes;
	bool pool_shared;		/* with the kernel */

	pthread_mutex_t lock;		/* all below */
	pthread_cond_t moved;		/* something a waiter may wait for */
	bool quit;
	bool gone;
	bool fault;			/* until the next reset */
	int hang_up;			/* closed: POLLHUP at onidev_controller.fd; -1 */
	uint32_t seq;			/* of session packets */
	struct usb_in data, reply;
	struct oni_ft600_parser parser;
	bool value_wanted, value_got;
	uint32_t value;
	struct oni_cobs cobs;
	struct oni_signal signal[USB_SIGNALS];
	unsigned int signal_first, signals;
	struct usb_ring *ring;		/* of the stream */
	bool serving;			/* data may go into it */
	struct usb_slot *done, **done_end;	/* with data, in order */
	uint8_t carry[4];		/* less than a word */
	uint32_t carry_len;
	uint64_t moves;			/* of data slots */
	struct oni_stats cnt;		/* those of closed streams included */
};

uint64_t usb_now(void);
/* Wait for ->moved until @end (usb_now()). False: it is over. Caller holds the lock. */
bool usb_wait(struct usb_board *b, uint64_t end);
void usb_sleep(unsigned int ms);
void usb_poke(struct usb_board *b);

/* usb_chip.c: caller holds op_lock, if anybody else can have the board. */
int usb_chip_open(struct usb_board *b, int fd);
int usb_chip_check(struct usb_board *b);
int usb_chip_reset(struct usb_board *b);
void usb_chip_hold(struct usb_board *b);
void usb_chip_close(struct usb_board *b);

/* usb_data.c */
void usb_data_take(struct usb_slot *slot);
void usb_reply_take(struct usb_slot *slot);
void usb_pump(struct usb_board *b);
int usb_data_start(struct usb_board *b, uint32_t block);
void usb_data_drain(struct usb_board *b);
void usb_data_stop(struct usb_board *b);
void usb_quiet(struct usb_board *b);

/* usb_control.c: caller holds op_lock. */
int usb_ctl_read(struct usb_board *b, uint32_t reg, uint32_t *value);
int usb_ctl_write(struct usb_board *b, uint32_t reg, uint32_t value);
int usb_reg(struct usb_board *b, struct oni_reg_op *op);
int usb_reg_check(struct usb_board *b, const struct oni_reg_op *op);
int usb_reset(struct usb_board *b);
int usb_start(struct usb_board *b);
void usb_stop(struct usb_board *b);
int usb_outputs_off(struct usb_board *b);
void usb_make_safe(struct usb_board *b);
int usb_write_frames(struct usb_board *b, const uint32_t *words, size_t count);

/* usb.c: a board behind @fd, which it owns from then on. For usb_open() and the tests. */
struct onidev_controller *usb_attach(const struct usb_place *place, int fd);

#endif
