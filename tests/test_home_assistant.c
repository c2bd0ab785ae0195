/* SPDX-License-Identifier: Apache-2.0 */
/* test_home_assistant.c - what a real broker holds of discovery, as the gateway comes and goes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "on_stage.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

enum { ENTITIES_MAX = 64, POINTS = 2, ENTITIES = 1 + STAGE_DEVICES * POINTS };

static const char settings[] = "discovery = \"homeassistant\";";

/* What a subscriber saw of the topics below homeassistant/. */
struct entity {
	char topic[128], payload[2048]; /* the last one */
	bool retained;                  /* it was there when the subscriber came */
};

struct listener {
	pid_t pid;
	int fd;
	char bytes[64 * 1024];
	size_t length;
	struct entity entities[ENTITIES_MAX];
	size_t count, messages;
};

static struct listener ears;

static void listen_to_topic(struct listener *to, const char *topic)
{
	char port[8];
	char *argv[] = { "mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-q", "1", "-t",
			 (char *)topic, "-F", "%r\t%t\t%p", NULL };
	int fds[2];

	memset(to, 0, sizeof(*to));
	snprintf(port, sizeof(port), "%d", stage.broker_port);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	to->pid = stage_spawn(argv, fds[1]);
	close(fds[1]);
	to->fd = fds[0];
	assert_int_equal(fcntl(to->fd, F_SETFL, O_NONBLOCK), 0);
}

static void listen_to(struct listener *to)
{
	listen_to_topic(to, "homeassistant/#");
}

static void stop_listening(struct listener *to)
{
	stage_end(&to->pid, SIGKILL);
	close(to->fd);
}

static void take_line(struct listener *to, char *line)
{
	char *rest = line, *retained = strsep(&rest, "\t"), *topic = strsep(&rest, "\t");
	size_t i = 0;

	if (!rest || !strcmp(topic, "homeassistant/status"))
		return;
	while (i < to->count && strcmp(to->entities[i].topic, topic) != 0)
		i++;
	assert_true(i < ENTITIES_MAX);
	to->count += i == to->count;
	to->messages++;
	snprintf(to->entities[i].topic, sizeof(to->entities[i].topic), "%s", topic);
	snprintf(to->entities[i].payload, sizeof(to->entities[i].payload), "%s", rest);
	to->entities[i].retained = *retained == '1';
}

static void hear(struct listener *to)
{
	char *line = to->bytes, *newline;
	ssize_t n;

	while ((n = read(to->fd, to->bytes + to->length, sizeof(to->bytes) - 1 - to->length)) > 0)
		to->length += n;
	to->bytes[to->length] = '\0';
	for (; (newline = strchr(line, '\n')); line = newline + 1) {
		*newline = '\0';
		take_line(to, line);
	}
	to->length -= line - to->bytes;
	memmove(to->bytes, line, to->length);
}

static size_t alive(const struct listener *to)
{
	size_t count = 0;

	for (size_t i = 0; i < to->count; i++)
		count += *to->entities[i].payload != '\0';
	return count;
}

static bool hears(struct stage *on, uint64_t entities)
{
	(void)on;
	hear(&ears);
	return alive(&ears) == entities;
}

static void start(const char *publish)
{
	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_true(stage_start_subscriber(&stage) >= 0);
	listen_to(&ears);
	assert_int_equal(stage_configure(&stage, publish, ""), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
}

static void restart(int signal)
{
	stage_end(&stage.gateway, signal);
	assert_int_equal(stage_start_gateway(&stage), 0);
}

/*
 * What is told at the start is told before the readings that come then. Answers of the broker
 * have come through the proxy in this process meanwhile.
 */
static void read_on(void)
{
	wait_for(stage_has_readings, stage.readings + 30);
	hear(&ears);
}

static void check_broker(size_t entities)
{
	struct listener *late = calloc(1, sizeof(*late));

	assert_non_null(late);
	listen_to(late);
	for (unsigned i = 0; i < 200 && alive(late) < entities; i++) {
		assert_int_equal(stage_wait_ms(&stage, 20), 0);
		hear(late);
	}
	assert_int_equal(alive(late), entities);
	for (size_t i = 0; i < late->count; i++)
		assert_true(late->entities[i].retained);
	stop_listening(late);
	free(late);
}

static const cJSON *at(const cJSON *json, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

	assert_non_null(item);
	return item;
}

/* Topics that are named are topics that the gateway publishes on. */
static void check_entity(const struct entity *entity)
{
	cJSON *json = cJSON_Parse(entity->payload);
	char device[64], topic[96];

	assert_non_null(json);
	if (strstr(entity->topic, "/status/config")) {
		assert_string_equal(at(json, "state_topic")->valuestring, "demo/status");
	} else {
		snprintf(device, sizeof(device), "%s",
			 at(at(json, "device"), "name")->valuestring);
		snprintf(topic, sizeof(topic), "demo/%s", device);
		assert_string_equal(at(json, "state_topic")->valuestring, topic);
		snprintf(topic, sizeof(topic), "demo/%s/availability", device);
		assert_string_equal(at(cJSON_GetArrayItem(at(json, "availability"), 1), "topic")
				    ->valuestring, topic);
	}
	cJSON_Delete(json);
}

static void all_is_told_and_retained(void **state)
{
	(void)state;
	start(settings);
	wait_for(hears, ENTITIES);
	read_on();
	assert_int_equal(ears.messages, ENTITIES);
	for (size_t i = 0; i < ears.count; i++)
		check_entity(&ears.entities[i]);
	check_broker(ENTITIES);
	assert_int_equal(lines_with("discovery: told what is new of 17 entities"), 1);
}

static void a_restart_tells_nothing_again(void **state)
{
	(void)state;
	start(settings);
	wait_for(hears, ENTITIES);
	read_on();
	restart(SIGTERM);
	read_on();
	restart(SIGKILL);
	read_on();
	assert_int_equal(ears.messages, ENTITIES);
}

static void configure_devices(unsigned count)
{
	assert_int_equal(stage_write(&stage, "bus.yaml",
				     "bus: simulated\nport: %s/bus\nbaud: 19200\ndevices:\n"
				     "  - {name: \"climate-{address}\", map: xy-md02, "
				     "address: [%u-%u], every: 500ms}\n",
				     stage.directory, STAGE_FIRST_ADDRESS,
				     STAGE_FIRST_ADDRESS + count - 1), 0);
}

static void what_leaves_the_configuration_is_taken_back(void **state)
{
	(void)state;
	start(settings);
	wait_for(hears, ENTITIES);
	read_on();
	stage_end(&stage.gateway, SIGTERM);
	configure_devices(2);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(hears, 1 + 2 * POINTS);
	check_broker(1 + 2 * POINTS);
	/* It was told of all that is gone, in an empty message each. */
	assert_int_equal(ears.count, ENTITIES);
	assert_int_equal(ears.messages, ENTITIES + (STAGE_DEVICES - 2) * POINTS);

	stage_end(&stage.gateway, SIGTERM);
	assert_int_equal(stage_configure(&stage, "", ""), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(hears, 0);
	check_broker(0);
}

static void a_reload_tells_and_takes_back(void **state)
{
	(void)state;
	start(settings);
	wait_for(hears, ENTITIES);
	read_on();
	configure_devices(3);
	kill(stage.gateway, SIGHUP);
	wait_for(hears, 1 + 3 * POINTS);
	read_on();
	assert_int_equal(ears.messages, ENTITIES + (STAGE_DEVICES - 3) * POINTS);
	configure_devices(4);
	kill(stage.gateway, SIGHUP);
	wait_for(hears, 1 + 4 * POINTS);
	check_broker(1 + 4 * POINTS);
}

/* Also while nobody hears it. */
static void it_waits_for_the_link(void **state)
{
	(void)state;
	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_true(stage_start_subscriber(&stage) >= 0);
	listen_to(&ears);
	proxy_cut(stage.proxy, true);
	assert_int_equal(stage_configure(&stage, settings, ""), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_spool_holds, ENTITIES + 20);
	for (unsigned i = 0; i < 2; i++) {
		restart(SIGKILL);
		wait_for(stage_spool_holds, ENTITIES + 30 + i * 10);
	}
	proxy_cut(stage.proxy, false);
	wait_for(hears, ENTITIES);
	wait_for(stage_spool_is_empty, 0);
	hear(&ears);
	assert_int_equal(ears.messages, ENTITIES);
}

/* A broker without persistence begins anew: what it had retained is gone with our session. */
static void a_broker_that_lost_all_is_told_again(void **state)
{
	(void)state;
	start(settings);
	wait_for(hears, ENTITIES);
	read_on();
	stop_listening(&ears);
	proxy_cut(stage.proxy, true);
	stage_end(&stage.broker, SIGKILL);
	assert_int_equal(stage_start_broker(&stage), 0);
	check_broker(0);
	listen_to(&ears);
	proxy_cut(stage.proxy, false);
	wait_for(hears, ENTITIES);
	check_broker(ENTITIES);
	assert_int_equal(ears.messages, ENTITIES);
}

static void publish(const char *topic, const char *payload, const char *retain)
{
	char port[8];
	char *argv[] = { "mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-q", "1", "-t",
			 (char *)topic, "-m", (char *)payload, (char *)retain, NULL };
	pid_t pid;

	snprintf(port, sizeof(port), "%d", stage.broker_port);
	pid = stage_spawn(argv, STDERR_FILENO);
	assert_int_equal(stage_end(&pid, 0), 0);
}

static bool has_said(struct stage *on, uint64_t messages)
{
	(void)on;
	hear(&ears);
	return ears.messages >= messages;
}

/* Home Assistant's birth message; others, and one that was there before us, are none. */
static void a_birth_has_all_told_again(void **state)
{
	(void)state;
	start(settings);
	wait_for(hears, ENTITIES);
	read_on();
	publish("homeassistant/status", "offline", NULL);
	publish("homeassistant/status", "", NULL);
	read_on();
	assert_int_equal(ears.messages, ENTITIES);
	publish("homeassistant/status", "online", NULL);
	wait_for(has_said, 2 * ENTITIES);
	read_on();
	assert_int_equal(ears.messages, 2 * ENTITIES);
	restart(SIGKILL);
	read_on();
	publish("homeassistant/status", "online", "-r");
	wait_for(has_said, 3 * ENTITIES);
	read_on();
	assert_int_equal(ears.messages, 3 * ENTITIES);
	restart(SIGTERM);
	read_on();
	assert_int_equal(ears.messages, 3 * ENTITIES);
}

/* --- the way back --- */

enum { RELAYS = 30 }; /* the address of a board of them */

static const struct entity *find_entity(const char *topic)
{
	for (size_t i = 0; i < ears.count; i++)
		if (!strcmp(ears.entities[i].topic, topic))
			return &ears.entities[i];
	return NULL;
}

static bool is_told(struct stage *on, uint64_t topic)
{
	(void)on;
	hear(&ears);
	return find_entity((const char *)topic);
}

static void start_relays(void)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *suggestion = NULL;
	const struct device_map *map;

	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(map_library_get(stage.library, "waveshare-relay-8ch", &map, &suggestion,
					 faults), 0);
	assert_int_equal(simulator_add(stage.simulator, map, RELAYS), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	listen_to(&ears);
	assert_int_equal(stage_configure(&stage, settings, ""), 0);
	assert_int_equal(stage_write(&stage, "bus.yaml",
				     "bus: simulated\nport: %s/bus\nbaud: 19200\ndevices:\n"
				     "  - {name: board, map: waveshare-relay-8ch, address: %d, "
				     "every: 200ms}\n", stage.directory, RELAYS), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
}

/* What the board publishes, as long as it does not say this. */
static struct listener board;

static bool board_says(struct stage *on, uint64_t words)
{
	(void)on;
	hear(&board);
	return board.count && strstr(board.entities[0].payload, (const char *)words);
}

/* As Home Assistant does it: all that it knows stands in the entity's message. */
static void a_switch_can_be_switched(void **state)
{
	static const char topic[] = "homeassistant/switch/demo/board-relay_3/config";
	cJSON *json;

	(void)state;
	start_relays();
	wait_for(is_told, (uintptr_t)topic);
	json = cJSON_Parse(find_entity(topic)->payload);
	assert_non_null(json);
	listen_to_topic(&board, at(json, "state_topic")->valuestring);
	wait_for(board_says, (uintptr_t)"\"relay_3\":false");
	publish(at(json, "command_topic")->valuestring, at(json, "payload_on")->valuestring,
		NULL);
	wait_for(board_says, (uintptr_t)"\"relay_3\":true");
	publish(at(json, "command_topic")->valuestring, at(json, "payload_off")->valuestring,
		NULL);
	wait_for(board_says, (uintptr_t)"\"relay_3\":false");
	stop_listening(&board);
	cJSON_Delete(json);
}

static int open_all(void **state)
{
	ears.pid = 0;
	ears.fd = -1;
	return open_stage(state);
}

static int close_all(void **state)
{
	stop_listening(&ears);
	return close_stage(state);
}

#define test(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(all_is_told_and_retained),
		test(a_restart_tells_nothing_again),
		test(what_leaves_the_configuration_is_taken_back),
		test(a_reload_tells_and_takes_back),
		test(it_waits_for_the_link),
		test(a_broker_that_lost_all_is_told_again),
		test(a_birth_has_all_told_again),
		test(a_switch_can_be_switched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
