/* SPDX-License-Identifier: MIT */
/*
 * truth_spikes.h - when the synthetic neurons really fired.
 *
 * The file has one text line per spike whose extremum was in an emitted frame:
 *   channel sample_index unit peak_uv acq_clock
 * sample_index counts samples of that amplifier since the start of the run,
 * acq_clock is the header clock of the frame. "# run N" precedes each run.
 */
#ifndef SIM_TRUTH_SPIKES_H
#define SIM_TRUTH_SPIKES_H

#include <stddef.h>
#include <stdint.h>

struct truth;

struct truth *truth_open(const char *path, char *err, size_t errlen);
void truth_close(struct truth *t);
void truth_begin_run(struct truth *t);
void truth_spike(struct truth *t, unsigned int channel, uint64_t index, unsigned int unit,
		 double peak_uv, uint64_t acq_clock);
/* 0, or -1 when some of the file could not be written. */
int truth_flush(struct truth *t);

#endif
