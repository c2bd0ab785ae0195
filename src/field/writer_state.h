/* SPDX-License-Identifier: Apache-2.0 */
/* writer_state.h - what the two files of a writer share. */
#pragma once

#include "field/writer.h"

struct writer {
	const struct bus_config *config;
	struct device *devices;
	struct errands errands;
	struct errand *next;  /* what writer_look() has found */
	struct errand *asked; /* whose request is out */
};

/* The errand begins its next stage, whose request has not been asked yet. */
void errand_enter(struct errand *errand, enum errand_stage stage);

/* The request that writes it and its mates; where it is read first, `data` is what was read. */
void errand_plan_writing(struct errand *errand);

/* As errand_give_up(); but what was set and not cleared stays in hand. */
void writer_give_up(struct writer *writer, struct errand *errand,
		    enum outcome_kind of_write, const char *why, uint64_t now_us);
