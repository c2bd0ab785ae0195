/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - what the broker's reason codes mean for a message or a link; pure. */
#include "mqtt/answer.h"

#include <mqtt_protocol.h>

enum answer answer_to_publish(unsigned reason)
{
	switch (reason) {
	case MQTT_RC_UNSPECIFIED:
	case MQTT_RC_IMPLEMENTATION_SPECIFIC:
	case MQTT_RC_PACKET_ID_IN_USE:
	case MQTT_RC_QUOTA_EXCEEDED:
		return ANSWER_LATER;
	default:
		return reason < MQTT_RC_UNSPECIFIED ? ANSWER_TAKEN : ANSWER_NEVER;
	}
}

const char *answer_words(unsigned reason)
{
	switch (reason) {
	case MQTT_RC_NOT_AUTHORIZED:
		return "not authorized";
	case MQTT_RC_TOPIC_NAME_INVALID:
		return "topic name invalid";
	case MQTT_RC_PACKET_TOO_LARGE:
		return "packet too large";
	case MQTT_RC_PAYLOAD_FORMAT_INVALID:
		return "payload format invalid";
	default:
		return "refused";
	}
}
