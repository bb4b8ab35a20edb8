// SPDX-License-Identifier: MIT
/*
 * cmd_show.c - list, info, devices, stats: look, change nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onictl.h"

#define FIRMWARE_TEXT	24

static const char *or_dash(const char *s)
{
	return s ? s : "-";
}

/* --- list ------------------------------------------------------------------- */

static json_t *list_json(const struct onidev_list *list)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < onidev_list_count(list); i++) {
		const struct onidev_list_entry *e = onidev_list_at(list, i);

		json_array_append_new(array,
			json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?}",
				  "name", e->name, "node", e->node, "backend", e->backend,
				  "driver", e->driver, "transport", e->transport,
				  "state", e->state, "hardware_id", e->hardware_id,
				  "firmware_version", e->firmware_version,
				  "by_id", e->by_id, "by_path", e->by_path));
	}
	return array;
}

static const char *link_of(const struct onidev_list_entry *e, char *buf, size_t len)
{
	if (e->by_id || e->by_path)
		return e->by_id ? e->by_id : e->by_path;
	if (!e->driver)
		return "-";
	snprintf(buf, len, "by %s", !strcmp(e->driver, "usbfs") ?
		 "another program, through libusb" : e->driver);
	return buf;
}

/* Columns are as wide as the longest name and node: those of USB are long. */
static void list_print(const struct onidev_list *list)
{
	int name = 6, node = 10;
	char link[80];
	size_t i;

	for (i = 0; i < onidev_list_count(list); i++) {
		const struct onidev_list_entry *e = onidev_list_at(list, i);

		if ((int)strlen(e->name) > name)
			name = (int)strlen(e->name);
		if ((int)strlen(e->node) > node)
			node = (int)strlen(e->node);
	}
	if (!i && settings.backend == ONIDEV_OPEN_USB)
		say("No Acquisition Board found on USB: check that it is plugged in and has power "
		    "('lsusb' shows it as 0403:601e).");
	else if (!i)
		say("No ONI controller found: check that it is plugged in ('lspci', 'lsusb') "
		    "and that oni_riffa or oni_ft600 is loaded ('lsmod').");
	else
		printf("%-*s %-*s %-9s %-8s %-9s %s\n", name, "NAME", node, "NODE", "TRANSPORT",
		       "STATE", "FIRMWARE", "LINK");
	for (i = 0; i < onidev_list_count(list); i++) {
		const struct onidev_list_entry *e = onidev_list_at(list, i);

		printf("%-*s %-*s %-9s %-8s %-9s %s\n", name, e->name, node, e->node,
		       or_dash(e->transport), or_dash(e->state), or_dash(e->firmware_version),
		       link_of(e, link, sizeof(link)));
	}
}

/* What there is now. EXIT_OK or EXIT_FAIL. */
static int list_once(void)
{
	struct onidev_list *list = onidev_list_find(settings.backend);
	json_t *json;

	if (!list)
		return fail_text("cannot look for controllers: %s", strerror(errno));
	if (settings.json) {
		json = list_json(list);
		onidev_list_free(list);
		return print_json(json);
	}
	list_print(list);
	onidev_list_free(list);
	return finish_output();
}

/* Once more whenever something came or went, until a signal ends the program. */
static int list_follow(struct onidev_hotplug *hotplug)
{
	struct pollfd p = { .fd = onidev_hotplug_fd(hotplug), .events = POLLIN };
	int rc;

	/* Listening began before the first look: nothing is missed. */
	while ((rc = list_once()) == EXIT_OK) {
		do {
			if (poll(&p, 1, -1) < 0 && errno != EINTR)
				return fail_text("cannot wait: %s", strerror(errno));
		} while (!onidev_hotplug_next(hotplug));
		if (!settings.json)
			putchar('\n');
	}
	return rc;
}

static int run_list(int argc, char **argv)
{
	static const struct option longs[] = { { "follow", no_argument, NULL, 'f' }, { 0 } };
	struct onidev_hotplug *hotplug;
	int follow = 0, rc;

	while (next_option(argc, argv, "f", longs) != -1)
		follow = 1;
	expect_args(argc, 0, 0);
	if (!follow)
		return list_once();
	hotplug = onidev_hotplug_new(settings.backend);
	if (!hotplug)
		return fail_text("cannot listen to udev: %s", strerror(errno));
	rc = list_follow(hotplug);
	onidev_hotplug_free(hotplug);
	return rc;
}

const struct command cmd_list = {
	.name = "list",
	.args = "[-f]",
	.summary = "Show the controllers of this machine",
	.help =
"  -f, --follow  show them again whenever one comes or goes, until Ctrl-C\n"
"\n"
"An Acquisition Board on USB that has no node of a kernel driver is shown too, with\n"
"its serial number or its place on the bus; with --backend=usb every board is, and\n"
"who has it. Nothing is sent to any of them.\n",
	.run = run_list,
};

/* --- info ------------------------------------------------------------------- */

static const char *state_name(uint32_t state)
{
	static const char *const names[] = { "idle", "running", "fault", "gone" };

	return state < 4 ? names[state] : "unknown";
}

static const char *owner_text(uint32_t flags)
{
	return flags & ONI_INFO_OWNED ? "another program owns it" : "free";
}

static json_t *hub_json(const struct onidev_hub *h)
{
	return json_pack("{s:i, s:I, s:s, s:I, s:I, s:I, s:I}", "hub", (int)h->hub,
			 "hardware_id", (json_int_t)h->hardware_id,
			 "name", onidev_hub_name(h->hardware_id),
			 "hardware_revision", (json_int_t)h->hardware_revision,
			 "firmware_version", (json_int_t)h->firmware_version,
			 "clock_hz", (json_int_t)h->clock_hz,
			 "latency_ns", (json_int_t)h->latency_ns);
}

static json_t *info_json(const char *name, const struct oni_info *i)
{
	json_t *o = json_object();

	json_object_set_new(o, "name", json_string(name));
	json_object_set_new(o, "abi_version", json_integer(i->abi_version));
	json_object_set_new(o, "transport", json_string(i->transport_name));
	json_object_set_new(o, "bus", json_string(i->bus_name));
	json_object_set_new(o, "state", json_string(state_name(i->state)));
	json_object_set_new(o, "owned", json_boolean(i->flags & ONI_INFO_OWNED));
	json_object_set_new(o, "stream", json_boolean(i->flags & ONI_INFO_STREAM));
	json_object_set_new(o, "stimulators_safe", json_boolean(i->flags & ONI_INFO_STIM_SAFE));
	json_object_set_new(o, "write_frames", json_boolean(i->caps & ONI_CAP_WRITE_FRAMES));
	json_object_set_new(o, "port_power", json_boolean(i->caps & ONI_CAP_PORT_POWER));
	json_object_set_new(o, "generation", json_integer(i->generation));
	json_object_set_new(o, "hardware_id", json_integer(i->hardware_id));
	json_object_set_new(o, "hardware_revision", json_integer(i->hardware_revision));
	json_object_set_new(o, "firmware_version", json_integer(i->firmware_version));
	json_object_set_new(o, "rows", json_integer(i->rows));
	json_object_set_new(o, "sys_clock_hz", json_integer(i->sys_clock_hz));
	json_object_set_new(o, "acq_clock_hz", json_integer(i->acq_clock_hz));
	json_object_set_new(o, "max_read_frame", json_integer(i->max_read_frame));
	json_object_set_new(o, "max_write_frame", json_integer(i->max_write_frame));
	json_object_set_new(o, "block_align", json_integer(i->block_align));
	json_object_set_new(o, "block_max", json_integer(i->block_max));
	json_object_set_new(o, "ring_default", json_u64(i->ring_default));
	json_object_set_new(o, "ring_max", json_u64(i->ring_max));
	json_object_set_new(o, "hubs", json_array());
	return o;
}

/* ONIX: two numbers. Acquisition Board: three, and a mark of what is no release. */
static char *firmware_text(uint32_t v, char buf[FIRMWARE_TEXT])
{
	if (v > 0xffff)
		snprintf(buf, FIRMWARE_TEXT, "%u.%u.%u%s", v >> 16 & 0xff, v >> 8 & 0xff, v & 0xff,
			 v >> 24 ? "-pre" : "");
	else
		snprintf(buf, FIRMWARE_TEXT, "%u.%u", v >> 8, v & 0xff);
	return buf;
}

static void info_print(const char *name, const struct oni_info *i)
{
	char firmware[FIRMWARE_TEXT];

	printf("%s: %s on %s %s\n", name, onidev_hub_name(i->hardware_id), i->transport_name,
	       i->bus_name);
	printf("  state              %s, %s%s\n", state_name(i->state), owner_text(i->flags),
	       i->flags & ONI_INFO_STREAM ? ", a stream exists" : "");
	printf("  stimulators        %s\n", i->flags & ONI_INFO_STIM_SAFE ?
	       "safe since the last reset" : "NOT known to be safe");
	printf("  hardware           id %u, revision %u.%u\n", i->hardware_id,
	       i->hardware_revision >> 8, i->hardware_revision & 0xff);
	printf("  firmware           %s\n", firmware_text(i->firmware_version, firmware));
	printf("  acquisition clock  %.6f MHz\n", i->acq_clock_hz / 1e6);
	printf("  system clock       %.6f MHz\n", i->sys_clock_hz / 1e6);
	printf("  device table       %u rows, generation %u\n", i->rows, i->generation);
	printf("  largest frame      %u bytes read, %u bytes write\n", i->max_read_frame,
	       i->max_write_frame);
	printf("  block size         multiple of %u, at most %u bytes\n", i->block_align,
	       i->block_max);
	printf("  ring size          default %" PRIu64 " KiB, at most %" PRIu64 " KiB\n",
	       (uint64_t)i->ring_default / 1024, (uint64_t)i->ring_max / 1024);
	printf("  interface          version %u%s%s\n", i->abi_version,
	       i->caps & ONI_CAP_WRITE_FRAMES ? ", write frames" : "",
	       i->caps & ONI_CAP_PORT_POWER ? ", port power" : "");
}

static void hub_print(const struct onidev_hub *h)
{
	char firmware[FIRMWARE_TEXT];

	printf("  hub %-2u             %s (id %u), revision %u.%u, firmware %s, "
	       "clock %.6f MHz\n", h->hub, onidev_hub_name(h->hardware_id), h->hardware_id,
	       h->hardware_revision >> 8 & 0xff, h->hardware_revision & 0xff,
	       firmware_text(h->firmware_version, firmware), h->clock_hz / 1e6);
}

/* The hubs that have a row in the table; one that does not answer is left out with a note. */
static void info_hubs(struct onidev_controller *ctl, const struct onidev_table *table,
		      json_t *hubs)
{
	const struct oni_device *dev;
	struct onidev_hub hub;
	int last = -1;
	size_t i;

	for (i = 0; (dev = onidev_table_at(table, i)); i++) {
		if ((int)ONIDEV_HUB(dev->addr) == last || dev->id == ONIDEV_ID_NULL)
			continue;
		last = (int)ONIDEV_HUB(dev->addr);
		if (onidev_hub_read(ctl, (uint32_t)last, &hub) < 0)
			say("Hub %d does not tell about itself: %s", last,
			    onidev_explain(ONIDEV_OP_REG_READ, errno));
		else if (hubs)
			json_array_append_new(hubs, hub_json(&hub));
		else
			hub_print(&hub);
	}
}

static int run_info(int argc, char **argv)
{
	struct onidev_controller *ctl;
	struct onidev_table *table;
	struct oni_info info;
	json_t *json = NULL;

	next_option(argc, argv, "", NULL);
	expect_args(argc, 0, 0);
	ctl = open_reader();
	if (!ctl)
		return EXIT_FAIL;
	if (onidev_controller_info(ctl, &info) < 0) {
		op_failed(ONIDEV_OP_INFO, errno, NULL);
		goto fail;
	}
	table = load_table(ctl);
	if (!table)
		goto fail;
	if (settings.json)
		json = info_json(onidev_controller_name(ctl), &info);
	else
		info_print(onidev_controller_name(ctl), &info);
	info_hubs(ctl, table, json ? json_object_get(json, "hubs") : NULL);
	onidev_table_free(table);
	onidev_controller_close(ctl);
	return json ? print_json(json) : finish_output();
fail:
	onidev_controller_close(ctl);
	return EXIT_FAIL;
}

const struct command cmd_info = {
	.name = "info",
	.args = "",
	.summary = "Show identity, clocks and limits of a controller and its hubs",
	.run = run_info,
};

/* --- devices ------------------------------------------------------------------ */

struct row {
	const struct oni_device *dev;
	char name[ONIDEV_NAME_MAX];
	int enabled;		/* -1: not known */
	double rate;		/* 0: on events, -1: not known */
};

static void row_fill(struct row *r, struct onidev_controller *ctl,
		     const struct onidev_table *table, const struct oni_device *dev)
{
	r->dev = dev;
	r->enabled = -1;
	r->rate = -1;
	if (dev->id == ONIDEV_ID_NULL) {
		snprintf(r->name, sizeof(r->name), "-");
		return;
	}
	onidev_table_name(table, dev->addr, r->name);
	r->enabled = onidev_device_enabled(ctl, dev);
	if (dev->read_size && onidev_device_rate(ctl, dev, &r->rate) < 0)
		r->rate = -1;
}

static void row_print(const struct row *r)
{
	const struct onidev_type *type = onidev_type_find_id(r->dev->id);
	char rate[32] = "-";

	if (r->rate > 0)
		snprintf(rate, sizeof(rate), "%.6g Hz", r->rate);
	else if (r->dev->read_size && r->rate == 0)
		snprintf(rate, sizeof(rate), "on events");
	printf("0x%03x %u.%-3u %-22s %6u %3u %6u %6u  %-3s  %-12s %s\n", r->dev->addr,
	       ONIDEV_HUB(r->dev->addr), r->dev->addr & 0xff, r->name, r->dev->id,
	       r->dev->version, r->dev->read_size, r->dev->write_size,
	       r->enabled < 0 ? "-" : r->enabled ? "yes" : "no", rate,
	       type ? type->title : "unknown device");
}

static json_t *row_json(const struct row *r)
{
	const struct onidev_type *type = onidev_type_find_id(r->dev->id);

	return json_pack("{s:s, s:I, s:i, s:i, s:I, s:s?, s:I, s:I, s:I, s:I, s:o, s:o}",
			 "name", r->name, "addr", (json_int_t)r->dev->addr,
			 "hub", (int)ONIDEV_HUB(r->dev->addr), "index", (int)(r->dev->addr & 0xff),
			 "id", (json_int_t)r->dev->id, "title", type ? type->title : NULL,
			 "version", (json_int_t)r->dev->version,
			 "read_size", (json_int_t)r->dev->read_size,
			 "write_size", (json_int_t)r->dev->write_size,
			 "frame_bytes", r->dev->read_size ?
			 (json_int_t)onidev_frame_wire(r->dev->read_size) : (json_int_t)0,
			 "enabled", r->enabled < 0 ? json_null() : json_boolean(r->enabled),
			 "rate_hz", r->rate < 0 ? json_null() : json_real(r->rate));
}

static int show_devices(struct onidev_controller *ctl, const struct onidev_table *table,
			int all)
{
	json_t *array = settings.json ? json_array() : NULL;
	const struct oni_device *dev;
	struct row row;
	size_t i;

	if (!array)
		printf("%-5s %-5s %-22s %6s %3s %6s %6s  %-3s  %-12s %s\n", "ADDR", "PLACE",
		       "NAME", "ID", "VER", "READ", "WRITE", "ON", "RATE", "WHAT");
	for (i = 0; (dev = onidev_table_at(table, i)); i++) {
		if (dev->id == ONIDEV_ID_NULL && !all)
			continue;
		row_fill(&row, ctl, table, dev);
		if (array)
			json_array_append_new(array, row_json(&row));
		else
			row_print(&row);
	}
	return array ? print_json(array) : finish_output();
}

static int run_devices(int argc, char **argv)
{
	static const struct option longs[] = { { "all", no_argument, NULL, 'a' }, { 0 } };
	struct onidev_controller *ctl;
	struct onidev_table *table;
	int all = 0, rc = EXIT_FAIL;

	while (next_option(argc, argv, "a", longs) != -1)
		all = 1;
	expect_args(argc, 0, 0);
	ctl = open_reader();
	if (!ctl)
		return EXIT_FAIL;
	table = load_table(ctl);
	if (table)
		rc = show_devices(ctl, table, all);
	onidev_table_free(table);
	onidev_controller_close(ctl);
	return rc;
}

const struct command cmd_devices = {
	.name = "devices",
	.args = "[-a]",
	.summary = "Show the device table: addresses, names, frame sizes, rates",
	.help =
"  -a, --all  also show empty rows\n"
"\n"
"PLACE is hub.device, READ and WRITE are bytes of a sample. ON says whether the\n"
"device streams; 'onictl enable' changes it. The names are accepted wherever a\n"
"command takes a device, as are addresses (0x100, 256) and places (1.0).\n",
	.run = run_devices,
};

/* --- stats -------------------------------------------------------------------- */

#define STAT(field, note)	{ #field, offsetof(struct oni_stats, field), note }

static const struct {
	const char *name;
	size_t offset;
	const char *note;
} stat_fields[] = {
	STAT(interrupts, "interrupts taken"),
	STAT(spurious, "of these for nothing"),
	STAT(held, "of these left to a timer, to save register reads"),
	STAT(mmio_reads, "register reads on the bus"),
	STAT(mmio_writes, "register writes on the bus"),
	STAT(blocks, "blocks put into rings"),
	STAT(bytes, "bytes put into rings"),
	STAT(short_blocks, "blocks shorter than the block size"),
	STAT(ring_full, "times the hardware was held back"),
	STAT(ring_full_ns, "nanoseconds spent so"),
	STAT(wakeups, "times a waiting reader was woken"),
	STAT(reg_reads, "device register reads"),
	STAT(reg_writes, "device register writes"),
	STAT(reg_nacks, "of these refused by the device"),
	STAT(reg_timeouts, "of these never answered"),
	STAT(signals, "signal packets received"),
	STAT(bad_signals, "signal packets that could not be decoded"),
	STAT(write_frames, "write frames sent"),
	STAT(resets, "controller resets"),
	STAT(link_errors, "link errors"),
	STAT(guarded, "register writes refused for safety"),
	STAT(stim_safe_failures, "safe-state writes not acknowledged"),
};

static int run_stats(int argc, char **argv)
{
	struct onidev_controller *ctl;
	json_t *json = NULL;
	struct oni_stats s;
	size_t i;
	int rc;

	next_option(argc, argv, "", NULL);
	expect_args(argc, 0, 0);
	ctl = open_reader();
	if (!ctl)
		return EXIT_FAIL;
	rc = onidev_controller_stats(ctl, &s);
	if (rc < 0)
		op_failed(ONIDEV_OP_STATS, errno, NULL);
	onidev_controller_close(ctl);
	if (rc < 0)
		return EXIT_FAIL;
	if (settings.json)
		json = json_object();
	for (i = 0; i < sizeof(stat_fields) / sizeof(stat_fields[0]); i++) {
		uint64_t v;

		memcpy(&v, (const char *)&s + stat_fields[i].offset, sizeof(v));
		if (json)
			json_object_set_new(json, stat_fields[i].name, json_u64(v));
		else
			printf("%-20s %16" PRIu64 "  %s\n", stat_fields[i].name, v,
			       stat_fields[i].note);
	}
	return json ? print_json(json) : finish_output();
}

const struct command cmd_stats = {
	.name = "stats",
	.args = "",
	.summary = "Show the driver's counters since the controller was found",
	.run = run_stats,
};
