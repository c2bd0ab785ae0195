/* SPDX-License-Identifier: Apache-2.0 */
/* conf_keys.c - the keys of postbus.conf, and what holds where they are not given. */
#include "config/conf_keys.h"
#include "base/units.h"

#include <errno.h>
#include <string.h>

#define FIELD(field) \
	.offset = offsetof(struct conf, field), .size = sizeof(((struct conf *)NULL)->field)
#define WORDS(...) .words = (const char *const[]){__VA_ARGS__, NULL}

#define DAY (86400 * USEC_PER_SEC)
#define MIB (UINT64_C(1) << 20)

static const struct key tls_keys[] = {
	{"ca", KIND_PATH, FIELD(broker.tls.ca)},
	{"cert", KIND_PATH, FIELD(broker.tls.cert)},
	{"key", KIND_PATH, FIELD(broker.tls.key)},
	{"psk_identity", KIND_TEXT, FIELD(broker.tls.psk_identity)},
	{"psk_file", KIND_PATH, FIELD(broker.tls.psk_file)},
	{0},
};

static const struct key reconnect_keys[] = {
	{"first", KIND_DURATION, FIELD(broker.reconnect_first_us), .least = USEC_PER_MSEC,
	 .most = DAY},
	{"most", KIND_DURATION, FIELD(broker.reconnect_most_us), .least = USEC_PER_MSEC,
	 .most = DAY},
	{0},
};

/* MQTT counts keep alive in 16 bits of seconds, session expiry in 32 (5.0, 3.1.2). */
static const struct key broker_keys[] = {
	{"host", KIND_TEXT, FIELD(broker.host)},
	{"port", KIND_NUMBER, FIELD(broker.port), .least = 1, .most = 65535},
	{"version", KIND_WORD, FIELD(broker.mqtt5), WORDS("3.1.1", "5")},
	{"client_id", KIND_TEXT, FIELD(broker.client_id)},
	{"session", KIND_WORD, FIELD(broker.clean_session), WORDS("persistent", "clean")},
	{"keepalive", KIND_DURATION, FIELD(broker.keepalive_us), .least = 5 * USEC_PER_SEC,
	 .most = 65535 * USEC_PER_SEC},
	{"session_expiry", KIND_DURATION, FIELD(broker.session_expiry_us),
	 .least = USEC_PER_SEC, .most = 49710 * DAY},
	{"inflight", KIND_NUMBER, FIELD(broker.inflight), .least = 1, .most = 1000},
	{"username", KIND_TEXT, FIELD(broker.username)},
	{"password_file", KIND_PATH, FIELD(broker.password_file)},
	{"tls", KIND_GROUP, FIELD(broker.tls.enabled), .keys = tls_keys},
	{"reconnect", KIND_GROUP, .keys = reconnect_keys, .change = CONF_NOW},
	{0},
};

static const struct key publish_keys[] = {
	{"topic", KIND_TOPIC, FIELD(publish.topic)},
	{"layout", KIND_WORD, FIELD(publish.layout), WORDS("device", "point")},
	{"qos", KIND_NUMBER, FIELD(publish.qos), .most = 2},
	{"retain", KIND_BOOL, FIELD(publish.retain)},
	{"payload", KIND_WORD, FIELD(publish.payload), WORDS("json", "bare")},
	{"time", KIND_WORD, FIELD(publish.time), WORDS("iso", "epoch_ms")},
	{"expiry", KIND_DURATION, FIELD(publish.expiry_us), .most = 49710 * DAY,
	 .change = CONF_NOW},
	{"clock_wait", KIND_DURATION, FIELD(publish.clock_wait_us), .most = 3600 * USEC_PER_SEC,
	 .change = CONF_NOW},
	{"discovery", KIND_WORD, FIELD(publish.discovery), WORDS("none", "homeassistant"),
	 .change = CONF_NOW},
	{"discovery_prefix", KIND_LEVELS, FIELD(publish.discovery_prefix), .change = CONF_NOW},
	{"birth_topic", KIND_LEVELS, FIELD(publish.birth_topic), .change = CONF_NOW},
	{0},
};

static const struct key spool_keys[] = {
	{"directory", KIND_PATH, FIELD(spool.directory), .change = CONF_RESTART},
	{"max_size", KIND_SIZE, FIELD(spool.max_bytes), .least = MIB, .most = MIB << 20},
	{"max_age", KIND_DURATION, FIELD(spool.max_age_us), .least = USEC_PER_SEC,
	 .most = 36600 * DAY},
	{"when_full", KIND_WORD, FIELD(spool.when_full), WORDS("drop-oldest", "drop-newest")},
	{"sync", KIND_DURATION, FIELD(spool.sync_us), .most = 3600 * USEC_PER_SEC,
	 WORDS("always"), .change = CONF_RESTART},
	{"order", KIND_WORD, FIELD(spool.order), WORDS("oldest-first", "live-first"),
	 .change = CONF_LINK},
	{"drain_rate", KIND_NUMBER, FIELD(spool.drain_rate), .most = 1000000},
	{0},
};

static const struct key metrics_keys[] = {
	{"file", KIND_PATH, FIELD(metrics.file)},
	{"every", KIND_DURATION, FIELD(metrics.every_us), .least = USEC_PER_SEC, .most = DAY},
	{"listen", KIND_LISTEN, FIELD(metrics.listen)},
	{0},
};

const struct key conf_keys[] = {
	{"gateway", KIND_NAME, FIELD(gateway)},
	{"buses", KIND_PATH, FIELD(buses), .change = CONF_NOW},
	{"maps", KIND_PATHS, FIELD(maps), .change = CONF_NOW},
	{"commands", KIND_BOOL, FIELD(commands), .change = CONF_NOW},
	{"command_max_age", KIND_DURATION, FIELD(command_max_age_us), .least = USEC_PER_SEC,
	 .most = 36600 * DAY, .change = CONF_NOW},
	{"broker", KIND_GROUP, .keys = broker_keys, .change = CONF_LINK},
	{"publish", KIND_GROUP, .keys = publish_keys, .change = CONF_BUSES},
	{"spool", KIND_GROUP, .keys = spool_keys, .change = CONF_NOW},
	{"metrics", KIND_GROUP, .keys = metrics_keys, .change = CONF_RESTART},
	{0},
};

int conf_set_defaults(struct conf *conf, const char *file)
{
	atomic_init(&conf->users, 1);
	conf->file = strdup(file);
	conf->buses = strdup(SYSCONFDIR "/postbus/buses.d");
	conf->maps = calloc(2, sizeof(*conf->maps));
	conf->broker.host = strdup("localhost");
	conf->publish.topic = strdup("{gateway}/{device}");
	conf->publish.discovery_prefix = strdup("homeassistant");
	conf->publish.birth_topic = strdup("homeassistant/status");
	conf->spool.directory = strdup("/var/lib/postbus/spool");
	if (!conf->file || !conf->buses || !conf->maps || !conf->broker.host ||
	    !conf->publish.topic || !conf->publish.discovery_prefix ||
	    !conf->publish.birth_topic || !conf->spool.directory)
		return -ENOMEM;
	conf->map_count = 2;
	conf->maps[0] = strdup(SYSCONFDIR "/postbus/devices");
	conf->maps[1] = strdup(MAPDIR);
	conf->commands = true;
	conf->command_max_age_us = 60 * USEC_PER_SEC;
	conf->broker.mqtt5 = true;
	conf->broker.keepalive_us = 30 * USEC_PER_SEC;
	conf->broker.session_expiry_us = 7 * DAY;
	conf->broker.inflight = 100;
	conf->broker.reconnect_first_us = USEC_PER_SEC;
	conf->broker.reconnect_most_us = 120 * USEC_PER_SEC;
	conf->publish.qos = 1;
	conf->publish.clock_wait_us = 30 * USEC_PER_SEC;
	conf->spool.max_bytes = 256 * MIB;
	conf->spool.max_age_us = 30 * DAY;
	conf->spool.sync_us = USEC_PER_SEC;
	conf->metrics.every_us = 15 * USEC_PER_SEC;
	return conf->maps[0] && conf->maps[1] ? 0 : -ENOMEM;
}

void conf_free_paths(char **paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(paths[i]);
	free(paths);
}

struct conf *conf_share(struct conf *conf)
{
	atomic_fetch_add(&conf->users, 1);
	return conf;
}

void conf_free(struct conf *conf)
{
	if (!conf || atomic_fetch_sub(&conf->users, 1) > 1)
		return;
	conf_free_paths(conf->maps, conf->map_count);
	free(conf->file);
	free(conf->gateway);
	free(conf->buses);
	free(conf->broker.host);
	free(conf->broker.client_id);
	free(conf->broker.username);
	free(conf->broker.password_file);
	free(conf->broker.tls.ca);
	free(conf->broker.tls.cert);
	free(conf->broker.tls.key);
	free(conf->broker.tls.psk_identity);
	free(conf->broker.tls.psk_file);
	free(conf->publish.topic);
	free(conf->publish.discovery_prefix);
	free(conf->publish.birth_topic);
	free(conf->spool.directory);
	free(conf->metrics.file);
	free(conf->metrics.listen);
	free(conf);
}
