/* SPDX-License-Identifier: Apache-2.0 */
/* identify.c - which shipped maps a device is the model of. */
#include "tools/identify.h"
#include "config/identity.h"

#include <errno.h>

enum { ATTEMPTS = 2 };

struct identifier {
	const struct device_map **maps; /* sorted by the register that they name */
	size_t count;
};

static int by_register(const void *a, const void *b)
{
	const struct device_map *first = *(const struct device_map *const *)a;
	const struct device_map *second = *(const struct device_map *const *)b;

	if (first->identity.table != second->identity.table)
		return first->identity.table < second->identity.table ? -1 : 1;
	if (first->identity.addr != second->identity.addr)
		return first->identity.addr < second->identity.addr ? -1 : 1;
	return (int)identity_registers(&first->identity) -
	       (int)identity_registers(&second->identity);
}

struct identifier *identifier_new(struct map_library *library)
{
	_cleanup_(identifier_freep) struct identifier *identifier =
		calloc(1, sizeof(*identifier));
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_(map_names_freep) char **names = map_library_names(library);
	size_t count = 0;

	while (names && names[count])
		count++;
	if (identifier)
		identifier->maps = calloc(count + 1, sizeof(*identifier->maps));
	for (size_t i = 0; faults && identifier && identifier->maps && i < count; i++) {
		_cleanup_free_ char *suggestion = NULL;
		const struct device_map *map;

		if (map_library_get(library, names[i], &map, &suggestion, faults) == 0 &&
		    identity_registers(&map->identity))
			identifier->maps[identifier->count++] = map;
	}
	if (!identifier || !identifier->maps || !faults)
		return NULL;
	qsort(identifier->maps, identifier->count, sizeof(*identifier->maps), by_register);
	return TAKE_PTR(identifier);
}

void identifier_free(struct identifier *identifier)
{
	if (!identifier)
		return;
	free(identifier->maps);
	free(identifier);
}

ssize_t identifier_ask(struct identifier *identifier, struct asker *asker, uint8_t address,
		       const struct device_map **maps, size_t most)
{
	struct reply reply = {0};
	size_t found = 0;
	int r = -ENOENT;

	for (size_t i = 0; i < identifier->count && found < most; i++) {
		const struct device_map *map = identifier->maps[i];
		const struct request request = {
			.address = address,
			.table = map->identity.table,
			.first = map->identity.addr,
			.count = identity_registers(&map->identity),
		};

		if (i == 0 || by_register(&identifier->maps[i - 1], &map))
			r = asker_ask(asker, driver_find(map->driver), &request, ATTEMPTS, &reply);
		if (r < 0 && r != -ETIMEDOUT && r != -EBADMSG)
			return r;
		if (r == 0 && reply.status == REPLY_OK &&
		    identity_fits(&map->identity, reply.data, reply.data_length))
			maps[found++] = map;
	}
	return (ssize_t)found;
}
