/* mpi_bits.c - W ranks make the bits of one that is given the mean of their gradients:
 * every rule, every way to store a tensor, clipping, tensors smaller than W, empty,
 * frozen, without a gradient. Every rank keeps an optimizer of its own beside that of
 * all, and compares weights and copies after each step. */
#include "tests/mpi/check.h"

typedef struct {
    const char *name;
    uint32_t dtype, grad, state, rounding, copy;
    int zero, clip;
} storage;

static const storage storages[] = {
    { "f32", EDEN_F32, EDEN_F32, EDEN_F32, EDEN_NEAREST, EDEN_BF16, 1, 1 },
    { "f32, not clipped", EDEN_F32, EDEN_F32, EDEN_F32, EDEN_NEAREST, 0, 0, 0 },
    { "g bf16, clipped", EDEN_F32, EDEN_BF16, EDEN_F32, EDEN_NEAREST, EDEN_F16, 1, 1 },
    { "g s bf16", EDEN_F32, EDEN_BF16, EDEN_BF16, EDEN_NEAREST, 0, 0, 0 },
    { "g f16, s f16", EDEN_F32, EDEN_F16, EDEN_F16, EDEN_NEAREST, 0, 1, 0 },
    { "s q8", EDEN_F32, EDEN_F32, EDEN_Q8, EDEN_NEAREST, 0, 0, 1 },
    { "bf16", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_NEAREST, 0, 0, 0 },
    { "bf16, s q8", EDEN_BF16, EDEN_F16, EDEN_Q8, EDEN_NEAREST, 0, 1, 0 },
    { "master bf16", EDEN_BF16, EDEN_BF16, EDEN_F32, EDEN_MASTER, 0, 1, 0 },
    { "master f16, s q8", EDEN_F16, EDEN_F16, EDEN_Q8, EDEN_MASTER, 0, 0, 0 },
    { "split", EDEN_BF16, EDEN_BF16, EDEN_F32, EDEN_SPLIT, EDEN_F16, 0, 0 },
    { "stochastic bf16", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_STOCHASTIC, 0, 0, 0 },
    { "stochastic f16, s q8", EDEN_F16, EDEN_F32, EDEN_Q8, EDEN_STOCHASTIC, EDEN_F16, 0, 0 },
    { "kahan f16", EDEN_F16, EDEN_F16, EDEN_F32, EDEN_KAHAN, 0, 0, 1 },
};
enum { STORAGES = sizeof storages / sizeof *storages };

static const struct { const char *rule, *settings; int lookahead; } extras[] = {
    { "adamw", "amsgrad=raw", 0 },        { "rmsprop", "centered=1, momentum=0.9", 0 },
    { "sgd", "momentum=0.9", 0 },         { "sgd", "momentum=0.9, lookahead=1", 1 },
    { "adafactor", "beta1=0.9", 0 },      { "adafactor", "min_factored=1000", 0 },
};
enum { EXTRAS = sizeof extras / sizeof *extras };

enum { TENSORS = 10, STEPS = 3 };
static const struct { const char *name; uint64_t rows, cols; int frozen, absent; uint32_t matrices; } shapes[TENSORS] = {
    { "long", 1, 37000, 0, 0, 0 },   { "matrix", 300, 130, 0, 0, 0 }, { "bias", 1, 3, 0, 0, 0 },
    { "empty", 0, 4, 0, 0, 0 },      { "frozen", 1, 100, 1, 0, 0 },   { "absent", 1, 500, 0, 1, 0 },
    { "wide", 5, 7000, 0, 0, 0 },    { "one", 1, 1, 0, 0, 0 },
    /* The rows of so many matrices: several to a piece, and several pieces to each. */
    { "small matrices", 64 * 20, 30, 0, 0, 64 }, { "large matrices", 3 * 100, 171, 0, 0, 3 },
};
#define MOST 52000

/* The arrays of one optimizer. */
typedef struct { void *data[TENSORS], *grad[TENSORS], *copy[TENSORS]; eden_optimizer *o; } side;

static size_t width_of(uint32_t dtype) { return dtype == EDEN_F32 ? 4 : 2; }

static void fill(void *to, uint32_t dtype, uint64_t count, uint64_t seed, float scale)
{
    static float values[MOST];
    for (uint64_t i = 0; i < count; i++) values[i] = coarse(seed * 1000003 + i) * scale;
    CHECK(eden_convert(to, dtype, values, EDEN_F32, count) == EDEN_OK, "eden_convert");
}

/* What this rank has in each step, and the mean of what all have, added up in floats and
 * exact but for the division. */
static float (*own)[TENSORS][MOST], (*mean)[TENSORS][MOST];

static void make_gradients(void)
{
    own = malloc(STEPS * sizeof *own);
    mean = malloc(STEPS * sizeof *mean);
    CHECK(own && mean, "no memory");
    for (uint64_t step = 0; step < STEPS; step++)
        for (uint64_t i = 0; i < TENSORS; i++)
            for (uint64_t k = 0; k < shapes[i].rows * shapes[i].cols; k++) {
                float sum = 0;
                for (int r = 0; r < all_ranks(); r++) {
                    const float g = coarse((step * 100 + i * 10 + (uint64_t)r) * 1000003 + k);
                    if (r == my_rank()) own[step][i][k] = g;
                    sum += g;
                }
                mean[step][i][k] = sum / (float)all_ranks();
            }
}

static void put_gradients(const side *s, uint32_t dtype, float (*from)[MOST])
{
    for (size_t i = 0; i < TENSORS; i++)
        CHECK(eden_convert(s->grad[i], dtype, from[i], EDEN_F32, shapes[i].rows * shapes[i].cols) == EDEN_OK, "eden_convert");
}

static void add_tensors(side *s, const storage *st)
{
    for (size_t i = 0; i < TENSORS; i++) {
        const uint64_t count = shapes[i].rows * shapes[i].cols;
        eden_tensor t = EDEN_TENSOR_INIT;
        s->data[i] = calloc(count + 1, 4), s->grad[i] = calloc(count + 1, 4), s->copy[i] = calloc(count + 1, 4);
        fill(s->data[i], st->dtype, count, 7 + i, 0.25f);
        t.data = s->data[i];
        t.grad = shapes[i].absent ? NULL : s->grad[i];
        t.copy = st->copy ? s->copy[i] : NULL;
        t.copy_dtype = st->copy;
        t.dtype = st->dtype, t.grad_dtype = st->grad, t.state_dtype = st->state, t.rounding = st->rounding;
        t.flags = EDEN_GRAD_WRITABLE | (shapes[i].frozen ? EDEN_FROZEN : 0);
        t.ndim = 2, t.shape[0] = shapes[i].rows, t.shape[1] = shapes[i].cols;
        if (shapes[i].matrices) {
            t.flags |= EDEN_MATRICES, t.ndim = 3, t.shape[2] = shapes[i].cols;
            t.shape[0] = shapes[i].matrices, t.shape[1] = shapes[i].rows / shapes[i].matrices;
        }
        OK(eden_add_tensor(s->o, shapes[i].name, &t, NULL, error));
    }
}

static void drop(side *s)
{
    eden_optimizer_destroy(s->o);
    for (size_t i = 0; i < TENSORS; i++) free(s->data[i]), free(s->grad[i]), free(s->copy[i]);
}

static int is_zero(const void *at, size_t bytes)
{
    const unsigned char *b = at;
    while (bytes && !*b) b++, bytes--;
    return bytes == 0;
}

static void compare(const side *ours, const side *alone, const storage *st, const char *rule, int step)
{
    for (size_t i = 0; i < TENSORS; i++) {
        const uint64_t count = shapes[i].rows * shapes[i].cols;
        CHECK(memcmp(ours->data[i], alone->data[i], count * width_of(st->dtype)) == 0,
              "%s, %s: weights '%s' differ in step %d", rule, st->name, shapes[i].name, step);
        CHECK(memcmp(ours->copy[i], alone->copy[i], count * 2) == 0, "%s, %s: copies '%s' differ in step %d", rule,
              st->name, shapes[i].name, step);
        CHECK(!st->zero || shapes[i].absent || is_zero(ours->grad[i], count * width_of(st->grad)),
              "%s, %s: the gradient of '%s' is not zero", rule, st->name, shapes[i].name);
    }
    CHECK(eden_grad_norm(ours->o) == eden_grad_norm(alone->o), "%s, %s: the norms differ", rule, st->name);
}

/* Gradients may go early, in any order, and not all. */
static void make_ready(eden_optimizer *o, int step)
{
    static const int orders[3][3] = { { 7, 6, 5 }, { 1, 7, 0 }, { -1, -1, -1 } };
    for (int k = 0; k < 3; k++)
        if (orders[step % 3][k] >= 0) OK(eden_mpi_grad_ready(o, shapes[orders[step % 3][k]].name, error));
}

/* 0 if the rule cannot have such storage, which both must say. */
static int run(const char *rule, const char *settings, int lookahead, const storage *st, int early)
{
    side ours = { .o = NULL }, alone = { .o = NULL };
    eden_config config = EDEN_CONFIG_INIT;
    eden_mpi_config mpi = EDEN_MPI_CONFIG_INIT;
    mpi.bucket_bytes = 4 * 65536 + 4096;
    mpi.timeout = 60;
    config.zero_grad = (uint32_t)st->zero, config.clip_norm = st->clip ? 40 : 0, config.threads = 1, config.seed = 5;
    OK(eden_mpi_optimizer_create(&ours.o, MPI_COMM_WORLD, rule, &config, &mpi, error));
    OK(eden_optimizer_create(&alone.o, rule, &config, error));
    if (settings) OK(eden_set_text(ours.o, NULL, settings, error));
    if (settings) OK(eden_set_text(alone.o, NULL, settings, error));
    add_tensors(&ours, st);
    add_tensors(&alone, st);
    int ran = 1;
    for (int step = 0; step < STEPS && ran; step++) {
        eden_error a = { 0, "" }, b = { 0, "" };
        if (lookahead) {
            const eden_status s = eden_lookahead_begin(alone.o, &a), mine = eden_lookahead_begin(ours.o, &b);
            CHECK(s == mine, "look-ahead, %s: %d \"%s\", alone %d \"%s\"", st->name, mine, b.text, s, a.text);
            if ((ran = s == EDEN_OK) == 0) break;
            compare(&ours, &alone, &(storage){ st->name, st->dtype, st->grad, 0, 0, 0, 0, 0 }, rule, step);
        }
        put_gradients(&ours, st->grad, own[step]);
        put_gradients(&alone, st->grad, mean[step]);
        if (early) make_ready(ours.o, step);
        const eden_status s = eden_step(alone.o, &a), mine = eden_step(ours.o, &b);
        CHECK(s == mine, "%s, %s: %d \"%s\", alone %d \"%s\"", rule, st->name, mine, b.text, s, a.text);
        ran = s == EDEN_OK;
        if (ran) compare(&ours, &alone, st, rule, step);
    }
    drop(&ours);
    drop(&alone);
    return ran;
}

int main(int argc, char **argv)
{
    int ran = 0, refused = 0;
    MPI_Init(&argc, &argv);
    make_gradients();
    for (size_t s = 0; s < STORAGES; s++) {
        for (size_t i = 0; i < eden_rule_count(); i++)
            if (run(eden_rule_name(eden_rule_at(i)), NULL, 0, &storages[s], (int)(s + i) % 2)) ran++;
            else refused++;
        for (size_t i = 0; i < EXTRAS; i++)
            if (run(extras[i].rule, extras[i].settings, extras[i].lookahead, &storages[s], (int)i % 2)) ran++;
            else refused++;
    }
    CHECK(ran > 150 && refused < 20, "%d runs, %d refused", ran, refused);
    if (my_rank() == 0) printf("%d runs on %d ranks, %d refused\n", ran, all_ranks(), refused);
    MPI_Finalize();
    return 0;
}
