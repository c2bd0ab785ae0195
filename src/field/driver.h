/* SPDX-License-Identifier: Apache-2.0 */
/* driver.h - what a protocol can do: bytes in, bytes out; never opens, waits or logs. */
#pragma once

#include "bridge/reading.h"

enum {
	FRAME_MAX = 520, /* largest polled request or reply of any driver here, in bytes */
	DATA_MAX = 250,  /* most data bytes in one reply (125 registers) */
	UNIT_MAX = 4096, /* largest unit of a stream: a line, frame, block or telegram */
};

/* One request: a run of registers or bits of one device, read or written. */
struct request {
	uint8_t address;
	enum table table;
	uint16_t first, count;            /* registers, or bits in coil and discrete tables */
	uint16_t point_first, point_count; /* slice of the planned points that it reads */
	uint8_t function; /* Modbus, that writes: 5, 6, 15, 16 or 22; 0: it reads */
	/*
	 * What is written, and must stay: registers, high byte first, or packed bits; of a
	 * single coil FF 00 or 00 00; of a mask what is kept and then what is set of the
	 * register. Of a request that was served it is as it stood in the bytes.
	 */
	const uint8_t *data;
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
	REPLY_GARBAGE,   /* bytes of a stream that belong to nothing */
	REPLY_DIFFERS,   /* it confirms something else than was written */
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
	SERVE_UNKNOWN, /* a right request with a function this driver does not know: .function */
};

/* What a stream of bytes begins with. */
struct chunk {
	enum reply_status status;
	size_t used;         /* bytes to be taken off it, whatever they were; 0 with MORE only */
	const uint8_t *unit; /* on REPLY_OK: what was said, without what is around it */
	size_t length;
};

/*
 * A driver is of one of two kinds. Devices of the first are polled: each request reads a run
 * of registers, and many devices share a bus. Devices of the second speak in units (a line,
 * a frame, a telegram), unasked or when asked for all that they have, and have .next.
 */
struct driver {
	const char *name;

	/* The request's frame, that reads or writes; its length, at most FRAME_MAX. */
	size_t (*request)(const struct request *request, uint8_t frame[FRAME_MAX]);

	/* Takes received bytes to pieces as the answer to `request`. */
	struct reply (*reply)(const struct request *request, const uint8_t *bytes, size_t n);

	/* Value of a point that `request` reads, from the data of its whole reply. */
	void (*value)(const struct request *request, const uint8_t *data,
		      const struct point *point, struct value *value);

	/*
	 * The data of a right reply to a request that reads, or of one that writes and was
	 * served, as they are on the wire of Modbus RTU; how many bytes.
	 */
	size_t (*data)(const struct request *request, const uint8_t *data,
		       uint8_t bytes[DATA_MAX]);

	/* Length of the reply's frame to be expected, for planning bus time. */
	size_t (*reply_length)(const struct request *request);

	/* A name for people of an exception code, never NULL. */
	const char *(*exception_name)(uint8_t exception);

	/* The device's side, for simulation: a request from its bytes (*used is set) … */
	enum serve_status (*serve)(const uint8_t *bytes, size_t n, struct request *request,
				   size_t *used);
	/* … the reply's frame around data (registers big-endian, or packed bits; what was
	 * written, as it is on the wire of Modbus RTU) … */
	size_t (*serve_reply)(const struct request *request, const uint8_t *data,
			      uint8_t frame[FRAME_MAX]);
	/* … and an exception's. `function` is the request's function byte. */
	size_t (*serve_exception)(uint8_t address, uint8_t function, uint8_t exception,
				  uint8_t frame[FRAME_MAX]);

	/*
	 * The second kind. Looks at the beginning of what was received and not yet taken off:
	 * a unit, or bytes that are none and are refused by name, or MORE bytes are needed,
	 * never more than UNIT_MAX in all. After garbage it finds the next unit. Frames of
	 * another address than `address` are refused, where the map says where it stands.
	 */
	struct chunk (*next)(const struct device_map *map, uint8_t address,
			     const uint8_t *bytes, size_t n);

	/*
	 * The values that the unit has of these points (the map's, or a device's own of
	 * them): one reading for each that is in it, in their order; how many.
	 */
	size_t (*values)(const struct device_map *map, const struct point *points, size_t count,
			 const uint8_t *unit, size_t n, struct reading *readings);

	/* The request to all that the device has; its length, 0 where it speaks unasked. */
	size_t (*ask)(const struct device_map *map, uint8_t address, uint8_t frame[FRAME_MAX]);

	/*
	 * What the device is told before it is asked for the first time, and again when it has
	 * lost that; its length, 0: nothing. NULL: it never is.
	 */
	size_t (*set_up)(const struct device_map *map, uint8_t address, uint8_t frame[FRAME_MAX]);

	/*
	 * What is said to have the value written to a point with a phrase (writing.h); its
	 * length, 0: the value is none of the point's. NULL: its devices are not written.
	 */
	size_t (*command)(const struct device_map *map, const struct point *point,
			  const struct value *value, uint8_t address, uint8_t frame[FRAME_MAX]);
	/* Whether what came since then confirms it, where the phrase has a reply. */
	bool (*confirms)(const struct device_map *map, const struct point *point,
			 const struct value *value, uint8_t address, const uint8_t *bytes,
			 size_t n);

	/*
	 * What the device waits for in the midst of its answer, of which `bytes` were received
	 * so far; 0: nothing. NULL: it never does.
	 */
	size_t (*acknowledge)(const struct device_map *map, const uint8_t *bytes, size_t n,
			      uint8_t frame[FRAME_MAX]);
};

/* The table of drivers, ending with NULL (drivers/table.c), and a look-up by name. */
extern const struct driver *const drivers[];
const struct driver *driver_find(const char *name);
/* Their names, ending with NULL, for the configuration's checks. */
const char *const *driver_names(void);

/* "checksum", "address" …: the name of a refusal. */
const char *reply_status_name(enum reply_status status);
