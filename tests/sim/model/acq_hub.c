// SPDX-License-Identifier: MIT
/*
 * acq_hub.c - the two hubs of an Acquisition Board and what their devices share.
 *
 * Owns m->acq. Hub 0 adds the state of the on-board memory and the mask of ports
 * in I2C mode to its information device, hub 1 the clock of the Rhythm
 * (acquisition-board plugin, bonsai-acquisition-board).
 * Inferred: that a port has its BNO055 and raw I2C device in the table only
 * while it is in I2C mode, that memory is ready at power-on, how long the clock
 * needs, and that a new clock is used from the next reset or start on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"

#define R_MEMORY	0x1000u
#define R_I2C		0x1001u
#define MEMORY_OK	1u
#define R_CLOCK		0x2000u
#define R_BUSY		0x2001u
#define BUSY_NS		5000000u
#define MAX_DIVIDER	0xffu
#define FIRST_I2C	2u	/* index of the BNO055 of port A; its raw I2C follows */

static const uint32_t base_hz[4] = { 84000000, 70000000, 56000000, 84000000 };

uint32_t board_base_hz(const struct model *m)
{
	return base_hz[m->acq.clock_sel];
}

uint32_t board_divisor(const struct model *m)
{
	return m->acq.clock_div ? 2 * m->acq.clock_div : 1;
}

/* Outputs are looped back like a cable between the connectors. */
uint32_t board_ttl_in(const struct model *m)
{
	uint32_t in = m->acq.pins;

	if (m->cfg.digital_loopback)
		in |= m->acq.ttl_out;
	return in & 0xffff;
}

int board_info_read(struct hub *h, uint32_t reg, uint32_t *val)
{
	switch (reg) {
	case R_MEMORY:
		*val = MEMORY_OK;
		return 0;
	case R_I2C:
		*val = h->m->acq.i2c_wanted;
		return 0;
	default:
		return -1;
	}
}

int board_info_write(struct hub *h, uint32_t reg, uint32_t val)
{
	if (reg != R_I2C || val > 0xf)
		return -1;
	h->m->acq.i2c_wanted = val;
	return 0;
}

static int busy(const struct model *m)
{
	return m->now_ns < m->acq.busy_ns;
}

int board_manager_read(struct hub *h, uint32_t reg, uint32_t *val)
{
	const struct acq_state *a = &h->m->acq;

	switch (reg) {
	case R_CLOCK:
		*val = a->clock_sel << 1 |
		       (a->clock_div ? (a->clock_div - 1) << 3 | 1 : 0);
		return 0;
	case R_BUSY:
		*val = (uint32_t)busy(h->m);
		return 0;
	default:
		return -1;
	}
}

int board_manager_write(struct hub *h, uint32_t reg, uint32_t val)
{
	struct acq_state *a = &h->m->acq;

	if (reg != R_CLOCK || busy(h->m) || val >> 3 > MAX_DIVIDER)
		return -1;
	a->clock_sel = val >> 1 & 3;
	a->clock_div = val & 1 ? (val >> 3) + 1 : 0;
	a->busy_ns = h->m->now_ns + BUSY_NS;
	h->clock_hz = board_base_hz(h->m) / board_divisor(h->m);
	return 0;
}

void board_power_on(struct model *m)
{
	unsigned int i;

	memset(&m->acq, 0, sizeof(m->acq));
	for (i = 0; i < ARRAY_LEN(m->acq.dac); i++)
		m->acq.dac[i] = m->cfg.left_driven ? 0xffff : 0x8000;
	m->acq.ttl_out = m->cfg.left_driven ? 0xffff : 0;
	m->hubs[1].clock_hz = board_base_hz(m);
}

void board_reset(struct model *m)
{
	unsigned int i;

	m->acq.i2c = m->acq.i2c_wanted;
	for (i = 0; i < 2 * ACQ_PORTS; i++)
		m->hubs[0].devs[FIRST_I2C + i]->hidden = !(m->acq.i2c >> i / 2 & 1);
}

/* ---- configuration and control socket ------------------------------------ */
static int set_chip(struct model *m, unsigned int line, const char *value)
{
	static const char *const names[] = {
		[CHIP_NONE] = "none", [CHIP_RHD2132] = "rhd2132",
		[CHIP_RHD2216] = "rhd2216", [CHIP_RHD2164] = "rhd2164",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(value, names[i]))
			continue;
		m->cfg.chip[line] = (enum chip_kind)i;
		return 0;
	}
	return -1;
}

/* "chip-a1" to "chip-d2", "cable-a" to "cable-d". */
int board_set(struct model *m, const char *key, const char *value)
{
	char port, line, rest;
	double v;

	if (sscanf(key, "chip-%c%c%c", &port, &line, &rest) == 2 && port >= 'a' && port <= 'd' &&
	    line >= '1' && line <= '2')
		return set_chip(m, 2u * (unsigned int)(port - 'a') + (unsigned int)(line - '1'),
				value);
	if (sscanf(key, "cable-%c%c", &port, &rest) != 1 || port < 'a' || port > 'd' ||
	    source_number(value, 2, 15, &v))
		return -1;
	m->cfg.cable[port - 'a'] = (uint32_t)v;
	return 0;
}

int board_command(struct model *m, const char *what, const char *arg, char *err, size_t errlen)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(arg, &end, 0);
	if (errno || end == arg || *end)
		return model_error(err, errlen, "\"%s\" is not a number", arg);
	if (!strcmp(what, "toggle") && n < 16)
		m->acq.pins ^= 1u << n;
	else if (!strcmp(what, "set") && n < 65536)
		m->acq.pins = (uint32_t)n;
	else
		return model_error(err, errlen,
				   "use: ttl toggle PIN (0-15) | ttl set MASK (0-65535)");
	return 0;
}
