/* arrays.h - what a binding to arrays needs so that a call is one and whole; see arrays.c. */
#ifndef EDEN_PYTHON_ARRAYS_H
#define EDEN_PYTHON_ARRAYS_H

#include <eden/eden.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The factor of a step that was computed beforehand. */
typedef struct {
    uint64_t step;
    double value;
} eden_arrays_at;

/* An eden_schedule_function over an eden_arrays_at; NaN, which is refused, for another step. */
EDEN_API double eden_arrays_factor(uint64_t step, void *context);

/* An eden_load_report's `tell` that keeps the sentences, each ended by a line feed. */
typedef struct {
    char *text;
    size_t room, used;
    uint64_t lost;          /* sentences that found no room                     */
} eden_arrays_told;
EDEN_API void eden_arrays_tell(void *context, const char *difference);

/* Copy elements of `bytes` bytes at strides, in bytes, to row-major order. */
EDEN_API void eden_arrays_gather(void *to, const void *from, size_t bytes, size_t ndim,
                                 const uint64_t *shape, const int64_t *strides);

/* Gradients of one call, over the tensors in the order of `names`. */
typedef struct {
    size_t tensors;
    const char *const *names;
    void *const *grads;      /* NULL where there is none                         */
    const uint32_t *dtypes;  /* of the gradients                                 */
    const uint64_t *counts;
    float *const *sums;      /* of micro-batches; NULL if each call is a step     */
    uint32_t *begun;         /* is there anything in a tensor's sum?              */
    uint32_t *taken;         /* micro-batches in the sums                         */
    uint32_t accumulate;
    uint32_t reserved;
} eden_arrays_step;

/* A step or a micro-batch. The optimizer holds no gradient before or after it. A
 * micro-batch that is refused is in no sum, but the last of a step: if its sum is
 * refused all are given up, and if anything else is, the step waits with its sum to be
 * called again, and that call's gradients are not added. */
EDEN_API eden_status eden_arrays_take_step(eden_optimizer *optimizer, const eden_arrays_step *step,
                                           eden_error *error);

/* eden_lookahead_begin() for all tensors, whose gradients are yet to come. `places`
 * are addresses that nothing else uses, as long as the gradients; they are not touched. */
EDEN_API eden_status eden_arrays_look_ahead(eden_optimizer *optimizer, const eden_arrays_step *step,
                                            void *const *places, eden_error *error);

/* eden_load_as(); what was pending is forgotten with what the optimizer was. */
EDEN_API eden_status eden_arrays_load(eden_optimizer *optimizer, const char *path, uint32_t parts,
                                      eden_load_report *report, const eden_arrays_step *step,
                                      eden_error *error);

#ifdef __cplusplus
}
#endif
#endif
