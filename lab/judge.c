#include "lab/judge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/frechet.h"
#include "lab/model_inside.h"
#include "lab/problem.h"

enum { EPOCHS = 40, BATCH = 32, SEED = 1, FEATURES = 64, MOST_CLASSES = 1000 };
#define WIDTHS "256,64"
static const double CONFIDENT = 0.8;

struct lab_judge {
    lab_run *run;
    double mean[FEATURES], covariance[FEATURES * FEATURES]; /* of the test set */
};

/* What is before the last layer but one, which is dense, for the rows of a split. */
static eden_status features_of(lab_judge *j, const float *x, uint64_t count, const lab_real **z,
                               const lab_real **features, eden_error *error)
{
    lab_model *m = lab_run_problem(j->run)->model;
    const eden_status status = lab_model_outputs(m, x, count, z, error);
    *features = m->layer[m->layers - 2].in;
    return status;
}

static eden_status train(lab_judge *j, const lab_data *data, uint32_t threads, eden_error *error)
{
    const char *source;
    char schedule[64];
    int done = 0;
    const uint64_t steps = EPOCHS * ((data->train.count - 1) / BATCH + 1);
    snprintf(schedule, sizeof schedule, "cosine(%llu, end=0.01)", (unsigned long long)steps);
    const lab_config config = {
        .optimizer = lab_default_optimizer(), .schedule = schedule, .epochs = EPOCHS,
        .batch = data->train.count < BATCH ? data->train.count : BATCH, .seed = SEED,
        .threads = threads,
        .model = { .kind = "mlp", .widths = WIDTHS, .dropout = 0.2, .seed = SEED, .threads = threads },
    };
    eden_status status = lab_run_create(&j->run, &config, data, error);
    const double rate = lab_rate("digits", "mlp", config.optimizer, &source);
    if (!status) status = eden_set(lab_run_optimizer(j->run), NULL, "lr", rate, error);
    while (!status && !done) status = lab_run_step(j->run, &done, error);
    return status;
}

eden_status lab_judge_create(lab_judge **judge, const lab_data *data, uint32_t threads,
                             eden_error *error)
{
    const lab_real *z, *features;
    *judge = NULL;
    lab_judge *j = calloc(1, sizeof *j);
    if (!j) return lab_fail(error, EDEN_E_MEMORY, "no memory for a classifier");
    eden_status status = train(j, data, threads, error);
    if (!status) status = features_of(j, data->test.x, data->test.count, &z, &features, error);
    if (status) {
        lab_judge_destroy(j);
        return status;
    }
    lab_moments(features, data->test.count, FEATURES, j->mean, j->covariance);
    *judge = j;
    return EDEN_OK;
}

void lab_judge_destroy(lab_judge *j)
{
    if (!j) return;
    lab_run_destroy(j->run);
    free(j);
}

static eden_status measure_distance(const lab_judge *j, const lab_real *features, uint64_t count,
                                    double *distance, eden_error *error)
{
    double mean[FEATURES], *covariance = malloc(FEATURES * FEATURES * sizeof *covariance);
    *distance = -1;
    if (covariance) {
        lab_moments(features, count, FEATURES, mean, covariance);
        *distance = lab_frechet(FEATURES, j->mean, j->covariance, mean, covariance);
    }
    free(covariance);
    return *distance < 0 ? lab_fail(error, EDEN_E_MEMORY, "no memory for a distance") : EDEN_OK;
}

eden_status lab_judge_look(lab_judge *j, const float *x, const int32_t *label, uint64_t count,
                           int whole, lab_verdict *verdict, eden_error *error)
{
    const lab_real *z, *features;
    const uint64_t classes = lab_run_problem(j->run)->model->classes;
    uint64_t found[MOST_CLASSES] = { 0 }, least = count, confident = 0, agreeing = 0;
    const eden_status status = features_of(j, x, count, &z, &features, error);
    if (status) return status;
    for (uint64_t r = 0; r < count; r++) {
        const lab_real *at = z + r * classes;
        uint64_t best = 0;
        double sum = 0;
        for (uint64_t i = 1; i < classes; i++)
            if (at[i] > at[best]) best = i;
        for (uint64_t i = 0; i < classes; i++) sum += exp((double)at[i] - (double)at[best]);
        confident += 1 / sum > CONFIDENT;
        agreeing += best == (uint64_t)label[r];
        found[best]++;
    }
    for (uint64_t i = 0; i < classes; i++) least = found[i] < least ? found[i] : least;
    *verdict = (lab_verdict){ .confident = (double)confident / (double)count,
                              .least = (double)least / (double)count,
                              .agreeing = (double)agreeing / (double)count, .distance = NAN };
    return whole ? measure_distance(j, features, count, &verdict->distance, error) : EDEN_OK;
}
