/* SPDX-License-Identifier: Apache-2.0 */
/* spool_work.h - what tests put into a spool, and can tell again when it comes out. */
#pragma once

#include "uplink/spool.h"

/* Makes a directory of its own below `where`; its path, to be freed. Removes one with all. */
char *work_directory(const char *where);
void work_remove(const char *path);

/*
 * Appends a message whose body tells its number and length; at least 40 bytes. As
 * spool_append(); *seq is its number.
 */
int work_append(struct spool *spool, uint32_t length, uint8_t qos, uint64_t *seq) _must_check_;
/* Whether it is one of them, with all its bytes. */
bool work_is_whole(const struct message *message);

/*
 * Sends what comes next, as a flight under the next identifier, or, with QoS 0, as finished;
 * false: nothing comes.
 */
bool work_send_next(struct spool *spool, struct flight *flight);

/*
 * Visits all that waits: what is in flight, and what spool_next() gives. How many those are,
 * which is what the spool says wait. Its ledger agrees, and what is not whole is damaged.
 */
uint64_t work_find_all(struct spool *spool, void (*visit)(void *data, uint64_t seq),
		       void *data);
