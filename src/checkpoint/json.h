/* json.h - a strict scanner of JSON, one pass over a buffer that it decodes in place.
 *
 * The buffer ends in a zero byte. A string is decoded where it stands and gets a
 * zero at its end, so that no text is ever allocated. The first failure stays. */
#ifndef EDEN_JSON_H
#define EDEN_JSON_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    unsigned char *text;
    size_t length;
    size_t at;
    const char *wrong;  /* what is wrong, NULL if nothing is                   */
    size_t wrong_at;
    int upper_hex;      /* a \u escape was not in lower case                   */
} eden_json;

/* Note what is wrong here. Returns 0. */
int eden_json_fail(eden_json *json, const char *what);

/* Skip white space and the character c; `wrong` is said if another one is there. */
int eden_json_take(eden_json *json, char c, const char *wrong);

/* After an element: 1 if a comma follows, 0 if the list ends or something is wrong. */
int eden_json_more(eden_json *json, char end);

/* Open a list: 1 if it has a first element, 0 if it is empty or something is wrong. */
int eden_json_open(eden_json *json, char begin, char end, const char *wrong);

/* A string, decoded, without a zero in it; or NULL. */
char *eden_json_string(eden_json *json);

/* An integer from 0 to 2^64 - 1 in plain digits. */
int eden_json_integer(eden_json *json, uint64_t *value);

/* Bytes of the well-formed UTF-8 character at text[0..length), which is not empty, or 0. */
size_t eden_utf8(const unsigned char *text, size_t length);

#endif
