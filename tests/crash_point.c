/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash_point.c - ends the gateway where a test says so; the linker has its calls pass here
 * (--wrap), and libmosquitto finds write() here before it finds the C library's.
 */
#include "crash_point.h"
#include "uplink/commands_state.h"
#include "uplink/journal.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_wanted(const char *name, const char *where)
{
	static atomic_uint passed;
	const char *wanted = getenv("POSTBUS_CRASH");
	size_t length = strlen(name);

	if (!wanted || strncmp(wanted, name, length) || wanted[length] != '.' ||
	    strncmp(wanted + length + 1, where, strlen(where)) ||
	    wanted[length + 1 + strlen(where)] != ':')
		return false;
	return atomic_fetch_add(&passed, 1) + 1 ==
	       strtoul(strchr(wanted, ':') + 1, NULL, 10);
}

static void crash_point(const char *name, const char *where)
{
	if (name && is_wanted(name, where))
		kill(getpid(), SIGKILL);
}

/* --- what returns something, and what does not --- */

#define POINT(type, function, name, parameters, arguments)                                  \
	type __real_##function parameters;                                                  \
	type __wrap_##function parameters;                                                  \
	type __wrap_##function parameters                                                   \
	{                                                                                   \
		type result;                                                                \
                                                                                            \
		crash_point(name, "before");                                                \
		result = __real_##function arguments;                                       \
		crash_point(name, "after");                                                 \
		return result;                                                              \
	}

#define VOID_POINT(function, name, parameters, arguments)                                   \
	void __real_##function parameters;                                                  \
	void __wrap_##function parameters;                                                  \
	void __wrap_##function parameters                                                   \
	{                                                                                   \
		crash_point(name, "before");                                                \
		__real_##function arguments;                                                \
		crash_point(name, "after");                                                 \
	}

POINT(int, spool_append, "spool.append", (struct spool *spool, struct message *message),
      (spool, message))
POINT(int, journal_commit, "journal.commit", (struct journal *journal), (journal))
POINT(int, journal_sync, "journal.sync", (struct journal *journal), (journal))
POINT(int, journal_begin_segment, "journal.begin",
      (struct journal *journal, const struct ledger *ledger), (journal, ledger))
POINT(int, journal_start_over, "journal.restart",
      (struct journal *journal, const struct ledger *ledger), (journal, ledger))
VOID_POINT(tail_commit, "tail.commit", (struct tail *tail, size_t length), (tail, length))
VOID_POINT(tail_begin, "tail.begin", (struct tail *tail, uint64_t segment, uint32_t base),
	   (tail, segment, base))
VOID_POINT(tail_change_over, "tail.change", (struct tail *tail, size_t length),
	   (tail, length))
VOID_POINT(session_write, "session.write", (struct session *session), (session))
VOID_POINT(spool_link_up, "got.connack", (struct spool *spool), (spool))
POINT(int, fdatasync, "disk.sync", (int fd), (fd))

/* --- commands --- */

VOID_POINT(commands_take_message, "got.command", (void *data, const struct incoming *incoming),
	   (data, incoming))
POINT(int, spool_note, "note.command",
      (struct spool *spool, enum record_type type, uint64_t key, const void *bytes,
       size_t length, bool sync), (spool, type, key, bytes, length, sync))
POINT(int, command_push, "push.command",
      (struct command_ring *ring, const struct command *command), (ring, command))
POINT(bool, command_pop, "take.command",
      (struct command_ring *ring, struct command *command), (ring, command))
VOID_POINT(outcome_push, "push.outcome",
	   (struct command_ring *ring, const struct outcome *outcome), (ring, outcome))
POINT(int, result_append, "add.result",
      (struct spool *spool, const struct result_address *address, const char *id,
       const char *value, const char *error), (spool, address, id, value, error))

/* --- the handshake's answers: only where they end something --- */

static const struct flight *find_flight(struct spool *spool, uint16_t mid)
{
	size_t count;
	const struct flight *flights = spool_flights(spool, &count);

	for (size_t i = 0; i < count; i++)
		if (flights[i].mid == mid)
			return &flights[i];
	return NULL;
}

bool __real_spool_acked(struct spool *spool, uint16_t mid);
bool __wrap_spool_acked(struct spool *spool, uint16_t mid);
bool __wrap_spool_acked(struct spool *spool, uint16_t mid)
{
	const struct flight *flight = find_flight(spool, mid);
	const char *name = !flight ? NULL : flight->qos == 2 ? "got.pubcomp" : "got.puback";
	bool result;

	crash_point(name, "before");
	result = __real_spool_acked(spool, mid);
	crash_point(name, "after");
	return result;
}

POINT(bool, spool_released, "got.pubrec", (struct spool *spool, uint16_t mid), (spool, mid))

/* --- what is published --- */

void __real_message_payload(const struct message *message, struct text *text);
void __wrap_message_payload(const struct message *message, struct text *text);

/* Announcements say no number under MQTT 3.1.1: here they do, so that they can be counted. */
void __wrap_message_payload(const struct message *message, struct text *text)
{
	__real_message_payload(message, text);
	if (message->form == FORM_BARE)
		text_addf(text, " \"seq\":%llu", (unsigned long long)message->seq);
}

/* --- bytes --- */

typedef ssize_t write_call(int fd, const void *bytes, size_t n, off_t offset);

static ssize_t write_through(const char *name, write_call *call, int fd, const void *bytes,
			     size_t n, off_t offset)
{
	ssize_t result;

	crash_point(name, "before");
	if (name && is_wanted(name, "half")) {
		(void)!call(fd, bytes, n / 2, offset);
		kill(getpid(), SIGKILL);
	}
	result = call(fd, bytes, n, offset);
	crash_point(name, "after");
	return result;
}

#define DISK_POINT(function)                                                                \
	ssize_t __real_##function(int fd, const void *bytes, size_t n, off_t offset);         \
	ssize_t __wrap_##function(int fd, const void *bytes, size_t n, off_t offset);         \
	ssize_t __wrap_##function(int fd, const void *bytes, size_t n, off_t offset)          \
	{                                                                                   \
		return write_through("disk.write", __real_##function, fd, bytes, n, offset);  \
	}
DISK_POINT(pwrite)
DISK_POINT(pwrite64)

/* Of postbus itself: PUBREL, which is all that it sends by its own hand. */
ssize_t __real_send(int fd, const void *bytes, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t n, int flags);

static ssize_t send_it(int fd, const void *bytes, size_t n, _unused_ off_t offset)
{
	return __real_send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t n, int flags)
{
	if (*(const uint8_t *)bytes != 0x62)
		return __real_send(fd, bytes, n, flags);
	return write_through("resume.pubrel", send_it, fd, bytes, n, 0);
}

/* The library's packets, one a call: named by the high half of the first byte. */
static const char *const packets[16] = {
	[1] = "send.connect", [3] = "send.publish", [4] = "send.puback",
	[6] = "send.pubrel", [8] = "send.subscribe",
};

static ssize_t write_it(int fd, const void *bytes, size_t n, _unused_ off_t offset)
{
	return syscall(SYS_write, fd, bytes, n);
}

/* What is not the link is none of these: a log line begins with a letter, higher up. */
static bool is_link(int fd)
{
	int domain;
	socklen_t size = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_INET;
}

ssize_t write(int fd, const void *bytes, size_t n)
{
	const char *name = n && is_link(fd) ? packets[*(const uint8_t *)bytes >> 4] : NULL;

	return write_through(name, write_it, fd, bytes, n, 0);
}
