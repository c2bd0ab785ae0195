/* SPDX-License-Identifier: Apache-2.0 */
/* asker.c - asks one request after another, and waits for each answer. */
#include "tools/asker.h"

#include <errno.h>
#include <string.h>

struct asker {
	sd_event *loop;
	struct wire *wire;
	bool done;
	enum wire_result result;
	struct reply reply;
	uint8_t data[DATA_MAX];
};

static void on_outcome(void *data, const struct wire_outcome *outcome)
{
	struct asker *asker = data;

	asker->done = true;
	asker->result = outcome->result;
	asker->reply = outcome->reply;
	if (outcome->result == WIRE_ANSWERED && outcome->reply.status == REPLY_OK) {
		memcpy(asker->data, outcome->reply.data, outcome->reply.data_length);
		asker->reply.data = asker->data;
	}
}

int asker_ask(struct asker *asker, const struct driver *driver, const struct request *request,
	      unsigned attempts, struct reply *reply)
{
	int r;

	for (unsigned i = 0; i < attempts && asker->result != WIRE_GONE; i++) {
		asker->done = false;
		wire_ask(asker->wire, driver, request);
		while (!asker->done) {
			r = sd_event_run(asker->loop, UINT64_MAX);
			if (r < 0)
				return r;
		}
		if (asker->result != WIRE_ANSWERED)
			continue;
		*reply = asker->reply;
		return 0;
	}
	switch (asker->result) {
	case WIRE_GONE:
		return -EIO;
	case WIRE_TIMEOUT:
		return -ETIMEDOUT;
	default:
		return -EBADMSG;
	}
}

int asker_open(const struct bus_config *config, struct asker **result,
	       char trouble[PORT_TROUBLE_MAX])
{
	_cleanup_(asker_closep) struct asker *asker = calloc(1, sizeof(*asker));
	struct port *port;
	int r;

	port_say(trouble, "%s", strerror(ENOMEM));
	if (!asker)
		return -ENOMEM;
	r = sd_event_new(&asker->loop);
	if (r < 0)
		return r;
	r = port_open(config, &port, trouble);
	if (r < 0)
		return r;
	r = wire_new(asker->loop, config, port, on_outcome, asker, &asker->wire);
	if (r < 0)
		return r;
	*result = TAKE_PTR(asker);
	return 0;
}

void asker_close(struct asker *asker)
{
	if (!asker)
		return;
	wire_free(asker->wire);
	sd_event_unref(asker->loop);
	free(asker);
}
