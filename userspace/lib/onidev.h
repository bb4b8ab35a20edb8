/* SPDX-License-Identifier: MIT */
/*
 * onidev.h - libonidev, the C library for Open Neuro Interface controllers.
 *
 * What it is for: finding a controller, configuring the devices behind it and
 * reading their frames without copying them. It implements the user side of
 * <linux/oni.h> and the device knowledge of the ONI v1.0 spec, the ONIX
 * datasheets and the open-source ONIX host packages (gateware 2 byte order).
 *
 * Objects: every object is opaque and comes from a function ending in _open,
 * _new, _create, _from_fd or _list; the comment of that function says who ends
 * it and how. Strings and structs returned as "const" belong to the object
 * they came from, or are static when no object is involved.
 *
 * Errors: a function returning int gives -1 and errno on failure; one returning
 * a pointer gives NULL and errno. onidev_explain() turns (what was tried,
 * errno) into a sentence that names the remedy. The library prints nothing.
 *
 * Threads: no global state. One object is used by one thread at a time, with
 * these exceptions: a controller may be used by one thread while another one
 * reads a stream of it; "pure" functions (parsing, decoding, conversion) keep
 * no state and may be called from anywhere.
 *
 * Units: clock values are ticks of the clock named (acquisition clock in frame
 * headers, hub clock in samples), times are nanoseconds, sizes are bytes.
 */
#ifndef ONIDEV_H
#define ONIDEV_H

#include <stddef.h>
#include <stdint.h>
#include <linux/oni.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define ONIDEV_VERSION_MAJOR	0
#define ONIDEV_VERSION_MINOR	1
#define ONIDEV_VERSION_PATCH	0

/* "0.1.0"; static. */
const char *onidev_version(void);

/* --- finding controllers -------------------------------------------------- */

struct onidev_list;

/* Strings that are not known are NULL. They live as long as the list. */
struct onidev_list_entry {
	const char *name;	/* "oni0"; "usb:SERIAL" or "usb:PLACE" of a board on USB */
	const char *node;	/* "/dev/oni0", "/dev/bus/usb/001/004" */
	const char *by_id;	/* "/dev/oni/by-id/..." */
	const char *by_path;	/* "/dev/oni/by-path/..." */
	const char *transport;	/* sysfs attribute: "oni_riffa", "oni_ft600"; "libusb" */
	const char *state;	/* sysfs attribute: "idle", ...; on USB: "free" or "taken" */
	const char *hardware_id;	/* sysfs attribute, as the kernel prints it */
	const char *firmware_version;	/* sysfs attribute */
	const char *backend;	/* "kernel" or "usb" */
	const char *driver;	/* of a board on USB: the driver that has its interfaces */
};

/*
 * Look for controllers through udev. The caller ends the list with
 * onidev_list_free(). No controller is an empty list, not an error.
 */
struct onidev_list *onidev_list_new(void);
/*
 * The same of one backend: ONIDEV_OPEN_KERNEL or ONIDEV_OPEN_USB, which then shows
 * boards that have a node as well; 0 is onidev_list_new(): nodes, then the boards on
 * USB that have none. EINVAL: other flags. Nothing is sent to any board.
 */
struct onidev_list *onidev_list_find(unsigned int flags);
void onidev_list_free(struct onidev_list *list);
size_t onidev_list_count(const struct onidev_list *list);
/* Nodes by their numbers, then boards by place; NULL when @i is too large. Owned by @list. */
const struct onidev_list_entry *onidev_list_at(const struct onidev_list *list, size_t i);

/*
 * Hear when controllers come and go. @flags as for onidev_list_find(). The caller ends it
 * with onidev_hotplug_free(). Needs a running udevd. Poll the descriptor, which stays
 * owned by @hotplug, for POLLIN, then call onidev_hotplug_next(): 1 if something that
 * a list shows has changed, so make a new one; 0 if not.
 */
struct onidev_hotplug;
struct onidev_hotplug *onidev_hotplug_new(unsigned int flags);
void onidev_hotplug_free(struct onidev_hotplug *hotplug);
int onidev_hotplug_fd(const struct onidev_hotplug *hotplug);
int onidev_hotplug_next(struct onidev_hotplug *hotplug);

/* --- controller ----------------------------------------------------------- */

struct onidev_controller;

#define ONIDEV_OPEN_RDONLY	(1u << 0)	/* information only: no claim, no change */
/*
 * One backend or the other. Without either: the kernel's node if there is one for
 * @which, else the board on USB.
 */
#define ONIDEV_OPEN_KERNEL	(1u << 1)	/* a node of the kernel drivers */
#define ONIDEV_OPEN_USB		(1u << 2)	/* an Acquisition Board, through libusb */

/*
 * Open a controller. @which is a node path ("/dev/oni0", a by-id link), a name
 * ("oni0"), a by-id or by-path name without its directory, or "first" / NULL
 * for the first one found (ENODEV: there is none). The caller ends it with
 * onidev_controller_close(), which also gives up a claim.
 *
 * A board on USB is named by "usb:" and its serial number or its place on the bus
 * ("usb:1-2"), the same without "usb:", or its node ("/dev/bus/usb/001/004").
 * EBUSY: a driver or another program has its interfaces. EACCES: no right to its node.
 * ENOTUNIQ: two boards have this serial number. Through USB one program at a time can
 * have a board, whatever it wants of it. Opening resets the controller, which leaves
 * registers as they are, reads the device table, and makes stimulators safe; closing
 * stops the acquisition and makes them safe again. A program that is killed, or exits
 * without closing, leaves the board as it is: nothing that this library lets through can arm a stimulator,
 * but an acquisition then runs on until the board is opened again. There is no port
 * power (EOPNOTSUPP) and no monitor (EOPNOTSUPP), a stream cannot be passed to
 * another process, and a child made by fork() must not use the controller or the stream.
 */
struct onidev_controller *onidev_controller_open(const char *which, unsigned int flags);
/*
 * Why onidev_controller_open() has failed with @error: one sentence in @buf that names
 * what is in the way, a driver or another program, and the remedy. Returns what
 * snprintf() would. It looks at the machine as it is now and changes nothing.
 */
int onidev_open_explain(const char *which, unsigned int flags, int error, char *buf, size_t len);
void onidev_controller_close(struct onidev_controller *ctl);

/* "oni0"; owned by @ctl. */
const char *onidev_controller_name(const struct onidev_controller *ctl);
/* "/dev/oni0"; owned by @ctl. */
const char *onidev_controller_node(const struct onidev_controller *ctl);
/* The file descriptor, to poll for POLLHUP (unplugged). Stays owned by @ctl. */
int onidev_controller_fd(const struct onidev_controller *ctl);

int onidev_controller_info(struct onidev_controller *ctl, struct oni_info *info);
int onidev_controller_stats(struct onidev_controller *ctl, struct oni_stats *stats);
int onidev_controller_claim(struct onidev_controller *ctl);
int onidev_controller_release(struct onidev_controller *ctl);
int onidev_controller_reset(struct onidev_controller *ctl);
int onidev_controller_start(struct onidev_controller *ctl);
int onidev_controller_stop(struct onidev_controller *ctl);

/* Device registers by address; see struct oni_reg for the errors. */
int onidev_reg_read(struct onidev_controller *ctl, uint32_t addr, uint32_t reg, uint32_t *value);
int onidev_reg_write(struct onidev_controller *ctl, uint32_t addr, uint32_t reg, uint32_t value);
/*
 * @count accesses (1 ... ONI_REG_BATCH_MAX, or EINVAL) in order and in one call, with
 * no access of another call between them if this program owns the controller; see
 * struct oni_reg_batch. All are checked before the first is executed. -1 and the errno of the first that failed, which ends the batch:
 * @done (may be NULL) says how many were executed, that one included, and ->result of
 * these what became of each. Those behind it can be tried in a batch of their own.
 */
int onidev_reg_batch(struct onidev_controller *ctl, struct oni_reg_op *ops, size_t count,
		     size_t *done);
/* Controller registers, ONI_CTL_*. */
int onidev_ctl_read(struct onidev_controller *ctl, uint32_t reg, uint32_t *value);
int onidev_ctl_write(struct onidev_controller *ctl, uint32_t reg, uint32_t value);

/*
 * Send one write frame with @bytes of payload (a multiple of the device's
 * write_size and of 4) to the device at @addr.
 */
int onidev_frame_write(struct onidev_controller *ctl, uint32_t addr,
		       const void *payload, size_t bytes);

/* --- device types: what is known about an ONI device id ------------------- */

#define ONIDEV_REG_R		(1u << 0)	/* can be read */
#define ONIDEV_REG_W		(1u << 1)	/* can be written */
#define ONIDEV_REG_AT_RESET	(1u << 2)	/* a write takes effect at the next reset */
#define ONIDEV_REG_GUARDED	(1u << 3)	/* this kernel refuses writes for safety */

struct onidev_reg {
	uint32_t addr;
	uint32_t flags;		/* ONIDEV_REG_* */
	const char *name;	/* "CLK_DIV" */
	const char *note;	/* unit or meaning, one line; NULL if none */
};

#define ONIDEV_NO_REG		UINT32_MAX
#define ONIDEV_RATE_EVENT	0.0	/* frames on events, no fixed rate */
#define ONIDEV_RATE_CLK_DIV	(-1.0)	/* rate = CLK_HZ / CLK_DIV registers */
#define ONIDEV_RATE_HUB		(-2.0)	/* Rhythm: follows the clock of its hub */

struct onidev_type {
	uint32_t id;		/* ONI device id */
	const char *name;	/* "rhd2164": lower case, stable, for command lines */
	const char *title;	/* "Intan RHD2164 amplifier" */
	uint32_t enable_reg;	/* address of ENABLE or ONIDEV_NO_REG */
	double rate_hz;		/* fixed frame rate, or one of ONIDEV_RATE_* */
	const struct onidev_reg *regs;
	size_t reg_count;
};

/* All static; NULL and ENOENT when not known. */
const struct onidev_type *onidev_type_find_id(uint32_t id);
const struct onidev_type *onidev_type_find_name(const char *name);
/* In order of id; NULL when @i is too large. */
const struct onidev_type *onidev_type_at(size_t i);
/*
 * Register of @type by name (any case) or number ("0x8000", "3"). A number
 * is accepted without a known type or register (@type may be NULL then).
 * Returns 0 and *@reg. ENOENT: no such name. ERANGE: number above 32 bits.
 */
int onidev_type_reg(const struct onidev_type *type, const char *text, uint32_t *reg);
/* Description of register number @reg; NULL when not known. Static. */
const struct onidev_reg *onidev_type_reg_find(const struct onidev_type *type, uint32_t reg);

/* ONI device ids (liboni onix.h) that have a name here. */
#define ONIDEV_ID_NULL			0
#define ONIDEV_ID_INFO			1
#define ONIDEV_ID_RHD2132		2
#define ONIDEV_ID_RHD2164		3
#define ONIDEV_ID_HS64_ESTIM		4
#define ONIDEV_ID_HS64_OSTIM		5
#define ONIDEV_ID_DIGITAL_IN32		7
#define ONIDEV_ID_DIGITAL_OUT32		8
#define ONIDEV_ID_BNO055		9
#define ONIDEV_ID_TEST0			10
#define ONIDEV_ID_NEUROPIXELS1F		11
#define ONIDEV_ID_HEARTBEAT		12
#define ONIDEV_ID_DIGITAL_IO		18
#define ONIDEV_ID_CLOCK_OUT		20
#define ONIDEV_ID_TS4231_V2		21
#define ONIDEV_ID_ANALOG_IO		22
#define ONIDEV_ID_PORT_CONTROLLER	23
#define ONIDEV_ID_DS90UB9X		24
#define ONIDEV_ID_TS4231_V1		25
#define ONIDEV_ID_LOAD_TESTER		27
#define ONIDEV_ID_MEMORY_MONITOR	28
#define ONIDEV_ID_HARP			30
#define ONIDEV_ID_RHS2116		31
#define ONIDEV_ID_RHS2116_TRIGGER	32
#define ONIDEV_ID_NRIC1384		33
#define ONIDEV_ID_RAW_I2C		34
#define ONIDEV_ID_PERSISTENT_HEARTBEAT	35
#define ONIDEV_ID_RHYTHM		0x10001
#define ONIDEV_ID_TTL_OUT		0x10002
#define ONIDEV_ID_ANALOG_OUT		0x10003
#define ONIDEV_ID_HARP_RHYTHM		0x10004

/* --- device table ---------------------------------------------------------- */

/* A copy of the device table, immutable once made. */
struct onidev_table;

#define ONIDEV_HUB(addr)	((addr) >> 8 & 0xff)
#define ONIDEV_HUB_INFO(hub)	((uint32_t)(hub) << 8 | 0xfe)
#define ONIDEV_NAME_MAX		40	/* longest name with its NUL */

/* Read the table. The caller ends it with onidev_table_free(). */
struct onidev_table *onidev_controller_table(struct onidev_controller *ctl);
/*
 * Make a table from rows (a file, a test); they are copied. The caller ends it
 * with onidev_table_free(). EINVAL: two rows with one address, or an address
 * above 16 bits.
 */
struct onidev_table *onidev_table_new(const struct oni_device *rows, size_t count,
				      uint32_t generation);
/* Another, independent copy; the caller ends it with onidev_table_free(). */
struct onidev_table *onidev_table_copy(const struct onidev_table *table);
void onidev_table_free(struct onidev_table *table);

uint32_t onidev_table_generation(const struct onidev_table *table);
/* Rows, NULL devices included, sorted by address. */
size_t onidev_table_count(const struct onidev_table *table);
/* NULL when @i is too large. Owned by @table. */
const struct oni_device *onidev_table_at(const struct onidev_table *table, size_t i);
/* Largest wire size of a read frame of any row, header and padding included. */
uint32_t onidev_table_max_frame(const struct onidev_table *table);
/* Index of the row at @addr, or -1 and ENOENT. A few nanoseconds. */
int onidev_table_index(const struct onidev_table *table, uint32_t addr);
/* NULL and ENOENT when there is none. Owned by @table. */
const struct oni_device *onidev_table_find_addr(const struct onidev_table *table, uint32_t addr);
/* The @nth (from 0) row with this device id; NULL and ENOENT. Owned by @table. */
const struct oni_device *onidev_table_find_id(const struct onidev_table *table, uint32_t id,
					      size_t nth);
/*
 * Address for what a user typed: a number ("0x100", "256"), a hub and device
 * ("1.0", "hub1.0"), the information device of a hub ("hub1", "hub1.info"), or
 * a name ("rhd2164", "port-a", "rhs2116@1.0"). Returns 0 and *@addr.
 * ENOENT: nothing of that name or address (hub information devices always
 * exist). ENOTUNIQ: several devices have this name, add "@hub.device".
 * EINVAL: not a name or number. ERANGE: number above 0xffff.
 */
int onidev_table_resolve(const struct onidev_table *table, const char *text, uint32_t *addr);
/*
 * The shortest name onidev_table_resolve() takes for @addr, in @buf (at least
 * ONIDEV_NAME_MAX bytes): "rhd2164", "port-a", "rhs2116@1.0", "id99@0.4".
 * Returns @buf.
 */
char *onidev_table_name(const struct onidev_table *table, uint32_t addr, char *buf);

/*
 * Write the ENABLE register of the device at @addr. It takes effect at the
 * next onidev_controller_reset(). EOPNOTSUPP: the device has no ENABLE known.
 */
int onidev_device_enable(struct onidev_controller *ctl, const struct oni_device *dev);
int onidev_device_disable(struct onidev_controller *ctl, const struct oni_device *dev);
/* 1 enabled, 0 disabled, -1 and errno. */
int onidev_device_enabled(struct onidev_controller *ctl, const struct oni_device *dev);
/* Frame rate in Hz as configured now: fixed, or read from CLK_HZ / CLK_DIV; 0: on events. */
int onidev_device_rate(struct onidev_controller *ctl, const struct oni_device *dev, double *hz);

/* --- hubs, headstages, ports ------------------------------------------------ */

/* Content of a hub information device (ONI v1.0 spec, hubs). */
struct onidev_hub {
	uint32_t hub;
	uint32_t hardware_id;		/* ONI_HUB_* */
	uint32_t hardware_revision;	/* major << 8 | minor */
	uint32_t firmware_version;	/* major << 8 | minor */
	uint32_t clock_hz;		/* rate of the hub clock in samples */
	uint32_t latency_ns;		/* hub to host, average */
};

/* ENOENT or EREMOTEIO: there is no such hub. */
int onidev_hub_read(struct onidev_controller *ctl, uint32_t hub, struct onidev_hub *info);
/* "headstage-64"; "unknown hub" when not known. Static. */
const char *onidev_hub_name(uint32_t hardware_id);

/*
 * Headstages that can be powered from a port. The window is held by the
 * kernel and returned by onidev_port_on(); the default here is the port voltage
 * to try first with the supplied tether. It is a starting point: the drop along
 * the tether decides what arrives, measure at the headstage.
 */
struct onidev_headstage {
	uint32_t hardware_id;	/* ONI_HUB_* */
	const char *name;	/* "hs64" */
	const char *title;	/* "headstage-64" */
	uint32_t default_decivolts;
	const char *supply;	/* what it needs at its own connector, one line */
};

/* Static; NULL when @i is too large. */
const struct onidev_headstage *onidev_headstage_at(size_t i);
/* By name or title, any case. Static; NULL and ENOENT. */
const struct onidev_headstage *onidev_headstage_find(const char *name);
const struct onidev_headstage *onidev_headstage_find_id(uint32_t hardware_id);

/*
 * Power the port whose controller is at @port (0x001 A, 0x002 B) with
 * @decivolts for @headstage (ONI_HUB_*), wait up to @timeout_ms (0: 1000) for
 * the link and reset the controller, so that the device table changes. Owner
 * only. @result (may be NULL) tells window, link and hub found, on success and
 * on ERANGE, ENOLINK and EMEDIUMTYPE.
 */
int onidev_port_on(struct onidev_controller *ctl, uint32_t port, uint32_t headstage,
		   uint32_t decivolts, uint32_t timeout_ms, struct oni_port_power *result);
int onidev_port_off(struct onidev_controller *ctl, uint32_t port);

/* --- frames: pure code ------------------------------------------------------ */

#define ONIDEV_FRAME_HEADER	16u	/* bytes before the sample */

/* One read frame. Pointers point into the buffer it was parsed from. */
struct onidev_frame {
	uint64_t clock;		/* acquisition clock when the controller made it */
	uint64_t position;	/* byte position of its header in the stream */
	const void *sample;	/* @size bytes, normally a u64 hub clock first */
	const struct oni_device *dev;	/* row of the table, owned by the table */
	uint32_t addr;		/* device address */
	uint32_t size;		/* sample bytes */
	uint32_t wire;		/* bytes in the stream: header, sample, padding */
	uint32_t index;		/* of @dev in the table */
};

/* Why bytes are not a frame; onidev_frame_reason() gives the text. */
enum onidev_frame_error {
	ONIDEV_FRAME_OK,
	ONIDEV_FRAME_ADDR,	/* no device at that address */
	ONIDEV_FRAME_SILENT,	/* a device that has no read frames */
	ONIDEV_FRAME_SIZE,	/* sample size differs from the table */
};

/* Bytes a frame with @size bytes of sample takes in the stream. */
static inline uint32_t onidev_frame_wire(uint32_t size)
{
	return ONIDEV_FRAME_HEADER + ((size + 3u) & ~3u);
}

/*
 * Parse the frame at @buf, of which @len bytes are there. Any alignment.
 * Returns 1: @frame is filled (position is left 0), go on at @buf + frame->wire.
 * 0: it is not complete yet. -1 and EPROTO: this is no frame of @table; @why
 * (may be NULL) tells, frame->clock, addr and size hold what was read.
 */
int onidev_frame_parse(const struct onidev_table *table, const void *buf, size_t len,
		       struct onidev_frame *frame, enum onidev_frame_error *why);
/* One clause: "no device at this address". Static. */
const char *onidev_frame_reason(enum onidev_frame_error why);
/*
 * Find the next frame border in @buf after a desynchronised stream: the first
 * offset at which @need consecutive headers are plausible (those that lie in
 * @buf). Returns the offset, a multiple of 4; when there is none, the first
 * offset at which no whole header is left (offset + 16 > @len).
 */
size_t onidev_frame_resync(const struct onidev_table *table, const void *buf, size_t len,
			   unsigned int need);
/*
 * Build the read frame of a sample in @buf of @len bytes (tests, converters).
 * Returns the bytes written, 0 and ENOSPC when they do not fit.
 */
size_t onidev_frame_build(void *buf, size_t len, uint64_t clock, uint32_t addr,
			  const void *sample, uint32_t size);

/* Hub clock of a sample: its first 8 bytes, except Neuropixels 1.0f (last 8). */
uint64_t onidev_frame_hub_clock(const struct onidev_frame *frame);

/* --- decoders: pure code ---------------------------------------------------- */
/*
 * onidev_decode_X(frame, out): 0, or -1 and EPROTO when frame->size cannot be
 * one of that device. "hub_clock" is in ticks of the device's hub.
 */

/* Heartbeat, persistent heartbeat */
struct onidev_heartbeat {
	uint64_t hub_clock;
};
int onidev_decode_heartbeat(const struct onidev_frame *frame, struct onidev_heartbeat *out);

/* Port controller status */
#define ONIDEV_PORT_LOCK		0x0001	/* link locked */
#define ONIDEV_PORT_PARITY		0x0002	/* parity pass */
#define ONIDEV_PORT_CODE_VALID		0x0004	/* the bits below mean something */
#define ONIDEV_PORT_CRC			0x0100	/* CRC error */
#define ONIDEV_PORT_TOO_MANY		0x0200	/* too many devices */
#define ONIDEV_PORT_INIT		0x0400	/* initialisation error */
#define ONIDEV_PORT_BAD_PACKET		0x0800	/* bad packet */
#define ONIDEV_PORT_INIT_CRC		0x1000	/* CRC error at initialisation */
struct onidev_port_status {
	uint64_t hub_clock;
	uint16_t code;		/* ONIDEV_PORT_* */
};
int onidev_decode_port_status(const struct onidev_frame *frame, struct onidev_port_status *out);

/* Breakout analog IO, 100 kHz */
#define ONIDEV_ANALOG_CHANNELS	12
struct onidev_analog {
	uint64_t hub_clock;
	int16_t code[ONIDEV_ANALOG_CHANNELS];	/* 14 bits, low two zero */
};
int onidev_decode_analog(const struct onidev_frame *frame, struct onidev_analog *out);
/* Volts per code for an INRANGE register value (low 2 bits): 20, 5 or 10 V / 65536. */
double onidev_analog_volts_per_code(uint32_t inrange);

/* Breakout digital IO */
#define ONIDEV_BUTTON_MOON	0x001
#define ONIDEV_BUTTON_TRIANGLE	0x002
#define ONIDEV_BUTTON_X		0x004
#define ONIDEV_BUTTON_CHECK	0x008
#define ONIDEV_BUTTON_CIRCLE	0x010
#define ONIDEV_BUTTON_SQUARE	0x020
#define ONIDEV_PORT_D_ON	0x100
#define ONIDEV_PORT_C_ON	0x200
#define ONIDEV_PORT_B_ON	0x400
#define ONIDEV_PORT_A_ON	0x800
struct onidev_digital {
	uint64_t hub_clock;
	uint8_t inputs;		/* bit n = input pin n */
	uint16_t buttons;	/* ONIDEV_BUTTON_*, ONIDEV_PORT_*_ON */
};
int onidev_decode_digital(const struct onidev_frame *frame, struct onidev_digital *out);

/* Memory monitor */
#define ONIDEV_MEMORY_TOTAL_REG	3	/* TOTAL_MEM, 32-bit words */
struct onidev_memory {
	uint64_t hub_clock;
	uint32_t used_words;	/* 32-bit words waiting in the controller's RAM */
};
int onidev_decode_memory(const struct onidev_frame *frame, struct onidev_memory *out);
/* 0...100; 0 when @total_words is 0. */
double onidev_memory_percent(const struct onidev_memory *mem, uint32_t total_words);

/* Load tester */
struct onidev_load {
	uint64_t hub_clock;
	uint64_t delta;		/* hub clock at receipt minus the looped back value */
	const uint8_t *words;	/* @count u16, little endian, into the frame */
	uint32_t count;
};
int onidev_decode_load(const struct onidev_frame *frame, struct onidev_load *out);

/* Intan RHD2164, 30 kHz */
#define ONIDEV_RHD2164_CHANNELS	64
#define ONIDEV_RHD2164_AUX	3
#define ONIDEV_RHD_UV_PER_CODE	0.195	/* microvolts, amplifier */
#define ONIDEV_RHD_AUX_V_PER_CODE	37.4e-6	/* volts, unsigned aux code */
struct onidev_rhd2164 {
	uint64_t hub_clock;
	int16_t amp[ONIDEV_RHD2164_CHANNELS];	/* channel order; code - 32768 */
	uint16_t aux[ONIDEV_RHD2164_AUX];	/* 0, 1: inputs; 2: stimulator current monitor */
};
int onidev_decode_rhd2164(const struct onidev_frame *frame, struct onidev_rhd2164 *out);
/*
 * The 64 amplifier channels only, in channel order, into @out: the form a
 * recorder wants. @frame must be one of an RHD2164 (size 142); not checked.
 */
void onidev_rhd2164_channels(const struct onidev_frame *frame, int16_t *out);
/* Position of channel @ch among the 64 words of a sample: they are interleaved. */
static inline unsigned int onidev_rhd2164_slot(unsigned int ch)
{
	return ch < 32 ? 2 * ch : 2 * (ch - 32) + 1;
}

/* BNO055 orientation sensor, 100 Hz */
struct onidev_bno055 {
	uint64_t hub_clock;
	double euler_deg[3];	/* heading, roll, pitch, degrees (chip order) */
	double quaternion[4];	/* w, x, y, z, unit length */
	double linear_ms2[3];	/* acceleration without gravity, m/s^2 */
	double gravity_ms2[3];	/* m/s^2 */
	int temperature_c;	/* degrees Celsius */
	uint8_t calibration;	/* sys 7:6, gyro 5:4, accel 3:2, mag 1:0; 3 = full */
};
int onidev_decode_bno055(const struct onidev_frame *frame, struct onidev_bno055 *out);

/* Harp synchronisation input, about 1 Hz */
struct onidev_harp {
	uint64_t hub_clock;	/* at the synchronisation edge */
	uint32_t seconds;	/* Harp time as sent; the edge is second + 1 */
};
int onidev_decode_harp(const struct onidev_frame *frame, struct onidev_harp *out);

/* --- Rhythm: the amplifiers of an Acquisition Board, pure code ---------------- */
/*
 * Every sample is one frame with @streams (S) streams of 32 channels, one for each
 * data line of a chip that is enabled. Numbers and units:
 *	bytes 0	 u64 hub clock, 2800 ticks per sample
 *	      8	 u64 magic
 *	      16 u32 sample number, 0 at the start of a run
 *	      20 u16[3][S] results of the three auxiliary commands of each stream
 *		 u16[32][S] amplifiers, offset binary, 0.195 uV
 *		 u16[S] filler
 *		 u16[8] analog inputs of the board, u16 TTL in, u16 TTL out
 * All little endian; 40 + 72 S bytes. Source: acquisition-board plugin
 * (AcqBoardONI.cpp), bonsai-acquisition-board.
 */
#define ONIDEV_RHYTHM_MAGIC	0xc691199927021942ull
#define ONIDEV_RHYTHM_STREAMS	16	/* at most */
#define ONIDEV_RHYTHM_CHANNELS	32	/* of a stream */
#define ONIDEV_RHYTHM_AUX	3	/* auxiliary commands of a sample */
#define ONIDEV_RHYTHM_ADCS	8
#define ONIDEV_RHYTHM_TICKS	2800u	/* of the hub clock, per sample */
#define ONIDEV_RHYTHM_SIZE(streams)	(40u + 72u * (streams))

/* One sample. Pointers point into the frame it was decoded from. */
struct onidev_rhythm {
	uint64_t hub_clock;
	uint32_t sample;	/* number, wraps */
	uint32_t streams;	/* S, 0...16 */
	const uint8_t *aux;	/* u16[3][S], little endian */
	const uint8_t *amp;	/* u16[32][S], little endian */
	uint16_t adc[ONIDEV_RHYTHM_ADCS];
	uint16_t ttl_in, ttl_out;
};

/* S of a frame of @size bytes; -1 and EPROTO: no frame of Rhythm has that size. */
int onidev_rhythm_streams(uint32_t size);
/* -1 and EPROTO: wrong size; EBADMSG: wrong magic, the sample is damaged. */
int onidev_decode_rhythm(const struct onidev_frame *frame, struct onidev_rhythm *out);
/*
 * All amplifier channels, stream after stream, code - 32768: @out[s * 32 + ch], 32 S
 * values. The form a recorder wants: the channels of a chip are neighbours.
 */
void onidev_rhythm_channels(const struct onidev_rhythm *sample, int16_t *out);
/* The same for the auxiliary results: @out[s * 3 + slot], 3 S values, code - 32768. */
void onidev_rhythm_aux(const struct onidev_rhythm *sample, int16_t *out);
/*
 * Samples missing between number @last and @next, 0 if they follow one another; -1:
 * @next is not later (the run began anew). Numbers wrap at 32 bits.
 */
int64_t onidev_rhythm_missing(uint32_t last, uint32_t next);
/*
 * Auxiliary input (0-2) whose value the result of sample @n is when the inputs are read
 * in turn by the usual list of four commands; -1: none. (acquisition-board plugin)
 */
static inline int onidev_rhythm_aux_input(uint32_t n)
{
	return (n + 3) % 4 < 3 ? (int)((n + 3) % 4) : -1;
}

/* Analog inputs: the board's generation, from the hardware id of hub 0. */
#define ONIDEV_HUB_ACQ_GEN2	0x100
#define ONIDEV_HUB_ACQ_GEN3	0x102
/*
 * Volts of an analog input of a board with @hardware_id. Generation 3: 5 V at code 0,
 * downwards; any other: 10 V / 65536, -5.4096 V at 0. (acquisition-board plugin)
 */
double onidev_rhythm_adc_volts(uint32_t hardware_id, uint16_t code);

/* Registers of Rhythm and of the information device of its hub that these are for. */
#define ONIDEV_RHYTHM_MODE_REG		1u
#define ONIDEV_RHYTHM_CONTINUOUS	0x02u	/* MODE: a run does not end by itself */
#define ONIDEV_RHYTHM_DSP_SETTLE	0x04u	/* MODE: high-pass filters of the chips at 0 */
#define ONIDEV_RHYTHM_DELAY_REG		3u	/* 4 bits each port, A lowest */
#define ONIDEV_RHYTHM_BANK_REG		4u	/* + slot; 4 bits each port */
#define ONIDEV_RHYTHM_MAX_INDEX_REG	7u	/* + slot */
#define ONIDEV_RHYTHM_LOOP_INDEX_REG	10u	/* + slot */
#define ONIDEV_RHYTHM_SELECT_REG	13u	/* streams 1-8; 14: streams 9-16 */
#define ONIDEV_RHYTHM_ENABLE_REG	15u	/* mask of streams, acts at a reset */
#define ONIDEV_RHYTHM_COMMAND_REG(slot, bank, i)	\
	(0x4000u + ((uint32_t)(slot) << 14) + ((uint32_t)(bank) << 10) + (uint32_t)(i))
#define ONIDEV_RHYTHM_CLOCK_REG		0x2000u
#define ONIDEV_RHYTHM_BUSY_REG		0x2001u

/*
 * Sample rates of the board. @value goes into ONIDEV_RHYTHM_CLOCK_REG while stopped; then
 * wait until ONIDEV_RHYTHM_BUSY_REG is 0. (acquisition-board plugin, rate table)
 */
struct onidev_rhythm_rate {
	double hz;
	uint32_t value;
};
/* In order of rate; NULL when @i is too large. Static. */
const struct onidev_rhythm_rate *onidev_rhythm_rate_at(size_t i);
/* The one within 0.1 % of @hz; NULL and ENOENT. Static. */
const struct onidev_rhythm_rate *onidev_rhythm_rate_find(double hz);
/* Rate that a value of the clock register means. */
double onidev_rhythm_rate_of(uint32_t value);

/*
 * What a stream is fed by: bits 2:0 the data line (0 A1, 1 A2, 2 B1 ... 7 D2), bit 3
 * the second half of its chip (channels 32-63 of an RHD2164).
 */
#define ONIDEV_RHYTHM_SECOND	8u
struct onidev_rhythm_layout {
	uint32_t streams;	/* enabled ones, in the order of the frame */
	uint8_t source[ONIDEV_RHYTHM_STREAMS];
};
/* From the registers 13, 14 and 15. */
void onidev_rhythm_layout_get(const uint32_t regs[3], struct onidev_rhythm_layout *out);
/* To the registers; those of @layout become the first streams. */
void onidev_rhythm_layout_put(const struct onidev_rhythm_layout *layout, uint32_t regs[3]);
/*
 * From text: "a1,b2,c1+" or words with blanks between; "+" is the second half of a chip.
 * 0, or -1: EINVAL no line, EEXIST named twice, E2BIG more than 16. "" is none.
 */
int onidev_rhythm_layout_parse(const char *text, struct onidev_rhythm_layout *out);
/* "A1" or "A1+" for a source, in @buf of at least 4 bytes. Returns @buf. */
char *onidev_rhythm_source_name(uint8_t source, char *buf);

/* --- RHD2000 chips, pure code (Intan RHD2000 series datasheet) ------------------ */

#define ONIDEV_RHD_READ(reg)		((uint16_t)(0xc000u | (reg) << 8))
#define ONIDEV_RHD_WRITE(reg, value)	((uint16_t)(0x8000u | (reg) << 8 | (value)))
#define ONIDEV_RHD_CALIBRATE		((uint16_t)0x5500u)

/*
 * Amplifier bandwidth: the settings nearest to the cutoffs asked for (by ratio), for
 * registers 8-13, with the auxiliary inputs left on.
 */
struct onidev_rhd_bandwidth {
	double upper_hz, lower_hz;	/* nominal, of the settings chosen */
	uint8_t reg[6];
};
/* EDOM: a cutoff is not positive, or the lower one is not below the upper one. */
int onidev_rhd_bandwidth(double upper_hz, double lower_hz, struct onidev_rhd_bandwidth *out);
/*
 * Offset removal by the chip's own high-pass filter: code 1-15 for register 4 bits 3:0
 * whose cutoff, rate * ln(2^n / (2^n - 1)) / 2 pi, is nearest by ratio; *@got_hz is that.
 */
unsigned int onidev_rhd_dsp_code(double rate_hz, double cutoff_hz, double *got_hz);

struct onidev_rhd_setup {
	double rate_hz;		/* of samples: sets the bias of ADC and multiplexer */
	struct onidev_rhd_bandwidth bandwidth;
	double dsp_hz;		/* 0: no offset removal */
	int settle;		/* not 0: fast settle, the inputs are held at 0 */
};
#define ONIDEV_RHD_SETUP_MAX	60
/*
 * The auxiliary commands that set a chip up, the impedance test switched off among
 * them; at most ONIDEV_RHD_SETUP_MAX. Returns how many.
 */
size_t onidev_rhd_setup_commands(const struct onidev_rhd_setup *setup, uint16_t *out);

/* The command that switches fast settle on (not 0) or off, all else as set up. */
uint16_t onidev_rhd_settle_command(int on);

/* The list of READ commands by which chips are found, to be sent over and over. */
#define ONIDEV_RHD_FIND_COMMANDS	10
void onidev_rhd_find_commands(uint16_t out[ONIDEV_RHD_FIND_COMMANDS]);

enum onidev_rhd_id {
	ONIDEV_RHD_ID_2132 = 1,
	ONIDEV_RHD_ID_2216 = 2,
	ONIDEV_RHD_ID_2164 = 4,
};
struct onidev_rhd_chip {
	uint8_t chip_id;	/* enum onidev_rhd_id */
	uint8_t amplifiers;
	uint8_t die_revision;
	uint8_t unipolar;
	uint8_t marker;		/* RHD2164: 53 in its first half, 58 in the second */
};
/*
 * Is there a chip? @words are the results of successive samples of one stream, of the
 * first half of a chip, while the list above runs, at least two rounds. Where in them
 * the list begins is found out: how many samples a result takes is not relied on. With a
 * delay that is half a bit off, an RHD2164 shows its second half here, and the marker
 * tells: that is no find. 0; -1 and ENOENT.
 */
int onidev_rhd_find(const uint16_t *words, size_t n, struct onidev_rhd_chip *out);

/*
 * Cable delay from a scan: bit n of @good is set when chips answered with delay n. The
 * middle (the later one of two) of the longest row of good ones; -1 and ENOENT: none.
 */
int onidev_rhythm_delay_choose(uint32_t good);
/*
 * What a scan found. @good[line] are the delays that worked for a data line,
 * @chip[line] what answered. Both lines of a port share a delay, so the delays that
 * are good for all chips of a port are looked at. *@delay_reg keeps the nibbles of ports
 * without a chip. If they have none in common, that of the first chip is taken. Returns the number of chips; the streams for them are in @layout.
 */
unsigned int onidev_rhythm_plan(const uint32_t good[8], const struct onidev_rhd_chip chip[8],
				uint32_t *delay_reg, struct onidev_rhythm_layout *layout);

/* Harp time of Rhythm's samples, about 1 Hz (bonsai-acquisition-board) */
struct onidev_harp_rhythm {
	uint64_t hub_clock;
	uint32_t sample;	/* of Rhythm */
	uint32_t seconds;	/* Harp time */
};
int onidev_decode_harp_rhythm(const struct onidev_frame *frame, struct onidev_harp_rhythm *out);

/*
 * One line of text for a frame of any known device, without a newline, hex for
 * an unknown one. Returns what snprintf() would.
 */
int onidev_frame_print(const struct onidev_frame *frame, char *buf, size_t len);

/* --- acquisition clock to host clock ----------------------------------------- */

/*
 * An online fit of CLOCK_MONOTONIC against the acquisition clock. Interrupts
 * are only ever late, so the line follows the lower envelope of the pairs; the
 * distance of the pairs from it is the jitter.
 */
struct onidev_clock;

/* A result; a plain value that can be copied between threads. */
struct onidev_clock_fit {
	uint64_t ticks0;	/* reference point, acquisition clock */
	uint64_t mono0_ns;	/* the same point, CLOCK_MONOTONIC */
	double ns_per_tick;
	double ppm;		/* of the acquisition clock against CLOCK_MONOTONIC: + is fast */
	double ppm_error;	/* half width to expect of ppm, from jitter and span */
	double jitter_p50_ns;	/* median lateness of an interrupt */
	double jitter_p99_ns;
	double span_s;		/* time covered by the pairs in use */
	uint64_t pairs;		/* ever added since reset */
};

/* @acq_hz: oni_info.acq_clock_hz. The caller ends it with onidev_clock_free(). */
struct onidev_clock *onidev_clock_new(uint32_t acq_hz);
void onidev_clock_free(struct onidev_clock *clock);
/* Forget all pairs: a new acquisition. */
void onidev_clock_reset(struct onidev_clock *clock);
/* The event at @ticks was reported at @mono_ns. Constant time, no allocation. */
void onidev_clock_add(struct onidev_clock *clock, uint64_t ticks, uint64_t mono_ns);
/* EAGAIN: too few pairs, or they cover less than 10 ms. */
int onidev_clock_read(const struct onidev_clock *clock, struct onidev_clock_fit *fit);
/* Pure. */
uint64_t onidev_clock_to_mono(const struct onidev_clock_fit *fit, uint64_t ticks);
uint64_t onidev_clock_from_mono(const struct onidev_clock_fit *fit, uint64_t mono_ns);
/* CLOCK_REALTIME - CLOCK_MONOTONIC now, taken with the least uncertain of some reads. */
int64_t onidev_clock_real_offset(void);

/* --- streams ------------------------------------------------------------------ */

struct onidev_stream;

/* Zero in a field: the kernel's default. See struct oni_stream_create. */
struct onidev_stream_config {
	uint64_t ring_bytes;
	uint32_t block_bytes;
	uint32_t watermark_bytes;
	uint32_t latency_us;
};

/*
 * Make the lossless stream of a controller this process owns. @config may be
 * NULL. The stream does not need @ctl to stay open to be read, but closing it
 * gives up the claim and so ends the acquisition. The caller ends the stream
 * with onidev_stream_free().
 */
struct onidev_stream *onidev_stream_create(struct onidev_controller *ctl,
					   const struct onidev_stream_config *config);
/*
 * Make a monitor: a stream that looks at what another program records, in the same
 * memory, without holding the hardware back. It needs no ownership and changes
 * nothing; @ctl may be read-only and may be closed afterwards. @config may be NULL;
 * ring_bytes and block_bytes are those of the stream and must be 0 (EINVAL). ENODATA:
 * nobody streams. EBUSY: too many monitors. The caller ends it with
 * onidev_stream_free().
 *
 * A monitor is used like a stream, with these differences:
 *
 * - onidev_frame_next() hands out a copy, because the hardware may overwrite the
 *   ring at any time. The copy is checked after it was made, so what is handed out was
 *   whole; it is valid until the next call. Release frees nothing but tells the kernel
 *   from where to wake up.
 * - When the hardware has overtaken it, onidev_frame_next() gives -1 and EOVERFLOW,
 *   once per loss: onidev_stream_lost() tells how much. Call it again to go on, half a
 *   ring behind the hardware and at the border of a frame. A monitor that joins
 *   a running acquisition finds its first border in the same way.
 * - Nothing disappears unsaid: bytes of the frames handed out + lost_bytes +
 *   skipped_bytes of the status = position - first, at any time and exactly.
 * - onidev_stream_wait() gives ONIDEV_WAIT_END when the acquisition stops. If
 *   ONI_RING_CLOSED is in the flags of the status, the other program has closed its
 *   stream and nothing will ever come. If not, a new acquisition may begin: then
 *   the counters start again at 0, and what was not read of the old one is gone.
 */
struct onidev_stream *onidev_monitor_create(struct onidev_controller *ctl,
					    const struct onidev_stream_config *config);
/*
 * Use the descriptor of a stream or of a monitor, received from another process. On
 * success the stream owns @fd; on failure the caller still does.
 */
struct onidev_stream *onidev_stream_from_fd(int fd);
/* Ends the acquisition when it is the last user; pointers of frames become invalid. */
void onidev_stream_free(struct onidev_stream *stream);
/* Was it made by onidev_monitor_create(), here or elsewhere? */
int onidev_stream_is_monitor(const struct onidev_stream *stream);
/* For poll() and for passing on. Stays owned by @stream. */
int onidev_stream_fd(const struct onidev_stream *stream);
int onidev_stream_info(const struct onidev_stream *stream, struct oni_stream_info *info);
/* Change the wake-up rule at any time. */
int onidev_stream_wake(struct onidev_stream *stream, uint32_t watermark_bytes,
		       uint32_t latency_us);

/*
 * Give the iterator a device table (copied); needed before the first
 * onidev_frame_next() and again when the generation of the table changed.
 * Frames then have ->dev pointing into the stream's own copy, which lives
 * until the next call of this function or the end of the stream.
 */
int onidev_stream_set_table(struct onidev_stream *stream, const struct onidev_table *table);
const struct onidev_table *onidev_stream_table(const struct onidev_stream *stream);

/* onidev_stream_wait() */
#define ONIDEV_WAIT_TIMEOUT	0
#define ONIDEV_WAIT_DATA	1	/* onidev_frame_next() may find more */
#define ONIDEV_WAIT_END		2	/* stopped or closed, and all of it was iterated */

/*
 * Wait until the wake-up rule of the stream holds. @timeout_ms as in poll();
 * when it ends and anything new is there, that is ONIDEV_WAIT_DATA too.
 * Returns ONIDEV_WAIT_*, or -1: ENODEV when the hardware is gone, EIO or EPROTO
 * when the stream ended with that error, in each case only after everything
 * was iterated; EINTR. Before the first start it waits for it. Release what
 * was iterated before waiting, or the wait cannot sleep well.
 */
int onidev_stream_wait(struct onidev_stream *stream, int timeout_ms);

/*
 * The next frame, not copied: frame->sample points into the ring and stays valid
 * until it is released (of a monitor: a copy, valid until the next call). Returns 1;
 * 0: no complete frame is there now; -1: EPROTO: the bytes at
 * onidev_stream_position() are no frame (see onidev_stream_desync()); EOVERFLOW: a
 * monitor was overtaken, call again to go on; EINVAL: no table was set.
 * A new acquisition on the stream (another generation) is noticed here; the
 * iterator then starts at position 0.
 */
int onidev_frame_next(struct onidev_stream *stream, struct onidev_frame *frame);
/*
 * Go on after EPROTO: skip to the next plausible frame border in what
 * is there now. Returns the bytes skipped; -1 and EAGAIN when no border was
 * found yet (all of it was skipped, call again when more has come), -1 and EOVERFLOW
 * when a monitor was overtaken meanwhile. A monitor needs this after EPROTO only.
 */
int64_t onidev_stream_resync(struct onidev_stream *stream);
/*
 * Bytes that the last EOVERFLOW has cost, and (@position, may be NULL) where they
 * were; 0 if there was none. They were overwritten, or given up so that it does not
 * happen again at once.
 */
uint64_t onidev_stream_lost(const struct onidev_stream *stream, uint64_t *position);
/* Why the last onidev_frame_next() gave EPROTO, as one sentence in @buf. */
int onidev_stream_desync(const struct onidev_stream *stream, char *buf, size_t len);

/* Give everything iterated so far back to the kernel. */
void onidev_stream_release(struct onidev_stream *stream);
/*
 * Give back what lies before @position (of a frame not yet done with). EINVAL:
 * behind what was released, or ahead of what was iterated.
 */
int onidev_stream_release_to(struct onidev_stream *stream, uint64_t position);

/* A consistent view for progress lines; costs a few loads, no system call. */
struct onidev_stream_status {
	uint64_t head;		/* bytes published */
	uint64_t position;	/* of the next frame: all before it was dealt with */
	uint64_t tail;		/* bytes released */
	uint64_t first;		/* where this reader joined; 0: it has seen the start */
	uint64_t lost_bytes;	/* of a monitor: EOVERFLOW told of them */
	uint64_t lost_events;	/* and how often */
	uint64_t skipped_bytes;	/* in search of a frame's border */
	uint64_t ring_bytes;
	uint64_t peak_bytes;	/* largest fill ever */
	uint64_t blocks;
	uint64_t short_blocks;
	uint64_t full_events;	/* times the hardware was held back */
	uint64_t full_ns;
	uint64_t wakeups;
	uint64_t start_ns;	/* CLOCK_MONOTONIC of the start */
	uint32_t block_bytes;
	uint32_t flags;		/* ONI_RING_* */
	uint32_t error;		/* errno that ended it, 0 if none */
	uint32_t generation;	/* number of the acquisition, 0 before the first */
};
void onidev_stream_status(const struct onidev_stream *stream,
			  struct onidev_stream_status *status);
/* Byte position of the next frame. */
uint64_t onidev_stream_position(const struct onidev_stream *stream);

/*
 * Block descriptors in order. Returns 1 and *@block; 0: none is there now; -1
 * and EOVERFLOW: the reader was lapped, @lost of them are gone, go on. Do not
 * mix with onidev_stream_attach_clock(), which consumes them.
 */
int onidev_block_next(struct onidev_stream *stream, struct oni_block *block, uint64_t *lost);
/*
 * Feed @clock from now on: whenever the iterator passes the frame that completed
 * a block, its acquisition clock is paired with the block's interrupt. @clock
 * stays owned by the caller and must outlive the stream or be detached with
 * NULL. It is reset when a new acquisition begins.
 */
void onidev_stream_attach_clock(struct onidev_stream *stream, struct onidev_clock *clock);

/* --- sentences for errors ------------------------------------------------------ */

enum onidev_op {
	ONIDEV_OP_OPEN,
	ONIDEV_OP_INFO,
	ONIDEV_OP_DEVICE_TABLE,
	ONIDEV_OP_CLAIM,
	ONIDEV_OP_RELEASE,
	ONIDEV_OP_RESET,
	ONIDEV_OP_REG_READ,
	ONIDEV_OP_REG_WRITE,
	ONIDEV_OP_CTL_READ,
	ONIDEV_OP_CTL_WRITE,
	ONIDEV_OP_PORT_POWER,
	ONIDEV_OP_START,
	ONIDEV_OP_STOP,
	ONIDEV_OP_STREAM_CREATE,
	ONIDEV_OP_STATS,
	ONIDEV_OP_STREAM_INFO,
	ONIDEV_OP_STREAM_WAKE,
	ONIDEV_OP_STREAM_MAP,	/* mmap of a stream */
	ONIDEV_OP_STREAM_READ,	/* read(2), onidev_stream_wait() */
	ONIDEV_OP_FRAME_NEXT,	/* onidev_frame_next() */
	ONIDEV_OP_FRAME_WRITE,	/* write(2) of write frames */
	ONIDEV_OP_MONITOR_CREATE,
	ONIDEV_OP_REG_BATCH,
	ONIDEV_OP_COUNT
};

/*
 * What @error means when @op was tried, and what to do about it: one sentence
 * without a final newline, for every errno <linux/oni.h> lists and a general one
 * for any other. Static.
 */
const char *onidev_explain(enum onidev_op op, int error);
/* What was tried, to put in front: "start the acquisition". Static. */
const char *onidev_op_name(enum onidev_op op);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
