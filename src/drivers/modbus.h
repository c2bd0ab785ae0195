/* SPDX-License-Identifier: Apache-2.0 */
/* modbus.h - what Modbus RTU and ASCII share: requests and replies as bytes. */
#pragma once

#include "field/driver.h"

enum {
	MODBUS_WRITE_COIL = 5,
	MODBUS_WRITE_REGISTER = 6,
	MODBUS_WRITE_COILS = 15,
	MODBUS_WRITE_REGISTERS = 16,
	MODBUS_MASK_REGISTER = 22,

	DATA_AT = 3,
	CRC_LENGTH = 2,
	EXCEPTION_BIT = 0x80,
	ADU_MAX = 256, /* Serial Line V1.02, 2.5.1.1 */
};

/* Application Protocol V1.1b3, section 7. */
enum modbus_exception {
	EXCEPTION_FUNCTION = 1,
	EXCEPTION_ADDRESS = 2,
	EXCEPTION_VALUE = 3,
	EXCEPTION_FAILURE = 4,
	EXCEPTION_ACKNOWLEDGE = 5,
	EXCEPTION_BUSY = 6,
	EXCEPTION_PATH = 0x0A,
	EXCEPTION_TARGET = 0x0B,
};

/* The request's function, that reads or writes. */
uint8_t modbus_function(const struct request *request);

/* Bytes that it reads, or writes. */
size_t modbus_data_length(const struct request *request);

/* Appends the CRC to n bytes; the frame's length. */
size_t modbus_seal(uint8_t *frame, size_t n);

/* The request's frame with its CRC; its length. */
size_t modbus_request(const struct request *request, uint8_t frame[FRAME_MAX]);

/* Bytes without the CRC of what confirms a request that writes. */
size_t modbus_written_length(const struct request *request);

/* Whether the first n bytes of a reply, without its CRC, confirm what was written. */
enum reply_status modbus_confirms(const struct request *request, const uint8_t *bytes,
				  size_t n);

/* As in struct driver, of RTU. */
void modbus_value(const struct request *request, const uint8_t *data,
		  const struct point *point, struct value *value);
const char *modbus_exception_name(uint8_t exception);
enum serve_status modbus_serve(const uint8_t *bytes, size_t n, struct request *request,
			       size_t *used);
size_t modbus_serve_reply(const struct request *request, const uint8_t *data,
			  uint8_t frame[FRAME_MAX]);
