/* data_table.c - the records of a CSV file, RFC 4180. */
#include "lab/data_table.h"

#include <stdlib.h>
#include <string.h>

#include "lab/data_parts.h"

#define BLOCK 65536

enum { AT_END = -1, FAILED = -2 };

eden_status table_open(table *t, const char *path, eden_error *error)
{
    memset(t, 0, sizeof *t);
    t->line = 1;
    eden_status status = lab_reader_open(&t->reader, path, TABLE_MAX_BYTES, error);
    if (status) return status;
    t->path = lab_reader_path(t->reader);
    t->block = data_alloc(BLOCK, 1);
    if (!t->block) return data_no_memory(error, path);
    status = lab_read(t->reader, t->block, BLOCK, &t->end, error);
    if (status) return status;
    const unsigned char *first = t->block;
    if (t->end >= 2 && ((first[0] == 0xff && first[1] == 0xfe) || (first[0] == 0xfe && first[1] == 0xff)))
        return data_fail(error, EDEN_E_FORMAT, "'%.200s' is text in UTF-16; save it as UTF-8",
                         path);
    if (t->end >= 4 && !memcmp(first, "PK\3\4", 4))
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s' is a ZIP archive, as spreadsheets are; save it as CSV", path);
    if (t->end >= 2 && !memcmp(first, "\x1f\x8b", 2))
        return data_fail(error, EDEN_E_FORMAT, "'%.200s' is gzipped twice; unpack it once", path);
    if (t->end >= 3 && !memcmp(first, "\xef\xbb\xbf", 3)) t->at = 3;
    return EDEN_OK;
}

void table_close(table *t)
{
    lab_reader_close(t->reader);
    free(t->block);
    free(t->text);
    free(t->start);
    memset(t, 0, sizeof *t);
}

/* The next byte without taking it, AT_END, or FAILED with *error filled. */
static int peek(table *t, eden_status *status, eden_error *error)
{
    if (t->at == t->end) {
        t->at = 0;
        *status = lab_read(t->reader, t->block, BLOCK, &t->end, error);
        if (*status) t->end = 0;
        if (t->end == 0) return *status ? FAILED : AT_END;
    }
    return t->block[t->at];
}

static eden_status append(table *t, const void *bytes, size_t n, eden_error *error)
{
    if (t->used + n > TABLE_MAX_RECORD)
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s', line %llu: the record is longer than %llu bytes; is a quote "
                         "left open?",
                         t->path, (unsigned long long)t->record_line,
                         (unsigned long long)TABLE_MAX_RECORD);
    if (!data_grow(&t->text, &t->text_room, t->used + n, 1)) return data_no_memory(error, t->path);
    memcpy(t->text + t->used, bytes, n);
    t->used += n;
    return EDEN_OK;
}

static eden_status refuse(const table *t, const char *what, eden_error *error)
{
    return data_fail(error, EDEN_E_FORMAT, "'%.200s', line %llu, field %llu: %s", t->path,
                     (unsigned long long)t->line, (unsigned long long)t->fields + 1, what);
}

/* Bytes that may be copied without a look at each. */
static int is_ordinary(unsigned char c, int quoted)
{
    if (quoted) return c != '"' && c != '\n' && c != 0;
    return c != ',' && c != '\n' && c != '\r' && c != '"' && c != 0;
}

static eden_status copy_run(table *t, int quoted, eden_error *error)
{
    size_t end = t->at;
    while (end < t->end && is_ordinary(t->block[end], quoted)) end++;
    const eden_status status = append(t, t->block + t->at, end - t->at, error);
    t->at = end;
    return status;
}

/* From behind the opening quote to behind the closing one. */
static eden_status quoted_field(table *t, eden_error *error)
{
    const uint64_t opened = t->line;
    eden_status status = EDEN_OK;
    for (;;) {
        int c = peek(t, &status, error);
        if (c == AT_END)
            return data_fail(error, EDEN_E_FORMAT,
                             "'%.200s', line %llu: the quote that opens field %llu is never closed; close it",
                             t->path, (unsigned long long)opened,
                             (unsigned long long)t->fields + 1);
        if (c == FAILED) return status;
        if (c == 0) return refuse(t, "a zero byte, so this is no text; save it as CSV in UTF-8", error);
        if (c == '\n') t->line++;
        if (c == '"') {
            t->at++;
            c = peek(t, &status, error);
            if (c != '"') return status;
        }
        if (c == '\n' || c == '"') {
            const char byte = (char)c;
            t->at++;
            status = append(t, &byte, 1, error);
        } else {
            status = copy_run(t, 1, error);
        }
        if (status) return status;
    }
}

static eden_status plain_field(table *t, eden_error *error)
{
    const uint64_t from = t->used;
    eden_status status = EDEN_OK;
    int c = 0;
    for (;;) {
        c = peek(t, &status, error);
        if (c < 0 || !is_ordinary((unsigned char)c, 0)) break;
        status = copy_run(t, 0, error);
        if (status) return status;
    }
    if (status) return status;
    if (c == 0) return refuse(t, "a zero byte, so this is no text; save it as CSV in UTF-8", error);
    if (c == '"')
        return refuse(t,
                      "a quote inside a field that does not begin with one; quote the whole field "
                      "and double the quotes in it",
                      error);
    while (t->used > from && (t->text[t->used - 1] == ' ' || t->text[t->used - 1] == '\t')) t->used--;
    uint64_t blanks = 0;
    while (from + blanks < t->used && (t->text[from + blanks] == ' ' || t->text[from + blanks] == '\t'))
        blanks++;
    if (blanks) memmove(t->text + from, t->text + from + blanks, (size_t)(t->used - from - blanks));
    t->used -= blanks;
    return EDEN_OK;
}

/* What follows a field: a comma, the line's end, or the file's. *more is 1 after
 * a comma. */
static eden_status field_end(table *t, int *more, eden_error *error)
{
    eden_status status = EDEN_OK;
    int c = peek(t, &status, error);
    *more = c == ',';
    if (c == FAILED) return status;
    if (c == AT_END) return EDEN_OK;
    t->at++;
    if (c == '\r') {
        c = peek(t, &status, error);
        if (c == FAILED) return status;
        if (c != '\n' && c != AT_END)
            return refuse(t,
                          "a carriage return without a line feed behind it; end each line with a "
                          "line feed",
                          error);
        if (c == '\n') t->at++;
    } else if (c != ',' && c != '\n') {
        return refuse(t, "text behind the closing quote; double the quotes inside a quoted field",
                      error);
    }
    if (c == '\n') t->line++;
    return EDEN_OK;
}

static eden_status read_field(table *t, int *more, eden_error *error)
{
    eden_status status = EDEN_OK;
    if (t->fields == TABLE_MAX_COLUMNS)
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s', line %llu: more than %u fields; take fewer columns", t->path,
                         (unsigned long long)t->line, TABLE_MAX_COLUMNS);
    if (peek(t, &status, error) == '"') {
        t->at++;
        status = quoted_field(t, error);
    } else if (!status) {
        status = plain_field(t, error);
    }
    if (!status) status = append(t, "", 1, error);
    if (!status) status = field_end(t, more, error);
    if (status) return status;
    if (!data_grow(&t->start, &t->start_room, t->fields + 2, sizeof *t->start))
        return data_no_memory(error, t->path);
    t->start[++t->fields] = t->used;
    return EDEN_OK;
}

static int is_line_end(int c) { return c == '\n' || c == '\r'; }

eden_status table_next(table *t, int *found, eden_error *error)
{
    eden_status status = EDEN_OK;
    int more = 1, c;
    t->fields = t->used = 0;
    *found = 0;
    while (is_line_end(c = peek(t, &status, error))) {
        if (!t->blank) t->blank = t->line;
        status = field_end(t, &more, error);
        if (status) return status;
    }
    if (c < 0) return status;
    if (t->blank)
        return data_fail(error, EDEN_E_FORMAT,
                         "'%.200s', line %llu: empty, and more follows; remove it", t->path,
                         (unsigned long long)t->blank);
    if (!data_grow(&t->start, &t->start_room, 1, sizeof *t->start))
        return data_no_memory(error, t->path);
    t->record_line = t->line;
    t->start[0] = 0;
    for (more = 1; more && !status;) status = read_field(t, &more, error);
    *found = !status;
    return status;
}
