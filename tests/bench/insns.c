// SPDX-License-Identifier: MIT
/*
 * insns - a plugin of QEMU's translator that counts guest instructions.
 *
 *   -plugin insns.so,out=FILE[,profile=FILE]
 *
 * One line of FILE per mark that the guest executes (mark.h): all counters, so
 * that the difference of two lines is what happened between them. profile=
 * also counts per 16 bytes of kernel code and writes, at the second mark of
 * 16 or above after each other, what was executed in between, by address.
 *
 * Only for guests with one vCPU: everything runs in its thread, no locks.
 *
 * "idle" are the instructions of the idle task, from the first halt after it
 * was switched to until something else is; interrupts in it included.
 *
 * "rep" are the iterations of repeated string instructions of the kernel: each
 * counts as an instruction.
 *
 * Interrupts are told apart by the address of their entry. An interrupt's
 * instructions are those from its entry to the iretq that ends it, softirqs
 * and nested interrupts included (these are counted in theirs as well). A
 * frame that ends otherwise (the handler's exit switched to another task) is
 * counted as "cut" and its instructions are not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark.h"
#include "plugin_abi.h"

#define EXPORT		__attribute__((visibility("default")))
#define KERNEL_HALF	(1ULL << 63)
#define APIC_BASE	0xfee00000ULL
#define APIC_END	0xfef00000ULL
/* RIFFA_DOWN_SG_LEN of the channel for write frames: the card starts to fetch. */
#define BAR_BYTES	1024
#define DOORBELL	0x40
#define MAX_CLASSES	32
#define MAX_DEPTH	8
/* Kernel text and modules in steps of 16 bytes: 16 + 32 MiB is plenty. */
#define PROFILE_SLOTS	(1U << 21)
#define PROFILE_SHIFT	4

EXPORT int qemu_plugin_version = PLUGIN_ABI_VERSION;
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

enum { C_USER, C_KERNEL, C_HLT, C_SYSCALL, C_SWITCH, C_REP, COUNTERS };

struct irq_class {
	uint64_t entry, count, cut, insns;
	uint64_t busy_insns;	/* of those that interrupted a program */
	uint64_t last_start;
};

static struct {
	FILE *out;
	const char *profile;
	struct qemu_plugin_scoreboard *score;	/* uint64_t[COUNTERS] */
	struct qemu_plugin_scoreboard *slots;	/* uint64_t[PROFILE_SLOTS] */
	uint64_t *slot_addr;			/* hash of addr >> PROFILE_SHIFT */
	uint64_t *slot_before;
	bool window;

	struct irq_class irq[MAX_CLASSES];
	unsigned int classes;
	struct {
		struct irq_class *irq;
		uint64_t start;
		bool busy;
	} frame[MAX_DEPTH];
	unsigned int depth;
	uint64_t lost_frames;

	bool idle;
	uint64_t idle_since, idle_insns;
	uint64_t io_reads, io_writes, doorbell;
} p;

static uint64_t counter(int i)
{
	return qemu_plugin_u64_get((struct plugin_u64){ p.score, i * sizeof(uint64_t) }, 0);
}

static uint64_t total(void)
{
	return counter(C_USER) + counter(C_KERNEL);
}

/* The idle task runs from a halt to the next switch of tasks. */
static void set_idle(bool idle)
{
	if (idle && !p.idle)
		p.idle_since = total();
	else if (!idle && p.idle)
		p.idle_insns += total() - p.idle_since;
	p.idle = idle;
}

static uint64_t idle_insns(void)
{
	return p.idle_insns + (p.idle ? total() - p.idle_since : 0);
}

static void on_halt(unsigned int vcpu, void *data)
{
	(void)vcpu, (void)data;
	set_idle(true);
}

static void on_switch(unsigned int vcpu, void *data)
{
	(void)vcpu, (void)data;
	set_idle(false);
}

/* --- interrupts ----------------------------------------------------------- */

static struct irq_class *class_of(uint64_t entry)
{
	unsigned int i;

	for (i = 0; i < p.classes; i++)
		if (p.irq[i].entry == entry)
			return &p.irq[i];
	if (p.classes == MAX_CLASSES) {
		fprintf(stderr, "insns: more than %d interrupt vectors\n", MAX_CLASSES);
		exit(1);
	}
	p.irq[p.classes].entry = entry;
	return &p.irq[p.classes++];
}

static void on_interrupt(unsigned int vcpu, int type, uint64_t from, uint64_t to, void *data)
{
	struct irq_class *c = class_of(to);

	(void)vcpu, (void)type, (void)from, (void)data;
	c->count++;
	c->last_start = total();
	if (p.depth == MAX_DEPTH) {
		p.lost_frames++;
		return;
	}
	p.frame[p.depth].irq = c;
	p.frame[p.depth].start = c->last_start;
	p.frame[p.depth].busy = !p.idle;
	p.depth++;
}

static void on_iret(unsigned int vcpu, void *data)
{
	uint64_t insns;

	(void)vcpu, (void)data;
	if (!p.depth)
		return;		/* the end of an exception or of a system call */
	p.depth--;
	insns = total() - p.frame[p.depth].start;
	p.frame[p.depth].irq->insns += insns;
	if (p.frame[p.depth].busy)
		p.frame[p.depth].irq->busy_insns += insns;
}

/* Nothing of an interrupt can be open here: its exit went another way. */
static void on_base_level(unsigned int vcpu, void *data)
{
	(void)vcpu, (void)data;
	while (p.depth)
		p.frame[--p.depth].irq->cut++;
}

/* --- registers of the card ------------------------------------------------ */

static void on_access(unsigned int vcpu, uint32_t info, uint64_t vaddr, void *data)
{
	struct qemu_plugin_hwaddr *hw = qemu_plugin_get_hwaddr(info, vaddr);
	uint64_t addr;

	(void)vcpu, (void)data;
	if (!hw || !qemu_plugin_hwaddr_is_io(hw))
		return;
	addr = qemu_plugin_hwaddr_phys_addr(hw);
	if (addr >= APIC_BASE && addr < APIC_END)
		return;
	if (qemu_plugin_mem_is_store(info)) {
		p.io_writes++;
		if (addr % BAR_BYTES == DOORBELL)
			p.doorbell = total();
	} else {
		p.io_reads++;
	}
}

/* --- profile -------------------------------------------------------------- */

static size_t slot_of(uint64_t vaddr)
{
	uint64_t key = vaddr >> PROFILE_SHIFT;
	size_t i = (key * 0x9e3779b97f4a7c15ULL) >> (64 - 21);
	size_t tries;

	for (tries = 0; tries < PROFILE_SLOTS; tries++, i = (i + 1) % PROFILE_SLOTS) {
		if (!p.slot_addr[i])
			p.slot_addr[i] = key;
		if (p.slot_addr[i] == key)
			return i;
	}
	fprintf(stderr, "insns: no slot left\n");
	exit(1);
}

static void profile_window(void)
{
	uint64_t *now = qemu_plugin_scoreboard_find(p.slots, 0);
	FILE *f;
	size_t i;

	p.window = !p.window;
	if (p.window) {
		memcpy(p.slot_before, now, PROFILE_SLOTS * sizeof(*now));
		return;
	}
	f = fopen(p.profile, "w");
	if (!f) {
		perror(p.profile);
		exit(1);
	}
	for (i = 0; i < PROFILE_SLOTS; i++)
		if (now[i] != p.slot_before[i])
			fprintf(f, "%llx %llu\n",
				(unsigned long long)(p.slot_addr[i] << PROFILE_SHIFT),
				(unsigned long long)(now[i] - p.slot_before[i]));
	fclose(f);
}

/* --- marks ---------------------------------------------------------------- */

static void on_mark(unsigned int vcpu, void *data)
{
	unsigned int kind = (unsigned int)(uintptr_t)data, i;

	(void)vcpu;
	fprintf(p.out, "{\"mark\": %u, \"user\": %llu, \"kernel\": %llu, \"idle\": %llu, "
		"\"hlt\": %llu, \"switches\": %llu, \"rep\": %llu, "
		"\"syscalls\": %llu, \"io_reads\": %llu, \"io_writes\": %llu, "
		"\"doorbell\": %llu, \"lost_frames\": %llu, \"irqs\": {",
		kind, (unsigned long long)counter(C_USER), (unsigned long long)counter(C_KERNEL),
		(unsigned long long)idle_insns(), (unsigned long long)counter(C_HLT),
		(unsigned long long)counter(C_SWITCH), (unsigned long long)counter(C_REP),
		(unsigned long long)counter(C_SYSCALL),
		(unsigned long long)p.io_reads, (unsigned long long)p.io_writes,
		(unsigned long long)p.doorbell, (unsigned long long)p.lost_frames);
	for (i = 0; i < p.classes; i++)
		fprintf(p.out, "%s\"%llx\": [%llu, %llu, %llu, %llu, %llu]", i ? ", " : "",
			(unsigned long long)p.irq[i].entry, (unsigned long long)p.irq[i].count,
			(unsigned long long)p.irq[i].cut, (unsigned long long)p.irq[i].insns,
			(unsigned long long)p.irq[i].busy_insns,
			(unsigned long long)p.irq[i].last_start);
	fprintf(p.out, "}}\n");
	if (kind >= 16) {
		fflush(p.out);
		if (p.profile)
			profile_window();
	}
}

/* --- translation ---------------------------------------------------------- */

static void add_to(struct qemu_plugin_insn *insn, struct qemu_plugin_scoreboard *score,
		   size_t index)
{
	qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, PLUGIN_INLINE_ADD,
		(struct plugin_u64){ score, index * sizeof(uint64_t) }, 1);
}

/* rep movs, rep stos: of bytes, or of words of any size */
static bool is_rep(const uint8_t *b, size_t n)
{
	uint8_t op = n ? b[n - 1] : 0;

	return n >= 2 && n <= 3 && b[0] == 0xf3 &&
	       (op == 0xa4 || op == 0xa5 || op == 0xaa || op == 0xab);
}

static void translate_kernel(struct qemu_plugin_insn *insn, const uint8_t *b, size_t n,
			     uint64_t vaddr)
{
	add_to(insn, p.score, C_KERNEL);
	if (p.profile)
		add_to(insn, p.slots, slot_of(vaddr));
	if (is_rep(b, n))
		add_to(insn, p.score, C_REP);
	if (n == 1 && b[0] == 0xf4) {				/* hlt */
		add_to(insn, p.score, C_HLT);
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_halt, PLUGIN_CB_NO_REGS, NULL);
	} else if (n == 2 && b[0] == 0x48 && b[1] == 0xcf) {	/* iretq */
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_iret, PLUGIN_CB_NO_REGS, NULL);
	} else if (n == 3 && b[0] == 0x48 && b[1] == 0x0f && b[2] == 0x07) {	/* sysretq */
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_base_level, PLUGIN_CB_NO_REGS,
						       NULL);
	}
	/* A stack taken from another task: the switch of tasks */
	if (n == 7 && b[0] == 0x48 && b[1] == 0x8b && b[2] == 0xa6) {	/* mov x(%rsi),%rsp */
		add_to(insn, p.score, C_SWITCH);
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_switch, PLUGIN_CB_NO_REGS, NULL);
	}
	/* 32-bit moves to and from memory: what readl() and writel() become */
	if (n && b[0] >= 0x40 && b[0] <= 0x47)
		b++, n--;
	if (n >= 2 && (b[0] == 0x89 || b[0] == 0x8b) && b[1] < 0xc0)
		qemu_plugin_register_vcpu_mem_cb(insn, on_access, PLUGIN_CB_NO_REGS,
						 PLUGIN_MEM_RW, NULL);
}

static void translate_user(struct qemu_plugin_insn *insn, const uint8_t *b, size_t n)
{
	add_to(insn, p.score, C_USER);
	if (p.profile)
		add_to(insn, p.slots, slot_of(1ULL << PROFILE_SHIFT));
	if (n == 2 && b[0] == 0x0f && b[1] == 0x05)		/* syscall */
		add_to(insn, p.score, C_SYSCALL);
	if (n == BENCH_MARK_BYTES && !memcmp(b, BENCH_MARK_OPCODE, 3) &&
	    !memcmp(b + 4, BENCH_MARK_TAG, 3))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, PLUGIN_CB_NO_REGS,
						       (void *)(uintptr_t)b[3]);
}

static void on_translate(struct qemu_plugin_tb *tb, void *data)
{
	size_t n = qemu_plugin_tb_n_insns(tb), i, len;
	uint8_t bytes[16];

	(void)data;
	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t vaddr = qemu_plugin_insn_vaddr(insn);

		len = qemu_plugin_insn_data(insn, bytes, sizeof(bytes));
		if (vaddr & KERNEL_HALF)
			translate_kernel(insn, bytes, len, vaddr);
		else
			translate_user(insn, bytes, len);
	}
}

static void on_end(void *data)
{
	(void)data;
	fclose(p.out);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	const char *out = NULL;
	int i;

	(void)info;
	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			out = argv[i] + 4;
		else if (!strncmp(argv[i], "profile=", 8))
			p.profile = argv[i] + 8;
		else
			return -1;
	}
	p.out = out ? fopen(out, "w") : NULL;
	if (!p.out) {
		perror(out ? out : "insns: out=FILE is missing");
		return -1;
	}
	p.score = qemu_plugin_scoreboard_new(COUNTERS * sizeof(uint64_t));
	if (p.profile) {
		p.slots = qemu_plugin_scoreboard_new(PROFILE_SLOTS * sizeof(uint64_t));
		p.slot_addr = calloc(PROFILE_SLOTS, sizeof(uint64_t));
		p.slot_before = calloc(PROFILE_SLOTS, sizeof(uint64_t));
		if (!p.slot_addr || !p.slot_before)
			return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate, NULL);
	qemu_plugin_register_vcpu_discon_cb(id, PLUGIN_DISCON_INTERRUPT, on_interrupt, NULL);
	qemu_plugin_register_atexit_cb(id, on_end, NULL);
	return 0;
}
