/* SPDX-License-Identifier: MIT */
/*
 * test_sim_client.h - a vfio-user client and a small polled driver for onisim.
 *
 * Starts the simulator named by $ONISIM with sockets in a fresh directory,
 * speaks vfio-user to it as QEMU does, and does on top what a driver for the
 * card does: one scatter-gather element per transaction, vectors read after
 * each interrupt. Any surprise ends the test.
 * Threads: none besides the simulator's process.
 * Source: vfio-user protocol specification; RIFFA 2.2 HDL; ONI v1.0 spec.
 */
#ifndef TEST_SIM_CLIENT_H
#define TEST_SIM_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/sim/riffa.h"

#define RAM_IOVA	0x100000000ull	/* above 4 GiB: 64-bit addresses */
#define RAM_SIZE	(4u << 20)
#define LIST_OFF	0x0000u		/* where things lie in guest memory */
#define WORD_OFF	0x10000u
#define BLOCK_OFF	0x100000u
#define MSI_CAP		0x48u

enum { CMD_VERSION = 1, CMD_DMA_MAP, CMD_DMA_UNMAP, CMD_INFO, CMD_REGION_INFO,
       CMD_IO_FDS, CMD_IRQ_INFO, CMD_SET_IRQS, CMD_READ, CMD_WRITE,
       CMD_RESET = 13 };

struct client {
	char dir[64];
	char where[128];		/* what the simulator listens on */
	pid_t pid;
	int sock, ctrl, msi;
	uint16_t id;
	uint8_t *ram;
	int ram_fd;
	uint32_t events;		/* vector bits not yet served */
	uint64_t msis;
};

struct client_header {
	uint16_t id, command;
	uint32_t size, flags, error;
};

/* ---- simulator process ---- */

static inline const char *client_path(const struct client *c, const char *name)
{
	static char path[4][128];
	static unsigned int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", c->dir, name);
	return path[i];
}

static inline int client_connect(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	assert_true(fd >= 0);
	assert_return_code(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), errno);
	return fd;
}

/* @option names the socket @where; @extra: more command line words, NULL at the end. */
static inline void client_spawn_on(struct client *c, const char *option, const char *where,
				   const char *const *extra)
{
	const char *argv[32] = { getenv("ONISIM"), option, NULL, "--control", NULL,
				 "--truth", NULL };
	char line[256];
	int out[2], n = 7;
	FILE *f;

	if (!argv[0])
		fail_msg("ONISIM does not name the simulator");
	strcpy(c->dir, "/tmp/onisim-test-XXXXXX");
	assert_non_null(mkdtemp(c->dir));
	argv[2] = where ? where : client_path(c, "socket");
	argv[4] = client_path(c, "control");
	argv[6] = client_path(c, "truth");
	while (extra && *extra)
		argv[n++] = *extra++;
	assert_return_code(pipe(out), errno);
	c->pid = fork();
	assert_return_code(c->pid, errno);
	if (!c->pid) {
		/* A test that dies takes its simulator along. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		execv(argv[0], (char **)argv);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	assert_non_null(fgets(line, sizeof(line), f));
	assert_int_equal(sscanf(line, "onisim: listening on %127s", c->where), 1);
	/* Nobody reads the summary; it fits into the pipe. */
	fcntl(fileno(f), F_SETFD, FD_CLOEXEC);
	c->ctrl = client_connect(client_path(c, "control"));
}

static inline void client_spawn(struct client *c, const char *const *extra)
{
	client_spawn_on(c, "--socket", NULL, extra);
}

/* Ends the simulator; returns its exit status. */
static inline int client_end(struct client *c)
{
	int status = 0;

	close(c->ctrl);
	kill(c->pid, SIGTERM);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static inline void client_clean(struct client *c)
{
	unlink(client_path(c, "truth"));
	unlink(client_path(c, "spikes"));
	rmdir(c->dir);
}

/* One control request; the answer without its last line. Returns 0 or -1. */
static inline int client_ask(struct client *c, const char *request, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;
	char *last;

	dprintf(c->ctrl, "%s\n", request);
	for (;;) {
		n = recv(c->ctrl, buf + len, size - 1 - len, 0);
		assert_true(n > 0);
		len += (size_t)n;
		buf[len] = '\0';
		if (buf[len - 1] != '\n')
			continue;
		for (last = buf + len - 1; last > buf && last[-1] != '\n'; last--)
			;
		if (!strcmp(last, "ok\n")) {
			*last = '\0';
			return 0;
		}
		if (!strncmp(last, "err ", 4))
			return -1;
	}
}

static inline uint64_t client_status(struct client *c, const char *key)
{
	char buf[32768], want[80];
	char *at;

	assert_int_equal(client_ask(c, "status", buf, sizeof(buf)), 0);
	snprintf(want, sizeof(want), "%s ", key);
	at = buf;
	while (at && strncmp(at, want, strlen(want))) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		fail_msg("status has no %s", key);
	return strtoull(at + strlen(want), NULL, 0);
}

/* ---- vfio-user ---- */

static inline void client_recv(int sock, void *buf, size_t len)
{
	assert_int_equal(recv(sock, buf, len, MSG_WAITALL), len);
}

/*
 * One request with @fd attached unless it is -1. The body of the answer goes to
 * @reply; returns its length, or -errno if the server refused.
 */
static inline int client_call(struct client *c, uint16_t cmd, const void *body, size_t len,
			      int fd, void *reply, size_t max)
{
	union { char buf[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } ctrl;
	struct client_header h = { .id = ++c->id, .command = cmd,
				   .size = (uint32_t)(sizeof(h) + len) };
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)body, len } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *cm;

	if (fd >= 0) {
		mh.msg_control = ctrl.buf;
		mh.msg_controllen = sizeof(ctrl.buf);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	assert_int_equal(sendmsg(c->sock, &mh, MSG_NOSIGNAL), sizeof(h) + len);
	client_recv(c->sock, &h, sizeof(h));
	assert_int_equal(h.id, c->id);
	assert_int_equal(h.command, cmd);
	assert_int_equal(h.flags & 0xf, 1);
	if (h.flags & 1 << 5)
		return -(int)h.error;
	assert_true(h.size - sizeof(h) <= max);
	if (h.size > sizeof(h))
		client_recv(c->sock, reply, h.size - sizeof(h));
	return (int)(h.size - sizeof(h));
}

static inline int client_map(struct client *c, uint64_t iova, uint64_t size, int fd,
			     uint64_t off, uint32_t prot)
{
	struct { uint32_t argsz, flags; uint64_t off, addr, size; } d = {
		sizeof(d), prot, off, iova, size };
	int ret = client_call(c, CMD_DMA_MAP, &d, sizeof(d), fd, NULL, 0);

	return ret < 0 ? ret : 0;
}

static inline int client_unmap(struct client *c, uint64_t iova, uint64_t size)
{
	struct { uint32_t argsz, flags; uint64_t addr, size; } u = {
		sizeof(u), 0, iova, size };
	int ret = client_call(c, CMD_DMA_UNMAP, &u, sizeof(u), -1, &u, sizeof(u));

	return ret < 0 ? ret : 0;
}

static inline uint32_t client_get(struct client *c, uint32_t region, uint64_t off, uint32_t len)
{
	struct { uint64_t off; uint32_t region, count; uint32_t data[2]; } r = {
		off, region, len, { 0, 0 } };

	assert_int_equal(client_call(c, CMD_READ, &r, 16, -1, &r, sizeof(r)), 16 + len);
	return r.data[0];
}

static inline void client_put(struct client *c, uint32_t region, uint64_t off, uint32_t len,
			      uint32_t val)
{
	struct { uint64_t off; uint32_t region, count, data; } r = { off, region, len, val };

	assert_int_equal(client_call(c, CMD_WRITE, &r, 16 + len, -1, &r, sizeof(r)), 16);
}

static inline uint32_t cfg_get(struct client *c, uint64_t off, uint32_t len)
{
	return client_get(c, VFIO_PCI_CONFIG_REGION_INDEX, off, len);
}

static inline void cfg_put(struct client *c, uint64_t off, uint32_t len, uint32_t val)
{
	client_put(c, VFIO_PCI_CONFIG_REGION_INDEX, off, len, val);
}

static inline uint32_t reg_get(struct client *c, unsigned int ch, unsigned int field)
{
	return client_get(c, VFIO_PCI_BAR0_REGION_INDEX, ch * 64 + field * 4, 4);
}

static inline void reg_put(struct client *c, unsigned int ch, unsigned int field, uint32_t val)
{
	client_put(c, VFIO_PCI_BAR0_REGION_INDEX, ch * 64 + field * 4, 4, val);
}

static inline int client_set_irq(struct client *c, uint32_t flags, uint32_t count, int fd)
{
	struct vfio_irq_set s = { .argsz = sizeof(s), .flags = flags,
				  .index = VFIO_PCI_MSI_IRQ_INDEX, .count = count };

	return client_call(c, CMD_SET_IRQS, &s, sizeof(s), fd, NULL, 0);
}

static inline void client_negotiate(struct client *c)
{
	static const char ver[] = "\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8}}";
	char reply[512];
	int n = client_call(c, CMD_VERSION, ver, sizeof(ver), -1, reply, sizeof(reply));

	assert_true(n > 4);
	assert_int_equal(reply[n - 1], 0);
	assert_memory_equal(reply, "\0\0", 2);
}

/* Connect, negotiate and map the guest memory. */
static inline void client_attach(struct client *c)
{
	c->sock = client_connect(client_path(c, "socket"));
	c->id = 0;
	client_negotiate(c);
	c->ram_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_return_code(ftruncate(c->ram_fd, RAM_SIZE), errno);
	c->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, c->ram_fd, 0);
	assert_ptr_not_equal(c->ram, MAP_FAILED);
	assert_int_equal(client_map(c, RAM_IOVA, RAM_SIZE, c->ram_fd, 0, 3), 0);
}

static inline void client_detach(struct client *c)
{
	close(c->sock);
	munmap(c->ram, RAM_SIZE);
	close(c->ram_fd);
}

/* ---- driver ---- */

static inline void drv_probe(struct client *c)
{
	c->msi = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->events = 0;
	c->msis = 0;
	cfg_put(c, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	cfg_put(c, MSI_CAP + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_ENABLE);
	client_set_irq(c, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, 1, c->msi);
	assert_int_equal(reg_get(c, 0, RIFFA_INFO), 0x115094);
}

static inline void drv_remove(struct client *c)
{
	reg_get(c, 0, RIFFA_INFO);
	cfg_put(c, PCI_COMMAND, 2, 0);
	close(c->msi);
}

/* Wait for an interrupt and read the vector. False after @ms without one. */
static inline bool drv_interrupt(struct client *c, int ms)
{
	struct pollfd p = { .fd = c->msi, .events = POLLIN };
	uint64_t n;

	if (poll(&p, 1, ms) != 1 || read(c->msi, &n, sizeof(n)) != sizeof(n))
		return false;
	c->msis += n;
	c->events |= reg_get(c, 0, RIFFA_VECTOR0);
	return true;
}

/* Consume @bit of channel @ch, waiting for it up to @ms. */
static inline bool drv_wait(struct client *c, unsigned int ch, uint32_t bit, int ms)
{
	bit <<= 5 * ch;
	while (!(c->events & bit))
		if (!drv_interrupt(c, ms))
			return false;
	c->events &= ~bit;
	return true;
}

static inline void drv_elem(struct client *c, uint32_t off, uint64_t iova, uint32_t words)
{
	uint32_t e[4] = { (uint32_t)iova, (uint32_t)(iova >> 32), words, 0 };

	memcpy(c->ram + off, e, sizeof(e));
}

static inline void drv_send(struct client *c, unsigned int ch, uint32_t offset,
			    const uint32_t *words, uint32_t n)
{
	uint64_t list = RAM_IOVA + LIST_OFF + ch * 64;

	memcpy(c->ram + WORD_OFF, words, n * 4);
	drv_elem(c, LIST_OFF + ch * 64, RAM_IOVA + WORD_OFF, n);
	reg_put(c, ch, RIFFA_RX_OFFLAST, offset << 1 | 1);
	reg_put(c, ch, RIFFA_RX_LEN, n);
	reg_put(c, ch, RIFFA_RX_SG_ADDR_LO, (uint32_t)list);
	reg_put(c, ch, RIFFA_RX_SG_ADDR_HI, (uint32_t)(list >> 32));
	reg_put(c, ch, RIFFA_RX_SG_LEN, 4);
	assert_true(drv_wait(c, ch, RIFFA_EV_RX_RECVD, 2000));
	assert_true(drv_wait(c, ch, RIFFA_EV_RX_DONE, 2000));
	assert_int_equal(reg_get(c, ch, RIFFA_RX_TNFR_LEN), n);
}

/* Receive one transaction to @off. Words, or -1 if none came within @ms. */
static inline int drv_receive(struct client *c, unsigned int ch, uint32_t off, int ms)
{
	uint64_t list = RAM_IOVA + LIST_OFF + 32 + ch * 64;
	uint32_t len;

	if (!drv_wait(c, ch, RIFFA_EV_TX_TXN, ms))
		return -1;
	assert_int_equal(reg_get(c, ch, RIFFA_TX_OFFLAST), 1);
	len = reg_get(c, ch, RIFFA_TX_LEN);
	drv_elem(c, LIST_OFF + 32 + ch * 64, RAM_IOVA + off, len);
	reg_put(c, ch, RIFFA_TX_SG_ADDR_LO, (uint32_t)list);
	reg_put(c, ch, RIFFA_TX_SG_ADDR_HI, (uint32_t)(list >> 32));
	reg_put(c, ch, RIFFA_TX_SG_LEN, 4);
	assert_true(drv_wait(c, ch, RIFFA_EV_TX_RECVD, 2000));
	assert_true(drv_wait(c, ch, RIFFA_EV_TX_DONE, 2000));
	return (int)reg_get(c, ch, RIFFA_TX_TNFR_LEN);
}

static inline uint32_t drv_word(const struct client *c)
{
	uint32_t val;

	memcpy(&val, c->ram + BLOCK_OFF, 4);
	return val;
}

static inline void drv_conf(struct client *c, uint32_t reg, uint32_t val)
{
	drv_send(c, 0, reg, &val, 1);
}

static inline uint32_t drv_conf_get(struct client *c, uint32_t reg)
{
	uint32_t dummy = 0;

	drv_send(c, 0, reg | 1u << 29, &dummy, 1);
	assert_int_equal(drv_receive(c, 0, BLOCK_OFF, 2000), 1);
	return drv_word(c);
}

/* One signal packet, COBS removed. Returns its length in bytes. */
static inline unsigned int drv_signal(struct client *c, uint8_t *out)
{
	unsigned int n = 0, left = 0;
	bool zero = false;
	uint8_t byte;

	for (;;) {
		assert_int_equal(drv_receive(c, 3, BLOCK_OFF, 2000), 1);
		byte = (uint8_t)drv_word(c);
		if (!byte)
			break;
		if (left) {
			out[n++] = byte;
			left--;
			continue;
		}
		if (zero)
			out[n++] = 0;
		zero = byte != 0xff;
		left = byte - 1u;
	}
	assert_int_equal(left, 0);
	return n;
}

/* Device register; 0, or -1 for a NACK. */
static inline int drv_register(struct client *c, uint32_t addr, uint32_t reg, uint32_t *val,
			       bool write)
{
	uint32_t flag;
	uint8_t pkt[255];

	assert_int_equal(drv_conf_get(c, 4), 0);
	drv_conf(c, 0, addr);
	drv_conf(c, 1, reg);
	if (write)
		drv_conf(c, 2, *val);
	drv_conf(c, 3, write);
	drv_conf(c, 4, 1);
	assert_int_equal(drv_signal(c, pkt), 4);
	memcpy(&flag, pkt, 4);
	assert_true(flag == (write ? 2 : 8) || flag == (write ? 4 : 16));
	if (flag & (4 | 16))
		return -1;
	if (!write)
		*val = drv_conf_get(c, 2);
	return 0;
}

static inline int drv_set(struct client *c, uint32_t addr, uint32_t reg, uint32_t val)
{
	return drv_register(c, addr, reg, &val, true);
}

struct drv_row {
	uint32_t addr, id, version, read_size, write_size;
};

/* Controller reset; fills @rows, returns their number. */
static inline unsigned int drv_reset(struct client *c, struct drv_row *rows, unsigned int max)
{
	uint8_t pkt[255];
	uint32_t head[2];
	unsigned int i;

	drv_conf(c, 6, 1);
	assert_int_equal(drv_signal(c, pkt), 8);
	memcpy(head, pkt, 8);
	assert_int_equal(head[0], 0x20);
	assert_true(head[1] <= max);
	for (i = 0; i < head[1]; i++) {
		assert_int_equal(drv_signal(c, pkt), 24);
		assert_int_equal(pkt[0], 0x40);
		memcpy(&rows[i], pkt + 4, sizeof(rows[i]));
	}
	return head[1];
}

#endif
