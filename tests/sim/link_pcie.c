// SPDX-License-Identifier: MIT
/* link_pcie.c - see link_pcie.h. */
#include "link_pcie.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "card.h"

/* ---- what the core needs, see riffa_ops ---- */

static int op_dma_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct card *c = ctx;

	if (!pci_bus_master(&c->pcie.pci))
		return -EAGAIN;
	return dma_read(&c->pcie.dma, addr, buf, len);
}

static int op_dma_write(void *ctx, uint64_t addr, const void *buf, size_t len)
{
	struct card *c = ctx;

	if (!pci_bus_master(&c->pcie.pci))
		return -EAGAIN;
	return dma_write(&c->pcie.dma, addr, buf, len);
}

static int op_msi(void *ctx)
{
	struct card *c = ctx;
	uint64_t one = 1;

	if (!pci_msi_enabled(&c->pcie.pci))
		return -ENODEV;
	if (!pci_bus_master(&c->pcie.pci))
		return -EAGAIN;
	/* QEMU hands over the eventfd shortly after the guest enabled MSI. */
	if (c->pcie.msi_fd < 0)
		return -EBUSY;
	return write(c->pcie.msi_fd, &one, sizeof(one)) == sizeof(one) ? 0 : -EBUSY;
}

static bool op_bus_master(void *ctx)
{
	struct card *c = ctx;

	return pci_bus_master(&c->pcie.pci);
}

static const void *op_peek(void *ctx, unsigned int ch, size_t *words)
{
	struct card *c = ctx;

	return onix_peek(&c->pcie.onix, ch, words);
}

static void op_take(void *ctx, unsigned int ch, size_t words)
{
	struct card *c = ctx;

	onix_take(&c->pcie.onix, ch, words);
}

static void op_end(void *ctx, unsigned int ch, uint32_t words)
{
	struct card *c = ctx;

	onix_end(&c->pcie.onix, ch, words);
}

static size_t op_data(void *ctx, unsigned int ch, uint32_t offset,
		      const uint32_t *words, size_t n)
{
	struct card *c = ctx;

	return onix_data(&c->pcie.onix, ch, offset, words, n);
}

static void op_reset_out(void *ctx)
{
	struct card *c = ctx;

	if (c->cfg.log)
		fprintf(c->cfg.log, "core reset by an access to INFO\n");
	onix_core_reset(&c->pcie.onix);
}

/* A host that shuts down leaves its last settings, and the reset hides them. */
static void note_config(struct card *c)
{
	if (!c->touched)
		return;
	c->pcie.last_master = pci_bus_master(&c->pcie.pci);
	c->pcie.last_msi = pci_msi_enabled(&c->pcie.pci);
}

/* ---- callbacks of the vfio-user server ---- */

static void vfu_config_read(void *ctx, uint64_t off, void *buf, size_t len)
{
	struct card *c = ctx;

	card_lock(c);
	pci_read(&c->pcie.pci, off, buf, len);
	card_unlock(c);
}

static void vfu_config_write(void *ctx, uint64_t off, const void *buf, size_t len)
{
	struct card *c = ctx;

	card_lock(c);
	pci_write(&c->pcie.pci, off, buf, len);
	card_kick(c);
	card_unlock(c);
}

/* The core answers one word; wider reads get it, then ones. */
static void vfu_bar_read(void *ctx, uint64_t off, void *buf, size_t len)
{
	struct card *c = ctx;
	uint32_t val;

	card_lock(c);
	c->touched = true;
	val = riffa_read(&c->pcie.riffa, (uint32_t)off % RIFFA_BAR_SIZE, len);
	if (c->pcie.cfg.trace && c->cfg.log)
		fprintf(c->cfg.log, "R%zu 0x%03" PRIx64 " 0x%08x\n", len, off, val);
	card_kick(c);
	card_unlock(c);
	memset(buf, 0xff, len);
	memcpy(buf, &val, len < sizeof(val) ? len : sizeof(val));
}

static void vfu_bar_write(void *ctx, uint64_t off, const void *buf, size_t len)
{
	struct card *c = ctx;
	uint32_t val = 0;

	memcpy(&val, buf, len < sizeof(val) ? len : sizeof(val));
	card_lock(c);
	c->touched = true;
	if (c->pcie.cfg.trace && c->cfg.log)
		fprintf(c->cfg.log, "W%zu 0x%03" PRIx64 " 0x%08x\n", len, off, val);
	riffa_write(&c->pcie.riffa, (uint32_t)off % RIFFA_BAR_SIZE, len, val);
	card_kick(c);
	card_unlock(c);
}

static int vfu_dma_map(void *ctx, uint64_t iova, uint64_t size, int fd,
		       uint64_t offset, uint32_t prot)
{
	struct card *c = ctx;
	int err;

	card_lock(c);
	err = dma_map(&c->pcie.dma, iova, size, fd, offset, prot);
	card_unlock(c);
	return err;
}

static int vfu_dma_unmap(void *ctx, uint64_t iova, uint64_t size)
{
	struct card *c = ctx;
	int err;

	card_lock(c);
	err = dma_unmap(&c->pcie.dma, iova, size);
	card_unlock(c);
	return err;
}

static void vfu_dma_unmap_all(void *ctx)
{
	struct card *c = ctx;

	card_lock(c);
	dma_unmap_all(&c->pcie.dma);
	card_unlock(c);
}

static void set_msi_fd(struct card *c, int fd)
{
	if (c->pcie.msi_fd >= 0)
		close(c->pcie.msi_fd);
	c->pcie.msi_fd = fd;
	card_kick(c);
}

static void vfu_msi_fd(void *ctx, int fd)
{
	struct card *c = ctx;

	card_lock(c);
	set_msi_fd(c, fd);
	card_unlock(c);
}

static void vfu_msi_trigger(void *ctx)
{
	struct card *c = ctx;
	uint64_t one = 1;

	card_lock(c);
	if (c->pcie.msi_fd >= 0 && write(c->pcie.msi_fd, &one, sizeof(one)) < 0 && c->cfg.log)
		fprintf(c->cfg.log, "eventfd: %s\n", strerror(errno));
	card_unlock(c);
}

static void vfu_reset(void *ctx)
{
	struct card *c = ctx;

	card_lock(c);
	note_config(c);
	card_cut_run(c, "reset");
	if (c->touched)
		card_power_on(c);
	else
		pci_reset(&c->pcie.pci);
	card_unlock(c);
}

static int serve(struct card *c, int sock, enum card_protocol protocol)
{
	int err;

	(void)protocol;
	card_lock(c);
	card_attach(c);
	card_unlock(c);

	err = vfu_serve(&c->pcie.vfu, sock);

	card_lock(c);
	note_config(c);
	card_detach(c);
	dma_unmap_all(&c->pcie.dma);
	set_msi_fd(c, -1);
	pci_reset(&c->pcie.pci);
	riffa_power_on(&c->pcie.riffa);
	onix_power_on(&c->pcie.onix);
	card_unlock(c);
	return err;
}

/* ---- the link, see link_ops ---- */

static void print_dma(const struct card *c, FILE *out)
{
	const struct riffa_stats *s = &c->pcie.riffa.stats;
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < c->pcie.dma.count; i++)
		bytes += c->pcie.dma.range[i].size;
	card_print_counter(out, "dma_maps", c->pcie.dma.count);
	card_print_counter(out, "dma_map_bytes", bytes);
	for (i = 0; i < c->pcie.riffa.cfg.channels; i++) {
		fprintf(out, "dma.%u.reads %" PRIu64 "\n", i, s->dma[i].reads);
		fprintf(out, "dma.%u.read_bytes %" PRIu64 "\n", i, s->dma[i].read_words * 4);
		fprintf(out, "dma.%u.writes %" PRIu64 "\n", i, s->dma[i].writes);
		fprintf(out, "dma.%u.write_bytes %" PRIu64 "\n", i, s->dma[i].write_words * 4);
	}
}

static void link_exit(struct card *c)
{
	dma_unmap_all(&c->pcie.dma);
}

static void link_power_on(struct card *c)
{
	pci_reset(&c->pcie.pci);
	riffa_power_on(&c->pcie.riffa);
	onix_power_on(&c->pcie.onix);
}

static bool link_step(struct card *c, uint64_t now_ns)
{
	bool more = onix_step(&c->pcie.onix);

	return riffa_step(&c->pcie.riffa, now_ns) || more;
}

static void link_stall(struct card *c, bool stalled)
{
	riffa_stall_tx(&c->pcie.riffa, CH_READ, stalled);
	riffa_stall_rx(&c->pcie.riffa, CH_WRITE, stalled);
}

static bool link_fault(struct card *c, const char *what)
{
	if (strcmp(what, "msi"))
		return false;
	riffa_spurious_msi(&c->pcie.riffa);
	return true;
}

static void link_patience(struct card *c, uint64_t ns)
{
	c->pcie.riffa.cfg.vector_timeout_ns = ns ? ns : c->cfg.pcie.riffa.vector_timeout_ns;
}

static void link_status(struct card *c, FILE *out)
{
	const struct pcie_link *l = &c->pcie;

	card_print_counter(out, "bus_master", pci_bus_master(&l->pci));
	card_print_counter(out, "msi_enabled", pci_msi_enabled(&l->pci));
	card_print_counter(out, "last_bus_master", l->last_master);
	card_print_counter(out, "last_msi_enabled", l->last_msi);
	print_dma(c, out);
	card_print_counter(out, "mmio_reads", l->riffa.stats.reads);
	card_print_counter(out, "mmio_writes", l->riffa.stats.writes);
	card_print_counter(out, "msis", l->riffa.stats.msis);
	card_print_counter(out, "sg_lists", l->riffa.stats.lists);
	card_print_counter(out, "info_resets", l->riffa.stats.resets);
	card_print_counter(out, "block_words", l->onix.block_words);
}

static void link_reset_counters(struct card *c)
{
	memset(&c->pcie.riffa.stats, 0, sizeof(c->pcie.riffa.stats));
}

static int link_unplug(struct card *c)
{
	vfu_disconnect(&c->pcie.vfu);
	return 0;
}

static void link_shutdown(struct card *c)
{
	vfu_shutdown(&c->pcie.vfu);
}

static struct controller_ops link_init(struct card *c)
{
	struct pcie_link *l = &c->pcie;
	struct riffa_ops ops = {
		.ctx = c, .dma_read = op_dma_read, .dma_write = op_dma_write,
		.msi = op_msi, .bus_master = op_bus_master, .tx_peek = op_peek,
		.tx_take = op_take, .tx_end = op_end, .rx_data = op_data,
		.reset_out = op_reset_out,
	};
	struct vfu_ops vops = {
		.ctx = c, .bar_size = c->cfg.pcie.pci.bar_size, .config_size = PCI_CONFIG_SIZE,
		.config_read = vfu_config_read, .config_write = vfu_config_write,
		.bar_read = vfu_bar_read, .bar_write = vfu_bar_write,
		.dma_map = vfu_dma_map, .dma_unmap = vfu_dma_unmap,
		.dma_unmap_all = vfu_dma_unmap_all, .msi_fd = vfu_msi_fd,
		.msi_trigger = vfu_msi_trigger, .reset = vfu_reset,
	};

	l->cfg = c->cfg.pcie;
	l->msi_fd = -1;
	pci_init(&l->pci, &l->cfg.pci);
	riffa_init(&l->riffa, &l->cfg.riffa, &ops, &c->viol);
	vfu_init(&l->vfu, &vops, c->cfg.log);
	onix_init(&l->onix, &c->ctl, &l->riffa);
	l->onix.rst_out = l->cfg.rst_out;
	c->faults = &l->riffa.faults;
	return onix_ops(&l->onix);
}

const struct link_ops pcie_link = {
	.init = link_init,
	.exit = link_exit,
	.power_on = link_power_on,
	.step = link_step,
	.stall = link_stall,
	.fault = link_fault,
	.patience = link_patience,
	.status = link_status,
	.reset_counters = link_reset_counters,
	.serve = serve,
	.unplug = link_unplug,
	.shutdown = link_shutdown,
};
