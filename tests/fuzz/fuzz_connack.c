/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_connack.c - any bytes as the CONNACK that is looked at before the library gets it. */
#include "mqtt/connack.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	uint32_t most = connack_most_bytes(bytes, n);

	/* What it found by then, it finds in more of the packet too. */
	for (size_t i = 0; i < n && most; i++) {
		uint8_t *part = malloc(i + 1);
		uint32_t found;

		memcpy(part, bytes, i);
		found = connack_most_bytes(part, i);
		if (found && found != most)
			abort();
		free(part);
	}
	return 0;
}
