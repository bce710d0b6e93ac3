#include "cli/shell.h"

#include <string.h>

void cli_shell_word(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./=,:+@%";
    const int quoted = !*word || word[strspn(word, plain)];
    fputs(quoted ? " '" : " ", out);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", out);
        else
            fputc(*word, out);
    if (quoted) fputc('\'', out);
}
