/* SPDX-License-Identifier: Apache-2.0 */
/* replay.h - brings the ledger up to the records that are read back. */
#pragma once

#include "uplink/ledger.h"
#include "uplink/segment.h"

/* 0, -EBADMSG (the record says nothing that could be; the ledger is as before) or -ENOMEM. */
int replay_record(struct ledger *ledger, const struct record *record) _must_check_;

/* A segment begins with that number: those before it were given out, as far as that can be. */
void replay_first_seq(struct ledger *ledger, uint64_t seq);
