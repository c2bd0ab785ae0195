/* SPDX-License-Identifier: Apache-2.0 */
/* listen.h - where something is served to this machine: a loopback port or a Unix socket. */
#pragma once

#include <sys/socket.h>

/*
 * Reads "127.0.0.1:9110", "[::1]:9110" or a path that begins with /. What is wrong with it and
 * what would be right, or NULL where nothing is. Other machines are not served, so that only
 * loopback addresses are right.
 */
const char *listen_parse(const char *text, struct sockaddr_storage *address, socklen_t *length);
