/* SPDX-License-Identifier: Apache-2.0 */
/* reader.h - reads a configuration on a thread of its own: the disk is not waited for. */
#pragma once

#include "config/config.h"

#include <systemd/sd-event.h>

struct reader;

/*
 * Given what was read: the configuration, which is the receiver's, or NULL and what is
 * wrong: faults, or where there are none, -errno. The reader may be freed from in there.
 */
typedef void reader_done(void *data, struct config *config, const struct faults *faults,
			 int error);

/* Reads it while the loop runs. 0 or -errno. */
int reader_new(sd_event *loop, const char *file, reader_done *done, void *data,
	       struct reader **reader) _must_check_;
/* What is still read goes nowhere then. */
void reader_free(struct reader *reader);
DEFINE_CLEANUP(struct reader *, reader_free)
