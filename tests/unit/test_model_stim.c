/* SPDX-License-Identifier: MIT */
/* unit-sources: tests/sim/model/[a-z]*.c driver/oni_stim_check.c */
/* unit-libs: -lm */
/*
 * Stimulators of the simulated headstages: what reaches an electrode, and when,
 * from the first moment on, when nobody has made anything safe yet.
 */
#include "tests/unit/model_bench.h"

#include "driver/oni_stim_check.h"
#include "tests/sim/model/model_priv.h"
#include "tests/sim/model/stim_log.h"
#include "tests/sim/model/stim_seq.h"

#define PORT_B		2u
#define ESTIM		0x103u
#define OSTIM		0x104u
#define CHIP_A		0x200u
#define CHIP_B		0x201u
#define TRIGGER		0x202u
#define PERIOD		((uint64_t)RHS_PERIOD_NS)

enum { NUMDELTAS = 0x8002, IDXTIME, POLEN, SEQERROR, CHIP_TRIGGER, STEPSZ = 0x22 };

static int setup(void **state)
{
	struct bench *b = malloc(sizeof(*b));

	bench_new(b);
	bench_set(b, "source", "0-127=ramp");
	bench_set(b, "port-b", "rhs2116");
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	bench_free(*state);
	free(*state);
	return 0;
}

static const struct stim_electrode *electrode(struct bench *b, uint32_t addr, uint32_t channel)
{
	struct stim_log *l = b->m->log;
	uint32_t i;

	for (i = 0; i < l->electrodes; i++)
		if (l->electrode[i].addr == addr && l->electrode[i].channel == channel)
			return &l->electrode[i];
	fail_msg("no electrode %x.%u", addr, channel);
	return NULL;
}

static int64_t net(struct bench *b, uint32_t addr, uint32_t channel)
{
	return (int64_t)electrode(b, addr, channel)->net;
}

static const struct stim_phase *phase(struct bench *b, uint64_t n)
{
	assert_true(n < b->m->log->phases);
	return &b->m->log->phase[n];
}

/* Phase @n began @at ns after the log's time @zero, and so on. */
static void check_phase(struct bench *b, uint64_t n, uint64_t start, uint64_t ns, int64_t level)
{
	assert_int_equal(phase(b, n)->start_ns, start);
	assert_int_equal(phase(b, n)->ns, ns);
	assert_int_equal(phase(b, n)->level, level);
	assert_int_equal(phase(b, n)->cut, 0);
}

static void command(struct bench *b, const char *line)
{
	char err[128] = "";

	if (model_command(b->m, line, err, sizeof(err)))
		fail_msg("%s: %s", line, err);
}

/* Both headstages have power and are in the table. */
static void power(struct bench *b)
{
	bench_power_hs64(b);
	bench_write(b, PORT_B, 3, 40);
	bench_wait(b, 150);
	model_reset(b->m, 0);
}

/* ---- headstage-64 ------------------------------------------------------------ */
static void hs64_go(struct bench *b)
{
	bench_write(b, ESTIM, 14, 1);
	bench_write(b, ESTIM, 13, 1);
	bench_write(b, ESTIM, 12, 1);
}

static void hs64_balanced(struct bench *b)
{
	bench_write(b, ESTIM, 2, 20000);
	bench_write(b, ESTIM, 3, 65535 - 20000);
}

/* Ten pulses of full scale, one way: 250 nC each. */
static void hs64_power_on_values_are_dangerous(void **state)
{
	struct bench *b = *state;
	uint64_t t;

	power(b);
	t = b->now_ns;
	hs64_go(b);
	bench_wait(b, 200);
	assert_int_equal(electrode(b, ESTIM, 0)->phases, 20);
	check_phase(b, 0, t, 100000, 1);
	check_phase(b, 1, t + 100000, 100000, -65535);
	check_phase(b, 2, t + 10200000, 100000, 1);
	assert_int_equal(net(b, ESTIM, 0), 10 * 100000ll * (1 - 65535));
	assert_int_equal(electrode(b, ESTIM, 0)->max_level, 65535);
}

static void hs64_balance(void **state)
{
	struct bench *b = *state;

	power(b);
	hs64_balanced(b);
	hs64_go(b);
	bench_wait(b, 200);
	assert_int_equal(electrode(b, ESTIM, 0)->phases, 20);
	assert_int_equal(net(b, ESTIM, 0), 0);
	/* The resting current is never nothing. */
	bench_write(b, ESTIM, 5, 7);
	bench_write(b, ESTIM, 12, 1);
	bench_wait(b, 200);
	assert_int_equal(net(b, ESTIM, 0), 10 * 7000);
}

static void hs64_needs_enable_and_power(void **state)
{
	struct bench *b = *state;

	power(b);
	bench_write(b, ESTIM, 12, 1);
	bench_write(b, ESTIM, 13, 1);
	bench_write(b, ESTIM, 12, 1);
	bench_wait(b, 200);
	bench_write(b, ESTIM, 13, 0);
	bench_write(b, ESTIM, 14, 1);
	bench_write(b, ESTIM, 12, 1);
	bench_wait(b, 200);
	assert_int_equal(electrode(b, ESTIM, 0)->phases, 0);
	/* The port's line triggers what is armed. */
	bench_write(b, ESTIM, 13, 1);
	bench_write(b, PORT_A, 1, 1);
	bench_wait(b, 200);
	assert_int_equal(electrode(b, ESTIM, 0)->phases, 20);
}

/* Off in the middle of a phase of 5 ms: what flowed stays on the account. */
static void hs64_off_switches(void **state)
{
	struct bench *b = *state;

	power(b);
	hs64_balanced(b);
	bench_write(b, ESTIM, 4, 5000);
	bench_write(b, ESTIM, 6, 5000);
	hs64_go(b);
	bench_wait(b, 2);
	bench_write(b, ESTIM, 14, 0);		/* ENABLE: too late */
	bench_wait(b, 1);
	bench_write(b, ESTIM, 13, 0);		/* POWERON: at once */
	assert_int_equal(electrode(b, ESTIM, 0)->level, 0);
	assert_int_equal(phase(b, 0)->ns, 3000000);
	assert_int_equal(phase(b, 0)->cut, 1);
	assert_int_equal(net(b, ESTIM, 0), -25535ll * 3000000);
	bench_wait(b, 500);
	assert_int_equal(electrode(b, ESTIM, 0)->phases, 1);
	hs64_go(b);
	bench_wait(b, 1);
	bench_write(b, PORT_A, 3, 0);		/* and so the supply of the port */
	bench_wait(b, 500);
	assert_int_equal(electrode(b, ESTIM, 0)->phases, 2);
	assert_int_equal(electrode(b, ESTIM, 0)->level, 0);
	bench_write(b, PORT_A, 3, 65);
	bench_wait(b, 150);
	model_reset(b->m, 0);
	assert_int_equal(bench_read(b, ESTIM, 3), 0);
	bench_wait(b, 500);
	assert_int_equal(electrode(b, ESTIM, 0)->phases, 2);
}

static void hs64_parameters_act_at_once(void **state)
{
	struct bench *b = *state;

	power(b);
	hs64_balanced(b);
	bench_write(b, ESTIM, 4, 5000);
	bench_write(b, ESTIM, 8, 1);
	hs64_go(b);
	bench_wait(b, 2);
	bench_write(b, ESTIM, 2, 40000);
	bench_wait(b, 10);
	assert_int_equal(electrode(b, ESTIM, 0)->phases, 3);
	assert_int_equal(phase(b, 0)->ns, 2000000);
	assert_int_equal(phase(b, 1)->level, 14465);
	assert_int_equal(phase(b, 1)->ns, 3000000);
}

static void hs64_low_supply_unbalances(void **state)
{
	struct bench *b = *state;

	bench_set(b, "port-a-drop-volts", "1.0");
	power(b);				/* 6.5 V at the port */
	hs64_balanced(b);
	hs64_go(b);
	bench_wait(b, 200);
	assert_int_equal(net(b, ESTIM, 0), 0);
	bench_write(b, PORT_A, 3, 60);		/* 5.0 V at the headstage */
	bench_write(b, ESTIM, 12, 1);
	bench_wait(b, 200);
	assert_int_equal(net(b, ESTIM, 0), 10 * 100000ll * (25535 * 50 / 55 - 25535));
}

static void hs64_master_reset(void **state)
{
	struct bench *b = *state;

	power(b);
	hs64_go(b);
	bench_wait(b, 5);
	bench_write(b, ESTIM, 16, 1);
	bench_wait(b, 200);
	assert_int_equal(electrode(b, ESTIM, 0)->phases, 2);
	assert_int_equal(bench_read(b, ESTIM, 3), 0);
}

static void hs64_other_readings(void **state)
{
	struct bench *b = *state;
	uint64_t t;

	bench_set(b, "hs64-unit-us", "10");
	bench_set(b, "hs64-period", "1");
	bench_set(b, "hs64-continuous", "1");
	power(b);
	t = b->now_ns;
	hs64_balanced(b);
	bench_write(b, ESTIM, 5, 3);
	hs64_go(b);
	bench_wait(b, 1500);
	check_phase(b, 1, t + 100000, 30000, 1);
	check_phase(b, 3, t + 100000000, 100000, -25535);
	assert_true(electrode(b, ESTIM, 0)->phases > 30);	/* without end */
	bench_write(b, ESTIM, 12, 0);
	bench_wait(b, 1500);
	assert_int_equal(electrode(b, ESTIM, 0)->phases % 30, 0);
}

/* A reset clears ENABLE, so that the next trigger finds nothing armed. */
static void hs64_reset_disarms(void **state)
{
	struct bench *b = *state;

	power(b);
	bench_write(b, ESTIM, 14, 1);
	bench_write(b, ESTIM, 13, 1);
	model_reset(b->m, 0);
	bench_write(b, ESTIM, 12, 1);
	bench_wait(b, 200);
	assert_int_equal(electrode(b, ESTIM, 0)->phases, 0);
}

static void optical_pulses(void **state)
{
	struct bench *b = *state;

	power(b);
	bench_write(b, OSTIM, 1, 255);
	bench_write(b, OSTIM, 2, 0x00ff | 0x0f00);
	bench_write(b, OSTIM, 10, 1);
	bench_write(b, OSTIM, 9, 1);
	bench_wait(b, 2000);
	assert_int_equal(electrode(b, OSTIM, 0)->phases, 5);
	assert_int_equal(electrode(b, OSTIM, 0)->on_ns, 5000000);
	assert_in_range(electrode(b, OSTIM, 0)->max_level, 5700, 5900);	/* uA */
	assert_int_equal(electrode(b, OSTIM, 1)->max_level,
			 electrode(b, OSTIM, 0)->max_level / 2);
	assert_int_equal(electrode(b, OSTIM, 0)->light, 1);
	/* RESTMASK is light without any trigger. */
	bench_write(b, OSTIM, 11, 1);
	bench_wait(b, 10);
	bench_write(b, PORT_A, 3, 0);
	assert_int_equal(electrode(b, OSTIM, 0)->on_ns, 15000000);
}

/* ---- headstage-rhs2116 ---------------------------------------------------------- */
static void put_row(struct bench *b, uint32_t chip, uint32_t i, uint32_t time, uint32_t polen)
{
	bench_write(b, chip, IDXTIME, i << 22 | time);
	bench_write(b, chip, POLEN, polen);
}

/* 100 uA, six periods down, six up, on one channel. */
static void load(struct bench *b, uint32_t chip, uint32_t ch)
{
	bench_write(b, chip, STEPSZ, 0x00e2);
	bench_write(b, chip, 0x40 + ch, 100);
	bench_write(b, chip, 0x60 + ch, 100);
	bench_write(b, chip, NUMDELTAS, 3);
	put_row(b, chip, 0, 0, 1u << ch);
	put_row(b, chip, 1, 6, 1u << ch | 1u << (16 + ch));
	put_row(b, chip, 2, 12, 0);
	model_reset(b->m, 0);
}

static void a_ttl_needs_no_host(void **state)
{
	struct bench *b = *state;
	uint64_t t;

	power(b);
	assert_int_equal(bench_read(b, TRIGGER, 3), 1);
	load(b, CHIP_A, 5);
	t = b->now_ns;
	command(b, "stim gpio b");
	bench_wait(b, 5);
	check_phase(b, 0, t, 6 * PERIOD, -100000);
	check_phase(b, 1, t + 6 * PERIOD, 6 * PERIOD, 100000);
	assert_int_equal(net(b, CHIP_A, 5), 0);
	assert_int_equal(electrode(b, CHIP_A, 5)->positive, 100000ll * 6 * 33120);
	assert_int_equal(b->m->log->phases, 2);
	assert_int_equal(electrode(b, CHIP_B, 5)->phases, 0);
	/* Nor the link: only power. */
	bench_write(b, PORT_B, 2, 0);
	command(b, "stim gpio b");
	bench_wait(b, 5);
	assert_int_equal(b->m->log->phases, 4);
}

static void a_ttl_needs_power_and_an_input(void **state)
{
	struct bench *b = *state;
	char err[128];

	power(b);
	assert_int_equal(model_command(b->m, "stim gpio a", err, sizeof(err)), -1);
	assert_int_equal(model_command(b->m, "stim gpio c", err, sizeof(err)), -1);
	assert_int_equal(model_command(b->m, "stim go b", err, sizeof(err)), -1);
	assert_int_equal(model_command(b->m, "stim seqerror a", err, sizeof(err)), -1);
	assert_int_equal(model_command(b->m, "port c break", err, sizeof(err)), -1);
	assert_int_equal(model_command(b->m, "port b cut", err, sizeof(err)), -1);
	bench_write(b, PORT_B, 3, 0);
	assert_int_equal(model_command(b->m, "stim gpio b", err, sizeof(err)), -1);
}

static void both_chips_start_together(void **state)
{
	struct bench *b = *state;

	power(b);
	load(b, CHIP_A, 0);
	load(b, CHIP_B, 15);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	assert_int_equal(electrode(b, CHIP_A, 0)->phases, 2);
	assert_int_equal(electrode(b, CHIP_B, 15)->phases, 2);
	assert_int_equal(phase(b, 0)->start_ns, phase(b, 2)->start_ns);
	assert_int_equal(phase(b, 0)->trigger, phase(b, 2)->trigger);
	/* A chip of its own, armed or not. */
	bench_write(b, TRIGGER, 3, 0);
	bench_write(b, CHIP_B, CHIP_TRIGGER, 1);
	bench_wait(b, 5);
	assert_int_equal(electrode(b, CHIP_A, 0)->phases, 2);
	assert_int_equal(electrode(b, CHIP_B, 15)->phases, 4);
}

/* What the vendor's software makes of two channels three periods apart, sorted. */
static void a_row_is_the_state_of_all_channels(void **state)
{
	static const struct { uint32_t time, polen; } rows[] = {
		{ 0, 0x10001 }, { 3, 0x20002 }, { 6, 0 }, { 8, 1 }, { 9, 0 }, { 11, 2 }, { 14, 0 },
		{ 17, 0 },
	};
	struct bench *b = *state;
	uint32_t i;

	power(b);
	load(b, CHIP_A, 0);
	load(b, CHIP_A, 1);
	for (i = 0; i < 8; i++)
		put_row(b, CHIP_A, i, rows[i].time, rows[i].polen);
	bench_write(b, CHIP_A, NUMDELTAS, 8);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	assert_int_equal(net(b, CHIP_A, 0), 6624000000);	/* 6.6 nC of 20 */
}

static void a_row_out_of_order_ends_it_all(void **state)
{
	struct bench *b = *state;

	power(b);
	load(b, CHIP_A, 0);
	put_row(b, CHIP_A, 2, 6, 0);			/* not later than row 1 */
	assert_int_equal(bench_read(b, CHIP_A, SEQERROR), 0);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	assert_int_equal(bench_read(b, CHIP_A, SEQERROR), 1);
	assert_int_equal(net(b, CHIP_A, 0), -100000ll * 6 * 33120);
	assert_int_equal(electrode(b, CHIP_A, 0)->level, 0);
	put_row(b, CHIP_A, 2, 12, 0);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	assert_int_equal(electrode(b, CHIP_A, 0)->phases, 1);
	model_reset(b->m, 0);
	assert_int_equal(bench_read(b, CHIP_A, SEQERROR), 0);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	assert_int_equal(electrode(b, CHIP_A, 0)->phases, 3);
}

/* A table that ends with a current is a direct current. */
static void the_last_row_stays(void **state)
{
	struct bench *b = *state;

	power(b);
	load(b, CHIP_A, 0);
	bench_write(b, CHIP_A, NUMDELTAS, 2);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 1000);
	assert_int_equal(electrode(b, CHIP_A, 0)->level, 100000);
	bench_write(b, CHIP_A, NUMDELTAS, 0);
	assert_int_equal(electrode(b, CHIP_A, 0)->level, 0);
	assert_int_equal(net(b, CHIP_A, 0), 100000ll * (1000000000 - 12 * 33120));
}

static void amplitudes_act_at_once_and_the_step_at_a_reset(void **state)
{
	struct bench *b = *state;

	power(b);
	load(b, CHIP_A, 0);
	bench_write(b, CHIP_A, STEPSZ, 0x000f);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	assert_int_equal(electrode(b, CHIP_A, 0)->max_level, 100000);
	model_reset(b->m, 0);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	assert_int_equal(electrode(b, CHIP_A, 0)->max_level, 1000000);
	bench_write(b, CHIP_A, NUMDELTAS, 1);		/* direct current */
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	bench_write(b, CHIP_A, 0x40, 0);
	assert_int_equal(electrode(b, CHIP_A, 0)->level, 0);
}

static void step_sizes_nobody_knows_are_the_largest(void **state)
{
	struct bench *b = *state;

	power(b);
	load(b, CHIP_A, 0);
	bench_write(b, CHIP_A, STEPSZ, 0x1234);
	model_reset(b->m, 0);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	assert_int_equal(electrode(b, CHIP_A, 0)->max_level, 1000000);
}

static void without_the_magic_words_nothing_flows(void **state)
{
	struct bench *b = *state;
	uint32_t reg;

	power(b);
	load(b, CHIP_A, 0);
	for (reg = 0x20; reg <= 0x21; reg++) {
		bench_write(b, CHIP_A, reg, 0);
		model_reset(b->m, 0);
		bench_write(b, TRIGGER, 2, 1);
		bench_wait(b, 5);
		assert_int_equal(electrode(b, CHIP_A, 0)->phases, 0);
		bench_write(b, CHIP_A, 0x20, 0xaaaa);
	}
	bench_write(b, CHIP_A, 0x21, 0x00ff);		/* acts at a reset only */
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	assert_int_equal(electrode(b, CHIP_A, 0)->phases, 0);
	model_reset(b->m, 0);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	assert_int_equal(electrode(b, CHIP_A, 0)->phases, 2);
}

static void a_raw_write_can_switch_current(void **state)
{
	struct bench *b = *state;

	power(b);
	load(b, CHIP_A, 4);
	bench_write(b, CHIP_A, 0x2a, 1u << 4);
	bench_wait(b, 3);
	bench_write(b, CHIP_A, 0x2a, 0);
	assert_int_equal(net(b, CHIP_A, 4), -100000ll * 3000000);
}

static void a_trigger_that_waits_is_not_cancelled(void **state)
{
	struct bench *b = *state;
	uint64_t t;

	power(b);
	load(b, CHIP_A, 0);
	t = b->now_ns;
	bench_write(b, TRIGGER, 2, 1000u << 12 | 1);
	bench_wait(b, 10);
	assert_int_equal(b->m->log->phases, 0);
	bench_write(b, TRIGGER, 3, 0);
	bench_wait(b, 50);
	assert_int_equal(b->m->log->phases, 2);
	assert_int_equal(phase(b, 0)->start_ns, t + 1000 * PERIOD);
	/* Without rows there is nothing to start. */
	bench_write(b, TRIGGER, 3, 1);
	bench_write(b, TRIGGER, 2, 1000u << 12 | 1);
	bench_write(b, CHIP_A, NUMDELTAS, 0);
	bench_wait(b, 50);
	assert_int_equal(b->m->log->phases, 2);
}

static void a_trigger_that_waits_is_cancelled(void **state)
{
	struct bench *b = *state;

	bench_set(b, "rhs-disarm-cancels", "1");
	power(b);
	load(b, CHIP_A, 0);
	bench_write(b, TRIGGER, 2, 1000u << 12 | 1);
	bench_write(b, TRIGGER, 3, 0);
	bench_wait(b, 50);
	assert_int_equal(b->m->log->phases, 0);
}

/* 16 bytes of header, hub clock, code, 16 bits without meaning, padding. */
static void check_event(struct bench *b, size_t i, uint32_t code)
{
	const uint8_t *f = bench_frame(b, i);

	assert_int_equal(get32(f + 8), TRIGGER);
	assert_int_equal(get32(f + 12), 14);
	assert_int_equal(get64(f + 16), (get64(f) - 500) / 5);	/* 2 us on their way */
	assert_int_equal(get32(f + 24), code);
	assert_int_equal(get32(f + 28), 0);
}

/* A program in chip A, and frames of the trigger device only. @sync: it hears its sync pin. */
static void load_and_report(struct bench *b, uint32_t sync)
{
	power(b);
	load(b, CHIP_A, 0);
	bench_write(b, TRIGGER, 0, 1);
	if (sync)
		bench_write(b, TRIGGER, 1, sync);
	b->keep = TRIGGER;
	bench_start(b);
}

static void trigger_frames(void **state)
{
	struct bench *b = *state;

	load_and_report(b, 0);
	bench_write(b, TRIGGER, 2, 1);			/* delivered */
	command(b, "stim gpio b");			/* busy */
	bench_wait(b, 5);
	bench_write(b, TRIGGER, 2, 3u << 12 | 1);	/* delivered, later */
	bench_write(b, PORT_B, 1, 1);			/* busy: one waits */
	bench_wait(b, 5);
	bench_write(b, TRIGGER, 3, 0);
	bench_write(b, TRIGGER, 2, 1);			/* disarmed */
	command(b, "stim sync b");			/* not a source: nothing */
	model_produce(b->m, SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 5);
	check_event(b, 0, 0 | 2 << 2);
	check_event(b, 1, 2 | 1 << 2);
	check_event(b, 2, 0 | 2 << 2 | 3 << 12);
	check_event(b, 3, 2 | 1 << 2);
	check_event(b, 4, 1 | 2 << 2);
	assert_int_equal(electrode(b, CHIP_A, 0)->phases, 4);
}

static void a_trigger_can_go_unreported(void **state)
{
	struct bench *b = *state;

	load_and_report(b, 0);
	command(b, "stim silent b");
	bench_write(b, TRIGGER, 2, 1);			/* delivered, and nothing says so */
	bench_wait(b, 5);
	command(b, "stim gpio b");			/* once only */
	bench_wait(b, 5);
	model_produce(b->m, SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 1);
	check_event(b, 0, 0 | 1 << 2);
	assert_int_equal(electrode(b, CHIP_A, 0)->phases, 4);
}

static void a_sequencer_can_say_error_and_go_on(void **state)
{
	struct bench *b = *state;

	power(b);
	load(b, CHIP_A, 0);
	bench_write(b, TRIGGER, 2, 1);
	command(b, "stim seqerror b");
	assert_int_equal(bench_read(b, CHIP_A, SEQERROR), 1);
	assert_int_equal(bench_read(b, CHIP_B, SEQERROR), 0);
	bench_wait(b, 5);
	assert_int_equal(electrode(b, CHIP_A, 0)->phases, 2);
	assert_int_equal(net(b, CHIP_A, 0), 0);
	assert_int_equal(bench_read(b, CHIP_A, SEQERROR), 1);
	model_reset(b->m, 0);
	assert_int_equal(bench_read(b, CHIP_A, SEQERROR), 0);
}

/* Without its link a headstage plays on, and nobody can tell it to stop. */
static void a_broken_link_leaves_the_supply(void **state)
{
	struct bench *b = *state;

	power(b);
	load(b, CHIP_A, 0);
	bench_write(b, TRIGGER, 2, 1);
	command(b, "port b break");
	assert_int_equal(bench_read(b, PORT_B, 5), 0);
	assert_int_equal(model_reg_write(b->m, CHIP_A, NUMDELTAS, 0), -1);
	bench_wait(b, 500);				/* it does not come back by itself */
	assert_int_equal(bench_read(b, PORT_B, 5), 0);
	assert_int_equal(electrode(b, CHIP_A, 0)->phases, 2);
	assert_int_equal(net(b, CHIP_A, 0), 0);
	command(b, "port b mend");
	bench_wait(b, 150);
	assert_int_equal(bench_read(b, PORT_B, 5), 3);
	assert_int_equal(bench_read(b, CHIP_A, NUMDELTAS), 3);	/* it kept its state */
}

static void the_receiver_hears_the_sync_pin_only(void **state)
{
	struct bench *b = *state;

	load_and_report(b, 1);
	bench_write(b, TRIGGER, 2, 1);
	command(b, "stim gpio b");
	command(b, "stim sync b");
	bench_wait(b, 5);
	model_produce(b->m, SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 1);
	check_event(b, 0, 0 | 4 << 2);
	assert_int_equal(electrode(b, CHIP_A, 0)->phases, 2);
}

/* Power gone in a phase: it ends there, registers are as at power-on, the log knows. */
static void loss_of_power(void **state)
{
	struct bench *b = *state;

	power(b);
	load(b, CHIP_A, 0);
	bench_write(b, CHIP_A, NUMDELTAS, 1);
	bench_write(b, TRIGGER, 3, 1);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	bench_write(b, PORT_B, 3, 0);
	assert_int_equal(electrode(b, CHIP_A, 0)->level, 0);
	assert_int_equal(phase(b, 0)->cut, 1);
	assert_int_equal(net(b, CHIP_A, 0), -100000ll * 5000000);
	bench_write(b, PORT_B, 3, 40);
	bench_wait(b, 150);
	model_reset(b->m, 0);
	assert_int_equal(bench_read(b, CHIP_A, NUMDELTAS), 0);
	assert_int_equal(bench_read(b, TRIGGER, 3), 1);
	command(b, "stim gpio b");
	bench_wait(b, 50);
	assert_int_equal(b->m->log->phases, 1);
	/* And of the card. */
	load(b, CHIP_A, 0);
	bench_write(b, CHIP_A, NUMDELTAS, 1);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 5);
	model_power_off(b->m);
	assert_int_equal(net(b, CHIP_A, 0), -100000ll * 10000000);
}

/* A reset ends what plays; a second trigger while one plays does nothing. */
static void resets_and_second_triggers(void **state)
{
	struct bench *b = *state;

	power(b);
	load(b, CHIP_A, 0);
	put_row(b, CHIP_A, 1, 1000, 0x10001);
	put_row(b, CHIP_A, 2, 2000, 0);
	bench_write(b, TRIGGER, 2, 1);
	bench_wait(b, 10);
	bench_write(b, TRIGGER, 2, 1);
	assert_int_equal(bench_status(b, "rhs.0x200.playing"), 1);
	bench_wait(b, 10);
	model_reset(b->m, 0);
	assert_int_equal(bench_status(b, "rhs.0x200.playing"), 0);
	assert_int_equal(net(b, CHIP_A, 0), -100000ll * 20000000);
	assert_int_equal(b->m->log->triggers, 1);
}

static void frames_of_a_chip(void **state)
{
	struct bench *b = *state;
	const uint8_t *f, *g;
	uint32_t ch;

	power(b);
	load(b, CHIP_B, 2);
	bench_write(b, CHIP_B, 0x8000, 1);
	b->keep = CHIP_B;
	bench_start(b);
	bench_write(b, CHIP_B, NUMDELTAS, 1);		/* -100 uA on 10 kohm: -1 V */
	bench_write(b, CHIP_B, CHIP_TRIGGER, 1);
	model_produce(b->m, SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 30193);
	f = bench_frame(b, 100);
	g = bench_frame(b, 101);
	assert_int_equal(b->frames[0].len, 16 + 76);
	assert_int_equal(get32(f + 12), 74);
	assert_int_equal(get64(g + 16) - get64(f + 16), 1656);
	assert_int_equal(get64(g) - get64(f), 8280);
	for (ch = 0; ch < 16; ch++) {
		assert_int_not_equal(get16(f + 24 + 2 * ch), get16(g + 24 + 2 * ch));
		assert_int_equal(get16(f + 56 + 2 * ch), ch == 2 ? 512 + 52 : 512);
	}
	assert_int_equal(get16(f + 88), 0);
	bench_write(b, CHIP_B, NUMDELTAS, 0);
	model_produce(b->m, SECOND + SECOND / 1000, SIZE_MAX);
	f = bench_frame(b, b->nframes - 1);
	assert_int_equal(get16(f + 60), 512);
	assert_int_equal(get16(f + 88), 4);		/* it recovers */
}

/* ---- the log as text ------------------------------------------------------------- */
static void the_log_is_json(void **state)
{
	struct bench *b = *state;
	char *text = NULL, want[512];
	size_t len = 0;
	uint64_t t;
	FILE *f;

	power(b);
	load(b, CHIP_A, 5);
	t = b->now_ns;
	command(b, "stim gpio b");
	bench_wait(b, 5);
	f = open_memstream(&text, &len);
	model_stim_phases(b->m, f, 1);
	model_stim_electrodes(b->m, f);
	fclose(f);
	snprintf(want, sizeof(want), "{\"phase\":1,\"addr\":512,\"channel\":5,\"start_ns\":%llu,"
		 "\"ns\":198720,\"na\":100000,\"steps\":100000,\"ac\":19872000000,\"trigger\":0,"
		 "\"cut\":false}\n", (unsigned long long)(t + 6 * PERIOD));
	assert_int_equal(strncmp(text, want, strlen(want)), 0);
	assert_non_null(strstr(text, "{\"addr\":512,\"channel\":5,\"light\":false,\"phases\":2,"
			       "\"on_ns\":397440,\"net_ac\":0,\"positive_ac\":19872000000,"
			       "\"negative_ac\":19872000000,\"max_na\":100000,"
			       "\"max_phase_ac\":19872000000,\"max_net_ac\":19872000000,"
			       "\"now_na\":0}\n"));
	free(text);
}

/* ---- programs that the driver's check accepts or refuses, by way of registers ------ */
static uint32_t rnd(uint32_t below)
{
	static uint64_t s = 0x9e3779b97f4a7c15ull;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return (uint32_t)((s >> 32) * below >> 32);
}

static const struct { uint32_t reg, na; } step_sizes[] = {
	{ 0x69c0, 10 }, { 0x3428, 20 }, { 0x1440, 50 }, { 0x0a1e, 100 }, { 0x0519, 200 },
	{ 0x01e5, 500 }, { 0x00e2, 1000 }, { 0x005e, 2000 }, { 0x0026, 5000 }, { 0x000f, 10000 },
};

struct plan {
	struct oni_stim_program program;
	struct oni_stim_delta row[16];
	uint32_t step, delay;	/* of the trigger, which the check knows nothing of */
};

/* Two channels, some of the time in balance and in order. */
static void make_plan(struct plan *p)
{
	struct oni_stim_chip *c = &p->program.chip[0];
	uint32_t i, t = 0, width = 1 + rnd(5);

	memset(p, 0, sizeof(*p));
	p->program.size = sizeof(p->program);
	p->program.version = ONI_STIM_VERSION;
	p->program.kind = ONI_STIM_RHS2116;
	p->program.sources = ONI_STIM_FROM_REGISTER;
	p->program.watchdog_ms = 1;
	p->delay = rnd(2) ? 0 : rnd(20);
	p->step = rnd(10);
	c->step_na = step_sizes[p->step].na;
	p->program.chip[1].step_na = 10;
	for (i = 0; i < 2; i++) {
		c->negative[i] = (uint8_t)rnd(256);
		c->positive[i] = rnd(3) ? c->negative[i] : (uint8_t)rnd(256);
	}
	c->rows = 3 * (1 + rnd(3));
	for (i = 0; i < c->rows; i++) {
		p->row[i].time = t;
		p->row[i].polen = i % 3 == 0 ? 0x20003 : i % 3 == 1 ? 0x10003 : 0;
		t += i % 3 == 2 ? 1 + rnd(5) : width;
	}
	if (!rnd(3))
		p->row[rnd(c->rows)].time += 1 - 2 * rnd(2);
	if (!rnd(6))
		p->row[rnd(c->rows)].polen ^= 1u << rnd(2);
	p->row[0].time &= 0xffff;
}

static void run_plan(struct bench *b, const struct plan *p)
{
	const struct oni_stim_chip *c = &p->program.chip[0];
	uint32_t i;

	bench_write(b, CHIP_A, STEPSZ, step_sizes[p->step].reg);
	for (i = 0; i < 16; i++) {
		bench_write(b, CHIP_A, 0x40 + i, c->negative[i]);
		bench_write(b, CHIP_A, 0x60 + i, c->positive[i]);
	}
	bench_write(b, CHIP_A, NUMDELTAS, c->rows);
	for (i = 0; i < c->rows; i++)
		put_row(b, CHIP_A, i, p->row[i].time, p->row[i].polen);
	model_reset(b->m, 0);
	bench_write(b, TRIGGER, 2, p->delay << 12 | 1);
	bench_wait(b, 10);
	bench_write(b, CHIP_A, NUMDELTAS, 0);
}

static void generous(struct oni_stim_policy *p)
{
	uint32_t i, n;

	memset(p, 0, sizeof(*p));
	p->size = sizeof(*p);
	p->version = ONI_STIM_VERSION;
	p->classes = 1;
	p->hs64_readings = ONI_STIM_HS64_ANY;
	p->duty_window_ns = 1000000;
	for (i = 0; i < ONI_STIM_LIMITS; i++)
		p->cls[0].max[i] = oni_stim_hard_limit(i, ONI_STIM_RETURN);
	for (n = 0; n <= ONI_STIM_RETURN; n++)
		p->class_of[n] = 1;
	p->cls[0].max[ONI_STIM_NET] = 0;
	p->cls[0].max[ONI_STIM_AMPLITUDE] = 1500000;
}

/* verifies: R14 */
static void what_the_check_says_is_what_flows(void **state)
{
	struct bench *b = *state;
	struct oni_stim_policy policy;
	struct oni_stim_verdict v;
	int64_t before[2], after;
	uint32_t i, ch, seen[64] = { 0 };
	struct plan p;
	bool unbalanced;

	power(b);
	generous(&policy);
	for (i = 0; i < 2000; i++) {
		make_plan(&p);
		oni_stim_check(&policy, &p.program, p.row, p.program.chip[0].rows, &v);
		seen[v.code]++;
		for (ch = 0; ch < 2; ch++) {
			before[ch] = net(b, CHIP_A, ch);
			b->m->log->electrode[electrode(b, CHIP_A, ch) -
					     b->m->log->electrode].max_level = 0;
		}
		run_plan(b, &p);
		for (unbalanced = false, ch = 0; ch < 2; ch++) {
			after = net(b, CHIP_A, ch) - before[ch];
			unbalanced |= after != 0;
			if (v.code == ONI_STIM_OK) {
				assert_int_equal(after, 0);
				assert_true(electrode(b, CHIP_A, ch)->max_level <= 1500000);
			}
		}
		switch (v.code) {
		case ONI_STIM_NET:
			if (v.contact != ONI_STIM_RETURN)
				assert_true(unbalanced);
			break;
		case ONI_STIM_AMPLITUDE:
			if (v.contact != ONI_STIM_RETURN)
				assert_int_equal(electrode(b, CHIP_A, v.contact)->max_level,
						 v.asked);
			break;
		}
	}
	assert_true(seen[ONI_STIM_OK] > 100);
	assert_true(seen[ONI_STIM_NET] > 100);
	assert_true(seen[ONI_STIM_AMPLITUDE] > 50);
	assert_true(seen[ONI_STIM_NOT_MONOTONIC] > 20);
	assert_true(seen[ONI_STIM_LEFT_ON] > 20);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(hs64_power_on_values_are_dangerous), T(hs64_balance),
		T(hs64_needs_enable_and_power), T(hs64_off_switches),
		T(hs64_parameters_act_at_once), T(hs64_low_supply_unbalances),
		T(hs64_master_reset), T(hs64_other_readings), T(hs64_reset_disarms),
		T(optical_pulses), T(a_ttl_needs_no_host), T(a_ttl_needs_power_and_an_input),
		T(both_chips_start_together), T(a_row_is_the_state_of_all_channels),
		T(a_row_out_of_order_ends_it_all), T(the_last_row_stays),
		T(amplitudes_act_at_once_and_the_step_at_a_reset),
		T(step_sizes_nobody_knows_are_the_largest),
		T(without_the_magic_words_nothing_flows), T(a_raw_write_can_switch_current),
		T(a_trigger_that_waits_is_not_cancelled), T(a_trigger_that_waits_is_cancelled),
		T(trigger_frames), T(a_trigger_can_go_unreported),
		T(a_sequencer_can_say_error_and_go_on), T(a_broken_link_leaves_the_supply),
		T(the_receiver_hears_the_sync_pin_only), T(loss_of_power),
		T(resets_and_second_triggers), T(frames_of_a_chip), T(the_log_is_json),
		T(what_the_check_says_is_what_flows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
