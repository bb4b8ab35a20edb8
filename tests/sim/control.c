// SPDX-License-Identifier: MIT
/* control.c - see control.h. */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SEND_TIMEOUT_S	2	/* a client that does not read is dropped */

int control_listen(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;
	int fd, err;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, path);
	/* Only a socket is ours to replace; a file stays and bind() complains. */
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 4)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int plugged(int ret, char *err, size_t errlen)
{
	if (ret)
		snprintf(err, errlen, "%s", strerror(-ret));
	return ret ? -1 : 0;
}

/* Writes the body of the answer; 0, or -1 with a sentence in @err. */
static int answer(struct control *ctl, char *line, FILE *out, char *err, size_t errlen)
{
	char *arg = strchr(line, ' ');

	if (arg)
		*arg++ = '\0';
	if (!strcmp(line, "status")) {
		card_status(ctl->card, out);
	} else if (!strcmp(line, "violations")) {
		card_violations(ctl->card, out);
	} else if (!strcmp(line, "unplug")) {
		return plugged(card_unplug(ctl->card), err, errlen);
	} else if (!strcmp(line, "plug")) {
		return plugged(card_plug(ctl->card), err, errlen);
	} else if (!strcmp(line, "stall")) {
		card_stall(ctl->card, true);
	} else if (!strcmp(line, "resume")) {
		card_stall(ctl->card, false);
	} else if (!strcmp(line, "reset-counters")) {
		card_reset_counters(ctl->card);
	} else if (!strcmp(line, "truth")) {
		card_write_truth(ctl->card);
	} else if (!strcmp(line, "stim")) {
		card_stim_electrodes(ctl->card, out);
	} else if (!strcmp(line, "stim-log")) {
		card_stim_phases(ctl->card, out, arg ? strtoull(arg, NULL, 0) : 0);
	} else if (!strcmp(line, "model") && arg) {
		return card_model_command(ctl->card, arg, err, errlen);
	} else if (!strcmp(line, "fault") && arg) {
		return card_fault(ctl->card, arg, err, errlen);
	} else if (!strcmp(line, "patience")) {
		if (!card_patience(ctl->card, arg ? strtoull(arg, NULL, 0) * 1000000 : 0))
			return 0;
		snprintf(err, errlen, "no interrupts");
		return -1;
	} else if (!strcmp(line, "quit")) {
		ctl->quit = true;
	} else {
		snprintf(err, errlen, "unknown request \"%.64s\"; try status, violations, "
			 "unplug, plug, stall, resume, fault WHAT, reset-counters, truth, "
			 "stim, stim-log FROM, patience MS, model WORDS, quit", line);
		return -1;
	}
	return 0;
}

static int send_all(int fd, const char *buf, size_t len)
{
	ssize_t n;

	while (len) {
		n = send(fd, buf, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int serve_line(struct control *ctl, struct control_client *cl, char *line)
{
	char err[256] = "failed";
	char *buf = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&buf, &len);
	int ret;

	if (!out)
		return -1;
	if (answer(ctl, line, out, err, sizeof(err)))
		fprintf(out, "err %s\n", err);
	else
		fprintf(out, "ok\n");
	fclose(out);
	ret = send_all(cl->fd, buf, len);
	free(buf);
	return ret;
}

static void drop(struct control_client *cl)
{
	close(cl->fd);
	cl->fd = -1;
}

static void serve_client(struct control *ctl, struct control_client *cl)
{
	char *nl;
	size_t used;
	ssize_t n;

	n = recv(cl->fd, cl->line + cl->len, sizeof(cl->line) - 1 - cl->len, 0);
	if (n <= 0) {
		drop(cl);
		return;
	}
	cl->len += (size_t)n;
	cl->line[cl->len] = '\0';
	while ((nl = strchr(cl->line, '\n'))) {
		*nl = '\0';
		used = (size_t)(nl + 1 - cl->line);
		if (nl > cl->line && nl[-1] == '\r')
			nl[-1] = '\0';
		if (serve_line(ctl, cl, cl->line)) {
			drop(cl);
			return;
		}
		cl->len -= used;
		memmove(cl->line, cl->line + used, cl->len + 1);
	}
	/* A line that does not fit is nobody we know. */
	if (cl->len == sizeof(cl->line) - 1)
		drop(cl);
}

static void accept_client(struct control *ctl)
{
	struct timeval tv = { .tv_sec = SEND_TIMEOUT_S };
	int fd = accept4(ctl->listen, NULL, NULL, SOCK_CLOEXEC);
	unsigned int i;

	if (fd < 0)
		return;
	for (i = 0; i < CONTROL_CLIENTS; i++) {
		if (ctl->client[i].fd >= 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
		ctl->client[i].fd = fd;
		ctl->client[i].len = 0;
		return;
	}
	close(fd);
}

int control_run(struct control *ctl, int stop_fd)
{
	struct pollfd p[2 + CONTROL_CLIENTS];
	unsigned int i;

	while (!ctl->quit) {
		p[0] = (struct pollfd){ .fd = stop_fd, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = ctl->listen, .events = POLLIN };
		for (i = 0; i < CONTROL_CLIENTS; i++)
			p[2 + i] = (struct pollfd){ .fd = ctl->client[i].fd,
						    .events = POLLIN };
		if (poll(p, 2 + CONTROL_CLIENTS, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (p[0].revents)
			return 0;
		for (i = 0; i < CONTROL_CLIENTS; i++)
			if (p[2 + i].revents)
				serve_client(ctl, &ctl->client[i]);
		if (p[1].revents)
			accept_client(ctl);
	}
	return 0;
}

int control_open(struct control *ctl, struct card *card, const char *path)
{
	unsigned int i;

	ctl->card = card;
	ctl->quit = false;
	ctl->listen = -1;
	for (i = 0; i < CONTROL_CLIENTS; i++)
		ctl->client[i].fd = -1;
	if (!path)
		return 0;
	ctl->listen = control_listen(path);
	return ctl->listen < 0 ? ctl->listen : 0;
}

void control_close(struct control *ctl)
{
	unsigned int i;

	for (i = 0; i < CONTROL_CLIENTS; i++)
		if (ctl->client[i].fd >= 0)
			drop(&ctl->client[i]);
	if (ctl->listen >= 0)
		close(ctl->listen);
	ctl->listen = -1;
}
