/* SPDX-License-Identifier: Apache-2.0 */
/* reader.c - reads a configuration on a thread of its own: the disk is not waited for. */
#include "reader.h"
#include "field/driver.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

/* What the thread works on. Who leaves it last, thread or reader, frees it. */
struct errand {
	atomic_int owners;
	int finished; /* eventfd */
	char *file;
	struct config *config;
	struct faults *faults;
	int result;
};

struct reader {
	reader_done *done;
	void *data;
	sd_event_source *finished;
	struct errand *errand;
};

static void errand_leave(struct errand *errand)
{
	if (!errand || atomic_fetch_sub(&errand->owners, 1) > 1)
		return;
	config_free(errand->config);
	faults_free(errand->faults);
	closep(&errand->finished);
	free(errand->file);
	free(errand);
}
DEFINE_CLEANUP(struct errand *, errand_leave)

static void *run_errand(void *data)
{
	struct errand *errand = data;

	errand->result = config_load(errand->file, driver_names(), &errand->config,
				     errand->faults);
	(void)!eventfd_write(errand->finished, 1);
	errand_leave(errand);
	return NULL;
}

static int on_finished(sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
		       void *data)
{
	struct reader *reader = data;
	_cleanup_(errand_leavep) struct errand *errand = TAKE_PTR(reader->errand);
	eventfd_t count;

	(void)!eventfd_read(errand->finished, &count);
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	reader->done(reader->data, TAKE_PTR(errand->config), errand->faults,
		     errand->result);
	return 0;
}

static struct errand *new_errand(const char *file)
{
	_cleanup_(errand_leavep) struct errand *errand = calloc(1, sizeof(*errand));

	if (!errand)
		return NULL;
	errand->owners = 1;
	errand->finished = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	errand->file = strdup(file);
	errand->faults = faults_new();
	if (errand->finished < 0 || !errand->file || !errand->faults)
		return NULL;
	return TAKE_PTR(errand);
}

int reader_new(sd_event *loop, const char *file, reader_done *done, void *data,
	       struct reader **result)
{
	_cleanup_(reader_freep) struct reader *reader = calloc(1, sizeof(*reader));
	pthread_t thread;
	int r;

	if (!reader)
		return -ENOMEM;
	reader->done = done;
	reader->data = data;
	reader->errand = new_errand(file);
	if (!reader->errand)
		return -ENOMEM;
	r = sd_event_add_io(loop, &reader->finished, reader->errand->finished, EPOLLIN,
			    on_finished, reader);
	if (r < 0)
		return r;
	reader->errand->owners = 2;
	r = pthread_create(&thread, NULL, run_errand, reader->errand);
	if (r) {
		reader->errand->owners = 1;
		return -r;
	}
	pthread_detach(thread);
	*result = TAKE_PTR(reader);
	return 0;
}

void reader_free(struct reader *reader)
{
	if (!reader)
		return;
	sd_event_source_disable_unref(reader->finished);
	errand_leave(reader->errand);
	free(reader);
}
