/* SPDX-License-Identifier: Apache-2.0 */
/* store_lmdb.c - LMDB as it is measured: each transaction synced, which is its default. */
#include "store.h"

#include <errno.h>
#include <lmdb.h>

struct data {
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *txn; /* NULL between commits */
	size_t next_seq, oldest_seq, first_seq;
};

static int note(const char *what, int rc)
{
	if (rc)
		fprintf(stderr, "LMDB: %s: %s\n", what, mdb_strerror(rc));
	return rc ? -EIO : 0;
}

static int begin(struct data *data)
{
	return data->txn ? 0 : note("begin", mdb_txn_begin(data->env, NULL, 0, &data->txn));
}

static int data_commit(void *pointer)
{
	struct data *data = pointer;
	MDB_txn *txn = TAKE_PTR(data->txn);

	return txn ? note("commit", mdb_txn_commit(txn)) : 0;
}

static int data_close(void *pointer)
{
	struct data *data = pointer;

	if (!data)
		return 0;
	if (data->txn)
		mdb_txn_abort(data->txn);
	mdb_env_close(data->env);
	free(data);
	return 0;
}

/* The first or the last number there is; where there is none, `seq` stays. */
static int find(struct data *data, MDB_cursor_op which, size_t *seq)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	int rc = mdb_cursor_open(data->txn, data->dbi, &cursor);

	if (rc)
		return note("cursor", rc);
	rc = mdb_cursor_get(cursor, &key, &value, which);
	if (rc == 0)
		memcpy(seq, key.mv_data, sizeof(*seq));
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : note("find", rc);
}

static int open_database(struct data *data)
{
	size_t last = SIZE_MAX;
	int r = begin(data);

	if (r == 0)
		r = note("open", mdb_dbi_open(data->txn, NULL, MDB_CREATE | MDB_INTEGERKEY,
					      &data->dbi));
	if (r == 0)
		r = find(data, MDB_FIRST, &data->oldest_seq);
	if (r == 0)
		r = find(data, MDB_LAST, &last);
	data->next_seq = last + 1;
	data->first_seq = data->oldest_seq;
	return r < 0 ? r : data_commit(data);
}

static int data_open(const char *directory, void **result)
{
	struct data *data = calloc(1, sizeof(*data));
	int r = bench_make_directory(directory);

	if (!data)
		return -ENOMEM;
	if (r == 0)
		r = note("environment", mdb_env_create(&data->env));
	if (r == 0)
		r = note("size", mdb_env_set_mapsize(data->env, STORE_BYTES_MAX));
	if (r == 0)
		r = note(directory, mdb_env_open(data->env, directory, 0, 0600));
	if (r == 0)
		r = open_database(data);
	if (r < 0) {
		data_close(data);
		return r;
	}
	*result = data;
	return 0;
}

static int data_append(void *pointer, const char record[RECORD_SIZE])
{
	struct data *data = pointer;
	MDB_val key = { sizeof(data->next_seq), &data->next_seq };
	MDB_val value = { RECORD_SIZE, (char *)record };
	int r = begin(data);

	if (r == 0)
		r = note("put", mdb_put(data->txn, data->dbi, &key, &value, MDB_APPEND));
	data->next_seq++;
	return r;
}

/* The cursor stands at the oldest record, reads and erases from there on. */
static int take_records(struct data *data, MDB_cursor *cursor, size_t count, bool read)
{
	for (size_t i = 0; i < count; i++, data->oldest_seq++) {
		MDB_val key, value;
		int r = note("next", mdb_cursor_get(cursor, &key, &value,
						    i ? MDB_GET_CURRENT : MDB_FIRST));

		if (r == 0 && memcmp(key.mv_data, &data->oldest_seq, sizeof(data->oldest_seq)))
			r = -ENOENT;
		if (r == 0 && read)
			r = record_check(value.mv_data, value.mv_size,
					 data->oldest_seq - data->first_seq);
		if (r == 0)
			r = note("delete", mdb_cursor_del(cursor, 0));
		if (r < 0)
			return r;
	}
	return 0;
}

static int data_take(void *pointer, size_t count, bool read)
{
	struct data *data = pointer;
	MDB_cursor *cursor;
	int r = begin(data);

	if (r == 0)
		r = note("cursor", mdb_cursor_open(data->txn, data->dbi, &cursor));
	if (r < 0)
		return r;
	r = take_records(data, cursor, count, read);
	mdb_cursor_close(cursor);
	return r;
}

/* Walks all of them; the number alone stands in the tree's root, for what it is worth. */
static int data_count(void *pointer, uint64_t *count)
{
	struct data *data = pointer;
	MDB_cursor *cursor;
	MDB_val key, value;
	MDB_txn *txn;
	int r = note("begin", mdb_txn_begin(data->env, NULL, MDB_RDONLY, &txn));

	*count = 0;
	if (r == 0)
		r = note("cursor", mdb_cursor_open(txn, data->dbi, &cursor));
	if (r < 0)
		return r;
	while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0)
		++*count;
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	return 0;
}

const struct store store_lmdb = {
	.name = "LMDB",
	.how = "each transaction synced",
	.open = data_open,
	.append = data_append,
	.take = data_take,
	.commit = data_commit,
	.count = data_count,
	.close = data_close,
};
