// SPDX-License-Identifier: MIT
/*
 * Calls that nobody would make, in an order that nobody would choose.
 *
 *   oni_fuzz [-s SEED] [-n CALLS] [-w HEAVY] [-m MEDIUM] [-u UNPLUGS] [-b REBINDS]
 *
 * Three parts, one TAP result each and more at the end:
 *  strict      one thread. It knows what the state allows and expects for a
 *              call that is wrong in one thing exactly the errno of that thing.
 *  concurrent  two threads work on the same files, a third one writes rubbish
 *              into the consumer pages of mapped streams, a fourth one sends
 *              signals; files are closed, duplicated, mapped and forked under
 *              calls in flight.
 *  unplug      as before, while the driver is unbound (REBINDS) and the card is
 *              pulled without a word (UNPLUGS, needs ONI_LAB_CMD).
 * In all: no call ends with an errno that the contract does not have for it, a
 * call that is refused leaves its argument as it was, read-only areas do not
 * become writable. Afterwards a recording works and every stimulator is safe.
 * What the kernel thinks of it is in its log.
 *
 * Calls that change the state of the hardware take up to a second: one of HEAVY
 * calls is such a one, one of MEDIUM costs milliseconds. The calls of the strict
 * part depend on SEED alone.
 *
 * Contract under test: include/uapi/linux/oni.h. Needs root and a simulated board,
 * a card with a headstage-64 on port A.
 * Threads share the table of files, atomically; a thread may find a file closed
 * or replaced under its call, and then does not judge the result.
 */
#define _GNU_SOURCE
#include "kselftest.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "oni_cycle.h"
#include "oni_layout.h"
#include "oni_leave.h"
#include "oni_rng.h"

#define CTLS		5	/* the last one is read-only */
#define STREAMS		2
#define MONITORS	3
#define SLOTS		(CTLS + STREAMS + MONITORS)
#define MAPS		6
#define PAGE		4096u
#define ARG_MAX		256u
#define ERRNOS		134
#define SHOWN		20
#define KERNEL_ADDRESS	0xffff888000000000ULL	/* of all memory, on amd64 */

/* --- random numbers ------------------------------------------------------------- */

/* Numbers at which programs break. */
static uint32_t odd_number(struct rng *r)
{
	static const uint32_t odd[] = {
		0, 1, 2, 3, 4, 7, 8, 0xfe, 0xff, 0x100, 0x1fe, 0xfff, 0x1000, 0x1001, 0xffff,
		0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
	};

	if (one_in(r, 4))
		return r64(r);
	return odd[below(r, sizeof(odd) / sizeof(odd[0]))];
}

/* --- what is called and counted --------------------------------------------------- */

enum kind { CTL, STREAM, MONITOR };

enum call {
	C_INFO, C_TABLE, C_CLAIM, C_RELEASE, C_RESET, C_REG_READ, C_REG_WRITE, C_CTL_READ,
	C_CTL_WRITE, C_PORT, C_START, C_STOP, C_CREATE, C_STATS, C_MONITOR, C_BATCH, C_SINFO,
	C_SWAKE, C_MSTAT,
	C_IOCTLS,
	C_UNKNOWN = C_IOCTLS, C_OPEN, C_CLOSE, C_DUP, C_READ, C_WRITE, C_POLL, C_MMAP, C_MUNMAP,
	C_MPROTECT, C_MREMAP, C_SEEK, C_FORK, CALLS
};

/* Offsets and lengths of what must be zero */
struct zero {
	uint16_t at, bytes;
};

#define ZERO(type, field)	{ offsetof(type, field), sizeof(((type *)0)->field) }

#define COMMON	EINVAL, E2BIG, EFAULT

static const struct spec {
	const char *name;
	unsigned long cmd;
	uint16_t bytes;
	uint8_t kinds;			/* 1 << enum kind */
	bool write;			/* EPERM on a read-only file */
	struct zero zero[2];
	int err[14];
} spec[C_IOCTLS] = {
	[C_INFO] = { "INFO", ONI_IOC_INFO, sizeof(struct oni_info), 1, false,
		{ ZERO(struct oni_info, reserved) }, { COMMON } },
	[C_TABLE] = { "DEVICE_TABLE", ONI_IOC_DEVICE_TABLE,
		sizeof(struct oni_device_table), 1, false,
		{ ZERO(struct oni_device_table, flags), ZERO(struct oni_device_table, reserved) },
		{ COMMON, EMSGSIZE } },
	[C_CLAIM] = { "CLAIM", ONI_IOC_CLAIM, sizeof(struct oni_simple), 1, true,
		{ ZERO(struct oni_simple, flags) }, { COMMON, EPERM, EBUSY } },
	[C_RELEASE] = { "RELEASE", ONI_IOC_RELEASE, sizeof(struct oni_simple), 1, true,
		{ ZERO(struct oni_simple, flags) }, { COMMON, EPERM } },
	[C_RESET] = { "RESET", ONI_IOC_RESET, sizeof(struct oni_simple), 1, true,
		{ ZERO(struct oni_simple, flags) }, { COMMON, EPERM, EBUSY } },
	[C_REG_READ] = { "REG_READ", ONI_IOC_REG_READ, sizeof(struct oni_reg), 1, false,
		{ ZERO(struct oni_reg, flags), ZERO(struct oni_reg, reserved) },
		{ COMMON, ENOENT, EREMOTEIO } },
	[C_REG_WRITE] = { "REG_WRITE", ONI_IOC_REG_WRITE, sizeof(struct oni_reg), 1, true,
		{ ZERO(struct oni_reg, flags), ZERO(struct oni_reg, reserved) },
		{ COMMON, EPERM, ENOENT, EREMOTEIO } },
	[C_CTL_READ] = { "CTL_READ", ONI_IOC_CTL_READ, sizeof(struct oni_ctl), 1, false,
		{ ZERO(struct oni_ctl, flags) }, { COMMON, ENOENT } },
	[C_CTL_WRITE] = { "CTL_WRITE", ONI_IOC_CTL_WRITE, sizeof(struct oni_ctl), 1, true,
		{ ZERO(struct oni_ctl, flags) }, { COMMON, EPERM, ENOENT, EBUSY } },
	[C_PORT] = { "PORT_POWER", ONI_IOC_PORT_POWER, sizeof(struct oni_port_power), 1, true,
		{ ZERO(struct oni_port_power, flags), ZERO(struct oni_port_power, reserved) },
		{ COMMON, EPERM, EBUSY, ERANGE, ENOLINK, EMEDIUMTYPE, ENOENT, EOPNOTSUPP } },
	[C_START] = { "START", ONI_IOC_START, sizeof(struct oni_simple), 1, true,
		{ ZERO(struct oni_simple, flags) }, { COMMON, EPERM, EBUSY, ENODATA } },
	[C_STOP] = { "STOP", ONI_IOC_STOP, sizeof(struct oni_simple), 1, true,
		{ ZERO(struct oni_simple, flags) }, { COMMON, EPERM } },
	[C_CREATE] = { "STREAM_CREATE", ONI_IOC_STREAM_CREATE,
		sizeof(struct oni_stream_create), 1, true,
		{ ZERO(struct oni_stream_create, flags), ZERO(struct oni_stream_create, reserved) },
		{ COMMON, EPERM, EBUSY, ENOMEM } },
	[C_STATS] = { "STATS", ONI_IOC_STATS, sizeof(struct oni_stats), 1, false,
		{ ZERO(struct oni_stats, flags), ZERO(struct oni_stats, reserved) }, { COMMON } },
	[C_MONITOR] = { "MONITOR_CREATE", ONI_IOC_MONITOR_CREATE,
		sizeof(struct oni_monitor_create), 1, false,
		{ ZERO(struct oni_monitor_create, flags),
		  ZERO(struct oni_monitor_create, reserved) },
		{ COMMON, ENODATA, EBUSY, ENOMEM } },
	[C_BATCH] = { "REG_BATCH", ONI_IOC_REG_BATCH, sizeof(struct oni_reg_batch), 1, false,
		{ ZERO(struct oni_reg_batch, flags), ZERO(struct oni_reg_batch, reserved) },
		{ COMMON, EPERM, ENOENT, EREMOTEIO, ENOMEM } },
	[C_SINFO] = { "STREAM_INFO", ONI_IOC_STREAM_INFO, sizeof(struct oni_stream_info), 6, false,
		{ ZERO(struct oni_stream_info, flags), ZERO(struct oni_stream_info, reserved) },
		{ COMMON } },
	[C_SWAKE] = { "STREAM_WAKE", ONI_IOC_STREAM_WAKE, sizeof(struct oni_stream_wake), 6, false,
		{ ZERO(struct oni_stream_wake, flags) }, { COMMON } },
	[C_MSTAT] = { "MONITOR_STAT", ONI_IOC_MONITOR_STAT,
		sizeof(struct oni_monitor_stat), 4, false,
		{ ZERO(struct oni_monitor_stat, flags), ZERO(struct oni_monitor_stat, reserved) },
		{ COMMON } },
};

static const char * const other_name[CALLS - C_IOCTLS] = {
	"unknown ioctl", "open", "close", "dup", "read", "write", "poll", "mmap", "munmap",
	"mprotect", "mremap", "lseek", "fork",
};

static const char *call_name(enum call c)
{
	return c < C_IOCTLS ? spec[c].name : other_name[c - C_IOCTLS];
}

/* --- the files ------------------------------------------------------------------------ */

static struct slot {
	_Atomic int fd;
	_Atomic unsigned int gen;	/* changes with fd */
} slots[SLOTS];

static enum kind kind_of(size_t i)
{
	return i < CTLS ? CTL : i < CTLS + STREAMS ? STREAM : MONITOR;
}

static void slot_put(size_t i, int fd)
{
	int old;

	slots[i].gen++;
	old = atomic_exchange(&slots[i].fd, fd);
	slots[i].gen++;
	if (old >= 0)
		close(old);
}

/* A mapping that the writer of rubbish uses; replaced and unmapped under the lock. */
static struct {
	pthread_mutex_t lock;
	struct ot_stream s;
} victim = { .lock = PTHREAD_MUTEX_INITIALIZER, .s = { .fd = -1 } };

/* --- a worker ------------------------------------------------------------------------- */

static struct {
	uint64_t seed;
	uint32_t heavy, medium, unplugs, rebinds;
	unsigned long calls;
} opt = { .seed = 1, .heavy = 1000, .medium = 50, .unplugs = 2, .rebinds = 6, .calls = 1000000 };

static _Atomic unsigned long hist[CALLS][ERRNOS];
static _Atomic unsigned int bad;
static _Atomic bool quit;

struct worker {
	struct rng rng;
	unsigned long n, calls;
	bool strict;		/* nobody else is there */
	bool leaving;		/* the hardware may go away */
	bool signals;
	uint8_t *rw, *ro;	/* a page each, nothing mapped behind it */
	struct {
		void *p;
		size_t bytes;
		bool writable;
	} map[MAPS];
	pthread_t thread;
};

static void wrong(struct worker *w, enum call c, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	if (bad++ >= SHOWN)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ksft_print_msg("seed %llu, call %lu, %s: %s\n", (unsigned long long)opt.seed, w->n,
		       call_name(c), text);
}

static void count(enum call c, long ret)
{
	hist[c][ret < 0 && -ret < ERRNOS ? -ret : 0]++;
}

/* Errors that have nothing to do with the call. */
static bool excused(const struct worker *w, int err)
{
	if (err == EINTR)
		return w->signals;
	/* A link that is lost can first look like one that failed. */
	return w->leaving && (err == ENODEV || err == EIO || err == ETIMEDOUT);
}

static void judge(struct worker *w, enum call c, long ret, const int *allowed, size_t n)
{
	size_t i;

	count(c, ret);
	if (ret >= 0 || excused(w, -ret))
		return;
	for (i = 0; i < n && allowed[i]; i++)
		if (ret == -allowed[i])
			return;
	wrong(w, c, "%s is not an errno of this call", strerror(-ret));
}

#define JUDGE(w, c, ret, ...)	judge(w, c, ret, (const int[]){ __VA_ARGS__ }, \
				      sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int))

/* --- arguments --------------------------------------------------------------------------- */

/* Addresses that exist, and some that do not */
static uint32_t any_device(struct rng *r)
{
	static const uint32_t addr[] = {
		0x000, 0x001, 0x002, 0x006, 0x007, 0x00a, 0x00b, 0x0fe, 0x100, 0x101, 0x102, 0x103,
		0x104, 0x1fe, 0x2fe,
	};

	return one_in(r, 6) ? odd_number(r) : addr[below(r, sizeof(addr) / sizeof(addr[0]))];
}

/* Reading does no harm anywhere, writing only what the guard lets through: try all. */
static uint32_t any_register(struct rng *r)
{
	return one_in(r, 6) ? odd_number(r) : one_in(r, 8) ? 0x8000 + below(r, 8) : below(r, 20);
}

/*
 * What arguments point to. A spoiled pointer differs in one byte, and the kernel
 * writes where it is told to: nothing else of this program is near.
 */
#define FAR		0x1000000000ULL
#define FAR_BYTES	(1u << 24)

static struct oni_reg_op *ops_mem;
static uint8_t *rows_mem;

static void far_init(void)
{
	size_t ops = 8 * PAGE, rows = 2 * OT_MAX_ROWS * ARG_MAX;
	uint8_t *p = mmap((void *)(uintptr_t)FAR, FAR_BYTES, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		ksft_exit_fail_msg("memory: %s\n", strerror(errno));
	p += FAR_BYTES / 2;
	if (mprotect(p, ops, PROT_READ | PROT_WRITE) ||
	    mprotect(p + ops + PAGE, rows, PROT_READ | PROT_WRITE))
		ksft_exit_fail_msg("memory: %s\n", strerror(errno));
	ops_mem = (void *)p;
	rows_mem = p + ops + PAGE;
}

static void fill_ops(struct rng *r, uint32_t n, bool write)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		ops_mem[i] = (struct oni_reg_op){
			.dev_addr = OT_HEARTBEAT, .reg_addr = below(r, 3), .value = OT_POISON32,
		};
		if (one_in(r, 30)) {
			ops_mem[i].dev_addr = any_device(r);
			ops_mem[i].reg_addr = any_register(r);
		}
		if (write && one_in(r, 3)) {
			/* a memory monitor at another rate hurts nobody */
			ops_mem[i] = (struct oni_reg_op){
				.dev_addr = ot_board()->memory, .reg_addr = 1,
				.value = OT_CLK_HZ / 100,
				.flags = ONI_REG_OP_WRITE,
			};
		}
		if (one_in(r, 200))
			((uint32_t *)&ops_mem[i])[below(r, 6)] = odd_number(r);
	}
}

/* A right argument of @c, as far as one can know. */
static void fill(struct worker *w, enum call c, void *arg)
{
	struct rng *r = &w->rng;

	memset(arg, 0, ARG_MAX);
	*(uint32_t *)arg = spec[c].bytes;
	switch (c) {
	case C_TABLE: {
		struct oni_device_table *a = arg;

		a->rows = (uintptr_t)rows_mem;
		a->count = one_in(r, 4) ? below(r, 20) : OT_MAX_ROWS;
		a->row_size = sizeof(struct oni_device);
		if (one_in(r, 8))
			a->rows = odd_number(r);
		break;
	}
	case C_REG_READ:
	case C_REG_WRITE: {
		struct oni_reg *a = arg;

		a->dev_addr = any_device(r);
		a->reg_addr = any_register(r);
		a->value = odd_number(r);
		if (c == C_REG_WRITE && a->dev_addr == ot_board()->feed)
			a->dev_addr = ot_board()->memory;	/* the final check needs it as it is */
		break;
	}
	case C_CTL_READ:
	case C_CTL_WRITE: {
		struct oni_ctl *a = arg;

		a->reg = below(r, 14);
		/* pass-through would take the headstage away */
		a->value = c == C_CTL_WRITE && a->reg == ONI_CTL_CUSTOM ? 0 : below(r, 4);
		break;
	}
	case C_PORT: {
		static const uint32_t port[] = {
			OT_PORT_A, OT_PORT_A, OT_PORT_B, OT_HEARTBEAT, 0x100,
		};
		struct oni_port_power *a = arg;

		a->port = port[below(r, 5)];
		a->headstage = one_in(r, 4) ? below(r, 12) : ONI_HUB_HS64;
		a->decivolts = one_in(r, 3) ? 0 : 50 + below(r, 35);
		a->timeout_ms = a->port == OT_PORT_A ? 0 : 1 + below(r, 50);
		break;
	}
	case C_CREATE: {
		struct oni_stream_create *a = arg;

		a->ring_bytes = 65536u << below(r, 5);
		a->block_bytes = one_in(r, 4) ? 1024 + 4 * below(r, 4096) : 4096;
		a->watermark_bytes = one_in(r, 2) ? 0 : below(r, 40000);
		a->latency_us = one_in(r, 2) ? 0 : below(r, 20000);
		break;
	}
	case C_MONITOR: {
		struct oni_monitor_create *a = arg;

		a->watermark_bytes = one_in(r, 2) ? 0 : below(r, 40000);
		a->latency_us = one_in(r, 2) ? 0 : below(r, 20000);
		break;
	}
	case C_BATCH: {
		struct oni_reg_batch *a = arg;

		a->count = one_in(r, 20) ? ONI_REG_BATCH_MAX : 1 + below(r, 12);
		a->ops = (uintptr_t)ops_mem;
		a->op_size = sizeof(struct oni_reg_op);
		fill_ops(r, a->count, one_in(r, 2));
		break;
	}
	case C_SWAKE: {
		struct oni_stream_wake *a = arg;

		a->watermark_bytes = one_in(r, 3) ? 0 : below(r, 60000);
		a->latency_us = one_in(r, 2) ? 0 : below(r, 5000);
		break;
	}
	default:
		break;
	}
}

/* --- one ioctl ------------------------------------------------------------------------------- */

/* Did the kernel leave the argument alone? Results are documented for some errors. */
static bool may_write(enum call c, long ret)
{
	return ret >= 0 || ret == -EMSGSIZE || ret == -ERANGE || ret == -ENOLINK ||
	       ret == -EMEDIUMTYPE || c == C_BATCH;
}

static size_t pick_slot(struct worker *w, uint8_t kinds)
{
	size_t i;

	do
		i = below(&w->rng, SLOTS);
	while (!(kinds & 1 << kind_of(i)));
	return i;
}

/* A call that is wrong in one thing. 0 for one that nothing can be said about. */
static int spoil(struct worker *w, enum call c, uint8_t *arg, void **at)
{
	const struct spec *s = &spec[c];
	const struct zero *z = &s->zero[s->zero[1].bytes && one_in(&w->rng, 2)];
	struct rng *r = &w->rng;
	uint32_t size = s->bytes;

	switch (below(r, 12)) {
	case 0:
		*(uint32_t *)arg = below(r, size);
		return EINVAL;
	case 1:
		*(uint32_t *)arg = PAGE + 1 + below(r, 100);
		return E2BIG;
	case 2:
		*(uint32_t *)arg = 0xffffffff - below(r, 4);
		return E2BIG;
	case 3:	/* a longer structure with something in what the kernel does not know */
		*(uint32_t *)arg = size + 8 * (1 + below(r, 20));
		arg[size + below(r, *(uint32_t *)arg - size)] = 1 + below(r, 255);
		return E2BIG;
	case 4:
	case 5:
	case 6:
		if (!z->bytes)
			return 0;
		arg[z->at + below(r, z->bytes)] = 1 << below(r, 8);
		return EINVAL;
	case 7:	/* the end of it is not mapped */
		*at = w->rw + PAGE - 4 * (1 + below(r, size / 4 - 1));
		memcpy(*at, arg, w->rw + PAGE - (uint8_t *)*at);
		return EFAULT;
	case 8:
		*at = (void *)(uintptr_t)below(r, 4096);
		if (one_in(r, 2))
			*at = (void *)(uintptr_t)(KERNEL_ADDRESS + below(r, 1 << 20));
		return EFAULT;
	case 9:	/* can be read; nobody writes there */
		if (s->write || c == C_MONITOR)
			return 0;
		mprotect(w->ro, PAGE, PROT_READ | PROT_WRITE);
		memcpy(w->ro, arg, ARG_MAX);
		mprotect(w->ro, PAGE, PROT_READ);
		*at = w->ro;
		return 0;
	case 10: /* longer, with zeros: must be taken */
		return 0;
	default:
		arg[4 + below(r, size - 4)] = r64(r);
		return 0;
	}
}

static void give(struct worker *w, enum call c, int fd)
{
	int flags = fcntl(fd, F_GETFD);

	if (fd < 0 || !(flags & FD_CLOEXEC)) {
		wrong(w, c, "descriptor %d has flags %d", fd, flags);
		return;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	slot_put(c == C_CREATE ? CTLS + below(&w->rng, STREAMS) :
				 CTLS + STREAMS + below(&w->rng, MONITORS), fd);
}

/* What @c must say in the state that @info tells, all else being right; 1: cannot tell. */
static int predicted(enum call c, const struct oni_info *in, bool ro)
{
	bool owner = in->flags & ONI_INFO_OWNER, running = in->state == ONI_STATE_RUNNING;

	if (ro && c < C_IOCTLS && spec[c].write)
		return -EPERM;
	switch (c) {
	case C_CLAIM:
		return in->flags & ONI_INFO_OWNED && !owner ? -EBUSY : 0;
	case C_RELEASE:
	case C_STOP:
		return owner ? 0 : -EPERM;
	case C_RESET:
		return !owner ? -EPERM : running ? -EBUSY : 0;
	case C_START:
		return !owner ? -EPERM : running ? -EBUSY :
		       in->flags & ONI_INFO_STREAM ? 0 : -ENODATA;
	default:
		return 1;
	}
}

static void do_ioctl(struct worker *w, enum call c, bool spoiled)
{
	const struct spec *s = &spec[c];
	size_t slot = pick_slot(w, s->kinds);
	unsigned int gen = slots[slot].gen;
	int fd = slots[slot].fd, want = 0, guess = 1;
	uint8_t before[2 * ARG_MAX] = { 0 };
	struct oni_info info;
	void *at = w->rw;
	bool refused;
	long ret;

	if (fd < 0)
		return;
	memset(w->rw, 0, 2 * ARG_MAX);
	fill(w, c, w->rw);
	if (spoiled)
		want = spoil(w, c, w->rw, &at);
	else if (w->strict && kind_of(slot) == CTL && !ot_info(fd, &info))
		guess = predicted(c, &info, slot == CTLS - 1);
	if (at == w->rw)
		memcpy(before, w->rw, sizeof(before));
	ret = ot_ioctl(fd, s->cmd, at);
	if (gen != slots[slot].gen || gen & 1) {
		count(c, ret);
		/* whatever the file was: a descriptor that was made must not be lost */
		if (ret == 0 && (c == C_CREATE || c == C_MONITOR))
			give(w, c, c == C_CREATE ? ((struct oni_stream_create *)w->rw)->fd :
						   ((struct oni_monitor_create *)w->rw)->fd);
		return;
	}
	judge(w, c, ret, s->err, sizeof(s->err) / sizeof(s->err[0]));
	/* access is checked after the size and before the contents */
	refused = ret == -EPERM && s->write && slot == CTLS - 1 && want == EINVAL;
	if (want && ret != -want && !refused && !(ret < 0 && excused(w, -ret)))
		wrong(w, c, "%s, expected %s", ret < 0 ? strerror(-ret) : "no error",
		      strerror(want));
	if (guess <= 0 && ret != guess)
		wrong(w, c, "%s in a state (flags %x, state %u) that asks for %s",
		      ret < 0 ? strerror(-ret) : "no error", info.flags, info.state,
		      guess ? strerror(-guess) : "success");
	if (at == w->rw && !may_write(c, ret) && memcmp(before, w->rw, sizeof(before)))
		wrong(w, c, "refused with %s, but the argument was written", strerror(-ret));
	if (ret == 0 && at == w->rw && (c == C_CREATE || c == C_MONITOR))
		give(w, c, c == C_CREATE ? ((struct oni_stream_create *)w->rw)->fd :
					   ((struct oni_monitor_create *)w->rw)->fd);
}

static void do_unknown(struct worker *w)
{
	size_t slot = pick_slot(w, 7), i;
	unsigned int gen = slots[slot].gen;
	struct rng *r = &w->rng;
	unsigned long cmd;
	long ret;

	if (slots[slot].fd < 0)
		return;
	cmd = one_in(r, 3) ? _IOC(below(r, 4), ONI_IOC_MAGIC, below(r, 256), below(r, 512)) :
	      one_in(r, 2) ? _IO(ONI_IOC_MAGIC, below(r, 256)) : 0x100000000ULL | r64(r) >> 32;
	for (i = 0; i < C_IOCTLS; i++)
		if ((uint32_t)cmd == spec[i].cmd && spec[i].kinds & 1 << kind_of(slot))
			return;
	/* that of the interlock, which has a fuzzer of its own (oni_stim_fuzz.c) */
	if ((uint32_t)cmd == ONI_IOC_STIM_EVENTS && spec[0].kinds & 1 << kind_of(slot))
		return;
	/* the kernel's own, of every file: FIONBIO and the like */
	if ((cmd >> 8 & 0xff) == 'T' || (cmd >> 8 & 0xff) == 'f' || !(cmd >> 8 & 0xff))
		return;
	ret = ot_ioctl(slots[slot].fd, cmd, w->rw);
	if (gen == slots[slot].gen && !(gen & 1))
		JUDGE(w, C_UNKNOWN, ret, ENOTTY);
	if (ret >= 0 && gen == slots[slot].gen)
		wrong(w, C_UNKNOWN, "%#lx is taken", cmd);
}

/* --- other calls ------------------------------------------------------------------------------ */

static void do_open(struct worker *w)
{
	size_t i = below(&w->rng, CTLS);
	int fd = ot_open((i == CTLS - 1 ? O_RDONLY : O_RDWR) | O_NONBLOCK);

	JUDGE(w, C_OPEN, fd, w->leaving ? ENOENT : 0, w->leaving ? ENXIO : 0);
	if (fd >= 0)
		slot_put(i, fd);
}

static void do_close(struct worker *w, uint8_t kinds)
{
	slot_put(pick_slot(w, kinds), -1);
	count(C_CLOSE, 0);
}

static void do_dup(struct worker *w)
{
	int fd = slots[pick_slot(w, 7)].fd, copy;

	if (fd < 0)
		return;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	count(C_DUP, copy < 0 ? -errno : 0);
	/* not close(): ownership ends with any copy that its process closes */
	if (copy >= 0)
		close(copy);
}

static void do_read(struct worker *w)
{
	size_t slot = pick_slot(w, 6);
	unsigned int gen = slots[slot].gen;
	struct rng *r = &w->rng;
	size_t len = one_in(r, 3) ? below(r, 20) : below(r, PAGE);
	void *to = w->rw;
	long ret;

	if (slots[slot].fd < 0)
		return;
	if (one_in(r, 6))
		to = one_in(r, 2) ? w->ro : w->rw + PAGE - below(r, 100);
	ret = read(slots[slot].fd, to, len);
	ret = ret < 0 ? -errno : ret;
	if (gen != slots[slot].gen || gen & 1) {
		count(C_READ, ret);
		return;
	}
	JUDGE(w, C_READ, ret, EAGAIN, EFAULT, EPROTO,
	      kind_of(slot) == MONITOR ? EOVERFLOW : EAGAIN);
	if (ret > (long)len)
		wrong(w, C_READ, "%ld of %zu bytes", ret, len);
}

/* On streams as well, where it is refused. */
static void do_write(struct worker *w, bool right)
{
	size_t slot = pick_slot(w, right ? 1 : 7);
	unsigned int gen = slots[slot].gen;
	struct rng *r = &w->rng;
	uint32_t *p = (uint32_t *)w->rw, words = 0, i, n;
	struct iovec iov[2];
	long ret;

	if (slots[slot].fd < 0)
		return;
	for (n = 1 + below(r, 5), i = 0; i < n; i++) {
		p[words++] = right || one_in(r, 2) ? ot_board()->writer : any_device(r);
		p[words] = right || one_in(r, 2) ? 1 + below(r, 3) : odd_number(r);
		words += 1 + (p[words] < 8 ? p[words] : 1);
	}
	iov[0] = (struct iovec){ w->rw, below(r, words * 4) };
	iov[1] = (struct iovec){ w->rw + iov[0].iov_len,
				 words * 4 - iov[0].iov_len + (right ? 0 : below(r, 3)) };
	if (!right && one_in(r, 8))
		iov[1].iov_base = w->rw + PAGE - 2;
	if (!right && one_in(r, 8))
		iov[1] = (struct iovec){ w->rw, 70000 };
	ret = one_in(r, 2) ? writev(slots[slot].fd, iov, 2) :
			     write(slots[slot].fd, w->rw, words * 4 + (right ? 0 : below(r, 5)));
	ret = ret < 0 ? -errno : ret;
	if (gen != slots[slot].gen || gen & 1) {
		count(C_WRITE, ret);
		return;
	}
	if (kind_of(slot) != CTL)
		JUDGE(w, C_WRITE, ret, EINVAL);
	else if (slot == CTLS - 1)
		JUDGE(w, C_WRITE, ret, EBADF);
	else
		JUDGE(w, C_WRITE, ret, EINVAL, EFAULT, ENOENT, EPERM, EAGAIN);
	if (ret > 0 && kind_of(slot) != CTL)
		wrong(w, C_WRITE, "a stream took %ld bytes", ret);
}

static void do_poll(struct worker *w)
{
	struct pollfd p[3];
	size_t i;

	for (i = 0; i < 3; i++)
		p[i] = (struct pollfd){
			.fd = slots[pick_slot(w, 7)].fd, .events = r64(&w->rng) & 0xff,
		};
	JUDGE(w, C_POLL, poll(p, 1 + below(&w->rng, 3), 0) < 0 ? -errno : 0, 0);
}

static void do_seek(struct worker *w)
{
	size_t slot = pick_slot(w, 7);
	unsigned int gen = slots[slot].gen;
	long ret;

	if (slots[slot].fd < 0)
		return;
	ret = one_in(&w->rng, 2) ? lseek(slots[slot].fd, below(&w->rng, 100), below(&w->rng, 3)) :
				   pread(slots[slot].fd, w->rw, 8, below(&w->rng, 100));
	ret = ret < 0 ? -errno : ret;
	if (gen != slots[slot].gen || gen & 1)
		return;
	JUDGE(w, C_SEEK, ret, ESPIPE);
	if (ret >= 0)
		wrong(w, C_SEEK, "a stream of bytes can be positioned");
}

static void do_munmap(struct worker *w, size_t i)
{
	if (!w->map[i].p)
		return;
	/* a part of it, or all */
	if (w->map[i].bytes > PAGE && one_in(&w->rng, 4)) {
		munmap(w->map[i].p, PAGE);
		w->map[i].p = (uint8_t *)w->map[i].p + PAGE;
		w->map[i].bytes -= PAGE;
	} else {
		munmap(w->map[i].p, w->map[i].bytes);
		w->map[i].p = NULL;
	}
	count(C_MUNMAP, 0);
}

static void do_mmap(struct worker *w, bool right)
{
	static const uint64_t offset[] = { 0, 0x100000000ULL, 0x200000000ULL, 0x400000000ULL };
	size_t slot = pick_slot(w, one_in(&w->rng, 20) ? 1 : 6), i = below(&w->rng, MAPS), area;
	unsigned int gen = slots[slot].gen;
	struct oni_stream_info in;
	struct rng *r = &w->rng;
	int prot, flags = MAP_SHARED;
	uint64_t at, bytes;
	void *p;

	if (slots[slot].fd < 0)
		return;
	do_munmap(w, i);
	if (w->map[i].p)
		return;
	if (kind_of(slot) == CTL || ot_stream_info(slots[slot].fd, &in))
		memset(&in, 0, sizeof(in));
	area = below(r, 4);
	at = offset[area];
	bytes = area == 2 ? in.data_bytes << below(r, 2) : area == 3 ? in.desc_bytes : PAGE;
	prot = area == 1 ? PROT_READ | PROT_WRITE : PROT_READ;
	if (!right) {
		switch (below(r, 5)) {
		case 0:
			at += PAGE * below(r, 4);
			break;
		case 1:
			bytes = PAGE * (1 + below(r, 40));
			break;
		case 2:
			prot = below(r, 8);
			break;
		case 3:
			flags = MAP_PRIVATE;
			break;
		default:
			at = (r64(r) >> 20) & ~(uint64_t)(PAGE - 1);
		}
	}
	if (!bytes)
		return;
	p = mmap(NULL, bytes, prot, flags, slots[slot].fd, at);
	if (gen == slots[slot].gen && !(gen & 1))
		JUDGE(w, C_MMAP, p == MAP_FAILED ? -errno : 0, EINVAL, EPERM, ENOMEM, EACCES,
		      EOVERFLOW, kind_of(slot) == CTL ? ENODEV : EINVAL);
	else
		count(C_MMAP, p == MAP_FAILED ? -errno : 0);
	if (p == MAP_FAILED)
		return;
	if (at != offset[1] && prot & PROT_WRITE && gen == slots[slot].gen)
		wrong(w, C_MMAP, "area at %llx is mapped writable", (unsigned long long)at);
	w->map[i].p = p;
	w->map[i].bytes = bytes;
	w->map[i].writable = at == offset[1];
	/* touch it: the pages must be there */
	if (prot & PROT_READ)
		(void)*(volatile uint8_t *)p;
}

static void do_mprotect(struct worker *w)
{
	size_t i = below(&w->rng, MAPS);
	int ret;

	if (!w->map[i].p)
		return;
	if (one_in(&w->rng, 3)) {
		void *p = mremap(w->map[i].p, w->map[i].bytes, w->map[i].bytes + PAGE,
				 MREMAP_MAYMOVE);

		JUDGE(w, C_MREMAP, p == MAP_FAILED ? -errno : 0, EFAULT, EINVAL, ENOMEM);
		if (p != MAP_FAILED) {
			wrong(w, C_MREMAP, "an area of the ring grew");
			w->map[i].p = p;
		}
		return;
	}
	ret = mprotect(w->map[i].p, w->map[i].bytes, PROT_READ | PROT_WRITE) ? -errno : 0;
	JUDGE(w, C_MPROTECT, ret, EACCES);
	if (!ret && !w->map[i].writable)
		wrong(w, C_MPROTECT, "a read-only area became writable");
}

static void do_fork(struct worker *w)
{
	pid_t pid = fork();
	size_t i;

	count(C_FORK, pid < 0 ? -errno : 0);
	if (pid == 0) {
		for (i = 0; i < MAPS; i++)
			if (w->map[i].p)
				(void)*(volatile uint8_t *)w->map[i].p;
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* --- choosing ----------------------------------------------------------------- */

/* Give the writer of rubbish the stream that is there now. */
static void feed_victim(struct worker *w)
{
	int fd = slots[pick_slot(w, 6)].fd, copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct ot_stream s;

	pthread_mutex_lock(&victim.lock);
	ot_stream_unmap(&victim.s);
	if (copy >= 0 && !ot_stream_map(copy, &s))
		victim.s = s;
	pthread_mutex_unlock(&victim.lock);
	if (copy >= 0)
		close(copy);
}

/* Calls that change the state of the hardware: towards an acquisition, then all over the place. */
static void heavy(struct worker *w)
{
	static const enum call any[] = {
		C_CLAIM, C_RELEASE, C_RESET, C_PORT, C_START, C_START, C_STOP, C_CREATE, C_CREATE,
		C_CTL_WRITE,
	};
	struct oni_info info = { 0 };
	size_t i;

	for (i = 0; i < CTLS; i++)
		if (slots[i].fd >= 0 && !ot_info(slots[i].fd, &info))
			break;
	if (one_in(&w->rng, 3)) {
		do_ioctl(w, any[below(&w->rng, sizeof(any) / sizeof(any[0]))], one_in(&w->rng, 10));
		return;
	}
	if (!(info.flags & ONI_INFO_OWNED))
		do_ioctl(w, C_CLAIM, false);
	else if (!(info.flags & ONI_INFO_STREAM))
		do_ioctl(w, C_CREATE, false);
	else if (info.state != ONI_STATE_RUNNING)
		do_ioctl(w, one_in(&w->rng, 4) ? C_RESET : C_START, false);
	else if (one_in(&w->rng, 3))
		do_close(w, 1 << STREAM);
	else if (one_in(&w->rng, 3))
		do_close(w, 1 << CTL);
	else
		do_ioctl(w, C_STOP, false);
	feed_victim(w);
}

static void medium(struct worker *w)
{
	static const enum call access[] = { C_REG_READ, C_REG_WRITE, C_CTL_READ, C_BATCH };

	switch (below(&w->rng, 12)) {
	case 0 ... 3:
		do_ioctl(w, access[below(&w->rng, 4)], false);
		break;
	case 4:
		do_write(w, true);
		break;
	case 5:
	case 6:
		do_mmap(w, true);
		break;
	case 7:
	case 8:
		do_ioctl(w, C_MONITOR, false);
		break;
	case 9:
		do_close(w, 1 << MONITOR);
		break;
	case 10:
		do_open(w);
		break;
	default:
		if (one_in(&w->rng, 20))
			do_fork(w);
		else
			do_munmap(w, below(&w->rng, MAPS));
	}
}

static void light(struct worker *w)
{
	static const enum call cheap[] = { C_INFO, C_TABLE, C_STATS, C_SINFO, C_SWAKE, C_MSTAT };

	switch (below(&w->rng, 16)) {
	case 0 ... 3:
		do_ioctl(w, cheap[below(&w->rng, 6)], false);
		break;
	case 4 ... 8:
		do_ioctl(w, below(&w->rng, C_IOCTLS), true);
		break;
	case 9:
		do_unknown(w);
		break;
	case 10 ... 11:
		do_read(w);
		break;
	case 12:
		do_poll(w);
		break;
	case 13:
		do_write(w, false);
		break;
	case 14:
		if (one_in(&w->rng, 2))
			do_mmap(w, false);
		else
			do_mprotect(w);
		break;
	default:
		if (one_in(&w->rng, 3))
			do_dup(w);
		else
			do_seek(w);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (w->n = 1; w->n <= w->calls; w->n++) {
		if (one_in(&w->rng, opt.heavy))
			heavy(w);
		else if (one_in(&w->rng, opt.medium))
			medium(w);
		else
			light(w);
	}
	return NULL;
}

/* --- those who disturb ----------------------------------------------------------- */

static void *rubbish(void *arg)
{
	struct rng r = { *(uint64_t *)arg };
	uint64_t head;

	while (!quit) {
		pthread_mutex_lock(&victim.lock);
		if (victim.s.prod) {
			head = ot_head(&victim.s);
			/* mostly right, or no acquisition would live long enough to matter */
			if (!one_in(&r, 40))
				ot_set_tail(&victim.s, head);
			else
				ot_set_tail(&victim.s, one_in(&r, 2) ? r64(&r) :
						       head + 1 + below(&r, 100));
		}
		pthread_mutex_unlock(&victim.lock);
		ot_sleep_ms(1 + below(&r, 10));
	}
	return NULL;
}

static void nothing(int sig)
{
	(void)sig;
}

static struct worker workers[2];

static void *interrupt(void *arg)
{
	struct rng r = { *(uint64_t *)arg };

	while (!quit) {
		ot_sleep_ms(1 + below(&r, 30));
		pthread_kill(workers[below(&r, 2)].thread, SIGUSR1);
	}
	return NULL;
}

/* --- parts -------------------------------------------------------------------- */

static void worker_init(struct worker *w, uint64_t seed, unsigned long calls)
{
	memset(w, 0, sizeof(*w));
	w->rng.s = seed * 0x9e3779b97f4a7c15ULL + 1;
	w->calls = calls;
	w->rw = ot_guarded(PAGE);
	w->ro = ot_guarded(PAGE);
}

static void close_all(void)
{
	size_t i;

	for (i = 0; i < SLOTS; i++)
		slot_put(i, -1);
	pthread_mutex_lock(&victim.lock);
	ot_stream_unmap(&victim.s);
	pthread_mutex_unlock(&victim.lock);
}

static void worker_end(struct worker *w)
{
	size_t i;

	for (i = 0; i < MAPS; i++)
		if (w->map[i].p)
			munmap(w->map[i].p, w->map[i].bytes);
}

static void strict(unsigned long calls)
{
	worker_init(&workers[0], opt.seed, calls);
	workers[0].strict = true;
	work(&workers[0]);
	worker_end(&workers[0]);
	close_all();
}

/* Without a word; and another one comes. */
static int pull(const struct ot_slot *slot)
{
	int ret = ot_surprise(slot);

	if (ret || ot_board()->transport == ONI_TRANSPORT_FT600)
		return ret ? ret : ot_surprise_replug(slot);
	ret = ot_hot_remove(slot);
	return ret ? ret : ot_hot_add(slot);
}

/* Take the hardware away and bring it back, a few times while the workers go on. */
static void disturb(const struct ot_slot *slot)
{
	uint32_t i;

	for (i = 0; i < opt.rebinds + opt.unplugs && !quit; i++) {
		ot_sleep_ms(700);
		if (i < opt.rebinds) {
			ot_unbind(slot);
			ot_sleep_ms(100);
			ot_bind(slot);
		} else if (pull(slot)) {
			ksft_print_msg("the card could not be pulled\n");
			bad++;
		}
		close(cycle_open(CYCLE_MS));
	}
}

static void concurrent(unsigned long calls, const struct ot_slot *slot)
{
	uint64_t seeds[2] = { opt.seed + 100, opt.seed + 101 };
	pthread_t helper[2];
	size_t i;

	quit = false;
	for (i = 0; i < 2; i++) {
		worker_init(&workers[i], opt.seed + 10 + i, calls / 2);
		workers[i].signals = true;
		workers[i].leaving = slot;
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	pthread_create(&helper[0], NULL, rubbish, &seeds[0]);
	pthread_create(&helper[1], NULL, interrupt, &seeds[1]);
	if (slot)
		disturb(slot);
	/* the interrupter must not outlive those whom it interrupts */
	while (workers[0].n <= workers[0].calls || workers[1].n <= workers[1].calls)
		ot_sleep_ms(20);
	quit = true;
	for (i = 0; i < 2; i++)
		pthread_join(helper[i], NULL);
	for (i = 0; i < 2; i++) {
		pthread_join(workers[i].thread, NULL);
		worker_end(&workers[i]);
	}
	close_all();
}

static void print_histogram(void)
{
	unsigned long sum = 0;
	size_t c, e;

	for (c = 0; c < CALLS; c++) {
		char line[400] = "";
		unsigned long n = 0;
		int len = 0;

		for (e = 0; e < ERRNOS; e++) {
			if (!hist[c][e])
				continue;
			n += hist[c][e];
			len += snprintf(line + len, sizeof(line) - len, " %s %lu",
					e ? strerrorname_np(e) : "ok", (unsigned long)hist[c][e]);
		}
		sum += n;
		ksft_print_msg("%-15s %7lu:%s\n", call_name(c), n, line);
	}
	ksft_print_msg("%lu calls\n", sum);
}

static void afterwards(const char *part)
{
	static struct cycle cycle;
	struct oni_info info = { 0 };
	int ret, fd;

	/* a card that was pulled has forgotten it */
	cycle.step = "feed";
	ret = cycle_prepare();
	ret = ret ? ret : cycle_run(&cycle);
	if (ret)
		ksft_print_msg("at '%s': %s\n", cycle.step, strerror(-ret));
	ksft_test_result(!ret, "%s: a recording works afterwards\n", part);
	fd = cycle_open(CYCLE_MS);
	ret = ot_info(fd, &info);
	close(fd);
	ksft_test_result(!ret && info.flags & ONI_INFO_STIM_SAFE && info.state == ONI_STATE_IDLE,
			 "%s: idle, and every stimulator is safe\n", part);
}

static void part(const char *name, unsigned long calls, const struct ot_slot *slot, bool alone)
{
	uint64_t begin = ot_now_ns();
	unsigned int before = bad;

	if (alone)
		strict(calls);
	else
		concurrent(calls, slot);
	ksft_print_msg("%s: %lu calls in %u ms\n", name, calls,
		       (unsigned int)((ot_now_ns() - begin) / 1000000));
	ksft_test_result(bad == before, "%s: %lu calls, every result is one of the contract\n",
			 name, calls);
	afterwards(name);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct ot_slot slot;
	size_t i;
	int c, ret;

	while ((c = getopt(argc, argv, "s:n:w:m:u:b:")) != -1) {
		unsigned long v = optarg ? strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 's':
			opt.seed = v;
			break;
		case 'n':
			opt.calls = v;
			break;
		case 'w':
			opt.heavy = v;
			break;
		case 'm':
			opt.medium = v;
			break;
		case 'u':
			opt.unplugs = v;
			break;
		case 'b':
			opt.rebinds = v;
			break;
		default:
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	ksft_set_plan(9);
	sigaction(SIGUSR1, &sa, NULL);
	far_init();
	ret = cycle_prepare();
	if (ret)
		ksft_exit_fail_msg("feed: %s\n", strerror(-ret));
	for (i = 0; i < SLOTS; i++)
		slots[i].fd = -1;
	c = cycle_open(CYCLE_MS);
	if (ot_slot_find(&slot, c))
		ksft_exit_fail_msg("no controller\n");
	close(c);
	ksft_print_msg("seed %llu, %lu calls, heavy 1/%u, medium 1/%u, %u rebinds, %u unplugs\n",
		       (unsigned long long)opt.seed, opt.calls, opt.heavy, opt.medium, opt.rebinds,
		       opt.unplugs);
	part("strict", opt.calls / 4, NULL, true);
	part("concurrent", opt.calls / 2, NULL, false);
	part("unplug", opt.calls / 4, &slot, false);
	print_histogram();
	if (bad > SHOWN)
		ksft_print_msg("%u wrong results, %u shown\n", bad, SHOWN);
	ksft_finished();
}
