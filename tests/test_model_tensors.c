/* test_model_tensors.c - what a network gives to an optimizer, in the build that
 * trains: names, shapes, groups, and statistics that are kept but not updated. */
#include "lab/data.h"
#include "model_data.h"

static const char *const batch_names[] = {
    "conv1.weight", "norm1.scale",    "norm1.shift", "norm1.mean", "norm1.variance",
    "conv2.weight", "norm2.scale",    "norm2.shift", "norm2.mean", "norm2.variance",
    "layer1.weight", "layer1.bias",
};
static const char *const layer_names[] = {
    "layer1.weight", "layer1.bias",   "norm1.scale", "norm1.shift",
    "layer2.weight", "layer2.bias",
};

static void check_names(const lab_data *d, const char *kind, const char *widths, const char *norm,
                        const char *const *names, size_t count)
{
    lab_model *m = make_model(d, kind, widths, norm, 0, 1);
    eden_optimizer *o = NULL;
    OK(eden_optimizer_create(&o, "sgd", NULL, error));
    OK(lab_model_register(m, o, NULL, error));
    assert_int_equal(eden_tensor_count(o), count);
    for (size_t i = 0; i < count; i++) assert_string_equal(eden_tensor_name(o, i), names[i]);
    eden_optimizer_destroy(o);
    lab_model_destroy(m);
}

static void test_names(void **state)
{
    (void)state;
    lab_data d = make_data(4, 2, 8, 8, 3);
    check_names(&d, "cnn", "4,6", "batch", batch_names, 12);
    check_names(&d, "mlp", "8", "layer", layer_names, 6);
    lab_model *m = make_model(&d, "cnn", "4,6", "batch", 0.25, 1);
    assert_string_equal(lab_model_describe(m),
                        "cnn 2x8x8-4-6-3, batch norm, dropout 25 %, 383 weights");
    assert_int_equal(lab_model_weights(m), 4 * 2 * 9 + 8 + 6 * 4 * 9 + 12 + 24 * 3 + 3);
    lab_model_destroy(m);
    m = make_model(&d, "mlp", "40", "none", 0, 1);
    assert_string_equal(lab_model_describe(m), "mlp 128-40-3, 5,283 weights");
    lab_model_destroy(m);
    free_data(&d);
}

/* A step with a rate of 0 for biases and norms moves the matrices alone; frozen
 * statistics move in the forward alone; a convolution is a matrix of out rows. */
static void test_groups(void **state)
{
    (void)state;
    lab_data d = make_data(20, 2, 8, 8, 3);
    lab_model *m = make_model(&d, "cnn", "4,6", "batch", 0, 1);
    eden_optimizer *o = NULL;
    uint64_t correct, count;
    OK(eden_optimizer_create(&o, "adafactor", NULL, error));
    OK(eden_add_group(o, "vectors", NULL, "lr=0", error));
    OK(lab_model_register(m, o, "vectors", error));
    train_once(m, &d, 1, &correct);
    lab_real *before = malloc(m->all * sizeof *before);
    memcpy(before, m->values, m->all * sizeof *before);
    OK(eden_step(o, error));
    for (uint32_t i = 0; i < m->layers; i++)
        for (uint32_t k = 0; k < m->layer[i].tensors; k++) {
            const lab_tensor *t = &m->layer[i].tensor[k];
            const int moved = memcmp(t->value, before + t->offset, t->count * sizeof *before) != 0;
            if (moved != (t->role == LAB_MATRIX)) fail_msg("%s: moved is %d", t->name, moved);
        }
    OK(eden_get_state(o, "conv2.weight", "r", NULL, 0, &count, error));
    assert_int_equal(count, 6);
    OK(eden_get_state(o, "conv2.weight", "c", NULL, 0, &count, error));
    assert_int_equal(count, 4 * 9);
    OK(eden_get_state(o, "norm1.scale", "v", NULL, 0, &count, error));
    assert_int_equal(count, 4);
    OK(eden_get_state(o, "norm1.mean", "v", NULL, 0, &count, error));
    assert_int_equal(count, 0);
    free(before);
    OK(eden_zero_grad(o, error));
    for (uint64_t i = 0; i < m->learned; i++) assert_true(m->grads[i] == 0);
    eden_optimizer_destroy(o);
    lab_model_destroy(m);
    free_data(&d);
}

/* Names that are taken are the optimizer's to refuse, and so is a group. */
static void test_refusals(void **state)
{
    (void)state;
    eden_error e = { 0, "" };
    lab_data d = make_data(4, 1, 1, 8, 3);
    lab_model *m = make_model(&d, "logistic", NULL, NULL, 0, 1);
    eden_optimizer *o = NULL;
    OK(eden_optimizer_create(&o, "sgd", NULL, error));
    assert_int_equal(lab_model_register(m, o, "nowhere", &e), EDEN_E_NAME);
    assert_int_equal(lab_model_register(m, o, NULL, &e), EDEN_E_NAME);
    assert_non_null(strstr(e.text, "layer1.weight"));
    assert_int_equal(lab_model_register(NULL, o, NULL, &e), EDEN_E_ARGUMENT);
    eden_optimizer_destroy(o);
    lab_model_destroy(m);
    free_data(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
