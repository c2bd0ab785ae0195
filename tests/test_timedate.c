/* SPDX-License-Identifier: Apache-2.0 */
/* test_timedate.c - a bus of D-Bus on which timedated says what it is told to. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/clock.h"
#include "bridge/timedate.h"
#include "tools/stage.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/timex.h>
#include <systemd/sd-bus.h>

static char directory[] = "/tmp/postbus-timedate-XXXXXX";
static pid_t daemon_pid;
static sd_event *loop;
static sd_bus *service;
static bool ntp_synchronized;
static unsigned questions;
static bool kernel_may_be_asked;

int __wrap_adjtimex(struct timex *state);
int __wrap_adjtimex(struct timex *state)
{
	state->status = STA_UNSYNC;
	errno = EPERM;
	return kernel_may_be_asked ? TIME_ERROR : -1;
}

/* --- the bus, and timedated on it --- */

static bool step_until_path_exists(const char *path)
{
	uint64_t end_us = clock_monotonic_us() + 30000000;

	while (access(path, F_OK) < 0) {
		if (clock_monotonic_us() > end_us)
			return false;
		sd_event_run(loop, 10000);
	}
	return true;
}

static void start_bus(void)
{
	char address[160], path[128];
	char *argv[] = { "dbus-daemon", "--session", "--nofork", "--nopidfile", address, NULL };

	snprintf(path, sizeof(path), "%s/bus", directory);
	unlink(path);
	snprintf(address, sizeof(address), "--address=unix:path=%s", path);
	daemon_pid = stage_spawn(argv, STDERR_FILENO);
	assert_true(daemon_pid > 0);
	assert_true(step_until_path_exists(path));
}

static int get_synchronized(sd_bus *bus, const char *path, const char *interface,
			    const char *property, sd_bus_message *reply, void *data,
			    sd_bus_error *error)
{
	(void)bus, (void)path, (void)interface, (void)property, (void)data, (void)error;
	questions++;
	return sd_bus_message_append(reply, "b", ntp_synchronized);
}

static void start_service(void)
{
	static const sd_bus_vtable vtable[] = {
		SD_BUS_VTABLE_START(0),
		SD_BUS_PROPERTY("NTPSynchronized", "b", get_synchronized, 0, 0),
		SD_BUS_VTABLE_END,
	};

	assert_true(sd_bus_open_system(&service) >= 0);
	assert_true(sd_bus_add_object_vtable(service, NULL, "/org/freedesktop/timedate1",
					     "org.freedesktop.timedate1", vtable,
					     NULL) >= 0);
	assert_true(sd_bus_request_name(service, "org.freedesktop.timedate1", 0) >= 0);
	assert_true(sd_bus_attach_event(service, loop, 0) >= 0);
}

static void stop_service(void)
{
	if (service)
		sd_bus_detach_event(service);
	service = sd_bus_close_unref(service);
}

static int set_up(void **state)
{
	char address[128];

	(void)state;
	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	if (!mkdtemp(directory) || sd_event_new(&loop) < 0)
		return -1;
	snprintf(address, sizeof(address), "unix:path=%s/bus", directory);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", address, true);
	ntp_synchronized = false;
	questions = 0;
	kernel_may_be_asked = false;
	clock_note_synced(false);
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	stop_service();
	stage_end(&daemon_pid, SIGKILL);
	sd_event_unref(loop);
	return nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void wait_until_synced_is(bool wanted)
{
	uint64_t end_us = clock_monotonic_us() + 30000000;

	while (clock_is_synced() != wanted && clock_monotonic_us() < end_us)
		sd_event_run(loop, 100000);
	assert_int_equal(clock_is_synced(), wanted);
}

static void wait_for_a_question(void)
{
	uint64_t end_us = clock_monotonic_us() + 30000000;

	while (!questions && clock_monotonic_us() < end_us)
		sd_event_run(loop, 100000);
	assert_true(questions);
}

/* --- tests --- */

static void it_is_right_once_timedated_says_so(void **state)
{
	_cleanup_(timedate_freep) struct timedate *timedate = NULL;

	(void)state;
	start_bus();
	start_service();
	assert_int_equal(timedate_new(loop, &timedate), 0);
	assert_non_null(timedate);
	assert_false(clock_is_synced());
	ntp_synchronized = true;
	wait_until_synced_is(true);
}

/* There is no bus at first; it comes, goes while nobody knows yet, and comes again. */
static void who_can_tell_is_waited_for(void **state)
{
	_cleanup_(timedate_freep) struct timedate *timedate = NULL;

	(void)state;
	assert_int_equal(timedate_new(loop, &timedate), 0);
	sd_event_run(loop, 0);
	assert_false(clock_is_synced());
	start_bus();
	start_service();
	wait_for_a_question();
	assert_false(clock_is_synced());
	stop_service();
	stage_end(&daemon_pid, SIGKILL);
	ntp_synchronized = true;
	start_bus();
	start_service();
	wait_until_synced_is(true);
}

static void the_kernel_is_asked_where_it_may_be(void **state)
{
	struct timedate *timedate;

	(void)state;
	kernel_may_be_asked = true;
	clock_note_synced(true);
	assert_int_equal(timedate_new(loop, &timedate), 0);
	assert_null(timedate);
	assert_false(clock_is_synced());
}

#define timedate_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		timedate_test(it_is_right_once_timedated_says_so),
		timedate_test(who_can_tell_is_waited_for),
		timedate_test(the_kernel_is_asked_where_it_may_be),
	};

	/* timesyncd of this machine has the last word, and can't be kept from it. */
	if (access("/run/systemd/timesync/synchronized", F_OK) == 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
