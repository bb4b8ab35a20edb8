// SPDX-License-Identifier: MIT
/* fuzz-sources: driver/oni_guard.c */
/*
 * fuzz_guard - the driver's guard against a board that it looks after: whatever is
 * written, what the guard lets through leaves the impedance test of a chip off and
 * nothing but a frame to drive an output.
 *
 * Input: pieces of 7 bytes: what is written to, a register, a value.
 */
#include <stdbool.h>

#include "driver/oni_guard.h"
#include "fuzz.h"

#define REGS		0x29u
#define CHIP_REGS	64u
#define RAM		0x4000u
#define RAM_END		0x10000u

/* A board and one chip, which starts as a safe state leaves it. */
struct board {
	uint32_t reg[REGS];
	uint32_t ttl_mode, clock;
	uint16_t ram[RAM_END - RAM];
	uint8_t chip[CHIP_REGS];
};

/* As the chip decodes it, from the first bit on. */
static void chip_hears(struct board *b, uint16_t cmd)
{
	bool first = cmd & 0x8000, second = cmd & 0x4000;

	if (first && !second)
		b->chip[cmd >> 8 & 63] = cmd & 0xff;
}

static void chip_is_quiet(const struct board *b)
{
	unsigned int i;

	FUZZ_CHECK(b->chip[5] == 0 && b->chip[6] == 0 && b->chip[7] == 0);
	FUZZ_CHECK(b->chip[3] & 2);
	/* beyond the registers that a chip has nothing is written */
	for (i = 22; i < CHIP_REGS; i++)
		FUZZ_CHECK(b->chip[i] == 0);
}

static void board_is_quiet(const struct board *b)
{
	static const uint32_t hz[] = {
		1000, 1250, 1500, 2000, 2500, 3000, 3333, 5000, 6250, 10000, 12500, 15000,
		20000, 25000, 30000,
	};
	static const uint32_t base[] = { 30000, 25000, 20000, 30000 };
	uint32_t rate = base[b->clock >> 1 & 3], i;

	FUZZ_CHECK(!(b->reg[1] & 8));
	for (i = 17; i < REGS; i++)
		FUZZ_CHECK(b->reg[i] == 0);
	FUZZ_CHECK(b->ttl_mode <= 1);
	if (b->clock & 1)
		rate /= 2 * ((b->clock >> 3) + 1);
	for (i = 0; i < sizeof(hz) / sizeof(hz[0]) && hz[i] != rate; i++)
		;
	FUZZ_CHECK(i < sizeof(hz) / sizeof(hz[0]));
	FUZZ_CHECK(b->clock < 0x80);
}

static void write_rhythm(struct board *b, uint32_t reg, uint32_t val)
{
	if (!oni_guard_reg_writable(ONI_ID_RHYTHM, reg, val))
		return;
	FUZZ_CHECK(reg < REGS || (reg >= RAM && reg < RAM_END));
	if (reg < REGS) {
		b->reg[reg] = val;
		return;
	}
	FUZZ_CHECK(val <= 0xffff);
	b->ram[reg - RAM] = (uint16_t)val;
	chip_hears(b, b->ram[reg - RAM]);
}

/* The rule of an output: whole codes, and at rest a payload that it lets through. */
static void frame_rule(uint32_t id, uint32_t size)
{
	const struct oni_frame_rule *r = oni_guard_frame_rule(id, size);

	if (!r || !r->output)
		return;
	FUZZ_CHECK(oni_guard_is_output(id));
	FUZZ_CHECK(size >= 4 && size / 4 <= ONI_OUTPUT_WORDS && size % 4 == 0);
	FUZZ_CHECK(!(r->rest & ~r->bits));
	/* codes of 16 bits, one or two in a word; TTL lines are 16 */
	FUZZ_CHECK(r->bits == (size == 32 ? 0xffffffff : 0xffff));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct board b;
	struct fuzz_in in = { data, len };
	uint32_t what, reg, val;

	memset(&b, 0, sizeof(b));
	b.chip[3] = 2;
	while (in.len) {
		what = fuzz_u8(&in);
		reg = fuzz_u16(&in);
		val = fuzz_u32(&in);
		/* numbers that mean something, more often than chance has them */
		if (what & 0x80)
			val &= 0xffff;
		if (what & 0x40)
			reg %= 0x40;
		switch (what & 7) {
		case 0:
		case 1:
		case 2:
			write_rhythm(&b, reg, val);
			break;
		case 3:
			write_rhythm(&b, reg | RAM, val);
			break;
		case 4:
			if (oni_guard_rhythm_hub_writable(what & 0x20 ? 0x2000 : reg, val))
				b.clock = val;
			break;
		case 5:
			if (oni_guard_reg_writable(ONI_ID_TTL_OUT, reg, val))
				b.ttl_mode = val;
			break;
		case 6:
			frame_rule(0x10000 + (reg & 7), val & 0xff);
			break;
		default:
			FUZZ_CHECK(!oni_guard_reg_writable(ONI_ID_HS64_ESTIM, reg, val));
			FUZZ_CHECK(!oni_guard_reg_writable(ONI_ID_ANALOG_OUT, reg, val));
			FUZZ_CHECK(!oni_guard_reg_writable(0x10005 + val % 0x1000, reg, val));
			break;
		}
		chip_is_quiet(&b);
		board_is_quiet(&b);
	}
	return 0;
}
