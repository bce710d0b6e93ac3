/* shell.h - words as a shell reads them. */
#ifndef CLI_SHELL_H
#define CLI_SHELL_H

#include <stdio.h>

/* A blank and the word, in quotes if it needs them. */
void cli_shell_word(FILE *out, const char *word);

#endif
