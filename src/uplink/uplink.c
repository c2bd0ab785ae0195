/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uplink.c - the thread that owns the disk and the link.
 *
 * Each turn: take what arrived (readings from the queue, acknowledgements from the broker),
 * note it in the journal, hand on what may be sent now or next, one write and where it is owed
 * one sync for the lot, then let the packets go.
 */
#include "uplink/uplink.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "uplink/herald.h"
#include "uplink/requests.h"
#include "uplink/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <systemd/sd-event.h>

enum {
	SECOND_US = 1000 * 1000,
	/* sd-event's own is a quarter of a second. */
	TURN_ACCURACY_US = 100,
	/* How long messages in flight are waited for when the link is left. */
	FAREWELL_US = 400 * 1000,
};

struct uplink {
	struct conf *conf, *next_conf; /* NULL: it stays as it is */
	bool relinks;            /* the next one needs another link, … */
	uint64_t relink_due_us;  /* … and waits for what is in flight until then; 0: no more */
	struct queue *queue;
	struct spool *spool;
	sd_event *loop;
	sd_event_source *queue_source, *event_source, *turn_timer, *second_timer;
	uint64_t turn_due_us; /* what turn_timer is set to */
	struct session *session;
	struct herald *herald;
	struct commands *commands;
	struct requests *requests; /* NULL: nobody can ask for anything */
	char *loss_topic;
	uint64_t loss_due_us; /* the next `loss` message not before */
	uint64_t clock_due_us; /* messages wait no longer for the clock to be set right */
	int event; /* something was asked for */
	bool queue_is_ready;
	bool stopping;
	bool left_behind;
	pthread_t thread;
	_Atomic uint64_t turns;

	pthread_mutex_t lock; /* of what others may ask for */
	struct uplink_state state;
	struct catalog *offered; /* NULL: nothing new */
	struct settable *settable; /* likewise */
	bool stop_asked;
	struct conf *conf_asked; /* NULL: no other one */
};

/* --- readings --- */

static void take_queue(struct uplink *uplink)
{
	struct message message;
	uint64_t lost;

	if (uplink->queue_is_ready)
		queue_clear(uplink->queue);
	uplink->queue_is_ready = false;
	while (queue_pop(uplink->queue, &message))
		(void)!spool_append(uplink->spool, &message); /* counted there */
	lost = queue_take_lost(uplink->queue);
	if (lost) {
		int64_t now_ms = clock_wall_ms();

		log_error("queue: full: %llu messages lost, the disk was too slow",
			  (unsigned long long)lost);
		spool_note_loss(uplink->spool,
				&(struct loss){ .count = lost, .from_ms = now_ms,
						.to_ms = now_ms, .why = LOSS_QUEUE });
	}
}

static void add_time(struct text *body, const char *key, int64_t time_ms)
{
	if (!time_ms)
		return;
	text_addf(body, ",\"%s\":", key);
	message_iso_time(time_ms, body);
}

/* Tells of readings that had to be given up: {"count":…,"from":…,"to":…,"why":…}. */
static void tell_loss(struct uplink *uplink, uint64_t now_us)
{
	const struct loss *loss = spool_loss(uplink->spool);
	char bytes[256];
	struct text body = { .data = bytes, .size = sizeof(bytes) };
	struct message message = {
		.qos = 1, .form = FORM_ISO_TIME,
		.topic = uplink->loss_topic, .topic_length = strlen(uplink->loss_topic),
		.body = bytes,
	};

	if (!loss || now_us < uplink->loss_due_us)
		return;
	text_addf(&body, "\"count\":%llu", (unsigned long long)loss->count);
	if (loss->to)
		text_addf(&body, ",\"from\":%llu,\"to\":%llu", (unsigned long long)loss->from,
			  (unsigned long long)loss->to);
	add_time(&body, "from_time", loss->from_ms);
	add_time(&body, "to_time", loss->to_ms);
	text_addf(&body, ",\"why\":\"%s\"", loss_why_words(loss->why));
	message.body_length = body.length;
	clock_stamp(&message);
	/* Where there is no room for it yet, it is told later. */
	(void)!spool_append_loss(uplink->spool, &message);
	uplink->loss_due_us = now_us + SECOND_US;
}

/* --- discovery --- */

static void take_offer(struct uplink *uplink)
{
	struct catalog *offered;
	struct settable *settable;

	pthread_mutex_lock(&uplink->lock);
	offered = TAKE_PTR(uplink->offered);
	settable = TAKE_PTR(uplink->settable);
	pthread_mutex_unlock(&uplink->lock);
	if (offered)
		herald_offer(uplink->herald, offered);
	if (settable)
		commands_change(uplink->commands, settable);
}

/* --- other settings --- */

static void note_change(void *data, _unused_ const char *name, enum conf_change change)
{
	if (change == CONF_LINK)
		((struct uplink *)data)->relinks = true;
}

/* What the last reload brought is what holds, be it that the one before did not hold yet. */
static void take_conf(struct uplink *uplink, struct conf *conf)
{
	conf_free(uplink->next_conf);
	uplink->next_conf = conf;
	uplink->relinks = false;
	conf_compare(uplink->conf, conf, note_change, uplink);
	uplink->relink_due_us = clock_monotonic_us() + FAREWELL_US;
}

/* At the end of a turn: the link may be left then. */
static void change_conf(struct uplink *uplink)
{
	if (!uplink->next_conf || uplink->stopping)
		return;
	if (uplink->relinks && session_is_busy(uplink->session) &&
	    clock_monotonic_us() < uplink->relink_due_us)
		return;
	uplink->relink_due_us = 0;
	if (!session_change(uplink->session, uplink->next_conf, uplink->relinks))
		return;
	spool_configure(uplink->spool, &uplink->next_conf->spool);
	conf_free(uplink->conf);
	uplink->conf = TAKE_PTR(uplink->next_conf);
}

/* --- turns --- */

static void set_turn_timer(struct uplink *uplink)
{
	uint64_t due_us = spool_sync_due_us(uplink->spool);
	uint64_t session_us = session_due_us(uplink->session);

	if (session_us < due_us)
		due_us = session_us;
	if (uplink->relink_due_us && uplink->relink_due_us < due_us)
		due_us = uplink->relink_due_us;
	if (due_us == uplink->turn_due_us)
		return;
	uplink->turn_due_us = due_us;
	sd_event_source_set_time(uplink->turn_timer, due_us);
	sd_event_source_set_enabled(uplink->turn_timer,
				    due_us == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* Most times need no mending where the clock is given a while to be set right. */
static bool waits_for_clock(struct uplink *uplink, uint64_t now_us)
{
	if (uplink->clock_due_us &&
	    (now_us >= uplink->clock_due_us || spool_note_clock(uplink->spool)))
		uplink->clock_due_us = 0;
	return uplink->clock_due_us;
}

/* True when there is more to do without waiting for anything. */
static bool turn(struct uplink *uplink)
{
	uint64_t now_us = clock_monotonic_us();
	bool hold = waits_for_clock(uplink, now_us), more, durable;

	take_queue(uplink);
	tell_loss(uplink, now_us);
	commands_feed(uplink->commands);
	more = !uplink->stopping && herald_turn(uplink->herald, now_us);
	/* A link that is about to be left gets nothing more. */
	hold = hold || (uplink->next_conf && uplink->relinks);
	more = session_feed(uplink->session, hold) || more;
	if (!more && !uplink->stopping &&
	    spool_gathers(uplink->spool, session_unanswered(uplink->session), now_us)) {
		set_turn_timer(uplink);
		return false;
	}
	session_feed_ahead(uplink->session, hold);
	/* While the disk takes nothing the gateway runs on from memory, and has said so. */
	durable = spool_commit(uplink->spool, now_us) == 0;
	more = commands_committed(uplink->commands, durable) || more;
	session_write(uplink->session);
	change_conf(uplink);
	set_turn_timer(uplink);
	atomic_fetch_add_explicit(&uplink->turns, 1, memory_order_relaxed);
	return more;
}

static void run_until(struct uplink *uplink, uint64_t end_us)
{
	bool more = true;

	while (!uplink->stopping || end_us != UINT64_MAX) {
		uint64_t now_us = clock_monotonic_us();
		uint64_t wait_us = end_us == UINT64_MAX ? UINT64_MAX : end_us - now_us;

		if (end_us != UINT64_MAX &&
		    (now_us >= end_us || !session_is_busy(uplink->session)))
			return;
		sd_event_run(uplink->loop, more ? 0 : wait_us);
		more = turn(uplink);
	}
}

static void describe(struct uplink *uplink)
{
	struct uplink_state state = {
		.session = session_state(uplink->session),
		.sums = spool_sums(uplink->spool),
		.spool = spool_state(uplink->spool),
		.commands = commands_counts(uplink->commands),
	};
	uint64_t oldest;

	snprintf(state.link, sizeof(state.link), "%s", session_describe(uplink->session));
	spool_range(uplink->spool, &oldest, &state.next_seq);
	pthread_mutex_lock(&uplink->lock);
	uplink->state = state;
	pthread_mutex_unlock(&uplink->lock);
}

static void *uplink_thread(void *data)
{
	struct uplink *uplink = data;
	int r;

	run_until(uplink, UINT64_MAX);
	turn(uplink);
	run_until(uplink, clock_monotonic_us() + FAREWELL_US);
	requests_free(TAKE_PTR(uplink->requests));
	session_leave(uplink->session);
	describe(uplink);
	uplink->left_behind = session_free(uplink->session);
	uplink->session = NULL;
	r = spool_close(uplink->spool);
	uplink->spool = NULL;
	if (r < 0)
		log_error("spool %s: closing: %s", uplink->conf->spool.directory,
			  strerror(-r));
	return NULL;
}

/* What these sources bring is dealt with by the turn that follows. */
static int on_queue(_unused_ sd_event_source *source, _unused_ int fd,
		    _unused_ uint32_t events, void *data)
{
	((struct uplink *)data)->queue_is_ready = true;
	return 0;
}

static int on_turn_timer(_unused_ sd_event_source *source, _unused_ uint64_t time_us,
			 void *data)
{
	((struct uplink *)data)->turn_due_us = UINT64_MAX;
	return 0;
}

static int on_second(sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	struct uplink *uplink = data;

	(void)spool_note_clock(uplink->spool);
	spool_expire(uplink->spool);
	take_offer(uplink);
	describe(uplink);
	sd_event_source_set_time(source, clock_monotonic_us() + SECOND_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_event(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		    void *data)
{
	struct uplink *uplink = data;
	struct conf *conf;
	eventfd_t count;

	(void)!eventfd_read(fd, &count);
	pthread_mutex_lock(&uplink->lock);
	uplink->stopping = uplink->stop_asked;
	conf = TAKE_PTR(uplink->conf_asked);
	pthread_mutex_unlock(&uplink->lock);
	if (conf)
		take_conf(uplink, conf);
	return 0;
}

/* --- life --- */

static void uplink_free(struct uplink *uplink)
{
	if (!uplink)
		return;
	sd_event_source_disable_unref(uplink->queue_source);
	sd_event_source_disable_unref(uplink->event_source);
	sd_event_source_disable_unref(uplink->turn_timer);
	sd_event_source_disable_unref(uplink->second_timer);
	(void)session_free(uplink->session);
	requests_free(uplink->requests);
	herald_free(uplink->herald);
	catalog_free(uplink->offered);
	commands_free(uplink->commands);
	settable_free(uplink->settable);
	spool_free(uplink->spool);
	sd_event_unref(uplink->loop);
	closep(&uplink->event);
	pthread_mutex_destroy(&uplink->lock);
	/* A helper that was left behind looks into it until the process ends. */
	if (!uplink->left_behind)
		conf_free(uplink->conf);
	conf_free(uplink->next_conf);
	conf_free(uplink->conf_asked);
	free(uplink->loss_topic);
	free(uplink);
}
DEFINE_CLEANUP(struct uplink *, uplink_free)

static int add_sources(struct uplink *uplink)
{
	int r = sd_event_add_io(uplink->loop, &uplink->queue_source, queue_fd(uplink->queue),
				EPOLLIN, on_queue, uplink);

	if (r >= 0)
		r = sd_event_add_io(uplink->loop, &uplink->event_source, uplink->event,
				    EPOLLIN, on_event, uplink);
	if (r >= 0)
		r = sd_event_add_time(uplink->loop, &uplink->turn_timer, CLOCK_MONOTONIC,
				      UINT64_MAX, TURN_ACCURACY_US, on_turn_timer, uplink);
	if (r >= 0)
		r = sd_event_add_time(uplink->loop, &uplink->second_timer, CLOCK_MONOTONIC, 0,
				      0, on_second, uplink);
	return r < 0 ? r : 0;
}

static int open_spool(struct uplink *uplink)
{
	const char *directory = uplink->conf->spool.directory;
	struct spool_sums sums;
	int r = spool_open(&uplink->conf->spool, false, &uplink->spool);

	if (r == -EBUSY)
		log_error("spool %s: another postbus has it", directory);
	else if (r == -EPROTONOSUPPORT)
		log_error("spool %s: written by another version of postbus; left untouched",
			  directory);
	else if (r < 0)
		log_error("spool %s: %s", directory, strerror(-r));
	if (r < 0)
		return r;
	sums = spool_sums(uplink->spool);
	log_info("spool %s: %llu messages waiting", directory,
		 (unsigned long long)sums.waiting);
	return 0;
}

static int start_commands(struct uplink *uplink, struct command_ring *ring)
{
	const struct commands_setup setup = {
		.loop = uplink->loop, .gateway = uplink->conf->gateway, .spool = uplink->spool,
		.session = uplink->session, .ring = ring,
	};

	return commands_new(&setup, TAKE_PTR(uplink->settable), &uplink->commands);
}

/* Without it the gateway does all that it is for. */
static void open_requests(struct uplink *uplink)
{
	const char *directory = uplink->conf->spool.directory;
	int r = requests_new(uplink->loop, directory, uplink->spool, uplink->commands,
			     &uplink->requests);

	if (r < 0)
		log_warning("spool %s: no control socket: %s", directory, strerror(-r));
}

int uplink_start(const struct uplink_setup *setup, struct uplink **result)
{
	_cleanup_(uplink_freep) struct uplink *uplink = calloc(1, sizeof(*uplink));
	struct conf *conf = setup->conf;
	int r;

	if (!uplink) {
		settable_free(setup->settable);
		return -ENOMEM;
	}
	pthread_mutex_init(&uplink->lock, NULL);
	uplink->conf = conf_share(conf);
	uplink->queue = setup->queue;
	uplink->settable = setup->settable;
	uplink->turn_due_us = UINT64_MAX;
	uplink->clock_due_us = clock_monotonic_us() + conf->publish.clock_wait_us;
	uplink->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (uplink->event < 0 ||
	    asprintf(&uplink->loss_topic, "%s/loss", conf->gateway) < 0)
		return -ENOMEM;
	r = open_spool(uplink);
	if (r == 0)
		r = sd_event_new(&uplink->loop);
	if (r >= 0)
		r = add_sources(uplink);
	if (r >= 0)
		r = session_new(uplink->loop, conf, uplink->spool, &uplink->session);
	if (r >= 0)
		r = herald_new(uplink->session, uplink->spool, conf->spool.directory,
			       &uplink->herald);
	if (r >= 0)
		r = start_commands(uplink, setup->ring);
	if (r < 0)
		return r;
	open_requests(uplink);
	describe(uplink);
	r = pthread_create(&uplink->thread, NULL, uplink_thread, uplink);
	if (r)
		return -r;
	*result = TAKE_PTR(uplink);
	return 0;
}

bool uplink_stop(struct uplink *uplink)
{
	bool left_behind;

	pthread_mutex_lock(&uplink->lock);
	uplink->stop_asked = true;
	pthread_mutex_unlock(&uplink->lock);
	(void)!eventfd_write(uplink->event, 1);
	pthread_join(uplink->thread, NULL);
	left_behind = uplink->left_behind;
	uplink_free(uplink);
	return left_behind;
}

void uplink_offer(struct uplink *uplink, struct catalog *catalog)
{
	pthread_mutex_lock(&uplink->lock);
	catalog_free(uplink->offered);
	uplink->offered = catalog;
	pthread_mutex_unlock(&uplink->lock);
}

void uplink_change(struct uplink *uplink, struct conf *conf)
{
	pthread_mutex_lock(&uplink->lock);
	conf_free(uplink->conf_asked);
	uplink->conf_asked = conf_share(conf);
	pthread_mutex_unlock(&uplink->lock);
	(void)!eventfd_write(uplink->event, 1);
}

void uplink_set(struct uplink *uplink, struct settable *settable)
{
	pthread_mutex_lock(&uplink->lock);
	settable_free(uplink->settable);
	uplink->settable = settable;
	pthread_mutex_unlock(&uplink->lock);
}

uint64_t uplink_turns(const struct uplink *uplink)
{
	return atomic_load_explicit(&uplink->turns, memory_order_relaxed);
}

void uplink_describe(struct uplink *uplink, struct uplink_state *state)
{
	pthread_mutex_lock(&uplink->lock);
	*state = uplink->state;
	pthread_mutex_unlock(&uplink->lock);
}
