/* SPDX-License-Identifier: Apache-2.0 */
/* boots.c - what is known of the clock in each boot of the machine; pure. */
#include "uplink/boots.h"
#include "base/units.h"

#include <errno.h>
#include <string.h>

enum {
	/* A gateway that is switched off each hour through a month's outage has more:
	 * readings of the oldest are then placed less well. */
	BOOTS_MAX = 256,
};

void boots_done(struct boots *boots)
{
	free(boots->list);
	*boots = (struct boots){ 0 };
}

static int64_t ms(uint64_t us)
{
	return us / USEC_PER_MSEC;
}

struct boot *boots_current(const struct boots *boots)
{
	return boots->count ? &boots->list[boots->count - 1] : NULL;
}

static struct boot *find(const struct boots *boots, uint32_t number)
{
	for (size_t i = boots->count; i > 0; i--)
		if (boots->list[i - 1].number == number)
			return &boots->list[i - 1];
	return NULL;
}

static void forget(struct boots *boots, size_t i)
{
	boots->count--;
	memmove(boots->list + i, boots->list + i + 1,
		(boots->count - i) * sizeof(*boots->list));
}

/*
 * One less, where there are too many: not the first one if it was right, since all others are
 * placed behind it. They stay so far behind it as they were.
 */
static void forget_one(struct boots *boots)
{
	struct boot *first = &boots->list[0];

	if (first->synced && !boots->list[1].synced) {
		first->last_us += boots->list[1].last_us;
		forget(boots, 1);
	} else {
		forget(boots, 0);
	}
}

int boots_begin(struct boots *boots, uint32_t number, const uint8_t id[BOOT_ID_SIZE],
		uint64_t first_seq)
{
	const struct boot *before;

	if (boots->count == BOOTS_MAX)
		forget_one(boots);
	if (boots->count == boots->room) {
		size_t room = boots->room ? boots->room * 2 : 4;
		struct boot *more = reallocarray(boots->list, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		boots->list = more;
		boots->room = room;
	}
	before = boots_current(boots);
	boots->list[boots->count] = (struct boot){
		.number = number, .first_seq = first_seq,
		.base_us = before ? before->base_us + before->last_us : 0,
	};
	boots->count++;
	memcpy(boots->id, id, BOOT_ID_SIZE);
	return 0;
}

void boots_note_time(struct boots *boots, uint32_t number, uint64_t boottime_us)
{
	struct boot *boot = find(boots, number);

	if (boot && boottime_us > boot->last_us)
		boot->last_us = boottime_us;
}

void boots_note_offset(struct boots *boots, uint32_t number, int64_t offset_ms)
{
	struct boot *boot = find(boots, number);

	if (!boot || boot->synced)
		return;
	boot->synced = true;
	boot->offset_ms = offset_ms;
}

void boots_look(struct boots *boots)
{
	boots->believed_ms = clock_wall_ms() - ms(clock_boottime_us());
}

void boots_prune(struct boots *boots, uint64_t oldest_seq)
{
	size_t oldest, keep;

	if (!boots->count)
		return;
	for (oldest = boots->count - 1; oldest > 0; oldest--)
		if (boots->list[oldest].first_seq <= oldest_seq)
			break;
	/* The last one before it that was right is what its messages are placed behind. */
	for (keep = oldest; keep > 0; keep--)
		if (boots->list[keep - 1].synced)
			break;
	for (keep = keep ? keep - 1 : oldest; keep > 0; keep--)
		forget(boots, 0);
}

/* The latest time that is known to lie before the boot; INT64_MIN: none. */
static int64_t lower_bound_ms(const struct boots *boots, uint32_t number)
{
	int64_t since_ms = 0;

	for (size_t i = boots->count; i > 0; i--) {
		const struct boot *boot = &boots->list[i - 1];

		if (boot->number >= number)
			continue;
		since_ms += ms(boot->last_us);
		if (boot->synced)
			return boot->offset_ms + since_ms;
	}
	return INT64_MIN;
}

/* The earliest time that is known to lie behind the boot; INT64_MAX: none. */
static int64_t upper_bound_ms(const struct boots *boots, uint32_t number)
{
	int64_t until_ms = 0;

	for (size_t i = 0; i < boots->count; i++) {
		const struct boot *boot = &boots->list[i];

		if (boot->number <= number)
			continue;
		if (boot->synced)
			return boot->offset_ms - until_ms;
		until_ms += ms(boot->last_us);
	}
	return INT64_MAX;
}

/* As believed at the time, but between what is known to lie before and behind. */
static int64_t place(const struct boots *boots, const struct message *message,
		     int64_t believed_ms)
{
	const struct boot *boot = find(boots, message->boot);
	int64_t low, high, time_ms = believed_ms;

	if (boots->count == 1 && boot)
		return time_ms;
	low = lower_bound_ms(boots, message->boot);
	high = upper_bound_ms(boots, message->boot);
	if (low != INT64_MIN && time_ms < low + ms(message->boottime_us))
		time_ms = low + ms(message->boottime_us);
	if (boot && high != INT64_MAX && boot->last_us > message->boottime_us)
		high -= ms(boot->last_us - message->boottime_us);
	return time_ms > high ? high : time_ms;
}

void boots_set_time(const struct boots *boots, struct message *message)
{
	const struct boot *boot = find(boots, message->boot), *now = boots_current(boots);

	message->clock = CLOCK_RIGHT;
	if (message->wall_synced) {
		message->time_ms = message->wall_ms;
	} else if (boot && boot->synced) {
		message->time_ms = boot->offset_ms + ms(message->boottime_us);
	} else if (now && message->boot == now->number) {
		message->time_ms = place(boots, message,
					 boots->believed_ms + ms(message->boottime_us));
		message->clock = CLOCK_UNSYNCED;
	} else {
		message->time_ms = place(boots, message, message->wall_ms);
		message->clock = CLOCK_ESTIMATED;
	}
}

uint64_t boots_running_us(const struct boots *boots)
{
	const struct boot *now = boots_current(boots);

	return clock_boottime_us() + (now ? now->base_us : 0);
}

uint64_t boots_age_us(const struct boots *boots, const struct message *message)
{
	uint64_t then_us = 0, now_us = boots_running_us(boots);

	/* Of a boot that is forgotten: not longer than since the one behind it began. */
	for (size_t i = boots->count; i > 0 && boots->list[i - 1].number >= message->boot; i--) {
		const struct boot *boot = &boots->list[i - 1];

		then_us = boot->base_us;
		if (boot->number == message->boot)
			then_us += message->boottime_us;
	}

	return now_us > then_us ? now_us - then_us : 0;
}
