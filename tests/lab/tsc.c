// SPDX-License-Identifier: MIT
/*
 * tsc - kHz of this machine's time stamp counter, against CLOCK_MONOTONIC_RAW.
 *
 * A guest under TCG has the counter of its host. Its kernel finds out the rate by
 * watching a timer chip, and where that is emulated on a busy machine it finds
 * none, or a wrong one, and then the guest's clock and timers hardly go on.
 *
 * The pair of readings with the least between them counts, at both ends.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define TRIES	20

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void look(uint64_t *ticks, uint64_t *ns)
{
	uint64_t least = UINT64_MAX;
	int i;

	for (i = 0; i < TRIES; i++) {
		uint64_t before = __rdtsc(), at = now_ns(), took = __rdtsc() - before;

		if (took < least) {
			least = took;
			*ticks = before + took / 2;
			*ns = at;
		}
	}
}

int main(void)
{
	const struct timespec wait = { .tv_nsec = 200000000 };
	uint64_t t0, t1, ns0, ns1;

	look(&t0, &ns0);
	nanosleep(&wait, NULL);
	look(&t1, &ns1);
	printf("%.0f\n", (double)(t1 - t0) * 1e6 / (double)(ns1 - ns0));
	return 0;
}
