/* SPDX-License-Identifier: Apache-2.0 */
/* command_book.h - what is known of each command, and how it stands in the journal; pure. */
#pragma once

#include "uplink/subscriptions.h"

/*
 *     received ──▶ started ──▶ done, failed or uncertain ──▶ told
 *
 * A command is received when it is on the disk, and only then acknowledged to the broker. It is
 * started when that is on the disk too, and only then handed to the field side. So after a
 * crash what is received was never begun, and what is started may have been. When its end is
 * noted, the answer follows under the next number of the spool; whether it got there shows when
 * the journal is read back. What is told stays for a while, so that the same command, coming
 * once more, is known.
 */
enum command_state {
	COMMAND_RECEIVED = 1,
	COMMAND_STARTED,
	COMMAND_DONE,
	COMMAND_FAILED,    /* and was not carried out */
	COMMAND_UNCERTAIN, /* or it was */
};

enum command_text {
	COMMAND_DEVICE,
	COMMAND_POINT,
	COMMAND_ID,          /* that it came with; length 0: none */
	COMMAND_VALUE,       /* as it was asked for */
	COMMAND_RESPONSE,    /* topic that the answer goes to; length 0: the point's own */
	COMMAND_CORRELATION, /* goes with that answer */
	COMMAND_OUTCOME,     /* the value as JSON has it, or what went wrong */
	COMMAND_TEXTS,
};

enum {
	CORRELATION_MAX = 128, /* bytes */
	COMMAND_NOTE_MAX = 2048, /* of one command in the journal */
};

/* Bytes with a zero behind them, owned; NULL with length 0. */
struct command_bytes {
	char *bytes;
	uint16_t length;
};

struct command_entry {
	uint64_t number;
	enum command_state state;
	bool is_local;        /* it came by the socket: nobody is told by a message */
	bool is_told;
	bool is_pushed;       /* the field side has it */
	bool is_reported;     /* begun and not ended, it is not repeated: `on_crash: report` */
	bool is_changed;      /* in a way that is to be noted */
	uint16_t mid;         /* packet identifier that it came under; 0: none */
	uint32_t session;     /* … in this session of the broker's, as the book counts them, … */
	uint32_t link;        /* … on this link of this process; 0: of an earlier one */
	uint32_t boot;        /* of the machine, as the spool counts them, … */
	uint64_t received_us; /* … and CLOCK_BOOTTIME in it, … */
	uint64_t until_us;    /* … as is until when it may begin */
	int64_t until_ms;     /* the same by the wall clock; 0: that was not known to be right */
	uint64_t identity;    /* of device, point and id; 0: it has no id */
	uint64_t value_sum;   /* of its value */
	uint64_t fingerprint; /* of all that came */
	uint64_t answer_seq;  /* the number its answer was to get; 0: it has no end yet */
	struct command_bytes texts[COMMAND_TEXTS];
};

/* Whether it is done, failed or uncertain. */
static inline bool command_has_end(const struct command_entry *entry)
{
	return entry->state >= COMMAND_DONE;
}

struct command_book {
	struct command_entry *list; /* by number */
	size_t count, room;
	uint64_t next_number;
};

void command_book_done(struct command_book *book);

/* A new entry at the end with the next number, or NULL. Pointers before it are not valid then. */
struct command_entry *command_book_add(struct command_book *book);
void command_book_remove(struct command_book *book, struct command_entry *entry);
struct command_entry *command_book_find(const struct command_book *book, uint64_t number);
/* The last command of that device and point with that id, or NULL. */
struct command_entry *command_book_by_id(const struct command_book *book, const char *device,
					 const char *point, const char *id);

/*
 * The command that the broker sends once more, or NULL: it came on an earlier link of the same
 * session under the same identifier, with the same bytes, and nothing came under it since.
 */
struct command_entry *command_book_repeated(const struct command_book *book,
					    const struct incoming *incoming,
					    uint32_t session, uint32_t link);

/* 0 or -ENOMEM, and the text is as before. */
int command_set_text(struct command_entry *entry, enum command_text which, const void *bytes,
		     size_t length) _must_check_;
/* The text, or an empty one. */
const char *command_text(const struct command_entry *entry, enum command_text which);
/* What nobody needs any more once it is told. */
void command_forget_texts(struct command_entry *entry);

uint64_t command_identity(const char *device, const char *point, const char *id);
uint64_t command_value_sum(const char *value);
uint64_t command_fingerprint(const struct incoming *incoming);

/* How it stands in the journal: the length, at most COMMAND_NOTE_MAX. */
size_t command_encode(const struct command_entry *entry, uint8_t bytes[COMMAND_NOTE_MAX]);
/* Adds the command to the book as it was. 0, -EBADMSG or -ENOMEM. */
int command_decode(struct command_book *book, uint64_t number, const uint8_t *bytes,
		   size_t n) _must_check_;
