// SPDX-License-Identifier: MIT
/*
 * fifo.c - see fifo.h.
 *
 * Frame ends are found by reading the headers that are in the FIFO anyway: when
 * head enters a frame its header is still there, so no list of frames is kept.
 */
#include "fifo.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAME_HEADER	16u

static int map_twice(struct fifo *f, int fd)
{
	uint8_t *base, *lo, *hi;

	base = mmap(NULL, f->size * 2, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	lo = mmap(base, f->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	hi = mmap(base + f->size, f->size, PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_FIXED, fd, 0);
	if (lo == MAP_FAILED || hi == MAP_FAILED) {
		munmap(base, f->size * 2);
		return -ENOMEM;
	}
	f->mem = base;
	return 0;
}

int fifo_init(struct fifo *f, uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int fd, err;

	memset(f, 0, sizeof(*f));
	memset(f->index, 0xff, sizeof(f->index));
	f->size = (size + page - 1) / page * page;
	fd = memfd_create("onisim-ram", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = ftruncate(fd, (off_t)f->size) ? -errno : map_twice(f, fd);
	close(fd);
	return err;
}

void fifo_free(struct fifo *f)
{
	if (f->mem)
		munmap(f->mem, f->size * 2);
	f->mem = NULL;
}

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const uint8_t *p)
{
	return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

struct fifo_device *fifo_device(struct fifo *f, uint32_t addr, uint32_t id)
{
	unsigned int key = addr & 0xffff;
	struct fifo_device *d;

	if (f->index[key] < 0) {
		/* More devices than a table can have share the last account. */
		if (f->devices < FIFO_MAX_DEVICES)
			f->devices++;
		f->index[key] = (int16_t)(f->devices - 1);
		d = &f->dev[f->index[key]];
		d->addr = addr;
	}
	d = &f->dev[f->index[key]];
	if (id)
		d->id = id;
	return d;
}

uint64_t fifo_used(const struct fifo *f)
{
	return f->tail - f->head;
}

uint64_t fifo_room(const struct fifo *f)
{
	return f->size - fifo_used(f);
}

uint64_t fifo_held(const struct fifo_device *d)
{
	return d->in_ram + d->out;
}

uint64_t fifo_left(const struct fifo_device *d)
{
	return fifo_held(d) + d->discarded;
}

void fifo_put(struct fifo *f, uint32_t addr, const void *frame, size_t len)
{
	struct fifo_device *d = fifo_device(f, addr, 0);
	uint64_t clock = get_u64(frame);

	d->produced++;
	if (!d->run_frames++)
		d->first_clock = clock;
	d->last_clock = clock;
	if (len > fifo_room(f)) {
		d->lost++;
		return;
	}
	d->in_ram++;
	memcpy(f->mem + f->tail % f->size, frame, len);
	f->tail += len;
	if (fifo_used(f) > f->peak)
		f->peak = fifo_used(f);
}

const void *fifo_peek(const struct fifo *f, size_t *len)
{
	*len = fifo_used(f);
	return f->mem + f->head % f->size;
}

/* Read the header of the frame that starts where the last one ended. */
static void enter_frame(struct fifo *f)
{
	const uint8_t *p = f->mem + f->frame_end % f->size;

	f->frame_dev = f->index[get_u32(p + 8) & 0xffff];
	f->frame_end += FRAME_HEADER + ((get_u32(p + 12) + 3ull) & ~3ull);
}

static void advance(struct fifo *f, size_t len)
{
	f->head += len;
	f->bytes_out += len;
	/* Start over in the same pages: they stay in the processor's cache. */
	if (f->head == f->tail) {
		f->head = 0;
		f->tail = 0;
		f->frame_end = 0;
	}
}

void fifo_take(struct fifo *f, size_t len)
{
	uint64_t to = f->head + len;

	if (f->frame_end == f->head)
		enter_frame(f);
	while (f->frame_end <= to) {
		f->dev[f->frame_dev].in_ram--;
		f->dev[f->frame_dev].delivered++;
		if (f->frame_end == to)
			break;
		enter_frame(f);
	}
	advance(f, len);
}

unsigned int fifo_move(struct fifo *f, void *to, size_t len, struct fifo_end *end,
		       unsigned int max)
{
	uint64_t from = f->head;
	unsigned int n = 0;

	if (f->frame_end == from)
		enter_frame(f);
	while (f->frame_end <= from + len && n < max) {
		end[n].at = (uint32_t)(f->frame_end - from);
		end[n++].dev = f->frame_dev;
		f->dev[f->frame_dev].in_ram--;
		f->dev[f->frame_dev].out++;
		if (f->frame_end == from + len)
			break;
		enter_frame(f);
	}
	memcpy(to, f->mem + from % f->size, len);
	advance(f, len);
	return n;
}

void fifo_moved_out(struct fifo *f, int dev, bool delivered)
{
	struct fifo_device *d = &f->dev[dev];

	d->out--;
	if (delivered)
		d->delivered++;
	else
		d->discarded++;
}

void fifo_discard(struct fifo *f)
{
	unsigned int i;

	for (i = 0; i < f->devices; i++) {
		f->dev[i].discarded += f->dev[i].in_ram;
		f->dev[i].in_ram = 0;
	}
	f->head = 0;
	f->tail = 0;
	f->frame_end = 0;
	f->discards++;
}

void fifo_run_begin(struct fifo *f)
{
	unsigned int i;

	for (i = 0; i < f->devices; i++) {
		f->dev[i].run_frames = 0;
		f->dev[i].first_clock = 0;
		f->dev[i].last_clock = 0;
	}
}

void fifo_reset_counters(struct fifo *f)
{
	struct fifo_device *d;
	unsigned int i;

	for (i = 0; i < f->devices; i++) {
		d = &f->dev[i];
		d->produced = fifo_held(d);
		d->delivered = 0;
		d->discarded = 0;
		d->lost = 0;
	}
	f->bytes_out = 0;
	f->peak = fifo_used(f);
}
