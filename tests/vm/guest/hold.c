/* SPDX-License-Identifier: Apache-2.0 */
/* hold.c - holds one thread still, as a debugger does: hold TID SECONDS. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	pid_t thread;

	if (argc != 3) {
		fprintf(stderr, "usage: hold TID SECONDS\n");
		return 2;
	}
	thread = atoi(argv[1]);
	if (ptrace(PTRACE_SEIZE, thread, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, thread, 0, 0) < 0) {
		perror("ptrace");
		return 1;
	}
	waitpid(thread, NULL, __WALL);
	sleep((unsigned)atoi(argv[2]));
	return 0;
}
