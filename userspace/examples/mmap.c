// SPDX-License-Identifier: MIT
/*
 * mmap.c - read the ring where it lies: no system call and no copy per block.
 *
 * The hardware writes into pages that this program has mapped. It loads head, uses
 * what is there and stores tail, which gives the room back. Only when nothing is there
 * it sleeps in poll(2), which wakes for 256 KiB or after 100 ms: one call for 64 blocks.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "example.h"

static void *map(int fd, uint64_t bytes, int prot, uint64_t offset)
{
	void *p = mmap(NULL, bytes, prot, MAP_SHARED, fd, (off_t)offset);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* Use and release what is there; 0 if there was nothing. */
static int use(const struct oni_ring_producer *prod, struct oni_ring_consumer *cons,
	       const uint8_t *data, struct frames *f)
{
	/* Pairs with the kernel's release: who sees the head sees the data. */
	uint64_t head = __atomic_load_n(&prod->head, __ATOMIC_ACQUIRE);
	uint64_t tail = cons->tail;

	if (head == tail)
		return 0;
	/* Mapped twice in a row, so what wraps is in one piece. */
	frames_feed(f, data + (tail & (prod->data_bytes - 1)), head - tail);
	/* Only now may the hardware write there. */
	__atomic_store_n(&cons->tail, head, __ATOMIC_RELEASE);
	return 1;
}

int main(int argc, char **argv)
{
	struct oni_stream_info si = { .size = sizeof(si) };
	const struct oni_ring_producer *prod;
	struct oni_ring_consumer *cons;
	struct pollfd pfd = { .events = POLLIN };
	unsigned long long calls = 0;
	struct frames f = { 0 };
	double seconds = 2, end;
	const uint8_t *data;
	const char *node;
	int ctl, i;

	i = options(argc, argv, "[NODE]", "Read frames of NODE (/dev/oni0) in its mapped ring.",
		    &seconds);
	node = i < argc ? argv[i] : "/dev/oni0";
	ctl = open(node, O_RDWR | O_CLOEXEC);
	if (ctl < 0)
		die(node);
	pfd.fd = stream_create(ctl, 262144, 100000);
	if (pfd.fd < 0 || ioctl(pfd.fd, ONI_IOC_STREAM_INFO, &si) < 0)
		die("create the stream");
	prod = map(pfd.fd, si.producer_bytes, PROT_READ, si.producer_offset);
	cons = map(pfd.fd, si.consumer_bytes, PROT_READ | PROT_WRITE, si.consumer_offset);
	data = map(pfd.fd, 2 * si.data_bytes, PROT_READ, si.data_offset);
	if (simple(ctl, ONI_IOC_START) < 0)
		die("start");

	for (end = now() + seconds; now() < end;) {
		if (use(prod, cons, data, &f))
			continue;
		calls++;
		if (poll(&pfd, 1, 200) < 0 && errno != EINTR)
			die("poll");
		if (prod->flags & (ONI_RING_GONE | ONI_RING_ERROR))
			break;
	}
	if (simple(ctl, ONI_IOC_STOP) < 0)
		die("stop");
	while (use(prod, cons, data, &f))
		;
	printf("mmap: %llu frames, %llu bytes, %llu blocks, %llu system calls\n",
	       (unsigned long long)f.frames, (unsigned long long)f.bytes,
	       (unsigned long long)prod->blocks, calls);
	return 0;
}
