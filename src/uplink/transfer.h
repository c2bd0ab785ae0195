/* SPDX-License-Identifier: Apache-2.0 */
/* transfer.h - the bytes of a link: all that came is read, what goes out leaves together. */
#pragma once

#include "base/cleanup.h"

#include <stdint.h>

struct mosquitto;

/*
 * Reads what has come, packet by packet, and has the library deal with it: its callbacks are
 * called, and what it answers is queued. A MOSQ_ERR code.
 */
int transfer_read(struct mosquitto *client);
/* Writes what is queued, as far as the socket takes it. A MOSQ_ERR code. */
int transfer_write(struct mosquitto *client);

/*
 * Sends PUBREL past the library's queue, which must be empty: for a message that the library
 * knows nothing of. 0 or -EIO.
 */
int transfer_pubrel(struct mosquitto *client, uint16_t mid) _must_check_;
