/* SPDX-License-Identifier: Apache-2.0 */
/* settings.c - credentials and TLS settings of a client, as postbus.conf says. */
#include "mqtt/client_state.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Longest password or key that is read from a file. */
enum { SECRET_MAX = 1024 };

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
static int set_credentials(const struct broker_conf *broker, struct mosquitto *library,
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
	rc = mosquitto_username_pw_set(library, broker->username, path ? password : NULL);
	explicit_bzero(password, sizeof(password));
	return rc ? fail(trouble, EINVAL, "user name: %s", mosquitto_strerror(rc)) : 0;
}

/* A key that both sides know, in hexadecimal digits, in place of certificates. */
static int set_psk(const struct tls_conf *tls, struct mosquitto *library,
		   char trouble[TROUBLE_MAX])
{
	char key[SECRET_MAX];
	int r = read_secret("key file", tls->psk_file, key, trouble), rc;

	if (r < 0)
		return r;
	rc = mosquitto_tls_psk_set(library, key, tls->psk_identity, NULL);
	explicit_bzero(key, sizeof(key));
	return rc ? fail(trouble, EINVAL, "key file %s: %s", tls->psk_file,
			 mosquitto_strerror(rc))
		  : 0;
}

static int check_readable(const char *what, const char *path, char trouble[TROUBLE_MAX])
{
	if (!path || access(path, R_OK) == 0)
		return 0;
	return fail(trouble, errno, "%s %s: %s", what, path, strerror(errno));
}

static int set_certificates(const struct tls_conf *tls, struct mosquitto *library,
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
			return fail(trouble, ENOENT,
				    "no key for %s: neither broker.tls.key "
				    "nor a credential \"key\"",
				    tls->cert);
	}
	if (r == 0 && key)
		r = check_secrecy("key file", key, trouble);
	if (r < 0)
		return r;
	if (!tls->ca && mosquitto_int_option(library, MOSQ_OPT_TLS_USE_OS_CERTS, 1))
		return fail(trouble, ENOTSUP,
			    "this libmosquitto does not find the system's "
			    "CAs; set broker.tls.ca");
	rc = mosquitto_tls_set(library, tls->ca, tls->ca ? NULL : "/etc/ssl/certs", tls->cert,
			       key, NULL);
	return rc ? fail(trouble, EINVAL, "TLS settings: %s", mosquitto_strerror(rc)) : 0;
}

int settings_apply(const struct broker_conf *broker, struct mosquitto *library,
		   char trouble[TROUBLE_MAX])
{
	int r = set_credentials(broker, library, trouble);

	if (r == 0 && broker->tls.psk_file)
		r = set_psk(&broker->tls, library, trouble);
	else if (r == 0 && broker->tls.enabled)
		r = set_certificates(&broker->tls, library, trouble);
	return r;
}
