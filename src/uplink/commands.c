/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands.c - the way back: commands, each noted, carried out once, and answered.
 *
 *     broker ─▶ known, checked, not too old ─▶ received and started, in the journal
 *                                                │ one sync
 *                       PUBACK ◀─────────────────┼──▶ field side ─▶ device
 *                                                │
 *     broker ◀─ answer, through the spool ◀── done, in the journal ◀── outcome
 *
 * Each step is on the disk before what it stands for leaves, so that a crash leaves no more
 * doubt than the states name (command_book.h).
 */
#include "uplink/commands.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "bridge/setting.h"
#include "uplink/command_age.h"
#include "uplink/commands_state.h"

#include <errno.h>
#include <string.h>

enum {
	/* Commands that must not be repeated, and that a device is given at a time. */
	REPORTED_AT_ONCE = 2,
};

const struct command_entry *commands_look(const struct commands *commands, uint64_t number)
{
	return command_book_find(&commands->book, number);
}

struct command_counts commands_counts(const struct commands *commands)
{
	struct command_counts counts = commands->counts;

	for (size_t i = 0; i < commands->book.count; i++)
		counts.waiting += !command_has_end(&commands->book.list[i]);
	return counts;
}

/* --- turns --- */

static void take_outcome(struct commands *commands, const struct outcome *outcome)
{
	struct command_entry *entry = command_book_find(&commands->book, outcome->number);
	char bytes[6 * STRING_MAX_LENGTH + 3];
	struct text value = { .data = bytes, .size = sizeof(bytes) };

	if (!entry || entry->state != COMMAND_STARTED)
		return;
	switch (outcome->kind) {
	case OUTCOME_DONE:
		json_value(&outcome->value, &value);
		commands_end(commands, entry, COMMAND_DONE, value.full ? "null" : bytes);
		break;
	case OUTCOME_FAILED:
		commands_end(commands, entry, COMMAND_FAILED, outcome->error);
		break;
	case OUTCOME_UNCERTAIN:
		commands_end(commands, entry, COMMAND_UNCERTAIN, outcome->error);
		break;
	}
}

/* As the point's map has it by now. */
static bool make_command(struct commands *commands, const struct command_entry *entry,
			 struct command *command)
{
	const char *device = command_text(entry, COMMAND_DEVICE), *error;
	const char *name = command_text(entry, COMMAND_POINT);
	const struct point *point = settable_find(commands->settable, device, name, &error);

	if (!point) {
		snprintf(commands->error, sizeof(commands->error), "%s", error);
		return false;
	}
	*command = (struct command){ .number = entry->number };
	snprintf(command->device, sizeof(command->device), "%s", device);
	snprintf(command->point, sizeof(command->point), "%s", name);
	return setting_check(point, command_text(entry, COMMAND_VALUE), &command->value,
			     commands->error) == 0;
}

/*
 * A device's commands begin in their order. Of those that a crash would make uncertain only as
 * many are started as keep it busy.
 */
static bool has_turn(const struct commands *commands, const struct command_entry *entry)
{
	const char *device = command_text(entry, COMMAND_DEVICE);
	unsigned reported = 0;

	for (const struct command_entry *e = commands->book.list; e < entry; e++) {
		if (command_has_end(e) || strcmp(command_text(e, COMMAND_DEVICE), device))
			continue;
		if (e->state == COMMAND_RECEIVED)
			return false;
		reported += e->is_reported;
	}
	return reported < REPORTED_AT_ONCE || !entry->is_reported;
}

/* NULL: it can be started; else why it has come to an end. */
static const char *find_obstacle(struct commands *commands, const struct command_entry *entry)
{
	const char *late = command_too_late(entry, commands->link.boot);
	struct command command;

	if (late)
		return late;
	return make_command(commands, entry, &command) ? NULL : commands->error;
}

/* What is received is started, as far as the field side has room for it. */
static void start(struct commands *commands)
{
	unsigned started = commands->pushed;

	for (size_t i = 0; i < commands->book.count && started < COMMANDS_MAX; i++) {
		struct command_entry *entry = &commands->book.list[i];
		const char *obstacle;

		if (entry->state == COMMAND_STARTED && !entry->is_pushed)
			started++;
		if (entry->state != COMMAND_RECEIVED || !has_turn(commands, entry))
			continue;
		obstacle = find_obstacle(commands, entry);
		if (obstacle) {
			commands_end(commands, entry, COMMAND_FAILED, obstacle);
		} else {
			commands_set_state(commands, entry, COMMAND_STARTED);
			started++;
		}
	}
}

/* Only then the library is asked for it: it costs a little for each packet. */
static void watch_repeats(struct commands *commands)
{
	const struct command_link *link = &commands->link;
	bool may_come = false;

	for (size_t i = 0; i < commands->book.count && !may_come; i++) {
		const struct command_entry *entry = &commands->book.list[i];

		may_come = entry->mid && entry->session == link->session &&
			   (!link->is_up || entry->link != link->number);
	}
	session_watch_repeats(commands->setup.session, may_come);
}

void commands_feed(struct commands *commands)
{
	struct outcome outcome;

	commands_follow_link(commands);
	while (outcome_pop(commands->setup.ring, &outcome))
		take_outcome(commands, &outcome);
	start(commands);
	commands_note_changes(commands);
	commands_forget_old(commands);
	watch_repeats(commands);
}

static void push(struct commands *commands, struct command_entry *entry)
{
	struct command command;

	if (!make_command(commands, entry, &command))
		commands_end(commands, entry, COMMAND_FAILED, commands->error);
	else if (command_push(commands->setup.ring, &command) == 0) {
		entry->is_pushed = true;
		commands->pushed++;
	}
}

bool commands_committed(struct commands *commands, bool durable)
{
	for (size_t i = 0; i < commands->book.count; i++) {
		struct command_entry *entry = &commands->book.list[i];

		if (command_has_end(entry) || entry->is_pushed)
			continue;
		if (!durable) {
			commands->counts.refused[COMMAND_NO_DISK]++;
			commands_end(commands, entry, COMMAND_FAILED,
			    "the disk does not take it, so that it could not be carried out once");
		} else if (entry->state == COMMAND_STARTED) {
			push(commands, entry);
		}
	}
	return commands->any_changed;
}

/* --- life --- */

/*
 * What was received was not begun. What was started when the process before this one ended may
 * have been carried out.
 */
static void settle_begun(struct commands *commands, struct command_entry *entry)
{
	const char *error;
	const struct point *point = settable_find(commands->settable,
						  command_text(entry, COMMAND_DEVICE),
						  command_text(entry, COMMAND_POINT), &error);

	entry->is_reported = !point || point->write_on_crash == ON_CRASH_REPORT;
	if (entry->state != COMMAND_STARTED)
		return;
	if (entry->is_reported || command_too_late(entry, commands->link.boot))
		commands_end(commands, entry, COMMAND_UNCERTAIN,
			     "the gateway ended while it was carried out");
	else
		entry->state = COMMAND_RECEIVED;
}

/*
 * Whether the answer got into the journal, or is to be told again. In another boot of the
 * machine it is remembered as long as if it had come just now.
 */
static void settle_ended(struct commands *commands, struct command_entry *entry,
			 uint64_t found_seq)
{
	if (entry->boot != commands->link.boot)
		entry->received_us = clock_boottime_us();
	if (entry->answer_seq < found_seq)
		entry->is_told = true;
	if (!entry->is_told)
		entry->is_changed = commands->any_changed = true;
}

static int load(struct commands *commands)
{
	const struct spool_state state = spool_state(commands->setup.spool);
	const struct notes *notes = spool_notes(commands->setup.spool);
	struct command_book *book = &commands->book;
	int r;

	command_link_load(&commands->link, commands->setup.spool);
	for (size_t i = 0; i < notes->count; i++) {
		const struct note *note = &notes->list[i];

		if (note->type != RECORD_COMMAND || !note->key)
			continue;
		r = command_decode(book, note->key, note->bytes, note->length);
		if (r == -ENOMEM)
			return r;
	}
	for (size_t i = 0; i < book->count; i++) {
		if (command_has_end(&book->list[i]))
			settle_ended(commands, &book->list[i], state.found_seq);
		else
			settle_begun(commands, &book->list[i]);
	}
	return 0;
}

/* Nothing is subscribed to where nothing can be set. */
static int subscribe(struct commands *commands)
{
	const struct subscription subscription = {
		.filter = commands->filter, .qos = 1, .handler = commands_take_message, .data = commands,
	};

	if (settable_count(commands->settable))
		return session_subscribe(commands->setup.session, &subscription);
	session_unsubscribe(commands->setup.session, commands->filter);
	return 0;
}

void commands_change(struct commands *commands, struct settable *settable)
{
	settable_free(commands->settable);
	commands->settable = settable;
	if (subscribe(commands) < 0)
		log_error("command: no memory to subscribe");
}

/* What there is to be popped the turn that follows does. */
static int on_outcome(_unused_ sd_event_source *source, _unused_ int fd,
		      _unused_ uint32_t events, void *data)
{
	outcome_clear(((struct commands *)data)->setup.ring);
	return 0;
}

int commands_new(const struct commands_setup *setup, struct settable *settable,
		 struct commands **result)
{
	_cleanup_(commands_freep) struct commands *commands = calloc(1, sizeof(*commands));
	int r;

	if (!commands) {
		settable_free(settable);
		return -ENOMEM;
	}
	commands->setup = *setup;
	commands->settable = settable;
	if (asprintf(&commands->filter, "%s/+/+/set", setup->gateway) < 0) {
		commands->filter = NULL;
		return -ENOMEM;
	}
	r = load(commands);
	if (r == 0)
		r = subscribe(commands);
	if (r == 0)
		r = sd_event_add_io(setup->loop, &commands->outcome_source,
				    outcome_fd(setup->ring), EPOLLIN, on_outcome, commands);
	if (r < 0)
		return r;
	*result = TAKE_PTR(commands);
	return 0;
}

void commands_free(struct commands *commands)
{
	if (!commands)
		return;
	sd_event_source_disable_unref(commands->outcome_source);
	command_book_done(&commands->book);
	settable_free(commands->settable);
	free(commands->filter);
	free(commands);
}
