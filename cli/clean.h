/* clean.h - text from outside, made fit for pictures, pages and terminals. */
#ifndef CLI_CLEAN_H
#define CLI_CLEAN_H

#include <stdio.h>

/* Bytes and number of the character at s; 0 if it is no valid UTF-8, when *code is anything. */
size_t cli_decode(const char *s, unsigned long *code);

/* Bytes of the character at s: 0 if it is a control, turns the direction of writing, or is no
 * valid UTF-8: what a terminal may obey, or show in another order than it stands. */
size_t cli_harmless(const char *s);

/* Put '?' in place of each that is not; returns `text`. */
char *cli_clean(char *text);

/* Text of a stranger, so cleaned, between two of our own. */
void cli_put(FILE *out, const char *before, const char *text, const char *after);

/* Bytes of the character at s: 0 if it is a control or no valid UTF-8, or one that
 * XML forbids. */
size_t cli_character(const char *s);

/* Text of a stranger for a terminal, in at most `width` columns: letters of Latin script
 * stay, everything else is \uXXXX or \xXX, and the middle of long text is "...". Returns
 * `text`, which has room for 2 * width + 1 bytes. */
const char *cli_escape(const char *s, size_t width, char *text);

#endif
