/* SPDX-License-Identifier: Apache-2.0 */
/* test_commands.c - commands: noted, carried out once, answered; with a broker, and no device. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "own_session.h"
#include "uplink/command_age.h"
#include "uplink/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* --- a gateway without a field side --- */

static struct command_ring *ring;
static struct commands *commands;
static struct config *config;
static pid_t listener;

static struct field {
	bool is_away;              /* it takes nothing */
	enum outcome_kind outcome; /* of all that it takes */
	unsigned count;            /* that it took */
	struct command last;
} field;

/* As the field side has it: takes what there is, and says at once what became of it. */
static void play_field(void)
{
	struct command command;

	while (!field.is_away && command_pop(ring, &command)) {
		struct outcome outcome = {
			.number = command.number, .kind = field.outcome, .value = command.value,
		};

		field.count++;
		field.last = command;
		if (outcome.kind != OUTCOME_DONE)
			snprintf(outcome.error, sizeof(outcome.error), "no answer");
		outcome_push(ring, &outcome);
	}
}

static void feed(void)
{
	commands_feed(commands);
}

static void committed(bool durable)
{
	/* The loop comes back by itself: what was refused is told in the next turn. */
	if (commands_committed(commands, durable))
		commands_feed(commands);
	play_field();
}

static void write_map(const char *pulse)
{
	assert_int_equal(stage_write(&stage, "maps/relay.yaml",
		"map: relay\n"
		"version: 1\n"
		"title: a relay\n"
		"source: made up\n"
		"driver: modbus\n"
		"serial: {baud: 9600, format: 8N1, address: 1}\n"
		"points:\n"
		"  out: {addr: 0, table: coil, type: bool, write: {}}\n"
		"  level: {addr: 1, table: holding, type: u16, scale: 0.1, "
		"write: {min: 0, max: 30, step: 0.5}}\n"
		"  mode: {addr: 2, table: holding, type: u16, values: {0: off, 1: heat}, write: {}}\n"
		"  name: {addr: 8, table: holding, type: \"string[8]\", write: {}}\n"
		"  bell: {addr: 3, table: coil, type: bool, write: {pulse: %s}}\n"
		"  heat: {addr: 4, table: holding, type: u16}\n", pulse), 0);
}

static void load_config(void)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *path = NULL;

	config_free(TAKE_PTR(config));
	assert_true(asprintf(&path, "%s/postbus.conf", stage.directory) > 0);
	if (config_load(path, driver_names(), &config, faults) < 0)
		faults_print(faults, stderr);
	assert_non_null(config);
}

/* Settings of the gateway's, and of the device's. */
static void configure(const char *gateway, const char *device)
{
	_cleanup_free_ char *path = NULL;

	assert_true(asprintf(&path, "%s/maps", stage.directory) > 0);
	mkdir(path, 0700);
	assert_int_equal(stage_write(&stage, "postbus.conf",
				     "gateway = \"t\"; buses = \"%s\"; maps = [ \"%s\" ]; %s\n",
				     stage.directory, path, gateway), 0);
	assert_int_equal(stage_write(&stage, "bus.yaml",
				     "bus: b\nport: %s/port\n"
				     "devices:\n  - {name: relay, map: relay, address: 1%s}\n",
				     stage.directory, device), 0);
	write_map("100ms");
	load_config();
}

static struct settable *table(void)
{
	struct settable *settable = settable_new(config);

	assert_non_null(settable);
	return settable;
}

static void begin(void)
{
	struct commands_setup setup = { .loop = stage.loop, .gateway = "t" };

	assert_int_equal(command_ring_new(&ring), 0);
	open_session();
	setup.spool = spool;
	setup.session = session;
	setup.ring = ring;
	assert_int_equal(commands_new(&setup, table(), &commands), 0);
}

static void kill_gateway(void)
{
	if (!commands)
		return;
	commands_free(TAKE_PTR(commands));
	kill_session();
	command_ring_free(TAKE_PTR(ring));
}

/* A turn that nothing in the loop calls for. */
static void take_a_turn(void)
{
	commands_feed(commands);
	assert_int_equal(spool_commit(spool, clock_monotonic_us()), 0);
	committed(true);
}

static void begin_again(void)
{
	kill_gateway();
	begin();
}

/* Answers go to the file `came`, as "TOPIC PAYLOAD CORRELATION". */
static void listen_to_answers(void)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int out = -1;
	char port[8];
	char *argv[] = { "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", port, "-q", "1",
			 "-i", "listener", "-t", "t/+/+/result", "-t", "answers", "-F",
			 "%t %p %D", NULL };

	snprintf(port, sizeof(port), "%d", stage.broker_port);
	assert_true(asprintf(&path, "%s/came", stage.directory) > 0);
	out = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	listener = stage_spawn(argv, out);
}

static bool listener_is_there(_unused_ struct stage *on, _unused_ uint64_t unused)
{
	return broker_lines_with("Sending SUBACK to listener") >= 1;
}

static int set_up(void **state)
{
	field = (struct field){ .outcome = OUTCOME_DONE };
	if (open_broker(state) < 0)
		return -1;
	configure("", "");
	before_commit = feed;
	after_commit = committed;
	listen_to_answers();
	wait_for(listener_is_there, 0);
	begin();
	wait_for(subscribed, 1);
	return 0;
}

static int tear_down(void **state)
{
	kill_gateway();
	stage_end(&listener, SIGKILL);
	config_free(TAKE_PTR(config));
	return close_broker(state);
}

/* --- what is waited for --- */

static const char *wanted_answer;

static bool answer_came(_unused_ struct stage *on, uint64_t times)
{
	return file_lines_with("came", wanted_answer) >= times;
}

static void wait_for_answer(const char *line, unsigned times)
{
	int r;

	wanted_answer = line;
	r = stage_wait(&stage, answer_came, times);
	if (r < 0) {
		stage_show_log(&stage, "came");
		fail_msg("no answer %s", line);
	}
}

static bool field_took(_unused_ struct stage *on, uint64_t count)
{
	return field.count >= count;
}

static bool has_received(_unused_ struct stage *on, uint64_t count)
{
	return commands_counts(commands).received >= count;
}

/* All that was sent to us is acknowledged. */
static void settle(unsigned acknowledgements)
{
	wait_for(has_acknowledged, acknowledgements);
}

/* --- the way of a command --- */

static void a_command_is_carried_out_and_answered(_unused_ void **state)
{
	char *properties[] = { "-D", "publish", "response-topic", "answers", "-D", "publish",
			       "correlation-data", "c7", NULL };
	struct command_counts counts;

	publish("t/relay/out/set", "on");
	wait_for_answer("t/relay/out/result {\"ok\":true,\"value\":true}", 1);
	assert_string_equal(field.last.device, "relay");
	assert_string_equal(field.last.point, "out");
	assert_int_equal(field.last.value.kind, VALUE_BOOL);
	publish("t/relay/level/set", "{\"id\":\"a-1\",\"value\":21.5}");
	wait_for_answer("t/relay/level/result {\"id\":\"a-1\",\"ok\":true,\"value\":21.5}", 1);
	publish("t/relay/mode/set", "heat");
	wait_for_answer("t/relay/mode/result {\"ok\":true,\"value\":\"heat\"}", 1);
	publish_with("t/relay/name/set", "\"a \\\"b\\\"\"", properties);
	wait_for_answer("answers {\"ok\":true,\"value\":\"a \\\"b\\\"\"}", 1);
	assert_int_equal(file_lines_with("came", "value\":\"a \\\"b\\\"\"} c7"), 1);
	assert_int_equal(file_lines_with("came", "result"), 3);
	field.outcome = OUTCOME_FAILED;
	publish("t/relay/out/set", "off");
	wait_for_answer("t/relay/out/result {\"ok\":false,\"error\":\"no answer\"}", 1);
	field.outcome = OUTCOME_UNCERTAIN;
	publish("t/relay/out/set", "off");
	wait_for_answer("{\"ok\":false,\"error\":\"uncertain: no answer\"}", 1);
	counts = commands_counts(commands);
	assert_int_equal(counts.received, 6);
	assert_int_equal(counts.done, 4);
	assert_int_equal(counts.failed, 1);
	assert_int_equal(counts.uncertain, 1);
	assert_int_equal(counts.repeated, 0);
	assert_int_equal(counts.waiting, 0);
}

static void what_is_wrong_is_refused(_unused_ void **state)
{
	char *retained[] = { "-r", NULL };
	struct command_counts counts;

	publish("t/relay/level/set", "30.5");
	wait_for_answer("t/relay/level/result {\"ok\":false,\"error\":\"30.5 is more than 30", 1);
	publish("t/relay/level/set", "{\"id\":\"x\",\"value\":20.3}");
	wait_for_answer("t/relay/level/result {\"id\":\"x\",\"ok\":false,\"error\":", 1);
	publish("t/relay/mode/set", "cool");
	wait_for_answer("t/relay/mode/result {\"ok\":false", 1);
	publish("t/relay/out/set", "{\"value\":true,\"expire\":1}");
	wait_for_answer("t/relay/out/result {\"ok\":false", 1);
	publish("t/relay/heat/set", "1");
	wait_for_answer("t/relay/heat/result {\"ok\":false,\"error\":\"there is no such point that "
			"can be written\"}", 1);
	publish("t/rely/out/set", "1");
	wait_for_answer("t/rely/out/result {\"ok\":false,\"error\":\"there is no such device", 1);
	assert_int_equal(field.count, 0);
	counts = commands_counts(commands);
	assert_int_equal(counts.refused[COMMAND_INVALID], 4);
	assert_int_equal(counts.refused[COMMAND_NO_POINT], 2);
	/* What is retained comes as such to who subscribes: to one who has lost its session. */
	publish_with("t/relay/out/set", "on", retained);
	wait_for(field_took, 1);
	settle(7);
	kill_gateway();
	conf.broker.client_id = "t2";
	begin();
	wait_for(has_received, 1);
	counts = commands_counts(commands);
	assert_int_equal(counts.refused[COMMAND_RETAINED], 1);
	assert_int_equal(field.count, 1);
	assert_int_equal(file_lines_with("came", "retained"), 0);
}

/* However it was published, it comes at QoS 1 at most. */
static void each_quality_of_service_is_taken(_unused_ void **state)
{
	char *qos_0[] = { "-q", "0", NULL }, *qos_2[] = { "-q", "2", NULL };

	publish_with("t/relay/level/set", "1", qos_0);
	wait_for_answer("t/relay/level/result {\"ok\":true,\"value\":1}", 1);
	publish_with("t/relay/level/set", "2", qos_2);
	wait_for_answer("t/relay/level/result {\"ok\":true,\"value\":2}", 1);
	settle(1);
	assert_int_equal(field.count, 2);
	assert_int_equal(broker_lines_with("Sending PUBLISH to t (d0, q2"), 0);
}

/* The same id is the same command, also after a crash; on another point it is another. */
static void the_same_id_is_answered_from_the_record(_unused_ void **state)
{
	publish("t/relay/level/set", "{\"id\":\"a\",\"value\":3}");
	wait_for_answer("t/relay/level/result {\"id\":\"a\",\"ok\":true,\"value\":3}", 1);
	publish("t/relay/level/set", "{\"value\":3,\"id\":\"a\"}");
	wait_for_answer("t/relay/level/result {\"id\":\"a\",\"ok\":true,\"value\":3}", 2);
	settle(2);
	begin_again();
	publish("t/relay/level/set", "{\"id\":\"a\",\"value\":3}");
	wait_for_answer("t/relay/level/result {\"id\":\"a\",\"ok\":true,\"value\":3}", 3);
	assert_int_equal(field.count, 1);
	publish("t/relay/level/set", "{\"id\":\"a\",\"value\":4}");
	wait_for_answer("used before, for another value", 1);
	assert_int_equal(field.count, 1);
	publish("t/relay/out/set", "{\"id\":\"a\",\"value\":true}");
	wait_for_answer("t/relay/out/result {\"id\":\"a\",\"ok\":true", 1);
	assert_int_equal(field.count, 2);
	assert_int_equal(commands_counts(commands).repeated, 1);
}

/* Without an id it is MQTT's own repetition that is known, on the same process and on the next. */
static void a_repeated_message_is_one_command(_unused_ void **state)
{
	publish("t/relay/bell/set", "on");
	wait_for(field_took, 1);
	settle(1);
	for (unsigned crash = 0; crash < 2; crash++) {
		uint64_t now_us = clock_monotonic_us();

		/* It is taken, and the acknowledgement does not get through. */
		proxy_cut_after(stage.proxy, PROXY_TO_SERVER, 1);
		publish("t/relay/bell/set", "on");
		if (crash) {
			wait_for(field_took, 3);
			wait_for_answer("t/relay/bell/result", 2);
			begin_again();
		}
		wait_for(connected, now_us);
		settle(2 + crash);
		assert_int_equal(field.count, 2 + crash);
		/* A new one with the same bytes is another. */
	}
	publish("t/relay/bell/set", "on");
	wait_for(field_took, 4);
	assert_int_equal(commands_counts(commands).repeated, 1);
}

/* --- crashes --- */

static bool is_started(_unused_ struct stage *on, uint64_t number)
{
	const struct command_entry *entry = commands_look(commands, number);

	return entry && entry->state == COMMAND_STARTED && entry->is_pushed;
}

/* It may be on the wire when the process ends: what can be repeated is, the rest is reported. */
static void what_was_started_is_not_blindly_repeated(_unused_ void **state)
{
	field.is_away = true;
	publish("t/relay/level/set", "{\"id\":\"l\",\"value\":7}");
	publish("t/relay/bell/set", "{\"id\":\"b\",\"value\":\"on\"}");
	wait_for(is_started, 2);
	settle(2);
	begin_again();
	field.is_away = false;
	wait_for_answer("t/relay/level/result {\"id\":\"l\",\"ok\":true,\"value\":7}", 1);
	wait_for_answer("t/relay/bell/result {\"id\":\"b\",\"ok\":false,\"error\":\"uncertain: the "
			"gateway ended while it was carried out\"}", 1);
	assert_int_equal(field.count, 1);
	/* And it stays so. */
	begin_again();
	publish("t/relay/bell/set", "{\"id\":\"b\",\"value\":\"on\"}");
	wait_for_answer("t/relay/bell/result {\"id\":\"b\",\"ok\":false,\"error\":\"uncertain", 2);
	assert_int_equal(field.count, 1);
}

/* What is not on the disk is neither acknowledged nor begun; it comes again. */
static void what_is_not_noted_is_not_begun(_unused_ void **state)
{
	disk_fails = true;
	publish("t/relay/bell/set", "{\"id\":\"b\",\"value\":\"on\"}");
	wait_for_answer("t/relay/bell/result {\"id\":\"b\",\"ok\":false,\"error\":\"the disk does "
			"not take it", 1);
	assert_int_equal(field.count, 0);
	assert_int_equal(commands_counts(commands).refused[COMMAND_NO_DISK], 1);
	disk_fails = false;
	publish("t/relay/bell/set", "{\"id\":\"c\",\"value\":\"on\"}");
	wait_for(field_took, 1);
}

/* --- too late --- */

static void a_long_outage_makes_commands_too_old(_unused_ void **state)
{
	char *expiry[] = { "-D", "publish", "message-expiry-interval", "60", NULL };

	settable_free(NULL);
	config->conf->command_max_age_us = 300 * USEC_PER_MSEC;
	commands_change(commands, table());
	publish("t/relay/level/set", "1");
	wait_for(field_took, 1);
	settle(1);
	cut();
	publish("t/relay/level/set", "2");
	publish_with("t/relay/level/set", "3", expiry);
	assert_int_equal(stage_wait_ms(&stage, 400), 0);
	mend();
	wait_for_answer("\"value\":3}", 1);
	wait_for_answer("too old, perhaps: it does not say until when it holds", 1);
	assert_int_equal(field.count, 2);
	settle(3);
	/* A short one does not. */
	config->conf->command_max_age_us = 60 * USEC_PER_SEC;
	commands_change(commands, table());
	cut();
	publish("t/relay/level/set", "4");
	mend();
	wait_for_answer("\"value\":4}", 1);
	settle(4);
	/* Nor does one between two processes, whose length the journal tells. */
	kill_gateway();
	publish("t/relay/level/set", "5");
	begin();
	wait_for_answer("\"value\":5}", 1);
	settle(5);
	/* In a new session nothing can have waited. */
	config->conf->command_max_age_us = 1;
	kill_gateway();
	restart_broker();
	stage_end(&listener, SIGKILL);
	listen_to_answers();
	begin();
	wait_for(connected, 0);
	assert_int_equal(commands_counts(commands).refused[COMMAND_TOO_OLD], 0);
}

/* Received, and the field side has no time for it until it is too late. */
static void one_that_waited_too_long_here_is_not_begun(_unused_ void **state)
{
	struct command command;
	uint64_t number;

	field.is_away = true;
	config->conf->command_max_age_us = 50 * USEC_PER_MSEC;
	commands_change(commands, table());
	for (unsigned i = 0; i <= COMMANDS_MAX; i++)
		assert_null(commands_write(commands, "relay", "level", "1", NULL, &number));
	take_a_turn();
	assert_int_equal(commands_look(commands, number)->state, COMMAND_RECEIVED);
	assert_int_equal(stage_wait_ms(&stage, 60), 0);
	field.is_away = false;
	play_field();
	assert_false(command_pop(ring, &command));
	commands_feed(commands);
	assert_int_equal(commands_look(commands, number)->state, COMMAND_FAILED);
	assert_int_equal(field.count, COMMANDS_MAX);
}

/* --- the table --- */

static void nothing_is_subscribed_to_where_nothing_can_be_set(_unused_ void **state)
{
	const char *error;
	uint64_t number;

	configure("", ", commands: false");
	commands_change(commands, table());
	wait_for(unsubscribed, 1);
	error = commands_write(commands, "relay", "out", "on", NULL, &number);
	assert_string_equal(error, "this gateway takes no commands");
	configure("commands = false;", "");
	begin_again();
	wait_for(connected, 0);
	configure("", "");
	commands_change(commands, table());
	wait_for(subscribed, 2);
	publish("t/relay/out/set", "on");
	wait_for(field_took, 1);
	assert_int_equal(broker_lines_with("Received SUBSCRIBE from t"), 2);
}

/* --- by hand --- */

static void somebody_on_the_machine_may_write_too(_unused_ void **state)
{
	char bytes[200] = "";
	uint64_t number = 0, again = 0;

	memset(bytes, 'x', sizeof(bytes) - 1);
	assert_null(commands_write(commands, "relay", "level", "3.5", "mine", &number));
	take_a_turn();
	assert_int_equal(field.count, 1);
	take_a_turn();
	assert_int_equal(commands_look(commands, number)->state, COMMAND_DONE);
	assert_string_equal(command_text(commands_look(commands, number), COMMAND_OUTCOME), "3.5");
	assert_null(commands_write(commands, "relay", "level", "3.5", "mine", &again));
	assert_int_equal(again, number);
	assert_non_null(commands_write(commands, "relay", "level", "4", "mine", &again));
	assert_non_null(commands_write(commands, "relay", "level", bytes, NULL, &again));
	assert_non_null(commands_write(commands, bytes, "level", "4", NULL, &again));
	assert_non_null(commands_write(commands, "relay", bytes, "4", NULL, &again));
	assert_non_null(commands_write(commands, "relay", "level", "4", bytes, &again));
	assert_non_null(commands_write(commands, "relay", "level", "99", NULL, &again));
	assert_int_equal(field.count, 1);
	begin_again();
	assert_int_equal(commands_look(commands, number)->state, COMMAND_DONE);
	assert_null(commands_look(commands, number + 1));
	/* Nobody else is told. */
	assert_int_equal(spool_sums(spool).taken, 0);
}

static void only_so_many_are_remembered(_unused_ void **state)
{
	uint64_t first = 0, last = 0, count = 0;

	assert_null(commands_write(commands, "relay", "level", "1", NULL, &first));
	for (unsigned i = 0; i < 600; i++) {
		assert_null(commands_write(commands, "relay", "level", "1", NULL, &last));
		take_a_turn();
	}
	take_a_turn();
	assert_null(commands_look(commands, first));
	assert_non_null(commands_look(commands, last));
	begin_again();
	for (uint64_t i = first; i <= last; i++)
		count += commands_look(commands, i) != NULL;
	assert_in_range(count, 200, 256);
	assert_true(spool_notes(spool)->size <= NOTES_MAX_SIZE);
	/* What has no end yet is never forgotten: then there are too many. */
	field.is_away = true;
	for (count = 0; !commands_write(commands, "relay", "level", "1", NULL, &last); count++) {
		take_a_turn();
	}
	assert_in_range(count, COMMANDS_MAX + 1, 256);
	assert_int_equal(commands_counts(commands).refused[COMMAND_TOO_MANY], 1);
	assert_int_equal(commands_counts(commands).waiting, count);
}

/* --- in the journal --- */

static void fill(struct command_entry *entry)
{
	static const char bytes[] = "0\0\x01""bytes";

	entry->state = COMMAND_STARTED;
	entry->is_local = true;
	entry->mid = 17;
	entry->session = 3;
	entry->boot = 2;
	entry->received_us = 1234567;
	entry->until_us = 7654321;
	entry->until_ms = 1795460721124;
	entry->identity = 1;
	entry->value_sum = 2;
	entry->fingerprint = 3;
	entry->answer_seq = 4;
	assert_int_equal(command_set_text(entry, COMMAND_DEVICE, "relay", 5), 0);
	assert_int_equal(command_set_text(entry, COMMAND_CORRELATION, bytes, sizeof(bytes)), 0);
	assert_int_equal(command_set_text(entry, COMMAND_OUTCOME, "true", 4), 0);
}

static void an_entry_is_read_back_as_it_was(_unused_ void **state)
{
	_cleanup_(command_book_done) struct command_book book = { 0 }, read = { 0 };
	uint8_t bytes[COMMAND_NOTE_MAX], again[COMMAND_NOTE_MAX];
	struct command_entry *entry = command_book_add(&book);
	size_t n;

	fill(entry);
	n = command_encode(entry, bytes);
	assert_int_equal(command_decode(&read, 9, bytes, n), 0);
	assert_int_equal(read.next_number, 10);
	entry = command_book_find(&read, 9);
	assert_string_equal(command_text(entry, COMMAND_DEVICE), "relay");
	assert_string_equal(command_text(entry, COMMAND_POINT), "");
	assert_int_equal(command_encode(entry, again), n);
	assert_memory_equal(again, bytes, n);
	/* Whatever a damaged one says is not believed. */
	for (size_t length = 0; length < n; length++)
		assert_int_equal(command_decode(&read, 11, bytes, length), -EBADMSG);
	bytes[0] = 0;
	assert_int_equal(command_decode(&read, 11, bytes, n), -EBADMSG);
	bytes[0] = COMMAND_UNCERTAIN + 1;
	assert_int_equal(command_decode(&read, 11, bytes, n), -EBADMSG);
	bytes[0] = COMMAND_DONE;
	bytes[72] = NAME_MAX_LENGTH + 1;
	assert_int_equal(command_decode(&read, 11, bytes, n), -EBADMSG);
	assert_int_equal(read.count, 1);
}

static void what_is_repeated_is_told_from_what_is_new(_unused_ void **state)
{
	_cleanup_(command_book_done) struct command_book book = { 0 };
	struct incoming incoming = {
		.topic = "t/relay/out/set", .payload = "on", .length = 2, .mid = 7,
		.repeated = REPEATED_YES,
	};
	struct command_entry *entry = command_book_add(&book);

	entry->mid = 7;
	entry->session = 2;
	entry->link = 1;
	entry->fingerprint = command_fingerprint(&incoming);
	assert_ptr_equal(command_book_repeated(&book, &incoming, 2, 2), entry);
	/* Of another session, on the same link, or not marked as such. */
	assert_null(command_book_repeated(&book, &incoming, 3, 2));
	assert_null(command_book_repeated(&book, &incoming, 2, 1));
	incoming.repeated = REPEATED_UNKNOWN;
	assert_ptr_equal(command_book_repeated(&book, &incoming, 2, 2), entry);
	incoming.repeated = REPEATED_NO;
	assert_null(command_book_repeated(&book, &incoming, 2, 2));
	incoming.repeated = REPEATED_YES;
	incoming.payload = "of";
	assert_null(command_book_repeated(&book, &incoming, 2, 2));
	incoming.payload = "on";
	incoming.mid = 8;
	assert_null(command_book_repeated(&book, &incoming, 2, 2));
	/* Another one came under that identifier since. */
	incoming.mid = 7;
	entry = command_book_add(&book);
	entry->mid = 7;
	entry->session = 2;
	entry->link = 2;
	assert_null(command_book_repeated(&book, &incoming, 2, 3));
}

#define broker_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		broker_test(a_command_is_carried_out_and_answered),
		broker_test(what_is_wrong_is_refused),
		broker_test(each_quality_of_service_is_taken),
		broker_test(the_same_id_is_answered_from_the_record),
		broker_test(a_repeated_message_is_one_command),
		broker_test(what_was_started_is_not_blindly_repeated),
		broker_test(what_is_not_noted_is_not_begun),
		broker_test(a_long_outage_makes_commands_too_old),
		broker_test(one_that_waited_too_long_here_is_not_begun),
		broker_test(nothing_is_subscribed_to_where_nothing_can_be_set),
		broker_test(somebody_on_the_machine_may_write_too),
		broker_test(only_so_many_are_remembered),
		cmocka_unit_test(an_entry_is_read_back_as_it_was),
		cmocka_unit_test(what_is_repeated_is_told_from_what_is_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
