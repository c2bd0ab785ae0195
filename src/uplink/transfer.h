/* SPDX-License-Identifier: Apache-2.0 */
/* transfer.h - the bytes of a link: all that came is read, what goes out leaves together. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

struct mosquitto;

/*
 * Reads what has come, packet by packet, and has the library deal with it: its callbacks are
 * called, and what it answers is queued. With `parts` it leaves a PUBREC where it is when what
 * came before has something queued already, for PUBREL is to wait for a sync, and that may not
 * have to. A MOSQ_ERR code.
 */
int transfer_read(struct mosquitto *client, bool parts);
/* Writes what is queued, as far as the socket takes it. A MOSQ_ERR code. */
int transfer_write(struct mosquitto *client);

/*
 * Sends PUBREL past the library's queue, which must be empty: for a message that the library
 * knows nothing of. 0 or -EIO.
 */
int transfer_pubrel(struct mosquitto *client, uint16_t mid) _must_check_;
