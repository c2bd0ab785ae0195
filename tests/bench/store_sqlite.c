/* SPDX-License-Identifier: Apache-2.0 */
/* store_sqlite.c - SQLite as it is measured: write-ahead log, synchronous = FULL. */
#include "store.h"

#include <errno.h>
#include <sqlite3.h>

/* What a commit asks for stays the same: prepared once. */
enum statement {
	BEGIN,
	COMMIT,
	INSERT,
	SELECT,
	DELETE,
	COUNT,
	STATEMENTS,
};

static const char *const sql[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[INSERT] = "INSERT INTO message (seq, record) VALUES (?, ?)",
	[SELECT] = "SELECT seq, record FROM message WHERE seq >= ? ORDER BY seq LIMIT ?",
	[DELETE] = "DELETE FROM message WHERE seq BETWEEN ? AND ?",
	[COUNT] = "SELECT count(*) FROM message",
};

struct data {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	sqlite3_int64 next_seq, oldest_seq, first_seq;
	bool begun;
};

/* Runs a statement that gives no rows, or one. */
static int run(struct data *data, enum statement which)
{
	sqlite3_stmt *statement = data->statements[which];
	int rc = sqlite3_step(statement);

	sqlite3_reset(statement);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		fprintf(stderr, "SQLite: %s: %s\n", sql[which], sqlite3_errmsg(data->db));
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -EIO;
}

static int data_close(void *pointer)
{
	struct data *data = pointer;
	int rc;

	if (!data)
		return 0;
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(data->statements[i]);
	rc = sqlite3_close(data->db);
	free(data);
	return rc ? -EIO : 0;
}

/*
 * One process has the store, so the log's index is kept in memory and nothing is locked
 * between transactions. The rest are the defaults, which suit it.
 */
static const char set_up[] =
	"PRAGMA locking_mode = EXCLUSIVE;"
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = FULL;"
	"CREATE TABLE IF NOT EXISTS message (seq INTEGER PRIMARY KEY, record BLOB NOT NULL);";

static int read_range(struct data *data)
{
	sqlite3_stmt *statement;
	int rc = sqlite3_prepare_v2(data->db, "SELECT min(seq), max(seq) FROM message", -1,
				    &statement, NULL);

	if (rc)
		return -EIO;
	rc = sqlite3_step(statement);
	data->oldest_seq = sqlite3_column_int64(statement, 0);
	if (sqlite3_column_type(statement, 1) != SQLITE_NULL)
		data->next_seq = sqlite3_column_int64(statement, 1) + 1;
	data->first_seq = data->oldest_seq;
	sqlite3_finalize(statement);
	return rc == SQLITE_ROW ? 0 : -EIO;
}

static int data_open(const char *directory, void **result)
{
	struct data *data = calloc(1, sizeof(*data));
	char path[BENCH_PATH_MAX];
	int r = bench_make_directory(directory), rc;

	if (!data)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/messages.db", directory);
	rc = sqlite3_open(path, &data->db);
	if (rc == 0)
		rc = sqlite3_exec(data->db, set_up, NULL, NULL, NULL);
	for (size_t i = 0; i < STATEMENTS && rc == 0; i++)
		rc = sqlite3_prepare_v3(data->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					&data->statements[i], NULL);
	if (r == 0)
		r = rc ? -EIO : read_range(data);
	if (r < 0) {
		fprintf(stderr, "SQLite: %s: %s\n", path, sqlite3_errmsg(data->db));
		data_close(data);
		return r;
	}
	*result = data;
	return 0;
}

static int begin(struct data *data)
{
	int r = data->begun ? 0 : run(data, BEGIN);

	data->begun = true;
	return r;
}

static int data_append(void *pointer, const char record[RECORD_SIZE])
{
	struct data *data = pointer;
	sqlite3_stmt *insert = data->statements[INSERT];
	int r = begin(data);

	if (r < 0)
		return r;
	sqlite3_bind_int64(insert, 1, data->next_seq++);
	sqlite3_bind_blob(insert, 2, record, RECORD_SIZE, SQLITE_STATIC);
	return run(data, INSERT);
}

static int read_records(struct data *data, size_t count)
{
	sqlite3_stmt *select = data->statements[SELECT];
	sqlite3_int64 seq = data->oldest_seq;
	int r = 0;

	sqlite3_bind_int64(select, 1, seq);
	sqlite3_bind_int64(select, 2, count);
	for (size_t i = 0; i < count && r == 0; i++, seq++) {
		if (sqlite3_step(select) != SQLITE_ROW ||
		    sqlite3_column_int64(select, 0) != seq)
			r = -ENOENT;
		else
			r = record_check(sqlite3_column_blob(select, 1),
					 sqlite3_column_bytes(select, 1),
					 seq - data->first_seq);
	}
	sqlite3_reset(select);
	return r;
}

static int data_take(void *pointer, size_t count, bool read)
{
	struct data *data = pointer;
	sqlite3_stmt *delete = data->statements[DELETE];
	int r = begin(data);

	if (r == 0 && read)
		r = read_records(data, count);
	if (r < 0)
		return r;
	sqlite3_bind_int64(delete, 1, data->oldest_seq);
	data->oldest_seq += count;
	sqlite3_bind_int64(delete, 2, data->oldest_seq - 1);
	return run(data, DELETE);
}

static int data_commit(void *pointer)
{
	struct data *data = pointer;

	if (!data->begun)
		return 0;
	data->begun = false;
	return run(data, COMMIT);
}

static int data_count(void *pointer, uint64_t *count)
{
	struct data *data = pointer;
	sqlite3_stmt *statement = data->statements[COUNT];
	int rc = sqlite3_step(statement);

	*count = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return rc == SQLITE_ROW ? 0 : -EIO;
}

const struct store store_sqlite = {
	.name = "SQLite",
	.how = "write-ahead log, synchronous = FULL",
	.open = data_open,
	.append = data_append,
	.take = data_take,
	.commit = data_commit,
	.count = data_count,
	.close = data_close,
};
