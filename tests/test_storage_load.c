/* test_storage_load.c - a checkpoint belongs to one way of storing a tensor. */
#include <eden/safetensors.h>
#include <string.h>

#include "ok.h"
#include "scratch.h"

typedef struct {
    uint16_t data[64];
    float grad[64];
    eden_optimizer *o;
} run;

static void begin(run *r, uint32_t state_dtype, uint32_t rounding, uint64_t seed)
{
    eden_config config = EDEN_CONFIG_INIT;
    eden_tensor t = EDEN_TENSOR_INIT;
    config.seed = seed;
    for (size_t i = 0; i < 64; i++) r->data[i] = 0x3f80, r->grad[i] = (float)i - 30.5f;
    t.data = r->data;
    t.grad = r->grad;
    t.dtype = EDEN_BF16;
    t.state_dtype = state_dtype;
    t.rounding = rounding;
    t.ndim = 1;
    t.shape[0] = 64;
    OK(eden_optimizer_create(&r->o, "adam", &config, error));
    OK(eden_add_tensor(r->o, "w", &t, NULL, error));
}

/* Another storage, or another seed where that matters, would not give the same bits. */
static void test_belongs(void **state)
{
    static const struct { uint32_t state_dtype, rounding; uint64_t seed; const char *part; } other[] = {
        { EDEN_F32, EDEN_STOCHASTIC, 7, NULL },
        { EDEN_F32, EDEN_STOCHASTIC, 8, "config.seed is 7 in the file and 8 here" },
        { EDEN_F32, EDEN_NEAREST, 7,
          "tensor 'w' is stored as bf16,f32,stochastic in the file and as bf16,f32,nearest here" },
        { EDEN_Q8, EDEN_STOCHASTIC, 7,
          "tensor 'w' is stored as bf16,f32,stochastic in the file and as bf16,q8,stochastic here" },
    };
    const char *path = at("belongs");
    run a, b;
    (void)state;
    begin(&a, EDEN_F32, EDEN_STOCHASTIC, 7);
    for (int i = 0; i < 5; i++) OK(eden_step(a.o, error));
    OK(eden_save(a.o, path, 0, error));
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        eden_error e = { 0, "" };
        begin(&b, other[i].state_dtype, other[i].rounding, other[i].seed);
        const eden_status status = eden_load(b.o, path, 0, &e);
        if (other[i].part) {
            assert_int_equal(status, EDEN_E_MISMATCH);
            if (!strstr(e.text, other[i].part)) fail_msg("'%s' lacks '%s'", e.text, other[i].part);
            assert_int_equal(b.data[0], 0x3f80);
        } else {
            assert_int_equal(status, EDEN_OK);
            OK(eden_step(a.o, error));
            OK(eden_step(b.o, error));
            assert_memory_equal(a.data, b.data, sizeof a.data);
        }
        OK(eden_load(b.o, path, EDEN_WEIGHTS, error)); /* weights are weights */
        eden_optimizer_destroy(b.o);
    }
    eden_optimizer_destroy(a.o);
}

/* Without chance the seed decides nothing, and a plain file says nothing of storage. */
static void test_says(void **state)
{
    const char *path = at("says");
    eden_file *file = NULL;
    run a, b;
    (void)state;
    begin(&a, EDEN_Q8, EDEN_KAHAN, 7);
    OK(eden_step(a.o, error));
    OK(eden_save(a.o, path, 0, error));
    begin(&b, EDEN_Q8, EDEN_KAHAN, 8);
    OK(eden_load(b.o, path, 0, error));
    OK(eden_file_open(&file, path, error));
    assert_string_equal(eden_file_value(file, "eden.storage.w"), "bf16,q8,kahan");
    assert_null(eden_file_value(file, "eden.seed"));
    eden_file_close(file);
    eden_optimizer_destroy(a.o);
    eden_optimizer_destroy(b.o);

    float w[4] = { 0 }, grad[4] = { 1, 2, 3, 4 };
    const eden_tensor t = eden_vector(w, grad, 4);
    OK(eden_optimizer_create(&a.o, "adam", NULL, error));
    OK(eden_add_tensor(a.o, "w", &t, NULL, error));
    OK(eden_save(a.o, path, 0, error));
    OK(eden_file_open(&file, path, error));
    assert_null(eden_file_value(file, "eden.storage.w"));
    eden_file_close(file);
    eden_optimizer_destroy(a.o);
}

/* Weights that a file brings alone are the whole truth: what rounding had lost of others
 * is forgotten, and masters begin where they are. */
static void test_weights_alone(void **state)
{
    static const struct { uint32_t rounding; const char *slot; } ways[] = {
        { EDEN_MASTER, "master" }, { EDEN_SPLIT, "lost" }, { EDEN_KAHAN, "lost" },
    };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const char *path = at("weights");
        float kept[64];
        uint64_t n;
        int moved = 0;
        run r;
        begin(&r, EDEN_F32, ways[i].rounding, 0);
        OK(eden_save(r.o, path, EDEN_WEIGHTS, error));
        OK(eden_step(r.o, error));
        OK(eden_get_state(r.o, "w", ways[i].slot, kept, 64, &n, error));
        for (size_t k = 0; k < 64; k++) moved |= kept[k] != (i ? 0 : 1);
        assert_true(n == 64 && moved);
        OK(eden_load(r.o, path, EDEN_WEIGHTS, error));
        OK(eden_get_state(r.o, "w", ways[i].slot, kept, 64, &n, error));
        for (size_t k = 0; k < 64; k++) assert_true(r.data[k] == 0x3f80 && kept[k] == (i ? 0 : 1));
        eden_optimizer_destroy(r.o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_belongs, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_says, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_weights_alone, scratch_make, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
