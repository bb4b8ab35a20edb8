// SPDX-License-Identifier: MIT
/* fuzz-sources: driver/oni_cobs.c */
/*
 * fuzz_cobs - the signal channel decoder of the kernel against a second one.
 *
 * The first byte of the input chooses: the rest is what arrives on the signal
 * channel, or payloads that are stuffed here and must come out as they went in.
 * The second decoder works on a whole packet: it marks the code bytes first and
 * then reads the zeros off the marks. Any difference aborts.
 *
 * Pure; one thread. The packet format is COBS with a zero delimiter, contents
 * as in the ONI v1.0 specification, signal channel.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "driver/oni_cobs.h"
#include "fuzz.h"

#define PACKET_MAX	255	/* stuffed bytes that a decoder must take */

/* Decoded length, or -1 if @enc is no stuffed packet. */
static int decode(const uint8_t *enc, size_t n, uint8_t *out)
{
	uint8_t is_code[PACKET_MAX + 1] = { 0 };
	size_t at, len = 0, last = 0;

	for (at = 0; at < n; at += enc[at]) {
		if (!enc[at])
			return -1;
		is_code[at] = 1;
	}
	if (at != n)
		return -1;
	for (at = 0; at < n; at++) {
		if (!is_code[at])
			out[len++] = enc[at];
		else if (at && enc[last] != 0xff)
			out[len++] = 0;
		if (is_code[at])
			last = at;
	}
	return (int)len;
}

static uint32_t word(const uint8_t *p)
{
	return p[0] + p[1] * 0x100u + p[2] * 0x10000u + p[3] * 0x1000000u;
}

/* What the packet @enc means. */
static enum oni_cobs_result expected(const uint8_t *enc, size_t n, struct oni_signal *sig)
{
	static const uint32_t flags[] = { 1, 2, 4, 8, 16, 32, 64 };
	uint8_t raw[PACKET_MAX];
	size_t i, known = 0;
	int len;

	if (!n)
		return ONI_COBS_MORE;
	if (n > PACKET_MAX)
		return ONI_COBS_BAD;
	len = decode(enc, n, raw);
	if (len < 4)
		return ONI_COBS_BAD;
	memset(sig, 0, sizeof(*sig));
	sig->flag = word(raw);
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		known += sig->flag == flags[i];
	if (!known)
		return ONI_COBS_BAD;
	for (i = 0; i < 5 && 4 * i + 8 <= (size_t)len; i++)
		sig->data[i] = word(raw + 4 + 4 * i);
	sig->words = (uint32_t)i;
	return ONI_COBS_PACKET;
}

static void raw_stream(const uint8_t *data, size_t len)
{
	struct oni_cobs *c = calloc(1, sizeof(*c));
	struct oni_signal got, want;
	enum oni_cobs_result res;
	size_t i, begin = 0;

	FUZZ_CHECK(c);
	for (i = 0; i < len; i++) {
		memset(&got, 0xcc, sizeof(got));
		memset(&want, 0xcc, sizeof(want));
		res = oni_cobs_feed(c, data[i], &got);
		if (data[i]) {
			FUZZ_CHECK(res == ONI_COBS_MORE);
			continue;
		}
		FUZZ_CHECK(res == expected(data + begin, i - begin, &want));
		FUZZ_CHECK(res != ONI_COBS_PACKET || !memcmp(&got, &want, sizeof(got)));
		begin = i + 1;
	}
	free(c);
}

/* Stuff @n bytes; the length with the delimiter. */
static size_t encode(const uint8_t *in, size_t n, uint8_t *out)
{
	size_t code = 0, len = 1, i;

	out[code] = 1;
	for (i = 0; i < n; i++) {
		if (in[i]) {
			out[len++] = in[i];
			out[code]++;
		}
		if (!in[i] || (out[code] == 0xff && i + 1 < n)) {
			code = len++;
			out[code] = 1;
		}
	}
	out[len++] = 0;
	return len;
}

/* Packets of a controller come out of any beginning but the first delimiter. */
static void round_trip(const uint8_t *data, size_t len)
{
	struct oni_cobs *c = calloc(1, sizeof(*c));
	uint8_t raw[4 + 24], enc[40];
	struct oni_signal sig;
	size_t n, m, i, k;

	FUZZ_CHECK(c);
	while (len > 1) {
		enum oni_cobs_result res = ONI_COBS_MORE;

		memset(raw, 0, 4);
		raw[0] = (uint8_t)(1u << (data[0] % 7));
		n = data[0] / 7 % 25;
		m = len - 1 < n ? len - 1 : n;
		memcpy(raw + 4, data + 1, m);
		k = encode(raw, 4 + m, enc);
		for (i = 0; i < k; i++) {
			FUZZ_CHECK(res == ONI_COBS_MORE);
			res = oni_cobs_feed(c, enc[i], &sig);
		}
		FUZZ_CHECK(res == ONI_COBS_PACKET && sig.flag == raw[0]);
		FUZZ_CHECK(sig.words == (m / 4 > 5 ? 5 : m / 4));
		for (i = 0; i < sig.words; i++)
			FUZZ_CHECK(sig.data[i] == word(raw + 4 + 4 * i));
		data += 1 + m;
		len -= 1 + m;
		/* line noise in between, if the input says so */
		for (; len && data[0] == 0xfe; data++, len--)
			oni_cobs_feed(c, data[0], &sig);
		oni_cobs_feed(c, 0, &sig);
	}
	free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len)
		return 0;
	if (data[0] & 1)
		round_trip(data + 1, len - 1);
	else
		raw_stream(data + 1, len - 1);
	return 0;
}
