// SPDX-License-Identifier: MIT
/* fault.c - see fault.h. */
#include "fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CHANNEL	2u	/* read frames */

enum { SEED = 1, MS, WORDS, BYTES, NUMBER, SKIP };

static const char *const args[] = { NULL, "SEED", "MS", "WORDS", "BYTES", "VALUE", "SKIP" };

static const struct {
	const char *name;
	unsigned int arg;	/* what the argument is, 0: takes none */
	bool channel;
	uint32_t def;		/* argument if none is given */
	const char *what;
} kinds[FAULT_KINDS] = {
	[FAULT_VECTOR_RANDOM] = { "vector-random", SEED, false, 1,
		"a read of the vector gives noise; what it hid stays" },
	[FAULT_VECTOR_ONES] = { "vector-ones", 0, false, 0,
		"a read of the vector fails: all ones, and the core does not see it" },
	[FAULT_INFO_ONES] = { "info-ones", 0, false, 0, "the same for INFO; there is no reset" },
	[FAULT_LEN_ONES] = { "len-ones", 0, true, 0, "the same for the announced length" },
	[FAULT_DONE_ONES] = { "done-ones", 0, true, 0,
		"the same for the length moved, in either direction" },
	[FAULT_ANNOUNCE_TWICE] = { "announce-twice", 0, true, 0,
		"the announcement comes again after its acknowledgement" },
	[FAULT_ANNOUNCE_STRAY] = { "announce-stray", 0, true, 0,
		"an announcement with nothing behind it" },
	[FAULT_ANNOUNCE_WORDS] = { "announce-words", WORDS, false, 0,
		"a block of read frames is announced and sent with WORDS words" },
	[FAULT_DONE_STRAY] = { "done-stray", 0, true, 0, "the end of a transaction that was none" },
	[FAULT_DONE_WORDS] = { "done-words", WORDS, true, 0,
		"the length moved reads WORDS, whatever was moved" },
	[FAULT_SHORT] = { "short", WORDS, false, 0,
		"a block of read frames ends after WORDS words, and its data go on in the next" },
	[FAULT_RECVD_LOST] = { "recvd-lost", 0, true, 0,
		"a list to the host is received and the event is missing" },
	[FAULT_RECVD_LATE] = { "recvd-late", MS, true, 100, "the same event comes MS later" },
	[FAULT_FETCH_STUCK] = { "fetch-stuck", 0, true, 0,
		"the fetch of a list for data to the host never ends" },
	[FAULT_UP_STUCK] = { "up-stuck", 0, true, 0, "data to the host never leave" },
	[FAULT_DOWN_STUCK] = { "down-stuck", 0, true, 0,
		"the list of data to the card is never fetched" },
	[FAULT_DOWN_LATE] = { "down-late", MS, true, 100, "it is fetched MS later, and the data then" },
	[FAULT_MSI_STORM] = { "msi-storm", 0, false, 0,
		"interrupts without events, as fast as they go" },
	[FAULT_MSI_LOST] = { "msi-lost", 0, false, 0, "events wait and no interrupt says so" },
	[FAULT_NACK] = { "nack", 0, false, 0, "a device register access is refused" },
	[FAULT_MUTE] = { "mute", 0, false, 0, "one is neither done nor answered" },
	[FAULT_DEAF] = { "deaf", 0, false, 0, "a write is answered and not done" },
	[FAULT_ACK_LATE] = { "ack-late", MS, false, 100, "one takes MS, TRIGGER is busy so long" },
	[FAULT_ACK_TWICE] = { "ack-twice", 0, false, 0, "the answer comes twice" },
	[FAULT_ACK_WRONG] = { "ack-wrong", 0, false, 0,
		"a read is answered as if it were a write, and the other way round" },
	[FAULT_TRIG_STUCK] = { "trig-stuck", 0, false, 0,
		"an access never ends: TRIGGER is busy until a reset" },
	[FAULT_REPLY_LOST] = { "reply-lost", 0, false, 0,
		"a read of a controller register is not answered" },
	[FAULT_REPLY_LATE] = { "reply-late", MS, false, 100, "one is answered MS later" },
	[FAULT_REPLY_TWICE] = { "reply-twice", 0, false, 0, "one is answered twice" },
	[FAULT_REPLY_STRAY] = { "reply-stray", NUMBER, false, 0xdeadbeef,
		"an answer that nobody asked for" },
	[FAULT_AFTER_STOP] = { "after-stop", 0, false, 0,
		"as many blocks as ordered are made after a stop" },
	[FAULT_TABLE_ROWS] = { "table-rows", NUMBER, false, 0,
		"a table has VALUE rows, made up where there is no device; 4294967295: no end" },
	[FAULT_TABLE_COUNT] = { "table-count", NUMBER, false, 0,
		"a table announces VALUE rows, whatever follows" },
	[FAULT_TABLE_SLOW] = { "table-slow", MS, false, 1000, "each row of a table waits for MS" },
	[FAULT_TABLE_DOUBLE] = { "table-double", 0, false, 0,
		"the last row of a table has the address of the first" },
	[FAULT_TABLE_ADDR] = { "table-addr", NUMBER, false, 0x10000, "the last row is at VALUE" },
	[FAULT_TABLE_READ_SIZE] = { "table-read-size", BYTES, false, UINT32_MAX,
		"the last row has read frames of this size" },
	[FAULT_TABLE_WRITE_SIZE] = { "table-write-size", BYTES, false, UINT32_MAX,
		"the last row has write frames of this size" },
	[FAULT_TABLE_BYTES] = { "table-bytes", BYTES, false, 20,
		"the packet of the last row has this length, 24 is right" },
	[FAULT_SIGNAL_OPEN] = { "signal-open", 0, false, 0, "a signal packet without its end" },
	[FAULT_SIGNAL_ZERO] = { "signal-zero", 0, false, 0, "one with a zero in the middle" },
	[FAULT_SIGNAL_LONG] = { "signal-long", 0, false, 0,
		"one of 300 bytes; its own are the last of them" },
	[FAULT_SIGNAL_FLIP] = { "signal-flip", SEED, false, 1, "one with a bit turned round" },
	[FAULT_SIGNAL_CUT] = { "signal-cut", 0, false, 0, "one that ends in its middle" },
	[FAULT_SIGNAL_GARBAGE] = { "signal-garbage", SEED, false, 1,
		"as many bytes of noise as ordered" },
	[FAULT_USB_SHORT] = { "usb-short", SEED, false, 1,
		"the FPGA ends a burst of read frames after 4 to 1020 bytes: a short packet" },
	[FAULT_USB_ZLP] = { "usb-zlp", 0, true, 0, "a request for data ends with no data" },
	[FAULT_USB_STALL] = { "usb-stall", 0, true, 0, "a pipe to the host halts" },
	[FAULT_USB_OUT_STALL] = { "usb-out-stall", 0, true, 0, "a pipe to the card halts" },
	[FAULT_USB_SESSION_END] = { "usb-session-end", 0, true, 0,
		"a session or stream ends with the request that is served next" },
	[FAULT_USB_VANISH] = { "usb-vanish", 0, true, 0,
		"the device is gone when a request could have been served" },
	[FAULT_USB_VENDOR_SHORT] = { "usb-vendor-short", 0, false, 0,
		"the answer to a vendor request has half its length" },
	[FAULT_USB_VENDOR_STALL] = { "usb-vendor-stall", SKIP, false, 0,
		"a vendor request is refused, after SKIP that are not" },
	[FAULT_USB_DESC_TYPE] = { "usb-desc-type", 0, false, 0,
		"while ordered: endpoint 0x82 is said to be an interrupt endpoint" },
	[FAULT_USB_DESC_MISSING] = { "usb-desc-missing", 0, false, 0,
		"while ordered: endpoint 0x83 is not in the descriptors" },
	[FAULT_USB_DESC_NOISE] = { "usb-desc-noise", SEED, false, 1,
		"while ordered: as many bytes of the configuration descriptor are noise" },
	[FAULT_USB_FIFO_MODE] = { "usb-fifo-mode", 0, false, 0,
		"while ordered: the chip's configuration says FIFO mode 245" },
	[FAULT_USB_REPLY_LATE] = { "usb-reply-late", MS, false, 100,
		"nothing leaves pipe 0x83 for MS when a register was read" },
	[FAULT_USB_REPLY_SPLIT] = { "usb-reply-split", 0, false, 0,
		"as many bytes as ordered leave pipe 0x83 one by one" },
	[FAULT_USB_REPLY_GARBAGE] = { "usb-reply-garbage", SEED, false, 1,
		"as many bytes as ordered come before the value of a register" },
};

static int kind_of(const char *name)
{
	int k;

	for (k = 0; k < FAULT_KINDS; k++)
		if (!strcmp(kinds[k].name, name))
			return k;
	return -1;
}

static bool number(const char *text, uint32_t *val)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || n > UINT32_MAX)
		return false;
	*val = (uint32_t)n;
	return true;
}

static int order(struct faults *f, int k, char **save, char *err, size_t errlen)
{
	struct fault_order o = { .left = 1, .arg = kinds[k].def, .ch = DEFAULT_CHANNEL,
				 .done = f->order[k].done };
	unsigned int pos = 0;
	char *word;
	bool ok;

	while ((word = strtok_r(NULL, " ", save))) {
		if (!strncmp(word, "ch=", 3))
			ok = kinds[k].channel && number(word + 3, &o.ch);
		else if (pos == 0)
			ok = number(word, &o.left);
		else
			ok = pos == 1 && kinds[k].arg && number(word, &o.arg);
		if (!ok) {
			snprintf(err, errlen, "fault %s: \"%.32s\" is not expected",
				 kinds[k].name, word);
			return -1;
		}
		pos += strncmp(word, "ch=", 3) != 0;
	}
	f->order[k] = o;
	if (kinds[k].arg == SEED)
		rng_init(&f->rng, o.arg, (uint64_t)k);
	return 0;
}

int fault_request(struct faults *f, const char *line, char *err, size_t errlen)
{
	char buf[256], *save, *word;
	bool spent;
	int k;

	snprintf(buf, sizeof(buf), "%s", line);
	word = strtok_r(buf, " ", &save);
	if (word && !strcmp(word, "clear")) {
		fault_clear(f);
		return 0;
	}
	spent = word && !strcmp(word, "spent");
	if (spent)
		word = strtok_r(NULL, " ", &save);
	k = word ? kind_of(word) : -1;
	if (k < 0) {
		snprintf(err, errlen, "unknown fault \"%.64s\"; onisim --help lists them",
			 word ? word : "");
		return -1;
	}
	if (!spent)
		return order(f, k, &save, err, errlen);
	snprintf(err, errlen, "fault %s: done %" PRIu64 ", %u to come", kinds[k].name,
		 f->order[k].done, f->order[k].left);
	return f->order[k].done && !f->order[k].left ? 0 : -1;
}

void fault_clear(struct faults *f)
{
	int k;

	for (k = 0; k < FAULT_KINDS; k++)
		f->order[k].left = 0;
}

bool fault_take(struct faults *f, enum fault kind)
{
	if (!f->order[kind].left)
		return false;
	f->order[kind].left--;
	f->order[kind].done++;
	return true;
}

bool fault_take_after(struct faults *f, enum fault kind)
{
	if (!f->order[kind].left)
		return false;
	if (f->order[kind].arg) {
		f->order[kind].arg--;
		return false;
	}
	return fault_take(f, kind);
}

bool fault_take_on(struct faults *f, enum fault kind, unsigned int ch)
{
	return f->order[kind].ch == ch && fault_take(f, kind);
}

void fault_help(FILE *out)
{
	int k;

	for (k = 0; k < FAULT_KINDS; k++)
		fprintf(out, "  %s N%s%s%s\n      %s\n", kinds[k].name,
			kinds[k].arg ? " " : "", kinds[k].arg ? args[kinds[k].arg] : "",
			kinds[k].channel ? " ch=C" : "", kinds[k].what);
}

void fault_status(const struct faults *f, FILE *out)
{
	int k;

	for (k = 0; k < FAULT_KINDS; k++) {
		if (f->order[k].done)
			fprintf(out, "fault.%s.done %" PRIu64 "\n", kinds[k].name,
				f->order[k].done);
		if (f->order[k].left)
			fprintf(out, "fault.%s.left %u\n", kinds[k].name, f->order[k].left);
	}
}
