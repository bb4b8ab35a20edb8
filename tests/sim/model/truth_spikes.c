// SPDX-License-Identifier: MIT
/*
 * truth_spikes.c - writes the spike truth file (format in truth_spikes.h).
 *
 * Owns the file. A process may make several models one after the other (one
 * per time the card is plugged in); they continue the same file and the same
 * numbering of runs, while a file left by an earlier process is emptied.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model_priv.h"
#include "truth_spikes.h"

static struct {
	dev_t dev;
	ino_t ino;
	int used;
	unsigned long runs;
} mine;

struct truth {
	FILE *f;
};

static const char header[] = "# channel sample_index unit peak_uv acq_clock\n";

static int truth_prepare(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	/* Inode numbers are reused; an empty file is never the one we wrote. */
	if (mine.used && st.st_dev == mine.dev && st.st_ino == mine.ino && st.st_size)
		return 0;
	mine.dev = st.st_dev;
	mine.ino = st.st_ino;
	mine.used = 1;
	mine.runs = 0;
	if (S_ISREG(st.st_mode) && ftruncate(fd, 0) < 0)
		return -1;
	if (write(fd, header, sizeof(header) - 1) != sizeof(header) - 1)
		return -1;
	return 0;
}

struct truth *truth_open(const char *path, char *err, size_t errlen)
{
	struct truth *t = malloc(sizeof(*t));
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (!t || fd < 0 || truth_prepare(fd) < 0 || !(t->f = fdopen(fd, "a"))) {
		model_error(err, errlen, "spike-truth file %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		free(t);
		return NULL;
	}
	return t;
}

void truth_close(struct truth *t)
{
	if (!t)
		return;
	fclose(t->f);
	free(t);
}

void truth_begin_run(struct truth *t)
{
	if (t)
		fprintf(t->f, "# run %lu\n", ++mine.runs);
}

void truth_spike(struct truth *t, unsigned int channel, uint64_t index, unsigned int unit,
		 double peak_uv, uint64_t acq_clock)
{
	if (t)
		fprintf(t->f, "%u %llu %u %.1f %llu\n", channel, (unsigned long long)index, unit,
			peak_uv, (unsigned long long)acq_clock);
}

int truth_flush(struct truth *t)
{
	if (!t)
		return 0;
	return fflush(t->f) == EOF || ferror(t->f) ? -1 : 0;
}
