/* test_thread_safety.c - optimizers on many threads at once, each with threads of its own:
 * the bits are those of one after the other. Under the thread sanitizer (scripts/test
 * thread) it shows as well that they share nothing that is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scratch.h"
#include "tests/bits.h"

enum { THREADS = 16, STEPS = 6, COUNT = 40000 };

typedef struct {
    unsigned number;
    uint32_t threads;          /* of its optimizer                               */
    const eden_optimizer *shared; /* everyone reads it                           */
    pthread_barrier_t *start;
    eden_error error;
    double seen;               /* a setting of the shared optimizer              */
    float *w;
    char path[300];
} worker;

static const char *rule_of(unsigned number) { return eden_rule_name(eden_rule_at(number % eden_rule_count())); }

static eden_status make(worker *k, eden_optimizer **o, float *grad)
{
    eden_config config = EDEN_CONFIG_INIT;
    eden_tensor tensor = eden_matrix(k->w, grad, COUNT / 100, 100);
    config.threads = k->threads;
    config.clip_norm = 1;
    config.average = EDEN_SWA;
    tensor.state_dtype = k->number % 2 && strcmp(rule_of(k->number), "adafactor") ? EDEN_BF16 : EDEN_F32;
    if (eden_optimizer_create(o, rule_of(k->number), &config, &k->error)) return k->error.status;
    if (!strcmp(rule_of(k->number), "sgd") && eden_set(*o, NULL, "momentum", 0.9, &k->error))
        return k->error.status;
    if (eden_add_tensor(*o, "w", &tensor, NULL, &k->error)) return k->error.status;
    return eden_schedule(*o, NULL, "lr", "warmup(3) * cosine(20)", &k->error);
}

static eden_status look_at_shared(worker *k)
{
    for (size_t i = 0; eden_tensor_name(k->shared, i); i++) {
        uint64_t steps;
        eden_status status = eden_tensor_steps(k->shared, eden_tensor_name(k->shared, i), &steps, &k->error);
        if (status) return status;
    }
    return eden_get_at(k->shared, NULL, "lr", 5 + eden_steps(k->shared), &k->seen, &k->error);
}

/* Train a little, save, load, and train on; failures stay in k->error. */
static void train(worker *k)
{
    float *grad = malloc(COUNT * sizeof *grad);
    eden_optimizer *o = NULL;
    k->w = calloc(COUNT, sizeof *k->w);
    if (!grad || !k->w) {
        k->error.status = EDEN_E_MEMORY;
        free(grad);
        return;
    }
    fill(k->w, COUNT, k->number);
    eden_status status = make(k, &o, grad);
    for (unsigned s = 0; !status && s < STEPS; s++) {
        for (size_t i = 0; i < COUNT; i++) grad[i] = (float)((i * 7 + s + k->number) % 23) / 16 - 0.5f;
        status = eden_step(o, &k->error);
        if (!status) status = look_at_shared(k);
        if (!status && s == STEPS / 2) {
            status = eden_save(o, k->path, 0, &k->error);
            if (!status) status = eden_load(o, k->path, 0, &k->error);
        }
    }
    /* An error's text is the caller's alone. */
    eden_error wrong = { 0 };
    char expected[64];
    snprintf(expected, sizeof expected, "no-such-%u", k->number);
    if (!status && (eden_optimizer_create(&(eden_optimizer *){ NULL }, expected, NULL, &wrong) != EDEN_E_NAME
                    || !strstr(wrong.text, expected)))
        k->error.status = EDEN_E_NAME;
    eden_optimizer_destroy(o);
    free(grad);
}

static void *run(void *job)
{
    worker *k = job;
    pthread_barrier_wait(k->start);
    train(k);
    return NULL;
}

static eden_optimizer *make_shared(float *w)
{
    eden_optimizer *o = NULL;
    const eden_tensor tensor = eden_vector(w, NULL, 2);
    assert_int_equal(eden_optimizer_create(&o, "adamw", NULL, NULL), EDEN_OK);
    assert_int_equal(eden_add_tensor(o, "shared", &tensor, NULL, NULL), EDEN_OK);
    assert_int_equal(eden_schedule(o, NULL, "lr", "cosine(10)", NULL), EDEN_OK);
    return o;
}

static void test_many_optimizers(void **state)
{
    static worker together[THREADS], alone[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t start;
    float shared_weights[2] = { 1, 2 };
    eden_optimizer *shared = make_shared(shared_weights);
    (void)state;
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        together[i] = (worker){ .number = i, .threads = 1 + i % 3, .shared = shared, .start = &start };
        snprintf(together[i].path, sizeof together[i].path, "%s/t%u", scratch, i);
        alone[i] = (worker){ .number = i, .threads = 1, .shared = shared };
        snprintf(alone[i].path, sizeof alone[i].path, "%s/a%u", scratch, i);
        assert_int_equal(pthread_create(&threads[i], NULL, run, &together[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        train(&alone[i]);
        if (together[i].error.status || alone[i].error.status)
            fail_msg("%s: %s%s", rule_of(i), together[i].error.text, alone[i].error.text);
        assert_memory_equal(together[i].w, alone[i].w, COUNT * sizeof(float));
        assert_true(together[i].seen == alone[i].seen && alone[i].seen > 0);
        free(together[i].w);
        free(alone[i].w);
    }
    pthread_barrier_destroy(&start);
    eden_optimizer_destroy(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_optimizers, scratch_make, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
