// SPDX-License-Identifier: MIT
/*
 * usb.c - backend: an Acquisition Board through libusb.
 *
 * A board is opened by one controller and may be held by one stream. Whoever comes
 * last frees it; closing the controller ends all traffic. Calls have the meaning and
 * the errors of the ioctls of the same names.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/oni_guard.h"
#include "usb.h"

/* Longest buffer of write frames in one call. */
#define WRITE_MAX	(64 * 1024)
#define IDLE_NS		(1000 * MS)
#define EVENT_ERROR_MS	10

/* A negative errno as the API has it. */
static int result(int ret)
{
	if (ret >= 0)
		return 0;
	errno = -ret;
	return -1;
}

/* --- event thread --------------------------------------------------------------------- */

static void sooner(uint64_t *due, uint64_t at)
{
	if (at && at < *due)
		*due = at;
}

/* When there is something to do that no event announces. Caller holds the lock. */
static uint64_t next_due(const struct usb_board *b, uint64_t now)
{
	uint64_t due = now + IDLE_NS;

	if (b->data.state == USB_IN_REPAIR)
		sooner(&due, b->data.repair_at);
	if (b->reply.state == USB_IN_REPAIR)
		sooner(&due, b->reply.repair_at);
	if (b->ring)
		sooner(&due, b->ring->latency_at);
	return due > now ? due - now : 0;
}

static void *event_thread(void *arg)
{
	struct usb_board *b = arg;
	uint64_t now, ns;
	bool quit = false;

	while (!quit) {
		pthread_mutex_lock(&b->lock);
		now = usb_now();
		usb_in_tick(&b->data, now);
		usb_in_tick(&b->reply, now);
		if (b->ring)
			usb_ring_tick(b->ring, now);
		/* The reader has released something. */
		usb_pump(b);
		ns = next_due(b, now) + 999;
		quit = b->quit;
		pthread_mutex_unlock(&b->lock);
		if (!quit) {
			struct timeval tv = {
				.tv_sec = (time_t)(ns / 1000000000ull),
				.tv_usec = (suseconds_t)(ns % 1000000000ull / 1000),
			};

			/* An error is no reason to spin; what it is about comes back. */
			if (libusb_handle_events_timeout_completed(b->ctx, &tv, NULL) < 0)
				usb_sleep(EVENT_ERROR_MS);
		}
	}
	return NULL;
}

/* --- life of a board --------------------------------------------------------------------- */

/*
 * Memory that the kernel shares with us, where it has any: then what comes is there,
 * without the kernel clearing a buffer of its own before and copying from it afterwards.
 */
static int pool_alloc(struct usb_board *b)
{
	b->pool_bytes = USB_POOL_BYTES + b->packet;
	b->pool = libusb_dev_mem_alloc(b->handle, b->pool_bytes);
	b->pool_shared = b->pool;
	if (!b->pool)
		b->pool = malloc(b->pool_bytes);
	return b->pool ? 0 : -ENOMEM;
}

static void pool_free(struct usb_board *b)
{
	if (b->pool_shared)
		libusb_dev_mem_free(b->handle, b->pool, b->pool_bytes);
	else
		free(b->pool);
}

/* Transfers go before the handle they are for. */
static void pipes_free(struct usb_board *b)
{
	usb_in_free(&b->data);
	usb_in_free(&b->reply);
	usb_out_free(&b->chip);
	usb_out_free(&b->session);
	usb_out_free(&b->command);
	usb_out_free(&b->write);
	pool_free(b);
}

/* A closed one. */
static void board_free(struct usb_board *b)
{
	if (b->hang_up >= 0)
		close(b->hang_up);
	pthread_cond_destroy(&b->moved);
	pthread_mutex_destroy(&b->lock);
	pthread_mutex_destroy(&b->op_lock);
	free(b);
}

static struct usb_board *board_new(const struct usb_place *place)
{
	struct usb_board *b = calloc(1, sizeof(*b));
	pthread_condattr_t attr;

	if (!b)
		return NULL;
	b->place = *place;
	b->node_fd = -1;
	b->hang_up = -1;
	b->done_end = &b->done;
	pthread_mutex_init(&b->op_lock, NULL);
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->moved, &attr);
	pthread_condattr_destroy(&attr);
	return b;
}

/* Memory of all that moves bytes; needs the handle. */
static int board_pipes(struct usb_board *b)
{
	int ret = usb_in_init(&b->data, b, FT600_EP_DATA, USB_DATA_SLOTS, usb_data_take);

	b->data.watched = true;
	if (!ret)
		ret = usb_in_init(&b->reply, b, FT600_EP_REPLY, 1, usb_reply_take);
	if (!ret)
		ret = usb_out_init(&b->chip, b, 0,
				   LIBUSB_CONTROL_SETUP_SIZE + FT600_CONFIG_BYTES);
	if (!ret)
		ret = usb_out_init(&b->session, b, FT600_EP_SESSION, FT600_SESSION_BYTES);
	if (!ret)
		ret = usb_out_init(&b->command, b, FT600_EP_COMMAND, ONI_FT600_COMMAND_BYTES);
	if (!ret)
		ret = usb_out_init(&b->write, b, FT600_EP_WRITE, USB_WRITE_BYTES);
	if (!ret)
		ret = pool_alloc(b);
	if (ret)
		return ret;
	b->reply.slot[0].buf = b->pool + USB_POOL_BYTES;
	return 0;
}

/* Stop, make safe, hold the FIFOs in reset, let go. Caller holds op_lock. */
static void board_close(struct usb_board *b)
{
	if (b->threaded) {
		usb_stop(b);
		usb_make_safe(b);
		usb_chip_hold(b);
		pthread_mutex_lock(&b->lock);
		b->quit = true;
		pthread_mutex_unlock(&b->lock);
		usb_poke(b);
		pthread_join(b->thread, NULL);
	}
	b->threaded = false;
	pipes_free(b);
	usb_chip_close(b);
	if (b->node_fd >= 0)
		close(b->node_fd);
	b->node_fd = -1;
	b->closed = true;
}

/* From a claimed board to one whose device table is known. */
static int bring_up(struct usb_board *b)
{
	int ret = board_pipes(b);

	if (!ret)
		ret = -pthread_create(&b->thread, NULL, event_thread, b);
	if (ret)
		return ret;
	b->threaded = true;
	ret = usb_chip_check(b);
	/* Not ours after all: nothing that changes it was sent, and nothing is. */
	if (ret == -ENOTTY) {
		pthread_mutex_lock(&b->lock);
		b->quit = true;
		pthread_mutex_unlock(&b->lock);
		usb_poke(b);
		pthread_join(b->thread, NULL);
		b->threaded = false;
	}
	return ret ? ret : usb_reset(b);
}

/* --- calls ---------------------------------------------------------------------------------- */

static uint32_t state_of(struct usb_board *b)
{
	uint32_t state;

	pthread_mutex_lock(&b->lock);
	if (b->gone)
		state = ONI_STATE_GONE;
	else if (b->fault)
		state = ONI_STATE_FAULT;
	else
		state = b->running ? ONI_STATE_RUNNING : ONI_STATE_IDLE;
	pthread_mutex_unlock(&b->lock);
	return state;
}

/* What the devices that are there can do. */
static uint64_t caps_of(const struct usb_board *b)
{
	uint64_t caps = ONI_CAP_REG_BATCH;
	uint32_t i;

	for (i = 0; i < b->rows; i++)
		if (b->table[i].write_size &&
		    oni_guard_frame_rule(b->table[i].id, b->table[i].write_size))
			caps |= ONI_CAP_WRITE_FRAMES;
	return caps;
}

static int call_info(struct usb_board *b, struct oni_info *in)
{
	*in = (struct oni_info){
		.size = sizeof(*in),
		.abi_version = ONI_ABI_VERSION,
		.caps = caps_of(b),
		.flags = (b->owned ? ONI_INFO_OWNED | ONI_INFO_OWNER : 0) |
			 (b->ring ? ONI_INFO_STREAM : 0) |
			 (b->stim_safe ? ONI_INFO_STIM_SAFE : 0),
		.state = state_of(b),
		.transport = ONI_TRANSPORT_FT600,
		.generation = b->generation,
		.hardware_id = b->hardware_id,
		.hardware_revision = b->hardware_revision,
		.firmware_version = b->firmware_version,
		.rows = b->rows,
		.sys_clock_hz = b->sys_clock_hz,
		.acq_clock_hz = b->acq_clock_hz,
		.max_read_frame = b->max_read,
		.max_write_frame = b->max_write,
		.block_align = USB_BLOCK_ALIGN,
		.block_max = USB_BLOCK_MAX,
		.ring_default = USB_RING_DEFAULT,
		.ring_max = USB_RING_MAX,
		.transport_name = "libusb",
	};
	snprintf(in->bus_name, sizeof(in->bus_name), "%.26s:1.%d", b->place.path, USB_INTF_DATA);
	return 0;
}

static int call_table(struct usb_board *b, struct oni_device_table *dt)
{
	int ret = dt->count < b->rows ? -EMSGSIZE : 0;

	if (!ret)
		memcpy((void *)(uintptr_t)dt->rows, b->table, b->rows * sizeof(b->table[0]));
	dt->count = b->rows;
	dt->generation = b->generation;
	return ret;
}

static void add_ring(struct oni_stats *s, const struct usb_ring *r)
{
	s->blocks += r->prod->blocks;
	s->bytes += r->total;
	s->short_blocks += r->prod->short_blocks;
	s->ring_full += r->prod->full_events;
	s->ring_full_ns += r->prod->full_ns;
	s->wakeups += r->prod->wakeups;
}

static int call_stats(struct usb_board *b, struct oni_stats *s)
{
	pthread_mutex_lock(&b->lock);
	*s = b->cnt;
	s->size = sizeof(*s);
	if (b->ring)
		add_ring(s, b->ring);
	pthread_mutex_unlock(&b->lock);
	return 0;
}

static int call_batch(struct usb_board *b, struct oni_reg_batch *rb)
{
	struct oni_reg_op *ops = (void *)(uintptr_t)rb->ops;
	bool writes = false;
	uint32_t i;
	int ret = 0;

	if (!rb->count || rb->count > ONI_REG_BATCH_MAX || rb->op_size != sizeof(*ops))
		return -EINVAL;
	for (i = 0; i < rb->count; i++) {
		if (ops[i].flags & ~ONI_REG_OP_WRITE || ops[i].reserved)
			return -EINVAL;
		writes |= ops[i].flags & ONI_REG_OP_WRITE;
	}
	if (writes && !b->owned)
		return -EPERM;
	/* All are checked before the first is executed. */
	for (i = 0; !ret && i < rb->count; i++)
		ret = usb_reg_check(b, &ops[i]);
	if (ret)
		return ret;
	for (i = 0; !ret && i < rb->count; i++)
		ret = usb_reg(b, &ops[i]);
	rb->done = i;
	return ret;
}

static int call_reg(struct usb_board *b, struct oni_reg *arg, bool write)
{
	struct oni_reg_op op = {
		.dev_addr = arg->dev_addr,
		.reg_addr = arg->reg_addr,
		.value = arg->value,
		.flags = write ? ONI_REG_OP_WRITE : 0,
	};
	int ret;

	if (write && !b->owned)
		return -EPERM;
	ret = usb_reg_check(b, &op);
	if (!ret)
		ret = usb_reg(b, &op);
	if (!ret)
		arg->value = op.value;
	return ret;
}

static int call_ctl(struct usb_board *b, struct oni_ctl *arg, bool write)
{
	if (write && !b->owned)
		return -EPERM;
	switch (arg->reg) {
	case ONI_CTL_HWADDRESS:
	case ONI_CTL_CUSTOM:
		break;
	case ONI_CTL_RUNNING:
	case ONI_CTL_SYSCLKHZ:
	case ONI_CTL_ACQCLKHZ:
		if (write)
			return -EPERM;
		break;
	default:
		return -ENOENT;
	}
	if (!write)
		return usb_ctl_read(b, arg->reg, &arg->value);
	return b->running ? -EBUSY : usb_ctl_write(b, arg->reg, arg->value);
}

/* As in the driver: a failure is seen in STIM_SAFE, for an owner can reset the link. */
static int call_claim(struct usb_board *b)
{
	if (!b->owned && usb_outputs_off(b))
		b->stim_safe = false;
	b->owned = true;
	return 0;
}

static int call_release(struct usb_board *b)
{
	if (!b->owned)
		return -EPERM;
	b->owned = false;
	usb_stop(b);
	usb_make_safe(b);
	return 0;
}

static int call_reset(struct usb_board *b)
{
	if (!b->owned)
		return -EPERM;
	return b->running ? -EBUSY : usb_reset(b);
}

static int call_start(struct usb_board *b)
{
	if (!b->owned)
		return -EPERM;
	if (b->running)
		return -EBUSY;
	if (!b->ring)
		return -ENODATA;
	return state_of(b) == ONI_STATE_FAULT ? -EIO : usb_start(b);
}

static int call_stop(struct usb_board *b)
{
	if (!b->owned)
		return -EPERM;
	usb_stop(b);
	return 0;
}

/* No board of this kind has ports whose voltage could be checked. */
static int call_port(struct usb_board *b, const struct oni_port_power *pp)
{
	struct oni_device row;
	int ret = b->owned ? oni_table_find(b->table, b->rows, pp->port, &row) : -EPERM;

	return ret ? ret : -EOPNOTSUPP;
}

static int dispatch(struct usb_board *b, unsigned long request, void *arg)
{
	switch (request) {
	case ONI_IOC_INFO:
		return call_info(b, arg);
	case ONI_IOC_DEVICE_TABLE:
		return call_table(b, arg);
	case ONI_IOC_CLAIM:
		return call_claim(b);
	case ONI_IOC_RELEASE:
		return call_release(b);
	case ONI_IOC_RESET:
		return call_reset(b);
	case ONI_IOC_REG_READ:
	case ONI_IOC_REG_WRITE:
		return call_reg(b, arg, request == ONI_IOC_REG_WRITE);
	case ONI_IOC_CTL_READ:
	case ONI_IOC_CTL_WRITE:
		return call_ctl(b, arg, request == ONI_IOC_CTL_WRITE);
	case ONI_IOC_PORT_POWER:
		return call_port(b, arg);
	case ONI_IOC_START:
		return call_start(b);
	case ONI_IOC_STOP:
		return call_stop(b);
	case ONI_IOC_STATS:
		return call_stats(b, arg);
	case ONI_IOC_REG_BATCH:
		return call_batch(b, arg);
	default:
		return -ENOTTY;
	}
}

/* A link error has ended the acquisition: what is left of it is stopped first. */
static int enter(struct usb_board *b)
{
	bool gone, fault;

	pthread_mutex_lock(&b->op_lock);
	pthread_mutex_lock(&b->lock);
	gone = b->gone;
	fault = b->fault;
	pthread_mutex_unlock(&b->lock);
	if (b->running && fault && !gone)
		usb_stop(b);
	return gone ? -ENODEV : 0;
}

static int board_call(struct onidev_controller *ctl, unsigned long request, void *arg)
{
	struct usb_board *b = ctl->priv;
	int ret = enter(b);

	if (!ret)
		ret = dispatch(b, request, arg);
	pthread_mutex_unlock(&b->op_lock);
	return result(ret);
}

/* As for a node that was opened for reading only. */
static int reader_call(struct onidev_controller *ctl, unsigned long request, void *arg)
{
	switch (request) {
	case ONI_IOC_INFO:
	case ONI_IOC_DEVICE_TABLE:
	case ONI_IOC_REG_READ:
	case ONI_IOC_CTL_READ:
	case ONI_IOC_STATS:
	case ONI_IOC_REG_BATCH:
		return board_call(ctl, request, arg);
	default:
		return result(-EPERM);
	}
}

static ssize_t board_write(struct onidev_controller *ctl, const void *frames, size_t bytes)
{
	struct usb_board *b = ctl->priv;
	int ret;

	if (bytes % 4 || bytes > WRITE_MAX)
		return result(-EINVAL);
	ret = enter(b);
	if (!ret)
		ret = b->owned ? usb_write_frames(b, frames, bytes / 4) : -EPERM;
	pthread_mutex_unlock(&b->op_lock);
	return ret ? result(ret) : (ssize_t)bytes;
}

static ssize_t reader_write(struct onidev_controller *ctl, const void *frames, size_t bytes)
{
	(void)ctl;
	(void)frames;
	(void)bytes;
	return result(-EBADF);
}

static void board_put(struct onidev_controller *ctl)
{
	struct usb_board *b = ctl->priv;
	bool last;

	pthread_mutex_lock(&b->op_lock);
	board_close(b);
	last = !b->stream_open;
	pthread_mutex_unlock(&b->op_lock);
	close(ctl->fd);
	if (last)
		board_free(b);
}

/* --- streams ------------------------------------------------------------------------------------- */

static void stream_end(struct onidev_stream *s)
{
	struct usb_board *b = s->priv;
	struct usb_ring *r;
	bool last;

	pthread_mutex_lock(&b->op_lock);
	if (!b->closed)
		usb_stop(b);
	pthread_mutex_lock(&b->lock);
	r = b->ring;
	b->ring = NULL;
	add_ring(&b->cnt, r);
	pthread_mutex_unlock(&b->lock);
	b->stream_open = false;
	last = b->closed;
	pthread_mutex_unlock(&b->op_lock);
	usb_ring_free(r);
	if (last)
		board_free(b);
}

static int stream_wake(struct onidev_stream *s, uint32_t watermark, uint32_t latency_us)
{
	struct usb_board *b = s->priv;

	if (!watermark)
		watermark = s->info.block_bytes;
	if (watermark > s->info.data_bytes / 2)
		return result(-EINVAL);
	pthread_mutex_lock(&b->lock);
	usb_ring_wake(b->ring, watermark, latency_us);
	usb_ring_info(b->ring, &s->info);
	if (!b->quit)
		usb_poke(b);
	pthread_mutex_unlock(&b->lock);
	return 0;
}

/* The tail has moved: the descriptor may have to be calm again, the board may go on. */
static void stream_released(struct onidev_stream *s)
{
	struct usb_board *b = s->priv;

	pthread_mutex_lock(&b->lock);
	usb_ring_settle(b->ring);
	if (b->ring->full && !b->quit)
		usb_poke(b);
	pthread_mutex_unlock(&b->lock);
}

static const struct stream_ops ring_ops = {
	.free = stream_end,
	.wake = stream_wake,
	.released = stream_released,
};

/* Fill in defaults and check the sizes, by the rules of struct oni_stream_create. */
static int check_sizes(const struct usb_board *b, struct oni_stream_create *sc)
{
	uint32_t frame = (b->max_read + USB_BLOCK_ALIGN - 1) / USB_BLOCK_ALIGN * USB_BLOCK_ALIGN;

	if (!sc->block_bytes)
		sc->block_bytes = frame > USB_BLOCK_DEFAULT ? frame : USB_BLOCK_DEFAULT;
	if (!sc->ring_bytes)
		sc->ring_bytes = USB_RING_DEFAULT;
	if (!sc->watermark_bytes)
		sc->watermark_bytes = sc->block_bytes;
	if (sc->block_bytes % USB_BLOCK_ALIGN || sc->block_bytes < b->max_read ||
	    sc->block_bytes > USB_BLOCK_MAX || sc->ring_bytes & (sc->ring_bytes - 1) ||
	    sc->ring_bytes < USB_RING_MIN || sc->ring_bytes > USB_RING_MAX ||
	    sc->ring_bytes / 4 < sc->block_bytes || sc->watermark_bytes > sc->ring_bytes / 2)
		return -EINVAL;
	return 0;
}

/* Caller holds op_lock. */
static int stream_make(struct usb_board *b, struct oni_stream_create *sc,
		       struct onidev_stream *s)
{
	struct usb_ring *r;
	int ret;

	if (!b->owned)
		return -EPERM;
	if (b->ring || b->running)
		return -EBUSY;
	ret = check_sizes(b, sc);
	if (ret)
		return ret;
	r = usb_ring_new(sc->ring_bytes, sc->block_bytes);
	if (!r)
		return -errno;
	usb_ring_wake(r, sc->watermark_bytes, sc->latency_us);
	usb_ring_info(r, &s->info);
	s->ops = &ring_ops;
	s->priv = b;
	s->fd = r->event_fd;
	s->prod = r->prod;
	s->cons = r->cons;
	s->desc = r->desc;
	s->data = r->data;
	s->ring.prod = r->prod;
	s->ring.cons = r->cons;
	s->ring.desc = r->desc;
	s->ring.data = r->data;
	s->ring.data_bytes = r->size;
	s->ring.desc_count = USB_DESC_COUNT;
	if (ring_init(&s->ring) < 0) {
		usb_ring_free(r);
		return -EINVAL;
	}
	pthread_mutex_lock(&b->lock);
	b->ring = r;
	pthread_mutex_unlock(&b->lock);
	b->stream_open = true;
	return 0;
}

static struct onidev_stream *board_stream(struct onidev_controller *ctl,
					  struct oni_stream_create *create)
{
	struct onidev_stream *s = calloc(1, sizeof(*s));
	struct usb_board *b = ctl->priv;
	int ret;

	if (!s)
		return NULL;
	ret = enter(b);
	if (!ret)
		ret = stream_make(b, create, s);
	pthread_mutex_unlock(&b->op_lock);
	if (!ret)
		return s;
	free(s);
	errno = -ret;
	return NULL;
}

static struct onidev_stream *reader_stream(struct onidev_controller *ctl,
					   struct oni_stream_create *create)
{
	(void)ctl;
	(void)create;
	errno = EPERM;
	return NULL;
}

/* The ring is this process's own: no other can look at it, and here nobody needs to. */
static struct onidev_stream *board_monitor(struct onidev_controller *ctl,
					   struct oni_monitor_create *create)
{
	struct usb_board *b = ctl->priv;
	int ret = enter(b);

	(void)create;
	if (!ret)
		ret = b->ring ? -EOPNOTSUPP : -ENODATA;
	pthread_mutex_unlock(&b->op_lock);
	errno = -ret;
	return NULL;
}

static const struct backend_ops board_ops = {
	.close = board_put,
	.call = board_call,
	.write = board_write,
	.stream = board_stream,
	.monitor = board_monitor,
};

static const struct backend_ops reader_ops = {
	.close = board_put,
	.call = reader_call,
	.write = reader_write,
	.stream = reader_stream,
	.monitor = board_monitor,
};

/* --- opening -------------------------------------------------------------------------------------- */

static int attach(struct onidev_controller *ctl, struct usb_board *b)
{
	int fds[2], ret;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	ctl->fd = fds[0];
	b->hang_up = fds[1];
	ret = usb_chip_open(b, b->node_fd);
	return ret ? ret : bring_up(b);
}

struct onidev_controller *usb_attach(const struct usb_place *place, int fd)
{
	struct onidev_controller *ctl = calloc(1, sizeof(*ctl));
	struct usb_board *b = board_new(place);
	sigset_t all, before;
	int ret = -ENOMEM;

	/* The program's signals are for its threads, not for ours and those of libusb. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (ctl && b) {
		ctl->ops = &board_ops;
		ctl->priv = b;
		ctl->fd = -1;
		memcpy(ctl->name, place->name, sizeof(ctl->name));
		memcpy(ctl->node, place->node, sizeof(ctl->node));
		b->node_fd = fd;
		ret = attach(ctl, b);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!ret)
		return ctl;
	if (b) {
		board_close(b);
		board_free(b);
	}
	if (!ctl || !b)
		close(fd);
	if (ctl && ctl->fd >= 0)
		close(ctl->fd);
	free(ctl);
	errno = -ret;
	return NULL;
}

struct onidev_controller *usb_open(const char *which, unsigned int flags)
{
	struct onidev_controller *ctl;
	struct usb_place place;
	int ret = usb_find(which, &place), fd;

	if (ret) {
		errno = -ret;
		return NULL;
	}
	/* Known without asking, and the answer does not depend on rights. */
	if (place.driver[0]) {
		errno = EBUSY;
		return NULL;
	}
	fd = open(place.node, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	ctl = usb_attach(&place, fd);
	if (ctl && flags & ONIDEV_OPEN_RDONLY)
		ctl->ops = &reader_ops;
	return ctl;
}
