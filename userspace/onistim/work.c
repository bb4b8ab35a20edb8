// SPDX-License-Identifier: MIT
/* work.c - a stimulus file, the node and the headstage, as several commands need them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "node.h"
#include "onistim.h"

struct work *work_new(const char *path)
{
	struct work *w = calloc(1, sizeof(*w));
	struct problem problem;

	if (!w) {
		fail_text("out of memory");
		return NULL;
	}
	if (stimulus_read(&w->stimulus, path, &problem) == 0 &&
	    compile(&w->stimulus, &w->compiled, &problem) == 0)
		return w;
	fail_text("%s", problem.text);
	work_free(w);
	return NULL;
}

void work_free(struct work *w)
{
	if (w)
		compile_free(&w->compiled);
	free(w);
}

uint64_t work_length_ns(const struct work *w)
{
	const struct oni_stim_hs64 *h = &w->compiled.program.hs64;
	uint64_t end = 0, unit = w->compiled.reading & ONI_STIM_HS64_UNIT_10US ? 10000 : 1000;
	uint64_t pulse;

	if (w->compiled.program.kind == ONI_STIM_RHS2116) {
		for (uint32_t i = 0; i < w->compiled.nrows; i++)
			if (w->compiled.rows[i].time > end)
				end = w->compiled.rows[i].time;
		return end * ONI_STIM_PERIOD_NS;
	}
	pulse = (h->duration1 + (uint64_t)h->duration2) * 1000 + h->interphase * unit;
	/* The longer of both meanings of the register. */
	return h->delay * 1000ull +
	       h->bursts * (h->pulses * (pulse + h->interpulse * unit) + h->interburst * 1000ull);
}

void work_say_notes(const struct work *w)
{
	for (unsigned int i = 0; i < w->compiled.n_notes; i++)
		say("%s", w->compiled.notes[i]);
	if (w->compiled.more_notes)
		say("%u more notes of this kind.", w->compiled.more_notes);
}

int open_node(const char *suffix, int flags, int *rc)
{
	char name[NODE_NAME], text[400];
	int fd;

	*rc = EXIT_NO_DEVICE;
	if (node_name(settings.device, name) < 0) {
		fail_text("%s", node_open_explain(text, sizeof(text), NULL, suffix, errno));
		return -1;
	}
	fd = node_open(name, suffix, flags);
	if (fd >= 0)
		return fd;
	if (errno != ENOENT && errno != ENXIO && errno != ENODEV)
		*rc = EXIT_FAIL;
	fail_text("%s", node_open_explain(text, sizeof(text), name, suffix, errno));
	return -1;
}

uint32_t find_hub(const struct onidev_table *table, uint32_t kind, uint32_t hub, int *rc)
{
	uint32_t id = kind == ONI_STIM_HS64 ? ONIDEV_ID_HS64_ESTIM : ONIDEV_ID_RHS2116_TRIGGER;
	const char *name = kind == ONI_STIM_HS64 ? "headstage-64" : "headstage-rhs2116";
	const struct oni_device *dev;
	uint32_t found = 0;

	*rc = EXIT_NO_DEVICE;
	for (size_t n = 0; (dev = onidev_table_find_id(table, id, n)); n++) {
		if (hub && ONIDEV_HUB(dev->addr) != hub)
			continue;
		if (found) {
			*rc = EXIT_USAGE;
			fail_text("there are several of %s, at hubs %u and %u: choose with --hub", name,
				  found, ONIDEV_HUB(dev->addr));
			return 0;
		}
		found = ONIDEV_HUB(dev->addr);
	}
	if (!found && hub)
		fail_text("there is no %s at hub %u: 'onictl devices' shows what is there", name, hub);
	else if (!found)
		fail_text("there is no %s: power its port ('onictl port'), then 'onictl devices' shows "
			  "it", name);
	return found;
}
