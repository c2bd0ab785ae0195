/* SPDX-License-Identifier: Apache-2.0 */
/* framing.h - how a device that is not Modbus begins, ends and seals what it says. */
#pragma once

#include "base/checksum.h"
#include "config/template.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct schema;
struct schema_key;
struct yaml_node;

/* What a map's `driver:` is, as far as its keys go. */
enum driver_kind {
	DRIVER_MODBUS, /* tables of registers, polled; the others are streams */
	DRIVER_TEXT,
	DRIVER_FRAME,
	DRIVER_OBIS,
	DRIVER_VEDIRECT,
};

enum {
	FRAME_MAX_LENGTH = 1024, /* bytes of a frame, or of a line of text */
	ENDING_MAX_LENGTH = 8,   /* of what a frame or line begins or ends with */
};

struct ending {
	uint8_t bytes[ENDING_MAX_LENGTH];
	size_t length;
};

/* What seals a telegram of driver obis. */
enum telegram_seal {
	SEAL_NONE,
	SEAL_CRC16, /* DSMR P1 from version 4 on */
	SEAL_BCC,   /* IEC 62056-21 */
};

/* What stands in place of bytes that would be taken for a frame's ends. */
enum stuffing {
	STUFFING_NONE,
	STUFFING_SHDLC, /* from 7E to 7E: 7D and the byte with bit 5 turned round */
};

enum { SHDLC_FLAG = 0x7E }; /* stands at both ends of its frames, and nowhere else */

struct framing {
	struct ending start; /* frame */
	struct ending end;   /* frame, text */
	size_t length;       /* frame: of the whole; 0: counted, or up to `end` */
	struct {
		uint16_t at;
		uint8_t size;   /* 1 or 2 bytes; 0: not counted */
		bool low_first;
		int16_t add;    /* what is missing in the count to the whole frame's length */
		uint16_t most;  /* of the whole frame; a wrong count is waited out up to this */
	} count;
	struct {
		enum checksum type;
		uint16_t from; /* the first byte that it is taken of */
		bool low_first;
	} checksum;
	enum stuffing stuffing;     /* frame; lengths and offsets are as without it */
	int16_t address_at;         /* frame: the byte that is the address; -1: none */
	bool nmea;                  /* text: sentences of NMEA 0183 */
	char *separator, *assign;   /* text: between fields, between key and value */
	enum telegram_seal seal;    /* obis */
	struct template request;    /* count 0: it speaks unasked */
	struct template setup;      /* frame: what it is told before it is asked; count 0: nothing */
	uint64_t setup_wait_us;     /* before it can be asked then */
	struct template acknowledge; /* obis: what it waits for after it has named itself */
	uint64_t silence_us;        /* unasked: silent for so long, it is offline */
};

/* The keys of a map's root that are of this kind of driver; none for Modbus. */
const struct schema_key *framing_keys(enum driver_kind kind);

/* Reads these keys. */
void framing_read(struct schema *schema, const struct yaml_node *root, enum driver_kind kind,
		  struct framing *framing);
void framing_free(struct framing *framing);

/* Notes what is wrong with a frame that is sent: a request, a setup or a command. */
void framing_check_sent(struct schema *schema, const struct yaml_node *node,
			const struct framing *framing, const struct template *template);

/* Whether the device's address is in its requests or its frames. */
bool framing_has_address(const struct framing *framing);
