/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM oni

#if !defined(ONI_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define ONI_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(oni_block,
	TP_PROTO(u64 position, u32 bytes, u64 readable),
	TP_ARGS(position, bytes, readable),
	TP_STRUCT__entry(
		__field(u64, position)
		__field(u32, bytes)
		__field(u64, readable)
	),
	TP_fast_assign(
		__entry->position = position;
		__entry->bytes = bytes;
		__entry->readable = readable;
	),
	TP_printk("position=%llu bytes=%u readable=%llu", __entry->position,
		  __entry->bytes, __entry->readable)
);

TRACE_EVENT(oni_ring_full,
	TP_PROTO(bool full, u64 pos, u64 tail),
	TP_ARGS(full, pos, tail),
	TP_STRUCT__entry(
		__field(bool, full)
		__field(u64, pos)
		__field(u64, tail)
	),
	TP_fast_assign(
		__entry->full = full;
		__entry->pos = pos;
		__entry->tail = tail;
	),
	TP_printk("%s head=%llu tail=%llu", __entry->full ? "full" : "room",
		  __entry->pos, __entry->tail)
);

TRACE_EVENT(oni_reg,
	TP_PROTO(u32 addr, u32 reg, u32 value, bool write, int ret),
	TP_ARGS(addr, reg, value, write, ret),
	TP_STRUCT__entry(
		__field(u32, addr)
		__field(u32, reg)
		__field(u32, value)
		__field(bool, write)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->addr = addr;
		__entry->reg = reg;
		__entry->value = value;
		__entry->write = write;
		__entry->ret = ret;
	),
	TP_printk("%s dev=0x%04x reg=0x%x value=0x%x ret=%d",
		  __entry->write ? "write" : "read", __entry->addr,
		  __entry->reg, __entry->value, __entry->ret)
);

TRACE_EVENT(oni_signal,
	TP_PROTO(u32 flag, u32 words),
	TP_ARGS(flag, words),
	TP_STRUCT__entry(
		__field(u32, flag)
		__field(u32, words)
	),
	TP_fast_assign(
		__entry->flag = flag;
		__entry->words = words;
	),
	TP_printk("flag=0x%x words=%u", __entry->flag, __entry->words)
);

TRACE_EVENT(oni_state,
	TP_PROTO(int minor, u32 state),
	TP_ARGS(minor, state),
	TP_STRUCT__entry(
		__field(int, minor)
		__field(u32, state)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->state = state;
	),
	TP_printk("oni%d state=%u", __entry->minor, __entry->state)
);

TRACE_EVENT(oni_stim,
	TP_PROTO(int minor, u32 what, u32 because, u64 arg),
	TP_ARGS(minor, what, because, arg),
	TP_STRUCT__entry(
		__field(int, minor)
		__field(u32, what)
		__field(u32, because)
		__field(u64, arg)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->what = what;
		__entry->because = because;
		__entry->arg = arg;
	),
	TP_printk("oni%d what=%u because=%u arg=0x%llx", __entry->minor,
		  __entry->what, __entry->because, __entry->arg)
);

TRACE_EVENT(oni_link_error,
	TP_PROTO(int minor, int err),
	TP_ARGS(minor, err),
	TP_STRUCT__entry(
		__field(int, minor)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->err = err;
	),
	TP_printk("oni%d err=%d", __entry->minor, __entry->err)
);

#endif /* ONI_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE oni_trace
#include <trace/define_trace.h>
