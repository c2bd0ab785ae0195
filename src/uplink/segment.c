/* SPDX-License-Identifier: Apache-2.0 */
/* segment.c - a segment file of the journal as it stands on disk: header and records. */
#include "uplink/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

static const char magic[8] = "PBSPOOL";

void segment_header_encode(const struct segment_header *header,
			   uint8_t bytes[SEGMENT_HEADER_SIZE])
{
	memset(bytes, 0, SEGMENT_HEADER_SIZE);
	memcpy(bytes, magic, sizeof(magic));
	put_u32(bytes + 8, SEGMENT_VERSION);
	put_u32(bytes + 12, header->size);
	put_u64(bytes + 16, header->id);
	put_u64(bytes + 24, header->first_seq);
	memcpy(bytes + 32, header->spool, SPOOL_ID_SIZE);
	put_u64(bytes + 48, header->begun_us);
	put_u64(bytes + 56, XXH3_64bits(bytes, 56));
}

int segment_header_decode(const uint8_t bytes[SEGMENT_HEADER_SIZE],
			  struct segment_header *header)
{
	static const uint8_t zeros[SEGMENT_HEADER_SIZE];

	if (!memcmp(bytes, zeros, sizeof(zeros)))
		return -ENOENT;
	if (memcmp(bytes, magic, sizeof(magic)))
		return -EBADMSG;
	if (get_u64(bytes + 56) != XXH3_64bits(bytes, 56))
		return -EBADMSG;
	header->version = get_u32(bytes + 8);
	if (header->version < SEGMENT_VERSION_OLDEST ||
	    header->version > SEGMENT_VERSION)
		return -EPROTONOSUPPORT;
	header->size = get_u32(bytes + 12);
	header->id = get_u64(bytes + 16);
	header->first_seq = get_u64(bytes + 24);
	memcpy(header->spool, bytes + 32, SPOOL_ID_SIZE);
	header->begun_us = get_u64(bytes + 48);
	/* What no number reaches, and nothing could be reckoned with. */
	if (header->first_seq >= UINT64_MAX / 2 || header->id >= UINT64_MAX / 2)
		return -EBADMSG;
	return 0;
}

enum { CHECKSUM_SIZE = 8 };

static uint64_t record_checksum(uint64_t id, uint32_t offset, const uint8_t *bytes,
				uint32_t length)
{
	uint64_t place = (id ^ offset) * UINT64_C(0x9E3779B185EBCA87);

	return place ^ XXH3_64bits(bytes + CHECKSUM_SIZE,
				   RECORD_HEADER_SIZE - CHECKSUM_SIZE + length);
}

size_t record_encode(uint64_t id, uint32_t offset, enum record_type type, uint64_t seq,
		     const struct piece *pieces, size_t count, uint8_t *bytes)
{
	uint8_t *body = bytes + RECORD_HEADER_SIZE;
	size_t length = 0, size;

	for (size_t i = 0; i < count; i++) {
		memcpy(body + length, pieces[i].bytes, pieces[i].length);
		length += pieces[i].length;
	}
	assert(length <= RECORD_MAX_BODY);
	size = record_size(length);
	memset(body + length, 0, size - RECORD_HEADER_SIZE - length);
	put_u32(bytes + 8, length | (uint32_t)type << 24);
	put_u64(bytes + 12, seq);
	put_u64(bytes, record_checksum(id, offset, bytes, length));
	return size;
}

ssize_t record_decode(uint64_t id, uint32_t offset, const uint8_t *bytes, size_t n,
		      struct record *record)
{
	struct record found;
	size_t size;

	if (n < RECORD_HEADER_SIZE)
		return 0;
	size = record_look(bytes, &found);
	if (found.type < RECORD_CHECKPOINT || found.type > RECORD_RETRIED ||
	    found.length > RECORD_MAX_BODY)
		return -EBADMSG;
	if (n < size)
		return 0;
	if (get_u64(bytes) != record_checksum(id, offset, bytes, found.length))
		return -EBADMSG;
	*record = found;
	return size;
}

static int fill_with_zeros(int fd, uint32_t size)
{
	_cleanup_free_ uint8_t *zeros = NULL;
	const size_t chunk = 256 * 1024;

	zeros = calloc(1, chunk);
	if (!zeros)
		return -ENOMEM;
	for (uint32_t done = 0; done < size;) {
		size_t want = size - done < chunk ? size - done : chunk;
		ssize_t n = write(fd, zeros, want);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			done += n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* What root makes in somebody's spool is to be that one's too, where files have owners. */
static void give_to_owner(int directory, int fd)
{
	struct stat st;

	if (geteuid() == 0 && fstat(directory, &st) == 0)
		(void)!fchown(fd, st.st_uid, st.st_gid);
}

int segment_create(int directory, const char *name, uint32_t size)
{
	_cleanup_close_ int fd = -1;
	int r;

	/* One that could not be finished may be there still, where it could not be removed. */
	fd = openat(directory, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	give_to_owner(directory, fd);
	r = fill_with_zeros(fd, size);
	if (r == 0 && fsync(directory) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(directory, name, 0);
		return r;
	}
	return TAKE_FD(fd);
}

enum { READ_SIZE = 128 * 1024 };

int segment_reader_begin(struct segment_reader *reader, int fd, uint64_t id, uint32_t offset,
			 uint32_t limit)
{
	uint8_t *buffer = reader->buffer;

	if (!buffer)
		buffer = malloc(READ_SIZE);
	if (!buffer)
		return -ENOMEM;
	*reader = (struct segment_reader){
		.fd = fd, .id = id, .offset = offset, .limit = limit, .end = offset,
		.buffer = buffer,
	};
	return 0;
}

void segment_reader_done(struct segment_reader *reader)
{
	free(reader->buffer);
	reader->buffer = NULL;
}

/* Has the buffer begin at the reader's offset. */
static int reader_fill(struct segment_reader *reader)
{
	uint32_t want = reader->limit - reader->offset, have = 0;

	if (want > READ_SIZE)
		want = READ_SIZE;
	while (have < want) {
		ssize_t n = pread(reader->fd, reader->buffer + have, want - have,
				  reader->offset + have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break; /* the file was cut short */
		have += n;
	}
	reader->start = reader->offset;
	reader->length = have;
	if (have < want)
		reader->limit = reader->offset + have;
	return 0;
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
	return !bytes[0] && !memcmp(bytes, bytes + 1, n - 1);
}

/*
 * How far on a record may begin: what was never written is passed over in steps. None begins
 * in front of zeros, since the second eight bytes of a record are not all zero.
 */
static uint32_t skip(const struct segment_reader *reader)
{
	enum { STEP = 1024, OVERLAP = 16 };
	const uint8_t *bytes = reader->buffer + (reader->offset - reader->start);
	uint32_t left = reader->length - (reader->offset - reader->start), n = 8;

	while (n + STEP + OVERLAP <= left && is_zero(bytes + n, STEP + OVERLAP))
		n += STEP;
	return n;
}

int segment_read(struct segment_reader *reader, struct record *record, uint32_t *offset)
{
	while (reader->offset + RECORD_HEADER_SIZE <= reader->limit) {
		uint32_t into = reader->offset - reader->start;
		ssize_t n = 0;

		if (reader->offset >= reader->start && into < reader->length)
			n = record_decode(reader->id, reader->offset, reader->buffer + into,
					  reader->length - into, record);
		if (n == 0 && (into != 0 || reader->length == 0)) {
			int r = reader_fill(reader);

			if (r < 0)
				return r;
			if (reader->length == 0)
				break;
			continue;
		}
		if (n <= 0) {
			reader->offset += skip(reader);
			continue;
		}
		reader->damaged += reader->offset - reader->end;
		*offset = reader->offset;
		reader->offset += n;
		reader->end = reader->offset;
		return 1;
	}
	return 0;
}
