// SPDX-License-Identifier: MIT
/* controller.c - see controller.h. */
#include "controller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REG_BOOT_MODE	0x0f000001u	/* vendor updater: which logic is loaded */
#define BOOT_MODE_ONI	3u

#define TRIGGER_NS	2000u		/* a device register access takes this long */
#define PIECE_BYTES	(128u * 1024)	/* frames made before others get a turn */
#define WRITE_MAX_WORDS	(1u << 20)	/* longer payload: the stream is off the rails */
#define MAX_PACE_CLOCKS	(MODEL_ACQ_HZ / 100)
#define TABLE_BACKLOG	1024u		/* rows wait when so many signal bytes do */
#define SOON_NS		1000000u	/* until then the engine does not sleep */
#define TABLE_BYTES	24u		/* packet of a row */
#define TABLE_BYTES_MAX	28u		/* an injected one */
#define LONG_BYTES	300u		/* an injected packet that no COBS group can be */

/* Signal packets. */
#define SIG_WRITE_ACK	0x02u
#define SIG_WRITE_NACK	0x04u
#define SIG_READ_ACK	0x08u
#define SIG_READ_NACK	0x10u
#define SIG_TABLE	0x20u
#define SIG_DEVICE	0x40u

/* ---- signal channel ---- */

static unsigned int signal_used(const struct controller *c)
{
	return c->signal_tail - c->signal_head;
}

/* Injected: what a bad line makes of an encoded packet. Returns the new length. */
static unsigned int signal_spoil(struct faults *f, uint8_t *out, unsigned int len)
{
	if (fault_take(f, FAULT_SIGNAL_FLIP))
		out[rng_next(&f->rng) % (len - 1)] ^= (uint8_t)(1u << rng_next(&f->rng) % 8);
	if (fault_take(f, FAULT_SIGNAL_ZERO))
		out[len / 2] = 0;
	if (fault_take(f, FAULT_SIGNAL_LONG)) {
		memmove(out + LONG_BYTES - len, out, len);
		memset(out, 0x55, LONG_BYTES - len);
		len = LONG_BYTES;
	}
	if (fault_take(f, FAULT_SIGNAL_CUT)) {
		len = len / 2 + 1;
		out[len - 1] = 0;
	}
	if (fault_take(f, FAULT_SIGNAL_OPEN))
		len--;
	return len;
}

/* Payloads are 28 bytes at most, so one COBS code group always suffices. */
static void signal_send_bytes(struct controller *c, const uint32_t *words, unsigned int bytes)
{
	uint8_t out[LONG_BYTES];
	unsigned int code = 0, len = 1, i;
	uint8_t b;

	for (i = 0; i < bytes; i++) {
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
	len = signal_spoil(c->faults, out, len);

	if (signal_used(c) + len > SIGNAL_BYTES) {
		c->stats.signal_lost++;
		return;
	}
	for (i = 0; i < len; i++)
		c->signal[c->signal_tail++ % SIGNAL_BYTES] = out[i];
}

static void signal_send(struct controller *c, const uint32_t *words, unsigned int n)
{
	signal_send_bytes(c, words, n * 4);
}

/* Injected: bytes that nobody sent. Returns true if there is more to do soon. */
static bool signal_noise(struct controller *c)
{
	struct faults *f = c->faults;

	while (signal_used(c) < TABLE_BACKLOG && fault_take(f, FAULT_SIGNAL_GARBAGE))
		c->signal[c->signal_tail++ % SIGNAL_BYTES] = (uint8_t)rng_next(&f->rng);
	return fault_armed(f, FAULT_SIGNAL_GARBAGE);
}

static size_t frame_wire_size(uint32_t read_size)
{
	return 16 + ((read_size + 3u) & ~3u);
}

/* Row @i: a device's, or one that is made up beyond them. */
static struct model_dev table_row(const struct controller *c, uint32_t i)
{
	struct model_dev row = { .id = 1, .read_size = 8 };

	if (i < c->table.known)
		return c->table.row[i];
	/* Hubs above those that exist, 254 rows each. */
	row.addr = (0x10 + i / 0xfe) << 8 | i % 0xfe;
	return row;
}

/* Injected: a last row that makes no sense. Returns the length of its packet. */
static unsigned int table_spoil(struct controller *c, uint32_t *pkt)
{
	struct faults *f = c->faults;

	if (fault_take(f, FAULT_TABLE_DOUBLE))
		pkt[1] = c->table.row[0].addr;
	if (fault_take(f, FAULT_TABLE_ADDR))
		pkt[1] = fault_arg(f, FAULT_TABLE_ADDR);
	if (fault_take(f, FAULT_TABLE_READ_SIZE))
		pkt[4] = fault_arg(f, FAULT_TABLE_READ_SIZE);
	if (fault_take(f, FAULT_TABLE_WRITE_SIZE))
		pkt[5] = fault_arg(f, FAULT_TABLE_WRITE_SIZE);
	if (fault_take(f, FAULT_TABLE_BYTES) && fault_arg(f, FAULT_TABLE_BYTES) <= TABLE_BYTES_MAX)
		return fault_arg(f, FAULT_TABLE_BYTES);
	return TABLE_BYTES;
}

/* Send what is due. Returns true if there is more to do soon. */
static bool table_step(struct controller *c)
{
	uint32_t pkt[TABLE_BYTES_MAX / 4] = { SIG_DEVICE };
	unsigned int bytes = TABLE_BYTES;
	struct model_dev row;

	while (c->table.next < c->table.rows) {
		if (signal_used(c) >= TABLE_BACKLOG || c->now_ns < c->table.due_ns)
			return c->table.due_ns < c->now_ns + SOON_NS;
		row = table_row(c, c->table.next);
		memcpy(pkt + 1, &row, sizeof(row));
		if (c->table.rows != UINT32_MAX && c->table.next == c->table.rows - 1)
			bytes = table_spoil(c, pkt);
		signal_send_bytes(c, pkt, bytes);
		/* Without an end the addresses come again. */
		c->table.next = c->table.next < 60000 || c->table.rows != UINT32_MAX ?
				c->table.next + 1 : c->table.known;
		c->table.due_ns = c->now_ns + c->table.row_ns;
	}
	return false;
}

static void signal_table(struct controller *c)
{
	struct model_dev *row = c->table.row;
	size_t n = model_table(c->model, row, MODEL_MAX_ROWS);
	struct faults *f = c->faults;
	uint32_t pkt[2] = { SIG_TABLE };
	size_t i;

	if (n > MODEL_MAX_ROWS)
		n = MODEL_MAX_ROWS;
	c->frame_max = 0;
	for (i = 0; i < n; i++) {
		if (frame_wire_size(row[i].read_size) > c->frame_max)
			c->frame_max = frame_wire_size(row[i].read_size);
		if (row[i].id && row[i].read_size)
			fifo_device(c->fifo, row[i].addr, row[i].id);
	}
	c->table.known = (uint32_t)n;
	c->table.rows = c->table.known;
	if (fault_take(f, FAULT_TABLE_ROWS))
		c->table.rows = fault_arg(f, FAULT_TABLE_ROWS);
	c->table.next = 0;
	c->table.row_ns = 0;
	if (fault_take(f, FAULT_TABLE_SLOW))
		c->table.row_ns = fault_arg(f, FAULT_TABLE_SLOW) * 1000000ull;
	c->table.due_ns = c->now_ns + c->table.row_ns;
	pkt[1] = c->table.rows;
	if (fault_take(f, FAULT_TABLE_COUNT))
		pkt[1] = fault_arg(f, FAULT_TABLE_COUNT);
	signal_send(c, pkt, 2);
	table_step(c);
}

/* ---- device registers ---- */

/* An answer is only a flag, whatever the device said. */
static void answer_register(struct controller *c, bool write, bool refused)
{
	struct faults *f = c->faults;
	uint32_t sig;

	if (fault_take(f, FAULT_ACK_WRONG))
		write = !write;
	if (write)
		sig = refused ? SIG_WRITE_NACK : SIG_WRITE_ACK;
	else
		sig = refused ? SIG_READ_NACK : SIG_READ_ACK;
	signal_send(c, &sig, 1);
	if (fault_take(f, FAULT_ACK_TWICE))
		signal_send(c, &sig, 1);
}

/* A mute or refused access stands for a device or link that did not get it. */
static void finish_register(struct controller *c)
{
	bool mute = fault_take(c->faults, FAULT_MUTE);
	bool lost = mute || fault_take(c->faults, FAULT_NACK);
	uint32_t val = 0;
	int err;

	if (c->reg[REG_RW] && !lost && fault_take(c->faults, FAULT_DEAF)) {
		err = 0;
		c->stats.reg_writes++;
	} else if (c->reg[REG_RW]) {
		err = lost ? -1 : model_reg_write(c->model, c->reg[REG_DEV_ADDR],
						  c->reg[REG_REG_ADDR], c->reg[REG_VALUE]);
		c->stats.reg_writes++;
	} else {
		err = lost ? -1 : model_reg_read(c->model, c->reg[REG_DEV_ADDR],
						 c->reg[REG_REG_ADDR], &val);
		c->stats.reg_reads++;
		if (!err)
			c->reg[REG_VALUE] = val;
	}
	if (err)
		c->stats.reg_nacks++;
	c->reg[REG_TRIGGER] = 0;
	if (!mute)
		answer_register(c, c->reg[REG_RW], err);
}

static void trigger(struct controller *c)
{
	struct faults *f = c->faults;

	c->reg[REG_TRIGGER] = 1;
	c->trigger_ns = c->now_ns + TRIGGER_NS;
	if (fault_take(f, FAULT_ACK_LATE))
		c->trigger_ns += fault_arg(f, FAULT_ACK_LATE) * 1000000ull;
	if (fault_take(f, FAULT_TRIG_STUCK))
		c->trigger_ns = UINT64_MAX;
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
	if (!c->reg[REG_RUNNING] && !c->run_on)
		return false;
	return c->pace == PACE_MAX ? produce_max(c) : produce_realtime(c);
}

static void start(struct controller *c)
{
	if (c->reg[REG_RUNNING])
		return;
	c->run_on = false;
	c->reg[REG_RUNNING] = 1;
	c->run++;
	c->stats.starts++;
	/*
	 * liboni forgets its part of a cut frame at each write to RUNNING and
	 * takes the first word that follows for a header, with a remark that
	 * the RIFFA hardware makes this right. So a drained card begins with a
	 * whole frame; a host that left a block announced finds the old data.
	 */
	if (!c->keep_rest && !c->ops.announced(c->ops.ctx))
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
	c->run_on = fault_armed(c->faults, FAULT_AFTER_STOP);
	if (!c->run_on)
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

/* The devices that went on after a stop are quiet now. */
static void run_on_end(struct controller *c)
{
	if (!c->run_on)
		return;
	c->run_on = false;
	model_run(c->model, 0);
	model_flush(c->model);
}

static void drop_data(struct controller *c)
{
	c->event(c->event_ctx, EVENT_RESET);
	run_on_end(c);
	c->table.next = c->table.rows;
	fifo_discard(c->fifo);
	c->signal_head = c->signal_tail;
	c->wr_fill = 0;
	c->ops.dropped(c->ops.ctx);
	c->reg[REG_TRIGGER] = 0;
}

void controller_halt(struct controller *c)
{
	stop(c);
	drop_data(c);
	c->reply_head = c->reply_tail;
	c->late_reply_ns = 0;
}

/*
 * Our inferences, as nothing is published: the reset empties card RAM and what
 * waits on the signal channel and starts the counter at zero.
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

/* ---- configuration registers ---- */

void controller_write_reg(struct controller *c, uint32_t reg, uint32_t val)
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
		trigger(c);
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

static void reply(struct controller *c, uint32_t val)
{
	if (c->reply_tail - c->reply_head < REPLY_WORDS)
		c->reply[c->reply_tail++ % REPLY_WORDS] = val;
}

void controller_read_reg(struct controller *c, uint32_t reg)
{
	struct faults *f = c->faults;
	uint32_t val = 0;

	if (reg < REG_COUNT)
		val = c->reg[reg];
	else if (reg == REG_BOOT_MODE)
		val = BOOT_MODE_ONI;
	if (fault_take(f, FAULT_REPLY_LOST))
		return;
	if (fault_take(f, FAULT_REPLY_LATE)) {
		c->late_reply = val;
		c->late_reply_ns = c->now_ns + fault_arg(f, FAULT_REPLY_LATE) * 1000000ull;
		return;
	}
	reply(c, val);
	if (fault_take(f, FAULT_REPLY_TWICE))
		reply(c, val);
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
		c->stats.write_frame_ns = c->now_ns;
		c->wr_fill = 0;
	}
}

void controller_write_words(struct controller *c, const uint32_t *words, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		write_word(c, words[i]);
}

/* ---- what a transport takes ---- */

const uint32_t *controller_peek_reply(const struct controller *c)
{
	if (c->reply_head == c->reply_tail)
		return NULL;
	return &c->reply[c->reply_head % REPLY_WORDS];
}

void controller_take_reply(struct controller *c)
{
	c->reply_head++;
}

const uint8_t *controller_peek_signal(const struct controller *c)
{
	if (c->signal_head == c->signal_tail)
		return NULL;
	return &c->signal[c->signal_head % SIGNAL_BYTES];
}

void controller_take_signal(struct controller *c)
{
	c->signal_head++;
}

void controller_block_done(struct controller *c, uint64_t bytes)
{
	if (c->run_on && bytes && fault_take(c->faults, FAULT_AFTER_STOP) &&
	    !fault_armed(c->faults, FAULT_AFTER_STOP))
		run_on_end(c);
	c->stats.blocks += bytes != 0;
	c->stats.bytes += bytes;
}

void controller_empty(struct controller *c)
{
	c->table.next = c->table.rows;
	c->signal_head = c->signal_tail;
	c->reply_head = c->reply_tail;
	c->late_reply_ns = 0;
	c->wr_fill = 0;
	fifo_discard(c->fifo);
}

bool controller_step(struct controller *c, uint64_t now_ns)
{
	bool more;

	c->now_ns = now_ns;
	model_tick(c->model, now_ns);
	if (c->reg[REG_TRIGGER] && now_ns >= c->trigger_ns)
		finish_register(c);
	more = produce(c);
	more |= table_step(c);
	more |= signal_noise(c);
	if (c->late_reply_ns && now_ns >= c->late_reply_ns) {
		c->late_reply_ns = 0;
		reply(c, c->late_reply);
	}
	if (fault_take(c->faults, FAULT_REPLY_STRAY))
		reply(c, fault_arg(c->faults, FAULT_REPLY_STRAY));
	return more || (c->reg[REG_TRIGGER] && c->trigger_ns < now_ns + SOON_NS);
}

void controller_power_on(struct controller *c, struct model *model)
{
	c->model = model;
	memset(c->reg, 0, sizeof(c->reg));
	c->reg[REG_SYSCLK_HZ] = MODEL_SYS_HZ;
	c->reg[REG_ACQCLK_HZ] = MODEL_ACQ_HZ;
	c->clock = 0;
	c->clock_base = 0;
	c->frame_max = 0;
	c->reply_head = c->reply_tail;
	c->late_reply_ns = 0;
	c->signal_head = c->signal_tail;
	c->wr_fill = 0;
	c->run_on = false;
	c->table.next = c->table.rows;
}

int controller_init(struct controller *c, const struct controller_ops *ops,
		    struct faults *faults, struct fifo *fifo)
{
	memset(c, 0, sizeof(*c));
	c->ops = *ops;
	c->faults = faults;
	c->fifo = fifo;
	c->wr_data = malloc((size_t)WRITE_MAX_WORDS * sizeof(*c->wr_data));
	return c->wr_data ? 0 : -ENOMEM;
}

void controller_free(struct controller *c)
{
	free(c->wr_data);
	c->wr_data = NULL;
}
