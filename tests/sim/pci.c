// SPDX-License-Identifier: MIT
/* pci.c - see pci.h. */
#include "pci.h"

#include <linux/pci_regs.h>
#include <string.h>

#define CAP_PM		0x40u
#define CAP_MSI		0x48u
#define CAP_EXP		0x60u

#define CLASS_MEMORY	0x058000u

static void put16(uint8_t *p, uint32_t off, uint32_t val)
{
	p[off] = (uint8_t)val;
	p[off + 1] = (uint8_t)(val >> 8);
}

static void put32(uint8_t *p, uint32_t off, uint32_t val)
{
	put16(p, off, val);
	put16(p, off + 2, val >> 16);
}

static void fill_header(struct pci *p)
{
	uint8_t *d = p->data, *w = p->writable;

	put16(d, PCI_VENDOR_ID, p->cfg.vendor);
	put16(d, PCI_DEVICE_ID, p->cfg.device);
	put16(d, PCI_STATUS, PCI_STATUS_CAP_LIST);
	put32(d, PCI_CLASS_REVISION, CLASS_MEMORY << 8);
	put16(d, PCI_SUBSYSTEM_VENDOR_ID, p->cfg.subvendor);
	put16(d, PCI_SUBSYSTEM_ID, p->cfg.subdevice);
	d[PCI_CAPABILITY_LIST] = CAP_PM;

	put16(w, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
	      PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	put16(p->clear, PCI_STATUS, PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT |
	      PCI_STATUS_REC_TARGET_ABORT | PCI_STATUS_REC_MASTER_ABORT |
	      PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY);
	w[PCI_CACHE_LINE_SIZE] = 0xff;
	w[PCI_INTERRUPT_LINE] = 0xff;
	put32(w, PCI_BASE_ADDRESS_0, ~(p->cfg.bar_size - 1));
}

static void fill_pm_msi(struct pci *p)
{
	uint8_t *d = p->data, *w = p->writable;

	d[CAP_PM] = PCI_CAP_ID_PM;
	d[CAP_PM + 1] = CAP_MSI;
	put16(d, CAP_PM + PCI_PM_PMC, 3);
	put16(d, CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
	put16(w, CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);

	d[CAP_MSI] = PCI_CAP_ID_MSI;
	d[CAP_MSI + 1] = CAP_EXP;
	put16(d, CAP_MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT);
	put16(w, CAP_MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	put32(w, CAP_MSI + PCI_MSI_ADDRESS_LO, ~3u);
	put32(w, CAP_MSI + PCI_MSI_ADDRESS_HI, ~0u);
	put16(w, CAP_MSI + PCI_MSI_DATA_64, 0xffff);
}

static void fill_express(struct pci *p)
{
	uint8_t *d = p->data + CAP_EXP, *w = p->writable + CAP_EXP;
	uint8_t *c = p->clear + CAP_EXP;

	d[0] = PCI_CAP_ID_EXP;
	put16(d, PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ENDPOINT << 4);
	put32(d, PCI_EXP_DEVCAP, 2 /* 512 bytes */ | PCI_EXP_DEVCAP_EXT_TAG |
	      PCI_EXP_DEVCAP_RBER);
	put16(d, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN |
	      PCI_EXP_DEVCTL_READRQ_512B);
	put16(w, PCI_EXP_DEVCTL, 0x7fff);
	put16(c, PCI_EXP_DEVSTA, PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED |
	      PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD);
	put32(d, PCI_EXP_LNKCAP, PCI_EXP_LNKCAP_SLS_5_0GB | 4 << 4);
	put16(w, PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_RCB |
	      PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES);
	put16(d, PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_CLS_5_0GB | PCI_EXP_LNKSTA_NLW_X4 |
	      PCI_EXP_LNKSTA_SLC);
	put16(w, PCI_EXP_DEVCTL2, 0x7fff);
	put32(d, PCI_EXP_LNKCAP2, PCI_EXP_LNKCAP2_SLS_2_5GB | PCI_EXP_LNKCAP2_SLS_5_0GB);
	put16(d, PCI_EXP_LNKCTL2, PCI_EXP_LNKCTL2_TLS_5_0GT);
	put16(w, PCI_EXP_LNKCTL2, 0xffff);
}

void pci_reset(struct pci *p)
{
	memset(p->data, 0, sizeof(p->data));
	memset(p->writable, 0, sizeof(p->writable));
	memset(p->clear, 0, sizeof(p->clear));
	fill_header(p);
	fill_pm_msi(p);
	fill_express(p);
}

void pci_init(struct pci *p, const struct pci_config *cfg)
{
	p->cfg = *cfg;
	pci_reset(p);
}

void pci_read(const struct pci *p, uint64_t off, void *buf, size_t len)
{
	memset(buf, 0, len);
	if (off < PCI_CONFIG_SIZE)
		memcpy(buf, p->data + off,
		       len < PCI_CONFIG_SIZE - off ? len : PCI_CONFIG_SIZE - off);
}

void pci_write(struct pci *p, uint64_t off, const void *buf, size_t len)
{
	const uint8_t *from = buf;
	uint8_t keep;

	for (; len && off < PCI_CONFIG_SIZE; len--, off++, from++) {
		keep = p->data[off] & ~p->writable[off];
		keep &= ~(*from & p->clear[off]);
		p->data[off] = keep | (*from & p->writable[off]);
	}
}

bool pci_bus_master(const struct pci *p)
{
	return p->data[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

bool pci_msi_enabled(const struct pci *p)
{
	return p->data[CAP_MSI + PCI_MSI_FLAGS] & PCI_MSI_FLAGS_ENABLE;
}
