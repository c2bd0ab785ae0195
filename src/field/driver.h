/* SPDX-License-Identifier: Apache-2.0 */
/* driver.h - what a protocol can do: bytes in, bytes out; never opens, waits or logs. */
#pragma once

#include "bridge/reading.h"

enum {
	FRAME_MAX = 260, /* largest request or reply of any driver here, in bytes */
	DATA_MAX = 250,  /* most data bytes in one reply (125 registers) */
};

/* One request: a run of registers or bits of one device. */
struct request {
	uint8_t address;
	enum table table;
	uint16_t first, count;            /* registers, or bits in coil and discrete tables */
	uint16_t point_first, point_count; /* slice of the planned points that it reads */
};

/* What became of the bytes that were received. Each but the first two is counted by name. */
enum reply_status {
	REPLY_OK,
	REPLY_MORE, /* right so far, but not whole */
	REPLY_CHECKSUM,
	REPLY_ADDRESS,
	REPLY_FUNCTION,
	REPLY_LENGTH,
	REPLY_EXCEPTION, /* .exception says which */
	REPLY_STATUS_COUNT,
};

struct reply {
	enum reply_status status;
	uint8_t exception;
	size_t length;       /* bytes of the frame, when whole; with MORE: needed at least */
	const uint8_t *data; /* into the received bytes, on REPLY_OK */
	size_t data_length;
};

/* Requests as a simulated device sees them. */
enum serve_status {
	SERVE_REQUEST, /* whole: *request is filled in */
	SERVE_MORE,
	SERVE_REFUSED, /* not a request, or its checksum is wrong: to be thrown away */
	SERVE_UNKNOWN, /* a right request with a function this driver does not know */
};

struct driver {
	const char *name;

	/* Writes the request's frame; its length, at most FRAME_MAX. */
	size_t (*request)(const struct request *request, uint8_t frame[FRAME_MAX]);

	/* Takes received bytes to pieces as the answer to `request`. */
	struct reply (*reply)(const struct request *request, const uint8_t *bytes, size_t n);

	/* Value of a point that `request` reads, from the data of its whole reply. */
	void (*value)(const struct request *request, const uint8_t *data,
		      const struct point *point, struct value *value);

	/* Length of the reply's frame to be expected, for planning bus time. */
	size_t (*reply_length)(const struct request *request);

	/* A name for people of an exception code, never NULL. */
	const char *(*exception_name)(uint8_t exception);

	/* The device's side, for simulation: a request from its bytes (*used is set) … */
	enum serve_status (*serve)(const uint8_t *bytes, size_t n, struct request *request,
				   size_t *used);
	/* … the reply's frame around data (registers big-endian, or packed bits) … */
	size_t (*serve_reply)(const struct request *request, const uint8_t *data,
			      uint8_t frame[FRAME_MAX]);
	/* … and an exception's. `function` is the request's function byte. */
	size_t (*serve_exception)(uint8_t address, uint8_t function, uint8_t exception,
				  uint8_t frame[FRAME_MAX]);
};

/* The table of drivers, ending with NULL (drivers/table.c), and a look-up by name. */
extern const struct driver *const drivers[];
const struct driver *driver_find(const char *name);
/* Their names, ending with NULL, for the configuration's checks. */
const char *const *driver_names(void);

/* "checksum", "address" …: the name of a refusal. */
const char *reply_status_name(enum reply_status status);
