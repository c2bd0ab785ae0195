/* SPDX-License-Identifier: Apache-2.0 */
/* herald.c - when Home Assistant is told: of what is offered, and again where it has to be. */
#include "uplink/herald.h"
#include "uplink/discoverer.h"
#include "uplink/subscriptions.h"

#include <errno.h>
#include <string.h>

struct herald {
	struct session *session;
	struct discoverer *discoverer;
	char *birth_topic;   /* that is subscribed to; NULL: none is */
	uint64_t links_seen; /* of the session */
};

/* Home Assistant has begun anew. What it said before we listened is no news. */
static void on_birth(void *data, const struct incoming *incoming)
{
	struct herald *herald = data;

	if (!incoming->retain && incoming->length == strlen("online") &&
	    !memcmp(incoming->payload, "online", incoming->length))
		discoverer_repeat(herald->discoverer);
}

/* Without memory for it nobody is told again, which hardly anybody needs. */
static void listen_for_births(struct herald *herald, const struct catalog *catalog)
{
	struct subscription subscription = { .qos = 1, .handler = on_birth, .data = herald };

	if (herald->birth_topic)
		session_unsubscribe(herald->session, herald->birth_topic);
	free(TAKE_PTR(herald->birth_topic));
	if (catalog->discovery != DISCOVERY_NONE)
		herald->birth_topic = strdup(catalog->birth_topic);
	subscription.filter = herald->birth_topic;
	if (herald->birth_topic)
		(void)!session_subscribe(herald->session, &subscription);
}

void herald_offer(struct herald *herald, struct catalog *catalog)
{
	listen_for_births(herald, catalog);
	discoverer_offer(herald->discoverer, catalog);
}

/* A broker that has lost our session may have lost what it had retained, too. */
static void look_at_link(struct herald *herald)
{
	struct session_state state = session_state(herald->session);

	if (state.links == herald->links_seen || !discoverer_is_ready(herald->discoverer))
		return;
	herald->links_seen = state.links;
	if (!state.resumed && state.is_kept)
		discoverer_repeat(herald->discoverer);
}

bool herald_turn(struct herald *herald, uint64_t now_us)
{
	look_at_link(herald);
	return discoverer_turn(herald->discoverer, now_us);
}

int herald_new(struct session *session, struct spool *spool, const char *directory,
	       struct herald **result)
{
	_cleanup_(herald_freep) struct herald *herald = calloc(1, sizeof(*herald));
	int r;

	if (!herald)
		return -ENOMEM;
	herald->session = session;
	r = discoverer_new(spool, directory, &herald->discoverer);
	if (r < 0)
		return r;
	*result = TAKE_PTR(herald);
	return 0;
}

void herald_free(struct herald *herald)
{
	if (!herald)
		return;
	discoverer_free(herald->discoverer);
	free(herald->birth_topic);
	free(herald);
}
