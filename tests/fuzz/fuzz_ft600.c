// SPDX-License-Identifier: MIT
/* fuzz-sources: driver/oni_ft600_parse.c */
/*
 * fuzz_ft600 - the reply parser and the credit of the FT600 transport against
 * second implementations.
 *
 * The first byte of the input chooses: the rest is what arrives on the reply
 * pipe, and the second parser works on the whole of it, item by item, instead of
 * byte by byte; or a dialogue of requests and transfers with a chip that counts
 * what it still may send.
 *
 * Pure; one thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "driver/oni_ft600_parse.h"
#include "fuzz.h"

#define STREAM_MAX	4096

/* What each byte of a stream is, and the value that is complete with it. */
struct verdict {
	enum oni_ft600_item item[STREAM_MAX];
	uint32_t value[STREAM_MAX];
};

static size_t mark_value(struct verdict *v, const uint8_t *data, size_t at, size_t len)
{
	size_t i;

	for (i = at; i < len && i < at + 5; i++)
		v->item[i] = ONI_FT600_MORE;
	if (at + 5 > len)
		return len;
	v->item[at + 4] = ONI_FT600_VALUE;
	memcpy(&v->value[at + 4], data + at + 1, 4);
	return at + 5;
}

static size_t mark_signal(struct verdict *v, const uint8_t *data, size_t at, size_t len)
{
	const uint8_t *zero = len - at > 1 ? memchr(data + at + 1, 0, len - at - 1) : NULL;
	size_t end = zero ? (size_t)(zero - data) + 1 : len, i;

	v->item[at] = ONI_FT600_MORE;
	for (i = at + 1; i < end; i++)
		v->item[i] = ONI_FT600_SIGNAL;
	return end;
}

static void judge(struct verdict *v, const uint8_t *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		if (data[at] == 2) {
			at = mark_value(v, data, at, len);
		} else if (data[at] == 1) {
			at = mark_signal(v, data, at, len);
		} else {
			v->item[at++] = ONI_FT600_STRAY;
		}
	}
}

static void replies(const uint8_t *data, size_t len)
{
	struct oni_ft600_parser *p = calloc(1, sizeof(*p));
	struct verdict *v = calloc(1, sizeof(*v));
	size_t i;

	FUZZ_CHECK(p && v);
	if (len > STREAM_MAX)
		len = STREAM_MAX;
	judge(v, data, len);
	for (i = 0; i < len; i++) {
		enum oni_ft600_item item = oni_ft600_feed(p, data[i]);

		FUZZ_CHECK(item == v->item[i]);
		FUZZ_CHECK(item != ONI_FT600_VALUE || p->value == v->value[i]);
	}
	free(p);
	free(v);
}

/*
 * The chip sends what it may, in transfers of at most a unit, and forgets the
 * rest when one is short. The host must ask exactly when nothing may be sent.
 */
static void dialogue(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	uint32_t unit = 512u << fuzz_u8(&in) % 7;
	uint32_t grant = fuzz_u32(&in) % (4u << 20);
	struct oni_ft600_credit c;
	uint64_t chip = 0;

	oni_ft600_credit_init(&c, grant, unit);
	FUZZ_CHECK(c.grant && c.grant % unit == 0);
	FUZZ_CHECK(grant < unit ? c.grant == unit : grant - c.grant < unit);
	while (in.len) {
		uint32_t bytes = fuzz_u8(&in) & 1 ? fuzz_u16(&in) % unit : unit;
		bool over;

		if (!chip) {
			oni_ft600_credit_renew(&c);
			chip = c.grant;
		}
		FUZZ_CHECK(c.left == chip && chip >= unit);
		over = oni_ft600_credit_use(&c, bytes);
		chip = bytes < unit ? 0 : chip - bytes;
		FUZZ_CHECK(over == !chip);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len)
		return 0;
	if (data[0] & 1)
		dialogue(data + 1, len - 1);
	else
		replies(data + 1, len - 1);
	return 0;
}
