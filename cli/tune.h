/* tune.h - what `eden tune` finds out, and the forms it is told in. */
#ifndef CLI_TUNE_H
#define CLI_TUNE_H

#include "cli/study.h"

/* The range test: one run whose rate rises from step to step. */
#define CLI_RANGE_LOW 1e-7
#define CLI_RANGE_HIGH 10.0

typedef struct {
    double rate, loss, smooth;
} cli_range_point;

typedef struct {
    uint64_t steps;          /* that it was to have                              */
    cli_range_point *points;
    size_t count;
    int complete;            /* to its end, or until the loss exploded           */
    double exploded;         /* the rate at which it did; NaN if it did not      */
    size_t least;            /* point of the least smoothed loss                 */
    double start;            /* loss before anything was learned                 */
    int found;               /* 0: the loss hardly fell, and the range is about
                                the usual rate instead                           */
    double low, high;        /* the useful range                                 */
} cli_range;

typedef struct {
    const cli_args *args;
    cli_study study;
    cli_settings settings;
    const char *source;      /* of the usual rate                                */
    double usual, margin;    /* the latter a share                               */
    size_t budget, seeds;    /* runs in all, and of each rate                    */
    cli_range range;
    cli_rate_try *tries;     /* complete ones, in order of rate                  */
    size_t count;
    const cli_rate_try *chosen, *best; /* of them, or NULL                       */
} cli_tuning;

/* These have told a failure and return the exit code; stopped by the watch, they leave
 * what is known. */
int cli_tune_range(cli_tuning *t, cli_watch watch, void *context);
int cli_tune_search(cli_tuning *t, cli_watch watch, void *context);

/* The rate after those tried so far, of which the first ones divide the range; 0 if there
 * is none worth a run. */
double cli_tune_next(const cli_tuning *t);

/* ---- telling it ------------------------------------------------------------------------ */

void cli_tune_tell(const cli_tuning *t, FILE *out);
int cli_tune_json(const cli_tuning *t, const char *stopped);

/* Sentences; `text` is returned. */
#define CLI_REASON_ROOM 480
const char *cli_tune_range_text(const cli_tuning *t, char text[CLI_REASON_ROOM]);
const char *cli_tune_reason(const cli_tuning *t, char text[CLI_REASON_ROOM]);

/* "eden train ..." with the rate; the caller frees it, NULL after saying why. */
char *cli_tune_line(const cli_tuning *t);

/* Range test and search as PNG or SVG. */
int cli_tune_draw(const cli_tuning *t, int svg, FILE *out);

#endif
