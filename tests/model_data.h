/* model_data.h - made-up data and models on it, for the tests of the networks. */
#ifndef TESTS_MODEL_DATA_H
#define TESTS_MODEL_DATA_H

#include "lab/model_inside.h"
#include "lab/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK(call)                                                     \
    do {                                                             \
        eden_error e_ = { 0, "" }, *error = &e_;                     \
        if ((call) != EDEN_OK) fail_msg("%s: %s", #call, e_.text);   \
    } while (0)

/* Uniform in [-1, 1). */
static inline double noise(uint64_t key, uint64_t i) { return 2 * lab_random_uniform(key, i) - 1; }

/* `rows` random rows; classes 0 is a regression. The test set is empty. */
static inline lab_data make_data(uint64_t rows, uint32_t channels, uint32_t height, uint32_t width,
                                 uint32_t classes)
{
    lab_data d = { "made up", channels, height, width, channels * height * width, classes, 1, 1,
                   { 0, 0, 0, 0 }, { 0, 0, 0, 0 } };
    d.train.count = rows;
    d.train.x = calloc(rows * d.features, sizeof(float));
    d.train.label = classes ? calloc(rows, sizeof(int32_t)) : NULL;
    d.train.target = classes ? NULL : calloc(rows, sizeof(float));
    for (uint64_t i = 0; i < rows * d.features; i++) d.train.x[i] = (float)noise(11, i);
    for (uint64_t i = 0; i < rows; i++) {
        if (classes) d.train.label[i] = (int32_t)lab_random_below(12, i, classes);
        else d.train.target[i] = (float)noise(13, i);
    }
    return d;
}

static inline void free_data(lab_data *d)
{
    free(d->train.x);
    free(d->train.label);
    free(d->train.target);
}

static inline lab_model *make_model(const lab_data *d, const char *kind, const char *widths,
                                    const char *norm, double dropout, uint32_t threads)
{
    const lab_model_config config = { kind, widths, norm, dropout, 5, threads };
    lab_model *m = NULL;
    OK(lab_model_create(&m, &config, d, error));
    return m;
}

/* One training pass over all the data; returns the loss. */
static inline double train_once(lab_model *m, const lab_data *d, uint64_t step, uint64_t *correct)
{
    double loss = 0;
    OK(lab_model_train(m, d->train.x, d->train.label, d->train.target, d->train.count, step, &loss,
                       correct, error));
    return loss;
}

/* Shake every value that is learned, so that no scale is 1 and no bias 0. */
static inline void shake(lab_model *m)
{
    for (uint64_t i = 0; i < m->learned; i++) m->values[i] += (lab_real)(0.3 * noise(14, i));
}

/* A tensor by its name, or NULL. */
static inline lab_tensor *find_tensor(lab_model *m, const char *name)
{
    for (uint32_t i = 0; i < m->layers; i++)
        for (uint32_t k = 0; k < m->layer[i].tensors; k++)
            if (strcmp(m->layer[i].tensor[k].name, name) == 0) return &m->layer[i].tensor[k];
    return NULL;
}

#endif
