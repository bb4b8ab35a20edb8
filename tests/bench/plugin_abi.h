/* SPDX-License-Identifier: MIT */
/*
 * The few functions of QEMU's plugin interface, version 7 (QEMU 11.1), that
 * insns.c calls. Debian has no package with QEMU's own header.
 */
#ifndef PLUGIN_ABI_H
#define PLUGIN_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUGIN_ABI_VERSION	7

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;
struct qemu_plugin_hwaddr;

/* A 64-bit counter at @offset of the element that each vCPU has of @score */
struct plugin_u64 {
	struct qemu_plugin_scoreboard *score;
	size_t offset;
};

enum { PLUGIN_CB_NO_REGS = 0 };
enum { PLUGIN_MEM_RW = 3 };
enum { PLUGIN_INLINE_ADD = 0 };
enum { PLUGIN_DISCON_INTERRUPT = 1 };

typedef void (*plugin_tb_cb)(struct qemu_plugin_tb *tb, void *data);
typedef void (*plugin_exec_cb)(unsigned int vcpu, void *data);
typedef void (*plugin_mem_cb)(unsigned int vcpu, uint32_t info, uint64_t vaddr, void *data);
typedef void (*plugin_discon_cb)(unsigned int vcpu, int type, uint64_t from, uint64_t to,
				 void *data);
typedef void (*plugin_end_cb)(void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, plugin_tb_cb cb, void *data);
void qemu_plugin_register_vcpu_discon_cb(uint64_t id, int type, plugin_discon_cb cb,
					 void *data);
void qemu_plugin_register_atexit_cb(uint64_t id, plugin_end_cb cb, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, plugin_exec_cb cb,
					    int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(struct qemu_plugin_insn *insn,
							 int op, struct plugin_u64 entry,
							 uint64_t imm);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, plugin_mem_cb cb,
				      int flags, int rw, void *data);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *dest, size_t len);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

bool qemu_plugin_mem_is_store(uint32_t info);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t vaddr);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *hw);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *hw);

struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t element);
void *qemu_plugin_scoreboard_find(struct qemu_plugin_scoreboard *score, unsigned int vcpu);
uint64_t qemu_plugin_u64_get(struct plugin_u64 entry, unsigned int vcpu);

#endif /* PLUGIN_ABI_H */
