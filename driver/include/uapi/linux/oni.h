/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Open Neuro Interface (ONI) controllers: kernel/user contract.
 *
 * This header is the whole contract. User space includes nothing else from
 * the driver.
 */
#ifndef _UAPI_LINUX_ONI_H
#define _UAPI_LINUX_ONI_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: nodes and file descriptors
 *
 * /dev/oniN may be opened any number of times. It gives information to every
 * opener and control to one of them (%ONI_IOC_CLAIM).
 *
 * Acquired data come from a *stream*, a file descriptor of its own made by
 * %ONI_IOC_STREAM_CREATE. One lossless stream exists per controller at a time.
 * It can be passed over a UNIX socket to a process that has no other right.
 * Any number of *monitors* (%ONI_IOC_MONITOR_CREATE) look at the same ring
 * memory. They never hold the hardware back; one that is too slow is told how
 * many bytes it missed.
 *
 * read(2) on /dev/oniN itself works too: the first read makes an implicit
 * stream with default sizes, claims the controller if nobody has, and starts
 * the acquisition if it is idle; close(2) ends what the read began. poll(2)
 * on a file that has no implicit stream yet reports it readable, because a
 * read would make one.
 *
 * write(2) on /dev/oniN sends write frames: a whole number of them, each
 * ``u32 device address, u32 payload length in 32-bit words, payload``, checked
 * against the device table. Nothing is sent if any of them is refused: EINVAL
 * for what is no whole frame or no multiple of the device's write size, or
 * longer than 64 KiB; ENOENT for an address that is not in the table; EPERM
 * for a caller that does not own the controller, for a device that takes no
 * frames from user space, and for a payload with bits that the device does not
 * have (the upper half of a word for TTL lines). write(2) returns when the hardware has fetched the
 * frames: EAGAIN with O_NONBLOCK if another write is under way, ETIMEDOUT if
 * the hardware does not fetch them within 2 s. It waits for no register access.
 */

/**
 * DOC: ioctl format
 *
 * Every structure begins with ``__u32 size``, the size of the structure as
 * user space knows it. A kernel that knows a longer structure takes the rest
 * as zero; a kernel that knows a shorter one accepts the call only if the
 * bytes it does not know are zero. On return the kernel writes
 * min(size, its own size) bytes.
 *
 * Common errors of every ioctl:
 *
 *  - ENOTTY: the command number is not known.
 *  - EINVAL: @size is smaller than the structure of version 1, a reserved
 *    field or an unknown flag is not zero, or a value is out of its range.
 *  - E2BIG: @size is larger than the kernel's structure and the bytes beyond
 *    are not all zero.
 *  - EFAULT: a pointer is bad.
 *  - EPERM: the call changes something and the file was opened without write
 *    access, or another file (or nobody) owns the controller, or the kernel
 *    refuses the access for safety.
 *  - EOPNOTSUPP: a known field has a value that this hardware cannot do.
 *  - ENODEV: the controller is gone (unplugged or unbound). Existing mappings
 *    of a stream stay valid.
 *  - EIO: the link to the controller failed; %ONI_IOC_RESET may bring it back.
 *  - ETIMEDOUT: the controller did not answer in time.
 *  - ENOMEM, EINTR: as usual; an interrupted call has had no effect
 *    (%ONI_IOC_REG_BATCH may have executed a part and says which).
 *
 * Per call errors are listed with the call.
 */

#define ONI_ABI_VERSION		1

#define ONI_IOC_MAGIC		0xB9	/* free in ioctl-number.rst as of 7.3 */

/* On /dev/oniN */
#define ONI_IOC_INFO		_IO(ONI_IOC_MAGIC, 0x00)
#define ONI_IOC_DEVICE_TABLE	_IO(ONI_IOC_MAGIC, 0x01)
#define ONI_IOC_CLAIM		_IO(ONI_IOC_MAGIC, 0x02)
#define ONI_IOC_RELEASE		_IO(ONI_IOC_MAGIC, 0x03)
#define ONI_IOC_RESET		_IO(ONI_IOC_MAGIC, 0x04)
#define ONI_IOC_REG_READ	_IO(ONI_IOC_MAGIC, 0x05)
#define ONI_IOC_REG_WRITE	_IO(ONI_IOC_MAGIC, 0x06)
#define ONI_IOC_CTL_READ	_IO(ONI_IOC_MAGIC, 0x07)
#define ONI_IOC_CTL_WRITE	_IO(ONI_IOC_MAGIC, 0x08)
#define ONI_IOC_PORT_POWER	_IO(ONI_IOC_MAGIC, 0x09)
#define ONI_IOC_START		_IO(ONI_IOC_MAGIC, 0x0a)
#define ONI_IOC_STOP		_IO(ONI_IOC_MAGIC, 0x0b)
#define ONI_IOC_STREAM_CREATE	_IO(ONI_IOC_MAGIC, 0x0c)
#define ONI_IOC_STATS		_IO(ONI_IOC_MAGIC, 0x0d)
#define ONI_IOC_MONITOR_CREATE	_IO(ONI_IOC_MAGIC, 0x0e)
#define ONI_IOC_REG_BATCH	_IO(ONI_IOC_MAGIC, 0x0f)

/* On a stream or a monitor */
#define ONI_IOC_STREAM_INFO	_IO(ONI_IOC_MAGIC, 0x20)
#define ONI_IOC_STREAM_WAKE	_IO(ONI_IOC_MAGIC, 0x21)

/* On a monitor */
#define ONI_IOC_MONITOR_STAT	_IO(ONI_IOC_MAGIC, 0x22)

/* --- controller ---------------------------------------------------------- */

/* oni_info.transport */
#define ONI_TRANSPORT_RIFFA	1	/* ONIX PCIe host, RIFFA 2.2 core */
#define ONI_TRANSPORT_FT600	2	/* Acquisition Board, FT600 USB3 */

/* oni_info.state */
#define ONI_STATE_IDLE		0
#define ONI_STATE_RUNNING	1
#define ONI_STATE_FAULT		2	/* link failed; ONI_IOC_RESET to recover */
#define ONI_STATE_GONE		3

/* oni_info.caps */
#define ONI_CAP_WRITE_FRAMES	0x1ULL	/* a device takes some */
#define ONI_CAP_PORT_POWER	0x2ULL	/* there is a port controller */
#define ONI_CAP_MONITOR		0x4ULL
#define ONI_CAP_REG_BATCH	0x8ULL

/* oni_info.flags */
#define ONI_INFO_OWNED		0x1U	/* some file owns the controller */
#define ONI_INFO_OWNER		0x2U	/* this file does */
#define ONI_INFO_STREAM		0x4U	/* a stream exists */
/*
 * Every known stimulator has acknowledged its safe state since the last reset,
 * and the outputs of an Acquisition Board have been sent theirs.
 */
#define ONI_INFO_STIM_SAFE	0x8U

/**
 * struct oni_info - identity and state of a controller (ONI_IOC_INFO)
 * @size: sizeof(struct oni_info)
 * @abi_version: ONI_ABI_VERSION of the kernel
 * @caps: ONI_CAP_*; the device table decides about the first two
 * @flags: ONI_INFO_*
 * @state: ONI_STATE_*
 * @transport: ONI_TRANSPORT_*
 * @generation: changes whenever the device table was read again
 * @hardware_id: hub 0 hardware id (ONI hub information register 0)
 * @hardware_revision: major << 8 | minor (register 1)
 * @firmware_version: major << 8 | minor (register 2); of an Acquisition Board
 *	major << 16 | minor << 8 | patch, bits 31:24 are 0 of a release
 * @rows: rows of the device table, NULL devices included
 * @sys_clock_hz: rate of the controller's data transfer clock
 * @acq_clock_hz: rate of the counter in every frame header
 * @max_read_frame: largest read frame in bytes, header and padding included
 * @max_write_frame: largest write frame in bytes, header included; 0 if no
 *	device takes any
 * @block_align: block sizes are multiples of this many bytes
 * @block_max: largest block size in bytes
 * @ring_default: ring size that STREAM_CREATE chooses for 0, bytes
 * @ring_max: largest ring size, bytes
 * @transport_name: driver name, NUL terminated
 * @bus_name: address on the bus ("0000:01:00.0"), NUL terminated
 * @reserved: zero
 *
 * Needs no ownership. No errors beyond the common ones.
 */
struct oni_info {
	__u32 size;
	__u32 abi_version;
	__u64 caps;
	__u32 flags;
	__u32 state;
	__u32 transport;
	__u32 generation;
	__u32 hardware_id;
	__u32 hardware_revision;
	__u32 firmware_version;
	__u32 rows;
	__u32 sys_clock_hz;
	__u32 acq_clock_hz;
	__u32 max_read_frame;
	__u32 max_write_frame;
	__u32 block_align;
	__u32 block_max;
	__u64 ring_default;
	__u64 ring_max;
	char transport_name[16];
	char bus_name[32];
	__u32 reserved[6];
};

/**
 * struct oni_device - one row of the device table
 * @addr: full address, hub << 8 | device
 * @id: ONI device id; 0 is a NULL (placeholder) row
 * @version: device version
 * @read_size: bytes of one sample, its 8-byte hub clock included; 0: none
 * @write_size: bytes of one write payload unit; 0: takes no frames
 * @reserved: zero
 *
 * As in the ONI device descriptor. A read frame on the wire has
 * 16 + @read_size bytes, padded to a multiple of 4.
 */
struct oni_device {
	__u32 addr;
	__u32 id;
	__u32 version;
	__u32 read_size;
	__u32 write_size;
	__u32 reserved[3];
};

/**
 * struct oni_device_table - read the device table (ONI_IOC_DEVICE_TABLE)
 * @size: sizeof(struct oni_device_table)
 * @flags: zero
 * @rows: user pointer to an array of struct oni_device
 * @count: in: rows that fit in the array; out: rows of the table
 * @generation: out: as in struct oni_info
 * @row_size: sizeof(struct oni_device) of the caller
 * @reserved: zero
 *
 * Needs no ownership.
 * EMSGSIZE: the array is too small; @count tells the size needed and no row
 * was written. Call with @count 0 to ask for the size.
 */
struct oni_device_table {
	__u32 size;
	__u32 flags;
	__aligned_u64 rows;
	__u32 count;
	__u32 generation;
	__u32 row_size;
	__u32 reserved;
};

/**
 * struct oni_simple - argument of calls that take only flags
 * @size: sizeof(struct oni_simple)
 * @flags: see the call
 *
 * ONI_IOC_CLAIM: become the owner of the controller. @flags zero. Claiming
 *	again is harmless. EBUSY: another file owns it. Needs write access.
 *	Ownership ends with ONI_IOC_RELEASE, when the owning process closes the
 *	file (also when a copy of it stays open elsewhere), or on removal; the
 *	acquisition then stops, the stimulators are made safe and the outputs of
 *	an Acquisition Board go to 0, as they do at a reset. They are sent to 0
 *	at a claim, too.
 * ONI_IOC_RELEASE: give it up. @flags zero. EPERM: not the owner.
 * ONI_IOC_RESET: reset the link and the controller and read the device table
 *	again. @flags zero. Owner only. EBUSY: running. Enables and frame sizes
 *	take effect at a reset. Every known stimulator is made safe after it.
 *	EPROTO: the controller sent a device table that makes no sense.
 * ONI_IOC_START: start the acquisition with the counter reset. @flags zero.
 *	Owner only. EBUSY: running. ENODATA: no stream exists. If data of an
 *	earlier acquisition may still be in the hardware, it is reset first and
 *	@generation of the device table changes.
 * ONI_IOC_STOP: stop it; what the hardware still announces is put into the
 *	ring before the call returns. @flags zero. Owner only. Stopping an idle
 *	controller is harmless. Less than one block stays in the hardware and is
 *	dropped by the next start.
 */
struct oni_simple {
	__u32 size;
	__u32 flags;
};

/**
 * struct oni_reg - device register access (ONI_IOC_REG_READ, _REG_WRITE)
 * @size: sizeof(struct oni_reg)
 * @flags: zero
 * @dev_addr: full device address; hub << 8 | 0xfe is the hub information
 *	device
 * @reg_addr: register
 * @value: in or out
 * @reserved: zero
 *
 * The whole handshake of select, value, trigger and acknowledge is one call.
 * Reading needs no ownership, writing does (EPERM).
 * ENOENT: no such device in the table. EREMOTEIO: the device answered NACK.
 * EPERM on a write: also every register that could make a stimulator put out
 * current, change a port voltage, or program a memory of the hardware. This
 * version lets no such register through; ports have ONI_IOC_PORT_POWER. Of
 * Rhythm on an Acquisition Board the value is checked as well: the command
 * memory takes the commands of a RHD2000 chip that leave its impedance test and
 * its digital output off, other registers take no value that drives an output
 * of the board, and the sample clock (register 0x2000 of the information device
 * of its hub) takes the rates that are known.
 */
struct oni_reg {
	__u32 size;
	__u32 flags;
	__u32 dev_addr;
	__u32 reg_addr;
	__u32 value;
	__u32 reserved;
};

/* oni_reg_op.flags */
#define ONI_REG_OP_WRITE	0x1U

#define ONI_REG_BATCH_MAX	256

/**
 * struct oni_reg_op - one register access of a batch
 * @dev_addr: as in struct oni_reg
 * @reg_addr: register
 * @value: to write; of a read: out
 * @flags: ONI_REG_OP_WRITE, or 0 to read
 * @result: out: 0, or the negative errno of this access; written for the
 *	accesses that were executed
 * @reserved: zero
 */
struct oni_reg_op {
	__u32 dev_addr;
	__u32 reg_addr;
	__u32 value;
	__u32 flags;
	__s32 result;
	__u32 reserved;
};

/**
 * struct oni_reg_batch - register accesses in order (ONI_IOC_REG_BATCH)
 * @size: sizeof(struct oni_reg_batch)
 * @flags: zero
 * @ops: user pointer to an array of struct oni_reg_op, read and written back
 * @count: number of them, 1 ... ONI_REG_BATCH_MAX
 * @done: out: how many were executed, a failed one included
 * @op_size: sizeof(struct oni_reg_op); EINVAL for another value
 * @reserved: zero
 *
 * Between two of a batch of the owner gets no register access of another call;
 * only the kernel's own do, which stop stimulation or watch over it. A batch of
 * another file, which can only read, holds nobody up: accesses of others may
 * get between any two of it. All of them are
 * checked before the first is executed, with the errors of struct oni_reg:
 * EINVAL, ENOENT, EPERM. A batch that only reads needs no ownership. The first
 * one that fails ends the batch: the call returns its error (EREMOTEIO,
 * ETIMEDOUT, ...), and @done and the results are written. A signal ends it
 * between two accesses with EINTR, @done says where. The whole call is bounded
 * by the time that each access may take.
 */
struct oni_reg_batch {
	__u32 size;
	__u32 flags;
	__aligned_u64 ops;
	__u32 count;
	__u32 done;
	__u32 op_size;
	__u32 reserved;
};

/* Controller registers that ONI_IOC_CTL_READ and _CTL_WRITE let through */
#define ONI_CTL_RUNNING		5	/* read */
#define ONI_CTL_SYSCLKHZ	7	/* read */
#define ONI_CTL_ACQCLKHZ	8	/* read */
#define ONI_CTL_HWADDRESS	10	/* read, write while idle */
#define ONI_CTL_CUSTOM		11	/* read, write while idle: ONIX port
					 * passthrough flags, bit 0 port A,
					 * bit 2 port B; used at next reset
					 */

/**
 * struct oni_ctl - controller register access (ONI_IOC_CTL_READ, _CTL_WRITE)
 * @size: sizeof(struct oni_ctl)
 * @flags: zero
 * @reg: ONI_CTL_*
 * @value: in or out
 *
 * Reading needs no ownership, writing does. ENOENT: a register that is not
 * in the list above. EPERM: writing one that is read only here. EBUSY:
 * writing while running.
 */
struct oni_ctl {
	__u32 size;
	__u32 flags;
	__u32 reg;
	__u32 value;
};

/* oni_port_power.headstage: ONI hub hardware ids (liboni onix.h) */
#define ONI_HUB_FMC_HOST	1
#define ONI_HUB_HS64		2
#define ONI_HUB_NP1F		3
#define ONI_HUB_RHS2116		4
#define ONI_HUB_HS64S		5
#define ONI_HUB_NP2E_BETA	7
#define ONI_HUB_NP2E		8
#define ONI_HUB_NRIC1384	9
#define ONI_HUB_NP1E		10

/* oni_port_power.link */
#define ONI_LINK_LOCK		0x1U
#define ONI_LINK_PASS		0x2U

/**
 * struct oni_port_power - power a headstage port (ONI_IOC_PORT_POWER)
 * @size: sizeof(struct oni_port_power)
 * @flags: zero
 * @port: address of the port controller device (0x001 port A, 0x002 port B)
 * @headstage: ONI_HUB_* that the caller says is plugged in; ignored when
 *	@decivolts is 0
 * @decivolts: supply in tenths of a volt, 0 switches the port off
 * @timeout_ms: how long to wait for the link to lock, 1...5000; 0: 1000
 * @link: out: ONI_LINK_* at the end
 * @min_decivolts: out: lower end of the window for @headstage
 * @max_decivolts: out: upper end; less where firmware says that the supply of
 *	the port gives less
 * @found: out: hardware id of the hub found behind the port, 0 if off
 * @reserved: zero
 *
 * Owner only. EBUSY: running.
 * The kernel holds the window of each headstage: a voltage outside it is
 * ERANGE and nothing is written. If the link does not lock in @timeout_ms
 * the port is switched off again: ENOLINK. After the lock the controller is
 * reset, so that the headstage enters the device table; if the hub found is
 * another one than @headstage the port is switched off: EMEDIUMTYPE, @found
 * tells which. ENOENT: @port is no port controller. EOPNOTSUPP: no window is
 * known for @headstage.
 * The window and link fields are written on ERANGE, ENOLINK and EMEDIUMTYPE
 * too.
 */
struct oni_port_power {
	__u32 size;
	__u32 flags;
	__u32 port;
	__u32 headstage;
	__u32 decivolts;
	__u32 timeout_ms;
	__u32 link;
	__u32 min_decivolts;
	__u32 max_decivolts;
	__u32 found;
	__u32 reserved[2];
};

/**
 * struct oni_stats - counters since the driver was bound (ONI_IOC_STATS)
 * @size: sizeof(struct oni_stats)
 * @flags: zero
 * @interrupts: interrupts taken
 * @spurious: interrupts that found no event, or one that belongs to nothing
 * @mmio_reads: register reads on the bus
 * @mmio_writes: register writes on the bus
 * @blocks: blocks put into rings
 * @bytes: bytes put into rings
 * @short_blocks: blocks shorter than the block size
 * @ring_full: times the hardware was held back because the ring was full
 * @ring_full_ns: time spent so
 * @wakeups: times a waiting reader was woken
 * @reg_reads: device register reads
 * @reg_writes: device register writes
 * @reg_nacks: of these, refused by the device
 * @reg_timeouts: of these, never answered
 * @signals: signal packets received
 * @bad_signals: signal packets that could not be decoded
 * @write_frames: write frames sent
 * @resets: controller resets
 * @link_errors: latched link errors
 * @guarded: register writes refused for safety
 * @stim_safe_failures: safe-state writes that were not acknowledged
 * @held: interrupts that were left to a timer, which saves register reads
 * @reserved: zero
 *
 * Monotonic; reading resets nothing. Needs no ownership.
 */
struct oni_stats {
	__u32 size;
	__u32 flags;
	__u64 interrupts;
	__u64 spurious;
	__u64 mmio_reads;
	__u64 mmio_writes;
	__u64 blocks;
	__u64 bytes;
	__u64 short_blocks;
	__u64 ring_full;
	__u64 ring_full_ns;
	__u64 wakeups;
	__u64 reg_reads;
	__u64 reg_writes;
	__u64 reg_nacks;
	__u64 reg_timeouts;
	__u64 signals;
	__u64 bad_signals;
	__u64 write_frames;
	__u64 resets;
	__u64 link_errors;
	__u64 guarded;
	__u64 stim_safe_failures;
	__u64 held;
	__u64 reserved[3];
};

/* --- streams ------------------------------------------------------------- */

/**
 * struct oni_stream_create - make the lossless stream (ONI_IOC_STREAM_CREATE)
 * @size: sizeof(struct oni_stream_create)
 * @flags: zero
 * @ring_bytes: power of two, at least 64 KiB and 4 blocks; 0: default
 * @block_bytes: bytes per hardware block: a multiple of oni_info.block_align,
 *	at least oni_info.max_read_frame; 0: 4096, or max_read_frame rounded up
 *	if that is larger. Smaller: lower latency; larger: lower cost.
 * @watermark_bytes: a waiting reader wakes when this much is readable; 0: one
 *	block; at most half the ring
 * @latency_us: or when the oldest unread byte is this old; 0: no limit. It
 *	bounds the delay of the head as well: without a limit a finished block
 *	may be published up to 10 ms late, which saves work at the bus; with
 *	one, up to half of it. A reader that polls the head wants 1 here.
 * @fd: out: the stream, O_CLOEXEC. F_GETFL says O_RDONLY, although the
 *	consumer page may be mapped writable
 * @reserved: zero
 *
 * Owner only. EBUSY: a stream exists or the acquisition runs. EINVAL: sizes.
 * ENOMEM: no memory; where firmware names memory for the ring, not so much is
 * left of it. ENXIO: that memory cannot be used, the kernel log says why.
 * The block size is checked against the device table again at each start
 * (EINVAL from ONI_IOC_START if a reset made the frames larger).
 * The stream ends, and the acquisition stops, when the last copy of the fd is
 * closed; mappings stay valid. The owner of the controller and the holder of
 * the stream may be different processes.
 */
struct oni_stream_create {
	__u32 size;
	__u32 flags;
	__u64 ring_bytes;
	__u32 block_bytes;
	__u32 watermark_bytes;
	__u32 latency_us;
	__s32 fd;
	__u32 reserved[4];
};

/**
 * struct oni_stream_info - geometry for mmap (ONI_IOC_STREAM_INFO)
 * @size: sizeof(struct oni_stream_info)
 * @flags: zero
 * @producer_offset: mmap offset of the producer page
 * @producer_bytes: its length
 * @consumer_offset: mmap offset of the consumer page
 * @consumer_bytes: its length
 * @data_offset: mmap offset of the data
 * @data_bytes: the ring size. Map twice this length to see the ring twice in
 *	a row, so that what wraps is contiguous
 * @desc_offset: mmap offset of the block descriptors
 * @desc_bytes: their length
 * @block_bytes: block size
 * @desc_count: number of descriptors, a power of two
 * @watermark_bytes: as set
 * @latency_us: as set
 * @reserved: zero
 *
 * mmap(2) of a stream: MAP_SHARED; producer, data and descriptors PROT_READ
 * only (EPERM otherwise, and mprotect cannot add PROT_WRITE), consumer page
 * PROT_READ | PROT_WRITE. EINVAL: MAP_PRIVATE, or an offset or a length that
 * is not one of the above. The mappings outlive the fd and the hardware.
 */
struct oni_stream_info {
	__u32 size;
	__u32 flags;
	__u64 producer_offset;
	__u64 producer_bytes;
	__u64 consumer_offset;
	__u64 consumer_bytes;
	__u64 data_offset;
	__u64 data_bytes;
	__u64 desc_offset;
	__u64 desc_bytes;
	__u32 block_bytes;
	__u32 desc_count;
	__u32 watermark_bytes;
	__u32 latency_us;
	__u64 reserved[2];
};

/**
 * struct oni_stream_wake - change the wake-up rule (ONI_IOC_STREAM_WAKE)
 * @size: sizeof(struct oni_stream_wake)
 * @flags: zero
 * @watermark_bytes: as in struct oni_stream_create
 * @latency_us: as in struct oni_stream_create
 *
 * Any time.
 */
struct oni_stream_wake {
	__u32 size;
	__u32 flags;
	__u32 watermark_bytes;
	__u32 latency_us;
};

/**
 * struct oni_monitor_create - look at a stream (ONI_IOC_MONITOR_CREATE)
 * @size: sizeof(struct oni_monitor_create)
 * @flags: zero
 * @watermark_bytes: as in struct oni_stream_create; 0: one block
 * @latency_us: as in struct oni_stream_create, for waking this reader only
 * @fd: out: the monitor, with the flags of a stream
 * @reserved: zero
 *
 * Needs no ownership. ENODATA: no stream exists. EBUSY: ONI_MONITORS_MAX
 * monitors exist. The monitor begins at the head; a new acquisition on the
 * same stream begins at 0 for it too. mmap(2), read(2), poll(2),
 * ONI_IOC_STREAM_INFO and ONI_IOC_STREAM_WAKE work as on the stream, with a
 * consumer page of its own. When the stream is closed the monitor has
 * ONI_RING_CLOSED in its producer page: what is in the ring can still be read,
 * and nothing will ever come.
 */
struct oni_monitor_create {
	__u32 size;
	__u32 flags;
	__u32 watermark_bytes;
	__u32 latency_us;
	__s32 fd;
	__u32 reserved[3];
};

#define ONI_MONITORS_MAX	16

/**
 * struct oni_monitor_stat - what a monitor missed (ONI_IOC_MONITOR_STAT)
 * @size: sizeof(struct oni_monitor_stat)
 * @flags: zero
 * @position: of the next byte that read(2) would return
 * @lost_bytes: bytes that read(2) skipped since the acquisition began
 * @lost_events: times that it had to
 * @reserved: zero
 *
 * Bytes returned by read(2) + @lost_bytes = @position - where it began.
 */
struct oni_monitor_stat {
	__u32 size;
	__u32 flags;
	__u64 position;
	__u64 lost_bytes;
	__u64 lost_events;
	__u64 reserved[2];
};

/**
 * DOC: the ring
 *
 * The data area is a byte stream: read frames one after the other as the
 * hardware sent them (u64 acquisition clock, u32 device address, u32 sample
 * bytes, sample, padding to 4). Positions are 64-bit byte counts that only
 * grow during an acquisition; the offset in the data area is position modulo
 * ring size. Frames may lie across block borders.
 *
 * The kernel writes the producer page, the data and the descriptors; user
 * space writes the consumer page, which the kernel treats as hostile.
 *
 * .. code-block:: none
 *
 *   kernel                                   user
 *   tail = load_acquire(cons->tail)  (A)     head = load_acquire(prod->head) (C)
 *   if (head - tail <= size - block)         parse data[tail .. head)
 *       hand room to the hardware            store_release(cons->tail, t)    (D)
 *   ... DMA, interrupt ...
 *   store_release(prod->head, head)  (B)
 *
 * B pairs with C: a reader that sees the new head sees the data. D pairs with
 * A: the hardware is given room only after the reader has done with it.
 *
 * A tail that moves back or passes head is an error of the reader: the stream
 * stops, @error is EPROTO and read(2) returns it.
 *
 * Nothing is ever overwritten before it is released: when the ring is full the
 * hardware is held back and its own memory absorbs the data. After a stall
 * the kernel looks at the tail again within a millisecond, and at once when
 * the reader polls or reads.
 *
 * A monitor is not waited for. The kernel announces in @claim how far the
 * hardware may be writing, so what is left of a position p is overwritten at
 * claim = p + size, not earlier. A monitor that maps the ring looks at claim
 * after it has copied or used the data:
 *
 * .. code-block:: none
 *
 *   kernel                                   monitor
 *   store(prod->claim, head + block) (E)     head = load_acquire(prod->head) (C)
 *   hand room to the hardware                use data[p .. q)
 *   ... DMA ...                              read barrier                    (F)
 *   store_release(prod->head, head)  (B)     claim = load(prod->claim)
 *                                            if (claim > p + size) it was lapped:
 *                                                lost = claim - size - p
 *
 * E comes before the register write that lets the hardware go, which orders it
 * before the data; F orders the use of the data before the look at claim.
 * A START sets claim back, so whoever maps the ring looks at @generation as well,
 * after claim: another one than before means that the data are of no use.
 * The tail of a monitor only says from where to wake it and to read(2).
 *
 * START sets head, desc_head and tail to 0 and increments @generation. A
 * reader that sees another generation starts again at position 0. A reader that
 * writes its tail itself must not do so while START is under way: the old
 * position would be taken for one of the new acquisition. read(2) may run at any
 * time.
 */

#define ONI_RING_MAGIC		0x52494e4f	/* "ONIR", little endian */

/* oni_ring_producer.flags */
#define ONI_RING_RUNNING	0x1U
#define ONI_RING_STOPPED	0x2U	/* ended; head is final */
#define ONI_RING_GONE		0x4U	/* hardware gone; head is final */
#define ONI_RING_ERROR		0x8U	/* see @error; head is final */
#define ONI_RING_FULL		0x10U	/* hardware is held back now */
#define ONI_RING_CLOSED		0x20U	/* the stream was closed: see monitors */

/**
 * struct oni_ring_producer - first bytes of the producer page
 * @magic: ONI_RING_MAGIC
 * @abi_version: ONI_ABI_VERSION
 * @data_bytes: ring size
 * @block_bytes: block size
 * @desc_count: number of block descriptors
 * @reserved0: zero
 * @head: bytes ever published in this generation
 * @desc_head: descriptors ever published in this generation
 * @flags: ONI_RING_*
 * @error: positive errno that ended the stream, 0 if none
 * @generation: number of the acquisition on this stream, 0 before the first
 * @reserved1: zero
 * @start_ns: CLOCK_MONOTONIC when the controller was told to run
 * @claim: the hardware may be writing up to this position
 * @reserved2: zero
 * @blocks: blocks published since the stream was made
 * @short_blocks: of these, shorter than @block_bytes
 * @full_events: times the hardware was held back
 * @full_ns: time spent so
 * @wakeups: times a waiting reader was woken
 * @peak_bytes: largest fill of the ring seen
 * @reserved3: zero
 */
struct oni_ring_producer {
	__u32 magic;
	__u32 abi_version;
	__u64 data_bytes;
	__u32 block_bytes;
	__u32 desc_count;
	__u64 reserved0[5];

	__u64 head;
	__u64 desc_head;
	__u32 flags;
	__u32 error;
	__u32 generation;
	__u32 reserved1;
	__u64 start_ns;
	__u64 claim;
	__u64 reserved2[2];

	__u64 blocks;
	__u64 short_blocks;
	__u64 full_events;
	__u64 full_ns;
	__u64 wakeups;
	__u64 peak_bytes;
	__u64 reserved3[2];
};

/**
 * struct oni_ring_consumer - first bytes of the consumer page
 * @tail: bytes released by the reader in this generation
 * @reserved: leave alone
 */
struct oni_ring_consumer {
	__u64 tail;
	__u64 reserved[7];
};

/* oni_block.flags */
#define ONI_BLOCK_SHORT		0x1U	/* less than block_bytes */

/**
 * struct oni_block - descriptor of one published block
 * @position: of its first byte
 * @bytes: its length
 * @flags: ONI_BLOCK_*
 * @mono_ns: CLOCK_MONOTONIC when the driver saw that the hardware had it
 *	complete: the time of its own interrupt, or later if the block had to
 *	wait for the one before, never earlier. A fit of the clocks wants the
 *	earliest, so a lower envelope does
 * @seq: index of this descriptor since the acquisition began
 *
 * Descriptor i is in slot i modulo desc_count. A reader copies it, then checks
 * that desc_head - i < desc_count still holds; if not, it was lapped.
 */
struct oni_block {
	__u64 position;
	__u32 bytes;
	__u32 flags;
	__u64 mono_ns;
	__u64 seq;
};

/**
 * DOC: read and poll on a stream
 *
 * read(2): copies from the tail and releases it. Blocks until the wake-up rule
 * holds, then returns what there is. EAGAIN: nothing there and O_NONBLOCK (any
 * byte counts as there for a non-blocking read). 0: the acquisition is not
 * running and all was read (also before the first START: use poll to wait for
 * it). ENODEV: the hardware is gone and all was read. EIO: it ended with that
 * error, also during the stop, and all was read. EPROTO: the tail made no sense;
 * at once. Mixing read with moving the tail in the consumer page is allowed from
 * one thread.
 * On a monitor that was lapped read(2) returns EOVERFLOW once, drops what was
 * missed (see struct oni_monitor_stat), and goes on half a ring behind the
 * hardware, in general not at the border of a frame. EPROTO: its tail makes no
 * sense; unlike on a stream that is put right with the next START or by storing
 * the position of struct oni_monitor_stat.
 *
 * poll(2): EPOLLIN when the wake-up rule holds, and when a read would return 0
 * or an error after an acquisition; EPOLLERR with a latched error; EPOLLHUP |
 * EPOLLERR when the hardware is gone; EPOLLHUP alone on a monitor whose stream
 * was closed. On /dev/oniN EPOLLHUP | EPOLLERR says that the hardware is gone.
 */

#endif /* _UAPI_LINUX_ONI_H */
