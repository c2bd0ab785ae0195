/* SPDX-License-Identifier: Apache-2.0 */
/* control.h - the socket by which other processes ask a running gateway to do something. */
#pragma once

#include "base/cleanup.h"

#include <cjson/cJSON.h>
#include <stddef.h>
#include <systemd/sd-event.h>

/*
 * The directory that the socket stands in says by its permissions who may ask. A request is one
 * line of JSON, and so is its answer; a connection takes any number of them:
 *
 *     ▶ {"verb":"drop","from":1795460721124,"to":1795460721130}
 *     ◀ {"ok":true,"dropped":7}
 *     ▶ {"verb":"drob"}
 *     ◀ {"ok":false,"error":"there is no such verb"}
 */
struct control;

/*
 * A verb: adds what it has to say to the answer. NULL, or what is wrong, a constant text that
 * becomes the answer's `error`.
 */
struct control_verb {
	const char *name;
	const char *(*run)(void *data, const cJSON *request, cJSON *answer);
};

/*
 * Listens as `name` in `directory` as long as the loop runs, and never waits for those who ask.
 * `verbs`, which ends with a name that is NULL, and `data` must outlive it. What was left
 * behind there is replaced. 0; -EADDRINUSE: another process listens there; or -errno.
 */
int control_new(sd_event *loop, const char *directory, const char *name,
		const struct control_verb *verbs, void *data,
		struct control **control) _must_check_;
/* Closes all connections and takes the socket away. */
void control_free(struct control *control);
DEFINE_CLEANUP(struct control *, control_free)

/*
 * The other side: connects to who listens there. A descriptor, to be closed; -ENOENT or
 * -ECONNREFUSED: nobody does; or -errno.
 */
int control_connect(const char *directory, const char *name) _must_check_;
/*
 * Asks and waits for the answer, which is the caller's to be deleted. 0; -ETIMEDOUT; -EPROTO:
 * what came is no answer; or -errno.
 */
int control_ask(int fd, const cJSON *request, cJSON **answer) _must_check_;

/*
 * The two halves of it, for those who do not wait: their descriptor does not block. What came
 * of an answer is kept in a line that begins as zeros. control_receive(): 0; -EAGAIN: the rest
 * is still to come; or as control_ask().
 */
struct control_line {
	char *bytes;
	size_t length, room;
};
int control_send(int fd, const cJSON *request) _must_check_;
int control_receive(int fd, struct control_line *line, cJSON **answer) _must_check_;
void control_line_done(struct control_line *line);
