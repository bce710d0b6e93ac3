/* step.h - one step of many tensors in one call; see step.c. */
#ifndef EDEN_PYTHON_STEP_H
#define EDEN_PYTHON_STEP_H

#include <eden/eden.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct eden_batch eden_batch;

/* Arrays over the optimizer's tensors in the order they were added, or over groups. */
typedef struct {
    void *const *data;
    void *const *grads;   /* NULL where there is none                           */
    float *const *counts; /* steps that each has taken; a step adds 1           */
    void *const *state;   /* tensors x columns; NULL where there is none         */
    const size_t *column; /* what each column is: a slot of the rule by number, and behind
                             these "master" and then "lost", below eden_batch_slots() */
    size_t columns;
    const double *values; /* groups x the rule's settings                       */
} eden_batch_step;

EDEN_API size_t eden_batch_slots(const eden_rule *rule);

/* For an optimizer that has its groups and tensors; it must outlive the batch. A
 * group's name, and each tensor's group and extent, as they were added. */
EDEN_API eden_status eden_batch_create(eden_batch **batch, eden_optimizer *optimizer, size_t groups,
                                       const char *const *names, const size_t *group_of,
                                       const eden_extent *extents);
EDEN_API void eden_batch_destroy(eden_batch *batch);

/* EDEN_E_ORDER without a sentence in `error`: the state that is brought is not what
 * the rule has under these values, and nothing was done. *applied is 0 if the step was
 * skipped for its gradients. */
EDEN_API eden_status eden_batch_take_step(eden_batch *batch, const eden_batch_step *step, int *applied,
                                          eden_error *error);

/* eden_lookahead_begin() for all members, whose gradients are yet to come: those of `step`
 * are addresses that nothing else uses, and are not touched. EDEN_E_ORDER as above. */
EDEN_API eden_status eden_batch_look_ahead(eden_batch *batch, const eden_batch_step *step,
                                           eden_error *error);

/* The first member whose weights, of these dtypes, are not what their "master" rounds to, in
 * a few places that move on with `turn`: somebody else has written them. The number of
 * members if none was found. */
EDEN_API size_t eden_batch_astray(eden_batch *batch, const eden_batch_step *step, const uint32_t *dtypes,
                                  uint64_t turn);

#ifdef __cplusplus
}
#endif
#endif
