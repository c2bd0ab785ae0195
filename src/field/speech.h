/* SPDX-License-Identifier: Apache-2.0 */
/* speech.h - what devices that speak in units say: bytes to units, units to values. */
#pragma once

#include "field/device.h"
#include "field/port.h"

struct speech {
	uint8_t bytes[2 * UNIT_MAX]; /* received and not yet taken to pieces … */
	size_t length, taken;        /* … but for so many of them */
	struct reading *readings;    /* the values of the unit that was taken last */
	uint64_t refused[REPLY_STATUS_COUNT]; /* since the device was last understood */
	uint64_t foreign;                     /* units without any of its points, since then */
};

/* For the devices of this bus, one at a time. 0 or -ENOMEM. */
int speech_init(struct speech *speech, const struct bus_config *config) _must_check_;
void speech_done(struct speech *speech);

/* Adds what the port has received: how many bytes, 0 for none now, -errno. */
ssize_t speech_receive(struct speech *speech, struct port *port) _must_check_;
/* Forgets bytes that were received. */
void speech_clear(struct speech *speech);

/*
 * Takes our own bytes off the beginning, where the adapter echoes them. False: they are not
 * all there yet. Something else in their place is left.
 */
bool speech_strip(struct speech *speech, const uint8_t *own, size_t n);

/*
 * Takes the next unit off; false: there is no whole one. *count of its values, which may be 0,
 * are in .readings. What is none is counted. `cut`: what waits for more gets no more, and
 * leaves its first byte.
 */
bool speech_next(struct speech *speech, struct device *device, bool cut, size_t *count);

/* Counts what was refused; a device that is understood begins anew. */
void speech_refuse(struct speech *speech, struct device *device, enum reply_status status);
void speech_understood(struct speech *speech);

/* "garbage 312, checksum 4", or that nothing came at all: what is wrong with the cable. */
void speech_describe(const struct speech *speech, char *text, size_t size);
