/* SPDX-License-Identifier: Apache-2.0 */
/* ports.c - `postbus ports`: the serial ports here, and the names to configure them by. */
#include "bridge/number.h"
#include "field/port_name.h"
#include "tools/arguments.h"
#include "tools/tools.h"

#include <getopt.h>
#include <string.h>
#include <sysexits.h>

static void print_help(FILE *out)
{
	fputs("Usage: postbus ports [--json]\n"
	      "\n"
	      "Shows the serial ports of this machine: the name to configure each by, which\n"
	      "stays the same in other sockets, what it is, and whether a gateway has it.\n"
	      "\n"
	      "      --json  a JSON array\n"
	      "  -h, --help  this\n",
	      out);
}

static int by_path(const void *a, const void *b)
{
	const struct serial_info *first = a, *second = b;

	return strverscmp(first->path, second->path);
}

static void print_for_people(const struct serial_info *info, const char *name, pid_t locker)
{
	printf("%s\n", name);
	if (strcmp(name, info->path))
		printf("    port     %s\n", info->path);
	if (info->description)
		printf("    what     %s\n", info->description);
	if (info->usb)
		printf("    usb      %04x:%04x%s%s, bus %d address %d\n", (unsigned)info->vid,
		       (unsigned)info->pid, info->serial ? " serial " : "",
		       info->serial ? info->serial : "", info->bus, info->address);
	if (locker)
		printf("    in use   by process %d\n", (int)locker);
}

static void add_text(struct text *text, const char *name, const char *value)
{
	text_addf(text, ",\"%s\":", name);
	if (value)
		json_string(value, text);
	else
		text_addf(text, "null");
}

static void print_json(const struct serial_info *info, const char *name, pid_t locker)
{
	char bytes[4096];
	struct text text = {.data = bytes, .size = sizeof(bytes)};

	text_addf(&text, "{\"name\":");
	json_string(name, &text);
	add_text(&text, "port", info->path);
	add_text(&text, "description", info->description);
	if (info->usb) {
		text_addf(&text, ",\"usb\":{\"vid\":\"%04x\",\"pid\":\"%04x\",\"bus\":%d,"
			  "\"address\":%d", (unsigned)info->vid, (unsigned)info->pid, info->bus,
			  info->address);
		add_text(&text, "manufacturer", info->manufacturer);
		add_text(&text, "product", info->product);
		add_text(&text, "serial", info->serial);
		text_addf(&text, "}");
	} else {
		text_addf(&text, ",\"usb\":null");
	}
	if (locker)
		text_addf(&text, ",\"in_use_by\":%d}", (int)locker);
	else
		text_addf(&text, ",\"in_use_by\":null}");
	printf("%.*s", (int)text.length, bytes);
}

static int print_ports(struct serial_info *infos, size_t count, bool json)
{
	qsort(infos, count, sizeof(*infos), by_path);
	if (json)
		fputs("[", stdout);
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *name = port_name_stable(infos, count, i, PORT_LINKS);
		pid_t locker = port_locked_by(infos[i].path);

		if (!name)
			return EX_OSERR;
		if (json && i)
			fputs(",\n ", stdout);
		if (json)
			print_json(&infos[i], name, locker);
		else
			print_for_people(&infos[i], name, locker);
	}
	if (json)
		fputs("]\n", stdout);
	else if (!count)
		fputs("There is no serial port on this machine.\n", stderr);
	return EXIT_SUCCESS;
}

int tool_ports(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct serial_info *infos;
	bool json = false;
	size_t count;
	int option, r;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'h':
			print_help(stdout);
			return EXIT_SUCCESS;
		default:
			print_help(stderr);
			return EXIT_WRONG_USAGE;
		}
	}
	if (optind < argc) {
		print_help(stderr);
		return EXIT_WRONG_USAGE;
	}
	r = serial_list(&infos, &count);
	if (r < 0) {
		fprintf(stderr, "postbus ports: %s\n", strerror(-r));
		return EX_OSERR;
	}
	r = print_ports(infos, count, json);
	serial_list_free(infos, count);
	return r;
}
