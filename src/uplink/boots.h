/* SPDX-License-Identifier: Apache-2.0 */
/* boots.h - what is known of the clock in each boot of the machine; pure. */
#pragma once

#include "bridge/clock.h"
#include "bridge/message.h"

/*
 * A machine without a battery clock wakes with any time, and is right only once it reached a
 * time server. Messages of such a time are placed by CLOCK_BOOTTIME, as soon as the offset of
 * their boot becomes known, or else between the boots around it:
 *
 *     boot      3 (right)            4 (never right)          5 (right)
 *     ──────────────────────┤ · · · ├────×───────────┤ · · · ├──────────▶
 *                         low         low + boottime       high
 */
struct boot {
	uint32_t number;
	bool synced;        /* the wall clock was right at some time of it, … */
	int64_t offset_ms;  /* … when it was so much more than CLOCK_BOOTTIME */
	uint64_t first_seq; /* of its messages */
	uint64_t base_us;   /* running time of all boots before it, as far as known */
	uint64_t last_us;   /* latest CLOCK_BOOTTIME known of it */
};

struct boots {
	struct boot *list; /* by number; the last one is this boot */
	size_t count, room;
	uint8_t id[BOOT_ID_SIZE]; /* of the last */
	int64_t believed_ms;      /* the wall clock less CLOCK_BOOTTIME, when last looked at */
};

void boots_done(struct boots *boots);

/* Adds the boot `number`, whose first message will be `first_seq`. 0 or -ENOMEM. */
int boots_begin(struct boots *boots, uint32_t number, const uint8_t id[BOOT_ID_SIZE],
		uint64_t first_seq) _must_check_;

/* This boot; NULL where none was begun. */
struct boot *boots_current(const struct boots *boots);

/* The boot ran at least so long. */
void boots_note_time(struct boots *boots, uint32_t number, uint64_t boottime_us);
/* The clock was right in the boot, with that offset. What is known first, stays. */
void boots_note_offset(struct boots *boots, uint32_t number, int64_t offset_ms);

/*
 * Looks at the clocks, for messages of this boot before the wall clock is right: to be called
 * once for many of them, since it costs more than all else that is done for one.
 */
void boots_look(struct boots *boots);

/* Forgets boots that no message from `oldest_seq` on needs, nor the placing of one. */
void boots_prune(struct boots *boots, uint64_t oldest_seq);

/* Sets the message's time and mark from the best that is known now. */
void boots_set_time(const struct boots *boots, struct message *message);

/* How long the machine ran in all its boots up to now, and since the message was read. */
uint64_t boots_running_us(const struct boots *boots);
uint64_t boots_age_us(const struct boots *boots, const struct message *message);
