/* SPDX-License-Identifier: Apache-2.0 */
/* requests.c - what other processes ask the uplink for: messages given up or sent, commands. */
#include "uplink/requests.h"
#include "bridge/clock.h"
#include "uplink/control.h"

#include <errno.h>

struct requests {
	struct spool *spool;
	struct commands *commands;
	struct control *control;
};

/* A whole number that a double has exactly. */
static bool get_number(const cJSON *request, const char *key, uint64_t *number)
{
	const cJSON *item = cJSON_GetObjectItem(request, key);

	if (!cJSON_IsNumber(item) || item->valuedouble < 0 ||
	    item->valuedouble >= (double)(UINT64_C(1) << 53))
		return false;
	*number = item->valuedouble;
	return true;
}

static const char *answer_count(cJSON *answer, const char *key, int64_t count)
{
	if (count == -ENOSPC)
		return "the spool is full";
	if (count < 0)
		return "the disk does not take it";
	cJSON_AddNumberToObject(answer, key, count);
	return NULL;
}

/*
 * {"verb":"drop","from":…,"to":…}: what was given up is so for good when the answer comes.
 * With "refused":true it is of what was set aside.
 */
static const char *on_drop(void *data, const cJSON *request, cJSON *answer)
{
	const struct requests *requests = data;
	uint64_t from, to;

	if (!get_number(request, "from", &from) || !get_number(request, "to", &to))
		return "drop takes the numbers \"from\" and \"to\"";
	if (cJSON_IsTrue(cJSON_GetObjectItem(request, "refused")))
		return answer_count(answer, "dropped",
				    spool_drop_refused(requests->spool, from, to));
	cJSON_AddNumberToObject(answer, "dropped", spool_drop(requests->spool, from, to));
	if (spool_commit(requests->spool, clock_monotonic_us()) < 0)
		return "the disk does not take it yet";
	return NULL;
}

/* {"verb":"retry","from":…,"to":…}: what was set aside waits once more. */
static const char *on_retry(void *data, const cJSON *request, cJSON *answer)
{
	const struct requests *requests = data;
	uint64_t from, to;

	if (!get_number(request, "from", &from) || !get_number(request, "to", &to))
		return "retry takes the numbers \"from\" and \"to\"";
	return answer_count(answer, "retried", spool_retry(requests->spool, from, to));
}

static const char *get_text(const cJSON *request, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItem(request, key));
}

/*
 * {"verb":"write","device":…,"point":…,"value":"…","id":…}: a command, which is known as `number`
 * from now on. The error of one that is refused is valid until the next call.
 */
static const char *on_write(void *data, const cJSON *request, cJSON *answer)
{
	const struct requests *requests = data;
	const char *device = get_text(request, "device"), *point = get_text(request, "point");
	const char *value = get_text(request, "value"), *id = get_text(request, "id"), *error;
	uint64_t number;

	if (!device || !point || !value)
		return "write takes the texts \"device\", \"point\" and \"value\"";
	error = commands_write(requests->commands, device, point, value, id, &number);
	if (!error)
		cJSON_AddNumberToObject(answer, "number", number);
	return error;
}

/*
 * {"verb":"command","number":…}: how it is with that one. `value` is what was written; where that
 * went wrong, `problem` says how.
 */
static const char *on_command(void *data, const cJSON *request, cJSON *answer)
{
	static const char *const states[] = {
		[COMMAND_RECEIVED] = "received", [COMMAND_STARTED] = "started",
		[COMMAND_DONE] = "done", [COMMAND_FAILED] = "failed",
		[COMMAND_UNCERTAIN] = "uncertain",
	};
	const struct requests *requests = data;
	const struct command_entry *entry;
	uint64_t number;

	if (!get_number(request, "number", &number))
		return "command takes a \"number\"";
	entry = commands_look(requests->commands, number);
	if (!entry)
		return "there is no such command";
	cJSON_AddStringToObject(answer, "state", states[entry->state]);
	if (entry->state == COMMAND_DONE)
		cJSON_AddRawToObject(answer, "value", command_text(entry, COMMAND_OUTCOME));
	else if (command_has_end(entry))
		cJSON_AddStringToObject(answer, "problem", command_text(entry, COMMAND_OUTCOME));
	return NULL;
}

static const struct control_verb verbs[] = {
	{ "drop", on_drop },
	{ "retry", on_retry },
	{ "write", on_write },
	{ "command", on_command },
	{ 0 },
};

int requests_new(sd_event *loop, const char *directory, struct spool *spool,
		 struct commands *commands, struct requests **result)
{
	_cleanup_(requests_freep) struct requests *requests = calloc(1, sizeof(*requests));
	int r;

	if (!requests)
		return -ENOMEM;
	requests->spool = spool;
	requests->commands = commands;
	r = control_new(loop, directory, REQUESTS_SOCKET, verbs, requests, &requests->control);
	if (r < 0)
		return r;
	*result = TAKE_PTR(requests);
	return 0;
}

void requests_free(struct requests *requests)
{
	if (!requests)
		return;
	control_free(requests->control);
	free(requests);
}
