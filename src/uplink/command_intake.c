/* SPDX-License-Identifier: Apache-2.0 */
/* command_intake.c - commands that come in: known, checked, not too old, and noted. */
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "bridge/setting.h"
#include "uplink/command_age.h"
#include "uplink/commands_state.h"

#include <string.h>

enum {
	/* What is refused is told of so often at most. */
	TELL_US = 1000 * 1000,
};

/* What somebody wants. */
struct request {
	char device[NAME_MAX_LENGTH + 1], point[NAME_MAX_LENGTH + 1];
	const char *id;
	struct setting setting;
	const struct incoming *incoming; /* NULL: it came by the socket */
};

const char *command_refusal_name(enum command_refusal why)
{
	static const char *const names[COMMAND_REFUSALS] = {
		[COMMAND_RETAINED] = "retained", [COMMAND_INVALID] = "invalid",
		[COMMAND_NO_POINT] = "no_point", [COMMAND_TOO_OLD] = "too_old",
		[COMMAND_TOO_MANY] = "too_many", [COMMAND_NO_DISK] = "no_disk",
	};

	return names[why];
}

/* Where others refuse as well, it is said how many. */
static void tell_refusal(struct commands *commands, const struct request *request,
			 const char *error)
{
	uint64_t now_us = clock_monotonic_us();

	if (now_us < commands->tell_us) {
		commands->untold++;
		return;
	}
	log_warning("command: %s/%s refused: %s", request->device, request->point, error);
	if (commands->untold)
		log_warning("command: %u more were refused since", commands->untold);
	commands->untold = 0;
	commands->tell_us = now_us + TELL_US;
}

static struct result_address address_of(const struct commands *commands,
					const struct request *request)
{
	const struct incoming *incoming = request->incoming;
	struct result_address address = {
		.gateway = commands->setup.gateway, .device = request->device,
		.point = request->point,
	};

	/* One that could not be answered there is answered at its own topic. */
	if (incoming->response_topic && strlen(incoming->response_topic) <= TOPIC_MAX &&
	    incoming->correlation_length <= CORRELATION_MAX) {
		address.response_topic = incoming->response_topic;
		address.correlation = incoming->correlation;
		address.correlation_length = incoming->correlation_length;
	}
	return address;
}

static void refuse(struct commands *commands, const struct request *request,
		   enum command_refusal why, const char *error)
{
	struct result_address address;

	commands->counts.refused[why]++;
	if (error != commands->error)
		snprintf(commands->error, sizeof(commands->error), "%s", error);
	if (!request->incoming)
		return;
	tell_refusal(commands, request, error);
	/* To what the broker keeps an answer would come at each start. */
	if (why == COMMAND_RETAINED)
		return;
	address = address_of(commands, request);
	(void)!result_append(commands->setup.spool, &address, request->id, NULL, error);
}

/* It was taken before: what is known of it is said again, once there is an end. */
static void answer_again(struct commands *commands, const struct request *request,
			 const struct command_entry *known)
{
	struct result_address address;

	commands->counts.repeated++;
	if (!request->incoming || !command_has_end(known))
		return;
	address = address_of(commands, request);
	(void)!commands_answer(commands, known, &address, request->id);
}

static int set_texts(struct command_entry *entry, const struct request *request,
		     const struct result_address *address)
{
	const struct setting *setting = &request->setting;
	int r = command_set_text(entry, COMMAND_DEVICE, request->device,
				 strlen(request->device));

	if (r == 0)
		r = command_set_text(entry, COMMAND_POINT, request->point,
				     strlen(request->point));
	if (r == 0)
		r = command_set_text(entry, COMMAND_VALUE, setting->value,
				     strlen(setting->value));
	if (r == 0 && request->id)
		r = command_set_text(entry, COMMAND_ID, request->id, strlen(request->id));
	if (r == 0 && address->response_topic)
		r = command_set_text(entry, COMMAND_RESPONSE, address->response_topic,
				     strlen(address->response_topic));
	if (r == 0 && address->correlation)
		r = command_set_text(entry, COMMAND_CORRELATION, address->correlation,
				     address->correlation_length);
	return r;
}

/* Notes that it is received; NULL: *why and the text say why it is refused. */
static struct command_entry *receive(struct commands *commands, const struct request *request,
				     const struct point *point, enum command_refusal *why,
				     const char **error)
{
	const struct incoming *incoming = request->incoming;
	struct result_address address = { 0 };
	struct command_entry *entry = command_book_add(&commands->book);
	const struct command_age age = {
		.has_expires = request->setting.has_expires,
		.expires_ms = request->setting.expires_ms,
		.has_expiry = incoming && incoming->expires,
		.expiry_us = incoming ? incoming->expiry_s * USEC_PER_SEC : 0,
		.waited_us = incoming ? command_link_waited_us(&commands->link) : 0,
		.max_us = settable_max_age_us(commands->settable),
	};
	uint8_t bytes[COMMAND_NOTE_MAX];

	*why = COMMAND_TOO_MANY;
	*error = "too many commands wait";
	if (!entry)
		return NULL;
	entry->is_local = !incoming;
	entry->is_reported = point->write_on_crash == ON_CRASH_REPORT;
	if (incoming) {
		address = address_of(commands, request);
		entry->mid = incoming->mid;
		entry->session = commands->link.session;
		entry->link = commands->link.number;
		entry->fingerprint = command_fingerprint(incoming);
	}
	if (request->id)
		entry->identity = command_identity(request->device, request->point, request->id);
	entry->value_sum = command_value_sum(request->setting.value);
	commands_set_state(commands, entry, COMMAND_RECEIVED);
	*error = command_set_age(entry, &age, commands->link.boot);
	if (*error) {
		*why = COMMAND_TOO_OLD;
	} else if (set_texts(entry, request, &address) < 0 ||
		   !commands_make_room(commands, command_encode(entry, bytes))) {
		*error = "too many commands wait";
	}
	/* It is the last one, whatever was forgotten before it. */
	entry = &commands->book.list[commands->book.count - 1];
	if (*error)
		command_book_remove(&commands->book, entry);
	return *error ? NULL : entry;
}

/* What is there to be set; NULL: it is refused. */
static const struct point *check(struct commands *commands, const struct request *request)
{
	const char *error;
	const struct point *point = settable_find(commands->settable, request->device,
						  request->point, &error);
	struct value value;

	if (!point)
		refuse(commands, request, COMMAND_NO_POINT, error);
	else if (setting_check(point, request->setting.value, &value, commands->error) == 0)
		return point;
	else
		refuse(commands, request, COMMAND_INVALID, commands->error);
	return NULL;
}

/* The entry that it is known by from now on; NULL: it is refused. */
static const struct command_entry *take(struct commands *commands,
					const struct request *request)
{
	struct command_entry *entry = NULL;
	const struct point *point;
	enum command_refusal why;
	const char *error;

	if (request->id)
		entry = command_book_by_id(&commands->book, request->device, request->point,
					   request->id);
	if (entry && entry->value_sum != command_value_sum(request->setting.value)) {
		refuse(commands, request, COMMAND_INVALID,
		       "its id was used before, for another value");
		return NULL;
	}
	if (entry) {
		answer_again(commands, request, entry);
		return entry;
	}
	point = check(commands, request);
	if (!point)
		return NULL;
	entry = receive(commands, request, point, &why, &error);
	if (!entry)
		refuse(commands, request, why, error);
	return entry;
}

void commands_follow_link(struct commands *commands)
{
	const struct session_state state = session_state(commands->setup.session);

	if (command_link_follow(&commands->link, &state, commands->setup.spool) < 0)
		log_error("command: no room to note what became of the link");
}

/* GATEWAY/DEVICE/POINT/set; false: the names are too long for any that there are. */
static bool read_topic(const struct commands *commands, const char *topic,
		       struct request *request)
{
	const char *device = topic + strlen(commands->setup.gateway) + 1;
	const char *point = strchr(device, '/') + 1, *end = strchr(point, '/');

	if (point - device > NAME_MAX_LENGTH + 1 || end - point > NAME_MAX_LENGTH)
		return false;
	memcpy(request->device, device, point - device - 1);
	memcpy(request->point, point, end - point);
	return true;
}

void commands_take_message(void *data, const struct incoming *incoming)
{
	struct commands *commands = data;
	struct request request = { .incoming = incoming };

	commands_follow_link(commands);
	commands->counts.received++;
	if (!read_topic(commands, incoming->topic, &request)) {
		commands->counts.refused[COMMAND_NO_POINT]++;
		return;
	}
	/* The answer is on its way, or comes when there is an end. */
	if (command_book_repeated(&commands->book, incoming, commands->link.session,
				  commands->link.number)) {
		commands->counts.repeated++;
		return;
	}
	if (incoming->retain) {
		refuse(commands, &request, COMMAND_RETAINED,
		       "it is retained, and would come again at each start");
		return;
	}
	if (setting_parse(incoming->payload, incoming->length, &request.setting,
			  commands->error) < 0) {
		refuse(commands, &request, COMMAND_INVALID, commands->error);
		return;
	}
	if (request.setting.id[0])
		request.id = request.setting.id;
	(void)take(commands, &request);
}

const char *commands_write(struct commands *commands, const char *device, const char *point,
			   const char *value, const char *id, uint64_t *number)
{
	struct request request = { .id = id && *id ? id : NULL };
	const struct command_entry *entry;

	commands->counts.received++;
	if (strlen(value) > STRING_MAX_LENGTH || (id && strlen(id) > SETTING_ID_MAX) ||
	    strlen(device) > NAME_MAX_LENGTH || strlen(point) > NAME_MAX_LENGTH) {
		refuse(commands, &request, COMMAND_INVALID, "a name, a value or an id is too long");
		return commands->error;
	}
	memcpy(request.device, device, strlen(device));
	memcpy(request.point, point, strlen(point));
	memcpy(request.setting.value, value, strlen(value));
	entry = take(commands, &request);
	if (!entry)
		return commands->error;
	*number = entry->number;
	return NULL;
}

