/* SPDX-License-Identifier: MIT */
/*
 * config.h - everything onirec can be told, from its configuration file and the
 * command line. Pure apart from reading the file; used before threads exist.
 */
#ifndef ONIREC_CONFIG_H
#define ONIREC_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rec.h"
#include "spike.h"

#define CONFIG_MAX_DEVICES	32
#define CONFIG_PORTS		2
#define CONFIG_DEFAULT_PATH	"/etc/oni/onirec.conf"

struct config_device {
	char name[64];		/* as onidev_table_resolve() takes it */
	bool enable;
};

struct config_port {
	uint32_t headstage;	/* ONI_HUB_*; 0: leave this port alone */
	uint32_t decivolts;	/* 0: the headstage's default */
};

struct config {
	char device[256];
	unsigned int backend;	/* ONIDEV_OPEN_KERNEL, ONIDEV_OPEN_USB; 0: whichever there is */
	uint64_t ring_bytes;
	uint32_t block_bytes;
	uint32_t latency_us;

	char directory[384];
	double seconds;
	uint64_t size;
	uint64_t buffer_bytes;
	uint64_t reserve_bytes;
	double sync_seconds;
	double fill_seconds;
	bool aux;

	char rhythm_streams[64];	/* "a1 a1+ b2"; empty: leave them as they are */

	struct config_port port[CONFIG_PORTS];
	struct config_device dev[CONFIG_MAX_DEVICES];
	unsigned int n_dev;

	bool detect;
	double k;
	double fixed_uv;
	enum spike_polarity polarity;
	unsigned int channel_rate, stream_rate;
	unsigned int n_pre, n_post;
	double prime_seconds;

	enum rec_blank blank;
	double blank_pre_us, blank_post_us, train_us, fire_us;
	struct trigger_train trains[TRIGGER_TRAINS];
	unsigned int n_trains;
};

void config_default(struct config *c);
/* "kernel", "usb" or "auto"; 0, or -1 and EINVAL. */
int config_backend(const char *text, unsigned int *out);
/*
 * Read @path into @c. -1 and a sentence with file and line in @err on anything
 * that is not known, out of range, or given twice as a port's headstage.
 */
int config_load(struct config *c, const char *path, char *err, size_t errlen);
/* A list "rhd2164,analog-io": exactly these are enabled. -1 and @err. */
int config_devices(struct config *c, const char *list, char *err, size_t errlen);

/*
 * Numbers as people write them. -1 and EINVAL (no number, or something behind
 * it) or ERANGE (outside @min...@max).
 */
int config_number(const char *text, double min, double max, double *out);
/* With an ending K, M, G (powers of 1024); whole bytes. */
int config_size(const char *text, uint64_t min, uint64_t max, uint64_t *out);

#endif
