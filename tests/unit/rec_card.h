/* SPDX-License-Identifier: MIT */
/*
 * rec_card.h - a simulated card in the same process as a source of frames for
 * the recorder: the device model of tests/sim without driver, transport and real
 * time, so that a minute of frames takes seconds. Only for unit tests.
 *
 * It can lose frames on purpose (card_drop), end like an unplugged card, and have a
 * headstage-rhs2116 on port B.
 * Threads: model and buffer are used by the recorder's reader thread once the
 * recorder was started.
 */
#ifndef REC_CARD_H
#define REC_CARD_H

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/model/model.h"
#include "userspace/onirec/rec.h"

#define CARD_STEP	(MODEL_ACQ_HZ / 100)	/* acquisition clock per wait() */

struct card {
	struct source src;
	struct source_ops ops;
	struct model *m;
	struct onidev_table *table;
	struct rec_device dev[REC_MAX_DEVICES];
	unsigned int n_dev;
	uint64_t produced[0x10000];	/* frames per address, dropped ones included */
	uint64_t clock, end;		/* acquisition clock, where it stops */
	uint8_t *buf;
	size_t len, pos, room;
	uint64_t bytes;
	/* lose frames [drop_from, drop_from + drop_n) of this device */
	uint32_t drop_addr;
	uint64_t drop_from, drop_n;
	bool rhs;			/* headstage-rhs2116; before card_start() */
	void (*step)(struct card *c);	/* before each step of the clock; may be NULL */
	/* every frame as it is made, 16 bytes of header first; false: hold it for the test */
	bool (*pass)(struct card *c, uint32_t addr, uint8_t *frame, size_t len);
	int end_errno;			/* 0: ends as stopped */
	unsigned int pace_us;		/* host time per wait() */
	atomic_bool stopped;
};

/* Append to what the recorder reads next. */
static void card_put(struct card *c, const void *frame, size_t len)
{
	if (c->len + len > c->room) {
		c->room = 2 * (c->len + len);
		c->buf = realloc(c->buf, c->room);
	}
	memcpy(c->buf + c->len, frame, len);
	c->len += len;
}

static void card_emit(void *ctx, uint32_t addr, const void *frame, size_t len)
{
	struct card *c = ctx;
	uint64_t n = c->produced[addr & 0xffff]++;

	if (addr == c->drop_addr && n >= c->drop_from && n < c->drop_from + c->drop_n)
		return;
	card_put(c, frame, len);
	if (c->pass && !c->pass(c, addr, c->buf + c->len - len, len))
		c->len -= len;
}

static uint32_t card_used(void *ctx)
{
	(void)ctx;
	return 1234;
}

static uint32_t card_total(void *ctx)
{
	(void)ctx;
	return 1u << 29;
}

static int card_wait(struct source *s, int timeout_ms)
{
	struct card *c = (struct card *)s;
	uint64_t until = c->clock + CARD_STEP;

	(void)timeout_ms;
	if (c->pos < c->len)
		return ONIDEV_WAIT_DATA;
	if (c->clock >= c->end || atomic_load(&c->stopped)) {
		if (!c->end_errno)
			return ONIDEV_WAIT_END;
		errno = c->end_errno;
		return -1;
	}
	if (c->pace_us)
		nanosleep(&(struct timespec){ .tv_nsec = c->pace_us * 1000L }, NULL);
	c->len = c->pos = 0;
	if (c->step)
		c->step(c);
	if (until > c->end)
		until = c->end;
	while (c->clock < until)
		c->clock = model_produce(c->m, until, 1u << 30);
	return ONIDEV_WAIT_DATA;
}

static int card_next(struct source *s, struct onidev_frame *f)
{
	struct card *c = (struct card *)s;
	int ret = onidev_frame_parse(c->table, c->buf + c->pos, c->len - c->pos, f, NULL);

	if (ret == 1) {
		f->position = c->bytes;
		c->pos += f->wire;
		c->bytes += f->wire;
	}
	return ret;
}

static int64_t card_resync(struct source *s, char *why, size_t len)
{
	(void)s;
	snprintf(why, len, "the model never desynchronises");
	errno = EAGAIN;
	return -1;
}

static void card_release(struct source *s)
{
	(void)s;
}

static void card_status(struct source *s, struct onidev_stream_status *st)
{
	struct card *c = (struct card *)s;

	memset(st, 0, sizeof(*st));
	st->head = st->position = st->tail = c->bytes;
	st->ring_bytes = 1 << 20;
}

static int card_fit(struct source *s, struct onidev_clock_fit *fit)
{
	(void)s;
	*fit = (struct onidev_clock_fit){ .mono0_ns = 1000, .ns_per_tick = 4 };
	return 0;
}

static int card_stop(struct source *s)
{
	atomic_store(&((struct card *)s)->stopped, true);
	return 0;
}

static void card_describe(struct card *c, const struct oni_device *row)
{
	const struct onidev_type *type = onidev_type_find_id(row->id);
	struct rec_device *d = &c->dev[c->n_dev++];
	uint32_t hz = 0, div = 0;

	d->addr = row->addr;
	d->id = row->id;
	onidev_table_name(c->table, row->addr, d->name);
	d->sink = rec_sink_of(row->id);
	d->hub_hz = row->addr >> 8 == 2 ? 50e6 : row->addr >> 8 ? 42e6 : 250e6;
	for (int i = 0; i < ONIDEV_ANALOG_CHANNELS; i++)
		d->volts_per_code[i] = 20.0 / 65536;
	d->memory_words = 1u << 29;
	d->rate_hz = type && type->rate_hz > 0 ? type->rate_hz : 0;
	if (type && type->rate_hz == ONIDEV_RATE_CLK_DIV &&
	    !model_reg_read(c->m, row->addr, 2, &hz) && !model_reg_read(c->m, row->addr, 1, &div) &&
	    div)
		d->rate_hz = (double)hz / div;
}

static void card_set(struct card *c, const char *key, const char *value)
{
	char err[200] = "";

	if (model_set(c->m, key, value, err, sizeof(err))) {
		fprintf(stderr, "model_set %s=%s: %s\n", key, value, err);
		abort();
	}
}

/* Power on. Then card_set() as needed, then card_start(). */
static void card_new(struct card *c)
{
	static const struct source_ops ops = {
		.wait = card_wait, .next = card_next, .resync = card_resync,
		.release = card_release, .status = card_status, .fit = card_fit,
		.stop = card_stop,
	};
	struct model_env env = { .ctx = c, .emit = card_emit, .fifo_used_words = card_used,
				 .fifo_total_words = card_total };

	memset(c, 0, sizeof(*c));
	c->ops = ops;
	c->src.ops = &c->ops;
	c->m = model_new(&env);
	if (!c->m)
		abort();
}

static void card_write(struct card *c, uint32_t addr, uint32_t reg, uint32_t value)
{
	if (model_reg_write(c->m, addr, reg, value)) {
		fprintf(stderr, "register %u of %#x refused %u\n", reg, addr, value);
		abort();
	}
}

/* Power port A, enable what makes a headstage-64 record, run for @seconds. */
static void card_start(struct card *c, double seconds)
{
	struct model_dev rows[MODEL_MAX_ROWS];
	struct oni_device table[MODEL_MAX_ROWS];
	uint64_t now = 1000000000;
	size_t n;

	model_reset(c->m, 0);
	model_tick(c->m, now);
	card_write(c, 0x001, 3, 60);
	if (c->rhs)
		card_write(c, 0x002, 3, 40);
	for (int i = 0; i < 30; i++)
		model_tick(c->m, now += 100000000);
	model_reset(c->m, 0);
	card_write(c, 0x100, 0x8000, 1);
	card_write(c, 0x006, 0, 1);
	card_write(c, 0x007, 0, 1);
	card_write(c, 0x00a, 0, 1);
	if (c->rhs) {
		card_write(c, 0x200, 0x8000, 1);
		card_write(c, 0x201, 0x8000, 1);
		card_write(c, 0x202, 0, 1);
	}
	model_reset(c->m, 0);
	n = model_table(c->m, rows, MODEL_MAX_ROWS);
	for (size_t i = 0; i < n; i++)
		table[i] = (struct oni_device){ .addr = rows[i].addr, .id = rows[i].id,
						.version = rows[i].version,
						.read_size = rows[i].read_size,
						.write_size = rows[i].write_size };
	c->table = onidev_table_new(table, n, 1);
	for (size_t i = 0; i < n; i++)
		if (table[i].id && table[i].read_size)
			card_describe(c, &table[i]);
	model_reset_counter(c->m);
	model_run(c->m, 1);
	c->end = (uint64_t)(seconds * MODEL_ACQ_HZ);
}

static void card_free(struct card *c)
{
	model_run(c->m, 0);
	model_flush(c->m);
	model_free(c->m);
	onidev_table_free(c->table);
	free(c->buf);
}

static void card_config(struct rec_config *cfg, const char *session)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->session = session;
	cfg->acq_hz = MODEL_ACQ_HZ;
	cfg->buffer_bytes = 64u << 20;
	cfg->fill_seconds = 5;
	cfg->sync_seconds = 1;
	cfg->aux = true;
	cfg->detect = true;
	cfg->k = 4.5;
	cfg->channel_rate = 300;
	cfg->stream_rate = 20000;
	cfg->n_pre = 8;
	cfg->n_post = 32;
	cfg->prime_seconds = 1;
}

#endif
