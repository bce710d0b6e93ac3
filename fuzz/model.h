/* model.h - a small optimizer with everything a checkpoint can hold. */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include <eden/safetensors.h>

typedef struct {
    float w[6], w_grad[6], frozen[2];
    uint16_t h[4], h_grad[4];
    eden_optimizer *optimizer;
} fuzz_model;

enum { FUZZ_VARIANTS = 4 };

/* Make one of the variants, which differ in rules, storage and config, and take 3 steps. */
void fuzz_model_make(fuzz_model *model, uint32_t variant);
void fuzz_model_free(fuzz_model *model);

/* Everything that can be asked: weights, state, counts, settings, notes. */
uint64_t fuzz_model_hash(const fuzz_model *model);

/* Its checkpoint, written to a file in fuzz_folder(); the path. */
const char *fuzz_model_save(const fuzz_model *model);

#endif
