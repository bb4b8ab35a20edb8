// SPDX-License-Identifier: MIT
/*
 * headstage.c - names of hubs and the port voltage to begin with for each headstage.
 *
 * Constant tables; pure. Hub ids from liboni's onix.h. Supply needs from the ONIX
 * hardware guide and bonsai-onix1. A default is the upper supply limit or less at
 * the headstage plus nothing for the tether, so that it cannot hurt with a short
 * one; with a long tether more may be needed, and the kernel's window bounds it.
 */
#include <errno.h>
#include <strings.h>

#include "onidev.h"

const char *onidev_hub_name(uint32_t hardware_id)
{
	/* Bits 23:16 are the company; bit 16 also says "safe image running". */
	switch (hardware_id & 0xffff) {
	case 0:
		return "null hub";
	case ONI_HUB_FMC_HOST:
		return "ONIX PCIe controller";
	case ONI_HUB_HS64:
		return "headstage-64";
	case ONI_HUB_NP1F:
		return "headstage-neuropixels1f";
	case ONI_HUB_RHS2116:
		return "headstage-rhs2116";
	case ONI_HUB_HS64S:
		return "headstage-64s";
	case 6:
		return "headstage-neuropixels1e (TE)";
	case ONI_HUB_NP2E_BETA:
		return "headstage-neuropixels2e-beta";
	case ONI_HUB_NP2E:
		return "headstage-neuropixels2e";
	case ONI_HUB_NRIC1384:
		return "headstage-nric1384";
	case ONI_HUB_NP1E:
		return "headstage-neuropixels1e";
	case 256:
		return "Acquisition Board";
	case 257:
		return "Rhythm hub";
	case 258:
		return "Acquisition Board 3D";
	}
	return "unknown hub";
}

static const struct onidev_headstage headstages[] = {
	{ ONI_HUB_HS64, "hs64", "headstage-64", 60,
	  "5.5 to 6.0 V at the headstage, never above 6.3 V" },
	{ ONI_HUB_HS64S, "hs64s", "headstage-64s", 60,
	  "5.5 to 6.0 V at the headstage, never above 6.3 V" },
	{ ONI_HUB_RHS2116, "rhs2116", "headstage-rhs2116", 44,
	  "3.4 to 4.4 V at the headstage, never above 5.0 V" },
	{ ONI_HUB_NP1F, "np1f", "headstage-neuropixels1f", 50,
	  "4.5 to 5.5 V at the headstage" },
	{ ONI_HUB_NP1E, "np1e", "headstage-neuropixels1e", 45,
	  "3.8 to 5.0 V at the headstage" },
	{ ONI_HUB_NP2E, "np2e", "headstage-neuropixels2e", 45,
	  "3.0 to 5.5 V at the headstage" },
	{ ONI_HUB_NP2E_BETA, "np2e-beta", "headstage-neuropixels2e-beta", 45,
	  "3.0 to 5.0 V at the headstage" },
	{ ONI_HUB_NRIC1384, "nric1384", "headstage-nric1384", 45,
	  "3.8 to 5.5 V at the headstage" },
};

#define COUNT	(sizeof(headstages) / sizeof(headstages[0]))

const struct onidev_headstage *onidev_headstage_at(size_t i)
{
	return i < COUNT ? &headstages[i] : NULL;
}

const struct onidev_headstage *onidev_headstage_find(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT; i++)
		if (!strcasecmp(headstages[i].name, name) ||
		    !strcasecmp(headstages[i].title, name))
			return &headstages[i];
	errno = ENOENT;
	return NULL;
}

const struct onidev_headstage *onidev_headstage_find_id(uint32_t hardware_id)
{
	size_t i;

	for (i = 0; i < COUNT; i++)
		if (headstages[i].hardware_id == (hardware_id & 0xffff))
			return &headstages[i];
	errno = ENOENT;
	return NULL;
}
