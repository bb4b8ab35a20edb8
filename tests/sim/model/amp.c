// SPDX-License-Identifier: MIT
/* amp.c - see amp.h. One thread at a time (model.h). */
#include <stdlib.h>

#include "amp.h"
#include "truth_spikes.h"

int amp_open(struct amp *a, struct model *m, unsigned int first, unsigned int channels)
{
	if (a->feeds)
		return 0;
	a->m = m;
	a->first = first;
	a->channels = channels;
	a->block = calloc(channels, sizeof(*a->block));
	a->feeds = calloc(channels, sizeof(*a->feeds));
	if (a->block && a->feeds)
		return 0;
	amp_release(a);
	return -1;
}

int amp_use(struct amp *a, unsigned int ch)
{
	unsigned int n = a->first + ch;
	struct source *s = a->m->sources[n];

	if (!a->feeds[ch])
		a->feeds[ch] = s->kind->open(s, n, s->nth[n], a->m->cfg.seed);
	return a->feeds[ch] ? 0 : -1;
}

void amp_rewind(struct amp *a)
{
	unsigned int ch;

	a->npending = 0;
	a->next_spike = UINT64_MAX;
	for (ch = 0; a->feeds && ch < a->channels; ch++)
		if (a->feeds[ch])
			a->feeds[ch]->source->kind->rewind(a->feeds[ch]);
}

static void note_spike(void *ctx, uint64_t index, unsigned int unit, double peak_uv)
{
	struct amp *a = ctx;
	struct amp_spike *p;

	if (a->npending == AMP_MAX_PENDING) {
		a->spikes_unlogged++;
		return;
	}
	p = &a->pending[a->npending++];
	p->index = index;
	p->unit = unit;
	p->peak_uv = peak_uv;
	p->channel = a->first + a->rendering;
	if (index < a->next_spike)
		a->next_spike = index;
}

void amp_render(struct amp *a, uint64_t index)
{
	unsigned int ch;

	for (ch = 0; ch < a->channels; ch++) {
		struct feed *f = a->feeds[ch];

		if (!f)
			continue;
		a->rendering = ch;
		f->source->kind->render(f, index, a->block[ch], note_spike, a);
	}
}

void amp_left(struct amp *a, uint64_t index, uint64_t clock)
{
	unsigned int i = 0;

	if (index != a->next_spike)
		return;
	a->next_spike = UINT64_MAX;
	while (i < a->npending) {
		struct amp_spike *p = &a->pending[i];

		if (p->index == index) {
			truth_spike(a->m->truth, p->channel, p->index, p->unit, p->peak_uv, clock);
			*p = a->pending[--a->npending];
			continue;
		}
		if (p->index < a->next_spike)
			a->next_spike = p->index;
		i++;
	}
}

void amp_status(const struct amp *a, FILE *out, const char *prefix)
{
	unsigned int ch;

	for (ch = 0; a->feeds && ch < a->channels; ch++) {
		const struct source *s = a->m->sources[a->first + ch];

		if (!a->feeds[ch])
			continue;
		fprintf(out, "%ssource.%u %s", prefix, a->first + ch, s->kind->name);
		if (s->kind->status)
			s->kind->status(a->feeds[ch], out);
		fputc('\n', out);
	}
}

void amp_release(struct amp *a)
{
	unsigned int ch;

	for (ch = 0; a->feeds && ch < a->channels; ch++)
		if (a->feeds[ch])
			a->feeds[ch]->source->kind->close(a->feeds[ch]);
	free(a->feeds);
	free(a->block);
	a->feeds = NULL;
	a->block = NULL;
}
