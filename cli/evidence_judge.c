/* evidence_judge.c - the numbers of runs, their means and intervals, and what follows. */
#include <math.h>
#include <string.h>

#include "cli/evidence.h"

static const cli_measure measures[] = {
    { "test_accuracy", "test accuracy", "points", 0, 1 },
    { "return_steps", "steps to the mean return of 475 that solves it", "times", 1, 0 },
    { "distance", "distance from real ones", "times", 1, 0 },
    { "test_loss", "test loss", "times", 1, 0 },
    { "train_loss", "training loss", "times", 1, 0 },
    { "gap", "test loss less training loss", "nats", 0, 0 },
    { "steps", "steps to the target", "times", 1, 0 },
    { "state", "bytes of state a weight", "times", 1, 0 },
    { "ns", "nanoseconds a weight", "times", 1, 0 },
    { "reached", "steps until it stays near the minimum", "times", 1, 0 },
    { "turns", "steps that go back", "times", 1, 0 },
    { "first_step", "length of the first step", "times", 1, 0 },
    { "shrink", "last step's length as a share of the first's", "times", 1, 0 },
    { "last_step", "length of the last step", "times", 1, 0 },
};

const cli_measure *cli_measure_find(const char *name)
{
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++)
        if (!strcmp(measures[i].name, name)) return &measures[i];
    return NULL;
}

/* ---- the number of a run ------------------------------------------------------------- */

static double number(const json_t *values, const char *key)
{
    const json_t *value = json_object_get(values, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* Steps at the end of the epoch that first reached the target; all of them if none did,
 * which favours the side that is slower. */
static double steps_to(const json_t *values, double target)
{
    const json_t *history = json_object_get(values, "history");
    for (size_t i = 0; i < json_array_size(history); i++) {
        const json_t *epoch = json_array_get(history, i);
        if (100 * number(epoch, "test_accuracy") >= target - 1e-7) return number(epoch, "step");
    }
    return number(values, "steps");
}

/* Where a straight line between epochs reaches the target: an epoch has many steps. */
static double steps_between(const json_t *values, const char *key, double target)
{
    double step = 0, reached = 0;
    const json_t *history = json_object_get(values, "history");
    for (size_t i = 0; i < json_array_size(history); i++) {
        const json_t *epoch = json_array_get(history, i);
        const double next = number(epoch, "step"), value = number(epoch, key);
        if (value >= target) return step + (next - step) * (target - reached) / (value - reached);
        step = next, reached = value;
    }
    return number(values, "steps");
}

double cli_measure_value(const lab_claim *claim, const json_t *values)
{
    const char *m = claim->measure;
    if (!values || json_is_true(json_object_get(values, "diverged"))) return NAN;
    if (!strcmp(m, "test_accuracy")) return 100 * number(values, m);
    if (!strcmp(m, "gap")) return number(values, "test_loss") - number(values, "train_loss");
    if (!strcmp(m, "steps")) return steps_to(values, claim->target);
    if (!strcmp(m, "return_steps")) return steps_between(values, "test_return", claim->target);
    if (!strcmp(m, "distance")) return number(values, "test_loss");
    if (!strcmp(m, "state")) return number(values, "state_bytes_per_element");
    if (!strcmp(m, "ns")) return number(values, "ns_per_element");
    if (!strcmp(m, "shrink")) return number(values, "last_step") / number(values, "first_step");
    if (!strcmp(m, "reached")) {
        const double reached = number(values, "reached_at");
        return isfinite(reached) ? reached : number(values, "steps");
    }
    return number(values, m);
}

double cli_measure_cost(const lab_claim *claim, const json_t *values)
{
    lab_claim by_loss = *claim;
    /* A gap of nothing is had by learning nothing, so there the loss decides; and where two
     * rates take as many steps, too. */
    by_loss.measure = "test_loss";
    const double loss = cli_measure_value(&by_loss, values);
    if (!isfinite(loss)) return HUGE_VAL;
    if (!strstr(claim->measure, "steps")) return loss;
    return cli_measure_value(claim, values) + loss / (1 + loss);
}

/* ---- the verdict --------------------------------------------------------------------- */

/* Student's t: 97.5 % are below this, by degrees of freedom. */
static double student(size_t freedom)
{
    static const double t[] = { 0,     12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262,
                                2.228, 2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093,
                                2.086, 2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045 };
    return freedom < sizeof t / sizeof *t ? t[freedom] : 2.045;
}

/* Ratios on the scale on which twice and half are as far from 1. */
static double compare(const cli_measure *m, double a, double b)
{
    if (m->ratio) return a > 0 && b > 0 ? log(a / b) : a == b ? 0 : (double)NAN;
    return a - b;
}

static cli_verdict verdict_of(const lab_claim *claim, double low, double high)
{
    if (!isfinite(low) || !isfinite(high)) return CLI_UNDECIDED;
    /* Just at the bound is on neither side: where both sides did as well as can be, nothing is shown. */
    if (claim->sense < 0) return high < claim->bound ? CLI_HOLDS : low > claim->bound ? CLI_FAILS : CLI_UNDECIDED;
    return low > claim->bound ? CLI_HOLDS : high < claim->bound ? CLI_FAILS : CLI_UNDECIDED;
}

cli_finding cli_judge(const lab_claim *claim, const double *first, const double *second, size_t n,
                      int chance)
{
    const cli_measure *m = cli_measure_find(claim->measure);
    cli_finding f = { { 0, 0 }, NAN, NAN, NAN, 0, { 0, 0 }, n > 1, CLI_UNDECIDED };
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        f.diverged[0] += isfinite(first[i]) ? 0 : 1;
        f.diverged[1] += isfinite(second[i]) ? 0 : 1;
        if (!isfinite(first[i]) || !isfinite(second[i])) continue;
        f.side[0] += first[i], f.side[1] += second[i];
        sum += compare(m, first[i], second[i]);
        if (first[i] < second[i] || first[i] > second[i]) f.same = 0;
        f.runs++;
    }
    f.same &= f.runs == n;
    if (!f.runs) return f;
    const double mean = sum / (double)f.runs;
    for (size_t i = 0; i < n; i++)
        if (isfinite(first[i]) && isfinite(second[i])) {
            const double d = compare(m, first[i], second[i]) - mean;
            squares += d * d;
        }
    f.side[0] /= (double)f.runs, f.side[1] /= (double)f.runs;
    const double half = !chance ? 0 : f.runs < 2 ? HUGE_VAL
        : student(f.runs - 1) * sqrt(squares / (double)(f.runs - 1) / (double)f.runs);
    f.effect = m->ratio ? exp(mean) : mean;
    f.low = m->ratio ? exp(mean - half) : mean - half;
    f.high = m->ratio ? exp(mean + half) : mean + half;
    if (f.runs == n) f.verdict = verdict_of(claim, f.low, f.high);
    return f;
}
