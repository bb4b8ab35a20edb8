// SPDX-License-Identifier: MIT
/*
 * monitor.c - look at a running recording with libonidev, and keep the books.
 *
 * A monitor is not waited for. It is told exactly what it missed, so at any time
 * frames + lost + skipped = position - first; this program counts and compares.
 */
#include <onidev.h>

#include "example.h"

static uint64_t frame_bytes, frames, lost;

static void take_all(struct onidev_stream *m)
{
	struct onidev_frame frame;
	int rc;

	while ((rc = onidev_frame_next(m, &frame))) {
		if (rc == 1) {
			/* frame.sample is a copy: it cannot be overwritten. */
			frames++;
			frame_bytes += frame.wire;
		} else if (errno == EOVERFLOW) {
			lost += onidev_stream_lost(m, NULL);
		} else {
			die("read a frame");
		}
	}
	onidev_stream_release(m);
}

int main(int argc, char **argv)
{
	static const struct onidev_stream_config config = { .watermark_bytes = 65536,
							    .latency_us = 50000 };
	struct onidev_stream_status s;
	struct onidev_controller *ctl;
	struct onidev_table *table;
	struct onidev_stream *m;
	double seconds = 2, end;
	int i, w = 0, exact;

	i = options(argc, argv, "[CONTROLLER]",
		    "Look at what another program reads from CONTROLLER (first).", &seconds);
	ctl = onidev_controller_open(i < argc ? argv[i] : "first", ONIDEV_OPEN_RDONLY);
	if (!ctl)
		die("open the controller");
	m = onidev_monitor_create(ctl, &config);
	if (!m) {
		fprintf(stderr, "monitor: %s\n", onidev_explain(ONIDEV_OP_MONITOR_CREATE, errno));
		return 1;
	}
	table = onidev_controller_table(ctl);
	if (!table || onidev_stream_set_table(m, table) < 0)
		die("read the device table");
	onidev_stream_status(m, &s);
	printf("monitor: looking\n");
	fflush(stdout);

	for (end = now() + seconds; now() < end && w != ONIDEV_WAIT_END;) {
		w = onidev_stream_wait(m, 100);
		if (w == ONIDEV_WAIT_DATA)
			take_all(m);
		else if (w < 0 && errno != EINTR)
			die("wait");
	}
	onidev_stream_status(m, &s);
	exact = frame_bytes + lost + s.skipped_bytes == s.position - s.first &&
		lost == s.lost_bytes;
	printf("monitor: %llu frames, %llu bytes, %llu lost, %llu skipped, first %llu, "
	       "position %llu, head %llu, %s, books %s\n", (unsigned long long)frames,
	       (unsigned long long)frame_bytes, (unsigned long long)lost,
	       (unsigned long long)s.skipped_bytes, (unsigned long long)s.first,
	       (unsigned long long)s.position, (unsigned long long)s.head,
	       w == ONIDEV_WAIT_END ? "ended" : "running", exact ? "balanced" : "WRONG");
	onidev_stream_free(m);
	onidev_table_free(table);
	onidev_controller_close(ctl);
	return !exact;
}
