/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.c - a gateway's figures as the text that Prometheus reads; pure. */
#include "metrics/exposition.h"
#include "base/units.h"

#include <math.h>

enum type {
	TYPE_OF_GAUGE,
	TYPE_OF_COUNTER,
	TYPE_OF_SUMMARY,
	TYPE_OF_INFO,
};

/* A family of metrics, of which each sample has other labels. */
struct family {
	const char *name;
	enum type type;
	const char *unit; /* NULL: none; otherwise the name ends with it */
	const char *help;
};

/* Where a text is written, and in which form. */
struct page {
	FILE *out;
	enum exposition form;
};

/* --- the form --- */

/* Prometheus' own format has the samples' names everywhere. */
static void write_head(const struct page *page, const struct family *family)
{
	static const char *const types[] = {
		[TYPE_OF_GAUGE] = "gauge", [TYPE_OF_COUNTER] = "counter",
		[TYPE_OF_SUMMARY] = "summary", [TYPE_OF_INFO] = "info",
	};
	bool open = page->form == EXPOSITION_OPENMETRICS;
	const char *type = types[family->type], *suffix = "";

	if (!open && family->type == TYPE_OF_COUNTER)
		suffix = "_total";
	if (!open && family->type == TYPE_OF_INFO) {
		suffix = "_info";
		type = "gauge";
	}
	fprintf(page->out, "# HELP %s%s %s\n", family->name, suffix, family->help);
	fprintf(page->out, "# TYPE %s%s %s\n", family->name, suffix, type);
	if (open && family->unit)
		fprintf(page->out, "# UNIT %s %s\n", family->name, family->unit);
}

struct label {
	const char *name, *value;
};

static void write_label(FILE *out, const struct label *label)
{
	fprintf(out, "%s=\"", label->name);
	for (const char *c = label->value; *c; c++) {
		if (*c == '\n')
			fputs("\\n", out);
		else
			fprintf(out, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
	}
	fputc('"', out);
}

/* A sample with up to three labels, which end with a name that is NULL. */
static void write_sample(const struct page *page, const struct family *family,
			 const char *suffix, const struct label labels[3], double value)
{
	if (family->type == TYPE_OF_COUNTER)
		suffix = "_total";
	fprintf(page->out, "%s%s", family->name, suffix);
	for (size_t i = 0; i < 3 && labels[i].name; i++) {
		fputc(i ? ',' : '{', page->out);
		write_label(page->out, &labels[i]);
	}
	fprintf(page->out, value == floor(value) ? "%s %.0f\n" : "%s %.15g\n",
		labels[0].name ? "}" : "", value);
}

static const struct label no_labels[3];

/* --- the gateway --- */

static double seconds(uint64_t usec)
{
	return (double)usec / USEC_PER_SEC;
}

/* When that was, on the wall clock, in whole milliseconds. */
static double time_before(const struct figures *figures, uint64_t usec)
{
	return (double)(figures->now_ms - (int64_t)(usec / USEC_PER_MSEC)) / 1e3;
}

/* What a family's sample is, of the gateway; below, of a bus and of a device. */
#define OF_GATEWAY(name, value) \
	static double name(const struct figures *of) { return value; }

OF_GATEWAY(start_time, time_before(of, of->uptime_us))
OF_GATEWAY(clock_synced, of->clock_synced)
OF_GATEWAY(connected, of->uplink.session.connected)
OF_GATEWAY(links, of->uplink.session.links)
OF_GATEWAY(link_change_time, time_before(of, of->link_us))
OF_GATEWAY(attempts, of->uplink.session.attempts)
OF_GATEWAY(in_flight, of->uplink.spool.in_flight)
OF_GATEWAY(window, of->uplink.session.window)
OF_GATEWAY(waiting, of->uplink.sums.waiting)
OF_GATEWAY(taken, of->uplink.sums.taken)
OF_GATEWAY(acknowledged, of->uplink.sums.acked)
OF_GATEWAY(refused, of->uplink.sums.refused)
OF_GATEWAY(set_aside, of->uplink.spool.kept)
OF_GATEWAY(used_bytes, of->uplink.spool.used_bytes)
OF_GATEWAY(disk_bytes, of->uplink.spool.disk_bytes)
OF_GATEWAY(limit_bytes, of->spool_max_bytes)
OF_GATEWAY(failing, of->uplink.spool.failing)
OF_GATEWAY(commands_received, of->uplink.commands.received)
OF_GATEWAY(commands_repeated, of->uplink.commands.repeated)
OF_GATEWAY(commands_done, of->uplink.commands.done)
OF_GATEWAY(commands_failed, of->uplink.commands.failed)
OF_GATEWAY(commands_uncertain, of->uplink.commands.uncertain)
OF_GATEWAY(commands_waiting, of->uplink.commands.waiting)

static const struct {
	struct family family;
	double (*value)(const struct figures *figures);
} of_gateway[] = {
	{ { "postbus_start_time_seconds", TYPE_OF_GAUGE, "seconds",
	    "When the gateway was started, in Unix time." }, start_time },
	{ { "postbus_clock_synced", TYPE_OF_GAUGE, NULL,
	    "Whether the machine's clock is known to be right." }, clock_synced },
	{ { "postbus_session_connected", TYPE_OF_GAUGE, NULL,
	    "Whether there is a link to the broker." }, connected },
	{ { "postbus_session_links", TYPE_OF_COUNTER, NULL,
	    "Links to the broker that came up." }, links },
	{ { "postbus_session_change_time_seconds", TYPE_OF_GAUGE, "seconds",
	    "When the link came up or was lost, in Unix time." }, link_change_time },
	{ { "postbus_session_failed_attempts", TYPE_OF_GAUGE, NULL,
	    "Attempts to connect without success, in a row." }, attempts },
	{ { "postbus_session_messages_in_flight", TYPE_OF_GAUGE, NULL,
	    "Messages that were sent and are not acknowledged." }, in_flight },
	{ { "postbus_session_window_messages", TYPE_OF_GAUGE, NULL,
	    "Most messages that may be in flight." }, window },
	{ { "postbus_spool_messages_waiting", TYPE_OF_GAUGE, NULL,
	    "Messages that the broker does not have yet." }, waiting },
	{ { "postbus_spool_messages_taken", TYPE_OF_COUNTER, NULL,
	    "Messages that were taken in, over the spool's life." }, taken },
	{ { "postbus_spool_messages_acknowledged", TYPE_OF_COUNTER, NULL,
	    "Messages that the broker acknowledged." }, acknowledged },
	{ { "postbus_spool_messages_refused", TYPE_OF_COUNTER, NULL,
	    "Messages that the broker refused for good." }, refused },
	{ { "postbus_spool_messages_set_aside", TYPE_OF_GAUGE, NULL,
	    "Refused messages that are kept." }, set_aside },
	{ { "postbus_spool_used_bytes", TYPE_OF_GAUGE, "bytes",
	    "Size of the segments that are in use." }, used_bytes },
	{ { "postbus_spool_disk_bytes", TYPE_OF_GAUGE, "bytes",
	    "Size of all segments on the disk." }, disk_bytes },
	{ { "postbus_spool_limit_bytes", TYPE_OF_GAUGE, "bytes",
	    "Size that the spool may have." }, limit_bytes },
	{ { "postbus_spool_failing", TYPE_OF_GAUGE, NULL,
	    "Whether the disk does not take what is written." }, failing },
	{ { "postbus_commands_received", TYPE_OF_COUNTER, NULL, "Commands that came in." },
	  commands_received },
	{ { "postbus_commands_repeated", TYPE_OF_COUNTER, NULL,
	    "Commands that had come before, and were not carried out again." },
	  commands_repeated },
	{ { "postbus_commands_done", TYPE_OF_COUNTER, NULL, "Commands that were carried out." },
	  commands_done },
	{ { "postbus_commands_failed", TYPE_OF_COUNTER, NULL,
	    "Commands that were not carried out." }, commands_failed },
	{ { "postbus_commands_uncertain", TYPE_OF_COUNTER, NULL,
	    "Commands of which it is not known." }, commands_uncertain },
	{ { "postbus_commands_waiting", TYPE_OF_GAUGE, NULL, "Commands that have no end yet." },
	  commands_waiting },
};

static void write_gateway(const struct page *page, const struct figures *figures)
{
	static const struct family info = { "postbus", TYPE_OF_INFO, NULL,
					    "The gateway's name and its version." };
	const struct label labels[3] = { { "gateway", figures->gateway },
					 { "version", PACKAGE_VERSION } };

	write_head(page, &info);
	write_sample(page, &info, "_info", labels, 1);
	for (size_t i = 0; i < ARRAY_SIZE(of_gateway); i++) {
		write_head(page, &of_gateway[i].family);
		write_sample(page, &of_gateway[i].family, "", no_labels,
			     of_gateway[i].value(figures));
	}
}

static void write_dropped(const struct page *page, const struct figures *figures)
{
	static const struct family family = {
		"postbus_spool_messages_dropped", TYPE_OF_COUNTER, NULL,
		"Messages that had to be given up, by why.",
	};

	write_head(page, &family);
	for (enum loss_why i = 0; i < LOSS_WHY_COUNT; i++) {
		const struct label labels[3] = { { "why", loss_why_words(i) } };

		write_sample(page, &family, "", labels, figures->uplink.sums.given_up[i]);
	}
}

static void write_refused_commands(const struct page *page, const struct figures *figures)
{
	static const struct family family = { "postbus_commands_refused", TYPE_OF_COUNTER, NULL,
					      "Commands that were refused, by why." };

	write_head(page, &family);
	for (enum command_refusal i = 0; i < COMMAND_REFUSALS; i++) {
		const struct label labels[3] = { { "why", command_refusal_name(i) } };

		write_sample(page, &family, "", labels, figures->uplink.commands.refused[i]);
	}
}

/* --- buses --- */

#define OF_BUS(name, value) \
	static double name(const struct bus_stats *of) { return value; }

OF_BUS(bus_open, of->open)
OF_BUS(bus_load, of->load)
OF_BUS(bus_stretch, of->stretch)
OF_BUS(bus_lost, of->lost)
OF_BUS(bus_device_count, of->devices)
OF_BUS(bus_offline, of->offline)
OF_BUS(bus_requests, of->counters.requests)
OF_BUS(bus_answers, of->counters.answers)
OF_BUS(bus_timeouts, of->counters.timeouts)

static const struct {
	struct family family;
	double (*value)(const struct bus_stats *stats);
} of_bus[] = {
	{ { "postbus_bus_open", TYPE_OF_GAUGE, NULL, "Whether the bus's port is open." },
	  bus_open },
	{ { "postbus_bus_load_ratio", TYPE_OF_GAUGE, "ratio",
	    "Share of the last seconds in which the wire was busy." }, bus_load },
	{ { "postbus_bus_stretch_ratio", TYPE_OF_GAUGE, "ratio",
	    "How many times less often than configured all is read; 1 is on time." },
	  bus_stretch },
	{ { "postbus_bus_port_losses", TYPE_OF_COUNTER, NULL, "Times that the port was lost." },
	  bus_lost },
	{ { "postbus_bus_devices", TYPE_OF_GAUGE, NULL, "Devices on the bus." },
	  bus_device_count },
	{ { "postbus_bus_devices_offline", TYPE_OF_GAUGE, NULL,
	    "Devices on the bus that do not answer." }, bus_offline },
	{ { "postbus_bus_requests", TYPE_OF_COUNTER, NULL,
	    "Requests that were sent, repetitions among them." }, bus_requests },
	{ { "postbus_bus_answers", TYPE_OF_COUNTER, NULL, "Answers that were right." },
	  bus_answers },
	{ { "postbus_bus_timeouts", TYPE_OF_COUNTER, NULL,
	    "Requests that nothing came back for." }, bus_timeouts },
};

static void write_errors(const struct page *page, const struct family *family,
			 const char *bus, const char *device, const struct counters *counters)
{
	for (enum reply_status i = REPLY_OK + 1; i < REPLY_STATUS_COUNT; i++) {
		const struct label kind = { "kind", reply_status_name(i) };
		const struct label labels[3] = {
			{ "bus", bus },
			device ? (struct label){ "device", device } : kind,
			device ? kind : (struct label){ NULL, NULL },
		};

		write_sample(page, family, "", labels, counters->refused[i]);
	}
}

static void write_bus_errors(const struct page *page, const struct figures *figures)
{
	static const struct family family = { "postbus_bus_errors", TYPE_OF_COUNTER, NULL,
					      "Answers that were refused, by what was wrong." };

	write_head(page, &family);
	for (size_t i = 0; i < figures->bus_count; i++)
		write_errors(page, &family, figures->buses[i].stats.name, NULL,
			     &figures->buses[i].stats.counters);
}

static void write_line_errors(const struct page *page, const struct figures *figures)
{
	static const struct family family = { "postbus_bus_line_errors", TYPE_OF_COUNTER, NULL,
					      "Errors that the port's driver counted." };

	write_head(page, &family);
	for (size_t i = 0; i < figures->bus_count; i++) {
		const struct bus_stats *stats = &figures->buses[i].stats;
		const struct {
			const char *kind;
			uint64_t count;
		} kinds[] = {
			{ "framing", stats->line.framing },
			{ "parity", stats->line.parity },
			{ "overrun", stats->line.overrun },
			{ "break", stats->line.breaks },
		};

		for (size_t j = 0; j < ARRAY_SIZE(kinds); j++) {
			const struct label labels[3] = { { "bus", stats->name },
							 { "kind", kinds[j].kind } };

			write_sample(page, &family, "", labels, kinds[j].count);
		}
	}
}

static void write_latency(const struct page *page, const struct figures *figures)
{
	static const struct family family = {
		"postbus_bus_answer_latency_seconds", TYPE_OF_SUMMARY, "seconds",
		"Time from the end of a request to the begin of its answer.",
	};
	static const struct {
		const char *name;
		double q;
	} quantiles[] = { { "0.5", 0.5 }, { "0.9", 0.9 }, { "0.99", 0.99 } };

	write_head(page, &family);
	for (size_t i = 0; i < figures->bus_count; i++) {
		const struct bus_stats *stats = &figures->buses[i].stats;
		const struct latency *latency = &stats->counters.latency;
		const struct label bus[3] = { { "bus", stats->name } };
		uint64_t count = 0;

		for (size_t j = 0; j < ARRAY_SIZE(quantiles); j++) {
			const struct label labels[3] = { { "bus", stats->name },
							 { "quantile", quantiles[j].name } };

			write_sample(page, &family, "", labels,
				     seconds(latency_quantile(latency, quantiles[j].q)));
		}
		for (size_t j = 0; j < LATENCY_BUCKETS; j++)
			count += latency->counts[j];
		write_sample(page, &family, "_count", bus, count);
	}
}

static void write_buses(const struct page *page, const struct figures *figures)
{
	for (size_t i = 0; i < ARRAY_SIZE(of_bus); i++) {
		write_head(page, &of_bus[i].family);
		for (size_t j = 0; j < figures->bus_count; j++) {
			const struct bus_stats *stats = &figures->buses[j].stats;
			const struct label labels[3] = { { "bus", stats->name } };

			write_sample(page, &of_bus[i].family, "", labels,
				     of_bus[i].value(stats));
		}
	}
	write_bus_errors(page, figures);
	write_line_errors(page, figures);
	write_latency(page, figures);
}

/* --- devices --- */

#define OF_DEVICE(name, value) \
	static double name(const struct figures_device *of) { return value; }

OF_DEVICE(device_online, of->online)
OF_DEVICE(device_requests, of->counters.requests)
OF_DEVICE(device_answers, of->counters.answers)
OF_DEVICE(device_timeouts, of->counters.timeouts)

static const struct {
	struct family family;
	double (*value)(const struct figures_device *device);
} of_device[] = {
	{ { "postbus_device_online", TYPE_OF_GAUGE, NULL, "Whether the device answers." },
	  device_online },
	{ { "postbus_device_requests", TYPE_OF_COUNTER, NULL,
	    "Requests that were sent to the device, repetitions among them." },
	  device_requests },
	{ { "postbus_device_answers", TYPE_OF_COUNTER, NULL,
	    "Answers of the device that were right." }, device_answers },
	{ { "postbus_device_timeouts", TYPE_OF_COUNTER, NULL,
	    "Requests to the device that nothing came back for." }, device_timeouts },
};

/* There is none of a device that never answered. */
static void write_answer_times(const struct page *page, const struct figures *figures)
{
	static const struct family family = { "postbus_device_last_answer_time_seconds",
					      TYPE_OF_GAUGE, "seconds",
					      "When the device answered last, in Unix time." };

	write_head(page, &family);
	for (size_t i = 0; i < figures->device_count; i++) {
		const struct figures_device *device = &figures->devices[i];
		const struct label labels[3] = { { "bus", device->bus },
						 { "device", device->name } };

		if (device->counters.answers)
			write_sample(page, &family, "", labels,
				     time_before(figures, device->silent_us));
	}
}

static void write_devices(const struct page *page, const struct figures *figures)
{
	static const struct family errors = {
		"postbus_device_errors", TYPE_OF_COUNTER, NULL,
		"Answers of the device that were refused, by what was wrong.",
	};

	for (size_t i = 0; i < ARRAY_SIZE(of_device); i++) {
		write_head(page, &of_device[i].family);
		for (size_t j = 0; j < figures->device_count; j++) {
			const struct figures_device *device = &figures->devices[j];
			const struct label labels[3] = { { "bus", device->bus },
							 { "device", device->name } };

			write_sample(page, &of_device[i].family, "", labels,
				     of_device[i].value(device));
		}
	}
	write_head(page, &errors);
	for (size_t i = 0; i < figures->device_count; i++)
		write_errors(page, &errors, figures->devices[i].bus, figures->devices[i].name,
			     &figures->devices[i].counters);
	write_answer_times(page, figures);
}

/* --- the whole --- */

const char *exposition_media_type(enum exposition exposition)
{
	return exposition == EXPOSITION_OPENMETRICS ?
		       "application/openmetrics-text; version=1.0.0; charset=utf-8" :
		       "text/plain; version=0.0.4; charset=utf-8";
}

void exposition_write(const struct figures *figures, enum exposition exposition, FILE *out)
{
	const struct page page = { .out = out, .form = exposition };

	write_gateway(&page, figures);
	write_dropped(&page, figures);
	write_refused_commands(&page, figures);
	write_buses(&page, figures);
	write_devices(&page, figures);
	if (exposition == EXPOSITION_OPENMETRICS)
		fputs("# EOF\n", out);
}
