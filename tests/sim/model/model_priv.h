/* SPDX-License-Identifier: MIT */
/*
 * model_priv.h - what the files of the device model share among themselves.
 *
 * Owns nothing: struct model belongs to model.c, a struct dev to the model
 * that made it. One thread at a time (model.h).
 *
 * Registers follow one rule everywhere: a write changes val[] and is read back
 * at once; latched[] is the copy taken at the last controller reset. A device
 * uses val[] for registers that act immediately and latched[] for those that
 * act at reset ("Effect" and "Reset Action" columns of the ONIX datasheets).
 */
#ifndef SIM_MODEL_PRIV_H
#define SIM_MODEL_PRIV_H

#include "model.h"

#define CLOCK_NEVER	UINT64_MAX

/*
 * Header clock minus sample time. Not published for hub 0 (its latency
 * register reads 0); about a microsecond is what a frame needs to be built.
 */
#define HUB0_LATENCY_TICKS	256u
#define HUB_LATENCY_NS		2000u	/* remote hub: serialiser, cable */

#define FRAME_HEADER		16u
#define LOAD_MAX_WORDS		65535u
#define FRAME_MAX		(FRAME_HEADER + 16u + 2u * LOAD_MAX_WORDS + 2u)

#define PORTS		2
#define RHD_CHANNELS	64
#define RHD_RATE_HZ	30000u
#define ONIX_SOURCES	(PORTS * RHD_CHANNELS)	/* port B is 64-127 */
#define ACQ_PORTS	4
#define ACQ_LINES	(2 * ACQ_PORTS)		/* MISO lines A1, A2, B1 ... D2 */
#define ACQ_SOURCES	(ACQ_LINES * RHD_CHANNELS)
#define SRC_MAX_CHANNELS ACQ_SOURCES
#define SRC_BLOCK	256	/* samples rendered at once, per channel */

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

struct stim_log;
struct dev;
struct hub;
struct source;
struct truth;

/* ---- registers ------------------------------------------------------- */
#define RF_R		1u
#define RF_W		2u
#define RF_RW		(RF_R | RF_W)
#define RF_REVERT	4u	/* goes back to por at a controller reset */
#define RF_ENABLE	8u	/* the device's ENABLE register */

struct reg_def {
	uint16_t reg;
	uint8_t flags;
	uint32_t por;
	uint32_t min, max;	/* a write outside is refused */
	uint32_t mask;		/* bits that exist */
};

#define REG(r, f, p)		{ (r), (f), (p), 0, UINT32_MAX, UINT32_MAX }
#define REG_RANGE(r, f, p, lo, hi) { (r), (f), (p), (lo), (hi), UINT32_MAX }
#define REG_MASK(r, f, p, m)	{ (r), (f), (p), 0, UINT32_MAX, (m) }
#define REG_ENABLE(r)		REG_MASK(r, RF_RW | RF_ENABLE, 0, 1)

#define DEV_MAX_REGS	80

/* ---- devices --------------------------------------------------------- */
struct dev_class {
	const char *name;
	uint32_t id, version, read_size, write_size;
	size_t size;			/* of the structure that embeds dev */
	const struct reg_def *regs;
	unsigned int nregs;
	int stimulator;
	int always_on;			/* streams whatever ENABLE says */
	/* Every hook may be absent. Index arguments count within regs[]. */
	void (*power_on)(struct dev *d);	/* registers hold POR values */
	void (*reset)(struct dev *d);		/* latched[] is up to date */
	int (*read)(struct dev *d, unsigned int i, uint32_t *val);
	int (*wrote)(struct dev *d, unsigned int i, uint32_t old);
	void (*begin_run)(struct dev *d);
	void (*schedule)(struct dev *d);	/* first frame still to come */
	void (*fire)(struct dev *d);		/* emit the frame due, go on */
	void (*write_frame)(struct dev *d, uint64_t clock, const uint32_t *w);
	void (*tick)(struct dev *d, uint64_t now_ns);
	void (*power_off)(struct dev *d);	/* registers do not matter any more */
	void (*supply)(struct dev *d);	/* the voltage at the headstage changed */
	void (*gpo)(struct dev *d);		/* pulse on the GPO line of the port */
	void (*status)(const struct dev *d, FILE *out, const char *prefix);
	void (*release)(struct dev *d);
	/* Registers that are not in regs[]: a memory. 0 or -1. */
	int (*read_beyond)(struct dev *d, uint32_t reg, uint32_t *val);
	int (*write_beyond)(struct dev *d, uint32_t reg, uint32_t val);
};

struct dev {
	const struct dev_class *class;
	struct model *m;
	struct hub *hub;
	uint32_t addr;
	uint32_t read_size, write_size;	/* as of the last reset */
	int enabled;			/* as of the last reset */
	uint64_t due;			/* header clock of the next frame */
	unsigned int heap_pos;
	uint64_t reg_writes;
	int hidden;			/* a NULL row, as of the last reset */
	uint32_t val[DEV_MAX_REGS];
	uint32_t latched[DEV_MAX_REGS];
};

#define HUB_MAX_DEVS	13

struct hub {
	struct model *m;
	unsigned int index;
	uint32_t hardware_id, revision, firmware, clock_hz, latency_ns;
	uint64_t latency_ticks;
	int reachable;		/* powered, locked: registers answer */
	int in_table;		/* since the last reset */
	struct dev *devs[HUB_MAX_DEVS];	/* by device index; NULL: NULL row */
	unsigned int ndevs;
	/* Registers of the hub's information device above the common ones. */
	int (*info_read)(struct hub *h, uint32_t reg, uint32_t *val);
	int (*info_write)(struct hub *h, uint32_t reg, uint32_t val);
};

/* Amplifier chips of an Acquisition Board, one per MISO line. */
enum chip_kind { CHIP_NONE, CHIP_RHD2132, CHIP_RHD2216, CHIP_RHD2164 };

enum headstage { HEADSTAGE_NONE, HEADSTAGE_64, HEADSTAGE_RHS2116 };

struct config {
	uint64_t seed;
	enum headstage headstage[PORTS];
	uint32_t saved_tenths[PORTS];	/* port voltage in the EEPROM */
	uint32_t lock_tenths[PORTS];	/* 0: the headstage's own window */
	uint32_t over_tenths[PORTS];
	uint32_t drop_tenths[PORTS];	/* of the tether */
	uint32_t lock_delay_ms;
	int64_t drift_ppb;
	int por_enable;
	int digital_loopback;
	uint32_t hs64_unit_us;		/* of interphase and interpulse */
	int hs64_period;		/* interpulse is a period */
	int hs64_continuous;		/* TRIGGER delivers until it is zero */
	int rhs_disarm_cancels;
	int rhs_step_now;
	uint32_t electrode_ohms;
	uint32_t harp_seconds;
	enum chip_kind chip[ACQ_LINES];
	uint32_t cable[ACQ_PORTS];	/* the right MISO delay of each port */
	int left_driven;		/* board: as other software left it */
	uint32_t dac_bytes;		/* of a frame to the analog outputs */
};

/* What the devices of an Acquisition Board share. */
struct acq_state {
	uint32_t i2c_wanted, i2c;	/* ports in I2C mode; as of the last reset */
	uint32_t clock_sel, clock_div;	/* div 0: not divided, else by 2 * div */
	uint64_t busy_ns;		/* the clock is being changed until then */
	uint32_t sample;		/* of the Rhythm, next one */
	uint32_t pins;			/* TTL inputs, from the control socket */
	uint32_t ttl_out;
	uint32_t ttl_next;		/* waits for a sample, if ttl_waits */
	int ttl_waits;
	uint16_t dac[16];
};

struct stim_seen {
	uint64_t writes, triggers;
	uint32_t addr, reg, value;	/* of the last write */
};

struct model {
	struct model_env env;
	struct config cfg;
	int built;			/* 1, or -1 when it failed */
	int running;
	uint64_t run;			/* starts so far */
	uint64_t clock;			/* reached so far */
	uint64_t now_ns;
	uint32_t flags;
	size_t emitted;			/* bytes since model_produce() began */
	uint64_t nacks, reg_writes, write_frames, bad_write_frames;
	uint64_t overvoltage;
	struct stim_seen stim;
	struct stim_log *log;		/* of the card, or own_log */
	struct stim_log *own_log;
	struct hub hubs[1 + PORTS];
	struct dev *heap[PORTS * HUB_MAX_DEVS + HUB_MAX_DEVS];
	unsigned int heap_len;
	struct acq_state acq;
	struct source *sources[SRC_MAX_CHANNELS];	/* set once built */
	struct truth *truth;
	uint8_t frame[FRAME_MAX];
};

/* model.c: scheduling and frames */
void dev_due(struct dev *d, uint64_t clock);
/* Start a frame in m->frame; returns where the payload after hub clock goes. */
uint8_t *frame_begin(struct dev *d, uint64_t hub_clock);
/* Pad and emit what frame_begin() started. */
void frame_emit(struct dev *d);
void hub_power_on(struct hub *h);
void hub_power_off(struct hub *h);
void hub_supply(struct hub *h);
/* After a change of reachability: streams start or fall silent. */
void hub_restart(struct hub *h);
/* Number of amplifier channels that a source can be named for. */
unsigned int model_channels(const struct model *m);
int model_error(char *err, size_t errlen, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* regs.c */
void regs_power_on(struct dev *d);
void regs_reset(struct dev *d);
int regs_read(struct dev *d, uint32_t reg, uint32_t *val);
int regs_write(struct dev *d, uint32_t reg, uint32_t val);

/*
 * grid.c: sample times as exact multiples of num/den acquisition ticks since
 * the counter was last zero. Nothing accumulates: t = floor(j * num / den).
 */
struct grid {
	uint64_t num, den, j, t, frac;
};

void grid_start(struct grid *g, uint64_t num, uint64_t den, uint64_t after);
void grid_next(struct grid *g);

/*
 * Sample time up to which this device's frames are out. A sample that is on
 * its way when streams are scheduled again is not lost.
 */
static inline uint64_t dev_sampled(const struct dev *d)
{
	uint64_t late = d->hub->latency_ticks;

	return d->m->clock > late ? d->m->clock - late : 0;
}

/* hub_info.c */
int hub_info_read(struct hub *h, uint32_t reg, uint32_t *val);

/* One class per device kind. */
extern const struct dev_class class_heartbeat, class_port, class_clock_out,
	class_analog, class_digital, class_memory, class_load, class_harp,
	class_rhd2164, class_bno055, class_ts4231, class_estim, class_ostim,
	class_rhs2116, class_rhs_trigger;

extern const struct dev_class class_heartbeat_plain, class_rhythm, class_ttl_out,
	class_analog_out, class_harp_rhythm, class_bno055_acq, class_raw_i2c;

/* acq_hub.c: the hubs of an Acquisition Board */
void board_power_on(struct model *m);
void board_reset(struct model *m);
int board_info_read(struct hub *h, uint32_t reg, uint32_t *val);
int board_info_write(struct hub *h, uint32_t reg, uint32_t val);
int board_manager_read(struct hub *h, uint32_t reg, uint32_t *val);
int board_manager_write(struct hub *h, uint32_t reg, uint32_t val);
/* Hz of the clock before its divider, and what it is divided by. */
uint32_t board_base_hz(const struct model *m);
uint32_t board_divisor(const struct model *m);
/* TTL inputs as the board sees them. */
uint32_t board_ttl_in(const struct model *m);
int board_command(struct model *m, const char *what, const char *arg, char *err, size_t errlen);
int board_set(struct model *m, const char *key, const char *value);

/* dev_port.c */
int port_command(struct model *m, const char *port, const char *what, char *err, size_t errlen);
/* dev_digital.c */
int digital_command(struct dev *d, const char *what, const char *arg,
		    char *err, size_t errlen);
/* Tenths of a volt at the headstage behind a hub; 0: it has no power. */
uint32_t port_headstage_tenths(const struct hub *h);

/* dev_stim.c */
void stim_wrote(struct dev *d, unsigned int i);
void stim_status(const struct dev *d, FILE *out, const char *prefix);
/* GPO0 pulses trigger every armed stimulator of a hub. */
void stim_gpo_trigger(struct hub *h);
int stim_command(struct model *m, const char *what, const char *port, char *err, size_t errlen);

/* dev_rhs2116.c */
enum stim_origin { STIM_FROM_GPIO = 1, STIM_FROM_REGISTER = 2, STIM_FROM_SYNC = 4 };

void rhs_trigger(struct dev *d, enum stim_origin origin, uint32_t delay);
/* What the control socket does to a headstage-rhs2116, by its trigger. */
void rhs_ttl_gpio(struct dev *d);
void rhs_ttl_sync(struct dev *d);
void rhs_trigger_silent(struct dev *d);
void rhs_seqerror(struct dev *d);

/* ---- little-endian stores ------------------------------------------- */
static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v);
	put16(p + 2, v >> 16);
}

static inline void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

#endif
