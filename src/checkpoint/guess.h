/* guess.h - what a file that is no safetensors file seems to be. */
#ifndef EDEN_GUESS_H
#define EDEN_GUESS_H

#include <stddef.h>

#define EDEN_GUESS_ROOM 512

/* From its first bytes, of which EDEN_GUESS_ROOM are the most that help: the end of a
 * sentence, "; it looks like a web page", or "". */
const char *eden_guess(const unsigned char *first, size_t count);

#endif
