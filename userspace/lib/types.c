// SPDX-License-Identifier: MIT
/*
 * types.c - what is known about each ONI device id: name, registers, rate.
 *
 * Owns constant tables only; pure. Ids from liboni's onix.h, registers from the
 * ONIX device datasheets and, where these contradict the shipping host software
 * (bonsai-onix1), from the latter; those of the Acquisition Board from its host
 * software (acquisition-board plugin, bonsai-acquisition-board). A register
 * missing here can still be used by its number.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "onidev.h"
#include "text.h"

#define R	ONIDEV_REG_R
#define W	ONIDEV_REG_W
#define RW	(R | W)
#define RST	ONIDEV_REG_AT_RESET
#define GRD	ONIDEV_REG_GUARDED

#define ENABLE_AT(a)	{ a, RW | RST, "ENABLE", "bit 0: stream frames" }

static const struct onidev_reg enable0_regs[] = {
	ENABLE_AT(0),
};

static const struct onidev_reg enable8000_regs[] = {
	ENABLE_AT(0x8000),
};

/* Devices that the driver lets nobody write to: not known well enough. */
static const struct onidev_reg guarded0_regs[] = {
	{ 0, RW | RST | GRD, "ENABLE", "bit 0: stream frames" },
};

static const struct onidev_reg guarded8000_regs[] = {
	{ 0x8000, RW | RST | GRD, "ENABLE", "bit 0: stream frames" },
};

static const struct onidev_reg info_regs[] = {
	{ 0, R, "HARDWARE_ID", "low 16 bits: hub type" },
	{ 1, R, "HARDWARE_REVISION", "major << 8 | minor" },
	{ 2, R, "FIRMWARE_VERSION", "major << 8 | minor" },
	{ 3, R, "SAFE_FIRMWARE_VERSION", "major << 8 | minor; not every hub has it" },
	{ 4, R, "CLOCK_HZ", "Hz of the hub clock" },
	{ 5, R, "LATENCY_NS", "average from hub to host" },
	{ 0x10, W | GRD, "REBOOT", NULL },
	{ 0x20, RW | GRD, "PROGRAM", NULL },
	{ 0x21, W | GRD, "PROGRAM_DATA", NULL },
	{ 0x22, W | GRD, "PROGRAM_SIZE", NULL },
	{ 0x1000, R, "MEMORY_STATE", "Acquisition Board: 0 starting, 1 good, 2 invalid, 3 error" },
	{ 0x1001, RW | RST | GRD, "I2C_PORTS", "Acquisition Board: bits 0-3, ports A-D" },
	{ 0x2000, RW, "RHYTHM_CLOCK", "Rhythm's hub: divider << 3 | source << 1 | divided" },
	{ 0x2001, R, "RHYTHM_CLOCK_BUSY", "Rhythm's hub: 1 while the clock changes" },
};

static const struct onidev_reg heartbeat_regs[] = {
	ENABLE_AT(0),
	{ 1, RW, "CLK_DIV", "CLK_HZ / beats per second" },
	{ 2, R, "CLK_HZ", "Hz" },
};

static const struct onidev_reg persistent_heartbeat_regs[] = {
	{ 0, R, "ENABLE", "always 1" },
	{ 1, RW, "CLK_DIV", "CLK_HZ / beats per second" },
	{ 2, R, "CLK_HZ", "Hz" },
	{ 3, R, "MIN_HB_HZ", "lowest beat rate allowed, Hz" },
};

static const struct onidev_reg memory_regs[] = {
	ENABLE_AT(0),
	{ 1, RW, "CLK_DIV", "CLK_HZ / reports per second" },
	{ 2, R, "CLK_HZ", "Hz" },
	{ 3, R, "TOTAL_MEM", "buffer size, 32-bit words" },
	{ 4, R, "MEM_USAGE", "in use, 32-bit words" },
};

static const struct onidev_reg load_regs[] = {
	ENABLE_AT(0),
	{ 1, RW | RST, "CLK_DIV", "CLK_HZ / frames per second" },
	{ 2, R, "CLK_HZ", "Hz" },
	{ 3, RW | RST, "DT0H16_WORDS", "16-bit words per read frame, at most CLK_DIV - 9" },
	{ 4, RW | RST, "HTOD32_WORDS", "32-bit words per write frame" },
	{ 5, RW | RST, "DTOH_START", "first counter value of a read frame" },
};

static const struct onidev_reg analog_regs[] = {
	ENABLE_AT(0),
	{ 1, RW, "DIR", "bit n: channel n is 0 input, 1 output" },
	{ 2, RW | RST, "INRANGE0", "0: +-10 V, 1: +-2.5 V, 2: +-5 V, 3: +-10 V" },
	{ 3, RW | RST, "INRANGE1", "as INRANGE0" },
	{ 4, RW | RST, "INRANGE2", "as INRANGE0" },
	{ 5, RW | RST, "INRANGE3", "as INRANGE0" },
	{ 6, RW | RST, "INRANGE4", "as INRANGE0" },
	{ 7, RW | RST, "INRANGE5", "as INRANGE0" },
	{ 8, RW | RST, "INRANGE6", "as INRANGE0" },
	{ 9, RW | RST, "INRANGE7", "as INRANGE0" },
	{ 10, RW | RST, "INRANGE8", "as INRANGE0" },
	{ 11, RW | RST, "INRANGE9", "as INRANGE0" },
	{ 12, RW | RST, "INRANGE10", "as INRANGE0" },
	{ 13, RW | RST, "INRANGE11", "as INRANGE0" },
};

static const struct onidev_reg digital_regs[] = {
	ENABLE_AT(0),
	{ 1, RW, "LEDMODE", "0 off, 1 power and running, 2 and links, 3 all" },
	{ 2, RW | RST, "LEDLVL", "brightness, 0...15" },
	{ 3, RW | RST, "HARPCONF", "reserved" },
	{ 4, RW | RST, "GPIODIR", "reserved" },
	{ 5, R, "CLK_HZ", "Hz" },
	{ 6, RW | RST, "SPACING", "least clock ticks between event frames" },
	{ 7, RW | RST, "SAMPLING", "0: frames on change; else ticks between frames" },
};

static const struct onidev_reg clock_out_regs[] = {
	{ 1, RW, "CLOCK_GATE", "bit 0: 1 drives the clock" },
	{ 2, RW, "HIGH_CYCLES", "base clock cycles high, at least 1" },
	{ 3, RW, "LOW_CYCLES", "base clock cycles low, at least 1" },
	{ 4, RW | RST, "DELAY_CYCLES", "base clock cycles before the first edge" },
	{ 5, RW, "GATE_RUN", "1: only while running" },
	{ 6, R, "BASE_FREQ_HZ", "Hz" },
};

static const struct onidev_reg port_regs[] = {
	ENABLE_AT(0),
	{ 1, RW | GRD, "GPOSTATE", "bits 0-2: headstage outputs; bit 0 triggers stimulators" },
	{ 2, RW | GRD, "DESPWR", "0: deserialiser off" },
	{ 3, RW | GRD, "PORTVOLTAGE", "tenths of a volt; use 'onictl port'" },
	{ 4, W | GRD, "SAVEVOLTAGE", "applied at every power-on" },
	{ 5, R, "LINKSTATE", "bit 0 lock, bit 1 pass" },
	{ 6, RW | GRD, "LINKOPTS", "bit 0: port auto-shutdown" },
	{ 7, RW, "LINKFLAGS", "sticky events, write 3 to clear" },
};

static const struct onidev_reg harp_regs[] = {
	ENABLE_AT(0),
	{ 1, RW, "SOURCE", "0: 3.5 mm jack, 1: SMA clock-in adapter" },
};

static const struct onidev_reg ds90_regs[] = {
	ENABLE_AT(0x8000),
	{ 0x8001, RW | RST | GRD, "READSZ", "15:0 samples per frame, 31:16 frames to aggregate" },
	{ 0x8002, RW | RST | GRD, "TRIGGER", NULL },
	{ 0x8003, RW | RST | GRD, "TRIGGEROFF", "samples skipped after a trigger" },
	{ 0x8004, RW | RST | GRD, "DATAGATE", NULL },
	{ 0x8005, RW | RST | GRD, "SYNCBITS", NULL },
	{ 0x8006, RW | RST | GRD, "MARK", NULL },
	{ 0x8007, RW | RST | GRD, "MAGIC_MASK", NULL },
	{ 0x8008, RW | RST | GRD, "MAGIC", NULL },
	{ 0x8009, RW | RST | GRD, "MAGIC_WAIT", "samples to wait, 0: for ever" },
	{ 0x800a, RW | RST | GRD, "DATAMODE", NULL },
	{ 0x800b, RW | RST | GRD, "DATALINES0", NULL },
	{ 0x800c, RW | RST | GRD, "DATALINES1", NULL },
	{ 0x8010, RW | GRD, "GPIO_DIR", NULL },
	{ 0x8011, RW | GRD, "GPIO_VAL", NULL },
	{ 0x8012, R, "LINK_STATUS", "bit 0 lock, bit 1 pass" },
	{ 0x8013, R, "LASTI2CL", "acquisition clock of the last I2C access, low half" },
	{ 0x8014, R, "LASTI2CH", "high half" },
};

static const struct onidev_reg bno055_regs[] = {
	ENABLE_AT(0),
	{ 1, RW, "AXIS_MAP", "acquisition board only" },
	{ 2, R, "STATUS", "acquisition board only: 0 absent, 1 present, more: scanning" },
};

static const struct onidev_reg rhd2164_regs[] = {
	{ 0x00, RW | RST, "ADCCONF", NULL },
	{ 0x01, RW | RST, "ADCBUFF", NULL },
	{ 0x02, RW | RST, "MUXBIAS", NULL },
	{ 0x03, RW | RST, "MUXLOAD", NULL },
	{ 0x04, RW | RST, "FORMAT", "bit 6 two's complement, bit 4 DSP high-pass, 3:0 cutoff" },
	{ 0x05, RW | RST | GRD, "ZCHECK", NULL },
	{ 0x06, RW | RST | GRD, "ZDAC", NULL },
	{ 0x07, RW | RST | GRD, "ZSELECT", NULL },
	{ 0x08, RW | RST, "BW0", "upper cutoff, 5:0" },
	{ 0x09, RW | RST, "BW1", "upper cutoff, 4:0" },
	{ 0x0a, RW | RST, "BW2", "upper cutoff, 5:0" },
	{ 0x0b, RW | RST, "BW3", "upper cutoff, 4:0" },
	{ 0x0c, RW | RST, "BW4", "lower cutoff, 6:0" },
	{ 0x0d, RW | RST, "BW5", "lower cutoff, 6:0" },
	{ 0x0e, RW | RST, "PWR0", "amplifiers 0-7" },
	{ 0x0f, RW | RST, "PWR1", "amplifiers 8-15" },
	{ 0x10, RW | RST, "PWR2", "amplifiers 16-23" },
	{ 0x11, RW | RST, "PWR3", "amplifiers 24-31" },
	{ 0x12, RW | RST, "PWR4", "amplifiers 32-39" },
	{ 0x13, RW | RST, "PWR5", "amplifiers 40-47" },
	{ 0x14, RW | RST, "PWR6", "amplifiers 48-55" },
	{ 0x15, RW | RST, "PWR7", "amplifiers 56-63" },
	{ 0x3c, R, "DIE_REV", NULL },
	{ 0x3d, R, "UNIPOLAR", "amplifier type" },
	{ 0x3e, R, "NUM_AMPS", NULL },
	{ 0x3f, R, "CHIP_ID", NULL },
	ENABLE_AT(0x8000),
};

static const struct onidev_reg rhs2116_regs[] = {
	{ 0x00, RW | RST | GRD, "BIAS", NULL },
	{ 0x01, RW | RST | GRD, "FORMAT", NULL },
	{ 0x02, RW | RST | GRD, "ZCHECK", NULL },
	{ 0x03, RW | RST | GRD, "DAC", NULL },
	{ 0x04, RW, "BW0", "upper cutoff" },
	{ 0x05, RW, "BW1", "upper cutoff" },
	{ 0x06, RW, "BW2", "lower cutoff A" },
	{ 0x07, RW, "BW3", "recovery cutoff B" },
	{ 0x08, RW | RST | GRD, "PWR", NULL },
	{ 0x20, RW | RST | GRD, "STIMENA", NULL },
	{ 0x21, RW | RST | GRD, "STIMENB", NULL },
	{ 0x22, RW | RST | GRD, "STEPSZ", NULL },
	{ 0x23, RW | RST | GRD, "STIMBIAS", NULL },
	{ 0x24, RW | RST | GRD, "RECVOLT", NULL },
	{ 0x25, RW | RST | GRD, "RECCUR", NULL },
	{ 0x26, RW | RST | GRD, "DCPWR", NULL },
	ENABLE_AT(0x8000),
	{ 0x8001, R, "MAXDELTAS", "capacity of the delta table" },
	{ 0x8002, RW | GRD, "NUMDELTAS", NULL },
	{ 0x8003, W | GRD, "DELTAIDXTIME", NULL },
	{ 0x8004, W | GRD, "DELTAPOLEN", NULL },
	{ 0x8005, R, "SEQERROR", "not 0: bad sequence, stimulation is disabled until a reset" },
	{ 0x8006, W | GRD, "TRIGGER", NULL },
	{ 0x8007, RW | GRD, "FASTSETTLESAMPLES", "samples, at most 30" },
	{ 0x8008, RW | GRD, "RESPECTSTIMACTIVE", NULL },
};

static const struct onidev_reg rhs2116_trigger_regs[] = {
	ENABLE_AT(0),
	{ 1, RW | GRD, "TRIGGERSOURCE", NULL },
	{ 2, W | GRD, "TRIGGER", NULL },
	{ 3, RW | GRD, "TRIGGERARMED", "0: ignore every trigger" },
};

static const struct onidev_reg estim_regs[] = {
	{ 1, RW | GRD, "BIPHASIC", NULL },
	{ 2, RW | GRD, "CURRENT1", "DAC code" },
	{ 3, RW | GRD, "CURRENT2", "DAC code" },
	{ 4, RW | GRD, "PULSEDUR1", "us" },
	{ 5, RW | GRD, "INTERPHASE", NULL },
	{ 6, RW | GRD, "PULSEDUR2", "us" },
	{ 7, RW | GRD, "INTERPULSE", NULL },
	{ 8, RW | GRD, "BURSTCOUNT", "pulses" },
	{ 9, RW | GRD, "INTERBURST", "us" },
	{ 10, RW | GRD, "TRAINCOUNT", "bursts" },
	{ 11, RW | GRD, "TRAINDELAY", "us" },
	{ 12, RW | GRD, "TRIGGER", NULL },
	{ 13, RW | GRD, "POWERON", "1: +-15 V supply on" },
	{ 14, RW | GRD, "ENABLE", "0: ignore triggers" },
	{ 15, RW | GRD, "RESTCURRENT", "DAC code" },
	{ 16, RW | GRD, "MASTERRESET", NULL },
	{ 17, R, "DACREZ", "bits of the DAC" },
};

static const struct onidev_reg ostim_regs[] = {
	{ 1, RW | GRD, "MAXCURRENT", "0 is the most, 255 the least" },
	{ 2, RW | GRD, "PULSEMASK", NULL },
	{ 3, RW | GRD, "PULSEDUR", "us" },
	{ 4, RW | GRD, "PULSEPERIOD", "us" },
	{ 5, RW | GRD, "BURSTCOUNT", "pulses" },
	{ 6, RW | GRD, "IBI", "us" },
	{ 7, RW | GRD, "TRAINCOUNT", "bursts, 0 is for ever" },
	{ 8, RW | GRD, "TRAINDELAY", "us" },
	{ 9, RW | GRD, "TRIGGER", NULL },
	{ 10, RW | GRD, "ENABLE", "0: ignore triggers" },
	{ 11, RW | GRD, "RESTMASK", NULL },
	{ 13, R, "MINRHEOR", "ohm" },
	{ 14, R, "POTRES", "ohm" },
};

static const struct onidev_reg test0_regs[] = {
	ENABLE_AT(0),
	{ 1, RW, "MESSAGE", "low 16 bits" },
	{ 2, R, "NUMTESTWORDS", NULL },
	{ 3, R, "FRAMERATE", "Hz" },
};

/*
 * Rhythm, the SPI engine of the Acquisition Board. What is guarded drives outputs; of
 * other registers the driver takes the values that do not. The command memory, 0x4000 +
 * (slot << 14) + (bank << 10) + index, has no names; of it the driver looks at every
 * command, some of which would switch on a test current.
 */
static const struct onidev_reg rhythm_regs[] = {
	ENABLE_AT(0),
	{ 1, RW, "MODE", "bit 1 run on and on, 2 DSP settle, 3 TTL out by DACs, 4 LEDs" },
	{ 2, RW, "MAX_TIMESTEP", "samples of a run, unless it runs on and on" },
	{ 3, RW, "CABLE_DELAY", "4 bits each port, A lowest; 1/2800 sample, at least 2" },
	{ 4, RW, "AUXCMD_BANK_1", "4 bits each port: command bank, 0...15" },
	{ 5, RW, "AUXCMD_BANK_2", "as AUXCMD_BANK_1" },
	{ 6, RW, "AUXCMD_BANK_3", "as AUXCMD_BANK_1" },
	{ 7, RW, "MAX_AUXCMD_INDEX_1", "last command of the list, 0...1023" },
	{ 8, RW, "MAX_AUXCMD_INDEX_2", "as MAX_AUXCMD_INDEX_1" },
	{ 9, RW, "MAX_AUXCMD_INDEX_3", "as MAX_AUXCMD_INDEX_1" },
	{ 10, RW, "LOOP_AUXCMD_INDEX_1", "where the list goes on after its last one" },
	{ 11, RW, "LOOP_AUXCMD_INDEX_2", "as LOOP_AUXCMD_INDEX_1" },
	{ 12, RW, "LOOP_AUXCMD_INDEX_3", "as LOOP_AUXCMD_INDEX_1" },
	{ 13, RW, "DATA_STREAM_SEL_1_8", "4 bits each: 0-7 A1 A2...D2, 8-15 their second halves" },
	{ 14, RW, "DATA_STREAM_SEL_9_16", "as DATA_STREAM_SEL_1_8" },
	{ 15, RW | RST, "DATA_STREAM_EN", "bit n: stream n + 1 is in the frame" },
	{ 16, RW, "EXT_FAST_SETTLE", "bit 4 on, 3:0 TTL input" },
	{ 17, RW | GRD, "EXT_DIGOUT_A", "bit 4 on, 3:0 TTL input" },
	{ 18, RW | GRD, "EXT_DIGOUT_B", "as EXT_DIGOUT_A" },
	{ 19, RW | GRD, "EXT_DIGOUT_C", "as EXT_DIGOUT_A" },
	{ 20, RW | GRD, "EXT_DIGOUT_D", "as EXT_DIGOUT_A" },
	{ 21, RW | GRD, "SYNC_CLKOUT_DIVIDE", "0: every sample, else half the ratio" },
	{ 22, RW | GRD, "DAC_CTL", "9:7 gain 2^n, 6:0 noise suppression, 16 LSB" },
	{ 23, RW | GRD, "DAC_SEL_0", "bit 10 on, 9:5 stream (16: by hand), 4:0 channel" },
	{ 24, RW | GRD, "DAC_SEL_1", "as DAC_SEL_0" },
	{ 25, RW | GRD, "DAC_SEL_2", "as DAC_SEL_0" },
	{ 26, RW | GRD, "DAC_SEL_3", "as DAC_SEL_0" },
	{ 27, RW | GRD, "DAC_SEL_4", "as DAC_SEL_0" },
	{ 28, RW | GRD, "DAC_SEL_5", "as DAC_SEL_0" },
	{ 29, RW | GRD, "DAC_SEL_6", "as DAC_SEL_0" },
	{ 30, RW | GRD, "DAC_SEL_7", "as DAC_SEL_0" },
	{ 31, RW | GRD, "DAC_THRESH_0", "15:0 threshold, bit 16 rising" },
	{ 32, RW | GRD, "DAC_THRESH_1", "as DAC_THRESH_0" },
	{ 33, RW | GRD, "DAC_THRESH_2", "as DAC_THRESH_0" },
	{ 34, RW | GRD, "DAC_THRESH_3", "as DAC_THRESH_0" },
	{ 35, RW | GRD, "DAC_THRESH_4", "as DAC_THRESH_0" },
	{ 36, RW | GRD, "DAC_THRESH_5", "as DAC_THRESH_0" },
	{ 37, RW | GRD, "DAC_THRESH_6", "as DAC_THRESH_0" },
	{ 38, RW | GRD, "DAC_THRESH_7", "as DAC_THRESH_0" },
	{ 39, RW | GRD, "HPF", "of the DACs: bit 16 on, 15:0 coefficient" },
	{ 40, R, "SPI_RUNNING", "1: a run is on" },
};

static const struct onidev_reg ttl_out_regs[] = {
	{ 1, RW, "MODE", "0: at a sample, 1: at once" },
};

#define REGS(a)	(a), sizeof(a) / sizeof((a)[0])
#define NONE	NULL, 0
#define EVENT	ONIDEV_RATE_EVENT
#define DIV	ONIDEV_RATE_CLK_DIV
#define HUB	ONIDEV_RATE_HUB
#define NOREG	ONIDEV_NO_REG

/* Sorted by id: find_id() searches it by halves. */
static const struct onidev_type types[] = {
	{ 0, "null", "empty row", NOREG, EVENT, NONE },
	{ 1, "info", "hub information", NOREG, EVENT, REGS(info_regs) },
	{ 2, "rhd2132", "Intan RHD2132 amplifier", 0x8000, EVENT, REGS(guarded8000_regs) },
	{ 3, "rhd2164", "Intan RHD2164 amplifier, 64 channels", 0x8000, 30000,
	  REGS(rhd2164_regs) },
	{ 4, "hs64-estim", "headstage-64 electrical stimulator", NOREG, EVENT,
	  REGS(estim_regs) },
	{ 5, "hs64-ostim", "headstage-64 optical stimulator", NOREG, EVENT, REGS(ostim_regs) },
	{ 6, "ts4231", "TS4231 light sensor", 0, EVENT, REGS(guarded0_regs) },
	{ 7, "digital-in32", "32-bit digital input", 0, EVENT, REGS(enable0_regs) },
	{ 8, "digital-out32", "32-bit digital output", NOREG, EVENT, NONE },
	{ 9, "bno055", "BNO055 orientation sensor", 0, 100, REGS(bno055_regs) },
	{ 10, "test0", "test device", 0, EVENT, REGS(test0_regs) },
	{ 11, "neuropixels1f", "Neuropixels 1.0f probe", 0x8000, 30000,
	  REGS(enable8000_regs) },
	{ 12, "heartbeat", "heartbeat", 0, DIV, REGS(heartbeat_regs) },
	{ 13, "ad51x2", "AD51X2 digital potentiometer", NOREG, EVENT, NONE },
	{ 14, "fmc-voltage", "port voltage control (old)", NOREG, EVENT, NONE },
	{ 15, "ad7617", "AD7617 ADC", NOREG, EVENT, NONE },
	{ 16, "ad576x", "AD576x DAC", NOREG, EVENT, NONE },
	{ 17, "test-register", "test register", NOREG, EVENT, NONE },
	{ 18, "digital-io", "breakout digital IO", 0, EVENT, REGS(digital_regs) },
	{ 19, "clock-in", "clock input", NOREG, EVENT, NONE },
	{ 20, "clock-out", "clock output", NOREG, EVENT, REGS(clock_out_regs) },
	{ 21, "ts4231-v2", "TS4231 V2 array", 0, EVENT, REGS(guarded0_regs) },
	{ 22, "analog-io", "breakout analog IO, 12 channels", 0, 100000, REGS(analog_regs) },
	{ 23, "port", "port controller", 0, EVENT, REGS(port_regs) },
	{ 24, "ds90ub9x", "raw DS90UB9x link", 0x8000, EVENT, REGS(ds90_regs) },
	{ 25, "ts4231-v1", "TS4231 V1 array", 0, EVENT, REGS(enable0_regs) },
	{ 26, "max10-adc", "MAX10 ADC", NOREG, EVENT, NONE },
	{ 27, "load-tester", "load tester", 0, DIV, REGS(load_regs) },
	{ 28, "memory-monitor", "memory monitor", 0, DIV, REGS(memory_regs) },
	{ 30, "harp", "Harp synchronisation input", 0, 1, REGS(harp_regs) },
	{ 31, "rhs2116", "Intan RHS2116 amplifier and stimulator", 0x8000, 30193.236714975847,
	  REGS(rhs2116_regs) },
	{ 32, "rhs2116-trigger", "RHS2116 stimulus trigger", 0, EVENT,
	  REGS(rhs2116_trigger_regs) },
	{ 33, "nric1384", "NRIC1384 probe", 0x8000, 30000, REGS(enable8000_regs) },
	{ 34, "raw-i2c", "raw I2C", 0x8000, EVENT, REGS(guarded8000_regs) },
	{ 35, "persistent-heartbeat", "persistent heartbeat", NOREG, DIV,
	  REGS(persistent_heartbeat_regs) },
	{ 0x10001, "rhythm", "Rhythm, amplifiers of an Acquisition Board", 0, HUB,
	  REGS(rhythm_regs) },
	{ 0x10002, "ttl-out", "TTL outputs of an Acquisition Board", NOREG, EVENT,
	  REGS(ttl_out_regs) },
	{ 0x10003, "analog-out", "analog outputs of an Acquisition Board", NOREG, EVENT, NONE },
	{ 0x10004, "harp-rhythm", "Harp time of Rhythm samples", 0, 1, REGS(enable0_regs) },
};

#define TYPE_COUNT	(sizeof(types) / sizeof(types[0]))

const struct onidev_type *onidev_type_find_id(uint32_t id)
{
	size_t lo = 0, hi = TYPE_COUNT;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (types[mid].id == id)
			return &types[mid];
		if (types[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	errno = ENOENT;
	return NULL;
}

const struct onidev_type *onidev_type_find_name(const char *name)
{
	size_t i;

	for (i = 0; i < TYPE_COUNT; i++)
		if (!strcasecmp(types[i].name, name))
			return &types[i];
	errno = ENOENT;
	return NULL;
}

const struct onidev_type *onidev_type_at(size_t i)
{
	return i < TYPE_COUNT ? &types[i] : NULL;
}

int onidev_type_reg(const struct onidev_type *type, const char *text, uint32_t *reg)
{
	size_t i;

	if (isdigit((unsigned char)*text))
		return text_u32(text, reg);
	for (i = 0; type && i < type->reg_count; i++) {
		if (strcasecmp(type->regs[i].name, text))
			continue;
		*reg = type->regs[i].addr;
		return 0;
	}
	errno = ENOENT;
	return -1;
}

const struct onidev_reg *onidev_type_reg_find(const struct onidev_type *type, uint32_t reg)
{
	size_t i;

	for (i = 0; type && i < type->reg_count; i++)
		if (type->regs[i].addr == reg)
			return &type->regs[i];
	return NULL;
}
