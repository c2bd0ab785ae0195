/* SPDX-License-Identifier: Apache-2.0 */
/* spool_status.c - `postbus spool status`: how much waits, and what became of the rest. */
#include "tools/spool_cli.h"
#include "base/units.h"
#include "bridge/clock.h"

#include <inttypes.h>
#include <string.h>

struct status {
	struct spool_sums sums;
	struct spool_state state;
	uint64_t first, next; /* the oldest number that waits; the one given out next */
	uint64_t untold;      /* given up, and no message has told of it yet */
	bool has_oldest;
	int64_t oldest_ms, age_ms;
	enum clock_mark clock;
};

static bool take_oldest(void *data, const struct spool_entry *entry)
{
	struct status *status = data;

	if (!entry->waits)
		return true;
	status->has_oldest = true;
	status->oldest_ms = entry->message.time_ms;
	status->clock = entry->message.clock;
	status->age_ms = clock_wall_ms() - entry->message.time_ms;
	return false;
}

static int collect(struct spool_cli *cli, struct status *status)
{
	struct spool_walk walk = { .visit = take_oldest, .data = status };

	*status = (struct status){
		.sums = spool_sums(cli->spool),
		.state = spool_state(cli->spool),
		.untold = spool_untold(cli->spool),
	};
	spool_range(cli->spool, &status->first, &status->next);
	walk.from = status->first;
	return status->sums.waiting ? spool_walk(cli->spool, &walk) : 0;
}

/* --- for people --- */

/* "(spool full 40, power cut 2)", where there is anything to say. */
static void print_reasons(const struct spool_sums *sums)
{
	const char *before = "  (";

	for (size_t i = 0; i < LOSS_WHY_COUNT; i++) {
		if (i == LOSS_DAMAGED || !sums->given_up[i])
			continue;
		printf("%s%s %" PRIu64, before, loss_why_words(i), sums->given_up[i]);
		before = ", ";
	}
	if (sums->dropped)
		putchar(')');
}

static void print_sums(const struct status *status)
{
	const struct spool_sums *sums = &status->sums;

	printf("%-14s%" PRIu64 "\n", "taken in", sums->taken);
	printf("%-14s%" PRIu64 "\n", "acknowledged", sums->acked);
	printf("%-14s%" PRIu64, "waiting", sums->waiting);
	if (status->state.in_flight)
		printf("  (%zu in flight)", status->state.in_flight);
	printf("\n%-14s%" PRIu64, "set aside", sums->refused);
	if (sums->refused)
		printf("  (%" PRIu64 " are kept)", status->state.kept);
	printf("\n%-14s%" PRIu64, "dropped", sums->dropped);
	print_reasons(sums);
	printf("\n%-14s%" PRIu64 "\n", "damaged", sums->damaged);
	if (status->untold)
		printf("%-14s%" PRIu64 " given up that no message has told of\n", "to be told",
		       status->untold);
}

static void print_oldest(const struct status *status)
{
	char time[ISO_TIME_SIZE], age[32];
	const char *clock = spool_cli_clock(status->clock);

	printf("%-14s", "oldest");
	if (!status->has_oldest) {
		puts("none");
		return;
	}
	printf("%" PRIu64 "  %s%s%s", status->first,
	       spool_cli_time(status->oldest_ms, time), clock ? " " : "", clock ? clock : "");
	if (status->age_ms >= 0)
		printf(", %s ago", format_duration(status->age_ms / 1000 * USEC_PER_SEC, age,
						   sizeof(age)));
	putchar('\n');
}

static void print_status(const struct spool_cli *cli, const struct status *status)
{
	const struct spool_state *state = &status->state;
	const double mib = 1024 * 1024;

	printf("%-14s%s\n", "spool", cli->conf.directory);
	printf("%-14s%s\n", "gateway", state->is_taken ? "has it" : "none has it");
	print_sums(status);
	print_oldest(status);
	printf("%-14s%" PRIu64 "\n", "next", status->next);
	printf("%-14s%.1f MiB in files, %.1f of it in %zu segments that are in use\n", "disk",
	       state->disk_bytes / mib, state->used_bytes / mib, state->segments);
	if (state->damaged_files)
		printf("%-14s%zu files whose header is damaged\n", "", state->damaged_files);
	if (state->kept_damaged)
		printf("%-14s%" PRIu32 " bytes of what is set aside are damaged\n", "",
		       state->kept_damaged);
	printf("%-14s%s\n", "memory",
	       state->in_memory ? "holds the newest messages" : "holds nothing");
	printf("%-14s%" PRIu32 ", its clock %s\n", "boot", state->boot,
	       state->clock_is_right ? "was set right" : "was never set right");
}

/* --- for programs --- */

static cJSON *reasons_json(const struct spool_sums *sums)
{
	cJSON *json = cJSON_CreateObject();

	for (size_t i = 0; i < LOSS_WHY_COUNT; i++)
		if (i != LOSS_DAMAGED)
			cJSON_AddNumberToObject(json, loss_why_words(i), sums->given_up[i]);
	return json;
}

static cJSON *oldest_json(const struct status *status)
{
	const char *clock = spool_cli_clock(status->clock);
	char time[ISO_TIME_SIZE];
	cJSON *json;

	if (!status->has_oldest)
		return cJSON_CreateNull();
	json = cJSON_CreateObject();
	cJSON_AddNumberToObject(json, "seq", status->first);
	cJSON_AddStringToObject(json, "time", spool_cli_time(status->oldest_ms, time));
	if (clock)
		cJSON_AddStringToObject(json, "clock", clock);
	cJSON_AddNumberToObject(json, "age_ms", status->age_ms);
	return json;
}

static cJSON *id_json(const uint8_t id[SPOOL_ID_SIZE])
{
	char text[2 * SPOOL_ID_SIZE + 1];

	for (size_t i = 0; i < SPOOL_ID_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
	return cJSON_CreateString(text);
}

static cJSON *status_json(const struct spool_cli *cli, const struct status *status)
{
	const struct spool_sums *sums = &status->sums;
	const struct spool_state *state = &status->state;
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "directory", cli->conf.directory);
	cJSON_AddItemToObject(json, "id", id_json(state->id));
	cJSON_AddBoolToObject(json, "running", state->is_taken);
	cJSON_AddNumberToObject(json, "taken", sums->taken);
	cJSON_AddNumberToObject(json, "acknowledged", sums->acked);
	cJSON_AddNumberToObject(json, "waiting", sums->waiting);
	cJSON_AddNumberToObject(json, "in_flight", state->in_flight);
	cJSON_AddNumberToObject(json, "set_aside", sums->refused);
	cJSON_AddNumberToObject(json, "kept", state->kept);
	cJSON_AddNumberToObject(json, "dropped", sums->dropped);
	cJSON_AddItemToObject(json, "dropped_why", reasons_json(sums));
	cJSON_AddNumberToObject(json, "damaged", sums->damaged);
	cJSON_AddNumberToObject(json, "untold", status->untold);
	cJSON_AddItemToObject(json, "oldest", oldest_json(status));
	cJSON_AddNumberToObject(json, "next", status->next);
	cJSON_AddNumberToObject(json, "disk_bytes", state->disk_bytes);
	cJSON_AddNumberToObject(json, "used_bytes", state->used_bytes);
	cJSON_AddNumberToObject(json, "segments", state->segments);
	cJSON_AddNumberToObject(json, "damaged_files", state->damaged_files);
	cJSON_AddBoolToObject(json, "in_memory", state->in_memory);
	cJSON_AddNumberToObject(json, "boot", state->boot);
	cJSON_AddBoolToObject(json, "clock_is_right", state->clock_is_right);
	return json;
}

int spool_cli_status(struct spool_cli *cli)
{
	struct status status;
	int r = collect(cli, &status);

	if (r < 0)
		return spool_cli_explain(cli, r);
	if (cli->json)
		spool_cli_print(status_json(cli, &status));
	else
		print_status(cli, &status);
	return EXIT_SUCCESS;
}
