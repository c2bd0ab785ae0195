/* SPDX-License-Identifier: Apache-2.0 */
/* entity.h - what Home Assistant makes of a point, and how it finds and sets the value; pure. */
#pragma once

#include "bridge/catalog.h"
#include "bridge/number.h"

enum component {
	COMPONENT_NUMBER_SENSOR,
	COMPONENT_TEXT_SENSOR,
	COMPONENT_ENUM_SENSOR, /* one of some words */
	COMPONENT_BINARY_SENSOR,
	/* of points that can be written */
	COMPONENT_NUMBER,
	COMPONENT_TEXT,
	COMPONENT_SELECT,
	COMPONENT_SWITCH,
	COMPONENT_BUTTON,
};

/* An entity while it is written; without a device and a point it is the gateway. */
struct entity {
	const struct catalog *catalog;
	const struct catalog_device *device;
	const struct point *point;
	enum component component;
};

/* Of a point, by what it is and whether it can be written. */
enum component component_of(const struct point *point);
/* "sensor", as it stands in topics. */
const char *component_name(enum component component);

/* Appends `,"key":"value"` to an object that has members. */
void entity_member(const char *key, const char *value, struct text *text);

/*
 * Appends the members that say of what kind the point is, where it is read, and where and how
 * it is set.
 */
void entity_kind(const struct entity *entity, struct text *text);
void entity_state(const struct entity *entity, struct text *text);
void entity_command(const struct entity *entity, struct text *text);
