// SPDX-License-Identifier: MIT
/*
 * Every allocation and every copy from or to user space fails once.
 *
 *   oni_failnth [-n] [-a] [-v] [CHAIN...]
 *
 * A chain is a few calls that belong together. It is run with the first of
 * its allocations or copies failing, then the second, and so on until a run
 * ends without any failure. Each time:
 *  - a call that fails says so with an errno of its chain (ENOMEM for memory,
 *    EFAULT for a copy);
 *  - a failure that no call reports must have been made good: what was asked
 *    for is there;
 *  - the controller is good for a whole recording afterwards, with every known
 *    stimulator confirmed safe.
 * Leaks are found by whoever runs this, with kmemleak.
 *
 * -n: no failures, each chain once (any kernel). -a: every failure; without it
 * long chains leave out some of them beyond the 24th. -v: every run.
 *
 * Of a board each command is a transfer that needs memory, so the chains that
 * make it safe have hundreds of failures that are alike, and a recording takes
 * seconds on a debug kernel: beyond the 24th one in 17 is made, and every fourth
 * is looked at like that.
 *
 * Contract under test: include/uapi/linux/oni.h, common errors. Needs root, a
 * kernel with fault injection, a board, a card with a headstage-64 on port A. One
 * process, one thread; /proc/self/task/N/fail-nth is that thread's.
 */
#include "kselftest.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "oni_cycle.h"
#include "oni_layout.h"
#include "oni_leave.h"
#include "oni_nth.h"

#define HEADSTAGE_DV	60

/* What a chain works on; teardown() ends whatever is in it. */
static struct state {
	int ctl;
	int epoll;
	struct ot_stream s;
	struct oni_info info;
	struct oni_stats stats;
	struct oni_device rows[OT_MAX_ROWS];
	struct oni_port_power port;
	uint8_t buf[16384];
	struct {
		void *start;
		size_t bytes;
	} part[4];
	int monitor;
} t;

static struct ot_slot slot;

/* --- preparations of chains --------------------------------------------------- */

static int prep_none(void)
{
	return 0;
}

static int prep_open(void)
{
	t.ctl = cycle_open(CYCLE_MS);
	return t.ctl < 0 ? t.ctl : 0;
}

static int prep_claim(void)
{
	int ret = prep_open();

	return ret ? ret : ot_simple(t.ctl, ONI_IOC_CLAIM);
}

static int prep_stream(void)
{
	int ret = prep_claim();

	if (ret)
		return ret;
	t.s.fd = ot_stream_create(t.ctl, CYCLE_RING, CYCLE_BLOCK, 0, 1000);
	return t.s.fd < 0 ? t.s.fd : 0;
}

static int prep_mapped(void)
{
	int ret = prep_stream();

	return ret ? ret : ot_stream_map(t.s.fd, &t.s);
}

/* Nothing of an earlier acquisition is in the card. */
static int prep_clean(void)
{
	int ret = prep_mapped();

	return ret ? ret : ot_simple(t.ctl, ONI_IOC_RESET);
}

static int prep_running(void)
{
	int ret = prep_mapped();

	ret = ret ? ret : ot_simple(t.ctl, ONI_IOC_START);
	if (ret)
		return ret;
	return ot_wait_head(&t.s, CYCLE_BLOCK, CYCLE_MS) < CYCLE_BLOCK ? -ETIME : 0;
}

static int prep_dirty(void)
{
	int ret = prep_running();

	return ret ? ret : ot_simple(t.ctl, ONI_IOC_STOP);
}

static int prep_epoll(void)
{
	int ret = prep_stream();

	if (ret)
		return ret;
	t.epoll = epoll_create1(EPOLL_CLOEXEC);
	return t.epoll < 0 ? -errno : 0;
}

static int prep_off(void)
{
	int ret = prep_claim();

	return ret ? ret : ot_port(t.ctl, &t.port, OT_PORT_A, 0, 0);
}

static bool bound(void)
{
	char path[PATH_MAX + 40];

	snprintf(path, sizeof(path), "%s/%s", slot.driver, slot.bus);
	return access(path, F_OK) == 0;
}

static int prep_unbound(void)
{
	return bound() ? ot_unbind(&slot) : 0;
}

/* --- chains: 0 or the -errno of the call that failed --------------------------- */

static int run_open(void)
{
	t.ctl = ot_open(O_RDWR);
	return t.ctl < 0 ? t.ctl : 0;
}

static int run_info(void)
{
	int ret = ot_info(t.ctl, &t.info);

	return !ret && t.info.abi_version != ONI_ABI_VERSION ? -EBADMSG : ret;
}

static int run_table(void)
{
	int ret = ot_table(t.ctl, t.rows, OT_MAX_ROWS);

	if (ret >= 0 && (ret < 5 || t.rows[1].addr != ot_board()->rows[1].addr))
		return -EBADMSG;
	return ret < 0 ? ret : 0;
}

static int run_stats(void)
{
	int ret = ot_stats(t.ctl, &t.stats);

	return !ret && !t.stats.resets ? -EBADMSG : ret;
}

static int run_claim(void)
{
	return ot_simple(t.ctl, ONI_IOC_CLAIM);
}

static int run_release(void)
{
	return ot_simple(t.ctl, ONI_IOC_RELEASE);
}

static int run_reset(void)
{
	return ot_simple(t.ctl, ONI_IOC_RESET);
}

static int run_create(void)
{
	t.s.fd = ot_stream_create(t.ctl, CYCLE_RING, CYCLE_BLOCK, 0, 1000);
	return t.s.fd < 0 ? t.s.fd : 0;
}

/* All areas of a stream or monitor; what is mapped is in t.part. */
static int map_areas(int fd)
{
	struct oni_stream_info *in = &t.s.info;
	struct area {
		uint64_t offset, bytes;
		int prot;
	} area[4];
	size_t i;
	int ret = ot_stream_info(fd, in);

	if (ret)
		return ret;
	area[0] = (struct area){ in->producer_offset, in->producer_bytes, PROT_READ };
	area[1] = (struct area){ in->consumer_offset, in->consumer_bytes, PROT_READ | PROT_WRITE };
	area[2] = (struct area){ in->data_offset, 2 * in->data_bytes, PROT_READ };
	area[3] = (struct area){ in->desc_offset, in->desc_bytes, PROT_READ };
	for (i = 0; i < 4; i++) {
		void *p = mmap(NULL, area[i].bytes, area[i].prot, MAP_SHARED, fd, area[i].offset);

		if (p == MAP_FAILED)
			return -errno;
		t.part[i].start = p;
		t.part[i].bytes = area[i].bytes;
	}
	return 0;
}

static int run_map(void)
{
	return map_areas(t.s.fd);
}

static int run_wake(void)
{
	int ret = ot_stream_wake(t.s.fd, CYCLE_BLOCK, 500);

	return ret ? ret : ot_stream_info(t.s.fd, &t.s.info);
}

static int run_start(void)
{
	return ot_simple(t.ctl, ONI_IOC_START);
}

static int run_stop(void)
{
	return ot_simple(t.ctl, ONI_IOC_STOP);
}

static int run_read(void)
{
	ssize_t n = read(t.s.fd, t.buf, sizeof(t.buf));

	return n < 0 ? -errno : n ? 0 : -ENODATA;
}

static int run_read_node(void)
{
	ssize_t n = read(t.ctl, t.buf, sizeof(t.buf));

	return n < 0 ? -errno : n ? 0 : -ENODATA;
}

static int run_poll(void)
{
	struct pollfd p[2] = {
		{ .fd = t.ctl, .events = POLLIN }, { .fd = t.s.fd, .events = POLLIN },
	};

	return poll(p, 2, 0) < 0 ? -errno : 0;
}

static int run_epoll(void)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return epoll_ctl(t.epoll, EPOLL_CTL_ADD, t.s.fd, &ev) < 0 ? -errno : 0;
}

static int run_reg(void)
{
	uint32_t hz;
	int ret = ot_reg_read(t.ctl, OT_HEARTBEAT, 2, &hz);

	if (!ret && hz != OT_CLK_HZ)
		return -EBADMSG;
	return ret ? ret : ot_reg_write(t.ctl, ot_board()->memory, 1, OT_CLK_HZ / 10);
}

static int run_ctl_regs(void)
{
	struct oni_ctl arg = { .size = sizeof(arg), .reg = ONI_CTL_HWADDRESS };
	int ret = ot_ioctl(t.ctl, ONI_IOC_CTL_READ, &arg);

	return ret ? ret : ot_ioctl(t.ctl, ONI_IOC_CTL_WRITE, &arg);
}

#ifdef ONI_IOC_REG_BATCH
static int run_batch(void)
{
	struct oni_reg_op op[20];
	struct oni_reg_batch arg = {
		.size = sizeof(arg), .ops = (uintptr_t)op, .count = 20,
		.op_size = sizeof(op[0]),
	};
	size_t i;
	int ret;

	for (i = 0; i < arg.count; i++)
		op[i] = (struct oni_reg_op){ .dev_addr = OT_HEARTBEAT, .reg_addr = 2 };
	ret = ot_ioctl(t.ctl, ONI_IOC_REG_BATCH, &arg);
	return !ret && (arg.done != 20 || op[19].value != OT_CLK_HZ) ? -EBADMSG : ret;
}
#endif

#ifdef ONI_IOC_MONITOR_CREATE
static int run_monitor(void)
{
	struct oni_monitor_create arg = { .size = sizeof(arg), .fd = -1 };
	struct oni_monitor_stat stat = { .size = sizeof(stat) };
	int ret = ot_ioctl(t.ctl, ONI_IOC_MONITOR_CREATE, &arg);

	if (ret)
		return ret;
	t.monitor = arg.fd;
	ret = ot_ioctl(t.monitor, ONI_IOC_MONITOR_STAT, &stat);
	return ret ? ret : map_areas(t.monitor);
}
#endif

static int run_power_on(void)
{
	return ot_port(t.ctl, &t.port, OT_PORT_A, ONI_HUB_HS64, HEADSTAGE_DV);
}

static int run_power_off(void)
{
	return ot_port(t.ctl, &t.port, OT_PORT_A, 0, 0);
}

static int run_frames(void)
{
	const uint32_t frames[] = { OT_DIGITAL_IO, 1, 0x55, OT_DIGITAL_IO, 1, 0xaa };
	ssize_t n = write(t.ctl, frames, sizeof(frames));

	return n < 0 ? -errno : n == sizeof(frames) ? 0 : -EBADMSG;
}

/* Several pages: kvmalloc goes another way. */
static int run_long_frames(void)
{
	static uint32_t frames[3 * 4096];
	ssize_t n;
	size_t i;

	for (i = 0; i < sizeof(frames) / 12; i++) {
		frames[3 * i] = OT_DIGITAL_IO;
		frames[3 * i + 1] = 1;
		frames[3 * i + 2] = i;
	}
	n = write(t.ctl, frames, sizeof(frames));
	return n < 0 ? -errno : n == sizeof(frames) ? 0 : -EBADMSG;
}

static int run_close(void)
{
	int ret = close(t.s.fd) < 0 ? -errno : 0;

	t.s.fd = -1;
	if (close(t.ctl) < 0)
		ret = -errno;
	t.ctl = -1;
	return ret;
}

static int run_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return -errno;
	waitpid(pid, NULL, 0);
	return 0;
}

static int run_sysfs(void)
{
	char path[PATH_MAX];
	struct dirent *d;
	int fd, ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/oni/%s", strrchr(ot_path(), '/') + 1);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!ret && (d = readdir(dir))) {
		if (d->d_type != DT_REG || !strcmp(d->d_name, "uevent"))
			continue;
		fd = openat(dirfd(dir), d->d_name, O_RDONLY);
		if (fd < 0)
			ret = errno == EACCES ? 0 : -errno;
		else if (read(fd, t.buf, sizeof(t.buf)) < 0)
			ret = -errno;
		if (fd >= 0)
			close(fd);
	}
	closedir(dir);
	return ret;
}

/* Writes of the driver's sysfs files run probe and remove in this thread. */
static int run_bind(void)
{
	return ot_bind(&slot);
}

static int run_unbind(void)
{
	return ot_unbind(&slot);
}

/* --- what must hold when a chain reported nothing -------------------------------- */

static int good_always(void)
{
	return 0;
}

static int good_owned(void)
{
	return ot_info(t.ctl, &t.info) || !(t.info.flags & ONI_INFO_OWNER) ? -EBADE : 0;
}

static int good_running(void)
{
	if (ot_info(t.ctl, &t.info) || t.info.state != ONI_STATE_RUNNING ||
	    !(t.info.flags & ONI_INFO_STIM_SAFE))
		return -EBADE;
	return ot_wait_head(&t.s, CYCLE_BLOCK, CYCLE_MS) < CYCLE_BLOCK ? -ETIME : 0;
}

static int good_idle(void)
{
	return ot_info(t.ctl, &t.info) || t.info.state != ONI_STATE_IDLE ||
	       !(t.info.flags & ONI_INFO_STIM_SAFE) ? -EBADE : 0;
}

static int good_powered(void)
{
	uint32_t id;
	int ret = good_idle();

	ret = ret ? ret : ot_reg_read(t.ctl, 0x100 | OT_HUB_INFO, 0, &id);
	return !ret && (id & 0xffff) != ONI_HUB_HS64 ? -EBADE : ret;
}

static int good_bound(void)
{
	return bound() ? 0 : -EBADE;
}

static int good_unbound(void)
{
	return bound() ? -EBADE : 0;
}

/* --- the list ------------------------------------------------------------------------ */

#define CARD	ONI_TRANSPORT_RIFFA
#define BOARD	ONI_TRANSPORT_FT600

static const struct nth_chain chains[] = {
	{ "open", prep_none, run_open, good_always, {}, 2, false, 0, 0 },
	{ "info", prep_open, run_info, good_always, {}, 2, false, 0, 0 },
	{ "table", prep_open, run_table, good_always, {}, 3, false, 0, 0 },
	{ "stats", prep_open, run_stats, good_always, {}, 2, false, 0, 0 },
	{ "claim", prep_open, run_claim, good_owned, {}, 2, false, 0, 0 },
	{ "release", prep_claim, run_release, good_always, {}, 2, false, 0, 0 },
	{ "stream create", prep_claim, run_create, good_owned, {}, 15, false, 0, CARD },
	/* without those that the scenario spares */
	{ "stream create", prep_claim, run_create, good_owned, {}, 12, false, 0, BOARD },
	{ "mmap", prep_stream, run_map, good_owned, {}, 4, false, 0, 0 },
	{ "stream ioctls", prep_stream, run_wake, good_owned, {}, 4, false, 0, 0 },
	{ "start", prep_clean, run_start, good_running, {}, 2, false, 0, 0 },
	{ "start with a reset", prep_dirty, run_start, good_running, {}, 2, false, 0, 0 },
	{ "stop", prep_running, run_stop, good_idle, {}, 2, false, 0, 0 },
	{ "read of a stream", prep_running, run_read, good_running, {}, 1, false, 0, 0 },
	/* the pages of a large ring, all alike */
	{ "read of the node", prep_open, run_read_node, good_owned, {}, 15, true, 24, 0 },
	{ "poll", prep_stream, run_poll, good_owned, {}, 1, false, 0, 0 },
	{ "epoll", prep_epoll, run_epoll, good_owned, {}, 2, false, 0, 0 },
	{ "registers", prep_claim, run_reg, good_owned, {}, 4, false, 0, 0 },
	{ "controller registers", prep_claim, run_ctl_regs, good_owned, {}, 4, false, 0, 0 },
#ifdef ONI_IOC_REG_BATCH
	{ "register batch", prep_claim, run_batch, good_owned, {}, 5, false, 0, 0 },
#endif
#ifdef ONI_IOC_MONITOR_CREATE
	/* ends with the mappings, of which "mmap" leaves nothing out */
	{ "monitor", prep_running, run_monitor, good_running, {}, 10, false, 3, 0 },
#endif
	/* to devices of the card */
	{ "write frames", prep_claim, run_frames, good_owned, {}, 2, false, 0, CARD },
	{ "long write frames", prep_claim, run_long_frames, good_owned, {}, 2, false, 0, CARD },
	{ "reset", prep_claim, run_reset, good_idle, {}, 2, false, 0, 0 },
	/* whose ports have a supply */
	{ "port on", prep_off, run_power_on, good_powered, {}, 2, false, 0, CARD },
	{ "port off", prep_claim, run_power_off, good_idle, {}, 2, false, 0, CARD },
	{ "close while running", prep_running, run_close, good_always, {}, 0, false, 0, 0 },
	{ "fork with a mapping", prep_mapped, run_fork, good_owned, { EAGAIN }, 5, true, 0, 0 },
	{ "sysfs attributes", prep_open, run_sysfs, good_always, {}, 10, true, 0, 0 },
	/*
	 * What the PCI and interrupt core make of it is not always ENOMEM. 350
	 * failures, nearly all of them in those.
	 */
	{ "bind", prep_unbound, run_bind, good_always,
	  { ENOSPC, ENODEV, EINVAL, EBUSY }, 30, true, 4, CARD },
	/* 3 URBs and a buffer for each transfer, and control messages; the bus knows two errors of a probe */
	{ "bind", prep_unbound, run_bind, good_bound, { ENODEV }, 30, true, 0, BOARD },
	{ "unbind", prep_none, run_unbind, good_unbound, {}, 0, false, 3, 0 },
};

#define CHAINS	(sizeof(chains) / sizeof(chains[0]))

/* --- the sweep ----------------------------------------------------------------------- */

static void teardown(void)
{
	size_t i;

	ot_stream_unmap(&t.s);
	for (i = 0; i < 4; i++)
		if (t.part[i].start)
			munmap(t.part[i].start, t.part[i].bytes);
	if (t.monitor >= 0)
		close(t.monitor);
	if (t.s.fd >= 0)
		close(t.s.fd);
	if (t.epoll >= 0)
		close(t.epoll);
	if (t.ctl >= 0)
		close(t.ctl);
	memset(&t, 0, sizeof(t));
	t.s.fd = -1;
	t.ctl = -1;
	t.epoll = -1;
	t.monitor = -1;
}

/*
 * A node that devtmpfs could not make is no fault of the driver; binding again
 * makes it.
 */
static void come_back(void)
{
	char path[64];

	if (!bound())
		ot_bind(&slot);
	snprintf(path, sizeof(path), "%s", ot_path());
	if (access(path, F_OK)) {
		ot_unbind(&slot);
		ot_bind(&slot);
	}
}

/* Beyond the 24th; a prime number of steps meets every kind of those that repeat. */
#define BOARD_STRIDE	16
#define BOARD_LOOK	4
#define SLOW_LOOK	16

/* Ready for the next preparation: a reset that had no memory has left a fault. */
static int end_fault(void)
{
	struct oni_info info;
	int ctl = cycle_open(CYCLE_MS), ret;

	if (ctl < 0)
		return ctl;
	ret = ot_info(ctl, &info);
	if (!ret && info.state == ONI_STATE_FAULT) {
		ret = ot_simple(ctl, ONI_IOC_CLAIM);
		ret = ret ? ret : ot_simple(ctl, ONI_IOC_RESET);
	}
	close(ctl);
	return ret;
}

/* The controller is good for a whole recording afterwards. */
static int after(const struct nth_chain *c, unsigned int nth, bool hit)
{
	static struct cycle cycle;
	int ret;

	if (c->slow && hit && nth % SLOW_LOOK)
		return 0;
	come_back();
	if (ot_board()->transport == BOARD && hit && nth % BOARD_LOOK) {
		ret = end_fault();
		if (ret)
			ksft_print_msg("%s, %u: no end of a fault: %s\n", c->name, nth,
				       strerror(-ret));
		return ret;
	}
	ret = cycle_run(&cycle);
	if (ret)
		ksft_print_msg("%s, %u: no good afterwards, at '%s': %s (%s)\n", c->name, nth,
			       cycle.step, strerror(-ret),
			       cycle.parser.error ? cycle.parser.error : "");
	return ret;
}

static bool wanted(const struct nth_chain *c, char **names)
{
	return (!c->only || c->only == ot_board()->transport) && nth_named(c, names);
}

static void find_slot(void)
{
	if (prep_open() || ot_slot_find(&slot, t.ctl))
		ksft_exit_fail_msg("no controller with a driver\n");
	teardown();
}

int main(int argc, char **argv)
{
	struct nth_test test = { .teardown = teardown, .after = after, .rescue = come_back };
	bool inject = nth_options(&test, argc, argv);
	size_t i, n = 0;
	int ret;

	t.s.fd = t.ctl = t.epoll = t.monitor = -1;
	find_slot();
	test.stride = ot_board()->transport == BOARD ? BOARD_STRIDE : 0;
	ret = cycle_prepare();
	if (ret)
		ksft_exit_fail_msg("feed: %s\n", strerror(-ret));
	if (inject)
		nth_open();
	for (i = 0; i < CHAINS; i++)
		n += wanted(&chains[i], argv + optind);
	if (!n)
		ksft_exit_fail_msg("no chain of that name\n");
	ksft_set_plan(n);
	nth_fault_in();
	for (i = 0; i < CHAINS; i++)
		if (wanted(&chains[i], argv + optind))
			nth_sweep(&test, &chains[i]);
	if (!bound())
		ot_bind(&slot);
	ksft_finished();
}
