/* calls.h - an optimizer, the memory of its tensors, and every call on it. */
#ifndef FUZZ_CALLS_H
#define FUZZ_CALLS_H

#include <eden/safetensors.h>

#include "fuzz/fuzz.h"

enum { FUZZ_TENSORS = 4, FUZZ_COUNT = 24, FUZZ_LENT = 128 };

typedef struct {
    eden_optimizer *optimizer;
    float w[FUZZ_TENSORS][FUZZ_COUNT], grad[FUZZ_TENSORS][FUZZ_COUNT];
    uint16_t copy[FUZZ_TENSORS][FUZZ_COUNT];
    float other[FUZZ_TENSORS][FUZZ_COUNT];                             /* where weights may go  */
    _Alignas(64) unsigned char lent[FUZZ_TENSORS][FUZZ_LENT]; /* where state may be    */
} fuzz_world;

/* An optimizer without tensors, as the input wants it; 0 if it was refused. */
int fuzz_world_make(fuzz_world *world, fuzz_input *input);
void fuzz_world_free(fuzz_world *world);
uint64_t fuzz_world_hash(const fuzz_world *world);

/* The call of that kind, with its arguments from the input. */
eden_status fuzz_world_call(fuzz_world *world, uint8_t kind, fuzz_input *input, const char *path,
                            eden_error *error);

/* From now on, allocation number `count` from 0 fails, and with `all` each one behind it;
 * -1 for none. Returns 1 if one failed since the last time. */
int fuzz_fail_after(int count, int all);

#endif
