/* data_table.h - the records of a CSV file, RFC 4180, and the numbers in them. */
#ifndef LAB_DATA_TABLE_H
#define LAB_DATA_TABLE_H

#include <eden/eden.h>
#include <locale.h>

#include "lab/read.h"

#define TABLE_MAX_COLUMNS 1000000u
#define TABLE_MAX_RECORD  ((uint64_t)64 << 20) /* bytes of one record's fields   */
#define TABLE_MAX_BYTES   ((uint64_t)4 << 30)  /* bytes of content of one file   */

typedef struct {
    lab_reader *reader;
    const char *path;
    unsigned char *block; /* what is read and not yet looked at: [at, end)         */
    size_t at, end;
    uint64_t line;        /* of the next byte, from 1                              */
    uint64_t blank;       /* the first empty line seen, or 0                       */
    /* The last record. Each field ends in a zero byte; none holds another one. */
    uint64_t record_line; /* where it began                                        */
    char *text;
    uint64_t used, text_room;
    uint64_t *start;      /* fields + 1 offsets into text                          */
    uint64_t fields, start_room;
} table;

eden_status table_open(table *t, const char *path, eden_error *error);
void table_close(table *t);

/* The next record; *found is 0 at the end. Fields lose blanks around them unless
 * they are quoted. */
eden_status table_next(table *t, int *found, eden_error *error);

static inline const char *table_field(const table *t, uint64_t i) { return t->text + t->start[i]; }
static inline size_t table_length(const table *t, uint64_t i)
{
    return (size_t)(t->start[i + 1] - t->start[i] - 1);
}

typedef enum { NUMBER_OK, NUMBER_NONE, NUMBER_SPECIAL, NUMBER_TOO_LARGE } number_kind;

/* Read text[0..length), followed by a zero byte, as a decimal number, correctly
 * rounded; `c_locale` is what newlocale() calls "C". NUMBER_SPECIAL is a NaN or an
 * infinity in words; *value is only written for NUMBER_OK. */
number_kind table_number(const char *text, size_t length, locale_t c_locale, double *value);

#endif
