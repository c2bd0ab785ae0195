/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - serves metrics over HTTP, on libmicrohttpd. */
#include "metrics/server.h"
#include "config/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#ifdef HAVE_MICROHTTPD
#include <dlfcn.h>
#include <microhttpd.h>

/*
 * The library brings others with it, 2.5 MB of memory in all, and hardly anybody is served: it
 * is loaded where somebody is.
 */
static const char library_name[] = "libmicrohttpd.so.12";

static struct library {
	__typeof__(MHD_start_daemon) *start_daemon;
	__typeof__(MHD_stop_daemon) *stop_daemon;
	__typeof__(MHD_lookup_connection_value) *lookup_connection_value;
	__typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
	__typeof__(MHD_add_response_header) *add_response_header;
	__typeof__(MHD_queue_response) *queue_response;
	__typeof__(MHD_destroy_response) *destroy_response;
} mhd;

enum {
	CONNECTIONS_MAX = 8,
	/* A connection on which nothing happens is closed. */
	TIMEOUT_S = 30,
};

struct server {
	struct MHD_Daemon *daemon;
	server_page *page;
	void *data;
	char *path; /* of the socket's file; NULL: it is a port */
};

/* Once, and for good. 0 or -ELIBACC. */
static int load_library(void)
{
	const struct {
		const char *name;
		void *at; /* a pointer to a function of that name */
	} functions[] = {
		{ "MHD_start_daemon", &mhd.start_daemon },
		{ "MHD_stop_daemon", &mhd.stop_daemon },
		{ "MHD_lookup_connection_value", &mhd.lookup_connection_value },
		{ "MHD_create_response_from_buffer", &mhd.create_response_from_buffer },
		{ "MHD_add_response_header", &mhd.add_response_header },
		{ "MHD_queue_response", &mhd.queue_response },
		{ "MHD_destroy_response", &mhd.destroy_response },
	};
	void *library;

	if (mhd.start_daemon)
		return 0;
	library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	for (size_t i = ARRAY_SIZE(functions); library && i > 0; i--) {
		void *function = dlsym(library, functions[i - 1].name);

		if (!function)
			return -ELIBACC;
		memcpy(functions[i - 1].at, &function, sizeof(function));
	}
	return library ? 0 : -ELIBACC;
}

/* --- requests --- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status,
			      const char *type, size_t length, char *text,
			      enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = mhd.create_response_from_buffer(length, text, mode);
	enum MHD_Result result;

	if (!response) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	mhd.add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	result = mhd.queue_response(connection, status, response);
	mhd.destroy_response(response);
	return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status,
			      const char *text)
{
	return answer(connection, status, "text/plain; charset=utf-8", strlen(text),
		      (char *)text, MHD_RESPMEM_PERSISTENT);
}

static enum exposition wanted_form(struct MHD_Connection *connection)
{
	const char *accept = mhd.lookup_connection_value(connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_ACCEPT);

	return accept && strstr(accept, "application/openmetrics-text")
		       ? EXPOSITION_OPENMETRICS
		       : EXPOSITION_PROMETHEUS;
}

/* Called twice: when the head has come, and when all of the request has. */
static enum MHD_Result on_request(void *data, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  _unused_ const char *version,
				  _unused_ const char *upload, size_t *upload_length,
				  void **seen)
{
	static int marker;
	const struct server *server = data;
	enum exposition form = wanted_form(connection);
	size_t length = 0;
	char *text;

	if (!*seen) {
		*seen = &marker;
		return MHD_YES;
	}
	if (*upload_length) {
		*upload_length = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET it\n");
	if (strcmp(url, "/metrics"))
		return refuse(connection, MHD_HTTP_NOT_FOUND, "there is /metrics\n");
	text = server->page(server->data, form, &length);
	if (!text)
		return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "not just now\n");
	return answer(connection, MHD_HTTP_OK, exposition_media_type(form), length, text,
		      MHD_RESPMEM_MUST_FREE);
}

/* --- the socket --- */

static bool is_served(const struct sockaddr_storage *address, socklen_t length)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && (connect(fd, (const struct sockaddr *)address, length) == 0 ||
			   errno == EAGAIN);
}

/* A socket's file that was left behind is in the way of a new one. */
static int make_way(const struct sockaddr_storage *address, socklen_t length)
{
	const char *path = ((const struct sockaddr_un *)address)->sun_path;
	struct stat status;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	if (is_served(address, length))
		return -EADDRINUSE;
	return unlink(path) < 0 ? -errno : 0;
}

/* A descriptor that listens, or -errno. */
static int open_socket(const struct sockaddr_storage *address, socklen_t length)
{
	_cleanup_close_ int fd = socket(address->ss_family,
					SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool is_path = address->ss_family == AF_UNIX;
	int r = 0, on = 1;

	if (fd < 0)
		return -errno;
	if (is_path)
		r = make_way(address, length);
	else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		r = -errno;
	if (r < 0)
		return r;
	if (bind(fd, (const struct sockaddr *)address, length) < 0)
		return -errno;
	if (is_path && chmod(((const struct sockaddr_un *)address)->sun_path, 0660) < 0)
		return -errno;
	if (listen(fd, CONNECTIONS_MAX) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int server_new(const char *listen, server_page *page, void *data, struct server **result)
{
	_cleanup_(server_freep) struct server *server = calloc(1, sizeof(*server));
	struct sockaddr_storage address;
	socklen_t length;
	int fd, r;

	if (!server)
		return -ENOMEM;
	r = load_library();
	if (r < 0)
		return r;
	if (listen_parse(listen, &address, &length))
		return -EINVAL;
	server->page = page;
	server->data = data;
	fd = open_socket(&address, length);
	if (fd < 0)
		return fd;
	if (address.ss_family == AF_UNIX)
		server->path = strdup(listen);
	server->daemon = mhd.start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, server,
		MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_END);
	if (!server->daemon) {
		close(fd);
		return -EIO;
	}
	*result = TAKE_PTR(server);
	return 0;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	if (server->daemon)
		mhd.stop_daemon(server->daemon);
	if (server->path)
		unlink(server->path);
	free(server->path);
	free(server);
}

#else

int server_new(_unused_ const char *listen, _unused_ server_page *page, _unused_ void *data,
	       _unused_ struct server **server)
{
	return -ENOTSUP;
}

void server_free(_unused_ struct server *server)
{
}

#endif
