#include "cli/clean.h"

#include <stdio.h>
#include <string.h>

size_t cli_character(const char *s)
{
    static const unsigned long least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *b = (const unsigned char *)s;
    if (b[0] < 0x80) return b[0] >= 0x20 && b[0] != 0x7f;
    const size_t length = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] < 0xc2 || b[0] > 0xf4) return 0;
    unsigned long code = b[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((b[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (b[i] & 0x3fu);
    }
    if (code < least[length] || code > 0x10ffff) return 0;
    return (code >= 0xd800 && code < 0xe000) || code == 0xfffe || code == 0xffff ? 0 : length;
}

/* The character at s as it is shown; returns the bytes it takes there, and its columns. */
static size_t show(const char *s, char shown[12], size_t *columns)
{
    const unsigned char *b = (const unsigned char *)s;
    const size_t length = cli_character(s);
    unsigned long code = b[0];
    if (length > 1) code &= 0x7fu >> length;
    for (size_t i = 1; i < length; i++) code = code << 6 | (b[i] & 0x3fu);
    /* One column each: ASCII, and Latin letters before the first combining mark. */
    const int plain = length == 1 ? *s != '\\' : length == 2 && code > 0xa0 && code < 0x300 && code != 0xad;
    if (plain)
        snprintf(shown, 12, "%.*s", (int)length, s);
    else if (*s == '\\')
        snprintf(shown, 12, "\\\\");
    else if (length < 2)
        snprintf(shown, 12, "\\x%02x", b[0]);
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
