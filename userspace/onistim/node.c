// SPDX-License-Identifier: MIT
/* node.c - see node.h. */
#include "node.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <onidev.h>

#include "words.h"

/* ---- finding them ------------------------------------------------------------ */
static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

static bool is_name(const char *text)
{
	const char *p = text + 3;

	if (strncmp(text, "oni", 3) || !isdigit((unsigned char)*p))
		return false;
	while (isdigit((unsigned char)*p))
		p++;
	return !*p && strlen(text) < NODE_NAME;
}

static bool is_called(const struct onidev_list_entry *e, const char *which)
{
	const char *id = base_name(e->by_id), *path = base_name(e->by_path);

	return !which || !strcmp(which, "first") || (id && !strcmp(id, which)) ||
	       (path && !strcmp(path, which));
}

static int name_from_list(const char *which, char *name)
{
	struct onidev_list *list = onidev_list_find(ONIDEV_OPEN_KERNEL);
	const struct onidev_list_entry *e;
	int rc = -1;

	if (!list)
		return -1;
	for (size_t i = 0; rc && (e = onidev_list_at(list, i)); i++)
		if (e->name && strlen(e->name) < NODE_NAME && is_called(e, which)) {
			strcpy(name, e->name);
			rc = 0;
		}
	onidev_list_free(list);
	errno = ENODEV;
	return rc;
}

int node_name(const char *which, char *name)
{
	char real[PATH_MAX];
	const char *base = which;

	if (which && strchr(which, '/')) {
		if (!realpath(which, real)) {
			errno = ENODEV;
			return -1;
		}
		base = base_name(real);
	}
	if (!base || !is_name(base))
		return name_from_list(base, name);
	strcpy(name, base);
	return 0;
}

int node_open(const char *name, const char *suffix, int flags)
{
	char path[NODE_NAME + 16];

	snprintf(path, sizeof(path), "/dev/%s-%s", name, suffix);
	return open(path, flags | O_CLOEXEC);
}

/* ---- calls ------------------------------------------------------------------- */

/* A signal has not changed anything; who wants to end looks after the call. */
static int call(int fd, unsigned long ioc, void *arg)
{
	int rc;

	do
		rc = ioctl(fd, ioc, arg);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -1 : 0;
}

int node_status(int fd, struct oni_stim_status *status)
{
	memset(status, 0, sizeof(*status));
	status->size = sizeof(*status);
	return call(fd, ONI_STIM_IOC_STATUS, status);
}

int node_limits(int fd, struct oni_stim_policy *policy, uint32_t *hub)
{
	struct oni_stim_policy_arg arg = {
		.size = sizeof(arg), .policy = (uintptr_t)policy,
	};

	memset(policy, 0, sizeof(*policy));
	policy->size = sizeof(*policy);
	if (call(fd, ONI_STIM_IOC_LIMITS, &arg) < 0)
		return -1;
	*hub = arg.hub;
	return 0;
}

int node_policy(int fd, const struct oni_stim_policy *policy, uint32_t hub, uint32_t flags,
		struct oni_stim_verdict *verdict)
{
	struct oni_stim_policy_arg arg = {
		.size = sizeof(arg), .flags = flags, .policy = (uintptr_t)policy, .hub = hub,
	};
	int rc = call(fd, ONI_STIM_IOC_POLICY, &arg);

	*verdict = arg.verdict;
	return rc;
}

int node_claim(int fd, uint64_t *nonce, struct oni_stim_verdict *verdict)
{
	struct oni_stim_claim arg = { .size = sizeof(arg) };
	int rc = call(fd, ONI_STIM_IOC_CLAIM, &arg);

	*verdict = arg.verdict;
	*nonce = arg.nonce;
	return rc;
}

int node_step(int fd, uint64_t nonce, uint32_t hub, uint32_t step_na,
	      struct oni_stim_verdict *verdict)
{
	struct oni_stim_step arg = {
		.size = sizeof(arg), .nonce = nonce, .hub = hub, .step_na = step_na,
	};
	int rc = call(fd, ONI_STIM_IOC_STEP, &arg);

	*verdict = arg.verdict;
	return rc;
}

int node_program(int fd, unsigned long ioc, uint64_t nonce, uint32_t hub,
		 const struct oni_stim_program *program, const struct oni_stim_delta *rows,
		 uint32_t nrows, uint8_t *hash, struct oni_stim_verdict *verdict)
{
	struct oni_stim_load arg = {
		.size = sizeof(arg), .nonce = nonce, .program = (uintptr_t)program,
		.rows = (uintptr_t)rows, .nrows = nrows, .hub = hub,
	};
	int rc = call(fd, ioc, &arg);

	*verdict = arg.verdict;
	memcpy(hash, arg.hash, ONI_STIM_HASH_BYTES);
	return rc;
}

int node_arm(int fd, uint64_t nonce, const uint8_t *hash, uint32_t ttl_ms,
	     struct oni_stim_verdict *verdict)
{
	struct oni_stim_arm arg = { .size = sizeof(arg), .nonce = nonce, .ttl_ms = ttl_ms };
	int rc;

	memcpy(arg.hash, hash, sizeof(arg.hash));
	rc = call(fd, ONI_STIM_IOC_ARM, &arg);
	*verdict = arg.verdict;
	return rc;
}

int node_kick(int fd, uint64_t nonce, uint64_t position, uint32_t generation,
	      struct oni_stim_verdict *verdict)
{
	struct oni_stim_kick arg = {
		.size = sizeof(arg), .nonce = nonce, .position = position,
		.generation = generation,
	};
	int rc = call(fd, ONI_STIM_IOC_KICK, &arg);

	*verdict = arg.verdict;
	return rc;
}

int node_call(int fd, unsigned long ioc, uint64_t nonce, struct oni_stim_verdict *verdict)
{
	struct oni_stim_call arg = { .size = sizeof(arg), .nonce = nonce };
	int rc = call(fd, ioc, &arg);

	*verdict = arg.verdict;
	return rc;
}

/* ---- sentences ------------------------------------------------------------------ */
static const char *reason(int error)
{
	switch (error) {
	case ENODEV:
		return "the controller is gone: plug it in again";
	case ENODATA:
		return "no policy was loaded, so this controller records only: root loads one with "
		       "'onictl policy load FILE'";
	case EPERM:
		return "this needs CAP_SYS_ADMIN: run it as root";
	case EBADF:
		return "the node was opened for reading only: you need to be in the group oni-stim";
	case ENOTTY:
		return "the driver does not know this call: tool and driver have to be of one version";
	case EINVAL:
	case E2BIG:
		return "the driver does not take this form: tool and driver have to be of one version";
	case EIO:
		return "the hardware did not acknowledge: see 'onistim status' and the kernel log";
	case ETIMEDOUT:
		return "the hardware did not answer in time: see 'onistim status' and the kernel log";
	default:
		return strerror(error);
	}
}

char *node_explain(char *buf, size_t len, const char *what, int error,
		   const struct oni_stim_verdict *verdict)
{
	const char *name = strerrorname_np(error);
	int n;

	if (!verdict || verdict->code == ONI_STIM_OK) {
		snprintf(buf, len, "cannot %s: %s (%s)", what, reason(error), name ? name : "?");
		return buf;
	}
	n = snprintf(buf, len, "cannot %s: refused: ", what);
	if (n > 0 && (size_t)n < len)
		words_verdict(buf + n, len - (size_t)n, verdict);
	return buf;
}

char *node_open_explain(char *buf, size_t len, const char *name, const char *suffix, int error)
{
	const char *text = strerrorname_np(error);

	if (!name)
		snprintf(buf, len, "cannot find a controller: plug one in and load its driver, 'onictl "
			 "list' shows those that are there");
	else if (error == ENOENT || error == ENXIO || error == ENODEV)
		snprintf(buf, len, "cannot open /dev/%s-%s: there is no such node: the controller is not "
			 "there, cannot carry a stimulator, or its driver has no interlock", name,
			 suffix);
	else if (error == EACCES)
		snprintf(buf, len, "cannot open /dev/%s-%s: no right to it (EACCES): you need to be in the "
			 "group oni-stim", name, suffix);
	else
		snprintf(buf, len, "cannot open /dev/%s-%s: %s (%s)", name, suffix, strerror(error),
			 text ? text : "?");
	return buf;
}
