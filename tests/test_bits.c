/* test_bits.c - the same bits from every instruction set, thread count and caller.
 *
 * Steps every rule under many settings on many shapes and hashes what comes out:
 * at the level of rules for each instruction set that runs here, in a calm and in
 * a disturbed floating-point environment, and through the optimizer with several
 * numbers of threads. Prints one digest of it all, by which tests/bits.sh compares
 * compilers and processors. It needs nothing but the library, so that it can be
 * cross-compiled.
 *
 * usage: test_bits [--list]     (--list: the rules in the digest, with settings)
 */
#include <eden/eden.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bits.h"
#include "tests/fpu.h"

enum { ROOM = 32, STEPS = 3, MAX_SETTINGS = 2048 };

typedef struct { uint64_t rows, cols; } shape;

/* Blocks and chunks of the engine end at 256 and 16384 values, panels at rows. */
static const shape shapes[] = {
    { 1, 15 }, { 3, 5 }, { 1, 257 }, { 3, 257 }, { 33, 8 }, { 1, 1 }, { 1, 255 }, { 1, 256 },
    { 1, 16385 }, { 40, 512 }, { 4000, 8 }, { 7, 5000 }, { 200, 300 }, { 1, 40000 },
};
enum { FEW = 5, ALL = sizeof shapes / sizeof *shapes };

/* A rule with settings; how many of the shapes it is tried on; what came out. */
typedef struct {
    const eden_rule *rule;
    double hypers[ROOM];
    size_t shapes, flipped; /* flipped: the hyperparameter, or SIZE_MAX */
    int ahead;              /* the optimizer steps from look-ahead points */
    uint64_t hash[ALL];
} setting;

static setting *settings;
static size_t setting_count, failures;

static void fail(const setting *s, size_t k, const char *what)
{
    const eden_hyper *h = eden_rule_hyper(s->rule, s->flipped);
    if (failures++ < 10)
        printf("%s%s%s, %llu x %llu: %s\n", eden_rule_name(s->rule), h ? ", other " : "",
               h ? h->name : "", (unsigned long long)shapes[k].rows,
               (unsigned long long)shapes[k].cols, what);
}

/* A test that cannot go on: memory is gone, or the library refuses. */
static void need(int ok, const char *what)
{
    if (ok) return;
    printf("%s\n", what);
    exit(2);
}

/* The gradient of step t on shape k; the smallest ends with what is not finite. */
static void fill_grad(float *g, size_t k, uint64_t t)
{
    fill(g, shapes[k].rows * shapes[k].cols, 1000 * t + k);
    if (k != 0 || t != STEPS) return;
    g[3] = from_bits(0x7fc00000);
    g[7] = from_bits(0xff800000);
    g[8] = 3e38f;
}

/* ---- settings ---------------------------------------------------------------------- */

static void add_setting(const eden_rule *rule, const double *hypers, size_t count, size_t flipped)
{
    need(setting_count < MAX_SETTINGS, "MAX_SETTINGS is too small");
    setting *s = &settings[setting_count++];
    memset(s, 0, sizeof *s);
    s->rule = rule;
    memcpy(s->hypers, hypers, sizeof s->hypers);
    s->shapes = count;
    s->flipped = flipped;
}

/* The v-th other value worth trying, or -1 past the last. */
static double other(const eden_hyper *h, double value, size_t v)
{
    if (h->kind != EDEN_REAL) {
        for (double x = 0; x <= h->high; x++)
            if (x != value && v-- == 0) return x;
        return -1;
    }
    const double tries[] = { value == 0 ? 0.125 : value * 0.5, value == 0 ? 0.125 : 0, 3 };
    return v < 3 ? tries[v] : -1;
}

static int allowed(const eden_rule *rule, const double *hypers)
{
    return eden_rule_check(rule, hypers, NULL, NULL) == EDEN_OK;
}

/* Add `hypers` if the rule takes them, if need be with one more setting changed,
 * such as a decay that a choice of decay needs. */
static int add_allowed(const eden_rule *rule, const double *hypers, size_t flipped)
{
    double both[ROOM];
    const eden_hyper *h;
    if (allowed(rule, hypers)) {
        add_setting(rule, hypers, FEW, flipped);
        return 1;
    }
    for (size_t i = 0; (h = eden_rule_hyper(rule, i)) != NULL; i++) {
        double x;
        for (size_t v = 0; i != flipped && (x = other(h, hypers[i], v)) >= 0; v++) {
            memcpy(both, hypers, sizeof both);
            both[i] = x;
            if (!allowed(rule, both)) continue;
            add_setting(rule, both, FEW, flipped);
            return 1;
        }
    }
    return 0;
}

static void add_flipped(const eden_rule *rule, const double *base)
{
    const eden_hyper *h;
    for (size_t i = 0; (h = eden_rule_hyper(rule, i)) != NULL; i++) {
        double hypers[ROOM], x;
        int found = 0;
        for (size_t v = 0; (x = other(h, base[i], v)) >= 0; v++) {
            memcpy(hypers, base, sizeof hypers);
            hypers[i] = x;
            found += add_allowed(rule, hypers, i);
        }
        if (!found) printf("%s: no other value of %s is allowed\n", eden_rule_name(rule), h->name);
        failures += (size_t)!found;
    }
}

/* What a rule's or a preset's name stands for, from an optimizer of that name. */
static void resolve(const eden_rule *rule, const char *name, double *hypers)
{
    eden_optimizer *o = NULL;
    const eden_hyper *h;
    need(!eden_optimizer_create(&o, name, NULL, NULL), name);
    for (size_t i = 0; (h = eden_rule_hyper(rule, i)) != NULL; i++)
        need(!eden_get(o, NULL, h->name, &hypers[i], NULL), h->name);
    eden_optimizer_destroy(o);
}

static void list_settings(void)
{
    const eden_rule *rule;
    for (size_t r = 0; (rule = eden_rule_at(r)) != NULL; r++) {
        double hypers[ROOM] = { 0 };
        const eden_preset *preset;
        resolve(rule, eden_rule_name(rule), hypers);
        add_setting(rule, hypers, ALL, SIZE_MAX);
        add_flipped(rule, hypers);
        for (size_t i = 0; (preset = eden_rule_preset(rule, i)) != NULL; i++) {
            resolve(rule, preset->name, hypers);
            add_setting(rule, hypers, ALL, SIZE_MAX);
            add_flipped(rule, hypers);
        }
    }
}

/* ---- at the level of rules -------------------------------------------------------------- */

static float *floats(uint64_t n)
{
    float *x = calloc(n ? (size_t)n : 1, sizeof *x);
    need(x != NULL, "no memory");
    return x;
}

/* Steps with one instruction set, in the environment `fpu` if that is not 0. */
static uint64_t run_rule(const setting *s, size_t k, size_t isa, uint64_t fpu)
{
    const uint64_t n = shapes[k].rows * shapes[k].cols, calm = fpu_get();
    const eden_extent extent = { n, shapes[k].rows, shapes[k].cols, 0 };
    eden_rule_call call = EDEN_RULE_CALL_INIT;
    float *state[ROOM], *p = floats(n), *g = floats(n);
    uint64_t length[ROOM], hash = fnv_start;
    const eden_slot *slot;
    fill(p, n, k);
    for (size_t i = 0; (slot = eden_rule_slot(s->rule, i)) != NULL; i++) {
        if (slot->kind != EDEN_STATE) continue;
        length[call.states] = eden_rule_slot_length(s->rule, i, s->hypers, extent);
        if (length[call.states]) state[call.states] = floats(length[call.states]), call.states++;
    }
    call.rule = s->rule, call.isa = isa, call.hypers = s->hypers, call.extent = extent;
    call.param = p, call.grad = g, call.state = state;
    call.work_bytes = eden_rule_work_bytes(s->rule, s->hypers, extent);
    need(!posix_memalign(&call.work, 64, (size_t)call.work_bytes + 64), "no memory");
    for (uint64_t t = 1; t <= STEPS; t++) {
        fill_grad(g, k, t);
        call.step = t;
        if (fpu) fpu_set(fpu);
        const eden_status status = eden_rule_step(&call, NULL);
        const uint64_t after = fpu_get();
        if (fpu) fpu_set(calm);
        if (fpu && after != fpu) fail(s, k, "the caller's floating-point environment has changed");
        need(status == EDEN_OK, "eden_rule_step refuses");
    }
    hash = fnv_floats(hash, p, n);
    for (size_t i = 0; i < call.states; i++) {
        hash = fnv_floats(hash, state[i], length[i]);
        free(state[i]);
    }
    free(p), free(g), free(call.work);
    return hash;
}

static void compare_rules(void)
{
    for (size_t isa = 0; isa < eden_isa_count(); isa++) {
        if (!eden_isa_runs_here(isa)) {
            printf("%s does not run here\n", eden_isa_name(isa));
            continue;
        }
        for (size_t i = 0; i < setting_count; i++)
            for (size_t k = 0; k < settings[i].shapes; k++) {
                const uint64_t hash = run_rule(&settings[i], k, isa, 0);
                if (isa == 0) settings[i].hash[k] = hash;
                if (hash != settings[i].hash[k]) fail(&settings[i], k, eden_isa_name(isa));
                if (k < FEW && hash != run_rule(&settings[i], k, isa, fpu_disturbed((int)isa % 2)))
                    fail(&settings[i], k, "the caller's rounding or flushing changes a result");
            }
        printf("%s: compared\n", eden_isa_name(isa));
    }
}

/* ---- through the optimizer ------------------------------------------------------------------ */

static void backwards(void *pool, size_t tasks, void (*task)(size_t, void *), void *job)
{
    (void)pool;
    while (tasks-- > 0) task(tasks, job);
}

typedef struct {
    const char *name;
    uint32_t threads;
    eden_run run;
    const char *isa;
} way;

static const way ways[] = {
    { "1 thread", 1, NULL, NULL },  { "2 threads", 2, NULL, NULL }, { "3 threads", 3, NULL, NULL },
    { "7 threads", 7, NULL, NULL }, { "tasks run backwards", 0, backwards, NULL },
};

typedef struct {
    eden_optimizer *o;
    float *p[ALL], *g[ALL];
    char name[ALL][24];
} model;

static void model_create(model *m, const setting *s, const eden_config *config)
{
    const eden_hyper *h;
    eden_error error = { 0, "" };
    need(!eden_optimizer_create(&m->o, eden_rule_name(s->rule), config, &error), error.text);
    for (size_t i = 0; (h = eden_rule_hyper(s->rule, i)) != NULL; i++)
        need(!eden_set(m->o, NULL, h->name, s->hypers[i], &error), error.text);
    for (size_t k = 0; k < s->shapes; k++) {
        const uint64_t rows = shapes[k].rows, cols = shapes[k].cols;
        m->p[k] = floats(rows * cols);
        m->g[k] = floats(rows * cols);
        fill(m->p[k], rows * cols, k);
        eden_tensor t = rows == 1 ? eden_vector(m->p[k], m->g[k], cols)
                                  : eden_matrix(m->p[k], m->g[k], rows, cols);
        snprintf(m->name[k], sizeof m->name[k], "t%zu", k);
        need(!eden_add_tensor(m->o, m->name[k], &t, NULL, &error), error.text);
    }
}

static uint64_t model_hash(model *m, const setting *s, size_t k)
{
    uint64_t hash = fnv_floats(fnv_start, m->p[k], shapes[k].rows * shapes[k].cols), n;
    const eden_slot *slot;
    for (size_t i = 0; (slot = eden_rule_slot(s->rule, i)) != NULL; i++) {
        if (slot->kind != EDEN_STATE ||
            eden_get_state(m->o, m->name[k], slot->name, NULL, 0, &n, NULL) || n == 0)
            continue;
        float *x = floats(n);
        need(!eden_get_state(m->o, m->name[k], slot->name, x, n, &n, NULL), slot->name);
        hash = fnv_floats(hash, x, n);
        free(x);
    }
    return hash;
}

static void model_destroy(model *m, const setting *s)
{
    eden_optimizer_destroy(m->o);
    for (size_t k = 0; k < s->shapes; k++) free(m->p[k]), free(m->g[k]);
}

/* Take all steps in a disturbed environment, which has to outlast each call. */
static void model_run(model *m, setting *s, int finite)
{
    eden_error error = { 0, "" };
    const uint64_t calm = fpu_get(), disturbed = fpu_disturbed(0);
    for (uint64_t t = 1; t <= STEPS; t++) {
        for (size_t k = 0; k < s->shapes; k++) {
            fill_grad(m->g[k], k, t);
            if (finite && k == 0) fill(m->g[k], shapes[k].cols, t);
        }
        fpu_set(disturbed);
        s->ahead |= eden_lookahead_begin(m->o, NULL) == EDEN_OK;
        const eden_status status = eden_step(m->o, &error);
        const uint64_t after = fpu_get();
        fpu_set(calm);
        need(status == EDEN_OK, error.text);
        if (after != disturbed) fail(s, 0, "eden_step() has changed the floating-point environment");
    }
}

/* With whole tensors alone, a step is the rule's; with clipping by norm and value
 * and the sign turned, it has no counterpart there and only has to agree with itself. */
static void compare_optimizers(const way *w, int clip, uint64_t *digest)
{
    for (size_t i = 0; i < setting_count; i++) {
        setting *s = &settings[i];
        eden_config config = EDEN_CONFIG_INIT;
        model m;
        if (clip && s->shapes != ALL) continue;
        config.threads = w->threads;
        config.run = w->run;
        config.isa = w->isa;
        config.nonfinite = clip ? EDEN_REFUSE : EDEN_APPLY;
        config.maximize = clip != 0;
        config.clip_value = clip ? 1e18 : 0;
        config.clip_norm = clip ? 10 : 0;
        model_create(&m, s, &config);
        model_run(&m, s, clip);
        for (size_t k = 0; k < s->shapes; k++) {
            const uint64_t hash = model_hash(&m, s, k);
            /* What has no counterpart is defined by the first way. */
            if ((clip || s->ahead) && w == ways) s->hash[k] = hash;
            if (hash != s->hash[k]) fail(s, k, w->name);
            if (w == ways) *digest = fnv(*digest, hash, 8);
        }
        model_destroy(&m, s);
    }
}

/* Whether a value is allowed must not depend on the caller's rounding either:
 * 1 - 1e-8 is 1 as a float, and so outside [0, 1). */
static void compare_checks(void)
{
    const uint64_t calm = fpu_get(), disturbed = fpu_disturbed(1);
    for (size_t i = 0; i < setting_count; i++) {
        const setting *s = &settings[i];
        const eden_hyper *h;
        for (size_t k = 0; s->shapes == ALL && (h = eden_rule_hyper(s->rule, k)) != NULL; k++) {
            if (h->kind != EDEN_REAL || h->high != 1 || !h->high_open) continue;
            fpu_set(disturbed);
            const int yes = eden_rule_allows(s->rule, k, 1 - 1e-8);
            const uint64_t after = fpu_get();
            fpu_set(calm);
            if (yes) fail(s, 0, "rounding downwards lets 1 - 1e-8 into [0, 1)");
            if (after != disturbed) fail(s, 0, "a check has changed the floating-point environment");
        }
    }
}

int main(int argc, char **argv)
{
    uint64_t digest = fnv_start;
    settings = calloc(MAX_SETTINGS, sizeof *settings);
    need(settings != NULL, "no memory");
    list_settings();
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0, n; i < setting_count; i += n) {
            for (n = 1; i + n < setting_count && settings[i + n].rule == settings[i].rule;) n++;
            printf("%s %zu\n", eden_rule_name(settings[i].rule), n);
        }
        free(settings);
        return 0;
    }
    compare_checks();
    compare_rules();
    for (int clip = 0; clip < 2; clip++) {
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
            compare_optimizers(&ways[w], clip, &digest);
        for (size_t isa = 0; isa < eden_isa_best(); isa++) {
            const way w = { eden_isa_name(isa), 2, NULL, eden_isa_name(isa) };
            compare_optimizers(&w, clip, &digest);
        }
    }
    free(settings);
    if (failures) printf("%zu results differ\n", failures);
    printf("digest %016llx\n", (unsigned long long)digest);
    return failures != 0;
}
