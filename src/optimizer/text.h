/* text.h - errors, numbers and names as text, the same under every locale. */
#ifndef EDEN_TEXT_H
#define EDEN_TEXT_H

#include <eden/eden.h>

/* Fill *error (which may be NULL) and return the status, so that a failure is one
 * line: return eden_fail(error, EDEN_E_NAME, "no group is called '%s'", name);
 * The text is cut at a character's end, and what is not UTF-8, control characters and
 * marks of direction become '?'. */
eden_status eden_fail(eden_error *error, eden_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Refuse a struct that a caller filled, calling it `what`, if it is too small, or sets
 * something behind its first `known` bytes, which a later version must mean. `start` is
 * the macro to begin with. */
eden_status eden_check_struct(const void *filled, size_t known, const char *what, const char *start,
                              eden_error *error);

/* A double as the shortest text that reads back as the same bits, with a point
 * whatever the locale. Returns `text`. */
#define EDEN_NUMBER_ROOM 32
const char *eden_print_number(double value, char text[EDEN_NUMBER_ROOM]);

/* By its bits, for arithmetic might trap. */
int eden_is_finite(double x);

/* Read a decimal number that is all of text[0..length): no spaces, no hex, no
 * "nan" or "inf"; 0 if it is not one or overflows. */
int eden_read_number(const char *text, size_t length, double *value);

int eden_is_utf8(const char *text);

/* Is this 1 to 255 bytes of UTF-8 without control characters? */
int eden_name_ok(const char *name);

/* Allocation that checks count * size; zeroed. NULL if it cannot be had. */
void *eden_alloc(uint64_t count, size_t size);
char *eden_copy_text(const char *text);

#endif
