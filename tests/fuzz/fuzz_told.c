/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_told.c - what Home Assistant was told: any text is read, and comes back as it was read. */
#include "uplink/told.h"

#include <string.h>

/* As told.c writes it. */
static char *print(const struct told *told, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	if (!out)
		abort();
	fprintf(out, "postbus discovery 1\n");
	if (told->pending.seq)
		fprintf(out, "pending %llu %llu %llu\n", (unsigned long long)told->pending.seq,
			(unsigned long long)told->pending.given_up,
			(unsigned long long)told->pending.count);
	for (size_t i = 0; i < told->count; i++)
		fprintf(out, "%016llx %s\n", (unsigned long long)told->entries[i].hash,
			told->entries[i].topic);
	if (fclose(out))
		abort();
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct told told = { 0 }, again = { 0 };
	size_t size;
	char *text;

	if (told_parse((const char *)bytes, n, &told) < 0)
		abort();
	text = print(&told, &size);
	if (told_parse(text, size, &again) < 0 || again.count != told.count ||
	    again.pending.seq != told.pending.seq)
		abort();
	for (size_t i = 0; i < told.count; i++)
		if (!told_find(&again, told.entries[i].topic))
			abort();
	free(text);
	told_done(&told);
	told_done(&again);
	return 0;
}
