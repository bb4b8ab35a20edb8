// SPDX-License-Identifier: MIT
/* fuzz-sources: driver/oni_table.c driver/oni_cobs.c */
/* fuzz-cflags: -Idriver */
/*
 * fuzz_devtable - what the kernel makes of a device table and of write frames.
 *
 * Input: the number that announces the table, rows as packets of the signal
 * channel, then words that a program wrote. Accepted rows are compared with the
 * packets they came from, look-ups with loops over the rows. A buffer of write
 * frames is taken apart by a second parser that works on bytes; what is accepted
 * gives the same words when it is put together again.
 *
 * Pure; one thread. The buffers are as long as what is in them, so that reading
 * one word too far is seen.
 */
#include <errno.h>

#include "oni_table.h"
#include "fuzz.h"

#define ROWS	40

/* Small numbers, so that rows collide; now and then an impossible one. */
static struct oni_signal take_packet(struct fuzz_in *in)
{
	struct oni_signal sig = { 0 };
	uint8_t kind = fuzz_u8(in);

	sig.flag = kind & 0x1f ? ONI_SIG_DEVICE : 1u << (kind >> 5);
	sig.words = kind >= 0xe0 ? kind & 7 : ONI_SIG_DEVICE_WORDS;
	if (sig.words > ONI_SIG_DEVICE_WORDS)
		sig.words = ONI_SIG_DEVICE_WORDS;
	sig.data[0] = fuzz_u16(in) & 0x3ff;
	sig.data[1] = fuzz_u8(in) & 63;
	sig.data[2] = fuzz_u8(in);
	sig.data[3] = fuzz_u16(in);
	sig.data[4] = fuzz_u8(in);
	if (kind >= 0x1e && kind <= 0x1f) {
		uint8_t at = fuzz_u8(in);

		if (kind == 0x1f)
			sig.data[at % 5] = fuzz_u32(in);
		else
			sig.data[3 + (at & 1)] = ONI_MAX_SAMPLE + fuzz_u8(in) % 3 - 1;
	}
	return sig;
}

static int row_possible(const struct oni_signal *sig)
{
	return sig->flag == 0x40 && sig->words == 5 && sig->data[0] < 0x10000 &&
	       sig->data[0] % 256 < 254 && sig->data[3] <= 262144 && sig->data[4] <= 262144;
}

static uint32_t frame_bytes(uint32_t size, uint32_t header)
{
	return size ? header + (size + 3) / 4 * 4 : 0;
}

/* @t is sorted by the code under test; @orig as it came */
static void check_table(const struct oni_device *t, const struct oni_device *orig, uint32_t n)
{
	uint32_t i, k, addr, rd, wr, max_rd = 0, max_wr = 0;
	struct oni_device found;
	int ret, hub, want;

	for (i = 0; i < n; i++) {
		FUZZ_CHECK(!i || t[i - 1].addr < t[i].addr);
		for (k = 0; k < n && memcmp(&t[i], &orig[k], sizeof(t[i])); k++)
			;
		FUZZ_CHECK(k < n);
		if (frame_bytes(t[i].read_size, 16) > max_rd)
			max_rd = frame_bytes(t[i].read_size, 16);
		if (frame_bytes(t[i].write_size, 8) > max_wr)
			max_wr = frame_bytes(t[i].write_size, 8);
	}
	oni_table_frames(t, n, &rd, &wr);
	FUZZ_CHECK(rd == max_rd && wr == max_wr);

	for (addr = 0; addr < 0x500; addr++) {
		want = -1;
		hub = 0;
		for (k = 0; k < n; k++) {
			hub |= orig[k].addr / 256 == addr / 256;
			if (orig[k].addr == addr && orig[k].id)
				want = (int)k;
		}
		memset(&found, 0xcc, sizeof(found));
		ret = oni_table_find(t, n, addr, &found);
		if (addr % 256 == 254) {
			FUZZ_CHECK(ret == (hub ? 0 : -ENOENT));
			FUZZ_CHECK(ret || (found.addr == addr && !found.write_size && !found.id));
		} else {
			FUZZ_CHECK(ret == (want >= 0 ? 0 : -ENOENT));
			FUZZ_CHECK(ret || !memcmp(&found, &orig[want], sizeof(found)));
		}
	}
	FUZZ_CHECK(oni_table_find(t, n, 0x10000 | t[0].addr, &found) == -ENOENT);
}

static uint32_t word(const uint8_t *p)
{
	return p[0] + p[1] * 0x100u + p[2] * 0x10000u + p[3] * 0x1000000u;
}

static void check_frames(const struct oni_device *t, uint32_t n, const uint8_t *bytes, size_t len)
{
	size_t words = len / 4, pos = 0, at = 0;
	struct oni_write_frame f;
	struct oni_device row;
	uint32_t *buf, *again;
	int fits, ret;

	if (!words)
		return;
	buf = malloc(words * 4);
	again = calloc(words, 4);
	FUZZ_CHECK(buf && again);
	memcpy(buf, bytes, words * 4);
	while (pos < words) {
		uint64_t left = words * 4 - at;
		uint64_t payload = left >= 8 ? 4ull * word(bytes + at + 4) : 0;

		ret = oni_write_frame_at(buf, words, pos, &f);
		FUZZ_CHECK(ret == (payload && payload <= left - 8 ? 0 : -EINVAL));
		if (ret)
			break;
		FUZZ_CHECK(f.addr == word(bytes + at) && f.words * 4ull == payload);
		FUZZ_CHECK(f.next == pos + 2 + f.words && f.next <= words);
		if (!oni_table_find(t, n, f.addr, &row)) {
			fits = row.write_size && payload % row.write_size == 0;
			FUZZ_CHECK(oni_write_frame_fits(&f, &row) == fits);
		}
		again[pos] = f.addr;
		again[pos + 1] = f.words;
		memcpy(again + pos + 2, buf + pos + 2, f.words * 4);
		FUZZ_CHECK(!memcmp(again + pos, bytes + at, (f.next - pos) * 4));
		pos = f.next;
		at += 8 + payload;
	}
	free(buf);
	free(again);
}

/* Lengths that no buffer of a test can have */
static void check_huge(struct fuzz_in *in)
{
	struct oni_write_frame f = { .words = fuzz_u32(in) };
	struct oni_device row = { .write_size = fuzz_u8(in) };
	int fits = oni_write_frame_fits(&f, &row);

	if (f.words < 1u << 30)
		FUZZ_CHECK(fits == (row.write_size && f.words * 4ull % row.write_size == 0));
	else
		FUZZ_CHECK(!fits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct oni_device *t, *orig;
	struct oni_signal sig;
	uint32_t i, k, n, rows;
	int ret, unique = 1;

	check_huge(&in);
	memset(&sig, 0, sizeof(sig));
	sig.words = fuzz_u8(&in) % 3;
	sig.data[0] = fuzz_u8(&in) == 0xff ? fuzz_u32(&in) : 1 + fuzz_u8(&in) % 1030;
	ret = oni_table_announced(&sig, &rows);
	FUZZ_CHECK(ret == (sig.words && sig.data[0] >= 1 && sig.data[0] <= 1024 ? 0 : -EPROTO));
	FUZZ_CHECK(ret || rows == sig.data[0]);

	n = 1 + fuzz_u8(&in) % ROWS;
	t = calloc(n, sizeof(*t));
	orig = calloc(n, sizeof(*orig));
	FUZZ_CHECK(t && orig);
	for (i = 0; i < n; i++) {
		sig = take_packet(&in);
		ret = oni_table_row(&sig, &t[i]);
		FUZZ_CHECK(ret == (row_possible(&sig) ? 0 : -EPROTO));
		if (ret)
			goto out;
		FUZZ_CHECK(t[i].addr == sig.data[0] && t[i].id == sig.data[1] &&
			   t[i].version == sig.data[2] && t[i].read_size == sig.data[3] &&
			   t[i].write_size == sig.data[4]);
		for (k = 0; k < i; k++)
			unique &= t[k].addr != t[i].addr;
		orig[i] = t[i];
	}
	ret = oni_table_check(t, n);
	FUZZ_CHECK(ret == (unique ? 0 : -EPROTO));
	if (!ret) {
		check_table(t, orig, n);
		check_frames(t, n, in.data, in.len);
	}
out:
	free(t);
	free(orig);
	return 0;
}
