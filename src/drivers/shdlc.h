/* SPDX-License-Identifier: Apache-2.0 */
/* shdlc.h - bytes that would be taken for a frame's ends or for flow control, and their disguise. */
#pragma once

#include "config/framing.h"

#include <stddef.h>
#include <stdint.h>

/* Writes a frame as it goes over the wire, at most twice as long; how long it is. */
size_t shdlc_stuff(const uint8_t *plain, size_t n, uint8_t *frame);

/*
 * Writes the frame as it was before; how long that is, or 0: it is longer than `size`, or its
 * end is missing.
 */
size_t shdlc_unstuff(const uint8_t *frame, size_t n, uint8_t *plain, size_t size);
