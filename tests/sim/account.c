// SPDX-License-Identifier: MIT
/* account.c - see account.h. */
#include "account.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int account_open(struct account *t, const char *path, const struct fifo *fifo,
	       const struct controller *ctl, const struct violations *viol)
{
	memset(t, 0, sizeof(*t));
	t->fifo = fifo;
	t->ctl = ctl;
	t->viol = viol;
	if (!path)
		return 0;
	t->out = fopen(path, "w");
	return t->out ? 0 : -errno;
}

void account_close(struct account *t)
{
	if (t->out)
		fclose(t->out);
	t->out = NULL;
}

void account_begin(struct account *t)
{
	const struct fifo_device *d;
	unsigned int i;

	for (i = 0; i < t->fifo->devices; i++) {
		d = &t->fifo->dev[i];
		t->base[i].produced = d->produced;
		t->base[i].delivered = d->delivered;
		t->base[i].discarded = d->discarded;
		t->base[i].lost = d->lost;
		t->base[i].held = fifo_held(d);
	}
	t->blocks = t->ctl->stats.blocks;
	t->bytes = t->ctl->stats.bytes;
}

static void write_device(FILE *out, const struct fifo_device *d,
			 const struct account_base *b)
{
	fprintf(out, "{\"addr\":%" PRIu32 ",\"id\":%" PRIu32 ",\"produced\":%" PRIu64
		",\"carried\":%" PRIu64 ",\"delivered\":%" PRIu64 ",\"left\":%" PRIu64
		",\"lost\":%" PRIu64 ",\"first_clock\":%" PRIu64 ",\"last_clock\":%" PRIu64 "}",
		d->addr, d->id, d->produced - b->produced, b->held,
		d->delivered - b->delivered,
		fifo_held(d) + d->discarded - b->discarded, d->lost - b->lost,
		d->first_clock, d->last_clock);
}

void account_write(struct account *t, const char *reason)
{
	const char *sep = "";
	unsigned int i;

	if (!t->out)
		return;
	fprintf(t->out, "{\"run\":%" PRIu64 ",\"reason\":\"%s\",\"devices\":[",
		t->ctl->run, reason);
	for (i = 0; i < t->fifo->devices; i++) {
		if (i)
			fputc(',', t->out);
		write_device(t->out, &t->fifo->dev[i], &t->base[i]);
	}
	fprintf(t->out, "],\"blocks\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"violations\":{",
		t->ctl->stats.blocks - t->blocks, t->ctl->stats.bytes - t->bytes);
	for (i = 0; i < VIOLATION_KINDS; i++) {
		if (!t->viol->count[i])
			continue;
		fprintf(t->out, "%s\"%s\":%" PRIu64, sep, violation_name(i),
			t->viol->count[i]);
		sep = ",";
	}
	fputs("}}\n", t->out);
	fflush(t->out);
}
