/* SPDX-License-Identifier: MIT */
/*
 * link_pcie.h - the link of an ONIX card: PCIe function and RIFFA core.
 *
 * Owns configuration space, RIFFA core, guest memory and the vfio-user server.
 * Threads: the callbacks of the server take the card's lock; everything else is
 * called as link_ops says.
 */
#ifndef SIM_LINK_PCIE_H
#define SIM_LINK_PCIE_H

#include <stdbool.h>

#include "dma.h"
#include "onix.h"
#include "pci.h"
#include "riffa.h"
#include "vfio_user.h"

struct pcie_config {
	struct riffa_config riffa;
	struct pci_config pci;
	bool rst_out;			/* see struct onix */
	bool trace;			/* log every register access */
};

struct pcie_link {
	struct pcie_config cfg;
	struct vfu vfu;
	int msi_fd;
	/* Configuration space just before the last power-on or disconnect. */
	bool last_master, last_msi;
	struct pci pci;
	struct riffa riffa;
	struct onix onix;
	struct dma_space dma;
};

struct link_ops;
extern const struct link_ops pcie_link;

#endif
