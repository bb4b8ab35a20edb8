/* SPDX-License-Identifier: MIT */
/*
 * The layout of version 1 of the contract, frozen: compiling this file is the test.
 * Every program includes it, so it holds for the 64-bit and the 32-bit ABI.
 */
#ifndef ONI_LAYOUT_H
#define ONI_LAYOUT_H

#include <stddef.h>

#include <linux/oni.h>
#include <linux/oni_stim.h>

#define OL_SIZE(s, n)	_Static_assert(sizeof(struct s) == (n), "size of " #s)
#define OL_AT(s, f, n)	_Static_assert(offsetof(struct s, f) == (n), #s "." #f)

OL_SIZE(oni_info, 160);
OL_AT(oni_info, size, 0);
OL_AT(oni_info, abi_version, 4);
OL_AT(oni_info, caps, 8);
OL_AT(oni_info, flags, 16);
OL_AT(oni_info, state, 20);
OL_AT(oni_info, transport, 24);
OL_AT(oni_info, generation, 28);
OL_AT(oni_info, hardware_id, 32);
OL_AT(oni_info, hardware_revision, 36);
OL_AT(oni_info, firmware_version, 40);
OL_AT(oni_info, rows, 44);
OL_AT(oni_info, sys_clock_hz, 48);
OL_AT(oni_info, acq_clock_hz, 52);
OL_AT(oni_info, max_read_frame, 56);
OL_AT(oni_info, max_write_frame, 60);
OL_AT(oni_info, block_align, 64);
OL_AT(oni_info, block_max, 68);
OL_AT(oni_info, ring_default, 72);
OL_AT(oni_info, ring_max, 80);
OL_AT(oni_info, transport_name, 88);
OL_AT(oni_info, bus_name, 104);
OL_AT(oni_info, reserved, 136);

OL_SIZE(oni_device, 32);
OL_AT(oni_device, addr, 0);
OL_AT(oni_device, id, 4);
OL_AT(oni_device, version, 8);
OL_AT(oni_device, read_size, 12);
OL_AT(oni_device, write_size, 16);
OL_AT(oni_device, reserved, 20);

OL_SIZE(oni_device_table, 32);
OL_AT(oni_device_table, size, 0);
OL_AT(oni_device_table, flags, 4);
OL_AT(oni_device_table, rows, 8);
OL_AT(oni_device_table, count, 16);
OL_AT(oni_device_table, generation, 20);
OL_AT(oni_device_table, row_size, 24);
OL_AT(oni_device_table, reserved, 28);

OL_SIZE(oni_simple, 8);
OL_AT(oni_simple, size, 0);
OL_AT(oni_simple, flags, 4);

OL_SIZE(oni_reg, 24);
OL_AT(oni_reg, size, 0);
OL_AT(oni_reg, flags, 4);
OL_AT(oni_reg, dev_addr, 8);
OL_AT(oni_reg, reg_addr, 12);
OL_AT(oni_reg, value, 16);
OL_AT(oni_reg, reserved, 20);

OL_SIZE(oni_ctl, 16);
OL_AT(oni_ctl, size, 0);
OL_AT(oni_ctl, flags, 4);
OL_AT(oni_ctl, reg, 8);
OL_AT(oni_ctl, value, 12);

OL_SIZE(oni_port_power, 48);
OL_AT(oni_port_power, size, 0);
OL_AT(oni_port_power, flags, 4);
OL_AT(oni_port_power, port, 8);
OL_AT(oni_port_power, headstage, 12);
OL_AT(oni_port_power, decivolts, 16);
OL_AT(oni_port_power, timeout_ms, 20);
OL_AT(oni_port_power, link, 24);
OL_AT(oni_port_power, min_decivolts, 28);
OL_AT(oni_port_power, max_decivolts, 32);
OL_AT(oni_port_power, found, 36);
OL_AT(oni_port_power, reserved, 40);

OL_SIZE(oni_stats, 208);
OL_AT(oni_stats, size, 0);
OL_AT(oni_stats, flags, 4);
OL_AT(oni_stats, interrupts, 8);
OL_AT(oni_stats, spurious, 16);
OL_AT(oni_stats, mmio_reads, 24);
OL_AT(oni_stats, mmio_writes, 32);
OL_AT(oni_stats, blocks, 40);
OL_AT(oni_stats, bytes, 48);
OL_AT(oni_stats, short_blocks, 56);
OL_AT(oni_stats, ring_full, 64);
OL_AT(oni_stats, ring_full_ns, 72);
OL_AT(oni_stats, wakeups, 80);
OL_AT(oni_stats, reg_reads, 88);
OL_AT(oni_stats, reg_writes, 96);
OL_AT(oni_stats, reg_nacks, 104);
OL_AT(oni_stats, reg_timeouts, 112);
OL_AT(oni_stats, signals, 120);
OL_AT(oni_stats, bad_signals, 128);
OL_AT(oni_stats, write_frames, 136);
OL_AT(oni_stats, resets, 144);
OL_AT(oni_stats, link_errors, 152);
OL_AT(oni_stats, guarded, 160);
OL_AT(oni_stats, stim_safe_failures, 168);
OL_AT(oni_stats, held, 176);
OL_AT(oni_stats, reserved, 184);

OL_SIZE(oni_stream_create, 48);
OL_AT(oni_stream_create, size, 0);
OL_AT(oni_stream_create, flags, 4);
OL_AT(oni_stream_create, ring_bytes, 8);
OL_AT(oni_stream_create, block_bytes, 16);
OL_AT(oni_stream_create, watermark_bytes, 20);
OL_AT(oni_stream_create, latency_us, 24);
OL_AT(oni_stream_create, fd, 28);
OL_AT(oni_stream_create, reserved, 32);

OL_SIZE(oni_stream_info, 104);
OL_AT(oni_stream_info, size, 0);
OL_AT(oni_stream_info, flags, 4);
OL_AT(oni_stream_info, producer_offset, 8);
OL_AT(oni_stream_info, producer_bytes, 16);
OL_AT(oni_stream_info, consumer_offset, 24);
OL_AT(oni_stream_info, consumer_bytes, 32);
OL_AT(oni_stream_info, data_offset, 40);
OL_AT(oni_stream_info, data_bytes, 48);
OL_AT(oni_stream_info, desc_offset, 56);
OL_AT(oni_stream_info, desc_bytes, 64);
OL_AT(oni_stream_info, block_bytes, 72);
OL_AT(oni_stream_info, desc_count, 76);
OL_AT(oni_stream_info, watermark_bytes, 80);
OL_AT(oni_stream_info, latency_us, 84);
OL_AT(oni_stream_info, reserved, 88);

OL_SIZE(oni_stream_wake, 16);
OL_AT(oni_stream_wake, size, 0);
OL_AT(oni_stream_wake, flags, 4);
OL_AT(oni_stream_wake, watermark_bytes, 8);
OL_AT(oni_stream_wake, latency_us, 12);

OL_SIZE(oni_monitor_create, 32);
OL_AT(oni_monitor_create, size, 0);
OL_AT(oni_monitor_create, flags, 4);
OL_AT(oni_monitor_create, watermark_bytes, 8);
OL_AT(oni_monitor_create, latency_us, 12);
OL_AT(oni_monitor_create, fd, 16);
OL_AT(oni_monitor_create, reserved, 20);

OL_SIZE(oni_monitor_stat, 48);
OL_AT(oni_monitor_stat, size, 0);
OL_AT(oni_monitor_stat, flags, 4);
OL_AT(oni_monitor_stat, position, 8);
OL_AT(oni_monitor_stat, lost_bytes, 16);
OL_AT(oni_monitor_stat, lost_events, 24);
OL_AT(oni_monitor_stat, reserved, 32);

OL_SIZE(oni_reg_op, 24);
OL_AT(oni_reg_op, dev_addr, 0);
OL_AT(oni_reg_op, reg_addr, 4);
OL_AT(oni_reg_op, value, 8);
OL_AT(oni_reg_op, flags, 12);
OL_AT(oni_reg_op, result, 16);
OL_AT(oni_reg_op, reserved, 20);

OL_SIZE(oni_reg_batch, 32);
OL_AT(oni_reg_batch, size, 0);
OL_AT(oni_reg_batch, flags, 4);
OL_AT(oni_reg_batch, ops, 8);
OL_AT(oni_reg_batch, count, 16);
OL_AT(oni_reg_batch, done, 20);
OL_AT(oni_reg_batch, op_size, 24);
OL_AT(oni_reg_batch, reserved, 28);

OL_SIZE(oni_ring_producer, 192);
OL_AT(oni_ring_producer, magic, 0);
OL_AT(oni_ring_producer, abi_version, 4);
OL_AT(oni_ring_producer, data_bytes, 8);
OL_AT(oni_ring_producer, block_bytes, 16);
OL_AT(oni_ring_producer, desc_count, 20);
OL_AT(oni_ring_producer, reserved0, 24);
OL_AT(oni_ring_producer, head, 64);
OL_AT(oni_ring_producer, desc_head, 72);
OL_AT(oni_ring_producer, flags, 80);
OL_AT(oni_ring_producer, error, 84);
OL_AT(oni_ring_producer, generation, 88);
OL_AT(oni_ring_producer, reserved1, 92);
OL_AT(oni_ring_producer, start_ns, 96);
OL_AT(oni_ring_producer, claim, 104);
OL_AT(oni_ring_producer, reserved2, 112);
OL_AT(oni_ring_producer, blocks, 128);
OL_AT(oni_ring_producer, short_blocks, 136);
OL_AT(oni_ring_producer, full_events, 144);
OL_AT(oni_ring_producer, full_ns, 152);
OL_AT(oni_ring_producer, wakeups, 160);
OL_AT(oni_ring_producer, peak_bytes, 168);
OL_AT(oni_ring_producer, reserved3, 176);

OL_SIZE(oni_ring_consumer, 64);
OL_AT(oni_ring_consumer, tail, 0);
OL_AT(oni_ring_consumer, reserved, 8);

OL_SIZE(oni_block, 32);
OL_AT(oni_block, position, 0);
OL_AT(oni_block, bytes, 8);
OL_AT(oni_block, flags, 12);
OL_AT(oni_block, mono_ns, 16);
OL_AT(oni_block, seq, 24);

#define OL_NR(c, n)	_Static_assert(ONI_IOC_##c == (0xb900 | (n)), "number of " #c)

OL_NR(INFO, 0x00);
OL_NR(DEVICE_TABLE, 0x01);
OL_NR(CLAIM, 0x02);
OL_NR(RELEASE, 0x03);
OL_NR(RESET, 0x04);
OL_NR(REG_READ, 0x05);
OL_NR(REG_WRITE, 0x06);
OL_NR(CTL_READ, 0x07);
OL_NR(CTL_WRITE, 0x08);
OL_NR(PORT_POWER, 0x09);
OL_NR(START, 0x0a);
OL_NR(STOP, 0x0b);
OL_NR(STREAM_CREATE, 0x0c);
OL_NR(STATS, 0x0d);
OL_NR(MONITOR_CREATE, 0x0e);
OL_NR(REG_BATCH, 0x0f);
OL_NR(STREAM_INFO, 0x20);
OL_NR(STREAM_WAKE, 0x21);
OL_NR(MONITOR_STAT, 0x22);

/* --- linux/oni_stim.h ------------------------------------------------------------ */

OL_SIZE(oni_stim_class, 144);
OL_AT(oni_stim_class, source, 128);

OL_SIZE(oni_stim_policy, 1216);
OL_AT(oni_stim_policy, duty_window_ns, 16);
OL_AT(oni_stim_policy, class_of, 24);
OL_AT(oni_stim_policy, cls, 64);

OL_SIZE(oni_stim_delta, 8);

OL_SIZE(oni_stim_chip, 40);
OL_AT(oni_stim_chip, positive, 8);
OL_AT(oni_stim_chip, negative, 24);

OL_SIZE(oni_stim_hs64, 48);
OL_AT(oni_stim_hs64, rest, 44);

OL_SIZE(oni_stim_program, 152);
OL_AT(oni_stim_program, chip, 24);
OL_AT(oni_stim_program, hs64, 104);

OL_SIZE(oni_stim_verdict, 32);
OL_AT(oni_stim_verdict, asked, 8);
OL_AT(oni_stim_verdict, allowed, 16);
OL_AT(oni_stim_verdict, source, 24);

OL_SIZE(oni_stim_status, 168);
OL_AT(oni_stim_status, fires, 32);
OL_AT(oni_stim_status, program, 72);
OL_AT(oni_stim_status, policy, 104);

OL_SIZE(oni_stim_policy_arg, 64);
OL_AT(oni_stim_policy_arg, policy, 8);
OL_AT(oni_stim_policy_arg, hub, 16);
OL_AT(oni_stim_policy_arg, verdict, 32);

OL_SIZE(oni_stim_claim, 64);
OL_AT(oni_stim_claim, nonce, 8);
OL_AT(oni_stim_claim, verdict, 32);

OL_SIZE(oni_stim_step, 64);
OL_AT(oni_stim_step, step_na, 20);
OL_AT(oni_stim_step, verdict, 32);

OL_SIZE(oni_stim_load, 112);
OL_AT(oni_stim_load, program, 16);
OL_AT(oni_stim_load, nrows, 32);
OL_AT(oni_stim_load, hash, 48);
OL_AT(oni_stim_load, verdict, 80);

OL_SIZE(oni_stim_arm, 96);
OL_AT(oni_stim_arm, hash, 16);
OL_AT(oni_stim_arm, ttl_ms, 48);
OL_AT(oni_stim_arm, verdict, 64);

OL_SIZE(oni_stim_kick, 72);
OL_AT(oni_stim_kick, position, 16);
OL_AT(oni_stim_kick, generation, 24);
OL_AT(oni_stim_kick, verdict, 40);

OL_SIZE(oni_stim_call, 64);
OL_AT(oni_stim_call, verdict, 32);

OL_SIZE(oni_stim_events, 32);
OL_AT(oni_stim_events, fd, 8);

OL_SIZE(oni_stim_event, 168);
OL_AT(oni_stim_event, seq, 8);
OL_AT(oni_stim_event, clock, 32);
OL_AT(oni_stim_event, generation, 48);
OL_AT(oni_stim_event, arg, 64);
OL_AT(oni_stim_event, loginuid, 72);
OL_AT(oni_stim_event, comm, 88);
OL_AT(oni_stim_event, hash, 104);
OL_AT(oni_stim_event, verdict, 136);

#define OL_STIM_NR(name, n)	_Static_assert(ONI_STIM_IOC_ ## name == _IO(0xB9, n), "number of " #name)

OL_STIM_NR(STATUS, 0x40);
OL_STIM_NR(POLICY, 0x41);
OL_STIM_NR(LIMITS, 0x42);
OL_STIM_NR(LOWER, 0x43);
OL_STIM_NR(CHECK, 0x44);
OL_STIM_NR(CLAIM, 0x45);
OL_STIM_NR(STEP, 0x46);
OL_STIM_NR(LOAD, 0x47);
OL_STIM_NR(ARM, 0x48);
OL_STIM_NR(KICK, 0x49);
OL_STIM_NR(FIRE, 0x4a);
OL_STIM_NR(DISARM, 0x4b);
OL_STIM_NR(RELEASE, 0x4c);
OL_STIM_NR(ACK_FAULT, 0x4d);
_Static_assert(ONI_IOC_STIM_EVENTS == _IO(0xB9, 0x10), "number of STIM_EVENTS");

#endif /* ONI_LAYOUT_H */
