// SPDX-License-Identifier: MIT
/*
 * oni_sweep - try to write every register of every device.
 *
 *   oni_sweep power   power port A for a headstage-64 and port B for a
 *                     headstage-rhs2116, print the rows of the device table
 *   oni_sweep claim   claim the controller and end
 *   oni_sweep write   claim, try every register, end
 *
 * "write" prints one line per register that the driver did not refuse with
 * EPERM: "dev id reg errno" (errno 0: acknowledged). A test compares them with
 * what the hardware says it was sent; "claim" tells what a claim alone sends.
 * Ports stay powered at the end, so that the table is the same in each run.
 *
 * Contract used: include/uapi/linux/oni.h. One thread; owns the controller
 * until it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "oni_layout.h"
#include "oni_test.h"

#define PORT_B_DECIVOLTS	50	/* a headstage-rhs2116 takes 3.4 to 6.3 V */

/* Registers that any device may have: plain ones, then managed ones */
static const struct {
	uint32_t first, last;
} spans[] = { { 0, 0x7f }, { 0x8000, 0x801f } };

static int die(const char *what, int ret)
{
	fprintf(stderr, "oni_sweep: %s: %s\n", what, strerror(-ret));
	return 1;
}

static int power(int fd)
{
	struct oni_device rows[OT_MAX_ROWS];
	struct oni_port_power p;
	int i, n, ret;

	ret = ot_port(fd, &p, OT_PORT_A, ONI_HUB_HS64, 60);
	if (ret)
		return die("port A", ret);
	ret = ot_port(fd, &p, OT_PORT_B, ONI_HUB_RHS2116, PORT_B_DECIVOLTS);
	if (ret)
		return die("port B", ret);
	n = ot_table(fd, rows, OT_MAX_ROWS);
	for (i = 0; i < n; i++)
		printf("%u %u\n", rows[i].addr, rows[i].id);
	return 0;
}

/* The value is one that no safe state has. */
static unsigned int sweep_device(int fd, uint32_t addr, uint32_t id)
{
	unsigned int tried = 0;
	uint32_t reg;
	size_t s;
	int ret;

	for (s = 0; s < sizeof(spans) / sizeof(spans[0]); s++) {
		for (reg = spans[s].first; reg <= spans[s].last; reg++) {
			tried++;
			ret = ot_reg_write(fd, addr, reg, 0x5afe0001);
			if (ret != -EPERM)
				printf("%u %u %u %d\n", addr, id, reg, -ret);
		}
	}
	return tried;
}

static int sweep(int fd)
{
	static const uint32_t info[] = { 0x0fe, 0x1fe, 0x2fe };
	struct oni_device rows[OT_MAX_ROWS];
	unsigned int tried = 0;
	int i, n = ot_table(fd, rows, OT_MAX_ROWS);
	size_t k;

	if (n < 0)
		return die("DEVICE_TABLE", n);
	for (i = 0; i < n; i++)
		tried += sweep_device(fd, rows[i].addr, rows[i].id);
	for (k = 0; k < sizeof(info) / sizeof(info[0]); k++)
		tried += sweep_device(fd, info[k], 1);
	printf("tried %u\n", tried);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	int fd, ret;

	if (strcmp(what, "power") && strcmp(what, "claim") && strcmp(what, "write")) {
		fprintf(stderr, "usage: oni_sweep power|claim|write\n");
		return 2;
	}
	fd = ot_open(O_RDWR);
	if (fd < 0)
		return die(ot_path(), fd);
	ret = ot_simple(fd, ONI_IOC_CLAIM);
	if (ret)
		return die("CLAIM", ret);
	if (!strcmp(what, "power"))
		return power(fd);
	return strcmp(what, "write") ? 0 : sweep(fd);
}
