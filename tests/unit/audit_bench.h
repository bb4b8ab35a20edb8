/* SPDX-License-Identifier: MIT */
/*
 * audit_bench.h - audit logs to damage: files in a folder of the test, disks that break
 * at a chosen byte, verification without its printing. Only for unit tests.
 */
#ifndef AUDIT_BENCH_H
#define AUDIT_BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/temp_dir.h"
#include "userspace/audit/log.h"

static char bench_dir[64];
static char bench_log[100], bench_head[110];

struct bench_file {
	char *data;
	size_t len;
};

static inline int bench_setup(void **state)
{
	(void)state;
	if (chain_init() || temp_dir_new(bench_dir, sizeof(bench_dir), "test_audit"))
		return -1;
	snprintf(bench_log, sizeof(bench_log), "%s/log", bench_dir);
	snprintf(bench_head, sizeof(bench_head), "%s.head", bench_log);
	return 0;
}

static inline int bench_teardown(void **state)
{
	(void)state;
	return temp_dir_remove(bench_dir);
}

static inline struct bench_file bench_read(const char *path)
{
	struct bench_file f = { NULL, 0 };
	int fd = open(path, O_RDONLY);
	struct stat st;

	assert_true(fd >= 0 && !fstat(fd, &st));
	f.len = (size_t)st.st_size;
	f.data = malloc(f.len + 1);
	assert_int_equal(read(fd, f.data, f.len), f.len);
	f.data[f.len] = '\0';
	close(fd);
	return f;
}

static inline void bench_write(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/* What the last verification has printed, in a file of the test's folder. */
static inline struct bench_file bench_output(void)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/out", bench_dir);
	return bench_read(path);
}

/* Exit code of the verification of bench_log, against @folder if it is a recording. */
static inline int bench_verify_recording(const char *key, const char *head, const char *folder,
					 bool json)
{
	char *argv[12] = { "verify" }, path[80];
	int argc = 1, out, to, ret;

	if (json)
		argv[argc++] = "--json";
	if (folder) {
		argv[argc++] = "--recording";
		argv[argc++] = (char *)(uintptr_t)folder;
	}
	if (key) {
		argv[argc++] = "--key";
		argv[argc++] = (char *)(uintptr_t)key;
	}
	if (head) {
		argv[argc++] = "--head";
		argv[argc++] = (char *)(uintptr_t)head;
	}
	argv[argc++] = bench_log;
	fflush(stdout);
	snprintf(path, sizeof(path), "%s/out", bench_dir);
	out = dup(STDOUT_FILENO);
	to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(to, STDOUT_FILENO);
	ret = oni_chain_verify_main(argc, argv);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	close(to);
	return ret;
}

static inline int bench_verify(const char *key, const char *head)
{
	return bench_verify_recording(key, head, NULL, false);
}

/* First line that is not good, from 1; 0: all are. */
static inline uint64_t bench_first_bad(const struct chain_key *key)
{
	struct chain_scan s = { .mark = 0 };
	int fd = open(bench_log, O_RDONLY);

	assert_int_equal(chain_scan(fd, key, &s), 0);
	close(fd);
	return s.fault ? s.records + 1 : 0;
}

/* A disk that takes so many bytes, and then fails in this way. */
static uint64_t disk_room;
static int disk_error, disk_sync_error;

static inline ssize_t disk_write(int fd, const void *buf, size_t len)
{
	size_t n = len < disk_room ? len : (size_t)disk_room;
	ssize_t done;

	if (!n) {
		errno = disk_error;
		return -1;
	}
	done = write(fd, buf, n);
	if (done > 0)
		disk_room -= (uint64_t)done;
	return done;
}

static inline int disk_sync(int fd)
{
	(void)fd;
	if (!disk_sync_error)
		return 0;
	errno = disk_sync_error;
	return -1;
}

static const struct audit_io disk = { .write = disk_write, .sync = disk_sync };

static inline void disk_new(uint64_t room)
{
	disk_room = room;
	disk_error = ENOSPC;
	disk_sync_error = 0;
}

/* Records 1 to @n, each committed; the log stays open. */
static inline void bench_open(struct audit_log *log, const struct chain_key *key)
{
	disk_new(UINT64_MAX);
	assert_int_equal(audit_log_open(log, bench_log, key, &disk), 0);
}

static inline void bench_put(struct audit_log *log, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (!log->records)
			assert_int_equal(audit_log_put(log, "begin", ",\"chain\":\"%s\"", log->key &&
						       log->key->len ? "hmac-sha256" : "sha256"), 0);
		else
			assert_int_equal(audit_log_put(log, "fire", ",\"seq\":%" PRIu64
						       ",\"comm\":\"x\"", log->records), 0);
		assert_int_equal(audit_log_commit(log), 0);
	}
}

static inline void bench_make(unsigned int n, const struct chain_key *key)
{
	static struct audit_log log;

	unlink(bench_log);
	unlink(bench_head);
	bench_open(&log, key);
	bench_put(&log, n);
	audit_log_close(&log);
}

/* As when the power goes: nothing is finished. */
static inline void bench_cut_power(struct audit_log *log)
{
	close(log->fd);
	close(log->head_fd);
	log->fd = log->head_fd = -1;
}

#endif
