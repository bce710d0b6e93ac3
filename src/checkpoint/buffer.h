/* buffer.h - text that grows, for the writer's header. */
#ifndef EDEN_BUFFER_H
#define EDEN_BUFFER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *text;
    size_t length, room;
    int failed; /* no memory; then nothing more is added */
} buffer;

static inline void add_bytes(buffer *b, const char *bytes, size_t count)
{
    if (!b->failed && count > b->room - b->length) {
        const size_t room = (b->length + count) * 2 + 256;
        char *text = realloc(b->text, room);
        if (text) b->text = text;
        if (text) b->room = room;
        b->failed = !text;
    }
    if (b->failed) return;
    memcpy(b->text + b->length, bytes, count);
    b->length += count;
}

static inline void add(buffer *b, const char *text) { add_bytes(b, text, strlen(text)); }

static inline void add_number(buffer *b, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    add(b, text);
}

/* The inside of a JSON string. */
static inline void add_escaped(buffer *b, const char *text)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *start = text;
    for (; *text; text++) {
        const char *found = strchr(from, *text);
        if (!found && (unsigned char)*text >= 0x20) continue;
        add_bytes(b, start, (size_t)(text - start));
        char escape[8] = { '\\', found ? to[found - from] : 'u', 0 };
        if (!found) snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*text);
        add(b, escape);
        start = text + 1;
    }
    add_bytes(b, start, (size_t)(text - start));
}

#endif
