/* SPDX-License-Identifier: Apache-2.0 */
/* discoverer.h - tells Home Assistant what there is to read, and of each thing once. */
#pragma once

#include "bridge/catalog.h"
#include "uplink/spool.h"

/*
 * What is to be told goes through the spool, retained. What was told is known across restarts
 * (told.h): only what is new or another is told, and what is gone is taken back.
 */
struct discoverer;

/* Keeps its file in `directory`. The spool must outlive it. 0 or -ENOMEM. */
int discoverer_new(struct spool *spool, const char *directory,
		   struct discoverer **discoverer) _must_check_;
void discoverer_free(struct discoverer *discoverer);
DEFINE_CLEANUP(struct discoverer *, discoverer_free)

/* This is what there is from now on; takes the catalog over. */
void discoverer_offer(struct discoverer *discoverer, struct catalog *catalog);

/* Whether anything was offered yet. */
bool discoverer_is_ready(const struct discoverer *discoverer);

/* Tells all of it again, to one who may have forgotten, unless all of it is on its way. */
void discoverer_repeat(struct discoverer *discoverer);

/*
 * Puts some of what is to be told into the spool, at most as much as does not keep others
 * waiting; true when there is more to do at once.
 */
bool discoverer_turn(struct discoverer *discoverer, uint64_t now_us);
