/* SPDX-License-Identifier: Apache-2.0 */
/* sim_faults.c - the faults of simulated devices, and which of them a request meets. */
#include "tools/sim_faults.h"

#include "drivers/modbus.h"

#include <errno.h>

struct sim_fault {
	struct fault_plan plan;
	uint64_t seen; /* requests that it was asked about */
};

int sim_faults_add(struct sim_faults *faults, const struct fault_plan *plan)
{
	struct sim_fault *list = reallocarray(faults->list, faults->count + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	faults->list = list;
	list[faults->count++] = (struct sim_fault){.plan = *plan};
	return 0;
}

void sim_faults_free(struct sim_faults *faults)
{
	free(faults->list);
	*faults = (struct sim_faults){0};
}

const struct fault_plan *sim_faults_due(struct sim_faults *faults, uint8_t address)
{
	const struct fault_plan *due = NULL;

	for (size_t i = 0; i < faults->count; i++) {
		struct sim_fault *fault = &faults->list[i];

		if (fault->plan.address != 0 && fault->plan.address != address)
			continue;
		fault->seen++;
		if (!due &&
		    (fault->plan.every < 2 || fault->seen % fault->plan.every == 0))
			due = &fault->plan;
	}
	return due;
}

uint8_t sim_fault_exception(const struct fault_plan *fault, const struct request *request)
{
	if (fault && fault->kind == FAULT_EXCEPTION)
		return (uint8_t)fault->number;
	if (fault && fault->kind == FAULT_REFUSE && fault->number >= request->first &&
	    fault->number < request->first + request->count)
		return EXCEPTION_ADDRESS;
	return 0;
}
