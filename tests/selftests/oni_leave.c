// SPDX-License-Identifier: MIT
/*
 * Ways to leave and to come back; see oni_leave.h.
 */
#define _GNU_SOURCE
#include "oni_leave.h"
#include "oni_board.h"

#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- finding the controller ----------------------------------------------- */

static int open_any(int flags)
{
	glob_t g;
	size_t i;
	int fd = -ENODEV;

	if (glob("/dev/oni[0-9]*", 0, NULL, &g))
		return -ENODEV;
	for (i = 0; i < g.gl_pathc && fd < 0; i++) {
		if (strchr(g.gl_pathv[i], '-'))	/* a node beside it */
			continue;
		fd = open(g.gl_pathv[i], flags | O_CLOEXEC);
		if (fd >= 0)
			setenv("ONI_DEVICE", g.gl_pathv[i], 1);
		else
			fd = -errno;
	}
	globfree(&g);
	return fd;
}

int ot_open_within(int ms)
{
	uint64_t end = ot_now_ns() + ms * 1000000ULL;
	int fd;

	while ((fd = open_any(O_RDWR)) < 0 && ot_now_ns() < end)
		ot_sleep_ms(20);
	return fd;
}

/* --- leaving and coming back ---------------------------------------------- */

static bool on_usb(void)
{
	return ot_board()->transport == ONI_TRANSPORT_FT600;
}

int ot_slot_find(struct ot_slot *s, int ctl)
{
	struct oni_info info;
	char path[PATH_MAX];
	int ret = ot_info(ctl, &info);

	if (ret)
		return ret;
	snprintf(s->bus, sizeof(s->bus), "%s", info.bus_name);
	/* Of USB, the driver has an interface, and what comes and goes is the device. */
	snprintf(s->device, sizeof(s->device), "/sys/bus/%s/devices/%.*s", ot_board()->bus,
		 on_usb() ? (int)strcspn(s->bus, ":") : (int)strlen(s->bus), s->bus);
	snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/driver", ot_board()->bus, s->bus);
	return realpath(path, s->driver) ? 0 : -errno;
}

static int driver_file(const struct ot_slot *s, const char *name)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", s->driver, name);
	return ot_write_file(path, s->bus);
}

static int device_file(const struct ot_slot *s, const char *name, const char *text)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", s->device, name);
	return ot_write_file(path, text);
}

int ot_unbind(const struct ot_slot *s)
{
	return driver_file(s, "unbind");
}

int ot_bind(const struct ot_slot *s)
{
	return driver_file(s, "bind");
}

int ot_sysfs_remove(const struct ot_slot *s)
{
	return device_file(s, "remove", "1");
}

/* A port of USB does not look again before something changes at it. */
int ot_sysfs_rescan(const struct ot_slot *s)
{
	int ret;

	if (!on_usb())
		return ot_write_file("/sys/bus/pci/rescan", "1");
	ret = ot_surprise(s);
	return ret ? ret : ot_surprise_replug(s);
}

int ot_unauthorize(const struct ot_slot *s)
{
	return device_file(s, "authorized", "0");
}

int ot_authorize(const struct ot_slot *s)
{
	return device_file(s, "authorized", "1");
}

int ot_function_reset(const struct ot_slot *s)
{
	return device_file(s, "reset", "1");
}

int ot_hot_remove(const struct ot_slot *s)
{
	(void)s;
	return ot_lab("hot-remove");
}

int ot_hot_add(const struct ot_slot *s)
{
	(void)s;
	return ot_lab("hot-add");
}

/* The hub of USB tells it, a little later. */
int ot_surprise(const struct ot_slot *s)
{
	uint64_t end = ot_now_ns() + OT_REPLUG_MS * 1000000ULL;
	int ret = ot_lab("unplug");

	while (!ret && on_usb() && access(s->device, F_OK) == 0) {
		if (ot_now_ns() > end)
			return -ETIME;
		ot_sleep_ms(5);
	}
	return ret;
}

/* "0" to the power file of the slot that holds the card. */
static int slot_off(const struct ot_slot *s)
{
	char path[PATH_MAX + 16], address[32];
	int fd, ret = -ENOENT;
	ssize_t n;
	size_t i;
	glob_t g;

	if (glob("/sys/bus/pci/slots/*", 0, NULL, &g))
		return -ENOENT;
	for (i = 0; i < g.gl_pathc && ret == -ENOENT; i++) {
		snprintf(path, sizeof(path), "%s/address", g.gl_pathv[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, address, sizeof(address) - 1);
		if (fd >= 0)
			close(fd);
		/* "0000:01:00" and the function is not in it */
		if (n < 2 || strncmp(address, s->bus, n - 1))
			continue;
		snprintf(path, sizeof(path), "%s/power", g.gl_pathv[i]);
		ret = ot_write_file(path, "0");
	}
	globfree(&g);
	return ret;
}

/*
 * The slot is powered off first: a dead card still sits in it. Not by its
 * attention button, which waits five seconds for a second thought.
 */
int ot_surprise_replug(const struct ot_slot *s)
{
	int ret;

	if (on_usb())
		return ot_lab("plug");
	ret = slot_off(s);
	return ret ? ret : ot_hot_add(s);
}

int ot_unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

/*
 * sysfs has the name of a driver until the last reference to it is dropped, which
 * CONFIG_DEBUG_KOBJECT_RELEASE does seconds late: the module may be gone by then.
 * A driver that comes back sooner is refused with a stack dump, and modprobe says
 * nothing, since it takes that EEXIST for a module that is loaded already.
 */
int ot_load(void)
{
	const uint64_t end = ot_now_ns() + OT_REPLUG_MS * 1000000ULL;
	const struct ot_board *b = ot_board();
	char line[64], module[64], driver[96];

	snprintf(module, sizeof(module), "/sys/module/%s", b->module);
	snprintf(driver, sizeof(driver), "/sys/bus/%s/drivers/%s", b->bus, b->module);
	while (access(module, F_OK) && access(driver, F_OK) == 0) {
		if (ot_now_ns() > end)
			return -ETIME;
		ot_sleep_ms(20);
	}
	snprintf(line, sizeof(line), "modprobe %s", b->module);
	if (system(line))
		return -EIO;
	return access(module, F_OK) ? -EIO : 0;
}

/* --- what is left of an open file ----------------------------------------- */

int ot_all_enodev(int ctl)
{
	struct oni_device rows[OT_MAX_ROWS];
	struct oni_ctl reg = { .size = sizeof(reg), .reg = ONI_CTL_ACQCLKHZ };
	struct oni_port_power port;
	struct oni_stats stats;
	struct oni_info info;
	uint32_t value;
	const struct {
		const char *name;
		int ret;
	} call[] = {
		{ "INFO", ot_info(ctl, &info) },
		{ "DEVICE_TABLE", ot_table(ctl, rows, OT_MAX_ROWS) },
		{ "CLAIM", ot_simple(ctl, ONI_IOC_CLAIM) },
		{ "RESET", ot_simple(ctl, ONI_IOC_RESET) },
		{ "START", ot_simple(ctl, ONI_IOC_START) },
		{ "STOP", ot_simple(ctl, ONI_IOC_STOP) },
		{ "RELEASE", ot_simple(ctl, ONI_IOC_RELEASE) },
		{ "REG_READ", ot_reg_read(ctl, OT_HEARTBEAT, 1, &value) },
		{ "REG_WRITE", ot_reg_write(ctl, OT_HEARTBEAT, 1, OT_CLK_HZ / 100) },
		{ "CTL_READ", ot_ioctl(ctl, ONI_IOC_CTL_READ, &reg) },
		{ "PORT_POWER", ot_port(ctl, &port, OT_PORT_B, 0, 0) },
		{ "STATS", ot_stats(ctl, &stats) },
		{ "STREAM_CREATE", ot_stream_create(ctl, OT_RING, OT_BLOCK, 0, 0) },
	};
	int wrong = 0;
	size_t i;

	for (i = 0; i < sizeof(call) / sizeof(call[0]); i++) {
		if (call[i].ret == -ENODEV)
			continue;
		printf("# %s after the end: %d, not -ENODEV\n", call[i].name, call[i].ret);
		wrong++;
	}
	return wrong;
}

long ot_read(int fd, void *buf, size_t n)
{
	ssize_t got = read(fd, buf, n);

	return got < 0 ? -errno : got;
}

/* --- a machine on which nobody else gets a turn ----------------------------- */

static void *hog_run(void *arg)
{
	const struct ot_hog *hog = arg;

	while (!hog->quit)
		;
	return NULL;
}

int ot_hog_start(struct ot_hog *hog)
{
	const struct sched_param rt = { .sched_priority = 1 };
	int cpu, cpus = sysconf(_SC_NPROCESSORS_ONLN), me = sched_getcpu(), ret = 0;
	pthread_attr_t attr;
	cpu_set_t set;

	memset(hog, 0, sizeof(*hog));
	CPU_ZERO(&set);
	CPU_SET(me, &set);
	if (sched_setaffinity(0, sizeof(set), &set) ||
	    sched_setscheduler(0, SCHED_FIFO, &rt))
		return -errno;
	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &rt);
	for (cpu = 0; cpu < cpus && !ret; cpu++) {
		if (cpu == me)
			continue;
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
		ret = hog->n == 64 ? -ENOSPC :
		      -pthread_create(&hog->thread[hog->n], &attr, hog_run, hog);
		hog->n += !ret;
	}
	pthread_attr_destroy(&attr);
	if (ret)
		ot_hog_stop(hog);
	return ret;
}

void ot_hog_stop(struct ot_hog *hog)
{
	const struct sched_param normal = { 0 };
	cpu_set_t all;
	int i;

	hog->quit = true;
	for (i = 0; i < hog->n; i++)
		pthread_join(hog->thread[i], NULL);
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	sched_setscheduler(0, SCHED_OTHER, &normal);
}

/* --- threads that wait ---------------------------------------------------- */

static void *wait_in_read(void *arg)
{
	static const size_t most = 65536;
	struct ot_waiter *w = arg;
	uint8_t *buf = malloc(most);
	long n;

	/* a first read may still give what was there */
	while ((n = ot_read(w->fd, buf, most)) > 0 || n == -EOVERFLOW) {
		if (n > 0)
			w->bytes += n;
		else
			w->overflows++;
	}
	w->result = n;
	w->done = true;
	free(buf);
	return NULL;
}

static void *wait_in_poll(void *arg)
{
	struct ot_waiter *w = arg;
	int events;

	do {
		events = ot_poll(w->fd, w->events, -1);
	} while (!events);
	w->result = events;
	w->done = true;
	return NULL;
}

static void *wait_in_reg_read(void *arg)
{
	struct ot_waiter *w = arg;
	uint32_t value;

	do {
		w->result = ot_reg_read(w->fd, OT_HEARTBEAT, 2, &value);
	} while (!w->result && !w->quit);
	w->done = true;
	return NULL;
}

static void *wait_in_stream_info(void *arg)
{
	struct ot_waiter *w = arg;
	struct oni_stream_info info;

	do {
		w->result = ot_stream_info(w->fd, &info);
	} while (!w->result && !w->quit);
	w->done = true;
	return NULL;
}

int ot_wait_start(struct ot_waiter *w, enum ot_wait how, int fd, short events)
{
	static void *(*const fn[])(void *) = {
		[OT_WAIT_READ] = wait_in_read,
		[OT_WAIT_POLL] = wait_in_poll,
		[OT_WAIT_REG] = wait_in_reg_read,
		[OT_WAIT_INFO] = wait_in_stream_info,
	};

	memset(w, 0, sizeof(*w));
	w->fd = fd;
	w->events = events;
	return -pthread_create(&w->thread, NULL, fn[how], w);
}

bool ot_wait_done(struct ot_waiter *w, int ms)
{
	uint64_t end = ot_now_ns() + ms * 1000000ULL;

	while (!w->done && ot_now_ns() < end)
		ot_sleep_ms(5);
	if (w->done && !w->joined) {
		pthread_join(w->thread, NULL);
		w->joined = true;
	}
	return w->done;
}

/* --- and it works again --------------------------------------------------- */

int ot_works(int fd, struct ot_parser *p)
{
	struct ot_stream s = { .fd = -1 };
	uint32_t hz;
	int ret;

	ret = ot_reg_read(fd, OT_HEARTBEAT, 2, &hz);
	if (ret || hz != OT_CLK_HZ)
		return ret ? ret : -EBADMSG;
	ret = ot_simple(fd, ONI_IOC_CLAIM);
	if (!ret)
		ret = ot_feed(fd, OT_FEED_FAST);
	if (!ret)
		ret = ot_parser_init(p, fd, OT_LT_STEP);
	if (ret)
		return ret;
	s.fd = ot_stream_create(fd, OT_RING, OT_BLOCK, 0, 0);
	if (s.fd < 0)
		return s.fd;
	ret = ot_stream_map(s.fd, &s);
	if (!ret)
		ret = ot_simple(fd, ONI_IOC_START);
	if (!ret && ot_wait_head(&s, 8 * OT_BLOCK, OT_REPLUG_MS) < 8 * OT_BLOCK)
		ret = -ETIME;
	if (!ret && ot_parser_feed(p, s.data, 8 * OT_BLOCK))
		ret = -EBADMSG;
	ot_stream_unmap(&s);
	close(s.fd);
	return ret;
}
