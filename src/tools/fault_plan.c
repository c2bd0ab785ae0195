/* SPDX-License-Identifier: Apache-2.0 */
/* fault_plan.c - what goes wrong on a simulated bus, and how often. */
#include "tools/fault_plan.h"

#include "base/units.h"

#include <errno.h>
#include <string.h>

enum { ADDRESS_MOST = 247 }; /* Modbus over Serial Line V1.02, 2.2 */

enum argument {
	NO_ARGUMENT,
	DURATION,
	NUMBER,
};

static const struct {
	const char *name;
	enum argument argument;
	unsigned long least, most; /* of a number */
} kinds[FAULT_KIND_COUNT] = {
	[FAULT_NONE] = {"", NO_ARGUMENT, 0, 0},
	[FAULT_SILENT] = {"silent", NO_ARGUMENT, 0, 0},
	[FAULT_CHECKSUM] = {"checksum", NO_ARGUMENT, 0, 0},
	[FAULT_SHORT] = {"short", NO_ARGUMENT, 0, 0},
	[FAULT_LATE] = {"late", DURATION, 0, 0},
	[FAULT_PAUSE] = {"pause", DURATION, 0, 0},
	[FAULT_EXCEPTION] = {"exception", NUMBER, 1, 255},
	[FAULT_REFUSE] = {"refuse", NUMBER, 0, UINT16_MAX},
	[FAULT_ECHO] = {"echo", NO_ARGUMENT, 0, 0},
	[FAULT_GARBAGE] = {"garbage", NO_ARGUMENT, 0, 0},
	[FAULT_NOISE] = {"noise", NO_ARGUMENT, 0, 0},
	[FAULT_BABBLE] = {"babble", DURATION, 0, 0},
	[FAULT_TWICE] = {"twice", NO_ARGUMENT, 0, 0},
	[FAULT_FOREIGN] = {"foreign", NO_ARGUMENT, 0, 0},
};

/* A whole number, decimal or 0x and hexadecimal, and nothing else. */
static bool parse_number(const char *text, unsigned long least, unsigned long most,
			 unsigned long *number)
{
	int base = strncmp(text, "0x", 2) ? 10 : 16;
	char *end;

	errno = 0;
	*number = strtoul(text, &end, base);
	return *text >= '0' && *text <= '9' && !*end && !errno && *number >= least &&
	       *number <= most;
}

/* KIND, or KIND=ARGUMENT where it takes one. */
static bool parse_kind(char *word, struct fault_plan *plan)
{
	char *argument = strchr(word, '=');
	unsigned long number;

	if (argument)
		*argument++ = '\0';
	for (size_t i = FAULT_NONE + 1; i < FAULT_KIND_COUNT; i++)
		if (!strcmp(word, kinds[i].name))
			plan->kind = (enum fault_kind)i;
	if (plan->kind == FAULT_NONE ||
	    !argument != (kinds[plan->kind].argument == NO_ARGUMENT))
		return false;
	if (!argument)
		return true;
	if (kinds[plan->kind].argument == DURATION)
		return parse_duration(argument, &plan->time_us) == 0;
	if (!parse_number(argument, kinds[plan->kind].least, kinds[plan->kind].most, &number))
		return false;
	plan->number = (uint16_t)number;
	return true;
}

bool fault_plan_parse(const char *text, struct fault_plan *plan)
{
	char word[64];
	char *every, *address;
	unsigned long number = 0;

	if (strlen(text) >= sizeof(word))
		return false;
	strcpy(word, text);
	*plan = (struct fault_plan){.every = 1};
	every = strchr(word, ':');
	if (every) {
		*every++ = '\0';
		if (!parse_number(every, 1, UINT32_MAX, &number))
			return false;
		plan->every = (unsigned)number;
	}
	address = strchr(word, '@');
	if (address) {
		*address++ = '\0';
		if (!parse_number(address, 1, ADDRESS_MOST, &number))
			return false;
		plan->address = (uint8_t)number;
	}
	return parse_kind(word, plan);
}
