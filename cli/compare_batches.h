/* compare_batches.h - one comparison for each of several batch sizes, told as one. */
#ifndef CLI_COMPARE_BATCHES_H
#define CLI_COMPARE_BATCHES_H

#include "cli/compare.h"

enum { CLI_BATCHES = 16 };

typedef struct {
    const cli_args *args;
    size_t count;                      /* batch sizes                            */
    size_t done;                       /* those that are complete                */
    cli_args each[CLI_BATCHES];        /* the line with one batch size           */
    cli_comparison of[CLI_BATCHES];
} cli_batches;

/* `eden compare --batches`; returns the exit code. */
int cli_compare_batches(const cli_args *args);

/* What is trained, before it is. */
void cli_batches_about(const cli_batches *b, FILE *out);

/* A table of the test's result, a row for each optimizer and a column for each size. */
void cli_batches_table(const cli_batches *b, FILE *out);
int cli_batches_json(const cli_batches *b);

/* A folder with a page, the curves over the size, and the numbers. */
int cli_batches_report(const cli_batches *b, const char *folder);

#endif
