// SPDX-License-Identifier: MIT
/*
 * rec.c - makes and ends a recorder: lays out the streams for the devices, starts
 * the threads of rec.h, joins them in the order of the data flow, writes the
 * last meta.json.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rec_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum rec_sink rec_sink_of(uint32_t id)
{
	switch (id) {
	case ONIDEV_ID_RHD2164:
		return REC_RHD2164;
	case ONIDEV_ID_ANALOG_IO:
		return REC_ANALOG;
	case ONIDEV_ID_DIGITAL_IO:
		return REC_DIGITAL;
	case ONIDEV_ID_MEMORY_MONITOR:
		return REC_MEMORY;
	case ONIDEV_ID_LOAD_TESTER:
		return REC_COUNTED;
	default:
		return REC_OTHER;
	}
}

static const char *hub_label(uint32_t addr, char buf[16])
{
	uint32_t hub = ONIDEV_HUB(addr);

	if (!hub)
		return "Breakout";
	if (hub <= 2)
		snprintf(buf, 16, "Port%c", 'A' + (int)hub - 1);
	else
		snprintf(buf, 16, "Hub%u", hub & 0xff);
	return buf;
}

static bool name_taken(const struct rec *r, const char *name)
{
	for (unsigned int i = 0; i < r->n_stream; i++)
		if (!strcmp(r->stream[i].desc.name, name))
			return true;
	return false;
}

/* A new stream named after where the device is. Its index. */
static int add_stream(struct rec *r, unsigned int device, const char *what)
{
	struct rec_stream *s = &r->stream[r->n_stream];
	const struct rec_device *d = &r->dev[device].d;
	const char *hub;
	char buf[16];

	if (r->n_stream == OEB_MAX_STREAMS)
		return -1;
	hub = hub_label(d->addr, buf);
	snprintf(s->desc.name, sizeof(s->desc.name), "%s-%s", hub, what);
	if (name_taken(r, s->desc.name))
		snprintf(s->desc.name, sizeof(s->desc.name), "%s-%s-%x", hub, what, d->addr);
	s->device = device;
	s->spike_base = -1;
	s->desc.rate_hz = d->rate_hz;
	s->rows = (uint32_t)(d->rate_hz * CHUNK_SECONDS) + 1;
	return (int)r->n_stream++;
}

static int add_rhd2164(struct rec *r, unsigned int device)
{
	struct rec_dev *d = &r->dev[device];
	struct oeb_stream *s;

	d->stream = add_stream(r, device, "Rhd2164");
	if (d->stream < 0)
		return -1;
	s = &r->stream[d->stream].desc;
	strcpy(s->prefix, "CH");
	strcpy(s->units, "uV");
	s->channels = ONIDEV_RHD2164_CHANNELS;
	s->bit_volts = ONIDEV_RHD_UV_PER_CODE;
	s->type = OEB_ELECTRODE;
	snprintf(s->description, sizeof(s->description), "RHD2164 amplifier, value = code - 32768");
	if (r->main_stream < 0)
		r->main_stream = d->stream;
	if (r->cfg.detect) {
		r->stream[d->stream].spike_base = (int)r->spike_channels;
		r->spike_channels += s->channels;
	}
	if (!r->cfg.aux)
		return 0;
	d->aux = add_stream(r, device, "Rhd2164Aux");
	if (d->aux < 0)
		return -1;
	s = &r->stream[d->aux].desc;
	strcpy(s->prefix, "AUX");
	strcpy(s->units, "V");
	s->channels = ONIDEV_RHD2164_AUX;
	s->bit_volts = ONIDEV_RHD_AUX_V_PER_CODE;
	s->type = OEB_AUX;
	snprintf(s->description, sizeof(s->description),
		 "RHD2164 auxiliary input, value = code - 32768: add 1.2255232 V");
	return 0;
}

static int add_analog(struct rec *r, unsigned int device)
{
	struct rec_dev *d = &r->dev[device];
	struct oeb_stream *s;

	d->stream = add_stream(r, device, "AnalogIO");
	if (d->stream < 0)
		return -1;
	s = &r->stream[d->stream].desc;
	strcpy(s->prefix, "AI");
	strcpy(s->units, "V");
	s->channels = ONIDEV_ANALOG_CHANNELS;
	s->bit_volts = d->d.volts_per_code[0];
	memcpy(s->scale, d->d.volts_per_code, sizeof(d->d.volts_per_code));
	s->type = OEB_ADC;
	snprintf(s->description, sizeof(s->description), "breakout board analog input");
	return 0;
}

static int layout(struct rec *r, const struct rec_device *devices, unsigned int n)
{
	if (n > REC_MAX_DEVICES) {
		errno = E2BIG;
		return -1;
	}
	r->main_stream = -1;
	r->n_dev = n;
	for (unsigned int i = 0; i < n; i++) {
		struct rec_dev *d = &r->dev[i];
		int ret = 0;

		d->d = devices[i];
		d->stream = d->aux = -1;
		d->period = d->d.rate_hz > 0 && d->d.hub_hz > 0 ? d->d.hub_hz / d->d.rate_hz : 0;
		r->by_addr[d->d.addr & 0xffff] = (uint8_t)(i + 1);
		if (d->d.sink == REC_RHD2164)
			ret = add_rhd2164(r, i);
		else if (d->d.sink == REC_ANALOG)
			ret = add_analog(r, i);
		if (ret) {
			errno = E2BIG;
			return -1;
		}
	}
	if (r->main_stream < 0 && r->n_stream)
		r->main_stream = 0;
	snprintf(r->event_stream, sizeof(r->event_stream), "%s",
		 r->main_stream < 0 ? "Breakout" : r->stream[r->main_stream].desc.name);
	r->event_rate = r->main_stream < 0 ? (double)r->cfg.acq_hz
					   : r->stream[r->main_stream].desc.rate_hz;
	return 0;
}

static int thread(pthread_t *t, bool *up, void *(*fn)(void *), struct rec *r, const char *name)
{
	int ret = pthread_create(t, NULL, fn, r);

	if (ret) {
		errno = ret;
		return -1;
	}
	*up = true;
	pthread_setname_np(*t, name);
	return 0;
}

struct rec *rec_open(const struct rec_config *cfg, struct source *src,
		     const struct rec_device *devices, unsigned int n_devices,
		     char *err, size_t errlen)
{
	struct rec *r = calloc(1, sizeof(*r));
	struct timespec real;
	char ignored[400];
	int error;

	if (!r) {
		snprintf(err, errlen, "not enough memory for the recorder");
		return NULL;
	}
	r->cfg = *cfg;
	r->src = src;
	snprintf(r->session, sizeof(r->session), "%s", cfg->session);
	r->cfg.session = r->session;
	r->cfg.about = json_incref(cfg->about);
	clock_gettime(CLOCK_REALTIME, &real);
	r->start_real_ns = (uint64_t)real.tv_sec * 1000000000u + (uint64_t)real.tv_nsec;
	r->start_mono_ns = now_ns();
	pthread_mutex_init(&r->plock, NULL);
	snprintf(err, errlen, "cannot make the recorder");
	if (layout(r, devices, n_devices) || pool_init(r) ||
	    queue_init(&r->to_writer, QUEUE_ENTRIES) ||
	    queue_init(&r->to_detector, QUEUE_ENTRIES) || detector_open(r) ||
	    writer_open(r, err, errlen)) {
		error = errno;
		rec_finish(r, ignored, sizeof(ignored));
		rec_free(r);
		errno = error;
		return NULL;
	}
	return r;
}

int rec_run(struct rec *r)
{
	if (thread(&r->writer, &r->writer_up, writer_main, r, "onirec-write"))
		return -1;
	if (r->n_det && thread(&r->detector, &r->detector_up, detector_main, r, "onirec-detect"))
		return -1;
	return thread(&r->reader, &r->reader_up, reader_main, r, "onirec-read");
}

void rec_progress(struct rec *r, struct rec_progress *p)
{
	pthread_mutex_lock(&r->plock);
	*p = r->prog;
	pthread_mutex_unlock(&r->plock);
	p->spikes = atomic_load(&r->spikes);
	p->bytes_written = atomic_load(&r->written);
	p->want_stop = atomic_load(&r->want_stop);
}

void rec_give_up(struct rec *r)
{
	atomic_store(&r->give_up, true);
}

static void join_threads(struct rec *r)
{
	struct msg *end = calloc(1, sizeof(*end));

	if (r->reader_up)
		pthread_join(r->reader, NULL);
	if (r->detector_up) {
		if (!r->reader_up)
			queue_put(&r->to_detector, &detector_end);
		pthread_join(r->detector, NULL);
	}
	if (r->writer_up && end) {
		end->type = MSG_END;
		queue_put(&r->to_writer, end);
		pthread_join(r->writer, NULL);
	} else {
		free(end);
	}
	r->reader_up = r->detector_up = r->writer_up = false;
}

static const char *const reasons[] = {
	[REC_RUNNING] = "failed to start",
	[REC_STOPPED] = "stopped",
	[REC_DISK] = "disk",
	[REC_GONE] = "hardware gone",
	[REC_FAULT] = "stream error",
};

static void end_text(struct rec *r, char *err, size_t errlen)
{
	switch (r->end) {
	case REC_DISK:
		snprintf(err, errlen, "%s; %.1f MB were written and load, the acquisition was "
			 "stopped; free space or record to another disk", r->disk_text,
			 (double)oeb_bytes(r->oeb) / 1e6);
		break;
	case REC_GONE:
		snprintf(err, errlen, "%s", onidev_explain(ONIDEV_OP_STREAM_READ, ENODEV));
		break;
	case REC_FAULT:
		snprintf(err, errlen, "%s", onidev_explain(ONIDEV_OP_STREAM_READ, r->end_errno));
		break;
	default:
		err[0] = '\0';
	}
}

enum rec_end rec_finish(struct rec *r, char *err, size_t errlen)
{
	char ignored[400];
	uint64_t spikes = 0, guarded = 0;

	join_threads(r);
	err[0] = '\0';
	if (!r->oeb)
		return r->end;
	if (atomic_load(&r->disk_failed))
		r->end = REC_DISK;
	for (unsigned int i = 0; i < r->n_det; i++) {
		struct spike_stats st;

		spike_get_stats(r->det[i].d, &st);
		spikes += st.spikes;
		guarded += st.guarded;
	}
	end_text(r, err, errlen);
	oeb_finish(r->oeb);
	oeb_spikes_end(r->oeb, spikes, guarded, r->spikes_dropped);
	r->summary = summary_json(r, "complete", reasons[r->end], err[0] ? err : NULL);
	if (oeb_meta(r->oeb, r->summary) && r->end == REC_STOPPED) {
		r->end = REC_DISK;
		snprintf(err, errlen, "%s", oeb_error(r->oeb));
	}
	oeb_close(r->oeb, ignored, sizeof(ignored));
	r->oeb = NULL;
	return r->end;
}

json_t *rec_summary(struct rec *r)
{
	return json_incref(r->summary);
}

const char *rec_path(struct rec *r)
{
	return r->path;
}

void rec_free(struct rec *r)
{
	for (unsigned int i = 0; i < r->n_text; i++)
		free(r->text[i].buf);
	detector_close(r);
	queue_free(&r->to_writer);
	queue_free(&r->to_detector);
	pool_free(r);
	pthread_mutex_destroy(&r->plock);
	json_decref(r->cfg.about);
	json_decref(r->summary);
	free(r);
}
