// SPDX-License-Identifier: MIT
/* acq.c - see acq.h. */
#include "acq.h"

#include <inttypes.h>
#include <string.h>

#define GPIO_RESET	1u	/* GPIO 0 */
#define CMD_WRITE	0x01u
#define CMD_READ	0x02u
#define CMD_PRIORITY	0x03u
#define TAG_SIGNAL	0x01u
#define TAG_VALUE	0x02u
#define VALUE_BYTES	5u
#define SHORT_WORDS	255u	/* of an injected short burst, at most */

static uint32_t get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- replies ---- */

static uint32_t reply_room(const struct acq *a)
{
	return ACQ_PIPE_BYTES - a->reply_len;
}

static void put_reply(struct acq *a, uint8_t byte)
{
	a->reply[(a->reply_head + a->reply_len++) % ACQ_PIPE_BYTES] = byte;
}

/* Bytes that are neither a value nor a signal; a host skips them. */
static void put_garbage(struct acq *a)
{
	uint8_t byte;

	while (reply_room(a) > VALUE_BYTES && fault_take(a->faults, FAULT_USB_REPLY_GARBAGE)) {
		do {
			byte = (uint8_t)rng_next(&a->faults->rng);
		} while (byte == TAG_SIGNAL || byte == TAG_VALUE);
		put_reply(a, byte);
	}
}

static bool move_value(struct acq *a)
{
	const uint32_t *val = controller_peek_reply(a->ctl);
	unsigned int i;

	if (!val || reply_room(a) < VALUE_BYTES)
		return false;
	put_garbage(a);
	if (fault_take(a->faults, FAULT_USB_REPLY_LATE))
		a->reply_ns = a->now_ns + fault_arg(a->faults, FAULT_USB_REPLY_LATE) * 1000000ull;
	put_reply(a, TAG_VALUE);
	for (i = 0; i < 4; i++)
		put_reply(a, (uint8_t)(*val >> (8 * i)));
	controller_take_reply(a->ctl);
	return true;
}

static bool move_signal(struct acq *a)
{
	const uint8_t *p;
	bool moved = false;

	while (reply_room(a) > 1 && (p = controller_peek_signal(a->ctl))) {
		if (!a->inside)
			put_reply(a, TAG_SIGNAL);
		put_reply(a, *p);
		a->inside = *p != 0;
		moved = true;
		controller_take_signal(a->ctl);
		if (!a->inside)
			break;
	}
	return moved;
}

/* Values and signals take turns at the borders of items. */
static bool move_replies(struct acq *a)
{
	bool moved = false, more;

	do {
		more = !a->inside && move_value(a);
		more |= move_signal(a);
		moved |= more;
	} while (more);
	return moved;
}

/* ---- bursts of read frames ---- */

static bool feeding(const struct acq *a)
{
	return !a->reset &&
	       (!a->cfg.hold_stopped || a->ctl->reg[REG_RUNNING] || a->ctl->run_on);
}

static uint64_t data_ready(const struct acq *a)
{
	return a->stage.len + (feeding(a) ? fifo_used(a->ctl->fifo) : 0);
}

static bool idle(const struct acq *a)
{
	return a->cfg.idle_ns && a->now_ns - a->ready_ns >= a->cfg.idle_ns;
}

/* Bytes from @off to the end of the burst that is there; UINT64_MAX: it has none. */
static uint64_t to_burst_end(const struct acq *a, uint64_t off)
{
	uint64_t end = a->burst_left;

	if (!end)
		return UINT64_MAX;
	while (end <= off) {
		if (!a->cfg.burst_bytes)
			return UINT64_MAX;
		end += a->cfg.burst_bytes;
	}
	return end - off;
}

static uint32_t data_packet(const struct acq *a, uint64_t off, uint32_t max)
{
	uint64_t ready = data_ready(a), end = to_burst_end(a, off);
	uint32_t want = end < max ? (uint32_t)end : max;

	if (ready <= off)
		return 0;
	if (ready - off >= want)
		return want;
	return idle(a) ? (uint32_t)(ready - off) : 0;
}

static void data_take(struct acq *a, uint8_t *to, uint32_t len)
{
	uint32_t left = len, n;

	while (left) {
		if (feeding(a))
			stage_fill(&a->stage);
		n = left < a->stage.len ? left : a->stage.len;
		if (!n)
			break;	/* never: in_packet() saw these bytes */
		stage_take(&a->stage, to, n);
		to += n;
		left -= n;
	}
	if (a->burst_left) {
		while (a->cfg.burst_bytes && a->burst_left <= len)
			a->burst_left += a->cfg.burst_bytes;
		a->burst_left = a->burst_left > len ? a->burst_left - len : 0;
	}
	controller_block_done(a->ctl, len);
}

/* The end of the burst that runs: an injected one comes first. */
static void plan_burst(struct acq *a)
{
	if (fault_armed(a->faults, FAULT_USB_SHORT) && a->burst_left == a->cfg.burst_bytes &&
	    data_ready(a) && fault_take(a->faults, FAULT_USB_SHORT))
		a->burst_left = 4 * (1 + (uint32_t)(rng_next(&a->faults->rng) % SHORT_WORDS));
	else if (!a->burst_left)
		a->burst_left = a->cfg.burst_bytes;
}

/* ---- the chip's side, see ft600_ops ---- */

/*
 * The FPGA closes every batch of replies with a short packet. Whether it would
 * after one that fills its packet is not known: here it never fills one.
 */
static uint32_t reply_packet(const struct acq *a, uint64_t off, uint32_t max)
{
	uint32_t n;

	if (a->reply_len <= off || a->now_ns < a->reply_ns)
		return 0;
	if (fault_armed(a->faults, FAULT_USB_REPLY_SPLIT))
		return 1;
	n = (uint32_t)(a->reply_len - off);
	if (n > max)
		return max;
	return n % 512 || n < max ? n : n - 1;
}

static void reply_take(struct acq *a, uint8_t *to, uint32_t len)
{
	uint32_t i;

	if (len == 1)
		fault_take(a->faults, FAULT_USB_REPLY_SPLIT);
	for (i = 0; i < len; i++)
		to[i] = a->reply[(a->reply_head + i) % ACQ_PIPE_BYTES];
	a->reply_head = (a->reply_head + len) % ACQ_PIPE_BYTES;
	a->reply_len -= len;
}

static uint32_t op_in_packet(void *ctx, unsigned int pipe, uint64_t off, uint32_t max)
{
	const struct acq *a = ctx;

	return pipe == ACQ_DATA ? data_packet(a, off, max) : reply_packet(a, off, max);
}

static void op_in_take(void *ctx, unsigned int pipe, uint8_t *to, uint32_t len)
{
	struct acq *a = ctx;

	if (pipe == ACQ_DATA)
		data_take(a, to, len);
	else
		reply_take(a, to, len);
}

static void op_in_flush(void *ctx, unsigned int pipe)
{
	struct acq *a = ctx;

	if (pipe == ACQ_DATA)
		stage_drop(&a->stage);
	else
		a->reply_len = 0;
}

static void count_register(struct acq *a, uint32_t reg)
{
	if (reg > REG_HWADDRESS)
		a->stats.unknown_registers++;
}

static void command(struct acq *a)
{
	uint32_t arg = get32(a->cmd + 1);

	a->stats.commands++;
	switch (a->cmd[0]) {
	case CMD_WRITE:
		count_register(a, arg);
		controller_write_reg(a->ctl, arg, get32(a->cmd + 5));
		break;
	case CMD_READ:
		count_register(a, arg);
		controller_read_reg(a->ctl, arg);
		break;
	case CMD_PRIORITY:
		a->stats.priorities++;
		a->priority = arg;
		break;
	}
}

static void command_byte(struct acq *a, uint8_t byte)
{
	if (!a->cmd_fill && (byte < CMD_WRITE || byte > CMD_PRIORITY)) {
		violation_report(a->viol, VIOLATION_USB_COMMAND, "byte 0x%02x", byte);
		return;
	}
	a->cmd[a->cmd_fill++] = byte;
	if (a->cmd_fill < (a->cmd[0] == CMD_WRITE ? 9u : 5u))
		return;
	a->cmd_fill = 0;
	command(a);
}

static void data_byte(struct acq *a, uint8_t byte)
{
	uint32_t word;

	a->word[a->word_fill++] = byte;
	if (a->word_fill < 4)
		return;
	a->word_fill = 0;
	word = get32(a->word);
	controller_write_words(a->ctl, &word, 1);
}

static uint32_t op_out(void *ctx, unsigned int pipe, const uint8_t *data, uint32_t len)
{
	struct acq *a = ctx;
	uint32_t i;

	if (pipe == ACQ_DATA && len % 4)
		violation_report(a->viol, VIOLATION_USB_OUT_LENGTH, "%u bytes", len);
	if (a->reset) {
		violation_report(a->viol, VIOLATION_USB_FIFO_RESET,
				 "%u bytes on endpoint 0x%02x", len, pipe);
		return len;
	}
	for (i = 0; i < len; i++) {
		if (pipe == ACQ_DATA)
			data_byte(a, data[i]);
		else
			command_byte(a, data[i]);
	}
	return len;
}

static void hold_reset(struct acq *a)
{
	controller_empty(a->ctl);
	a->cmd_fill = 0;
	a->word_fill = 0;
	a->inside = false;
	a->burst_left = a->cfg.burst_bytes;
}

static void op_gpio(void *ctx, unsigned int levels)
{
	struct acq *a = ctx;
	bool was = a->reset;

	a->reset = levels & GPIO_RESET;
	if (!a->reset || was)
		return;
	a->stats.fifo_resets++;
	hold_reset(a);
}

struct ft600_ops acq_ft600_ops(struct acq *a)
{
	return (struct ft600_ops){
		.ctx = a, .in_packet = op_in_packet, .in_take = op_in_take,
		.in_flush = op_in_flush, .out = op_out, .gpio = op_gpio,
	};
}

/* ---- the controller's side ---- */

/* Nothing is announced on this transport: a start drops what is in card RAM. */
static bool op_announced(void *ctx)
{
	(void)ctx;
	return false;
}

static void op_dropped(void *ctx)
{
	struct acq *a = ctx;

	a->burst_left = a->cfg.burst_bytes;
}

struct controller_ops acq_controller_ops(struct acq *a)
{
	return (struct controller_ops){
		.ctx = a, .announced = op_announced, .dropped = op_dropped,
	};
}

/* ---- life ---- */

bool acq_step(struct acq *a, uint64_t now_ns)
{
	bool moved;

	a->now_ns = now_ns;
	if (a->reset) {
		hold_reset(a);
		return false;
	}
	moved = move_replies(a);
	if (feeding(a))
		moved |= stage_fill(&a->stage) != 0;
	if (data_ready(a) != a->ready) {
		a->ready = data_ready(a);
		a->ready_ns = now_ns;
	}
	plan_burst(a);
	return moved;
}

void acq_power_on(struct acq *a)
{
	if (a->stage.fifo)
		stage_drop(&a->stage);
	stage_init(&a->stage, a->ctl->fifo, ACQ_PIPE_BYTES);
	a->reset = false;
	a->priority = 0;
	a->reply_len = 0;
	a->reply_ns = 0;
	a->inside = false;
	a->cmd_fill = 0;
	a->word_fill = 0;
	a->burst_left = a->cfg.burst_bytes;
	a->ready = 0;
}

void acq_init(struct acq *a, const struct acq_config *cfg, struct controller *ctl,
	      struct violations *viol, struct faults *faults)
{
	memset(a, 0, sizeof(*a));
	a->cfg = *cfg;
	a->ctl = ctl;
	a->viol = viol;
	a->faults = faults;
}

void acq_status(const struct acq *a, FILE *out)
{
	fprintf(out, "usb.fifo_reset %u\n", a->reset);
	fprintf(out, "usb.fifo_resets %" PRIu64 "\n", a->stats.fifo_resets);
	fprintf(out, "usb.commands %" PRIu64 "\n", a->stats.commands);
	fprintf(out, "usb.priorities %" PRIu64 "\n", a->stats.priorities);
	fprintf(out, "usb.priority 0x%08x\n", a->priority);
	fprintf(out, "usb.unknown_registers %" PRIu64 "\n", a->stats.unknown_registers);
	fprintf(out, "usb.chip_data_bytes %u\n", a->stage.len);
	fprintf(out, "usb.chip_reply_bytes %u\n", a->reply_len);
}
