/* SPDX-License-Identifier: Apache-2.0 */
/* inquiry.c - the requests that a gateway's whole state is asked for by, one after the other. */
#include "tools/inquiry.h"
#include "tools/status_words.h"

static const char *first_of(const cJSON *names)
{
	return cJSON_GetStringValue(cJSON_GetArrayItem(names, 0));
}

static cJSON *request_for(const char *verb, const char *bus, const char *device)
{
	cJSON *request = cJSON_CreateObject();

	cJSON_AddStringToObject(request, "verb", verb);
	if (bus)
		cJSON_AddStringToObject(request, "bus", bus);
	if (device)
		cJSON_AddStringToObject(request, "device", device);
	return request;
}

cJSON *inquiry_request(const struct inquiry *inquiry)
{
	if (!inquiry->status)
		return request_for("status", NULL, NULL);
	if (cJSON_GetArraySize(inquiry->device_names))
		return request_for("device", string_of(inquiry->bus, "bus"),
				   first_of(inquiry->device_names));
	if (cJSON_GetArraySize(inquiry->bus_names))
		return request_for("bus", first_of(inquiry->bus_names), NULL);
	return NULL;
}

/* In place of its name the bus itself, with room for its devices. */
static void take_bus(struct inquiry *inquiry, cJSON *answer)
{
	cJSON *bus = cJSON_DetachItemFromObject(answer, "bus");

	cJSON_DeleteItemFromArray(inquiry->bus_names, 0);
	if (!bus)
		return;
	cJSON_Delete(inquiry->device_names);
	inquiry->device_names = cJSON_DetachItemFromObject(bus, "devices");
	cJSON_AddArrayToObject(bus, "devices");
	cJSON_AddItemToArray(cJSON_GetObjectItem(inquiry->status, "buses"), bus);
	inquiry->bus = bus;
}

static void take_device(struct inquiry *inquiry, cJSON *answer)
{
	cJSON_DeleteItemFromArray(inquiry->device_names, 0);
	cJSON_AddItemToArray(cJSON_GetObjectItem(inquiry->bus, "devices"),
			     cJSON_DetachItemFromObject(answer, "device"));
}

void inquiry_take(struct inquiry *inquiry, cJSON *answer)
{
	if (!inquiry->status) {
		cJSON_DeleteItemFromObject(answer, "ok");
		inquiry->status = answer;
		inquiry->bus_names = cJSON_DetachItemFromObject(answer, "buses");
		cJSON_AddArrayToObject(answer, "buses");
		return;
	}
	if (cJSON_GetArraySize(inquiry->device_names))
		take_device(inquiry, answer);
	else
		take_bus(inquiry, answer);
	cJSON_Delete(answer);
}

void inquiry_done(struct inquiry *inquiry)
{
	cJSON_Delete(inquiry->status);
	cJSON_Delete(inquiry->bus_names);
	cJSON_Delete(inquiry->device_names);
	*inquiry = (struct inquiry){ 0 };
}
