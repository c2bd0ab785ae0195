/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discoverer.c - tells Home Assistant what there is to read, and of each thing once.
 *
 * A round compares the catalog with what was told before:
 *
 *     the same payload ─▶ nothing    another or a new one ─▶ told    gone ─▶ taken back
 *
 * What is about to be told or taken back is kept first, without a hash, so that none of it is
 * forgotten where the process ends in between. That messages are not lost on their way is the
 * spool's business; where it gave some up until the last of them was finished, all is told
 * again.
 */
#include "uplink/discoverer.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "bridge/discovery.h"
#include "uplink/told.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

enum {
	/* So many entities are looked at in a turn. */
	ENTITIES_A_TURN = 32,
	/* Where the spool takes no more, it is asked again after this time. */
	AGAIN_US = 60 * 1000 * 1000,
	/* Of what is on its way; no payload has it, as far as one can tell. */
	HASH_NONE = 0,
};

enum phase {
	PHASE_IDLE,
	PHASE_LOOKING, /* through the catalog: what is there */
	PHASE_TELLING, /* through it again: what is new of that, or another */
	PHASE_TAKING_BACK,
};

struct discoverer {
	struct spool *spool;
	char *directory;
	struct catalog *catalog; /* NULL: nothing was offered yet */
	struct pending pending;  /* as in the file, … */
	size_t told_count;       /* … which has so many entities */

	/* the round */
	enum phase phase;
	bool all; /* also what is the same as before */
	struct pending next; /* what will be pending */
	struct told before, now;
	struct discovery_walk walk;
	size_t next_gone;
	uint64_t again_us; /* goes on not before */
};

static uint64_t given_up(const struct discoverer *discoverer)
{
	struct spool_sums sums = spool_sums(discoverer->spool);

	return sums.dropped + sums.damaged;
}

static bool is_pending(const struct discoverer *discoverer)
{
	uint64_t oldest, next;

	spool_range(discoverer->spool, &oldest, &next);
	return discoverer->pending.seq && oldest <= discoverer->pending.seq;
}

/* --- a round --- */

static void end_round(struct discoverer *discoverer)
{
	discoverer->told_count = discoverer->now.count;
	told_done(&discoverer->before);
	told_done(&discoverer->now);
	discoverer->phase = PHASE_IDLE;
}

static void begin_round(struct discoverer *discoverer, bool all)
{
	int r;

	end_round(discoverer);
	r = told_load(discoverer->directory, &discoverer->before);
	if (r < 0)
		log_warning("discovery: %s/discovery: %s; telling all", discoverer->directory,
			    strerror(-r));
	discoverer->pending = discoverer->before.pending;
	discoverer->phase = PHASE_LOOKING;
	discoverer->all = all;
	discoverer->walk = (struct discovery_walk){ 0 };
	discoverer->next_gone = 0;
	discoverer->again_us = 0;
}

static void keep(struct discoverer *discoverer, struct told *told)
{
	int r;

	told->pending = discoverer->pending;
	r = told_save(discoverer->directory, told);
	if (r < 0)
		log_warning("discovery: %s/discovery: %s; it may be told all again after the "
			    "next start", discoverer->directory, strerror(-r));
}

static bool is_news(const struct discoverer *discoverer, const struct told_entry *entry)
{
	const struct told_entry *known = told_find(&discoverer->before, entry->topic);

	return discoverer->all || !known || known->hash != entry->hash;
}

/*
 * All is known that is there: keeps that, and what is gone, the news without a hash. 0: there
 * are no news; 1; -ENOMEM.
 */
static int keep_intent(struct discoverer *discoverer)
{
	_cleanup_(told_done) struct told intent = { 0 };
	size_t news = 0;
	int r = 0;

	told_sort(&discoverer->now);
	for (size_t i = 0; i < discoverer->now.count && r == 0; i++) {
		const struct told_entry *entry = &discoverer->now.entries[i];
		bool new = is_news(discoverer, entry);

		news += new;
		r = told_add(&intent, entry->topic, new ? HASH_NONE : entry->hash);
	}
	for (size_t i = 0; i < discoverer->before.count && r == 0; i++) {
		const char *topic = discoverer->before.entries[i].topic;

		if (told_find(&discoverer->now, topic))
			continue;
		news++;
		r = told_add(&intent, topic, HASH_NONE);
	}
	if (r == 0 && news)
		keep(discoverer, &intent);
	return r < 0 ? r : news > 0;
}

/* 0 or -errno. Without a payload what the topic says is taken back. */
static int tell(struct discoverer *discoverer, const char *topic, const struct text *payload)
{
	struct message message = {
		.qos = 1, .retain = true, .form = FORM_BARE,
		.topic = topic, .topic_length = strlen(topic),
		.body = payload ? payload->data : "",
		.body_length = payload ? payload->length : 0,
	};
	int r;

	clock_stamp(&message);
	r = spool_append(discoverer->spool, &message);
	if (r < 0)
		return r;
	discoverer->next.seq = message.seq;
	discoverer->next.count += payload != NULL;
	return 0;
}

/* Looks at an entity, or tells it. 1: go on with the next; 0: that was the last; -errno. */
static int next_entity(struct discoverer *discoverer)
{
	struct discovery_walk walk = discoverer->walk;
	char bytes[DISCOVERY_PAYLOAD_MAX], topic_bytes[TOPIC_MAX + 1];
	struct text payload = { .data = bytes, .size = sizeof(bytes) };
	struct text topic = { .data = topic_bytes, .size = sizeof(topic_bytes) };
	struct told_entry entry = { .topic = topic_bytes };
	int r = 0;

	topic_bytes[0] = bytes[0] = '\0';
	if (!discovery_next(discoverer->catalog, &walk, &topic, &payload))
		return 0;
	entry.hash = XXH3_64bits(payload.data, payload.length);
	if (topic.full || payload.full)
		log_warning("discovery: %s: too long to be told", topic.data);
	else if (discoverer->phase == PHASE_LOOKING)
		r = told_add(&discoverer->now, entry.topic, entry.hash);
	else if (is_news(discoverer, &entry))
		r = tell(discoverer, entry.topic, &payload);
	if (r < 0)
		return r;
	discoverer->walk = walk;
	return 1;
}

/* The same of those that are gone. */
static int next_gone(struct discoverer *discoverer)
{
	const char *topic;
	int r = 0;

	if (discoverer->next_gone == discoverer->before.count)
		return 0;
	topic = discoverer->before.entries[discoverer->next_gone].topic;
	if (!told_find(&discoverer->now, topic))
		r = tell(discoverer, topic, NULL);
	if (r < 0)
		return r;
	discoverer->next_gone++;
	return 1;
}

static void finish_round(struct discoverer *discoverer)
{
	discoverer->pending = discoverer->next;
	keep(discoverer, &discoverer->now);
	log_info("discovery: told what is new of %zu entities", discoverer->now.count);
	end_round(discoverer);
}

/* The phase is over. 0 or -errno. */
static int next_phase(struct discoverer *discoverer)
{
	int r;

	switch (discoverer->phase) {
	case PHASE_LOOKING:
		r = keep_intent(discoverer);
		if (r < 0)
			return r;
		discoverer->walk = (struct discovery_walk){ 0 };
		discoverer->phase = PHASE_TELLING;
		discoverer->next = (struct pending){ .given_up = given_up(discoverer) };
		if (r == 0)
			end_round(discoverer);
		return 0;
	case PHASE_TELLING:
		discoverer->phase = PHASE_TAKING_BACK;
		return 0;
	case PHASE_TAKING_BACK:
		finish_round(discoverer);
		return 0;
	case PHASE_IDLE:
		break;
	}
	return 0;
}

static bool go_on(struct discoverer *discoverer, uint64_t now_us)
{
	for (unsigned i = 0; i < ENTITIES_A_TURN && discoverer->phase != PHASE_IDLE; i++) {
		int r = discoverer->phase == PHASE_TAKING_BACK ? next_gone(discoverer)
							       : next_entity(discoverer);

		if (r == 0)
			r = next_phase(discoverer);
		if (r < 0) {
			discoverer->again_us = now_us + AGAIN_US;
			return false;
		}
	}
	return discoverer->phase != PHASE_IDLE;
}

/* --- afterwards --- */

/* All that was told has left the spool: for the broker, if none was given up meanwhile. */
static void settle(struct discoverer *discoverer)
{
	_cleanup_(told_done) struct told told = { 0 };
	int r;

	if (given_up(discoverer) != discoverer->pending.given_up) {
		log_notice("discovery: messages were given up meanwhile, telling all again");
		begin_round(discoverer, true);
		return;
	}
	discoverer->pending.seq = 0;
	r = told_load(discoverer->directory, &told);
	if (r == 0)
		keep(discoverer, &told);
}

bool discoverer_turn(struct discoverer *discoverer, uint64_t now_us)
{
	if (discoverer->phase != PHASE_IDLE)
		return now_us >= discoverer->again_us && go_on(discoverer, now_us);
	if (discoverer->pending.seq && !is_pending(discoverer))
		settle(discoverer);
	return discoverer->phase != PHASE_IDLE;
}

void discoverer_offer(struct discoverer *discoverer, struct catalog *catalog)
{
	catalog_free(discoverer->catalog);
	discoverer->catalog = catalog;
	begin_round(discoverer, false);
}

bool discoverer_is_ready(const struct discoverer *discoverer)
{
	return discoverer->catalog;
}

/* It waits in the spool, or a round tells it. */
static bool all_is_on_its_way(const struct discoverer *discoverer)
{
	size_t known = discoverer->told_count;

	if (discoverer->phase != PHASE_IDLE)
		known = discoverer->before.count;
	if (discoverer->phase != PHASE_IDLE && (discoverer->all || !known))
		return true;
	return is_pending(discoverer) && discoverer->pending.count == known;
}

void discoverer_repeat(struct discoverer *discoverer)
{
	if (discoverer->catalog && !all_is_on_its_way(discoverer))
		begin_round(discoverer, true);
}

int discoverer_new(struct spool *spool, const char *directory, struct discoverer **result)
{
	struct discoverer *discoverer = calloc(1, sizeof(*discoverer));

	if (!discoverer)
		return -ENOMEM;
	discoverer->spool = spool;
	discoverer->directory = strdup(directory);
	if (!discoverer->directory) {
		free(discoverer);
		return -ENOMEM;
	}
	*result = discoverer;
	return 0;
}

void discoverer_free(struct discoverer *discoverer)
{
	if (!discoverer)
		return;
	end_round(discoverer);
	catalog_free(discoverer->catalog);
	free(discoverer->directory);
	free(discoverer);
}
