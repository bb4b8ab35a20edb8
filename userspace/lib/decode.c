// SPDX-License-Identifier: MIT
/*
 * decode.c - samples of the known devices into structs, and one line of text.
 *
 * Pure: no I/O, no state, any alignment. Payload layouts are those of gateware 2
 * (plain little endian) in the ONIX datasheets; where a datasheet and the
 * shipping host software disagree (digital IO link bits, port status byte,
 * BNO055 order) the choice is noted at the decoder.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "onidev.h"

static uint16_t get16(const void *sample, size_t at)
{
	uint16_t v;

	memcpy(&v, (const uint8_t *)sample + at, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const void *sample, size_t at)
{
	uint32_t v;

	memcpy(&v, (const uint8_t *)sample + at, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const void *sample, size_t at)
{
	uint64_t v;

	memcpy(&v, (const uint8_t *)sample + at, sizeof(v));
	return le64toh(v);
}

static int size_is(const struct onidev_frame *frame, uint32_t size)
{
	if (frame->size == size)
		return 1;
	errno = EPROTO;
	return 0;
}

int onidev_decode_heartbeat(const struct onidev_frame *frame, struct onidev_heartbeat *out)
{
	if (!size_is(frame, 8))
		return -1;
	out->hub_clock = get64(frame->sample, 0);
	return 0;
}

/* The flags are the low byte of the u16 (bonsai-onix1), not the high one. */
int onidev_decode_port_status(const struct onidev_frame *frame, struct onidev_port_status *out)
{
	if (!size_is(frame, 10))
		return -1;
	out->hub_clock = get64(frame->sample, 0);
	out->code = get16(frame->sample, 8);
	return 0;
}

int onidev_decode_analog(const struct onidev_frame *frame, struct onidev_analog *out)
{
	size_t i;

	if (!size_is(frame, 8 + 2 * ONIDEV_ANALOG_CHANNELS))
		return -1;
	out->hub_clock = get64(frame->sample, 0);
	for (i = 0; i < ONIDEV_ANALOG_CHANNELS; i++)
		out->code[i] = (int16_t)get16(frame->sample, 8 + 2 * i);
	return 0;
}

double onidev_analog_volts_per_code(uint32_t inrange)
{
	static const double span[4] = { 20, 5, 10, 20 };

	return span[inrange & 3] / 65536;
}

/* Link bits at 8-11 as the host software has them, not at 6-9 as drawn. */
int onidev_decode_digital(const struct onidev_frame *frame, struct onidev_digital *out)
{
	if (!size_is(frame, 12))
		return -1;
	out->hub_clock = get64(frame->sample, 0);
	out->inputs = (uint8_t)get16(frame->sample, 8);
	out->buttons = get16(frame->sample, 10);
	return 0;
}

int onidev_decode_memory(const struct onidev_frame *frame, struct onidev_memory *out)
{
	if (!size_is(frame, 12))
		return -1;
	out->hub_clock = get64(frame->sample, 0);
	out->used_words = get32(frame->sample, 8);
	return 0;
}

double onidev_memory_percent(const struct onidev_memory *mem, uint32_t total_words)
{
	return total_words ? 100.0 * mem->used_words / total_words : 0;
}

int onidev_decode_load(const struct onidev_frame *frame, struct onidev_load *out)
{
	if (frame->size < 16 || frame->size & 1) {
		errno = EPROTO;
		return -1;
	}
	out->hub_clock = get64(frame->sample, 0);
	out->delta = get64(frame->sample, 8);
	out->words = (const uint8_t *)frame->sample + 16;
	out->count = (frame->size - 16) / 2;
	return 0;
}

/*
 * The chip sends its two halves in turn: words 0, 2, 4... are channels 0, 1,
 * 2..., words 1, 3, 5... are channels 32, 33, 34... Taking two words at once lets
 * the compiler turn the loop into shuffles. 0x8000 flips offset binary, the format
 * every host sets, to two's complement.
 */
void onidev_rhd2164_channels(const struct onidev_frame *frame, int16_t *out)
{
	const uint8_t *words = (const uint8_t *)frame->sample + 8;
	uint32_t pair[32];
	size_t i;

	memcpy(pair, words, sizeof(pair));
	for (i = 0; i < 32; i++) {
		uint32_t v = le32toh(pair[i]) ^ 0x80008000u;

		out[i] = (int16_t)(uint16_t)v;
		out[32 + i] = (int16_t)(uint16_t)(v >> 16);
	}
}

int onidev_decode_rhd2164(const struct onidev_frame *frame, struct onidev_rhd2164 *out)
{
	size_t i;

	if (!size_is(frame, 8 + 2 * (ONIDEV_RHD2164_CHANNELS + ONIDEV_RHD2164_AUX)))
		return -1;
	out->hub_clock = get64(frame->sample, 0);
	onidev_rhd2164_channels(frame, out->amp);
	for (i = 0; i < ONIDEV_RHD2164_AUX; i++)
		out->aux[i] = get16(frame->sample, 8 + 2 * (ONIDEV_RHD2164_CHANNELS + i));
	return 0;
}

/* Angles in the order of the chip's registers: heading, roll, pitch. */
int onidev_decode_bno055(const struct onidev_frame *frame, struct onidev_bno055 *out)
{
	size_t i;

	if (!size_is(frame, 36))
		return -1;
	out->hub_clock = get64(frame->sample, 0);
	for (i = 0; i < 3; i++) {
		out->euler_deg[i] = (int16_t)get16(frame->sample, 8 + 2 * i) / 16.0;
		out->linear_ms2[i] = (int16_t)get16(frame->sample, 22 + 2 * i) / 100.0;
		out->gravity_ms2[i] = (int16_t)get16(frame->sample, 28 + 2 * i) / 100.0;
	}
	for (i = 0; i < 4; i++)
		out->quaternion[i] = (int16_t)get16(frame->sample, 14 + 2 * i) / 16384.0;
	out->temperature_c = (int8_t)get16(frame->sample, 34);
	out->calibration = (uint8_t)(get16(frame->sample, 34) >> 8);
	return 0;
}

int onidev_decode_harp(const struct onidev_frame *frame, struct onidev_harp *out)
{
	if (!size_is(frame, 12))
		return -1;
	out->hub_clock = get64(frame->sample, 0);
	out->seconds = get32(frame->sample, 8);
	return 0;
}

/* --- Rhythm ------------------------------------------------------------------- */

#define RHYTHM_AUX_AT	20u

int onidev_rhythm_streams(uint32_t size)
{
	if (size < ONIDEV_RHYTHM_SIZE(0) || size > ONIDEV_RHYTHM_SIZE(ONIDEV_RHYTHM_STREAMS) ||
	    (size - ONIDEV_RHYTHM_SIZE(0)) % 72) {
		errno = EPROTO;
		return -1;
	}
	return (int)((size - ONIDEV_RHYTHM_SIZE(0)) / 72);
}

int onidev_decode_rhythm(const struct onidev_frame *frame, struct onidev_rhythm *out)
{
	int streams = onidev_rhythm_streams(frame->size);
	size_t adc, i;

	if (streams < 0)
		return -1;
	if (get64(frame->sample, 8) != ONIDEV_RHYTHM_MAGIC) {
		errno = EBADMSG;
		return -1;
	}
	out->hub_clock = get64(frame->sample, 0);
	out->sample = get32(frame->sample, 16);
	out->streams = (uint32_t)streams;
	out->aux = (const uint8_t *)frame->sample + RHYTHM_AUX_AT;
	out->amp = out->aux + 2 * ONIDEV_RHYTHM_AUX * out->streams;
	/* behind the amplifiers one word of each stream is filler */
	adc = frame->size - 2 * (ONIDEV_RHYTHM_ADCS + 2);
	for (i = 0; i < ONIDEV_RHYTHM_ADCS; i++)
		out->adc[i] = get16(frame->sample, adc + 2 * i);
	out->ttl_in = get16(frame->sample, adc + 2 * ONIDEV_RHYTHM_ADCS);
	out->ttl_out = get16(frame->sample, adc + 2 * ONIDEV_RHYTHM_ADCS + 2);
	return 0;
}

/*
 * Rows become columns. Inlined with @streams constant for the common counts, so that
 * the compiler can unroll and shuffle; at most 1 KiB, which stays in the first cache.
 */
static inline __attribute__((always_inline))
void transpose(const uint8_t *words, unsigned int rows, unsigned int streams, int16_t *out)
{
	unsigned int s, r;

	for (s = 0; s < streams; s++)
		for (r = 0; r < rows; r++)
			out[s * rows + r] = (int16_t)(get16(words, 2 * (r * streams + s)) ^ 0x8000);
}

void onidev_rhythm_channels(const struct onidev_rhythm *sample, int16_t *out)
{
	switch (sample->streams) {
	case 1:
		transpose(sample->amp, ONIDEV_RHYTHM_CHANNELS, 1, out);
		break;
	case 2:
		transpose(sample->amp, ONIDEV_RHYTHM_CHANNELS, 2, out);
		break;
	case 4:
		transpose(sample->amp, ONIDEV_RHYTHM_CHANNELS, 4, out);
		break;
	case 8:
		transpose(sample->amp, ONIDEV_RHYTHM_CHANNELS, 8, out);
		break;
	case 16:
		transpose(sample->amp, ONIDEV_RHYTHM_CHANNELS, 16, out);
		break;
	default:
		transpose(sample->amp, ONIDEV_RHYTHM_CHANNELS, sample->streams, out);
	}
}

void onidev_rhythm_aux(const struct onidev_rhythm *sample, int16_t *out)
{
	transpose(sample->aux, ONIDEV_RHYTHM_AUX, sample->streams, out);
}

int64_t onidev_rhythm_missing(uint32_t last, uint32_t next)
{
	uint32_t step = next - last;

	return step && step <= INT32_MAX ? (int64_t)step - 1 : -1;
}

double onidev_rhythm_adc_volts(uint32_t hardware_id, uint16_t code)
{
	if ((hardware_id & 0xffff) == ONIDEV_HUB_ACQ_GEN3)
		return 5 - 10.0 * code / 65536;
	return 10.0 * code / 65536 - 5.4096;
}

int onidev_decode_harp_rhythm(const struct onidev_frame *frame, struct onidev_harp_rhythm *out)
{
	if (!size_is(frame, 16))
		return -1;
	out->hub_clock = get64(frame->sample, 0);
	out->sample = get32(frame->sample, 8);
	out->seconds = get32(frame->sample, 12);
	return 0;
}

/* --- text ------------------------------------------------------------------- */

static int print_port(const struct onidev_frame *frame, char *buf, size_t len)
{
	struct onidev_port_status s;

	if (onidev_decode_port_status(frame, &s) < 0)
		return -1;
	return snprintf(buf, len, "%s, parity %s%s%s%s%s%s (code 0x%04x)",
			s.code & ONIDEV_PORT_LOCK ? "locked" : "not locked",
			s.code & ONIDEV_PORT_PARITY ? "pass" : "fail",
			s.code & ONIDEV_PORT_CRC ? ", CRC error" : "",
			s.code & ONIDEV_PORT_TOO_MANY ? ", too many devices" : "",
			s.code & ONIDEV_PORT_INIT ? ", initialisation error" : "",
			s.code & ONIDEV_PORT_BAD_PACKET ? ", bad packet" : "",
			s.code & ONIDEV_PORT_INIT_CRC ? ", initialisation CRC error" : "",
			s.code);
}

static int print_analog(const struct onidev_frame *frame, char *buf, size_t len)
{
	const double lsb = onidev_analog_volts_per_code(0);
	struct onidev_analog s;

	if (onidev_decode_analog(frame, &s) < 0)
		return -1;
	return snprintf(buf, len,
			"%.4f %.4f %.4f %.4f %.4f %.4f %.4f %.4f %.4f %.4f %.4f %.4f V (at +-10 V)",
			s.code[0] * lsb, s.code[1] * lsb, s.code[2] * lsb, s.code[3] * lsb,
			s.code[4] * lsb, s.code[5] * lsb, s.code[6] * lsb, s.code[7] * lsb,
			s.code[8] * lsb, s.code[9] * lsb, s.code[10] * lsb, s.code[11] * lsb);
}

static int print_digital(const struct onidev_frame *frame, char *buf, size_t len)
{
	struct onidev_digital s;

	if (onidev_decode_digital(frame, &s) < 0)
		return -1;
	return snprintf(buf, len, "inputs 0x%02x buttons 0x%02x ports on%s%s%s%s", s.inputs,
			s.buttons & 0x3f, s.buttons & ONIDEV_PORT_A_ON ? " A" : "",
			s.buttons & ONIDEV_PORT_B_ON ? " B" : "",
			s.buttons & ONIDEV_PORT_C_ON ? " C" : "",
			s.buttons & ONIDEV_PORT_D_ON ? " D" : "");
}

static int print_memory(const struct onidev_frame *frame, char *buf, size_t len)
{
	struct onidev_memory s;

	if (onidev_decode_memory(frame, &s) < 0)
		return -1;
	return snprintf(buf, len, "%u words waiting (%.1f KiB)", s.used_words,
			s.used_words / 256.0);
}

static int print_load(const struct onidev_frame *frame, char *buf, size_t len)
{
	struct onidev_load s;

	if (onidev_decode_load(frame, &s) < 0)
		return -1;
	return snprintf(buf, len, "delta %llu ticks, %u words", (unsigned long long)s.delta,
			s.count);
}

static int print_rhd2164(const struct onidev_frame *frame, char *buf, size_t len)
{
	struct onidev_rhd2164 s;
	double lo, hi, sum = 0;
	size_t i;

	if (onidev_decode_rhd2164(frame, &s) < 0)
		return -1;
	lo = hi = s.amp[0] * ONIDEV_RHD_UV_PER_CODE;
	for (i = 0; i < ONIDEV_RHD2164_CHANNELS; i++) {
		double uv = s.amp[i] * ONIDEV_RHD_UV_PER_CODE;

		lo = uv < lo ? uv : lo;
		hi = uv > hi ? uv : hi;
		sum += uv;
	}
	return snprintf(buf, len,
			"ch0-3 %.1f %.1f %.1f %.1f uV, all: min %.1f mean %.1f max %.1f uV, "
			"aux %.3f %.3f %.3f V",
			s.amp[0] * ONIDEV_RHD_UV_PER_CODE, s.amp[1] * ONIDEV_RHD_UV_PER_CODE,
			s.amp[2] * ONIDEV_RHD_UV_PER_CODE, s.amp[3] * ONIDEV_RHD_UV_PER_CODE, lo,
			sum / ONIDEV_RHD2164_CHANNELS, hi, s.aux[0] * ONIDEV_RHD_AUX_V_PER_CODE,
			s.aux[1] * ONIDEV_RHD_AUX_V_PER_CODE,
			s.aux[2] * ONIDEV_RHD_AUX_V_PER_CODE);
}

static int print_bno055(const struct onidev_frame *frame, char *buf, size_t len)
{
	struct onidev_bno055 s;

	if (onidev_decode_bno055(frame, &s) < 0)
		return -1;
	return snprintf(buf, len,
			"heading %.2f roll %.2f pitch %.2f deg, %d C, calibration %u%u%u%u",
			s.euler_deg[0], s.euler_deg[1], s.euler_deg[2], s.temperature_c,
			s.calibration >> 6, s.calibration >> 4 & 3, s.calibration >> 2 & 3,
			s.calibration & 3);
}

static int print_harp(const struct onidev_frame *frame, char *buf, size_t len)
{
	struct onidev_harp s;

	if (onidev_decode_harp(frame, &s) < 0)
		return -1;
	return snprintf(buf, len, "Harp second %u", s.seconds);
}

static int print_rhythm(const struct onidev_frame *frame, char *buf, size_t len)
{
	int16_t amp[ONIDEV_RHYTHM_STREAMS * ONIDEV_RHYTHM_CHANNELS];
	int16_t lo = INT16_MAX, hi = INT16_MIN;
	struct onidev_rhythm s;
	char range[64] = "";
	unsigned int i;

	if (onidev_decode_rhythm(frame, &s) < 0)
		return errno == EBADMSG ? snprintf(buf, len, "damaged: wrong magic") : -1;
	onidev_rhythm_channels(&s, amp);
	for (i = 0; i < s.streams * ONIDEV_RHYTHM_CHANNELS; i++) {
		lo = amp[i] < lo ? amp[i] : lo;
		hi = amp[i] > hi ? amp[i] : hi;
	}
	if (s.streams)
		snprintf(range, sizeof(range), ", min %.1f max %.1f uV",
			 lo * ONIDEV_RHD_UV_PER_CODE, hi * ONIDEV_RHD_UV_PER_CODE);
	return snprintf(buf, len, "sample %u, %u channels%s, TTL in 0x%04x out 0x%04x", s.sample,
			s.streams * ONIDEV_RHYTHM_CHANNELS, range, s.ttl_in, s.ttl_out);
}

static int print_harp_rhythm(const struct onidev_frame *frame, char *buf, size_t len)
{
	struct onidev_harp_rhythm s;

	if (onidev_decode_harp_rhythm(frame, &s) < 0)
		return -1;
	return snprintf(buf, len, "sample %u is at Harp second %u", s.sample, s.seconds);
}

/* At most 32 bytes behind the hub clock: enough to recognise a pattern. */
static int print_hex(const struct onidev_frame *frame, char *buf, size_t len)
{
	const uint8_t *p = frame->sample;
	char hex[3 * 32 + 8];
	uint32_t i, n = 0;

	for (i = 8; i < frame->size && i < 8 + 32; i++)
		n += (uint32_t)sprintf(hex + n, "%02x ", p[i]);
	if (i < frame->size)
		n += (uint32_t)sprintf(hex + n, "...");
	else if (n)
		n--;
	hex[n] = '\0';
	return snprintf(buf, len, "%u bytes: %s", frame->size, n ? hex : "hub clock only");
}

int onidev_frame_print(const struct onidev_frame *frame, char *buf, size_t len)
{
	int n = -1;

	switch (frame->dev ? frame->dev->id : 0) {
	case ONIDEV_ID_HEARTBEAT:
	case ONIDEV_ID_PERSISTENT_HEARTBEAT:
		n = frame->size == 8 ? snprintf(buf, len, "beat") : -1;
		break;
	case ONIDEV_ID_PORT_CONTROLLER:
		n = print_port(frame, buf, len);
		break;
	case ONIDEV_ID_ANALOG_IO:
		n = print_analog(frame, buf, len);
		break;
	case ONIDEV_ID_DIGITAL_IO:
		n = print_digital(frame, buf, len);
		break;
	case ONIDEV_ID_MEMORY_MONITOR:
		n = print_memory(frame, buf, len);
		break;
	case ONIDEV_ID_LOAD_TESTER:
		n = print_load(frame, buf, len);
		break;
	case ONIDEV_ID_RHD2164:
		n = print_rhd2164(frame, buf, len);
		break;
	case ONIDEV_ID_BNO055:
		n = print_bno055(frame, buf, len);
		break;
	case ONIDEV_ID_HARP:
		n = print_harp(frame, buf, len);
		break;
	case ONIDEV_ID_RHYTHM:
		n = print_rhythm(frame, buf, len);
		break;
	case ONIDEV_ID_HARP_RHYTHM:
		n = print_harp_rhythm(frame, buf, len);
		break;
	}
	/* A size the decoder does not know is still worth seeing. */
	return n < 0 ? print_hex(frame, buf, len) : n;
}
