/* SPDX-License-Identifier: Apache-2.0 */
/* fake_gateway.c - the gateway as it ships, linked with what a test puts in its way. */
#include "daemon.h"

int main(int argc, char **argv)
{
	/* postbus run -c FILE */
	return argc == 4 ? daemon_run(argv[3]) : 2;
}
