/* SPDX-License-Identifier: Apache-2.0 */
/* fault.c - what is wrong in the user's files: collected whole, shown in order of place. */
#include "base/fault.h"

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

enum {
	KEPT_MAX = 1000,   /* nobody reads more; the rest is counted */
	TEXT_MAX = 400,    /* bytes of one fault's text */
	SUGGEST_MAX = 64,  /* longer words are not compared */
	LINE_MAX_BYTES = PATH_MAX + TEXT_MAX + 32,
};

struct fault {
	size_t file; /* index into files */
	unsigned line, column;
	char *text;
};

struct faults {
	char **files; /* in the order of their first fault */
	size_t file_count;
	struct fault *kept;
	size_t kept_count;
	size_t more; /* not kept: too many, or memory was short */
};

struct faults *faults_new(void)
{
	return calloc(1, sizeof(struct faults));
}

void faults_free(struct faults *faults)
{
	if (!faults)
		return;
	for (size_t i = 0; i < faults->kept_count; i++)
		free(faults->kept[i].text);
	for (size_t i = 0; i < faults->file_count; i++)
		free(faults->files[i]);
	free(faults->kept);
	free(faults->files);
	free(faults);
}

static ssize_t file_index(struct faults *faults, const char *file)
{
	char **files;

	for (size_t i = 0; i < faults->file_count; i++) {
		if (!strcmp(faults->files[i], file))
			return i;
	}
	files = reallocarray(faults->files, faults->file_count + 1, sizeof(*files));
	if (!files)
		return -1;
	faults->files = files;
	files[faults->file_count] = strdup(file);
	return files[faults->file_count] ? (ssize_t)faults->file_count++ : -1;
}

static int compare_place(const void *a, const void *b)
{
	const struct fault *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return strcmp(x->text, y->text);
}

static bool is_kept(const struct faults *faults, const struct fault *fault)
{
	for (size_t i = 0; i < faults->kept_count; i++) {
		if (!compare_place(&faults->kept[i], fault))
			return true;
	}
	return false;
}

static int keep(struct faults *faults, const char *file, unsigned line, unsigned column,
		const char *text)
{
	struct fault fault = {.line = line, .column = column, .text = (char *)text};
	ssize_t index = file_index(faults, file);
	struct fault *kept;

	if (index < 0)
		return -1;
	fault.file = index;
	if (is_kept(faults, &fault))
		return 0;
	if (faults->kept_count == KEPT_MAX)
		return -1;
	kept = reallocarray(faults->kept, faults->kept_count + 1, sizeof(*kept));
	if (!kept)
		return -1;
	faults->kept = kept;
	fault.text = strdup(text);
	if (!fault.text)
		return -1;
	kept[faults->kept_count++] = fault;
	return 0;
}

void faults_add(struct faults *faults, const char *file, unsigned line, unsigned column,
		const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* Quotations of a file must not steer the terminal that they are shown on. */
	for (char *c = text; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	if (keep(faults, file, line, column, text) < 0)
		faults->more++;
}

size_t faults_count(const struct faults *faults)
{
	return faults->kept_count + faults->more;
}

/* A fault of the whole file stands at its beginning, so that editors can jump there. */
static void describe(const struct faults *faults, const struct fault *fault,
		     char line[LINE_MAX_BYTES])
{
	snprintf(line, LINE_MAX_BYTES, "%s:%u:%u: %s", faults->files[fault->file],
		 fault->line ? fault->line : 1, fault->column ? fault->column : 1,
		 fault->text);
}

void faults_each(const struct faults *faults, void (*visit)(void *data, const char *line),
		 void *data)
{
	char line[LINE_MAX_BYTES];
	_cleanup_free_ struct fault *sorted = NULL;
	const struct fault *shown = faults->kept;

	if (faults->kept_count) {
		sorted = reallocarray(NULL, faults->kept_count, sizeof(*sorted));
		if (sorted) {
			memcpy(sorted, faults->kept, faults->kept_count * sizeof(*sorted));
			qsort(sorted, faults->kept_count, sizeof(*sorted), compare_place);
			shown = sorted;
		}
	}
	for (size_t i = 0; i < faults->kept_count; i++) {
		describe(faults, &shown[i], line);
		visit(data, line);
	}
	if (faults->more) {
		snprintf(line, sizeof(line), "and %zu more faults", faults->more);
		visit(data, line);
	}
}

static void print_line(void *data, const char *line)
{
	fprintf(data, "%s\n", line);
}

void faults_print(const struct faults *faults, FILE *out)
{
	faults_each(faults, print_line, out);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`. */
static unsigned edits(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned rows[3][SUGGEST_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_length; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		unsigned *spare = before;

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			row[j] = min3(last[j] + 1, row[j - 1] + 1,
				      last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[b_length];
}

const char *fault_suggest(const char *word, const char *const *candidates)
{
	size_t length = strnlen(word, SUGGEST_MAX + 1);
	unsigned best = length <= 2 ? 0 : length <= 4 ? 1 : 2;
	const char *found = NULL;

	if (length > SUGGEST_MAX)
		return NULL;
	for (; *candidates; candidates++) {
		size_t n = strnlen(*candidates, SUGGEST_MAX + 1);
		unsigned distance;

		if (n > SUGGEST_MAX || n > length + 2 || length > n + 2)
			continue;
		distance = edits(word, length, *candidates, n);
		/* The first of equals: later ones must be strictly better. */
		if (distance < best + !found) {
			best = distance;
			found = *candidates;
		}
	}
	return found;
}
