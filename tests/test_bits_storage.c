/* test_bits_storage.c - the same bits of whatever is stored in fewer of them.
 *
 * Steps every rule and preset with every way to store weights, gradients and state,
 * on inputs that include NaN, infinities, denormals and -0, and hashes all that a
 * step writes. Instruction sets, numbers of threads and orders of tasks have to agree
 * with the first; one digest of it all lets tests/bits.sh compare compilers and
 * processors. It needs nothing but the library, so that it can be cross-compiled.
 *
 * All NaN count as one: which of two NaN an operation passes on, and with what sign,
 * is the compiler's and the processor's choice. */
#include <eden/eden.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bits.h"
#include "tests/fpu.h"

enum { STEPS = 3, MAX_CASES = 1024 };

typedef struct { uint64_t rows, cols; } shape;

/* Blocks end at 256 values, staging at 1024 and chunks at 16384. */
static const shape shapes[] = { { 3, 5 }, { 1, 256 }, { 3, 257 }, { 33, 8 }, { 1, 2100 }, { 20, 900 } };
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* How a tensor is stored, and what else its step does. */
typedef struct {
    const char *name;
    uint32_t dtype, grad, state, rounding, copy;
    int zero, clip;
} storage;

static const storage storages[] = {
    { "f32", EDEN_F32, EDEN_F32, EDEN_F32, EDEN_NEAREST, EDEN_BF16, 1, 1 },
    { "g bf16", EDEN_F32, EDEN_BF16, EDEN_F32, EDEN_NEAREST, 0, 0, 0 },
    { "g bf16, clipped", EDEN_F32, EDEN_BF16, EDEN_F32, EDEN_NEAREST, EDEN_F16, 1, 1 },
    { "g s bf16", EDEN_F32, EDEN_BF16, EDEN_BF16, EDEN_NEAREST, 0, 0, 0 },
    { "g s bf16, clipped", EDEN_F32, EDEN_BF16, EDEN_BF16, EDEN_NEAREST, EDEN_BF16, 1, 1 },
    { "s bf16", EDEN_F32, EDEN_F32, EDEN_BF16, EDEN_NEAREST, 0, 0, 0 },
    { "g f16, s f16", EDEN_F32, EDEN_F16, EDEN_F16, EDEN_NEAREST, 0, 1, 0 },
    { "s q8", EDEN_F32, EDEN_F32, EDEN_Q8, EDEN_NEAREST, 0, 0, 1 },
    { "g bf16, s q8", EDEN_F32, EDEN_BF16, EDEN_Q8, EDEN_NEAREST, EDEN_F16, 0, 0 },
    { "bf16", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_NEAREST, 0, 0, 0 },
    { "f16", EDEN_F16, EDEN_F16, EDEN_F16, EDEN_NEAREST, EDEN_BF16, 0, 1 },
    { "bf16, s q8", EDEN_BF16, EDEN_F16, EDEN_Q8, EDEN_NEAREST, 0, 1, 0 },
    { "master bf16", EDEN_BF16, EDEN_BF16, EDEN_F32, EDEN_MASTER, 0, 1, 0 },
    { "master f16, s q8", EDEN_F16, EDEN_F16, EDEN_Q8, EDEN_MASTER, 0, 0, 0 },
    { "split", EDEN_BF16, EDEN_BF16, EDEN_F32, EDEN_SPLIT, EDEN_F16, 0, 0 },
    { "split, s bf16", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_SPLIT, 0, 1, 1 },
    { "stochastic bf16", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_STOCHASTIC, 0, 0, 0 },
    { "stochastic f16, s q8", EDEN_F16, EDEN_F32, EDEN_Q8, EDEN_STOCHASTIC, EDEN_F16, 0, 0 },
    { "kahan bf16", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_KAHAN, 0, 0, 0 },
    { "kahan f16", EDEN_F16, EDEN_F16, EDEN_F32, EDEN_KAHAN, 0, 0, 1 },
};
enum { STORAGES = sizeof storages / sizeof *storages };

/* Settings that touch slots or passes which no rule or preset does by default. */
static const struct { const char *rule, *settings; } extras[] = {
    { "adamw", "amsgrad=raw" },           { "rmsprop", "centered=1, momentum=0.9" },
    { "adafactor", "beta1=0.9" },         { "adafactor", "min_factored=1000, beta1=0.9" },
    { "sgd", "momentum=0.9, lookahead=1, nesterov=0" },
};

typedef struct {
    const char *rule, *settings;
    const storage *storage;
    int wild;         /* the inputs include what is not finite */
    uint64_t hash;    /* from the first way */
} test_case;

static test_case cases[MAX_CASES];
static size_t case_count, failures, refusals;

static void need(int ok, const char *what)
{
    if (ok) return;
    printf("%s\n", what);
    exit(2);
}

/* ---- inputs ------------------------------------------------------------------------ */

static size_t size_of(uint32_t dtype) { return dtype == EDEN_F32 ? 4 : 2; }

/* 16 or 32 bits of a number of ordinary size, or seldom one that is special. */
static uint32_t stored(uint32_t dtype, uint64_t r, int wild)
{
    static const float odd[] = { 0.0f, -0.0f, 1e-40f, -1e-42f, 3e38f, -3e38f, 6e-8f, 65519.0f };
    const unsigned kind = (unsigned)(r >> 20) & 63;
    float x = number(r);
    uint32_t bits;
    if (wild && kind < 8) x = odd[kind];
    memcpy(&bits, &x, sizeof bits);
    if (wild && kind == 8) bits = (bits & 0x80000000u) | 0x7f800000u;
    if (wild && kind == 9) bits = 0x7fc00000u;
    if (dtype == EDEN_F32) return bits;
    if (dtype == EDEN_BF16) return bits >> 16;
    if (!wild || kind > 15) return (bits >> 16 & 0x83ffu) | (9u + (unsigned)(r >> 50 & 7)) << 10;
    return (uint32_t)(r >> 30) & 0xffffu; /* any half at all */
}

static void fill_stored(void *to, uint32_t dtype, uint64_t n, uint64_t seed, int wild)
{
    for (uint64_t i = 0; i < n; i++) {
        /* Only some blocks are wild, since one NaN spoils a block of 8-bit state. */
        const uint32_t bits = stored(dtype, mix(mix(seed) + i), wild && (i / 64 + seed) % 5 == 0);
        const uint16_t half = (uint16_t)bits;
        if (dtype == EDEN_F32) memcpy((char *)to + 4 * i, &bits, 4);
        else memcpy((char *)to + 2 * i, &half, 2);
    }
}

/* ---- hashes ------------------------------------------------------------------------ */

static uint64_t fnv_stored(uint64_t hash, uint32_t dtype, const void *x, uint64_t n)
{
    const uint16_t *half = x, infinity = dtype == EDEN_F16 ? 0x7c00 : 0x7f80;
    if (dtype == EDEN_F32) return fnv_floats(hash, x, n);
    for (uint64_t i = 0; i < n; i++)
        hash = fnv(hash, (half[i] & 0x7fffu) > infinity ? 0x7fffu : half[i], 2);
    return hash;
}

static uint64_t fnv_state(uint64_t hash, eden_optimizer *o, const char *tensor, const char *slot)
{
    uint64_t n;
    if (eden_get_state(o, tensor, slot, NULL, 0, &n, NULL) || n == 0) return hash;
    float *x = malloc((size_t)n * sizeof *x);
    need(x != NULL, "no memory");
    need(!eden_get_state(o, tensor, slot, x, n, &n, NULL), slot);
    hash = fnv_floats(hash, x, n);
    free(x);
    return hash;
}

/* ---- a run ------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    uint32_t threads;
    eden_run run;
    const char *isa;
} way;

typedef struct {
    const test_case *c;
    eden_optimizer *o;
    void *data[SHAPES], *grad[SHAPES], *copy[SHAPES];
} model;

static const char *const names[] = { "t0", "t1", "t2", "t3", "t4", "t5" };

static uint64_t count_of(size_t k) { return shapes[k].rows * shapes[k].cols; }

static void model_create(model *m, const test_case *c, const way *w)
{
    const storage *s = c->storage;
    eden_config config = EDEN_CONFIG_INIT;
    eden_error error = { 0, "" };
    m->c = c;
    config.threads = w->threads, config.run = w->run, config.isa = w->isa;
    config.nonfinite = c->wild ? EDEN_APPLY : EDEN_REFUSE;
    config.zero_grad = (uint32_t)s->zero;
    config.clip_value = s->clip ? 1e10 : 0;
    config.clip_norm = s->clip && !c->wild ? 5 : 0;
    config.maximize = (uint32_t)s->clip;
    config.seed = 11;
    need(!eden_optimizer_create(&m->o, c->rule, &config, &error), error.text);
    if (c->settings) need(!eden_set_text(m->o, NULL, c->settings, &error), error.text);
    for (size_t k = 0; k < SHAPES; k++) {
        const size_t n = (size_t)count_of(k);
        eden_tensor t = eden_matrix(NULL, NULL, shapes[k].rows, shapes[k].cols);
        if (shapes[k].rows == 1) t = eden_vector(NULL, NULL, n);
        m->data[k] = malloc(n * size_of(s->dtype));
        m->grad[k] = malloc(n * size_of(s->grad));
        m->copy[k] = calloc(n, 2);
        need(m->data[k] && m->grad[k] && m->copy[k], "no memory");
        fill_stored(m->data[k], s->dtype, n, k, c->wild);
        t.data = m->data[k], t.grad = m->grad[k], t.copy = s->copy ? m->copy[k] : NULL;
        t.dtype = s->dtype, t.grad_dtype = s->grad, t.state_dtype = s->state;
        t.copy_dtype = s->copy, t.rounding = s->rounding;
        need(!eden_add_tensor(m->o, names[k], &t, NULL, &error), error.text);
    }
}

static uint64_t model_hash(model *m)
{
    const storage *s = m->c->storage;
    const eden_rule *rule = eden_group_rule(m->o, NULL);
    const eden_slot *slot;
    uint64_t hash = fnv_start;
    for (size_t k = 0; k < SHAPES; k++) {
        hash = fnv_stored(hash, s->dtype, m->data[k], count_of(k));
        hash = fnv_stored(hash, s->grad, m->grad[k], count_of(k));
        if (s->copy) hash = fnv_stored(hash, s->copy, m->copy[k], count_of(k));
        for (size_t i = 0; (slot = eden_rule_slot(rule, i)) != NULL; i++)
            if (slot->kind == EDEN_STATE) hash = fnv_state(hash, m->o, names[k], slot->name);
        hash = fnv_state(hash, m->o, names[k], "master");
        hash = fnv_state(hash, m->o, names[k], "lost");
    }
    return hash;
}

/* All steps, in a disturbed floating-point environment; 0 if they are refused. */
static uint64_t run(const test_case *c, const way *w)
{
    const uint64_t calm = fpu_get(), disturbed = fpu_disturbed(0);
    eden_error error = { 0, "" };
    eden_status status = EDEN_OK;
    model m;
    model_create(&m, c, w);
    for (uint64_t t = 1; t <= STEPS && !status; t++) {
        for (size_t k = 0; k < SHAPES; k++)
            fill_stored(m.grad[k], c->storage->grad, count_of(k), 100 * t + k, c->wild);
        fpu_set(disturbed);
        eden_lookahead_begin(m.o, NULL);
        status = eden_step(m.o, &error);
        const uint64_t after = fpu_get();
        fpu_set(calm);
        failures += after != disturbed;
    }
    const uint64_t hash = status ? 0 : model_hash(&m);
    eden_optimizer_destroy(m.o);
    for (size_t k = 0; k < SHAPES; k++) free(m.data[k]), free(m.grad[k]), free(m.copy[k]);
    return hash;
}

/* ---- all of them ------------------------------------------------------------------- */

/* Not finite is a matter of how numbers are stored, so two rules will do for that. */
static void add_cases(const char *rule, const char *settings)
{
    const int wild = !settings && (!strcmp(rule, "adamw") || !strcmp(rule, "momentum"));
    for (size_t i = 0; i < STORAGES; i++)
        for (int w = 0; w <= wild; w++) {
            need(case_count < MAX_CASES, "MAX_CASES is too small");
            cases[case_count++] = (test_case){ rule, settings, &storages[i], w, 0 };
        }
}

static void list_cases(void)
{
    const eden_rule *rule;
    const eden_preset *preset;
    for (size_t r = 0; (rule = eden_rule_at(r)) != NULL; r++) {
        add_cases(eden_rule_name(rule), NULL);
        for (size_t i = 0; (preset = eden_rule_preset(rule, i)) != NULL; i++) add_cases(preset->name, NULL);
    }
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++)
        add_cases(extras[i].rule, extras[i].settings);
}

static void compare(const way *w, int first)
{
    for (size_t i = 0; i < case_count; i++) {
        test_case *c = &cases[i];
        const uint64_t hash = run(c, w);
        if (first) c->hash = hash, refusals += hash == 0;
        if (hash != c->hash && failures++ < 10)
            printf("%s%s%s, %s%s: %s\n", c->rule, c->settings ? " " : "", c->settings ? c->settings : "",
                   c->storage->name, c->wild ? ", wild" : "", w->name);
    }
}

static void backwards(void *pool, size_t tasks, void (*task)(size_t, void *), void *job)
{
    (void)pool;
    while (tasks-- > 0) task(tasks, job);
}

int main(int argc, char **argv)
{
    static const way others[] = { { "3 threads", 3, NULL, NULL }, { "tasks run backwards", 0, backwards, NULL } };
    uint64_t digest = fnv_start;
    list_cases();
    for (size_t isa = 0; isa < eden_isa_count(); isa++) {
        const way w = { eden_isa_name(isa), 1, NULL, eden_isa_name(isa) };
        if (eden_isa_runs_here(isa)) compare(&w, isa == 0);
        printf("%s%s\n", w.name, eden_isa_runs_here(isa) ? ": compared" : " does not run here");
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) compare(&others[i], 0);
    for (size_t i = 0; i < case_count; i++) {
        digest = fnv(digest, cases[i].hash, 8);
        if (argc == 2 && !strcmp(argv[1], "--list"))
            printf("%016llx %s%s%s, %s%s\n", (unsigned long long)cases[i].hash, cases[i].rule,
                   cases[i].settings ? " " : "", cases[i].settings ? cases[i].settings : "",
                   cases[i].storage->name, cases[i].wild ? ", wild" : "");
    }
    if (failures) printf("%zu results differ\n", failures);
    printf("%zu cases, %zu refused\n", case_count, refusals);
    printf("digest %016llx\n", (unsigned long long)digest);
    return failures != 0 || refusals == case_count;
}
