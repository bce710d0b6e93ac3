/* advice.h - what to start with, as data: guidelines that people follow, and the claims of
 * lab/claims.h that put them to the test. */
#ifndef LAB_ADVICE_H
#define LAB_ADVICE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *task, *about;   /* "vision", "images, from scratch"                     */
    const char *optimizer;
    const char *settings;       /* without the rate: "beta2=0.99,weight_decay=0.1"      */
    double rate;
    const char *schedule;       /* for lr; "%s" stands for the steps, "%w" for those of
                                   the warm-up                                          */
    double warmup;              /* share of the steps; 0: none                          */
    double clip;                /* of the global norm; 0: off                           */
    int vectors_decay;          /* 0: biases and norms have no weight decay             */
    const char *why;            /* a sentence                                           */
    const char *claims;         /* "a b": those it rests on                             */
} lab_advice;

/* The i-th piece of advice, or NULL past the end; and the one for that task, or NULL. */
const lab_advice *lab_advice_at(size_t i);
const lab_advice *lab_advice_find(const char *task);

/* From this batch on the advice is that for "large-batch", whatever the task. */
uint64_t lab_advice_large_batch(void);

/* Where memory does not suffice: the optimizer with the least state, with settings and
 * rate, and the claims behind it. */
const lab_advice *lab_advice_lean(void);

#endif
