/* SPDX-License-Identifier: Apache-2.0 */
/* test_libmodbus.c - a slave that is not ours, libmodbus's, is polled correctly. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#ifdef HAVE_MODBUS
#include "on_stage.h"
#include "uplink/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <modbus.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <termios.h>

static int masters[2];

/* A raw pseudo-terminal, whose slave stays open so that its master never hangs up. */
static int open_terminal(char path[64])
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct termios raw;

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, path, 64), 0);
	slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	tcgetattr(slave, &raw);
	cfmakeraw(&raw);
	tcsetattr(slave, TCSANOW, &raw);
	return master;
}

/* The wire between the two terminals. */
static int on_master(sd_event_source *source, int fd, uint32_t events, void *data)
{
	uint8_t bytes[512];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	(void)source, (void)events, (void)data;
	if (n <= 0)
		return -EIO;
	return write(masters[fd == masters[0]], bytes, n) == n ? 0 : -EIO;
}

/* XY-MD02 as libmodbus plays it: input registers 1 and 2. */
static void serve(const char *path)
{
	modbus_t *slave = modbus_new_rtu(path, 9600, 'N', 8, 1);
	modbus_mapping_t *mapping = modbus_mapping_new(0, 0, 0, 8);
	uint8_t query[MODBUS_RTU_MAX_ADU_LENGTH];

	mapping->tab_input_registers[1] = (uint16_t)-57; /* -5.7 °C */
	mapping->tab_input_registers[2] = 453;           /* 45.3 % */
	modbus_set_slave(slave, 17);
	if (modbus_connect(slave) < 0)
		_exit(1);
	while (true) {
		int n = modbus_receive(slave, query);

		if (n > 0)
			modbus_reply(slave, query, n, mapping);
	}
}

static bool has_reading(struct stage *on, uint64_t unused)
{
	static const char expected[] = "\"temperature\":-5.7,\"humidity\":45.3";
	_cleanup_(spool_freep) struct spool *spool = NULL;
	_cleanup_free_ char *directory = NULL;
	struct spool_conf conf = { .max_bytes = 256 << 20 };
	struct message message;
	struct place place;

	(void)unused;
	if (asprintf(&directory, "%s/spool", on->directory) < 0)
		return false;
	conf.directory = directory;
	if (spool_open(&conf, true, &spool) < 0)
		return false;
	while (spool_next(spool, &message, &place) == 1)
		if (message.body_length == sizeof(expected) - 1 &&
		    !memcmp(message.body, expected, sizeof(expected) - 1))
			return true;
	return false;
}

static void libmodbus_is_polled(void **state)
{
	char paths[2][64];
	pid_t slave;
	int r;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		masters[i] = open_terminal(paths[i]);
		assert_true(sd_event_add_io(stage.loop, NULL, masters[i], EPOLLIN, on_master,
					    NULL) >= 0);
	}
	slave = fork();
	if (slave == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(paths[1]);
	}
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_int_equal(stage_configure(&stage, "qos = 1;", ""), 0);
	assert_int_equal(stage_write(&stage, "bus.yaml",
				     "bus: foreign\n"
				     "port: %s\n"
				     "devices:\n"
				     "  - {name: air, map: xy-md02, address: 17, every: 200ms}\n",
				     paths[0]), 0);
	/* Without a link the readings stay in the spool, where they are looked for. */
	proxy_cut(stage.proxy, true);
	assert_int_equal(stage_start_gateway(&stage), 0);
	r = stage_wait(&stage, has_reading, 0);
	if (r < 0)
		stage_show_log(&stage, "gateway.log");
	stage_end(&slave, SIGKILL);
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(libmodbus_is_polled, open_stage, close_stage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void libmodbus_is_polled(void **state)
{
	(void)state;
	print_message("libmodbus is not installed\n");
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(libmodbus_is_polled) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
