/* data_header.h - the names of a table's columns. */
#ifndef LAB_DATA_HEADER_H
#define LAB_DATA_HEADER_H

#include "lab/data_table.h"

typedef struct {
    char *names; /* each ends in a zero byte */
    uint64_t *start;
    uint64_t columns, label; /* label: the column to predict */
} header;

/* Read and check the first record, and find the label. */
eden_status header_read(header *h, table *t, const char *label, locale_t c_locale,
                        eden_error *error);
void header_free(header *h);

static inline const char *header_name(const header *h, uint64_t column)
{
    return h->names + h->start[column];
}

#endif
