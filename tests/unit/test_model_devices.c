/* SPDX-License-Identifier: MIT */
/* unit-sources: tests/sim/model/[a-z]*.c */
/* unit-libs: -lm */
/*
 * Devices of the simulated card: table, registers, frame bytes, ports, time.
 */
#include "tests/unit/model_bench.h"

static const uint8_t memory_example[28] = {
	0x00, 0x00, 0x10, 0, 0, 0, 0, 0, 0x0a, 0, 0, 0, 0x0c, 0, 0, 0,
	0x00, 0xff, 0x0f, 0, 0, 0, 0, 0, 0x34, 0x12, 0, 0,
};

static const uint8_t port_example[28] = {
	0x00, 0x00, 0x10, 0, 0, 0, 0, 0, 0x01, 0, 0, 0, 0x0a, 0, 0, 0,
	0x00, 0xff, 0x0f, 0, 0, 0, 0, 0, 0x03, 0, 0, 0,
};

static int setup(void **state)
{
	struct bench *b = malloc(sizeof(*b));

	bench_new(b);
	bench_set(b, "source", "0-127=ramp");
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	bench_free(*state);
	free(*state);
	return 0;
}

static void check_rows(struct bench *b, const struct model_dev *want, size_t n)
{
	struct model_dev rows[MODEL_MAX_ROWS];
	size_t i;

	assert_int_equal(model_table(b->m, rows, MODEL_MAX_ROWS), n);
	for (i = 0; i < n; i++) {
		assert_int_equal(rows[i].addr, want[i].addr);
		assert_int_equal(rows[i].id, want[i].id);
		assert_int_equal(rows[i].version, want[i].version);
		assert_int_equal(rows[i].read_size, want[i].read_size);
		assert_int_equal(rows[i].write_size, want[i].write_size);
	}
}

static const struct model_dev table[] = {
	{ 0x000, 35, 1, 8, 0 }, { 0x001, 23, 2, 10, 0 }, { 0x002, 23, 2, 10, 0 },
	{ 0x003, 0, 0, 0, 0 }, { 0x004, 0, 0, 0, 0 }, { 0x005, 20, 1, 0, 0 },
	{ 0x006, 22, 2, 32, 24 }, { 0x007, 18, 2, 12, 4 }, { 0x008, 0, 0, 0, 0 },
	{ 0x009, 0, 0, 0, 0 }, { 0x00a, 28, 2, 12, 0 }, { 0x00b, 27, 2, 16, 8 },
	{ 0x00c, 30, 2, 12, 0 }, { 0x100, 3, 1, 142, 0 }, { 0x101, 9, 1, 36, 0 },
	{ 0x102, 25, 1, 16, 0 }, { 0x103, 4, 1, 0, 0 }, { 0x104, 5, 1, 0, 0 },
};

static void test_table_without_headstage(void **state)
{
	struct bench *b = *state;

	model_reset(b->m, 0);
	check_rows(b, table, 13);
}

static void test_table_with_headstage(void **state)
{
	struct bench *b = *state;

	bench_power_hs64(b);
	check_rows(b, table, 18);
}

static void test_table_changes_only_at_reset(void **state)
{
	struct bench *b = *state;

	model_reset(b->m, 0);
	bench_write(b, PORT_A, 3, 65);
	bench_wait(b, 150);
	check_rows(b, table, 13);
	model_reset(b->m, 0);
	check_rows(b, table, 18);
}

static void test_passthrough_hides_the_hub(void **state)
{
	struct bench *b = *state;

	bench_power_hs64(b);
	model_reset(b->m, 1);
	check_rows(b, table, 13);
	model_reset(b->m, 0);
	check_rows(b, table, 18);
}

static void test_rhs2116_rows(void **state)
{
	static const struct model_dev rhs[] = {
		{ 0x200, 31, 3, 74, 0 }, { 0x201, 31, 3, 74, 0 }, { 0x202, 32, 2, 14, 0 },
	};
	struct bench *b = *state;
	struct model_dev want[16];

	bench_set(b, "port-b", "rhs2116");
	model_tick(b->m, b->now_ns);
	bench_write(b, 2, 3, 40);
	bench_wait(b, 150);
	model_reset(b->m, 0);
	memcpy(want, table, 13 * sizeof(*want));
	memcpy(want + 13, rhs, sizeof(rhs));
	check_rows(b, want, 16);
	assert_int_equal(bench_read(b, 0x2fe, 0), 4);
	assert_int_equal(bench_read(b, 0x2fe, 4), 50000000);
	assert_int_equal(bench_read(b, 0x200, 0x22), 0x00a6);
	assert_int_equal(bench_read(b, 0x201, 0x8001), 1024);
	assert_int_equal(bench_read(b, 0x202, 3), 1);	/* armed */
}

static void test_hub_information(void **state)
{
	struct bench *b = *state;
	unsigned int reg;

	bench_power_hs64(b);
	assert_int_equal(bench_read(b, 0xfe, 0), 1);
	assert_int_equal(bench_read(b, 0xfe, 2), 0x0200);
	assert_int_equal(bench_read(b, 0xfe, 4), 250000000);
	assert_int_equal(bench_read(b, 0x1fe, 0), 2);
	assert_int_equal(bench_read(b, 0x1fe, 4), 42000000);
	for (reg = 0; reg <= 5; reg++) {
		assert_int_equal(model_reg_write(b->m, 0xfe, reg, 0), -1);
		assert_int_equal(model_reg_write(b->m, 0x1fe, reg, 0), -1);
	}
}

static void test_refusals(void **state)
{
	static const struct {
		uint32_t addr, reg;
	} bad[] = {
		{ 0x003, 0 }, { 0x004, 0 }, { 0x008, 0 }, { 0x009, 0x8000 }, { 0x00d, 0 },
		{ 0x0ff, 0 }, { 0x200, 0 }, { 0x2fe, 0 }, { 0x300, 0 }, { 0x10000, 0 },
		{ 0x000, 4 }, { 0x100, 0 + 0x16 }, { 0x100, 0x10000 }, { 0x101, 1 },
		{ 0x105, 0 }, { 0x0fe, 6 }, { 0x001, 4 },
	};
	struct bench *b = *state;
	uint32_t v = 77;
	size_t i;

	bench_power_hs64(b);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(model_reg_read(b->m, bad[i].addr, bad[i].reg, &v), -1);
		assert_int_equal(v, 77);
	}
	assert_int_equal(bench_status(b, "nacks"), i);
	assert_int_equal(model_reg_write(b->m, HEARTBEAT, 2, 1), -1);	/* read only */
	assert_int_equal(model_reg_write(b->m, HEARTBEAT, 0, 0), -1);
	assert_int_equal(model_reg_write(b->m, RHD, 0x3f, 4), -1);
	assert_int_equal(model_reg_write(b->m, 0x103, 17, 12), -1);
}

static void test_status_before_any_reset(void **state)
{
	struct bench b;

	(void)state;
	bench_new(&b);
	assert_int_equal(bench_status(&b, "run"), 0);
	model_tick(b.m, 1);
	assert_int_equal(bench_status(&b, "port.a.locked"), 0);
	assert_int_equal(bench_status(&b, "rhd.0x100.samples"), 0);
	bench_free(&b);
}

static void test_heartbeat_limits(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_read(b, HEARTBEAT, 0), 1);
	assert_int_equal(bench_read(b, HEARTBEAT, 1), 2500000);
	assert_int_equal(bench_read(b, HEARTBEAT, 3), 10);
	assert_int_equal(model_reg_write(b->m, HEARTBEAT, 1, 24), -1);
	assert_int_equal(model_reg_write(b->m, HEARTBEAT, 1, 25000001), -1);
	assert_int_equal(bench_read(b, HEARTBEAT, 1), 2500000);
	bench_write(b, HEARTBEAT, 1, 25);
	bench_write(b, HEARTBEAT, 1, 25000000);
}

static void test_heartbeat_frames(void **state)
{
	struct bench *b = *state;
	size_t i;

	bench_start(b);
	assert_int_equal(model_produce(b->m, SECOND, SIZE_MAX), SECOND);
	assert_int_equal(b->nframes, 99);	/* the 100th leaves just after */
	for (i = 0; i < b->nframes; i++) {
		assert_int_equal(b->frames[i].len, 24);
		assert_int_equal(get64(bench_frame(b, i) + 16), (i + 1) * 2500000);
		assert_int_equal(get64(bench_frame(b, i)), (i + 1) * 2500000 + 256);
	}
	bench_drop_frames(b);
	bench_write(b, HEARTBEAT, 1, 250000);	/* 1 kHz at once */
	model_produce(b->m, 2 * SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 1000);
}

static void test_stopped_makes_no_frames(void **state)
{
	struct bench *b = *state;

	model_reset(b->m, 0);
	assert_true(model_next(b->m) == UINT64_MAX);
	assert_int_equal(model_produce(b->m, SECOND, SIZE_MAX), SECOND);
	assert_int_equal(b->nframes, 0);
}

static void test_pause_keeps_the_clock(void **state)
{
	struct bench *b = *state;

	bench_start(b);
	model_produce(b->m, SECOND, SIZE_MAX);
	model_run(b->m, 0);
	bench_drop_frames(b);
	model_run(b->m, 1);
	model_produce(b->m, SECOND + 2500000, SIZE_MAX);
	assert_int_equal(b->nframes, 1);
	assert_int_equal(get64(bench_frame(b, 0) + 16), SECOND);
}

static void test_memory_example(void **state)
{
	struct bench *b = *state;

	b->keep = MEMORY;
	b->used_words = 0x1234;
	bench_write(b, MEMORY, 0, 1);
	bench_write(b, MEMORY, 1, 0x0fff00);
	bench_start(b);
	model_produce(b->m, 0x100000, SIZE_MAX);
	assert_int_equal(b->nframes, 1);
	assert_int_equal(b->frames[0].len, sizeof(memory_example));
	assert_memory_equal(bench_frame(b, 0), memory_example, sizeof(memory_example));
	assert_int_equal(bench_read(b, MEMORY, 3), 0x20000000);
	assert_int_equal(bench_read(b, MEMORY, 4), 0x1234);
}

static void test_enable_acts_at_reset(void **state)
{
	struct bench *b = *state;

	b->keep = MEMORY;
	bench_start(b);
	bench_write(b, MEMORY, 0, 1);
	model_produce(b->m, SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 0);
	model_run(b->m, 0);
	bench_start(b);
	model_produce(b->m, SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 9);
	model_reset(b->m, 0);
	assert_int_equal(bench_read(b, MEMORY, 0), 1);	/* survives */
}

static void test_port_status_example(void **state)
{
	struct bench *b = *state;

	b->keep = PORT_A;
	bench_write(b, PORT_A, 0, 1);
	model_tick(b->m, b->now_ns);
	bench_start(b);
	model_produce(b->m, 0x0fff00, SIZE_MAX);
	bench_write(b, PORT_A, 3, 65);
	bench_wait(b, 150);
	model_produce(b->m, SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 1);
	assert_memory_equal(bench_frame(b, 0), port_example, sizeof(port_example));
	bench_write(b, PORT_A, 3, 0);
	model_produce(b->m, 2 * SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 2);
	assert_int_equal(get16(bench_frame(b, 1) + 24), 0);
}

static void test_port_window(void **state)
{
	struct bench *b = *state;

	model_tick(b->m, b->now_ns);
	bench_write(b, PORT_A, 3, 54);
	bench_wait(b, 300);
	assert_int_equal(bench_read(b, PORT_A, 5), 0);
	bench_write(b, PORT_A, 3, 55);
	bench_wait(b, 99);
	assert_int_equal(bench_read(b, PORT_A, 5), 0);
	bench_wait(b, 3);
	assert_int_equal(bench_read(b, PORT_A, 5), 3);
	assert_int_equal(bench_read(b, PORT_A, 7), 3);
	bench_write(b, PORT_A, 7, 3);
	assert_int_equal(bench_read(b, PORT_A, 7), 0);
	bench_write(b, PORT_A, 3, 90);
	assert_int_equal(bench_status(b, "overvoltage"), 0);
	bench_write(b, PORT_A, 3, 91);
	assert_int_equal(bench_status(b, "overvoltage"), 1);
	assert_int_equal(bench_read(b, PORT_A, 5), 3);
	bench_write(b, PORT_A, 3, 54);
	assert_int_equal(bench_read(b, PORT_A, 5), 0);
	bench_write(b, PORT_A, 3, 200);			/* clamps to 11.0 V */
	assert_int_equal(bench_status(b, "port.a.tenths_of_volt"), 110);
	assert_int_equal(bench_status(b, "overvoltage"), 2);
	bench_write(b, PORT_A, 3, 1);
	assert_int_equal(bench_status(b, "port.a.tenths_of_volt"), 33);
}

static void test_voltage_removed_before_lock(void **state)
{
	struct bench *b = *state;

	model_tick(b->m, b->now_ns);
	bench_write(b, PORT_A, 3, 65);
	bench_wait(b, 50);
	bench_write(b, PORT_A, 3, 0);
	bench_wait(b, 300);
	assert_int_equal(bench_read(b, PORT_A, 5), 0);
}

static void test_deserialiser_power(void **state)
{
	struct bench *b = *state;

	bench_power_hs64(b);
	model_reset(b->m, 0);
	bench_write(b, 0x103, 4, 123);
	bench_write(b, PORT_A, 2, 0);
	assert_int_equal(bench_read(b, PORT_A, 5), 0);
	assert_int_equal(model_reg_write(b->m, 0x103, 4, 5), -1);
	bench_write(b, PORT_A, 2, 1);
	bench_wait(b, 150);
	assert_int_equal(bench_read(b, 0x103, 4), 123);	/* supply was kept */
}

static void test_power_cycle_restores_defaults(void **state)
{
	struct bench *b = *state;

	bench_power_hs64(b);
	bench_write(b, 0x103, 4, 123);
	bench_write(b, PORT_A, 3, 0);
	bench_write(b, PORT_A, 3, 65);
	bench_wait(b, 150);
	assert_int_equal(bench_read(b, 0x103, 4), 100);
	assert_int_equal(bench_read(b, RHD, 0x8000), 0);
}

static void test_saved_voltage_applies_at_power_on(void **state)
{
	struct bench *b = *state;

	bench_set(b, "port-a-saved-volts", "6.5");
	model_tick(b->m, b->now_ns);
	bench_wait(b, 150);
	assert_int_equal(bench_read(b, PORT_A, 3), 65);
	assert_int_equal(bench_read(b, PORT_A, 5), 3);
	bench_write(b, PORT_A, 4, 1);
	assert_int_equal(bench_status(b, "port.a.savevoltage_writes"), 1);
}

static void test_link_loss_while_running(void **state)
{
	struct bench *b = *state;
	char err[128];
	size_t n;

	bench_power_hs64(b);
	b->keep = RHD;
	bench_start(b);
	model_produce(b->m, SECOND / 10, SIZE_MAX);
	n = b->nframes;
	assert_int_equal(n, 2999);
	assert_int_equal(model_command(b->m, "port a detach", err, sizeof(err)), 0);
	model_produce(b->m, SECOND / 5, SIZE_MAX);
	assert_int_equal(b->nframes, n);
	assert_int_equal(model_reg_write(b->m, RHD, 0x8000, 1), -1);
	assert_int_equal(model_command(b->m, "port a attach", err, sizeof(err)), 0);
	bench_wait(b, 150);
	model_produce(b->m, SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, n);		/* silent until a reset */
	assert_int_equal(bench_read(b, PORT_A, 5), 3);
}

static void test_link_glitch_resumes(void **state)
{
	struct bench *b = *state;
	size_t n;

	bench_power_hs64(b);
	b->keep = RHD;
	bench_start(b);
	model_produce(b->m, SECOND / 10, SIZE_MAX);
	n = b->nframes;
	bench_write(b, PORT_A, 2, 0);
	model_produce(b->m, SECOND / 5, SIZE_MAX);
	bench_write(b, PORT_A, 2, 1);
	bench_wait(b, 150);
	model_produce(b->m, SECOND / 5 + 25000, SIZE_MAX);
	assert_in_range(b->nframes, n + 2, n + 4);
	/* The hub's clock went on meanwhile. */
	assert_in_range(get64(bench_frame(b, n) + 16), 8400000, 8404200);
}

static void test_rhd_registers(void **state)
{
	static const struct {
		uint32_t reg, val;
	} por[] = {
		{ 0x00, 0xde }, { 0x01, 0x02 }, { 0x02, 0x04 }, { 0x03, 0x02 }, { 0x04, 0x1f },
		{ 0x05, 0 }, { 0x06, 0 }, { 0x07, 0 }, { 0x08, 0x11 }, { 0x09, 0x80 },
		{ 0x0a, 0x10 }, { 0x0b, 0x80 }, { 0x0c, 0x10 }, { 0x0d, 0xdc }, { 0x0e, 0xff },
		{ 0x15, 0xff }, { 0x3e, 64 }, { 0x3f, 4 },
	};
	struct bench *b = *state;
	size_t i;

	bench_power_hs64(b);
	for (i = 0; i < sizeof(por) / sizeof(por[0]); i++)
		assert_int_equal(bench_read(b, RHD, por[i].reg), por[i].val);
	bench_write(b, RHD, 0x0c, 44);
	assert_int_equal(bench_read(b, RHD, 0x0c), 44);
}

/* Word @slot of a frame must be the ramp of channel @ch at sample @i. */
static void check_ramp(const uint8_t *frame, size_t i, unsigned int flip)
{
	unsigned int slot;

	for (slot = 0; slot < 64; slot++) {
		unsigned int ch = slot / 2 + slot % 2 * 32;

		assert_int_equal(get16(frame + 24 + 2 * slot),
				 ((i * 64 + ch) & 0xffff) ^ flip);
	}
}

static void test_rhd_frames(void **state)
{
	struct bench *b = *state;
	size_t i;

	bench_power_hs64(b);
	b->keep = RHD;
	bench_start(b);
	model_produce(b->m, 10 * SECOND + 1000, SIZE_MAX);
	assert_int_equal(b->nframes, 300000);		/* exact over 10 s */
	for (i = 0; i < b->nframes; i++) {
		const uint8_t *p = bench_frame(b, i);

		assert_int_equal(b->frames[i].len, 160);
		assert_int_equal(get32(p + 12), 142);
		assert_int_equal(get64(p + 16), (i + 1) * 1400);
		assert_int_equal(get64(p), (i + 1) * 25000 / 3 + 500);
		check_ramp(p, i, 0);
		assert_int_equal(get16(p + 156), 33422);
		assert_int_equal(get16(p + 158), 0);
	}
}

static void test_rhd_twos_complement(void **state)
{
	struct bench *b = *state;

	bench_power_hs64(b);
	b->keep = RHD;
	bench_write(b, RHD, 4, 0x5f);
	bench_start(b);
	bench_write(b, RHD, 4, 0x1f);		/* acts at the next reset only */
	model_produce(b->m, SECOND / 100, SIZE_MAX);
	check_ramp(bench_frame(b, 5), 5, 0x8000);
}

static void test_hub_drift(void **state)
{
	struct bench *b = *state;

	bench_set(b, "hub-drift-ppm", "-100");
	bench_power_hs64(b);
	b->keep = RHD;
	bench_start(b);
	model_produce(b->m, 10 * SECOND + 500, SIZE_MAX);
	assert_int_equal(b->nframes, 299970);
	assert_int_equal(get64(bench_frame(b, 299969) + 16), 299970ull * 1400);
}

static void test_rates_over_ten_seconds(void **state)
{
	static const struct {
		uint32_t addr, frames;
	} rate[] = {
		{ HEARTBEAT, 1000 }, { ANALOG, 1000000 }, { MEMORY, 100 }, { LOADTEST, 10000 },
		{ HARP, 10 }, { RHD, 300000 },
	};
	struct bench *b = *state;
	uint64_t count[0x101] = { 0 };
	size_t i;

	bench_power_hs64(b);
	bench_write(b, ANALOG, 0, 1);
	bench_write(b, MEMORY, 0, 1);
	bench_write(b, LOADTEST, 0, 1);
	bench_write(b, HARP, 0, 1);
	bench_start(b);
	model_produce(b->m, 10 * SECOND + 1000, SIZE_MAX);
	for (i = 0; i < b->nframes; i++)
		count[b->frames[i].addr]++;
	for (i = 0; i < sizeof(rate) / sizeof(rate[0]); i++)
		assert_int_equal(count[rate[i].addr], rate[i].frames);
}

static void test_max_bytes_stops_early(void **state)
{
	struct bench *b = *state;
	uint64_t at;

	bench_write(b, ANALOG, 0, 1);
	bench_start(b);
	at = model_produce(b->m, SECOND, 480);
	assert_int_equal(b->nbytes, 480);
	assert_int_equal(at, 10 * 2500 + 256);
	assert_int_equal(model_produce(b->m, at, SIZE_MAX), at);
	assert_int_equal(b->nframes, 10);
}

static void test_analog_frames(void **state)
{
	struct bench *b = *state;
	uint32_t out[6] = { 0 };
	const uint8_t *p;
	int i, peak = 0;

	b->keep = ANALOG;
	bench_write(b, ANALOG, 0, 1);
	bench_write(b, ANALOG, 1, 0x002);		/* channel 1 is an output */
	bench_write(b, ANALOG, 2 + 1, 2);		/* +-5 V */
	bench_start(b);
	out[0] = (32768u + 6554) << 16;			/* +2 V on channel 1 */
	model_write_frame(b->m, 0, ANALOG, out, 6);
	model_produce(b->m, SECOND, SIZE_MAX);
	for (i = 0; i < (int)b->nframes; i++) {
		p = bench_frame(b, i);
		assert_int_equal(b->frames[i].len, 48);
		assert_int_equal(get16(p + 24) & 3, 0);
		if ((int16_t)get16(p + 24) > peak)
			peak = (int16_t)get16(p + 24);
		assert_in_range(get16(p + 26), 13104, 13108);	/* 2 V of 10 V span */
	}
	assert_in_range(peak, 3270, 3277);		/* 1 V of 20 V span, channel 0 */
}

static void test_digital_change_frames(void **state)
{
	static const uint8_t tail[12 + 4] = {
		0x07, 0, 0, 0, 0x0c, 0, 0, 0,
	};
	struct bench *b = *state;
	uint32_t out = 0xa5;
	char err[128];

	b->keep = DIGITAL;
	bench_write(b, DIGITAL, 0, 1);
	bench_start(b);
	model_produce(b->m, 1000, SIZE_MAX);
	assert_int_equal(b->nframes, 0);
	model_write_frame(b->m, 1000, DIGITAL, &out, 1);
	model_produce(b->m, 2000, SIZE_MAX);
	assert_int_equal(b->nframes, 1);
	assert_int_equal(b->frames[0].len, 28);
	assert_memory_equal(bench_frame(b, 0) + 8, tail, 8);
	assert_int_equal(get32(bench_frame(b, 0) + 24), 0xa5);
	assert_int_equal(model_command(b->m, "digital toggle 1", err, sizeof(err)), 0);
	model_produce(b->m, 3000, SIZE_MAX);
	assert_int_equal(get32(bench_frame(b, 1) + 24), 0xa7);
	assert_int_equal(model_command(b->m, "digital button check", err, sizeof(err)), 0);
	model_produce(b->m, 4000, SIZE_MAX);
	assert_int_equal(get32(bench_frame(b, 2) + 24), 0x000800a7);
	model_write_frame(b->m, 4000, DIGITAL, &out, 1);	/* no change */
	model_produce(b->m, 5000, SIZE_MAX);
	assert_int_equal(b->nframes, 3);
	assert_int_equal(model_command(b->m, "digital toggle 8", err, sizeof(err)), -1);
	assert_int_equal(model_command(b->m, "digital button star", err, sizeof(err)), -1);
	assert_int_equal(model_command(b->m, "nonsense", err, sizeof(err)), -1);
}

static void test_digital_dead_time(void **state)
{
	struct bench *b = *state;
	uint32_t out;

	b->keep = DIGITAL;
	bench_write(b, DIGITAL, 0, 1);
	bench_write(b, DIGITAL, 6, 100000);
	bench_start(b);
	for (out = 1; out <= 10; out++) {
		model_write_frame(b->m, 1000 * out, DIGITAL, &out, 1);
		model_produce(b->m, 1000 * out + 500, SIZE_MAX);
	}
	model_produce(b->m, SECOND, SIZE_MAX);
	assert_int_equal(b->nframes, 2);
	assert_int_equal(get32(bench_frame(b, 0) + 24), 1);
	assert_int_equal(get32(bench_frame(b, 1) + 24), 10);
	assert_int_equal(get64(bench_frame(b, 1) + 16) - get64(bench_frame(b, 0) + 16), 100000);
}

static void test_digital_periodic(void **state)
{
	struct bench *b = *state;

	b->keep = DIGITAL;
	bench_write(b, DIGITAL, 0, 1);
	bench_write(b, DIGITAL, 7, 250000 - 2);
	bench_start(b);
	model_produce(b->m, SECOND + 300, SIZE_MAX);
	assert_int_equal(b->nframes, 1000);
}

static void test_load_tester(void **state)
{
	struct model_dev rows[MODEL_MAX_ROWS];
	struct bench *b = *state;
	uint32_t loop[5] = { 5000, 0, 1, 2, 3 };
	const uint8_t *p;

	b->keep = LOADTEST;
	bench_write(b, LOADTEST, 0, 1);
	bench_write(b, LOADTEST, 1, 10000);
	bench_write(b, LOADTEST, 3, 5);
	bench_write(b, LOADTEST, 4, 3);
	bench_write(b, LOADTEST, 5, 0xfffe);
	assert_int_equal(model_reg_write(b->m, LOADTEST, 3, 65536), -1);
	bench_start(b);
	model_table(b->m, rows, MODEL_MAX_ROWS);
	assert_int_equal(rows[11].read_size, 26);
	assert_int_equal(rows[11].write_size, 20);
	model_produce(b->m, 15000, SIZE_MAX);
	model_write_frame(b->m, 15100, LOADTEST, loop, 5);
	model_write_frame(b->m, 15100, LOADTEST, loop, 4);	/* not whole samples */
	model_write_frame(b->m, 15100, HEARTBEAT, loop, 5);	/* takes none */
	assert_int_equal(bench_status(b, "bad_write_frames"), 2);
	assert_int_equal(bench_status(b, "write_frames"), 1);
	model_produce(b->m, 25000, SIZE_MAX);
	assert_int_equal(b->nframes, 2);
	p = bench_frame(b, 1);
	assert_int_equal(b->frames[1].len, 44);
	assert_int_equal(get64(p + 16), 20000);
	assert_int_equal(get64(p + 24), 10100);
	assert_int_equal(get16(p + 32), 0xfffe);
	assert_int_equal(get16(p + 36), 0);
	assert_int_equal(get16(p + 40), 2);
	assert_int_equal(get16(p + 42), 0);
}

static void test_load_tester_cannot_outrun_itself(void **state)
{
	struct bench *b = *state;

	b->keep = LOADTEST;
	bench_write(b, LOADTEST, 0, 1);
	bench_write(b, LOADTEST, 1, 100);
	bench_write(b, LOADTEST, 3, 991);
	bench_start(b);
	model_produce(b->m, 10000 + 256, SIZE_MAX);
	assert_int_equal(b->nframes, 10);
}

static void test_harp(void **state)
{
	struct bench *b = *state;

	bench_set(b, "harp-seconds", "1000");
	b->keep = HARP;
	bench_write(b, HARP, 0, 1);
	bench_start(b);
	model_produce(b->m, 3 * SECOND + 1000, SIZE_MAX);
	assert_int_equal(b->nframes, 3);
	assert_int_equal(get32(bench_frame(b, 2) + 24), 1003);
	assert_int_equal(get64(bench_frame(b, 2) + 16), 3 * SECOND);
}

static void test_stimulator_writes_are_recorded(void **state)
{
	struct bench *b = *state;

	bench_power_hs64(b);
	assert_int_equal(bench_read(b, 0x103, 3), 0);	/* -2.5 mA by default */
	bench_write(b, 0x103, 12, 1);			/* neither armed nor powered */
	assert_int_equal(bench_status(b, "stim_triggers"), 0);
	bench_write(b, 0x103, 14, 1);
	bench_write(b, 0x103, 13, 1);
	bench_write(b, 0x103, 12, 1);
	assert_int_equal(bench_status(b, "stim_triggers"), 1);
	bench_write(b, PORT_A, 1, 1);			/* GPO pulse */
	bench_write(b, PORT_A, 1, 1);			/* no edge */
	assert_int_equal(bench_status(b, "stim_triggers"), 2);
	bench_write(b, 0x104, 3, 77);
	assert_int_equal(bench_status(b, "stim_writes"), 5);
	assert_int_equal(bench_status(b, "stim_last_addr"), 0x104);
	assert_int_equal(bench_status(b, "stim_last_reg"), 3);
	assert_int_equal(bench_status(b, "stim_last_value"), 77);
	assert_int_equal(bench_status(b, "stim.0x103.writes"), 4);
	model_reset(b->m, 0);				/* disarms */
	assert_int_equal(bench_read(b, 0x103, 14), 0);
	assert_int_equal(bench_read(b, 0x103, 13), 1);
	bench_write(b, 0x103, 12, 1);
	assert_int_equal(bench_status(b, "stim_triggers"), 2);
}

static void test_master_reset_of_the_stimulator(void **state)
{
	struct bench *b = *state;

	bench_power_hs64(b);
	bench_write(b, 0x103, 8, 99);
	bench_write(b, 0x103, 13, 1);
	bench_write(b, 0x103, 16, 1);
	assert_int_equal(bench_read(b, 0x103, 8), 10);
	assert_int_equal(bench_read(b, 0x103, 13), 0);
}

static void test_rhs2116_is_armed_at_power_on(void **state)
{
	struct bench *b = *state;

	bench_set(b, "port-a", "rhs2116");
	model_tick(b->m, b->now_ns);
	bench_write(b, PORT_A, 3, 40);
	bench_wait(b, 150);
	model_reset(b->m, 0);
	bench_write(b, 0x102, 2, 1);		/* nothing loaded */
	assert_int_equal(bench_status(b, "stim_triggers"), 0);
	bench_write(b, 0x100, 0x8002, 4);
	bench_write(b, 0x102, 2, 1);
	assert_int_equal(bench_status(b, "stim_triggers"), 1);
	bench_write(b, 0x100, 0x8006, 1);	/* one chip by itself */
	assert_int_equal(bench_status(b, "stim_triggers"), 2);
	bench_write(b, 0x102, 3, 0);
	bench_write(b, 0x102, 2, 1);		/* disarmed */
	assert_int_equal(bench_status(b, "stim_triggers"), 2);
	assert_int_equal(model_reg_write(b->m, 0x100, 0x8002, 1025), -1);
	assert_int_equal(model_reg_write(b->m, 0x100, 0x8007, 31), -1);
	assert_int_equal(model_reg_write(b->m, 0x100, 0x8005, 0), -1);
}

static void test_second_headstage_has_its_own_channels(void **state)
{
	struct bench *b = *state;
	size_t i;

	bench_set(b, "port-b", "hs64");
	bench_power_hs64(b);
	bench_write(b, 2, 3, 60);
	bench_wait(b, 150);
	model_reset(b->m, 0);
	bench_write(b, 0x200, 0x8000, 1);
	b->keep = 0x200;
	bench_start(b);
	model_produce(b->m, SECOND / 100, SIZE_MAX);
	assert_in_range(b->nframes, 299, 300);
	for (i = 0; i < b->nframes; i++)
		assert_int_equal(get16(bench_frame(b, i) + 24 + 2 * 3),
				 (i * 64 + 64 + 33) & 0xffff);
}

static void test_same_clock_in_address_order(void **state)
{
	struct bench *b = *state;
	uint64_t clock = 0;
	uint32_t addr = 0;
	size_t i, ties = 0;

	/* Everything on hub 0 at 100 kHz: always four frames of the same clock. */
	bench_write(b, HEARTBEAT, 1, 2500);
	bench_write(b, ANALOG, 0, 1);
	bench_write(b, MEMORY, 0, 1);
	bench_write(b, MEMORY, 1, 2500);
	bench_write(b, LOADTEST, 0, 1);
	bench_write(b, LOADTEST, 1, 2500);
	bench_start(b);
	model_produce(b->m, SECOND / 100 + 256, 1);
	while (model_produce(b->m, SECOND / 100 + 256, 1) < SECOND / 100 + 256 ||
	       model_next(b->m) <= SECOND / 100 + 256)
		;
	assert_int_equal(b->nframes, 4000);
	for (i = 0; i < b->nframes; i++) {
		if (i && get64(bench_frame(b, i)) == clock) {
			assert_true(b->frames[i].addr > addr);
			ties++;
		}
		clock = get64(bench_frame(b, i));
		addr = b->frames[i].addr;
	}
	assert_int_equal(ties, 3000);
}

static void test_enabled_at_power_on(void **state)
{
	struct bench *b = *state;

	bench_set(b, "por-enable", "1");
	b->keep = ANALOG;
	bench_start(b);
	model_produce(b->m, SECOND / 100, SIZE_MAX);
	assert_true(b->nframes > 900);
}

static void test_window_option(void **state)
{
	struct bench *b = *state;

	bench_set(b, "port-a-window", "3.9-7.5");
	bench_set(b, "lock-delay-ms", "10");
	model_tick(b->m, b->now_ns);
	bench_write(b, PORT_A, 3, 39);
	bench_wait(b, 12);
	assert_int_equal(bench_read(b, PORT_A, 5), 3);
	bench_write(b, PORT_A, 3, 76);
	assert_int_equal(bench_status(b, "overvoltage"), 1);
}

static void test_bad_options(void **state)
{
	static const char *const bad[][2] = {
		{ "port-a", "hs65" }, { "port-c", "hs64" }, { "seed", "x" },
		{ "hub-drift-ppm", "2000" }, { "por-enable", "2" }, { "colour", "red" },
		{ "port-a-window", "5.5" }, { "source", "ramp" }, { "source", "0-128=ramp" },
		{ "source", "3-1=ramp" }, { "source", "0=sawtooth" }, { "source", "0,=ramp:x" },
		{ "source", "0=neurons:rate=" }, { "source", "0=neurons:loud" },
		{ "source", "0=play:/nonexistent" }, { "source", "0=play:" },
		{ "spike-truth", "/nonexistent/file" },
	};
	struct bench *b = *state;
	char err[256];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		if (!model_set(b->m, bad[i][0], bad[i][1], err, sizeof(err)))
			fail_msg("%s=%s was accepted", bad[i][0], bad[i][1]);
		assert_true(strlen(err) > 10);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_table_without_headstage), T(test_table_with_headstage),
		T(test_table_changes_only_at_reset), T(test_passthrough_hides_the_hub),
		T(test_rhs2116_rows), T(test_hub_information), T(test_refusals),
		T(test_status_before_any_reset), T(test_heartbeat_limits), T(test_heartbeat_frames),
		T(test_stopped_makes_no_frames), T(test_pause_keeps_the_clock),
		T(test_memory_example), T(test_enable_acts_at_reset),
		T(test_port_status_example), T(test_port_window),
		T(test_voltage_removed_before_lock), T(test_deserialiser_power),
		T(test_power_cycle_restores_defaults),
		T(test_saved_voltage_applies_at_power_on),
		T(test_link_loss_while_running), T(test_link_glitch_resumes),
		T(test_rhd_registers), T(test_rhd_frames), T(test_rhd_twos_complement),
		T(test_hub_drift), T(test_rates_over_ten_seconds),
		T(test_max_bytes_stops_early), T(test_analog_frames),
		T(test_digital_change_frames), T(test_digital_dead_time),
		T(test_digital_periodic), T(test_load_tester),
		T(test_load_tester_cannot_outrun_itself), T(test_harp),
		T(test_stimulator_writes_are_recorded), T(test_master_reset_of_the_stimulator),
		T(test_rhs2116_is_armed_at_power_on),
		T(test_second_headstage_has_its_own_channels),
		T(test_same_clock_in_address_order), T(test_enabled_at_power_on),
		T(test_window_option), T(test_bad_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
