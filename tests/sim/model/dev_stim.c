// SPDX-License-Identifier: MIT
/*
 * dev_stim.c - what all stimulators have in common: accounts of writes, the GPO
 * line of a port, signals from outside.
 *
 * Every write to a stimulator is recorded in m->stim, and so is every trigger that
 * found one armed, so that a test can tell what reached the hardware. What
 * came out is in the log of the card (stim_log.h).
 */
#include <string.h>

#include "model_priv.h"

void stim_wrote(struct dev *d, unsigned int i)
{
	struct stim_seen *s = &d->m->stim;

	s->writes++;
	s->addr = d->addr;
	s->reg = d->class->regs[i].reg;
	s->value = d->val[i];
}

void stim_status(const struct dev *d, FILE *out, const char *prefix)
{
	fprintf(out, "%sstim.0x%03x.writes %llu\n", prefix, d->addr,
		(unsigned long long)d->reg_writes);
}

void stim_gpo_trigger(struct hub *h)
{
	unsigned int i;

	if (!h->reachable)
		return;
	for (i = 0; i < h->ndevs; i++)
		if (h->devs[i] && h->devs[i]->class->gpo)
			h->devs[i]->class->gpo(h->devs[i]);
}

static const struct {
	const char *name;
	void (*act)(struct dev *trigger);
} stim_commands[] = {
	{ "gpio", rhs_ttl_gpio }, { "sync", rhs_ttl_sync },
	{ "silent", rhs_trigger_silent }, { "seqerror", rhs_seqerror },
};

/* A TTL at the headstage needs power, but no link and no host; so do its defects. */
int stim_command(struct model *m, const char *what, const char *port, char *err, size_t errlen)
{
	unsigned int i, c, n = (unsigned int)(port[0] - 'a');
	struct hub *h;

	for (c = 0; c < ARRAY_LEN(stim_commands); c++)
		if (!strcmp(what, stim_commands[c].name))
			break;
	if (c == ARRAY_LEN(stim_commands) || n >= PORTS || port[1])
		return model_error(err, errlen, "use: stim gpio|sync|silent|seqerror a|b");
	h = &m->hubs[1 + n];
	for (i = 0; i < h->ndevs; i++) {
		if (!h->devs[i] || h->devs[i]->class != &class_rhs_trigger)
			continue;
		if (!port_headstage_tenths(h))
			return model_error(err, errlen, "port %s has no power", port);
		stim_commands[c].act(h->devs[i]);
		return 0;
	}
	return model_error(err, errlen, "port %s has no trigger input", port);
}
