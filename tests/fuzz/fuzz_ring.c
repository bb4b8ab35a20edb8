// SPDX-License-Identifier: MIT
/* fuzz-sources: userspace/lib/ring.c userspace/lib/frame.c userspace/lib/table.c userspace/lib/types.c userspace/lib/clock.c */
/* fuzz-cflags: -Iuserspace/lib -Idriver */
/* fuzz-libs: -lm */
/*
 * fuzz_ring - the library's reader of a ring against a producer that obeys the
 * kernel's rules (driver/oni_ring_math.h), in any interleaving.
 *
 * Input: a list of steps: make a frame, make rubbish, publish some of what was
 * made, read a frame, release, read a block descriptor, resync, end, begin
 * again. Every frame made must come out once, in order, at its position, unless
 * rubbish was in the way; the tail must never be one the kernel would refuse.
 *
 * One thread; ring memory is a memfd that is mapped twice in a row, made once.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "oni_ring_math.h"
#include "ring.h"
#include "fuzz.h"

#define RING		16384u
#define DESCS		8u
#define STEPS		4000
#define PENDING		1024	/* frames made and not yet read */

static struct {
	struct oni_ring_producer prod;
	struct oni_ring_consumer cons;
	struct oni_block desc[DESCS];
	uint8_t *data;

	uint64_t made;		/* bytes written behind head */
	uint64_t last_tail;
	struct {
		uint64_t pos, end, clock;
		uint32_t addr;
	} frame[PENDING];
	size_t first, frames;
	int dirty;		/* rubbish was made, or the reader was put out of step */
	uint64_t clock;
} k;

static const struct oni_device rows[] = {
	{ .addr = 0x001, .id = 27, .read_size = 11 },
	{ .addr = 0x007, .id = 18, .read_size = 16 },
	{ .addr = 0x100, .id = 3, .read_size = 148 },
	{ .addr = 0x101, .id = 4, .read_size = 0 },
	{ .addr = 0x102, .id = 11, .read_size = 936 },
};

static uint8_t *double_map(void)
{
	int fd = memfd_create("ring", 0);
	uint8_t *p;

	FUZZ_CHECK(fd >= 0 && !ftruncate(fd, RING));
	p = mmap(NULL, 2 * RING, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FUZZ_CHECK(p != MAP_FAILED);
	FUZZ_CHECK(mmap(p, RING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == p);
	FUZZ_CHECK(mmap(p + RING, RING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		   p + RING);
	close(fd);
	return p;
}

static void begin(void)
{
	k.made = 0;
	k.last_tail = 0;
	k.first = 0;
	k.frames = 0;
	k.dirty = 0;
	k.cons.tail = 0;
	k.prod.desc_head = 0;
	k.prod.error = 0;
	k.prod.flags = ONI_RING_RUNNING;
	k.prod.head = 0;
	k.prod.generation++;
}

static int room(size_t n)
{
	return k.prod.flags == ONI_RING_RUNNING &&
	       oni_ring_fits(k.made, k.cons.tail, RING, n);
}

static void make_frame(struct fuzz_in *in)
{
	const struct oni_device *d = &rows[fuzz_u8(in) % 5];
	uint8_t sample[936];

	if (!d->read_size || k.frames == PENDING || !room(onidev_frame_wire(d->read_size)))
		return;
	/* Zeros would be plausible nowhere; these may look like headers. */
	memset(sample, fuzz_u8(in), sizeof(sample));
	k.frame[(k.first + k.frames) % PENDING].pos = k.made;
	k.frame[(k.first + k.frames) % PENDING].clock = ++k.clock;
	k.frame[(k.first + k.frames) % PENDING].addr = d->addr;
	k.made += onidev_frame_build(k.data + (k.made & (RING - 1)), RING, k.clock, d->addr,
				     sample, d->read_size);
	k.frame[(k.first + k.frames) % PENDING].end = k.made;
	k.frames++;
}

static void make_rubbish(struct fuzz_in *in)
{
	size_t n = 4 * (1 + fuzz_u8(in) % 16);

	if (!room(n))
		return;
	fuzz_take(in, k.data + (k.made & (RING - 1)), n);
	k.made += n;
	k.dirty = 1;
}

static void publish(uint32_t n)
{
	struct oni_block *b = &k.desc[k.prod.desc_head % DESCS];

	if (n > k.made - k.prod.head)
		n = (uint32_t)(k.made - k.prod.head);
	if (!n || k.prod.flags != ONI_RING_RUNNING)
		return;
	b->position = k.prod.head;
	b->bytes = n;
	b->flags = n < 256 ? ONI_BLOCK_SHORT : 0;
	b->mono_ns = k.clock * 100;
	b->seq = k.prod.desc_head;
	k.prod.head += n;
	k.prod.desc_head++;
}

/* The kernel's look at the tail: what it would not believe is the library's error. */
static void check_tail(void)
{
	FUZZ_CHECK(oni_ring_tail_ok(k.prod.head, k.last_tail, k.cons.tail));
	k.last_tail = k.cons.tail;
}

static void read_frame(struct onidev_ring *r)
{
	uint64_t pos = r->generation == k.prod.generation ? r->pos : 0;
	struct onidev_frame f;
	int rc, in_step, whole;

	while (k.frames && k.frame[k.first].pos < pos) {
		k.first = (k.first + 1) % PENDING;
		k.frames--;
	}
	in_step = k.frames && k.frame[k.first].pos == pos;
	whole = in_step && k.frame[k.first].end <= k.prod.head;
	FUZZ_CHECK(in_step || pos == k.made || k.dirty);

	rc = ring_next(r, &f);
	FUZZ_CHECK(rc >= -1 && rc <= 1);
	FUZZ_CHECK(!in_step || rc == whole);
	if (rc < 0)
		FUZZ_CHECK(errno == EPROTO && r->bad_position == pos);
	if (rc <= 0) {
		FUZZ_CHECK(r->pos == pos);
		return;
	}
	FUZZ_CHECK(f.position == pos && r->pos == pos + f.wire && r->pos <= k.prod.head);
	if (!in_step)
		return;
	FUZZ_CHECK(k.frame[k.first].clock == f.clock && k.frame[k.first].addr == f.addr);
	FUZZ_CHECK(k.frame[k.first].end == r->pos);
}

static void read_block(struct onidev_ring *r)
{
	uint64_t lost = 0, next = r->next_desc;
	uint32_t generation = r->generation;
	struct oni_block b;
	int rc = ring_block_next(r, &b, &lost);

	if (generation != r->generation)
		next = 0;
	if (!rc) {
		FUZZ_CHECK(next >= k.prod.desc_head);
		return;
	}
	if (rc < 0) {
		FUZZ_CHECK(errno == EOVERFLOW && lost && r->next_desc == next + lost);
		FUZZ_CHECK(k.prod.desc_head - next >= DESCS && r->next_desc <= k.prod.desc_head);
		return;
	}
	FUZZ_CHECK(b.seq == next && b.position + b.bytes <= k.prod.head);
}

static void resync(struct onidev_ring *r)
{
	uint64_t pos = r->pos;
	uint32_t generation = r->generation;
	int64_t n = ring_resync(r);

	if (generation != r->generation)
		pos = 0;
	FUZZ_CHECK(r->pos >= pos && r->pos <= k.prod.head && (r->pos - pos) % 4 == 0);
	FUZZ_CHECK(n == -1 ? errno == EAGAIN : r->pos == pos + (uint64_t)n);
	/* whoever resyncs in a clean stream loses a frame by his own doing */
	k.dirty = 1;
}

static void look(struct onidev_ring *r, uint32_t watermark)
{
	enum ring_state s = ring_look(r, watermark);

	switch (s) {
	case RING_EMPTY:
		FUZZ_CHECK(k.prod.flags == ONI_RING_RUNNING);
		break;
	case RING_SOME:
		FUZZ_CHECK(k.prod.head - k.cons.tail < watermark);
		break;
	case RING_READY:
		FUZZ_CHECK(k.prod.head > r->pos);
		break;
	case RING_END:
		FUZZ_CHECK(k.prod.flags == ONI_RING_STOPPED);
		break;
	case RING_GONE:
		FUZZ_CHECK(k.prod.flags == ONI_RING_GONE);
		break;
	case RING_ERROR:
		FUZZ_CHECK(k.prod.flags == ONI_RING_ERROR);
		break;
	}
}

static void step(struct onidev_ring *r, struct fuzz_in *in)
{
	static const uint32_t ends[] = { ONI_RING_STOPPED, ONI_RING_GONE, ONI_RING_ERROR };
	uint64_t at;
	uint8_t op = fuzz_u8(in);

	switch (op % 16) {
	case 0 ... 4:
		make_frame(in);
		break;
	case 5:
		if (op & 0x10)
			make_rubbish(in);
		break;
	case 6:
		publish(1 + fuzz_u16(in) % 2048);
		break;
	case 7:
		publish(RING);
		break;
	case 8 ... 10:
		read_frame(r);
		break;
	case 11:
		ring_release(r);
		break;
	case 12:
		at = r->tail + 4 * fuzz_u8(in);
		FUZZ_CHECK((ring_release_to(r, at) == 0) == (at <= r->pos));
		break;
	case 13:
		read_block(r);
		break;
	case 14:
		if (op & 0x10)
			resync(r);
		else
			look(r, op & 0x20 ? 1 : 4096);
		break;
	case 15:
		if (op < 0xd0)
			break;
		k.prod.flags = ends[op >> 4 & 1];
		if (op & 0x20)
			begin();
		break;
	}
	check_tail();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct onidev_ring r = {
		.prod = &k.prod, .cons = &k.cons, .desc = k.desc,
		.data_bytes = RING, .desc_count = DESCS,
	};
	struct fuzz_in in = { data, len };
	struct onidev_table *table;
	uint8_t *map = k.data;
	int i;

	if (!map)
		map = double_map();
	memset(&k, 0, sizeof(k));
	k.data = map;
	k.prod.magic = ONI_RING_MAGIC;
	k.prod.data_bytes = RING;
	k.prod.desc_count = DESCS;
	k.prod.flags = ONI_RING_STOPPED;
	table = onidev_table_new(rows, sizeof(rows) / sizeof(rows[0]), 1);
	r.table = table;
	r.data = k.data;
	r.clock = fuzz_u8(&in) & 1 ? onidev_clock_new(1e9) : NULL;
	FUZZ_CHECK(table && !ring_init(&r));
	begin();
	for (i = 0; i < STEPS && in.len; i++)
		step(&r, &in);
	if (r.clock)
		onidev_clock_free(r.clock);
	onidev_table_free(table);
	return 0;
}
