// SPDX-License-Identifier: MIT
/* unit-sources: tests/sim/dma.c */
/*
 * test_sim_dma.c - the guest memory the simulated card may reach: exactly what
 * was mapped, with the permission it was mapped with.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/sim/dma.h"

#define PAGE	4096u
#define BOTH	(DMA_READ | DMA_WRITE)

static struct dma_space s;
static int fd;

static int setup(void **state)
{
	(void)state;
	fd = memfd_create("ram", MFD_CLOEXEC);
	return ftruncate(fd, 64 * PAGE);
}

static int teardown(void **state)
{
	(void)state;
	dma_unmap_all(&s);
	close(fd);
	return 0;
}

static void test_pages_mapped_in_any_order_form_one_space(void **state)
{
	static const unsigned int order[] = { 5, 0, 7, 3, 1, 6, 2, 4 };
	uint8_t out[8 * PAGE], in[8 * PAGE];
	unsigned int i;

	(void)state;
	for (i = 0; i < 8; i++)
		assert_int_equal(dma_map(&s, 0x100000 + order[i] * PAGE, PAGE, fd,
					 (63 - order[i]) * PAGE, BOTH), 0);
	for (i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / PAGE);
	assert_int_equal(dma_write(&s, 0x100000 + 10, out, sizeof(out) - 20), 0);
	memset(in, 0, sizeof(in));
	assert_int_equal(dma_read(&s, 0x100000 + 10, in, sizeof(in) - 20), 0);
	assert_memory_equal(in, out, sizeof(out) - 20);
	/* One byte beyond either end is a fault. */
	assert_int_equal(dma_read(&s, 0x100000 + 7 * PAGE, in, PAGE + 1), -EFAULT);
	assert_int_equal(dma_read(&s, 0x100000 - 1, in, 2), -EFAULT);
}

static void test_permissions(void **state)
{
	uint32_t val = 1;

	(void)state;
	assert_int_equal(dma_map(&s, 0x1000, PAGE, fd, 0, DMA_READ), 0);
	assert_int_equal(dma_map(&s, 0x2000, PAGE, fd, PAGE, DMA_WRITE), 0);
	assert_int_equal(dma_map(&s, 0x3000, PAGE, -1, 0, BOTH), 0);
	assert_int_equal(dma_read(&s, 0x1000, &val, 4), 0);
	assert_int_equal(dma_write(&s, 0x1000, &val, 4), -EFAULT);
	assert_int_equal(dma_write(&s, 0x2000, &val, 4), 0);
	assert_int_equal(dma_read(&s, 0x2000, &val, 4), -EFAULT);
	/* A range without a descriptor has no memory behind it. */
	assert_int_equal(dma_read(&s, 0x3000, &val, 4), -EFAULT);
	assert_int_equal(dma_write(&s, 0x3000, &val, 4), -EFAULT);
}

static void test_overlap_is_refused(void **state)
{
	(void)state;
	assert_int_equal(dma_map(&s, 0x10000, 4 * PAGE, fd, 0, BOTH), 0);
	assert_int_equal(dma_map(&s, 0x10000, PAGE, fd, 0, BOTH), -EEXIST);
	assert_int_equal(dma_map(&s, 0x13000, 2 * PAGE, fd, 0, BOTH), -EEXIST);
	assert_int_equal(dma_map(&s, 0xf000, 2 * PAGE, fd, 0, BOTH), -EEXIST);
	assert_int_equal(dma_map(&s, 0xf000, 8 * PAGE, fd, 0, BOTH), -EEXIST);
	assert_int_equal(dma_map(&s, 0xf000, PAGE, fd, 0, BOTH), 0);
	assert_int_equal(dma_map(&s, 0x14000, PAGE, fd, 0, BOTH), 0);
}

static void test_unmap(void **state)
{
	uint32_t val;

	(void)state;
	assert_int_equal(dma_map(&s, 0x10000, 2 * PAGE, fd, 0, BOTH), 0);
	assert_int_equal(dma_map(&s, 0x20000, PAGE, fd, 0, BOTH), 0);
	assert_int_equal(dma_map(&s, 0x30000, PAGE, fd, 0, BOTH), 0);
	/* Half a range stays whole, nothing at all is fine. */
	assert_int_equal(dma_unmap(&s, 0x10000, PAGE), -EINVAL);
	assert_int_equal(dma_unmap(&s, 0x11000, PAGE), -EINVAL);
	assert_int_equal(dma_read(&s, 0x11000, &val, 4), 0);
	assert_int_equal(dma_unmap(&s, 0x40000, PAGE), 0);
	assert_int_equal(dma_unmap(&s, 0x8000, 0x19000), 0);
	assert_int_equal(dma_read(&s, 0x10000, &val, 4), -EFAULT);
	assert_int_equal(dma_read(&s, 0x20000, &val, 4), -EFAULT);
	assert_int_equal(dma_read(&s, 0x30000, &val, 4), 0);
}

static void test_end_of_the_address_space(void **state)
{
	uint64_t top = 0ull - PAGE;
	uint32_t val;

	(void)state;
	assert_int_equal(dma_map(&s, top, PAGE, fd, 0, BOTH), 0);
	assert_int_equal(dma_read(&s, top + PAGE - 4, &val, 4), 0);
	assert_int_equal(dma_map(&s, top, 2 * PAGE, fd, 0, BOTH), -EINVAL);
	assert_int_equal(dma_map(&s, 0, 0, fd, 0, BOTH), -EINVAL);
	assert_int_equal(dma_unmap(&s, top, PAGE), 0);
	assert_int_equal(dma_read(&s, top, &val, 4), -EFAULT);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pages_mapped_in_any_order_form_one_space),
		T(test_permissions),
		T(test_overlap_is_refused),
		T(test_unmap),
		T(test_end_of_the_address_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
