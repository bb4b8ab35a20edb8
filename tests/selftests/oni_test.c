// SPDX-License-Identifier: MIT
/*
 * Helpers of the selftests; see oni_test.h.
 */
#define _GNU_SOURCE
#include "oni_test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

const char *ot_path(void)
{
	const char *path = getenv("ONI_DEVICE");

	return path && *path ? path : "/dev/oni0";
}

int ot_open(int flags)
{
	int fd = open(ot_path(), flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int ot_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

int ot_simple(int fd, unsigned long cmd)
{
	struct oni_simple arg = { .size = sizeof(arg) };

	return ot_ioctl(fd, cmd, &arg);
}

int ot_info(int fd, struct oni_info *info)
{
	ot_poison(info);
	info->size = sizeof(*info);
	memset(info->reserved, 0, sizeof(info->reserved));
	return ot_ioctl(fd, ONI_IOC_INFO, info);
}

int ot_stats(int fd, struct oni_stats *stats)
{
	ot_poison(stats);
	stats->size = sizeof(*stats);
	stats->flags = 0;
	memset(stats->reserved, 0, sizeof(stats->reserved));
	return ot_ioctl(fd, ONI_IOC_STATS, stats);
}

int ot_reg_read(int fd, uint32_t dev, uint32_t reg, uint32_t *value)
{
	struct oni_reg arg = {
		.size = sizeof(arg),
		.dev_addr = dev,
		.reg_addr = reg,
		.value = OT_POISON32,
	};
	int ret = ot_ioctl(fd, ONI_IOC_REG_READ, &arg);

	*value = arg.value;
	return ret;
}

int ot_reg_write(int fd, uint32_t dev, uint32_t reg, uint32_t value)
{
	struct oni_reg arg = {
		.size = sizeof(arg),
		.dev_addr = dev,
		.reg_addr = reg,
		.value = value,
	};

	return ot_ioctl(fd, ONI_IOC_REG_WRITE, &arg);
}

int ot_reg_batch(int fd, struct oni_reg_op *ops, uint32_t n, uint32_t *done)
{
	struct oni_reg_batch arg = {
		.size = sizeof(arg),
		.ops = (uintptr_t)ops,
		.count = n,
		.done = OT_POISON32,
		.op_size = sizeof(*ops),
	};
	int ret = ot_ioctl(fd, ONI_IOC_REG_BATCH, &arg);

	if (done)
		*done = arg.done;
	return ret;
}

int ot_table(int fd, struct oni_device *rows, size_t max)
{
	struct oni_device_table arg = {
		.size = sizeof(arg),
		.rows = (uintptr_t)rows,
		.count = max,
		.generation = OT_POISON32,
		.row_size = sizeof(*rows),
	};
	int ret = ot_ioctl(fd, ONI_IOC_DEVICE_TABLE, &arg);

	return ret ? ret : (int)arg.count;
}

int ot_port(int fd, struct oni_port_power *p, uint32_t port, uint32_t hub,
	    uint32_t decivolts)
{
	ot_poison(p);
	p->size = sizeof(*p);
	p->flags = 0;
	p->port = port;
	p->headstage = hub;
	p->decivolts = decivolts;
	p->timeout_ms = 0;
	memset(p->reserved, 0, sizeof(p->reserved));
	return ot_ioctl(fd, ONI_IOC_PORT_POWER, p);
}

int ot_load_test(int fd, uint32_t words, uint32_t hz)
{
	const struct {
		uint32_t reg, value;
	} set[] = {
		{ 0, hz != 0 },				/* ENABLE */
		{ 1, hz ? OT_CLK_HZ / hz : OT_CLK_HZ },	/* CLK_DIV */
		{ 3, words },				/* DT0H16_WORDS */
		{ 5, 0x100 },				/* DTOH_START */
	};
	size_t i;
	int ret;

	for (i = 0; i < sizeof(set) / sizeof(set[0]); i++) {
		ret = ot_reg_write(fd, OT_LOAD_TEST, set[i].reg, set[i].value);
		if (ret)
			return ret;
	}
	return ot_simple(fd, ONI_IOC_RESET);
}

int ot_rhythm(int fd, bool on)
{
	const struct {
		uint32_t reg, value;
	} set[] = {
		{ 15, 0x0101 },		/* DATA_STREAM_EN: both edges of A1 */
		{ 1, 2 },		/* MODE: no end */
		{ 0, on },		/* ENABLE */
	};
	size_t i;
	int ret;

	for (i = 0; i < sizeof(set) / sizeof(set[0]); i++) {
		ret = ot_reg_write(fd, OT_RHYTHM, set[i].reg, set[i].value);
		if (ret)
			return ret;
	}
	return ot_simple(fd, ONI_IOC_RESET);
}

int ot_stream_create(int ctl, uint64_t ring, uint32_t block,
		     uint32_t watermark, uint32_t latency_us)
{
	struct oni_stream_create arg = {
		.size = sizeof(arg),
		.ring_bytes = ring,
		.block_bytes = block,
		.watermark_bytes = watermark,
		.latency_us = latency_us,
		.fd = -1,
	};
	int ret = ot_ioctl(ctl, ONI_IOC_STREAM_CREATE, &arg);

	return ret ? ret : arg.fd;
}

int ot_stream_info(int fd, struct oni_stream_info *info)
{
	ot_poison(info);
	info->size = sizeof(*info);
	info->flags = 0;
	memset(info->reserved, 0, sizeof(info->reserved));
	return ot_ioctl(fd, ONI_IOC_STREAM_INFO, info);
}

int ot_stream_wake(int fd, uint32_t watermark, uint32_t latency_us)
{
	struct oni_stream_wake arg = {
		.size = sizeof(arg),
		.watermark_bytes = watermark,
		.latency_us = latency_us,
	};

	return ot_ioctl(fd, ONI_IOC_STREAM_WAKE, &arg);
}

int ot_monitor_create(int ctl, uint32_t watermark, uint32_t latency_us)
{
	struct oni_monitor_create arg = {
		.size = sizeof(arg),
		.watermark_bytes = watermark,
		.latency_us = latency_us,
		.fd = -1,
	};
	int ret = ot_ioctl(ctl, ONI_IOC_MONITOR_CREATE, &arg);

	return ret ? ret : arg.fd;
}

int ot_monitor_stat(int fd, struct oni_monitor_stat *stat)
{
	ot_poison(stat);
	stat->size = sizeof(*stat);
	stat->flags = 0;
	memset(stat->reserved, 0, sizeof(stat->reserved));
	return ot_ioctl(fd, ONI_IOC_MONITOR_STAT, stat);
}

static void *map_part(int fd, uint64_t offset, uint64_t bytes, int prot)
{
	return mmap(NULL, bytes, prot, MAP_SHARED, fd, offset);
}

int ot_stream_map(int fd, struct ot_stream *s)
{
	void *part[4];
	size_t i;
	int ret;

	s->fd = fd;
	ret = ot_stream_info(fd, &s->info);
	if (ret)
		return ret;
	part[0] = map_part(fd, s->info.producer_offset, s->info.producer_bytes,
			   PROT_READ);
	part[1] = map_part(fd, s->info.consumer_offset, s->info.consumer_bytes,
			   PROT_READ | PROT_WRITE);
	part[2] = map_part(fd, s->info.data_offset, 2 * s->info.data_bytes,
			   PROT_READ);
	part[3] = map_part(fd, s->info.desc_offset, s->info.desc_bytes,
			   PROT_READ);
	for (i = 0; i < 4; i++)
		if (part[i] == MAP_FAILED)
			return -errno;
	s->prod = part[0];
	s->cons = part[1];
	s->data = part[2];
	s->desc = part[3];
	return 0;
}

void ot_stream_unmap(struct ot_stream *s)
{
	if (!s->prod)
		return;
	munmap((void *)(uintptr_t)s->prod, s->info.producer_bytes);
	munmap((void *)(uintptr_t)s->cons, s->info.consumer_bytes);
	munmap((void *)(uintptr_t)s->data, 2 * s->info.data_bytes);
	munmap((void *)(uintptr_t)s->desc, s->info.desc_bytes);
	s->prod = NULL;
}

/* i386 aligns 64-bit fields to 4; these lie at multiples of 8 in their page. */
typedef volatile _Atomic uint64_t position;

uint64_t ot_head(const struct ot_stream *s)
{
	return atomic_load_explicit((position *)(uintptr_t)&s->prod->head,
				    memory_order_acquire);
}

uint64_t ot_claim(const struct ot_stream *s)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit((position *)(uintptr_t)&s->prod->claim,
				    memory_order_relaxed);
}

uint64_t ot_tail(const struct ot_stream *s)
{
	return atomic_load_explicit((position *)(uintptr_t)&s->cons->tail, memory_order_acquire);
}

void ot_set_tail(struct ot_stream *s, uint64_t tail)
{
	atomic_store_explicit((position *)(uintptr_t)&s->cons->tail, tail, memory_order_release);
}

uint64_t ot_wait_head(const struct ot_stream *s, uint64_t bytes, int ms)
{
	uint64_t end = ot_now_ns() + ms * 1000000ULL;

	while (ot_head(s) < bytes && ot_now_ns() < end)
		ot_sleep_ms(1);
	return ot_head(s);
}

uint32_t ot_wait_flags(const struct ot_stream *s, uint32_t flags, int ms)
{
	uint64_t end = ot_now_ns() + ms * 1000000ULL;

	while (!(s->prod->flags & flags) && ot_now_ns() < end)
		ot_sleep_ms(1);
	return s->prod->flags;
}

int ot_poll(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) < 0 ? -errno : p.revents;
}

/* --- frames --------------------------------------------------------------- */

#define FRAME_HEADER	16u

static uint32_t get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

int ot_parser_init(struct ot_parser *p, int fd, uint64_t lt_step)
{
	struct oni_device rows[OT_MAX_ROWS];
	int i, n;

	memset(p, 0, sizeof(*p));
	n = ot_table(fd, rows, OT_MAX_ROWS);
	if (n < 0)
		return n;
	for (i = 0; i < n; i++) {
		p->dev[i].dev = rows[i];
		if (rows[i].id == OT_ID_LOAD_TEST)
			p->dev[i].step = lt_step;
		else if (rows[i].id == OT_ID_RHYTHM)
			p->dev[i].step = OT_RHYTHM_TICKS;
	}
	p->devs = n;
	return 0;
}

void ot_parser_restart(struct ot_parser *p)
{
	size_t i;

	for (i = 0; i < p->devs; i++) {
		p->dev[i].frames = 0;
		p->dev[i].gaps = 0;
		p->dev[i].missing = 0;
	}
	p->bytes = 0;
	p->frames = 0;
	p->last_time = 0;
	p->bad_words = 0;
	p->have = 0;
	p->error = NULL;
}

static struct ot_device_count *find(struct ot_parser *p, uint32_t addr)
{
	size_t i;

	for (i = 0; i < p->devs; i++)
		if (p->dev[i].dev.addr == addr && p->dev[i].dev.id)
			return &p->dev[i];
	return NULL;
}

int ot_consume_until(struct ot_stream *s, struct ot_parser *p, uint64_t bytes, int ms)
{
	uint64_t end = ot_now_ns() + ms * 1000000ULL, head, tail;

	while ((tail = ot_tail(s)) < bytes && ot_now_ns() < end) {
		head = ot_head(s);
		if (ot_parser_feed(p, s->data + (tail & (s->info.data_bytes - 1)), head - tail))
			return -1;
		ot_set_tail(s, head);
		ot_sleep_ms(1);
	}
	return tail < bytes ? -1 : 0;
}

const struct ot_device_count *ot_parser_device(const struct ot_parser *p,
					       uint32_t addr)
{
	return find((struct ot_parser *)(uintptr_t)p, addr);
}

static int fail(struct ot_parser *p, const char *error)
{
	if (!p->error) {
		p->error = error;
		p->error_at = p->bytes;
	}
	return -1;
}

/* The words of one load test frame count up from the first. */
static uint64_t check_words(const uint8_t *words, size_t n)
{
	uint64_t bad = 0;
	uint16_t first;
	size_t i;

	if (!n)
		return 0;
	first = words[0] | words[1] << 8;
	for (i = 1; i < n; i++)
		bad += (uint16_t)(words[2 * i] | words[2 * i + 1] << 8) !=
		       (uint16_t)(first + i);
	return bad;
}

/* Every sample of the Rhythm begins with a constant, and they are numbered. */
static uint64_t check_sample(struct ot_device_count *d, const uint8_t *sample, uint64_t clock)
{
	uint32_t number = get32(sample + 16);

	if (d->frames == 1)
		d->first_number = number;
	return (get64(sample + 8) != OT_RHYTHM_MAGIC) +
	       (number - d->first_number != (uint32_t)((clock - d->first_clock) / OT_RHYTHM_TICKS));
}

static void count_gap(struct ot_device_count *d, uint64_t step)
{
	d->gaps++;
	if (step > d->step && step % d->step == 0)
		d->missing += step / d->step - 1;
}

static void count_frame(struct ot_parser *p, struct ot_device_count *d,
			const uint8_t *sample, uint32_t size)
{
	uint64_t clock = get64(sample);

	if (!d->frames)
		d->first_clock = clock;
	else if (d->step && clock - d->last_clock != d->step)
		count_gap(d, clock - d->last_clock);
	d->last_clock = clock;
	d->frames++;
	p->frames++;
	if (d->dev.id == OT_ID_LOAD_TEST)
		p->bad_words += check_words(sample + 16, (size - 16) / 2);
	else if (d->dev.id == OT_ID_RHYTHM && size >= 20)
		p->bad_words += check_sample(d, sample, clock);
}

/* Bytes of the frame at @buf; 0: too few bytes to tell or to be whole. */
static long parse_frame(struct ot_parser *p, const uint8_t *buf, size_t len)
{
	struct ot_device_count *d;
	uint64_t time;
	uint32_t size;
	size_t whole;

	if (len < FRAME_HEADER)
		return 0;
	time = get64(buf);
	size = get32(buf + 12);
	d = find(p, get32(buf + 8));
	if (!d)
		return fail(p, "frame of a device that is not in the table");
	if (size != d->dev.read_size || size < 8)
		return fail(p, "sample size is not the device's read size");
	if (time < p->last_time)
		return fail(p, "acquisition clock went back");
	whole = FRAME_HEADER + ((size + 3) & ~3u);
	if (len < whole)
		return 0;
	p->last_time = time;
	count_frame(p, d, buf + FRAME_HEADER, size);
	p->bytes += whole;
	return whole;
}

/* Finish the frame that the previous call left; bytes of @buf used. */
static long feed_carry(struct ot_parser *p, const uint8_t *buf, size_t len)
{
	size_t old = p->have, n = sizeof(p->carry) - old;
	long used;

	if (n > len)
		n = len;
	memcpy(p->carry + old, buf, n);
	used = parse_frame(p, p->carry, old + n);
	if (used < 0)
		return -1;
	if (!used) {
		p->have = old + n;
		return p->have == sizeof(p->carry) ?
		       fail(p, "frame larger than any device has") : (long)n;
	}
	p->have = 0;
	return used - (long)old;
}

int ot_parser_feed(struct ot_parser *p, const uint8_t *buf, size_t len)
{
	long used;

	while (len) {
		if (p->have) {
			used = feed_carry(p, buf, len);
		} else {
			used = parse_frame(p, buf, len);
			if (!used)
				used = feed_carry(p, buf, len);
		}
		if (used < 0)
			return -1;
		buf += used;
		len -= used;
	}
	return 0;
}

/* --- odds and ends -------------------------------------------------------- */

void *ot_guarded(size_t bytes)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t room = (bytes + page - 1) / page * page;
	uint8_t *p;

	p = mmap(NULL, room + page, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || mprotect(p + room, page, PROT_NONE)) {
		perror("guarded memory");
		abort();
	}
	return p + room - bytes;
}

uint64_t ot_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

void ot_sleep_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

int ot_send_fd(int sock, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	char byte = 'f';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

int ot_recv_fd(int sock)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return errno ? -errno : -EPIPE;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int ot_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int ot_lab(const char *request)
{
	const char *cmd = getenv("ONI_LAB_CMD");
	char line[256];

	if (!cmd || !*cmd)
		return -ENOSYS;
	snprintf(line, sizeof(line), "%s %s", cmd, request);
	return system(line) == 0 ? 0 : -EIO;
}
