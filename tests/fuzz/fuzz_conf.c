// SPDX-License-Identifier: Apache-2.0
/* fuzz_conf.c - any text as postbus.conf; one that is let through is whole. */
#include "config/conf.h"
#include "fuzz_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 itself loses a text that is not closed, and words that its lexer has copied. */
const char *__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\nleak:libconfig_yylex\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct faults *faults;
	struct conf *conf = NULL;
	int r;

	/* Other files are not to be read. */
	if (memmem(bytes, n, "@include", strlen("@include")))
		return 0;
	faults = faults_new();
	r = conf_load(fuzz_file(bytes, n), &conf, faults);
	if ((r == 0 && !conf) || (r < 0) != (faults_count(faults) > 0))
		abort();
	if (r == 0 && (!conf->gateway || !conf->broker.host || !conf->map_count ||
		       !conf->spool.max_bytes || conf->publish.qos > 2))
		abort();
	conf_free(conf);
	faults_free(faults);
	return 0;
}
