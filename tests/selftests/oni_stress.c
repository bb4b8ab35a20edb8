// SPDX-License-Identifier: MIT
/*
 * Memory is short for everybody, all the time.
 *
 *   oni_stress [-p PERCENT] [-n ROUNDS] [-j PROCESSES] [-s SEED] [-x]
 *
 * Some processes open, claim, stream, read, map, watch, power, access registers
 * and close, ROUNDS times each, while PERCENT of their allocations and user
 * copies fail at random. A call may fail with an errno of the contract, of its
 * state (somebody else owns the controller) or of the failure; everything that
 * was opened is closed. Afterwards, without failures, a recording works.
 * -x: no failures (any kernel).
 *
 * Contract under test: include/uapi/linux/oni.h, common errors. Needs root, a
 * kernel with fault injection, a card with a headstage-64 on port A. Processes
 * share nothing but a page of counters.
 */
#define _GNU_SOURCE
#include "kselftest.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "oni_cycle.h"
#include "oni_layout.h"

#define PROCESSES_MAX	8
#define READS		20
#define READ_MS		200
#define ERRNOS		134

enum step {
	S_OPEN, S_INFO, S_TABLE, S_STATS, S_CLAIM, S_CREATE, S_MAP, S_START, S_READ, S_POLL,
	S_STOP, S_WRITE, S_REG_READ, S_REG_WRITE, S_BATCH, S_MONITOR, S_MONITOR_READ, S_RESET,
	S_PORT, S_RELEASE, S_NODE_READ, STEPS
};

static const struct {
	const char *name;
	int err[6];	/* beside those that a failure makes */
} step[STEPS] = {
	[S_OPEN] = { "open", {} },
	[S_INFO] = { "info", {} },
	[S_TABLE] = { "table", {} },
	[S_STATS] = { "stats", {} },
	[S_CLAIM] = { "claim", { EBUSY } },
	[S_CREATE] = { "stream create", { EBUSY } },
	[S_MAP] = { "mmap", {} },
	/* a reset that failed for lack of memory leaves the controller to the next one */
	[S_START] = { "start", { EIO } },
	[S_READ] = { "read", { EAGAIN } },
	[S_POLL] = { "poll", {} },
	[S_STOP] = { "stop", {} },
	[S_WRITE] = { "write frames", { EAGAIN } },
	[S_REG_READ] = { "register read", {} },
	[S_REG_WRITE] = { "register write", {} },
	[S_BATCH] = { "register batch", {} },
	[S_MONITOR] = { "monitor create", { ENODATA, EBUSY } },
	[S_MONITOR_READ] = { "monitor read", { EAGAIN, EOVERFLOW } },
	[S_RESET] = { "reset", { EBUSY } },
	/* a reset inside that fails leaves no headstage behind the port */
	[S_PORT] = { "port power", { EBUSY, ENOLINK } },
	[S_RELEASE] = { "release", {} },
	[S_NODE_READ] = { "read of the node", { EBUSY, EAGAIN } },
};

/* Written by all processes */
static struct shared {
	_Atomic unsigned int seen[STEPS][ERRNOS];
	_Atomic unsigned int wrong[STEPS];
	_Atomic int wrong_errno[STEPS];
	_Atomic unsigned int recordings;
} *sh;

static uint64_t rng;

static uint32_t below(uint32_t n)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return ((rng * 0x2545f4914f6cdd1dULL) >> 32) * n >> 32;
}

/* Count @ret of @s; no output here, which would allocate. */
static int note(enum step s, int ret)
{
	size_t i;

	sh->seen[s][ret < 0 && -ret < ERRNOS ? -ret : 0]++;
	if (ret >= 0 || ret == -ENOMEM || ret == -EFAULT)
		return ret;
	for (i = 0; i < 6; i++)
		if (step[s].err[i] && ret == -step[s].err[i])
			return ret;
	sh->wrong[s]++;
	sh->wrong_errno[s] = -ret;
	return ret;
}

static struct oni_device rows[OT_MAX_ROWS];
static struct oni_reg_op ops[40];
static uint8_t buf[16384];

static void ask(int fd)
{
	struct oni_info info;
	struct oni_stats stats;

	switch (below(3)) {
	case 0:
		note(S_INFO, ot_info(fd, &info));
		break;
	case 1:
		note(S_TABLE, ot_table(fd, rows, OT_MAX_ROWS));
		break;
	default:
		note(S_STATS, ot_stats(fd, &stats));
	}
}

static void registers(int fd, bool owner)
{
	const uint32_t frame[] = { OT_DIGITAL_IO, 1, below(256) };
	struct oni_reg_batch batch = {
		.size = sizeof(batch), .ops = (uintptr_t)ops, .count = 1 + below(39),
		.op_size = sizeof(ops[0]),
	};
	uint32_t hz;
	size_t i;
	int ret;

	switch (below(owner ? 4 : 2)) {
	case 0:
		note(S_REG_READ, ot_reg_read(fd, OT_HEARTBEAT, 2, &hz));
		break;
	case 1:
		for (i = 0; i < batch.count; i++)
			ops[i] = (struct oni_reg_op){ .dev_addr = OT_HEARTBEAT, .reg_addr = 2 };
		note(S_BATCH, ot_ioctl(fd, ONI_IOC_REG_BATCH, &batch));
		break;
	case 2:
		note(S_REG_WRITE, ot_reg_write(fd, OT_MEMORY, 1, OT_CLK_HZ / 10));
		break;
	default:
		ret = write(fd, frame, sizeof(frame));
		note(S_WRITE, ret < 0 ? -errno : 0);
	}
}

static void watch(int fd)
{
	struct oni_monitor_create mc = { .size = sizeof(mc), .fd = -1 };
	int i, ret;

	if (note(S_MONITOR, ot_ioctl(fd, ONI_IOC_MONITOR_CREATE, &mc)))
		return;
	fcntl(mc.fd, F_SETFL, O_NONBLOCK);
	for (i = 0; i < 5; i++) {
		ret = read(mc.fd, buf, sizeof(buf));
		note(S_MONITOR_READ, ret < 0 ? -errno : 0);
		note(S_POLL, ot_poll(mc.fd, POLLIN, 5));
	}
	close(mc.fd);
}

static void map_one(int fd)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), *q;
	struct oni_stream_info in;

	note(S_MAP, p == MAP_FAILED ? -errno : 0);
	if (p != MAP_FAILED)
		munmap(p, 4096);
	if (ot_stream_info(fd, &in))
		return;
	q = mmap(NULL, 2 * in.data_bytes, PROT_READ, MAP_SHARED, fd, in.data_offset);
	note(S_MAP, q == MAP_FAILED ? -errno : 0);
	if (q != MAP_FAILED)
		munmap(q, 2 * in.data_bytes);
}

static void record(int fd)
{
	uint64_t got = 0;
	int i, ret, s;

	s = note(S_CREATE, ot_stream_create(fd, CYCLE_RING << below(4), CYCLE_BLOCK, 0, 1000));
	if (s < 0)
		return;
	fcntl(s, F_SETFL, O_NONBLOCK);
	map_one(s);
	ret = note(S_START, ot_simple(fd, ONI_IOC_START));
	if (ret == -EIO)
		note(S_RESET, ot_simple(fd, ONI_IOC_RESET));
	if (!ret) {
		for (i = 0; i < READS; i++) {
			note(S_POLL, ot_poll(s, POLLIN, READ_MS));
			ret = read(s, buf, sizeof(buf));
			note(S_READ, ret < 0 ? -errno : 0);
			got += ret > 0 ? ret : 0;
			if (!below(4))
				registers(fd, true);
			if (!below(8))
				watch(fd);
		}
		note(S_STOP, ot_simple(fd, ONI_IOC_STOP));
	}
	if (got > CYCLE_BLOCK)
		sh->recordings++;
	close(s);
}

static void round_of(int fd)
{
	struct oni_port_power port;
	int ret;

	ask(fd);
	registers(fd, false);
	watch(fd);
	if (!below(6)) {
		/* claims, starts and ends by itself */
		ret = read(fd, buf, sizeof(buf));
		note(S_NODE_READ, ret < 0 ? -errno : 0);
		return;
	}
	if (note(S_CLAIM, ot_simple(fd, ONI_IOC_CLAIM)))
		return;
	if (!below(6))
		note(S_RESET, ot_simple(fd, ONI_IOC_RESET));
	if (!below(12))
		note(S_PORT, ot_port(fd, &port, OT_PORT_A, ONI_HUB_HS64, below(2) ? 60 : 0));
	record(fd);
	if (below(2))
		note(S_RELEASE, ot_simple(fd, ONI_IOC_RELEASE));
}

static void process(uint64_t seed, unsigned int rounds, bool inject)
{
	volatile char stack[64 * 1024];
	unsigned int i;

	rng = seed * 0x9e3779b97f4a7c15ULL + 1;
	memset((char *)stack, 0, sizeof(stack));
	/* Page faults of this program are not what is under test. */
	mlockall(MCL_CURRENT);
	if (inject && fault_task(true))
		_exit(2);
	for (i = 0; i < rounds; i++) {
		int fd = ot_open(O_RDWR);

		note(S_OPEN, fd);
		if (fd < 0)
			continue;
		round_of(fd);
		close(fd);
	}
	_exit(0);
}

static unsigned int report(void)
{
	unsigned int bad = 0, failed = 0;
	size_t s, e;

	for (s = 0; s < STEPS; s++) {
		char line[300] = "";
		int len = 0;

		for (e = 0; e < ERRNOS; e++) {
			if (!sh->seen[s][e])
				continue;
			len += snprintf(line + len, sizeof(line) - len, " %s %u",
					e ? strerrorname_np(e) : "ok", sh->seen[s][e]);
			failed += e == ENOMEM || e == EFAULT ? sh->seen[s][e] : 0;
		}
		ksft_print_msg("%-17s%s\n", step[s].name, line);
		if (!sh->wrong[s])
			continue;
		bad++;
		ksft_print_msg("%s: %u times an errno that it does not have, the last one %s\n",
			       step[s].name, sh->wrong[s], strerror(sh->wrong_errno[s]));
	}
	ksft_print_msg("%u recordings, %u calls failed for lack of memory\n", sh->recordings,
		       failed);
	ksft_test_result(!bad, "every result is one of the contract\n");
	return failed;
}

int main(int argc, char **argv)
{
	unsigned int rounds = 40, processes = 3, i, failed;
	const char *percent = "1";
	static struct cycle cycle;
	bool inject = true;
	uint64_t seed = 1;
	int c, ret, status, ended = 0;

	while ((c = getopt(argc, argv, "p:n:j:s:x")) != -1) {
		switch (c) {
		case 'p':
			percent = optarg;
			break;
		case 'n':
			rounds = strtoul(optarg, NULL, 0);
			break;
		case 'j':
			processes = strtoul(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'x':
			inject = false;
			break;
		default:
			return 2;
		}
	}
	if (processes > PROCESSES_MAX)
		processes = PROCESSES_MAX;
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	ret = cycle_prepare();
	if (ret)
		ksft_exit_fail_msg("load tester: %s\n", strerror(-ret));
	if (inject && fault_setup(percent, false))
		ksft_exit_skip("this kernel has no fault injection\n");
	ksft_set_plan(5);
	ksft_print_msg("%u processes, %u rounds each, %s %% of allocations and copies fail, seed %llu\n",
		       processes, rounds, inject ? percent : "0", (unsigned long long)seed);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (sh == MAP_FAILED)
		ksft_exit_fail_msg("memory\n");

	for (i = 0; i < processes; i++)
		if (fork() == 0)
			process(seed + i, rounds, inject);
	for (i = 0; i < processes; i++) {
		wait(&status);
		ended += WIFEXITED(status) && !WEXITSTATUS(status);
	}
	if (inject)
		fault_setup("0", false);
	ksft_test_result(ended == (int)processes, "every process came to its end\n");
	failed = report();
	ksft_test_result(sh->recordings >= processes, "recordings succeeded in between\n");
	ksft_test_result(!inject || failed > 20, "failures were made\n");
	ret = cycle_run(&cycle);
	if (ret)
		ksft_print_msg("at '%s': %s\n", cycle.step, strerror(-ret));
	ksft_test_result(!ret, "a recording works afterwards\n");
	ksft_finished();
}
