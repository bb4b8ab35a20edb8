// SPDX-License-Identifier: MIT
/*
 * riffa.c - the RIFFA 2.2 endpoint; see riffa.h for what it owns.
 *
 * Order inside riffa_step(): interrupt, then per channel list fetch, data,
 * state changes. Events raised in a step reach the host no earlier than the
 * next one, as the interrupt state machine needs a clock for each move.
 */
#include "riffa.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGE_BYTES	64u
#define READ_BYTES	512u		/* read request limit of the core */
#define BURST_WORDS	64u		/* maximum payload, 256 bytes */
#define STEP_WORDS	(64u * 1024)	/* data moved per channel and step */
#define STORM_STEP	64u

/* Defaults of the ONIX card as far as they are known; bit 4 is live. */
#define INFO_LINK_WIDTH	(4u << 5)
#define INFO_LINK_RATE	(2u << 11)
#define INFO_MRRS	(2u << 13)
#define INFO_MPS	(1u << 16)
#define INFO_BUS_WIDTH	(2u << 19)
#define INFO_MASTER	(1u << 4)

static const char * const tx_names[] = { "IDLE", "NEW_ACK", "WRITE", "DONE", "END" };
static const char * const rx_names[] = { "IDLE", "READ", "END" };

static void raise_event(struct riffa *r, unsigned int ch, uint32_t bit)
{
	r->vector[ch / 6] |= bit << (5 * (ch % 6));
}

/* An ordered fault after which the host believes what is not so. */
static bool lie(struct riffa *r, enum fault kind, unsigned int ch)
{
	if (!fault_take_on(&r->faults, kind, ch))
		return false;
	violation_excuse(r->viol, true);
	return true;
}

static int host_read(struct riffa *r, unsigned int ch, uint64_t addr, void *buf, uint32_t words)
{
	int err = r->ops.dma_read(r->ops.ctx, addr, buf, (size_t)words * 4);

	if (err != -EAGAIN) {
		r->stats.dma[ch].reads++;
		r->stats.dma[ch].read_words += words;
	}
	return err;
}

static int host_write(struct riffa *r, unsigned int ch, uint64_t addr, const void *buf,
		      uint32_t words)
{
	int err = r->ops.dma_write(r->ops.ctx, addr, buf, (size_t)words * 4);

	if (err != -EAGAIN) {
		r->stats.dma[ch].writes++;
		r->stats.dma[ch].write_words += words;
	}
	return err;
}

/* ---- scatter-gather requester ---- */

static void sg_flush(struct riffa_sg *sg)
{
	sg->count = 0;
	sg->front_used = false;
	sg->parts = 0;
	if (sg->busy)
		sg->aborted = true;
}

static void sg_power_on(struct riffa_sg *sg)
{
	sg->busy = false;
	sg->running = false;
	sg->aborted = false;
	sg->recvd_seen = true;
	sg->recvd_ns = 0;
	sg->stuck = false;
	sg->count = 0;
	sg->front_used = false;
	sg->parts = 0;
}

static void sg_addr(struct riffa *r, unsigned int ch, struct riffa_sg *sg,
		    const char *dir, uint32_t val, unsigned int shift)
{
	if (sg->busy)
		violation_report(r->viol, VIOLATION_ADDR_WHILE_FETCHING,
				 "ch=%u %s word=%u value=0x%08x", ch, dir, shift / 32, val);
	sg->addr &= ~(0xffffffffull << shift);
	sg->addr |= (uint64_t)val << shift;
}

static void sg_post(struct riffa *r, unsigned int ch, struct riffa_sg *sg,
		    const char *dir, uint32_t words)
{
	if (sg->busy) {
		violation_report(r->viol, VIOLATION_LEN_WHILE_FETCHING,
				 "ch=%u %s len=%u, %u words of the last list to come",
				 ch, dir, words, sg->words);
		return;
	}
	if (!words || words % 4)
		violation_report(r->viol, VIOLATION_LIST_LENGTH, "ch=%u %s len=%u",
				 ch, dir, words);
	if (!words)
		return;
	if (words / 4 > RIFFA_LIST_MAX)
		violation_report(r->viol, VIOLATION_LIST_TOO_LONG,
				 "ch=%u %s elements=%u", ch, dir, words / 4);
	if (sg->addr & 3)
		violation_report(r->viol, VIOLATION_UNALIGNED,
				 "ch=%u %s list=0x%llx", ch, dir,
				 (unsigned long long)sg->addr);
	sg->busy = true;
	sg->running = false;
	sg->aborted = false;
	sg->recvd_seen = false;
	sg->words = words;
	sg->next = sg->addr & ~3ull;
	/* The register ends up behind the list, so lists may follow by LEN only. */
	sg->addr += (uint64_t)words * 4;
	r->stats.lists++;
}

static void sg_push_word(struct riffa *r, unsigned int ch, struct riffa_sg *sg,
			 const char *dir, uint32_t word)
{
	struct riffa_elem *e;

	sg->part[sg->parts++] = word;
	if (sg->parts < 4)
		return;
	sg->parts = 0;
	if (sg->count == RIFFA_FIFO_ELEMS)
		return;		/* the core loses it without a word */
	e = &sg->fifo[(sg->head + sg->count++) % RIFFA_FIFO_ELEMS];
	e->addr = sg->part[0] | (uint64_t)sg->part[1] << 32;
	e->words = sg->part[2];
	if (e->addr & 3) {
		violation_report(r->viol, VIOLATION_UNALIGNED, "ch=%u %s element=0x%llx",
				 ch, dir, (unsigned long long)e->addr);
		e->addr &= ~3ull;
	}
}

static void sg_pop(struct riffa_sg *sg)
{
	sg->head = (sg->head + 1) % RIFFA_FIFO_ELEMS;
	sg->count--;
	sg->front_used = false;
}

/* Account for @n words of the first element. */
static void sg_use(struct riffa_sg *sg, uint32_t n)
{
	struct riffa_elem *e = &sg->fifo[sg->head];

	e->addr += (uint64_t)n * 4;
	e->words -= n;
	sg->front_used = true;
	if (!e->words)
		sg_pop(sg);
}

/*
 * Elements nobody asked for. The channel pulls an element out of the FIFO when
 * it begins with it and cuts it to what remains of the transaction, so a last
 * element that is too long is none of them.
 */
static unsigned int sg_surplus(const struct riffa_sg *sg)
{
	return sg->count - sg->front_used + (sg->busy ? sg->words / 4 : 0);
}

static struct riffa_elem *sg_front(struct riffa *r, unsigned int ch,
				   struct riffa_sg *sg, const char *dir)
{
	struct riffa_elem *e;

	while (sg->count) {
		e = &sg->fifo[sg->head];
		if (e->words)
			return e;
		violation_report(r->viol, VIOLATION_ZERO_ELEMENT, "ch=%u %s addr=0x%llx",
				 ch, dir, (unsigned long long)e->addr);
		sg_pop(sg);
	}
	return NULL;
}

/* Bus mastering off: the request waits in the PCIe core. Reported once. */
static void report_blocked(struct riffa *r, unsigned int ch, const char *dir,
			   bool *blocked, const char *what)
{
	if (!*blocked)
		violation_report(r->viol, VIOLATION_DMA_NO_MASTER, "ch=%u %s %s",
				 ch, dir, what);
	*blocked = true;
}

static void sg_received(struct riffa *r, unsigned int ch, struct riffa_sg *sg, uint32_t recvd)
{
	struct faults *f = &r->faults;

	if (recvd == RIFFA_EV_TX_RECVD && lie(r, FAULT_RECVD_LOST, ch))
		return;
	if (recvd == RIFFA_EV_TX_RECVD && fault_take_on(f, FAULT_RECVD_LATE, ch))
		sg->recvd_ns = r->now_ns + fault_arg(f, FAULT_RECVD_LATE) * 1000000ull;
	else
		raise_event(r, ch, recvd);
}

/*
 * One arriving piece of a list. The pieces of a list are in flight from its
 * start, so an aborted fetch goes on arriving: while @discard holds (the
 * channel keeps the list reader in reset) they are dropped, later they enter
 * the FIFO as elements nobody expects (simulated on the HDL: stale-address
 * DMA).
 */
static bool sg_step(struct riffa *r, unsigned int ch, struct riffa_sg *sg,
		    const char *dir, bool discard, bool *blocked, uint32_t recvd)
{
	uint32_t buf[READ_BYTES / 4];
	uint32_t n, i;
	int err;

	if (sg->recvd_ns && r->now_ns >= sg->recvd_ns) {
		sg->recvd_ns = 0;
		raise_event(r, ch, recvd);
	}
	if (!sg->busy || sg->stuck)
		return false;
	if (!sg->running) {
		if (sg->count >= RIFFA_FIFO_START)
			return false;
		sg->stuck = fault_take_on(&r->faults, recvd == RIFFA_EV_TX_RECVD ?
					  FAULT_FETCH_STUCK : FAULT_DOWN_STUCK, ch);
		sg->running = true;
		sg->ready_ns = r->now_ns + r->cfg.sg_latency_ns;
		if (recvd == RIFFA_EV_RX_RECVD && fault_take_on(&r->faults, FAULT_DOWN_LATE, ch))
			sg->ready_ns += fault_arg(&r->faults, FAULT_DOWN_LATE) * 1000000ull;
		return true;
	}
	if (r->now_ns < sg->ready_ns)
		return sg->ready_ns != UINT64_MAX;

	n = (READ_BYTES - (uint32_t)(sg->next % READ_BYTES)) / 4;
	if (n > sg->words)
		n = sg->words;
	err = host_read(r, ch, sg->next, buf, n);
	if (err == -EAGAIN) {
		report_blocked(r, ch, dir, blocked, "list fetch");
		return false;
	}
	*blocked = false;
	if (err) {
		/* No completion with data: the requester waits for ever. */
		violation_report(r->viol, VIOLATION_DMA_FAULT,
				 "ch=%u %s list read at 0x%llx, %u words", ch, dir,
				 (unsigned long long)sg->next, n);
		sg->ready_ns = UINT64_MAX;
		return false;
	}
	if (discard)
		sg->aborted = true;
	for (i = 0; i < n && !discard; i++)
		sg_push_word(r, ch, sg, dir, buf[i]);
	sg->next += (uint64_t)n * 4;
	sg->words -= n;
	if (!sg->words) {
		sg->busy = false;
		sg->running = false;
		if (!sg->aborted)
			sg_received(r, ch, sg, recvd);
		sg->aborted_ns = r->now_ns;
	}
	return true;
}

/* ---- TX: card to host ---- */

static void tx_reset(struct riffa_tx *tx)
{
	tx->state = RIFFA_TX_IDLE;
	tx->closed = false;
	tx->len = 0;
	tx->off = 0;
	tx->last = false;
	tx->limit = 0;
	tx->sent = 0;
	tx->partial = false;
	tx->inexact = false;
	tx->blocked = false;
	tx->stuck = false;
	tx->done_len = 0;
	tx->done_read = true;
	sg_power_on(&tx->sg);
}

static void tx_announce(struct riffa *r, unsigned int ch)
{
	struct riffa_tx *tx = &r->tx[ch];

	tx->len = tx->req_len;
	tx->off = tx->req_off;
	tx->last = tx->req_last;
	tx->limit = tx->len;
	tx->sent = 0;
	tx->closed = false;
	tx->partial = false;
	if (!tx->len && !tx->last) {
		/* Nothing to say and not the end: dropped without an event. */
		tx->request = false;
		r->ops.tx_end(r->ops.ctx, ch, 0);
		return;
	}
	tx->state = RIFFA_TX_NEW_ACK;
	sg_flush(&tx->sg);
	raise_event(r, ch, RIFFA_EV_TX_TXN);
}

/* No RECVD comes of an aborted fetch: a host can but wait until it must be over. */
#define ABORTED_NS	10000000u

static bool sg_drained(const struct riffa *r, const struct riffa_sg *sg)
{
	return sg->aborted && r->now_ns - sg->aborted_ns >= ABORTED_NS;
}

/*
 * An exact list has arrived by the time its last word went out, so only a list
 * that was longer than its transaction must have been seen received.
 */
static void tx_acknowledge(struct riffa *r, unsigned int ch)
{
	struct riffa_tx *tx = &r->tx[ch];

	if (tx->state == RIFFA_TX_WRITE) {
		tx->partial = true;
		return;
	}
	if (tx->state != RIFFA_TX_NEW_ACK)
		return;
	if (tx->sg.busy ||
	    (tx->inexact && !tx->sg.recvd_seen && !sg_drained(r, &tx->sg)))
		violation_report(r->viol, VIOLATION_ACK_BEFORE_RECVD,
				 "ch=%u tx len=%u, fetch %s, RECVD %s", ch, tx->len,
				 tx->sg.busy ? "running" : "over",
				 tx->sg.recvd_seen ? "seen" : "not seen");
	tx->inexact = false;
	tx->state = RIFFA_TX_WRITE;
	tx->stuck = fault_take_on(&r->faults, FAULT_UP_STUCK, ch);
	if (lie(r, FAULT_ANNOUNCE_TWICE, ch))
		raise_event(r, ch, RIFFA_EV_TX_TXN);
}

static void tx_post(struct riffa *r, unsigned int ch, uint32_t words)
{
	struct riffa_tx *tx = &r->tx[ch];
	bool entitled = tx->early && !tx->done_read;

	/*
	 * A host that acknowledged and did not yet learn that the card ended
	 * the transaction early is entitled to its list, even if the next one is
	 * announced by now.
	 */
	if (tx->state != RIFFA_TX_WRITE && !entitled &&
	    (tx->state == RIFFA_TX_NEW_ACK || !tx->closed))
		violation_report(r->viol, VIOLATION_LIST_BEFORE_ACK,
				 "ch=%u tx len=%u state=%s", ch, words,
				 tx_names[tx->state]);
	else if (tx->state != RIFFA_TX_WRITE)
		tx->inexact = true;
	sg_post(r, ch, &tx->sg, "tx", words);
}

static bool tx_move(struct riffa *r, unsigned int ch)
{
	struct riffa_tx *tx = &r->tx[ch];
	uint32_t budget = STEP_WORDS;
	struct riffa_elem *e;
	const void *data;
	size_t avail;
	uint32_t n;
	int err;

	while (tx->sent < tx->limit && budget) {
		e = sg_front(r, ch, &tx->sg, "tx");
		if (!e)
			break;
		data = r->ops.tx_peek(r->ops.ctx, ch, &avail);
		n = tx->limit - tx->sent;
		if (n > e->words)
			n = e->words;
		/* Full bursts leave at once; a tail waits for its end. */
		if (avail < n && avail < BURST_WORDS)
			break;
		if (n > avail)
			n = (uint32_t)avail;
		if (n > budget)
			n = budget;
		err = host_write(r, ch, e->addr, data, n);
		if (err == -EAGAIN) {
			report_blocked(r, ch, "tx", &tx->blocked, "data");
			break;
		}
		tx->blocked = false;
		if (err && !tx->faulted)
			violation_report(r->viol, VIOLATION_DMA_FAULT,
					 "ch=%u tx data write at 0x%llx, %u words", ch,
					 (unsigned long long)e->addr, n);
		tx->faulted = err;
		r->ops.tx_take(r->ops.ctx, ch, n);
		tx->sent += n;
		budget -= n;
		if (n == e->words)
			tx->faulted = false;
		sg_use(&tx->sg, n);
	}
	return budget != STEP_WORDS;
}

/* All words went out: what is left of the list is judged here. */
static void tx_finish(struct riffa *r, unsigned int ch)
{
	struct riffa_tx *tx = &r->tx[ch];
	unsigned int whole = sg_surplus(&tx->sg);

	tx->inexact = whole || tx->closed;
	tx->early = tx->closed;
	if (whole && !tx->closed)
		violation_report(r->viol, VIOLATION_SURPLUS_ELEMENT,
				 "ch=%u tx len=%u, %u elements left over", ch,
				 tx->len, whole);
	tx->state = RIFFA_TX_DONE;
	/* After an early end the user may already have asked for the next one. */
	if (!tx->closed)
		tx->request = false;
	r->ops.tx_end(r->ops.ctx, ch, tx->sent);
}

/* Events for nothing come when the host cannot take them for others. */
static void tx_stray(struct riffa *r, unsigned int ch)
{
	uint32_t waiting = r->vector[ch / 6] >> (5 * (ch % 6)) & 0x1f;

	if (waiting || r->tx[ch].request || r->tx[ch].sg.busy)
		return;
	if (lie(r, FAULT_ANNOUNCE_STRAY, ch))
		raise_event(r, ch, RIFFA_EV_TX_TXN);
	else if (lie(r, FAULT_DONE_STRAY, ch))
		raise_event(r, ch, RIFFA_EV_TX_DONE);
}

static bool tx_step(struct riffa *r, unsigned int ch)
{
	struct riffa_tx *tx = &r->tx[ch];
	bool moved;

	if (tx->stalled)
		return false;
	if (tx->state == RIFFA_TX_IDLE)
		tx_stray(r, ch);
	moved = sg_step(r, ch, &tx->sg, "tx", tx->state == RIFFA_TX_NEW_ACK,
			&tx->blocked, RIFFA_EV_TX_RECVD);
	switch (tx->state) {
	case RIFFA_TX_IDLE:
		if (!tx->request)
			return moved;
		tx_announce(r, ch);
		return true;
	case RIFFA_TX_NEW_ACK:
		return moved;
	case RIFFA_TX_WRITE:
		if (tx->stuck)
			return moved;
		moved |= tx_move(r, ch);
		if (tx->sent >= tx->limit) {
			tx_finish(r, ch);
			return true;
		}
		if (tx->partial && !tx->sg.count && !tx->sg.busy) {
			tx->partial = false;
			raise_event(r, ch, RIFFA_EV_TX_DONE);
			return true;
		}
		return moved;
	case RIFFA_TX_DONE:
		/* A zero-length transaction latches nothing and does not wait. */
		if (tx->len) {
			if (!tx->done_read)
				return moved;
			tx->done_len = tx->sent;
			tx->done_read = false;
		}
		raise_event(r, ch, RIFFA_EV_TX_DONE);
		tx->state = RIFFA_TX_END;
		return true;
	case RIFFA_TX_END:
		tx->state = RIFFA_TX_IDLE;
		return true;
	}
	return moved;
}

void riffa_tx_open(struct riffa *r, unsigned int ch, uint32_t len,
		   uint32_t off, bool last)
{
	struct riffa_tx *tx = &r->tx[ch];

	tx->req_len = len;
	tx->req_off = off;
	tx->req_last = last;
	tx->request = true;
}

void riffa_tx_close(struct riffa *r, unsigned int ch, uint32_t words)
{
	struct riffa_tx *tx = &r->tx[ch];

	if (!tx->request)
		return;
	tx->request = false;
	if (tx->state != RIFFA_TX_NEW_ACK && tx->state != RIFFA_TX_WRITE)
		return;
	tx->closed = true;
	if (words < tx->limit)
		tx->limit = words > tx->sent ? words : tx->sent;
}

bool riffa_tx_requested(const struct riffa *r, unsigned int ch)
{
	return r->tx[ch].request;
}

uint32_t riffa_tx_sent(const struct riffa *r, unsigned int ch)
{
	return r->tx[ch].state == RIFFA_TX_IDLE ? 0 : r->tx[ch].sent;
}

/* ---- RX: host to card ---- */

static void rx_reset(struct riffa_rx *rx)
{
	rx->state = RIFFA_RX_IDLE;
	rx->offlast = 0;
	rx->len = 0;
	rx->arrived = 0;
	rx->error = false;
	rx->partial = false;
	rx->blocked = false;
	rx->done_len = 0;
	rx->done_read = true;
	rx->fill = 0;
	sg_power_on(&rx->sg);
}

static void rx_len(struct riffa *r, unsigned int ch, uint32_t len)
{
	struct riffa_rx *rx = &r->rx[ch];

	if (rx->state != RIFFA_RX_IDLE) {
		rx->partial = true;
		rx->partial_at = len;
		return;
	}
	if (!len && !(rx->offlast & 1))
		return;
	/* Also empties data of the last transaction the user did not take. */
	sg_flush(&rx->sg);
	rx->fill = 0;
	rx->len = len;
	rx->arrived = 0;
	rx->error = false;
	rx->partial = false;
	rx->state = RIFFA_RX_READ;
}

static void rx_post(struct riffa *r, unsigned int ch, uint32_t words)
{
	struct riffa_rx *rx = &r->rx[ch];

	if (rx->state == RIFFA_RX_IDLE)
		violation_report(r->viol, VIOLATION_RX_LIST_BEFORE_LEN,
				 "ch=%u rx len=%u state=%s", ch, words,
				 rx_names[rx->state]);
	sg_post(r, ch, &rx->sg, "rx", words);
}

static bool rx_fetch(struct riffa *r, unsigned int ch)
{
	struct riffa_rx *rx = &r->rx[ch];
	struct riffa_elem *e;
	bool moved = false;
	uint32_t n;
	int err;

	while (rx->arrived < rx->len && rx->fill < RIFFA_RX_FIFO_WORDS) {
		e = sg_front(r, ch, &rx->sg, "rx");
		if (!e)
			break;
		n = rx->len - rx->arrived;
		if (n > e->words)
			n = e->words;
		if (n > RIFFA_RX_FIFO_WORDS - rx->fill)
			n = (uint32_t)(RIFFA_RX_FIFO_WORDS - rx->fill);
		err = host_read(r, ch, e->addr, rx->data + rx->fill, n);
		if (err == -EAGAIN) {
			report_blocked(r, ch, "rx", &rx->blocked, "data");
			break;
		}
		rx->blocked = false;
		moved = true;
		if (err) {
			violation_report(r->viol, VIOLATION_DMA_FAULT,
					 "ch=%u rx data read at 0x%llx, %u words", ch,
					 (unsigned long long)e->addr, n);
			rx->error = true;
			break;
		}
		rx->fill += n;
		rx->arrived += n;
		sg_use(&rx->sg, n);
	}
	return moved;
}

static bool rx_deliver(struct riffa *r, unsigned int ch)
{
	struct riffa_rx *rx = &r->rx[ch];
	size_t n;

	if (!rx->fill)
		return false;
	n = r->ops.rx_data(r->ops.ctx, ch, rx->offlast >> 1, rx->data, rx->fill);
	memmove(rx->data, rx->data + n, (rx->fill - n) * sizeof(rx->data[0]));
	rx->fill -= n;
	return n != 0;
}

/* All words arrived, or the bus ended the transfer with an error. */
static bool rx_finish(struct riffa *r, unsigned int ch)
{
	struct riffa_rx *rx = &r->rx[ch];
	unsigned int surplus = sg_surplus(&rx->sg);

	if (!rx->done_read)
		return false;
	if (surplus && !rx->error)
		violation_report(r->viol, VIOLATION_SURPLUS_ELEMENT,
				 "ch=%u rx len=%u, %u elements left over", ch,
				 rx->len, surplus);
	if (rx->len) {
		rx->done_len = rx->arrived;
		rx->done_read = false;
	}
	rx->state = RIFFA_RX_END;
	return true;
}

static bool rx_step(struct riffa *r, unsigned int ch)
{
	struct riffa_rx *rx = &r->rx[ch];
	bool moved;

	if (rx->stalled)
		return false;
	moved = sg_step(r, ch, &rx->sg, "rx", false, &rx->blocked, RIFFA_EV_RX_RECVD);
	if (rx->state == RIFFA_RX_READ)
		moved |= rx_fetch(r, ch);
	moved |= rx_deliver(r, ch);
	switch (rx->state) {
	case RIFFA_RX_READ:
		if (rx->partial && rx->arrived >= rx->partial_at &&
		    rx->arrived < rx->len) {
			rx->partial = false;
			raise_event(r, ch, RIFFA_EV_RX_DONE);
			return true;
		}
		if (rx->arrived == rx->len || rx->error)
			moved |= rx_finish(r, ch);
		return moved;
	case RIFFA_RX_END:
		raise_event(r, ch, RIFFA_EV_RX_DONE);
		rx->state = RIFFA_RX_IDLE;
		return true;
	case RIFFA_RX_IDLE:
		break;
	}
	return moved;
}

/* ---- interrupt ---- */

/* Announcements are the card's own; every other event answers the host. */
static bool host_events(const struct riffa *r)
{
	uint32_t mask = 0;
	unsigned int i;

	for (i = 0; i < 6; i++)
		mask |= (0x1fu & ~RIFFA_EV_TX_TXN) << (5 * i);
	return (r->vector[0] | r->vector[1]) & mask;
}

static bool msi_step(struct riffa *r)
{
	bool pending = r->vector[0] | r->vector[1];
	int err;

	switch (r->msi) {
	case RIFFA_MSI_IDLE:
		if (!pending)
			return false;
		r->msi = RIFFA_MSI_INTR;
		return true;
	case RIFFA_MSI_INTR:
		if (pending && fault_take(&r->faults, FAULT_MSI_LOST)) {
			r->msi = RIFFA_MSI_CLR0;
			r->msi_ns = r->now_ns;
			r->msi_late = false;
			return true;
		}
		err = r->ops.msi(r->ops.ctx);
		if (err == -EAGAIN) {
			if (host_events(r) && !r->msi_blocked)
				violation_report(r->viol, VIOLATION_MSI_NO_MASTER,
						 "vector0=0x%08x", r->vector[0]);
			r->msi_blocked = true;
			return false;
		}
		if (err == -EBUSY)
			return false;
		r->msi_blocked = false;
		if (err) {
			/* INTx: its clear input is tied low in the core. */
			r->msi = RIFFA_MSI_STUCK;
			return true;
		}
		r->msi = RIFFA_MSI_CLR0;
		r->msi_ns = r->now_ns;
		r->msi_late = false;
		r->stats.msis++;
		return true;
	case RIFFA_MSI_CLR0:
	case RIFFA_MSI_CLR1:
		if (pending && !r->msi_late &&
		    r->now_ns - r->msi_ns > r->cfg.vector_timeout_ns) {
			r->msi_late = true;
			violation_report(r->viol, VIOLATION_VECTOR_UNREAD,
					 "vector0=0x%08x vector1=0x%08x for %llu ms",
					 r->vector[0], r->vector[1],
					 (unsigned long long)(r->now_ns - r->msi_ns) / 1000000);
		}
		return false;
	case RIFFA_MSI_STUCK:
		return false;
	}
	return false;
}

/* Injected: messages without an event, past the state machine that sends one at a time. */
static bool storm_step(struct riffa *r)
{
	unsigned int i;

	for (i = 0; i < STORM_STEP && fault_armed(&r->faults, FAULT_MSI_STORM); i++) {
		if (r->ops.msi(r->ops.ctx))
			return false;
		fault_take(&r->faults, FAULT_MSI_STORM);
		r->stats.msis++;
	}
	return i != 0;
}

static void note_recvd(struct riffa *r, unsigned int vec, uint32_t bits)
{
	unsigned int i, ch;

	for (i = 0; i < 6; i++) {
		ch = vec * 6 + i;
		if (ch >= r->cfg.channels)
			return;
		if (bits >> (5 * i) & RIFFA_EV_TX_RECVD)
			r->tx[ch].sg.recvd_seen = true;
		if (bits >> (5 * i) & RIFFA_EV_RX_RECVD)
			r->rx[ch].sg.recvd_seen = true;
	}
}

/* Clears what is returned and moves the interrupt state machine on. */
static uint32_t vector_access(struct riffa *r, unsigned int vec, uint32_t mask)
{
	uint32_t val = r->vector[vec];

	note_recvd(r, vec, val & mask);
	r->vector[vec] &= ~mask;
	if (vec == 0 && r->msi == RIFFA_MSI_CLR0)
		r->msi = r->cfg.channels > 6 ? RIFFA_MSI_CLR1 : RIFFA_MSI_IDLE;
	else if (vec == 1 && r->msi == RIFFA_MSI_CLR1)
		r->msi = RIFFA_MSI_IDLE;
	return val;
}

/* ---- reset and registers ---- */

static uint32_t info_value(const struct riffa *r)
{
	uint32_t info = r->cfg.info;

	if (!info)
		info = r->cfg.channels | INFO_LINK_WIDTH | INFO_LINK_RATE |
		       INFO_MRRS | INFO_MPS | INFO_BUS_WIDTH;
	info &= ~INFO_MASTER;
	if (r->ops.bus_master(r->ops.ctx))
		info |= INFO_MASTER;
	return info;
}

static void core_reset(struct riffa *r)
{
	unsigned int ch;

	r->vector[0] = 0;
	r->vector[1] = 0;
	r->msi = RIFFA_MSI_IDLE;
	r->msi_blocked = false;
	violation_excuse(r->viol, false);
	for (ch = 0; ch < r->cfg.channels; ch++) {
		tx_reset(&r->tx[ch]);
		rx_reset(&r->rx[ch]);
	}
}

/* The value is parked until the reset is over, so it is also a DMA fence. */
static uint32_t info_access(struct riffa *r)
{
	core_reset(r);
	r->stats.resets++;
	r->ops.reset_out(r->ops.ctx);
	return info_value(r);
}

/* Injected: a read that got no completion; the core knows nothing of it. */
static bool read_fails(struct riffa *r, unsigned int ch, enum riffa_field f)
{
	switch (f) {
	case RIFFA_INFO:
		return fault_take(&r->faults, FAULT_INFO_ONES);
	case RIFFA_VECTOR0:
		if (!fault_take(&r->faults, FAULT_VECTOR_ONES))
			return false;
		violation_excuse(r->viol, true);
		return true;
	case RIFFA_TX_LEN:
		return lie(r, FAULT_LEN_ONES, ch);
	case RIFFA_RX_TNFR_LEN:
	case RIFFA_TX_TNFR_LEN:
		return lie(r, FAULT_DONE_ONES, ch);
	default:
		return false;
	}
}

/* Injected: a vector that has nothing to do with what happened. The events stay. */
static uint32_t vector_noise(struct riffa *r)
{
	uint32_t val = (uint32_t)rng_next(&r->faults.rng);

	vector_access(r, 0, 0);
	violation_excuse(r->viol, true);
	/* All ones has a meaning of its own. */
	return val == UINT32_MAX ? 0 : val;
}

/* Side effect of fields 0..7, whether the request was a read or a write. */
static void write_field(struct riffa *r, unsigned int ch, enum riffa_field f,
			uint32_t val)
{
	switch (f) {
	case RIFFA_RX_SG_LEN:
		rx_post(r, ch, val);
		break;
	case RIFFA_RX_SG_ADDR_LO:
		sg_addr(r, ch, &r->rx[ch].sg, "rx", val, 0);
		break;
	case RIFFA_RX_SG_ADDR_HI:
		sg_addr(r, ch, &r->rx[ch].sg, "rx", val, 32);
		break;
	case RIFFA_RX_LEN:
		rx_len(r, ch, val);
		break;
	case RIFFA_RX_OFFLAST:
		r->rx[ch].offlast = val;
		break;
	case RIFFA_TX_SG_LEN:
		tx_post(r, ch, val);
		break;
	case RIFFA_TX_SG_ADDR_LO:
		sg_addr(r, ch, &r->tx[ch].sg, "tx", val, 0);
		break;
	case RIFFA_TX_SG_ADDR_HI:
		sg_addr(r, ch, &r->tx[ch].sg, "tx", val, 32);
		break;
	default:
		break;
	}
}

/* Value and side effect of fields 8..15. */
static uint32_t read_field(struct riffa *r, unsigned int ch, enum riffa_field f)
{
	struct riffa_tx *tx = &r->tx[ch];
	struct riffa_rx *rx = &r->rx[ch];
	uint32_t val = 0;

	switch (f) {
	case RIFFA_TX_LEN:
		val = tx->len - tx->sent;
		tx_acknowledge(r, ch);
		break;
	case RIFFA_TX_OFFLAST:
		val = tx->off << 1 | tx->last;
		break;
	case RIFFA_INFO:
		val = info_access(r);
		break;
	case RIFFA_VECTOR0:
	case RIFFA_VECTOR1:
		if (f == RIFFA_VECTOR0 && fault_take(&r->faults, FAULT_VECTOR_RANDOM)) {
			val = vector_noise(r);
			break;
		}
		/* In another page the mask is what the data lines happen to carry. */
		val = vector_access(r, f - RIFFA_VECTOR0,
				    ch ? r->bus_word : UINT32_MAX);
		break;
	case RIFFA_RX_TNFR_LEN:
		val = rx->done_len;
		rx->done_read = true;
		break;
	case RIFFA_TX_TNFR_LEN:
		val = tx->done_len;
		tx->done_read = true;
		if (lie(r, FAULT_DONE_WORDS, ch))
			val = fault_arg(&r->faults, FAULT_DONE_WORDS);
		break;
	case RIFFA_NAME:
		val = ch ? 0 : r->cfg.name;
		break;
	default:
		break;
	}
	if (ch && (f == RIFFA_INFO || f == RIFFA_VECTOR0 || f == RIFFA_VECTOR1)) {
		violation_report(r->viol, VIOLATION_IRQ_PAGE, "ch=%u field=%u", ch, f);
		val = r->bus_word;
	}
	return val;
}

/* Pages repeat modulo the next power of two of the channel count. */
static unsigned int page_channel(const struct riffa *r, uint32_t off)
{
	unsigned int pages = 1;

	while (pages < r->cfg.channels)
		pages *= 2;
	return off / PAGE_BYTES % pages;
}

static void check_width(struct riffa *r, const char *what, uint32_t off, size_t len)
{
	if (len != 4 || off % 4)
		violation_report(r->viol, VIOLATION_BAR_WIDTH, "%s off=0x%x len=%zu",
				 what, off, len);
}

uint32_t riffa_read(struct riffa *r, uint32_t off, size_t len)
{
	unsigned int ch = page_channel(r, off);
	enum riffa_field f = off / 4 % 16;

	r->stats.reads++;
	check_width(r, "read", off, len);
	if (ch >= r->cfg.channels)
		return r->bus_word;
	if (f <= RIFFA_TX_SG_ADDR_HI) {
		/* The register block takes whatever the write data lines hold. */
		violation_report(r->viol, VIOLATION_READ_WRITEONLY,
				 "ch=%u field=%u data lines 0x%08x", ch, f, r->bus_word);
		write_field(r, ch, f, r->bus_word);
	} else if (read_fails(r, ch, f)) {
		return UINT32_MAX;
	} else {
		r->bus_word = read_field(r, ch, f);
	}
	return r->bus_word;
}

void riffa_write(struct riffa *r, uint32_t off, size_t len, uint32_t val)
{
	unsigned int ch = page_channel(r, off);
	enum riffa_field f = off / 4 % 16;

	r->stats.writes++;
	r->bus_word = val;
	check_width(r, "write", off, len);
	if (ch >= r->cfg.channels)
		return;
	if (f > RIFFA_TX_SG_ADDR_HI) {
		violation_report(r->viol, VIOLATION_WRITE_READONLY,
				 "ch=%u field=%u value=0x%08x", ch, f, val);
		read_field(r, ch, f);
	} else {
		write_field(r, ch, f, val);
	}
}

bool riffa_step(struct riffa *r, uint64_t now_ns)
{
	unsigned int ch;
	bool moved;

	r->now_ns = now_ns;
	moved = msi_step(r);
	moved |= storm_step(r);
	for (ch = 0; ch < r->cfg.channels; ch++) {
		moved |= tx_step(r, ch);
		moved |= rx_step(r, ch);
	}
	return moved;
}

void riffa_spurious_msi(struct riffa *r)
{
	if (r->msi == RIFFA_MSI_IDLE)
		r->msi = RIFFA_MSI_INTR;
}

void riffa_stall_tx(struct riffa *r, unsigned int ch, bool stalled)
{
	r->tx[ch].stalled = stalled;
}

void riffa_stall_rx(struct riffa *r, unsigned int ch, bool stalled)
{
	r->rx[ch].stalled = stalled;
}

void riffa_power_on(struct riffa *r)
{
	unsigned int ch;

	fault_clear(&r->faults);
	core_reset(r);
	for (ch = 0; ch < RIFFA_MAX_CHANNELS; ch++) {
		r->tx[ch].request = false;
		r->tx[ch].stalled = false;
		r->rx[ch].stalled = false;
		r->tx[ch].sg.addr = 0;
		r->rx[ch].sg.addr = 0;
	}
	r->bus_word = 0;
}

void riffa_init(struct riffa *r, const struct riffa_config *cfg,
		const struct riffa_ops *ops, struct violations *viol)
{
	memset(r, 0, sizeof(*r));
	r->cfg = *cfg;
	r->ops = *ops;
	r->viol = viol;
	riffa_power_on(r);
}
