/* train_task.h - a toy task and runs on it, for the tests of the training loop. */
#ifndef TESTS_TRAIN_TASK_H
#define TESTS_TRAIN_TASK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/train.h"
#include "lab/train_run.h"
#include "ok.h"

enum { ROWS = 50, TESTS = 20, FEATURES = 6, CLASSES = 3 };

static float features[(ROWS + TESTS) * FEATURES], targets[ROWS + TESTS];
static int32_t labels[ROWS + TESTS];
static char folder[64], first[96], second[96];

static inline lab_data task(int classes)
{
    lab_data data = { .channels = 1, .height = 1, .width = FEATURES, .features = FEATURES,
                      .classes = classes ? CLASSES : 0, .hash = 42, .target_scale = 1 };
    snprintf(data.name, sizeof data.name, "toy");
    data.train = (lab_split){ ROWS, features, classes ? labels : NULL, classes ? NULL : targets };
    data.test = (lab_split){ TESTS, features + ROWS * FEATURES, classes ? labels + ROWS : NULL,
                             classes ? NULL : targets + ROWS };
    return data;
}

static inline int set_up(void **state)
{
    uint64_t x = 1;
    (void)state;
    for (int i = 0; i < ROWS + TESTS; i++) {
        labels[i] = i % CLASSES;
        targets[i] = (float)(i % CLASSES) - 1;
        for (int k = 0; k < FEATURES; k++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            features[i * FEATURES + k] = (float)(x >> 40) / 16777216.0f - 0.5f
                                       + (k % CLASSES == i % CLASSES ? 0.7f : 0);
        }
    }
    snprintf(folder, sizeof folder, "/tmp/eden-train-XXXXXX");
    if (!mkdtemp(folder)) return 1;
    snprintf(first, sizeof first, "%s/a", folder);
    snprintf(second, sizeof second, "%s/b", folder);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    char older[100];
    for (int i = 0; i < 2; i++) {
        unlink(i ? first : second);
        snprintf(older, sizeof older, "%s.old", i ? first : second);
        unlink(older);
    }
    return rmdir(folder);
}

static inline lab_config config_of(const char *optimizer, const char *settings)
{
    return (lab_config){ .optimizer = optimizer, .settings = settings, .epochs = 3, .batch = 8,
                         .seed = 5, .threads = 1,
                         .model = { "mlp", "7", NULL, 0, 9, 1 } };
}

static inline lab_run *create(const lab_config *config, const lab_data *data)
{
    lab_run *run = NULL;
    OK(lab_run_create(&run, config, data, error));
    return run;
}

/* Take `count` steps, or all that are left; losses go to `losses`. */
static inline void steps(lab_run *run, uint64_t count, double *losses)
{
    int done = 0;
    const lab_progress *p = lab_run_progress(run);
    for (uint64_t i = 0; i < count && p->step < p->steps; i++) {
        OK(lab_run_step(run, &done, error));
        assert_int_equal(done, p->step == p->steps);
        if (losses) losses[p->step - 1] = p->loss;
    }
}

static inline char *contents(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    *size = fread(bytes, 1, 1 << 20, f);
    assert_true(*size > 0 && *size < 1 << 20);
    fclose(f);
    return bytes;
}

static inline int same_files(void)
{
    size_t a, b;
    char *x = contents(first, &a), *y = contents(second, &b);
    const int same = a == b && !memcmp(x, y, a);
    free(x);
    free(y);
    return same;
}

static inline void refused(eden_status status, eden_status want, const eden_error *e, const char *part)
{
    if (status != want) fail_msg("status %d instead of %d: %s", status, want, e->text);
    if (!strstr(e->text, part)) fail_msg("'%s' does not contain '%s'", e->text, part);
}

#endif
