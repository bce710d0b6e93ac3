/* clean.h - text from outside, made fit for pictures and pages. */
#ifndef CLI_CLEAN_H
#define CLI_CLEAN_H

#include <stddef.h>

/* Bytes of the character at s: 0 if it is a control or no valid UTF-8, or one that
 * XML forbids. */
size_t cli_character(const char *s);

#endif
