/* SPDX-License-Identifier: Apache-2.0 */
/* fault_plan.h - what goes wrong on a simulated bus, and how often. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
	FAULT_NONE,
	FAULT_SILENT,    /* no answer */
	FAULT_CHECKSUM,  /* a bit of the answer flipped */
	FAULT_SHORT,     /* the answer cut in half */
	FAULT_LATE,      /* the answer comes `time_us` late */
	FAULT_PAUSE,     /* it stops for `time_us` in the middle */
	FAULT_EXCEPTION, /* exception `number` instead of an answer */
	FAULT_REFUSE,    /* exception 2 to requests that read register `number` */
	FAULT_ECHO,      /* what was sent comes back before the answer */
	FAULT_GARBAGE,   /* a byte of nonsense before the answer, and one behind it */
	FAULT_NOISE,     /* nonsense instead of an answer, as from a device at another speed */
	FAULT_BABBLE,    /* nonsense for `time_us` */
	FAULT_TWICE,     /* a second device with the same address answers at the same time */
	FAULT_FOREIGN,   /* the answer says that it is from the next address */
	FAULT_KIND_COUNT,
};

struct fault_plan {
	enum fault_kind kind;
	uint8_t address; /* 0: every device */
	unsigned every;  /* each n-th request; 1: always */
	uint64_t time_us;
	uint16_t number;
};

/*
 * KIND[@ADDRESS][:N], where some kinds take an argument: `late=120ms`, `exception=6`,
 * `refuse=0x46`. False when it is none.
 */
bool fault_plan_parse(const char *text, struct fault_plan *plan) _must_check_;
