/* train_run.h - a run from the inside, shared by the loop and its notes. */
#ifndef LAB_TRAIN_RUN_H
#define LAB_TRAIN_RUN_H

#include "lab/problem.h"

/* What a rank says of its part of a batch. */
typedef struct {
    lab_sums sums;
    uint64_t status;
} lab_heard;

struct lab_run {
    lab_config config;        /* with texts of its own */
    lab_problem *problem;
    eden_optimizer *optimizer;
    lab_progress progress;
    uint64_t epoch_steps;     /* steps to an epoch */
    uint32_t *order;          /* examples in the order of `order_epoch`; NULL: there are none */
    uint64_t order_epoch;     /* from 1; 0: none yet */
    double loss_sum;          /* over the epoch's rows so far */
    uint64_t loss_rows;
    lab_real *sum;            /* of the gradients of parts, where this process has them all; or NULL */
    lab_heard *heard;         /* room for that of every rank */
    double started;
    uint64_t average_start;   /* the first step that is averaged; 0: none is */
    int lookahead;            /* gradients are wanted at the look-ahead point */
    int failed;               /* a step broke off half-way */
};

/* ---- a step; train_step.c --------------------------------------------------------------- */

double lab_now(void);

/* Can batches be learned from by the parts and ranks that the config says? Room for that. */
eden_status lab_run_make_parts(lab_run *run, eden_error *error);

/* Take one step, of which the progress then tells. */
eden_status lab_run_take_step(lab_run *run, eden_error *error);

/* Do all ranks learn the same from the same data? train_same.c. */
eden_status lab_run_compare_ranks(const lab_run *run, eden_error *error);

/* The i-th field of a config, for people: its name, or NULL past the end, and its text, which may
 * be in `room`. */
enum { LAB_FIELD_ROOM = 64 };
const char *lab_config_field(const lab_config *config, size_t i, const char **text, char room[LAB_FIELD_ROOM]);

/* A failure for the step that follows those of the progress. */
eden_status lab_run_diverged(const lab_run *run, double lr, const char *why, eden_error *error);

/* ---- judging ---------------------------------------------------------------------------- */

/* After an evaluation, which is in the progress: is it the best so far? */
void lab_run_judge(lab_run *run);

/* Has the last evaluation been the one after which no more steps are to be taken? */
int lab_run_stops(const lab_run *run);

/* An average as text into the options of an optimizer. */
eden_status lab_average_read(const char *text, eden_config *options, eden_error *error);

/* For what a checkpoint says, which need not be true: the first note of a config that no run
 * can have, or NULL. What depends on the data, lab_run_create() looks at. */
const char *lab_bad_note(const lab_config *config);

/* *fine is 1 if each setting is there once, with a value that the optimizer takes. Whether
 * the optimizer is known is another question. Fails without memory. */
eden_status lab_check_settings(const lab_config *config, int *fine, eden_error *error);

/* Every number exactly, as text that no locale changes: 0.75 is "3p-2". */
#define LAB_NUMBER_ROOM 40
void lab_write_number(double value, char text[LAB_NUMBER_ROOM]);
int lab_read_number(const char *text, double *value); /* 1 if it is one */
int lab_read_count(const char *text, uint64_t most, uint64_t *value);

#endif
