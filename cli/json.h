/* json.h - small help with jansson. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <jansson.h>
#include <stdio.h>

/* Once, before any other call: have a lack of memory in jansson's calls noticed, each of
 * which may be one that nobody asks for its result. */
void cli_json_begin(void);

/* A number with at most nine digits (a float has no more to tell); null for what
 * JSON cannot say: infinities and NaN. */
json_t *cli_json_number(double value);

/* The same with every digit. */
json_t *cli_json_exact(double value);

/* Text, with broken UTF-8 and control characters as '?'. */
json_t *cli_json_text(const char *text);

/* The same two to a stream, for documents that are too large for a tree. Text is in ASCII, as
 * in all JSON from here, with what is not as \uXXXX. */
void cli_json_put_text(FILE *out, const char *text);
void cli_json_put_exact(FILE *out, double value);

/* Write and release `json`; `indent` 0 is one line. Numbers are as short as they
 * can be without losing bits. Returns the exit code: no memory, if any part of
 * the tree is missing, or a lost write, which is also told. */
int cli_json_print(json_t *json, FILE *out, int indent);

#endif
