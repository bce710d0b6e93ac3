/* data.h - data sets to train on: built in, made up, IDX (MNIST and its kin), CIFAR-10, CSV. */
#ifndef LAB_DATA_H
#define LAB_DATA_H

#include <eden/eden.h>

/* Examples, row major. A feature row is channels x height x width values. */
typedef struct {
    uint64_t count;
    float *x;         /* count x features, scaled for training                 */
    int32_t *label;   /* count class numbers, or NULL for a regression         */
    float *target;    /* count standardized targets, or NULL for classification */
} lab_split;

typedef struct {
    char name[64];
    uint32_t channels, height, width; /* a table is 1 x 1 x columns             */
    uint64_t features;                /* their product                         */
    uint32_t classes;                 /* 0 for a regression                    */
    uint64_t hash;                    /* of every byte, so that a resume can tell */
    double target_scale;              /* regression: standardized x this is the unit */
    lab_split train, test;
} lab_data;

/* The 1,797 digits of 8 x 8 that ship with Eden; a fixed fifth is the test set. */
eden_status lab_data_digits(lab_data *data, eden_error *error);

/* A directory of four IDX files under MNIST's usual names, gzipped or not. */
eden_status lab_data_idx(lab_data *data, const char *directory, eden_error *error);

/* A directory of the six files of CIFAR-10's binary version, gzipped or not. Each channel
 * is standardized by the training set's mean and deviation. */
eden_status lab_data_cifar10(lab_data *data, const char *directory, eden_error *error);

/* Made-up documents: for each of so many words 1 if it is in the document, which is made
 * of so many draws, else 0; and two classes. `seed` draws everything. */
enum { LAB_SPARSE_WORDS = 1000, LAB_SPARSE_DRAWS = 30 };
eden_status lab_data_sparse(lab_data *data, uint64_t seed, eden_error *error);

/* The i-th path under which the readers of IDX and of CIFAR-10 may look for one of their
 * files, which need not be there; the caller frees it. NULL without memory. */
#define LAB_IDX_NAMES 16
#define LAB_CIFAR10_NAMES 12
char *lab_data_idx_name(const char *directory, unsigned i);
char *lab_data_cifar10_name(const char *directory, unsigned i);

/* A CSV file with a header line, gzipped or not. The column `label` is what to
 * predict: a class if every value is a whole number below 1,000 or some value is
 * not a number at all, else a regression target; `kind` "class" or "value"
 * overrules that, NULL decides. Numbers of 2^53 and more written out in digits are
 * values only where `kind` says so, since neighbours are one double. A fifth, drawn by `seed`, is the test set.
 * Columns are standardized by the training set's mean and deviation. */
eden_status lab_data_csv(lab_data *data, const char *path, const char *label,
                         const char *kind, uint64_t seed, eden_error *error);

void lab_data_free(lab_data *data); /* leaves it all zero; NULL is fine          */

#endif
