/* SPDX-License-Identifier: Apache-2.0 */
/* spool_verify.c - `postbus spool verify`: whether all that should be on the disk is there. */
#include "tools/spool_cli.h"
#include "tools/progress.h"

#include <inttypes.h>
#include <string.h>

struct verify {
	struct spool_cli *cli;
	struct progress progress;
	uint64_t messages, waiting; /* that were met */
	uint64_t expected;          /* no message below it is missing, or it was said */
	uint64_t missing;
	bool is_wrong;
};

/*
 * Numbers that wait and were not met. A process that has the spool may have finished them and
 * used their segment again since the spool was opened: then they do not wait any more.
 */
static void note_missing(struct verify *verify, uint64_t from, uint64_t to)
{
	_cleanup_(spool_freep) struct spool *again = NULL;
	uint64_t count = spool_waiting(verify->cli->spool, from, to);

	if (count && spool_state(verify->cli->spool).is_taken &&
	    spool_open(&verify->cli->conf, true, &again) == 0)
		count = spool_waiting(again, from, to);
	if (!count)
		return;
	verify->missing += count;
	verify->is_wrong = true;
	progress_end(&verify->progress);
	printf("messages %" PRIu64 " to %" PRIu64 ": %" PRIu64 " that wait are in no segment\n",
	       from, to, count);
}

static bool take_message(void *data, const struct spool_entry *entry)
{
	struct verify *verify = data;
	uint64_t seq = entry->message.seq;

	verify->messages++;
	verify->waiting += entry->waits;
	if (seq > verify->expected)
		note_missing(verify, verify->expected, seq - 1);
	if (seq >= verify->expected)
		verify->expected = seq + 1;
	return true;
}

static void take_damage(void *data, unsigned file, uint32_t begin, uint32_t end)
{
	struct verify *verify = data;

	verify->is_wrong = true;
	progress_end(&verify->progress);
	printf("%04u.seg: bytes %" PRIu32 " to %" PRIu32 " are damaged or missing\n", file,
	       begin, end - 1);
}

static void take_progress(void *data, uint64_t done, uint64_t total)
{
	progress_update(&((struct verify *)data)->progress, done, total);
}

static bool sums_hold(const struct spool_cli *cli)
{
	struct spool_sums sums = spool_sums(cli->spool);

	return sums.waiting == spool_waiting(cli->spool, 0, UINT64_MAX);
}

static int judge(struct verify *verify, const struct spool_walk *walk)
{
	struct spool_state state = spool_state(verify->cli->spool);
	struct spool_sums sums = spool_sums(verify->cli->spool);
	uint64_t oldest, next;

	spool_range(verify->cli->spool, &oldest, &next);
	if (next > verify->expected)
		note_missing(verify, verify->expected, next - 1);
	if (state.damaged_files)
		printf("%zu files have a damaged header\n", state.damaged_files);
	if (state.kept_damaged)
		printf("refused: %" PRIu32 " bytes are damaged\n", state.kept_damaged);
	printf("%" PRIu64 " messages are set aside\n", state.kept);
	printf("%" PRIu64 " segments, %" PRIu64 " records, %" PRIu64 " messages, %" PRIu64
	       " of them waiting, %" PRIu64 " missing, %" PRIu64 " bytes damaged\n",
	       walk->segments, walk->records, verify->messages, verify->waiting,
	       verify->missing, walk->damaged);
	printf("taken in %" PRIu64 " %s acknowledged %" PRIu64 " + set aside %" PRIu64
	       " + dropped %" PRIu64 " + damaged %" PRIu64 " + waiting %" PRIu64 "\n",
	       sums.taken, sums_hold(verify->cli) ? "=" : "is not", sums.acked, sums.refused,
	       sums.dropped, sums.damaged, spool_waiting(verify->cli->spool, 0, UINT64_MAX));
	if (verify->is_wrong || state.damaged_files || state.kept_damaged ||
	    !sums_hold(verify->cli))
		return EXIT_NOT_SO;
	puts("all is right");
	return EXIT_SUCCESS;
}

int spool_cli_verify(struct spool_cli *cli)
{
	struct verify verify = { .cli = cli };
	struct spool_walk walk = {
		.visit = take_message, .damage = take_damage, .progress = take_progress,
		.data = &verify,
	};
	uint64_t next;
	int r;

	spool_range(cli->spool, &verify.expected, &next);
	progress_begin(&verify.progress, "verifying", PROGRESS_BYTES);
	r = spool_walk(cli->spool, &walk);
	progress_end(&verify.progress);
	if (r < 0)
		return spool_cli_explain(cli, r);
	return judge(&verify, &walk);
}
