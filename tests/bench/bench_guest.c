// SPDX-License-Identifier: MIT
/*
 * Helpers of the guest's programs; see bench_guest.h.
 */
#define _GNU_SOURCE
#include "bench_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "mark.h"
#include "oni_test.h"

void bench_die(const char *what, int ret)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-ret));
	exit(1);
}

int bench_must(const char *what, int ret)
{
	if (ret < 0)
		bench_die(what, ret);
	return ret;
}

uint64_t bench_number(const char *text)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-')
		bench_die(text, -EINVAL);
	return n;
}

static char text[256 * 1024];

static void slurp(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n = 1;

	if (fd < 0)
		bench_die(path, -errno);
	while (have < sizeof(text) - 1 && n > 0) {
		n = read(fd, text + have, sizeof(text) - 1 - have);
		if (n < 0)
			bench_die(path, -errno);
		have += n;
	}
	close(fd);
	text[have] = '\0';
}

/* The number behind the next @key at or after @from */
static const char *after(const char *from, const char *key)
{
	const char *p = strstr(from, key);

	if (!p)
		bench_die(key, -ENOENT);
	return p + strlen(key);
}

static uint64_t idle_ns(void)
{
	static const char key[] = ".idle_sleeptime";
	const char *p;
	uint64_t sum = 0;

	slurp("/proc/timer_list");
	after(text, key);
	for (p = strstr(text, key); p; p = strstr(p, key)) {
		p = after(p, ":");
		sum += strtoull(p, NULL, 10);
	}
	return sum;
}

/* The sum over the processors of the line that names @irq */
static uint64_t interrupts(const char *irq)
{
	const char *p;
	uint64_t sum = 0, n;
	char *end;

	slurp("/proc/interrupts");
	p = after(text, irq);
	while (p > text && p[-1] != '\n')
		p--;
	for (p = after(p, ":");; p = end) {
		n = strtoull(p, &end, 10);
		if (end == p)
			return sum;
		sum += n;
	}
}

static void switches(struct bench_counts *c)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	c->own_switches = ru.ru_nvcsw + ru.ru_nivcsw;
	slurp("/proc/stat");
	c->switches = strtoull(after(text, "\nctxt "), NULL, 10);
}

void bench_before(struct bench_counts *c, const char *irq)
{
	c->idle_ns = idle_ns();
	switches(c);
	c->interrupts = interrupts(irq);
}

void bench_begin(struct bench_counts *c)
{
	c->mono_ns = ot_now_ns();
	BENCH_MARK(MARK_BEGIN);
}

void bench_end(struct bench_counts *c)
{
	BENCH_MARK(MARK_END);
	c->mono_ns = ot_now_ns();
}

void bench_after(struct bench_counts *c, const char *irq)
{
	c->interrupts = interrupts(irq);
	switches(c);
	c->idle_ns = idle_ns();
}

void bench_print(const char *name, const struct bench_counts *c)
{
	printf("\"%s\": {\"mono_ns\": %llu, \"idle_ns\": %llu, "
	       "\"interrupts\": %llu, \"switches\": %llu, \"own_switches\": %llu}, ",
	       name, (unsigned long long)c->mono_ns, (unsigned long long)c->idle_ns,
	       (unsigned long long)c->interrupts,
	       (unsigned long long)c->switches, (unsigned long long)c->own_switches);
}

void bench_loop_of_known_length(void)
{
	uint64_t n = BENCH_LOOPS;

	__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(n) : : "cc");
}

void bench_copy_of_known_length(void)
{
	static char from[BENCH_COPY], to[BENCH_COPY];
	const char *src = from;
	char *dst = to;
	uint64_t n = BENCH_COPY;

	__asm__ volatile("rep movsb" : "+S"(src), "+D"(dst), "+c"(n) : : "memory");
}
