/* SPDX-License-Identifier: Apache-2.0 */
/* slots.c - the segment files of a spool: which are in use, in what order, which are free. */
#include "uplink/slots.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
	SEGMENT_MAX = 4 * 1024 * 1024,
	SEGMENT_MIN = 256 * 1024,
	/* Two for messages, and two for the steps of the handshake; where there is room, more,
	 * so that little has to be given up at once. */
	SLOTS_MIN = 4,
	SLOTS_WANTED = 16,
	NAME_SIZE = sizeof("4294967295.seg.damaged"),
};

void slots_done(struct slots *slots)
{
	free(slots->slots);
	slots->slots = NULL;
	slots->count = slots->room = slots->used = 0;
}

static void slot_name(unsigned number, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%04u.seg", number);
}

int slot_open(const struct slots *slots, const struct slot *slot)
{
	char name[NAME_SIZE];
	int fd;

	slot_name(slot->number, name);
	fd = openat(slots->directory, name,
		    (slots->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int add_slot(struct slots *slots, const struct slot *slot)
{
	if (slots->count == slots->room) {
		size_t room = slots->room ? slots->room * 2 : 16;
		struct slot *more = reallocarray(slots->slots, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		slots->slots = more;
		slots->room = room;
	}
	slots->slots[slots->count++] = *slot;
	return 0;
}

struct slot *slots_find(const struct slots *slots, uint64_t id)
{
	for (size_t i = 0; i < slots->used; i++)
		if (slots->slots[i].id == id)
			return &slots->slots[i];
	return NULL;
}

bool slot_is_finished(const struct slots *slots, size_t i, uint64_t oldest_seq)
{
	uint64_t next_first;

	if (i + 1 >= slots->used)
		return false;
	next_first = slots->slots[i + 1].first_seq;
	/* Without messages of its own it held steps, and the next checkpoint holds them. */
	return next_first <= oldest_seq || next_first == slots->slots[i].first_seq;
}

void slots_free_finished(struct slots *slots, uint64_t oldest_seq)
{
	for (size_t i = 0; i + 1 < slots->used;) {
		struct slot slot = slots->slots[i];

		if (!slot_is_finished(slots, i, oldest_seq)) {
			i++;
			continue;
		}
		slot.id = 0;
		slots->used--;
		memmove(slots->slots + i, slots->slots + i + 1,
			(slots->count - 1 - i) * sizeof(*slots->slots));
		slots->slots[slots->count - 1] = slot;
	}
}

static uint32_t segment_size(uint64_t max_bytes)
{
	uint64_t size = max_bytes / SLOTS_WANTED;

	if (size > SEGMENT_MAX)
		size = SEGMENT_MAX;
	if (size < SEGMENT_MIN)
		size = SEGMENT_MIN;
	return size & ~UINT32_C(4095);
}

/* By damage: there is no room in it for what comes next. */
static bool is_cut_short(const struct slot *slot)
{
	return slot->size < SEGMENT_MIN;
}

size_t slots_available(const struct slots *slots)
{
	uint64_t sum = 0, size = segment_size(slots->max_bytes);
	size_t free_count = slots->count - slots->used, more = 0, whole = 0;

	for (size_t i = 0; i < slots->count; i++) {
		sum += slots->slots[i].size;
		whole += !is_cut_short(&slots->slots[i]);
	}
	if (sum < slots->max_bytes)
		more = (slots->max_bytes - sum) / size;
	if (whole + more < SLOTS_MIN)
		more = SLOTS_MIN - whole;
	return free_count + more;
}

static int make_slot(struct slots *slots)
{
	struct slot slot = { .size = segment_size(slots->max_bytes) };
	char name[NAME_SIZE];
	int fd;

	for (size_t i = 0; i < slots->count; i++)
		if (slots->slots[i].number >= slot.number)
			slot.number = slots->slots[i].number + 1;
	slot_name(slot.number, name);
	fd = segment_create(slots->directory, name, slot.size);
	if (fd < 0)
		return fd;
	close(fd);
	return add_slot(slots, &slot);
}

/* A free one that was cut short is made anew. */
static int mend_slot(struct slots *slots, struct slot *slot)
{
	uint32_t size = segment_size(slots->max_bytes);
	char name[NAME_SIZE];
	int fd;

	if (!is_cut_short(slot))
		return 0;
	slot_name(slot->number, name);
	fd = segment_create(slots->directory, name, size);
	if (fd < 0)
		return fd;
	close(fd);
	slot->size = size;
	return 0;
}

int slots_have_free(struct slots *slots)
{
	if (slots->used < slots->count)
		return mend_slot(slots, &slots->slots[slots->used]);
	return slots_available(slots) ? make_slot(slots) : -ENOSPC;
}

void slots_take(struct slots *slots, const struct slot *slot)
{
	slots->slots[slots->used] = *slot;
	slots->slots[slots->used].end = 0;
	slots->used++;
	slots->newest = slot->id;
}

void slots_give_back(struct slots *slots)
{
	slots->used--;
	slots->slots[slots->used].id = 0;
}

/* --- finding them --- */

static int put_aside(struct slots *slots, const char *name, const char *as, const char *why)
{
	char aside[NAME_SIZE];

	slots->damaged++;
	if (slots->read_only) {
		log_error("spool %s: %s: %s", slots->path, name, why);
		return 0;
	}
	snprintf(aside, sizeof(aside), "%s.%s", name, as);
	log_error("spool %s: %s: %s; put aside as %s", slots->path, name, why, aside);
	return renameat(slots->directory, name, slots->directory, aside) < 0 ? -errno : 0;
}

/* Never begun: made and not used yet, or its making was cut short. */
static int scan_unused(struct slots *slots, const char *name, const struct slot *slot)
{
	if (slot->size >= SEGMENT_MIN && slot->size % 4096 == 0 && slot->size <= SEGMENT_MAX)
		return add_slot(slots, slot);
	if (!slots->read_only && unlinkat(slots->directory, name, 0) < 0)
		return -errno;
	return 0;
}

static int read_header(const struct slots *slots, struct slot *slot,
		       struct segment_header *header)
{
	_cleanup_close_ int fd = slot_open(slots, slot);
	uint8_t bytes[SEGMENT_HEADER_SIZE] = { 0 };
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || pread(fd, bytes, sizeof(bytes), 0) < 0)
		return -errno;
	slot->size = st.st_size < SEGMENT_MAX ? st.st_size : SEGMENT_MAX;
	return segment_header_decode(bytes, header);
}

/* Before anything is touched: whether it is of our version, and which spool this is. */
struct survey {
	uint64_t newest;              /* the highest id, whose … */
	uint8_t spool[SPOOL_ID_SIZE]; /* … spool identity this is */
	bool is_known;                /* a file of the spool that this one is to be is there */
};

static int survey_file(struct slots *slots, _unused_ const char *name, unsigned number,
		       struct survey *survey)
{
	struct slot slot = { .number = number };
	struct segment_header header;
	int r = read_header(slots, &slot, &header);

	if (r == -ENOENT || r == -EBADMSG)
		return 0;
	if (r < 0)
		return r;
	if (!memcmp(header.spool, slots->spool, SPOOL_ID_SIZE))
		survey->is_known = true;
	if (header.id > survey->newest) {
		survey->newest = header.id;
		memcpy(survey->spool, header.spool, SPOOL_ID_SIZE);
	}
	return 0;
}

static int scan_file(struct slots *slots, const char *name, unsigned number,
		     _unused_ struct survey *survey)
{
	struct slot slot = { .number = number };
	struct segment_header header;
	int r = read_header(slots, &slot, &header);

	if (r == -ENOENT)
		return scan_unused(slots, name, &slot);
	if (r == -EBADMSG)
		return put_aside(slots, name, "damaged", "its header is damaged");
	if (r < 0)
		return r;
	if (memcmp(header.spool, slots->spool, SPOOL_ID_SIZE))
		return put_aside(slots, name, "foreign", "it is of another spool");
	if (slot.size < header.size)
		slot.cut = header.size - slot.size;
	if (slot.size != header.size)
		log_error("spool %s: %s: cut short: %u of %u bytes are left", slots->path, name,
			  slot.size, header.size);
	slot.id = header.id;
	slot.first_seq = header.first_seq;
	slot.begun_us = header.begun_us;
	r = add_slot(slots, &slot);
	if (r == 0 && header.id > slots->newest)
		slots->newest = header.id;
	return r;
}

/* In use by id, the whole one before its copies, then those that are free. */
static int compare_slots(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	if (!x->id != !y->id)
		return !x->id - !y->id;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static int scan_names(struct slots *slots, DIR *directory, struct survey *survey,
		      int (*visit)(struct slots *slots, const char *name, unsigned number,
				   struct survey *survey))
{
	struct dirent *entry;

	rewinddir(directory);
	while ((errno = 0, entry = readdir(directory))) {
		unsigned number;
		char name[NAME_SIZE];
		int r;

		if (sscanf(entry->d_name, "%u", &number) != 1)
			continue;
		slot_name(number, name);
		if (strcmp(name, entry->d_name))
			continue;
		r = visit(slots, name, number, survey);
		if (r < 0)
			return r;
	}
	return -errno;
}

/* A file that was copied stands there twice; what was read of it must be found again. */
static int put_copies_aside(struct slots *slots)
{
	size_t kept = 0;

	for (size_t i = 0; i < slots->count; i++) {
		const struct slot *slot = &slots->slots[i];
		char name[NAME_SIZE];
		int r;

		if (!slot->id || !kept || slot->id != slots->slots[kept - 1].id) {
			slots->slots[kept++] = *slot;
			continue;
		}
		slot_name(slot->number, name);
		r = put_aside(slots, name, "copy", "it is a copy of another segment");
		if (r < 0)
			return r;
	}
	slots->count = kept;
	return 0;
}

int slots_scan(struct slots *slots)
{
	struct survey survey = { 0 };
	DIR *directory;
	int fd, r;

	fd = openat(slots->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	directory = fdopendir(fd);
	if (!directory) {
		r = -errno;
		close(fd);
		return r;
	}
	r = scan_names(slots, directory, &survey, survey_file);
	if (r == 0 && survey.newest && !survey.is_known)
		memcpy(slots->spool, survey.spool, SPOOL_ID_SIZE);
	if (r == 0)
		r = scan_names(slots, directory, NULL, scan_file);
	closedir(directory);
	if (r < 0)
		return r;
	if (slots->count)
		qsort(slots->slots, slots->count, sizeof(*slots->slots), compare_slots);
	r = put_copies_aside(slots);
	if (r < 0)
		return r;
	for (slots->used = 0; slots->used < slots->count && slots->slots[slots->used].id;)
		slots->used++;
	return 0;
}
