/* SPDX-License-Identifier: Apache-2.0 */
/* test_writing.c - `write:` in maps and bus files: what its keys mean, and what is wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "config/writing.h"
#include "stream.h"

#include <errno.h>
#include <math.h>

static struct device_map *modbus_map(const char *points)
{
	_cleanup_free_ char *text = NULL;

	assert_true(asprintf(&text, "map: m\ndriver: modbus\npoints:\n%s", points) > 0);
	return stream_map(text);
}

static void test_keys(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = modbus_map(
		"  a: {addr: 0, write: {}}\n"
		"  b: {addr: 1, write: {min: 5, max: 30, step: 0.5, verify: true, function: 16}}\n"
		"  c: {addr: 2, write: {on_crash: report}}\n"
		"  d: {addr: 3, table: coil, write: {pulse: 500ms}}\n"
		"  e: {addr: 4, table: coil,\n"
		"      write: {pulse: 1s, flash: {addr: 0x204, unit: 100ms}, on_crash: repeat}}\n"
		"  f: {addr: 5, write: false}\n"
		"  g: {addr: 6, table: coil, write: {pulse: 1s, flash: {addr: 6, unit: 1s}}}\n");
	const struct point *points = map->points;

	assert_true(points[0].writable);
	assert_false(points[0].write_verify || writing_is_action(&points[0]));
	assert_int_equal(points[0].write_on_crash, ON_CRASH_REPEAT);
	assert_true(writing_is_repeatable(&points[0]));
	assert_true(points[1].write_verify);
	assert_int_equal(points[1].write_function, 16);
	assert_false(writing_is_repeatable(&points[2]));
	assert_int_equal(points[3].write_pulse_us, 500 * USEC_PER_MSEC);
	assert_int_equal(points[3].write_on_crash, ON_CRASH_REPORT);
	assert_true(writing_is_action(&points[3]));
	assert_true(writing_is_repeatable(&points[3]));
	assert_int_equal(points[4].write_flash.addr, 0x204);
	assert_int_equal(points[4].write_flash.unit_us, 100 * USEC_PER_MSEC);
	assert_int_equal(points[4].write_on_crash, ON_CRASH_REPEAT);
	assert_true(writing_is_repeatable(&points[4]));
	assert_false(points[5].writable);
	/* The device may have made the pulse that it did not confirm. */
	assert_false(writing_is_repeatable(&points[6]));
}

static void check_range(const struct point *point, double least, double most)
{
	double a, b;

	writing_range(point, &a, &b);
	assert_true(a == least && b == most);
}

static void test_range(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = modbus_map(
		"  a: {addr: 0, write: {}}\n"
		"  b: {addr: 1, type: i16, scale: 0.1, write: {min: 5}}\n"
		"  c: {addr: 2, type: u8, offset: -40, write: {max: 100}}\n"
		"  d: {addr: 3, type: bcd16, write: {}}\n"
		"  e: {addr: 4, bits: 4..6, write: {}}\n"
		"  f: {addr: 5, type: i16, bits: 0..3, scale: -1, write: {}}\n"
		"  g: {addr: 6, type: f32, write: {}}\n"
		"  h: {addr: 8, type: u64, write: {}}\n");

	check_range(&map->points[0], 0, 65535);
	check_range(&map->points[1], 5, 3276.7000000000003);
	check_range(&map->points[2], -40, 100);
	check_range(&map->points[3], 0, 9999);
	check_range(&map->points[4], 0, 7);
	check_range(&map->points[5], -7, 8);
	check_range(&map->points[6], -(double)3.40282347e+38f, (double)3.40282347e+38f);
	check_range(&map->points[7], 0, 18446744073709551615.0);
}

static void test_phrases(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *text = stream_map(
		"map: m\ndriver: text\nrequest: \"R{address}\\r\"\npoints:\n"
		"  x: {field: 1, write: {min: 0, command: \"W{address}={value}\\r\",\n"
		"      reply: '^(?:OK|ACK)$'}}\n"
		"  tare: {type: bool, write: {command: \"T\\r\"}}\n");
	_cleanup_(device_map_freep) struct device_map *frame = stream_map(
		"map: m\ndriver: frame\nstart: FF\nlength: 4\nchecksum: sum8\npoints:\n"
		"  x: {at: 1, type: u8, write: {command: \"FF 02 {value} {checksum}\",\n"
		"      reply: \"FF 03 {value}\", on_crash: report}}\n"
		"  y: {type: u8, write: {command: \"FF 04\"}}\n");
	const struct phrase *phrase = text->points[0].locator->phrase;

	assert_true(text->points[0].writable && text->points[0].has_write_min);
	assert_int_equal(phrase->command.count, 5);
	assert_int_equal(phrase->command.items[1], FILL_ADDRESS);
	assert_int_equal(phrase->command.items[3], FILL_VALUE);
	assert_true(pattern_is_in(phrase->text_reply, "ACK", 3));
	assert_false(pattern_is_in(phrase->text_reply, "NAK", 3));
	assert_int_equal(text->points[0].write_on_crash, ON_CRASH_REPEAT);
	assert_true(point_is_read(&text->points[0]));
	/* What has no value does something each time. */
	assert_int_equal(text->points[1].write_on_crash, ON_CRASH_REPORT);
	assert_false(point_is_read(&text->points[1]));

	phrase = frame->points[0].locator->phrase;
	assert_int_equal(phrase->command.count, 4);
	assert_int_equal(phrase->frame_reply.count, 3);
	assert_int_equal(frame->points[0].write_on_crash, ON_CRASH_REPORT);
	assert_false(point_is_read(&frame->points[1]));
}

/* What is told of these points, without the file's name. */
static void check_faults(const char *head, const char *points, const char *expected)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *text = NULL, *told = NULL;
	struct device_map *map = NULL;
	size_t size;
	FILE *out = open_memstream(&told, &size);

	assert_true(asprintf(&text, "map: m\n%s\npoints:\n%s", head, points) > 0);
	assert_int_equal(device_map_parse("m", text, strlen(text), driver_names(), &map, faults),
			 -EINVAL);
	faults_print(faults, out);
	fclose(out);
	assert_string_equal(told, expected);
}

static void test_modbus_faults(_unused_ void **state)
{
	check_faults("driver: modbus",
		     "  a: {addr: 0, table: input, write: {}}\n"
		     "  b: {addr: 1, write: {min: 3, max: 2}}\n"
		     "  c: {addr: 2, write: {min: -1, max: 65536, step: 0}}\n"
		     "  d: {addr: 3, write: {function: 4}}\n"
		     "  e: {addr: 4, type: u32, write: {function: 6}}\n"
		     "  f: {addr: 6, table: coil, write: {function: 6, min: 1}}\n"
		     "  g: {addr: 7, write: {function: 5}}\n",
		     "m:4:37: the input table cannot be written, coil and holding can\n"
		     "m:5:23: min is above max\n"
		     "m:6:29: the point's type and scale go down to 0\n"
		     "m:6:38: the point's type and scale go up to 65535\n"
		     "m:6:51: a step must be above 0\n"
		     "m:7:34: 4 is no function that writes: 5, 6, 15, 16 and 22 do\n"
		     "m:8:45: function 6 writes one register, and the point has 2\n"
		     "m:9:36: min, max and step are for numbers\n"
		     "m:9:47: function 6 does not write the coil table\n"
		     "m:10:34: function 5 does not write the holding table\n");
	check_faults("driver: modbus",
		     "  a: {addr: 0, write: {pulse: 1s}}\n"
		     "  b: {addr: 1, table: coil, write: {pulse: 61s, verify: true}}\n"
		     "  c: {addr: 2, table: coil, write: {pulse: 1s, verify: true}}\n"
		     "  d: {addr: 3, table: coil, write: {pulse: 250ms, flash: {addr: 9, unit: 100ms}}}\n"
		     "  e: {addr: 4, table: coil, write: {on_crash: retry, flash: {addr: 9}}}\n"
		     "  f: {addr: 5, type: bool, write: {flash: {addr: 9, unit: 1s}}}\n"
		     "  g: {addr: 6, write: true}\n"
		     "  h: {addr: 7, write: {command: X}}\n",
		     "m:4:23: a pulse is for bool\n"
		     "m:5:44: 61s is out of range, 1ms to 1min can be\n"
		     "m:6:36: a pulse is over before it could be read back\n"
		     "m:7:36: the device makes pulses of whole flash units\n"
		     "m:8:47: 'retry' is not what becomes of it after a crash: repeat or report\n"
		     "m:8:61: flash needs `unit:`\n"
		     "m:9:43: a flash is of coils\n"
		     "m:10:23: write must be a map (`key: value`), not a value\n"
		     "m:11:24: write has no key 'command'\n");
}

static void test_stream_faults(_unused_ void **state)
{
	check_faults("driver: text",
		     "  a: {field: 1, write: {}}\n"
		     "  b: {field: 2, write: {command: \"W{address}\", reply: '(OK)'}}\n"
		     "  c: {field: 3, write: {command: \"{checksum}\"}}\n"
		     "  d: {write: {reply: OK}}\n",
		     "m:4:24: write needs `command:`\n"
		     "m:5:34: {address} needs one in the map's `request:`, or `address_at:`\n"
		     "m:5:55: not a regular expression to know a reply by: it has 1 groups, and "
		     "takes none; (?: ) is no group\n"
		     "m:6:34: {checksum} is for driver frame\n"
		     "m:7:6: a point needs one of match, field, key and json, not 0\n"
		     "m:7:14: write needs `command:`\n");
	check_faults("driver: frame\nstart: FF\nlength: 4",
		     "  a: {at: 1, type: u8, write: {command: \"FF {valu}\", function: 6}}\n"
		     "  b: {at: 1, type: u8, write: {command: \"FF {value} {checksum}\"}}\n",
		     "m:6:41: expected at most 64 bytes such as \"FF {address} 86 {checksum}\", not "
		     "'{valu}'\n"
		     "m:6:54: write has no key 'function'\n"
		     "m:7:41: {checksum} needs the map's `checksum:`\n");
	check_faults("driver: vedirect", "  a: {key: V, write: {}}\n",
		     "m:4:15: a point has no key 'write'\n");
}

/* --- what a device says in place of its map --- */

static int override(struct point *point, const char *line, char **told)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_(yaml_document_freep) struct yaml_document *document = NULL;
	size_t size;
	FILE *out = open_memstream(told, &size);
	int r = yaml_parse("b", line, strlen(line), &document, faults);

	assert_int_equal(r, 0);
	r = point_override(point, "b", document->root, faults);
	faults_print(faults, out);
	fclose(out);
	return r;
}

static void test_override(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = modbus_map(
		"  a: {addr: 0, type: i16, scale: 0.1,\n"
		"      write: {min: 5, max: 30, step: 0.5, verify: true, function: 16}}\n"
		"  b: {addr: 1, table: coil, write: {flash: {addr: 0x200, unit: 100ms}}}\n");
	struct point *a = &map->points[0], *b = &map->points[1];
	_cleanup_free_ char *said = NULL, *pulse = NULL, *no = NULL;

	/* What it does not say stays as the map says it. */
	assert_int_equal(override(a, "{write: {max: 25}}", &said), 0);
	assert_true(a->has_write_min && a->write_min == 5 && a->write_max == 25);
	assert_true(a->has_write_step && a->write_verify && a->write_function == 16);
	assert_int_equal(override(b, "{write: {pulse: 700ms}}", &pulse), 0);
	assert_int_equal(b->write_pulse_us, 700 * USEC_PER_MSEC);
	assert_int_equal(b->write_flash.addr, 0x200);
	assert_int_equal(b->write_on_crash, ON_CRASH_REPORT);
	assert_int_equal(override(a, "{write: false}", &no), 0);
	assert_false(a->writable);
}

static void test_override_of_streams(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(
		"map: m\ndriver: text\npoints:\n"
		"  a: {field: 1, write: {min: 0, command: \"W{value}\\r\"}}\n"
		"  b: {field: 2}\n");
	_cleanup_free_ char *said = NULL, *wrong = NULL, *none = NULL;

	assert_int_equal(override(&map->points[0], "{write: {max: 25}}", &said), 0);
	assert_true(map->points[0].has_write_min && map->points[0].write_max == 25);
	assert_int_equal(override(&map->points[0], "{write: {command: X}}", &wrong), -EINVAL);
	assert_string_equal(wrong, "b:1:10: write has no key 'command'\n");
	assert_int_equal(override(&map->points[1], "{write: {max: 25}}", &none), -EINVAL);
	assert_string_equal(none, "b:1:9: it has no `command:` in its map to be written by\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_phrases),
		cmocka_unit_test(test_modbus_faults),
		cmocka_unit_test(test_stream_faults),
		cmocka_unit_test(test_override),
		cmocka_unit_test(test_override_of_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
