// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * FT600 bridge: encoders, reply parser, credit of a pipe. See
 * oni_ft600_parse.h.
 */
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

#include "oni_ft600_parse.h"

/* First byte of a command and of a reply. */
#define CMD_WRITE	0x01
#define CMD_READ	0x02
#define CMD_PRIORITY	0x03
#define TAG_SIGNAL	0x01
#define TAG_VALUE	0x02

static void put_le32(u8 *p, u32 v)
{
	p[0] = v;
	p[1] = v >> 8;
	p[2] = v >> 16;
	p[3] = v >> 24;
}

static enum oni_ft600_item value_byte(struct oni_ft600_parser *p, u8 byte)
{
	p->value |= (u32)byte << 8 * p->len;
	if (++p->len < 4)
		return ONI_FT600_MORE;
	p->tag = 0;
	return ONI_FT600_VALUE;
}

/**
 * oni_ft600_feed - take one byte of the reply pipe
 * @p: the state; after ONI_FT600_VALUE @p->value holds the register value
 * @byte: the byte; after ONI_FT600_SIGNAL it is one of the signal channel
 *
 * A signal item has no length, only the zero of its packet as an end. One that
 * loses its end takes what follows with it up to the next zero; nothing in the
 * stream would tell.
 */
enum oni_ft600_item oni_ft600_feed(struct oni_ft600_parser *p, u8 byte)
{
	switch (p->tag) {
	case TAG_SIGNAL:
		if (!byte)
			p->tag = 0;
		return ONI_FT600_SIGNAL;
	case TAG_VALUE:
		return value_byte(p, byte);
	}
	if (byte != TAG_SIGNAL && byte != TAG_VALUE)
		return ONI_FT600_STRAY;
	p->tag = byte;
	p->len = 0;
	p->value = 0;
	return ONI_FT600_MORE;
}

/**
 * oni_ft600_credit_init - nothing was asked for yet
 * @c: the credit
 * @grant: bytes to ask for at a time, about
 * @unit: bytes of one transfer
 *
 * A session that ends inside a transfer would leave that hanging, so the grant
 * is a whole number of transfers.
 */
void oni_ft600_credit_init(struct oni_ft600_credit *c, u32 grant, u32 unit)
{
	u32 n = grant / unit;

	c->grant = (n ? n : 1) * unit;
	c->unit = unit;
	c->left = 0;
}

/* The request was made. */
void oni_ft600_credit_renew(struct oni_ft600_credit *c)
{
	c->left = c->grant;
}

/**
 * oni_ft600_credit_use - a transfer has ended with @bytes
 * @c: the credit
 * @bytes: not more than the unit
 *
 * A short transfer ends the session as far as the host can tell: what the chip
 * does with the rest of the credit is not known, and the vendor's library asks
 * anew after each one.
 *
 * Return: true if the session is over and the next request is due.
 */
bool oni_ft600_credit_use(struct oni_ft600_credit *c, u32 bytes)
{
	if (bytes < c->unit || c->left <= c->unit)
		c->left = 0;
	else
		c->left -= c->unit;
	return !c->left;
}

/**
 * oni_ft600_session - make a session packet
 * @buf: FT600_SESSION_BYTES
 * @seq: counter of packets; nobody is known to check it
 * @ep: the pipe
 * @cmd: FT600_SESSION_*
 * @bytes: length, for the commands that have one
 */
void oni_ft600_session(u8 *buf, u32 seq, u8 ep, u32 cmd, u64 bytes)
{
	memset(buf, 0, FT600_SESSION_BYTES);
	put_le32(buf, seq);
	buf[4] = ep;
	buf[5] = cmd;
	put_le32(buf + 8, bytes);
	put_le32(buf + 12, bytes >> 32);
}

/* The commands go into @buf of ONI_FT600_COMMAND_BYTES; return their length. */
size_t oni_ft600_write_reg(u8 *buf, u32 reg, u32 val)
{
	buf[0] = CMD_WRITE;
	put_le32(buf + 1, reg);
	put_le32(buf + 5, val);
	return 9;
}

size_t oni_ft600_read_reg(u8 *buf, u32 reg)
{
	buf[0] = CMD_READ;
	put_le32(buf + 1, reg);
	return 5;
}

size_t oni_ft600_priority(u8 *buf)
{
	buf[0] = CMD_PRIORITY;
	put_le32(buf + 1, ONI_FT600_PRIORITY);
	return 5;
}

/* Is the chip set up as the board needs it? @config: FT600_CONFIG_BYTES. */
bool oni_ft600_config_ok(const u8 *config)
{
	return config[FT600_CONFIG_MODE] == 1 &&
	       !config[FT600_CONFIG_OPTIONS] &&
	       !config[FT600_CONFIG_OPTIONS + 1];
}
