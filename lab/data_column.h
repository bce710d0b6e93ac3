/* data_column.h - the columns of a table: labels to classes, values to scale. */
#ifndef LAB_DATA_COLUMN_H
#define LAB_DATA_COLUMN_H

#include "lab/data.h"
#include "lab/data_table.h"

enum { LABELS_MAX_CLASSES = 1000, LABELS_SLOTS = 4096 };

/* The column to predict, kept both ways until it is known what it is. */
typedef struct {
    const char *path, *name, *kind; /* kind: "class", "value", or NULL to decide  */
    uint64_t rows;
    double *number;                 /* of each row; NaN where it is none          */
    uint32_t *word;                 /* of each row; index into `at`               */
    uint64_t number_room, word_room;
    uint64_t text_line;             /* the first line without a number, or 0      */
    uint64_t large_line;            /* the first with a number from 2^53 on, or 0  */
    uint32_t words;                 /* different texts; LABELS_MAX_CLASSES + 1: more */
    char *text;
    uint64_t used, text_room;
    uint64_t at[LABELS_MAX_CLASSES];
    uint16_t slot[LABELS_SLOTS];    /* hash table of words: index + 1, or 0       */
} labels;

/* Take one more row's label. */
eden_status labels_add(labels *l, const char *text, size_t length, uint64_t line,
                       locale_t c_locale, eden_error *error);

/* Decide what the label is. For classes *class_of becomes a new array of each
 * row's class, numbered in the order of the values or of the bytes of the texts,
 * and *classes their number; for a value NULL and 0. */
eden_status labels_decide(const labels *l, int32_t **class_of, uint32_t *classes,
                          eden_error *error);
void labels_free(labels *l);

/* What a column is scaled by. */
typedef struct {
    double first, mean, largest, deviation;
} column_scale;

/* Write rows x columns values, less the training rows' mean and divided by their
 * deviation, to the splits; a column that is constant in training becomes 0.
 * Returns the first column whose values do not allow it, or `columns`. */
uint64_t columns_standardize(const double *values, uint64_t rows, uint64_t columns,
                             const unsigned char *is_test, column_scale *scale, float *train,
                             float *test);

#endif
