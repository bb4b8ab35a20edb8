/* SPDX-License-Identifier: MIT */
/*
 * crc32c.h - CRC-32C (Castagnoli, reflected polynomial 0x82f63b78) for the
 * records of spikes.bin and the lines of the journal. Pure, no state; any
 * thread.
 */
#ifndef ONIREC_CRC32C_H
#define ONIREC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Start with @crc 0; feed the result back in to go on. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
