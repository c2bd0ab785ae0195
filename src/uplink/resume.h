/* SPDX-License-Identifier: Apache-2.0 */
/* resume.h - how a new MQTT client takes over what is in doubt; pure. */
#pragma once

#include "uplink/ledger.h"

/*
 * The doubt that a crash or a lost link leaves, by the state that the journal holds for a
 * message in flight (us left, broker right):
 *
 *     journal: sent ── PUBLISH(mid, QoS 1) ─▶      FLIGHT_SENT: the broker has it or not.
 *              done ◀─ PUBACK(mid) ───────────     PUBLISH again, same mid, DUP set.
 *
 *     journal: sent ── PUBLISH(mid, QoS 2) ─▶      FLIGHT_SENT: the same; the broker knows
 *          released ◀─ PUBREC(mid) ───────────     the mid and takes it once.
 *                   ── PUBREL(mid) ──────────▶     FLIGHT_RELEASED: the broker has it, and
 *              done ◀─ PUBCOMP(mid) ──────────     may have passed it on: PUBREL only.
 *
 *     journal: dropped                             FLIGHT_GIVEN_UP: the message is finished,
 *                   ── PUBREL(mid) ──────────▶     and the broker may hold the mid: PUBREL
 *              done ◀─ PUBCOMP(mid) ──────────     only, which is answered in any case.
 *
 * A note is on disk before the packet below it leaves. libmosquitto gives out packet
 * identifiers by counting, 1 to 65,535 and round again, and a publish that fails for want of
 * a connection uses one up; so a new client is brought to any identifier by burning those
 * before it.
 */
struct resume_step {
	size_t flight; /* index into the flights */
	uint16_t burn; /* identifiers to use up before it is published */
};

/*
 * Which flights are to be published again and after burning how many identifiers, in order,
 * for a client whose counter stands at 0. Writes at most `count` steps and returns their
 * number; *burn_last: identifiers to burn behind them, so that the counter stands at
 * `last_mid` and no new message takes an identifier that the broker may still hold.
 */
size_t resume_plan(const struct flight *flights, size_t count, uint16_t last_mid,
		   struct resume_step *steps, uint16_t *burn_last);

/* The identifier that the counter gives after `mid`. */
uint16_t resume_next_mid(uint16_t mid);

/*
 * Whether the counter, standing at `last_mid`, may give out one more: not when it would come
 * near an identifier that has been in flight since the last round.
 */
bool resume_may_publish(const struct flight *flights, size_t count, uint16_t last_mid);
