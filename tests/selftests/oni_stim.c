// SPDX-License-Identifier: MIT
/*
 * The contract of the stimulation interlock, sentence by sentence: formats, who may
 * do what and when, verdicts, policies, states, events.
 *
 * What flows is not seen from here: the scenario around it (kernel_stim) compares
 * what the card delivered. Contract under test: include/uapi/linux/oni_stim.h. Needs
 * root, the simulated headstages of that scenario, nobody else at the controller. A
 * policy lasts until the driver is unbound, so tests of policies rebind it. Children
 * of a test answer by their exit status. Tests have a reader thread (ost_life).
 */
#define _GNU_SOURCE
#include "kselftest_harness.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "oni_board.h"
#include "oni_leave.h"
#include "oni_stim_help.h"

#define NOBODY		65534
#define W		5000u	/* ms; nothing that a test waits for */
#define TTL_MS		60000u

/* A refusal: what the call returned, and the code of its verdict. */
#define EXPECT_VERDICT(error, code_, call)	do {				\
	int ret_ = (call);							\
	EXPECT_EQ(-(error), ret_);						\
	EXPECT_EQ((uint32_t)(code_), v.code);					\
} while (0)

/* The exit status of a child that runs @fn; 200: it did not exit. */
static int in_child(int (*fn)(void *), void *arg)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(fn(arg));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static bool drop_rights(void)
{
	return !setgroups(0, NULL) && !setgid(NOBODY) && !setuid(NOBODY);
}

/* --- the driver as it was bound, without a policy ---------------------------- */

struct fresh {
	int ctl, stim;
	struct ot_slot slot;
	struct oni_stim_policy p;
};

static int fresh_open(struct fresh *f)
{
	int ret;

	f->ctl = ot_open_within(OT_REPLUG_MS);
	if (f->ctl < 0)
		return f->ctl;
	ret = ot_slot_find(&f->slot, f->ctl);
	close(f->ctl);
	if (!ret)
		ret = ot_unbind(&f->slot);
	if (!ret)
		ret = ot_bind(&f->slot);
	if (ret)
		return ret;
	f->ctl = ot_open_within(OT_REPLUG_MS);
	f->stim = ost_open(O_RDWR);
	ost_policy_fill(&f->p);
	return f->ctl < 0 ? f->ctl : f->stim < 0 ? f->stim : 0;
}

FIXTURE(policy) {
	struct fresh f;
};

FIXTURE_SETUP(policy)
{
	ASSERT_EQ(0, fresh_open(&self->f));
}

FIXTURE_TEARDOWN(policy)
{
	close(self->f.stim);
	close(self->f.ctl);
}

/* verifies: R02 */
TEST_F(policy, none_is_recording_only)
{
	static struct ost_program g;
	struct oni_stim_status st;
	struct oni_stim_policy p;
	struct oni_stim_verdict v;
	uint64_t nonce;

	ASSERT_EQ(0, ost_status(self->f.stim, &st));
	EXPECT_EQ(ONI_STIM_SAFE, st.state);
	EXPECT_EQ(0, st.flags & (ONI_STIM_HAS_POLICY | ONI_STIM_IS_OWNER | ONI_STIM_PLAYING));
	EXPECT_EQ(0, st.owner);
	EXPECT_EQ(-ENODATA, ost_limits(self->f.stim, &p));
	EXPECT_VERDICT(EPERM, ONI_STIM_NO_POLICY, ost_claim(self->f.stim, &nonce, &v));
	ost_rhs(&g, W);
	ost_pulses(&g, 1, 1, 1, 302, 1);
	EXPECT_VERDICT(EPERM, ONI_STIM_NO_POLICY,
		       ost_load(self->f.stim, ONI_STIM_IOC_CHECK, 0, &g, NULL, &v));
}

static int policy_unprivileged(void *arg)
{
	struct fresh *f = arg;
	struct oni_stim_verdict v;

	return drop_rights() && ost_policy(f->stim, &f->p, 0, &v) == -EPERM ? 0 : 1;
}

/* verifies: R22 */
TEST_F(policy, needs_cap_sys_admin)
{
	struct oni_stim_status st;

	EXPECT_EQ(0, in_child(policy_unprivileged, &self->f));
	ASSERT_EQ(0, ost_status(self->f.stim, &st));
	EXPECT_EQ(0, st.flags & ONI_STIM_HAS_POLICY);
}

static void no_version(struct oni_stim_policy *p)
{
	p->version++;
}

static void too_many_classes(struct oni_stim_policy *p)
{
	p->classes = ONI_STIM_CLASSES + 1;
}

static void no_reading(struct oni_stim_policy *p)
{
	p->hs64_readings = ONI_STIM_HS64_UNIT_1US;
}

static void unknown_reading(struct oni_stim_policy *p)
{
	p->hs64_readings |= 0x10;
}

static void short_window(struct oni_stim_policy *p)
{
	p->duty_window_ns = 999999;
}

static void long_window(struct oni_stim_policy *p)
{
	p->duty_window_ns = 3600000000001;
}

static void no_such_class(struct oni_stim_policy *p)
{
	p->class_of[1] = OST_POLICY_CLASSES + 1;
}

static void no_such_contact(struct oni_stim_policy *p)
{
	p->class_of[ONI_STIM_RETURN + 1] = 1;
}

static void unknown_limit(struct oni_stim_policy *p)
{
	p->cls[0].max[ONI_STIM_LIMITS] = 1;
}

static void unused_class(struct oni_stim_policy *p)
{
	p->cls[ONI_STIM_CLASSES - 1].max[0] = 1;
}

static const struct {
	const char *name;
	void (*spoil)(struct oni_stim_policy *p);
} bad_policies[] = {
	{ "version", no_version }, { "classes", too_many_classes },
	{ "no meaning of a register", no_reading }, { "unknown reading", unknown_reading },
	{ "short window", short_window }, { "long window", long_window },
	{ "class that is not there", no_such_class }, { "contact", no_such_contact },
	{ "unknown limit", unknown_limit }, { "unused class", unused_class },
};

/* verifies: R02 */
TEST_F(policy, bad_one_is_refused)
{
	struct oni_stim_policy p;
	struct oni_stim_verdict v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad_policies); i++) {
		p = self->f.p;
		bad_policies[i].spoil(&p);
		EXPECT_EQ(-ERANGE, ost_policy(self->f.stim, &p, 0, &v))
			TH_LOG("%s", bad_policies[i].name);
		EXPECT_EQ(ONI_STIM_BAD_POLICY, v.code)
			TH_LOG("%s", bad_policies[i].name);
	}
	EXPECT_EQ(-ENODATA, ost_limits(self->f.stim, &p));
	EXPECT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
}

TEST_F(policy, other_size_is_einval)
{
	struct oni_stim_verdict v;

	self->f.p.size = sizeof(self->f.p) - 8;
	EXPECT_NE(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
	self->f.p.size = sizeof(self->f.p) + 8;
	EXPECT_NE(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
	EXPECT_EQ(-ENODATA, ost_limits(self->f.stim, &self->f.p));
}

TEST_F(policy, bad_pointer_is_efault)
{
	struct oni_stim_verdict v;

	EXPECT_EQ(-EFAULT, ost_policy(self->f.stim, (void *)8, 0, &v));
	EXPECT_EQ(-EFAULT, ost_policy(self->f.stim, NULL, 0, &v));
}

TEST_F(policy, unknown_flag_is_einval)
{
	struct oni_stim_verdict v;

	EXPECT_EQ(-EINVAL, ost_policy(self->f.stim, &self->f.p, 0x2, &v));
	EXPECT_EQ(-EINVAL, ost_policy(self->f.stim, &self->f.p, 0x80000000, &v));
}

/* What is said about sources does not count. verifies: R28 */
TEST_F(policy, is_in_force_with_its_source)
{
	struct oni_stim_status st;
	struct oni_stim_policy p;
	struct oni_stim_verdict v;
	uint32_t i;

	memset(self->f.p.cls[0].source, ONI_STIM_BY_RUNTIME, ONI_STIM_LIMITS);
	ASSERT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
	EXPECT_EQ(ONI_STIM_OK, v.code);
	ASSERT_EQ(0, ost_limits(self->f.stim, &p));
	EXPECT_EQ(self->f.p.classes, p.classes);
	EXPECT_EQ(self->f.p.duty_window_ns, p.duty_window_ns);
	EXPECT_EQ(0, memcmp(p.class_of, self->f.p.class_of, sizeof(p.class_of)));
	for (i = 0; i < ONI_STIM_LIMITS; i++) {
		EXPECT_EQ(self->f.p.cls[0].max[i], p.cls[0].max[i])
			TH_LOG("limit %u", i);
		EXPECT_TRUE(p.cls[0].source[i] == ONI_STIM_BY_POLICY ||
			    p.cls[0].source[i] == ONI_STIM_BY_HARDWARE)
			TH_LOG("limit %u: source %u", i, p.cls[0].source[i]);
	}
	EXPECT_EQ(ONI_STIM_BY_POLICY, p.cls[0].source[ONI_STIM_AMPLITUDE]);
	ASSERT_EQ(0, ost_status(self->f.stim, &st));
	EXPECT_EQ(ONI_STIM_HAS_POLICY, st.flags & (ONI_STIM_HAS_POLICY | ONI_STIM_NEEDS_AUDIT));
}

/* verifies: R28 */
TEST_F(policy, more_than_the_hardware_has_is_cut_down)
{
	struct oni_stim_class *c = &self->f.p.cls[0];
	struct oni_stim_policy p;
	struct oni_stim_verdict v;

	c->max[ONI_STIM_AMPLITUDE] = 1ull << 60;
	c->max[ONI_STIM_WIDTH] = ~0ull;
	c->max[ONI_STIM_TRAIN] = ~0ull;
	c->max[ONI_STIM_WATCHDOG] = ~0ull;
	ASSERT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
	ASSERT_EQ(0, ost_limits(self->f.stim, &p));
	EXPECT_EQ(2550000, p.cls[0].max[ONI_STIM_AMPLITUDE]);
	EXPECT_EQ(ONI_STIM_BY_HARDWARE, p.cls[0].source[ONI_STIM_AMPLITUDE]);
	EXPECT_EQ(5000000, p.cls[0].max[ONI_STIM_WIDTH]);
	EXPECT_EQ(10000000000ull, p.cls[0].max[ONI_STIM_TRAIN]);
	EXPECT_EQ(10000, p.cls[0].max[ONI_STIM_WATCHDOG]);
	EXPECT_EQ(ONI_STIM_BY_HARDWARE, p.cls[0].source[ONI_STIM_WATCHDOG]);
}

/* verifies: R28 */
TEST_F(policy, later_one_only_goes_down)
{
	struct oni_stim_policy p, now;
	struct oni_stim_verdict v;
	uint32_t i;

	ASSERT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
	EXPECT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));	/* the same */
	for (i = 0; i < ONI_STIM_LIMITS; i++) {
		p = self->f.p;
		p.cls[0].max[i]++;
		EXPECT_EQ(-EPERM, ost_policy(self->f.stim, &p, 0, &v))
			TH_LOG("limit %u", i);
		EXPECT_EQ(ONI_STIM_RAISE, v.code)
			TH_LOG("limit %u", i);
	}
	p = self->f.p;
	p.class_of[OST_UNKNOWN_CONTACT] = 1;
	EXPECT_VERDICT(EPERM, ONI_STIM_RAISE, ost_policy(self->f.stim, &p, 0, &v));
	p = self->f.p;
	p.class_of[0] = 2;		/* a signal from outside */
	EXPECT_VERDICT(EPERM, ONI_STIM_RAISE, ost_policy(self->f.stim, &p, 0, &v));
	p = self->f.p;
	p.hs64_readings = ONI_STIM_HS64_UNIT_1US | ONI_STIM_HS64_PAUSE;
	EXPECT_VERDICT(EPERM, ONI_STIM_RAISE, ost_policy(self->f.stim, &p, 0, &v));
	ASSERT_EQ(0, ost_limits(self->f.stim, &now));
	EXPECT_EQ(self->f.p.cls[0].max[ONI_STIM_AMPLITUDE], now.cls[0].max[ONI_STIM_AMPLITUDE]);
	EXPECT_EQ(0, now.class_of[OST_UNKNOWN_CONTACT]);

	p = self->f.p;
	p.cls[0].max[ONI_STIM_AMPLITUDE] = 1000;
	p.class_of[8] = 0;
	EXPECT_EQ(0, ost_policy(self->f.stim, &p, 0, &v));
	EXPECT_VERDICT(EPERM, ONI_STIM_RAISE, ost_policy(self->f.stim, &self->f.p, 0, &v));
	ASSERT_EQ(0, ost_limits(self->f.stim, &now));
	EXPECT_EQ(1000, now.cls[0].max[ONI_STIM_AMPLITUDE]);
	EXPECT_EQ(0, now.class_of[8]);
}

/* A log that was wanted stays wanted. verifies: R28, R25 */
TEST_F(policy, need_of_a_log_can_not_be_taken_back)
{
	struct oni_stim_status st;
	struct oni_stim_verdict v;

	ASSERT_EQ(0, ost_policy(self->f.stim, &self->f.p, ONI_STIM_POLICY_AUDIT, &v));
	ost_policy(self->f.stim, &self->f.p, 0, &v);
	ASSERT_EQ(0, ost_status(self->f.stim, &st));
	EXPECT_EQ(ONI_STIM_NEEDS_AUDIT, st.flags & ONI_STIM_NEEDS_AUDIT);
}

/* verifies: R28 */
TEST_F(policy, not_while_claimed)
{
	struct oni_stim_verdict v;
	uint64_t nonce;

	ASSERT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
	ASSERT_EQ(0, ost_claim(self->f.stim, &nonce, &v));
	EXPECT_VERDICT(EPERM, ONI_STIM_STATE, ost_policy(self->f.stim, &self->f.p, 0, &v));
	EXPECT_EQ(0, ost_call(self->f.stim, ONI_STIM_IOC_RELEASE, nonce, &v));
	EXPECT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
}

/* verifies: R28 */
TEST_F(policy, owner_lowers_and_can_not_raise)
{
	static struct ost_program g;
	struct oni_stim_policy p, now;
	struct oni_stim_verdict v;
	uint64_t nonce;

	ASSERT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
	p = self->f.p;
	p.cls[0].max[ONI_STIM_AMPLITUDE] = 50000;
	EXPECT_VERDICT(EPERM, ONI_STIM_NOT_OWNER, ost_lower(self->f.stim, &p, &v));
	ASSERT_EQ(0, ost_claim(self->f.stim, &nonce, &v));
	/* one that goes down and one that goes up: neither does */
	p.cls[0].max[ONI_STIM_TRAIN]++;
	EXPECT_VERDICT(EPERM, ONI_STIM_RAISE, ost_lower(self->f.stim, &p, &v));
	ASSERT_EQ(0, ost_limits(self->f.stim, &now));
	EXPECT_EQ(200000, now.cls[0].max[ONI_STIM_AMPLITUDE]);
	p.cls[0].max[ONI_STIM_TRAIN]--;
	EXPECT_EQ(0, ost_lower(self->f.stim, &p, &v));
	ASSERT_EQ(0, ost_limits(self->f.stim, &now));
	EXPECT_EQ(50000, now.cls[0].max[ONI_STIM_AMPLITUDE]);
	EXPECT_EQ(ONI_STIM_BY_RUNTIME, now.cls[0].source[ONI_STIM_AMPLITUDE]);
	EXPECT_EQ(ONI_STIM_BY_POLICY, now.cls[0].source[ONI_STIM_CHARGE]);
	EXPECT_VERDICT(EPERM, ONI_STIM_RAISE, ost_lower(self->f.stim, &self->f.p, &v));

	ost_rhs(&g, W);
	ost_pulses(&g, 1, 100, 6, 302, 1);
	EXPECT_VERDICT(ERANGE, ONI_STIM_AMPLITUDE,
		       ost_load(self->f.stim, ONI_STIM_IOC_CHECK, 0, &g, NULL, &v));
	EXPECT_EQ(100000, v.asked);
	EXPECT_EQ(50000, v.allowed);
	EXPECT_EQ(ONI_STIM_BY_RUNTIME, v.source);
}

/* --- rights -------------------------------------------------------------------- */

FIXTURE(node) {
	int ctl, stim;
};

FIXTURE_SETUP(node)
{
	struct oni_stim_policy p;
	struct oni_stim_verdict v;
	struct fresh f;

	/* What the tests of policies left is too low for the others. */
	self->ctl = ot_open_within(OT_REPLUG_MS);
	ASSERT_LE(0, self->ctl);
	self->stim = ost_open(O_RDWR);
	ASSERT_LE(0, self->stim);
	ost_policy_fill(&p);
	if (ost_policy(self->stim, &p, 0, &v)) {
		close(self->ctl);
		close(self->stim);
		ASSERT_EQ(0, fresh_open(&f));
		self->ctl = f.ctl;
		self->stim = f.stim;
		ASSERT_EQ(0, ost_policy(self->stim, &p, 0, &v));
	}
}

FIXTURE_TEARDOWN(node)
{
	close(self->stim);
	close(self->ctl);
}

/* verifies: R22, R16 */
TEST_F(node, modes_are_for_the_few_and_for_everybody)
{
	struct stat st;
	int fd;

	ASSERT_EQ(0, fstat(self->stim, &st));
	EXPECT_EQ(0, st.st_mode & 07);
	fd = ost_open_stop(O_WRONLY);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(06, st.st_mode & 07);
	close(fd);
}

static int open_unprivileged(void *arg)
{
	char text[128];
	int fd;

	(void)arg;
	if (!drop_rights())
		return 1;
	if (ost_open(O_RDWR) != -EACCES || ost_open(O_RDONLY) != -EACCES)
		return 2;
	if (ost_stop())
		return 3;
	fd = ost_open_stop(O_RDONLY);
	if (fd < 0 || ot_read(fd, text, sizeof(text)) <= 0)
		return 4;
	return 0;
}

/* verifies: R22, R16 */
TEST_F(node, nobody_may_stop_and_look_and_no_more)
{
	EXPECT_EQ(0, in_child(open_unprivileged, NULL));
}

TEST_F(node, status_flags_are_a_result)
{
	struct oni_stim_status st = { .size = sizeof(st), .flags = OT_POISON32 };

	EXPECT_EQ(0, ot_ioctl(self->stim, ONI_STIM_IOC_STATUS, &st));
	EXPECT_EQ(ONI_STIM_HAS_POLICY, st.flags & ONI_STIM_HAS_POLICY);
	EXPECT_EQ(0, st.flags & OT_POISON32 & ~0x3fu);
}

/* verifies: R18 */
TEST_F(node, stop_node_tells_one_line)
{
	char text[128];
	int fd = ost_open_stop(O_RDONLY);
	long n;

	ASSERT_LE(0, fd);
	n = ot_read(fd, text, sizeof(text));
	ASSERT_LT(1, n);
	EXPECT_EQ('\n', text[n - 1]);
	EXPECT_EQ(text + n - 1, memchr(text, '\n', n));
	EXPECT_EQ(0, ot_read(fd, text, sizeof(text)));
	close(fd);
}

/* verifies: R22 */
TEST_F(node, read_only_file_asks_and_does_nothing)
{
	static struct ost_program g;
	struct oni_stim_policy p;
	struct oni_stim_status st;
	struct oni_stim_verdict v;
	uint8_t hash[ONI_STIM_HASH_BYTES] = { 0 };
	uint64_t nonce;
	int fd = ost_open(O_RDONLY);

	ASSERT_LE(0, fd);
	ost_rhs(&g, W);
	ost_pulses(&g, 1, 100, 6, 302, 1);
	EXPECT_EQ(0, ost_status(fd, &st));
	EXPECT_EQ(0, ost_limits(fd, &p));
	EXPECT_EQ(0, ost_load(fd, ONI_STIM_IOC_CHECK, 0, &g, NULL, &v));
	EXPECT_EQ(-EPERM, ost_claim(fd, &nonce, NULL));
	EXPECT_EQ(-EPERM, ost_policy(fd, &p, 0, NULL));
	EXPECT_EQ(-EPERM, ost_lower(fd, &p, NULL));
	EXPECT_EQ(-EPERM, ost_step(fd, 1, OST_HUB_RHS, 1000, NULL));
	EXPECT_EQ(-EPERM, ost_load(fd, ONI_STIM_IOC_LOAD, 1, &g, NULL, NULL));
	EXPECT_EQ(-EPERM, ost_arm(fd, 1, hash, 1000, NULL));
	EXPECT_EQ(-EPERM, ost_kick(fd, 1, 1, 1, NULL));
	EXPECT_EQ(-EPERM, ost_call(fd, ONI_STIM_IOC_FIRE, 1, NULL));
	EXPECT_EQ(-EPERM, ost_call(fd, ONI_STIM_IOC_ACK_FAULT, 1, NULL));
	close(fd);
}

/* --- format ---------------------------------------------------------------------- */

#define MAX_ARG	512

struct format {
	const char *name;
	unsigned long cmd;
	uint32_t size, reserved, end;	/* [reserved, end) are zero */
};

#define CALL(n, cmd_, s)							\
	static const struct format format_##n = {				\
		#n, cmd_, sizeof(struct s), offsetof(struct s, reserved),	\
		offsetof(struct s, reserved) + sizeof(((struct s *)0)->reserved),	\
	}

CALL(status, ONI_STIM_IOC_STATUS, oni_stim_status);
CALL(policy, ONI_STIM_IOC_POLICY, oni_stim_policy_arg);
CALL(limits, ONI_STIM_IOC_LIMITS, oni_stim_policy_arg);
CALL(lower, ONI_STIM_IOC_LOWER, oni_stim_policy_arg);
CALL(check, ONI_STIM_IOC_CHECK, oni_stim_load);
CALL(claim, ONI_STIM_IOC_CLAIM, oni_stim_claim);
CALL(step, ONI_STIM_IOC_STEP, oni_stim_step);
CALL(load, ONI_STIM_IOC_LOAD, oni_stim_load);
CALL(arm, ONI_STIM_IOC_ARM, oni_stim_arm);
CALL(kick, ONI_STIM_IOC_KICK, oni_stim_kick);
CALL(fire, ONI_STIM_IOC_FIRE, oni_stim_call);
CALL(disarm, ONI_STIM_IOC_DISARM, oni_stim_call);
CALL(release, ONI_STIM_IOC_RELEASE, oni_stim_call);
CALL(ack_fault, ONI_STIM_IOC_ACK_FAULT, oni_stim_call);

FIXTURE(format) {
	int stim;
	uint8_t *arg;
};

FIXTURE_VARIANT(format) {
	const struct format *call;
};

#define FOR(c)	FIXTURE_VARIANT_ADD(format, c) { .call = &format_##c }
FOR(status);
FOR(policy);
FOR(limits);
FOR(lower);
FOR(check);
FOR(claim);
FOR(step);
FOR(load);
FOR(arm);
FOR(kick);
FOR(fire);
FOR(disarm);
FOR(release);
FOR(ack_fault);

FIXTURE_SETUP(format)
{
	close(ot_open_within(OT_REPLUG_MS));
	self->stim = ost_open(O_RDWR);
	ASSERT_LE(0, self->stim);
	self->arg = ot_guarded(MAX_ARG);
}

FIXTURE_TEARDOWN(format)
{
	close(self->stim);
}

/* @size bytes that end where the page does: a size, and zeros. */
static uint8_t *zeros(uint8_t *arg, uint32_t size)
{
	uint8_t *at = arg + MAX_ARG - size;

	memset(at, 0, size);
	memcpy(at, &size, sizeof(size));
	return at;
}

TEST_F(format, short_size_is_einval)
{
	const struct format *c = variant->call;
	const uint32_t sizes[] = { 0, 4, c->size - 4, c->size - 1 };
	uint8_t *at = zeros(self->arg, c->size);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		memcpy(at, &sizes[i], sizeof(sizes[i]));
		EXPECT_EQ(-EINVAL, ot_ioctl(self->stim, c->cmd, at))
			TH_LOG("size %u", sizes[i]);
	}
}

TEST_F(format, longer_with_nonzero_tail_is_e2big)
{
	uint8_t *at = zeros(self->arg, variant->call->size + 8);

	at[variant->call->size + 7] = 1;
	EXPECT_EQ(-E2BIG, ot_ioctl(self->stim, variant->call->cmd, at));
}

TEST_F(format, reserved_is_einval)
{
	const struct format *c = variant->call;
	uint8_t *at = zeros(self->arg, c->size);
	uint32_t i;

	for (i = c->reserved; i < c->end; i++) {
		at[i] = 1;
		EXPECT_EQ(-EINVAL, ot_ioctl(self->stim, c->cmd, at))
			TH_LOG("byte %u", i);
		at[i] = 0;
	}
}

TEST_F(format, flags_are_einval)
{
	const struct format *c = variant->call;
	const uint32_t flag = 0x100;
	uint8_t *at = zeros(self->arg, c->size);

	if (c->cmd == ONI_STIM_IOC_STATUS)	/* there, they are a result */
		return;
	memcpy(at + 4, &flag, sizeof(flag));
	EXPECT_EQ(-EINVAL, ot_ioctl(self->stim, c->cmd, at));
}

TEST_F(format, bad_pointer_is_efault)
{
	const struct format *c = variant->call;
	uint8_t *at = self->arg + MAX_ARG - 4;

	EXPECT_EQ(-EFAULT, ot_ioctl(self->stim, c->cmd, NULL));
	/* the size can be read, the rest can not */
	memcpy(at, &c->size, sizeof(c->size));
	EXPECT_EQ(-EFAULT, ot_ioctl(self->stim, c->cmd, at));
}

TEST_F(format, nothing_on_other_nodes)
{
	const struct format *c = variant->call;
	int ctl = ot_open(O_RDWR), stop = ost_open_stop(O_RDWR);

	EXPECT_EQ(-ENOTTY, ot_ioctl(ctl, c->cmd, zeros(self->arg, c->size)));
	EXPECT_EQ(-ENOTTY, ot_ioctl(stop, c->cmd, zeros(self->arg, c->size)));
	close(ctl);
	close(stop);
}

TEST(unknown_numbers_are_enotty)
{
	int stim = (close(ot_open_within(OT_REPLUG_MS)), ost_open(O_RDWR));
	struct oni_simple arg = { .size = sizeof(arg) };
	uint32_t nr;

	ASSERT_LE(0, stim);
	for (nr = 0; nr < 256; nr++) {
		if (nr >= 0x40 && nr <= 0x4d)
			continue;
		EXPECT_EQ(-ENOTTY, ot_ioctl(stim, _IO(0xb9, nr), &arg))
			TH_LOG("number 0x%x", nr);
	}
	close(stim);
}

/* --- bounds: each by itself, in CHECK and in LOAD ------------------------------------ */

struct bound {
	const char *name;
	void (*program)(struct ost_program *g);
	uint32_t code, contact, source;
	uint64_t asked, allowed;
};

static void make_amplitude(struct ost_program *g)
{
	ost_pulses(g, 1, 201, 1, 302, 1);
}

/* 200 uA * 4 samples are 26.5 nC */
static void make_charge(struct ost_program *g)
{
	ost_pulses(g, 1, 200, 4, 302, 1);
}

static void make_width(struct ost_program *g)
{
	ost_pulses(g, 1, 1, 16, 302, 1);
}

static void make_rate(struct ost_program *g)
{
	ost_pulses(g, 1, 100, 6, 75, 2);
}

/* 2 * 15 samples of 151: a fifth, but for a little */
static void make_duty(struct ost_program *g)
{
	ost_pulses(g, 1, 10, 15, 149, 300);
}

static void make_train(struct ost_program *g)
{
	ost_pulses(g, 1, 100, 6, 301933, 2);
}

static void make_net(struct ost_program *g)
{
	ost_pulses(g, 1, 100, 6, 302, 1);
	g->rows[2].time++;
}

/*
 * Two channels, the second 10 samples behind, by a builder that forgets the other
 * channel at each new time: the first ends with 2 samples of current too much.
 */
static void make_staggered(struct ost_program *g)
{
	g->p.chip[0].positive[0] = 100;
	g->p.chip[0].negative[0] = 100;
	g->p.chip[0].positive[1] = 100;
	g->p.chip[0].negative[1] = 100;
	ost_row(g, 0, 0, 0x00010001);
	ost_row(g, 0, 6, 0x00000001);
	ost_row(g, 0, 10, 0x00020002);
	ost_row(g, 0, 12, 0x00000000);
	ost_row(g, 0, 16, 0x00000002);
	ost_row(g, 0, 22, 0x00000000);
}

static void make_gap(struct ost_program *g)
{
	g->p.chip[0].positive[0] = 100;
	g->p.chip[0].negative[0] = 100;
	ost_row(g, 0, 0, 0x00010001);
	ost_row(g, 0, 6, 0);
	ost_row(g, 0, 37, 0x00000001);
	ost_row(g, 0, 43, 0);
}

static void make_watchdog(struct ost_program *g)
{
	ost_pulses(g, 1, 100, 6, 302, 1);
	g->p.watchdog_ms = 9001;
}

static void make_external(struct ost_program *g)
{
	ost_pulses(g, 1, 100, 6, 302, 1);
	g->p.sources |= ONI_STIM_FROM_GPIO;
}

static void make_unknown(struct ost_program *g)
{
	ost_pulses(g, 1u << OST_UNKNOWN_CONTACT, 1, 1, 302, 1);
}

static void make_no_area(struct ost_program *g)
{
	ost_pulses(g, 1u << OST_NO_AREA_CONTACT, 1, 1, 302, 1);
}

static void make_left_on(struct ost_program *g)
{
	ost_pulses(g, 1, 100, 6, 302, 1);
	g->rows[2].polen = 0x1;
}

static void make_not_monotonic(struct ost_program *g)
{
	ost_pulses(g, 1, 100, 6, 302, 1);
	g->rows[1].time = 0;
}

static void make_time_range(struct ost_program *g)
{
	ost_pulses(g, 1, 100, 6, 302, 1);
	g->rows[2].time = ONI_STIM_TIME_MAX + 1;
}

static void make_slots(struct ost_program *g)
{
	ost_pulses(g, 1, 1, 1, 302, 342);
}

static void make_step(struct ost_program *g)
{
	ost_pulses(g, 1, 1, 1, 302, 1);
	g->p.chip[0].step_na = 3000;
}

static void make_version(struct ost_program *g)
{
	ost_pulses(g, 1, 1, 1, 302, 1);
	g->p.version++;
}

static void make_kind(struct ost_program *g)
{
	ost_pulses(g, 1, 1, 1, 302, 1);
	g->p.kind = 3;
}

static void make_no_watchdog(struct ost_program *g)
{
	ost_pulses(g, 1, 1, 1, 302, 1);
	g->p.watchdog_ms = 0;
}

static void make_monophasic(struct ost_program *g)
{
	ost_hs64(g, W, 5);
	g->p.hs64.biphasic = 0;
}

static void make_resting(struct ost_program *g)
{
	ost_hs64(g, W, 5);
	g->p.hs64.interphase = 10;	/* the resting current is never zero */
}

#define NOBODY_S	ONI_STIM_BY_NOBODY
#define HARDWARE	ONI_STIM_BY_HARDWARE
#define POLICY		ONI_STIM_BY_POLICY
#define NONE		ONI_STIM_NO_CONTACT
#define ANY		(~0ull)		/* asked or allowed is not a round number */

static const struct bound bounds[] = {
	{ "amplitude", make_amplitude, ONI_STIM_AMPLITUDE, 0, POLICY, 201000, 200000 },
	{ "charge", make_charge, ONI_STIM_CHARGE, 0, POLICY, 26496000, 25000000 },
	{ "width", make_width, ONI_STIM_WIDTH, 0, POLICY, 16 * 33120, 500000 },
	{ "rate", make_rate, ONI_STIM_RATE, 0, POLICY, ANY, 400000 },
	{ "duty", make_duty, ONI_STIM_DUTY, 0, POLICY, ANY, 200000 },
	{ "train", make_train, ONI_STIM_TRAIN, 0, POLICY, ANY, 9000000000ull },
	{ "net", make_net, ONI_STIM_NET, 0, POLICY, 3312000, 0 },
	{ "staggered", make_staggered, ONI_STIM_NET, 0, POLICY, 6624000, 0 },
	{ "gap", make_gap, ONI_STIM_GAP, 0, POLICY, 31 * 33120, 1000000 },
	{ "watchdog", make_watchdog, ONI_STIM_WATCHDOG, 0, POLICY, 9001, 9000 },
	{ "external", make_external, ONI_STIM_EXTERNAL, 0, POLICY, 1, 0 },
	{ "unknown contact", make_unknown, ONI_STIM_UNKNOWN_CONTACT, OST_UNKNOWN_CONTACT,
	  NOBODY_S, ANY, 0 },
	{ "no area", make_no_area, ONI_STIM_NO_AREA, OST_NO_AREA_CONTACT, POLICY, ANY, 0 },
	{ "left on", make_left_on, ONI_STIM_LEFT_ON, NONE, HARDWARE, 1, 0 },
	{ "not monotonic", make_not_monotonic, ONI_STIM_NOT_MONOTONIC, NONE, HARDWARE, 0, 1 },
	{ "time", make_time_range, ONI_STIM_TIME_RANGE, NONE, HARDWARE, 1u << 22,
	  (1u << 22) - 1 },
	{ "slots", make_slots, ONI_STIM_TOO_MANY_SLOTS, NONE, HARDWARE, 1026, 1024 },
	{ "step", make_step, ONI_STIM_STEP_SIZE, NONE, HARDWARE, 3000, ANY },
	{ "version", make_version, ONI_STIM_BAD_PROGRAM, NONE, HARDWARE, ANY, ONI_STIM_VERSION },
	{ "kind", make_kind, ONI_STIM_BAD_PROGRAM, NONE, HARDWARE, 3, ANY },
	{ "no watchdog", make_no_watchdog, ONI_STIM_BAD_PROGRAM, NONE, HARDWARE, 0, ANY },
	{ "monophasic", make_monophasic, ONI_STIM_PARAMETER, 0, HARDWARE, 0, 1 },
	{ "resting current", make_resting, ONI_STIM_NET, 0, POLICY, ANY, 0 },
};

static void expect_bound(struct __test_metadata *_metadata, const struct bound *b, int ret,
			 const struct oni_stim_verdict *v)
{
	EXPECT_EQ(-ERANGE, ret)
		TH_LOG("%s", b->name);
	EXPECT_EQ(b->code, v->code)
		TH_LOG("%s", b->name);
	EXPECT_EQ(b->contact, v->contact)
		TH_LOG("%s", b->name);
	EXPECT_EQ(b->source, v->source)
		TH_LOG("%s", b->name);
	if (b->asked != ANY) {
		EXPECT_EQ(b->asked, v->asked)
			TH_LOG("%s", b->name);
	}
	if (b->allowed != ANY) {
		EXPECT_EQ(b->allowed, v->allowed)
			TH_LOG("%s", b->name);
	}
}

/* verifies: R01, R03, R08, R13, R17, R35, R02 */
TEST_F(node, check_names_the_bound)
{
	static struct ost_program g;
	struct oni_stim_verdict v;
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(bounds); i++) {
		ost_rhs(&g, W);
		bounds[i].program(&g);
		ret = ost_load(self->stim, ONI_STIM_IOC_CHECK, 0, &g, NULL, &v);
		expect_bound(_metadata, &bounds[i], ret, &v);
	}
}

/* More contacts at once than the return may have. verifies: R37 */
TEST_F(policy, the_sum_has_bounds_of_its_own)
{
	static struct ost_program g;
	struct oni_stim_verdict v;

	self->f.p.cls[2].max[ONI_STIM_AMPLITUDE] = 399999;
	ASSERT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
	ost_rhs(&g, W);
	ost_pulses(&g, 0xf, 100, 6, 302, 1);
	EXPECT_VERDICT(ERANGE, ONI_STIM_AMPLITUDE,
		       ost_load(self->f.stim, ONI_STIM_IOC_CHECK, 0, &g, NULL, &v));
	EXPECT_EQ(ONI_STIM_RETURN, v.contact);
	EXPECT_EQ(400000, v.asked);
	EXPECT_EQ(399999, v.allowed);
}

/* Density and Shannon's k, where charge itself is far below. verifies: R01 */
TEST_F(policy, density_and_shannon_are_bounds)
{
	static struct ost_program g;
	struct oni_stim_verdict v;

	self->f.p.cls[0].max[ONI_STIM_AREA] = 2000;
	ASSERT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
	ost_rhs(&g, W);
	ost_pulses(&g, 1, 100, 6, 302, 1);	/* 19.872 nC on 2000 um2 */
	EXPECT_VERDICT(ERANGE, ONI_STIM_DENSITY,
		       ost_load(self->f.stim, ONI_STIM_IOC_CHECK, 0, &g, NULL, &v));
	EXPECT_EQ(993600, v.asked);
	EXPECT_EQ(30000, v.allowed);
	self->f.p.cls[0].max[ONI_STIM_SHANNON] = 1;
	self->f.p.cls[0].max[ONI_STIM_AREA] = 2000;
	EXPECT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
	ost_rhs(&g, W);
	ost_pulses(&g, 1, 3, 6, 302, 1);	/* 596 pC: density 29808 */
	EXPECT_VERDICT(ERANGE, ONI_STIM_SHANNON,
		       ost_load(self->f.stim, ONI_STIM_IOC_CHECK, 0, &g, NULL, &v));
	EXPECT_EQ(1, v.allowed);
}

TEST_F(node, check_gives_the_hash)
{
	static struct ost_program g;
	struct oni_stim_verdict v;
	uint8_t hash[ONI_STIM_HASH_BYTES];

	ost_rhs(&g, W);
	ost_pulses(&g, 1, 100, 6, 302, 100);
	ost_seal(&g);
	ASSERT_EQ(0, ost_load(self->stim, ONI_STIM_IOC_CHECK, 0, &g, hash, &v));
	EXPECT_EQ(ONI_STIM_OK, v.code);
	EXPECT_EQ(0, memcmp(hash, g.hash, sizeof(hash)));
	ost_hs64(&g, W, 5);
	ost_seal(&g);
	ASSERT_EQ(0, ost_load(self->stim, ONI_STIM_IOC_CHECK, 0, &g, hash, &v));
	EXPECT_EQ(0, memcmp(hash, g.hash, sizeof(hash)));
}

TEST_F(node, pointers_of_a_program)
{
	static struct ost_program g;
	struct oni_stim_load arg = {
		.size = sizeof(arg), .program = (uintptr_t)&g.p, .rows = (uintptr_t)g.rows,
		.hub = OST_HUB_RHS,
	};

	ost_rhs(&g, W);
	ost_pulses(&g, 1, 100, 6, 302, 1);
	arg.nrows = g.nrows;
	EXPECT_EQ(0, ot_ioctl(self->stim, ONI_STIM_IOC_CHECK, &arg));
	arg.program = 8;
	EXPECT_EQ(-EFAULT, ot_ioctl(self->stim, ONI_STIM_IOC_CHECK, &arg));
	arg.program = (uintptr_t)&g.p;
	arg.rows = 8;
	EXPECT_EQ(-EFAULT, ot_ioctl(self->stim, ONI_STIM_IOC_CHECK, &arg));
	/* more rows than both tables have slots are no memory to ask for */
	arg.rows = (uintptr_t)g.rows;
	arg.nrows = 0xffffffff;
	EXPECT_GT(0, ot_ioctl(self->stim, ONI_STIM_IOC_CHECK, &arg));
	arg.nrows = OST_ROWS + 1;
	EXPECT_GT(0, ot_ioctl(self->stim, ONI_STIM_IOC_CHECK, &arg));
	arg.nrows = g.nrows - 1;
	EXPECT_EQ(-ERANGE, ot_ioctl(self->stim, ONI_STIM_IOC_CHECK, &arg));
	EXPECT_EQ(ONI_STIM_BAD_PROGRAM, arg.verdict.code);
}

/* --- a session ---------------------------------------------------------------------- */

FIXTURE(session) {
	int ctl, stim, ev;
	uint64_t nonce;
	struct ost_life life;
	struct ost_program g;
	uint8_t hash[ONI_STIM_HASH_BYTES];
};

static bool powered(int ctl)
{
	struct oni_device rows[OT_MAX_ROWS];
	int i, hubs = 0, n = ot_table(ctl, rows, OT_MAX_ROWS);

	for (i = 0; i < n; i++)
		hubs |= 1 << (rows[i].addr >> 8);
	return (hubs & 6) == 6;
}

/* Claimed, with a known step, and an acquisition that is read. */
FIXTURE_SETUP(session)
{
	struct oni_stim_policy p;
	struct oni_stim_verdict v;
	struct fresh f;

	self->life.s.fd = -1;
	self->ctl = ot_open_within(OT_REPLUG_MS);
	ASSERT_LE(0, self->ctl);
	self->stim = ost_open(O_RDWR);
	ASSERT_LE(0, self->stim);
	ost_policy_fill(&p);
	if (ost_policy(self->stim, &p, 0, &v)) {
		close(self->stim);
		close(self->ctl);
		ASSERT_EQ(0, fresh_open(&f));
		self->ctl = f.ctl;
		self->stim = f.stim;
		ASSERT_EQ(0, ost_policy(self->stim, &p, 0, &v));
	}
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_CLAIM));
	if (!powered(self->ctl)) {
		ASSERT_EQ(0, ost_power(self->ctl));
	}
	self->ev = ost_events(self->ctl, 0);
	ASSERT_LE(0, self->ev);
	ASSERT_EQ(0, ost_claim(self->stim, &self->nonce, &v));
	EXPECT_NE(0, self->nonce);
	ASSERT_EQ(0, ost_step(self->stim, self->nonce, OST_HUB_RHS, OST_STEP_NA, &v));
	ASSERT_EQ(0, ost_feed(self->ctl));
	/* Room for the second that a program takes on a debug kernel. */
	ASSERT_EQ(0, ost_stream(&self->life, self->ctl, 16 << 20));
	ASSERT_EQ(0, ost_start(&self->life, self->ctl));
	self->life.fd = self->stim;
	self->life.nonce = self->nonce;
	ost_rhs(&self->g, W);
	ost_pulses(&self->g, 1, 100, 6, 302, 10);	/* 91 ms */
	ost_seal(&self->g);
}

FIXTURE_TEARDOWN(session)
{
	struct oni_stim_status st;

	close(self->ev);
	if (!ost_status(self->stim, &st) && st.state == ONI_STIM_FAULT) {
		EXPECT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_ACK_FAULT, 0, NULL));
	}
	ost_halt(&self->life, self->ctl);
	ost_close(&self->life);
	close(self->stim);
	close(self->ctl);
}

static int load(FIXTURE_DATA(session) *s, struct oni_stim_verdict *v)
{
	return ost_load(s->stim, ONI_STIM_IOC_LOAD, s->nonce, &s->g, s->hash, v);
}

/* Loaded, armed, and kept alive. */
static int armed(FIXTURE_DATA(session) *s)
{
	struct oni_stim_verdict v;
	int ret = load(s, &v);

	if (!ret)
		ret = ost_arm(s->stim, s->nonce, s->hash, TTL_MS, &v);
	s->life.kick = !ret;
	return ret;
}

static uint32_t state(int stim)
{
	struct oni_stim_status st;

	return ost_status(stim, &st) ? OT_POISON32 : st.state;
}

static uint32_t because(int stim)
{
	struct oni_stim_status st;

	return ost_status(stim, &st) ? OT_POISON32 : st.because;
}

/* FIRE as soon as it may be. */
static int fire(FIXTURE_DATA(session) *s, struct oni_stim_verdict *v)
{
	uint64_t end = ot_now_ns() + OST_SOON_MS * 1000000ULL;
	int ret;

	while ((ret = ost_call(s->stim, ONI_STIM_IOC_FIRE, s->nonce, v)) == -EPERM &&
	       v->code == ONI_STIM_TOO_SOON && ot_now_ns() < end)
		ot_sleep_ms(5);
	return ret;
}

/* verifies: R15, R18, R31, R40 */
TEST_F(session, from_claim_to_delivery)
{
	struct oni_stim_status before, st;
	struct oni_stim_verdict v;
	struct oni_stim_event e;
	int i;

	ASSERT_EQ(0, ost_status(self->stim, &before));
	EXPECT_EQ(ONI_STIM_CLAIMED, before.state);
	EXPECT_EQ(getpid(), before.owner);
	EXPECT_EQ(ONI_STIM_IS_OWNER, before.flags & ONI_STIM_IS_OWNER);
	EXPECT_EQ(ONI_STIM_CONFIRMED, before.flags & ONI_STIM_CONFIRMED);
	ASSERT_EQ(0, load(self, &v));
	EXPECT_EQ(ONI_STIM_OK, v.code);
	EXPECT_EQ(0, memcmp(self->hash, self->g.hash, sizeof(self->hash)));
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_EQ(ONI_STIM_LOADED, st.state);
	EXPECT_EQ(OST_HUB_RHS, st.hub);
	EXPECT_EQ(0, st.watchdog_ms);
	EXPECT_EQ(0, st.ttl_ms);
	EXPECT_EQ(0, memcmp(st.program, self->g.hash, sizeof(st.program)));
	EXPECT_EQ(ONI_STIM_CONFIRMED, st.flags & ONI_STIM_CONFIRMED);
	ASSERT_EQ(0, ost_arm(self->stim, self->nonce, self->hash, TTL_MS, &v));
	self->life.kick = true;
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_EQ(ONI_STIM_ARMED, st.state);
	EXPECT_GE(W, st.watchdog_ms);
	EXPECT_LT(0, st.watchdog_ms);
	EXPECT_GE(TTL_MS, st.ttl_ms);
	EXPECT_LT(0, st.ttl_ms);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, fire(self, &v));
		EXPECT_EQ(0, ost_event(self->ev, ONI_STIM_EV_DELIVERED, &e, OST_SOON_MS));
	}
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_EQ(before.fires + 3, st.fires);
	EXPECT_EQ(before.delivered + 3, st.delivered);
	ASSERT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_DISARM, self->nonce, &v));
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_EQ(ONI_STIM_LOADED, st.state);
	EXPECT_EQ(ONI_STIM_BECAUSE_OWNER, st.because);
	EXPECT_EQ(0, st.flags & ONI_STIM_PLAYING);
	EXPECT_EQ(0, st.ttl_ms);
	ASSERT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_RELEASE, self->nonce, &v));
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_EQ(ONI_STIM_SAFE, st.state);
	EXPECT_EQ(0, st.owner);
	EXPECT_EQ(0, st.flags & ONI_STIM_IS_OWNER);
	EXPECT_EQ(before.faults, st.faults);
}

/* It can be armed again without another LOAD. */
TEST_F(session, disarm_keeps_the_program)
{
	struct oni_stim_verdict v;
	struct oni_stim_event e;

	ASSERT_EQ(0, armed(self));
	/* A kick would wait for the program to be written, and the ring fill up. */
	self->life.kick = false;
	ASSERT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_DISARM, self->nonce, &v));
	ASSERT_EQ(0, ost_arm(self->stim, self->nonce, self->hash, TTL_MS, &v));
	self->life.kick = true;
	ASSERT_EQ(0, fire(self, &v)) {
		TH_LOG("code %u", v.code);
	}
	EXPECT_EQ(0, ost_event(self->ev, ONI_STIM_EV_DELIVERED, &e, OST_SOON_MS));
}

static int second_claimer(void *arg)
{
	struct oni_stim_status st;
	struct oni_stim_verdict v;
	uint64_t nonce;
	int fd = ost_open(O_RDWR);

	(void)arg;
	if (fd < 0)
		return 1;
	if (ost_claim(fd, &nonce, &v) != -EBUSY || v.code != ONI_STIM_BUSY)
		return 2;
	if (ost_status(fd, &st) || st.owner != getppid() || st.flags & ONI_STIM_IS_OWNER)
		return 3;
	return 0;
}

/* verifies: R22, R25 */
TEST_F(session, second_claimer_is_ebusy)
{
	struct oni_stim_event e;

	EXPECT_EQ(0, in_child(second_claimer, NULL));
	EXPECT_EQ(ONI_STIM_CLAIMED, state(self->stim));
	ASSERT_EQ(0, ost_event(self->ev, ONI_STIM_EV_REFUSED, &e, OST_SOON_MS));
	EXPECT_EQ(_IOC_NR(ONI_STIM_IOC_CLAIM), e.arg & 0xff);
	EXPECT_EQ(ONI_STIM_BUSY, e.verdict.code);
	EXPECT_NE((uint32_t)getpid(), e.tgid);
}

/* Every call of a session, none of which may work: the first one that did, or was refused otherwise. */
static int all_refused(FIXTURE_DATA(session) *s, uint64_t nonce, uint32_t code)
{
	struct oni_stim_verdict v;

	if (ost_step(s->stim, nonce, OST_HUB_RHS, 1000, &v) != -EPERM || v.code != code)
		return 1;
	if (ost_load(s->stim, ONI_STIM_IOC_LOAD, nonce, &s->g, NULL, &v) != -EPERM ||
	    v.code != code)
		return 2;
	if (ost_arm(s->stim, nonce, s->g.hash, 1000, &v) != -EPERM || v.code != code)
		return 3;
	if (ost_kick(s->stim, nonce, ot_head(&s->life.s), s->life.s.prod->generation, &v) !=
	    -EPERM || v.code != code)
		return 4;
	if (ost_call(s->stim, ONI_STIM_IOC_FIRE, nonce, &v) != -EPERM || v.code != code)
		return 5;
	if (ost_call(s->stim, ONI_STIM_IOC_DISARM, nonce, &v) != -EPERM || v.code != code)
		return 6;
	if (ost_call(s->stim, ONI_STIM_IOC_RELEASE, nonce, &v) != -EPERM || v.code != code)
		return 7;
	return 0;
}

/* Of a session in a FAULT only its end is left. verifies: R33 */
TEST_F_TIMEOUT(session, nothing_works_in_a_fault, 120)
{
	ASSERT_EQ(0, armed(self));
	self->life.kick = false;
	ASSERT_EQ(ONI_STIM_FAULT, ost_wait_state(self->stim, OST_IN(ONI_STIM_FAULT), W + OST_SOON_MS));
	EXPECT_EQ(ONI_STIM_BECAUSE_WATCHDOG, because(self->stim));
	EXPECT_EQ(7, all_refused(self, self->nonce, ONI_STIM_FAULTED));
	EXPECT_EQ(ONI_STIM_FAULT, state(self->stim));
}

/* Whoever sets the clock of the wall neither ends nor prolongs anything. verifies: R07 */
TEST_F_TIMEOUT(session, clock_that_is_set_changes_nothing, 120)
{
	struct oni_stim_status st;
	struct oni_stim_verdict v;
	struct timespec was, t;
	int i;

	ASSERT_EQ(0, armed(self));
	for (i = -1; i <= 1; i += 2) {
		ASSERT_EQ(0, clock_gettime(CLOCK_REALTIME, &was));
		t = was;
		t.tv_sec += i * 86400;
		ASSERT_EQ(0, clock_settime(CLOCK_REALTIME, &t));
		ot_sleep_ms(100);
		EXPECT_EQ(0, ost_status(self->stim, &st));
		EXPECT_EQ(0, clock_settime(CLOCK_REALTIME, &was));
		EXPECT_EQ(ONI_STIM_ARMED, st.state);
		EXPECT_GE(W, st.watchdog_ms);
		EXPECT_GE(TTL_MS, st.ttl_ms);
	}
	EXPECT_EQ(0, fire(self, &v));
}

static int child_of_owner(void *arg)
{
	FIXTURE_DATA(session) *s = arg;

	return all_refused(s, s->nonce, ONI_STIM_NOT_OWNER);
}

/* It holds the file, knows the nonce, and its end is not the owner's. verifies: R29 */
TEST_F(session, child_is_not_the_owner)
{
	struct oni_stim_status before, st;

	ASSERT_EQ(0, armed(self));
	ASSERT_EQ(0, ost_status(self->stim, &before));
	EXPECT_EQ(0, in_child(child_of_owner, self));
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_EQ(ONI_STIM_ARMED, st.state);
	EXPECT_EQ(before.refusals + 7, st.refusals);
	EXPECT_EQ(before.fires, st.fires);
}

static int receiver(void *arg)
{
	FIXTURE_DATA(session) *s = arg;

	s->stim = ot_recv_fd(s->ev);
	if (s->stim < 0)
		return 100;
	return all_refused(s, s->nonce, ONI_STIM_NOT_OWNER);
}

/* verifies: R29 */
TEST_F(session, receiver_of_the_file_is_not_the_owner)
{
	int pair[2], status;
	FIXTURE_DATA(session) copy;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	copy = *self;
	copy.ev = pair[1];
	pid = fork();
	if (!pid) {
		close(self->stim);
		_exit(receiver(&copy));
	}
	ASSERT_EQ(0, ot_send_fd(pair[0], self->stim));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(ONI_STIM_CLAIMED, state(self->stim));
	close(pair[0]);
	close(pair[1]);
}

/* verifies: R22 */
TEST_F(session, other_nonce_is_refused)
{
	EXPECT_EQ(0, all_refused(self, self->nonce + 1, ONI_STIM_NONCE));
	EXPECT_EQ(0, all_refused(self, 0, ONI_STIM_NONCE));
	EXPECT_EQ(ONI_STIM_CLAIMED, state(self->stim));
}

/* verifies: R22 */
TEST_F(session, nonce_of_an_earlier_session_is_refused)
{
	struct oni_stim_verdict v;
	uint64_t old = self->nonce;

	ASSERT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_RELEASE, old, &v));
	ASSERT_EQ(0, ost_claim(self->stim, &self->nonce, &v));
	EXPECT_NE(old, self->nonce);
	EXPECT_EQ(0, all_refused(self, old, ONI_STIM_NONCE));
}

/* verifies: R22, R40 */
TEST_F(session, nothing_without_a_claim)
{
	struct oni_stim_verdict v;

	ASSERT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_RELEASE, self->nonce, &v));
	EXPECT_EQ(0, all_refused(self, self->nonce, ONI_STIM_NOT_OWNER));
}

/* verifies: R40 */
TEST_F(session, each_step_in_its_state)
{
	struct oni_stim_verdict v;

	EXPECT_VERDICT(EPERM, ONI_STIM_STATE,
		       ost_arm(self->stim, self->nonce, self->g.hash, 1000, &v));
	EXPECT_EQ(ONI_STIM_CLAIMED, v.allowed);
	EXPECT_VERDICT(EPERM, ONI_STIM_STATE,
		       ost_call(self->stim, ONI_STIM_IOC_FIRE, self->nonce, &v));
	EXPECT_EQ(ONI_STIM_ARMED, v.asked);
	EXPECT_EQ(ONI_STIM_CLAIMED, v.allowed);
	EXPECT_VERDICT(EPERM, ONI_STIM_STATE,
		       ost_kick(self->stim, self->nonce, ot_head(&self->life.s),
				self->life.s.prod->generation, &v));
	ASSERT_EQ(0, load(self, &v));
	EXPECT_VERDICT(EPERM, ONI_STIM_STATE,
		       ost_call(self->stim, ONI_STIM_IOC_FIRE, self->nonce, &v));
	EXPECT_EQ(ONI_STIM_LOADED, v.allowed);
}

/* verifies: R15 */
TEST_F(session, only_what_is_loaded_is_armed)
{
	struct oni_stim_verdict v;

	ASSERT_EQ(0, load(self, &v));
	self->hash[31] ^= 1;
	EXPECT_VERDICT(EPERM, ONI_STIM_HASH,
		       ost_arm(self->stim, self->nonce, self->hash, 1000, &v));
	EXPECT_EQ(ONI_STIM_LOADED, state(self->stim));
	memset(self->hash, 0, sizeof(self->hash));
	EXPECT_VERDICT(EPERM, ONI_STIM_HASH,
		       ost_arm(self->stim, self->nonce, self->hash, 1000, &v));
}

/* What is armed is not changed under way. verifies: R15 */
TEST_F(session, another_load_is_not_what_is_armed)
{
	struct oni_stim_status st;
	struct oni_stim_verdict v;
	int ret;

	ASSERT_EQ(0, armed(self));
	ost_rhs(&self->g, W);
	ost_pulses(&self->g, 1, 50, 6, 302, 10);
	ost_seal(&self->g);
	ret = load(self, &v);
	ASSERT_EQ(0, ost_status(self->stim, &st));
	if (ret) {
		EXPECT_VERDICT(EPERM, ONI_STIM_STATE, ret);
		EXPECT_EQ(ONI_STIM_ARMED, st.state);
		EXPECT_NE(0, memcmp(st.program, self->g.hash, sizeof(st.program)));
		return;
	}
	EXPECT_EQ(ONI_STIM_LOADED, st.state);
	EXPECT_EQ(ONI_STIM_BECAUSE_LOAD, st.because);
	EXPECT_EQ(0, memcmp(st.program, self->g.hash, sizeof(st.program)));
}

/* Refused as CHECK refuses; and what was loaded before is not run instead. verifies: R01, R03, R15, R35 */
TEST_F(session, load_of_what_is_out_of_bounds)
{
	struct oni_stim_verdict v;
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(bounds); i++) {
		if (!strcmp(bounds[i].name, "step"))	/* see below */
			continue;
		ost_rhs(&self->g, W);
		bounds[i].program(&self->g);
		ret = load(self, &v);
		expect_bound(_metadata, &bounds[i], ret, &v);
		EXPECT_EQ(ONI_STIM_CLAIMED, state(self->stim));
	}
}

/* A card that says yes and does nothing. verifies: R36 */
TEST_F(session, what_does_not_arrive_is_not_loaded)
{
	struct oni_stim_verdict v;

	ASSERT_EQ(0, ot_lab("fault deaf 4294967295"));
	EXPECT_VERDICT(EPERM, ONI_STIM_READ_BACK, load(self, &v));
	EXPECT_NE(v.asked, v.allowed);
	ASSERT_EQ(0, ot_lab("fault clear"));
	EXPECT_EQ(ONI_STIM_CLAIMED, state(self->stim));
	EXPECT_EQ(0, load(self, &v));
}

/*
 * Arguments that can be read and not written: no answer, and so nothing that it would
 * tell of. Those that can not be read: a stop stops.
 */
static const void *no_answer(const void *arg, size_t size)
{
	uint8_t *page = ot_guarded(4096);

	memcpy(page, arg, size);
	return mprotect(page, 4096, PROT_READ) ? NULL : page;
}

#define EFAULT_OF(cmd, ...)	do {						\
	typeof(__VA_ARGS__) arg_ = __VA_ARGS__;					\
	EXPECT_EQ(-EFAULT, ot_ioctl(self->stim, cmd,				\
				    (void *)no_answer(&arg_, sizeof(arg_))));	\
} while (0)

static struct oni_stim_call call_of(uint64_t nonce)
{
	return (struct oni_stim_call){ .size = sizeof(struct oni_stim_call), .nonce = nonce };
}

/* verifies: R45 */
TEST_F(session, without_an_answer_nothing_is_done)
{
	struct oni_stim_arm arm = { .size = sizeof(arm), .nonce = self->nonce, .ttl_ms = TTL_MS };
	struct oni_stim_load load_arg = {
		.size = sizeof(load_arg), .nonce = self->nonce, .hub = OST_HUB_RHS,
		.program = (uintptr_t)&self->g.p, .rows = (uintptr_t)self->g.rows,
		.nrows = self->g.nrows,
	};
	struct oni_stim_claim claim = { .size = sizeof(claim) };
	struct oni_stim_status before, st;
	struct oni_stim_verdict v;

	EFAULT_OF(ONI_STIM_IOC_LOAD, load_arg);
	EXPECT_EQ(ONI_STIM_CLAIMED, state(self->stim));
	ASSERT_EQ(0, load(self, &v));
	memcpy(arm.hash, self->hash, sizeof(arm.hash));
	EFAULT_OF(ONI_STIM_IOC_ARM, arm);
	EXPECT_EQ(ONI_STIM_LOADED, state(self->stim));
	ASSERT_EQ(0, ost_arm(self->stim, self->nonce, self->hash, TTL_MS, &v));
	self->life.kick = true;
	ot_sleep_ms(ONI_STIM_ARM_DELAY_MS + 10);
	ASSERT_EQ(0, ost_status(self->stim, &before));
	EFAULT_OF(ONI_STIM_IOC_FIRE, call_of(self->nonce));
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_EQ(before.fires, st.fires);
	EXPECT_EQ(ONI_STIM_ARMED, st.state);
	EXPECT_EQ(0, st.flags & ONI_STIM_PLAYING);
	ASSERT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_RELEASE, self->nonce, &v));
	EFAULT_OF(ONI_STIM_IOC_CLAIM, claim);
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_EQ(ONI_STIM_SAFE, st.state);
	EXPECT_EQ(0, st.owner);
}

/* verifies: R45, R16 */
TEST_F(session, stop_needs_no_argument)
{
	struct oni_stim_verdict v;

	ASSERT_EQ(0, armed(self));
	EXPECT_EQ(-EFAULT, ot_ioctl(self->stim, ONI_STIM_IOC_DISARM, NULL));
	EXPECT_EQ(ONI_STIM_LOADED, state(self->stim));
	EXPECT_EQ(ONI_STIM_BECAUSE_OWNER, because(self->stim));
	ASSERT_EQ(0, ost_arm(self->stim, self->nonce, self->hash, TTL_MS, &v));
	EFAULT_OF(ONI_STIM_IOC_DISARM, call_of(self->nonce));
	EXPECT_EQ(ONI_STIM_LOADED, state(self->stim));
	ASSERT_EQ(0, ost_arm(self->stim, self->nonce, self->hash, TTL_MS, &v));
	EXPECT_EQ(-EFAULT, ot_ioctl(self->stim, ONI_STIM_IOC_RELEASE, NULL));
	EXPECT_EQ(ONI_STIM_SAFE, state(self->stim));
}

static int stop_of_a_child(void *arg)
{
	int fd = *(int *)arg;

	return ot_ioctl(fd, ONI_STIM_IOC_DISARM, NULL) == -EFAULT &&
	       ot_ioctl(fd, ONI_STIM_IOC_RELEASE, NULL) == -EFAULT ? 0 : 1;
}

static void *load_it(void *arg)
{
	FIXTURE_DATA(session) *s = arg;
	struct oni_stim_verdict v;

	load(s, &v);
	return NULL;
}

struct nag {
	pthread_t whom;
	volatile bool enough;
};

static void *nag(void *arg)
{
	struct nag *n = arg;

	while (!n->enough) {
		pthread_kill(n->whom, SIGUSR1);
		ot_sleep_ms(5);
	}
	return NULL;
}

static void nagged(int sig)
{
	(void)sig;
}

/* It waits for a LOAD that takes long, and signals come meanwhile. verifies: R45, R18 */
TEST_F(session, signal_does_not_keep_from_stopping)
{
	const struct sigaction quiet = { .sa_handler = nagged };
	struct nag n = { .whom = pthread_self() };
	pthread_t loader, nagger;

	ost_rhs(&self->g, W);
	ost_wave(&self->g, 60);
	ost_seal(&self->g);
	ASSERT_EQ(0, sigaction(SIGUSR1, &quiet, NULL));
	ASSERT_EQ(0, pthread_create(&loader, NULL, load_it, self));
	ot_sleep_ms(50);
	ASSERT_EQ(0, pthread_create(&nagger, NULL, nag, &n));
	EXPECT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_RELEASE, self->nonce, NULL));
	n.enough = true;
	pthread_join(nagger, NULL);
	pthread_join(loader, NULL);
	EXPECT_EQ(ONI_STIM_SAFE, state(self->stim));
}

/* verifies: R29 */
TEST_F(session, stop_without_argument_is_the_owners)
{
	ASSERT_EQ(0, armed(self));
	EXPECT_EQ(0, in_child(stop_of_a_child, &self->stim));
	EXPECT_EQ(ONI_STIM_ARMED, state(self->stim));
}

/* verifies: R36 */
TEST_F(session, stop_that_does_not_arrive_is_a_fault)
{
	struct oni_stim_status st;
	struct oni_stim_verdict v;

	ASSERT_EQ(0, armed(self));
	ASSERT_EQ(0, ot_lab("fault deaf 4294967295"));
	EXPECT_EQ(-EIO, ost_call(self->stim, ONI_STIM_IOC_DISARM, self->nonce, &v));
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_EQ(ONI_STIM_FAULT, st.state);
	EXPECT_EQ(ONI_STIM_BECAUSE_UNCONFIRMED, st.because);
	EXPECT_FALSE(st.flags & ONI_STIM_CONFIRMED);
	/* As long as it does not arrive nobody gets out of it. */
	EXPECT_EQ(-EIO, ost_call(self->stim, ONI_STIM_IOC_ACK_FAULT, 0, &v));
	ASSERT_EQ(0, ot_lab("fault clear"));
	EXPECT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_ACK_FAULT, 0, &v));
	EXPECT_EQ(ONI_STIM_SAFE, state(self->stim));
}

/* Armed as it comes, and the write that disarms it is answered only. verifies: R05, R36 */
TEST_F(session, safe_state_that_does_not_arrive_is_not_one)
{
	struct oni_stim_status st;
	struct oni_stim_verdict v;
	uint64_t nonce;

	ASSERT_EQ(0, ost_halt(&self->life, self->ctl));
	ASSERT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_RELEASE, self->nonce, &v));
	ASSERT_EQ(0, ot_lab("model port b detach"));
	ASSERT_EQ(0, ot_lab("model port b attach"));
	ot_sleep_ms(500);
	ASSERT_EQ(0, ot_lab("fault deaf 4294967295"));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_RESET));
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_FALSE(st.flags & ONI_STIM_CONFIRMED);
	EXPECT_EQ(-EPERM, ost_claim(self->stim, &nonce, &v));
	EXPECT_EQ(ONI_STIM_NOT_SAFE, v.code);
	ASSERT_EQ(0, ot_lab("fault clear"));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_RESET));
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_TRUE(st.flags & ONI_STIM_CONFIRMED);
	EXPECT_TRUE(powered(self->ctl));
	EXPECT_EQ(0, ost_claim(self->stim, &nonce, &v));
}

/* verifies: R08 */
TEST_F(session, what_no_headstage_can_do_is_refused_by_the_check_too)
{
	struct oni_stim_verdict v;

	self->g.p.delay = 1;
	EXPECT_VERDICT(ERANGE, ONI_STIM_BAD_PROGRAM,
		       ost_load(self->stim, ONI_STIM_IOC_CHECK, 0, &self->g, NULL, &v));
	EXPECT_EQ(5, v.where);
	EXPECT_VERDICT(ERANGE, ONI_STIM_BAD_PROGRAM, load(self, &v));
	self->g.p.delay = 0;
	self->g.p.sources |= ONI_STIM_FROM_SYNC;
	EXPECT_VERDICT(ERANGE, ONI_STIM_BAD_PROGRAM,
		       ost_load(self->stim, ONI_STIM_IOC_CHECK, 0, &self->g, NULL, &v));
	EXPECT_EQ(3, v.where);
	EXPECT_VERDICT(ERANGE, ONI_STIM_BAD_PROGRAM, load(self, &v));
	EXPECT_EQ(ONI_STIM_CLAIMED, state(self->stim));
}

/* verifies: R11, R39 */
TEST_F(session, hub_without_such_a_stimulator)
{
	static struct ost_program g;
	const uint32_t hubs[] = { OST_HUB_HS64, 3, 255 };
	struct oni_stim_verdict v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(hubs); i++) {
		self->g.hub = hubs[i];
		EXPECT_VERDICT(EPERM, ONI_STIM_NO_STIMULATOR, load(self, &v));
		EXPECT_EQ(hubs[i], v.asked);
		EXPECT_VERDICT(EPERM, ONI_STIM_NO_STIMULATOR,
			       ost_step(self->stim, self->nonce, hubs[i], 1000, &v));
	}
	self->g.hub = 0;
	EXPECT_GT(0, load(self, &v));
	self->g.hub = 256 + OST_HUB_RHS;
	EXPECT_GT(0, load(self, &v));
	EXPECT_GT(0, ost_step(self->stim, self->nonce, 256 + OST_HUB_RHS, 1000, &v));
	ost_hs64(&g, W, 5);
	g.hub = OST_HUB_RHS;
	EXPECT_VERDICT(EPERM, ONI_STIM_NO_STIMULATOR,
		       ost_load(self->stim, ONI_STIM_IOC_LOAD, self->nonce, &g, NULL, &v));
}

/* verifies: R27 */
TEST_F(session, step_counts_from_the_next_reset)
{
	struct oni_stim_verdict v;

	ASSERT_EQ(0, load(self, &v));
	EXPECT_VERDICT(ERANGE, ONI_STIM_STEP_SIZE,
		       ost_step(self->stim, self->nonce, OST_HUB_RHS, 3000, &v));
	ASSERT_EQ(0, ost_step(self->stim, self->nonce, OST_HUB_RHS, 500, &v));
	EXPECT_EQ(ONI_STIM_CLAIMED, state(self->stim));		/* unloaded */
	EXPECT_GT(0, load(self, &v));
	self->g.p.chip[0].step_na = 500;
	self->g.p.chip[1].step_na = 500;
	EXPECT_GT(0, load(self, &v));				/* not certain which */
	ASSERT_EQ(0, ost_halt(&self->life, self->ctl));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_RESET));
	EXPECT_EQ(0, load(self, &v));
	self->g.p.chip[0].step_na = OST_STEP_NA;
	self->g.p.chip[1].step_na = OST_STEP_NA;
	EXPECT_VERDICT(ERANGE, ONI_STIM_STEP_SIZE, load(self, &v));
}

/* verifies: R20 */
TEST_F(session, no_arm_without_data)
{
	struct oni_stim_verdict v;

	ASSERT_EQ(0, load(self, &v));
	ASSERT_EQ(0, ost_halt(&self->life, self->ctl));
	EXPECT_VERDICT(EPERM, ONI_STIM_NO_DATA,
		       ost_arm(self->stim, self->nonce, self->hash, 1000, &v));
	EXPECT_EQ(ONI_STIM_LOADED, state(self->stim));
}

/* verifies: R18 */
TEST_F(session, time_to_live_has_a_range)
{
	struct oni_stim_verdict v;

	ASSERT_EQ(0, load(self, &v));
	EXPECT_GT(0, ost_arm(self->stim, self->nonce, self->hash, 0, &v));
	EXPECT_EQ(ONI_STIM_TTL, v.code);
	EXPECT_GT(0, ost_arm(self->stim, self->nonce, self->hash, ONI_STIM_TTL_MAX_MS + 1, &v));
	EXPECT_EQ(ONI_STIM_TTL, v.code);
	EXPECT_EQ(ONI_STIM_TTL_MAX_MS + 1, v.asked);
	EXPECT_EQ(ONI_STIM_TTL_MAX_MS, v.allowed);
	EXPECT_EQ(0, ost_arm(self->stim, self->nonce, self->hash, ONI_STIM_TTL_MAX_MS, &v));
}

/* verifies: R18 */
TEST_F(session, ends_by_itself)
{
	struct oni_stim_verdict v;

	ASSERT_EQ(0, load(self, &v));
	ASSERT_EQ(0, ost_arm(self->stim, self->nonce, self->hash, 1, &v));
	EXPECT_EQ(0, ost_wait_state(self->stim, ~OST_IN(ONI_STIM_ARMED), OST_SOON_MS) ==
		  ONI_STIM_ARMED);
	EXPECT_EQ(ONI_STIM_BECAUSE_TTL, because(self->stim));
	EXPECT_NE(ONI_STIM_FAULT, state(self->stim));
}

/* verifies: R40, R17 */
TEST_F_TIMEOUT(session, first_train_and_the_next_come_not_too_soon, 120)
{
	const uint64_t delay = ONI_STIM_ARM_DELAY_MS * 1000000ull;
	struct oni_stim_verdict v;
	int ret, tries = 0;
	uint64_t begin;
	bool late;

	ASSERT_EQ(0, load(self, &v));
	do {	/* on a busy machine a FIRE may come when it is not too soon any more */
		begin = ot_now_ns();
		ASSERT_EQ(0, ost_arm(self->stim, self->nonce, self->hash, TTL_MS, &v));
		self->life.kick = true;
		ret = ost_call(self->stim, ONI_STIM_IOC_FIRE, self->nonce, &v);
		late = !ret && ot_now_ns() - begin >= delay;
		if (late) {
			self->life.kick = false;
			ASSERT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_DISARM, self->nonce, &v));
			ot_sleep_ms(ost_length_ns(&self->g) / 1000000 + 1000);
		}
	} while (late && ++tries < 10);
	EXPECT_EQ(-EPERM, ret);
	EXPECT_EQ(ONI_STIM_TOO_SOON, v.code);
	EXPECT_EQ(ONI_STIM_ARM_DELAY_MS * 1000000ull, v.allowed);
	EXPECT_GT(v.allowed, v.asked);
	ASSERT_EQ(0, fire(self, &v));
	EXPECT_VERDICT(EPERM, ONI_STIM_TOO_SOON,
		       ost_call(self->stim, ONI_STIM_IOC_FIRE, self->nonce, &v));
	EXPECT_LE(ost_length_ns(&self->g), v.allowed);
	EXPECT_GT(v.allowed, v.asked);
}

/*
 * A program that asks without end is out of control: it is refused, and then stopped. One
 * that looks every 5 ms (fire() above) is not. verifies: R46
 */
TEST_F_TIMEOUT(session, flood_of_fires_is_a_fault, 120)
{
	struct oni_stim_status st;
	struct oni_stim_verdict v;
	int i, ret, tries = 0;

	ost_rhs(&self->g, W);
	ost_pulses(&self->g, 1, 10, 15, 76, 150);	/* the next may come in a second */
	ost_seal(&self->g);
	ASSERT_EQ(0, armed(self));
	do {	/* a guest may stand still for so long that it is no flood */
		ASSERT_EQ(0, fire(self, &v));
		/* Nothing is cut off: the log of the card wants every train in balance. */
		ot_sleep_ms(ost_length_ns(&self->g) / 1000000 + 50);
		for (i = 0; i < 2 * (int)ONI_STIM_FLOOD; i++) {
			ret = ost_call(self->stim, ONI_STIM_IOC_FIRE, self->nonce, &v);
			if (!ret || v.code != ONI_STIM_TOO_SOON)
				break;
		}
		if (!ret)
			ot_sleep_ms(ost_length_ns(&self->g) / 1000000 + 50);
		ASSERT_EQ(0, ost_status(self->stim, &st));
	} while (st.state == ONI_STIM_ARMED && ++tries < 10);
	EXPECT_EQ(-EPERM, ret);
	EXPECT_EQ(ONI_STIM_FAULTED, v.code);
	EXPECT_EQ(ONI_STIM_FAULT, st.state);
	EXPECT_EQ(ONI_STIM_BECAUSE_FLOOD, st.because);
	EXPECT_TRUE(st.flags & ONI_STIM_CONFIRMED);
	EXPECT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_ACK_FAULT, 0, &v));
	EXPECT_EQ(ONI_STIM_SAFE, state(self->stim));
}

/* Each is inside the policy, one behind the other are not. The log of the card says more. verifies: R17 */
TEST_F(session, trains_keep_the_duty)
{
	struct oni_stim_verdict v;
	int i;

	ost_rhs(&self->g, W);
	ost_pulses(&self->g, 1, 10, 15, 76, 150);	/* 149 ms of current in 377 ms */
	ost_seal(&self->g);
	ASSERT_EQ(0, armed(self));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, fire(self, &v));
	}
	EXPECT_VERDICT(EPERM, ONI_STIM_TOO_SOON,
		       ost_call(self->stim, ONI_STIM_IOC_FIRE, self->nonce, &v));
}

/* verifies: R11, R34 */
TEST_F(session, reset_of_the_controller_unloads)
{
	struct oni_stim_verdict v;

	ASSERT_EQ(0, load(self, &v));
	ASSERT_EQ(0, ost_halt(&self->life, self->ctl));
	ASSERT_EQ(0, ot_simple(self->ctl, ONI_IOC_RESET));
	EXPECT_EQ(ONI_STIM_CLAIMED, state(self->stim));
	EXPECT_EQ(ONI_STIM_BECAUSE_RESET, because(self->stim));
	EXPECT_EQ(-EPERM, ost_arm(self->stim, self->nonce, self->hash, 1000, &v));
	EXPECT_EQ(ONI_STIM_LOST, v.code);
	EXPECT_EQ(ONI_STIM_BECAUSE_RESET, v.where);
}

/* verifies: R07 */
TEST_F(session, kick_names_what_is_new)
{
	uint32_t generation = self->life.s.prod->generation;
	struct oni_stim_verdict v;
	uint64_t at;

	ASSERT_EQ(0, armed(self));
	self->life.kick = false;
	ot_sleep_ms(20);
	at = ot_wait_head(&self->life.s, ot_head(&self->life.s) + 1, OST_SOON_MS);
	ASSERT_EQ(0, ost_kick(self->stim, self->nonce, at, generation, &v));
	EXPECT_VERDICT(EPERM, ONI_STIM_STALE_KICK,
		       ost_kick(self->stim, self->nonce, at, generation, &v));
	EXPECT_EQ(at, v.asked);
	EXPECT_VERDICT(EPERM, ONI_STIM_STALE_KICK,
		       ost_kick(self->stim, self->nonce, at - 1, generation, &v));
	EXPECT_VERDICT(EPERM, ONI_STIM_STALE_KICK,
		       ost_kick(self->stim, self->nonce, 0, generation, &v));
	EXPECT_VERDICT(EPERM, ONI_STIM_STALE_KICK,
		       ost_kick(self->stim, self->nonce, 1ull << 62, generation, &v));
	EXPECT_EQ(1ull << 62, v.asked);
	EXPECT_VERDICT(EPERM, ONI_STIM_STALE_KICK,
		       ost_kick(self->stim, self->nonce, ~0ull, generation, &v));
	at = ot_wait_head(&self->life.s, ot_head(&self->life.s) + 1, OST_SOON_MS);
	EXPECT_VERDICT(EPERM, ONI_STIM_STALE_KICK,
		       ost_kick(self->stim, self->nonce, at, generation + 1, &v));
	EXPECT_EQ(0, ost_kick(self->stim, self->nonce, at, generation, &v));
}

/* verifies: R06 */
TEST_F(session, close_of_a_copy_ends_it)
{
	int fd = dup(self->stim);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, armed(self));
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(ONI_STIM_SAFE, ost_wait_state(self->stim, OST_IN(ONI_STIM_SAFE), OST_SOON_MS));
	EXPECT_EQ(ONI_STIM_BECAUSE_CLOSE, because(self->stim));
	EXPECT_EQ(0, all_refused(self, self->nonce, ONI_STIM_NOT_OWNER));
}

/* A file by which nothing was claimed may come and go. */
TEST_F(session, close_of_another_file_does_not)
{
	int fd = ost_open(O_RDWR);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, armed(self));
	close(fd);
	EXPECT_EQ(ONI_STIM_ARMED, state(self->stim));
}

/* From every state; it returns when it is done. verifies: R16 */
TEST_F(session, stop_from_every_state)
{
	struct oni_stim_verdict v;

	ASSERT_EQ(0, ost_stop());
	EXPECT_EQ(ONI_STIM_CLAIMED, state(self->stim));
	ASSERT_EQ(0, load(self, &v));
	ASSERT_EQ(0, ost_stop());
	EXPECT_EQ(ONI_STIM_CLAIMED, state(self->stim));
	ASSERT_EQ(0, armed(self));
	ASSERT_EQ(0, fire(self, &v));
	ASSERT_EQ(0, ost_stop());
	EXPECT_NE(ONI_STIM_ARMED, state(self->stim));
	EXPECT_EQ(ONI_STIM_BECAUSE_STOP, because(self->stim));
	ASSERT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_RELEASE, self->nonce, &v));
	ASSERT_EQ(0, ost_stop());
	EXPECT_EQ(ONI_STIM_SAFE, state(self->stim));
}

static const struct {
	uint32_t dev, reg;
} forbidden[] = {
	{ OST_TRIGGER_DEV, 1 },		/* source */
	{ OST_TRIGGER_DEV, 2 },		/* TRIGGER */
	{ OST_TRIGGER_DEV, 3 },		/* TRIGGERARMED */
	{ OST_RHS_DEV, 0x8002 },	/* NUMDELTAS */
	{ OST_RHS_DEV, 0x8003 },
	{ OST_RHS_DEV, 0x8004 },
	{ OST_RHS_DEV, 0x8006 },	/* TRIGGER of a chip */
	{ OST_RHS_DEV, 0x22 },		/* STEPSZ */
	{ OST_RHS_DEV, 0x2a },		/* STIMON */
	{ OST_RHS_DEV, 0x60 },
	{ OST_RHS_DEV + 1, 0x8006 },
	{ OST_HS64_DEV, 2 },
	{ OST_HS64_DEV, 12 },		/* TRIGGER */
	{ OST_HS64_DEV, 13 },
	{ OST_HS64_DEV, 14 },
	{ OST_HS64_DEV + 1, 9 },	/* of the optical one */
	{ OT_PORT_B, 1 },		/* GPO triggers */
	{ OT_PORT_B, 3 },
};

/* The recording node, while armed, by the owner of both. verifies: R30, R24 */
TEST_F(session, raw_writes_are_refused_and_told)
{
	struct oni_stim_status before, st;
	struct oni_stim_event e;
	size_t i;

	ASSERT_EQ(0, armed(self));
	ASSERT_EQ(0, ost_status(self->stim, &before));
	for (i = 0; i < ARRAY_SIZE(forbidden); i++) {
		EXPECT_EQ(-EPERM, ot_reg_write(self->ctl, forbidden[i].dev, forbidden[i].reg, 1))
			TH_LOG("device 0x%x register 0x%x", forbidden[i].dev, forbidden[i].reg);
		ASSERT_EQ(0, ost_event(self->ev, ONI_STIM_EV_GUARDED, &e, OST_SOON_MS));
		EXPECT_EQ((uint64_t)forbidden[i].dev << 32 | forbidden[i].reg, e.arg);
		EXPECT_EQ((uint32_t)getpid(), e.tgid);
	}
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_EQ(before.refusals + ARRAY_SIZE(forbidden), st.refusals);
	EXPECT_EQ(ONI_STIM_ARMED, st.state);
}

/* verifies: R30 */
TEST_F(session, batch_with_a_raw_write_is_refused)
{
	struct oni_reg_op ops[] = {
		{ .dev_addr = OT_HEARTBEAT, .reg_addr = 2 },
		{ .dev_addr = OST_TRIGGER_DEV, .reg_addr = 2, .value = 1,
		  .flags = ONI_REG_OP_WRITE },
	};
	struct oni_stim_event e;

	ASSERT_EQ(0, armed(self));
	EXPECT_EQ(-EPERM, ot_reg_batch(self->ctl, ops, ARRAY_SIZE(ops), NULL));
	EXPECT_EQ(0, ost_event(self->ev, ONI_STIM_EV_GUARDED, &e, OST_SOON_MS));
}

/* verifies: R30 */
TEST_F(session, write_frames_to_stimulators_are_refused)
{
	const uint32_t devices[] = {
		OST_RHS_DEV, OST_RHS_DEV + 1, OST_TRIGGER_DEV, OST_HS64_DEV, OST_HS64_DEV + 1,
	};
	uint32_t frame[3] = { 0, 1, 1 };
	size_t i;

	ASSERT_EQ(0, armed(self));
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		frame[0] = devices[i];
		EXPECT_EQ(-1, write(self->ctl, frame, sizeof(frame)))
			TH_LOG("device 0x%x", devices[i]);
		EXPECT_TRUE(errno == EPERM || errno == EINVAL);
	}
	EXPECT_EQ(ONI_STIM_ARMED, state(self->stim));
}

/* A port that is switched off takes what was armed with it. verifies: R21, R32 */
TEST_F(session, port_power_while_running_is_refused)
{
	struct oni_port_power p;

	ASSERT_EQ(0, armed(self));
	EXPECT_EQ(-EBUSY, ot_port(self->ctl, &p, OT_PORT_B, 0, 0));
	EXPECT_EQ(ONI_STIM_ARMED, state(self->stim));
}

/* verifies: R14 */
TEST_F(session, headstage_64)
{
	struct oni_stim_status before, st;
	struct oni_stim_verdict v;

	ost_hs64(&self->g, W, 5);
	ost_seal(&self->g);
	ASSERT_EQ(0, armed(self));
	ASSERT_EQ(0, ost_status(self->stim, &before));
	EXPECT_EQ(OST_HUB_HS64, before.hub);
	EXPECT_EQ(0, fire(self, &v));
	EXPECT_EQ(0, fire(self, &v));
	ASSERT_EQ(0, ost_status(self->stim, &st));
	EXPECT_EQ(before.fires + 2, st.fires);
	EXPECT_EQ(ONI_STIM_ARMED, st.state);
	EXPECT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_DISARM, self->nonce, &v));
}

/* --- events ---------------------------------------------------------------------------- */

/* verifies: R25, R26 */
TEST_F(session, events_tell_it_in_order)
{
	static const uint32_t order[] = {
		ONI_STIM_EV_CLAIM, ONI_STIM_EV_STEP, ONI_STIM_EV_LOAD, ONI_STIM_EV_ARM,
		ONI_STIM_EV_FIRE, ONI_STIM_EV_DELIVERED, ONI_STIM_EV_DISARM, ONI_STIM_EV_END,
	};
	struct oni_stim_verdict v;
	struct oni_stim_event e = { 0 }, last = { 0 };
	uint64_t session = 0;
	size_t i;

	ASSERT_EQ(0, armed(self));
	ASSERT_EQ(0, fire(self, &v));
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		if (order[i] == ONI_STIM_EV_DISARM) {
			ASSERT_EQ(0, ost_call(self->stim, ONI_STIM_IOC_RELEASE, self->nonce, &v));
		}
		do {
			last = e;
			ASSERT_EQ(0, ot_poll(self->ev, POLLIN, OST_SOON_MS) != POLLIN);
			memset(&e, OT_POISON, sizeof(e));
			ASSERT_EQ((long)sizeof(e), ot_read(self->ev, &e, sizeof(e)));
			EXPECT_EQ(sizeof(e), e.size);
			if (last.seq) {
				EXPECT_EQ(last.seq + 1, e.seq);
				EXPECT_LE(last.boot_ns, e.boot_ns);
			}
		} while (e.what == ONI_STIM_EV_REFUSED);
		EXPECT_EQ(order[i], e.what);
		if (!i)
			session = e.session;
		EXPECT_NE(0, e.session);
		EXPECT_EQ(session, e.session);
		EXPECT_NE(self->nonce, e.session);
		EXPECT_LT(0, e.real_ns);
		if (order[i] != ONI_STIM_EV_DELIVERED) {
			EXPECT_EQ((uint32_t)getpid(), e.tgid);
			EXPECT_EQ(0, e.uid);
			EXPECT_NE(0, e.comm[0]);
			EXPECT_EQ(0, e.comm[15]);
		} else {
			EXPECT_NE(0, e.clock);
			EXPECT_LE(e.position, ot_head(&self->life.s));
		}
		if (order[i] >= ONI_STIM_EV_LOAD && order[i] <= ONI_STIM_EV_DELIVERED) {
			EXPECT_EQ(OST_HUB_RHS, e.hub);
			EXPECT_EQ(0, memcmp(e.hash, self->hash, sizeof(e.hash)));
		}
		if (order[i] == ONI_STIM_EV_ARM) {
			EXPECT_EQ(TTL_MS, e.arg);
			EXPECT_EQ(self->life.s.prod->generation, e.generation);
		}
		if (order[i] == ONI_STIM_EV_STEP) {
			EXPECT_EQ(OST_STEP_NA, e.arg);
		}
	}
}

/* verifies: R25 */
TEST_F(session, refusals_are_told)
{
	struct oni_stim_verdict v;
	struct oni_stim_event e;

	self->g.p.chip[0].positive[0] = 201;
	ASSERT_EQ(-ERANGE, load(self, &v));
	ASSERT_EQ(0, ost_event(self->ev, ONI_STIM_EV_REFUSED, &e, OST_SOON_MS));
	EXPECT_EQ(_IOC_NR(ONI_STIM_IOC_LOAD), e.arg & 0xff);
	EXPECT_EQ(ONI_STIM_AMPLITUDE, e.verdict.code);
	EXPECT_EQ(201000, e.verdict.asked);
	EXPECT_EQ(200000, e.verdict.allowed);
	EXPECT_EQ(ONI_STIM_BY_POLICY, e.verdict.source);
}

/* verifies: R25 */
TEST_F(session, events_behave_as_a_file)
{
	struct oni_stim_event e[4];
	struct oni_stim_verdict v;
	int fd = ost_events(self->ctl, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(0, ot_poll(fd, POLLIN, 0));
	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, ot_read(fd, e, sizeof(e)));
	ASSERT_EQ(0, load(self, &v));
	ASSERT_EQ(0, ost_stop());
	EXPECT_EQ(POLLIN, ot_poll(fd, POLLIN, OST_SOON_MS));
	/* whole ones, as many as there are */
	EXPECT_EQ(0, ot_read(fd, e, sizeof(e)) % (long)sizeof(e[0]));
	EXPECT_EQ(ONI_STIM_EV_LOAD, e[0].what);
	close(fd);
}

TEST_F(session, events_call_has_a_format)
{
	struct oni_stim_events arg = { .size = sizeof(arg), .flags = 0x2, .fd = -1 };

	EXPECT_EQ(-EINVAL, ot_ioctl(self->ctl, ONI_IOC_STIM_EVENTS, &arg));
	arg.flags = 0;
	arg.reserved[4] = 1;
	EXPECT_EQ(-EINVAL, ot_ioctl(self->ctl, ONI_IOC_STIM_EVENTS, &arg));
	arg.reserved[4] = 0;
	arg.size = 8;
	EXPECT_EQ(-EINVAL, ot_ioctl(self->ctl, ONI_IOC_STIM_EVENTS, &arg));
	EXPECT_EQ(-EFAULT, ot_ioctl(self->ctl, ONI_IOC_STIM_EVENTS, NULL));
	EXPECT_EQ(-ENOTTY, ot_ioctl(self->stim, ONI_IOC_STIM_EVENTS, &arg));
}

/* More than are kept: the oldest are missing, and that is seen. verifies: R25 */
TEST_F(session, slow_reader_sees_a_gap)
{
	static struct oni_stim_event e[ONI_STIM_EVENTS_MAX + 8];
	struct oni_stim_policy p;
	struct oni_stim_verdict v;
	uint64_t first, last;
	long n, got = 0;
	int i;

	ASSERT_EQ(0, ost_event(self->ev, ONI_STIM_EV_CLAIM, &e[0], OST_SOON_MS));
	first = e[0].seq;
	ASSERT_EQ(0, ost_limits(self->stim, &p));
	for (i = 0; i < ONI_STIM_EVENTS_MAX + 100; i++) {
		ASSERT_EQ(0, ost_lower(self->stim, &p, &v));
	}
	ASSERT_EQ(0, fcntl(self->ev, F_SETFL, O_NONBLOCK));
	while ((n = ot_read(self->ev, &e[got], sizeof(e) - got * sizeof(e[0]))) > 0)
		got += n / sizeof(e[0]);
	EXPECT_EQ(-EAGAIN, n);
	EXPECT_EQ(ONI_STIM_EVENTS_MAX, got);
	EXPECT_LT(first + 1, e[0].seq);
	for (i = 1; i < got; i++) {
		EXPECT_EQ(e[i - 1].seq + 1, e[i].seq);
	}
	last = e[got - 1].seq;
	ASSERT_EQ(0, ost_lower(self->stim, &p, &v));
	ASSERT_EQ((long)sizeof(e[0]), ot_read(self->ev, e, sizeof(e)));
	EXPECT_EQ(last + 1, e[0].seq);
}

/* verifies: R25 */
TEST_F(policy, events_end_with_the_controller)
{
	struct oni_stim_verdict v;
	struct oni_stim_event e;
	int ev = ost_events(self->f.ctl, 0);

	ASSERT_LE(0, ev);
	ASSERT_EQ(0, ost_policy(self->f.stim, &self->f.p, 0, &v));
	ASSERT_EQ(0, ot_unbind(&self->f.slot));
	EXPECT_EQ(0, ost_event(ev, ONI_STIM_EV_POLICY, &e, OST_SOON_MS));
	EXPECT_EQ(0, ost_event(ev, ONI_STIM_EV_REMOVE, &e, OST_SOON_MS));
	EXPECT_EQ(-ENODEV, ot_read(ev, &e, sizeof(e)));
	EXPECT_EQ(-ENODEV, ost_policy(self->f.stim, &self->f.p, 0, &v));
	close(ev);
	EXPECT_EQ(0, ot_bind(&self->f.slot));
}

/* --- a policy that wants a log ------------------------------------------------------------ */

FIXTURE(audit) {
	struct fresh f;
	int log;
	uint64_t nonce;
	struct ost_life life;
	struct ost_program g;
};

FIXTURE_SETUP(audit)
{
	struct oni_stim_verdict v;

	self->life.s.fd = -1;
	self->log = -1;
	ASSERT_EQ(0, fresh_open(&self->f));
	ASSERT_EQ(0, ost_policy(self->f.stim, &self->f.p, ONI_STIM_POLICY_AUDIT, &v));
	ASSERT_EQ(0, ot_simple(self->f.ctl, ONI_IOC_CLAIM));
	if (!powered(self->f.ctl)) {
		ASSERT_EQ(0, ost_power(self->f.ctl));
	}
	ASSERT_EQ(0, ost_claim(self->f.stim, &self->nonce, &v));
	ASSERT_EQ(0, ost_step(self->f.stim, self->nonce, OST_HUB_RHS, OST_STEP_NA, &v));
	ASSERT_EQ(0, ost_feed(self->f.ctl));
	/* A full ring is no data: room for a reader that does not come to it. */
	ASSERT_EQ(0, ost_stream(&self->life, self->f.ctl, 16 << 20));
	ASSERT_EQ(0, ost_start(&self->life, self->f.ctl));
	self->life.fd = self->f.stim;
	self->life.nonce = self->nonce;
	ost_rhs(&self->g, W);
	ost_pulses(&self->g, 1, 100, 6, 302, 10);
	ost_seal(&self->g);
	ASSERT_EQ(0, ost_load(self->f.stim, ONI_STIM_IOC_LOAD, self->nonce, &self->g, NULL, &v));
}

FIXTURE_TEARDOWN(audit)
{
	ost_halt(&self->life, self->f.ctl);
	ost_close(&self->life);
	if (self->log >= 0)
		close(self->log);
	close(self->f.stim);
	close(self->f.ctl);
}

static int arm_for(FIXTURE_DATA(audit) *s, struct oni_stim_verdict *v)
{
	int ret = ost_arm(s->f.stim, s->nonce, s->g.hash, TTL_MS, v);

	s->life.kick = !ret;
	return ret;
}

static int log_unprivileged(void *arg)
{
	struct fresh *f = arg;

	return drop_rights() && ost_events(f->ctl, ONI_STIM_EVENTS_AUDIT) == -EPERM ? 0 : 1;
}

/* verifies: R25 */
TEST_F(audit, nothing_is_armed_without_a_log)
{
	struct oni_stim_status st;
	struct oni_stim_verdict v;
	int plain = ost_events(self->f.ctl, 0);

	ASSERT_LE(0, plain);
	EXPECT_VERDICT(EPERM, ONI_STIM_NO_AUDIT, arm_for(self, &v));
	EXPECT_EQ(0, in_child(log_unprivileged, &self->f));
	ASSERT_EQ(0, ost_status(self->f.stim, &st));
	EXPECT_EQ(ONI_STIM_NEEDS_AUDIT,
		  st.flags & (ONI_STIM_NEEDS_AUDIT | ONI_STIM_HAS_AUDIT));
	self->log = ost_events(self->f.ctl, ONI_STIM_EVENTS_AUDIT);
	ASSERT_LE(0, self->log);
	EXPECT_EQ(-EBUSY, ost_events(self->f.ctl, ONI_STIM_EVENTS_AUDIT));
	ASSERT_EQ(0, ost_status(self->f.stim, &st));
	EXPECT_EQ(ONI_STIM_HAS_AUDIT, st.flags & ONI_STIM_HAS_AUDIT);
	EXPECT_EQ(0, arm_for(self, &v));
	close(plain);
}

/* verifies: R25 */
TEST_F(audit, end_of_the_log_disarms)
{
	struct oni_stim_verdict v;

	self->log = ost_events(self->f.ctl, ONI_STIM_EVENTS_AUDIT);
	ASSERT_LE(0, self->log);
	EXPECT_VERDICT(0, ONI_STIM_OK, arm_for(self, &v));
	close(self->log);
	self->log = -1;
	EXPECT_NE(ONI_STIM_ARMED, ost_wait_state(self->f.stim, ~OST_IN(ONI_STIM_ARMED),
						 OST_SOON_MS));
	EXPECT_EQ(ONI_STIM_BECAUSE_AUDIT, because(self->f.stim));
	EXPECT_VERDICT(EPERM, ONI_STIM_NO_AUDIT, arm_for(self, &v));
	self->log = ost_events(self->f.ctl, ONI_STIM_EVENTS_AUDIT);
	ASSERT_LE(0, self->log);
	EXPECT_EQ(0, ost_load(self->f.stim, ONI_STIM_IOC_LOAD, self->nonce, &self->g, NULL, &v));
	EXPECT_EQ(0, arm_for(self, &v));
}

/* Half of what is kept behind: nobody writes it down. verifies: R25 */
TEST_F(audit, log_that_falls_behind_disarms)
{
	struct oni_stim_policy p;
	struct oni_stim_verdict v;
	int i;

	self->log = ost_events(self->f.ctl, ONI_STIM_EVENTS_AUDIT);
	ASSERT_LE(0, self->log);
	ASSERT_EQ(0, ost_limits(self->f.stim, &p));
	for (i = 0; i < ONI_STIM_EVENTS_MAX / 2 - 10; i++) {
		ASSERT_EQ(0, ost_lower(self->f.stim, &p, &v));
	}
	ASSERT_EQ(0, arm_for(self, &v));
	EXPECT_EQ(ONI_STIM_ARMED, state(self->f.stim));
	for (i = 0; i < 16; i++)
		ost_call(self->f.stim, ONI_STIM_IOC_FIRE, self->nonce + 1, &v);
	EXPECT_NE(ONI_STIM_ARMED, ost_wait_state(self->f.stim, ~OST_IN(ONI_STIM_ARMED),
						 OST_SOON_MS));
	EXPECT_EQ(ONI_STIM_BECAUSE_AUDIT, because(self->f.stim));
}

static int run_all(int argc, char **argv)
{
	ot_be_patient();
	return (test_harness_run)(argc, argv);
}

#undef test_harness_run
#define test_harness_run(argc, argv)	run_all(argc, argv)

TEST_HARNESS_MAIN
