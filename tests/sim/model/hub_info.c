// SPDX-License-Identifier: MIT
/*
 * hub_info.c - the hub information device, index 0xFE of every hub.
 *
 * It is not in the device table and has no streams. The common registers refuse
 * every write; a board can have more of its own (ONI v1.0 spec, hubs; hardware
 * ids from liboni's onix.h). Revisions and hub firmware versions are examples,
 * the published facts do not fix them.
 */
#include "model_priv.h"

int hub_info_read(struct hub *h, uint32_t reg, uint32_t *val)
{
	switch (reg) {
	case 0:
		*val = h->hardware_id;
		return 0;
	case 1:
		*val = h->revision;
		return 0;
	case 2:
	case 3:
		*val = h->firmware;
		return 0;
	case 4:
		*val = h->clock_hz;
		return 0;
	case 5:
		*val = h->latency_ns;
		return 0;
	default:
		return h->info_read ? h->info_read(h, reg, val) : -1;
	}
}
