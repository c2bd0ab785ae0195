/* SPDX-License-Identifier: Apache-2.0 */
/* inquiry.h - the requests that a gateway's whole state is asked for by, one after the other. */
#pragma once

#include <cjson/cJSON.h>

/*
 *     ▶ {"verb":"status"}
 *     ▶ {"verb":"bus","bus":"cellar"}
 *     ▶ {"verb":"device","bus":"cellar","device":"meter-1"}  …
 *
 * It begins as zeros, and waits for nothing: who has it sends each request, and says what the
 * answer was. A bus or a device that is gone by then is left out.
 */
struct inquiry {
	cJSON *status;       /* what is known so far; NULL: nothing */
	cJSON *bus_names;    /* that are still to be asked for */
	cJSON *bus;          /* of the status: … */
	cJSON *device_names; /* … its devices that are still to be asked for */
};

/* The next request, the caller's to be deleted; NULL: `status` is whole, and may be taken. */
cJSON *inquiry_request(const struct inquiry *inquiry);
/* Takes its answer over. */
void inquiry_take(struct inquiry *inquiry, cJSON *answer);
void inquiry_done(struct inquiry *inquiry);
