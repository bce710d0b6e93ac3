/* train.h - the training loop: batches, schedule, evaluation, checkpoints. */
#ifndef LAB_TRAIN_H
#define LAB_TRAIN_H

#include "lab/data.h"
#include "lab/model.h"
#include "lab/ranks.h"
#include "lab/rates.h"

typedef struct lab_run lab_run;
typedef struct lab_problem lab_problem;
typedef struct lab_problem_kind lab_problem_kind;

enum { LAB_MOST_PARTS = 4096 };

typedef struct {
    const char *optimizer;  /* a rule's or preset's name                        */
    const char *settings;   /* "lr=0.1,momentum=0.9" over the defaults, or NULL */
    const char *no_decay;   /* "1": biases and norms get weight_decay=0 where the
                               rule has it; NULL: no such group                 */
    const char *schedule;   /* for lr, in eden_schedule()'s words; NULL: none   */
    uint64_t warmup;        /* steps of linear warm-up on top; 0: none          */
    uint64_t epochs, batch;
    double clip_norm;       /* 0: off                                           */
    uint32_t accumulate;    /* 0 or 1: off                                      */
    const char *average;    /* "ema:DECAY[:START[:EVERY]]" or "swa[:START[:EVERY]]":
                               evaluate by averages of the weights from step START;
                               running means stay the model's. NULL: off        */
    uint64_t seed;          /* of the data order (a function of seed and epoch)
                               and of rounding by chance                        */
    uint32_t threads;
    uint64_t early_stop;    /* epochs on end that are not better than the best, after
                               which the run is over; 0: never. A resumed run may
                               have another, since a checkpoint knows its best      */
    uint32_t parts;         /* 0, or: cut each batch into so many and add up their
                               gradients in order. Any number of ranks that divides
                               it, and a process alone, then make the same bits      */
    const lab_ranks *ranks; /* that share each batch, and outlive the run; NULL: none */
    lab_storage storage;    /* of weights, gradients and state; float32 if zero */
    lab_model_config model;
    const char *task;       /* "layers=4,heads=4": what only some problems have, as
                               they write it; NULL: nothing                     */
} lab_config;

/* What a problem measures beside the loss. */
typedef struct {
    const char *name;       /* "accuracy", also in logs; NULL: nothing          */
    const char *unit;       /* behind a number: "%", ""                         */
    double scale;           /* what a value is multiplied by for people: 100    */
    int decimals;
    int rises;              /* 1: more is better                                */
    const char *loss_unit;  /* behind a loss: "nats a byte", ""                 */
    const char *goal;       /* where the test loss says more of a network than the
                               metric does, its name: "distance"; else NULL     */
} lab_metric;

/* What a trained network is judged by: the metric, or else the test loss. */
static inline int lab_goal_is_metric(const lab_metric *m) { return m->name && !m->goal; }
static inline double lab_goal(const lab_metric *m, double loss, double metric)
{
    return lab_goal_is_metric(m) ? metric : loss;
}
static inline int lab_goal_rises(const lab_metric *m) { return lab_goal_is_metric(m) && m->rises; }
int lab_goal_better(const lab_metric *metric, double a, double b); /* a than b; NaN is worst */

/* Another measurement of the last evaluation; NaN before it. */
enum { LAB_FACTS = 2 };
typedef struct {
    lab_metric metric;
    double value;
} lab_fact;

/* What a trained problem makes: text, or images side by side in memory, or both. */
typedef struct {
    uint64_t count;         /* bytes of text, or images                         */
    double temperature;     /* of text: 0 takes the likeliest byte, 1 as learned */
    uint64_t seed;
} lab_sample_config;

typedef struct {
    char *text;             /* length bytes and a zero byte; any bytes          */
    uint64_t length;
    float *pixels;          /* count x height x width, 0 to 1                   */
    uint64_t count, height, width;
} lab_sample;

/* What a run has measured so far. Times are in seconds. */
typedef struct {
    uint64_t step, steps;       /* taken, and in the whole run                  */
    uint64_t epoch;             /* from 1                                       */
    double lr;                  /* of the last step                             */
    double loss, accuracy;      /* of the last step's batch; "accuracy" is the
                                   problem's metric, whatever that is           */
    double train_loss;          /* mean of the epoch so far                     */
    double test_loss, test_accuracy; /* of the last evaluation; NaN before it   */
    double seconds, step_seconds, optimizer_seconds; /* all, in steps, in eden_step */
    double grad_norm;
    int evaluated;              /* 1 if the last step ended an epoch            */
    uint64_t best_epoch;        /* whose evaluation was the best; 0 before one  */
    double best;                /* its lab_goal(), by what all epochs are measured
                                   on, which may be a part of the test set      */
    int stopped_early;          /* 1: over, with steps that are not taken       */
    double state_bytes_per_weight;
    lab_metric metric;          /* what the accuracies are                      */
    const lab_fact *facts;      /* LAB_FACTS more, or NULL: see problem.h       */
} lab_progress;

/* With ranks every function below that takes a lab_run, but for those that only look, is called
 * by all of them alike; a failure is one of all, with the same sentence. Rank 0 alone evaluates,
 * for all, and has the samples.
 *
 * "data" must outlive the run. A config that makes no sense (batch 0, a task the
 * model cannot do) fails with a sentence. */
eden_status lab_run_create(lab_run **out, const lab_config *config, const lab_data *data,
                           eden_error *error);
void lab_run_destroy(lab_run *run);

/* The same for any kind of problem, on what that kind learns from; see problem.h. */
eden_status lab_run_create_for(lab_run **out, const lab_config *config,
                               const lab_problem_kind *kind, const void *source,
                               eden_error *error);

/* Take one step; *done is 1 when the run is complete or stops early. A step is `accumulate` batches
 * of one epoch; those that the epoch's last step lacks count as zero gradients. A
 * loss that is not finite is EDEN_E_GRADIENT. After a failure the run can neither go
 * on nor be saved, but it can load a checkpoint. */
eden_status lab_run_step(lab_run *run, int *done, eden_error *error);
const lab_progress *lab_run_progress(const lab_run *run);
static inline int lab_run_over(const lab_progress *p)
{
    return p->step >= p->steps || p->stopped_early;
}
const lab_problem *lab_run_problem(const lab_run *run);
const lab_model *lab_run_model(const lab_run *run); /* NULL if it has none, or several */
eden_optimizer *lab_run_optimizer(lab_run *run);

/* A checkpoint holds the run's identity (data, model, batch, seeds) in notes; a
 * load refuses another run, and the resumed run continues bit for bit. */
eden_status lab_run_save(lab_run *run, const char *path, eden_error *error);
eden_status lab_run_load(lab_run *run, const char *path, eden_error *error);

/* What a checkpoint was made with, so that a resume needs no flags again. The
 * config's texts live until lab_saved_close(); `data` is lab_data's name. */
typedef struct lab_saved lab_saved;
eden_status lab_saved_open(lab_saved **out, const char *path, eden_error *error);
const lab_config *lab_saved_config(const lab_saved *saved);
const char *lab_saved_data(const lab_saved *saved);
uint64_t lab_saved_step(const lab_saved *saved); /* steps it has taken */
void lab_saved_close(lab_saved *saved);

/* Is all of a checkpoint there, to the last bit? *step is what it holds. */
eden_status lab_saved_check(const char *path, uint64_t *step, eden_error *error);

/* Loss and metric of the whole test set now, of the averages once there are any. */
eden_status lab_run_evaluate(lab_run *run, double *loss, double *accuracy, eden_error *error);

/* Loss of the training set likewise, as the test's is measured; NaN where the problem has
 * none that can be compared. */
eden_status lab_run_evaluate_train(lab_run *run, double *loss, eden_error *error);

/* What the problem makes now, likewise; a problem that makes nothing refuses with
 * EDEN_E_ARGUMENT. Free the sample in any case. */
eden_status lab_run_sample(lab_run *run, const lab_sample_config *config, lab_sample *sample,
                           eden_error *error);
void lab_sample_free(lab_sample *sample);

/* Is there address space for the products? As lab_model_fits(). */
eden_status lab_run_fits(const lab_run *run, eden_error *error);

#endif
