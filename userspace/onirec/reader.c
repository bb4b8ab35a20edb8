// SPDX-License-Identifier: MIT
/*
 * reader.c - the reader thread: takes every frame out of the ring once, counts
 * it, finds gaps, and copies what is recorded into chunks. It touches no file
 * and waits for nothing but new data, and for memory when the disk has fallen
 * behind by the whole buffer (the ring and the card's own memory then take the
 * data).
 *
 * Sample layouts: ONIX datasheets, gateware 2 byte order, as libonidev decodes.
 * Gaps: frames of a device with a fixed rate are a whole number of periods of
 * the hub clock apart; what is missing in between is lost. Rhythm numbers its
 * samples: rows of its streams have these numbers.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rec_priv.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WAIT_MS		50
#define REALTIME_PRIORITY	20	/* below threaded interrupts */
#define RELEASE_EVERY	256	/* frames between two moves of the tail */

/* --- to the writer ----------------------------------------------------------- */

static void post(struct rec *r, struct msg m)
{
	struct msg *copy = malloc(sizeof(*copy));

	if (!copy) {
		atomic_store(&r->want_stop, true);
		if (m.chunk)
			chunk_put(r, m.chunk);
		free(m.data);
		return;
	}
	*copy = m;
	queue_put(&r->to_writer, copy);
}

static void flush_text(struct rec *r, struct text *t)
{
	if (!t->len)
		return;
	post(r, (struct msg){ .type = MSG_SIDE, .name = t->name, .head = t->head,
			      .data = t->buf, .len = t->len });
	t->buf = NULL;
	t->len = 0;
}

/* One line into onirec/@name. */
__attribute__((format(printf, 4, 5)))
static void line(struct rec *r, const char *name, const char *head, const char *fmt, ...)
{
	struct text *t = r->text;
	va_list ap;
	int n;

	while (t < r->text + r->n_text && strcmp(t->name, name))
		t++;
	if (t == r->text + r->n_text) {
		*t = (struct text){ .name = name, .head = head };
		r->n_text++;
	}
	if (t->buf && t->len > TEXT_BYTES / 2)
		flush_text(r, t);
	if (!t->buf)
		t->buf = malloc(TEXT_BYTES);
	if (!t->buf)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, TEXT_BYTES - t->len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < TEXT_BYTES - t->len)
		t->len += (size_t)n;
}

static void flush_edges(struct rec *r)
{
	struct edge *copy;

	if (!r->n_edges)
		return;
	copy = malloc(r->n_edges * sizeof(*copy));
	if (copy) {
		memcpy(copy, r->edges, r->n_edges * sizeof(*copy));
		post(r, (struct msg){ .type = MSG_EDGES, .data = copy, .len = r->n_edges });
	}
	r->n_edges = 0;
}

static void flush_chunk(struct rec *r, struct rec_stream *s)
{
	struct chunk *c = s->open;

	if (!c)
		return;
	s->open = NULL;
	c->ns_per_row = 1e9 / s->desc.rate_hz;
	c->mono0_ns = r->have_fit ?
		onidev_clock_to_mono(&r->fit, (uint64_t)(c->times[0] * r->cfg.acq_hz)) : 0;
	if (s->spike_base >= 0 && !c->fill) {
		atomic_fetch_add(&c->refs, 1);
		if (pool_tight(r) || !queue_try_put(&r->to_detector, c, QUEUE_ENTRIES)) {
			chunk_put(r, c);
			r->unsearched += c->n;
		}
	}
	post(r, (struct msg){ .type = MSG_CHUNK, .chunk = c });
}

static void flush_all(struct rec *r)
{
	for (unsigned int i = 0; i < r->n_stream; i++)
		flush_chunk(r, &r->stream[i]);
	flush_edges(r);
	for (unsigned int i = 0; i < r->n_text; i++)
		flush_text(r, &r->text[i]);
}

/* --- rows of continuous streams ------------------------------------------------ */

/* Where the next row goes; its time is set. */
static int16_t *next_row(struct rec *r, unsigned int stream, double time, bool fill)
{
	struct rec_stream *s = &r->stream[stream];
	struct chunk *c = s->open;

	if (c && (c->n == c->cap || c->fill != fill)) {
		flush_chunk(r, s);
		c = NULL;
	}
	if (!c) {
		c = chunk_get(r, stream);
		c->first = s->next;
		c->fill = fill;
		c->opened_ns = now_ns();
		s->open = c;
	}
	s->next++;
	c->times[c->n] = time;
	return c->data + (size_t)c->n++ * s->desc.channels;
}

/* The first row of a stream is numbered by its time, so that streams line up. */
static void start_stream(struct rec *r, struct rec_stream *s, uint64_t clock)
{
	if (s->started)
		return;
	s->started = true;
	s->first = (uint64_t)((double)clock * s->desc.rate_hz / r->cfg.acq_hz);
	s->next = s->first;
}

static void fill_zeros(struct rec *r, int stream, uint64_t missing, uint64_t from, uint64_t to)
{
	double step = (double)(to - from) / (double)(missing + 1);
	struct rec_stream *s;

	if (stream < 0)
		return;
	s = &r->stream[stream];
	for (uint64_t i = 0; i < missing; i++) {
		double clock = (double)from + step * (double)(i + 1);
		int16_t *row = next_row(r, (unsigned int)stream, clock / r->cfg.acq_hz, true);

		memset(row, 0, s->desc.channels * sizeof(*row));
	}
	s->zero_rows += missing;
}

static const char gaps_head[] =
	"device,first_sample,samples,reason,hub_clock,acq_clock,host_mono_ns\n";

/* Frames of @d between its last one and this one are missing. */
static void gap(struct rec *r, struct rec_dev *d, uint64_t missing, uint64_t hub, uint64_t clock)
{
	uint64_t first = d->stream >= 0 ? r->stream[d->stream].next : d->frames + d->lost;
	int adc = d->adc == d->stream ? -1 : d->adc;
	bool fill = (double)missing / d->d.rate_hz <= r->cfg.fill_seconds;

	d->gaps++;
	d->lost += missing;
	line(r, "gaps.csv", gaps_head, "%s,%" PRIu64 ",%" PRIu64 ",%s,%" PRIu64 ",%" PRIu64 ",%"
	     PRIu64 "\n", d->d.name, first, missing, fill ? "lost" : "lost-new-recording", hub,
	     clock, now_ns());
	if (d->stream < 0)
		return;
	if (fill) {
		fill_zeros(r, d->stream, missing, d->last_clock, clock);
		fill_zeros(r, d->aux, missing, d->last_clock, clock);
		fill_zeros(r, adc, missing, d->last_clock, clock);
		return;
	}
	flush_all(r);
	r->stream[d->stream].next += missing;
	if (d->aux >= 0)
		r->stream[d->aux].next += missing;
	if (adc >= 0)
		r->stream[adc].next += missing;
	post(r, (struct msg){ .type = MSG_NEXT });
}

/* Something that is not right with this frame, but costs no samples by itself. */
static void oddity(struct rec *r, struct rec_dev *d, const char *what, uint64_t hub,
		   uint64_t clock)
{
	line(r, "gaps.csv", gaps_head, "%s,%" PRIu64 ",0,%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n",
	     d->d.name, d->frames + d->lost, what, hub, clock, now_ns());
}

static void check_gap(struct rec *r, struct rec_dev *d, uint64_t hub, uint64_t clock)
{
	int64_t delta = (int64_t)(hub - d->last_hub);
	long long periods;

	if (!(d->period > 0) || !d->frames)
		return;
	if (delta <= 0) {
		d->backward++;
		oddity(r, d, "hub-clock-stepped-back", hub, clock);
		return;
	}
	periods = llround((double)delta / d->period);
	if (periods > 1)
		gap(r, d, (uint64_t)(periods - 1), hub, clock);
}

/* --- frames -------------------------------------------------------------------- */

static void take_rhd2164(struct rec *r, struct rec_dev *d, const struct onidev_frame *f)
{
	double time = (double)f->clock / r->cfg.acq_hz;
	const uint8_t *aux = (const uint8_t *)f->sample + 8 + 2 * ONIDEV_RHD2164_CHANNELS;

	start_stream(r, &r->stream[d->stream], f->clock);
	onidev_rhd2164_channels(f, next_row(r, (unsigned int)d->stream, time, false));
	d->recorded++;
	if (d->aux < 0)
		return;
	start_stream(r, &r->stream[d->aux], f->clock);
	int16_t *row = next_row(r, (unsigned int)d->aux, time, false);

	for (int i = 0; i < ONIDEV_RHD2164_AUX; i++)
		row[i] = (int16_t)((aux[2 * i] | aux[2 * i + 1] << 8) - 32768);
}

static void take_analog(struct rec *r, struct rec_dev *d, const struct onidev_frame *f)
{
	const uint8_t *p = (const uint8_t *)f->sample + 8;
	int16_t *row;

	start_stream(r, &r->stream[d->stream], f->clock);
	row = next_row(r, (unsigned int)d->stream, (double)f->clock / r->cfg.acq_hz, false);
	for (int i = 0; i < ONIDEV_ANALOG_CHANNELS; i++)
		row[i] = (int16_t)(p[2 * i] | p[2 * i + 1] << 8);
	d->recorded++;
}

/* Every bit of @word that differs from the last one is an edge, at first any that is set. */
static void take_lines(struct rec *r, uint64_t word, int64_t sample, uint64_t clock)
{
	uint64_t changed = word ^ (r->have_ttl ? r->ttl_word : 0);

	r->ttl_word = word;
	r->have_ttl = true;
	for (unsigned int bit = 0; bit < 64 && changed >> bit; bit++) {
		if (!(changed >> bit & 1))
			continue;
		if (r->n_edges == MAX_EDGES)
			flush_edges(r);
		r->edges[r->n_edges++] = (struct edge){
			.line = bit + 1,
			.state = word >> bit & 1,
			.word = word,
			.sample = sample,
			.time = (double)clock / r->cfg.acq_hz,
		};
	}
}

static int16_t *rhythm_row(struct rec *r, int stream, const struct onidev_rhythm *in, double time)
{
	struct rec_stream *s = &r->stream[stream];

	if (!s->started) {
		s->started = true;
		s->first = s->next = in->sample;
	}
	return next_row(r, (unsigned int)stream, time, false);
}

/*
 * In two's complement, so that more volts are a larger number: the converter of
 * generation 3 counts downwards (onidev_rhythm_adc_volts()).
 */
static void rhythm_inputs(const struct rec_dev *d, const struct onidev_rhythm *in, int16_t *row)
{
	uint16_t flip = d->d.board == ONIDEV_HUB_ACQ_GEN3 ? 0x7fff : 0x8000;

	for (int i = 0; i < ONIDEV_RHYTHM_ADCS; i++)
		row[i] = (int16_t)(in->adc[i] ^ flip);
}

static void check_sample(struct rec *r, struct rec_dev *d, const struct onidev_rhythm *in,
			 uint64_t clock)
{
	int64_t missing = d->have_sample ? onidev_rhythm_missing(d->last_sample, in->sample) : 0;

	d->last_sample = in->sample;
	d->have_sample = true;
	if (missing > 0) {
		gap(r, d, (uint64_t)missing, in->hub_clock, clock);
	} else if (missing < 0) {
		d->backward++;
		oddity(r, d, "sample-number-stepped-back", in->hub_clock, clock);
	}
}

/*
 * A damaged frame is not recorded: its number cannot be trusted. The next one shows that
 * a sample is missing.
 */
static void take_rhythm(struct rec *r, struct rec_dev *d, const struct onidev_frame *f)
{
	double time = (double)f->clock / r->cfg.acq_hz;
	struct onidev_rhythm in;
	uint64_t row;

	if (onidev_decode_rhythm(f, &in) || in.streams != d->d.rhythm.streams) {
		d->damaged++;
		oddity(r, d, "damaged", onidev_frame_hub_clock(f), f->clock);
		return;
	}
	check_sample(r, d, &in, f->clock);
	if (in.streams)
		onidev_rhythm_channels(&in, rhythm_row(r, d->stream, &in, time));
	if (d->aux >= 0)
		onidev_rhythm_aux(&in, rhythm_row(r, d->aux, &in, time));
	rhythm_inputs(d, &in, rhythm_row(r, d->adc, &in, time));
	d->recorded++;
	row = r->stream[d->stream].next - 1;
	take_lines(r, in.ttl_in | (uint64_t)in.ttl_out << 16, (int64_t)row, f->clock);
}

/* The number a sample of the main stream at @clock has or would have. */
static int64_t sample_at(const struct rec *r, uint64_t clock)
{
	return (int64_t)((double)clock * r->event_rate / r->cfg.acq_hz);
}

/*
 * Lines 1-8 inputs, 9-14 buttons, 17-20 ports D...A on. Lines that are high in the
 * first frame count as rising then.
 */
static void take_digital(struct rec *r, struct rec_dev *d, const struct onidev_frame *f)
{
	struct onidev_digital in;

	if (onidev_decode_digital(f, &in))
		return;
	d->recorded++;
	take_lines(r, (uint64_t)in.inputs | (uint64_t)in.buttons << 8, sample_at(r, f->clock),
		   f->clock);
}

static void take_memory(struct rec *r, struct rec_dev *d, const struct onidev_frame *f)
{
	struct onidev_memory mem;

	if (onidev_decode_memory(f, &mem))
		return;
	d->recorded++;
	r->card_words = mem.used_words;
	r->card_total_words = d->d.memory_words;
	if (mem.used_words > r->card_peak_words)
		r->card_peak_words = mem.used_words;
	line(r, "buffer.csv", "acq_clock,hub_clock,card_bytes,card_total_bytes,ring_bytes,"
	     "ring_size\n", "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
	     "\n", f->clock, mem.hub_clock, (uint64_t)mem.used_words * 4,
	     (uint64_t)d->d.memory_words * 4, r->status.head - r->status.tail,
	     r->status.ring_bytes);
}

/* 16 amplifiers, 16 DC amplifiers of 10 bits, mask: all as offset binary. */
static void take_rhs2116(struct rec *r, struct rec_dev *d, const struct onidev_frame *f)
{
	double time = (double)f->clock / r->cfg.acq_hz;
	const uint8_t *p = (const uint8_t *)f->sample + 8;
	int16_t *row;

	if (f->size < 8 + 4 * REC_RHS2116_CHANNELS) {
		d->damaged++;
		return;
	}
	start_stream(r, &r->stream[d->stream], f->clock);
	row = next_row(r, (unsigned int)d->stream, time, false);
	for (int i = 0; i < REC_RHS2116_CHANNELS; i++)
		row[i] = (int16_t)((p[2 * i] | p[2 * i + 1] << 8) - 32768);
	d->recorded++;
	if (d->aux < 0)
		return;
	p += 2 * REC_RHS2116_CHANNELS;
	start_stream(r, &r->stream[d->aux], f->clock);
	row = next_row(r, (unsigned int)d->aux, time, false);
	for (int i = 0; i < REC_RHS2116_CHANNELS; i++)
		row[i] = (int16_t)(512 - (p[2 * i] | (p[2 * i + 1] & 3) << 8));
	/* version 2 of the device has no mask */
	p += 2 * REC_RHS2116_CHANNELS;
	row[REC_RHS2116_CHANNELS] = f->size >= 8 + 4 * REC_RHS2116_CHANNELS + 2 ?
				    (int16_t)(p[0] | p[1] << 8) : 0;
}

static void take_other(struct rec *r, struct rec_dev *d, const struct onidev_frame *f)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = f->sample;
	char hex[2 * REC_OTHER_BYTES + 1];
	size_t n = f->size > 8 ? f->size - 8 : 0;

	if (n > REC_OTHER_BYTES)
		n = REC_OTHER_BYTES;
	for (size_t i = 0; i < n; i++) {
		hex[2 * i] = digits[p[8 + i] >> 4];
		hex[2 * i + 1] = digits[p[8 + i] & 15];
	}
	hex[2 * n] = '\0';
	d->recorded++;
	line(r, "frames.csv", "device,acq_clock,hub_clock,payload\n",
	     "%s,%" PRIu64 ",%" PRIu64 ",%s\n", d->d.name, f->clock, onidev_frame_hub_clock(f),
	     hex);
}

static void update_fit(struct rec *r, uint64_t now)
{
	struct onidev_clock_fit fit;

	if (now - r->fit_ns < 500000000u)
		return;
	r->fit_ns = now;
	if (r->src->ops->fit(r->src, &fit))
		return;
	r->fit = fit;
	r->have_fit = true;
}

/* --- stimulation ---------------------------------------------------------------- */

#define NO_HUB	(~0u)

/*
 * The number that a sample of a stream has at this time: by the hub's clock where the
 * stream is of the same headstage, otherwise by that of the acquisition.
 */
static int64_t number_at(const struct rec *r, const struct rec_stream *s, uint32_t hub,
			 uint64_t hub_clock, uint64_t clock)
{
	const struct rec_dev *d = &r->dev[s->device];
	int64_t last = (int64_t)s->next - 1;

	if (!s->started || !d->frames)
		return (int64_t)((double)clock * s->desc.rate_hz / r->cfg.acq_hz);
	if (ONIDEV_HUB(d->d.addr) == hub && d->period > 0)
		return last + llround((double)(int64_t)(hub_clock - d->last_hub) / d->period);
	return last + llround((double)(int64_t)(clock - d->last_clock) * s->desc.rate_hz /
			      r->cfg.acq_hz);
}

static const char blanked_head[] =
	"stream,first_sample,samples,trigger,hub_clock,acq_clock\n";

/* What a train that was delivered disturbs: these frames are not searched for spikes. */
static void blank(struct rec *r, const char *who, const struct trigger *t)
{
	const struct rec_config *cfg = &r->cfg;
	uint32_t hub = ONIDEV_HUB(t->addr);
	/* of the trigger device; a program of the interlock has none */
	double delay = t->commanded ? cfg->fire_us / 1e6 :
		       TRIGGER_DELAY(t->code) * (double)ONI_STIM_PERIOD_NS / 1e9;
	double train = triggers_train_us(&r->triggers, t, cfg->trains, cfg->n_trains,
					 cfg->train_us) / 1e6;

	for (unsigned int i = 0; i < r->n_det; i++) {
		struct rec_stream *s = &r->stream[r->det[i].stream];
		double rate = s->desc.rate_hz;
		int64_t at, from, to;

		if (cfg->blank == REC_BLANK_HEADSTAGE &&
		    ONIDEV_HUB(r->dev[s->device].d.addr) != hub)
			continue;
		at = number_at(r, s, t->commanded ? NO_HUB : hub, t->hub_clock, t->clock);
		from = at - (int64_t)ceil(cfg->blank_pre_us / 1e6 * rate);
		to = at + 1 + (int64_t)ceil((delay + train + cfg->blank_post_us / 1e6) * rate);
		if (from < 0)
			from = 0;
		if (to <= from)
			continue;
		if (!detector_blank(&r->det[i], (uint64_t)from, (uint64_t)to))
			r->blanks_lost++;
		line(r, "blanked.csv", blanked_head, "%s,%" PRId64 ",%" PRId64 ",%s,%" PRIu64 ",%"
		     PRIu64 "\n", s->desc.name, from, to - from, who, t->hub_clock, t->clock);
	}
}

static void stim_row(struct rec *r, const struct trigger *t, struct oeb_stim *e)
{
	char program[TRIGGER_HASH_HEX + 1] = "unknown";

	if (t->program >= 0)
		trigger_hex(r->triggers.program[t->program].hash, program);
	else if (!TRIGGER_RESULT(t->code))
		r->triggers_unknown++;
	if (t->commanded)
		r->triggers_commanded++;
	else
		r->triggers_seen++;
	*e = (struct oeb_stim){
		.sample = t->sample,
		.time = (double)t->clock / r->cfg.acq_hz,
		.hub_clock = t->hub_clock,
		.session = t->session,
		.delay = TRIGGER_DELAY(t->code),
		.hub = (uint16_t)ONIDEV_HUB(t->addr),
		.origin = (uint16_t)TRIGGER_ORIGIN(t->code),
		.result = t->commanded ? TRIGGER_COMMANDED : (uint16_t)TRIGGER_RESULT(t->code),
	};
	memcpy(e->program, program, strnlen(program, sizeof(e->program)));
	snprintf(e->text, sizeof(e->text), "hub %u %s %s delay %u program %.16s session %" PRIu64,
		 e->hub, trigger_origin(t->code),
		 t->commanded ? "commanded" : trigger_result(t->code), e->delay, program,
		 e->session);
}

/* Triggers about which everything is known. @now: UINT64_MAX: no more will come. */
static void post_triggers(struct rec *r, uint64_t now)
{
	struct trigger t;

	while (triggers_next(&r->triggers, now, &t)) {
		struct oeb_stim *e = malloc(sizeof(*e));

		if (!e)
			continue;
		stim_row(r, &t, e);
		post(r, (struct msg){ .type = MSG_STIM, .data = e, .len = 1 });
	}
}

static void add_trigger(struct rec *r, const char *who, const struct trigger *t)
{
	triggers_add(&r->triggers, t);
	if (r->triggers.in - r->triggers.out == TRIGGER_RING)
		post_triggers(r, t->read_ns);
	if (!TRIGGER_RESULT(t->code) && r->cfg.blank != REC_BLANK_NONE)
		blank(r, who, t);
}

/* How far CLOCK_BOOTTIME is ahead; where nothing came between reading the two, hopefully. */
static uint64_t boot_ahead(void)
{
	uint64_t best = UINT64_MAX, ahead = 0;

	for (int i = 0; i < 3; i++) {
		uint64_t before = now_ns(), boot, took;
		struct timespec t;

		clock_gettime(CLOCK_BOOTTIME, &t);
		boot = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
		took = now_ns() - before;
		if (took < best) {
			best = took;
			ahead = boot - before;
		}
	}
	return ahead;
}

/* The acquisition clock at a time of CLOCK_BOOTTIME, or that of the last frame. */
static uint64_t clock_at(struct rec *r, uint64_t boot_ns)
{
	if (!r->have_fit)
		update_fit(r, now_ns());
	if (!r->have_fit)
		return r->last_clock;
	return onidev_clock_from_mono(&r->fit, boot_ns - boot_ahead());
}

/* Nobody will say when this train began. It was not before this. */
static void take_fire(struct rec *r, const struct oni_stim_event *e)
{
	struct trigger t = {
		.addr = (e->hub & 0xff) << 8,
		.code = TRIGGER_BY_REGISTER,
		.clock = clock_at(r, e->boot_ns),
		.read_ns = now_ns(),
		.commanded = true,
		.program = r->triggers.loaded[e->hub & 0xff] - 1,	/* by this event */
		.session = e->session,
	};

	t.sample = r->main_stream < 0 ? sample_at(r, t.clock) :
		   number_at(r, &r->stream[r->main_stream], NO_HUB, 0, t.clock);
	add_trigger(r, "fire", &t);
}

/* Before the frames: a program is loaded long before it is fired. */
static void take_events(struct rec *r)
{
	struct oni_stim_event e;
	int ret;

	if (!r->triggers.kernel)
		return;
	while ((ret = r->src->ops->stim_event(r->src, &e)) > 0) {
		triggers_event(&r->triggers, &e);
		if (e.what == ONI_STIM_EV_FIRE && r->cfg.silent[e.hub & 0xff])
			take_fire(r, &e);
	}
	if (ret < 0)
		r->triggers.kernel = false;
}

static void take_trigger(struct rec *r, struct rec_dev *d, const struct onidev_frame *f)
{
	const uint8_t *p = (const uint8_t *)f->sample + 8;
	struct trigger t = {
		.addr = f->addr,
		.clock = f->clock,
		.hub_clock = onidev_frame_hub_clock(f),
		.sample = sample_at(r, f->clock),
		.read_ns = now_ns(),
	};

	/* as it came, whatever is made of it */
	take_other(r, d, f);
	if (f->size < 12) {
		d->damaged++;
		return;
	}
	t.code = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
	if (r->main_stream >= 0)
		t.sample = number_at(r, &r->stream[r->main_stream], ONIDEV_HUB(f->addr),
				     t.hub_clock, t.clock);
	add_trigger(r, d->d.name, &t);
}

static void take(struct rec *r, const struct onidev_frame *f)
{
	unsigned int i = f->addr < 65536 ? r->by_addr[f->addr] : 0;
	struct rec_dev *d;
	uint64_t hub;

	r->frames++;
	if (f->clock > r->last_clock)
		r->last_clock = f->clock;
	if (!i) {
		r->unknown++;
		return;
	}
	d = &r->dev[i - 1];
	hub = onidev_frame_hub_clock(f);
	check_gap(r, d, hub, f->clock);
	switch (d->d.sink) {
	case REC_RHD2164:
		take_rhd2164(r, d, f);
		break;
	case REC_ANALOG:
		take_analog(r, d, f);
		break;
	case REC_DIGITAL:
		take_digital(r, d, f);
		break;
	case REC_MEMORY:
		take_memory(r, d, f);
		break;
	case REC_RHYTHM:
		take_rhythm(r, d, f);
		break;
	case REC_RHS2116:
		take_rhs2116(r, d, f);
		break;
	case REC_TRIGGER:
		take_trigger(r, d, f);
		break;
	case REC_OTHER:
		take_other(r, d, f);
		break;
	case REC_COUNTED:
		break;
	}
	if (!d->frames++) {
		d->first_clock = f->clock;
		d->first_hub = hub;
	}
	d->last_clock = f->clock;
	d->last_hub = hub;
	d->bytes += f->wire;
}

/* --- the loop -------------------------------------------------------------------- */

static void publish_progress(struct rec *r)
{
	uint64_t lost = 0;

	for (unsigned int i = 0; i < r->n_dev; i++)
		lost += r->dev[i].lost;
	pthread_mutex_lock(&r->plock);
	r->prog.seconds = (double)r->last_clock / r->cfg.acq_hz;
	r->prog.frames = r->frames;
	r->prog.lost = lost;
	r->prog.bytes_read = r->status.position;
	r->prog.ring_fill = r->status.head - r->status.tail;
	r->prog.ring_bytes = r->status.ring_bytes;
	r->prog.card_bytes = r->card_words * 4;
	r->prog.card_total = r->card_total_words * 4;
	r->prog.loops++;
	pthread_mutex_unlock(&r->plock);
}

static void desync(struct rec *r)
{
	char why[300] = "";
	int64_t skipped = r->src->ops->resync(r->src, why, sizeof(why));

	r->desyncs++;
	if (skipped > 0)
		r->desync_bytes += (uint64_t)skipped;
	for (char *c = why; *c; c++)
		if (*c == ',' || *c == '\n')
			*c = ';';
	line(r, "gaps.csv", gaps_head, "stream,0,0,desync %s,0,%" PRIu64 ",%" PRIu64 "\n", why,
	     r->last_clock, now_ns());
}

/* All frames there are now. */
static void drain(struct rec *r)
{
	struct onidev_frame f;
	unsigned int n = 0;
	int ret;

	for (;;) {
		ret = r->src->ops->next(r->src, &f);
		if (ret < 0 && errno == EPROTO) {
			desync(r);
			continue;
		}
		if (ret <= 0)
			break;
		take(r, &f);
		if (++n % RELEASE_EVERY == 0)
			r->src->ops->release(r->src);
	}
	r->src->ops->release(r->src);
}

/* true: the stream has ended, r->end and r->end_errno say how. */
static bool ended(struct rec *r, int wait, int error)
{
	if (wait == ONIDEV_WAIT_END) {
		r->end = REC_STOPPED;
	} else if (wait < 0 && error != EINTR) {
		r->end = error == ENODEV ? REC_GONE : REC_FAULT;
		r->end_errno = error;
	} else if (wait == ONIDEV_WAIT_TIMEOUT && atomic_load(&r->give_up)) {
		r->end = REC_FAULT;
		r->end_errno = ETIMEDOUT;
	} else {
		return false;
	}
	return true;
}

static void check_limits(struct rec *r)
{
	if (r->cfg.seconds > 0 && (double)r->last_clock >= r->cfg.seconds * r->cfg.acq_hz)
		atomic_store(&r->want_stop, true);
	if (r->cfg.max_bytes && atomic_load(&r->written) >= r->cfg.max_bytes)
		atomic_store(&r->want_stop, true);
}

/* Only where somebody has said so (LimitRTPRIO of the service), not for any root. */
static void ask_for_priority(struct rec *r)
{
	struct sched_param p = { .sched_priority = REALTIME_PRIORITY };
	struct rlimit limit;

	if (getrlimit(RLIMIT_RTPRIO, &limit) || limit.rlim_cur < REALTIME_PRIORITY)
		return;
	r->realtime = !pthread_setschedparam(pthread_self(), SCHED_FIFO, &p);
}

void *reader_main(void *arg)
{
	struct rec *r = arg;
	bool end;

	ask_for_priority(r);
	do {
		int wait = r->src->ops->wait(r->src, WAIT_MS);
		int error = errno;
		uint64_t now;

		take_events(r);
		drain(r);
		r->src->ops->status(r->src, &r->status);
		now = now_ns();
		post_triggers(r, now);
		if (now - r->flushed_ns >= (uint64_t)(CHUNK_SECONDS * 1e9)) {
			update_fit(r, now);
			flush_all(r);
			r->flushed_ns = now;
		}
		check_limits(r);
		publish_progress(r);
		end = ended(r, wait, error);
	} while (!end);
	take_events(r);
	drain(r);
	take_events(r);
	post_triggers(r, UINT64_MAX);
	r->src->ops->status(r->src, &r->status);
	r->fit_ns = 0;
	update_fit(r, now_ns());
	flush_all(r);
	if (r->detector_up)
		queue_put(&r->to_detector, &detector_end);
	pthread_mutex_lock(&r->plock);
	r->prog.ended = true;
	pthread_mutex_unlock(&r->plock);
	return NULL;
}
