/* SPDX-License-Identifier: Apache-2.0 */
/* power_cut.h - the states that a directory may be in when the power fails while it is written. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * What was written and not synced may be on the disk or not, each write for itself, and in
 * part, at a boundary of 512 bytes; likewise what was done to the directory and not followed
 * by a sync of it.
 */

/* Records what is done in the directory, by fake_disk.h, from its present, empty state on. */
void power_record(const char *directory);
/* Operations so far. */
size_t power_operations(void);
/* Ends recording; what was recorded stays until power_forget(). */
void power_stop(void);
void power_forget(void);

/*
 * The power fails now: has the directory be in one of its states, by chance, and goes on
 * recording what is done to it from there.
 */
void power_fail(unsigned chance);

/*
 * For each number of operations, from `from` on, at which the power may fail, and each state that the disk may
 * then be in: has `target`, a directory that is emptied each time, be so, and calls visit()
 * with the number and the state's description. Those that a visit with the same `promises`
 * (of that number of operations) has seen are left out. How many states were visited.
 */
struct power_visitor {
	unsigned (*promises)(size_t operations);
	void (*visit)(size_t operations, const char *state);
};
size_t power_states(const char *target, size_t from, const struct power_visitor *visitor);
