/* SPDX-License-Identifier: Apache-2.0 */
/* answer.h - what the broker's reason codes mean for a message or a link; pure. */
#pragma once

enum answer {
	ANSWER_TAKEN, /* the broker has it */
	ANSWER_LATER, /* not now: publish it again after a while */
	ANSWER_NEVER, /* asked again, it would say the same: set the message aside */
};

/* A reason to refuse a message, in words. */
const char *answer_words(unsigned reason);

/* Of a PUBACK's or PUBREC's reason code (MQTT 5.0, 3.4.2.1 and 3.5.2.1; 0 before MQTT 5). */
enum answer answer_to_publish(unsigned reason);
