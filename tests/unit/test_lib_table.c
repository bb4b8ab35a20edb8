// SPDX-License-Identifier: MIT
/* unit-sources: userspace/lib/table.c userspace/lib/types.c userspace/lib/headstage.c driver/oni_guard.c */
/* unit-cflags: -Idriver */
/*
 * Device tables, names and the registry of device types. The registry's word on
 * which registers are refused is held against the driver's own list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "onidev.h"
#include "oni_guard.h"

/* Out of order on purpose. */
static const struct oni_device rows[] = {
	{ .addr = 0x201, .id = ONIDEV_ID_RHS2116, .read_size = 74 },
	{ .addr = 0x000, .id = ONIDEV_ID_PERSISTENT_HEARTBEAT, .read_size = 8 },
	{ .addr = 0x001, .id = ONIDEV_ID_PORT_CONTROLLER, .read_size = 10 },
	{ .addr = 0x002, .id = ONIDEV_ID_PORT_CONTROLLER, .read_size = 10 },
	{ .addr = 0x003, .id = ONIDEV_ID_NULL },
	{ .addr = 0x00a, .id = ONIDEV_ID_MEMORY_MONITOR, .read_size = 12 },
	{ .addr = 0x100, .id = ONIDEV_ID_RHD2164, .read_size = 142 },
	{ .addr = 0x104, .id = 99, .read_size = 11 },
	{ .addr = 0x200, .id = ONIDEV_ID_RHS2116, .read_size = 74 },
};

#define ROWS	(sizeof(rows) / sizeof(rows[0]))

static struct onidev_table *table;

static int setup(void **state)
{
	(void)state;
	table = onidev_table_new(rows, ROWS, 42);
	return table ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	onidev_table_free(table);
	return 0;
}

static void test_rows_are_sorted(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(onidev_table_count(table), ROWS);
	assert_int_equal(onidev_table_generation(table), 42);
	for (i = 1; i < ROWS; i++)
		assert_true(onidev_table_at(table, i - 1)->addr < onidev_table_at(table, i)->addr);
	assert_null(onidev_table_at(table, ROWS));
	/* 16 + 142 + 2 */
	assert_int_equal(onidev_table_max_frame(table), 160);
}

static void test_find(void **state)
{
	(void)state;
	assert_int_equal(onidev_table_find_addr(table, 0x100)->id, ONIDEV_ID_RHD2164);
	assert_null(onidev_table_find_addr(table, 0x101));
	assert_int_equal(errno, ENOENT);
	assert_null(onidev_table_find_addr(table, 0x10100));
	assert_int_equal(onidev_table_find_id(table, ONIDEV_ID_RHS2116, 1)->addr, 0x201);
	assert_null(onidev_table_find_id(table, ONIDEV_ID_RHS2116, 2));
	assert_int_equal(onidev_table_index(table, 0xffff), -1);
}

static void test_bad_tables(void **state)
{
	struct oni_device twice[2] = { { .addr = 1 }, { .addr = 1 } };
	struct oni_device high = { .addr = 0x10000 };

	(void)state;
	assert_null(onidev_table_new(twice, 2, 0));
	assert_int_equal(errno, EINVAL);
	assert_null(onidev_table_new(&high, 1, 0));
	assert_int_equal(errno, EINVAL);
}

static void test_empty_table(void **state)
{
	struct onidev_table *t = onidev_table_new(NULL, 0, 0);

	(void)state;
	assert_non_null(t);
	assert_int_equal(onidev_table_max_frame(t), 0);
	assert_int_equal(onidev_table_index(t, 0), -1);
	onidev_table_free(t);
}

static void test_copy_is_independent(void **state)
{
	struct onidev_table *t = onidev_table_copy(table);

	(void)state;
	assert_non_null(t);
	assert_ptr_not_equal(onidev_table_at(t, 0), onidev_table_at(table, 0));
	assert_memory_equal(onidev_table_at(t, 0), onidev_table_at(table, 0),
			    ROWS * sizeof(rows[0]));
	onidev_table_free(t);
}

static void expect_addr(const char *text, uint32_t expected)
{
	uint32_t addr = 0xcccccccc;

	if (onidev_table_resolve(table, text, &addr) < 0)
		fail_msg("'%s' was refused with errno %d", text, errno);
	if (addr != expected)
		fail_msg("'%s' became 0x%x, expected 0x%x", text, addr, expected);
}

static void expect_refused(const char *text, int expected)
{
	uint32_t addr;

	errno = 0;
	if (!onidev_table_resolve(table, text, &addr))
		fail_msg("'%s' was taken as 0x%x", text, addr);
	if (errno != expected)
		fail_msg("'%s': errno %d, expected %d", text, errno, expected);
}

static void test_resolve(void **state)
{
	(void)state;
	expect_addr("0x100", 0x100);
	expect_addr("256", 0x100);
	expect_addr("010", 0x00a);
	expect_addr("0", 0);
	expect_addr("1.0", 0x100);
	expect_addr("hub1.0", 0x100);
	expect_addr("HUB1.0", 0x100);
	expect_addr("hub1", 0x1fe);
	expect_addr("hub1.info", 0x1fe);
	expect_addr("hub0.254", 0x0fe);
	expect_addr("0xfe", 0x0fe);
	expect_addr("rhd2164", 0x100);
	expect_addr("RHD2164", 0x100);
	expect_addr("port-a", 0x001);
	expect_addr("port-b", 0x002);
	expect_addr("rhs2116@2.1", 0x201);
	expect_addr("id99", 0x104);
}

static void test_resolve_refuses(void **state)
{
	(void)state;
	expect_refused("", EINVAL);
	expect_refused("-1", EINVAL);
	expect_refused("+1", EINVAL);
	expect_refused(" 1", EINVAL);
	expect_refused("0x", EINVAL);
	expect_refused("1x", EINVAL);
	expect_refused("1.5e3", EINVAL);
	expect_refused("1.", EINVAL);
	expect_refused("0x10000", ERANGE);
	expect_refused("99999999999999999999999", ERANGE);
	expect_refused("0x101", ENOENT);
	expect_refused("1.1", ENOENT);
	expect_refused("hub1.9", ENOENT);
	expect_refused("hub256", ENOENT);
	expect_refused("port-c", ENOENT);
	expect_refused("bno055", ENOENT);
	expect_refused("null", ENOENT);
	expect_refused("rhs2116", ENOTUNIQ);
	expect_refused("rhs2116@1.0", ENOENT);
	expect_refused("rhs2116@", EINVAL);
	expect_refused("@1.0", ENOENT);
}

static void test_names_resolve_to_themselves(void **state)
{
	char name[ONIDEV_NAME_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS; i++)
		expect_addr(onidev_table_name(table, rows[i].addr, name), rows[i].addr);
	assert_string_equal(onidev_table_name(table, 0x200, name), "rhs2116@2.0");
	assert_string_equal(onidev_table_name(table, 0x001, name), "port-a");
	assert_string_equal(onidev_table_name(table, 0x1fe, name), "hub1.info");
	assert_string_equal(onidev_table_name(table, 0x104, name), "id99");
	assert_string_equal(onidev_table_name(table, 0x003, name), "0x003");
	assert_string_equal(onidev_table_name(table, 0xffffffff, name), "0xffffffff");
}

static void test_types_are_consistent(void **state)
{
	const struct onidev_type *t;
	size_t i, j, k;

	(void)state;
	for (i = 0; (t = onidev_type_at(i)); i++) {
		assert_ptr_equal(onidev_type_find_id(t->id), t);
		assert_ptr_equal(onidev_type_find_name(t->name), t);
		assert_true(strlen(t->name) < ONIDEV_NAME_MAX - 8);
		if (i)
			assert_true(onidev_type_at(i - 1)->id < t->id);
		if (t->enable_reg != ONIDEV_NO_REG)
			assert_string_equal(onidev_type_reg_find(t, t->enable_reg)->name, "ENABLE");
		for (j = 0; j < t->reg_count; j++)
			for (k = 0; k < j; k++) {
				assert_true(t->regs[j].addr > t->regs[k].addr);
				assert_string_not_equal(t->regs[j].name, t->regs[k].name);
			}
	}
	assert_true(i > 30);
	assert_null(onidev_type_find_id(29));
	assert_null(onidev_type_find_name("nothing"));
}

/* The only register that can be written is on one hub: of an Acquisition Board. */
static int driver_lets(uint32_t id, uint32_t reg)
{
	return oni_guard_reg_writable(id, reg, 0) ||
	       (id == ONIDEV_ID_INFO && oni_guard_rhythm_hub_writable(reg, 0));
}

/*
 * What the registry says about refused writes is what the driver refuses. Where it looks
 * at the value, it lets 0 through.
 */
static void test_guard_is_the_drivers(void **state)
{
	const struct onidev_type *t;
	size_t i, j;

	(void)state;
	for (i = 0; (t = onidev_type_at(i)); i++)
		for (j = 0; j < t->reg_count; j++) {
			const struct onidev_reg *r = &t->regs[j];
			int refused = !driver_lets(t->id, r->addr);

			if (!(r->flags & ONIDEV_REG_W))
				continue;
			if (refused != !!(r->flags & ONIDEV_REG_GUARDED))
				fail_msg("%s %s: driver %s it", t->name, r->name,
					 refused ? "refuses" : "lets through");
		}
}

static void test_registers_by_name_and_number(void **state)
{
	const struct onidev_type *t = onidev_type_find_id(ONIDEV_ID_RHD2164);
	uint32_t reg;

	(void)state;
	assert_int_equal(onidev_type_reg(t, "enable", &reg), 0);
	assert_int_equal(reg, 0x8000);
	assert_int_equal(onidev_type_reg(t, "0x3f", &reg), 0);
	assert_int_equal(reg, 0x3f);
	assert_int_equal(onidev_type_reg(NULL, "7", &reg), 0);
	assert_int_equal(reg, 7);
	assert_int_equal(onidev_type_reg(t, "4294967296", &reg), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(onidev_type_reg(t, "nothing", &reg), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(onidev_type_reg(NULL, "ENABLE", &reg), -1);
	assert_null(onidev_type_reg_find(t, 0x9999));
}

/* A default voltage must lie in the window the driver holds, and every window has one. */
static void test_headstage_defaults_are_in_the_window(void **state)
{
	const struct onidev_headstage *h;
	size_t i;

	(void)state;
	for (i = 0; (h = onidev_headstage_at(i)); i++) {
		const struct oni_port_window *w = oni_guard_window(h->hardware_id);

		assert_non_null(w);
		assert_in_range(h->default_decivolts, w->min_decivolts, w->max_decivolts);
		assert_ptr_equal(onidev_headstage_find(h->name), h);
		assert_ptr_equal(onidev_headstage_find(h->title), h);
		assert_ptr_equal(onidev_headstage_find_id(h->hardware_id), h);
		assert_string_equal(onidev_hub_name(h->hardware_id), h->title);
	}
	for (i = 0; i < 0x200; i++)
		if (oni_guard_window((uint32_t)i))
			assert_non_null(onidev_headstage_find_id((uint32_t)i));
	assert_null(onidev_headstage_find("hs65"));
	assert_string_equal(onidev_hub_name(77), "unknown hub");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_sorted),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_bad_tables),
		cmocka_unit_test(test_empty_table),
		cmocka_unit_test(test_copy_is_independent),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_resolve_refuses),
		cmocka_unit_test(test_names_resolve_to_themselves),
		cmocka_unit_test(test_types_are_consistent),
		cmocka_unit_test(test_guard_is_the_drivers),
		cmocka_unit_test(test_registers_by_name_and_number),
		cmocka_unit_test(test_headstage_defaults_are_in_the_window),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
