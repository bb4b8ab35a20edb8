/* SPDX-License-Identifier: MIT */
/* unit-sources: driver/oni_fw_bounds.c driver/oni_stim_check.c */
/* unit-libs: -lgmp */
/*
 * What firmware leaves of a policy (driver/oni_fw_bounds.c): units are converted
 * exactly or rounded down, nothing is raised, and what is missing allows nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <gmp.h>

#include "driver/oni_fw_bounds.h"

/* verifies: R13 */
static void units_are_converted(void **state)
{
	(void)state;
	assert_int_equal(oni_fw_bound(ONI_STIM_AREA, 2000), 2000);
	assert_int_equal(oni_fw_bound(ONI_STIM_AMPLITUDE, 2550000), 2550000);	/* nA */
	assert_int_equal(oni_fw_bound(ONI_STIM_CHARGE, 4000), 4000000);		/* pC, fC */
	assert_int_equal(oni_fw_bound(ONI_STIM_DENSITY, 200000), 200000);	/* nC/cm2 */
	assert_int_equal(oni_fw_bound(ONI_STIM_NET, 40), 40000);		/* pC, fC */
	assert_int_equal(oni_fw_bound(ONI_STIM_WIDTH, 400), 400000);		/* us, ns */
	assert_int_equal(oni_fw_bound(ONI_STIM_GAP, 53), 53000);		/* us, ns */
	assert_int_equal(oni_fw_bound(ONI_STIM_RATE, 300), 300000);		/* Hz, mHz */
	assert_int_equal(oni_fw_bound(ONI_STIM_DUTY, 25), 250000);		/* percent, ppm */
	assert_int_equal(oni_fw_bound(ONI_STIM_TRAIN, 1000), 1000000000);	/* ms, ns */
	assert_int_equal(oni_fw_bound(ONI_STIM_WATCHDOG, 100), 100);		/* ms */
	assert_int_equal(oni_fw_bound(ONI_STIM_EXTERNAL, 1), 1);
}

/* verifies: R28 */
static void large_values_do_not_wrap(void **state)
{
	(void)state;
	assert_true(oni_fw_bound(ONI_STIM_CHARGE, UINT32_MAX) == 4294967295000ull);
	assert_true(oni_fw_bound(ONI_STIM_TRAIN, UINT32_MAX) == 4294967295000000ull);
}

/* verifies: R02 */
static void nonsense_is_worth_nothing(void **state)
{
	(void)state;
	assert_int_equal(oni_fw_bound(ONI_STIM_DUTY, 100), 1000000);
	assert_int_equal(oni_fw_bound(ONI_STIM_DUTY, 101), 0);
	assert_int_not_equal(oni_fw_bound(ONI_STIM_SHANNON, 200), 0);
	assert_int_equal(oni_fw_bound(ONI_STIM_SHANNON, 201), 0);
	assert_int_equal(oni_fw_bound(ONI_STIM_SHANNON, UINT32_MAX), 0);
	assert_int_equal(oni_fw_bound(ONI_STIM_EXTERNAL, 2), 0);
	assert_int_equal(oni_fw_bound(ONI_STIM_LIMITS, 1), 0);
}

/* bound = 10^(4 + k / 100) rounded down: bound^100 <= 10^(400 + k) < (bound + 1)^100 */
static void shannon_is_exact(void **state)
{
	uint32_t k;
	mpz_t power, b;

	(void)state;
	mpz_inits(power, b, NULL);
	for (k = 0; k <= 200; k++) {
		mpz_ui_pow_ui(power, 10, 400 + k);
		mpz_ui_pow_ui(b, oni_fw_bound(ONI_STIM_SHANNON, k), 100);
		assert_true(mpz_cmp(b, power) <= 0);
		mpz_ui_pow_ui(b, oni_fw_bound(ONI_STIM_SHANNON, k) + 1, 100);
		assert_true(mpz_cmp(b, power) > 0);
	}
	mpz_clears(power, b, NULL);
}

static void a_policy(struct oni_stim_policy *p)
{
	uint32_t i;

	memset(p, 0, sizeof(*p));
	p->classes = 2;
	for (i = 0; i < ONI_STIM_CONTACTS; i++)
		p->class_of[i] = 1;
	p->class_of[ONI_STIM_RETURN] = 2;
	for (i = 0; i < ONI_STIM_LIMITS; i++) {
		p->cls[0].max[i] = 1000;
		p->cls[1].max[i] = 1000;
		p->cls[0].source[i] = ONI_STIM_BY_POLICY;
		p->cls[1].source[i] = ONI_STIM_BY_POLICY;
	}
}

static void some_bounds(struct oni_fw_bounds *b)
{
	uint32_t i;

	oni_fw_bounds_nothing(b);
	for (i = 0; i < ONI_STIM_LIMITS; i++) {
		b->contact.max[i] = 2000;
		b->back.max[i] = 2000;
	}
	for (i = 0; i <= ONI_STIM_RETURN; i++)
		b->area[i] = 5000;
}

static void nothing_given_changes_nothing(void **state)
{
	struct oni_stim_policy p, before;
	struct oni_fw_bounds b;

	(void)state;
	a_policy(&p);
	before = p;
	memset(&b, 0, sizeof(b));
	oni_fw_bounds_limit(&b, &p);
	assert_memory_equal(&p, &before, sizeof(p));
}

/* verifies: R28 */
static void a_higher_bound_changes_nothing(void **state)
{
	struct oni_stim_policy p, before;
	struct oni_fw_bounds b;

	(void)state;
	a_policy(&p);
	before = p;
	some_bounds(&b);
	oni_fw_bounds_limit(&b, &p);
	assert_memory_equal(&p, &before, sizeof(p));
}

/* verifies: R28 */
static void a_lower_bound_holds_and_says_whose_it_is(void **state)
{
	struct oni_stim_policy p;
	struct oni_fw_bounds b;
	uint32_t i;

	(void)state;
	for (i = 0; i < ONI_STIM_LIMITS; i++) {
		if (i == ONI_STIM_AREA)
			continue;
		a_policy(&p);
		some_bounds(&b);
		b.contact.max[i] = 999;
		oni_fw_bounds_limit(&b, &p);
		assert_int_equal(p.cls[0].max[i], 999);
		assert_int_equal(p.cls[0].source[i], ONI_STIM_BY_FIRMWARE);
		/* The return has bounds of its own. */
		assert_int_equal(p.cls[1].max[i], 1000);
		b.back.max[i] = 998;
		oni_fw_bounds_limit(&b, &p);
		assert_int_equal(p.cls[1].max[i], 998);
		assert_int_equal(p.cls[1].source[i], ONI_STIM_BY_FIRMWARE);
	}
}

static void a_class_shared_with_the_return_keeps_both(void **state)
{
	struct oni_stim_policy p;
	struct oni_fw_bounds b;

	(void)state;
	a_policy(&p);
	some_bounds(&b);
	p.class_of[ONI_STIM_RETURN] = 1;
	b.contact.max[ONI_STIM_AMPLITUDE] = 10;
	b.back.max[ONI_STIM_CHARGE] = 20;
	oni_fw_bounds_limit(&b, &p);
	assert_int_equal(p.cls[0].max[ONI_STIM_AMPLITUDE], 10);
	assert_int_equal(p.cls[0].max[ONI_STIM_CHARGE], 20);
}

/* verifies: R02 */
static void a_contact_without_an_area_is_off(void **state)
{
	struct oni_stim_policy p;
	struct oni_fw_bounds b;

	(void)state;
	a_policy(&p);
	some_bounds(&b);
	b.area[7] = 0;
	oni_fw_bounds_limit(&b, &p);
	assert_int_equal(p.class_of[7], 0);
	assert_int_equal(p.class_of[6], 1);
	/* It does not take the class with it. */
	assert_int_equal(p.cls[0].max[ONI_STIM_AREA], 1000);
}

static void the_smallest_area_holds(void **state)
{
	struct oni_stim_policy p;
	struct oni_fw_bounds b;

	(void)state;
	a_policy(&p);
	some_bounds(&b);
	b.area[3] = 300;
	b.area[4] = 200;
	oni_fw_bounds_limit(&b, &p);
	assert_int_equal(p.cls[0].max[ONI_STIM_AREA], 200);
	assert_int_equal(p.cls[0].source[ONI_STIM_AREA], ONI_STIM_BY_FIRMWARE);
	assert_int_equal(p.cls[1].max[ONI_STIM_AREA], 1000);
}

/* verifies: R02 */
static void nothing_leaves_no_contact(void **state)
{
	struct oni_stim_policy p;
	struct oni_fw_bounds b;
	uint32_t i;

	(void)state;
	a_policy(&p);
	oni_fw_bounds_nothing(&b);
	oni_fw_bounds_limit(&b, &p);
	for (i = 0; i < ONI_STIM_CONTACT_SLOTS; i++)
		assert_int_equal(p.class_of[i], 0);
}

static void slots_of_no_limit_stay_zero(void **state)
{
	struct oni_stim_policy p;
	struct oni_fw_bounds b;
	uint32_t i;

	(void)state;
	a_policy(&p);
	oni_fw_bounds_nothing(&b);
	for (i = 0; i <= ONI_STIM_RETURN; i++)
		b.area[i] = 1;
	oni_fw_bounds_limit(&b, &p);
	for (i = 0; i < ONI_STIM_LIMITS; i++)
		assert_int_equal(p.cls[0].max[i], i == ONI_STIM_AREA);
	for (; i < ONI_STIM_LIMIT_SLOTS; i++) {
		assert_int_equal(p.cls[0].max[i], 0);
		assert_int_equal(p.cls[0].source[i], 0);
	}
}

static void a_class_that_does_not_exist_is_left_to_the_check(void **state)
{
	struct oni_stim_policy p;
	struct oni_fw_bounds b;

	(void)state;
	a_policy(&p);
	some_bounds(&b);
	p.class_of[0] = ONI_STIM_CLASSES + 1;
	p.class_of[1] = 255;
	oni_fw_bounds_limit(&b, &p);
	assert_int_equal(p.class_of[0], ONI_STIM_CLASSES + 1);
}

/* verifies: R28 */
static void of_two_ports_the_lower_bound_holds(void **state)
{
	struct oni_fw_bounds b, other;

	(void)state;
	some_bounds(&b);
	some_bounds(&other);
	other.contact.max[ONI_STIM_RATE] = 5;
	b.contact.max[ONI_STIM_WIDTH] = 6;
	other.back.max[ONI_STIM_CHARGE] = 7;
	other.area[2] = 0;
	b.area[3] = 8;
	oni_fw_bounds_lower(&b, &other);
	assert_int_equal(b.contact.max[ONI_STIM_RATE], 5);
	assert_int_equal(b.contact.max[ONI_STIM_WIDTH], 6);
	assert_int_equal(b.back.max[ONI_STIM_CHARGE], 7);
	assert_int_equal(b.area[2], 0);
	assert_int_equal(b.area[3], 8);
	assert_int_equal(b.area[4], 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_are_converted),
		cmocka_unit_test(large_values_do_not_wrap),
		cmocka_unit_test(nonsense_is_worth_nothing),
		cmocka_unit_test(shannon_is_exact),
		cmocka_unit_test(nothing_given_changes_nothing),
		cmocka_unit_test(a_higher_bound_changes_nothing),
		cmocka_unit_test(a_lower_bound_holds_and_says_whose_it_is),
		cmocka_unit_test(a_class_shared_with_the_return_keeps_both),
		cmocka_unit_test(a_contact_without_an_area_is_off),
		cmocka_unit_test(the_smallest_area_holds),
		cmocka_unit_test(nothing_leaves_no_contact),
		cmocka_unit_test(slots_of_no_limit_stay_zero),
		cmocka_unit_test(a_class_that_does_not_exist_is_left_to_the_check),
		cmocka_unit_test(of_two_ports_the_lower_bound_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
