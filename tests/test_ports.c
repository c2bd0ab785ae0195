/* SPDX-License-Identifier: Apache-2.0 */
/* test_ports.c - what ports are called, who has locked them, and what the verb shows of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "field/port_name.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

/* Two adapters of one kind with numbers, two of another kind without, and a built-in port. */
static const struct serial_info infos[] = {
	{.path = "/dev/ttyUSB0", .usb = true, .vid = 0x0403, .pid = 0x6001, .serial = "A50285BI"},
	{.path = "/dev/ttyUSB1", .usb = true, .vid = 0x0403, .pid = 0x6001, .serial = "A9"},
	{.path = "/dev/ttyUSB2", .usb = true, .vid = 0x1a86, .pid = 0x7523},
	{.path = "/dev/ttyUSB3", .usb = true, .vid = 0x1a86, .pid = 0x7523},
	{.path = "/dev/ttyAMA0"},
};

static void test_found_by_usb(_unused_ void **state)
{
	const size_t n = ARRAY_SIZE(infos);

	assert_int_equal(port_name_find("usb:0403:6001:A9", infos, n), 1);
	assert_int_equal(port_name_find("usb:0403:6001:A", infos, n), -ENOENT);
	assert_int_equal(port_name_find("usb:0403:6001", infos, n), -ENOTUNIQ);
	assert_int_equal(port_name_find("usb:0403:6001", infos, 1), 0);
	assert_int_equal(port_name_find("usb:1A86:7523", infos, 3), 2);
	assert_int_equal(port_name_find("usb:1a86:7523:A9", infos, n), -ENOENT);
	assert_int_equal(port_name_find("usb:1a86", infos, n), -ENOENT);
}

static void check_stable(size_t index, const char *links, const char *expected)
{
	_cleanup_free_ char *name =
		port_name_stable(infos, ARRAY_SIZE(infos), index, links);

	assert_string_equal(name, expected);
}

static void test_stable_names(_unused_ void **state)
{
	char directory[] = "/tmp/test_ports.XXXXXX", link[64];
	struct serial_info linked = {.path = "/dev/null", .usb = true};
	_cleanup_free_ char *name = NULL;

	check_stable(0, "/nowhere", "usb:0403:6001:A50285BI");
	check_stable(2, "/nowhere", "/dev/ttyUSB2");
	check_stable(4, "/nowhere", "/dev/ttyAMA0");

	assert_non_null(mkdtemp(directory));
	snprintf(link, sizeof(link), "%s/usb-FTDI", directory);
	assert_int_equal(symlink("/dev/null", link), 0);
	name = port_name_stable(&linked, 1, 0, directory);
	assert_string_equal(name, link);
	unlink(link);
	rmdir(directory);
}

static void test_locks_are_seen(_unused_ void **state)
{
	_cleanup_close_ int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	_cleanup_close_ int other = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	_cleanup_close_ int slave = -1;
	char path[64];

	assert_true(fd >= 0 && unlockpt(fd) == 0);
	assert_int_equal(ptsname_r(fd, path, sizeof(path)), 0);
	slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(port_locked_by(path), 0);
	assert_int_equal(flock(slave, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(port_locked_by(path), getpid());
	assert_int_equal(ptsname_r(other, path, sizeof(path)), 0);
	assert_int_equal(port_locked_by(path), 0);
}

/* Whatever ports this machine has: each in /dev, with a name. */
static void test_verb(_unused_ void **state)
{
	char output[65536], command[4096];
	const cJSON *item;
	cJSON *list;
	FILE *pipe;
	size_t n;

	snprintf(command, sizeof(command), "%s ports --json", getenv("POSTBUS"));
	pipe = popen(command, "re");
	assert_non_null(pipe);
	n = fread(output, 1, sizeof(output) - 1, pipe);
	output[n] = '\0';
	assert_int_equal(pclose(pipe), 0);
	list = cJSON_Parse(output);
	assert_true(cJSON_IsArray(list));
	cJSON_ArrayForEach(item, list) {
		const char *port = cJSON_GetStringValue(cJSON_GetObjectItem(item, "port"));

		assert_int_equal(strncmp(port, "/dev/", 5), 0);
		assert_true(cJSON_HasObjectItem(item, "name"));
		assert_true(cJSON_HasObjectItem(item, "usb"));
		assert_true(cJSON_HasObjectItem(item, "in_use_by"));
	}
	cJSON_Delete(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_by_usb),
		cmocka_unit_test(test_stable_names),
		cmocka_unit_test(test_locks_are_seen),
		cmocka_unit_test(test_verb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
