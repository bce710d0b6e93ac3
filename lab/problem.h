/* problem.h - what a run trains: a table of functions and a few facts, one file for
 * each kind. The loop in train.c knows no more of it.
 *
 * What a problem must remember from one step to the next, beside weights, belongs in
 * frozen tensors that it registers with the optimizer: then it is in every checkpoint,
 * and a resumed run goes on bit for bit. All else is a function of the config and of
 * the numbers in lab_turn. */
#ifndef LAB_PROBLEM_H
#define LAB_PROBLEM_H

#include "lab/train.h"

/* Which batch is asked for. */
typedef struct {
    uint64_t epoch;        /* from 1                                            */
    uint64_t batch;        /* of the epoch, from 0; past its end there are none,
                              which happens where batches are accumulated       */
    uint64_t number;       /* of the whole run, from 1                          */
    const uint32_t *order; /* the epoch's permutation of `examples`, or NULL    */
    uint32_t part, parts;  /* which part of the batch; 0 parts are one          */
    int again;             /* 1: it is not the first part of it that is asked for here */
    const lab_ranks *ranks; /* that have the other parts at the same time, or NULL */
} lab_turn;

/* Rows [*first, *last) of a batch's `rows` are the part's; returns what its losses are divided
 * by, so that the mean of the parts' gradients is the batch's. */
static inline double lab_turn_rows(const lab_turn *turn, uint64_t rows, uint64_t *first, uint64_t *last)
{
    const uint64_t parts = turn->parts ? turn->parts : 1;
    *first = rows * turn->part / parts;
    *last = rows * (turn->part + (uint64_t)1) / parts;
    return (double)rows / (double)parts;
}

/* What batches came to: a batch adds to it. */
typedef struct {
    double loss;           /* a sum over the rows                               */
    double metric;         /* likewise                                          */
    uint64_t rows;         /* what losses are a mean over                       */
} lab_sums;

struct lab_problem_kind {
    /* From a checked config and what the kind learns from (const lab_data *, ...), which
     * outlives the problem. A failure leaves nothing and NULL. */
    eden_status (*create)(lab_problem **problem, const lab_config *config, const void *source,
                          eden_error *error);
    void (*destroy)(lab_problem *problem);

    /* Is there address space for the products? As lab_model_fits().            */
    eden_status (*fits)(const lab_problem *problem, eden_error *error);

    /* How numbers are stored, once and before add(), and what that takes around a
     * step, as in model.h. */
    eden_status (*store)(lab_problem *problem, const lab_storage *storage, eden_error *error);
    void (*zero_grads)(lab_problem *problem);
    void (*narrow_grads)(lab_problem *problem);
    void (*widen)(lab_problem *problem);

    /* Give every tensor to the optimizer; those that are not matrices go to the group
     * `vectors` (NULL: "default"). A kind may make groups of its own. */
    eden_status (*add)(lab_problem *problem, eden_optimizer *optimizer, const char *vectors,
                       eden_error *error);

    /* Forward and backward on a part of one batch: adds to the gradients and to *sums. */
    eden_status (*learn)(lab_problem *problem, const lab_turn *turn, lab_sums *sums,
                         eden_error *error);

    /* Loss and metric of the test set by the weights as they are: means. `whole` asks
     * for all of it where `samples_test` says that it is otherwise a fixed part. */
    eden_status (*evaluate)(lab_problem *problem, int whole, double *loss, double *metric,
                            eden_error *error);

    /* Loss of the training set as evaluate() has the test set's, or of a part as large as that:
     * what the test loss is more is the generalization gap. NULL where there is none. */
    eden_status (*evaluate_train)(lab_problem *problem, double *loss, eden_error *error);

    /* What the problem makes when it is trained; NULL where it makes nothing. */
    eden_status (*sample)(lab_problem *problem, const lab_sample_config *config,
                          lab_sample *sample, eden_error *error);
};

/* The beginning of every problem; create() fills it in, and it stays as it is. */
struct lab_problem {
    const lab_problem_kind *kind;
    const char *data;      /* name and contents, which a resume compares        */
    uint64_t hash;
    const char *network;   /* one line, likewise                                */
    uint64_t weights;
    uint64_t examples;     /* to be put in a new order each epoch; 0: none are  */
    uint64_t batches;      /* in an epoch, at least 1                           */
    int perplexity;        /* the metric is e to the loss                       */
    int samples_test;      /* between epochs a fixed part of the test set is enough */
    lab_metric metric;
    lab_model *model;      /* the network, where there is just one of model.h   */
    lab_model *part[2];    /* or else these                                     */
    const lab_fact *facts; /* what evaluate() measures beside, LAB_FACTS of them, of
                              which those without a name are none; NULL: nothing */
    const char *start;     /* where its first weights are from, for people; NULL:
                              they are drawn                                    */
};

/* The functions of problems with a model, or with parts. */
eden_status lab_problem_fits(const lab_problem *problem, eden_error *error);
eden_status lab_problem_store(lab_problem *problem, const lab_storage *storage,
                              eden_error *error);
void lab_problem_zero_grads(lab_problem *problem);
void lab_problem_narrow_grads(lab_problem *problem);
void lab_problem_widen(lab_problem *problem);
/* As lab_model_add_part() and lab_model_needs_whole(), of all models. */
uint64_t lab_problem_add_part(lab_problem *problem, lab_real *sum, int first, int last);
int lab_problem_needs_whole(const lab_problem *problem);
eden_status lab_problem_add(lab_problem *problem, eden_optimizer *optimizer, const char *vectors,
                            eden_error *error);

/* Images and tables with labels or targets: the source is a lab_data. */
extern const lab_problem_kind lab_supervised;

/* The bytes of a text: the source is a lab_text, the model a transformer, whose options are
 * context, heads, layers and width. A batch is so many sequences from anywhere; an epoch is
 * this many of them. */
enum { LAB_TEXT_EPOCH = 250 };
extern const lab_problem_kind lab_language;

/* A pole to be balanced on a cart; there is no source. A batch is so many steps of a
 * rollout, whose options are envs, horizon and passes; an epoch is so many rollouts. */
enum { LAB_RL_ROLLOUTS = 5 };
extern const lab_problem_kind lab_reinforcement;

/* Images of given classes to be made like those of a lab_data, the source; its option is
 * noise. A batch is so many of them from anywhere, and as many made; an epoch is this many
 * batches. */
enum { LAB_GAN_EPOCH = 250 };
extern const lab_problem_kind lab_adversarial;

/* New classes of images, learned by a network that knows others: the first half are the
 * old classes, and its body is made by training on them, or comes from a checkpoint. The
 * options are examples (how many in all, as many of each new class), body (its share of the
 * learning rate in millionths) and scratch (1: no body is kept, and all learns alike). */
typedef struct {
    const lab_data *data;
    const char *from;      /* the checkpoint, or NULL                           */
    int resumed;           /* 1: weights are about to be loaded, none are made  */
} lab_transfer;
enum { LAB_BODY_UNIT = 1000000 };
static inline uint32_t lab_transfer_old(const lab_data *data) { return data->classes / 2; }
extern const lab_problem_kind lab_finetune;

/* Fill `error` and return `status`. */
eden_status lab_fail(eden_error *error, eden_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
