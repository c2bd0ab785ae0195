/* SPDX-License-Identifier: Apache-2.0 */
/* refused.h - the messages that the broker will never take, kept in a file of their own. */
#pragma once

#include "bridge/message.h"
#include "uplink/ledger.h"
#include "uplink/segment.h"

/*
 * The file `refused` beside the segments is laid out as they are, but grows, up to a limit:
 *
 *     [header  refused  done  refused  refused )
 *
 * A record holds the reason, 4 bytes and 4 of zero, and then what a message's record holds.
 * It is added at the end. What is taken out is marked where it stands, by becoming a record
 * of type "done": that needs no room on a disk that is full. Where the file is full it is
 * written anew, without those, and then replaced.
 */
struct refused {
	const char *path;     /* of the spool, for the log; not owned */
	const uint8_t *spool; /* identity of the spool; not owned */
	int directory;        /* not owned */
	uint32_t limit;       /* bytes of the file at most */
	int fd;               /* -1: there is no file */
	uint32_t end;         /* behind the last record */
	uint32_t damaged;     /* bytes of it that are damaged */
	uint64_t count;       /* messages in it */
	bool dirty;           /* not all is on the disk, … */
	bool suspect;         /* … nor on its way: a sync failed */
};

enum {
	REFUSED_LIMIT = 1024 * 1024,
	/* The largest message fits in. */
	REFUSED_LIMIT_LEAST = 64 * 1024,
	/* It gets this part of what the spool may take. */
	REFUSED_SHARE = 16,
};

void refused_init(struct refused *refused);
void refused_done(struct refused *refused);

/*
 * Finds the file, counts what is in it and, unless `read_only`, cuts off what was written by
 * half; path, spool, directory and limit are set. One that is of no use is put aside under
 * another name and logged. 0, also where there is none; -EPROTONOSUPPORT: of another version;
 * or -errno.
 */
int refused_open(struct refused *refused, bool read_only) _must_check_;

/*
 * Adds a message with its time set. It outlives the process; refused_sync() has it outlive a
 * power cut. For want of room the oldest are left out, which are added to *left_out, also
 * where it fails. 0 or -errno: it is not kept.
 */
int refused_add(struct refused *refused, const struct message *message, unsigned reason,
		struct loss *left_out) _must_check_;
int refused_sync(struct refused *refused) _must_check_;

/* A message that is kept; valid during the call. Its time is not set. */
struct refused_entry {
	struct message message;
	unsigned reason; /* MQTT's reason code */
	uint32_t offset;
};

enum refused_next {
	REFUSED_NEXT,
	REFUSED_TAKE, /* it is to be taken out */
	REFUSED_STOP,
};

typedef enum refused_next refused_visit(void *data, const struct refused_entry *entry);

/*
 * Visits all, in the order in which they came; what is taken out is so on the disk at the end.
 * Nothing may be added meanwhile. 0 or -errno.
 */
int refused_walk(struct refused *refused, refused_visit *visit, void *data) _must_check_;
