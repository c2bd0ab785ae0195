/* SPDX-License-Identifier: Apache-2.0 */
/* spool_cli.c - `postbus spool`: its verbs, their options, and the spool they look at. */
#include "tools/spool_cli.h"
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <string.h>
#include <sysexits.h>

/* --- verbs --- */

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "directory", required_argument, NULL, 'd' },
	{ "json", no_argument, NULL, 'j' },
	{ "all", no_argument, NULL, 'a' },
	{ "topic", required_argument, NULL, 't' },
	{ "from", required_argument, NULL, 'f' },
	{ "to", required_argument, NULL, 'T' },
	{ "limit", required_argument, NULL, 'l' },
	{ "yes", no_argument, NULL, 'y' },
	{ "refused", no_argument, NULL, 'r' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

#define SELECTION_USAGE "[--all|--refused] [--topic FILTER] [--from SEQ] [--to SEQ] [--limit N]"
#define SELECTION_HELP                                                                    \
	"  --all              also those that are finished and still stand in a file\n"   \
	"  --refused          those that the broker refused and that are set aside\n"     \
	"  --topic FILTER     of these topics, as MQTT has it: barn/+/voltage, barn/#\n"  \
	"  --from, --to SEQ   of these sequence numbers, ends included\n"                 \
	"  --limit N          the first N only\n"
#define COMMON_HELP                                                                       \
	"  -c, --config FILE  the gateway's configuration (" DEFAULT_CONF ")\n"           \
	"  --directory DIR    the spool itself, in place of the configuration\n"          \
	"  -h, --help         this text\n"

static const struct spool_verb {
	const char *name, *usage, *summary, *help;
	const char *options;  /* which of the above it takes besides c, d and h */
	const char *argument; /* what it is called; NULL: there is none */
	int (*run)(struct spool_cli *cli);
} verbs[] = {
	{ "status", "[--json]", "how much waits, since when, and what became of the rest",
	  "  --json             as JSON\n",
	  "j", NULL, spool_cli_status },
	{ "list", SELECTION_USAGE " [--json]", "one line a message that waits",
	  SELECTION_HELP
	  "  --json             as JSON, one object a line\n",
	  "jartfTl", NULL, spool_cli_list },
	{ "show", "SEQ [--json]", "one message whole",
	  "  --json             as JSON\n",
	  "j", "SEQ", spool_cli_show },
	{ "export", SELECTION_USAGE, "messages with their payloads, as JSON, one a line",
	  SELECTION_HELP,
	  "artfTl", NULL, spool_cli_export },
	{ "verify", "", "reads each record, checks checksums and sums",
	  "", "", NULL, spool_cli_verify },
	{ "retry", "SEQ|FROM-TO|--all", "sends again what the broker refused",
	  "  --all              all that is set aside\n",
	  "a", "SEQ|FROM-TO", spool_cli_retry },
	{ "drop", "[--refused] SEQ|FROM-TO|--all [--yes]", "gives messages up that wait",
	  "  --all              all that wait\n"
	  "  --refused          of those that are set aside, in place of those that wait\n"
	  "  --yes              do not ask\n",
	  "ary", "SEQ|FROM-TO", spool_cli_drop },
};

static void usage(FILE *out)
{
	fputs("usage: postbus spool VERB [OPTION...]\n"
	      "\n"
	      "Looks at the spool of a running or a stopped gateway; retry and drop alone change\n"
	      "it.\n\n",
	      out);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-7s %s\n", verbs[i].name, verbs[i].summary);
	fputs("\n" COMMON_HELP "\nEach verb has --help.\n", out);
}

static void verb_usage(const struct spool_verb *verb, FILE *out)
{
	fprintf(out, "usage: postbus spool %s %s%s[-c FILE | --directory DIR]\n\n%s%s",
		verb->name, verb->usage, *verb->usage ? " " : "", verb->help, COMMON_HELP);
}

/* --- what the verbs share --- */

int spool_cli_fail(const struct spool_cli *cli, int status, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "postbus spool %s: %s: ", cli->verb->name, cli->conf.directory);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return status;
}

int spool_cli_misuse(const struct spool_cli *cli, const char *what, const char *word)
{
	fprintf(stderr, "postbus spool %s: %s: %s (--help says more)\n", cli->verb->name, what,
		word);
	return EXIT_WRONG_USAGE;
}

int spool_cli_explain(const struct spool_cli *cli, int error)
{
	switch (error) {
	case -ENOENT:
		return spool_cli_fail(cli, EXIT_NOT_SO, "there is no spool");
	case -EPROTONOSUPPORT:
		return spool_cli_fail(cli, EXIT_NOT_SO,
				      "written by another version of postbus");
	case -EACCES:
	case -ENOTDIR:
		return spool_cli_fail(cli, EXIT_NOT_SO, "%s", strerror(-error));
	case -EBUSY:
		return spool_cli_fail(cli, EX_TEMPFAIL,
				      "a process has it that can't be asked");
	default:
		return spool_cli_fail(cli, EX_IOERR, "%s", strerror(-error));
	}
}

bool spool_cli_number(const char *text, const char *end, uint64_t *number)
{
	char *stop;

	errno = 0;
	*number = strtoull(text, &stop, 10);
	return *text >= '0' && *text <= '9' && !errno &&
	       stop == (end ? end : text + strlen(text));
}

bool spool_cli_print(cJSON *json)
{
	char *line = cJSON_PrintUnformatted(json);
	bool printed = line && puts(line) >= 0;

	cJSON_free(line);
	cJSON_Delete(json);
	return printed;
}

const char *spool_cli_time(int64_t time_ms, char buffer[ISO_TIME_SIZE])
{
	char quoted[ISO_TIME_SIZE + 2];
	struct text text = { .data = quoted, .size = sizeof(quoted) };

	message_iso_time(time_ms, &text);
	snprintf(buffer, ISO_TIME_SIZE, "%.*s", (int)text.length - 2, quoted + 1);
	return buffer;
}

const char *spool_cli_clock(enum clock_mark clock)
{
	static const char *const marks[] = {
		[CLOCK_UNSYNCED] = "unsynced", [CLOCK_ESTIMATED] = "estimated",
	};

	return clock == CLOCK_RIGHT ? NULL : marks[clock];
}

/* --- the command line --- */

static int set_option(struct spool_cli *cli, int option, const char *value)
{
	switch (option) {
	case 'c':
		cli->config = value;
		return 0;
	case 'd':
		cli->directory = value;
		return 0;
	case 'j':
		cli->json = true;
		return 0;
	case 'a':
		cli->all = true;
		return 0;
	case 'y':
		cli->yes = true;
		return 0;
	case 'r':
		cli->refused = true;
		return 0;
	case 't':
		cli->topic = value;
		return *value ? 0 : -EINVAL;
	case 'f':
		return spool_cli_number(value, NULL, &cli->from) ? 0 : -EINVAL;
	case 'T':
		return spool_cli_number(value, NULL, &cli->to) ? 0 : -EINVAL;
	default:
		return spool_cli_number(value, NULL, &cli->limit) ? 0 : -EINVAL;
	}
}

/* Exit status, or -1 to go on. */
static int parse_options(struct spool_cli *cli, int argc, char **argv)
{
	int option, index;

	optind = 0; /* begin anew: the verb stands where the program's name does */
	while ((index = -1, option = getopt_long(argc, argv, "c:h", options, &index)) != -1) {
		if (option == 'h') {
			verb_usage(cli->verb, stdout);
			return EXIT_SUCCESS;
		}
		if (option == '?')
			return EXIT_WRONG_USAGE; /* which getopt_long() has said */
		if (option != 'c' && option != 'd' && !strchr(cli->verb->options, option))
			return spool_cli_misuse(cli, "takes no such option", options[index].name);
		if (set_option(cli, option, optarg) < 0)
			return spool_cli_misuse(cli, options[index].name, optarg);
	}
	if (optind < argc && cli->verb->argument)
		cli->argument = argv[optind++];
	if (optind < argc)
		return spool_cli_misuse(cli, "one argument too many", argv[optind]);
	if (cli->verb->argument && !cli->argument == !cli->all)
		return spool_cli_misuse(cli, "wanted", cli->verb->usage);
	if (cli->config && cli->directory)
		return spool_cli_misuse(cli, "--config or --directory", "not both");
	return -1;
}

/* --- the spool --- */

/* Where it is: exit status, or -1 to go on. */
static int find_spool(struct spool_cli *cli)
{
	const char *file = cli->config ? cli->config : DEFAULT_CONF;
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	int r;

	if (cli->directory) {
		cli->conf.directory = (char *)cli->directory;
		return -1;
	}
	if (!faults)
		return EX_OSERR;
	r = conf_load(file, &cli->loaded, faults);
	faults_print(faults, stderr);
	if (r < 0)
		return EX_CONFIG;
	cli->conf = cli->loaded->spool;
	return -1;
}

static int run_verb(struct spool_cli *cli)
{
	int status, r = spool_open(&cli->conf, true, &cli->spool);

	if (r < 0)
		return spool_cli_explain(cli, r);
	status = cli->verb->run(cli);
	if (fflush(stdout) == EOF)
		return spool_cli_fail(cli, EX_IOERR, "standard output: %s", strerror(errno));
	return status;
}

static void cli_done(struct spool_cli *cli)
{
	spool_free(cli->spool);
	conf_free(cli->loaded);
}

int tool_spool(int argc, char **argv)
{
	_cleanup_(cli_done) struct spool_cli cli = { .to = UINT64_MAX, .limit = UINT64_MAX };
	int r;

	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; argc >= 2 && i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(argv[1], verbs[i].name))
			cli.verb = &verbs[i];
	if (!cli.verb) {
		if (argc >= 2)
			fprintf(stderr, "postbus spool: there is no verb '%s'\n", argv[1]);
		usage(stderr);
		return EXIT_WRONG_USAGE;
	}
	r = parse_options(&cli, argc - 1, argv + 1);
	if (r < 0)
		r = find_spool(&cli);
	return r < 0 ? run_verb(&cli) : r;
}
