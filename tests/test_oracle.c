/* test_oracle.c - every rule against the oracle's vectors, tests/oracle/README.md.
 *
 * A step begins at the float32 inputs of the vector file and may end at most
 * MAX_STATE_ULP and MAX_PARAM_ULP away from the exact result. Each setting is
 * also made wrong, and that must show. A rule without vectors fails, unless the
 * environment's EDEN_TEMPLATE_RULE names it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/bits.h"
#include "tests/rule_tensor.h"
#include "tests/vectors.h"

#define MAX_STATE_ULP 4.0
#define MAX_PARAM_ULP 6.0
#define MAX_FREE 2.0      /* units of 2^-24 of the norm, a step               */
#define OFF_BY (1 + 1e-4) /* the factor on a hyperparameter that must show    */

/* What a run of a case came to. */
typedef struct {
    double state_ulp, param_ulp, free;
    size_t compared, bad;
    char first[160]; /* the first value that was off */
} outcome;

typedef struct {
    outcome worst;
    unsigned values[ROOM], caught[ROOM]; /* bit v: value v of a choice was tried, and told
                                            from the default; reals use bit 0 */
} coverage;

/* ---- inputs ---------------------------------------------------------------------- */

/* As tests/oracle/data.py does. */
static void make(float *values, uint64_t n, const char *kind, uint64_t array, uint64_t t)
{
    static const struct { char letter; int exponent, is_signed; } kinds[] = {
        { 'p', 0, 1 }, { 'g', -3, 1 }, { 's', -5, 1 }, { 'm', -8, 1 }, { 'q', -6, 0 },
    };
    /* signed, small and square begin alike: their second letters tell. */
    const char letter = kind[0] != 's' ? kind[0] : kind[1] == 'i' ? 's' : kind[1];
    size_t k = 0;
    while (kinds[k].letter != letter) assert_true(++k < sizeof kinds / sizeof *kinds);
    for (uint64_t i = 0; i < n; i++) {
        const double u = (double)(mix((t << 40) + (array << 32) + i) >> 40) / (1 << 24);
        values[i] = (float)ldexp(kinds[k].is_signed ? 2 * u - 1 : u, kinds[k].exponent);
    }
}

static void load_row(float *values, uint64_t n, const row *r)
{
    assert_non_null(r);
    assert_true(r->count == n);
    for (size_t i = 0; i < n; i++) values[i] = (float)r->at[i].value;
}

/* The gradient of a step and, for a restart, the inputs it begins at. */
static void load_step(tensor *x, const vector_case *c, size_t step, int restart)
{
    const vector_step *s = &c->steps[step];
    x->call.grad_scale = c->scale;
    if (c->made) {
        char kind[16] = "";
        const char *next = c->made;
        make(x->array[0], x->length[0], "p", 0, s->t);
        make(x->grad, x->call.extent.count, "g", 1, s->t);
        for (size_t i = 1; i < x->arrays; i++) {
            assert_int_equal(sscanf(next, "%15s", kind), 1);
            make(x->array[i], x->length[i], kind, i + 1, s->t);
            next += strlen(kind) + (next[strlen(kind)] == ' ');
        }
        return;
    }
    const row *rows = step ? s[-1].rows : c->start;
    const size_t count = step ? s[-1].count : c->start_count;
    load_row(x->grad, x->call.extent.count, find_row(s->rows, s->count, "g"));
    for (size_t i = 0; i < x->arrays && restart; i++)
        load_row(x->array[i], x->length[i], find_row(rows, count, x->name[i]));
}

/* ---- comparing --------------------------------------------------------------------- */

/* The k-th element of an array of n that a made case lists, n past the end. */
static size_t sampled(size_t k, size_t n)
{
    size_t i = 0;
    for (;; i++) {
        if (i == n) return n;
        if ((i < 3 || i + 2 >= n || i % 37 == 0 || n <= 40) && k-- == 0) return i;
    }
}

static void compare(outcome *o, const tensor *x, size_t array, const vector_case *c,
                    const vector_step *s)
{
    const row *r = find_row(s->rows, s->count, x->name[array]);
    const size_t n = (size_t)x->length[array];
    double *worst = array ? &o->state_ulp : &o->param_ulp;
    assert_non_null(r);
    assert_true(c->made ? sampled(r->count - 1, n) == n - 1 : r->count == n);
    for (size_t k = 0; k < r->count; k++) {
        const size_t i = c->made ? sampled(k, n) : k;
        const float got = x->array[array][i];
        double error = fabs((double)got - r->at[k].value) * ldexp(1, -r->at[k].exponent);
        if (isnan(got)) error = HUGE_VAL;
        else if (!r->at[k].fair) continue;
        o->compared++;
        if (error > *worst) *worst = error;
        if (error <= (array ? MAX_STATE_ULP : MAX_PARAM_ULP)) continue;
        if (o->bad++ == 0)
            snprintf(o->first, sizeof o->first, "step %llu, %s[%zu] is %.9g instead of %.9g: %.3g ulp",
                     (unsigned long long)s->t, x->name[array], i, (double)got, r->at[k].value, error);
    }
}

/* Does the state that exists have the names and sizes of the file? */
static int same_slots(const tensor *x, const vector_case *c)
{
    const char *at = c->slots;
    char name[ROOM] = "";
    for (size_t i = 1; i < x->arrays; i++) {
        const row *r = find_row(c->steps[0].rows, c->steps[0].count, x->name[i]);
        if (!at || sscanf(at, "%31s", name) != 1 || strcmp(name, x->name[i])) return 0;
        if (!r || (!c->made && r->count != x->length[i])) return 0;
        at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL;
    }
    return !at || !*at;
}

/* ---- running a case ------------------------------------------------------------------- */

static outcome run_restarted(const eden_rule *rule, const vector_case *c, const double *hypers,
                             size_t isa)
{
    outcome o = { 0, 0, 0, 0, 0, "" };
    tensor x;
    tensor_init(&x, rule, hypers, c->extent);
    x.call.isa = isa;
    if (!same_slots(&x, c)) {
        o.bad = 1;
        snprintf(o.first, sizeof o.first, "the state is not '%s'", c->slots ? c->slots : "");
    }
    for (size_t step = 0; step < c->step_count && !o.bad; step++) {
        load_step(&x, c, step, 1);
        tensor_step(&x, c->steps[step].t);
        for (size_t i = 0; i < x.arrays; i++) compare(&o, &x, i, c, &c->steps[step]);
    }
    tensor_free(&x);
    return o;
}

/* All steps from the first one's inputs: the norm of the error of the weights, in
 * units of 2^-24 of the weights' for each step. */
static double run_free(const eden_rule *rule, const vector_case *c, const double *hypers)
{
    double sum = 0;
    tensor x;
    if (!c->free.count) return 0;
    tensor_init(&x, rule, hypers, c->extent);
    for (size_t step = 0; step < c->step_count; step++) {
        load_step(&x, c, step, step == 0);
        tensor_step(&x, c->steps[step].t);
    }
    assert_true(c->free.count == x.length[0]);
    for (size_t i = 0; i < c->free.count; i++) {
        const double e = (double)x.array[0][i] - c->free.at[i].value;
        if (c->free.at[i].fair) sum += e * e;
    }
    tensor_free(&x);
    if (sum == 0) return 0;
    return isnan(sum) ? HUGE_VAL : sqrt(sum) / (c->free_size * 0x1p-24 * (double)c->step_count);
}

/* Nothing is NaN while every gradient is 1e19, however long. */
static int run_huge(const eden_rule *rule, const vector_case *c, const double *hypers)
{
    int ok = 1;
    tensor x;
    tensor_init(&x, rule, hypers, c->extent);
    for (size_t i = 0; i < x.arrays; i++) make(x.array[i], x.length[i], i ? "square" : "p", i, 1);
    for (size_t i = 0; i < c->extent.count; i++) x.grad[i] = i % 3 ? 1e19f : -1e19f;
    for (uint64_t t = 1; t <= 12; t++) tensor_step(&x, t);
    for (size_t a = 0; a < x.arrays; a++)
        for (size_t i = 0; i < x.length[a]; i++) ok = ok && !isnan(x.array[a][i]);
    tensor_free(&x);
    return ok;
}

/* ---- what has to show ------------------------------------------------------------------- */

/* Each setting that the case calls `wrong` is made so, and the run must fail. */
static int wrong_shows(const eden_rule *rule, const vector_case *c, const double *hypers,
                       coverage *seen)
{
    int ok = 1, used = 0;
    char name[ROOM];
    for (const char *at = c->wrong; at && sscanf(at, "%31s%n", name, &used) == 1; at += used) {
        double changed[ROOM];
        const size_t i = eden_rule_hyper_index(rule, name);
        assert_true(i < ROOM);
        memcpy(changed, hypers, sizeof changed);
        changed[i] *= OFF_BY;
        if (eden_rule_check(rule, changed, NULL, NULL) ||
            !run_restarted(rule, c, changed, 0).bad) {
            print_error("%s: a wrong %s does not show\n", c->name, name);
            ok = 0;
        }
        seen->caught[i] |= 1;
    }
    return ok;
}

/* Put a choice back to its default, and with it whatever only it gave a meaning. */
static int put_back(const eden_rule *rule, double *hypers, size_t hyper)
{
    for (int tries = 0; tries < 4; tries++) {
        size_t culprit = hyper;
        hypers[hyper] = eden_rule_hyper(rule, hyper)->initial;
        if (!eden_rule_check(rule, hypers, &culprit, NULL)) return 1;
        hyper = culprit;
    }
    return 0;
}

static void choices_show(const eden_rule *rule, const vector_case *c, const double *hypers,
                         coverage *seen)
{
    const eden_hyper *h;
    for (size_t i = 0; (h = eden_rule_hyper(rule, i)) != NULL; i++) {
        double changed[ROOM];
        if (h->kind == EDEN_REAL) continue;
        const unsigned bit = 1u << (unsigned)hypers[i];
        seen->values[i] |= bit;
        if (hypers[i] == h->initial || (seen->caught[i] & bit)) continue;
        memcpy(changed, hypers, sizeof changed);
        if (put_back(rule, changed, i) && run_restarted(rule, c, changed, 0).bad)
            seen->caught[i] |= bit;
    }
}

/* ---- a rule ------------------------------------------------------------------------------- */

static int hypers_of(const eden_rule *rule, const char *name, const char *settings, double *hypers)
{
    const eden_preset *preset = NULL;
    if (eden_rule_find(name, &preset) != rule || eden_rule_defaults(rule, hypers, ROOM)) return 0;
    if (preset && apply_settings(rule, hypers, preset->settings) < 0) return 0;
    return apply_settings(rule, hypers, settings) >= 0;
}

static int run_case(const eden_rule *rule, const vector_case *c, coverage *seen)
{
    double hypers[ROOM] = { 0 };
    outcome *worst = &seen->worst;
    size_t index = SIZE_MAX;
    const char *why = NULL;
    int ok = 1;
    if (!c->rule || !hypers_of(rule, c->rule, c->settings, hypers) || c->step_count < 10 ||
        eden_rule_check(rule, hypers, &index, &why)) {
        print_error("%s: its settings or steps are refused: %zu %s\n", c->name, index, why ? why : "");
        return 0;
    }
    for (size_t isa = 0; isa < eden_isa_count(); isa++) {
        if (!eden_isa_runs_here(isa)) continue;
        const outcome o = run_restarted(rule, c, hypers, isa);
        if (o.state_ulp > worst->state_ulp) worst->state_ulp = o.state_ulp;
        if (o.param_ulp > worst->param_ulp) worst->param_ulp = o.param_ulp;
        worst->compared += o.compared;
        if (!o.bad) continue;
        print_error("%s, %s: %zu values are off; %s\n", c->name, eden_isa_name(isa), o.bad, o.first);
        ok = 0;
    }
    const double freely = run_free(rule, c, hypers);
    if (freely > worst->free) worst->free = freely;
    if (freely > MAX_FREE) {
        print_error("%s: the free run ends %.3g x 2^-24 a step away\n", c->name, freely);
        ok = 0;
    }
    if (!run_huge(rule, c, hypers)) {
        print_error("%s: gradients of 1e19 end in NaN\n", c->name);
        ok = 0;
    }
    choices_show(rule, c, hypers, seen);
    return wrong_shows(rule, c, hypers, seen) && ok;
}

/* The file states every default of the rule and of each preset. */
static int defaults_agree(const eden_rule *rule, const vector_file *f)
{
    size_t presets = 0, hyper_count = 0;
    while (eden_rule_preset(rule, presets)) presets++;
    while (eden_rule_hyper(rule, hyper_count)) hyper_count++;
    int ok = f->default_count == 1 + presets;
    for (size_t i = 0; i < f->default_count; i++) {
        double ours[ROOM] = { 0 }, theirs[ROOM] = { 0 };
        char name[ROOM] = "";
        sscanf(f->defaults[i], "%31s", name);
        const char *settings = f->defaults[i] + strlen(name);
        if (!hypers_of(rule, name, NULL, ours) ||
            apply_settings(rule, theirs, settings + 1) != (int)hyper_count ||
            memcmp(ours, theirs, sizeof ours) != 0) {
            print_error("the defaults of %s are not %s\n", name, settings);
            ok = 0;
        }
    }
    return ok;
}

static int all_covered(const eden_rule *rule, const coverage *seen)
{
    const eden_hyper *h;
    int ok = 1;
    for (size_t i = 0; (h = eden_rule_hyper(rule, i)) != NULL; i++) {
        unsigned all = 1, initial = 0;
        if (h->kind != EDEN_REAL) {
            all = (2u << (unsigned)h->high) - 1;
            initial = 1u << (unsigned)h->initial;
        }
        if ((h->kind == EDEN_REAL || seen->values[i] == all) && (seen->caught[i] | initial) == all)
            continue;
        print_error("no case tells every value of %s from a wrong one\n", h->name);
        ok = 0;
    }
    return ok;
}

static void test_rule(void **state)
{
    const eden_rule *rule = (const eden_rule *)*state;
    const char *name = eden_rule_name(rule), *template_rule = getenv("EDEN_TEMPLATE_RULE");
    char path[1024];
    vector_file f;
    coverage seen;
    memset(&seen, 0, sizeof seen);
    snprintf(path, sizeof path, "%s/tests/vectors/%s.txt", EDEN_SOURCE_DIR, name);
    const long line = read_vectors(&f, path);
    if (line < 0 && template_rule && strcmp(template_rule, name) == 0) {
        free_vectors(&f);
        skip();
    }
    if (line < 0) fail_msg("%s is missing; tests/oracle/README.md says how to make it", path);
    if (line > 0) fail_msg("%s:%ld: cannot be read", path, line);
    int ok = defaults_agree(rule, &f);
    for (size_t i = 0; i < f.case_count; i++) ok = run_case(rule, &f.cases[i], &seen) && ok;
    ok = all_covered(rule, &seen) && ok;
    print_message("%-10s %3zu cases %7zu values: state within %.2f ulp, weights %.2f, free run %.2f\n",
                  name, f.case_count, seen.worst.compared, seen.worst.state_ulp,
                  seen.worst.param_ulp, seen.worst.free);
    free_vectors(&f);
    assert_true(ok);
}

int main(void)
{
    struct CMUnitTest tests[ROOM];
    const size_t count = eden_rule_count();
    if (count > ROOM) return 1;
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){ eden_rule_name(eden_rule_at(i)), test_rule, NULL, NULL,
                                        (void *)(uintptr_t)eden_rule_at(i) };
    return _cmocka_run_group_tests("oracle", tests, count, NULL, NULL);
}
