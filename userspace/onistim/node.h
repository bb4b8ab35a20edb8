/* SPDX-License-Identifier: MIT */
/*
 * node.h - the nodes of the interlock: /dev/oniN-stim and /dev/oniN-stop.
 *
 * Thin: one function for each ioctl of <linux/oni_stim.h>, with its argument filled
 * in. -1 and errno on failure; where there is a @verdict, it is the kernel's if its code
 * is not ONI_STIM_OK, and zero otherwise.
 */
#ifndef ONISTIM_NODE_H
#define ONISTIM_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/oni_stim_check.h"

#define NODE_NAME	64

/*
 * "oni0" for what a user typed (as onidev_controller_open(); NULL: first). Needs no
 * right to any node. ENODEV: there is no controller.
 */
int node_name(const char *which, char *name);
/* Open /dev/NAME-stim or -stop; a descriptor. ENOENT: the controller has none. */
int node_open(const char *name, const char *suffix, int flags);

int node_status(int fd, struct oni_stim_status *status);
/* @hub: out: of the headstage that they are for, 0: of any. */
int node_limits(int fd, struct oni_stim_policy *policy, uint32_t *hub);
int node_policy(int fd, const struct oni_stim_policy *policy, uint32_t hub, uint32_t flags,
		struct oni_stim_verdict *verdict);
int node_claim(int fd, uint64_t *nonce, struct oni_stim_verdict *verdict);
int node_step(int fd, uint64_t nonce, uint32_t hub, uint32_t step_na,
	      struct oni_stim_verdict *verdict);
/* ONI_STIM_IOC_CHECK or _LOAD; @hash of ONI_STIM_HASH_BYTES. */
int node_program(int fd, unsigned long ioc, uint64_t nonce, uint32_t hub,
		 const struct oni_stim_program *program, const struct oni_stim_delta *rows,
		 uint32_t nrows, uint8_t *hash, struct oni_stim_verdict *verdict);
int node_arm(int fd, uint64_t nonce, const uint8_t *hash, uint32_t ttl_ms,
	     struct oni_stim_verdict *verdict);
int node_kick(int fd, uint64_t nonce, uint64_t position, uint32_t generation,
	      struct oni_stim_verdict *verdict);
/* ONI_STIM_IOC_FIRE, _DISARM, _RELEASE, _ACK_FAULT */
int node_call(int fd, unsigned long ioc, uint64_t nonce, struct oni_stim_verdict *verdict);

/*
 * One sentence on why @what failed with @error: the verdict if there is one, else what
 * the errno means here and the remedy. Returns @buf.
 */
char *node_explain(char *buf, size_t len, const char *what, int error,
		   const struct oni_stim_verdict *verdict);
/* The same for node_name() and node_open(); @name may be NULL. */
char *node_open_explain(char *buf, size_t len, const char *name, const char *suffix, int error);

#endif
