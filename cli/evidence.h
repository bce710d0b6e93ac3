/* evidence.h - claims, put to the test by lines of this very command. */
#ifndef CLI_EVIDENCE_H
#define CLI_EVIDENCE_H

#include <jansson.h>

#include "cli/args.h"
#include "lab/claims.h"

/* ---- evidence_run.c: lines, and what they print ------------------------------------ */

/* One line to run, and the numbers that it printed; a diverged run has none. */
typedef struct {
    char *key;     /* the line, "{mnist}" as it stands; a repeated one has "#2" behind it  */
    json_t *values; /* NULL: not run yet. {"diverged": true} or numbers by name           */
} cli_job;

typedef struct {
    cli_job *jobs;
    size_t count, room;
    FILE *kept;           /* results are added to it as they come; NULL: they are not   */
    const char *mnist;    /* folder of the user's, or NULL                           */
    uint32_t at_once;     /* processes                                                  */
} cli_jobs;

/* Results of earlier runs, from the file that --results names, which then grows. */
int cli_jobs_open(cli_jobs *jobs, const char *path);
void cli_jobs_close(cli_jobs *jobs);

/* Ask for a line; the same line is run once. Its number in *index. */
int cli_jobs_add(cli_jobs *jobs, const char *key, size_t *index);

/* Run what has not been run, several at a time, but timings one by one. A line that fails
 * ends it with its reason. */
int cli_jobs_run(cli_jobs *jobs, const char *label);

/* ---- evidence_search.c: the rates of one side -------------------------------------- */

enum { CLI_RATES = 8, CLI_SEARCH_SEEDS = 3 };

typedef struct {
    size_t count;
    double rate[CLI_RATES];
    double cost[CLI_RATES];                      /* what each came to, the less the better  */
    size_t job[CLI_RATES][CLI_SEARCH_SEEDS];
} cli_search;

/* The first ones; costs are the caller's to fill in. */
void cli_search_begin(cli_search *s, double usual, size_t count);
size_t cli_search_best(const cli_search *s);

/* Is the best the smallest or the largest of those tried? */
int cli_search_at_edge(const cli_search *s);

/* One more rate: past the edge where the best is at one, else between it and the better of
 * its neighbours, so that both sides of a claim can spend as much. */
void cli_search_extend(cli_search *s);

/* ---- evidence_judge.c: from numbers to a verdict ----------------------------------- */

typedef enum { CLI_UNDECIDED, CLI_HOLDS, CLI_FAILS, CLI_NOT_RUN } cli_verdict;

typedef struct {
    const char *name, *what, *unit;
    int ratio;     /* 1: sides are compared by their ratio, else by their difference    */
    int rises;     /* 1: a rate is better if this is larger                             */
} cli_measure;

const cli_measure *cli_measure_find(const char *name);

/* The number of a run that a claim is about; NaN if it has none. */
double cli_measure_value(const lab_claim *claim, const json_t *values);

/* For the search of a rate: the smaller, the better; infinite if it diverged. */
double cli_measure_cost(const lab_claim *claim, const json_t *values);

typedef struct {
    double side[2];         /* means                                                    */
    double effect, low, high; /* with its interval of 95 %; all the same if nothing is
                               left to chance                                           */
    size_t runs, diverged[2];
    int same;               /* 1: both sides came to the same in each of several runs   */
    cli_verdict verdict;
} cli_finding;

/* `n` values of each side, in pairs of the same seed. `chance`: could they have been
 * others? */
cli_finding cli_judge(const lab_claim *claim, const double *first, const double *second, size_t n,
                      int chance);

/* ---- evidence_tell.c --------------------------------------------------------------- */

/* One claim with all that was found. */
typedef struct {
    const lab_claim *claim;
    const char *line;       /* the one of its two that was run                          */
    double rate[2];         /* of the search, or NaN                                    */
    size_t searched;        /* rates tried on each side                                 */
    size_t search_seeds;    /* runs of each of them                                     */
    int edge[2];            /* 1: the rate taken is still at an edge of those tried     */
    const char *missing;    /* option that brings its data, or NULL                     */
    cli_finding finding;
} cli_evidence;

const char *cli_verdict_text(cli_verdict verdict);

/* "0.42 times [0.35, 0.51]". Returns `text`. */
#define CLI_EFFECT_ROOM 120
const char *cli_effect_text(const cli_evidence *e, char text[CLI_EFFECT_ROOM]);

/* "momentum" of "--optimizer momentum --lr 1". Returns `text`. */
const char *cli_side_text(const lab_claim *claim, int side, char text[64]);

const char *cli_rate_text(const cli_evidence *e, int side, char text[64]);
const char *cli_count_text(size_t count, const char *one, const char *many, char text[64]);

void cli_evidence_table(const cli_evidence *all, size_t count, FILE *out);
int cli_evidence_json(const cli_evidence *all, size_t count, int quick, size_t seeds);

/* evidence_page.c: as Markdown in `path`, and the intervals as a picture beside it. */
int cli_evidence_page(const cli_args *args, const cli_evidence *all, size_t count, size_t seeds,
                      const char *path);

#endif
