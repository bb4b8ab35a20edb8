// SPDX-License-Identifier: MIT
/*
 * explain.c - what an errno means for what was tried, and what to do about it.
 *
 * Constant tables; pure. There is an entry for every errno that <linux/oni.h> lists
 * with a call, and for the common ones of every call; the unit test walks that
 * list. A sentence says what is wrong, then the remedy.
 */
#include <errno.h>
#include <stddef.h>

#include "onidev.h"

struct sentence {
	int error;
	const char *text;
};

#define END	{ 0, NULL }

/* Errors that mean the same for every call. */
static const struct sentence common[] = {
	{ ENOTTY, "this is not an ONI controller, or the driver is older than this program: "
		  "check the path with 'onictl list' and update the oni modules" },
	{ EINVAL, "a value is out of its range: check the numbers given" },
	{ E2BIG, "the program is newer than the driver and asks for something it does not "
		 "know: update the oni modules" },
	{ EFAULT, "the program passed a bad pointer: this is a bug, please report it" },
	{ EPERM, "only the owner of the controller may do this: open it for writing and "
		 "claim it, or stop the program that owns it" },
	{ EOPNOTSUPP, "this hardware cannot do that: see 'onictl info' for what it can" },
	{ ENODEV, "the controller is gone: it was unplugged or its driver was unbound; plug it "
		  "in again and look with 'onictl list'" },
	{ EIO, "the link to the controller failed: try 'onictl reset', then check cable and "
	       "slot, then look at the kernel log" },
	{ ETIMEDOUT, "the controller did not answer in time: try 'onictl reset', then power the "
		     "machine off and on" },
	{ ENOMEM, "the kernel is out of memory: close other programs or use a smaller ring" },
	{ EINTR, "interrupted by a signal before anything happened: run it again" },
	{ EACCES, "no permission for the node: add yourself to group 'oni' (adduser USER oni) "
		  "and log in again" },
	{ EBUSY, "the controller is busy: another program uses it or an acquisition runs; end "
		 "that first" },
	{ EMFILE, "too many open files: close some or raise 'ulimit -n'" },
	{ ENFILE, "the system has too many open files: close other programs" },
	END
};

static const struct sentence on_open[] = {
	{ ENOENT, "there is no such controller: 'onictl list' shows what is there" },
	{ ENODEV, "no controller was found: check that it is plugged in ('lspci', 'lsusb'), that "
		  "oni_riffa or oni_ft600 is loaded ('lsmod') and what the kernel log says" },
	{ ENXIO, "the node exists but no driver is behind it: load oni_riffa for a PCIe card "
		 "or oni_ft600 for a USB board (modprobe)" },
	{ ENOTTY, "this is not an ONI controller: give a path or name that 'onictl list' shows" },
	{ EPERM, "the system forbids opening the node: check the device policy of the service or "
		 "container" },
	END
};

static const struct sentence on_table[] = {
	{ EMSGSIZE, "the device table grew while it was read: read it again" },
	END
};

static const struct sentence on_claim[] = {
	{ EBUSY, "another program owns the controller: end it first ('fuser -v /dev/oniN' shows "
		 "which)" },
	{ EPERM, "the node was opened read-only: open it for writing to claim the controller" },
	END
};

static const struct sentence on_release[] = {
	{ EPERM, "this program does not own the controller: there is nothing to give up" },
	END
};

static const struct sentence on_reset[] = {
	{ EBUSY, "an acquisition runs: stop it before a reset" },
	{ EPROTO, "the controller sent a device table that makes no sense: power the machine off "
		  "and on; if it stays, the gateware does not match this driver" },
	{ EIO, "the controller did not come back from the reset: power the machine off and on, "
	       "then look at the kernel log" },
	END
};

static const struct sentence on_reg_read[] = {
	{ ENOENT, "there is no device at this address: 'onictl devices' shows the table; a "
		  "headstage appears after its port was powered" },
	{ EREMOTEIO, "the device refused the read (NACK): the register does not exist or what "
		     "is behind it is not connected" },
	END
};

static const struct sentence on_reg_write[] = {
	{ ENOENT, "there is no device at this address: 'onictl devices' shows the table; a "
		  "headstage appears after its port was powered" },
	{ EREMOTEIO, "the device refused the write (NACK): the register is read-only or the "
		     "value out of range" },
	{ EPERM, "not allowed: either this program does not own the controller (claim it), or "
		 "the driver refuses the register for safety because it could drive a "
		 "stimulator, a port voltage or a memory (use 'onictl port' for port power)" },
	END
};

static const struct sentence on_ctl_read[] = {
	{ ENOENT, "this controller register is not accessible: only RUNNING, SYSCLKHZ, ACQCLKHZ, "
		  "HWADDRESS and CUSTOM are" },
	END
};

static const struct sentence on_ctl_write[] = {
	{ ENOENT, "this controller register is not accessible: only HWADDRESS and CUSTOM can be "
		  "written" },
	{ EPERM, "not allowed: either this program does not own the controller (claim it), or "
		 "the register is read-only (only HWADDRESS and CUSTOM can be written)" },
	{ EBUSY, "an acquisition runs: stop it before writing a controller register" },
	END
};

static const struct sentence on_port[] = {
	{ EBUSY, "an acquisition runs: stop it before changing a port" },
	{ ERANGE, "this voltage is outside the window of the headstage, nothing was written: "
		  "choose one inside it" },
	{ ENOLINK, "the link did not lock, the port was switched off again: check that the "
		   "headstage is plugged in, and try a higher voltage for a long tether" },
	{ EMEDIUMTYPE, "another headstage than the one named is plugged in, the port was "
		       "switched off: name the right one, because its voltage differs" },
	{ ENOENT, "there is no port controller at this address: use port a or b" },
	{ EOPNOTSUPP, "no voltage window is known for this headstage: only headstages that "
		      "'onictl port --help' lists can be powered" },
	END
};

static const struct sentence on_start[] = {
	{ EBUSY, "an acquisition runs already: stop it first" },
	{ ENODATA, "no stream exists: create one before the start" },
	{ EINVAL, "the block size of the stream is too small for the frames since the last "
		  "reset: create a stream with larger blocks" },
	END
};

static const struct sentence on_stream_create[] = {
	{ EBUSY, "a stream exists already or an acquisition runs: end the program that uses it" },
	{ EINVAL, "the sizes do not fit: the ring must be a power of two of at least 64 KiB and "
		  "4 blocks, the block a multiple of the alignment and at least the largest "
		  "frame ('onictl info' shows both), the watermark at most half the ring" },
	{ ENOMEM, "not enough memory for the ring: use a smaller one" },
	{ ENXIO, "the memory that the device tree names for the ring cannot be used: the kernel "
		 "log says why" },
	END
};

static const struct sentence on_monitor_create[] = {
	{ ENODATA, "nobody streams: start a recording first, then look at it" },
	{ EBUSY, "too many programs look at this stream already: end one of them" },
	{ EINVAL, "the watermark is larger than half the ring, or ring or block size were given, "
		  "which are those of the stream: leave them out" },
	END
};

static const struct sentence on_reg_batch[] = {
	{ ENOENT, "one of the devices is not there, nothing was done: 'onictl devices' shows the "
		  "table" },
	{ EREMOTEIO, "a device refused its access (NACK), those before it were done: the result "
		     "of each access tells which" },
	{ EINVAL, "the batch has no accesses, more than 256 or a malformed one, nothing was done: "
		  "check the program" },
	{ EPERM, "not allowed, nothing was done: either this program does not own the controller "
		 "(claim it), or the driver refuses one of the registers for safety" },
	{ EINTR, "interrupted by a signal between two accesses: go on behind those that were "
		 "done" },
	END
};

static const struct sentence on_stream_wake[] = {
	{ EINVAL, "the watermark is larger than half the ring: use a smaller one" },
	END
};

static const struct sentence on_map[] = {
	{ EPERM, "this part of the stream cannot be mapped writable: this is a bug of the "
		 "program, please report it" },
	{ EINVAL, "the stream has another geometry than the program expects: update both to the "
		  "same version" },
	{ ENOMEM, "not enough address space to map the ring: use a smaller one or raise "
		  "'ulimit -v'" },
	{ EAGAIN, "too much locked memory: raise LimitMEMLOCK or 'ulimit -l'" },
	END
};

static const struct sentence on_read[] = {
	{ EAGAIN, "no data yet: wait with poll and read again" },
	{ ENODEV, "the controller is gone and all of its data were read: plug it in again" },
	{ EIO, "the link to the controller failed and all data before that were read: try "
	       "'onictl reset', then check cable and slot" },
	{ EPROTO, "the read position in the shared page was corrupted and the stream stopped: "
		  "this is a bug of the reading program, please report it" },
	{ EOVERFLOW, "the hardware has overtaken this monitor and some data were missed: go on "
		     "reading, and read faster or look at less" },
	END
};

static const struct sentence on_frame_next[] = {
	{ EPROTO, "the stream is out of step: these bytes are no frame of the device table; read "
		  "the table again, and if it stays reset the controller" },
	{ EINVAL, "the program gave no device table to the stream: this is a bug, please "
		  "report it" },
	{ EOVERFLOW, "the hardware has overtaken this monitor and some frames were missed: go on "
		     "reading, and read faster or look at less" },
	END
};

static const struct sentence on_write[] = {
	{ EAGAIN, "another write is under way: wait for it and write again" },
	{ EPERM, "not allowed: either this program does not own the controller (claim it), or "
		 "the driver refuses frames to this device for safety" },
	{ ENOENT, "there is no device at this address: 'onictl devices' shows the table" },
	{ EINVAL, "the payload does not fit the device: its length must be a multiple of the "
		  "write size that 'onictl devices' shows" },
	{ EOPNOTSUPP, "this device takes no frames: 'onictl devices' shows which have a write "
		      "size" },
	{ EBADF, "the node was opened read-only: open it for writing" },
	{ EMSGSIZE, "the frame is larger than the controller takes: send less at once" },
	{ ENODATA, "no acquisition runs: start one, frames are only taken while it runs" },
	END
};

static const struct {
	const char *name;
	const struct sentence *own;
} ops[ONIDEV_OP_COUNT] = {
	[ONIDEV_OP_OPEN]		= { "open the controller", on_open },
	[ONIDEV_OP_INFO]		= { "read the controller's information", NULL },
	[ONIDEV_OP_DEVICE_TABLE]	= { "read the device table", on_table },
	[ONIDEV_OP_CLAIM]		= { "claim the controller", on_claim },
	[ONIDEV_OP_RELEASE]		= { "release the controller", on_release },
	[ONIDEV_OP_RESET]		= { "reset the controller", on_reset },
	[ONIDEV_OP_REG_READ]		= { "read the register", on_reg_read },
	[ONIDEV_OP_REG_WRITE]		= { "write the register", on_reg_write },
	[ONIDEV_OP_CTL_READ]		= { "read the controller register", on_ctl_read },
	[ONIDEV_OP_CTL_WRITE]		= { "write the controller register", on_ctl_write },
	[ONIDEV_OP_PORT_POWER]		= { "switch the port", on_port },
	[ONIDEV_OP_START]		= { "start the acquisition", on_start },
	[ONIDEV_OP_STOP]		= { "stop the acquisition", NULL },
	[ONIDEV_OP_STREAM_CREATE]	= { "create the stream", on_stream_create },
	[ONIDEV_OP_STATS]		= { "read the counters", NULL },
	[ONIDEV_OP_STREAM_INFO]		= { "ask for the stream's geometry", NULL },
	[ONIDEV_OP_STREAM_WAKE]		= { "set the wake-up rule", on_stream_wake },
	[ONIDEV_OP_STREAM_MAP]		= { "map the stream", on_map },
	[ONIDEV_OP_STREAM_READ]		= { "read the stream", on_read },
	[ONIDEV_OP_FRAME_NEXT]		= { "read a frame", on_frame_next },
	[ONIDEV_OP_FRAME_WRITE]		= { "send a frame", on_write },
	[ONIDEV_OP_MONITOR_CREATE]	= { "look at the stream of another program",
					    on_monitor_create },
	[ONIDEV_OP_REG_BATCH]		= { "access the registers", on_reg_batch },
};

static const char *find(const struct sentence *s, int error)
{
	for (; s && s->text; s++)
		if (s->error == error)
			return s->text;
	return NULL;
}

const char *onidev_op_name(enum onidev_op op)
{
	return (unsigned int)op < ONIDEV_OP_COUNT ? ops[op].name : "do this";
}

const char *onidev_explain(enum onidev_op op, int error)
{
	const char *text = NULL;

	if ((unsigned int)op < ONIDEV_OP_COUNT)
		text = find(ops[op].own, error);
	if (!text)
		text = find(common, error);
	return text ? text :
	       "the system refused it for a reason this program does not know: look at the "
	       "kernel log ('dmesg')";
}
