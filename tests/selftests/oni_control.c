// SPDX-License-Identifier: MIT
/*
 * What the control calls do: identity, device table, registers and the guard
 * in front of them, controller registers, port power, counters.
 *
 * Contract under test: include/uapi/linux/oni.h, per call comments. Device
 * facts: ONIX device datasheets (onix-docs), liboni onix.h, bonsai-onix1,
 * acquisition-board plugin. Needs a simulated Acquisition Board, or a card with a
 * headstage-64 on port A and nothing on port B: some tests power the ports. One process; two tests start threads or children.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "oni_board.h"
#include "oni_layout.h"

#define ID_ESTIM	4
#define ID_OSTIM	5
#define ID_PORT		OT_ID_PORT
#define ID_RHS2116	31
#define ID_RHS_TRIGGER	32
#define ID_RHYTHM	OT_ID_RHYTHM
#define ID_TTL_OUT	0x10002
#define ID_ANALOG_OUT	0x10003

static struct oni_device rows[OT_MAX_ROWS];

static const struct oni_device *row_at(const struct oni_device *t, int n,
				       uint32_t addr)
{
	int i;

	for (i = 0; i < n; i++)
		if (t[i].addr == addr && t[i].id)
			return &t[i];
	return NULL;
}

/* --- info ---------------------------------------------------------------------- */

FIXTURE(info) {
	int fd;
	struct oni_info info;
};

FIXTURE_SETUP(info)
{
	self->fd = ot_open(O_RDONLY);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ot_info(self->fd, &self->info));
}

FIXTURE_TEARDOWN(info)
{
	close(self->fd);
}

TEST_F(info, version_and_limits)
{
	const struct oni_info *i = &self->info;

	EXPECT_EQ(ONI_ABI_VERSION, i->abi_version);
	EXPECT_EQ(ONI_STATE_IDLE, i->state);
	EXPECT_EQ(ot_board()->transport, i->transport);
	/* Only the card has ports with a supply. */
	EXPECT_EQ(ONI_CAP_WRITE_FRAMES | ONI_CAP_MONITOR | ONI_CAP_REG_BATCH |
		  (ot_board()->transport == ONI_TRANSPORT_RIFFA ? ONI_CAP_PORT_POWER : 0),
		  i->caps);
	EXPECT_EQ(0, i->block_align % 4);
	EXPECT_LE(4096, i->block_max);
	EXPECT_EQ(0, i->block_max % i->block_align);
	EXPECT_LE(i->ring_default, i->ring_max);
	EXPECT_EQ(0, i->ring_default & (i->ring_default - 1));
}

TEST_F(info, clocks_match_the_controller_registers)
{
	struct oni_ctl ctl = { .size = sizeof(ctl), .reg = ONI_CTL_ACQCLKHZ };

	ASSERT_EQ(0, ot_ioctl(self->fd, ONI_IOC_CTL_READ, &ctl));
	EXPECT_EQ(ctl.value, self->info.acq_clock_hz);
	ctl.reg = ONI_CTL_SYSCLKHZ;
	ASSERT_EQ(0, ot_ioctl(self->fd, ONI_IOC_CTL_READ, &ctl));
	EXPECT_EQ(ctl.value, self->info.sys_clock_hz);
	EXPECT_EQ(OT_CLK_HZ, self->info.acq_clock_hz);
}

TEST_F(info, identity_matches_the_hub_information_device)
{
	uint32_t id, rev, fw;

	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HUB_INFO, 0, &id));
	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HUB_INFO, 1, &rev));
	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HUB_INFO, 2, &fw));
	EXPECT_EQ(id, self->info.hardware_id);
	EXPECT_EQ(rev, self->info.hardware_revision);
	EXPECT_EQ(fw, self->info.firmware_version);
	EXPECT_EQ(ot_board()->hub, self->info.hardware_id);
}

TEST_F(info, names_are_terminated_and_plausible)
{
	const struct ot_board *board = ot_board();
	unsigned int part[4];

	EXPECT_NE(NULL, memchr(self->info.transport_name, 0, 16));
	EXPECT_NE(NULL, memchr(self->info.bus_name, 0, 32));
	EXPECT_NE(0, self->info.transport_name[0]);
	EXPECT_EQ(0, strcmp(board->module, (const char *)self->info.transport_name));
	EXPECT_EQ(4, sscanf((const char *)self->info.bus_name, board->bus_name, &part[0],
			    &part[1], &part[2], &part[3]));
}

TEST_F(info, frame_limits_cover_the_table)
{
	uint32_t max_read = 0, max_write = 0;
	int i, n = ot_table(self->fd, rows, OT_MAX_ROWS);

	ASSERT_LT(0, n);
	for (i = 0; i < n; i++) {
		uint32_t r = rows[i].read_size ? 16 + ((rows[i].read_size + 3) & ~3u) : 0;
		uint32_t w = rows[i].write_size ? 8 + rows[i].write_size : 0;

		max_read = r > max_read ? r : max_read;
		max_write = w > max_write ? w : max_write;
	}
	EXPECT_EQ(max_read, self->info.max_read_frame);
	EXPECT_EQ(max_write, self->info.max_write_frame);
	EXPECT_EQ((uint32_t)n, self->info.rows);
}

/* --- device table ----------------------------------------------------------------- */

FIXTURE(table) {
	int fd;
	struct oni_device_table arg;
	struct oni_device row[OT_MAX_ROWS];
};

FIXTURE_SETUP(table)
{
	self->fd = ot_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	memset(self->row, OT_POISON, sizeof(self->row));
	ot_poison(&self->arg);
	self->arg.size = sizeof(self->arg);
	self->arg.flags = 0;
	self->arg.rows = (uintptr_t)self->row;
	self->arg.count = OT_MAX_ROWS;
	self->arg.row_size = sizeof(self->row[0]);
	self->arg.reserved = 0;
}

FIXTURE_TEARDOWN(table)
{
	close(self->fd);
}

static bool untouched(const void *p, size_t n)
{
	const uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		if (b[i] != OT_POISON)
			return false;
	return true;
}

TEST_F(table, count_zero_asks_for_the_size)
{
	struct oni_info info;

	ASSERT_EQ(0, ot_info(self->fd, &info));
	self->arg.count = 0;
	self->arg.rows = 0;
	EXPECT_EQ(-EMSGSIZE, ot_ioctl(self->fd, ONI_IOC_DEVICE_TABLE, &self->arg));
	EXPECT_EQ(info.rows, self->arg.count);
}

TEST_F(table, second_call_with_that_size_fills_it)
{
	uint32_t n;

	self->arg.count = 0;
	ASSERT_EQ(-EMSGSIZE, ot_ioctl(self->fd, ONI_IOC_DEVICE_TABLE, &self->arg));
	n = self->arg.count;
	ASSERT_GE(OT_MAX_ROWS - 1, n);
	ASSERT_EQ(0, ot_ioctl(self->fd, ONI_IOC_DEVICE_TABLE, &self->arg));
	EXPECT_EQ(n, self->arg.count);
	EXPECT_FALSE(untouched(&self->row[n - 1], sizeof(self->row[0])));
	EXPECT_TRUE(untouched(&self->row[n], sizeof(self->row[0])));
}

TEST_F(table, one_row_too_few_is_emsgsize_and_writes_none)
{
	struct oni_info info;

	ASSERT_EQ(0, ot_info(self->fd, &info));
	self->arg.count = info.rows - 1;
	EXPECT_EQ(-EMSGSIZE, ot_ioctl(self->fd, ONI_IOC_DEVICE_TABLE, &self->arg));
	EXPECT_EQ(info.rows, self->arg.count);
	EXPECT_TRUE(untouched(self->row, sizeof(self->row)));
}

TEST_F(table, bad_rows_pointer_is_efault)
{
	self->arg.rows = 8;
	EXPECT_EQ(-EFAULT, ot_ioctl(self->fd, ONI_IOC_DEVICE_TABLE, &self->arg));
}

TEST_F(table, short_row_size_is_einval)
{
	self->arg.row_size = sizeof(struct oni_device) - 4;
	EXPECT_EQ(-EINVAL, ot_ioctl(self->fd, ONI_IOC_DEVICE_TABLE, &self->arg));
}

/* A caller with longer rows than the kernel finds them at its own stride. */
TEST_F(table, longer_rows_keep_the_caller_s_stride)
{
	struct {
		struct oni_device dev;
		uint8_t more[32];
	} *big = calloc(OT_MAX_ROWS, sizeof(*big));
	int i, n;

	ASSERT_NE(NULL, big);
	self->arg.rows = (uintptr_t)big;
	self->arg.row_size = sizeof(*big);
	ASSERT_EQ(0, ot_ioctl(self->fd, ONI_IOC_DEVICE_TABLE, &self->arg));
	n = ot_table(self->fd, self->row, OT_MAX_ROWS);
	for (i = 0; i < n; i++) {
		EXPECT_EQ(0, memcmp(&big[i].dev, &self->row[i], sizeof(big[i].dev)));
	}
	free(big);
}

TEST_F(table, generation_is_that_of_info)
{
	struct oni_info info;

	ASSERT_EQ(0, ot_ioctl(self->fd, ONI_IOC_DEVICE_TABLE, &self->arg));
	ASSERT_EQ(0, ot_info(self->fd, &info));
	EXPECT_EQ(info.generation, self->arg.generation);
}

TEST_F(table, generation_changes_with_a_reset)
{
	struct oni_info before, after;

	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_info(self->fd, &before));
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_RESET));
	ASSERT_EQ(0, ot_info(self->fd, &after));
	EXPECT_NE(before.generation, after.generation);
}

TEST_F(table, rows_are_those_of_the_board)
{
	const struct ot_board *board = ot_board();
	const struct oni_device *d, *want;
	size_t i;
	int n = ot_table(self->fd, self->row, OT_MAX_ROWS);

	ASSERT_LT(0, n);
	for (i = 0; i < board->nrows; i++) {
		want = &board->rows[i];
		d = row_at(self->row, n, want->addr);
		ASSERT_NE(NULL, d);
		EXPECT_EQ(want->id, d->id);
		EXPECT_EQ(want->read_size, d->read_size);
		EXPECT_EQ(want->write_size, d->write_size);
		EXPECT_EQ(0, d->reserved[0] | d->reserved[1] | d->reserved[2]);
	}
}

TEST_F(table, addresses_are_unique)
{
	int i, j, n = ot_table(self->fd, self->row, OT_MAX_ROWS);

	for (i = 0; i < n; i++)
		for (j = 0; j < i; j++) {
			EXPECT_NE(self->row[i].addr, self->row[j].addr);
		}
}

/* The frame size of the load tester, or the Rhythm, follows its registers at a reset. */
TEST_F(table, frame_size_takes_effect_at_a_reset)
{
	const struct ot_board *board = ot_board();
	struct oni_info info;
	int n;

	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_feed(self->fd, OT_FEED_LARGE));
	n = ot_table(self->fd, self->row, OT_MAX_ROWS);
	EXPECT_EQ(board->feed_large, row_at(self->row, n, board->feed)->read_size);
	ASSERT_EQ(0, ot_info(self->fd, &info));
	EXPECT_LE(16 + board->feed_large, info.max_read_frame);
	ASSERT_EQ(0, ot_feed(self->fd, OT_FEED_FAST));
	n = ot_table(self->fd, self->row, OT_MAX_ROWS);
	EXPECT_EQ(board->feed_size, row_at(self->row, n, board->feed)->read_size);
	ASSERT_EQ(0, ot_feed(self->fd, OT_FEED_OFF));
	n = ot_table(self->fd, self->row, OT_MAX_ROWS);
	EXPECT_EQ(board->feed_off_size, row_at(self->row, n, board->feed)->read_size);
}

/* --- registers -------------------------------------------------------------------- */

FIXTURE(reg) {
	int fd;
};

FIXTURE_SETUP(reg)
{
	self->fd = ot_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
}

FIXTURE_TEARDOWN(reg)
{
	close(self->fd);
}

TEST_F(reg, round_trip)
{
	const uint32_t values[] = { OT_CLK_HZ / 100, OT_CLK_HZ / 250, OT_CLK_HZ / 200 };
	uint32_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		ASSERT_EQ(0, ot_reg_write(self->fd, OT_HEARTBEAT, 1, values[i]));
		ASSERT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &v));
		EXPECT_EQ(values[i], v);
	}
	EXPECT_EQ(0, ot_reg_write(self->fd, OT_HEARTBEAT, 1, values[0]));
}

TEST_F(reg, zero_and_all_ones_survive)
{
	const struct ot_reg *reg = &ot_board()->scratch;
	const uint32_t values[] = { 0, 0xffff, 1 };
	uint32_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		ASSERT_EQ(0, ot_reg_write(self->fd, reg->dev, reg->reg, values[i]));
		ASSERT_EQ(0, ot_reg_read(self->fd, reg->dev, reg->reg, &v));
		EXPECT_EQ(values[i], v);
	}
}

TEST_F(reg, read_only_register_reads)
{
	uint32_t v;

	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 2, &v));
	EXPECT_EQ(OT_CLK_HZ, v);
	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 0, &v));
	EXPECT_EQ(1, v);
}

TEST_F(reg, unknown_register_is_eremoteio)
{
	uint32_t v;

	EXPECT_EQ(-EREMOTEIO, ot_reg_read(self->fd, OT_HEARTBEAT, 0x7fff, &v));
	EXPECT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &v));
}

/* A divider below CLK_HZ / 10 MHz is refused. */
TEST_F(reg, refused_value_is_eremoteio)
{
	const struct ot_reg *reg = &ot_board()->refused;
	uint32_t before, after;

	ASSERT_EQ(0, ot_reg_read(self->fd, reg->dev, reg->reg, &before));
	EXPECT_EQ(-EREMOTEIO, ot_reg_write(self->fd, reg->dev, reg->reg, reg->value));
	ASSERT_EQ(0, ot_reg_read(self->fd, reg->dev, reg->reg, &after));
	EXPECT_EQ(before, after);
}

TEST_F(reg, absent_device_is_enoent)
{
	const uint32_t absent[] = { 0x0f0, 0x7f00, 0x0ff, 0x10000, 0xffffffff };
	uint32_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(absent); i++) {
		EXPECT_EQ(-ENOENT, ot_reg_read(self->fd, absent[i], 0, &v))
			TH_LOG("address 0x%x", absent[i]);
	}
}

TEST_F(reg, information_device_of_an_absent_hub_is_enoent)
{
	uint32_t v;

	EXPECT_EQ(-ENOENT, ot_reg_read(self->fd, 0x5fe, 0, &v));
}

TEST_F(reg, failed_read_does_not_invent_a_value)
{
	uint32_t v;

	ASSERT_EQ(-ENOENT, ot_reg_read(self->fd, 0x0f0, 0, &v));
	EXPECT_EQ(OT_POISON32, v);
}

struct reader {
	pthread_t thread;
	int fd;
	uint32_t dev, reg, want;
	unsigned int done, bad;
};

static void *read_many(void *arg)
{
	struct reader *r = arg;
	uint32_t v;

	while (r->done < 100) {
		if (ot_reg_read(r->fd, r->dev, r->reg, &v) || v != r->want)
			r->bad++;
		r->done++;
	}
	return NULL;
}

/* Select, trigger and acknowledge of one call are never mixed with another's. */
TEST_F_TIMEOUT(reg, is_atomic_between_threads, 60)
{
	const struct ot_reg *status = &ot_board()->status;
	struct reader r[4] = {
		{ .dev = OT_HEARTBEAT, .reg = 2 },
		{ .dev = OT_HUB_INFO, .reg = 0 },
		{ .dev = status->dev, .reg = status->reg },
		{ .dev = OT_HEARTBEAT, .reg = 1 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(r); i++) {
		r[i].fd = ot_open(O_RDONLY);
		ASSERT_LE(0, r[i].fd);
		ASSERT_EQ(0, ot_reg_read(r[i].fd, r[i].dev, r[i].reg, &r[i].want));
	}
	for (i = 0; i < ARRAY_SIZE(r); i++) {
		ASSERT_EQ(0, pthread_create(&r[i].thread, NULL, read_many, &r[i]));
	}
	for (i = 0; i < ARRAY_SIZE(r); i++) {
		pthread_join(r[i].thread, NULL);
		EXPECT_EQ(100, r[i].done);
		EXPECT_EQ(0, r[i].bad);
	}
}

/* --- register batches ----------------------------------------------------------------- */

#define RD(dev, reg)		{ .dev_addr = dev, .reg_addr = reg, .value = OT_POISON32,	\
				  .result = 77 }
#define WR(dev, reg, val)	{ .dev_addr = dev, .reg_addr = reg, .value = val,		\
				  .flags = ONI_REG_OP_WRITE, .result = 77 }

FIXTURE(batch) {
	int fd;
	uint32_t divider;	/* of the heartbeat, as it was found */
	uint32_t done;
};

FIXTURE_SETUP(batch)
{
	self->fd = ot_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &self->divider));
}

FIXTURE_TEARDOWN(batch)
{
	EXPECT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
	EXPECT_EQ(0, ot_reg_write(self->fd, OT_HEARTBEAT, 1, self->divider));
	close(self->fd);
}

TEST_F(batch, reads_and_writes_in_order)
{
	struct oni_reg_op op[] = {
		WR(OT_HEARTBEAT, 1, OT_CLK_HZ / 250),
		RD(OT_HEARTBEAT, 1),
		WR(OT_HEARTBEAT, 1, OT_CLK_HZ / 200),
		RD(OT_HEARTBEAT, 1),
		RD(OT_HUB_INFO, 0),
	};
	size_t i;

	ASSERT_EQ(0, ot_reg_batch(self->fd, op, ARRAY_SIZE(op), &self->done));
	EXPECT_EQ(ARRAY_SIZE(op), self->done);
	for (i = 0; i < ARRAY_SIZE(op); i++) {
		EXPECT_EQ(0, op[i].result);
	}
	EXPECT_EQ(OT_CLK_HZ / 250, op[0].value);
	EXPECT_EQ(OT_CLK_HZ / 250, op[1].value);
	EXPECT_EQ(OT_CLK_HZ / 200, op[3].value);
	EXPECT_EQ(ot_board()->hub, op[4].value);
}

TEST_F(batch, the_longest_one_works)
{
	struct oni_reg_op op[ONI_REG_BATCH_MAX + 1];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(op); i++)
		op[i] = (struct oni_reg_op)RD(OT_HEARTBEAT, 2);
	ASSERT_EQ(0, ot_reg_batch(self->fd, op, ONI_REG_BATCH_MAX, &self->done));
	EXPECT_EQ(ONI_REG_BATCH_MAX, self->done);
	for (i = 0; i < ONI_REG_BATCH_MAX; i++) {
		EXPECT_EQ(OT_CLK_HZ, op[i].value);
	}
	EXPECT_EQ(77, op[ONI_REG_BATCH_MAX].result);
}

/* One thing wrong with the call or with its second access: the first is not executed. */
FIXTURE(bad_batch) {
	int fd;
	uint32_t before, after;
};

FIXTURE_VARIANT(bad_batch) {
	int error;
	struct oni_reg_op second;
	uint32_t count, op_size;	/* 0: as it should be */
};

#define GUARDED		0xfffffffeu	/* what that is, the board knows */

#define BAD_OP(n, err, ...)							\
	FIXTURE_VARIANT_ADD(bad_batch, n) { .error = err, .second = __VA_ARGS__ }

BAD_OP(absent_device, -ENOENT, RD(0x0f0, 0));
BAD_OP(write_to_an_absent_device, -ENOENT, WR(0x0f0, 0, 0));
BAD_OP(guarded_register, -EPERM, WR(GUARDED, 0, 0));
BAD_OP(firmware_register, -EPERM, WR(OT_HUB_INFO, 0x10, 0));
BAD_OP(unknown_flag, -EINVAL, { .dev_addr = OT_HEARTBEAT, .reg_addr = 1, .flags = 2 });
BAD_OP(highest_flag, -EINVAL, { .dev_addr = OT_HEARTBEAT, .reg_addr = 1, .flags = 1u << 31 });
BAD_OP(reserved, -EINVAL, { .dev_addr = OT_HEARTBEAT, .reg_addr = 1, .reserved = 1 });
FIXTURE_VARIANT_ADD(bad_batch, too_many) {
	.error = -EINVAL, .second = RD(OT_HEARTBEAT, 1), .count = ONI_REG_BATCH_MAX + 1,
};
FIXTURE_VARIANT_ADD(bad_batch, length_that_wraps) {
	.error = -EINVAL, .second = RD(OT_HEARTBEAT, 1), .count = 0xaaaaaaab,
};
FIXTURE_VARIANT_ADD(bad_batch, shorter_operations) {
	.error = -EINVAL, .second = RD(OT_HEARTBEAT, 1), .op_size = 20,
};
FIXTURE_VARIANT_ADD(bad_batch, longer_operations) {
	.error = -EINVAL, .second = RD(OT_HEARTBEAT, 1), .op_size = 32,
};

FIXTURE_SETUP(bad_batch)
{
	self->fd = ot_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &self->before));
}

FIXTURE_TEARDOWN(bad_batch)
{
	close(self->fd);
}

TEST_F(bad_batch, executes_nothing)
{
	struct oni_reg_op op[2] = { WR(OT_HEARTBEAT, 1, self->before + 1) };
	struct oni_reg_batch arg = {
		.size = sizeof(arg),
		.ops = (uintptr_t)op,
		.count = variant->count ? variant->count : ARRAY_SIZE(op),
		.op_size = variant->op_size ? variant->op_size : sizeof(op[0]),
	};
	struct oni_stats before, after;

	op[1] = variant->second;
	if (op[1].dev_addr == GUARDED) {
		op[1].dev_addr = ot_board()->guarded.dev;
		op[1].reg_addr = ot_board()->guarded.reg;
		op[1].value = ot_board()->guarded.value;
	}
	ASSERT_EQ(0, ot_stats(self->fd, &before));
	EXPECT_EQ(variant->error, ot_ioctl(self->fd, ONI_IOC_REG_BATCH, &arg));
	EXPECT_EQ(0, arg.done);
	EXPECT_EQ(77, op[0].result);
	ASSERT_EQ(0, ot_stats(self->fd, &after));
	EXPECT_EQ(before.reg_writes, after.reg_writes);
	EXPECT_EQ(before.reg_reads, after.reg_reads);
	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &self->after));
	EXPECT_EQ(self->before, self->after);
}

TEST_F(batch, of_nothing_is_einval)
{
	struct oni_reg_op op = RD(OT_HEARTBEAT, 1);

	EXPECT_EQ(-EINVAL, ot_reg_batch(self->fd, &op, 0, NULL));
}

TEST_F(batch, bad_pointer_is_efault)
{
	EXPECT_EQ(-EFAULT, ot_reg_batch(self->fd, NULL, 1, NULL));
	EXPECT_EQ(-EFAULT, ot_reg_batch(self->fd, (void *)8, 1, NULL));
}

/* The second operation lies in a hole: not even the first is executed. */
TEST_F(batch, array_cut_by_a_hole_is_efault)
{
	struct oni_reg_op *op = ot_guarded(sizeof(*op));
	uint32_t v;

	*op = (struct oni_reg_op)WR(OT_HEARTBEAT, 1, self->divider + 1);
	EXPECT_EQ(-EFAULT, ot_reg_batch(self->fd, op, 2, NULL));
	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &v));
	EXPECT_EQ(self->divider, v);
}

TEST_F(batch, first_failure_ends_it)
{
	struct oni_reg_op op[] = {
		RD(OT_HEARTBEAT, 2),
		RD(OT_HEARTBEAT, 0x7fff),	/* answered with NACK */
		WR(OT_HEARTBEAT, 1, OT_CLK_HZ / 250),
	};
	uint32_t v;

	EXPECT_EQ(-EREMOTEIO, ot_reg_batch(self->fd, op, ARRAY_SIZE(op), &self->done));
	EXPECT_EQ(2, self->done);
	EXPECT_EQ(0, op[0].result);
	EXPECT_EQ(OT_CLK_HZ, op[0].value);
	EXPECT_EQ(-EREMOTEIO, op[1].result);
	EXPECT_EQ(OT_POISON32, op[1].value);
	EXPECT_EQ(77, op[2].result);
	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &v));
	EXPECT_EQ(self->divider, v);
}

TEST_F(batch, of_reads_needs_no_ownership_and_no_write_access)
{
	struct oni_reg_op op[] = { RD(OT_HEARTBEAT, 2), RD(OT_HUB_INFO, 0) };
	int other = ot_open(O_RDONLY);

	ASSERT_LE(0, other);
	EXPECT_EQ(0, ot_reg_batch(other, op, ARRAY_SIZE(op), &self->done));
	EXPECT_EQ(2, self->done);
	EXPECT_EQ(OT_CLK_HZ, op[0].value);
	close(other);
}

TEST_F(batch, with_a_write_needs_ownership)
{
	struct oni_reg_op op[] = {
		RD(OT_HEARTBEAT, 2), WR(OT_HEARTBEAT, 1, self->divider + 1),
	};
	int other = ot_open(O_RDWR);
	uint32_t v;

	ASSERT_LE(0, other);
	EXPECT_EQ(-EPERM, ot_reg_batch(other, op, ARRAY_SIZE(op), &self->done));
	EXPECT_EQ(0, self->done);
	EXPECT_EQ(77, op[0].result);
	close(other);
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_RELEASE));
	EXPECT_EQ(-EPERM, ot_reg_batch(self->fd, op, ARRAY_SIZE(op), NULL));
	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &v));
	EXPECT_EQ(self->divider, v);
}

TEST_F(batch, with_a_write_needs_write_access)
{
	struct oni_reg_op op = WR(OT_HEARTBEAT, 1, self->divider + 1);
	int other = ot_open(O_RDONLY);

	ASSERT_LE(0, other);
	EXPECT_EQ(-EPERM, ot_reg_batch(other, &op, 1, NULL));
	close(other);
}

TEST_F(batch, counts_like_single_accesses)
{
	struct oni_reg_op op[] = {
		RD(OT_HEARTBEAT, 2), WR(OT_HEARTBEAT, 1, self->divider), RD(OT_HEARTBEAT, 0x7fff),
	};
	struct oni_stats before, after;

	ASSERT_EQ(0, ot_stats(self->fd, &before));
	EXPECT_EQ(-EREMOTEIO, ot_reg_batch(self->fd, op, ARRAY_SIZE(op), NULL));
	ASSERT_EQ(0, ot_stats(self->fd, &after));
	EXPECT_EQ(before.reg_reads + 2, after.reg_reads);
	EXPECT_EQ(before.reg_writes + 1, after.reg_writes);
	EXPECT_EQ(before.reg_nacks + 1, after.reg_nacks);
}

TEST_F(batch, results_into_read_only_memory_are_efault)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct oni_reg_op *op = mmap(NULL, page, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, op);
	*op = (struct oni_reg_op)RD(OT_HEARTBEAT, 2);
	ASSERT_EQ(0, mprotect(op, page, PROT_READ));
	EXPECT_EQ(-EFAULT, ot_reg_batch(self->fd, op, 1, NULL));
	munmap(op, page);
}

struct meddler {
	pthread_t thread;
	int fd;
	uint32_t value;
	unsigned int bad;
	volatile bool quit;
};

static void *write_on(void *arg)
{
	struct meddler *m = arg;

	while (!m->quit)
		m->bad += ot_reg_write(m->fd, OT_HEARTBEAT, 1, m->value) != 0;
	return NULL;
}

/* No other access gets between: what a batch wrote is what it reads back. */
TEST_F_TIMEOUT(batch, is_not_interrupted_by_another_thread, 60)
{
	const uint32_t mine = OT_CLK_HZ / 250;
	struct meddler m = { .fd = self->fd, .value = OT_CLK_HZ / 200 };
	unsigned int others = 0;
	uint32_t v;
	int i;

	ASSERT_EQ(0, pthread_create(&m.thread, NULL, write_on, &m));
	for (i = 0; i < 40; i++) {
		struct oni_reg_op op[] = {
			WR(OT_HEARTBEAT, 1, mine), RD(OT_HEARTBEAT, 1), RD(OT_HEARTBEAT, 1),
		};

		EXPECT_EQ(0, ot_reg_batch(self->fd, op, ARRAY_SIZE(op), NULL));
		EXPECT_EQ(mine, op[1].value);
		EXPECT_EQ(mine, op[2].value);
		EXPECT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &v));
		others += v != mine;
	}
	m.quit = true;
	pthread_join(m.thread, NULL);
	EXPECT_EQ(0, m.bad);
	/* or the other thread never ran and nothing was tested */
	EXPECT_LT(0, others);
}

static void *write_two(void *arg)
{
	const uint32_t values[] = { OT_CLK_HZ / 250, OT_CLK_HZ / 200 };
	struct meddler *m = arg;
	unsigned int i;

	for (i = 0; !m->quit; i++)
		m->bad += ot_reg_write(m->fd, OT_HEARTBEAT, 1, values[i % 2]) != 0;
	return NULL;
}

/* Reads the heartbeat's divider as often as it can be: did it change meanwhile? Or an error. */
static int changed_meanwhile(int fd, uint32_t *last)
{
	struct oni_reg_op op[ONI_REG_BATCH_MAX];
	int changed = 0, ret;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(op); i++)
		op[i] = (struct oni_reg_op)RD(OT_HEARTBEAT, 1);
	ret = ot_reg_batch(fd, op, ARRAY_SIZE(op), NULL);
	for (i = 1; i < ARRAY_SIZE(op); i++)
		changed |= op[i].value != op[0].value;
	*last = op[0].value;
	return ret ?: changed;
}

/* Nor is one that only reads, which does not keep the owner's other calls out. */
TEST_F_TIMEOUT(batch, of_reads_is_not_interrupted_by_another_thread, 60)
{
	struct meddler m = { .fd = self->fd };
	unsigned int changes = 0;
	uint32_t now, before = 0;
	int i;

	ASSERT_EQ(0, pthread_create(&m.thread, NULL, write_two, &m));
	for (i = 0; i < 20 && changes < 3; i++) {
		EXPECT_EQ(0, changed_meanwhile(self->fd, &now));
		changes += i && now != before;
		before = now;
		/* The other one gets its turn, once or twice. */
		EXPECT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &now));
	}
	m.quit = true;
	pthread_join(m.thread, NULL);
	EXPECT_EQ(0, m.bad);
	EXPECT_LT(0, changes);
}

/* Who does not own the controller does not hold up who does, however long the batch. */
TEST_F_TIMEOUT(batch, of_another_file_lets_the_owner_between, 60)
{
	struct meddler m = { .fd = self->fd };
	int i, changed = 0, other = ot_open(O_RDONLY);
	uint32_t now;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, pthread_create(&m.thread, NULL, write_two, &m));
	for (i = 0; i < 20 && !changed; i++)
		changed = changed_meanwhile(other, &now);
	m.quit = true;
	pthread_join(m.thread, NULL);
	EXPECT_EQ(1, changed);
	EXPECT_EQ(0, m.bad);
	close(other);
}

struct batcher {
	pthread_t thread;
	int fd, ret;
	volatile bool done;
};

static void *read_all(void *arg)
{
	struct batcher *b = arg;
	uint32_t last;

	b->ret = changed_meanwhile(b->fd, &last);
	b->done = true;
	return NULL;
}

/* Begin a batch that the owner gives up under: how many of its reads were done when everything was safe? */
static int reads_before_safe(int fd, uint64_t *writes)
{
	struct batcher b = { .fd = fd };
	struct oni_stats before, now;
	int ret = ot_stats(fd, &before);

	if (ret || pthread_create(&b.thread, NULL, read_all, &b))
		return ret ?: -EAGAIN;
	do {
		ret = ot_stats(fd, &now);
	} while (!ret && !b.done && now.reg_reads < before.reg_reads + 2);
	if (!ret)
		ret = ot_simple(fd, ONI_IOC_RELEASE);
	if (!ret)
		ret = ot_stats(fd, &now);
	pthread_join(b.thread, NULL);
	*writes = now.reg_writes - before.reg_writes;
	return ret ?: b.ret ?: (int)(now.reg_reads - before.reg_reads);
}

/*
 * The safe state, which is written when the owner gives up, waits for one access and
 * not for his whole batch. Its own reads are counted, too: fewer than are in a batch
 * says that this was not over.
 */
TEST_F_TIMEOUT(batch, does_not_hold_up_the_safe_state, 120)
{
	int i, reads = ONI_REG_BATCH_MAX;
	struct oni_port_power p;
	uint64_t writes = 0;

	if (ot_board()->transport == ONI_TRANSPORT_RIFFA)
		ASSERT_EQ(0, ot_port(self->fd, &p, OT_PORT_A, ONI_HUB_HS64, 60));
	for (i = 0; i < 20 && reads >= ONI_REG_BATCH_MAX; i++) {
		ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
		reads = reads_before_safe(self->fd, &writes);
	}
	EXPECT_GT(ONI_REG_BATCH_MAX, reads);
	EXPECT_LT(0, reads);
	EXPECT_LT(0, writes);
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
	if (ot_board()->transport == ONI_TRANSPORT_RIFFA) {
		EXPECT_EQ(0, ot_port(self->fd, &p, OT_PORT_A, 0, 0));
	}
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* Between two accesses; what was executed is told. */
TEST_F_TIMEOUT(batch, signal_ends_it_with_eintr, 60)
{
	const struct itimerval soon = { .it_value.tv_usec = 2000 }, never = { 0 };
	struct sigaction sa = { .sa_handler = on_alarm };
	struct oni_reg_op op[ONI_REG_BATCH_MAX];
	int tries, ret = 0;
	size_t i;

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	/* the timer may fire before the call has begun: then once more */
	for (tries = 0; tries < 20 && ret != -EINTR; tries++) {
		for (i = 0; i < ARRAY_SIZE(op); i++)
			op[i] = (struct oni_reg_op)RD(OT_HEARTBEAT, 2);
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &soon, NULL));
		ret = ot_reg_batch(self->fd, op, ARRAY_SIZE(op), &self->done);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	ASSERT_EQ(-EINTR, ret);
	ASSERT_GT(ARRAY_SIZE(op), self->done);
	for (i = 0; i < ARRAY_SIZE(op); i++) {
		EXPECT_EQ(i < self->done ? 0 : 77, op[i].result);
		EXPECT_EQ(i < self->done ? OT_CLK_HZ : OT_POISON32, op[i].value);
	}
}

/* --- controller registers ------------------------------------------------------------ */

static int ctl_read(int fd, uint32_t reg, uint32_t *value)
{
	struct oni_ctl arg = { .size = sizeof(arg), .reg = reg, .value = OT_POISON32 };
	int ret = ot_ioctl(fd, ONI_IOC_CTL_READ, &arg);

	*value = arg.value;
	return ret;
}

static int ctl_write(int fd, uint32_t reg, uint32_t value)
{
	struct oni_ctl arg = { .size = sizeof(arg), .reg = reg, .value = value };

	return ot_ioctl(fd, ONI_IOC_CTL_WRITE, &arg);
}

FIXTURE(ctl) {
	int fd;
};

FIXTURE_SETUP(ctl)
{
	self->fd = ot_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
}

FIXTURE_TEARDOWN(ctl)
{
	close(self->fd);
}

TEST_F(ctl, listed_registers_read)
{
	const uint32_t regs[] = { 5, 7, 8, 10, 11 };
	uint32_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		EXPECT_EQ(0, ctl_read(self->fd, regs[i], &v));
		EXPECT_NE(OT_POISON32, v);
	}
}

TEST_F(ctl, running_reads_zero_when_idle)
{
	uint32_t v;

	ASSERT_EQ(0, ctl_read(self->fd, ONI_CTL_RUNNING, &v));
	EXPECT_EQ(0, v);
}

TEST_F(ctl, other_registers_are_enoent)
{
	const uint32_t regs[] = { 0, 1, 2, 3, 4, 6, 9, 12, 0x8000, 0xffffffff };
	uint32_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		EXPECT_EQ(-ENOENT, ctl_read(self->fd, regs[i], &v))
			TH_LOG("reading %u", regs[i]);
		EXPECT_EQ(-ENOENT, ctl_write(self->fd, regs[i], 0))
			TH_LOG("writing %u", regs[i]);
	}
}

TEST_F(ctl, read_only_registers_are_eperm)
{
	EXPECT_EQ(-EPERM, ctl_write(self->fd, ONI_CTL_RUNNING, 1));
	EXPECT_EQ(-EPERM, ctl_write(self->fd, ONI_CTL_SYSCLKHZ, 1));
	EXPECT_EQ(-EPERM, ctl_write(self->fd, ONI_CTL_ACQCLKHZ, 1));
}

TEST_F(ctl, writable_registers_keep_their_value)
{
	uint32_t v;

	ASSERT_EQ(0, ctl_write(self->fd, ONI_CTL_HWADDRESS, 3));
	ASSERT_EQ(0, ctl_read(self->fd, ONI_CTL_HWADDRESS, &v));
	EXPECT_EQ(3, v);
	EXPECT_EQ(0, ctl_write(self->fd, ONI_CTL_HWADDRESS, 0));
	ASSERT_EQ(0, ctl_write(self->fd, ONI_CTL_CUSTOM, 4));
	ASSERT_EQ(0, ctl_read(self->fd, ONI_CTL_CUSTOM, &v));
	EXPECT_EQ(4, v);
	EXPECT_EQ(0, ctl_write(self->fd, ONI_CTL_CUSTOM, 0));
}

/* --- counters ----------------------------------------------------------------------- */

FIXTURE(stats) {
	int fd;
	struct oni_stats before, after;
};

FIXTURE_SETUP(stats)
{
	self->fd = ot_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_stats(self->fd, &self->before));
}

FIXTURE_TEARDOWN(stats)
{
	close(self->fd);
}

TEST_F(stats, never_go_back)
{
	const __u64 *a = &self->before.interrupts, *b = &self->after.interrupts;
	const size_t n = (offsetof(struct oni_stats, reserved) -
			  offsetof(struct oni_stats, interrupts)) / 8;
	uint32_t v;
	size_t i;

	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_RESET));
	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &v));
	ASSERT_EQ(0, ot_stats(self->fd, &self->after));
	for (i = 0; i < n; i++) {
		EXPECT_LE(a[i], b[i])
			TH_LOG("counter %zu", i);
	}
}

TEST_F(stats, count_register_reads_writes_and_nacks)
{
	uint32_t v;

	ASSERT_EQ(0, ot_reg_read(self->fd, OT_HEARTBEAT, 1, &v));
	ASSERT_EQ(0, ot_reg_write(self->fd, OT_HEARTBEAT, 1, v));
	ASSERT_EQ(-EREMOTEIO, ot_reg_read(self->fd, OT_HEARTBEAT, 0x7fff, &v));
	ASSERT_EQ(0, ot_stats(self->fd, &self->after));
	EXPECT_EQ(self->before.reg_reads + 2, self->after.reg_reads);
	EXPECT_EQ(self->before.reg_writes + 1, self->after.reg_writes);
	EXPECT_EQ(self->before.reg_nacks + 1, self->after.reg_nacks);
	EXPECT_EQ(self->before.reg_timeouts, self->after.reg_timeouts);
	EXPECT_EQ(self->before.bad_signals, self->after.bad_signals);
	EXPECT_LT(self->before.signals, self->after.signals);
	EXPECT_EQ(ot_board()->mmio, self->before.mmio_writes < self->after.mmio_writes);
}

TEST_F(stats, count_resets_and_refusals)
{
	const struct ot_reg *reg = &ot_board()->guarded;

	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_RESET));
	ASSERT_EQ(-EPERM, ot_reg_write(self->fd, reg->dev, reg->reg, reg->value));
	ASSERT_EQ(0, ot_stats(self->fd, &self->after));
	EXPECT_LT(self->before.resets, self->after.resets);
	EXPECT_EQ(self->before.guarded + 1, self->after.guarded);
}

/* --- the guard ------------------------------------------------------------------------- */

struct span {
	uint32_t id, first, last;
	const char *why;
};

/* From the datasheets, not from the driver's own list. */
static const struct span forbidden[] = {
	{ ID_PORT, 1, 1, "GPOSTATE triggers armed stimulators" },
	{ ID_PORT, 3, 4, "port voltage, and saving it for every power-on" },
	{ ID_ESTIM, 0, 17, "headstage-64 electrical stimulator" },
	{ ID_OSTIM, 0, 14, "headstage-64 optical stimulator" },
	{ ID_RHS2116, 0x0a, 0x0a, "settle, owned by the sequencer" },
	{ ID_RHS2116, 0x20, 0x26, "stimulation enable, step, bias, recovery" },
	{ ID_RHS2116, 0x2a, 0x30, "stimulator on, polarity, recovery" },
	{ ID_RHS2116, 0x40, 0x4f, "cathodic amplitudes" },
	{ ID_RHS2116, 0x60, 0x6f, "anodic amplitudes" },
	{ ID_RHS2116, 0x8002, 0x8008, "delta table, trigger, recovery" },
	{ ID_RHS_TRIGGER, 1, 3, "trigger source, trigger, armed" },
	{ ID_RHYTHM, 17, 20, "digital outputs of the headstages" },
	{ ID_RHYTHM, 22, 39, "DACs and comparators, which are outputs" },
};

/* Firmware update registers of a hub information device */
static const uint32_t firmware[] = { 0x10, 0x20, 0x21, 0x22 };

FIXTURE(guard) {
	int fd;
	int n;
	struct oni_stats before;
};

FIXTURE_VARIANT(guard) {
	uint32_t port, hub, decivolts;
};

FIXTURE_VARIANT_ADD(guard, local_hub) { .port = 0 };
FIXTURE_VARIANT_ADD(guard, headstage_64) {
	.port = OT_PORT_A, .hub = ONI_HUB_HS64, .decivolts = 60,
};

FIXTURE_SETUP(guard)
{
	struct oni_port_power p;

	self->fd = ot_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
	if (variant->port) {
		ASSERT_EQ(0, ot_port(self->fd, &p, variant->port, variant->hub,
				     variant->decivolts));
	}
	self->n = ot_table(self->fd, rows, OT_MAX_ROWS);
	ASSERT_LT(0, self->n);
	ASSERT_EQ(0, ot_stats(self->fd, &self->before));
}

FIXTURE_TEARDOWN(guard)
{
	struct oni_port_power p;

	if (variant->port) {
		EXPECT_EQ(0, ot_port(self->fd, &p, variant->port, 0, 0));
	}
	close(self->fd);
}

/* Writes of every span to every row it fits: how many, all of them EPERM. */
static uint64_t try_spans(struct __test_metadata *_metadata, int fd, int n)
{
	uint64_t tried = 0;
	uint32_t reg;
	size_t s;
	int i;

	for (i = 0; i < n; i++) {
		for (s = 0; s < ARRAY_SIZE(forbidden); s++) {
			if (forbidden[s].id != rows[i].id)
				continue;
			for (reg = forbidden[s].first; reg <= forbidden[s].last; reg++) {
				tried++;
				EXPECT_EQ(-EPERM, ot_reg_write(fd, rows[i].addr, reg,
							       0x5afe0001))
					TH_LOG("device 0x%x register 0x%x: %s",
					       rows[i].addr, reg, forbidden[s].why);
			}
		}
	}
	return tried;
}

/* verifies: R24, R30 */
TEST_F(guard, dangerous_register_is_eperm)
{
	struct oni_stats after;
	uint64_t tried;

	tried = try_spans(_metadata, self->fd, self->n);
	EXPECT_LT(0, tried);
	ASSERT_EQ(0, ot_stats(self->fd, &after));
	EXPECT_EQ(self->before.guarded + tried, after.guarded);
	/* none of them became a register access */
	EXPECT_EQ(self->before.reg_writes, after.reg_writes);
}

/* verifies: R24 */
TEST_F(guard, firmware_register_is_eperm)
{
	struct oni_stats after;
	uint32_t hub;
	size_t i;

	for (hub = 0; hub <= variant->port; hub++)
		for (i = 0; i < ARRAY_SIZE(firmware); i++) {
			EXPECT_EQ(-EPERM, ot_reg_write(self->fd, hub << 8 | 0xfe,
						       firmware[i], 0x5afe0001))
				TH_LOG("hub %u register 0x%x", hub, firmware[i]);
		}
	ASSERT_EQ(0, ot_stats(self->fd, &after));
	EXPECT_EQ(self->before.reg_writes, after.reg_writes);
}

/* verifies: R21 */
TEST_F(guard, port_voltage_register_still_reads_the_same)
{
	uint32_t before, after;

	ASSERT_EQ(0, ot_reg_read(self->fd, OT_PORT_A, 3, &before));
	ASSERT_EQ(-EPERM, ot_reg_write(self->fd, OT_PORT_A, 3, before + 1));
	ASSERT_EQ(0, ot_reg_read(self->fd, OT_PORT_A, 3, &after));
	EXPECT_EQ(before, after);
}

TEST_F(guard, stimulator_registers_can_be_read)
{
	uint32_t v;
	int i;

	if (!variant->port) {
		EXPECT_EQ(0, ot_reg_read(self->fd, OT_PORT_A, 3, &v));
		return;
	}
	for (i = 0; i < self->n; i++)
		if (rows[i].id == ID_ESTIM) {
			EXPECT_EQ(0, ot_reg_read(self->fd, rows[i].addr, 14, &v));
		}
}

TEST_F(guard, harmless_register_is_let_through)
{
	EXPECT_EQ(0, ot_reg_write(self->fd, ot_board()->memory, 1, OT_CLK_HZ / 10));
}

/*
 * The datasheets' power-on state is armed or full scale; ours is not.
 *
 * verifies: R05
 */
TEST_F(guard, known_stimulators_are_safe_after_a_reset)
{
	struct oni_info info;
	uint32_t v;
	int i;

	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_RESET));
	ASSERT_EQ(0, ot_info(self->fd, &info));
	EXPECT_EQ(ONI_INFO_STIM_SAFE, info.flags & ONI_INFO_STIM_SAFE);
	for (i = 0; i < self->n; i++) {
		if (rows[i].id == ID_ESTIM) {
			ASSERT_EQ(0, ot_reg_read(self->fd, rows[i].addr, 13, &v));
			EXPECT_EQ(0, v);
			ASSERT_EQ(0, ot_reg_read(self->fd, rows[i].addr, 14, &v));
			EXPECT_EQ(0, v);
			ASSERT_EQ(0, ot_reg_read(self->fd, rows[i].addr, 3, &v));
			EXPECT_TRUE(v == 32767 || v == 32768);
		}
		if (rows[i].id == ID_OSTIM) {
			ASSERT_EQ(0, ot_reg_read(self->fd, rows[i].addr, 10, &v));
			EXPECT_EQ(0, v);
		}
	}
}

/* --- port power: windows -------------------------------------------------------------- */

/*
 * The upper ends are the highest voltages that the vendor's procedures can end
 * at; a window may be narrower, never wider.
 */
FIXTURE(window) {
	int fd;
	struct oni_port_power p;
};

FIXTURE_VARIANT(window) {
	uint32_t hub, low, high;
};

FIXTURE_VARIANT_ADD(window, hs64) { ONI_HUB_HS64, 50, 108 };
FIXTURE_VARIANT_ADD(window, hs64s) { ONI_HUB_HS64S, 50, 108 };
FIXTURE_VARIANT_ADD(window, np1f) { ONI_HUB_NP1F, 45, 80 };
FIXTURE_VARIANT_ADD(window, rhs2116) { ONI_HUB_RHS2116, 34, 63 };
FIXTURE_VARIANT_ADD(window, np2e_beta) { ONI_HUB_NP2E_BETA, 30, 65 };
FIXTURE_VARIANT_ADD(window, np2e) { ONI_HUB_NP2E, 30, 65 };
FIXTURE_VARIANT_ADD(window, nric1384) { ONI_HUB_NRIC1384, 38, 61 };
FIXTURE_VARIANT_ADD(window, np1e) { ONI_HUB_NP1E, 38, 65 };

FIXTURE_SETUP(window)
{
	self->fd = ot_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
	ASSERT_EQ(-ERANGE, ot_port(self->fd, &self->p, OT_PORT_B, variant->hub, 1));
}

FIXTURE_TEARDOWN(window)
{
	close(self->fd);
}

TEST_F(window, is_told_and_inside_the_vendor_s)
{
	EXPECT_LE(variant->low, self->p.min_decivolts);
	EXPECT_LT(self->p.min_decivolts, self->p.max_decivolts);
	EXPECT_GE(variant->high, self->p.max_decivolts);
}

/* verifies: R21 */
TEST_F(window, edges_are_erange)
{
	const uint32_t bad[] = {
		self->p.min_decivolts - 1, self->p.max_decivolts + 1, 111, 256, 0x80000000,
		0xffffffff,
	};
	struct oni_port_power p;
	struct oni_stats before, after;
	size_t i;

	ASSERT_EQ(0, ot_stats(self->fd, &before));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-ERANGE, ot_port(self->fd, &p, OT_PORT_B, variant->hub, bad[i]))
			TH_LOG("%u decivolts", bad[i]);
	}
	ASSERT_EQ(0, ot_stats(self->fd, &after));
	EXPECT_EQ(before.reg_writes, after.reg_writes);		/* nothing is written */
}

/* --- port power: what happens ------------------------------------------------------------- */

FIXTURE(port) {
	int fd;
	struct oni_port_power p;
};

FIXTURE_SETUP(port)
{
	self->fd = ot_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_port(self->fd, &self->p, OT_PORT_A, 0, 0));
	ASSERT_EQ(0, ot_port(self->fd, &self->p, OT_PORT_B, 0, 0));
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_RESET));
}

FIXTURE_TEARDOWN(port)
{
	ot_port(self->fd, &self->p, OT_PORT_A, 0, 0);
	ot_simple(self->fd, ONI_IOC_RESET);
	close(self->fd);
}

static uint32_t voltage(int fd, uint32_t port)
{
	uint32_t v;

	return ot_reg_read(fd, port, 3, &v) ? ~0u : v;
}

TEST_F(port, on_brings_the_headstage_into_the_table)
{
	struct oni_info before, after;
	int n;

	ASSERT_EQ(0, ot_info(self->fd, &before));
	ASSERT_EQ(0, ot_port(self->fd, &self->p, OT_PORT_A, ONI_HUB_HS64, 60));
	EXPECT_EQ(ONI_LINK_LOCK, self->p.link & ONI_LINK_LOCK);
	EXPECT_EQ(ONI_HUB_HS64, self->p.found);
	EXPECT_EQ(60, voltage(self->fd, OT_PORT_A));
	ASSERT_EQ(0, ot_info(self->fd, &after));
	EXPECT_NE(before.generation, after.generation);
	n = ot_table(self->fd, rows, OT_MAX_ROWS);
	ASSERT_NE(NULL, row_at(rows, n, OT_RHD2164));
	EXPECT_EQ(142, row_at(rows, n, OT_RHD2164)->read_size);
}

TEST_F(port, off_takes_it_out_at_the_next_reset)
{
	int n;

	ASSERT_EQ(0, ot_port(self->fd, &self->p, OT_PORT_A, ONI_HUB_HS64, 60));
	ASSERT_EQ(0, ot_port(self->fd, &self->p, OT_PORT_A, OT_POISON32, 0));
	EXPECT_EQ(0, self->p.found);
	EXPECT_EQ(0, voltage(self->fd, OT_PORT_A));
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_RESET));
	n = ot_table(self->fd, rows, OT_MAX_ROWS);
	ASSERT_LT(0, n);
	EXPECT_EQ(NULL, row_at(rows, n, OT_RHD2164));
}

TEST_F(port, off_twice_is_harmless)
{
	EXPECT_EQ(0, ot_port(self->fd, &self->p, OT_PORT_A, 0, 0));
	EXPECT_EQ(0, ot_port(self->fd, &self->p, OT_PORT_A, 0, 0));
}

TEST_F(port, on_twice_is_harmless)
{
	EXPECT_EQ(0, ot_port(self->fd, &self->p, OT_PORT_A, ONI_HUB_HS64, 60));
	EXPECT_EQ(0, ot_port(self->fd, &self->p, OT_PORT_A, ONI_HUB_HS64, 62));
	EXPECT_EQ(62, voltage(self->fd, OT_PORT_A));
}

TEST_F(port, nothing_plugged_in_is_enolink_and_off_again)
{
	EXPECT_EQ(-ENOLINK, ot_port(self->fd, &self->p, OT_PORT_B, ONI_HUB_HS64, 60));
	EXPECT_EQ(0, self->p.link & ONI_LINK_LOCK);
	EXPECT_EQ(0, self->p.found);
	EXPECT_NE(OT_POISON32, self->p.min_decivolts);
	EXPECT_EQ(0, voltage(self->fd, OT_PORT_B));
}

/*
 * 5.6 V locks the headstage-64 and lies in the window of a headstage-rhs2116.
 *
 * verifies: R21
 */
TEST_F(port, other_headstage_is_emediumtype_and_off_again)
{
	EXPECT_EQ(-EMEDIUMTYPE,
		  ot_port(self->fd, &self->p, OT_PORT_A, ONI_HUB_RHS2116, 56));
	EXPECT_EQ(ONI_HUB_HS64, self->p.found);
	EXPECT_NE(OT_POISON32, self->p.max_decivolts);
	EXPECT_EQ(0, voltage(self->fd, OT_PORT_A));
}

TEST_F(port, unknown_headstage_is_eopnotsupp)
{
	const uint32_t hubs[] = { 0, ONI_HUB_FMC_HOST, 6, 99, 0xffffffff };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(hubs); i++) {
		EXPECT_EQ(-EOPNOTSUPP,
			  ot_port(self->fd, &self->p, OT_PORT_A, hubs[i], 60))
			TH_LOG("headstage %u", hubs[i]);
	}
	EXPECT_EQ(0, voltage(self->fd, OT_PORT_A));
}

TEST_F(port, no_port_controller_is_enoent)
{
	const uint32_t ports[] = { OT_HEARTBEAT, 3, OT_MEMORY, 0x100, 0xffffffff };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ports); i++) {
		EXPECT_EQ(-ENOENT,
			  ot_port(self->fd, &self->p, ports[i], ONI_HUB_HS64, 60))
			TH_LOG("port 0x%x", ports[i]);
	}
}

static int port_timeout(int fd, uint32_t ms)
{
	struct oni_port_power p = {
		.size = sizeof(p),
		.port = OT_PORT_B,
		.headstage = ONI_HUB_HS64,
		.decivolts = 60,
		.timeout_ms = ms,
	};

	return ot_ioctl(fd, ONI_IOC_PORT_POWER, &p);
}

TEST_F(port, timeout_has_a_limit)
{
	EXPECT_EQ(-ENOLINK, port_timeout(self->fd, 1));
	EXPECT_EQ(-EINVAL, port_timeout(self->fd, 5001));
	EXPECT_EQ(-EINVAL, port_timeout(self->fd, 0xffffffff));
}

/* --- write frames ------------------------------------------------------------------------------ */

FIXTURE(frames) {
	int fd;
	struct oni_stats before, after;
};

FIXTURE_SETUP(frames)
{
	self->fd = ot_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_stats(self->fd, &self->before));
}

FIXTURE_TEARDOWN(frames)
{
	close(self->fd);
}

static long send_words(int fd, const uint32_t *words, size_t bytes)
{
	ssize_t n = write(fd, words, bytes);

	return n < 0 ? -errno : n;
}

TEST_F(frames, one_frame_is_sent)
{
	const uint32_t frame[] = { OT_DIGITAL_IO, 1, 0xa5 };

	EXPECT_EQ(12, send_words(self->fd, frame, sizeof(frame)));
	ASSERT_EQ(0, ot_stats(self->fd, &self->after));
	EXPECT_EQ(self->before.write_frames + 1, self->after.write_frames);
}

TEST_F(frames, several_frames_are_sent)
{
	const uint32_t frame[] = { OT_DIGITAL_IO, 1, 1, OT_ANALOG_IO, 6, 1, 2, 3, 4, 5, 6 };

	EXPECT_EQ((long)sizeof(frame), send_words(self->fd, frame, sizeof(frame)));
	ASSERT_EQ(0, ot_stats(self->fd, &self->after));
	EXPECT_EQ(self->before.write_frames + 2, self->after.write_frames);
}

/* Header and payload in two pieces are one frame. */
TEST_F(frames, pieces_of_writev_are_one_buffer)
{
	uint32_t head[] = { OT_DIGITAL_IO, 1 }, payload[] = { 0x5a };
	const struct iovec iov[] = {
		{ .iov_base = head, .iov_len = sizeof(head) },
		{ .iov_base = payload, .iov_len = sizeof(payload) },
	};

	EXPECT_EQ(12, writev(self->fd, iov, ARRAY_SIZE(iov)));
	ASSERT_EQ(0, ot_stats(self->fd, &self->after));
	EXPECT_EQ(self->before.write_frames + 1, self->after.write_frames);
}

/* One bad frame among good ones: an error, and none of them is sent. */
static const struct {
	const char *what;
	size_t bytes;
	uint32_t words[8];
} bad_frames[] = {
	{ "empty frame header", 4, { OT_DIGITAL_IO } },
	{ "not a multiple of 4", 11, { OT_DIGITAL_IO, 1, 1 } },
	{ "second frame cut", 20, { OT_DIGITAL_IO, 1, 1, OT_DIGITAL_IO, 1 } },
	{ "absent device", 24, { OT_DIGITAL_IO, 1, 1, 0x0f0, 1, 1 } },
	{ "device that takes none", 24, { OT_DIGITAL_IO, 1, 1, OT_MEMORY, 1, 1 } },
	{ "not a multiple of its size", 24, { OT_ANALOG_IO, 4, 1, 2, 3, 4 } },
	{ "no payload", 20, { OT_DIGITAL_IO, 1, 1, OT_DIGITAL_IO, 0 } },
	{ "length that wraps", 24, { OT_DIGITAL_IO, 0x40000001, 1, OT_DIGITAL_IO, 1, 1 } },
	{ "length all ones", 12, { OT_DIGITAL_IO, 0xffffffff, 1 } },
};

TEST_F(frames, bad_frame_sends_nothing)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad_frames); i++) {
		EXPECT_GT(0, send_words(self->fd, bad_frames[i].words, bad_frames[i].bytes))
			TH_LOG("%s", bad_frames[i].what);
	}
	ASSERT_EQ(0, ot_stats(self->fd, &self->after));
	EXPECT_EQ(self->before.write_frames, self->after.write_frames);
}

TEST_F(frames, without_ownership_is_eperm)
{
	const uint32_t frame[] = { OT_DIGITAL_IO, 1, 0xa5 };

	ASSERT_EQ(0, ot_simple(self->fd, ONI_IOC_RELEASE));
	EXPECT_EQ(-EPERM, send_words(self->fd, frame, sizeof(frame)));
}

TEST_F(frames, read_only_file_is_ebadf)
{
	const uint32_t frame[] = { OT_DIGITAL_IO, 1, 0xa5 };
	int fd = ot_open(O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, send_words(fd, frame, sizeof(frame)));
	close(fd);
}

TEST_F(frames, bad_pointer_is_efault)
{
	void *volatile bad = (void *)8;	/* or the compiler warns, and rightly so */

	EXPECT_EQ(-EFAULT, send_words(self->fd, bad, 12));
}

/* --- a board that has no such things ------------------------------------------------------------ */

TEST(no_device_takes_port_power)
{
	struct oni_port_power p;
	int fd = ot_open(O_RDWR), i, n;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ot_simple(fd, ONI_IOC_CLAIM));
	n = ot_table(fd, rows, OT_MAX_ROWS);
	ASSERT_LT(0, n);
	for (i = 0; i < n; i++) {
		EXPECT_EQ(-ENOENT, ot_port(fd, &p, rows[i].addr, ONI_HUB_HS64, 60))
			TH_LOG("device 0x%x", rows[i].addr);
	}
	close(fd);
}

/*
 * The lines that leave the board take frames, with bits that they have; nothing else does.
 *
 * verifies: R30
 */
TEST(only_outputs_take_write_frames)
{
	uint32_t frame[2 + 8] = { 0 };
	struct oni_stats before, after;
	int fd = ot_open(O_RDWR), i, n, outputs = 0;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ot_simple(fd, ONI_IOC_CLAIM));
	n = ot_table(fd, rows, OT_MAX_ROWS);
	ASSERT_LT(0, n);
	ASSERT_EQ(0, ot_stats(fd, &before));
	for (i = 0; i < n; i++) {
		bool output = rows[i].id == ID_TTL_OUT || rows[i].id == ID_ANALOG_OUT;
		long bytes, expected;

		if (!rows[i].id)
			continue;
		outputs += output;
		frame[0] = rows[i].addr;
		frame[1] = rows[i].write_size ? rows[i].write_size / 4 : 1;
		bytes = 8 + 4 * frame[1];
		ASSERT_GE((long)sizeof(frame), bytes);
		expected = output ? bytes : rows[i].write_size ? -EPERM : -EINVAL;
		EXPECT_EQ(expected, send_words(fd, frame, bytes))
			TH_LOG("device 0x%x", rows[i].addr);
	}
	ASSERT_EQ(0, ot_stats(fd, &after));
	EXPECT_EQ(2, outputs);
	EXPECT_EQ(before.write_frames + outputs, after.write_frames);
	close(fd);
}

static const struct ot_only only[] = {
#define PORTS(f, v, t)								\
	{ ONI_TRANSPORT_RIFFA, f, v, t, "there is no port with a power supply" }
#define FRAMES(t)								\
	{ ONI_TRANSPORT_RIFFA, "frames", NULL, t, "its devices that take frames are others" }
	PORTS("guard", "headstage_64", NULL),
	PORTS("guard", NULL, "port_voltage_register_still_reads_the_same"),
	PORTS("guard", NULL, "stimulator_registers_can_be_read"),
	PORTS("window", NULL, NULL),
	PORTS("port", NULL, NULL),
	FRAMES("one_frame_is_sent"),
	FRAMES("several_frames_are_sent"),
	FRAMES("pieces_of_writev_are_one_buffer"),
	FRAMES("bad_frame_sends_nothing"),
	{ ONI_TRANSPORT_FT600, "global", NULL, "no_device_takes_port_power", "it has ports" },
	{ ONI_TRANSPORT_FT600, "global", NULL, "only_outputs_take_write_frames", "others do" },
};

OT_ONLY(only)
TEST_HARNESS_MAIN
