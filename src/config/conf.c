/* SPDX-License-Identifier: Apache-2.0 */
/* conf.c - the gateway's own settings, as read from postbus.conf (libconfig). */
#include "config/conf.h"

#include "base/units.h"
#include "config/device_map.h"
#include "config/topic.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <libconfig.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

enum kind {
	KIND_TEXT,
	KIND_PATH, /* relative ones are the file's directory's */
	KIND_PATHS,
	KIND_NAME,
	KIND_TOPIC,
	KIND_BOOL,
	KIND_NUMBER,   /* least to most */
	KIND_DURATION, /* the same, in microseconds; .words[0], if any, means 0 */
	KIND_SIZE,     /* the same, in bytes */
	KIND_WORD,     /* the index in .words */
	KIND_GROUP,    /* of .keys; .offset is what becomes true, if .size */
};

/* A key of postbus.conf and the field of struct conf that it fills. */
struct key {
	const char *name;
	enum kind kind;
	size_t offset, size;
	uint64_t least, most;
	const char *const *words;
	const struct key *keys;
};

#define FIELD(field) \
	.offset = offsetof(struct conf, field), .size = sizeof(((struct conf *)NULL)->field)
#define WORDS(...) .words = (const char *const[]){__VA_ARGS__, NULL}

/* IANA's service names "mqtt" and "secure-mqtt". */
enum { MQTT_PORT = 1883, MQTTS_PORT = 8883 };

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
	{"reconnect", KIND_GROUP, .keys = reconnect_keys},
	{0},
};

static const struct key publish_keys[] = {
	{"topic", KIND_TOPIC, FIELD(publish.topic)},
	{"layout", KIND_WORD, FIELD(publish.layout), WORDS("device", "point")},
	{"qos", KIND_NUMBER, FIELD(publish.qos), .most = 2},
	{"retain", KIND_BOOL, FIELD(publish.retain)},
	{"payload", KIND_WORD, FIELD(publish.payload), WORDS("json", "bare")},
	{"time", KIND_WORD, FIELD(publish.time), WORDS("iso", "epoch_ms")},
	{"expiry", KIND_DURATION, FIELD(publish.expiry_us), .most = 49710 * DAY},
	{"clock_wait", KIND_DURATION, FIELD(publish.clock_wait_us), .most = 3600 * USEC_PER_SEC},
	{0},
};

static const struct key spool_keys[] = {
	{"directory", KIND_PATH, FIELD(spool.directory)},
	{"max_size", KIND_SIZE, FIELD(spool.max_bytes), .least = MIB, .most = MIB << 20},
	{"max_age", KIND_DURATION, FIELD(spool.max_age_us), .least = USEC_PER_SEC,
	 .most = 36600 * DAY},
	{"when_full", KIND_WORD, FIELD(spool.when_full), WORDS("drop-oldest", "drop-newest")},
	{"sync", KIND_DURATION, FIELD(spool.sync_us), .most = 3600 * USEC_PER_SEC,
	 WORDS("always")},
	{"order", KIND_WORD, FIELD(spool.order), WORDS("oldest-first", "live-first")},
	{"drain_rate", KIND_NUMBER, FIELD(spool.drain_rate), .most = 1000000},
	{0},
};

static const struct key root_keys[] = {
	{"gateway", KIND_NAME, FIELD(gateway)},
	{"buses", KIND_PATH, FIELD(buses)},
	{"maps", KIND_PATHS, FIELD(maps)},
	{"broker", KIND_GROUP, .keys = broker_keys},
	{"publish", KIND_GROUP, .keys = publish_keys},
	{"spool", KIND_GROUP, .keys = spool_keys},
	{0},
};

/* The file while it is read. */
struct reader {
	struct conf *conf;
	struct faults *faults;
	char *directory; /* of the file, with its last slash, or "" */
	int error;
};

/* --- places --- */

/* The n-th line of a file, from 1; NULL where there is none. Freed by the caller. */
static char *read_line(const char *file, unsigned n)
{
	_cleanup_fclose_ FILE *in = fopen(file, "re");
	char *line = NULL;
	size_t size = 0;

	for (unsigned i = 0; in && i < n; i++) {
		if (getline(&line, &size, in) < 0)
			break;
		if (i + 1 == n)
			return line;
	}
	free(line);
	return NULL;
}

/* Where the name stands as a word of its own in its line, otherwise where the line begins. */
static unsigned find_column(const char *line, const char *name)
{
	size_t length = name ? strlen(name) : 0;

	for (const char *at = name ? strstr(line, name) : NULL; at;
	     at = strstr(at + 1, name)) {
		bool begins = at == line || !(isalnum((unsigned char)at[-1]) ||
					      strchr("-_*", at[-1]));
		const char *behind = at + length + strspn(at + length, " \t");

		if (begins && (*behind == '=' || *behind == ':'))
			return at - line + 1;
	}
	return strspn(line, " \t") + 1;
}

/* A name of an included file may be relative to ours. */
static char *file_of(const struct reader *reader, const char *given)
{
	char *file;

	if (!given)
		given = reader->conf->file;
	if (given[0] == '/' || !access(given, F_OK))
		return strdup(given);
	return asprintf(&file, "%s%s", reader->directory, given) < 0 ? NULL : file;
}

static void add_fault(struct reader *reader, const char *given, unsigned line,
		      const char *name, const char *text)
{
	_cleanup_free_ char *file = file_of(reader, given);
	_cleanup_free_ char *words = file ? read_line(file, line) : NULL;

	faults_add(reader->faults, file ? file : reader->conf->file, line,
		   words ? find_column(words, name) : 0, "%s", text);
	if (!reader->error)
		reader->error = -EINVAL;
}

static void fault(struct reader *reader, const config_setting_t *setting, const char *format,
		  ...) _printf_(3, 4);

static void fault(struct reader *reader, const config_setting_t *setting, const char *format,
		  ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	add_fault(reader, config_setting_source_file(setting),
		  config_setting_source_line(setting), config_setting_name(setting), text);
}

/* --- values --- */

static void store(struct reader *reader, const struct key *key, uint64_t value)
{
	void *field = (char *)reader->conf + key->offset;

	switch (key->size) {
	case 1:
		*(uint8_t *)field = value;
		break;
	case 2:
		*(uint16_t *)field = value;
		break;
	case 4:
		*(uint32_t *)field = value;
		break;
	default:
		*(uint64_t *)field = value;
	}
}

static void store_text(struct reader *reader, const struct key *key, char *text)
{
	char **field = (char **)((char *)reader->conf + key->offset);

	if (!text) {
		reader->error = -ENOMEM;
		return;
	}
	free(*field);
	*field = text;
}

static char *resolve(const struct reader *reader, const char *path)
{
	char *full;

	if (path[0] == '/')
		return strdup(path);
	return asprintf(&full, "%s%s", reader->directory, path) < 0 ? NULL : full;
}

static void read_text(struct reader *reader, const struct key *key,
		      const config_setting_t *setting, const char *text)
{
	const char *wrong = key->kind == KIND_TOPIC ? topic_check(text) : NULL;

	if (!*text)
		fault(reader, setting, "%s is empty; leave it out for its default",
		      key->name);
	else if (key->kind == KIND_NAME && !name_is_valid(text))
		fault(reader, setting,
		      "'%.64s' cannot be a name: at most %d letters, digits, '-', '_' and '.'",
		      text, NAME_MAX_LENGTH);
	else if (wrong)
		fault(reader, setting, "not a topic: %s", wrong);
	else
		store_text(reader, key,
			   key->kind == KIND_PATH ? resolve(reader, text) : strdup(text));
}

static void read_duration(struct reader *reader, const struct key *key,
			  const config_setting_t *setting, const char *text)
{
	char least[32], most[32];
	uint64_t usec;
	int r;

	if (key->words && !strcmp(text, key->words[0])) {
		store(reader, key, 0);
		return;
	}
	r = parse_duration(text, &usec);
	if (r == -EINVAL)
		fault(reader, setting,
		      "'%.64s' is not a duration with its unit, such as \"250ms\" or \"7d\"%s%s",
		      text, key->words ? ", nor " : "", key->words ? key->words[0] : "");
	else if (r < 0 || usec < key->least || usec > key->most)
		fault(reader, setting, "%s of %.64s is out of range, %s to %s can be",
		      key->name, text, format_duration(key->least, least, sizeof(least)),
		      format_duration(key->most, most, sizeof(most)));
	else
		store(reader, key, usec);
}

static void read_size(struct reader *reader, const struct key *key,
		      const config_setting_t *setting, const char *text)
{
	uint64_t bytes;
	int r = parse_size(text, &bytes);

	if (r == -EINVAL)
		fault(reader, setting, "'%.64s' is not a size such as \"64M\"", text);
	else if (r < 0 || bytes < key->least || bytes > key->most)
		fault(reader, setting, "%s of %.64s is out of range, %" PRIu64 "M to %" PRIu64
		      "M can be", key->name, text, key->least / MIB, key->most / MIB);
	else
		store(reader, key, bytes);
}

static void read_word(struct reader *reader, const struct key *key,
		      const config_setting_t *setting, const char *text)
{
	const char *meant;

	for (unsigned i = 0; key->words[i]; i++) {
		if (!strcmp(key->words[i], text)) {
			store(reader, key, i);
			return;
		}
	}
	meant = fault_suggest(text, key->words);
	if (meant)
		fault(reader, setting, "%s cannot be \"%.64s\": did you mean \"%s\"?",
		      key->name, text, meant);
	else
		fault(reader, setting, "%s cannot be \"%.64s\": \"%s\" or \"%s\"", key->name,
		      text, key->words[0], key->words[1]);
}

static void read_string(struct reader *reader, const struct key *key,
			const config_setting_t *setting)
{
	const char *text = config_setting_get_string(setting);

	if (!text)
		fault(reader, setting, "%s is a text in quotes", key->name);
	else if (key->kind == KIND_DURATION)
		read_duration(reader, key, setting, text);
	else if (key->kind == KIND_SIZE)
		read_size(reader, key, setting, text);
	else if (key->kind == KIND_WORD)
		read_word(reader, key, setting, text);
	else
		read_text(reader, key, setting, text);
}

static void read_number(struct reader *reader, const struct key *key,
			const config_setting_t *setting)
{
	int type = config_setting_type(setting);
	long long value = config_setting_get_int64(setting);

	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
		fault(reader, setting, "%s is a whole number, without quotes", key->name);
	else if (value < (long long)key->least || value > (long long)key->most)
		fault(reader, setting,
		      "%s of %lld is out of range, %" PRIu64 " to %" PRIu64 " can be",
		      key->name, value, key->least, key->most);
	else
		store(reader, key, value);
}

static void paths_free(char **paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(paths[i]);
	free(paths);
}

static void read_paths(struct reader *reader, const struct key *key,
		       const config_setting_t *setting)
{
	struct conf *conf = reader->conf;
	int type = config_setting_type(setting), count;

	count = config_setting_length(setting);
	if ((type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST) || !count) {
		fault(reader, setting, "%s is a list such as [ \"/etc/postbus/devices\" ]",
		      key->name);
		return;
	}
	paths_free(conf->maps, conf->map_count);
	conf->map_count = 0;
	conf->maps = calloc(count, sizeof(*conf->maps));
	if (!conf->maps) {
		reader->error = -ENOMEM;
		return;
	}
	for (int i = 0; i < count; i++) {
		const char *path = config_setting_get_string_elem(setting, i);

		if (!path || !*path) {
			fault(reader, config_setting_get_elem(setting, i),
			      "each of %s is a directory in quotes", key->name);
			continue;
		}
		conf->maps[conf->map_count] = resolve(reader, path);
		if (!conf->maps[conf->map_count++])
			reader->error = -ENOMEM;
	}
}

static void read_group(struct reader *reader, const config_setting_t *group,
		       const struct key *keys);

static void read_key(struct reader *reader, const struct key *key,
		     const config_setting_t *setting)
{
	switch (key->kind) {
	case KIND_GROUP:
		if (!config_setting_is_group(setting)) {
			fault(reader, setting, "%s is a group: { … };", key->name);
			return;
		}
		if (key->size)
			store(reader, key, true);
		read_group(reader, setting, key->keys);
		return;
	case KIND_PATHS:
		read_paths(reader, key, setting);
		return;
	case KIND_NUMBER:
		read_number(reader, key, setting);
		return;
	case KIND_BOOL:
		if (config_setting_type(setting) == CONFIG_TYPE_BOOL)
			store(reader, key, config_setting_get_bool(setting) != 0);
		else
			fault(reader, setting, "%s is true or false", key->name);
		return;
	default:
		read_string(reader, key, setting);
	}
}

static void unknown_key(struct reader *reader, const config_setting_t *setting,
			const struct key *keys)
{
	const char *names[32] = {0};
	const char *name = config_setting_name(setting), *meant;

	for (size_t i = 0; keys[i].name && i + 1 < ARRAY_SIZE(names); i++)
		names[i] = keys[i].name;
	meant = fault_suggest(name, names);
	if (meant)
		fault(reader, setting, "there is no '%.64s' here: did you mean '%s'?", name,
		      meant);
	else
		fault(reader, setting, "there is no '%.64s' here", name);
}

static void read_group(struct reader *reader, const config_setting_t *group,
		       const struct key *keys)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *setting = config_setting_get_elem(group, i);
		const struct key *key = keys;

		while (key->name && strcmp(key->name, config_setting_name(setting)))
			key++;
		if (key->name)
			read_key(reader, key, setting);
		else
			unknown_key(reader, setting, keys);
	}
}

/* --- the whole --- */

static int defaults(struct conf *conf, const char *file)
{
	conf->file = strdup(file);
	conf->buses = strdup(SYSCONFDIR "/postbus/buses.d");
	conf->maps = calloc(2, sizeof(*conf->maps));
	conf->broker.host = strdup("localhost");
	conf->publish.topic = strdup("{gateway}/{device}");
	conf->spool.directory = strdup("/var/lib/postbus/spool");
	if (!conf->file || !conf->buses || !conf->maps || !conf->broker.host ||
	    !conf->publish.topic || !conf->spool.directory)
		return -ENOMEM;
	conf->map_count = 2;
	conf->maps[0] = strdup(SYSCONFDIR "/postbus/devices");
	conf->maps[1] = strdup(MAPDIR);
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
	return conf->maps[0] && conf->maps[1] ? 0 : -ENOMEM;
}

/* Defaults that hang on what else was said. */
static void fill_in(struct reader *reader)
{
	struct conf *conf = reader->conf;
	char host[HOST_NAME_MAX + 1] = "";

	if (!conf->gateway) {
		gethostname(host, sizeof(host) - 1);
		if (!name_is_valid(host)) {
			add_fault(reader, NULL, 1, NULL,
				  "the host name cannot name the gateway: give `gateway`");
			return;
		}
		conf->gateway = strdup(host);
	}
	if (!conf->broker.port)
		conf->broker.port = conf->broker.tls.enabled ? MQTTS_PORT : MQTT_PORT;
	if (conf->broker.port == MQTTS_PORT)
		conf->broker.tls.enabled = true;
	if (!conf->gateway ||
	    (!conf->broker.client_id &&
	     asprintf(&conf->broker.client_id, "postbus-%s", conf->gateway) < 0)) {
		conf->broker.client_id = NULL;
		reader->error = -ENOMEM;
	}
}

/* What is right alone and wrong together. */
static void check_together(struct reader *reader, const config_t *config)
{
	const struct conf *conf = reader->conf;
	const struct tls_conf *tls = &conf->broker.tls;

	if (conf->publish.payload == PAYLOAD_BARE && conf->publish.layout != LAYOUT_POINT)
		fault(reader, config_lookup(config, "publish.payload"),
		      "payload \"bare\" is one value: it needs layout = \"point\"");
	if (conf->broker.reconnect_first_us > conf->broker.reconnect_most_us)
		fault(reader, config_lookup(config, "broker.reconnect"),
		      "first is longer than most (1s and 2m where not given)");
	if (!tls->cert && tls->key)
		fault(reader, config_lookup(config, "broker.tls"),
		      "a key needs its certificate: cert is missing");
	if (!tls->psk_identity != !tls->psk_file)
		fault(reader, config_lookup(config, "broker.tls"),
		      "psk_identity and psk_file go together: one is missing");
	if (tls->psk_file && (tls->ca || tls->cert))
		fault(reader, config_lookup(config, "broker.tls"),
		      "a shared key (psk_file) takes the place of ca, cert and key");
	if (conf->publish.expiry_us && !conf->broker.mqtt5)
		fault(reader, config_lookup(config, "publish.expiry"),
		      "messages expire at the broker with version = \"5\" only");
	if (conf->broker.password_file && !conf->broker.username)
		fault(reader, config_lookup(config, "broker.password_file"),
		      "a password needs a username");
}

/* libconfig leaves the process on a directory; what is no file is refused before. */
static int check_file(const char *file)
{
	struct stat stat_;

	if (stat(file, &stat_) < 0)
		return -errno;
	if (S_ISDIR(stat_.st_mode))
		return -EISDIR;
	if (!S_ISREG(stat_.st_mode))
		return -EINVAL;
	return access(file, R_OK) < 0 ? -errno : 0;
}

static void syntax_fault(struct reader *reader, const config_t *config)
{
	const char *text = config_error_text(config);

	if (!strcmp(text, "syntax error"))
		text = "syntax error here or just before: expected `name = value;`";
	else if (!strcmp(text, "duplicate setting name"))
		text = "this name stands twice";
	add_fault(reader, config_error_file(config), config_error_line(config), NULL, text);
}

static void read_config(struct reader *reader, config_t *config)
{
	_cleanup_free_ char *include = strdup(*reader->directory ? reader->directory : ".");

	if (!include) {
		reader->error = -ENOMEM;
		return;
	}
	config_set_include_dir(config, include);
	if (!config_read_file(config, reader->conf->file)) {
		syntax_fault(reader, config);
		return;
	}
	read_group(reader, config_root_setting(config), root_keys);
	fill_in(reader);
	check_together(reader, config);
}

static int read_conf(struct conf *conf, struct faults *faults)
{
	const char *slash = strrchr(conf->file, '/');
	_cleanup_free_ char *directory =
		strndup(conf->file, slash ? slash - conf->file + 1 : 0);
	struct reader reader = {.conf = conf, .faults = faults, .directory = directory};
	config_t config;

	if (!directory)
		return -ENOMEM;
	config_init(&config);
	read_config(&reader, &config);
	config_destroy(&config);
	return reader.error;
}

int conf_load(const char *file, struct conf **conf, struct faults *faults)
{
	_cleanup_(conf_freep) struct conf *made = calloc(1, sizeof(*made));
	int r = made ? defaults(made, file) : -ENOMEM;

	if (r < 0)
		return r;
	r = check_file(file);
	if (r < 0) {
		faults_add(faults, file, 0, 0, "cannot be read: %s", strerror(-r));
		return r;
	}
	r = read_conf(made, faults);
	/* Without a gateway's name the file was not read to its end. */
	if (made->gateway)
		*conf = TAKE_PTR(made);
	return r;
}

void conf_free(struct conf *conf)
{
	if (!conf)
		return;
	paths_free(conf->maps, conf->map_count);
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
	free(conf->spool.directory);
	free(conf);
}
