/* SPDX-License-Identifier: MIT */
/*
 * BENCH_MARK(n): an instruction that does nothing in the guest and makes the
 * plugin (insns.c) write down all its counters. n is a constant below 256;
 * marks of 16 and above also flush the plugin's file.
 *
 * The instruction is nopl with a 32-bit displacement: n, then a tag that no
 * compiler writes. Outside of the lab it costs nothing.
 */
#ifndef BENCH_MARK_H
#define BENCH_MARK_H

#define BENCH_MARK_OPCODE	"\x0f\x1f\x80"
#define BENCH_MARK_TAG		"\x49\x4e\x4f"
#define BENCH_MARK_BYTES	7

#define BENCH_MARK(n)								\
	__asm__ volatile(".byte 0x0f, 0x1f, 0x80, %c0, 0x49, 0x4e, 0x4f"	\
			 : : "i"(n) : "memory")

/* What the marks mean; bench.py knows them by these numbers. */
enum {
	MARK_SEEN = 1,		/* the reader has seen the head move */
	MARK_SEND = 2,		/* about to call write(2) */
	MARK_SENT = 3,		/* write(2) returned */
	MARK_BEGIN = 16,	/* a window of measurement begins */
	MARK_END = 17,		/* and ends */
};

#endif /* BENCH_MARK_H */
