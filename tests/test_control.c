/* SPDX-License-Identifier: Apache-2.0 */
/* test_control.c - a control socket with those who ask well, badly, too much and not at all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tools/stage.h"
#include "uplink/control.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { LONG_BYTES = 4 * 1000 * 1000 };

/* Longer than a socket's address may be. */
static char directory[256];
static pid_t server;

static const char *run_double(void *data, const cJSON *request, cJSON *answer)
{
	const cJSON *number = cJSON_GetObjectItem(request, "number");

	if (!cJSON_IsNumber(number))
		return "double takes a \"number\"";
	cJSON_AddNumberToObject(answer, "double", *(int *)data * number->valuedouble);
	return NULL;
}

/* More than a socket has room for. */
static const char *run_long(void *data, const cJSON *request, cJSON *answer)
{
	_cleanup_free_ char *text = malloc(LONG_BYTES + 1);

	(void)data, (void)request;
	memset(text, 'x', LONG_BYTES);
	text[LONG_BYTES] = '\0';
	cJSON_AddStringToObject(answer, "text", text);
	return NULL;
}

static void serve(int ready)
{
	static const struct control_verb verbs[] = {
		{ "double", run_double }, { "long", run_long }, { 0 },
	};
	struct control *control;
	sd_event *loop;
	int factor = 2;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sd_event_new(&loop) < 0 ||
	    control_new(loop, directory, "control", verbs, &factor, &control) < 0)
		_exit(1);
	(void)!write(ready, "x", 1);
	sd_event_loop(loop);
	_exit(0);
}

static int start(void **state)
{
	char ready;
	int fds[2];

	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/postbus-control-%0150d-XXXXXX", 0);
	if (!mkdtemp(directory) || pipe(fds) < 0)
		return -1;
	server = fork();
	if (server == 0) {
		close(fds[0]);
		serve(fds[1]);
	}
	close(fds[1]);
	if (read(fds[0], &ready, 1) != 1)
		return -1;
	return close(fds[0]);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int stop(void **state)
{
	(void)state;
	stage_end(&server, SIGKILL);
	return nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int connect_to(void)
{
	int fd = control_connect(directory, "control");

	assert_true(fd >= 0);
	return fd;
}

static void send_words(int fd, const char *words)
{
	assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL), strlen(words));
}

static void assert_answer(int fd, const char *expected)
{
	char line[4096];
	size_t length = 0;

	do {
		assert_true(length < sizeof(line) - 1);
		assert_int_equal(recv(fd, line + length, 1, 0), 1);
	} while (line[length++] != '\n');
	line[length - 1] = '\0';
	assert_string_equal(line, expected);
}

static void requests_are_answered_in_order(void **state)
{
	int fd = connect_to();

	(void)state;
	send_words(fd, "{\"verb\":\"double\",\"number\":21}\n{\"verb\":\"dou");
	assert_answer(fd, "{\"double\":42,\"ok\":true}");
	send_words(fd, "ble\",\"number\":4}\n");
	assert_answer(fd, "{\"double\":8,\"ok\":true}");
	close(fd);
}

static void wrong_requests_are_told_so(void **state)
{
	int fd = connect_to();

	(void)state;
	send_words(fd, "{\"verb\":\"double\"}\n{\"verb\":\"triple\"}\nnonsense\n\n{\"verb\":7}\n");
	assert_answer(fd, "{\"ok\":false,\"error\":\"double takes a \\\"number\\\"\"}");
	assert_answer(fd, "{\"ok\":false,\"error\":\"there is no such verb\"}");
	for (unsigned i = 0; i < 3; i++)
		assert_answer(fd, "{\"ok\":false,\"error\":"
				  "\"a request is {\\\"verb\\\":\\\"...\\\", ...}\"}");
	close(fd);
}

static void too_long_a_line_ends_the_connection(void **state)
{
	_cleanup_free_ char *words = malloc(5001);
	int fd = connect_to(), other = connect_to();
	ssize_t n;
	char byte;

	(void)state;
	memset(words, ' ', 5000);
	words[5000] = '\0';
	send_words(fd, words);
	/* What was not read yet makes it a reset. */
	n = recv(fd, &byte, 1, 0);
	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
	send_words(other, "{\"verb\":\"double\",\"number\":1}\n");
	assert_answer(other, "{\"double\":2,\"ok\":true}");
	close(fd);
	close(other);
}

/* Those who say nothing keep nobody else away. */
static void the_oldest_makes_room(void **state)
{
	int idle[8], fd;
	char byte;

	(void)state;
	for (size_t i = 0; i < 8; i++)
		idle[i] = connect_to();
	fd = connect_to();
	send_words(fd, "{\"verb\":\"double\",\"number\":3}\n");
	assert_answer(fd, "{\"double\":6,\"ok\":true}");
	assert_int_equal(recv(idle[0], &byte, 1, 0), 0);
	send_words(idle[1], "{\"verb\":\"double\",\"number\":5}\n");
	assert_answer(idle[1], "{\"double\":10,\"ok\":true}");
	for (size_t i = 0; i < 8; i++)
		close(idle[i]);
	close(fd);
}

static void the_client_asks(void **state)
{
	cJSON *request = cJSON_CreateObject(), *answer = NULL;
	int fd = connect_to();

	(void)state;
	cJSON_AddStringToObject(request, "verb", "double");
	cJSON_AddNumberToObject(request, "number", 4);
	assert_int_equal(control_ask(fd, request, &answer), 0);
	assert_int_equal(cJSON_GetObjectItem(answer, "double")->valueint, 8);
	cJSON_Delete(answer);
	/* The gateway ends: that is no answer. */
	stage_end(&server, SIGKILL);
	assert_true(control_ask(fd, request, &answer) < 0);
	assert_int_equal(control_connect(directory, "control"), -ECONNREFUSED);
	cJSON_Delete(request);
	close(fd);
}

/* Who does not take an answer keeps nobody else waiting, and gets all of it in the end. */
static void a_long_answer_waits_for_its_reader(void **state)
{
	cJSON *request = cJSON_CreateObject(), *answer;
	int slow = connect_to(), fd = connect_to();

	(void)state;
	send_words(slow, "{\"verb\":\"long\"}\n{\"verb\":\"double\",\"number\":2}\n");
	for (int i = 0; i < 10; i++) {
		send_words(fd, "{\"verb\":\"double\",\"number\":3}\n");
		assert_answer(fd, "{\"double\":6,\"ok\":true}");
	}
	for (size_t length = 0, n; length < strlen("{'text':'','ok':true}\n") + LONG_BYTES;
	     length += n) {
		char bytes[65536];
		size_t rest = strlen("{'text':'','ok':true}\n") + LONG_BYTES - length;

		n = recv(slow, bytes, rest < sizeof(bytes) ? rest : sizeof(bytes), 0);
		assert_in_range(n, 1, sizeof(bytes));
	}
	assert_answer(slow, "{\"double\":4,\"ok\":true}");

	cJSON_AddStringToObject(request, "verb", "long");
	assert_int_equal(control_ask(fd, request, &answer), 0);
	assert_int_equal(strlen(cJSON_GetObjectItem(answer, "text")->valuestring), LONG_BYTES);
	cJSON_Delete(answer);
	cJSON_Delete(request);
	close(slow);
	close(fd);
}

/* Nor does who asks have to wait: the answer is there, in part, or not at all yet. */
static void an_answer_comes_in_parts(void **state)
{
	_cleanup_(control_line_done) struct control_line line = { 0 };
	cJSON *answer;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(control_receive(fds[0], &line, &answer), -EAGAIN);
	send_words(fds[1], "{\"double\":");
	assert_int_equal(control_receive(fds[0], &line, &answer), -EAGAIN);
	send_words(fds[1], "8}\n");
	assert_int_equal(control_receive(fds[0], &line, &answer), 0);
	assert_int_equal(cJSON_GetObjectItem(answer, "double")->valueint, 8);
	cJSON_Delete(answer);
	send_words(fds[1], "nonsense\n");
	assert_int_equal(control_receive(fds[0], &line, &answer), -EPROTO);
	send_words(fds[1], "{");
	close(fds[1]);
	assert_int_equal(control_receive(fds[0], &line, &answer), -EPROTO);
	close(fds[0]);
}

/* A socket that is in use stays whose it is. */
static void a_second_listener_is_refused(void **state)
{
	static const struct control_verb none[] = { { 0 } };
	struct control *control;
	sd_event *loop;
	int fd;

	(void)state;
	assert_int_equal(sd_event_new(&loop), 0);
	assert_int_equal(control_new(loop, directory, "control", none, NULL, &control),
			 -EADDRINUSE);
	fd = connect_to();
	send_words(fd, "{\"verb\":\"double\",\"number\":3}\n");
	assert_answer(fd, "{\"double\":6,\"ok\":true}");
	close(fd);
	sd_event_unref(loop);
}

/* What an earlier gateway left behind is replaced, and taken away at the end. */
static void the_socket_comes_and_goes(void **state)
{
	static const struct control_verb none[] = { { 0 } };
	char path[300];
	struct control *control;
	struct stat st;
	sd_event *loop;

	(void)state;
	stage_end(&server, SIGKILL);
	snprintf(path, sizeof(path), "%s/control", directory);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(sd_event_new(&loop), 0);
	assert_int_equal(control_new(loop, directory, "control", none, NULL, &control), 0);
	close(connect_to());
	control_free(control);
	sd_event_unref(loop);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(control_connect(directory, "control"), -ENOENT);
}

#define control_test(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		control_test(requests_are_answered_in_order),
		control_test(wrong_requests_are_told_so),
		control_test(too_long_a_line_ends_the_connection),
		control_test(the_oldest_makes_room),
		control_test(the_client_asks),
		control_test(a_long_answer_waits_for_its_reader),
		control_test(an_answer_comes_in_parts),
		control_test(a_second_listener_is_refused),
		control_test(the_socket_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
