/* SPDX-License-Identifier: Apache-2.0 */
/* conf.c - the gateway's own settings, as read from postbus.conf (libconfig). */
#include "config/conf.h"

#include "base/units.h"
#include "config/conf_keys.h"
#include "config/device_map.h"
#include "config/listen.h"
#include "config/place.h"
#include "config/topic.h"

#include <errno.h>
#include <inttypes.h>
#include <libconfig.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

/* IANA's service names "mqtt" and "secure-mqtt". */
enum { MQTT_PORT = 1883, MQTTS_PORT = 8883 };

/* The file while it is read. */
struct reader {
	struct conf *conf;
	struct faults *faults;
	char *directory; /* of the file, with its last slash, or "" */
	int error;
};

/* --- faults --- */

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
	_cleanup_free_ char *words = file ? place_line(file, line) : NULL;

	faults_add(reader->faults, file ? file : reader->conf->file, line,
		   words ? place_column(words, name) : 0, "%s", text);
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

static const char *check_topic(const struct key *key, const char *text)
{
	if (key->kind == KIND_LEVELS && strchr(text, '{'))
		return "placeholders have no meaning here";
	return key->kind == KIND_TOPIC || key->kind == KIND_LEVELS ? topic_check(text) : NULL;
}

static const char *check_listen(const struct key *key, const char *text)
{
	struct sockaddr_storage address;
	socklen_t length;
	const char *wrong;

	if (key->kind != KIND_LISTEN)
		return NULL;
	wrong = listen_parse(text, &address, &length);
#ifndef HAVE_MICROHTTPD
	if (!wrong)
		wrong = "this postbus was built without libmicrohttpd, and can write a file "
			"only";
#endif
	return wrong;
}

static void read_text(struct reader *reader, const struct key *key,
		      const config_setting_t *setting, const char *text)
{
	const char *wrong = check_topic(key, text), *refused = check_listen(key, text);

	if (!*text)
		fault(reader, setting, "%s is empty; leave it out for its default",
		      key->name);
	else if (key->kind == KIND_NAME && !name_is_valid(text))
		fault(reader, setting,
		      "'%.64s' cannot be a name: at most %d letters, digits, '-', '_' and '.'",
		      text, NAME_MAX_LENGTH);
	else if (wrong)
		fault(reader, setting, "not a topic: %s", wrong);
	else if (refused)
		fault(reader, setting, "%s: %s", key->name, refused);
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
		      "M can be", key->name, text, key->least >> 20, key->most >> 20);
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
	conf_free_paths(conf->maps, conf->map_count);
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
	read_group(reader, config_root_setting(config), conf_keys);
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
	int r = made ? conf_set_defaults(made, file) : -ENOMEM;

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
