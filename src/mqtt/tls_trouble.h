/* SPDX-License-Identifier: Apache-2.0 */
/* tls_trouble.h - why a TLS handshake failed, for people. */
#pragma once

#include "mqtt/client.h"

#include <openssl/ssl.h>

/*
 * libmosquitto tells of a TLS failure by a bare code and a line in its log, while the
 * connection is still there. From that line and the connection, which may be NULL, `trouble`
 * is set; a line that says no more than was known leaves it as it is.
 */
void tls_trouble(const char *line, SSL *connection, const char *host,
		 char trouble[TROUBLE_MAX]);
