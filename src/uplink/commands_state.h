/* SPDX-License-Identifier: Apache-2.0 */
/* commands_state.h - what the files that make up the commands share; nobody else's business. */
#pragma once

#include "uplink/command_link.h"
#include "uplink/commands.h"
#include "uplink/result.h"

struct commands {
	struct commands_setup setup;
	struct settable *settable;
	struct command_book book;
	struct command_link link;
	struct command_counts counts; /* but those that wait */
	sd_event_source *outcome_source;
	char *filter;        /* of what is subscribed to */
	unsigned pushed;     /* that the field side has */
	bool any_changed;    /* some are to be noted */
	uint64_t tell_us;    /* a refusal is not told of before, … */
	unsigned untold;     /* … and so many were not */
	char error[OUTCOME_ERROR_MAX];
};

/*
 * command_journal.c - has room for so many bytes of one more command; false: those that have no
 * end yet take it all. Forgets those that are told and can't come again.
 */
bool commands_make_room(struct commands *commands, size_t length);
void commands_forget_old(struct commands *commands);
/* The entry is in another state, which is to be noted. */
void commands_set_state(struct commands *commands, struct command_entry *entry,
			enum command_state state);
/* It has come to an end: the value as JSON has it, or what went wrong. */
void commands_end(struct commands *commands, struct command_entry *entry,
		  enum command_state state, const char *outcome);
/* What is to be noted is, and what has ended is told. */
void commands_note_changes(struct commands *commands);
/* The answer that its end makes, to whom it may concern. 0 or -errno. */
int commands_answer(struct commands *commands, const struct command_entry *entry,
		    const struct result_address *address, const char *id) _must_check_;

/* command_intake.c - the handler of what is subscribed to; `data` is the commands. */
void commands_take_message(void *data, const struct incoming *incoming);
/* What became of the link is noted. */
void commands_follow_link(struct commands *commands);
