/* SPDX-License-Identifier: Apache-2.0 */
/* refused.c - the messages that the broker will never take, kept in a file of their own. */
#include "uplink/refused.h"
#include "base/log.h"
#include "uplink/bodies.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
	/* The file is never used again for others, so that one id does for its records. */
	FILE_ID = 1,
	REASON_SIZE = 8,
};

static const char file_name[] = "refused", new_name[] = "refused.new";

void refused_init(struct refused *refused)
{
	*refused = (struct refused){ .directory = -1, .fd = -1 };
}

void refused_done(struct refused *refused)
{
	closep(&refused->fd);
	refused->fd = -1;
}

static int write_whole(int fd, const uint8_t *bytes, size_t n, uint32_t offset)
{
	for (size_t done = 0; done < n;) {
		ssize_t written = pwrite(fd, bytes + done, n - done, offset + done);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0)
			done += written;
	}
	return 0;
}

/* Adds a record at the end; what was written by half is none. */
static int add_record(struct refused *refused, uint64_t seq, const struct piece *pieces,
		      size_t count, size_t size)
{
	_cleanup_free_ uint8_t *bytes = malloc(size);
	int r;

	if (!bytes)
		return -ENOMEM;
	record_encode(FILE_ID, refused->end, RECORD_REFUSED, seq, pieces, count, bytes);
	r = write_whole(refused->fd, bytes, size, refused->end);
	if (r < 0) {
		(void)!ftruncate(refused->fd, refused->end);
		return r;
	}
	refused->end += size;
	refused->count++;
	refused->dirty = true;
	return 0;
}

/* --- walking --- */

static int decode(const struct record *record, uint32_t offset, struct refused_entry *entry)
{
	struct record message = {
		.type = RECORD_MESSAGE, .seq = record->seq, .body = record->body + REASON_SIZE,
		.length = record->length - REASON_SIZE,
	};
	const uint8_t *told;

	if (record->type != RECORD_REFUSED || record->length < REASON_SIZE)
		return -EBADMSG;
	entry->reason = get_u32(record->body);
	entry->offset = offset;
	return message_decode(&message, &entry->message, &told);
}

/* Marks a record where it stands: it becomes another in its checksum and its type. */
static int take_out(struct refused *refused, const struct record *record, uint32_t offset)
{
	const struct piece body = { record->body, record->length };
	_cleanup_free_ uint8_t *bytes = malloc(record_size(record->length));
	int r;

	if (!bytes)
		return -ENOMEM;
	record_encode(FILE_ID, offset, RECORD_DONE, record->seq, &body, 1, bytes);
	r = write_whole(refused->fd, bytes, RECORD_HEADER_SIZE, offset);
	if (r < 0)
		return r;
	refused->count--;
	refused->dirty = true;
	return 0;
}

/* What a walk to the end found: where the last record ends, and bytes that are damaged. */
struct extent {
	uint32_t end, damaged;
};

/* Visits those in front of `end`; `extent` may be NULL. */
static int walk_up_to(struct refused *refused, uint32_t end, refused_visit *visit, void *data,
		      struct extent *extent)
{
	_cleanup_(segment_reader_done) struct segment_reader reader = { 0 };
	enum refused_next next = REFUSED_NEXT;
	struct refused_entry entry;
	struct record record;
	uint32_t offset, nonsense = 0;
	int r = segment_reader_begin(&reader, refused->fd, FILE_ID, SEGMENT_HEADER_SIZE, end);

	if (r < 0)
		return r;
	while (next != REFUSED_STOP &&
	       (r = segment_read(&reader, &record, &offset)) > 0) {
		if (record.type == RECORD_DONE)
			continue;
		if (decode(&record, offset, &entry) < 0) {
			nonsense += record_size(record.length);
			continue;
		}
		next = visit(data, &entry);
		if (next == REFUSED_TAKE)
			r = take_out(refused, &record, offset);
		if (r < 0)
			return r;
	}
	if (extent)
		*extent = (struct extent){
			reader.end, reader.damaged + nonsense + (end - reader.end),
		};
	return r < 0 ? r : 0;
}

int refused_walk(struct refused *refused, refused_visit *visit, void *data)
{
	uint64_t before = refused->count;
	int r;

	if (refused->fd < 0)
		return 0;
	r = walk_up_to(refused, refused->end, visit, data, NULL);
	if (refused->count == before)
		return r;
	if (r == 0 && !refused->count && ftruncate(refused->fd, SEGMENT_HEADER_SIZE) == 0) {
		refused->end = SEGMENT_HEADER_SIZE;
		refused->damaged = 0;
	}
	return r < 0 ? r : refused_sync(refused);
}

/* --- writing it anew --- */

struct copying {
	struct refused *to;
	uint64_t bytes, most; /* of those that are not copied yet; of those that are to be */
	struct loss *left_out;
	int error;
};

static size_t size_of(const struct message *message)
{
	return record_size(REASON_SIZE + MESSAGE_HEAD_SIZE + message->topic_length +
			   message->body_length);
}

static int add(struct refused *refused, const struct message *message, unsigned reason)
{
	uint8_t head[REASON_SIZE + MESSAGE_HEAD_SIZE] = { 0 };
	const struct piece pieces[] = {
		{ head, sizeof(head) },
		{ message->topic, message->topic_length },
		{ message->body, message->body_length },
	};

	put_u32(head, reason);
	message_head_encode(message, false, head + REASON_SIZE);
	return add_record(refused, message->seq, pieces, ARRAY_SIZE(pieces), size_of(message));
}

static enum refused_next measure(void *data, const struct refused_entry *entry)
{
	((struct copying *)data)->bytes += size_of(&entry->message);
	return REFUSED_NEXT;
}

static void leave_out(struct loss *loss, const struct message *message)
{
	const struct loss one = {
		.from = message->seq, .to = message->seq, .from_ms = message->wall_ms,
		.to_ms = message->wall_ms, .why = LOSS_REFUSED,
	};

	loss_add(loss, &one, 1);
}

static enum refused_next copy(void *data, const struct refused_entry *entry)
{
	struct copying *copying = data;
	const struct message *message = &entry->message;

	if (copying->bytes > copying->most)
		leave_out(copying->left_out, message);
	else
		copying->error = add(copying->to, message, entry->reason);
	copying->bytes -= size_of(message);
	return copying->error < 0 ? REFUSED_STOP : REFUSED_NEXT;
}

/* Copies what is to stay, with `room` for what is to come, so that it is a while until then. */
static int copy_all(struct refused *from, struct refused *to, size_t room, struct loss *left_out)
{
	struct copying copying = { .to = to, .left_out = left_out };
	int r;

	if (from->fd < 0)
		return 0;
	r = walk_up_to(from, from->end, measure, &copying, NULL);
	copying.most = copying.bytes;
	if (SEGMENT_HEADER_SIZE + copying.bytes + room > from->limit)
		copying.most = from->limit / 4 * 3 > room ? from->limit / 4 * 3 - room : 0;
	if (r == 0)
		r = walk_up_to(from, from->end, copy, &copying, NULL);
	return r < 0 ? r : copying.error;
}

static int write_header(const struct refused *refused)
{
	struct segment_header header = { .size = refused->limit, .id = FILE_ID };
	uint8_t bytes[SEGMENT_HEADER_SIZE];

	memcpy(header.spool, refused->spool, SPOOL_ID_SIZE);
	segment_header_encode(&header, bytes);
	return write_whole(refused->fd, bytes, sizeof(bytes), 0);
}

static int replace(struct refused *refused, struct refused *new)
{
	if (fsync(new->fd) < 0 ||
	    renameat(refused->directory, new_name, refused->directory, file_name) < 0)
		return -errno;
	refused_done(refused);
	*refused = *new;
	new->fd = -1;
	/* Until it can be done, a power cut may bring the old file back. */
	refused->dirty = refused->suspect = fsync(refused->directory) < 0;
	return 0;
}

static int write_anew(struct refused *refused, size_t room, struct loss *left_out)
{
	_cleanup_(refused_done) struct refused new = *refused;
	struct loss without = *left_out;
	int r;

	new.end = SEGMENT_HEADER_SIZE;
	new.count = new.damaged = 0;
	new.fd = segment_create(refused->directory, new_name, SEGMENT_HEADER_SIZE);
	if (new.fd < 0)
		return new.fd;
	r = write_header(&new);
	if (r == 0)
		r = copy_all(refused, &new, room, &without);
	if (r == 0)
		r = replace(refused, &new);
	if (r < 0)
		unlinkat(refused->directory, new_name, 0);
	else
		*left_out = without;
	return r;
}

int refused_add(struct refused *refused, const struct message *message, unsigned reason,
		struct loss *left_out)
{
	struct message kept = *message;
	size_t size = size_of(message);

	/* What is known of its boot may be forgotten by the time that it is sent again. */
	kept.wall_ms = message->time_ms;
	kept.wall_synced = message->clock == CLOCK_RIGHT;
	if (refused->fd < 0 || refused->end + size > refused->limit) {
		int r = write_anew(refused, size, left_out);

		if (r < 0)
			return r;
	}
	return add(refused, &kept, reason);
}

int refused_sync(struct refused *refused)
{
	struct loss none = { 0 };
	int r = 0;

	if (!refused->dirty)
		return 0;
	/* What a sync failed for is not written by another. */
	if (refused->suspect)
		r = write_anew(refused, 0, &none);
	else if (fdatasync(refused->fd) < 0)
		r = -errno;
	if (r < 0)
		refused->suspect = true;
	refused->dirty = refused->suspect;
	return r;
}

/* --- opening --- */

static void put_aside(struct refused *refused, const char *why, bool read_only)
{
	static const char aside[] = "refused.damaged";

	log_error("spool %s: %s: %s%s%s", refused->path, file_name, why,
		  read_only ? "" : "; put aside as ", read_only ? "" : aside);
	if (!read_only)
		(void)!renameat(refused->directory, file_name, refused->directory, aside);
	refused_done(refused);
}

static enum refused_next count(void *data, _unused_ const struct refused_entry *entry)
{
	((struct refused *)data)->count++;
	return REFUSED_NEXT;
}

static int read_all(struct refused *refused, uint32_t size, bool read_only)
{
	struct extent extent;
	int r = walk_up_to(refused, size, count, refused, &extent);

	if (r < 0)
		return r;
	refused->end = extent.end;
	refused->damaged = extent.damaged;
	if (refused->damaged)
		log_error("spool %s: %s: %u bytes are damaged and were skipped", refused->path,
			  file_name, refused->damaged);
	if (!read_only && refused->end < size)
		(void)!ftruncate(refused->fd, refused->end);
	return 0;
}

/* What it says it is: 0, -EPROTONOSUPPORT, or -errno where it is of no use. */
static int read_header(struct refused *refused, uint32_t *size)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE] = { 0 };
	struct segment_header header;
	struct stat st;
	int r;

	if (fstat(refused->fd, &st) < 0 || pread(refused->fd, bytes, sizeof(bytes), 0) < 0)
		return -errno;
	*size = st.st_size < INT32_MAX ? st.st_size : INT32_MAX;
	r = segment_header_decode(bytes, &header);
	if (r == 0 && memcmp(header.spool, refused->spool, SPOOL_ID_SIZE))
		return -EXDEV;
	return r == -ENOENT ? -EBADMSG : r;
}

int refused_open(struct refused *refused, bool read_only)
{
	uint32_t size = 0;
	int r;

	refused->fd = openat(refused->directory, file_name,
			     (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
	if (refused->fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = read_header(refused, &size);
	if (r == 0)
		r = read_all(refused, size, read_only);
	if (r == 0 || r == -EPROTONOSUPPORT || r == -ENOMEM)
		return r;
	put_aside(refused, r == -EBADMSG ? "its header is damaged" :
			   r == -EXDEV ? "it is of another spool" : strerror(-r), read_only);
	refused->damaged = size;
	return 0;
}
