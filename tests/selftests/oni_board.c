// SPDX-License-Identifier: MIT
/*
 * The boards; see oni_board.h.
 */
#define _GNU_SOURCE
#include "oni_board.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

#define SLOW_BYTES_HZ	46000u

static const struct oni_device onix_rows[] = {
	{ .addr = OT_HEARTBEAT, .id = OT_ID_HEARTBEAT, .read_size = 8 },
	{ .addr = OT_PORT_A, .id = OT_ID_PORT, .read_size = 10 },
	{ .addr = OT_PORT_B, .id = OT_ID_PORT, .read_size = 10 },
	{ .addr = OT_ANALOG_IO, .id = 22, .read_size = 32, .write_size = 24 },
	{ .addr = OT_DIGITAL_IO, .id = 18, .read_size = 12, .write_size = 4 },
	{ .addr = OT_MEMORY, .id = OT_ID_MEMORY, .read_size = 12 },
};

/* Everything is on the board; what is in I2C mode is not. */
static const struct oni_device acq_rows[] = {
	{ .addr = OT_HEARTBEAT, .id = 12, .read_size = 8 },
	{ .addr = 0x001, .id = OT_ID_MEMORY, .read_size = 12 },
	{ .addr = OT_RHYTHM, .id = OT_ID_RHYTHM, .read_size = 40 },
	{ .addr = 0x102, .id = 0x10002, .write_size = 4 },
	{ .addr = 0x103, .id = 0x10003, .write_size = 32 },
	{ .addr = 0x104, .id = 0x10004, .read_size = 16 },
};

static const struct ot_board boards[] = {
	{
		.transport = ONI_TRANSPORT_RIFFA,
		.module = "oni_riffa",
		.bus = "pci",
		.bus_name = "%x:%x:%x.%x",
		.hub = ONI_HUB_FMC_HOST,
		.mmio = true,
		.feed = OT_LOAD_TEST,
		.feed_hz = 4000,
		.feed_size = 216,
		.feed_off_size = 16,
		.feed_large = 16016,
		.small_block = 4096,
		.memory = OT_MEMORY,
		.writer = OT_DIGITAL_IO,
		.scratch = { OT_LOAD_TEST, 5, 0 },
		.status = { OT_DIGITAL_IO, 5, 0 },
		/* the persistent heartbeat has an upper limit of its rate */
		.refused = { OT_HEARTBEAT, 1, 0 },
		/* port voltage */
		.guarded = { OT_PORT_A, 3, 60 },
		.rows = onix_rows,
		.nrows = ARRAY_LEN(onix_rows),
	}, {
		.transport = ONI_TRANSPORT_FT600,
		.module = "oni_ft600",
		.bus = "usb",
		.bus_name = "%x-%x:%x.%x",
		.hub = 0x102,
		.feed = OT_RHYTHM,
		.feed_hz = 30000,
		.feed_size = 40,
		.feed_off_size = 40,
		.feed_large = 40 + 16 * 72,
		.small_block = 1024,
		.memory = 0x001,
		.writer = 0x102,
		/* sources of streams of which none is on */
		.scratch = { OT_RHYTHM, 13, 0 },
		.status = { OT_RHYTHM, 3, 0 },
		.refused = { 0x001, 1, 0 },
		/* which stream a DAC follows */
		.guarded = { OT_RHYTHM, 23, 0x200 },
		.rows = acq_rows,
		.nrows = ARRAY_LEN(acq_rows),
	},
};

/* The node that ot_open() means, or, after a replug, any. */
static int open_one(void)
{
	int fd = ot_open(O_RDONLY);
	glob_t g;
	size_t i;

	if (fd >= 0 || glob("/dev/oni[0-9]*", 0, NULL, &g))
		return fd;
	for (i = 0; i < g.gl_pathc && fd < 0; i++)
		if (!strchr(g.gl_pathv[i], '-'))	/* those are nodes beside it */
			fd = open(g.gl_pathv[i], O_RDONLY | O_CLOEXEC);
	globfree(&g);
	return fd;
}

const struct ot_board *ot_board(void)
{
	static const struct ot_board *found;
	struct oni_info info;
	size_t i;
	int fd;

	if (found)
		return found;
	fd = open_one();
	if (fd < 0 || ot_info(fd, &info)) {
		fprintf(stderr, "no controller to tell what board it is\n");
		exit(1);
	}
	close(fd);
	for (i = 0; i < ARRAY_LEN(boards); i++)
		if (boards[i].transport == info.transport)
			found = &boards[i];
	if (!found) {
		fprintf(stderr, "no board is known of transport %u\n", info.transport);
		exit(1);
	}
	return found;
}

static int set_all(int fd, const struct ot_reg *set, size_t n)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < n && !ret; i++)
		ret = ot_reg_write(fd, set[i].dev, set[i].reg, set[i].value);
	return ret ? ret : ot_simple(fd, ONI_IOC_RESET);
}

static int feed_onix(int fd, enum ot_feed how)
{
	switch (how) {
	case OT_FEED_FAST:
		return ot_load_test(fd, 100, 4000);
	case OT_FEED_SLOW:
		return ot_load_test(fd, 100, 200);
	case OT_FEED_LARGE:
		return ot_load_test(fd, 8000, 100);
	default:
		return ot_load_test(fd, 0, 0);
	}
}

/*
 * The rate of the Rhythm is not ours to set. Without a stream it has frames of 56
 * bytes; little data are those of the memory monitor, in frames of 28.
 */
static int feed_acq(int fd, enum ot_feed how)
{
	const uint32_t memory = ot_board()->memory;
	const struct ot_reg set[] = {
		{ OT_RHYTHM, 15, how == OT_FEED_LARGE ? 0xffff : 0 },	/* DATA_STREAM_EN */
		{ OT_RHYTHM, 1, 2 },					/* MODE: no end */
		{ OT_RHYTHM, 0, how == OT_FEED_FAST || how == OT_FEED_LARGE },
		{ memory, 1, OT_CLK_HZ / (SLOW_BYTES_HZ / 28) },
		{ memory, 0, how == OT_FEED_SLOW },
	};

	return set_all(fd, set, ARRAY_LEN(set));
}

int ot_feed(int fd, enum ot_feed how)
{
	if (ot_board()->transport == ONI_TRANSPORT_FT600)
		return feed_acq(fd, how);
	return feed_onix(fd, how);
}
