/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_command_torture.c - the gateway ends at every point of a command's way, the link is cut,
 * and each command is carried out once, or told as uncertain, and never twice.
 *
 * POSTBUS_TORTURE=N has N more commands; POSTBUS_SEED has the same ones again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/clock.h"
#include "crash_point.h"
#include "on_stage.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum {
	BELLS = 16,          /* points that make a pulse; of each one command at a time */
	ROUNDS = 6,          /* at random, where the environment does not say */
	CUT_MOST = 400,      /* bytes that pass at most before the link is cut */
	COMMANDS_MOST = 65536,
};

enum answer { ANSWER_NONE, ANSWER_DONE, ANSWER_FAILED, ANSWER_UNCERTAIN };

/* What became of a command: how often its bell rang, and what was said of it. */
static struct {
	unsigned rang, answers, contradictions;
	enum answer answer;
} commands[COMMANDS_MOST];

static unsigned command_count, first_of_round;
static unsigned crashes, cuts;
static char *program;
static pid_t listener;
static int answers_fd = -1;
static char line[4096];
static size_t line_length;
static sd_event_source *answers_source;

static unsigned below(unsigned n)
{
	return rand() % n;
}

/* --- what rings --- */

/* The command that a bell was last asked by. */
static unsigned asked_by[BELLS];

static void on_written(_unused_ void *data, const struct sim_written *written)
{
	unsigned bell = strtoul(written->point->name + strlen("bell_"), NULL, 10);

	/* The other half of a pulse. */
	if (!written->value.u)
		return;
	assert_true(bell < BELLS);
	commands[asked_by[bell]].rang++;
}

/* --- what is said --- */

static void take_answer(const char *text)
{
	cJSON *json = cJSON_Parse(text);
	const char *id = cJSON_GetStringValue(cJSON_GetObjectItem(json, "id"));
	const char *error = cJSON_GetStringValue(cJSON_GetObjectItem(json, "error"));
	enum answer answer = ANSWER_DONE;
	unsigned number;

	assert_non_null(id);
	number = strtoul(id, NULL, 10);
	assert_true(number < command_count);
	if (error)
		answer = !strncmp(error, "uncertain", 9) ? ANSWER_UNCERTAIN : ANSWER_FAILED;
	if (commands[number].answer && commands[number].answer != answer)
		commands[number].contradictions++;
	commands[number].answer = answer;
	commands[number].answers++;
	cJSON_Delete(json);
}

static int on_answers(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		      _unused_ void *data)
{
	char *start = line, *newline;
	ssize_t n = read(fd, line + line_length, sizeof(line) - 1 - line_length);

	assert_true(n > 0);
	line_length += n;
	line[line_length] = '\0';
	for (; (newline = strchr(start, '\n')); start = newline + 1) {
		*newline = '\0';
		take_answer(start);
	}
	line_length -= start - line;
	memmove(line, start, line_length);
	return 0;
}

static void listen_to_answers(void)
{
	char port[8];
	char *argv[] = { "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", port, "-q", "1",
			 "-i", "listener", "-c", "-x", "3600", "-t", "demo/+/+/result", "-F",
			 "%p", NULL };
	int fds[2];

	snprintf(port, sizeof(port), "%d", stage.broker_port);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	listener = stage_spawn(argv, fds[1]);
	close(fds[1]);
	answers_fd = fds[0];
	assert_true(sd_event_add_io(stage.loop, &answers_source, answers_fd, EPOLLIN, on_answers,
				    NULL) >= 0);
}

/* --- the stage --- */

static void write_map(void)
{
	char *bells = NULL;
	size_t size;
	FILE *out = open_memstream(&bells, &size);

	assert_non_null(out);
	for (unsigned i = 0; i < BELLS; i++)
		fprintf(out, "  bell_%u: {addr: %u, table: coil, type: bool, every: 10s, "
			"write: {pulse: 5ms}}\n", i, i);
	fclose(out);
	assert_int_equal(stage_write(&stage, "maps/bells.yaml",
				     "map: bells\nversion: 1\ntitle: bells\nsource: made up\n"
				     "driver: modbus\n"
				     "serial: {baud: 115200, format: 8N1, address: 1}\n"
				     "points:\n%s", bells), 0);
	free(bells);
}

static void start_simulator(void)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *link = NULL, *suggestion = NULL;
	const struct device_map *map;

	assert_true(asprintf(&link, "%s/bus", stage.directory) > 0);
	stage.library = map_library_new(&stage.maps, 1, driver_names());
	assert_int_equal(map_library_get(stage.library, "bells", &map, &suggestion, faults), 0);
	assert_int_equal(simulator_new(stage.loop, link, 115200,
				       (struct serial_format){ 8, 'N', 1 }, &stage.simulator), 0);
	assert_int_equal(simulator_add(stage.simulator, map, 1), 0);
	simulator_tell_written(stage.simulator, on_written, NULL);
}

static bool listener_is_there(_unused_ struct stage *on, _unused_ uint64_t unused)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	char text[1024];

	assert_true(asprintf(&path, "%s/mosquitto.log", stage.directory) > 0);
	file = fopen(path, "re");
	while (file && fgets(text, sizeof(text), file))
		if (strstr(text, "Sending SUBACK to listener"))
			return true;
	return false;
}

static int set_up(void **state)
{
	const char *postbus = getenv("POSTBUS");

	if (!postbus || open_stage(state) < 0 ||
	    asprintf(&program, "%.*s/tests/crash_gateway",
		     (int)(strrchr(postbus, '/') - postbus), postbus) < 0)
		return -1;
	stage.program = program;
	free(maps);
	assert_true(asprintf(&maps, "%s/maps", stage.directory) > 0);
	assert_int_equal(mkdir(maps, 0700), 0);
	stage.maps = maps;
	stage.mosquitto_conf = "log_type all\n";
	write_map();
	start_simulator();
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	listen_to_answers();
	wait_for(listener_is_there, 0);
	assert_int_equal(stage_configure(&stage, "", ""), 0);
	assert_int_equal(stage_write(&stage, "bus.yaml",
				     "bus: simulated\nport: %s/bus\nbaud: 115200\n"
				     "command_rate: 100\n"
				     "devices:\n  - {name: tower, map: bells, address: 1}\n",
				     stage.directory), 0);
	return 0;
}

static int tear_down(void **state)
{
	sd_event_source_disable_unref(answers_source);
	stage_end(&listener, SIGKILL);
	close(answers_fd);
	free(program);
	return close_stage(state);
}

/* --- crashes --- */

static void start_gateway(const char *point)
{
	if (point)
		setenv("POSTBUS_CRASH", point, true);
	assert_int_equal(stage_start_gateway(&stage), 0);
	unsetenv("POSTBUS_CRASH");
}

static bool has_crashed(void)
{
	int status;

	if (stage.gateway > 0 && waitpid(stage.gateway, &status, WNOHANG) == stage.gateway) {
		stage.gateway = 0;
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	return stage.gateway == 0;
}

static bool all_are_answered(_unused_ struct stage *on, _unused_ uint64_t unused)
{
	for (unsigned i = first_of_round; i < command_count; i++)
		if (!commands[i].answer)
			return false;
	return true;
}

static bool crashed_or_answered(struct stage *on, _unused_ uint64_t unused)
{
	return has_crashed() || all_are_answered(on, 0);
}

static void ring(unsigned bell)
{
	char port[8], topic[64], payload[64];
	char *argv[] = { "mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", port, "-q", "1",
			 "-t", topic, "-m", payload, "-D", "publish", "message-expiry-interval",
			 "600", NULL };
	pid_t pid;

	assert_true(command_count < COMMANDS_MOST);
	asked_by[bell] = command_count;
	snprintf(port, sizeof(port), "%d", stage.broker_port);
	snprintf(topic, sizeof(topic), "demo/tower/bell_%u/set", bell);
	snprintf(payload, sizeof(payload), "{\"id\":\"%u\",\"value\":\"on\"}", command_count++);
	pid = stage_spawn(argv, STDERR_FILENO);
	assert_int_equal(stage_end(&pid, 0), 0);
}

/*
 * Up to BELLS commands, before the gateway is there or while it is, which ends at the point; and
 * is there again until all are answered.
 */
static void one_round(const char *point, unsigned count, bool before)
{
	first_of_round = command_count;
	for (unsigned i = 0; i < count && before; i++)
		ring(i);
	start_gateway(point);
	for (unsigned i = 0; i < count && !before; i++)
		ring(i);
	wait_for(crashed_or_answered, 0);
	if (has_crashed()) {
		crashes++;
		start_gateway(NULL);
		wait_for(all_are_answered, 0);
	}
	/* At any moment, now that nothing is under way. */
	stage_end(&stage.gateway, SIGKILL);
}

static const struct {
	const char *name;
	unsigned most;
} points[] = {
	{ "got.command.before", 5 }, { "got.command.after", 5 },
	{ "note.command.before", 15 }, { "note.command.after", 15 },
	{ "journal.sync.before", 6 }, { "journal.sync.after", 6 },
	{ "disk.sync.before", 6 }, { "disk.sync.after", 6 },
	{ "push.command.before", 5 }, { "push.command.after", 5 },
	{ "take.command.before", 5 }, { "take.command.after", 5 },
	{ "push.outcome.before", 5 }, { "push.outcome.after", 5 },
	{ "send.puback.before", 5 }, { "send.puback.half", 5 }, { "send.puback.after", 5 },
	{ "send.subscribe.before", 1 }, { "send.connect.after", 1 },
	{ "got.connack.before", 1 }, { "got.connack.after", 1 },
	{ "add.result.before", 5 }, { "add.result.after", 5 },
	{ "tail.commit.before", 10 }, { "tail.commit.after", 10 },
	{ "session.write.before", 10 }, { "session.write.after", 10 },
	{ "send.publish.before", 10 }, { "send.publish.after", 10 },
	{ "got.puback.before", 10 }, { "got.puback.after", 10 },
};

static void at_each_point(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s:%u", points[i].name, 1 + below(points[i].most));
		one_round(text, 1 + below(BELLS), below(2));
	}
}

static void at_random(unsigned commands_wanted)
{
	while (command_count < commands_wanted) {
		unsigned i = below(ARRAY_SIZE(points));
		char text[64];

		snprintf(text, sizeof(text), "%s:%u", points[i].name, 1 + below(60));
		if (below(3) == 0) {
			proxy_cut_after(stage.proxy, below(2), 1 + below(CUT_MOST));
			cuts++;
		}
		one_round(text, BELLS, below(2));
	}
}

static void each_is_carried_out_once_or_told_as_uncertain(_unused_ void **state)
{
	const char *more = getenv("POSTBUS_TORTURE");
	unsigned by_answer[ANSWER_UNCERTAIN + 1] = { 0 }, rang = 0, twice = 0, uncertain_rang = 0;
	unsigned wrong = 0, contradictions = 0, answers = 0;

	/* Something is subscribed to before the first command. */
	start_gateway(NULL);
	wait_for_log("subscribed to demo/+/+/set", 1);
	stage_end(&stage.gateway, SIGTERM);
	at_each_point();
	at_random(command_count + ROUNDS * BELLS + (more ? strtoul(more, NULL, 10) : 0));
	for (unsigned i = 0; i < command_count; i++) {
		unsigned times = commands[i].rang;

		by_answer[commands[i].answer]++;
		rang += times;
		answers += commands[i].answers;
		twice += times > 1;
		contradictions += commands[i].contradictions;
		uncertain_rang += commands[i].answer == ANSWER_UNCERTAIN && times;
		wrong += commands[i].answer == ANSWER_DONE && times != 1;
		wrong += commands[i].answer == ANSWER_FAILED && times;
	}
	print_message("%u commands, %u crashes, %u cuts of the link: done %u, failed %u, "
		      "uncertain %u (of these carried out %u), without an answer %u; carried out "
		      "%u, twice %u; answers %u, wrong %u, contradictions %u\n",
		      command_count, crashes, cuts, by_answer[ANSWER_DONE],
		      by_answer[ANSWER_FAILED], by_answer[ANSWER_UNCERTAIN], uncertain_rang,
		      by_answer[ANSWER_NONE], rang, twice, answers, wrong, contradictions);
	assert_int_equal(twice, 0);
	assert_int_equal(wrong, 0);
	assert_int_equal(contradictions, 0);
	assert_int_equal(by_answer[ANSWER_NONE], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_is_carried_out_once_or_told_as_uncertain,
						set_up, tear_down),
	};
	const char *seed = getenv("POSTBUS_SEED");
	unsigned number = seed ? strtoul(seed, NULL, 10) : (unsigned long)time(NULL);

	print_message("POSTBUS_SEED=%u\n", number);
	srand(number);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
