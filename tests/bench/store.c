/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - which stores there are, and the records that are put into them. */
#include "store.h"

#include <errno.h>

const struct store *const stores[] = {
	&store_spool,
	&store_log,
#ifdef HAVE_SQLITE
	&store_sqlite,
#endif
#ifdef HAVE_LMDB
	&store_lmdb,
#endif
	&store_files,
};
const size_t store_count = ARRAY_SIZE(stores);

const struct store *store_find(const char *name)
{
	for (size_t i = 0; i < store_count; i++)
		if (!strcmp(stores[i]->name, name))
			return stores[i];
	return NULL;
}

void record_fill(char record[RECORD_SIZE], uint64_t number)
{
	static const char text[RECORD_SIZE + 1] =
		RECORD_TOPIC "NNNNNNNN\"voltage\":230.2,\"current\":1.31,\"power\":301.5,"
		"\"apparent_power\":310.2,\"reactive_power\":-24.7,\"power_factor\":0.972,"
		"\"frequency\":49.98,\"energy_in\":18231.4,\"energy_out\":0.0,\"x\":1";

	memcpy(record, text, RECORD_SIZE);
	memcpy(record + RECORD_TOPIC_SIZE, &number, sizeof(number));
}

int record_check(const char *bytes, size_t size, uint64_t number)
{
	if (size != RECORD_SIZE || memcmp(bytes, RECORD_TOPIC, RECORD_TOPIC_SIZE) ||
	    memcmp(bytes + RECORD_TOPIC_SIZE, &number, sizeof(number)))
		return -EBADMSG;
	return 0;
}

int store_fill(const struct store *store, void *data, uint64_t count)
{
	enum { BATCH = 1000 };
	char record[RECORD_SIZE];
	int r = 0;

	for (uint64_t i = 0; i < count && r == 0; i++) {
		record_fill(record, i);
		r = store->append(data, record);
		if (r == 0 && (i + 1) % BATCH == 0)
			r = store->commit(data);
	}
	return r < 0 ? r : store->commit(data);
}
