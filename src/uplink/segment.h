/* SPDX-License-Identifier: Apache-2.0 */
/* segment.h - a segment file of the journal as it stands on disk: header and records. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * All numbers are little-endian. A segment file has a fixed size, is filled with zeros when
 * it is made and used again for good. It begins with a header:
 *
 *    0  magic       8  "PBSPOOL" and a zero
 *    8  version     4  3 (2: as 3, without notes)
 *   12  size        4  of the file, in bytes
 *   16  id          8  grows, by random steps, each time any segment of the spool is begun
 *   24  first_seq   8  sequence number that the first message in it has or would have
 *   32  spool      16  random identity of the spool
 *   48  begun_us    8  running time of the gateway's machine when it was begun (boots.h)
 *   56  checksum    8  XXH3-64 of bytes 0 to 55
 *
 * and goes on with records, each at a multiple of 8:
 *
 *    0  checksum    8  XXH3-64 of all that follows but the padding, XOR place
 *    8  length      3  of the body
 *   11  type        1
 *   12  seq         8  of the message that it is about, or 0
 *   20  body, padded with zeros so that the record ends at a multiple of 8
 *
 * The place is (id XOR offset) times 0x9E3779B185EBCA87, an odd number, so that no two places
 * have the same: what an earlier use of the file left behind is invalid without being wiped.
 * For the same reason ids grow by random steps: one that a power cut took away with the head
 * of its segment, but not with all that came behind, is not given out again.
 */
enum {
	SEGMENT_VERSION = 3,
	SEGMENT_VERSION_OLDEST = 2, /* that is read */
	SEGMENT_HEADER_SIZE = 64,
	RECORD_HEADER_SIZE = 20,
	RECORD_MAX_BODY = 96 * 1024,
	SPOOL_ID_SIZE = 16,
};

enum record_type {
	RECORD_CHECKPOINT = 1, /* the live state; first in each segment */
	RECORD_MESSAGE = 2,
	RECORD_SENT = 3,     /* messages and the packet identifiers they went out with */
	RECORD_RELEASED = 4, /* QoS 2: PUBREC was received */
	RECORD_DONE = 5,     /* acknowledged for good: PUBACK, PUBCOMP */
	RECORD_REFUSED = 6,  /* the broker will never take it */
	RECORD_DROPPED = 7,  /* a range of messages that had to be given up */
	RECORD_RESERVE = 8,  /* sequence numbers that may be used before they are synced */
	RECORD_BOOT = 9,     /* from here on written by another boot of the machine */
	RECORD_CLOCK = 10,   /* the wall clock is right from here on in this boot */
	RECORD_LEFT_OUT = 11, /* messages that were refused are not kept any more */
	RECORD_PAD = 12,      /* nothing: the next one begins with a page of its own */
	RECORD_COMMAND = 13,  /* a note (notes.h), seq its key: what is known of a command */
	RECORD_SUBSCRIBED = 14, /* likewise: what the broker's session is subscribed to */
	RECORD_RETRIED = 15,    /* likewise: what was set aside and is being sent again */
};

struct segment_header {
	uint32_t version, size;
	uint64_t id, first_seq, begun_us;
	uint8_t spool[SPOOL_ID_SIZE];
};

struct record {
	enum record_type type;
	uint64_t seq;
	const uint8_t *body; /* into the bytes that were decoded */
	uint32_t length;
};

/* A body is given in pieces, so that a message's text need not be copied before. */
struct piece {
	const void *bytes;
	size_t length;
};

void segment_header_encode(const struct segment_header *header,
			   uint8_t bytes[SEGMENT_HEADER_SIZE]);

/*
 * 0; -ENOENT where there never was a header (zeros); -EBADMSG where it is damaged;
 * -EPROTONOSUPPORT for another version of the layout (version is filled in).
 */
int segment_header_decode(const uint8_t bytes[SEGMENT_HEADER_SIZE],
			  struct segment_header *header) _must_check_;

/* Bytes that a record with that body takes. */
static inline size_t record_size(size_t body_length)
{
	return (RECORD_HEADER_SIZE + body_length + 7) & ~(size_t)7;
}

/*
 * Writes a record as it stands at `offset` of segment `id`; record_size() bytes, which must
 * be there. Bodies are at most RECORD_MAX_BODY.
 */
size_t record_encode(uint64_t id, uint32_t offset, enum record_type type, uint64_t seq,
		     const struct piece *pieces, size_t count, uint8_t *bytes);

/*
 * Takes the record at `offset` of segment `id` from `n` bytes. Its size on disk when it is
 * whole and right; 0 when more bytes are needed to tell; -EBADMSG when it is none.
 */
ssize_t record_decode(uint64_t id, uint32_t offset, const uint8_t *bytes, size_t n,
		      struct record *record) _must_check_;

/* The same for a record that this process has encoded and that never left its memory. */
static inline size_t record_look(const uint8_t *bytes, struct record *record)
{
	record->length = get_u32(bytes + 8) & 0xFFFFFF;
	record->type = bytes[11];
	record->seq = get_u64(bytes + 12);
	record->body = bytes + RECORD_HEADER_SIZE;
	return record_size(record->length);
}

/*
 * Makes a segment file of zeros, durably (file and directory synced), in place of one of that
 * name. Returns a descriptor, or -errno, with no file left behind where that can be had.
 */
int segment_create(int directory, const char *name, uint32_t size) _must_check_;

/*
 * Reads the records of one segment file in order. Where a record is not right it looks on for
 * the next that is, so that one bad sector costs only what stood in it.
 */
struct segment_reader {
	int fd; /* not owned */
	uint64_t id;
	uint32_t offset;  /* of the record that is looked for next */
	uint32_t limit;   /* end of what is to be read */
	uint32_t end;     /* behind the last right record so far */
	uint32_t damaged; /* bytes skipped between right records so far */
	uint8_t *buffer;
	uint32_t start, length; /* the part of the file that the buffer holds */
};

/* Begins at `offset`; takes the buffer of an earlier use over. 0 or -ENOMEM. */
int segment_reader_begin(struct segment_reader *reader, int fd, uint64_t id, uint32_t offset,
			 uint32_t limit) _must_check_;
void segment_reader_done(struct segment_reader *reader);

/*
 * The next record, valid until the next call, and its place. 1; 0 when there is no more;
 * -errno when the file can't be read.
 */
int segment_read(struct segment_reader *reader, struct record *record,
		 uint32_t *offset) _must_check_;
