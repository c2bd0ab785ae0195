// SPDX-License-Identifier: Apache-2.0
/* framing.c - how a device that is not Modbus begins, ends and seals what it says. */
#include "config/framing.h"

#include "base/units.h"
#include "config/schema.h"

#include <string.h>

enum {
	WORD_MAX_LENGTH = 8, /* of a separator */
	LENGTH_LEAST = 2,
};

#define DEFAULT_SILENCE (60 * USEC_PER_SEC)
#define SILENCE_LEAST USEC_PER_SEC
#define DEFAULT_SETUP_WAIT (100 * USEC_PER_MSEC)
#define SETUP_WAIT_MOST (60 * USEC_PER_SEC)
#define SILENCE_MOST (7 * 86400 * USEC_PER_SEC)

void framing_free(struct framing *framing)
{
	free(framing->separator);
	free(framing->assign);
}

bool framing_has_address(const struct framing *framing)
{
	return framing->address_at >= 0 || template_has(&framing->request, FILL_ADDRESS) ||
	       template_has(&framing->setup, FILL_ADDRESS);
}

/* --- bytes --- */

static void read_hex_ending(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct ending *ending = data;

	schema_hex(schema, node, ending->bytes, ENDING_MAX_LENGTH, &ending->length);
}

static void read_text_ending(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct ending *ending = data;

	schema_octets(schema, node, ending->bytes, ENDING_MAX_LENGTH, &ending->length);
}

/* --- the keys --- */

static void read_start(struct schema *schema, const struct yaml_node *node, void *data)
{
	read_hex_ending(schema, node, &((struct framing *)data)->start);
}

static void read_end(struct schema *schema, const struct yaml_node *node, void *data)
{
	read_hex_ending(schema, node, &((struct framing *)data)->end);
}

static void read_line_end(struct schema *schema, const struct yaml_node *node, void *data)
{
	read_text_ending(schema, node, &((struct framing *)data)->end);
}

static bool read_order(struct schema *schema, const struct yaml_node *node)
{
	static const char *const orders[] = {"AB", "BA", NULL};
	unsigned index = 0;

	schema_word(schema, node, "an order of two bytes", orders, &index);
	return index;
}

static void read_count_at(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t at;

	if (schema_integer(schema, node, 0, FRAME_MAX_LENGTH - 1, &at))
		((struct framing *)data)->count.at = at;
}

static void read_count_size(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t size;

	if (schema_integer(schema, node, 1, 2, &size))
		((struct framing *)data)->count.size = size;
}

static void read_count_order(struct schema *schema, const struct yaml_node *node, void *data)
{
	((struct framing *)data)->count.low_first = read_order(schema, node);
}

static void read_count_add(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t add;

	if (schema_integer(schema, node, -FRAME_MAX_LENGTH, FRAME_MAX_LENGTH, &add))
		((struct framing *)data)->count.add = add;
}

static void read_count_most(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t most;

	if (schema_integer(schema, node, LENGTH_LEAST, FRAME_MAX_LENGTH, &most))
		((struct framing *)data)->count.most = most;
}

/* `32`, or `{at: 2, size: 2, add: 4}`: the count that stands in the frame. */
static void read_length(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const struct schema_key keys[] = {
		NEEDED("at", read_count_at),	KEY("size", read_count_size),
		KEY("order", read_count_order), KEY("add", read_count_add),
		KEY("most", read_count_most),	LAST_KEY,
	};
	struct framing *framing = data;
	int64_t length;

	if (node->kind == YAML_MAP) {
		framing->count.size = 1;
		framing->count.most = FRAME_MAX_LENGTH;
		schema_map(schema, node, "length", keys, framing);
	} else if (schema_integer(schema, node, LENGTH_LEAST, FRAME_MAX_LENGTH, &length)) {
		framing->length = length;
	}
}

static void read_checksum_type(struct schema *schema, const struct yaml_node *node,
			       void *data)
{
	unsigned index;

	if (schema_word(schema, node, "a checksum", checksum_names, &index))
		((struct framing *)data)->checksum.type = index;
}

static void read_checksum_from(struct schema *schema, const struct yaml_node *node,
			       void *data)
{
	int64_t from;

	if (schema_integer(schema, node, 0, FRAME_MAX_LENGTH - 1, &from))
		((struct framing *)data)->checksum.from = from;
}

static void read_checksum_order(struct schema *schema, const struct yaml_node *node,
				void *data)
{
	((struct framing *)data)->checksum.low_first = read_order(schema, node);
}

/* `sum16`, or `{type: sum8, from: 2, order: BA}`. */
static void read_checksum(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const struct schema_key keys[] = {
		NEEDED("type", read_checksum_type),
		KEY("from", read_checksum_from),
		KEY("order", read_checksum_order),
		LAST_KEY,
	};

	if (node->kind == YAML_MAP)
		schema_map(schema, node, "checksum", keys, data);
	else
		read_checksum_type(schema, node, data);
}

static void read_address_at(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t at;

	if (schema_integer(schema, node, 0, FRAME_MAX_LENGTH - 1, &at))
		((struct framing *)data)->address_at = at;
}

static void read_frame_request(struct schema *schema, const struct yaml_node *node,
			       void *data)
{
	template_read_frame(schema, node, false, &((struct framing *)data)->request);
}

static void read_setup_send(struct schema *schema, const struct yaml_node *node, void *data)
{
	template_read_frame(schema, node, false, &((struct framing *)data)->setup);
}

static void read_setup_wait(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_duration(schema, node, 0, SETUP_WAIT_MOST,
			&((struct framing *)data)->setup_wait_us);
}

/* `7E 00 00 02 01 03 {checksum} 7E`, or `{send: "7E …", wait: 1s}`. */
static void read_setup(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const struct schema_key keys[] = {
		NEEDED("send", read_setup_send), KEY("wait", read_setup_wait), LAST_KEY,
	};

	if (node->kind == YAML_MAP)
		schema_map(schema, node, "setup", keys, data);
	else
		read_setup_send(schema, node, data);
}

static void read_stuffing(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const char *const words[] = {
		[STUFFING_NONE] = "none", [STUFFING_SHDLC] = "shdlc", NULL};
	unsigned index;

	if (schema_word(schema, node, "a stuffing", words, &index))
		((struct framing *)data)->stuffing = index;
}

static void read_text_request(struct schema *schema, const struct yaml_node *node, void *data)
{
	template_read_text(schema, node, false, &((struct framing *)data)->request);
}

static void read_acknowledge(struct schema *schema, const struct yaml_node *node, void *data)
{
	template_read_text(schema, node, false, &((struct framing *)data)->acknowledge);
}

static void read_separator(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_text(schema, node, WORD_MAX_LENGTH, &((struct framing *)data)->separator);
}

static void read_assign(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_text(schema, node, WORD_MAX_LENGTH, &((struct framing *)data)->assign);
}

static void read_line_checksum(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const char *const words[] = {"none", "nmea", NULL};
	unsigned index;

	if (schema_word(schema, node, "a checksum of lines", words, &index))
		((struct framing *)data)->nmea = index;
}

static void read_seal(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const char *const words[] = {
		[SEAL_NONE] = "none", [SEAL_CRC16] = "crc16", [SEAL_BCC] = "bcc", NULL};
	unsigned index;

	if (schema_word(schema, node, "a checksum of telegrams", words, &index))
		((struct framing *)data)->seal = index;
}

static void read_silence(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_duration(schema, node, SILENCE_LEAST, SILENCE_MOST,
			&((struct framing *)data)->silence_us);
}

/* --- what can only be checked when all is read --- */

static void check_frame(struct schema *schema, const struct yaml_node *root,
			const struct framing *framing)
{
	const struct yaml_node *checksum = yaml_get(root, "checksum");
	size_t least = framing->start.length + checksum_size(framing->checksum.type) +
		       framing->end.length;

	if (!yaml_get(root, "start") && !yaml_get(root, "request"))
		schema_fault(schema, root, "a frame that comes unasked needs `start:`");
	if (!yaml_get(root, "length") && !yaml_get(root, "end"))
		schema_fault(schema, root, "a frame needs `length:`, or `end:`");
	if (framing->length && framing->length < least)
		schema_fault(schema, yaml_get(root, "length"),
			     "start, checksum and end alone are %zu bytes", least);
	if (framing->length && framing->checksum.from >= framing->length)
		schema_fault(schema, checksum, "it would be taken from byte %u, but the frame "
					       "is %zu bytes", framing->checksum.from,
			     framing->length);
	if (framing->length && framing->address_at >= (int)framing->length)
		schema_fault(schema, yaml_get(root, "address_at"),
			     "the frame is %zu bytes, counted from 0", framing->length);
}

void framing_check_sent(struct schema *schema, const struct yaml_node *node,
			const struct framing *framing, const struct template *template)
{
	if (!template->count)
		return;
	if (template_has(template, FILL_CHECKSUM) && !framing->checksum.type)
		schema_fault(schema, node, "{checksum} needs the map's `checksum:`");
	if (framing->stuffing == STUFFING_SHDLC &&
	    (template->count < 2 || template->items[0] != SHDLC_FLAG ||
	     template->items[template->count - 1] != SHDLC_FLAG))
		schema_fault(schema, node, "with `stuffing: shdlc` it begins and ends with 7E");
}

static void check_stuffing(struct schema *schema, const struct yaml_node *root,
			   const struct framing *framing)
{
	const struct ending *start = &framing->start, *end = &framing->end;

	if (framing->stuffing == STUFFING_SHDLC &&
	    (!start->length || start->bytes[0] != SHDLC_FLAG || end->length != 1 ||
	     end->bytes[0] != SHDLC_FLAG))
		schema_fault(schema, yaml_get(root, "stuffing"),
			     "shdlc's frames begin and end with 7E: so do `start:` and `end:`");
}

static void check_setup(struct schema *schema, const struct yaml_node *root,
			const struct framing *framing)
{
	if (framing->setup.count && !framing->request.count)
		schema_fault(schema, yaml_get(root, "setup"),
			     "setup comes before the first `request:`, which is missing");
}

static void check_silence(struct schema *schema, const struct yaml_node *root,
			  const struct framing *framing)
{
	const struct yaml_node *silence = yaml_get(root, "silence");

	if (silence && framing->request.count)
		schema_fault(schema, silence, "silence is for devices that speak unasked: this "
					      "one has a request");
}

static void check_acknowledge(struct schema *schema, const struct yaml_node *root,
			      const struct framing *framing)
{
	if (framing->acknowledge.count && !framing->request.count)
		schema_fault(schema, yaml_get(root, "acknowledge"),
			     "acknowledge answers the answer to `request:`, which is missing");
}

const struct schema_key *framing_keys(enum driver_kind kind)
{
	static const struct schema_key text[] = {
		KEY("end", read_line_end),
		KEY("separator", read_separator),
		KEY("assign", read_assign),
		KEY("checksum", read_line_checksum),
		KEY("request", read_text_request),
		KEY("silence", read_silence),
		LAST_KEY,
	};
	static const struct schema_key frame[] = {
		KEY("start", read_start),
		KEY("length", read_length),
		KEY("end", read_end),
		KEY("checksum", read_checksum),
		KEY("stuffing", read_stuffing),
		KEY("address_at", read_address_at),
		KEY("setup", read_setup),
		KEY("request", read_frame_request),
		KEY("silence", read_silence),
		LAST_KEY,
	};
	static const struct schema_key obis[] = {
		KEY("checksum", read_seal),
		KEY("request", read_text_request),
		KEY("acknowledge", read_acknowledge),
		KEY("silence", read_silence),
		LAST_KEY,
	};
	static const struct schema_key vedirect[] = {KEY("silence", read_silence), LAST_KEY};
	static const struct schema_key none[] = {LAST_KEY};
	static const struct schema_key *const keys[] = {
		[DRIVER_MODBUS] = none, [DRIVER_TEXT] = text,	      [DRIVER_FRAME] = frame,
		[DRIVER_OBIS] = obis,	[DRIVER_VEDIRECT] = vedirect,
	};

	return keys[kind];
}

void framing_read(struct schema *schema, const struct yaml_node *root, enum driver_kind kind,
		  struct framing *framing)
{
	*framing = (struct framing){
		.address_at = -1,
		.setup_wait_us = DEFAULT_SETUP_WAIT,
		.silence_us = DEFAULT_SILENCE,
	};
	schema_take(schema, root, "the map", framing_keys(kind), framing);
	if (kind == DRIVER_FRAME) {
		check_frame(schema, root, framing);
		check_stuffing(schema, root, framing);
		check_setup(schema, root, framing);
		framing_check_sent(schema, yaml_get(root, "request"), framing, &framing->request);
		framing_check_sent(schema, yaml_get(root, "setup"), framing, &framing->setup);
	}
	check_silence(schema, root, framing);
	check_acknowledge(schema, root, framing);
}
