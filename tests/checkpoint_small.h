/* checkpoint_small.h - optimizers of a few vectors and matrices, and a disk in a hurry. */
#ifndef EDEN_TESTS_CHECKPOINT_SMALL_H
#define EDEN_TESTS_CHECKPOINT_SMALL_H

#include "tests/checkpoint_model.h"

/* It stands before the C library's: thousands of files need not survive a power cut. */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

typedef struct {
    eden_optimizer *o;
    float data[64], grad[64];
    size_t used;
} small;

static inline void begin(small *s, const char *rule)
{
    memset(s, 0, sizeof *s);
    for (int i = 0; i < 64; i++) s->data[i] = (float)i / 8, s->grad[i] = 1;
    OK(eden_optimizer_create(&s->o, rule, NULL, error));
}

static inline void with(small *s, const char *name, uint64_t rows, uint64_t cols)
{
    const uint64_t count = rows * (cols ? cols : 1);
    eden_tensor t = cols ? eden_matrix(s->data + s->used, s->grad + s->used, rows, cols)
                         : eden_vector(s->data + s->used, s->grad + s->used, rows);
    s->used += count;
    OK(eden_add_tensor(s->o, name, &t, NULL, error));
}

#endif
