/* advise.h - what `eden advise` decided, and the forms it is told in. */
#ifndef CLI_ADVISE_H
#define CLI_ADVISE_H

#include "cli/args.h"
#include "cli/settings.h"
#include "lab/advice.h"

/* How state may be stored, in order of choice: each is smaller, and a little less exact. */
typedef struct {
    const char *word, *name;
    double bytes;              /* a number of state for each weight */
} cli_stored;
extern const cli_stored cli_stored_as[];

typedef struct {
    const cli_args *args;
    const lab_advice *advice;
    const char *task;          /* as it was asked for */
    uint64_t params, batch, steps, warmup;
    double memory;             /* bytes there are, or 0 */
    cli_settings settings;
    size_t storage;            /* of cli_stored_as */
    double state, whole;       /* bytes of state, and of weights and gradients with it */
    int fits, large, lean;
    char schedule[160];
} cli_advising;

/* `settings` is the optimizer's as text. These have told a failure and return the exit code. */
int cli_advise_print(const cli_advising *a, const char *settings);
int cli_advise_json(const cli_advising *a, const char *settings);

#endif
