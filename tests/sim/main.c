// SPDX-License-Identifier: MIT
/*
 * main.c - onisim: an ONIX PCIe card or an Acquisition Board, for QEMU.
 *
 * Owns the command line, the listening socket and the threads: main (signals
 * and control socket), server (one host at a time), and the engine inside the
 * card.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "card.h"
#include "control.h"

#define EXIT_VIOLATIONS	3
#define REALTIME_NICE	(-10)
#define DEFAULT_RAM	(256ull << 20)
#define NAME_FPGA	0x46504741u	/* "FPGA", default of the core */

struct options {
	struct card_config card;
	const char *socket;
	enum card_protocol protocol;
	const char *control;
	const char *log;
	bool once;
};

/* The server thread's view. */
struct server {
	struct card *card;
	int listen;
	enum card_protocol protocol;
	int stop_fd;		/* readable: main wants an end, or we do */
	bool once;
};

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "control", required_argument, NULL, 'c' },
	{ "truth", required_argument, NULL, 't' },
	{ "log", required_argument, NULL, 'l' },
	{ "speed", required_argument, NULL, 'S' },
	{ "ram", required_argument, NULL, 'r' },
	{ "channels", required_argument, NULL, 'n' },
	{ "model", required_argument, NULL, 'm' },
	{ "once", no_argument, NULL, 'o' },
	{ "trace", no_argument, NULL, 'T' },
	{ "pci-device", required_argument, NULL, 'p' },
	{ "bar-size", required_argument, NULL, 'b' },
	{ "info", required_argument, NULL, 'i' },
	{ "sg-latency", required_argument, NULL, 'L' },
	{ "keep-rest", no_argument, NULL, 'k' },
	{ "rst-out", no_argument, NULL, 'R' },
	{ "vector-timeout", required_argument, NULL, 'v' },
	{ "board", required_argument, NULL, 'B' },
	{ "usbredir", required_argument, NULL, 'u' },
	{ "usbip", required_argument, NULL, 'U' },
	{ "usb-speed", required_argument, NULL, 'x' },
	{ "product", required_argument, NULL, 'P' },
	{ "serial", required_argument, NULL, 'N' },
	{ "session", required_argument, NULL, 'e' },
	{ "overlap", required_argument, NULL, 'O' },
	{ "burst", required_argument, NULL, 'g' },
	{ "idle-short", required_argument, NULL, 'I' },
	{ "hold-stopped", no_argument, NULL, 'H' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static void usage(FILE *out)
{
	fputs("Usage: onisim --socket PATH [OPTION]...\n"
	      "       onisim --board acq --usbredir PATH|--usbip ADDR:PORT [OPTION]...\n"
	      "A simulated ONIX PCIe card (-device vfio-user-pci) or Acquisition Board\n"
	      "(-device usb-redir) for QEMU.\n\n"
	      "  --board onix|acq      what is simulated (default onix)\n"
	      "  --control PATH        control socket (one request per line)\n"
	      "  --truth FILE          what the card produced, JSON lines\n"
	      "  --log FILE            violations and resets as they happen\n"
	      "  --speed realtime|max  pace of the acquisition clock\n"
	      "  --ram BYTES           card RAM (K, M, G; default 256M)\n"
	      "  --once                exit when the first client leaves\n"
	      "  --model KEY=VALUE     set up the devices, see below\n"
	      "  --keep-rest           a start keeps what the last run left in card RAM\n\n"
	      "ONIX card:\n"
	      "  --socket PATH         vfio-user socket QEMU connects to\n"
	      "  --trace               log every register access as well\n"
	      "  --channels N          RIFFA channels, 4 to 12 (default 4)\n"
	      "  --pci-device VVVV:DDDD  PCI ids (default 10ee:7024)\n"
	      "  --bar-size BYTES      length of BAR0, a power of two (default 1024)\n"
	      "  --info VALUE          INFO register, bit 4 stays live\n"
	      "  --sg-latency NS       least time a list fetch takes (default 0)\n"
	      "  --vector-timeout MS   limit for an unread vector (default 1000)\n"
	      "  --rst-out             an access to INFO resets the ONI controller too\n\n"
	      "Acquisition Board:\n"
	      "  --usbredir PATH       usbredir socket QEMU connects to\n"
	      "  --usbip ADDR:PORT     USB/IP server instead, for vhci_hcd; ADDR may be left out\n"
	      "                        (127.0.0.1), PORT too (3240), port 0: any\n"
	      "  --usb-speed super|high  (default super)\n"
	      "  --product TEXT        product string, by which host software knows the board\n"
	      "  --serial TEXT         serial number (default ONISIM0001)\n"
	      "  --session end|keep    what a short packet does to a read session (end)\n"
	      "  --overlap add|replace what a second one does to the credit of a first (add)\n"
	      "  --burst BYTES         read frames leave in bursts of this length, each with\n"
	      "                        a short packet at its end (default: full packets only)\n"
	      "  --idle-short US       or in a short packet when no more came for so long\n"
	      "  --hold-stopped        none enter the chip while the card is stopped\n\n", out);
	fputs(
	      "Exit status: 0, 1 for a failure, 2 for a usage error (a model key or its value\n"
	      "included), 3 if the guest did something the real card forbids.\n\nModel keys:\n", out);
	model_help(out);
	fputs("\nFaults, on the control socket: fault KIND [N [ARG]] [ch=C], N times (1), on RIFFA\n"
	      "channel or USB pipe C (2); fault clear; fault spent KIND.\n", out);
	fault_help(out);
}

static uint64_t parse_number(const char *what, const char *text, uint64_t min, uint64_t max)
{
	unsigned int shift = 0;
	uint64_t val;
	char *end;

	errno = 0;
	val = strtoull(text, &end, 0);
	if (*end == 'K' || *end == 'k')
		shift = 10;
	else if (*end == 'M')
		shift = 20;
	else if (*end == 'G')
		shift = 30;
	if (shift)
		end++;
	if (errno || end == text || *end || *text == '-' || val > max >> shift ||
	    val << shift < min) {
		fprintf(stderr, "onisim: %s %s: a number from %" PRIu64 " to %" PRIu64
			" expected\n", what, text, min, max);
		exit(2);
	}
	return val << shift;
}

static void parse_ids(struct pci_config *pci, const char *text)
{
	unsigned int vendor, device;
	char rest;

	if (sscanf(text, "%4x:%4x%c", &vendor, &device, &rest) != 2) {
		fprintf(stderr, "onisim: --pci-device %s: VVVV:DDDD in hex expected\n", text);
		exit(2);
	}
	pci->vendor = (uint16_t)vendor;
	pci->device = (uint16_t)device;
	pci->subvendor = (uint16_t)vendor;
}

static void parse_model(struct card_config *card, const char *text)
{
	if (card->options == CARD_MAX_OPTIONS) {
		fprintf(stderr, "onisim: more than %d --model options\n", CARD_MAX_OPTIONS);
		exit(2);
	}
	card->option[card->options++] = text;
}

static enum controller_pace parse_speed(const char *text)
{
	if (!strcmp(text, "realtime"))
		return PACE_REALTIME;
	if (!strcmp(text, "max"))
		return PACE_MAX;
	fprintf(stderr, "onisim: --speed %s: realtime or max expected\n", text);
	exit(2);
}

static void parse_bar(struct pci_config *pci, const char *text)
{
	pci->bar_size = (uint32_t)parse_number("--bar-size", text, 16, 1u << 24);
	if (pci->bar_size & (pci->bar_size - 1)) {
		fprintf(stderr, "onisim: --bar-size %s: a power of two expected\n", text);
		exit(2);
	}
}

/* One of two words: false for the first. */
static bool parse_choice(const char *what, const char *text, const char *no, const char *yes)
{
	if (strcmp(text, no) && strcmp(text, yes)) {
		fprintf(stderr, "onisim: %s %s: %s or %s expected\n", what, text, no, yes);
		exit(2);
	}
	return !strcmp(text, yes);
}

static const char *parse_string(const char *what, const char *text)
{
	if (!*text || strlen(text) > FT600_STRING_MAX) {
		fprintf(stderr, "onisim: %s: 1 to %u characters expected\n", what,
			FT600_STRING_MAX);
		exit(2);
	}
	return text;
}

/* Options of the Acquisition Board. False: it is none. */
static bool parse_usb_option(struct options *o, int opt, const char *arg)
{
	struct usb_config *usb = &o->card.usb;

	switch (opt) {
	case 'u':
		o->socket = arg;
		o->protocol = PROTOCOL_USBREDIR;
		return true;
	case 'U':
		o->socket = arg;
		o->protocol = PROTOCOL_USBIP;
		return true;
	case 'x':
		usb->chip.speed = parse_choice("--usb-speed", arg, "high", "super") ?
				  USB_SUPER_SPEED : USB_HIGH_SPEED;
		return true;
	case 'P':
		usb->chip.product = parse_string("--product", arg);
		return true;
	case 'N':
		usb->chip.serial = parse_string("--serial", arg);
		return true;
	case 'e':
		usb->chip.keep_session = parse_choice("--session", arg, "end", "keep");
		return true;
	case 'O':
		usb->chip.replace_credit = parse_choice("--overlap", arg, "add", "replace");
		return true;
	case 'g':
		usb->acq.burst_bytes = (uint32_t)parse_number("--burst", arg, 4, 1u << 20);
		return true;
	case 'I':
		usb->acq.idle_ns = parse_number("--idle-short", arg, 1, 10000000) * 1000;
		return true;
	case 'H':
		usb->acq.hold_stopped = true;
		return true;
	default:
		return false;
	}
}

static void parse_option(struct options *o, int opt, const char *arg)
{
	struct card_config *card = &o->card;

	switch (opt) {
	case 's':
		o->socket = arg;
		o->protocol = PROTOCOL_VFIO_USER;
		break;
	case 'B':
		card->board = parse_choice("--board", arg, "onix", "acq") ?
			      MODEL_BOARD_ACQ : MODEL_BOARD_ONIX;
		break;
	case 'c':
		o->control = arg;
		break;
	case 't':
		card->truth_path = arg;
		break;
	case 'l':
		o->log = arg;
		break;
	case 'S':
		card->pace = parse_speed(arg);
		break;
	case 'r':
		card->ram_bytes = parse_number("--ram", arg, 4096, 1ull << 40);
		break;
	case 'n':
		card->pcie.riffa.channels = (unsigned int)parse_number("--channels", arg,
				ONIX_CHANNELS, RIFFA_MAX_CHANNELS);
		break;
	case 'm':
		parse_model(card, arg);
		break;
	case 'o':
		o->once = true;
		break;
	case 'T':
		card->pcie.trace = true;
		break;
	case 'p':
		parse_ids(&card->pcie.pci, arg);
		break;
	case 'b':
		parse_bar(&card->pcie.pci, arg);
		break;
	case 'i':
		card->pcie.riffa.info = (uint32_t)parse_number("--info", arg, 1, UINT32_MAX);
		break;
	case 'L':
		card->pcie.riffa.sg_latency_ns = parse_number("--sg-latency", arg, 0, 1000000000);
		break;
	case 'v':
		card->pcie.riffa.vector_timeout_ns =
			parse_number("--vector-timeout", arg, 1, 1000000) * 1000000;
		break;
	case 'k':
		card->keep_rest = true;
		break;
	case 'R':
		card->pcie.rst_out = true;
		break;
	case 'h':
		usage(stdout);
		exit(0);
	default:
		fprintf(stderr, "onisim: try onisim --help\n");
		exit(2);
	}
}

static void parse(struct options *o, int argc, char **argv)
{
	bool acq;
	int opt;

	*o = (struct options){
		.card = {
			.pcie.riffa = { .channels = ONIX_CHANNELS, .name = NAME_FPGA,
					.vector_timeout_ns = 1000000000 },
			.pcie.pci = { .vendor = 0x10ee, .device = 0x7024, .subvendor = 0x10ee,
				      .subdevice = 0x0007, .bar_size = RIFFA_BAR_SIZE },
			.usb.chip = { .speed = USB_SUPER_SPEED, .manufacturer = "Open Ephys",
				      .product = FT600_PRODUCT_STRING, .serial = "ONISIM0001" },
			.ram_bytes = DEFAULT_RAM,
		},
	};
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		if (!parse_usb_option(o, opt, optarg))
			parse_option(o, opt, optarg);
	acq = o->card.board == MODEL_BOARD_ACQ;
	if (optind < argc || !o->socket || acq != (o->protocol != PROTOCOL_VFIO_USER)) {
		fprintf(stderr, "onisim: %s; try onisim --help\n",
			optind < argc ? "too many arguments" : acq ?
			"--usbredir PATH or --usbip ADDR:PORT is needed with --board acq" :
			"--socket PATH is needed, or --board acq");
		exit(2);
	}
}

/* "ADDR:PORT", either may be empty. Returns a socket or -errno. */
static int listen_tcp(const char *text)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : "";
	char addr[64] = "127.0.0.1";
	int fd, one = 1, err;

	if (!colon || (size_t)(colon - text) >= sizeof(addr))
		return -EINVAL;
	if (colon > text)
		snprintf(addr, sizeof(addr), "%.*s", (int)(colon - text), text);
	sa.sin_port = htons((uint16_t)(*port ? parse_number("--usbip", port, 0, 65535) : 3240));
	if (inet_pton(AF_INET, addr, &sa.sin_addr) != 1)
		return -EINVAL;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Accepted sockets have it too: an answer must not wait for the next one. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!bind(fd, (struct sockaddr *)&sa, sizeof(sa)) && !listen(fd, 4))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static void print_listening(const struct options *o, int fd)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	char addr[64];

	if (o->protocol != PROTOCOL_USBIP || getsockname(fd, (struct sockaddr *)&sa, &len) ||
	    !inet_ntop(AF_INET, &sa.sin_addr, addr, sizeof(addr)))
		printf("onisim: listening on %s\n", o->socket);
	else
		printf("onisim: listening on %s:%u\n", addr, ntohs(sa.sin_port));
	fflush(stdout);
}

static int accept_client(struct server *s)
{
	struct pollfd p[2] = {
		{ .fd = s->stop_fd, .events = POLLIN },
		{ .fd = s->listen, .events = POLLIN },
	};

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -1;
		if (p[0].revents)
			return -1;
		if (p[1].revents)
			return accept4(s->listen, NULL, NULL, SOCK_CLOEXEC);
	}
}

static void *serve(void *arg)
{
	struct server *s = arg;
	uint64_t one = 1;
	int sock, err;

	do {
		sock = accept_client(s);
		if (sock < 0)
			break;
		err = card_serve(s->card, sock, s->protocol);
		if (err)
			fprintf(stderr, "onisim: client dropped: %s\n", strerror(-err));
	} while (!s->once);
	/* Wake main if the end was ours. */
	if (write(s->stop_fd, &one, sizeof(one)) < 0)
		perror("onisim: eventfd");
	return NULL;
}

static void *wait_signal(void *arg)
{
	const struct server *s = arg;
	uint64_t one = 1;
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigwait(&set, &sig);
	if (write(s->stop_fd, &one, sizeof(one)) < 0)
		perror("onisim: eventfd");
	return NULL;
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/*
 * A card does not wait for processor time. On a machine where the guest fills
 * every core, the engine would; where this is not allowed, it does.
 */
static void hurry(const struct card_config *cfg)
{
	if (cfg->pace == PACE_REALTIME && setpriority(PRIO_PROCESS, 0, REALTIME_NICE) &&
	    cfg->log)
		fprintf(cfg->log, "running at normal priority: %s\n", strerror(errno));
}

static void fail(const char *what, int err)
{
	fprintf(stderr, "onisim: %s: %s\n", what, strerror(-err));
	exit(1);
}

/* Run until a signal, "quit" or the end of --once. */
static void run(struct options *o, struct card *card)
{
	struct server s = { .card = card, .protocol = o->protocol, .once = o->once };
	pthread_t serving, signals;
	struct control control;
	uint64_t one = 1;
	int err;

	s.stop_fd = eventfd(0, EFD_CLOEXEC);
	if (s.stop_fd < 0)
		fail("eventfd", -errno);
	s.listen = o->protocol == PROTOCOL_USBIP ? listen_tcp(o->socket) :
						   control_listen(o->socket);
	if (s.listen < 0)
		fail(o->socket, s.listen);
	err = control_open(&control, card, o->control);
	if (err)
		fail(o->control, err);
	err = pthread_create(&signals, NULL, wait_signal, &s);
	if (err)
		fail("signal thread", -err);
	err = pthread_create(&serving, NULL, serve, &s);
	if (err)
		fail("server thread", -err);
	print_listening(o, s.listen);

	err = control_run(&control, s.stop_fd);
	if (err)
		fprintf(stderr, "onisim: control socket: %s\n", strerror(-err));
	/* The eventfd stays readable, so the server sees it whatever it does. */
	if (write(s.stop_fd, &one, sizeof(one)) < 0)
		perror("onisim: eventfd");
	card_shutdown(card);
	pthread_join(serving, NULL);
	pthread_cancel(signals);
	pthread_join(signals, NULL);
	control_close(&control);
	close(s.listen);
	close(s.stop_fd);
	if (o->protocol != PROTOCOL_USBIP)
		unlink(o->socket);
	if (o->control)
		unlink(o->control);
}

int main(int argc, char **argv)
{
	static struct card card;
	struct options o;
	uint64_t violations;
	char err[512];
	int ret;

	parse(&o, argc, argv);
	block_signals();
	if (o.log) {
		o.card.log = fopen(o.log, "w");
		if (!o.card.log)
			fail(o.log, -errno);
		setvbuf(o.card.log, NULL, _IOLBF, 0);
	}
	hurry(&o.card);
	ret = card_init(&card, &o.card, err, sizeof(err));
	if (ret) {
		fprintf(stderr, "onisim: %s\n", err);
		return ret == -EINVAL ? 2 : 1;
	}
	run(&o, &card);
	card_status(&card, stdout);
	card_violations(&card, stdout);
	violations = card_violation_total(&card);
	card_exit(&card);
	printf("onisim: %" PRIu64 " violations\n", violations);
	if (o.card.log)
		fclose(o.card.log);
	return violations ? EXIT_VIOLATIONS : 0;
}
