/* SPDX-License-Identifier: Apache-2.0 */
/* tls_trouble.c - why a TLS handshake failed, for people. */
#include "mqtt/tls_trouble.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

void tls_trouble(const char *line, SSL *connection, const char *host, char trouble[TROUBLE_MAX])
{
	long verdict = connection ? SSL_get_verify_result(connection) : X509_V_OK;
	const char *reason = strrchr(line, ':');

	if (strstr(line, "host name verification failed"))
		snprintf(trouble, TROUBLE_MAX,
			 "TLS: the broker's certificate is not for the host \"%s\"", host);
	else if (trouble[0])
		return;
	else if (verdict != X509_V_OK)
		snprintf(trouble, TROUBLE_MAX, "TLS: the broker's certificate is refused: %s",
			 X509_verify_cert_error_string(verdict));
	else if (strstr(line, "OpenSSL Error") && reason)
		snprintf(trouble, TROUBLE_MAX, "TLS: %s", reason + 1);
	else
		snprintf(trouble, TROUBLE_MAX, "%s", line);
}
