/* SPDX-License-Identifier: Apache-2.0 */
/* test_conf.c - what postbus.conf may say, and how it is told what is wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "config/conf.h"
#include "config/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static char path[] = "/tmp/postbus-conf-XXXXXX";

static int make_file(void **state)
{
	int fd;

	(void)state;
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static struct faults *load(const char *text, struct conf **conf)
{
	struct faults *faults = faults_new();
	FILE *file = fopen(path, "we");

	assert_non_null(faults);
	assert_non_null(file);
	fprintf(file, "gateway = \"barn\";\n%s", text);
	assert_int_equal(fclose(file), 0);
	*conf = NULL;
	(void)!conf_load(path, conf, faults);
	return faults;
}

static struct conf *load_right(const char *text)
{
	struct conf *conf;
	_cleanup_(faults_freep) struct faults *faults = load(text, &conf);

	faults_print(faults, stderr);
	assert_int_equal(faults_count(faults), 0);
	assert_non_null(conf);
	return conf;
}

/* The fault's place and text begin so, behind the file's name. */
static void check_fault(const char *text, const char *wanted)
{
	_cleanup_(conf_freep) struct conf *conf = NULL;
	_cleanup_(faults_freep) struct faults *faults = load(text, &conf);
	_cleanup_free_ char *said = NULL;
	size_t size;
	FILE *out = open_memstream(&said, &size);

	assert_non_null(out);
	faults_print(faults, out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(faults_count(faults), 1);
	assert_memory_equal(said, path, strlen(path));
	if (strncmp(said + strlen(path), wanted, strlen(wanted)) != 0)
		assert_string_equal(said + strlen(path), wanted);
}

static void nobody_is_told_by_default(void **state)
{
	_cleanup_(conf_freep) struct conf *conf = load_right("");

	(void)state;
	assert_int_equal(conf->publish.discovery, DISCOVERY_NONE);
	assert_string_equal(conf->publish.discovery_prefix, "homeassistant");
	assert_string_equal(conf->publish.birth_topic, "homeassistant/status");
	assert_null(conf->metrics.file);
	assert_null(conf->metrics.listen);
	assert_true(conf->metrics.every_us == 15 * USEC_PER_SEC);
}

static void discovery_is_read(void **state)
{
	_cleanup_(conf_freep) struct conf *conf = load_right(
		"publish: { discovery = \"homeassistant\"; discovery_prefix = \"ha/cellar\"; };\n");

	(void)state;
	assert_int_equal(conf->publish.discovery, DISCOVERY_HOMEASSISTANT);
	assert_string_equal(conf->publish.discovery_prefix, "ha/cellar");
}

static void discovery_that_is_wrong_is_told(void **state)
{
	(void)state;
	check_fault("publish: { discovery = \"homeasistant\"; };\n",
		    ":2:12: discovery cannot be \"homeasistant\": did you mean \"homeassistant\"?");
	check_fault("publish: {\n discovery_prefix = \"a/{gateway}\"; };\n",
		    ":3:2: not a topic: placeholders have no meaning here");
	check_fault("publish: {\n discovery_prefix = \"a/#\"; };\n",
		    ":3:2: not a topic: + and # are for those who subscribe");
}

static void metrics_are_read(void **state)
{
	_cleanup_(conf_freep) struct conf *conf = load_right(
		"metrics: { file = \"metrics.prom\"; every = \"1min\"; };\n");

	(void)state;
	assert_string_equal(conf->metrics.file, "/tmp/metrics.prom");
	assert_true(conf->metrics.every_us == 60 * USEC_PER_SEC);
#ifdef HAVE_MICROHTTPD
	conf_free(TAKE_PTR(conf));
	conf = load_right("metrics: { listen = \"127.0.0.1:9110\"; };\n");
	assert_string_equal(conf->metrics.listen, "127.0.0.1:9110");
#else
	check_fault("metrics: { listen = \"127.0.0.1:9110\"; };\n",
		    ":2:12: listen: this postbus was built without libmicrohttpd");
#endif
}

static void metrics_that_are_wrong_are_told(void **state)
{
	(void)state;
	check_fault("metrics: { every = \"100ms\"; };\n",
		    ":2:12: every of 100ms is out of range, 1s to 1d can be");
	check_fault("metrics: {\n listen = \"0.0.0.0:9110\"; };\n",
		    ":3:2: listen: it is ADDRESS:PORT on loopback, as \"127.0.0.1:9110\"");
	check_fault("metrics: { file = \"\"; };\n",
		    ":2:12: file is empty; leave it out for its default");
}

static void addresses_on_loopback_are_right(void **state)
{
	struct sockaddr_storage address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
	socklen_t length;

	(void)state;
	assert_null(listen_parse("127.0.0.1:9110", &address, &length));
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(ntohs(in->sin_port), 9110);
	assert_int_equal(ntohl(in->sin_addr.s_addr), INADDR_LOOPBACK);
	assert_int_equal(length, sizeof(*in));
	assert_null(listen_parse("127.1.2.3:65535", &address, &length));
	assert_null(listen_parse("[::1]:1", &address, &length));
	assert_int_equal(in6->sin6_family, AF_INET6);
	assert_int_equal(ntohs(in6->sin6_port), 1);
	assert_null(listen_parse("/run/postbus/metrics", &address, &length));
	assert_int_equal(address.ss_family, AF_UNIX);
	assert_string_equal(((struct sockaddr_un *)&address)->sun_path, "/run/postbus/metrics");
}

static void other_addresses_are_wrong(void **state)
{
	static const char *const texts[] = {
		"", ":", "9110", ":9110", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
		"127.0.0.1:65536", "127.0.0.1: 80", "127.0.0.1:-1", "127.0.0.1:80x",
		"128.0.0.1:80", "0.0.0.0:80", "[::]:80", "[::1:80", "::1:80", "[]:80", "[:80",
		"localhost:80", "run/metrics",
		"[0000:0000:0000:0000:0000:0000:0000:0001:0000:0000:0000:0000]:80",
	};
	struct sockaddr_storage address;
	char longest[110];
	socklen_t length;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_non_null(listen_parse(texts[i], &address, &length));
	memset(longest, '/', sizeof(longest));
	longest[108] = '\0';
	assert_non_null(listen_parse(longest, &address, &length));
	longest[107] = '\0';
	assert_null(listen_parse(longest, &address, &length));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_told_by_default),
		cmocka_unit_test(discovery_is_read),
		cmocka_unit_test(discovery_that_is_wrong_is_told),
		cmocka_unit_test(metrics_are_read),
		cmocka_unit_test(metrics_that_are_wrong_are_told),
		cmocka_unit_test(addresses_on_loopback_are_right),
		cmocka_unit_test(other_addresses_are_wrong),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
