/* test_load_long.c - loading what is longer than a block or as long as may be: names, and
 * numbers of another dtype; and the seed, whichever tensor wants it. */
#include <math.h>

#include "tests/checkpoint_model.h"

/* The longest name has state, and its neighbour of one letter less has other state. */
static void test_names(void **state)
{
    char name[2][256];
    float w[2][2] = { { 1, 2 }, { 3, 4 } }, g[2][2] = { { 1, -1 }, { 2, 3 } }, m[2];
    uint64_t count = 0;
    (void)state;
    for (int round = 0; round < 2; round++) {
        eden_optimizer *o = NULL;
        OK(eden_optimizer_create(&o, "adam", NULL, error));
        for (size_t i = 0; i < 2; i++) {
            memset(name[i], 'n', 255 - i);
            name[i][255 - i] = 0;
            const eden_tensor t = eden_vector(w[i], g[i], 2);
            OK(eden_add_tensor(o, name[i], &t, NULL, error));
        }
        if (round == 0) {
            OK(eden_step(o, error));
            OK(eden_save(o, file("a"), 0, error));
        } else {
            OK(eden_load(o, file("a"), 0, error));
            for (size_t i = 0; i < 2; i++) { /* (1 - beta1) g */
                OK(eden_get_state(o, name[i], "m", m, 2, &count, error));
                assert_true(count == 2 && fabsf(m[0] - 0.1f * g[i][0]) < 1e-6f && fabsf(m[1] - 0.1f * g[i][1]) < 1e-6f);
            }
        }
        eden_optimizer_destroy(o);
    }
}

/* One tensor of many that rounds by chance is enough. */
static void test_seed(void **state)
{
    static const struct { int chance[3]; const char *seed; } cases[] = {
        { { 0, 0, 0 }, NULL }, { { 1, 0, 0 }, "77" }, { { 0, 1, 0 }, "77" }, { { 0, 0, 1 }, "77" },
    };
    uint16_t w[3][2] = { { 0x3f80, 0x3f80 }, { 0x3f80, 0x3f80 }, { 0x3f80, 0x3f80 } };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        eden_config config = EDEN_CONFIG_INIT;
        eden_optimizer *o = NULL;
        eden_file *f = NULL;
        config.seed = 77;
        OK(eden_optimizer_create(&o, "sgd", &config, error));
        for (size_t i = 0; i < 3; i++) {
            const char name[2] = { (char)('a' + i), 0 };
            eden_tensor t = EDEN_TENSOR_INIT;
            t.data = w[i], t.ndim = 1, t.shape[0] = 2, t.dtype = EDEN_BF16;
            t.rounding = cases[c].chance[i] ? EDEN_STOCHASTIC : EDEN_NEAREST;
            OK(eden_add_tensor(o, name, &t, NULL, error));
        }
        OK(eden_save(o, file("a"), 0, error));
        OK(eden_file_open(&f, file("a"), error));
        const char *seed = eden_file_value(f, "eden.seed");
        if (cases[c].seed) assert_string_equal(seed, cases[c].seed);
        else assert_null(seed);
        eden_file_close(f);
        eden_optimizer_destroy(o);
    }
}

/* ---- other dtypes, over several blocks ----------------------------------------------------- */

enum { N = 1000 };

static void write_numbers(const char *dtype, const void *data)
{
    const uint64_t shape = N;
    eden_writer *w = NULL;
    OK(eden_writer_create(&w, error));
    OK(eden_writer_tensor(w, "w", dtype, 1, &shape, data, error));
    OK(eden_writer_write(w, file("a"), error));
    eden_writer_destroy(w);
}

static eden_status load(uint32_t dtype, void *to, eden_error *e)
{
    eden_optimizer *o = NULL;
    eden_tensor t = EDEN_TENSOR_INIT;
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    t.data = to, t.ndim = 1, t.shape[0] = N, t.dtype = dtype;
    OK(eden_optimizer_create(&o, "sgd", NULL, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    const eden_status status = eden_load_as(o, file("a"), EDEN_WEIGHTS | EDEN_CONVERT, &r, e);
    eden_optimizer_destroy(o);
    return status;
}

/* Quarters from -125 to 124.75: exact as doubles, floats, f16; bf16 has those below 64 in
 * size, and of the others each second one. */
static double quarter(size_t i) { return ((double)i - 500) / 4; }

static void test_many_numbers(void **state)
{
    static double doubles[N];
    static float floats[N], to[N];
    static uint16_t halves[N], small[N];
    (void)state;
    for (size_t i = 0; i < N; i++) doubles[i] = quarter(i), floats[i] = (float)quarter(i);
    write_numbers("F64", doubles);
    OK(load(EDEN_F32, to, error));
    assert_memory_equal(to, floats, sizeof to);
    OK(load(EDEN_F16, halves, error));
    write_numbers("F16", halves);
    memset(to, 0, sizeof to);
    OK(load(EDEN_F32, to, error));
    assert_memory_equal(to, floats, sizeof to);
    write_numbers("F32", floats);
    OK(load(EDEN_BF16, small, error));
    write_numbers("BF16", small);
    OK(load(EDEN_F32, to, error));
    for (size_t i = 0; i < N; i++) assert_true(fabs(quarter(i)) < 64 ? to[i] == floats[i] : fabsf(to[i] - floats[i]) <= 0.25f);
}

/* The first of them that is too large is named, in whichever block it stands. */
static void test_too_large(void **state)
{
    static const size_t places[] = { 0, 255, 256, 511, 512, 767, 768, 999 };
    static double doubles[N];
    static float floats[N];
    static uint16_t to[N], zeros[N];
    (void)state;
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
        char part[64];
        for (size_t i = 0; i < N; i++) {
            doubles[i] = i < places[k] ? 1 : 1e39;
            floats[i] = i < places[k] ? 1 : 1e9f;
        }
        snprintf(part, sizeof part, "has 1e+39 at element %zu, which is too large for BF16", places[k]);
        write_numbers("F64", doubles);
        REFUSED(load(EDEN_BF16, to, error), EDEN_E_VALUE, part);
        snprintf(part, sizeof part, "has 1e+09 at element %zu, which is too large for F16", places[k]);
        write_numbers("F32", floats);
        REFUSED(load(EDEN_F16, to, error), EDEN_E_VALUE, part);
        assert_memory_equal(to, zeros, sizeof to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_names),
        IN_FOLDER(test_seed),
        IN_FOLDER(test_many_numbers),
        IN_FOLDER(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
