/* SPDX-License-Identifier: MIT */
/*
 * riffa.h - the RIFFA 2.2 PCIe endpoint: register block, channels, interrupt.
 *
 * Owns what the FPGA core owns: per channel one TX (card to host) and one RX
 * (host to card) state machine, two scatter-gather requesters with their list
 * FIFOs, the interrupt vectors and the MSI state machine. It knows neither ONI
 * nor QEMU: host memory and the user logic are reached through riffa_ops.
 *
 * Time: a register access only changes registers and latches; list fetches,
 * data movement and interrupts happen in riffa_step(), one small piece per
 * call, so that a host can get in between as it can on hardware.
 * Threads: none. The caller serialises every call.
 * Source: RIFFA 2.2 HDL: registers.v, channel_64.v, sg_list_requester.v,
 * sg_list_reader_64.v, tx_port_writer.v, rx_port_reader.v, interrupt.v,
 * interrupt_controller.v; 64-bit user bus.
 */
#ifndef SIM_RIFFA_H
#define SIM_RIFFA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "violation.h"

#define RIFFA_MAX_CHANNELS	12
#define RIFFA_BAR_SIZE		1024
#define RIFFA_LIST_MAX		400	/* elements per list the core can hold */
#define RIFFA_FIFO_ELEMS	512	/* 1024 entries, two per element */
#define RIFFA_FIFO_START	112	/* a fetch starts below 224 entries */
#define RIFFA_RX_FIFO_WORDS	2048

/* Register fields of one channel page. */
enum riffa_field {
	RIFFA_RX_SG_LEN,
	RIFFA_RX_SG_ADDR_LO,
	RIFFA_RX_SG_ADDR_HI,
	RIFFA_RX_LEN,
	RIFFA_RX_OFFLAST,
	RIFFA_TX_SG_LEN,
	RIFFA_TX_SG_ADDR_LO,
	RIFFA_TX_SG_ADDR_HI,
	RIFFA_TX_LEN,
	RIFFA_TX_OFFLAST,
	RIFFA_INFO,
	RIFFA_VECTOR0,
	RIFFA_VECTOR1,
	RIFFA_RX_TNFR_LEN,
	RIFFA_TX_TNFR_LEN,
	RIFFA_NAME,
};

/* Event bits of one channel, five per channel in a vector. */
#define RIFFA_EV_TX_TXN		(1u << 0)
#define RIFFA_EV_TX_RECVD	(1u << 1)
#define RIFFA_EV_TX_DONE	(1u << 2)
#define RIFFA_EV_RX_RECVD	(1u << 3)
#define RIFFA_EV_RX_DONE	(1u << 4)

/*
 * What surrounds the core. The DMA calls and msi() return 0, -EFAULT (the
 * address does not answer) or -EAGAIN (bus mastering is off: the request waits
 * in the PCIe core). msi() returns -ENODEV when MSI is not enabled, -EBUSY when
 * the message cannot leave at this moment.
 */
struct riffa_ops {
	void *ctx;
	int (*dma_read)(void *ctx, uint64_t addr, void *buf, size_t len);
	int (*dma_write)(void *ctx, uint64_t addr, const void *buf, size_t len);
	int (*msi)(void *ctx);
	bool (*bus_master)(void *ctx);
	/* User logic, card to host: contiguous words ready, then taken. */
	const void *(*tx_peek)(void *ctx, unsigned int ch, size_t *words);
	void (*tx_take)(void *ctx, unsigned int ch, size_t words);
	/* The last word was taken or the close took effect; the request is gone. */
	void (*tx_end)(void *ctx, unsigned int ch, uint32_t words);
	/* User logic, host to card: returns the number of words it took. */
	size_t (*rx_data)(void *ctx, unsigned int ch, uint32_t offset,
			  const uint32_t *words, size_t n);
	/* RST_OUT: the core was reset by an access to INFO. */
	void (*reset_out)(void *ctx);
};

struct riffa_config {
	unsigned int channels;		/* 1..12 */
	uint32_t info;			/* 0: made from the defaults */
	uint32_t name;			/* four characters, first one on top */
	uint64_t sg_latency_ns;		/* a list piece takes at least this long */
	uint64_t vector_timeout_ns;	/* limit for "vector-unread" */
};

struct riffa_stats {
	uint64_t reads;
	uint64_t writes;
	uint64_t msis;
	uint64_t lists;		/* lists whose fetch was started */
	uint64_t resets;	/* accesses to INFO */
	struct {
		uint64_t reads, read_words;	/* lists included */
		uint64_t writes, write_words;
	} dma[RIFFA_MAX_CHANNELS];
};

struct riffa_elem {
	uint64_t addr;
	uint32_t words;
};

/* One scatter-gather requester, its list reader and FIFO. */
struct riffa_sg {
	uint64_t addr;		/* register; survives the reset of the core */
	bool busy;		/* fetch requested or running */
	bool running;		/* requests were issued */
	bool aborted;		/* flushed while running: no RECVD at its end */
	uint64_t aborted_ns;	/* when such a fetch was over */
	bool recvd_seen;	/* the host read the last list's RECVD event */
	uint64_t recvd_ns;	/* injected: the event is due then; 0: none is */
	bool stuck;		/* injected: the fetch never ends */
	uint64_t next;
	uint32_t words;		/* words still to arrive */
	uint64_t ready_ns;
	uint32_t part[4];	/* words of an element not yet complete */
	unsigned int parts;
	unsigned int head, count;
	bool front_used;	/* the channel took words from the first element */
	struct riffa_elem fifo[RIFFA_FIFO_ELEMS];
};

enum riffa_tx_state {
	RIFFA_TX_IDLE,
	RIFFA_TX_NEW_ACK,
	RIFFA_TX_WRITE,
	RIFFA_TX_DONE,
	RIFFA_TX_END,
};

struct riffa_tx {
	enum riffa_tx_state state;
	bool request;		/* held by the user logic */
	bool closed;		/* user dropped the request early */
	bool early;		/* the last transaction ended so */
	uint32_t req_len, req_off;
	bool req_last;
	uint32_t len, off, limit, sent;
	bool last;
	bool partial;		/* partial TX_DONE asked for */
	bool inexact;		/* last list did not match its transaction */
	bool faulted;		/* current element was reported already */
	bool blocked;		/* bus mastering off was reported already */
	bool stalled;
	bool stuck;		/* injected: no data until a reset */
	uint32_t done_len;
	bool done_read;
	struct riffa_sg sg;
};

enum riffa_rx_state { RIFFA_RX_IDLE, RIFFA_RX_READ, RIFFA_RX_END };

struct riffa_rx {
	enum riffa_rx_state state;
	uint32_t offlast;
	uint32_t len, arrived;
	bool error;
	bool partial;
	uint32_t partial_at;
	bool blocked;
	bool stalled;
	uint32_t done_len;
	bool done_read;
	struct riffa_sg sg;
	uint32_t data[RIFFA_RX_FIFO_WORDS];
	size_t fill;
};

enum riffa_msi_state {
	RIFFA_MSI_IDLE,
	RIFFA_MSI_INTR,
	RIFFA_MSI_CLR0,
	RIFFA_MSI_CLR1,
	RIFFA_MSI_STUCK,
};

struct riffa {
	struct riffa_config cfg;
	struct riffa_ops ops;
	struct violations *viol;
	struct faults faults;	/* of the whole card */
	struct riffa_stats stats;
	uint32_t vector[2];
	enum riffa_msi_state msi;
	bool msi_late;		/* "vector-unread" reported for this MSI */
	bool msi_blocked;
	uint64_t msi_ns;
	uint64_t now_ns;
	uint32_t bus_word;	/* what the data lines carried last */
	struct riffa_tx tx[RIFFA_MAX_CHANNELS];
	struct riffa_rx rx[RIFFA_MAX_CHANNELS];
};

void riffa_init(struct riffa *r, const struct riffa_config *cfg,
		const struct riffa_ops *ops, struct violations *viol);

/* Power-on state; counters stay. */
void riffa_power_on(struct riffa *r);

/*
 * BAR0 access at byte @off with @len bytes. Any access has the side effect of
 * its field. A read returns one word whatever was asked.
 */
uint32_t riffa_read(struct riffa *r, uint32_t off, size_t len);
void riffa_write(struct riffa *r, uint32_t off, size_t len, uint32_t val);

/*
 * One step of everything that runs by itself. Returns true if something moved,
 * so that another call may find more to do.
 */
bool riffa_step(struct riffa *r, uint64_t now_ns);

/* User logic: ask for a TX transaction; drop the request after @words. */
void riffa_tx_open(struct riffa *r, unsigned int ch, uint32_t len,
		   uint32_t off, bool last);
void riffa_tx_close(struct riffa *r, unsigned int ch, uint32_t words);
bool riffa_tx_requested(const struct riffa *r, unsigned int ch);
/* Words of the current transaction handed to the core so far. */
uint32_t riffa_tx_sent(const struct riffa *r, unsigned int ch);

/* An interrupt message without an event behind it. */
void riffa_spurious_msi(struct riffa *r);

/* Freeze one direction of a channel; registers still answer. */
void riffa_stall_tx(struct riffa *r, unsigned int ch, bool stalled);
void riffa_stall_rx(struct riffa *r, unsigned int ch, bool stalled);

#endif
