// SPDX-License-Identifier: MIT
/*
 * cmd_port.c - port: power a headstage, switch it off, look at the link.
 *
 * The window of each headstage is the kernel's; this command never writes a port
 * register itself.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "onictl.h"

#define PORTS	2

struct port {
	uint32_t addr;
	char letter;
};

static int parse_port(const char *text, struct port *port)
{
	static const struct port ports[PORTS] = { { 1, 'a' }, { 2, 'b' } };
	int i;

	if (!strncmp(text, "port-", 5))
		text += 5;
	for (i = 0; i < PORTS; i++) {
		if ((text[0] | 0x20) != ports[i].letter || text[1])
			continue;
		*port = ports[i];
		return 0;
	}
	return -1;
}

/* --- on ------------------------------------------------------------------------- */

struct request {
	const char *headstage;
	const char *volts;
	const char *timeout;
};

static const struct onidev_headstage *pick_headstage(const char *name)
{
	const struct onidev_headstage *h;

	if (!name)
		usage_error("'port on' needs --headstage: the voltage depends on it and the wrong "
			    "one can destroy a headstage");
	h = onidev_headstage_find(name);
	if (!h)
		usage_error("headstage '%s' is not known: the help lists those that are", name);
	return h;
}

static uint32_t pick_decivolts(const struct onidev_headstage *h, const char *volts)
{
	const char *why;
	uint32_t v;

	if (!volts)
		return h->default_decivolts;
	if (number_decivolts(volts, &v, &why) < 0)
		usage_error("voltage '%s' %s", volts, why);
	return v;
}

static uint32_t pick_timeout(const char *timeout)
{
	uint32_t ms;

	if (!timeout)
		return 0;
	ms = arg_u32("timeout", timeout);
	if (ms < 1 || ms > 5000)
		usage_error("timeout '%s' must be 1 to 5000 milliseconds", timeout);
	return ms;
}

static int on_failed(char letter, const struct onidev_headstage *h, uint32_t decivolts,
		     const struct oni_port_power *r, int error)
{
	char what[16];

	snprintf(what, sizeof(what), "%c", letter);
	op_failed(ONIDEV_OP_PORT_POWER, error, what);
	if (error == ERANGE)
		say("  %u.%u V was asked for; the window of %s is %u.%u to %u.%u V at the port "
		    "(it needs %s).", decivolts / 10, decivolts % 10, h->title,
		    r->min_decivolts / 10, r->min_decivolts % 10, r->max_decivolts / 10,
		    r->max_decivolts % 10, h->supply);
	if (error == EMEDIUMTYPE)
		say("  Found: %s (id %u).", onidev_hub_name(r->found), r->found);
	return EXIT_FAIL;
}

/* Devices of the hub behind the port, in the order of the table. */
static void print_hub_devices(struct onidev_controller *ctl, uint32_t hub)
{
	struct onidev_table *table = load_table(ctl);
	const struct oni_device *dev;
	char name[ONIDEV_NAME_MAX];
	size_t i;

	if (!table)
		return;
	printf("  devices:");
	for (i = 0; (dev = onidev_table_at(table, i)); i++)
		if (ONIDEV_HUB(dev->addr) == hub && dev->id != ONIDEV_ID_NULL)
			printf(" %s", onidev_table_name(table, dev->addr, name));
	putchar('\n');
	onidev_table_free(table);
}

static int on_done(struct onidev_controller *ctl, const struct port *port,
		   const struct onidev_headstage *h, const struct oni_port_power *r)
{
	char letter[2] = { port->letter, '\0' };

	if (settings.json)
		return print_json(json_pack(
			"{s:s, s:s, s:f, s:b, s:b, s:I, s:f, s:f}", "port", letter,
			"headstage", h->name, "volts", r->decivolts / 10.0,
			"lock", !!(r->link & ONI_LINK_LOCK), "pass", !!(r->link & ONI_LINK_PASS),
			"found", (json_int_t)r->found, "min_volts", r->min_decivolts / 10.0,
			"max_volts", r->max_decivolts / 10.0));
	printf("port %s: %u.%u V, link locked, parity %s, %s found\n", letter, r->decivolts / 10,
	       r->decivolts % 10, r->link & ONI_LINK_PASS ? "pass" : "fail",
	       onidev_hub_name(r->found));
	print_hub_devices(ctl, port->addr);
	return finish_output();
}

static int port_on(const struct port *port, const struct request *req)
{
	const struct onidev_headstage *h = pick_headstage(req->headstage);
	uint32_t decivolts = pick_decivolts(h, req->volts);
	uint32_t timeout_ms = pick_timeout(req->timeout);
	struct onidev_controller *ctl = open_owner();
	struct oni_port_power result;
	int rc;

	if (!ctl)
		return EXIT_FAIL;
	say("Port %c: switching on %u.%u V%s for %s and waiting up to %u ms for the link.",
	    port->letter, decivolts / 10, decivolts % 10, req->volts ? "" : " (default)",
	    h->title, timeout_ms ? timeout_ms : 1000);
	if (onidev_port_on(ctl, port->addr, h->hardware_id, decivolts, timeout_ms, &result) < 0)
		rc = on_failed(port->letter, h, decivolts, &result, errno);
	else
		rc = on_done(ctl, port, h, &result);
	onidev_controller_close(ctl);
	return rc;
}

/* --- off -------------------------------------------------------------------------- */

static int port_off(const struct port *port)
{
	struct onidev_controller *ctl = open_owner();
	char what[2] = { port->letter, '\0' };
	int rc = EXIT_OK;

	if (!ctl)
		return EXIT_FAIL;
	if (onidev_port_off(ctl, port->addr) < 0)
		rc = op_failed(ONIDEV_OP_PORT_POWER, errno, what);
	else if (settings.json)
		rc = print_json(json_pack("{s:s, s:f}", "port", what, "volts", 0.0));
	else
		printf("port %s: off\n", what);
	onidev_controller_close(ctl);
	return rc == EXIT_OK ? finish_output() : rc;
}

/* --- status ------------------------------------------------------------------------- */

static int status_one(struct onidev_controller *ctl, const struct port *port, json_t *array)
{
	char what[2] = { port->letter, '\0' };
	struct onidev_hub hub = { 0 };
	uint32_t dv, link;
	int lock;

	/* PORTVOLTAGE and LINKSTATE of the port controller */
	if (onidev_reg_read(ctl, port->addr, 3, &dv) < 0 ||
	    onidev_reg_read(ctl, port->addr, 5, &link) < 0)
		return op_failed(ONIDEV_OP_REG_READ, errno, port->addr == 1 ? "of port a" :
			    "of port b");
	lock = !!(link & ONI_LINK_LOCK);
	/* Without a link there is no hub; with one it may still not be in the table. */
	if (!lock || onidev_hub_read(ctl, port->addr, &hub) < 0)
		hub.hardware_id = 0;
	if (array)
		return json_array_append_new(array, json_pack(
			"{s:s, s:f, s:b, s:b, s:I, s:s?}", "port", what, "volts", dv / 10.0,
			"lock", lock, "pass", !!(link & ONI_LINK_PASS),
			"found", (json_int_t)hub.hardware_id,
			"headstage", hub.hardware_id ? onidev_hub_name(hub.hardware_id) : NULL))
			? EXIT_FAIL : EXIT_OK;
	if (!dv)
		printf("port %s: off\n", what);
	else
		printf("port %s: %u.%u V, link %s, parity %s, %s\n", what, dv / 10, dv % 10,
		       lock ? "locked" : "not locked", link & ONI_LINK_PASS ? "pass" : "fail",
		       hub.hardware_id ? onidev_hub_name(hub.hardware_id) : "no headstage known");
	return EXIT_OK;
}

/* @only: one port, or NULL for all. */
static int port_status(const struct port *only)
{
	struct onidev_controller *ctl = open_reader();
	json_t *array = settings.json ? json_array() : NULL;
	int rc = EXIT_OK, i;

	if (!ctl)
		return EXIT_FAIL;
	for (i = 0; i < PORTS && rc == EXIT_OK; i++) {
		const struct port port = { (uint32_t)i + 1, (char)('a' + i) };

		if (!only || only->addr == port.addr)
			rc = status_one(ctl, &port, array);
	}
	onidev_controller_close(ctl);
	if (rc != EXIT_OK) {
		json_decref(array);
		return rc;
	}
	return array ? print_json(array) : finish_output();
}

/* --- command line --------------------------------------------------------------------- */

static int run_port(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "headstage", required_argument, NULL, 'H' },
		{ "volts", required_argument, NULL, 'v' },
		{ "timeout", required_argument, NULL, 'T' },
		{ 0 }
	};
	struct request req = { 0 };
	const char *verb;
	struct port port;
	int c;

	while ((c = next_option(argc, argv, "H:v:", longs)) != -1) {
		if (c == 'H')
			req.headstage = optarg;
		else if (c == 'v')
			req.volts = optarg;
		else
			req.timeout = optarg;
	}
	expect_args(argc, 1, 2);
	verb = argv[argc - 1];
	if (argc - optind == 1 && !strcmp(verb, "status"))
		return port_status(NULL);
	if (parse_port(argv[optind], &port) < 0)
		usage_error("port '%s' is not known: a or b", argv[optind]);
	if (argc - optind == 1)
		usage_error("what about port %c? on, off or status", port.letter);
	if (strcmp(verb, "on") && (req.headstage || req.volts || req.timeout))
		usage_error("--headstage, --volts and --timeout only go with 'on'");
	if (!strcmp(verb, "on"))
		return port_on(&port, &req);
	if (!strcmp(verb, "off"))
		return port_off(&port);
	if (!strcmp(verb, "status"))
		return port_status(&port);
	usage_error("'port %s' is not known: on, off or status", verb);
}

const struct command cmd_port = {
	.name = "port",
	.args = "a|b on --headstage=NAME [--volts=V] [--timeout=MS] | a|b off | [a|b] status",
	.summary = "Power a headstage port, switch it off, show its link",
	.help =
"  -H, --headstage=NAME  what is plugged in; mandatory, see the table\n"
"  -v, --volts=V         supply at the port in volts, one decimal\n"
"      --timeout=MS      wait this long for the link, 1 to 5000; default 1000\n"
"\n"
"NAME       headstage                     default  needs at the headstage\n"
"hs64       headstage-64                  6.0 V    5.5 to 6.0 V, never above 6.3 V\n"
"hs64s      headstage-64s                 6.0 V    5.5 to 6.0 V, never above 6.3 V\n"
"rhs2116    headstage-rhs2116             4.4 V    3.4 to 4.4 V, never above 5.0 V\n"
"np1f       headstage-neuropixels1f       5.0 V    4.5 to 5.5 V\n"
"np1e       headstage-neuropixels1e       4.5 V    3.8 to 5.0 V\n"
"np2e       headstage-neuropixels2e       4.5 V    3.0 to 5.5 V\n"
"np2e-beta  headstage-neuropixels2e-beta  4.5 V    3.0 to 5.0 V\n"
"nric1384   headstage-nric1384            4.5 V    3.8 to 5.5 V\n"
"\n"
"The voltage is that of the port. A long thin tether can take 2 V of it: measure\n"
"at the headstage. The driver holds a window for each headstage and refuses what\n"
"lies outside; when the link does not lock, or another headstage is found, it\n"
"switches the port off again.\n",
	.run = run_port,
};
