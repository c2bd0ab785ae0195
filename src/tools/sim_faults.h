/* SPDX-License-Identifier: Apache-2.0 */
/* sim_faults.h - the faults of simulated devices, and which of them a request meets. */
#pragma once

#include "field/driver.h"
#include "tools/fault_plan.h"

/* Begins as zeros. */
struct sim_faults {
	struct sim_fault *list;
	size_t count;
};

/* 0 or -ENOMEM. */
int sim_faults_add(struct sim_faults *faults, const struct fault_plan *plan) _must_check_;
/* None is left, and others can be added. */
void sim_faults_free(struct sim_faults *faults);

/* The first fault that is due for this request, or NULL. Each counts its requests. */
const struct fault_plan *sim_faults_due(struct sim_faults *faults, uint8_t address);

/* The exception that the fault (NULL: none) has for the request, or 0. */
uint8_t sim_fault_exception(const struct fault_plan *fault, const struct request *request);
