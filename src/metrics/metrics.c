/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - a gateway's figures for Prometheus: in a file, or served to who asks. */
#include "metrics/metrics.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "metrics/exposition.h"
#include "metrics/server.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

struct metrics {
	const struct metrics_conf *conf;
	const struct report_subject *subject;
	uint64_t begun_us;
	int event; /* somebody asks */
	sd_event_source *source;
	struct server *server; /* NULL: nobody is served */
	bool has_thread;
	pthread_t thread; /* of the file */
	int trouble;      /* errno of the file, told once */

	pthread_mutex_t asking; /* one at a time asks */
	pthread_mutex_t lock;   /* of what follows, … */
	pthread_cond_t changed; /* … told when one of it changes */
	bool stopping;
	struct figures *answer;
};

/* --- figures, from one thread to the other --- */

/* The field side's loop. Without memory nobody gets an answer, and asks again. */
static int on_asked(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		    void *data)
{
	struct metrics *metrics = data;
	struct figures *figures = NULL;
	eventfd_t count;

	(void)!eventfd_read(fd, &count);
	if (figures_take(metrics->subject, metrics->begun_us, &figures) < 0)
		return 0;
	pthread_mutex_lock(&metrics->lock);
	figures_free(metrics->answer);
	metrics->answer = figures;
	pthread_cond_broadcast(&metrics->changed);
	pthread_mutex_unlock(&metrics->lock);
	return 0;
}

static struct timespec in_future(uint64_t usec)
{
	uint64_t then_us = clock_monotonic_us() + usec;

	return (struct timespec){ .tv_sec = then_us / USEC_PER_SEC,
				  .tv_nsec = then_us % USEC_PER_SEC * 1000 };
}

/* Any thread but the loop's. NULL: the gateway stops, or is too busy. */
static struct figures *ask(struct metrics *metrics)
{
	struct timespec end = in_future(5 * USEC_PER_SEC);
	struct figures *figures;
	int r = 0;

	pthread_mutex_lock(&metrics->asking);
	pthread_mutex_lock(&metrics->lock);
	figures_free(TAKE_PTR(metrics->answer));
	if (!metrics->stopping)
		(void)!eventfd_write(metrics->event, 1);
	while (!metrics->answer && !metrics->stopping && r == 0)
		r = pthread_cond_timedwait(&metrics->changed, &metrics->lock, &end);
	figures = TAKE_PTR(metrics->answer);
	pthread_mutex_unlock(&metrics->lock);
	pthread_mutex_unlock(&metrics->asking);
	return figures;
}

static char *serve(void *data, enum exposition form, size_t *length)
{
	_cleanup_(figures_freep) struct figures *figures = ask(data);
	char *text = NULL;
	FILE *out;

	if (!figures)
		return NULL;
	out = open_memstream(&text, length);
	if (!out)
		return NULL;
	exposition_write(figures, form, out);
	if (fclose(out) == EOF) {
		free(text);
		return NULL;
	}
	return text;
}

/* --- the file --- */

/* It has no sync: after a power cut another one is written soon. Others are to read it. */
static int write_text(const char *path, const struct figures *figures)
{
	_cleanup_fclose_ FILE *out = NULL;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	out = fdopen(fd, "w");
	if (!out) {
		close(fd);
		return -ENOMEM;
	}
	if (fchmod(fd, 0644) < 0)
		return -errno;
	exposition_write(figures, EXPOSITION_PROMETHEUS, out);
	return fflush(out) == EOF ? -errno : 0;
}

/* node_exporter reads *.prom, which the name of what is not whole yet does not end with. */
static int write_file(struct metrics *metrics)
{
	_cleanup_(figures_freep) struct figures *figures = ask(metrics);
	_cleanup_free_ char *new = NULL;
	int r;

	if (!figures)
		return -EBUSY;
	if (asprintf(&new, "%s.new", metrics->conf->file) < 0)
		return -ENOMEM;
	r = write_text(new, figures);
	if (r == 0 && rename(new, metrics->conf->file) < 0)
		r = -errno;
	if (r < 0)
		(void)!unlink(new);
	return r;
}

static void note_trouble(struct metrics *metrics, int trouble)
{
	if (trouble && trouble != metrics->trouble)
		log_warning("metrics: %s: %s", metrics->conf->file, strerror(trouble));
	else if (!trouble && metrics->trouble)
		log_notice("metrics: %s: is written again", metrics->conf->file);
	metrics->trouble = trouble;
}

/* False: the gateway stops. */
static bool wait_a_while(struct metrics *metrics)
{
	struct timespec end = in_future(metrics->conf->every_us);
	bool stopping;
	int r = 0;

	pthread_mutex_lock(&metrics->lock);
	while (!metrics->stopping && r == 0)
		r = pthread_cond_timedwait(&metrics->changed, &metrics->lock, &end);
	stopping = metrics->stopping;
	pthread_mutex_unlock(&metrics->lock);
	return !stopping;
}

static void *file_thread(void *data)
{
	struct metrics *metrics = data;

	do {
		int r = write_file(metrics);

		if (r != -EBUSY)
			note_trouble(metrics, -r);
	} while (wait_a_while(metrics));
	(void)!unlink(metrics->conf->file);
	return NULL;
}

/* --- life --- */

static int start(struct metrics *metrics)
{
	int r = 0;

	if (metrics->conf->listen)
		r = server_new(metrics->conf->listen, serve, metrics, &metrics->server);
	if (r < 0)
		log_warning("metrics: nobody is served at %s: %s", metrics->conf->listen,
			    strerror(-r));
	if (!metrics->conf->file)
		return 0;
	r = pthread_create(&metrics->thread, NULL, file_thread, metrics);
	metrics->has_thread = r == 0;
	return -r;
}

int metrics_new(sd_event *loop, const struct metrics_conf *conf,
		const struct report_subject *subject, struct metrics **result)
{
	_cleanup_(metrics_freep) struct metrics *metrics = calloc(1, sizeof(*metrics));
	pthread_condattr_t monotonic;
	int r;

	if (!metrics)
		return -ENOMEM;
	metrics->conf = conf;
	metrics->subject = subject;
	metrics->begun_us = clock_monotonic_us();
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&metrics->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&metrics->lock, NULL);
	pthread_mutex_init(&metrics->asking, NULL);
	metrics->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (metrics->event < 0)
		return -errno;
	r = sd_event_add_io(loop, &metrics->source, metrics->event, EPOLLIN, on_asked, metrics);
	if (r >= 0)
		r = start(metrics);
	if (r < 0)
		return r;
	*result = TAKE_PTR(metrics);
	return 0;
}

void metrics_free(struct metrics *metrics)
{
	if (!metrics)
		return;
	pthread_mutex_lock(&metrics->lock);
	metrics->stopping = true;
	pthread_cond_broadcast(&metrics->changed);
	pthread_mutex_unlock(&metrics->lock);
	server_free(metrics->server);
	if (metrics->has_thread)
		pthread_join(metrics->thread, NULL);
	sd_event_source_disable_unref(metrics->source);
	closep(&metrics->event);
	figures_free(metrics->answer);
	pthread_cond_destroy(&metrics->changed);
	pthread_mutex_destroy(&metrics->lock);
	pthread_mutex_destroy(&metrics->asking);
	free(metrics);
}
