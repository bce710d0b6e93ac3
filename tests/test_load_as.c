/* test_load_as.c - files that fit in part: what is loaded, what is left, what is said. */
#include "tests/checkpoint_model.h"

#include <math.h>

/* Load so, and see what the report says. */
static void load_as(model *m, const char *path, uint32_t parts, uint64_t loaded, uint64_t missing,
                    uint64_t different, uint64_t extra)
{
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    OK(eden_load_as(m->o, path, parts, &r, error));
    if (r.loaded != loaded || r.missing != missing || r.different != different || r.extra != extra)
        fail_msg("%llu loaded, %llu missing, %llu different, %llu extra", (unsigned long long)r.loaded,
                 (unsigned long long)r.missing, (unsigned long long)r.different, (unsigned long long)r.extra);
    assert_int_equal(r.converted, 0);
}

/* Two models that were trained differently; the first is in file("a"). */
static void start(model *saved, model *m)
{
    create(saved, "adamw", "sgd", NULL);
    create(m, "adamw", "sgd", NULL);
    train(saved, 3);
    m->micro = 100;
    train(m, 5);
    OK(eden_save(saved->o, file("a"), 0, error));
    assert_memory_not_equal(saved->w, m->w, sizeof m->w);
}

static void finish(model *saved, model *m)
{
    destroy(saved);
    destroy(m);
}

/* State 'v' of the model's matrix is as in a file that the model was saved to. */
static void same_state(const model *a, const model *b, const char *tensor)
{
    float x[W], y[W];
    uint64_t n, k, s, t;
    OK(eden_get_state(a->o, tensor, "v", x, W, &n, error));
    OK(eden_get_state(b->o, tensor, "v", y, W, &k, error));
    OK(eden_tensor_steps(a->o, tensor, &s, error));
    OK(eden_tensor_steps(b->o, tensor, &t, error));
    assert_true(n == k && s == t && memcmp(x, y, n * sizeof *x) == 0);
}

static void test_everything_fits(void **state)
{
    model saved, m;
    (void)state;
    start(&saved, &m);
    load_as(&m, file("a"), EDEN_PARTIAL, 5, 0, 0, 0);
    OK(eden_save(m.o, file("b"), 0, error));
    same_files(file("a"), file("b"), "all of it");
    load_as(&m, file("a"), EDEN_WEIGHTS, 5, 0, 0, 0); /* no flag, only the counts */
    finish(&saved, &m);
}

/* A tensor that the file lacks, or has otherwise, stays whole: weights, state, count. */
static void test_left_out(void **state)
{
    static const struct { change what; uint64_t missing, different; } cases[] = {
        { { .drop = "layer.0/w" }, 1, 0 },
        { { .entry = "layer.0/w", .flat = 1 }, 0, 1 },
        { { .entry = "layer.0/w", .dtype = "I32" }, 0, 1 },
        { { .entry = "layer.0/w@v", .flat = 1 }, 0, 1 },
        { { .drop = "layer.0/w@v" }, 0, 1 },
        { { .entry = "layer.0/w@top" }, 0, 1 },
        { { .key = "eden.group.layer.0/w", .value = "no decay" }, 0, 1 },
        { { .key = "eden.storage.layer.0/w", .value = "bf16,f32,kahan" }, 0, 1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model saved, m, before;
        start(&saved, &m);
        before = m;
        OK(eden_save(m.o, file("b"), 0, error)); /* what `before` was, state and all */
        const char *path = changed(file("a"), cases[i].what);
        REFUSED(eden_load(m.o, path, 0, error), EDEN_E_MISMATCH, "layer.0/w");
        load_as(&m, path, EDEN_PARTIAL, 4, cases[i].missing, cases[i].different, 0);
        assert_memory_equal(m.w, before.w, sizeof m.w);
        assert_memory_equal(m.k, saved.k, sizeof m.k);
        /* The file's 3, but a tensor that was left out has taken 5. */
        assert_int_equal(eden_steps(m.o), 5);
        same_state(&m, &saved, "100% \"k\"@x");
        model again;
        create(&again, "adamw", "sgd", NULL);
        OK(eden_load(again.o, file("b"), 0, error));
        same_state(&m, &again, "layer.0/w");
        OK(train_once(&m, error));
        destroy(&again);
        finish(&saved, &m);
    }
}

/* The optimizer alone is loaded from a file that lacks weights all the same. */
static void test_weights_unwanted(void **state)
{
    model saved, m;
    (void)state;
    start(&saved, &m);
    const model before = m;
    OK(eden_load(m.o, changed(file("a"), (change){ .drop = "layer.0/w" }), EDEN_OPTIM, error));
    assert_memory_equal(m.w, before.w, sizeof m.w);
    same_state(&m, &saved, "layer.0/w");
    finish(&saved, &m);
}

/* A tensor that is left out keeps the state that the file's settings ask for, and no other. */
static void test_state_unwanted(void **state)
{
    model saved, m;
    float before[W], after[W];
    uint64_t n;
    (void)state;
    start(&saved, &m);
    OK(eden_set_text(m.o, NULL, "amsgrad=raw", error));
    OK(train_once(&m, error));
    OK(eden_get_state(m.o, "layer.0/w", "v", before, W, &n, error));
    load_as(&m, changed(file("a"), (change){ .drop = "layer.0/w" }), EDEN_PARTIAL, 4, 1, 0, 0);
    OK(eden_get_state(m.o, "layer.0/w", "v", after, W, &n, error));
    assert_true(n == W && memcmp(before, after, sizeof before) == 0);
    OK(eden_get_state(m.o, "layer.0/w", "top", after, W, &n, error));
    assert_int_equal(n, 0);
    finish(&saved, &m);
}

static void test_extra(void **state)
{
    model saved, m;
    (void)state;
    start(&saved, &m);
    const float more[2] = { 1, 2 };
    eden_tensor t = eden_vector((float *)more, NULL, 2);
    OK(eden_add_tensor(saved.o, "more", &t, NULL, error));
    OK(eden_save(saved.o, file("a"), 0, error));
    REFUSED(eden_load(m.o, file("a"), 0, error), EDEN_E_MISMATCH, "the file's tensor 'more' is not here");
    load_as(&m, file("a"), EDEN_PARTIAL, 5, 0, 0, 1);
    load_as(&m, file("a"), EDEN_PARTIAL | EDEN_WEIGHTS, 5, 0, 0, 1);
    load_as(&m, file("a"), EDEN_PARTIAL | EDEN_OPTIM, 5, 0, 0, 1);
    OK(eden_save(saved.o, file("b"), EDEN_WEIGHTS, error));
    load_as(&m, file("b"), EDEN_PARTIAL | EDEN_WEIGHTS, 5, 0, 0, 1);
    load_as(&saved, file("a"), EDEN_PARTIAL, 6, 0, 0, 0);
    OK(eden_save(m.o, file("b"), EDEN_OPTIM, error));
    load_as(&saved, file("b"), EDEN_PARTIAL | EDEN_OPTIM, 5, 1, 0, 0);
    finish(&saved, &m);
}

/* Rule, groups and config have to fit all the same, and so has some tensor. */
static void test_still_refused(void **state)
{
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    eden_load_report small = EDEN_LOAD_REPORT_INIT;
    small.size--;
    model saved, m;
    (void)state;
    start(&saved, &m);
    const model live = m;
    const change norm = { .key = "eden.clip_norm", .value = "1" };
    REFUSED(eden_load_as(m.o, changed(file("a"), norm), EDEN_PARTIAL, &r, error), EDEN_E_MISMATCH,
            "config.clip_norm is 1");
    const change group = { .key = "eden.rule.more", .value = "adamw" };
    REFUSED(eden_load_as(m.o, changed(file("a"), group), EDEN_PARTIAL, &r, error), EDEN_E_MISMATCH,
            "the file's group 'more'");
    const float one[1] = { 1 };
    const uint64_t shape = 1;
    eden_writer *w = NULL;
    OK(eden_writer_create(&w, error));
    OK(eden_writer_tensor(w, "model.layer.0/w", "F32", 1, &shape, one, error));
    OK(eden_writer_write(w, file("b"), error));
    eden_writer_destroy(w);
    REFUSED(eden_load_as(m.o, file("b"), EDEN_PARTIAL | EDEN_WEIGHTS, &r, error), EDEN_E_MISMATCH,
            "none of the 5 tensors here fits, first: tensor 'layer.0/w' is not in the file");
    REFUSED(eden_load_as(m.o, file("a"), EDEN_CONVERT, &r, error), EDEN_E_ARGUMENT, "with EDEN_WEIGHTS alone");
    REFUSED(eden_load_as(m.o, file("a"), 0, NULL, error), EDEN_E_ARGUMENT, "EDEN_LOAD_REPORT_INIT");
    REFUSED(eden_load_as(m.o, file("a"), 0, &small, error), EDEN_E_ARGUMENT, "EDEN_LOAD_REPORT_INIT");
    REFUSED(eden_load_as(NULL, file("a"), 0, &r, error), EDEN_E_ARGUMENT, "eden_load_as: optimizer is NULL");
    REFUSED(eden_load(m.o, file("a"), EDEN_PARTIAL, error), EDEN_E_ARGUMENT, "are for eden_load_as()");
    assert_memory_equal(&m, &live, sizeof m);
    assert_int_equal(eden_steps(m.o), 5);
    assert_true(r.loaded + r.missing + r.different + r.extra + r.converted == 0);
    finish(&saved, &m);
}

/* ---- other dtypes -------------------------------------------------------------------- */

static const double numbers[6] = { 1, -2.5, 0, 1.0009765625, -0.0, 6e-8 };
/* Those rounded to nearest, ties to even, by hand: 1.0009765625 is 1 + 2^-10, a number
 * of f16 and too fine for bf16; 6e-8 is one unit of f16, 2^-24. */
static const uint16_t as_bf16[6] = { 0x3f80, 0xc020, 0, 0x3f80, 0x8000, 0x3381 };
static const uint16_t as_f16[6] = { 0x3c00, 0xc100, 0, 0x3c01, 0x8000, 0x0001 };

static void write_numbers(const char *dtype, const void *data)
{
    const uint64_t shape = 6;
    eden_writer *w = NULL;
    OK(eden_writer_create(&w, error));
    OK(eden_writer_tensor(w, "w", dtype, 1, &shape, data, error));
    OK(eden_writer_write(w, file("a"), error));
    eden_writer_destroy(w);
}

static eden_optimizer *one_tensor(uint32_t dtype, uint32_t rounding, void *data)
{
    eden_optimizer *o = NULL;
    eden_tensor t = EDEN_TENSOR_INIT;
    t.data = data;
    t.dtype = t.grad_dtype = dtype;
    t.rounding = rounding;
    t.ndim = 1, t.shape[0] = 6;
    OK(eden_optimizer_create(&o, "adam", NULL, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    return o;
}

static void converts(const char *from, const void *data, uint32_t dtype, const void *want)
{
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    unsigned char room[24] = { 9 }, before[24];
    eden_optimizer *o = one_tensor(dtype, EDEN_NEAREST, room);
    memcpy(before, room, sizeof room);
    write_numbers(from, data);
    REFUSED(eden_load(o, file("a"), EDEN_WEIGHTS, error), EDEN_E_MISMATCH, from);
    assert_memory_equal(room, before, sizeof room);
    OK(eden_load_as(o, file("a"), EDEN_WEIGHTS | EDEN_CONVERT, &r, error));
    assert_true(r.loaded == 1 && r.converted == 1);
    assert_memory_equal(room, want, dtype == EDEN_F32 ? 24 : 12);
    eden_optimizer_destroy(o);
}

static void test_converted(void **state)
{
    float floats[6], from_bf16[6], from_f16[6];
    (void)state;
    for (int i = 0; i < 6; i++) {
        const uint32_t bits = (uint32_t)as_bf16[i] << 16;
        floats[i] = (float)numbers[i];
        memcpy(&from_bf16[i], &bits, 4);
        from_f16[i] = i < 5 ? floats[i] : 0x1p-24f;
    }
    converts("F64", numbers, EDEN_F32, floats);
    converts("F64", numbers, EDEN_BF16, as_bf16);
    converts("F64", numbers, EDEN_F16, as_f16);
    converts("F32", floats, EDEN_BF16, as_bf16);
    converts("F32", floats, EDEN_F16, as_f16);
    converts("BF16", as_bf16, EDEN_F32, from_bf16);
    converts("F16", as_f16, EDEN_F32, from_f16);
    const uint16_t both[6] = { 0x3f80, 0xc020, 0, 0x3f80, 0x8000, 0x3380 };
    converts("F16", as_f16, EDEN_BF16, both);
}

/* Too large is refused where it is; what was infinite stays so; integers are no weights. */
static void test_unconverted(void **state)
{
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    float f[6] = { 1, 2, 3, 65520, 5, 6 };
    double d[6] = { 1, 1e39, 0, 0, 0, 0 };
    uint16_t w[6] = { 7, 7, 7, 7, 7, 7 };
    const int32_t whole[6] = { 1, 2, 3, 4, 5, 6 };
    (void)state;
    eden_optimizer *o = one_tensor(EDEN_F16, EDEN_NEAREST, w);
    write_numbers("F32", f);
    REFUSED(eden_load_as(o, file("a"), EDEN_WEIGHTS | EDEN_CONVERT, &r, error), EDEN_E_VALUE,
            "tensor 'w' has 6.552e+04 at element 3, which is too large for F16");
    write_numbers("F64", d);
    REFUSED(eden_load_as(o, file("a"), EDEN_WEIGHTS | EDEN_CONVERT, &r, error), EDEN_E_VALUE,
            "has 1e+39 at element 1");
    write_numbers("I32", whole);
    REFUSED(eden_load_as(o, file("a"), EDEN_WEIGHTS | EDEN_CONVERT, &r, error), EDEN_E_MISMATCH,
            "tensor 'w' is I32 in the file and F16 here");
    assert_int_equal(w[0], 7);
    f[3] = INFINITY, f[4] = -INFINITY, f[5] = NAN;
    write_numbers("F32", f);
    OK(eden_load_as(o, file("a"), EDEN_WEIGHTS | EDEN_CONVERT, &r, error));
    assert_true(w[3] == 0x7c00 && w[4] == 0xfc00 && (w[5] & 0x7fff) > 0x7c00);
    eden_optimizer_destroy(o);
}

/* What is kept beside a tensor that was left out stays; beside one that was loaded it
 * begins again. */
static void test_masters(void **state)
{
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    uint16_t w[6] = { 0x3f80, 0x3f80, 0x3f80, 0x3f80, 0x3f80, 0x3f80 }, other[1] = { 0x3f80 };
    uint16_t g[6] = { 0x3f80, 0x3f80, 0x3f80, 0x3f80, 0x3f80, 0x3f80 };
    (void)state;
    eden_optimizer *o = one_tensor(EDEN_BF16, EDEN_MASTER, w);
    eden_tensor t = EDEN_TENSOR_INIT;
    t.data = other, t.grad = g;
    t.dtype = t.grad_dtype = EDEN_BF16;
    t.rounding = EDEN_MASTER;
    t.ndim = 1, t.shape[0] = 1;
    OK(eden_add_tensor(o, "left", &t, NULL, error));
    OK(eden_set_grad(o, "w", g, error));
    for (int i = 0; i < 3; i++) OK(eden_step(o, error));
    OK(eden_save(o, file("b"), 0, error));
    write_numbers("F64", numbers);
    OK(eden_load_as(o, file("a"), EDEN_WEIGHTS | EDEN_PARTIAL | EDEN_CONVERT, &r, error));
    assert_true(r.loaded == 1 && r.converted == 1 && r.missing == 1);
    OK(eden_save(o, file("c"), 0, error));

    float before, left, begun[6];
    eden_file *f = NULL;
    OK(eden_file_open(&f, file("b"), error));
    OK(eden_file_read(f, eden_file_find(f, "left@master"), &before, 4, error));
    eden_file_close(f);
    OK(eden_file_open(&f, file("c"), error));
    OK(eden_file_read(f, eden_file_find(f, "left@master"), &left, 4, error));
    OK(eden_file_read(f, eden_file_find(f, "w@master"), begun, 24, error));
    eden_file_close(f);
    assert_true(left == before && before != 1);
    assert_true(begun[1] == -2.5f && begun[3] == 1);
    eden_optimizer_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_everything_fits), IN_FOLDER(test_left_out),    IN_FOLDER(test_extra),
        IN_FOLDER(test_weights_unwanted), IN_FOLDER(test_state_unwanted),
        IN_FOLDER(test_still_refused),   IN_FOLDER(test_converted),   IN_FOLDER(test_unconverted),
        IN_FOLDER(test_masters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
