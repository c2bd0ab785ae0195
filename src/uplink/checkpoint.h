/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.h - the ledger as it stands in a record. */
#pragma once

#include "uplink/ledger.h"

#include <stddef.h>

/* Room that the checkpoint takes, and the checkpoint itself. */
size_t checkpoint_size(const struct ledger *ledger);
void checkpoint_encode(const struct ledger *ledger, uint8_t *bytes);

/*
 * Replaces the ledger. 0, -EBADMSG (also where its sum does not hold; the ledger is as
 * before) or -ENOMEM.
 */
int checkpoint_decode(struct ledger *ledger, const uint8_t *bytes, size_t n) _must_check_;
