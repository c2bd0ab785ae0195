/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.c - the small live state of the spool: numbers, sums, flights. */
#include "uplink/ledger.h"

#include <errno.h>
#include <string.h>

const char *loss_why_words(enum loss_why why)
{
	static const char *const words[LOSS_WHY_COUNT] = {
		[LOSS_FULL] = "spool full",
		[LOSS_POWER_CUT] = "power cut",
		[LOSS_DAMAGED] = "damaged",
		[LOSS_QUEUE] = "disk too slow",
		[LOSS_AGE] = "too old",
		[LOSS_USER] = "dropped by hand",
		[LOSS_REFUSED] = "refused",
	};

	return words[why];
}

void ledger_init(struct ledger *ledger)
{
	*ledger = (struct ledger){ 0 };
	for (size_t i = 0; i < LOSS_WHY_COUNT; i++)
		ledger->losses[i].why = i;
}

void ledger_done(struct ledger *ledger)
{
	boots_done(&ledger->boots);
	notes_done(&ledger->notes);
	free(ledger->ranges);
	free(ledger->flights);
	ledger_init(ledger);
}

/* Has room for one more element. */
static int grow(void **array, size_t *room, size_t count, size_t size)
{
	size_t more = *room ? *room * 2 : 16;
	void *larger;

	if (count < *room)
		return 0;
	larger = reallocarray(*array, more, size);
	if (!larger)
		return -ENOMEM;
	*array = larger;
	*room = more;
	return 0;
}

bool ledger_is_plausible(const struct ledger *ledger, uint64_t seq)
{
	return seq < ledger->next_seq || seq - ledger->next_seq <= UINT32_MAX;
}

bool ledger_is_finished(const struct ledger *ledger, uint64_t seq)
{
	if (seq < ledger->oldest_seq)
		return true;
	for (size_t i = 0; i < ledger->range_count && ledger->ranges[i].from <= seq; i++)
		if (seq <= ledger->ranges[i].to)
			return true;
	return false;
}

static void remove_ranges(struct ledger *ledger, size_t at, size_t count)
{
	ledger->range_count -= count;
	memmove(ledger->ranges + at, ledger->ranges + at + count,
		(ledger->range_count - at) * sizeof(*ledger->ranges));
}

struct flight *ledger_flights(const struct ledger *ledger)
{
	return ledger->flights ? ledger->flights + ledger->flight_first : NULL;
}

/* The message's flight is over; mostly it is the first one. */
static void remove_flight(struct ledger *ledger, uint64_t seq)
{
	struct flight *flights = ledger_flights(ledger);
	size_t kept = 0;

	if (!ledger->flight_count || seq > ledger->newest_flight)
		return;
	if (flights[0].seq == seq) {
		ledger->flight_count--;
		ledger->flight_first = ledger->flight_count ? ledger->flight_first + 1 : 0;
		return;
	}
	for (size_t i = 0; i < ledger->flight_count; i++)
		if (flights[i].seq != seq)
			flights[kept++] = flights[i];
	ledger->flight_count = kept;
}

/* Only what the broker may hold an identifier of flies on. */
static void give_up_flights(struct ledger *ledger, uint64_t from, uint64_t to)
{
	struct flight *flights = ledger_flights(ledger);
	size_t kept = 0;

	for (size_t i = 0; i < ledger->flight_count; i++) {
		struct flight flight = flights[i];

		if (flight.seq >= from && flight.seq <= to) {
			if (flight.qos != 2 || flight.state == FLIGHT_AGAIN)
				continue;
			flight.state = FLIGHT_GIVEN_UP;
		}
		flights[kept++] = flight;
	}
	ledger->flight_count = kept;
}

/* The usual case: acknowledgements come in order, and the first flight is over. */
static bool finish_oldest(struct ledger *ledger, uint64_t from, uint64_t to)
{
	if (from != to || from != ledger->oldest_seq || ledger->range_count)
		return false;
	ledger->oldest_seq++;
	return true;
}

ssize_t ledger_finish(struct ledger *ledger, uint64_t from, uint64_t to)
{
	uint64_t fresh;
	size_t i, n;
	int r;

	if (from < ledger->oldest_seq)
		from = ledger->oldest_seq;
	if (from > to)
		return 0;
	if (finish_oldest(ledger, from, to))
		return 1;

	/* The ranges i to i + n - 1 touch the new one, and become one with it. */
	fresh = to - from + 1;
	for (i = 0; i < ledger->range_count && ledger->ranges[i].to + 1 < from; i++)
		;
	for (n = 0; i + n < ledger->range_count && ledger->ranges[i + n].from <= to + 1; n++) {
		const struct range *old = &ledger->ranges[i + n];
		uint64_t low = old->from > from ? old->from : from;
		uint64_t high = old->to < to ? old->to : to;

		if (low <= high)
			fresh -= high - low + 1;
	}
	if (n == 0) {
		r = grow((void **)&ledger->ranges, &ledger->range_room, ledger->range_count,
			 sizeof(*ledger->ranges));
		if (r < 0)
			return r;
		memmove(ledger->ranges + i + 1, ledger->ranges + i,
			(ledger->range_count - i) * sizeof(*ledger->ranges));
		ledger->range_count++;
		ledger->ranges[i] = (struct range){ from, to };
	} else {
		uint64_t last = ledger->ranges[i + n - 1].to;

		if (from < ledger->ranges[i].from)
			ledger->ranges[i].from = from;
		ledger->ranges[i].to = last > to ? last : to;
		remove_ranges(ledger, i + 1, n - 1);
	}
	if (ledger->ranges[0].from <= ledger->oldest_seq) {
		ledger->oldest_seq = ledger->ranges[0].to + 1;
		remove_ranges(ledger, 0, 1);
	}
	return fresh;
}

uint64_t ledger_waiting(const struct ledger *ledger, uint64_t from, uint64_t to)
{
	uint64_t waiting;

	if (from < ledger->oldest_seq)
		from = ledger->oldest_seq;
	if (to >= ledger->next_seq)
		to = ledger->next_seq - 1;
	if (from >= ledger->next_seq || from > to)
		return 0;
	waiting = to - from + 1;
	for (size_t i = 0; i < ledger->range_count; i++) {
		const struct range *range = &ledger->ranges[i];
		uint64_t low = range->from > from ? range->from : from;
		uint64_t high = range->to < to ? range->to : to;

		if (low <= high)
			waiting -= high - low + 1;
	}
	return waiting;
}

struct spool_sums ledger_sums(const struct ledger *ledger)
{
	struct spool_sums sums = {
		.taken = ledger->taken, .acked = ledger->acked, .refused = ledger->refused,
		.damaged = ledger->given_up[LOSS_DAMAGED],
	};

	for (size_t i = 0; i < LOSS_WHY_COUNT; i++) {
		sums.given_up[i] = ledger->given_up[i];
		sums.dropped += i == LOSS_DAMAGED ? 0 : ledger->given_up[i];
	}
	sums.waiting = sums.taken - sums.acked - sums.refused - sums.dropped - sums.damaged;
	return sums;
}

struct flight *ledger_flight_by_mid(const struct ledger *ledger, uint16_t mid)
{
	struct flight *flights = ledger_flights(ledger);

	for (size_t i = 0; i < ledger->flight_count; i++)
		if (flights[i].mid == mid)
			return &flights[i];
	return NULL;
}

struct flight *ledger_flight_by_seq(const struct ledger *ledger, uint64_t seq)
{
	struct flight *flights = ledger_flights(ledger);

	if (seq > ledger->newest_flight)
		return NULL;
	for (size_t i = 0; i < ledger->flight_count; i++)
		if (flights[i].seq == seq)
			return &flights[i];
	return NULL;
}

/* Has room for one more behind the last; the places of those that are over come first. */
static int grow_flights(struct ledger *ledger)
{
	if (ledger->flight_first > ledger->flight_count) {
		memcpy(ledger->flights, ledger_flights(ledger),
		       ledger->flight_count * sizeof(*ledger->flights));
		ledger->flight_first = 0;
	}
	return grow((void **)&ledger->flights, &ledger->flight_room,
		    ledger->flight_first + ledger->flight_count, sizeof(*ledger->flights));
}

int ledger_add_flight(struct ledger *ledger, const struct flight *flight)
{
	int r = grow_flights(ledger);

	if (r < 0)
		return r;
	remove_flight(ledger, flight->seq);
	ledger_flights(ledger)[ledger->flight_count++] = *flight;
	ledger->last_mid = flight->mid;
	if (flight->seq > ledger->newest_flight)
		ledger->newest_flight = flight->seq;
	return 0;
}

int ledger_acked(struct ledger *ledger, uint64_t seq)
{
	ssize_t n;

	remove_flight(ledger, seq);
	n = ledger_finish(ledger, seq, seq);

	if (n > 0)
		ledger->acked += n;
	return n < 0 ? n : 0;
}

int ledger_refused(struct ledger *ledger, uint64_t seq)
{
	ssize_t n;

	remove_flight(ledger, seq);
	n = ledger_finish(ledger, seq, seq);

	if (n > 0)
		ledger->refused += n;
	return n < 0 ? n : 0;
}

void loss_add(struct loss *sum, const struct loss *loss, uint64_t count)
{
	if (!sum->count) {
		*sum = *loss;
		sum->count = count;
		return;
	}
	sum->count += count;
	if (loss->from && (!sum->from || loss->from < sum->from)) {
		sum->from = loss->from;
		sum->from_ms = loss->from_ms;
	}
	if (loss->to >= sum->to) {
		sum->to = loss->to;
		sum->to_ms = loss->to_ms;
	}
}

/* Takes what is finished off both ends; false: nothing is left. */
static bool trim(const struct ledger *ledger, struct loss *loss)
{
	const struct range *ranges = ledger->ranges;

	if (loss->from < ledger->oldest_seq)
		loss->from = ledger->oldest_seq;
	for (size_t i = 0; i < ledger->range_count; i++)
		if (ranges[i].from <= loss->from && loss->from <= ranges[i].to)
			loss->from = ranges[i].to + 1;
	for (size_t i = ledger->range_count; i > 0; i--)
		if (ranges[i - 1].from <= loss->to && loss->to <= ranges[i - 1].to)
			loss->to = ranges[i - 1].from - 1;
	return loss->from <= loss->to;
}

int ledger_dropped(struct ledger *ledger, const struct loss *loss)
{
	struct loss exact = *loss;
	ssize_t n;

	if (!trim(ledger, &exact))
		return 0;
	give_up_flights(ledger, exact.from, exact.to);
	n = ledger_finish(ledger, exact.from, exact.to);
	if (n <= 0)
		return n;
	ledger->given_up[loss->why] += n;
	loss_add(&ledger->losses[loss->why], &exact, n);
	return 0;
}

void ledger_lost(struct ledger *ledger, const struct loss *loss)
{
	ledger->taken += loss->count;
	ledger->given_up[loss->why] += loss->count;
	loss_add(&ledger->losses[loss->why], loss, loss->count);
}

void ledger_left_out(struct ledger *ledger, const struct loss *loss)
{
	/* After a power cut one may be kept that counts as lost by that. */
	uint64_t n = loss->count < ledger->refused ? loss->count : ledger->refused;

	if (!n)
		return;
	ledger->refused -= n;
	ledger->given_up[loss->why] += n;
	loss_add(&ledger->losses[loss->why], loss, n);
}

void ledger_untold(struct ledger *ledger, const struct loss *loss)
{
	loss_add(&ledger->losses[loss->why], loss, loss->count);
}
