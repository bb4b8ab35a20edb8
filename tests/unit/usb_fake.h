/* SPDX-License-Identifier: MIT */
/*
 * usb_fake.h - the functions of libusb that the backend uses, over a USB/IP socket.
 *
 * So the whole backend, threads included, runs under the sanitizers against onisim, with
 * neither a kernel driver nor a device. The descriptor that is "wrapped" is a connection
 * on which the device was imported; the fake owns nothing of it.
 *
 * As libusb: completions are called by whoever handles events, without a lock; a
 * cancelled transfer comes back; after the end of the connection everything does.
 * Threads: one handles events, any may submit and cancel.
 */
#ifndef USB_FAKE_H
#define USB_FAKE_H

#include <stdbool.h>

/* What the next claims answer: LIBUSB_ERROR_*, 0 they succeed. */
extern int fake_claim_error;
/* There is no memory to share with the kernel. */
extern bool fake_no_shared_memory;
/* Transfers that were allocated and not freed, contexts that were not ended. */
extern int fake_transfers, fake_contexts;

#endif
