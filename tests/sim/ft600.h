/* SPDX-License-Identifier: MIT */
/*
 * ft600.h - the FT600 USB 3 FIFO bridge: descriptors, vendor requests, sessions
 * and pipes.
 *
 * Owns what the chip owns: its configuration, the GPIO latches, one session per
 * IN pipe and the requests of the host that wait on an endpoint. It knows
 * neither ONI nor what attaches it: the logic on the FIFO side is reached
 * through ft600_ops (acq.c), the host through usb.h.
 *
 * An IN request that is not complete yet has taken nothing: what it would get
 * stays where it is until it can end, so that a cancelled request loses no data.
 * Time: nothing but submit() and step() moves data.
 * Threads: none. The caller serialises every call.
 * Source: disassembly of FTDI's Linux library and open re-implementations of it,
 * liboni (onidriver_ft600.c), USB 3.2 chapter 9. Nothing of it is published by
 * FTDI as a contract; each inference is named where it is made.
 */
#ifndef SIM_FT600_H
#define SIM_FT600_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fault.h"
#include "usb.h"
#include "violation.h"

#define FT600_VENDOR		0x0403u
#define FT600_PRODUCT		0x601eu
#define FT600_PRODUCT_STRING	"Open Ephys FT600 USB board"
#define FT600_SESSION_BYTES	20u
#define FT600_CONFIG_BYTES	152u
#define FT600_PIPES		4u	/* by number; 2 and 3 carry data */
#define FT600_OUT		0x01u	/* session commands */
#define FT600_NOTIFY		0x81u
#define FT600_STRING_MAX	40u	/* characters of a string; not a limit of the chip */

enum ft600_session {
	FT600_IDLE,
	FT600_READ,	/* command 1: so many bytes may leave */
	FT600_STREAM,	/* command 2: as many as come */
};

struct ft600_config {
	enum usb_speed speed;
	const char *manufacturer, *product, *serial;
	/* Not known of the chip, so both can be had: */
	bool keep_session;	/* a short packet of the FPGA does not end command 1 */
	bool replace_credit;	/* a second command 1 replaces the first, it does not add */
};

/* The FPGA behind the FIFO. @pipe is 2 or 3. */
struct ft600_ops {
	void *ctx;
	/*
	 * Length of the packet that starts @off bytes from here, at most @max; less
	 * than @max if the FPGA ends its burst there; 0: it is not there yet.
	 */
	uint32_t (*in_packet)(void *ctx, unsigned int pipe, uint64_t off, uint32_t max);
	void (*in_take)(void *ctx, unsigned int pipe, uint8_t *to, uint32_t len);
	/* The chip's own buffer of a pipe is emptied. */
	void (*in_flush)(void *ctx, unsigned int pipe);
	/* Returns the bytes taken. */
	uint32_t (*out)(void *ctx, unsigned int pipe, const uint8_t *data, uint32_t len);
	/* Bit i: level of GPIO i as the FPGA sees it. */
	void (*gpio)(void *ctx, unsigned int levels);
};

struct ft600_queue {
	struct usb_urb *head, *tail;
	bool halted;
};

struct ft600_pipe {
	enum ft600_session session;
	uint64_t credit;
	uint32_t stream_len;	/* what command 2 said; what for is not known */
	bool end_session;	/* injected: it ends with the next packet */
};

struct ft600_stats {
	uint64_t sessions[4];	/* by command 0 to 3 */
	uint64_t controls;	/* command 0x11 */
	uint64_t overlaps;	/* command 1 with credit left */
	uint64_t control_transfers, vendor_requests, stalls, bus_resets;
	uint64_t urbs, cancels, short_packets;
	struct {
		uint64_t in_bytes, out_bytes;
	} pipe[FT600_PIPES];
};

struct ft600 {
	struct usb_device usb;	/* first */
	struct ft600_config cfg;
	struct ft600_ops ops;
	struct violations *viol;
	struct faults *faults;
	struct ft600_stats stats;
	uint8_t configuration;
	uint8_t gpio_out, gpio_dir;	/* bit i: GPIO i */
	unsigned int gpio_level;
	bool stalled[FT600_PIPES];	/* control socket: nothing moves */
	bool vanish;			/* injected: the device goes away now */
	struct ft600_pipe pipe[FT600_PIPES];
	struct ft600_queue queue[USB_MAX_ENDPOINTS];
};

void ft600_init(struct ft600 *f, const struct ft600_config *cfg, const struct ft600_ops *ops,
		struct violations *viol, struct faults *faults);

/* Power-on state; waiting requests fail, counters stay. */
void ft600_power_on(struct ft600 *f);

/* Let data move. Returns true if something did. */
bool ft600_step(struct ft600 *f);

/* Freeze a data pipe in both directions. */
void ft600_stall(struct ft600 *f, unsigned int pipe, bool stalled);

void ft600_status(const struct ft600 *f, FILE *out);

/* ft600_control.c: endpoint 0. Sets status, data and actual of @urb. */
void ft600_control(struct ft600 *f, struct usb_urb *urb);
void ft600_info(struct ft600 *f, struct usb_info *info);
/* ft600.c, for it: forget requests and sessions of every pipe. */
void ft600_quiet(struct ft600 *f, enum usb_status status);
uint32_t ft600_max_packet(const struct ft600 *f);

#endif
