// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Signal channel decoder. See oni_cobs.h.
 *
 * The hardware is a stream of bytes without any length in front, and a host
 * may start to listen in the middle of a packet; the zero delimiter is the
 * only way to find a border again. So nothing here depends on what came
 * before the last delimiter.
 */
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

#include "oni_cobs.h"

static u32 le32_at(const u8 *p)
{
	return p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}

/*
 * Undo the byte stuffing in place. Returns the decoded length, or -1 if a code
 * byte points behind the end.
 */
static int unstuff(u8 *buf, u32 len)
{
	u32 in = 0, out = 0;

	while (in < len) {
		u32 code = buf[in++];
		u32 n = code - 1;

		if (!code || n > len - in)
			return -1;
		memmove(&buf[out], &buf[in], n);
		in += n;
		out += n;
		/* A full group stands for no zero; the last zero is implied. */
		if (code != 0xff && in < len)
			buf[out++] = 0;
	}
	return out;
}

static bool single_bit(u32 v)
{
	return v && !(v & (v - 1));
}

/*
 * oni_cobs_feed - take one byte of the signal channel
 *
 * An empty packet (a lone delimiter) is how a controller lets a listener
 * synchronise: it is skipped without complaint.
 */
enum oni_cobs_result oni_cobs_feed(struct oni_cobs *c, u8 byte,
				   struct oni_signal *sig)
{
	bool skip = c->skip;
	u32 i, len = c->len;
	int n;

	if (byte) {
		if (len == ONI_COBS_MAX)
			c->skip = true;
		else
			c->buf[c->len++] = byte;
		return ONI_COBS_MORE;
	}

	c->len = 0;
	c->skip = false;
	if (skip)
		return ONI_COBS_BAD;
	if (!len)
		return ONI_COBS_MORE;

	n = unstuff(c->buf, len);
	if (n < 4)
		return ONI_COBS_BAD;
	memset(sig, 0, sizeof(*sig));
	sig->flag = le32_at(c->buf);
	if (!single_bit(sig->flag) || sig->flag > ONI_SIG_DEVICE)
		return ONI_COBS_BAD;
	sig->words = (n - 4) / 4;
	if (sig->words > ONI_SIG_DEVICE_WORDS)
		sig->words = ONI_SIG_DEVICE_WORDS;
	for (i = 0; i < sig->words; i++)
		sig->data[i] = le32_at(c->buf + 4 + 4 * i);
	return ONI_COBS_PACKET;
}
