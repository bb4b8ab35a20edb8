// SPDX-License-Identifier: MIT
/* controller.c - see controller.h. */
#include "controller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READ_FLAG	(1u << 29)	/* in the offset of a configuration access */
#define REG_BOOT_MODE	0x0f000001u	/* vendor updater: which logic is loaded */
#define BOOT_MODE_ONI	3u

#define TRIGGER_NS	2000u		/* a device register access takes this long */
#define PIECE_BYTES	(128u * 1024)	/* frames made before others get a turn */
#define WRITE_MAX_WORDS	(1u << 20)	/* longer payload: the stream is off the rails */
#define MAX_PACE_CLOCKS	(MODEL_ACQ_HZ / 100)

/* Signal packets. */
#define SIG_WRITE_ACK	0x02u
#define SIG_WRITE_NACK	0x04u
#define SIG_READ_ACK	0x08u
#define SIG_READ_NACK	0x10u
#define SIG_TABLE	0x20u
#define SIG_DEVICE	0x40u

/* ---- signal channel ---- */

/* Payloads are 24 bytes at most, so one COBS code group always suffices. */
static void signal_send(struct controller *c, const uint32_t *words, unsigned int n)
{
	uint8_t out[64];
	unsigned int code = 0, len = 1, i;
	uint8_t b;

	for (i = 0; i < n * 4; i++) {
		b = (uint8_t)(words[i / 4] >> (8 * (i % 4)));
		if (b) {
			out[len++] = b;
			continue;
		}
		out[code] = (uint8_t)(len - code);
		code = len++;
	}
	out[code] = (uint8_t)(len - code);
	out[len++] = 0;

	if (c->signal_tail - c->signal_head + len > SIGNAL_BYTES) {
		c->stats.signal_lost++;
		return;
	}
	for (i = 0; i < len; i++)
		c->signal[c->signal_tail++ % SIGNAL_BYTES] = out[i];
}

static size_t frame_wire_size(uint32_t read_size)
{
	return 16 + ((read_size + 3u) & ~3u);
}

static void signal_table(struct controller *c)
{
	struct model_dev rows[MODEL_MAX_ROWS];
	size_t n = model_table(c->model, rows, MODEL_MAX_ROWS);
	uint32_t pkt[6];
	size_t i;

	if (n > MODEL_MAX_ROWS)
		n = MODEL_MAX_ROWS;
	c->frame_max = 0;
	pkt[0] = SIG_TABLE;
	pkt[1] = (uint32_t)n;
	signal_send(c, pkt, 2);
	for (i = 0; i < n; i++) {
		pkt[0] = SIG_DEVICE;
		pkt[1] = rows[i].addr;
		pkt[2] = rows[i].id;
		pkt[3] = rows[i].version;
		pkt[4] = rows[i].read_size;
		pkt[5] = rows[i].write_size;
		signal_send(c, pkt, 6);
		if (frame_wire_size(rows[i].read_size) > c->frame_max)
			c->frame_max = frame_wire_size(rows[i].read_size);
		if (rows[i].id && rows[i].read_size)
			fifo_device(c->fifo, rows[i].addr, rows[i].id);
	}
}

/* ---- device registers ---- */

/* An injected fault stands for a device or link that did not get the access. */
static bool take_fault(unsigned int *fault)
{
	if (!*fault)
		return false;
	(*fault)--;
	return true;
}

static void finish_register(struct controller *c)
{
	bool mute = take_fault(&c->fault_mute);
	bool lost = mute || take_fault(&c->fault_nack);
	uint32_t sig, val = 0;
	int err;

	if (c->reg[REG_RW]) {
		err = lost ? -1 : model_reg_write(c->model, c->reg[REG_DEV_ADDR],
						  c->reg[REG_REG_ADDR], c->reg[REG_VALUE]);
		sig = err ? SIG_WRITE_NACK : SIG_WRITE_ACK;
		c->stats.reg_writes++;
	} else {
		err = lost ? -1 : model_reg_read(c->model, c->reg[REG_DEV_ADDR],
						 c->reg[REG_REG_ADDR], &val);
		sig = err ? SIG_READ_NACK : SIG_READ_ACK;
		c->stats.reg_reads++;
		if (!err)
			c->reg[REG_VALUE] = val;
	}
	if (err)
		c->stats.reg_nacks++;
	c->reg[REG_TRIGGER] = 0;
	if (!mute)
		signal_send(c, &sig, 1);
}

/* ---- acquisition clock and frames ---- */

static uint64_t clock_at(const struct controller *c, uint64_t now_ns)
{
	uint64_t ns = now_ns > c->start_ns ? now_ns - c->start_ns : 0;

	return c->clock_base + ns / 1000000000 * MODEL_ACQ_HZ +
	       ns % 1000000000 * (MODEL_ACQ_HZ / 1000000) / 1000;
}

static void set_clock(struct controller *c, uint64_t clock)
{
	c->clock = clock;
	c->clock_base = clock;
	c->start_ns = c->now_ns;
}

/* Follow the host's clock; what does not fit into card RAM is lost. */
static bool produce_realtime(struct controller *c)
{
	uint64_t target = clock_at(c, c->now_ns);

	if (target <= c->clock)
		return false;
	c->clock = model_produce(c->model, target, PIECE_BYTES);
	return c->clock < target;
}

/* As fast as card RAM empties; nothing is ever lost. */
static bool produce_max(struct controller *c)
{
	uint64_t room = fifo_room(c->fifo);
	uint64_t next = model_next(c->model);
	uint64_t until = c->clock + MAX_PACE_CLOCKS;

	if (next == UINT64_MAX || room < 2 * c->frame_max)
		return false;
	room -= c->frame_max;
	if (until < next)
		until = next;
	c->clock = model_produce(c->model, until,
				 room < PIECE_BYTES ? (size_t)room : PIECE_BYTES);
	return true;
}

static bool produce(struct controller *c)
{
	if (!c->reg[REG_RUNNING])
		return false;
	return c->pace == PACE_MAX ? produce_max(c) : produce_realtime(c);
}

static void start(struct controller *c)
{
	if (c->reg[REG_RUNNING])
		return;
	c->reg[REG_RUNNING] = 1;
	c->run++;
	c->stats.starts++;
	/*
	 * liboni forgets its part of a cut frame at each write to RUNNING and
	 * takes the first word that follows for a header, with a remark that
	 * the RIFFA hardware makes this right. So a drained card begins with a
	 * whole frame; a host that left a block announced finds the old data.
	 */
	if (!c->keep_rest && !riffa_tx_requested(c->riffa, CH_READ))
		fifo_discard(c->fifo);
	fifo_run_begin(c->fifo);
	set_clock(c, c->clock);
	model_run(c->model, 1);
	c->event(c->event_ctx, EVENT_START);
}

/*
 * Frames up to this moment are made first. Whole blocks can still be read
 * afterwards; a block that is not full stays in the card.
 */
static void stop(struct controller *c)
{
	if (!c->reg[REG_RUNNING])
		return;
	if (c->pace == PACE_REALTIME)
		while (produce_realtime(c))
			;
	c->reg[REG_RUNNING] = 0;
	c->stats.stops++;
	model_run(c->model, 0);
	model_flush(c->model);
	c->event(c->event_ctx, EVENT_STOP);
}

static void reset_counter(struct controller *c, uint32_t how)
{
	set_clock(c, 0);
	model_reset_counter(c->model);
	if (how == 2)
		start(c);
}

static void drop_data(struct controller *c)
{
	c->event(c->event_ctx, EVENT_RESET);
	fifo_discard(c->fifo);
	riffa_tx_close(c->riffa, CH_READ, riffa_tx_sent(c->riffa, CH_READ));
	riffa_tx_close(c->riffa, CH_SIGNAL, riffa_tx_sent(c->riffa, CH_SIGNAL));
	c->signal_head = c->signal_tail;
	c->block_words = 0;
	c->wr_fill = 0;
	c->reg[REG_TRIGGER] = 0;
}

/*
 * Whether the core's reset reaches the ONIX logic is not published. liboni
 * speaks of resetting the whole system and of keeping it off that way, so both
 * can be had; device registers keep their values in either case.
 */
void controller_core_reset(struct controller *c)
{
	if (!c->rst_out)
		return;
	stop(c);
	drop_data(c);
	riffa_tx_close(c->riffa, CH_CONFIG, 0);
	c->reply_head = c->reply_tail;
}

/*
 * Our inferences, as nothing is published: the reset empties card RAM, drops
 * the requests of the read and signal channels (an announced transaction then
 * ends with 0 words), starts the counter at zero and forgets the block size, so
 * that nothing is announced before the host has set one again.
 */
static void reset(struct controller *c)
{
	stop(c);
	c->stats.resets++;
	drop_data(c);
	model_reset(c->model, c->reg[REG_FLAGS]);
	set_clock(c, 0);
	model_reset_counter(c->model);
	signal_table(c);
}

/* ---- configuration channel ---- */

static void config_write(struct controller *c, uint32_t reg, uint32_t val)
{
	switch (reg) {
	case REG_DEV_ADDR:
	case REG_REG_ADDR:
	case REG_VALUE:
	case REG_RW:
	case REG_HWADDRESS:
	case REG_FLAGS:
		c->reg[reg] = val;
		break;
	case REG_TRIGGER:
		if (!val || c->reg[REG_TRIGGER])
			break;
		c->reg[REG_TRIGGER] = 1;
		c->trigger_ns = c->now_ns + TRIGGER_NS;
		break;
	case REG_RUNNING:
		if (val)
			start(c);
		else
			stop(c);
		break;
	case REG_RESET:
		if (val)
			reset(c);
		break;
	case REG_RESET_COUNTER:
		if (val)
			reset_counter(c, val);
		break;
	default:
		break;	/* clocks are read only, the rest does not exist */
	}
}

static void config_read(struct controller *c, uint32_t reg)
{
	uint32_t val = 0;

	if (reg < REG_COUNT)
		val = c->reg[reg];
	else if (reg == REG_BOOT_MODE)
		val = BOOT_MODE_ONI;
	if (c->reply_tail - c->reply_head < REPLY_WORDS)
		c->reply[c->reply_tail++ % REPLY_WORDS] = val;
}

/* ---- write channel ---- */

static void write_word(struct controller *c, uint32_t word)
{
	if (c->wr_fill < 2) {
		c->wr_head[c->wr_fill++] = word;
		if (c->wr_fill == 2 && word > WRITE_MAX_WORDS) {
			c->stats.bad_write_frames++;
			c->wr_fill = 0;
		}
	} else {
		c->wr_data[c->wr_fill++ - 2] = word;
	}
	if (c->wr_fill >= 2 && c->wr_fill - 2 == c->wr_head[1]) {
		model_write_frame(c->model, c->clock, c->wr_head[0], c->wr_data,
				  c->wr_head[1]);
		c->stats.write_frames++;
		c->wr_fill = 0;
	}
}

/* ---- RIFFA user side ---- */

const void *controller_peek(struct controller *c, unsigned int ch, size_t *words)
{
	const void *p;

	*words = 0;
	switch (ch) {
	case CH_CONFIG:
		*words = c->reply_head != c->reply_tail;
		return &c->reply[c->reply_head % REPLY_WORDS];
	case CH_READ:
		p = fifo_peek(c->fifo, words);
		*words /= 4;
		return p;
	case CH_SIGNAL:
		*words = c->signal_head != c->signal_tail;
		c->signal_word = c->signal[c->signal_head % SIGNAL_BYTES];
		return &c->signal_word;
	default:
		return NULL;
	}
}

void controller_take(struct controller *c, unsigned int ch, size_t words)
{
	switch (ch) {
	case CH_CONFIG:
		c->reply_head += (unsigned int)words;
		break;
	case CH_READ:
		fifo_take(c->fifo, words * 4);
		break;
	case CH_SIGNAL:
		c->signal_head += (unsigned int)words;
		break;
	default:
		break;
	}
}

void controller_end(struct controller *c, unsigned int ch, uint32_t words)
{
	if (ch != CH_READ)
		return;
	c->stats.blocks += words != 0;
	c->stats.bytes += (uint64_t)words * 4;
}

size_t controller_data(struct controller *c, unsigned int ch, uint32_t offset,
		       const uint32_t *words, size_t n)
{
	size_t i;

	switch (ch) {
	case CH_CONFIG:
		for (i = 0; i < n; i++, offset++) {
			if (offset & READ_FLAG)
				config_read(c, offset & ~READ_FLAG);
			else
				config_write(c, offset, words[i]);
		}
		break;
	case CH_WRITE:
		for (i = 0; i < n; i++)
			write_word(c, words[i]);
		break;
	case CH_READ:
		c->block_words = words[n - 1];
		break;
	default:
		break;	/* nobody listens on the signal channel */
	}
	return n;
}

/* Announce what is ready; the channel keeps the request until it is served. */
static bool raise_requests(struct controller *c)
{
	bool raised = false;

	if (c->reply_head != c->reply_tail && !riffa_tx_requested(c->riffa, CH_CONFIG)) {
		riffa_tx_open(c->riffa, CH_CONFIG, 1, 0, true);
		raised = true;
	}
	if (c->signal_head != c->signal_tail && !riffa_tx_requested(c->riffa, CH_SIGNAL)) {
		riffa_tx_open(c->riffa, CH_SIGNAL, 1, 0, true);
		raised = true;
	}
	if (c->block_words && fifo_used(c->fifo) / 4 >= c->block_words &&
	    !riffa_tx_requested(c->riffa, CH_READ)) {
		riffa_tx_open(c->riffa, CH_READ, c->block_words, 0, true);
		raised = true;
	}
	return raised;
}

bool controller_step(struct controller *c, uint64_t now_ns)
{
	bool more;

	c->now_ns = now_ns;
	model_tick(c->model, now_ns);
	if (c->reg[REG_TRIGGER] && now_ns >= c->trigger_ns)
		finish_register(c);
	more = produce(c);
	more |= raise_requests(c);
	return more || c->reg[REG_TRIGGER];
}

void controller_power_on(struct controller *c, struct model *model)
{
	c->model = model;
	memset(c->reg, 0, sizeof(c->reg));
	c->reg[REG_SYSCLK_HZ] = MODEL_SYS_HZ;
	c->reg[REG_ACQCLK_HZ] = MODEL_ACQ_HZ;
	c->block_words = 0;
	c->clock = 0;
	c->clock_base = 0;
	c->frame_max = 0;
	c->reply_head = c->reply_tail;
	c->signal_head = c->signal_tail;
	c->wr_fill = 0;
	c->fault_nack = 0;
	c->fault_mute = 0;
}

int controller_init(struct controller *c, struct riffa *riffa, struct fifo *fifo)
{
	memset(c, 0, sizeof(*c));
	c->riffa = riffa;
	c->fifo = fifo;
	c->wr_data = malloc((size_t)WRITE_MAX_WORDS * sizeof(*c->wr_data));
	return c->wr_data ? 0 : -ENOMEM;
}

void controller_free(struct controller *c)
{
	free(c->wr_data);
	c->wr_data = NULL;
}
