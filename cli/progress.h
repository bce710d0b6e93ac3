/* progress.h - how far a training run is, for people. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdio.h>

#include "lab/train.h"

typedef struct {
    FILE *out;
    int bar;            /* 1: a line that is redrawn, else a line an epoch        */
    int drawn;          /* columns of the line that stands there                  */
    int colour;
    uint64_t epochs, from; /* in the whole run; the step it began at              */
    double begun, last; /* clock                                                  */
} cli_progress;

/* The bar is for terminals other than "dumb" ones. */
void cli_progress_begin(cli_progress *progress, FILE *out, const lab_progress *run,
                        uint64_t epochs);

/* A metric as people write it: "98.33%"; `fewer` digits behind the point are left out.
 * Returns `text`. */
#define CLI_METRIC_ROOM 48
const char *cli_metric_text(const lab_metric *metric, double value, int fewer,
                            char text[CLI_METRIC_ROOM]);

/* After each step; draws at most ten times a second. */
void cli_progress_show(cli_progress *progress, const lab_progress *run);

/* Take the bar away, so that other text can be printed. */
void cli_progress_clear(cli_progress *progress);

#endif
