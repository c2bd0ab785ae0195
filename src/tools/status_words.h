/* SPDX-License-Identifier: Apache-2.0 */
/* status_words.h - what a gateway's status says, in words for people. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* A member of an object; 0, "" or false where there is none of that type. */
double number_of(const cJSON *json, const char *key);
const char *string_of(const cJSON *json, const char *key);
bool is_true(const cJSON *json, const char *key);
/* By what name it is a member; "" where it is none. */
const char *name_of(const cJSON *member);

struct words {
	char text[32];
};

/* A time that passed, to two figures or so. */
struct words duration_words(double ms);

/* Adds "5 checksum" for each that is not 0, behind a comma where text stands there already. */
void add_counts(char *text, size_t size, const cJSON *counts);

/* A point's last value with its unit; "-" where there is none. */
void value_words(const cJSON *point, char *text, size_t size);

/* Whether the clock of its machine was set right. */
const char *clock_words(const cJSON *clock);

/* Whether more is due on a bus than its wire carries. */
bool is_late(const cJSON *bus);

/* A device's state, its last answer, and how many requests were given up since. */
void state_words(const cJSON *device, char *text, size_t size);
/* What went wrong with requests and answers, of a bus or a device; "" where nothing did. */
void error_words(const cJSON *counters, char *text, size_t size);

/* How many columns a text in UTF-8 takes, a character being one wide. */
int columns_of(const char *text);
/* How many bytes of the text go on a line of so many columns, to be broken at a blank. */
size_t bytes_fitting(const char *text, int room);
