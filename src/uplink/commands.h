/* SPDX-License-Identifier: Apache-2.0 */
/* commands.h - the way back: commands, each noted, carried out once, and answered. */
#pragma once

#include "bridge/command.h"
#include "uplink/command_book.h"
#include "uplink/session.h"
#include "uplink/settable.h"

struct commands;

/* What they need; all of it must outlive them. */
struct commands_setup {
	sd_event *loop;
	const char *gateway;
	struct spool *spool;
	struct session *session;
	struct command_ring *ring;
};

/*
 * Takes up what the journal knows of commands, and wants to hear of new ones where there is
 * anything to be set. The table becomes theirs, also on failure. 0 or -errno.
 */
int commands_new(const struct commands_setup *setup, struct settable *settable,
		 struct commands **commands) _must_check_;
void commands_free(struct commands *commands);
DEFINE_CLEANUP(struct commands *, commands_free)

/* Another table takes the place of the one there was; it becomes theirs. */
void commands_change(struct commands *commands, struct settable *settable);

/*
 * A turn of the uplink: commands_feed(), spool_commit(), commands_committed(). What came in, and
 * what became of those under way, is noted; and once it is durable, what is started goes to the
 * field side. Where it could not be made durable, commands are refused: true, another turn is
 * to follow at once.
 */
void commands_feed(struct commands *commands);
bool commands_committed(struct commands *commands, bool durable);

/*
 * A command of somebody on this machine (`id` may be NULL). NULL: *number is how it is known
 * from now on, which may be that of an earlier one with the same id; or why it is refused, valid
 * until the next call.
 */
const char *commands_write(struct commands *commands, const char *device, const char *point,
			   const char *value, const char *id, uint64_t *number);
/* What is known of one; NULL: nothing (any more). Valid until the next call. */
const struct command_entry *commands_look(const struct commands *commands, uint64_t number);

enum command_refusal {
	COMMAND_RETAINED, /* it was kept by the broker for whoever comes */
	COMMAND_INVALID,  /* its payload, or the value, by type, range or step */
	COMMAND_NO_POINT, /* there is none such, or it can't be written */
	COMMAND_TOO_OLD,
	COMMAND_TOO_MANY, /* others wait */
	COMMAND_NO_DISK,  /* it can't be noted */
	COMMAND_REFUSALS,
};
/* As `postbus status` has them. */
const char *command_refusal_name(enum command_refusal why);

/* Since the process began. */
struct command_counts {
	uint64_t received; /* all that came in */
	uint64_t repeated; /* of these: known, and not carried out again */
	uint64_t refused[COMMAND_REFUSALS];
	uint64_t done, failed, uncertain; /* of those that were taken; also of earlier processes */
	uint64_t waiting;  /* that have no end yet */
};
struct command_counts commands_counts(const struct commands *commands);
