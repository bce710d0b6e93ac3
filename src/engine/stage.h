/* stage.h - a pass over what is not stored as plain floats, block by block in L1. */
#ifndef EDEN_STAGE_H
#define EDEN_STAGE_H

#include "engine/codec.h"

/* How low-precision weights keep what rounding would lose; an eden_rounding. */
enum { EDEN_ROUND_NEAREST, EDEN_ROUND_SPLIT, EDEN_ROUND_STOCHASTIC, EDEN_ROUND_KAHAN };

/* How the arrays of a tensor are stored, and what else is done to a block of them
 * while it is in the cache. All zero: floats, and nothing. */
typedef struct {
    uint32_t codec[EDEN_MAX_SLOTS]; /* of each FULL slot                        */
    float *scale[EDEN_MAX_SLOTS];   /* 8-bit: one for each block                */
    uint32_t rounding;              /* of the weights                           */
    uint16_t *lost;                 /* SPLIT, KAHAN: beside each weight         */
    uint64_t key;                   /* STOCHASTIC                               */
    uint16_t *copy;                 /* the weights once more, in copy_codec     */
    uint32_t copy_codec;
    float *average;                 /* average += gain * (weights - average)    */
    real gain;
    uint32_t zero_grad;             /* the gradient is zeroed behind its last use */
} eden_storage;

/* A piece of a pass over FULL: rows x cols elements whose first is element `first`
 * of the tensor; at[] as a kernel takes it, but to the arrays as they are stored. */
typedef struct {
    const eden_rule *rule;
    const eden_storage *storage;
    const eden_pass *pass;
    eden_kernel *kernel;
    eden_small_kernel *small; /* instead, where each `height` rows are a matrix, and sums are clear */
    size_t height;
    eden_types types;
    const void *consts;
    const eden_grad_scale *grad;
    size_t isa;
    int ends_grad, ends_param; /* is this the step's last pass that reads, writes it? */
    uint64_t first;
    size_t rows, cols;
    void *const *at;
} eden_staged;

/* What a kernel can load by itself of this storage; bit s of `slots`: slot s exists. */
eden_types eden_stage_types(const eden_rule *rule, uint32_t slots, const eden_storage *storage);

/* Do the slots as they are stored need blocks? What else is done to blocks is a
 * matter of single passes. */
int eden_stage_needed(const eden_rule *rule, uint32_t slots, const eden_storage *storage);

void eden_stage_run(const eden_staged *piece);

#endif
