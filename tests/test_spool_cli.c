/* SPDX-License-Identifier: Apache-2.0 */
/* test_spool_cli.c - `postbus spool`, the program itself, on spools that rest and that live. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/clock.h"
#include "tools/spool_cli.h"
#include "tools/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>

static char directory[64], output[256 * 1024];
static struct spool_conf conf;
static struct spool *spool;

static int set_up(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/postbus-cli-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	setenv("RUNTIME_DIRECTORY", directory, true);
	conf = (struct spool_conf){
		.directory = directory, .max_bytes = 4 << 20, .sync_us = 1000000,
	};
	spool = NULL;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	spool_free(spool);
	return nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- the program --- */

/* Reads all that comes, into `output`, and waits for the child: its exit status. */
static int finish(pid_t pid, int from)
{
	size_t length = 0;
	ssize_t n;
	int status;

	/* A terminal ends with EIO. */
	while (length < sizeof(output) - 1 &&
	       (n = read(from, output + length, sizeof(output) - 1 - length)) > 0)
		length += n;
	output[length] = '\0';
	close(from);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* `postbus spool WORDS --directory …`, words apart by blanks: the exit status. */
static _printf_(2, 0) int run_on(const char *where, const char *format, va_list arguments)
{
	char words[256], *argv[20] = { getenv("POSTBUS"), "spool" }, *rest = words;
	size_t argc = 2;
	int fds[2];
	pid_t pid;

	vsnprintf(words, sizeof(words), format, arguments);
	while (rest && argc < 16)
		argv[argc++] = strsep(&rest, " ");
	if (where) {
		argv[argc++] = "--directory";
		argv[argc++] = (char *)where;
	}
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = stage_spawn(argv, fds[1]);
	close(fds[1]);
	return finish(pid, fds[0]);
}

static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int run(const char *format, ...)
{
	va_list arguments;
	int status;

	va_start(arguments, format);
	status = run_on(directory, format, arguments);
	va_end(arguments);
	return status;
}

/* The n-th line of the output as JSON; NULL behind the last. */
static cJSON *line(unsigned n)
{
	const char *begin = output;
	cJSON *json;

	while (n-- && *begin)
		begin = strchr(begin, '\n') + 1;
	if (!*begin)
		return NULL;
	json = cJSON_Parse(begin);
	if (!json)
		print_message("not JSON: %.1000s\n", begin);
	assert_non_null(json);
	return json;
}

static double number(const cJSON *json, const char *key)
{
	const cJSON *item = cJSON_GetObjectItem(json, key);

	if (!cJSON_IsNumber(item))
		print_message("no number %s\n", key);
	assert_true(cJSON_IsNumber(item));
	return item->valuedouble;
}

static const char *word(const cJSON *json, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(json, key));

	assert_non_null(text);
	return text;
}

static unsigned lines(void)
{
	unsigned count = 0;

	for (const char *c = output; *c; c++)
		count += *c == '\n';
	return count;
}

#define assert_has(words) assert_non_null(strstr(output, words))

/* --- a spool --- */

static void open_spool(void)
{
	assert_int_equal(spool_open(&conf, false, &spool), 0);
}

static void close_spool(void)
{
	struct spool *closed = spool;

	spool = NULL;
	assert_int_equal(spool_close(closed), 0);
}

static void commit(void)
{
	assert_int_equal(spool_commit(spool, clock_monotonic_us()), 0);
}

static uint64_t append_to(const char *topic, enum message_form form, const char *body,
			  size_t length)
{
	struct message message = {
		.qos = 1, .form = form, .topic = topic, .topic_length = strlen(topic),
		.body = body, .body_length = length,
	};

	clock_stamp(&message);
	assert_int_equal(spool_append(spool, &message), 0);
	return message.seq;
}

static uint64_t append(unsigned n)
{
	char body[32];

	return append_to("barn/meter", FORM_ISO_TIME, body,
			 snprintf(body, sizeof(body), "\"n\":%u", n));
}

static void send_next(uint16_t mid)
{
	struct message message;
	struct place place;
	struct flight flight;

	assert_int_equal(spool_next(spool, &message, &place), 1);
	flight = (struct flight){
		.seq = message.seq, .segment = place.segment, .offset = place.offset,
		.mid = mid, .qos = 1, .time_ms = message.time_ms,
	};
	assert_int_equal(spool_sent(spool, &flight), 0);
}

/* What goes out next is refused by the broker; its number. */
static uint64_t refuse_next(uint16_t mid)
{
	uint64_t seq;
	size_t count;

	send_next(mid);
	seq = spool_flights(spool, &count)[0].seq;
	assert_true(spool_refused(spool, mid, 0x87));
	return seq;
}

/* Six messages: one acknowledged, one in flight, one dropped, three waiting. Of the first. */
static uint64_t make_six(void)
{
	uint64_t first;

	open_spool();
	first = append(0);
	for (unsigned i = 1; i < 6; i++)
		append(i);
	send_next(7);
	send_next(8);
	assert_true(spool_acked(spool, 7));
	assert_int_equal(spool_drop(spool, first + 3, first + 3), 1);
	commit();
	return first;
}

/* So many messages of 1 KiB, which fill several segments. The number of the first. */
static uint64_t fill(unsigned count)
{
	char body[1024];
	uint64_t first;

	open_spool();
	memset(body, 'x', sizeof(body));
	first = append_to("barn/big", FORM_BARE, body, sizeof(body));
	while (--count)
		append_to("barn/big", FORM_BARE, body, sizeof(body));
	close_spool();
	return first;
}

static struct spool_sums look(void)
{
	struct spool_sums sums;
	struct spool *seen;

	assert_int_equal(spool_open(&conf, true, &seen), 0);
	sums = spool_sums(seen);
	assert_int_equal(sums.waiting, spool_waiting(seen, 0, UINT64_MAX));
	assert_int_equal(sums.taken, sums.acked + sums.refused + sums.dropped + sums.damaged +
			 sums.waiting);
	spool_free(seen);
	return sums;
}

/* --- status --- */

static void assert_status(uint64_t first, bool running)
{
	cJSON *json, *oldest;

	assert_int_equal(run("status --json"), 0);
	json = line(0);
	assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(json, "running")), running);
	assert_int_equal(number(json, "taken"), 6);
	assert_int_equal(number(json, "acknowledged"), 1);
	assert_int_equal(number(json, "waiting"), 4);
	assert_int_equal(number(json, "in_flight"), 1);
	assert_int_equal(number(json, "dropped"), 1);
	assert_int_equal(number(json, "untold"), 1);
	assert_int_equal(number(cJSON_GetObjectItem(json, "dropped_why"), "dropped by hand"), 1);
	assert_true(number(json, "next") == first + 6);
	oldest = cJSON_GetObjectItem(json, "oldest");
	assert_true(number(oldest, "seq") == first + 1);
	assert_in_range(number(oldest, "age_ms"), 0, 600 * 1000);
	cJSON_Delete(json);
	assert_int_equal(run("status"), 0);
	assert_has(running ? "gateway       has it" : "gateway       none has it");
	assert_has("waiting       4  (1 in flight)");
	assert_has("dropped       1  (dropped by hand 1)");
}

static void status_tells_the_sums(void **state)
{
	uint64_t first = make_six();

	(void)state;
	assert_status(first, true);
	close_spool();
	assert_status(first, false);
}

/* --- list, show, export --- */

static void assert_list(uint64_t first)
{
	static const char *const states[] = { "finished", "sent", "waiting", "finished",
					      "waiting", "waiting" };
	cJSON *json;

	assert_int_equal(run("list"), 0);
	assert_int_equal(lines(), 1 + 4);
	assert_int_equal(run("list --all --json"), 0);
	assert_int_equal(lines(), 6);
	for (unsigned i = 0; i < 6; i++) {
		json = line(i);
		assert_true(number(json, "seq") == first + i);
		assert_string_equal(word(json, "state"), states[i]);
		assert_string_equal(word(json, "topic"), "barn/meter");
		assert_int_equal(number(json, "qos"), 1);
		assert_null(cJSON_GetObjectItem(json, "payload"));
		cJSON_Delete(json);
	}
	assert_int_equal(run("list --json --from %" PRIu64 " --to %" PRIu64, first + 2,
			     first + 4), 0);
	assert_int_equal(lines(), 2);
	assert_int_equal(run("list --json --limit 3"), 0);
	assert_int_equal(lines(), 3);
}

static void list_tells_of_each(void **state)
{
	uint64_t first = make_six();

	(void)state;
	assert_list(first);
	close_spool();
	assert_list(first);
}

static void topics_are_chosen_as_mqtt_has_it(void **state)
{
	static const struct {
		const char *filter;
		unsigned count;
	} filters[] = {
		{ "barn/a/x", 1 }, { "barn/+/x", 2 }, { "barn/#", 4 }, { "barn/a/#", 3 },
		{ "#", 4 }, { "+", 0 }, { "barn/+", 1 }, { "barn/a/+", 2 }, { "barn/a/", 0 },
		{ "barn", 0 }, { "+/+/y", 1 },
	};

	(void)state;
	open_spool();
	append_to("barn/a/x", FORM_BARE, "1", 1);
	append_to("barn/a/y", FORM_BARE, "2", 1);
	append_to("barn/b/x", FORM_BARE, "3", 1);
	append_to("barn/a", FORM_BARE, "4", 1);
	commit();
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		assert_int_equal(run("list --json --topic %s", filters[i].filter), 0);
		if (lines() != filters[i].count)
			print_message("%s: %u\n", filters[i].filter, lines());
		assert_int_equal(lines(), filters[i].count);
	}
}

static void show_tells_all_of_one(void **state)
{
	uint64_t first = make_six();
	char words[64];
	cJSON *json, *payload;

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(run("show %" PRIu64, first + 1), 0);
		assert_has("state    sent\n");
		assert_has("mid      8\n");
		assert_has("topic    barn/meter\n");
		snprintf(words, sizeof(words), ",\"seq\":%" PRIu64, first + 1);
		assert_has(words);
		assert_int_equal(run("show --json %" PRIu64, first), 0);
		json = line(0);
		assert_string_equal(word(json, "state"), "finished");
		payload = cJSON_Parse(word(json, "payload"));
		assert_int_equal(number(payload, "n"), 0);
		assert_true(number(payload, "seq") == first);
		cJSON_Delete(payload);
		cJSON_Delete(json);
		assert_int_equal(run("show %" PRIu64, first + 6), 1);
		assert_has("there is no message");
		if (round == 0)
			close_spool();
	}
	assert_int_equal(run("show 17x"), 2);
}

static void export_gives_every_payload(void **state)
{
	cJSON *json;

	(void)state;
	open_spool();
	append(5);
	append_to("barn/text", FORM_BARE, "12 \xC2\xB0""C", 6);
	append_to("barn/raw", FORM_BARE, "\xFF\x00", 2);
	append_to("barn/nul", FORM_BARE, "a\0b", 3);
	for (unsigned round = 0; round < 2; round++) {
		if (round == 0)
			commit();
		else
			close_spool();
		assert_int_equal(run("export"), 0);
		assert_int_equal(lines(), 4);
		json = line(0);
		assert_non_null(strstr(word(json, "payload"), "\"n\":5}"));
		cJSON_Delete(json);
		json = line(1);
		assert_string_equal(word(json, "payload"), "12 \xC2\xB0""C");
		assert_int_equal(number(json, "size"), 6);
		cJSON_Delete(json);
		json = line(2);
		assert_string_equal(word(json, "payload_base64"), "/wA=");
		cJSON_Delete(json);
		json = line(3);
		assert_string_equal(word(json, "payload_base64"), "YQBi");
		cJSON_Delete(json);
	}
}

/* --- verify --- */

static void path_of(const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", directory, name);
}

static void flip(const char *name, off_t offset)
{
	char path[128];
	uint8_t byte;
	int fd;

	path_of(name, path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
}

static void verify_finds_nothing_where_all_is_right(void **state)
{
	uint64_t first = make_six();

	(void)state;
	assert_int_equal(run("verify"), 0);
	assert_has("6 messages, 4 of them waiting, 0 missing, 0 bytes damaged");
	close_spool();
	assert_int_equal(run("verify"), 0);
	assert_has("taken in 6 = acknowledged 1 ");
	assert_has("all is right");
	/* Also with segments of which some are finished. */
	(void)first;
	fill(1200);
	assert_int_equal(run("drop --all --yes"), 0);
	assert_int_equal(run("status"), 0);
	assert_has(" in 1 segments that are in use");
	fill(10);
	assert_int_equal(run("verify"), 0);
}

static void verify_tells_where_a_bit_is_wrong(void **state)
{
	uint64_t first = fill(600);
	char words[96];

	(void)state;
	/* A record is 20 + 20 + 8 + 1024 bytes: 1072. Those before the 200th are 0000.seg's. */
	flip("0000.seg", 64 * 1024);
	assert_int_equal(run("verify"), 1);
	assert_has("0000.seg: bytes ");
	assert_has("1 missing, 1072 bytes damaged");
	assert_null(strstr(output, "all is right"));
	for (uint64_t seq = first; seq < first + 100; seq++) {
		snprintf(words, sizeof(words), "messages %" PRIu64 " to %" PRIu64 ": 1 ", seq, seq);
		if (strstr(output, words))
			return;
	}
	fail_msg("no message is named in:\n%s", output);
}

static void verify_misses_a_segment(void **state)
{
	char path[128];

	(void)state;
	fill(900);
	path_of("0001.seg", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(run("verify"), 1);
	assert_has("that wait are in no segment");
	assert_has("0 bytes damaged");
}

static void verify_misses_what_was_cut_off(void **state)
{
	char path[128];

	(void)state;
	fill(900);
	path_of("0001.seg", path);
	assert_int_equal(truncate(path, 100 * 1024), 0);
	assert_int_equal(run("verify"), 1);
	assert_has("0001.seg: bytes 102400 to 262143 are damaged or missing");
	assert_has("that wait are in no segment");
}

static void verify_names_a_damaged_header(void **state)
{
	(void)state;
	fill(900);
	flip("0001.seg", 17);
	assert_int_equal(run("verify"), 1);
	assert_has("0001.seg: its header is damaged");
	assert_has("1 files have a damaged header");
}

/* A writer that goes on and on is nothing wrong. */
static void verify_and_list_beside_a_writer(void **state)
{
	unsigned rounds = 0;
	char body[512];
	int fds[2];
	pid_t writer;

	(void)state;
	memset(body, 'y', sizeof(body));
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	writer = fork();
	if (writer == 0) {
		close(fds[1]);
		fcntl(fds[0], F_SETFL, O_NONBLOCK);
		open_spool();
		/* Until the test is over, or has failed: then nobody holds the other end. */
		for (char c; read(fds[0], &c, 1) < 0 && errno == EAGAIN;) {
			for (unsigned i = 0; i < 64; i++)
				append_to("barn/busy", FORM_BARE, body, sizeof(body));
			for (unsigned i = 0; i < 60; i++)
				send_next(i + 1);
			for (unsigned i = 0; i < 60; i++)
				assert_true(spool_acked(spool, i + 1));
			/* So that it never comes to the end of its room. */
			if (spool_sums(spool).waiting > 2000)
				spool_drop(spool, 0, UINT64_MAX);
			commit();
		}
		close_spool();
		_exit(0);
	}
	close(fds[0]);
	while (rounds < 15) {
		int status = run("verify");

		if (status != 0 && strstr(output, "there is no spool"))
			continue; /* yet */
		if (status != 0)
			print_message("%s\n", output);
		assert_int_equal(status, 0);
		assert_int_equal(run("export --limit 50"), 0);
		for (unsigned i = 0; i < lines(); i++)
			cJSON_Delete(line(i));
		assert_int_equal(run("status"), 0);
		assert_has("has it");
		rounds++;
	}
	close(fds[1]);
	assert_int_equal(waitpid(writer, NULL, 0), writer);
	assert_int_equal(run("verify"), 0);
}

/* --- drop --- */

static void drop_from_a_spool_that_rests(void **state)
{
	uint64_t first = make_six();
	const struct loss *loss;

	(void)state;
	close_spool();
	assert_int_equal(run("drop %" PRIu64, first + 2), EXIT_WRONG_USAGE);
	assert_has("--yes");
	assert_int_equal(look().waiting, 4);
	assert_int_equal(run("drop --yes %" PRIu64, first + 2), 0);
	assert_has("1 messages given up");
	assert_int_equal(look().waiting, 3);
	assert_int_equal(run("drop --yes %" PRIu64, first + 2), EXIT_NOT_SO);
	assert_int_equal(run("drop --yes %" PRIu64 "-%" PRIu64, first, first + 4), 0);
	assert_has("2 messages given up");
	assert_int_equal(run("verify"), 0);
	assert_int_equal(run("drop --all --yes"), 0);
	assert_int_equal(look().waiting, 0);
	assert_int_equal(look().given_up[LOSS_USER], 5);
	assert_int_equal(run("drop --all --yes"), EXIT_NOT_SO);
	assert_int_equal(run("verify"), 0);
	/* The gateway that starts next tells of it. */
	open_spool();
	loss = spool_loss(spool);
	assert_non_null(loss);
	assert_int_equal(loss->count, 5);
	assert_int_equal(loss->from, first + 1);
	assert_int_equal(loss->to, first + 5);
	/* Where the clock is not known to be right, the same time comes out a little different. */
	assert_in_range(loss->from_ms, 1, loss->to_ms + 1000);
}

/* Where a message that was to tell of a loss is given up, the loss is told again. */
static void drop_does_not_hide_a_loss(void **state)
{
	const struct loss lost = { .count = 3, .why = LOSS_QUEUE, .from_ms = 1, .to_ms = 2 };
	struct message tells = {
		.qos = 1, .topic = "barn/loss", .topic_length = 9, .body = "x", .body_length = 1,
	};

	(void)state;
	open_spool();
	spool_note_loss(spool, &lost);
	assert_int_equal(spool_append_loss(spool, &tells), 0);
	assert_null(spool_loss(spool));
	close_spool();
	assert_int_equal(run("drop --all --yes"), 0);
	open_spool();
	assert_int_equal(spool_untold(spool), 3 + 1);
	assert_int_equal(spool_loss(spool)->why, LOSS_QUEUE);
}

/* Appends messages with such bodies until the spool takes no more of them. */
static void append_until_full(size_t body_length)
{
	char body[1024];
	struct message message = {
		.qos = 1, .topic = "barn/big", .topic_length = 8, .body = body,
		.body_length = body_length,
	};

	memset(body, 'x', sizeof(body));
	while (spool_append(spool, &message) == 0)
		;
}

/* With the directory alone a full spool is neither made too large nor is more given up. */
static void drop_from_a_full_spool(void **state)
{
	struct spool_sums before, after;
	uint64_t first, next;

	(void)state;
	conf.max_bytes = 8 << 20;
	conf.when_full = DROP_NEWEST;
	open_spool();
	/* What is noted has no room in the segment that is written. */
	append_until_full(1024);
	append_until_full(1);
	spool_range(spool, &first, &next);
	commit();
	/* Left as a SIGKILL would: the end would begin another segment. */
	spool_free(spool);
	spool = NULL;
	before = look();
	assert_int_equal(run("drop --yes %" PRIu64, first + 7), 0);
	after = look();
	assert_int_equal(after.waiting, before.waiting - 1);
	assert_int_equal(after.dropped, before.dropped + 1);
	assert_int_equal(run("drop --yes 1-18446744073709551615"), 0);
	after = look();
	assert_int_equal(after.waiting, 0);
	assert_int_equal(after.given_up[LOSS_FULL], before.given_up[LOSS_FULL]);
	assert_int_equal(after.given_up[LOSS_USER], before.waiting);
	assert_int_equal(run("verify"), 0);
	open_spool();
	assert_in_range(spool_state(spool).disk_bytes, 1, conf.max_bytes);
}

/* What root does to somebody's spool leaves it that one's. */
static void drop_as_root_keeps_the_owner(void **state)
{
	unsigned count = 0;
	char path[128];
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(directory, 1234, 4321), 0);
	fill(500);
	assert_int_equal(run("drop --yes --all"), 0);
	for (unsigned i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), "%s/%04u.seg", directory, i);
		if (stat(path, &st) < 0)
			continue;
		assert_int_equal(st.st_uid, 1234);
		assert_int_equal(st.st_gid, 4321);
		count++;
	}
	assert_true(count >= 2);
}

/* --- what was set aside --- */

/* Six messages, of which the broker refused four. The first. */
static uint64_t make_refused(void)
{
	uint64_t first;

	open_spool();
	first = append(0);
	for (unsigned i = 1; i < 6; i++)
		append(i);
	for (unsigned i = 0; i < 4; i++)
		assert_true(refuse_next(1 + i) == first + i);
	commit();
	return first;
}

static void assert_kept(uint64_t count)
{
	cJSON *json;

	assert_int_equal(run("status --json"), 0);
	json = line(0);
	assert_int_equal(number(json, "kept"), count);
	cJSON_Delete(json);
	assert_int_equal(run("verify"), 0);
	look();
}

static void assert_refused_is_told(uint64_t first)
{
	cJSON *json;

	assert_int_equal(run("status"), 0);
	assert_has("set aside     4  (4 are kept)");
	assert_int_equal(run("list --refused"), 0);
	assert_int_equal(lines(), 5);
	assert_has("refused");
	assert_has("barn/meter  (0x87 not authorized)");
	assert_int_equal(run("list --refused --from %" PRIu64 " --limit 2 --json", first + 1), 0);
	assert_int_equal(lines(), 2);
	json = line(1);
	assert_true(number(json, "seq") == first + 2);
	assert_string_equal(word(json, "state"), "refused");
	assert_int_equal(number(json, "reason"), 0x87);
	assert_string_equal(word(json, "why"), "not authorized");
	cJSON_Delete(json);
	assert_int_equal(run("list --refused --to %" PRIu64, first + 1), 0);
	assert_int_equal(lines(), 3);
	assert_int_equal(run("export --refused --topic barn/#"), 0);
	assert_int_equal(lines(), 4);
	json = line(3);
	assert_non_null(strstr(word(json, "payload"), "\"n\":3}"));
	cJSON_Delete(json);
	assert_int_equal(run("list"), 0);
	assert_int_equal(lines(), 3);
	assert_int_equal(run("show %" PRIu64, first), 0);
	assert_has("reason   0x87, not authorized");
	assert_has("\"n\":0}");
	assert_kept(4);
	assert_has("4 messages are set aside");
}

static void refused_is_listed(void **state)
{
	uint64_t first = make_refused();

	(void)state;
	assert_refused_is_told(first);
	close_spool();
	assert_refused_is_told(first);
}

static void retry_on_a_spool_that_rests(void **state)
{
	uint64_t first = make_refused();
	cJSON *json;

	(void)state;
	assert_int_equal(run("retry --all"), EX_TEMPFAIL);
	close_spool();
	assert_int_equal(run("retry %" PRIu64, first + 4), EXIT_NOT_SO);
	assert_has("none of them is set aside");
	assert_int_equal(run("retry %" PRIu64, first + 1), 0);
	assert_has("1 messages will be sent again");
	assert_int_equal(look().waiting, 3);
	assert_int_equal(look().taken, 7);
	assert_kept(3);
	assert_int_equal(run("list --json --from %" PRIu64, first + 6), 0);
	json = line(0);
	assert_true(number(json, "seq") == first + 6);
	cJSON_Delete(json);
	assert_int_equal(run("retry %" PRIu64 "-%" PRIu64, first, first + 2), 0);
	assert_has("2 messages will be sent again");
	assert_int_equal(run("retry --all"), 0);
	assert_has("1 messages will be sent again");
	assert_kept(0);
	assert_int_equal(look().waiting, 6);
	assert_int_equal(look().refused, 4);
	assert_int_equal(run("retry --all"), EXIT_NOT_SO);
}

static void refused_is_dropped_by_hand(void **state)
{
	uint64_t first = make_refused();
	const struct loss *loss;

	(void)state;
	close_spool();
	assert_int_equal(run("drop --refused --all"), EXIT_WRONG_USAGE);
	assert_kept(4);
	assert_int_equal(run("drop --refused --yes %" PRIu64, first + 1), 0);
	assert_has("1 messages given up");
	assert_int_equal(run("drop --refused --yes %" PRIu64, first + 1), EXIT_NOT_SO);
	assert_kept(3);
	assert_int_equal(run("drop --refused --yes --all"), 0);
	assert_kept(0);
	assert_int_equal(look().waiting, 2);
	assert_int_equal(look().refused, 0);
	assert_int_equal(look().given_up[LOSS_USER], 4);
	open_spool();
	loss = spool_loss(spool);
	assert_non_null(loss);
	assert_int_equal(loss->count, 4);
	assert_true(loss->from == first && loss->to == first + 3);
}

/* The spool keeps what waits: what is set aside stays so. */
static void retry_does_not_push_out_what_waits(void **state)
{
	uint64_t waiting;

	(void)state;
	make_refused();
	conf.when_full = DROP_NEWEST;
	close_spool();
	open_spool();
	append_until_full(1000);
	append_until_full(10);
	close_spool();
	waiting = look().waiting;
	assert_int_equal(run("retry --all"), EXIT_NOT_SO);
	assert_has("the spool is full: 4 are set aside still");
	assert_int_equal(look().waiting, waiting);
	assert_kept(4);
}

static void verify_tells_what_is_damaged_of_it(void **state)
{
	(void)state;
	make_refused();
	close_spool();
	flip("refused", 64 + 100);
	assert_int_equal(run("verify"), EXIT_NOT_SO);
	assert_has("refused: ");
	assert_has("3 messages are set aside");
	assert_int_equal(run("retry --all"), 0);
	assert_has("3 messages will be sent again");
	assert_int_equal(run("verify"), 0);
}

/* A process has the spool and can't be asked. */
static void drop_from_a_spool_that_is_taken(void **state)
{
	(void)state;
	make_six();
	assert_int_equal(run("drop --all --yes"), EX_TEMPFAIL);
	assert_int_equal(look().waiting, 4);
}

/* On a terminal it asks, and does nothing without a yes. */
static int drop_on_a_terminal(const char *answer)
{
	int terminal;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);

	assert_true(pid >= 0);
	if (pid == 0) {
		execl(getenv("POSTBUS"), "postbus", "spool", "drop", "--all", "--directory",
		      directory, NULL);
		_exit(127);
	}
	assert_int_equal(write(terminal, answer, strlen(answer)), strlen(answer));
	return finish(pid, terminal);
}

static void drop_asks_on_a_terminal(void **state)
{
	(void)state;
	make_six();
	close_spool();
	assert_int_equal(drop_on_a_terminal("n\n"), EXIT_NOT_SO);
	assert_has("Give up 4 messages");
	assert_int_equal(look().waiting, 4);
	assert_int_equal(drop_on_a_terminal("y\n"), 0);
	assert_has("4 messages given up");
	assert_int_equal(look().waiting, 0);
}

/* --- wrong usage --- */

static int run_alone(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int run_alone(const char *format, ...)
{
	va_list arguments;
	int status;

	va_start(arguments, format);
	status = run_on(NULL, format, arguments);
	va_end(arguments);
	return status;
}

static void wrong_usage_is_told(void **state)
{
	static const char *const verbs[] = { "status", "list", "show", "export", "verify", "retry",
					     "drop" };
	static const char *const wrong[] = {
		"nonsense", "status --yes", "list --from x", "list --limit -1", "list 17", "show",
		"export --json", "verify 1", "drop", "drop --all 17", "drop --yes 3-2",
		"drop --yes 1-x", "retry", "retry --all 17", "retry --yes 17", "status -c /dev/null", "list --from",
	};

	(void)state;
	make_six();
	close_spool();
	assert_int_equal(run_alone("--help"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		assert_has(verbs[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		assert_int_equal(run_alone("%s --help", verbs[i]), 0);
		assert_has("usage: postbus spool ");
		assert_has(verbs[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		int status = run("%s", wrong[i]);

		if (status != EXIT_WRONG_USAGE)
			print_message("%s: %d\n%s", wrong[i], status, output);
		assert_int_equal(status, EXIT_WRONG_USAGE);
	}
	assert_int_equal(look().waiting, 4);
	assert_int_equal(run_alone("status --directory %s/none", directory), EXIT_NOT_SO);
	assert_has("there is no spool");
	assert_int_equal(run_alone("status -c %s/none", directory), EX_CONFIG);
}

/* --- a gateway that runs --- */

static struct stage stage;
static char *maps;

static int open_stage(void **state)
{
	(void)state;
	if (asprintf(&maps, "%s/devices", getenv("POSTBUS_SOURCE")) < 0)
		return -1;
	return stage_open(&stage, getenv("POSTBUS"), maps);
}

static int close_stage(void **state)
{
	(void)state;
	stage_clean_up(&stage);
	free(maps);
	return 0;
}

static void wait_for(stage_condition *holds, uint64_t argument)
{
	int r = stage_wait(&stage, holds, argument);

	if (r < 0)
		stage_show_log(&stage, "gateway.log");
	assert_int_equal(r, 0);
}

static void start_gateway(void)
{
	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_true(stage_start_subscriber(&stage) >= 0);
	assert_int_equal(stage_configure(&stage, "qos = 1;", ""), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
}

/* With the gateway's configuration. */
static cJSON *live_status(void)
{
	assert_int_equal(run_alone("status --json -c %s/postbus.conf", stage.directory), 0);
	return line(0);
}

/* A subscriber with a session that lasts; it leaves as soon as it has subscribed. */
static pid_t watch_losses(const char *how, const char *count, int out)
{
	char port[8];
	char *argv[] = { "mosquitto_sub", "-V", "311", "-h", "127.0.0.1", "-p", port, "-q", "1",
			 "-t", "demo/loss", "-i", "watcher", "-c", "-F", "%p", (char *)how,
			 (char *)count, NULL };

	snprintf(port, sizeof(port), "%d", stage.broker_port);
	return stage_spawn(argv, out);
}

static bool loss_is_seen(struct stage *on, uint64_t argument)
{
	int fd = argument;
	size_t length = strlen(output);
	ssize_t n;

	(void)on;
	n = read(fd, output + length, sizeof(output) - 1 - length);
	if (n > 0)
		output[length + n] = '\0';
	return strchr(output, '\n');
}

/* The first loss that the gateway tells, as JSON. */
static cJSON *next_loss(void)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	pid = watch_losses("-C", "1", fds[1]);
	close(fds[1]);
	output[0] = '\0';
	wait_for(loss_is_seen, fds[0]);
	close(fds[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return line(0);
}

/* All behind that number; what was given up before may have come all the same. */
static bool all_behind_is_delivered(struct stage *on, uint64_t seq)
{
	struct spool_sums sums;
	uint64_t next, count = 0;

	assert_int_equal(stage_look_at_spool(on, &sums, &next), 0);
	for (size_t i = 0; i < on->delivery_count; i++)
		count += on->deliveries[i].seq > seq;
	return count == next - 1 - seq;
}

static void drop_from_a_live_gateway(void **state)
{
	uint64_t first, last;
	cJSON *json, *loss;
	pid_t pid;

	(void)state;
	start_gateway();
	wait_for(stage_has_readings, 20);
	pid = watch_losses("-E", NULL, STDERR_FILENO);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	proxy_cut(stage.proxy, true);
	wait_for(stage_spool_holds, 40);
	json = live_status();
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(json, "running")));
	first = number(cJSON_GetObjectItem(json, "oldest"), "seq");
	cJSON_Delete(json);
	assert_int_equal(run_alone("list --json -c %s/postbus.conf", stage.directory), 0);
	assert_true(lines() >= 40);
	json = line(39);
	last = number(json, "seq");
	cJSON_Delete(json);
	assert_int_equal(run_alone("drop --yes %" PRIu64 "-%" PRIu64 " -c %s/postbus.conf",
				   first, last, stage.directory), 0);
	assert_has("40 messages given up");
	assert_int_equal(run_alone("verify -c %s/postbus.conf", stage.directory), 0);
	json = live_status();
	assert_int_equal(number(json, "dropped"), 40);
	assert_true(number(cJSON_GetObjectItem(json, "oldest"), "seq") > last);
	cJSON_Delete(json);
	proxy_cut(stage.proxy, false);
	loss = next_loss();
	assert_int_equal(number(loss, "count"), 40);
	assert_true(number(loss, "from") == first);
	assert_true(number(loss, "to") == last);
	assert_string_equal(word(loss, "why"), "dropped by hand");
	assert_non_null(cJSON_GetObjectItem(loss, "from_time"));
	cJSON_Delete(loss);
	/* Nothing else is lost, and the gateway ends well. */
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
	assert_int_equal(stage_end(&stage.gateway, SIGTERM), 0);
	assert_int_equal(run_alone("verify -c %s/postbus.conf", stage.directory), 0);
	json = live_status();
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(json, "running")));
	assert_int_equal(number(json, "waiting"), 0);
	cJSON_Delete(json);
	wait_for(all_behind_is_delivered, last);
}

#define spool_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define gateway_test(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		spool_test(status_tells_the_sums),
		spool_test(list_tells_of_each),
		spool_test(topics_are_chosen_as_mqtt_has_it),
		spool_test(show_tells_all_of_one),
		spool_test(export_gives_every_payload),
		spool_test(verify_finds_nothing_where_all_is_right),
		spool_test(verify_tells_where_a_bit_is_wrong),
		spool_test(verify_misses_a_segment),
		spool_test(verify_misses_what_was_cut_off),
		spool_test(verify_names_a_damaged_header),
		spool_test(verify_and_list_beside_a_writer),
		spool_test(drop_from_a_spool_that_rests),
		spool_test(drop_does_not_hide_a_loss),
		spool_test(drop_from_a_full_spool),
		spool_test(drop_as_root_keeps_the_owner),
		spool_test(refused_is_listed),
		spool_test(retry_on_a_spool_that_rests),
		spool_test(refused_is_dropped_by_hand),
		spool_test(retry_does_not_push_out_what_waits),
		spool_test(verify_tells_what_is_damaged_of_it),
		spool_test(drop_from_a_spool_that_is_taken),
		spool_test(drop_asks_on_a_terminal),
		spool_test(wrong_usage_is_told),
		gateway_test(drop_from_a_live_gateway),
	};

	/* Nobody is there to be asked. */
	if (!freopen("/dev/null", "r", stdin))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
