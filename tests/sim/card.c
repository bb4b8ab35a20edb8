// SPDX-License-Identifier: MIT
/* card.c - see card.h. */
#include "card.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RUN_WAIT_NS	1000000u	/* frames are made about this often */
#define IDLE_WAIT_NS	10000000u	/* port supplies, links */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void card_lock(struct card *c)
{
	pthread_mutex_lock(&c->turn);
	pthread_mutex_lock(&c->lock);
	pthread_mutex_unlock(&c->turn);
}

static void card_unlock(struct card *c)
{
	pthread_mutex_unlock(&c->lock);
}

/* Something changed: the engine, if it waits, should look now. */
static void card_kick(struct card *c)
{
	pthread_cond_signal(&c->kick);
}

/* ---- what the core needs, see riffa_ops ---- */

static int op_dma_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct card *c = ctx;

	if (!pci_bus_master(&c->pci))
		return -EAGAIN;
	return dma_read(&c->dma, addr, buf, len);
}

static int op_dma_write(void *ctx, uint64_t addr, const void *buf, size_t len)
{
	struct card *c = ctx;

	if (!pci_bus_master(&c->pci))
		return -EAGAIN;
	return dma_write(&c->dma, addr, buf, len);
}

static int op_msi(void *ctx)
{
	struct card *c = ctx;
	uint64_t one = 1;

	if (!pci_msi_enabled(&c->pci))
		return -ENODEV;
	if (!pci_bus_master(&c->pci))
		return -EAGAIN;
	/* QEMU hands over the eventfd shortly after the guest enabled MSI. */
	if (c->msi_fd < 0)
		return -EBUSY;
	return write(c->msi_fd, &one, sizeof(one)) == sizeof(one) ? 0 : -EBUSY;
}

static bool op_bus_master(void *ctx)
{
	struct card *c = ctx;

	return pci_bus_master(&c->pci);
}

static const void *op_peek(void *ctx, unsigned int ch, size_t *words)
{
	struct card *c = ctx;

	return controller_peek(&c->ctl, ch, words);
}

static void op_take(void *ctx, unsigned int ch, size_t words)
{
	struct card *c = ctx;

	controller_take(&c->ctl, ch, words);
}

static void op_end(void *ctx, unsigned int ch, uint32_t words)
{
	struct card *c = ctx;

	controller_end(&c->ctl, ch, words);
}

static size_t op_data(void *ctx, unsigned int ch, uint32_t offset,
		      const uint32_t *words, size_t n)
{
	struct card *c = ctx;

	return controller_data(&c->ctl, ch, offset, words, n);
}

static void op_reset_out(void *ctx)
{
	struct card *c = ctx;

	if (c->cfg.log)
		fprintf(c->cfg.log, "core reset by an access to INFO\n");
	controller_core_reset(&c->ctl);
}

/* ---- what the model needs, see model_env ---- */

static void env_emit(void *ctx, uint32_t addr, const void *frame, size_t len)
{
	struct card *c = ctx;

	fifo_put(&c->fifo, addr, frame, len);
}

static uint32_t env_used(void *ctx)
{
	struct card *c = ctx;

	return (uint32_t)(fifo_used(&c->fifo) / 4);
}

static uint32_t env_total(void *ctx)
{
	struct card *c = ctx;

	return (uint32_t)(c->fifo.size / 4);
}

static struct model *make_model(struct card *c, char *err, size_t errlen)
{
	struct model_env env = {
		.ctx = c, .emit = env_emit,
		.fifo_used_words = env_used, .fifo_total_words = env_total,
	};
	struct model *m = model_new(&env);
	const char *eq;
	unsigned int i;
	char *key;

	if (!m) {
		snprintf(err, errlen, "cannot create the device model: %s", strerror(errno));
		return NULL;
	}
	for (i = 0; i < c->cfg.options; i++) {
		eq = strchr(c->cfg.option[i], '=');
		if (!eq) {
			snprintf(err, errlen, "--model %s: KEY=VALUE expected", c->cfg.option[i]);
			break;
		}
		key = strndup(c->cfg.option[i], (size_t)(eq - c->cfg.option[i]));
		if (!key || model_set(m, key, eq + 1, err, errlen)) {
			free(key);
			break;
		}
		free(key);
	}
	if (i == c->cfg.options)
		return m;
	model_free(m);
	return NULL;
}

/* ---- life of the card ---- */

/* The options were accepted once, so only a lack of memory can fail here. */
static void power_on(struct card *c)
{
	char err[256];
	struct model *m;

	model_free(c->model);
	m = make_model(c, err, sizeof(err));
	if (!m) {
		fprintf(stderr, "onisim: %s\n", err);
		abort();
	}
	c->model = m;
	fifo_discard(&c->fifo);
	pci_reset(&c->pci);
	riffa_power_on(&c->riffa);
	controller_power_on(&c->ctl, m);
	c->stalled = false;
	c->touched = false;
}

static bool frames_held(const struct card *c)
{
	return fifo_used(&c->fifo) != 0;
}

static void on_event(void *ctx, enum controller_event event)
{
	struct card *c = ctx;

	switch (event) {
	case EVENT_START:
		account_begin(&c->account);
		break;
	case EVENT_STOP:
		account_write(&c->account, "stop");
		break;
	case EVENT_RESET:
		if (frames_held(c))
			account_write(&c->account, "reset");
		break;
	}
}

/* Power goes away or the slot is reset: the account of the run ends here. */
static void cut_run(struct card *c, const char *reason)
{
	bool running = c->ctl.reg[REG_RUNNING];

	if (running) {
		c->ctl.reg[REG_RUNNING] = 0;
		model_run(c->model, 0);
	}
	if (running || frames_held(c))
		account_write(&c->account, reason);
	model_flush(c->model);
	fifo_discard(&c->fifo);
}

static void *engine(void *arg)
{
	struct card *c = arg;
	struct timespec ts;
	uint64_t now;
	bool more;

	for (;;) {
		card_lock(c);
		if (c->quit)
			break;
		now = now_ns();
		more = false;
		if (c->attached) {
			more = controller_step(&c->ctl, now);
			more |= riffa_step(&c->riffa, now);
		}
		if (!more) {
			now += c->ctl.reg[REG_RUNNING] ? RUN_WAIT_NS : IDLE_WAIT_NS;
			ts.tv_sec = (time_t)(now / 1000000000u);
			ts.tv_nsec = (long)(now % 1000000000u);
			pthread_cond_timedwait(&c->kick, &c->lock, &ts);
		}
		card_unlock(c);
	}
	card_unlock(c);
	return NULL;
}

/* ---- callbacks of the vfio-user server ---- */

static void vfu_config_read(void *ctx, uint64_t off, void *buf, size_t len)
{
	struct card *c = ctx;

	card_lock(c);
	pci_read(&c->pci, off, buf, len);
	card_unlock(c);
}

static void vfu_config_write(void *ctx, uint64_t off, const void *buf, size_t len)
{
	struct card *c = ctx;

	card_lock(c);
	pci_write(&c->pci, off, buf, len);
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
	val = riffa_read(&c->riffa, (uint32_t)off % RIFFA_BAR_SIZE, len);
	if (c->cfg.trace && c->cfg.log)
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
	if (c->cfg.trace && c->cfg.log)
		fprintf(c->cfg.log, "W%zu 0x%03" PRIx64 " 0x%08x\n", len, off, val);
	riffa_write(&c->riffa, (uint32_t)off % RIFFA_BAR_SIZE, len, val);
	card_kick(c);
	card_unlock(c);
}

static int vfu_dma_map(void *ctx, uint64_t iova, uint64_t size, int fd,
		       uint64_t offset, uint32_t prot)
{
	struct card *c = ctx;
	int err;

	card_lock(c);
	err = dma_map(&c->dma, iova, size, fd, offset, prot);
	card_unlock(c);
	return err;
}

static int vfu_dma_unmap(void *ctx, uint64_t iova, uint64_t size)
{
	struct card *c = ctx;
	int err;

	card_lock(c);
	err = dma_unmap(&c->dma, iova, size);
	card_unlock(c);
	return err;
}

static void vfu_dma_unmap_all(void *ctx)
{
	struct card *c = ctx;

	card_lock(c);
	dma_unmap_all(&c->dma);
	card_unlock(c);
}

static void set_msi_fd(struct card *c, int fd)
{
	if (c->msi_fd >= 0)
		close(c->msi_fd);
	c->msi_fd = fd;
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
	if (c->msi_fd >= 0 && write(c->msi_fd, &one, sizeof(one)) < 0 && c->cfg.log)
		fprintf(c->cfg.log, "eventfd: %s\n", strerror(errno));
	card_unlock(c);
}

static void vfu_reset(void *ctx)
{
	struct card *c = ctx;

	card_lock(c);
	cut_run(c, "reset");
	if (c->touched)
		power_on(c);
	else
		pci_reset(&c->pci);
	card_unlock(c);
}

int card_serve(struct card *c, int sock)
{
	int err;

	card_lock(c);
	if (c->touched)
		power_on(c);
	c->attached = true;
	card_kick(c);
	card_unlock(c);

	err = vfu_serve(&c->vfu, sock);

	card_lock(c);
	c->attached = false;
	cut_run(c, "disconnect");
	dma_unmap_all(&c->dma);
	set_msi_fd(c, -1);
	pci_reset(&c->pci);
	riffa_power_on(&c->riffa);
	/* The model is made anew when the next client comes: its state can be read till then. */
	c->touched = true;
	card_unlock(c);
	return err;
}

/* ---- control interface ---- */

static void print_devices(struct card *c, FILE *out)
{
	const struct fifo_device *d;
	unsigned int i;

	for (i = 0; i < c->fifo.devices; i++) {
		d = &c->fifo.dev[i];
		fprintf(out, "frames.0x%x.produced %" PRIu64 "\n", d->addr, d->produced);
		fprintf(out, "frames.0x%x.delivered %" PRIu64 "\n", d->addr, d->delivered);
		fprintf(out, "frames.0x%x.left %" PRIu64 "\n", d->addr, fifo_left(d));
		fprintf(out, "frames.0x%x.lost %" PRIu64 "\n", d->addr, d->lost);
		fprintf(out, "frames.0x%x.discarded %" PRIu64 "\n", d->addr, d->discarded);
	}
}

static uint64_t frames_lost(const struct card *c)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < c->fifo.devices; i++)
		sum += c->fifo.dev[i].lost;
	return sum;
}

static void print_counter(FILE *out, const char *key, uint64_t val)
{
	fprintf(out, "%s %" PRIu64 "\n", key, val);
}

void card_status(struct card *c, FILE *out)
{
	unsigned int i;

	card_lock(c);
	print_counter(out, "attached", c->attached);
	print_counter(out, "stalled", c->stalled);
	print_counter(out, "mmio_reads", c->riffa.stats.reads);
	print_counter(out, "mmio_writes", c->riffa.stats.writes);
	print_counter(out, "msis", c->riffa.stats.msis);
	print_counter(out, "sg_lists", c->riffa.stats.lists);
	print_counter(out, "info_resets", c->riffa.stats.resets);
	print_counter(out, "resets", c->ctl.stats.resets);
	print_counter(out, "running", c->ctl.reg[REG_RUNNING]);
	print_counter(out, "run", c->ctl.run);
	print_counter(out, "clock", c->ctl.clock);
	print_counter(out, "block_words", c->ctl.block_words);
	print_counter(out, "blocks", c->ctl.stats.blocks);
	print_counter(out, "bytes", c->ctl.stats.bytes);
	print_counter(out, "reg_reads", c->ctl.stats.reg_reads);
	print_counter(out, "reg_writes", c->ctl.stats.reg_writes);
	print_counter(out, "reg_nacks", c->ctl.stats.reg_nacks);
	print_counter(out, "write_frames", c->ctl.stats.write_frames);
	print_counter(out, "bad_write_frames", c->ctl.stats.bad_write_frames);
	print_counter(out, "signal_lost", c->ctl.stats.signal_lost);
	print_counter(out, "ram_used_bytes", fifo_used(&c->fifo));
	print_counter(out, "ram_peak_bytes", c->fifo.peak);
	print_counter(out, "ram_total_bytes", c->fifo.size);
	print_counter(out, "frames_lost", frames_lost(c));
	print_devices(c, out);
	print_counter(out, "violations", c->viol.total);
	for (i = 0; i < VIOLATION_KINDS; i++)
		if (c->viol.count[i])
			fprintf(out, "violation.%s %" PRIu64 "\n", violation_name(i),
				c->viol.count[i]);
	model_status(c->model, out, "model.");
	card_unlock(c);
}

void card_violations(struct card *c, FILE *out)
{
	card_lock(c);
	violation_print(&c->viol, out);
	card_unlock(c);
}

uint64_t card_violation_total(struct card *c)
{
	uint64_t n;

	card_lock(c);
	n = c->viol.total;
	card_unlock(c);
	return n;
}

void card_unplug(struct card *c)
{
	vfu_disconnect(&c->vfu);
}

void card_shutdown(struct card *c)
{
	vfu_shutdown(&c->vfu);
}

void card_stall(struct card *c, bool stalled)
{
	card_lock(c);
	c->stalled = stalled;
	riffa_stall_tx(&c->riffa, CH_READ, stalled);
	riffa_stall_rx(&c->riffa, CH_WRITE, stalled);
	card_kick(c);
	card_unlock(c);
}

int card_fault(struct card *c, const char *what)
{
	unsigned int n;
	int ret = 0;

	card_lock(c);
	if (sscanf(what, "nack %u", &n) == 1)
		c->ctl.fault_nack = n;
	else if (sscanf(what, "mute %u", &n) == 1)
		c->ctl.fault_mute = n;
	else if (!strcmp(what, "msi"))
		riffa_spurious_msi(&c->riffa);
	else
		ret = -1;
	card_kick(c);
	card_unlock(c);
	return ret;
}

void card_reset_counters(struct card *c)
{
	card_lock(c);
	memset(&c->riffa.stats, 0, sizeof(c->riffa.stats));
	memset(&c->ctl.stats, 0, sizeof(c->ctl.stats));
	violation_reset(&c->viol);
	fifo_reset_counters(&c->fifo);
	account_begin(&c->account);
	card_unlock(c);
}

void card_write_truth(struct card *c)
{
	card_lock(c);
	account_write(&c->account, "command");
	model_flush(c->model);
	card_unlock(c);
}

int card_model_command(struct card *c, const char *line, char *err, size_t errlen)
{
	int ret;

	card_lock(c);
	ret = model_command(c->model, line, err, errlen);
	card_kick(c);
	card_unlock(c);
	return ret;
}

/* ---- begin and end ---- */

static void init_locks(struct card *c)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&c->turn, NULL);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->kick, &attr);
	pthread_condattr_destroy(&attr);
}

static void init_parts(struct card *c)
{
	struct riffa_ops ops = {
		.ctx = c, .dma_read = op_dma_read, .dma_write = op_dma_write,
		.msi = op_msi, .bus_master = op_bus_master, .tx_peek = op_peek,
		.tx_take = op_take, .tx_end = op_end, .rx_data = op_data,
		.reset_out = op_reset_out,
	};
	struct vfu_ops vops = {
		.ctx = c, .bar_size = c->cfg.pci.bar_size, .config_size = PCI_CONFIG_SIZE,
		.config_read = vfu_config_read, .config_write = vfu_config_write,
		.bar_read = vfu_bar_read, .bar_write = vfu_bar_write,
		.dma_map = vfu_dma_map, .dma_unmap = vfu_dma_unmap,
		.dma_unmap_all = vfu_dma_unmap_all, .msi_fd = vfu_msi_fd,
		.msi_trigger = vfu_msi_trigger, .reset = vfu_reset,
	};

	c->msi_fd = -1;
	c->viol.log = c->cfg.log;
	pci_init(&c->pci, &c->cfg.pci);
	riffa_init(&c->riffa, &c->cfg.riffa, &ops, &c->viol);
	vfu_init(&c->vfu, &vops, c->cfg.log);
	c->ctl.pace = c->cfg.pace;
	c->ctl.keep_rest = c->cfg.keep_rest;
	c->ctl.rst_out = c->cfg.rst_out;
	c->ctl.event = on_event;
	c->ctl.event_ctx = c;
}

int card_init(struct card *c, const struct card_config *cfg, char *err, size_t errlen)
{
	int ret;

	memset(c, 0, sizeof(*c));
	c->cfg = *cfg;
	init_locks(c);
	ret = controller_init(&c->ctl, &c->riffa, &c->fifo);
	if (!ret)
		ret = fifo_init(&c->fifo, cfg->ram_bytes);
	if (ret) {
		snprintf(err, errlen, "cannot get %" PRIu64 " bytes of card RAM: %s",
			 cfg->ram_bytes, strerror(-ret));
		return ret;
	}
	init_parts(c);
	ret = account_open(&c->account, cfg->truth_path, &c->fifo, &c->ctl, &c->viol);
	if (ret) {
		snprintf(err, errlen, "cannot write %s: %s", cfg->truth_path, strerror(-ret));
		return ret;
	}
	c->model = make_model(c, err, errlen);
	if (!c->model)
		return -EINVAL;
	controller_power_on(&c->ctl, c->model);
	ret = -pthread_create(&c->engine, NULL, engine, c);
	if (ret)
		snprintf(err, errlen, "cannot start the engine: %s", strerror(-ret));
	return ret;
}

void card_exit(struct card *c)
{
	card_lock(c);
	c->quit = true;
	card_kick(c);
	card_unlock(c);
	pthread_join(c->engine, NULL);
	account_write(&c->account, "exit");
	account_close(&c->account);
	model_flush(c->model);
	model_free(c->model);
	fifo_free(&c->fifo);
	dma_unmap_all(&c->dma);
	controller_free(&c->ctl);
}
