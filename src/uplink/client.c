/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - a client of libmosquitto, set up as postbus.conf says. */
#include "uplink/client.h"

#include <errno.h>
#include <mosquitto.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Longest password or key that is read from a file. */
enum { SECRET_MAX = 1024 };

DEFINE_CLEANUP(struct mosquitto *, mosquitto_destroy)

static __attribute__((format(printf, 3, 4))) int fail(char trouble[TROUBLE_MAX], int error,
						      const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(trouble, TROUBLE_MAX, format, arguments);
	va_end(arguments);
	return -error;
}

/* systemd's credential of that name, where the unit was given one; NULL. To be freed. */
static char *find_credential(const char *name)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	_cleanup_free_ char *path = NULL;

	if (!directory || asprintf(&path, "%s/%s", directory, name) < 0)
		return NULL;
	return access(path, F_OK) == 0 ? TAKE_PTR(path) : NULL;
}

/* What opens doors is to be kept from others. */
static int check_secrecy(const char *what, const char *path, char trouble[TROUBLE_MAX])
{
	struct stat status;

	if (stat(path, &status) < 0)
		return fail(trouble, errno, "%s %s: %s", what, path, strerror(errno));
	if (status.st_mode & S_IRWXO)
		return fail(trouble, EPERM,
			    "%s %s: others may read it (mode %03o); chmod o= it", what, path,
			    status.st_mode & 0777u);
	return 0;
}

/* The first line of a file that holds a secret. */
static int read_secret(const char *what, const char *path, char secret[SECRET_MAX],
		       char trouble[TROUBLE_MAX])
{
	_cleanup_fclose_ FILE *file = NULL;
	int r = check_secrecy(what, path, trouble);

	if (r < 0)
		return r;
	errno = 0;
	file = fopen(path, "re");
	if (!file || !fgets(secret, SECRET_MAX, file))
		return fail(trouble, errno ? errno : ENODATA, "%s %s: %s", what, path,
			    errno ? strerror(errno) : "it is empty");
	secret[strcspn(secret, "\r\n")] = '\0';
	return 0;
}

/* The password is in the file that is configured, or in the credential "password". */
static int set_credentials(const struct broker_conf *broker, struct mosquitto *client,
			   char trouble[TROUBLE_MAX])
{
	_cleanup_free_ char *credential = NULL;
	const char *path = broker->password_file;
	char password[SECRET_MAX];
	int rc;

	if (!broker->username)
		return 0;
	if (!path)
		path = credential = find_credential("password");
	if (path) {
		int r = read_secret("password file", path, password, trouble);

		if (r < 0)
			return r;
	}
	rc = mosquitto_username_pw_set(client, broker->username, path ? password : NULL);
	explicit_bzero(password, sizeof(password));
	return rc ? fail(trouble, EINVAL, "user name: %s", mosquitto_strerror(rc)) : 0;
}

/* A key that both sides know, in hexadecimal digits, in place of certificates. */
static int set_psk(const struct tls_conf *tls, struct mosquitto *client,
		   char trouble[TROUBLE_MAX])
{
	char key[SECRET_MAX];
	int r = read_secret("key file", tls->psk_file, key, trouble), rc;

	if (r < 0)
		return r;
	rc = mosquitto_tls_psk_set(client, key, tls->psk_identity, NULL);
	explicit_bzero(key, sizeof(key));
	return rc ? fail(trouble, EINVAL, "key file %s: %s", tls->psk_file,
			 mosquitto_strerror(rc)) : 0;
}

static int check_readable(const char *what, const char *path, char trouble[TROUBLE_MAX])
{
	if (!path || access(path, R_OK) == 0)
		return 0;
	return fail(trouble, errno, "%s %s: %s", what, path, strerror(errno));
}

static int set_certificates(const struct tls_conf *tls, struct mosquitto *client,
			    char trouble[TROUBLE_MAX])
{
	_cleanup_free_ char *credential = NULL;
	const char *key = tls->key;
	int r = check_readable("CA file", tls->ca, trouble), rc;

	if (r == 0)
		r = check_readable("certificate", tls->cert, trouble);
	if (r == 0 && tls->cert && !key) {
		key = credential = find_credential("key");
		if (!key)
			return fail(trouble, ENOENT, "no key for %s: neither broker.tls.key "
				    "nor a credential \"key\"", tls->cert);
	}
	if (r == 0 && key)
		r = check_secrecy("key file", key, trouble);
	if (r < 0)
		return r;
	if (!tls->ca && mosquitto_int_option(client, MOSQ_OPT_TLS_USE_OS_CERTS, 1))
		return fail(trouble, ENOTSUP, "this libmosquitto does not find the system's "
			    "CAs; set broker.tls.ca");
	rc = mosquitto_tls_set(client, tls->ca, tls->ca ? NULL : "/etc/ssl/certs", tls->cert,
			       key, NULL);
	return rc ? fail(trouble, EINVAL, "TLS settings: %s", mosquitto_strerror(rc)) : 0;
}

int client_new(const struct broker_conf *broker, const struct will *will, void *data,
	       struct mosquitto **result, char trouble[TROUBLE_MAX])
{
	_cleanup_(mosquitto_destroyp) struct mosquitto *client =
		mosquitto_new(broker->client_id, broker->clean_session, data);
	int r;

	if (!client)
		return fail(trouble, errno, "no client: %s", strerror(errno));
	mosquitto_threaded_set(client, true);
	mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION,
			     broker->mqtt5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
	mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
	/* More than that it keeps back by itself; a broker that says its own says it later. */
	mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, broker->inflight);
	if (mosquitto_will_set(client, will->topic, strlen("offline"), "offline",
			       will->qos, will->retain))
		return fail(trouble, EINVAL, "no will for %s", will->topic);
	r = set_credentials(broker, client, trouble);
	if (r == 0 && broker->tls.psk_file)
		r = set_psk(&broker->tls, client, trouble);
	else if (r == 0 && broker->tls.enabled)
		r = set_certificates(&broker->tls, client, trouble);
	if (r == 0)
		*result = TAKE_PTR(client);
	return r;
}
