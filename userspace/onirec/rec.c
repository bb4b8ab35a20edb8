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
	case ONIDEV_ID_RHYTHM:
		return REC_RHYTHM;
	case ONIDEV_ID_RHS2116:
		return REC_RHS2116;
	case ONIDEV_ID_RHS2116_TRIGGER:
		return REC_TRIGGER;
	case ONIDEV_ID_LOAD_TESTER:
		return REC_COUNTED;
	default:
		return REC_OTHER;
	}
}

static const char *hub_label(const struct rec_device *d, char buf[16])
{
	uint32_t hub = ONIDEV_HUB(d->addr);

	if (d->sink == REC_RHYTHM)
		return "AcqBoard";
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
	hub = hub_label(d, buf);
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

/*
 * The DC amplifiers show the voltage at the contacts while current flows: whether a
 * pulse was inside the compliance. Channel 17 is the mask of channels in recovery.
 */
static int add_rhs2116_dc(struct rec *r, unsigned int device)
{
	struct rec_dev *d = &r->dev[device];
	struct oeb_stream *s;

	d->aux = add_stream(r, device, "Rhs2116Dc");
	if (d->aux < 0)
		return -1;
	s = &r->stream[d->aux].desc;
	strcpy(s->prefix, "DC");
	strcpy(s->units, "uV");
	s->channels = REC_RHS2116_CHANNELS + 1;
	s->bit_volts = 1;
	for (int i = 0; i < REC_RHS2116_CHANNELS; i++)
		s->scale[i] = REC_RHS2116_DC_UV;
	s->type = OEB_AUX;
	snprintf(s->description, sizeof(s->description),
		 "RHS2116 DC amplifier, value = 512 - code; 17: bit mask of channels in recovery");
	return 0;
}

static int add_rhs2116(struct rec *r, unsigned int device)
{
	struct rec_dev *d = &r->dev[device];
	struct oeb_stream *s;

	d->stream = add_stream(r, device, "Rhs2116");
	if (d->stream < 0)
		return -1;
	s = &r->stream[d->stream].desc;
	strcpy(s->prefix, "CH");
	strcpy(s->units, "uV");
	s->channels = REC_RHS2116_CHANNELS;
	s->bit_volts = ONIDEV_RHD_UV_PER_CODE;
	s->type = OEB_ELECTRODE;
	snprintf(s->description, sizeof(s->description), "RHS2116 amplifier, value = code - 32768");
	if (r->main_stream < 0)
		r->main_stream = d->stream;
	if (r->cfg.detect) {
		r->stream[d->stream].spike_base = (int)r->spike_channels;
		r->spike_channels += s->channels;
	}
	return r->cfg.aux ? add_rhs2116_dc(r, device) : 0;
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

/* Port, connector line and half of the chip for each group of @channels. */
static void name_sources(struct oeb_stream *s, const struct onidev_rhythm_layout *l,
			 unsigned int channels)
{
	s->group_channels = channels;
	for (unsigned int i = 0; i < l->streams; i++) {
		char name[4];

		snprintf(s->group[i], sizeof(s->group[i]), "port %s",
			 onidev_rhythm_source_name(l->source[i], name));
	}
	s->channels = l->streams * channels;
}

/*
 * The pass band of the detector goes with the rate; below a third of the 30 kHz that it
 * is made for there are no spikes left in it.
 */
#define LEAST_DETECT_HZ	10000

static int add_rhythm_amplifiers(struct rec *r, unsigned int device)
{
	struct rec_dev *d = &r->dev[device];
	struct oeb_stream *s;

	d->stream = add_stream(r, device, "Rhythm");
	if (d->stream < 0)
		return -1;
	s = &r->stream[d->stream].desc;
	strcpy(s->prefix, "CH");
	strcpy(s->units, "uV");
	s->bit_volts = ONIDEV_RHD_UV_PER_CODE;
	s->type = OEB_ELECTRODE;
	snprintf(s->description, sizeof(s->description), "RHD2000 amplifier, value = code - 32768");
	name_sources(s, &d->d.rhythm, ONIDEV_RHYTHM_CHANNELS);
	if (r->main_stream < 0)
		r->main_stream = d->stream;
	if (r->cfg.detect && s->rate_hz >= LEAST_DETECT_HZ) {
		r->stream[d->stream].spike_base = (int)r->spike_channels;
		r->spike_channels += s->channels;
	}
	return 0;
}

/* What they mean depends on the commands that somebody has given the chips. */
static int add_rhythm_aux(struct rec *r, unsigned int device)
{
	struct rec_dev *d = &r->dev[device];
	struct oeb_stream *s;

	d->aux = add_stream(r, device, "RhythmAux");
	if (d->aux < 0)
		return -1;
	s = &r->stream[d->aux].desc;
	strcpy(s->prefix, "AUX");
	strcpy(s->units, "V");
	s->bit_volts = ONIDEV_RHD_AUX_V_PER_CODE;
	s->type = OEB_AUX;
	snprintf(s->description, sizeof(s->description), "RHD2000 result of an auxiliary command "
		 "(3 each sample), value = code - 32768; of an input: add 1.2255232 V");
	name_sources(s, &d->d.rhythm, ONIDEV_RHYTHM_AUX);
	return 0;
}

static int add_rhythm_inputs(struct rec *r, unsigned int device)
{
	struct rec_dev *d = &r->dev[device];
	struct oeb_stream *s;

	d->adc = add_stream(r, device, "RhythmAnalogIn");
	if (d->adc < 0)
		return -1;
	s = &r->stream[d->adc].desc;
	strcpy(s->prefix, "AI");
	strcpy(s->units, "V");
	s->channels = ONIDEV_RHYTHM_ADCS;
	s->bit_volts = 10.0 / 65536;
	s->type = OEB_ADC;
	snprintf(s->description, sizeof(s->description), "%s",
		 d->d.board == ONIDEV_HUB_ACQ_GEN3 ?
		 "Acquisition Board analog input, value = 32767 - code: add 0.00015 V" :
		 "Acquisition Board analog input, value = code - 32768: add -0.4096 V");
	return 0;
}

static int add_rhythm(struct rec *r, unsigned int device)
{
	struct rec_dev *d = &r->dev[device];

	/* samples are numbered, so the clock is not needed to find gaps */
	d->period = 0;
	r->ttl_lines = "TTL inputs (lines 1-16), TTL outputs (17-32)";
	if (d->d.rhythm.streams && add_rhythm_amplifiers(r, device))
		return -1;
	if (d->d.rhythm.streams && r->cfg.aux && add_rhythm_aux(r, device))
		return -1;
	if (add_rhythm_inputs(r, device))
		return -1;
	if (d->stream < 0)
		d->stream = d->adc;
	return 0;
}

static int layout(struct rec *r, const struct rec_device *devices, unsigned int n)
{
	if (n > REC_MAX_DEVICES) {
		errno = E2BIG;
		return -1;
	}
	for (unsigned int i = 0; i < 256; i++)
		r->late_blanks |= r->cfg.silent[i] && r->triggers.kernel;
	r->main_stream = -1;
	r->ttl_lines = "Inputs (lines 1-8), buttons (9-14), ports D to A on (17-20)";
	r->n_dev = n;
	for (unsigned int i = 0; i < n; i++) {
		struct rec_dev *d = &r->dev[i];
		int ret = 0;

		d->d = devices[i];
		d->stream = d->aux = d->adc = -1;
		d->period = d->d.rate_hz > 0 && d->d.hub_hz > 0 ? d->d.hub_hz / d->d.rate_hz : 0;
		r->by_addr[d->d.addr & 0xffff] = (uint8_t)(i + 1);
		if (d->d.sink == REC_RHD2164)
			ret = add_rhd2164(r, i);
		else if (d->d.sink == REC_RHS2116)
			ret = add_rhs2116(r, i);
		else if (d->d.sink == REC_TRIGGER)
			r->n_trigger++;
		else if (d->d.sink == REC_ANALOG)
			ret = add_analog(r, i);
		else if (d->d.sink == REC_RHYTHM)
			ret = add_rhythm(r, i);
		if (ret) {
			errno = E2BIG;
			return -1;
		}
	}
	r->late_blanks |= r->n_trigger > 0;
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
	r->triggers.kernel = src->ops->stim_event;
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
	json_decref(r->audit_start);
	json_decref(r->audit_end);
	json_decref(r->summary);
	free(r);
}
