/* SPDX-License-Identifier: Apache-2.0 */
/* connack.c - what CONNACK says before the library gets it; pure. */
#include "mqtt/connack.h"

#include <mqtt_protocol.h>

/* A number (MQTT 5.0, 1.5.5), and how many bytes it has; 0: it is cut short, or none. */
static size_t read_number(const uint8_t *bytes, size_t n, size_t *number)
{
	*number = 0;
	for (size_t i = 0; i < n && i < 4; i++) {
		*number |= (size_t)(bytes[i] & 0x7F) << (7 * i);
		if (!(bytes[i] & 0x80))
			return i + 1;
	}
	return 0;
}

/* Of two bytes of length and as many behind; 0: it is cut short. */
static size_t string_size(const uint8_t *bytes, size_t n)
{
	return n < 2 ? 0 : 2 + ((size_t)bytes[0] << 8 | bytes[1]);
}

/* Of what stands behind a property's identifier; 0: not known, or cut short. */
static size_t value_size(const uint8_t *bytes, size_t n)
{
	size_t name, value;

	switch (bytes[0]) {
	case MQTT_PROP_MAXIMUM_QOS:
	case MQTT_PROP_RETAIN_AVAILABLE:
	case MQTT_PROP_WILDCARD_SUB_AVAILABLE:
	case MQTT_PROP_SUBSCRIPTION_ID_AVAILABLE:
	case MQTT_PROP_SHARED_SUB_AVAILABLE:
		return 1;
	case MQTT_PROP_SERVER_KEEP_ALIVE:
	case MQTT_PROP_RECEIVE_MAXIMUM:
	case MQTT_PROP_TOPIC_ALIAS_MAXIMUM:
		return 2;
	case MQTT_PROP_SESSION_EXPIRY_INTERVAL:
	case MQTT_PROP_MAXIMUM_PACKET_SIZE:
		return 4;
	case MQTT_PROP_USER_PROPERTY:
		name = string_size(bytes + 1, n - 1);
		value = name && name < n - 1 ? string_size(bytes + 1 + name, n - 1 - name) : 0;
		return value ? name + value : 0;
	default:
		return string_size(bytes + 1, n - 1);
	}
}

uint32_t connack_most_bytes(const uint8_t *bytes, size_t n)
{
	size_t at, size, length;

	if (n < 2 || bytes[0] != CMD_CONNACK)
		return 0;
	at = 1 + read_number(bytes + 1, n - 1, &length) + 2;
	if (at >= n)
		return 0;
	at += read_number(bytes + at, n - at, &length);
	if (n > at + length)
		n = at + length;
	while (at < n && (size = value_size(bytes + at, n - at)) && size < n - at) {
		const uint8_t *value = bytes + at + 1;

		if (bytes[at] == MQTT_PROP_MAXIMUM_PACKET_SIZE)
			return (uint32_t)value[0] << 24 | value[1] << 16 | value[2] << 8 |
			       value[3];
		at += 1 + size;
	}
	return 0;
}
