// SPDX-License-Identifier: MIT
/*
 * say.c - errors of the interlock and of the library, verdicts and hashes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "node.h"
#include "onistim.h"
#include "words.h"

#define TEXT	1000

int call_failed(const char *what, int error, const struct oni_stim_verdict *verdict)
{
	char text[TEXT];

	fail_text("%s", node_explain(text, sizeof(text), what, error, verdict));
	if (verdict && verdict->code != ONI_STIM_OK) {
		if (settings.json)
			print_json(json_pack("{s:s, s:o}", "cannot", what, "verdict",
					     json_verdict(verdict)));
		return EXIT_REFUSED;
	}
	return error == ENODEV ? EXIT_NO_DEVICE : EXIT_FAIL;
}

int onidev_failed(enum onidev_op op, int error)
{
	const char *name = strerrorname_np(error);

	fail_text("cannot %s: %s (%s)", onidev_op_name(op), onidev_explain(op, error),
		  name ? name : "unknown error");
	return error == ENODEV ? EXIT_NO_DEVICE : EXIT_FAIL;
}

json_t *json_verdict(const struct oni_stim_verdict *v)
{
	char text[TEXT];
	json_t *contact = json_null();

	if (v->contact < ONI_STIM_RETURN)
		contact = json_integer(v->contact);
	else if (v->contact == ONI_STIM_RETURN)
		contact = json_string("return");
	return json_pack("{s:s, s:i, s:o, s:o, s:o, s:s, s:I, s:s}", "code", words_code(v->code),
			 "number", (int)v->code, "contact", contact, "asked", json_u64(v->asked),
			 "allowed", json_u64(v->allowed), "source", words_source_key(v->source),
			 "where", (json_int_t)v->where, "text", words_verdict(text, sizeof(text), v));
}

char *hash_text(char *buf, const uint8_t *hash)
{
	for (int i = 0; i < ONI_STIM_HASH_BYTES; i++)
		sprintf(buf + 2 * i, "%02x", hash[i]);
	return buf;
}

json_t *json_hash(const uint8_t *hash)
{
	char text[2 * ONI_STIM_HASH_BYTES + 1];

	return json_string(hash_text(text, hash));
}
