// SPDX-License-Identifier: Apache-2.0
/* maps.c - `postbus maps`: the library of device maps, and what one of them offers. */
#include "base/units.h"
#include "bridge/number.h"
#include "config/config.h"
#include "field/driver.h"
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sysexits.h>

enum {
	EXIT_NOT_SO = 1,
	EXIT_WRONG_USAGE = 2,
	COLUMNS = 6,
	CELL_MAX = 200,
};

enum style {
	STYLE_COLUMNS,
	STYLE_JSON,
	STYLE_MARKDOWN,
};

struct maps {
	struct conf *conf;
	const char *directory; /* NULL: where the configuration, or the installation, has them */
	enum style style;
	struct map_library *library;
	struct faults *faults;
};

static void print_help(FILE *out)
{
	fputs("Usage: postbus maps [--json | --markdown] [OPTION]...\n"
	      "       postbus maps show MAP [OPTION]...\n"
	      "\n"
	      "Lists the device maps that there are; or what one of them offers, point by point.\n"
	      "\n"
	      "  -c, --config FILE  look where this configuration's `maps` says, in place of\n"
	      "                     " SYSCONFDIR "/postbus/devices and\n"
	      "                     " MAPDIR "\n"
	      "      --maps DIR     look here alone\n"
	      "      --json         the list as JSON\n"
	      "      --markdown     the list as a table in Markdown\n"
	      "  -h, --help         this\n"
	      "\n"
	      "Exit status: 0 done, 1 there is no such map or one has faults, 2 wrong usage.\n",
	      out);
}

/* --- text --- */

/* Characters of UTF-8, each taken to be one wide. */
static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xC0) != 0x80;
	return width;
}

static void print_padded(const char *text, int width)
{
	int blanks = width - width_of(text);

	printf("%s%*s", text, blanks > 0 ? blanks : 0, "");
}

static void print_json(const char *text)
{
	_cleanup_free_ char *buffer = malloc(6 * strlen(text) + 3);
	struct text json = {.data = buffer, .size = buffer ? 6 * strlen(text) + 3 : 0};

	json_string(text, &json);
	printf("%.*s", (int)json.length, buffer ? buffer : "");
}

static const char *or_nothing(const char *text)
{
	return text ? text : "";
}

static void print_settings(const struct device_map *map, const char *between)
{
	for (size_t i = 0; i < map->baud_count; i++)
		printf("%s%u", i ? between : "", map->bauds[i]);
	for (size_t i = 0; i < map->format_count; i++)
		printf("%s%u%c%u", i ? between : map->baud_count ? " " : "",
		       map->formats[i].data_bits, map->formats[i].parity,
		       map->formats[i].stop_bits);
}

/* --- the list --- */

static void print_line(const struct device_map *map, enum style style, bool first)
{
	switch (style) {
	case STYLE_COLUMNS:
		print_padded(map->name, 30);
		printf(" %-12s %6zu  %s\n", map->driver, map->point_count,
		       or_nothing(map->title));
		break;
	case STYLE_JSON:
		printf("%s\n{\"map\":\"%s\",\"title\":", first ? "" : ",", map->name);
		print_json(or_nothing(map->title));
		printf(",\"driver\":\"%s\",\"points\":%zu,\"file\":", map->driver,
		       map->point_count);
		print_json(map->file);
		putchar('}');
		break;
	case STYLE_MARKDOWN:
		printf("| [%s](%s.yaml) | %s | %s | %zu | ", map->name, map->name,
		       or_nothing(map->title), map->driver, map->point_count);
		print_settings(map, ", ");
		printf(" |\n");
		break;
	}
}

static void print_head(enum style style)
{
	if (style == STYLE_COLUMNS)
		printf("%-30s %-12s %6s  %s\n", "MAP", "DRIVER", "POINTS", "TITLE");
	else if (style == STYLE_JSON)
		putchar('[');
	else
		puts("| map | device | driver | points | baud rates and formats |\n"
		     "| --- | --- | --- | ---: | --- |");
}

/* A map with faults is left out of the list, and its faults are told. */
static int print_list(struct maps *maps)
{
	_cleanup_(map_names_freep) char **names = map_library_names(maps->library);
	bool first = true;
	int status = 0;

	if (!names)
		return EX_OSERR;
	print_head(maps->style);
	for (char **name = names; *name; name++) {
		_cleanup_free_ char *suggestion = NULL;
		const struct device_map *map;

		if (map_library_get(maps->library, *name, &map, &suggestion, maps->faults) < 0) {
			status = EXIT_NOT_SO;
			continue;
		}
		print_line(map, maps->style, first);
		first = false;
	}
	if (maps->style == STYLE_JSON)
		puts("\n]");
	return status;
}

/* --- one map --- */

static void describe_text(const struct locator *locator, char cell[CELL_MAX])
{
	const char *of = locator->sentence ? " of " : "";

	switch (locator->how) {
	case LOCATE_MATCH:
		snprintf(cell, CELL_MAX, "match%s%s", of, or_nothing(locator->sentence));
		break;
	case LOCATE_FIELD:
		snprintf(cell, CELL_MAX, "field %u%s%s", locator->field, of,
			 or_nothing(locator->sentence));
		break;
	case LOCATE_KEY:
		snprintf(cell, CELL_MAX, "key %s", locator->key);
		break;
	case LOCATE_JSON:
		snprintf(cell, CELL_MAX, "json %s", locator->key);
		break;
	case LOCATE_NOWHERE:
		snprintf(cell, CELL_MAX, "only written");
		break;
	}
}

static void describe_place(const struct device_map *map, const struct point *point,
			   char cell[CELL_MAX])
{
	switch (map->kind) {
	case DRIVER_MODBUS:
		snprintf(cell, CELL_MAX, "%s 0x%04X", table_names[point->table], point->addr);
		break;
	case DRIVER_TEXT:
		describe_text(point->locator, cell);
		return;
	case DRIVER_FRAME:
		if (point_is_read(point))
			snprintf(cell, CELL_MAX, "byte %u", point->locator->at);
		else
			snprintf(cell, CELL_MAX, "only written");
		break;
	case DRIVER_OBIS:
	case DRIVER_VEDIRECT:
		snprintf(cell, CELL_MAX, "%s", point->locator->key);
		return;
	}
	if (point->bit_count) {
		size_t used = strlen(cell);

		snprintf(cell + used, CELL_MAX - used, " bits %u..%u", point->bit_low,
			 point->bit_low + point->bit_count - 1);
	}
}

static void describe(const struct device_map *map, const struct point *point,
		     char cells[COLUMNS][CELL_MAX])
{
	char type[POINT_TYPE_NAME_MAX], every[32];

	snprintf(cells[0], CELL_MAX, "%s", point->name);
	describe_place(map, point, cells[1]);
	snprintf(cells[2], CELL_MAX, "%s%s%s", point_type_name(point, type),
		 point->value_count ? ", named" : "", point->writable ? ", writable" : "");
	snprintf(cells[3], CELL_MAX, "%s", or_nothing(point->unit));
	snprintf(cells[4], CELL_MAX, "%s%s", or_nothing(point->class),
		 point->total ? " (total)" : "");
	snprintf(cells[5], CELL_MAX, "%s",
		 format_duration(point->every_us, every, sizeof(every)));
}

static void print_points(const struct device_map *map)
{
	static const char *const heads[COLUMNS] = {"POINT", "WHERE", "TYPE",
						   "UNIT",  "CLASS", "EVERY"};
	char cells[COLUMNS][CELL_MAX];
	int widths[COLUMNS];

	for (size_t c = 0; c < COLUMNS; c++)
		widths[c] = width_of(heads[c]);
	for (size_t i = 0; i < map->point_count; i++) {
		describe(map, &map->points[i], cells);
		for (size_t c = 0; c < COLUMNS; c++)
			if (width_of(cells[c]) > widths[c])
				widths[c] = width_of(cells[c]);
	}
	for (size_t c = 0; c < COLUMNS; c++)
		print_padded(heads[c], c + 1 < COLUMNS ? widths[c] + 2 : 0);
	putchar('\n');
	for (size_t i = 0; i < map->point_count; i++) {
		describe(map, &map->points[i], cells);
		for (size_t c = 0; c < COLUMNS; c++)
			print_padded(cells[c], c + 1 < COLUMNS ? widths[c] + 2 : 0);
		putchar('\n');
	}
}

static int print_map(struct maps *maps, const char *name)
{
	_cleanup_free_ char *meant = NULL;
	const struct device_map *map;
	int r = map_library_get(maps->library, name, &map, &meant, maps->faults);

	if (r == -ENOENT)
		fprintf(stderr, "postbus maps: there is no map '%s'%s%s%s\n", name,
			meant ? ": did you mean '" : "", meant ? meant : "",
			meant ? "'?" : "");
	if (r < 0)
		return EXIT_NOT_SO;
	printf("map:     %s\n", map->name);
	printf("device:  %s\n", or_nothing(map->title));
	printf("source:  %s\n", or_nothing(map->source));
	printf("file:    %s\n", map->file);
	printf("driver:  %s\n", map->driver);
	printf("serial:  ");
	print_settings(map, ", ");
	if (map->address)
		printf(", address %u", map->address);
	puts("\n");
	print_points(map);
	return 0;
}

/* --- the verb --- */

static int open_library(struct maps *maps, const char *config)
{
	const char *installed[] = {SYSCONFDIR "/postbus/devices", MAPDIR};
	const char *const *directories = installed;
	size_t count = ARRAY_SIZE(installed);
	int r = 0;

	if (maps->directory) {
		directories = &maps->directory;
		count = 1;
	} else if (config) {
		r = conf_load(config, &maps->conf, maps->faults);
		if (r < 0)
			return EXIT_NOT_SO;
		directories = (const char *const *)maps->conf->maps;
		count = maps->conf->map_count;
	}
	maps->library = map_library_new(directories, count, driver_names());
	return maps->library ? 0 : EX_OSERR;
}

static int run(struct maps *maps, const char *config, const char *show)
{
	int status;

	maps->faults = faults_new();
	if (!maps->faults)
		return EX_OSERR;
	status = open_library(maps, config);
	if (!status)
		status = show ? print_map(maps, show) : print_list(maps);
	fflush(stdout);
	faults_print(maps->faults, stderr);
	map_library_free(maps->library);
	conf_free(maps->conf);
	faults_free(maps->faults);
	return status;
}

static int wrong_usage(void)
{
	print_help(stderr);
	return EXIT_WRONG_USAGE;
}

int tool_maps(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"maps", required_argument, NULL, 'm'},
		{"json", no_argument, NULL, 'j'},
		{"markdown", no_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct maps maps = {.style = STYLE_COLUMNS};
	const char *config = NULL;
	int c;

	optind = 0; /* begin anew: the verb stands where the program's name does */
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) >= 0) {
		switch (c) {
		case 'c':
			config = optarg;
			break;
		case 'm':
			maps.directory = optarg;
			break;
		case 'j':
			maps.style = STYLE_JSON;
			break;
		case 'd':
			maps.style = STYLE_MARKDOWN;
			break;
		case 'h':
			print_help(stdout);
			return 0;
		default:
			return wrong_usage();
		}
	}
	if (optind == argc)
		return run(&maps, config, NULL);
	if (strcmp(argv[optind], "show") || optind + 2 != argc || maps.style != STYLE_COLUMNS)
		return wrong_usage();
	return run(&maps, config, argv[optind + 1]);
}
