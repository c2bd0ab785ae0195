/* SPDX-License-Identifier: Apache-2.0 */
/* spool_messages.c - `postbus spool list`, `show` and `export`: the messages themselves. */
#include "tools/spool_cli.h"
#include "mqtt/answer.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

enum {
	BASE64_SIZE = (PAYLOAD_MAX + 2) / 3 * 4 + 1,
};

/* What a walk passes on to. */
struct reader {
	struct spool_cli *cli;
	bool (*print)(struct reader *reader, const struct spool_entry *entry);
	uint64_t count;
	char payload[PAYLOAD_MAX + 1]; /* of the message that is printed, and a NUL */
	size_t payload_length;
	char base64[BASE64_SIZE];
};

/* --- selection --- */

/* MQTT 5.0, 4.7: '+' is one level, '#' at the end all that follow, also none. */
static bool topic_matches(const char *filter, const char *topic, size_t length)
{
	const char *end = topic + length;

	while (*filter) {
		if (!strcmp(filter, "#") || (topic == end && !strcmp(filter, "/#")))
			return true;
		if (*filter == '+') {
			while (topic < end && *topic != '/')
				topic++;
			filter++;
		} else if (topic == end || *filter++ != *topic++) {
			return false;
		}
	}
	return topic == end;
}

static bool is_selected(const struct spool_cli *cli, const struct spool_entry *entry)
{
	const struct message *message = &entry->message;

	return (entry->waits || entry->refused || cli->all) &&
	       (!cli->topic ||
		topic_matches(cli->topic, message->topic, message->topic_length));
}

static bool take_message(void *data, const struct spool_entry *entry)
{
	struct reader *reader = data;
	const struct spool_cli *cli = reader->cli;
	struct text payload = { .data = reader->payload, .size = PAYLOAD_MAX };

	if (reader->count >= cli->limit)
		return false;
	/* What is set aside stands in the order in which it was refused. */
	if (entry->message.seq > cli->to)
		return entry->refused;
	if (!is_selected(cli, entry))
		return true;
	reader->count++;
	message_payload(&entry->message, &payload);
	reader->payload[payload.length] = '\0';
	reader->payload_length = payload.length;
	return reader->print(reader, entry);
}

/* Prints what is selected; the exit status. */
static int read_messages(struct spool_cli *cli, struct reader *reader)
{
	struct spool_walk walk = { .from = cli->from, .visit = take_message, .data = reader };
	uint64_t oldest, next;
	int r;

	spool_range(cli->spool, &oldest, &next);
	if (!cli->all && !cli->refused && walk.from < oldest)
		walk.from = oldest;
	r = cli->refused ? spool_walk_refused(cli->spool, &walk) : spool_walk(cli->spool, &walk);
	if (r < 0)
		return spool_cli_explain(cli, r);
	if (walk.damaged)
		spool_cli_fail(cli, 0, "%" PRIu64 " bytes are damaged and were skipped",
			       walk.damaged);
	return EXIT_SUCCESS;
}

static int print_messages(struct spool_cli *cli,
			  bool (*print)(struct reader *reader, const struct spool_entry *entry))
{
	_cleanup_free_ struct reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return spool_cli_explain(cli, -ENOMEM);
	reader->cli = cli;
	reader->print = print;
	return read_messages(cli, reader);
}

/* --- what is said of a message --- */

static const char *state_word(const struct spool_entry *entry)
{
	static const char *const words[] = {
		[FLIGHT_SENT] = "sent", [FLIGHT_RELEASED] = "released", [FLIGHT_AGAIN] = "again",
	};

	if (entry->refused)
		return "refused";
	if (!entry->waits)
		return "finished";
	return entry->flight ? words[entry->flight->state] : "waiting";
}

static void add_reason(cJSON *json, unsigned reason)
{
	cJSON_AddNumberToObject(json, "reason", reason);
	cJSON_AddStringToObject(json, "why", answer_words(reason));
}

static cJSON *message_json(const struct reader *reader, const struct spool_entry *entry)
{
	const struct message *message = &entry->message;
	const char *clock = spool_cli_clock(message->clock);
	char time[ISO_TIME_SIZE], topic[TOPIC_MAX + 1];
	cJSON *json = cJSON_CreateObject();

	snprintf(topic, sizeof(topic), "%.*s", message->topic_length, message->topic);
	cJSON_AddNumberToObject(json, "seq", message->seq);
	cJSON_AddStringToObject(json, "time", spool_cli_time(message->time_ms, time));
	if (clock)
		cJSON_AddStringToObject(json, "clock", clock);
	cJSON_AddNumberToObject(json, "boot", message->boot);
	cJSON_AddNumberToObject(json, "qos", message->qos);
	cJSON_AddBoolToObject(json, "retain", message->retain);
	cJSON_AddStringToObject(json, "state", state_word(entry));
	if (entry->flight)
		cJSON_AddNumberToObject(json, "mid", entry->flight->mid);
	if (entry->refused)
		add_reason(json, entry->reason);
	cJSON_AddStringToObject(json, "topic", topic);
	cJSON_AddNumberToObject(json, "size", reader->payload_length);
	return json;
}

/* With its payload: text where it is UTF-8, else in base 64. */
static bool print_whole_json(struct reader *reader, const struct spool_entry *entry)
{
	cJSON *json = message_json(reader, entry);

	if (utf8_is_valid(reader->payload, reader->payload_length)) {
		cJSON_AddStringToObject(json, "payload", reader->payload);
	} else {
		EVP_EncodeBlock((unsigned char *)reader->base64,
				(const unsigned char *)reader->payload,
				reader->payload_length);
		cJSON_AddStringToObject(json, "payload_base64", reader->base64);
	}
	return spool_cli_print(json);
}

static bool print_line_json(struct reader *reader, const struct spool_entry *entry)
{
	return spool_cli_print(message_json(reader, entry));
}

static bool print_line(struct reader *reader, const struct spool_entry *entry)
{
	const struct message *message = &entry->message;
	char time[ISO_TIME_SIZE];

	if (reader->count == 1)
		printf("%-17s%-25s %s  %-8s %5s  %s\n", "seq", "time", "qos", "state", "size",
		       "topic");
	printf("%-16" PRIu64 " %s%c %u    %-8s %5zu  %.*s", message->seq,
	       spool_cli_time(message->time_ms, time),
	       message->clock == CLOCK_RIGHT ? ' ' : '?', message->qos, state_word(entry),
	       reader->payload_length, message->topic_length, message->topic);
	if (entry->refused)
		printf("  (0x%02X %s)", entry->reason, answer_words(entry->reason));
	return putchar('\n') != EOF;
}

/* What a terminal would not only show is shown as \xNN. */
static void print_payload(const char *payload, size_t length)
{
	bool is_text = utf8_is_valid(payload, length);

	for (size_t i = 0; i < length; i++) {
		unsigned char c = payload[i];

		if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F || (c >= 0x80 && !is_text))
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	putchar('\n');
}

static bool print_whole(struct reader *reader, const struct spool_entry *entry)
{
	const struct message *message = &entry->message;
	const char *clock = spool_cli_clock(message->clock);
	char time[ISO_TIME_SIZE];

	printf("seq      %" PRIu64 "\n", message->seq);
	printf("topic    %.*s\n", message->topic_length, message->topic);
	printf("time     %s%s%s\n", spool_cli_time(message->time_ms, time), clock ? " " : "",
	       clock ? clock : "");
	printf("clock    %s%s\n", spool_cli_time(message->wall_ms, time),
	       message->wall_synced ? ", right" : ", not known to be right");
	printf("boot     %" PRIu32 ", %" PRIu64 ".%06" PRIu64 " s after its start\n",
	       message->boot, message->boottime_us / 1000000, message->boottime_us % 1000000);
	printf("qos      %u\nretain   %s\n", message->qos, message->retain ? "yes" : "no");
	printf("state    %s\n", state_word(entry));
	if (entry->flight)
		printf("mid      %u\n", entry->flight->mid);
	if (entry->refused)
		printf("reason   0x%02X, %s\n", entry->reason, answer_words(entry->reason));
	printf("payload  %zu bytes\n\n", reader->payload_length);
	print_payload(reader->payload, reader->payload_length);
	return true;
}

/* --- the verbs --- */

int spool_cli_list(struct spool_cli *cli)
{
	return print_messages(cli, cli->json ? print_line_json : print_line);
}

int spool_cli_export(struct spool_cli *cli)
{
	return print_messages(cli, print_whole_json);
}

int spool_cli_show(struct spool_cli *cli)
{
	_cleanup_free_ struct reader *reader = calloc(1, sizeof(*reader));
	uint64_t seq;
	int status;

	if (!reader)
		return spool_cli_explain(cli, -ENOMEM);
	if (!spool_cli_number(cli->argument, NULL, &seq))
		return spool_cli_misuse(cli, "not a sequence number", cli->argument);
	reader->cli = cli;
	reader->print = cli->json ? print_whole_json : print_whole;
	cli->from = cli->to = seq;
	cli->all = cli->refused = true;
	status = read_messages(cli, reader);
	cli->refused = false;
	if (!status && !reader->count)
		status = read_messages(cli, reader);
	if (status || reader->count)
		return status;
	return spool_cli_fail(cli, EXIT_NOT_SO, "there is no message %" PRIu64, seq);
}
