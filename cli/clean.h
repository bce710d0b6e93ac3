/* clean.h - text from outside, made fit for pictures, pages and terminals. */
#ifndef CLI_CLEAN_H
#define CLI_CLEAN_H

#include <stddef.h>

/* Bytes of the character at s: 0 if it is a control or no valid UTF-8, or one that
 * XML forbids. */
size_t cli_character(const char *s);

/* Text of a stranger for a terminal, in at most `width` columns: letters of Latin script
 * stay, everything else is \uXXXX or \xXX, and the middle of long text is "...". Returns
 * `text`, which has room for 2 * width + 1 bytes. */
const char *cli_escape(const char *s, size_t width, char *text);

#endif
