/* SPDX-License-Identifier: MIT */
/*
 * What the guest's programs share: the kernel's own counters before and after
 * a window of measurement, the load tester as the only source, numbers from
 * the command line. One thread; the programs end when something is wrong.
 */
#ifndef BENCH_GUEST_H
#define BENCH_GUEST_H

#include <stdint.h>

/* Prints what and strerror(-ret) and ends the program with status 1. */
void bench_die(const char *what, int ret) __attribute__((noreturn));
/* ret if it is not negative; else the end */
int bench_must(const char *what, int ret);
uint64_t bench_number(const char *text);

/*
 * In ns, or counts, since boot.
 */
struct bench_counts {
	uint64_t mono_ns;
	uint64_t idle_ns;	/* all processors, idle loop included */
	uint64_t interrupts;	/* of the card */
	uint64_t switches;	/* of all tasks */
	uint64_t own_switches;
};

/*
 * The window of measurement is between begin and end, which cost little. What
 * costs much is read before and after it; the card goes on meanwhile.
 * @irq: the card's name in /proc/interrupts.
 */
void bench_before(struct bench_counts *c, const char *irq);
void bench_begin(struct bench_counts *c);
void bench_end(struct bench_counts *c);
void bench_after(struct bench_counts *c, const char *irq);
/* "NAME": {...}, */
void bench_print(const char *name, const struct bench_counts *c);

/* Iterations of a loop of two instructions */
#define BENCH_LOOPS	10000000U
void bench_loop_of_known_length(void);
/* Bytes copied by one rep movsb, which is how the kernel copies to user space */
#define BENCH_COPY	1000000U
void bench_copy_of_known_length(void);

/*
 * A frame's length on the wire from its header, and whether it is whole. The
 * header: u64 clock, u32 address, u32 bytes.
 */
#define BENCH_HEADER	16U
static inline uint32_t bench_frame_bytes(const uint8_t *frame)
{
	return BENCH_HEADER + ((*(const uint32_t *)(frame + 12) + 3) & ~3U);
}

static inline uint32_t bench_frame_addr(const uint8_t *frame)
{
	return *(const uint32_t *)(frame + 8);
}

#endif /* BENCH_GUEST_H */
