// SPDX-License-Identifier: MIT
/*
 * The rules that every ioctl obeys: format, access, ownership, state.
 *
 * One table describes the calls of the contract; each fixture runs one rule
 * over those it holds for. A test takes a call that works and makes exactly
 * one thing wrong. The argument ends where an unmapped page begins, so that a
 * kernel that reads or writes past it is caught.
 *
 * Contract under test: include/uapi/linux/oni.h, "ioctl format" and the per
 * call comments. Needs /dev/oniN that nobody else uses. One process, no
 * threads.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "oni_board.h"
#include "oni_layout.h"

#define NODE		(1u << 0)	/* a call on /dev/oniN, else on a stream */
#define OWNER		(1u << 1)	/* owner only */
#define WRITES		(1u << 2)	/* needs a file opened for writing */
#define WANTS_STREAM	(1u << 3)	/* valid only when a stream exists */
#define OUT		(1u << 4)	/* writes results into the argument */
#define ON_MONITOR	(1u << 5)	/* a call on a monitor */

#define MAX_ARG		256

struct call {
	const char *name;
	unsigned long cmd;
	size_t size;
	unsigned int is;
	size_t reserved;	/* offset of the words that must be zero */
	size_t reserved_end;
	void (*fill)(void *arg);	/* valid values; the rest is poisoned */
};

#define AT(s, f)	offsetof(struct s, f)
#define END(s, f)	(offsetof(struct s, f) + sizeof(((struct s *)0)->f))

static struct oni_device rows[OT_MAX_ROWS];

static void fill_table(void *arg)
{
	struct oni_device_table *t = arg;

	t->rows = (uintptr_t)rows;
	t->count = OT_MAX_ROWS;
	t->row_size = sizeof(rows[0]);
}

static void fill_reg(void *arg)
{
	struct oni_reg *r = arg;

	r->dev_addr = OT_HEARTBEAT;
	r->reg_addr = 1;		/* CLK_DIV */
	r->value = OT_CLK_HZ / 100;
}

static void fill_ctl(void *arg)
{
	struct oni_ctl *c = arg;

	c->reg = ONI_CTL_HWADDRESS;
	c->value = 0;
}

static void fill_port(void *arg)
{
	struct oni_port_power *p = arg;

	p->port = OT_PORT_B;
	p->headstage = ONI_HUB_HS64;
	p->decivolts = 0;
	p->timeout_ms = 0;
}

static void fill_create(void *arg)
{
	struct oni_stream_create *s = arg;

	s->ring_bytes = 1 << 20;
	s->block_bytes = 0;
	s->watermark_bytes = 0;
	s->latency_us = 0;
}

static void fill_wake(void *arg)
{
	struct oni_stream_wake *w = arg;

	w->watermark_bytes = 8192;
	w->latency_us = 1000;
}

static void fill_monitor(void *arg)
{
	struct oni_monitor_create *m = arg;

	m->watermark_bytes = 0;
	m->latency_us = 0;
}

static struct oni_reg_op batch[2];

static void fill_batch(void *arg)
{
	struct oni_reg_batch *b = arg;

	batch[0] = (struct oni_reg_op){ .dev_addr = OT_HEARTBEAT, .reg_addr = 1 };
	batch[1] = (struct oni_reg_op){ .dev_addr = OT_HEARTBEAT, .reg_addr = 2 };
	b->ops = (uintptr_t)batch;
	b->count = ARRAY_SIZE(batch);
	b->op_size = sizeof(batch[0]);
}

static void fill_nothing(void *arg)
{
	(void)arg;
}

#define CALL(n, cmd_, type, is_, fill_, res, end)			\
	static const struct call call_##n = {				\
		.name = #n, .cmd = cmd_, .size = sizeof(struct type),	\
		.is = is_, .fill = fill_, .reserved = res,		\
		.reserved_end = end,					\
	}

CALL(info, ONI_IOC_INFO, oni_info, NODE | OUT, fill_nothing,
     AT(oni_info, reserved), END(oni_info, reserved));
CALL(table, ONI_IOC_DEVICE_TABLE, oni_device_table, NODE | OUT, fill_table,
     AT(oni_device_table, reserved), END(oni_device_table, reserved));
CALL(claim, ONI_IOC_CLAIM, oni_simple, NODE | WRITES, fill_nothing, 0, 0);
CALL(release, ONI_IOC_RELEASE, oni_simple, NODE | OWNER | WRITES, fill_nothing,
     0, 0);
CALL(reset, ONI_IOC_RESET, oni_simple, NODE | OWNER | WRITES, fill_nothing,
     0, 0);
CALL(reg_read, ONI_IOC_REG_READ, oni_reg, NODE | OUT, fill_reg,
     AT(oni_reg, reserved), END(oni_reg, reserved));
CALL(reg_write, ONI_IOC_REG_WRITE, oni_reg, NODE | OWNER | WRITES, fill_reg,
     AT(oni_reg, reserved), END(oni_reg, reserved));
CALL(ctl_read, ONI_IOC_CTL_READ, oni_ctl, NODE | OUT, fill_ctl, 0, 0);
CALL(ctl_write, ONI_IOC_CTL_WRITE, oni_ctl, NODE | OWNER | WRITES, fill_ctl,
     0, 0);
CALL(port_power, ONI_IOC_PORT_POWER, oni_port_power,
     NODE | OWNER | WRITES | OUT, fill_port, AT(oni_port_power, reserved),
     END(oni_port_power, reserved));
CALL(start, ONI_IOC_START, oni_simple, NODE | OWNER | WRITES | WANTS_STREAM,
     fill_nothing, 0, 0);
CALL(stop, ONI_IOC_STOP, oni_simple, NODE | OWNER | WRITES, fill_nothing, 0, 0);
CALL(stream_create, ONI_IOC_STREAM_CREATE, oni_stream_create,
     NODE | OWNER | WRITES | OUT, fill_create, AT(oni_stream_create, reserved),
     END(oni_stream_create, reserved));
CALL(stats, ONI_IOC_STATS, oni_stats, NODE | OUT, fill_nothing,
     AT(oni_stats, reserved), END(oni_stats, reserved));
CALL(stream_info, ONI_IOC_STREAM_INFO, oni_stream_info, WANTS_STREAM | OUT,
     fill_nothing, AT(oni_stream_info, reserved),
     END(oni_stream_info, reserved));
CALL(stream_wake, ONI_IOC_STREAM_WAKE, oni_stream_wake, WANTS_STREAM, fill_wake,
     0, 0);

CALL(monitor_create, ONI_IOC_MONITOR_CREATE, oni_monitor_create,
     NODE | WANTS_STREAM | OUT, fill_monitor, AT(oni_monitor_create, reserved),
     END(oni_monitor_create, reserved));
CALL(reg_batch, ONI_IOC_REG_BATCH, oni_reg_batch, NODE | OUT, fill_batch,
     AT(oni_reg_batch, reserved), END(oni_reg_batch, reserved));
CALL(monitor_stat, ONI_IOC_MONITOR_STAT, oni_monitor_stat,
     ON_MONITOR | WANTS_STREAM | OUT, fill_nothing,
     AT(oni_monitor_stat, reserved), END(oni_monitor_stat, reserved));

/* --- a controller on which the call works ---------------------------------- */

struct bench {
	int ctl;	/* opened for writing, owner if the call wants one */
	int stream;	/* -1: none */
	int monitor;	/* -1: none */
	uint8_t *arg;	/* MAX_ARG bytes, then a hole */
};

/* A valid argument of @size bytes (at least the call's) at the end of b->arg. */
static void *valid_arg(struct bench *b, const struct call *c, size_t size)
{
	uint8_t *arg = b->arg + MAX_ARG - size;
	uint32_t size32 = size;

	memset(arg, OT_POISON, c->size);
	memset(arg + c->size, 0, size - c->size);
	memcpy(arg, &size32, 4);
	if (c->cmd != ONI_IOC_INFO)		/* there, flags are a result */
		memset(arg + 4, 0, 4);
	if (c->reserved)
		memset(arg + c->reserved, 0, c->reserved_end - c->reserved);
	c->fill(arg);
	return arg;
}

static int call(struct bench *b, const struct call *c, void *arg)
{
	int fd = c->is & NODE ? b->ctl : c->is & ON_MONITOR ? b->monitor : b->stream;

	return ot_ioctl(fd, c->cmd, arg);
}

/* 0 or -errno: claim and make a stream as far as @c needs it. */
static int bench_open(struct bench *b, const struct call *c)
{
	int ret;

	b->arg = ot_guarded(MAX_ARG);
	b->stream = -1;
	b->monitor = -1;
	b->ctl = ot_open(O_RDWR);
	if (b->ctl < 0)
		return b->ctl;
	if (!(c->is & (OWNER | WANTS_STREAM)))
		return 0;
	ret = ot_simple(b->ctl, ONI_IOC_CLAIM);
	if (ret || !(c->is & WANTS_STREAM))
		return ret;
	b->stream = ot_stream_create(b->ctl, 1 << 20, 0, 0, 0);
	if (b->stream < 0 || !(c->is & ON_MONITOR))
		return b->stream < 0 ? b->stream : 0;
	b->monitor = ot_monitor_create(b->ctl, 0, 0);
	return b->monitor < 0 ? b->monitor : 0;
}

/* A stream that the call itself made is closed with the process. */
static void bench_close(struct bench *b)
{
	if (b->monitor >= 0)
		close(b->monitor);
	if (b->stream >= 0)
		close(b->stream);
	close(b->ctl);
}

/* After an error nothing has changed: the same call, made right, works. */
#define EXPECT_STILL_WORKS(b, c)					\
	EXPECT_EQ(0, call(b, c, valid_arg(b, c, (c)->size)))

#define CALL_FIXTURE(f)							\
	FIXTURE(f) {							\
		struct bench b;						\
	};								\
	FIXTURE_VARIANT(f) {						\
		const struct call *call;				\
	};								\
	FIXTURE_SETUP(f)						\
	{								\
		ASSERT_EQ(0, bench_open(&self->b, variant->call));	\
	}								\
	FIXTURE_TEARDOWN(f)						\
	{								\
		bench_close(&self->b);					\
	}

#define FOR(f, c)	FIXTURE_VARIANT_ADD(f, c) { .call = &call_##c }

/* --- format: every call ----------------------------------------------------- */

CALL_FIXTURE(format)
FOR(format, info);
FOR(format, table);
FOR(format, claim);
FOR(format, release);
FOR(format, reset);
FOR(format, reg_read);
FOR(format, reg_write);
FOR(format, ctl_read);
FOR(format, ctl_write);
FOR(format, port_power);
FOR(format, start);
FOR(format, stop);
FOR(format, stream_create);
FOR(format, stats);
FOR(format, stream_info);
FOR(format, stream_wake);
FOR(format, monitor_create);
FOR(format, reg_batch);
FOR(format, monitor_stat);

TEST_F(format, valid_call_works)
{
	const struct call *c = variant->call;
	void *arg = valid_arg(&self->b, c, c->size);

	EXPECT_EQ(0, call(&self->b, c, arg));
}

TEST_F(format, short_size_is_einval)
{
	const struct call *c = variant->call;
	const uint32_t sizes[] = { 0, 4, c->size - 4, c->size - 1 };
	uint32_t *arg;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		arg = valid_arg(&self->b, c, c->size);
		arg[0] = sizes[i];
		EXPECT_EQ(-EINVAL, call(&self->b, c, arg))
			TH_LOG("with size %u", sizes[i]);
	}
	EXPECT_STILL_WORKS(&self->b, c);
}

TEST_F(format, longer_with_zero_tail_works)
{
	const struct call *c = variant->call;
	void *arg = valid_arg(&self->b, c, c->size + 8);

	EXPECT_EQ(0, call(&self->b, c, arg));
}

TEST_F(format, longer_with_nonzero_tail_is_e2big)
{
	const struct call *c = variant->call;
	uint8_t *arg = valid_arg(&self->b, c, c->size + 8);

	arg[c->size + 7] = 1;
	EXPECT_EQ(-E2BIG, call(&self->b, c, arg));
	EXPECT_STILL_WORKS(&self->b, c);
}

/* The bytes behind the kernel's own structure stay as the caller left them. */
TEST_F(format, writes_no_more_than_its_own_size)
{
	const struct call *c = variant->call;
	uint8_t *arg = valid_arg(&self->b, c, c->size + 8);
	const uint8_t zero[8] = { 0 };

	ASSERT_EQ(0, call(&self->b, c, arg));
	EXPECT_EQ(0, memcmp(arg + c->size, zero, 8));
}

TEST_F(format, null_pointer_is_efault)
{
	EXPECT_EQ(-EFAULT, call(&self->b, variant->call, NULL));
	EXPECT_STILL_WORKS(&self->b, variant->call);
}

TEST_F(format, kernel_pointer_is_efault)
{
	void *kernel = (void *)(uintptr_t)(sizeof(void *) == 8 ?
					   0xffff888000000000ULL : 0xfffff000ULL);

	EXPECT_EQ(-EFAULT, call(&self->b, variant->call, kernel));
	EXPECT_STILL_WORKS(&self->b, variant->call);
}

/* The size is readable, the rest of the structure is not. */
TEST_F(format, argument_cut_by_a_hole_is_efault)
{
	const struct call *c = variant->call;
	uint32_t *arg = (uint32_t *)(self->b.arg + MAX_ARG - 4);

	*arg = c->size;
	EXPECT_EQ(-EFAULT, call(&self->b, c, arg));
	EXPECT_STILL_WORKS(&self->b, c);
}

/* The structure is readable, the zero tail that @size promises is not. */
TEST_F(format, tail_cut_by_a_hole_is_efault)
{
	const struct call *c = variant->call;
	uint32_t *arg = valid_arg(&self->b, c, c->size);

	arg[0] = c->size + 64;
	EXPECT_EQ(-EFAULT, call(&self->b, c, arg));
	EXPECT_STILL_WORKS(&self->b, c);
}

TEST_F(format, wrong_kind_of_file_is_enotty)
{
	const struct call *c = variant->call;
	void *arg = valid_arg(&self->b, c, c->size);
	int stream = self->b.stream;

	if (c->is & NODE && stream < 0) {
		/* the claim of a non-owner call ends with this process */
		int ret = ot_simple(self->b.ctl, ONI_IOC_CLAIM);

		ASSERT_EQ(0, ret);
		stream = ot_stream_create(self->b.ctl, 1 << 20, 0, 0, 0);
		ASSERT_LE(0, stream);
	}
	EXPECT_EQ(-ENOTTY, ot_ioctl(c->is & NODE ? stream : self->b.ctl, c->cmd,
				    arg));
	if (c->is & ON_MONITOR) {
		EXPECT_EQ(-ENOTTY, ot_ioctl(stream, c->cmd, arg));
	}
}

/* --- results: calls that write something ------------------------------------ */

CALL_FIXTURE(result)
FOR(result, info);
FOR(result, table);
FOR(result, reg_read);
FOR(result, ctl_read);
FOR(result, port_power);
FOR(result, stream_create);
FOR(result, stats);
FOR(result, stream_info);
FOR(result, monitor_create);
FOR(result, reg_batch);
FOR(result, monitor_stat);

TEST_F(result, read_only_memory_is_efault)
{
	const struct call *c = variant->call;
	uint8_t *arg = valid_arg(&self->b, c, c->size);
	size_t page = sysconf(_SC_PAGESIZE);
	void *start = (void *)((uintptr_t)arg & ~(page - 1));

	ASSERT_EQ(0, mprotect(start, page, PROT_READ));
	EXPECT_EQ(-EFAULT, call(&self->b, c, arg));
	ASSERT_EQ(0, mprotect(start, page, PROT_READ | PROT_WRITE));
	/* for STREAM_CREATE: no stream was left behind */
	EXPECT_STILL_WORKS(&self->b, c);
}

/* No 32-bit word that holds a result is left as the caller poisoned it. */
TEST_F(result, every_result_is_written)
{
	const struct call *c = variant->call;
	uint8_t *arg = valid_arg(&self->b, c, c->size);
	uint8_t before[MAX_ARG];
	uint32_t word;
	size_t i;

	memcpy(before, arg, c->size);
	ASSERT_EQ(0, call(&self->b, c, arg));
	for (i = 0; i < c->size; i += 4) {
		memcpy(&word, before + i, 4);
		if (word != OT_POISON32)
			continue;
		memcpy(&word, arg + i, 4);
		EXPECT_NE(OT_POISON32, word)
			TH_LOG("%s: word at offset %zu", c->name, i);
	}
}

TEST_F(result, reserved_comes_back_zero)
{
	const struct call *c = variant->call;
	uint8_t *arg = valid_arg(&self->b, c, c->size);
	size_t i;

	ASSERT_EQ(0, call(&self->b, c, arg));
	for (i = c->reserved; i < c->reserved_end; i++) {
		EXPECT_EQ(0, arg[i]);
	}
}

/* --- flags: calls with a flags field, none of which is known yet ------------- */

CALL_FIXTURE(flags)
FOR(flags, table);
FOR(flags, claim);
FOR(flags, release);
FOR(flags, reset);
FOR(flags, reg_read);
FOR(flags, reg_write);
FOR(flags, ctl_read);
FOR(flags, ctl_write);
FOR(flags, port_power);
FOR(flags, start);
FOR(flags, stop);
FOR(flags, stream_create);
FOR(flags, stats);
FOR(flags, stream_info);
FOR(flags, stream_wake);
FOR(flags, monitor_create);
FOR(flags, reg_batch);
FOR(flags, monitor_stat);

TEST_F(flags, unknown_flag_is_einval)
{
	const struct call *c = variant->call;
	const unsigned int bits[] = { 0, 1, 15, 31 };
	uint32_t *arg;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		arg = valid_arg(&self->b, c, c->size);
		arg[1] = 1u << bits[i];
		EXPECT_EQ(-EINVAL, call(&self->b, c, arg))
			TH_LOG("with bit %u", bits[i]);
	}
	EXPECT_STILL_WORKS(&self->b, c);
}

/* --- reserved fields ---------------------------------------------------------- */

CALL_FIXTURE(reserved)
FOR(reserved, info);
FOR(reserved, table);
FOR(reserved, reg_read);
FOR(reserved, reg_write);
FOR(reserved, port_power);
FOR(reserved, stream_create);
FOR(reserved, stats);
FOR(reserved, stream_info);
FOR(reserved, monitor_create);
FOR(reserved, reg_batch);
FOR(reserved, monitor_stat);

TEST_F(reserved, nonzero_byte_is_einval)
{
	const struct call *c = variant->call;
	uint8_t *arg;
	size_t i;

	for (i = c->reserved; i < c->reserved_end; i++) {
		arg = valid_arg(&self->b, c, c->size);
		arg[i] = 1;
		EXPECT_EQ(-EINVAL, call(&self->b, c, arg))
			TH_LOG("with byte %zu", i);
	}
	EXPECT_STILL_WORKS(&self->b, c);
}

/* --- access: calls that change something --------------------------------------- */

CALL_FIXTURE(access)
FOR(access, claim);
FOR(access, release);
FOR(access, reset);
FOR(access, reg_write);
FOR(access, ctl_write);
FOR(access, port_power);
FOR(access, start);
FOR(access, stop);
FOR(access, stream_create);

TEST_F(access, read_only_file_is_eperm)
{
	const struct call *c = variant->call;
	int fd = ot_open(O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, ot_ioctl(fd, c->cmd, valid_arg(&self->b, c, c->size)));
	EXPECT_STILL_WORKS(&self->b, c);
}

/* --- ownership: owner-only calls -------------------------------------------------- */

CALL_FIXTURE(owner)
FOR(owner, release);
FOR(owner, reset);
FOR(owner, reg_write);
FOR(owner, ctl_write);
FOR(owner, port_power);
FOR(owner, start);
FOR(owner, stop);
FOR(owner, stream_create);

TEST_F(owner, another_file_owns_is_eperm)
{
	const struct call *c = variant->call;
	int other = ot_open(O_RDWR);

	ASSERT_LE(0, other);
	EXPECT_EQ(-EPERM,
		  ot_ioctl(other, c->cmd, valid_arg(&self->b, c, c->size)));
	EXPECT_STILL_WORKS(&self->b, c);
}

TEST_F(owner, nobody_owns_is_eperm)
{
	const struct call *c = variant->call;

	ASSERT_EQ(0, ot_simple(self->b.ctl, ONI_IOC_RELEASE));
	EXPECT_EQ(-EPERM, call(&self->b, c, valid_arg(&self->b, c, c->size)));
}

/* --- state: calls that need an idle controller ---------------------------------------- */

CALL_FIXTURE(idle_only)
FOR(idle_only, reset);
FOR(idle_only, ctl_write);
FOR(idle_only, port_power);
FOR(idle_only, start);
FOR(idle_only, stream_create);

TEST_F(idle_only, running_is_ebusy)
{
	const struct call *c = variant->call;
	struct oni_info info;

	if (self->b.stream < 0)
		self->b.stream = ot_stream_create(self->b.ctl, 1 << 20, 0, 0, 0);
	ASSERT_LE(0, self->b.stream);
	ASSERT_EQ(0, ot_simple(self->b.ctl, ONI_IOC_START));
	EXPECT_EQ(-EBUSY, call(&self->b, c, valid_arg(&self->b, c, c->size)));
	ASSERT_EQ(0, ot_info(self->b.ctl, &info));
	EXPECT_EQ(ONI_STATE_RUNNING, info.state);
}

/* --- state: calls that work during an acquisition --------------------------------------- */

CALL_FIXTURE(any_time)
FOR(any_time, info);
FOR(any_time, table);
FOR(any_time, claim);
FOR(any_time, reg_read);
FOR(any_time, reg_write);
FOR(any_time, ctl_read);
FOR(any_time, stop);
FOR(any_time, stats);
FOR(any_time, stream_info);
FOR(any_time, stream_wake);
FOR(any_time, monitor_create);
FOR(any_time, reg_batch);
FOR(any_time, monitor_stat);

TEST_F(any_time, running_is_fine)
{
	const struct call *c = variant->call;

	ASSERT_EQ(0, ot_simple(self->b.ctl, ONI_IOC_CLAIM));
	if (self->b.stream < 0)
		self->b.stream = ot_stream_create(self->b.ctl, 1 << 20, 0, 0, 0);
	ASSERT_LE(0, self->b.stream);
	ASSERT_EQ(0, ot_simple(self->b.ctl, ONI_IOC_START));
	EXPECT_EQ(0, call(&self->b, c, valid_arg(&self->b, c, c->size)));
}

/* --- command numbers ------------------------------------------------------------------- */

FIXTURE(numbers) {
	int ctl;
	int stream;
	int monitor;
};

FIXTURE_SETUP(numbers)
{
	self->ctl = ot_open(O_RDWR);
	ASSERT_LE(0, self->ctl);
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
	self->stream = ot_stream_create(self->ctl, 1 << 20, 0, 0, 0);
	ASSERT_LE(0, self->stream);
	self->monitor = ot_monitor_create(self->ctl, 0, 0);
	ASSERT_LE(0, self->monitor);
}

FIXTURE_TEARDOWN(numbers)
{
	close(self->monitor);
	close(self->stream);
	close(self->ctl);
}

enum file { ON_NODE, ON_A_STREAM, ON_A_MONITOR };

static bool known_number(unsigned int nr, enum file file)
{
	if (file == ON_NODE)
		return nr <= 0x10;	/* the last is that of oni_stim.h */
	return nr == 0x20 || nr == 0x21 || (nr == 0x22 && file == ON_A_MONITOR);
}

TEST_F(numbers, unknown_is_enotty)
{
	struct oni_simple arg = { .size = sizeof(arg) };
	unsigned int nr;

	for (nr = 0; nr < 256; nr++) {
		unsigned long cmd = _IO(ONI_IOC_MAGIC, nr);

		if (!known_number(nr, ON_NODE)) {
			EXPECT_EQ(-ENOTTY, ot_ioctl(self->ctl, cmd, &arg))
				TH_LOG("number 0x%x on the node", nr);
		}
		if (!known_number(nr, ON_A_STREAM)) {
			EXPECT_EQ(-ENOTTY, ot_ioctl(self->stream, cmd, &arg))
				TH_LOG("number 0x%x on a stream", nr);
		}
		if (!known_number(nr, ON_A_MONITOR)) {
			EXPECT_EQ(-ENOTTY, ot_ioctl(self->monitor, cmd, &arg))
				TH_LOG("number 0x%x on a monitor", nr);
		}
	}
}

/* The number alone does not make the command: direction and size count too. */
TEST_F(numbers, other_encoding_is_enotty)
{
	struct oni_info info = { .size = sizeof(info) };

	EXPECT_EQ(-ENOTTY, ot_ioctl(self->ctl,
				    _IOWR(ONI_IOC_MAGIC, 0, struct oni_info), &info));
	EXPECT_EQ(-ENOTTY, ot_ioctl(self->ctl, _IO('N', 0), &info));
	EXPECT_EQ(-ENOTTY, ot_ioctl(self->stream, _IO('N', 0x20), &info));
}

TEST_F(numbers, terminal_ioctl_is_enotty)
{
	struct termios t;

	EXPECT_EQ(-ENOTTY, ot_ioctl(self->ctl, TCGETS, &t));
	EXPECT_EQ(-ENOTTY, ot_ioctl(self->stream, TCGETS, &t));
}

TEST_F(numbers, unknown_command_ignores_its_pointer)
{
	EXPECT_EQ(-ENOTTY, ot_ioctl(self->ctl, _IO(ONI_IOC_MAGIC, 0x7f), NULL));
}

/* --- claim and release -------------------------------------------------------------------- */

FIXTURE(claim) {
	int a;
	int b;
};

FIXTURE_SETUP(claim)
{
	self->a = ot_open(O_RDWR);
	self->b = ot_open(O_RDWR);
	ASSERT_LE(0, self->a);
	ASSERT_LE(0, self->b);
}

FIXTURE_TEARDOWN(claim)
{
	close(self->a);
	close(self->b);
}

static uint32_t owner_flags(int fd)
{
	struct oni_info info;

	if (ot_info(fd, &info))
		return ~0u;
	return info.flags & (ONI_INFO_OWNED | ONI_INFO_OWNER);
}

TEST_F(claim, nobody_at_first)
{
	EXPECT_EQ(0, owner_flags(self->a));
}

TEST_F(claim, shows_in_info)
{
	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_CLAIM));
	EXPECT_EQ(ONI_INFO_OWNED | ONI_INFO_OWNER, owner_flags(self->a));
	EXPECT_EQ(ONI_INFO_OWNED, owner_flags(self->b));
}

TEST_F(claim, again_is_harmless)
{
	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_CLAIM));
	EXPECT_EQ(0, ot_simple(self->a, ONI_IOC_CLAIM));
}

TEST_F(claim, second_file_is_ebusy)
{
	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_CLAIM));
	EXPECT_EQ(-EBUSY, ot_simple(self->b, ONI_IOC_CLAIM));
}

TEST_F(claim, release_lets_the_next_one_in)
{
	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_RELEASE));
	EXPECT_EQ(0, owner_flags(self->b));
	EXPECT_EQ(0, ot_simple(self->b, ONI_IOC_CLAIM));
}

TEST_F(claim, release_twice_is_eperm)
{
	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_CLAIM));
	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_RELEASE));
	EXPECT_EQ(-EPERM, ot_simple(self->a, ONI_IOC_RELEASE));
}

TEST_F(claim, close_ends_it)
{
	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_CLAIM));
	close(self->a);
	self->a = -1;
	EXPECT_EQ(0, ot_simple(self->b, ONI_IOC_CLAIM));
}

TEST_F(claim, release_stops_the_acquisition)
{
	struct oni_info info;
	int stream;

	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_CLAIM));
	stream = ot_stream_create(self->a, 1 << 20, 0, 0, 0);
	ASSERT_LE(0, stream);
	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_START));
	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_RELEASE));
	ASSERT_EQ(0, ot_info(self->b, &info));
	EXPECT_EQ(ONI_STATE_IDLE, info.state);
}

/* A child that inherits the file and goes away is not the owner going away. */
TEST_F(claim, exit_of_a_forked_child_does_not_end_it)
{
	pid_t pid;

	ASSERT_EQ(0, ot_simple(self->a, ONI_IOC_CLAIM));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(ONI_INFO_OWNED | ONI_INFO_OWNER, owner_flags(self->a));
	EXPECT_EQ(-EBUSY, ot_simple(self->b, ONI_IOC_CLAIM));
}

/*
 * The owner dies while a copy of its file lives on here: ownership ends all
 * the same, and so does the acquisition.
 */
TEST_F(claim, ends_with_the_process_not_with_the_last_copy)
{
	struct oni_info info;
	int sock[2], copy, status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = ot_open(O_RDWR), st = -1;

		if (!ot_simple(fd, ONI_IOC_CLAIM))
			st = ot_stream_create(fd, 1 << 20, 0, 0, 0);
		if (st < 0 || ot_simple(fd, ONI_IOC_START) || ot_send_fd(sock[1], fd))
			_exit(1);
		pause();
	}
	close(sock[1]);
	copy = ot_recv_fd(sock[0]);
	ASSERT_LE(0, copy) {
		kill(pid, SIGKILL);
	}
	EXPECT_EQ(ONI_INFO_OWNED | ONI_INFO_OWNER, owner_flags(copy));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, owner_flags(copy));
	ASSERT_EQ(0, ot_info(self->a, &info));
	EXPECT_EQ(ONI_STATE_IDLE, info.state);
	EXPECT_EQ(0, ot_simple(self->a, ONI_IOC_CLAIM));
	close(copy);
}

/* --- opening ---------------------------------------------------------------------------------- */

TEST(read_only_open_gives_information)
{
	struct oni_stats stats;
	struct oni_info info;
	uint32_t value;
	int fd = ot_open(O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, ot_info(fd, &info));
	EXPECT_EQ(0, ot_stats(fd, &stats));
	EXPECT_LT(0, ot_table(fd, rows, OT_MAX_ROWS));
	EXPECT_EQ(0, ot_reg_read(fd, OT_HEARTBEAT, 1, &value));
}

TEST(opens_any_number_of_times)
{
	int fd[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = ot_open(i & 1 ? O_RDWR : O_RDONLY);
		EXPECT_LE(0, fd[i]);
	}
	for (i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
}

/* A stream of bytes has no position to seek to. */
TEST(lseek_is_espipe)
{
	int fd = ot_open(O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, lseek(fd, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
}

static const struct ot_only only[] = {
#define PORT(f)	{ ONI_TRANSPORT_RIFFA, f, "port_power", NULL, "no device takes port power" }
	PORT("format"), PORT("result"), PORT("flags"), PORT("reserved"), PORT("access"),
	PORT("owner"), PORT("idle_only"),
};

OT_ONLY(only)
TEST_HARNESS_MAIN
