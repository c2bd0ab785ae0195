/* SPDX-License-Identifier: Apache-2.0 */
/* topic.c - topic templates such as `{gateway}/{device}`, as users write them. */
#include "config/topic.h"

#include <stdbool.h>
#include <string.h>

/* In the order of struct topic_words. */
static const char *const names[] = {"gateway", "bus", "device", "address", "map"};

/* Which placeholder `{name}` at the brace is, and its length; -1 where it is none. */
static int placeholder(const char *brace, size_t *length)
{
	*length = strcspn(brace, "}") + 1;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i]) == *length - 2 && brace[*length - 1] &&
		    !strncmp(names[i], brace + 1, *length - 2))
			return i;
	}
	return -1;
}

const char *topic_check(const char *format)
{
	size_t length = strlen(format);
	bool brace;

	if (!length || format[0] == '/' || format[length - 1] == '/' || strstr(format, "//"))
		return "every level needs a name, as in {gateway}/{device}";
	if (format[0] == '$')
		return "topics that begin with $ are the broker's own";
	if (strpbrk(format, "+#"))
		return "+ and # are for those who subscribe";
	for (; *format; format += length) {
		brace = *format == '{';
		length = brace ? 0 : strcspn(format, "{");
		if (brace && placeholder(format, &length) < 0)
			return "in braces can stand {gateway}, {bus}, {device}, {address} "
			       "and {map}";
	}
	return NULL;
}

char *topic_fill(const char *format, const struct topic_words *words)
{
	const char *values[] = {words->gateway, words->bus, words->device, words->address,
				words->map};
	char *topic = NULL;
	size_t size, length;
	FILE *out = open_memstream(&topic, &size);

	if (!out)
		return NULL;
	for (; *format; format += length) {
		int index = *format == '{' ? placeholder(format, &length) : -1;

		if (index >= 0) {
			fputs(values[index], out);
			continue;
		}
		length = 1 + strcspn(format + 1, "{");
		fwrite(format, 1, length, out);
	}
	if (fclose(out)) {
		free(topic);
		return NULL;
	}
	return topic;
}
