/* test_train_storage.c - networks whose weights and gradients are stored in 16 bits. */
#include "lab/model_inside.h"

#include <eden/safetensors.h>

#include "train_task.h"

static float bf16_value(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* To nearest, ties to even, by its definition: 8 bits of mantissa. */
static double bf16_nearest(double x)
{
    int e;
    if (x == 0) return x;
    frexp(x, &e);
    const double quantum = ldexp(1, (e < -125 ? -125 : e) - 8), low = floor(x / quantum);
    const double part = x / quantum - low;
    return (low + (part > 0.5 || (part == 0.5 && fmod(low, 2) != 0))) * quantum;
}

static const lab_tensor *tensor_of(const lab_model *m, const char *name)
{
    for (uint32_t i = 0; i < m->layers; i++)
        for (uint32_t k = 0; k < m->layer[i].tensors; k++)
            if (!strcmp(m->layer[i].tensor[k].name, name)) return &m->layer[i].tensor[k];
    fail_msg("no tensor %s", name);
    return NULL;
}

/* What the network computes with is what its checkpoint holds. */
static void check_weights(lab_run *run, int batch_norm)
{
    eden_file *file = NULL;
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    size_t weights = 0, running = 0;
    OK(lab_run_save(run, first, error));
    OK(eden_file_open(&file, first, error));
    for (size_t i = 0; i < eden_file_count(file); i++) {
        uint16_t stored[256];
        OK(eden_file_at(file, i, &t, error));
        if (strchr(t.name, '@')) continue;
        const lab_tensor *own = tensor_of(lab_run_model(run), t.name);
        running += own->role == LAB_RUNNING;
        assert_string_equal(t.dtype, own->role == LAB_RUNNING ? "F32" : "BF16");
        if (own->role == LAB_RUNNING) continue;
        assert_true(t.bytes <= sizeof stored && t.bytes == 2 * own->count);
        OK(eden_file_read(file, i, stored, t.bytes, error));
        for (uint64_t k = 0; k < own->count; k++) assert_true(own->value[k] == bf16_value(stored[k]));
        weights += own->count;
    }
    assert_int_equal(weights, lab_model_weights(lab_run_model(run)));
    assert_true((running > 0) == batch_norm);
    eden_file_close(file);
}

static void test_weights(void **state)
{
    const lab_data data = task(1);
    (void)state;
    for (uint32_t rounding = EDEN_NEAREST; rounding <= EDEN_KAHAN; rounding++)
        for (uint32_t accumulate = 0; accumulate <= 3; accumulate += 3) {
            lab_config config = config_of("adamw", "lr=0.01");
            config.storage = (lab_storage){ EDEN_BF16, EDEN_F32, EDEN_Q8, rounding };
            config.accumulate = accumulate;
            if (accumulate) config.model.norm = "batch";
            lab_run *run = create(&config, &data);
            check_weights(run, accumulate != 0); /* before the first step */
            for (int i = 0; i < 3; i++) {
                steps(run, 1, NULL);
                check_weights(run, accumulate != 0);
            }
            lab_run_destroy(run);
        }
}

/* A look-ahead is computed from the weights that it leads to: had the network kept
 * others, this would be plain momentum. */
static void test_lookahead(void **state)
{
    const lab_data data = task(1);
    double ahead[6], plain[6];
    (void)state;
    for (int k = 0; k < 2; k++) {
        lab_config config = config_of("momentum", k ? "lookahead=1" : NULL);
        config.storage = (lab_storage){ EDEN_BF16, EDEN_F32, EDEN_F32, EDEN_SPLIT };
        lab_run *run = create(&config, &data);
        steps(run, 6, k ? ahead : plain);
        check_weights(run, 0);
        lab_run_destroy(run);
    }
    assert_true(ahead[0] == plain[0]); /* there is no momentum yet */
    assert_true(ahead[2] != plain[2]);
}

/* Descent with rate 1 subtracts the rounded gradient, of all micro-batches' sum. */
static void test_gradients(void **state)
{
    const lab_data data = task(1);
    (void)state;
    for (uint32_t each = 1; each <= 2; each++) {
        float before[256];
        lab_config config = config_of("sgd", "lr=1");
        config.storage.grad_dtype = EDEN_BF16;
        config.accumulate = each;
        lab_run *run = create(&config, &data);
        size_t rounded = 0;
        for (int i = 0; i < 3; i++) {
            const lab_model *m = lab_run_model(run);
            assert_true(m->learned <= 256);
            memcpy(before, m->values, m->learned * sizeof *before);
            steps(run, 1, NULL);
            for (uint64_t k = 0; k < m->learned; k++) {
                const float g = (float)bf16_nearest((double)m->grads[k]);
                rounded += g != m->grads[k];
                assert_true(m->values[k] == before[k] - g / (float)each);
            }
        }
        assert_true(rounded > 100);
        lab_run_destroy(run);
    }
}

/* Stopped at any step, also within an epoch, a run goes on to the same file. */
static void test_resume(void **state)
{
    static const lab_storage all[] = {
        { EDEN_BF16, EDEN_F32, EDEN_F32, EDEN_NEAREST }, { EDEN_BF16, EDEN_BF16, EDEN_Q8, EDEN_MASTER },
        { EDEN_BF16, EDEN_F16, EDEN_F16, EDEN_SPLIT },   { EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_STOCHASTIC },
        { EDEN_BF16, EDEN_F32, EDEN_Q8, EDEN_KAHAN },    { EDEN_F16, EDEN_F16, EDEN_F32, EDEN_STOCHASTIC },
        { EDEN_F16, EDEN_F32, EDEN_BF16, EDEN_KAHAN },   { EDEN_F32, EDEN_BF16, EDEN_Q8, EDEN_NEAREST },
    };
    const lab_data data = task(1);
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        lab_config config = config_of("adamw", NULL);
        config.storage = all[i];
        config.model.norm = "batch";
        lab_run *whole = create(&config, &data), *part = create(&config, &data);
        steps(part, 9, NULL);
        OK(lab_run_save(part, first, error));
        lab_run_destroy(part);
        part = create(&config, &data);
        OK(lab_run_load(part, first, error));
        steps(part, 100, NULL);
        steps(whole, 100, NULL);
        OK(lab_run_save(part, first, error));
        OK(lab_run_save(whole, second, error));
        if (!same_files()) fail_msg("storage %zu: a resume changes bits", i);
        lab_run_destroy(whole);
        lab_run_destroy(part);
    }
}

static void test_refused(void **state)
{
    const lab_data data = task(1);
    const lab_config good = config_of("adamw", NULL);
    eden_error e = { 0, "" };
    lab_run *run = NULL;
    lab_config bad = good;
    (void)state;
    bad.storage.dtype = EDEN_Q8;
    refused(lab_run_create(&run, &bad, &data, &e), EDEN_E_DTYPE, &e, "dtype = 3");
    bad = good, bad.storage.grad_dtype = 9;
    refused(lab_run_create(&run, &bad, &data, &e), EDEN_E_DTYPE, &e, "grad_dtype = 9");
    bad = good, bad.storage.state_dtype = 4;
    refused(lab_run_create(&run, &bad, &data, &e), EDEN_E_DTYPE, &e, "state_dtype = 4");
    bad = good, bad.storage.rounding = EDEN_KAHAN;
    refused(lab_run_create(&run, &bad, &data, &e), EDEN_E_VALUE, &e, "float32 weights lose nothing");
    assert_null(run);

    bad = good, bad.storage = (lab_storage){ EDEN_BF16, EDEN_F32, EDEN_Q8, EDEN_STOCHASTIC };
    run = create(&bad, &data);
    steps(run, 2, NULL);
    OK(lab_run_save(run, first, error));
    lab_run_destroy(run);
    const struct { lab_storage storage; const char *part; } other[] = {
        { { 0, 0, 0, 0 }, "with dtype bf16 instead of f32" },
        { { EDEN_BF16, EDEN_F16, EDEN_Q8, EDEN_STOCHASTIC }, "with grad_dtype f32 instead of f16" },
        { { EDEN_BF16, 0, EDEN_BF16, EDEN_STOCHASTIC }, "with state_dtype q8 instead of bf16" },
        { { EDEN_BF16, 0, EDEN_Q8, 0 }, "with rounding stochastic instead of nearest" },
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        bad = good, bad.storage = other[i].storage;
        run = create(&bad, &data);
        refused(lab_run_load(run, first, &e), EDEN_E_MISMATCH, &e, other[i].part);
        lab_run_destroy(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights), cmocka_unit_test(test_lookahead), cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_resume),  cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
