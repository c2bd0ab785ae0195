/* SPDX-License-Identifier: Apache-2.0 */
/* terminal.h - a pseudo-terminal in place of a serial port, with a link to its name. */
#pragma once

struct terminal {
	int master, slave;
	char path[64]; /* of the slave side, /dev/pts/N */
	char *link;    /* NULL: none */
};

/*
 * Opens a raw one, the master without waiting; its own open slave side keeps the master from
 * hanging up when a gateway closes. `link` (may be NULL) becomes a symbolic link to it, in
 * place of one that is there already: -EEXIST where something else is. 0 or -errno;
 * terminal_close() in either case, which takes a link away that is still this terminal's.
 */
int terminal_open(struct terminal *terminal, const char *link)
	__attribute__((warn_unused_result));
void terminal_close(struct terminal *terminal);
