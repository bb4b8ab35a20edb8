/* SPDX-License-Identifier: MIT */
/*
 * model_bench.h - a controller stand-in for the unit tests of tests/sim/model.
 *
 * Owns a model and copies of the frames it emitted. Every frame is checked on
 * arrival for what holds for all of them: whole 32-bit words, a size field that
 * matches the length, addresses and clocks in order.
 */
#ifndef MODEL_BENCH_H
#define MODEL_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/model/model.h"

#define PORT_A		1u
#define HEARTBEAT	0u
#define ANALOG		6u
#define DIGITAL		7u
#define MEMORY		10u
#define LOADTEST	11u
#define HARP		12u
#define RHD		0x100u
#define SECOND		((uint64_t)MODEL_ACQ_HZ)
#define MS		1000000ull

struct bench_frame {
	uint32_t addr;
	uint32_t len;
	size_t at;
};

struct bench {
	struct model *m;
	uint32_t used_words, total_words;
	uint64_t last_clock, now_ns;
	/* Only frames of this address are kept; UINT32_MAX keeps all. */
	uint32_t keep;
	uint8_t *bytes;
	size_t nbytes, cap;
	struct bench_frame *frames;
	size_t nframes, frames_cap;
	uint64_t seen;
};

static inline uint32_t get16(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t get32(const uint8_t *p)
{
	return get16(p) | get16(p + 2) << 16;
}

static inline uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static inline void bench_emit(void *ctx, uint32_t addr, const void *frame, size_t len)
{
	struct bench *b = ctx;
	const uint8_t *p = frame;

	assert_int_equal(len % 4, 0);
	assert_int_equal(get32(p + 8), addr);
	assert_int_equal((16 + get32(p + 12) + 3) / 4 * 4, len);
	assert_true(get64(p) >= b->last_clock);
	b->last_clock = get64(p);
	b->seen++;
	if (b->keep != UINT32_MAX && b->keep != addr)
		return;
	if (b->nframes == b->frames_cap) {
		b->frames_cap = b->frames_cap ? 2 * b->frames_cap : 1024;
		b->frames = realloc(b->frames, b->frames_cap * sizeof(*b->frames));
		assert_non_null(b->frames);
	}
	if (b->nbytes + len > b->cap) {
		b->cap = 2 * (b->nbytes + len);
		b->bytes = realloc(b->bytes, b->cap);
		assert_non_null(b->bytes);
	}
	b->frames[b->nframes++] = (struct bench_frame){ addr, (uint32_t)len, b->nbytes };
	memcpy(b->bytes + b->nbytes, p, len);
	b->nbytes += len;
}

static inline uint32_t bench_used(void *ctx)
{
	return ((struct bench *)ctx)->used_words;
}

static inline uint32_t bench_total(void *ctx)
{
	return ((struct bench *)ctx)->total_words;
}

static inline void bench_new(struct bench *b)
{
	struct model_env env = {
		.ctx = b, .emit = bench_emit,
		.fifo_used_words = bench_used, .fifo_total_words = bench_total,
	};

	memset(b, 0, sizeof(*b));
	b->keep = UINT32_MAX;
	b->total_words = 0x20000000;
	b->now_ns = 1000 * MS;
	b->m = model_new(&env);
	assert_non_null(b->m);
}

static inline void bench_free(struct bench *b)
{
	model_free(b->m);
	free(b->bytes);
	free(b->frames);
}

static inline void bench_set(struct bench *b, const char *key, const char *value)
{
	char err[256] = "";

	if (model_set(b->m, key, value, err, sizeof(err)))
		fail_msg("%s=%s: %s", key, value, err);
}

static inline void bench_wait(struct bench *b, unsigned int ms)
{
	while (ms--)
		model_tick(b->m, b->now_ns += MS);
}

static inline void bench_write(struct bench *b, uint32_t addr, uint32_t reg, uint32_t val)
{
	if (model_reg_write(b->m, addr, reg, val))
		fail_msg("write of %u to 0x%x register 0x%x was refused", val, addr, reg);
}

static inline uint32_t bench_read(struct bench *b, uint32_t addr, uint32_t reg)
{
	uint32_t v = 0xdeadbeef;

	if (model_reg_read(b->m, addr, reg, &v))
		fail_msg("read of 0x%x register 0x%x was refused", addr, reg);
	return v;
}

static inline void bench_drop_frames(struct bench *b)
{
	b->nframes = 0;
	b->nbytes = 0;
	b->seen = 0;
}

static inline const uint8_t *bench_frame(const struct bench *b, size_t i)
{
	assert_true(i < b->nframes);
	return b->bytes + b->frames[i].at;
}

/* Reset, so that ENABLE registers act, and run from counter zero. */
static inline void bench_start(struct bench *b)
{
	model_reset(b->m, 0);
	model_reset_counter(b->m);
	b->last_clock = 0;
	model_run(b->m, 1);
}

/* Bring the headstage on port A into the table with its amplifier enabled. */
static inline void bench_power_hs64(struct bench *b)
{
	model_tick(b->m, b->now_ns);
	bench_write(b, PORT_A, 3, 65);
	bench_wait(b, 150);
	model_reset(b->m, 0);
	bench_write(b, RHD, 0x8000, 1);
}

/* The value of @key in model_status(), or fails. */
static inline unsigned long long bench_status(struct bench *b, const char *key)
{
	char *text = NULL, *p;
	size_t len = 0, n = strlen(key);
	unsigned long long v = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	model_status(b->m, f, "m.");
	fclose(f);
	for (p = text; p; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		assert_true(!*p || !strncmp(p, "m.", 2));
		if (!strncmp(p, "m.", 2) && !strncmp(p + 2, key, n) && p[2 + n] == ' ') {
			v = strtoull(p + 2 + n, NULL, 0);
			free(text);
			return v;
		}
	}
	free(text);
	fail_msg("status has no key %s", key);
	return v;
}

#endif
