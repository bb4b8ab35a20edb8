// SPDX-License-Identifier: MIT
/*
 * main.c - oni-auditd: command line, the controller, rights, service notifications, exit
 * code. What is kept and how is in keeper.h and log.h.
 *
 * Threads: one. Signals are blocked and taken through a signalfd.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "keeper.h"
#include "publish.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <onidev.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
	EXIT_OK = 0,
	EXIT_DEVICE = 1,	/* the controller, or its events */
	EXIT_USAGE = 2,		/* command line, or the key */
	EXIT_DISK = 3,		/* the log cannot be written */
	EXIT_GONE = 4,		/* unplugged; all was written */
	EXIT_DAMAGED = 5,	/* the log there is was changed */
};

#define LOG_DIR	"/var/log/oni"
#define HEAD_MS	60000

struct daemon {
	const char *device, *dir, *key_path, *published;
	struct chain_key key;
	struct onidev_controller *ctl;
	struct oni_info info;
	char path[PATH_MAX];
	char about[512];
	char bus[sizeof(((struct oni_info *)0)->bus_name) + 1];
	char publish_path[PATH_MAX];
	struct publisher publisher;
	bool publish_failed;	/* and that was said */
	struct audit_log log;
	struct keeper keeper;	/* tell() finds the rest from it */
};

__attribute__((format(printf, 2, 3)))
static void say(int level, const char *fmt, ...)
{
	va_list ap;

	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>", level);
	fprintf(stderr, "oni-auditd: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void usage(FILE *out)
{
	fprintf(out,
"usage: oni-auditd [options]\n"
"       oni-auditd --verify [--key FILE] [--head FILE] [--json] LOG\n"
"\n"
"Keeps the log of everything that happens to the stimulators of a controller, in a file\n"
"that is only appended to and whose records hang together by hashes.\n"
"\n"
"  -d, --device DEV   controller: a node, oni0, a by-id name; default: the first\n"
"      --log DIR      folder of the log, " LOG_DIR " by default\n"
"      --key FILE     key of the hashes, 16 to 4096 bytes, readable by its owner only\n"
"      --publish FILE  where number and hash of the newest record are told to everybody;\n"
"                     $RUNTIME_DIRECTORY/head by default, in a service\n"
"      --verify       look whether a log is as it was written; --verify --help\n"
"  -h, --help         this text\n"
"      --version      version\n"
"\n"
"While it does not run, or cannot write, nothing can be armed under a policy that wants\n"
"a log. Exit code: 0 stopped, 1 controller, 2 command line, 3 the log cannot be written,\n"
"4 unplugged, 5 the log that is there was changed.\n"
"Research use only, not a medical device.\n");
}

/* --- controller ---------------------------------------------------------------- */

/* The name of the log: of the place on the bus, which is there for every controller. */
static int log_path(struct daemon *d)
{
	char bus[sizeof(d->bus)];

	snprintf(d->bus, sizeof(d->bus), "%.*s", (int)sizeof(d->info.bus_name), d->info.bus_name);
	strcpy(bus, d->bus);
	for (char *c = bus; *c; c++)
		if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_", *c))
			*c = '_';
	if (!bus[0])
		snprintf(bus, sizeof(bus), "%s", onidev_controller_name(d->ctl));
	return snprintf(d->path, sizeof(d->path), "%s/stim-%s.log", d->dir, bus) <
	       (int)sizeof(d->path) ? 0 : -1;
}

static int open_controller(struct daemon *d)
{
	char name[4 * NAME_MAX], bus[256], transport[128];

	d->ctl = onidev_controller_open(d->device, ONIDEV_OPEN_KERNEL);
	if (!d->ctl) {
		char why[400];

		onidev_open_explain(d->device, ONIDEV_OPEN_KERNEL, errno, why, sizeof(why));
		say(3, "cannot open %s: %s", d->device ? d->device : "a controller", why);
		return -1;
	}
	if (onidev_controller_info(d->ctl, &d->info)) {
		say(3, "cannot ask %s: %s", onidev_controller_node(d->ctl),
		    onidev_explain(ONIDEV_OP_INFO, errno));
		return -1;
	}
	record_string(onidev_controller_node(d->ctl), NAME_MAX, name, sizeof(name));
	record_string(d->info.bus_name, sizeof(d->info.bus_name), bus, sizeof(bus));
	record_string(d->info.transport_name, sizeof(d->info.transport_name), transport,
		      sizeof(transport));
	snprintf(d->about, sizeof(d->about), ",\"node\":%.100s,\"bus\":%.200s,\"transport\":%.100s,"
		 "\"hardware_id\":%u,\"hardware_revision\":%u,\"firmware_version\":%u,"
		 "\"program_version\":\"%s\"", name, bus, transport, d->info.hardware_id,
		 d->info.hardware_revision, d->info.firmware_version, onidev_version());
	return log_path(d);
}

static int open_events(struct daemon *d)
{
	struct oni_stim_events ev = { .size = sizeof(ev), .flags = ONI_STIM_EVENTS_AUDIT, .fd = -1 };
	const char *why;

	if (!ioctl(onidev_controller_fd(d->ctl), ONI_IOC_STIM_EVENTS, &ev))
		return ev.fd;
	switch (errno) {
	case ENOTTY:
		why = "this kernel driver has no stimulation";
		break;
	case EBUSY:
		why = "another program keeps the log already";
		break;
	case EPERM:
	case EACCES:
		why = "the right to (CAP_AUDIT_WRITE) is missing";
		break;
	default:
		why = strerror(errno);
	}
	say(3, "cannot have the events of %s: %s", onidev_controller_node(d->ctl), why);
	return -1;
}

/* Ceilings that were loaded before this began; what changes them later is an event. */
static void ask_limits(struct daemon *d)
{
	struct oni_stim_status st = { .size = sizeof(st) };
	char node[PATH_MAX];
	int fd;

	snprintf(node, sizeof(node), "%s-stim", onidev_controller_node(d->ctl));
	fd = open(node, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return;
	if (!ioctl(fd, ONI_STIM_IOC_STATUS, &st) && st.flags & ONI_STIM_HAS_POLICY) {
		memcpy(d->keeper.limits, st.policy, CHAIN_HASH);
		d->keeper.have_limits = true;
	}
	close(fd);
}

/* --- the service ------------------------------------------------------------------ */

/* Recordings are made without it as well, so this is no reason to end. */
static void publish(struct daemon *d)
{
	const struct keeper *k = &d->keeper;

	if (!publish_head(&d->publisher, &d->log, k->have_seq && !k->seq_is_old ? k->seq : 0)) {
		d->publish_failed = false;
		return;
	}
	if (!d->publish_failed)
		say(4, "recordings cannot be tied to this log: cannot write %s: %s", d->publisher.path,
		    strerror(errno));
	d->publish_failed = true;
}

static void tell(struct keeper *k)
{
	char hex[CHAIN_HEX + 1];

	publish((struct daemon *)(void *)((char *)k - offsetof(struct daemon, keeper)));
	chain_hex(k->log->hash, hex);
	sd_notifyf(0, "WATCHDOG=1\nSTATUS=%" PRIu64 " records, %" PRIu64 " events and %" PRIu64
		   " missing since the start, last hash %s", k->log->records, k->events, k->missing,
		   hex);
}

static void unwritten(struct keeper *k, const char *lines, size_t len)
{
	(void)k;
	say(2, "these records were not brought to the disk:");
	fwrite(lines, 1, len, stderr);
}

/* No right is needed any more: the files are open. */
static void drop_rights(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall(SYS_capset, &head, none);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int log_failed(struct daemon *d)
{
	int error = errno;

	say(2, "%s: %s", d->path, d->log.why);
	sd_notifyf(0, "STATUS=%s\nERRNO=%d", d->log.why, error);
	if (error == EBADMSG || error == EKEYREJECTED) {
		say(2, "look at it with 'oni-auditd --verify', keep it with its head in another "
		    "place, and a new one is begun; until then nothing is logged");
		return EXIT_DAMAGED;
	}
	return EXIT_DISK;
}

static int end_code(struct daemon *d, enum keeper_end end)
{
	switch (end) {
	case KEEPER_STOPPED:
		return EXIT_OK;
	case KEEPER_GONE:
		say(5, "the controller is gone");
		return EXIT_GONE;
	case KEEPER_DISK:
		errno = d->log.error;
		return log_failed(d);
	default:
		say(3, "%s", d->keeper.why);
		return EXIT_DEVICE;
	}
}

static int keep(struct daemon *d, int stop)
{
	char hex[CHAIN_HEX + 1];
	enum keeper_end end;
	int events, code;

	/* first the log: who cannot write must not be the one who keeps it */
	if (audit_log_open(&d->log, d->path, &d->key, &audit_io_disk))
		return log_failed(d);
	if (audit_log_protect(&d->log))
		say(5, "%s: the file system does not make it append-only: %s", d->path,
		    strerror(errno));
	events = open_events(d);
	if (events < 0) {
		audit_log_close(&d->log);
		return EXIT_DEVICE;
	}
	ask_limits(d);
	drop_rights();
	if (keeper_begin(&d->keeper)) {
		close(events);
		errno = d->log.error;
		code = log_failed(d);
		audit_log_close(&d->log);
		return code;
	}
	chain_hex(d->log.hash, hex);
	/* the journal may be on another machine: then it is a head that nobody here can change */
	say(6, "%s: %" PRIu64 " records, hash %s", d->path, d->log.records, hex);
	/* before anybody is told that it is ready: a recording that waits for it finds the head */
	tell(&d->keeper);
	sd_notify(0, "READY=1");
	end = keeper_run(&d->keeper, events, stop);
	/* what is armed ends with this */
	close(events);
	publish_end(&d->publisher);
	code = end_code(d, end);
	audit_log_close(&d->log);
	chain_hex(d->log.head.hash, hex);
	say(6, "%s: ended with %" PRIu64 " records, hash %s", d->path, d->log.head.records, hex);
	return code;
}

/* 0: go on, -1: usage error, 1: done. */
static int options(struct daemon *d, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "device", required_argument, NULL, 'd' }, { "log", required_argument, NULL, 'l' },
		{ "key", required_argument, NULL, 'k' }, { "publish", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	char why[CHAIN_WHY];
	int opt;

	while ((opt = getopt_long(argc, argv, "d:h", long_options, NULL)) != -1) {
		switch (opt) {
		case 'p': d->published = optarg; break;
		case 'd': d->device = strcmp(optarg, "first") ? optarg : NULL; break;
		case 'l': d->dir = optarg; break;
		case 'k': d->key_path = optarg; break;
		case 'h':
			usage(stdout);
			return 1;
		case 'v':
			printf("oni-auditd %s\n", onidev_version());
			return 1;
		default:
			say(3, "'oni-auditd --help' lists the options");
			return -1;
		}
	}
	if (optind != argc) {
		say(3, "'%s' is not understood; 'oni-auditd --help' lists the options",
		    argv[optind]);
		return -1;
	}
	if (d->key_path && chain_key_read(&d->key, d->key_path, why)) {
		say(3, "%s", why);
		return -1;
	}
	return 0;
}

/* Where systemd says that there is a folder for it, or where it was told. */
static void publish_where(struct daemon *d)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");
	int n = 0;

	if (d->published)
		n = snprintf(d->publish_path, sizeof(d->publish_path), "%s", d->published);
	else if (dir)
		n = snprintf(d->publish_path, sizeof(d->publish_path), "%s/" PUBLISH_NAME, dir);
	d->publisher = (struct publisher){
		.path = n > 0 && n < (int)sizeof(d->publish_path) ? d->publish_path : NULL,
		.log = d->path, .bus = d->bus, .fd = -1,
	};
}

int main(int argc, char **argv)
{
	static struct daemon d = { .dir = LOG_DIR };
	int ret, stop;

	if (argc > 1 && !strcmp(argv[1], "--verify"))
		return oni_chain_verify_main(argc - 1, argv + 1);
	ret = options(&d, argc, argv);
	if (ret)
		return ret < 0 ? EXIT_USAGE : EXIT_OK;
	stop = signals();
	if (chain_init() || stop < 0) {
		say(3, "cannot start: %s", stop < 0 ? strerror(errno) : "no SHA-256");
		return EXIT_DEVICE;
	}
	if (open_controller(&d)) {
		onidev_controller_close(d.ctl);
		return EXIT_DEVICE;
	}
	publish_where(&d);
	d.keeper = (struct keeper){
		.log = &d.log, .about = d.about, .head_ms = HEAD_MS, .kept = tell,
		.unwritten = unwritten,
	};
	ret = keep(&d, stop);
	onidev_controller_close(d.ctl);
	return ret;
}
