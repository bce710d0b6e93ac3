/* schedule_functions.c - the functions that schedules are made of. */
#include <float.h>

#include "engine/rule.h"
#include "optimizer/schedule_math.h"
#include "optimizer/schedule_tree.h"

#define LAST_COUNT 9007199254740991.0 /* 2^53 - 1: as a double, exact and no other number */

static const eden_schedule_bounds bounds[] = {
    [EDEN_COUNT] = { 1, LAST_COUNT, 0, 0, 1, "a whole number of steps from 1 to 2^53 - 1" },
    [EDEN_COUNT_0] = { 0, LAST_COUNT, 0, 0, 1, "a whole number from 0 to 2^53 - 1" },
    [EDEN_NOT_NEGATIVE] = { 0, DBL_MAX, 0, 0, 0, "a number from 0 up" },
    [EDEN_BELOW_1] = { 0, 1, 0, 1, 0, "in [0, 1)" },
    [EDEN_INSIDE_1] = { 0, 1, 1, 1, 0, "in (0, 1)" },
    [EDEN_POWER] = { 0, 1e6, 1, 0, 0, "above 0 and at most 1e6" },
    [EDEN_GROW] = { 1, 1e6, 0, 0, 0, "in [1, 1e6]" },
};

const eden_schedule_bounds *eden_schedule_bounds_of(eden_schedule_range range)
{
    return &bounds[range];
}

/* ---- shapes ---------------------------------------------------------------------- */

/* From a at share 0 to b at share 1, exact at both. */
static double blend(double a, double b, double share)
{
    return share <= 0 ? a : share >= 1 ? b : a + (b - a) * share;
}

/* From a at s = 0 to b at s = n, and b from there on. Two shares, since one minus
 * the other would lose digits near the end. */
static double ramp(double a, double b, uint64_t s, double n)
{
    const double at = (double)s;
    return at >= n ? b : a * ((n - at) / n) + b * (at / n);
}

/* From 1 at the start to `end`, `fall` being 1 at the start and 0 at the end. */
static double down_to(double end, double fall) { return blend(end, 1, fall); }

static double constant(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    (void)counts, (void)s;
    return i->argument[0];
}

static double warmup(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    (void)counts;
    return ramp(i->argument[1], 1, s, i->argument[0]);
}

static double linear(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    (void)counts;
    return ramp(i->argument[1], i->argument[2], s, i->argument[0]);
}

static double polynomial(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    const double n = i->argument[0], p = i->argument[1];
    (void)counts;
    if ((double)s >= n) return i->argument[2];
    const eden_wide left = eden_wide_ratio(n - (double)s, n);
    const uint64_t whole = (uint64_t)p;
    return down_to(i->argument[2], eden_power_whole(left, whole) *
                                       eden_power_part(left.hi, (eden_wide){ p - (double)whole, 0 }));
}

static double cosine(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    const double n = i->argument[0];
    (void)counts;
    if ((double)s >= n) return i->argument[1];
    return down_to(i->argument[1], eden_half_cosine((double)s, n - (double)s));
}

static double cosine_restarts(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    double gone, left;
    (void)counts;
    eden_find_cycle(i->argument[0], i->argument[1], s, &gone, &left);
    return down_to(i->argument[2], eden_half_cosine(gone, left));
}

static double step(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    (void)counts;
    return eden_power_whole((eden_wide){ i->argument[1], 0 }, (s - 1) / (uint64_t)i->argument[0]);
}

static double multistep(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    uint64_t passed = 0;
    while (passed < i->count && counts[passed] < s) passed++;
    return eden_power_whole((eden_wide){ i->argument[0], 0 }, passed);
}

static double exponential_decay(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    const double factor = i->argument[0];
    const uint64_t n = (uint64_t)i->argument[1], whole = (s - 1) / n, part = (s - 1) % n;
    const double value = eden_power_whole((eden_wide){ factor, 0 }, whole) *
                         eden_power_part(factor, eden_wide_ratio((double)part, (double)n));
    (void)counts;
    return value > DBL_MAX ? DBL_MAX : value;
}

static double onecycle(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    const double n = i->argument[0], at = (double)s, peak = i->argument[2] * n;
    (void)counts;
    if (at >= n) return i->argument[3];
    if (at < peak) return blend(i->argument[1], 1, eden_half_cosine(peak - at, at));
    return down_to(i->argument[3], eden_half_cosine(at - peak, n - at));
}

static double wsd(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    const uint64_t up = (uint64_t)i->argument[0], flat = up + (uint64_t)i->argument[1];
    (void)counts;
    if (s <= up) return ramp(0, 1, s, (double)up);
    return s <= flat ? 1 : ramp(1, i->argument[3], s - flat, i->argument[2]);
}

static double inverse_sqrt(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    const double n = i->argument[0], at = (double)s;
    (void)counts;
    return at <= n ? at / n : root2(n / at);
}

/* ---- plateau ----------------------------------------------------------------------- */

enum { FACTOR, PATIENCE, THRESHOLD, FLOOR };

static double plateau(const eden_schedule_item *i, const uint64_t *counts, uint64_t s)
{
    (void)counts, (void)s;
    return i->scale;
}

int eden_schedule_is_plateau(const eden_schedule_item *i)
{
    return i->kind == EDEN_ITEM_CALL && i->call->value == plateau;
}

double eden_schedule_floor(const eden_schedule_item *i) { return i->argument[FLOOR]; }
double eden_schedule_patience(const eden_schedule_item *i) { return i->argument[PATIENCE]; }

/* The threshold is a share of the best loss's size, so that it also means something
 * for losses below zero. */
void eden_schedule_observe(eden_schedule_item *i, double loss)
{
    const double size = i->best < 0 ? -i->best : i->best;
    if (!i->has_best || loss < i->best - i->argument[THRESHOLD] * size) {
        i->best = loss;
        i->has_best = 1;
        i->bad = 0;
    } else if ((double)++i->bad > i->argument[PATIENCE]) {
        const double scale = i->scale * i->argument[FACTOR];
        i->scale = scale > i->argument[FLOOR] ? scale : i->argument[FLOOR];
        i->bad = 0;
    }
}

/* ---- the table ----------------------------------------------------------------------- */

#define STEPS(name) { name, 1, 0, EDEN_COUNT }
#define END(value) { "end", 0, value, EDEN_NOT_NEGATIVE }

static const eden_schedule_call calls[] = {
    { "constant", "constant(value)", constant, 0, { { "value", 1, 0, EDEN_NOT_NEGATIVE } } },
    { "warmup", "warmup(n, start=0)", warmup, 0,
      { STEPS("n"), { "start", 0, 0, EDEN_NOT_NEGATIVE } } },
    { "linear", "linear(n, start=1, end=0)", linear, 0,
      { STEPS("n"), { "start", 0, 1, EDEN_NOT_NEGATIVE }, END(0) } },
    { "polynomial", "polynomial(n, power, end=0)", polynomial, 0,
      { STEPS("n"), { "power", 1, 0, EDEN_POWER }, END(0) } },
    { "cosine", "cosine(n, end=0)", cosine, 0, { STEPS("n"), END(0) } },
    { "cosine_restarts", "cosine_restarts(n, grow=1, end=0)", cosine_restarts, 0,
      { STEPS("n"), { "grow", 0, 1, EDEN_GROW }, END(0) } },
    { "step", "step(n, factor=0.1)", step, 0,
      { STEPS("n"), { "factor", 0, 0.1, EDEN_NOT_NEGATIVE } } },
    { "multistep", "multistep(factor, n1, n2, ...)", multistep, 1,
      { { "factor", 1, 0, EDEN_NOT_NEGATIVE } } },
    { "exponential", "exponential(factor, n=1)", exponential_decay, 0,
      { { "factor", 1, 0, EDEN_NOT_NEGATIVE }, { "n", 0, 1, EDEN_COUNT } } },
    { "onecycle", "onecycle(n, start=0.04, peak_at=0.3, end=4e-6)", onecycle, 0,
      { STEPS("n"), { "start", 0, 0.04, EDEN_NOT_NEGATIVE }, { "peak_at", 0, 0.3, EDEN_INSIDE_1 },
        END(4e-6) } },
    { "wsd", "wsd(warmup, stable, decay, end=0)", wsd, 0,
      { { "warmup", 1, 0, EDEN_COUNT_0 }, { "stable", 1, 0, EDEN_COUNT_0 }, STEPS("decay"), END(0) } },
    { "inverse_sqrt", "inverse_sqrt(n)", inverse_sqrt, 0, { STEPS("n") } },
    { "plateau", "plateau(factor=0.1, patience=10, threshold=1e-4, floor=0)", plateau, 0,
      { { "factor", 0, 0.1, EDEN_BELOW_1 }, { "patience", 0, 10, EDEN_COUNT_0 },
        { "threshold", 0, 1e-4, EDEN_BELOW_1 }, { "floor", 0, 0, EDEN_BELOW_1 } } },
};

const eden_schedule_call *eden_schedule_call_at(size_t i)
{
    return i < sizeof calls / sizeof *calls ? &calls[i] : NULL;
}

/* ---- evaluation ------------------------------------------------------------------------ */

/* Recursion is as deep as sequences are nested, at most EDEN_SCHEDULE_DEPTH. */
static double evaluate(const eden_schedule_tree *tree, size_t at, uint64_t s)
{
    const eden_schedule_item *item = &tree->items[at];
    const uint64_t *counts = eden_schedule_counts(tree) + item->first;
    if (item->kind == EDEN_ITEM_CALL) return item->call->value(item, counts, s);
    size_t child = at + 1;
    if (item->kind == EDEN_ITEM_SEQUENCE) {
        for (; tree->items[child].steps && s > tree->items[child].steps; child = tree->items[child].next)
            s -= tree->items[child].steps;
        return evaluate(tree, child, s);
    }
    double product = 1;
    for (; child < item->next; child = tree->items[child].next) {
        product *= evaluate(tree, child, s);
        if (product > DBL_MAX) product = DBL_MAX; /* so that times 0 is 0 */
    }
    return product;
}

double eden_schedule_evaluate(const eden_schedule_tree *tree, uint64_t s)
{
    return evaluate(tree, 0, s);
}
