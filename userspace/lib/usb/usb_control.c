// SPDX-License-Identifier: MIT
/*
 * usb_control.c - the ONI controller behind the pipes: registers, table, reset, start,
 * stop, safe state, write frames.
 *
 * ONI specification v1.0, and the same rules as the driver's (oni_ctl.c): every wait is
 * bounded, a reset or the end of an owner makes stimulators safe, and what may be
 * written is what driver/oni_guard.c says. Callers hold op_lock.
 */
#include <errno.h>
#include <string.h>

#include "driver/oni_guard.h"
#include "usb.h"

/* Controller registers, as liboni's oni_config_t. */
enum {
	CTL_DEV_IDX = 0,
	CTL_REG_ADDR = 1,
	CTL_REG_VALUE = 2,
	CTL_RW = 3,
	CTL_TRIG = 4,
	CTL_RESET = 6,
	CTL_RESET_COUNTER = 9,
};

#define REPLY_NS	(2000 * MS)
#define SIGNAL_NS	(2000 * MS)
#define TABLE_NS	(3000 * MS)
#define TABLE_LIMIT_NS	(10000 * MS)
/* The answer to an access that timed out is not later than this after TRIG. */
#define LATE_ACK_MS	20
/* Safe-state writes of one device that may go unanswered. */
#define SAFE_SILENT_MAX	2

/* --- controller registers --------------------------------------------------------------- */

int usb_ctl_write(struct usb_board *b, uint32_t reg, uint32_t value)
{
	return usb_out_send(b, &b->command,
			    (uint32_t)oni_ft600_write_reg(b->command.buf, reg, value));
}

static void want_value(struct usb_board *b, bool wanted)
{
	pthread_mutex_lock(&b->lock);
	b->value_wanted = wanted;
	b->value_got = false;
	pthread_mutex_unlock(&b->lock);
}

int usb_ctl_read(struct usb_board *b, uint32_t reg, uint32_t *value)
{
	uint64_t end;
	int ret;

	if (b->value_lost)
		return -EIO;
	want_value(b, true);
	ret = usb_out_send(b, &b->command,
			   (uint32_t)oni_ft600_read_reg(b->command.buf, reg));
	if (ret) {
		want_value(b, false);
		return ret;
	}
	pthread_mutex_lock(&b->lock);
	end = usb_now() + REPLY_NS;
	while (!b->value_got && !b->gone && usb_wait(b, end))
		;
	*value = b->value;
	if (b->gone) {
		ret = -ENODEV;
	} else if (!b->value_got) {
		/* It may still come, and would be taken for that of the next request. */
		b->value_lost = true;
		usb_link_error(b);
		ret = -ETIMEDOUT;
	}
	pthread_mutex_unlock(&b->lock);
	return ret;
}

/* --- signals ---------------------------------------------------------------------------- */

static void signals_flush(struct usb_board *b)
{
	pthread_mutex_lock(&b->lock);
	b->signals = 0;
	pthread_mutex_unlock(&b->lock);
}

/* Wait for one of the packets in @mask; others are dropped. */
static int signal_wait(struct usb_board *b, uint32_t mask, uint64_t ns, struct oni_signal *sig)
{
	uint64_t end = usb_now() + ns;
	int ret = -ETIMEDOUT;

	pthread_mutex_lock(&b->lock);
	for (;;) {
		while (!b->signals && !b->gone && usb_wait(b, end))
			;
		if (b->gone)
			ret = -ENODEV;
		if (b->gone || !b->signals)
			break;
		*sig = b->signal[b->signal_first];
		b->signal_first = (b->signal_first + 1) % USB_SIGNALS;
		b->signals--;
		if (!(sig->flag & mask))
			continue;
		ret = 0;
		break;
	}
	pthread_mutex_unlock(&b->lock);
	return ret;
}

/* --- device registers --------------------------------------------------------------------- */

/* The order of the writes is liboni's. */
static int reg_launch(struct usb_board *b, const struct oni_reg_op *op)
{
	bool write = op->flags & ONI_REG_OP_WRITE;
	const uint32_t step[][2] = {
		{ CTL_DEV_IDX, op->dev_addr }, { CTL_REG_ADDR, op->reg_addr },
		{ CTL_REG_VALUE, op->value }, { CTL_RW, write }, { CTL_TRIG, 1 },
	};
	uint32_t busy;
	size_t i;
	int ret;

	/* An access that timed out may still be running in the hardware. */
	if (b->trig_unsure) {
		ret = usb_ctl_read(b, CTL_TRIG, &busy);
		if (ret)
			return ret;
		if (busy)
			return -ETIMEDOUT;
		usb_sleep(LATE_ACK_MS);
		b->trig_unsure = false;
	}
	signals_flush(b);
	for (i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		if (step[i][0] == CTL_REG_VALUE && !write)
			continue;
		ret = usb_ctl_write(b, step[i][0], step[i][1]);
		if (ret)
			return ret;
	}
	return 0;
}

/* One whole handshake, whatever the guard says. */
static int reg_access(struct usb_board *b, struct oni_reg_op *op)
{
	bool write = op->flags & ONI_REG_OP_WRITE;
	uint32_t ack = write ? ONI_SIG_WACK : ONI_SIG_RACK;
	uint32_t nack = write ? ONI_SIG_WNACK : ONI_SIG_RNACK;
	struct oni_signal sig;
	int ret = reg_launch(b, op);

	if (!ret) {
		ret = signal_wait(b, ack | nack, SIGNAL_NS, &sig);
		b->trig_unsure = ret == -ETIMEDOUT;
	}
	if (!ret && sig.flag == nack)
		ret = -EREMOTEIO;
	if (!ret && !write)
		ret = usb_ctl_read(b, CTL_REG_VALUE, &op->value);
	if (write)
		b->cnt.reg_writes++;
	else
		b->cnt.reg_reads++;
	if (ret == -EREMOTEIO)
		b->cnt.reg_nacks++;
	else if (ret == -ETIMEDOUT)
		b->cnt.reg_timeouts++;
	op->result = ret;
	return ret;
}

/* Is @addr the information device of the hub that has Rhythm? */
static bool is_rhythm_hub(const struct usb_board *b, uint32_t addr)
{
	struct oni_device row;

	return addr == ONI_RHYTHM_HUB &&
	       !oni_table_find(b->table, b->rows, ONI_RHYTHM_ADDR, &row) &&
	       row.id == ONI_ID_RHYTHM;
}

/* May the program do this? Ownership is the caller's affair. */
int usb_reg_check(struct usb_board *b, const struct oni_reg_op *op)
{
	struct oni_device row;
	int ret = oni_table_find(b->table, b->rows, op->dev_addr, &row);

	if (ret || !(op->flags & ONI_REG_OP_WRITE))
		return ret;
	if (is_rhythm_hub(b, op->dev_addr) ?
	    oni_guard_rhythm_hub_writable(op->reg_addr, op->value) :
	    oni_guard_reg_writable(row.id, op->reg_addr, op->value))
		return 0;
	b->cnt.guarded++;
	return -EPERM;
}

/* An access that usb_reg_check() has let through. */
int usb_reg(struct usb_board *b, struct oni_reg_op *op)
{
	return reg_access(b, op);
}

static int read_reg(struct usb_board *b, uint32_t addr, uint32_t reg, uint32_t *value)
{
	struct oni_reg_op op = { .dev_addr = addr, .reg_addr = reg };
	int ret = reg_access(b, &op);

	*value = op.value;
	return ret;
}

/* --- reset and device table -------------------------------------------------------------------- */

static int table_receive(struct usb_board *b, uint32_t *rows)
{
	uint64_t limit = usb_now() + TABLE_LIMIT_NS;
	struct oni_signal sig;
	uint32_t i;
	int ret;

	ret = signal_wait(b, ONI_SIG_TABLEACK, TABLE_NS, &sig);
	if (!ret)
		ret = oni_table_announced(&sig, rows);
	for (i = 0; !ret && i < *rows; i++) {
		/* Whatever comes next must be a row. */
		ret = signal_wait(b, ~0u, TABLE_NS, &sig);
		if (!ret)
			ret = oni_table_row(&sig, &b->spare[i]);
		if (!ret && usb_now() > limit)
			ret = -ETIMEDOUT;
	}
	return ret ? ret : oni_table_check(b->spare, *rows);
}

static int identity_read(struct usb_board *b)
{
	uint32_t v[5];
	int ret;

	ret = usb_ctl_read(b, ONI_CTL_SYSCLKHZ, &v[0]);
	if (!ret)
		ret = usb_ctl_read(b, ONI_CTL_ACQCLKHZ, &v[1]);
	if (!ret)
		ret = read_reg(b, ONI_HUB_INFO, 0, &v[2]);
	if (!ret)
		ret = read_reg(b, ONI_HUB_INFO, 1, &v[3]);
	if (!ret)
		ret = read_reg(b, ONI_HUB_INFO, 2, &v[4]);
	if (ret)
		return ret == -EREMOTEIO ? -EPROTO : ret;
	if (!v[1])
		return -EPROTO;
	b->sys_clock_hz = v[0];
	b->acq_clock_hz = v[1];
	b->hardware_id = v[2];
	b->hardware_revision = v[3];
	b->firmware_version = v[4];
	return 0;
}

/* The bridge and its pipes; what was under way is not, what was cut is made anew. */
static int link_reset(struct usb_board *b)
{
	int ret;

	usb_quiet(b);
	pthread_mutex_lock(&b->lock);
	b->value_wanted = false;
	b->value_got = false;
	b->signals = 0;
	memset(&b->parser, 0, sizeof(b->parser));
	memset(&b->cobs, 0, sizeof(b->cobs));
	ret = b->gone ? -ENODEV : 0;
	pthread_mutex_unlock(&b->lock);
	b->value_lost = false;
	b->write_cut = false;
	b->trig_unsure = false;
	if (!ret)
		ret = usb_chip_reset(b);
	/*
	 * One packet at a time: whether the chip ends a full one with an empty one is not
	 * known, and an answer must not wait for the next.
	 */
	if (!ret)
		ret = usb_in_start(&b->reply, 1, b->packet, b->packet);
	if (!ret)
		ret = usb_out_send(b, &b->command,
				   (uint32_t)oni_ft600_priority(b->command.buf));
	return ret;
}

/* --- safe state of stimulators and outputs ------------------------------------------------------ */

/* A part of a register may stay. If it cannot be read nothing stays: off comes first. */
static int safe_write(struct usb_board *b, uint32_t addr, uint32_t reg,
		      const struct oni_safe_write *sw)
{
	struct oni_reg_op op = { .dev_addr = addr, .reg_addr = reg, .flags = ONI_REG_OP_WRITE };
	uint32_t old = 0;

	if (sw->keep && read_reg(b, addr, reg, &old))
		old = 0;
	op.value = (old & sw->keep) | sw->value;
	return reg_access(b, &op);
}

/* A write that is refused or lost does not end this, but silence does. */
static int safe_row(struct usb_board *b, const struct oni_device *row)
{
	const struct oni_safe_write *sw;
	unsigned int silent = 0;
	int ret, err = 0;
	uint32_t k;
	size_t i, n;

	sw = oni_guard_safe_writes(&n);
	for (i = 0; i < n; i++) {
		if (sw[i].id != row->id ||
		    (sw[i].write_size && sw[i].write_size != row->write_size))
			continue;
		for (k = 0; k < sw[i].count; k++) {
			ret = safe_write(b, row->addr, sw[i].reg + k, &sw[i]);
			if (ret && !err)
				err = ret;
			silent += ret == -ETIMEDOUT;
			if (ret == -ENODEV || silent >= SAFE_SILENT_MAX)
				return err;
		}
	}
	return err;
}

/* Whole words into the write pipe; a write that failed leaves half a frame there. */
static int send_words(struct usb_board *b, const uint32_t *words, size_t count)
{
	const uint8_t *buf = (const uint8_t *)words;
	size_t left = count * 4, n;
	int ret;

	if (b->write_cut)
		return -EIO;
	for (; left; left -= n, buf += n) {
		n = left < USB_WRITE_BYTES ? left : USB_WRITE_BYTES;
		memcpy(b->write.buf, buf, n);
		ret = usb_out_send(b, &b->write, (uint32_t)n);
		if (ret) {
			b->write_cut = true;
			return ret;
		}
	}
	return 0;
}

/* The frame that switches an output off. Nobody acknowledges it. */
static int rest_row(struct usb_board *b, const struct oni_device *row)
{
	const struct oni_frame_rule *rule;
	uint32_t frame[2 + ONI_OUTPUT_WORDS], words = row->write_size / 4;

	if (!oni_guard_is_output(row->id))
		return 0;
	rule = oni_guard_frame_rule(row->id, row->write_size);
	if (!rule || words > ONI_OUTPUT_WORDS)
		return -EOPNOTSUPP;
	return send_words(b, frame, oni_write_frame_fill(frame, row->addr, words, rule->rest));
}

/*
 * Outputs to 0, which a new owner finds them at. -EOPNOTSUPP: a device takes frames of
 * a size that is not known, the others are at 0.
 */
int usb_outputs_off(struct usb_board *b)
{
	int ret, err = 0;
	uint32_t i;

	for (i = 0; i < b->rows; i++) {
		ret = rest_row(b, &b->table[i]);
		if (ret == -EOPNOTSUPP)
			err = ret;
		else if (ret)
			return ret;
	}
	return err;
}

/* After each reset, when ownership ends, and before the board is given up. Not running. */
void usb_make_safe(struct usb_board *b)
{
	bool safe = true;
	uint32_t i;
	int ret;

	for (i = 0; i < b->rows; i++) {
		ret = safe_row(b, &b->table[i]);
		if (!ret)
			continue;
		safe = false;
		b->cnt.stim_safe_failures++;
		if (ret == -ENODEV)
			break;
	}
	/* Registers first: they decide what the outputs follow. */
	ret = usb_outputs_off(b);
	/* Only this cures a write pipe that has failed. */
	if (ret && ret != -ENODEV && ret != -EOPNOTSUPP && !link_reset(b))
		ret = usb_outputs_off(b);
	if (ret) {
		safe = false;
		b->cnt.stim_safe_failures++;
	}
	b->stim_safe = safe;
}

/* --- device table ------------------------------------------------------------------------------- */

static int table_read(struct usb_board *b)
{
	uint32_t rows = 0;
	int ret = link_reset(b);

	if (!ret)
		ret = usb_ctl_write(b, ONI_CTL_RUNNING, 0);
	if (!ret)
		ret = usb_ctl_write(b, CTL_RESET, 1);
	if (!ret)
		ret = table_receive(b, &rows);
	if (ret)
		return ret;
	memcpy(b->table, b->spare, rows * sizeof(b->table[0]));
	b->rows = rows;
	oni_table_frames(b->table, rows, &b->max_read, &b->max_write);
	b->generation++;
	return 0;
}

static void set_fault(struct usb_board *b, bool fault)
{
	pthread_mutex_lock(&b->lock);
	b->fault = fault;
	pthread_mutex_unlock(&b->lock);
}

/* Reset link and controller, read the device table. Not running. */
int usb_reset(struct usb_board *b)
{
	int ret;

	b->cnt.resets++;
	b->stim_safe = false;
	ret = table_read(b);
	if (!ret) {
		set_fault(b, false);
		b->dirty = false;
		/* Before anything that may fail: the reset has armed what it found. */
		usb_make_safe(b);
		ret = identity_read(b);
	}
	/* The old table is good enough for a try, but not for a promise. */
	if (ret == -EPROTO) {
		usb_make_safe(b);
		b->stim_safe = false;
	}
	if (ret && ret != -ENODEV)
		set_fault(b, true);
	return ret;
}

/* --- start and stop --------------------------------------------------------------------------- */

int usb_start(struct usb_board *b)
{
	int ret;

	/*
	 * Less than a block of the last run may still be in the board and begin in the
	 * middle of a frame: only a reset gets rid of it.
	 */
	if (b->dirty) {
		ret = usb_reset(b);
		if (ret)
			return ret;
	}
	if (b->ring->block < b->max_read)
		return -EINVAL;
	pthread_mutex_lock(&b->lock);
	usb_ring_begin(b->ring);
	pthread_mutex_unlock(&b->lock);
	b->running = true;
	b->dirty = true;
	ret = usb_data_start(b, b->ring->block);
	if (!ret)
		ret = usb_ctl_write(b, CTL_RESET_COUNTER, 2);
	if (ret)
		usb_stop(b);
	return ret;
}

/* What the board still has is in the ring on return, as far as there was room. */
void usb_stop(struct usb_board *b)
{
	bool before;

	if (!b->running)
		return;
	pthread_mutex_lock(&b->lock);
	before = b->fault;
	pthread_mutex_unlock(&b->lock);
	/* The bus took it, or nobody knows whether the board ever stops. */
	if (!usb_ctl_write(b, ONI_CTL_RUNNING, 0))
		usb_data_drain(b);
	usb_data_stop(b);
	b->running = false;
	pthread_mutex_lock(&b->lock);
	if (b->gone)
		usb_ring_end(b->ring, ONI_RING_GONE, ENODEV);
	else if (!before && b->fault)
		usb_ring_end(b->ring, ONI_RING_ERROR, EIO);
	else
		usb_ring_end(b->ring, ONI_RING_STOPPED, 0);
	pthread_mutex_unlock(&b->lock);
}

/* --- write frames -------------------------------------------------------------------------------- */

static int frames_check(struct usb_board *b, const uint32_t *words, size_t count)
{
	struct oni_write_frame frame;
	struct oni_device row;
	size_t pos;
	int ret, n = 0;

	for (pos = 0; pos < count; pos = frame.next, n++) {
		ret = oni_write_frame_at(words, count, pos, &frame);
		if (!ret)
			ret = oni_table_find(b->table, b->rows, frame.addr, &row);
		if (ret)
			return ret;
		if (!oni_write_frame_fits(&frame, &row))
			return -EINVAL;
		if (!oni_guard_frame_writable(row.id, row.write_size,
					      oni_write_frame_bits(words, &frame))) {
			b->cnt.guarded++;
			return -EPERM;
		}
	}
	return n;
}

/* All or nothing: everything is checked before the first word is sent. */
int usb_write_frames(struct usb_board *b, const uint32_t *words, size_t count)
{
	int frames = frames_check(b, words, count);
	int ret = frames < 0 ? frames : send_words(b, words, count);

	if (!ret)
		b->cnt.write_frames += (uint64_t)frames;
	return ret;
}
