/* SPDX-License-Identifier: Apache-2.0 */
/* tools.h - the verbs: each takes its own arguments, argv[0] being the verb, and returns the
 * exit status: 0 done, 1 not so, 2 wrong usage, others as sysexits.h. */
#pragma once

int tool_check(int argc, char **argv);
int tool_maps(int argc, char **argv);
int tool_ports(int argc, char **argv);
int tool_read(int argc, char **argv);
int tool_scan(int argc, char **argv);
int tool_sim(int argc, char **argv);
int tool_spool(int argc, char **argv);
int tool_status(int argc, char **argv);
int tool_top(int argc, char **argv);
int tool_write(int argc, char **argv);
int tool_demo(int argc, char **argv);

/* The default place of postbus.conf. */
#define DEFAULT_CONF SYSCONFDIR "/postbus/postbus.conf"
