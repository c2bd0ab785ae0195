/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - the socket by which other processes ask a running gateway to do something. */
#include "uplink/control.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
	/* Of one request, and of an answer, which others may have to make room for. */
	REQUEST_MAX_BYTES = 4096,
	ANSWER_MAX_BYTES = 64 * 1024 * 1024,
	/* Open at a time; one more, and the oldest is closed. */
	CONNECTIONS_MAX = 8,
	/* How long an answer may take: the disk may hang for a while. */
	ANSWER_TIMEOUT_S = 60,
};

struct connection {
	struct control *control;
	int fd;
	sd_event_source *source; /* NULL: there is none */
	char line[REQUEST_MAX_BYTES];
	size_t length;
	char *answer; /* what the socket had no room for yet; NULL: nothing */
	size_t answer_length, answer_sent;
};

struct control {
	sd_event *loop;
	const struct control_verb *verbs;
	void *data;
	int directory, fd;
	char *name;
	sd_event_source *source;
	struct connection *connections[CONNECTIONS_MAX];
	size_t next; /* the place that the next connection takes */
};

/*
 * A socket's address has room for 107 characters, and a spool's path may be longer: the way to
 * it goes by the descriptor of its directory.
 */
static struct sockaddr_un address_in(int directory, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory,
		 name);
	return address;
}

static int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* --- the gateway's side --- */

static void connection_free(struct connection *connection)
{
	if (!connection)
		return;
	sd_event_source_disable_unref(connection->source);
	closep(&connection->fd);
	free(connection->answer);
	free(connection);
}
DEFINE_CLEANUP(struct connection *, connection_free)

static const char *run_verb(const struct control *control, const cJSON *request, cJSON *answer)
{
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(request, "verb"));

	if (!name)
		return "a request is {\"verb\":\"...\", ...}";
	for (const struct control_verb *verb = control->verbs; verb->name; verb++)
		if (!strcmp(verb->name, name))
			return verb->run(control->data, request, answer);
	return "there is no such verb";
}

/* What the socket takes at once: false where the connection is of no more use. */
static bool send_answer(struct connection *connection)
{
	while (connection->answer_sent < connection->answer_length) {
		ssize_t n = send(connection->fd, connection->answer + connection->answer_sent,
				 connection->answer_length - connection->answer_sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		connection->answer_sent += n;
	}
	free(TAKE_PTR(connection->answer));
	return true;
}

/* Answers a request: false where the connection is of no more use. */
static bool answer_line(struct connection *connection, const char *line)
{
	cJSON *request = cJSON_Parse(line), *answer = cJSON_CreateObject();
	const char *error = run_verb(connection->control, request, answer);

	cJSON_AddBoolToObject(answer, "ok", !error);
	if (error)
		cJSON_AddStringToObject(answer, "error", error);
	connection->answer = cJSON_PrintUnformatted(answer);
	cJSON_Delete(request);
	cJSON_Delete(answer);
	if (!connection->answer)
		return false;
	connection->answer_length = strlen(connection->answer);
	connection->answer[connection->answer_length++] = '\n'; /* where the NUL stood */
	connection->answer_sent = 0;
	return send_answer(connection);
}

/*
 * Answers the lines that are whole, one after the other is taken: false where the connection is
 * of no more use.
 */
static bool answer_lines(struct connection *connection)
{
	char *begin = connection->line, *newline;

	while (!connection->answer &&
	       (newline = memchr(begin, '\n',
				 connection->line + connection->length - begin))) {
		*newline = '\0';
		if (!answer_line(connection, begin))
			return false;
		begin = newline + 1;
	}
	connection->length -= begin - connection->line;
	memmove(connection->line, begin, connection->length);
	return connection->answer || connection->length < sizeof(connection->line);
}

static void close_connection(struct control *control, const struct connection *connection)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (control->connections[i] == connection)
			connection_free(TAKE_PTR(control->connections[i]));
}

static bool receive(struct connection *connection)
{
	ssize_t n = recv(connection->fd, connection->line + connection->length,
			 sizeof(connection->line) - connection->length, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	connection->length += n;
	return n > 0;
}

/* Who does not take an answer is asked for no further request. */
static int on_connection(sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
			 void *data)
{
	struct connection *connection = data;

	if (!(connection->answer ? send_answer(connection) : receive(connection)) ||
	    !answer_lines(connection)) {
		close_connection(connection->control, connection);
		return 0;
	}
	return sd_event_source_set_io_events(source, connection->answer ? EPOLLOUT : EPOLLIN);
}

static int on_listening(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
			void *data)
{
	struct control *control = data;
	_cleanup_(connection_freep) struct connection *connection =
		calloc(1, sizeof(*connection));

	if (!connection)
		return 0;
	connection->control = control;
	connection->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (connection->fd < 0 ||
	    sd_event_add_io(control->loop, &connection->source, connection->fd, EPOLLIN,
			    on_connection, connection) < 0)
		return 0;
	connection_free(control->connections[control->next]);
	control->connections[control->next] = TAKE_PTR(connection);
	control->next = (control->next + 1) % CONNECTIONS_MAX;
	return 0;
}

/* Whether a process listens there. What one left behind that was killed, nobody listens to. */
static bool is_listened_to(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	       errno == EAGAIN;
}

static int listen_in(struct control *control, const char *directory)
{
	struct sockaddr_un address;

	control->directory = open_directory(directory);
	if (control->directory < 0)
		return control->directory;
	address = address_in(control->directory, control->name);
	if (is_listened_to(&address))
		return -EADDRINUSE;
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd < 0)
		return -errno;
	if (unlinkat(control->directory, control->name, 0) < 0 && errno != ENOENT)
		return -errno;
	if (bind(control->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fchmodat(control->directory, control->name, 0660, 0) < 0 ||
	    listen(control->fd, CONNECTIONS_MAX) < 0)
		return -errno;
	return sd_event_add_io(control->loop, &control->source, control->fd, EPOLLIN,
			       on_listening, control);
}

int control_new(sd_event *loop, const char *directory, const char *name,
		const struct control_verb *verbs, void *data, struct control **result)
{
	_cleanup_(control_freep) struct control *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return -ENOMEM;
	control->directory = control->fd = -1;
	control->loop = sd_event_ref(loop);
	control->verbs = verbs;
	control->data = data;
	control->name = strdup(name);
	if (!control->name)
		return -ENOMEM;
	r = listen_in(control, directory);
	if (r < 0)
		return r;
	*result = TAKE_PTR(control);
	return 0;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		connection_free(control->connections[i]);
	if (control->source)
		unlinkat(control->directory, control->name, 0);
	sd_event_source_disable_unref(control->source);
	closep(&control->fd);
	closep(&control->directory);
	sd_event_unref(control->loop);
	free(control->name);
	free(control);
}

/* --- the other side --- */

int control_connect(const char *directory, const char *name)
{
	const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
	_cleanup_close_ int in = open_directory(directory), fd = -1;
	struct sockaddr_un address;

	if (in < 0)
		return in;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	address = address_in(in, name);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int control_send(int fd, const cJSON *request)
{
	char line[REQUEST_MAX_BYTES];
	size_t n;

	if (!cJSON_PrintPreallocated((cJSON *)request, line, sizeof(line) - 1, false))
		return -EMSGSIZE;
	n = strlen(line);
	line[n++] = '\n';
	return send(fd, line, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -errno;
}

static int make_room(struct control_line *line)
{
	size_t room = line->room ? line->room * 2 : REQUEST_MAX_BYTES;
	char *more = room <= ANSWER_MAX_BYTES ? realloc(line->bytes, room) : NULL;

	if (!more)
		return -ENOMEM;
	line->bytes = more;
	line->room = room;
	return 0;
}

/* Adds what comes next to the line. 0; -EAGAIN: nothing did; or -errno. */
static int receive_more(int fd, struct control_line *line)
{
	ssize_t n;

	if (line->length + 1 >= line->room && make_room(line) < 0)
		return -ENOMEM;
	do {
		n = recv(fd, line->bytes + line->length, line->room - line->length - 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -EPROTO;
	line->length += n;
	return 0;
}

int control_receive(int fd, struct control_line *line, cJSON **answer)
{
	do {
		int r = receive_more(fd, line);

		if (r < 0)
			return r;
	} while (line->bytes[line->length - 1] != '\n');
	line->bytes[line->length] = '\0';
	line->length = 0;
	*answer = cJSON_Parse(line->bytes);
	return *answer ? 0 : -EPROTO;
}

void control_line_done(struct control_line *line)
{
	free(line->bytes);
	*line = (struct control_line){ 0 };
}

int control_ask(int fd, const cJSON *request, cJSON **answer)
{
	_cleanup_(control_line_done) struct control_line line = { 0 };
	int r = control_send(fd, request);

	if (r == 0)
		r = control_receive(fd, &line, answer);
	return r == -EAGAIN ? -ETIMEDOUT : r;
}
