/* test_checkpoint_rows.c - files that are well formed and wrong for this run. The rows are
 * numbered C01 to C12; C11, other data, is the lab's and tested by test_cli_resume.py; C07, settings, is
 * test_checkpoint_settings.c. */
#include "tests/checkpoint_small.h"

#include <math.h>

/* Save one, load it into the other, which has to refuse in these words and stay as it is. */
static void refuse(small *from, small *to, uint32_t parts, const char *const *words, size_t count)
{
    eden_error e = { 0, "" };
    OK(eden_save(from->o, file("a"), 0, error));
    OK(eden_save(to->o, file("before"), 0, error));
    assert_int_equal(eden_load(to->o, file("a"), parts, &e), EDEN_E_MISMATCH);
    for (size_t i = 0; i < count; i++)
        if (!strstr(e.text, words[i])) fail_msg("'%s' lacks '%s'", e.text, words[i]);
    OK(eden_save(to->o, file("after"), 0, error));
    same_files(file("before"), file("after"), e.text);
    eden_optimizer_destroy(from->o);
    eden_optimizer_destroy(to->o);
}

#define REFUSE(from, to, parts, ...)                                             \
    do {                                                                         \
        const char *const words_[] = { __VA_ARGS__ };                            \
        refuse(from, to, parts, words_, sizeof words_ / sizeof *words_);         \
    } while (0)

static void test_c01_missing_and_extra(void **state)
{
    small a, b;
    (void)state;
    begin(&a, "adam"), begin(&b, "adam");
    with(&a, "both", 2, 3), with(&a, "extra.1", 2, 0), with(&a, "shape", 2, 3), with(&a, "extra.2", 1, 0);
    with(&b, "missing.1", 2, 0), with(&b, "both", 2, 3), with(&b, "shape", 3, 2), with(&b, "missing.2", 1, 0);
    REFUSE(&a, &b, 0, "tensor 'missing.1' is not in the file", "tensor 'missing.2' is not in the file",
           "the file's tensor 'extra.1' is not here", "the file's tensor 'extra.2' is not here",
           "tensor 'shape' is [2, 3] in the file and [3, 2] here");
}

static void test_c02_shapes(void **state)
{
    static const struct { uint64_t rows, cols, rows_here, cols_here; } shapes[] = {
        { 1, 0, 3, 0 }, { 3, 0, 1, 0 }, { 2, 3, 3, 2 }, { 6, 0, 2, 3 }, { 2, 3, 6, 0 }, { 1, 3, 3, 0 },
        { 1, 1, 2, 2 }, { 0, 3, 3, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (uint32_t parts = 0; parts < 3; parts++) {
            small a, b;
            begin(&a, "adam"), begin(&b, "adam");
            with(&a, "w", shapes[i].rows, shapes[i].cols);
            with(&b, "w", shapes[i].rows_here, shapes[i].cols_here);
            REFUSE(&a, &b, parts, "'w' is [");
        }
}

static void test_c03_dtypes(void **state)
{
    static const char *const names[] = { "layer.0/w", "layer.0/w@m" }, *const dtypes[] = { "I32", "U32" };
    model saved, m;
    (void)state;
    create(&saved, "adam", "sgd", NULL), create(&m, "adam", "sgd", NULL);
    OK(eden_save(saved.o, file("a"), 0, error));
    for (int n = 0; n < 2; n++)
        for (int d = 0; d < 2; d++)
            REFUSED(eden_load(m.o, changed(file("a"), (change){ .entry = names[n], .dtype = dtypes[d] }), 0, error),
                    EDEN_E_MISMATCH, "in the file and F32 here");
    destroy(&saved), destroy(&m);
    static double wide[6];
    static float w[6];
    const uint64_t shape = 6;
    eden_writer *writer = NULL;
    eden_optimizer *o = NULL;
    const eden_tensor t = eden_vector(w, NULL, 6);
    OK(eden_writer_create(&writer, error));
    OK(eden_writer_tensor(writer, "w", "F64", 1, &shape, wide, error));
    OK(eden_writer_write(writer, file("b"), error));
    eden_writer_destroy(writer);
    OK(eden_optimizer_create(&o, "adam", NULL, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    REFUSED(eden_load(o, file("b"), EDEN_WEIGHTS, error), EDEN_E_MISMATCH, "'w' is F64 in the file and F32 here");
    eden_optimizer_destroy(o);
}

/* By name: the order is nobody's business, and a renamed tensor is another one. */
static void test_c04_names(void **state)
{
    small a, b;
    (void)state;
    begin(&a, "adam"), begin(&b, "adam");
    with(&a, "x", 4, 0), with(&a, "y", 4, 0);
    with(&b, "y", 4, 0), with(&b, "x", 4, 0);
    OK(eden_step(a.o, error));
    OK(eden_save(a.o, file("a"), 0, error));
    OK(eden_load(b.o, file("a"), 0, error));
    assert_memory_equal(b.data, a.data + 4, 16); /* y is first here */
    assert_memory_equal(b.data + 4, a.data, 16);
    eden_optimizer_destroy(b.o);
    begin(&b, "adam");
    with(&b, "x", 4, 0), with(&b, "z", 4, 0);
    REFUSE(&a, &b, 0, "tensor 'z' is not in the file", "the file's tensor 'y' is not here");
}

static void test_c05_other_rules(void **state)
{
    int pairs = 0;
    (void)state;
    for (size_t i = 0; i < eden_rule_count(); i++)
        for (size_t k = 0; k < eden_rule_count(); k++) {
            small a, b;
            if (i == k) continue;
            begin(&a, eden_rule_name(eden_rule_at(i))), begin(&b, eden_rule_name(eden_rule_at(k)));
            with(&a, "w", 4, 4), with(&b, "w", 4, 4);
            OK(eden_step(a.o, error));
            REFUSE(&a, &b, (uint32_t)(k % 2 ? EDEN_OPTIM : 0), "group 'default' uses ");
            pairs++;
        }
    assert_true(pairs >= 56);
}

static void test_c06_groups(void **state)
{
    small a, b;
    (void)state;
    for (int swap = 0; swap < 2; swap++) {
        begin(&a, "adam"), begin(&b, "adam");
        OK(eden_add_group((swap ? b : a).o, "more", NULL, NULL, error));
        with(&a, "w", 4, 0), with(&b, "w", 4, 0);
        REFUSE(&a, &b, 0, swap ? "group 'more' is not in the file" : "the file's group 'more' is not here");
    }
    begin(&a, "adam"), begin(&b, "adam");
    OK(eden_add_group(a.o, "g", NULL, NULL, error));
    OK(eden_add_group(b.o, "g", NULL, NULL, error));
    with(&a, "w", 4, 0);
    eden_tensor t = eden_vector(b.data, b.grad, 4);
    OK(eden_add_tensor(b.o, "w", &t, "g", error));
    REFUSE(&a, &b, 0, "tensor 'w' is in group 'default' in the file and in 'g' here");
}

/* ---- state and counters -------------------------------------------------------------------- */

/* Write file("a") with element 7 of an entry changed to file("b"). */
static const char *spoiled(const char *entry, float value)
{
    eden_file *in = NULL;
    eden_writer *out = NULL;
    const char *key;
    void *kept[64];
    OK(eden_file_open(&in, file("a"), error));
    OK(eden_writer_create(&out, error));
    for (size_t i = 0; i < eden_file_count(in); i++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        OK(eden_file_at(in, i, &t, error));
        kept[i] = calloc((size_t)t.bytes + 1, 1);
        OK(eden_file_read(in, i, kept[i], t.bytes, error));
        if (strcmp(t.name, entry) == 0) memcpy((char *)kept[i] + 7 * sizeof value, &value, sizeof value);
        OK(eden_writer_tensor(out, t.name, t.dtype, t.ndim, t.shape, kept[i], error));
    }
    for (size_t i = 0; (key = eden_file_key(in, i)); i++)
        OK(eden_writer_text(out, key, eden_file_value(in, key), error));
    OK(eden_writer_write(out, file("b"), error));
    for (size_t i = 0; i < eden_file_count(in); i++) free(kept[i]);
    eden_writer_destroy(out);
    eden_file_close(in);
    return file("b");
}

static void test_c08_state(void **state)
{
    small a, b;
    (void)state;
    for (size_t r = 0; r < eden_rule_count(); r++) {
        const char *rule = eden_rule_name(eden_rule_at(r));
        const eden_slot *slot;
        begin(&a, rule), begin(&b, rule);
        with(&a, "w", 4, 8), with(&b, "w", 4, 8);
        OK(eden_save(a.o, file("c"), 0, error)); /* before the first step */
        OK(eden_step(a.o, error));
        for (size_t i = 0; (slot = eden_rule_slot(eden_rule_at(r), i)); i++) {
            char name[64];
            uint64_t count = 0;
            if (slot->kind != EDEN_STATE || eden_get_state(a.o, "w", slot->name, NULL, 0, &count, NULL) || count < 8)
                continue;
            snprintf(name, sizeof name, "w@%s", slot->name);
            OK(eden_save(a.o, file("a"), 0, error));
            REFUSED(eden_load(b.o, spoiled(name, NAN), 0, error), EDEN_E_FORMAT, "of 'w' is NaN at element 7");
            REFUSED(eden_load(b.o, spoiled(name, -INFINITY), 0, error), EDEN_E_FORMAT, "is infinite at element 7");
            if (slot->square)
                REFUSED(eden_load(b.o, spoiled(name, -1e-30f), 0, error), EDEN_E_FORMAT, "squares are never negative");
            else
                OK(eden_load(b.o, spoiled(name, -1e-30f), 0, error));
            OK(eden_load(b.o, spoiled(name, -0.0f), 0, error));
            assert_int_equal(rename(file("a"), file("d")), 0);
            assert_int_equal(rename(file("c"), file("a")), 0);
            REFUSED(eden_load(b.o, spoiled(name, 1e-30f), 0, error), EDEN_E_FORMAT, "has not taken a step");
            OK(eden_load(b.o, spoiled(name, 0), 0, error));
            assert_int_equal(rename(file("a"), file("c")), 0);
        }
        eden_optimizer_destroy(a.o);
        eden_optimizer_destroy(b.o);
    }
}

/* Under EDEN_APPLY a NaN is what the program asked for, and comes back. */
static void test_c08_apply(void **state)
{
    eden_config c = EDEN_CONFIG_INIT;
    float w[8] = { 0 }, g[8] = { NAN }, back[8];
    eden_optimizer *o = NULL;
    uint64_t n;
    const eden_tensor t = eden_vector(w, g, 8);
    (void)state;
    c.nonfinite = EDEN_APPLY;
    OK(eden_optimizer_create(&o, "adam", &c, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_step(o, error));
    OK(eden_save(o, file("a"), 0, error));
    OK(eden_load(o, file("a"), 0, error));
    OK(eden_get_state(o, "w", "m", back, 8, &n, error));
    assert_true(isnan(back[0]) && back[1] == 0);
    eden_optimizer_destroy(o);
}

/* Weights of 16 bits are their masters, rounded. */
static void test_c08_masters(void **state)
{
    uint16_t w[32], g[32];
    eden_optimizer *o = NULL;
    eden_tensor t = EDEN_TENSOR_INIT;
    (void)state;
    for (int i = 0; i < 32; i++) w[i] = g[i] = 0x3f80;
    t.data = w, t.grad = g;
    t.dtype = t.grad_dtype = EDEN_BF16;
    t.rounding = EDEN_MASTER;
    t.ndim = 1, t.shape[0] = 32;
    OK(eden_optimizer_create(&o, "adam", NULL, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_step(o, error));
    OK(eden_save(o, file("a"), 0, error));
    OK(eden_load(o, file("a"), 0, error));
    REFUSED(eden_load(o, spoiled("w@master", 0.5f), 0, error), EDEN_E_FORMAT,
            "state 'master' of 'w' is 0.5 at element 7, and the weight is not that, rounded");
    OK(eden_load(o, spoiled("w@master", 0.5f), EDEN_OPTIM, error)); /* of weights that are elsewhere */
    eden_optimizer_destroy(o);
}

static void test_c09_counters(void **state)
{
    static const char *const bad[] = { "-1", "1.5", "", " 3", "3 ", "+3", "0x3", "1e3", "03", "18446744073709551616",
                                       "nan" };
    static const char *const good[] = { "0", "9007199254740993", "4294967296", "16777217", "18446744073709551615" };
    static const char *const names[] = { "eden.steps", "eden.skipped", "eden.steps.w" };
    small a, b;
    uint64_t steps;
    (void)state;
    begin(&a, "sgd"), begin(&b, "sgd");
    with(&a, "w", 4, 0), with(&b, "w", 4, 0);
    OK(eden_save(a.o, file("a"), 0, error));
    for (int n = 0; n < 3; n++) {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            REFUSED(eden_load(b.o, changed(file("a"), (change){ .key = names[n], .value = bad[i] }), 0, error),
                    EDEN_E_FORMAT, names[n]);
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
            const change most = { .key = "eden.steps", .value = "18446744073709551615" };
            const char *from = n == 2 ? changed(file("a"), most) : file("a"); /* a tensor has no more steps */
            OK(eden_load(b.o, changed(from, (change){ .key = names[n], .value = good[i] }), 0, error));
            OK(eden_tensor_steps(b.o, "w", &steps, error));
            if (n == 0) steps = eden_steps(b.o);
            if (n == 1) steps = eden_skipped(b.o);
            assert_true(steps == strtoull(good[i], NULL, 10));
        }
    }
    REFUSED(eden_step(b.o, error), EDEN_E_OVERFLOW, "2^64 - 1");
    eden_optimizer_destroy(a.o);
    eden_optimizer_destroy(b.o);
}

/* ---- schedules, formats ------------------------------------------------------------------------ */

/* Whatever step a run is resumed after, the rate of each later step is the one it would
 * have had. */
static void test_c10_schedules(void **state)
{
    static const char *const schedules[] = { "warmup(3) * cosine(12, end=0.1)", "plateau(0.5, 1, 0.01, 0.1)",
                                             "sequence(linear(4), 4, plateau(0.9, 0), 3, step(2, 0.5))" };
    (void)state;
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++)
        for (int k = 0; k < 12; k++) {
            small a, b;
            double x, y;
            begin(&a, "sgd"), begin(&b, "sgd");
            with(&a, "w", 4, 0), with(&b, "w", 4, 0);
            OK(eden_schedule(a.o, NULL, "lr", schedules[i], error));
            for (int s = 0; s < 12; s++) {
                if (s == k) OK(eden_save(a.o, file("a"), 0, error));
                if (s == k) OK(eden_load(b.o, file("a"), 0, error));
                OK(eden_get_at(a.o, NULL, "lr", (uint64_t)s + 1, &x, error));
                if (s >= k) OK(eden_get_at(b.o, NULL, "lr", (uint64_t)s + 1, &y, error));
                if (s >= k && x != y) fail_msg("%s resumed after %d: step %d", schedules[i], k, s + 1);
                OK(eden_step(a.o, error));
                OK(eden_report(a.o, (double)(s * 7 % 5), error));
                if (s >= k) OK(eden_step(b.o, error));
                if (s >= k) OK(eden_report(b.o, (double)(s * 7 % 5), error));
            }
            assert_memory_equal(a.data, b.data, sizeof a.data);
            eden_optimizer_destroy(a.o);
            eden_optimizer_destroy(b.o);
        }
}

static void test_c12_formats(void **state)
{
    static const char *const formats[] = { "2", "0", "1.1", "", "one", "01", "18446744073709551616" };
    small a, b;
    char part[80];
    (void)state;
    begin(&a, "sgd"), begin(&b, "sgd");
    with(&a, "w", 4, 0), with(&b, "w", 4, 0);
    OK(eden_save(a.o, file("a"), 0, error));
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        snprintf(part, sizeof part, "format '%.20s', by Eden 0.1.0; Eden 0.1.0 reads format 1", formats[i]);
        REFUSED(eden_load(b.o, changed(file("a"), (change){ .key = "eden.format", .value = formats[i] }), 0, error),
                EDEN_E_MISMATCH, part);
    }
    OK(eden_load(b.o, changed(file("a"), (change){ .key = "eden.format" }), EDEN_WEIGHTS, error)); /* foreign */
    REFUSED(eden_load(b.o, changed(file("a"), (change){ .key = "eden.sparsity", .value = "2:4" }), 0, error),
            EDEN_E_MISMATCH, "the file says eden.sparsity, which Eden 0.1.0 does not know");
    OK(eden_load(b.o, changed(file("a"), (change){ .key = "my.sparsity", .value = "2:4" }), 0, error));
    eden_optimizer_destroy(a.o);
    eden_optimizer_destroy(b.o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_c01_missing_and_extra), IN_FOLDER(test_c02_shapes), IN_FOLDER(test_c03_dtypes),
        IN_FOLDER(test_c04_names),    IN_FOLDER(test_c05_other_rules), IN_FOLDER(test_c06_groups),
        IN_FOLDER(test_c08_state),    IN_FOLDER(test_c08_apply),
        IN_FOLDER(test_c08_masters),  IN_FOLDER(test_c09_counters),    IN_FOLDER(test_c10_schedules),
        IN_FOLDER(test_c12_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
