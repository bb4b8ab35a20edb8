// SPDX-License-Identifier: MIT
/* unit-sources: tests/sim/controller.c tests/sim/onix.c tests/sim/fifo.c tests/sim/riffa.c tests/sim/fault.c tests/sim/violation.c tests/sim/model/[a-z]*.c */
/* unit-libs: -lm */
/* unit-cflags: -Itests/sim */
/*
 * test_sim_controller.c - what a start and a reset of the core do to card RAM.
 *
 * Drives controller.c and onix.c without a host: blocks are taken as the core takes them,
 * and a request is closed as the end of a transaction closes it.
 * Source: liboni (oni.c on what a restart finds, onidriver_riffa.c on the
 * drain after a stop and on the reset of the core).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "onix.h"

#define BLOCK_WORDS	128u
#define SECOND		1000000000ull
#define HEARTBEAT	0x000u

struct bench {
	struct controller c;
	struct onix x;
	struct riffa r;
	struct fifo f;
	struct violations v;
	struct model *m;
	uint64_t now;
	unsigned int events[EVENT_RESET + 1];
};

static struct bench *b;

static void on_event(void *ctx, enum controller_event event)
{
	(void)ctx;
	b->events[event]++;
}

static void env_emit(void *ctx, uint32_t addr, const void *frame, size_t len)
{
	(void)ctx;
	fifo_put(&b->f, addr, frame, len);
}

static uint32_t env_words(void *ctx)
{
	(void)ctx;
	return 0;
}

static int setup(void **state)
{
	struct riffa_config cfg = { .channels = ONIX_CHANNELS };
	struct controller_ops ops;
	struct riffa_ops none = { 0 };
	struct model_env env = {
		.emit = env_emit, .fifo_used_words = env_words,
		.fifo_total_words = env_words,
	};

	(void)state;
	b = calloc(1, sizeof(*b));
	assert_non_null(b);
	riffa_init(&b->r, &cfg, &none, &b->v);
	assert_int_equal(fifo_init(&b->f, 1 << 20), 0);
	onix_init(&b->x, &b->c, &b->r);
	ops = onix_ops(&b->x);
	assert_int_equal(controller_init(&b->c, &ops, &b->r.faults, &b->f), 0);
	b->c.event = on_event;
	b->m = model_new(&env);
	assert_non_null(b->m);
	controller_power_on(&b->c, b->m);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	model_free(b->m);
	controller_free(&b->c);
	fifo_free(&b->f);
	free(b);
	return 0;
}

static void conf(uint32_t reg, uint32_t val)
{
	assert_int_equal(onix_data(&b->x, CH_CONFIG, reg, &val, 1), 1);
}

static void pass(uint64_t ns)
{
	uint64_t end = b->now + ns;

	while (b->now < end) {
		b->now += SECOND / 1000;
		controller_step(&b->c, b->now);
		onix_step(&b->x);
	}
}

/* One second of the heartbeat, stopped with part of a block left. */
static void first_run(void)
{
	uint32_t words = BLOCK_WORDS;

	conf(REG_RESET, 1);
	pass(SECOND / 100);
	onix_data(&b->x, CH_READ, 0, &words, 1);
	conf(REG_RESET_COUNTER, 2);
	pass(SECOND);
	conf(REG_RUNNING, 0);
	pass(SECOND / 100);
	assert_true(riffa_tx_requested(&b->r, CH_READ));
}

static void drain(void)
{
	size_t words;

	while (riffa_tx_requested(&b->r, CH_READ)) {
		onix_peek(&b->x, CH_READ, &words);
		assert_true(words >= BLOCK_WORDS);
		onix_take(&b->x, CH_READ, BLOCK_WORDS);
		riffa_tx_close(&b->r, CH_READ, BLOCK_WORDS);
		controller_step(&b->c, b->now);
		onix_step(&b->x);
	}
	/* The rest of this test is about a frame that was cut. */
	assert_int_not_equal(b->f.head, b->f.tail);
	assert_int_not_equal(b->f.frame_end, b->f.head);
}

static void assert_conserved(void)
{
	const struct fifo_device *d = fifo_device(&b->f, HEARTBEAT, 0);

	assert_true(d->produced > 0);
	assert_int_equal(d->produced, d->delivered + fifo_left(d) + d->lost);
}

static void test_start_of_a_drained_card_is_a_whole_frame(void **state)
{
	uint32_t frame[6];
	size_t words;

	(void)state;
	first_run();
	drain();
	conf(REG_RUNNING, 1);
	assert_int_equal(fifo_used(&b->f), 0);
	assert_conserved();
	pass(SECOND / 10);
	memcpy(frame, onix_peek(&b->x, CH_READ, &words), sizeof(frame));
	assert_true(words >= 6);
	assert_int_equal(frame[2], HEARTBEAT);
	assert_int_equal(frame[3], 8);
	assert_conserved();
}

static void test_start_may_keep_the_rest(void **state)
{
	uint64_t left;

	(void)state;
	b->c.keep_rest = true;
	first_run();
	drain();
	left = fifo_used(&b->f);
	conf(REG_RUNNING, 1);
	assert_int_equal(fifo_used(&b->f), left);
	assert_conserved();
}

static void test_start_keeps_an_announced_block(void **state)
{
	uint64_t left;

	(void)state;
	first_run();
	left = fifo_used(&b->f);
	conf(REG_RUNNING, 1);
	assert_int_equal(fifo_used(&b->f), left);
	assert_true(riffa_tx_requested(&b->r, CH_READ));
}

static void test_core_reset_leaves_the_controller_alone(void **state)
{
	(void)state;
	first_run();
	conf(REG_RUNNING, 1);
	onix_core_reset(&b->x);
	assert_int_equal(b->c.reg[REG_RUNNING], 1);
	assert_int_equal(b->x.block_words, BLOCK_WORDS);
	assert_true(riffa_tx_requested(&b->r, CH_READ));
}

static void test_core_reset_may_stop_the_controller(void **state)
{
	(void)state;
	b->x.rst_out = true;
	first_run();
	conf(REG_RUNNING, 1);
	conf(1u << 29 | REG_RUNNING, 0);
	pass(SECOND / 100);
	assert_true(riffa_tx_requested(&b->r, CH_CONFIG));
	onix_core_reset(&b->x);
	assert_int_equal(b->c.reg[REG_RUNNING], 0);
	assert_int_equal(b->x.block_words, 0);
	assert_int_equal(fifo_used(&b->f), 0);
	assert_int_equal(b->events[EVENT_STOP], 2);
	pass(SECOND / 10);
	assert_false(riffa_tx_requested(&b->r, CH_READ));
	assert_false(riffa_tx_requested(&b->r, CH_CONFIG));
	assert_false(riffa_tx_requested(&b->r, CH_SIGNAL));
	assert_conserved();
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_start_of_a_drained_card_is_a_whole_frame),
		T(test_start_may_keep_the_rest),
		T(test_start_keeps_an_announced_block),
		T(test_core_reset_leaves_the_controller_alone),
		T(test_core_reset_may_stop_the_controller),
	};

	return cmocka_run_group_tests_name("sim controller", tests, NULL, NULL);
}
