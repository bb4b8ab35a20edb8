/* SPDX-License-Identifier: MIT */
/*
 * pci.h - configuration space of the card.
 *
 * Owns the 4 KiB configuration space with its write masks: one 32-bit memory
 * BAR, power management, 64-bit MSI with one vector, PCI Express capability.
 * Threads: no lock; called under the card lock.
 * Source: PCI Express base specification; identity and capabilities from the
 * settings of the PCIe core in the RIFFA port for the ONIX carrier board (ids
 * of production cards are not published).
 */
#ifndef SIM_PCI_H
#define SIM_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_CONFIG_SIZE	4096u

struct pci_config {
	uint16_t vendor, device, subvendor, subdevice;
	uint32_t bar_size;	/* power of two, at least 16 */
};

struct pci {
	struct pci_config cfg;
	uint8_t data[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE];
	uint8_t clear[PCI_CONFIG_SIZE];		/* bits a written 1 clears */
};

void pci_init(struct pci *p, const struct pci_config *cfg);
/* Power-on values. */
void pci_reset(struct pci *p);
/* Accesses beyond the space read as zero and are dropped when written. */
void pci_read(const struct pci *p, uint64_t off, void *buf, size_t len);
void pci_write(struct pci *p, uint64_t off, const void *buf, size_t len);

bool pci_bus_master(const struct pci *p);
bool pci_msi_enabled(const struct pci *p);

#endif
