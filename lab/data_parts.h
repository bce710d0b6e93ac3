/* data_parts.h - what the readers of data sets share. */
#ifndef LAB_DATA_PARTS_H
#define LAB_DATA_PARTS_H

#include "lab/data.h"

/* Fill *error (which may be NULL) and return the status. Control characters and
 * what is not UTF-8 become '?', since names and fields come from files. */
eden_status data_fail(eden_error *error, eden_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
eden_status data_no_memory(eden_error *error, const char *what);

/* Zeroed, with count * size checked; NULL if it cannot be had, or for nothing. */
void *data_alloc(uint64_t count, size_t size);
char *data_copy(const char *text);

/* Give *memory room for `need` elements of `size` bytes and more, at least
 * doubling *room; 0 without memory, when all stays as it was. */
int data_grow(void *memory, uint64_t *room, uint64_t need, size_t size);

/* Is there a directory? `what` is what it should hold. */
eden_status data_check_folder(const char *path, const char *what, eden_error *error);

/* The last part of a path, without the ending `.csv` or `.csv.gz`. */
void data_set_name(lab_data *data, const char *path, const char *otherwise);

/* Mark rows / 5 of the rows as test rows: every choice of so many is equally
 * likely, and `seed` decides. */
void data_draw_test(unsigned char *is_test, uint64_t rows, uint64_t seed);

/* Allocate both splits for data->features columns, with labels or targets. */
eden_status data_make_splits(lab_data *data, uint64_t train, uint64_t test, const char *path,
                             eden_error *error);

/* Set the hash, once everything else is there. */
void data_set_hash(lab_data *data);

/* The built-in digits and text as they lie in the source tree: gzipped CSV, and gzipped
 * sources that scripts/corpus puts together. The build makes these from the files. */
extern const unsigned char data_digits_gz[], data_corpus_gz[];
extern const size_t data_digits_gz_size, data_corpus_gz_size;

#endif
