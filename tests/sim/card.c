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

void card_lock(struct card *c)
{
	pthread_mutex_lock(&c->turn);
	pthread_mutex_lock(&c->lock);
	pthread_mutex_unlock(&c->turn);
}

void card_unlock(struct card *c)
{
	pthread_mutex_unlock(&c->lock);
}

void card_kick(struct card *c)
{
	pthread_cond_signal(&c->kick);
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
		.ctx = c, .board = c->cfg.board, .emit = env_emit,
		.fifo_used_words = env_used, .fifo_total_words = env_total,
		.stim = &c->stim,
	};
	struct model *m = model_new(&env);
	const char *eq;
	unsigned int i;
	char *key;

	if (!m) {
		snprintf(err, errlen, "cannot create the device model: %s", strerror(errno));
		errno = ENOMEM;
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
	errno = EINVAL;
	return NULL;
}

/* ---- life of the card ---- */

/* The options were accepted once, so only a lack of memory can fail here. */
void card_power_on(struct card *c)
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
	controller_power_on(&c->ctl, m);
	c->link->power_on(c);
	c->stalled = false;
	c->touched = false;
}

static bool frames_held(const struct card *c)
{
	unsigned int i;

	for (i = 0; i < c->fifo.devices; i++)
		if (fifo_held(&c->fifo.dev[i]))
			return true;
	return false;
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

void card_cut_run(struct card *c, const char *reason)
{
	bool running = c->ctl.reg[REG_RUNNING] || c->ctl.run_on;

	if (running) {
		c->ctl.reg[REG_RUNNING] = 0;
		c->ctl.run_on = false;
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
			more |= c->link->step(c, now);
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

void card_print_counter(FILE *out, const char *key, uint64_t val)
{
	fprintf(out, "%s %" PRIu64 "\n", key, val);
}

void card_status(struct card *c, FILE *out)
{
	unsigned int i;

	card_lock(c);
	card_print_counter(out, "attached", c->attached);
	card_print_counter(out, "stalled", c->stalled);
	c->link->status(c, out);
	card_print_counter(out, "resets", c->ctl.stats.resets);
	card_print_counter(out, "running", c->ctl.reg[REG_RUNNING]);
	card_print_counter(out, "run", c->ctl.run);
	card_print_counter(out, "clock", c->ctl.clock);
	card_print_counter(out, "blocks", c->ctl.stats.blocks);
	card_print_counter(out, "bytes", c->ctl.stats.bytes);
	card_print_counter(out, "reg_reads", c->ctl.stats.reg_reads);
	card_print_counter(out, "reg_writes", c->ctl.stats.reg_writes);
	card_print_counter(out, "reg_nacks", c->ctl.stats.reg_nacks);
	card_print_counter(out, "write_frames", c->ctl.stats.write_frames);
	card_print_counter(out, "write_frame_ns", c->ctl.stats.write_frame_ns);
	card_print_counter(out, "bad_write_frames", c->ctl.stats.bad_write_frames);
	card_print_counter(out, "signal_lost", c->ctl.stats.signal_lost);
	card_print_counter(out, "ram_used_bytes", fifo_used(&c->fifo));
	card_print_counter(out, "ram_peak_bytes", c->fifo.peak);
	card_print_counter(out, "ram_total_bytes", c->fifo.size);
	card_print_counter(out, "frames_lost", frames_lost(c));
	print_devices(c, out);
	fault_status(c->faults, out);
	card_print_counter(out, "excused", c->viol.excused);
	card_print_counter(out, "violations", c->viol.total);
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

int card_unplug(struct card *c)
{
	return c->link->unplug(c);
}

int card_plug(struct card *c)
{
	return c->link->plug ? c->link->plug(c) : -EOPNOTSUPP;
}

void card_shutdown(struct card *c)
{
	c->link->shutdown(c);
}

int card_serve(struct card *c, int sock, enum card_protocol protocol)
{
	return c->link->serve(c, sock, protocol);
}

void card_attach(struct card *c)
{
	if (c->touched)
		card_power_on(c);
	c->attached = true;
	card_kick(c);
}

void card_detach(struct card *c)
{
	c->attached = false;
	card_cut_run(c, "disconnect");
	model_power_off(c->model);
	/* The model is made anew when the next host comes: its state can be read till then. */
	c->touched = true;
}

void card_stall(struct card *c, bool stalled)
{
	card_lock(c);
	c->stalled = stalled;
	c->link->stall(c, stalled);
	card_kick(c);
	card_unlock(c);
}

int card_fault(struct card *c, const char *what, char *err, size_t errlen)
{
	int ret = 0;

	card_lock(c);
	if (!c->link->fault || !c->link->fault(c, what))
		ret = fault_request(c->faults, what, err, errlen);
	card_kick(c);
	card_unlock(c);
	return ret;
}

int card_patience(struct card *c, uint64_t ns)
{
	if (!c->link->patience)
		return -1;
	card_lock(c);
	c->link->patience(c, ns);
	card_unlock(c);
	return 0;
}

void card_reset_counters(struct card *c)
{
	card_lock(c);
	c->link->reset_counters(c);
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

void card_stim_electrodes(struct card *c, FILE *out)
{
	card_lock(c);
	model_stim_electrodes(c->model, out);
	card_unlock(c);
}

void card_stim_phases(struct card *c, FILE *out, uint64_t from)
{
	card_lock(c);
	model_stim_phases(c->model, out, from);
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

int card_init(struct card *c, const struct card_config *cfg, char *err, size_t errlen)
{
	struct controller_ops ops;
	int ret;

	memset(c, 0, sizeof(*c));
	c->cfg = *cfg;
	init_locks(c);
	c->viol.log = cfg->log;
	stim_log_init(&c->stim);
	c->link = cfg->board == MODEL_BOARD_ACQ ? &usb_link : &pcie_link;
	ops = c->link->init(c);
	ret = controller_init(&c->ctl, &ops, c->faults, &c->fifo);
	if (!ret)
		ret = fifo_init(&c->fifo, cfg->ram_bytes);
	if (ret) {
		snprintf(err, errlen, "cannot get %" PRIu64 " bytes of card RAM: %s",
			 cfg->ram_bytes, strerror(-ret));
		return ret;
	}
	c->ctl.pace = cfg->pace;
	c->ctl.keep_rest = cfg->keep_rest;
	c->ctl.event = on_event;
	c->ctl.event_ctx = c;
	ret = account_open(&c->account, cfg->truth_path, &c->fifo, &c->ctl, &c->viol);
	if (ret) {
		snprintf(err, errlen, "cannot write %s: %s", cfg->truth_path, strerror(-ret));
		return ret;
	}
	c->model = make_model(c, err, errlen);
	if (!c->model)
		return errno == EINVAL ? -EINVAL : -ENOMEM;
	controller_power_on(&c->ctl, c->model);
	c->link->power_on(c);
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
	stim_log_free(&c->stim);
	fifo_free(&c->fifo);
	c->link->exit(c);
	controller_free(&c->ctl);
}
