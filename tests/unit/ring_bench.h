/* SPDX-License-Identifier: MIT */
/*
 * ring_bench.h - a ring in memory for the tests of the library's reader side.
 *
 * A memfd is mapped twice in a row, as the kernel maps a ring; the test plays the
 * kernel and the hardware. One fixture, @f, for each test; it owns everything.
 */
#ifndef RING_BENCH_H
#define RING_BENCH_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring.h"

#define RING	65536u
#define BLOCK	4096u
#define DESCS	64u

static const struct oni_device rows[] = {
	{ .addr = 0x00, .id = ONIDEV_ID_PERSISTENT_HEARTBEAT, .read_size = 8 },
	{ .addr = 0x0a, .id = ONIDEV_ID_MEMORY_MONITOR, .read_size = 12 },
	{ .addr = 0x100, .id = ONIDEV_ID_RHD2164, .read_size = 142 },
};

struct fixture {
	struct oni_ring_producer prod;
	struct oni_ring_consumer cons;
	struct oni_block desc[DESCS];
	uint8_t *data;
	struct onidev_table *table;
	struct onidev_ring ring;
	uint64_t filled;	/* bytes put, published or not */
};

static struct fixture *f;

static inline int setup(void **state)
{
	int fd = memfd_create("ring", MFD_CLOEXEC);

	(void)state;
	f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_int_equal(ftruncate(fd, RING), 0);
	/* The third part stays without access: nobody reads behind the ring. */
	f->data = mmap(NULL, 3 * RING, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(f->data, MAP_FAILED);
	assert_ptr_equal(mmap(f->data, RING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			      fd, 0), f->data);
	assert_ptr_equal(mmap(f->data + RING, RING, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED, fd, 0), f->data + RING);
	close(fd);
	f->prod.magic = ONI_RING_MAGIC;
	f->prod.abi_version = ONI_ABI_VERSION;
	f->prod.data_bytes = RING;
	f->prod.block_bytes = BLOCK;
	f->prod.desc_count = DESCS;
	f->prod.generation = 1;
	f->prod.flags = ONI_RING_RUNNING;
	f->table = onidev_table_new(rows, 3, 1);
	f->ring.prod = &f->prod;
	f->ring.cons = &f->cons;
	f->ring.data = f->data;
	f->ring.desc = f->desc;
	f->ring.data_bytes = RING;
	f->ring.desc_count = DESCS;
	f->ring.table = f->table;
	return ring_init(&f->ring);
}

static inline int teardown(void **state)
{
	(void)state;
	munmap(f->data, 3 * RING);
	onidev_table_free(f->table);
	free(f);
	return 0;
}

/*
 * Put a frame whose sample counts @seq, without publishing it. A stream's reader is
 * never overwritten; a monitor may be.
 */
static inline void put(uint32_t addr, uint64_t clock, uint64_t seq)
{
	const struct oni_device *dev = onidev_table_find_addr(f->table, addr);
	uint8_t sample[256] = { 0 };

	memcpy(sample, &seq, 8);
	f->filled += onidev_frame_build(f->data + f->filled % RING, 512, clock, addr, sample,
					dev->read_size);
	assert_true(f->ring.monitor || f->filled - f->cons.tail <= RING);
}

static inline void publish(uint64_t head)
{
	__atomic_store_n(&f->prod.head, head, __ATOMIC_RELEASE);
}

/* Publish a descriptor like the kernel: slot, then desc_head. */
static inline void publish_block(uint64_t position, uint32_t bytes, uint32_t flags, uint64_t mono)
{
	uint64_t i = f->prod.desc_head;

	f->desc[i % DESCS] = (struct oni_block){
		.position = position, .bytes = bytes, .flags = flags, .mono_ns = mono, .seq = i,
	};
	__atomic_store_n(&f->prod.desc_head, i + 1, __ATOMIC_RELEASE);
}

static inline void expect_frame(uint64_t seq)
{
	struct onidev_frame fr;

	assert_int_equal(ring_next(&f->ring, &fr), 1);
	assert_true(onidev_frame_hub_clock(&fr) == seq);
}

static inline void expect_dry(void)
{
	struct onidev_frame fr;

	assert_int_equal(ring_next(&f->ring, &fr), 0);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
