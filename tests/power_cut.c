/* SPDX-License-Identifier: Apache-2.0 */
/* power_cut.c - the states that a directory may be in when the power fails while it is written. */
#include "power_cut.h"
#include "base/cleanup.h"
#include "fake_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum {
	FILES_MAX = 16,
	FILE_SIZE_MAX = 512 * 1024,
	OPERATIONS_MAX = 8192,
	PENDING_MAX = 64,
	SECTOR = 512,
	/* Boundaries at which a write is torn, where it has more. */
	TEARS_MAX = 8,
	NAME_LENGTH = 32,
};

struct operation {
	enum disk_op op;
	unsigned file;     /* DISK_WRITE, DISK_SYNC, DISK_CREATE; DIRECTORY: of that */
	char name[NAME_LENGTH], new_name[NAME_LENGTH];
	uint8_t *bytes;
	size_t n, offset;
	size_t durable; /* as many operations have to be done for it to be so */
};

enum { DIRECTORY = FILES_MAX, NO_FILE };

struct image {
	uint8_t bytes[FILE_SIZE_MAX];
	size_t size, used; /* behind `used` are zeros */
};

/* One of the states: which of what is pending is kept; of one write, these bytes only. */
struct state {
	bool keep[PENDING_MAX];
	size_t torn, from, to; /* SIZE_MAX: none is */
	char text[96];
};

static struct operation operations[OPERATIONS_MAX];
static size_t operation_count, file_count;
static ino_t inodes[FILES_MAX + 1];
static const char *recorded; /* directory */
static size_t pending[PENDING_MAX], pending_count;
static struct image durable[FILES_MAX], image;
static uint64_t *seen;
static size_t seen_count, seen_room;

/* --- recording --- */

static unsigned file_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		abort();
	if (st.st_ino == inodes[DIRECTORY])
		return DIRECTORY;
	for (unsigned i = 0; i < file_count; i++)
		if (inodes[i] == st.st_ino)
			return i;
	return NO_FILE;
}

static unsigned add_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || file_count == FILES_MAX)
		abort();
	inodes[file_count] = st.st_ino;
	return file_count++;
}

static void record(const struct disk_call *call, ssize_t result)
{
	struct operation *added = &operations[operation_count];

	if (result < 0 || call->op == DISK_OPEN || call->op == DISK_READ)
		return;
	*added = (struct operation){
		.op = call->op, .offset = call->offset, .durable = SIZE_MAX,
	};
	added->file = file_of(call->fd);
	if (added->file == NO_FILE)
		return;
	if (call->op == DISK_CREATE)
		added->file = add_file(result);
	if (call->name)
		snprintf(added->name, sizeof(added->name), "%s", call->name);
	if (call->new_name)
		snprintf(added->new_name, sizeof(added->new_name), "%s", call->new_name);
	if (call->op == DISK_WRITE) {
		added->n = result;
		added->bytes = malloc(result + 1);
		memcpy(added->bytes, call->bytes, result);
	}
	if (++operation_count == OPERATIONS_MAX)
		abort();
}

void power_record(const char *directory)
{
	struct stat st;

	if (stat(directory, &st) < 0)
		abort();
	inodes[DIRECTORY] = st.st_ino;
	recorded = directory;
	fake_disk = (struct fake_disk){ .after = record };
}

size_t power_operations(void)
{
	return operation_count;
}

void power_stop(void)
{
	fake_disk = (struct fake_disk){ 0 };
}

void power_forget(void)
{
	for (size_t i = 0; i < operation_count; i++)
		free(operations[i].bytes);
	operation_count = file_count = 0;
	free(seen);
	seen = NULL;
	seen_count = seen_room = 0;
}

static bool is_of_directory(const struct operation *operation)
{
	return operation->op != DISK_WRITE && operation->op != DISK_SYNC;
}

/* A sync has all be durable that was done before to its file, or to the directory. */
static void find_durable(void)
{
	for (size_t i = 0; i < operation_count; i++) {
		struct operation *sync = &operations[i];

		if (sync->op != DISK_SYNC)
			continue;
		for (size_t j = 0; j < i; j++) {
			struct operation *before = &operations[j];
			bool covers = sync->file == DIRECTORY
					      ? is_of_directory(before)
					      : before->op == DISK_WRITE &&
							before->file == sync->file;

			if (covers && before->durable > i + 1)
				before->durable = i + 1;
		}
		sync->durable = 0;
	}
}

/* --- a state --- */

static void apply(struct image *to, const struct operation *write, size_t from, size_t end)
{
	if (write->offset + end > FILE_SIZE_MAX)
		abort();
	memcpy(to->bytes + write->offset + from, write->bytes + from, end - from);
	if (write->offset + end > to->size)
		to->size = write->offset + end;
	while (end > from && !write->bytes[end - 1])
		end--;
	if (end > from && write->offset + end > to->used)
		to->used = write->offset + end;
}

static bool is_kept(const struct state *state, size_t number)
{
	for (size_t i = 0; i < pending_count; i++)
		if (pending[i] == number)
			return state->keep[i];
	return true;
}

/* What the file holds in this state, in `image`. */
static void build_file(const struct state *state, unsigned file)
{
	memset(image.bytes, 0, image.used);
	image.used = image.size = 0;
	if (file == DIRECTORY)
		return;
	memcpy(image.bytes, durable[file].bytes, durable[file].used);
	image.used = durable[file].used;
	image.size = durable[file].size;
	for (size_t i = 0; i < pending_count; i++) {
		const struct operation *write = &operations[pending[i]];

		if (write->op != DISK_WRITE || write->file != file || !state->keep[i])
			continue;
		if (state->torn == i)
			apply(&image, write, state->from, state->to);
		else
			apply(&image, write, 0, write->n);
	}
}

struct entry {
	char name[NAME_LENGTH];
	unsigned file; /* DIRECTORY: a symbolic link, which leads nowhere */
};

static void remove_entry(struct entry *entries, size_t *count, const char *name)
{
	for (size_t i = 0; i < *count; i++)
		if (!strcmp(entries[i].name, name))
			entries[i--] = entries[--*count];
}

static size_t build_entries(const struct state *state, size_t done,
			    struct entry entries[2 * FILES_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < done; i++) {
		const struct operation *operation = &operations[i];
		unsigned file = operation->file;

		if (!is_of_directory(operation) || !is_kept(state, i))
			continue;
		for (size_t j = 0; operation->op == DISK_RENAME && j < count; j++)
			if (!strcmp(entries[j].name, operation->name))
				file = entries[j].file;
		remove_entry(entries, &count, operation->name);
		if (operation->op == DISK_UNLINK)
			continue;
		remove_entry(entries, &count, operation->new_name);
		entries[count] = (struct entry){ .file = file };
		strcpy(entries[count++].name, operation->op == DISK_RENAME
						      ? operation->new_name
						      : operation->name);
	}
	return count;
}

static void empty(int directory)
{
	DIR *entries = fdopendir(dup(directory));
	struct dirent *entry;

	rewinddir(entries);
	while ((entry = readdir(entries)))
		(void)unlinkat(directory, entry->d_name, 0);
	closedir(entries);
}

static void put(int directory, const struct entry *entry)
{
	_cleanup_close_ int fd = -1;

	if (entry->file == DIRECTORY) {
		if (symlinkat("/dev/shm/lost-with-the-power", directory, entry->name) < 0)
			abort();
		return;
	}
	fd = openat(directory, entry->name, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || pwrite(fd, image.bytes, image.used, 0) != (ssize_t)image.used ||
	    ftruncate(fd, image.size) < 0)
		abort();
}

/* Builds it in the directory; a checksum of all that is in there. */
static uint64_t build(const struct state *state, size_t done, int directory)
{
	struct entry entries[2 * FILES_MAX];
	size_t count = build_entries(state, done, entries);
	uint64_t sum = 0;

	empty(directory);
	for (size_t i = 0; i < count; i++) {
		build_file(state, entries[i].file);
		put(directory, &entries[i]);
		sum += XXH3_64bits_withSeed(image.bytes, image.used,
					    XXH3_64bits(entries[i].name,
							strlen(entries[i].name)) ^
						    image.size);
	}
	return sum;
}

static bool was_seen(uint64_t sum)
{
	for (size_t i = seen_count; i > 0; i--)
		if (seen[i - 1] == sum)
			return true;
	if (seen_count == seen_room) {
		seen_room = seen_room ? seen_room * 2 : 1024;
		seen = reallocarray(seen, seen_room, sizeof(*seen));
	}
	seen[seen_count++] = sum;
	return false;
}

/* --- all states --- */

struct search {
	const struct power_visitor *visitor;
	int directory;
	size_t done; /* operations */
	size_t states;
};

static void try(struct search *search, const struct state *state)
{
	uint64_t sum = build(state, search->done, search->directory);

	if (was_seen(sum ^ search->visitor->promises(search->done)))
		return;
	search->states++;
	search->visitor->visit(search->done, state->text);
}

/* The first `kept` of what is pending, and `more`, and not `less`; SIZE_MAX: no such. */
static struct state some(size_t kept, size_t more, size_t less, const char *text)
{
	struct state state = { .torn = SIZE_MAX };

	for (size_t i = 0; i < pending_count; i++)
		state.keep[i] = (i < kept || i == more) && i != less;
	snprintf(state.text, sizeof(state.text), "%s", text);
	return state;
}

/* A write of which the first or the last sectors are on the disk, with or without the rest. */
static void try_torn(struct search *search, size_t i)
{
	const struct operation *write = &operations[pending[i]];
	size_t first = SECTOR - write->offset % SECTOR, sectors, step;

	if (write->op != DISK_WRITE || write->n <= first)
		return;
	sectors = (write->n - first + SECTOR - 1) / SECTOR;
	step = sectors > TEARS_MAX ? sectors / TEARS_MAX : 1;
	for (size_t t = 0; t < sectors; t += step) {
		size_t at = first + t * SECTOR;

		for (unsigned way = 0; way < 4; way++) {
			struct state state = some(way & 1 ? pending_count : i, i, SIZE_MAX, "");

			state.torn = i;
			state.from = way & 2 ? at : 0;
			state.to = way & 2 ? write->n : at;
			snprintf(state.text, sizeof(state.text),
				 "of write %zu bytes %zu to %zu, %s what followed",
				 pending[i], state.from, state.to,
				 way & 1 ? "with" : "without");
			try(search, &state);
		}
	}
}

static void try_all(struct search *search)
{
	struct state state = some(0, SIZE_MAX, SIZE_MAX, "nothing unsynced");
	char text[96];

	try(search, &state);
	for (size_t i = 0; i < pending_count; i++) {
		snprintf(text, sizeof(text), "unsynced up to %zu", pending[i]);
		state = some(i + 1, SIZE_MAX, SIZE_MAX, text);
		try(search, &state);
		snprintf(text, sizeof(text), "of unsynced only %zu", pending[i]);
		state = some(0, i, SIZE_MAX, text);
		try(search, &state);
		snprintf(text, sizeof(text), "unsynced but not %zu", pending[i]);
		state = some(pending_count, SIZE_MAX, i, text);
		try(search, &state);
		try_torn(search, i);
	}
}

/* What became durable by the last operation leaves what is pending; the others are in it. */
static void go_on(size_t done)
{
	size_t kept = 0;

	if (done && operations[done - 1].op != DISK_SYNC)
		pending[pending_count++] = done - 1;
	if (pending_count == PENDING_MAX)
		abort();
	for (size_t i = 0; i < pending_count; i++) {
		const struct operation *operation = &operations[pending[i]];

		if (operation->durable > done)
			pending[kept++] = pending[i];
		else if (operation->op == DISK_WRITE)
			apply(&durable[operation->file], operation, 0, operation->n);
	}
	pending_count = kept;
}

/* Looks at what was done up to then. */
static void go_to(size_t done)
{
	find_durable();
	pending_count = 0;
	memset(durable, 0, sizeof(durable));
	for (size_t i = 0; i <= done; i++)
		go_on(i);
}

/* The files are others now, with the same names. */
static void find_files(int at, const struct state *state)
{
	struct entry entries[2 * FILES_MAX];
	size_t count = build_entries(state, operation_count, entries);

	memset(inodes, 0, DIRECTORY * sizeof(*inodes));
	for (size_t i = 0; i < count; i++) {
		struct stat st;

		if (entries[i].file == DIRECTORY)
			continue;
		if (fstatat(at, entries[i].name, &st, 0) < 0)
			abort();
		inodes[entries[i].file] = st.st_ino;
	}
}

/* Of the last write only what is in its first sector is kept. */
static void tear_last(struct state *state)
{
	struct operation *write = &operations[pending[pending_count - 1]];
	size_t first = SECTOR - write->offset % SECTOR;

	if (write->op != DISK_WRITE || write->n <= first)
		return;
	state->keep[pending_count - 1] = true;
	write->n = first;
}

void power_fail(unsigned chance)
{
	_cleanup_close_ int at = open(recorded, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct state state = { .torn = SIZE_MAX };

	power_stop();
	go_to(operation_count);
	for (size_t i = 0; i < pending_count; i++, chance /= 2)
		state.keep[i] = chance % 2;
	if (pending_count && chance % 4)
		tear_last(&state);
	build(&state, operation_count, at);
	find_files(at, &state);
	/* What was kept is on the disk for good, and what was lost was never done. */
	for (size_t i = 0; i < pending_count; i++) {
		struct operation *operation = &operations[pending[i]];

		if (state.keep[i]) {
			operation->durable = operation_count;
			continue;
		}
		operation->op = DISK_SYNC;
		operation->file = NO_FILE;
	}
	fake_disk = (struct fake_disk){ .after = record };
}

size_t power_states(const char *target, size_t from, const struct power_visitor *visitor)
{
	_cleanup_close_ int at = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct search search = { .visitor = visitor, .directory = at };

	if (at < 0)
		abort();
	go_to(from);
	for (search.done = from; search.done <= operation_count;) {
		try_all(&search);
		if (++search.done <= operation_count)
			go_on(search.done);
	}
	empty(at);
	return search.states;
}
