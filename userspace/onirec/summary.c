// SPDX-License-Identifier: MIT
/*
 * summary.c - meta.json: fixed facts when a recording begins, all counters at its
 * end. The same object is what `onirec --json` prints. Read-only; called by the
 * thread that owns the files at that time.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rec_priv.h"

#include <stdio.h>

static const char *const sinks[] = {
	[REC_COUNTED] = "counted",
	[REC_RHD2164] = "continuous",
	[REC_ANALOG] = "continuous",
	[REC_DIGITAL] = "ttl",
	[REC_MEMORY] = "buffer.csv",
	[REC_RHS2116] = "continuous",
	[REC_TRIGGER] = "stimulation",
	[REC_RHYTHM] = "continuous",
	[REC_OTHER] = "frames.csv",
};

static json_t *num(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static uint64_t rows_of(const struct rec *r, unsigned int s)
{
	return r->rows_before[s] + (r->oeb ? oeb_rows(r->oeb, s) : 0);
}

/* Frames of a device that are in files: after a failed write less than were read. */
static uint64_t recorded(const struct rec *r, const struct rec_dev *d)
{
	uint64_t rows;

	if (d->stream < 0)
		return d->recorded;
	rows = rows_of(r, (unsigned int)d->stream);
	return rows < d->recorded ? rows : d->recorded;
}

static json_t *devices_json(const struct rec *r)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < r->n_dev; i++) {
		const struct rec_dev *d = &r->dev[i];
		json_t *j = json_pack("{s:i, s:i, s:s, s:s, s:f, s:f}", "addr", (int)d->d.addr,
				      "id", (int)d->d.id, "name", d->d.name, "recorded_as",
				      sinks[d->d.sink], "rate_hz", d->d.rate_hz, "hub_clock_hz",
				      d->d.hub_hz);

		json_object_set_new(j, "frames", num(d->frames));
		json_object_set_new(j, "recorded", num(recorded(r, d)));
		json_object_set_new(j, "lost", num(d->lost));
		json_object_set_new(j, "gaps", num(d->gaps));
		json_object_set_new(j, "hub_clock_steps_back", num(d->backward));
		json_object_set_new(j, "damaged", num(d->damaged));
		json_object_set_new(j, "bytes", num(d->bytes));
		json_object_set_new(j, "first_clock", num(d->first_clock));
		json_object_set_new(j, "last_clock", num(d->last_clock));
		json_object_set_new(j, "first_hub_clock", num(d->first_hub));
		json_object_set_new(j, "last_hub_clock", num(d->last_hub));
		json_array_append_new(list, j);
	}
	return list;
}

/* Where groups of neighbouring channels come from, in order. */
static json_t *sources_json(const struct oeb_stream *s)
{
	json_t *list = json_array();

	for (unsigned int g = 0; g < s->channels / s->group_channels; g++)
		json_array_append_new(list, json_string(s->group[g]));
	return list;
}

static json_t *streams_json(const struct rec *r, bool counters)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < r->n_stream; i++) {
		const struct rec_stream *s = &r->stream[i];
		json_t *j = json_pack("{s:s, s:i, s:i, s:f, s:f, s:s}", "name", s->desc.name,
				      "device", (int)r->dev[s->device].d.addr, "channels",
				      (int)s->desc.channels, "rate_hz", s->desc.rate_hz,
				      "bit_volts", s->desc.bit_volts, "units", s->desc.units);

		if (s->desc.group_channels)
			json_object_set_new(j, "sources", sources_json(&s->desc));
		if (counters) {
			json_object_set_new(j, "first_sample", num(s->first));
			json_object_set_new(j, "rows", num(rows_of(r, i)));
			json_object_set_new(j, "zero_filled", num(s->zero_rows));
		}
		json_array_append_new(list, j);
	}
	return list;
}

json_t *summary_head(struct rec *r, const char *state)
{
	json_t *j = json_object();

	json_object_set_new(j, "format", json_string("onirec meta 1"));
	json_object_set_new(j, "state", json_string(state));
	json_object_set_new(j, "session", json_string(r->session));
	json_object_set_new(j, "started_realtime_ns", num(r->start_real_ns));
	json_object_set_new(j, "started_monotonic_ns", num(r->start_mono_ns));
	json_object_set_new(j, "acquisition_clock_hz", num(r->cfg.acq_hz));
	json_object_set_new(j, "timestamps", json_string("seconds of the acquisition clock; "
			    "clock.* takes them to CLOCK_MONOTONIC"));
	json_object_set_new(j, "streams", streams_json(r, false));
	if (r->cfg.about)
		json_object_set(j, "about", r->cfg.about);
	json_object_set_new(j, "audit", json_pack("{s:O?, s:O?}", "start", r->audit_start, "end",
						  r->audit_end));
	return j;
}

static json_t *stream_counters(const struct rec *r)
{
	const struct onidev_stream_status *s = &r->status;
	json_t *j = json_object();

	json_object_set_new(j, "bytes", num(s->position));
	json_object_set_new(j, "published_bytes", num(s->head));
	json_object_set_new(j, "blocks", num(s->blocks));
	json_object_set_new(j, "short_blocks", num(s->short_blocks));
	json_object_set_new(j, "block_bytes", num(s->block_bytes));
	json_object_set_new(j, "frames", num(r->frames));
	json_object_set_new(j, "unknown_frames", num(r->unknown));
	json_object_set_new(j, "desyncs", num(r->desyncs));
	json_object_set_new(j, "desync_bytes", num(r->desync_bytes));
	json_object_set_new(j, "ring_bytes", num(s->ring_bytes));
	json_object_set_new(j, "ring_peak_bytes", num(s->peak_bytes));
	json_object_set_new(j, "ring_full_events", num(s->full_events));
	json_object_set_new(j, "ring_full_ns", num(s->full_ns));
	json_object_set_new(j, "wakeups", num(s->wakeups));
	json_object_set_new(j, "reader_realtime", json_boolean(r->realtime));
	return j;
}

static json_t *spikes_json(const struct rec *r)
{
	json_t *j = json_object(), *count = json_array(), *sigma = json_array();
	struct spike_stats sum = { 0 };

	for (unsigned int i = 0; i < r->n_det; i++) {
		const struct oeb_stream *desc = &r->stream[r->det[i].stream].desc;
		struct spike_stats st;

		spike_get_stats(r->det[i].d, &st);
		sum.frames += st.frames;
		sum.spikes += st.spikes;
		sum.guarded += st.guarded;
		sum.restarts += st.restarts;
		sum.blanked += st.blanked;
		sum.blanks += st.blanks;
		sum.late += st.late;
		for (unsigned int c = 0; c < desc->channels; c++) {
			json_array_append_new(count, num(spike_count(r->det[i].d, c)));
			json_array_append_new(sigma, json_real(spike_sigma(r->det[i].d, c) *
							       desc->bit_volts));
		}
	}
	json_object_set_new(j, "found", num(sum.spikes));
	json_object_set_new(j, "recorded", num(sum.spikes - r->spikes_dropped));
	json_object_set_new(j, "dropped", num(r->spikes_dropped));
	json_object_set_new(j, "guarded", num(sum.guarded));
	json_object_set_new(j, "frames_searched", num(sum.frames - sum.blanked));
	json_object_set_new(j, "frames_not_searched", num(r->unsearched));
	json_object_set_new(j, "frames_blanked", num(sum.blanked));
	json_object_set_new(j, "blanks", num(sum.blanks));
	json_object_set_new(j, "frames_blanked_too_late", num(sum.late));
	json_object_set_new(j, "restarts", num(sum.restarts));
	json_object_set_new(j, "k", json_real(r->cfg.k));
	json_object_set_new(j, "fixed_uv", json_real(r->cfg.fixed_uv));
	json_object_set_new(j, "per_channel", count);
	json_object_set_new(j, "sigma_uv", sigma);
	return j;
}

/* Programs that were seen, and how long they are taken to be: see trigger_program_us(). */
static json_t *programs_json(const struct rec *r)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < r->triggers.programs; i++) {
		const struct trigger_program *p = &r->triggers.program[i];
		double us = trigger_program_us(p, r->cfg.trains, r->cfg.n_trains);
		char hex[TRIGGER_HASH_HEX + 1];
		json_t *j;

		trigger_hex(p->hash, hex);
		j = json_pack("{s:s, s:i}", "hash", hex, "hub", (int)p->hub);
		json_object_set_new(j, "loads", num(p->loads));
		json_object_set_new(j, "triggers", num(p->triggers));
		json_object_set_new(j, "kernel_ns", p->length_ns ? num(p->length_ns) : json_null());
		json_object_set_new(j, "train_us", us < 0 ? json_null() : json_real(us));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *stimulation_json(const struct rec *r)
{
	static const char *const blanks[] = { "headstage", "all", "none" };
	json_t *j = json_pack("{s:i, s:b, s:s, s:f, s:f, s:f, s:f, s:o}", "devices", (int)r->n_trigger,
			      "kernel_events", r->triggers.seq > 0, "blank", blanks[r->cfg.blank],
			      "blank_pre_us", r->cfg.blank_pre_us, "blank_post_us",
			      r->cfg.blank_post_us, "train_us", r->cfg.train_us, "fire_us",
			      r->cfg.fire_us, "programs", programs_json(r));

	json_object_set_new(j, "triggers", num(r->triggers_seen));
	json_object_set_new(j, "trains_commanded", num(r->triggers_commanded));
	json_object_set_new(j, "triggers_of_unknown_programs", num(r->triggers_unknown));
	json_object_set_new(j, "trains_of_unknown_length", num(r->triggers.guessed));
	json_object_set_new(j, "kernel_events_missed", num(r->triggers.missed));
	json_object_set_new(j, "blanks_lost", num(r->blanks_lost));
	return j;
}

static json_t *clock_json(const struct rec *r)
{
	const struct onidev_clock_fit *f = &r->fit;
	json_t *j;

	if (!r->have_fit)
		return json_null();
	j = json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "ns_per_tick", f->ns_per_tick, "ppm",
		      f->ppm, "ppm_error", f->ppm_error, "jitter_p50_ns", f->jitter_p50_ns,
		      "jitter_p99_ns", f->jitter_p99_ns, "span_s", f->span_s);
	json_object_set_new(j, "ticks0", num(f->ticks0));
	json_object_set_new(j, "mono0_ns", num(f->mono0_ns));
	json_object_set_new(j, "pairs", num(f->pairs));
	json_object_set_new(j, "realtime_minus_monotonic_ns",
			    json_integer(onidev_clock_real_offset()));
	return j;
}

static json_t *disk_json(struct rec *r)
{
	json_t *j = json_object();

	json_object_set_new(j, "bytes", num(r->oeb ? oeb_bytes(r->oeb) : 0));
	json_object_set_new(j, "commits", num(r->commits));
	json_object_set_new(j, "longest_commit_ns", num(r->longest_commit_ns));
	json_object_set_new(j, "buffer_bytes", num(r->pool.limit));
	json_object_set_new(j, "buffer_peak_bytes", num(r->pool.peak));
	json_object_set_new(j, "reader_waits", num(r->pool.waits));
	json_object_set_new(j, "reader_wait_ns", num(r->pool.wait_ns));
	json_object_set_new(j, "queue_peak", num(queue_peak(&r->to_writer)));
	json_object_set_new(j, "discarded_messages", num(r->discarded));
	return j;
}

json_t *summary_json(struct rec *r, const char *state, const char *reason, const char *message)
{
	json_t *j = summary_head(r, state);

	json_object_set_new(j, "end", json_pack("{s:s?, s:s?}", "reason", reason, "message",
						message));
	json_object_set_new(j, "recording", json_string(r->path));
	json_object_set_new(j, "recordings", num(r->recordings));
	json_object_set_new(j, "seconds", json_real((double)r->last_clock / r->cfg.acq_hz));
	json_object_set_new(j, "devices", devices_json(r));
	json_object_set_new(j, "streams", streams_json(r, true));
	json_object_set_new(j, "stream", stream_counters(r));
	json_object_set_new(j, "card", json_pack("{s:o, s:o}", "total_bytes",
						 num(r->card_total_words * 4), "peak_bytes",
						 num(r->card_peak_words * 4)));
	json_object_set_new(j, "spikes", spikes_json(r));
	json_object_set_new(j, "stimulation", stimulation_json(r));
	json_object_set_new(j, "clock", clock_json(r));
	json_object_set_new(j, "disk", disk_json(r));
	return j;
}
