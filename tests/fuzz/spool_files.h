/* SPDX-License-Identifier: Apache-2.0 */
/* spool_files.h - the files of a spool in memory, edited as a fuzzer's input says. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SPOOL_SEGMENTS = 6,
	SPOOL_TAIL = SPOOL_SEGMENTS, /* the file that is the tail's */
	SPOOL_REFUSED,               /* that of what is set aside */
	SPOOL_FILES,
	/* Messages of the spools that are edited have numbers from here on. */
	SPOOL_SEQ = 1000000,
	/* What their identity is made of. */
	SPOOL_ID_BYTE = 7,
};

struct image {
	uint8_t *bytes; /* room for the largest file */
	size_t size;    /* 0: no such file */
	size_t used;    /* behind it are zeros */
	bool is_tail;
};

/* What is left of the input. */
struct input {
	const uint8_t *bytes;
	size_t n;
};

/* Ends the program, for the fuzzer to see. */
void check(bool holds);
/* Takes so many bytes, little-endian; those behind the end are zero. */
uint64_t take(struct input *in, size_t n);

/* Makes the directories; they are removed at exit. Returns the spool's. */
char *files_set_up(void);
/* Empties the directories and writes the files; reads them. */
void files_write(const struct image files[SPOOL_FILES]);
void files_read(struct image files[SPOOL_FILES]);
/* Files as they are in `from`, or none where that is NULL. */
void files_begin(struct image files[SPOOL_FILES], const struct image *from);
/* Edits the files as the input says; `mend`: all records and headers get right checksums. */
void files_edit(struct image files[SPOOL_FILES], struct input *in, bool mend);
