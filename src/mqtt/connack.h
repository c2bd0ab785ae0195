/* SPDX-License-Identifier: Apache-2.0 */
/* connack.h - what CONNACK says before the library gets it; pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	/* So much of it is looked at. */
	CONNACK_MOST = 1024,
};

/*
 * Maximum Packet Size that CONNACK of MQTT 5 says, of which `n` bytes have come; 0: it says
 * none, or not yet, or it is no such packet.
 *
 *     20  length 1…4  session present  reason  length of properties 1…4  properties …
 *                                                                        27 size 4
 */
uint32_t connack_most_bytes(const uint8_t *bytes, size_t n);
