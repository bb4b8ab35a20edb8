/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Calls of /dev/oni_alt, see oni_alt.c. For tests/bench only; nothing here is
 * kept stable.
 */
#ifndef ONI_ALT_H
#define ONI_ALT_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct oni_alt_config - access a register of the ONI controller
 * @reg: its index
 * @value: in or out
 * @write: 1 to write it
 */
struct oni_alt_config {
	__u32 reg;
	__u32 value;
	__u32 write;
};

/**
 * struct oni_alt_recv - sleep until one block has been written to memory
 * @addr: of the caller's buffer
 * @bytes: in: its length, which must be the block size; out: bytes written
 * @reserved: zero
 */
struct oni_alt_recv {
	__u64 addr;
	__u32 bytes;
	__u32 reserved;
};

#define ONI_ALT_CONFIG	_IOWR('A', 0, struct oni_alt_config)
#define ONI_ALT_BLOCK	_IOW('A', 1, __u32)	/* block size in words */
#define ONI_ALT_RECV	_IOWR('A', 2, struct oni_alt_recv)
#define ONI_ALT_RESET	_IO('A', 3)

#endif /* ONI_ALT_H */
