#include "cli/clean.h"

#include <string.h>

size_t cli_decode(const char *s, unsigned long *code)
{
    static const unsigned long least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *b = (const unsigned char *)s;
    *code = b[0];
    if (b[0] < 0x80) return 1;
    const size_t length = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] < 0xc2 || b[0] > 0xf4) return 0;
    *code &= 0x7fu >> length;
    for (size_t i = 1; i < length; i++) {
        if ((b[i] & 0xc0) != 0x80) return 0;
        *code = *code << 6 | (b[i] & 0x3fu);
    }
    if (*code < least[length] || *code > 0x10ffff) return 0;
    return *code >= 0xd800 && *code < 0xe000 ? 0 : length;
}

size_t cli_character(const char *s)
{
    unsigned long code;
    const size_t length = cli_decode(s, &code);
    return code < 0x20 || code == 0x7f || code == 0xfffe || code == 0xffff ? 0 : length;
}

size_t cli_harmless(const char *s)
{
    unsigned long code;
    const size_t length = cli_decode(s, &code);
    const int control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    /* Marks that turn the order of what follows round. */
    const int turns = code == 0x61c || code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e)
                   || (code >= 0x2066 && code <= 0x2069);
    return control || turns ? 0 : length;
}

char *cli_clean(char *text)
{
    char *to = text;
    unsigned long code;
    for (const char *s = text; *s;) {
        const size_t length = cli_harmless(s), skip = cli_decode(s, &code);
        if (length) memmove(to, s, length);
        else *to = '?';
        to += length ? length : 1;
        s += skip ? skip : 1;
    }
    *to = '\0';
    return text;
}

void cli_put(FILE *out, const char *before, const char *text, const char *after)
{
    unsigned long code;
    fputs(before, out);
    while (*text) {
        const size_t length = cli_harmless(text), skip = cli_decode(text, &code);
        if (length) fwrite(text, 1, length, out);
        else fputc('?', out);
        text += skip ? skip : 1;
    }
    fputs(after, out);
}

/* The character at s as it is shown; returns the bytes it takes there, and its columns. */
static size_t show(const char *s, char shown[12], size_t *columns)
{
    unsigned long code;
    const size_t length = cli_character(s);
    cli_decode(s, &code);
    /* One column each: ASCII, and Latin letters before the first combining mark. */
    const int plain = length == 1 ? *s != '\\' : length == 2 && code > 0xa0 && code < 0x300 && code != 0xad;
    if (plain)
        snprintf(shown, 12, "%.*s", (int)length, s);
    else if (*s == '\\')
        snprintf(shown, 12, "\\\\");
    else if (length < 2)
        snprintf(shown, 12, "\\x%02x", (unsigned char)*s);
    else
        snprintf(shown, 12, code > 0xffff ? "\\U%06lx" : "\\u%04lx", code);
    *columns = plain ? 1 : strlen(shown);
    return length ? length : 1;
}

static size_t columns_of(const char *s)
{
    char shown[12];
    size_t all = 0, columns;
    for (; *s; all += columns) s += show(s, shown, &columns);
    return all;
}

/* Add what fits in `room` columns, and count them; returns where it stopped. */
static const char *add(const char *s, size_t room, char *text, size_t *used)
{
    char shown[12];
    size_t columns, end = strlen(text);
    while (*s) {
        const size_t length = show(s, shown, &columns);
        if (*used + columns > room) break;
        memcpy(text + end, shown, strlen(shown) + 1);
        end += strlen(shown);
        *used += columns;
        s += length;
    }
    return s;
}

const char *cli_escape(const char *s, size_t width, char *text)
{
    char shown[12];
    size_t left = columns_of(s), used = 0, columns;
    *text = 0;
    if (left > width) {
        s = add(s, width * 2 / 3, text, &used);
        strcat(text, "...");
        used += 3;
        for (left -= used - 3; left + used > width; left -= columns) s += show(s, shown, &columns);
    }
    add(s, width, text, &used);
    return text;
}
