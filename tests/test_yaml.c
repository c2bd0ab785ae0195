// SPDX-License-Identifier: Apache-2.0
/* test_yaml.c - the tree and its places, and files that mean harm. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/yaml.h"

#include <errno.h>
#include <string.h>

struct parsed {
	struct yaml_document *document;
	char *faults; /* as printed */
	int result;
};

static struct parsed parse(const char *text, size_t size)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	struct parsed parsed = {0};
	size_t length;
	FILE *out = open_memstream(&parsed.faults, &length);

	parsed.result = yaml_parse("t.yaml", text, size, &parsed.document, faults);
	faults_print(faults, out);
	fclose(out);
	return parsed;
}

static void done(struct parsed *parsed)
{
	yaml_document_free(parsed->document);
	free(parsed->faults);
}

static void check_fault(const char *text, const char *expected)
{
	struct parsed parsed = parse(text, strlen(text));

	assert_int_equal(parsed.result, -EINVAL);
	assert_string_equal(parsed.faults, expected);
	done(&parsed);
}

static void check_node(const struct yaml_node *node, enum yaml_kind kind, unsigned line,
		       unsigned column, const char *text)
{
	assert_non_null(node);
	assert_int_equal(node->kind, kind);
	assert_int_equal(node->line, line);
	assert_int_equal(node->column, column);
	if (text)
		assert_string_equal(node->text, text);
}

static void test_places(_unused_ void **state)
{
	static const char text[] = "# a map\n"
				   "map: x\n"
				   "points:\n"
				   "  voltage: {addr: 0x10, unit: \"V\"}\n"
				   "list:\n"
				   "  - one\n"
				   "  - [2, 'three']\n"
				   "none:\n";
	struct parsed parsed = parse(text, strlen(text));
	const struct yaml_node *node;

	assert_int_equal(parsed.result, 0);
	check_node(parsed.document->root, YAML_MAP, 2, 1, NULL);
	assert_int_equal(parsed.document->root->count, 4);
	check_node(yaml_get(parsed.document->root, "map"), YAML_SCALAR, 2, 6, "x");
	node = yaml_get(yaml_get(parsed.document->root, "points"), "voltage");
	check_node(node, YAML_MAP, 4, 12, NULL);
	check_node(node->keys[1], YAML_SCALAR, 4, 25, "unit");
	assert_false(yaml_get(node, "addr")->quoted);
	assert_true(yaml_get(node, "unit")->quoted);
	node = yaml_get(parsed.document->root, "list");
	check_node(node->items[0], YAML_SCALAR, 6, 5, "one");
	check_node(node->items[1], YAML_LIST, 7, 5, NULL);
	check_node(node->items[1]->items[1], YAML_SCALAR, 7, 9, "three");
	check_node(yaml_get(parsed.document->root, "none"), YAML_SCALAR, 8, 6, "");
	assert_null(yaml_get(parsed.document->root, "nothing"));
	done(&parsed);
}

static void test_anchors_and_merges(_unused_ void **state)
{
	static const char text[] = "base: &base {a: 1, b: 2}\n"
				   "other: &other {b: 3, c: 4}\n"
				   "one: {<<: *base, a: 5}\n"
				   "both: {<<: [*base, *other], d: 6}\n"
				   "here: {<<: {x: 7}}\n"
				   "same: *base\n"
				   "plain: {\"<<\": 1}\n";
	struct parsed parsed = parse(text, strlen(text));
	const struct yaml_node *root, *node;

	assert_string_equal(parsed.faults, "");
	root = parsed.document->root;
	node = yaml_get(root, "one");
	assert_int_equal(node->count, 2);
	assert_string_equal(yaml_get(node, "a")->text, "5");
	assert_string_equal(yaml_get(node, "b")->text, "2");
	node = yaml_get(root, "both");
	assert_int_equal(node->count, 4);
	assert_string_equal(yaml_get(node, "b")->text, "2");
	assert_string_equal(yaml_get(node, "c")->text, "4");
	assert_string_equal(yaml_get(yaml_get(root, "here"), "x")->text, "7");
	assert_ptr_equal(yaml_get(root, "same"), yaml_get(root, "base"));
	assert_string_equal(yaml_get(yaml_get(root, "plain"), "<<")->text, "1");
	done(&parsed);
}

static void test_faults(_unused_ void **state)
{
	check_fault("", "t.yaml:1:1: the file is empty\n");
	check_fault("# nothing\n", "t.yaml:1:1: the file is empty\n");
	check_fault("- a\n- b\n", "t.yaml:1:1: expected `key: value` lines\n");
	check_fault("a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document: one a file\n");
	check_fault("? [a, b]\n: 1\n",
		    "t.yaml:1:3: a key must be a word, not a list or a map\n");
	check_fault("a: *b\n", "t.yaml:1:4: *b: no &b stands before it\n");
	check_fault("a: !!binary aGVsbG8=\n",
		    "t.yaml:1:4: tags are not used here, leave it out\n");
	check_fault("a: \"x\\0y\"\n", "t.yaml:1:4: a text with a zero byte in it\n");
	check_fault("a: 1\nb: {<<: 5}\n",
		    "t.yaml:2:9: << takes a map, or a list of maps, such as *defaults\n");
	check_fault("a: &a [{b: 1}]\nc: {<<: [*a]}\n",
		    "t.yaml:2:9: << takes a map, or a list of maps, such as *defaults\n");
	check_fault("a: [1, 2\nb: 3\n", "t.yaml:2:2: not YAML: while parsing a flow sequence, "
					"did not find expected ',' or ']'\n");
	check_fault("a: 1\nunit: \xb0" "C\n",
		    "t.yaml:2:7: not UTF-8: the file is to be saved in that encoding\n");
	check_fault("a: 1\nunit: \a\n",
		    "t.yaml:2:7: a control character, which YAML does not allow\n");
}

static void test_tab(_unused_ void **state)
{
	static const char text[] = "a:\n\tb: 1\n";
	struct parsed parsed = parse(text, strlen(text));

	assert_int_equal(parsed.result, -EINVAL);
	assert_int_equal(strncmp(parsed.faults, "t.yaml:2:1: ", 12), 0);
	assert_non_null(strstr(parsed.faults, "blanks, not tabs"));
	done(&parsed);
}

/* Repeated keys are told all, and leave a tree in which the rest can be checked. */
static void test_repeated(_unused_ void **state)
{
	static const char text[] = "a: 1\nb: {x: 1, x: 2}\na: 3\n";
	struct parsed parsed = parse(text, strlen(text));

	assert_int_equal(parsed.result, -EINVAL);
	assert_string_equal(parsed.faults, "t.yaml:2:11: 'x' stands twice, first in line 2\n"
					   "t.yaml:3:1: 'a' stands twice, first in line 1\n");
	assert_non_null(parsed.document);
	assert_string_equal(yaml_get(parsed.document->root, "a")->text, "1");
	done(&parsed);
}

static void test_circle(_unused_ void **state)
{
	check_fault("a: &a [*a]\n",
		    "t.yaml:1:8: an alias to what it stands in: a circle\n");
	check_fault("a: &a {b: {<<: *a}}\n",
		    "t.yaml:1:16: an alias to what it stands in: a circle\n");
}

static void test_depth(_unused_ void **state)
{
	char text[2 * 65 + 8] = "a: ";
	struct parsed parsed;

	/* The root map is the first level. */
	memset(text + 3, '[', 63);
	memset(text + 3 + 63, ']', 63);
	parsed = parse(text, strlen(text));
	assert_int_equal(parsed.result, 0);
	done(&parsed);
	memset(text + 3, '[', 64);
	memset(text + 3 + 64, ']', 64);
	check_fault(text, "t.yaml:1:67: more than 64 levels deep\n");
}

/* Each level nine times the one before: 9^9 nodes, were they ever unfolded. */
static void test_billion_laughs(_unused_ void **state)
{
	_cleanup_free_ char *text = NULL;
	struct parsed parsed;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("a0: &a0 {k: lol}\n", out);
	for (int i = 1; i < 10; i++) {
		fprintf(out, "a%d: &a%d [", i, i);
		for (int j = 0; j < 9; j++)
			fprintf(out, "*a%d%s", i - 1, j < 8 ? ", " : "]\n");
	}
	fclose(out);
	parsed = parse(text, size);
	assert_int_equal(parsed.result, 0);
	done(&parsed);
}

/* The same by merges, which do copy: each copied pair counts as a node. */
static void test_merge_bomb(_unused_ void **state)
{
	_cleanup_free_ char *text = NULL;
	struct parsed parsed;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("a: &a\n", out);
	for (int i = 0; i < 1000; i++)
		fprintf(out, "  k%d: 1\n", i);
	for (int i = 0; i < 1000; i++)
		fprintf(out, "m%d: {<<: *a}\n", i);
	fclose(out);
	parsed = parse(text, size);
	assert_int_equal(parsed.result, -EINVAL);
	assert_non_null(strstr(parsed.faults, "more than 100000 values"));
	done(&parsed);
}

static void test_huge(_unused_ void **state)
{
	size_t size = 4 * 1024 * 1024 + 1;
	_cleanup_free_ char *text = malloc(size);
	struct parsed parsed;

	memset(text, 'x', size);
	memcpy(text, "a: ", 3);
	parsed = parse(text, size);
	assert_string_equal(parsed.faults, "t.yaml:1:1: larger than 4 MiB\n");
	done(&parsed);
	parsed = parse(text, 3 + 64 * 1024);
	assert_string_equal(parsed.faults, "");
	done(&parsed);
	parsed = parse(text, 3 + 64 * 1024 + 1);
	assert_string_equal(parsed.faults, "t.yaml:1:4: a text longer than 64 KiB\n");
	done(&parsed);
	memset(text, '-', size);
	for (size_t i = 1; i < size; i += 2)
		text[i] = '\n';
	parsed = parse(text, size - 1);
	assert_non_null(strstr(parsed.faults, "more than 100000 values"));
	done(&parsed);
}

static void test_files(_unused_ void **state)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	struct yaml_document *document = NULL;

	assert_int_equal(yaml_load("/nonexistent.yaml", &document, faults), -ENOENT);
	assert_int_equal(yaml_load("/", &document, faults), -EISDIR);
	assert_int_equal(yaml_load("/dev/zero", &document, faults), -EINVAL);
	assert_int_equal(faults_count(faults), 3);
	assert_null(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_anchors_and_merges),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_tab),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_circle),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_billion_laughs),
		cmocka_unit_test(test_merge_bomb),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
